/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/model_fit.h"

#include "perrin/math/linear.h"
#include "spots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY          8                                                  /* pairs of L-BFGS    */
#define REFRESH         10                                                 /* of the blocks      */
#define SPOT_SLOTS      (2 * PN_MODEL_SPECIES_MAX * PN_SPOT_GAUSSIANS_MAX) /* in the parameters  */
#define SPOT_SLOT(s, g) (2 * ((s)*PN_SPOT_GAUSSIANS_MAX + (g)))            /* intensity, variance */
#define TILT_SLOTS      4                                                  /* scale, offset, x, y */

/*
 * The parameters are one vector: 3 coordinates for each atom, SPOT_SLOTS, TILT_SLOTS for each tilt.
 * What is not fitted is there too, with zeros for its block of the preconditioner.
 */
struct fit {
	struct pn_linear_model model; /* positions point to the vector looked at */
	const struct pn_projections *measured;
	struct pn_model_fit_params p;
	size_t atoms, count, pixels, spots_at, tilts_at, size;
	double variance_min_A2, variance_max_A2;
	double *start; /* [size] */

	double (*seen)[3];         /* [count][atoms] what each tilt says of each atom */
	struct pn_spot_sums *sums; /* [count] */
	double (*tilt)[4];         /* [count] value, derivatives by scale and offset, chi2 */
	int starved;               /* no memory for canvases */

	uint8_t *held;         /* [size] at a bound, and pushed against it */
	double (*block)[3][3]; /* [atoms] inverse, A^2                  */
	double spot_block[SPOT_SLOTS][SPOT_SLOTS];
	double (*tilt_block)[TILT_SLOTS][TILT_SLOTS];  /* [count]                         */
	double (*spot_normal)[SPOT_SLOTS][SPOT_SLOTS]; /* [count] */
};

/* Canvases of one thread. */
struct canvases {
	float *model, *residual; /* residual: or weights; its margin is zero */
	float *part[SPOT_SLOTS]; /* derivatives by the spots                 */
};

static void canvases_free(struct canvases *c)
{
	free(c->model);
	free(c->residual);
	for (int i = 0; i < SPOT_SLOTS; i++)
		free(c->part[i]);
}

/* @parts: also one for each parameter of the spots. 0 if there is no memory. */
static int canvases_create(struct canvases *c, const struct pn_spot_plan *plan, int parts)
{
	const struct pn_linear_model *m = plan->model;
	int good;

	memset(c, 0, sizeof *c);
	c->model = pn_spot_canvas_create(plan);
	c->residual = pn_spot_canvas_create(plan);
	good = c->model && c->residual;
	for (int s = 0; parts && s < m->species_count; s++)
		for (int i = 0; i < 2 * m->spot[s].gaussians; i++) {
			c->part[SPOT_SLOT(s, 0) + i] = pn_spot_canvas_create(plan);
			good = good && c->part[SPOT_SLOT(s, 0) + i];
		}
	return good;
}

/* Half the deviance of a count, its slope, and the weight; below the least expectation the parabola
 * that touches it. */
static inline double poisson(double mean, double count, double least, double *slope, double *weight)
{
	double at = mean > least ? mean : least, below = mean - at;
	double first = 1 - count / at, second = count / (at * at);
	double value = at - count + (count > 0 ? count * log(count / at) : 0);

	*slope = first + second * below;
	*weight = 1 / at;
	return value + below * (first + 0.5 * second * below);
}

/* The parameters as a model that can be drawn. */
static void unpack(struct fit *f, double *x)
{
	f->model.position_A = (double(*)[3])x;
	for (int s = 0; s < f->model.species_count; s++)
		for (int g = 0; g < f->model.spot[s].gaussians; g++) {
			f->model.spot[s].intensity[g] = x[f->spots_at + SPOT_SLOT(s, g)];
			f->model.spot[s].variance_A2[g] = x[f->spots_at + SPOT_SLOT(s, g) + 1];
		}
}

static struct pn_pose tilt_pose(const struct fit *f, const double *x, size_t k)
{
	const double *t = x + f->tilts_at + TILT_SLOTS * k;
	struct pn_pose pose = f->measured->pose[k];

	pose.shift_px[0] += t[2];
	pose.shift_px[1] += t[3];
	return pose;
}

/* Value of one tilt; the slope by the model goes to the residual canvas, or the weights if asked.
 */
static void tilt_value(struct fit *f, const struct pn_spot_plan *plan, const double *x, size_t k,
		       struct canvases *c, int want_weights)
{
	const double *t = x + f->tilts_at + TILT_SLOTS * k;
	double w = f->p.weight ? f->p.weight[k] : 1, sum = 0, by_scale = 0, by_offset = 0;
	double chi2 = 0;

