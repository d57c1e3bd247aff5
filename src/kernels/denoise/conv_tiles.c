/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conv_tiles.c - the convolution layer in bfloat16 by matrix tiles.
 *
 * Forward and backward data are one schedule. A step multiplies 16 pixels x up to 32 channels of
 * one tap, read where they lie (row stride of the tile = pixel stride of the map: a tap or a
 * dilation is nothing but another address), with packed weights; four tiles of sums stay in place
 * through all steps. Channels that do not fill a step are gathered from several maps first.
 *
 * Backward weights sums over pixels: per row, the gradients are packed in pairs of pixels and the
 * inputs transposed, once for all taps, which then are shifts of the transposed rows.
 *
 * A row is cut at the same pixels however rows are shared out, so its bytes are always the same.
 */
#include "conv_internal.h"
#include "tiles.h"

#include <stdlib.h>

enum {
	STEP = PN_CHANNEL_STEP,
	SIDE = TILE_ROWS,
	TILE = SIDE * SIDE,
	BLOCK_TILES = 4, /* of pixels, taken together */
	BLOCK = BLOCK_TILES * SIDE,
	GROUPS_MAX = 512 / STEP,
	STEP_GROUPS = TILE_DEPTH / STEP,
	GATHERED_BYTES = PN_TAPS_MAX * BLOCK * TILE_DEPTH * 2,
};

typedef uint16_t lanes_8 __attribute__((vector_size(16)));
typedef uint16_t lanes_16 __attribute__((vector_size(32)));
typedef uint16_t lanes_32 __attribute__((vector_size(64)));
typedef uint32_t uints_16 __attribute__((vector_size(64)));
typedef int32_t ints_16 __attribute__((vector_size(64)));

/* Inner loops are functions of their own: inlined, their addresses do not stay in registers. */
#define KEPT_APART __attribute__((noinline))

/* --- the layer in steps: fixed by its shape --- */

/* Channels of one step, in groups of 8: side by side in one map, or gathered. */
struct chunk {
	int gathered, groups;
	int map[STEP_GROUPS], first[STEP_GROUPS]; /* of each group: map, its channel there */
};

/* One direction: from maps of so many channels to blocks of 16 channels. */
struct plan {
	int taps, maps, channels[PN_MAPS_MAX];
	int out_channels, blocks;
	int depth; /* channels of a step */
	int chunks;
	struct chunk chunk[GROUPS_MAX];
};

struct packed {
	struct plan forward, backward;
	float bias[(GROUPS_MAX + 1) * STEP], no_bias[(GROUPS_MAX + 1) * STEP];
	uint16_t weights[] __attribute__((aligned(64))); /* of forward, then of backward */
};

/* Whole steps first; what is left of all maps is gathered. Returns the number of gathered steps. */
static int cut_into_steps(struct plan *plan, int depth)
{
	struct chunk *last = NULL;
	int gathered = 0;

	plan->depth = depth;
	plan->chunks = 0;
	for (int m = 0; m < plan->maps; m++)
		for (int c = 0; c + depth <= plan->channels[m]; c += depth) {
			struct chunk *chunk = &plan->chunk[plan->chunks++];

			*chunk = (struct chunk){ .groups = depth / STEP };
			for (int g = 0; g < chunk->groups; g++) {
				chunk->map[g] = m;
				chunk->first[g] = c + g * STEP;
			}
		}
	for (int m = 0; m < plan->maps; m++)
		for (int c = plan->channels[m] / depth * depth; c < plan->channels[m]; c += STEP) {
			if (!last || last->groups == depth / STEP) {
				last = &plan->chunk[plan->chunks++];
				*last = (struct chunk){ .gathered = 1 };
				gathered++;
			}
			last->map[last->groups] = m;
			last->first[last->groups++] = c;
		}
	return gathered;
}

static void plan_direction(struct plan *plan, int taps, int maps, const int *channels, int outputs,
			   const int *out_channels)
{
	/* in cycles, roughly, per 32 pixels and tap: two products of tiles, copying a step */
	const int product = 32, copy = 90;
	int best = 0, best_cost = INT32_MAX;

	*plan = (struct plan){ .taps = taps, .maps = maps };
	memcpy(plan->channels, channels, maps * sizeof(*channels));
	for (int m = 0; m < outputs; m++)
		plan->out_channels += out_channels[m];
	plan->blocks = (plan->out_channels + SIDE - 1) / SIDE;
	for (int depth = TILE_DEPTH; depth >= STEP; depth -= STEP) {
		int cost = cut_into_steps(plan, depth) * copy;

		cost += plan->chunks * plan->blocks * product;
		if (cost < best_cost) {
			best_cost = cost;
			best = depth;
		}
	}
	cut_into_steps(plan, best);
}

static void plan_layer(const struct pn_conv_shape *shape, struct plan *forward,
		       struct plan *backward)
{
	plan_direction(forward, shape->taps.count, shape->inputs, shape->in_channels,
		       shape->outputs, shape->out_channels);
	plan_direction(backward, shape->taps.count, shape->outputs, shape->out_channels,
		       shape->inputs, shape->in_channels);
}

