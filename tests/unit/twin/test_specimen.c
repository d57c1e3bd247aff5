/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specimens have the atoms that crystallography says, and chance is exact in number and seeded. */
#include "perrin/base/element.h"
#include "perrin/twin/specimen.h"

#include "testkit.h"

#include <math.h>
#include <string.h>

static const double upright[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };

static struct pn_specimen_params defaults(void)
{
	struct pn_specimen_params p;

	pn_params_default(pn_specimen_param_table, &p);
	return p;
}

static struct pn_specimen *make(const struct pn_specimen_params *p, uint64_t seed)
{
	struct pn_specimen *s = NULL;
	struct pn_error err = { 0 };

	if (pn_specimen_create(&s, p, seed, &err))
		fail_msg("%s", err.text);
	return s;
}

static size_t count_of(int shape, double diameter_nm)
{
	struct pn_specimen_params p = defaults();

	p.shape = shape;
	p.diameter_nm = diameter_nm;
	struct pn_specimen *s = make(&p, 0);
	size_t count = s->count;

	pn_specimen_destroy(s);
	return count;
}

static double diameter_nm_of(double count)
{
	return 0.1 * cbrt(6 * count * pow(pn_lattice_constant_A(78), 3) / (4 * M_PI));
}

/* Asked for the diameter of a magic size, within 2 %, exactly that many atoms come. */
static void polyhedra_have_magic_counts(void **state)
{
	(void)state;
	static const size_t truncated[] = { 38, 79, 116, 201, 314, 405, 586 };

	for (int n = 1; n <= 9; n++) {
		size_t cubo = (size_t)(10 * n * n * n + 15 * n * n + 11 * n + 3) / 3;
		size_t m = (size_t)n + 1, octa = m * (2 * m * m + 1) / 3;
		size_t regular = 16 * m * m * m - 33 * m * m + 24 * m - 6;

		for (double f = 0.98; f < 1.03; f += 0.02) {
			assert_int_equal(count_of(PN_SHAPE_CUBOCTAHEDRON, f * diameter_nm_of(cubo)),
					 cubo);
			assert_int_equal(count_of(PN_SHAPE_OCTAHEDRON, f * diameter_nm_of(octa)),
					 octa);
		}
		assert_int_equal(count_of(PN_SHAPE_TRUNCATED_OCTAHEDRON, diameter_nm_of(regular)),
				 regular);
	}
	for (size_t i = 0; i < sizeof truncated / sizeof truncated[0]; i++)
		assert_int_equal(
			count_of(PN_SHAPE_TRUNCATED_OCTAHEDRON, diameter_nm_of(truncated[i])),
			truncated[i]);
	for (size_t i = 0; i + 1 < sizeof truncated / sizeof truncated[0]; i++) {
		double middle =
			(diameter_nm_of(truncated[i]) + diameter_nm_of(truncated[i + 1])) / 2;

		assert_int_equal(count_of(PN_SHAPE_TRUNCATED_OCTAHEDRON, middle - 1e-6),
				 truncated[i]);
		assert_int_equal(count_of(PN_SHAPE_TRUNCATED_OCTAHEDRON, middle + 1e-6),
				 truncated[i + 1]);
	}
	assert_int_equal(count_of(PN_SHAPE_CUBOCTAHEDRON, 0.1), 13);
	assert_int_equal(count_of(PN_SHAPE_OCTAHEDRON, 0.1), 6);
	assert_int_equal(count_of(PN_SHAPE_TRUNCATED_OCTAHEDRON, 0.1), 38);
}

/* Shells of fcc around an atom: 1, +12, +6, +24, +12, +24, ... at a sqrt(k/2). */
static void spheres_grow_by_coordination_shells(void **state)
{
	(void)state;
	static const size_t counts[] = { 1, 13, 19, 43, 55, 79, 87, 135, 141, 177, 201 };
	double a_nm = 0.1 * pn_lattice_constant_A(78);

	for (int k = 0; k < 11; k++)
		assert_int_equal(
			count_of(PN_SHAPE_SPHERE, fmax(0.1, 2 * a_nm * (sqrt(k / 2.0) + 0.02))),
			counts[k]);
}

