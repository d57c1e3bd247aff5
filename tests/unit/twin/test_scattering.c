/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scattering factors are the published ones, obey the theory, and give the potential used. */
#include "perrin/base/element.h"
#include "perrin/twin/scattering.h"

#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double bohr_A = 0.529177;
static const double sigma_V_A2 = 2 * M_PI * 0.529177 * 14.3996; /* 47.878 V A^2 */

/*
 * Exact: f_x = (1 + (pi a0 q)^2)^-2 and the Mott-Bethe relation f_e = (Z - f_x)/(2 pi^2 a0 q^2).
 * Lobato's five terms contain this form; Kirkland's only approach it.
 */
static void hydrogen_is_the_closed_form(void **state)
{
	(void)state;
	for (double q = 0.05; q < 6; q += 0.05) {
		double t = M_PI * bohr_A * q * M_PI * bohr_A * q;
		double exact = (1 - 1 / ((1 + t) * (1 + t))) / (2 * M_PI * M_PI * bohr_A * q * q);

		assert_true(fabs(pn_scattering_kirkland(1, q) / exact - 1) < 1e-2);
		assert_true(fabs(pn_scattering_lobato(1, q) / exact - 1) < 1e-6);
	}
	assert_true(fabs(pn_scattering_kirkland(1, 0) - bohr_A) < 1e-3);
	assert_true(fabs(pn_scattering_lobato(1, 0) - bohr_A) < 1e-6);
}

/* f_e(0) of International Tables for Crystallography C, table 4.3.1.1 (relativistic atoms). */
static void forward_scattering_is_the_tabulated_one(void **state)
{
	(void)state;
	static const struct {
		int z;
		double f_A;
	} rows[] = { { 6, 2.509 }, { 8, 1.983 }, { 14, 5.828 }, { 79, 10.573 } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_true(fabs(pn_scattering_kirkland(rows[i].z, 0) / rows[i].f_A - 1) < 0.03);
		assert_true(fabs(pn_scattering_lobato(rows[i].z, 0) / rows[i].f_A - 1) < 0.03);
	}
}

/* At high q only the nucleus scatters: q^2 f_e -> Z/(2 pi^2 a0); Lobato's fit has that limit. */
static void nucleus_alone_scatters_far_out(void **state)
{
	(void)state;
	for (int z = 1; z <= PN_ELEMENT_Z_MAX; z++) {
		double limit = z / (2 * M_PI * M_PI * bohr_A), q = 1e4;

		assert_true(fabs(pn_scattering_lobato(z, q) * q * q / limit - 1) < 1e-6);
	}
}

/*
 * Two independent fits of much the same atoms. Below 0.3/A the valence electrons rule, and the two
 * works took other configurations for some of them (Pt: 3 % apart).
 */
static void two_parametrisations_agree(void **state)
{
	(void)state;
	static const struct {
		int z;
		double tolerance;
	} rows[] = { { 6, 0.005 }, { 79, 0.005 }, { 8, 0.04 }, { 78, 0.04 } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (double q = 0.05; q <= 2; q += 0.01) {
			double ratio = pn_scattering_kirkland(rows[i].z, q) /
				       pn_scattering_lobato(rows[i].z, q);

			assert_true(fabs(ratio - 1) < rows[i].tolerance);
		}
	for (int z = 1; z <= PN_ELEMENT_Z_MAX; z++)
		for (double q = 0.3; q <= 6; q += 0.05) {
			double ratio = pn_scattering_kirkland(z, q) / pn_scattering_lobato(z, q);

			assert_true(fabs(ratio - 1) < 0.05);
		}
}

static double kirkland_of(const double *v, double q2)
{
	double f = 0;

	for (int i = 0; i < 6; i += 2)
		f += v[i] / (q2 + v[i + 1]) + v[6 + i] * exp(-v[7 + i] * q2);
	return f;
}

static double lobato_of(const double *v, double q2)
{
	double f = 0;

	for (int i = 0; i < 10; i += 2)
		f += v[i] * (2 + v[i + 1] * q2) / ((1 + v[i + 1] * q2) * (1 + v[i + 1] * q2));
	return f;
}

/* Rows "z,symbol,v1,v2,..." of a file against the compiled table; # and Z begin other lines. */
static void compare_with_file(const char *name, int columns, double (*of)(const double *, double),
			      double (*compiled)(int, double))
{
	const char *path = testkit_data(name);
	int rows = 0;
	char *next = NULL;

	if (!path)
		skip();
	size_t bytes;
	char *text = testkit_read(path, &bytes);

	for (char *line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		double v[12];

		if (*line == '#' || *line == 'Z')
			continue;
		int z = (int)strtol(line, &line, 10);
		char *comma = strchr(line + 1, ',');

		assert_non_null(comma);
		*comma = 0;
		assert_string_equal(line + 1, pn_element_symbol(z));
		for (int i = 0; i < columns; i++) {
			v[i] = strtod(comma + 1, &comma);
			assert_true(i + 1 == columns || *comma == ',');
		}
		for (double q = 0; q < 15; q = q * 1.5 + 0.01)
			assert_true(fabs(compiled(z, q) / of(v, q * q) - 1) < 1e-9);
		rows++;
	}
	assert_int_equal(rows, PN_ELEMENT_Z_MAX);
	free(text);
}

static void kirkland_figures_are_the_reference_data(void **state)
{
	(void)state;
	compare_with_file("scattering/kirkland.csv", 12, kirkland_of, pn_scattering_kirkland);
}

static void lobato_figures_are_the_reference_data(void **state)
{
	(void)state;
	compare_with_file("scattering/lobato.csv", 10, lobato_of, pn_scattering_lobato);
}

/* f_e(q) = 1/47.878 * integral of v(r) J0(2 pi q r) 2 pi r dr, with r = exp(u), trapezoids. */
static void potential_is_the_transform_of_the_factor(void **state)
{
	(void)state;
	static const int zs[] = { 6, 8, 47, 78, 79 };

	for (size_t i = 0; i < 5; i++)
		for (double q = 0; q <= 3; q += 0.5) {
			double sum = 0, du = 0.002;

			for (double u = -20; u < 3.5; u += du) {
				double r = exp(u);

				sum += pn_potential_projected_kirkland(zs[i], r) *
				       j0(2 * M_PI * q * r) * r * r;
			}
			double f = 2 * M_PI * sum * du / sigma_V_A2;

			assert_true(fabs(f / pn_scattering_kirkland(zs[i], q) - 1) < 1e-6);
		}
	assert_true(isinf(pn_potential_projected_kirkland(6, 0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hydrogen_is_the_closed_form),
		cmocka_unit_test(forward_scattering_is_the_tabulated_one),
		cmocka_unit_test(nucleus_alone_scatters_far_out),
		cmocka_unit_test(two_parametrisations_agree),
		cmocka_unit_test(kirkland_figures_are_the_reference_data),
		cmocka_unit_test(lobato_figures_are_the_reference_data),
		cmocka_unit_test(potential_is_the_transform_of_the_factor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
