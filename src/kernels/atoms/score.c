/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/score.h"

#include "perrin/atoms/pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 50, ELEMENTS = 256 };

void pn_score_options_default(struct pn_score_options *options)
{
	*options = (struct pn_score_options){ .tolerance_A = 1, .remove_shift = 1 };
}

/* Mean displacement, truth less found, of the pairs. */
static void mean_displacement(double mean[3], const struct pn_pairing *pairing)
{
	double n = 0, sum[3] = { 0 };

	for (size_t i = 0; i < pairing->before; i++) {
		if (pairing->after_of_before[i] == PN_PAIR_NONE)
			continue;
		n++;
		for (int k = 0; k < 3; k++)
			sum[k] += pairing->displacement_A[i][k];
	}
	for (int k = 0; k < 3; k++)
		mean[k] = n > 0 ? sum[k] / n : 0;
}

/* Pair; with the shift taken out again and again until the pairs stay the same. */
static int pair_up(struct pn_pairing *pairing, double (*moved_A)[3], double shift_A[3],
		   const struct pn_atoms *found, const struct pn_atoms *truth,
		   const struct pn_score_options *o, int threads, struct pn_error *err)
{
	struct pn_pair_options how;
	struct pn_atoms moved = { (const double(*)[3])moved_A, found->element, found->count };
	uint32_t *before = malloc((found->count + 1) * sizeof *before);
	int rc = before ? PN_OK
			: pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", found->count);

	pn_pair_options_default(&how);
	how.method = PN_PAIR_NEAREST;
	memset(shift_A, 0, 3 * sizeof *shift_A);
	for (int round = 0; rc == PN_OK; round++) {
		double more[3];

		for (size_t i = 0; i < found->count; i++)
			for (int k = 0; k < 3; k++)
				moved_A[i][k] = found->position_A[i][k] - shift_A[k];
		rc = pn_pair_build(pairing, &moved, truth, o->tolerance_A, &how, threads, err);
		if (rc != PN_OK || !o->remove_shift || round == ROUNDS_MAX)
			break;
		mean_displacement(more, pairing);
		int same = round > 0 && memcmp(before, pairing->after_of_before,
					       found->count * sizeof *before) == 0;

		memcpy(before, pairing->after_of_before, found->count * sizeof *before);
		/* the shift of these very pairs is out already */
		if (same)
			break;
		for (int k = 0; k < 3; k++)
			shift_A[k] -= more[k];
		pn_pairing_free(pairing);
	}
	free(before);
	return rc;
}

static int compare_double(const void *a, const void *b)
{
	double s = *(const double *)a, t = *(const double *)b;

	return (s > t) - (s < t);
}

static int measure(struct pn_score *score, const struct pn_pairing *pairing, struct pn_error *err)
{
	double *distance = malloc((score->matched + 1) * sizeof *distance);
	size_t n = 0;

	if (!distance)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu pairs", score->matched);
	for (int k = 0; k < 3; k++)
		score->rmsd_axis_A[k] = 0;
	for (size_t i = 0; i < pairing->before; i++) {
		if (pairing->after_of_before[i] == PN_PAIR_NONE)
			continue;
		distance[n++] = pairing->distance_A[i];
		for (int k = 0; k < 3; k++)
			score->rmsd_axis_A[k] +=
				pairing->displacement_A[i][k] * pairing->displacement_A[i][k];
	}
	qsort(distance, n, sizeof *distance, compare_double);
	score->median_A = n ? (distance[n / 2] + distance[(n - 1) / 2]) / 2 : NAN;
	score->largest_A = n ? distance[n - 1] : NAN;
	for (int k = 0; k < 3; k++)
		score->rmsd_axis_A[k] = n ? sqrt(score->rmsd_axis_A[k] / (double)n) : NAN;
	score->rmsd_A = pairing->rmsd_A;
	free(distance);
	return PN_OK;
}

/* The confusion table: one line for each combination that occurs. */
static int count_species(struct pn_score *score, const struct pn_atoms *found,
			 const struct pn_atoms *truth, struct pn_error *err)
{
	size_t *table = calloc((size_t)ELEMENTS * ELEMENTS, sizeof *table), lines = 0;

	for (size_t i = 0; table && i < found->count; i++)
		if (score->truth_of[i] != PN_PAIR_NONE)
			table[truth->element[score->truth_of[i]] * ELEMENTS + found->element[i]]++;
	for (size_t t = 0; table && t < (size_t)ELEMENTS * ELEMENTS; t++)
		lines += table[t] > 0;
	score->species = table ? malloc((lines + 1) * sizeof *score->species) : NULL;
	for (size_t t = 0; score->species && t < (size_t)ELEMENTS * ELEMENTS; t++)
		if (table[t])
			score->species[score->lines++] =
				(struct pn_score_species){ (uint8_t)(t / ELEMENTS),
							   (uint8_t)(t % ELEMENTS), table[t] };
	free(table);
	return score->species ? PN_OK
			      : pn_error_set(err, PN_ENOMEM, "no memory for a table of species");
}

static int tell(struct pn_score *score, const struct pn_pairing *pairing,
		const struct pn_atoms *found, const struct pn_atoms *truth, struct pn_error *err)
{
	score->atoms = found->count;
	score->truth = truth->count;
	score->matched = pn_pairing_common(pairing);
	score->same_species = pairing->fates[PN_FATE_CONSISTENT];
	score->missed = truth->count - score->matched;
	score->false_atoms = found->count - score->matched;
	score->recall = truth->count ? (double)score->matched / (double)truth->count : NAN;
	score->precision = found->count ? (double)score->matched / (double)found->count : NAN;
	score->truth_of = malloc((found->count + 1) * sizeof *score->truth_of);
	if (!score->truth_of)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", found->count);
	if (found->count)
		memcpy(score->truth_of, pairing->after_of_before,
		       found->count * sizeof *score->truth_of);
	int rc = measure(score, pairing, err);

	return rc == PN_OK ? count_species(score, found, truth, err) : rc;
}

int pn_score_atoms(struct pn_score *score, const struct pn_atoms *found,
		   const struct pn_atoms *truth, const struct pn_score_options *options,
		   int threads, struct pn_error *err)
{
	struct pn_score_options o;
	struct pn_pairing pairing = { 0 };
	double(*moved_A)[3] = malloc((found->count + 1) * sizeof *moved_A);

	*score = (struct pn_score){ 0 };
	pn_score_options_default(&o);
	if (options)
		o = *options;
	int rc =
		moved_A ? pair_up(&pairing, moved_A, score->shift_A, found, truth, &o, threads, err)
			: pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", found->count);

	if (rc == PN_OK)
		rc = tell(score, &pairing, found, truth, err);
	pn_pairing_free(&pairing);
	free(moved_A);
	return rc;
}

void pn_score_free(struct pn_score *score)
{
	free(score->species);
	free(score->truth_of);
	*score = (struct pn_score){ 0 };
}
