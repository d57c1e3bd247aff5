/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/spec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OFF(field) offsetof(struct pn_net_spec, field)

/* A network that knows nothing yet should say little: the mean of the images is right on average.
 */
#define READOUT_GAIN 0.01

const struct pn_param pn_net_spec_params[] = {
	{ .name = "frames",
	  .help = "frames of the window, the denoised one in the middle: 1, 3, 5, 7",
	  .type = PN_PARAM_I64,
	  .off = OFF(frames),
	  .def = 5,
	  .min = 1,
	  .max = PN_NET_FRAMES_MAX },
	{ .name = "blocks",
	  .help = "fusion blocks",
	  .type = PN_PARAM_I64,
	  .off = OFF(blocks),
	  .def = 14,
	  .min = 1,
	  .max = PN_NET_BLOCKS_MAX },
	{ .name = "channels",
	  .help = "channels of a branch, a multiple of 8",
	  .type = PN_PARAM_I64,
	  .off = OFF(channels),
	  .def = 24,
	  .min = PN_CHANNEL_STEP,
	  .max = 64 },
	{ .name = "spot_px",
	  .unit = "px",
	  .help = "side of the blind spot: 1, 3, 5",
	  .type = PN_PARAM_I64,
	  .off = OFF(spot_px),
	  .def = 1,
	  .min = 1,
	  .max = 5 },
	{ .name = "shared",
	  .help = "the branches of all frames share their weights",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(shared) },
	{ .name = "neighbor_channels",
	  .help = "channels by which a neighbour enters the fusion; 0 = all, as they are",
	  .type = PN_PARAM_I64,
	  .off = OFF(neighbor_channels),
	  .max = 64 },
	{ .name = "tap_channels",
	  .help = "channels collected from each block",
	  .type = PN_PARAM_I64,
	  .off = OFF(tap_channels),
	  .def = 24,
	  .min = PN_CHANNEL_STEP,
	  .max = 64 },
	{ .name = "head1",
	  .help = "channels of the head's first layer; 0 = none",
	  .type = PN_PARAM_I64,
	  .off = OFF(head1),
	  .def = 96,
	  .max = 256 },
	{ .name = "head2",
	  .help = "channels of the head's second layer; 0 = none",
	  .type = PN_PARAM_I64,
	  .off = OFF(head2),
	  .def = 48,
	  .max = 256 },
	{ .name = "widening",
	  .help = "dilation of the branch's convolution b is 1 + (b - 1) / widening; 0 = always 1",
	  .type = PN_PARAM_I64,
	  .off = OFF(widening),
	  .max = PN_NET_BLOCKS_MAX },
	{ 0 },
};

const struct pn_preset pn_presets[] = {
	{ .name = "paper",
	  .brief = "the network of the paper: 14 blocks, 24 channels, a branch for each frame",
	  .spec = { .frames = 5,
		    .blocks = 14,
		    .channels = 24,
		    .spot_px = 1,
		    .tap_channels = 24,
		    .head1 = 96,
		    .head2 = 48 } },
	{ .name = "live",
	  .brief = "shared branches that widen: keeps up with a camera where the processor has "
		   "tiles",
	  .spec = { .frames = 5,
		    .blocks = 6,
		    .channels = 32,
		    .spot_px = 1,
		    .shared = 1,
		    .neighbor_channels = 8,
		    .tap_channels = 16,
		    .head1 = 64,
		    .head2 = 32,
		    .widening = 1 } },
	{ .name = "fast",
	  .brief = "half the channels, one block less: for processors without tiles",
	  .spec = { .frames = 5,
		    .blocks = 5,
		    .channels = 16,
		    .spot_px = 1,
		    .shared = 1,
		    .neighbor_channels = 8,
		    .tap_channels = 8,
		    .head1 = 32,
		    .head2 = 16,
		    .widening = 1 } },
	{ 0 },
};

