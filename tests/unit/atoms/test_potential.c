/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Atoms by their potential: templates in closed form, correlation by its definition, atoms found.
 */
#include "perrin/atoms/potential.h"

#include "perrin/twin/scattering.h"
#include "trace_kit.h"

/* One Gaussian of B = 8 pi^2 u^2 is a Gaussian of width u that holds its term's a. */
static void gaussian_template_is_a_gaussian(void **state)
{
	struct pn_potential_term term = { 3, 0 };
	float t[343];
	double u = 0.55, sum = 0;

	(void)state;
	assert_int_equal(pn_potential_gaussians(t, 7, 0.4, &term, 1, 8 * M_PI * M_PI * u * u, NULL),
			 PN_OK);
	for (int i = 0; i < 343; i++) {
		int x = i % 7 - 3, y = i / 7 % 7 - 3, z = i / 49 - 3;
		double r2 = 0.16 * (x * x + y * y + z * z);

		kit_near(t[i], 3 * exp(-r2 / (2 * u * u)) / pow(2 * M_PI * u * u, 1.5), 1e-6);
		sum += t[i] * 0.064;
	}
	assert_true(sum > 2.7 && sum < 3.0);
	term.a = NAN;
	assert_int_equal(pn_potential_gaussians(t, 7, 0.4, &term, 1, 5, NULL), PN_EARG);
	term.a = 1;
	assert_int_equal(pn_potential_gaussians(t, 7, 0.4, &term, 1, 0, NULL), PN_EARG);
	assert_int_equal(pn_potential_gaussians(t, 6, 0.4, &term, 1, 5, NULL), PN_EARG);
	assert_int_equal(pn_potential_gaussians(t, 7, 0, &term, 1, 5, NULL), PN_EARG);
}

static double one_gaussian(int z, double q)
{
	return z * exp(-7 * q * q / 4);
}

/* The integral over a Gaussian factor is the closed form; that of platinum integrates, over planes,
 * to its projected potential in reach of the resolution: here its sign and fall-off. */
static void integral_is_the_closed_form(void **state)
{
	struct pn_potential_term term = { 5, 7 };
	float closed[1331], integral[1331];

	(void)state;
	assert_int_equal(pn_potential_gaussians(closed, 11, 0.3, &term, 1, 4, NULL), PN_OK);
	assert_int_equal(pn_potential_template(integral, 11, 0.3, one_gaussian, 5, 4, 4, NULL),
			 PN_OK);
	for (int i = 0; i < 1331; i++)
		assert_true(fabsf(closed[i] - integral[i]) < 1e-5f * closed[665]);
	assert_int_equal(
		pn_potential_template(integral, 11, 0.3, pn_scattering_lobato, 78, 12, 1.5, NULL),
		PN_OK);
	for (int r = 1; r < 5; r++)
		assert_true(integral[665 + r] < integral[664 + r]);
	assert_int_equal(pn_potential_template(integral, 11, 0.3, one_gaussian, 5, 4, 0, NULL),
			 PN_EARG);
}

/* Slow, in double, voxel by voxel, also at the border. */
static void correlation_is_its_definition(void **state)
{
	enum { N = 14, E = 5 };
	struct pn_potential_term term = { 1, 0 };
	float volume[N * N * N], pearson[N * N * N], amplitude[N * N * N], t[E * E * E];
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 1, 0);
	for (int i = 0; i < N * N * N; i++)
		volume[i] = (float)pn_rng_uniform(&rng);
	assert_int_equal(pn_potential_gaussians(t, E, 0.35, &term, 1, 20, NULL), PN_OK);
	assert_int_equal(pn_potential_correlate(pearson, amplitude, volume, N, N, N, t, E, 2, NULL),
			 PN_OK);
	for (int i = 0; i < N * N * N; i++) {
		double mean = 0, count = 0, with = 0, tt = 0, v = 0, vv = 0;

		for (int pass = 0; pass < 2; pass++)
			for (int k = 0; k < E * E * E; k++) {
				int dx = k % E - 2, dy = k / E % E - 2, dz = k / E / E - 2;
				int x = i % N + dx, y = i / N % N + dy, z = i / N / N + dz;
				int in = x >= 0 && y >= 0 && z >= 0 && x < N && y < N && z < N;
				double value = in ? volume[(z * N + y) * N + x] : 0;

				if (dx * dx + dy * dy + dz * dz > 6.25)
					continue;
				if (pass == 0) {
					mean += t[k];
					count++;
				} else {
					with += value * (t[k] - mean / count);
					tt += (t[k] - mean / count) * (t[k] - mean / count);
					v += value;
					vv += value * value;
				}
			}
		assert_true(fabs(pearson[i] - with / sqrt(tt * (vv - v * v / count))) < 1e-5);
		kit_near(amplitude[i], with / tt, 1e-5);
	}
	/* constant: no correlation; a constant template: none to be had */
	for (int i = 0; i < N * N * N; i++)
		volume[i] = 1e4f;
	assert_int_equal(pn_potential_correlate(pearson, NULL, volume, N, N, N, t, E, 1, NULL),
			 PN_OK);
	assert_true(pearson[(7 * N + 7) * N + 7] == 0);
	for (int i = 0; i < E * E * E; i++)
		t[i] = 2;
	assert_int_equal(pn_potential_correlate(pearson, NULL, volume, N, N, N, t, E, 1, NULL),
			 PN_EARG);
	t[0] = NAN;
	assert_int_equal(pn_potential_correlate(pearson, NULL, volume, N, N, N, t, E, 1, NULL),
			 PN_EARG);
}

