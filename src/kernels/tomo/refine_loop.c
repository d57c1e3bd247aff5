/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/refine_loop.h"

#include "perrin/image/filter.h"
#include "perrin/tomo/slice.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define OVERSAMPLING   1.5
#define BYTES_OF_POINT 10.0 /* of a slicer's grid */
#define BLUR_LEAST     0.75 /* px; a stage of less is that of none */
#define STAGE_ROUNDS   4    /* of a blurred stage at most, which   */
#define STAGE_COARSE   5.0  /* ends by so much larger thresholds   */

void pn_refine_loop_defaults(struct pn_refine_loop_params *params)
{
	*params = (struct pn_refine_loop_params){ .angles = 1,
						  .shifts = 1,
						  .rounds_max = 12,
						  .blur_px = 3,
						  .turned_min_deg = 0.01,
						  .moved_min_px = 0.01,
						  .gain_min = 2e-3,
						  .memory_max = (size_t)2 << 30 };
	pn_params_default(pn_refine_param_table, &params->refine);
	params->refine.angle_range_deg = 0;
	params->refine.angle_max_deg = 2;
	params->refine.levels = 2;
	params->refine.blur_px = 1;
	pn_params_default(pn_particle_param_table, &params->particle);
	params->particle.border = 1;
	pn_params_default(pn_laplace_param_table, &params->laplace);
}

/* What lives as long as the loop. */
struct loop {
	const struct pn_refine_loop_params *params;
	const struct pn_refine_solver *solver;
	const struct pn_projections *measured;
	const struct pn_box *box;
	struct pn_refine_loop_result *result;
	struct pn_slicer **slicer; /* [slicers] */
	size_t slicers;
	float *volume;
	struct pn_refined *refined; /* [count]                                               */
	struct pn_pose *pose, *next, *best; /* [count] present ones, of the round, of the stage */
	float *image, *best_image; /* [count][ny][nx] without background; NULL: as measured */
	float *blurred;            /* [count][ny][nx], one image more for scratch; or NULL  */
	double blur_px;            /* of the stage                                          */
	double least;              /* misfit of the stage                                   */
	int best_round;
};

/* ---- memory -------------------------------------------------------------------------------- */

static void finish(struct loop *l)
{
	for (size_t i = 0; l->slicer && i < l->slicers; i++)
		pn_slicer_destroy(l->slicer[i]);
	free(l->slicer);
	free(l->volume);
	free(l->pose);
	free(l->next);
	free(l->best);
	free(l->refined);
	free(l->image);
	free(l->blurred);
}

static int prepare(struct loop *l, struct pn_error *err)
{
	const struct pn_projections *m = l->measured;
	size_t voxels = pn_box_voxels(l->box), pixels = m->ny * m->nx;
	double each = BYTES_OF_POINT * pow(OVERSAMPLING, 3) * (double)voxels;
	double fit = floor((double)l->params->memory_max / each);
	int rc = PN_OK;

	l->slicers = (size_t)fmin(fmax(fit, 1), omp_get_max_threads());
	l->slicers = l->slicers < m->count ? l->slicers : m->count;
	l->slicer = calloc(l->slicers, sizeof *l->slicer);
	l->volume = malloc(voxels * sizeof *l->volume);
	l->pose = malloc(m->count * sizeof *l->pose);
	l->next = malloc(m->count * sizeof *l->next);
	l->best = malloc(m->count * sizeof *l->best);
	l->refined = calloc(m->count, sizeof *l->refined);
	if (l->params->background)
		l->image = malloc(m->count * pixels * sizeof *l->image);
	if (l->params->blur_px > 0)
		l->blurred = malloc((m->count + 1) * pixels * sizeof *l->blurred);
	if (!l->slicer || !l->volume || !l->pose || !l->next || !l->best || !l->refined ||
	    (l->params->background && !l->image) || (l->params->blur_px > 0 && !l->blurred))
		return pn_error_set(err, PN_ENOMEM,
				    "refinement: no memory for %zu poses and %zu voxels", m->count,
				    voxels);
	for (size_t i = 0; !rc && i < l->slicers; i++)
		rc = pn_slicer_plan(&l->slicer[i], l->box, m->ny, m->nx, OVERSAMPLING, err);
	memcpy(l->pose, m->pose, m->count * sizeof *l->pose);
	if (l->image)
		memcpy(l->image, m->image, m->count * pixels * sizeof *l->image);
	return rc;
}

/* The present images, as the stage blurs them, with the present poses. */
static struct pn_projections present(const struct loop *l)
{
	struct pn_projections set = *l->measured;
	size_t pixels = set.ny * set.nx;

	set.pose = l->pose;
	if (l->image)
		set.image = l->image;
	if (l->blur_px > 0) {
		for (size_t k = 0; k < set.count; k++)
			pn_gauss_blur(l->blurred + k * pixels, set.image + k * pixels,
				      l->blurred + set.count * pixels, set.ny, set.nx, l->blur_px);
		set.image = l->blurred;
	}
	return set;
}

/* ---- one round ----------------------------------------------------------------------------- */

