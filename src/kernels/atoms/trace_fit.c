/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "trace_parts.h"

#include "perrin/math/linear.h"

#include <math.h>
#include <string.h>

/* ---- the polynomial of 4th order --------------------------------------------------------------
 */

enum { ORDER = 4, TERMS = 35, USED = 10, STEPS_MAX = 30 };
enum { XX = 4, XY, XZ, YY, YZ, ZZ };
static const double radius = 3.5, weight_radius = 3; /* samples */
static const double step_max = 0.5, step_end = 1e-4; /* samples */

static double power_of(double x, int n)
{
	double p = 1;

	while (n-- > 0)
		p *= x;
	return p;
}

static void list_terms(struct trace_polynomial *p)
{
	p->terms = 0;
	for (int degree = 0; degree <= ORDER; degree++)
		for (int i = degree; i >= 0; i--)
			for (int j = degree - i; j >= 0; j--, p->terms++) {
				p->power[p->terms][0] = i;
				p->power[p->terms][1] = j;
				p->power[p->terms][2] = degree - i - j;
			}
}

static double monomial_at(const struct trace_polynomial *p, int term, int sample)
{
	int x = sample % TRACE_ROW - TRACE_HALF, y = sample / TRACE_ROW % TRACE_EDGE - TRACE_HALF;
	int z = sample / (TRACE_ROW * TRACE_EDGE) - TRACE_HALF;

	return power_of(x, p->power[term][0]) * power_of(y, p->power[term][1]) *
	       power_of(z, p->power[term][2]);
}

static double weight_at(int sample)
{
	int x = sample % TRACE_ROW - TRACE_HALF, y = sample / TRACE_ROW % TRACE_EDGE - TRACE_HALF;
	int z = sample / (TRACE_ROW * TRACE_EDGE) - TRACE_HALF, r2 = x * x + y * y + z * z;

	return r2 <= radius * radius && x <= TRACE_HALF ? exp(-r2 / (weight_radius * weight_radius))
							: 0;
}

/* c = (A^T W A)^-1 A^T W s: the same for every atom, as the samples go along with the peak. */
int trace_polynomial_build(struct trace_polynomial *p, struct pn_error *err)
{
	double normal[TERMS][TERMS] = { { 0 } };

	list_terms(p);
	pn_assert(p->terms == TERMS && p->power[ZZ][2] == 2);
	for (int s = 0; s < TRACE_SAMPLES; s++) {
		double m[TERMS], w = weight_at(s);

		p->weight[s] = (float)w;
		for (int t = 0; t < TERMS; t++) {
			m[t] = monomial_at(p, t, s);
			p->monomial[t][s] = (float)m[t];
		}
		for (int t = 0; t < TERMS; t++)
			for (int u = 0; u < TERMS; u++)
				normal[t][u] += w * m[t] * m[u];
	}
	for (int t = 0; t < TERMS; t++) {
		double unit[TERMS] = { 0 }, inverse[TERMS];

		unit[t] = 1;
		int rc = pn_solve_positive(inverse, normal[0], unit, TERMS, err);

		if (rc != PN_OK)
			return rc;
		for (int s = 0; s < TRACE_SAMPLES; s++) {
			double sum = 0;

			for (int u = 0; u < TERMS; u++)
				sum += inverse[u] * monomial_at(p, u, s);
			p->row[t][s] = (float)(sum * weight_at(s));
		}
	}
	return PN_OK;
}

/* Coefficients from @first on, USED / 2 of them at a time to keep the adders busy; 8 partial sums
 * each. */
static void coefficients(double *c, const struct trace_polynomial *p, int first,
			 const float samples[TRACE_SAMPLES])
{
	float lane[USED / 2][TRACE_ROW] = { { 0 } };

	for (int s = 0; s < TRACE_SAMPLES; s += TRACE_ROW)
		for (int t = 0; t < USED / 2; t++)
			for (int i = 0; i < TRACE_ROW; i++)
				lane[t][i] += p->row[first + t][s + i] * samples[s + i];
	for (int t = 0; t < USED / 2; t++) {
		double sum = 0;

		for (int i = 0; i < TRACE_ROW; i++)
			sum += lane[t][i];
		c[first + t] = sum;
	}
}

static int is_maximum(const double h[3][3])
{
	return h[0][0] < 0 && h[0][0] * h[1][1] - h[0][1] * h[0][1] > 0 &&
	       pn_matrix3_determinant(h) < 0;
}

