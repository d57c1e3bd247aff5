/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/pair.h"

#include "perrin/atoms/cells.h"

#include "pair_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- an order that does not depend on the numbers ------------------------------------------ */

/* One model in the order of x, y, z. */
struct side {
	size_t count;
	double (*position_A)[3];
	uint32_t *number; /* in the model */
};

struct site {
	double position_A[3];
	uint32_t number;
	uint8_t element;
};

static int compare_sites(const void *va, const void *vb)
{
	const struct site *a = va, *b = vb;

	for (int k = 0; k < 3; k++)
		if (a->position_A[k] != b->position_A[k])
			return a->position_A[k] < b->position_A[k] ? -1 : 1;
	if (a->element != b->element)
		return a->element < b->element ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

static int side_allocate(struct side *side, size_t count, struct pn_error *err)
{
	side->count = 0;
	side->position_A = malloc((count + 1) * sizeof *side->position_A);
	side->number = malloc((count + 1) * sizeof *side->number);
	if (!side->position_A || !side->number)
		return pn_error_set(err, PN_ENOMEM, "no memory to pair %zu atoms", count);
	return PN_OK;
}

static void side_add(struct side *side, const double position_A[3], uint32_t number)
{
	memcpy(side->position_A[side->count], position_A, sizeof *side->position_A);
	side->number[side->count++] = number;
}

static void side_free(struct side *side)
{
	free(side->position_A);
	free(side->number);
}

static int side_sort(struct side *side, const struct pn_atoms *atoms, struct pn_error *err)
{
	struct site *site = malloc((atoms->count + 1) * sizeof *site);
	int code = side_allocate(side, atoms->count, err);

	if (!site && !code)
		code = pn_error_set(err, PN_ENOMEM, "no memory to pair %zu atoms", atoms->count);
	if (code) {
		free(site);
		return code;
	}
	for (size_t i = 0; i < atoms->count; i++) {
		memcpy(site[i].position_A, atoms->position_A[i], sizeof site[i].position_A);
		site[i].number = (uint32_t)i;
		site[i].element = atoms->element[i];
	}
	qsort(site, atoms->count, sizeof *site, compare_sites);
	for (size_t i = 0; i < atoms->count; i++)
		side_add(side, site[i].position_A, site[i].number);
	free(site);
	return PN_OK;
}

/* The atoms of a model that have no partner yet, in the same order. */
static int side_left_over(struct side *left, const struct side *side, const uint32_t *partner_of,
			  struct pn_error *err)
{
	int code = side_allocate(left, side->count, err);

	for (size_t i = 0; !code && i < side->count; i++)
		if (partner_of[side->number[i]] == PN_PAIR_NONE)
			side_add(left, side->position_A[i], side->number[i]);
	return code;
}

/* ---- candidates ---------------------------------------------------------------------------- */

static void candidates_free(struct pn_pair_candidates *c)
{
	free(c->start);
	free(c->partner);
	free(c->distance2);
}

static double distance2_of(const double a[3], const double b[3])
{
	double x = b[0] - a[0], y = b[1] - a[1], z = b[2] - a[2];

	return x * x + y * y + z * z;
}

static int candidates_count(struct pn_pair_candidates *c, const struct side *before,
			    const struct pn_cells *cells, double reach_A, int threads,
			    struct pn_error *err)
{
	uint64_t sum = 0;

	c->start = calloc(before->count + 1, sizeof *c->start);
	if (!c->start)
		return pn_error_set(err, PN_ENOMEM, "no memory to pair %zu atoms", before->count);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < before->count; i++)
		c->start[i + 1] = (uint32_t)pn_cells_within(
			cells, (const double *)before->position_A[i], reach_A, NULL, 0);
	for (size_t i = 0; i < before->count; i++) {
		sum += c->start[i + 1];
		if (sum > UINT32_MAX)
			return pn_error_set(err, PN_EARG,
					    "pairing: more than 2^32 candidates within %g A",
					    reach_A);
		c->start[i + 1] = (uint32_t)sum;
	}
	c->partner = malloc((sum + 1) * sizeof *c->partner);
	c->distance2 = malloc((sum + 1) * sizeof *c->distance2);
	if (!c->partner || !c->distance2)
		return pn_error_set(err, PN_ENOMEM, "no memory for %llu candidates of pairs",
				    (unsigned long long)sum);
	return PN_OK;
}

static int candidates_build(struct pn_pair_candidates *c, const struct side *before,
			    const struct side *after, double reach_A, int threads,
			    struct pn_error *err)
{
	struct pn_cells cells = { 0 };

	*c = (struct pn_pair_candidates){ .before = before->count,
					  .after = after->count,
					  .limit2 = reach_A * reach_A };
	int code = pn_cells_build(&cells, (const double(*)[3])after->position_A, after->count,
				  reach_A, err);

