/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/bm3d.h"

#include "perrin/image/vst.h"
#include "perrin/math/fft.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

/* Without AVX vectors of 32 bytes are passed in another way, which nobody outside of this file
 * sees. */
#pragma GCC diagnostic ignored "-Wpsabi"

enum {
	SIDE = 8, /* of a block */
	AREA = SIDE * SIDE,
	LANES = 8,
	TILE_X = 64, /* columns of a tile: its lists stay in the second-level cache */
	TILE_Y = 16, /* rows of reference blocks of a tile */
	BLOCKS_MAX = 32,
	GUARD = LANES,
	SEARCH_MAX = 45, /* places of a block fit in PLACE_BITS */
	PLACE_BITS = 11,
	PLACE_MASK = (1 << PLACE_BITS) - 1,
	IMAGE_MIN = 16,
	IMAGE_MAX = 16384,
};

typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef float floats_u __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef int32_t ints_u __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4)));

#define OFF(field) offsetof(struct pn_bm3d_params, field)
#define WHOLE(field, unit_, def_, min_, max_, help_)                                \
	{                                                                           \
		.name = #field, .unit = unit_, .help = help_, .type = PN_PARAM_I64, \
		.off = OFF(field), .def = def_, .min = min_, .max = max_            \
	}
#define NUMBER(field, unit_, def_, min_, max_, help_)                               \
	{                                                                           \
		.name = #field, .unit = unit_, .help = help_, .type = PN_PARAM_F64, \
		.off = OFF(field), .def = def_, .min = min_, .max = max_            \
	}

const struct pn_param pn_bm3d_param_table[] = {
	WHOLE(hard_stride_px, "px", 3, 2, 6, "step 1: between reference blocks (2, 3, 4, 6)"),
	WHOLE(hard_search_px, "px", 39, 1, SEARCH_MAX, "step 1: side of the square searched, odd"),
	WHOLE(hard_blocks, NULL, 16, 8, BLOCKS_MAX, "step 1: most blocks in a group (8, 16, 32)"),
	NUMBER(hard_distance, NULL, 4.8, 0, 1e6, "step 1: of similar blocks, in sigma^2"),
	NUMBER(hard_threshold, NULL, 2.7, 0, 100, "step 1: of the coefficients, in sigma"),
	WHOLE(wiener_stride_px, "px", 3, 2, 6, "step 2: between reference blocks (2, 3, 4, 6)"),
	WHOLE(wiener_search_px, "px", 39, 1, SEARCH_MAX,
	      "step 2: side of the square searched, odd"),
	WHOLE(wiener_blocks, NULL, 32, 8, BLOCKS_MAX, "step 2: most blocks in a group (8, 16, 32)"),
	NUMBER(wiener_distance, NULL, 0.64, 0, 1e6, "step 2: of similar blocks, in sigma^2"),
	NUMBER(kaiser_beta, NULL, 2, 0, 20, "of the window that weights a block's pixels"),
	WHOLE(steps, NULL, 2, 1, 2, "1: only the basic estimate"),
	{ 0 },
};

#undef WHOLE
#undef NUMBER

void pn_bm3d_fast(struct pn_bm3d_params *params)
{
	pn_params_default(pn_bm3d_param_table, params);
	params->hard_stride_px = params->wiener_stride_px = 4;
	params->hard_search_px = params->wiener_search_px = 25;
	params->wiener_blocks = 16;
}

/* One of the two steps over one image. */
struct pass {
	int stride, radius, blocks;
	int32_t limit;      /* key of the largest distance that counts          */
	float variance;     /* of the noise                                     */
	float threshold2;   /* of squared coefficients; 0 in step 2             */
	float window[AREA]; /* Kaiser                                           */
	size_t gy, gx;      /* reference blocks                                 */
	size_t ey, ex;      /* of the extended images                           */
	const float *noisy; /* [ey][ex]                                         */
	const float *basic; /* [ey][ex] estimate of step 1, NULL in step 1      */
	/* What blocks are compared in, [ey + 2 radius][stride][pitch]: the columns of each phase
	 * x mod stride side by side, so that neighbouring reference blocks are neighbours in
	 * memory. Outside of the image it is far away from everything. */
	float *phases;
	size_t pitch, margin; /* margin: columns before the image, a multiple of the stride */
	size_t stripes;
	float *sums; /* [stripes][2][sum_rows][ex]: weighted blocks, weights */
	size_t sum_rows;
	struct scratch *scratch; /* [threads] */
};

