/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"
#include "perrin/atoms/cells.h"
#include "perrin/atoms/neighbors.h"
#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double distance(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];

	return sqrt(x * x + y * y + z * z);
}

/* ---- neighbours ---------------------------------------------------------------------------- */

static void same_as_all_pairs(void **state)
{
	struct kit_model gas = kit_gas(700, 25, 78, 1);
	struct pn_atoms atoms = kit_view(&gas);

	(void)state;
	for (double cutoff_A = 1; cutoff_A < 120; cutoff_A *= 1.9) {
		struct pn_neighbors n;

		assert_int_equal(pn_neighbors_build(&n, &atoms, cutoff_A, 1, NULL), PN_OK);
		for (size_t i = 0; i < gas.count; i++) {
			uint32_t at = n.start[i];

			for (size_t j = 0; j < gas.count; j++) {
				double d = distance(gas.position_A[i], gas.position_A[j]);

				if (j == i || !(d < cutoff_A))
					continue;
				assert_true(at < n.start[i + 1]);
				assert_int_equal(n.atom[at], j);
				for (int k = 0; k < 3; k++)
					assert_true(n.bond_A[at][k] ==
						    gas.position_A[j][k] - gas.position_A[i][k]);
				at++;
			}
			assert_int_equal(at, n.start[i + 1]);
		}
		pn_neighbors_free(&n);
	}
	kit_free(&gas);
}

static void coordination_of_a_cuboctahedron(void **state)
{
	struct kit_model solid = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 3.912, 78);
	unsigned found[13] = { 0 };
	struct pn_neighbors n;

	(void)state;
	kit_turn(&solid, 5);
	struct pn_atoms atoms = kit_view(&solid);
	assert_int_equal(solid.count, 309);
	assert_int_equal(pn_neighbors_build(&n, &atoms, 3.339, 1, NULL), PN_OK);
	for (size_t i = 0; i < 309; i++) {
		assert_true(pn_neighbors_count(&n, i) <= 12);
		found[pn_neighbors_count(&n, i)]++;
	}
	/* shell of 4: corners, edges (24 x 3 atoms), {100} faces (6 x 9), {111} faces (8 x 3) */
	assert_int_equal(found[5], 12);
	assert_int_equal(found[7], 72);
	assert_int_equal(found[8], 54);
	assert_int_equal(found[9], 24);
	assert_int_equal(found[12], 147);
	pn_neighbors_free(&n);
	kit_free(&solid);
}

/* The limit is strict: a pair at the cut-off is not one, an ulp more and it is. */
static void cutoff_is_strict(void **state)
{
	double position_A[2][3] = { { 0, 0, 0 }, { 3, 0, 0 } };
	uint8_t element[2] = { 78, 78 };
	struct pn_atoms atoms = { (const double(*)[3])position_A, element, 2 };
	struct pn_neighbors n;

	(void)state;
	assert_int_equal(pn_neighbors_build(&n, &atoms, 3, 1, NULL), PN_OK);
	assert_int_equal(n.start[2], 0);
	pn_neighbors_free(&n);
	assert_int_equal(pn_neighbors_build(&n, &atoms, nextafter(3, 4), 1, NULL), PN_OK);
	assert_int_equal(n.start[2], 2);
	pn_neighbors_free(&n);
}

static void threads_give_the_same_bytes(void **state)
{
	struct kit_model solid = kit_solid(PN_SHAPE_SPHERE, 5000, 3.912, 78);
	struct pn_neighbors a, b;

	(void)state;
	kit_shake(&solid, 0.1, 7);
	kit_shuffle(&solid, 8, NULL);
	struct pn_atoms atoms = kit_view(&solid);
	assert_int_equal(pn_neighbors_build(&a, &atoms, 3.4, 1, NULL), PN_OK);
	assert_int_equal(pn_neighbors_build(&b, &atoms, 3.4, 2, NULL), PN_OK);
	size_t count = a.start[solid.count];
	assert_memory_equal(a.start, b.start, (solid.count + 1) * sizeof *a.start);
	assert_memory_equal(a.atom, b.atom, count * sizeof *a.atom);
	assert_memory_equal(a.bond_A, b.bond_A, count * sizeof *a.bond_A);
	pn_neighbors_free(&a);
	pn_neighbors_free(&b);
	kit_free(&solid);
}

