/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A forward pass as launches. Every launch is for all clips, and all their images or windows. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define STAGED_MAX (64 << 10) /* bytes of a tile with its halo that are worth a block's memory */

/* ---- views --------------------------------------------------------------------------------- */

struct pn_gpu_batch pn_gpu_sets(const struct pn_cuda_clips *c)
{
	int items = c->net->spec.shared ? c->images : c->targets;

	return (struct pn_gpu_batch){ c->clips * items, items };
}

struct pn_gpu_batch pn_gpu_windows(const struct pn_cuda_clips *c)
{
	return (struct pn_gpu_batch){ c->clips * c->targets, c->targets };
}

static struct pn_gpu_view view_of(const struct pn_cuda_clips *c, struct pn_gpu_maps maps, int first,
				  int per_clip, int per_item)
{
	return (struct pn_gpu_view){ .data = maps.data,
				     .map_stride = (int64_t)c->ny * c->nx * maps.channels,
				     .pixel_stride = maps.channels,
				     .first = first,
				     .per_clip = per_clip,
				     .per_item = per_item };
}

/* The image that branch @branch of the first window reads: its own frame is in the middle. */
static int image_of(const struct pn_cuda_clips *c, int branch)
{
	int half = (int)c->net->spec.frames / 2;

	return branch == 0 ? half : branch <= half ? branch - 1 : branch;
}

struct pn_gpu_view pn_gpu_of_sets(const struct pn_cuda_clips *c, struct pn_gpu_maps maps,
				  int branch)
{
	return view_of(c, maps, branch, c->sets, c->branches);
}

struct pn_gpu_view pn_gpu_of_windows(const struct pn_cuda_clips *c, struct pn_gpu_maps maps)
{
	return view_of(c, maps, 0, c->targets, 1);
}

struct pn_gpu_view pn_gpu_of_inputs(const struct pn_cuda_clips *c, struct pn_gpu_maps maps, int n)
{
	return view_of(c, maps, c->net->spec.shared ? image_of(c, n) : n, c->sets, c->branches);
}

struct pn_gpu_view pn_gpu_images_of_sets(const struct pn_cuda_clips *c, int branch)
{
	return view_of(c, c->image, c->net->spec.shared ? 0 : image_of(c, branch), c->images, 1);
}

struct pn_gpu_view pn_gpu_own_images(const struct pn_cuda_clips *c)
{
	return view_of(c, c->image, image_of(c, 0), c->images, 1);
}

struct pn_gpu_view pn_gpu_slice(struct pn_gpu_view view, int first)
{
	view.data = (uint16_t *)view.data + first;
	return view;
}

struct pn_gpu_view pn_gpu_fusion_input(const struct pn_cuda_clips *c,
				       const struct pn_gpu_features *f, int block, int n)
{
	const struct pn_cuda_net *net = c->net;

	if (n == 0)
		return pn_gpu_of_inputs(c, f->level[block], 0);
	if (net->project[block])
		return pn_gpu_slice(pn_gpu_of_inputs(c, f->projected[block], n),
				    (n - 1) * (int)net->spec.neighbor_channels);
	return pn_gpu_of_inputs(c, f->level[block + net->layout.lead], n);
}

/* ---- launches ------------------------------------------------------------------------------ */

void pn_gpu_run(struct pn_cuda_clips *c, enum pn_gpu_kernel kernel, int x, int y, int z,
		size_t shared_bytes, const void *args)
{
	if (!c->failed)
		c->failed = c->net->gpu->launch(kernel, x, y, z, shared_bytes, args);
}

static int blocks_for(int64_t threads)
{
	return (int)((threads + PN_GPU_THREADS - 1) / PN_GPU_THREADS);
}

static int reach_of(const struct pn_gpu_product *product)
{
	int reach = 0;

	for (int k = 0; k < product->chunks; k++) {
		int dy = abs(product->chunk[k].dy), dx = abs(product->chunk[k].dx);

		reach = dy > reach ? dy : reach;
		reach = dx > reach ? dx : reach;
	}
	return reach;
}

/* Square tiles where a pixel's neighbours matter; else all pixels are one row. */
static int lay_out_tiles(const struct pn_cuda_clips *c, struct pn_gpu_conv *conv)
{
	const int side = PN_GPU_TILE_PX;

	if (conv->reach) {
		conv->ny = c->ny;
		conv->nx = c->nx;
		conv->tile_h = conv->tile_w = side;
		conv->tiles_x = (c->nx + side - 1) / side;
		return conv->tiles_x * ((c->ny + side - 1) / side);
	}
	conv->ny = 1;
	conv->nx = c->ny * c->nx;
	conv->tile_h = 1;
	conv->tile_w = PN_GPU_LINE_PX;
	conv->tiles_x = (conv->nx + PN_GPU_LINE_PX - 1) / PN_GPU_LINE_PX;
	conv->line_shift = 4; /* PN_GPU_LINE_PX is so many rows of 16 */
	return conv->tiles_x;
}

