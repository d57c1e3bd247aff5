/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Curvature of meshes whose curvature is known; theorems that hold for every mesh. */
#include "perrin/atoms/curvature.h"

#include "bodies.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct results {
	double *mean, *gaussian, *area, (*normal)[3];
};

static struct results run(const struct mesh *m, int threads)
{
	size_t n = m->model.count;
	struct results r = { room(n, 8), room(n, 8), room(n, 8), room(n, 24) };
	struct pn_atoms atoms = kit_view(&m->model);
	struct pn_error err = { 0 };

	if (pn_curvature(r.mean, r.gaussian, r.area, r.normal, &m->surface, &atoms, threads, &err))
		fail_msg("%s", err.text);
	return r;
}

static void results_free(struct results *r)
{
	free(r->mean);
	free(r->gaussian);
	free(r->area);
	free(r->normal);
}

/* Area of the mesh by Heron's formula: nothing in common with the kernel. */
static double heron(const struct mesh *m)
{
	double sum = 0;

	for (size_t t = 0; t < m->surface.triangles; t++) {
		double side[3], s;

		for (int k = 0; k < 3; k++) {
			const double *p = m->model.position_A[m->surface.triangle[t][k]];
			const double *q = m->model.position_A[m->surface.triangle[t][(k + 1) % 3]];

			side[k] = sqrt(pow(p[0] - q[0], 2) + pow(p[1] - q[1], 2) +
				       pow(p[2] - q[2], 2));
		}
		s = (side[0] + side[1] + side[2]) / 2;
		sum += sqrt(fmax(0, s * (s - side[0]) * (s - side[1]) * (s - side[2])));
	}
	return sum;
}

static double total_gaussian(const struct results *r, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(r->area[i]))
			sum += r->gaussian[i] * r->area[i];
	return sum;
}

static double total_area(const struct results *r, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(r->area[i]))
			sum += r->area[i];
	return sum;
}

/* ------------------------------------------------------------------ known curvatures */

static double sphere_error(int levels, double radius)
{
	struct mesh m = sphere(levels, radius);
	struct results r = run(&m, 1);
	double worst = 0;

	for (size_t i = 0; i < m.model.count; i++) {
		const double *p = m.model.position_A[i];

		worst = fmax(worst, fabs(r.mean[i] * radius - 1));
		worst = fmax(worst, fabs(r.gaussian[i] * radius * radius - 1));
		for (int k = 0; k < 3; k++)
			worst = fmax(worst, fabs(r.normal[i][k] - p[k] / radius));
	}
	results_free(&r);
	mesh_free(&m);
	return worst;
}

/* H = 1/R and K = 1/R^2, and the error goes down with the square of the edges. */
static void a_sphere_has_one_over_r(void **state)
{
	(void)state;
	double coarse = sphere_error(2, 7), fine = sphere_error(4, 7);

	print_message("sphere: worst error %.2g at 162 atoms, %.2g at 2562\n", coarse, fine);
	assert_true(coarse < 0.05);
	assert_true(fine < coarse / 8);
	kit_near(sphere_error(4, 0.1), fine, 1e-9);
}

/*
 * Regular polygons: on a tube of n-gons the gradient and the area are known in closed form. The
 * apothem r cos(pi/n) sets the dihedral angles: H = sin(pi/n) / side = 1 / (2 r) for every n.
 */
static void a_tube_has_half_of_one_over_r(void **state)
{
	(void)state;
	for (size_t spokes = 5; spokes < 50; spokes += 14) {
		struct mesh m = tube(spokes, 7, 3, 1.1);
		struct results r = run(&m, 1);

		for (size_t i = 3 * spokes; i < 4 * spokes; i++) {
			kit_near(r.mean[i], 1 / 6.0, 1e-12);
			kit_near(r.gaussian[i], 0, 1e-12);
		}
		kit_near(total_gaussian(&r, m.model.count), 4 * M_PI, 1e-9);
		results_free(&r);
		mesh_free(&m);
	}
}