/* The list of one reference block: a guard, then keys in ascending order. A key is the bits of the
 * distance, which order as the floats do, with the place of the block in the lowest bits. */
struct list {
	int32_t key[GUARD + BLOCKS_MAX];
};

/* Of one thread. */
struct scratch {
	struct list list[TILE_Y][TILE_X];
	int32_t worst[TILE_Y][TILE_X];
	/* Squared differences summed over @stride rows and columns (full) or the 8 mod stride first
	 * ones (part) from a reference block's corner on: [rows of the two][columns] */
	float full_full[TILE_Y + 4][TILE_X], full_part[TILE_Y + 4][TILE_X];
	float part_full[TILE_Y + 4][TILE_X], part_part[TILE_Y + 4][TILE_X];
	float noisy[BLOCKS_MAX][AREA], basic[BLOCKS_MAX][AREA];
} __attribute__((aligned(64)));

static inline floats load(const float *p)
{
	return *(const floats_u *)p;
}

static inline void store(float *p, floats v)
{
	*(floats_u *)p = v;
}

/* a b + c, in one instruction where there is one */
static inline floats fused(floats a, floats b, floats c)
{
#if defined(__FMA__) && defined(__AVX2__)
	return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
	return a * b + c;
#endif
}

static inline floats times(float c, floats v)
{
	return ((floats){ 0 } + c) * v;
}

static inline floats plus_times(floats sum, float c, floats v)
{
	return fused((floats){ 0 } + c, v, sum);
}

/* ---- block matching ------------------------------------------------------------------------ */

/* Sums of the squared differences of one band of @stride rows. */
static inline __attribute__((always_inline)) void sum_band(struct scratch *s, size_t band,
							   const float *ref, const float *const *at,
							   size_t row, size_t pitch, size_t lanes,
							   int stride)
{
	int rest = SIDE % stride;

	for (size_t j = 0; j < lanes; j += LANES) {
		floats ff = { 0 }, fp = { 0 }, pf = { 0 }, pp = { 0 };

		for (int y = 0; y < stride; y++) {
			floats full = { 0 }, part = { 0 };

			for (int c = 0; c < stride; c++) {
				floats d = load(ref + y * row + c * pitch + j) -
					   load(at[c] + y * row + j);

				full = c ? fused(d, d, full) : d * d;
				if (c == rest - 1)
					part = full;
			}
			ff += full;
			fp += part;
			if (y == rest - 1) {
				pf = ff;
				pp = fp;
			}
		}
		store(s->full_full[band] + j, ff);
		if (rest) {
			store(s->full_part[band] + j, fp);
			store(s->part_full[band] + j, pf);
			store(s->part_part[band] + j, pp);
		}
	}
}

/* Which of 8 keys are below those of @worst, one bit each. */
static inline unsigned below(ints key, const int32_t *worst)
{
	ints less = key < *(const ints *)worst;
#ifdef __AVX2__
	return (unsigned)_mm256_movemask_ps((__m256)less);
#else
	unsigned bits = 0;

	for (int i = 0; i < LANES; i++)
		bits |= (unsigned)(less[i] & 1) << i;
	return bits;
#endif
}

static inline ints smaller(ints a, ints b)
{
	ints less = a < b;

	return (a & less) | (b & ~less);
}

/* Put a key into its place among the @count best: each entry becomes the smaller of itself and of
 * the larger of the key and the entry before. From the end on, as entries before are read. */
static inline void insert(struct list *list, int32_t key, int count, int32_t *worst)
{
	int32_t *now = list->key + GUARD;

	for (int i = count - LANES; i >= 0; i -= LANES) {
		ints before = *(const ints_u *)(now + i - 1), it = *(const ints_u *)(now + i);
		ints larger = ~smaller(~before, ~((ints){ 0 } + key));

		*(ints_u *)(now + i) = smaller(it, larger);
	}
	*worst = now[count - 1];
}

/* The distances of the blocks at one displacement to a row of reference blocks, and what of them
 * is among the best. */
