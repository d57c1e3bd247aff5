/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int pn_cuda_available(const char **why)
{
	const char *text;
	int there = pn_gpu_device(&text) != NULL;

	if (why)
		*why = text;
	return there;
}

static int said(const char *text, const char *what, struct pn_error *err)
{
	return text ? pn_error_set(err, PN_EIO, "network on the GPU: %s: %s", what, text) : PN_OK;
}

/* ---- making -------------------------------------------------------------------------------- */

static int choose_engine(struct pn_cuda_net *net, enum pn_cuda_engine engine, struct pn_error *err)
{
	const char *why = NULL;

	net->gpu = engine == PN_CUDA_EMULATED ? pn_gpu_emulated() : pn_gpu_device(&why);
	return net->gpu ? PN_OK : pn_error_set(err, PN_EUNSUPPORTED, "network on the GPU: %s", why);
}

static int allocate(struct pn_cuda_net *net, const int32_t *from, struct pn_error *err)
{
	size_t count = (size_t)net->packed_count, params = net->layout.param_count;
	const struct {
		void **to;
		size_t bytes;
	} rooms[] = { { (void **)&net->params, params * sizeof(float) },
		      { (void **)&net->d_params, params * sizeof(float) },
		      { (void **)&net->packed, count * sizeof(uint16_t) },
		      { (void **)&net->from, count * sizeof(int32_t) } };

	for (unsigned i = 0; i < PN_COUNT(rooms); i++) {
		const char *text = net->gpu->alloc(rooms[i].to, rooms[i].bytes);

		if (text)
			return pn_error_set(err, PN_ENOMEM, "network on the GPU: %zu bytes: %s",
					    rooms[i].bytes, text);
	}
	return said(net->gpu->put(net->from, from, count * sizeof *from), "copying a table", err);
}

int pn_cuda_net_create(struct pn_cuda_net **net, const struct pn_net_spec *spec,
		       enum pn_cuda_engine engine, struct pn_error *err)
{
	int32_t *from = NULL;

	*net = NULL;
	struct pn_cuda_net *n = calloc(1, sizeof *n);
	if (!n)
		return pn_error_set(err, PN_ENOMEM, "network on the GPU: no memory");
	n->spec = *spec;
	n->scale = 1;
	int rc = pn_net_layout_make(&n->layout, spec, err);
	if (!rc)
		rc = choose_engine(n, engine, err);
	if (!rc)
		rc = pn_gpu_layers_make(n, &from, err);
	if (!rc)
		rc = allocate(n, from, err);
	free(from);
	if (rc) {
		pn_cuda_net_destroy(n);
		return rc;
	}
	*net = n;
	return PN_OK;
}

void pn_cuda_net_destroy(struct pn_cuda_net *net)
{
	if (!net)
		return;
	if (net->gpu) {
		net->gpu->release(net->params);
		net->gpu->release(net->d_params);
		net->gpu->release(net->packed);
		net->gpu->release(net->from);
	}
	free(net);
}

const struct pn_net_layout *pn_cuda_net_layout_of(const struct pn_cuda_net *net)
{
	return &net->layout;
}

int pn_cuda_net_load(struct pn_cuda_net *net, const float *params, double offset, double scale,
		     struct pn_error *err)
{
	struct pn_gpu_pack pack = { net->params, net->from, net->packed, net->packed_count };
	int pairs = net->packed_count / 2;

	if (!isfinite(offset) || !(scale > 0) || !isfinite(scale))
		return pn_error_set(err, PN_EARG, "network on the GPU: offset %g, scale %g", offset,
				    scale);
	net->offset = offset;
	net->scale = scale;
	int rc = said(net->gpu->put(net->params, params, net->layout.param_count * sizeof *params),
		      "copying parameters", err);
	if (rc)
		return rc;
	return said(net->gpu->launch(PN_GPU_PACK, (pairs + PN_GPU_THREADS - 1) / PN_GPU_THREADS, 1,
				     1, 0, &pack),
		    "packing parameters", err);
}

/* ---- clips --------------------------------------------------------------------------------- */

/* Memory handed out in pieces: first counted (base NULL), then placed. */
struct arena {
	char *base;
	size_t used;
};

static void *take(struct arena *arena, size_t bytes)
{
	void *at = arena->base ? arena->base + arena->used : NULL;

	arena->used += (bytes + 255) / 256 * 256;
	return at;
}

static struct pn_gpu_maps take_maps(const struct pn_cuda_clips *c, struct arena *arena, int count,
				    int channels)
{
	size_t values = (size_t)c->clips * (size_t)count * (size_t)c->ny * (size_t)c->nx;

	return (struct pn_gpu_maps){ take(arena, values * (size_t)channels * sizeof(uint16_t)),
				     channels };
}

static struct pn_gpu_maps take_images(const struct pn_cuda_clips *c, struct arena *arena, int count)
{
	size_t values = (size_t)c->clips * (size_t)count * (size_t)c->ny * (size_t)c->nx;

