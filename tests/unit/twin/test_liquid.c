/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Water has the power of its molecules, graphene its spots, and frames differ as they should. */
#include "perrin/twin/liquid.h"

#include "perrin/math/fft.h"
#include "perrin/twin/electron.h"
#include "perrin/twin/scattering.h"

#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NY 192
#define NX 256
#define PX 0.358

static struct pn_liquid_params defaults(void)
{
	return (struct pn_liquid_params){ .ny = NY,
					  .nx = NX,
					  .pixel_A = PX,
					  .energy_keV = 300,
					  .water_nm = 10,
					  .water_contrast = 1,
					  .seed = 11 };
}

static struct pn_liquid *plan_of(const struct pn_liquid_params *p)
{
	struct pn_liquid *plan;

	assert_int_equal(pn_liquid_plan(&plan, p, NULL), PN_OK);
	return plan;
}

/* The header's spectrum, by itself: rad^2 A^2. */
static double water_power(double q, double thickness_A)
{
	double o = pn_scattering_kirkland(8, q), h = pn_scattering_kirkland(1, q);
	double a = 2 * M_PI * q * 0.9572, b = 2 * M_PI * q * 1.5139;
	double molecule = o * o + 2 * h * h + 4 * o * h * sin(a) / a + 2 * h * h * sin(b) / b;
	double s = 1 - 0.94 * exp(-pow(q / 0.25, 2)) + 0.5 * exp(-pow((q - 0.32) / 0.05, 2));

	return pow(pn_electron_sigma(300) * 47.877645, 2) * 0.0334 * thickness_A * molecule * s;
}

static void water_has_the_power_of_its_molecules(void **state)
{
	(void)state;
	struct pn_liquid_params p = defaults();
	struct pn_liquid *plan = plan_of(&p);
	static float phase[NY * NX];
	double expected = 0, sum = 0, square = 0;
	int frames = 40;

	/* variance of a pixel = integral of the power over the band */
	for (double q = 5e-4; q < 1 / (3 * PX); q += 1e-3)
		expected += 2 * M_PI * q * 1e-3 * water_power(q, 100);
	for (int f = 0; f < frames; f++) {
		pn_liquid_phase(plan, (uint64_t)f, phase);
		for (int i = 0; i < NY * NX; i++) {
			sum += phase[i];
			square += phase[i] * phase[i];
		}
	}
	double n = (double)frames * NY * NX;

	assert_float_equal(sum / n, 0, 0.01 * sqrt(expected));
	/* 8 pieces of some 5e4 independent patches, in other mixtures: well below 3 % */
	assert_float_equal(square / n / expected, 1, 0.03);
	pn_liquid_destroy(plan);
}

static void frames_are_decorrelated_and_repeatable(void **state)
{
	(void)state;
	struct pn_liquid_params p = defaults();
	struct pn_liquid *plan = plan_of(&p), *again = plan_of(&p);
	static float a[NY * NX], b[NY * NX];

	for (uint64_t f = 0; f < 20; f++) {
		double ab = 0, aa = 0, bb = 0;

		pn_liquid_phase(plan, f, a);
		pn_liquid_phase(again, f, b);
		assert_memory_equal(a, b, sizeof a);
		pn_liquid_phase(plan, f + 1, b);
		for (int i = 0; i < NY * NX; i++) {
			ab += a[i] * b[i];
			aa += a[i] * a[i];
			bb += b[i] * b[i];
		}
		assert_true(fabs(ab) < 0.05 * sqrt(aa * bb));
	}
	pn_liquid_destroy(plan);
	pn_liquid_destroy(again);
}

static void wave_is_the_phase_object(void **state)
{
	(void)state;
	struct pn_liquid_params p = defaults();
	static float phase[NY * NX];
	static float complex wave[NY * NX];

	p.graphene_layers = 2;
	struct pn_liquid *plan = plan_of(&p);

	pn_liquid_phase(plan, 3, phase);
	pn_liquid_wave(plan, 3, wave);
	for (int i = 0; i < NY * NX; i++)
		assert_true(cabs(wave[i] - cexp(I * phase[i])) < 1e-6);
	pn_liquid_destroy(plan);
}

/* |sum phase exp(-2 pi i (u x + v y))| / pixels: half the amplitude of a wave of that frequency */
static double amplitude(const float *phase, double u, double v)
{
	double complex sum = 0;

	/* a smooth window keeps the other spots away */
	for (int y = 0; y < NY; y++) {
		double wy = pow(sin(M_PI * (y + 0.5) / NY), 2);

		for (int x = 0; x < NX; x++)
			sum += wy * pow(sin(M_PI * (x + 0.5) / NX), 2) * phase[y * NX + x] *
			       cexp(-2 * M_PI * I * PX * (u * x + v * y));
	}
	return cabs(sum) / (0.25 * NY * NX);
}

static void graphene_is_a_honeycomb(void **state)
{
	(void)state;
	struct pn_liquid_params p = defaults();
	static float phase[NY * NX];
	double degree = M_PI / 180;

	p.water_nm = 0;
	p.graphene_layers = 1;
	p.graphene_angle_deg = 7;
	struct pn_liquid *plan = plan_of(&p);
	double cell = 2.46 * 2.46 * sqrt(3) / 2, c = pn_electron_sigma(300) * 47.877645 / cell;
	/* 2.13 A: the two atoms of the cell have phases 0 and 120 deg: |sum| = 1; 1.23 A: 2 */
	double q1 = 1 / 2.1304, q2 = 1 / 1.23;
	double f1 = c * pn_scattering_kirkland(6, q1) * exp(-0.3 * q1 * q1 / 4);
	double f2 = 2 * c * pn_scattering_kirkland(6, q2) * exp(-0.3 * q2 * q2 / 4);

	pn_liquid_phase(plan, 0, phase);
	for (int i = 0; i < 6; i++) {
		/* with a zigzag row along 7 deg, the first spots are 30 deg off it, the others on
		 */
		double a1 = (7 + 30 + 60 * i) * degree, a2 = (7 + 60 * i) * degree;
		double between = (7 + 15 + 60 * i) * degree;

		assert_float_equal(amplitude(phase, q1 * cos(a1), q1 * sin(a1)) / f1, 1, 0.02);
		assert_float_equal(amplitude(phase, q2 * cos(a2), q2 * sin(a2)) / f2, 1, 0.02);
		assert_true(amplitude(phase, q1 * cos(between), q1 * sin(between)) < 0.02 * f1);
		assert_true(amplitude(phase, q1 * cos(a2), q1 * sin(a2)) < 0.02 * f1);
	}
	pn_liquid_destroy(plan);
}

static void refusals_have_a_text(void **state)
{
	(void)state;
	struct pn_liquid_params p = defaults();
	struct pn_liquid *plan;
	struct pn_error err = { 0 };

	p.water_nm = -1;
	assert_int_equal(pn_liquid_plan(&plan, &p, &err), PN_EARG);
	assert_true(err.text[0] && !plan);
	p = defaults();
	p.nx = 0;
	assert_int_equal(pn_liquid_plan(&plan, &p, &err), PN_EARG);
	pn_liquid_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(water_has_the_power_of_its_molecules),
		cmocka_unit_test(frames_are_decorrelated_and_repeatable),
		cmocka_unit_test(wave_is_the_phase_object),
		cmocka_unit_test(graphene_is_a_honeycomb),
		cmocka_unit_test(refusals_have_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