	for (size_t y = 0; y < plan->ny; y++) {
		size_t row = pn_spot_corner(plan) + y * plan->stride;
		const float *b = f->measured->image + (k * plan->ny + y) * plan->nx;

		for (size_t i = 0; i < plan->nx; i++) {
			double m = (double)c->model[row + i], mean = t[0] * m + t[1];
			double slope = w * (mean - (double)b[i]), weight = w;

			if (f->p.noise == PN_MODEL_POISSON)
				sum += poisson(mean, (double)b[i], f->p.expected_min, &slope,
					       &weight);
			else
				sum += 0.5 * slope * (mean - (double)b[i]);
			by_scale += slope * m;
			by_offset += slope;
			chi2 += weight * (mean - (double)b[i]) * (mean - (double)b[i]);
			c->residual[row + i] = (float)(want_weights ? weight : t[0] * slope);
		}
	}
	f->tilt[k][0] = sum;
	f->tilt[k][1] = by_scale;
	f->tilt[k][2] = by_offset;
	f->tilt[k][3] = chi2;
}

static void gradient_collect(const struct fit *f, double *gradient)
{
	const double(*seen)[2] = (const double(*)[2])f->seen;

#pragma omp parallel for
	for (size_t a = 0; a < f->atoms; a++)
		for (int i = 0; i < 3; i++) {
			double sum = 0;

			for (size_t k = 0; k < f->count; k++) {
				const double *d = seen[k * f->atoms + a];
				const double(*r)[3] = f->measured->pose[k].rotation;

				sum += r[0][i] * d[0] + r[1][i] * d[1];
			}
			gradient[3 * a + (size_t)i] = sum / f->model.pixel_A;
		}
	memset(gradient + f->spots_at, 0, SPOT_SLOTS * sizeof *gradient);
	for (size_t k = 0; k < f->count; k++) {
		double *t = gradient + f->tilts_at + TILT_SLOTS * k;

		for (int s = 0; s < f->model.species_count; s++)
			for (int g = 0; g < f->model.spot[s].gaussians; g++) {
				double *spot = gradient + f->spots_at + SPOT_SLOT(s, g);

				spot[0] += f->sums[k].intensity[s][g];
				spot[1] += f->sums[k].variance_A2[s][g];
			}
		t[0] = f->tilt[k][1];
		t[1] = f->tilt[k][2];
		t[2] = f->sums[k].shift_px[0];
		t[3] = f->sums[k].shift_px[1];
	}
}

/* The objective at @x and its gradient; INFINITY if there is no memory. */
static double evaluate(struct fit *f, double *x, double *gradient)
{
	struct pn_spot_plan plan;
	double sum = 0;
	int starved = 0;

	unpack(f, x);
	pn_spot_plan_init(&plan, &f->model, f->measured->ny, f->measured->nx);
#pragma omp parallel reduction(| : starved)
	{
		struct canvases c;
		int good = canvases_create(&c, &plan, 0);

#pragma omp for schedule(dynamic)
		for (size_t k = 0; k < f->count; k++) {
			struct pn_pose pose = tilt_pose(f, x, k);

			starved |= !good;
			if (!good)
				continue;
			pn_spot_draw(&plan, &pose, c.model);
			tilt_value(f, &plan, x, k, &c, 0);
			pn_spot_gather(&plan, &pose, c.residual,
				       (double(*)[2])f->seen + k * f->atoms, &f->sums[k]);
		}
		canvases_free(&c);
	}
	f->starved = starved;
	if (starved)
		return INFINITY;
	gradient_collect(f, gradient);
	for (size_t k = 0; k < f->count; k++)
		sum += f->tilt[k][0];
	return sum;
}

/* @out: inverse of a symmetric @a, its diagonal made @ridge larger, against directions that are
 * hardly determined; what it says nothing about gets 0. */
static void invert(double *out, const double *a, int n, double ridge)
{
	double m[SPOT_SLOTS * SPOT_SLOTS], unit[SPOT_SLOTS] = { 0 }, column[SPOT_SLOTS];
	int used[SPOT_SLOTS], count = 0;

	memset(out, 0, (size_t)(n * n) * sizeof *out);
	for (int i = 0; i < n; i++)
		if (a[i * n + i] > 0)
			used[count++] = i;
	/* scaled to a diagonal of 1 first */
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++)
			m[i * count + j] =
				a[used[i] * n + used[j]] /
					sqrt(a[used[i] * n + used[i]] * a[used[j] * n + used[j]]) +
				(i == j ? ridge : 0);
	for (int j = 0; j < count; j++) {
		unit[j] = 1;
		int status = pn_solve_positive(column, m, unit, count, NULL);
		unit[j] = 0;
		for (int i = 0; i < count; i++) {
			double value = status == PN_OK ? column[i] : i == j;

			out[used[i] * n + used[j]] =
				value / sqrt(a[used[i] * n + used[i]] * a[used[j] * n + used[j]]);
		}
	}
}

