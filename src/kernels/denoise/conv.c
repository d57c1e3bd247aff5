/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/conv.h"

#include "conv_internal.h"
#include "perrin/base/cpu.h"

#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX 512 /* of all inputs, of all outputs */

struct pn_taps pn_taps_square(int side, int dilation, int hole)
{
	int half = side / 2;
	struct pn_taps taps = { 0 };

	pn_assert(side >= 1 && side <= 7 && side % 2 == 1);
	pn_assert(dilation >= 1 && half * dilation <= INT8_MAX);
	for (int y = -half; y <= half; y++)
		for (int x = -half; x <= half; x++) {
			if (hole && y == 0 && x == 0)
				continue;
			taps.dy[taps.count] = (int8_t)(y * dilation);
			taps.dx[taps.count] = (int8_t)(x * dilation);
			taps.count++;
		}
	return taps;
}

int pn_taps_reach(const struct pn_taps *taps)
{
	int reach = 0;

	for (int t = 0; t < taps->count; t++) {
		int dy = abs(taps->dy[t]), dx = abs(taps->dx[t]);
		int far = dy > dx ? dy : dx;

		reach = far > reach ? far : reach;
	}
	return reach;
}

static int total_of(const int *channels, int count)
{
	int total = 0;

	for (int k = 0; k < count; k++)
		total += channels[k];
	return total;
}

static int check_channels(const int *channels, int count, const char *what, struct pn_error *err)
{
	if (count < 1 || count > PN_MAPS_MAX)
		return pn_error_set(err, PN_EARG, "convolution: %d %s maps, not 1..%d", count, what,
				    PN_MAPS_MAX);
	for (int k = 0; k < count; k++)
		if (channels[k] < PN_CHANNEL_STEP || channels[k] > CHANNELS_MAX ||
		    channels[k] % PN_CHANNEL_STEP)
			return pn_error_set(err, PN_EARG,
					    "convolution: %s map %d of %d channels, not a "
					    "multiple of %d up to %d",
					    what, k, channels[k], PN_CHANNEL_STEP, CHANNELS_MAX);
	if (total_of(channels, count) > CHANNELS_MAX)
		return pn_error_set(err, PN_EARG, "convolution: %d %s channels, more than %d",
				    total_of(channels, count), what, CHANNELS_MAX);
	return PN_OK;
}

static int choose_kernels(const struct pn_conv_kernels **kernels, enum pn_arith arith,
			  struct pn_error *err)
{
	switch (arith) {
	case PN_ARITH_F32:
		*kernels = &pn_conv_f32;
		return PN_OK;
	case PN_ARITH_BF16:
		*kernels = &pn_conv_tiles;
		if (!pn_cpu_has_tiles())
			return pn_error_set(err, PN_EUNSUPPORTED,
					    "convolution in bf16: this processor has no matrix "
					    "tiles (AMX); f32 works everywhere");
		return PN_OK;
	case PN_ARITH_BF16_EMULATED:
		*kernels = &pn_conv_tiles_emulated;
		return PN_OK;
	}
	return pn_error_set(err, PN_EARG, "convolution: arithmetic %d is unknown", (int)arith);
}

int pn_conv_create(struct pn_conv **conv, const struct pn_conv_shape *shape, enum pn_arith arith,
		   struct pn_error *err)
{
	const struct pn_conv_kernels *kernels;

	*conv = NULL;
	if (shape->taps.count < 1 || shape->taps.count > PN_TAPS_MAX)
		return pn_error_set(err, PN_EARG, "convolution: %d taps, not 1..%d",
				    shape->taps.count, PN_TAPS_MAX);
	int code = check_channels(shape->in_channels, shape->inputs, "input", err);

	if (!code)
		code = check_channels(shape->out_channels, shape->outputs, "output", err);
	if (!code)
		code = choose_kernels(&kernels, arith, err);
	if (code)
		return code;
	size_t bytes = (kernels->packed_bytes(shape) + 63) / 64 * 64;
	struct pn_conv *made = malloc(sizeof *made);
	void *packed = aligned_alloc(64, bytes);

