/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/denoise/conv.h"
#include "testkit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CANARY -1232.0f /* has few enough bits for bf16 */

static const enum pn_arith ariths[] = { PN_ARITH_F32, PN_ARITH_BF16, PN_ARITH_BF16_EMULATED };

/* A map that is a slice of a wider one of canaries; an image is all of its own. */
struct field {
	struct pn_map all, map;
	void *memory;
	int first;
};

/* @rng NULL: canaries; else random values and zeros in the border. */
static struct field field_make(enum pn_arith arith, int ny, int nx, int border, int channels,
			       struct pn_rng *rng)
{
	int wide = channels == 1 ? 1 : channels + 16, first = channels == 1 ? 0 : 8;
	size_t bytes = pn_map_bytes(arith, ny, nx, border, wide);
	struct field f = { .memory = aligned_alloc(64, bytes), .first = first };

	assert_non_null(f.memory);
	memset(f.memory, 0, bytes);
	f.map = f.all = pn_map_place(f.memory, arith, ny, nx, border, wide);
	if (channels > 1)
		f.map = pn_map_slice(&f.all, first, channels);
	for (int y = -border; y < ny + border; y++)
		for (int x = -border; x < nx + border; x++)
			for (int c = 0; c < wide; c++) {
				int inside = y >= 0 && y < ny && x >= 0 && x < nx;
				int mine = c >= first && c < first + channels;

				pn_map_put(&f.all, y, x, c,
					   !rng || !mine ? CANARY
					   : inside      ? (float)pn_rng_gauss(rng)
							 : 0);
			}
	return f;
}

static void assert_rest_untouched(const struct field *f, int y0, int y1)
{
	const struct pn_map *m = &f->all;

	for (int y = -m->border; y < m->ny + m->border; y++)
		for (int x = -m->border; x < m->nx + m->border; x++)
			for (int c = 0; c < m->channels; c++) {
				int mine = c >= f->first && c < f->first + f->map.channels;

				if (mine && y >= y0 && y < y1 && x >= 0 && x < m->nx)
					continue;
				assert_true(pn_map_get(m, y, x, c) == CANARY);
			}
}

static void draw(float *values, int count, struct pn_rng *rng)
{
	for (int i = 0; i < count; i++)
		values[i] = (float)pn_rng_gauss(rng);
}

/* Rounding of @terms float32 terms of absolute sum @size, and of the result to the map's type. */
static void assert_near(double got, double want, double size, int terms, enum pn_arith arith)
{
	double bound = (terms + 4) * (FLT_EPSILON / 2) * size * 1.01 + FLT_MIN;

	if (arith != PN_ARITH_F32)
		bound += (fabs(want) + bound) / 256;
	assert_true(fabs(got - want) <= bound);
}

static const struct plan {
	int side, dilation, hole, channels, ny, nx;
} plans[] = {
	{ 1, 1, 0, 8, 1, 1 },   { 3, 1, 0, 32, 5, 7 },  { 5, 1, 1, 24, 3, 2 },
	{ 3, 16, 0, 8, 20, 5 }, { 7, 2, 0, 96, 4, 33 }, { 3, 1, 1, 16, 1, 60 },
};

static double seen(const struct pn_map *map, int y, int x, int c)
{
	if (y < 0 || y >= map->ny || x < 0 || x >= map->nx)
		return 0;
	return pn_map_get(map, y, x, c);
}

static void check_stem(const struct plan *p, enum pn_arith arith, int leaky, uint64_t seed)
{
	const struct pn_taps taps = pn_taps_square(p->side, p->dilation, p->hole);
	float weights[PN_TAPS_MAX * 96], bias[96];
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	draw(weights, taps.count * p->channels, &rng);
	draw(bias, p->channels, &rng);
	struct field image =
		field_make(PN_ARITH_F32, p->ny, p->nx, pn_taps_reach(&taps) + 1, 1, &rng);
	struct field out = field_make(arith, p->ny, p->nx, 2, p->channels, NULL);
	int cut = p->ny / 2;

	pn_stem_forward(&taps, weights, bias, &image.map, &out.map, leaky, cut, p->ny);
	assert_rest_untouched(&out, cut, p->ny);
	pn_stem_forward(&taps, weights, bias, &image.map, &out.map, leaky, 0, cut);
	assert_rest_untouched(&out, 0, p->ny);
	for (int y = 0; y < p->ny; y++)
		for (int x = 0; x < p->nx; x++)
			for (int o = 0; o < p->channels; o++) {
				double sum = bias[o], size = fabs(bias[o]);

				for (int t = 0; t < taps.count; t++) {
					double term =
						(double)weights[t * p->channels + o] *
						seen(&image.map, y + taps.dy[t], x + taps.dx[t], 0);

					sum += term;
					size += fabs(term);
				}
				if (leaky && sum < 0)
					sum *= PN_LEAK;
				assert_near(pn_map_get(&out.map, y, x, o), sum, size,
					    2 * taps.count, arith);
			}
	free(image.memory);
	free(out.memory);
}

