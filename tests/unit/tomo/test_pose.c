/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The geometry everything else in this folder rests on, against its words and against quaternions.
 */
#include "perrin/tomo/pose.h"

#include "perrin/base/rng.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

static double off(const double a[3][3], const double b[3][3])
{
	double worst = 0;

	for (int i = 0; i < 9; i++)
		worst = fmax(worst, fabs(a[i / 3][i % 3] - b[i / 3][i % 3]));
	return worst;
}

static void tilt_is_the_written_one(void **state)
{
	(void)state;
	for (double deg = -400; deg <= 400; deg += 7.3) {
		double a = deg * M_PI / 180;
		const double words[3][3] = { { cos(a), 0, -sin(a) },
					     { 0, 1, 0 },
					     { sin(a), 0, cos(a) } };
		struct pn_pose pose, euler;

		memset(&pose, 0xff, sizeof pose);
		pn_pose_tilt(&pose, deg);
		pn_pose_euler(&euler, 0, deg, 0);
		assert_true(off(pose.rotation, words) < 1e-14);
		assert_memory_equal(&pose, &euler, sizeof pose);
		assert_true(pose.shift_px[0] == 0 && pose.shift_px[1] == 0);
		assert_true(pn_poses_single_axis(&pose, 1));
	}
}

static void quarter_turns_are_exact(void **state)
{
	static const double cosine[4] = { 1, 0, -1, 0 };

	(void)state;
	for (int q = -9; q <= 9; q++) {
		struct pn_pose pose;
		int k = ((q % 4) + 4) % 4;

		pn_pose_tilt(&pose, 90.0 * q);
		assert_true(pose.rotation[0][0] == cosine[k] && pose.rotation[2][2] == cosine[k]);
		assert_true(pose.rotation[2][0] == cosine[(k + 3) % 4]);
		assert_true(pose.rotation[0][2] == -cosine[(k + 3) % 4]);
	}
}

/* The three turns one after another, each made of its axis and angle. */
static void euler_is_three_turns(void **state)
{
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 1, 0);
	for (int i = 0; i < 1000; i++) {
		double angle[3], q[3][4], product[4], r[3][3], back[3];
		struct pn_pose pose, again;

		for (int j = 0; j < 3; j++) {
			double v[3] = { 0 };

			angle[j] = (pn_rng_uniform(&rng) - 0.5) * (j == 1 ? 179.9 : 359.9);
			v[2 - j] = angle[j] * M_PI / 180;
			pn_quaternion_from_vector(q[j], v);
		}
		pn_quaternion_multiply(product, q[0], q[1]);
		pn_quaternion_multiply(product, product, q[2]);
		pn_quaternion_to_matrix(r, product);
		pn_matrix3_transpose(r, r);
		pn_pose_euler(&pose, angle[0], angle[1], angle[2]);
		assert_true(off(pose.rotation, r) < 1e-14);
		pn_pose_to_euler(&pose, &back[0], &back[1], &back[2]);
		for (int j = 0; j < 3; j++)
			assert_true(fabs(back[j] - angle[j]) < 1e-9);
		pn_pose_euler(&again, back[0], back[1], back[2]);
		assert_true(off(pose.rotation, again.rotation) < 1e-14);
		assert_false(pn_poses_single_axis(&pose, 1));
	}
}

static void gimbal_lock_has_no_psi(void **state)
{
	(void)state;
	for (int sign = -1; sign <= 1; sign += 2)
		for (double phi = -170; phi < 180; phi += 17) {
			struct pn_pose pose, again;
			double a, b, c;

			pn_pose_euler(&pose, phi, sign * 90, 33);
			pn_pose_to_euler(&pose, &a, &b, &c);
			assert_true(c == 0 && fabs(b - sign * 90) < 1e-9);
			/* only phi - psi (at +90) or phi + psi is defined */
			assert_true(fabs(remainder(a - (phi - sign * 33), 360)) < 1e-9);
			pn_pose_euler(&again, a, b, c);
			assert_true(off(pose.rotation, again.rotation) < 1e-12);
		}
}

static void single_axis_is_told(void **state)
{
	struct pn_pose pose[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		pn_pose_tilt(&pose[i], 20.0 * i);
	pose[1].shift_px[1] = 3.5;
	assert_true(pn_poses_single_axis(pose, 3));
	assert_true(pn_poses_single_axis(pose, 0));
	pn_pose_euler(&pose[2], 0, 40, 1e-9);
	assert_false(pn_poses_single_axis(pose, 3));
	assert_true(pn_poses_single_axis(pose, 2));
	pose[0].rotation[1][1] = NAN;
	assert_false(pn_poses_single_axis(pose, 2));
	/* the other way up keeps the axis but not y */
	pn_pose_euler(&pose[0], 180, 0, 0);
	assert_false(pn_poses_single_axis(pose, 1));
}

static void refused(const struct pn_projections *p, const char *words)
{
	struct pn_error err = { 0 };

	assert_int_equal(pn_projections_check(p, &err), PN_EARG);
	assert_non_null(strstr(err.text, words));
	assert_int_equal(pn_projections_check(p, NULL), PN_EARG);
}

static void bad_projections_are_told(void **state)
{
	enum { COUNT = 3, NY = 4, NX = 5 };
	float image[COUNT * NY * NX] = { 0 };
	struct pn_pose pose[COUNT];
	struct pn_projections p = { COUNT, NY, NX, image, pose };
	struct pn_box box = { 3, 4, 5 };

	(void)state;
	assert_int_equal(pn_box_voxels(&box), 60);
	for (int i = 0; i < COUNT; i++) {
		pn_pose_euler(&pose[i], 1 + i, 2, 3);
		image[i * NY * NX + 7] = -1e-30f;
	}
	assert_int_equal(pn_projections_check(&p, NULL), PN_OK);
	p.count = 0;
	refused(&p, "no projections");
	p.count = COUNT;
	p.nx = 0;
	refused(&p, "4 x 0");
	p.nx = NX;
	image[NY * NX + 13] = INFINITY;
	refused(&p, "projection 1: pixel 2 3");
	image[NY * NX + 13] = -NAN;
	refused(&p, "projection 1: pixel 2 3");
	image[NY * NX + 13] = 0;
	image[2 * NY * NX + 7] = -0.0f;
	refused(&p, "projection 2: all pixels are 0");
	image[2 * NY * NX + 7] = 1;
	pose[2].rotation[0][1] += 1e-5;
	refused(&p, "projection 2: not a rotation");
	pn_pose_tilt(&pose[2], 10);
	for (int i = 0; i < 3; i++)
		pose[2].rotation[i][0] *= -1;
	refused(&p, "det R = -1");
	pose[2].rotation[0][0] = NAN;
	refused(&p, "projection 2: not a rotation");
	pn_pose_tilt(&pose[2], 10);
	pose[2].shift_px[1] = -INFINITY;
	refused(&p, "projection 2: its shift");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tilt_is_the_written_one),
		cmocka_unit_test(quarter_turns_are_exact),
		cmocka_unit_test(euler_is_three_turns),
		cmocka_unit_test(gimbal_lock_has_no_psi),
		cmocka_unit_test(single_axis_is_told),
		cmocka_unit_test(bad_projections_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
