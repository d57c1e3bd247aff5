/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the held-out tilts stop on the sample of RESIRE's authors, with noise. */
#include "noise_kit.h"

static struct kit_series sample;

/* Noise of 15 % of the images' root mean square: R falls, the error to the truth does not. */
static void stops_where_the_error_turns(void **state)
{
	float *truth = kit_truth(pn_box_voxels(&sample.box));

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct noise_course c = noise_course(&sample.projections, truth, 0.15, seed);

		assert_true(c.validated < 1.03 * c.least);
		assert_true(c.last > 1.05 * c.least);
		assert_true(c.misfit_last < 0.99 * c.misfit_least);
	}
	free(truth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_where_the_error_turns),
	};

	if (!kit_series_load(&sample, "sim_mg_sample64", "proj.npy"))
		return TESTKIT_SKIP;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	kit_series_free(&sample);
	return rc;
}
