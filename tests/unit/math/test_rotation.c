/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quaternions, rotation vectors and matrices say the same, and random ones favour no direction. */
#include "perrin/math/rotation.h"

#include "testkit.h"

#include <math.h>
#include <string.h>

static double norm4(const double q[4])
{
	return sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
}

static void a_quarter_turn_is_right_handed(void **state)
{
	(void)state;
	double q[4], r[3][3], turn[3] = { 0, 0, M_PI / 2 };
	static const double expected[3][3] = { { 0, -1, 0 }, { 1, 0, 0 }, { 0, 0, 1 } };

	pn_quaternion_from_vector(q, turn);
	pn_quaternion_to_matrix(r, q);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			assert_true(fabs(r[i][j] - expected[i][j]) < 1e-15);
}

static void products_are_matrix_products(void **state)
{
	(void)state;
	struct pn_rng rng;

	pn_rng_init(&rng, 1, 0);
	for (int n = 0; n < 1000; n++) {
		double a[4], b[4], ab[4], ra[3][3], rb[3][3], rab[3][3];

		pn_quaternion_random(a, &rng);
		pn_quaternion_random(b, &rng);
		pn_quaternion_multiply(ab, a, b);
		assert_true(fabs(norm4(ab) - 1) < 1e-14);
		pn_quaternion_to_matrix(ra, a);
		pn_quaternion_to_matrix(rb, b);
		pn_quaternion_to_matrix(rab, ab);
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 3; j++) {
				double sum = 0;

				for (int k = 0; k < 3; k++)
					sum += ra[i][k] * rb[k][j];
				assert_true(fabs(sum - rab[i][j]) < 1e-14);
			}
		pn_quaternion_multiply(a, a, b); /* in place */
		assert_memory_equal(a, ab, sizeof ab);
	}
}

/* Rodrigues: R v = v cos t + (k x v) sin t + k (k.v)(1 - cos t), without a quaternion in sight. */
static void vectors_follow_rodrigues(void **state)
{
	(void)state;
	static const double angles[] = {
		0, 1e-12, 1e-6, 0.99e-4, 1.01e-4, 0.3, 2, 3.1, M_PI - 1e-7
	};
	const double k[3] = { 2.0 / 7, -3.0 / 7, 6.0 / 7 }, v[3] = { 0.3, 0.5, -1.1 };
	const double cross[3] = { k[1] * v[2] - k[2] * v[1], k[2] * v[0] - k[0] * v[2],
				  k[0] * v[1] - k[1] * v[0] };
	const double dot = k[0] * v[0] + k[1] * v[1] + k[2] * v[2];

	for (size_t n = 0; n < sizeof angles / sizeof angles[0]; n++) {
		double t = angles[n], q[4], r[3][3], back[3];
		double w[3] = { t * k[0], t * k[1], t * k[2] };

		pn_quaternion_from_vector(q, w);
		assert_true(fabs(norm4(q) - 1) < 1e-15);
		pn_quaternion_to_matrix(r, q);
		pn_quaternion_to_vector(back, q);
		for (int i = 0; i < 3; i++) {
			double turned = r[i][0] * v[0] + r[i][1] * v[1] + r[i][2] * v[2];
			double exact =
				v[i] * cos(t) + cross[i] * sin(t) + k[i] * dot * (1 - cos(t));

			assert_true(fabs(turned - exact) < 3e-15);
			assert_true(fabs(back[i] - w[i]) < 1e-15 + 1e-14 * t);
		}
		for (int i = 0; i < 4; i++)
			q[i] = -q[i]; /* the same rotation */
		pn_quaternion_to_vector(back, q);
		for (int i = 0; i < 3; i++)
			assert_true(fabs(back[i] - w[i]) < 1e-15 + 1e-14 * t);
	}
}

