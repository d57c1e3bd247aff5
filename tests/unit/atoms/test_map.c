/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"
#include "perrin/atoms/map.h"
#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NX = 23, NY = 20, NZ = 18, COUNT = NX * NY * NZ };

static struct pn_map view(const float *value)
{
	return (struct pn_map){ NX, NY, NZ, 0.5, value };
}

static void fill(float *value, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int i = 0; i < COUNT; i++)
		value[i] = (float)(100 + pn_rng_gauss(&rng));
}

/* Pearson's coefficient of two lists, in two passes. */
static double pearson(const double *a, const double *b, int count)
{
	double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;

	for (int i = 0; i < count; i++) {
		ma += a[i] / count;
		mb += b[i] / count;
	}
	for (int i = 0; i < count; i++) {
		aa += (a[i] - ma) * (a[i] - ma);
		bb += (b[i] - mb) * (b[i] - mb);
		ab += (a[i] - ma) * (b[i] - mb);
	}
	return ab / sqrt(aa * bb);
}

static void whole_maps(void **state)
{
	float a[COUNT], b[COUNT];
	double da[COUNT], db[COUNT];
	struct pn_map ma = view(a), mb = view(b);

	(void)state;
	fill(a, 1);
	fill(b, 2);
	for (int i = 0; i < COUNT; i++) {
		b[i] += a[i];
		da[i] = a[i];
		db[i] = b[i];
	}
	kit_near(pn_map_correlation(&ma, &mb), pearson(da, db, COUNT), 1e-12);
	for (int i = 0; i < COUNT; i++)
		b[i] = 7 - 3 * a[i];
	kit_near(pn_map_correlation(&ma, &mb), -1, 1e-6);
	for (int i = 0; i < COUNT; i++)
		b[i] = 5;
	assert_true(isnan(pn_map_correlation(&ma, &mb)));
}

static void local_is_that_of_each_cube(void **state)
{
	float a[COUNT], b[COUNT], local[COUNT], twice[COUNT];
	struct pn_map ma = view(a), mb = view(b);

	(void)state;
	fill(a, 3);
	fill(b, 4);
	for (int i = 0; i < COUNT; i++)
		b[i] += 0.5f * a[i];
	for (int half = 1; half < 16; half += 7) {
		assert_int_equal(
			pn_map_correlation_local(local, &ma, &mb, 2 * (size_t)half + 1, 1, NULL),
			PN_OK);
		assert_int_equal(
			pn_map_correlation_local(twice, &ma, &mb, 2 * (size_t)half + 1, 2, NULL),
			PN_OK);
		assert_memory_equal(local, twice, sizeof local);
		for (int at = 0; at < COUNT; at += 97) {
			static double da[COUNT], db[COUNT];
			int x = at % NX, y = at / NX % NY, z = at / NX / NY, n = 0;

			for (int i = 0; i < COUNT; i++)
				if (abs(i % NX - x) <= half && abs(i / NX % NY - y) <= half &&
				    abs(i / NX / NY - z) <= half) {
					da[n] = a[i];
					db[n++] = b[i];
				}
			kit_near(local[at], pearson(da, db, n), 1e-6);
		}
	}
}

/* Unchanged inside, an atom gone in one corner: 1 here, low there, NaN where there is nothing. */
static void change_is_seen_where_it_is(void **state)
{
	float a[COUNT] = { 0 }, b[COUNT] = { 0 }, local[COUNT];
	struct pn_map ma = view(a), mb = view(b);

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		int x = i % NX, y = i / NX % NY, z = i / NX / NY;
		double near = hypot(hypot(x - 6, y - 6), z - 6);
		double far = hypot(hypot(x - 15, y - 12), z - 11);

		a[i] = (float)(near < 4 ? exp(-near * near) : 0);
		b[i] = a[i];
		a[i] += (float)(far < 4 ? exp(-far * far) : 0);
	}
	b[(11 * NY + 12) * NX + 18] = 0.1f;
	assert_int_equal(pn_map_correlation_local(local, &ma, &mb, 5, 1, NULL), PN_OK);
	kit_near(local[(6 * NY + 6) * NX + 6], 1, 1e-6);
	assert_true(local[(11 * NY + 12) * NX + 16] < 0.2);
	assert_true(isnan(local[(1 * NY + 18) * NX + 1]));
}