void pn_gpu_convolve(struct pn_cuda_clips *c, struct pn_gpu_conv *conv,
		     const struct pn_gpu_product *product, int in_channels,
		     struct pn_gpu_batch batch)
{
	size_t table = (size_t)product->groups * 64, tile;
	int pitch;

	conv->reach = reach_of(product);
	conv->weights = c->net->packed + product->first;
	conv->items = batch.items;
	conv->chunks = product->chunks;
	conv->groups = product->groups;
	conv->blocks = product->blocks;
	conv->channels = in_channels;
	memcpy(conv->chunk, product->chunk, sizeof conv->chunk);
	pitch = PN_GPU_TILE_PX + 2 * conv->reach;
	tile = (size_t)(pitch * pitch * in_channels) * sizeof(uint16_t);
	int staged = conv->reach && tile <= STAGED_MAX;
	int tiles = lay_out_tiles(c, conv);
	pn_assert(staged || !conv->from_stem);
	pn_gpu_run(c,
		   (enum pn_gpu_kernel)((staged ? PN_GPU_CONV_STAGED : PN_GPU_CONV_DIRECT) +
					product->frags - 1),
		   tiles, 1, batch.count, table + (staged ? tile : 0), conv);
}

/* ---- the network --------------------------------------------------------------------------- */

static const float *bias_of(const struct pn_cuda_net *net, const struct pn_gpu_layer *layer)
{
	return net->params + layer->plan->bias;
}

static struct pn_gpu_stem stem_of(const struct pn_cuda_clips *c, int branch)
{
	const struct pn_cuda_net *net = c->net;
	const struct pn_gpu_layer *layer = net->stem[branch];
	const struct pn_taps *taps = &layer->plan->shape.taps;
	struct pn_gpu_stem stem = { .image = pn_gpu_images_of_sets(c, branch),
				    .weights = net->params + layer->plan->weights,
				    .bias = bias_of(net, layer),
				    .taps = taps->count,
				    .channels = layer->out_channels,
				    .offset = (float)net->offset,
				    .inverse = (float)(1 / net->scale) };

	memcpy(stem.dy, taps->dy, (size_t)taps->count);
	memcpy(stem.dx, taps->dx, (size_t)taps->count);
	return stem;
}

static void run_stem(struct pn_cuda_clips *c, int branch)
{
	struct pn_gpu_batch batch = pn_gpu_sets(c);
	struct pn_gpu_stem_run run = { .stem = stem_of(c, branch),
				       .out = pn_gpu_of_sets(c, c->features.level[0], branch),
				       .ny = c->ny,
				       .nx = c->nx,
				       .items = batch.items };

	pn_gpu_run(c, PN_GPU_STEM, blocks_for((int64_t)c->ny * c->nx * run.stem.channels / 8), 1,
		   batch.count, 0, &run);
}

/* A level of a branch; in the same pass the stem before it, where nobody asks for its map later,
 * and the projection for the neighbours after it. */
static void run_level(struct pn_cuda_clips *c, int branch, int level)
{
	const struct pn_cuda_net *net = c->net;
	const struct pn_gpu_layer *layer = net->branch[branch][level];
	int block = level - net->layout.lead;
	const struct pn_gpu_layer *project = block >= 1 ? net->project[block] : NULL;
	struct pn_gpu_features *f = &c->features;
	struct pn_gpu_conv conv = { .in = { pn_gpu_of_sets(c, f->level[level - 1], branch) },
				    .out = pn_gpu_of_sets(c, f->level[level], branch),
				    .bias = bias_of(net, layer),
				    .leaky = 1,
				    .keep = 1 };

	if (level == 1 && !c->train) {
		conv.from_stem = 1;
		conv.stem = stem_of(c, branch);
	} else if (level == 1) {
		run_stem(c, branch);
	}
	if (project && net->chain_project) {
		conv.next_out = pn_gpu_of_sets(c, f->projected[block], branch);
		conv.next_weights = net->packed + project->chained.first;
		conv.next_bias = bias_of(net, project);
		conv.next_blocks = project->chained.blocks;
		/* nobody else looks at levels above the last block's */
		conv.keep = c->train || level < net->layout.levels;
	}
	pn_gpu_convolve(c, &conv, &layer->forward, (int)net->spec.channels, pn_gpu_sets(c));
	if (project && !net->chain_project) {
		struct pn_gpu_conv own = { .in = { conv.out },
					   .out = pn_gpu_of_sets(c, f->projected[block], branch),
					   .bias = bias_of(net, project),
					   .keep = 1 };

		pn_gpu_convolve(c, &own, &project->forward, (int)net->spec.channels,
				pn_gpu_sets(c));
	}
}

