/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/extended.h"

#include "extended_rays.h"
#include "perrin/math/fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UPHILL_MAX  3    /* iterations the objective may rise in a row before the step is cut */
#define GRAZING     1e-6 /* a ray this near to the plane of the film meets it nowhere */
#define VOXELS_AXIS 2048 /* beyond: a series that sees more than any memory holds */

/* Of one projection or one plane, then of all in their order. */
struct sums {
	double misfit, energy, held_misfit, held_energy, uphill, change, norm;
};

struct pn_extended {
	struct pn_extended_params params;
	struct pn_projections seen;
	struct pn_box field, box;
	size_t z0, y0, x0; /* where the field begins in the box */
	size_t pixels, voxels;
	struct pn_rays rays;
	float *weight, *image;                   /* [count][ny][nx] */
	float *coverage, *u, *last, *v, *uphill; /* [voxels]; uphill: the gradient */
	struct sums *of_tilt, *of_plane;
};

void pn_extended_defaults(struct pn_extended_params *params)
{
	*params =
		(struct pn_extended_params){ .width_max = 4, .margin_px = 2, .coverage_min = 0.02 };
	pn_fista_defaults(&params->solving);
	params->solving.patience = 5;
}

struct pn_box pn_extended_box(const struct pn_extended *e)
{
	return e->box;
}

const float *pn_extended_weights(const struct pn_extended *e)
{
	return e->weight;
}

/* ---- rays ----------------------------------------------------------------------------------- */

/*
 * How far from the origin the ray of an image's point (x, y), from the image's origin, is found
 * along the volume's X and Y while it passes through |Z| <= half a depth. 0: nowhere.
 */
static int ray_reach(double reach[2], const struct pn_pose *pose, double x, double y, double half_z)
{
	const double(*r)[3] = pose->rotation;
	double dx = x - pose->shift_px[0], dy = y - pose->shift_px[1], point[3];

	if (fabs(r[2][2]) < GRAZING)
		return 0;
	for (int a = 0; a < 3; a++)
		point[a] = r[0][a] * dx + r[1][a] * dy;
	for (int a = 0; a < 2; a++) {
		double low = point[a] + r[2][a] * (-half_z - point[2]) / r[2][2],
		       high = point[a] + r[2][a] * (half_z - point[2]) / r[2][2];

		reach[a] = fmax(fabs(low), fabs(high));
	}
	return 1;
}

static double depth_half(const struct pn_extended *e)
{
	return (double)(e->field.nz / 2);
}

/* The farthest that rays of the images' corners get. */
static void farthest(double reach[2], const struct pn_extended *e)
{
	const struct pn_projections *p = &e->seen;
	double left = -(double)(p->nx / 2), top = -(double)(p->ny / 2);

	reach[0] = reach[1] = 0.0;
	for (size_t k = 0; k < p->count; k++)
		for (int corner = 0; corner < 4; corner++) {
			double x = left + (corner & 1 ? (double)(p->nx - 1) : 0.0),
			       y = top + (corner & 2 ? (double)(p->ny - 1) : 0.0), far[2];

			if (!ray_reach(far, &p->pose[k], x, y, depth_half(e)))
				continue;
			reach[0] = fmax(reach[0], far[0]);
			reach[1] = fmax(reach[1], far[1]);
		}
}

/* Voxels along an axis: the field's at least, and even or odd as they are, to keep its origin. */
static size_t length_for(double reach, size_t field, const struct pn_extended *e)
{
	double most = e->params.width_max * (double)(field + e->field.nz),
	       want = 2.0 * (ceil(reach) + (double)e->params.margin_px) + 1.0;
	size_t n = (size_t)fmax(fmin(want, most), (double)field);

	return n + (n - field) % 2;
}

