/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Regions: facets of a cuboctahedron, known directions, and independence of the frame. */
#include "perrin/atoms/region.h"

#include "kit.h"

#include "perrin/math/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define A_A 3.912

static const double upright[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };

static void names_say_the_normals(void **state)
{
	(void)state;
	for (int d = 0; d < PN_REGIONS; d++) {
		const char *name = pn_region_name(d);
		double n[3], scale = d < PN_REGIONS_111 ? sqrt(3) : 1;

		assert_non_null(name);
		pn_region_normal(n, d);
		kit_near(n[0] * n[0] + n[1] * n[1] + n[2] * n[2], 1, 1e-15);
		assert_int_equal(*name++, '(');
		for (int k = 0; k < 3; k++) {
			int sign = *name == '-' ? -1 : 1;

			name += sign < 0;
			kit_near(n[k] * scale, sign * (*name++ - '0'), 1e-15);
		}
		assert_string_equal(name, ")");
		for (int e = 0; e < d; e++)
			assert_string_not_equal(pn_region_name(d), pn_region_name(e));
	}
	assert_null(pn_region_name(-1));
	assert_null(pn_region_name(PN_REGIONS));
}

/* Each direction is the middle of its own region, in any frame and about any centre. */
static void directions_lie_in_their_own_region(void **state)
{
	(void)state;
	double q[4], r[3][3], p[PN_REGIONS + 1][3], center[3] = { 5, -3, 40 };
	uint8_t z[PN_REGIONS + 1];
	int32_t region[PN_REGIONS + 1];
	struct pn_rng rng;

	pn_rng_init(&rng, 3, 0);
	pn_quaternion_random(q, &rng);
	pn_quaternion_to_matrix(r, q);
	memset(z, 78, sizeof z);
	memcpy(p[PN_REGIONS], center, sizeof center);
	for (int d = 0; d < PN_REGIONS; d++) {
		double n[3];

		pn_region_normal(n, d);
		for (int k = 0; k < 3; k++)
			p[d][k] =
				center[k] + 7 * (r[k][0] * n[0] + r[k][1] * n[1] + r[k][2] * n[2]);
	}
	struct pn_atoms view = { (const double(*)[3])p, z, PN_REGIONS + 1 };

	for (int own = 0; own < 2; own++) {
		assert_int_equal(pn_regions(region, &view, r, own ? NULL : center,
					    PN_REGION_NEAREST_NORMAL, NULL, 1, NULL),
				 PN_OK);
		for (int d = 0; d < PN_REGIONS; d++)
			assert_int_equal(region[d], d);
		assert_int_equal(region[PN_REGIONS], -1);
	}
}

/*
 * Cuboctahedron of 5 atoms to the edge: of 162 surface atoms 3 are inside each triangle, 9 inside
 * each square, 3 inside each of 24 edges, 12 are corners. Edges and corners lie between regions
 * and go to the triangles, which have the lower numbers.
 */
static void facets_of_a_cuboctahedron_are_its_regions(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct pn_atoms view = kit_view(&m);
	uint8_t surface[309];
	int32_t region[309], all[309];
	size_t count[PN_REGIONS] = { 0 }, sum = 0;

	for (size_t i = 0; i < m.count; i++) {
		const double *p = m.position_A[i];
		double x = fabs(p[0]), y = fabs(p[1]), z = fabs(p[2]);

		surface[i] = fmax(fmax(x, y), z) > 1.9 * A_A || x + y + z > 3.9 * A_A;
		sum += surface[i];
	}
	assert_int_equal(sum, 162);
	assert_int_equal(
		pn_regions(region, &view, upright, NULL, PN_REGION_CUBOCTAHEDRON, surface, 1, NULL),
		PN_OK);
	assert_int_equal(
		pn_regions(all, &view, upright, NULL, PN_REGION_CUBOCTAHEDRON, NULL, 2, NULL),
		PN_OK);
	for (size_t i = 0; i < m.count; i++) {
		assert_int_equal(region[i], surface[i] ? all[i] : -1);
		if (region[i] >= 0)
			count[region[i]]++;
	}
	sum = 0;
	for (int d = 0; d < PN_REGIONS; d++) {
		if (d >= PN_REGIONS_111)
			assert_int_equal(count[d], 9);
		else
			assert_true(count[d] >= 12 && count[d] <= 15);
		sum += d < PN_REGIONS_111 ? count[d] : 0;
	}
	assert_int_equal(sum, 8 * 3 + 24 * 3 + 12);
	kit_free(&m);
}

