/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network's parts, as clip.c (training) and denoiser.c (one frame after another) put them
 * together. */
#ifndef PN_NET_INTERNAL_H
#define PN_NET_INTERNAL_H

#include "perrin/denoise/net.h"

#define PN_LEVELS_MAX (PN_NET_BLOCKS_MAX + 4)

/** A layer at work. */
struct pn_net_layer {
	const struct pn_layer *plan;
	struct pn_conv *conv; /* NULL: stem, readout */
};

struct pn_net {
	struct pn_net_spec spec;
	struct pn_net_layout layout;
	enum pn_arith arith;
	float *params; /* [param_count] */
	struct pn_net_layer layers[PN_NET_LAYERS_MAX];
	/* the same by their place; [level] and [block] from 1 */
	struct pn_net_layer *stem[PN_NET_FRAMES_MAX];
	struct pn_net_layer *branch[PN_NET_FRAMES_MAX][PN_LEVELS_MAX];
	struct pn_net_layer *project[PN_LEVELS_MAX], *fuse[PN_LEVELS_MAX], *tap[PN_LEVELS_MAX];
	struct pn_net_layer *head[2], *readout;
};

/** What one branch has made of one image; used for gradients too. */
struct pn_features {
	struct pn_map image;                                     /* 1 channel, float32; borrowed */
	struct pn_map level[PN_LEVELS_MAX];                      /* 0: of the stem */
	struct pn_map project[PN_LEVELS_MAX][PN_NET_FRAMES_MAX]; /* [block][neighbor] */
};

/** From the fusion to the output, for one window. */
struct pn_window {
	struct pn_map fused[PN_LEVELS_MAX]; /* [block] */
	struct pn_map collected;            /* taps of all blocks */
	struct pn_map tap[PN_LEVELS_MAX];   /* slices of collected */
	struct pn_map head[2];
	struct pn_map out; /* 1 channel, float32 */
};

/** Memory handed out in pieces: first counted (base NULL), then placed. */
struct pn_arena {
	char *base;
	size_t used;
};

/** How a set of maps is to be made. */
struct pn_room {
	enum pn_arith arith;
	int ny, nx;
	int shift;     /* border that shifted views of features need */
	int gradients; /* 1: borders as the backward pass reads them */
	int one_fused; /* 1: the blocks' fused maps share their memory */
};

struct pn_map pn_arena_map(struct pn_arena *arena, const struct pn_room *room, enum pn_arith arith,
			   int border, int channels);

/** Border that images need: the widest stem's reach. */
int pn_net_stem_reach(const struct pn_net *net);

/** All maps but the image, which comes from outside. */
void pn_features_place(struct pn_features *features, const struct pn_net *net,
		       const struct pn_room *room, struct pn_arena *arena);
void pn_window_place(struct pn_window *window, const struct pn_net *net, const struct pn_room *room,
		     struct pn_arena *arena);

/** Features of features->image by branch @branch. Rows are shared out to the threads. */
void pn_features_forward(const struct pn_net *net, int branch, struct pn_features *features);

/** The maps that enter the fusion of @block: own frame, then neighbors in order. */
void pn_fusion_inputs(const struct pn_net *net, int block, struct pn_features *const *features,
		      struct pn_map *in);

/** A window's output from @features [frames], own frame first; (dy, dx)[n] shifts what neighbor n
 * shows. */
void pn_window_forward(const struct pn_net *net, struct pn_features *const *features, const int *dy,
		       const int *dx, struct pn_window *window);

#endif