static void run_block(struct pn_cuda_clips *c, int block)
{
	const struct pn_cuda_net *net = c->net;
	struct pn_gpu_window *w = &c->window;
	int taps = (int)net->spec.tap_channels;
	struct pn_gpu_conv fuse = { .out = pn_gpu_of_windows(c, w->fused[block]),
				    .bias = bias_of(net, net->fuse[block]),
				    .leaky = 1,
				    .keep = 1 };
	struct pn_gpu_conv tap = { .in = { fuse.out },
				   .out = pn_gpu_slice(pn_gpu_of_windows(c, w->collected),
						       (block - 1) * taps),
				   .bias = bias_of(net, net->tap[block]),
				   .leaky = 1,
				   .keep = 1 };

	for (int n = 0; n < net->spec.frames; n++)
		fuse.in[n] = pn_gpu_fusion_input(c, &c->features, block, n);
	pn_gpu_convolve(c, &fuse, &net->fuse[block]->forward, net->fuse[block]->in_channels,
			pn_gpu_windows(c));
	pn_gpu_convolve(c, &tap, &net->tap[block]->forward, (int)net->spec.channels,
			pn_gpu_windows(c));
}

static void run_head(struct pn_cuda_clips *c, float offset, float scale)
{
	const struct pn_cuda_net *net = c->net;
	struct pn_gpu_batch batch = pn_gpu_windows(c);
	const struct pn_gpu_layer *first = net->head[0], *second = net->head[1];
	struct pn_gpu_head head = { .in = pn_gpu_of_windows(c, c->window.collected),
				    .out = pn_gpu_of_windows(c, c->out),
				    .weights = { net->packed + first->chained.first,
						 net->packed + second->chained.first },
				    .bias = { bias_of(net, first), bias_of(net, second) },
				    .readout_weights = net->params + net->readout->plan->weights,
				    .readout_bias = bias_of(net, net->readout),
				    .pixels = c->ny * c->nx,
				    .items = batch.items,
				    .chunks = first->chained.chunks,
				    .groups = first->chained.groups,
				    .offset = offset,
				    .scale = scale };

	pn_gpu_run(c, net->head_kernel, (head.pixels + PN_GPU_HEAD_PX - 1) / PN_GPU_HEAD_PX, 1,
		   batch.count, 0, &head);
}

/* The head layer by layer: for widths without a kernel, and where training wants the maps. */
static void run_head_layers(struct pn_cuda_clips *c, float offset, float scale)
{
	const struct pn_cuda_net *net = c->net;
	struct pn_gpu_batch batch = pn_gpu_windows(c);
	struct pn_gpu_maps from = c->window.collected;

	for (int h = 0; h < 2; h++) {
		if (!net->head[h])
			continue;
		struct pn_gpu_conv conv = { .in = { pn_gpu_of_windows(c, from) },
					    .out = pn_gpu_of_windows(c, c->window.head[h]),
					    .bias = bias_of(net, net->head[h]),
					    .leaky = 1,
					    .keep = 1 };

		pn_gpu_convolve(c, &conv, &net->head[h]->forward, from.channels, batch);
		from = c->window.head[h];
	}
	struct pn_gpu_simple readout = { .in = pn_gpu_of_windows(c, from),
					 .out = pn_gpu_of_windows(c, c->out),
					 .weights = net->params + net->readout->plan->weights,
					 .bias = bias_of(net, net->readout),
					 .ny = c->ny,
					 .nx = c->nx,
					 .items = batch.items,
					 .channels = from.channels,
					 .offset = offset,
					 .scale = scale };

	pn_gpu_run(c, PN_GPU_READOUT, blocks_for((int64_t)c->ny * c->nx), 1, batch.count, 0,
		   &readout);
}

/* Block after block, so that the maps a launch reads are those just written. */
void pn_gpu_forward(struct pn_cuda_clips *c)
{
	const struct pn_cuda_net *net = c->net;
	float offset = c->train ? 0 : (float)net->offset, scale = c->train ? 1 : (float)net->scale;

	for (int level = 1; level <= net->layout.levels; level++) {
		for (int r = 0; r < c->branches; r++)
			run_level(c, r, level);
		if (level > net->layout.lead)
			run_block(c, level - net->layout.lead);
	}
	if (net->chain_head && !c->train)
		run_head(c, offset, scale);
	else
		run_head_layers(c, offset, scale);
}
