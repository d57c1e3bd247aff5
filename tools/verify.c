/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin verify - read every byte of a recording and check it against its hashes. */
#include "command.h"
#include "common/session.h"
#include "common/text.h"
#include "perrin/base/json.h"

#include <inttypes.h>
#include <stdlib.h>

struct verify_options {
	char path[PN_PARAM_TEXT_MAX];
	int json;
};

#define OFF(field) offsetof(struct verify_options, field)
static const struct pn_param params[] = {
	{ .name = "path",
	  .help = "a session, or one stream of it",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(path),
	  .positional = 1,
	  .required = 1 },
	{ .name = "json",
	  .help = "print the result as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/** One stream's result; error.code is set if it could not be walked at all. */
struct result {
	const struct pn_session_stream *stream;
	struct pn_log_check check;
	struct pn_error error;
};

static int is_good(const struct result *r)
{
	return !r->error.code && !r->check.bad && !r->check.gaps && !r->check.bytes_after &&
	       !r->check.text[0];
}

/* As xxHash writes 128 bits: the high half first. */
static char *hash_text(char buf[33], const struct pn_log_check *check)
{
	snprintf(buf, 33, "%016" PRIx64 "%016" PRIx64, check->content_hash[1],
		 check->content_hash[0]);
	return buf;
}

static void stream_json(const struct result *r, struct pn_json *json)
{
	char hash[33];

	pn_json_object(json, NULL);
	pn_json_text(json, "name", r->stream->name);
	pn_json_bool(json, "good", is_good(r));
	if (!r->error.code) {
		pn_json_u64(json, "records", r->check.records);
		pn_json_u64(json, "bytes", r->check.bytes);
		pn_json_u64(json, "segments", r->check.segments);
		pn_json_u64(json, "first_seq", r->check.first_seq);
		pn_json_u64(json, "last_seq", r->check.last_seq);
		pn_json_u64(json, "gaps", r->check.gaps);
		pn_json_u64(json, "bad", r->check.bad);
		pn_json_u64(json, "bytes_after", r->check.bytes_after);
		pn_json_bool(json, "closed", r->check.ended);
		pn_json_text(json, "hash", hash_text(hash, &r->check));
	}
	pn_json_text(json, "error",
		     r->error.code      ? r->error.text
		     : r->check.text[0] ? r->check.text
					: NULL);
	pn_json_end(json);
}

static void print_json(const char *path, const struct result *results, unsigned count, int good)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "path", path);
	pn_json_bool(&json, "good", good);
	pn_json_array(&json, "streams");
	for (unsigned i = 0; i < count; i++)
		stream_json(&results[i], &json);
	pn_json_end(&json);
	pn_json_end(&json);
}

static void stream_row(struct pn_table *table, const struct result *r)
{
	char bytes[PN_TEXT_SHORT], hash[33];

	pn_table_cell(table, "%s", r->stream->name);
	pn_table_cell(table, "%s", is_good(r) ? "good" : "BAD");
	if (r->error.code) {
		for (int i = 0; i < 6; i++)
			pn_table_cell(table, "-");
		return;
	}
	pn_table_cell(table, "%" PRIu64, r->check.records);
	pn_table_cell(table, "%s", pn_text_bytes(bytes, (double)r->check.bytes));
	pn_table_cell(table, "%" PRIu64, r->check.gaps);
	pn_table_cell(table, "%" PRIu64, r->check.bad);
	pn_table_cell(table, "%s", r->check.ended ? "yes" : "no");
	pn_table_cell(table, "%s", hash_text(hash, &r->check));
}

static void print_table(const struct result *results, unsigned count)
{
	struct pn_table *table =
		pn_table_create("<stream|<state|records|bytes|gaps|bad|<closed|<hash");

	for (unsigned i = 0; i < count; i++)
		stream_row(table, &results[i]);
	pn_table_print(table, stdout);
	pn_table_destroy(table);
	for (unsigned i = 0; i < count; i++) {
		const struct result *r = &results[i];

		if (r->error.code || r->check.text[0])
			printf("  %s: %s\n", r->stream->name,
			       r->error.code ? r->error.text : r->check.text);
		if (r->check.bytes_after)
			printf("  %s: %" PRIu64 " bytes after the last whole record\n",
			       r->stream->name, r->check.bytes_after);
	}
}

static int verify_streams(const struct verify_options *options, struct pn_session_streams *streams,
			  struct pn_error *err)
{
	struct result *results = calloc(streams->count + 1, sizeof *results);
	int good = 1;

	if (!results)
		return pn_error_set(err, PN_ENOMEM, "no memory for %u results", streams->count);
	for (unsigned i = 0; i < streams->count; i++) {
		results[i].stream = &streams->stream[i];
		pn_log_verify(streams->stream[i].dir, &results[i].check, &results[i].error);
		good &= is_good(&results[i]);
	}
	if (options->json)
		print_json(options->path, results, streams->count, good);
	else
		print_table(results, streams->count);
	free(results);
	return good ? PN_OK : PN_EXIT_FAILED;
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct verify_options *options = arg;
	struct pn_session_streams *streams = malloc(sizeof *streams);
	int rc = streams ? pn_session_streams(streams, options->path, err)
			 : pn_error_set(err, PN_ENOMEM, "no memory");

	(void)extra, (void)extra_count;
	if (!rc && !streams->count)
		rc = pn_error_set(err, PN_ENOENT, "%s: has no stream", options->path);
	if (!rc)
		rc = verify_streams(options, streams, err);
	free(streams);
	return rc;
}

const struct pn_command pn_command_verify = {
	.name = "verify",
	.brief = "check every byte of a recording against its hashes",
	.usage = "SESSION|STREAM [--json]",
	.params = params,
	.options_size = sizeof(struct verify_options),
	.run = run,
};
