/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "trace_parts.h"

#include "perrin/atoms/species.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How much less than the next class the lowest must look like atoms to be none. */
static const double less_alike = 0.8;
enum {
	STRONGEST_PART = 4,
	STRONGEST_MIN = 8,
	STRONGEST_MAX = 64,
	SPLIT_MIN = 16,
	CLASSES_MAX = 6,
	ROUNDS = 300
};

static double correlation(const float *a, const float *b, int count)
{
	double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;

	for (int i = 0; i < count; i++) {
		sa += a[i];
		sb += b[i];
	}
	for (int i = 0; i < count; i++) {
		double x = a[i] - sa / count, y = b[i] - sb / count;

		saa += x * x;
		sbb += y * y;
		sab += x * y;
	}
	return saa > 0 && sbb > 0 ? sab / sqrt(saa * sbb) : 0;
}

static int compare_double(const void *a, const void *b)
{
	double s = *(const double *)a, t = *(const double *)b;

	return (s > t) - (s < t);
}

/* Each peak counts alike, whatever its height. */
int trace_likeness_learn(struct trace_likeness *likeness, const struct trace_peak *peaks,
			 size_t count, const float *cubes, struct pn_error *err)
{
	size_t strongest = count / STRONGEST_PART;
	double *sorted = malloc((count + 1) * sizeof *sorted);

	*likeness = (struct trace_likeness){ 0 };
	if (!sorted)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu peaks", count);
	for (size_t i = 0; i < count; i++)
		sorted[i] = peaks[i].strength;
	qsort(sorted, count, sizeof *sorted, compare_double);
	strongest = strongest > STRONGEST_MAX ? STRONGEST_MAX : strongest;
	strongest = strongest < STRONGEST_MIN ? STRONGEST_MIN : strongest;
	strongest = strongest > count ? count : strongest;
	for (size_t i = 0; i < count; i++)
		for (int k = 0; peaks[i].strength >= sorted[count - strongest] && k < TRACE_CUBE;
		     k++)
			likeness->mean[k] +=
				cubes[i * TRACE_CUBE + (size_t)k] / (float)peaks[i].height;
	free(sorted);
	return PN_OK;
}

double trace_likeness_of(const struct trace_likeness *likeness, const float cube[TRACE_CUBE])
{
	return correlation(cube, likeness->mean, TRACE_CUBE);
}

/* Median shape of the peaks with low <= strength < high; NaN if there are none. */
static double median_shape(const struct trace_peak *peaks, size_t count, double low, double high,
			   double *scratch)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (peaks[i].strength >= low && peaks[i].strength < high)
			scratch[n++] = peaks[i].shape;
	if (!n)
		return NAN;
	qsort(scratch, n, sizeof *scratch, compare_double);
	return scratch[n / 2];
}

/* Cuts between the classes of k-means of what is below @high, ascending; the last, and those for
 * which there are too few peaks, are INFINITY. */
