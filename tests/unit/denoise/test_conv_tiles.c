/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The layer by matrix tiles against sums in double over the same bfloat16 values: the emulated
 * tiles on every machine, the processor's where it has them. Maps end at a page that may not be
 * touched.
 */
#include "../../../src/kernels/denoise/conv_internal.h"
#include "perrin/base/cpu.h"
#include "perrin/base/rng.h"
#include "testkit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POISON 0x7fc1  /* a NaN: around the views, where nothing may be read or written */
#define U32    0x1p-24 /* rounding of float32 */
#define U16    0x1p-8  /* and of bfloat16 */

/* --- maps in guarded memory --- */

struct stack {
	int count, channels, ny, nx, border;
	struct pn_map map[PN_MAPS_MAX];
	char *mapped[PN_MAPS_MAX], *memory[PN_MAPS_MAX];
	size_t mapped_bytes[PN_MAPS_MAX], bytes[PN_MAPS_MAX];
};

static void fill(struct stack *s, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int m = 0; m < s->count; m++)
		for (int y = -s->border; y < s->ny + s->border; y++)
			for (int x = -s->border; x < s->nx + s->border; x++)
				for (int c = 0; c < s->map[m].channels; c++) {
					int inside = y >= 0 && y < s->ny && x >= 0 && x < s->nx;

					pn_map_put(&s->map[m], y, x, c,
						   inside ? (float)pn_rng_gauss(&rng) : 0);
				}
}

/* sliced: 1 = the views are slices from the middle of wider maps full of NaN */
static void stack_make(struct stack *s, int count, const int *channels, int ny, int nx, int border,
		       int sliced, uint64_t seed)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	*s = (struct stack){ .count = count, .ny = ny, .nx = nx, .border = border };
	for (int m = 0; m < count; m++) {
		int wide = channels[m] + (sliced ? 2 * PN_CHANNEL_STEP : 0);
		struct pn_map map;

		s->bytes[m] = pn_map_bytes(PN_ARITH_BF16, ny, nx, border, wide);
		s->mapped_bytes[m] = ((s->bytes[m] + page - 1) / page + 2) * page;
		s->mapped[m] = mmap(NULL, s->mapped_bytes[m], PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(s->mapped[m] != MAP_FAILED);
		s->memory[m] = s->mapped[m] + s->mapped_bytes[m] - page - s->bytes[m];
		for (size_t i = 0; i < s->bytes[m] / 2; i++)
			((uint16_t *)s->memory[m])[i] = POISON;
		assert_int_equal(mprotect(s->mapped[m], page, PROT_NONE), 0);
		assert_int_equal(
			mprotect(s->mapped[m] + s->mapped_bytes[m] - page, page, PROT_NONE), 0);
		map = pn_map_place(s->memory[m], PN_ARITH_BF16, ny, nx, border, wide);
		s->map[m] = sliced ? pn_map_slice(&map, PN_CHANNEL_STEP, channels[m]) : map;
		s->channels += channels[m];
	}
	fill(s, seed);
}

static void stack_free(struct stack *s)
{
	for (int m = 0; m < s->count; m++)
		munmap(s->mapped[m], s->mapped_bytes[m]);
}

static const struct pn_map *map_of(const struct stack *s, int *channel)
{
	const struct pn_map *map = s->map;

	while (*channel >= map->channels)
		*channel -= map++->channels;
	return map;
}

static float get(const struct stack *s, int y, int x, int channel)
{
	const struct pn_map *map = map_of(s, &channel);

	return pn_map_get(map, y, x, channel);
}

/* What was there before is there still, but for rows y0 .. y1 - 1 of the views that `wanted` has a
 * bit for. */
static void check_untouched(struct stack *s, struct stack *before, int y0, int y1, unsigned wanted)
{
	for (int m = 0; m < s->count; m++) {
		if (wanted >> m & 1)
			for (int y = y0; y < y1; y++)
				for (int x = 0; x < s->nx; x++)
					memcpy((uint16_t *)before->map[m].data +
						       y * before->map[m].row_stride +
						       x * before->map[m].pixel_stride,
					       (uint16_t *)s->map[m].data +
						       y * s->map[m].row_stride +
						       x * s->map[m].pixel_stride,
					       s->map[m].channels * 2);
		assert_memory_equal(s->memory[m], before->memory[m], s->bytes[m]);
	}
}

/* --- layers --- */

