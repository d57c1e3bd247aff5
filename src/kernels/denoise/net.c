/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/net.h"

#include "net_internal.h"
#include "perrin/base/cpu.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum pn_arith pn_arith_best(void)
{
	return pn_cpu_has_tiles() ? PN_ARITH_BF16 : PN_ARITH_F32;
}

/* ---- making -------------------------------------------------------------------------------- */

static void index_layer(struct pn_net *net, struct pn_net_layer *layer)
{
	int branch = layer->plan->branch, level = layer->plan->level;

	switch (layer->plan->role) {
	case PN_ROLE_STEM:
		net->stem[branch] = layer;
		break;
	case PN_ROLE_BRANCH:
		net->branch[branch][level] = layer;
		break;
	case PN_ROLE_PROJECT:
		net->project[level] = layer;
		break;
	case PN_ROLE_FUSE:
		net->fuse[level] = layer;
		break;
	case PN_ROLE_TAP:
		net->tap[level] = layer;
		break;
	case PN_ROLE_HEAD:
		net->head[level - 1] = layer;
		break;
	case PN_ROLE_READOUT:
		net->readout = layer;
		break;
	}
}

static int make_layers(struct pn_net *net, struct pn_error *err)
{
	int rc = PN_OK;

	for (int i = 0; i < net->layout.layer_count && !rc; i++) {
		struct pn_net_layer *layer = &net->layers[i];

		layer->plan = &net->layout.layers[i];
		index_layer(net, layer);
		if (layer->plan->kind == PN_LAYER_CONV)
			rc = pn_conv_create(&layer->conv, &layer->plan->shape, net->arith, err);
	}
	return rc;
}

int pn_net_create(struct pn_net **net, const struct pn_net_spec *spec, enum pn_arith arith,
		  struct pn_error *err)
{
	struct pn_net *n = calloc(1, sizeof *n);

	*net = NULL;
	if (!n)
		return pn_error_set(err, PN_ENOMEM, "network: no memory");
	n->spec = *spec;
	n->arith = arith;
	int rc = pn_net_layout_make(&n->layout, spec, err);
	if (!rc)
		rc = make_layers(n, err);
	if (!rc) {
		n->params = calloc(n->layout.param_count, sizeof *n->params);
		if (!n->params)
			rc = pn_error_set(err, PN_ENOMEM, "network: no memory for %zu parameters",
					  n->layout.param_count);
	}
	if (rc) {
		pn_net_destroy(n);
		return rc;
	}
	*net = n;
	return PN_OK;
}

void pn_net_destroy(struct pn_net *net)
{
	if (!net)
		return;
	for (int i = 0; i < net->layout.layer_count; i++)
		pn_conv_destroy(net->layers[i].conv);
	free(net->params);
	free(net);
}

const struct pn_net_spec *pn_net_spec_of(const struct pn_net *net)
{
	return &net->spec;
}

const struct pn_net_layout *pn_net_layout_of(const struct pn_net *net)
{
	return &net->layout;
}

enum pn_arith pn_net_arith(const struct pn_net *net)
{
	return net->arith;
}

void pn_net_load(struct pn_net *net, const float *params)
{
	memcpy(net->params, params, net->layout.param_count * sizeof *params);
	for (int i = 0; i < net->layout.layer_count; i++) {
		const struct pn_net_layer *layer = &net->layers[i];

		if (layer->conv)
			pn_conv_load(layer->conv, net->params + layer->plan->weights,
				     net->params + layer->plan->bias);
	}
}

/* ---- room for maps ------------------------------------------------------------------------- */

struct pn_map pn_arena_map(struct pn_arena *arena, const struct pn_room *room, enum pn_arith arith,
			   int border, int channels)
{
	/* while it is only counted the place is never touched */
	char *at = arena->base ? arena->base + arena->used : NULL;
	size_t bytes = pn_map_bytes(arith, room->ny, room->nx, border, channels);

	arena->used += bytes;
	return at ? pn_map_place(at, arith, room->ny, room->nx, border, channels)
		  : (struct pn_map){ 0 };
}

int pn_net_stem_reach(const struct pn_net *net)
{
	return pn_taps_reach(
		&net->stem[net->spec.shared ? 0 : net->spec.frames - 1]->plan->shape.taps);
}

static int larger(int a, int b)
{
	return a > b ? a : b;
}

/* Border of a branch's map: the convolution above reads it; backward, that of the same level does.
 */
static int level_border(const struct pn_net *net, const struct pn_room *room, int level)
{
	const struct pn_net_layout *layout = &net->layout;

	if (room->gradients)
		return level ? layout->dilation[level] : 0;
	int above = level < layout->levels ? layout->dilation[level + 1] : 0;

	return larger(above, net->project[1] ? 0 : room->shift);
}

static void place_projections(struct pn_features *features, const struct pn_net *net,
			      const struct pn_room *room, int block, struct pn_arena *arena)
{
	int neighbors = (int)net->spec.frames - 1, channels = (int)net->spec.neighbor_channels;

	for (int n = 0; n < neighbors; n++)
		features->project[block][n] =
			pn_arena_map(arena, room, room->arith,
				     room->gradients ? 0 : room->shift, channels);
}

