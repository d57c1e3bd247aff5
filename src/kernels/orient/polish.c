/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/polish.h"

#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 6, HALVINGS = 3, NEWTON_STEPS = 6 };

struct pn_polisher {
	const struct pn_polar *polar;
	float complex *slice;                   /* [points] B                                    */
	float complex *moved;                   /* [points] A moved, or A conj B                 */
	float complex *side[2];                 /* [points] B turned a little to both sides      */
	float complex *column[COLUMNS];         /* [points] dB/dw, dB/ds: 0 is B itself          */
	float *ray_re, *ray_im, *by_re, *by_im; /* [half] phases of one ring, and to the next */
	double small;                           /* turn of the differences                       */
};

int pn_polisher_create(struct pn_polisher **polisher, const struct pn_polar *polar,
		       struct pn_error *err)
{
	struct pn_polisher *p = calloc(1, sizeof *p);
	int good = p != NULL;

	*polisher = NULL;
	if (p) {
		float complex **arrays[] = { &p->slice, &p->moved, &p->side[0], &p->side[1] };
		float **rays[] = { &p->ray_re, &p->ray_im, &p->by_re, &p->by_im };

		p->polar = polar;
		p->small = 0.25 / polar->params.radius_px;
		for (int i = 0; i < 4; i++) {
			*arrays[i] = malloc(polar->points * sizeof **arrays[i]);
			*rays[i] = malloc(polar->half * sizeof **rays[i]);
			good = good && *arrays[i] && *rays[i];
		}
		for (int i = 1; i < COLUMNS; i++) {
			p->column[i] = malloc(polar->points * sizeof *p->column[i]);
			good = good && p->column[i];
		}
		p->column[0] = p->slice;
	}
	if (!good) {
		pn_polisher_destroy(p);
		return pn_error_set(err, PN_ENOMEM, "no memory to polish poses of %zu points",
				    polar->points);
	}
	*polisher = p;
	return PN_OK;
}

void pn_polisher_destroy(struct pn_polisher *p)
{
	if (!p)
		return;
	for (int i = 1; i < COLUMNS; i++)
		free(p->column[i]);
	free(p->slice);
	free(p->moved);
	free(p->side[0]);
	free(p->side[1]);
	free(p->ray_re);
	free(p->ray_im);
	free(p->by_re);
	free(p->by_im);
	free(p);
}

/* ---- shifts --------------------------------------------------------------------------------- */

/* The product as it is for finite numbers: C's own asks for infinities, which is slow. */
static inline float complex times(float complex a, float complex b)
{
	return __builtin_complex(crealf(a) * crealf(b) - cimagf(a) * cimagf(b),
				 crealf(a) * cimagf(b) + cimagf(a) * crealf(b));
}

/* Weighted A conj B into moved. */
static void multiply(struct pn_polisher *p, const float complex *ring)
{
	const struct pn_polar *polar = p->polar;

	for (size_t r = 0, i = 0; r < polar->rings; r++)
		for (size_t a = 0; a < polar->half; a++, i++)
			p->moved[i] = (float)polar->weight[r] * times(ring[i], conjf(p->slice[i]));
}

/* Phases of the first ring, and from one to the next. */
static void start_rays(struct pn_polisher *p, const double shift_px[2])
{
	const struct pn_polar *polar = p->polar;

	for (size_t a = 0; a < polar->half; a++) {
		const double *f = polar->frequency[a];
		const double turn = 2 * M_PI * (f[0] * shift_px[0] + f[1] * shift_px[1]),
			     step = turn / (double)polar->first;

		p->ray_re[a] = (float)cos(turn);
		p->ray_im[a] = (float)sin(turn);
		p->by_re[a] = (float)cos(step);
		p->by_im[a] = (float)sin(step);
	}
}

static void next_ring(struct pn_polisher *p)
{
	for (size_t a = 0; a < p->polar->half; a++) {
		const float re = p->ray_re[a] * p->by_re[a] - p->ray_im[a] * p->by_im[a];

		p->ray_im[a] = p->ray_re[a] * p->by_im[a] + p->ray_im[a] * p->by_re[a];
		p->ray_re[a] = re;
	}
}

/* Re sum of moved exp(2 pi i f.shift), over the half circles as pn_polar_product is. */
static double at_shift(struct pn_polisher *p, const double shift_px[2])
{
	const struct pn_polar *polar = p->polar;
	double sum = 0;

	start_rays(p, shift_px);
	for (size_t r = 0; r < polar->rings; r++) {
		const float *product = (const float *)(p->moved + r * polar->half);
		float part = 0;

		for (size_t a = 0; a < polar->half; a++)
			part += product[2 * a] * p->ray_re[a] - product[2 * a + 1] * p->ray_im[a];
		sum += (double)part;
		next_ring(p);
	}
	return sum / (double)polar->half;
}

