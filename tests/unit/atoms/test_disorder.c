/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"
#include "perrin/atoms/disorder.h"
#include "perrin/base/rng.h"

#include <math.h>
#include <string.h>

static const double diameters_A[] = { 19.69, 19.2, 18.3, 17.1, 16.0, 15.2, 14.5, 13.9 };
enum { COUNT = sizeof diameters_A / sizeof diameters_A[0] };

static void curve_is_found_again(void **state)
{
	const struct {
		double A, n, d_c;
	} curves[] = { { 0.5, -0.35, 13 }, { 0.2, -0.8, 12.5 }, { 0.62, -0.22, 13.8 } };
	double f[COUNT];

	(void)state;
	for (size_t c = 0; c < PN_COUNT(curves); c++) {
		struct pn_disorder found;

		for (int i = 0; i < COUNT; i++)
			f[i] = 1 - curves[c].A * pow(diameters_A[i] - curves[c].d_c, -curves[c].n);
		assert_int_equal(pn_disorder_fit(&found, diameters_A, f, NULL, COUNT, NULL), PN_OK);
		assert_true(found.converged);
		kit_near(found.critical_diameter_A, curves[c].d_c, 1e-6);
		kit_near(found.A, curves[c].A, 1e-6);
		kit_near(found.n, curves[c].n, 1e-6);
		for (int i = 0; i < COUNT; i++)
			kit_near(pn_disorder_at(&found, diameters_A[i]), f[i], 1e-8);
		assert_true(pn_disorder_at(&found, curves[c].d_c - 1) == 1);
	}
}

static void noise_moves_it_by_its_uncertainty(void **state)
{
	double f[COUNT], sigma[COUNT], sum = 0, sum2 = 0;
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 1, 0);
	for (int turn = 0; turn < 100; turn++) {
		struct pn_disorder found;

		for (int i = 0; i < COUNT; i++) {
			sigma[i] = 0.005;
			f[i] = 1 - 0.4 * pow(diameters_A[i] - 12.5, 0.4) +
			       sigma[i] * pn_rng_gauss(&rng);
		}
		assert_int_equal(pn_disorder_fit(&found, diameters_A, f, sigma, COUNT, NULL),
				 PN_OK);
		double pull =
			(found.critical_diameter_A - 12.5) / found.critical_diameter_uncertainty_A;
		sum += pull;
		sum2 += pull * pull;
	}
	/* standard errors 0.1 and 0.07, and the curve is bent */
	assert_true(fabs(sum / 100) < 0.5);
	assert_true(sqrt(sum2 / 100) > 0.6 && sqrt(sum2 / 100) < 1.4);
}

/* Crystals smaller than d_c are disordered throughout: they do not push d_c below themselves. */
static void smaller_than_critical(void **state)
{
	const double d[] = { 12, 14.1, 13, 15, 16, 18, 20, 22 };
	double f[8], sigma[8];
	struct pn_disorder found;

	(void)state;
	for (int i = 0; i < 8; i++) {
		f[i] = d[i] > 14 ? 1 - 0.3 * pow(d[i] - 14, 0.5) : 1;
		sigma[i] = 0.02;
	}
	for (int told = 0; told < 2; told++) {
		assert_int_equal(pn_disorder_fit(&found, d, f, told ? sigma : NULL, 8, NULL),
				 PN_OK);
		assert_true(found.converged);
		kit_near(found.critical_diameter_A, 14, 1e-6);
		kit_near(found.A, 0.3, 1e-6);
		kit_near(found.n, -0.5, 1e-6);
	}
}

static void three_points_are_met(void **state)
{
	const double d[] = { 19.7, 18.3, 15 }, f[] = { 0.0064, 0.06, 0.4 };
	struct pn_disorder found;

	(void)state;
	assert_int_equal(pn_disorder_fit(&found, d, f, NULL, 3, NULL), PN_OK);
	for (int i = 0; i < 3; i++)
		kit_near(pn_disorder_at(&found, d[i]), f[i], 1e-4);
	assert_true(isnan(found.critical_diameter_uncertainty_A));
}

