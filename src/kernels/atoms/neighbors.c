/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/neighbors.h"

#include "perrin/atoms/cells.h"

#include <stdlib.h>
#include <string.h>

/*
 * Two passes over the pairs: one counts, one fills. Distances come from the cell list's
 * copy of the positions, so that both passes and both ends of a pair see the same number: (a - b)^2
 * and (b - a)^2 are equal to the last bit.
 */
static uint32_t visit(const struct pn_cells *cells, uint32_t i, const double p[3], double cutoff_A,
		      uint32_t *found, double (*bond_A)[3])
{
	double cutoff2 = cutoff_A * cutoff_A;
	size_t first[3], last[3];
	uint32_t count = 0;

	if (!pn_cells_range(cells, p, cutoff_A, first, last))
		return 0;
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++) {
			size_t row = (z * cells->shape[1] + y) * cells->shape[2];
			uint32_t end = cells->start[row + last[2] + 1];

			for (uint32_t at = cells->start[row + first[2]]; at < end; at++) {
				const double *q = cells->position_A[at];
				double d[3] = { q[0] - p[0], q[1] - p[1], q[2] - p[2] };
				double d2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];

				if (!(d2 < cutoff2) || cells->atom[at] == i)
					continue;
				if (found) {
					found[count] = cells->atom[at];
					memcpy(bond_A[count], d, sizeof d);
				}
				count++;
			}
		}
	return count;
}

/* Insertion sort by number: a dozen entries, nearly in order. */
static void sort_row(uint32_t *found, double (*bond_A)[3], uint32_t count)
{
	for (uint32_t a = 1; a < count; a++) {
		uint32_t key = found[a], b = a;
		double bond[3];

		memcpy(bond, bond_A[a], sizeof bond);
		for (; b > 0 && found[b - 1] > key; b--) {
			found[b] = found[b - 1];
			memcpy(bond_A[b], bond_A[b - 1], sizeof bond);
		}
		found[b] = key;
		memcpy(bond_A[b], bond, sizeof bond);
	}
}

static int count_pairs(struct pn_neighbors *n, const struct pn_atoms *atoms,
		       const struct pn_cells *cells, int threads, struct pn_error *err)
{
	uint64_t total = 0;

	/* in the order of the cells, so that what one atom has read is still near for the next */
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t at = 0; at < atoms->count; at++)
		n->start[cells->atom[at] + 1] = visit(cells, cells->atom[at], cells->position_A[at],
						      n->cutoff_A, NULL, NULL);
	for (size_t i = 0; i < atoms->count; i++) {
		total += n->start[i + 1];
		if (total > UINT32_MAX)
			return pn_error_set(err, PN_EARG,
					    "cut-off %g A: more than %u neighbours in %zu atoms",
					    n->cutoff_A, UINT32_MAX, atoms->count);
		n->start[i + 1] = (uint32_t)total;
	}
	n->atom = malloc(((size_t)total + 1) * sizeof *n->atom);
	n->bond_A = malloc(((size_t)total + 1) * sizeof *n->bond_A);
	if (!n->atom || !n->bond_A)
		return pn_error_set(err, PN_ENOMEM, "no memory for %llu neighbours",
				    (unsigned long long)total);
	return PN_OK;
}

int pn_neighbors_build(struct pn_neighbors *neighbors, const struct pn_atoms *atoms,
		       double cutoff_A, int threads, struct pn_error *err)
{
	struct pn_neighbors *n = neighbors;
	struct pn_cells cells;

	*n = (struct pn_neighbors){ .cutoff_A = cutoff_A, .atoms = atoms->count };
	int rc = pn_cells_build(&cells, atoms->position_A, atoms->count, cutoff_A, err);

	if (rc)
		return rc;
	n->start = calloc(atoms->count + 1, sizeof *n->start);
	rc = n->start ? count_pairs(n, atoms, &cells, threads, err)
		      : pn_error_set(err, PN_ENOMEM, "no memory for the neighbours of %zu atoms",
				     atoms->count);
	if (!rc) {
#pragma omp parallel for num_threads(threads) schedule(static)
		for (size_t at = 0; at < atoms->count; at++) {
			uint32_t i = cells.atom[at], *row = n->atom + n->start[i];
			uint32_t count = visit(&cells, i, cells.position_A[at], cutoff_A, row,
					       n->bond_A + n->start[i]);

			sort_row(row, n->bond_A + n->start[i], count);
		}
	}
	pn_cells_free(&cells);
	if (rc)
		pn_neighbors_free(n);
	return rc;
}

void pn_neighbors_free(struct pn_neighbors *neighbors)
{
	free(neighbors->start);
	free(neighbors->atom);
	free(neighbors->bond_A);
	*neighbors = (struct pn_neighbors){ 0 };
}

size_t pn_neighbors_duplicates(const struct pn_neighbors *neighbors, double nearer_A,
			       uint8_t *per_atom)
{
	const struct pn_neighbors *n = neighbors;
	size_t pairs = 0;

	pn_assert(nearer_A <= n->cutoff_A);
	if (per_atom)
		memset(per_atom, 0, n->atoms);
	for (size_t i = 0; i < n->atoms; i++)
		for (uint32_t at = n->start[i]; at < n->start[i + 1]; at++) {
			const double *d = n->bond_A[at];

			if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] >= nearer_A * nearer_A)
				continue;
			pairs += n->atom[at] > i;
			if (per_atom)
				per_atom[i] = 1;
		}
	return pairs;
}