static int choose_box(struct pn_extended *e, struct pn_error *err)
{
	double reach[2];

	farthest(reach, e);
	e->box = (struct pn_box){ e->field.nz, length_for(reach[1], e->field.ny, e),
				  length_for(reach[0], e->field.nx, e) };
	if (e->box.nz > VOXELS_AXIS || e->box.ny > VOXELS_AXIS || e->box.nx > VOXELS_AXIS)
		return pn_error_set(err, PN_EARG,
				    "the tilts see a film of %zu x %zu x %zu voxels: at most %d",
				    e->box.nz, e->box.ny, e->box.nx, VOXELS_AXIS);
	e->z0 = 0;
	e->y0 = e->box.ny / 2 - e->field.ny / 2;
	e->x0 = e->box.nx / 2 - e->field.nx / 2;
	e->voxels = pn_box_voxels(&e->box);
	return PN_OK;
}

/* How much a pixel at @i of @n counts for its distance from the edges. */
static double rim_weight(size_t i, size_t n, double rim)
{
	double inside = (double)(i < n - 1 - i ? i : n - 1 - i) + 0.5;

	return inside < rim ? inside / rim : 1.0;
}

static int fill_weights(struct pn_extended *e, struct pn_error *err)
{
	const struct pn_projections *p = &e->seen;
	/* the last voxel but two: a ray is interpolated between four */
	double half_x = (double)((e->box.nx - 1) / 2) - 2.0,
	       half_y = (double)((e->box.ny - 1) / 2) - 2.0;
	size_t counted = 0;

	for (size_t k = 0, i = 0; k < p->count; k++)
		for (size_t y = 0; y < p->ny; y++)
			for (size_t x = 0; x < p->nx; x++, i++) {
				double far[2];
				int meets =
					ray_reach(far, &p->pose[k], (double)x - (double)(p->nx / 2),
						  (double)y - (double)(p->ny / 2), depth_half(e));

				e->weight[i] = 0.0f;
				if (!meets || far[0] > half_x || far[1] > half_y)
					continue;
				e->weight[i] = (float)(rim_weight(x, p->nx, e->params.rim_px) *
						       rim_weight(y, p->ny, e->params.rim_px));
				counted++;
			}
	if (!counted)
		return pn_error_set(err, PN_EARG,
				    "none of the rays of %zu tilts stays in %zu x %zu x %zu voxels",
				    p->count, e->box.nz, e->box.ny, e->box.nx);
	return PN_OK;
}

/* ---- plan ----------------------------------------------------------------------------------- */

void pn_extended_destroy(struct pn_extended *e)
{
	if (!e)
		return;
	float *arrays[] = { e->weight, e->image, e->coverage, e->u, e->last, e->v, e->uphill };

	for (size_t i = 0; i < PN_COUNT(arrays); i++)
		pn_fft_free(arrays[i]);
	free(e->of_tilt);
	free(e->of_plane);
	free(e);
}

static int check(const struct pn_box *field, const struct pn_projections *projections,
		 const struct pn_extended_params *p, struct pn_error *err)
{
	int rc = pn_projections_check(projections, err);

	if (rc)
		return rc;
	if (!field->nz || !field->ny || !field->nx)
		return pn_error_set(err, PN_EARG, "a film of %zu x %zu x %zu voxels", field->nz,
				    field->ny, field->nx);
	if (!(p->width_max >= 1 && p->width_max <= 64) || p->margin_px < 2 || p->margin_px > 64 ||
	    !(p->rim_px >= 0 && p->rim_px <= 4096) ||
	    !(p->coverage_min > 0 && p->coverage_min <= 1))
		return pn_error_set(err, PN_EARG,
				    "a box of %g widths, margin %zu px, rim %g px, coverage %g",
				    p->width_max, p->margin_px, p->rim_px, p->coverage_min);
	if (!(p->solving.step > 0) || p->solving.iterations_max < 1)
		return pn_error_set(err, PN_EARG, "step %g, %d iterations", p->solving.step,
				    p->solving.iterations_max);
	return PN_OK;
}

