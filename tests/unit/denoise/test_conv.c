/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/denoise/conv.h"
#include "testkit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CANARY -1234.5f

/*
 * A case: a random layer with its maps, each a slice of a wider map whose other channels and border
 * hold canaries (inputs: zeros in the border). "side" is 0 for inputs, 1 for outputs.
 */
struct scene {
	struct pn_rng rng;
	struct pn_conv_shape shape;
	struct pn_conv *conv;
	int ny, nx, in, out;
	size_t weight_count;
	float *weights, *bias;
	int count;
	void *memory[64];
};

static float draw(struct scene *s)
{
	return (float)pn_rng_gauss(&s->rng);
}

static int below(struct scene *s, int n)
{
	return (int)pn_rng_below(&s->rng, (uint32_t)n);
}

static void *keep(struct scene *s, size_t bytes)
{
	void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);

	assert_non_null(memory);
	assert_true(s->count < (int)PN_COUNT(s->memory));
	memset(memory, 0, (bytes + 63) / 64 * 64);
	return s->memory[s->count++] = memory;
}

static int total(const int *channels, int count)
{
	int sum = 0;

	for (int k = 0; k < count; k++)
		sum += channels[k];
	return sum;
}

static void scene_open(struct scene *s, const struct pn_conv_shape *shape, int ny, int nx,
		       uint64_t seed)
{
	struct pn_error err;

	memset(s, 0, sizeof *s);
	pn_rng_init(&s->rng, seed, 0);
	s->shape = *shape;
	s->ny = ny;
	s->nx = nx;
	s->in = total(shape->in_channels, shape->inputs);
	s->out = total(shape->out_channels, shape->outputs);
	s->weight_count = pn_conv_weight_count(shape);
	assert_int_equal(s->weight_count, (size_t)shape->taps.count * s->in * s->out);
	s->weights = keep(s, s->weight_count * sizeof(float));
	s->bias = keep(s, (size_t)s->out * sizeof(float));
	for (size_t i = 0; i < s->weight_count; i++)
		s->weights[i] = draw(s);
	for (int o = 0; o < s->out; o++)
		s->bias[o] = draw(s);
	assert_int_equal(pn_conv_create(&s->conv, shape, PN_ARITH_F32, &err), PN_OK);
	pn_conv_load(s->conv, s->weights, s->bias);
}

static void scene_close(struct scene *s)
{
	pn_conv_destroy(s->conv);
	for (int i = 0; i < s->count; i++)
		free(s->memory[i]);
}

/* Maps of one side; @read: zeros in the border and random values, else canaries everywhere. */
static void make_maps(struct scene *s, struct pn_map *maps, const int *channels, int count,
		      int read)
{
	int border = read ? pn_taps_reach(&s->shape.taps) + below(s, 2) : below(s, 3);

	for (int k = 0; k < count; k++) {
		int before = 8 * below(s, 3), wide = before + channels[k] + 8 * below(s, 2);
		struct pn_map map = pn_map_place(
			keep(s, pn_map_bytes(PN_ARITH_F32, s->ny, s->nx, border, wide)),
			PN_ARITH_F32, s->ny, s->nx, border, wide);

		for (int y = -border; y < s->ny + border; y++)
			for (int x = -border; x < s->nx + border; x++)
				for (int c = 0; c < wide; c++) {
					int inside = y >= 0 && y < s->ny && x >= 0 && x < s->nx;
					int mine = c >= before && c < before + channels[k];

					pn_map_put(&map, y, x, c,
						   !read || !mine ? CANARY
						   : inside       ? draw(s)
								  : 0);
				}
		maps[k] = pn_map_slice(&map, before, channels[k]);
	}
}

