/* SPDX-License-Identifier: GPL-3.0-or-later */
/* score_figures.c - the figures of `perrin score` from lists of what is and what was seen. */
#include "score.h"

#include <math.h>
#include <stdlib.h>

enum { BINS = 20 };
static const double bin_width = 0.1; /* of tilt */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double pn_score_auc(double *high, size_t high_count, double *low, size_t low_count)
{
	size_t below = 0, not_above = 0;
	double pairs = 0;

	if (!high_count || !low_count)
		return (double)NAN;
	qsort(high, high_count, sizeof *high, by_value);
	qsort(low, low_count, sizeof *low, by_value);
	for (size_t i = 0; i < high_count; i++) {
		while (below < low_count && low[below] < high[i])
			below++;
		while (not_above < low_count && low[not_above] <= high[i])
			not_above++;
		pairs += (double)below + 0.5 * (double)(not_above - below);
	}
	return pairs / ((double)high_count * (double)low_count);
}

double pn_score_spacing_pm(double lattice_A, double spacing_pm)
{
	static const double planes[] = { 3, 4, 8, 11 }; /* h2 + k2 + l2 */
	double best = 0;

	for (size_t i = 0; i < PN_COUNT(planes); i++) {
		double d_pm = 100 * lattice_A / sqrt(planes[i]);

		if (!best || fabs(log(spacing_pm / d_pm)) < fabs(log(spacing_pm / best)))
			best = d_pm;
	}
	return best;
}

double pn_score_tilt(const double quaternion[4], double lattice_A, double diameter_nm)
{
	static const double planes[][3] = {
		{ 1, 1, 1 },  { 1, 1, -1 }, { 1, -1, 1 }, { -1, 1, 1 }, { 2, 0, 0 },
		{ 0, 2, 0 },  { 0, 0, 2 },  { 2, 2, 0 },  { 2, -2, 0 }, { 2, 0, 2 },
		{ 2, 0, -2 }, { 0, 2, 2 },  { 0, 2, -2 },
	};
	double w = quaternion[0], x = quaternion[1], y = quaternion[2], z = quaternion[3];
	/* the beam's direction seen from the crystal: the last row of the rotation matrix */
	double beam[] = { 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y) };
	double least = INFINITY;

	for (size_t i = 0; i < PN_COUNT(planes); i++)
		least = fmin(least, fabs(planes[i][0] * beam[0] + planes[i][1] * beam[1] +
					 planes[i][2] * beam[2]));
	return least * 10 * diameter_nm / lattice_A;
}

/* ---- matching ------------------------------------------------------------------------------ */

static double distance_px(const struct pn_score_truth *truth, const struct pn_score_seen *seen)
{
	return hypot(truth->x_px - seen->x_px, truth->y_px - seen->y_px);
}