static void matrices_go_back_to_quaternions(void **state)
{
	(void)state;
	struct pn_rng rng;

	pn_rng_init(&rng, 2, 0);
	for (int n = 0; n < 4000; n++) {
		double q[4], back[4], r[3][3];

		pn_quaternion_random(q, &rng);
		if (n % 4 == 1) /* half turns, where w is no help */
			q[0] = 0;
		if (n % 4 == 2) {
			memset(q, 0, sizeof q);
			q[n / 4 % 4] = 1;
		}
		pn_quaternion_normalize(q);
		pn_quaternion_to_matrix(r, q);
		pn_quaternion_from_matrix(back, r);
		assert_true(fabs(norm4(back) - 1) < 1e-14);
		assert_true(back[0] >= 0);
		assert_true(pn_quaternion_angle_rad(q, back) < 1e-14);
	}
}

static void angle_between_is_the_angle_turned(void **state)
{
	(void)state;
	struct pn_rng rng;
	static const double angles[] = { 0, 1e-10, 0.1, 1.5, 3.14 };

	pn_rng_init(&rng, 3, 0);
	for (int n = 0; n < 500; n++) {
		double a[4], b[4], step[4], axis[4], w[3], t = angles[n % 5];

		pn_quaternion_random(a, &rng);
		pn_quaternion_random(axis, &rng);
		double s = sqrt(axis[1] * axis[1] + axis[2] * axis[2] + axis[3] * axis[3]);

		for (int i = 0; i < 3; i++)
			w[i] = t * axis[i + 1] / s;
		pn_quaternion_from_vector(step, w);
		pn_quaternion_multiply(b, step, a);
		assert_true(fabs(pn_quaternion_angle_rad(a, b) - t) < 1e-14);
		for (int i = 0; i < 4; i++)
			b[i] = -b[i];
		assert_true(fabs(pn_quaternion_angle_rad(a, b) - t) < 1e-14);
	}
}

static void zero_becomes_the_identity(void **state)
{
	(void)state;
	double q[4] = { 0 };

	pn_quaternion_normalize(q);
	assert_true(q[0] == 1 && q[1] == 0 && q[2] == 0 && q[3] == 0);
}

/*
 * Uniform on SO(3): the angle has density (1 - cos t)/pi, so P(angle <= t) = (t - sin t)/pi
 * (Kolmogorov-Smirnov, 1.95/sqrt n is the 0.1 % point), and each element of R has mean 0, mean
 * square 1/3.
 */
static void random_rotations_are_uniform(void **state)
{
	(void)state;
	enum { N = 40000, BINS = 400 };
	static const double identity[4] = { 1, 0, 0, 0 };
	struct pn_rng rng;
	int bins[BINS] = { 0 };
	double mean[9] = { 0 }, square[9] = { 0 };

	pn_rng_init(&rng, 4, 0);
	for (int n = 0; n < N; n++) {
		double q[4], r[3][3];

		pn_quaternion_random(q, &rng);
		pn_quaternion_to_matrix(r, q);
		int bin = (int)(pn_quaternion_angle_rad(identity, q) / M_PI * BINS);

		bins[bin < BINS ? bin : BINS - 1]++;
		for (int i = 0; i < 9; i++) {
			mean[i] += r[i / 3][i % 3] / N;
			square[i] += r[i / 3][i % 3] * r[i / 3][i % 3] / N;
		}
	}
	double below = 0;

	for (int i = 0; i < BINS; i++) {
		double t = (i + 1) * M_PI / BINS;

		below += bins[i];
		assert_true(fabs(below / N - (t - sin(t)) / M_PI) < 1.95 / sqrt(N));
	}
	for (int i = 0; i < 9; i++) { /* variances 1/3 and 1/5 - 1/9; 4.5 standard errors */
		assert_true(fabs(mean[i]) < 4.5 * sqrt(1.0 / 3 / N));
		assert_true(fabs(square[i] - 1.0 / 3) < 4.5 * sqrt((1.0 / 5 - 1.0 / 9) / N));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quarter_turn_is_right_handed),
		cmocka_unit_test(products_are_matrix_products),
		cmocka_unit_test(vectors_follow_rodrigues),
		cmocka_unit_test(matrices_go_back_to_quaternions),
		cmocka_unit_test(angle_between_is_the_angle_turned),
		cmocka_unit_test(zero_becomes_the_identity),
		cmocka_unit_test(random_rotations_are_uniform),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
