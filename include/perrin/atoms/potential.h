/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/potential.h - atoms where a map correlates with the potential of one atom. */
#ifndef PERRIN_ATOMS_POTENTIAL_H
#define PERRIN_ATOMS_POTENTIAL_H

#include "perrin/atoms/trace.h"

#define PN_POTENTIAL_EDGE_MAX 15 /* voxels of a template */

/** One Gaussian of a scattering factor: f(q) = sum of a exp(-b q^2 / 4), q = 1/spacing. */
struct pn_potential_term {
	double a, b_A2; /* a in A or any unit; b >= 0 */
};

/**
 * pn_potential_gaussians - the potential of an atom whose scattering factor is a sum of Gaussians,
 * vibrating (and blurred by the finite resolution) with the B factor @b_factor_A2:
 *
 *	V(r) = sum of a (4 pi / (b + B))^(3/2) exp(-4 pi^2 r^2 / (b + B))
 *
 * @template: [out] float32 [edge][edge][edge], at the voxels about the atom; in V if @a is in A and
 *            the result is multiplied by 47.878 V A^2
 * @edge:     3, 5, .. 15
 * @b_factor_A2: B = 8 pi^2 u^2 for isotropic Gaussian blur of variance u^2 along an axis; b + B > 0
 *
 * Errors: PN_EARG. Thread: reentrant. Cost: microseconds.
 */
int pn_potential_gaussians(float *template, int edge, double pixel_A,
			   const struct pn_potential_term *term, size_t terms, double b_factor_A2,
			   struct pn_error *err);

/**
 * pn_potential_template - the same for any scattering factor, up to a resolution limit:
 *
 *	V(r) = 4 pi integral from 0 to q_max of f(q) exp(-B q^2 / 4) sin(2 pi q r) / (2 pi q r) q^2
 * dq
 *
 * @factor:      f(z, q) such as pn_scattering_lobato of perrin/twin/scattering.h
 * @q_max_per_A: > 0; half the inverse of the pixel where nothing limits the map more
 *
 * By Simpson's rule with 400 intervals. Errors: PN_EARG. Cost: 0.1 ms per distance that occurs.
 */
int pn_potential_template(float *template, int edge, double pixel_A,
			  double (*factor)(int z, double q_per_A), int z, double b_factor_A2,
			  double q_max_per_A, struct pn_error *err);

/**
 * pn_potential_correlate - normalised correlation of a volume with a template, at every voxel: over
 * the voxels r within (edge / 2) of it, t' being the template less its mean there,
 *
 *	pearson   = sum v t' / sqrt(sum t'^2 (sum v^2 - (sum v)^2 / n))
 *	amplitude = sum v t' / sum t'^2
 *
 * amplitude is the factor of the template that fits best on a constant. Beyond the border the
 * volume is 0. pearson is 0 where the volume is constant to a few parts in 1000.
 *
 * @pearson, @amplitude: [out] float32 [nz][ny][nx]; either may be NULL
 * @template: float32 [edge][edge][edge], not constant
 *
 * Errors: PN_EARG (shapes, template constant or not finite; the volume is taken as finite),
 * PN_ENOMEM. Thread: reentrant; @threads changes no byte. Cost: 3 multiply-adds per voxel of the
 * ball: edge 7 (179 voxels) on 160^3 0.2 s on one core.
 */
int pn_potential_correlate(float *pearson, float *amplitude, const float *volume, size_t nz,
			   size_t ny, size_t nx, const float *template, int edge, int threads,
			   struct pn_error *err);

/** Atoms of a map by their potential. Made by pn_potential_atoms, freed by _free. */
struct pn_potential {
	struct pn_trace
		trace;     /* heights are those of pearson times amplitude; intensity the map's */
	double *pearson;   /* [count] validation: correlation with the template at the very place */
	double *amplitude; /* [count] of the template there */
	size_t not_like;   /* peaks refused for their correlation */
};

/**
 * pn_potential_atoms - the third way to atoms (R9): peaks of the correlation with the potential of
 * a single atom. The map searched is pearson (where positive) times amplitude of
 * pn_potential_correlate: correlation alone rises to half its maximum in empty space, where it
 * correlates with noise. It is searched by pn_trace_atoms, whose options hold (support, distance,
 * threshold, passes; NULL = the default); smooth_A has to be 0, and is for NULL. Then every atom is
 * validated by the correlation of the map, read by its spline at the place found, with the
 * template; those below @pearson_min are left out.
 *
 * Where the template has the width of the atoms this is the matched filter: least sensitive to
 * white noise; peaks are wider than in the map, so that neighbours pull each other more.
 *
 * @potential:   [out] freed with pn_potential_free, also after an error
 * @pearson_min: -1 = none is left out
 *
 * Errors: as pn_trace_atoms and pn_potential_correlate. Thread: reentrant; @threads changes no
 * byte. Source: methods R9; paper 004; detect_atoms of SIMPLE (phase correlation with one simulated
 * atom, per-atom correlation) for the idea.
 */
int pn_potential_atoms(struct pn_potential *potential, const float *volume, size_t nz, size_t ny,
		       size_t nx, double pixel_A, const float *template, int edge,
		       double pearson_min, const struct pn_trace_options *options, int threads,
		       struct pn_error *err);
void pn_potential_free(struct pn_potential *potential);

#endif