const struct pn_preset *pn_preset_find(const char *name)
{
	for (const struct pn_preset *preset = pn_presets; preset->name; preset++)
		if (!strcmp(preset->name, name))
			return preset;
	return NULL;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int check_ranges(const struct pn_net_spec *spec, struct pn_error *err)
{
	for (const struct pn_param *row = pn_net_spec_params; row->name; row++) {
		int64_t value;

		if (row->type != PN_PARAM_I64)
			continue;
		memcpy(&value, (const char *)spec + row->off, sizeof value);
		if ((double)value < row->min || (double)value > row->max)
			return pn_error_set(err, PN_EARG, "network: %s = %lld: must be %g..%g",
					    row->name, (long long)value, row->min, row->max);
	}
	return PN_OK;
}

static int check_channels(const struct pn_net_spec *spec, struct pn_error *err)
{
	const struct {
		const char *name;
		int64_t value;
	} counts[] = {
		{ "channels", spec->channels },
		{ "neighbor_channels", spec->neighbor_channels },
		{ "tap_channels", spec->tap_channels },
		{ "head1", spec->head1 },
		{ "head2", spec->head2 },
	};

	for (unsigned i = 0; i < PN_COUNT(counts); i++)
		if (counts[i].value % PN_CHANNEL_STEP)
			return pn_error_set(
				err, PN_EARG, "network: %s = %lld: must be a multiple of %d",
				counts[i].name, (long long)counts[i].value, PN_CHANNEL_STEP);
	return PN_OK;
}

int pn_net_spec_check(const struct pn_net_spec *spec, struct pn_error *err)
{
	int rc = check_ranges(spec, err);

	if (!rc)
		rc = check_channels(spec, err);
	if (rc)
		return rc;
	if (spec->frames % 2 == 0 || spec->spot_px % 2 == 0)
		return pn_error_set(err, PN_EARG,
				    "network: frames = %lld, spot_px = %lld: must be odd",
				    (long long)spec->frames, (long long)spec->spot_px);
	if (spec->neighbor_channels && !spec->shared)
		return pn_error_set(err, PN_EARG,
				    "network: neighbor_channels = %lld needs shared branches",
				    (long long)spec->neighbor_channels);
	if (spec->head2 && !spec->head1)
		return pn_error_set(err, PN_EARG, "network: head2 = %lld without head1",
				    (long long)spec->head2);
	if (spec->blocks * spec->tap_channels > PN_CHANNELS_MAX ||
	    spec->frames * spec->channels > PN_CHANNELS_MAX)
		return pn_error_set(
			err, PN_EARG,
			"network: %lld blocks of %lld tap channels, %lld frames of %lld "
			"channels: a layer takes up to %d",
			(long long)spec->blocks, (long long)spec->tap_channels,
			(long long)spec->frames, (long long)spec->channels, PN_CHANNELS_MAX);
	return PN_OK;
}

/* ---- layout -------------------------------------------------------------------------------- */

/* Radii: what the own frame's features have seen, and how far away the taps must look. */
static void lay_out_field(struct pn_net_layout *layout, const struct pn_net_spec *spec)
{
	int ring = (int)(spec->spot_px + 1) / 2, blocks = (int)spec->blocks;

	layout->lead = spec->shared && spec->frames > 1 ? ring : 0;
	layout->levels = blocks + layout->lead;
	layout->radius_px[0] = 0;
	for (int b = 1; b <= layout->levels; b++) {
		layout->dilation[b] = spec->widening ? 1 + (b - 1) / (int)spec->widening : 1;
		layout->radius_px[b] = layout->radius_px[b - 1] + layout->dilation[b];
	}
	for (int b = 1; b <= blocks; b++)
		layout->distance_px[b] = layout->radius_px[b] + ring;
	/* neighbours see further: by their wider stem, or by the levels they are ahead */
	int ahead = spec->frames == 1 ? layout->radius_px[blocks]
		    : spec->shared    ? layout->radius_px[layout->levels]
				      : layout->radius_px[blocks] + ring;
	layout->field_px = layout->distance_px[blocks] + ahead;
}

/* Further than that no tap can look. */
static int check_field(const struct pn_net_layout *layout, const struct pn_net_spec *spec,
		       struct pn_error *err)
{
	int distance = layout->distance_px[spec->blocks];

	if (distance <= PN_TAP_REACH_MAX)
		return PN_OK;
	return pn_error_set(
		err, PN_EARG, "network: %lld blocks, widening %lld: taps %d px away, at most %d",
		(long long)spec->blocks, (long long)spec->widening, distance, PN_TAP_REACH_MAX);
}

static struct pn_layer *add_layer(struct pn_net_layout *layout, enum pn_layer_kind kind,
				  enum pn_layer_role role, int branch, int level)
{
	struct pn_layer *layer = &layout->layers[layout->layer_count++];

	memset(layer, 0, sizeof *layer);
	layer->kind = kind;
	layer->role = role;
	layer->branch = branch;
	layer->level = level;
	layer->leaky = kind != PN_LAYER_READOUT && role != PN_ROLE_PROJECT;
	layer->shape.taps = pn_taps_square(1, 1, 0);
	layer->shape.inputs = layer->shape.outputs = 1;
	return layer;
}

/* Place the parameters of the layer just described behind those before it. */
static void close_layer(struct pn_net_layout *layout, struct pn_layer *layer)
{
	const struct pn_conv_shape *shape = &layer->shape;
	int out = 0;

	for (int o = 0; o < shape->outputs; o++)
		out += shape->out_channels[o];
	layer->weights = layout->param_count;
	layer->weight_count = pn_conv_weight_count(shape);
	layer->bias = layer->weights + layer->weight_count;
	layer->bias_count = (size_t)out;
	layout->param_count = layer->bias + layer->bias_count;
	/* the stem and the branch are computed once for each frame if shared, else for each window
	 */
	layout->mac_per_px += (double)layer->weight_count;
}

static void add_branch(struct pn_net_layout *layout, const struct pn_net_spec *spec, int branch)
{
	int side = branch ? (int)spec->spot_px + 2 : 1;
	struct pn_layer *layer = add_layer(layout, PN_LAYER_STEM, PN_ROLE_STEM, branch, 0);

	layer->shape.taps = pn_taps_square(side, 1, 0);
	layer->shape.in_channels[0] = 1;
	layer->shape.out_channels[0] = (int)spec->channels;
	close_layer(layout, layer);
	for (int b = 1; b <= layout->levels; b++) {
		layer = add_layer(layout, PN_LAYER_CONV, PN_ROLE_BRANCH, branch, b);
		layer->shape.taps = pn_taps_square(3, layout->dilation[b], 0);
		layer->shape.in_channels[0] = layer->shape.out_channels[0] = (int)spec->channels;
		close_layer(layout, layer);
	}
}

static void add_block(struct pn_net_layout *layout, const struct pn_net_spec *spec, int block)
{
	int neighbors = (int)spec->frames - 1, projected = (int)spec->neighbor_channels;
	int entering = projected ? projected : (int)spec->channels;
	struct pn_layer *layer;

	if (projected && neighbors) {
		layer = add_layer(layout, PN_LAYER_CONV, PN_ROLE_PROJECT, 0, block);
		layer->shape.in_channels[0] = (int)spec->channels;
		layer->shape.outputs = neighbors;
		for (int n = 0; n < neighbors; n++)
			layer->shape.out_channels[n] = projected;
		close_layer(layout, layer);
	}
	layer = add_layer(layout, PN_LAYER_CONV, PN_ROLE_FUSE, 0, block);
	layer->shape.inputs = 1 + neighbors;
	layer->shape.in_channels[0] = (int)spec->channels;
	for (int n = 1; n <= neighbors; n++)
		layer->shape.in_channels[n] = entering;
	layer->shape.out_channels[0] = (int)spec->channels;
	close_layer(layout, layer);

	layer = add_layer(layout, PN_LAYER_CONV, PN_ROLE_TAP, 0, block);
	layer->shape.taps = pn_taps_square(3, layout->distance_px[block], 1);
	layer->shape.in_channels[0] = (int)spec->channels;
	layer->shape.out_channels[0] = (int)spec->tap_channels;
	close_layer(layout, layer);
}

static void add_head(struct pn_net_layout *layout, const struct pn_net_spec *spec)
{
	int channels = (int)(spec->blocks * spec->tap_channels);
	const int64_t head[2] = { spec->head1, spec->head2 };
	struct pn_layer *layer;

	for (int h = 0; h < 2; h++) {
		if (!head[h])
			continue;
		layer = add_layer(layout, PN_LAYER_CONV, PN_ROLE_HEAD, 0, h + 1);
		layer->shape.in_channels[0] = channels;
		layer->shape.out_channels[0] = (int)head[h];
		close_layer(layout, layer);
		channels = (int)head[h];
	}
	layer = add_layer(layout, PN_LAYER_READOUT, PN_ROLE_READOUT, 0, 0);
	layer->shape.in_channels[0] = channels;
	layer->shape.out_channels[0] = 1;
	close_layer(layout, layer);
}

int pn_net_layout_make(struct pn_net_layout *layout, const struct pn_net_spec *spec,
		       struct pn_error *err)
{
	int rc = pn_net_spec_check(spec, err);

	memset(layout, 0, sizeof *layout);
	if (rc)
		return rc;
	lay_out_field(layout, spec);
	rc = check_field(layout, spec, err);
	if (rc)
		return rc;
	for (int branch = 0; branch < (spec->shared ? 1 : spec->frames); branch++)
		add_branch(layout, spec, branch);
	for (int block = 1; block <= spec->blocks; block++)
		add_block(layout, spec, block);
	add_head(layout, spec);
	return PN_OK;
}

const struct pn_layer *pn_layer_find(const struct pn_net_layout *layout, enum pn_layer_role role,
				     int branch, int level)
{
	for (int i = 0; i < layout->layer_count; i++) {
		const struct pn_layer *layer = &layout->layers[i];

		if (layer->role == role && layer->branch == branch && layer->level == level)
			return layer;
	}
	return NULL;
}

void pn_net_params_init(const struct pn_net_layout *layout, float *params, struct pn_rng *rng)
{
	memset(params, 0, layout->param_count * sizeof *params);
	for (int i = 0; i < layout->layer_count; i++) {
		const struct pn_layer *layer = &layout->layers[i];
		double inputs = (double)layer->weight_count / (double)layer->bias_count;
		double gain = layer->leaky ? 2.0 / (1 + (double)PN_LEAK * PN_LEAK)
			      : layer->kind == PN_LAYER_READOUT ? READOUT_GAIN
								: 1;

		for (size_t k = 0; k < layer->weight_count; k++)
			params[layer->weights + k] =
				(float)(sqrt(gain / inputs) * pn_rng_gauss(rng));
	}
}
