/* SPDX-License-Identifier: GPL-3.0-or-later */
/* phase.h - sine and cosine that the compiler can vectorise (private to the twin). */
#ifndef PERRIN_TWIN_PHASE_H
#define PERRIN_TWIN_PHASE_H

#include <complex.h>
#include <math.h>
#include <stddef.h>

/*
 * exp(i x) for |x| < 1e4 to 2e-7: reduction to [-pi/4, pi/4] in two steps (Cody and Waite), then
 * the Taylor series to x^9 and x^8 (the rest is below 3e-8 there).
 */
static inline void pn_phase_sincos(float x, float *s, float *c)
{
	float turn = rintf(x * 0.63661977f);
	float r = (x - turn * 1.5707855f) - turn * 1.0804334e-5f;
	float r2 = r * r;
	float sine =
		r + r * r2 *
			    (-1.6666667e-1f +
			     r2 * (8.3333333e-3f + r2 * (-1.9841270e-4f + r2 * 2.7557319e-6f)));
	float cosine = 1 + r2 * (-0.5f +
				 r2 * (4.1666667e-2f + r2 * (-1.3888889e-3f + r2 * 2.4801587e-5f)));
	int quadrant = (int)turn;
	float a = quadrant & 1 ? cosine : sine;
	float b = quadrant & 1 ? sine : cosine;

	*s = quadrant & 2 ? -a : a;
	*c = (quadrant + 1) & 2 ? -b : b;
}

/* wave[i] = exp(i phase[i]) */
static inline void pn_phase_object(float complex *wave, const float *phase, size_t count)
{
	float *out = (float *)wave;

	for (size_t i = 0; i < count; i++)
		pn_phase_sincos(phase[i], &out[2 * i + 1], &out[2 * i]);
}

/* Without the checks for infinities of C's own complex product. */
static inline float complex pn_phase_mul(float complex a, float complex b)
{
	union {
		float part[2];
		float complex value;
	} product = { .part = { crealf(a) * crealf(b) - cimagf(a) * cimagf(b),
				crealf(a) * cimagf(b) + cimagf(a) * crealf(b) } };

	return product.value;
}

#endif
