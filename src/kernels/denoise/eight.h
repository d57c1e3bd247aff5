/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Eight channels of a map at a time, as float32 whatever the map holds. */
#ifndef PN_EIGHT_H
#define PN_EIGHT_H

#include "perrin/denoise/map.h"

#include <string.h>

/* By pointer everywhere: without AVX such vectors have no settled way through calls. */
typedef float pn_eight __attribute__((vector_size(PN_CHANNEL_STEP * sizeof(float))));
typedef int32_t pn_eight_int __attribute__((vector_size(PN_CHANNEL_STEP * sizeof(int32_t))));
typedef uint16_t pn_eight_half __attribute__((vector_size(PN_CHANNEL_STEP * sizeof(uint16_t))));
typedef uint32_t pn_eight_word __attribute__((vector_size(PN_CHANNEL_STEP * sizeof(uint32_t))));

#define PN_EIGHT_INLINE static inline __attribute__((always_inline))

/* value times slope where it is not above zero: the leaky ReLU */
PN_EIGHT_INLINE void pn_eight_leak(pn_eight *value, float slope)
{
	pn_eight_int above = *value > 0;
	pn_eight low = *value * slope;

	*value = (pn_eight)(((pn_eight_int)*value & above) | ((pn_eight_int)low & ~above));
}

/* value times slope where the gate is <= 0: the gradient through it */
PN_EIGHT_INLINE void pn_eight_gate(pn_eight *value, const pn_eight *gate, float slope)
{
	pn_eight_int below = *gate <= 0;
	pn_eight low = *value * slope;

	*value = (pn_eight)(((pn_eight_int)*value & ~below) | ((pn_eight_int)low & below));
}

PN_EIGHT_INLINE void pn_eight_load(pn_eight *value, const void *from, enum pn_arith arith)
{
	if (arith == PN_ARITH_F32) {
		memcpy(value, from, sizeof *value);
	} else {
		pn_eight_half half;

		memcpy(&half, from, sizeof half);
		*value = (pn_eight)(__builtin_convertvector(half, pn_eight_word) << 16);
	}
}

PN_EIGHT_INLINE void pn_eight_store(void *to, const pn_eight *value, enum pn_arith arith)
{
	if (arith == PN_ARITH_F32) {
		memcpy(to, value, sizeof *value);
	} else {
		pn_eight_half half;

		for (int c = 0; c < PN_CHANNEL_STEP; c++)
			half[c] = pn_bf16_of((*value)[c]);
		memcpy(to, &half, sizeof half);
	}
}

#endif