static size_t plan_weights(const struct plan *plan)
{
	return (size_t)plan->blocks * plan->chunks * plan->taps * plan->depth * SIDE;
}

static size_t packed_bytes(const struct pn_conv_shape *shape)
{
	struct plan forward, backward;

	plan_layer(shape, &forward, &backward);
	return (sizeof(struct packed) + (plan_weights(&forward) + plan_weights(&backward)) * 2 +
		63) /
	       64 * 64;
}

/* --- weights --- */

/* Where weights[tap][in][out] of one direction lie: distance of taps, of channels read, of channels
 * out. */
struct weight_steps {
	ptrdiff_t tap, from, to;
};

/* One right factor, [depth / 2][16][2]: zero where the chunk or the block has no channel. */
static void pack_tile(const struct plan *plan, const struct chunk *chunk, int tap, int block,
		      const float *weights, const struct weight_steps *steps, uint16_t *tile)
{
	int start[PN_MAPS_MAX] = { 0 };

	for (int m = 1; m < plan->maps; m++)
		start[m] = start[m - 1] + plan->channels[m - 1];
	memset(tile, 0, plan->depth * SIDE * sizeof(*tile));
	for (int k = 0; k < chunk->groups * STEP; k++)
		for (int n = 0; n < SIDE && block * SIDE + n < plan->out_channels; n++) {
			int group = k / STEP;
			int from = start[chunk->map[group]] + chunk->first[group] + k % STEP;
			int to = block * SIDE + n;

			tile[(k / 2 * SIDE + n) * 2 + k % 2] = pn_bf16_of(
				weights[tap * steps->tap + from * steps->from + to * steps->to]);
		}
}

/* In the order of use: [pair of blocks][chunk][tap][block of the pair]. Returns the end. */
static uint16_t *pack_direction(const struct plan *plan, const float *weights,
				const struct weight_steps *steps, uint16_t *packed)
{
	for (int first = 0; first < plan->blocks; first += 2)
		for (int c = 0; c < plan->chunks; c++)
			for (int t = 0; t < plan->taps; t++)
				for (int b = first; b < first + 2 && b < plan->blocks; b++) {
					pack_tile(plan, &plan->chunk[c], t, b, weights, steps,
						  packed);
					packed += plan->depth * SIDE;
				}
	return packed;
}

static void pack(struct pn_conv *conv, const float *weights, const float *bias)
{
	struct packed *packed = conv->packed;
	ptrdiff_t in = conv->in_total, out = conv->out_total;
	struct weight_steps forward = { in * out, out, 1 }, backward = { in * out, 1, out };
	uint16_t *end;

	memset(packed, 0, sizeof(*packed));
	plan_layer(&conv->shape, &packed->forward, &packed->backward);
	memcpy(packed->bias, bias, out * sizeof(*bias));
	end = pack_direction(&packed->forward, weights, &forward, packed->weights);
	pack_direction(&packed->backward, weights, &backward, end);
}

/* --- products: sums of four tiles, through many steps --- */

/*
 * Left factors of tile k at a[k] + offset[step], rows a_stride apart; right factors at b + step *
 * b_step, the second, where there are two, b_tile further. All in bytes.
 */
struct factors {
	const char *a[BLOCK_TILES];
	ptrdiff_t a_stride;
	const ptrdiff_t *offset;
	const char *b;
	ptrdiff_t b_step, b_tile;
	int steps;
};

/* Sums 0, 1 belong to a[0], 2, 3 to a[1]; even ones to the first right factor. */
static KEPT_APART void multiply_2x2(struct tiles *tiles, const struct factors *f)
{
	const char *a0 = f->a[0], *a1 = f->a[1], *b = f->b;
	const ptrdiff_t *offset = f->offset, *end = offset + f->steps;
	const ptrdiff_t stride = f->a_stride, b_step = f->b_step, b_tile = f->b_tile;

	(void)tiles;
	for (; offset < end; offset++, b += b_step) {
		TILE_LOAD(tiles, 6, b, 64);
		TILE_LOAD(tiles, 4, a0 + *offset, stride);
		TILE_LOAD(tiles, 7, b + b_tile, 64);
		TILE_DOT(tiles, 0, 4, 6);
		TILE_LOAD(tiles, 5, a1 + *offset, stride);
		TILE_DOT(tiles, 1, 4, 7);
		TILE_DOT(tiles, 2, 5, 6);
		TILE_DOT(tiles, 3, 5, 7);
	}
}

