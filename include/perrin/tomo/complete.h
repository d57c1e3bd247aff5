/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/complete.h - atoms a tracing missed, from what the projections hold beyond the model.
 */
#ifndef PERRIN_TOMO_COMPLETE_H
#define PERRIN_TOMO_COMPLETE_H

#include "perrin/tomo/model_fit.h"

/** How to complete a model; fill with pn_complete_defaults, then change. */
struct pn_complete_params {
	struct pn_model_fit_params fit; /* of the fits between two rounds */
	double distance_min_A; /* 2.0: nearer to an atom there is none                            */
	double amplitude_min;  /* 0.5: of a whole atom; fainter ones are none, there or new       */
	double z_min;   /* 4.5: standard deviations of what is left that a new one stands out */
	int rounds_max; /* 10                                                              */
};

/** A completed model; freed with pn_completed_free. */
struct pn_completed {
	size_t count;
	double (*position_A)[3]; /* [count] those of the model first, less the removed ones      */
	uint8_t *species;        /* [count]                                                      */
	double *amplitude;       /* [count] of a whole atom of its species, 1 if it is one        */
	double (*sigma_pm)[3];   /* [count] of the last fit                                       */
	size_t *from;            /* [count] its number in the model before, or (size_t)-1         */
	size_t added, removed, reassigned; /* in all; reassigned: to another species             */
	int rounds;
	struct pn_model_fit_result fit; /* the last one */
};

/** pn_complete_defaults - the values above; the fit: height and B factor, its defaults else. */
void pn_complete_defaults(struct pn_complete_params *params);

/**
 * pn_complete_model - fit a model to the projections; look for atoms in what is left; again.
 *
 * With the residual d_k of every tilt and the spot g of a species, the amplitude of an atom at r,
 * and how far it stands out, are those of the matched filter
 *
 *	a(r) = sum_k w_k (g * d_k)(P_k r) / (|g|^2 sum_k w_k),   z(r) = a(r) / s
 *
 * with w_k the weights of the fit, 1 if there are none, and s the robust standard deviation of a
 * over all voxels of the box. Maxima of a with z >= z_min and a >= amplitude_min at least distance_min_A from all atoms are added, brightest first,
 * each as the species whose whole atom it is nearest to; atoms of the model whose own amplitude,
 * 1 + a(r_i), is below amplitude_min are removed, and those whose brightness is nearer to that of
 * another species become of that. Between rounds all are fitted together. It ends
 * when a round changes nothing.
 *
 * A reconstruction shows an atom only as well as the regularisation it needs lets it; here each is
 * tested against all projections, all others taken away: at low dose the last tenth of the atoms
 * is found so.
 *
 * @completed: [out] freed with pn_completed_free, also after an error
 * @model:     [inout] only its spots are changed, by the fits
 * @measured:  as for pn_model_fit
 * @tilt:      [inout] [measured->count] as for pn_model_fit; may be NULL
 * @box:       voxels of the pixel size that are searched, about the origin
 *
 * Errors: those of pn_model_fit; PN_EARG for parameters out of range. Thread: reentrant; OpenMP
 * inside, the bytes do not depend on its threads. Cost: a round is one fit and, per species, a
 * back-projection of all tilts.
 * Source: Hogbom, Astron. Astrophys. Suppl. 15, 417 (1974) (CLEAN) for the idea; methods R28, R30.
 */
int pn_complete_model(struct pn_completed *completed, struct pn_linear_model *model,
		      const struct pn_projections *measured, struct pn_model_tilt *tilt,
		      const struct pn_box *box, const struct pn_complete_params *params,
		      struct pn_error *err);
void pn_completed_free(struct pn_completed *completed);

#endif
