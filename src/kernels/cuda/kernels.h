/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernels, in what C and CUDA have in common. device.cu and emulated.c make functions of the
 * rows of PN_GPU_KERNEL_ROWS.
 *
 * A product's rows are 16 pixels, its columns 8 outputs; what is summed over goes in groups of four
 * chunks of 8 channels, one chunk for each lane of a quad. Which chunk is which tap and input is up
 * to a table, so that each lane loads 16 bytes at a time and nothing is padded but the last group.
 * The columns are dealt out so that a lane ends with neighbouring outputs (output 2 frags t + 2 j +
 * e is column 2 t + e of fragment j): it stores them at once, and they are in turn what a product
 * that follows wants as rows.
 */
#ifndef PN_CUDA_KERNELS_H
#define PN_CUDA_KERNELS_H

#include "args.h"
#include "lanes.h"

#define PN_GPU_LEAK 0.1f /* PN_LEAK, whose header is not for C++ */

/* A chunk as the direct kernels find it. */
struct pn_gpu_place {
	const char *data;
	int32_t stride; /* bytes from pixel to pixel */
	int16_t dy, dx;
};

/* Which block this is, and its memory. */
struct pn_gpu_block {
	int x, y, z;
	char *shared;
};

/* ---- views --------------------------------------------------------------------------------- */

PN_FN int64_t map_at(const struct pn_gpu_view *view, int clip, int item)
{
	return ((int64_t)view->first + (int64_t)clip * view->per_clip +
		(int64_t)item * view->per_item) *
	       view->map_stride;
}

PN_FN uint16_t *map_of(const struct pn_gpu_view *view, int clip, int item)
{
	return (uint16_t *)view->data + map_at(view, clip, item);
}

PN_FN float *image_of(const struct pn_gpu_view *view, int clip, int item)
{
	return (float *)view->data + map_at(view, clip, item);
}

PN_FN float leaked(float value)
{
	return value > 0 ? value : PN_GPU_LEAK * value;
}

PN_FN void gated(uint32_t word, float *low, float *high)
{
	*low = pn_low(word) > 0 ? *low : PN_GPU_LEAK * *low;
	*high = pn_high(word) > 0 ? *high : PN_GPU_LEAK * *high;
}

/* @frags words that lie side by side. */
PN_FN void store_words(uint32_t *to, const uint32_t *words, const int frags)
{
	if (frags == 4) {
		struct pn_word4 v = { { words[0], words[1], words[2], words[3] } };

		pn_store16(to, v);
		return;
	}
	PN_UNROLL
	for (int j = 0; j < frags; j++)
		to[j] = words[j];
}

/* ---- stem ---------------------------------------------------------------------------------- */

/* Eight channels from @first on of the stem's output at a pixel within the image. */
PN_FN struct pn_word4 stem_value(const struct pn_gpu_stem *stem, const float *image, int ny, int nx,
				 int y, int x, int first)
{
	float sum[8];
	struct pn_word4 out;

	PN_UNROLL
	for (int c = 0; c < 8; c++)
		sum[c] = stem->bias[first + c];
	for (int t = 0; t < stem->taps; t++) {
		int sy = y + stem->dy[t], sx = x + stem->dx[t];
		const float *w = stem->weights + t * stem->channels + first;

		if (sy < 0 || sy >= ny || sx < 0 || sx >= nx)
			continue;
		float value = (image[(int64_t)sy * nx + sx] - stem->offset) * stem->inverse;
		PN_UNROLL
		for (int c = 0; c < 8; c++)
			sum[c] += value * w[c];
	}
	PN_UNROLL
	for (int i = 0; i < 4; i++)
		out.w[i] = pn_pair(leaked(sum[2 * i]), leaked(sum[2 * i + 1]));
	return out;
}

PN_FN void stem_body(const struct pn_gpu_stem_run *a, struct pn_gpu_block at)
{
	int x = at.x, z = at.z;
	int clip = z / a->items, item = z % a->items, chunks = a->stem.channels / 8;
	const float *image = image_of(&a->stem.image, clip, item);
	uint16_t *out = map_of(&a->out, clip, item);

	PN_EACH_THREAD(thread) {
		int64_t i = (int64_t)x * PN_GPU_THREADS + thread;
		int p = (int)(i / chunks), first = (int)(i % chunks) * 8;

		if (p < a->ny * a->nx)
			pn_store16(out + (int64_t)p * a->out.pixel_stride + first,
				   stem_value(&a->stem, image, a->ny, a->nx, p / a->nx, p % a->nx,
					      first));
	}
}

/* ---- convolution: what a block needs before its warps begin --------------------------------- */

/* Chunks beyond the last have zero weights; they must not read what may be no number. */
PN_FN void conv_places(const struct pn_gpu_conv *a, int clip, int item, struct pn_gpu_place *place,
		       int thread)
{
	for (int k = thread; k < 4 * a->groups; k += PN_GPU_THREADS) {
		const struct pn_gpu_chunk *chunk = &a->chunk[k < a->chunks ? k : 0];
		const struct pn_gpu_view *in = &a->in[chunk->input];

		place[k].data = (const char *)(map_of(in, clip, item) + chunk->channel);
		place[k].stride = in->pixel_stride * 2;
		place[k].dy = k < a->chunks ? chunk->dy : INT16_MIN;
		place[k].dx = chunk->dx;
	}
}

