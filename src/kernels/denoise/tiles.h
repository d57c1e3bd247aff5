/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tiles.h - matrix tiles of bfloat16: those of the processor (Intel AMX), or the same in plain C.
 *
 * Eight tiles, shaped by tiles_configure() for as long as they are used:
 *
 *	0 .. 3  sums           float32  [rows][16]
 *	4, 5    left factors   bfloat16 [rows][2 * pairs]
 *	6, 7    right factors  bfloat16 [pairs][16][2]
 *
 * A file includes this once; with PN_TILES_EMULATED defined, or on another processor than x86-64,
 * it gets the plain C. Tile numbers are part of an instruction, hence macros that take them as
 * literals.
 *
 * What is relied on of TDPBF16PS (Intel SDM, volume 2): for every row m of the sums c
 *
 *	even[n] = sum over k of a[m][2 k] b[k][n][0]
 *	odd[n] = sum over k of a[m][2 k + 1] b[k][n][1]
 *	c[m][n] += even[n] + odd[n]
 *
 * with k ascending from a zero sum, every product added as a fused multiply-add in float32, rounded
 * to nearest even, denormals read as zero and flushed to zero, whatever MXCSR says; no row looks at
 * another. The plain C rounds alike: a product of two bfloat16 has 16 significant bits and is exact
 * in float32, unless it is denormal or overflows, where the plain C flushes or overflows one step
 * earlier.
 */
#ifndef PN_TILES_H
#define PN_TILES_H

#include "perrin/denoise/map.h"

#include <string.h>

#define TILE_ROWS  16 /* at most; also columns of a tile of sums */
#define TILE_DEPTH 32 /* bfloat16 in a row of a left factor, at most */

typedef float floats_16 __attribute__((vector_size(64)));

#if defined(__x86_64__) && !defined(PN_TILES_EMULATED)

#include <immintrin.h>

/* The layout that LDTILECFG reads: palette 1. */
struct tiles {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
} __attribute__((aligned(64)));

/* The intrinsics of gcc 12 do not say that they read memory: what they read goes through here. */
static inline void tiles_fence(const void *written)
{
	__asm__ volatile("" : : "r"(written) : "memory");
}

static inline void tiles_configure(struct tiles *tiles, int rows, int pairs)
{
	memset(tiles, 0, sizeof(*tiles));
	tiles->palette = 1;
	for (int t = 0; t < 8; t++) {
		tiles->rows[t] = (uint8_t)(t < 6 ? rows : pairs);
		tiles->row_bytes[t] = (uint16_t)(t == 4 || t == 5 ? 4 * pairs : 64);
	}
	tiles_fence(tiles);
	_tile_loadconfig(tiles);
}

static inline void tiles_release(struct tiles *tiles)
{
	(void)tiles;
	_tile_release();
}

#define TILE_ZERO(tiles, t)                _tile_zero(t)
#define TILE_LOAD(tiles, t, base, stride)  _tile_loadd(t, base, stride)
#define TILE_STORE(tiles, t, base, stride) _tile_stored(t, base, stride)
#define TILE_DOT(tiles, c, a, b)           _tile_dpbf16ps(c, a, b)

/* The first `count`, 8 or 16, to bfloat16, nearest even; denormals become zero. */
static inline void round_lanes(uint16_t *out, const floats_16 *in, const int count)
{
	__m256bh v = _mm512_cvtneps_pbh((__m512)*in);

	memcpy(out, &v, count * sizeof(*out));
}

/* 64 bytes of four times 16, @stride bytes apart. gcc does not find these instructions itself. */
static inline void join_quarters(void *joined, const void *from, ptrdiff_t stride)
{
	const char *at = from;
	__m256i low = _mm256_castsi128_si256(_mm_loadu_si128((const void *)at));
	__m256i high = _mm256_castsi128_si256(_mm_loadu_si128((const void *)(at + 2 * stride)));
	__m512i all;

	low = _mm256_inserti128_si256(low, _mm_loadu_si128((const void *)(at + stride)), 1);
	high = _mm256_inserti128_si256(high, _mm_loadu_si128((const void *)(at + 3 * stride)), 1);
	all = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
	memcpy(joined, &all, sizeof(all));
}

