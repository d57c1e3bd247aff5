/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/math/fft.h - Fourier transforms in 1D and 2D, single precision. The only door to FFTW. */
#ifndef PERRIN_MATH_FFT_H
#define PERRIN_MATH_FFT_H

#include "perrin/base/status.h"

#include <complex.h>
#include <stddef.h>

enum pn_fft_kind {
	PN_FFT_R2C,      /* float [ny][nx] -> complex [ny][nx/2+1], exp(-2 pi i ...)           */
	PN_FFT_C2R,      /* the inverse, unnormalised; destroys its input                      */
	PN_FFT_FORWARD,  /* complex [ny][nx] -> complex [ny][nx], in place allowed             */
	PN_FFT_BACKWARD, /* unnormalised: backward(forward(x)) = ny nx x                       */
};

struct pn_fft;

/**
 * pn_fft_plan - make a plan for 2D arrays of one shape; caller destroys it.
 *
 * @kind:    what to transform into what
 * @ny, @nx: 1..65536 pixels
 * @inplace: complex kinds only: 1 if execute will be called with in == out
 *
 * The plan found by measurement is remembered as wisdom (pn_fft_use_wisdom), so a second plan of
 * the same shape is the same plan: equal inputs then give equal bytes.
 *
 * Errors: PN_EARG (shape), PN_ENOMEM, PN_EIO (the wisdom file cannot be written).
 * Thread: safe (one planner lock for the process). Cost: milliseconds to seconds, once per shape.
 */
int pn_fft_plan(struct pn_fft **plan, enum pn_fft_kind kind, size_t ny, size_t nx, int inplace,
		struct pn_error *err);

/**
 * pn_fft_plan_lines - make a plan for @count transforms in one dimension; caller destroys it.
 *
 * @kind:    real kinds: rows, float [count][length] <-> complex [count][length/2+1];
 *           complex kinds: columns, complex [length][count] along the first axis
 * @length:  1..65536
 * @count:   1..65536
 * @inplace: as for pn_fft_plan
 *
 * Wisdom, errors and threads as for pn_fft_plan. Backward(forward(x)) = length x.
 */
int pn_fft_plan_lines(struct pn_fft **plan, enum pn_fft_kind kind, size_t length, size_t count,
		      int inplace, struct pn_error *err);
void pn_fft_destroy(struct pn_fft *plan);

/**
 * pn_fft_execute - transform @in to @out (types and shapes by the plan's kind).
 *
 * Both arrays must come from pn_fft_alloc, or be aligned to 64 bytes.
 *
 * Thread: any number of threads may execute one plan on arrays of their own.
 * Cost: about 5 ny nx log2(ny nx) flops, half of it for the real kinds.
 */
void pn_fft_execute(const struct pn_fft *plan, void *in, void *out);

/** pn_fft_alloc - bytes aligned to 64, zeroed; NULL if there is no memory. Free with pn_fft_free. */
void *pn_fft_alloc(size_t bytes);
void pn_fft_free(void *array);

/**
 * pn_fft_use_wisdom - read plans from @path and add every new plan to it.
 *
 * Another plan of the same shape may add up its terms in another order, so results agree to
 * rounding only; with the same wisdom they agree to the bit. A session keeps its own wisdom
 * file for that reason. Several processes may use one file: planning happens under a file lock,
 * and the first plan made wins. NULL: keep wisdom in memory only.
 *
 * Errors: PN_EIO, PN_EPERM (cannot create), PN_EFORMAT (not a wisdom file).
 */
int pn_fft_use_wisdom(const char *path, struct pn_error *err);

#endif
