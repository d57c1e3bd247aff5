/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

static void random_matrix(double a[3][3], struct pn_rng *rng)
{
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			a[i][j] = pn_rng_gauss(rng);
}

static double farthest(const double a[3][3], const double b[3][3])
{
	double most = 0;

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			most = fmax(most, fabs(a[i][j] - b[i][j]));
	return most;
}

static const double identity[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };

static void inverse_times_matrix_is_one(void **state)
{
	struct pn_rng rng;
	double a[3][3], b[3][3], p[3][3];

	(void)state;
	pn_rng_init(&rng, 1, 0);
	for (int turn = 0; turn < 100; turn++) {
		random_matrix(a, &rng);
		assert_true(pn_matrix3_invert(b, a));
		pn_matrix3_multiply(p, a, b);
		assert_true(farthest(p, identity) < 1e-9);
		double product = pn_matrix3_determinant(a) * pn_matrix3_determinant(b);
		assert_true(fabs(product - 1) < 1e-9);
	}
	const double flat[3][3] = { { 1, 2, 3 }, { 2, 4, 6 }, { 0, 1, 5 } };
	assert_false(pn_matrix3_invert(b, flat));
}

static void eigenvectors_turn_the_matrix_diagonal(void **state)
{
	struct pn_rng rng;
	double a[3][3], s[3][3], value[3], v[3][3], vt[3][3], d[3][3];

	(void)state;
	pn_rng_init(&rng, 2, 0);
	for (int turn = 0; turn < 100; turn++) {
		random_matrix(a, &rng);
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 3; j++)
				s[i][j] = a[i][j] + a[j][i];
		if (turn == 0)
			memcpy(s, identity, sizeof s);
		pn_symmetric3_eigen(value, v, s);
		assert_true(value[0] <= value[1] && value[1] <= value[2]);
		assert_true(fabs(pn_matrix3_determinant(v) - 1) < 1e-13);
		pn_matrix3_transpose(vt, v);
		pn_matrix3_multiply(d, v, s);
		pn_matrix3_multiply(d, d, vt);
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 3; j++)
				assert_true(fabs(d[i][j] - (i == j ? value[i] : 0)) < 1e-12);
	}
}

static void rotation_is_found_again(void **state)
{
	struct pn_rng rng;
	double q[4], r[3][3], a[3][3], found[3][3];

	(void)state;
	pn_rng_init(&rng, 3, 0);
	for (int turn = 0; turn < 100; turn++) {
		/* sum x y^T with x = R y */
		pn_quaternion_random(q, &rng);
		pn_quaternion_to_matrix(r, q);
		memset(a, 0, sizeof a);
		int points = turn % 2 ? 2 : 10; /* two vectors span a plane, which is enough */
		for (int n = 0; n < points; n++) {
			double y[3], x[3];

			for (int k = 0; k < 3; k++)
				y[k] = pn_rng_gauss(&rng);
			pn_matrix3_apply(x, r, y);
			for (int i = 0; i < 3; i++)
				for (int j = 0; j < 3; j++)
					a[i][j] += x[i] * y[j];
		}
		assert_true(pn_polar_rotation(found, a));
		assert_true(farthest(found, r) < 1e-7);
	}
}

static void mirror_is_never_a_rotation(void **state)
{
	const double mirror[3][3] = { { 3, 0, 0 }, { 0, 2, 0 }, { 0, 0, -1 } };
	const double ambiguous[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, -1 } };
	const double line[3][3] = { { 1, 0, 0 } };
	double r[3][3];

	(void)state;
	assert_true(pn_polar_rotation(r, mirror));
	assert_true(farthest(r, identity) < 1e-12);
	assert_false(pn_polar_rotation(r, ambiguous));
	assert_true(fabs(pn_matrix3_determinant(r) - 1) < 1e-12);
	assert_false(pn_polar_rotation(r, line));
}