static void too_little_is_told(void **state)
{
	const double d[] = { 19, 18, 17 }, same[] = { 19, 19, 18 }, f[] = { 0, 0.1, 0.2 };
	const double flat[] = { 0.1, 0.1, 0.1 }, bad[] = { 0, NAN, 1 };
	struct pn_disorder found;
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_disorder_fit(&found, d, f, NULL, 2, &err), PN_EARG);
	assert_int_equal(pn_disorder_fit(&found, same, f, NULL, 3, &err), PN_EARG);
	assert_non_null(strstr(err.text, "2 different diameters"));
	assert_int_equal(pn_disorder_fit(&found, d, flat, NULL, 3, &err), PN_EARG);
	assert_int_equal(pn_disorder_fit(&found, d, bad, NULL, 3, &err), PN_EARG);
	assert_non_null(strstr(err.text, "point 2"));
}

static void rate_of_a_line(void **state)
{
	const double t[] = { 2.56, 8, 16, 25 }, n[] = { 314, 280.4, 233, 178 };
	const double one[] = { 4, 4 };
	struct pn_line line;
	struct pn_error err = { 0 };

	(void)state;
	/* closed form of four points */
	double st = 0, sn = 0, stt = 0, stn = 0, chi2 = 0;
	for (int i = 0; i < 4; i++) {
		st += t[i];
		sn += n[i];
		stt += t[i] * t[i];
		stn += t[i] * n[i];
	}
	double det = 4 * stt - st * st, b = (4 * stn - st * sn) / det, a = (sn - b * st) / 4;
	assert_int_equal(pn_line_fit(&line, t, n, NULL, 4, NULL), PN_OK);
	kit_near(line.b, b, 1e-12);
	kit_near(line.a, a, 1e-12);
	for (int i = 0; i < 4; i++)
		chi2 += pow(a + b * t[i] - n[i], 2);
	kit_near(line.b_uncertainty, sqrt(chi2 / 2 * 4 / det), 1e-9);
	assert_int_equal(pn_line_fit(&line, t, n, NULL, 2, NULL), PN_OK);
	assert_true(isnan(line.b_uncertainty));
	assert_int_equal(pn_line_fit(&line, one, n, NULL, 2, &err), PN_EARG);
	assert_int_equal(pn_line_fit(&line, t, n, NULL, 1, &err), PN_EARG);
	const double wrong[] = { 1, -1, 1, 1 };
	assert_int_equal(pn_line_fit(&line, t, n, wrong, 4, &err), PN_EARG);
	assert_non_null(strstr(err.text, "point 2"));
}

/* Seconds of a clock that began long ago, or x in tiny units: the same line. */
static void line_far_from_the_origin(void **state)
{
	const double t[] = { 0, 8, 16, 26 }, n[] = { 314, 280.4, 233, 178 };
	struct pn_line near, far;
	double x[4];

	(void)state;
	assert_int_equal(pn_line_fit(&near, t, n, NULL, 4, NULL), PN_OK);
	for (double origin = 1e3; origin < 1e15; origin *= 1e3) {
		for (int i = 0; i < 4; i++)
			x[i] = t[i] + origin;
		assert_int_equal(pn_line_fit(&far, x, n, NULL, 4, NULL), PN_OK);
		kit_near(far.b, near.b, 1e-10);
		kit_near(far.b_uncertainty, near.b_uncertainty, 1e-10);
		kit_near(far.a / (near.a - origin * near.b), 1, 1e-10);
		/* the intercept there: variances of a and b, and their covariance -mean(t) var(b)
		 */
		double var_b = near.b_uncertainty * near.b_uncertainty;
		double var_a = near.a_uncertainty * near.a_uncertainty + origin * origin * var_b +
			       2 * origin * 12.5 * var_b;
		kit_near(far.a_uncertainty / sqrt(var_a), 1, 1e-10);
	}
	for (int i = 0; i < 4; i++)
		x[i] = t[i] * 1e-20;
	assert_int_equal(pn_line_fit(&far, x, n, NULL, 4, NULL), PN_OK);
	kit_near(far.b * 1e-20, near.b, 1e-10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(curve_is_found_again),
		cmocka_unit_test(noise_moves_it_by_its_uncertainty),
		cmocka_unit_test(smaller_than_critical),
		cmocka_unit_test(three_points_are_met),
		cmocka_unit_test(too_little_is_told),
		cmocka_unit_test(rate_of_a_line),
		cmocka_unit_test(line_far_from_the_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