/* The share of each direction of a sphere, by integrating over many directions and by hand. */
static void nearest_normals_share_the_sphere(void **state)
{
	(void)state;
	enum { N = 20000 };
	struct kit_model m = kit_gas(1, 1, 78, 1);
	double(*p)[3] = malloc(N * sizeof *p);
	uint8_t *z = malloc(N);
	int32_t *region = malloc(N * sizeof *region);
	struct pn_rng rng;
	size_t wrong = 0, hundred = 0;

	assert_true(p && z && region);
	pn_rng_init(&rng, 9, 0);
	for (size_t i = 0; i < N; i++)
		for (int k = 0; k < 3; k++)
			p[i][k] = pn_rng_gauss(&rng);
	memset(z, 78, N);
	struct pn_atoms view = { (const double(*)[3])p, z, N };
	static const double origin[3] = { 0 };

	assert_int_equal(
		pn_regions(region, &view, upright, origin, PN_REGION_NEAREST_NORMAL, NULL, 1, NULL),
		PN_OK);
	for (size_t i = 0; i < N; i++) {
		double x = fabs(p[i][0]), y = fabs(p[i][1]), w = fabs(p[i][2]);
		double most = fmax(fmax(x, y), w);
		/* (100) is nearer than (111) if max > (x + y + z) / sqrt 3 */
		int is_100 = most > (x + y + w) / sqrt(3);

		wrong += is_100 != (region[i] >= PN_REGIONS_111);
		hundred += is_100;
		double n[3];

		pn_region_normal(n, region[i]);
		for (int k = 0; k < 3; k++)
			wrong += n[k] * p[i][k] < 0;
	}
	assert_int_equal(wrong, 0);
	assert_true(hundred > N / 4 && hundred < N / 2);
	free(p);
	free(z);
	free(region);
	kit_free(&m);
}

/* The same particle in another frame, numbered anew: perfect, so that ties are everywhere. */
static void frame_numbering_and_threads_change_nothing(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, A_A, 78), t = kit_copy(&m);
	uint32_t from[561];
	int32_t a[561], b[561], c[561];
	double q[4], r[3][3];
	struct pn_rng rng;
	static const double ratios[] = { PN_REGION_NEAREST_NORMAL, PN_REGION_CUBOCTAHEDRON,
					 PN_REGION_TRUNCATED_OCTAHEDRON };

	assert_int_equal(m.count, 561);
	/* what kit_turn(.., 4) does */
	pn_rng_init(&rng, 4, 1);
	pn_quaternion_random(q, &rng);
	pn_quaternion_to_matrix(r, q);
	kit_turn(&t, 4);
	kit_shuffle(&t, 4, from);
	struct pn_atoms va = kit_view(&m), vb = kit_view(&t);

	for (size_t k = 0; k < PN_COUNT(ratios); k++) {
		assert_int_equal(pn_regions(a, &va, upright, NULL, ratios[k], NULL, 1, NULL), 0);
		assert_int_equal(pn_regions(b, &vb, r, NULL, ratios[k], NULL, 1, NULL), 0);
		assert_int_equal(pn_regions(c, &vb, r, NULL, ratios[k], NULL, 2, NULL), 0);
		assert_memory_equal(b, c, sizeof b);
		for (size_t i = 0; i < t.count; i++)
			assert_int_equal(b[i], a[from[i]]);
	}
	kit_free(&m);
	kit_free(&t);
}

static void what_is_no_rotation_is_refused(void **state)
{
	(void)state;
	double mirror[3][3], shear[3][3], nan[3][3], p[1][3] = { { 1, 2, 3 } };
	uint8_t z = 78;
	int32_t region;
	struct pn_atoms view = { (const double(*)[3])p, &z, 1 }, none = { NULL, NULL, 0 };
	struct pn_error err = { 0 };

	memcpy(mirror, upright, sizeof mirror);
	memcpy(shear, upright, sizeof shear);
	memcpy(nan, upright, sizeof nan);
	mirror[2][2] = -1;
	shear[0][1] = 1e-3;
	nan[1][1] = NAN;
	assert_int_equal(pn_regions(&region, &view, mirror, NULL, 1, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_regions(&region, &view, shear, NULL, 1, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_regions(&region, &view, nan, NULL, 1, NULL, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "rotation"));
	assert_int_equal(pn_regions(&region, &view, upright, NULL, 0, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_regions(&region, &view, upright, NULL, NAN, NULL, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "ratio"));
	/* one atom is its own centre; no atoms are no error */
	assert_int_equal(pn_regions(&region, &view, upright, NULL, 1, NULL, 1, &err), PN_OK);
	assert_int_equal(region, -1);
	assert_int_equal(pn_regions(&region, &none, upright, NULL, 1, NULL, 1, &err), PN_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_say_the_normals),
		cmocka_unit_test(directions_lie_in_their_own_region),
		cmocka_unit_test(facets_of_a_cuboctahedron_are_its_regions),
		cmocka_unit_test(nearest_normals_share_the_sphere),
		cmocka_unit_test(frame_numbering_and_threads_change_nothing),
		cmocka_unit_test(what_is_no_rotation_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
