/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/denoise/net.h - the blind-spot network at work: forward over clips, and backward. */
#ifndef PERRIN_DENOISE_NET_H
#define PERRIN_DENOISE_NET_H

#include "perrin/denoise/spec.h"

struct pn_net;

/**
 * pn_net_create - a network without parameters yet; caller destroys.
 *
 * Errors: those of pn_net_layout_make and pn_conv_create. Thread: reentrant.
 */
int pn_net_create(struct pn_net **net, const struct pn_net_spec *spec, enum pn_arith arith,
		  struct pn_error *err);
void pn_net_destroy(struct pn_net *net);

const struct pn_net_spec *pn_net_spec_of(const struct pn_net *net);
const struct pn_net_layout *pn_net_layout_of(const struct pn_net *net);
enum pn_arith pn_net_arith(const struct pn_net *net);

/**
 * pn_net_load - take over parameters.
 *
 * @params: layout->param_count float32, as laid out in perrin/denoise/spec.h; copied
 *
 * Thread: not while the network computes.
 */
void pn_net_load(struct pn_net *net, const float *params);

/** pn_arith_best - PN_ARITH_BF16 where the processor has its tiles, else PN_ARITH_F32. */
enum pn_arith pn_arith_best(void);

/* ---- clips: a whole forward pass, and what training needs of it --------------------------------
 */

struct pn_clip;

/**
 * pn_clip_create - room for @targets windows that follow each other, over frames + targets - 1
 * images; caller destroys.
 *
 * @net:   borrowed; several clips of one network may compute at the same time
 * @train: 1 = with room for gradients
 *
 * Errors: PN_EARG (an image without pixels), PN_ENOMEM. Thread: reentrant.
 */
int pn_clip_create(struct pn_clip **clip, const struct pn_net *net, int ny, int nx, int targets,
		   int train, struct pn_error *err);
void pn_clip_destroy(struct pn_clip *clip);

/** pn_clip_image - image @index, 0 .. frames + targets - 2, to be filled: row y at
 * pn_clip_image() + y * pn_clip_row_stride(); within +-10 or so (standardized). */
float *pn_clip_image(struct pn_clip *clip, int index);
ptrdiff_t pn_clip_row_stride(const struct pn_clip *clip);

/**
 * pn_clip_forward - outputs of all windows. Window w is of images w .. w + frames - 1.
 *
 * Shares rows out to the OpenMP threads there are; in one thread within a parallel region. The
 * bytes do not depend on that. Cost: layout->mac_per_px per pixel and window (without `shared`, or
 * with one window alone, frames times the branches).
 */
void pn_clip_forward(struct pn_clip *clip);

/** pn_clip_output - [ny][nx] float32 of window @target, valid until the next forward. */
const float *pn_clip_output(const struct pn_clip *clip, int target);
ptrdiff_t pn_clip_output_stride(const struct pn_clip *clip);

/**
 * pn_clip_gradient - where to put the gradient of the loss by the output of window @target, rows as
 * those of the output. Fill all before pn_clip_backward.
 */
float *pn_clip_gradient(struct pn_clip *clip, int target);

/**
 * pn_clip_backward - gradient of the loss by all parameters, after pn_clip_forward.
 *
 * @d_params: layout->param_count float32; added to
 *
 * In one thread. Cost: twice forward.
 */
void pn_clip_backward(struct pn_clip *clip, float *d_params);

/* ---- one frame after another -------------------------------------------------------------------
 */

struct pn_denoiser;

/** One frame of a window as pn_denoiser_run takes it. */
struct pn_window_frame {
	uint64_t id;        /* names the image: equal ids are the same image */
	const float *image; /* [ny][nx] float32 as recorded; NULL: there is none */
	int dy, dx; /* pixel (y, x) of the own frame lies at (y + dy, x + dx) of this image */
};

/**
 * pn_denoiser_create - denoises images of ny x nx with @net (borrowed); caller destroys.
 *
 * Keeps the features of the last frames it saw if the network's branches are shared, so that in a
 * stream each is computed once; what it gives does not depend on that.
 *
 * @offset, @scale: the network sees (image - offset) / scale and its output is scaled back
 *
 * Errors: PN_EARG, PN_ENOMEM. Thread: one at a time for each denoiser.
 */
int pn_denoiser_create(struct pn_denoiser **denoiser, const struct pn_net *net, int ny, int nx,
		       double offset, double scale, struct pn_error *err);
void pn_denoiser_destroy(struct pn_denoiser *denoiser);

/** pn_denoiser_forget - the features kept are of no use any more (new parameters, new offset). */
void pn_denoiser_forget(struct pn_denoiser *denoiser, double offset, double scale);

/** pn_denoiser_bytes - memory that a denoiser of such images takes. */
size_t pn_denoiser_bytes(const struct pn_net *net, int ny, int nx);

/**
 * pn_denoiser_run - denoise the own frame of a window.
 *
 * @frames: spec->frames of them in order of time, the own frame in the middle; a neighbour that is
 *          missing, or shifted by more than PN_SHIFT_MAX_PX, is stood in for by the neighbour
 *          nearest to it in time (the earlier of two), never by the own frame, whose pixel would
 *          show; so would that of a frame recorded twice: the caller leaves it out
 * @out:    [ny][nx] float32, in the unit of the images
 *
 * Errors: PN_EARG if the own frame is missing, or all its neighbours (frames > 1);
 * PN_EFRAME if an image has values that are not finite.
 * Shares rows out to the OpenMP threads. Cost: layout->mac_per_px per pixel in a stream.
 */
#define PN_SHIFT_MAX_PX 16
int pn_denoiser_run(struct pn_denoiser *denoiser, const struct pn_window_frame *frames, float *out,
		    struct pn_error *err);

#endif