/* Everything around the map's own channels and rows @y0 .. @y1 - 1 is as it was made. */
static void assert_canaries(const struct pn_map *map, int y0, int y1)
{
	const int wide = (int)map->pixel_stride, border = map->border;
	ptrdiff_t row = map->row_stride;

	/* the slice's first channel, from the place of pixel (0, 0) in a map made by pn_map_place
	 */
	for (int y = -border; y < map->ny + border; y++)
		for (int x = -border; x < map->nx + border; x++) {
			const float *pixel = (const float *)map->data + y * row + x * wide;
			int inside = y >= y0 && y < y1 && x >= 0 && x < map->nx;

			for (int c = inside ? map->channels : 0; c < map->channels; c++)
				assert_true(pixel[c] == CANARY);
		}
}

/* The wide map that @map is a slice of: its first channel lies @before elements earlier. */
static void assert_other_channels(const struct pn_map *map, const void *memory)
{
	const float *base = memory;
	ptrdiff_t first = (const float *)map->data - base, wide = map->pixel_stride;
	ptrdiff_t before = (first - map->border * (map->row_stride + wide));

	for (int y = -map->border; y < map->ny + map->border; y++)
		for (int x = -map->border; x < map->nx + map->border; x++) {
			const float *pixel =
				(const float *)map->data + y * map->row_stride + x * wide - before;

			for (int c = 0; c < wide; c++)
				if (c < before || c >= before + map->channels)
					assert_true(pixel[c] == CANARY);
		}
}

/* ---- the slow reference -------------------------------------------------------------------- */

/* Channel @c among all maps; 0 beyond the image. */
static double at(const struct pn_map *maps, int y, int x, int c)
{
	while (c >= maps->channels)
		c -= maps++->channels;
	if (y < 0 || y >= maps->ny || x < 0 || x >= maps->nx)
		return 0;
	return pn_map_get(maps, y, x, c);
}

static double weight(const struct scene *s, int t, int i, int o)
{
	return s->weights[((size_t)t * s->in + i) * s->out + o];
}

/* A sum and the sum of its terms' sizes, which bounds what rounding can do to it. */
struct sum {
	double value, size;
};

static void add_term(struct sum *sum, double term)
{
	sum->value += term;
	sum->size += fabs(term);
}

static struct sum slow_forward(const struct scene *s, const struct pn_map *in, int y, int x, int o)
{
	struct sum sum = { s->bias[o], fabs(s->bias[o]) };

	for (int t = 0; t < s->shape.taps.count; t++)
		for (int i = 0; i < s->in; i++)
			add_term(&sum, weight(s, t, i, o) * at(in, y + s->shape.taps.dy[t],
							       x + s->shape.taps.dx[t], i));
	return sum;
}

static struct sum slow_backward(const struct scene *s, const struct pn_map *d_out, int y, int x,
				int i)
{
	struct sum sum = { 0, 0 };

	for (int t = 0; t < s->shape.taps.count; t++)
		for (int o = 0; o < s->out; o++)
			add_term(&sum, weight(s, t, i, o) * at(d_out, y - s->shape.taps.dy[t],
							       x - s->shape.taps.dx[t], o));
	return sum;
}

static struct sum slow_weights(const struct scene *s, const struct pn_map *in,
			       const struct pn_map *d_out, int t, int i, int o)
{
	struct sum sum = { 0, 0 };

	for (int y = 0; y < s->ny; y++)
		for (int x = 0; x < s->nx; x++)
			add_term(&sum, at(in, y + s->shape.taps.dy[t], x + s->shape.taps.dx[t], i) *
					       at(d_out, y, x, o));
	return sum;
}

/* |error| <= n u sum |terms|, u = 2^-24 (Higham 2002, 4.2), and a little for what follows the sum
 */
static void assert_near(double got, double want, double size, double terms)
{
	double bound = (terms + 4) * (FLT_EPSILON / 2) * size * 1.01 + FLT_MIN;

	if (!(fabs(got - want) <= bound))
		print_message("got %.9g, want %.9g, off by %.3g, bound %.3g\n", got, want,
			      got - want, bound);
	assert_true(fabs(got - want) <= bound);
}

/* ---- cases --------------------------------------------------------------------------------- */

