/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/quality.h - how near an image is to the truth, and how much of it is signal. */
#ifndef PERRIN_IMAGE_QUALITY_H
#define PERRIN_IMAGE_QUALITY_H

#include "perrin/base/status.h"

#include <stddef.h>

/** One image against its truth. */
struct pn_quality {
	double mse;           /* mean squared difference, after the affine fit if there was one */
	double psnr_db;       /* 10 log10(range^2 / mse); +infinity for equal images */
	double ssim;          /* structural similarity, -1..1 */
	double range;         /* that was used */
	double scale, offset; /* scale * image + offset was compared; 1 and 0 without a fit */
};

/**
 * pn_quality_compare - PSNR and SSIM of an image against the clean one.
 *
 *	SSIM = mean over windows of
 *	       (2 m_a m_b + C1)(2 c_ab + C2) / ((m_a^2 + m_b^2 + C1)(v_a + v_b + C2))
 *
 * with Gaussian windows of sigma 1.5 px, 11 x 11, that lie wholly inside; C1 = (0.01 range)^2,
 * C2 = (0.03 range)^2.
 *
 * @quality: [out]
 * @image:   [ny][nx] float32, any unit
 * @clean:   [ny][nx] the truth
 * @range:   of the values, for PSNR and SSIM; 0 = largest less smallest of @clean
 * @affine:  1 = first bring the image to the truth by the scale and offset with the least squared
 *           difference: for images whose unit is not that of the truth. A constant image becomes
 *           the mean of the truth
 *
 * Errors: PN_EARG (smaller than 11 x 11, a value that is not finite, a truth without contrast and
 * no range given), PN_ENOMEM. Thread: reentrant. Cost: 0.1 us per pixel.
 * Source: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Process. 13, 600 (2004); paper 004,
 * "Training details" (PSNR 6.2 to 19 dB, SSIM 0.038 to 0.27).
 */
int pn_quality_compare(struct pn_quality *quality, const float *image, const float *clean,
		       size_t ny, size_t nx, double range, int affine, struct pn_error *err);

/**
 * pn_snr_of_pair_db - signal-to-noise ratio of an object from two independent measurements of it,
 *
 *	SNR = 10 log10(p / (1 - p)),   p = their correlation coefficient
 *
 * which adjacent frames are, as far as the object has not moved.
 *
 * Returns -infinity for p <= 0, +infinity for p = 1, NaN for constant images or values that are not
 * finite. Thread: reentrant. Cost: two passes.
 * Source: paper 004, equation 4 (methods R3); Frank and Al-Ali, Nature 256, 376 (1975).
 */
double pn_snr_of_pair_db(const float *a, const float *b, size_t count);

#endif