/* sum_p weight d_i d_j of the four parameters of a tilt; the slope of the image by differences. */
static void tilt_normal(struct fit *f, const struct pn_spot_plan *plan, const double *t, size_t k,
			const struct canvases *c)
{
	double normal[TILT_SLOTS][TILT_SLOTS] = { { 0 } };
	const int free_slot[TILT_SLOTS] = { f->p.fit_scale, f->p.fit_offset, f->p.fit_shift,
					    f->p.fit_shift };

	for (size_t y = 0; y < plan->ny; y++) {
		const float *m = c->model + pn_spot_corner(plan) + y * plan->stride;
		const float *w = c->residual + pn_spot_corner(plan) + y * plan->stride;

		for (size_t i = 0; i < plan->nx; i++) {
			double d[TILT_SLOTS] = {
				(double)m[i], 1, t[0] * 0.5 * ((double)m[i - 1] - (double)m[i + 1]),
				t[0] * 0.5 *
					((double)m[i - plan->stride] - (double)m[i + plan->stride])
			};

			for (int p = 0; p < TILT_SLOTS; p++)
				for (int q = 0; q < TILT_SLOTS; q++)
					normal[p][q] += (double)w[i] * d[p] * d[q];
		}
	}
	for (int p = 0; p < TILT_SLOTS; p++)
		for (int q = 0; q < TILT_SLOTS; q++)
			if (!free_slot[p] || !free_slot[q])
				normal[p][q] = 0;
	invert(&f->tilt_block[k][0][0], &normal[0][0], TILT_SLOTS, 1e-7);
}

static void spot_normal(struct fit *f, const struct pn_spot_plan *plan, const struct pn_pose *pose,
			double scale, size_t k, struct canvases *c)
{
	size_t pixels = pn_spot_canvas(plan);

	memset(f->spot_normal[k], 0, sizeof f->spot_normal[k]);
	for (int s = 0; s < f->model.species_count; s++)
		for (int g = 0; g < f->model.spot[s].gaussians; g++) {
			float **part = &c->part[SPOT_SLOT(s, g)];

			pn_spot_draw_part(plan, pose, part[0], s, g, PN_SPOT_BY_INTENSITY);
			pn_spot_draw_part(plan, pose, part[1], s, g, PN_SPOT_BY_VARIANCE);
		}
	for (int i = 0; i < SPOT_SLOTS; i++)
		for (int j = 0; j <= i; j++) {
			double sum = 0;

			if (!c->part[i] || !c->part[j])
				continue;
			for (size_t q = 0; q < pixels; q++)
				sum += (double)(c->residual[q] * c->part[i][q]) *
				       (double)c->part[j][q];
			f->spot_normal[k][i][j] = f->spot_normal[k][j][i] = sum * scale * scale;
		}
}

static void atom_blocks(struct fit *f)
{
	double pixel2 = f->model.pixel_A * f->model.pixel_A;

#pragma omp parallel for
	for (size_t a = 0; a < f->atoms; a++) {
		double h[3][3] = { { 0 } }, trace;

		for (size_t k = 0; k < f->count; k++) {
			const double(*r)[3] = f->measured->pose[k].rotation;
			const double *d = f->seen[k * f->atoms + a];

			for (int i = 0; i < 3; i++)
				for (int j = 0; j < 3; j++)
					h[i][j] += (r[0][i] * r[0][j] * d[0] +
						    (r[0][i] * r[1][j] + r[1][i] * r[0][j]) * d[1] +
						    r[1][i] * r[1][j] * d[2]) /
						   pixel2;
		}
		trace = h[0][0] + h[1][1] + h[2][2];
		/* one projection says nothing of the depth: that must not blow up */
		for (int i = 0; i < 3; i++)
			h[i][i] += 1e-9 * trace;
		if (!(trace > 0) || !pn_matrix3_invert(f->block[a], h))
			memset(f->block[a], 0, sizeof f->block[a]);
	}
}

/* T (T^T H T)^-1 T^T, where the columns of T are the ways in which spots may change. */
static void spot_block(struct fit *f)
{
	static const int by_b = PN_MODEL_SHAPE_B;
	double normal[SPOT_SLOTS][SPOT_SLOTS] = { { 0 } }, small[SPOT_SLOTS * SPOT_SLOTS];
	double inverse[SPOT_SLOTS * SPOT_SLOTS], way[SPOT_SLOTS] = { 0 };
	int of[SPOT_SLOTS], ways = 0;

	for (int i = 0; i < SPOT_SLOTS; i++)
		of[i] = -1;
	for (int s = 0; f->p.shape != PN_MODEL_SHAPE_FIXED && s < f->model.species_count; s++) {
		const struct pn_atom_spot *spot = &f->model.spot[s];

		for (int g = 0; g < spot->gaussians; g++)
			for (int v = 0; v < 2; v++) {
				int slot = SPOT_SLOT(s, g) + v;

				if (f->held[f->spots_at + (size_t)slot])
					continue;
				of[slot] = f->p.shape == by_b ? ways + v : ways + 2 * g + v;
				way[slot] = f->p.shape == by_b && v == 0 ? spot->intensity[g] : 1;
			}
		ways += f->p.shape == by_b ? 2 : 2 * spot->gaussians;
	}
	for (size_t k = 0; k < f->count; k++)
		for (int i = 0; i < SPOT_SLOTS; i++)
			for (int j = 0; j < SPOT_SLOTS; j++)
				normal[i][j] += f->spot_normal[k][i][j];
	memset(small, 0, sizeof small);
	for (int i = 0; i < SPOT_SLOTS; i++)
		for (int j = 0; j < SPOT_SLOTS; j++)
			if (of[i] >= 0 && of[j] >= 0)
				small[of[i] * ways + of[j]] += way[i] * way[j] * normal[i][j];
	invert(inverse, small, ways, 1e-4);
	for (int i = 0; i < SPOT_SLOTS; i++)
		for (int j = 0; j < SPOT_SLOTS; j++)
			f->spot_block[i][j] =
				of[i] >= 0 && of[j] >= 0
					? way[i] * way[j] * inverse[of[i] * ways + of[j]]
					: 0;
}