static int project(void *context, const struct pn_pose *pose, float *image, struct pn_error *err)
{
	(void)err;
	pn_slicer_project(context, pose, 1, image);
	return PN_OK;
}

static int solve(struct loop *l, double *misfit, struct pn_error *err)
{
	const struct pn_projections set = present(l);

	*misfit = NAN;
	memset(l->volume, 0, pn_box_voxels(l->box) * sizeof *l->volume);
	return l->solver->solve(l->solver->context, &set, l->volume, misfit, err);
}

/* What is not to be refined as it was given, to the bit. */
static int keep_to_what_is_asked(struct loop *l, struct pn_error *err)
{
	const struct pn_pose *given = l->measured->pose;
	size_t count = l->measured->count;

	for (size_t k = 0; k < count; k++) {
		if (!l->params->angles)
			memcpy(l->next[k].rotation, given[k].rotation, sizeof given[k].rotation);
		if (!l->params->shifts)
			memcpy(l->next[k].shift_px, given[k].shift_px, sizeof given[k].shift_px);
	}
	int rc = pn_refine_gauge(l->next, given, count, PN_REFINE_ALL, err);

	for (size_t k = 0; !rc && k < count; k++) {
		if (!l->params->angles)
			memcpy(l->next[k].rotation, given[k].rotation, sizeof given[k].rotation);
		if (!l->params->shifts)
			memcpy(l->next[k].shift_px, given[k].shift_px, sizeof given[k].shift_px);
	}
	return rc;
}

static int refine(struct loop *l, struct pn_refine_loop_round *round, struct pn_error *err)
{
	const struct pn_projections set = present(l);
	const struct pn_refine_model model = { .ny = set.ny,
					       .nx = set.nx,
					       .project = project,
					       .context = (void *const *)l->slicer,
					       .contexts = l->slicers };

	for (size_t i = 0; i < l->slicers; i++)
		pn_slicer_prepare(l->slicer[i], l->volume);
	int rc = pn_refine_round(l->refined, l->next, &set, &model, &l->params->refine, err);

	if (!rc)
		rc = keep_to_what_is_asked(l, err);
	if (rc)
		return rc;
	pn_pose_compare(&round->change, l->next, l->pose, set.count);
	for (size_t k = 0; k < set.count; k++) {
		for (int i = 0; i < 2; i++)
			round->r1[i] += l->refined[k].r1[i] / (double)set.count;
		round->kept += (size_t)l->refined[k].kept;
	}
	memcpy(l->pose, l->next, set.count * sizeof *l->pose);
	return PN_OK;
}

/* The image on a background of 0 within the mask that its projection draws. */
static int clean(struct loop *l, size_t k, float *projection, uint8_t *mask, size_t *cleaned,
		 struct pn_error *err)
{
	size_t ny = l->measured->ny, nx = l->measured->nx;
	const float *given = l->measured->image + k * ny * nx;
	struct pn_particle found;
	int rc;

	pn_slicer_project(l->slicer[0], &l->pose[k], 1, projection);
	rc = pn_particle_mask(mask, projection, ny, nx, &l->params->particle, &found, err);
	if (rc == PN_ENOENT || (rc == PN_EARG && found.touches_border))
		return PN_OK;
	if (!rc)
		rc = pn_laplace_subtract(l->image + k * ny * nx, given, mask, ny, nx,
					 &l->params->laplace, NULL, err);
	*cleaned += !rc;
	return rc ? pn_error_wrap(err, "background of projection %zu", k) : PN_OK;
}

static int clean_all(struct loop *l, size_t *cleaned, struct pn_error *err)
{
	size_t pixels = l->measured->ny * l->measured->nx;
	float *projection = malloc(pixels * sizeof *projection);
	uint8_t *mask = malloc(pixels);
	int rc = projection && mask ? PN_OK
				    : pn_error_set(err, PN_ENOMEM,
						   "refinement: no memory for %zu pixels", pixels);

	for (size_t k = 0; !rc && k < l->measured->count; k++)
		rc = clean(l, k, projection, mask, cleaned, err);
	free(projection);
	free(mask);
	return rc;
}

/* ---- all of them --------------------------------------------------------------------------- */

static void copy_state(const struct loop *l, struct pn_pose *pose, float *image,
		       const struct pn_pose *from_pose, const float *from_image)
{
	const struct pn_projections *m = l->measured;

	memcpy(pose, from_pose, m->count * sizeof *pose);
	if (l->image)
		memcpy(image, from_image, m->count * m->ny * m->nx * sizeof *image);
}

/* Refined and cleaned; *last: no further round in this stage. */
static int one_round(struct loop *l, struct pn_refine_loop_round *round, int in_stage, int *last,
		     struct pn_error *err)
{
	const struct pn_refine_loop_params *p = l->params;
	double coarse = l->blur_px > 0 ? STAGE_COARSE : 1;
	int rc = refine(l, round, err);

