/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cube's rotations, pseudo-symmetric poses, scores against truth. */
#include "perrin/orient/symmetry.h"

#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double deg_rad = 180 / M_PI;

static void about(double q[4], double x, double y, double z, double angle_deg)
{
	double n = sqrt(x * x + y * y + z * z) * deg_rad / angle_deg;
	double v[3] = { x / n, y / n, z / n };

	pn_quaternion_from_vector(q, v);
}

static size_t index_of(const double q[4])
{
	for (size_t i = 0; i < PN_CUBIC_ROTATIONS; i++)
		if (pn_quaternion_angle_rad(q, pn_cubic_rotations[i]) < 1e-12)
			return i;
	return SIZE_MAX;
}

/* closed, 24 different ones, each a signed permutation matrix; classes 1 + 8 + 3 + 6 + 6 */
static void test_group(void **state)
{
	size_t turns[5] = { 0 }; /* by 0, 60, 90, 120, 180 deg */

	(void)state;
	for (size_t i = 0; i < PN_CUBIC_ROTATIONS; i++) {
		int seen[PN_CUBIC_ROTATIONS] = { 0 };
		double r[3][3], angle = 2 * acos(fmin(1, fabs(pn_cubic_rotations[i][0])));

		pn_quaternion_to_matrix(r, pn_cubic_rotations[i]);
		for (int k = 0; k < 9; k++) {
			double v = fabs(r[k / 3][k % 3]);

			assert_true(v < 1e-15 || fabs(v - 1) < 1e-15);
		}
		turns[angle < 1e-6                      ? 0
		      : fabs(angle - M_PI / 2) < 1e-6   ? 2
		      : fabs(angle - M_PI / 1.5) < 1e-6 ? 3
		      : fabs(angle - M_PI) < 1e-6       ? 4
							: 1]++;
		for (size_t j = 0; j < PN_CUBIC_ROTATIONS; j++) {
			double p[4];
			size_t found;

			pn_quaternion_multiply(p, pn_cubic_rotations[i], pn_cubic_rotations[j]);
			found = index_of(p);
			assert_true(found < PN_CUBIC_ROTATIONS);
			assert_false(seen[found]);
			seen[found] = 1;
		}
	}
	assert_int_equal(index_of(pn_cubic_rotations[0]), 0);
	assert_true(turns[0] == 1 && turns[1] == 0 && turns[2] == 6 && turns[3] == 8 &&
		    turns[4] == 9);
}

/* known disorientations: twin (Sigma 3) 60 deg, 45 deg about <100>, 62.8 deg at most (Mackenzie,
 * Biometrika 45, 229 (1958): mean 40.74 deg of random pairs) */
static void test_cubic_angle(void **state)
{
	static const double one[4] = { 1, 0, 0, 0 };
	double q[4], largest = 0, sum = 0;
	struct pn_rng rng;

	(void)state;
	about(q, 1, 1, 1, 60);
	assert_true(fabs(pn_cubic_angle_deg(one, q) - 60) < 1e-9);
	about(q, 1, 0, 0, 90 + 33);
	assert_true(fabs(pn_cubic_angle_deg(one, q) - 33) < 1e-9);
	about(q, 1, 1, 0, 180 - 70.528779);
	assert_true(fabs(pn_cubic_angle_deg(one, q) - 60) < 1e-5); /* the same twin */
	pn_rng_init(&rng, 11, 0);
	for (int n = 0; n < 20000; n++) {
		double a[4], b[4], angle;

		pn_quaternion_random(a, &rng);
		pn_quaternion_random(b, &rng);
		angle = pn_cubic_angle_deg(a, b);
		sum += angle;
		largest = fmax(largest, angle);
	}
	assert_true(largest < 62.7995 && largest > 61);
	assert_true(fabs(sum / 20000 - 40.74) < 0.25);
}

