/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export_text.c - heads as CSV and NDJSON, specimens as extended XYZ. */
#include "export.h"
#include "perrin/base/element.h"
#include "perrin/base/json.h"
#include "perrin/base/number.h"
#include "perrin/format/csv.h"
#include "perrin/format/xyz.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
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

/* The message as a model. X is written for an element that is not known. */
static int model_of(struct pn_model **model, const struct pn_specimen_head *head,
		    const struct pn_msg *msg, struct pn_error *err)
{
	const double(*atoms)[4] = msg->payload;
	char particle[24], version[24], lattice_A[PN_NUMBER_TEXT_MAX], time_ns[24];
	const char *const pairs[][2] = {
		{ "particle", particle },
		{ "version", version },
		{ "lattice_A", lattice_A },
		{ "time_ns", time_ns },
	};
	int rc = pn_model_create(model, head->atoms, err);

	snprintf(particle, sizeof particle, "%" PRIu64, head->particle);
	snprintf(version, sizeof version, "%" PRIu64, head->version);
	pn_number_write(lattice_A, head->lattice_A);
	snprintf(time_ns, sizeof time_ns, "%" PRId64, msg->time_ns);
	for (size_t i = 0; i < PN_COUNT(pairs) && !rc; i++)
		rc = pn_model_add_pair(*model, pairs[i][0], pairs[i][1], err);
	if (rc) {
		pn_model_destroy(*model);
		return rc;
	}
	(*model)->time_s = (double)msg->time_ns * 1e-9;
	for (uint64_t i = 0; i < head->atoms; i++) {
		double z = atoms[i][3];

		memcpy((*model)->position_A[i], atoms[i], sizeof(*model)->position_A[i]);
		(*model)->element[i] = z >= 1 && z <= PN_ELEMENT_Z_MAX ? (uint8_t)lround(z) : 0;
	}
	return PN_OK;
}

/* The same of atoms that were found, with what the tracing says of each. */
static int model_of_atoms(struct pn_model **model, const struct pn_atoms_head *head,
			  const struct pn_msg *msg, struct pn_error *err)
{
	static const char *const names[] = { "intensity", "confidence" };
	const double(*atoms)[PN_ATOM_NUMBERS] = msg->payload;
	char volume[24], images[24];
	int rc = pn_model_create(model, head->atoms, err);

	snprintf(volume, sizeof volume, "%" PRIu64, head->volume);
	snprintf(images, sizeof images, "%" PRIu64, head->images);
	if (!rc)
		rc = pn_model_add_pair(*model, "volume", volume, err);
	if (!rc)
		rc = pn_model_add_pair(*model, "images", images, err);
	for (size_t c = 0; c < PN_COUNT(names) && !rc; c++) {
		struct pn_model_column *column;

		rc = pn_model_add_column(*model, names[c], 'R', 1, &column, err);
		for (uint64_t i = 0; i < head->atoms && !rc; i++)
			column->values[i] = atoms[i][4 + c];
	}
	if (rc) {
		pn_model_destroy(*model);
		return rc;
	}
	(*model)->time_s = (double)msg->time_ns * 1e-9;
	for (uint64_t i = 0; i < head->atoms; i++) {
		memcpy((*model)->position_A[i], atoms[i], sizeof(*model)->position_A[i]);
		(*model)->element[i] = (uint8_t)lround(atoms[i][3]);
	}
	return PN_OK;
}

int pn_export_xyz(struct pn_export *export, struct pn_error *err)
{
	struct pn_msg msg;
	FILE *file;

	if (export->schema != &pn_specimen_schema && export->schema != &pn_atoms_schema)
		return pn_error_set(err, PN_EARG, "%s: messages of type %s hold no atoms",
				    export->stream, export->schema->type);
	int rc = pn_export_file(export, &file, err);
	if (rc)
		return rc;
	while (!(rc = pn_export_next(export, &msg, err))) {
		struct pn_model *model;

		rc = export->schema == &pn_atoms_schema
			     ? model_of_atoms(&model, &export->facts.head.atoms, &msg, err)
			     : model_of(&model, &export->facts.head.specimen, &msg, err);
		if (rc)
			break;
		rc = pn_xyz_put(file, model, err);
		pn_model_destroy(model);
		if (rc) {
			pn_error_wrap(err, "%s", export->out);
			break;
		}
	}
	return pn_export_close(export, file, rc, err);
}

/* ---- angles -------------------------------------------------------------------------------- */

/* As IMOD's .tlt: theta of each tilt on a line, in the order of the stack that is exported. */
int pn_export_tlt(struct pn_export *export, struct pn_error *err)
{
	uint64_t *latest, tilts;
	struct pn_msg msg;
	FILE *file;

	if (export->schema != &pn_tilts_schema)
		return pn_error_set(err, PN_EARG, "%s: messages of type %s are no tilts",
				    export->stream, export->schema->type);
	int rc = pn_export_latest(export, &latest, &tilts, err);

	if (!rc)
		rc = pn_export_file(export, &file, err);
	if (rc) {
		free(latest);
		return rc;
	}
	for (uint64_t t = 0; !rc && t < tilts; t++) {
		char text[PN_NUMBER_TEXT_MAX];

		if (!latest[t])
			continue;
		pn_log_read_seek(export->reader, latest[t] - 1);
		export->left = 1;
		rc = pn_export_next(export, &msg, err);
		if (!rc) {
			pn_number_write(text, export->facts.head.tilts.theta_deg);
			fprintf(file, "%s\n", text);
		}
	}
	free(latest);
	return pn_export_close(export, file, rc, err);
}
