/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/refine.h"

#include "perrin/image/filter.h"
#include "perrin/math/fft.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define ROW(type_, field, unit_, def_, min_, max_, help_)                                  \
	{                                                                                  \
		.name = #field, .unit = unit_, .help = help_, .type = type_,               \
		.off = offsetof(struct pn_refine_params, field), .def = def_, .min = min_, \
		.max = max_                                                                \
	}

const struct pn_param pn_refine_param_table[] = {
	ROW(PN_PARAM_F64, angle_range_deg, "deg", 2, 0, 30, "grid search at first (0: none)"),
	ROW(PN_PARAM_F64, angle_step_deg, "deg", 2, 0.05, 30, "step of the grid"),
	ROW(PN_PARAM_F64, angle_max_deg, "deg", 6, 0.01, 180, "a pose turns no further"),
	ROW(PN_PARAM_F64, shift_max_px, "px", 6, 0.01, 1e4, "a projection moves no further"),
	ROW(PN_PARAM_F64, blur_px, "px", 2, 0, 64, "of both images at the first level"),
	ROW(PN_PARAM_I64, levels, NULL, 3, 1, 16, "blurred less and less, the last not at all"),
	ROW(PN_PARAM_I64, iterations_max, NULL, 12, 1, 1000, "Gauss-Newton steps per level"),
	ROW(PN_PARAM_F64, tolerance_deg, "deg", 0.002, 1e-6, 1, "a smaller step ends a level"),
	{ 0 },
};

#undef ROW

static const double degree = M_PI / 180;

enum { UNKNOWNS = 5, COLUMNS = UNKNOWNS + 1 }; /* three angles, two shifts; and the scale */

/* What one thread works with. */
struct worker {
	const struct pn_refine_model *model;
	const struct pn_refine_params *params;
	void *context;
	const struct pn_fft *forward, *backward;
	size_t count, ny, nx;
	double blur_px, tolerance_deg; /* of the present level */
	int projections;
	float *measured, *image, *trial, *scratch; /* [count] each                           */
	float *slope[UNKNOWNS];                    /* derivatives of the projection          */
	float complex *spectrum, *product;         /* of measured; of the correlation        */
	float *map;                                /* [count], correlation over shifts       */
	float *memory;
};

/* ------------------------------------------------------------------ poses */

/* The pose turned by w (detector frame, rad) and moved. */
static struct pn_pose changed(const struct pn_pose *pose, const double w[3], const double d[2])
{
	struct pn_pose out = *pose;
	double q[4], turn[3][3];

	pn_quaternion_from_vector(q, w);
	pn_quaternion_to_matrix(turn, q);
	pn_matrix3_multiply(out.rotation, turn, pose->rotation);
	out.shift_px[0] += d[0];
	out.shift_px[1] += d[1];
	return out;
}

/* Rounding adds up over the rounds: back to a rotation. */
static void orthonormalize(struct pn_pose *pose)
{
	double q[4];

	pn_quaternion_from_matrix(q, pose->rotation);
	pn_quaternion_normalize(q);
	pn_quaternion_to_matrix(pose->rotation, q);
}

static double angle_between_deg(const struct pn_pose *a, const struct pn_pose *b)
{
	double p[4], q[4];

	pn_quaternion_from_matrix(p, a->rotation);
	pn_quaternion_from_matrix(q, b->rotation);
	return pn_quaternion_angle_rad(p, q) / degree;
}

static double moved_px(const struct pn_pose *a, const struct pn_pose *b)
{
	return hypot(a->shift_px[0] - b->shift_px[0], a->shift_px[1] - b->shift_px[1]);
}

void pn_pose_compare(struct pn_pose_difference *out, const struct pn_pose *a,
		     const struct pn_pose *b, size_t count)
{
	*out = (struct pn_pose_difference){ 0 };
	for (size_t k = 0; k < count; k++) {
		double angle = angle_between_deg(&a[k], &b[k]), px = moved_px(&a[k], &b[k]);

		out->mean_deg += angle / (double)count;
		out->mean_px += px / (double)count;
		out->max_deg = fmax(out->max_deg, angle);
		out->max_px = fmax(out->max_px, px);
	}
}

/* ------------------------------------------------------------------ comparing */

