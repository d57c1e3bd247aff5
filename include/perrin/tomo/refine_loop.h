/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/refine_loop.h - reconstruct, refine the poses, again: until they stay. */
#ifndef PERRIN_TOMO_REFINE_LOOP_H
#define PERRIN_TOMO_REFINE_LOOP_H

#include "perrin/image/laplace.h"
#include "perrin/tomo/refine.h"

/** How the loop comes to its volumes: any method, which should have converged. */
struct pn_refine_solver {
	/**
	 * solve - the volume of a set of projections.
	 *
	 * @volume: [out] float32 [nz][ny][nx] of the loop's box, zeros on entry
	 * @misfit: [out] what tells a better volume, the less the better: the misfit of projections
	 *          left out of a trial, where there are enough of them, else R
	 * Returns PN_OK or an error that it has set.
	 */
	int (*solve)(void *context, const struct pn_projections *projections, float *volume,
		     double *misfit, struct pn_error *err);
	void *context;
};

/** What one round did. */
struct pn_refine_loop_round {
	int round;      /* from 1                                                        */
	double blur_px; /* of the images, in this stage                                 */
	double misfit;  /* of the volume that the round began with, as the solver told   */
	double r1[2];   /* mean over the projections against that volume, before, after  */
	struct pn_pose_difference change; /* of all poses in this round                 */
	size_t kept;                      /* projections for which nothing better was found      */
	size_t cleaned; /* images whose background was taken off again in this round    */
};

/** How to loop; pn_refine_loop_defaults, then change. */
struct pn_refine_loop_params {
	struct pn_refine_params refine;
	int angles, shifts; /* 1: is refined; at least one of them                               */
	int rounds_max;
	double blur_px; /* of all images in the first stage, half as much in each, at last none */
	double turned_min_deg; /* a round that turns all by less on the mean, and moves them by  */
	double moved_min_px;   /* less, is the last                                              */
	double gain_min;       /* and so is one before a volume whose misfit is not smaller by   */
			       /* this part than the least so far: the poses of that are kept    */
	int background;        /* 1: the background of each image is taken off again in a round  */
	struct pn_particle_params particle;
	struct pn_laplace_params laplace;
	size_t memory_max; /* bytes for slicers; one for each thread if they fit              */
	/* called after each round; anything but 0 ends the loop */
	int (*progress)(void *context, const struct pn_refine_loop_round *round);
	void *context;
};

enum pn_refine_loop_stop {
	PN_REFINE_LOOP_ROUNDS, /* rounds_max                                       */
	PN_REFINE_LOOP_STILL,  /* turned_min_deg, moved_min_px                     */
	PN_REFINE_LOOP_MISFIT, /* gain_min                                         */
	PN_REFINE_LOOP_ASKED,  /* the progress callback said so                    */
};

struct pn_refine_loop_result {
	enum pn_refine_loop_stop stop;
	int rounds;    /* done                                                            */
	int best;      /* after how many the poses that came back were found; 0: as given */
	double before; /* misfit with the poses given                                     */
	double after;  /* with those that came back; NaN if it was not asked for          */
};

/** pn_refine_loop_defaults - angles and shifts, 12 rounds, images blurred by 3 px at first; in a
 * round no grid search, at most 2 deg and 6 px, 2 levels from a blur of 1 px; still at 0.01 deg and
 * 0.01 px; misfit smaller by 0.2 %; no background, particles may touch the border; 2 GiB. */
void pn_refine_loop_defaults(struct pn_refine_loop_params *params);

/**
 * pn_refine_loop - poses and, if wanted, backgrounds of a series made better in rounds of
 *
 *	volume of the present poses and images;
 *	pn_refine_round against projections of it, by Fourier slices (perrin/tomo/slice.h);
 *	pn_refine_gauge of all poses against those given;
 *	the background of each image again: the particle's mask (pn_particle_mask) from the volume's
 *	projection under the new pose, Laplace within it (pn_laplace_subtract of the image given).
 *
 * A volume follows the poses it was made from, the more the finer the detail, which few tilts
 * share: a round goes only part of the way, and shifts of pixels end in a wrong place. So there are
 * stages: all images are blurred, by blur_px in the first, half as much in each, not at all in the
 * last; those of blurred images have 4 rounds at most and end by thresholds 5 times as large. The
 * projections' R falls in all of them, right or wrong; what tells is the solver's misfit of
 * projections that were left out. From stage to stage go the poses for which it was least, and if
 * those of the last are no better than those given, these come back.
 *
 * Of angles alone the shifts are found along and dropped, of shifts alone the angles: what is kept
 * is not led astray by an error of the other. A series about one axis stays one if angles are not
 * refined.
 *
 * sim_FePt321_prismatic, 37 tilts moved by up to 3 px in each direction: 1.41 px off on the mean,
 *0.6 after 8 rounds without blur, 0.13 after 10 rounds with it (aligned images move by 0.08).
 *
 * @pose:     [out] [count]; not measured->pose
 * @image:    [out] float32 [count][ny][nx] the images with their background taken off, of the poses
 *            that came back; only written with params->background, else may be NULL
 * @refined:  [out] [count] of the last round; may be NULL
 * @box:      of the volumes
 * @measured: images and the poses to start from
 * @result:   [out]
 *
 * Errors: those of pn_refine_round, pn_slicer_plan, the solver, pn_laplace_subtract; PN_EARG
 * (parameters), PN_ENOMEM. An image whose projection shows no particle keeps its background.
 * Thread: reentrant; OpenMP, the bytes do not depend on its threads.
 * Cost: per round one solution and what pn_refine_round says; a solution more for each stage, and
 * one for the poses given.
 * Source: methods R25: angular refinement and spatial re-alignment; paper 003, "Image
 * post-processing" and "Angular refinement"; Pryor et al., Sci. Rep. 7, 10409 (2017).
 */
int pn_refine_loop(struct pn_pose *pose, float *image, struct pn_refined *refined,
		   const struct pn_box *box, const struct pn_projections *measured,
		   const struct pn_refine_solver *solver,
		   const struct pn_refine_loop_params *params, struct pn_refine_loop_result *result,
		   struct pn_error *err);

#endif
