/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Centro-symmetry: the values of perfect sites, slow references, nothing depends on numbering. */
#include "perrin/atoms/csp.h"

#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double a_A = 3.912, cutoff_A = 3.339;
static const double d2_A2 = 3.912 * 3.912 / 2;

static struct pn_neighbors shell_of(const struct kit_model *model)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_neighbors shell;

	assert_int_equal(pn_neighbors_build(&shell, &atoms, cutoff_A, 1, NULL), PN_OK);
	return shell;
}

static double *by_shell(const struct kit_model *model, int threads)
{
	struct pn_neighbors shell = shell_of(model);
	double *csp = malloc((model->count + 1) * sizeof *csp);

	assert_non_null(csp);
	assert_int_equal(pn_csp_shell(csp, &shell, threads, NULL), PN_OK);
	pn_neighbors_free(&shell);
	return csp;
}

static double *by_nearest(const struct kit_model *model, double edge_A, int nearest, int threads)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_cells cells;
	double *csp = malloc((model->count + 1) * sizeof *csp);

	assert_non_null(csp);
	assert_int_equal(pn_cells_build(&cells, atoms.position_A, atoms.count, edge_A, NULL),
			 PN_OK);
	assert_int_equal(pn_csp_nearest(csp, &cells, &atoms, nearest, threads, NULL), PN_OK);
	pn_cells_free(&cells);
	return csp;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* All pairs, sorted. */
static double slow_sum(double (*r)[3], size_t count, size_t keep)
{
	double *all = malloc((count * count + 1) * sizeof *all), sum = 0;
	size_t pairs = 0;

	assert_non_null(all);
	for (size_t j = 0; j < count; j++)
		for (size_t k = j + 1; k < count; k++) {
			double s = 0;

			for (int x = 0; x < 3; x++)
				s += (r[j][x] + r[k][x]) * (r[j][x] + r[k][x]);
			all[pairs++] = s;
		}
	qsort(all, pairs, sizeof *all, ascending);
	for (size_t p = 0; p < keep && p < pairs; p++)
		sum += all[p];
	free(all);
	return pairs < keep ? NAN : sum;
}

/* [count of neighbours] -> CSP/d^2, NAN = must not occur. */
static void check_classes(enum pn_shape shape, size_t count, const double expected[13])
{
	struct kit_model model = kit_solid(shape, count, a_A, 78);
	struct pn_neighbors shell = shell_of(&model);
	double *csp = by_shell(&model, 1);

	for (size_t i = 0; i < model.count; i++)
		kit_near(csp[i] / d2_A2, expected[pn_neighbors_count(&shell, i)], 1e-12);
	free(csp);
	pn_neighbors_free(&shell);
	kit_free(&model);
}

static void perfect_sites_have_their_numbers(void **state)
{
	(void)state;
	double none[13];

	for (int i = 0; i < 13; i++)
		none[i] = -1;
	none[12] = 0;
	none[9] = 3; /* {111} */
	none[7] = 5; /* edges */
	none[8] = 4; /* {100} */

	double cubo[13], truncated[13], octa[13];

	memcpy(cubo, none, sizeof none);
	memcpy(truncated, none, sizeof none);
	memcpy(octa, none, sizeof none);
	cubo[5] = 12;
	truncated[6] = 8;
	octa[4] = 16;
	check_classes(PN_SHAPE_CUBOCTAHEDRON, 309, cubo);
	check_classes(PN_SHAPE_CUBOCTAHEDRON, 561, cubo);
	check_classes(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, truncated);
	check_classes(PN_SHAPE_OCTAHEDRON, 344, octa);
}

/* One atom taken out of the bulk leaves 12 sites with 1 d^2; {110} terraces have 5 d^2. */
static void vacancies_and_ridges(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, a_A, 78);
	size_t center = 0, ones = 0;

	for (size_t i = 0; i < model.count; i++) {
		const double *p = model.position_A[i];

		if (p[0] * p[0] + p[1] * p[1] + p[2] * p[2] < 1e-6)
			center = i;
	}
	memmove(model.position_A + center, model.position_A + center + 1,
		(model.count - center - 1) * sizeof *model.position_A);
	model.count--;
	double *csp = by_shell(&model, 1);

	for (size_t i = 0; i < model.count; i++)
		ones += fabs(csp[i] / d2_A2 - 1) < 1e-12;
	assert_int_equal(ones, 12);
	free(csp);

	/* everything below x + y = 0, and the atom at the origin: the middle of a {110} terrace */
	size_t kept = 0, middle = SIZE_MAX;

	for (size_t i = 0; i < model.count; i++)
		if (model.position_A[i][0] + model.position_A[i][1] < 0.1)
			memmove(model.position_A[kept++], model.position_A[i],
				sizeof *model.position_A);
	memset(model.position_A[kept], 0, sizeof *model.position_A);
	middle = kept++;
	model.count = kept;
	csp = by_shell(&model, 1);
	kit_near(csp[middle] / d2_A2, 5, 1e-12);
	free(csp);
	kit_free(&model);
}

