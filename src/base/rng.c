/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"

#include "perrin/base/status.h"

#include <math.h>
#include <string.h>

void pn_rng_init(struct pn_rng *rng, uint64_t seed, uint64_t stream)
{
	memset(rng, 0, sizeof *rng);
	rng->key[0] = (uint32_t)seed;
	rng->key[1] = (uint32_t)(seed >> 32);
	rng->counter[2] = (uint32_t)stream;
	rng->counter[3] = (uint32_t)(stream >> 32);
	rng->used = 4;
}

static void next_block(struct pn_rng *rng)
{
	uint32_t c0 = rng->counter[0], c1 = rng->counter[1];
	uint32_t c2 = rng->counter[2], c3 = rng->counter[3];
	uint32_t k0 = rng->key[0], k1 = rng->key[1];

	for (int round = 0; round < 10; round++) {
		uint64_t p0 = UINT64_C(0xD2511F53) * c0;
		uint64_t p1 = UINT64_C(0xCD9E8D57) * c2;

		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)p1;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)p0;
		k0 += UINT32_C(0x9E3779B9);
		k1 += UINT32_C(0xBB67AE85);
	}
	rng->block[0] = c0;
	rng->block[1] = c1;
	rng->block[2] = c2;
	rng->block[3] = c3;
	rng->used = 0;
	if (++rng->counter[0] == 0)
		rng->counter[1]++;
}

uint32_t pn_rng_u32(struct pn_rng *rng)
{
	if (rng->used == 4)
		next_block(rng);
	return rng->block[rng->used++];
}

uint64_t pn_rng_u64(struct pn_rng *rng)
{
	uint64_t high = pn_rng_u32(rng);

	return high << 32 | pn_rng_u32(rng);
}

uint32_t pn_rng_below(struct pn_rng *rng, uint32_t n)
{
	pn_assert(n > 0);
	uint64_t product = (uint64_t)pn_rng_u32(rng) * n;

	if ((uint32_t)product < n) {
		uint32_t floor = -n % n;

		while ((uint32_t)product < floor)
			product = (uint64_t)pn_rng_u32(rng) * n;
	}
	return (uint32_t)(product >> 32);
}

double pn_rng_uniform(struct pn_rng *rng)
{
	return (double)(pn_rng_u64(rng) >> 11) * 0x1p-53;
}

double pn_rng_gauss(struct pn_rng *rng)
{
	if (rng->has_gauss) {
		rng->has_gauss = 0;
		return rng->gauss;
	}
	double radius = sqrt(-2.0 * log(1.0 - pn_rng_uniform(rng)));
	double angle = 2.0 * M_PI * pn_rng_uniform(rng);

	rng->gauss = radius * sin(angle);
	rng->has_gauss = 1;
	return radius * cos(angle);
}

static uint32_t poisson_small(struct pn_rng *rng, double lambda)
{
	double u = pn_rng_uniform(rng), p = exp(-lambda), sum = p;
	uint32_t k = 0;

	while (u > sum && k < 200) {
		k++;
		p *= lambda / k;
		sum += p;
	}
	return k;
}

static uint32_t poisson_ptrs(struct pn_rng *rng, double lambda)
{
	double root = sqrt(lambda), log_lambda = log(lambda);
	double b = 0.931 + 2.53 * root, a = -0.059 + 0.02483 * b;
	double inv_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2.0);

	for (;;) {
		double u = pn_rng_uniform(rng) - 0.5, v = pn_rng_uniform(rng);
		double us = 0.5 - fabs(u);
		double k = floor((2.0 * a / us + b) * u + lambda + 0.43);

		if (us >= 0.07 && v <= v_r)
			return (uint32_t)k;
		if (k < 0 || (us < 0.013 && v > us))
			continue;
		if (log(v * inv_alpha / (a / (us * us) + b)) <= k * log_lambda - lambda - lgamma_r(k + 1.0, &(int){ 0 }))
			return (uint32_t)k;
	}
}

uint32_t pn_rng_poisson(struct pn_rng *rng, double lambda)
{
	pn_assert(lambda >= 0 && lambda < 4e9);
	if (lambda == 0)
		return 0;
	return lambda < 10 ? poisson_small(rng, lambda) : poisson_ptrs(rng, lambda);
}