	if (!made || !packed) {
		free(made);
		free(packed);
		return pn_error_set(err, PN_ENOMEM, "convolution: %zu bytes of weights", bytes);
	}
	memset(packed, 0, bytes);
	*made = (struct pn_conv){
		.shape = *shape,
		.in_total = total_of(shape->in_channels, shape->inputs),
		.out_total = total_of(shape->out_channels, shape->outputs),
		.arith = arith,
		.kernels = kernels,
		.packed = packed,
	};
	*conv = made;
	return PN_OK;
}

void pn_conv_destroy(struct pn_conv *conv)
{
	if (!conv)
		return;
	free(conv->packed);
	free(conv);
}

size_t pn_conv_weight_count(const struct pn_conv_shape *shape)
{
	return (size_t)shape->taps.count * (size_t)total_of(shape->in_channels, shape->inputs) *
	       (size_t)total_of(shape->out_channels, shape->outputs);
}

void pn_conv_load(struct pn_conv *conv, const float *weights, const float *bias)
{
	conv->kernels->pack(conv, weights, bias);
}

/* The conditions on the maps of one side; those without data are not wanted. */
static void assert_maps(const struct pn_conv *conv, const struct pn_map *maps, const int *channels,
			int count, int border, const struct pn_map *like)
{
	for (int k = 0; k < count; k++) {
		if (!maps[k].data)
			continue;
		pn_assert(maps[k].arith == conv->arith);
		pn_assert(maps[k].channels == channels[k]);
		pn_assert(maps[k].pixel_stride >= channels[k]);
		pn_assert(maps[k].border >= border);
		pn_assert(maps[k].ny == like->ny && maps[k].nx == like->nx);
	}
}

static void assert_all_there(const struct pn_map *maps, int count, int y0, int y1)
{
	for (int k = 0; k < count; k++)
		pn_assert(maps[k].data);
	pn_assert(y0 >= 0 && y0 <= y1 && y1 <= maps[0].ny);
}

void pn_conv_forward(const struct pn_conv *conv, const struct pn_map *in, const struct pn_map *out,
		     int leaky, int y0, int y1)
{
	const struct pn_conv_shape *s = &conv->shape;

	assert_all_there(in, s->inputs, y0, y1);
	assert_all_there(out, s->outputs, y0, y1);
	assert_maps(conv, in, s->in_channels, s->inputs, pn_taps_reach(&s->taps), in);
	assert_maps(conv, out, s->out_channels, s->outputs, 0, in);
	conv->kernels->forward(conv, in, out, leaky, y0, y1);
}

void pn_conv_backward_data(const struct pn_conv *conv, const struct pn_map *d_out,
			   const struct pn_map *d_in, int add, const struct pn_map *gate, int y0,
			   int y1)
{
	const struct pn_conv_shape *s = &conv->shape;

	assert_all_there(d_out, s->outputs, y0, y1);
	assert_maps(conv, d_out, s->out_channels, s->outputs, pn_taps_reach(&s->taps), d_out);
	assert_maps(conv, d_in, s->in_channels, s->inputs, 0, d_out);
	if (gate)
		assert_maps(conv, gate, s->in_channels, s->inputs, 0, d_out);
	for (int k = 0; gate && k < s->inputs; k++)
		pn_assert(gate[k].data || !d_in[k].data);
	conv->kernels->backward_data(conv, d_out, d_in, add, gate, y0, y1);
}

void pn_conv_backward_weights(const struct pn_conv *conv, const struct pn_map *in,
			      const struct pn_map *d_out, float *d_weights, float *d_bias, int y0,
			      int y1)
{
	const struct pn_conv_shape *s = &conv->shape;

	assert_all_there(in, s->inputs, y0, y1);
	assert_all_there(d_out, s->outputs, y0, y1);
	assert_maps(conv, in, s->in_channels, s->inputs, pn_taps_reach(&s->taps), in);
	assert_maps(conv, d_out, s->out_channels, s->outputs, 0, in);
	conv->kernels->backward_weights(conv, in, d_out, d_weights, d_bias, y0, y1);
}