static void slow_reference_agrees(void **state)
{
	(void)state;
	struct kit_model model = kit_gas(600, 14, 78, 3);
	struct pn_neighbors shell = shell_of(&model);
	double *csp = by_shell(&model, 1), *near = by_nearest(&model, 3.3, 12, 1);
	double *far = by_nearest(&model, 40, 12, 1), *small = by_nearest(&model, 1.1, 12, 1);
	double(*r)[3] = malloc(model.count * sizeof *r), *d2 = malloc(model.count * sizeof *d2);
	size_t few = 0;

	assert_non_null(r);
	assert_non_null(d2);
	for (size_t i = 0; i < model.count; i++) {
		size_t count = 0;
		double limit;

		few += isnan(csp[i]);
		kit_near(csp[i],
			 slow_sum(shell.bond_A + shell.start[i], pn_neighbors_count(&shell, i), 6),
			 1e-12);
		for (size_t j = 0; j < model.count; j++) {
			d2[j] = 0;
			for (int k = 0; k < 3; k++)
				d2[j] += pow(model.position_A[j][k] - model.position_A[i][k], 2);
		}
		qsort(d2, model.count, sizeof *d2, ascending);
		limit = d2[12] + 1e-9; /* d2[0] is the atom itself */
		for (size_t j = 0; j < model.count; j++) {
			double s = 0;

			for (int k = 0; k < 3; k++) {
				r[count][k] = model.position_A[j][k] - model.position_A[i][k];
				s += r[count][k] * r[count][k];
			}
			count += j != i && s <= limit;
		}
		assert_int_equal(count, 12);
		kit_near(near[i], slow_sum(r, 12, 6), 1e-12);
	}
	assert_true(few > 10 && few < model.count / 2);
	assert_memory_equal(near, far, model.count * sizeof *near);
	assert_memory_equal(near, small, model.count * sizeof *near);
	free(csp);
	free(near);
	free(far);
	free(small);
	free(r);
	free(d2);
	pn_neighbors_free(&shell);
	kit_free(&model);
}

/* {100}: 8 first neighbours and 5 second ones at the same distance: 2 d^2. Bulk 0 either way. */
static void ties_do_not_matter(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, a_A, 78);
	struct pn_neighbors shell = shell_of(&model);
	double *csp = by_nearest(&model, cutoff_A, 12, 1);
	size_t terrace = 0;

	for (size_t i = 0; i < model.count; i++) {
		if (pn_neighbors_count(&shell, i) == 12)
			kit_near(csp[i], 0, 1e-12);
		if (pn_neighbors_count(&shell, i) == 8 && fabs(csp[i] / d2_A2 - 2) < 1e-12)
			terrace++;
	}
	assert_int_equal(terrace, 6 * 16); /* 4 x 4 inside each {100} facet of 6 x 6 */
	pn_neighbors_free(&shell);
	free(csp);
	kit_free(&model);
}

/* With cells as wide as second neighbours are far: rounding decides which are found at first. */
static void check_invariance(const struct kit_model *model)
{
	struct kit_model other = kit_copy(model);
	uint32_t *from = malloc(model->count * sizeof *from);

	assert_non_null(from);
	kit_turn(&other, 5);
	kit_shuffle(&other, 6, from);

	double *a = by_shell(model, 1), *b = by_shell(&other, 1), *c = by_shell(&other, 2);
	double *p = by_nearest(model, 3.4, 12, 1), *q = by_nearest(&other, a_A, 12, 1);
	double *r = by_nearest(&other, a_A, 12, 2);

	for (size_t i = 0; i < model->count; i++) {
		kit_near(b[i], a[from[i]], 1e-10);
		kit_near(q[i], p[from[i]], 1e-10);
	}
	assert_memory_equal(b, c, model->count * sizeof *b);
	assert_memory_equal(q, r, model->count * sizeof *q);
	double *all[] = { a, b, c, p, q, r };

	for (size_t i = 0; i < PN_COUNT(all); i++)
		free(all[i]);
	free(from);
	kit_free(&other);
}