#else

#include "perrin/base/status.h"

struct tiles {
	struct tile {
		int rows, row_bytes;
		union {
			uint8_t bytes[TILE_ROWS][64];
			uint16_t bf16[TILE_ROWS][32];
			float f32[TILE_ROWS][16];
		};
	} tile[8];
};

static inline void tiles_fence(const void *written)
{
	(void)written;
}

static inline void tiles_configure(struct tiles *tiles, int rows, int pairs)
{
	memset(tiles, 0, sizeof(*tiles));
	for (int t = 0; t < 8; t++) {
		tiles->tile[t].rows = t < 6 ? rows : pairs;
		tiles->tile[t].row_bytes = t == 4 || t == 5 ? 4 * pairs : 64;
	}
}

static inline void tiles_release(struct tiles *tiles)
{
	(void)tiles;
}

static inline float flush_denormal(float value)
{
	return __builtin_fabsf(value) < 0x1p-126f ? 0 : value;
}

static void tile_load(struct tiles *tiles, int t, const void *base, ptrdiff_t stride)
{
	struct tile *tile = &tiles->tile[t];

	for (int m = 0; m < tile->rows; m++)
		memcpy(tile->bytes[m], (const char *)base + m * stride, tile->row_bytes);
}

static void tile_store(const struct tiles *tiles, int t, void *base, ptrdiff_t stride)
{
	const struct tile *tile = &tiles->tile[t];

	for (int m = 0; m < tile->rows; m++)
		memcpy((char *)base + m * stride, tile->bytes[m], tile->row_bytes);
}

static void tile_dot(struct tiles *tiles, int t_sums, int t_left, int t_right)
{
	const struct tile *a = &tiles->tile[t_left], *b = &tiles->tile[t_right];
	struct tile *c = &tiles->tile[t_sums];
	float right[TILE_ROWS][2][16];

	/* shapes that do not fit are an invalid instruction */
	pn_assert(c->rows == a->rows && c->row_bytes == 64 && b->row_bytes == 64);
	pn_assert(a->row_bytes == 4 * b->rows);
	for (int k = 0; k < b->rows; k++)
		for (int n = 0; n < 16; n++)
			for (int i = 0; i < 2; i++)
				right[k][i][n] =
					flush_denormal(pn_f32_of_bf16(b->bf16[k][2 * n + i]));
	for (int m = 0; m < c->rows; m++) {
		float even[16] = { 0 }, odd[16] = { 0 };

		for (int k = 0; k < b->rows; k++) {
			float a0 = flush_denormal(pn_f32_of_bf16(a->bf16[m][2 * k]));
			float a1 = flush_denormal(pn_f32_of_bf16(a->bf16[m][2 * k + 1]));

			for (int n = 0; n < 16; n++) {
				even[n] = flush_denormal(even[n] + a0 * right[k][0][n]);
				odd[n] = flush_denormal(odd[n] + a1 * right[k][1][n]);
			}
		}
		for (int n = 0; n < 16; n++)
			c->f32[m][n] =
				flush_denormal(c->f32[m][n] + flush_denormal(even[n] + odd[n]));
	}
}

#define TILE_ZERO(tiles, t)                memset((tiles)->tile[t].bytes, 0, 64 * TILE_ROWS)
#define TILE_LOAD(tiles, t, base, stride)  tile_load(tiles, t, base, stride)
#define TILE_STORE(tiles, t, base, stride) tile_store(tiles, t, base, stride)
#define TILE_DOT(tiles, c, a, b)           tile_dot(tiles, c, a, b)

/* The first `count`, 8 or 16, to bfloat16, nearest even; denormals become zero. */
static inline void round_lanes(uint16_t *out, const floats_16 *in, const int count)
{
	for (int i = 0; i < count; i++)
		out[i] = pn_bf16_of(flush_denormal((*in)[i]));
}

/* 64 bytes of four times 16, @stride bytes apart. */
static inline void join_quarters(void *joined, const void *from, ptrdiff_t stride)
{
	for (int l = 0; l < 4; l++)
		memcpy((char *)joined + 16 * l, (const char *)from + l * stride, 16);
}

#endif

#endif