/* The blocks of the Gauss-Newton matrix at @x, inverted. 0 if there is no memory. */
static int precondition(struct fit *f, double *x)
{
	int starved = 0, parts = f->p.shape != PN_MODEL_SHAPE_FIXED;
	struct pn_spot_plan plan;

	unpack(f, x);
	pn_spot_plan_init(&plan, &f->model, f->measured->ny, f->measured->nx);
#pragma omp parallel reduction(| : starved)
	{
		struct canvases c;
		int good = canvases_create(&c, &plan, parts);

#pragma omp for schedule(dynamic)
		for (size_t k = 0; k < f->count; k++) {
			const double *t = x + f->tilts_at + TILT_SLOTS * k;
			struct pn_pose pose = tilt_pose(f, x, k);

			starved |= !good;
			if (!good)
				continue;
			pn_spot_draw(&plan, &pose, c.model);
			tilt_value(f, &plan, x, k, &c, 1);
			pn_spot_curvature(&plan, &pose, c.residual, t[0], f->seen + k * f->atoms);
			tilt_normal(f, &plan, t, k, &c);
			if (parts)
				spot_normal(f, &plan, &pose, t[0], k, &c);
		}
		canvases_free(&c);
	}
	if (starved)
		return 0;
	atom_blocks(f);
	spot_block(f);
	return 1;
}

static void apply_blocks(const struct fit *f, double *out, const double *in)
{
	for (size_t a = 0; a < f->atoms; a++)
		pn_matrix3_apply(out + 3 * a, f->block[a], in + 3 * a);
	for (int i = 0; i < SPOT_SLOTS; i++) {
		double sum = 0;

		for (int j = 0; j < SPOT_SLOTS; j++)
			sum += f->spot_block[i][j] * in[f->spots_at + (size_t)j];
		out[f->spots_at + (size_t)i] = sum;
	}
	for (size_t k = 0; k < f->count; k++)
		for (int i = 0; i < TILT_SLOTS; i++) {
			double sum = 0;

			for (int j = 0; j < TILT_SLOTS; j++)
				sum += f->tilt_block[k][i][j] *
				       in[f->tilts_at + TILT_SLOTS * k + (size_t)j];
			out[f->tilts_at + TILT_SLOTS * k + (size_t)i] = sum;
		}
}

