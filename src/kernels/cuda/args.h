/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernels are told, and who runs them. Read by C and by CUDA: plain structs, fixed sizes.
 *
 * Maps are bfloat16 [map][y][x][channel] without borders: a kernel that looks beyond the edge
 * takes zero. Images are float32 [image][y][x].
 */
#ifndef PN_CUDA_ARGS_H
#define PN_CUDA_ARGS_H

#include <stddef.h>
#include <stdint.h>

#define PN_GPU_THREADS      128 /* of every block: four warps                                     */
#define PN_GPU_WARPS        4
#define PN_GPU_INPUTS_MAX   7
#define PN_GPU_TAPS_MAX     49
#define PN_GPU_CHUNKS_MAX   72 /* 9 taps of 64 channels                                           */
#define PN_GPU_FRAGS        4  /* rows of 16 pixels that a warp of a convolution computes         */
#define PN_GPU_TILE_PX      16 /* side of a block's square tile                                   */
#define PN_GPU_LINE_PX      256 /* pixels of a block where rows do not matter                     */
#define PN_GPU_HEAD_PX      128
#define PN_GPU_SEGMENT_PX   32
#define PN_GPU_GRAD_BLOCKS  1024 /* of a gradient's launch, about: enough to fill a device */
#define PN_GPU_ERROR_BLOCKS 32
#define PN_GPU_GRAD_TAPS    16 /* taps of the stem in a unit                                      */
#define PN_GPU_GRAD_PITCH   80 /* bytes from pixel to pixel: eight rows meet all banks once       */

/** A batch of maps. A kernel's z is (clip, item); its map is number first + clip per_clip +
 * item per_item. */
struct pn_gpu_view {
	void *data; /* channel 0 of pixel 0 of map 0: uint16_t (bfloat16), or float for images */
	int64_t map_stride;   /* in elements */
	int32_t pixel_stride; /* in elements */
	int32_t first, per_clip, per_item;
};

/** Eight channels of one input as seen through one tap. */
struct pn_gpu_chunk {
	int16_t dy, dx, input, channel;
};

/** A stem: float32 weights [tap][channel]. */
struct pn_gpu_stem {
	struct pn_gpu_view image;
	const float *weights, *bias;
	int32_t taps, channels;
	float offset, inverse; /* it sees (image - offset) inverse */
	int8_t dy[PN_GPU_TAPS_MAX], dx[PN_GPU_TAPS_MAX];
};

/** A convolution in either direction. */
struct pn_gpu_conv {
	struct pn_gpu_view in[PN_GPU_INPUTS_MAX], out, gate, next_out;
	const uint16_t *weights; /* packed: [block][group][frag][lane][8] */
	const float *bias;       /* NULL: none */
	/* next_blocks > 0: a 1x1 of what comes out, in the same pass */
	const uint16_t *next_weights;
	const float *next_bias;
	int32_t next_blocks;
	int32_t ny, nx, items;
	int32_t tiles_x, tile_h, tile_w, line_shift; /* a warp's rows of 16 px lie side by side in
						      * lines of 1 << line_shift */
	int32_t chunks, groups, blocks;
	int32_t leaky, add, gated, keep; /* keep 0: only next_out is wanted */
	int32_t reach, channels;         /* staged: halo of the tile, channels of its only input */
	int32_t from_stem;               /* staged: the input is made of the image on the way */
	struct pn_gpu_stem stem;
	struct pn_gpu_chunk chunk[PN_GPU_CHUNKS_MAX];
};

/** The head's two layers and the readout, in registers from end to end. */
struct pn_gpu_head {
	struct pn_gpu_view in, out;
	const uint16_t *weights[2];
	const float *bias[2], *readout_weights, *readout_bias;
	int32_t pixels, items, chunks, groups;
	float offset, scale; /* out = offset + scale readout */
};