struct layer {
	struct pn_conv conv;
	struct pn_conv_shape shape;
	int ny, nx, sliced, border;
	float *weights, *bias;
};

static void layer_make(struct layer *l, const struct pn_conv_kernels *kernels)
{
	struct pn_conv *conv = &l->conv;
	struct pn_rng rng;
	size_t count;

	*conv = (struct pn_conv){ .shape = l->shape, .arith = PN_ARITH_BF16, .kernels = kernels };
	for (int m = 0; m < l->shape.inputs; m++)
		conv->in_total += l->shape.in_channels[m];
	for (int m = 0; m < l->shape.outputs; m++)
		conv->out_total += l->shape.out_channels[m];
	l->border = 0;
	for (int t = 0; t < l->shape.taps.count; t++) {
		l->border = fmax(l->border, abs(l->shape.taps.dy[t]));
		l->border = fmax(l->border, abs(l->shape.taps.dx[t]));
	}
	count = (size_t)l->shape.taps.count * conv->in_total * conv->out_total;
	l->weights = malloc(count * sizeof(float));
	l->bias = malloc(conv->out_total * sizeof(float));
	assert_true(l->weights && l->bias);
	pn_rng_init(&rng, 5, count);
	for (size_t i = 0; i < count; i++)
		l->weights[i] = (float)(0.2 * pn_rng_gauss(&rng));
	for (int o = 0; o < conv->out_total; o++)
		l->bias[o] = (float)pn_rng_gauss(&rng);
	assert_int_equal(kernels->packed_bytes(&l->shape) % 64, 0);
	conv->packed = aligned_alloc(64, kernels->packed_bytes(&l->shape));
	assert_non_null(conv->packed);
	kernels->pack(conv, l->weights, l->bias);
}

static void layer_free(struct layer *l)
{
	free(l->conv.packed);
	free(l->weights);
	free(l->bias);
}

static double weight(const struct layer *l, int t, int i, int o)
{
	size_t at = ((size_t)t * l->conv.in_total + i) * l->conv.out_total + o;

	return pn_f32_of_bf16(pn_bf16_of(l->weights[at]));
}

/* Sums of products and of their sizes, in double. */
struct sum {
	double value, size;
};

static void sum_add(struct sum *s, double a, double b)
{
	s->value += a * b;
	s->size += fabs(a * b);
}

/* |got - what is exact| for `terms` products added in float32, then rounded to bfloat16. */
static void check_rounded(float got, double exact, double size, int terms)
{
	double bound = (terms + 4) * U32 * size + FLT_MIN;

	bound += U16 * (fabs(exact) + bound);
	if (!(fabs(got - exact) <= bound))
		fail_msg("%.9g, not %.9g to %.2g", got, exact, bound);
}

static void check_forward(struct layer l, const struct pn_conv_kernels *kernels, int leaky, int y0,
			  int y1)
{
	const struct pn_taps *taps = &l.shape.taps;
	struct stack in, out, before;

	layer_make(&l, kernels);
	stack_make(&in, l.shape.inputs, l.shape.in_channels, l.ny, l.nx, l.border, l.sliced, 1);
	stack_make(&out, l.shape.outputs, l.shape.out_channels, l.ny, l.nx, 1, l.sliced, 2);
	stack_make(&before, l.shape.outputs, l.shape.out_channels, l.ny, l.nx, 1, l.sliced, 2);
	kernels->forward(&l.conv, in.map, out.map, leaky, y0, y1);
	check_untouched(&out, &before, y0, y1, ~0u);
	for (int y = y0; y < y1; y++)
		for (int x = 0; x < l.nx; x++)
			for (int o = 0; o < out.channels; o++) {
				struct sum s = { l.bias[o], fabsf(l.bias[o]) };

				for (int t = 0; t < taps->count; t++)
					for (int i = 0; i < in.channels; i++)
						sum_add(&s, weight(&l, t, i, o),
							get(&in, y + taps->dy[t], x + taps->dx[t],
							    i));
				if (leaky && s.value < 0)
					s.value *= PN_LEAK;
				check_rounded(get(&out, y, x, o), s.value, s.size,
					      taps->count * in.channels);
			}
	stack_free(&in);
	stack_free(&out);
	stack_free(&before);
	layer_free(&l);
}

