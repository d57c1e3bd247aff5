/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GENFIRE on tilt series its authors' code was run on. */
#include "perrin/tomo/genfire.h"

#include "measured_kit.h"

enum { VOXELS = 64 * 64 * 64 };

static struct kit_series sample;

/* L2 error of the reconstruction against the truth */
static double error_of(double radius_px, double oversampling, enum pn_genfire_schedule schedule)
{
	float *volume = malloc(VOXELS * sizeof *volume), *truth = kit_truth(VOXELS);
	struct pn_genfire_options options;

	pn_genfire_defaults(&options);
	options.radius_px = radius_px;
	options.oversampling = oversampling;
	options.schedule = schedule;
	assert_int_equal(pn_genfire(volume, &sample.box, &sample.projections, &options, NULL, NULL),
			 PN_OK);
	double l2 = kit_l2(volume, truth, VOXELS);

	free(truth);
	free(volume);
	return l2;
}

/* What GENFIRE-Python 1.1.11 gives in 100 iterations. */
static void errors_are_those_of_the_authors_code(void **state)
{
	(void)state;
	assert_true(fabs(error_of(0.7, 3, PN_GENFIRE_EXTENSION_SUPPRESSION) - 0.1922) < 2e-4);
	assert_true(fabs(error_of(0.7, 3, PN_GENFIRE_ALL) - 0.1892) < 2e-4);
	assert_true(fabs(error_of(0.7, 2, PN_GENFIRE_EXTENSION_SUPPRESSION) - 0.2054) < 2e-4);
}

/* Coefficients that were not enforced are predicted, if less well than the others. */
static void withheld_coefficients_are_predicted(void **state)
{
	float *volume = malloc(VOXELS * sizeof *volume);
	struct pn_genfire_options options;
	struct pn_genfire_history history;

	(void)state;
	pn_genfire_defaults(&options);
	options.oversampling = 2;
	options.schedule = PN_GENFIRE_ALL;
	options.iterations = 20;
	options.free_fraction = 0.05;
	assert_int_equal(
		pn_genfire(volume, &sample.box, &sample.projections, &options, &history, NULL),
		PN_OK);
	assert_true(fabs((double)history.withheld / (double)history.measured - 0.05) < 0.001);
	assert_true(history.r_free[0] == 1 && history.r_free[19] < 0.13);
	assert_true(history.r_free[19] > 1.1 * history.r_magnitude[19]);
	pn_genfire_history_free(&history);
	free(volume);
}

/* 321 atoms, multislice: GENFIRE's error is known to be about 19 %. */
static void dynamical_scattering_leaves_its_error(void **state)
{
	struct kit_series series;
	struct pn_genfire_options options;
	struct pn_genfire_history history;

	(void)state;
	if (!kit_series_load(&series, "sim_FePt321_prismatic", "proj_FePt.npy"))
		skip();
	float *volume = malloc(pn_box_voxels(&series.box) * sizeof *volume);

	pn_genfire_defaults(&options);
	options.radius_px = 0.5;
	options.oversampling = 2;
	options.schedule = PN_GENFIRE_ALL;
	options.iterations = 50;
	assert_int_equal(
		pn_genfire(volume, &series.box, &series.projections, &options, &history, NULL),
		PN_OK);
	assert_int_equal(history.best, 50);
	assert_true(fabs(history.r_magnitude[49] - 0.19) < 0.01);
	assert_true(history.r_complex[49] > history.r_magnitude[49]);
	pn_genfire_history_free(&history);
	kit_series_free(&series);
	free(volume);
}

/* 128^3 voxels on a grid of 384^3: half a spectrum is 227 MB. */
static void want_of_memory_is_told(void **state)
{
	static float image[128 * 128];
	float volume = 42;
	struct pn_pose pose;
	struct pn_projections p = {
		.count = 1, .ny = 128, .nx = 128, .image = image, .pose = &pose
	};
	struct pn_genfire_options options;
	struct pn_error err = { 0 };

	(void)state;
	if (KIT_SANITIZED)
		skip();
	for (int i = 0; i < 128 * 128; i++)
		image[i] = 1;
	pn_pose_euler(&pose, 0, 10, 20);
	pn_genfire_defaults(&options);
	rlim_t before = kit_limit_memory(100 << 20);
	int rc = pn_genfire(&volume, &(struct pn_box){ 128, 128, 128 }, &p, &options, NULL, &err);

	kit_allow_memory(before);
	assert_int_equal(rc, PN_ENOMEM);
	assert_non_null(strstr(err.text, " bytes"));
	assert_true(volume == 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_those_of_the_authors_code),
		cmocka_unit_test(withheld_coefficients_are_predicted),
		cmocka_unit_test(dynamical_scattering_leaves_its_error),
		cmocka_unit_test(want_of_memory_is_told),
	};

	if (!kit_series_load(&sample, "sim_mg_sample64", "proj.npy"))
		return TESTKIT_SKIP;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	kit_series_free(&sample);
	return rc;
}
