/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/math/fit.h"
#include "testkit.h"

#include <math.h>

struct points {
	int count;
	double x[200], y[200], sigma;
};

static int gaussian(const double *p, double *r, void *context)
{
	const struct points *points = context;

	if (!(p[2] > 0))
		return 1;
	for (int i = 0; i < points->count; i++) {
		double u = (points->x[i] - p[1]) / p[2];

		r[i] = (p[0] * exp(-u * u / 2) - points->y[i]) / points->sigma;
	}
	return 0;
}

static int line(const double *p, double *r, void *context)
{
	const struct points *points = context;

	for (int i = 0; i < points->count; i++)
		r[i] = (p[0] + p[1] * points->x[i] - points->y[i]) / points->sigma;
	return 0;
}

static int sum_only(const double *p, double *r, void *context)
{
	const struct points *points = context;

	for (int i = 0; i < points->count; i++)
		r[i] = (p[0] + p[1]) * points->x[i] - points->y[i];
	return 0;
}

static int rosenbrock(const double *p, double *r, void *context)
{
	(void)context;
	r[0] = 10 * (p[1] - p[0] * p[0]);
	r[1] = 1 - p[0];
	return 0;
}

static struct points make(int count, double sigma, uint64_t seed)
{
	struct points points = { .count = count, .sigma = sigma };
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int i = 0; i < count; i++) {
		points.x[i] = 10.0 * i / count;
		points.y[i] = sigma * pn_rng_gauss(&rng);
	}
	return points;
}

static void exact_points_give_exact_parameters(void **state)
{
	struct points points = make(100, 1, 1);
	struct pn_fit_problem problem = { 100, 3, gaussian, &points };
	struct pn_fit_result result = { .value = { 1, 4, 3 } };

	(void)state;
	for (int i = 0; i < 100; i++)
		points.y[i] = 7 * exp(-pow((points.x[i] - 5.3) / 0.8, 2) / 2);
	assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
	assert_true(result.converged);
	assert_true(fabs(result.value[0] - 7) < 1e-9);
	assert_true(fabs(result.value[1] - 5.3) < 1e-9);
	assert_true(fabs(result.value[2] - 0.8) < 1e-9);
}

static void hard_valley_is_followed(void **state)
{
	struct pn_fit_problem problem = { 2, 2, rosenbrock, NULL };
	struct pn_fit_result result = { .value = { -1.2, 1 } };

	(void)state;
	assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
	assert_true(fabs(result.value[0] - 1) < 1e-8 && fabs(result.value[1] - 1) < 1e-8);
	assert_true(isnan(result.uncertainty[0])); /* as many points as parameters */
}

/* For a line the uncertainties have a closed form. */
static void uncertainty_of_a_line(void **state)
{
	struct points points = make(50, 0.3, 2);
	struct pn_fit_problem problem = { 50, 2, line, &points, .absolute = 1 };
	struct pn_fit_result result = { .value = { 0, 0 } };
	double s = 0, sx = 0, sxx = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		points.y[i] += 2 - 0.5 * points.x[i];
		s += 1 / 0.09;
		sx += points.x[i] / 0.09;
		sxx += points.x[i] * points.x[i] / 0.09;
	}
	assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
	double det = s * sxx - sx * sx;
	assert_true(fabs(result.uncertainty[0] / sqrt(sxx / det) - 1) < 1e-7);
	assert_true(fabs(result.uncertainty[1] / sqrt(s / det) - 1) < 1e-7);
	assert_true(fabs(result.covariance[0][1] / (-sx / det) - 1) < 1e-7);
}

/* Pull of the fitted centre over many noisy curves: mean 0, standard deviation 1. */
static void uncertainty_is_the_scatter_of_repeats(void **state)
{
	double sum = 0, sum2 = 0;
	const int turns = 400;

	(void)state;
	for (int turn = 0; turn < turns; turn++) {
		struct points points = make(60, 0.2, 100 + (uint64_t)turn);
		struct pn_fit_problem problem = { 60, 3, gaussian, &points };
		struct pn_fit_result result = { .value = { 2, 4.5, 1 } };

		for (int i = 0; i < 60; i++)
			points.y[i] += 3 * exp(-pow((points.x[i] - 5) / 1.2, 2) / 2);
		assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
		double pull = (result.value[1] - 5) / result.uncertainty[1];
		sum += pull;
		sum2 += pull * pull;
	}
	/* standard errors: 0.05 of the mean, 0.035 of the standard deviation */
	assert_true(fabs(sum / turns) < 0.2);
	assert_true(fabs(sqrt(sum2 / turns) - 1) < 0.14);
}