static void test_relate(void **state)
{
	static const double beam[4] = { 0, 0, 0, 1 };
	size_t exact = 0, other = 0;
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 12, 0);
	for (int n = 0; n < 300; n++) {
		double b[4], c[4], inverse[4], small[4], a[4], angle;
		double v[3] = { 0.02, -0.01, 0.02 }; /* 0.03 rad */
		size_t s = (size_t)n % PN_CUBIC_ROTATIONS;

		pn_quaternion_random(b, &rng);
		pn_quaternion_random(c, &rng);
		pn_quaternion_conjugate(inverse, c);
		pn_quaternion_from_vector(small, v);
		/* a = small [beam] b C S C^-1 */
		pn_quaternion_multiply(a, pn_cubic_rotations[s], inverse);
		pn_quaternion_multiply(a, c, a);
		pn_quaternion_multiply(a, b, a);
		if (n % 2)
			pn_quaternion_multiply(a, beam, a);
		pn_quaternion_multiply(a, small, a);
		assert_int_equal(pn_pose_relate(a, b, c, 3, &angle),
				 s == 0 && n % 2 == 0 ? PN_POSE_SAME : PN_POSE_FLIP);
		/* another one may be nearer by chance */
		assert_true(angle < 0.03 * deg_rad + 1e-9);
		exact += fabs(angle - 0.03 * deg_rad) < 1e-9;
		assert_int_equal(pn_pose_relate(a, b, c, 0.1, NULL), PN_POSE_OTHER);
		/* nothing special if the crystal lies otherwise in the specimen */
		other += pn_pose_relate(a, b, NULL, 3, NULL) == PN_POSE_OTHER;
	}
	assert_true(exact >= 295 && other >= 270);
	/* without a crystal's orientation it is that of the specimen */
	assert_int_equal(
		pn_pose_relate(pn_cubic_rotations[5], pn_cubic_rotations[0], NULL, 1, NULL),
		PN_POSE_FLIP);
}

struct poses {
	double found[1000][4], truth[1000][4], found_px[1000][2], truth_px[1000][2], error[1000];
	double common[4], shift[3];
};

/* found = noise truth [flip] common; shifts with the common one and noise of 0.2 px */
static struct poses *make(size_t count, double noise_deg, double flips, double outliers)
{
	struct poses *p = calloc(1, sizeof *p);
	struct pn_rng rng;

	pn_rng_init(&rng, 13, count);
	pn_quaternion_random(p->common, &rng);
	for (int i = 0; i < 3; i++)
		p->shift[i] = 2 * pn_rng_gauss(&rng);
	for (size_t k = 0; k < count; k++) {
		double v[3], noise[4], r[3][3], u = pn_rng_uniform(&rng);

		for (int i = 0; i < 3; i++)
			v[i] = noise_deg / deg_rad * pn_rng_gauss(&rng);
		pn_quaternion_from_vector(noise, v);
		pn_quaternion_random(p->truth[k], &rng);
		pn_quaternion_multiply(p->found[k], noise, p->truth[k]);
		if (u < flips)
			pn_quaternion_multiply(p->found[k], p->found[k],
					       pn_cubic_rotations[1 + pn_rng_below(&rng, 23)]);
		pn_quaternion_multiply(p->found[k], p->found[k], p->common);
		if (u > 1 - outliers)
			pn_quaternion_random(p->found[k], &rng);
		pn_quaternion_to_matrix(r, p->truth[k]);
		for (int i = 0; i < 2; i++) {
			p->truth_px[k][i] = 5 * pn_rng_gauss(&rng);
			p->found_px[k][i] = p->truth_px[k][i] + r[i][0] * p->shift[0] +
					    r[i][1] * p->shift[1] + r[i][2] * p->shift[2] +
					    0.2 * pn_rng_gauss(&rng);
			if (u > 1 - outliers)
				p->found_px[k][i] += 30;
		}
	}
	return p;
}

static int score(struct pn_pose_score *s, struct poses *p, size_t count)
{
	return pn_pose_score(s, (const double(*)[4])p->found, (const double(*)[4])p->truth,
			     (const double(*)[2])p->found_px, (const double(*)[2])p->truth_px,
			     count, p->error, NULL);
}

