/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/format/angles.h"

#include "model_priv.h"
#include "perrin/base/number.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (16 << 20) /* beyond is an image, not its angles */
#define DOUBLE_DEG     1e-3
#define SHOWN_MAX      40 /* characters of a wrong cell */

enum { PHI, THETA, PSI, ANGLES };

static const char *const names[ANGLES] = { "phi_deg", "theta_deg", "psi_deg" };

/** A row of the table, for comparing. */
struct row {
	double angle_deg[ANGLES];
	size_t line;
};

struct reading {
	const char *path;
	struct pn_error *err;
	struct model_cursor at;
	unsigned column_count;
	int column[ANGLES]; /* which angle it is */
	struct row *rows;
	size_t count, room;
};

#define wrong(r, fmt, ...)                                                                \
	pn_error_set((r)->err, PN_EFORMAT, "%s: line %zu: " fmt, (r)->path, (r)->at.line, \
		     ##__VA_ARGS__)

/* To the next line that says something; 0 at the end of the file. */
static int find_line(struct reading *r)
{
	for (; r->at.p < r->at.end; model_next_line(&r->at)) {
		r->at.p = model_skip_blanks(r->at.p);
		if (*r->at.p != '#' && !model_is_end(*r->at.p))
			return 1;
		r->at.p = model_line_end(r->at.p);
	}
	return 0;
}

/* A cell without the blanks around it; r->at.p moves to the comma or the end of the line. */
static int take_cell(struct reading *r, const char **cell)
{
	const char *end;

	*cell = r->at.p = model_skip_blanks(r->at.p);
	while (*r->at.p != ',' && !model_is_end(*r->at.p))
		r->at.p++;
	for (end = r->at.p; end > *cell && model_is_blank(end[-1]); end--)
		;
	return (int)(end - *cell);
}

/* One further cell on this line? Then the comma is passed. */
static int another(struct reading *r)
{
	if (*r->at.p != ',')
		return 0;
	r->at.p++;
	return 1;
}

static int read_names(struct reading *r)
{
	int seen[ANGLES] = { 0 };

	do {
		const char *cell;
		int length = take_cell(r, &cell), which = 0;

		while (which < ANGLES && ((size_t)length != strlen(names[which]) ||
					  memcmp(cell, names[which], (size_t)length) != 0))
			which++;
		if (which == ANGLES)
			return wrong(r,
				     "column \"%.*s\": known are phi_deg, theta_deg and psi_deg, "
				     "in degrees",
				     length < SHOWN_MAX ? length : SHOWN_MAX, cell);
		if (seen[which]++)
			return wrong(r, "column %s twice", names[which]);
		r->column[r->column_count++] = which;
	} while (another(r));
	if (!seen[THETA])
		return wrong(r, "no column theta_deg, the angle of the tilt");
	model_next_line(&r->at);
	return PN_OK;
}

static int read_angle(struct reading *r, double *value)
{
	const char *cell;
	int length = take_cell(r, &cell);
	const char *end = pn_number_read(cell, value);

	if (!length || end != cell + length)
		return wrong(r, "\"%.*s\" is not a number", length < SHOWN_MAX ? length : SHOWN_MAX,
			     cell);
	if (fabs(*value) > 360)
		return wrong(r, "%g degrees are more than a turn", *value);
	return PN_OK;
}

static int read_row(struct reading *r)
{
	if (r->count == r->room) {
		size_t room = r->room ? 2 * r->room : 128;
		struct row *more = realloc(r->rows, room * sizeof *more);

		if (!more)
			return pn_error_set(r->err, PN_ENOMEM, "%s: no memory", r->path);
		r->rows = more;
		r->room = room;
	}
	if (r->count == PN_ANGLES_MAX)
		return wrong(r, "more than %d angles", PN_ANGLES_MAX);
	struct row *row = &r->rows[r->count];
	*row = (struct row){ .line = r->at.line };
	for (unsigned i = 0; i < r->column_count; i++) {
		int status = read_angle(r, &row->angle_deg[r->column[i]]);

		if (status < 0)
			return status;
		int more = another(r);
		if (more != (i + 1 < r->column_count))
			return wrong(r, "%s than %u column%s", more ? "more" : "fewer",
				     r->column_count, r->column_count == 1 ? "" : "s");
	}
	r->count++;
	model_next_line(&r->at);
	return PN_OK;
}

static int read_rows(struct reading *r)
{
	int status = PN_OK;

	if (find_line(r) && (isalpha((unsigned char)*r->at.p) || *r->at.p == '"')) {
		status = read_names(r);
	} else {
		r->column_count = 1;
		r->column[0] = THETA;
	}
	while (status == PN_OK && find_line(r))
		status = read_row(r);
	if (status == PN_OK && !r->count)
		return pn_error_set(r->err, PN_EFORMAT, "%s: no angle", r->path);
	return status;
}

/* A series of degrees as small and as dense as this would show nothing of the third dimension. */
static int check_unit(const struct reading *r)
{
	double least = INFINITY, most = -INFINITY, largest;

	for (size_t i = 0; i < r->count; i++) {
		least = fmin(least, r->rows[i].angle_deg[THETA]);
		most = fmax(most, r->rows[i].angle_deg[THETA]);
	}
	largest = fmax(fabs(least), fabs(most));
	if (r->count <= 5 || largest > 3.15 || largest <= 0.3 ||
	    (most - least) / (double)(r->count - 1) >= 0.2)
		return PN_OK;
	return pn_error_set(r->err, PN_EFORMAT,
			    "%s: angles look like radians, largest %.3g; give degrees", r->path,
			    largest);
}

static int compare(const void *a, const void *b)
{
	const struct row *p = a, *q = b;
	double d = p->angle_deg[THETA] - q->angle_deg[THETA];

	return d != 0 ? (d > 0) - (d < 0) : (p->line > q->line) - (p->line < q->line);
}

static int is_double(const struct row *a, const struct row *b)
{
	for (int k = 0; k < ANGLES; k++)
		if (fabs(a->angle_deg[k] - b->angle_deg[k]) > DOUBLE_DEG)
			return 0;
	return 1;
}

/* The rows are sorted by theta here. */
static int check_doubles(const struct reading *r)
{
	for (size_t i = 0; i < r->count; i++)
		for (size_t j = i + 1; j < r->count; j++) {
			const struct row *a = &r->rows[i], *b = &r->rows[j];

			if (b->angle_deg[THETA] - a->angle_deg[THETA] > DOUBLE_DEG)
				break;
			if (is_double(a, b))
				return pn_error_set(
					r->err, PN_EFORMAT,
					"%s: lines %zu and %zu give the same angle, %g degrees",
					r->path, a->line < b->line ? a->line : b->line,
					a->line < b->line ? b->line : a->line, a->angle_deg[THETA]);
		}
	return PN_OK;
}

static int give(const struct reading *r, struct pn_angles *angles)
{
	int rises = 0, falls = 0;

	angles->angle_deg = malloc(r->count * sizeof *angles->angle_deg);
	if (!angles->angle_deg)
		return pn_error_set(r->err, PN_ENOMEM, "%s: no memory", r->path);
	angles->count = r->count;
	for (size_t i = 0; i < r->count; i++) {
		double theta = r->rows[i].angle_deg[THETA];
		double before = r->rows[i ? i - 1 : 0].angle_deg[THETA];

		memcpy(angles->angle_deg[i], r->rows[i].angle_deg, sizeof angles->angle_deg[i]);
		rises |= theta > before;
		falls |= theta < before;
	}
	angles->unsorted = rises && falls;
	return PN_OK;
}

static int check_size(const char *path, struct pn_error *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > FILE_BYTES_MAX)
		return pn_error_set(err, PN_EFORMAT, "%s: %lld bytes are no list of angles", path,
				    (long long)st.st_size);
	return PN_OK; /* what else is wrong shows when it is read */
}

