/* SPDX-License-Identifier: GPL-3.0-or-later */
/* orienter_parts.h - what the files of the orienter share. */
#ifndef PERRIN_ORIENT_ORIENTER_PARTS_H
#define PERRIN_ORIENT_ORIENTER_PARTS_H

#include "perrin/orient/accumulate.h"
#include "perrin/orient/match.h"
#include "perrin/orient/orienter.h"
#include "perrin/orient/polish.h"

/** One half of the images and their map. */
struct pn_orienter_half {
	struct pn_accumulator *sums;
	struct pn_slicer *slicer;
	struct pn_match *match;
	float *map; /* [edge]^3, what the references are of */
};

/** An image that may be looked at again. */
struct pn_orienter_kept {
	struct pn_oriented pose;
	double origin_px[2], hint_px[2];
	int present;
};

/** Where the particle is: a random walk, the same along x and y. */
struct pn_orienter_walk {
	double at_px[2];
	double variance_px2; /* of at_px                                  */
	double step_px2;     /* variance of a step from frame to frame    */
	uint64_t seen;       /* frames that agreed                        */
	uint64_t missed;     /* frames since then that did not            */
};

/** A pose that looks as another: turned by specimen first, and about the beam. */
struct pn_orienter_twin {
	double specimen[4];
	int about_beam;
};

struct pn_orienter_symmetry {
	int count;
	struct pn_orienter_twin op[2 * PN_CUBIC_ROTATIONS];
};

/** Plain data, part of the checkpoint. */
struct pn_orienter_numbers {
	uint64_t frame, images, since_refresh, map, again_at, kept;
	uint64_t begin_next; /* images at which to look for the middle */
	int beginning;       /* against a crystal of unknown place */
	double last[4];      /* orientation: the branch that equivalent ones are folded to */
	struct pn_orienter_symmetry symmetry; /* of the references */
	struct pn_orienter_walk walk;
	double score_mean, height_mean, resolution_A;
	uint64_t inserted[2]; /* images in the sums */
	int has_prior;        /* and the start map's projections */
};

struct pn_orienter {
	struct pn_orienter_params params;
	struct pn_orienter_start start;
	size_t edge;
	double pixel_A, radius_px;
	struct pn_orienter_numbers n;

	struct pn_polar *polar;
	double *ctf; /* [rings] of the lens: polar's is that times the weight of the FSC */
	struct pn_directions directions;
	struct pn_polisher *polisher;
	struct pn_path *path;
	struct pn_orienter_half half[2];

	struct pn_orienter_kept *kept; /* [memory], by image number modulo that */
	float *images;                 /* [memory][edge][edge]                  */

	float complex *ring, *moved, *order;
	struct pn_match_hit *hit;
	struct pn_pose_candidate *candidate; /* [candidates] */
	size_t candidates;
};

/** pn_orienter_look - candidates of an image against a half's references, about a place; of
 * equivalent ones those nearest to @near. */
void pn_orienter_look(struct pn_orienter *o, int half, const float *image, const double shift_px[2],
		      const double near[4]);

/** pn_orienter_settle - the same where the place is known to some pixels only; it comes back. */
void pn_orienter_settle(struct pn_orienter *o, int half, const float *image, double reach_px,
			const double near[4], double shift_px[2]);

/** pn_orienter_polish - a candidate's pose made better; pose.shift_px from the origin of the image.
 */
void pn_orienter_polish(struct pn_orienter *o, int half, const double quaternion[4],
			const double shift_px[2], struct pn_pose *pose,
			struct pn_polished *polished);

/** pn_orienter_insert, _remove - a pose's image into, or out of, the sums of its half. */
int pn_orienter_insert(struct pn_orienter *o, const struct pn_oriented *pose,
		       const double origin_px[2], const float *image, struct pn_error *err);
int pn_orienter_remove(struct pn_orienter *o, const struct pn_oriented *pose,
		       const double origin_px[2], const float *image, struct pn_error *err);

/** pn_orienter_refresh - the maps of the halves as new references, if there are images enough. */
int pn_orienter_refresh(struct pn_orienter *o, struct pn_error *err);

/** pn_orienter_use_maps - references from the maps as they are. */
int pn_orienter_use_maps(struct pn_orienter *o, struct pn_error *err);

/** pn_orienter_find_symmetry - of the references as they are: see pn_orienter_fold. */
void pn_orienter_find_symmetry(struct pn_orienter *o);

/** pn_orienter_fold - @q becomes the one nearest to @near of all that look the same. */
void pn_orienter_fold(const struct pn_orienter *o, const double near[4], double q[4]);

/** pn_orienter_cut - the start crystal about a point of its lattice, in lattice constants. */
int pn_orienter_cut(struct pn_orienter *o, enum pn_start_shape shape, const double center[3],
		    struct pn_error *err);

/** pn_orienter_begun - enough images: where the middle is, and new references about it. */
int pn_orienter_begun(struct pn_orienter *o, struct pn_error *err);

/** pn_orienter_again - the next of the kept images looked at anew; *changed: its pose is another.
 */
int pn_orienter_again(struct pn_orienter *o, struct pn_oriented *pose, int *changed,
		      struct pn_error *err);

#endif
