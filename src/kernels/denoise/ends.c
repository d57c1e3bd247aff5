/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ends of the network: the stem from an image to a map, the readout from a map to an image.
 * They cost little, so that one source serves both arithmetics: eight channels at a time, as
 * float32.
 */
#include "eight.h"
#include "perrin/denoise/conv.h"

#include <string.h>

#define STEP PN_CHANNEL_STEP
#define TAPS 4 /* taps whose gradients are summed at once */

static inline void *place_of(const struct pn_map *map, int y, int x, int channel)
{
	ptrdiff_t i = y * map->row_stride + x * map->pixel_stride + channel;

	return map->arith == PN_ARITH_F32 ? (void *)((float *)map->data + i)
					  : (void *)((uint16_t *)map->data + i);
}

static const float *pixel_of(const struct pn_map *image, int y, int x)
{
	return (const float *)image->data + y * image->row_stride + x;
}

static void assert_map(const struct pn_map *map, const struct pn_map *image, int y0, int y1)
{
	pn_assert(map->data && map->channels % STEP == 0 && map->pixel_stride >= map->channels);
	pn_assert(map->ny == image->ny && map->nx == image->nx);
	pn_assert(image->data && image->arith == PN_ARITH_F32);
	pn_assert(image->channels == 1 && image->pixel_stride == 1);
	pn_assert(y0 >= 0 && y0 <= y1 && y1 <= map->ny);
}

/* ---- stem ---------------------------------------------------------------------------------- */

void pn_stem_forward(const struct pn_taps *taps, const float *weights, const float *bias,
		     const struct pn_map *image, const struct pn_map *out, int leaky, int y0,
		     int y1)
{
	const float slope = leaky ? PN_LEAK : 1;
	ptrdiff_t offset[PN_TAPS_MAX];

	assert_map(out, image, y0, y1);
	pn_assert(taps->count >= 1 && taps->count <= PN_TAPS_MAX);
	pn_assert(image->border >= pn_taps_reach(taps));
	for (int t = 0; t < taps->count; t++)
		offset[t] = taps->dy[t] * image->row_stride + taps->dx[t];
	for (int y = y0; y < y1; y++)
		for (int x = 0; x < out->nx; x++) {
			const float *pixel = pixel_of(image, y, x);

			for (int o = 0; o < out->channels; o += STEP) {
				const float *w = weights + o;
				pn_eight sum, weight;

				memcpy(&sum, bias + o, sizeof sum);
				for (int t = 0; t < taps->count; t++, w += out->channels) {
					memcpy(&weight, w, sizeof weight);
					sum += pixel[offset[t]] * weight;
				}
				pn_eight_leak(&sum, slope);
				pn_eight_store(place_of(out, y, x, o), &sum, out->arith);
			}
		}
}

/* Gradients of @count taps from @first on, STEP channels from @o on, over row @y. */
static void stem_taps(const struct pn_taps *taps, int first, int count, const struct pn_map *image,
		      const struct pn_map *d_out, int o, int y, float *d_weights)
{
	const float *pixel[TAPS];
	pn_eight sum[TAPS] = { 0 }, d;

	for (int t = 0; t < TAPS; t++) {
		int tap = first + (t < count ? t : 0);

		pixel[t] = pixel_of(image, y + taps->dy[tap], taps->dx[tap]);
	}
	for (int x = 0; x < d_out->nx; x++) {
		pn_eight_load(&d, place_of(d_out, y, x, o), d_out->arith);
		sum[0] += pixel[0][x] * d;
		sum[1] += pixel[1][x] * d;
		sum[2] += pixel[2][x] * d;
		sum[3] += pixel[3][x] * d;
	}
	for (int t = 0; t < count; t++)
		for (int c = 0; c < STEP; c++)
			d_weights[(first + t) * d_out->channels + o + c] += sum[t][c];
}

void pn_stem_backward_weights(const struct pn_taps *taps, const struct pn_map *image,
			      const struct pn_map *d_out, float *d_weights, float *d_bias, int y0,
			      int y1)
{
	assert_map(d_out, image, y0, y1);
	pn_assert(taps->count >= 1 && taps->count <= PN_TAPS_MAX);
	pn_assert(image->border >= pn_taps_reach(taps));
	for (int y = y0; y < y1; y++)
		for (int o = 0; o < d_out->channels; o += STEP) {
			pn_eight sum = { 0 }, d;

			for (int x = 0; x < d_out->nx; x++) {
				pn_eight_load(&d, place_of(d_out, y, x, o), d_out->arith);
				sum += d;
			}
			for (int c = 0; c < STEP; c++)
				d_bias[o + c] += sum[c];
			for (int t = 0; t < taps->count; t += TAPS)
				stem_taps(taps, t, taps->count - t < TAPS ? taps->count - t : TAPS,
					  image, d_out, o, y, d_weights);
		}
}

/* ---- readout ------------------------------------------------------------------------------- */

void pn_readout_forward(const float *weights, const float *bias, const struct pn_map *in,
			const struct pn_map *image, int y0, int y1)
{
	assert_map(in, image, y0, y1);
	for (int y = y0; y < y1; y++) {
		float *row = (float *)pixel_of(image, y, 0);

		for (int x = 0; x < in->nx; x++) {
			pn_eight sum = { 0 }, value, weight;

			for (int i = 0; i < in->channels; i += STEP) {
				pn_eight_load(&value, place_of(in, y, x, i), in->arith);
				memcpy(&weight, weights + i, sizeof weight);
				sum += weight * value;
			}
			row[x] = *bias + (((sum[0] + sum[4]) + (sum[2] + sum[6])) +
					  ((sum[1] + sum[5]) + (sum[3] + sum[7])));
		}
	}
}

/* STEP channels from @i on of row @y: their gradients, and those of their weights. */
static void readout_channels(const float *weights, const struct pn_map *in, const float *d_row,
			     const struct pn_map *d_in, const struct pn_map *gate, float *d_weights,
			     int i, int y)
{
	pn_eight sum = { 0 }, weight, value, d;

	memcpy(&weight, weights + i, sizeof weight);
	for (int x = 0; x < in->nx; x++) {
		pn_eight_load(&value, place_of(in, y, x, i), in->arith);
		sum += d_row[x] * value;
		d = d_row[x] * weight;
		if (gate) {
			pn_eight_load(&value, place_of(gate, y, x, i), gate->arith);
			pn_eight_gate(&d, &value, PN_LEAK);
		}
		pn_eight_store(place_of(d_in, y, x, i), &d, d_in->arith);
	}
	for (int c = 0; c < STEP; c++)
		d_weights[i + c] += sum[c];
}

void pn_readout_backward(const float *weights, const struct pn_map *in,
			 const struct pn_map *d_image, const struct pn_map *d_in,
			 const struct pn_map *gate, float *d_weights, float *d_bias, int y0, int y1)
{
	assert_map(in, d_image, y0, y1);
	assert_map(d_in, d_image, y0, y1);
	pn_assert(d_in->channels == in->channels);
	if (gate) {
		assert_map(gate, d_image, y0, y1);
		pn_assert(gate->channels == in->channels);
	}
	for (int y = y0; y < y1; y++) {
		const float *d_row = pixel_of(d_image, y, 0);
		float sum = 0;

		for (int x = 0; x < in->nx; x++)
			sum += d_row[x];
		*d_bias += sum;
		for (int i = 0; i < in->channels; i += STEP)
			readout_channels(weights, in, d_row, d_in, gate, d_weights, i, y);
	}
}
