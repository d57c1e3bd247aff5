/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/disorder.h - how disorder grows as a crystal shrinks. */
#ifndef PERRIN_ATOMS_DISORDER_H
#define PERRIN_ATOMS_DISORDER_H

#include "perrin/base/status.h"

#include <stddef.h>

/** f(d) = 1 - A (d - d_c)^-n, with standard deviations (NaN where the points leave them open). */
struct pn_disorder {
	double A, n, critical_diameter_A;
	double A_uncertainty, n_uncertainty, critical_diameter_uncertainty_A;
	double chi2;
	int points, converged;
};

/**
 * pn_disorder_fit - the fraction of disordered atoms against the diameter of the crystal.
 *
 * @diameter_A: [count] in any order
 * @fraction:   [count] disordered atoms / all atoms, 0..1
 * @sigma:      [count] standard deviations > 0; NULL = all alike
 *
 * The fraction falls with the diameter, so that n < 0, and reaches 1 at d_c: where the crystal is
 * expected to be disordered throughout. It is 1 below, too: up to 16 of the smallest diameters may
 * lie there, if that is the lower chi2. A is in A^n. With 3 points the curve passes through them
 * and the uncertainties from the scatter are NaN.
 *
 * Errors: PN_EARG (fewer than 3 points, fewer than 3 different diameters, all fractions equal, not
 * finite), PN_ENOMEM. Not to converge is told in the result. Thread: reentrant. Cost: 2 ms for 8
 * points, up to 16 times that if many fractions are near 1; 0.1 s for what is no such curve.
 * Source: paper 004, text to Fig. 4f (methods R13).
 */
int pn_disorder_fit(struct pn_disorder *disorder, const double *diameter_A, const double *fraction,
		    const double *sigma, size_t count, struct pn_error *err);

/** pn_disorder_at - the fitted fraction at a diameter, 1 at and below the critical one. */
double pn_disorder_at(const struct pn_disorder *disorder, double diameter_A);

/**
 * pn_line_fit - y = a + b x by least squares, with standard deviations: the etch rate of a crystal
 * is -b of its number of atoms against time (5..9 atoms/s in paper 004).
 *
 * @sigma: [count] of y, > 0; NULL = from the scatter, NaN for two points
 *
 * x may be far from 0 (seconds of a clock): a is then far from the points and its uncertainty
 * large, but b loses nothing. Errors: PN_EARG (fewer than 2 different x, a sigma not above 0, not
 * finite). Thread: reentrant.
 */
struct pn_line {
	double a, b, a_uncertainty, b_uncertainty, chi2;
};
int pn_line_fit(struct pn_line *line, const double *x, const double *y, const double *sigma,
		size_t count, struct pn_error *err);

#endif
