/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/model_fit.h - atoms fitted to the projections themselves: position refinement. */
#ifndef PERRIN_TOMO_MODEL_FIT_H
#define PERRIN_TOMO_MODEL_FIT_H

#include "perrin/base/status.h"
#include "perrin/tomo/model.h"

#include <stddef.h>

enum pn_model_noise {
	PN_MODEL_GAUSS,   /* every pixel of a tilt equally uncertain: least squares          */
	PN_MODEL_POISSON, /* pixels are counts: maximum likelihood, weights 1 / expected     */
};

/** What of the spots is fitted along with the positions. */
enum pn_model_shape {
	PN_MODEL_SHAPE_FIXED,
	PN_MODEL_SHAPE_B, /* height and B factor: all intensities times a factor, all variances
			   * plus a number, per species                                        */
	PN_MODEL_SHAPE_PROFILE, /* every Gaussian by itself: the radial profile of the species */
};

/** How one projection differs from the ideal: scale * model + offset, shifted. */
struct pn_model_tilt {
	double scale, offset;
	double shift_px[2]; /* added to that of the pose */
};

/** Zero-initialised: least squares, positions only, defaults. */
struct pn_model_fit_params {
	enum pn_model_noise noise;
	enum pn_model_shape shape;
	int fit_scale, fit_offset, fit_shift; /* 1: per tilt */
	double clamp_A;            /* how far an atom may go from its start; 0 = 1 A             */
	double b_min_A2, b_max_A2; /* of every Gaussian; 0 = sigma 0.3 pixel, 20 pixels          */
	double expected_min;       /* POISSON: smallest count the model may expect; 0 = 0.05     */
	const double *weight;      /* GAUSS: [count] of the tilts, 1 / variance of a pixel;
				    * NULL = 1                                                   */
	double tolerance_pm;       /* 0 = 0.01                                                   */
	int iterations_max;        /* 0 = 200                                                    */
};

struct pn_model_fit_result {
	int iterations, evaluations;
	int converged;
	double objective; /* GAUSS: half the weighted sum of squares; POISSON: half the deviance */
	double chi2; /* per pixel: 1 for a model as good as the noise (GAUSS: if weights are) */
	double moved_rms_pm; /* from the start */
	size_t clamped;      /* atoms at the end of their leash, or nowhere to be seen */
};

/**
 * pn_model_fit - move atoms to where the projections want them:
 *
 *	sum_k w_k sum_p (scale_k model_k(p) + offset_k - measured_k(p))^2 -> min
 *
 * or the Poisson likelihood of the same model, over all positions at once and, as asked, heights
 * and B factors or profiles of the species, scale, offset and shift of the tilts. Limited-memory
 * BFGS on all of them, preconditioned by the inverse of the blocks of the Gauss-Newton matrix: one
 * for each atom, one for all spots, one for each tilt; backtracking line search. It stops by itself
 * when the step that is left is 1 % of the uncertainties in the root mean square, or no atom moves
 * by tolerance_pm any more.
 *
 * Fitted scales are made to have the mean 1, into the intensities. With fitted shifts the place of
 * the whole particle is left open: compare after taking out the common shift.
 *
 * @model:    [inout] positions, and spots where they are fitted
 * @measured: pixels may have a constant background only if offsets are fitted; POISSON: counts, not
 *            below 0
 * @tilt:     [inout] [measured->count]; NULL = 1, 0, no shift (fitted or not)
 * @sigma_pm: [out] [atoms][3] standard deviation of x, y, z, all else being known, from the inverse
 *            of the atom's block: too small where spots overlap, by 3 % for 24 atoms, by a quarter
 *            for 12,000. GAUSS: the scatter of the residuals sets the scale. NaN for what no
 *            projection shows. May be NULL.
 *
 * Errors: PN_EARG (as pn_linear_model_check and pn_projections_check, parameters out of range, a
 * count below 0, no atom), PN_ENOMEM; the model is as it was then. Not to converge is no error.
 * Thread: reentrant; OpenMP threads share the tilts, the bytes do not depend on their number.
 * Cost: an iteration is about one projection and one adjoint (model.h), 10 to 50 of them.
 * Ref: position refinement of Yang et al., Nature 542, 75 (2017) and papers 000, 001, 003, there
 * gradient descent, species and positions in turn; Nocedal, Wright, Numerical Optimization,
 * alg. 7.4.
 */
int pn_model_fit(struct pn_linear_model *model, const struct pn_projections *measured,
		 struct pn_model_tilt *tilt, const struct pn_model_fit_params *params,
		 double (*sigma_pm)[3], struct pn_model_fit_result *result, struct pn_error *err);

#endif