static void stem_is_the_sum(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++)
		for (size_t a = 0; a < PN_COUNT(ariths); a++)
			for (int leaky = 0; leaky < 2; leaky++)
				check_stem(&plans[k], ariths[a], leaky, 100 + k);
}

static void check_stem_gradient(const struct plan *p, enum pn_arith arith, uint64_t seed)
{
	const struct pn_taps taps = pn_taps_square(p->side, p->dilation, p->hole);
	float d_weights[PN_TAPS_MAX * 96 + 1], d_bias[97];
	int terms = 2 * p->ny * p->nx + p->ny;
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (size_t i = 0; i < PN_COUNT(d_weights); i++)
		d_weights[i] = 0.5f;
	for (size_t i = 0; i < PN_COUNT(d_bias); i++)
		d_bias[i] = 0.25f;
	struct field image = field_make(PN_ARITH_F32, p->ny, p->nx, pn_taps_reach(&taps), 1, &rng);
	struct field d_out = field_make(arith, p->ny, p->nx, 0, p->channels, &rng);

	pn_stem_backward_weights(&taps, &image.map, &d_out.map, d_weights, d_bias, 0, p->ny / 2);
	pn_stem_backward_weights(&taps, &image.map, &d_out.map, d_weights, d_bias, p->ny / 2,
				 p->ny);
	for (int t = -1; t < taps.count; t++) /* -1: the bias, as if the image were 1 */
		for (int o = 0; o < p->channels; o++) {
			double sum = t < 0 ? 0.25 : 0.5, size = sum;

			for (int y = 0; y < p->ny; y++)
				for (int x = 0; x < p->nx; x++) {
					double pixel = t < 0 ? 1
							     : seen(&image.map, y + taps.dy[t],
								    x + taps.dx[t], 0);
					double term = pixel * pn_map_get(&d_out.map, y, x, o);

					sum += term;
					size += fabs(term);
				}
			assert_near(t < 0 ? d_bias[o] : d_weights[t * p->channels + o], sum, size,
				    terms, PN_ARITH_F32);
		}
	assert_true(d_weights[taps.count * p->channels] == 0.5f && d_bias[p->channels] == 0.25f);
	free(image.memory);
	free(d_out.memory);
}

static void stem_gradient_is_the_sum(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++)
		for (size_t a = 0; a < PN_COUNT(ariths); a++)
			check_stem_gradient(&plans[k], ariths[a], 200 + k);
}

static void readout_is_the_sum(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++)
		for (size_t a = 0; a < PN_COUNT(ariths); a++) {
			int ny = plans[k].ny, nx = plans[k].nx, channels = plans[k].channels;
			float weights[96], bias;
			struct pn_rng rng;

			pn_rng_init(&rng, 300 + k, 0);
			draw(weights, channels, &rng);
			draw(&bias, 1, &rng);
			struct field in = field_make(ariths[a], ny, nx, 1, channels, &rng);
			struct field image = field_make(PN_ARITH_F32, ny, nx, 1, 1, NULL);

			pn_readout_forward(weights, &bias, &in.map, &image.map, ny / 2, ny);
			assert_rest_untouched(&image, ny / 2, ny);
			pn_readout_forward(weights, &bias, &in.map, &image.map, 0, ny / 2);
			assert_rest_untouched(&image, 0, ny);
			for (int y = 0; y < ny; y++)
				for (int x = 0; x < nx; x++) {
					double sum = bias, size = fabs(bias);

					for (int i = 0; i < channels; i++) {
						double term = (double)weights[i] *
							      pn_map_get(&in.map, y, x, i);

						sum += term;
						size += fabs(term);
					}
					assert_near(pn_map_get(&image.map, y, x, 0), sum, size,
						    2 * channels, PN_ARITH_F32);
				}
			free(in.memory);
			free(image.memory);
		}
}