/* Sums k belong to a[k]: for one right factor. */
static KEPT_APART void multiply_4x1(struct tiles *tiles, const struct factors *f)
{
	const char *a0 = f->a[0], *a1 = f->a[1], *a2 = f->a[2], *a3 = f->a[3], *b = f->b;
	const ptrdiff_t *offset = f->offset, *end = offset + f->steps;
	const ptrdiff_t stride = f->a_stride, b_step = f->b_step;

	(void)tiles;
	for (; offset < end; offset++, b += b_step) {
		TILE_LOAD(tiles, 6, b, 64);
		TILE_LOAD(tiles, 4, a0 + *offset, stride);
		TILE_LOAD(tiles, 5, a1 + *offset, stride);
		TILE_DOT(tiles, 0, 4, 6);
		TILE_LOAD(tiles, 4, a2 + *offset, stride);
		TILE_DOT(tiles, 1, 5, 6);
		TILE_LOAD(tiles, 5, a3 + *offset, stride);
		TILE_DOT(tiles, 2, 4, 6);
		TILE_DOT(tiles, 3, 5, 6);
	}
}

/* --- forward and backward data --- */

/* 8 channels of an output: where they go, and what gates them. Elements; data NULL: not wanted. */
struct group {
	uint16_t *data;
	const uint16_t *gate;
	ptrdiff_t row_stride, pixel_stride, gate_row_stride, gate_pixel_stride;
};

/* One call. */
struct run {
	const struct plan *plan;
	const struct pn_map *from;
	const char *weights;
	const float *bias;
	float slope; /* of the result below zero */
	int add, nx;
	ptrdiff_t offset[PN_MAPS_MAX][PN_TAPS_MAX]; /* bytes from a pixel to where a tap looks */
	ptrdiff_t gathered_offset[PN_TAPS_MAX];
	struct group group[GROUPS_MAX + 1]; /* one more: the empty half of the last block */
	char *gathered;                     /* [tap][pixel of the block][depth] */
};

/* Four tiles of pixels of a row, at x[k]; those before number fresh[k] of a tile are done. */
struct block {
	int y, count, rows;
	int x[BLOCK_TILES], fresh[BLOCK_TILES];
};

/* At the end of a row the last tile reaches back, and tiles beyond repeat it. */
static struct block block_at(int y, int x0, int nx)
{
	struct block block = { .y = y, .rows = nx < SIDE ? nx : SIDE };

	for (int k = 0; k < BLOCK_TILES; k++) {
		int x = x0 + k * SIDE, last = nx - block.rows;

		block.x[k] = x < last ? x : last;
		block.fresh[k] = x < nx ? x - block.x[k] : block.rows;
		block.count += x < nx;
	}
	return block;
}

/* Copy what all taps see of a chunk, pixel after pixel, zeros where the chunk is not full. */
static KEPT_APART void gather(const struct run *run, const struct chunk *chunk,
			      const struct block *block)
{
	const int depth = run->plan->depth;

	for (int t = 0; t < run->plan->taps; t++)
		for (int k = 0; k < block->count; k++)
			for (int g = 0; g < depth / STEP; g++) {
				uint16_t *to =
					(uint16_t *)(run->gathered + run->gathered_offset[t]) +
					k * SIDE * depth + g * STEP;
				const struct pn_map *map = &run->from[chunk->map[g]];
				const char *from =
					(const char *)map->data + run->offset[chunk->map[g]][t] +
					(block->y * map->row_stride +
					 block->x[k] * map->pixel_stride + chunk->first[g]) *
						2;

				for (int r = 0; r < block->rows; r++)
					if (g < chunk->groups)
						memcpy(to + r * depth,
						       from + r * map->pixel_stride * 2, STEP * 2);
					else
						memset(to + r * depth, 0, STEP * 2);
			}
	tiles_fence(run->gathered);
}

/* Left factors of tiles `first` and on, for one chunk. */
static void locate(const struct run *run, const struct chunk *chunk, const struct block *block,
		   int first, struct factors *f)
{
	const struct pn_map *map = &run->from[chunk->map[0]];
	const char *row =
		(const char *)map->data + (block->y * map->row_stride + chunk->first[0]) * 2;

	f->a_stride = (chunk->gathered ? run->plan->depth : map->pixel_stride) * 2;
	f->offset = chunk->gathered ? run->gathered_offset : run->offset[chunk->map[0]];
	for (int k = 0; k < BLOCK_TILES; k++) {
		int tile = first + k < block->count ? first + k : block->count - 1;

		f->a[k] = chunk->gathered ? run->gathered + tile * SIDE * f->a_stride
					  : row + block->x[tile] * f->a_stride;
	}
}

/* bfloat16 to float32, in lanes; mask ? a : b, which gcc has for vectors in C++ only. */
#define WIDEN(lanes)       ((floats_16)(__builtin_convertvector(lanes, uints_16) << 16))
#define SELECT(mask, a, b) ((floats_16)(((mask) & (ints_16)(a)) | (~(mask) & (ints_16)(b))))

/*
 * The rest of the layer for one tile of sums, `count` channels of which are wanted, 8 or 16. The
 * lanes are always 16, hence `sums` and `bias` are read 8 further than they are used.
 */
