/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The advise_tilts stage: where to tilt next, and tilts that fit no longer. */
#include "rig.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_advise_tilts;

enum { TILTS, VOLUMES };

static void push_tilt(struct rig *rig, uint64_t tilt, double theta_deg, double r1_new)
{
	static const float pixel[4], voxel[8];
	const double nan = (double)NAN;
	const struct pn_tilts_head head = { .tilt = tilt,
					    .theta_deg = theta_deg,
					    .state = PN_TILT_ALIGNED,
					    .frames = 1,
					    .ny = 2,
					    .nx = 2,
					    .pixel_pm = 35,
					    .dose_e_per_A2 = nan,
					    .drift_px = nan,
					    .gain = nan,
					    .readout = nan,
					    .background = nan,
					    .axis_deg = nan,
					    .shift_x_px = nan,
					    .shift_y_px = nan,
					    .correlation = nan };
	const struct pn_volumes_head volume = { .volume = tilt + 1,
						.images = tilt + 1,
						.misfit = nan,
						.r1 = nan,
						.r1_new = r1_new,
						.held_out = nan,
						.dose_e_per_A2 = nan,
						.resolution_A = nan,
						.scf = nan,
						.far = nan,
						.empty = nan,
						.nz = 2,
						.ny = 2,
						.nx = 2,
						.pixel_pm = 35 };

	assert_int_equal(rig_push(rig, TILTS, &head, (int64_t)tilt, pixel, sizeof pixel), PN_OK);
	assert_int_equal(rig_push(rig, VOLUMES, &volume, (int64_t)tilt, voxel, sizeof voxel),
			 PN_OK);
}

static void where_to_tilt_next(void **state)
{
	(void)state;
	static struct rig rig;
	double theta = 0;

	rig_open(&rig, &pn_stage_advise_tilts, NULL);
	/* whoever follows the advice covers the range evenly */
	for (uint64_t k = 0; k < 33; k++) {
		push_tilt(&rig, k, theta, 0.1);
		const struct pn_advice_head *head = rig.out[rig.out_count - 1].head;

		assert_int_equal(rig.out_count, k + 1);
		assert_int_equal(head->verdict, PN_VERDICT_CONTINUE);
		assert_true(strstr(head->reasons, "Next tilt "));
		theta = head->next_theta_deg;
		if (k < 2)
			assert_true(fabs(theta) > 30);
		assert_true(fabs(theta) <= 75);
	}
	const struct pn_advice_head *head = rig.out[rig.out_count - 1].head;

	assert_true(strstr(head->reasons, "33 tilts"));
	double to_deg = atof(strstr(head->reasons, " to ") + 4);
	assert_true(fabs(to_deg - head->next_theta_deg) > 1.5 &&
		    fabs(to_deg - head->next_theta_deg) < 5);
	rig_close(&rig);
}

static void tilts_that_fit_no_longer(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_advise_tilts, NULL);
	rig_open(&cut, &pn_stage_advise_tilts, NULL);
	cut.refuse_every = 2;
	for (uint64_t k = 0; k < 14; k++) {
		const double r = k < 12 ? 0.1 : 0.2;

		push_tilt(&whole, k, -60 + 8 * (double)k, r);
		push_tilt(&cut, k, -60 + 8 * (double)k, r);
		rig_reopen(&cut, NULL);
		const struct pn_advice_head *head = whole.out[whole.out_count - 1].head;

		assert_int_equal(head->verdict, k < 13 ? PN_VERDICT_CONTINUE : PN_VERDICT_CHANGED);
	}
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_to_tilt_next),
		cmocka_unit_test(tilts_that_fit_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
