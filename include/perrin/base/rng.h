/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/rng.h - counter-based random numbers: same seed, same bytes, on any thread. */
#ifndef PERRIN_BASE_RNG_H
#define PERRIN_BASE_RNG_H

#include <stdint.h>

/**
 * A stream of random numbers (Philox 4x32-10; Salmon et al., SC'11). (seed, stream) names the
 * sequence; two streams of one seed are independent, so each frame, atom or thread takes its own
 * stream number and results do not depend on the order of the work. Caller owns; plain data, may be
 * saved and restored with memcpy.
 */
struct pn_rng {
	uint32_t key[2];
	uint32_t counter[4];
	uint32_t block[4];
	uint32_t used;     /* words of block handed out, 0..4 */
	uint32_t has_gauss;
	double gauss;      /* the second of a Box-Muller pair */
};

void pn_rng_init(struct pn_rng *rng, uint64_t seed, uint64_t stream);

/** pn_rng_u32 - uniform in 0..2^32-1. */
uint32_t pn_rng_u32(struct pn_rng *rng);
uint64_t pn_rng_u64(struct pn_rng *rng);

/** pn_rng_below - uniform integer in 0..n-1, n > 0, without modulo bias. */
uint32_t pn_rng_below(struct pn_rng *rng, uint32_t n);

/** pn_rng_uniform - uniform double in [0, 1), 53 bits. */
double pn_rng_uniform(struct pn_rng *rng);

/** pn_rng_gauss - normal deviate, mean 0, standard deviation 1 (Box-Muller). */
double pn_rng_gauss(struct pn_rng *rng);

/**
 * pn_rng_poisson - Poisson deviate of mean lambda >= 0.
 *
 * Below 10 by sequential search of the distribution, above by transformed rejection (PTRS;
 * Hormann, Insurance: Mathematics and Economics 12, 39 (1993)). Exact in distribution.
 */
uint32_t pn_rng_poisson(struct pn_rng *rng, double lambda);

#endif
