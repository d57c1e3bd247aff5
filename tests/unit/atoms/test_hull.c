/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hulls have the volume of the solid and the published diameters; both alpha shapes agree. */
#include "mesh_kit.h"
#include "published.h"

#include "perrin/atoms/hull.h"
#include "perrin/base/rng.h"

#include <stdio.h>
#include <unistd.h>

#define A_A 3.912

static struct pn_hull hull_of(const struct kit_model *model)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_error err = { 0 };
	struct pn_hull h;
	size_t corners = 0;

	if (pn_hull_build(&h, &atoms, &err))
		fail_msg("%s", err.text);
	assert_int_equal(h.atoms, model->count);
	mesh_is_sound((const uint32_t(*)[3])h.triangle, h.triangles, h.atoms);
	for (size_t i = 0; i < h.atoms; i++)
		corners += h.on_hull[i];
	assert_int_equal(corners, h.corners);
	kit_near(h.diameter_A, cbrt(6 * h.volume_A3 / M_PI), 1e-15);
	return h;
}

static void perfect_solids_have_their_closed_forms(void **state)
{
	(void)state;
	for (int turned = 0; turned < 2; turned++) {
		struct kit_model cubo = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
		struct kit_model octa = kit_solid(PN_SHAPE_OCTAHEDRON, 891, A_A, 78);
		double l = 4 * A_A * M_SQRT1_2;

		if (turned) {
			kit_turn(&cubo, 1);
			kit_turn(&octa, 2);
			kit_shuffle(&cubo, 3, NULL);
		}
		struct pn_hull h = hull_of(&cubo);

		kit_near(h.volume_A3, 5 * sqrt(2) / 3 * l * l * l, 1e-11);
		kit_near(h.area_A2, (6 + 2 * sqrt(3)) * l * l, 1e-11);
		assert_true(h.corners >= 12);
		pn_hull_free(&h);
		l = 10 * A_A * M_SQRT1_2;
		h = hull_of(&octa);
		kit_near(h.volume_A3, sqrt(2) / 3 * l * l * l, 1e-11);
		kit_near(h.area_A2, 2 * sqrt(3) * l * l, 1e-11);
		assert_true(h.corners >= 6);
		pn_hull_free(&h);
		kit_free(&cubo);
		kit_free(&octa);
	}
}

/* Paper 004: structure I is 2.0 nm, III is 1.8 nm. */
static void platinum_crystals_have_the_published_diameters(void **state)
{
	(void)state;
	static const char *const names[] = { "models/pt_4d/stage1_docked_ATMS.pdb",
					     "models/pt_4d/stage3_docked_ATMS.pdb" };
	static const double volume[] = { 3995.675, 3211.056 }, diameter[] = { 19.6878, 18.304 };
	static const size_t count[] = { 314, 233 };

	for (int n = 0; n < 2; n++) {
		const char *path = testkit_data(names[n]);

		if (!path)
			skip();
		struct kit_model m = published_model(path, 1);
		struct pn_hull h = hull_of(&m);

		assert_int_equal(m.count, count[n]);
		assert_true(fabs(h.volume_A3 - volume[n]) <= 5e-4);
		assert_true(fabs(h.diameter_A - diameter[n]) <= (n ? 5e-4 : 5e-5));
		pn_hull_free(&h);
		kit_free(&m);
	}
}

/* A triangle is a face if all atoms are on one side of it. */
static void faces_are_those_with_nothing_outside(void **state)
{
	(void)state;
	struct kit_model m = kit_gas(60, 9, 78, 8);
	struct pn_hull h = hull_of(&m);
	uint32_t(*slow)[3] = malloc(60 * 60 * 60 * sizeof *slow);
	size_t count = 0;
	double volume = 0;

	assert_non_null(slow);
	for (uint32_t i = 0; i < m.count; i++)
		for (uint32_t j = i + 1; j < m.count; j++)
			for (uint32_t k = j + 1; k < m.count; k++) {
				double a[3], b[3], n[3], above = 0, below = 0;

				for (int x = 0; x < 3; x++) {
					a[x] = m.position_A[j][x] - m.position_A[i][x];
					b[x] = m.position_A[k][x] - m.position_A[i][x];
				}
				mesh_cross(n, a, b);
				for (size_t l = 0; l < m.count; l++) {
					double d = mesh_dot(n, m.position_A[l]) -
						   mesh_dot(n, m.position_A[i]);

					above += l != i && l != j && l != k && d > 0;
					below += l != i && l != j && l != k && d <= 0;
				}
				if (above > 0 && below > 0)
					continue;
				slow[count][0] = i;
				slow[count][1] = above > 0 ? k : j;
				slow[count++][2] = above > 0 ? j : k;
				volume += (above > 0 ? -1 : 1) * mesh_dot(n, m.position_A[i]) / 6;
			}
	mesh_sort(slow, count);
	mesh_sort(h.triangle, h.triangles);
	assert_int_equal(h.triangles, count);
	assert_memory_equal(h.triangle, slow, count * sizeof *slow);
	kit_near(h.volume_A3, volume, 1e-12);
	free(slow);
	pn_hull_free(&h);
	kit_free(&m);
}

