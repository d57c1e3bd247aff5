/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/fit.h"

#include "perrin/math/linear.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N PN_FIT_PARAMETERS_MAX

/* One fit under way. */
struct fit {
	const struct pn_fit_problem *problem;
	double *residual, *trial, *low; /* [points] */
	double *jacobian;               /* [points][parameters] */
	double normal[N * N], gradient[N];
	double least_step[N]; /* of the derivatives */
	double chi2;
};

static double sum_of_squares(const double *r, int count)
{
	double sum = 0;

	for (int i = 0; i < count; i++)
		sum += r[i] * r[i];
	return sum;
}

/* chi2 at p, INFINITY where the model has no value. */
static double evaluate(const struct pn_fit_problem *problem, const double *p, double *r)
{
	if (problem->residual(p, r, problem->context) != 0)
		return INFINITY;
	double chi2 = sum_of_squares(r, problem->points);

	return isfinite(chi2) ? chi2 : INFINITY;
}

/* Derivatives: central where both sides are in bounds, else one-sided. */
static void derive(struct fit *fit, const double *p)
{
	const struct pn_fit_problem *problem = fit->problem;
	int n = problem->parameters, m = problem->points;

	for (int k = 0; k < n; k++) {
		double moved[N], step = fmax(cbrt(DBL_EPSILON) * fabs(p[k]), fit->least_step[k]);
		double up = step, down = step;
		const double *high = fit->trial, *low = fit->low;

		memcpy(moved, p, (size_t)n * sizeof *p);
		moved[k] = p[k] + step;
		up = moved[k] - p[k];
		if (isinf(evaluate(problem, moved, fit->trial))) {
			high = fit->residual;
			up = 0;
		}
		moved[k] = p[k] - step;
		down = p[k] - moved[k];
		if (isinf(evaluate(problem, moved, fit->low))) {
			low = fit->residual;
			down = 0;
		}
		for (int i = 0; i < m; i++)
			fit->jacobian[(size_t)i * n + k] =
				up + down > 0 ? (high[i] - low[i]) / (up + down) : 0;
	}
	memset(fit->normal, 0, sizeof fit->normal);
	memset(fit->gradient, 0, sizeof fit->gradient);
	for (int i = 0; i < m; i++) {
		const double *row = fit->jacobian + (size_t)i * n;

		for (int k = 0; k < n; k++) {
			fit->gradient[k] -= row[k] * fit->residual[i];
			for (int j = 0; j < n; j++)
				fit->normal[k * n + j] += row[k] * row[j];
		}
	}
}

/* p + the step of damping @lambda; 0 if there is none. */
static int step_of(const struct fit *fit, double *next, const double *p, double lambda)
{
	int n = fit->problem->parameters;
	double damped[N * N], step[N];

	memcpy(damped, fit->normal, sizeof damped);
	for (int k = 0; k < n; k++) {
		/* a parameter nothing depends on stays where it is */
		if (damped[k * n + k] == 0)
			damped[k * n + k] = 1;
		damped[k * n + k] *= 1 + lambda;
	}
	if (pn_solve_positive(step, damped, fit->gradient, n, NULL))
		return 0;
	for (int k = 0; k < n; k++)
		next[k] = p[k] + step[k];
	return 1;
}

static int small_step(const double *p, const double *next, int n)
{
	for (int k = 0; k < n; k++)
		if (fabs(next[k] - p[k]) > 1e-12 * fabs(p[k]) + 1e-300)
			return 0;
	return 1;
}

static void descend(struct fit *fit, struct pn_fit_result *result)
{
	const struct pn_fit_problem *problem = fit->problem;
	int n = problem->parameters, most = problem->iterations_max ? problem->iterations_max : 200;
	double lambda = 1e-3, *p = result->value;

	while (!result->converged && result->iterations < most) {
		int at_wall =
			0; /* a way down that was cut short by the bounds is no lowest point */

		derive(fit, p);
		result->iterations++;
		for (;;) {
			double next[N];
			int have = step_of(fit, next, p, lambda);
			double chi2 = have ? evaluate(problem, next, fit->trial) : INFINITY;

			at_wall |= isinf(chi2);
			if (have && chi2 <= fit->chi2) {
				result->converged =
					!at_wall && (small_step(p, next, n) ||
						     fit->chi2 - chi2 <= 1e-15 * fit->chi2);
				memcpy(p, next, (size_t)n * sizeof *p);
				memcpy(fit->residual, fit->trial,
				       (size_t)problem->points * sizeof *fit->trial);
				fit->chi2 = chi2;
				lambda = lambda > 1e-12 ? lambda / 10 : lambda;
				break;
			}
			lambda *= 10;
			/* no step leads down any more: this is the lowest that numbers can tell */
			if (lambda > 1e16 || (have && small_step(p, next, n))) {
				result->converged = !at_wall;
				return;
			}
		}
	}
}

static int uncertainties(struct fit *fit, struct pn_fit_result *result, struct pn_error *err)
{
	const struct pn_fit_problem *problem = fit->problem;
	int n = problem->parameters, rank, freedom = problem->points - n;
	double covariance[N * N], unused[N];
	double scale = problem->absolute ? 1 : freedom > 0 ? fit->chi2 / freedom : NAN;

	derive(fit, result->value);
	memset(fit->trial, 0, (size_t)problem->points * sizeof *fit->trial);
	int rc = pn_least_squares(unused, covariance, &rank, fit->jacobian, fit->trial,
				  problem->points, n, err);

	if (rc)
		return rc;
	for (int k = 0; k < n; k++) {
		for (int j = 0; j < n; j++)
			result->covariance[k][j] = scale * covariance[k * n + j];
		result->uncertainty[k] = rank == n ? sqrt(scale * covariance[k * n + k]) : NAN;
	}
	return PN_OK;
}

int pn_fit(struct pn_fit_result *result, const struct pn_fit_problem *problem, struct pn_error *err)
{
	struct fit fit = { .problem = problem };
	size_t m = (size_t)problem->points;

	if (problem->parameters < 1 || problem->parameters > N ||
	    problem->points < problem->parameters)
		return pn_error_set(err, PN_EARG, "fit: %d points for %d parameters (at most %d)",
				    problem->points, problem->parameters, N);
	double *work = malloc(m * (3 + (size_t)problem->parameters) * sizeof *work);

	if (!work)
		return pn_error_set(err, PN_ENOMEM, "no memory for a fit of %zu points", m);
	fit.residual = work;
	fit.trial = work + m;
	fit.low = work + 2 * m;
	fit.jacobian = work + 3 * m;
	for (int k = 0; k < problem->parameters; k++) {
		double size = fabs(result->value[k]);

		fit.least_step[k] = cbrt(DBL_EPSILON) * 1e-3 * (size > 0 && size < 1 ? size : 1);
	}
	result->iterations = result->converged = 0;
	fit.chi2 = evaluate(problem, result->value, fit.residual);
	int rc = isfinite(fit.chi2) ? PN_OK
				    : pn_error_set(err, PN_EARG,
						   "fit: the start is out of bounds or not finite");

	if (!rc) {
		descend(&fit, result);
		result->chi2 = fit.chi2;
		rc = uncertainties(&fit, result, err);
	}
	free(work);
	return rc;
}
