/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quantiles of the latency histogram are right to its stated 1/16. */
#include "perrin/base/hist.h"

#include "testkit.h"

static void quantiles_are_exact_to_a_sixteenth(void **state)
{
	(void)state;
	static struct pn_hist hist;
	static const double qs[] = { 0.001, 0.25, 0.5, 0.99, 1.0 };

	assert_int_equal(pn_hist_quantile(&hist, 0.5), 0);
	for (int64_t ns = 1; ns <= 1000000; ns++)
		pn_hist_add(&hist, ns);
	for (unsigned i = 0; i < 5; i++) {
		double exact = 1e6 * qs[i], got = (double)pn_hist_quantile(&hist, qs[i]);

		assert_true(got >= exact && got <= exact * (1 + 1.0 / 16));
	}
	assert_int_equal(hist.max_ns, 1000000);
}

static void extremes_are_kept(void **state)
{
	(void)state;
	static struct pn_hist hist;

	pn_hist_add(&hist, -5);
	assert_int_equal(pn_hist_quantile(&hist, 1.0), 0);
	pn_hist_add(&hist, INT64_MAX);
	assert_true(pn_hist_quantile(&hist, 1.0) > 0);
	assert_true(hist.max_ns == INT64_MAX);
	assert_int_equal(hist.count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_exact_to_a_sixteenth),
		cmocka_unit_test(extremes_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
