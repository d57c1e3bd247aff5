/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/fsc.h - Fourier shell correlation of two volumes, and the resolution it tells. */
#ifndef PERRIN_TOMO_FSC_H
#define PERRIN_TOMO_FSC_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>

/** Directions within @half_angle_deg (0..90] of a line through the origin. */
struct pn_cone {
	double axis[3]; /* X, Y, Z; any length but 0 */
	double half_angle_deg;
};

/** pn_fsc_shells - shells 0..N/2 of width 1/N per voxel, N the longest edge: N/2 + 1. */
size_t pn_fsc_shells(const struct pn_box *box);

/**
 * pn_fsc - correlation of two volumes shell by shell,
 *
 *	fsc[s] = Re sum A B* / sqrt(sum |A|^2 sum |B|^2)
 *
 * over the frequencies F with |F| N nearest to s.
 *
 * @a, @b:    [in]  float32 [nz][ny][nx], finite
 * @box:      each axis 1..4096
 * @cone:     only frequencies in this double cone; NULL: all
 * @fsc:      [out] [pn_fsc_shells]; NaN where one of them has nothing at all
 * @samples:  [out] [pn_fsc_shells] how many, F and -F counted as one; may be NULL
 *
 * The volumes are taken as they are: mask them before, with soft edges, and mind that a mask
 * correlates as well.
 * Errors: PN_EARG (shape, a voxel that is not finite, no cone), PN_ENOMEM, PN_EIO.
 * Thread: reentrant; shares the work among OpenMP threads, the bytes do not depend on their number.
 * Cost: two 3D transforms; sums in double.
 * Source: Harauz & van Heel, Optik 73, 146 (1986).
 */
int pn_fsc(const float *a, const float *b, const struct pn_box *box, const struct pn_cone *cone,
	   double *fsc, double *samples, struct pn_error *err);

enum pn_fsc_threshold {
	PN_FSC_0_143,    /* Rosenthal & Henderson, J. Mol. Biol. 333, 721 (2003): two half sets */
	PN_FSC_0_5,      /* against a known model */
	PN_FSC_HALF_BIT, /* van Heel & Schatz, J. Struct. Biol. 151, 250 (2005), eq. 17 */
};

/**
 * pn_fsc_frequency - where the correlation first falls below a threshold, in cycles per voxel,
 * linear between shells; its inverse is the resolution in voxels.
 *
 * @samples: [in] [shells]; only looked at for the half-bit criterion
 * @edge:    N
 *
 * Shell 0, the mean, does not count; shells of NaN are passed over. Returns (shells - 1)/N if it
 * never falls below, 0 if it is below from shell 1 on or there is none.
 */
double pn_fsc_frequency(const double *fsc, const double *samples, size_t shells, size_t edge,
			enum pn_fsc_threshold threshold);

#endif
