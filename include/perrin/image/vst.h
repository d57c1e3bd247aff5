/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/vst.h - variance stabilisation of counted electrons, and the way back. */
#ifndef PERRIN_IMAGE_VST_H
#define PERRIN_IMAGE_VST_H

#include "perrin/base/status.h"
#include "perrin/image/noise.h"

#include <stddef.h>

struct pn_vst;

/**
 * pn_vst_create - the generalized Anscombe transform of one noise model, and its inverse.
 *
 * A pixel is z = offset + gain p + readout n, p Poisson of mean y, n normal. In electrons,
 * u = (z - offset) / gain, s = readout / gain:
 *
 *	f(z) = 2 sqrt(max(u + 3/8 + s^2, 0))
 *
 * has a standard deviation near 1 whatever y (within 0.03 for y > 3, 0.01 for y > 8). The inverse
 * is not that of f: it is y for which E[f | y] is the value given, so that the mean of f over many
 * pixels, which is what denoising yields, goes to the mean of z:
 *
 *	E[f | y] = sum_p exp(-y) y^p / p! integral 2 sqrt(max(p + s x + 3/8 + s^2, 0)) N(x) dx
 *
 * tabulated from this definition for y up to 100, and beyond from the expansion of E[f] in the
 * cumulants of u up to the sixth order.
 *
 * With gain 0 (readout noise only): f = (z - offset) / readout and its plain inverse.
 *
 * @noise: finite, gain >= 0, readout >= 0, not both 0; readout / gain up to 1000
 *
 * Errors: PN_EARG, PN_ENOMEM. Caller destroys. Thread: safe. Cost: some ms.
 * Source: Makitalo and Foi, IEEE Trans. Image Process. 22, 91 (2013), eqs. 1, 4, 6.
 */
int pn_vst_create(struct pn_vst **vst, const struct pn_noise_model *noise, struct pn_error *err);
void pn_vst_destroy(struct pn_vst *vst);

/**
 * pn_vst_forward - f of @count values, @dst may be @src. What is not finite stays so.
 *
 * Thread: reentrant. Allocates: nothing.
 */
void pn_vst_forward(const struct pn_vst *vst, float *dst, const float *src, size_t count);

/**
 * pn_vst_inverse - the exact unbiased inverse of @count values, in the unit of z; @dst may be @src.
 *
 * Below E[f | 0] the inverse goes on along its tangent instead of staying at 0 electrons, so that
 * a background without electrons keeps its mean; a caller who needs no negative values clips.
 * Error of the table: under 1e-5 of the standard deviation of z.
 *
 * Thread: reentrant. Allocates: nothing. Cost: about 20 flops.
 */
void pn_vst_inverse(const struct pn_vst *vst, float *dst, const float *src, size_t count);

/** pn_vst_mean - E[f | y], y >= 0 electrons: what the inverse inverts (gain 0: f of y). */
double pn_vst_mean(const struct pn_vst *vst, double y);

#endif