/* wanted: bits of the gradients that are */
static void check_backward_data(struct layer l, const struct pn_conv_kernels *kernels, int add,
				int gated, unsigned wanted, int y0, int y1)
{
	const struct pn_taps *taps = &l.shape.taps;
	struct stack gate, d_out, d_in, before;
	struct pn_map asked[PN_MAPS_MAX];
	int outputs;

	layer_make(&l, kernels);
	outputs = l.conv.out_total;
	stack_make(&gate, l.shape.inputs, l.shape.in_channels, l.ny, l.nx, 0, l.sliced, 1);
	stack_make(&d_out, l.shape.outputs, l.shape.out_channels, l.ny, l.nx, l.border, l.sliced,
		   2);
	stack_make(&d_in, l.shape.inputs, l.shape.in_channels, l.ny, l.nx, 2, l.sliced, 3);
	stack_make(&before, l.shape.inputs, l.shape.in_channels, l.ny, l.nx, 2, l.sliced, 3);
	for (int m = 0; m < d_in.count; m++) {
		asked[m] = d_in.map[m];
		asked[m].data = wanted >> m & 1 ? asked[m].data : NULL;
	}
	pn_map_put(&gate.map[0], y0, 0, 0, 0); /* neither above nor below */
	kernels->backward_data(&l.conv, d_out.map, asked, add, gated ? gate.map : NULL, y0, y1);
	for (int y = y0; y < y1; y++)
		for (int x = 0; x < l.nx; x++)
			for (int i = 0; i < d_in.channels; i++) {
				int channel = i;
				struct sum s = { 0 };

				if (!(wanted >> (map_of(&d_in, &channel) - d_in.map) & 1))
					continue;
				if (add)
					sum_add(&s, 1, get(&before, y, x, i));
				for (int t = 0; t < taps->count; t++)
					for (int o = 0; o < outputs; o++)
						sum_add(&s, weight(&l, t, i, o),
							get(&d_out, y - taps->dy[t],
							    x - taps->dx[t], o));
				if (gated && get(&gate, y, x, i) <= 0)
					s.value *= PN_LEAK;
				check_rounded(get(&d_in, y, x, i), s.value, s.size,
					      taps->count * outputs);
			}
	check_untouched(&d_in, &before, y0, y1, wanted);
	stack_free(&gate);
	stack_free(&d_out);
	stack_free(&d_in);
	stack_free(&before);
	layer_free(&l);
}

static void check_sum(float got, const struct sum *s, double before, int terms)
{
	double bound = (terms + 4) * U32 * (s->size + fabs(before)) + FLT_MIN;

	if (!(fabs(got - before - s->value) <= bound))
		fail_msg("%.9g, not %.9g to %.2g", got, before + s->value, bound);
}

static void check_bias(const float *d_bias, const struct stack *d_out, float start, int y0, int y1)
{
	for (int o = 0; o < d_out->channels; o++) {
		struct sum s = { 0 };

		for (int y = y0; y < y1; y++)
			for (int x = 0; x < d_out->nx; x++)
				sum_add(&s, 1, get(d_out, y, x, o));
		check_sum(d_bias[o], &s, start, (y1 - y0) * d_out->nx);
	}
}

static void check_backward_weights(struct layer l, const struct pn_conv_kernels *kernels, int y0,
				   int y1)
{
	const struct pn_taps *taps = &l.shape.taps;
	struct stack in, d_out;
	float *d_weights, *d_bias, *again, start = 0.5f;
	size_t count, at = 0;
	int terms = (y1 - y0) * l.nx;

	layer_make(&l, kernels);
	stack_make(&in, l.shape.inputs, l.shape.in_channels, l.ny, l.nx, l.border, l.sliced, 1);
	stack_make(&d_out, l.shape.outputs, l.shape.out_channels, l.ny, l.nx, 0, l.sliced, 2);
	count = (size_t)taps->count * in.channels * d_out.channels;
	d_weights = malloc(count * sizeof(float));
	again = malloc(count * sizeof(float));
	d_bias = malloc(d_out.channels * sizeof(float));
	assert_true(d_weights && again && d_bias);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < count; i++)
			d_weights[i] = start;
		for (int o = 0; o < d_out.channels; o++)
			d_bias[o] = start;
		kernels->backward_weights(&l.conv, in.map, d_out.map, d_weights, d_bias, y0, y1);
		if (round)
			assert_memory_equal(again, d_weights, count * sizeof(float));
		memcpy(again, d_weights, count * sizeof(float));
	}
	check_bias(d_bias, &d_out, start, y0, y1);
	for (int t = 0; t < taps->count; t++)
		for (int i = 0; i < in.channels; i++)
			for (int o = 0; o < d_out.channels; o++, at++) {
				struct sum s = { 0 };

				for (int y = y0; y < y1; y++)
					for (int x = 0; x < l.nx; x++)
						sum_add(&s,
							get(&in, y + taps->dy[t], x + taps->dx[t],
							    i),
							get(&d_out, y, x, o));
				check_sum(d_weights[at], &s, start, terms);
			}
	free(d_weights);
	free(again);
	free(d_bias);
	stack_free(&in);
	stack_free(&d_out);
	layer_free(&l);
}