/* One step of Newton's method to the top of the sum; 0 where it has none near. */
static int newton_step(struct pn_polisher *p, const double shift_px[2], double step[2])
{
	const struct pn_polar *polar = p->polar;
	double g[2] = { 0 }, h[3] = { 0 };

	start_rays(p, shift_px);
	for (size_t r = 0, i = 0; r < polar->rings; r++) {
		for (size_t a = 0; a < polar->half; a++, i++) {
			const float complex v =
				times(p->moved[i], __builtin_complex(p->ray_re[a], p->ray_im[a]));
			const double re = (double)crealf(v), im = (double)cimagf(v);
			const double *f = polar->frequency[i];

			g[0] -= f[0] * im;
			g[1] -= f[1] * im;
			h[0] -= f[0] * f[0] * re;
			h[1] -= f[0] * f[1] * re;
			h[2] -= f[1] * f[1] * re;
		}
		next_ring(p);
	}
	const double det = h[0] * h[2] - h[1] * h[1];

	if (!(h[0] < 0) || !(det > 0))
		return 0;
	/* derivatives of exp(2 pi i f s): 2 pi of the gradient, 4 pi^2 of the curvature */
	step[0] = -(h[2] * g[0] - h[1] * g[1]) / det / (2 * M_PI);
	step[1] = -(h[0] * g[1] - h[1] * g[0]) / det / (2 * M_PI);
	return 1;
}

static double top_frequency(const struct pn_polar *polar)
{
	return (double)(polar->first + polar->rings - 1) / (double)polar->params.edge;
}

/* The best of a square of shifts. */
static double search_shifts(struct pn_polisher *p, double reach_px, double shift_px[2])
{
	const double pitch = 0.25 / top_frequency(p->polar);
	const int n = (int)ceil(reach_px / pitch);
	const double middle[2] = { shift_px[0], shift_px[1] };
	double best = at_shift(p, shift_px);

	for (int y = -n; y <= n; y++)
		for (int x = -n; x <= n; x++) {
			const double at[2] = { middle[0] + x * pitch, middle[1] + y * pitch };
			double score;

			if ((!x && !y) || hypot(x * pitch, y * pitch) > reach_px + 0.5 * pitch)
				continue;
			score = at_shift(p, at);
			if (score > best) {
				best = score;
				memcpy(shift_px, at, sizeof at);
			}
		}
	return best;
}

static double climb(struct pn_polisher *p, double score, double shift_px[2])
{
	const double limit = 0.25 / top_frequency(p->polar);

	for (int n = 0; n < NEWTON_STEPS; n++) {
		double step[2], at[2], next;

		if (!newton_step(p, shift_px, step))
			break;
		double length = hypot(step[0], step[1]), by = length > limit ? limit / length : 1;

		at[0] = shift_px[0] + by * step[0];
		at[1] = shift_px[1] + by * step[1];
		next = at_shift(p, at);
		if (!(next > score))
			break;
		score = next;
		memcpy(shift_px, at, sizeof at);
		if (length < 0.002)
			break;
	}
	return score;
}

void pn_polish_shift(struct pn_polisher *p, const struct pn_slicer *map, const float complex *ring,
		     double reach_px, struct pn_pose *pose, struct pn_polished *polished)
{
	const struct pn_polar *polar = p->polar;

	pn_polar_map(polar, map, (const double(*)[3])pose->rotation, p->slice);
	multiply(p, ring);
	double score = search_shifts(p, reach_px, pose->shift_px);
	const double own = pn_polar_product(polar, p->slice, p->slice),
		     all = pn_polar_product(polar, ring, ring);

	score = climb(p, score, pose->shift_px);
	polished->score = own > 0 && all > 0 ? score / sqrt(own * all) : 0;
	polished->height = own > 0 ? score / own : 0;
	polished->angle_uncertainty_deg = polished->shift_uncertainty_px = (double)NAN;
}

/* ---- rotation and shift --------------------------------------------------------------------- */

static void turn_pose(struct pn_pose *out, const struct pn_pose *pose, const double w[3])
{
	double q[4], r[3][3];

	pn_quaternion_from_vector(q, w);
	pn_quaternion_to_matrix(r, q);
	pn_matrix3_multiply(out->rotation, r, pose->rotation);
}

/* Slice of the map, and the correlation of the image moved with it. */
static double score_at(struct pn_polisher *p, const struct pn_slicer *map,
		       const float complex *ring, double all, const struct pn_pose *pose)
{
	const struct pn_polar *polar = p->polar;

	pn_polar_map(polar, map, pose->rotation, p->slice);
	pn_polar_move(polar, ring, pose->shift_px, p->moved);
	const double own = pn_polar_product(polar, p->slice, p->slice);

	return own > 0 && all > 0 ? pn_polar_product(polar, p->moved, p->slice) / sqrt(own * all)
				  : 0;
}

