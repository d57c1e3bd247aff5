/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/denoise/spot.h - how far the noise of a detector reaches, and the blind spot that hides
 * it. */
#ifndef PERRIN_DENOISE_SPOT_H
#define PERRIN_DENOISE_SPOT_H

#include "perrin/base/status.h"

#include <stddef.h>

#define PN_SPOT_LAGS    5  /* lags 0 .. 4 px */
#define PN_SPOT_SIDE_PX 32 /* of the tiles that are looked at, and of the smallest image */

/** Autocorrelation of the noise, gathered over pairs of adjacent frames. Zero to start; plain data.
 */
struct pn_noise {
	/* of the pairs' correlations, lag (dy, dx) at [dy + PN_SPOT_LAGS - 1][dx + PN_SPOT_LAGS -
	 * 1] */
	double sum[2 * PN_SPOT_LAGS - 1][2 * PN_SPOT_LAGS - 1];
	double pairs;
};

/**
 * pn_noise_add - two adjacent frames of the same scene.
 *
 *	d = b - a;  correlation(lag) = sum of cov_t(lag) / sum of cov_t(0) over quiet tiles t
 *	cov_t(lag) = mean over the tile of (d[p] - m_t) (d[p + lag] - m_t), m_t the tile's mean of d
 *
 * The difference holds noise alone where nothing moved. Motion adds to the variance of a tile, so
 * the quietest eighth of the tiles (PN_SPOT_SIDE_PX square, half overlapping) is taken; tiles that
 * hardly vary beside the others (dead or padded areas: less than 1/16 of the median variance) are
 * left out. Accumulates: every pair counts the same.
 *
 * Adjacent frames have the fixed pattern of the detector (gain, offset, hot pixels) in common: it
 * cancels, and is not judged here. It needs its own correction before the network, since a pattern
 * that repeats can be told from the neighbours in time whatever the blind spot is. A moving
 * specimen that fills every tile still looks like correlation; so does a lag of the detector, with
 * the sign turned.
 *
 * @a, @b: [ny][nx] float32; at least PN_SPOT_SIDE_PX each way
 *
 * What comes out is low by a tenth of itself or so (a quiet tile is quiet by chance too, and its
 * mean holds noise); one pair of n x n pixels leaves a standard error of about 2.5 / n for white
 * noise.
 *
 * Errors: PN_EARG (too small), PN_EFRAME (not finite, with the place; the difference is the same
 * everywhere); nothing has been added then. PN_ENOMEM. Thread: one at a time for each noise.
 * Allocates: 16 bytes for each 16 x 16 pixels, until it returns. Cost: some 70 flops per pixel.
 */
int pn_noise_add(struct pn_noise *noise, const float *a, const float *b, size_t ny, size_t nx,
		 struct pn_error *err);

/** pn_noise_correlation - of pixels (dy, dx) apart, |dy|, |dx| < PN_SPOT_LAGS; 1 at (0, 0). NaN
 * without a pair. */
double pn_noise_correlation(const struct pn_noise *noise, int dy, int dx);

/**
 * pn_noise_spot_px - side of the blind spot, 1, 3 or 5: the smallest outside of which no lag's
 * correlation is above @limit in magnitude. 5 if none is small enough, or without a pair.
 */
int pn_noise_spot_px(const struct pn_noise *noise, double limit);

#endif
