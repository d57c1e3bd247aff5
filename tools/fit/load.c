/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fit.h"

#include <stdlib.h>
#include <string.h>

static int name_species(struct job *job, struct pn_error *err)
{
	uint8_t there[256] = { 0 };
	int of[256], kinds = 0;

	for (size_t i = 0; i < job->atoms->count; i++) {
		if (!job->atoms->element[i])
			return pn_error_set(err, PN_EARG, "%s: atom %zu is of no known element",
					    job->flags->atoms, i + 1);
		there[job->atoms->element[i]] = 1;
	}
	for (int z = 1; z < 256; z++) {
		if (there[z] && kinds == PN_MODEL_SPECIES_MAX)
			return pn_error_set(err, PN_EARG, "%s: more than %d elements",
					    job->flags->atoms, PN_MODEL_SPECIES_MAX);
		if (there[z]) {
			job->element[kinds] = (uint8_t)z;
			of[z] = kinds++;
		}
	}
	job->model.species_count = kinds;
	for (size_t i = 0; i < job->atoms->count; i++)
		job->model.species[i] = (uint8_t)of[job->atoms->element[i]];
	memcpy(job->species_before, job->model.species, job->model.count);
	return PN_OK;
}

static int make_room(struct job *job, struct pn_error *err)
{
	size_t atoms = job->atoms->count, tilts = job->tilts.projections.count;

	job->model.count = atoms;
	job->model.pixel_A = job->tilts.pixel_A;
	job->model.position_A = malloc(atoms * sizeof *job->model.position_A);
	job->model.species = malloc(atoms);
	job->species_before = malloc(atoms);
	job->sigma_pm = malloc(atoms * sizeof *job->sigma_pm);
	job->tilt = calloc(tilts, sizeof *job->tilt);
	job->r1_before = malloc(tilts * sizeof *job->r1_before);
	job->r1_after = malloc(tilts * sizeof *job->r1_after);
	if (!job->model.position_A || !job->model.species || !job->species_before ||
	    !job->sigma_pm || !job->tilt || !job->r1_before || !job->r1_after)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms in %zu tilts", atoms,
				    tilts);
	memcpy(job->model.position_A, job->atoms->position_A,
	       atoms * sizeof *job->model.position_A);
	for (size_t k = 0; k < tilts; k++)
		job->tilt[k].scale = 1;
	return PN_OK;
}

int fit_load(struct job *job, struct pn_error *err)
{
	int rc = pn_refine_flag_parse(job->flags->refine, &job->refine, err);

	if (!rc && job->flags->angles_out[0] && !job->refine)
		rc = pn_error_set(err, PN_EARG, "--angles-out: without --refine no pose changes");
	if (!rc)
		rc = pn_model_open(&job->atoms, &job->frames, job->flags->atoms, err);
	if (!rc && (job->frames != 1 || !job->atoms->count))
		rc = pn_error_set(err, PN_EARG,
				  "%s: %zu models, the first of %zu atoms; one is fitted, and has "
				  "some",
				  job->flags->atoms, job->frames, job->atoms->count);
	if (!rc)
		rc = pn_tilts_load(&job->tilts, &job->flags->tilts, err);
	if (!rc && !(job->tilts.pixel_A > 0))
		rc = pn_error_set(err, PN_EARG,
				  "%s does not say how large its pixels are: --pixel-A",
				  job->flags->tilts.tilts);
	if (!rc)
		rc = make_room(job, err);
	if (!rc)
		rc = name_species(job, err);
	if (!rc && job->flags->flip && !job->flags->flip_empty && job->model.species_count < 2)
		rc = pn_error_set(err, PN_EARG,
				  "%s: atoms of one element: nothing to flip but by --flip-empty",
				  job->flags->atoms);
	return rc;
}

void fit_free(struct job *job)
{
	if (!job->refined.position_A) {
		free(job->model.position_A);
		free(job->model.species);
		free(job->sigma_pm);
	}
	pn_model_refined_free(&job->refined);
	pn_tilts_free(&job->tilts);
	pn_models_free(job->atoms, job->frames);
	free(job->weight);
	free(job->species_before);
	free(job->tilt);
	free(job->r1_before);
	free(job->r1_after);
}
