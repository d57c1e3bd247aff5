/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The figures of `perrin score` decide what is called good: each against a case done by hand. */
#include "score.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static void auc_is_the_part_of_ordered_pairs(void **state)
{
	(void)state;
	double high[] = { 5, 3, 4 }, low[] = { 1, 3, 2 };

	/* of 9 pairs 8 are in order, and 3 = 3 counts half */
	NEAR(pn_score_auc(high, 3, low, 3), 8.5 / 9);
	NEAR(pn_score_auc(low, 3, high, 3), 0.5 / 9);
	double same[] = { 2, 2 }, too[] = { 2, 2, 2 };
	NEAR(pn_score_auc(same, 2, too, 3), 0.5);
	assert_true(isnan(pn_score_auc(high, 3, low, 0)));
}

static void spacing_is_the_nearest_plane(void **state)
{
	(void)state;
	const double a = 3.9242;

	NEAR(pn_score_spacing_pm(a, 226), 100 * a / sqrt(3));
	NEAR(pn_score_spacing_pm(a, 198), 100 * a / 2);
	NEAR(pn_score_spacing_pm(a, 139), 100 * a / sqrt(8));
	NEAR(pn_score_spacing_pm(a, 50), 100 * a / sqrt(11));
	NEAR(pn_score_spacing_pm(a, 900), 100 * a / sqrt(3));
}

static void tilt_is_that_of_the_nearest_planes(void **state)
{
	(void)state;
	const double half = M_PI / 360, a = 4; /* turns by one degree */
	const double straight[4] = { 1, 0, 0, 0 }, about_x[4] = { cos(half), sin(half), 0, 0 };
	const double skew[4] = { cos(half), sin(half) / sqrt(5), 2 * sin(half) / sqrt(5), 0 };

	/* the beam is along [001]: {200} and {220} are edge on; a turn about x leaves (200) so */
	NEAR(pn_score_tilt(straight, a, 2), 0);
	NEAR(pn_score_tilt(about_x, a, 2), 0);
	/* the beam turns towards (-2 1 0) / sqrt 5: (020) has the smallest part of {200}, and that
	 * of (220) is as small */
	NEAR(pn_score_tilt(skew, a, 2), 20 / a * 2 / sqrt(5) * sin(2 * half));
}

static void centres_are_matched_by_place(void **state)
{
	(void)state;
	struct pn_score_truth truth[] = {
		{ .frame = 1, .particle = 0, .x_px = 10, .y_px = 10 },
		{ .frame = 1, .particle = 1, .x_px = 50, .y_px = 10 },
		{ .frame = 2, .particle = 0, .x_px = 10, .y_px = 10 },
		{ .frame = 4, .particle = 0, .x_px = 10, .y_px = 10 },
	};
	struct pn_score_seen crop[] = {
		{ .frame = 1, .x_px = 53, .y_px = 14 }, /* 5 px from the second */
		{ .frame = 1, .x_px = 11, .y_px = 10 }, /* 1 px from the first */
		{ .frame = 2, .x_px = 90, .y_px = 10 }, /* of nothing */
		{ .frame = 3, .x_px = 10, .y_px = 10 }, /* a frame that has no truth */
		{ .frame = 4, .x_px = 10, .y_px = 12 }, /* the same particle twice */
		{ .frame = 4, .x_px = 10, .y_px = 7 },
	};
	struct pn_score_truths truths = { .item = truth, .count = PN_COUNT(truth) };
	struct pn_score_seens crops = { .item = crop, .count = PN_COUNT(crop) }, none = { 0 };
	struct pn_score_limits limits = { .within_px = 30, .aligned = 0.5, .tilted = 1 };
	struct pn_error err = { 0 };
	struct pn_scores s;

	assert_int_equal(pn_score(&s, &truths, &crops, &none, &limits, &err), PN_OK);
	assert_int_equal(s.frames, 3);
	assert_int_equal(s.truths, 4);
	assert_int_equal(s.found, 3);
	assert_int_equal(s.stray, 2);
	NEAR(s.centre.rms_px, sqrt((25.0 + 1 + 4 + 9) / 4));
	NEAR(s.centre.median_px, 2.5);
	assert_true(isnan(s.spacing.rms) && isnan(s.auc) && isnan(s.aligned.mean_peak));
	assert_int_equal(s.centre.count, 4);
	assert_int_equal(s.lattice.count, 0);

	/* the same as records of crystal, one of them high */
	crop[1].high = 1;
	assert_int_equal(pn_score(&s, &truths, &none, &crops, &limits, &err), PN_OK);
	NEAR(s.lattice.rms_px, sqrt((25.0 + 1 + 4 + 9) / 4));
	assert_int_equal(s.high.count, 1);
	NEAR(s.high.rms_px, 1);
	assert_true(isnan(s.centre.rms_px));
}

