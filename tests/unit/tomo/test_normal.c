/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The running sums against the definition in double; exactness of adding and taking away. */
#include "perrin/tomo/normal.h"

#include "series_kit.h"
#include "testkit.h"

#include <omp.h>
#include <string.h>

enum { NZ = 9, NY = 8, NX = 11, IY = 10, IX = 13 };

static const struct pn_box box = { NZ, NY, NX };

static void noise(float *image, size_t count, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 7);
	for (size_t i = 0; i < count; i++)
		image[i] = (float)(pn_rng_uniform(&rng) - 0.3);
}

/* Any pose; or one about y with a shift. */
static void pose_of(struct pn_pose *pose, int single_axis, int k)
{
	if (single_axis)
		pn_pose_tilt(pose, -63.0 + 31.0 * k);
	else
		pn_pose_euler(pose, 11.0 * k - 20.0, -63.0 + 31.0 * k, 5.0 - 7.0 * k);
	pose->shift_px[0] = 0.3 * k - 0.7;
	pose->shift_px[1] = 0.4 - 0.25 * k;
}

static struct pn_normal *sums(int single_axis, const int *order, int count)
{
	struct pn_normal *n;
	struct pn_error err = { 0 };
	struct pn_pose pose;
	float image[IY * IX];

	assert_int_equal(pn_normal_create(&n, &box, single_axis, 1.0, &err), PN_OK);
	for (int i = 0; i < count; i++) {
		pose_of(&pose, single_axis, order[i]);
		noise(image, IY * IX, (uint64_t)order[i]);
		assert_int_equal(pn_normal_add(n, &pose, image, IY, IX, &err), PN_OK);
	}
	return n;
}

static size_t kernel_bytes(int single_axis)
{
	return sizeof(double) * NZ * (2 * NX - 1) * (single_axis ? 1 : 2 * NY - 1);
}

static void assert_same(const struct pn_normal *a, const struct pn_normal *b)
{
	assert_int_equal(a->tilts, b->tilts);
	assert_memory_equal(&a->energy, &b->energy, sizeof a->energy);
	assert_memory_equal(a->rhs, b->rhs, sizeof(double) * NZ * NY * NX);
	assert_memory_equal(a->kernel, b->kernel, kernel_bytes(a->single_axis));
}

/* Both kinds of sums are what the sincs say. */
static void test_definition(void **state)
{
	(void)state;
	for (int single = 0; single < 2; single++) {
		int order[] = { 1, 3 };
		struct pn_normal *n = sums(single, order, 2);
		double worst_b = 0, worst_h = 0;

		for (size_t i = 0; i < NZ * NY * NX; i++) {
			size_t z = i / (NY * NX), y = i / NX % NY, x = i % NX;
			double want = 0, have = single ? n->rhs[(y * NZ + z) * NX + x] : n->rhs[i];

			for (int k = 0; k < 2; k++) {
				struct pn_pose pose;
				float image[IY * IX];

				pose_of(&pose, single, order[k]);
				noise(image, IY * IX, (uint64_t)order[k]);
				want += kit_backproject(image, IY, IX, &box, &pose, i);
			}
			worst_b = fmax(worst_b, fabs(want - have));
		}
		for (int z = 0; z < NZ; z++)
			for (int y = 1 - NY; y < NY; y++)
				for (int x = 1 - NX; x < NX; x++) {
					double want = 0;
					size_t row =
						single ? (size_t)z
						       : (size_t)(z * (2 * NY - 1) + y + NY - 1);

					if (single && y != 0)
						continue;
					for (int k = 0; k < 2; k++) {
						struct pn_pose p;

						pose_of(&p, single, order[k]);
						want += kit_sinc(p.rotation[0][0] * x +
								 p.rotation[0][1] * y +
								 p.rotation[0][2] * z) *
							kit_sinc(p.rotation[1][0] * x +
								 p.rotation[1][1] * y +
								 p.rotation[1][2] * z);
					}
					worst_h =
						fmax(worst_h,
						     fabs(want - n->kernel[row * (2 * NX - 1) +
									   (size_t)(x + NX - 1)]));
				}
		assert_true(worst_b < 1e-4);
		assert_true(worst_h < 1e-7);
		pn_normal_destroy(n);
	}
}

