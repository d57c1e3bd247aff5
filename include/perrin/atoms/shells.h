/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/shells.h - a particle peeled like an onion. */
#ifndef PERRIN_ATOMS_SHELLS_H
#define PERRIN_ATOMS_SHELLS_H

#include "perrin/atoms/neighbors.h"

/*
 * Shell 1 is the surface; take it away and shell 2 is the surface of the rest, and so on until no
 * atom is left. The shell of an atom can serve as its class (perrin/atoms/classes.h) with
 * shells + 1 classes, of which class 0 stays empty. Composition by shell is
 * pn_composition_by_class.
 *
 * The two ways differ in what a surface is. Paper 003 and the mesh know a geometric surface; papers
 * 000 and 001 call an atom surface if CN < 12, and do not say which of the two they peel by. In
 * measured models CN finds up to twice as many surface atoms or more, for every vacancy and every
 * long bond makes some, and each of these hollows the particle out from within: with 0.2 A of noise
 * 92,340 atoms are gone after 4 shells by CN, and after 27 by probe, as without noise. For depth in
 * a measured model peel by probe.
 */

/**
 * pn_shells_by_cn - peel by coordination number: a shell is all atoms with fewer than @cn_full
 * neighbours among those that are left, taken off at once.
 *
 * @shell:     [out] [atoms] 1 .. shells
 * @shells:    [out] number of shells; 0 for no atoms
 * @unpeeled:  [out] atoms that were left when none had fewer than @cn_full neighbours any more:
 *             they form the last shell. 0 unless atoms are packed more closely than in the bulk;
 * may be NULL
 * @neighbors: cut-off = first minimum of g(r)
 * @cn_full:   of an atom in the bulk: 12 for fcc and hcp
 *
 * An atom without neighbours is in shell 1; coincident atoms count as neighbours.
 *
 * Errors: PN_ENOMEM. Serial. Cost: O(bonds), each bond is looked at once from either end: 60 ns
 * per atom.
 * Source: methods R45; papers 000, 001 (CN < 12), 001 ("onion peeling").
 */
int pn_shells_by_cn(int32_t *shell, uint32_t *shells, size_t *unpeeled,
		    const struct pn_neighbors *neighbors, uint32_t cn_full, struct pn_error *err);

/**
 * pn_shells_by_probe - peel by a probe ball: a shell is all atoms that a ball of @radius_A, with no
 * atom inside, can touch from some side.
 *
 * These are the corners of the alpha-shape mesh (perrin/atoms/surface.h) of the same radius, with
 * the mesh made anew after each peel, because: the Voronoi cell of an atom is convex, and the atom
 * is inside the kept tetrahedra if and only if all corners of the cell are nearer than the radius,
 * that is if no point of the cell is at the radius. Atoms that belong to no kept tetrahedron at all
 * (adatoms far out, fewer than 4 atoms, flat models), which a mesh does not see, are touched too
 * and peeled at once. Holes wide enough for the ball count as surface, as in the mesh.
 *
 * Whether the ball can touch depends on the atoms within 2 radius only: each neighbour covers a cap
 * of the sphere of possible centres, and the atom is buried if the caps cover the whole sphere. An
 * atom is looked at again only when one of those that buried it is peeled. So no mesh is built, and
 * the cost does not grow with the number of shells. A hole into which the ball fits exactly, to
 * 1e-6 of the radius, is closed.
 *
 * @shell:    [out] [atoms] 1 .. shells
 * @shells:   [out] number of shells; 0 for no atoms. Every finite set has a touchable atom, so
 *            none remains
 * @radius_A: of the probe, > 0: first peak of g(r) (papers 000, 001) or lattice constant (003).
 *            For fcc it must exceed a/2, or every octahedral hole is a surface
 *
 * Coincident atoms (nearer than 1e-7 of the radius) are all touched, or all not.
 *
 * Errors: PN_EARG (radius, threads), PN_ENOMEM. Cost: O(N), one core: 3 us per atom in a perfect
 * crystal with the first peak as radius, 8 us with 0.2 A of noise; 8 and 12 us with the lattice
 * constant.
 * Source: methods R41, R45. Alpha-exposed points: Edelsbrunner and Mucke, ACM Trans. Graph. 13, 43
 * (1994).
 */
int pn_shells_by_probe(int32_t *shell, uint32_t *shells, const struct pn_atoms *atoms,
		       double radius_A, int threads, struct pn_error *err);

#endif
