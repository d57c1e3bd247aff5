/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/csp.h - centro-symmetry parameter: how far bonds are from opposite pairs. */
#ifndef PERRIN_ATOMS_CSP_H
#define PERRIN_ATOMS_CSP_H

#include "perrin/atoms/cells.h"
#include "perrin/atoms/neighbors.h"

/*
 * The centro-symmetry parameter of an atom with bonds r_1 .. r_n is
 *
 *	CSP = the sum of the m smallest |r_j + r_k|^2 over all pairs j < k
 *
 * A bond may be part of several pairs: that is what gives sites with few neighbours, too, a value
 * that is theirs alone. Coincident atoms need no care (a bond of length 0 adds |r_k|^2).
 */

/**
 * pn_csp_shell - the CSP over the neighbours of the first shell, m = 6.
 *
 * On a perfect fcc crystal with nearest neighbours at d, in units of d^2:
 *
 *	0 bulk   1 under a missing atom   3 {111}   4 {100}   5 {110} and the edges of {111} with
 *	{111} or {100}   8 vertex of a truncated octahedron   12 of a cuboctahedron   16 of an
 *	octahedron
 *
 * {110} and edges have the same value: pn_facet_by_cn tells them apart. Random displacements of s
 * along each axis raise it by 108 s^2 in the bulk, where the pairs are opposite atoms: for Pt by
 * 0.14 d^2 if s = 0.1 A.
 *
 * @csp_A2:      [out] [atoms] A^2; NaN for fewer than 4 neighbours (fewer than 6 pairs)
 * @first_shell: neighbours up to the first minimum of g(r)
 *
 * Errors: PN_EARG (threads < 1). Thread: reentrant. Allocates: nothing. Cost: 0.35 us per atom.
 * Source: paper 000 (CSP with CN for facets); Kelchner, Plimpton, Hamilton, Phys. Rev. B 58, 11085
 * (1998), with the neighbours limited to the first shell, as the 12 nearest are not defined on a
 * {100} surface.
 */
int pn_csp_shell(double *csp_A2, const struct pn_neighbors *first_shell, int threads,
		 struct pn_error *err);

/**
 * pn_csp_nearest - the CSP over the @nearest atoms, m = nearest/2: what other programs print. On a
 * surface it takes second neighbours for the missing first ones.
 *
 * Atoms as far away as the last one wanted (to 1e-6 of the distance) count, too, so that the choice
 * among equals does not depend on the numbering: the 5 second neighbours of a {100} atom give 2
 * d^2. Only if that makes more than 64 are those with the lowest numbers taken.
 *
 * @csp_A2:  [out] [atoms] A^2; NaN if there are fewer than nearest other atoms
 * @cells:   of the same positions; an edge of about the first minimum of g(r) is quick
 * @nearest: even, 2..24; 12 for fcc
 *
 * Errors: PN_EARG (nearest, threads, cells of another model). Thread: reentrant. Allocates:
 * nothing. Cost: 1.3 us per atom.
 * Source: Kelchner, Plimpton, Hamilton, Phys. Rev. B 58, 11085 (1998), eq. 1.
 */
int pn_csp_nearest(double *csp_A2, const struct pn_cells *cells, const struct pn_atoms *atoms,
		   int nearest, int threads, struct pn_error *err);

#endif