/* Bytes from a pixel of the tile to a chunk. */
PN_FN void conv_offsets(const struct pn_gpu_conv *a, int32_t *offset, int thread)
{
	int pitch = PN_GPU_TILE_PX + 2 * a->reach;

	for (int k = thread; k < 4 * a->groups; k += PN_GPU_THREADS) {
		const struct pn_gpu_chunk *chunk = &a->chunk[k < a->chunks ? k : 0];

		offset[k] = ((chunk->dy * pitch + chunk->dx) * a->channels + chunk->channel) * 2;
	}
}

/* A tile of a map whose pixels lie side by side: a warp for each row, no divisions. */
PN_FN void conv_stage_rows(const struct pn_gpu_conv *a, const uint16_t *in, int y0, int x0,
			   char *tile, int thread)
{
	int pitch = PN_GPU_TILE_PX + 2 * a->reach, chunks = a->channels / 8;
	int first = x0 < 0 ? -x0 * chunks : 0, end = (a->nx - x0) * chunks, count = pitch * chunks;

	for (int row = thread >> 5; row < pitch; row += PN_GPU_WARPS) {
		int y = y0 + row, there = y >= 0 && y < a->ny;
		const uint16_t *from = in + ((int64_t)(there ? y : 0) * a->nx + x0) * a->channels;

		for (int k = thread & 31; k < count; k += 32) {
			int inside = there && k >= first && k < end;

			pn_copy16(tile + (row * count + k) * 16, inside ? from + k * 8 : in,
				  inside);
		}
	}
}

/* Any tile with its halo into shared memory: [y][x][channel], zero beyond the edge. */
PN_FN void conv_stage(const struct pn_gpu_conv *a, int clip, int item, int y0, int x0, char *tile,
		      int thread)
{
	int pitch = PN_GPU_TILE_PX + 2 * a->reach, chunks = a->channels / 8;
	const uint16_t *in = a->from_stem ? (const uint16_t *)0 : map_of(&a->in[0], clip, item);
	const float *image = a->from_stem ? image_of(&a->stem.image, clip, item) : (float *)0;

	if (!a->from_stem && a->in[0].pixel_stride == a->channels) {
		conv_stage_rows(a, in, y0, x0, tile, thread);
		return;
	}
	for (int k = thread; k < pitch * pitch * chunks; k += PN_GPU_THREADS) {
		int p = k / chunks, first = k % chunks * 8;
		int y = y0 + p / pitch, x = x0 + p % pitch;
		int inside = y >= 0 && y < a->ny && x >= 0 && x < a->nx;
		char *to = tile + k * 16;

		if (!a->from_stem) {
			int64_t at = inside ? ((int64_t)y * a->nx + x) * a->in[0].pixel_stride : 0;

			pn_copy16(to, in + at + first, inside);
		} else {
			struct pn_word4 value = { { 0, 0, 0, 0 } };

			if (inside)
				value = stem_value(&a->stem, image, a->ny, a->nx, y, x, first);
			pn_store16(to, value);
		}
	}
}

/* ---- convolution: what a warp does ----------------------------------------------------------- */

/* Where row @row of the warp's @frag-th fragment lies: 0 if outside. */
PN_FN int conv_pixel(const struct pn_gpu_conv *a, int y0, int x0, int frag, int row, int *y, int *x)
{
	*y = y0 + (frag >> a->line_shift);
	*x = x0 + ((frag & ((1 << a->line_shift) - 1)) << 4) + row;
	return *y < a->ny && *x < a->nx;
}

PN_FN struct pn_word4 load_place(const struct pn_gpu_conv *a, const struct pn_gpu_place *place,
				 int y, int x)
{
	struct pn_word4 value = { { 0, 0, 0, 0 } };
	int sy = y + place->dy, sx = x + place->dx;

	if ((unsigned)sy < (unsigned)a->ny && (unsigned)sx < (unsigned)a->nx)
		value = pn_load16(place->data + ((int64_t)sy * a->nx + sx) * place->stride);
	return value;
}

/* Rows g and g + 8 of one fragment for one group of chunks. */
PN_FN void load_rows(const struct pn_gpu_conv *a, const void *table, const char *tile, int y0,
		     int x0, int frag, int group, const int staged, struct pn_quad *low,
		     struct pn_quad *high)
{
	PN_EACH_LANE(lane) {
		int g = lane >> 2, k = 4 * group + (lane & 3), y, x;

		if (staged) {
			int pitch = PN_GPU_TILE_PX + 2 * a->reach;
			int pixel = (frag + a->reach) * pitch + g + a->reach;
			const char *at = tile + (int64_t)pixel * a->channels * 2 +
					 ((const int32_t *)table)[k];

			low->v[PN_AT(lane)] = pn_load16_shared(at);
			high->v[PN_AT(lane)] = pn_load16_shared(at + 16 * a->channels);
		} else {
			struct pn_gpu_place place = ((const struct pn_gpu_place *)table)[k];

			conv_pixel(a, y0, x0, frag, g, &y, &x);
			low->v[PN_AT(lane)] = load_place(a, &place, y, x);
			high->v[PN_AT(lane)] = load_place(a, &place, y, x + 8);
		}
	}
}

