/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fit.h"

#include "perrin/format/xyz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_flipped(const struct job *job, size_t atom)
{
	size_t from = fit_origin(job, atom);

	return from != NEW_ATOM && job->model.species[atom] != job->species_before[from];
}

/* What the tracing says of an atom; it says nothing of an added one. */
static void copy_cell(struct pn_model_column *to, size_t at, const struct pn_model_column *old,
		      size_t from)
{
	size_t n = (size_t)old->components;

	if (from != NEW_ATOM && old->values)
		memcpy(to->values + n * at, old->values + n * from, n * sizeof *to->values);
	else if (from != NEW_ATOM)
		memcpy(to->text + n * at, old->text + n * from, n * sizeof *to->text);
	for (size_t k = n * at; from == NEW_ATOM && old->values && k < n * (at + 1); k++)
		to->values[k] = 0;
	for (size_t k = n * at; from == NEW_ATOM && !old->values && k < n * (at + 1); k++)
		snprintf(to->text[k], sizeof to->text[k], "-");
}

/* Columns of the traced model for the atoms that are left, but those that are written anew. */
static int copy_columns(struct pn_model *out, const struct job *job, const size_t *from,
			struct pn_error *err)
{
	for (size_t c = 0; c < job->atoms->columns_count; c++) {
		const struct pn_model_column *old = &job->atoms->columns[c];
		struct pn_model_column *column;

		if (pn_model_find_column(out, old->name))
			continue;
		int rc = pn_model_add_column(out, old->name, old->type, old->components, &column,
					     err);

		if (rc)
			return rc;
		for (size_t i = 0; i < out->count; i++)
			copy_cell(column, i, old, fit_origin(job, from[i]));
	}
	return PN_OK;
}

/* Of a completed model: its brightness, and whether it is new. */
static int add_completion(struct pn_model *out, const struct job *job, const size_t *from,
			  struct pn_error *err)
{
	struct pn_model_column *column;
	int rc = pn_model_add_column(out, "amplitude", 'R', 1, &column, err);

	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = job->refined.amplitude[from[i]];
	if (!rc)
		rc = pn_model_add_column(out, "added", 'L', 1, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = fit_origin(job, from[i]) == NEW_ATOM;
	return rc;
}

static int add_columns(struct pn_model *out, const struct job *job, const size_t *from,
		       struct pn_error *err)
{
	struct pn_model_column *column;
	int rc = pn_model_add_column(out, "sigma_pm", 'R', 3, &column, err);

	for (size_t i = 0; !rc && i < out->count; i++)
		memcpy(column->values + 3 * i, job->sigma_pm[from[i]], sizeof *job->sigma_pm);
	if (!rc)
		rc = pn_model_add_column(out, "moved_pm", 'R', 1, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = fit_moved_pm(job, from[i]);
	if (!rc)
		rc = pn_model_add_column(out, "flipped", 'L', 1, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = is_flipped(job, from[i]);
	if (!rc && job->flags->complete)
		rc = add_completion(out, job, from, err);
	return rc;
}

int fit_write_atoms(const struct job *job, struct pn_error *err)
{
	size_t left = job->model.count - job->emptied, n = 0;
	size_t *from = malloc((left + 1) * sizeof *from);
	struct pn_model *out = NULL;
	int rc = from ? pn_model_create(&out, left, err)
		      : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", left);

	for (size_t i = 0; !rc && i < job->model.count; i++) {
		if (job->model.species[i] == PN_NO_ATOM)
			continue;
		memcpy(out->position_A[n], job->model.position_A[i], sizeof *out->position_A);
		out->element[n] = job->element[job->model.species[i]];
		from[n++] = i;
	}
	if (!rc)
		out->time_s = job->atoms->time_s;
	if (!rc)
		rc = add_columns(out, job, from, err);
	if (!rc)
		rc = copy_columns(out, job, from, err);
	if (!rc)
		rc = pn_xyz_write(job->flags->out, out, 1, err);
	pn_model_destroy(out);
	free(from);
	return rc;
}

/* What the format of angles has no column for stands in lines that it passes over. */
int fit_write_angles(const struct job *job, struct pn_error *err)
{
	const int x = job->flags->tilts.axis == PN_TILT_AXIS_X;
	char part[PN_PARAM_TEXT_MAX + 16];

	snprintf(part, sizeof part, "%s.part", job->flags->angles_out);
	FILE *file = fopen(part, "w");

	if (!file)
		return pn_error_errno(err, errno, "%s", part);
	fprintf(file, "# refined poses; the images lie moved by shift_px x y\n"
		      "phi_deg,theta_deg,psi_deg\n");
	for (size_t k = 0; k < job->tilts.projections.count; k++) {
		const double *shift = job->tilts.pose[k].shift_px;
		double phi, theta, psi;

		pn_pose_to_euler(&job->tilts.pose[k], &phi, &theta, &psi);
		fprintf(file, "# tilt %zu: shift_px %.4f %.4f\n%.7f,%.7f,%.7f\n", k, shift[x],
			shift[!x], phi, theta, psi);
	}
	int bad = ferror(file);

	if (fclose(file) || bad || rename(part, job->flags->angles_out)) {
		int rc = pn_error_errno(err, errno, "%s", job->flags->angles_out);

		unlink(part);
		return rc;
	}
	return PN_OK;
}
