/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside is where the solid angle of the mesh says so, also on rays through edges and corners. */
#include "mesh_kit.h"

#include "perrin/base/rng.h"

#define A_A    3.912
#define POINTS 4000

/* Solid angle of a triangle seen from a point (van Oosterom and Strackee, 1983). */
static double solid_angle(const double p[3], const double corner[3][3])
{
	double v[3][3], length[3], n[3];

	for (int c = 0; c < 3; c++) {
		for (int k = 0; k < 3; k++)
			v[c][k] = corner[c][k] - p[k];
		length[c] = sqrt(mesh_dot(v[c], v[c]));
	}
	mesh_cross(n, v[1], v[2]);
	return 2 *
	       atan2(mesh_dot(v[0], n),
		     length[0] * length[1] * length[2] + mesh_dot(v[0], v[1]) * length[2] +
			     mesh_dot(v[1], v[2]) * length[0] + mesh_dot(v[2], v[0]) * length[1]);
}

static double slow_winding(const struct pn_surface *s, const struct kit_model *m, const double p[3])
{
	double sum = 0, corner[3][3];

	for (size_t t = 0; t < s->triangles; t++) {
		for (int c = 0; c < 3; c++)
			memcpy(corner[c], m->position_A[s->triangle[t][c]], sizeof corner[c]);
		sum += solid_angle(p, (const double(*)[3])corner);
	}
	return sum / (4 * M_PI);
}

/* Sponges with holes, overhangs and several parts. */
static void is_where_the_solid_angle_is_full(void **state)
{
	(void)state;
	static double point[POINTS][3];
	static uint8_t inside[POINTS], again[POINTS];
	struct pn_rng rng;

	pn_rng_init(&rng, 4, 4);
	for (int n = 0; n < 3; n++) {
		struct kit_model m = n == 0   ? kit_gas(400, 16, 78, 2)
				     : n == 1 ? kit_gas(600, 14, 78, 3)
					      : kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);

		if (n == 2)
			kit_turn(&m, 2);
		struct pn_surface s = mesh_surface(&m, n == 0 ? 3.2 : 2.77);
		struct pn_atoms atoms = kit_view(&m);
		size_t in = 0;

		assert_true(s.triangles > 300);
		for (int i = 0; i < POINTS; i++)
			for (int k = 0; k < 3; k++)
				point[i][k] = m.position_A[i % 100][k] + 6 * pn_rng_gauss(&rng);
		assert_int_equal(pn_surface_inside(&s, &atoms, (const double(*)[3])point, POINTS,
						   inside, 1, NULL),
				 PN_OK);
		for (int i = 0; i < POINTS; i++) {
			double w = slow_winding(&s, &m, point[i]);

			assert_true(fabs(w - inside[i]) < 1e-6);
			in += inside[i];
		}
		assert_true(in > 300 && in < POINTS - 300);
		assert_int_equal(pn_surface_inside(&s, &atoms, (const double(*)[3])point, POINTS,
						   again, 2, NULL),
				 PN_OK);
		assert_memory_equal(inside, again, POINTS);
		pn_surface_free(&s);
		kit_free(&m);
	}
}

/* All rays of this grid run through atoms, along edges or along faces. */
static void rays_through_corners_count_once(void **state)
{
	(void)state;
	static double point[POINTS][3];
	static uint8_t inside[POINTS];

	for (int shape = PN_SHAPE_CUBOCTAHEDRON; shape <= PN_SHAPE_OCTAHEDRON; shape++) {
		struct kit_model m = kit_solid((enum pn_shape)shape, 309, A_A, 78);
		struct pn_surface s = mesh_surface(&m, A_A);
		struct pn_atoms atoms = kit_view(&m);
		double h100 = 0, h111 = 0;
		size_t in = 0, count = 0;

		for (size_t i = 0; i < m.count; i++) {
			const double *p = m.position_A[i];

			h100 = fmax(h100, fmax(fabs(p[0]), fmax(fabs(p[1]), fabs(p[2]))));
			h111 = fmax(h111, fabs(p[0]) + fabs(p[1]) + fabs(p[2]));
		}
		for (int x = -7; x <= 7; x++)
			for (int y = -7; y <= 7; y++)
				for (int z = -7; z <= 7; z++) {
					double *p = point[count++];

					p[0] = m.position_A[0][0] + x * A_A / 2;
					p[1] = m.position_A[0][1] + y * A_A / 2;
					p[2] = (z + 0.37) * A_A / 2;
				}
		assert_int_equal(pn_surface_inside(&s, &atoms, (const double(*)[3])point, count,
						   inside, 1, NULL),
				 PN_OK);
		for (size_t i = 0; i < count; i++) {
			const double *p = point[i];
			double d100 = h100 - fmax(fabs(p[0]), fmax(fabs(p[1]), fabs(p[2])));
			double d111 = h111 - fabs(p[0]) - fabs(p[1]) - fabs(p[2]);

			if (fabs(fmin(d100, d111)) > 1e-9)
				assert_int_equal(inside[i], fmin(d100, d111) > 0);
			in += inside[i];
		}
		assert_true(in > 50);
		pn_surface_free(&s);
		kit_free(&m);
	}
}