static void classes_and_errors(void **state)
{
	(void)state;
	const double d111_pm = 100 * 3.9242 / sqrt(3);
	struct pn_score_truth truth[] = {
		{ .frame = 0, .lattice_A = 3.9242, .diameter_nm = 2, .tilt = 0.1 },
		{ .frame = 1, .lattice_A = 3.9242, .diameter_nm = 2, .tilt = 0.49 },
		{ .frame = 2, .lattice_A = 3.9242, .diameter_nm = 2, .tilt = 1.01 },
		{ .frame = 3, .lattice_A = 3.9242, .diameter_nm = 2, .tilt = 3 },
		{ .frame = 4, .lattice_A = 3.9242, .diameter_nm = 2, .tilt = 0.7 },
	};
	struct pn_score_seen seen[] = {
		{ .frame = 0,
		  .peak = 9,
		  .high = 1,
		  .spacing_pm = d111_pm * 1.005,
		  .diameter_nm = 2.2 },
		{ .frame = 1,
		  .peak = 7,
		  .high = 1,
		  .spacing_pm = d111_pm * 0.98,
		  .diameter_nm = (double)NAN },
		{ .frame = 2, .peak = 8, .high = 0, .spacing_pm = d111_pm * 1.1, .diameter_nm = 1 },
		{ .frame = 3,
		  .peak = 1,
		  .high = 0,
		  .spacing_pm = (double)NAN,
		  .diameter_nm = (double)NAN },
		{ .frame = 4,
		  .peak = 100,
		  .high = 0,
		  .spacing_pm = (double)NAN,
		  .diameter_nm = (double)NAN },
	};
	struct pn_score_truths truths = { .item = truth, .count = PN_COUNT(truth) };
	struct pn_score_seens crystals = { .item = seen, .count = PN_COUNT(seen) }, none = { 0 };
	struct pn_score_limits limits = { .within_px = 30, .aligned = 0.5, .tilted = 1 };
	struct pn_error err = { 0 };
	struct pn_scores s;

	assert_int_equal(pn_score(&s, &truths, &none, &crystals, &limits, &err), PN_OK);
	assert_int_equal(s.aligned.count, 2);
	assert_int_equal(s.aligned.high, 2);
	NEAR(s.aligned.mean_peak, 8);
	assert_int_equal(s.tilted.count, 2);
	assert_int_equal(s.tilted.high, 0);
	NEAR(s.tilted.mean_peak, 4.5);
	NEAR(s.auc, 3.0 / 4);
	assert_int_equal(s.between, 1);
	NEAR(s.explained, 1); /* a bin for each */
	/* what is low is not measured, whatever its record says */
	assert_int_equal(s.spacing.count, 2);
	NEAR(s.spacing.mean, (0.005 - 0.02) / 2);
	NEAR(s.spacing.rms, sqrt((0.005 * 0.005 + 0.02 * 0.02) / 2));
	NEAR(s.spacing.within_1_percent, 0.5);
	assert_int_equal(s.diameter.count, 1);
	NEAR(s.diameter.mean, 0.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(auc_is_the_part_of_ordered_pairs),
		cmocka_unit_test(spacing_is_the_nearest_plane),
		cmocka_unit_test(tilt_is_that_of_the_nearest_planes),
		cmocka_unit_test(centres_are_matched_by_place),
		cmocka_unit_test(classes_and_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