static inline __attribute__((always_inline)) void
finish_channels(const struct run *run, const struct group *group, const float *sums,
		const float *bias, const struct block *block, int tile, const int count)
{
	const ptrdiff_t stride = group->pixel_stride, gate_stride = group->gate_pixel_stride;
	const floats_16 slope = (floats_16){ 0 } + run->slope, leak = (floats_16){ 0 } + PN_LEAK;
	const floats_16 one = (floats_16){ 0 } + 1;
	const int add = run->add, first = block->fresh[tile];
	const ptrdiff_t x = block->x[tile] + first;
	uint16_t *out = group->data + block->y * group->row_stride + x * stride;
	const uint16_t *gate = NULL;
	floats_16 start;

	if (group->gate)
		gate = group->gate + block->y * group->gate_row_stride + x * gate_stride;
	memcpy(&start, bias, sizeof(start));
	for (int r = first; r < block->rows; r++, out += stride) {
		lanes_16 there = { 0 };
		floats_16 v, scaled;

		memcpy(&v, sums + r * SIDE, sizeof(v));
		v += start;
		if (add) {
			memcpy(&there, out, count * sizeof(*out));
			v += WIDEN(there);
		}
		if (gate) {
			memcpy(&there, gate, count * sizeof(*gate));
			v *= SELECT(WIDEN(there) <= 0, leak, one);
			gate += gate_stride;
		}
		scaled = v * slope;
		v = SELECT(v > 0, v, scaled);
		round_lanes(out, &v, count);
	}
}

static KEPT_APART void finish(const struct run *run, const float *sums, int channels,
			      const struct block *block, int tile)
{
	const struct group *group = &run->group[channels * 2];
	const float *bias = run->bias + channels * SIDE;

	if (group[0].data && group[1].data == group[0].data + STEP &&
	    group[1].pixel_stride == group[0].pixel_stride &&
	    (!group[0].gate || group[1].gate == group[0].gate + STEP)) {
		finish_channels(run, group, sums, bias, block, tile, 2 * STEP);
		return;
	}
	for (int half = 0; half < 2; half++)
		if (group[half].data)
			finish_channels(run, &group[half], sums + half * STEP, bias + half * STEP,
					block, tile, STEP);
}

/* All output channels of up to 64 pixels. */
static void run_block(const struct run *run, struct tiles *tiles, const struct block *block)
{
	const struct plan *plan = run->plan;
	const ptrdiff_t tile_bytes = plan->depth * SIDE * 2;
	float sums[4 * TILE + STEP] __attribute__((aligned(64)));
	int held = -1; /* chunk that is gathered */

	(void)tiles;
	memset(sums + 4 * TILE, 0, STEP * sizeof(*sums));
	for (int b = 0; b < plan->blocks; b += 2) {
		const int wide = b + 1 < plan->blocks, tiles_taken = wide ? 2 : 4;
		struct factors f = { .b_step = (wide + 1) * tile_bytes,
				     .b_tile = tile_bytes,
				     .steps = plan->taps };

		if (!run->group[2 * b].data && !run->group[2 * b + 1].data &&
		    (!wide || (!run->group[2 * b + 2].data && !run->group[2 * b + 3].data)))
			continue;
		for (int first = 0; first < block->count; first += tiles_taken) {
			f.b = run->weights + b * plan->chunks * plan->taps * tile_bytes;
			TILE_ZERO(tiles, 0);
			TILE_ZERO(tiles, 1);
			TILE_ZERO(tiles, 2);
			TILE_ZERO(tiles, 3);
			for (int c = 0; c < plan->chunks; c++, f.b += plan->taps * f.b_step) {
				if (plan->chunk[c].gathered && held != c) {
					gather(run, &plan->chunk[c], block);
					held = c;
				}
				locate(run, &plan->chunk[c], block, first, &f);
				if (wide)
					multiply_2x2(tiles, &f);
				else
					multiply_4x1(tiles, &f);
			}
			TILE_STORE(tiles, 0, sums, 64);
			TILE_STORE(tiles, 1, sums + TILE, 64);
			TILE_STORE(tiles, 2, sums + 2 * TILE, 64);
			TILE_STORE(tiles, 3, sums + 3 * TILE, 64);
			for (int k = 0; k < 4; k++)
				finish(run, sums + k * TILE, wide ? b + k % 2 : b, block,
				       first + (wide ? k / 2 : k));
		}
	}
}

/* Which tap looks where, in all maps read; `sign` -1 looks the other way. */
static void aim(struct run *run, const struct pn_taps *taps, int sign)
{
	for (int m = 0; m < run->plan->maps; m++)
		for (int t = 0; t < taps->count; t++)
			run->offset[m][t] = sign * 2 *
					    (taps->dy[t] * run->from[m].row_stride +
					     taps->dx[t] * run->from[m].pixel_stride);
	for (int t = 0; t < taps->count; t++)
		run->gathered_offset[t] = (ptrdiff_t)t * BLOCK * run->plan->depth * 2;
}

