/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xyz_write.c - write extended XYZ. */
#include "perrin/format/xyz.h"

#include "model_priv.h"
#include "perrin/base/element.h"
#include "perrin/base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pn_xyz_writer {
	struct model_part out;
	uint64_t frames;
	int failed;
};

/* ---- checks -------------------------------------------------------------------------------- */

static int check_columns(const struct pn_model *model, struct pn_error *err)
{
	for (size_t i = 0; i < model->columns_count; i++) {
		const char *name = model->columns[i].name;

		/* what other programs' files hold may pass, if it reads back */
		if (!*name || strpbrk(name, ": \t\v\f\r\n\"'[]{}=\\"))
			return pn_error_set(err, PN_EARG, "xyz: column \"%s\" is no name", name);
		if (strcmp(name, "pos") == 0 || strcmp(name, "species") == 0)
			return pn_error_set(err, PN_EARG, "xyz: column %s is there already", name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(name, model->columns[j].name) == 0)
				return pn_error_set(err, PN_EARG, "xyz: two columns are named %s",
						    name);
	}
	return PN_OK;
}

static int check_header(const struct pn_model *model, struct pn_error *err)
{
	if (isinf(model->time_s))
		return pn_error_set(err, PN_EARG, "xyz: time %g s", model->time_s);
	for (int i = 0; i < 9 && model->has_cell; i++)
		if (!isfinite(model->cell_A[i / 3][i % 3]))
			return pn_error_set(err, PN_EARG, "xyz: component %d of the cell is %g A",
					    i + 1, model->cell_A[i / 3][i % 3]);
	if ((model->comment && strpbrk(model->comment, "\r\n")) ||
	    (model->pairs && strpbrk(model->pairs, "\r\n")))
		return pn_error_set(err, PN_EARG, "xyz: a line break in the comment or the pairs");
	return check_columns(model, err);
}

static int bad_value(const struct pn_model_column *column, size_t i, struct pn_error *err)
{
	size_t atom = i / (size_t)column->components + 1;

	if (column->type == 'S')
		return pn_error_set(err, PN_EARG,
				    "xyz: column %s, atom %zu: \"%.31s\" is empty or has blanks",
				    column->name, atom, column->text[i]);
	return pn_error_set(err, PN_EARG, "xyz: column %s, atom %zu: %g is no value of type %c",
			    column->name, atom, column->values[i], column->type);
}

/* ---- the lines ----------------------------------------------------------------------------- */

static void put_number(FILE *out, double value)
{
	char text[PN_NUMBER_TEXT_MAX];

	fwrite_unlocked(text, 1, pn_number_write(text, value), out);
}

static int put_header(FILE *out, const struct pn_model *model, struct pn_error *err)
{
	char *comment = model->comment ? model_quoted(model->comment) : NULL;

	if (model->comment && !comment)
		return pn_error_set(err, PN_ENOMEM, "xyz: no memory for the comment");
	fprintf(out, "%zu\nProperties=species:S:1:pos:R:3", model->count);
	for (size_t i = 0; i < model->columns_count; i++)
		fprintf(out, ":%s:%c:%d", model->columns[i].name, model->columns[i].type,
			model->columns[i].components);
	if (model->has_cell) {
		fputs(" Lattice=\"", out);
		for (int i = 0; i < 9; i++) {
			if (i)
				fputc(' ', out);
			put_number(out, model->cell_A[i / 3][i % 3]);
		}
		fputc('"', out);
	}
	fprintf(out, " pbc=\"%c %c %c\"", "FT"[!!model->periodic[0]], "FT"[!!model->periodic[1]],
		"FT"[!!model->periodic[2]]);
	if (!isnan(model->time_s)) {
		fputs(" Time=", out);
		put_number(out, model->time_s);
	}
	if (comment)
		fprintf(out, " comment=%s", comment);
	if (model->pairs)
		fprintf(out, " %s", model->pairs);
	fputc('\n', out);
	free(comment);
	return PN_OK;
}