/* --- the cases --- */

static struct pn_taps square(int side, int dilation, int hole)
{
	struct pn_taps taps = { 0 };

	for (int y = -(side / 2); y <= side / 2; y++)
		for (int x = -(side / 2); x <= side / 2; x++)
			if (!hole || y || x) {
				taps.dy[taps.count] = (int8_t)(y * dilation);
				taps.dx[taps.count++] = (int8_t)(x * dilation);
			}
	return taps;
}

static const struct pn_taps askew = { 5, { -3, 0, 2, 2, 2 }, { 1, -5, 0, 7, 2 } };
static const struct pn_taps aside = { 1, { 2 }, { -3 } };

static struct layer layer_of(struct pn_taps taps, int inputs, const int *in, int outputs,
			     const int *out, int ny, int nx, int sliced)
{
	struct layer l = { .shape = { .taps = taps, .inputs = inputs, .outputs = outputs },
			   .ny = ny,
			   .nx = nx,
			   .sliced = sliced };

	memcpy(l.shape.in_channels, in, inputs * sizeof(*in));
	memcpy(l.shape.out_channels, out, outputs * sizeof(*out));
	return l;
}

static const struct pn_conv_kernels *kernels_of(void **state)
{
	if (*state == &pn_conv_tiles && !pn_cpu_has_tiles()) {
		print_message("no matrix tiles on this processor\n");
		skip();
	}
	return *state;
}

static void check_all(struct layer l, const struct pn_conv_kernels *kernels, int y0, int y1)
{
	check_forward(l, kernels, 1, y0, y1);
	check_backward_data(l, kernels, 1, 1, ~0u, y0, y1);
	check_backward_weights(l, kernels, y0, y1);
}

/* Every remainder of pixels, with channels that fill no tile and with such that do. */
static void rows_of_any_length(void **state)
{
	const struct pn_conv_kernels *kernels = kernels_of(state);

	for (int nx = 1; nx <= 70; nx++) {
		check_all(layer_of(askew, 1, (int[]){ 24 }, 1, (int[]){ 8 }, 3, nx, nx % 2),
			  kernels, 1, 3);
		check_all(layer_of(aside, 1, (int[]){ 32 }, 1, (int[]){ 32 }, 1, nx, nx % 2),
			  kernels, 0, 1);
	}
	for (int nx = 250; nx < 600; nx += 87)
		check_all(layer_of(askew, 1, (int[]){ 8 }, 2, (int[]){ 16, 8 }, 2, nx, 0), kernels,
			  0, 2);
}

static void channels_in_any_groups(void **state)
{
	static const struct {
		int inputs, in[PN_MAPS_MAX], outputs, out[PN_MAPS_MAX];
	} cases[] = {
		{ 1, { 8 }, 1, { 8 } },
		{ 1, { 16 }, 1, { 40 } },
		{ 1, { 48 }, 1, { 16 } },
		{ 1, { 40 }, 2, { 24, 24 } },
		{ 1, { 96 }, 1, { 48 } },
		{ 2, { 24, 8 }, 3, { 16, 8, 24 } },
		{ 2, { 72, 56 }, 1, { 8 } },
		{ 5, { 32, 8, 8, 8, 8 }, 1, { 32 } },
		{ 8, { 8, 8, 8, 8, 8, 8, 8, 8 }, 8, { 8, 8, 8, 8, 8, 8, 8, 8 } },
		{ 3, { 136, 24, 16 }, 2, { 8, 152 } },
	};
	const struct pn_conv_kernels *kernels = kernels_of(state);

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int sliced = 0; sliced < 2; sliced++)
			check_all(layer_of(sliced ? askew : aside, cases[i].inputs, cases[i].in,
					   cases[i].outputs, cases[i].out, 2, 35 + i, sliced),
				  kernels, 0, 2);
}