static void send(struct run *run, const struct pn_map *maps, const struct pn_map *gate)
{
	struct group *group = run->group;

	for (int channels = run->plan->out_channels; channels > 0; maps++) {
		for (int c = 0; c < maps->channels; c += STEP, group++)
			if (maps->data) {
				group->data = (uint16_t *)maps->data + c;
				group->row_stride = maps->row_stride;
				group->pixel_stride = maps->pixel_stride;
				if (gate) {
					group->gate = (const uint16_t *)gate->data + c;
					group->gate_row_stride = gate->row_stride;
					group->gate_pixel_stride = gate->pixel_stride;
				}
			}
		channels -= maps->channels;
		gate = gate ? gate + 1 : NULL;
	}
}

static void run_rows(struct run *run, int y0, int y1)
{
	char gathered[GATHERED_BYTES] __attribute__((aligned(64)));
	struct tiles tiles;

	run->gathered = gathered;
	tiles_configure(&tiles, run->nx < SIDE ? run->nx : SIDE, run->plan->depth / 2);
	for (int y = y0; y < y1; y++)
		for (int x = 0; x < run->nx; x += BLOCK) {
			struct block block = block_at(y, x, run->nx);

			run_block(run, &tiles, &block);
		}
	tiles_release(&tiles);
}

static void forward(const struct pn_conv *conv, const struct pn_map *in, const struct pn_map *out,
		    int leaky, int y0, int y1)
{
	const struct packed *packed = conv->packed;
	struct run run = {
		.plan = &packed->forward,
		.from = in,
		.weights = (const char *)packed->weights,
		.bias = packed->bias,
		.slope = leaky ? PN_LEAK : 1.0f,
		.nx = in->nx,
	};

	aim(&run, &conv->shape.taps, 1);
	send(&run, out, NULL);
	run_rows(&run, y0, y1);
}

static void backward_data(const struct pn_conv *conv, const struct pn_map *d_out,
			  const struct pn_map *d_in, int add, const struct pn_map *gate, int y0,
			  int y1)
{
	const struct packed *packed = conv->packed;
	struct run run = {
		.plan = &packed->backward,
		.from = d_out,
		.weights = (const char *)(packed->weights + plan_weights(&packed->forward)),
		.bias = packed->no_bias,
		.slope = 1,
		.add = add,
		.nx = d_out->nx,
	};

	aim(&run, &conv->shape.taps, -1);
	send(&run, d_in, gate);
	run_rows(&run, y0, y1);
}

/* --- backward weights --- */

enum {
	CHUNK = TILE_DEPTH,       /* pixels of a step */
	PAIRED = CHUNK * SIDE,    /* bfloat16 of a right factor of them */
	STRIP = 256,              /* pixels of a row taken together, at most */
	PART = 128,               /* input or output channels taken together, at most */
	BAND_MAX = 8,             /* rows of packed gradients, at most */
	PAIRS_COUNT = 64 * 1024,  /* bfloat16 of packed gradients */
	TURNED_COUNT = 48 * 1024, /* of inputs: PART channels of CHUNK pixels and what taps add */
};

/* The taps on a grid of rows `row_step` apart: tap t looks at row + row_step * row[t]. */
struct grid {
	int row_step, row_min, row_max, row[PN_TAPS_MAX];
	int dx_min, dx_span;
};

/* One call, and the strip, band and channels at hand. */
struct sums {
	const struct pn_conv *conv;
	const struct pn_map *in, *d_out;
	float *d_weights, *d_bias;
	struct grid grid;
	ptrdiff_t offset[STRIP / CHUNK];
	int x0, width, chunks; /* strip */
	int i0, i_count, i_blocks, o0, o_count, o_blocks;
	int turned_stride;
	uint16_t *pairs;  /* [row of the band][chunk][block of outputs][16][16][2] */
	uint16_t *turned; /* [input][pixel of the strip, from dx_min on] */
};

static struct grid grid_of(const struct pn_taps *taps)
{
	struct grid grid = { .row_min = INT32_MAX, .row_max = INT32_MIN, .dx_min = INT32_MAX };
	int dx_max = INT32_MIN;

	for (int t = 0; t < taps->count; t++) {
		int rest = abs(taps->dy[t]);

		while (rest) { /* greatest common divisor */
			int next = grid.row_step % rest;

			grid.row_step = rest;
			rest = next;
		}
		grid.dx_min = taps->dx[t] < grid.dx_min ? taps->dx[t] : grid.dx_min;
		dx_max = taps->dx[t] > dx_max ? taps->dx[t] : dx_max;
	}
	grid.row_step += grid.row_step == 0;
	grid.dx_span = dx_max - grid.dx_min;
	for (int t = 0; t < taps->count; t++) {
		grid.row[t] = taps->dy[t] / grid.row_step;
		grid.row_min = grid.row[t] < grid.row_min ? grid.row[t] : grid.row_min;
		grid.row_max = grid.row[t] > grid.row_max ? grid.row[t] : grid.row_max;
	}
	return grid;
}

