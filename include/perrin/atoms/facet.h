/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/facet.h - which crystal facet a surface atom or a piece of surface belongs to. */
#ifndef PERRIN_ATOMS_FACET_H
#define PERRIN_ATOMS_FACET_H

#include "perrin/atoms/neighbors.h"
#include "perrin/atoms/surface.h"

/** What an atom of an fcc particle belongs to. Stored as uint8_t, one per atom. */
enum pn_facet {
	PN_FACET_NONE = 0, /* not a surface atom */
	PN_FACET_111,
	PN_FACET_100,
	PN_FACET_110,
	PN_FACET_EDGE,
	PN_FACET_VERTEX,
	PN_FACET_OTHER, /* surface, but none of the above: high-index, disordered, no normal */
	PN_FACET_KINDS
};

/** pn_facet_name - "none" "111" "100" "110" "edge" "vertex" "other"; "?" beyond. Static storage. */
const char *pn_facet_name(int facet);

/**
 * pn_facet_by_cn - facets from coordination number and centro-symmetry parameter (CSP in units of
 * d^2, d = nearest-neighbour distance):
 *
 *	none    CN >= 12
 *	{111}   CN 9 and CSP 3
 *	{100}   CN 8 and CSP 4
 *	{110}   CN 7 and CSP 5, its surroundings as steep as itself (below)
 *	edge    CN 7 and CSP 5, the others
 *	vertex  CN 4..6: corners, kinks
 *	other   the rest: CN 10, 11 (feet of steps, valleys of {110}), lone atoms, CSP off by more
 *
 * CSP and CN of a {110} atom are those of the edge between two {111} facets, as a {110} facet is
 * made of such ridges. They differ in their neighbours: with n_i = -sum of unit bonds, normalised,
 * the mean of n_i . n_j over the neighbours j with CN < 12 is 1 on {110}, 0.88 on the edge of two
 * {111} facets, 0.92 on that of {111} and {100}. Above 0.935 is {110}. The ends of the ridges,
 * where a {110} facet meets another, count as edges.
 *
 * @facet:         [out] [atoms] enum pn_facet
 * @first_shell:   neighbours up to the first minimum of g(r)
 * @csp_A2:        [atoms] of pn_csp_shell; NaN is off
 * @nearest_A:     d > 0: a/sqrt 2 of the lattice fit, or the first peak of g(r)
 * @csp_tolerance: how far CSP/d^2 may be off, > 0; 0.5 divides the classes. Random displacements
 *		   raise the CSP (see pn_csp_shell)
 *
 * Errors: PN_EARG (nearest, tolerance, threads). Thread: reentrant. Allocates: nothing. Cost:
 * 20 ns per atom.
 * Source: paper 000 (CN with CSP; edges, corners, high-index: "other"); the numbers are those of
 * the perfect lattice.
 */
int pn_facet_by_cn(uint8_t *facet, const struct pn_neighbors *first_shell, const double *csp_A2,
		   double nearest_A, double csp_tolerance, int threads, struct pn_error *err);

/** pn_facet_cutoff_A - (a/sqrt 2 + a)/2, the cut-off of neighbours for pn_facet_by_normal. */
double pn_facet_cutoff_A(double lattice_A);

/**
 * pn_facet_by_normal - facets from averaged surface normals: every surface atom goes to {111},
 * {100} or {110}, whichever has a normal nearest to its own, or to PN_FACET_OTHER if it has none.
 *
 * 1. The convex hull of the atom and its neighbours. Gradient g of the hull's area with respect to
 *    the atom's position (the mean-curvature normal by cotangents); if |g| > a/10 the direction is
 *    g/|g|.
 * 2. Else - the atom lies in a flat face, where g is 0 or noise, or inside the hull - the direction
 *    is that of sum over faces (area) (normal) exp(-h^2 / (2 w^2)), h = distance of the atom to the
 *    face, w = a/10: the faces that it lies in or just below.
 * 3. Average of these unit vectors over the surface atoms, weights exp(-d^2 / (2 a^2)).
 * 4. Turned into the crystal, the largest |dot product| with the families. Within 1e-9 of a tie:
 *    {111} before {100} before {110}.
 *
 * The average takes the sharpness out of edges: atoms next to one often go to {110}, and a perfect
 * octahedron of 1469 atoms has only half of its facet atoms in {111}; what is farther than a from
 * edges and corners is right (also with random displacements of 0.1 A). So compare fractions with
 * those of other models of that size, not with the areas of the faces.
 *
 * No step depends on how flat faces are cut into triangles: points within 3e-4 a of a plane are one
 * face, so that a perfect model gives the same with the 3 digits of a file (float32, too). Atoms
 * displaced by about that, 0.001 to 0.01 A, may lie on the hull or not: directions then change by
 * up to 6 deg. Atoms with fewer than 3 neighbours, or whose hull has no volume, have no direction
 * of their own and are other.
 *
 * @facet:        [out] [atoms] enum pn_facet: 111, 100, 110, other; none where not @surface_atom
 * @angle_deg:    [out] [atoms] between the average normal and that of the family, 0..27.6 deg; NaN
 *		  for none and other. Steep angles are edges and high-index facets
 * @normal:       [out] [atoms] average normal, unit length, lab frame; NaN likewise; may be NULL
 * @neighbors:    up to pn_facet_cutoff_A(lattice_A), or the first minimum of g(r)
 * @surface_atom: [atoms] not 0 = belongs to the surface (CN < 12, or on the mesh)
 * @lattice_A:    a of the lattice fit, > 0
 * @to_lab:       lab = to_lab * crystal, a rotation (from the lattice fit)
 *
 * Errors: PN_EARG (lattice, threads, to_lab not orthonormal to 1e-6, more than 40 neighbours),
 * PN_ENOMEM. Thread: reentrant. Cost: 20 us per surface atom for the hulls (as the third power of
 * the number of neighbours), 6 us for the average.
 * Source: paper 003 (Assignment of the facet indices); Meyer et al. 2003, eq. 8. The paper does not
 * say what it does where g vanishes: step 2 is our own.
 */
int pn_facet_by_normal(uint8_t *facet, double *angle_deg, double (*normal)[3],
		       const struct pn_neighbors *neighbors, const struct pn_atoms *atoms,
		       const uint8_t *surface_atom, double lattice_A, const double to_lab[3][3],
		       int threads, struct pn_error *err);

/** Area of a mesh by facet family; their sum is the area of the mesh. */
struct pn_facet_areas {
	double a111_A2, a100_A2, a110_A2, other_A2;
};

/**
 * pn_facet_areas - the triangles of a mesh by the family whose normal is nearest to theirs.
 *
 * @max_angle_deg: farther than this from all three is other_A2; 10 takes high-index pieces out,
 *		   90 leaves none over. A triangle without area adds nothing
 *
 * The mesh spans the valleys of a perfect {110} facet: with the probe of pn_surface_build at the
 * first peak of g(r), too, it is flat there.
 *
 * Errors: PN_EARG (angle not in 0..90, to_lab as above, mesh of another model). Thread: reentrant.
 * Cost: 0.1 us per triangle.
 */
int pn_facet_areas(struct pn_facet_areas *areas, const struct pn_surface *surface,
		   const struct pn_atoms *atoms, const double to_lab[3][3], double max_angle_deg,
		   struct pn_error *err);

#endif
