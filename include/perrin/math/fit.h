/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/math/fit.h - non-linear least squares with uncertainties. */
#ifndef PERRIN_MATH_FIT_H
#define PERRIN_MATH_FIT_H

#include "perrin/base/status.h"

#define PN_FIT_PARAMETERS_MAX 16

/**
 * A model of @points numbers that depends on some parameters. @residual writes, for the parameters
 * p, r[i] = (model_i(p) - measured_i) / s_i for every point, s_i the standard deviation of the
 * measurement (or 1 for all of them); it returns 0, or 1 if p is out of bounds (the step is then
 * shortened). It has no state but @context.
 */
struct pn_fit_problem {
	int points, parameters; /* points >= parameters, parameters <= PN_FIT_PARAMETERS_MAX */
	int (*residual)(const double *p, double *r, void *context);
	void *context;
	int iterations_max; /* 0 = 200 */
	/* 1 = the s_i are true standard deviations; 0 = they are only relative, and the scatter of
	 * the residuals sets the scale of the uncertainties */
	int absolute;
};

/** What came out. The uncertainty is the standard deviation of each parameter. */
struct pn_fit_result {
	double value[PN_FIT_PARAMETERS_MAX], uncertainty[PN_FIT_PARAMETERS_MAX];
	double covariance[PN_FIT_PARAMETERS_MAX][PN_FIT_PARAMETERS_MAX];
	double chi2; /* sum of r^2 */
	int iterations, converged;
};

/**
 * pn_fit - minimise sum r_i(p)^2 from the start in result->value by Levenberg and Marquardt, with
 * derivatives by central differences over 6e-6 of each parameter, but no less than 6e-9 of its
 * start (of 1 for a start of 0 or above 1): start a small parameter at its size. Converged when a
 * step changes no parameter by more than 1e-12 of itself, or chi2 by more than 1e-15 of itself; not
 * converged where the bounds stop the way down.
 *
 * Uncertainty: sqrt of the diagonal of (J^T J)^-1, times chi2 / (points - parameters) unless the
 * problem is absolute. All of them are NaN if the points leave a combination of parameters open, or
 * if points == parameters and the problem is not absolute.
 *
 * Errors: PN_EARG (counts out of range, start out of bounds or not finite), PN_ENOMEM. Not to
 * converge is no error: see result->converged. Thread: reentrant.
 * Source: Marquardt, J. SIAM 11, 431 (1963).
 */
int pn_fit(struct pn_fit_result *result, const struct pn_fit_problem *problem,
	   struct pn_error *err);

#endif
