/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The alpha shape has the area and volume of the solid, and is what its definition says. */
#include "mesh_kit.h"
#include "published.h"

#include <libqhull_r/qhull_ra.h>

#define A_A 3.912

/* ---- closed forms -------------------------------------------------------------------------- */

struct solid {
	enum pn_shape shape;
	size_t count;
	double edge, cut; /* in nearest-neighbour distances; cut off each vertex of an octahedron */
	size_t corners;   /* atoms in the outermost layer */
};

static const struct solid solids[] = {
	{ PN_SHAPE_CUBOCTAHEDRON, 309, 4, 0, 162 },
	{ PN_SHAPE_CUBOCTAHEDRON, 13, 1, 0, 12 },
	{ PN_SHAPE_CUBOCTAHEDRON, 1415, 7, 0, 492 },
	{ PN_SHAPE_OCTAHEDRON, 6, 1, 0, 6 },
	{ PN_SHAPE_OCTAHEDRON, 146, 5, 0, 102 },
	{ PN_SHAPE_OCTAHEDRON, 891, 10, 0, 402 },
	{ PN_SHAPE_TRUNCATED_OCTAHEDRON, 38, 3, 1, 32 },
	{ PN_SHAPE_TRUNCATED_OCTAHEDRON, 201, 6, 2, 122 },
	{ PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, 9, 3, 272 },
};

/* Volume and area of a solid with nearest neighbours at d. */
static void closed_form(const struct solid *s, double d, double *volume, double *area)
{
	double l = s->edge * d, c = s->cut * d;

	if (s->shape == PN_SHAPE_CUBOCTAHEDRON) {
		*volume = 5 * sqrt(2) / 3 * l * l * l;
		*area = (6 + 2 * sqrt(3)) * l * l;
	} else {
		/* each cut takes half an octahedron: four triangles away, a square new */
		*volume = sqrt(2) / 3 * (l * l * l - 3 * c * c * c);
		*area = 2 * sqrt(3) * (l * l - 3 * c * c) + 6 * c * c;
	}
}

static void perfect_solids_have_their_closed_forms(void **state)
{
	(void)state;
	static const double radius[] = { A_A * M_SQRT1_2, A_A };

	for (size_t n = 0; n < sizeof solids / sizeof *solids; n++)
		for (int turned = 0; turned < 2; turned++)
			for (int r = 0; r < 2; r++) {
				const struct solid *want = &solids[n];
				struct kit_model m = kit_solid(want->shape, want->count, A_A, 78);
				double volume, area;

				assert_int_equal(m.count, want->count);
				if (turned) {
					kit_turn(&m, n + 1);
					kit_shuffle(&m, n + 1, NULL);
				}
				struct pn_surface s = mesh_surface(&m, radius[r]);

				closed_form(want, A_A * M_SQRT1_2, &volume, &area);
				kit_near(s.volume_A3, volume, 1e-11);
				kit_near(s.area_A2, area, 1e-11);
				kit_near(pn_surface_sphericity(&s),
					 cbrt(36 * M_PI * volume * volume) / area, 1e-11);
				assert_int_equal(s.corners, want->corners);
				pn_surface_free(&s);
				kit_free(&m);
			}
}

static void cuboctahedron_309_has_the_known_numbers(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct pn_surface s = mesh_surface(&m, A_A * M_SQRT1_2);

	kit_near(s.volume_A3, 3192.973148, 2e-10);
	kit_near(s.area_A2, 1158.689506, 5e-10);
	kit_near(pn_surface_sphericity(&s), 0.90499718, 5e-9);
	assert_int_equal(s.corners, 162);
	assert_int_equal(s.triangles, 2 * 162 - 4); /* Euler */
	pn_surface_free(&s);
	kit_free(&m);
}