static inline __attribute__((always_inline)) void
keep_best(struct scratch *s, size_t k, size_t lanes, int place, int blocks, int stride)
{
	int whole = SIDE / stride, rest = SIDE % stride;
	float full[TILE_X + LANES], part[TILE_X + LANES];

	store(full + lanes, (floats){ 0 });
	store(part + lanes, (floats){ 0 });
	for (size_t j = 0; j < lanes; j += LANES) {
		floats f = load(s->full_full[k] + j), p = { 0 };

		for (int i = 1; i < whole; i++)
			f += load(s->full_full[k + i] + j);
		if (rest) {
			f += load(s->part_full[k + whole] + j);
			p = load(s->full_part[k] + j);
			for (int i = 1; i < whole; i++)
				p += load(s->full_part[k + i] + j);
			p += load(s->part_part[k + whole] + j);
			store(part + j, p);
		}
		store(full + j, f);
	}
	for (size_t j = 0; j < lanes; j += LANES) {
		floats d = load(full + j);

		for (int i = 1; i < whole; i++)
			d += load(full + j + i);
		if (rest)
			d += load(part + j + whole);
		ints key = ((ints)d & ~PLACE_MASK) | place;
		unsigned bits = below(key, s->worst[k] + j);

		for (; bits; bits &= bits - 1) {
			int i = __builtin_ctz(bits);

			insert(&s->list[k][j + i], key[i], blocks, &s->worst[k][j + i]);
		}
	}
}

/* Similar blocks of the reference blocks [k0, k0 + rows) x [j0, j0 + columns). */
static inline __attribute__((always_inline)) void match_tile(const struct pass *p,
							     struct scratch *s, size_t k0,
							     size_t rows, size_t j0, size_t columns,
							     int stride)
{
	size_t row = p->pitch * stride, beyond = (SIDE - 1) / stride, bands = rows + beyond;
	size_t lanes = (columns + beyond + LANES - 1) / LANES * LANES;
	int radius = p->radius, places = (2 * radius + 1) * (2 * radius + 1);
	int place = places - places / 2;
	const float *ref = p->phases + (k0 * stride + radius) * row + j0 + p->margin / stride;

	/* places count from the reference block itself, which is then the first of its list even
	 * where everything is equal */
	for (int dy = -radius; dy <= radius; dy++)
		for (int dx = -radius; dx <= radius; dx++) {
			const float *first =
				p->phases + (size_t)((long)(k0 * stride) + radius + dy) * row + j0;
			const float *at[SIDE];

			for (int c = 0; c < stride; c++) {
				size_t x = p->margin + dx + c;

				at[c] = first + x % stride * p->pitch + x / stride;
			}
			for (size_t k = 0; k < bands; k++) {
				sum_band(s, k, ref + k * stride * row, at, row, p->pitch, lanes,
					 stride);
				for (int c = 0; c < stride; c++)
					at[c] += stride * row;
			}
			for (size_t k = 0; k < rows; k++)
				keep_best(s, k, lanes, place, p->blocks, stride);
			place = place + 1 < places ? place + 1 : 0;
		}
}

static void find_blocks(const struct pass *p, struct scratch *s, size_t k0, size_t rows, size_t j0,
			size_t columns)
{
	for (size_t k = 0; k < rows; k++)
		for (size_t j = 0; j < TILE_X; j++) {
			struct list *list = &s->list[k][j];

			/* nothing is better than a guard, or for a block beyond the grid */
			for (int i = 0; i < GUARD + p->blocks; i++)
				list->key[i] = i < GUARD ? INT32_MIN : p->limit;
			s->worst[k][j] = j < columns ? p->limit : INT32_MIN;
		}
	switch (p->stride) {
	case 2:
		match_tile(p, s, k0, rows, j0, columns, 2);
		break;
	case 3:
		match_tile(p, s, k0, rows, j0, columns, 3);
		break;
	case 4:
		match_tile(p, s, k0, rows, j0, columns, 4);
		break;
	default:
		match_tile(p, s, k0, rows, j0, columns, 6);
	}
}

/* ---- transforms ---------------------------------------------------------------------------- */

/* cos(k pi / 16) / 2, and 1 / sqrt 8 */
#define C1 0.49039264020161522f
#define C2 0.46193976625564337f
#define C3 0.41573480615127262f
#define C4 0.35355339059327376f
#define C5 0.27778511650980111f
#define C6 0.19134171618254489f
#define C7 0.09754516100806413f

static inline floats four(float a, floats u, float b, floats v, float c, floats w, float d,
			  floats x)
{
	return plus_times(plus_times(plus_times(times(a, u), b, v), c, w), d, x);
}

