/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The generator is the published Philox, and its deviates have the moments they claim. */
#include "perrin/base/rng.h"

#include "testkit.h"

#include <math.h>

/* Known-answer vectors of Philox4x32-10 published with Random123 (kat_vectors). */
static void philox_known_answers(void **state)
{
	(void)state;
	struct pn_rng rng;
	static const uint32_t zero[4] = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };
	static const uint32_t ones[4] = { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd };

	pn_rng_init(&rng, 0, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pn_rng_u32(&rng), zero[i]);
	pn_rng_init(&rng, UINT64_MAX, UINT64_MAX);
	rng.counter[0] = rng.counter[1] = UINT32_MAX;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pn_rng_u32(&rng), ones[i]);
}

static void moments(double (*draw)(struct pn_rng *, double), double arg, double mean, double var)
{
	struct pn_rng rng;
	const int n = 400000;
	double sum = 0, sum2 = 0;

	pn_rng_init(&rng, 7, 3);
	for (int i = 0; i < n; i++) {
		double x = draw(&rng, arg);

		sum += x;
		sum2 += x * x;
	}
	double m = sum / n, v = sum2 / n - m * m;
	/* five standard errors of the mean; of the variance, with the kurtosis of a normal law */
	assert_true(fabs(m - mean) < 5 * sqrt(var / n));
	assert_true(fabs(v - var) < 5 * var * sqrt((2.0 + 1.0 / fmax(mean, 0.1)) / n));
}

static double draw_gauss(struct pn_rng *rng, double arg)
{
	(void)arg;
	return pn_rng_gauss(rng);
}

static double draw_poisson(struct pn_rng *rng, double arg)
{
	return pn_rng_poisson(rng, arg);
}

static void deviates_have_their_moments(void **state)
{
	(void)state;
	static const double lambdas[] = { 0.01, 0.5, 3, 9.99, 10, 37, 1000, 1e6 };

	moments(draw_gauss, 0, 0, 1);
	for (size_t i = 0; i < sizeof lambdas / sizeof *lambdas; i++)
		moments(draw_poisson, lambdas[i], lambdas[i], lambdas[i]);
}

static void below_is_in_range_and_even(void **state)
{
	(void)state;
	struct pn_rng rng;
	unsigned count[7] = { 0 };

	pn_rng_init(&rng, 1, 1);
	for (int i = 0; i < 70000; i++)
		count[pn_rng_below(&rng, 7)]++;
	for (int i = 0; i < 7; i++)
		assert_in_range(count[i], 9500, 10500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(philox_known_answers),
		cmocka_unit_test(deviates_have_their_moments),
		cmocka_unit_test(below_is_in_range_and_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
