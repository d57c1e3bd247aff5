/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directions from local hulls, against a slow hull and the finite differences of its area. */
#include "perrin/atoms/facet.h"

#include "kit.h"

#include "perrin/base/rng.h"

#include <math.h>
#include <string.h>

static const double a_A = 3.912;
static const double upright[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };

/*
 * Slow reference for points in general position: three points whose plane has all others on one
 * side are a triangle of the hull. Returns the hull's area; adds what the directions are made of.
 */
static double slow_hull(double (*p)[3], int count, double width, double facing[3])
{
	double total = 0;

	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			for (int k = 0; k < j; k++) {
				double n[3], length, height = 0;
				int sides[2] = { 0, 0 };

				for (int x = 0; x < 3; x++) {
					int y = (x + 1) % 3, z = (x + 2) % 3;

					n[x] = (p[j][y] - p[i][y]) * (p[k][z] - p[i][z]) -
					       (p[j][z] - p[i][z]) * (p[k][y] - p[i][y]);
				}
				length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
				for (int q = 0; q < count; q++) {
					double h = 0;

					for (int x = 0; x < 3; x++)
						h += n[x] / length * (p[q][x] - p[i][x]);
					height = q ? height : fabs(h);
					if (q != i && q != j && q != k)
						sides[h > 0]++;
				}
				if (sides[0] && sides[1])
					continue;
				total += length / 2;
				for (int x = 0; facing && x < 3; x++)
					facing[x] += (sides[1] ? -n[x] : n[x]) / 2 *
						     exp(-height * height / (2 * width * width));
			}
	return total;
}

/* Whether no face of the hull has a fourth point in its plane, as the kernel sees planes. */
static int is_general(double (*p)[3], int count)
{
	const double thick_A = 0.01;

	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			for (int k = 0; k < j; k++) {
				double n[3], length;
				int above = 0, below = 0, near = 0;

				for (int x = 0; x < 3; x++) {
					int y = (x + 1) % 3, z = (x + 2) % 3;

					n[x] = (p[j][y] - p[i][y]) * (p[k][z] - p[i][z]) -
					       (p[j][z] - p[i][z]) * (p[k][y] - p[i][y]);
				}
				length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
				for (int q = 0; q < count; q++) {
					double h = 0;

					for (int x = 0; x < 3; x++)
						h += n[x] / length * (p[q][x] - p[i][x]);
					above += h > thick_A;
					below += h < -thick_A;
					near += q != i && q != j && q != k && fabs(h) <= thick_A;
				}
				if ((!above || !below) && near)
					return 0;
			}
	return 1;
}

static void expect_direction(double out[3], double (*p)[3], int count, int *on_hull)
{
	double facing[3] = { 0 }, g[3], h = 1e-5, length = 0;

	slow_hull(p, count, a_A / 10, facing);
	for (int x = 0; x < 3; x++) {
		double more;

		p[0][x] += h;
		more = slow_hull(p, count, 1, NULL);
		p[0][x] -= 2 * h;
		g[x] = (more - slow_hull(p, count, 1, NULL)) / (2 * h);
		p[0][x] += h;
		length += g[x] * g[x];
	}
	*on_hull = sqrt(length) > a_A / 10;
	memcpy(out, *on_hull ? g : facing, sizeof g);
	length = sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2]);
	for (int x = 0; x < 3; x++)
		out[x] /= length;
}