static void atoms_at_one_place_are_neighbors(void **state)
{
	double position_A[4][3] = { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 2 }, { 1e5, 0, 0 } };
	uint8_t element[4] = { 78, 78, 78, 78 }, twice[4];
	struct pn_atoms atoms = { (const double(*)[3])position_A, element, 4 };
	struct pn_neighbors n;

	(void)state;
	assert_int_equal(pn_neighbors_build(&n, &atoms, 3, 1, NULL), PN_OK);
	assert_int_equal(pn_neighbors_count(&n, 0), 2);
	assert_int_equal(pn_neighbors_count(&n, 1), 2);
	assert_int_equal(pn_neighbors_count(&n, 3), 0);
	assert_int_equal(pn_neighbors_duplicates(&n, 0.5, twice), 1);
	assert_int_equal(twice[0] + twice[1], 2);
	assert_int_equal(twice[2] + twice[3], 0);
	assert_int_equal(pn_neighbors_duplicates(&n, 1.1, NULL), 3);
	pn_neighbors_free(&n);
	atoms.count = 0;
	assert_int_equal(pn_neighbors_build(&n, &atoms, 3, 1, NULL), PN_OK);
	assert_int_equal(n.start[0], 0);
	pn_neighbors_free(&n);
}

/* ---- cells --------------------------------------------------------------------------------- */

static void points_find_the_atoms_near_them(void **state)
{
	struct kit_model gas = kit_gas(500, 20, 78, 2);
	uint32_t found[500];
	struct pn_cells cells;
	struct pn_rng rng;

	(void)state;
	assert_int_equal(
		pn_cells_build(&cells, (const double(*)[3])gas.position_A, gas.count, 3, NULL),
		PN_OK);
	pn_rng_init(&rng, 3, 0);
	for (int turn = 0; turn < 500; turn++) {
		double p[3], radius_A = 12 * pn_rng_uniform(&rng), least = INFINITY, d;
		size_t near = 0, nearest = 0;

		for (int k = 0; k < 3; k++)
			p[k] = (turn % 5 ? 15 : 200) * pn_rng_gauss(&rng);
		for (size_t i = 0; i < gas.count; i++) {
			double away = distance(p, gas.position_A[i]);

			near += away < radius_A;
			if (away < least) {
				least = away;
				nearest = i;
			}
		}
		assert_int_equal(pn_cells_within(&cells, p, radius_A, found, 500), near);
		for (size_t a = 0; a < near; a++) {
			assert_true(distance(p, gas.position_A[found[a]]) < radius_A);
			for (size_t b = 0; b < a; b++)
				assert_int_not_equal(found[a], found[b]);
		}
		assert_int_equal(pn_cells_nearest(&cells, p, &d), nearest);
		assert_true(d == least);
	}
	pn_cells_free(&cells);
	kit_free(&gas);
}

static void lone_atoms_far_out_cost_no_memory(void **state)
{
	double position_A[3][3] = { { 0, 0, 0 }, { 9e5, 9e5, 9e5 }, { -9e5, 9e5, 0 } };
	const double far[3] = { 8e5, 9e5, 9e5 };
	struct pn_cells cells;
	double d;

	(void)state;
	assert_int_equal(pn_cells_build(&cells, (const double(*)[3])position_A, 3, 1, NULL), PN_OK);
	assert_true(cells.shape[0] * cells.shape[1] * cells.shape[2] <= 100);
	assert_int_equal(pn_cells_nearest(&cells, far, &d), 1);
	assert_true(d == 1e5);
	pn_cells_free(&cells);
	assert_int_equal(pn_cells_build(&cells, NULL, 0, 1, NULL), PN_OK);
	assert_int_equal(pn_cells_nearest(&cells, far, &d), UINT32_MAX);
	assert_int_equal(pn_cells_within(&cells, far, 1, NULL, 0), 0);
	pn_cells_free(&cells);
}

