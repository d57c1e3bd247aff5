/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/background.h - the lattice spots that belong to the cell's window, not the particle.
 */
#ifndef PERRIN_IMAGE_BACKGROUND_H
#define PERRIN_IMAGE_BACKGROUND_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"

#include <stddef.h>

/** One spot of a power spectrum; its mirror image at (-gx, -gy) is meant too. */
struct pn_spot {
	double gx_per_A, gy_per_A;
	double contrast; /* power over that of the surroundings, minus 1 */
};

#define PN_BACKGROUND_SPOTS_MAX 32

struct pn_background_params {
	double pixel_pm;
	int64_t size_px;       /* side of the central part of the frame that is looked at   */
	int64_t frames_min;    /* spots are named only after so many frames                 */
	int64_t memory_frames; /* plain mean up to here, then a recursive one of this depth */
	double contrast_min;   /* of a spot's power over its surroundings                   */
	double sharpness_max;  /* power 3 bins off the spot, as part of the spot's own      */
	double lattice_A;      /* a of the hexagonal window lattice; 0: spots at any radius */
	double tolerance;      /* of the lattice, relative                                  */
	int64_t spots_max;
};

/** Rows: pixel_pm, size_px, frames_min, memory_frames, contrast_min, sharpness_max, lattice_A,
 * tolerance, spots_max. */
extern const struct pn_param pn_background_param_table[];

struct pn_background;

/**
 * pn_background_create - learn from frames [ny][nx].
 *
 * The mean power spectrum of the (Hann-windowed) middle of the frames is kept. A spot of the
 * window's lattice fills the whole field of view and does not turn, so it is as sharp as the
 * field allows and stays in the mean; a particle's spot is as wide as 1/diameter and moves. With
 * lattice_A > 0 (graphene: 2.46 A) only spots within @tolerance of its {10} and {11} radii
 * (2.130 and 1.230 A) are taken, in any direction, so twisted layers are found as well.
 *
 * Errors: PN_EARG (a frame of no pixels, parameters out of range), PN_ENOMEM. Caller destroys.
 */
int pn_background_create(struct pn_background **bg, size_t ny, size_t nx,
			 const struct pn_background_params *params, struct pn_error *err);
void pn_background_destroy(struct pn_background *bg);

/**
 * pn_background_update - add a frame to the mean. A frame without two distinct finite values is
 * not counted.
 *
 * @frame: [in] float32 [ny][nx], any unit; pixels not finite count as the mean
 *
 * Thread: one call at a time per object. Allocates: nothing. Cost: one FFT of size_px^2; a caller
 * in a hurry may pass every tenth frame.
 */
void pn_background_update(struct pn_background *bg, const float *frame);

/**
 * pn_background_find - the spots known now, strongest first.
 *
 * @spots: [out] room for PN_BACKGROUND_SPOTS_MAX
 *
 * Returns their number; 0 before frames_min frames. Cost: a few ms at 512^2; call it rarely.
 */
size_t pn_background_find(const struct pn_background *bg, struct pn_spot *spots);

/** pn_background_frames - frames counted so far. */
size_t pn_background_frames(const struct pn_background *bg);

/**
 * pn_background_save / pn_background_load - the learned state as bytes of this machine's order.
 *
 * @blob, @size: save: NULL blob only asks for the size; else *size is the room, then the bytes
 *               written. load: an object of the same shape and pixel.
 * Errors: PN_EARG (too little room), PN_EFORMAT, PN_EVERSION (then the object is unchanged).
 */
int pn_background_save(const struct pn_background *bg, void *blob, size_t *size,
		       struct pn_error *err);
int pn_background_load(struct pn_background *bg, const void *blob, size_t size,
		       struct pn_error *err);

#endif
