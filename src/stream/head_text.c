/* SPDX-License-Identifier: GPL-3.0-or-later */
/* head_text.c - heads and their schemas for people: JSON members and documentation. */
#include "perrin/base/json.h"
#include "values.h"

#include <string.h>

static void json_array(const struct pn_field *field, const void *head, struct pn_json *json)
{
	const void *values = pn_value_at(field, head);
	uint64_t count = pn_value_count(field, head);

	pn_json_array(json, field->key);
	for (uint64_t i = 0; i < count && i < field->capacity; i++) {
		if (field->type == PN_FIELD_F64S)
			pn_json_f64(json, NULL, ((const double *)values)[i]);
		else
			pn_json_i64(json, NULL, ((const int64_t *)values)[i]);
	}
	pn_json_end(json);
}

void pn_head_json(const struct pn_schema *schema, const void *head, struct pn_json *json)
{
	for (const struct pn_field *field = schema->fields; field->key; field++) {
		const void *value = pn_value_at(field, head);

		switch (field->type) {
		case PN_FIELD_U64:
			pn_json_u64(json, field->key, *(const uint64_t *)value);
			break;
		case PN_FIELD_I64:
			pn_json_i64(json, field->key, *(const int64_t *)value);
			break;
		case PN_FIELD_F64:
			pn_json_f64(json, field->key, *(const double *)value);
			break;
		case PN_FIELD_TEXT:
			pn_json_text(json, field->key, value);
			break;
		case PN_FIELD_WORD:
			pn_json_text(json, field->key, pn_value_word(field, *(const int *)value));
			break;
		case PN_FIELD_DTYPE:
			pn_json_text(json, field->key,
				     pn_value_dtype(*(const enum pn_dtype *)value));
			break;
		case PN_FIELD_F64S:
		case PN_FIELD_I64S:
			json_array(field, head, json);
			break;
		}
	}
}

/* ---- documentation ------------------------------------------------------------------------- */

static const char *const wire_types[] = {
	[PN_FIELD_U64] = "uint",       [PN_FIELD_I64] = "int",    [PN_FIELD_F64] = "float64",
	[PN_FIELD_TEXT] = "text",      [PN_FIELD_WORD] = "text",  [PN_FIELD_DTYPE] = "text",
	[PN_FIELD_F64S] = "[float64]", [PN_FIELD_I64S] = "[int]",
};

static void doc_range(FILE *out, const struct pn_field *field)
{
	if (field->type == PN_FIELD_WORD) {
		fputs(" One of", out);
		for (unsigned i = 0; field->words[i]; i++)
			fprintf(out, "%s \"%s\"", i ? "," : "", field->words[i]);
		fputc('.', out);
	}
	if (field->type == PN_FIELD_DTYPE) {
		fputs(" One of", out);
		for (int i = 1; pn_value_dtype((enum pn_dtype)i); i++)
			fprintf(out, "%s %s", i > 1 ? "," : "", pn_value_dtype((enum pn_dtype)i));
		fputc('.', out);
	}
	if (field->type == PN_FIELD_TEXT)
		fprintf(out, " At most %zu bytes of UTF-8.", field->capacity - 1);
	if (field->type == PN_FIELD_F64S || field->type == PN_FIELD_I64S)
		fprintf(out, " At most %zu values.", field->capacity);
	if (field->min != field->max)
		fprintf(out, " %g..%g.", field->min, field->max);
	if (field->nullable)
		fputs(" nil if not known.", out);
}

void pn_schema_doc(FILE *out, const struct pn_schema *schema)
{
	int key = 4, unit = 4;

	for (const struct pn_field *field = schema->fields; field->key; field++) {
		if ((int)strlen(field->key) > key)
			key = (int)strlen(field->key);
		if ((int)strlen(field->unit) > unit)
			unit = (int)strlen(field->unit);
	}
	fprintf(out, "%s, version %u\n\n%s\n\n", schema->type, schema->version, schema->help);
	fprintf(out,
		"The head is a msgpack map; \"type\" and \"v\" come first, the other keys in any "
		"order.\nPayloads are little-endian, arrays slowest axis first.\n\n");
	fprintf(out, "  %-*s  %-9s  %-*s  %s\n", key, "key", "type", unit, "unit", "meaning");
	fprintf(out, "  %-*s  %-9s  %-*s  \"%s\"\n", key, "type", "text", unit, "", schema->type);
	fprintf(out, "  %-*s  %-9s  %-*s  %u\n", key, "v", "uint", unit, "", schema->version);
	for (const struct pn_field *field = schema->fields; field->key; field++) {
		fprintf(out, "  %-*s  %-9s  %-*s  %s.", key, field->key, wire_types[field->type],
			unit, field->unit, field->help);
		doc_range(out, field);
		fputc('\n', out);
	}
	fputc('\n', out);
}
