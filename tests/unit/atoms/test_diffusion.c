/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"
#include "perrin/atoms/diffusion.h"
#include "perrin/base/rng.h"

#include <math.h>
#include <string.h>

enum { LAYERS = 24, TIMES = 4 };

static const double D_A2_per_s = 8.0e-4; /* paper 001: 8.0e-24 m2/s */
static const double time_s[TIMES] = { 0, 1800, 3600, 7200 };

struct profiles {
	struct pn_layer_profiles view;
	double fraction[TIMES * LAYERS], sigma[TIMES * LAYERS];
};

/* erfc profile whose interface has width w0 at time 0; averages over the layers by 64 points. */
static void make(struct profiles *p, double w0_A, double spacing_A)
{
	p->view = (struct pn_layer_profiles){ .layers = LAYERS,
					      .times = TIMES,
					      .spacing_A = spacing_A,
					      .time_s = time_s,
					      .fraction = p->fraction };
	for (int t = 0; t < TIMES; t++)
		for (int k = 0; k < LAYERS; k++) {
			double w = sqrt(w0_A * w0_A + 4 * D_A2_per_s * time_s[t]), sum = 0;

			for (int s = 0; s < 64; s++) {
				double x = (k - 0.5 + (s + 0.5) / 64) * spacing_A - 20;

				sum += 0.05 + 0.9 * 0.5 * erfc(x / w);
			}
			p->fraction[t * LAYERS + k] = sum / 64;
		}
}

/* sigma of a fraction of 300 atoms, and the fractions scattered by it if there is a generator */
static void scatter(struct profiles *p, struct pn_rng *rng)
{
	for (int i = 0; i < TIMES * LAYERS; i++) {
		double c = p->fraction[i];

		p->sigma[i] = sqrt(c * (1 - c) / 300);
		if (rng)
			p->fraction[i] += p->sigma[i] * pn_rng_gauss(rng);
	}
	p->view.sigma = p->sigma;
}

static void exact_profiles_give_D(void **state)
{
	struct profiles p;
	struct pn_diffusion d;

	(void)state;
	for (double w0_A = 1; w0_A < 8; w0_A *= 2) {
		make(&p, w0_A, 2.0);
		assert_int_equal(pn_diffusion_fick(&d, &p.view, 0, LAYERS - 1, NULL), PN_OK);
		assert_true(d.converged);
		assert_true(fabs(d.D_m2_per_s / (D_A2_per_s * 1e-20) - 1) < 0.03);
		assert_int_equal(pn_diffusion_erfc(&d, &p.view, NULL), PN_OK);
		assert_true(fabs(d.D_m2_per_s / (D_A2_per_s * 1e-20) - 1) < 0.001);
	}
}

/* Truth within the stated uncertainty: pull of mean 0 and standard deviation 1 over 100 draws. */
static void uncertainty_is_true(void **state)
{
	double sum[2] = { 0 }, sum2[2] = { 0 };
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 5, 0);
	for (int turn = 0; turn < 100; turn++) {
		struct pn_diffusion d[2];
		struct profiles p;

		make(&p, 4, 2.0);
		scatter(&p, &rng);
		assert_int_equal(pn_diffusion_fick(&d[0], &p.view, 0, LAYERS - 1, NULL), PN_OK);
		assert_int_equal(pn_diffusion_erfc(&d[1], &p.view, NULL), PN_OK);
		for (int m = 0; m < 2; m++) {
			double pull =
				(d[m].D_m2_per_s - D_A2_per_s * 1e-20) / d[m].uncertainty_m2_per_s;

			sum[m] += pull;
			sum2[m] += pull * pull;
		}
	}
	for (int m = 0; m < 2; m++) {
		double mean = sum[m] / 100, sd = sqrt(sum2[m] / 100 - mean * mean);

		assert_true(fabs(sd - 1) < 0.2);
		assert_true(fabs(mean) < 0.3);
	}
}

/* A change that drowns in the noise leaves D open: no small uncertainty around a wrong number. */
static void noise_is_not_taken_for_diffusion(void **state)
{
	struct pn_rng rng;
	int stated = 0, wrong = 0;

	(void)state;
	pn_rng_init(&rng, 7, 0);
	for (int turn = 0; turn < 20; turn++) {
		struct profiles p;
		struct pn_diffusion d;

		make(&p, 4, 2.0);
		for (int i = 0; i < TIMES * LAYERS; i++)
			p.fraction[i] = 0.5 + (p.fraction[i] - 0.5) * 2 / 9; /* 0.4 .. 0.6 */
		scatter(&p, &rng);
		assert_int_equal(pn_diffusion_fick(&d, &p.view, 0, LAYERS - 1, NULL), PN_OK);
		if (isnan(d.uncertainty_m2_per_s))
			continue;
		stated++;
		wrong += fabs(d.D_m2_per_s - D_A2_per_s * 1e-20) > 3 * d.uncertainty_m2_per_s;
	}
	print_message("%d of 20 with an uncertainty, %d of them off by more than three\n", stated,
		      wrong);
	assert_true(stated < 10 && wrong <= 1);
}

