/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/filter.h - the small image operations that tracking and crystallinity stand on. */
#ifndef PERRIN_IMAGE_FILTER_H
#define PERRIN_IMAGE_FILTER_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/** What is in a frame, without being fooled by pixels that hold no measurement. */
struct pn_frame_stats {
	size_t finite;    /* pixels that count below: finite and under the saturation level */
	size_t nonfinite; /* NaN and infinities                                             */
	size_t saturated; /* finite, at or above the saturation level                       */
	double mean, sd;  /* of the finite, unsaturated pixels; 0 if there are none         */
	double min, max;  /* likewise                                                       */
};

/**
 * pn_frame_stats - count and average what can be trusted.
 *
 * @src:        [in]  float32 [count], any unit
 * @saturation: pixels at or above this level are counted apart; INFINITY for none
 * @out:        [out] see the struct
 *
 * Sums run in double over fixed blocks of 4096 pixels about the first good pixel, so a large
 * offset does not spoil the deviation.
 * Thread: reentrant. Allocates: nothing. Cost: 2 passes.
 */
void pn_frame_stats(const float *src, size_t count, double saturation, struct pn_frame_stats *out);

/**
 * pn_lowpass_weight - the soft edge of every low-pass here, as a function of spatial frequency.
 *
 *	1 for k <= 1/cutoff_A;  cos^2 down to 0 at k = 1.07/cutoff_A
 *
 * Narrow on purpose: with the 2.3 A cut-off of paper 004, Pt {111} (2.26 A) passes at 0.84 while
 * graphene's 2.13 A spot is stopped. @k_per_A: 1/A.
 */
double pn_lowpass_weight(double k_per_A, double cutoff_A);

/** A Fourier low-pass for images of one shape. Opaque. */
struct pn_lowpass;

/**
 * pn_lowpass_create - plan a low-pass for images [ny][nx].
 *
 * @pixel_pm: > 0; @cutoff_A: > 0, the finest spacing that passes unweakened.
 * Errors: PN_EARG, PN_ENOMEM. Caller destroys. Thread: safe.
 */
int pn_lowpass_create(struct pn_lowpass **plan, size_t ny, size_t nx, double pixel_pm,
		      double cutoff_A, struct pn_error *err);
void pn_lowpass_destroy(struct pn_lowpass *plan);

/**
 * pn_lowpass_execute - filter @src to @dst, both float32 [ny][nx], may be the same array.
 *
 * Periodic at the borders. Pixels that are not finite are replaced by the mean of the rest.
 * Thread: one call at a time per plan. Allocates: nothing. Cost: two real FFTs.
 */
void pn_lowpass_execute(struct pn_lowpass *plan, const float *src, float *dst);

/**
 * pn_gauss_blur - separable Gaussian, cut at 4 sigma, weights renormalised at the borders.
 *
 * @dst:     [out]     float32 [ny][nx], may be @src
 * @src:     [in]      float32 [ny][nx], finite
 * @scratch: [scratch] float32 [ny][nx], not overlapping the others
 * @sigma_px: 0..64 pixels; 0 copies
 *
 * Thread: reentrant. Allocates: nothing. Cost: 2 (8 sigma + 1) operations per pixel.
 */
void pn_gauss_blur(float *dst, const float *src, float *scratch, size_t ny, size_t nx,
		   double sigma_px);

/**
 * pn_bilateral - edge-keeping smoothing:
 *
 *	dst(p) = sum_q s(p - q) r(src(p) - src(q)) src(q) / sum_q s r,
 *	s = exp(-|p - q|^2 / 2 sigma_px^2), |dy|, |dx| <= ceil(2 sigma_px);  r = exp(-v^2 / 2
 * sigma_v^2)
 *
 * Neighbours outside the image do not count. The exponential of the range term is
 * (1 - z/256)^256, within 0.002 of exp(-z); pn_bilateral_reference is the same sum in double.
 *
 * @dst:     [out]     float32 [ny][nx], not @src
 * @scratch: [scratch] float32 [2][ny][nx]
 * @sigma_px: (0..16]; @sigma_value: > 0, unit of src
 *
 * Thread: reentrant; rows are shared among OpenMP threads, same bytes for any number of them.
 * Allocates: nothing. Cost: about 20 flops (4 sigma + 1)^2 per pixel, vectorised.
 * Ref: Tomasi, Manduchi, ICCV 1998; used on the lattice envelope by paper 004, "2D image analysis".
 */
void pn_bilateral(float *dst, const float *src, float *scratch, size_t ny, size_t nx,
		  double sigma_px, double sigma_value);
void pn_bilateral_reference(float *dst, const float *src, size_t ny, size_t nx, double sigma_px,
			    double sigma_value);

#define PN_OTSU_BINS 256

/**
 * pn_otsu - the threshold that splits values into two classes with the largest variance between.
 *
 * Histogram of PN_OTSU_BINS equal bins from the smallest to the largest finite value.
 *
 * @threshold:    [out] values above it are the upper class
 * @separability: [out] variance between classes / total, 0..1 (0.64 for one Gaussian); may be NULL
 *
 * Errors: PN_ENOENT if fewer than two distinct finite values exist (threshold = that value).
 * Thread: reentrant. Allocates: nothing. Ref: Otsu, IEEE Trans. SMC 9, 62 (1979).
 */
int pn_otsu(const float *src, size_t count, double *threshold, double *separability);

/** One connected region of a mask. */
struct pn_region {
	size_t area_px;    /* 0: the mask was empty             */
	double x_px, y_px; /* centroid, pixel centres at integers */
	int touches_border;
};

/**
 * pn_largest_region - keep the largest 4-connected region of a mask (the first of equals).
 *
 * @mask:    [inout] uint8 [ny][nx], non-zero = in; on return 1 in the largest region, else 0
 * @scratch: [scratch] uint32 [2][ny][nx]
 * @out:     [out] may not be NULL
 *
 * Thread: reentrant. Allocates: nothing. Cost: one flood fill.
 */
void pn_largest_region(uint8_t *mask, uint32_t *scratch, size_t ny, size_t nx,
		       struct pn_region *out);

#endif