/* Of the perfect crystal: nearest distance a/sqrt 2, ids in order, centre of mass at the origin. */
static void lattice_is_fcc_and_centred(void **state)
{
	(void)state;
	for (int shape = 0; shape <= PN_SHAPE_OCTAHEDRON; shape++) {
		struct pn_specimen_params p = defaults();
		double sum[3] = { 0 }, nearest = INFINITY;

		p.shape = shape;
		p.lattice_A = 3.912;
		p.diameter_nm = 2;
		struct pn_specimen *s = make(&p, 0);

		assert_true(s->lattice_A == 3.912);
		for (size_t i = 0; i < s->count; i++) {
			assert_int_equal(s->id[i], i);
			assert_int_equal(s->atomic_number[i], 78);
			for (int k = 0; k < 3; k++)
				sum[k] += s->position_A[i][k];
			for (size_t j = 0; j < i; j++) {
				double d2 = 0;

				for (int k = 0; k < 3; k++) {
					double d = s->position_A[i][k] - s->position_A[j][k];

					d2 += d * d;
				}
				nearest = fmin(nearest, sqrt(d2));
			}
		}
		assert_true(fabs(nearest - 3.912 / sqrt(2)) < 1e-12);
		for (int k = 0; k < 3; k++)
			assert_true(fabs(sum[k]) < 1e-9);
		pn_specimen_destroy(s);
	}
}

static size_t count_element(const struct pn_specimen *s, int z)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += s->atomic_number[i] == z;
	return n;
}

/* A shell thinner than one (111) layer holds the atoms that the next smaller polyhedron lacks. */
static void shell_is_the_outer_layer(void **state)
{
	(void)state;
	struct pn_specimen_params p = defaults();

	p.shape = PN_SHAPE_CUBOCTAHEDRON;
	p.diameter_nm = diameter_nm_of(309);
	strcpy(p.shell_element, "Pd");
	p.shell_nm = 0.1;
	struct pn_specimen *s = make(&p, 0);

	assert_int_equal(s->count, 309);
	assert_int_equal(count_element(s, 46), 309 - 147);
	assert_int_equal(count_element(s, 78), 147);
	pn_specimen_destroy(s);

	/* (111) layers are a/sqrt 3 = 0.2266 nm apart: one layer or two go to the shell */
	p.shape = PN_SHAPE_OCTAHEDRON;
	p.diameter_nm = diameter_nm_of(344);
	p.shell_nm = 0.226;
	s = make(&p, 0);
	assert_int_equal(count_element(s, 46), 344 - 146);
	pn_specimen_destroy(s);
	p.shell_nm = 0.227;
	s = make(&p, 0);
	assert_int_equal(count_element(s, 46), 344 - 44);
	pn_specimen_destroy(s);

	p.shape = PN_SHAPE_SPHERE;
	p.diameter_nm = 2.4;
	p.shell_nm = 0.3;
	s = make(&p, 0);
	for (size_t i = 0; i < s->count; i++) {
		const double *r = s->position_A[i];
		double depth = 12 - sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);

		assert_int_equal(s->atomic_number[i], depth < 3 ? 46 : 78);
	}
	pn_specimen_destroy(s);
}

