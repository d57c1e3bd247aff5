/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A warp's lanes and its matrix instructions: those of the device, or the same in plain C.
 *
 * A kernel is written in phases between barriers, a phase for each thread or for each warp. What a
 * warp holds in registers is an array over its lanes, which on the device has the length 1: its
 * own. So the same source runs there in lock step and here in loops; the emulation keeps to the
 * fragment layouts of the PTX manual (mma.m16n8k16, ldmatrix), so that a wrong layout shows.
 */
#ifndef PN_CUDA_LANES_H
#define PN_CUDA_LANES_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define PN_FN             static __device__ __forceinline__
#define PN_UNROLL         _Pragma("unroll")
#define PN_LANES          1
#define PN_AT(lane)       (0 * (lane))
#define PN_EACH_THREAD(i) for (int i = threadIdx.x, i##_once = 1; i##_once; i##_once = 0)
#define PN_EACH_WARP(w)   for (int w = threadIdx.x >> 5, w##_once = 1; w##_once; w##_once = 0)
#define PN_EACH_LANE(l)   for (int l = threadIdx.x & 31, l##_once = 1; l##_once; l##_once = 0)
#define PN_BARRIER()      __syncthreads()
#define PN_WARP_BARRIER() __syncwarp()
#else
#define PN_FN static inline
#define PN_UNROLL
#define PN_LANES          32
#define PN_AT(lane)       (lane)
#define PN_EACH_THREAD(i) for (int i = 0; i < PN_GPU_THREADS; i++)
#define PN_EACH_WARP(w)   for (int w = 0; w < PN_GPU_WARPS; w++)
#define PN_EACH_LANE(l)   for (int l = 0; l < 32; l++)
#define PN_BARRIER()      ((void)0)
#define PN_WARP_BARRIER() ((void)0)
#endif

/** Sums of a 16 x 8 product: lane (g, t) = (lane / 4, lane % 4) has rows g, g + 8, columns 2 t,
 * 2 t + 1. */
struct pn_acc {
	float v[PN_LANES][4];
};

/** 16 bytes: eight bfloat16 in four words, the first one in the low half. */
struct pn_word4 {
	uint32_t w[4];
};
struct pn_quad {
	struct pn_word4 v[PN_LANES];
};

PN_FN float pn_low(uint32_t word)
{
	uint32_t bits = word << 16;
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

PN_FN float pn_high(uint32_t word)
{
	uint32_t bits = word & 0xffff0000u;
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

#ifdef __CUDACC__

/* Two values to bfloat16, to the nearest even. */
PN_FN uint32_t pn_pair(float low, float high)
{
	uint32_t word;

	asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
	return word;
}

/* 16 bytes that the kernel does not write. */
PN_FN struct pn_word4 pn_load16(const void *from)
{
	uint4 value = __ldg((const uint4 *)from);
	struct pn_word4 out = { { value.x, value.y, value.z, value.w } };

	return out;
}

PN_FN struct pn_word4 pn_load16_shared(const void *from)
{
	uint4 value = *(const uint4 *)from;
	struct pn_word4 out = { { value.x, value.y, value.z, value.w } };

	return out;
}

PN_FN void pn_store16(void *to, struct pn_word4 v)
{
	*(uint4 *)to = make_uint4(v.w[0], v.w[1], v.w[2], v.w[3]);
}

/* 16 bytes to shared memory, zero if not @valid; there after pn_copy_wait and a barrier. */
PN_FN void pn_copy16(void *to, const void *from, int valid)
{
	uint32_t at = (uint32_t)__cvta_generic_to_shared(to);

	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
		     "r"(valid ? 16 : 0)
		     : "memory");
}

PN_FN void pn_copy_wait(void)
{
	asm volatile("cp.async.wait_all;" ::: "memory");
}

/* Half @h of a product over 32: rows' words 2h, 2h + 1 times those of the columns. */
PN_FN void pn_mma(struct pn_acc *c, const struct pn_quad *low, const struct pn_quad *high,
		  const struct pn_quad *b, const int h)
{
	float *s = c->v[0];

	asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
	    "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
	    : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
	    : "r"(low->v[0].w[2 * h]), "r"(high->v[0].w[2 * h]), "r"(low->v[0].w[2 * h + 1]),
	      "r"(high->v[0].w[2 * h + 1]), "r"(b->v[0].w[2 * h]), "r"(b->v[0].w[2 * h + 1]));
}

