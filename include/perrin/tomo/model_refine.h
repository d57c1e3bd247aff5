/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/model_refine.h - poses made better against an atomic model, and the model with them.
 */
#ifndef PERRIN_TOMO_MODEL_REFINE_H
#define PERRIN_TOMO_MODEL_REFINE_H

#include "perrin/tomo/complete.h"
#include "perrin/tomo/refine.h"

/** What is refined and how; fill with pn_model_refine_defaults, then change. */
struct pn_model_refine_params {
	struct pn_model_fit_params fit; /* of every round; fit.weight has to be NULL             */
	int angles, shifts;             /* 1: of the poses                                       */
	int weigh;    /* 1: GAUSS only: tilts by what their residuals say                        */
	int complete; /* 1: once the poses are found, then they are refined again                */
	struct pn_complete_params completion; /* its fit is not used: the one above is           */
	struct pn_box box;                    /* searched for new atoms, as pn_complete_model    */
	struct pn_refine_params pose;         /* one level, no grid, no blur                     */
	double tolerance_deg, tolerance_px;   /* 0.01, 0.02: rms over the tilts                  */
	int rounds_max;                       /* 8, before completion, and as many after it      */
};

/** What became of one projection. */
struct pn_model_refined_tilt {
	double turned_deg, moved_px; /* from the pose that was given                             */
	double r1[2];                /* sum |model - image| / sum |image|, image less its offset:
				      * after the first fit, and at the end                     */
	double sigma;                /* rms of model - image at the end, unit of the images      */
	double weight;               /* that the last fit used; 1 unless weighed                 */
};

/** A refined model; freed with pn_model_refined_free. */
struct pn_model_refined {
	size_t count, tilts;
	double (*position_A)[3]; /* [count] those of the model first, less the removed ones       */
	uint8_t *species;        /* [count]                                                       */
	double *amplitude;       /* [count] as struct pn_completed; 1 without completion          */
	double (*sigma_pm)[3];   /* [count] of the last fit                                       */
	size_t *from;            /* [count] its number in the model before, or (size_t)-1         */
	size_t added, removed, reassigned;
	struct pn_pose *pose;               /* [tilts] */
	struct pn_model_refined_tilt *tilt; /* [tilts] */
	int rounds;
	int converged;                  /* the poses moved less than the tolerances at last */
	struct pn_model_fit_result fit; /* the last one */
};

/** pn_model_refine_defaults - the values above, angles and shifts, weighed, no completion. */
void pn_model_refine_defaults(struct pn_model_refine_params *params);

/**
 * pn_model_refine - positions, spots and poses in turn, until the poses stay.
 *
 * A round fits the model to all tilts (pn_model_fit, with a shift of each tilt if shifts are
 * refined); takes these shifts into the poses; refines each pose against the model on its own
 * (pn_refine_round); and takes the common rotation and translation out against the poses that were
 * given (pn_refine_gauge, all of them), turning the model along. One rotation of all images about
 * the beam is left to the poses: a tilt axis that lies otherwise in the images than was said is no
 * rotation of the specimen, whose frame stays the one of the tilt axis.
 *
 * An angle error e displaces what
 * lies at radius r by e r in that tilt: 0.3 degrees are 19 pm at 37 A, and an atom's position bears
 * it divided by the root of the number of tilts, but always the same way as its neighbors.
 *
 * Weighed, a tilt counts as 1 / its mean squared residual in the round before, and no more than
 * four times the median one: a tilt that the model does not describe (a wrong background, a
 * damaged image) hardly counts.
 *
 * Completion (pn_complete_model) follows only when the poses stay: with wrong ones atoms look faint
 * and are removed. Until then no atom goes further than a quarter of completion.distance_min_A:
 * neighbors of a missing atom would take its place. Atoms that it adds or takes refine the poses
 * again.
 *
 * @refined:  [out] freed with pn_model_refined_free, also after an error
 * @model:    [inout] only its spots are changed, by the fits
 * @measured: its poses are the ones to start from and to keep the frame of
 * @tilt:     [inout] [measured->count] scale and offset; shifts are in the poses in the end
 *
 * Errors: those of pn_model_fit, pn_refine_round, pn_complete_model; PN_EARG for a weight or a
 * parameter out of range. Thread: reentrant; OpenMP inside, the bytes do not depend on its threads.
 * Cost: a round is one fit and some 40 projections of each tilt.
 * Source: angular refinement of papers 000 and 003 (methods R25) with the model as the reference in
 * place of a reconstruction; R30.
 */
int pn_model_refine(struct pn_model_refined *refined, struct pn_linear_model *model,
		    const struct pn_projections *measured, struct pn_model_tilt *tilt,
		    const struct pn_model_refine_params *params, struct pn_error *err);
void pn_model_refined_free(struct pn_model_refined *refined);

#endif
