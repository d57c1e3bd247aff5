/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/surface.h - alpha-shape mesh of a particle, and what lies inside it and how deep. */
#ifndef PERRIN_ATOMS_SURFACE_H
#define PERRIN_ATOMS_SURFACE_H

#include "perrin/atoms/atoms.h"

/**
 * The surface of a model: a closed mesh of triangles whose corners are atoms. Made by
 * pn_surface_build or pn_surface_by_delaunay, freed by pn_surface_free; all arrays belong to it.
 *
 * Each triangle begins with its lowest atom, and the triangles are sorted, so that equal surfaces
 * are equal arrays. Every edge is passed as often one way as the other. It is usually shared by two
 * triangles; where the particle touches itself by four or more.
 */
struct pn_surface {
	double radius_A; /* of the probe */
	size_t atoms, triangles;
	size_t corners;          /* atoms that are on the mesh */
	uint32_t (*triangle)[3]; /* [triangles] atoms, anticlockwise seen from outside */
	uint8_t *on_mesh;        /* [atoms] 1 = a corner of the mesh */
	double area_A2, volume_A3;
};

/**
 * pn_surface_build - the alpha shape: of the Delaunay tetrahedra of the atoms those with a
 * circumradius <= @radius_A are filled; the surface are the faces with a filled tetrahedron on just
 * one side. In other words: a ball of that radius, rolled over the particle, cannot enter what is
 * inside. The papers take the first peak of g(r), a/sqrt 2 in a perfect crystal (000, 001), or the
 * lattice constant a (003); above a/2 the octahedral holes are closed.
 *
 *	area   = sum of |(q - p) x (r - p)| / 2        of the triangles p q r
 *	volume = sum of p . (q x r) / 6                relative to the mean of the corners
 *
 * The mesh may have several parts. A cavity that holds the probe is one: its triangles face into
 * it, its volume counts as missing and its area as surface. Atoms that fill nothing (a lone atom, a
 * chain, a flat sheet) are not on the mesh, so that fewer than 4 atoms, and atoms all on a line or
 * a plane, have no triangles, area 0 and volume 0; that is no error.
 *
 * Degenerate models: perfect lattices have many atoms on one sphere and on one plane. Ties are
 * broken as if the squared radius belonging to an atom differed from R^2 by up to 1e-8 R^2,
 * by its number; positions are never changed. So flat tetrahedra are always open, and numbering
 * decides nothing but the diagonal of a flat polygon of atoms on a circle, which alters neither
 * area, nor volume, nor on_mesh. Of atoms less than 1e-4 R apart all but one may be off the mesh.
 * A tetrahedron counts as filled up to a circumradius of 1.000001 R, so that rounding cannot open
 * cells of exactly R.
 *
 * @surface:  [out] freed with pn_surface_free, also after an error
 * @radius_A: > 0
 *
 * Errors: PN_EARG (radius or threads), PN_ENOMEM, PN_EFORMAT if the mesh stays open whatever way
 * ties are broken (not seen yet). Cost: O(N) for radii of a few neighbour distances, 4 us per atom
 * for the first peak and 5.5 us for the lattice constant; it grows with the number of atoms within
 * 2 R.
 * Source: methods R41 (papers 000, 001, 003); Edelsbrunner and Muecke, ACM Trans. Graph. 13, 43
 * (1994).
 */
int pn_surface_build(struct pn_surface *surface, const struct pn_atoms *atoms, double radius_A,
		     int threads, struct pn_error *err);
void pn_surface_free(struct pn_surface *surface);

/**
 * pn_surface_sphericity - pi^(1/3) (6 V)^(2/3) / A: 1 for a sphere, less for all else.
 *
 * Returns NaN for an empty mesh. Source: methods R41 (papers 000, 003).
 */
double pn_surface_sphericity(const struct pn_surface *surface);

/**
 * pn_surface_distance - how far each atom is from the nearest point of the mesh (on a triangle, an
 * edge or a corner), unsigned.
 *
 * @atoms:   the model the surface was made of
 * @depth_A: [out] [atoms] 0 for corners of the mesh; NaN if the mesh is empty
 *
 * Errors: PN_EARG (another number of atoms), PN_ENOMEM. Cost: a tree of boxes around triangles;
 * 4.5 us per atom for 1e5 atoms, growing as N^(1/3) at worst.
 * Source: methods R41 (paper 000).
 */
int pn_surface_distance(const struct pn_surface *surface, const struct pn_atoms *atoms,
			double *depth_A, int threads, struct pn_error *err);

/**
 * pn_surface_atom_distance - how far each atom is from the nearest atom of a set.
 *
 * @surface_atoms: [atoms] not 0 = of the set, by whatever rule the caller takes
 * @depth_A:       [out] [atoms] 0 for atoms of the set; NaN if the set is empty
 *
 * Errors: PN_ENOMEM, PN_EARG (threads). Cost: 2 us per atom for 1e5 atoms, growing as N^(1/3) at
 * worst.
 * Source: methods R41 (paper 003).
 */
int pn_surface_atom_distance(const struct pn_atoms *atoms, const uint8_t *surface_atoms,
			     double *depth_A, int threads, struct pn_error *err);

/**
 * pn_surface_inside - whether points lie inside the mesh: where its winding number is not 0.
 *
 * The winding number is counted on the ray from the point to z = +infinity: +1 for each triangle
 * passed from inside to outside, -1 from outside to inside. A ray through an edge or a corner is
 * decided as if its x were larger by a trifle, so that no passage is lost or counted twice. For
 * points on the mesh itself (such as its corners) either answer may come; inside a cavity the
 * answer is 0.
 *
 * @atoms:   the model the surface was made of
 * @point_A: [points] finite
 * @inside:  [out] [points] 1 or 0; all 0 if the mesh is empty
 *
 * Errors: PN_EARG (another number of atoms), PN_ENOMEM. Cost: 0.5 us per point for 1e5 atoms, with
 * the grid of columns made once per call.
 */
int pn_surface_inside(const struct pn_surface *surface, const struct pn_atoms *atoms,
		      const double (*point_A)[3], size_t points, uint8_t *inside, int threads,
		      struct pn_error *err);

#endif
