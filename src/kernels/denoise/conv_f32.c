/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The convolution in float32.
 *
 * Forward and the gradient by the data are one sweep (the second with mirrored taps and transposed
 * weights). Outputs are taken in blocks of up to BLOCK channels, a row of the image in strips. The
 * sums of a strip lie in a buffer; to them come, group by group, as many (tap, input channel) pairs
 * as have weights that stay in the first cache. Inside a group a tile of some pixels x the block's
 * vectors is summed in registers: one weight vector serves all its pixels, one input all its
 * vectors.
 *
 * The gradient by the weights uses the same tile with other roles: some input channels x the
 * block's vectors of the outputs' gradients, summed over the pixels of a strip.
 *
 * Each sum is taken in one order, taps before maps before channels, or pixels from left to right,
 * whatever the tile, so that results depend on neither strips nor rows y0, y1 nor threads.
 */
#include "conv_internal.h"
#include "eight.h"

#include <string.h>

#if defined(__AVX512F__) || defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES        16
#define FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#elif defined(__AVX__)
#define LANES 8
#if defined(__FMA__)
#define FMA(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#endif
#else
#define LANES 4
#endif
#ifndef FMA
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

/* Or GCC takes the operand from memory anew in each instruction, more than the loads can follow. */
#if defined(__AVX__)
#define IN_REGISTER(value) __asm__("" : "+v"(value))
#else
#define IN_REGISTER(value) (void)0
#endif

#define VECS        4              /* vectors of a block at most */
#define BLOCK       (VECS * LANES) /* channels of a block at most */
#define STEP        PN_CHANNEL_STEP
#define STRIP       48    /* pixels; a multiple of all tiles */
#define LONG_STRIP  96    /* pixels, of the gradient by the weights */
#define GROUP_BYTES 16384 /* of weights: half a first cache of 32 KiB */
#define GROUP_RUNS  64
#define ROWS        12 /* of a tile at most: pixels, or input channels */
#define ALIGNED     __attribute__((aligned(64)))

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef vec vec_anywhere __attribute__((aligned(sizeof(float))));

static int padded(int channels)
{
	return (channels + LANES - 1) / LANES * LANES;
}

/* ---- packed weights: bias, forward, backward; each by blocks as [block][tap][from][to] ------- */

static size_t forward_floats(const struct pn_conv_shape *shape, int in, int out)
{
	return (size_t)shape->taps.count * (size_t)in * (size_t)padded(out);
}

static int sum_of(const int *channels, int count)
{
	int sum = 0;

	for (int k = 0; k < count; k++)
		sum += channels[k];
	return sum;
}

static size_t packed_bytes(const struct pn_conv_shape *shape)
{
	int in = sum_of(shape->in_channels, shape->inputs);
	int out = sum_of(shape->out_channels, shape->outputs);

	return sizeof(float) * ((size_t)padded(out) + forward_floats(shape, in, out) +
				forward_floats(shape, out, in));
}

static const float *forward_weights(const struct pn_conv *conv)
{
	return (const float *)conv->packed + padded(conv->out_total);
}

static const float *backward_weights_of(const struct pn_conv *conv)
{
	return forward_weights(conv) +
	       forward_floats(&conv->shape, conv->in_total, conv->out_total);
}

/* weight(tap, from, to) lies at weights[tap * in * out + from * from_step + to * to_step] */
static void pack_one_way(float *packed, const float *weights, int taps, int from, int from_step,
			 int to, int to_step)
{
	for (int first = 0; first < to; first += BLOCK) {
		int width = to - first < BLOCK ? to - first : BLOCK;

		for (int t = 0; t < taps; t++)
			for (int i = 0; i < from; i++, packed += padded(width)) {
				const float *w = weights + (ptrdiff_t)t * from * to +
						 (ptrdiff_t)i * from_step +
						 (ptrdiff_t)first * to_step;

				for (int o = 0; o < width; o++)
					packed[o] = w[(ptrdiff_t)o * to_step];
			}
	}
}

