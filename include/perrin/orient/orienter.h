/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/orienter.h - one tumbling particle: every image's pose, and the map that grows. */
#ifndef PERRIN_ORIENT_ORIENTER_H
#define PERRIN_ORIENT_ORIENTER_H

#include "perrin/base/blob.h"
#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/orient/path.h"
#include "perrin/orient/start_map.h"
#include "perrin/orient/symmetry.h"

#include <stddef.h>
#include <stdint.h>

#define PN_ORIENTER_AGAIN_MAX 8 /* older images looked at again with each new one */

struct pn_orienter_params {
	double resolution_low_A, resolution_high_A; /* band of the matching */
	double ring_power; /* of the ring's radius, see perrin/orient/polar.h                     */
	int64_t views;     /* over the half sphere                                                */
	int64_t candidates; /* orientations of an image that the path is made of */
	int64_t polish;  /* iterations of the pose between the views                            */
	int64_t begin;   /* images that tell where the particle's middle is in its lattice   */
	int64_t refresh; /* new references after so many images, and a quarter more */
	int64_t start;   /* images of each half before its map takes the place of the start map */
	int64_t again;   /* older images that are looked at again with each new one             */
	int64_t keep;    /* how many older ones are kept for that                               */
	double probability_min; /* of a pose that goes into the map */
	double prior; /* weight of the start map in the references, as so many images of each half
		       */
	double tau;   /* of pn_accumulator_map                                               */
	struct pn_path_params path;
};

/** Rows: all of struct pn_orienter_params, path as a group. */
extern const struct pn_param pn_orienter_param_table[];

/** The pose of an image, new or looked at again. */
struct pn_oriented {
	uint64_t frame, revision; /* revision 0: the first pose of the frame */
	double quaternion[4];  /* specimen to detector frame; the specimen's is the start map's */
	double position_px[2]; /* of the map's origin, in the coordinates of origin_px          */
	double score, height;  /* before the image went into the map                            */
	double angle_uncertainty_deg, shift_uncertainty_px;
	double probability, entropy; /* perrin/orient/path.h; NaN if looked at again */
	double runner_up[4], runner_up_probability;
	int has_runner_up;
	enum pn_pose_relation runner_up_is; /* to the pose */
	double step_deg;
	int independent;
	int half;     /* of the map: 0, 1                                                         */
	uint64_t map; /* references it was matched with: 0 the start map, then 1, 2, ...          */
	double weight; /* in the map; 0: left out */
};

/** What is known of the particle before. */
struct pn_orienter_start {
	const float *map; /* [edge]^3, copied; NULL: a piece of perfect fcc crystal               */
	double diameter_A; /* of the particle; images are masked to 1.15 times of it              */
	double lattice_A, sigma_A; /* of the crystal: perrin/orient/start_map.h */
	enum pn_start_shape shape;
	int any_shape; /* 1: the one that the first images show better */
};

struct pn_orienter;

/**
 * pn_orienter_create - a follower of one particle; caller destroys.
 *
 * @edge, @pixel_A: of images and maps
 * @start:          the map to begin with, for both halves. Without one, the first images (as many
 *                  as the parameter begin tells) go into no map: they tell where the middle of the
 *                  particle is in its lattice
 * @largest_pixel:  about the largest absolute value of pixels, see perrin/orient/accumulate.h
 * @ctf:            [edge + 1] or NULL, see perrin/orient/polar.h
 *
 * Errors: PN_EARG, PN_ENOMEM with the bytes.
 */
int pn_orienter_create(struct pn_orienter **orienter, const struct pn_orienter_params *params,
		       size_t edge, double pixel_A, const struct pn_orienter_start *start,
		       double largest_pixel, const double *ctf, struct pn_error *err);
void pn_orienter_destroy(struct pn_orienter *orienter);

/**
 * pn_orienter_push - the next image.
 *
 * Where the particle is: predicted by a Kalman filter of its random walk. The image is matched with
 * the references of its half (halves take turns), the path filter chooses among the candidates, the
 * chosen pose is polished, and the image goes into the sums of its half if the pose is probable.
 * After every refresh images the maps of the halves become the new references: with what the start
 * map would look like from all sides added to the sums, so that views not seen yet are not empty
 * (the published maps, perrin/orient/mapper.h, know nothing of it), shell by shell
 * weighted by sqrt(2 FSC / (1 + FSC)) of the two. Then older images are looked at again: out of the
 * sums, matched anew under the prior of the poses before and after, and in again.
 *
 * @frame:     increasing
 * @image:     [in] float32 [edge][edge]
 * @origin_px: where the image's first pixel is on the frame, x y
 * @hint_px:   where the particle is thought to be on the frame; used at the start and when lost
 * @now:       [out] its pose
 * @again:     [out] [PN_ORIENTER_AGAIN_MAX] poses of older images that have changed
 *
 * Errors: PN_EARG (a pixel that is not finite, a frame that does not increase), PN_ENOMEM. Thread:
 * one call at a time; OpenMP inside, the bytes do not depend on its threads.
 * Source: methods R8; paper 004; recon notes 5 and 6.
 */
int pn_orienter_push(struct pn_orienter *orienter, uint64_t frame, const float *image,
		     const double origin_px[2], const double hint_px[2], struct pn_oriented *now,
		     struct pn_oriented *again, size_t *again_count, struct pn_error *err);

/** What has been learnt so far. */
struct pn_orienter_state {
	uint64_t images[2];  /* in the sums of the halves                                      */
	uint64_t map;        /* references in use                                              */
	double step_deg;     /* rms turn from frame to frame                                   */
	double walk_px2;     /* variance of the shift from frame to frame, per axis            */
	double score_mean;   /* of the last 100 images or so, before they went in              */
	double resolution_A; /* of the references, FSC 0.143; NaN with the start map           */
};
void pn_orienter_state(const struct pn_orienter *orienter, struct pn_orienter_state *state);

/** pn_orienter_map - the references of a half, float32 [edge]^3; borrowed until the next push. */
const float *pn_orienter_map(const struct pn_orienter *orienter, int half);

/** pn_orienter_restart - empty sums, the present references (mean of the halves) as the start map:
 * the structure has changed. The path goes on. */
int pn_orienter_restart(struct pn_orienter *orienter, struct pn_error *err);

int pn_orienter_save(const struct pn_orienter *orienter, struct pn_blob *out);
int pn_orienter_load(struct pn_orienter *orienter, const void *data, size_t bytes,
		     struct pn_error *err);

#endif