static double torus_error(size_t rings, int crosswise)
{
	double big = 10, small = 4, worst = 0;
	struct mesh m = torus(2 * rings, rings, big, small, crosswise);
	struct results r = run(&m, 1);

	for (size_t i = 0; i < m.model.count; i++) {
		const double *p = m.model.position_A[i];
		double c = (hypot(p[0], p[1]) - big) / small; /* cos v */
		double k = c / (small * (big + small * c));
		double h = (big + 2 * small * c) / (2 * small * (big + small * c));

		worst = fmax(worst, fabs(r.mean[i] - h));
		worst = fmax(worst, fabs(r.gaussian[i] - k));
	}
	kit_near(total_gaussian(&r, m.model.count), 0, 1e-9);
	results_free(&r);
	mesh_free(&m);
	return worst;
}

/*
 * H = (R + 2 r cos v) / (2 r (R + r cos v)), K = cos v / (r (R + r cos v)); sum K A = 0. The error
 * goes down with the square of the edges; by halves only where 4 and 8 triangles meet by turns.
 */
static void a_torus_has_both_signs(void **state)
{
	(void)state;
	double coarse = torus_error(24, 0), fine = torus_error(96, 0);
	double cross_coarse = torus_error(24, 1), cross_fine = torus_error(96, 1);

	print_message(
		"torus: worst error %.2g at 24 x 48, %.2g at 96 x 192; crosswise %.2g, %.2g\n",
		coarse, fine, cross_coarse, cross_fine);
	assert_true(coarse < 0.001);
	assert_true(fine < coarse / 12);
	assert_true(cross_coarse < 0.01);
	assert_true(cross_fine < cross_coarse / 3);
}

/* Inside flat facets 0 whatever the diagonals; edges and corners alike for all diagonals. */
static void diagonals_of_flat_facets_do_not_matter(void **state)
{
	(void)state;
	struct mesh m = cube(4, 1), other = cube(4, 2);
	struct results r = run(&m, 1), s = run(&other, 1);

	assert_memory_not_equal(m.surface.triangle, other.surface.triangle,
				m.surface.triangles * sizeof *m.surface.triangle);
	for (size_t i = 0; i < m.model.count; i++) {
		const double *p = m.model.position_A[i];
		int ends = 0;

		for (int k = 0; k < 3; k++)
			ends += p[k] < 0.5 || p[k] > 3.5;
		/* |g| = 0, |t1 + t2| = sqrt 2 and 1/2 |(1,1,1) * 2| = sqrt 3; areas 1, 1 and 3/4 */
		kit_near(r.mean[i],
			 ends == 1   ? 0
			 : ends == 2 ? sqrt(2) / 2
				     : sqrt(3) / (2 * 0.75),
			 1e-12);
		kit_near(r.gaussian[i], ends == 3 ? M_PI / 2 / 0.75 : 0, 1e-12);
		kit_near(r.area[i], ends == 3 ? 0.75 : 1, 1e-12);
		kit_near(s.mean[i], r.mean[i], 1e-12);
		kit_near(s.gaussian[i], r.gaussian[i], 1e-12);
	}
	results_free(&r);
	results_free(&s);
	mesh_free(&m);
	mesh_free(&other);
}

/* Turned inside out, everything that has a sign changes it. */
static void a_cavity_is_concave(void **state)
{
	(void)state;
	struct mesh m = sphere(2, 5);
	struct results r = run(&m, 1), s;

	for (size_t t = 0; t < m.surface.triangles; t++) {
		uint32_t *v = m.surface.triangle[t], swap = v[1];

		v[1] = v[2];
		v[2] = swap;
	}
	s = run(&m, 1);
	for (size_t i = 0; i < m.model.count; i++) {
		assert_true(r.mean[i] > 0);
		kit_near(s.mean[i], -r.mean[i], 1e-12);
		kit_near(s.gaussian[i], r.gaussian[i], 1e-12);
		kit_near(s.normal[i][0], -r.normal[i][0], 1e-12);
	}
	results_free(&r);
	results_free(&s);
	mesh_free(&m);
}

/* ------------------------------------------------------------------ theorems */

