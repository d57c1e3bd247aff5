/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/model_refine.h"

#include "perrin/math/linear.h"
#include "perrin/tomo/rfactor.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXTS_MAX 256
#define WEIGHT_MOST  4.0 /* of the median weight */
#define GAUGE_STEPS  200
#define GAUGE_RAD    1e-7
#define LEASH        0.25 /* of the least distance of new atoms */
#define DEPTH_RIDGE  1e-9

/* Everything of one refinement. */
struct work {
	const struct pn_model_refine_params *params;
	const struct pn_projections *given;
	struct pn_projections now; /* the images given, under the poses of the result */
	struct pn_linear_model model;
	struct pn_model_tilt *tilt;
	struct pn_model_refined *out;
	size_t pixels;
	float *clean, *drawn; /* [tilts][ny][nx] images less offset and scale; of the model */
	double *weight, *sorted;
	int weighed; /* 1: there are weights */
	struct pn_pose *before, *reference;
	double (*anchor_A)[3]; /* [atoms] as given: the gauge keeps them there */
	int leashed;           /* until atoms that are missing have been added              */
	struct pn_refined *refined;
};

void pn_model_refine_defaults(struct pn_model_refine_params *params)
{
	memset(params, 0, sizeof *params);
	params->fit.shape = PN_MODEL_SHAPE_B;
	params->angles = params->shifts = params->weigh = 1;
	pn_complete_defaults(&params->completion);
	pn_params_default(pn_refine_param_table, &params->pose);
	params->pose.angle_range_deg = 0;
	params->pose.levels = 1;
	params->pose.blur_px = 0;
	params->tolerance_deg = 0.01;
	params->tolerance_px = 0.02;
	params->rounds_max = 8;
}