/* A regular tetrahedron has circumradius d sqrt(3/8); an octahedral hole opens below a/2. */
static void cells_fill_from_their_circumradius_on(void **state)
{
	(void)state;
	double d = 2.7, r = d * sqrt(0.375);
	double p[4][3] = { { 1, 1, 1 }, { 1, -1, -1 }, { -1, 1, -1 }, { -1, -1, 1 } };
	uint8_t z[4] = { 78, 78, 78, 78 };
	struct kit_model m = { p, z, 4 };

	for (int i = 0; i < 12; i++)
		p[i / 3][i % 3] *= d / sqrt(8);
	struct pn_surface s = mesh_surface(&m, r);

	assert_int_equal(s.triangles, 4);
	kit_near(s.volume_A3, d * d * d / (6 * M_SQRT2), 1e-12);
	kit_near(s.area_A2, sqrt(3) * d * d, 1e-12);
	pn_surface_free(&s);
	s = mesh_surface(&m, r * (1 - 2e-6));
	assert_int_equal(s.triangles, 0);
	assert_true(s.area_A2 == 0 && s.volume_A3 == 0 && isnan(pn_surface_sphericity(&s)));
	pn_surface_free(&s);

	struct kit_model o = kit_solid(PN_SHAPE_OCTAHEDRON, 344, A_A, 78);
	struct pn_surface closed = mesh_surface(&o, A_A / 2);
	struct pn_surface open = mesh_surface(&o, A_A / 2 * (1 - 2e-6));
	double volume = sqrt(2) / 3 * pow(7 * A_A * M_SQRT1_2, 3);

	kit_near(closed.volume_A3, volume, 1e-11);
	/* only tetrahedra stay: the solid is n (2 n^2 + 1) / 3 = 231 octahedra for an edge of n =
	 * 7, and 4 (n^3 - 231) = 448 tetrahedra, a quarter of an octahedron each; none share a face
	 */
	d = A_A * M_SQRT1_2;
	kit_near(open.volume_A3, 448 * d * d * d / (6 * M_SQRT2), 1e-11);
	kit_near(open.area_A2, 448 * sqrt(3) * d * d, 1e-11);
	pn_surface_free(&open);
	pn_surface_free(&closed);
	kit_free(&o);
}

/*
 * A vacancy holds a probe smaller than d: the hole is the cuboctahedron of its 12 neighbours. A
 * probe of d is just kept out.
 */
static void vacancies_are_cavities(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 923, A_A, 78);
	double d = A_A * M_SQRT1_2, outer[2], inner[2];
	const struct solid whole = { PN_SHAPE_CUBOCTAHEDRON, 923, 6, 0, 362 };
	size_t at = 0;

	for (size_t i = 0; i < m.count; i++)
		if (mesh_dot(m.position_A[i], m.position_A[i]) < 1)
			at = i;
	memcpy(m.position_A[at], m.position_A[--m.count], 3 * sizeof(double));
	closed_form(&whole, d, &outer[0], &outer[1]);
	closed_form(&solids[1], d, &inner[0], &inner[1]);
	for (int turned = 0; turned < 2; turned++) {
		struct pn_surface s = mesh_surface(&m, 0.9 * d);

		kit_near(s.volume_A3, outer[0] - inner[0], 1e-11);
		kit_near(s.area_A2, outer[1] + inner[1], 1e-11);
		assert_int_equal(s.corners, 362 + 12);
		pn_surface_free(&s);
		s = mesh_surface(&m, d);
		kit_near(s.volume_A3, outer[0], 1e-11);
		assert_int_equal(s.corners, 362);
		pn_surface_free(&s);
		kit_turn(&m, 3);
	}
	kit_free(&m);
}

/* ---- definition ---------------------------------------------------------------------------- */

/* Centre of the ball of radius r through three points, on the side of (q - p) x (s - p). */
static int ball(double center[3], const double p[3], const double q[3], const double s[3], double r)
{
	double a[3], b[3], n[3], u[3], v[3], c2 = 0;

	for (int k = 0; k < 3; k++) {
		a[k] = q[k] - p[k];
		b[k] = s[k] - p[k];
	}
	mesh_cross(n, a, b);
	mesh_cross(u, b, n);
	mesh_cross(v, n, a);
	double n2 = mesh_dot(n, n);

	for (int k = 0; k < 3; k++) {
		center[k] = (mesh_dot(a, a) * u[k] + mesh_dot(b, b) * v[k]) / (2 * n2);
		c2 += center[k] * center[k];
	}
	if (c2 > r * r)
		return 0;
	for (int k = 0; k < 3; k++)
		center[k] += p[k] + sqrt((r * r - c2) / n2) * n[k];
	return 1;
}

