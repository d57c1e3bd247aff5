/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/neighbors.h - who is next to whom, and coordination numbers. */
#ifndef PERRIN_ATOMS_NEIGHBORS_H
#define PERRIN_ATOMS_NEIGHBORS_H

#include "perrin/atoms/atoms.h"

/**
 * Neighbours of every atom: those of atom i are atom[start[i]] .. atom[start[i + 1] - 1] in
 * ascending order, never i itself. The list is symmetric: j is in the list of i if and only if i is
 * in that of j. Made by pn_neighbors_build, freed by pn_neighbors_free.
 */
struct pn_neighbors {
	double cutoff_A;
	size_t atoms;
	uint32_t *start;     /* [atoms + 1] */
	uint32_t *atom;      /* [start[atoms]] */
	double (*bond_A)[3]; /* [start[atoms]] position of the neighbour less that of the atom */
};

/**
 * pn_neighbors_build - all pairs strictly closer than @cutoff_A > 0. The coordination number CN of
 * atom i is pn_neighbors_count(n, i) when the cut-off is the first minimum of g(r).
 *
 * Atoms at the same place are neighbours at distance 0: kernels that divide by a distance say what
 * they do about them.
 *
 * Errors: PN_ENOMEM, PN_EARG (2^32 pairs or more). Cost: O(N); 0.5 us per atom for 12 neighbours.
 * Source: methods R40 (papers 000, 001: CN = neighbours inside the first minimum).
 */
int pn_neighbors_build(struct pn_neighbors *neighbors, const struct pn_atoms *atoms,
		       double cutoff_A, int threads, struct pn_error *err);
void pn_neighbors_free(struct pn_neighbors *neighbors);

/** pn_neighbors_count - the number of neighbours of atom @i. */
static inline uint32_t pn_neighbors_count(const struct pn_neighbors *neighbors, size_t i)
{
	return neighbors->start[i + 1] - neighbors->start[i];
}

/**
 * pn_neighbors_duplicates - pairs of atoms closer than @nearer_A, each pair counted once: measured
 * models hold atoms that were traced twice.
 *
 * @per_atom: [out] [atoms] 1 for the atoms of such pairs; may be NULL
 *
 * Returns the number of pairs. @nearer_A must not exceed the cut-off of the list.
 */
size_t pn_neighbors_duplicates(const struct pn_neighbors *neighbors, double nearer_A,
			       uint8_t *per_atom);

#endif