/* Orthonormal DCT-II of the columns. */
static inline __attribute__((always_inline)) void dct_columns(floats v[SIDE])
{
	floats s0 = v[0] + v[7], s1 = v[1] + v[6], s2 = v[2] + v[5], s3 = v[3] + v[4];
	floats d0 = v[0] - v[7], d1 = v[1] - v[6], d2 = v[2] - v[5], d3 = v[3] - v[4];
	floats e0 = s0 + s3, e1 = s1 + s2, o0 = s0 - s3, o1 = s1 - s2;

	v[0] = times(C4, e0 + e1);
	v[4] = times(C4, e0 - e1);
	v[2] = plus_times(times(C2, o0), C6, o1);
	v[6] = plus_times(times(C6, o0), -C2, o1);
	v[1] = four(C1, d0, C3, d1, C5, d2, C7, d3);
	v[3] = four(C3, d0, -C7, d1, -C1, d2, -C5, d3);
	v[5] = four(C5, d0, -C1, d1, C7, d2, C3, d3);
	v[7] = four(C7, d0, -C5, d1, C3, d2, -C1, d3);
}

static inline __attribute__((always_inline)) void inverse_dct_columns(floats v[SIDE])
{
	floats e0 = times(C4, v[0] + v[4]), e1 = times(C4, v[0] - v[4]);
	floats o0 = plus_times(times(C2, v[2]), C6, v[6]);
	floats o1 = plus_times(times(C6, v[2]), -C2, v[6]);
	floats s0 = e0 + o0, s3 = e0 - o0, s1 = e1 + o1, s2 = e1 - o1;
	floats d0 = four(C1, v[1], C3, v[3], C5, v[5], C7, v[7]);
	floats d1 = four(C3, v[1], -C7, v[3], -C1, v[5], -C5, v[7]);
	floats d2 = four(C5, v[1], -C1, v[3], C7, v[5], C3, v[7]);
	floats d3 = four(C7, v[1], -C5, v[3], C3, v[5], -C1, v[7]);

	v[0] = s0 + d0;
	v[7] = s0 - d0;
	v[1] = s1 + d1;
	v[6] = s1 - d1;
	v[2] = s2 + d2;
	v[5] = s2 - d2;
	v[3] = s3 + d3;
	v[4] = s3 - d3;
}