static int is_empty(const struct kit_model *m, const double center[3], double r, size_t i, size_t j,
		    size_t k)
{
	for (size_t n = 0; n < m->count; n++) {
		double d2 = 0;

		for (int x = 0; x < 3; x++)
			d2 += pow(m->position_A[n][x] - center[x], 2);
		if (d2 < r * r && n != i && n != j && n != k)
			return 0;
	}
	return 1;
}

/* All triangles with just one empty ball, by trying all atoms for all triangles. */
static void is_what_the_definition_says(void **state)
{
	(void)state;
	static const double radius[] = { 1.8, 2.5, 3, 5, 30 };
	struct kit_model m = kit_gas(70, 6.5, 78, 3);
	uint32_t(*slow)[3] = malloc(70 * 70 * 70 * sizeof *slow);
	size_t total = 0;

	assert_non_null(slow);
	for (int r = 0; r < 5; r++) {
		size_t count = 0;
		double c[3], rr = radius[r] * (1 + 1e-6);

		for (uint32_t i = 0; i < m.count; i++)
			for (uint32_t j = i + 1; j < m.count; j++)
				for (uint32_t k = j + 1; k < m.count; k++) {
					double(*p)[3] = m.position_A;
					int up = ball(c, p[i], p[j], p[k], rr) &&
						 is_empty(&m, c, rr, i, j, k);
					int down = ball(c, p[i], p[k], p[j], rr) &&
						   is_empty(&m, c, rr, i, j, k);

					if (up == down)
						continue;
					slow[count][0] = i;
					slow[count][1] = up ? j : k;
					slow[count++][2] = up ? k : j;
				}
		mesh_sort(slow, count);
		struct pn_surface s = mesh_surface(&m, radius[r]);

		assert_int_equal(s.triangles, count);
		assert_true(!count || !memcmp(s.triangle, slow, count * sizeof *slow));
		total += count;
		pn_surface_free(&s);
	}
	assert_true(total > 300);
	free(slow);
	kit_free(&m);
}

/* ---- Delaunay by Qhull --------------------------------------------------------------------- */

struct tetrahedron {
	uint32_t corner[4];
	int filled;
};

static int circumradius_at_most(const struct kit_model *m, const uint32_t c[4], double r)
{
	double g[3][3], n[3][3], sum[3] = { 0 };

	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++)
			g[i][k] = m->position_A[c[i + 1]][k] - m->position_A[c[0]][k];
	for (int i = 0; i < 3; i++) {
		mesh_cross(n[i], g[(i + 1) % 3], g[(i + 2) % 3]);
		for (int k = 0; k < 3; k++)
			sum[k] += mesh_dot(g[i], g[i]) * n[i][k];
	}
	double det = mesh_dot(g[0], n[0]);

	return mesh_dot(sum, sum) <= 4 * r * r * det * det;
}

/* Faces of filled tetrahedra that occur once; the way round is not compared. */
static size_t faces_once(uint32_t (**faces)[3], const struct kit_model *m, qhT *qh, double r)
{
	size_t room = 0, count = 0, once = 0;
	facetT *facet;
	vertexT *vertex, **vertexp;

	FORALLfacets
	{
		room += 4;
	}
	uint32_t(*f)[3] = malloc((room + 1) * sizeof *f);

	assert_non_null(f);
	FORALLfacets
	{
		uint32_t c[4];
		int n = 0;

		if (facet->upperdelaunay)
			continue;
		FOREACHvertex_(facet->vertices)
		{
			assert_true(n < 4);
			c[n++] = (uint32_t)qh_pointid(qh, vertex->point);
		}
		if (!circumradius_at_most(m, c, r))
			continue;
		for (int out = 0; out < 4; out++, count++) {
			int k = 0;

			for (int in = 0; in < 4; in++)
				if (in != out)
					f[count][k++] = c[in];
			for (int a = 0; a < 3; a++)
				for (int b = a + 1; b < 3; b++)
					if (f[count][a] > f[count][b]) {
						uint32_t t = f[count][a];

						f[count][a] = f[count][b];
						f[count][b] = t;
					}
		}
	}
	qsort(f, count, sizeof *f, mesh_compare);
	for (size_t i = 0; i < count; i++) {
		int shared = (i > 0 && !mesh_compare(f[i], f[i - 1])) ||
			     (i + 1 < count && !mesh_compare(f[i], f[i + 1]));

		if (!shared)
			faces[1][once++][0] = (uint32_t)i;
	}
	for (size_t i = 0; i < once; i++)
		memcpy(faces[1][i], f[faces[1][i][0]], sizeof *f);
	faces[0] = f;
	return once;
}