static void least_squares_solves_the_normal_equations(void **state)
{
	enum { ROWS = 40, COLUMNS = 5 };
	double a[ROWS * COLUMNS], b[ROWS], x[COLUMNS], y[COLUMNS], c[COLUMNS * COLUMNS];
	double n[COLUMNS * COLUMNS] = { 0 }, g[COLUMNS] = { 0 };
	struct pn_rng rng;
	int rank;

	(void)state;
	pn_rng_init(&rng, 4, 0);
	for (int i = 0; i < ROWS * COLUMNS; i++)
		a[i] = pn_rng_gauss(&rng);
	for (int i = 0; i < ROWS; i++)
		b[i] = pn_rng_gauss(&rng);
	assert_int_equal(pn_least_squares(x, c, &rank, a, b, ROWS, COLUMNS, NULL), PN_OK);
	assert_int_equal(rank, COLUMNS);
	for (int r = 0; r < ROWS; r++)
		for (int i = 0; i < COLUMNS; i++) {
			g[i] += a[r * COLUMNS + i] * b[r];
			for (int j = 0; j < COLUMNS; j++)
				n[i * COLUMNS + j] += a[r * COLUMNS + i] * a[r * COLUMNS + j];
		}
	assert_int_equal(pn_solve_positive(y, n, g, COLUMNS, NULL), PN_OK);
	for (int i = 0; i < COLUMNS; i++) {
		assert_true(fabs(x[i] - y[i]) < 1e-12);
		for (int j = 0; j < COLUMNS; j++) {
			double one = 0;

			for (int k = 0; k < COLUMNS; k++)
				one += n[i * COLUMNS + k] * c[k * COLUMNS + j];
			assert_true(fabs(one - (i == j)) < 1e-11);
		}
	}
}

/* a + b x = y in units far from 1: rank, solution and covariance only change their units. */
static void units_of_the_unknowns_do_not_matter(void **state)
{
	const double t[4] = { 1, 2, 3, 5 }, b[4] = { 3, 5, 7, 11 };
	double a[8], x[2], c[4];
	int rank;

	(void)state;
	for (double unit = 1e-100; unit < 1e101; unit *= 1e20) {
		for (int i = 0; i < 4; i++) {
			a[2 * i] = 1;
			a[2 * i + 1] = t[i] * unit;
		}
		assert_int_equal(pn_least_squares(x, c, &rank, a, b, 4, 2, NULL), PN_OK);
		assert_int_equal(rank, 2);
		assert_true(fabs(x[0] - 1) < 1e-12 && fabs(x[1] * unit - 2) < 1e-12);
		/* (a^T a)^-1 = [39 -11; -11 4] / 35 */
		assert_true(fabs(c[0] * 35 - 39) < 1e-10);
		assert_true(fabs(c[1] * unit * 35 + 11) < 1e-10);
		assert_true(fabs(c[3] * unit * unit * 35 - 4) < 1e-10);
	}
}

static void what_the_equations_leave_open_is_zero(void **state)
{
	const double a[] = { 1, 1, 2, 2, 3, 3 }, b[] = { 2, 4, 6 };
	const double bad[] = { 1, NAN, 2, 2, 3, 3 }, indefinite[] = { 1, 2, 2, 1 };
	struct pn_error err = { 0 };
	double x[2];
	int rank;

	(void)state;
	assert_int_equal(pn_least_squares(x, NULL, &rank, a, b, 3, 2, NULL), PN_OK);
	assert_int_equal(rank, 1);
	assert_true(fabs(x[0] - 1) < 1e-12 && fabs(x[1] - 1) < 1e-12);
	assert_int_equal(pn_least_squares(x, NULL, NULL, bad, b, 3, 2, &err), PN_EARG);
	assert_int_equal(pn_least_squares(x, NULL, NULL, a, b, 1, 2, &err), PN_EARG);
	assert_int_equal(pn_solve_positive(x, indefinite, b, 2, &err), PN_EARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inverse_times_matrix_is_one),
		cmocka_unit_test(eigenvectors_turn_the_matrix_diagonal),
		cmocka_unit_test(rotation_is_found_again),
		cmocka_unit_test(mirror_is_never_a_rotation),
		cmocka_unit_test(least_squares_solves_the_normal_equations),
		cmocka_unit_test(units_of_the_unknowns_do_not_matter),
		cmocka_unit_test(what_the_equations_leave_open_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
