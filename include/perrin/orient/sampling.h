/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/sampling.h - how evenly the sphere is covered, and how resolution will grow. */
#ifndef PERRIN_ORIENT_SAMPLING_H
#define PERRIN_ORIENT_SAMPLING_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>

/** Coverage of Fourier space by views. */
struct pn_sampling {
	double scf;         /* sampling compensation factor, 1 for even coverage, 0 for a gap     */
	double scf_filled;  /* the same over the seen directions only, s of mean 1 over those     */
	double empty;       /* part of the directions of Fourier space that no view comes through */
	double views_empty; /* part of the view sphere farther than the spacing from every view   */
	double weakest[3];  /* direction of Fourier space that is seen least (the first of many)  */
};

/**
 * pn_sampling_views - from the view directions alone.
 *
 * The view d fills the great circle perpendicular to it: s(q) is proportional to the number of
 * views with |q.d| < width, normalised to mean 1 over 4096 directions q of equal areas;
 * SCF = 1 / <1 / s>, with s = 1e-3 where nothing is seen. Side views only, or tilts all around one
 * axis: 8 / pi^2 = 0.81; a top view only: 0.001. Views at random scatter s by their number: with n
 * of them SCF is 1 - (1 - width) / (n width), so a value below 1 tells something only by what it is
 * short of that.
 *
 * The spacing of n views is sqrt(2 pi / n) rad, the edge of the part of the half sphere each has
 * for itself; of n at random views_empty is exp(-pi) = 0.043.
 *
 * @view: [in] [count] unit vectors (the third row of the rotations); d and -d are the same
 * @width: half-width of the band in units of |q|: 1 / (2 D k) for a particle of D px at k cycles
 *         per px; at most 1/2; 0.02 if 0
 *
 * Errors: PN_EARG (no view, one that is not of length 1, the width), PN_ENOMEM.
 * Thread: reentrant; OpenMP inside, the bytes do not depend on its threads.
 * Cost: 4096 count dot products, 0.1 s for 100,000 views.
 * Source: Baldwin & Lyumkis, Prog. Biophys. Mol. Biol. 150, 160 (2020); 160, 53 (2021).
 */
int pn_sampling_views(struct pn_sampling *sampling, const double (*view)[3], size_t count,
		      double width, struct pn_error *err);

/**
 * pn_conical_far - cFAR: FSC areas of cones, the smallest over the largest.
 *
 * @far:    [out] 0..1; 0 also if no cone correlates at all
 * @area:   [out] [cones] or NULL: sum k^2 FSC / sum k^2 over the shells that the cone has samples
 *          of, FSC below 0 and from where it first falls to 0.143 counted as 0. Shells of less than
 *          20 samples in the cone fall by chance: they do not end it.
 * @cones:  axes on a Fibonacci lattice over the half sphere z > 0, from the pole to the equator;
 * 256 as published, 4096 at most
 * @half_a, @half_b: [in] float32 [nz][ny][nx]; mask them before
 * @half_angle_deg: of the double cones, 20 as published, 0..90
 *
 * Errors: PN_EARG (counts, angle, a voxel that is not finite), PN_ENOMEM, PN_EIO.
 * Thread: reentrant; OpenMP inside, the bytes do not depend on its threads.
 * Cost: one transform of each half, one pass over all frequencies with @cones dot products each:
 * 0.2 s for 128^3 and 256 cones.
 * Source: Tan et al., Nat. Methods 14, 793 (2017) for the directional FSC; the area ratio is that
 * of cryoSPARC's orientation diagnostics and SIMPLE.
 */
int pn_conical_far(double *far, double *area, size_t cones, const float *half_a,
		   const float *half_b, const struct pn_box *box, double half_angle_deg,
		   struct pn_error *err);

/**
 * pn_ssnr - spectral signal-to-noise ratio of both halves together, 2 FSC / (1 - FSC); 0 where the
 * FSC is below 0 or NaN, INFINITY where it is 1.
 *
 * Source: Unser, Trus & Steven, Ultramicroscopy 23, 39 (1987).
 */
void pn_ssnr(double *ssnr, const double *fsc, size_t shells);

/** A straight line 1 / d^2 = offset + slope ln N, from halves of N frames. */
struct pn_gain {
	double slope, offset, slope_uncertainty; /* 1 / A^2; slope = 2 / B                        */
	double resolution_A; /* of the line at the frames there are                               */
	double next_A;       /* after @more frames; INFINITY if the line has none there           */
	double next_low_A, next_high_A; /* where a new point lies with 68.3 % probability         */
	size_t points;                  /* that the line was fitted to                            */
};

/**
 * pn_gain_predict - Rosenthal & Henderson's plot, extrapolated.
 *
 * The interval is that of a new point, of the scatter of the points about the line, the line's own
 * uncertainty there and Student's t of points - 2. It takes the points for independent; those of
 * one growing set of frames are less than that, and it is too narrow then.
 *
 * @frames:       [in] [points] N of each point, increasing; the last are the frames there are
 * @resolution_A: [in] [points] where the FSC of the halves fell below its threshold; points at the
 *                grid's own limit (<= limit_A) or without a resolution (INFINITY, NaN) tell nothing
 *                and are left out
 * @more:         frames to come
 *
 * Errors: PN_EAGAIN with less than 3 useful points; PN_EARG (frames that do not increase, more or
 * limit below 0). Thread: reentrant.
 * Source: Rosenthal & Henderson, J. Mol. Biol. 333, 721 (2003).
 */
int pn_gain_predict(struct pn_gain *gain, const double *frames, const double *resolution_A,
		    size_t points, double limit_A, double more, struct pn_error *err);

#endif