static void chance_is_exact_in_number_and_seeded(void **state)
{
	(void)state;
	struct pn_specimen_params p = defaults();

	p.shape = PN_SHAPE_CUBOCTAHEDRON;
	p.diameter_nm = diameter_nm_of(923);
	p.vacancy_fraction = 0.1;
	p.alloy_fraction = 0.25;
	strcpy(p.alloy_element, "Ni");
	p.thermal_A = 0.08;
	struct pn_specimen *a = make(&p, 5), *b = make(&p, 5), *c = make(&p, 6);

	assert_int_equal(a->count, 923 - 92);
	assert_int_equal(count_element(a, 28), 208); /* 831 / 4 = 207.75 */
	assert_int_equal(count_element(c, 28), 208);
	for (size_t i = 0; i < a->count; i++)
		assert_int_equal(a->id[i], i);
	assert_memory_equal(a->position_A, b->position_A, a->count * sizeof *a->position_A);
	assert_memory_equal(a->atomic_number, b->atomic_number, a->count);
	assert_int_equal(c->count, a->count);
	assert_memory_not_equal(a->atomic_number, c->atomic_number, a->count);
	assert_memory_not_equal(a->position_A, c->position_A, a->count * sizeof *a->position_A);
	pn_specimen_destroy(a);
	pn_specimen_destroy(b);
	pn_specimen_destroy(c);

	p.vacancy_fraction = 1;
	a = make(&p, 1);
	assert_int_equal(a->count, 0);
	assert_true(pn_specimen_diameter_A(a) == 0);
	assert_true(pn_specimen_projected_diameter_A(a, upright) == 0);
	pn_specimen_destroy(a);
}

/* Every site is as often Ni as any other: chi-square of 147 sites over 800 seeds. */
static void alloy_favours_no_site(void **state)
{
	(void)state;
	enum { SITES = 147, SEEDS = 800 };
	struct pn_specimen_params p = defaults();
	int hits[SITES] = { 0 };
	double expected = SEEDS * 44.0 / SITES, chi2 = 0;

	p.shape = PN_SHAPE_CUBOCTAHEDRON;
	p.diameter_nm = diameter_nm_of(SITES);
	p.alloy_fraction = 0.3; /* 44 of 147 */
	strcpy(p.alloy_element, "Ni");
	for (int seed = 0; seed < SEEDS; seed++) {
		struct pn_specimen *s = make(&p, (uint64_t)seed);

		assert_int_equal(s->count, SITES);
		for (int i = 0; i < SITES; i++)
			hits[i] += s->atomic_number[i] == 28;
		pn_specimen_destroy(s);
	}
	for (int i = 0; i < SITES; i++)
		chi2 += (hits[i] - expected) * (hits[i] - expected) /
			(expected * (1 - 44.0 / SITES));
	/* a fixed total takes one degree of freedom; 4.5 standard deviations of chi-square */
	assert_true(fabs(chi2 * (SITES - 1) / SITES - (SITES - 1)) < 4.5 * sqrt(2.0 * (SITES - 1)));
}

static void displacements_have_their_rms(void **state)
{
	(void)state;
	struct pn_specimen_params p = defaults();
	struct pn_specimen *s, *moved;
	struct pn_rng rng;
	double square = 0;

	p.diameter_nm = 6;
	s = make(&p, 0);
	assert_int_equal(pn_specimen_copy(&moved, s, NULL), PN_OK);
	assert_int_equal(moved->count, s->count);
	assert_memory_equal(moved->position_A, s->position_A, s->count * sizeof *s->position_A);
	assert_memory_equal(moved->id, s->id, s->count * sizeof *s->id);
	assert_memory_equal(moved->atomic_number, s->atomic_number, s->count);
	pn_rng_init(&rng, 1, 2);
	pn_specimen_displace(moved, 0.09, &rng);
	for (size_t i = 0; i < s->count; i++)
		for (int k = 0; k < 3; k++) {
			double d = moved->position_A[i][k] - s->position_A[i][k];

			square += d * d;
		}
	double n = 3.0 * (double)s->count;

	assert_true(fabs(square / n / (0.09 * 0.09) - 1) < 4.5 * sqrt(2 / n));
	pn_specimen_destroy(s);
	pn_specimen_destroy(moved);
	pn_specimen_destroy(NULL);
}