/* Newton's step to where the gradient is 0; uphill where the quadratic part has no maximum. */
static int newton_step(double step[3], const double c[USED])
{
	double h[3][3] = { { 2 * c[XX], c[XY], c[XZ] },
			   { c[XY], 2 * c[YY], c[YZ] },
			   { c[XZ], c[YZ], 2 * c[ZZ] } };
	double gradient[3] = { -c[1], -c[2], -c[3] }, inverse[3][3];
	int maximum = is_maximum(h) && pn_matrix3_invert(inverse, h);

	if (maximum) {
		pn_matrix3_apply(step, inverse, gradient);
	} else {
		double length = sqrt(c[1] * c[1] + c[2] * c[2] + c[3] * c[3]);

		for (int k = 0; k < 3; k++)
			step[k] = length > 0 ? step_max * c[1 + k] / length : 0;
	}
	for (int k = 0; k < 3; k++)
		step[k] = fmin(fmax(step[k], -step_max), step_max);
	return maximum;
}

/* Take the neighbours' Gaussians from the samples. */
static void clear_samples(float samples[TRACE_SAMPLES], const struct trace_around *around,
			  const double at[3])
{
	for (size_t i = 0; around && i < around->count; i++) {
		const struct trace_peak *atom = &around->atom[around->near[i]];
		float e[3][TRACE_ROW] = { { 0 } };

		for (int k = 0; k < 3; k++)
			for (int j = 0; j < TRACE_EDGE; j++) {
				double x = at[k] + (double)(j - TRACE_HALF) / TRACE_UPSAMPLE;

				x = (x - atom->at[k]) / around->width_px[k];
				e[k][j] = (float)exp(-x * x / 2);
			}
		for (int z = 0; z < TRACE_EDGE; z++)
			for (int y = 0; y < TRACE_EDGE; y++) {
				float part = (float)atom->height * e[2][z] * e[1][y];
				float *row = samples + (z * TRACE_EDGE + y) * TRACE_ROW;

				for (int x = 0; x < TRACE_ROW; x++)
					row[x] -= part * e[0][x];
			}
	}
}

static double rms_residual(const struct trace_polynomial *p, const float samples[TRACE_SAMPLES])
{
	double c[TERMS], sum = 0, weights = 0;

	for (int t = 0; t < TERMS; t += USED / 2)
		coefficients(c, p, t, samples);
	for (int s = 0; s < TRACE_SAMPLES; s++) {
		if (p->weight[s] == 0)
			continue;
		double r = samples[s];

		for (int t = 0; t < TERMS; t++)
			r -= c[t] * p->monomial[t][s];
		sum += p->weight[s] * r * r;
		weights += p->weight[s];
	}
	return sqrt(sum / weights);
}

void trace_polynomial_fit(struct trace_peak *peak, const struct trace_polynomial *p,
			  const struct trace_spline *spline, const struct trace_around *around)
{
	float samples[TRACE_SAMPLES];
	double c[USED], step[3], start[3], reach = radius / TRACE_UPSAMPLE, at[3];

	memcpy(start, peak->at, sizeof start);
	memcpy(at, start, sizeof at);
	peak->fitted = 0;
	for (int i = 0; i < STEPS_MAX && !peak->fitted; i++) {
		trace_spline_fine(samples, spline, at);
		clear_samples(samples, around, at);
		coefficients(c, p, 0, samples);
		coefficients(c, p, USED / 2, samples);
		int maximum = newton_step(step, c);
		double longest = 0;

		for (int k = 0; k < 3; k++) {
			at[k] += step[k] / TRACE_UPSAMPLE;
			longest = fmax(longest, fabs(step[k]));
			if (!(fabs(at[k] - start[k]) <= reach) || at[k] < 0 ||
			    at[k] > (double)(spline->n[k] - 1))
				return;
		}
		peak->fitted = maximum && longest < step_end && c[0] > 0;
	}
	if (!peak->fitted)
		return;
	memcpy(peak->at, at, sizeof at);
	peak->height = c[0];
	peak->width_px[0] = sqrt(-c[0] / (2 * c[XX])) / TRACE_UPSAMPLE;
	peak->width_px[1] = sqrt(-c[0] / (2 * c[YY])) / TRACE_UPSAMPLE;
	peak->width_px[2] = sqrt(-c[0] / (2 * c[ZZ])) / TRACE_UPSAMPLE;
}

void trace_polynomial_residual(struct trace_peak *peak, const struct trace_polynomial *polynomial,
			       const struct trace_spline *spline, const struct trace_around *around)
{
	float samples[TRACE_SAMPLES];

	trace_spline_fine(samples, spline, peak->at);
	clear_samples(samples, around, peak->at);
	peak->residual = rms_residual(polynomial, samples) / peak->height;
}