static void same_as_qhull(const struct kit_model *m, double radius)
{
	char options[] = "qhull d Qt Qbb Qc Qz Q12";
	struct pn_surface s = mesh_surface(m, radius);
	qhT *qh = calloc(1, sizeof *qh);
	uint32_t(*faces[2])[3] = { NULL, malloc((8 * m->count + 64) * sizeof **faces) };
	int left, bytes;

	assert_true(qh && faces[1]);
	qh_zero(qh, stderr);
	assert_int_equal(
		qh_new_qhull(qh, 3, (int)m->count, m->position_A[0], 0, options, NULL, stderr), 0);
	size_t count = faces_once(faces, m, qh, radius * (1 + 1e-6));

	qh_freeqhull(qh, !qh_ALL);
	qh_memfreeshort(qh, &left, &bytes);
	free(qh);
	assert_int_equal(s.triangles, count);
	for (size_t t = 0; t < count; t++) {
		uint32_t *a = s.triangle[t];

		if (a[1] > a[2]) {
			uint32_t b = a[1];

			a[1] = a[2];
			a[2] = b;
		}
	}
	qsort(s.triangle, s.triangles, sizeof *s.triangle, mesh_compare);
	assert_memory_equal(s.triangle, faces[1], count * sizeof *s.triangle);
	free(faces[0]);
	free(faces[1]);
	pn_surface_free(&s);
}

static void same_as_delaunay_of_gas_and_crystal(void **state)
{
	(void)state;
	struct kit_model gas = kit_gas(1500, 18, 78, 11);
	struct kit_model solid = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 1415, A_A, 78);

	same_as_qhull(&gas, 2.2);
	same_as_qhull(&gas, 2.77);
	same_as_qhull(&gas, 5);
	kit_shake(&solid, 0.02, 1);
	same_as_qhull(&solid, A_A * M_SQRT1_2);
	same_as_qhull(&solid, A_A);
	kit_shake(&solid, 0.4, 2);
	same_as_qhull(&solid, 2.4);
	same_as_qhull(&solid, A_A);
	kit_free(&gas);
	kit_free(&solid);
}

static void same_as_delaunay_of_measured_models(void **state)
{
	(void)state;
	static const char *const names[] = { "models/pt_4d/stage1_docked_ATMS.pdb",
					     "models/pt_4d/stage3_docked_ATMS.pdb",
					     "models/hea/HEA04_1501.xyz", "models/FePt_23196.xyz" };

	for (int n = 0; n < 4; n++) {
		const char *path = testkit_data(names[n]);

		if (!path)
			skip();
		struct kit_model m = published_model(path, n < 2);

		assert_true(m.count > 200);
		same_as_qhull(&m, 2.77);
		if (m.count < 5000)
			same_as_qhull(&m, A_A);
		kit_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perfect_solids_have_their_closed_forms),
		cmocka_unit_test(cuboctahedron_309_has_the_known_numbers),
		cmocka_unit_test(cells_fill_from_their_circumradius_on),
		cmocka_unit_test(vacancies_are_cavities),
		cmocka_unit_test(is_what_the_definition_says),
		cmocka_unit_test(same_as_delaunay_of_gas_and_crystal),
		cmocka_unit_test(same_as_delaunay_of_measured_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