static void turned_and_renumbered(void **state)
{
	(void)state;
	struct kit_model perfect = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, a_A, 78);
	struct kit_model shaken = kit_copy(&perfect), gas = kit_gas(500, 12, 78, 9);

	kit_shake(&shaken, 0.15, 1);
	check_invariance(&perfect);
	check_invariance(&shaken);
	check_invariance(&gas);
	kit_free(&perfect);
	kit_free(&shaken);
	kit_free(&gas);
}

/* Six pairs of independent atoms around a third: 6 * 3 * (1 + 1 + 4) s^2 = 108 s^2 in the bulk. */
static void noise_raises_it_as_written(void **state)
{
	(void)state;
	for (double s = 0.05; s < 0.11; s *= 2) {
		struct kit_model model = kit_solid(PN_SHAPE_SPHERE, 8000, a_A, 78);
		double sum = 0;
		size_t count = 0;

		kit_shake(&model, s, 2);
		double *csp = by_shell(&model, 1);
		struct pn_neighbors shell = shell_of(&model);

		for (size_t i = 0; i < model.count; i++)
			if (pn_neighbors_count(&shell, i) == 12) {
				sum += csp[i];
				count++;
			}
		print_message("s = %.2f A: bulk CSP %.1f s^2\n", s, sum / (double)count / (s * s));
		assert_true(fabs(sum / (double)count / (s * s) - 108) < 3);
		pn_neighbors_free(&shell);
		free(csp);
		kit_free(&model);
	}
}

static void few_and_coincident(void **state)
{
	(void)state;
	double position[40][3] = { { 0 } };
	uint8_t element[40] = { 0 };
	struct kit_model model = { position, element, 0 };

	for (model.count = 1; model.count <= 4; model.count++) {
		for (size_t i = 0; i < model.count; i++)
			position[i][0] = 2.5 * (double)i;
		double *a = by_shell(&model, 2), *b = by_nearest(&model, 3, 12, 2);

		for (size_t i = 0; i < model.count; i++)
			assert_true(isnan(a[i]) && isnan(b[i]));
		free(a);
		free(b);
	}
	/* all at one place: every pair adds nothing */
	memset(position, 0, sizeof position);
	model.count = 40;
	double *a = by_shell(&model, 1), *b = by_nearest(&model, 3, 12, 1);

	for (size_t i = 0; i < model.count; i++)
		assert_true(a[i] == 0 && b[i] == 0);
	free(a);
	free(b);
	/* a straight row: pairs of the middle atom cancel */
	for (size_t i = 0; i < 13; i++)
		position[i][0] = 2.5 * (double)i;
	model.count = 13;
	b = by_nearest(&model, 3, 12, 1);
	kit_near(b[6], 0, 1e-12);
	assert_true(b[0] > 0);
	free(b);
	/* an atom far away is reached */
	position[12][2] = 3e4;
	b = by_nearest(&model, 3, 12, 1);
	assert_true(isfinite(b[12]) && b[12] > 1e9);
	free(b);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_OCTAHEDRON, 19, a_A, 78);
	struct pn_atoms atoms = kit_view(&model), fewer = atoms;
	struct pn_neighbors shell = shell_of(&model);
	struct pn_cells cells;
	struct pn_error err = { 0 };
	double csp[32];

	fewer.count = 12;
	assert_int_equal(pn_cells_build(&cells, atoms.position_A, atoms.count, 3, NULL), PN_OK);
	assert_int_equal(pn_csp_shell(csp, &shell, 0, &err), PN_EARG);
	assert_int_equal(pn_csp_nearest(csp, &cells, &atoms, 12, 0, &err), PN_EARG);
	assert_int_equal(pn_csp_nearest(csp, &cells, &atoms, 11, 1, &err), PN_EARG);
	assert_int_equal(pn_csp_nearest(csp, &cells, &atoms, 0, 1, &err), PN_EARG);
	assert_int_equal(pn_csp_nearest(csp, &cells, &atoms, 26, 1, &err), PN_EARG);
	assert_int_equal(pn_csp_nearest(csp, &cells, &fewer, 12, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "19"));
	pn_cells_free(&cells);
	pn_neighbors_free(&shell);
	kit_free(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perfect_sites_have_their_numbers),
		cmocka_unit_test(vacancies_and_ridges),
		cmocka_unit_test(slow_reference_agrees),
		cmocka_unit_test(ties_do_not_matter),
		cmocka_unit_test(turned_and_renumbered),
		cmocka_unit_test(noise_raises_it_as_written),
		cmocka_unit_test(few_and_coincident),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
