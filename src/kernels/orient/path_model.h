/* SPDX-License-Identifier: GPL-3.0-or-later */
/* path_model.h - one frame of the hidden Markov model of orientations, and what links two. */
#ifndef PERRIN_ORIENT_PATH_MODEL_H
#define PERRIN_ORIENT_PATH_MODEL_H

#include "perrin/orient/path.h"

#define PN_PATH_STEP_MIN_DEG 0.1
#define PN_PATH_UNLISTED_MAX 256 /* states of a frame beside its candidates */
#define PN_PATH_STATES_MAX   (PN_PATH_CANDIDATES_MAX + PN_PATH_UNLISTED_MAX)

/**
 * A frame's states: its candidates, and after them the unlisted ones, states of the frame before
 * that no candidate is near to. One array for each number.
 */
struct pn_path_frame {
	uint64_t frame;
	size_t count, states; /* candidates; with the unlisted                                 */
	struct pn_pose_candidate *candidate; /* [count]                                        */
	/* [states] each */
	float *q[4];
	float *likelihood; /* over that of the best                                            */
	float *alpha;      /* posterior by all frames up to this one, sum 1                    */
	float *diffused;   /* prior density but for the lost                                   */
	float *turned;     /* the same times the squared turn per frame, less the grid's; rad^2 */
	float *stay;       /* unlisted: what their prior is of the parent's alpha              */
	uint16_t *parent;  /* unlisted: the state before                                       */
	uint64_t *origin;  /* frame that q is of                                               */
	/* of the turn that led here */
	double step_deg, grid_deg, variance, gain; /* gain: (1 - lost) / Z, of candidates      */
	int paired; /* diffused and turned are there                                          */
	int prior;  /* and were used                                                          */
	int flat;   /* the posterior says nothing                                             */
};

/* bytes that the arrays of a frame of up to @count candidates take, these among them or not */
size_t pn_path_frame_bytes(size_t count, int candidates);

/* hand out @memory of that many bytes */
void pn_path_frame_place(struct pn_path_frame *f, void *memory, size_t count, int candidates);

/* PN_EARG if parameters are out of range */
int pn_path_params_check(const struct pn_path_params *params, struct pn_error *err);

/* PN_EARG if one of them is not finite or no rotation, or there are none or too many */
int pn_path_candidates_check(uint64_t frame, const struct pn_pose_candidate *candidate,
			     size_t count, struct pn_error *err);

/* all but alpha and what it comes from, by frame, candidate and count */
void pn_path_frame_prepare(struct pn_path_frame *f);

/* alpha of @f from that of @previous (NULL: none), and all that goes with it; @prior: to be used */
void pn_path_forward(struct pn_path_frame *f, const struct pn_path_frame *previous,
		     const struct pn_path_params *params, double step_deg, int prior);

/* beta of @previous, largest 1, from that of @f; NULL for @beta is 1 everywhere */
void pn_path_backward(float *previous_beta, const struct pn_path_frame *previous,
		      const struct pn_path_frame *f, const float *beta,
		      const struct pn_path_params *params);

/* what the posterior says of a frame */
void pn_path_describe(struct pn_path_pose *pose, const struct pn_path_frame *f, const float *beta,
		      double lost);

/* expected square of the turn per frame in deg^2, less the grid's; returns the probability that
 * it was a turn and not a loss, 0 if nothing can be said */
double pn_path_turn(const struct pn_path_frame *f, const float *beta, double lost,
		    double *turn2_deg2);

/* Viterbi: value[j] = max_i weight[i] prior density(i, j) and its i; the largest weight is 1 */
void pn_path_maximum(float *value, uint16_t *from, const struct pn_path_frame *f,
		     const struct pn_path_frame *previous, const float *weight,
		     const struct pn_path_params *params);

#endif