static void hulls_do_not_depend_on_place_and_numbering(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 2000, A_A, 78), n;
	uint32_t *from = malloc(m.count * sizeof *from);

	assert_non_null(from);
	kit_shake(&m, 0.1, 1);
	n = kit_copy(&m);
	kit_shuffle(&n, 2, from);
	kit_turn(&n, 3);
	struct pn_hull a = hull_of(&m), b = hull_of(&n);

	kit_near(b.volume_A3, a.volume_A3, 1e-12);
	kit_near(b.area_A2, a.area_A2, 1e-12);
	for (size_t i = 0; i < m.count; i++)
		assert_int_equal(b.on_hull[i], a.on_hull[from[i]]);
	pn_hull_free(&a);
	pn_hull_free(&b);
	kit_free(&m);
	kit_free(&n);
	free(from);
}

/* ---- the alpha shape by Delaunay ----------------------------------------------------------- */

static void same_by_delaunay(const struct kit_model *m, double radius)
{
	struct pn_atoms atoms = kit_view(m);
	struct pn_surface a = mesh_surface(m, radius), b;
	struct pn_error err = { 0 };

	if (pn_surface_by_delaunay(&b, &atoms, radius, &err))
		fail_msg("%s", err.text);
	assert_int_equal(a.triangles, b.triangles);
	assert_true(!a.triangles ||
		    !memcmp(a.triangle, b.triangle, a.triangles * sizeof *a.triangle));
	assert_memory_equal(a.on_mesh, b.on_mesh, m->count);
	assert_true(a.area_A2 == b.area_A2 && a.volume_A3 == b.volume_A3);
	assert_true(b.radius_A == radius && b.atoms == m->count && b.corners == a.corners);
	pn_surface_free(&a);
	pn_surface_free(&b);
}

static void both_ways_make_the_same_surface(void **state)
{
	(void)state;
	static const double radius[] = { 2, 2.77, A_A };

	for (int shape = PN_SHAPE_SPHERE; shape <= PN_SHAPE_OCTAHEDRON; shape++) {
		struct kit_model m = kit_solid((enum pn_shape)shape, 800, A_A, 78);

		for (int disturbed = 0; disturbed < 3; disturbed++) {
			for (int r = 0; r < 3; r++)
				same_by_delaunay(&m, radius[r]);
			if (disturbed)
				kit_shake(&m, 0.2, 1);
			else
				kit_turn(&m, 2);
		}
		kit_free(&m);
	}
	struct kit_model gas = kit_gas(800, 14, 78, 1);

	for (int r = 0; r < 3; r++)
		same_by_delaunay(&gas, radius[r]);
	kit_free(&gas);
}

static void both_ways_agree_on_measured_models(void **state)
{
	(void)state;
	static const char *const names[] = { "models/pt_4d/stage1_docked_ATMS.pdb",
					     "models/hea/HEA18_2904.xyz" };

	for (int n = 0; n < 2; n++) {
		const char *path = testkit_data(names[n]);

		if (!path)
			skip();
		struct kit_model m = published_model(path, n == 0);

		same_by_delaunay(&m, 2.77);
		same_by_delaunay(&m, A_A);
		kit_free(&m);
	}
}

/* ---- odd models ---------------------------------------------------------------------------- */

static void is_empty(double (*p)[3], size_t count)
{
	static const uint8_t element[64];
	struct kit_model m = { p, (uint8_t *)element, count };
	struct pn_atoms atoms = kit_view(&m);

	for (int turned = 0; turned < 3; turned++) {
		struct pn_hull h = hull_of(&m);
		struct pn_surface s;

		assert_int_equal(h.triangles, 0);
		assert_true(h.volume_A3 == 0 && h.area_A2 == 0 && h.diameter_A == 0);
		pn_hull_free(&h);
		pn_hull_free(&h);
		assert_int_equal(pn_surface_by_delaunay(&s, &atoms, 3, NULL), PN_OK);
		assert_int_equal(s.triangles, 0);
		pn_surface_free(&s);
		kit_turn(&m, (uint64_t)turned);
	}
}