static struct pn_conv_shape simple(struct pn_taps taps, int in, int out)
{
	return (struct pn_conv_shape){ .taps = taps,
				       .inputs = 1,
				       .in_channels = { in },
				       .outputs = 1,
				       .out_channels = { out } };
}

static const struct plan {
	int side, dilation, hole, ny, nx;
	int inputs, in[4], outputs, out[4];
} plans[] = {
	{ 1, 1, 0, 1, 1, 1, { 8 }, 1, { 8 } },
	{ 3, 1, 0, 1, 1, 1, { 8 }, 1, { 16 } },
	{ 3, 1, 0, 5, 13, 1, { 32 }, 1, { 32 } },
	{ 3, 1, 0, 4, 101, 1, { 8 }, 1, { 24 } },
	{ 3, 2, 1, 6, 7, 2, { 8, 16 }, 2, { 24, 8 } },
	{ 3, 16, 1, 20, 9, 1, { 32 }, 1, { 16 } },
	{ 3, 16, 0, 3, 4, 1, { 16 }, 1, { 40 } },
	{ 5, 1, 0, 7, 6, 3, { 8, 8, 8 }, 1, { 8 } },
	{ 5, 3, 1, 2, 11, 1, { 24 }, 3, { 8, 24, 16 } },
	{ 7, 1, 0, 9, 3, 1, { 8 }, 1, { 8 } },
	{ 1, 1, 0, 3, 98, 4, { 96, 32, 8, 88 }, 1, { 96 } },
	{ 1, 1, 0, 2, 5, 1, { 96 }, 2, { 8, 64 } },
	{ 3, 5, 0, 8, 199, 1, { 8 }, 2, { 8, 8 } },
	{ 3, 8, 1, 17, 8, 1, { 56 }, 1, { 88 } },
};

static struct pn_conv_shape shape_of(const struct plan *p)
{
	struct pn_conv_shape shape = {
		.taps = pn_taps_square(p->side, p->dilation, p->hole),
		.inputs = p->inputs,
		.outputs = p->outputs,
	};

	memcpy(shape.in_channels, p->in, sizeof p->in);
	memcpy(shape.out_channels, p->out, sizeof p->out);
	return shape;
}

static void forward_is_the_sum(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++)
		for (int leaky = 0; leaky < 2; leaky++) {
			const struct pn_conv_shape shape = shape_of(&plans[k]);
			struct pn_map in[4], out[4];
			struct scene s;

			scene_open(&s, &shape, plans[k].ny, plans[k].nx, 10 + k);
			make_maps(&s, in, shape.in_channels, shape.inputs, 1);
			int first = s.count;

			make_maps(&s, out, shape.out_channels, shape.outputs, 0);
			pn_conv_forward(s.conv, in, out, leaky, 0, s.ny);
			for (int y = 0; y < s.ny; y++)
				for (int x = 0; x < s.nx; x++)
					for (int o = 0; o < s.out; o++) {
						struct sum sum = slow_forward(&s, in, y, x, o);

						if (leaky && sum.value < 0)
							sum.value *= PN_LEAK;
						assert_near(at(out, y, x, o), sum.value, sum.size,
							    shape.taps.count * s.in);
					}
			for (int o = 0; o < shape.outputs; o++) {
				assert_canaries(&out[o], 0, s.ny);
				assert_other_channels(&out[o], s.memory[first + o]);
			}
			scene_close(&s);
		}
}