	if (!code)
		code = candidates_count(c, before, &cells, reach_A, threads, err);
	if (code) {
		pn_cells_free(&cells);
		return code;
	}
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < before->count; i++) {
		const double *p = before->position_A[i];
		uint32_t first = c->start[i], end = c->start[i + 1];

		pn_cells_within(&cells, p, reach_A, c->partner + first, end - first);
		for (uint32_t at = first; at < end; at++)
			c->distance2[at] = distance2_of(p, after->position_A[c->partner[at]]);
	}
	pn_cells_free(&cells);
	return PN_OK;
}

static int count_conflicts(struct pn_pairing *pairing, const struct pn_pair_candidates *c,
			   struct pn_error *err)
{
	uint32_t *of_after = calloc(c->after + 1, sizeof *of_after);

	if (!of_after)
		return pn_error_set(err, PN_ENOMEM, "no memory to pair %zu atoms", c->after);
	for (size_t i = 0; i < c->before; i++)
		pairing->conflicts_before += c->start[i + 1] - c->start[i] > 1;
	for (uint32_t at = 0; at < c->start[c->before]; at++)
		of_after[c->partner[at]]++;
	for (size_t j = 0; j < c->after; j++)
		pairing->conflicts_after += of_after[j] > 1;
	free(of_after);
	return PN_OK;
}

/* ---- pairs --------------------------------------------------------------------------------- */

struct models {
	const struct pn_atoms *before, *after;
};

static void note_pair(struct pn_pairing *pairing, struct models m, uint32_t i, uint32_t j,
		      int moved)
{
	double *d = pairing->displacement_A[i];
	int fate = moved                                         ? PN_FATE_MOVED
		   : m.before->element[i] == m.after->element[j] ? PN_FATE_CONSISTENT
								 : PN_FATE_INCONSISTENT;

	for (int k = 0; k < 3; k++)
		d[k] = m.after->position_A[j][k] - m.before->position_A[i][k];
	pairing->distance_A[i] = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
	pairing->after_of_before[i] = j;
	pairing->before_of_after[j] = i;
	pairing->fate_before[i] = pairing->fate_after[j] = fate;
	pairing->fates[fate]++;
}

/* Pair what the two sides hold, up to @reach_A; the sum of squares in the order of the sides. */
static int pair_sides(struct pn_pairing *pairing, struct models m, const struct side *before,
		      const struct side *after, double reach_A, enum pn_pair_method method,
		      int threads, struct pn_error *err)
{
	int moved = reach_A > pairing->tolerance_A;
	uint32_t *after_of = malloc((before->count + 1) * sizeof *after_of);
	uint32_t *before_of = malloc((after->count + 1) * sizeof *before_of);
	struct pn_pair_candidates c = { 0 };
	double squares = 0;
	int code = PN_OK;

	if (!after_of || !before_of)
		code = pn_error_set(err, PN_ENOMEM, "no memory to pair %zu atoms", before->count);
	if (!code)
		code = candidates_build(&c, before, after, reach_A, threads, err);
	if (!code && !moved)
		code = count_conflicts(pairing, &c, err);
	if (!code)
		code = method == PN_PAIR_ASSIGNMENT
			       ? pn_pair_match_assignment(after_of, before_of, &c, err)
			       : pn_pair_match_nearest(after_of, before_of, &c, err);
	for (size_t i = 0; !code && i < before->count; i++) {
		if (after_of[i] == PN_PAIR_NONE)
			continue;
		note_pair(pairing, m, before->number[i], after->number[after_of[i]], moved);
		squares += pow(pairing->distance_A[before->number[i]], 2);
	}
	if (!code && !moved)
		pairing->rmsd_A = sqrt(squares / (double)pn_pairing_common(pairing));
	candidates_free(&c);
	free(after_of);
	free(before_of);
	return code;
}

static int pair_left_over(struct pn_pairing *pairing, struct models m, const struct side *before,
			  const struct side *after, const struct pn_pair_options *options,
			  int threads, struct pn_error *err)
{
	struct side first = { 0 }, second = { 0 };
	int code = side_left_over(&first, before, pairing->after_of_before, err);

	if (!code)
		code = side_left_over(&second, after, pairing->before_of_after, err);
	if (!code)
		code = pair_sides(pairing, m, &first, &second, options->moved_A, options->method,
				  threads, err);
	side_free(&first);
	side_free(&second);
	return code;
}