PN_FN void load_columns(const uint16_t *packed, struct pn_quad *b)
{
	PN_EACH_LANE(lane)
		b->v[PN_AT(lane)] = pn_load16(packed + lane * 8);
}

PN_FN void start_sums(struct pn_acc *acc, const float *bias, int block, int j, const int frags)
{
	PN_EACH_LANE(lane) {
		int first = block * 8 * frags + 2 * frags * (lane & 3) + 2 * j;

		PN_UNROLL
		for (int i = 0; i < 4; i++)
			acc->v[PN_AT(lane)][i] = bias ? bias[first + (i & 1)] : 0;
	}
}

/* One row's words of a fragment, finished: added to what is there, gated, rectified. */
PN_FN void finish_words(const struct pn_gpu_conv *a, const uint32_t *old, const uint32_t *gate,
			const float (*sums)[2], uint32_t *words, const int frags)
{
	PN_UNROLL
	for (int j = 0; j < frags; j++) {
		float low = sums[j][0], high = sums[j][1];

		if (a->add) {
			low += pn_low(old[j]);
			high += pn_high(old[j]);
		}
		if (a->gated)
			gated(gate[j], &low, &high);
		if (a->leaky) {
			low = leaked(low);
			high = leaked(high);
		}
		words[j] = pn_pair(low, high);
	}
}

/* What came out for one fragment: stored, and as rows for a product that follows. */
PN_FN void conv_finish(const struct pn_gpu_conv *a, uint16_t *out, const uint16_t *gate, int block,
		       int y0, int x0, int frag, const struct pn_acc *acc, struct pn_quad *next,
		       const int frags)
{
	PN_EACH_LANE(lane) {
		int first = block * 8 * frags + 2 * frags * (lane & 3);

		PN_UNROLL
		for (int half = 0; half < 2; half++) {
			int y, x, row = (lane >> 2) + 8 * half;
			int inside = conv_pixel(a, y0, x0, frag, row, &y, &x);
			int64_t p = (int64_t)y * a->nx + x;
			uint32_t *words = next[half].v[PN_AT(lane)].w;
			uint32_t *to = (uint32_t *)(out + p * a->out.pixel_stride + first);
			const uint32_t *by =
				(const uint32_t *)(gate + p * a->gate.pixel_stride + first);
			uint32_t old[4] = { 0, 0, 0, 0 }, open[4] = { 0, 0, 0, 0 };
			float sums[4][2];

			PN_UNROLL
			for (int j = 0; j < frags; j++) {
				sums[j][0] = acc[j].v[PN_AT(lane)][2 * half];
				sums[j][1] = acc[j].v[PN_AT(lane)][2 * half + 1];
				if (inside && a->add)
					old[j] = to[j];
				if (inside && a->gated)
					open[j] = by[j];
			}
			PN_UNROLL
			for (int j = 0; j < 4; j++)
				words[j] = 0;
			finish_words(a, old, open, sums, words, frags);
			if (inside && a->keep)
				store_words(to, words, frags);
		}
	}
}

/* What came out of the 1x1 that follows, for one fragment. */
PN_FN void next_finish(const struct pn_gpu_conv *a, uint16_t *out, int block, int y0, int x0,
		       int frag, const struct pn_acc *acc, const int frags)
{
	PN_EACH_LANE(lane) {
		int first = block * 8 * frags + 2 * frags * (lane & 3);

		PN_UNROLL
		for (int half = 0; half < 2; half++) {
			int y, x, row = (lane >> 2) + 8 * half;
			int inside = conv_pixel(a, y0, x0, frag, row, &y, &x);
			int64_t p = (int64_t)y * a->nx + x;
			uint16_t *to = out + p * a->next_out.pixel_stride + first;
			uint32_t words[4];

			PN_UNROLL
			for (int j = 0; j < frags; j++)
				words[j] = pn_pair(acc[j].v[PN_AT(lane)][2 * half],
						   acc[j].v[PN_AT(lane)][2 * half + 1]);
			if (inside)
				store_words((uint32_t *)to, words, frags);
		}
	}
}

/* The 1x1 that follows: @rows are the words of all its inputs. */
PN_FN void conv_next(const struct pn_gpu_conv *a, uint16_t *out, int y0, int x0, int warp,
		     struct pn_quad (*rows)[2], const int frags)
{
	for (int block = 0; block < a->next_blocks; block++) {
		PN_UNROLL
		for (int f = 0; f < PN_GPU_FRAGS; f++) {
			struct pn_acc acc[4];

			PN_UNROLL
			for (int j = 0; j < frags; j++) {
				struct pn_quad b;

				load_columns(a->next_weights + (block * frags + j) * 256, &b);
				start_sums(&acc[j], a->next_bias, block, j, frags);
				pn_mma(&acc[j], &rows[f][0], &rows[f][1], &b, 0);
				if (frags > 2)
					pn_mma(&acc[j], &rows[f][0], &rows[f][1], &b, 1);
			}
			next_finish(a, out, block, y0, x0, warp * PN_GPU_FRAGS + f, acc, frags);
		}
	}
}

