/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Layers as products: which parameter stands where in the packed matrices. */
#include "internal.h"

#include <stdlib.h>

/* The table of packed values as it grows. */
struct packer {
	int32_t *from;
	size_t count, room;
	int failed;
};

/* Which parameter stands at (row k, column n): first[k] + n step; first[k] < 0: zero. */
struct rows {
	int64_t *first; /* [groups][4][8] */
	int64_t step;
};

static void grow(struct packer *packer, size_t more)
{
	if (packer->count + more > packer->room) {
		size_t room = 2 * (packer->count + more);
		int32_t *from = realloc(packer->from, room * sizeof *from);

		packer->failed |= !from;
		if (packer->failed)
			return;
		packer->from = from;
		packer->room = room;
	}
}

/* [block][group][frag][lane][8], see kernels.h. */
static void pack(struct packer *packer, struct pn_gpu_product *product, const struct rows *rows)
{
	int frags = product->frags;
	size_t more = (size_t)(product->blocks * product->groups * frags) * 256;

	product->first = packer->count;
	grow(packer, more);
	if (packer->failed)
		return;
	for (size_t i = 0; i < more; i++) {
		int c = (int)(i % 8), lane = (int)(i / 8 % 32), j = (int)(i / 256 % frags);
		int q = (int)(i / 256 / frags % product->groups);
		int block = (int)(i / 256 / frags / product->groups);
		int g = lane >> 2, t = lane & 3;
		int n = block * 8 * frags + 2 * frags * (g >> 1) + 2 * j + (g & 1);
		int64_t first = rows->first[(4 * q + t) * 8 + c];

		packer->from[packer->count + i] =
			first < 0 ? -1 : (int32_t)(first + n * rows->step);
	}
	packer->count += more;
}

/* As many fragments at a time as there are registers for. */
static int frags_of(int channels)
{
	int frags = 4;

	while (channels / 8 % frags)
		frags--;
	return frags;
}

static int64_t *rows_new(struct packer *packer, int groups)
{
	int64_t *first = malloc((size_t)groups * 32 * sizeof *first);

	packer->failed |= !first;
	for (int k = 0; first && k < groups * 32; k++)
		first[k] = -1;
	return first;
}

static void start_product(struct pn_gpu_product *product, int chunks, int columns, int frags)
{
	product->chunks = chunks;
	product->groups = (chunks + 3) / 4;
	product->frags = frags;
	product->blocks = columns / 8 / frags;
}

/* Outputs from inputs. */
static void pack_forward(struct packer *packer, struct pn_gpu_layer *layer, int frags)
{
	const struct pn_conv_shape *shape = &layer->plan->shape;
	struct pn_gpu_product *product = &layer->forward;
	int chunks = shape->taps.count * layer->in_channels / 8, k = 0;

	start_product(product, chunks, layer->out_channels, frags);
	struct rows rows = { rows_new(packer, product->groups), 1 };
	for (int t = 0; t < shape->taps.count && !packer->failed; t++)
		for (int n = 0, i = 0; n < shape->inputs; n++)
			for (int c = 0; c < shape->in_channels[n]; c += 8, i += 8, k++) {
				product->chunk[k] =
					(struct pn_gpu_chunk){ shape->taps.dy[t], shape->taps.dx[t],
							       (int16_t)n, (int16_t)c };
				for (int e = 0; e < 8; e++)
					rows.first[k * 8 + e] =
						(int64_t)layer->plan->weights +
						(int64_t)(t * layer->in_channels + i + e) *
							layer->out_channels;
			}
	if (!packer->failed)
		pack(packer, product, &rows);
	free(rows.first);
}

/* The gradient of input @n from that of all outputs. */
static void pack_backward(struct packer *packer, struct pn_gpu_layer *layer, int n)
{
	const struct pn_conv_shape *shape = &layer->plan->shape;
	struct pn_gpu_product *product = &layer->backward[n];
	int chunks = shape->taps.count * layer->out_channels / 8, first = 0, k = 0;

	for (int m = 0; m < n; m++)
		first += shape->in_channels[m];
	start_product(product, chunks, shape->in_channels[n], frags_of(shape->in_channels[n]));
	struct rows rows = { rows_new(packer, product->groups), layer->out_channels };
	for (int t = 0; t < shape->taps.count && !packer->failed; t++)
		for (int o = 0; o < layer->out_channels; o += 8, k++) {
			product->chunk[k] =
				(struct pn_gpu_chunk){ (int16_t)-shape->taps.dy[t],
						       (int16_t)-shape->taps.dx[t], 0, (int16_t)o };
			for (int e = 0; e < 8; e++)
				rows.first[k * 8 + e] = (int64_t)layer->plan->weights +
							(int64_t)(t * layer->in_channels + first) *
								layer->out_channels +
							o + e;
		}
	if (!packer->failed)
		pack(packer, product, &rows);
	free(rows.first);
}