/* 0 if the value is none of its type. */
static int put_value(FILE *out, const struct pn_model_column *column, size_t i)
{
	double value = column->values ? column->values[i] : 0;

	putc_unlocked(' ', out);
	switch (column->type) {
	case 'R':
		put_number(out, value);
		return 1;
	case 'I':
		if (!(fabs(value) <= MODEL_INTEGER_MAX) || value != nearbyint(value))
			return 0;
		fprintf(out, "%" PRId64, (int64_t)value);
		return 1;
	case 'L':
		putc_unlocked(value != 0 ? 'T' : 'F', out);
		return value == 0 || value == 1;
	default: {
		const char *text = column->text[i];
		size_t n = strnlen(text, PN_MODEL_TEXT_MAX);

		fwrite_unlocked(text, 1, n, out);
		return n && n < PN_MODEL_TEXT_MAX && !strpbrk(text, " \t\v\f\r\n");
	}
	}
}

static int put_atom(FILE *out, const struct pn_model *model, size_t i, struct pn_error *err)
{
	int status = model_check_atom(model, i, 0, "xyz", err);

	if (status < 0)
		return status;
	const char *symbol = pn_element_symbol(model->element[i]);
	fputs_unlocked(symbol ? symbol : "X", out);
	for (int k = 0; k < 3; k++) {
		putc_unlocked(' ', out);
		put_number(out, model->position_A[i][k]);
	}
	for (size_t c = 0; c < model->columns_count; c++) {
		const struct pn_model_column *column = &model->columns[c];

		for (int k = 0; k < column->components; k++) {
			size_t at = i * (size_t)column->components + (size_t)k;

			if (!put_value(out, column, at))
				return bad_value(column, at, err);
		}
	}
	putc_unlocked('\n', out);
	return PN_OK;
}

int pn_xyz_put(FILE *out, const struct pn_model *model, struct pn_error *err)
{
	int status = check_header(model, err);

	if (status == PN_OK) {
		errno = 0;
		status = put_header(out, model, err);
	}
	for (size_t i = 0; i < model->count && status == PN_OK && !ferror_unlocked(out); i++)
		status = put_atom(out, model, i, err);
	if (status == PN_OK && ferror(out))
		status = pn_error_errno(err, errno ? errno : EIO, "xyz: a frame of %zu atoms",
					model->count);
	return status;
}

/* ---- files --------------------------------------------------------------------------------- */

int pn_xyz_create(struct pn_xyz_writer **out, const char *path, struct pn_error *err)
{
	struct pn_xyz_writer *writer = calloc(1, sizeof *writer);

	*out = NULL;
	if (!writer)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	int status = model_part_open(&writer->out, path, err);
	if (status < 0) {
		free(writer);
		return status;
	}
	*out = writer;
	return PN_OK;
}

int pn_xyz_append(struct pn_xyz_writer *writer, const struct pn_model *model, struct pn_error *err)
{
	if (writer->failed)
		return pn_error_set(err, PN_EIO, "%s: an earlier frame failed", writer->out.path);
	int status = pn_xyz_put(writer->out.file, model, err);
	if (status < 0) {
		writer->failed = 1;
		if (err)
			pn_error_wrap(err, "%s: frame %" PRIu64, writer->out.path,
				      writer->frames + 1);
		return status;
	}
	writer->frames++;
	return PN_OK;
}

int pn_xyz_finish(struct pn_xyz_writer *writer, struct pn_error *err)
{
	int status;

	if (writer->failed)
		status = pn_error_set(err, PN_EIO, "%s: a frame failed, removed", writer->out.path);
	else if (!writer->frames)
		status = pn_error_set(err, PN_EARG, "%s: no frame was written", writer->out.path);
	else
		status = model_part_finish(&writer->out, err);
	pn_xyz_abandon(writer);
	return status;
}

void pn_xyz_abandon(struct pn_xyz_writer *writer)
{
	if (!writer)
		return;
	model_part_abandon(&writer->out);
	free(writer);
}

int pn_xyz_write(const char *path, const struct pn_model *models, size_t frames,
		 struct pn_error *err)
{
	struct pn_xyz_writer *writer;
	int status = pn_xyz_create(&writer, path, err);

	if (status < 0)
		return status;
	for (size_t i = 0; i < frames && status == PN_OK; i++)
		status = pn_xyz_append(writer, &models[i], err);
	if (status == PN_OK)
		return pn_xyz_finish(writer, err);
	pn_xyz_abandon(writer);
	return status;
}
