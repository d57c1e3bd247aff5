/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/path.h - the way of a particle's orientation through the frames: temporal prior. */
#ifndef PERRIN_ORIENT_PATH_H
#define PERRIN_ORIENT_PATH_H

#include "perrin/base/blob.h"
#include "perrin/base/param.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_PATH_CANDIDATES_MAX 1024
#define PN_PATH_LAG_MAX        256
#define PN_PATH_UNLISTED       SIZE_MAX /* in a way: none of the frame's candidates */

/** One orientation that a frame may have, as the matching found it. */
struct pn_pose_candidate {
	double quaternion[4];  /* w x y z, unit; active: specimen to detector frame       */
	double log_likelihood; /* up to a constant of the frame, nats                     */
	uint64_t reference;    /* whatever the caller wants to find it by; passed through */
};

struct pn_path_params {
	double step_deg;     /* rms angle of the turn from frame to frame, to start with        */
	int64_t lag;         /* frames that the smoother waits for                              */
	double lost;         /* probability per frame that the turn is anything at all          */
	double missed;       /* probability that candidates lack what they should hold          */
	int64_t memory;      /* frames over which the step is estimated; 0: it stays as given   */
	double step_max_deg; /* a step that grows beyond is no prior: the frames count alone    */
	double grid_deg;     /* edge of the cell that a candidate stands for; 0: polished       */
};

/**
 * Rows of struct pn_path_params: 5 deg, 8, 1e-5, 0.1, 200, 60 deg, 0. The edge of a cell of a grid
 * with a different spacing along each axis is the root of their mean square: 3.6 deg for views 4.0
 * deg apart, each at angles 2.8 deg apart in its plane.
 */
extern const struct pn_param pn_path_param_table[];

/** What is known of one frame. */
struct pn_path_pose {
	uint64_t frame;
	size_t best; /* candidate of the largest posterior                             */
	double quaternion[4];
	uint64_t reference;
	double probability; /* posterior of all candidates within 5 deg of the best           */
	double unlisted;    /* posterior of being none of the candidates; best is then of no use */
	double entropy;     /* of the posterior over the candidates and the unlisted, in nats */
	int has_runner_up;
	double runner_up[4]; /* best candidate farther than 5 deg                              */
	double runner_up_probability; /* of the candidates within 5 deg of it                  */
	double step_deg; /* of the prior as it was used                                    */
	int independent; /* 1: no prior was used (first frame, flat posterior, lost)       */
};

/**
 * The forward filter (live) and the fixed-lag smoother of a hidden Markov model whose states at a
 * frame are its candidates:
 *
 *	alpha_t(j) ~ L_t(j) [ (1 - lost) sum_i alpha_(t-1)(i) T(angle(i, j)) + lost ]
 *
 * T is the density of isotropic diffusion over dt frames, over SO(3) of volume 1:
 * exp(-angle^2 / (2 s^2)) / Z(s) with s^2 = step^2 dt / 3 + grid^2 / 6 for each axis; the second
 * term is what cells at both ends add (an edge h has the variance h^2 / 12). Being lost has the
 * density 1. That candidates are the best of a larger set, and so not closed under T, is taken
 * seriously: the part of T around a state i that no candidate's cell of volume v covers,
 *
 *	open(i) = 1 - v sum_j T(angle(i, j)),
 *
 * stays with i as an unlisted state of this frame, with the weight missed open(i) / v and the
 * likelihood of the worst candidate, which nothing unlisted can exceed. From there T goes on with
 * the dt since the frame that the state came from. Without them a single frame that lacks the
 * right orientation would throw the filter off its way. So the candidates of a frame must be the
 * best ones of all that were tried, and those tried must have been all over SO(3) or wherever the
 * prior (pn_path_prior_ok) leaves anything.
 *
 * The step is estimated by the expected square of the turn under the posterior of pairs of frames
 * (Baum-Welch), less grid^2 / 2, as a running mean over memory frames; turns that were rather a
 * loss do not count. No prior is used after a frame whose posterior was flat (more than half of 8
 * or more states share it: entropy over log of half their number) and while the step is over
 * step_max_deg; the estimate goes on, so the prior comes back with the evidence. After a jump the
 * way is found again as soon as the likelihoods outweigh log(Z lost), some 20 nats in all.
 *
 * Source: Rabiner, Proc. IEEE 77, 257 (1989), section III (forward-backward, Viterbi,
 * Baum-Welch); Cappe & Moulines, J. R. Stat. Soc. B 71, 593 (2009) for the running mean.
 */
