/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/format/cif.h"

#include "model_priv.h"
#include "perrin/base/element.h"
#include "perrin/base/number.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

/* The cell that atoms are written in, and what takes a place to its fractions. */
struct cell {
	double vector_A[3][3];
	double origin_A[3];
	double inverse[3][3]; /* rows: (b x c)/V, (c x a)/V, (a x b)/V, 1/A */
};

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross(double c[3], const double a[3], const double b[3])
{
	c[0] = a[1] * b[2] - a[2] * b[1];
	c[1] = a[2] * b[0] - a[0] * b[2];
	c[2] = a[0] * b[1] - a[1] * b[0];
}

static double length(const double a[3])
{
	return hypot(hypot(a[0], a[1]), a[2]);
}

/* The arc cosine is blind near 0 and 180 degrees; this is not. */
static double angle_deg(const double a[3], const double b[3])
{
	double c[3];

	cross(c, a, b);
	return atan2(length(c), dot(a, b)) * 180 / M_PI;
}

/* ---- the cell ------------------------------------------------------------------------------ */

static int invert(struct cell *cell, const char *path, struct pn_error *err)
{
	const double(*v)[3] = cell->vector_A;
	double edges_A3 = length(v[0]) * length(v[1]) * length(v[2]);

	for (int i = 0; i < 3; i++)
		cross(cell->inverse[i], v[(i + 1) % 3], v[(i + 2) % 3]);
	double volume_A3 = dot(v[0], cell->inverse[0]);
	if (!isfinite(volume_A3) || fabs(volume_A3) <= 1e-12 * edges_A3)
		return pn_error_set(err, PN_EARG, "%s: the cell has a volume of %g A^3", path,
				    volume_A3);
	if (volume_A3 < 0)
		return pn_error_set(err, PN_EARG,
				    "%s: the cell is left-handed (%g A^3): its lengths and angles "
				    "would mirror the model",
				    path, volume_A3);
	for (int i = 0; i < 9; i++)
		cell->inverse[i / 3][i % 3] /= volume_A3;
	return PN_OK;
}

static int cell_of_model(struct cell *cell, const struct pn_model *model, const char *path,
			 struct pn_error *err)
{
	for (int i = 0; i < 9; i++) {
		cell->vector_A[i / 3][i % 3] = model->cell_A[i / 3][i % 3];
		if (!isfinite(model->cell_A[i / 3][i % 3]))
			return pn_error_set(err, PN_EARG, "%s: component %d of the cell is %g A",
					    path, i + 1, model->cell_A[i / 3][i % 3]);
	}
	return invert(cell, path, err);
}

static int cell_around(struct cell *cell, const struct pn_model *model, double margin_A,
		       const char *path, struct pn_error *err)
{
	if (!isfinite(margin_A) || margin_A < 0)
		return pn_error_set(err, PN_EARG, "%s: a margin of %g A", path, margin_A);
	for (int k = 0; k < 3; k++) {
		double low = model->position_A[0][k], high = low;

		for (size_t i = 1; i < model->count; i++) {
			low = fmin(low, model->position_A[i][k]);
			high = fmax(high, model->position_A[i][k]);
		}
		cell->origin_A[k] = low - margin_A;
		cell->vector_A[k][k] = high - low + 2 * margin_A;
		if (!(cell->vector_A[k][k] > 0))
			return pn_error_set(err, PN_EARG,
					    "%s: the atoms lie flat along %c and the margin is 0",
					    path, "xyz"[k]);
	}
	return invert(cell, path, err);
}

static int find_cell(struct cell *cell, const struct pn_model *model, double margin_A,
		     const char *path, struct pn_error *err)
{
	*cell = (struct cell){ 0 };
	if (!model->count)
		return pn_error_set(err, PN_EARG, "%s: a model without atoms", path);
	for (size_t i = 0; i < model->count; i++) {
		int status = model_check_atom(model, i, 1, path, err);

		if (status < 0)
			return status;
	}
	return model->has_cell ? cell_of_model(cell, model, path, err)
			       : cell_around(cell, model, margin_A, path, err);
}

/* ---- the file ------------------------------------------------------------------------------ */

static void put_number(FILE *out, const char *before, double value, const char *after)
{
	char text[PN_NUMBER_TEXT_MAX];

	pn_number_write(text, value);
	fputs_unlocked(before, out);
	fputs_unlocked(text, out);
	fputs_unlocked(after, out);
}

static void put_cell(FILE *out, const struct cell *cell)
{
	static const char *const lengths[] = { "_cell_length_a ", "_cell_length_b ",
					       "_cell_length_c " };
	static const char *const angles[] = { "_cell_angle_alpha ", "_cell_angle_beta ",
					      "_cell_angle_gamma " };
	const double(*v)[3] = cell->vector_A;

	fputs("data_perrin\n", out);
	for (int i = 0; i < 3; i++)
		put_number(out, lengths[i], length(v[i]), "\n");
	for (int i = 0; i < 3; i++)
		put_number(out, angles[i], angle_deg(v[(i + 1) % 3], v[(i + 2) % 3]), "\n");
	fputs("_space_group_name_H-M_alt 'P 1'\n_space_group_IT_number 1\n"
	      "loop_\n_space_group_symop_operation_xyz\n'x, y, z'\n"
	      "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
	      "_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n",
	      out);
}

static void put_atoms(FILE *out, const struct cell *cell, const struct pn_model *model)
{
	const struct pn_model_column *occupancy = pn_model_find_column(model, "occupancy");

	if (occupancy && (occupancy->type != 'R' || occupancy->components != 1))
		occupancy = NULL;
	for (size_t i = 0; i < model->count && !ferror_unlocked(out); i++) {
		const char *symbol = pn_element_symbol(model->element[i]);
		double place[3];

		for (int k = 0; k < 3; k++)
			place[k] = model->position_A[i][k] - cell->origin_A[k];
		fprintf(out, "%s%zu %s", symbol, i + 1, symbol);
		for (int k = 0; k < 3; k++)
			put_number(out, " ", dot(cell->inverse[k], place), "");
		if (!occupancy)
			fputs_unlocked(" 1\n", out);
		else if (!isfinite(occupancy->values[i]))
			fputs_unlocked(" ?\n", out);
		else
			put_number(out, " ", occupancy->values[i], "\n");
	}
}

int pn_cif_write(const char *path, const struct pn_model *model, double margin_A,
		 struct pn_error *err)
{
	struct model_part out;
	struct cell cell;
	int status = find_cell(&cell, model, margin_A, path, err);

	if (status == PN_OK)
		status = model_part_open(&out, path, err);
	if (status < 0)
		return status;
	errno = 0;
	put_cell(out.file, &cell);
	put_atoms(out.file, &cell, model);
	if (ferror(out.file)) {
		status = pn_error_errno(err, errno ? errno : EIO, "%s", path);
		model_part_abandon(&out);
		return status;
	}
	return model_part_finish(&out, err);
}