PN_FN void conv_warp(const struct pn_gpu_conv *a, int clip, int item, const void *table,
		     const char *tile, int y0, int x0, int warp, const int frags, const int staged)
{
	uint16_t *out = map_of(&a->out, clip, item);
	const uint16_t *gate = a->gated ? map_of(&a->gate, clip, item) : out;
	struct pn_quad rows[PN_GPU_FRAGS][2];

	for (int block = 0; block < a->blocks; block++) {
		const uint16_t *packed = a->weights + (int64_t)block * a->groups * frags * 256;
		struct pn_acc acc[PN_GPU_FRAGS][4];

		PN_UNROLL
		for (int f = 0; f < PN_GPU_FRAGS; f++) {
			PN_UNROLL
			for (int j = 0; j < frags; j++)
				start_sums(&acc[f][j], a->bias, block, j, frags);
		}
		for (int q = 0; q < a->groups; q++) {
			PN_UNROLL
			for (int f = 0; f < PN_GPU_FRAGS; f++)
				load_rows(a, table, tile, y0, x0, warp * PN_GPU_FRAGS + f, q,
					  staged, &rows[f][0], &rows[f][1]);
			PN_UNROLL
			for (int j = 0; j < frags; j++) {
				struct pn_quad b;

				load_columns(packed + (q * frags + j) * 256, &b);
				PN_UNROLL
				for (int f = 0; f < PN_GPU_FRAGS; f++) {
					pn_mma(&acc[f][j], &rows[f][0], &rows[f][1], &b, 0);
					pn_mma(&acc[f][j], &rows[f][0], &rows[f][1], &b, 1);
				}
			}
		}
		PN_UNROLL
		for (int f = 0; f < PN_GPU_FRAGS; f++)
			conv_finish(a, out, gate, block, y0, x0, warp * PN_GPU_FRAGS + f, acc[f],
				    rows[f], frags);
	}
	if (a->next_blocks)
		conv_next(a, map_of(&a->next_out, clip, item), y0, x0, warp, rows, frags);
}

PN_FN void conv_body(const struct pn_gpu_conv *a, struct pn_gpu_block at, const int frags,
		     const int staged)
{
	int x = at.x, z = at.z;
	char *shared = at.shared;
	int clip = z / a->items, item = z % a->items;
	int y0 = x / a->tiles_x * a->tile_h, x0 = x % a->tiles_x * a->tile_w;
	char *tile = shared + a->groups * 4 * (int)sizeof(struct pn_gpu_place);

	PN_EACH_THREAD(thread) {
		if (staged) {
			conv_offsets(a, (int32_t *)shared, thread);
			conv_stage(a, clip, item, y0 - a->reach, x0 - a->reach, tile, thread);
		} else {
			conv_places(a, clip, item, (struct pn_gpu_place *)shared, thread);
		}
	}
	if (staged)
		pn_copy_wait();
	PN_BARRIER();
	PN_EACH_WARP(warp)
		conv_warp(a, clip, item, shared, tile, y0, x0, warp, frags, staged);
}

/* ---- head ---------------------------------------------------------------------------------- */

#define PN_HEAD_FRAGS 2 /* rows of 16 pixels of a warp */

PN_FN void head_rows(const struct pn_gpu_head *a, const uint16_t *in, int p0, int group,
		     struct pn_quad *rows)
{
	PN_EACH_LANE(lane) {
		int k = 4 * group + (lane & 3);

		PN_UNROLL
		for (int half = 0; half < 2; half++) {
			int p = p0 + (lane >> 2) + 8 * half;
			struct pn_word4 value = { { 0, 0, 0, 0 } };

			if (p < a->pixels && k < a->chunks)
				value = pn_load16(in + (int64_t)p * a->in.pixel_stride + 8 * k);
			rows[half].v[PN_AT(lane)] = value;
		}
	}
}

/* Group @group of the words that @frags fragments of sums give, rectified. */
PN_FN void head_turn(const struct pn_acc *acc, int group, struct pn_quad *rows, const int frags)
{
	PN_EACH_LANE(lane) {
		PN_UNROLL
		for (int k = 0; k < 8; k++) {
			int j = 4 * group + k / 2, half = k % 2;
			uint32_t word = 0;

			if (j < frags)
				word = pn_pair(leaked(acc[j].v[PN_AT(lane)][2 * half]),
					       leaked(acc[j].v[PN_AT(lane)][2 * half + 1]));
			rows[half].v[PN_AT(lane)].w[k / 2] = word;
		}
	}
}

PN_FN void head_readout(const struct pn_gpu_head *a, float *out, int p0, const struct pn_acc *acc,
			const int frags)
{
	PN_UNROLL
	for (int half = 0; half < 2; half++) {
		float sum[PN_LANES];

		PN_EACH_LANE(lane) {
			const float *w = a->readout_weights + 2 * frags * (lane & 3);
			float s = 0;

			PN_UNROLL
			for (int j = 0; j < frags; j++)
				s += leaked(acc[j].v[PN_AT(lane)][2 * half]) * w[2 * j] +
				     leaked(acc[j].v[PN_AT(lane)][2 * half + 1]) * w[2 * j + 1];
			sum[PN_AT(lane)] = s;
		}
		pn_quad_sum(sum);
		PN_EACH_LANE(lane) {
			int p = p0 + (lane >> 2) + 8 * half;

			if (!(lane & 3) && p < a->pixels)
				out[p] = a->offset +
					 a->scale * (sum[PN_AT(lane)] + a->readout_bias[0]);
		}
	}
}

