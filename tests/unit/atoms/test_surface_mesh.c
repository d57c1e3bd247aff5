/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Surfaces of odd models are closed or empty, and the same however a model is numbered and turned.
 */
#include "mesh_kit.h"

#define A_A 3.912

/* ---- odd models ---------------------------------------------------------------------------- */

static void has_no_surface(double (*p)[3], size_t count)
{
	static const uint8_t element[64];
	struct kit_model m = { p, (uint8_t *)element, count };
	static const double radius[] = { 1, 2.77, 3.912, 50 };

	for (int turned = 0; turned < 3; turned++) {
		for (int r = 0; r < 4; r++) {
			struct pn_surface s = mesh_surface(&m, radius[r]);

			assert_int_equal(s.triangles, 0);
			assert_int_equal(s.corners, 0);
			assert_true(s.area_A2 == 0 && s.volume_A3 == 0);
			pn_surface_free(&s);
		}
		kit_turn(&m, (uint64_t)turned + count);
	}
}

static void flat_models_have_no_surface(void **state)
{
	(void)state;
	double p[64][3] = { { 0 } };

	has_no_surface(p, 0);
	memset(p, 0, sizeof p);
	has_no_surface(p, 10); /* all at one place */
	for (size_t n = 1; n <= 9; n += n < 4 ? 1 : 5) {
		for (size_t i = 0; i < n; i++)
			p[i][0] = 2.77 * (double)i, p[i][1] = p[i][2] = i == 2;
		has_no_surface(p, n < 3 ? n : 3);
		for (size_t i = 0; i < n; i++)
			p[i][0] = 2.77 * (double)i, p[i][1] = 1, p[i][2] = 5;
		has_no_surface(p, n);
	}
	for (size_t i = 0; i < 49; i++) /* square lattice: four on each circle */
		p[i][0] = 2.77 * (double)(i % 7), p[i][1] = 2.77 * (double)(i / 7), p[i][2] = 0;
	has_no_surface(p, 49);
	for (size_t i = 0; i < 49; i++) /* triangular lattice */
		p[i][0] = 2.77 * ((double)(i % 7) + 0.5 * (double)(i / 7)),
		p[i][1] = 2.77 * sqrt(0.75) * (double)(i / 7), p[i][2] = 3;
	has_no_surface(p, 49);
	for (size_t i = 0; i < 24; i++) /* all on one circle */
		p[i][0] = 2.7 * cos((double)i), p[i][1] = 2.7 * sin((double)i), p[i][2] = 0;
	has_no_surface(p, 24);
}

static struct kit_model with_room(const struct kit_model *m, size_t more)
{
	struct kit_model big = { malloc((m->count + more) * sizeof *m->position_A),
				 malloc(m->count + more), m->count };

	assert_true(big.position_A && big.element);
	memcpy(big.position_A, m->position_A, m->count * sizeof *m->position_A);
	memset(big.element, 78, m->count + more);
	return big;
}

/* Lone atoms, chains and sheets change nothing; a second particle adds itself. */
static void parts_add_up(void **state)
{
	(void)state;
	struct kit_model one = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 147, A_A, 78);
	struct kit_model all = with_room(&one, one.count + 36);
	struct pn_surface s = mesh_surface(&one, A_A), sum;

	for (size_t i = 0; i < 25; i++) {
		double *p = all.position_A[all.count++];

		p[0] = 40;
		p[1] = 2.77 * (double)(i % 5);
		p[2] = 2.77 * (double)(i / 5);
	}
	for (size_t i = 0; i < 11; i++) {
		double *p = all.position_A[all.count++];

		p[0] = p[1] = 0;
		p[2] = 20 + 2.77 * (double)(i + (i > 8));
	}
	sum = mesh_surface(&all, A_A);
	assert_int_equal(sum.triangles, s.triangles);
	kit_near(sum.volume_A3, s.volume_A3, 1e-12);
	kit_near(sum.area_A2, s.area_A2, 1e-12);
	assert_memory_equal(sum.on_mesh, s.on_mesh, one.count);
	pn_surface_free(&sum);
	for (size_t i = 0; i < one.count; i++) {
		double *p = all.position_A[all.count++];

		memcpy(p, one.position_A[i], 3 * sizeof *p);
		p[0] -= 60;
	}
	kit_turn(&all, 4);
	sum = mesh_surface(&all, A_A);
	kit_near(sum.volume_A3, 2 * s.volume_A3, 1e-11);
	kit_near(sum.area_A2, 2 * s.area_A2, 1e-11);
	assert_int_equal(sum.corners, 2 * s.corners);
	pn_surface_free(&sum);
	pn_surface_free(&s);
	kit_free(&one);
	kit_free(&all);
}