static double dot(const float *a, const float *b, size_t count)
{
	double sum = 0;

#pragma omp simd reduction(+ : sum)
	for (size_t i = 0; i < count; i++)
		sum += (double)a[i] * b[i];
	return sum;
}

static int project(struct worker *w, const struct pn_pose *pose, float *image, struct pn_error *err)
{
	int rc = w->model->project(w->context, pose, image, err);

	w->projections++;
	if (!rc && w->blur_px > 0)
		pn_gauss_blur(image, image, w->scratch, w->ny, w->nx, w->blur_px);
	return rc;
}

/* How well an image fits: s = mp / pp, the squared error mm - mp^2 / pp. */
struct match {
	double mm, mp, pp;
};

static struct match compare(const struct worker *w, const float *image)
{
	return (struct match){ dot(w->measured, w->measured, w->count),
			       dot(w->measured, image, w->count), dot(image, image, w->count) };
}

static double match_error(const struct match *m)
{
	return m->pp > 0 && m->mp > 0 ? m->mm - m->mp * m->mp / m->pp : m->mm;
}

static double match_correlation(const struct match *m)
{
	return m->pp > 0 && m->mm > 0 ? m->mp / sqrt(m->mm * m->pp) : 0;
}

static double r_factor(const struct worker *w, const float *image, double scale)
{
	double off = 0, sum = 0;

	for (size_t i = 0; i < w->count; i++) {
		off += fabs((double)w->measured[i] - scale * image[i]);
		sum += fabs((double)w->measured[i]);
	}
	return sum > 0 ? off / sum : 0;
}

/* Blur and patience of a level, and the measured image as it is seen there. */
static void enter_level(struct worker *w, const float *measured, int64_t level)
{
	int64_t last = w->params->levels - 1;

	w->blur_px = w->params->blur_px * (last ? (double)(last - level) / (double)last : 1);
	w->tolerance_deg = w->params->tolerance_deg * (level < last ? 10 : 1);
	pn_gauss_blur(w->measured, measured, w->scratch, w->ny, w->nx, w->blur_px);
	if (level == 0)
		pn_fft_execute(w->forward, memcpy(w->map, w->measured, w->count * sizeof *w->map),
			       w->spectrum);
}

/* ------------------------------------------------------------------ the grid */

/*
 * The whole-pixel move of the image (in w->image) onto the measured one within the bound on the
 * total shift, and the squared error there.
 */
static double best_move(struct worker *w, const struct pn_pose *pose, const struct pn_pose *start,
			double move[2])
{
	size_t bins = w->ny * (w->nx / 2 + 1);
	double pp = dot(w->image, w->image, w->count), best = -INFINITY;

	memcpy(w->map, w->image, w->count * sizeof *w->map);
	pn_fft_execute(w->forward, w->map, w->product);
	for (size_t i = 0; i < bins; i++)
		w->product[i] = w->spectrum[i] * conjf(w->product[i]);
	pn_fft_execute(w->backward, w->product, w->map);
	move[0] = move[1] = 0;
	for (size_t i = 0; i < w->count; i++) {
		double y = (double)(i / w->nx), x = (double)(i % w->nx);

		y -= i / w->nx > w->ny / 2 ? (double)w->ny : 0;
		x -= i % w->nx > w->nx / 2 ? (double)w->nx : 0;
		if (w->map[i] > best &&
		    hypot(pose->shift_px[0] + x - start->shift_px[0],
			  pose->shift_px[1] + y - start->shift_px[1]) <= w->params->shift_max_px) {
			best = w->map[i];
			move[0] = x;
			move[1] = y;
		}
	}
	struct match m = { dot(w->measured, w->measured, w->count), best / (double)w->count, pp };

	return match_error(&m);
}

/* All rotations of the grid; pose becomes the best of them. */
static int search_grid(struct worker *w, struct pn_pose *pose, struct pn_error *err)
{
	double range = w->params->angle_range_deg, step = w->params->angle_step_deg;
	long n = range > 0 ? (long)floor(range / step * (1 + 1e-9)) : 0, side = 2 * n + 1;
	struct pn_pose start = *pose, at;
	double best = INFINITY;

	for (long i = 0; i < side * side * side; i++) {
		double turn[3] = { (double)(i / (side * side) - n) * step * degree,
				   (double)(i / side % side - n) * step * degree,
				   (double)(i % side - n) * step * degree };
		double none[2] = { 0, 0 }, move[2];

		at = changed(&start, turn, none);
		int rc = project(w, &at, w->image, err);

		if (rc)
			return rc;
		double e = best_move(w, &at, &start, move);

		if (e < best) {
			best = e;
			*pose = at;
			pose->shift_px[0] += move[0];
			pose->shift_px[1] += move[1];
		}
	}
	return PN_OK;
}