/* With gate and addition in all four ways, and with inputs whose gradient is not wanted. */
static void backward_data_is_the_mirrored_sum(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++)
		for (int how = 0; how < 4; how++) {
			const struct pn_conv_shape shape = shape_of(&plans[k]);
			int add = how & 1, gated = how >> 1, skip = how == 3 ? 0 : -1;
			struct pn_map d_out[4], d_in[4], gate[4];
			struct scene s;

			scene_open(&s, &shape, plans[k].ny, plans[k].nx, 30 + k);
			make_maps(&s, d_out, shape.out_channels, shape.outputs, 1);
			make_maps(&s, gate, shape.in_channels, shape.inputs, 1);
			pn_map_put(&gate[0], 0, 0, 0, 0);
			pn_map_put(&gate[0], 0, 0, 1, -0.0f);
			int first = s.count;

			make_maps(&s, d_in, shape.in_channels, shape.inputs, 0);
			if (skip >= 0)
				d_in[skip].data = NULL;
			pn_conv_backward_data(s.conv, d_out, d_in, add, gated ? gate : NULL, 0,
					      s.ny);
			for (int i = 0; i < s.in; i++) {
				if (skip >= 0 && i < d_in[skip].channels)
					continue;
				for (int y = 0; y < s.ny; y++)
					for (int x = 0; x < s.nx; x++) {
						struct sum sum = slow_backward(&s, d_out, y, x, i);

						if (add)
							add_term(&sum, CANARY);
						if (gated && at(gate, y, x, i) <= 0)
							sum.value *= PN_LEAK;
						assert_near(at(d_in, y, x, i), sum.value, sum.size,
							    shape.taps.count * s.out);
					}
			}
			for (int i = 0; i < shape.inputs; i++)
				if (d_in[i].data) {
					assert_canaries(&d_in[i], 0, s.ny);
					assert_other_channels(&d_in[i], s.memory[first + i]);
				}
			scene_close(&s);
		}
}

static void backward_weights_are_the_sums(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++) {
		const struct pn_conv_shape shape = shape_of(&plans[k]);
		struct pn_map in[4], d_out[4];
		struct scene s;

		scene_open(&s, &shape, plans[k].ny, plans[k].nx, 50 + k);
		make_maps(&s, in, shape.in_channels, shape.inputs, 1);
		make_maps(&s, d_out, shape.out_channels, shape.outputs, 1);
		float *d_weights = keep(&s, (s.weight_count + 1) * sizeof(float));
		float *d_bias = keep(&s, (size_t)(s.out + 1) * sizeof(float));
		double terms = s.ny * s.nx + s.ny;

		for (size_t i = 0; i <= s.weight_count; i++)
			d_weights[i] = 0.5f;
		for (int o = 0; o <= s.out; o++)
			d_bias[o] = 0.25f;
		pn_conv_backward_weights(s.conv, in, d_out, d_weights, d_bias, 0, s.ny);
		for (int t = 0; t < shape.taps.count; t++)
			for (int i = 0; i < s.in; i += 1 + below(&s, 3))
				for (int o = 0; o < s.out; o++) {
					struct sum sum = slow_weights(&s, in, d_out, t, i, o);

					add_term(&sum, 0.5);
					assert_near(d_weights[((size_t)t * s.in + i) * s.out + o],
						    sum.value, sum.size, terms);
				}
		for (int o = 0; o < s.out; o++) {
			struct sum sum = { 0.25, 0.25 };

			for (int y = 0; y < s.ny; y++)
				for (int x = 0; x < s.nx; x++)
					add_term(&sum, at(d_out, y, x, o));
			assert_near(d_bias[o], sum.value, sum.size, terms);
		}
		assert_true(d_weights[s.weight_count] == 0.5f && d_bias[s.out] == 0.25f);
		scene_close(&s);
	}
}