static void template_of(float *t, double width_A)
{
	struct pn_potential_term term = { 1, 0 };

	assert_int_equal(pn_potential_gaussians(t, 7, 0.35, &term, 1,
						8 * M_PI * M_PI * width_A * width_A, NULL),
			 PN_OK);
}

/* All atoms and no others, clean and in noise of a third of their height; the validation tells. */
static void atoms_are_where_it_correlates(void **state)
{
	float t[343];

	(void)state;
	template_of(t, 0.6);
	for (int noisy = 0; noisy < 2; noisy++) {
		struct known k = known_scatter(72, 76, 80, 0.35, 200, 2.6, 6, 41);
		struct pn_potential one, two;
		struct pn_error err = { 0 };
		struct pn_trace_options o;

		known_draw(&k, 0.6, 0.6, 0.6);
		if (noisy)
			known_noise(&k, 0.3, 42);
		pn_trace_options_default(&o);
		o.smooth_A = 0;
		assert_int_equal(pn_potential_atoms(&one, k.volume, 80, 76, 72, 0.35, t, 7, 0.3, &o,
						    1, &err),
				 PN_OK);
		assert_int_equal(pn_potential_atoms(&two, k.volume, 80, 76, 72, 0.35, t, 7, 0.3, &o,
						    2, &err),
				 PN_OK);
		assert_int_equal(one.trace.count, two.trace.count);
		assert_memory_equal(one.trace.atom, two.trace.atom,
				    one.trace.count * sizeof *one.trace.atom);
		assert_memory_equal(one.pearson, two.pearson,
				    one.trace.count * sizeof *one.pearson);
		struct found f = known_compare(&k, one.trace.atom[0].position_A,
					       sizeof *one.trace.atom, one.trace.count, 0.8);

		print_message("%zu of %zu, %zu false, rms %.2f pm, last correlation %.3f\n",
			      f.matched, k.count, f.false_atoms, f.rms_pm,
			      one.pearson[one.trace.count - 1]);
		assert_true(f.matched + (noisy ? 2 : 0) >= k.count);
		assert_true(f.false_atoms <= (noisy ? 2 : 0));
		assert_true(f.rms_pm < (noisy ? 15 : 3));
		double height = pow(2 * M_PI * 0.36, 1.5);

		for (size_t i = 0; i < one.trace.count && !noisy; i++) {
			assert_true(one.pearson[i] > 0.9);
			assert_true(fabs(one.amplitude[i] / height - 1) < 0.1);
		}
		pn_potential_free(&one);
		pn_potential_free(&two);
		known_free(&k);
	}
}

static void nonsense_is_refused(void **state)
{
	struct known k = known_scatter(20, 20, 20, 0.35, 1, 0, 9, 43);
	struct pn_trace_options o;
	struct pn_potential p;
	float t[343];

	(void)state;
	template_of(t, 0.6);
	known_draw(&k, 0.6, 0.6, 0.6);
	pn_trace_options_default(&o);
	assert_int_equal(pn_potential_atoms(&p, k.volume, 20, 20, 20, 0.35, t, 7, 0, &o, 1, NULL),
			 PN_EARG); /* smoothed */
	pn_potential_free(&p);
	o.smooth_A = 0;
	assert_int_equal(pn_potential_atoms(&p, k.volume, 20, 20, 20, 0.35, t, 8, 0, &o, 1, NULL),
			 PN_EARG);
	pn_potential_free(&p);
	assert_int_equal(pn_potential_atoms(&p, k.volume, 20, 20, 20, 0.35, t, 7, NAN, &o, 1, NULL),
			 PN_EARG);
	pn_potential_free(&p);
	/* nothing correlates that well */
	assert_int_equal(
		pn_potential_atoms(&p, k.volume, 20, 20, 20, 0.35, t, 7, 1.01, &o, 1, NULL), PN_OK);
	assert_int_equal(p.trace.count, 0);
	assert_int_equal(p.not_like, 1);
	pn_potential_free(&p);
	k.volume[5] = NAN;
	assert_int_equal(pn_potential_atoms(&p, k.volume, 20, 20, 20, 0.35, t, 7, 0, &o, 1, NULL),
			 PN_EARG);
	pn_potential_free(&p);
	known_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gaussian_template_is_a_gaussian),
		cmocka_unit_test(integral_is_the_closed_form),
		cmocka_unit_test(correlation_is_its_definition),
		cmocka_unit_test(atoms_are_where_it_correlates),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