PN_FN void head_warp(const struct pn_gpu_head *a, const uint16_t *in, float *out, int p0,
		     const int frags1, const int frags2)
{
	struct pn_acc first[PN_HEAD_FRAGS][12], second[6];

	PN_UNROLL
	for (int f = 0; f < PN_HEAD_FRAGS; f++) {
		PN_UNROLL
		for (int j = 0; j < frags1; j++)
			start_sums(&first[f][j], a->bias[0], 0, j, frags1);
	}
	for (int q = 0; q < a->groups; q++) {
		struct pn_quad rows[PN_HEAD_FRAGS][2], b;

		PN_UNROLL
		for (int f = 0; f < PN_HEAD_FRAGS; f++)
			head_rows(a, in, p0 + 16 * f, q, rows[f]);
		PN_UNROLL
		for (int j = 0; j < frags1; j++) {
			load_columns(a->weights[0] + (q * frags1 + j) * 256, &b);
			PN_UNROLL
			for (int f = 0; f < PN_HEAD_FRAGS; f++) {
				pn_mma(&first[f][j], &rows[f][0], &rows[f][1], &b, 0);
				pn_mma(&first[f][j], &rows[f][0], &rows[f][1], &b, 1);
			}
		}
	}
	PN_UNROLL
	for (int f = 0; f < PN_HEAD_FRAGS; f++) {
		PN_UNROLL
		for (int j = 0; j < frags2; j++)
			start_sums(&second[j], a->bias[1], 0, j, frags2);
		PN_UNROLL
		for (int q = 0; q < (frags1 + 3) / 4; q++) {
			struct pn_quad rows[2], b;

			head_turn(first[f], q, rows, frags1);
			PN_UNROLL
			for (int j = 0; j < frags2; j++) {
				load_columns(a->weights[1] + (q * frags2 + j) * 256, &b);
				pn_mma(&second[j], &rows[0], &rows[1], &b, 0);
				pn_mma(&second[j], &rows[0], &rows[1], &b, 1);
			}
		}
		head_readout(a, out, p0 + 16 * f, second, frags2);
	}
}

PN_FN void head_body(const struct pn_gpu_head *a, struct pn_gpu_block at, const int frags1,
		     const int frags2)
{
	int x = at.x, z = at.z;
	int clip = z / a->items, item = z % a->items;

	PN_EACH_WARP(warp)
		head_warp(a, map_of(&a->in, clip, item), image_of(&a->out, clip, item),
			  x * PN_GPU_HEAD_PX + warp * 16 * PN_HEAD_FRAGS, frags1, frags2);
}

/* ---- one pixel after another ----------------------------------------------------------------- */

PN_FN void readout_body(const struct pn_gpu_simple *a, struct pn_gpu_block at)
{
	int x = at.x, z = at.z;
	int clip = z / a->items, item = z % a->items;
	const uint16_t *in = map_of(&a->in, clip, item);
	float *out = image_of(&a->out, clip, item);

	PN_EACH_THREAD(thread) {
		int p = x * PN_GPU_THREADS + thread;
		float sum = a->bias[0];

		if (p >= a->ny * a->nx)
			continue;
		for (int c = 0; c < a->channels; c += 8) {
			struct pn_word4 v = pn_load16(in + (int64_t)p * a->in.pixel_stride + c);

			PN_UNROLL
			for (int i = 0; i < 4; i++)
				sum += pn_low(v.w[i]) * a->weights[c + 2 * i] +
				       pn_high(v.w[i]) * a->weights[c + 2 * i + 1];
		}
		out[p] = a->offset + a->scale * sum;
	}
}

/* in: the gradient by the image; gate: the map that was read out; out: the gradient by its sums. */
PN_FN void readout_back_body(const struct pn_gpu_simple *a, struct pn_gpu_block at)
{
	int x = at.x, z = at.z;
	int clip = z / a->items, item = z % a->items, chunks = a->channels / 8;
	const float *d = image_of(&a->in, clip, item);
	const uint16_t *gate = map_of(&a->gate, clip, item);
	uint16_t *out = map_of(&a->out, clip, item);

	PN_EACH_THREAD(thread) {
		int64_t i = (int64_t)x * PN_GPU_THREADS + thread;
		int64_t p = i / chunks;
		int c = (int)(i % chunks) * 8;
		struct pn_word4 v;

		if (p >= (int64_t)a->ny * a->nx)
			continue;
		v = pn_load16(gate + p * a->gate.pixel_stride + c);
		PN_UNROLL
		for (int k = 0; k < 4; k++) {
			float low = d[p] * a->weights[c + 2 * k];
			float high = d[p] * a->weights[c + 2 * k + 1];

			gated(v.w[k], &low, &high);
			v.w[k] = pn_pair(low, high);
		}
		pn_store16(out + p * a->out.pixel_stride + c, v);
	}
}

