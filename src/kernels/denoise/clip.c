/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clip.c - the network over a clip of images, forward and backward: what training does all the
 * time. */
#include "net_internal.h"
#include "perrin/denoise/net.h"

#include <stdlib.h>
#include <string.h>

/* A set of features belongs to an image if the branches are shared, else to a window and a branch.
 */
struct pn_clip {
	const struct pn_net *net;
	int ny, nx, targets, images, sets, train;
	struct pn_map *image;                      /* [images] */
	struct pn_features *features, *d_features; /* [sets] */
	struct pn_window *window;                  /* [targets] */
	struct pn_window d_window;                 /* of one target after another */
	struct pn_map *d_out;                      /* [targets] */
	void *memory;
	size_t gradients, bytes; /* where those of the features begin; all */
};

/* ---- making -------------------------------------------------------------------------------- */

/* The image that branch @branch of window @target reads: its own frame is in the middle. */
static int image_of(const struct pn_clip *clip, int target, int branch)
{
	int half = (int)clip->net->spec.frames / 2;

	return target + (branch == 0 ? half : branch <= half ? branch - 1 : branch);
}

static int set_of(const struct pn_clip *clip, int target, int branch)
{
	return clip->net->spec.shared ? image_of(clip, target, branch)
				      : target * (int)clip->net->spec.frames + branch;
}

static void place_gradients(struct pn_clip *clip, struct pn_arena *arena)
{
	struct pn_room room = { clip->net->arith, clip->ny, clip->nx, 0, 1, 1 };

	for (int w = 0; w < clip->targets; w++)
		clip->d_out[w] = pn_arena_map(arena, &room, PN_ARITH_F32, 0, 1);
	pn_window_place(&clip->d_window, clip->net, &room, arena);
	clip->gradients = arena->used;
	for (int s = 0; s < clip->sets; s++)
		pn_features_place(&clip->d_features[s], clip->net, &room, arena);
}

/* All maps, counted or placed. */
static void place_all(struct pn_clip *clip, struct pn_arena *arena)
{
	struct pn_room room = { clip->net->arith, clip->ny, clip->nx, 0, 0, !clip->train };
	int reach = pn_net_stem_reach(clip->net), frames = (int)clip->net->spec.frames;

	for (int i = 0; i < clip->images; i++)
		clip->image[i] = pn_arena_map(arena, &room, PN_ARITH_F32, reach, 1);
	for (int w = 0; w < clip->targets; w++)
		for (int r = 0; r < frames; r++)
			clip->features[set_of(clip, w, r)].image =
				clip->image[image_of(clip, w, r)];
	for (int s = 0; s < clip->sets; s++)
		pn_features_place(&clip->features[s], clip->net, &room, arena);
	for (int w = 0; w < clip->targets; w++)
		pn_window_place(&clip->window[w], clip->net, &room, arena);
	if (clip->train)
		place_gradients(clip, arena);
}

static int allocate(struct pn_clip *clip, struct pn_error *err)
{
	struct pn_arena arena = { 0 };

	clip->image = calloc((size_t)clip->images, sizeof *clip->image);
	clip->features = calloc((size_t)clip->sets, sizeof *clip->features);
	clip->d_features = calloc((size_t)clip->sets, sizeof *clip->d_features);
	clip->window = calloc((size_t)clip->targets, sizeof *clip->window);
	clip->d_out = calloc((size_t)clip->targets, sizeof *clip->d_out);
	if (!clip->image || !clip->features || !clip->d_features || !clip->window || !clip->d_out)
		return pn_error_set(err, PN_ENOMEM, "network: no memory for a clip");
	place_all(clip, &arena);
	clip->bytes = arena.used;
	clip->memory = aligned_alloc(64, clip->bytes);
	if (!clip->memory)
		return pn_error_set(err, PN_ENOMEM,
				    "network: no memory for %d windows of %d x %d (%zu bytes)",
				    clip->targets, clip->ny, clip->nx, clip->bytes);
	memset(clip->memory, 0, clip->bytes);
	arena = (struct pn_arena){ .base = clip->memory };
	place_all(clip, &arena);
	return PN_OK;
}