/* |dA/dx| = 2 |H| A by central differences of Heron's area, on a lumpy mesh. */
static void gradient_is_that_of_the_area(void **state)
{
	(void)state;
	struct mesh m = sphere(2, 5);
	double h = 1e-5;

	kit_shake(&m.model, 0.3, 4);
	struct results r = run(&m, 1);

	kit_near(total_area(&r, m.model.count), heron(&m), 1e-12);
	kit_near(total_gaussian(&r, m.model.count), 4 * M_PI, 1e-9);
	for (size_t i = 0; i < m.model.count; i += 3) {
		double g[3], length = 0, side = 0;

		for (int k = 0; k < 3; k++) {
			double *x = &m.model.position_A[i][k], was = *x, more, less;

			*x = was + h;
			more = heron(&m);
			*x = was - h;
			less = heron(&m);
			*x = was;
			g[k] = (more - less) / (2 * h);
			length += g[k] * g[k];
			side += g[k] * r.normal[i][k];
		}
		assert_true(fabs(2 * r.mean[i] * r.area[i] - copysign(sqrt(length), side)) < 1e-7);
	}
	results_free(&r);
	mesh_free(&m);
}

/* Two cubes that share a corner, and two that share an edge: as if they were apart. */
static void touching_sheets_are_taken_apart(void **state)
{
	(void)state;
	for (int shared = 1; shared <= 2; shared++)
		for (int pass = 0; pass < 4; pass++) {
			struct mesh one = cube(1, 3), m = mesh_make(16, 24);
			uint32_t as[8];

			for (uint32_t i = 0; i < 8; i++)
				add_point(&m, one.model.position_A[i][0],
					  one.model.position_A[i][1], one.model.position_A[i][2]);
			/* the second cube is the first shifted along (1, 1, 1) or (1, 1, 0) */
			for (uint32_t i = 0; i < 8; i++) {
				double p[3];

				for (int k = 0; k < 3; k++)
					p[k] = one.model.position_A[i][k] + (k < 2 || shared == 1);
				as[i] = UINT32_MAX;
				for (uint32_t j = 0; j < 8; j++)
					if (!memcmp(p, m.model.position_A[j], sizeof p))
						as[i] = j;
				if (as[i] == UINT32_MAX)
					as[i] = add_point(&m, p[0], p[1], p[2]);
			}
			assert_int_equal(m.model.count, 16 - shared);
			for (size_t t = 0; t < 24; t++) {
				/* both orders of the cubes, both orders of triangles */
				size_t at = pass & 1 ? 23 - t : t;
				int second = (at >= 12) ^ (pass >> 1);
				const uint32_t *v = one.surface.triangle[at % 12];

				if (second)
					add_triangle(&m, as[v[0]], as[v[1]], as[v[2]]);
				else
					add_triangle(&m, v[0], v[1], v[2]);
			}
			struct results r = run(&m, 1), alone = run(&one, 1);

			kit_near(total_gaussian(&r, m.model.count), 8 * M_PI, 1e-12);
			kit_near(total_area(&r, m.model.count), 12, 1e-12);
			for (uint32_t i = 0; i < 8; i++) {
				kit_near(r.mean[i] > 0, 1, 0);
				for (uint32_t j = 0; j < 8; j++)
					if (as[j] == i) {
						double area = alone.area[i] + alone.area[j];

						kit_near(r.area[i], area, 1e-12);
						kit_near(r.mean[i] * area,
							 alone.mean[i] * alone.area[i] +
								 alone.mean[j] * alone.area[j],
							 1e-12);
					}
			}
			results_free(&r);
			results_free(&alone);
			mesh_free(&one);
			mesh_free(&m);
		}
}