PN_FN void gate_body(const struct pn_gpu_simple *a, struct pn_gpu_block at)
{
	int x = at.x, z = at.z;
	int clip = z / a->items, item = z % a->items, chunks = a->channels / 8;
	const uint16_t *gate = map_of(&a->gate, clip, item);
	uint16_t *out = map_of(&a->out, clip, item);

	PN_EACH_THREAD(thread) {
		int64_t i = (int64_t)x * PN_GPU_THREADS + thread;
		int64_t p = i / chunks;
		int c = (int)(i % chunks) * 8;
		uint16_t *to = out + p * a->out.pixel_stride + c;
		struct pn_word4 v, d;

		if (p >= (int64_t)a->ny * a->nx)
			continue;
		v = pn_load16(gate + p * a->gate.pixel_stride + c);
		d = pn_load16_shared(to);
		PN_UNROLL
		for (int k = 0; k < 4; k++) {
			float low = pn_low(d.w[k]), high = pn_high(d.w[k]);

			gated(v.w[k], &low, &high);
			d.w[k] = pn_pair(low, high);
		}
		pn_store16(to, d);
	}
}

PN_FN void pack_body(const struct pn_gpu_pack *a, struct pn_gpu_block at)
{
	int x = at.x;

	PN_EACH_THREAD(thread) {
		int i = 2 * (x * PN_GPU_THREADS + thread); /* the count is even */

		if (i < a->count) {
			int32_t low = a->from[i], high = a->from[i + 1];

			((uint32_t *)a->packed)[i / 2] = pn_pair(low < 0 ? 0 : a->params[low],
								 high < 0 ? 0 : a->params[high]);
		}
	}
}

/* out: what the network gave; the squares are summed by thread, then over the block's threads. */
PN_FN void error_body(const struct pn_gpu_error *a, struct pn_gpu_block at)
{
	int x = at.x, z = at.z;
	int clip = z / a->items, item = z % a->items;
	const float *out = image_of(&a->out, clip, item), *truth = image_of(&a->truth, clip, item);
	float *d_out = image_of(&a->d_out, clip, item);
	double *squares = (double *)at.shared;

	PN_EACH_THREAD(thread) {
		double sum = 0;

		for (int p = x * PN_GPU_THREADS + thread; p < a->pixels;
		     p += a->blocks * PN_GPU_THREADS) {
			double apart = (double)out[p] - (truth[p] - a->offset) * a->inverse;

			sum += apart * apart;
			d_out[p] = (float)(a->slope * apart);
		}
		squares[thread] = sum;
	}
	PN_BARRIER();
	PN_EACH_THREAD(thread) {
		double sum = 0;

		if (thread)
			continue;
		for (int k = 0; k < PN_GPU_THREADS; k++)
			sum += squares[k];
		a->squares[(int64_t)z * a->blocks + x] = sum;
	}
}

/* ---- gradients of weights -------------------------------------------------------------------- */

/* A unit: which tap, which 32 inputs, which 32 outputs. */
struct pn_gpu_unit {
	int tap, in_block, out_block, bias;
};

PN_FN struct pn_gpu_unit unit_of(const struct pn_gpu_grad *a, int u)
{
	struct pn_gpu_unit unit;

	unit.bias = u >= a->weight_units;
	unit.out_block = u % a->out_blocks;
	unit.in_block = unit.bias ? 0 : u / a->out_blocks % a->in_blocks;
	unit.tap = unit.bias ? 0 : u / a->out_blocks / a->in_blocks;
	return unit;
}

/* 32 pixels from (y, x) on of 32 channels, as rows of PN_GPU_GRAD_PITCH bytes. */
PN_FN void grad_stage_map(const struct pn_gpu_grad *a, const struct pn_gpu_view *view,
			  const uint16_t *map, int y, int x, int first, int channels, char *to)
{
	PN_EACH_LANE(lane) {
		PN_UNROLL
		for (int k = lane; k < 32 * 4; k += 32) {
			int p = k >> 2, c = first + (k & 3) * 8, px = x + p;
			int valid = c < channels && (unsigned)y < (unsigned)a->ny &&
				    (unsigned)px < (unsigned)a->nx;
			int64_t at = valid ? ((int64_t)y * a->nx + px) * view->pixel_stride + c : 0;

			pn_copy16(to + p * PN_GPU_GRAD_PITCH + (k & 3) * 16, map + at, valid);
		}
	}
}

/* An image as two channels, high and low part, for each of up to 16 taps: together they hold twice
 * the digits of bfloat16. Channel s, 16 + s is tap first + s. */
PN_FN void grad_stage_image(const struct pn_gpu_grad *a, const float *image, int y, int x,
			    int first, int taps, int turned, char *to)
{
	PN_EACH_LANE(lane) {
		uint32_t *row = (uint32_t *)(to + lane * PN_GPU_GRAD_PITCH);

		for (int s = 0; s < PN_GPU_GRAD_TAPS; s += 2) {
			float high[2] = { 0, 0 }, value[2] = { 0, 0 };

			for (int e = 0; e < 2; e++) {
				int t = first + s + e, inside = t < taps;
				int sy = y + (inside && turned ? a->dy[t] : 0);
				int sx = x + lane + (inside && turned ? a->dx[t] : 0);

				if (inside && (unsigned)sy < (unsigned)a->ny &&
				    (unsigned)sx < (unsigned)a->nx)
					value[e] = (image[(int64_t)sy * a->nx + sx] - a->offset) *
						   a->inverse;
				high[e] = pn_low(pn_pair(value[e], 0));
			}
			row[s / 2] = pn_pair(high[0], high[1]);
			row[8 + s / 2] = pn_pair(value[0] - high[0], value[1] - high[1]);
		}
	}
}

