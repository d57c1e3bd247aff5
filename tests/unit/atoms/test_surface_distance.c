/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Depths are the distances from the faces of a solid, and what a search through everything finds.
 */
#include "mesh_kit.h"

#define A_A 3.912

static double *room(size_t count)
{
	double *values = malloc((count + 1) * sizeof *values);

	assert_non_null(values);
	return values;
}

/* Inside a convex solid the nearest point of the surface is on the nearest face plane. */
static void depth_in_a_solid_is_that_below_its_faces(void **state)
{
	(void)state;
	static const enum pn_shape shape[] = { PN_SHAPE_OCTAHEDRON, PN_SHAPE_CUBOCTAHEDRON,
					       PN_SHAPE_TRUNCATED_OCTAHEDRON };

	for (int n = 0; n < 3; n++) {
		struct kit_model m = kit_solid(shape[n], 1400, A_A, 78), turned = kit_copy(&m);
		struct pn_surface s = mesh_surface(&m, A_A);
		struct pn_atoms atoms = kit_view(&m);
		double *depth = room(m.count), *again = room(m.count), h111 = 0, h100 = 0;

		for (size_t i = 0; i < m.count; i++) {
			const double *p = m.position_A[i];

			h100 = fmax(h100, fmax(fabs(p[0]), fmax(fabs(p[1]), fabs(p[2]))));
			h111 = fmax(h111, fabs(p[0]) + fabs(p[1]) + fabs(p[2]));
		}
		assert_int_equal(pn_surface_distance(&s, &atoms, depth, 1, NULL), PN_OK);
		for (size_t i = 0; i < m.count; i++) {
			const double *p = m.position_A[i];
			double d100 = h100 - fmax(fabs(p[0]), fmax(fabs(p[1]), fabs(p[2])));
			double d111 = (h111 - fabs(p[0]) - fabs(p[1]) - fabs(p[2])) / sqrt(3);

			kit_near(depth[i], fmin(d100, d111), 1e-13);
			assert_int_equal(depth[i] == 0, s.on_mesh[i]);
		}
		kit_turn(&turned, 5);
		atoms = kit_view(&turned);
		assert_int_equal(pn_surface_distance(&s, &atoms, again, 1, NULL), PN_OK);
		for (size_t i = 0; i < m.count; i++)
			kit_near(again[i], depth[i], 1e-12);
		pn_surface_free(&s);
		kit_free(&m);
		kit_free(&turned);
		free(depth);
		free(again);
	}
}

/* Nearest point of a triangle: the best of the foot on its plane, its edges and its corners. */
static double slow_distance_A(const double p[3], const double a[3], const double b[3],
			      const double c[3])
{
	const double *corner[] = { a, b, c, a };
	double u[3], v[3], w[3], best = INFINITY;

	for (int k = 0; k < 3; k++) {
		u[k] = b[k] - a[k];
		v[k] = c[k] - a[k];
		w[k] = p[k] - a[k];
	}
	double uu = mesh_dot(u, u), uv = mesh_dot(u, v), vv = mesh_dot(v, v);
	double wu = mesh_dot(w, u), wv = mesh_dot(w, v), det = uu * vv - uv * uv;
	double s = (vv * wu - uv * wv) / det, t = (uu * wv - uv * wu) / det;

	if (s >= 0 && t >= 0 && s + t <= 1) {
		for (int k = 0; k < 3; k++)
			w[k] -= s * u[k] + t * v[k];
		return sqrt(mesh_dot(w, w));
	}
	for (int e = 0; e < 3; e++) {
		for (int k = 0; k < 3; k++) {
			u[k] = corner[e + 1][k] - corner[e][k];
			w[k] = p[k] - corner[e][k];
		}
		double f = fmin(1, fmax(0, mesh_dot(w, u) / mesh_dot(u, u)));

		for (int k = 0; k < 3; k++)
			w[k] -= f * u[k];
		best = fmin(best, sqrt(mesh_dot(w, w)));
	}
	return best;
}

/* Thinned out, so that many atoms are off the mesh on either side of it. */
static void depth_is_the_least_of_all_triangles(void **state)
{
	(void)state;
	for (int n = 0; n < 3; n++) {
		struct kit_model m = n == 0   ? kit_gas(1500, 20, 78, 2)
				     : n == 1 ? kit_gas(400, 17, 78, 3)
					      : kit_solid(PN_SHAPE_SPHERE, 1500, A_A, 78);

		kit_shake(&m, 0.3, 4);
		struct pn_surface s = mesh_surface(&m, n == 1 ? 2.6 : 2.77);
		struct pn_atoms atoms = kit_view(&m);
		double *depth = room(m.count), *atom_depth = room(m.count);
		size_t off = 0;

		assert_true(s.triangles > 200);
		assert_int_equal(pn_surface_distance(&s, &atoms, depth, 1, NULL), PN_OK);
		assert_int_equal(pn_surface_atom_distance(&atoms, s.on_mesh, atom_depth, 1, NULL),
				 PN_OK);
		for (size_t i = 0; i < m.count; i++) {
			double(*p)[3] = m.position_A, best = INFINITY, nearest = INFINITY;

			for (size_t t = 0; t < s.triangles; t++) {
				const uint32_t *c = s.triangle[t];

				best = fmin(best, slow_distance_A(p[i], p[c[0]], p[c[1]], p[c[2]]));
			}
			for (size_t j = 0; j < m.count; j++) {
				double d[3] = { p[i][0] - p[j][0], p[i][1] - p[j][1],
						p[i][2] - p[j][2] };

				if (s.on_mesh[j])
					nearest = fmin(nearest, sqrt(mesh_dot(d, d)));
			}
			kit_near(depth[i], best, 1e-11);
			kit_near(atom_depth[i], nearest, 1e-13);
			assert_true(depth[i] <= atom_depth[i]);
			off += !s.on_mesh[i];
		}
		assert_true(off > 50);
		pn_surface_free(&s);
		kit_free(&m);
		free(depth);
		free(atom_depth);
	}
}