int pn_angles_read(struct pn_angles *angles, const char *path, const struct pn_angles_rules *rules,
		   struct pn_error *err)
{
	static const struct pn_angles_rules none;
	struct reading r = { .path = path, .err = err };
	struct model_text text;
	int status = check_size(path, err);

	*angles = (struct pn_angles){ .count = 0 };
	rules = rules ? rules : &none;
	if (status == PN_OK)
		status = model_text_read(&text, path, err);
	if (status < 0)
		return status;
	model_cursor_init(&r.at, &text);
	status = read_rows(&r);
	if (status == PN_OK && rules->count && r.count != rules->count)
		status = pn_error_set(err, PN_EARG, "%s: %zu angles, %s has %zu images", path,
				      r.count, rules->stack ? rules->stack : "the series",
				      rules->count);
	if (status == PN_OK)
		status = check_unit(&r);
	if (status == PN_OK)
		status = give(&r, angles);
	if (status == PN_OK && !rules->doubles) {
		qsort(r.rows, r.count, sizeof *r.rows, compare);
		status = check_doubles(&r);
	}
	if (status < 0)
		pn_angles_free(angles);
	free(r.rows);
	model_text_free(&text);
	return status;
}

void pn_angles_free(struct pn_angles *angles)
{
	free(angles->angle_deg);
	*angles = (struct pn_angles){ .count = 0 };
}