/* 8 channels of maps taken as one, at a pixel. */
static const uint16_t *group_at(const struct pn_map *map, int channel, int y, int x,
				ptrdiff_t *pixel_stride)
{
	while (channel >= map->channels)
		channel -= map++->channels;
	*pixel_stride = map->pixel_stride;
	return (const uint16_t *)map->data + y * map->row_stride + x * map->pixel_stride + channel;
}

/* 8 channels of 32 pixels in pairs of pixels: into half of the rows of a right factor. */
static KEPT_APART void pair_32(const uint16_t *from, ptrdiff_t pixel_stride, uint16_t *to)
{
	for (int k = 0; k < CHUNK / 2; k++, from += 2 * pixel_stride, to += 2 * SIDE) {
		lanes_8 even, odd, low, high;

		memcpy(&even, from, sizeof(even));
		memcpy(&odd, from + pixel_stride, sizeof(odd));
		low = __builtin_shufflevector(even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
		high = __builtin_shufflevector(even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
		memcpy(to, &low, sizeof(low));
		memcpy(to + STEP, &high, sizeof(high));
	}
}

/* The last pixels of a row, `count` < 32, on their own and followed by zeros. */
static void copy_rest(uint16_t rest[CHUNK * STEP], const uint16_t *from, ptrdiff_t pixel_stride,
		      int count)
{
	memset(rest, 0, CHUNK * STEP * sizeof(*rest));
	for (int x = 0; x < count; x++)
		memcpy(rest + x * STEP, from + x * pixel_stride, STEP * sizeof(*rest));
}

/* A row of gradients as right factors. Zeros beyond the strip and the channels. */
static void pack_pairs(const struct sums *s, int y, uint16_t *pairs)
{
	const ptrdiff_t chunk_size = s->o_blocks * PAIRED;

	for (int g = 0; g < s->o_blocks * 2; g++) {
		uint16_t *to = pairs + g / 2 * PAIRED + g % 2 * 2 * STEP;
		uint16_t rest[CHUNK * STEP] = { 0 };
		const uint16_t *from = rest;
		ptrdiff_t stride = STEP;
		int x = 0;

		if (g * STEP < s->o_count) {
			from = group_at(s->d_out, s->o0 + g * STEP, y, s->x0, &stride);
			for (; x + CHUNK <= s->width; x += CHUNK, to += chunk_size)
				pair_32(from + x * stride, stride, to);
			copy_rest(rest, from + x * stride, stride, s->width - x);
		}
		for (; x < s->width; x += CHUNK, to += chunk_size)
			pair_32(rest, STEP, to);
	}
}

/* d_bias from one row of packed gradients. */
static void add_bias(const struct sums *s, const uint16_t *pairs)
{
	for (int b = 0; b < s->o_blocks; b++) {
		/* four sums, as an addition is not ready for the next at once */
		floats_16 sums[4] = { { 0 }, { 0 }, { 0 }, { 0 } };

		for (int k = 0; k < s->chunks * CHUNK / 2; k += 2)
			for (int i = 0; i < 2; i++) {
				uints_16 pair;

				memcpy(&pair,
				       pairs + (k / 16 * s->o_blocks + b) * PAIRED +
					       (k % 16 + i) * 2 * SIDE,
				       sizeof(pair));
				sums[2 * i] += (floats_16)(pair << 16);
				sums[2 * i + 1] += (floats_16)(pair & 0xffff0000u);
			}
		sums[0] += sums[1] + (sums[2] + sums[3]);
		for (int n = 0; n < SIDE && b * SIDE + n < s->o_count; n++)
			s->d_bias[s->o0 + b * SIDE + n] += sums[0][n];
	}
}

/* Interleave the low or high half of each 16 bytes of a and b. */
#define ZIP_LOW(a, b)                                                                           \
	__builtin_shufflevector(a, b, 0, 32, 1, 33, 2, 34, 3, 35, 8, 40, 9, 41, 10, 42, 11, 43, \
				16, 48, 17, 49, 18, 50, 19, 51, 24, 56, 25, 57, 26, 58, 27, 59)
#define ZIP_HIGH(a, b)                                                                            \
	__builtin_shufflevector(a, b, 4, 36, 5, 37, 6, 38, 7, 39, 12, 44, 13, 45, 14, 46, 15, 47, \
				20, 52, 21, 53, 22, 54, 23, 55, 28, 60, 29, 61, 30, 62, 31, 63)

/* 8 channels of 32 pixels, transposed: pixel 8 l + j is 16 bytes l of vector j. */
static KEPT_APART void turn_32(const uint16_t *from, ptrdiff_t pixel_stride, uint16_t *to,
			       ptrdiff_t stride)
{
	lanes_32 v[8], w[8];

	for (int j = 0; j < 8; j++)
		join_quarters(&v[j], from + j * pixel_stride, 8 * pixel_stride * sizeof(*from));
	/* each round rotates the six bits of (vector, lane) by one: three exchange the two */
	for (int round = 0; round < 3; round++) {
		for (int j = 0; j < 4; j++) {
			w[2 * j] = ZIP_LOW(v[j], v[j + 4]);
			w[2 * j + 1] = ZIP_HIGH(v[j], v[j + 4]);
		}
		memcpy(v, w, sizeof(v));
	}
	for (int j = 0; j < 8; j++)
		memcpy(to + j * stride, &v[j], sizeof(v[j]));
}

/* A row of the inputs, transposed, with all that the taps see beyond the strip; then zeros. */
static void turn_row(const struct sums *s, int y)
{
	const int valid = s->width + s->grid.dx_span;

	for (int c = 0; c < s->i_blocks * SIDE; c += STEP) {
		uint16_t *to = s->turned + c * s->turned_stride, rest[CHUNK * STEP];
		ptrdiff_t stride = 0;
		const uint16_t *from;
		int x = 0;

		if (c >= s->i_count) {
			memset(to, 0, STEP * s->turned_stride * sizeof(*to));
			continue;
		}
		from = group_at(s->in, s->i0 + c, y, s->x0 + s->grid.dx_min, &stride);
		for (; x + CHUNK <= valid; x += CHUNK)
			turn_32(from + x * stride, stride, to + x, s->turned_stride);
		copy_rest(rest, from + x * stride, stride, valid - x);
		for (; x < s->turned_stride; x += CHUNK) {
			turn_32(rest, STEP, to + x, s->turned_stride);
			memset(rest, 0, sizeof(rest));
		}
	}
	tiles_fence(s->turned);
}

/* A tile of d_weights: itself where it is whole, else a copy. */
struct target {
	float *at, *used, copy[SIDE * SIDE] __attribute__((aligned(64)));
	ptrdiff_t stride; /* of what is used, bytes */
	int rows, columns;
};

static void target_take(const struct sums *s, struct target *target, int tap, int i_block,
			int o_block)
{
	const int out = s->conv->out_total;

	target->rows = s->i_count - i_block * SIDE < SIDE ? STEP : SIDE;
	target->columns = s->o_count - o_block * SIDE < SIDE ? STEP : SIDE;
	target->at = s->d_weights +
		     ((ptrdiff_t)tap * s->conv->in_total + s->i0 + i_block * SIDE) * out + s->o0 +
		     o_block * SIDE;
	target->used = target->at;
	target->stride = out * sizeof(float);
	if (target->rows == SIDE && target->columns == SIDE)
		return;
	target->used = target->copy;
	target->stride = SIDE * sizeof(float);
	memset(target->copy, 0, sizeof(target->copy));
	for (int r = 0; r < target->rows; r++)
		memcpy(target->copy + r * SIDE, target->at + r * out,
		       target->columns * sizeof(float));
	tiles_fence(target->copy);
}

static void target_return(const struct sums *s, const struct target *target)
{
	if (target->used == target->copy)
		for (int r = 0; r < target->rows; r++)
			memcpy(target->at + r * s->conv->out_total, target->copy + r * SIDE,
			       target->columns * sizeof(float));
}

/* Four tiles of d_weights: of those tap and block of inputs (units), from output block b. */
static void add_products(const struct sums *s, struct tiles *tiles, const int *tap,
			 const int *i_block, int b, int wide, const struct factors *f)
{
	struct target target[4];

	for (int k = 0; k < 4; k++)
		target_take(s, &target[k], tap[wide ? k / 2 : k], i_block[wide ? k / 2 : k],
			    wide ? b + k % 2 : b);
	TILE_LOAD(tiles, 0, target[0].used, target[0].stride);
	TILE_LOAD(tiles, 1, target[1].used, target[1].stride);
	TILE_LOAD(tiles, 2, target[2].used, target[2].stride);
	TILE_LOAD(tiles, 3, target[3].used, target[3].stride);
	if (wide)
		multiply_2x2(tiles, f);
	else
		multiply_4x1(tiles, f);
	TILE_STORE(tiles, 0, target[0].used, target[0].stride);
	TILE_STORE(tiles, 1, target[1].used, target[1].stride);
	TILE_STORE(tiles, 2, target[2].used, target[2].stride);
	TILE_STORE(tiles, 3, target[3].used, target[3].stride);
	for (int k = 0; k < 4; k++)
		target_return(s, &target[k]);
}

/*
 * One row of gradients with the transposed row of inputs that lies `row` steps of the grid away:
 * all taps of that row. A unit is a tap and a block of inputs; units beyond the last repeat it,
 * which loads and stores the same tile twice.
 */
static void add_row(const struct sums *s, struct tiles *tiles, const uint16_t *pairs, int row)
{
	const struct pn_taps *taps = &s->conv->shape.taps;
	int tap_of[PN_TAPS_MAX], count = 0, units;

	for (int t = 0; t < taps->count; t++)
		if (s->grid.row[t] == row)
			tap_of[count++] = t;
	units = count * s->i_blocks;
	for (int b = 0; b < s->o_blocks; b += 2) {
		const int wide = b + 1 < s->o_blocks, taken = wide ? 2 : 4;
		struct factors f = { .a_stride = s->turned_stride * 2,
				     .offset = s->offset,
				     .b = (const char *)(pairs + b * PAIRED),
				     .b_step = s->o_blocks * PAIRED * 2,
				     .b_tile = PAIRED * 2,
				     .steps = s->chunks };

		for (int u = 0; u < units; u += taken) {
			int tap[4], i_block[4];

			for (int k = 0; k < taken; k++) {
				int unit = u + k < units ? u + k : units - 1;

				tap[k] = tap_of[unit / s->i_blocks];
				i_block[k] = unit % s->i_blocks;
				f.a[k] = (const char *)(s->turned +
							i_block[k] * SIDE * s->turned_stride +
							taps->dx[tap[k]] - s->grid.dx_min);
			}
			add_products(s, tiles, tap, i_block, b, wide, &f);
		}
	}
}

/* All inputs, for `rows` rows of packed gradients, row_step apart from y on. */
static void add_band(struct sums *s, struct tiles *tiles, int y, int rows)
{
	const struct grid *grid = &s->grid;
	const int in = s->conv->in_total, row_size = s->chunks * s->o_blocks * PAIRED;

	for (s->i0 = 0; s->i0 < in; s->i0 += PART) {
		s->i_count = in - s->i0 < PART ? in - s->i0 : PART;
		s->i_blocks = (s->i_count + SIDE - 1) / SIDE;
		for (int from = grid->row_min; from < rows + grid->row_max; from++) {
			int turned = 0;

			for (int k = 0; k < rows; k++) {
				int wanted = 0;

				for (int t = 0; t < s->conv->shape.taps.count; t++)
					wanted |= grid->row[t] == from - k;
				if (!wanted)
					continue;
				if (!turned)
					turn_row(s, y + from * grid->row_step);
				turned = 1;
				add_row(s, tiles, s->pairs + k * row_size, from - k);
			}
		}
	}
}

/* All rows of one strip, in bands of rows that share what is transposed. */
static void add_strip(struct sums *s, struct tiles *tiles, int y0, int y1)
{
	const int out = s->conv->out_total, step = s->grid.row_step;

	for (s->o0 = 0; s->o0 < out; s->o0 += PART) {
		int row_size, band;

		s->o_count = out - s->o0 < PART ? out - s->o0 : PART;
		s->o_blocks = (s->o_count + SIDE - 1) / SIDE;
		row_size = s->chunks * s->o_blocks * PAIRED;
		band = PAIRS_COUNT / row_size < BAND_MAX ? PAIRS_COUNT / row_size : BAND_MAX;
		for (int first = y0; first < y0 + step; first++)
			for (int y = first; y < y1; y += band * step) {
				int rows = (y1 - y + step - 1) / step;

				rows = rows < band ? rows : band;
				for (int k = 0; k < rows; k++) {
					uint16_t *pairs = s->pairs + k * row_size;

					pack_pairs(s, y + k * step, pairs);
					add_bias(s, pairs);
				}
				tiles_fence(s->pairs);
				add_band(s, tiles, y, rows);
			}
	}
}

static void backward_weights(const struct pn_conv *conv, const struct pn_map *in,
			     const struct pn_map *d_out, float *d_weights, float *d_bias, int y0,
			     int y1)
{
	uint16_t pairs[PAIRS_COUNT] __attribute__((aligned(64)));
	uint16_t turned[TURNED_COUNT] __attribute__((aligned(64)));
	struct sums s = { .conv = conv,
			  .in = in,
			  .d_out = d_out,
			  .d_weights = d_weights,
			  .d_bias = d_bias,
			  .grid = grid_of(&conv->shape.taps),
			  .pairs = pairs,
			  .turned = turned };
	/* as wide as the transposed rows allow: at least one chunk, whatever the taps */
	int part = (conv->in_total < PART ? conv->in_total + SIDE - 1 : PART) / SIDE * SIDE;
	int strip = (TURNED_COUNT / part - s.grid.dx_span) / CHUNK * CHUNK - CHUNK;
	struct tiles tiles;

	strip = strip < STRIP ? strip : STRIP;
	for (int c = 0; c < STRIP / CHUNK; c++)
		s.offset[c] = c * CHUNK * 2;
	tiles_configure(&tiles, SIDE, CHUNK / 2);
	for (s.x0 = 0; s.x0 < in->nx; s.x0 += strip) {
		s.width = in->nx - s.x0 < strip ? in->nx - s.x0 : strip;
		s.chunks = (s.width + CHUNK - 1) / CHUNK;
		s.turned_stride = (s.chunks * CHUNK + s.grid.dx_span + CHUNK - 1) / CHUNK * CHUNK;
		pn_assert(s.turned_stride * part <= TURNED_COUNT);
		add_strip(&s, &tiles, y0, y1);
	}
	tiles_release(&tiles);
}

#ifdef PN_TILES_EMULATED
const struct pn_conv_kernels pn_conv_tiles_emulated =
#else
const struct pn_conv_kernels pn_conv_tiles =
#endif
	{ packed_bytes, pack, forward, backward_data, backward_weights };