/* <conv x, y> = <x, conv^T y> without bias, summed in double. */
static void the_backward_is_the_adjoint(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++) {
		const struct pn_conv_shape shape = shape_of(&plans[k]);
		struct pn_map x[4], y[4], forth[4], back[4];
		double left = 0, right = 0, size = 0;
		struct scene s;

		scene_open(&s, &shape, plans[k].ny, plans[k].nx, 70 + k);
		memset(s.bias, 0, (size_t)s.out * sizeof *s.bias);
		pn_conv_load(s.conv, s.weights, s.bias);
		make_maps(&s, x, shape.in_channels, shape.inputs, 1);
		make_maps(&s, y, shape.out_channels, shape.outputs, 1);
		make_maps(&s, forth, shape.out_channels, shape.outputs, 0);
		make_maps(&s, back, shape.in_channels, shape.inputs, 0);
		pn_conv_forward(s.conv, x, forth, 0, 0, s.ny);
		pn_conv_backward_data(s.conv, y, back, 0, NULL, 0, s.ny);
		for (int v = 0; v < s.ny; v++)
			for (int u = 0; u < s.nx; u++) {
				for (int o = 0; o < s.out; o++) {
					double term = at(forth, v, u, o) * at(y, v, u, o);

					left += term;
					size += fabs(term);
				}
				for (int i = 0; i < s.in; i++)
					right += at(x, v, u, i) * at(back, v, u, i);
			}
		assert_true(fabs(left - right) <= 1e-5 * size);
		scene_close(&s);
	}
}

/* ---- the whole of one layer against finite differences --------------------------------------- */

/* loss = sum over p, o of target[p][o] f(sums), in double */
static double loss_of(const struct scene *s, const struct pn_map *in, const struct pn_map *target)
{
	double loss = 0;

	for (int y = 0; y < s->ny; y++)
		for (int x = 0; x < s->nx; x++)
			for (int o = 0; o < s->out; o++) {
				double value = slow_forward(s, in, y, x, o).value;

				loss += at(target, y, x, o) * (value > 0 ? value : PN_LEAK * value);
			}
	return loss;
}

/* Change of the loss by a change of @place; too near to a kink of the ReLU, halves differ: NAN. */
static double slope_of(const struct scene *s, const struct pn_map *in, const struct pn_map *target,
		       float *place)
{
	const float was = *place, up = was + 0x1p-12f, down = was - 0x1p-12f;
	double middle = loss_of(s, in, target);

	*place = up;
	double right = (loss_of(s, in, target) - middle) / ((double)up - was);
	*place = down;
	double left = (middle - loss_of(s, in, target)) / ((double)was - down);
	*place = was;
	return fabs(left - right) < 1e-6 * (fabs(left) + fabs(right) + 1) ? (left + right) / 2
									  : NAN;
}

static void gradients_are_slopes_of_a_loss(void **state)
{
	const struct pn_conv_shape shape = simple(pn_taps_square(3, 2, 1), 8, 16);
	struct pn_map in[1], out[1], target[1], d_out[1], d_in[1];
	int checked = 0;
	struct scene s;

	(void)state;
	scene_open(&s, &shape, 4, 5, 7);
	make_maps(&s, in, shape.in_channels, 1, 1);
	make_maps(&s, target, shape.out_channels, 1, 1);
	make_maps(&s, d_out, shape.out_channels, 1, 1);
	make_maps(&s, out, shape.out_channels, 1, 0);
	make_maps(&s, d_in, shape.in_channels, 1, 0);
	float *d_weights = keep(&s, s.weight_count * sizeof(float));
	float *d_bias = keep(&s, (size_t)s.out * sizeof(float));

	pn_conv_forward(s.conv, in, out, 1, 0, s.ny);
	for (int y = 0; y < s.ny; y++)
		for (int x = 0; x < s.nx; x++)
			for (int o = 0; o < s.out; o++)
				pn_map_put(d_out, y, x, o,
					   (float)at(target, y, x, o) *
						   (at(out, y, x, o) > 0 ? 1 : PN_LEAK));
	pn_conv_backward_weights(s.conv, in, d_out, d_weights, d_bias, 0, s.ny);
	pn_conv_backward_data(s.conv, d_out, d_in, 0, NULL, 0, s.ny);
	for (int k = 0; k < 120; k++) {
		float *place, got;
		int y = below(&s, s.ny), x = below(&s, s.nx), c = below(&s, 8);
		size_t w = pn_rng_below(&s.rng, (uint32_t)s.weight_count);

		if (k % 3 == 0) {
			place = &s.weights[w];
			got = d_weights[w];
		} else if (k % 3 == 1) {
			place = &s.bias[w % 16];
			got = d_bias[w % 16];
		} else {
			place = (float *)in->data + y * in->row_stride + x * in->pixel_stride + c;
			got = (float)at(d_in, y, x, c);
		}
		double slope = slope_of(&s, in, target, place);

		if (isnan(slope))
			continue;
		assert_true(fabs(got - slope) < 1e-4 * (1 + fabs(slope)));
		checked++;
	}
	assert_true(checked > 80);
	scene_close(&s);
}