static void fill_columns(struct pn_polisher *p, const struct pn_slicer *map,
			 const struct pn_pose *pose)
{
	const struct pn_polar *polar = p->polar;
	const float by = (float)(0.5 / p->small);

	for (int k = 0; k < 3; k++) {
		for (int s = 0; s < 2; s++) {
			double w[3] = { 0 };
			struct pn_pose turned;

			w[k] = s ? -p->small : p->small;
			turn_pose(&turned, pose, w);
			pn_polar_map(polar, map, turned.rotation, p->side[s]);
		}
		for (size_t i = 0; i < polar->points; i++)
			p->column[1 + k][i] = by * (p->side[0][i] - p->side[1][i]);
	}
	/* B moves by -shift with the image: d/ds is -2 pi i f B */
	for (size_t i = 0; i < polar->points; i++)
		for (int k = 0; k < 2; k++) {
			const float f = (float)(2 * M_PI * polar->frequency[i][k]);

			p->column[4 + k][i] = __builtin_complex(f * cimagf(p->slice[i]),
								-f * crealf(p->slice[i]));
		}
}

/* height, height w, height ds that explain the moved image best; variances of w and ds. */
static int solve(struct pn_polisher *p, double all, double x[COLUMNS], double variance[2],
		 struct pn_error *err)
{
	const struct pn_polar *polar = p->polar;
	double m[COLUMNS * COLUMNS], b[COLUMNS], kept[COLUMNS * COLUMNS], explained = 0;

	for (int i = 0; i < COLUMNS; i++) {
		for (int j = i; j < COLUMNS; j++)
			m[i * COLUMNS + j] = m[j * COLUMNS + i] =
				pn_polar_product(polar, p->column[i], p->column[j]);
		b[i] = pn_polar_product(polar, p->moved, p->column[i]);
	}
	memcpy(kept, m, sizeof m);
	if (pn_solve_positive(x, m, b, COLUMNS, err) || !(x[0] > 0))
		return 0;
	for (int i = 0; i < COLUMNS; i++)
		explained += x[i] * b[i];
	/* a product over the rings is a sum over samples / 2 pairs of independent numbers */
	const double noise = fmax(0, all - explained) / fmax(1, polar->samples - COLUMNS);

	variance[0] = variance[1] = 0;
	for (int k = 1; k < COLUMNS; k++) {
		double unit[COLUMNS] = { 0 }, column[COLUMNS];

		memcpy(m, kept, sizeof m);
		unit[k] = 1;
		if (pn_solve_positive(column, m, unit, COLUMNS, err))
			return 0;
		variance[k > 3] += noise * column[k] / (x[0] * x[0]) / (k > 3 ? 2 : 3);
	}
	return 1;
}

/* A step to a pose of higher correlation; 0: none. */
static int step_up(struct pn_polisher *p, const struct pn_slicer *map, const float complex *ring,
		   double all, const double x[COLUMNS], struct pn_pose *pose, double *score)
{
	double by = 1 / x[0];

	for (int n = 0; n <= HALVINGS; n++, by /= 2) {
		const double w[3] = { by * x[1], by * x[2], by * x[3] };
		struct pn_pose next;

		turn_pose(&next, pose, w);
		next.shift_px[0] = pose->shift_px[0] + by * x[4];
		next.shift_px[1] = pose->shift_px[1] + by * x[5];
		double s = score_at(p, map, ring, all, &next);

		if (s > *score) {
			*score = s;
			*pose = next;
			return 1;
		}
	}
	return 0;
}

void pn_polish_pose(struct pn_polisher *p, const struct pn_slicer *map, const float complex *ring,
		    int iterations, double turn_max_deg, struct pn_pose *pose,
		    struct pn_polished *polished)
{
	const struct pn_polar *polar = p->polar;
	const double all = pn_polar_product(polar, ring, ring);
	const struct pn_pose start = *pose;
	struct pn_error err;
	double q0[4], q[4], x[COLUMNS], variance[2];
	double score = score_at(p, map, ring, all, pose);

	polished->angle_uncertainty_deg = polished->shift_uncertainty_px = (double)NAN;
	pn_quaternion_from_matrix(q0, start.rotation);
	for (int n = 0; n < iterations; n++) {
		struct pn_pose next = *pose;
		double better = score;

		fill_columns(p, map, pose);
		if (!solve(p, all, x, variance, &err))
			break;
		polished->angle_uncertainty_deg = sqrt(variance[0]) * 180 / M_PI;
		polished->shift_uncertainty_px = sqrt(variance[1]);
		if (!step_up(p, map, ring, all, x, &next, &better)) {
			score_at(p, map, ring, all, pose); /* the slice of where it stands */
			break;
		}
		pn_quaternion_from_matrix(q, next.rotation);
		if (pn_quaternion_angle_rad(q0, q) * 180 / M_PI > turn_max_deg) {
			score_at(p, map, ring, all, pose);
			break;
		}
		*pose = next;
		score = better;
		const double turned = sqrt(x[1] * x[1] + x[2] * x[2] + x[3] * x[3]) / x[0],
			     moved = hypot(x[4], x[5]) / x[0];
		if (turned * turned < variance[0] / 400 && moved * moved < variance[1] / 400)
			break;
	}
	const double own = pn_polar_product(polar, p->slice, p->slice);

	polished->score = score;
	polished->height = own > 0 ? score * sqrt(all / own) : 0;
}
