/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pn_model_fit_params fit_params(const struct job *job)
{
	const struct fit_flags *flags = job->flags;

	return (struct pn_model_fit_params){
		.noise = flags->noise ? PN_MODEL_POISSON : PN_MODEL_GAUSS,
		.shape = flags->profile == 0   ? PN_MODEL_SHAPE_FIXED
			 : flags->profile == 1 ? PN_MODEL_SHAPE_B
					       : PN_MODEL_SHAPE_PROFILE,
		.fit_scale = flags->fit_scale,
		.fit_offset = flags->fit_offset,
		.fit_shift = flags->fit_shift,
		.clamp_A = flags->clamp_A,
		.iterations_max = (int)flags->iterations,
		.weight = job->weight,
	};
}

/* One Gaussian becomes a core and what is around it. */
static void spread(struct pn_atom_spot *spot, int gaussians)
{
	static const double part[][PN_SPOT_GAUSSIANS_MAX] = { { 0.8, 0.2 },
							      { 0.6, 0.3, 0.1 },
							      { 0.4, 0.4, 0.15, 0.05 } };
	static const double width[][PN_SPOT_GAUSSIANS_MAX] = { { 0.8, 4 },
							       { 0.6, 1.5, 6 },
							       { 0.5, 1, 3, 10 } };
	const struct pn_atom_spot one = *spot;

	spot->gaussians = gaussians;
	for (int g = 0; g < gaussians; g++) {
		spot->intensity[g] = one.intensity[0] * part[gaussians - 2][g];
		spot->variance_A2[g] = one.variance_A2[0] * width[gaussians - 2][g];
	}
}

/* The arrays of the refinement take the place of those it was given. */
static int take_over(struct job *job, struct pn_error *err)
{
	struct pn_model_refined *r = &job->refined;
	size_t tilts = job->tilts.projections.count;

	free(job->model.position_A);
	free(job->model.species);
	free(job->sigma_pm);
	job->model.count = r->count;
	job->model.position_A = r->position_A;
	job->model.species = r->species;
	job->sigma_pm = r->sigma_pm;
	memcpy(job->tilts.pose, r->pose, tilts * sizeof *r->pose);
	job->weight = malloc(tilts * sizeof *job->weight);
	if (!job->weight)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu weights", tilts);
	for (size_t k = 0; k < tilts; k++)
		job->weight[k] = r->tilt[k].weight;
	return PN_OK;
}

int fit_refine(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t deep = p->nx > p->ny ? p->nx : p->ny;
	struct pn_model_refine_params params;

	for (int s = 0; job->flags->profile > 1 && s < job->model.species_count; s++)
		spread(&job->model.spot[s], (int)job->flags->profile);
	if (!job->refine && !job->flags->complete)
		return PN_OK;
	pn_model_refine_defaults(&params);
	params.fit = fit_params(job);
	params.angles = (job->refine & PN_REFINE_ANGLES) != 0;
	params.shifts = (job->refine & PN_REFINE_SHIFTS) != 0;
	params.complete = job->flags->complete;
	params.completion.z_min = job->flags->complete_z;
	params.completion.distance_min_A = job->flags->distance_min_A;
	params.box = (struct pn_box){ deep, p->ny, p->nx };
	params.rounds_max = (int)job->flags->refine_rounds;
	int rc = pn_model_refine(&job->refined, &job->model, p, job->tilt, &params, err);

	return rc ? pn_error_wrap(err, "%s", job->flags->tilts.tilts) : take_over(job, err);
}

size_t fit_origin(const struct job *job, size_t atom)
{
	return job->refined.from ? job->refined.from[atom] : atom;
}

double fit_moved_pm(const struct job *job, size_t atom)
{
	size_t from = fit_origin(job, atom);
	double sum = 0;

	if (from == NEW_ATOM)
		return (double)NAN;
	for (int k = 0; k < 3; k++)
		sum += pow(job->model.position_A[atom][k] - job->atoms->position_A[from][k], 2);
	return 100 * sqrt(sum);
}

double fit_moved_rms_pm(const struct job *job)
{
	double sum = 0;
	size_t count = 0;

	for (size_t i = 0; i < job->model.count; i++) {
		if (job->model.species[i] == PN_NO_ATOM || fit_origin(job, i) == NEW_ATOM)
			continue;
		sum += pow(fit_moved_pm(job, i), 2);
		count++;
	}
	return sqrt(sum / (double)count);
}