/* ---- sharing rows out ------------------------------------------------------------------------ */

static void rows_do_not_depend_on_how_they_are_shared(void **state)
{
	const struct pn_conv_shape shape = simple(pn_taps_square(3, 3, 0), 24, 40);
	struct pn_map in[1], d_out[1], whole[1], part[1], back[1], back_part[1];
	struct scene s;

	(void)state;
	scene_open(&s, &shape, 11, 17, 3);
	make_maps(&s, in, shape.in_channels, 1, 1);
	make_maps(&s, d_out, shape.out_channels, 1, 1);
	make_maps(&s, whole, shape.out_channels, 1, 0);
	make_maps(&s, back, shape.in_channels, 1, 0);
	pn_conv_forward(s.conv, in, whole, 1, 0, s.ny);
	pn_conv_backward_data(s.conv, d_out, back, 1, in, 0, s.ny);
	for (int cut = 0; cut <= s.ny; cut++) {
		make_maps(&s, part, shape.out_channels, 1, 0);
		make_maps(&s, back_part, shape.in_channels, 1, 0);
		pn_conv_forward(s.conv, in, part, 1, cut, s.ny);
		assert_canaries(part, cut, s.ny);
		pn_conv_forward(s.conv, in, part, 1, 0, cut);
		pn_conv_backward_data(s.conv, d_out, back_part, 1, in, 0, cut);
		assert_canaries(back_part, 0, cut);
		pn_conv_backward_data(s.conv, d_out, back_part, 1, in, cut, s.ny);
		for (int y = 0; y < s.ny; y++)
			for (int x = 0; x < s.nx; x++) {
				for (int o = 0; o < s.out; o++)
					assert_true(at(part, y, x, o) == at(whole, y, x, o));
				for (int i = 0; i < s.in; i++)
					assert_true(at(back_part, y, x, i) == at(back, y, x, i));
			}
		pn_conv_forward(s.conv, in, part, 1, cut, cut);
	}
	scene_close(&s);
}

/* ---- shapes and taps ------------------------------------------------------------------------- */

static void taps_are_in_row_order(void **state)
{
	struct pn_taps all = pn_taps_square(3, 4, 0), hole = pn_taps_square(5, 2, 1);

	(void)state;
	assert_int_equal(all.count, 9);
	assert_int_equal(hole.count, 24);
	for (int t = 0; t < 9; t++)
		assert_true(all.dy[t] == 4 * (t / 3 - 1) && all.dx[t] == 4 * (t % 3 - 1));
	for (int t = 0; t < 24; t++) {
		int k = t < 12 ? t : t + 1;

		assert_true(hole.dy[t] == 2 * (k / 5 - 2) && hole.dx[t] == 2 * (k % 5 - 2));
	}
	assert_int_equal(pn_taps_reach(&all), 4);
	assert_int_equal(pn_taps_reach(&hole), 4);
	all = pn_taps_square(1, 100, 0);
	assert_true(all.count == 1 && pn_taps_reach(&all) == 0);
	all = pn_taps_square(7, 1, 0);
	assert_true(all.count == PN_TAPS_MAX && pn_taps_reach(&all) == 3);
}