static void silhouettes_have_the_area(void **state)
{
	(void)state;
	struct pn_specimen_params p = defaults();
	double a = pn_lattice_constant_A(78), r = a / sqrt(8);

	p.shape = PN_SHAPE_SPHERE;
	p.diameter_nm = 0.1; /* one atom: one disc */
	struct pn_specimen *s = make(&p, 0);

	assert_int_equal(s->count, 1);
	assert_true(fabs(pn_specimen_projected_diameter_A(s, upright) - 2 * r) < 0.02);
	pn_specimen_destroy(s);

	/* 6 atoms along [001]: four touching discs on a square of side 2 r, and one in its middle
	 * that shares with each a lens of r^2 (pi/2 - 1), the centres being r sqrt 2 apart */
	p.shape = PN_SHAPE_OCTAHEDRON;
	s = make(&p, 0);
	assert_int_equal(s->count, 6);
	double area = 5 * M_PI * r * r - 4 * r * r * (M_PI / 2 - 1);
	double d = pn_specimen_projected_diameter_A(s, upright);

	assert_true(fabs(M_PI * d * d / 4 / area - 1) < 0.005);
	pn_specimen_destroy(s);

	/* a big sphere: diameter asked for plus one disc radius on each side, from any direction */
	p.shape = PN_SHAPE_SPHERE;
	p.diameter_nm = 6;
	s = make(&p, 0);
	assert_true(fabs(pn_specimen_diameter_A(s) - 60) < 0.3);
	for (int i = 0; i < 10; i++) {
		double t = 0.31 * i, c = cos(t), n = sin(t);
		const double turn[3][3] = { { c, 0, n },
					    { n * n, c, -c * n },
					    { -c * n, n, c * c } };

		d = pn_specimen_projected_diameter_A(s, turn);
		assert_true(d > 60 && d < 60 + 2 * r);
	}
	pn_specimen_destroy(s);
}

static void refuse(const struct pn_specimen_params *p, const char *word)
{
	struct pn_specimen *s = (struct pn_specimen *)p; /* must become NULL */
	struct pn_error err = { 0 };

	assert_int_equal(pn_specimen_create(&s, p, 0, &err), PN_EARG);
	assert_null(s);
	assert_non_null(strstr(err.text, word));
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct pn_specimen_params good = defaults(), p;

	p = good, strcpy(p.element, "Xx"), refuse(&p, "Xx");
	p = good, strcpy(p.element, ""), refuse(&p, "element");
	p = good, strcpy(p.element, "C"), refuse(&p, "lattice_A");
	p = good, p.alloy_fraction = 0.5, refuse(&p, "alloy_element");
	p = good, p.shell_nm = 0.5, refuse(&p, "shell_element");
	p = good, p.diameter_nm = -1, refuse(&p, "diameter_nm");
	p = good, p.diameter_nm = NAN, refuse(&p, "diameter_nm");
	p = good, p.vacancy_fraction = 1.5, refuse(&p, "vacancy_fraction");
	p = good, p.shape = 4, refuse(&p, "shape");
	p = good, p.lattice_A = 0.1, refuse(&p, "lattice_A");
	p = good, strcpy(p.element, "C"), p.lattice_A = 3.5;
	pn_specimen_destroy(make(&p, 0));
}

static void table_sets_the_struct(void **state)
{
	(void)state;
	struct pn_specimen_params p = defaults();
	const struct pn_param *t = pn_specimen_param_table;

	assert_string_equal(p.element, "Pt");
	assert_string_equal(p.shell_element, "");
	assert_int_equal(pn_param_set(t, &p, "shape", "octahedron", NULL), PN_OK);
	assert_int_equal(p.shape, PN_SHAPE_OCTAHEDRON);
	assert_int_equal(pn_param_set(t, &p, "alloy-element", "Ni", NULL), PN_OK);
	assert_string_equal(p.alloy_element, "Ni");
	assert_int_equal(pn_param_set(t, &p, "diameter_nm", "3.5", NULL), PN_OK);
	assert_true(p.diameter_nm == 3.5);
	assert_int_equal(pn_param_set(t, &p, "vacancy_fraction", "2", NULL), PN_EARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(polyhedra_have_magic_counts),
		cmocka_unit_test(spheres_grow_by_coordination_shells),
		cmocka_unit_test(lattice_is_fcc_and_centred),
		cmocka_unit_test(shell_is_the_outer_layer),
		cmocka_unit_test(chance_is_exact_in_number_and_seeded),
		cmocka_unit_test(alloy_favours_no_site),
		cmocka_unit_test(displacements_have_their_rms),
		cmocka_unit_test(silhouettes_have_the_area),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(table_sets_the_struct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