static double dot(const double *a, const double *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* Back into bounds; returns how many atoms hang at the end of their leash. */
static size_t confine(const struct fit *f, double *x)
{
	size_t clamped = 0;

	for (size_t a = 0; a < f->atoms; a++) {
		double *r = x + 3 * a, d[3], length2 = 0;

		for (int i = 0; i < 3; i++) {
			d[i] = r[i] - f->start[3 * a + (size_t)i];
			length2 += d[i] * d[i];
		}
		if (length2 <= f->p.clamp_A * f->p.clamp_A)
			continue;
		clamped++;
		for (int i = 0; i < 3; i++)
			r[i] = f->start[3 * a + (size_t)i] + d[i] * f->p.clamp_A / sqrt(length2);
	}
	if (f->p.shape == PN_MODEL_SHAPE_FIXED)
		return clamped;
	for (int s = 0; s < f->model.species_count; s++)
		for (int g = 0; g < f->model.spot[s].gaussians; g++) {
			double *p = x + f->spots_at + SPOT_SLOT(s, g);

			p[0] = fmax(p[0], 0);
			p[1] = fmin(fmax(p[1], f->variance_min_A2), f->variance_max_A2);
		}
	return clamped;
}

/* Bounds that are pushed against are kept until the push turns. 1 if there is a change among the
 * spots, which everything depends on. */
static int hold(struct fit *f, const double *x, const double *gradient)
{
	int changed = 0;

	for (size_t a = 0; a < f->atoms; a++) {
		double length2 = 0, push = 0;
		uint8_t held;

		for (size_t i = 3 * a; i < 3 * a + 3; i++) {
			double d = x[i] - f->start[i];

			length2 += d * d;
			push -= d * gradient[i];
		}
		held = length2 > (1 - 1e-9) * f->p.clamp_A * f->p.clamp_A && push > 0;
		memset(f->held + 3 * a, held, 3);
	}
	for (size_t i = f->spots_at; i < f->tilts_at; i++) {
		int variance = (i - f->spots_at) % 2 == 1;
		double low = variance ? f->variance_min_A2 : 0;
		double high = variance ? f->variance_max_A2 : INFINITY;
		uint8_t held =
			(x[i] <= low && gradient[i] > 0) || (x[i] >= high && gradient[i] < 0);

		changed |= held != f->held[i];
		f->held[i] = held;
	}
	return changed;
}

/* L-BFGS: where we are, and the last steps with their changes of the gradient. */
struct descent {
	double *x, *gradient, *x_new, *gradient_new, *direction, *scratch;
	double *s[MEMORY], *y[MEMORY], rho[MEMORY];
	double scale; /* of the blocks, by the last pair: overlapping atoms push twice */
	int pairs, newest;
	double value, largest_A; /* of the last step */
	double *memory;
};

static int descent_create(struct descent *d, size_t n)
{
	double **arrays[] = { &d->x,         &d->gradient, &d->x_new, &d->gradient_new,
			      &d->direction, &d->scratch };

	memset(d, 0, sizeof *d);
	d->memory = calloc(n * (PN_COUNT(arrays) + 2 * MEMORY), sizeof *d->memory);
	if (!d->memory)
		return 0;
	for (size_t i = 0; i < PN_COUNT(arrays); i++)
		*arrays[i] = d->memory + i * n;
	for (size_t i = 0; i < MEMORY; i++) {
		d->s[i] = d->memory + (PN_COUNT(arrays) + 2 * i) * n;
		d->y[i] = d->s[i] + n;
	}
	return 1;
}

/* The two-loop recursion. */
static void descent_direction(struct descent *d, const struct fit *f)
{
	size_t n = f->size;
	double alpha[MEMORY];

	for (size_t j = 0; j < n; j++)
		d->scratch[j] = f->held[j] ? 0 : d->gradient[j];
	for (int i = 0; i < d->pairs; i++) {
		int at = (d->newest - i + MEMORY) % MEMORY;

		alpha[at] = d->rho[at] * dot(d->s[at], d->scratch, n);
		for (size_t j = 0; j < n; j++)
			d->scratch[j] -= alpha[at] * d->y[at][j];
	}
	apply_blocks(f, d->direction, d->scratch);
	for (size_t j = 0; d->pairs > 0 && j < n; j++)
		d->direction[j] *= d->scale;
	for (int i = d->pairs - 1; i >= 0; i--) {
		int at = (d->newest - i + MEMORY) % MEMORY;
		double beta = d->rho[at] * dot(d->y[at], d->direction, n);

		for (size_t j = 0; j < n; j++)
			d->direction[j] += (alpha[at] - beta) * d->s[at][j];
	}
	for (size_t j = 0; j < n; j++)
		d->direction[j] = f->held[j] ? 0 : -d->direction[j];
}

static void descent_remember(struct descent *d, const struct fit *f)
{
	size_t n = f->size;
	int at = (d->newest + 1) % MEMORY;
	double sy = 0, ss = 0, yy = 0;

	for (size_t j = 0; j < n; j++) {
		double s = d->x_new[j] - d->x[j], y = d->gradient_new[j] - d->gradient[j];

		d->s[at][j] = s;
		d->y[at][j] = y;
		sy += s * y;
		ss += s * s;
		yy += y * y;
	}
	if (!(sy > 1e-12 * sqrt(ss * yy)))
		return;
	apply_blocks(f, d->scratch, d->y[at]);
	d->scale = sy / dot(d->y[at], d->scratch, n);
	d->rho[at] = 1 / sy;
	d->newest = at;
	d->pairs += d->pairs < MEMORY;
}

/* No further than the quadratic picture can be trusted, each atom and each species by itself: half
 * the narrowest sigma, 30 % of a variance, half of an intensity. */
static void descent_trust(struct descent *d, const struct fit *f)
{
	for (size_t a = 0; a < f->atoms; a++) {
		double *step = d->direction + 3 * a, length = sqrt(dot(step, step, 3)), far;

		if (f->model.species[a] == PN_NO_ATOM)
			continue;
		far = 0.5 * sqrt(f->model.spot[f->model.species[a]].variance_A2[0]);
		for (int i = 0; i < 3 && length > far; i++)
			step[i] *= far / length;
	}
	for (int s = 0; s < f->model.species_count; s++) {
		double *step = d->direction + f->spots_at + SPOT_SLOT(s, 0), worst = 0, total = 0;
		const double *at = d->x + f->spots_at + SPOT_SLOT(s, 0);
		int slots = 2 * f->model.spot[s].gaussians;

		for (int i = 0; i < slots; i += 2)
			total += fabs(at[i]);
		for (int i = 0; i < slots; i += 2) {
			worst = fmax(worst, fabs(step[i]) / (0.5 * total));
			worst = fmax(worst, fabs(step[i + 1]) / (0.3 * at[i + 1]));
		}
		for (int i = 0; i < slots && worst > 1; i++)
			step[i] /= worst;
	}
}

static void exchange(double **a, double **b)
{
	double *c = *a;

	*a = *b;
	*b = c;
}

/* Along the direction, half as far each time it does not go down enough. 1 if a step was made. */
static int descent_step(struct descent *d, struct fit *f, struct pn_model_fit_result *result)
{
	double step = 1;
	size_t n = f->size;

	for (int attempt = 0; attempt < 12; attempt++, step /= 2) {
		double slope = 0, value;

		d->largest_A = 0;
		for (size_t j = 0; j < n; j++)
			d->x_new[j] = d->x[j] + step * d->direction[j];
		confine(f, d->x_new);
		for (size_t j = 0; j < n; j++) {
			double s = d->x_new[j] - d->x[j];

			slope += s * d->gradient[j];
			d->largest_A =
				j < 3 * f->atoms ? fmax(d->largest_A, fabs(s)) : d->largest_A;
		}
		if (!(slope < 0))
			return 0;
		value = evaluate(f, d->x_new, d->gradient_new);
		result->evaluations++;
		/* images are single precision: a change below 1e-10 of the sum says nothing */
		if (value <= d->value + 1e-4 * slope + 1e-10 * fabs(d->value)) {
			descent_remember(d, f);
			d->value = value;
			exchange(&d->x, &d->x_new);
			exchange(&d->gradient, &d->gradient_new);
			return 1;
		}
	}
	return 0;
}

/* Numbers that are really fitted. */
static double parameter_count(const struct fit *f)
{
	int spots = 0;

	for (int s = 0; s < f->model.species_count; s++)
		spots += f->p.shape == PN_MODEL_SHAPE_PROFILE ? 2 * f->model.spot[s].gaussians
			 : f->p.shape == PN_MODEL_SHAPE_B     ? 2
							      : 0;
	return 3.0 * (double)f->atoms + spots +
	       (double)f->count * (f->p.fit_scale + f->p.fit_offset + 2 * f->p.fit_shift);
}

/* Variance of a pixel in units of what its weight says. */
static double noise2(const struct fit *f, double value)
{
	double points = (double)f->count * (double)f->pixels, free_count = parameter_count(f);

	if (f->p.noise == PN_MODEL_POISSON)
		return 1;
	return points > free_count ? 2 * value / (points - free_count) : NAN;
}

static int descend(struct descent *d, struct fit *f, struct pn_model_fit_result *result)
{
	int limit = f->p.iterations_max, small = 0;

	d->value = evaluate(f, d->x, d->gradient);
	result->evaluations = 1;
	if (f->starved)
		return PN_ENOMEM;
	for (result->iterations = 0; result->iterations < limit && !result->converged;
	     result->iterations++) {
		int changed = hold(f, d->x, d->gradient);

		if (changed)
			d->pairs = 0;
		if (result->iterations == 1 || result->iterations % REFRESH == 0) {
			if (!precondition(f, d->x))
				return PN_ENOMEM;
		} else if (changed) {
			spot_block(f);
		}
		descent_direction(d, f);
		/* half of g P g is what is left to gain, in units of 1/2 per uncertainty^2 */
		if (-dot(d->direction, d->gradient, f->size) <
		    1e-4 * parameter_count(f) * noise2(f, d->value)) {
			result->converged = 1;
			break;
		}
		descent_trust(d, f);
		if (!descent_step(d, f, result)) {
			if (f->starved)
				return PN_ENOMEM;
			/* once more from the blocks alone */
			if (d->pairs == 0) {
				result->converged = d->largest_A * 100 < f->p.tolerance_pm;
				break;
			}
			d->pairs = 0;
			continue;
		}
		small = d->largest_A * 100 < f->p.tolerance_pm ? small + 1 : 0;
		result->converged = small >= 2;
	}
	return PN_OK;
}

/* Sums of slope times model and of slope, with all scales times @factor. */
static void slopes_at(struct fit *f, double *x, double *gradient, double factor, double sum[2])
{
	sum[0] = sum[1] = 0;
	for (size_t k = 0; k < f->count; k++)
		x[f->tilts_at + TILT_SLOTS * k] = factor * f->start[f->tilts_at + TILT_SLOTS * k];
	evaluate(f, x, gradient);
	for (size_t k = 0; k < f->count; k++) {
		sum[0] += f->start[f->tilts_at + TILT_SLOTS * k] * f->tilt[k][1];
		sum[1] += f->tilt[k][2];
	}
}

/* Intensities that fit the images as a whole, and a common offset, before anything moves: linear
 * least squares, whose normal equations are in the slopes with and without the model. */
static void start_scale(struct fit *f, double *x, double *gradient)
{
	enum pn_model_noise noise = f->p.noise;
	double none[2], all[2], n = 0;

	f->p.noise = PN_MODEL_GAUSS;
	for (size_t k = 0; k < f->count; k++) {
		x[f->tilts_at + TILT_SLOTS * k + 1] *= !f->p.fit_offset;
		n += (f->p.weight ? f->p.weight[k] : 1) * (double)f->pixels;
	}
	slopes_at(f, x, gradient, 0, none);
	slopes_at(f, x, gradient, 1, all);
	f->p.noise = noise;
	double mb = -none[0], b1 = -none[1], mm = all[0] + mb, m1 = all[1] + b1;
	double scale = mb / mm, offset = 0, free_part = mm * n - m1 * m1;

	if (f->p.fit_offset && free_part > 1e-9 * mm * n) {
		scale = (mb * n - m1 * b1) / free_part;
		offset = (b1 - scale * m1) / n;
	}
	if (!(scale > 0 && isfinite(scale)))
		scale = 1;
	for (int i = 0; i < SPOT_SLOTS; i += 2)
		x[f->spots_at + (size_t)i] *= scale;
	for (size_t k = 0; f->p.fit_offset && k < f->count; k++)
		x[f->tilts_at + TILT_SLOTS * k + 1] = offset;
}

static int params_check(struct fit *f, struct pn_error *err)
{
	struct pn_model_fit_params *p = &f->p;
	double pixel2 = f->model.pixel_A * f->model.pixel_A;

	p->clamp_A = p->clamp_A != 0 ? p->clamp_A : 1;
	p->expected_min = p->expected_min != 0 ? p->expected_min : 0.05;
	p->tolerance_pm = p->tolerance_pm != 0 ? p->tolerance_pm : 0.01;
	p->iterations_max = p->iterations_max != 0 ? p->iterations_max : 200;
	p->fit_scale = p->fit_scale != 0;
	p->fit_offset = p->fit_offset != 0;
	p->fit_shift = p->fit_shift != 0;
	f->variance_min_A2 = fmax(pn_b_factor_variance_A2(p->b_min_A2), 0.09 * pixel2);
	f->variance_max_A2 = p->b_max_A2 != 0 ? pn_b_factor_variance_A2(p->b_max_A2) : 400 * pixel2;
	if (!(p->clamp_A > 0 && p->expected_min > 0 && p->tolerance_pm > 0) ||
	    p->iterations_max < 1 || !(p->b_min_A2 >= 0 && p->b_max_A2 >= 0) ||
	    !(f->variance_max_A2 > f->variance_min_A2 && f->variance_max_A2 <= 4096 * pixel2))
		return pn_error_set(err, PN_EARG,
				    "model fit: clamp %g A, expected %g, tolerance %g pm, "
				    "%d iterations, B %g to %g A^2",
				    p->clamp_A, p->expected_min, p->tolerance_pm, p->iterations_max,
				    p->b_min_A2, p->b_max_A2);
	for (size_t k = 0; p->weight && k < f->count; k++)
		if (!(p->weight[k] >= 0 && isfinite(p->weight[k])))
			return pn_error_set(err, PN_EARG, "model fit: weight of tilt %zu is %g", k,
					    p->weight[k]);
	return PN_OK;
}

static int input_check(const struct fit *f, const struct pn_model_tilt *tilt, struct pn_error *err)
{
	size_t seen = 0, all = f->count * f->pixels;

	for (size_t a = 0; a < f->atoms; a++)
		seen += f->model.species[a] != PN_NO_ATOM;
	if (seen == 0)
		return pn_error_set(err, PN_EARG, "model fit: no atom among %zu sites", f->atoms);
	for (size_t i = 0; f->p.noise == PN_MODEL_POISSON && i < all; i++)
		if (f->measured->image[i] < 0)
			return pn_error_set(
				err, PN_EARG, "model fit: pixel %zu of projection %zu counts %g",
				i % f->pixels, i / f->pixels, (double)f->measured->image[i]);
	for (size_t k = 0; tilt && k < f->count; k++)
		if (!isfinite(tilt[k].scale) || !isfinite(tilt[k].offset) ||
		    !isfinite(tilt[k].shift_px[0]) || !isfinite(tilt[k].shift_px[1]))
			return pn_error_set(
				err, PN_EARG,
				"model fit: tilt %zu has scale %g, offset %g, shift %g %g", k,
				tilt[k].scale, tilt[k].offset, tilt[k].shift_px[0],
				tilt[k].shift_px[1]);
	return PN_OK;
}

static void pack(struct fit *f, double *x, const struct pn_model_tilt *tilt)
{
	memcpy(x, f->model.position_A, f->atoms * sizeof *f->model.position_A);
	memset(x + f->spots_at, 0, SPOT_SLOTS * sizeof *x);
	for (int s = 0; s < f->model.species_count; s++)
		for (int g = 0; g < f->model.spot[s].gaussians; g++) {
			x[f->spots_at + SPOT_SLOT(s, g)] = f->model.spot[s].intensity[g];
			x[f->spots_at + SPOT_SLOT(s, g) + 1] = f->model.spot[s].variance_A2[g];
		}
	for (size_t k = 0; k < f->count; k++) {
		double *t = x + f->tilts_at + TILT_SLOTS * k;

		t[0] = tilt ? tilt[k].scale : 1;
		t[1] = tilt ? tilt[k].offset : 0;
		t[2] = tilt ? tilt[k].shift_px[0] : 0;
		t[3] = tilt ? tilt[k].shift_px[1] : 0;
	}
	memcpy(f->start, x, f->size * sizeof *x);
}

/* Scales of mean 1; then everything back to where it came from. */
static void hand_back(struct fit *f, double *x, struct pn_linear_model *model,
		      struct pn_model_tilt *tilt)
{
	double mean = 0;

	for (size_t k = 0; k < f->count; k++)
		mean += x[f->tilts_at + TILT_SLOTS * k] / (double)f->count;
	if (!f->p.fit_scale || !(mean > 0))
		mean = 1;
	unpack(f, x);
	memcpy(model->spot, f->model.spot, sizeof model->spot);
	memcpy(model->position_A, x, f->atoms * sizeof *model->position_A);
	for (int s = 0; s < model->species_count; s++)
		for (int g = 0; g < model->spot[s].gaussians; g++)
			model->spot[s].intensity[g] *= mean;
	for (size_t k = 0; tilt && k < f->count; k++) {
		const double *t = x + f->tilts_at + TILT_SLOTS * k;

		tilt[k] = (struct pn_model_tilt){ t[0] / mean, t[1], { t[2], t[3] } };
	}
}

/* From the blocks at the end, just made. */
static void summarize(struct fit *f, struct descent *d, double (*sigma_pm)[3],
		      struct pn_model_fit_result *result)
{
	double chi2 = 0, moved2 = 0, points = (double)f->count * (double)f->pixels;
	size_t unseen = 0;

	for (size_t a = 0; a < f->atoms; a++)
		for (int i = 0; i < 3; i++) {
			double step = d->x[3 * a + (size_t)i] - f->start[3 * a + (size_t)i];
			double variance = f->block[a][i][i] * noise2(f, d->value);

			moved2 += step * step / (double)f->atoms;
			if (sigma_pm)
				sigma_pm[a][i] = f->block[a][i][i] > 0 ? 100 * sqrt(variance) : NAN;
			unseen += i == 0 && !(f->block[a][i][i] > 0) &&
				  f->model.species[a] != PN_NO_ATOM;
		}
	for (size_t k = 0; k < f->count; k++)
		chi2 += f->tilt[k][3];
	result->objective = d->value;
	result->chi2 = chi2 / points;
	result->moved_rms_pm = 100 * sqrt(moved2);
	memcpy(d->x_new, d->x, f->size * sizeof *d->x);
	for (size_t i = 0; i < 3 * f->atoms; i++) /* a leash is felt when one pulls */
		d->x_new[i] += 1e-6 * (d->x[i] - f->start[i]);
	result->clamped = confine(f, d->x_new) + unseen;
}

static int fit_run(struct fit *f, const struct pn_model_tilt *tilt, struct descent *d,
		   double (*sigma_pm)[3], struct pn_model_fit_result *result, struct pn_error *err)
{
	int status;

	pack(f, d->x, tilt);
	if (f->p.shape != PN_MODEL_SHAPE_FIXED)
		start_scale(f, d->x, d->gradient);
	confine(f, d->x);
	status = descend(d, f, result);
	if (status == PN_OK && !precondition(f, d->x))
		status = PN_ENOMEM;
	if (status != PN_OK)
		return pn_error_set(err, status, "no memory to fit %zu atoms to %zu projections",
				    f->atoms, f->count);
	summarize(f, d, sigma_pm, result);
	return PN_OK;
}

int pn_model_fit(struct pn_linear_model *model, const struct pn_projections *measured,
		 struct pn_model_tilt *tilt, const struct pn_model_fit_params *params,
		 double (*sigma_pm)[3], struct pn_model_fit_result *result, struct pn_error *err)
{
	struct fit f = { .model = *model, .measured = measured, .p = *params };
	struct descent d = { 0 };
	int status = pn_projections_check(measured, err);

	f.atoms = model->count;
	f.count = measured->count;
	f.pixels = measured->ny * measured->nx;
	f.spots_at = 3 * f.atoms;
	f.tilts_at = f.spots_at + SPOT_SLOTS;
	f.size = f.tilts_at + TILT_SLOTS * f.count;
	memset(result, 0, sizeof *result);
	if (status == PN_OK)
		status = pn_linear_model_check(model, err);
	if (status == PN_OK)
		status = params_check(&f, err);
	if (status == PN_OK)
		status = input_check(&f, tilt, err);
	if (status != PN_OK)
		return status;
	f.start = malloc(f.size * sizeof *f.start);
	f.seen = malloc(f.atoms * f.count * sizeof *f.seen);
	f.sums = malloc(f.count * sizeof *f.sums);
	f.tilt = malloc(f.count * sizeof *f.tilt);
	f.held = calloc(f.size, sizeof *f.held);
	f.block = calloc(f.atoms, sizeof *f.block);
	f.tilt_block = calloc(f.count, sizeof *f.tilt_block);
	f.spot_normal = calloc(f.count, sizeof *f.spot_normal);
	if (f.start && f.seen && f.sums && f.tilt && f.held && f.block && f.tilt_block &&
	    f.spot_normal && descent_create(&d, f.size))
		status = fit_run(&f, tilt, &d, sigma_pm, result, err);
	else
		status = pn_error_set(err, PN_ENOMEM, "no memory to fit %zu atoms", f.atoms);
	if (status == PN_OK)
		hand_back(&f, d.x, model, tilt);
	free(f.start);
	free(f.seen);
	free(f.sums);
	free(f.tilt);
	free(f.held);
	free(f.block);
	free(f.tilt_block);
	free(f.spot_normal);
	free(d.memory);
	return status;
}
