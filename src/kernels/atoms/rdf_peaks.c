/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peaks and minima of g(r) that chance does not make, and the Gaussian fit of the first peak. */
#include "rdf_parts.h"

#include "perrin/math/fit.h"

#include <math.h>
#include <string.h>

static const double significance = 3;
static const double least_inside = 0.25; /* of an atom within a peak, or it is not the first */
static const double fit_from = 0.5;      /* of the height of the peak */
static const double gap_below = 0.05;    /* of the first peak: minima that may be gaps */
static const double flat = 0.25; /* of a peak, or of the depth of a minimum below the first */

enum { FIRST_PEAK, FIRST_MINIMUM, SECOND_PEAK, SECOND_MINIMUM, EXTREMA };

static double radius_A(const struct pn_rdf *rdf, double k)
{
	return rdf->r_first_A + k * rdf->step_A;
}

/* Number of entries up to the first without g. */
static size_t defined(const struct pn_rdf *rdf)
{
	size_t n = 0;

	while (n < rdf->count && !isnan(rdf->g[n]))
		n++;
	return n;
}

/*
 * Goes up through the curve and keeps the last candidate: the highest point since the last minimum,
 * or the lowest since the last peak. It counts once the curve has left it by more than chance does.
 * Returns how many of peak, minimum, peak, minimum there are.
 */
static int extrema(size_t at[EXTREMA], const struct pn_rdf *rdf, size_t count, double fraction_b)
{
	double inside = 0, best_inside = 0, highest = 0;
	size_t best = 0;
	int found = 0;

	for (size_t k = 0; k < count && found < EXTREMA; k++) {
		int maximum = found % 2 == 0;
		double g = rdf->g[k], left = maximum ? rdf->g[best] - g : g - rdf->g[best];

		inside += rdf->pairs_per_A[k] * rdf->step_A;
		if (maximum)
			highest = fmax(highest, g);
		if (left <= 0) {
			best = k;
			best_inside = inside;
			continue;
		}
		double limit =
			fmin(significance * hypot(rdf->g_sd[best], rdf->g_sd[k]), 0.5 * highest);

		if (left < limit)
			continue;
		if (found == FIRST_PEAK && best_inside < least_inside * fraction_b)
			highest = 0;
		else
			at[found++] = best;
		best = k;
		best_inside = inside;
	}
	return found;
}

/* Vertex of the parabola through g[first..last], around its middle; NaN if it is no extremum. */
static double vertex(const struct pn_rdf *rdf, size_t first, size_t last, int maximum)
{
	double half = (double)(last - first) / 2, middle = (double)first + half;
	double s2 = 0, s4 = 0, sg = 0, sxg = 0, sx2g = 0, n = (double)(last - first + 1);

	for (size_t k = first; k <= last; k++) {
		double x = ((double)k - middle) / half, g = rdf->g[k] - rdf->g[first];

		s2 += x * x;
		s4 += x * x * x * x;
		sg += g;
		sxg += x * g;
		sx2g += x * x * g;
	}
	double curvature = (n * sx2g - s2 * sg) / (n * s4 - s2 * s2), slope = sxg / s2;
	double x = -slope / (2 * curvature);

	if (!(maximum ? curvature < 0 : curvature > 0) || !(fabs(x) <= 1))
		return NAN;
	return middle + half * x;
}

/*
 * Where the extremum lies, from all points around it that are no different as far as one knows.
 * @span: what is much of a difference.
 */
static double place(const struct pn_rdf *rdf, size_t at, size_t count, int maximum, double span)
{
	double limit = fmin(significance * rdf->g_sd[at], flat * span), k;
	size_t first = at, last = at;

	while (first > 0 && fabs(rdf->g[first - 1] - rdf->g[at]) <= limit)
		first--;
	while (last + 1 < count && fabs(rdf->g[last + 1] - rdf->g[at]) <= limit)
		last++;
	k = last - first < 2 ? NAN : vertex(rdf, first, last, maximum);
	if (isnan(k))
		k = at > 0 && at + 1 < count ? vertex(rdf, at - 1, at + 1, maximum) : NAN;
	return radius_A(rdf, isnan(k) ? (double)at : k);
}

/* How far smoothing has moved what is seen at @r_A: sigma^2 d ln S/dr, by differences. */
static double moved_A(const struct pn_rdf *rdf, double r_A, size_t count)
{
	double at = (r_A - rdf->r_first_A) / rdf->step_A, reach = rdf->smooth_A / rdf->step_A;
	size_t low = (size_t)fmax(0, floor(at - reach));
	size_t high = (size_t)fmin((double)count - 1, ceil(at + reach));

	if (low >= high)
		return 0;
	return rdf->smooth_A * rdf->smooth_A * log(rdf->shell_A2[high] / rdf->shell_A2[low]) /
	       ((double)(high - low) * rdf->step_A);
}

