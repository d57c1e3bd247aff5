/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/curvature.h - curvature and normals of a surface mesh, averages over a surface. */
#ifndef PERRIN_ATOMS_CURVATURE_H
#define PERRIN_ATOMS_CURVATURE_H

#include "perrin/atoms/surface.h"

/**
 * pn_curvature - mean and Gaussian curvature, area share and normal of every atom of a mesh.
 *
 *	g = gradient of the mesh's area with respect to the position of the atom
 *	  = 1/2 sum over edges (cot alpha + cot beta) (x - x_neighbor)
 *	A = mixed area: Voronoi cells in the triangles, cut at obtuse angles; the sum of all A is
 *	    the area of the mesh
 *	H = |g| / (2 A), with the sign of g . n
 *	K = (2 pi - sum of the angles at the atom) / A
 *	n = unit vector along the sum of (area of triangle) (outward normal of triangle)
 *
 * H is the mean (not the sum) of the two principal curvatures: 1/R on a sphere; positive where the
 * surface is convex. g does not depend on which diagonal splits a flat quadrilateral, and is 0
 * inside a flat facet: do not take normals from it there. H and K of a mesh through atoms belong to
 * edges and corners; average them (pn_surface_average) for the curvature over some distance.
 *
 * The error on a smooth surface goes down with the square of the edges on a regular mesh, with the
 * edges themselves where atoms with 4 and with 8 triangles alternate.
 *
 * Where two sheets of the mesh touch in an atom, K and H are the area-weighted means over the
 * sheets, each with the formulas above (so sum K A = 2 pi Euler number of the sheets taken apart)
 * and n comes from all of them. Where they touch along an edge, each sheet goes on where it bounds
 * the same wedge of solid. Triangles with no area (height below 1e-12 of the longest edge) count
 * for angles and for what is joined to what, not for g and A.
 *
 * @mean_per_A:      [out] [atoms] H, 1/A
 * @gaussian_per_A2: [out] [atoms] K, 1/A^2
 * @area_A2:         [out] [atoms] A, A^2
 * @normal:          [out] [atoms] n; NaN also where the sum is 0
 *		     any of the four may be NULL; NaN for atoms that are not on the mesh (or whose
 *		     triangles all have no area), which is not an error
 * @surface:         closed mesh, triangles anticlockwise seen from outside; 0 triangles are fine
 * @atoms:           the model it was made of
 *
 * Errors: PN_EARG (threads < 1, mesh of another model, a mesh with a hole: names the edge),
 * PN_ENOMEM. Thread: reentrant. Cost: 0.5 us per triangle.
 * Source: Meyer, Desbrun, Schroeder, Barr, Visualization and Mathematics III, 35 (2003), eqs. 7-9
 * (paper 003, ref. 43); papers 001 and 003 (local curvature).
 */
int pn_curvature(double *mean_per_A, double *gaussian_per_A2, double *area_A2, double (*normal)[3],
		 const struct pn_surface *surface, const struct pn_atoms *atoms, int threads,
		 struct pn_error *err);

/**
 * pn_surface_average - averages with Gaussian weights over the atoms that have a value:
 *
 *	average_i = sum_j w_j exp(-d_ij^2 / (2 sigma^2)) value_j / sum_j w_j exp(...)
 *
 * d is the straight distance; atoms farther than 7 sigma (weight 2e-11) are left out. With the
 * areas of pn_curvature for w it gives the curvature as it is over a distance of sigma. The mean
 * over a sheet that is thinner than sigma mixes its two sides.
 *
 * @average:    [out] [atoms][components]; NaN for atoms without value or if the weights are all 0;
 *		not the same array as @value
 * @value:      [atoms][components]; an atom has no value if its first component is NaN
 * @components: 1..3
 * @weight:     [atoms] >= 0, what is not > 0 counts as 0; NULL: all 1
 * @sigma_A:    at least 1e-6
 *
 * Errors: PN_EARG (components, sigma, threads), PN_ENOMEM. Thread: reentrant. Cost: about 10 ns per
 * atom and atom within 7 sigma: 6 us per atom of a surface for sigma = a of Pt.
 * Source: paper 003 (Gaussian kernel average of normals, sigma = lattice constant).
 */
int pn_surface_average(double *average, const double *value, int components, const double *weight,
		       double sigma_A, const struct pn_atoms *atoms, int threads,
		       struct pn_error *err);

#endif