/* ------------------------------------------------------------------ Gauss-Newton */

/* Steps of the differences: a quarter pixel at the rim of the field. */
static double unit_step(const struct worker *w, int unknown)
{
	double rim = (double)(w->ny < w->nx ? w->ny : w->nx) / 3;

	return unknown < 3 ? 0.25 / rim : 0.25;
}

static struct pn_pose stepped(const struct pn_pose *pose, const double *step)
{
	return changed(pose, step, step + 3);
}

static int differentiate(struct worker *w, const struct pn_pose *pose, struct pn_error *err)
{
	for (int u = 0; u < UNKNOWNS; u++) {
		double h = unit_step(w, u), step[UNKNOWNS] = { 0 };
		struct pn_pose at;
		int rc;

		step[u] = h;
		at = stepped(pose, step);
		if ((rc = project(w, &at, w->slope[u], err)))
			return rc;
		step[u] = -h;
		at = stepped(pose, step);
		if ((rc = project(w, &at, w->trial, err)))
			return rc;
		for (size_t i = 0; i < w->count; i++)
			w->slope[u][i] = (float)((w->slope[u][i] - w->trial[i]) / (2 * h));
	}
	return PN_OK;
}

/* Normal equations of the slopes, the scale's in the last row, in steps of unit size. */
static void normal_matrix(const struct worker *w, double a[COLUMNS * COLUMNS])
{
	for (int i = 0; i < COLUMNS; i++)
		for (int j = i; j < COLUMNS; j++) {
			const float *p = i < UNKNOWNS ? w->slope[i] : w->image;
			const float *q = j < UNKNOWNS ? w->slope[j] : w->image;

			a[i * COLUMNS + j] = a[j * COLUMNS + i] = dot(p, q, w->count);
		}
}

/* One damped step for the unknowns; 0 if the images do not determine it. */
static int newton_step(struct worker *w, const double a[COLUMNS * COLUMNS], const struct match *m,
		       double damping, double step[UNKNOWNS])
{
	double b[COLUMNS * COLUMNS], right[COLUMNS], x[COLUMNS], scale = m->mp / m->pp;

	for (int i = 0; i < COLUMNS; i++) {
		const float *p = i < UNKNOWNS ? w->slope[i] : w->image;

		right[i] = dot(p, w->measured, w->count) - scale * dot(p, w->image, w->count);
	}
	memcpy(b, a, sizeof b);
	for (int i = 0; i < COLUMNS; i++)
		b[i * COLUMNS + i] *= 1 + damping;
	if (pn_solve_positive(x, b, right, COLUMNS, NULL))
		return 0;
	for (int u = 0; u < UNKNOWNS; u++)
		step[u] = x[u] / scale;
	return 1;
}

/* The largest part of a step, in units of the tolerance. */
static double step_size(const struct worker *w, const double step[UNKNOWNS])
{
	double limit = w->tolerance_deg * degree / unit_step(w, 0), most = 0;

	for (int u = 0; u < UNKNOWNS; u++)
		most = fmax(most, fabs(step[u]) / unit_step(w, u));
	return most / limit;
}

/* Standard deviations from the inverse of the normal matrix and the residual. */
static void uncertainties(const struct worker *w, const double a[COLUMNS * COLUMNS],
			  const struct match *m, struct pn_refined *result)
{
	double scale = m->mp / m->pp, sum[2] = { 0 };
	double variance = match_error(m) / fmax(1, (double)w->count - COLUMNS);

	for (int u = 0; u < UNKNOWNS; u++) {
		double unit[COLUMNS] = { 0 }, x[COLUMNS];

		unit[u] = 1;
		if (pn_solve_positive(x, a, unit, COLUMNS, NULL))
			sum[u >= 3] = NAN;
		else
			sum[u >= 3] += x[u] * variance / (scale * scale);
	}
	result->angle_uncertainty_deg = sqrt(sum[0] / 3) / degree;
	result->shift_uncertainty_px = sqrt(sum[1] / 2);
}