int pn_clip_create(struct pn_clip **clip, const struct pn_net *net, int ny, int nx, int targets,
		   int train, struct pn_error *err)
{
	*clip = NULL;
	if (ny < 1 || nx < 1 || targets < 1)
		return pn_error_set(err, PN_EARG, "network: a clip of %d windows of %d x %d",
				    targets, ny, nx);
	struct pn_clip *c = calloc(1, sizeof *c);
	if (!c)
		return pn_error_set(err, PN_ENOMEM, "network: no memory for a clip");
	c->net = net;
	c->ny = ny;
	c->nx = nx;
	c->train = train;
	c->targets = targets;
	c->images = targets + (int)net->spec.frames - 1;
	c->sets = net->spec.shared ? c->images : targets * (int)net->spec.frames;
	int rc = allocate(c, err);
	if (rc) {
		pn_clip_destroy(c);
		return rc;
	}
	*clip = c;
	return PN_OK;
}

void pn_clip_destroy(struct pn_clip *clip)
{
	if (!clip)
		return;
	free(clip->image);
	free(clip->features);
	free(clip->d_features);
	free(clip->window);
	free(clip->d_out);
	free(clip->memory);
	free(clip);
}

/* ---- what goes in and out ------------------------------------------------------------------- */

float *pn_clip_image(struct pn_clip *clip, int index)
{
	pn_assert(index >= 0 && index < clip->images);
	return clip->image[index].data;
}

ptrdiff_t pn_clip_row_stride(const struct pn_clip *clip)
{
	return clip->image[0].row_stride;
}

const float *pn_clip_output(const struct pn_clip *clip, int target)
{
	pn_assert(target >= 0 && target < clip->targets);
	return clip->window[target].out.data;
}

ptrdiff_t pn_clip_output_stride(const struct pn_clip *clip)
{
	return clip->window[0].out.row_stride;
}

float *pn_clip_gradient(struct pn_clip *clip, int target)
{
	pn_assert(clip->train && target >= 0 && target < clip->targets);
	return clip->d_out[target].data;
}

/* ---- forward ------------------------------------------------------------------------------- */

static void features_of(const struct pn_clip *clip, struct pn_features *all, int target,
			struct pn_features **features)
{
	for (int r = 0; r < clip->net->spec.frames; r++)
		features[r] = &all[set_of(clip, target, r)];
}

void pn_clip_forward(struct pn_clip *clip)
{
	static const int still[PN_NET_FRAMES_MAX];
	int frames = (int)clip->net->spec.frames;

	for (int s = 0; s < clip->sets; s++)
		pn_features_forward(clip->net, clip->net->spec.shared ? 0 : s % frames,
				    &clip->features[s]);
	for (int w = 0; w < clip->targets; w++) {
		struct pn_features *features[PN_NET_FRAMES_MAX];

		features_of(clip, clip->features, w, features);
		pn_window_forward(clip->net, features, still, still, &clip->window[w]);
	}
}

/* ---- backward ------------------------------------------------------------------------------ */

/* One convolution layer: its parameters' gradient, and its inputs'. */
static void layer_backward(const struct pn_net_layer *layer, const struct pn_map *in,
			   const struct pn_map *d_out, const struct pn_map *d_in, int add,
			   const struct pn_map *gate, float *d_params)
{
	const struct pn_layer *plan = layer->plan;
	int ny = d_out->ny;

	pn_conv_backward_weights(layer->conv, in, d_out, d_params + plan->weights,
				 d_params + plan->bias, 0, ny);
	pn_conv_backward_data(layer->conv, d_out, d_in, add, gate, 0, ny);
}

