/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Views: unit vectors and rotations that look along them, evenly spread, cells of neighbours. */
#include "perrin/orient/directions.h"

#include "perrin/base/rng.h"
#include "perrin/math/linear.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void test_views_and_rotations(void **state)
{
	struct pn_directions d;

	(void)state;
	assert_int_equal(pn_directions_create(&d, 1250, NULL), PN_OK);
	assert_int_equal(d.count, 1256); /* whole cells */
	assert_int_equal(d.count, d.cells * PN_DIRECTIONS_CELL);
	for (size_t i = 0; i < d.count; i++) {
		double t[3][3], one[3][3];

		assert_true(d.view[i][2] > 0 && fabs(dot(d.view[i], d.view[i]) - 1) < 1e-12);
		assert_true(fabs(pn_matrix3_determinant(d.rotation[i]) - 1) < 1e-12);
		pn_matrix3_transpose(t, d.rotation[i]);
		pn_matrix3_multiply(one, d.rotation[i], t);
		for (int k = 0; k < 9; k++)
			assert_true(fabs(one[k / 3][k % 3] - (k % 4 == 0)) < 1e-12);
		assert_true(fabs(dot(d.rotation[i][2], d.view[i]) - 1) < 1e-12);
	}
	pn_directions_destroy(&d);
}

/* Any direction, or its opposite, has a view about half a spacing away; no two are closer than
 * half a spacing; as many look from any third of the sphere. */
static void test_even(void **state)
{
	struct pn_directions d;
	struct pn_rng rng;
	double farthest = 0, nearest = 0;
	size_t middle = 0;

	(void)state;
	assert_int_equal(pn_directions_create(&d, 1250, NULL), PN_OK);
	assert_true(fabs(d.spacing_deg - 4.05) < 0.01);
	pn_rng_init(&rng, 5, 0);
	for (int n = 0; n < 20000; n++) {
		double v[3] = { pn_rng_gauss(&rng), pn_rng_gauss(&rng), pn_rng_gauss(&rng) };
		double length = sqrt(dot(v, v)), best = 0;

		for (size_t i = 0; i < d.count; i++)
			best = fmax(best, fabs(dot(v, d.view[i])) / length);
		farthest = fmax(farthest, acos(best));
	}
	for (size_t i = 0; i < d.count; i++) {
		middle += fabs(d.view[i][0]) < 1.0 / 3;
		for (size_t j = 0; j < i; j++)
			nearest = fmax(nearest, fabs(dot(d.view[i], d.view[j])));
	}
	assert_true(farthest * 180 / M_PI < 0.95 * d.spacing_deg);
	assert_true(acos(nearest) * 180 / M_PI > 0.5 * d.spacing_deg);
	assert_true(fabs((double)middle / (double)d.count - 1.0 / 3) < 0.01);
	pn_directions_destroy(&d);
}

/* A cell is compact: a disk of 8 views has a radius of 1.6 spacings, a cell twice that at most. */
static void test_cells(void **state)
{
	struct pn_directions d;
	double sum = 0;

	(void)state;
	for (size_t count = 64; count < 12000; count = count * 3 + 5) {
		assert_int_equal(pn_directions_create(&d, count, NULL), PN_OK);
		assert_true(d.radius_deg < 3.5 * d.spacing_deg);
		sum = 0;
		for (size_t i = 0; i < d.count; i++)
			sum += acos(fmin(1, dot(d.view[i], d.center[i / PN_DIRECTIONS_CELL])));
		assert_true(sum / (double)d.count * 180 / M_PI < 1.3 * d.spacing_deg);
		/* the coarse ones are nearer to the middle than the others */
		double coarse = 0;

		for (size_t i = 0; i < d.count; i++)
			if (i % PN_DIRECTIONS_CELL < PN_DIRECTIONS_COARSE)
				coarse += acos(
					fmin(1, dot(d.view[i], d.center[i / PN_DIRECTIONS_CELL])));
		assert_true(coarse / (double)(d.cells * PN_DIRECTIONS_COARSE) <
			    sum / (double)d.count);
		pn_directions_destroy(&d);
	}
}

static void test_bad(void **state)
{
	struct pn_directions d;
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_directions_create(&d, 63, &err), PN_EARG);
	assert_non_null(strstr(err.text, "63 views"));
	assert_int_equal(pn_directions_create(&d, 70000, &err), PN_EARG);
	pn_directions_destroy(&d); /* left empty */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views_and_rotations),
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