static void swap_images(struct worker *w)
{
	float *swap = w->image;

	w->image = w->trial;
	w->trial = swap;
}

/* Minimise at the present blur; w->image is the projection under pose, on return too. */
static int descend(struct worker *w, struct pn_pose *pose, struct pn_refined *result,
		   struct pn_error *err)
{
	double a[COLUMNS * COLUMNS] = { 0 }, damping = 0, before = INFINITY;
	int fresh = 0, stale = 1, rc = project(w, pose, w->image, err);
	struct match at = compare(w, w->image);

	result->converged = 0;
	for (int64_t i = 0; !rc && i < w->params->iterations_max && at.mp > 0; i++) {
		double step[UNKNOWNS];

		if (stale) {
			if ((rc = differentiate(w, pose, err)))
				break;
			normal_matrix(w, a);
		}
		fresh |= stale;
		stale = 0;
		if (!newton_step(w, a, &at, damping, step))
			break;
		struct pn_pose next = stepped(pose, step);

		if ((rc = project(w, &next, w->trial, err)))
			break;
		struct match there = compare(w, w->trial);
		double size = step_size(w, step);

		result->converged = size < 1;
		if (match_error(&there) < match_error(&at)) {
			*pose = next;
			at = there;
			swap_images(w);
			damping /= 10;
			stale = size > before / 2;
			before = size;
			fresh = 0;
		} else if (fresh) {
			damping = damping > 0 ? 10 * damping : 1e-3;
		} else {
			stale = 1;
		}
		if (result->converged)
			break;
	}
	if (!rc && at.mp > 0)
		uncertainties(w, a, &at, result);
	return rc;
}

/* ------------------------------------------------------------------ one projection, all of them */

/* Correlation and R of a pose at full resolution, put at [which] of the result. */
static int judge(struct worker *w, const struct pn_pose *pose, const float *measured,
		 struct pn_refined *result, int which, struct pn_error *err)
{
	float *keep = w->measured;

	w->blur_px = 0;
	int rc = project(w, pose, w->trial, err);

	memcpy(keep, measured, w->count * sizeof *keep);
	struct match m = compare(w, w->trial);

	result->scale = m.pp > 0 ? m.mp / m.pp : 0;
	result->correlation[which] = match_correlation(&m);
	result->r1[which] = r_factor(w, w->trial, result->scale);
	return rc;
}

static int refine_one(struct worker *w, size_t k, const struct pn_projections *set,
		      struct pn_refined *result, struct pn_pose *pose, struct pn_error *err)
{
	const float *measured = set->image + k * w->count;
	const struct pn_pose start = set->pose[k];
	struct pn_pose at = start;

	w->projections = 0;
	int rc = judge(w, &start, measured, result, 0, err);

	if (!rc && dot(w->trial, w->trial, w->count) == 0)
		rc = pn_error_set(err, PN_EARG, "the model shows nothing under its pose");
	for (int64_t level = 0; !rc && level < w->params->levels; level++) {
		enter_level(w, measured, level);
		if (level == 0)
			rc = search_grid(w, &at, err);
		if (!rc)
			rc = descend(w, &at, result, err);
	}
	if (!rc)
		rc = judge(w, &at, measured, result, 1, err);
	if (rc)
		return pn_error_wrap(err, "refinement: projection %zu", k);
	orthonormalize(&at);
	result->kept = !(result->correlation[1] >= result->correlation[0]) ||
		       angle_between_deg(&start, &at) > w->params->angle_max_deg ||
		       moved_px(&start, &at) > w->params->shift_max_px;
	if (result->kept) {
		at = start;
		rc = judge(w, &at, measured, result, 1, err);
	}
	result->turned_deg = angle_between_deg(&start, &at);
	result->moved_px = moved_px(&start, &at);
	result->projections = w->projections;
	*pose = at;
	return rc;
}

static void worker_finish(struct worker *w)
{
	pn_fft_free(w->memory);
	pn_fft_free(w->spectrum);
}

