/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/hull.h - convex hull of a particle, and the alpha shape by another way. */
#ifndef PERRIN_ATOMS_HULL_H
#define PERRIN_ATOMS_HULL_H

#include "perrin/atoms/surface.h"

/**
 * The convex hull of a model. Made by pn_hull_build, freed by pn_hull_free; arrays belong to it.
 * Atoms inside a flat face or on a straight edge of the hull need not be corners of triangles.
 */
struct pn_hull {
	size_t atoms, triangles;
	size_t corners;          /* atoms that are corners of triangles */
	uint32_t (*triangle)[3]; /* [triangles] atoms, anticlockwise seen from outside */
	uint8_t *on_hull;        /* [atoms] 1 = a corner of a triangle */
	double area_A2, volume_A3;
	double diameter_A; /* of the sphere of equal volume */
};

/**
 * pn_hull_build - the convex hull, its area and volume, and the diameter of a particle:
 * d = (6 V / pi)^(1/3).
 *
 * Fewer than 4 atoms, and atoms on one line or plane (thinner than 1e-9 of their extent), have no
 * hull: no triangles, area, volume and diameter 0; that is no error. Atoms at one place count once.
 *
 * @hull: [out] freed with pn_hull_free, also after an error
 *
 * Errors: PN_ENOMEM; PN_EFORMAT with Qhull's words if it gives up. Thread: reentrant.
 * Cost: 0.3 us per atom. Source: paper 004 (diameter of the dissolving nanocrystal); Barber et al.,
 * ACM Trans. Math. Softw. 22, 469 (1996) (Qhull).
 */
int pn_hull_build(struct pn_hull *hull, const struct pn_atoms *atoms, struct pn_error *err);
void pn_hull_free(struct pn_hull *hull);

/**
 * pn_surface_by_delaunay - the same surface as pn_surface_build makes, by way of all Delaunay
 * tetrahedra of the model from Qhull: to check the one by the other, and to measure them. It is the
 * same triangle for triangle, but where rounding decides the diagonal of a flat polygon of atoms on
 * a circle (seen once, 1e5 A from the origin): area, volume and corners are the same there, too.
 *
 * Arguments and errors as pn_surface_build; PN_EFORMAT also with Qhull's words if it gives up.
 * One thread. Cost: O(N log N), 40 us and 1.5 kB per atom.
 */
int pn_surface_by_delaunay(struct pn_surface *surface, const struct pn_atoms *atoms,
			   double radius_A, struct pn_error *err);

#endif
