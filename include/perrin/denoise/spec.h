/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/denoise/spec.h - what a blind-spot network is made of, and the order of its parameters.
 *
 * A window of frames t - h .. t + h goes in, frame t comes out. Each frame goes through its own
 * branch: a stem, then one 3x3 convolution after another. At each block the branches are fused
 * (1x1), and a 3x3 convolution without its center, dilated so far that it reaches over everything
 * its features have seen of frame t at the pixel, collects what may be told; the head makes the
 * pixel of what all blocks have collected (paper 004, "Model architectures for image denoising";
 * methods R2).
 *
 * Why the spot is blind: frame t enters through a 1x1 stem, so its features at block b have seen
 * the square of radius r_b = sum of the dilations of convolutions 1 .. b. The block's taps lie
 * at the Chebyshev distance r_b + (spot + 1) / 2, so none has seen a pixel nearer than that. The
 * neighbours in time keep their center: they enter with one level more per ring of the spot.
 */
#ifndef PERRIN_DENOISE_SPEC_H
#define PERRIN_DENOISE_SPEC_H

#include "perrin/base/param.h"
#include "perrin/base/rng.h"
#include "perrin/base/status.h"
#include "perrin/denoise/conv.h"

#include <stddef.h>

#define PN_NET_FRAMES_MAX 7
#define PN_NET_BLOCKS_MAX 20
#define PN_NET_LAYERS_MAX (PN_NET_FRAMES_MAX * (PN_NET_BLOCKS_MAX + 1) + 3 * PN_NET_BLOCKS_MAX + 8)

/** A network. Channel counts are multiples of PN_CHANNEL_STEP. */
struct pn_net_spec {
	int64_t frames;   /* of the window: 1, 3, 5, 7                                    */
	int64_t blocks;   /* fusion blocks, 1..PN_NET_BLOCKS_MAX                          */
	int64_t channels; /* of a branch                                                  */
	int64_t spot_px;  /* side of the blind spot: 1, 3, 5                              */
	int shared;       /* one set of weights for the branches of all frames: a frame's
			   * features are computed once and serve every window it is in  */
	int64_t neighbor_channels; /* shared only: a neighbour enters the fusion as so many channels
				    * by a 1x1 projection; 0: all channels as they are */
	int64_t tap_channels; /* collected from each block                                    */
	int64_t head1, head2; /* channels of the head's 1x1 layers; 0: without that layer     */
	int64_t widening;     /* dilation of the branch's convolution b is 1 + (b - 1) /
			       * widening (whole part); 0: always 1                           */
};
extern const struct pn_param pn_net_spec_params[]; /* offsets into struct pn_net_spec */

/** A network by name. */
struct pn_preset {
	const char *name, *brief;
	struct pn_net_spec spec;
};

/** pn_presets - "paper", "live", "fast"; ended by a row whose name is NULL. */
extern const struct pn_preset pn_presets[];
const struct pn_preset *pn_preset_find(const char *name);

/** pn_net_spec_check - PN_EARG with the field and the numbers if such a network cannot be made. */
int pn_net_spec_check(const struct pn_net_spec *spec, struct pn_error *err);

enum pn_layer_kind { PN_LAYER_STEM, PN_LAYER_CONV, PN_LAYER_READOUT };

/** What a layer is for. */
enum pn_layer_role {
	PN_ROLE_STEM,   /* branch `branch`                                                        */
	PN_ROLE_BRANCH, /* branch `branch`, level 1 ..: 3x3 of the branch                         */
	PN_ROLE_PROJECT, /* block `level`: a frame's features for the windows of its neighbours */
	PN_ROLE_FUSE, /* block `level`                                                          */
	PN_ROLE_TAP,  /* block `level`: the dilated 3x3 without its center                      */
	PN_ROLE_HEAD, /* level 1, 2                                                             */
	PN_ROLE_READOUT,
};

/** One layer and where its parameters stand in the network's vector. */
struct pn_layer {
	enum pn_layer_kind kind;
	enum pn_layer_role role;
	int branch, level;
	struct pn_conv_shape shape; /* stem: 1 input channel; readout: 1 output channel */
	int leaky;
	size_t weights, weight_count; /* [tap][in][out], first number and how many */
	size_t bias, bias_count;
};

/** The layers of a network in the order of its parameters. Plain data. */
struct pn_net_layout {
	int layer_count;
	struct pn_layer layers[PN_NET_LAYERS_MAX];
	size_t param_count;
	int levels; /* convolutions of a branch                                            */
	int lead;   /* levels by which neighbours are ahead in the fusion; 0 if not shared */
	int radius_px[PN_NET_BLOCKS_MAX + 8]; /* seen of the own frame at each level             */
	int distance_px[PN_NET_BLOCKS_MAX + 1]; /* of the taps of each block, 1 .. */
	int dilation[PN_NET_BLOCKS_MAX + 8]; /* of the convolution of each level, 1 ..          */
	int field_px;      /* radius of all that can change an output pixel, over all frames      */
	double mac_per_px; /* multiplications for one output frame, features of others cached     */
};

/**
 * pn_net_layout_make - lay a network out. The fusion's inputs are the own frame, then the
 * neighbours t - h .. t - 1, t + 1 .. t + h; a projection's outputs are for the windows in which
 * the frame is the neighbour t - h .., in the same order. Branch 0 is the own frame's, then the
 * neighbours' likewise.
 *
 * Errors: those of pn_net_spec_check. Thread: reentrant. Allocates: nothing.
 */
int pn_net_layout_make(struct pn_net_layout *layout, const struct pn_net_spec *spec,
		       struct pn_error *err);

/** pn_layer_find - NULL if there is none. */
const struct pn_layer *pn_layer_find(const struct pn_net_layout *layout, enum pn_layer_role role,
				     int branch, int level);

/**
 * pn_net_params_init - random parameters to start training from: normal, of variance
 * 2 / ((1 + PN_LEAK^2) taps inputs) before a leaky ReLU, 1 / inputs in a projection and a
 * hundredth of that in the readout, so that the first output is near 0, the mean; biases 0.
 *
 * Source: He et al., ICCV 2015, equation 15.
 */
void pn_net_params_init(const struct pn_net_layout *layout, float *params, struct pn_rng *rng);

#endif
