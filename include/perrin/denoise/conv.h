/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/denoise/conv.h - the layers of the denoising network, forward and backward.
 *
 * One layer does nearly all: a convolution over a list of taps (offsets), which is a 1x1, a 3x3 of
 * any dilation, with or without its center, over several maps taken as one (concatenation) and into
 * several (a split). Two more are its ends: the stem reads an image, the readout gives one.
 *
 * Every function works on rows y0 .. y1 - 1 and in one thread: the caller shares rows or samples
 * out. A row's bytes do not depend on how they are shared.
 */
#ifndef PERRIN_DENOISE_CONV_H
#define PERRIN_DENOISE_CONV_H

#include "perrin/denoise/map.h"

#define PN_TAPS_MAX      49
#define PN_TAP_REACH_MAX 120  /* px */
#define PN_MAPS_MAX      8    /* inputs or outputs of one layer */
#define PN_LEAK          0.1f /* slope of the leaky ReLU below zero */
#define PN_CHANNELS_MAX  512  /* of all inputs or all outputs of one layer */

/** Offsets at which a layer looks, relative to the pixel it computes. */
struct pn_taps {
	int count;
	int8_t dy[PN_TAPS_MAX], dx[PN_TAPS_MAX];
};

/**
 * pn_taps_square - side x side taps (side odd, up to 7), @dilation apart; @hole: without the
 * center. In row order.
 */
struct pn_taps pn_taps_square(int side, int dilation, int hole);

/** Largest |offset| of the taps: maps that are read need this border. */
int pn_taps_reach(const struct pn_taps *taps);

/** What a convolution layer looks like. Channels are multiples of PN_CHANNEL_STEP, sums
 * at most PN_CHANNELS_MAX. */
struct pn_conv_shape {
	struct pn_taps taps;
	int inputs, in_channels[PN_MAPS_MAX];
	int outputs, out_channels[PN_MAPS_MAX];
};

struct pn_conv;

/**
 * pn_conv_create - a convolution layer; caller destroys.
 *
 *	out[p][o] = f(bias[o] + sum over taps t, inputs i of w[t][i][o] in[p + t][i])
 *
 * with inputs numbered through all input maps, outputs through all output maps; f the leaky ReLU of
 * slope PN_LEAK, or the identity.
 *
 * @arith: of all maps it will see
 *
 * Errors: PN_EARG (shape), PN_EUNSUPPORTED (bf16 on a processor without its tiles), PN_ENOMEM.
 * Thread: reentrant.
 */
int pn_conv_create(struct pn_conv **conv, const struct pn_conv_shape *shape, enum pn_arith arith,
		   struct pn_error *err);
void pn_conv_destroy(struct pn_conv *conv);

/** pn_conv_weight_count - taps x inputs x outputs; the bias has one per output. */
size_t pn_conv_weight_count(const struct pn_conv_shape *shape);

/**
 * pn_conv_load - take over new weights, for both directions.
 *
 * @weights: [tap][in][out] float32
 * @bias:    [out]
 *
 * Thread: not while the layer computes. Cost: two passes over the weights.
 */
void pn_conv_load(struct pn_conv *conv, const float *weights, const float *bias);

/**
 * pn_conv_forward - rows @y0 .. @y1 - 1 of the outputs, as above.
 *
 * @in:    maps of the shape's input channels, borders at least the reach of the taps
 * @out:   maps of the shape's output channels, of the same ny, nx; none overlaps an input
 * @leaky: 1 = leaky ReLU, 0 = identity
 *
 * Thread: reentrant (the layer is only read). Cost: 2 taps in out flops per pixel.
 */
void pn_conv_forward(const struct pn_conv *conv, const struct pn_map *in, const struct pn_map *out,
		     int leaky, int y0, int y1);

/**
 * pn_conv_backward_data - gradient of the loss by the inputs, from that by the outputs.
 *
 *	d_in[p][i] (+)= g(sum over taps t, outputs o of w[t][i][o] d_out[p - t][o])
 *
 * @d_out: gradients by the layer's sums (before the leaky ReLU), borders at least the reach
 * @d_in:  [out] gradients by the inputs; @d_in[k].data == NULL: not wanted
 * @add:   1 = add to what is there
 * @gate:  NULL, or the forward values of the inputs, themselves outputs of a leaky ReLU: then,
 * after the adding, d_in is multiplied by PN_LEAK where the value is <= 0. Give it at the last
 * layer that adds to a gradient, and it is that by the sums of the layer below
 *
 * Thread: reentrant. Cost: as forward.
 */
void pn_conv_backward_data(const struct pn_conv *conv, const struct pn_map *d_out,
			   const struct pn_map *d_in, int add, const struct pn_map *gate, int y0,
			   int y1);

/**
 * pn_conv_backward_weights - gradient of the loss by weights and bias, added to what is there.
 *
 *	d_weights[t][i][o] += sum over p of in[p + t][i] d_out[p][o];  d_bias[o] += sum of
 * d_out[p][o]
 *
 * @d_weights: [tap][in][out] float32;  @d_bias: [out]
 *
 * Thread: reentrant; each thread has its own sums. Cost: as forward.
 */
void pn_conv_backward_weights(const struct pn_conv *conv, const struct pn_map *in,
			      const struct pn_map *d_out, float *d_weights, float *d_bias, int y0,
			      int y1);

/**
 * pn_stem_forward - the first layer: an image to a map, out[p][o] = f(bias[o] + sum w[t][o]
 * image[p+t]).
 *
 * @image: [ny][nx] as a map of 1 channel (pixel_stride 1), always float32, border >= reach
 * @weights: [tap][out] float32, read as they are
 *
 * pn_stem_backward_weights adds to d_weights [tap][out] and d_bias [out]. An image has no gradient.
 */
void pn_stem_forward(const struct pn_taps *taps, const float *weights, const float *bias,
		     const struct pn_map *image, const struct pn_map *out, int leaky, int y0,
		     int y1);
void pn_stem_backward_weights(const struct pn_taps *taps, const struct pn_map *image,
			      const struct pn_map *d_out, float *d_weights, float *d_bias, int y0,
			      int y1);

/**
 * pn_readout_forward - the last layer: image[p] = bias + sum over i of w[i] in[p][i].
 *
 * @image: [out] map of 1 channel, float32
 *
 * pn_readout_backward: d_in[p][i] = w[i] d_image[p], gated by @gate as in pn_conv_backward_data
 * (may be NULL); adds to d_weights [in] and d_bias [1].
 */
void pn_readout_forward(const float *weights, const float *bias, const struct pn_map *in,
			const struct pn_map *image, int y0, int y1);
void pn_readout_backward(const float *weights, const struct pn_map *in,
			 const struct pn_map *d_image, const struct pn_map *d_in,
			 const struct pn_map *gate, float *d_weights, float *d_bias, int y0,
			 int y1);

#endif
