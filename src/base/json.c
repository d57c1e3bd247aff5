/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/json.h"

#include "perrin/base/status.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void pn_json_init(struct pn_json *json, FILE *out, int pretty)
{
	memset(json, 0, sizeof *json);
	json->out = out;
	json->pretty = pretty;
}

static void newline(struct pn_json *json)
{
	if (json->pretty)
		fprintf(json->out, "\n%*s", 2 * json->depth, "");
}

static void put_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", out);
		else if (c == '\t')
			fputs("\\t", out);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void begin_value(struct pn_json *json, const char *key)
{
	if (json->depth) {
		pn_assert((json->close[json->depth - 1] == '}') == (key != NULL));
		if (json->count[json->depth]++)
			fputc(',', json->out);
		newline(json);
	}
	if (key) {
		put_string(json->out, key);
		fputs(json->pretty ? ": " : ":", json->out);
	}
}

static void open_level(struct pn_json *json, const char *key, char open, char close)
{
	begin_value(json, key);
	pn_assert(json->depth < PN_JSON_DEPTH_MAX);
	fputc(open, json->out);
	json->close[json->depth++] = close;
	json->count[json->depth] = 0;
}

void pn_json_object(struct pn_json *json, const char *key)
{
	open_level(json, key, '{', '}');
}

void pn_json_array(struct pn_json *json, const char *key)
{
	open_level(json, key, '[', ']');
}

void pn_json_end(struct pn_json *json)
{
	pn_assert(json->depth > 0);
	unsigned count = json->count[json->depth];
	char close = json->close[--json->depth];

	if (count)
		newline(json);
	fputc(close, json->out);
	if (!json->depth)
		fputc('\n', json->out);
}

void pn_json_text(struct pn_json *json, const char *key, const char *value)
{
	begin_value(json, key);
	if (value)
		put_string(json->out, value);
	else
		fputs("null", json->out);
}

void pn_json_i64(struct pn_json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void pn_json_u64(struct pn_json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void pn_json_f64(struct pn_json *json, const char *key, double value)
{
	char text[32];

	begin_value(json, key);
	if (!isfinite(value)) {
		fputs("null", json->out);
		return;
	}
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	fputs(text, json->out);
}

void pn_json_bool(struct pn_json *json, const char *key, int value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->out);
}