static void turned_and_renumbered(void **state)
{
	(void)state;
	struct mesh m = torus(40, 20, 10, 4, 1);
	size_t n = m.model.count;
	uint32_t *from = room(n, sizeof *from), *to = room(n, sizeof *to);

	kit_shake(&m.model, 0.2, 8);
	struct results r = run(&m, 1);

	kit_turn(&m.model, 3);
	kit_shuffle(&m.model, 4, from);
	for (uint32_t i = 0; i < n; i++)
		to[from[i]] = i;
	for (size_t t = 0; t < m.surface.triangles; t++) {
		uint32_t v[3];

		for (int k = 0; k < 3; k++)
			v[k] = to[m.surface.triangle[t][k]];
		for (int k = 0; k < 3; k++)
			m.surface.triangle[t][(k + (int)(t % 3)) % 3] = v[k];
	}
	struct results s = run(&m, 1), two = run(&m, 2);

	for (size_t i = 0; i < n; i++) {
		kit_near(s.mean[i], r.mean[from[i]], 1e-10);
		kit_near(s.gaussian[i], r.gaussian[from[i]], 1e-10);
		kit_near(s.area[i], r.area[from[i]], 1e-10);
	}
	assert_memory_equal(s.mean, two.mean, n * sizeof *s.mean);
	assert_memory_equal(s.gaussian, two.gaussian, n * sizeof *s.gaussian);
	assert_memory_equal(s.area, two.area, n * sizeof *s.area);
	assert_memory_equal(s.normal, two.normal, n * sizeof *s.normal);
	results_free(&r);
	results_free(&s);
	results_free(&two);
	free(from);
	free(to);
	mesh_free(&m);
}

/* ------------------------------------------------------------------ meshes of atoms */

static struct results run_model(const struct kit_model *model, double radius_A,
				struct pn_surface *surface)
{
	size_t n = model->count;
	struct results r = { room(n, 8), room(n, 8), room(n, 8), room(n, 24) };
	struct pn_atoms atoms = kit_view(model);
	struct pn_error err = { 0 };

	if (pn_surface_build(surface, &atoms, radius_A, 1, &err) ||
	    pn_curvature(r.mean, r.gaussian, r.area, r.normal, surface, &atoms, 1, &err))
		fail_msg("%s", err.text);
	return r;
}

/* Squares of {100} facets are cut by the numbering: the curvature must not see how. */
static void perfect_crystals_have_flat_facets(void **state)
{
	(void)state;
	double a_A = 3.912, d = a_A / sqrt(2);
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, a_A, 78);
	struct kit_model other = kit_copy(&model);
	uint32_t *from = room(model.count, sizeof *from);
	size_t flat = 0, on = 0;

	kit_turn(&other, 1);
	kit_shuffle(&other, 2, from);

	struct pn_surface surface, second;
	struct results r = run_model(&model, d, &surface), s = run_model(&other, d, &second);

	for (size_t i = 0; i < model.count; i++) {
		uint32_t j = from[i];

		kit_near(s.mean[i], r.mean[j], 1e-10);
		kit_near(s.gaussian[i], r.gaussian[j], 1e-10);
		kit_near(s.area[i], r.area[j], 1e-10);
		assert_int_equal(isnan(r.mean[i]), !surface.on_mesh[i]);
		flat += fabs(r.mean[i]) < 1e-12 && fabs(r.gaussian[i]) < 1e-12;
		on += surface.on_mesh[i];
	}
	assert_int_equal(on, 162);
	assert_int_equal(flat, 24 + 54); /* 3 inside each triangle, 9 inside each square */
	kit_near(total_gaussian(&r, model.count), 4 * M_PI, 1e-9);
	kit_near(total_area(&r, model.count), (6 + 2 * sqrt(3)) * 16 * d * d, 1e-10);
	results_free(&r);
	results_free(&s);
	pn_surface_free(&surface);
	pn_surface_free(&second);
	free(from);
	kit_free(&model);
	kit_free(&other);
}

/* However the mesh touches itself: taken apart it is closed, so sum K A / 2 pi is even. */
static void rough_models_obey_gauss_and_bonnet(void **state)
{
	(void)state;
	size_t pinched = 0;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct kit_model model = kit_gas(200 + 10 * seed, 14, 78, seed);
		struct pn_surface surface;
		struct results r = run_model(&model, 2.6 + 0.02 * (double)seed, &surface);
		double euler = total_gaussian(&r, model.count) / (2 * M_PI);
		long corners = 0;

		for (size_t i = 0; i < model.count; i++)
			corners += surface.on_mesh[i];
		/* V - T / 2 without taking apart: less where sheets touch */
		pinched += corners - (long)surface.triangles / 2 != lround(euler);
		assert_true(fabs(euler - 2 * round(euler / 2)) < 1e-8);
		kit_near(total_area(&r, model.count), surface.area_A2, 1e-10);
		results_free(&r);
		pn_surface_free(&surface);
		kit_free(&model);
	}
	print_message("%zu of 40 meshes touch themselves\n", pinched);
	assert_true(pinched > 10);
}