/* With a single surface atom the average is its own direction. */
static void hull_normals_agree_with_slow_ones(void **state)
{
	(void)state;
	struct pn_rng rng;
	size_t corners = 0, inside = 0;

	pn_rng_init(&rng, 12, 0);
	for (int pass = 0; pass < 1200; pass++) {
		double p[12][3] = { { 0 } }, expected[3], angle_deg[12], normal[12][3];
		uint8_t element[12], mask[12] = { 1 }, facet[12];
		int count = 5 + (int)pn_rng_below(&rng, 7), on_hull;

		memset(element, 78, sizeof element);
		for (int i = 1; i < count; i++) {
			double length = 0;

			for (int k = 0; k < 3; k++) {
				p[i][k] = pn_rng_gauss(&rng);
				length += p[i][k] * p[i][k];
			}
			if (p[i][2] > 0)
				p[i][2] *= pass & 1 ? 0.2 : -0.5;
			for (int k = 0; k < 3; k++)
				p[i][k] *= 2.6 / sqrt(length);
		}
		if (!is_general(p, count))
			continue;
		expect_direction(expected, p, count, &on_hull);

		struct pn_atoms atoms = { (const double(*)[3])p, element, (size_t)count };
		struct pn_neighbors shell;

		assert_int_equal(pn_neighbors_build(&shell, &atoms, 3.3, 1, NULL), PN_OK);
		assert_int_equal(pn_facet_by_normal(facet, angle_deg, normal, &shell, &atoms, mask,
						    a_A, upright, 1, NULL),
				 PN_OK);
		for (int k = 0; k < 3; k++)
			kit_near(normal[0][k], expected[k], on_hull ? 1e-7 : 1e-10);
		corners += (size_t)on_hull;
		inside += !on_hull;
		pn_neighbors_free(&shell);
	}
	print_message("%zu corners of hulls, %zu inside\n", corners, inside);
	assert_true(corners > 50 && inside > 50);
}

/* Coordinates out of a file, with few digits, are no new surface: the same facets and angles. */
static void few_digits_change_nothing(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, a_A, 78);
	double angle_deg[2][586];
	uint8_t facet[2][586], mask[586];

	assert_int_equal(model.count, 586);
	kit_turn(&model, 5);
	for (int digits = 15; digits >= 3; digits--) {
		struct kit_model file = kit_copy(&model);
		double unit = pow(10, -digits);
		int which = digits < 15;

		for (size_t i = 0; i < file.count * 3; i++) {
			double *x = &file.position_A[i / 3][i % 3];

			*x = digits == 15 ? *x : digits == 14 ? (float)*x : round(*x / unit) * unit;
		}
		struct pn_atoms atoms = kit_view(&file);
		struct pn_neighbors first, shell;

		assert_int_equal(pn_neighbors_build(&first, &atoms, 3.339, 1, NULL), PN_OK);
		assert_int_equal(
			pn_neighbors_build(&shell, &atoms, pn_facet_cutoff_A(a_A), 1, NULL), PN_OK);
		for (size_t i = 0; i < file.count; i++)
			mask[i] = pn_neighbors_count(&first, i) < 12;
		assert_int_equal(pn_facet_by_normal(facet[which], angle_deg[which], NULL, &shell,
						    &atoms, mask, a_A, upright, 1, NULL),
				 PN_OK);
		for (size_t i = 0; which && i < file.count; i++) {
			assert_int_equal(facet[1][i], facet[0][i]);
			if (mask[i])
				kit_near(angle_deg[1][i], angle_deg[0][i], 0.02);
		}
		pn_neighbors_free(&first);
		pn_neighbors_free(&shell);
		kit_free(&file);
	}
	kit_free(&model);
}

/* A tetrahedron's corner faces outwards; an atom that sits twice at one place changes nothing. */
static void small_hulls(void **state)
{
	(void)state;
	double position[6][3] = { { 2, 2, 2 }, { 2, 0, 0 }, { 0, 2, 0 }, { 0, 0, 2 }, { 2, 2, 2 } };
	uint8_t element[6] = { 78, 78, 78, 78, 78 };
	struct kit_model model = { position, element, 4 };

	for (model.count = 4; model.count <= 5; model.count++) {
		double angle_deg[6], normal[6][3];
		uint8_t facet[6], mask[6] = { 1, 1, 1, 1, 1, 1 };
		struct pn_atoms atoms = kit_view(&model);
		struct pn_neighbors shell;

		assert_int_equal(pn_neighbors_build(&shell, &atoms, 3.5, 1, NULL), PN_OK);
		assert_int_equal(pn_facet_by_normal(facet, angle_deg, normal, &shell, &atoms, mask,
						    a_A, upright, 1, NULL),
				 PN_OK);
		assert_int_equal(facet[0], PN_FACET_111);
		kit_near(angle_deg[0], 0, 1e-6);
		for (int k = 0; k < 3; k++)
			kit_near(normal[0][k], 1 / sqrt(3), 1e-9);
		pn_neighbors_free(&shell);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hull_normals_agree_with_slow_ones),
		cmocka_unit_test(few_digits_change_nothing),
		cmocka_unit_test(small_hulls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