/* Four 8 x 8 matrices, transposed: lane k names row k % 8 of matrix k / 8. */
PN_FN void pn_load_turned(struct pn_quad *out, const char *const *row)
{
	uint32_t at = (uint32_t)__cvta_generic_to_shared(row[0]);
	uint32_t *w = out->v[0].w;

	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
		     : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3])
		     : "r"(at)
		     : "memory");
}

/* Sum over the four lanes that share a row. */
PN_FN void pn_quad_sum(float *value)
{
	value[0] += __shfl_xor_sync(0xffffffffu, value[0], 1);
	value[0] += __shfl_xor_sync(0xffffffffu, value[0], 2);
}

#else

PN_FN uint32_t pn_round(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	if ((bits & 0x7fffffffu) > 0x7f800000u)
		return 0x7fffu;
	return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

PN_FN uint32_t pn_pair(float low, float high)
{
	return pn_round(low) | pn_round(high) << 16;
}

PN_FN struct pn_word4 pn_load16(const void *from)
{
	struct pn_word4 out;

	memcpy(&out, __builtin_assume_aligned(from, 16), sizeof out);
	return out;
}

PN_FN struct pn_word4 pn_load16_shared(const void *from)
{
	return pn_load16(from);
}

PN_FN void pn_store16(void *to, struct pn_word4 v)
{
	memcpy(__builtin_assume_aligned(to, 16), &v, sizeof v);
}

PN_FN void pn_copy16(void *to, const void *from, int valid)
{
	if (valid)
		memcpy(to, from, 16);
	else
		memset(to, 0, 16);
}

PN_FN void pn_copy_wait(void)
{
}

PN_FN void pn_mma(struct pn_acc *c, const struct pn_quad *low, const struct pn_quad *high,
		  const struct pn_quad *b, const int h)
{
	typedef float eight __attribute__((vector_size(32)));
	float rows[16][16];
	eight columns[16], sums[16];

	for (int lane = 0; lane < 32; lane++) {
		int g = lane >> 2, t = lane & 3;

		for (int half = 0; half < 2; half++) {
			int k = 2 * t + 8 * half;
			uint32_t l = low->v[lane].w[2 * h + half];
			uint32_t r = high->v[lane].w[2 * h + half];
			uint32_t n = b->v[lane].w[2 * h + half];

			rows[g][k] = pn_low(l);
			rows[g][k + 1] = pn_high(l);
			rows[g + 8][k] = pn_low(r);
			rows[g + 8][k + 1] = pn_high(r);
			columns[k][g] = pn_low(n);
			columns[k + 1][g] = pn_high(n);
		}
	}
	for (int m = 0; m < 16; m++) {
		eight sum = { 0 };

		for (int k = 0; k < 16; k++)
			sum += rows[m][k] * columns[k];
		sums[m] = sum;
	}
	for (int lane = 0; lane < 32; lane++) {
		int g = lane >> 2, t = lane & 3;

		for (int i = 0; i < 4; i++)
			c->v[lane][i] += sums[g + 8 * (i >> 1)][2 * t + (i & 1)];
	}
}

PN_FN void pn_load_turned(struct pn_quad *out, const char *const *row)
{
	for (int lane = 0; lane < 32; lane++)
		for (int m = 0; m < 4; m++) {
			int g = lane >> 2, t = lane & 3;
			uint16_t first, second;

			memcpy(&first, row[8 * m + 2 * t] + 2 * g, sizeof first);
			memcpy(&second, row[8 * m + 2 * t + 1] + 2 * g, sizeof second);
			out->v[lane].w[m] = (uint32_t)second << 16 | first;
		}
}

PN_FN void pn_quad_sum(float *value)
{
	for (int lane = 0; lane < 32; lane += 4) {
		float sum = (value[lane] + value[lane + 1]) + (value[lane + 2] + value[lane + 3]);

		for (int k = 0; k < 4; k++)
			value[lane + k] = sum;
	}
}

#endif
#endif