static size_t first_of_frame(const struct pn_score_truths *truths, uint64_t frame)
{
	size_t low = 0, high = truths->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (truths->item[middle].frame < frame)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The nearest truth on the same frame that is near enough, or NULL. */
static struct pn_score_truth *match(const struct pn_score_truths *truths,
				    const struct pn_score_seen *seen, double within_px)
{
	struct pn_score_truth *nearest = NULL;

	for (size_t i = first_of_frame(truths, seen->frame);
	     i < truths->count && truths->item[i].frame == seen->frame; i++)
		if (distance_px(&truths->item[i], seen) <= within_px &&
		    (!nearest || distance_px(&truths->item[i], seen) < distance_px(nearest, seen)))
			nearest = &truths->item[i];
	return nearest;
}

/* ---- figures ------------------------------------------------------------------------------- */

/* Of those that have a truth near enough; @only_high: and whose class is high. */
static int measure_centres(struct pn_score_centre *centre, const struct pn_score_truths *truths,
			   const struct pn_score_seens *seens, int only_high, double within_px,
			   struct pn_error *err)
{
	double *errors = malloc((seens->count + 1) * sizeof *errors), squares = 0;
	size_t count = 0;

	if (!errors)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu places", seens->count);
	for (size_t i = 0; i < seens->count; i++) {
		const struct pn_score_seen *seen = &seens->item[i];
		struct pn_score_truth *truth = match(truths, seen, within_px);

		if (!truth || (only_high && !seen->high))
			continue;
		errors[count] = distance_px(truth, seen);
		squares += errors[count] * errors[count];
		count++;
	}
	qsort(errors, count, sizeof *errors, by_value);
	centre->count = count;
	centre->rms_px = count ? sqrt(squares / (double)count) : (double)NAN;
	centre->median_px = count ? (errors[(count - 1) / 2] + errors[count / 2]) / 2 : (double)NAN;
	free(errors);
	return PN_OK;
}

static void count_found(struct pn_scores *s, struct pn_score_truths *truths,
			const struct pn_score_seens *crops, double within_px)
{
	s->crops = crops->count;
	for (size_t i = 0; i < crops->count; i++) {
		struct pn_score_truth *truth = match(truths, &crops->item[i], within_px);

		if (!truth) {
			s->stray++;
			continue;
		}
		s->found += !truth->found;
		truth->found = 1;
	}
}

/* Sums in mean and rms until errors_end makes figures of them. */
static void add_error(struct pn_score_errors *errors, double relative)
{
	errors->count++;
	errors->mean += relative;
	errors->rms += relative * relative;
	errors->within_1_percent += fabs(relative) <= 0.01;
}

static void end_errors(struct pn_score_errors *errors)
{
	double count = (double)errors->count;

	/* 0 / 0 is NaN, as it should be */
	errors->mean /= count;
	errors->rms = sqrt(errors->rms / count);
	errors->within_1_percent /= count;
}

static void add_class(struct pn_score_class *class, const struct pn_score_seen *seen)
{
	class->count++;
	class->high += seen->high != 0;
	class->mean_peak += seen->peak;
}

static void add_measures(struct pn_scores *s, const struct pn_score_truth *truth,
			 const struct pn_score_seen *seen)
{
	if (!isnan(seen->spacing_pm) && seen->spacing_pm > 0 && truth->lattice_A > 0) {
		double d_pm = pn_score_spacing_pm(truth->lattice_A, seen->spacing_pm);

		add_error(&s->spacing, seen->spacing_pm / d_pm - 1);
	}
	if (!isnan(seen->diameter_nm) && truth->diameter_nm > 0)
		add_error(&s->diameter, seen->diameter_nm / truth->diameter_nm - 1);
}

/* The part of the variance of ln peak that is between bins of tilt. */
struct bins {
	double count[BINS], sum[BINS], squares;
};

static void add_bin(struct bins *bins, double tilt, double peak)
{
	if (!(peak > 0) || !(tilt >= 0))
		return;
	int bin = (int)fmin(tilt / bin_width, BINS - 1);

	bins->count[bin]++;
	bins->sum[bin] += log(peak);
	bins->squares += log(peak) * log(peak);
}

static double explained(const struct bins *bins)
{
	double count = 0, sum = 0, between = 0;

	for (int i = 0; i < BINS; i++) {
		count += bins->count[i];
		sum += bins->sum[i];
		if (bins->count[i] > 0)
			between += bins->sum[i] * bins->sum[i] / bins->count[i];
	}
	return (between - sum * sum / count) / (bins->squares - sum * sum / count);
}

static int score_crystals(struct pn_scores *s, const struct pn_score_truths *truths,
			  const struct pn_score_seens *crystals,
			  const struct pn_score_limits *limits, struct pn_error *err)
{
	double *peaks = malloc((2 * crystals->count + 1) * sizeof *peaks);
	double *tilted = peaks + crystals->count;
	struct bins bins = { 0 };

	if (!peaks)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu peaks", crystals->count);
	s->crystals = crystals->count;
	for (size_t i = 0; i < crystals->count; i++) {
		const struct pn_score_seen *seen = &crystals->item[i];
		const struct pn_score_truth *truth = match(truths, seen, limits->within_px);

		if (!truth) {
			s->crystals_stray++;
			continue;
		}
		add_bin(&bins, truth->tilt, seen->peak);
		if (truth->tilt < limits->aligned) {
			peaks[s->aligned.count] = seen->peak;
			add_class(&s->aligned, seen);
		} else if (truth->tilt > limits->tilted) {
			tilted[s->tilted.count] = seen->peak;
			add_class(&s->tilted, seen);
		} else {
			s->between++;
		}
		if (seen->high)
			add_measures(s, truth, seen);
	}
	s->explained = explained(&bins);
	s->auc = pn_score_auc(peaks, s->aligned.count, tilted, s->tilted.count);
	s->aligned.mean_peak /= (double)s->aligned.count;
	s->tilted.mean_peak /= (double)s->tilted.count;
	end_errors(&s->spacing);
	end_errors(&s->diameter);
	free(peaks);
	return PN_OK;
}

int pn_score(struct pn_scores *scores, struct pn_score_truths *truths,
	     const struct pn_score_seens *crops, const struct pn_score_seens *crystals,
	     const struct pn_score_limits *limits, struct pn_error *err)
{
	*scores = (struct pn_scores){ .truths = truths->count };
	for (size_t i = 0; i < truths->count; i++)
		scores->frames += !i || truths->item[i].frame != truths->item[i - 1].frame;
	count_found(scores, truths, crops, limits->within_px);
	int rc = measure_centres(&scores->centre, truths, crops, 0, limits->within_px, err);
	if (!rc)
		rc = measure_centres(&scores->lattice, truths, crystals, 0, limits->within_px, err);
	if (!rc)
		rc = measure_centres(&scores->high, truths, crystals, 1, limits->within_px, err);
	return rc ? rc : score_crystals(scores, truths, crystals, limits, err);
}
