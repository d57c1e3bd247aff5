/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/bm3d.h - denoising by block matching and 3D filtering. */
#ifndef PERRIN_IMAGE_BM3D_H
#define PERRIN_IMAGE_BM3D_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/image/noise.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Fill with pn_params_default(pn_bm3d_param_table, &params), or with pn_bm3d_fast. The first five
 * fields are of step 1, the next four of step 2.
 *
 * The published thresholds of block distance (3000 and 400, squares of 8-bit grey levels) are tuned
 * at sigma 25; here they are in units of sigma^2, 4.8 and 0.64: an image brought to unit variance
 * has no other scale.
 */
struct pn_bm3d_params {
	int64_t hard_stride_px; /* between reference blocks: 2, 3, 4 or 6                    */
	int64_t hard_search_px; /* side of the square of block positions searched, odd, 1..45 */
	int64_t hard_blocks;    /* most in a group: 8, 16 or 32                              */
	double hard_distance;   /* mean squared difference of similar blocks, in sigma^2     */
	double hard_threshold;  /* of the coefficients, in sigma                             */
	int64_t wiener_stride_px;
	int64_t wiener_search_px;
	int64_t wiener_blocks;
	double wiener_distance;
	double kaiser_beta; /* of the window that weights a block's pixels */
	int64_t steps;      /* 1: only the basic estimate; 2               */
};

/** Rows: one for each field above, same names. */
extern const struct pn_param pn_bm3d_param_table[];

/** pn_bm3d_fast - a profile that costs a third of the default one. */
void pn_bm3d_fast(struct pn_bm3d_params *params);

/**
 * pn_bm3d - remove white Gaussian noise of known standard deviation.
 *
 * Step 1: to each 8 x 8 reference block the most similar blocks of the search square (squared
 * difference; up to hard_blocks, largest power of two) are stacked, transformed by a 2D DCT and a
 * Haar transform along the stack, coefficients up to hard_threshold sigma are set to zero, and the
 * blocks go back to their places with weight 1 / (sigma^2 coefficients kept), times a Kaiser
 * window. Step 2: the same with blocks found in that estimate, and coefficients shrunk by
 *
 *	W = B^2 / (B^2 + sigma^2),  B the coefficients of the estimate of step 1; weight 1 / sum W^2
 *
 * The grid of reference blocks begins at pixel 0, 0; the image is extended by reflection at the
 * right and at the bottom (by less than a stride) until the grid fits. Distances are rounded down
 * to 12 bits of mantissa; blocks of equal distance come in the order of their places, row by row
 * from the reference block on, then from the first place of the square.
 *
 * @dst:    [out] float32 [ny][nx], may be @src
 * @src:    [in]  float32 [ny][nx], sides 16..16384, finite
 * @sigma:  > 0, unit of @src
 * @params: NULL: the defaults
 *
 * Errors: PN_EARG (shape, sigma, parameters, a pixel that is not finite), PN_ENOMEM.
 * Thread: reentrant. Stripes are shared among OpenMP threads; the same bytes for any number of
 * them. Cost, defaults, per pixel: block distances 2 x 5.8 kflop (sums shared by neighbouring
 * blocks; 2 x 32 kflop if each were computed alone), transforms and sums 3.4 kflop in step 1 and
 * 9.5 kflop in step 2; 1.8 us on one core with 256-bit vectors, pn_bm3d_fast 0.65 us.
 * Source: Dabov, Foi, Katkovnik, Egiazarian, IEEE Trans. Image Process. 16, 2080 (2007), "normal
 * profile", with DCT instead of bior1.5 in step 1.
 */
int pn_bm3d(float *dst, const float *src, size_t ny, size_t nx, double sigma,
	    const struct pn_bm3d_params *params, struct pn_error *err);

/**
 * pn_denoise_poisson_gauss - remove the noise of counted electrons and of the readout: variance
 * stabilised (pn_vst_forward), BM3D with sigma 1, exact unbiased inverse.
 *
 * @noise: of @src; gain > 0 or readout > 0. NULL: what pn_noise_from_image says of @src alone;
 *         better is one model for the whole tilt series, from pn_noise_from_frames
 *
 * The rest as pn_bm3d. Errors: also PN_EARG for a noise model without noise, and those of
 * pn_noise_from_image.
 * Source: methods R22; Makitalo and Foi, IEEE Trans. Image Process. 22, 91 (2013).
 */
int pn_denoise_poisson_gauss(float *dst, const float *src, size_t ny, size_t nx,
			     const struct pn_noise_model *noise,
			     const struct pn_bm3d_params *params, struct pn_error *err);

#endif