/* The order of the tilts leaves no trace, nor does one that was taken away. */
static void test_exact(void **state)
{
	(void)state;
	for (int single = 0; single < 2; single++) {
		int forth[] = { 0, 1, 2, 3, 4 }, back[] = { 4, 2, 0, 3, 1 },
		    without[] = { 4, 0, 3, 1 };
		struct pn_normal *a = sums(single, forth, 5), *b = sums(single, back, 5),
				 *c = sums(single, without, 4);
		struct pn_pose pose;
		float image[IY * IX];

		assert_same(a, b);
		pose_of(&pose, single, 2);
		noise(image, IY * IX, 2);
		assert_int_equal(pn_normal_subtract(b, &pose, image, IY, IX, NULL), PN_OK);
		assert_same(b, c);
		pn_normal_reset(c);
		assert_int_equal(c->tilts, 0);
		for (int k = 0; k < 5; k++) {
			pose_of(&pose, single, k);
			noise(image, IY * IX, (uint64_t)k);
			assert_int_equal(pn_normal_add(c, &pose, image, IY, IX, NULL), PN_OK);
		}
		assert_same(a, c);
		pn_normal_destroy(a);
		pn_normal_destroy(b);
		pn_normal_destroy(c);
	}
}

static void test_threads(void **state)
{
	int order[] = { 2, 0, 1 }, threads = omp_get_max_threads();

	(void)state;
	for (int single = 0; single < 2; single++) {
		omp_set_num_threads(1);
		struct pn_normal *a = sums(single, order, 3);

		omp_set_num_threads(3);
		struct pn_normal *b = sums(single, order, 3);

		assert_same(a, b);
		pn_normal_destroy(a);
		pn_normal_destroy(b);
	}
	omp_set_num_threads(threads);
}

/* One axis is a special case of any. */
static void test_kinds_agree(void **state)
{
	struct pn_normal *a, *b;
	struct pn_pose pose;
	float image[IY * IX];
	double worst = 0;

	(void)state;
	assert_int_equal(pn_normal_create(&a, &box, 1, 1.0, NULL), PN_OK);
	assert_int_equal(pn_normal_create(&b, &box, 0, 1.0, NULL), PN_OK);
	pose_of(&pose, 1, 3);
	noise(image, IY * IX, 3);
	assert_int_equal(pn_normal_add(a, &pose, image, IY, IX, NULL), PN_OK);
	assert_int_equal(pn_normal_add(b, &pose, image, IY, IX, NULL), PN_OK);
	for (size_t z = 0; z < NZ; z++)
		for (size_t y = 0; y < NY; y++)
			for (size_t x = 0; x < NX; x++)
				worst = fmax(worst, fabs(a->rhs[(y * NZ + z) * NX + x] -
							 b->rhs[(z * NY + y) * NX + x]));
	assert_true(worst < 5e-5);
	assert_true(a->energy == b->energy);
	pn_normal_destroy(a);
	pn_normal_destroy(b);
}

/* Pixels a thousand times as large as announced leave no trace either. */
static void test_large_pixels(void **state)
{
	(void)state;
	enum { SIDE = 80 };
	static float large[SIDE * SIDE], small[SIDE * SIDE];
	const struct pn_box cube = { 3, 3, 3 };
	struct pn_normal *n, *same;
	struct pn_pose pose;

	pn_pose_tilt(&pose, 20.0);
	noise(small, SIDE * SIDE, 1);
	for (int i = 0; i < SIDE * SIDE; i++) {
		small[i] *= 0.01f;
		large[i] = 1999.0f - (float)i * 0.01f;
	}
	assert_int_equal(pn_normal_create(&n, &cube, 1, 1.0, NULL), PN_OK);
	assert_int_equal(pn_normal_create(&same, &cube, 1, 1.0, NULL), PN_OK);
	for (int k = 0; k < 9; k++)
		assert_int_equal(pn_normal_add(n, &pose, large, SIDE, SIDE, NULL), PN_OK);
	assert_int_equal(pn_normal_add(n, &pose, small, SIDE, SIDE, NULL), PN_OK);
	for (int k = 0; k < 9; k++)
		assert_int_equal(pn_normal_subtract(n, &pose, large, SIDE, SIDE, NULL), PN_OK);
	assert_int_equal(pn_normal_add(same, &pose, small, SIDE, SIDE, NULL), PN_OK);
	assert_true(same->energy > 0);
	assert_true(n->energy == same->energy);
	assert_memory_equal(n->rhs, same->rhs, 27 * sizeof *n->rhs);
	pn_normal_destroy(n);
	pn_normal_destroy(same);
}

