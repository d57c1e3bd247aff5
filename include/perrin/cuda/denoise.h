/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/cuda/denoise.h - the denoising network on a GPU: batches of clips, forward and backward.
 *
 * The same network, parameters and clips as perrin/denoise/net.h, in bfloat16 maps and weights with
 * float32 sums. Where Perrin was built without CUDA, or there is no device, creating says so;
 * callers need no #ifdef.
 */
#ifndef PERRIN_CUDA_DENOISE_H
#define PERRIN_CUDA_DENOISE_H

#include "perrin/denoise/spec.h"

#include <stddef.h>

/** Where the kernels run. */
enum pn_cuda_engine {
	PN_CUDA_DEVICE,
	PN_CUDA_EMULATED, /* the same kernels in plain C, lane by lane: for tests */
};

/**
 * pn_cuda_available - 1 if there is a device that will do: compute capability 8.0 or later.
 *
 * @why: [out] if not, why (static storage); may be NULL
 *
 * Thread: safe. Cost: the first call loads the driver (may take a second).
 */
int pn_cuda_available(const char **why);

struct pn_cuda_net;

/**
 * pn_cuda_net_create - a network without parameters yet, on the present device; caller destroys.
 *
 * Errors: those of pn_net_layout_make; PN_EUNSUPPORTED (no device, with why); PN_ENOMEM.
 * Thread: reentrant; a network and its clips: one thread at a time.
 */
int pn_cuda_net_create(struct pn_cuda_net **net, const struct pn_net_spec *spec,
		       enum pn_cuda_engine engine, struct pn_error *err);
void pn_cuda_net_destroy(struct pn_cuda_net *net);

/** pn_cuda_net_layout_of - borrowed from the network. */
const struct pn_net_layout *pn_cuda_net_layout_of(const struct pn_cuda_net *net);

/**
 * pn_cuda_net_load - take over parameters, and how images are standardized.
 *
 * @params: [param_count] float32, as laid out in perrin/denoise/spec.h; copied
 * @offset, @scale: the network sees (image - offset) / scale; 0, 1: images as they are
 *
 * Errors: PN_EARG (scale not above 0, or not finite), PN_EIO (the device, with its words).
 */
int pn_cuda_net_load(struct pn_cuda_net *net, const float *params, double offset, double scale,
		     struct pn_error *err);

struct pn_cuda_clips;

/**
 * pn_cuda_clips_create - room on the device for @clips clips, each of @targets windows that follow
 * each other over frames + targets - 1 images; caller destroys, before the network.
 *
 * @net:   borrowed
 * @train: 1 = with room for gradients
 *
 * A clip's work is shared as far as its branches are (pn_clip_forward); clips do not touch each
 * other. A movie is one long clip, cut so that the memory suffices. A pass is up to a hundred
 * launches one after another, so give it some 16 windows of 160 x 160 px or more.
 *
 * Errors: PN_EARG (with the numbers), PN_ENOMEM (with the bytes).
 */
int pn_cuda_clips_create(struct pn_cuda_clips **clips, struct pn_cuda_net *net, int ny, int nx,
			 int targets, int clip_count, int train, struct pn_error *err);
void pn_cuda_clips_destroy(struct pn_cuda_clips *clips);

/** pn_cuda_clips_bytes - memory that such clips take on the device. */
size_t pn_cuda_clips_bytes(const struct pn_cuda_net *net, int ny, int nx, int targets,
			   int clip_count, int train);

/**
 * pn_cuda_clips_forward - outputs of all windows of all clips.
 *
 * @images:  [clip][frames + targets - 1][ny][nx] float32, as recorded
 * @outputs: [out] [clip][targets][ny][nx] float32: in the unit of the images; of clips made to
 *           train: standardized, as the network gives them. May be NULL for those
 *
 * Not checked for values that are not finite: they spread into what sees them. The same bytes
 * every time, and for any number of clips. Errors: PN_EIO. Returns when all is done.
 */
int pn_cuda_clips_forward(struct pn_cuda_clips *clips, const float *images, float *outputs,
			  struct pn_error *err);

/**
 * pn_cuda_clips_backward - gradient of the loss by all parameters, after pn_cuda_clips_forward with
 * clips made to train.
 *
 * @d_outputs: [clip][targets][ny][nx] float32, of the loss by the standardized outputs
 * @d_params:  [param_count] float32; added to
 *
 * The same bytes every time. Errors: PN_EIO. Cost: twice forward.
 */
int pn_cuda_clips_backward(struct pn_cuda_clips *clips, const float *d_outputs, float *d_params,
			   struct pn_error *err);

/**
 * pn_cuda_clips_learn - forward and backward for the loss of training,
 *
 *	squares = sum over pixels of all windows of (output - image of the own frame)^2
 *
 * in standardized units, without the outputs leaving the device.
 *
 * @slope:    the gradient is that of squares times slope / 2
 * @squares:  [out] of each clip: [clip_count]
 * @d_params: added to; NULL: no gradient (validation)
 *
 * Errors: PN_EIO.
 */
int pn_cuda_clips_learn(struct pn_cuda_clips *clips, const float *images, double slope,
			double *squares, float *d_params, struct pn_error *err);

/**
 * pn_cuda_movie_run - denoise images that follow each other in time, each in the place of the last
 * one: what pn_denoiser_run makes of windows without shifts. At the ends, where a window lacks
 * neighbours, the nearest one stands in.
 *
 * @images: [count] of [ny][nx] float32 as recorded
 * @out:    [count] of [ny][nx] float32, in the unit of the images
 * @bytes:  of the device's memory to work in; less is taken if there is not so much
 *
 * Errors: PN_EARG (fewer than two images for a network of several frames), PN_ENOMEM, PN_EIO.
 */
int pn_cuda_movie_run(struct pn_cuda_net *net, int ny, int nx, const float *const *images,
		      int count, size_t bytes, float *const *out, struct pn_error *err);

/* ---- for a trainer -----------------------------------------------------------------------------
 */

/** Steps of training, whatever the sizes of their clips. What a trainer calls takes it as void *.
 */
struct pn_cuda_learner;

/**
 * pn_cuda_learner_create - a network and memory for the clips it was last asked for; caller
 * destroys. Errors: those of pn_cuda_net_create.
 */
int pn_cuda_learner_create(struct pn_cuda_learner **learner, const struct pn_net_spec *spec,
			   enum pn_cuda_engine engine, struct pn_error *err);
void pn_cuda_learner_destroy(struct pn_cuda_learner *learner);

/** pn_cuda_learner_load - parameters from now on; images come standardized. */
int pn_cuda_learner_load(void *learner, const float *params, struct pn_error *err);

/**
 * pn_cuda_learner_learn - as pn_cuda_clips_learn, for @count clips of @targets windows of
 * @side_px x @side_px, as many at a time as there is memory for.
 *
 * @images: [count][frames + targets - 1][side_px][side_px]; @squares: [out] [count]
 *
 * The same bytes every time on the same device. Errors: PN_EARG, PN_ENOMEM (not even one), PN_EIO.
 */
int pn_cuda_learner_learn(void *learner, int side_px, int targets, int count, const float *images,
			  double slope, double *squares, float *d_params, struct pn_error *err);

#endif
