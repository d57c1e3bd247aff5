/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "align_parts.h"
#include "lattice_parts.h"
#include "perrin/math/linear.h"

#include <stdlib.h>

static const double tolerance_part = 0.3, edge_part = 0.5;

/* ---- set up -------------------------------------------------------------------------------- */

struct ranked {
	double d2;
	uint32_t atom;
};

static int by_distance(const void *a, const void *b)
{
	const struct ranked *p = a, *q = b;

	if (p->d2 != q->d2)
		return p->d2 < q->d2 ? -1 : 1;
	return p->atom < q->atom ? -1 : 1;
}

static void sort_moved(struct pn_dock *dock, struct ranked *ranked)
{
	for (size_t i = 0; i < dock->moved->count; i++) {
		ranked[i] = (struct ranked){ 0, (uint32_t)i };
		for (int k = 0; k < 3; k++) {
			double d = dock->moved->position_A[i][k] - dock->moved_center_A[k];

			ranked[i].d2 += d * d;
		}
	}
	qsort(ranked, dock->moved->count, sizeof *ranked, by_distance);
	for (size_t i = 0; i < dock->moved->count; i++)
		dock->order[i] = ranked[i].atom;
}

int pn_dock_init(struct pn_dock *dock, const struct pn_atoms *reference,
		 const struct pn_atoms *moved, double tolerance_A, int threads,
		 struct pn_error *err)
{
	uint32_t sample[256];
	size_t n = moved->count;
	struct ranked *ranked = malloc((n + 1) * sizeof *ranked);

	*dock = (struct pn_dock){ .reference = reference, .moved = moved, .threads = threads };
	pn_lattice_centroid(dock->reference_center_A, reference);
	pn_lattice_centroid(dock->moved_center_A, moved);
	size_t samples =
		pn_lattice_sample(sample, PN_COUNT(sample), reference, dock->reference_center_A);

	dock->spacing_A = pn_lattice_spacing(reference, sample, samples);
	if (!(dock->spacing_A > 0))
		dock->spacing_A = 1 / tolerance_part;
	dock->tolerance_A = tolerance_A > 0 ? tolerance_A : tolerance_part * dock->spacing_A;
	dock->order = malloc((n + 1) * sizeof *dock->order);
	dock->partner = malloc((n + 1) * sizeof *dock->partner);
	dock->before = malloc((n + 1) * sizeof *dock->before);
	dock->owner = malloc((reference->count + 1) * sizeof *dock->owner);
	dock->d2 = malloc((n + 1) * sizeof *dock->d2);
	if (!ranked || !dock->order || !dock->partner || !dock->before || !dock->owner ||
	    !dock->d2) {
		free(ranked);
		return pn_error_set(err, PN_ENOMEM, "align: no memory for %zu and %zu atoms",
				    reference->count, n);
	}
	sort_moved(dock, ranked);
	free(ranked);
	return pn_cells_build(&dock->cells, reference->position_A, reference->count,
			      edge_part * dock->spacing_A, err);
}

void pn_dock_free(struct pn_dock *dock)
{
	pn_cells_free(&dock->cells);
	free(dock->order);
	free(dock->partner);
	free(dock->before);
	free(dock->owner);
	free(dock->d2);
	*dock = (struct pn_dock){ 0 };
}

/* ---- the pose of a set of pairs ------------------------------------------------------------ */

void pn_pose_center(struct pn_pose *pose, const double reference_A[3], const double moved_A[3])
{
	for (int r = 0; r < 3; r++) {
		pose->translation_A[r] = reference_A[r];
		for (int c = 0; c < 3; c++)
			pose->translation_A[r] -= pose->rotation[r][c] * moved_A[c];
	}
}

void pn_pairs_clear(struct pn_pairs *pairs, const double x0[3], const double y0[3])
{
	*pairs = (struct pn_pairs){ 0 };
	memcpy(pairs->x0, x0, sizeof pairs->x0);
	memcpy(pairs->y0, y0, sizeof pairs->y0);
}

void pn_pairs_add(struct pn_pairs *pairs, const double x[3], const double y[3])
{
	double u[3], v[3];

	for (int k = 0; k < 3; k++) {
		u[k] = x[k] - pairs->x0[k];
		v[k] = y[k] - pairs->y0[k];
		pairs->x[k] += u[k];
		pairs->y[k] += v[k];
	}
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			pairs->xy[r][c] += u[r] * v[c];
	pairs->count++;
}

void pn_pairs_fit(struct pn_pose *pose, const struct pn_pairs *pairs)
{
	double n = (double)pairs->count, x[3], y[3], xy[3][3], rotation[3][3];

	if (!pairs->count)
		return;
	for (int r = 0; r < 3; r++) {
		x[r] = pairs->x0[r] + pairs->x[r] / n;
		y[r] = pairs->y0[r] + pairs->y[r] / n;
		for (int c = 0; c < 3; c++)
			xy[r][c] = pairs->xy[r][c] - pairs->x[r] * pairs->y[c] / n;
	}
	if (pairs->count >= 3 && pn_polar_rotation(rotation, (const double(*)[3])xy))
		memcpy(pose->rotation, rotation, sizeof rotation);
	pn_pose_center(pose, x, y);
}