static void atoms_traced_twice_do_no_harm(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct kit_model twice = with_room(&m, m.count);
	struct pn_surface s;

	for (size_t i = 0; i < m.count; i++)
		memcpy(twice.position_A[twice.count++], m.position_A[i], 3 * sizeof(double));
	kit_shuffle(&twice, 1, NULL);
	s = mesh_surface(&twice, A_A);
	kit_near(s.volume_A3, 3192.973148, 2e-10);
	kit_near(s.area_A2, 1158.689506, 5e-10);
	assert_int_equal(s.corners, 162);
	pn_surface_free(&s);
	/* nearly twice: shift by less than, about, and more than what breaks ties */
	for (double shift = 1e-9; shift < 1; shift *= 10) {
		struct kit_model near = kit_copy(&twice);

		kit_shake(&near, shift, 2);
		s = mesh_surface(&near, A_A);
		kit_near(s.volume_A3, 3192.973148, 0.5 * shift);
		pn_surface_free(&s);
		kit_free(&near);
	}
	kit_free(&m);
	kit_free(&twice);
}

/* ---- invariance ---------------------------------------------------------------------------- */

static void nothing_depends_on_numbering_and_place(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 2406, A_A, 78);

	kit_shake(&m, 0.1, 5);
	struct kit_model n = kit_copy(&m);
	uint32_t *from = malloc(m.count * sizeof *from);

	assert_non_null(from);
	kit_shuffle(&n, 6, from);
	kit_turn(&n, 7);
	struct pn_surface a = mesh_surface(&m, 2.77), b = mesh_surface(&n, 2.77);

	kit_near(b.volume_A3, a.volume_A3, 1e-12);
	kit_near(b.area_A2, a.area_A2, 1e-12);
	for (size_t i = 0; i < m.count; i++)
		assert_int_equal(b.on_mesh[i], a.on_mesh[from[i]]);
	for (size_t t = 0; t < b.triangles; t++)
		for (int k = 0; k < 3; k++)
			b.triangle[t][k] = from[b.triangle[t][k]];
	mesh_sort(b.triangle, b.triangles);
	assert_int_equal(a.triangles, b.triangles);
	assert_memory_equal(a.triangle, b.triangle, a.triangles * sizeof *a.triangle);
	pn_surface_free(&b);
	for (size_t i = 0; i < 3 * m.count; i++)
		m.position_A[i / 3][i % 3] *= 1.5;
	b = mesh_surface(&m, 1.5 * 2.77);
	kit_near(b.volume_A3, 3.375 * a.volume_A3, 1e-12);
	kit_near(b.area_A2, 2.25 * a.area_A2, 1e-12);
	pn_surface_free(&a);
	pn_surface_free(&b);
	kit_free(&m);
	kit_free(&n);
	free(from);
}

static void threads_change_no_byte(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 6000, A_A, 78);

	for (int shaken = 0; shaken < 2; shaken++) {
		struct pn_atoms atoms = kit_view(&m);
		struct pn_surface a = mesh_surface(&m, 2.77), b;

		for (int threads = 2; threads <= 3; threads++) {
			assert_int_equal(pn_surface_build(&b, &atoms, 2.77, threads, NULL), PN_OK);
			assert_int_equal(a.triangles, b.triangles);
			assert_memory_equal(a.triangle, b.triangle,
					    a.triangles * sizeof *a.triangle);
			assert_memory_equal(&a.area_A2, &b.area_A2, sizeof a.area_A2);
			assert_memory_equal(&a.volume_A3, &b.volume_A3, sizeof a.volume_A3);
			pn_surface_free(&b);
		}
		pn_surface_free(&a);
		kit_shake(&m, 0.3, 9);
	}
	kit_free(&m);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	static const double radius[] = { 0, -1, NAN, INFINITY };
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 55, A_A, 78);
	struct pn_atoms atoms = kit_view(&m);
	struct pn_surface s;
	struct pn_error err = { 0 };

	for (int r = 0; r < 4; r++) {
		assert_int_equal(pn_surface_build(&s, &atoms, radius[r], 1, &err), PN_EARG);
		assert_non_null(strstr(err.text, "radius"));
		pn_surface_free(&s);
	}
	assert_int_equal(pn_surface_build(&s, &atoms, 3, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "threads"));
	pn_surface_free(&s);
	pn_surface_free(&s);
	kit_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flat_models_have_no_surface),
		cmocka_unit_test(parts_add_up),
		cmocka_unit_test(atoms_traced_twice_do_no_harm),
		cmocka_unit_test(nothing_depends_on_numbering_and_place),
		cmocka_unit_test(threads_change_no_byte),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