static void taps_of_any_kind(void **state)
{
	const struct pn_conv_kernels *kernels = kernels_of(state);
	const struct pn_taps taps[] = { square(1, 1, 0),
					square(3, 1, 0),
					square(3, 1, 1),
					square(3, 2, 1),
					square(3, 5, 0),
					square(3, 16, 1),
					square(5, 1, 0),
					square(5, 3, 1),
					square(7, 1, 0),
					{ 2, { -127, 126 }, { 127, -127 } },
					askew };

	for (unsigned i = 0; i < sizeof(taps) / sizeof(*taps); i++) {
		int in[] = { 16, 8 }, out[] = { 16 }, many[] = { 32 };

		check_all(layer_of(taps[i], 2, in, 1, out, 7, 37, 1), kernels, 1, 6);
		if (taps[i].count <= 9)
			check_all(layer_of(taps[i], 1, many, 1, many, 3, 48, 0), kernels, 0, 3);
	}
	/* most channels with the widest taps: short strips */
	check_backward_weights(layer_of(taps[9], 1, (int[]){ 136 }, 1, (int[]){ 8 }, 1, 130, 0),
			       kernels, 0, 1);
	/* more rows than are packed together, on the grid of a dilation and off it */
	check_all(layer_of(square(3, 3, 1), 1, (int[]){ 8 }, 1, (int[]){ 8 }, 59, 9, 0), kernels, 2,
		  58);
	check_all(layer_of(askew, 1, (int[]){ 8 }, 1, (int[]){ 8 }, 23, 9, 0), kernels, 0, 23);
}

static void widest_layers(void **state)
{
	const struct pn_conv_kernels *kernels = kernels_of(state);

	check_all(layer_of(square(1, 1, 0), 1, (int[]){ 512 }, 1, (int[]){ 512 }, 1, 33, 0),
		  kernels, 0, 1);
	check_all(layer_of(aside, 2, (int[]){ 504, 8 }, 3, (int[]){ 8, 496, 8 }, 1, 5, 1), kernels,
		  0, 1);
	check_all(layer_of(square(1, 1, 0), 7, (int[]){ 32, 32, 32, 32, 32, 32, 32 }, 1,
			   (int[]){ 96 }, 1, 70, 0),
		  kernels, 0, 1);
}

static void options_of_both_directions(void **state)
{
	const struct pn_conv_kernels *kernels = kernels_of(state);
	struct layer l =
		layer_of(askew, 4, (int[]){ 8, 24, 16, 8 }, 2, (int[]){ 24, 16 }, 4, 41, 1);

	for (int i = 0; i < 4; i++) {
		check_forward(l, kernels, i % 2, i / 2, 3);
		check_backward_data(l, kernels, i % 2, i / 2, ~0u, 0, 4);
		check_backward_data(l, kernels, i % 2, i / 2, 1u << i, 1, 3);
		check_backward_data(l, kernels, i % 2, i / 2, 15u - (1u << i), 1, 3);
	}
	check_backward_data(l, kernels, 0, 1, 0, 0, 4); /* nothing wanted, nothing written */
	check_forward(l, kernels, 1, 2, 2);             /* no rows */
	check_backward_weights(l, kernels, 2, 2);
}

/* Rows shared out in any way give the same bytes; weights' sums the same within float32. */
static void rows_do_not_know_how_they_are_shared(void **state)
{
	const struct pn_conv_kernels *kernels = kernels_of(state);
	struct layer l =
		layer_of(square(3, 2, 1), 2, (int[]){ 24, 8 }, 2, (int[]){ 32, 8 }, 17, 53, 1);
	struct stack in, d_out, result[4];
	struct pn_rng rng;

	layer_make(&l, kernels);
	pn_rng_init(&rng, 3, 0);
	stack_make(&in, l.shape.inputs, l.shape.in_channels, l.ny, l.nx, l.border, 1, 1);
	stack_make(&d_out, l.shape.outputs, l.shape.out_channels, l.ny, l.nx, l.border, 0, 2);
	for (int turn = 0; turn < 5; turn++) {
		for (int half = 0; half < 2; half++) {
			struct stack *out = &result[2 * half], *d_in = out + 1;
			int rows = half ? 1 + (int)pn_rng_below(&rng, 6) : l.ny;

			stack_make(out, l.shape.outputs, l.shape.out_channels, l.ny, l.nx, 0, 1, 3);
			stack_make(d_in, l.shape.inputs, l.shape.in_channels, l.ny, l.nx, 0, 0, 4);
			for (int y = 0; y < l.ny; y += rows) {
				int end = y + rows < l.ny ? y + rows : l.ny;

				kernels->forward(&l.conv, in.map, out->map, 1, y, end);
				kernels->backward_data(&l.conv, d_out.map, d_in->map, 1, in.map, y,
						       end);
			}
		}
		for (int i = 0; i < 2; i++)
			for (int m = 0; m < result[i].count; m++)
				assert_memory_equal(result[i].memory[m], result[i + 2].memory[m],
						    result[i].bytes[m]);
		for (int i = 0; i < 4; i++)
			stack_free(&result[i]);
	}
	stack_free(&in);
	stack_free(&d_out);
	layer_free(&l);
}