/* ---- fit ----------------------------------------------------------------------------------- */

struct peak {
	const double *g;
	size_t count;
	double r_first_A, step_A;
};

static int gaussian(const double *p, double *residual, void *context)
{
	const struct peak *peak = context;

	if (!(p[2] > 0))
		return 1;
	for (size_t k = 0; k < peak->count; k++) {
		double t = (peak->r_first_A + (double)k * peak->step_A - p[1]) / p[2];

		residual[k] = p[0] * exp(-t * t / 2) - peak->g[k];
	}
	return 0;
}

/* @at: the first peak; its mean and width are what they would be without smoothing. */
static int fit(struct pn_rdf *rdf, size_t at, size_t end, size_t count, struct pn_error *err)
{
	double least = fit_from * rdf->g[at], pairs = 0;
	size_t first = at, last = at;

	while (first > 0 && rdf->g[first - 1] >= least)
		first--;
	while (last + 1 < end && rdf->g[last + 1] >= least)
		last++;
	struct peak peak = { rdf->g + first, last - first + 1, radius_A(rdf, (double)first),
			     rdf->step_A };
	struct pn_fit_problem problem = {
		.points = (int)peak.count, .parameters = 3, .residual = gaussian, .context = &peak
	};
	struct pn_fit_result result = { .value = { rdf->g[at], radius_A(rdf, (double)at),
						   (double)(last - first) * rdf->step_A / 3 } };

	if (peak.count < 4)
		return PN_OK;
	int rc = pn_fit(&result, &problem, err);

	const double *p = result.value;

	/* a mean outside of what was fitted says that there is no Gaussian */
	if (rc || !result.converged || !(p[1] >= radius_A(rdf, (double)first)) ||
	    !(p[1] <= radius_A(rdf, (double)last)))
		return rc;
	double sigma2 = p[2] * p[2] - rdf->smooth_A * rdf->smooth_A;
	size_t mean = first + (size_t)((p[1] - radius_A(rdf, (double)first)) / rdf->step_A);

	rdf->first_peak_height = p[0];
	rdf->first_peak_mean_A = p[1] + moved_A(rdf, p[1], count);
	rdf->first_peak_sigma_A = sqrt(fmax(sigma2, 0));
	/* others per centre under the Gaussian */
	pairs = p[0] * p[2] * sqrt(2 * M_PI) * rdf->density_A3 * rdf->shell_A2[mean] *
		(double)rdf->centers / rdf_ends(rdf);
	rdf->first_peak_mean_sd_A = rdf->first_peak_sigma_A / sqrt(pairs);
	return PN_OK;
}

int rdf_find(struct pn_rdf *rdf, const struct rdf_pairs *pairs, double fraction_b,
	     struct pn_error *err)
{
	double *where[EXTREMA] = { &rdf->first_peak_A, &rdf->first_minimum_A, &rdf->second_peak_A,
				   &rdf->second_minimum_A };
	size_t at[EXTREMA], count = defined(rdf);
	int found = extrema(at, rdf, count, fraction_b);

	rdf->first_peak_mean_A = rdf->first_peak_mean_sd_A = NAN;
	rdf->first_peak_sigma_A = rdf->first_peak_height = NAN;
	for (int e = 0; e < EXTREMA; e++) {
		*where[e] = NAN;
		if (e >= found)
			continue;
		double span = rdf->g[at[e % 2 ? FIRST_PEAK : e]] - (e % 2 ? rdf->g[at[e]] : 0);
		double r = place(rdf, at[e], count, e % 2 == 0, span);
		double gap[2] = { -INFINITY, INFINITY };

		if (e % 2 && rdf->g[at[e]] < gap_below * rdf->g[at[FIRST_PEAK]])
			rdf_gap(gap, pairs, r, r + 12 * rdf->smooth_A + 1);
		if (isfinite(gap[0]) && isfinite(gap[1]) &&
		    gap[1] - gap[0] > RDF_REACH * rdf->smooth_A)
			*where[e] = (gap[0] + gap[1]) / 2;
		else
			*where[e] = r + moved_A(rdf, r, count);
	}
	if (!found)
		return PN_OK;
	return fit(rdf, at[FIRST_PEAK], found > FIRST_MINIMUM ? at[FIRST_MINIMUM] : count, count,
		   err);
}