	return (struct pn_gpu_maps){ take(arena, values * sizeof(float)), 1 };
}

/* Without training a level is of use until the neighbours have entered with the one ahead of it. */
static void place_features(struct pn_cuda_clips *c, struct pn_gpu_features *f, struct arena *arena)
{
	const struct pn_cuda_net *net = c->net;
	int kept = c->train ? net->layout.levels + 1 : net->layout.lead + 2;
	int neighbors = (int)(net->spec.frames - 1);

	for (int level = 0; level <= net->layout.levels; level++)
		f->level[level] = level < kept
					  ? take_maps(c, arena, c->sets, (int)net->spec.channels)
					  : f->level[level - kept];
	for (int b = 1; b <= net->spec.blocks; b++)
		if (net->project[b])
			f->projected[b] =
				c->train || b == 1
					? take_maps(c, arena, c->sets,
						    neighbors * (int)net->spec.neighbor_channels)
					: f->projected[1];
}

static void place_window(struct pn_cuda_clips *c, struct pn_gpu_window *w, int keep,
			 struct arena *arena)
{
	const struct pn_cuda_net *net = c->net;

	for (int b = 1; b <= net->spec.blocks; b++)
		w->fused[b] = keep || b == 1
				      ? take_maps(c, arena, c->targets, (int)net->spec.channels)
				      : w->fused[1];
	w->collected =
		take_maps(c, arena, c->targets, (int)(net->spec.blocks * net->spec.tap_channels));
	for (int h = 0; h < 2; h++)
		if (net->head[h] && (c->train || !net->chain_head))
			w->head[h] = take_maps(c, arena, c->targets, net->head[h]->out_channels);
}

/* The most that a launch of gradients of weights writes. */
static size_t partial_floats(const struct pn_cuda_net *net)
{
	size_t units = 0;

	for (int i = 0; i < net->layout.layer_count; i++) {
		size_t in = (size_t)(net->layers[i].in_channels + 31) / 32 + PN_NET_FRAMES_MAX;
		size_t out = (size_t)(net->layers[i].out_channels + 31) / 32;
		size_t all = in * out * (size_t)net->layers[i].plan->shape.taps.count + out;

		units = all > units ? all : units;
	}
	return (PN_GPU_GRAD_BLOCKS + units) * 1024;
}

static void place_all(struct pn_cuda_clips *c, struct arena *arena)
{
	c->image = take_images(c, arena, c->images);
	c->out = take_images(c, arena, c->targets);
	place_features(c, &c->features, arena);
	place_window(c, &c->window, c->train, arena);
	if (!c->train)
		return;
	c->d_out = take_images(c, arena, c->targets);
	place_window(c, &c->d_window, 0, arena);
	c->gradients = arena->used;
	place_features(c, &c->d_features, arena);
	c->gradients_end = arena->used;
	c->partial = take(arena, partial_floats(c->net) * sizeof *c->partial);
	c->squares =
		take(arena, (size_t)(c->clips * c->targets) * PN_GPU_ERROR_BLOCKS * sizeof(double));
}

static struct pn_cuda_clips describe(struct pn_cuda_net *net, int ny, int nx, int targets,
				     int clip_count, int train)
{
	struct pn_cuda_clips c = { .net = net,
				   .ny = ny,
				   .nx = nx,
				   .targets = targets,
				   .clips = clip_count,
				   .images = targets + (int)net->spec.frames - 1,
				   .train = train };

	c.branches = net->spec.shared ? 1 : (int)net->spec.frames;
	c.sets = net->spec.shared ? c.images : targets * (int)net->spec.frames;
	return c;
}

size_t pn_cuda_clips_bytes(const struct pn_cuda_net *net, int ny, int nx, int targets,
			   int clip_count, int train)
{
	struct pn_cuda_clips c =
		describe((struct pn_cuda_net *)net, ny, nx, targets, clip_count, train);
	struct arena arena = { 0 };

	place_all(&c, &arena);
	return arena.used;
}

int pn_cuda_clips_create(struct pn_cuda_clips **clips, struct pn_cuda_net *net, int ny, int nx,
			 int targets, int clip_count, int train, struct pn_error *err)
{
	const int batch_max = 65535; /* blocks of a launch in z */
	struct arena arena = { 0 };

	*clips = NULL;
	if (ny < 1 || nx < 1 || (int64_t)ny * nx > (1 << 26) || targets < 1 || clip_count < 1 ||
	    (int64_t)(targets + net->spec.frames) * clip_count > batch_max)
		return pn_error_set(err, PN_EARG,
				    "network on the GPU: %d clips of %d windows of %d x %d",
				    clip_count, targets, ny, nx);
	struct pn_cuda_clips *c = malloc(sizeof *c);
	if (!c)
		return pn_error_set(err, PN_ENOMEM, "network on the GPU: no memory for clips");
	*c = describe(net, ny, nx, targets, clip_count, train);
	c->bytes = pn_cuda_clips_bytes(net, ny, nx, targets, clip_count, train);
	const char *text = net->gpu->alloc(&c->memory, c->bytes);
	if (text) {
		free(c);
		return pn_error_set(err, PN_ENOMEM,
				    "network on the GPU: %d clips of %d windows of %d x %d (%zu "
				    "bytes): %s",
				    clip_count, targets, ny, nx,
				    pn_cuda_clips_bytes(net, ny, nx, targets, clip_count, train),
				    text);
	}
	arena.base = c->memory;
	place_all(c, &arena);
	*clips = c;
	return PN_OK;
}

