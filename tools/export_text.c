/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export_text.c - heads as CSV and NDJSON, specimens as extended XYZ. */
#include "export.h"
#include "perrin/base/json.h"
#include "perrin/format/csv.h"
#include "perrin/base/element.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define COLUMNS_MAX    96
#define NAME_MAX_BYTES 48
#define SHORT_ARRAY    4 /* arrays of a fixed few values get a column each, longer ones none */

/* ---- CSV ----------------------------------------------------------------------------------- */

static size_t columns_of(const struct pn_field *field)
{
	if (field->type != PN_FIELD_F64S && field->type != PN_FIELD_I64S)
		return 1;
	return field->capacity <= SHORT_ARRAY ? field->capacity : 0;
}

/* The first field of a type says what its messages count by; the time stands behind it. */
static unsigned name_columns(const struct pn_schema *schema, char names[][NAME_MAX_BYTES])
{
	unsigned count = 0;

	for (const struct pn_field *field = schema->fields; field->key; field++) {
		size_t columns = columns_of(field);

		pn_assert(count + columns < COLUMNS_MAX);
		for (size_t i = 0; i < columns; i++)
			snprintf(names[count++], NAME_MAX_BYTES, columns > 1 ? "%s_%zu" : "%s",
				 field->key, i);
		if (field == schema->fields)
			snprintf(names[count++], NAME_MAX_BYTES, "time_ns");
	}
	return count;
}

static void put_f64(struct pn_csv *csv, double value)
{
	if (isnan(value))
		pn_csv_empty(csv);
	else
		pn_csv_f64(csv, value);
}

/* NumPy's name, as in the heads themselves: "u2" */
static void put_dtype(struct pn_csv *csv, enum pn_dtype dtype)
{
	char name[16];

	snprintf(name, sizeof name, "%c%zu", pn_dtype_name(dtype)[0], pn_dtype_bytes(dtype));
	pn_csv_text(csv, name);
}

static void put_array(struct pn_csv *csv, const struct pn_field *field, const char *head)
{
	uint64_t count = *(const uint64_t *)(head + field->count_off);

	for (size_t i = 0; i < columns_of(field); i++) {
		if (i >= count)
			pn_csv_empty(csv);
		else if (field->type == PN_FIELD_F64S)
			put_f64(csv, ((const double *)(head + field->off))[i]);
		else
			pn_csv_i64(csv, ((const int64_t *)(head + field->off))[i]);
	}
}

static void put_field(struct pn_csv *csv, const struct pn_field *field, const char *head)
{
	const void *value = head + field->off;

	switch (field->type) {
	case PN_FIELD_U64:
		pn_csv_u64(csv, *(const uint64_t *)value);
		break;
	case PN_FIELD_I64:
		pn_csv_i64(csv, *(const int64_t *)value);
		break;
	case PN_FIELD_F64:
		put_f64(csv, *(const double *)value);
		break;
	case PN_FIELD_TEXT:
		pn_csv_text(csv, value);
		break;
	case PN_FIELD_WORD:
		pn_csv_text(csv, field->words[*(const int *)value]);
		break;
	case PN_FIELD_DTYPE:
		put_dtype(csv, *(const enum pn_dtype *)value);
		break;
	case PN_FIELD_F64S:
	case PN_FIELD_I64S:
		put_array(csv, field, head);
		break;
	}
}

static int csv_rows(struct pn_csv *csv, struct pn_export *export, struct pn_error *err)
{
	struct pn_msg msg;
	int rc;

	while (!(rc = pn_export_next(export, &msg, err))) {
		const struct pn_field *fields = export->schema->fields;

		for (const struct pn_field *field = fields; field->key; field++) {
			put_field(csv, field, (const char *)&export->facts.head);
			if (field == fields)
				pn_csv_i64(csv, msg.time_ns);
		}
		rc = pn_csv_end_row(csv, err);
		if (rc)
			return rc;
	}
	return rc == PN_EEND ? PN_OK : rc;
}

int pn_export_csv(struct pn_export *export, struct pn_error *err)
{
	char names[COLUMNS_MAX][NAME_MAX_BYTES];
	const char *list[COLUMNS_MAX];
	struct pn_csv *csv;
	unsigned count = name_columns(export->schema, names);

	for (unsigned i = 0; i < count; i++)
		list[i] = names[i];
	int rc = pn_csv_create(&csv, export->out, list, count, err);
	if (rc)
		return rc;
	rc = csv_rows(csv, export, err);
	/* the rows before a bad record are right, and stay */
	int closed = pn_csv_finish(csv, rc ? NULL : err);
	return rc ? rc : closed;
}

/* ---- NDJSON -------------------------------------------------------------------------------- */

int pn_export_ndjson(struct pn_export *export, struct pn_error *err)
{
	struct pn_msg msg;
	struct pn_json json;
	FILE *file;
	int rc = pn_export_file(export, &file, err);

	if (rc)
		return rc;
	while (!(rc = pn_export_next(export, &msg, err)) && !ferror(file)) {
		pn_json_init(&json, file, 0);
		pn_json_object(&json, NULL);
		pn_json_u64(&json, "seq", msg.seq);
		pn_json_i64(&json, "time_ns", msg.time_ns);
		pn_head_json(export->schema, &export->facts.head, &json);
		pn_json_end(&json);
	}
	return pn_export_close(export, file, rc, err);
}

/* ---- extended XYZ -------------------------------------------------------------------------- */

static void write_atoms(FILE *file, const struct pn_specimen_head *head, const struct pn_msg *msg)
{
	const double(*atoms)[4] = msg->payload;

	fprintf(file,
		"%" PRIu64 "\nProperties=species:S:1:pos:R:3 pbc=\"F F F\" particle=%" PRIu64
		" version=%" PRIu64 " lattice_A=%.9g time_ns=%" PRId64 "\n",
		head->atoms, head->particle, head->version, head->lattice_A, msg->time_ns);
	for (uint64_t i = 0; i < head->atoms; i++) {
		int z = atoms[i][3] >= 1 && atoms[i][3] <= PN_ELEMENT_Z_MAX
				? (int)lround(atoms[i][3])
				: 0;
		const char *symbol = pn_element_symbol(z);

		/* X is what the format's readers take for an element not known */
		fprintf(file, "%s %.6f %.6f %.6f\n", symbol ? symbol : "X", atoms[i][0],
			atoms[i][1], atoms[i][2]);
	}
}

int pn_export_xyz(struct pn_export *export, struct pn_error *err)
{
	struct pn_msg msg;
	FILE *file;

	if (export->schema != &pn_specimen_schema)
		return pn_error_set(err, PN_EARG, "%s: messages of type %s hold no atoms",
				    export->stream, export->schema->type);
	int rc = pn_export_file(export, &file, err);
	if (rc)
		return rc;
	while (!(rc = pn_export_next(export, &msg, err)) && !ferror(file))
		write_atoms(file, &export->facts.head.specimen, &msg);
	return pn_export_close(export, file, rc, err);
}
