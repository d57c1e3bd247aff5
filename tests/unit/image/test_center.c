/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The correction is the optimal filter of the errors it was made for, shrugs outliers off, and fades. */
#include "perrin/image/center.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>

/* rms per axis of what is left of an AR(1) error of the stated size, measured with a stated peak. */
static double left_over(double peak, int every, int outliers)
{
	struct pn_center center = { 0 };
	struct pn_rng rng;
	double keeps = exp(-1 / 20.0), error[2] = { 0 }, sum2 = 0;
	int counted = 0;

	pn_rng_init(&rng, 4, 0);
	for (int f = 0; f < 40000; f++) {
		double lattice[2];

		for (int i = 0; i < 2; i++) {
			error[i] = keeps * error[i] +
				   sqrt(0.77 * (1 - keeps * keeps)) * pn_rng_gauss(&rng);
			lattice[i] = error[i] + sqrt(5.1 / peak) * pn_rng_gauss(&rng);
		}
		if (outliers && f % 50 == 0)
			lattice[0] += 20;
		pn_center_update(&center, (uint64_t)f, f % every ? NULL : lattice, peak);
		if (f % every)
			continue;
		for (int i = 0; i < 2; i++)
			sum2 += pow(center.offset_A[i] - error[i], 2);
		counted += 2;
	}
	return sqrt(sum2 / counted);
}

/* Variance after the update in the steady state, from the fixed point of the Riccati equation. */
static double riccati(double peak, int every)
{
	double keeps2 = exp(-2.0 * every / 20), noise = 5.1 / peak, p = 0.77;

	for (int i = 0; i < 1000; i++) {
		double before = keeps2 * p + (1 - keeps2) * 0.77;

		p = before * noise / (before + noise);
	}
	return sqrt(p);
}

static void it_is_the_optimal_filter(void **state)
{
	(void)state;
	/* the guard against outliers also touches the tails of a normal law: 3 per cent */
	assert_true(fabs(left_over(20, 1, 0) / riccati(20, 1) - 1) < 0.03);
	assert_true(fabs(left_over(60, 1, 0) / riccati(60, 1) - 1) < 0.03);
	assert_true(fabs(left_over(20, 7, 0) / riccati(20, 7) - 1) < 0.03);
	assert_true(riccati(20, 1) < 0.4); /* of 0.88 */
}

static void outliers_do_little(void **state)
{
	(void)state;
	assert_true(left_over(20, 1, 1) < 1.2 * riccati(20, 1));
}

static void it_fades_without_a_lattice(void **state)
{
	(void)state;
	struct pn_center center = { 0 };
	const double seen[2] = { 1, -1 };

	pn_center_update(&center, 10, seen, 50);
	double before = center.offset_A[0];

	assert_true(before > 0.5 && center.offset_A[1] == -before);
	pn_center_update(&center, 30, NULL, 0);
	assert_true(fabs(center.offset_A[0] / before - exp(-1)) < 1e-12);
	pn_center_update(&center, 1000, NULL, 0);
	assert_true(fabs(center.variance_A2 - 0.77) < 1e-6);
	pn_center_update(&center, 1001, seen, 0); /* a peak of nothing tells nothing */
	assert_true(fabs(center.offset_A[0]) < 1e-6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_the_optimal_filter),
		cmocka_unit_test(outliers_do_little),
		cmocka_unit_test(it_fades_without_a_lattice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
