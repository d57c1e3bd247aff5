/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two classes are told apart when there are two, and one class is never cut in half. */
#include "perrin/image/twoclass.h"

#include "perrin/base/rng.h"
#include "perrin/base/status.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

static struct pn_two_class c, copy;

static double log_normal(struct pn_rng *rng, double middle, double sd)
{
	return middle * exp(sd * pn_rng_gauss(rng));
}

static void two_classes_are_found(void **state)
{
	(void)state;
	static const double part[] = { 0.5, 0.1, 0.9 };

	for (size_t p = 0; p < PN_COUNT(part); p++) {
		struct pn_rng rng;
		int wrong = 0;

		pn_rng_init(&rng, 1, p);
		pn_two_class_init(&c, 100, 100); /* a prior that is plainly off */
		for (int i = 0; i < 2000; i++) {
			int high = pn_rng_uniform(&rng) < part[p];
			enum pn_class k =
				pn_two_class_add(&c, log_normal(&rng, high ? 40 : 6, 0.25), NULL);

			wrong += i >= 500 && (k == PN_CLASS_HIGH) != high;
		}
		assert_int_equal(c.bimodal, 1);
		assert_true(c.threshold > 10 && c.threshold < 25);
		assert_float_equal(c.high_part, part[p], 0.04);
		assert_true(wrong <= 3);
	}
}

static void one_class_keeps_the_prior(void **state)
{
	(void)state;
	static const double middle[] = { 5, 40 };

	for (int seed = 0; seed < 20; seed++) {
		for (size_t m = 0; m < PN_COUNT(middle); m++) {
			struct pn_rng rng;
			int high = 0;

			pn_rng_init(&rng, 2, (uint64_t)seed);
			pn_two_class_init(&c, 12, 100);
			for (int i = 0; i < 1000; i++) {
				/* even seeds: maxima of noise, ln(M) + Gumbel; odd: a narrow normal
				 * class */
				double gumbel =
					middle[m] *
					(1 - 0.12 * log(-log(pn_rng_uniform(&rng) + 1e-300)));
				double peak = seed % 2 ? log_normal(&rng, middle[m], 0.15) : gumbel;

				high += pn_two_class_add(&c, peak, NULL) == PN_CLASS_HIGH;
				assert_int_equal(c.bimodal, 0);
			}
			assert_float_equal(c.threshold, 12, 0);
			assert_in_range(high, m ? 990 : 0, m ? 1000 : 10);
		}
	}
}

static void mean_moves_and_state_copies(void **state)
{
	(void)state;
	struct pn_rng rng;
	double mean, again;

	pn_two_class_init(&c, 7, 100);
	for (int i = 1; i <= 250; i++) {
		pn_two_class_add(&c, i, &mean);
		assert_float_equal(mean, i <= 100 ? (i + 1) / 2.0 : i - 49.5, 1e-9);
	}
	memcpy(&copy, &c, sizeof c);
	pn_rng_init(&rng, 3, 0);
	for (int i = 0; i < 500; i++) {
		double peak = log_normal(&rng, i % 2 ? 5 : 60, 0.2);

		assert_int_equal(pn_two_class_add(&c, peak, &mean),
				 pn_two_class_add(&copy, peak, &again));
		assert_true(mean == again);
	}
	assert_memory_equal(&c, &copy, sizeof c);
}

static void bad_peaks_are_no_class(void **state)
{
	(void)state;
	static const double bad[] = { 0, -1, NAN, INFINITY };
	double mean;

	pn_two_class_init(&c, 7, 1);
	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		assert_int_equal(pn_two_class_add(&c, bad[i], &mean), PN_CLASS_NONE);
		assert_float_equal(mean, 0, 0);
	}
	assert_int_equal(c.count, 0);
	assert_int_equal(pn_two_class_add(&c, 1e300, &mean), PN_CLASS_HIGH);
	assert_int_equal(pn_two_class_add(&c, 1e-300, &mean), PN_CLASS_LOW);
	for (int i = 0; i < 300; i++) /* a single value: no spread, no split */
		pn_two_class_add(&c, 3, NULL);
	assert_true(isfinite(c.threshold));
	assert_int_equal(pn_two_class_of(&c, 3), PN_CLASS_LOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_classes_are_found),
		cmocka_unit_test(one_class_keeps_the_prior),
		cmocka_unit_test(mean_moves_and_state_copies),
		cmocka_unit_test(bad_peaks_are_no_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