static inline __attribute__((always_inline)) void transpose(floats v[SIDE])
{
	floats a[SIDE], b[SIDE];

	for (int i = 0; i < SIDE; i += 2) {
		a[i] = __builtin_shufflevector(v[i], v[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
		a[i + 1] = __builtin_shufflevector(v[i], v[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
	}
	for (int i = 0; i < SIDE; i += 4)
		for (int k = 0; k < 2; k++) {
			b[i + k] = __builtin_shufflevector(a[i + k], a[i + k + 2], 0, 1, 8, 9, 4, 5,
							   12, 13);
			b[i + k + 2] = __builtin_shufflevector(a[i + k], a[i + k + 2], 2, 3, 10, 11,
							       6, 7, 14, 15);
		}
	for (int k = 0; k < 4; k++) {
		v[k] = __builtin_shufflevector(b[k], b[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
		v[k + 4] = __builtin_shufflevector(b[k], b[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
	}
}

/* The coefficients lie transposed, which nothing between here and the way back minds. */
static void forward_block(float *coefficient, const float *image, size_t ex)
{
	floats v[SIDE];

	for (int y = 0; y < SIDE; y++)
		v[y] = load(image + y * ex);
	dct_columns(v);
	transpose(v);
	dct_columns(v);
	for (int y = 0; y < SIDE; y++)
		store(coefficient + y * SIDE, v[y]);
}

static void inverse_block(floats v[SIDE], const float *coefficient)
{
	for (int y = 0; y < SIDE; y++)
		v[y] = load(coefficient + y * SIDE);
	inverse_dct_columns(v);
	transpose(v);
	inverse_dct_columns(v);
}

/* Haar without factors, in place: after it x[i] with lowest set bit h of i is the difference of two
 * sums of h, x[0] the sum of all; of squared norm 2 h and n. */
static inline __attribute__((always_inline)) void haar(floats *x, int n)
{
	for (int h = 1; h < n; h *= 2)
		for (int i = 0; i < n; i += 2 * h) {
			floats a = x[i], b = x[i + h];

			x[i] = a + b;
			x[i + h] = a - b;
		}
}

/* Its inverse if each x[i] was divided by its squared norm. */
static inline __attribute__((always_inline)) void haar_back(floats *x, int n)
{
	for (int h = n / 2; h >= 1; h /= 2)
		for (int i = 0; i < n; i += 2 * h) {
			floats a = x[i], b = x[i + h];

			x[i] = a + b;
			x[i + h] = a - b;
		}
}

static inline int norm2(int i, int n)
{
	return i ? 2 * (i & -i) : n;
}

/* Set small coefficients of a group of @n to zero; how many are left. */
static inline __attribute__((always_inline)) int threshold_of(float (*block)[AREA], float limit,
							      int n)
{
	ints kept = { 0 };
	int sum = 0;

	for (int c = 0; c < AREA; c += LANES) {
		floats x[BLOCKS_MAX];

		for (int i = 0; i < n; i++)
			x[i] = load(block[i] + c);
		haar(x, n);
		for (int i = 0; i < n; i++) {
			float q = (float)norm2(i, n);
			ints large = x[i] * x[i] > (floats){ 0 } + limit * q;

			kept -= large;
			x[i] = (floats)((ints)(x[i] * (1 / q)) & large);
		}
		haar_back(x, n);
		for (int i = 0; i < n; i++)
			store(block[i] + c, x[i]);
	}
	for (int i = 0; i < LANES; i++)
		sum += kept[i];
	return sum;
}

/* Shrink the coefficients of a group of @n; sum of the squared factors. */
static inline __attribute__((always_inline)) float
shrink_of(float (*block)[AREA], float (*basic)[AREA], float variance, int n)
{
	floats squares = { 0 };
	float sum = 0;

	for (int c = 0; c < AREA; c += LANES) {
		floats x[BLOCKS_MAX], b[BLOCKS_MAX];

		for (int i = 0; i < n; i++)
			b[i] = load(basic[i] + c);
		haar(b, n);
		for (int i = 0; i < n; i++) {
			floats b2 = b[i] * b[i];

			b[i] = b2 / (b2 + variance * (float)norm2(i, n));
			squares += b[i] * b[i];
			b[i] *= 1 / (float)norm2(i, n);
		}
		for (int i = 0; i < n; i++)
			x[i] = load(block[i] + c);
		haar(x, n);
		for (int i = 0; i < n; i++)
			x[i] *= b[i];
		haar_back(x, n);
		for (int i = 0; i < n; i++)
			store(block[i] + c, x[i]);
	}
	for (int i = 0; i < LANES; i++)
		sum += squares[i];
	return sum;
}

/* Filter a group; its weight. */
static inline __attribute__((always_inline)) float filter_of(const struct pass *p,
							     struct scratch *s, int n)
{
	if (p->basic) {
		float sum = shrink_of(s->noisy, s->basic, p->variance, n);

		/* the estimate of step 1 may be 0 everywhere */
		return 1 / fmaxf(sum, 1e-6f);
	}
	int kept = threshold_of(s->noisy, p->threshold2, n);

	return 1 / (float)(kept ? kept : 1);
}

static float filter_group(const struct pass *p, struct scratch *s, int n)
{
	switch (n) {
	case 1:
		return filter_of(p, s, 1);
	case 2:
		return filter_of(p, s, 2);
	case 4:
		return filter_of(p, s, 4);
	case 8:
		return filter_of(p, s, 8);
	case 16:
		return filter_of(p, s, 16);
	default:
		return filter_of(p, s, 32);
	}
}

/* ---- stripes ------------------------------------------------------------------------------- */

/* First row of the extended image that blocks of stripe @i may touch. */
static size_t first_row(const struct pass *p, size_t i)
{
	size_t row = i * TILE_Y * p->stride;

	return row > (size_t)p->radius ? row - p->radius : 0;
}

static void add_block(const struct pass *p, float *sum, float *weights, const float *coefficient,
		      float weight)
{
	floats v[SIDE];

	inverse_block(v, coefficient);
	for (int y = 0; y < SIDE; y++) {
		floats w = times(weight, load(p->window + y * SIDE));

		store(sum + y * p->ex, fused(w, v[y], load(sum + y * p->ex)));
		store(weights + y * p->ex, load(weights + y * p->ex) + w);
	}
}

/* The group of one reference block: filtered and added to the stripe's sums. */
static void do_group(const struct pass *p, struct scratch *s, const struct list *list, size_t y,
		     size_t x, float *sum, size_t sum_first)
{
	int span = 2 * p->radius + 1, places = span * span, n = 0;
	size_t at[BLOCKS_MAX];
	const int32_t *key = list->key + GUARD;

	while (n < p->blocks && key[n] < p->limit)
		n++;
	n = 1 << (31 - __builtin_clz((unsigned)n));
	for (int i = 0; i < n; i++) {
		int place = ((key[i] & PLACE_MASK) + places / 2) % places;

		at[i] = (y + place / span - p->radius) * p->ex + x + place % span - p->radius;
		forward_block(s->noisy[i], p->noisy + at[i], p->ex);
		if (p->basic)
			forward_block(s->basic[i], p->basic + at[i], p->ex);
	}
	float weight = filter_group(p, s, n), *weights = sum + p->sum_rows * p->ex;

	for (int i = 0; i < n; i++) {
		size_t place = at[i] - sum_first * p->ex;

		add_block(p, sum + place, weights + place, s->noisy[i], weight);
	}
}

static void do_stripe(const struct pass *p, struct scratch *s, size_t stripe)
{
	size_t k0 = stripe * TILE_Y, rows = p->gy - k0 < TILE_Y ? p->gy - k0 : TILE_Y;
	float *sum = p->sums + stripe * 2 * p->sum_rows * p->ex;

	/* a block's sums reach into the next columns */
	size_t wide = TILE_X - (SIDE - 1) / p->stride;

	for (size_t j0 = 0; j0 < p->gx; j0 += wide) {
		size_t columns = p->gx - j0 < wide ? p->gx - j0 : wide;

		find_blocks(p, s, k0, rows, j0, columns);
		for (size_t k = 0; k < rows; k++)
			for (size_t j = 0; j < columns; j++)
				do_group(p, s, &s->list[k][j], (k0 + k) * p->stride,
					 (j0 + j) * p->stride, sum, first_row(p, stripe));
	}
}

/* Row @y of the estimate from the sums of the stripes, in their order. */
static void join_row(const struct pass *p, float *dst, size_t nx, size_t y, float *row)
{
	float *weights = row + p->ex;

	memset(row, 0, 2 * p->ex * sizeof *row);
	for (size_t i = 0; i < p->stripes; i++) {
		size_t first = first_row(p, i);
		const float *sum = p->sums + (i * 2 * p->sum_rows + y - first) * p->ex;

		if (y < first || y >= first + p->sum_rows)
			continue;
		for (size_t x = 0; x < p->ex; x++) {
			row[x] += sum[x];
			weights[x] += sum[p->sum_rows * p->ex + x];
		}
	}
	for (size_t x = 0; x < nx; x++)
		dst[x] = row[x] / weights[x];
}

/* ---- one step ------------------------------------------------------------------------------ */

static size_t grid(size_t n, int stride)
{
	return (n - SIDE + stride - 1) / stride + 1;
}

static size_t reflected(size_t i, size_t n)
{
	return i < n ? i : 2 * (n - 1) - i;
}

static void extend(float *dst, size_t ey, size_t ex, const float *src, size_t ny, size_t nx)
{
	for (size_t y = 0; y < ey; y++)
		for (size_t x = 0; x < ex; x++)
			dst[y * ex + x] = src[reflected(y, ny) * nx + reflected(x, nx)];
}

static double bessel_i0(double x)
{
	double term = 1, sum = 1;

	for (int k = 1; k < 100 && term > 1e-17 * sum; k++) {
		term *= x / (2 * k) * (x / (2 * k));
		sum += term;
	}
	return sum;
}

static void kaiser(float *window, double beta)
{
	double w[SIDE];

	for (int i = 0; i < SIDE; i++) {
		double t = 2.0 * i / (SIDE - 1) - 1;

		w[i] = bessel_i0(beta * sqrt(1 - t * t)) / bessel_i0(beta);
	}
	for (int i = 0; i < AREA; i++)
		window[i] = (float)(w[i / SIDE] * w[i % SIDE]);
}

/* The image columns sorted by phase, with margins far from everything. */
static void sort_phases(struct pass *p, const float *image)
{
	size_t rows = p->ey + 2 * p->radius, row = p->pitch * p->stride;

	for (size_t i = 0; i < rows * row; i++)
		p->phases[i] = 1e15f;
	for (size_t y = 0; y < p->ey; y++)
		for (size_t x = 0; x < p->ex; x++) {
			size_t column = x + p->margin;

			p->phases[(y + p->radius) * row + column % p->stride * p->pitch +
				  column / p->stride] = image[y * p->ex + x];
		}
}

static int32_t key_of(double distance)
{
	float f = (float)fmin(distance, 1e25);
	int32_t bits;

	memcpy(&bits, &f, sizeof bits);
	return bits | PLACE_MASK;
}

static void pass_free(struct pass *p)
{
	pn_fft_free(p->phases);
	pn_fft_free(p->sums);
	pn_fft_free(p->scratch);
}

/* Shapes and memory of a step; stride, radius, ex and ey are set. */
static int pass_plan(struct pass *p, struct pn_error *err)
{
	size_t rows = TILE_Y * p->stride + 2 * p->radius + SIDE;

	p->margin = (p->radius + p->stride - 1) / p->stride * p->stride;
	/* a tile reads up to a vector past its last column */
	p->pitch = (p->ex + 2 * p->margin) / p->stride + TILE_X + LANES;
	p->stripes = (p->gy + TILE_Y - 1) / TILE_Y;
	p->sum_rows = rows < p->ey ? rows : p->ey;
	/* the last stripe's bands may reach below the margin */
	p->phases = pn_fft_alloc((p->ey + 2 * p->radius + 2 * SIDE) * p->pitch * p->stride *
				 sizeof *p->phases);
	p->sums = pn_fft_alloc(p->stripes * 2 * p->sum_rows * p->ex * sizeof *p->sums);
	p->scratch = pn_fft_alloc((size_t)omp_get_max_threads() * sizeof *p->scratch);
	if (!p->phases || !p->sums || !p->scratch)
		return pn_error_set(err, PN_ENOMEM, "bm3d: no memory for %zu x %zu pixels", p->ey,
				    p->ex);
	return PN_OK;
}

static int do_pass(struct pass *p, float *dst, const float *noisy, const float *basic, size_t ny,
		   size_t nx, struct pn_error *err)
{
	p->gy = grid(ny, p->stride);
	p->gx = grid(nx, p->stride);
	p->ey = (p->gy - 1) * p->stride + SIDE;
	p->ex = (p->gx - 1) * p->stride + SIDE;
	size_t area = p->ey * p->ex;
	float *extended = pn_fft_alloc(2 * area * sizeof *extended);
	int rc = extended ? pass_plan(p, err)
			  : pn_error_set(err, PN_ENOMEM, "bm3d: no memory for %zu x %zu pixels", ny,
					 nx);

	if (!rc) {
		extend(extended, p->ey, p->ex, noisy, ny, nx);
		if (basic)
			extend(extended + area, p->ey, p->ex, basic, ny, nx);
		p->noisy = extended;
		p->basic = basic ? extended + area : NULL;
		sort_phases(p, basic ? p->basic : p->noisy);
#pragma omp parallel for schedule(dynamic, 1)
		for (size_t i = 0; i < p->stripes; i++)
			do_stripe(p, &p->scratch[omp_get_thread_num()], i);
		/* the lists are not needed any more: room for a row and its weights */
		for (size_t y = 0; y < ny; y++)
			join_row(p, dst + y * nx, nx, y, extended);
	}
	pass_free(p);
	pn_fft_free(extended);
	return rc;
}

/* -------------------------------------------------------------------------------------------- */

static int check_params(const struct pn_bm3d_params *p, struct pn_error *err)
{
	for (const struct pn_param *row = pn_bm3d_param_table; row->name; row++) {
		const char *at = (const char *)p + row->off;
		double value = row->type == PN_PARAM_F64 ? *(const double *)at
							 : (double)*(const int64_t *)at;

		if (!(value >= row->min && value <= row->max))
			return pn_error_set(err, PN_EARG, "bm3d: %s = %g: must be %g..%g",
					    row->name, value, row->min, row->max);
	}
	if (p->hard_stride_px == 5 || p->wiener_stride_px == 5)
		return pn_error_set(err, PN_EARG, "bm3d: strides %d, %d: must be 2, 3, 4 or 6",
				    (int)p->hard_stride_px, (int)p->wiener_stride_px);
	if (p->hard_search_px % 2 == 0 || p->wiener_search_px % 2 == 0)
		return pn_error_set(err, PN_EARG, "bm3d: search squares %d, %d: must be odd",
				    (int)p->hard_search_px, (int)p->wiener_search_px);
	if ((p->hard_blocks & (p->hard_blocks - 1)) || (p->wiener_blocks & (p->wiener_blocks - 1)))
		return pn_error_set(err, PN_EARG, "bm3d: groups of %d, %d: must be 8, 16 or 32",
				    (int)p->hard_blocks, (int)p->wiener_blocks);
	return PN_OK;
}

static int check_image(const float *src, size_t ny, size_t nx, struct pn_error *err)
{
	if (ny < IMAGE_MIN || nx < IMAGE_MIN || ny > IMAGE_MAX || nx > IMAGE_MAX)
		return pn_error_set(err, PN_EARG, "bm3d: %zu x %zu pixels: sides must be %d..%d",
				    ny, nx, IMAGE_MIN, IMAGE_MAX);
	for (size_t i = 0; i < ny * nx; i++)
		/* squares of differences must stay below those of the margin */
		if (!(fabsf(src[i]) < 1e12f))
			return pn_error_set(err, PN_EARG, "bm3d: pixel %zu %zu (y x) is %g", i / nx,
					    i % nx, src[i]);
	return PN_OK;
}

int pn_bm3d(float *dst, const float *src, size_t ny, size_t nx, double sigma,
	    const struct pn_bm3d_params *params, struct pn_error *err)
{
	struct pn_bm3d_params p;
	int rc = check_image(src, ny, nx, err);

	pn_params_default(pn_bm3d_param_table, &p);
	if (params)
		p = *params;
	if (!rc)
		rc = check_params(&p, err);
	if (!rc && !(sigma > 1e-12 && sigma < 1e12))
		rc = pn_error_set(err, PN_EARG, "bm3d: sigma = %g: must be > 0", sigma);
	if (rc)
		return rc;
	double variance = sigma * sigma;
	struct pass hard = {
		.stride = (int)p.hard_stride_px,
		.radius = (int)p.hard_search_px / 2,
		.blocks = (int)p.hard_blocks,
		.limit = key_of(p.hard_distance * variance * AREA),
		.variance = (float)variance,
		.threshold2 = (float)(p.hard_threshold * p.hard_threshold * variance),
	};
	struct pass wiener = {
		.stride = (int)p.wiener_stride_px,
		.radius = (int)p.wiener_search_px / 2,
		.blocks = (int)p.wiener_blocks,
		.limit = key_of(p.wiener_distance * variance * AREA),
		.variance = (float)variance,
	};
	float *basic = malloc(ny * nx * sizeof *basic);

	if (!basic)
		return pn_error_set(err, PN_ENOMEM, "bm3d: no memory for %zu x %zu pixels", ny, nx);
	kaiser(hard.window, p.kaiser_beta);
	kaiser(wiener.window, p.kaiser_beta);
	rc = do_pass(&hard, basic, src, NULL, ny, nx, err);
	if (!rc && p.steps == 2)
		rc = do_pass(&wiener, dst, src, basic, ny, nx, err);
	else if (!rc)
		memcpy(dst, basic, ny * nx * sizeof *basic);
	free(basic);
	return rc;
}

int pn_denoise_poisson_gauss(float *dst, const float *src, size_t ny, size_t nx,
			     const struct pn_noise_model *noise,
			     const struct pn_bm3d_params *params, struct pn_error *err)
{
	struct pn_noise_fit fit;
	struct pn_vst *vst;
	int rc = check_image(src, ny, nx, err);

	if (!rc && !noise) {
		rc = pn_noise_from_image(&fit, src, ny, nx, NULL, err);
		noise = &fit.model;
	}
	if (!rc)
		rc = pn_vst_create(&vst, noise, err);
	if (rc)
		return rc;
	float *flat = malloc(ny * nx * sizeof *flat);

	if (flat) {
		pn_vst_forward(vst, flat, src, ny * nx);
		rc = pn_bm3d(flat, flat, ny, nx, 1, params, err);
		if (!rc)
			pn_vst_inverse(vst, dst, flat, ny * nx);
	} else {
		rc = pn_error_set(err, PN_ENOMEM, "denoise: no memory for %zu x %zu pixels", ny,
				  nx);
	}
	free(flat);
	pn_vst_destroy(vst);
	return rc;
}
