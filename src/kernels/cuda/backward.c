/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A backward pass as launches, in the order of src/kernels/denoise/clip.c. Where several windows
 * add to one image's gradient, they do so in launches of their own: in one launch the maps that
 * are added to are all different, so nothing depends on which block comes first.
 */
#include "internal.h"

#include <string.h>

/* ---- weights ------------------------------------------------------------------------------- */

/* Rows and columns of a gradient of weights. */
struct sides {
	struct pn_gpu_view in, d_out;
	enum pn_gpu_side in_side, out_side;
	int in_channels, in_first; /* of the layer's inputs */
	int bias;                  /* 1: and that of the bias */
};

static void run_weights(struct pn_cuda_clips *c, const struct pn_gpu_layer *layer,
			const struct sides *sides, struct pn_gpu_batch batch)
{
	const struct pn_cuda_net *net = c->net;
	const struct pn_taps *taps = &layer->plan->shape.taps;
	int of_taps = sides->in_side == PN_GPU_SIDE_IMAGE;
	int still = taps->count == 1 && !taps->dy[0] && !taps->dx[0];
	struct pn_gpu_grad grad = {
		.in = sides->in,
		.d_out = sides->d_out,
		.in_side = sides->in_side,
		.out_side = sides->out_side,
		.in_channels = sides->in_channels,
		.out_channels = layer->out_channels,
		.in_blocks = of_taps ? (taps->count + PN_GPU_GRAD_TAPS - 1) / PN_GPU_GRAD_TAPS
				     : (sides->in_channels + 31) / 32,
		.out_blocks = (layer->out_channels + 31) / 32,
		.taps = taps->count,
		.tap_units = of_taps ? 1 : taps->count,
		.ny = still ? 1 : c->ny,
		.nx = still ? c->ny * c->nx : c->nx,
		.items = batch.items,
		.count = batch.count,
		.partial = c->partial,
		.d_weights = net->d_params + layer->plan->weights,
		.d_bias = sides->bias ? net->d_params + layer->plan->bias : NULL,
		.in_total = layer->in_channels,
		.in_first = sides->in_first,
		.out_total = layer->out_channels,
		.offset = of_taps ? (float)net->offset : 0,
		.inverse = of_taps ? (float)(1 / net->scale) : 1,
	};

	memcpy(grad.dy, taps->dy, (size_t)taps->count);
	memcpy(grad.dx, taps->dx, (size_t)taps->count);
	grad.segments_x = (grad.nx + PN_GPU_SEGMENT_PX - 1) / PN_GPU_SEGMENT_PX;
	grad.weight_units = grad.tap_units * grad.in_blocks * grad.out_blocks;
	grad.units = grad.weight_units + (sides->bias ? grad.out_blocks : 0);
	/* no more slices than there is work for, whatever the sums' order then is */
	int64_t segments = (int64_t)grad.count * grad.ny * grad.segments_x;
	int64_t most = (segments + 4 * PN_GPU_WARPS - 1) / (4 * PN_GPU_WARPS);
	int slices = PN_GPU_GRAD_BLOCKS / grad.units > 1 ? PN_GPU_GRAD_BLOCKS / grad.units : 1;
	grad.slices = slices < most ? slices : (int)most;
	pn_gpu_run(c, PN_GPU_GRAD, grad.units, grad.slices, 1,
		   (size_t)PN_GPU_WARPS * 2 * 32 * PN_GPU_GRAD_PITCH, &grad);
	pn_gpu_run(c, PN_GPU_REDUCE, grad.units, 1024 / PN_GPU_THREADS, 1, 0, &grad);
}

/* ---- layers -------------------------------------------------------------------------------- */

/* A convolution with one input: its parameters' gradient, and its input's. */
struct step {
	const struct pn_gpu_layer *layer;
	struct pn_gpu_view in, d_out, d_in;
	int add;
	const struct pn_gpu_view *gate; /* NULL: none */
};

static void run_data(struct pn_cuda_clips *c, const struct step *step, int n,
		     struct pn_gpu_batch batch)
{
	struct pn_gpu_conv conv = { .in = { step->d_out },
				    .out = step->d_in,
				    .add = step->add,
				    .gated = step->gate != NULL,
				    .keep = 1 };

	if (step->gate)
		conv.gate = *step->gate;
	pn_gpu_convolve(c, &conv, &step->layer->backward[n], step->layer->out_channels, batch);
}

static void run_step(struct pn_cuda_clips *c, const struct step *step, struct pn_gpu_batch batch)
{
	struct sides sides = { .in = step->in,
			       .d_out = step->d_out,
			       .in_channels = step->layer->in_channels,
			       .bias = 1 };

	run_weights(c, step->layer, &sides, batch);
	run_data(c, step, 0, batch);
}

static void run_simple(struct pn_cuda_clips *c, enum pn_gpu_kernel kernel,
		       struct pn_gpu_simple *simple, struct pn_gpu_batch batch)
{
	int64_t threads = (int64_t)c->ny * c->nx * simple->channels / 8;

	simple->ny = c->ny;
	simple->nx = c->nx;
	simple->items = batch.items;
	pn_gpu_run(c, kernel, (int)((threads + PN_GPU_THREADS - 1) / PN_GPU_THREADS), 1,
		   batch.count, 0, simple);
}

/* ---- the network --------------------------------------------------------------------------- */

static void readout_backward(struct pn_cuda_clips *c, struct pn_gpu_view top,
			     struct pn_gpu_view d_top)
{
	const struct pn_gpu_layer *readout = c->net->readout;
	struct sides sides = { .in = top,
			       .d_out = pn_gpu_of_windows(c, c->d_out),
			       .out_side = PN_GPU_SIDE_IMAGE,
			       .in_channels = readout->in_channels,
			       .bias = 1 };
	struct pn_gpu_simple simple = { .in = sides.d_out,
					.out = d_top,
					.gate = top,
					.weights = c->net->params + readout->plan->weights,
					.channels = readout->in_channels };