/* ------------------------------------------------------------------ what is off */

static void degenerate_triangles_are_passed_over(void **state)
{
	(void)state;
	/* a tetrahedron, one edge of which is split by a point: a triangle of no area fills the gap
	 */
	struct mesh m = mesh_make(5, 6);

	add_point(&m, 0, 0, 0);
	add_point(&m, 2, 0, 0);
	add_point(&m, 0, 2, 0);
	add_point(&m, 0, 0, 2);
	add_point(&m, 1, 0, 0);
	add_triangle(&m, 0, 2, 4);
	add_triangle(&m, 4, 2, 1);
	add_triangle(&m, 0, 1, 3);
	add_triangle(&m, 0, 4, 1); /* flat */
	add_triangle(&m, 0, 3, 2);
	add_triangle(&m, 1, 2, 3);
	struct results r = run(&m, 1);

	for (size_t i = 0; i < 5; i++)
		assert_true(isfinite(r.mean[i]) && isfinite(r.gaussian[i]) && r.area[i] > 0);
	kit_near(total_gaussian(&r, 5), 4 * M_PI, 1e-12);
	kit_near(total_area(&r, 5), heron(&m), 1e-12);
	results_free(&r);
	/* all points at one place: no area anywhere */
	memset(m.model.position_A, 0, 5 * sizeof *m.model.position_A);
	r = run(&m, 1);
	for (size_t i = 0; i < 5; i++)
		assert_true(isnan(r.mean[i]) && isnan(r.gaussian[i]) && isnan(r.normal[i][0]));
	results_free(&r);
	mesh_free(&m);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct mesh m = sphere(0, 3);
	struct pn_atoms atoms = kit_view(&m.model), none = { NULL, NULL, 0 };
	struct pn_error err = { 0 };
	double h[12], k[12];

	assert_int_equal(pn_curvature(h, k, NULL, NULL, &m.surface, &atoms, 0, &err), PN_EARG);
	m.surface.atoms--;
	assert_int_equal(pn_curvature(h, k, NULL, NULL, &m.surface, &atoms, 1, &err), PN_EARG);
	m.surface.atoms++;
	m.surface.triangles--;
	assert_int_equal(pn_curvature(h, k, NULL, NULL, &m.surface, &atoms, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "open"));
	m.surface.triangles = 0;
	assert_int_equal(pn_curvature(h, k, NULL, NULL, &m.surface, &atoms, 1, &err), PN_OK);
	for (int i = 0; i < 12; i++)
		assert_true(isnan(h[i]) && isnan(k[i]));
	m.surface.triangles = 20;
	m.surface.triangle[3][1] = 12;
	assert_int_equal(pn_curvature(h, k, NULL, NULL, &m.surface, &atoms, 1, &err), PN_EARG);
	m.surface.triangle[3][1] = m.surface.triangle[3][0];
	assert_int_equal(pn_curvature(h, k, NULL, NULL, &m.surface, &atoms, 1, &err), PN_EARG);
	m.surface.atoms = m.surface.triangles = 0;
	assert_int_equal(pn_curvature(h, k, NULL, NULL, &m.surface, &none, 1, &err), PN_OK);
	mesh_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sphere_has_one_over_r),
		cmocka_unit_test(a_tube_has_half_of_one_over_r),
		cmocka_unit_test(a_torus_has_both_signs),
		cmocka_unit_test(diagonals_of_flat_facets_do_not_matter),
		cmocka_unit_test(a_cavity_is_concave),
		cmocka_unit_test(gradient_is_that_of_the_area),
		cmocka_unit_test(touching_sheets_are_taken_apart),
		cmocka_unit_test(turned_and_renumbered),
		cmocka_unit_test(perfect_crystals_have_flat_facets),
		cmocka_unit_test(rough_models_obey_gauss_and_bonnet),
		cmocka_unit_test(degenerate_triangles_are_passed_over),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
