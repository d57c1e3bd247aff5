/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/format/csv.h"

#include "perrin/base/number.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pn_csv {
	FILE *out;
	char *path;
	unsigned column_count;
	unsigned cell; /* cells of the present row */
	uint64_t row;  /* rows ended, the names included */
	int status;    /* first failure */
	int errnum;
};

static void note(struct pn_csv *csv, int failed)
{
	if (failed && csv->status == PN_OK) {
		csv->errnum = errno;
		csv->status = PN_EIO;
	}
}

static void begin_cell(struct pn_csv *csv)
{
	if (csv->cell++)
		note(csv, fputc(',', csv->out) == EOF);
}

void pn_csv_text(struct pn_csv *csv, const char *value)
{
	begin_cell(csv);
	if (!value)
		return;
	if (*value && !strpbrk(value, ",\"\r\n")) {
		note(csv, fputs(value, csv->out) == EOF);
		return;
	}
	note(csv, fputc('"', csv->out) == EOF);
	for (const char *p = value; *p; p++) {
		if (*p == '"')
			note(csv, fputc('"', csv->out) == EOF);
		note(csv, fputc(*p, csv->out) == EOF);
	}
	note(csv, fputc('"', csv->out) == EOF);
}

void pn_csv_u64(struct pn_csv *csv, uint64_t value)
{
	begin_cell(csv);
	note(csv, fprintf(csv->out, "%" PRIu64, value) < 0);
}

void pn_csv_i64(struct pn_csv *csv, int64_t value)
{
	begin_cell(csv);
	note(csv, fprintf(csv->out, "%" PRId64, value) < 0);
}

/* A sign of nan means nothing and must not show up in a table. */
static int put_special(struct pn_csv *csv, double value)
{
	if (isfinite(value))
		return 0;
	note(csv, fputs(isnan(value) ? "nan" : value > 0 ? "inf" : "-inf", csv->out) == EOF);
	return 1;
}

void pn_csv_f64(struct pn_csv *csv, double value)
{
	char text[PN_NUMBER_TEXT_MAX];

	begin_cell(csv);
	pn_number_write(text, value);
	note(csv, fputs(text, csv->out) == EOF);
}

void pn_csv_f32(struct pn_csv *csv, float value)
{
	char text[40];

	begin_cell(csv);
	if (put_special(csv, (double)value))
		return;
	for (int digits = fabsf(value) < FLT_MIN ? 1 : 6; digits <= 9; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, (double)value);
		if (strtof(text, NULL) == value)
			break;
	}
	note(csv, fputs(text, csv->out) == EOF);
}

void pn_csv_empty(struct pn_csv *csv)
{
	begin_cell(csv);
}

static int told(struct pn_csv *csv, struct pn_error *err)
{
	if (csv->status == PN_EARG)
		return pn_error_set(err, PN_EARG,
				    "%s: line %" PRIu64 " has %u cells, the table %u columns",
				    csv->path, csv->row + 1, csv->cell, csv->column_count);
	csv->status = pn_error_errno(err, csv->errnum ? csv->errnum : EIO, "%s: line %" PRIu64,
				     csv->path, csv->row + 1);
	return csv->status;
}

int pn_csv_end_row(struct pn_csv *csv, struct pn_error *err)
{
	if (csv->status == PN_OK && csv->cell != csv->column_count)
		csv->status = PN_EARG;
	if (csv->status == PN_OK)
		note(csv, fputc('\n', csv->out) == EOF);
	if (csv->status < 0)
		return told(csv, err);
	csv->cell = 0;
	csv->row++;
	return PN_OK;
}

int pn_csv_create(struct pn_csv **out, const char *path, const char *const *names,
		  unsigned column_count, struct pn_error *err)
{
	struct pn_csv *csv;
	int status;

	*out = NULL;
	if (!column_count)
		return pn_error_set(err, PN_EARG, "%s: a table without columns", path);
	csv = calloc(1, sizeof *csv);
	if (!csv || !(csv->path = strdup(path))) {
		free(csv);
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	}
	csv->column_count = column_count;
	/* opening /dev/stdout by name would cut off what a file holds that it is appended to */
	csv->out = strcmp(path, "-") ? fopen(path, "we") : fdopen(dup(STDOUT_FILENO), "w");
	if (!csv->out) {
		status = pn_error_errno(err, errno, "%s", path);
		pn_csv_abandon(csv);
		return status;
	}
	for (unsigned i = 0; i < column_count; i++)
		pn_csv_text(csv, names[i]);
	status = pn_csv_end_row(csv, err);
	if (status < 0) {
		pn_csv_abandon(csv);
		return status;
	}
	*out = csv;
	return PN_OK;
}

int pn_csv_finish(struct pn_csv *csv, struct pn_error *err)
{
	int status = PN_OK;

	if (csv->status == PN_OK && csv->cell)
		csv->status = PN_EARG;
	note(csv, fflush(csv->out) == EOF);
	/* a pipe or a device has nothing to sync and says so by EINVAL */
	note(csv, fsync(fileno(csv->out)) < 0 && errno != EINVAL);
	FILE *file = csv->out;
	csv->out = NULL;
	note(csv, fclose(file) == EOF);
	if (csv->status < 0)
		status = told(csv, err);
	pn_csv_abandon(csv);
	return status;
}

void pn_csv_abandon(struct pn_csv *csv)
{
	if (!csv)
		return;
	if (csv->out)
		fclose(csv->out);
	free(csv->path);
	free(csv);
}
