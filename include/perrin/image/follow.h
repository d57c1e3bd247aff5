/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/follow.h - follow particles through a movie while learning what is not a particle. */
#ifndef PERRIN_IMAGE_FOLLOW_H
#define PERRIN_IMAGE_FOLLOW_H

#include "perrin/base/blob.h"
#include "perrin/image/background.h"
#include "perrin/image/track.h"

struct pn_follow_params {
	struct pn_tracker_params tracker;
	int64_t background_every; /* every n-th frame, after the first 64, teaches; 0: none     */
};

/** Rows: background_every and those of pn_tracker_param_table. */
extern const struct pn_param pn_follow_param_table[];

/** What is known at one frame. */
struct pn_followed {
	struct pn_track tracks[PN_TRACKS_MAX];
	size_t count;
	struct pn_spot spots[PN_BACKGROUND_SPOTS_MAX]; /* static spots of the cell's window */
	size_t spot_count;
};

struct pn_follow;

/**
 * pn_follow_create - a tracker (perrin/image/track.h) and a background (perrin/image/background.h) for
 * frames [ny][nx]; the tracker is told of the spots as they become known.
 *
 * Errors: PN_EARG (a shape or pixel that they cannot be made for), PN_ENOMEM. Caller destroys.
 */
int pn_follow_create(struct pn_follow **follow, size_t ny, size_t nx,
		     const struct pn_follow_params *params, struct pn_error *err);
void pn_follow_destroy(struct pn_follow *follow);

/**
 * pn_follow_update - take the next frame.
 *
 * @frame: [in] float32 [ny][nx], any unit; pixels not finite count as the mean
 *
 * Thread: one call at a time. Allocates: nothing. Cost: that of the tracker, in teaching frames that of
 * the background, and a few ms when spots are looked for: after 1, 2, 4 ... 64 and every 64 of them.
 */
int pn_follow_update(struct pn_follow *follow, const float *frame, struct pn_followed *out,
		     struct pn_error *err);

/** pn_follow_save / pn_follow_load - the whole state; one of the same shape and parameters goes on with
 * the same bytes. Errors: PN_ENOMEM; PN_EFORMAT, PN_EVERSION. */
int pn_follow_save(const struct pn_follow *follow, struct pn_blob *out, struct pn_error *err);
int pn_follow_load(struct pn_follow *follow, const void *data, size_t bytes, struct pn_error *err);

/** pn_box_origin - first pixel of a box of @box pixels about a centre, kept inside @size pixels. */
int64_t pn_box_origin(double center_px, uint64_t box, uint64_t size);

#endif