static int take_memory(struct pn_extended *e, struct pn_error *err)
{
	float **volumes[] = { &e->coverage, &e->u, &e->last, &e->v, &e->uphill };
	size_t images = e->seen.count * e->pixels * sizeof(float);
	int good;

	e->weight = pn_fft_alloc(images);
	e->image = pn_fft_alloc(images);
	e->of_tilt = calloc(e->seen.count, sizeof *e->of_tilt);
	e->of_plane = calloc(e->box.nz, sizeof *e->of_plane);
	good = e->weight && e->image && e->of_tilt && e->of_plane;
	for (size_t i = 0; good && i < PN_COUNT(volumes); i++) {
		*volumes[i] = pn_fft_alloc(e->voxels * sizeof(float));
		good = *volumes[i] != NULL;
	}
	if (!good)
		return pn_error_set(err, PN_ENOMEM, "a film of %zu x %zu x %zu needs %zu bytes",
				    e->box.nz, e->box.ny, e->box.nx,
				    PN_COUNT(volumes) * e->voxels * sizeof(float) + 2 * images);
	memset(e->u, 0, e->voxels * sizeof *e->u);
	return PN_OK;
}

int pn_extended_plan(struct pn_extended **extended, const struct pn_box *field,
		     const struct pn_projections *projections,
		     const struct pn_extended_params *params, struct pn_error *err)
{
	int rc = check(field, projections, params, err);

	*extended = NULL;
	if (rc)
		return rc;
	struct pn_extended *e = calloc(1, sizeof *e);

	if (!e)
		return pn_error_set(err, PN_ENOMEM, "no memory for a film");
	e->params = *params;
	e->seen = *projections;
	e->field = *field;
	e->pixels = projections->ny * projections->nx;
	rc = choose_box(e, err);
	if (!rc)
		rc = take_memory(e, err);
	if (!rc)
		rc = fill_weights(e, err);
	if (rc) {
		pn_extended_destroy(e);
		return rc;
	}
	e->rays = (struct pn_rays){ .box = e->box,
				    .pose = e->seen.pose,
				    .count = e->seen.count,
				    .ny = e->seen.ny,
				    .nx = e->seen.nx,
				    .weight = e->weight };
	*extended = e;
	return PN_OK;
}

/* ---- the operator --------------------------------------------------------------------------- */

void pn_extended_project(struct pn_extended *e, const float *volume, float *image)
{
	pn_rays_project(&e->rays, volume, image);
}

void pn_extended_backproject(struct pn_extended *e, const float *image, float *volume)
{
	pn_rays_backproject(&e->rays, image, volume);
}

/* A^T W^2 A 1 of the tilts that are solved for, none below its least. */
static int measure_coverage(struct pn_extended *e, const uint8_t *held_out, struct pn_error *err)
{
	float most = 0.0f;

	for (size_t i = 0; i < e->voxels; i++)
		e->v[i] = 1.0f;
	pn_extended_project(e, e->v, e->image);
	for (size_t k = 0; k < e->seen.count; k++)
		for (size_t i = k * e->pixels; i < (k + 1) * e->pixels; i++)
			e->image[i] *= held_out && held_out[k] ? 0.0f : e->weight[i];
	pn_extended_backproject(e, e->image, e->coverage);
	for (size_t i = 0; i < e->voxels; i++)
		most = e->coverage[i] > most ? e->coverage[i] : most;
	if (!(most > 0.0f))
		return pn_error_set(err, PN_EARG, "no tilt is left to solve for");
	float least = most * (float)e->params.coverage_min;

	for (size_t i = 0; i < e->voxels; i++)
		e->coverage[i] = e->coverage[i] > least ? e->coverage[i] : least;
	return PN_OK;
}

/* ---- one iteration -------------------------------------------------------------------------- */

/* What an iteration is told: v = u + momentum (u - last), steps of length / coverage. */
struct step {
	float momentum, length;
	const uint8_t *held_out;
};

/* The weighted residual into @image, 0 of tilts held out. */
static void weigh_residual(struct pn_extended *e, const uint8_t *held_out)
{
#pragma omp parallel for schedule(static)
	for (size_t k = 0; k < e->seen.count; k++) {
		const float *measured = e->seen.image + k * e->pixels,
			    *weight = e->weight + k * e->pixels;
		float *image = e->image + k * e->pixels;
		double misfit = 0.0, energy = 0.0;
		int held = held_out && held_out[k];

		for (size_t i = 0; i < e->pixels; i++) {
			float difference = image[i] - measured[i];

			misfit += (double)(weight[i] * difference * difference);
			energy += (double)(weight[i] * measured[i] * measured[i]);
			image[i] = held ? 0.0f : weight[i] * difference;
		}
		e->of_tilt[k] = held ? (struct sums){ .held_misfit = misfit, .held_energy = energy }
				     : (struct sums){ .misfit = misfit, .energy = energy };
	}
}