void pn_model_refined_free(struct pn_model_refined *r)
{
	free(r->position_A);
	free(r->species);
	free(r->amplitude);
	free(r->sigma_pm);
	free(r->from);
	free(r->pose);
	free(r->tilt);
	memset(r, 0, sizeof *r);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void release(struct work *w)
{
	free(w->clean);
	free(w->drawn);
	free(w->weight);
	free(w->sorted);
	free(w->before);
	free(w->reference);
	free(w->anchor_A);
	free(w->refined);
}

/* The result begins as what was given. */
static int prepare(struct work *w, struct pn_error *err)
{
	struct pn_model_refined *r = w->out;
	size_t atoms = w->model.count, tilts = w->given->count, all = tilts * w->pixels;

	r->position_A = malloc(atoms * sizeof *r->position_A);
	r->species = malloc(atoms);
	r->amplitude = malloc(atoms * sizeof *r->amplitude);
	r->sigma_pm = malloc(atoms * sizeof *r->sigma_pm);
	r->from = malloc(atoms * sizeof *r->from);
	r->pose = malloc(tilts * sizeof *r->pose);
	r->tilt = calloc(tilts, sizeof *r->tilt);
	w->clean = malloc(all * sizeof *w->clean);
	w->drawn = malloc(all * sizeof *w->drawn);
	w->weight = malloc(tilts * sizeof *w->weight);
	w->sorted = malloc(tilts * sizeof *w->sorted);
	w->before = malloc(tilts * sizeof *w->before);
	w->reference = malloc(tilts * sizeof *w->reference);
	w->refined = malloc(tilts * sizeof *w->refined);
	w->anchor_A = malloc(atoms * sizeof *w->anchor_A);
	if (!r->position_A || !r->species || !r->amplitude || !r->sigma_pm || !r->from ||
	    !r->pose || !r->tilt || !w->clean || !w->drawn || !w->weight || !w->sorted ||
	    !w->before || !w->reference || !w->refined || !w->anchor_A)
		return pn_error_set(err, PN_ENOMEM, "no memory to refine %zu poses with %zu atoms",
				    tilts, atoms);
	r->count = atoms;
	r->tilts = tilts;
	memcpy(r->position_A, w->model.position_A, atoms * sizeof *r->position_A);
	memcpy(w->anchor_A, w->model.position_A, atoms * sizeof *w->anchor_A);
	memcpy(r->species, w->model.species, atoms);
	memcpy(r->pose, w->given->pose, tilts * sizeof *r->pose);
	for (size_t i = 0; i < atoms; i++) {
		r->amplitude[i] = 1;
		r->from[i] = i;
	}
	for (size_t k = 0; k < tilts; k++)
		w->weight[k] = r->tilt[k].weight = 1;
	w->model.position_A = r->position_A;
	w->model.species = r->species;
	w->now = *w->given;
	w->now.pose = r->pose;
	return PN_OK;
}

/* ---- the fit, and what it leaves ----------------------------------------------------------- */

/* So far atoms may go without being where a new one could not stand. */
static double leash_A(const struct work *w)
{
	return LEASH * w->params->completion.distance_min_A;
}

static struct pn_model_fit_params fit_params(const struct work *w)
{
	struct pn_model_fit_params fit = w->params->fit;

	fit.fit_shift = fit.fit_shift || w->params->shifts;
	fit.weight = w->weighed ? w->weight : NULL;
	if (w->leashed)
		fit.clamp_A = fmin(fit.clamp_A > 0 ? fit.clamp_A : 1, leash_A(w));
	return fit;
}

/* Neighbors of a missing atom move into its place, a little in each round. */
static void pull_back(struct work *w)
{
	for (size_t i = 0; w->leashed && i < w->out->count; i++) {
		double *r = w->out->position_A[i], d[3], length = 0;

		for (int k = 0; k < 3; k++) {
			d[k] = r[k] - w->anchor_A[i][k];
			length += d[k] * d[k];
		}
		length = sqrt(length);
		for (int k = 0; k < 3 && length > leash_A(w); k++)
			r[k] = w->anchor_A[i][k] + d[k] * leash_A(w) / length;
	}
}

/* Shifts that were fitted belong to the poses: only there the others see them. */
static void fold_shifts(struct work *w)
{
	for (size_t k = 0; k < w->given->count; k++)
		for (int i = 0; i < 2; i++) {
			w->out->pose[k].shift_px[i] += w->tilt[k].shift_px[i];
			w->tilt[k].shift_px[i] = 0;
		}
}

/* R1 goes to the place @end of every tilt. */
static int look(struct work *w, int end, struct pn_error *err)
{
	size_t tilts = w->given->count;
	int rc = pn_linear_model_project(&w->model, w->out->pose, tilts, w->given->ny, w->given->nx,
					 w->drawn, err);

	for (size_t k = 0; !rc && k < tilts; k++) {
		const struct pn_model_tilt *t = &w->tilt[k];
		struct pn_model_refined_tilt *r = &w->out->tilt[k];
		double scale = t->scale > 0 ? t->scale : 1, sum = 0, r2;

		for (size_t i = k * w->pixels; i < (k + 1) * w->pixels; i++) {
			double image = ((double)w->given->image[i] - t->offset) / scale;
			double off = image - (double)w->drawn[i];

			w->clean[i] = (float)image;
			sum += off * off;
		}
		pn_rfactor(&r->r1[end], &r2, w->drawn + k * w->pixels, w->clean + k * w->pixels,
			   w->pixels);
		r->sigma = scale * sqrt(sum / (double)w->pixels);
		r->weight = w->weight[k];
	}
	return rc;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* 1 / variance: chi^2 is one per pixel then. */
static void weigh(struct work *w)
{
	size_t tilts = w->given->count;

	if (!w->params->weigh || w->params->fit.noise != PN_MODEL_GAUSS)
		return;
	for (size_t k = 0; k < tilts; k++)
		w->sorted[k] = pow(w->out->tilt[k].sigma, 2);
	qsort(w->sorted, tilts, sizeof *w->sorted, compare);
	double median = w->sorted[tilts / 2];

	w->weighed = median > 0;
	for (size_t k = 0; w->weighed && k < tilts; k++)
		w->weight[k] = 1 / fmax(pow(w->out->tilt[k].sigma, 2), median / WEIGHT_MOST);
}

static int fit(struct work *w, struct pn_error *err)
{
	const struct pn_model_fit_params params = fit_params(w);
	int rc = pn_model_fit(&w->model, &w->now, w->tilt, &params, w->out->sigma_pm, &w->out->fit,
			      err);

	fold_shifts(w);
	return rc;
}

/* ---- the poses ----------------------------------------------------------------------------- */

struct view {
	const struct pn_linear_model *model;
	size_t ny, nx;
};

static int draw(void *context, const struct pn_pose *pose, float *image, struct pn_error *err)
{
	const struct view *v = context;

	return pn_linear_model_project(v->model, pose, 1, v->ny, v->nx, image, err);
}

/* Angles alone still need the shift found beside them, or they would make up for it. */
static int refine_angles(struct work *w, struct pn_error *err)
{
	struct view view = { &w->model, w->given->ny, w->given->nx };
	void *context[CONTEXTS_MAX];
	int threads = omp_get_max_threads();
	const struct pn_projections clean = { .count = w->given->count,
					      .ny = w->given->ny,
					      .nx = w->given->nx,
					      .image = w->clean,
					      .pose = w->before };
	struct pn_refine_model against = {
		.ny = w->given->ny, .nx = w->given->nx, .project = draw, .context = context
	};

	if (!w->params->angles)
		return PN_OK;
	against.contexts = (size_t)(threads < CONTEXTS_MAX ? threads : CONTEXTS_MAX);
	for (size_t i = 0; i < against.contexts; i++)
		context[i] = &view;
	memcpy(w->before, w->out->pose, clean.count * sizeof *w->before);
	int rc = pn_refine_round(w->refined, w->out->pose, &clean, &against, &w->params->pose, err);

	for (size_t k = 0; !rc && !w->params->shifts && k < clean.count; k++)
		memcpy(w->out->pose[k].shift_px, w->before[k].shift_px,
		       sizeof w->before[k].shift_px);
	return rc;
}

/* c of r = G r' + c, in pixels, from what the gauge did to the shifts; what no shift shows stays 0.
 */
static void common_move(const struct work *w, double c[3])
{
	double normal[9] = { 0 }, right[3] = { 0 };

	for (size_t k = 0; k < w->given->count; k++)
		for (int a = 0; a < 2; a++) {
			const double *row = w->before[k].rotation[a];
			double move = w->out->pose[k].shift_px[a] - w->before[k].shift_px[a];

			for (int i = 0; i < 3; i++) {
				right[i] += row[i] * move;
				for (int j = 0; j < 3; j++)
					normal[3 * i + j] += row[i] * row[j];
			}
		}
	for (int i = 0; i < 3; i++)
		normal[4 * i] += DEPTH_RIDGE * (double)w->given->count;
	if (pn_solve_positive(c, normal, right, 3, NULL) != PN_OK)
		c[0] = c[1] = c[2] = 0;
}

/* About the beam, of all images alike: what is left of the poses after the gauge. */
static double image_rotation_rad(const struct work *w, const struct pn_pose *reference)
{
	double sum = 0;

	for (size_t k = 0; k < w->given->count; k++) {
		const double(*r)[3] = w->out->pose[k].rotation, (*q)[3] = reference[k].rotation;

		/* half the antisymmetric part of r q^T */
		for (int n = 0; n < 3; n++)
			sum += 0.5 * (r[1][n] * q[0][n] - r[0][n] * q[1][n]);
	}
	return sum / (double)w->given->count;
}

static void rotate_images(struct pn_pose *pose, size_t count, double angle_rad)
{
	double c = cos(angle_rad), s = sin(angle_rad);

	for (size_t k = 0; k < count; k++)
		for (int n = 0; n < 3; n++) {
			double *x = &pose[k].rotation[0][n], *y = &pose[k].rotation[1][n], old = *x;

			*x = c * old - s * *y;
			*y = s * old + c * *y;
		}
}

/* The frame of the poses given. That the tilt axis lies otherwise in the images than was said is a
 * rotation of the images: without it in the reference, half of it would turn the specimen. */
static int gauge(struct work *w, struct pn_error *err)
{
	size_t tilts = w->given->count;
	double left_rad = INFINITY;
	int rc = PN_OK;

	memcpy(w->reference, w->given->pose, tilts * sizeof *w->reference);
	for (int i = 0; !rc && i < GAUGE_STEPS && fabs(left_rad) > GAUGE_RAD; i++) {
		rc = pn_refine_gauge(w->out->pose, w->reference, tilts, PN_REFINE_ALL, err);
		left_rad = image_rotation_rad(w, w->reference);
		rotate_images(w->reference, tilts, left_rad);
	}
	return rc;
}

/* r' = G^T (r - c) */
static void turn_along(double (*position_A)[3], size_t count, const double g[3][3],
		       const double c[3], double pixel_A)
{
	for (size_t i = 0; i < count; i++) {
		double *r = position_A[i], from[3];

		for (int k = 0; k < 3; k++)
			from[k] = r[k] - c[k] * pixel_A;
		for (int k = 0; k < 3; k++)
			r[k] = g[0][k] * from[0] + g[1][k] * from[1] + g[2][k] * from[2];
	}
}

/* Out with the common rotation and translation; the model is turned and moved along. */
static int keep_frame(struct work *w, struct pn_error *err)
{
	size_t tilts = w->given->count;
	double g[3][3], c[3];

	memcpy(w->before, w->out->pose, tilts * sizeof *w->before);
	int rc = gauge(w, err);

	if (rc)
		return rc;
	common_move(w, c);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++) {
			g[i][j] = 0;
			for (int n = 0; n < 3; n++)
				g[i][j] += w->before[0].rotation[n][i] *
					   w->out->pose[0].rotation[n][j];
		}
	turn_along(w->out->position_A, w->out->count, g, c, w->model.pixel_A);
	pull_back(w);
	return PN_OK;
}

static void tell_moves(const struct work *w)
{
	for (size_t k = 0; k < w->given->count; k++) {
		struct pn_pose_difference d;

		pn_pose_compare(&d, &w->out->pose[k], &w->given->pose[k], 1);
		w->out->tilt[k].turned_deg = d.mean_deg;
		w->out->tilt[k].moved_px = d.mean_px;
	}
}

/* ---- rounds -------------------------------------------------------------------------------- */

static int moved_little(const struct work *w, const struct pn_pose *start)
{
	double turned2 = 0, moved2 = 0, tilts = (double)w->given->count;

	for (size_t k = 0; k < w->given->count; k++) {
		struct pn_pose_difference d;

		pn_pose_compare(&d, &w->out->pose[k], &start[k], 1);
		turned2 += d.mean_deg * d.mean_deg / tilts;
		moved2 += d.mean_px * d.mean_px / tilts;
	}
	return sqrt(turned2) <= w->params->tolerance_deg && sqrt(moved2) <= w->params->tolerance_px;
}

/* It ends with a fit under the poses found, so that positions and poses belong together. */
static int refine(struct work *w, struct pn_error *err)
{
	const int any = w->params->angles || w->params->shifts;
	struct pn_pose *start = malloc(w->given->count * sizeof *start);
	int rc = start ? PN_OK
		       : pn_error_set(err, PN_ENOMEM, "no memory for %zu poses", w->given->count);

	w->out->converged = !any;
	for (int round = 0; !rc && any && !w->out->converged && round < w->params->rounds_max;
	     round++) {
		memcpy(start, w->out->pose, w->given->count * sizeof *start);
		rc = fit(w, err);
		if (!rc)
			rc = look(w, w->out->rounds > 0, err);
		if (!rc)
			rc = refine_angles(w, err);
		if (!rc)
			rc = keep_frame(w, err);
		weigh(w);
		w->out->rounds++;
		w->out->converged = !rc && moved_little(w, start);
	}
	free(start);
	if (!rc)
		rc = fit(w, err);
	if (!rc && any)
		rc = keep_frame(w, err);
	if (!rc)
		rc = look(w, any, err);
	if (!rc && !any) {
		for (size_t k = 0; k < w->given->count; k++)
			w->out->tilt[k].r1[1] = w->out->tilt[k].r1[0];
		weigh(w);
	}
	return rc;
}

/* From where atoms were given, so that none has moved into a gap yet. The completed model takes
 * the place of the one before. */
static int complete(struct work *w, struct pn_error *err)
{
	struct pn_complete_params params = w->params->completion;
	struct pn_model_refined *r = w->out;
	struct pn_completed c;

	params.fit = fit_params(w);
	params.fit.fit_shift = 0; /* new atoms are looked for under the poses as they are */
	memcpy(r->position_A, w->anchor_A, r->count * sizeof *r->position_A);
	int rc = pn_complete_model(&c, &w->model, &w->now, w->tilt, &w->params->box, &params, err);

	if (rc)
		return rc;
	free(r->position_A);
	free(r->species);
	free(r->amplitude);
	free(r->sigma_pm);
	free(r->from);
	r->count = w->model.count = c.count;
	r->position_A = w->model.position_A = c.position_A;
	r->species = w->model.species = c.species;
	r->amplitude = c.amplitude;
	r->sigma_pm = c.sigma_pm;
	r->from = c.from;
	r->added = c.added;
	r->removed = c.removed;
	r->reassigned = c.reassigned;
	r->fit = c.fit;
	fold_shifts(w);
	w->leashed = 0;
	return PN_OK;
}

static int check(const struct pn_linear_model *model, const struct pn_projections *measured,
		 const struct pn_model_refine_params *p, struct pn_error *err)
{
	if (!(p->tolerance_deg > 0) || !(p->tolerance_px > 0) || p->rounds_max < 1)
		return pn_error_set(
			err, PN_EARG,
			"model refinement: tolerances %g deg, %g px, %d rounds: above 0",
			p->tolerance_deg, p->tolerance_px, p->rounds_max);
	if (p->fit.weight)
		return pn_error_set(err, PN_EARG,
				    "model refinement: weights are its own, not to be given");
	int rc = pn_projections_check(measured, err);

	return rc ? rc : pn_linear_model_check(model, err);
}

int pn_model_refine(struct pn_model_refined *refined, struct pn_linear_model *model,
		    const struct pn_projections *measured, struct pn_model_tilt *tilt,
		    const struct pn_model_refine_params *params, struct pn_error *err)
{
	struct work w = { .params = params,
			  .given = measured,
			  .model = *model,
			  .tilt = tilt,
			  .out = refined,
			  .leashed = params->complete,
			  .pixels = measured->ny * measured->nx };

	memset(refined, 0, sizeof *refined);
	int rc = check(model, measured, params, err);

	if (!rc)
		rc = prepare(&w, err);
	if (!rc)
		rc = refine(&w, err);
	if (!rc && params->complete) {
		rc = complete(&w, err);
		if (!rc)
			rc = refine(&w, err);
	}
	if (!rc) {
		tell_moves(&w);
		memcpy(model->spot, w.model.spot, sizeof model->spot);
	}
	release(&w);
	if (rc)
		pn_model_refined_free(refined);
	return rc;
}