struct pn_path;

/**
 * pn_path_create - caller destroys; pn_path_destroy takes NULL.
 *
 * Errors: PN_EARG (a parameter out of its row's range), PN_ENOMEM.
 * Allocates: lag + 2 frames of 110 kB; nothing later. Thread: one call at a time per path, in all
 * functions of it; sums are shared among OpenMP threads, same bytes for any number of them.
 */
int pn_path_create(struct pn_path **path, const struct pn_path_params *params,
		   struct pn_error *err);
void pn_path_destroy(struct pn_path *path);
void pn_path_reset(struct pn_path *path); /* as created: another particle, another structure */

/**
 * pn_path_push - the candidates of the next frame.
 *
 * @frame:     increasing; frames that are left out make the step longer
 * @candidate: [in] [count], 1..PN_PATH_CANDIDATES_MAX, any order; borrowed
 * @filtered:  [out] this frame, by what has been seen up to now
 * @smoothed:  [out] the frame @lag pushes ago, by all that has been seen since; may be NULL
 * @ready:     [out] 1 if there is one; may be NULL
 *
 * Errors: PN_EARG with the frame and the numbers (a count out of range, a frame not after the last
 * one, a quaternion of a norm other than 1 to 1e-6, a likelihood that is not finite); the path is
 * then as before.
 * Cost: 1 + lag sums over pairs of candidates, 1 to 3 ns a pair; those of the smoother go over
 * candidates with a posterior over 1e-10 only. One Zen 3 core, lag 8: 400 candidates 0.16 ms where
 * the way is clear and 0.6 ms where it is not, 1000 candidates 0.5 and 2.5 ms.
 */
int pn_path_push(struct pn_path *path, uint64_t frame, const struct pn_pose_candidate *candidate,
		 size_t count, struct pn_path_pose *filtered, struct pn_path_pose *smoothed,
		 int *ready, struct pn_error *err);

/**
 * pn_path_flush - end of the frames: the oldest one not smoothed yet; PN_EEND when none is left.
 * Frames may be pushed again afterwards.
 */
int pn_path_flush(struct pn_path *path, struct pn_path_pose *smoothed, struct pn_error *err);

/**
 * pn_path_step_deg - as estimated now; not under 0.1 deg, not over 1.5 step_max_deg.
 *
 * pn_path_prior_ok - 1 if the next frame's prior will say something; 0 before the first frame,
 * after one with a flat posterior and while the step is over step_max_deg: search everywhere then.
 */
double pn_path_step_deg(const struct pn_path *path);
int pn_path_prior_ok(const struct pn_path *path);

/**
 * pn_path_save, pn_path_load - the filter's whole memory, for checkpoints: the same bytes after a
 * load as without it. Numbers are in this machine's order.
 *
 * Errors: save: PN_ENOMEM; load: PN_EVERSION, PN_EFORMAT (cut short, changed, or saved with other
 * parameters), PN_ENOMEM: the path is then as before.
 */
int pn_path_save(const struct pn_path *path, struct pn_blob *out);
int pn_path_load(struct pn_path *path, const void *data, size_t bytes, struct pn_error *err);

/**
 * pn_path_viterbi - the most probable way through all frames at once (offline).
 *
 * @frame:     [in] [frames], increasing
 * @candidate: [in] those of all frames, one after the other; @count: [in] [frames]
 * @params:    lag, memory and the params' step_deg are not used
 * @rounds:    of Baum-Welch, >= 0; 0: the step as given
 * @step_deg:  [inout] of the prior, 0.1..180 deg
 * @best:      [out] [frames], index into the candidates of each frame, or PN_PATH_UNLISTED
 * @posterior: [out] [frames] by the forward-backward algorithm; may be NULL
 *
 * The way is the most probable as a whole; @posterior is the better one frame by frame.
 *
 * Errors: as pn_path_create and pn_path_push; PN_ENOMEM. Thread: reentrant; same bytes for any
 * number of OpenMP threads. Allocates: 52 bytes for each candidate and each of 256 unlisted states
 * per frame. Cost: 3 + 2 @rounds sums over pairs per frame.
 */
int pn_path_viterbi(const uint64_t *frame, const struct pn_pose_candidate *candidate,
		    const size_t *count, size_t frames, const struct pn_path_params *params,
		    int rounds, double *step_deg, size_t *best, struct pn_path_pose *posterior,
		    struct pn_error *err);

#endif