/* One voxel, one pixel, far away: what the sums say there too. */
static void test_extremes(void **state)
{
	(void)state;
	const struct pn_box one = { 1, 1, 1 };
	const double shift_px[] = { 0, 0.25, -0.999999999999, 1e-18, -1e-18, 3e4, -3e4 };

	for (int single = 0; single < 2; single++)
		for (size_t i = 0; i < sizeof shift_px / sizeof *shift_px; i++) {
			struct pn_normal *n;
			struct pn_pose pose;
			const float pixel = 1.0f;

			pn_pose_tilt(&pose, 30.0);
			pose.shift_px[0] = shift_px[i];
			assert_int_equal(pn_normal_create(&n, &one, single, 1.0, NULL), PN_OK);
			assert_int_equal(pn_normal_add(n, &pose, &pixel, 1, 1, NULL), PN_OK);
			assert_true(fabs(n->rhs[0] - kit_sinc(shift_px[i])) < 1e-4);
			assert_true(n->kernel[0] == 1.0);
			pn_normal_destroy(n);
		}
}

static void test_refused(void **state)
{
	struct pn_normal *n;
	struct pn_error err = { 0 };
	struct pn_box none = { 0, 4, 4 }, huge = { 2000, 4, 4 };
	struct pn_pose pose;
	int order[] = { 1 };
	float image[IY * IX];

	(void)state;
	assert_int_equal(pn_normal_create(&n, &none, 1, 1.0, &err), PN_EARG);
	assert_null(n);
	assert_int_equal(pn_normal_create(&n, &huge, 1, 1.0, &err), PN_EARG);
	assert_int_equal(pn_normal_create(&n, &box, 1, 0.0, &err), PN_EARG);
	assert_int_equal(pn_normal_create(&n, &box, 1, NAN, &err), PN_EARG);

	n = sums(1, order, 1);
	struct pn_normal *same = sums(1, order, 1);

	noise(image, IY * IX, 5);
	pn_pose_euler(&pose, 1.0, 20.0, 0.0);
	assert_int_equal(pn_normal_add(n, &pose, image, IY, IX, &err), PN_EARG);
	assert_non_null(strstr(err.text, "axis"));
	pn_pose_tilt(&pose, 20.0);
	image[2 * IX + 5] = NAN;
	assert_int_equal(pn_normal_add(n, &pose, image, IY, IX, &err), PN_EARG);
	assert_non_null(strstr(err.text, "(2, 5)"));
	image[2 * IX + 5] = 1e5f;
	assert_int_equal(pn_normal_add(n, &pose, image, IY, IX, &err), PN_EARG);
	assert_same(n, same);
	image[2 * IX + 5] = 0.0f;
	for (int k = 0; k < 4; k++) {
		const double far[] = { NAN, -INFINITY, 1e300, 2e6 };

		pn_pose_tilt(&pose, 20.0);
		pose.shift_px[k % 2] = far[k];
		assert_int_equal(pn_normal_add(n, &pose, image, IY, IX, &err), PN_EARG);
		assert_non_null(strstr(err.text, "shift"));
	}
	pn_pose_tilt(&pose, 20.0);
	pose.rotation[0][0] = NAN;
	assert_int_equal(pn_normal_add(n, &pose, image, IY, IX, &err), PN_EARG);
	pn_pose_tilt(&pose, 20.0);
	pose.rotation[0][0] = 3.0;
	assert_int_equal(pn_normal_add(n, &pose, image, IY, IX, &err), PN_EARG);
	assert_non_null(strstr(err.text, "not a rotation"));
	assert_same(n, same);
	pn_pose_tilt(&pose, 20.0);
	pn_normal_reset(n);
	image[2 * IX + 5] = 0.0f;
	assert_int_equal(pn_normal_subtract(n, &pose, image, IY, IX, &err), PN_EARG);
	pn_normal_destroy(n);
	pn_normal_destroy(same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_definition),   cmocka_unit_test(test_exact),
		cmocka_unit_test(test_threads),      cmocka_unit_test(test_kinds_agree),
		cmocka_unit_test(test_large_pixels), cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