static void pack(struct pn_conv *conv, const float *weights, const float *bias)
{
	int in = conv->in_total, out = conv->out_total, taps = conv->shape.taps.count;
	float *packed = conv->packed;

	memcpy(packed, bias, (size_t)out * sizeof *bias);
	packed += padded(out);
	pack_one_way(packed, weights, taps, in, out, out, 1);
	packed += forward_floats(&conv->shape, in, out);
	pack_one_way(packed, weights, taps, out, 1, in, out);
}

/* ---- the tile ------------------------------------------------------------------------------ */

/* X(r, v) for all rows and vectors of a tile: written out, so that its sums become registers */
#define IN_ROW(X, r) X(r, 0) X(r, 1) X(r, 2) X(r, 3)
#define IN_TILE(X)                                                                                 \
	IN_ROW(X, 0)                                                                               \
	IN_ROW(X, 1)                                                                               \
	IN_ROW(X, 2)                                                                               \
	IN_ROW(X, 3) IN_ROW(X, 4) IN_ROW(X, 5) IN_ROW(X, 6) IN_ROW(X, 7) IN_ROW(X, 8) IN_ROW(X, 9) \
		IN_ROW(X, 10) IN_ROW(X, 11)
#define ALL_VECTORS(X)  X(0) X(1) X(2) X(3)
#define ALL_ROWS(X)     X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define ALL_FEW_ROWS(X) X(0) X(1) X(2)

/*
 * sum[r][v] += in[r row_step + k turn_step] factors[k factor_step + v] for all k. The fewer of the
 * two factors are kept in registers, the others pass by: 12 sums and 3 + 1 factors fill the 16
 * registers of AVX2.
 */
static inline __attribute__((always_inline)) void
multiply(int vecs, int rows, vec sum[ROWS][VECS], const float *in, ptrdiff_t row_step,
	 ptrdiff_t turn_step, const float *factors, ptrdiff_t factor_step, int turns)
{
	for (; turns > 0; turns--, in += turn_step, factors += factor_step) {
		if (vecs <= rows) {
			vec kept[VECS], passing;

#define KEEP(v)                                                         \
	if (v < vecs) {                                                 \
		kept[v] = *(const vec_anywhere *)(factors + v * LANES); \
		IN_REGISTER(kept[v]);                                   \
	}
#define PASS(r)                                          \
	if (r < rows) {                                  \
		passing = in[r * row_step] - (vec){ 0 }; \
		ALL_VECTORS_OF(r)                        \
	}
#define ALL_VECTORS_OF(r) SUM(r, 0) SUM(r, 1) SUM(r, 2) SUM(r, 3)
#define SUM(r, v)     \
	if (v < vecs) \
		sum[r][v] = FMA(passing, kept[v], sum[r][v]);
			ALL_VECTORS(KEEP)
			ALL_ROWS(PASS)
#undef KEEP
#undef PASS
#undef ALL_VECTORS_OF
#undef SUM
		} else {
			vec kept[VECS], passing;

#define KEEP(r)       \
	if (r < rows) \
		kept[r] = in[r * row_step] - (vec){ 0 };
#define PASS(v)                                                         \
	if (v < vecs) {                                                 \
		passing = *(const vec_anywhere *)(factors + v * LANES); \
		IN_REGISTER(passing);                                   \
		SUM(0, v) SUM(1, v) SUM(2, v)                           \
	}
#define SUM(r, v)     \
	if (r < rows) \
		sum[r][v] = FMA(kept[r], passing, sum[r][v]);
			ALL_FEW_ROWS(KEEP)
			ALL_VECTORS(PASS)
#undef KEEP
#undef PASS
#undef SUM
		}
	}
}

/* Inputs side by side: channels of one map at one tap, and their weights [channel][block] */
struct run {
	const float *in; /* at pixel 0 of the row */
	const float *weights;
	ptrdiff_t pixel_stride;
	int channels;
};

