/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "info.h"

#include "command.h"
#include "common/session.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* "u16 [1][256][256], 35.8 pm" of the first message; "" for types without arrays. */
static void shape_text(char *buf, size_t size, const struct pn_stream_facts *facts)
{
	buf[0] = 0;
	if (!facts->has_head)
		return;
	if (facts->schema == &pn_frames_schema) {
		const struct pn_frames_head *h = &facts->head.frames;

		int n = snprintf(buf, size, "%s [%" PRIu64 "][%" PRIu64 "][%" PRIu64 "]",
				 pn_dtype_name(h->dtype), h->count, h->ny, h->nx);
		if (!isnan(h->pixel_pm))
			snprintf(buf + n, size - (size_t)n, ", %g pm", h->pixel_pm);
	} else if (facts->schema == &pn_crops_schema) {
		const struct pn_crops_head *h = &facts->head.crops;

		snprintf(buf, size, "%s [%" PRIu64 "][%" PRIu64 "], %g pm", pn_dtype_name(h->dtype),
			 h->ny, h->nx, h->pixel_pm);
	} else if (facts->schema == &pn_specimen_schema) {
		snprintf(buf, size, "f64 [%" PRIu64 "][4]", facts->head.specimen.atoms);
	}
}

static void stream_json(const struct pn_session_stream *stream, const struct pn_stream_facts *facts,
			const struct pn_error *error, struct pn_json *json)
{
	char shape[96];

	pn_json_object(json, NULL);
	pn_json_text(json, "name", stream->name);
	if (error->code) {
		pn_json_text(json, "error", error->text);
		pn_json_end(json);
		return;
	}
	shape_text(shape, sizeof shape, facts);
	pn_json_text(json, "type", facts->schema ? facts->schema->type : NULL);
	pn_json_u64(json, "records", facts->records);
	pn_json_u64(json, "disk_bytes", facts->disk_bytes);
	pn_json_bool(json, "closed", facts->closed);
	if (facts->records) {
		pn_json_i64(json, "first_time_ns", facts->first_ns);
		pn_json_i64(json, "last_time_ns", facts->last_ns);
	}
	pn_json_text(json, "shape", shape[0] ? shape : NULL);
	pn_json_text(json, "damage", facts->damage[0] ? facts->damage : NULL);
	if (facts->has_head) {
		pn_json_object(json, "first_head");
		pn_head_json(facts->schema, &facts->head, json);
		pn_json_end(json);
	}
	pn_json_end(json);
}

static void stream_row(const struct pn_session_stream *stream, const struct pn_stream_facts *facts,
		       const struct pn_error *error, struct pn_table *table)
{
	char shape[96], text[PN_TEXT_SHORT];

	pn_table_cell(table, "%s", stream->name);
	if (error->code) {
		for (int i = 0; i < 5; i++)
			pn_table_cell(table, "-");
		pn_table_cell(table, "%s", error->text);
		return;
	}
	shape_text(shape, sizeof shape, facts);
	pn_table_cell(table, "%s", facts->schema ? facts->schema->type : "-");
	pn_table_cell(table, "%" PRIu64, facts->records);
	pn_table_cell(table, "%s", pn_text_bytes(text, (double)facts->disk_bytes));
	pn_table_cell(table, "%s", pn_text_duration(text, facts->last_ns - facts->first_ns));
	pn_table_cell(table, "%s", facts->closed ? "yes" : "no");
	pn_table_cell(table, "%s", facts->damage[0] ? facts->damage : shape);
}

int pn_info_streams(const char *path, struct pn_table *table, struct pn_json *json,
		    struct pn_error *err)
{
	struct pn_session_streams *streams = malloc(sizeof *streams);
	struct pn_stream_facts *facts = malloc(sizeof *facts);
	int rc = streams && facts ? pn_session_streams(streams, path, err)
				  : pn_error_set(err, PN_ENOMEM, "no memory");
	int bad = 0;

	for (unsigned i = 0; !rc && i < streams->count; i++) {
		struct pn_error error = { 0 };

		bad |= pn_stream_facts(facts, streams->stream[i].dir, &error) || facts->damage[0];
		if (json)
			stream_json(&streams->stream[i], facts, &error, json);
		else
			stream_row(&streams->stream[i], facts, &error, table);
	}
	free(facts);
	free(streams);
	return rc ? rc : bad ? PN_EXIT_FAILED : PN_OK;
}

int pn_info_print_streams(const char *path, struct pn_error *err)
{
	struct pn_table *table =
		pn_table_create("<stream|<type|records|on disk|time span|<closed|<first shape");
	int rc = pn_info_streams(path, table, NULL, err);

	pn_table_print(table, stdout);
	pn_table_destroy(table);
	return rc;
}