/* ---- the Gaussian -----------------------------------------------------------------------------
 */

enum { BACKGROUND, HEIGHT, PLACE, WIDTH = 5, PARAMETERS = 8, BOX_MAX = 7, ROUNDS_MAX = 60 };
static const double width_min_px = 0.3, width_max_px = 7, moved_max_px = 1;
static const double converged_step = 1e-6, converged_part = 1e-7, damping_start = 1e-3,
		    damping_max = 1e12;

struct gaussian_box {
	size_t low[3], size[3]; /* x, y, z */
	int points;
	double value[BOX_MAX * BOX_MAX * BOX_MAX];
	double start[3];
};

/* The three factors of the Gaussian, and the distances in widths. 0 = out of bounds. */
static int factors(double e[3][BOX_MAX], double d[3][BOX_MAX], const double *p,
		   const struct gaussian_box *box)
{
	for (int k = 0; k < 3; k++) {
		double width = p[WIDTH + k], place = p[PLACE + k];

		if (!(width >= width_min_px && width <= width_max_px && p[HEIGHT] > 0 &&
		      fabs(place - box->start[k]) <= moved_max_px))
			return 0;
		for (size_t i = 0; i < box->size[k]; i++) {
			d[k][i] = ((double)(box->low[k] + i) - place) / width;
			e[k][i] = exp(-d[k][i] * d[k][i] / 2);
		}
	}
	return 1;
}

static double sum_of_squares(const double *p, const struct gaussian_box *box)
{
	double e[3][BOX_MAX], d[3][BOX_MAX], sum = 0;
	const double *value = box->value;

	if (!factors(e, d, p, box))
		return INFINITY;
	for (size_t z = 0; z < box->size[2]; z++)
		for (size_t y = 0; y < box->size[1]; y++) {
			double row = p[HEIGHT] * e[2][z] * e[1][y];

			for (size_t x = 0; x < box->size[0]; x++) {
				double r = p[BACKGROUND] + row * e[0][x] - *value++;

				sum += r * r;
			}
		}
	return sum;
}

/* Upper triangle of J^T J, and -J^T r, with the derivatives as they are known. */
static void normal_equations(double normal[PARAMETERS][PARAMETERS], double right[PARAMETERS],
			     const double *p, const struct gaussian_box *box)
{
	double e[3][BOX_MAX], d[3][BOX_MAX];
	const double *value = box->value;

	memset(normal, 0, PARAMETERS * sizeof normal[0]);
	memset(right, 0, PARAMETERS * sizeof right[0]);
	if (!factors(e, d, p, box))
		return;
	for (size_t z = 0; z < box->size[2]; z++)
		for (size_t y = 0; y < box->size[1]; y++)
			for (size_t x = 0; x < box->size[0]; x++) {
				double g = e[2][z] * e[1][y] * e[0][x], hg = p[HEIGHT] * g;
				double r = p[BACKGROUND] + hg - *value++;
				double u[3] = { d[0][x], d[1][y], d[2][z] };
				double row[PARAMETERS] = { 1, g };

				for (int k = 0; k < 3; k++) {
					row[PLACE + k] = hg * u[k] / p[WIDTH + k];
					row[WIDTH + k] = row[PLACE + k] * u[k];
				}
				for (int i = 0; i < PARAMETERS; i++) {
					right[i] -= row[i] * r;
					for (int j = i; j < PARAMETERS; j++)
						normal[i][j] += row[i] * row[j];
				}
			}
}

static int solve_damped(double step[PARAMETERS], double normal[PARAMETERS][PARAMETERS],
			const double right[PARAMETERS], double damping)
{
	double damped[PARAMETERS][PARAMETERS];

	memcpy(damped, normal, sizeof damped);
	for (int i = 0; i < PARAMETERS; i++)
		damped[i][i] *= 1 + damping;
	return pn_solve_positive(step, damped[0], right, PARAMETERS, NULL);
}

/*
 * Levenberg and Marquardt. Not by perrin/math/fit.h: with derivatives in closed form, which are
 * products along the axes, and without covariances, a fit of 7^3 voxels costs a twentieth.
 * Returns the sum of squares, INFINITY if it does not converge; *rc tells of no memory.
 */