/* Adds runs to the sums of pixels from @x on, [pixel][vecs]; @from_step 0: begins with the bias. */
static inline __attribute__((always_inline)) void tile(int vecs, int pixels, const struct run *runs,
						       int count, ptrdiff_t x, const float *from,
						       ptrdiff_t from_step, float *to)
{
	vec sum[ROWS][VECS];

#define LOAD(p, v)                  \
	if (p < pixels && v < vecs) \
		sum[p][v] = *(const vec *)(from + p * from_step + v * LANES);
#define STORE(p, v)                 \
	if (p < pixels && v < vecs) \
		*(vec *)(to + (p * vecs + v) * LANES) = sum[p][v];
	IN_TILE(LOAD)
	for (int r = 0; r < count; r++)
		multiply(vecs, pixels, sum, runs[r].in + x * runs[r].pixel_stride,
			 runs[r].pixel_stride, 1, runs[r].weights, vecs * LANES, runs[r].channels);
	IN_TILE(STORE)
#undef LOAD
#undef STORE
}

/* A strip in tiles of @big pixels, what is left in tiles of @small, then of one. */
#define STRIP_OF(vecs, big, small)                                                            \
	static void strip_##vecs(const struct run *runs, int count, int x0, int pixels,       \
				 const float *from, ptrdiff_t step, float *to)                \
	{                                                                                     \
		int p = 0;                                                                    \
                                                                                              \
		_Static_assert(big <= ROWS && STRIP % big == 0, "strips are of whole tiles"); \
		for (; p + big <= pixels; p += big)                                           \
			tile(vecs, big, runs, count, x0 + p, from + p * step, step,           \
			     to + p * vecs * LANES);                                          \
		for (; p + small <= pixels; p += small)                                       \
			tile(vecs, small, runs, count, x0 + p, from + p * step, step,         \
			     to + p * vecs * LANES);                                          \
		for (; p < pixels; p++)                                                       \
			tile(vecs, 1, runs, count, x0 + p, from + p * step, step,             \
			     to + p * vecs * LANES);                                          \
	}

#if LANES == 16
STRIP_OF(1, 12, 4)
STRIP_OF(2, 12, 4)
STRIP_OF(3, 8, 3)
STRIP_OF(4, 6, 2)
#else
STRIP_OF(1, 12, 4)
STRIP_OF(2, 6, 3)
STRIP_OF(3, 4, 2)
STRIP_OF(4, 3, 2)
#endif

static void (*const strips[VECS])(const struct run *, int, int, int, const float *, ptrdiff_t,
				  float *) = { strip_1, strip_2, strip_3, strip_4 };

/* ---- the sweep: forward, and backward by the data ------------------------------------------- */

struct sweep {
	const struct pn_taps *taps;
	int sign; /* of the taps' offsets */
	int inputs, outputs, in_total, out_total;
	const struct pn_map *in, *out, *gate;
	const float *weights, *bias; /* packed */
	float slope;                 /* below zero; 1: identity */
	int add;
};

/* Where among (tap, map, channel) a group begins. */
struct cursor {
	int tap, map, channel, row; /* row: of the block's weights */
};

/* Channels of the block that lie in one output map: their row there and in the gate. */
struct span {
	float *out;
	const float *gate;
	ptrdiff_t out_stride, gate_stride;
	int first, count; /* in the block */
};

/* The next group of runs for row @y, their count. Taps outside the image are skipped. */
static int next_group(const struct sweep *s, int y, const float *weights, int width,
		      struct cursor *at, struct run *runs)
{
	int room = GROUP_BYTES / (int)sizeof(float) / width / STEP * STEP, count = 0;

	while (at->tap < s->taps->count && room > 0 && count < GROUP_RUNS) {
		const struct pn_map *in = &s->in[at->map];
		int from = y + s->sign * s->taps->dy[at->tap];

		if (from < 0 || from >= in->ny) {
			at->row += s->in_total;
			at->tap++;
			continue;
		}
		int left = in->channels - at->channel, take = left < room ? left : room;

		runs[count++] = (struct run){
			.in = (const float *)in->data + from * in->row_stride + at->channel +
			      s->sign * s->taps->dx[at->tap] * in->pixel_stride,
			.weights = weights + (ptrdiff_t)at->row * width,
			.pixel_stride = in->pixel_stride,
			.channels = take,
		};
		room -= take;
		at->row += take;
		at->channel += take;
		if (at->channel == in->channels) {
			at->channel = 0;
			at->map++;
		}
		if (at->map == s->inputs) {
			at->map = 0;
			at->tap++;
		}
	}
	return count;
}