static int allocate(struct pn_pairing *pairing, struct pn_error *err)
{
	size_t before = pairing->before, after = pairing->after;

	pairing->after_of_before = malloc((before + 1) * sizeof *pairing->after_of_before);
	pairing->before_of_after = malloc((after + 1) * sizeof *pairing->before_of_after);
	pairing->distance_A = malloc((before + 1) * sizeof *pairing->distance_A);
	pairing->displacement_A = malloc((before + 1) * sizeof *pairing->displacement_A);
	pairing->fate_before = malloc((before + 1) * sizeof *pairing->fate_before);
	pairing->fate_after = malloc((after + 1) * sizeof *pairing->fate_after);
	if (!pairing->after_of_before || !pairing->before_of_after || !pairing->distance_A ||
	    !pairing->displacement_A || !pairing->fate_before || !pairing->fate_after)
		return pn_error_set(err, PN_ENOMEM, "no memory to pair %zu with %zu atoms", before,
				    after);
	for (size_t i = 0; i < before; i++) {
		pairing->after_of_before[i] = PN_PAIR_NONE;
		pairing->distance_A[i] = NAN;
		for (int k = 0; k < 3; k++)
			pairing->displacement_A[i][k] = NAN;
		pairing->fate_before[i] = PN_FATE_DISAPPEARED;
	}
	for (size_t j = 0; j < after; j++) {
		pairing->before_of_after[j] = PN_PAIR_NONE;
		pairing->fate_after[j] = PN_FATE_NEW;
	}
	return PN_OK;
}

static int check(const struct pn_pairing *pairing, const struct pn_pair_options *options,
		 struct pn_error *err)
{
	double tolerance_A = pairing->tolerance_A, moved_A = options->moved_A;

	if (!(tolerance_A > 0 && isfinite(tolerance_A)))
		return pn_error_set(err, PN_EARG, "pairing: the tolerance %g A is not positive",
				    tolerance_A);
	if (moved_A != 0 && !(moved_A > tolerance_A && isfinite(moved_A)))
		return pn_error_set(err, PN_EARG,
				    "pairing: moved_A %g A is neither 0 nor above the tolerance "
				    "%g A",
				    moved_A, tolerance_A);
	if (options->method != PN_PAIR_NEAREST && options->method != PN_PAIR_ASSIGNMENT)
		return pn_error_set(err, PN_EARG, "pairing: no method has the number %d",
				    (int)options->method);
	if (pairing->before >> 31 || pairing->after >> 31)
		return pn_error_set(err, PN_EARG, "pairing: %zu and %zu atoms are too many",
				    pairing->before, pairing->after);
	return PN_OK;
}

int pn_pair_build(struct pn_pairing *pairing, const struct pn_atoms *before,
		  const struct pn_atoms *after, double tolerance_A,
		  const struct pn_pair_options *options, int threads, struct pn_error *err)
{
	struct models m = { before, after };
	struct side first = { 0 }, second = { 0 };
	struct pn_pair_options standard;

	pn_pair_options_default(&standard);
	if (!options)
		options = &standard;
	*pairing = (struct pn_pairing){ .before = before->count,
					.after = after->count,
					.tolerance_A = tolerance_A,
					.rmsd_A = NAN };
	int code = check(pairing, options, err);

	if (!code)
		code = allocate(pairing, err);
	if (!code)
		code = side_sort(&first, before, err);
	if (!code)
		code = side_sort(&second, after, err);
	if (!code)
		code = pair_sides(pairing, m, &first, &second, tolerance_A, options->method,
				  threads, err);
	if (!code && options->moved_A > 0)
		code = pair_left_over(pairing, m, &first, &second, options, threads, err);
	side_free(&first);
	side_free(&second);
	for (size_t i = 0; !code && i < before->count; i++)
		pairing->fates[PN_FATE_DISAPPEARED] +=
			pairing->fate_before[i] == PN_FATE_DISAPPEARED;
	for (size_t j = 0; !code && j < after->count; j++)
		pairing->fates[PN_FATE_NEW] += pairing->fate_after[j] == PN_FATE_NEW;
	return code;
}

void pn_pair_options_default(struct pn_pair_options *options)
{
	*options = (struct pn_pair_options){ .method = PN_PAIR_ASSIGNMENT, .moved_A = 0 };
}

void pn_pairing_free(struct pn_pairing *pairing)
{
	free(pairing->after_of_before);
	free(pairing->before_of_after);
	free(pairing->distance_A);
	free(pairing->displacement_A);
	free(pairing->fate_before);
	free(pairing->fate_after);
	*pairing = (struct pn_pairing){ 0 };
}

void pn_fate_histogram(uint64_t *counts, uint64_t outside[PN_FATES], const double *values,
		       const int32_t *fate, size_t atoms, double first, double width, size_t bins)
{
	pn_assert(width > 0);
	memset(counts, 0, PN_FATES * bins * sizeof *counts);
	if (outside)
		memset(outside, 0, PN_FATES * sizeof *outside);
	for (size_t i = 0; i < atoms; i++) {
		double bin = floor((values[i] - first) / width);
		size_t f = (size_t)fate[i];

		pn_assert(f < PN_FATES);
		/* the edges decide, not the rounded quotient */
		if (values[i] < first + bin * width)
			bin--;
		else if (values[i] >= first + (bin + 1) * width)
			bin++;
		if (bin >= 0 && bin < (double)bins)
			counts[f * bins + (size_t)bin]++;
		else if (outside)
			outside[f]++;
	}
}