static int worker_init(struct worker *w, const struct pn_refine_model *model, void *context,
		       const struct pn_refine_params *params, const struct pn_fft *forward,
		       const struct pn_fft *backward)
{
	/* each image begins on a boundary of 64 bytes, as the transforms want */
	size_t count = model->ny * model->nx, stride = (count + 15) / 16 * 16;
	size_t bins = (model->ny * (model->nx / 2 + 1) + 7) / 8 * 8;
	float **images[] = { &w->measured, &w->image,    &w->trial,    &w->scratch,  &w->map,
			     &w->slope[0], &w->slope[1], &w->slope[2], &w->slope[3], &w->slope[4] };

	*w = (struct worker){ .model = model,
			      .params = params,
			      .context = context,
			      .forward = forward,
			      .backward = backward,
			      .count = count,
			      .ny = model->ny,
			      .nx = model->nx };
	w->memory = pn_fft_alloc(PN_COUNT(images) * stride * sizeof *w->memory);
	w->spectrum = pn_fft_alloc(2 * bins * sizeof *w->spectrum);
	if (!w->memory || !w->spectrum)
		return PN_ENOMEM;
	w->product = w->spectrum + bins;
	for (size_t i = 0; i < PN_COUNT(images); i++)
		*images[i] = w->memory + i * stride;
	return PN_OK;
}

static int check(const struct pn_projections *measured, const struct pn_refine_model *model,
		 const struct pn_refine_params *p, struct pn_error *err)
{
	if (!(p->angle_range_deg >= 0 && p->angle_range_deg <= 30) || !(p->angle_step_deg > 0) ||
	    p->angle_range_deg / p->angle_step_deg > 30)
		return pn_error_set(
			err, PN_EARG,
			"refinement: angle_range_deg = %g, angle_step_deg = %g: must be "
			"0..30 and > 0, at most 30 steps",
			p->angle_range_deg, p->angle_step_deg);
	if (!(p->angle_max_deg > 0) || !(p->shift_max_px > 0) || !(p->tolerance_deg > 0) ||
	    !(p->blur_px >= 0 && p->blur_px <= 64))
		return pn_error_set(
			err, PN_EARG,
			"refinement: angle_max_deg = %g, shift_max_px = %g, "
			"tolerance_deg = %g, blur_px = %g: must be > 0, > 0, > 0, 0..64",
			p->angle_max_deg, p->shift_max_px, p->tolerance_deg, p->blur_px);
	if (p->levels < 1 || p->levels > 16 || p->iterations_max < 1)
		return pn_error_set(err, PN_EARG,
				    "refinement: levels = %lld, iterations_max = %lld: must be "
				    "1..16 and >= 1",
				    (long long)p->levels, (long long)p->iterations_max);
	if (!model->contexts)
		return pn_error_set(err, PN_EARG, "refinement: a model without contexts");
	int rc = pn_projections_check(measured, err);

	if (!rc && (measured->ny != model->ny || measured->nx != model->nx))
		rc = pn_error_set(err, PN_EARG,
				  "refinement: the model projects to %zu x %zu pixels, measured "
				  "were %zu x %zu",
				  model->ny, model->nx, measured->ny, measured->nx);
	return rc;
}

/* The projections shared among as many workers; the first failing projection is the one told. */
static int run_workers(struct worker *worker, size_t workers, const struct pn_projections *measured,
		       struct pn_refined *result, struct pn_pose *pose, struct pn_error *err)
{
	struct pn_error first = { 0 };
	size_t failed = measured->count;
	int rc = PN_OK;

#pragma omp parallel num_threads((int)workers)
	{
#pragma omp for schedule(dynamic)
		for (size_t k = 0; k < measured->count; k++) {
			struct worker *w = &worker[omp_get_thread_num()];
			struct pn_error own = { 0 };
			int bad;

			result[k] = (struct pn_refined){ 0 };
			bad = refine_one(w, k, measured, &result[k], &pose[k], &own);
			if (!bad)
				continue;
#pragma omp critical(pn_refine_failure)
			if (k < failed) {
				failed = k;
				first = own;
				rc = bad;
			}
		}
	}
	if (rc)
		pn_error_set(err, rc, "%s", first.text);
	return rc;
}