static void test_score(void **state)
{
	struct pn_pose_score s;
	size_t n = 1000, flips = 0;
	struct poses *p = make(n, 1, 0.2, 0.1);
	double sum = 0;

	(void)state;
	assert_int_equal(score(&s, p, n), PN_OK);
	assert_true(pn_quaternion_angle_rad(s.common, p->common) * deg_rad < 0.1);
	assert_int_equal(s.count, n);
	assert_true(s.within_5deg > 670 && s.within_5deg < 730);
	/* a flip by chance of 1/48, some of the random ones look like one within 5 deg */
	assert_true(s.flipped > 160 && s.flipped < 260);
	/* Maxwell's distribution: median 1.538 sigma */
	assert_true(fabs(s.median_deg - 1.538) < 0.1);
	for (size_t k = 0; k < n; k++) {
		double expected[4];

		pn_quaternion_multiply(expected, p->truth[k], s.common);
		assert_true(fabs(pn_quaternion_angle_rad(expected, p->found[k]) * deg_rad -
				 p->error[k]) < 1e-9);
		sum += p->error[k];
		flips += p->error[k] > 5;
	}
	assert_true(fabs(s.mean_deg - sum / (double)n) < 1e-9);
	assert_int_equal(flips + s.within_5deg, n);
	assert_true(fabs(s.shift_rms_px - 0.2) < 0.01);
	for (int i = 0; i < 3; i++)
		assert_true(fabs(s.shift_common_px[i] - p->shift[i]) < 0.05);
	free(p);
}

/* exact ones; more frames than are tried as the mode; one frame only; one view only */
static void test_score_limits(void **state)
{
	struct pn_pose_score s;
	struct poses *p = make(600, 0, 0, 0);

	(void)state;
	assert_int_equal(score(&s, p, 600), PN_OK);
	assert_int_equal(s.within_5deg, 600);
	assert_int_equal(s.flipped, 0);
	assert_true(s.median_deg < 1e-6 && s.mean_deg < 1e-6);
	assert_true(pn_quaternion_angle_rad(s.common, p->common) < 1e-9);
	assert_int_equal(score(&s, p, 1), PN_OK);
	assert_int_equal(s.within_5deg, 1);
	assert_true(s.shift_rms_px < 1e-9); /* two numbers and three unknowns */
	for (size_t k = 0; k < 600; k++) {
		memcpy(p->truth[k], p->truth[0], sizeof p->truth[k]);
		memcpy(p->found[k], p->found[0], sizeof p->found[k]);
	}
	assert_int_equal(score(&s, p, 600), PN_OK);
	assert_true(isfinite(s.shift_rms_px) && isfinite(s.shift_common_px[2]));
	assert_int_equal(pn_pose_score(&s, (const double(*)[4])p->found,
				       (const double(*)[4])p->truth, NULL, NULL, 600, NULL, NULL),
			 PN_OK);
	assert_true(s.shift_rms_px == 0 && s.shift_common_px[0] == 0);
	free(p);
}

static void test_bad(void **state)
{
	struct pn_pose_score s;
	struct pn_error err = { 0 };
	struct poses *p = make(10, 0, 0, 0);

	(void)state;
	assert_int_equal(score(&s, p, 0), PN_EARG);
	assert_int_equal(pn_pose_score(&s, (const double(*)[4])p->found,
				       (const double(*)[4])p->truth,
				       (const double(*)[2])p->found_px, NULL, 10, NULL, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "found poses only"));
	p->found_px[3][1] = NAN;
	assert_int_equal(score(&s, p, 10), PN_EARG);
	p->found_px[3][1] = 0;
	p->truth[4][2] = INFINITY;
	assert_int_equal(score(&s, p, 10), PN_EARG);
	p->truth[4][2] = 2;
	assert_int_equal(pn_pose_score(&s, (const double(*)[4])p->found,
				       (const double(*)[4])p->truth, NULL, NULL, 10, NULL, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "true pose 4"));
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),        cmocka_unit_test(test_cubic_angle),
		cmocka_unit_test(test_relate),       cmocka_unit_test(test_score),
		cmocka_unit_test(test_score_limits), cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
