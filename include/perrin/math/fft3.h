/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/math/fft3.h - 3D Fourier transforms of real boxes in zero-padded grids, single precision. */
#ifndef PERRIN_MATH_FFT3_H
#define PERRIN_MATH_FFT3_H

#include "perrin/base/status.h"

#include <complex.h>
#include <stddef.h>

struct pn_fft3;

/**
 * pn_fft3_plan - plan for grids real [nz][ny][nx] <-> complex [nz][ny][nx/2+1]; caller destroys.
 *
 * @nz, @ny, @nx: 1..4096
 *
 * Plans go through the wisdom of perrin/math/fft.h, as those for images.
 * Errors: PN_EARG (shape), PN_ENOMEM, PN_EIO (the wisdom file cannot be written).
 * Thread: safe. Cost: milliseconds to seconds, once per shape.
 */
int pn_fft3_plan(struct pn_fft3 **plan, size_t nz, size_t ny, size_t nx, struct pn_error *err);
void pn_fft3_destroy(struct pn_fft3 *plan);

/** pn_fft3_spectrum - complex numbers of a spectrum, nz ny (nx/2+1). */
size_t pn_fft3_spectrum(const struct pn_fft3 *plan);

/**
 * pn_fft3_forward - transform a box that stands in the corner of a grid of zeros, exp(-2 pi i ...).
 *
 * @box:      [in]  float32 [bz][by][bx], each at most the grid's; need not be aligned
 * @spectrum: [out] complex64 [nz][ny][nx/2+1], from pn_fft_alloc
 *
 * Lines and planes known to be zero are not transformed: a box of half the grid along each axis
 * costs 0.58 of a full transform.
 * Thread: one call at a time per plan (it owns scratch); shares the work among OpenMP threads, the
 * bytes do not depend on their number.
 */
void pn_fft3_forward(struct pn_fft3 *plan, const float *box, size_t bz, size_t by, size_t bx,
		     float complex *spectrum);

/**
 * pn_fft3_backward - the corner [bz][by][bx] of the unnormalised inverse; **destroys** @spectrum.
 *
 * Backward(forward(x)) = nz ny nx x. Only what the corner needs is transformed. Threads as above.
 */
void pn_fft3_backward(struct pn_fft3 *plan, float complex *spectrum, float *box, size_t bz,
		      size_t by, size_t bx);

#endif
