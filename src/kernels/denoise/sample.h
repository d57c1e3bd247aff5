/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which pieces of which images a network is trained on: drawing, cutting, turning, mirroring. */
#ifndef PN_SAMPLE_H
#define PN_SAMPLE_H

#include "perrin/base/rng.h"
#include "perrin/denoise/train.h"

#define PN_CUT_MIN_PX 8 /* smallest piece; pieces smaller than asked for are multiples of this */
#define PN_TURNS      8 /* four rotations, each as it is and mirrored */

/** A square piece of some images that follow each other. Plain data. */
struct pn_cut {
	uint64_t first; /* image */
	int images, side_px;
	int64_t y_px, x_px; /* of its first pixel on the detector's frame, the same in all images */
	int turn;           /* 0 .. PN_TURNS - 1; 0: as recorded */
};

/**
 * pn_cut_targets - how many windows of @frames images a clip can have: @targets if a run of the
 * source is long enough for them, else 1; PN_EARG if no run has @frames images.
 *
 * Cost: reads places until it has found such a run.
 */
int pn_cut_targets(const struct pn_train_source *source, int frames, int targets,
		   struct pn_error *err);

/**
 * pn_cut_draw - a random piece of @images images of one run, all clips of the source equally
 * likely, turned at random. Its side is @crop_px, or the largest multiple of PN_CUT_MIN_PX within
 * all images.
 *
 * There must be a run of so many images. Errors: PN_EARG if of many clips drawn none overlaps.
 */
int pn_cut_draw(struct pn_cut *cut, const struct pn_train_source *source, int images, int crop_px,
		struct pn_rng *rng, struct pn_error *err);

/**
 * pn_cut_spread - the middle, unturned, of up to @max windows of @frames images spread evenly over
 * those there are among the last @newest images (0: all).
 *
 * @cuts: [out] room for @max, > 0
 *
 * Returns how many; PN_EARG if there is none.
 */
int pn_cut_spread(struct pn_cut *cuts, int max, const struct pn_train_source *source,
		  uint64_t newest, int frames, int crop_px, struct pn_error *err);

/**
 * pn_cut_read - the piece of image @index (0 .. images - 1) as recorded.
 *
 * @out: [side_px][side_px] float32
 *
 * Errors: PN_EFRAME if a value is not finite, those of read.
 */
int pn_cut_read(const struct pn_cut *cut, const struct pn_train_source *source, int index,
		float *out, struct pn_error *err);

/**
 * pn_cut_turn - turn, mirror, standardize: (value - offset) / scale.
 *
 * @in:  [side_px][side_px] as from pn_cut_read
 * @out: [out] [side_px][side_px], row y at out + y * stride
 *
 * Thread: reentrant.
 */
void pn_cut_turn(const struct pn_cut *cut, const float *in, double offset, double scale, float *out,
		 ptrdiff_t stride);

#endif
