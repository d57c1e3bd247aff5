/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/disorder.h"

#include "perrin/math/fit.h"
#include "perrin/math/linear.h"

#include <math.h>
#include <stdlib.h>

/*
 * The fit works on ln A, ln(d_min - d_c) and the exponent -n: A > 0 and d_c < d_min then hold by
 * themselves, and steps are of one size.
 */
enum { LN_A, LN_GAP, EXPONENT, PARAMETERS };
enum { BELOW_MAX = 16 }; /* diameters below d_c */

struct points {
	const double *diameter_A, *fraction, *sigma;
	size_t count;
	double least_A; /* d_c is below this diameter; smaller ones are below d_c, too */
};

static double at(const double *p, double least_A, double diameter_A)
{
	if (diameter_A < least_A)
		return 1;
	return 1 - exp(p[LN_A] + p[EXPONENT] * log(diameter_A - least_A + exp(p[LN_GAP])));
}

static int residual(const double *p, double *r, void *context)
{
	const struct points *points = context;

	if (fabs(p[LN_A]) > 200 || fabs(p[LN_GAP]) > 30 || fabs(p[EXPONENT]) > 100)
		return 1;
	for (size_t i = 0; i < points->count; i++)
		r[i] = (at(p, points->least_A, points->diameter_A[i]) - points->fraction[i]) /
		       (points->sigma ? points->sigma[i] : 1);
	return 0;
}

static int check(struct points *points, struct pn_error *err)
{
	double low = INFINITY, high = -INFINITY, other[PARAMETERS] = { 0 };
	size_t different = 0;

	points->least_A = INFINITY;
	for (size_t i = 0; i < points->count; i++) {
		double d = points->diameter_A[i], f = points->fraction[i];
		int seen = different == PARAMETERS;

		if (!isfinite(d) || !isfinite(f) || (points->sigma && !(points->sigma[i] > 0)))
			return pn_error_set(err, PN_EARG,
					    "disorder: point %zu is (%g A, %g), sigma %g", i + 1, d,
					    f, points->sigma ? points->sigma[i] : NAN);
		for (size_t j = 0; j < different; j++)
			seen |= other[j] == d;
		if (!seen)
			other[different++] = d;
		points->least_A = fmin(points->least_A, d);
		low = fmin(low, f);
		high = fmax(high, f);
	}
	if (different < PARAMETERS)
		return pn_error_set(err, PN_EARG,
				    "disorder: %zu different diameters, the curve has %d "
				    "parameters",
				    different, PARAMETERS);
	if (!(high > low))
		return pn_error_set(err, PN_EARG, "disorder: the fraction is %g at all diameters",
				    low);
	return PN_OK;
}

/* For a given gap the logarithm of the curve is a line: ln(1 - f) = ln A - n ln(d - d_c). */
static void start_from_line(double *p, const struct points *points, double gap_A)
{
	double s = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;

	for (size_t i = 0; i < points->count; i++) {
		if (points->diameter_A[i] < points->least_A)
			continue;
		double x = log(points->diameter_A[i] - points->least_A + gap_A);
		double y = log(fmax(1 - points->fraction[i], 1e-3));

		s++;
		sx += x;
		sy += y;
		sxx += x * x;
		sxy += x * y;
	}
	p[EXPONENT] = (s * sxy - sx * sy) / (s * sxx - sx * sx);
	p[LN_A] = (sy - p[EXPONENT] * sx) / s;
	p[LN_GAP] = log(gap_A);
}

/* The lowest of the fits with d_c below least_A; best stays if none is lower. */
static int fit_below(struct pn_fit_result *best, struct points *points)
{
	struct pn_fit_problem problem = { (int)points->count,   PARAMETERS, residual, points, 2000,
					  points->sigma != NULL };
	int better = 0;

	/* the valley is long and bent: from several gaps, the lowest counts */
	for (double gap_A = 0.02; gap_A < 50; gap_A *= 3) {
		struct pn_fit_result fit = { 0 };

		start_from_line(fit.value, points, gap_A);
		if (pn_fit(&fit, &problem, NULL) != PN_OK || !(fit.chi2 < best->chi2))
			continue;
		*best = fit;
		better = 1;
	}
	return better;
}

/*
 * Make the next larger diameter least_A. Returns 0 if too few are left for a curve, or if the ones
 * below are so far from fully disordered that their share of chi2 alone exceeds @chi2.
 */
