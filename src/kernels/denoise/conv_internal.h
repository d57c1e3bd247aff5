/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How conv.c reaches the kernels of each arithmetic: what pn_conv_* do is in perrin/denoise/conv.h.
 */
#ifndef PN_CONV_INTERNAL_H
#define PN_CONV_INTERNAL_H

#include "perrin/denoise/conv.h"

struct pn_conv {
	struct pn_conv_shape shape;
	int in_total, out_total; /* channels */
	enum pn_arith arith;
	const struct pn_conv_kernels *kernels;
	void *packed; /* weights as the kernels want them, aligned to 64; of kernels->packed_bytes()
		       */
};

/** One arithmetic. The functions are those of conv.h without their checks. */
struct pn_conv_kernels {
	size_t (*packed_bytes)(const struct pn_conv_shape *shape);
	void (*pack)(struct pn_conv *conv, const float *weights, const float *bias);
	void (*forward)(const struct pn_conv *conv, const struct pn_map *in,
			const struct pn_map *out, int leaky, int y0, int y1);
	void (*backward_data)(const struct pn_conv *conv, const struct pn_map *d_out,
			      const struct pn_map *d_in, int add, const struct pn_map *gate, int y0,
			      int y1);
	void (*backward_weights)(const struct pn_conv *conv, const struct pn_map *in,
				 const struct pn_map *d_out, float *d_weights, float *d_bias,
				 int y0, int y1);
};

extern const struct pn_conv_kernels pn_conv_f32;            /* conv_f32.c */
extern const struct pn_conv_kernels pn_conv_tiles;          /* conv_tiles.c with the instructions */
extern const struct pn_conv_kernels pn_conv_tiles_emulated; /* the same source, tiles in plain C */

#endif