/* The wanted ones of @width channels from @first on of all outputs, at row @y; their count. */
static int find_spans(const struct sweep *s, int first, int width, int y, struct span *spans)
{
	int count = 0, begin = -first; /* of a map's channels, in the block */

	for (int k = 0; k < s->outputs; begin += s->out[k++].channels) {
		const struct pn_map *out = &s->out[k];
		int from = begin > 0 ? begin : 0, end = begin + out->channels;

		end = end < width ? end : width;
		if (from >= end || !out->data)
			continue;
		spans[count] = (struct span){
			.out = (float *)out->data + y * out->row_stride + from - begin,
			.out_stride = out->pixel_stride,
			.first = from,
			.count = end - from,
		};
		if (s->gate) {
			spans[count].gate = (const float *)s->gate[k].data +
					    y * s->gate[k].row_stride + from - begin;
			spans[count].gate_stride = s->gate[k].pixel_stride;
		}
		count++;
	}
	return count;
}

/* From the sums of a strip to one output map; @add, @gated: known where it is called. */
static inline __attribute__((always_inline)) void finish(const struct span *span, const float *sums,
							 int step, int x0, int pixels, float slope,
							 int add, int gated)
{
	float *out = span->out + x0 * span->out_stride;
	const float *gate = gated ? span->gate + x0 * span->gate_stride : NULL;

	sums += span->first;
	for (int x = 0; x < pixels; x++, sums += step, out += span->out_stride) {
		for (int c = 0; c < span->count; c += STEP) {
			pn_eight value, other;

			memcpy(&value, sums + c, sizeof value);
			if (!add && !gated)
				pn_eight_leak(&value, slope);
			if (add) {
				memcpy(&other, out + c, sizeof other);
				value += other;
			}
			if (gated) {
				memcpy(&other, gate + c, sizeof other);
				pn_eight_gate(&value, &other, PN_LEAK);
			}
			memcpy(out + c, &value, sizeof value);
		}
		if (gated)
			gate += span->gate_stride;
	}
}

static void finish_strip(const struct sweep *s, const struct span *span, const float *sums,
			 int step, int x0, int pixels)
{
	if (s->add && s->gate)
		finish(span, sums, step, x0, pixels, 1, 1, 1);
	else if (s->add)
		finish(span, sums, step, x0, pixels, 1, 1, 0);
	else if (s->gate)
		finish(span, sums, step, x0, pixels, 1, 0, 1);
	else
		finish(span, sums, step, x0, pixels, s->slope, 0, 0);
}

static void sweep_block(const struct sweep *s, int first, int y)
{
	int channels = s->out_total - first < BLOCK ? s->out_total - first : BLOCK;
	int width = padded(channels), nx = s->in[0].nx;
	const float *weights = s->weights + (ptrdiff_t)s->taps->count * s->in_total * first;
	ALIGNED float sums[STRIP * BLOCK];
	struct span spans[PN_MAPS_MAX];
	struct run runs[GROUP_RUNS];
	int wanted = find_spans(s, first, channels, y, spans);

	for (int x0 = 0; wanted && x0 < nx; x0 += STRIP) {
		int pixels = nx - x0 < STRIP ? nx - x0 : STRIP;
		const float *from = s->bias + first;
		struct cursor at = { 0 };
		int step = 0, count;

		do {
			count = next_group(s, y, weights, width, &at, runs);
			strips[width / LANES - 1](runs, count, x0, pixels, from, step, sums);
			from = sums;
			step = width;
		} while (at.tap < s->taps->count);
		for (int k = 0; k < wanted; k++)
			finish_strip(s, &spans[k], sums, width, x0, pixels);
	}
}