/* ---- pairs --------------------------------------------------------------------------------- */

uint32_t pn_dock_nearest(const struct pn_dock *dock, const double x[3], double reach_A, double *d2)
{
	const struct pn_cells *cells = &dock->cells;
	size_t first[3], last[3];
	uint32_t best = UINT32_MAX;

	*d2 = reach_A * reach_A;
	if (!pn_cells_range(cells, x, reach_A, first, last))
		return best;
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++) {
			size_t row = (z * cells->shape[1] + y) * cells->shape[2];
			uint32_t end = cells->start[row + last[2] + 1];

			for (uint32_t at = cells->start[row + first[2]]; at < end; at++) {
				const double *q = cells->position_A[at];
				double d[3] = { q[0] - x[0], q[1] - x[1], q[2] - x[2] };
				double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];

				if (r2 < *d2 || (r2 == *d2 && cells->atom[at] < best)) {
					*d2 = r2;
					best = cells->atom[at];
				}
			}
		}
	return best;
}

/* Atom number @at of those used; all of them are taken as they lie in memory. */
static inline uint32_t number(const struct pn_dock *dock, size_t at, size_t used)
{
	return used == dock->moved->count ? (uint32_t)at : dock->order[at];
}

/* Partners of the first @used atoms in order; an atom of the reference goes to the nearest. */
static void pair(struct pn_dock *dock, const struct pn_pose *pose, size_t used, double reach_A)
{
	/* small models are done before a second thread has started */
#pragma omp parallel for num_threads(dock->threads) schedule(static) if (used > 4096)
	for (size_t at = 0; at < used; at++) {
		uint32_t i = number(dock, at, used);
		double x[3];

		pn_pose_move(x, pose, dock->moved->position_A[i]);
		dock->partner[i] = pn_dock_nearest(dock, x, reach_A, &dock->d2[i]);
	}
	memset(dock->owner, 0xff, dock->reference->count * sizeof *dock->owner);
	for (size_t at = 0; at < used; at++) {
		uint32_t i = number(dock, at, used), j = dock->partner[i];

		if (j == UINT32_MAX)
			continue;
		uint32_t other = dock->owner[j];

		if (other != UINT32_MAX && (dock->d2[other] < dock->d2[i] ||
					    (dock->d2[other] == dock->d2[i] && other < i))) {
			dock->partner[i] = UINT32_MAX;
			continue;
		}
		if (other != UINT32_MAX)
			dock->partner[other] = UINT32_MAX;
		dock->owner[j] = i;
	}
}

static void count_pairs(const struct pn_dock *dock, struct pn_pose *pose, size_t used)
{
	double sum = 0;

	pose->pairs = 0;
	pose->score = 0;
	for (size_t at = 0; at < used; at++) {
		uint32_t i = number(dock, at, used);

		if (dock->partner[i] == UINT32_MAX)
			continue;
		pose->pairs++;
		sum += dock->d2[i];
		pose->score += 1 - dock->d2[i] / (dock->tolerance_A * dock->tolerance_A);
	}
	pose->rmsd_A = pose->pairs ? sqrt(sum / (double)pose->pairs) : NAN;
}

void pn_dock_count(struct pn_dock *dock, struct pn_pose *pose)
{
	pair(dock, pose, dock->moved->count, dock->tolerance_A);
	count_pairs(dock, pose, dock->moved->count);
}

int pn_dock_refine(struct pn_dock *dock, struct pn_pose *pose, size_t used, double reach_A,
		   int rounds)
{
	memset(dock->before, 0xff, dock->moved->count * sizeof *dock->before);
	for (int round = 0; round < rounds; round++) {
		struct pn_pairs pairs;
		int changed = 0;

		pair(dock, pose, used, reach_A);
		pn_pairs_clear(&pairs, dock->reference_center_A, dock->moved_center_A);
		for (size_t at = 0; at < used; at++) {
			uint32_t i = number(dock, at, used), j = dock->partner[i];

			changed |= dock->before[i] != j;
			dock->before[i] = j;
			if (j != UINT32_MAX)
				pn_pairs_add(&pairs, dock->reference->position_A[j],
					     dock->moved->position_A[i]);
		}
		pose->rounds++;
		if (!changed) {
			count_pairs(dock, pose, used);
			return 1;
		}
		pn_pairs_fit(pose, &pairs);
	}
	pair(dock, pose, used, reach_A);
	count_pairs(dock, pose, used);
	return 0;
}
