/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rdf_parts.h - what the files of g(r) share. */
#ifndef RDF_PARTS_H
#define RDF_PARTS_H

#include "perrin/atoms/cells.h"
#include "perrin/atoms/rdf.h"

#define RDF_REACH 6.0 /* where the Gaussian is cut, in sigma */

/** Atoms in cells, and which of the two roles each plays. */
struct rdf_pairs {
	struct pn_cells cells;
	uint8_t *is_a, *is_b; /* [atoms] in the order of the cells; NULL = all play both */
};

/**
 * rdf_distances - distances below @radius_A of the cells' entry @i to those after it, @piece of
 * them at a time to @take. A pair comes once for each way round that it counts; if all atoms play
 * both roles, once instead of twice.
 */
typedef void rdf_take(const double *distance_A, size_t count, void *context);
void rdf_distances(const struct rdf_pairs *pairs, size_t i, double radius_A, rdf_take *take,
		   void *context);

/**
 * rdf_gap - the distances next to @r_A: the largest not above it and the smallest above it, of
 * those below @radius_A; -INFINITY and INFINITY if there are none.
 */
void rdf_gap(double gap_A[2], const struct rdf_pairs *pairs, double r_A, double radius_A);

/** rdf_ends - 2 if each pair is seen from both ends, 1 for g_ab of two elements. */
static inline double rdf_ends(const struct pn_rdf *rdf)
{
	return rdf->element_a && rdf->element_b && rdf->element_a != rdf->element_b ? 1 : 2;
}

/** rdf_find - fill in peaks and minima, and the fit; the curves are there. */
int rdf_find(struct pn_rdf *rdf, const struct rdf_pairs *pairs, double fraction_b,
	     struct pn_error *err);

/**
 * rdf_solid_angle - sum of the solid angles of the inside of the mesh as the atoms of @element see
 * it from where they are (0 = all): Omega_i(0) of pn_rdf_shell_area.
 */
int rdf_solid_angle(double *sum, const struct pn_atoms *atoms, uint8_t element,
		    const struct pn_surface *surface, int threads, struct pn_error *err);

#endif