/* The row after next takes the place of the row before. */
static void step_row(struct pn_extended *e, size_t at, const uint8_t *support, float length,
		     struct sums *sums)
{
	const float *v = e->v + at, *gradient = e->uphill + at, *coverage = e->coverage + at,
		    *u = e->u + at;
	float *next = e->last + at, uphill = 0, change = 0, norm = 0;

#pragma omp simd reduction(+ : uphill, change, norm)
	for (size_t i = 0; i < e->box.nx; i++) {
		float moved = v[i] - length * gradient[i] / coverage[i];

		moved = moved > 0.0f ? moved : 0.0f;
		uphill += (v[i] - moved) * (moved - u[i]) * coverage[i];
		change += (moved - u[i]) * (moved - u[i]);
		norm += moved * moved;
		next[i] = moved;
	}
	for (size_t i = 0; support && i < e->field.nx; i++)
		if (!support[i])
			next[e->x0 + i] = 0.0f;
	sums->uphill += (double)uphill;
	sums->change += (double)change;
	sums->norm += (double)norm;
}

static void step_plane(struct pn_extended *e, size_t z, float length)
{
	const uint8_t *support = e->params.solving.support;

	e->of_plane[z] = (struct sums){ 0 };
	for (size_t y = 0; y < e->box.ny; y++) {
		int beside = y < e->y0 || y >= e->y0 + e->field.ny;

		step_row(e, (z * e->box.ny + y) * e->box.nx,
			 support && !beside ? support + (z * e->field.ny + y - e->y0) * e->field.nx
					    : NULL,
			 length, &e->of_plane[z]);
	}
}

static struct sums iterate(struct pn_extended *e, const struct step *step)
{
	struct sums all = { 0 };
	float *swap = e->u;

#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < e->voxels; i++)
		e->v[i] = e->u[i] + step->momentum * (e->u[i] - e->last[i]);
	pn_extended_project(e, e->v, e->image);
	weigh_residual(e, step->held_out);
	pn_extended_backproject(e, e->image, e->uphill);
#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < e->box.nz; z++)
		step_plane(e, z, step->length);
	e->u = e->last;
	e->last = swap;
	for (size_t k = 0; k < e->seen.count; k++) {
		all.misfit += e->of_tilt[k].misfit;
		all.energy += e->of_tilt[k].energy;
		all.held_misfit += e->of_tilt[k].held_misfit;
		all.held_energy += e->of_tilt[k].held_energy;
	}
	for (size_t z = 0; z < e->box.nz; z++) {
		all.uphill += e->of_plane[z].uphill;
		all.change += e->of_plane[z].change;
		all.norm += e->of_plane[z].norm;
	}
	return all;
}

/* ---- the solver ----------------------------------------------------------------------------- */

/* What the loop carries from one iteration to the next. */
struct course {
	double t, length, misfit;
	int uphill;
};

/* Momentum of the next step: FISTA's, from the start again after a step uphill. */
static double next_momentum(struct course *c, const struct sums *s)
{
	c->uphill = s->misfit > c->misfit ? c->uphill + 1 : 0;
	c->misfit = s->misfit;
	if (c->uphill >= UPHILL_MAX) {
		c->length *= 0.5;
		c->uphill = 0;
		c->t = 1.0;
		return 0.0;
	}
	if (s->uphill > 0)
		c->t = 1.0;
	double t = 0.5 * (1.0 + sqrt(1.0 + 4.0 * c->t * c->t)), momentum = (c->t - 1.0) / t;

	c->t = t;
	return momentum;
}

static double ratio(double misfit, double energy)
{
	return energy > 0 ? sqrt(misfit / energy) : NAN;
}