	run_weights(c, readout, &sides, pn_gpu_windows(c));
	run_simple(c, PN_GPU_READOUT_BACK, &simple, pn_gpu_windows(c));
}

/* From the output to what the taps have collected. */
static void head_backward(struct pn_cuda_clips *c)
{
	const struct pn_cuda_net *net = c->net;
	struct pn_gpu_view maps[3] = { pn_gpu_of_windows(c, c->window.collected) };
	struct pn_gpu_view d_maps[3] = { pn_gpu_of_windows(c, c->d_window.collected) };
	const struct pn_gpu_layer *layers[2];
	int top = 0;

	for (int h = 0; h < 2; h++) {
		if (!net->head[h])
			continue;
		layers[top++] = net->head[h];
		maps[top] = pn_gpu_of_windows(c, c->window.head[h]);
		d_maps[top] = pn_gpu_of_windows(c, c->d_window.head[h]);
	}
	readout_backward(c, maps[top], d_maps[top]);
	for (; top > 0; top--) {
		struct step step = { .layer = layers[top - 1],
				     .in = maps[top - 1],
				     .d_out = d_maps[top],
				     .d_in = d_maps[top - 1],
				     .gate = &maps[top - 1] };

		run_step(c, &step, pn_gpu_windows(c));
	}
}

/* From a block's taps to the features of all frames, where it adds. */
static void block_backward(struct pn_cuda_clips *c, int block)
{
	const struct pn_cuda_net *net = c->net;
	const struct pn_gpu_layer *fuse = net->fuse[block];
	struct pn_gpu_view fused = pn_gpu_of_windows(c, c->window.fused[block]);
	struct step tap = { .layer = net->tap[block],
			    .in = fused,
			    .d_out = pn_gpu_slice(pn_gpu_of_windows(c, c->d_window.collected),
						  (block - 1) * (int)net->spec.tap_channels),
			    .d_in = pn_gpu_of_windows(c, c->d_window.fused[block]),
			    .gate = &fused };
	int first = 0;

	run_step(c, &tap, pn_gpu_windows(c));
	for (int n = 0; n < net->spec.frames; n++) {
		int channels = fuse->plan->shape.in_channels[n];
		struct sides sides = { .in = pn_gpu_fusion_input(c, &c->features, block, n),
				       .d_out = tap.d_in,
				       .in_channels = channels,
				       .in_first = first,
				       .bias = n == 0 };
		struct step step = { .layer = fuse,
				     .d_out = tap.d_in,
				     .d_in = pn_gpu_fusion_input(c, &c->d_features, block, n),
				     .add = 1 };

		run_weights(c, fuse, &sides, pn_gpu_windows(c));
		run_data(c, &step, n, pn_gpu_windows(c));
		first += channels;
	}
}

static void project_backward(struct pn_cuda_clips *c, int block)
{
	int level = block + c->net->layout.lead;
	struct step step = { .layer = c->net->project[block],
			     .in = pn_gpu_of_sets(c, c->features.level[level], 0),
			     .d_out = pn_gpu_of_sets(c, c->d_features.projected[block], 0),
			     .d_in = pn_gpu_of_sets(c, c->d_features.level[level], 0),
			     .add = 1 };

	run_step(c, &step, pn_gpu_sets(c));
}

/* From the features of all sets of a branch to its parameters. */
static void branch_backward(struct pn_cuda_clips *c, int branch)
{
	const struct pn_cuda_net *net = c->net;
	struct pn_gpu_features *f = &c->features, *d = &c->d_features;
	struct pn_gpu_batch batch = pn_gpu_sets(c);
	int top = net->layout.levels;
	/* the topmost level's leaky ReLU: no layer of the branch passes its gradient on */
	struct pn_gpu_simple gate = { .out = pn_gpu_of_sets(c, d->level[top], branch),
				      .gate = pn_gpu_of_sets(c, f->level[top], branch),
				      .channels = (int)net->spec.channels };

	run_simple(c, PN_GPU_GATE, &gate, batch);
	for (int level = top; level >= 1; level--) {
		struct pn_gpu_view below = pn_gpu_of_sets(c, f->level[level - 1], branch);
		struct step step = { .layer = net->branch[branch][level],
				     .in = below,
				     .d_out = pn_gpu_of_sets(c, d->level[level], branch),
				     .d_in = pn_gpu_of_sets(c, d->level[level - 1], branch),
				     .add = 1,
				     .gate = &below };

		run_step(c, &step, batch);
	}
	struct sides sides = { .in = pn_gpu_images_of_sets(c, branch),
			       .d_out = pn_gpu_of_sets(c, d->level[0], branch),
			       .in_side = PN_GPU_SIDE_IMAGE,
			       .in_channels = 1,
			       .bias = 1 };
	run_weights(c, net->stem[branch], &sides, batch);
}

void pn_gpu_backward(struct pn_cuda_clips *c)
{
	const struct pn_cuda_net *net = c->net;

	if (!c->failed)
		c->failed = net->gpu->zero((char *)c->memory + c->gradients,
					   c->gradients_end - c->gradients);
	head_backward(c);
	for (int b = 1; b <= net->spec.blocks; b++)
		block_backward(c, b);
	for (int b = 1; b <= net->spec.blocks; b++)
		if (net->project[b])
			project_backward(c, b);
	for (int r = 0; r < c->branches; r++)
		branch_backward(c, r);
}