static void numbering_and_threads_change_nothing(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 2869, A_A, 78);

	kit_shake(&m, 0.1, 5);
	struct kit_model n = kit_copy(&m);
	uint32_t *from = malloc(m.count * sizeof *from);
	double *a = room(m.count), *b = room(m.count), *c = room(m.count);

	assert_non_null(from);
	kit_shuffle(&n, 6, from);
	kit_turn(&n, 7);
	for (int which = 0; which < 2; which++) {
		struct pn_surface s = mesh_surface(&m, 2.77), t = mesh_surface(&n, 2.77);
		struct pn_atoms atoms = kit_view(&m), others = kit_view(&n);

		for (int threads = 1; threads <= 3; threads++) {
			double *out = threads == 1 ? a : c;
			int rc = which ? pn_surface_distance(&s, &atoms, out, threads, NULL)
				       : pn_surface_atom_distance(&atoms, s.on_mesh, out, threads,
								  NULL);

			assert_int_equal(rc, PN_OK);
			if (threads > 1)
				assert_memory_equal(a, c, m.count * sizeof *a);
		}
		int rc = which ? pn_surface_distance(&t, &others, b, 1, NULL)
			       : pn_surface_atom_distance(&others, t.on_mesh, b, 1, NULL);

		assert_int_equal(rc, PN_OK);
		for (size_t i = 0; i < m.count; i++)
			kit_near(b[i], a[from[i]], 1e-11);
		pn_surface_free(&s);
		pn_surface_free(&t);
	}
	kit_free(&m);
	kit_free(&n);
	free(from);
	free(a);
	free(b);
	free(c);
}

static void without_a_surface_there_is_no_depth(void **state)
{
	(void)state;
	double p[5][3] = { { 0, 0, 0 }, { 2, 0, 0 }, { 0, 2, 0 }, { 2, 2, 0 }, { 9, 9, 9 } };
	double depth[5];
	uint8_t z[5] = { 78, 78, 78, 78, 78 }, marks[5] = { 0 };
	struct kit_model m = { p, z, 5 };
	struct pn_atoms atoms = kit_view(&m);
	struct pn_surface s = mesh_surface(&m, 2);

	assert_int_equal(s.triangles, 0);
	assert_int_equal(pn_surface_distance(&s, &atoms, depth, 1, NULL), PN_OK);
	for (int i = 0; i < 5; i++)
		assert_true(isnan(depth[i]));
	memset(depth, 0, sizeof depth);
	assert_int_equal(pn_surface_atom_distance(&atoms, marks, depth, 1, NULL), PN_OK);
	for (int i = 0; i < 5; i++)
		assert_true(isnan(depth[i]));
	marks[1] = 7;
	assert_int_equal(pn_surface_atom_distance(&atoms, marks, depth, 1, NULL), PN_OK);
	assert_true(depth[1] == 0 && depth[0] == 2 && depth[3] == 2);
	kit_near(depth[2], sqrt(8), 1e-15);
	memset(marks, 1, sizeof marks);
	assert_int_equal(pn_surface_atom_distance(&atoms, marks, depth, 1, NULL), PN_OK);
	for (int i = 0; i < 5; i++)
		assert_true(depth[i] == 0);
	pn_surface_free(&s);
	/* no atoms at all */
	m.count = atoms.count = 0;
	s = mesh_surface(&m, 2);
	assert_int_equal(pn_surface_distance(&s, &atoms, depth, 1, NULL), PN_OK);
	assert_int_equal(pn_surface_atom_distance(&atoms, marks, depth, 1, NULL), PN_OK);
	pn_surface_free(&s);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 55, A_A, 78);
	struct pn_atoms atoms = kit_view(&m);
	struct pn_surface s = mesh_surface(&m, 2.77);
	struct pn_error err = { 0 };
	double depth[55];

	assert_int_equal(pn_surface_distance(&s, &atoms, depth, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "threads"));
	assert_int_equal(pn_surface_atom_distance(&atoms, s.on_mesh, depth, -1, &err), PN_EARG);
	atoms.count = 54;
	assert_int_equal(pn_surface_distance(&s, &atoms, depth, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "54"));
	pn_surface_free(&s);
	kit_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depth_in_a_solid_is_that_below_its_faces),
		cmocka_unit_test(depth_is_the_least_of_all_triangles),
		cmocka_unit_test(numbering_and_threads_change_nothing),
		cmocka_unit_test(without_a_surface_there_is_no_depth),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