/* Ones in channel 0: the sum of the outputs' gradients is the bias's. */
PN_FN void grad_stage_ones(char *to)
{
	PN_EACH_LANE(lane) {
		struct pn_word4 value = { { 0x3f80u, 0, 0, 0 } };

		for (int c = 0; c < 4; c++) {
			pn_store16(to + lane * PN_GPU_GRAD_PITCH + c * 16, value);
			value.w[0] = 0;
		}
	}
}

/* The product of the 32 pixels staged. */
PN_FN void grad_multiply(const char *rows, const char *columns, struct pn_acc (*acc)[4])
{
	PN_UNROLL
	for (int p = 0; p < 32; p += 16) {
		struct pn_quad left, low, high, right, b;

		PN_UNROLL
		for (int n = 0; n < 2; n++) {
			const char *at[PN_LANES];

			/* matrices: pixels 0-7, 8-15 of 8 outputs, then of the next 8 */
			PN_EACH_LANE(lane)
				at[PN_AT(lane)] =
					columns +
					(p + (lane & 7) + (lane & 8)) * PN_GPU_GRAD_PITCH +
					(2 * n + (lane >> 4)) * 16;
			pn_load_turned(&right, at);
			PN_UNROLL
			for (int m = 0; m < 2; m++) {
				/* inputs 0-7, 8-15 at pixels 0-7, then at 8-15 */
				PN_EACH_LANE(lane)
					at[PN_AT(lane)] = rows +
							  (p + (lane & 7) + (lane >> 4) * 8) *
								  PN_GPU_GRAD_PITCH +
							  (2 * m + (lane >> 3 & 1)) * 16;
				pn_load_turned(&left, at);
				PN_UNROLL
				for (int j = 0; j < 2; j++) {
					PN_EACH_LANE(lane) {
						const uint32_t *l = left.v[PN_AT(lane)].w;
						const uint32_t *r = right.v[PN_AT(lane)].w;

						low.v[PN_AT(lane)].w[0] = l[0];
						high.v[PN_AT(lane)].w[0] = l[1];
						low.v[PN_AT(lane)].w[1] = l[2];
						high.v[PN_AT(lane)].w[1] = l[3];
						b.v[PN_AT(lane)].w[0] = r[2 * j];
						b.v[PN_AT(lane)].w[1] = r[2 * j + 1];
					}
					pn_mma(&acc[m][2 * n + j], &low, &high, &b, 0);
				}
			}
		}
	}
}

/* All segments of a warp, then its sums to its own shared memory as [in][out]. */
PN_FN void grad_warp(const struct pn_gpu_grad *a, struct pn_gpu_unit unit, int slice, int warp,
		     char *own)
{
	char *rows = own, *columns = own + 32 * PN_GPU_GRAD_PITCH;
	int64_t total = (int64_t)a->count * a->ny * a->segments_x;
	struct pn_acc acc[2][4];

	PN_UNROLL
	for (int k = 0; k < 8; k++)
		start_sums(&acc[k / 4][k % 4], (const float *)0, 0, 0, 1);
	for (int64_t s = (int64_t)slice * PN_GPU_WARPS + warp; s < total;
	     s += (int64_t)a->slices * PN_GPU_WARPS) {
		int x = (int)(s % a->segments_x) * PN_GPU_SEGMENT_PX;
		int y = (int)(s / a->segments_x % a->ny);
		int z = (int)(s / a->segments_x / a->ny);
		int clip = z / a->items, item = z % a->items;

		if (unit.bias)
			grad_stage_ones(rows);
		else if (a->in_side == PN_GPU_SIDE_IMAGE)
			grad_stage_image(a, image_of(&a->in, clip, item), y, x,
					 unit.in_block * PN_GPU_GRAD_TAPS, a->taps, 1, rows);
		else
			grad_stage_map(a, &a->in, map_of(&a->in, clip, item), y + a->dy[unit.tap],
				       x + a->dx[unit.tap], unit.in_block * 32, a->in_channels,
				       rows);
		if (a->out_side == PN_GPU_SIDE_IMAGE)
			grad_stage_image(a, image_of(&a->d_out, clip, item), y, x, 0, 1, 0,
					 columns);
		else
			grad_stage_map(a, &a->d_out, map_of(&a->d_out, clip, item), y, x,
				       unit.out_block * 32, a->out_channels, columns);
		pn_copy_wait();
		PN_WARP_BARRIER();
		grad_multiply(rows, columns, acc);
		PN_WARP_BARRIER();
	}
	PN_EACH_LANE(lane) {
		PN_UNROLL
		for (int k = 0; k < 32; k++) {
			int m = k / 16, j = k / 4 % 4, i = k % 4;
			int in = 16 * m + (lane >> 2) + 8 * (i >> 1);

			((float *)own)[in * 32 + 8 * j + 2 * (lane & 3) + (i & 1)] =
				acc[m][j].v[PN_AT(lane)][i];
		}
	}
}

