/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/resire.h"

#include "grid.h"
#include "resire_parts.h"

#include <math.h>
#include <stdlib.h>

void pn_resire_defaults(struct pn_resire_options *options)
{
	*options = (struct pn_resire_options){
		.oversampling = 3, .step = 2, .iterations = 100, .record_every = 10
	};
}

static int check(const struct pn_box *box, const struct pn_projections *projections,
		 const struct pn_resire_options *o, struct pn_error *err)
{
	int rc = pn_projections_check(projections, err);

	if (rc)
		return rc;
	if (box->nz < 1 || box->ny < 1 || box->nx < 1)
		return pn_error_set(err, PN_EARG, "RESIRE: a volume of %zu x %zu x %zu voxels",
				    box->nz, box->ny, box->nx);
	if (!(o->oversampling >= 1 && o->oversampling <= 16))
		return pn_error_set(err, PN_EARG, "RESIRE: oversampling %g, must be 1..16",
				    o->oversampling);
	if (!(o->step > 0 && isfinite(o->step)))
		return pn_error_set(err, PN_EARG, "RESIRE: step %g, must be positive", o->step);
	if (o->iterations < 1 || o->record_every < 0)
		return pn_error_set(err, PN_EARG, "RESIRE: %d iterations, a record every %d",
				    o->iterations, o->record_every);
	for (size_t i = 0; o->initial && i < pn_box_voxels(box); i++)
		if (!isfinite(o->initial[i]))
			return pn_error_set(err, PN_EARG,
					    "RESIRE: voxel %zu of the volume to start from is %g",
					    i, (double)o->initial[i]);
	return PN_OK;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* A box seen from its side is as wide as it is deep: it must not reach its own copies. */
static int grid_of(struct pn_resire_job *job, int planes, double oversampling, struct pn_error *err)
{
	const struct pn_box *box = job->box;
	const struct pn_projections *p = job->projections;
	double z = oversampling * (double)box->nz,
	       y = oversampling * (double)larger(larger(box->ny, p->ny), planes ? 0 : box->nz),
	       x = oversampling * (double)larger(larger(box->nx, p->nx), box->nz);

	if (!(z <= 4096 && y <= 4096 && x <= 4096))
		return pn_error_set(err, PN_EARG,
				    "RESIRE: a grid of %.0f x %.0f x %.0f is over 4096", z, y, x);
	job->mz = pn_grid_length(z);
	job->my = pn_grid_length(y);
	job->mx = pn_grid_length(x);
	return PN_OK;
}

static int planes_will_do(const struct pn_box *box, const struct pn_projections *p)
{
	for (size_t k = 0; k < p->count; k++)
		if (p->pose[k].shift_px[1] != 0)
			return 0;
	return box->ny == p->ny && pn_poses_single_axis(p->pose, p->count);
}

/* sums of |b_k| and b_k^2; none is 0, as was checked */
static void norms(const struct pn_projections *p, double *sum1, double *sum2)
{
	size_t pixels = p->ny * p->nx;

	for (size_t k = 0; k < p->count; k++) {
		sum1[k] = sum2[k] = 0;
		for (size_t i = 0; i < pixels; i++) {
			double b = p->image[k * pixels + i];

			sum1[k] += fabs(b);
			sum2[k] += b * b;
		}
	}
}

/* @sums: [6][count]; returns 1 if progress asked to stop */
static int record(struct pn_rfactors *history, const struct pn_resire_options *o, int iteration,
		  double *sums)
{
	size_t n = history->count;
	double *r1 = sums + 4 * n, *r2 = sums + 5 * n;

	for (size_t k = 0; k < n; k++) {
		r1[k] = sums[k] / sums[2 * n + k];
		r2[k] = sqrt(sums[n + k] / sums[3 * n + k]);
	}
	double mean = pn_rfactors_add(history, iteration, r1, r2);
	return o->progress && o->progress(o->context, iteration, mean);
}

static void iterate(const struct pn_resire_engine *engine, void *self,
		    const struct pn_resire_options *o, float dt, struct pn_rfactors *history,
		    double *sums)
{
	for (int i = 1; i <= o->iterations; i++) {
		engine->project(self, sums, sums + history->count);
		if (o->record_every && i % o->record_every == 0 && record(history, o, i, sums))
			return;
		engine->update(self, dt);
		history->iterations = i;
	}
}

int pn_resire(float *volume, const struct pn_box *box, const struct pn_projections *projections,
	      const struct pn_resire_options *options, struct pn_rfactors *history,
	      struct pn_error *err)
{
	struct pn_resire_job job = { .box = box,
				     .projections = projections,
				     .initial = options->initial,
				     .support = options->support };
	struct pn_rfactors own = { 0 };
	size_t count = projections->count, depth;
	double *sums;
	void *self;
	int rc = check(box, projections, options, err);

	if (rc)
		return rc;
	int planes = planes_will_do(box, projections);
	rc = grid_of(&job, planes, options->oversampling, err);
	if (rc)
		return rc;
	const struct pn_resire_engine *engine = planes ? &pn_resire_planes : &pn_resire_slices;

	depth = larger(larger(box->nz, box->nx), planes ? 0 : box->ny);
	rc = pn_rfactors_init(
		&own,
		options->record_every ? (size_t)(options->iterations / options->record_every) : 0,
		count, err);
	if (rc)
		return rc;
	sums = malloc(6 * count * sizeof *sums);
	rc = sums ? engine->open(&self, &job, err)
		  : pn_error_set(err, PN_ENOMEM,
				 "RESIRE: no memory for the sums of %zu projections (%zu bytes)",
				 count, 6 * count * sizeof *sums);
	if (!rc) {
		norms(projections, sums + 2 * count, sums + 3 * count);
		iterate(engine, self, options,
			(float)(options->step / ((double)count * (double)depth)), &own, sums);
		engine->export(self, volume);
		engine->close(self);
	}
	free(sums);
	if (!rc && history)
		*history = own;
	else
		pn_rfactors_free(&own);
	return rc;
}