static void run_sweep(const struct sweep *s, int y0, int y1)
{
	for (int y = y0; y < y1; y++)
		for (int first = 0; first < s->out_total; first += BLOCK)
			sweep_block(s, first, y);
}

static void forward(const struct pn_conv *conv, const struct pn_map *in, const struct pn_map *out,
		    int leaky, int y0, int y1)
{
	const struct sweep s = {
		.taps = &conv->shape.taps,
		.sign = 1,
		.inputs = conv->shape.inputs,
		.outputs = conv->shape.outputs,
		.in_total = conv->in_total,
		.out_total = conv->out_total,
		.in = in,
		.out = out,
		.weights = forward_weights(conv),
		.bias = conv->packed,
		.slope = leaky ? PN_LEAK : 1,
	};

	run_sweep(&s, y0, y1);
}

static void backward_data(const struct pn_conv *conv, const struct pn_map *d_out,
			  const struct pn_map *d_in, int add, const struct pn_map *gate, int y0,
			  int y1)
{
	static const ALIGNED float zeros[512 + BLOCK];
	const struct sweep s = {
		.taps = &conv->shape.taps,
		.sign = -1,
		.inputs = conv->shape.outputs,
		.outputs = conv->shape.inputs,
		.in_total = conv->out_total,
		.out_total = conv->in_total,
		.in = d_out,
		.out = d_in,
		.gate = gate,
		.weights = backward_weights_of(conv),
		.bias = zeros,
		.slope = 1,
		.add = add,
	};

	run_sweep(&s, y0, y1);
}

/* ---- gradient by the weights --------------------------------------------------------------- */

/* The first @width lanes are there: all, or half of a wide vector. */
#define add_lanes(to, sums, width)                                 \
	do {                                                       \
		if ((width) >= LANES)                              \
			*(vec_anywhere *)(to) += (sums);           \
		else                                               \
			for (int lane = 0; lane < (width); lane++) \
				(to)[lane] += (sums)[lane];        \
	} while (0)

/* @in: some input channels side by side; @d: the block's gradients; both pixel after pixel */
static inline __attribute__((always_inline)) void outer(int vecs, int channels, const float *in,
							ptrdiff_t stride, const float *d,
							ptrdiff_t d_stride, int pixels,
							float *d_weights, int row, int width)
{
	vec sum[ROWS][VECS];

#define CLEAR(c, v)                   \
	if (c < channels && v < vecs) \
		sum[c][v] = (vec){ 0 };
#define ADD(c, v)                     \
	if (c < channels && v < vecs) \
		add_lanes(d_weights + (ptrdiff_t)c * row + v * LANES, sum[c][v], width - v * LANES);
	IN_TILE(CLEAR)
	multiply(vecs, channels, sum, in, 1, stride, d, d_stride, pixels);
	IN_TILE(ADD)
#undef CLEAR
#undef ADD
}

#define OUTER_OF(vecs, big, small)                                                                \
	static void outer_##vecs(const float *in, ptrdiff_t stride, int channels, const float *d, \
				 ptrdiff_t d_stride, int pixels, float *d_weights, int row,       \
				 int width)                                                       \
	{                                                                                         \
		int c = 0;                                                                        \
                                                                                                  \
		_Static_assert(big <= ROWS && 8 % small == 0, "all channels fit tiles");          \
		for (; c + big <= channels; c += big)                                             \
			outer(vecs, big, in + c, stride, d, d_stride, pixels,                     \
			      d_weights + (ptrdiff_t)c * row, row, width);                        \
		for (; c + small <= channels; c += small)                                         \
			outer(vecs, small, in + c, stride, d, d_stride, pixels,                   \
			      d_weights + (ptrdiff_t)c * row, row, width);                        \
	}

/* channels are multiples of 8: the last tile takes what the big ones leave */
#if LANES == 16
OUTER_OF(1, 8, 8)
OUTER_OF(2, 8, 8)
OUTER_OF(3, 8, 8)
OUTER_OF(4, 4, 4)
#else
OUTER_OF(1, 8, 8)
OUTER_OF(2, 6, 2)
OUTER_OF(3, 4, 4)
OUTER_OF(4, 3, 1)
#endif

