/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The area of the faces of a mesh by crystal family. */
#include "perrin/atoms/facet.h"

#include "kit.h"

#include "perrin/math/rotation.h"

#include <math.h>

static const double a_A = 3.912;
static const double upright[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };

static void check_areas(enum pn_shape shape, size_t count, double a111_A2, double a100_A2)
{
	struct kit_model model = kit_solid(shape, count, a_A, 78);
	struct pn_atoms atoms = kit_view(&model);
	struct pn_facet_areas areas;
	struct pn_surface surface;
	struct pn_error err = { 0 };

	if (pn_surface_build(&surface, &atoms, a_A / sqrt(2), 1, &err))
		fail_msg("%s", err.text);
	assert_int_equal(pn_facet_areas(&areas, &surface, &atoms, upright, 10, NULL), PN_OK);
	kit_near(areas.a111_A2, a111_A2, 1e-10);
	kit_near(areas.a100_A2, a100_A2, 1e-10);
	kit_near(areas.a110_A2, 0, 1e-10);
	kit_near(areas.other_A2, 0, 1e-10);
	pn_surface_free(&surface);
	kit_free(&model);
}

/* Cuboctahedron of edge L: 8 triangles and 6 squares; octahedron: 8 triangles. */
static void areas_of_faces_are_exact(void **state)
{
	(void)state;
	double d = a_A / sqrt(2), l = 4 * d, o = 7 * d;

	check_areas(PN_SHAPE_CUBOCTAHEDRON, 309, 2 * sqrt(3) * l * l, 6 * l * l);
	check_areas(PN_SHAPE_OCTAHEDRON, 344, 2 * sqrt(3) * o * o, 0);
}

/* One triangle turned through the unit triangle of directions, against plain dot products. */
static void a_triangle_goes_to_the_nearest_family(void **state)
{
	(void)state;
	double position[3][3];
	uint8_t element[3] = { 78, 78, 78 };
	uint32_t triangle[1][3] = { { 0, 1, 2 } };
	struct pn_atoms atoms = { (const double(*)[3])position, element, 3 };
	struct pn_surface surface = { .atoms = 3, .triangles = 1, .triangle = triangle };
	struct pn_rng rng;
	size_t seen[4] = { 0 };

	pn_rng_init(&rng, 4, 0);
	for (int pass = 0; pass < 2000; pass++) {
		double q[4], r[3][3], best = 0, n[3], limit;
		int kind = 0;
		struct pn_facet_areas areas;

		pn_quaternion_random(q, &rng);
		pn_quaternion_to_matrix(r, q);
		for (int k = 0; k < 3; k++) {
			position[0][k] = 0;
			position[1][k] = 2 * r[k][0];
			position[2][k] = 3 * r[k][1];
			n[k] = r[k][2];
		}
		for (int x = -1; x <= 1; x++)
			for (int y = -1; y <= 1; y++)
				for (int z = -1; z <= 1; z++) {
					int parts = x * x + y * y + z * z;
					double dot = parts ? (x * n[0] + y * n[1] + z * n[2]) /
								     sqrt(parts)
							   : 0;

					if (dot > best) {
						best = dot;
						kind = parts == 3 ? 0 : parts == 1 ? 1 : 2;
					}
				}
		limit = 27.6 * pn_rng_uniform(&rng);
		if (acos(best) * 180 / M_PI > limit)
			kind = 3;
		assert_int_equal(pn_facet_areas(&areas, &surface, &atoms, upright, limit, NULL),
				 PN_OK);
		const double all[4] = { areas.a111_A2, areas.a100_A2, areas.a110_A2,
					areas.other_A2 };

		for (int k = 0; k < 4; k++)
			kit_near(all[k], k == kind ? 3 : 0, 1e-12);
		assert_true(acos(best) * 180 / M_PI < 27.6);
		seen[kind]++;
	}
	for (int k = 0; k < 4; k++)
		assert_true(seen[k] > 100);
}

/* Halfway between {111} and {100}, however the crystal lies: {111}. */
static void ties_are_settled(void **state)
{
	(void)state;
	/* two edges across (1 + 1/sqrt 3, 1/sqrt 3, 1/sqrt 3) */
	const double s = 1 / sqrt(3), edge[2][3] = { { 0, 1, -1 }, { -2 * s, 1 + s, 1 + s } };
	double position[3][3] = { { 0 } };
	uint8_t element[3] = { 78, 78, 78 };
	uint32_t triangle[1][3] = { { 0, 1, 2 } };
	struct pn_atoms atoms = { (const double(*)[3])position, element, 3 };
	struct pn_surface surface = { .atoms = 3, .triangles = 1, .triangle = triangle };
	struct pn_rng rng;

	pn_rng_init(&rng, 5, 0);
	for (int pass = 0; pass < 200; pass++) {
		struct pn_facet_areas areas;
		double q[4], r[3][3];

		pn_quaternion_random(q, &rng);
		pn_quaternion_to_matrix(r, q);
		for (int i = 0; i < 2; i++)
			for (int k = 0; k < 3; k++)
				position[i + 1][k] = r[k][0] * edge[i][0] + r[k][1] * edge[i][1] +
						     r[k][2] * edge[i][2];
		assert_int_equal(
			pn_facet_areas(&areas, &surface, &atoms, (const double(*)[3])r, 90, NULL),
			PN_OK);
		assert_true(areas.a111_A2 > 1 && areas.a100_A2 == 0);
	}
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	double position[3][3] = { { 0 } }, bent[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0.1, 1 } };
	uint8_t element[3] = { 78, 78, 78 };
	struct pn_atoms atoms = { (const double(*)[3])position, element, 3 }, fewer = atoms;
	struct pn_surface empty = { .atoms = 3 };
	struct pn_facet_areas areas;
	struct pn_error err = { 0 };

	fewer.count = 2;
	assert_int_equal(pn_facet_areas(&areas, &empty, &atoms, (const double(*)[3])bent, 10, &err),
			 PN_EARG);
	bent[2][1] = NAN;
	assert_int_equal(pn_facet_areas(&areas, &empty, &atoms, (const double(*)[3])bent, 10, &err),
			 PN_EARG);
	assert_int_equal(pn_facet_areas(&areas, &empty, &atoms, upright, -1, &err), PN_EARG);
	assert_int_equal(pn_facet_areas(&areas, &empty, &atoms, upright, NAN, &err), PN_EARG);
	assert_int_equal(pn_facet_areas(&areas, &empty, &fewer, upright, 10, &err), PN_EARG);
	assert_int_equal(pn_facet_areas(&areas, &empty, &atoms, upright, 10, &err), PN_OK);
	assert_true(areas.a111_A2 == 0 && areas.other_A2 == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_of_faces_are_exact),
		cmocka_unit_test(a_triangle_goes_to_the_nearest_family),
		cmocka_unit_test(ties_are_settled),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
