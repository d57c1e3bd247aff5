/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/denoise/train.h"
#include "testkit.h"

#include <math.h>

static int level_of(const double *values, int count, int window, double gain)
{
	struct pn_level level = { 0 };

	for (int i = 0; i < count; i++)
		pn_level_add(&level, values[i]);
	return pn_level_reached(&level, window, gain);
}

/* Without noise only the gain counts: blocks of 10 and 10 (1 - drop). */
static void the_gain_is_relative(void **state)
{
	(void)state;
	for (int scale = 1; scale <= 1000; scale *= 10)
		for (int window = 1; window <= 8; window++) {
			double a[16], b[16];

			for (int i = 0; i < 2 * window; i++) {
				a[i] = i < window ? 10 * scale : 9.8 * scale;
				b[i] = i < window ? 10 * scale : 9.96 * scale;
			}
			assert_false(level_of(a, 2 * window, window, 0.01));
			assert_true(level_of(b, 2 * window, window, 0.01));
			assert_false(level_of(a, 2 * window - 1, window, 0.01));
		}
}

static void a_curve_that_falls_has_not_levelled(void **state)
{
	double line[40], decay[200];

	(void)state;
	for (int i = 0; i < 40; i++)
		line[i] = 2 - 0.02 * i;
	assert_false(level_of(line, 40, 10, 0.01));
	for (int i = 0; i < 200; i++)
		decay[i] = 0.5 + exp(-i / 20.);
	assert_false(level_of(decay, 40, 10, 0.01));
	assert_true(level_of(decay, 200, 10, 0.01));
}

static void a_curve_that_rises_has_levelled(void **state)
{
	double values[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		values[i] = 1 + 0.1 * i;
	assert_true(level_of(values, 20, 10, 0.001));
}

/* A small drop is told from none only where the noise allows: the standard error of the difference
 * of two means of 16 values of s.d. 0.1 is 0.035, and 0.3 is far above that, 0.01 far below. */
static void noise_is_allowed_for(void **state)
{
	int small = 0, large = 0, none = 0;

	(void)state;
	for (int trial = 0; trial < 200; trial++) {
		double a[32], b[32], c[32];
		struct pn_rng rng;

		pn_rng_init(&rng, 3, (uint64_t)trial);
		for (int i = 0; i < 32; i++) {
			double noise = 0.1 * pn_rng_gauss(&rng);

			a[i] = 1 + noise - (i < 16 ? 0 : 0.01);
			b[i] = 1 + noise - (i < 16 ? 0 : 0.3);
			c[i] = 1 + noise;
		}
		small += level_of(a, 32, 16, 0);
		large += level_of(b, 32, 16, 0);
		none += level_of(c, 32, 16, 0);
	}
	/* a normal deviate is below +1 s.d. in 84 of 100 cases */
	assert_in_range(none, 150, 186);
	assert_in_range(small, 120, 175);
	assert_int_equal(large, 0);
}

/* Values long gone do not count, also after the ring has gone round. */
static void only_the_last_values_count(void **state)
{
	struct pn_level level = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		pn_level_add(&level, 1e6 - i * 900.);
	assert_false(pn_level_reached(&level, PN_LEVEL_MAX, 0.001));
	for (int i = 0; i < 2 * PN_LEVEL_MAX; i++)
		pn_level_add(&level, 3);
	assert_true(pn_level_reached(&level, PN_LEVEL_MAX, 0.001));
	assert_int_equal(level.count, 1000 + 2 * PN_LEVEL_MAX);
	for (int i = 0; i < 8; i++)
		pn_level_add(&level, 2);
	assert_false(pn_level_reached(&level, 8, 0.1));
}

static void what_cannot_be_judged_has_not_levelled(void **state)
{
	struct pn_level level = { 0 };

	(void)state;
	assert_false(pn_level_reached(&level, 1, 0.1));
	for (int i = 0; i < 4 * PN_LEVEL_MAX; i++)
		pn_level_add(&level, 1);
	assert_false(pn_level_reached(&level, 0, 0.1));
	assert_false(pn_level_reached(&level, -3, 0.1));
	assert_false(pn_level_reached(&level, PN_LEVEL_MAX + 1, 0.1));
	assert_true(pn_level_reached(&level, 4, 0.1));
	pn_level_add(&level, NAN);
	assert_false(pn_level_reached(&level, 4, 0.1));
	for (int i = 0; i < 8; i++)
		pn_level_add(&level, 1);
	assert_true(pn_level_reached(&level, 4, 0.1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_gain_is_relative),
		cmocka_unit_test(a_curve_that_falls_has_not_levelled),
		cmocka_unit_test(a_curve_that_rises_has_levelled),
		cmocka_unit_test(noise_is_allowed_for),
		cmocka_unit_test(only_the_last_values_count),
		cmocka_unit_test(what_cannot_be_judged_has_not_levelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
