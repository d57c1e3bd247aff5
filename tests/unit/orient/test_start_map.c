/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pieces of fcc: how many atoms, how large they look, and that they are symmetric. */
#include "perrin/orient/start_map.h"

#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EDGE = 64 };

static const double pixel_A = 0.5, lattice_A = 3.92;
static const double atom[3] = { 0, 0, 0 }, gap[3] = { 0.5, 0, 0 };

static float *make(double diameter_A, enum pn_start_shape shape, const double center[3],
		   size_t *atoms)
{
	float *map = malloc(EDGE * EDGE * EDGE * sizeof *map);
	struct pn_error err = { 0 };

	assert_non_null(map);
	if (pn_start_map(map, EDGE, pixel_A, lattice_A, diameter_A, shape, center, 0.5, atoms,
			 &err))
		fail_msg("%s", err.text);
	return map;
}

/* Shells of fcc about an atom: 1, 12, 6, 24, 12 at sqrt(1/2), 1, sqrt(3/2), sqrt 2 lattices. */
static void test_shells(void **state)
{
	static const double shell[] = { 0.1, 0.72, 1.01, 1.23, 1.42 };
	static const size_t sum[] = { 1, 13, 19, 43, 55 };
	size_t atoms;

	(void)state;
	for (int n = 0; n < 5; n++) {
		free(make(2 * lattice_A * shell[n], PN_START_SPHERE, atom, &atoms));
		assert_int_equal(atoms, sum[n]);
	}
	/* four about a tetrahedral gap, two about the middle of a bond */
	free(make(2 * lattice_A * 0.44, PN_START_SPHERE, (const double[3]){ 0.25, 0.25, 0.25 },
		  &atoms));
	assert_int_equal(atoms, 4);
	free(make(2 * lattice_A * 0.36, PN_START_SPHERE, (const double[3]){ 0.25, 0.25, 0 },
		  &atoms));
	assert_int_equal(atoms, 2);
	/* the six corners of the cube about an octahedral gap */
	free(make(2 * lattice_A * 0.51, PN_START_SPHERE, gap, &atoms));
	assert_int_equal(atoms, 6);
}

static void test_sum_and_symmetry(void **state)
{
	(void)state;
	for (int on_atom = 0; on_atom < 2; on_atom++)
		for (int shape = 0; shape < 2; shape++) {
			size_t atoms;
			float *map =
				make(20, (enum pn_start_shape)shape, on_atom ? atom : gap, &atoms);
			double sum = 0, worst = 0;

			for (size_t i = 0; i < EDGE * EDGE * EDGE; i++)
				sum += (double)map[i];
			/* an atom has the integral (2 pi)^(3/2) sigma^3 */
			assert_true(fabs(sum / ((double)atoms * pow(2 * M_PI, 1.5)) - 1) < 1e-3);
			for (int z = 1; z < EDGE; z++)
				for (int y = 1; y < EDGE; y++)
					for (int x = 1; x < EDGE; x++) {
						float a = map[(z * EDGE + y) * EDGE + x];
						float b = map[(y * EDGE + (EDGE - z)) * EDGE + x];

						worst = fmax(worst, fabs((double)(a - b)));
					}
			assert_true(worst < 1e-4);
			free(map);
		}
}

/* As many atoms as the bulk has in the body whose mean silhouette is that of the circle, over
 * many sizes: shells come and go. */
static void test_diameter(void **state)
{
	(void)state;
	for (int shape = 0; shape < 2; shape++) {
		double found = 0, expected = 0;

		for (double d = 16; d < 26; d += 0.25) {
			size_t atoms;
			/* 8 sqrt 2 edge^3 with (6 + 12 sqrt 3) edge^2 of surface */
			double e = d * sqrt(M_PI / (6 + 12 * sqrt(3)));

			free(make(d, (enum pn_start_shape)shape, atom, &atoms));
			found += (double)atoms;
			expected += 4 / pow(lattice_A, 3) *
				    (shape ? 8 * sqrt(2) * e * e * e : M_PI / 6 * d * d * d);
		}
		assert_true(fabs(found / expected - 1) < 0.03);
	}
}

static void test_bad(void **state)
{
	float *map = malloc(EDGE * EDGE * EDGE * sizeof *map);
	struct pn_error err = { 0 };

	(void)state;
	assert_non_null(map);
	assert_int_equal(
		pn_start_map(map, EDGE, 0.5, 3.92, 31, PN_START_SPHERE, atom, 0.5, NULL, &err),
		PN_EARG);
	assert_non_null(strstr(err.text, "reaches 31.0 px"));
	assert_int_equal(
		pn_start_map(map, EDGE, 0.5, 3.92, 1, PN_START_SPHERE, gap, 0.5, NULL, &err),
		PN_EARG);
	assert_non_null(strstr(err.text, "no atom"));
	assert_int_equal(
		pn_start_map(map, EDGE, 0.5, -1, 20, PN_START_SPHERE, atom, 0.5, NULL, &err),
		PN_EARG);
	assert_int_equal(pn_start_map(map, EDGE, 0.5, 3.92, (double)NAN, PN_START_SPHERE, atom, 0.5,
				      NULL, &err),
			 PN_EARG);
	free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shells),
		cmocka_unit_test(test_sum_and_symmetry),
		cmocka_unit_test(test_diameter),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
