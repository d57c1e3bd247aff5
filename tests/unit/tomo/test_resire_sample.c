/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RESIRE on its authors' sample: 41 projections of 64 x 64, and the R factors they published. */
#include "perrin/tomo/resire.h"

#include "measured_kit.h"

enum { VOXELS = 64 * 64 * 64 };

static struct kit_series series;

/* mean R1 at iterations 10, 20, ..., 100 of the authors' MATLAB code */
static const double published_r1[10] = { .19006753, .05721385, .03489078, .02446608, .01886709,
					 .01570544, .01380618, .01257238, .01170361, .01104848 };
static const double published_r2[10] = { .17944931, .05855127, .03529245, .02431045, .01852337,
					 .01531577, .01342313, .01221116, .01136531, .01073025 };

static void r_factors_are_the_published_ones(void **state)
{
	float *volume = malloc(VOXELS * sizeof *volume), *truth = kit_truth(VOXELS);
	struct pn_resire_options options;
	struct pn_rfactors history;

	(void)state;
	pn_resire_defaults(&options);
	assert_int_equal(
		pn_resire(volume, &series.box, &series.projections, &options, &history, NULL),
		PN_OK);
	assert_int_equal(history.records, 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(history.iteration[i], 10 * (i + 1));
		/* single precision transforms here: 1e-7 was seen */
		assert_true(fabs(history.r1_mean[i] - published_r1[i]) < 2e-6);
		assert_true(fabs(history.r2_mean[i] - published_r2[i]) < 2e-6);
	}
	assert_true(fabs(kit_l2(volume, truth, VOXELS) - 0.2151) < 1e-4);
	pn_rfactors_free(&history);
	free(truth);
	free(volume);
}

/* A shift of 1e-6 px along the axis changes nothing but the way it is computed. */
static void slices_of_the_whole_transform_give_the_same(void **state)
{
	float *volume = malloc(VOXELS * sizeof *volume);
	struct pn_pose pose[64];
	struct pn_projections shifted = series.projections;
	struct pn_resire_options options;
	struct pn_rfactors history;

	(void)state;
	memcpy(pose, series.pose, shifted.count * sizeof *pose);
	pose[3].shift_px[1] = 1e-6;
	shifted.pose = pose;
	pn_resire_defaults(&options);
	options.iterations = 20;
	assert_int_equal(pn_resire(volume, &series.box, &shifted, &options, &history, NULL), PN_OK);
	for (int i = 0; i < 2; i++)
		assert_true(fabs(history.r1_mean[i] - published_r1[i]) < 1e-5);
	pn_rfactors_free(&history);
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
	struct pn_resire_options options;
	struct pn_error err = { 0 };

	(void)state;
	if (KIT_SANITIZED)
		skip();
	for (int i = 0; i < 128 * 128; i++)
		image[i] = 1;
	pn_pose_euler(&pose, 0, 10, 20);
	pn_resire_defaults(&options);
	rlim_t before = kit_limit_memory(100 << 20);
	int rc = pn_resire(&volume, &(struct pn_box){ 128, 128, 128 }, &p, &options, NULL, &err);

	kit_allow_memory(before);
	assert_int_equal(rc, PN_ENOMEM);
	assert_non_null(strstr(err.text, " bytes"));
	assert_true(volume == 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r_factors_are_the_published_ones),
		cmocka_unit_test(slices_of_the_whole_transform_give_the_same),
		cmocka_unit_test(want_of_memory_is_told),
	};

	if (!kit_series_load(&series, "sim_mg_sample64", "proj.npy"))
		return TESTKIT_SKIP;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	kit_series_free(&series);
	return rc;
}