static void check_readout_gradient(const struct plan *p, enum pn_arith arith, int gated,
				   uint64_t seed)
{
	float weights[96], d_weights[97], d_bias = 0.25f;
	int ny = p->ny, nx = p->nx, terms = 2 * ny * nx + ny;
	double bias_sum = 0.25, bias_size = 0.25;
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	draw(weights, p->channels, &rng);
	for (size_t i = 0; i < PN_COUNT(d_weights); i++)
		d_weights[i] = 0.5f;
	struct field in = field_make(arith, ny, nx, 1, p->channels, &rng);
	struct field gate = field_make(arith, ny, nx, 0, p->channels, &rng);
	struct field d_image = field_make(PN_ARITH_F32, ny, nx, 0, 1, &rng);
	struct field d_in = field_make(arith, ny, nx, 2, p->channels, NULL);

	pn_map_put(&gate.map, 0, 0, 1, 0);
	for (int part = 0; part < 2; part++)
		pn_readout_backward(weights, &in.map, &d_image.map, &d_in.map,
				    gated ? &gate.map : NULL, d_weights, &d_bias, part ? ny / 2 : 0,
				    part ? ny : ny / 2);
	assert_rest_untouched(&d_in, 0, ny);
	for (int i = 0; i < p->channels; i++) {
		double sum = 0.5, size = 0.5;

		for (int y = 0; y < ny; y++)
			for (int x = 0; x < nx; x++) {
				double d = pn_map_get(&d_image.map, y, x, 0);
				double term = d * pn_map_get(&in.map, y, x, i),
				       want = d * weights[i];

				sum += term;
				size += fabs(term);
				bias_sum += i ? 0 : d;
				bias_size += i ? 0 : fabs(d);
				if (gated && pn_map_get(&gate.map, y, x, i) <= 0)
					want *= PN_LEAK;
				assert_near(pn_map_get(&d_in.map, y, x, i), want, fabs(want), 2,
					    arith);
			}
		assert_near(d_weights[i], sum, size, terms, PN_ARITH_F32);
	}
	assert_near(d_bias, bias_sum, bias_size, terms, PN_ARITH_F32);
	assert_true(d_weights[p->channels] == 0.5f);
	free(in.memory);
	free(gate.memory);
	free(d_image.memory);
	free(d_in.memory);
}

static void readout_gradient_is_the_sum(void **state)
{
	(void)state;
	for (size_t k = 0; k < PN_COUNT(plans); k++)
		for (size_t a = 0; a < PN_COUNT(ariths); a++)
			for (int gated = 0; gated < 2; gated++)
				check_readout_gradient(&plans[k], ariths[a], gated, 400 + k);
}

/* The stem agrees with a convolution of eight equal images that each bear an eighth of the weight.
 */
static void stem_is_a_convolution(void **state)
{
	const struct pn_conv_shape shape = { .taps = pn_taps_square(3, 2, 0),
					     .inputs = 1,
					     .in_channels = { 8 },
					     .outputs = 1,
					     .out_channels = { 16 } };
	float weights[9 * 16], spread[9 * 8 * 16], bias[16];
	struct pn_conv *conv;
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 9, 0);
	draw(weights, 9 * 16, &rng);
	draw(bias, 16, &rng);
	for (int t = 0; t < 9; t++)
		for (int i = 0; i < 8; i++)
			for (int o = 0; o < 16; o++)
				spread[(t * 8 + i) * 16 + o] = weights[t * 16 + o] / 8;
	struct field image = field_make(PN_ARITH_F32, 9, 11, 2, 1, &rng);
	struct field in = field_make(PN_ARITH_F32, 9, 11, 2, 8, &rng);
	struct field one = field_make(PN_ARITH_F32, 9, 11, 0, 16, NULL);
	struct field two = field_make(PN_ARITH_F32, 9, 11, 0, 16, NULL);

	for (int y = 0; y < 9; y++)
		for (int x = 0; x < 11; x++)
			for (int i = 0; i < 8; i++)
				pn_map_put(&in.map, y, x, i, pn_map_get(&image.map, y, x, 0));
	assert_int_equal(pn_conv_create(&conv, &shape, PN_ARITH_F32, NULL), PN_OK);
	pn_conv_load(conv, spread, bias);
	pn_conv_forward(conv, &in.map, &one.map, 1, 0, 9);
	pn_stem_forward(&shape.taps, weights, bias, &image.map, &two.map, 1, 0, 9);
	for (int y = 0; y < 9; y++)
		for (int x = 0; x < 11; x++)
			for (int o = 0; o < 16; o++)
				assert_true(fabsf(pn_map_get(&one.map, y, x, o) -
						  pn_map_get(&two.map, y, x, o)) < 1e-5f);
	pn_conv_destroy(conv);
	free(image.memory);
	free(in.memory);
	free(one.memory);
	free(two.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stem_is_the_sum),
		cmocka_unit_test(stem_gradient_is_the_sum),
		cmocka_unit_test(readout_is_the_sum),
		cmocka_unit_test(readout_gradient_is_the_sum),
		cmocka_unit_test(stem_is_a_convolution),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