static double fit_box(double p[PARAMETERS], const struct gaussian_box *box, int *rc)
{
	double least = sum_of_squares(p, box), damping = damping_start;

	for (int round = 0; round < ROUNDS_MAX && isfinite(least); round++) {
		double normal[PARAMETERS][PARAMETERS], right[PARAMETERS], step[PARAMETERS];
		double next[PARAMETERS], sum = INFINITY, longest = 0;

		normal_equations(normal, right, p, box);
		for (; damping < damping_max; damping *= 10) {
			int solved = solve_damped(step, normal, right, damping);

			if (solved == PN_ENOMEM) {
				*rc = solved;
				return INFINITY;
			}
			longest = 0;
			for (int i = 0; i < PARAMETERS && solved == PN_OK; i++) {
				next[i] = p[i] + step[i];
				longest = fmax(longest, fabs(step[i]));
			}
			sum = solved == PN_OK ? sum_of_squares(next, box) : INFINITY;
			if (sum <= least)
				break;
			/* so short a step that does not lead down: this is the bottom */
			if (solved == PN_OK && isfinite(sum) && longest < converged_step)
				return least;
		}
		if (!(sum <= least))
			return INFINITY;
		int done = longest < converged_step || least - sum < converged_part * least;

		memcpy(p, next, sizeof next);
		least = sum;
		damping = fmax(damping / 10, 1e-12);
		if (done)
			return least;
	}
	return INFINITY;
}

static void clear_box(struct gaussian_box *box, const struct trace_peak *atom,
		      const double width_px[3], double unit)
{
	double e[3][BOX_MAX], *value = box->value;

	for (int k = 0; k < 3; k++)
		for (size_t i = 0; i < box->size[k]; i++) {
			double x = ((double)(box->low[k] + i) - atom->at[k]) / width_px[k];

			e[k][i] = exp(-x * x / 2);
		}
	for (size_t z = 0; z < box->size[2]; z++)
		for (size_t y = 0; y < box->size[1]; y++)
			for (size_t x = 0; x < box->size[0]; x++)
				*value++ -= atom->height / unit * e[2][z] * e[1][y] * e[0][x];
}

/* The voxels about the peak that exist, in units of its height. */
static void fill_box(struct gaussian_box *box, const struct trace_peak *peak, const float *volume,
		     const size_t n[3], const struct trace_around *around, int edge)
{
	double *to = box->value;

	for (int k = 0; k < 3; k++) {
		long center = lround(peak->at[k]), low = center - edge / 2,
		     high = center + edge / 2;

		low = low < 0 ? 0 : low;
		high = high >= (long)n[k] ? (long)n[k] - 1 : high;
		box->low[k] = (size_t)low;
		box->size[k] = (size_t)(high - low + 1);
		box->start[k] = peak->at[k];
	}
	for (size_t z = 0; z < box->size[2]; z++)
		for (size_t y = 0; y < box->size[1]; y++)
			for (size_t x = 0; x < box->size[0]; x++)
				*to++ = volume[((box->low[2] + z) * n[1] + box->low[1] + y) * n[0] +
					       box->low[0] + x] /
					peak->height;
	box->points = (int)(to - box->value);
	for (size_t i = 0; around && i < around->count; i++)
		clear_box(box, &around->atom[around->near[i]], around->width_px, peak->height);
}

int trace_gaussian_fit(struct trace_peak *peak, const float *volume, const size_t n[3],
		       const struct trace_around *around, struct pn_error *err)
{
	struct trace_peak best = *peak;
	double least = INFINITY;
	int rc = PN_OK;

	for (int edge = 3; edge <= BOX_MAX; edge += 2) {
		struct gaussian_box box;
		double p[PARAMETERS] = { 0, 1 };

		fill_box(&box, peak, volume, n, around, edge);
		for (int k = 0; k < 3; k++) {
			p[PLACE + k] = peak->at[k];
			p[WIDTH + k] = fmin(fmax(peak->width_px[k], 0.5), 3);
		}
		if (box.points <= PARAMETERS)
			continue;
		double sum = fit_box(p, &box, &rc), variance = sum / (box.points - PARAMETERS);

		if (rc != PN_OK)
			return pn_error_set(err, rc, "no memory for a fit");
		if (!(variance < least) || !(p[HEIGHT] + p[BACKGROUND] > 0))
			continue;
		least = variance;
		best.box_px = edge;
		best.height = peak->height * (p[HEIGHT] + p[BACKGROUND]);
		best.residual = sqrt(sum / box.points) * peak->height / best.height;
		memcpy(best.at, p + PLACE, sizeof best.at);
		memcpy(best.width_px, p + WIDTH, sizeof best.width_px);
	}
	*peak = best;
	return PN_OK;
}
