/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Particles turn and wander as the theory of Brownian motion says, however the time is cut. */
#include "perrin/math/rotation.h"
#include "perrin/twin/brownian.h"

#include "testkit.h"

#include <math.h>
#include <string.h>

static double norm4(const double q[4])
{
	return sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
}

static void short_steps_have_the_squared_angle(void **state)
{
	(void)state;
	enum { N = 40000 };
	struct pn_brownian_params p = { .rotation_rad2_per_s = 0.4 };
	struct pn_placement pose;
	struct pn_rng rng;
	double dt = 2.5e-3, square = 0;

	pn_rng_init(&rng, 1, 0);
	pn_placement_random(&pose, &rng);
	for (int n = 0; n < N; n++) {
		double before[4];

		memcpy(before, pose.quaternion, sizeof before);
		pn_brownian_step(&pose, &p, dt, &rng);
		double angle = pn_quaternion_angle_rad(before, pose.quaternion);

		square += angle * angle / N;
		assert_true(fabs(norm4(pose.quaternion) - 1) < 1e-14);
	}
	/* a sum of three squares of normal deviates: relative variance 2/3 */
	assert_true(fabs(square / (6 * p.rotation_rad2_per_s * dt) - 1) < 4.5 * sqrt(2.0 / 3 / N));
}

/*
 * <trace R(t)>/3 = exp(-2 D t), and for the second harmonic of one axis <P2(R33)> = exp(-6 D t),
 * whether the time is one step or many.
 */
static void orientation_decays_as_debye(void **state)
{
	(void)state;
	enum { N = 30000 };
	struct pn_brownian_params p = { .rotation_rad2_per_s = 1 };
	static const struct {
		double t_s;
		int steps;
	} rows[] = { { 0.05, 1 }, { 0.2, 1 }, { 0.2, 7 }, { 0.6, 1 }, { 25, 1 } };
	struct pn_rng rng;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		double first = 0, second = 0, t = rows[i].t_s;

		pn_rng_init(&rng, 2, i);
		for (int n = 0; n < N; n++) {
			struct pn_placement pose;
			double r[3][3];

			pn_placement_identity(&pose);
			for (int s = 0; s < rows[i].steps; s++)
				pn_brownian_step(&pose, &p, t / rows[i].steps, &rng);
			pn_placement_rotation(&pose, r);
			first += (r[0][0] + r[1][1] + r[2][2]) / 3 / N;
			second += (1.5 * r[2][2] * r[2][2] - 0.5) / N;
		}
		/* standard deviations of one sample are at most 1/3 and 1/sqrt 5, plus the decay's
		 * share */
		assert_true(fabs(first - exp(-2 * t)) < 4.5 * 0.34 / sqrt(N) + 0.001);
		assert_true(fabs(second - exp(-6 * t)) < 4.5 * 0.45 / sqrt(N) + 0.001);
	}
}

static void free_displacement_is_einstein(void **state)
{
	(void)state;
	enum { N = 20000 };
	struct pn_brownian_params p = { .translation_A2_per_s = 30 };
	struct pn_rng rng;
	double square[3] = { 0 };

	pn_rng_init(&rng, 3, 0);
	for (int n = 0; n < N; n++) {
		struct pn_placement pose;

		pn_placement_identity(&pose);
		for (int s = 0; s < 4; s++)
			pn_brownian_step(&pose, &p, 0.1, &rng);
		for (int k = 0; k < 3; k++)
			square[k] += pose.center_A[k] * pose.center_A[k] / N;
	}
	for (int k = 0; k < 3; k++)
		assert_true(fabs(square[k] / (2 * 30 * 0.4) - 1) < 4.5 * sqrt(2.0 / N));
}

/* Variance s^2 (1 - exp(-2 k t)) from a start at 0, and correlation exp(-k t) once stationary. */
static void confined_motion_is_ornstein_uhlenbeck(void **state)
{
	(void)state;
	enum { N = 20000 };
	struct pn_brownian_params p = { .translation_A2_per_s = 30,
					.confine_A = 4,
					.z_confine_A = 9 };
	struct pn_rng rng;
	double early[3] = { 0 }, late[3] = { 0 }, both[3] = { 0 }, dt = 0.3;

	pn_rng_init(&rng, 4, 0);
	for (int n = 0; n < N; n++) {
		struct pn_placement pose;
		double before[3];

		pn_placement_identity(&pose);
		for (int s = 0; s < 3; s++)
			pn_brownian_step(&pose, &p, dt / 3, &rng);
		for (int k = 0; k < 3; k++)
			early[k] += pose.center_A[k] * pose.center_A[k] / N;
		pn_brownian_step(&pose, &p, 1000, &rng);
		memcpy(before, pose.center_A, sizeof before);
		pn_brownian_step(&pose, &p, dt, &rng);
		for (int k = 0; k < 3; k++) {
			late[k] += pose.center_A[k] * pose.center_A[k] / N;
			both[k] += pose.center_A[k] * before[k] / N;
		}
	}
	for (int k = 0; k < 3; k++) {
		double s2 = k < 2 ? 16 : 81, decay = exp(-30 / s2 * dt),
		       error = 4.5 * sqrt(2.0 / N);

		assert_true(fabs(early[k] / (s2 * (1 - decay * decay)) - 1) < error);
		assert_true(fabs(late[k] / s2 - 1) < error);
		assert_true(fabs(both[k] / s2 - decay) < error);
	}
}

static void same_seed_same_path(void **state)
{
	(void)state;
	struct pn_brownian_params p;
	struct pn_placement a, b, c;
	struct pn_rng ra, rb, rc;

	pn_params_default(pn_brownian_param_table, &p);
	pn_rng_init(&ra, 5, 1);
	pn_rng_init(&rb, 5, 1);
	pn_rng_init(&rc, 5, 2);
	pn_placement_random(&a, &ra);
	pn_placement_random(&b, &rb);
	pn_placement_random(&c, &rc);
	for (int n = 0; n < 100000; n++) {
		pn_brownian_step(&a, &p, 2.5e-3, &ra);
		pn_brownian_step(&b, &p, 2.5e-3, &rb);
		pn_brownian_step(&c, &p, 2.5e-3, &rc);
	}
	assert_memory_equal(&a, &b, sizeof a);
	assert_memory_not_equal(&a, &c, sizeof a);
	assert_true(fabs(norm4(a.quaternion) - 1) < 1e-14);
}

static void no_diffusion_and_no_time_stand_still(void **state)
{
	(void)state;
	struct pn_brownian_params still = { .confine_A = 3 }, p;
	struct pn_placement pose, before;
	struct pn_rng rng;

	pn_params_default(pn_brownian_param_table, &p);
	pn_rng_init(&rng, 6, 0);
	pn_placement_random(&pose, &rng);
	pose.center_A[1] = 2;
	before = pose;
	pn_brownian_step(&pose, &still, 10, &rng);
	pn_brownian_step(&pose, &p, 0, &rng);
	for (int i = 0; i < 4; i++)
		assert_true(fabs(pose.quaternion[i] - before.quaternion[i]) < 1e-15);
	assert_memory_equal(pose.center_A, before.center_A, sizeof before.center_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_steps_have_the_squared_angle),
		cmocka_unit_test(orientation_decays_as_debye),
		cmocka_unit_test(free_displacement_is_einstein),
		cmocka_unit_test(confined_motion_is_ornstein_uhlenbeck),
		cmocka_unit_test(same_seed_same_path),
		cmocka_unit_test(no_diffusion_and_no_time_stand_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