static void (*const outers[VECS])(const float *, ptrdiff_t, int, const float *, ptrdiff_t, int,
				  float *, int, int) = { outer_1, outer_2, outer_3, outer_4 };

/*
 * The block's gradients of a strip, pixels @step apart: where they are, or copied to @room
 * [pixel][width] if they lie in several maps or do not fill their vectors (@room is zero beyond
 * @channels).
 */
static const float *gradients_of(const struct sweep *s, int first, int channels, int y, int x0,
				 int pixels, float *room, ptrdiff_t *step)
{
	struct span spans[PN_MAPS_MAX];
	int width = padded(channels), count = find_spans(s, first, channels, y, spans);

	if (count == 1 && width == channels) {
		*step = spans[0].out_stride;
		return spans[0].out + x0 * *step;
	}
	*step = width;
	for (int k = 0; k < count; k++)
		for (int p = 0; p < pixels; p++)
			memcpy(room + p * width + spans[k].first,
			       spans[k].out + (x0 + p) * spans[k].out_stride,
			       (size_t)spans[k].count * sizeof *room);
	return room;
}

static void add_bias(const float *d, ptrdiff_t step, int channels, int pixels, float *d_bias)
{
	for (int c = 0; c < channels; c += STEP, d += STEP) {
		pn_eight sum = { 0 }, value;

		for (int p = 0; p < pixels; p++) {
			memcpy(&value, d + p * step, sizeof value);
			sum += value;
		}
		for (int i = 0; i < STEP; i++)
			d_bias[c + i] += sum[i];
	}
}

static void weights_block(const struct sweep *s, int first, int y, float *d_weights, float *d_bias)
{
	int channels = s->out_total - first < BLOCK ? s->out_total - first : BLOCK;
	int width = padded(channels), nx = s->in[0].nx;
	ALIGNED float room[LONG_STRIP * BLOCK];

	if (width != channels)
		memset(room, 0, sizeof room);
	for (int x0 = 0; x0 < nx; x0 += LONG_STRIP) {
		int pixels = nx - x0 < LONG_STRIP ? nx - x0 : LONG_STRIP;
		ptrdiff_t step;
		const float *d = gradients_of(s, first, channels, y, x0, pixels, room, &step);

		add_bias(d, step, channels, pixels, d_bias + first);
		for (int t = 0; t < s->taps->count; t++) {
			int from = y + s->taps->dy[t], x = x0 + s->taps->dx[t];
			float *to = d_weights + (ptrdiff_t)t * s->in_total * s->out_total + first;

			if (from < 0 || from >= s->in[0].ny)
				continue;
			for (int k = 0; k < s->inputs; k++) {
				const struct pn_map *in = &s->in[k];

				outers[width / LANES - 1]((const float *)in->data +
								  from * in->row_stride +
								  x * in->pixel_stride,
							  in->pixel_stride, in->channels, d, step,
							  pixels, to, s->out_total, channels);
				to += (ptrdiff_t)in->channels * s->out_total;
			}
		}
	}
}

static void backward_weights(const struct pn_conv *conv, const struct pn_map *in,
			     const struct pn_map *d_out, float *d_weights, float *d_bias, int y0,
			     int y1)
{
	const struct sweep s = {
		.taps = &conv->shape.taps,
		.inputs = conv->shape.inputs,
		.outputs = conv->shape.outputs,
		.in_total = conv->in_total,
		.out_total = conv->out_total,
		.in = in,
		.out = d_out,
	};

	for (int y = y0; y < y1; y++)
		for (int first = 0; first < s.out_total; first += BLOCK)
			weights_block(&s, first, y, d_weights, d_bias);
}

const struct pn_conv_kernels pn_conv_f32 = {
	.packed_bytes = packed_bytes,
	.pack = pack,
	.forward = forward,
	.backward_data = backward_data,
	.backward_weights = backward_weights,
};
