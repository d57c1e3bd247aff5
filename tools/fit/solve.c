/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fit.h"

#include "perrin/tomo/flip.h"
#include "perrin/tomo/rfactor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t image_bytes(const struct pn_projections *p)
{
	return p->count * p->ny * p->nx * sizeof(float);
}

/* ---- the images as the bare model would have them -------------------------------------------- */

/* Offset and scale taken out, shifts in the poses; caller frees image and pose. */
static int undo_tilts(const struct job *job, struct pn_projections *clean, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t pixels = p->ny * p->nx;
	float *image = malloc(image_bytes(p));
	struct pn_pose *pose = malloc(p->count * sizeof *pose);

	if (!image || !pose) {
		free(image);
		free(pose);
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu images", p->count);
	}
	for (size_t k = 0; k < p->count; k++) {
		const struct pn_model_tilt *t = &job->tilt[k];
		double scale = t->scale > 0 ? t->scale : 1;

		pose[k] = p->pose[k];
		pose[k].shift_px[0] += t->shift_px[0];
		pose[k].shift_px[1] += t->shift_px[1];
		for (size_t i = k * pixels; i < (k + 1) * pixels; i++)
			image[i] = (float)(((double)p->image[i] - t->offset) / scale);
	}
	*clean = *p;
	clean->image = image;
	clean->pose = pose;
	return PN_OK;
}

int fit_judge(const struct job *job, double *r1, double *mean, struct pn_error *err)
{
	struct pn_projections clean;
	int rc = undo_tilts(job, &clean, err);

	if (rc)
		return rc;
	size_t pixels = clean.ny * clean.nx;
	float *drawn = malloc(image_bytes(&clean));

	rc = drawn ? pn_linear_model_project(&job->model, clean.pose, clean.count, clean.ny,
					     clean.nx, drawn, err)
		   : pn_error_set(err, PN_ENOMEM, "no memory for %zu images", clean.count);
	*mean = 0;
	for (size_t k = 0; !rc && k < clean.count; k++) {
		double r2;

		pn_rfactor(&r1[k], &r2, drawn + k * pixels, clean.image + k * pixels, pixels);
		*mean += r1[k] / (double)clean.count;
	}
	free(drawn);
	free((void *)clean.image);
	free((void *)clean.pose);
	return rc;
}

/* ---- fitting and flipping -------------------------------------------------------------------- */

static int fit(struct job *job, struct pn_error *err)
{
	const struct pn_model_fit_params fitting = fit_params(job);
	int rc = pn_model_fit(&job->model, &job->tilts.projections, job->tilt, &fitting,
			      job->sigma_pm, &job->result, err);

	return rc ? pn_error_wrap(err, "%s", job->flags->tilts.tilts) : PN_OK;
}

/* Indices of the atoms to be asked about; those of no confidence column are all. */
static size_t list_doubtful(const struct job *job, size_t *list)
{
	static const char *const names[] = { "confidence", "species_confidence" };
	size_t count = 0;

	for (size_t i = 0; i < job->model.count; i++) {
		double least = INFINITY;
		size_t from = fit_origin(job, i);

		for (size_t c = 0; from != NEW_ATOM && c < PN_COUNT(names); c++) {
			const struct pn_model_column *column =
				pn_model_find_column(job->atoms, names[c]);

			if (column && column->type == 'R' && column->components == 1)
				least = fmin(least, column->values[from]);
		}
		if (!isfinite(least) || least <= job->flags->doubt)
			list[count++] = i;
	}
	return count;
}

static int flip(struct job *job, const size_t *list, size_t *changed, struct pn_error *err)
{
	const struct pn_flip_params flipping = { .no_atom = job->flags->flip_empty, .seed = 1 };
	struct pn_flip_result result = { 0 };
	struct pn_projections clean;
	int rc = undo_tilts(job, &clean, err);

	if (rc)
		return rc;
	rc = pn_flip(&job->model, list, job->doubtful, &clean, &flipping, &result, err);
	*changed = result.changed;
	free((void *)clean.image);
	free((void *)clean.pose);
	return rc;
}

int fit_solve(struct job *job, struct pn_error *err)
{
	size_t *list = malloc(job->model.count * sizeof *list), changed = 1;
	int rc = list ? PN_OK
		      : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", job->model.count);

	if (!rc)
		rc = fit(job, err);

	if (!rc && (job->flags->flip || job->flags->flip_empty))
		job->doubtful = list_doubtful(job, list);
	while (!rc && job->doubtful && changed && job->flip_rounds < job->flags->flip_rounds) {
		rc = flip(job, list, &changed, err);
		job->flip_rounds++;
		if (!rc && changed)
			rc = fit(job, err);
	}
	for (size_t i = 0; !rc && i < job->model.count; i++) {
		size_t from = fit_origin(job, i);

		job->flipped +=
			from != NEW_ATOM && job->model.species[i] != job->species_before[from];
		job->emptied += job->model.species[i] == PN_NO_ATOM;
	}
	free(list);
	return rc;
}