	if (!rc && p->background)
		rc = clean_all(l, &round->cleaned, err);
	if (rc)
		return rc;
	l->result->rounds++;
	*last = 1;
	if (p->progress && p->progress(p->context, round))
		l->result->stop = PN_REFINE_LOOP_ASKED;
	else if (round->change.mean_deg < coarse * p->turned_min_deg &&
		 round->change.mean_px < coarse * p->moved_min_px)
		l->result->stop = PN_REFINE_LOOP_STILL;
	else if (l->result->rounds == p->rounds_max)
		l->result->stop = PN_REFINE_LOOP_ROUNDS;
	else
		*last = l->blur_px > 0 && in_stage == STAGE_ROUNDS;
	return PN_OK;
}

/* Rounds of one blur; the poses and images of the least misfit are the present ones then. */
static int stage(struct loop *l, double blur_px, struct pn_error *err)
{
	double gain = (blur_px > 0 ? STAGE_COARSE : 1) * l->params->gain_min;
	int last = 0, rc = PN_OK;

	l->blur_px = blur_px;
	for (int i = 0;; i++) {
		struct pn_refine_loop_round round = { .round = l->result->rounds + 1,
						      .blur_px = blur_px };

		if ((rc = solve(l, &round.misfit, err)))
			return rc;
		if (i && !(round.misfit < l->least)) {
			copy_state(l, l->pose, l->image, l->best, l->best_image);
			if (!last)
				l->result->stop = PN_REFINE_LOOP_MISFIT;
			return PN_OK;
		}
		int enough = i && round.misfit > (1 - gain) * l->least;

		l->least = round.misfit;
		l->best_round = l->result->rounds;
		copy_state(l, l->best, l->best_image, l->pose, l->image);
		if (enough && !last)
			l->result->stop = PN_REFINE_LOOP_MISFIT;
		if (enough || last)
			return PN_OK;
		if ((rc = one_round(l, &round, i + 1, &last, err)))
			return rc;
	}
}

/* From blurred images to those given; what came out of it counts if its misfit is less. */
static int stages(struct loop *l, struct pn_error *err)
{
	struct pn_refine_loop_result *r = l->result;
	double blur = l->params->blur_px;
	int rc = solve(l, &r->before, err);

	for (; !rc && blur >= BLUR_LEAST; blur /= 2) {
		rc = stage(l, blur, err);
		if (r->rounds == l->params->rounds_max || r->stop == PN_REFINE_LOOP_ASKED)
			break;
	}
	if (!rc && r->rounds < l->params->rounds_max && r->stop != PN_REFINE_LOOP_ASKED) {
		rc = stage(l, 0, err);
	} else if (!rc) {
		l->blur_px = 0;
		l->best_round = r->rounds;
		rc = solve(l, &l->least, err);
	}
	if (rc)
		return rc;
	r->after = l->least;
	r->best = l->best_round;
	if (r->before <= r->after) {
		r->after = r->before;
		r->best = 0;
		copy_state(l, l->pose, l->image, l->measured->pose, l->measured->image);
	}
	return PN_OK;
}

static int check(const struct pn_refine_loop_params *p, const struct pn_pose *pose,
		 const float *image, const struct pn_projections *measured, struct pn_error *err)
{
	if (!p->angles && !p->shifts)
		return pn_error_set(err, PN_EARG, "refinement of neither angles nor shifts");
	if (p->rounds_max < 1 || !(p->turned_min_deg >= 0) || !(p->moved_min_px >= 0) ||
	    !(p->gain_min >= 0 && p->gain_min < 1 / STAGE_COARSE) ||
	    !(p->blur_px >= 0 && p->blur_px <= 64))
		return pn_error_set(err, PN_EARG,
				    "refinement: rounds_max = %d, turned_min_deg = %g, "
				    "moved_min_px = %g, gain_min = %g, blur_px = %g: must be >= "
				    "1, >= 0, >= 0, 0..0.2, 0..64",
				    p->rounds_max, p->turned_min_deg, p->moved_min_px, p->gain_min,
				    p->blur_px);
	if (p->background && !image)
		return pn_error_set(err, PN_EARG, "refinement: no place for images");
	if (pose == measured->pose)
		return pn_error_set(err, PN_EARG, "refinement: poses in place of those given");
	return pn_projections_check(measured, err);
}

int pn_refine_loop(struct pn_pose *pose, float *image, struct pn_refined *refined,
		   const struct pn_box *box, const struct pn_projections *measured,
		   const struct pn_refine_solver *solver,
		   const struct pn_refine_loop_params *params, struct pn_refine_loop_result *result,
		   struct pn_error *err)
{
	struct loop l = { .params = params,
			  .solver = solver,
			  .measured = measured,
			  .box = box,
			  .result = result,
			  .best_image = image };
	int rc = check(params, pose, image, measured, err);

	*result = (struct pn_refine_loop_result){ .before = NAN, .after = NAN };
	if (rc)
		return rc;
	rc = prepare(&l, err);
	if (!rc)
		rc = stages(&l, err);
	if (!rc)
		copy_state(&l, pose, image, l.pose, l.image);
	if (!rc && refined)
		memcpy(refined, l.refined, measured->count * sizeof *refined);
	finish(&l);
	return rc;
}
