/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Missing wedges and Crowther limits that can be told by hand. */
#include "perrin/tomo/coverage.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 60, COLUMNS = 120, MOST = 1500 };

static struct pn_pose pose[MOST];

static size_t tilts(double from, double to, double step)
{
	size_t count = 0;

	for (double a = from; a <= to + 1e-9; a += step)
		pn_pose_tilt(&pose[count++], a);
	return count;
}

static void even_tilts_reach_the_crowther_limit(void **state)
{
	(void)state;
	for (int n = 5; n <= 90; n += 17) {
		const double diameter = 100;
		struct pn_coverage c;
		size_t count = 0;

		for (int i = 0; i < n; i++)
			pn_pose_tilt(&pose[count++], 180.0 * i / n - 77.7);
		assert_int_equal(pn_coverage(&c, NULL, ROWS, COLUMNS, pose, count, diameter, NULL),
				 PN_OK);
		/* half way between two tilts */
		assert_true(fabs(c.gap_deg - 90.0 / n) < 1e-6);
		assert_true(fabs(c.gap_direction[1]) < 1e-6);
		/* the arc for its chord is Crowther's approximation */
		double limit = n / (M_PI * diameter);
		assert_true(c.crowther_per_voxel > limit && c.crowther_per_voxel < 1.02 * limit);
	}
}

static void a_missing_wedge_is_seen(void **state)
{
	float map[ROWS * COLUMNS];
	struct pn_coverage c;
	size_t count = tilts(-70, 70, 0.1);
	int empty = 0;

	(void)state;
	assert_int_equal(pn_coverage(&c, map, ROWS, COLUMNS, pose, count, 64, NULL), PN_OK);
	/* the beam of no tilt is farthest, 20 degrees from the planes of +-70 */
	assert_true(fabs(c.gap_deg - 20) < 1e-6);
	assert_true(fabs(fabs(c.gap_direction[2]) - 1) < 1e-9);
	/* 40 of 180 degrees, less what the two last planes reach: 1/64 rad at the limit, more
	 * inside */
	assert_true(c.uncovered < 40.0 / 180 && c.uncovered > 40.0 / 180 - 0.05);
	for (int i = 0; i < ROWS * COLUMNS; i++)
		empty += map[i] == 0;
	assert_true(fabs((double)empty / (ROWS * COLUMNS) - 40.0 / 180) < 0.03);
	/* directions around x are in the middle of the planes: 2/64 rad at 0.1 degree each */
	double middle = map[(ROWS - 1) * COLUMNS];
	assert_true(fabs(middle - 2.0 / 64 / (0.1 * M_PI / 180)) < 3);
	/* the tilt axis is in all of them */
	double axis = map[(ROWS - 1) * COLUMNS + COLUMNS / 4];
	assert_true(axis > 10 * middle);
}

/* The whole map by the angle to each plane. */
static void map_counts_planes(void **state)
{
	enum { R = 16, C = 24, COUNT = 40 };
	const double diameter = 9;
	float map[R * C];
	struct pn_coverage c;

	(void)state;
	for (int k = 0; k < COUNT; k++)
		pn_pose_euler(&pose[k], 37.0 * k, 11.0 * k, 5.0 * k);
	assert_int_equal(pn_coverage(&c, map, R, C, pose, COUNT, diameter, NULL), PN_OK);
	for (int i = 0; i < R * C; i++) {
		double t = acos(1 - (i / C + 0.5) / R), a = 2 * M_PI * (i % C + 0.5) / C;
		int planes = 0;

		for (int k = 0; k < COUNT; k++) {
			const double *n = pose[k].rotation[2];
			double along =
				n[0] * cos(a) * sin(t) + n[1] * sin(a) * sin(t) + n[2] * cos(t);

			planes += 0.5 * fabs(along) <= 1 / (2 * diameter);
		}
		assert_true(map[i] == planes);
	}
}

static void enough_tells_so(void **state)
{
	struct pn_coverage c;
	size_t count = tilts(-90, 89, 1);

	(void)state;
	assert_int_equal(pn_coverage(&c, NULL, ROWS, COLUMNS, pose, count, 20, NULL), PN_OK);
	assert_true(c.uncovered == 0 && c.crowther_per_voxel == 0.5);
	/* one projection: nothing but its plane */
	assert_int_equal(pn_coverage(&c, NULL, ROWS, COLUMNS, pose, 1, 1000, NULL), PN_OK);
	assert_true(fabs(c.gap_deg - 90) < 1e-3 && c.uncovered > 0.99);
}

static void bytes_do_not_depend_on_threads(void **state)
{
	const int most = omp_get_max_threads();
	static float map[3][ROWS * COLUMNS];
	struct pn_coverage c[3];
	size_t count = tilts(-60, 64, 3.1);

	(void)state;
	memset(c, 0, sizeof c);
	for (int t = 0; t < 3; t++) {
		omp_set_num_threads(t + 1);
		assert_int_equal(pn_coverage(&c[t], map[t], ROWS, COLUMNS, pose, count, 50, NULL),
				 PN_OK);
		assert_memory_equal(&c[0], &c[t], sizeof c[0]);
		assert_memory_equal(map[0], map[t], sizeof map[0]);
	}
	omp_set_num_threads(most);
}

static void bad_input_is_told(void **state)
{
	struct pn_error err = { 0 };
	struct pn_coverage c;

	(void)state;
	tilts(0, 10, 1);
	assert_int_equal(pn_coverage(&c, NULL, ROWS, COLUMNS, pose, 0, 50, &err), PN_EARG);
	assert_int_equal(pn_coverage(&c, NULL, 8, COLUMNS, pose, 5, 50, &err), PN_EARG);
	assert_int_equal(pn_coverage(&c, NULL, ROWS, COLUMNS, pose, 5, 0.5, &err), PN_EARG);
	assert_int_equal(pn_coverage(&c, NULL, ROWS, COLUMNS, pose, 5, NAN, &err), PN_EARG);
	pose[3].rotation[0][0] = 7;
	assert_int_equal(pn_coverage(&c, NULL, ROWS, COLUMNS, pose, 5, 50, &err), PN_EARG);
	assert_non_null(strstr(err.text, "projection 3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(even_tilts_reach_the_crowther_limit),
		cmocka_unit_test(a_missing_wedge_is_seen),
		cmocka_unit_test(map_counts_planes),
		cmocka_unit_test(enough_tells_so),
		cmocka_unit_test(bytes_do_not_depend_on_threads),
		cmocka_unit_test(bad_input_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