/* NaN and infinity spread to what sees them, and to nothing else. */
static void not_a_number_stays_in_sight(void **state)
{
	const struct pn_conv_kernels *kernels = kernels_of(state);
	struct layer l = layer_of(square(3, 4, 1), 1, (int[]){ 40 }, 1, (int[]){ 16 }, 20, 40, 0);
	struct stack in, out;

	layer_make(&l, kernels);
	stack_make(&in, 1, l.shape.in_channels, l.ny, l.nx, l.border, 0, 1);
	stack_make(&out, 1, l.shape.out_channels, l.ny, l.nx, 0, 0, 1);
	pn_map_put(&in.map[0], 9, 17, 33, NAN);
	kernels->forward(&l.conv, in.map, out.map, 1, 0, l.ny);
	for (int y = 0; y < l.ny; y++)
		for (int x = 0; x < l.nx; x++) {
			int dy = abs(y - 9), dx = abs(x - 17);
			int seen = (dy == 0 || dy == 4) && (dx == 0 || dx == 4) && dy + dx > 0;

			for (int o = 0; o < 16; o++)
				assert_int_equal(isnan(get(&out, y, x, o)) != 0, seen);
		}
	stack_free(&in);
	stack_free(&out);
	layer_free(&l);
}

/* The processor and its emulation: the same to twice what each may be off. */
static void processor_and_emulation_agree(void **state)
{
	const struct pn_conv_kernels *both[] = { kernels_of(state), &pn_conv_tiles_emulated };
	struct layer l =
		layer_of(square(3, 1, 0), 2, (int[]){ 32, 24 }, 1, (int[]){ 40 }, 9, 75, 0);
	struct stack in, out[2];
	int terms;

	stack_make(&in, 2, l.shape.in_channels, l.ny, l.nx, 1, 0, 1);
	for (int k = 0; k < 2; k++) {
		layer_make(&l, both[k]);
		stack_make(&out[k], 1, l.shape.out_channels, l.ny, l.nx, 0, 0, 2);
		both[k]->forward(&l.conv, in.map, out[k].map, 0, 0, l.ny);
		if (k == 0)
			layer_free(&l);
	}
	terms = l.shape.taps.count * in.channels;
	for (int y = 0; y < l.ny; y++)
		for (int x = 0; x < l.nx; x++)
			for (int o = 0; o < out[0].channels; o++) {
				double a = get(&out[0], y, x, o), b = get(&out[1], y, x, o);
				double size = fabsf(l.bias[o]);

				for (int t = 0; t < l.shape.taps.count; t++)
					for (int i = 0; i < in.channels; i++)
						size += fabs(weight(&l, t, i, o) *
							     get(&in, y + l.shape.taps.dy[t],
								 x + l.shape.taps.dx[t], i));
				assert_true(fabs(a - b) <=
					    2 * (terms + 4) * U32 * size + 2 * U16 * fabs(b));
			}
	stack_free(&in);
	stack_free(&out[0]);
	stack_free(&out[1]);
	layer_free(&l);
}

#define BOTH(f)                                                               \
	{ #f " (emulated)", f, NULL, NULL, (void *)&pn_conv_tiles_emulated }, \
	{                                                                     \
#f " (processor)", f, NULL, NULL, (void *)&pn_conv_tiles      \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(rows_of_any_length),
		BOTH(channels_in_any_groups),
		BOTH(taps_of_any_kind),
		BOTH(widest_layers),
		BOTH(options_of_both_directions),
		BOTH(rows_do_not_know_how_they_are_shared),
		BOTH(not_a_number_stays_in_sight),
		{ "processor_and_emulation_agree", processor_and_emulation_agree, NULL, NULL,
		  (void *)&pn_conv_tiles },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