int pn_refine_round(struct pn_refined *result, struct pn_pose *pose,
		    const struct pn_projections *measured, const struct pn_refine_model *model,
		    const struct pn_refine_params *params, struct pn_error *err)
{
	int rc = check(measured, model, params, err);
	struct pn_fft *forward = NULL, *backward = NULL;

	if (rc)
		return rc;
	struct worker *worker = calloc(model->contexts, sizeof *worker);

	if (!worker)
		rc = pn_error_set(err, PN_ENOMEM, "refinement: no memory for %zu threads",
				  model->contexts);
	if (!rc)
		rc = pn_fft_plan(&forward, PN_FFT_R2C, model->ny, model->nx, 0, err);
	if (!rc)
		rc = pn_fft_plan(&backward, PN_FFT_C2R, model->ny, model->nx, 0, err);
	for (size_t i = 0; !rc && i < model->contexts; i++)
		if (worker_init(&worker[i], model, model->context[i], params, forward, backward))
			rc = pn_error_set(err, PN_ENOMEM,
					  "refinement: no memory for images of %zu x %zu pixels",
					  model->ny, model->nx);
	if (!rc)
		rc = run_workers(worker, model->contexts, measured, result, pose, err);
	for (size_t i = 0; worker && i < model->contexts; i++)
		worker_finish(&worker[i]);
	free(worker);
	pn_fft_destroy(forward);
	pn_fft_destroy(backward);
	return rc;
}

/* ------------------------------------------------------------------ the gauge */

/* The rotation of the volume that brings the poses onto the reference. */
static void common_rotation(double g[3][3], const struct pn_pose *pose,
			    const struct pn_pose *reference, size_t count, size_t pinned)
{
	double sum[3][3] = { { 0 } };

	for (size_t k = 0; k < count; k++)
		for (int i = 0; (pinned == PN_REFINE_ALL || pinned == k) && i < 9; i++)
			for (int j = 0; j < 3; j++)
				sum[i / 3][i % 3] += pose[k].rotation[j][i / 3] *
						     reference[k].rotation[j][i % 3];
	pn_polar_rotation(g, sum);
}

/* The translation c of the volume that changes the shifts least; what they leave open stays 0. */
static int common_move(double c[3], const struct pn_pose *pose, const struct pn_pose *reference,
		       size_t count, struct pn_error *err)
{
	size_t rows = 2 * count + 3;
	double *a = calloc(4 * rows, sizeof *a), *b = a + 3 * rows;

	if (!a)
		return pn_error_set(err, PN_ENOMEM, "gauge: no memory for %zu poses", count);
	for (size_t k = 0; k < count; k++)
		for (size_t i = 0; i < 2; i++) {
			memcpy(a + 3 * (2 * k + i), pose[k].rotation[i], 3 * sizeof *a);
			b[2 * k + i] = reference[k].shift_px[i] - pose[k].shift_px[i];
		}
	int rc = pn_least_squares(c, NULL, NULL, a, b, (int)rows, 3, err);

	free(a);
	return rc;
}

int pn_refine_gauge(struct pn_pose *pose, const struct pn_pose *reference, size_t count,
		    size_t pinned, struct pn_error *err)
{
	double g[3][3], c[3];

	if (count < 1 || (pinned >= count && pinned != PN_REFINE_ALL))
		return pn_error_set(err, PN_EARG, "gauge: projection %zu of %zu poses is pinned",
				    pinned, count);
	for (size_t k = 0; k < count; k++)
		for (int i = 0; i < 9; i++)
			if (!isfinite(pose[k].rotation[i / 3][i % 3]) ||
			    !isfinite(reference[k].rotation[i / 3][i % 3]))
				return pn_error_set(err, PN_EARG,
						    "gauge: the rotation of pose %zu is not finite",
						    k);
	int rc = common_move(c, pose, reference, count, err);

	if (rc)
		return rc;
	common_rotation(g, pose, reference, count, pinned);
	for (size_t k = 0; k < count; k++) {
		double move[3];

		pn_matrix3_apply(move, pose[k].rotation, c);
		pose[k].shift_px[0] += move[0];
		pose[k].shift_px[1] += move[1];
		pn_matrix3_multiply(pose[k].rotation, pose[k].rotation, g);
		orthonormalize(&pose[k]);
	}
	return PN_OK;
}
