/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/detector/source.h"

#include "sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct pn_source_ops *const pn_sources[] = {
	&pn_source_file,
	&pn_source_folder,
	&pn_source_replay,
	&pn_source_native,
	&pn_source_twin_liquid,
	&pn_source_twin_tilt,
	NULL,
};

#define STATE_ALIGN 64

struct pn_source {
	const struct pn_source_ops *ops;
	void *state;             /* in the same piece of memory, so that one table serves both    */
	struct pn_param *params; /* the kind's rows moved to the state's place, then the common   */
	double speed;
	uint64_t seq; /* of the next message                                           */
	int holds;    /* `held` was made but is not due                                */
	struct pn_msg held;
	int ended;
	int started;           /* the two below are set                                         */
	int64_t start_ns;      /* when the first message since open or seek was given           */
	int64_t start_time_ns; /* its own time stamp                                            */
};

static const struct pn_param common_params[] = {
	{ .name = "speed",
	  .help = "times faster than the time stamps say; 0: as fast as it can be read",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct pn_source, speed),
	  .def = 0,
	  .min = 0,
	  .max = 1e6 },
	{ 0 },
};

static size_t count_rows(const struct pn_param *table)
{
	size_t count = 0;

	while (table && table[count].name)
		count++;
	return count;
}

/* ---- the URI ------------------------------------------------------------------------------- */

/* A scheme "kind:name" stands for itself and takes no path; others end at their colon. */
static int takes_path(const struct pn_source_ops *ops)
{
	return !strchr(ops->scheme, ':');
}

static int unknown_scheme(const char *uri, struct pn_error *err)
{
	char known[PN_ERROR_TEXT_MAX / 2] = "";
	size_t used = 0;

	for (const struct pn_source_ops *const *ops = pn_sources; *ops; ops++) {
		int n = snprintf(known + used, sizeof known - used, "%s%s%s", used ? " " : "",
				 (*ops)->scheme, takes_path(*ops) ? ":" : "");

		if (n < 0 || (used += (size_t)n) >= sizeof known)
			break;
	}
	if (access(uri, F_OK) == 0)
		return pn_error_set(err, PN_EARG,
				    "'%.120s' names no kind of source; did you mean file:%.120s?",
				    uri, uri);
	return pn_error_set(err, PN_EARG, "'%.120s' names no kind of source; there are: %s", uri,
			    known);
}