/* A map shifted by a known vector has its peak there, and its value by definition. */
static void shift_is_found_along_its_direction(void **state)
{
	float a[COUNT], b[COUNT];
	double c[41], direction[3] = { 2, 0, 0 };
	struct pn_map ma = view(a), mb = view(b);

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		int x = i % NX, y = i / NX % NY, z = i / NX / NY;
		double r2 = (x - 10) * (x - 10) + (y - 10) * (y - 10) + (z - 9) * (z - 9);
		double s2 = (x - 13) * (x - 13) + (y - 10) * (y - 10) + (z - 9) * (z - 9);

		a[i] = (float)exp(-r2 / 4);
		b[i] = (float)exp(-s2 / 4);
	}
	assert_int_equal(pn_map_correlation_along(c, 41, 0.25, direction, &ma, &mb, 2, NULL),
			 PN_OK);
	int best = 0;
	for (int i = 0; i < 41; i++)
		if (c[i] > c[best])
			best = i;
	assert_int_equal(best, 26); /* 3 voxels of 0.5 A in steps of 0.25 A */
	assert_true(c[best] > 0.99);
	kit_near(c[20], pn_map_correlation(&ma, &mb), 1e-12);
}

/* Between voxels the curve is the straight line that interpolation makes of it. */
static void between_voxels(void **state)
{
	float a[COUNT], b[COUNT];
	double whole[5], half[9], direction[3] = { 0, -1, 0 };
	struct pn_map ma = view(a), mb = view(b);

	(void)state;
	fill(a, 5);
	fill(b, 6);
	assert_int_equal(pn_map_correlation_along(whole, 5, 0.5, direction, &ma, &mb, 1, NULL),
			 PN_OK);
	assert_int_equal(pn_map_correlation_along(half, 9, 0.25, direction, &ma, &mb, 1, NULL),
			 PN_OK);
	for (int i = 0; i < 5; i++)
		kit_near(half[2 * i], whole[i], 1e-12);
	for (int i = 0; i < 4; i++)
		kit_near(half[2 * i + 1], (whole[i] + whole[i + 1]) / 2, 1e-12);
	/* one of them by hand: shift by one voxel to -y */
	double sum = 0, aa = 0, bb = 0, mean_a = 0, mean_b = 0;
	for (int i = 0; i < COUNT; i++) {
		mean_a += a[i] / (double)COUNT;
		mean_b += b[i] / (double)COUNT;
	}
	for (int i = 0; i < COUNT; i++) {
		aa += (a[i] - mean_a) * (a[i] - mean_a);
		bb += (b[i] - mean_b) * (b[i] - mean_b);
		if (i / NX % NY > 0)
			sum += (a[i] - mean_a) * (b[i - NX] - mean_b);
	}
	kit_near(whole[3], sum / sqrt(aa * bb), 1e-9);
}

static void what_cannot_be_compared_is_told(void **state)
{
	float a[COUNT], b[COUNT], local[COUNT];
	double c[3];
	const double nowhere[3] = { 0 }, x[3] = { 1, 0, 0 };
	struct pn_map ma = view(a), mb = view(b);
	struct pn_error err = { 0 };

	(void)state;
	fill(a, 7);
	fill(b, 8);
	assert_int_equal(pn_map_correlation_local(local, &ma, &mb, 4, 1, &err), PN_EARG);
	assert_int_equal(pn_map_correlation_along(c, 3, 1, nowhere, &ma, &mb, 1, &err), PN_EARG);
	b[NX * NY + 2 * NX + 3] = NAN;
	assert_int_equal(pn_map_correlation_along(c, 3, 1, x, &ma, &mb, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "map 2: voxel 3 2 1"));
	mb.voxel_A = 0.6;
	assert_int_equal(pn_map_correlation_local(local, &ma, &mb, 5, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "0.5 and 0.6 A"));
	mb.nx--;
	assert_int_equal(pn_map_correlation_local(local, &ma, &mb, 5, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "23x20x18 and 22x20x18"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_maps),
		cmocka_unit_test(local_is_that_of_each_cube),
		cmocka_unit_test(change_is_seen_where_it_is),
		cmocka_unit_test(shift_is_found_along_its_direction),
		cmocka_unit_test(between_voxels),
		cmocka_unit_test(what_cannot_be_compared_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