static void cavities_are_outside(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	double point[3][3] = { { 0, 0, 0 }, { 2 * A_A / 2, A_A / 2, A_A / 2 }, { 0, 0, 30 } };
	uint8_t inside[3];

	for (size_t i = 0; i < m.count; i++)
		if (mesh_dot(m.position_A[i], m.position_A[i]) < 1)
			memcpy(m.position_A[i], m.position_A[--m.count], 3 * sizeof(double));
	struct pn_surface s = mesh_surface(&m, 2.5);
	struct pn_atoms atoms = kit_view(&m);

	assert_int_equal(
		pn_surface_inside(&s, &atoms, (const double(*)[3])point, 3, inside, 1, NULL),
		PN_OK);
	assert_true(inside[0] == 0 && inside[1] == 1 && inside[2] == 0);
	pn_surface_free(&s);
	kit_free(&m);
}

static void the_share_of_points_is_the_volume(void **state)
{
	(void)state;
	enum { MANY = 400000 };
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 1000, A_A, 78);
	double(*point)[3] = malloc(MANY * sizeof *point), edge = 44, in = 0;
	uint8_t *inside = malloc(MANY);
	struct pn_rng rng;

	assert_true(point && inside);
	kit_shake(&m, 0.2, 1);
	struct pn_surface s = mesh_surface(&m, 2.77);
	struct pn_atoms atoms = kit_view(&m);

	pn_rng_init(&rng, 1, 1);
	for (int i = 0; i < 3 * MANY; i++)
		point[i / 3][i % 3] = edge * (pn_rng_uniform(&rng) - 0.5);
	assert_int_equal(
		pn_surface_inside(&s, &atoms, (const double(*)[3])point, MANY, inside, 2, NULL),
		PN_OK);
	for (int i = 0; i < MANY; i++)
		in += inside[i];
	double share = s.volume_A3 / (edge * edge * edge);

	assert_true(share > 0.1 && fabs(in / MANY - share) < 4.5 * sqrt(share / MANY));
	pn_surface_free(&s);
	kit_free(&m);
	free(point);
	free(inside);
}

static void empty_meshes_hold_nothing(void **state)
{
	(void)state;
	double p[3][3] = { { 0, 0, 0 }, { 2, 0, 0 }, { 0, 2, 0 } };
	uint8_t z[3] = { 78, 78, 78 }, inside[3] = { 9, 9, 9 };
	struct kit_model m = { p, z, 3 };
	struct pn_atoms atoms = kit_view(&m);
	struct pn_surface s = mesh_surface(&m, 2);
	struct pn_error err = { 0 };

	assert_int_equal(pn_surface_inside(&s, &atoms, (const double(*)[3])p, 3, inside, 1, &err),
			 PN_OK);
	assert_true(!inside[0] && !inside[1] && !inside[2]);
	assert_int_equal(pn_surface_inside(&s, &atoms, NULL, 0, inside, 1, &err), PN_OK);
	assert_int_equal(pn_surface_inside(&s, &atoms, (const double(*)[3])p, 3, inside, 0, &err),
			 PN_EARG);
	atoms.count = 2;
	assert_int_equal(pn_surface_inside(&s, &atoms, (const double(*)[3])p, 3, inside, 1, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "2 atoms"));
	pn_surface_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_where_the_solid_angle_is_full),
		cmocka_unit_test(rays_through_corners_count_once),
		cmocka_unit_test(cavities_are_outside),
		cmocka_unit_test(the_share_of_points_is_the_volume),
		cmocka_unit_test(empty_meshes_hold_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