void pn_features_place(struct pn_features *features, const struct pn_net *net,
		       const struct pn_room *room, struct pn_arena *arena)
{
	for (int b = 0; b <= net->layout.levels; b++)
		features->level[b] =
			pn_arena_map(arena, room, room->arith, level_border(net, room, b),
				     (int)net->spec.channels);
	for (int b = 1; b <= net->spec.blocks; b++)
		if (net->project[b])
			place_projections(features, net, room, b, arena);
}

void pn_window_place(struct pn_window *window, const struct pn_net *net, const struct pn_room *room,
		     struct pn_arena *arena)
{
	int blocks = (int)net->spec.blocks, taps = (int)net->spec.tap_channels;
	int far = net->layout.distance_px[blocks];

	for (int b = 1; b <= blocks; b++)
		window->fused[b] =
			room->one_fused && b > 1
				? window->fused[1]
				: pn_arena_map(arena, room, room->arith,
					       room->gradients   ? 0
					       : room->one_fused ? far
								 : net->layout.distance_px[b],
					       (int)net->spec.channels);
	window->collected =
		pn_arena_map(arena, room, room->arith, room->gradients ? far : 0, blocks * taps);
	for (int b = 1; b <= blocks && arena->base; b++)
		window->tap[b] = pn_map_slice(&window->collected, (b - 1) * taps, taps);
	for (int h = 0; h < 2; h++)
		if (net->head[h])
			window->head[h] = pn_arena_map(arena, room, room->arith, 0,
						       net->head[h]->plan->shape.out_channels[0]);
	window->out = pn_arena_map(arena, room, PN_ARITH_F32, 0, 1);
}

/* ---- forward ------------------------------------------------------------------------------- */

/* One layer of any kind on rows y0 .. y1 - 1. */
static void layer_rows(const struct pn_net *net, const struct pn_net_layer *layer,
		       const struct pn_map *in, const struct pn_map *out, int y0, int y1)
{
	const struct pn_layer *plan = layer->plan;
	const float *weights = net->params + plan->weights, *bias = net->params + plan->bias;

	if (plan->kind == PN_LAYER_STEM)
		pn_stem_forward(&plan->shape.taps, weights, bias, in, out, plan->leaky, y0, y1);
	else if (plan->kind == PN_LAYER_READOUT)
		pn_readout_forward(weights, bias, in, out, y0, y1);
	else
		pn_conv_forward(layer->conv, in, out, plan->leaky, y0, y1);
}

/* Each thread keeps the same rows through all layers, so that they stay in its cache. */
static void layer_forward(const struct pn_net *net, const struct pn_net_layer *layer,
			  const struct pn_map *in, const struct pn_map *out)
{
	int ny = out->ny, threads = omp_in_parallel() ? 1 : omp_get_max_threads();

	if (threads > ny)
		threads = ny;
	if (threads == 1) {
		layer_rows(net, layer, in, out, 0, ny);
		return;
	}
#pragma omp parallel for schedule(static) num_threads(threads)
	for (int k = 0; k < threads; k++)
		layer_rows(net, layer, in, out, ny * k / threads, ny * (k + 1) / threads);
}

void pn_features_forward(const struct pn_net *net, int branch, struct pn_features *features)
{
	layer_forward(net, net->stem[branch], &features->image, &features->level[0]);
	for (int b = 1; b <= net->layout.levels; b++)
		layer_forward(net, net->branch[branch][b], &features->level[b - 1],
			      &features->level[b]);
	for (int b = 1; b <= net->spec.blocks; b++)
		if (net->project[b])
			layer_forward(net, net->project[b], &features->level[b + net->layout.lead],
				      features->project[b]);
}

void pn_fusion_inputs(const struct pn_net *net, int block, struct pn_features *const *features,
		      struct pn_map *in)
{
	in[0] = features[0]->level[block];
	for (int n = 1; n < net->spec.frames; n++)
		in[n] = net->project[block] ? features[n]->project[block][n - 1]
					    : features[n]->level[block + net->layout.lead];
}

void pn_window_forward(const struct pn_net *net, struct pn_features *const *features, const int *dy,
		       const int *dx, struct pn_window *window)
{
	for (int b = 1; b <= net->spec.blocks; b++) {
		struct pn_map in[PN_NET_FRAMES_MAX];

		pn_fusion_inputs(net, b, features, in);
		for (int n = 1; n < net->spec.frames; n++)
			if (dy[n] || dx[n])
				in[n] = pn_map_shift(&in[n], dy[n], dx[n]);
		layer_forward(net, net->fuse[b], in, &window->fused[b]);
		layer_forward(net, net->tap[b], &window->fused[b], &window->tap[b]);
	}
	const struct pn_map *from = &window->collected;

	for (int h = 0; h < 2; h++) {
		if (!net->head[h])
			continue;
		layer_forward(net, net->head[h], from, &window->head[h]);
		from = &window->head[h];
	}
	layer_forward(net, net->readout, from, &window->out);
}
