/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/denoise/optimizer.h - RAdam, and how its rate goes: warm-up, then a cosine. */
#ifndef PERRIN_DENOISE_OPTIMIZER_H
#define PERRIN_DENOISE_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

/** Settings and state of RAdam; the moments are the caller's arrays. Plain data. */
struct pn_radam {
	double beta1, beta2, epsilon; /* 0.9, 0.999, 1e-8 by pn_radam_init */
	uint64_t step;                /* steps done */
};

void pn_radam_init(struct pn_radam *radam);

/**
 * pn_radam_step - one step of @count parameters,
 *
 *	m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,  m^ = m / (1 - beta1^t)
 *	rho = rho_inf - 2 t beta2^t / (1 - beta2^t),  rho_inf = 2 / (1 - beta2) - 1
 *	rho > 5:  p -= rate r m^ / (sqrt(v / (1 - beta2^t)) + epsilon), r the rectification; else p
 *-= rate m^
 *
 * @m, @v: [count] moments, zero before the first step
 *
 * The same bytes for any number of threads. Cost: five passes over float32 arrays in one.
 * Source: Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020,
 * algorithm 2.
 */
void pn_radam_step(struct pn_radam *radam, double rate, float *params, float *m, float *v,
		   const float *gradient, size_t count);

/**
 * pn_rate_at - learning rate of step @step (0 ..): rises linearly to @rate over @warmup steps, then
 * falls by half a cosine to @rate_end at step @steps and stays there; @steps = 0: stays at @rate.
 */
double pn_rate_at(uint64_t step, uint64_t warmup, uint64_t steps, double rate, double rate_end);

#endif