PN_FN void grad_body(const struct pn_gpu_grad *a, struct pn_gpu_block at)
{
	int x = at.x, y = at.y;
	char *shared = at.shared;
	const int each = 2 * 32 * PN_GPU_GRAD_PITCH; /* bytes; more than 32 x 32 sums */
	struct pn_gpu_unit unit = unit_of(a, x);
	float *partial = a->partial + ((int64_t)y * a->units + x) * 1024;

	PN_EACH_WARP(warp)
		grad_warp(a, unit, y, warp, shared + warp * each);
	PN_BARRIER();
	PN_EACH_THREAD(thread)
		for (int k = thread; k < 1024; k += PN_GPU_THREADS) {
			float sum = 0;

			for (int w = 0; w < PN_GPU_WARPS; w++)
				sum += ((const float *)(shared + w * each))[k];
			partial[k] = sum;
		}
}

/* One place of a unit over all slices. */
PN_FN float grad_sum(const struct pn_gpu_grad *a, int u, int in, int out)
{
	float sum = 0;

	for (int s = 0; s < a->slices; s++)
		sum += a->partial[((int64_t)s * a->units + u) * 1024 + in * 32 + out];
	return sum;
}

PN_FN void reduce_one(const struct pn_gpu_grad *a, int u, int in, int out)
{
	struct pn_gpu_unit unit = unit_of(a, u);
	int rows = a->in_side == PN_GPU_SIDE_IMAGE ? PN_GPU_GRAD_TAPS : 32;
	int o = unit.out_block * 32 + out, i = unit.in_block * rows + in;
	int outs = a->out_side == PN_GPU_SIDE_IMAGE ? 1 : a->out_channels;
	int ins = unit.bias ? 1 : a->in_side == PN_GPU_SIDE_IMAGE ? a->taps : a->in_channels;
	float sum;

	if (o >= outs || i >= ins || (!unit.bias && in >= rows))
		return;
	sum = grad_sum(a, u, in, out);
	if (a->out_side == PN_GPU_SIDE_IMAGE)
		sum += grad_sum(a, u, in, out + PN_GPU_GRAD_TAPS);
	if (a->in_side == PN_GPU_SIDE_IMAGE && !unit.bias)
		sum += grad_sum(a, u, in + PN_GPU_GRAD_TAPS, out);
	if (unit.bias)
		a->d_bias[o] = sum;
	else
		a->d_weights[((int64_t)unit.tap * a->in_total + a->in_first + i) * a->out_total +
			     o] = sum;
}

PN_FN void reduce_body(const struct pn_gpu_grad *a, struct pn_gpu_block at)
{
	int x = at.x, y = at.y;

	PN_EACH_THREAD(thread) {
		int k = y * PN_GPU_THREADS + thread;

		reduce_one(a, x, k / 32, k % 32);
	}
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Kernel, its name, what it is told, and the call. */
/* clang-format off */
#define PN_GPU_KERNEL_ROWS(ROW)                                                                   \
	ROW(PN_GPU_CONV_STAGED + 0, conv_staged_1, struct pn_gpu_conv, conv_body(a, at, 1, 1))    \
	ROW(PN_GPU_CONV_STAGED + 1, conv_staged_2, struct pn_gpu_conv, conv_body(a, at, 2, 1))    \
	ROW(PN_GPU_CONV_STAGED + 2, conv_staged_3, struct pn_gpu_conv, conv_body(a, at, 3, 1))    \
	ROW(PN_GPU_CONV_STAGED + 3, conv_staged_4, struct pn_gpu_conv, conv_body(a, at, 4, 1))    \
	ROW(PN_GPU_CONV_DIRECT + 0, conv_direct_1, struct pn_gpu_conv, conv_body(a, at, 1, 0))    \
	ROW(PN_GPU_CONV_DIRECT + 1, conv_direct_2, struct pn_gpu_conv, conv_body(a, at, 2, 0))    \
	ROW(PN_GPU_CONV_DIRECT + 2, conv_direct_3, struct pn_gpu_conv, conv_body(a, at, 3, 0))    \
	ROW(PN_GPU_CONV_DIRECT + 3, conv_direct_4, struct pn_gpu_conv, conv_body(a, at, 4, 0))    \
	ROW(PN_GPU_HEAD_12_6, head_12_6, struct pn_gpu_head, head_body(a, at, 12, 6))             \
	ROW(PN_GPU_HEAD_8_4, head_8_4, struct pn_gpu_head, head_body(a, at, 8, 4))                \
	ROW(PN_GPU_HEAD_4_2, head_4_2, struct pn_gpu_head, head_body(a, at, 4, 2))                \
	ROW(PN_GPU_STEM, stem, struct pn_gpu_stem_run, stem_body(a, at))                          \
	ROW(PN_GPU_READOUT, readout, struct pn_gpu_simple, readout_body(a, at))                   \
	ROW(PN_GPU_READOUT_BACK, readout_back, struct pn_gpu_simple, readout_back_body(a, at))    \
	ROW(PN_GPU_GATE, gate, struct pn_gpu_simple, gate_body(a, at))                            \
	ROW(PN_GPU_GRAD, grad, struct pn_gpu_grad, grad_body(a, at))                              \
	ROW(PN_GPU_REDUCE, reduce, struct pn_gpu_grad, reduce_body(a, at))                        \
	ROW(PN_GPU_PACK, pack, struct pn_gpu_pack, pack_body(a, at))                              \
	ROW(PN_GPU_ERROR, error, struct pn_gpu_error, error_body(a, at))
/* clang-format on */

#endif