/* Eight atoms far out leave the cells as small as they are without, and all are found. */
static void lone_atoms_far_out_cost_no_time(void **state)
{
	struct kit_model solid = kit_solid(PN_SHAPE_SPHERE, 3000, 3.912, 78);
	uint32_t found[8];
	struct pn_cells cells;
	struct pn_rng rng;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		for (size_t k = 0; k < 3; k++)
			solid.position_A[331 * i][k] =
				(i >> k & 1 ? 2e3 : -9e5) * (1 + 0.01 * (double)i);
	assert_int_equal(
		pn_cells_build(&cells, (const double(*)[3])solid.position_A, solid.count, 3, NULL),
		PN_OK);
	assert_true(cells.edge_A < 3.8);
	for (size_t c = 0; c < cells.shape[0] * cells.shape[1] * cells.shape[2]; c++)
		assert_true(cells.start[c + 1] - cells.start[c] <= 16);
	pn_rng_init(&rng, 4, 0);
	for (int turn = 0; turn < 600; turn++) {
		const double *at = solid.position_A[331 * (size_t)(turn % 8)];
		double p[3], least = INFINITY, d, radius_A = turn % 3 ? 2.5 : 9.5e5;
		size_t near = 0, nearest = 0;

		for (int k = 0; k < 3; k++)
			p[k] = (turn % 2 ? at[k] : 0) + (turn % 5 ? 9 : 900) * pn_rng_gauss(&rng);
		for (size_t i = 0; i < solid.count; i++) {
			double away = distance(p, solid.position_A[i]);

			near += away < radius_A;
			if (away < least) {
				least = away;
				nearest = i;
			}
		}
		assert_int_equal(pn_cells_within(&cells, p, radius_A, found, 8), near);
		assert_int_equal(pn_cells_nearest(&cells, p, &d), nearest);
		assert_true(d == least);
	}
	pn_cells_free(&cells);
	kit_free(&solid);
}

/* ---- check --------------------------------------------------------------------------------- */

static void what_no_kernel_can_take_is_refused(void **state)
{
	double position_A[2][3] = { { 0, 0, 0 }, { 0, NAN, 0 } };
	uint8_t element[2] = { 78, 78 };
	struct pn_atoms atoms = { (const double(*)[3])position_A, element, 2 };
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_atoms_check(&atoms, &err), PN_EFORMAT);
	assert_non_null(strstr(err.text, "atom 2: y is nan"));
	position_A[1][1] = -2e6;
	assert_int_equal(pn_atoms_check(&atoms, &err), PN_EFORMAT);
	position_A[1][1] = 5;
	assert_int_equal(pn_atoms_check(&atoms, &err), PN_OK);
	element[1] = 104;
	assert_int_equal(pn_atoms_check(&atoms, &err), PN_EFORMAT);
	assert_non_null(strstr(err.text, "104"));
	atoms.count = 0;
	assert_int_equal(pn_atoms_check(&atoms, &err), PN_EFORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_all_pairs),
		cmocka_unit_test(coordination_of_a_cuboctahedron),
		cmocka_unit_test(cutoff_is_strict),
		cmocka_unit_test(threads_give_the_same_bytes),
		cmocka_unit_test(atoms_at_one_place_are_neighbors),
		cmocka_unit_test(points_find_the_atoms_near_them),
		cmocka_unit_test(lone_atoms_far_out_cost_no_memory),
		cmocka_unit_test(lone_atoms_far_out_cost_no_time),
		cmocka_unit_test(what_no_kernel_can_take_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