/* Units of the parameters, and where x begins, change neither the curve nor its uncertainty. */
static void units_and_origin_do_not_matter(void **state)
{
	struct points points = make(50, 0.3, 4);
	struct pn_fit_problem problem = { 50, 2, line, &points, .absolute = 1 };
	struct points at = points;
	double s = 0, sxx = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		points.y[i] += 2 - 0.5 * points.x[i];
		s += points.x[i] / 50;
	}
	for (int i = 0; i < 50; i++)
		sxx += pow((points.x[i] - s) / 0.3, 2);
	at = points;
	for (double unit = 1e-21; unit < 1e22; unit *= 1e7) {
		struct pn_fit_result result = { .value = { 1, 1 / unit } };

		for (int i = 0; i < 50; i++)
			points.x[i] = at.x[i] * unit;
		assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
		assert_true(fabs(result.uncertainty[1] * unit * sqrt(sxx) - 1) < 1e-7);
	}
	for (double origin = 1; origin < 1e7; origin *= 1e3) {
		struct pn_fit_result result = { .value = { 1, 1 } };

		for (int i = 0; i < 50; i++)
			points.x[i] = at.x[i] + origin;
		assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
		assert_true(result.converged);
		assert_true(fabs(result.uncertainty[1] * sqrt(sxx) - 1) < 1e-3);
		assert_true(result.chi2 < 80); /* 48 +- 10 */
	}
}

static int decay(const double *p, double *r, void *context)
{
	const struct points *points = context;

	for (int i = 0; i < points->count; i++)
		r[i] = p[0] * exp(-p[1] * points->x[i]) - points->y[i];
	return 0;
}

static void small_parameter_is_found_from_a_start_of_its_size(void **state)
{
	struct points points = make(50, 1, 5);
	struct pn_fit_problem problem = { 50, 2, decay, &points };
	struct pn_fit_result result = { .value = { 4, 7e-13 } };

	(void)state;
	for (int i = 0; i < 50; i++) {
		points.x[i] *= 1e12;
		points.y[i] = 5 * exp(-3e-13 * points.x[i]);
	}
	assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
	assert_true(result.converged);
	assert_true(fabs(result.value[1] / 3e-13 - 1) < 1e-8);
}

/* The lowest point is at p = 0, where the model has no value. */
static int walled(const double *p, double *r, void *context)
{
	(void)context;
	r[0] = r[1] = p[0];
	return p[0] < 1;
}

static void a_bound_is_no_lowest_point(void **state)
{
	struct pn_fit_problem problem = { 2, 1, walled, NULL };
	struct pn_fit_result result = { .value = { 5 } };

	(void)state;
	assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
	assert_true(result.value[0] >= 1 && result.value[0] < 2);
	assert_false(result.converged);
}

static void what_is_open_is_told(void **state)
{
	struct points points = make(20, 1, 3);
	struct pn_fit_problem open = { 20, 2, sum_only, &points }, few = { 1, 2, line, &points };
	struct pn_fit_problem outside = { 20, 3, gaussian, &points };
	struct pn_fit_result result = { .value = { 1, 1 } };
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_fit(&result, &open, NULL), PN_OK);
	assert_true(isnan(result.uncertainty[0]) && isnan(result.uncertainty[1]));
	assert_int_equal(pn_fit(&result, &few, &err), PN_EARG);
	result.value[2] = -1;
	assert_int_equal(pn_fit(&result, &outside, &err), PN_EARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_points_give_exact_parameters),
		cmocka_unit_test(hard_valley_is_followed),
		cmocka_unit_test(uncertainty_of_a_line),
		cmocka_unit_test(uncertainty_is_the_scatter_of_repeats),
		cmocka_unit_test(units_and_origin_do_not_matter),
		cmocka_unit_test(small_parameter_is_found_from_a_start_of_its_size),
		cmocka_unit_test(a_bound_is_no_lowest_point),
		cmocka_unit_test(what_is_open_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