/* From the output to what the taps have collected. */
static void head_backward(struct pn_clip *clip, int target, float *d_params)
{
	const struct pn_net *net = clip->net;
	struct pn_window *window = &clip->window[target], *d = &clip->d_window;
	const struct pn_map *maps[3] = { &window->collected }, *d_maps[3] = { &d->collected };
	const struct pn_net_layer *layers[2];
	int top = 0;

	for (int h = 0; h < 2; h++) {
		if (!net->head[h])
			continue;
		layers[top++] = net->head[h];
		maps[top] = &window->head[h];
		d_maps[top] = &d->head[h];
	}
	const struct pn_layer *readout = net->readout->plan;

	pn_readout_backward(net->params + readout->weights, maps[top], &clip->d_out[target],
			    d_maps[top], maps[top], d_params + readout->weights,
			    d_params + readout->bias, 0, clip->ny);
	for (; top > 0; top--)
		layer_backward(layers[top - 1], maps[top - 1], d_maps[top], d_maps[top - 1], 0,
			       maps[top - 1], d_params);
}

/* From a window's output to the features of all its frames, where it adds. */
static void window_backward(struct pn_clip *clip, int target, float *d_params)
{
	const struct pn_net *net = clip->net;
	struct pn_window *window = &clip->window[target], *d = &clip->d_window;
	struct pn_features *features[PN_NET_FRAMES_MAX], *d_features[PN_NET_FRAMES_MAX];

	features_of(clip, clip->features, target, features);
	features_of(clip, clip->d_features, target, d_features);
	head_backward(clip, target, d_params);
	for (int b = 1; b <= net->spec.blocks; b++) {
		struct pn_map in[PN_NET_FRAMES_MAX], d_in[PN_NET_FRAMES_MAX];

		layer_backward(net->tap[b], &window->fused[b], &d->tap[b], &d->fused[b], 0,
			       &window->fused[b], d_params);
		pn_fusion_inputs(net, b, features, in);
		pn_fusion_inputs(net, b, d_features, d_in);
		layer_backward(net->fuse[b], in, &d->fused[b], d_in, 1, NULL, d_params);
	}
}

/* The leaky ReLU of the topmost level, whose gradient no layer of the branch passes on. */
static void gate_map(const struct pn_map *d_map, const struct pn_map *map)
{
	int is_float = map->arith == PN_ARITH_F32;

	for (int y = 0; y < map->ny; y++)
		for (int x = 0; x < map->nx; x++) {
			ptrdiff_t at = y * map->row_stride + x * map->pixel_stride;
			ptrdiff_t d_at = y * d_map->row_stride + x * d_map->pixel_stride;
			const float *value = (const float *)map->data + at;
			float *d_value = (float *)d_map->data + d_at;

			for (int c = 0; c < map->channels; c++)
				if (is_float)
					d_value[c] *= value[c] <= 0 ? PN_LEAK : 1;
				else if (pn_map_get(map, y, x, c) <= 0)
					pn_map_put(d_map, y, x, c,
						   PN_LEAK * pn_map_get(d_map, y, x, c));
		}
}

/* From the features of an image to its branch's parameters. */
static void features_backward(struct pn_clip *clip, int set, float *d_params)
{
	const struct pn_net *net = clip->net;
	int branch = net->spec.shared ? 0 : set % (int)net->spec.frames, top = net->layout.levels;
	struct pn_features *f = &clip->features[set], *d = &clip->d_features[set];
	const struct pn_layer *stem = net->stem[branch]->plan;

	for (int b = 1; b <= net->spec.blocks; b++) {
		int level = b + net->layout.lead;

		if (net->project[b])
			layer_backward(net->project[b], &f->level[level], d->project[b],
				       &d->level[level], 1, NULL, d_params);
	}
	gate_map(&d->level[top], &f->level[top]);
	for (int b = top; b >= 1; b--)
		layer_backward(net->branch[branch][b], &f->level[b - 1], &d->level[b],
			       &d->level[b - 1], 1, &f->level[b - 1], d_params);
	pn_stem_backward_weights(&stem->shape.taps, &f->image, &d->level[0],
				 d_params + stem->weights, d_params + stem->bias, 0, clip->ny);
}

void pn_clip_backward(struct pn_clip *clip, float *d_params)
{
	pn_assert(clip->train);
	memset((char *)clip->memory + clip->gradients, 0, clip->bytes - clip->gradients);
	for (int w = 0; w < clip->targets; w++)
		window_backward(clip, w, d_params);
	for (int s = 0; s < clip->sets; s++)
		features_backward(clip, s, d_params);
}