/* A 1x1 whose rows are the sums of the layer below, of @below fragments. */
static void pack_chained(struct packer *packer, struct pn_gpu_layer *layer, int below, int frags)
{
	struct pn_gpu_product *product = &layer->chained;

	start_product(product, 4 * ((below + 3) / 4), layer->out_channels, frags);
	struct rows rows = { rows_new(packer, product->groups), 1 };
	for (int k = 0; k < product->groups * 32 && !packer->failed; k++) {
		int j = k / 32 * 4 + k % 8 / 2, t = k / 8 % 4;

		if (j < below)
			rows.first[k] =
				(int64_t)layer->plan->weights +
				(int64_t)(2 * below * t + 2 * j + k % 2) * layer->out_channels;
	}
	if (!packer->failed)
		pack(packer, product, &rows);
	free(rows.first);
}

/* ---- which layer is what ------------------------------------------------------------------- */

static void index_layer(struct pn_cuda_net *net, struct pn_gpu_layer *layer)
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

/* What is done in one pass: a kernel for each width of the head there is a preset of. */
static void choose_chains(struct pn_cuda_net *net)
{
	static const struct {
		int head1, head2;
		enum pn_gpu_kernel kernel;
	} heads[] = { { 96, 48, PN_GPU_HEAD_12_6 },
		      { 64, 32, PN_GPU_HEAD_8_4 },
		      { 32, 16, PN_GPU_HEAD_4_2 } };
	int channels = (int)net->spec.channels;

	for (unsigned k = 0; k < PN_COUNT(heads); k++)
		if (net->spec.head1 == heads[k].head1 && net->spec.head2 == heads[k].head2) {
			net->chain_head = 1;
			net->head_kernel = heads[k].kernel;
		}
	/* a block of outputs is all that a lane holds */
	net->chain_project =
		net->project[1] && channels <= 32 && net->project[1]->out_channels % channels == 0;
}

static void pack_all(struct pn_cuda_net *net, struct packer *packer)
{
	for (int i = 0; i < net->layout.layer_count; i++) {
		struct pn_gpu_layer *layer = &net->layers[i];

		if (layer->plan->kind != PN_LAYER_CONV)
			continue;
		pack_forward(packer, layer, frags_of(layer->out_channels));
		for (int n = 0; n < layer->plan->shape.inputs; n++)
			pack_backward(packer, layer, n);
		if (layer->plan->role == PN_ROLE_PROJECT && net->chain_project)
			pack_chained(packer, layer, (int)net->spec.channels / 8,
				     (int)net->spec.channels / 8);
	}
}

/* The head's first layer once more, all outputs at a time: in place of its chained product. */
static void pack_head(struct pn_cuda_net *net, struct packer *packer)
{
	struct pn_gpu_layer *first = net->head[0], *second = net->head[1];
	struct pn_gpu_product narrow = first->forward;

	pack_forward(packer, first, first->out_channels / 8);
	first->chained = first->forward;
	first->forward = narrow;
	pack_chained(packer, second, first->out_channels / 8, second->out_channels / 8);
}

int pn_gpu_layers_make(struct pn_cuda_net *net, int32_t **from, struct pn_error *err)
{
	struct packer packer = { 0 };

	for (int i = 0; i < net->layout.layer_count; i++) {
		struct pn_gpu_layer *layer = &net->layers[i];

		layer->plan = &net->layout.layers[i];
		for (int n = 0; n < layer->plan->shape.inputs; n++)
			layer->in_channels += layer->plan->shape.in_channels[n];
		layer->out_channels = (int)layer->plan->bias_count;
		index_layer(net, layer);
	}
	choose_chains(net);
	pack_all(net, &packer);
	if (net->chain_head)
		pack_head(net, &packer);
	if (packer.failed) {
		free(packer.from);
		return pn_error_set(err, PN_ENOMEM, "network: no memory to pack %zu parameters",
				    net->layout.param_count);
	}
	*from = packer.from;
	net->packed_count = (int32_t)packer.count;
	return PN_OK;
}