/* With layers that shrink towards the centre the total amount is kept: sum N C. */
static void no_change_is_no_diffusion(void **state)
{
	struct profiles p;
	struct pn_diffusion d;
	double atoms[LAYERS];

	(void)state;
	make(&p, 4, 2.0);
	for (int k = 0; k < LAYERS; k++)
		atoms[k] = (LAYERS - k) * (LAYERS - k);
	for (int t = 1; t < TIMES; t++)
		memcpy(p.fraction + t * LAYERS, p.fraction, LAYERS * sizeof *p.fraction);
	p.view.atoms = atoms;
	assert_int_equal(pn_diffusion_fick(&d, &p.view, 0, 10, NULL), PN_OK);
	assert_true(fabs(d.D_m2_per_s) < 1e-9 * D_A2_per_s * 1e-20);
}

/* A sphere: the radial solution of a sharp start, integrated by its series, against shells. */
static void shells_of_a_sphere(void **state)
{
	enum { SHELLS = 30 };
	const double radius_A = 60, x_A = 2, core_A = 40;
	double fraction[2 * SHELLS], atoms[SHELLS], times[2] = { 1000, 5000 };
	struct pn_layer_profiles view = { SHELLS, 2, x_A, times, fraction, NULL, atoms };
	struct pn_diffusion d, flat;

	(void)state;
	for (int t = 0; t < 2; t++)
		for (int k = 0; k < SHELLS; k++) {
			double sum = 0, volume = 0;

			for (int s = 0; s < 32; s++) {
				/* u = r C obeys the flat law on 0..R; free of the boundary this
				 * early */
				double r = radius_A - (k + (s + 0.5) / 32) * x_A;
				double w = sqrt(4 * 1e-2 * times[t]);
				double a = (core_A - r) / w, b = (core_A + r) / w;
				double c = 0.5 * (erf(a) + erf(b)) -
					   w / (2 * r * sqrt(M_PI)) * (exp(-a * a) - exp(-b * b));

				sum += c * r * r;
				volume += r * r;
			}
			fraction[t * SHELLS + k] = sum / volume;
			atoms[k] = volume;
		}
	assert_int_equal(pn_diffusion_fick(&d, &view, 0, SHELLS - 1, NULL), PN_OK);
	assert_true(fabs(d.D_m2_per_s / 1e-22 - 1) < 0.03);
	view.atoms = NULL; /* flat layers see something else */
	assert_int_equal(pn_diffusion_fick(&flat, &view, 0, SHELLS - 1, NULL), PN_OK);
	assert_true(fabs(d.D_m2_per_s / 1e-22 - 1) < fabs(flat.D_m2_per_s / 1e-22 - 1));
}

static void layers_without_atoms_are_left_out(void **state)
{
	struct profiles p;
	struct pn_diffusion d;

	(void)state;
	make(&p, 3, 2.0);
	for (int t = 0; t < TIMES; t++)
		p.fraction[t * LAYERS + LAYERS - 1] = NAN;
	assert_int_equal(pn_diffusion_fick(&d, &p.view, 0, LAYERS - 1, NULL), PN_OK);
	assert_int_equal(d.points, (TIMES - 1) * (LAYERS - 1));
	assert_true(fabs(d.D_m2_per_s / (D_A2_per_s * 1e-20) - 1) < 0.03);
}

static void what_cannot_be_fitted_is_told(void **state)
{
	struct profiles p;
	struct pn_diffusion d;
	struct pn_error err = { 0 };
	const double backwards[TIMES] = { 0, 10, 5, 20 };

	(void)state;
	make(&p, 3, 2.0);
	assert_int_equal(pn_diffusion_fick(&d, &p.view, 5, LAYERS, &err), PN_EARG);
	p.view.time_s = backwards;
	assert_int_equal(pn_diffusion_fick(&d, &p.view, 0, 5, &err), PN_EARG);
	assert_non_null(strstr(err.text, "5 s does not come after 10 s"));
	p.view.time_s = time_s;
	p.view.times = 1;
	assert_int_equal(pn_diffusion_fick(&d, &p.view, 0, 5, &err), PN_EARG);
	p.view.times = TIMES;
	for (int i = 0; i < TIMES * LAYERS; i++)
		p.fraction[i] = NAN;
	assert_int_equal(pn_diffusion_fick(&d, &p.view, 0, 5, &err), PN_EARG);
	assert_int_equal(pn_diffusion_erfc(&d, &p.view, &err), PN_EARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_profiles_give_D),
		cmocka_unit_test(uncertainty_is_true),
		cmocka_unit_test(noise_is_not_taken_for_diffusion),
		cmocka_unit_test(no_change_is_no_diffusion),
		cmocka_unit_test(shells_of_a_sphere),
		cmocka_unit_test(layers_without_atoms_are_left_out),
		cmocka_unit_test(what_cannot_be_fitted_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