/* Also nothing reaches stderr. */
static void flat_models_have_no_hull(void **state)
{
	(void)state;
	double p[49][3] = { { 0 } };
	const char *path = testkit_path(testkit_tempdir(), "stderr");
	int kept = dup(STDERR_FILENO);
	size_t said;

	fflush(stderr);
	assert_true(kept >= 0 && freopen(path, "w", stderr));
	is_empty(p, 0);
	memset(p, 0, sizeof p);
	is_empty(p, 7); /* all at one place */
	for (size_t n = 1; n <= 3; n++) {
		for (size_t i = 0; i < n; i++)
			p[i][0] = 2.77 * (double)i, p[i][1] = p[i][2] = i == 2;
		is_empty(p, n);
	}
	for (size_t i = 0; i < 20; i++)
		p[i][0] = 2.77 * (double)i, p[i][1] = 1, p[i][2] = 5;
	is_empty(p, 20);
	for (size_t i = 0; i < 49; i++)
		p[i][0] = 2.77 * (double)(i % 7), p[i][1] = 2.77 * (double)(i / 7), p[i][2] = 0;
	is_empty(p, 49);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	free(testkit_read(path, &said));
	assert_int_equal(said, 0);
}

/* From a sheet to a body: nothing between is refused, and volume grows with the thickness. */
static void thin_models_are_measured(void **state)
{
	(void)state;
	double p[50][3];
	uint8_t element[50];
	struct kit_model m = { p, element, 50 };

	memset(element, 78, sizeof element);
	for (double h = 1e-12; h < 10; h *= 10) {
		for (size_t i = 0; i < 50; i++) {
			p[i][0] = 2.77 * (double)(i % 5);
			p[i][1] = 2.77 * (double)(i / 5 % 5);
			p[i][2] = i < 25 ? 0 : h;
		}
		struct pn_hull hull = hull_of(&m);
		double full = pow(4 * 2.77, 2) * h;

		assert_true(hull.volume_A3 == 0 ||
			    fabs(hull.volume_A3 - full) < 1e-12 + 1e-6 * full);
		assert_true(h < 1e-7 || hull.volume_A3 > 0);
		pn_hull_free(&hull);
	}
}

static void atoms_traced_twice_do_no_harm(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct pn_hull once = hull_of(&m), twice;

	for (size_t i = 0; i < 100; i++) /* 100 of the atoms thrice, others missing inside */
		if (mesh_dot(m.position_A[i + 100], m.position_A[i + 100]) < 20)
			memcpy(m.position_A[i + 100], m.position_A[i % 20], 3 * sizeof(double));
	twice = hull_of(&m);
	kit_near(twice.volume_A3, once.volume_A3, 1e-12);
	same_by_delaunay(&m, A_A);
	pn_hull_free(&once);
	pn_hull_free(&twice);
	kit_free(&m);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 55, A_A, 78);
	struct pn_atoms atoms = kit_view(&m);
	struct pn_error err = { 0 };
	struct pn_surface s;

	assert_int_equal(pn_surface_by_delaunay(&s, &atoms, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "radius"));
	pn_surface_free(&s);
	/* what Qhull says comes back as the error; only numbers that are none make it give up */
	m.position_A[7][1] = NAN;
	struct pn_hull h;

	assert_int_equal(pn_hull_build(&h, &atoms, &err), PN_EFORMAT);
	assert_non_null(strstr(err.text, "Qhull"));
	assert_null(strchr(err.text, '\n'));
	pn_hull_free(&h);
	kit_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perfect_solids_have_their_closed_forms),
		cmocka_unit_test(platinum_crystals_have_the_published_diameters),
		cmocka_unit_test(faces_are_those_with_nothing_outside),
		cmocka_unit_test(hulls_do_not_depend_on_place_and_numbering),
		cmocka_unit_test(both_ways_make_the_same_surface),
		cmocka_unit_test(both_ways_agree_on_measured_models),
		cmocka_unit_test(flat_models_have_no_hull),
		cmocka_unit_test(thin_models_are_measured),
		cmocka_unit_test(atoms_traced_twice_do_no_harm),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