static int class_cuts(double cut[PN_SPECIES_MAX], const struct trace_peak *peaks, size_t count,
		      double high, int classes, double *scratch, struct pn_error *err)
{
	int32_t *class_of = malloc((count + 1) * sizeof *class_of);
	double mean[PN_SPECIES_MAX], top[PN_SPECIES_MAX], bottom[PN_SPECIES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (peaks[i].strength < high)
			scratch[n++] = peaks[i].strength;
	int rc = class_of ? pn_kmeans_1d(class_of, mean, scratch, n, classes, NULL, err)
			  : pn_error_set(err, PN_ENOMEM, "no memory for %zu peaks", count);

	for (int c = 0; c < PN_SPECIES_MAX; c++) {
		top[c] = -INFINITY;
		bottom[c] = cut[c] = INFINITY;
	}
	for (size_t i = 0; rc == PN_OK && i < n; i++) {
		top[class_of[i]] = fmax(top[class_of[i]], scratch[i]);
		bottom[class_of[i]] = fmin(bottom[class_of[i]], scratch[i]);
	}
	for (int c = 0; rc == PN_OK && c + 1 < classes; c++)
		if (bottom[c + 1] < INFINITY)
			cut[c] = (top[c] + bottom[c + 1]) / 2;
	free(class_of);
	return rc;
}

/* Whether what is below a cut looks less like atoms than what is between it and the next. */
static int parts(const struct trace_peak *peaks, size_t count, double cut, double next_end,
		 double *scratch)
{
	return median_shape(peaks, count, -INFINITY, cut, scratch) <
	       less_alike * median_shape(peaks, count, cut, next_end, scratch);
}

/* The lowest cut that parts no atoms from atoms, in as few classes as need be: where atoms are few,
 * two classes may both be noise. @cut is INFINITY if there is none. */
static int first_cut(double *cut, double *next_end, const struct trace_peak *peaks, size_t count,
		     int species, double *scratch, struct pn_error *err)
{
	double cuts[PN_SPECIES_MAX];

	if (species > 0) {
		int rc = class_cuts(cuts, peaks, count, INFINITY, species + 1, scratch, err);

		*cut = cuts[0];
		*next_end = cuts[1];
		if (rc != PN_OK || parts(peaks, count, *cut, *next_end, scratch))
			return rc;
	}
	for (int classes = 2; classes <= CLASSES_MAX; classes++) {
		int rc = class_cuts(cuts, peaks, count, INFINITY, classes, scratch, err);

		if (rc != PN_OK)
			return rc;
		for (int c = 0; c + 1 < classes; c++)
			if (parts(peaks, count, cuts[c], cuts[c + 1], scratch)) {
				*cut = cuts[c];
				*next_end = cuts[c + 1];
				return PN_OK;
			}
	}
	*cut = *next_end = INFINITY;
	return PN_OK;
}

/* With the species unknown: cut what is below again while its upper part looks like atoms. */
static int descend(double *cut, double *next_end, const struct trace_peak *peaks, size_t count,
		   double *scratch, struct pn_error *err)
{
	double atoms = median_shape(peaks, count, *cut, *next_end, scratch);

	for (;;) {
		double cuts[PN_SPECIES_MAX], low, high;
		size_t below = 0;

		for (size_t i = 0; i < count; i++)
			below += peaks[i].strength < *cut;
		if (below < SPLIT_MIN)
			return PN_OK;
		int rc = class_cuts(cuts, peaks, count, *cut, 2, scratch, err);

		if (rc != PN_OK)
			return rc;
		low = median_shape(peaks, count, -INFINITY, cuts[0], scratch);
		high = median_shape(peaks, count, cuts[0], *cut, scratch);
		if (!(high > (low + atoms) / 2) || !(low < less_alike * high))
			return PN_OK;
		*next_end = *cut;
		*cut = cuts[0];
	}
}

/* ---- two overlapping distributions ------------------------------------------------------------
 */

static const double least_part = 1e-3; /* of the mean of the atoms: where the gamma begins */

/* Densities times numbers. The background's peaks are gamma distributed: near to exponential where
 * artefacts of a reconstruction make them, near to normal for plain noise. */
static double density_none(const struct trace_classes *c, double x)
{
	double shape = c->mean[0] * c->mean[0] / (c->deviation[0] * c->deviation[0]);
	double scale = c->deviation[0] * c->deviation[0] / c->mean[0];

	x = fmax(x, least_part * c->mean[1]);
	return c->part[0] / scale * exp((shape - 1) * log(x / scale) - x / scale - lgamma(shape));
}

static double density_atom(const struct trace_classes *c, double x)
{
	double z = (x - c->mean[1]) / c->deviation[1];

	return c->part[1] / c->deviation[1] * exp(-z * z / 2) / sqrt(2 * M_PI);
}

/* Beyond the mean of the atoms it cannot fall again, nor rise below that of the others, whatever
 * the tails. */
static double posterior(const struct trace_classes *c, double strength)
{
	double x = fmax(fmin(strength, c->mean[1]), c->mean[0]);
	double atom = density_atom(c, x), none = density_none(c, x);

	return atom + none > 0 ? atom / (atom + none) : 0.5;
}

/* Numbers, means and deviations for given parts; 0 if one of the classes has vanished. */
static int moments(struct trace_classes *c, const double *value, const double *part, size_t count)
{
	double n[2] = { 0 }, sum[2] = { 0 }, square[2] = { 0 };

	for (size_t i = 0; i < count; i++) {
		double w[2] = { 1 - part[i], part[i] };

		for (int k = 0; k < 2; k++) {
			n[k] += w[k];
			sum[k] += w[k] * value[i];
		}
	}
	for (size_t i = 0; i < count; i++) {
		double w[2] = { 1 - part[i], part[i] };

		for (int k = 0; k < 2; k++) {
			double x = value[i] - sum[k] / n[k];

			square[k] += w[k] * x * x;
		}
	}
	for (int k = 0; k < 2; k++) {
		c->part[k] = n[k];
		c->mean[k] = sum[k] / n[k];
		c->deviation[k] = sqrt(square[k] / n[k]);
	}
	return n[0] >= 2 && n[1] >= 2 && c->mean[0] > 0 && c->mean[1] > c->mean[0] &&
	       c->deviation[0] > 0 && c->deviation[1] > 0;
}

/* Expectation-maximisation from the cut of k-means, over the peaks below the next kind of atoms;
 * the threshold is where either is as likely. 0 if the two do not stay apart. */
static int mix(struct trace_classes *c, const struct trace_peak *peaks, size_t count, double cut,
	       double next_end, double least, double *value, double *part)
{
	size_t n = 0;
	double moved = INFINITY;

	for (size_t i = 0; i < count; i++)
		if (peaks[i].strength < next_end) {
			part[n] = peaks[i].strength >= cut;
			value[n++] = peaks[i].strength;
		}
	if (!moments(c, value, part, n))
		return 0;
	for (int round = 0; round < ROUNDS && moved > 1e-6; round++) {
		double before = c->mean[1];

		for (size_t i = 0; i < n; i++)
			part[i] = posterior(c, value[i]);
		if (!moments(c, value, part, n))
			return 0;
		moved = fabs(c->mean[1] - before) / c->mean[1];
	}
	double low = c->mean[0], high = c->mean[1];

	if (!(posterior(c, low) < 0.5 && posterior(c, high) > 0.5))
		return 0;
	for (int i = 0; i < 60; i++) {
		double middle = (low + high) / 2;

		*(posterior(c, middle) < least ? &low : &high) = middle;
	}
	c->threshold = high;
	return 1;
}

/* ---- the rule ---------------------------------------------------------------------------------
 */

static int find_cut(struct trace_classes *classes, const struct trace_peak *peaks, size_t count,
		    const struct pn_trace_options *options, double *value, double *part,
		    struct pn_error *err)
{
	double cut = options->strength_min, next_end = INFINITY;
	int rc = PN_OK, given = !isnan(cut);

	if (!given)
		rc = first_cut(&cut, &next_end, peaks, count, options->species, value, err);
	if (rc == PN_OK && !given && options->species == 0 && cut < INFINITY)
		rc = descend(&cut, &next_end, peaks, count, value, err);
	if (rc != PN_OK)
		return rc;
	classes->empty = cut < INFINITY && parts(peaks, count, cut, next_end, value);
	if (classes->empty) {
		classes->threshold = cut;
		classes->mixed = mix(classes, peaks, count, cut, next_end, options->confidence_min,
				     value, part);
	}
	if (given)
		classes->threshold = options->strength_min;
	return PN_OK;
}

int trace_classes_find(struct trace_classes *classes, const struct trace_peak *peaks, size_t count,
		       const struct pn_trace_options *options, struct pn_error *err)
{
	double *value = malloc((count + 1) * sizeof *value);
	double *part = malloc((count + 1) * sizeof *part);
	int rc = value && part ? PN_OK
			       : pn_error_set(err, PN_ENOMEM, "no memory for %zu peaks", count);

	*classes = (struct trace_classes){ .threshold = isnan(options->strength_min)
								? -INFINITY
								: options->strength_min };
	if (rc == PN_OK && count > 0)
		rc = find_cut(classes, peaks, count, options, value, part, err);
	free(value);
	free(part);
	return rc;
}

double trace_confidence(const struct trace_classes *c, double strength)
{
	return c->mixed ? posterior(c, strength) : 1;
}