void pn_cuda_clips_destroy(struct pn_cuda_clips *clips)
{
	if (!clips)
		return;
	clips->net->gpu->release(clips->memory);
	free(clips);
}

/* ---- what goes in and out ------------------------------------------------------------------- */

static size_t image_bytes(const struct pn_cuda_clips *c, int count)
{
	return (size_t)c->clips * (size_t)count * (size_t)c->ny * (size_t)c->nx * sizeof(float);
}

static void put(struct pn_cuda_clips *c, void *to, const void *from, size_t bytes)
{
	if (!c->failed)
		c->failed = c->net->gpu->put(to, from, bytes);
}

static void get(struct pn_cuda_clips *c, void *to, const void *from, size_t bytes)
{
	if (!c->failed)
		c->failed = c->net->gpu->get(to, from, bytes);
}

int pn_cuda_clips_forward(struct pn_cuda_clips *clips, const float *images, float *outputs,
			  struct pn_error *err)
{
	pn_assert(outputs || clips->train);
	clips->failed = NULL;
	put(clips, clips->image.data, images, image_bytes(clips, clips->images));
	pn_gpu_forward(clips);
	if (outputs)
		get(clips, outputs, clips->out.data, image_bytes(clips, clips->targets));
	return said(clips->failed, "forward", err);
}

/* All gradients to the caller's sums. */
static int add_gradients(struct pn_cuda_clips *clips, float *d_params, struct pn_error *err)
{
	size_t count = clips->net->layout.param_count;
	float *values = malloc(count * sizeof *values);

	if (!values)
		return pn_error_set(err, PN_ENOMEM,
				    "network on the GPU: no memory for %zu gradients", count);
	get(clips, values, clips->net->d_params, count * sizeof *values);
	for (size_t k = 0; k < count && !clips->failed; k++)
		d_params[k] += values[k];
	free(values);
	return said(clips->failed, "backward", err);
}

int pn_cuda_clips_backward(struct pn_cuda_clips *clips, const float *d_outputs, float *d_params,
			   struct pn_error *err)
{
	pn_assert(clips->train);
	clips->failed = NULL;
	put(clips, clips->d_out.data, d_outputs, image_bytes(clips, clips->targets));
	pn_gpu_backward(clips);
	return add_gradients(clips, d_params, err);
}

/* The squared errors, and their gradient by the outputs. */
static void measure(struct pn_cuda_clips *c, double slope)
{
	struct pn_gpu_batch batch = pn_gpu_windows(c);
	struct pn_gpu_error error = { .out = pn_gpu_of_windows(c, c->out),
				      .truth = pn_gpu_own_images(c),
				      .d_out = pn_gpu_of_windows(c, c->d_out),
				      .squares = c->squares,
				      .pixels = c->ny * c->nx,
				      .items = batch.items,
				      .blocks = PN_GPU_ERROR_BLOCKS,
				      .offset = (float)c->net->offset,
				      .inverse = (float)(1 / c->net->scale),
				      .slope = (float)slope };

	pn_gpu_run(c, PN_GPU_ERROR, PN_GPU_ERROR_BLOCKS, 1, batch.count,
		   PN_GPU_THREADS * sizeof(double), &error);
}

int pn_cuda_clips_learn(struct pn_cuda_clips *clips, const float *images, double slope,
			double *squares, float *d_params, struct pn_error *err)
{
	size_t each = (size_t)clips->targets * PN_GPU_ERROR_BLOCKS,
	       count = (size_t)clips->clips * each;

	pn_assert(clips->train);
	double *parts = malloc(count * sizeof *parts);
	if (!parts)
		return pn_error_set(err, PN_ENOMEM, "network on the GPU: no memory for %zu sums",
				    count);
	clips->failed = NULL;
	put(clips, clips->image.data, images, image_bytes(clips, clips->images));
	pn_gpu_forward(clips);
	measure(clips, slope);
	get(clips, parts, clips->squares, count * sizeof *parts);
	for (int c = 0; c < clips->clips; c++) {
		squares[c] = 0;
		for (size_t k = 0; k < each && !clips->failed; k++)
			squares[c] += parts[(size_t)c * each + k];
	}
	free(parts);
	if (!d_params)
		return said(clips->failed, "forward", err);
	pn_gpu_backward(clips);
	return add_gradients(clips, d_params, err);
}
