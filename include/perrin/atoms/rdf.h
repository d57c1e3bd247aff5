/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/rdf.h - g(r) of a particle in vacuum, its peaks and minima. */
#ifndef PERRIN_ATOMS_RDF_H
#define PERRIN_ATOMS_RDF_H

#include "perrin/atoms/surface.h"

/** What to make; zero everywhere is the default. */
struct pn_rdf_options {
	double r_max_A; /* 0 = 12 */
	double step_A;  /* 0 = 0.01; at most smooth_A */
	/* sigma of the Gaussian; 0 = 0.08 max(1, (1000/N)^(1/5)), at most 0.2, N^2 = N_a N_b */
	double smooth_A;
	/* atomic numbers, 0 = all: g_ab counts the atoms of element b around those of element a */
	uint8_t element_a, element_b;
};

/**
 * g(r) at r = r_first_A + k step_A, k < count. Made by pn_rdf_build, freed by pn_rdf_free.
 *
 * Positions that the data do not show are NaN. They belong to g before smoothing: see pn_rdf_build.
 */
struct pn_rdf {
	double r_first_A, step_A, smooth_A;
	size_t count;
	double *g;           /* [count] */
	double *g_sd;        /* [count] standard deviation of g if the pairs were independent */
	double *pairs_per_A; /* [count] smoothed number of others per centre and A of distance */
	double *shell_A2;    /* [count] mean area of the sphere of radius r inside the particle */
	uint8_t element_a, element_b; /* 0 = all */
	size_t centers;               /* atoms of element a */
	double density_A3;            /* others per A^3 */
	double volume_A3;             /* of the particle */
	int has_mesh;                 /* 0 = shells are whole, see pn_rdf_build */
	double first_peak_A, first_minimum_A, second_peak_A, second_minimum_A;
	/* Gaussian fit of the first peak: mean, its standard error, width, height */
	double first_peak_mean_A, first_peak_mean_sd_A, first_peak_sigma_A, first_peak_height;
};

/**
 * pn_rdf_build - g(r), normalised to the part of each shell that lies inside the particle.
 *
 *	g(r) = P(r) / (rho S(r))
 *	P(r) = 1/N_a sum_i sum_j G(r - d_ij)        i of element a, j != i of element b
 *	S(r) = 1/N_a sum_i dV_i/dr                  i of element a
 *
 * G is a normal distribution of width smooth_A, cut at 6 smooth_A; distances go to it by linear
 * interpolation on a grid of smooth_A/64 (relative error of P below 1e-4), so that g changes
 * steadily with the positions: bins would not. V_i(r) is the volume common to the ball of radius r
 * around atom i and the mesh; S comes from pn_rdf_shell_area at radii that are close enough for a
 * relative error below 1e-3 wherever more than 1 % of the shells is inside, linear in between.
 *
 * rho = (N_b - 1)/V for a = b, N_b/V for two elements, V the volume of the mesh: the others that
 * each centre has on average. Then the mean of g over all the volume, int g S dr / int S dr to the
 * largest distance, is 1 for any number of atoms; with N/V it would be 1 - 1/N.
 *
 * Without a mesh (@surface NULL or without triangles: fewer than 4 atoms, coplanar atoms) shells
 * are whole, S = 4 pi r^2, and V is the ball with the radius of gyration of the atoms,
 * R^2 = 5/3 mean |x - <x>|^2. g then falls with r; peaks keep their places. One atom, or all at one
 * place: g is NaN. g is NaN also where less than 0.1 % of the shell is inside, as beyond the
 * largest distance.
 *
 * Peaks and minima: from r = 0 upwards, a maximum counts when g falls from it, and a minimum when g
 * rises from it, by 3 standard deviations of the difference, or by half the highest maximum so far
 * (for a handful of atoms). g_sd is sqrt(w (P + P_1) / (N_a sqrt(4 pi) smooth_A)) / (rho S), w = 2
 * as each pair is seen from both ends (1 for two elements), with P_1 the peak of one pair:
 * shoulders and ripples that chance makes do not count. For few atoms the default of smooth_A
 * widens as the optimum for a density does (Silverman 1986, N^-1/5). A maximum that has fewer than
 * a quarter of an atom (times the fraction of element b) inside it is dropped: atoms that were
 * traced twice. Each place is the vertex of the parabola through the points side by side that are
 * within 3 g_sd of the extremum (and within a quarter of the peak, or of what the minimum is below
 * the first peak), at least three. Smoothing moves what g shows by -smooth_A^2 d ln S/dr (as g
 * times S is smoothed, not g); this is added back. Where a minimum lies between distances more than
 * 6 smooth_A apart, as in perfect lattices, it is the middle of this gap.
 *
 * Gaussian fit: of g by pn_fit where it exceeds half of the first peak, up to the first minimum;
 * NaN if that does not converge to a mean within. The mean is corrected as above, the width is
 * sqrt(width^2 - smooth_A^2) (0 if that is negative), the height is of the fit. The standard error
 * is sigma over the root of the number of pairs under the Gaussian.
 *
 * Atoms at one place make a pair of distance 0, which is seen only in the first 6 smooth_A.
 *
 * @rdf:     [out] freed with pn_rdf_free, also after an error
 * @surface: of the same atoms; may be NULL
 * @options: NULL = defaults
 *
 * Errors: PN_EARG (options out of range, an element without atoms, @surface of another model),
 * PN_ENOMEM. Cost: for 98,000 atoms and 12 A on one core 0.45 s without a mesh and 2.1 s with one;
 * it grows as N r_max^3, the shells as the triangles times r_max^3.
 * Source: methods R13, R40; paper 004 (Gaussian fit of the first peak, bonds within the first
 * minimum).
 */
int pn_rdf_build(struct pn_rdf *rdf, const struct pn_atoms *atoms, const struct pn_surface *surface,
		 const struct pn_rdf_options *options, int threads, struct pn_error *err);
void pn_rdf_free(struct pn_rdf *rdf);

/**
 * pn_rdf_shell_area - how much of the spheres around atoms lies inside the mesh:
 *
 *	area(r) = sum_i dV_i/dr = r^2 sum_i Omega_i(r)
 *
 * with Omega_i(r) the solid angle, seen from atom i, of the part of the sphere of radius r that is
 * inside. In closed form: Omega_i(r) = Omega_i(0) - sum over triangles of the signed solid angle of
 * what lies of them within r. Omega_i(0) is 4 pi inside the mesh, 0 outside, and the interior angle
 * at corners; of a triangle, a disc around the foot of the perpendicular is within r, and what both
 * have in common is bounded by pieces of edges and arcs, each with a solid angle in closed form.
 *
 * @area_A2:  [out] [count]
 * @radius_A: [count] ascending, >= 0
 * @element:  sum over the atoms of this element, 0 = all
 * @surface:  with at least 4 triangles that are closed and anticlockwise seen from outside;
 *            those without area are ignored
 *
 * Errors: PN_EARG (radii not ascending, triangles that name atoms that are not there), PN_ENOMEM.
 * Absolute error of the solid angle per atom: below 1e-11.
 */
int pn_rdf_shell_area(double *area_A2, const double *radius_A, size_t count,
		      const struct pn_atoms *atoms, uint8_t element,
		      const struct pn_surface *surface, int threads, struct pn_error *err);

#endif