static int finished(const struct pn_fista_params *params, const struct sums *s,
		    struct pn_fista_result *r, double held_out)
{
	if (params->progress &&
	    params->progress(params->context, r->iterations, r->misfit, held_out))
		r->stop = PN_FISTA_ASKED;
	else if (!isnan(held_out) && params->patience > 0 &&
		 r->iterations - r->best >= params->patience)
		r->stop = PN_FISTA_HELD_OUT;
	else if (params->change_min > 0 &&
		 s->change < params->change_min * params->change_min * s->norm)
		r->stop = PN_FISTA_CHANGE;
	else
		return 0;
	return 1;
}

static void crop(const struct pn_extended *e, float *volume)
{
	for (size_t z = 0; z < e->field.nz; z++)
		for (size_t y = 0; y < e->field.ny; y++)
			memcpy(volume + (z * e->field.ny + y) * e->field.nx,
			       e->u + ((z + e->z0) * e->box.ny + y + e->y0) * e->box.nx + e->x0,
			       e->field.nx * sizeof *volume);
}

/* From nothing; the solution is left in @e->u. */
static int solve(struct pn_extended *e, const struct pn_fista_params *params,
		 const uint8_t *held_out, struct pn_fista_result *r, struct pn_error *err)
{
	struct course course = { .t = 1.0, .misfit = INFINITY, .length = params->step };
	double momentum = 0.0;
	int rc = measure_coverage(e, held_out, err);

	if (rc)
		return rc;
	*r = (struct pn_fista_result){ .held_out = NAN,
				       .stop = PN_FISTA_ITERATIONS,
				       .lipschitz = 1.0 };
	memset(e->u, 0, e->voxels * sizeof *e->u);
	memset(e->last, 0, e->voxels * sizeof *e->last);
	while (r->iterations < params->iterations_max) {
		struct step step = { (float)momentum, (float)course.length, held_out };
		struct sums sums = iterate(e, &step);
		double now = ratio(sums.held_misfit, sums.held_energy);

		r->misfit = ratio(sums.misfit, sums.energy);
		/* v of this iteration is what the last one made */
		if (!isnan(now) && !(now >= r->held_out)) {
			r->held_out = now;
			r->best = r->iterations;
		}
		r->iterations++;
		momentum = next_momentum(&course, &sums);
		if (finished(params, &sums, r, now))
			break;
	}
	if (isnan(r->held_out))
		r->best = r->iterations;
	return PN_OK;
}

int pn_extended_solve(struct pn_extended *e, const uint8_t *held_out, float *volume,
		      struct pn_fista_result *result, struct pn_error *err)
{
	int rc = solve(e, &e->params.solving, held_out, result, err);

	if (!rc)
		crop(e, volume);
	return rc;
}

int pn_extended_validated(struct pn_extended *e, const uint8_t *held_out, float *volume,
			  struct pn_fista_result *result, struct pn_error *err)
{
	struct pn_fista_params second = e->params.solving;
	struct pn_fista_result trial;
	int rc = solve(e, &second, held_out, &trial, err);

	if (rc)
		return rc;
	*result = trial;
	if (trial.stop != PN_FISTA_ASKED) {
		second.iterations_max = trial.best > 0 ? trial.best : 1;
		rc = solve(e, &second, NULL, result, err);
		if (rc)
			return rc;
		result->held_out = trial.held_out;
		result->best = trial.best;
		if (result->stop != PN_FISTA_ASKED)
			result->stop = trial.stop;
	}
	crop(e, volume);
	return PN_OK;
}

void pn_extended_rfactors(struct pn_extended *e, double *r1, double *r2)
{
	pn_extended_project(e, e->u, e->image);
	for (size_t k = 0; k < e->seen.count; k++) {
		double misfit[2] = { 0 }, norm[2] = { 0 };

		for (size_t i = k * e->pixels; i < (k + 1) * e->pixels; i++) {
			double measured = e->seen.image[i],
			       difference = (double)e->image[i] - measured;

			if (!(e->weight[i] > 0.0f))
				continue;
			misfit[0] += fabs(difference);
			norm[0] += fabs(measured);
			misfit[1] += difference * difference;
			norm[1] += measured * measured;
		}
		r1[k] = norm[0] > 0 ? misfit[0] / norm[0] : NAN;
		r2[k] = ratio(misfit[1], norm[1]);
	}
}
