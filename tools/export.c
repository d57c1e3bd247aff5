/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin export - a stream as a file that other programs read. */
#include "export.h"

#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const formats[] = { "npy", "mrc", "tiff", "csv", "ndjson", "xyz", "tlt", NULL };
static int (*const writers[])(struct pn_export *export, struct pn_error *err) = {
	pn_export_images, pn_export_images, pn_export_images,
	pn_export_csv,    pn_export_ndjson, pn_export_xyz, pn_export_tlt,
};

struct export_options {
	char stream[PN_PARAM_TEXT_MAX];
	char out[PN_PARAM_TEXT_MAX];
	int format, force, last;
	int64_t particle, first, count;
};

#define OFF(field) offsetof(struct export_options, field)
static const struct pn_param params[] = {
	{ .name = "stream",
	  .help = "SESSION/STREAM, a stream's folder",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(stream),
	  .positional = 1,
	  .required = 1 },
	{ .name = "format",
	  .help = "of the file",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(format),
	  .choices = formats,
	  .required = 1 },
	{ .name = "out",
	  .unit = "PATH",
	  .help = "the file; - is standard output (csv, ndjson, xyz, tlt)",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(out),
	  .required = 1 },
	{ .name = "particle",
	  .help = "only this particle; -1: all",
	  .type = PN_PARAM_I64,
	  .off = OFF(particle),
	  .def = -1,
	  .min = -1,
	  .max = 1e15 },
	{ .name = "first",
	  .help = "begin with this record",
	  .type = PN_PARAM_I64,
	  .off = OFF(first),
	  .max = 1e15 },
	{ .name = "count",
	  .help = "look at this many records; 0: all",
	  .type = PN_PARAM_I64,
	  .off = OFF(count),
	  .max = 1e15 },
	{ .name = "last",
	  .help = "only the last record: the volume, the atoms as they are now",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(last) },
	{ .name = "force",
	  .help = "replace a file that is there",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ 0 },
};

/* ---- what the formats share ---------------------------------------------------------------- */

static const struct pn_field *particle_field(const struct pn_schema *schema)
{
	for (const struct pn_field *field = schema->fields; field->key; field++)
		if (strcmp(field->key, "particle") == 0 && field->type == PN_FIELD_U64)
			return field;
	return NULL;
}

/* One damaged record is no reason to keep the others back; the first of them is told of. */
static int leave_out(struct pn_export *export, uint64_t seq, int rc, struct pn_error *err)
{
	if ((rc != PN_ECORRUPT && rc != PN_EFRAME) || seq >= export->facts.records)
		return rc;
	if (!export->damaged++)
		fprintf(stderr, "perrin export: left out: %s\n", err->text);
	*err = (struct pn_error){ 0 };
	pn_log_read_seek(export->reader, seq + 1);
	return PN_OK;
}

int pn_export_next(struct pn_export *export, struct pn_msg *msg, struct pn_error *err)
{
	const struct pn_field *field =
		export->particle >= 0 ? particle_field(export->schema) : NULL;
	const char *head = (const char *)&export->facts.head;

	while (export->left-- > 0) {
		uint64_t seq = pn_log_read_seq(export->reader);
		int rc = pn_log_read(export->reader, msg, err);

		if (rc == PN_EAGAIN)
			return PN_EEND;
		if (!rc)
			rc = pn_msg_decode(export->schema, msg, &export->facts.head, err);
		if (rc) {
			rc = leave_out(export, seq, rc, err);
			if (rc)
				return rc;
			continue;
		}
		if (!field ||
		    *(const uint64_t *)(head + field->off) == (uint64_t) export->particle) {
			export->written++;
			return PN_OK;
		}
	}
	return PN_EEND;
}

int pn_export_file(struct pn_export *export, FILE **file, struct pn_error *err)
{
	*file = strcmp(export->out, "-") ? fopen(export->out, "we") : stdout;
	return *file ? PN_OK : pn_error_errno(err, errno, "%s", export->out);
}

int pn_export_close(struct pn_export *export, FILE *file, int rc, struct pn_error *err)
{
	int errnum = fflush(file) ? errno : ferror(file) ? EIO : 0;

	if (file != stdout && fclose(file) && !errnum)
		errnum = errno;
	if (rc && rc != PN_EEND)
		return rc;
	return errnum ? pn_error_errno(err, errnum, "%s", export->out) : PN_OK;
}

/* ---- the command --------------------------------------------------------------------------- */

static int open_stream(struct pn_export *export, struct pn_error *err)
{
	enum pn_path_kind kind;
	int rc = pn_path_kind(export->stream, &kind, err);

	if (rc)
		return rc;
	if (kind != PN_PATH_STREAM)
		return pn_error_set(err, PN_EARG,
				    "%s: a %s; name one of its streams as SESSION/STREAM",
				    export->stream, kind == PN_PATH_SESSION ? "session" : "file");
	rc = pn_stream_facts(&export->facts, export->stream, err);
	if (rc)
		return rc;
	if (!export->facts.schema)
		return pn_error_set(err, PN_EFORMAT, "%s: %s", export->stream,
				    export->facts.records ? "messages of an unknown type"
							  : "no record yet");
	export->schema = export->facts.schema;
	if (export->particle >= 0 && !particle_field(export->schema))
		return pn_error_set(err, PN_EARG, "%s: messages of type %s name no particle",
				    export->stream, export->schema->type);
	if (export->last && export->facts.records)
		export->first = (int64_t)export->facts.records - 1;
	export->left = export->count ? export->count : INT64_MAX;
	return pn_log_read_open(&export->reader, export->stream, NULL, 0, (uint64_t) export->first,
				err);
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct export_options *options = arg;
	struct pn_export *export = calloc(1, sizeof *export);

	(void)extra, (void)extra_count;
	if (!export)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	export->stream = options->stream;
	export->out = options->out;
	export->format = formats[options->format];
	export->particle = options->particle;
	export->first = options->first;
	export->count = options->count;
	export->last = options->last;
	int rc = open_stream(export, err);
	if (!rc)
		rc = pn_path_free(options->out, options->force, err);
	if (!rc)
		rc = writers[options->format](export, err);
	if (!rc && strcmp(options->out, "-"))
		printf("%" PRIu64 " %s records to %s\n", export->written, export->schema->type,
		       options->out);
	if (!rc && export->damaged)
		rc = pn_error_set(err, PN_ECORRUPT, "%s: %" PRIu64 " damaged records are left out",
				  options->stream, export->damaged);
	pn_log_read_close(export->reader);
	free(export);
	return rc;
}

const struct pn_command pn_command_export = {
	.name = "export",
	.brief = "write a stream as a file that other programs read",
	.usage = "SESSION/STREAM --format F --out PATH [flags]",
	.params = params,
	.options_size = sizeof(struct export_options),
	.run = run,
};