/** Stem, readout, and what is done to one pixel after another. */
struct pn_gpu_simple {
	struct pn_gpu_view in, out, gate;
	const float *weights, *bias;
	int32_t ny, nx, items, channels;
	float offset, scale;
};
struct pn_gpu_stem_run {
	struct pn_gpu_stem stem;
	struct pn_gpu_view out;
	int32_t ny, nx, items;
};

/** What stands for the rows (inputs) or columns (outputs) of a gradient of weights. */
enum pn_gpu_side { PN_GPU_SIDE_MAP, PN_GPU_SIDE_IMAGE };

/** Gradient of weights: sums over pixels, in units of 32 inputs x 32 outputs of one tap. */
struct pn_gpu_grad {
	struct pn_gpu_view in, d_out;
	int32_t in_side, out_side; /* enum pn_gpu_side */
	int32_t in_channels, out_channels, in_blocks, out_blocks;
	int32_t taps, tap_units; /* tap_units: 1 if the rows are taps of an image */
	int32_t units;           /* with those of the bias, which are the last out_blocks */
	int32_t weight_units, slices;
	int32_t ny, nx, items, count, segments_x;
	float offset, inverse; /* of an image */
	float *partial;        /* [slice][unit][32][32] */
	/* where the sums go: [tap][in_total][out_total] from in_first on */
	float *d_weights, *d_bias; /* d_bias NULL: not wanted */
	int32_t in_total, in_first, out_total;
	int8_t dy[PN_GPU_TAPS_MAX], dx[PN_GPU_TAPS_MAX];
};

/** Parameters as the tensor cores read them: packed[i] = params[from[i]], 0 where from[i] < 0. */
struct pn_gpu_pack {
	const float *params;
	const int32_t *from;
	uint16_t *packed;
	int32_t count;
};

/** The gradient of the squared error: d = slope (out - truth), and the squares' sums. */
struct pn_gpu_error {
	struct pn_gpu_view out, truth, d_out;
	double *squares; /* [z][block] */
	int32_t pixels, items, blocks;
	float offset, inverse, slope;
};

enum pn_gpu_kernel {
	PN_GPU_CONV_STAGED, /* + frags - 1: 1, 2, 3, 4 times 8 outputs at a time */
	PN_GPU_CONV_DIRECT = PN_GPU_CONV_STAGED + 4,
	PN_GPU_HEAD_12_6 = PN_GPU_CONV_DIRECT + 4, /* frags of head1, of head2 */
	PN_GPU_HEAD_8_4,
	PN_GPU_HEAD_4_2,
	PN_GPU_STEM,
	PN_GPU_READOUT,
	PN_GPU_READOUT_BACK,
	PN_GPU_GATE,
	PN_GPU_GRAD,
	PN_GPU_REDUCE,
	PN_GPU_PACK,
	PN_GPU_ERROR,
	PN_GPU_KERNELS
};

/**
 * Who has memory and runs kernels, one after another in the order they are given. Every function
 * returns NULL, or what went wrong (static storage). Thread: one at a time.
 */
struct pn_gpu_engine {
	const char *(*alloc)(void **memory, size_t bytes); /* zeroed */
	void (*release)(void *memory);
	const char *(*put)(void *to, const void *from, size_t bytes);
	const char *(*get)(void *to, const void *from, size_t bytes); /* after all before it */
	const char *(*zero)(void *memory, size_t bytes);
	const char *(*launch)(enum pn_gpu_kernel kernel, int blocks_x, int blocks_y, int blocks_z,
			      size_t shared_bytes, const void *args);
};

#ifdef __cplusplus
extern "C" {
#endif
/** The device, or NULL and why not. @why: [out] static storage */
const struct pn_gpu_engine *pn_gpu_device(const char **why);
/** The same kernels in plain C, lane by lane. */
const struct pn_gpu_engine *pn_gpu_emulated(void);
#ifdef __cplusplus
}
#endif

#endif