static void assert_refused(struct pn_conv_shape shape, enum pn_arith arith, int code)
{
	struct pn_conv *conv = (struct pn_conv *)&shape;
	struct pn_error err = { 0 };

	assert_int_equal(pn_conv_create(&conv, &shape, arith, &err), code);
	assert_null(conv);
	assert_int_equal(err.code, code);
	assert_true(strlen(err.text) > 10);
	assert_int_equal(pn_conv_create(&conv, &shape, arith, NULL), code);
}

static void bad_shapes_are_refused(void **state)
{
	const struct pn_conv_shape good = simple(pn_taps_square(3, 1, 0), 8, 8);
	struct pn_conv_shape bad = good;

	(void)state;
	bad.taps.count = 0;
	assert_refused(bad, PN_ARITH_F32, PN_EARG);
	bad.taps.count = PN_TAPS_MAX + 1;
	assert_refused(bad, PN_ARITH_F32, PN_EARG);
	for (int outputs = 0; outputs < 2; outputs++) {
		static const int counts[] = { 0, -1, PN_MAPS_MAX + 1 };
		static const int channels[] = { 0, -8, 4, 12, 520 };

		for (size_t k = 0; k < PN_COUNT(counts); k++) {
			bad = good;
			*(outputs ? &bad.outputs : &bad.inputs) = counts[k];
			assert_refused(bad, PN_ARITH_F32, PN_EARG);
		}
		for (size_t k = 0; k < PN_COUNT(channels); k++) {
			bad = good;
			(outputs ? bad.out_channels : bad.in_channels)[0] = channels[k];
			assert_refused(bad, PN_ARITH_F32, PN_EARG);
		}
		bad = good;
		*(outputs ? &bad.outputs : &bad.inputs) = 2;
		(outputs ? bad.out_channels : bad.in_channels)[0] = 256;
		(outputs ? bad.out_channels : bad.in_channels)[1] = 264;
		assert_refused(bad, PN_ARITH_F32, PN_EARG);
	}
	assert_refused(good, (enum pn_arith)17, PN_EARG);
	pn_conv_destroy(NULL);
}

/* New weights replace the old ones in both directions, also where lanes are padded. */
static void loading_again_replaces(void **state)
{
	const struct pn_conv_shape shape = simple(pn_taps_square(3, 1, 0), 8, 24);
	struct pn_map in[1], d_out[1], out[1], d_in[1];
	struct scene s;

	(void)state;
	scene_open(&s, &shape, 2, 3, 5);
	make_maps(&s, in, shape.in_channels, 1, 1);
	make_maps(&s, d_out, shape.out_channels, 1, 1);
	make_maps(&s, out, shape.out_channels, 1, 0);
	make_maps(&s, d_in, shape.in_channels, 1, 0);
	for (size_t i = 0; i < s.weight_count; i++)
		s.weights[i] = 0;
	for (int o = 0; o < s.out; o++)
		s.bias[o] = (float)o - 3;
	pn_conv_load(s.conv, s.weights, s.bias);
	pn_conv_forward(s.conv, in, out, 1, 0, 2);
	pn_conv_backward_data(s.conv, d_out, d_in, 0, NULL, 0, 2);
	for (int p = 0; p < 6; p++) {
		for (int o = 0; o < s.out; o++)
			assert_true(at(out, p / 3, p % 3, o) ==
				    (o < 3 ? PN_LEAK * (float)(o - 3) : (float)o - 3));
		for (int i = 0; i < s.in; i++)
			assert_true(at(d_in, p / 3, p % 3, i) == 0);
	}
	scene_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_is_the_sum),
		cmocka_unit_test(backward_data_is_the_mirrored_sum),
		cmocka_unit_test(backward_weights_are_the_sums),
		cmocka_unit_test(the_backward_is_the_adjoint),
		cmocka_unit_test(gradients_are_slopes_of_a_loss),
		cmocka_unit_test(rows_do_not_depend_on_how_they_are_shared),
		cmocka_unit_test(taps_are_in_row_order),
		cmocka_unit_test(bad_shapes_are_refused),
		cmocka_unit_test(loading_again_replaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