static const struct pn_source_ops *find_ops(const char *uri)
{
	for (const struct pn_source_ops *const *ops = pn_sources; *ops; ops++) {
		size_t length = strlen((*ops)->scheme);
		char end = takes_path(*ops) ? ':' : '?';

		if (strncmp((*ops)->scheme, uri, length) != 0)
			continue;
		if (uri[length] == end || (end == '?' && uri[length] == 0))
			return *ops;
	}
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* @text up to @length, %XX decoded; the caller frees. */
static int decode_path(char **path, const char *text, size_t length, struct pn_error *err)
{
	char *out = malloc(length + 1), *end = out;

	*path = out;
	if (!out)
		return pn_error_set(err, PN_ENOMEM, "a path of %zu bytes", length);
	for (size_t i = 0; i < length; i++) {
		if (text[i] != '%') {
			*end++ = text[i];
			continue;
		}
		int high = i + 1 < length ? hex_digit(text[i + 1]) : -1;
		int low = high >= 0 && i + 2 < length ? hex_digit(text[i + 2]) : -1;

		if (low < 0 || high * 16 + low == 0)
			return pn_error_set(
				err, PN_EARG,
				"'%.*s': bad %%XX at byte %zu of the path (write %% as %%25)",
				(int)(length > 200 ? 200 : length), text, i);
		*end++ = (char)(high * 16 + low);
		i += 2;
	}
	*end = 0;
	return PN_OK;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int allocate(struct pn_source **source, const struct pn_source_ops *ops,
		    struct pn_error *err)
{
	size_t place = (sizeof **source + STATE_ALIGN - 1) / STATE_ALIGN * STATE_ALIGN;
	size_t size = (place + ops->state_size + STATE_ALIGN - 1) / STATE_ALIGN * STATE_ALIGN;
	size_t own = count_rows(ops->params);
	struct pn_source *s = aligned_alloc(STATE_ALIGN, size);

	if (!s)
		return pn_error_set(err, PN_ENOMEM, "source %s: %zu bytes", ops->scheme, size);
	memset(s, 0, size);
	s->params = calloc(own + PN_COUNT(common_params), sizeof *s->params);
	if (!s->params) {
		free(s);
		return pn_error_set(err, PN_ENOMEM, "source %s: its parameters", ops->scheme);
	}
	for (size_t i = 0; i < own; i++) {
		s->params[i] = ops->params[i];
		s->params[i].off += place;
	}
	memcpy(s->params + own, common_params, sizeof common_params);
	s->ops = ops;
	s->state = (char *)s + place;
	*source = s;
	return PN_OK;
}

/* The source with its parameters set, not open; and its path, which the caller frees. */
static int prepare(struct pn_source **source, char **path, const char *uri, struct pn_error *err)
{
	const struct pn_source_ops *ops = find_ops(uri);

	*source = NULL;
	*path = NULL;
	if (!ops)
		return unknown_scheme(uri, err);
	const char *text = uri + strlen(ops->scheme) + takes_path(ops);
	size_t length = strcspn(text, "?");
	int rc = allocate(source, ops, err);

	if (rc)
		return rc;
	pn_params_default((*source)->params, *source);
	rc = decode_path(path, text, length, err);
	if (!rc && text[length] == '?')
		rc = pn_params_parse_query((*source)->params, *source, text + length + 1, err);
	if (rc)
		pn_error_wrap(err, "%s", ops->scheme);
	return rc;
}

static void free_source(struct pn_source *source)
{
	if (source)
		free(source->params);
	free(source);
}

int pn_source_check(const char *uri, struct pn_error *err)
{
	struct pn_source *source;
	char *path;
	int rc = prepare(&source, &path, uri, err);

	free(path);
	free_source(source);
	return rc;
}

int pn_source_open(struct pn_source **source, const char *uri, struct pn_error *err)
{
	char *path;
	int rc = prepare(source, &path, uri, err);

	if (!rc)
		rc = (*source)->ops->open((*source)->state, path, err);
	free(path);
	if (rc) {
		pn_source_close(*source);
		*source = NULL;
	}
	return rc;
}

void pn_source_close(struct pn_source *source)
{
	if (!source)
		return;
	source->ops->close(source->state);
	free_source(source);
}

/* ---- messages ------------------------------------------------------------------------------ */

static int64_t due_ns(const struct pn_source *source)
{
	int64_t after = source->held.time_ns - source->start_time_ns;

	if (source->speed != 1.0)
		after = (int64_t)llround((double)after / source->speed);
	return source->start_ns + after;
}

int pn_source_next(struct pn_source *source, int64_t now_ns, struct pn_msg *msg,
		   struct pn_error *err)
{
	if (!source->holds) {
		int rc = source->ops->next(source->state, &source->held, err);

		source->ended = rc == PN_EEND;
		if (rc == PN_EFRAME)
			source->seq++;
		if (rc)
			return rc;
		source->holds = 1;
	}
	source->held.arrival_ns = now_ns;
	if (source->speed > 0) {
		if (!source->started) {
			source->start_ns = now_ns;
			source->start_time_ns = source->held.time_ns;
			source->started = 1;
		}
		source->held.arrival_ns = due_ns(source);
		if (source->held.arrival_ns > now_ns)
			return PN_EAGAIN;
	}
	source->holds = 0;
	source->held.seq = source->seq++;
	*msg = source->held;
	return PN_OK;
}

int pn_source_seek(struct pn_source *source, uint64_t seq, struct pn_error *err)
{
	int rc = source->ops->seek(source->state, seq, err);

	if (rc)
		return rc;
	source->seq = seq;
	source->holds = 0;
	source->started = 0;
	source->ended = 0;
	return PN_OK;
}

int pn_source_ack(struct pn_source *source, uint64_t seq, struct pn_error *err)
{
	return source->ops->ack ? source->ops->ack(source->state, seq, err) : PN_OK;
}

void pn_source_wait(struct pn_source *source, int64_t now_ns, int64_t timeout_ns)
{
	if (source->ended || timeout_ns <= 0)
		return;
	if (!source->holds) {
		if (source->ops->wait)
			source->ops->wait(source->state, timeout_ns);
		return;
	}
	int64_t left = due_ns(source) - now_ns;

	if (left > timeout_ns)
		left = timeout_ns;
	if (left > 0) {
		struct timespec time = { .tv_sec = left / 1000000000,
					 .tv_nsec = left % 1000000000 };

		nanosleep(&time, NULL);
	}
}

/* ---- help ---------------------------------------------------------------------------------- */

static void help_row(FILE *out, const struct pn_param *row)
{
	char value[160];

	if (row->type == PN_PARAM_TEXT)
		snprintf(value, sizeof value, "%s", row->def_text ? row->def_text : "");
	else if (row->type == PN_PARAM_ENUM)
		snprintf(value, sizeof value, "%s", row->choices[(int)row->def]);
	else
		snprintf(value, sizeof value, "%.10g", row->def);
	char setting[256];

	snprintf(setting, sizeof setting, "%s=%s", row->name, value);
	fprintf(out, "    %-24s %s%s%s%s", setting, row->unit ? "[" : "",
		row->unit ? row->unit : "", row->unit ? "] " : "", row->help);
	for (int i = 0; row->type == PN_PARAM_ENUM && row->choices[i]; i++)
		fprintf(out, "%s%s", i ? "|" : ": ", row->choices[i]);
	if (row->min != row->max)
		fprintf(out, " (%g..%g)", row->min, row->max);
	fprintf(out, "\n");
}

static void help_rows(FILE *out, const struct pn_param *table)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];
	size_t count = table ? pn_params_flatten(table, rows, PN_PARAM_ROWS_MAX) : 0;

	for (size_t i = 0; i < count; i++)
		help_row(out, &rows[i]);
}

void pn_sources_help(FILE *out)
{
	fprintf(out, "sources, as KIND:PATH?name=value&name=value (%%XX for ? & %% in values):\n");
	for (const struct pn_source_ops *const *ops = pn_sources; *ops; ops++) {
		fprintf(out, "  %s%s  %s\n", (*ops)->scheme, takes_path(*ops) ? ":" : "",
			(*ops)->brief);
		help_rows(out, (*ops)->params);
	}
	fprintf(out, "  and every kind takes\n");
	help_rows(out, common_params);
}