static int next_least(struct points *points, double chi2)
{
	double next_A = INFINITY, next2_A = INFINITY, largest_A = 0, below = 0;

	for (size_t i = 0; i < points->count; i++) {
		double d = points->diameter_A[i];
		double r = (1 - points->fraction[i]) / (points->sigma ? points->sigma[i] : 1);

		below += d <= points->least_A ? r * r : 0;
		largest_A = fmax(largest_A, d);
		if (d > points->least_A && d < next_A) {
			next2_A = next_A;
			next_A = d;
		} else if (d > next_A && d < next2_A) {
			next2_A = d;
		}
	}
	points->least_A = next_A;
	return below < chi2 && largest_A > next2_A;
}

int pn_disorder_fit(struct pn_disorder *disorder, const double *diameter_A, const double *fraction,
		    const double *sigma, size_t count, struct pn_error *err)
{
	struct points points = { diameter_A, fraction, sigma, count, 0 };
	struct pn_fit_result best = { .chi2 = INFINITY };
	int rc = check(&points, err);
	double least_A = points.least_A;

	for (int below = 0; !rc && below <= BELOW_MAX; below++) {
		if (fit_below(&best, &points))
			least_A = points.least_A;
		if (!next_least(&points, best.chi2))
			break;
	}
	if (!rc && isinf(best.chi2))
		rc = pn_error_set(err, PN_EARG, "disorder: no curve goes near the %zu points",
				  count);
	if (rc)
		return rc;
	double gap_A = exp(best.value[LN_GAP]), A = exp(best.value[LN_A]);

	*disorder = (struct pn_disorder){
		.A = A,
		.n = -best.value[EXPONENT],
		.critical_diameter_A = least_A - gap_A,
		.A_uncertainty = A * best.uncertainty[LN_A],
		.n_uncertainty = best.uncertainty[EXPONENT],
		.critical_diameter_uncertainty_A = gap_A * best.uncertainty[LN_GAP],
		.chi2 = best.chi2,
		.points = (int)count,
		.converged = best.converged,
	};
	return PN_OK;
}

double pn_disorder_at(const struct pn_disorder *disorder, double diameter_A)
{
	double gap_A = diameter_A - disorder->critical_diameter_A;

	return gap_A <= 0 ? 1 : 1 - disorder->A * pow(gap_A, -disorder->n);
}

/* What is taken off all x, so that a far origin (a clock, say) costs b no digits. NaN for no
 * points. */
static double middle_of(const double *x, size_t count)
{
	double low = INFINITY, high = -INFINITY;

	for (size_t i = 0; i < count; i++) {
		low = fmin(low, x[i]);
		high = fmax(high, x[i]);
	}
	return low + (high - low) / 2;
}

int pn_line_fit(struct pn_line *line, const double *x, const double *y, const double *sigma,
		size_t count, struct pn_error *err)
{
	double *a = calloc(3 * count + 1, sizeof *a), *b = a + 2 * count;
	double value[2], covariance[4], chi2 = 0, middle = middle_of(x, count);
	int rank = 0, rc = PN_OK;

	if (!a)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu points", count);
	for (size_t i = 0; i < count; i++) {
		double s = sigma ? sigma[i] : 1;

		if (!(s > 0) && !rc)
			rc = pn_error_set(err, PN_EARG,
					  "line: standard deviation of point %zu is %g", i + 1, s);
		a[2 * i] = 1 / s;
		a[2 * i + 1] = (x[i] - middle) / s;
		b[i] = y[i] / s;
	}
	if (!rc)
		rc = pn_least_squares(value, covariance, &rank, a, b, (int)count, 2, err);
	for (size_t i = 0; !rc && i < count; i++)
		chi2 += pow(a[2 * i] * value[0] + a[2 * i + 1] * value[1] - b[i], 2);
	free(a);
	if (!rc && rank < 2)
		rc = pn_error_set(err, PN_EARG, "line: all %zu points have one x", count);
	if (rc)
		return rc;
	double scale = sigma ? 1 : count > 2 ? chi2 / (double)(count - 2) : NAN;
	double at_0 = covariance[0] - 2 * middle * covariance[1] + middle * middle * covariance[3];

	*line = (struct pn_line){ value[0] - middle * value[1], value[1], sqrt(scale * at_0),
				  sqrt(scale * covariance[3]), chi2 };
	return PN_OK;
}
