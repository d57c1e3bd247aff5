/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The transfer of the lens is the one written in its header, and white atoms are white. */
#include "perrin/twin/lens.h"

#include "perrin/math/fft.h"
#include "perrin/twin/electron.h"

#include "testkit.h"

#include <math.h>

#define NY 64
#define NX 80
#define PX 0.358

static float image[NY * NX];

static struct pn_lens_params defaults(void)
{
	return (struct pn_lens_params){ .ny = NY, .nx = NX, .pixel_A = PX, .energy_keV = 300 };
}

static void run(const struct pn_lens_params *p, float complex *wave)
{
	struct pn_lens *lens;

	assert_int_equal(pn_lens_plan(&lens, p, NULL), PN_OK);
	pn_lens_execute(lens, wave, image);
	pn_lens_destroy(lens);
}

/* wave = 1 + i epsilon cos(2 pi (kx x / NX + ky y / NY)) */
static float complex *grating(double epsilon, int kx, int ky)
{
	float complex *wave = pn_fft_alloc(NY * NX * sizeof *wave);

	for (int y = 0; y < NY; y++)
		for (int x = 0; x < NX; x++) {
			double phase = 2 * M_PI * ((double)kx * x / NX + (double)ky * y / NY);

			wave[y * NX + x] = (float complex)(1 + I * epsilon * cos(phase));
		}
	return wave;
}

/* amplitude of the image at that frequency */
static double contrast(int kx, int ky)
{
	double sum = 0;

	for (int y = 0; y < NY; y++)
		for (int x = 0; x < NX; x++)
			sum += image[y * NX + x] *
			       cos(2 * M_PI * ((double)kx * x / NX + (double)ky * y / NY));
	return 2 * sum / (NY * NX);
}

static void vacuum_is_one(void **state)
{
	(void)state;
	struct pn_lens_params p = defaults();
	float complex *wave = grating(0, 0, 0);

	p.cs_um = -11;
	p.defocus_A = 56;
	p.focal_spread_A = 10;
	p.convergence_mrad = 0.3;
	p.aperture_mrad = 12;
	run(&p, wave);
	for (int i = 0; i < NY * NX; i++)
		assert_float_equal(image[i], 1, 1e-5);
	pn_fft_free(wave);
}

static void weak_phase_contrast_is_two_sin_chi(void **state)
{
	(void)state;
	static const int k[][2] = { { 3, 0 }, { 0, 7 }, { 9, -4 }, { 13, 5 }, { 20, 10 } };
	struct pn_lens_params p = defaults();
	double l = pn_electron_wavelength_A(300), epsilon = 1e-3;

	p.cs_um = -11;
	p.c5_mm = 4;
	p.defocus_A = 56;
	p.astigmatism_A = 25;
	p.astigmatism_deg = 30;
	p.focal_spread_A = 14;
	p.convergence_mrad = 0.5;
	for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
		float complex *wave = grating(epsilon, k[i][0], k[i][1]);
		double u = k[i][0] / (NX * PX), v = k[i][1] / (NY * PX);
		double q = hypot(u, v), phi = atan2(v, u), a = l * q;
		/* (2 pi / lambda) times the aberration in angles; then the two envelopes */
		double chi = 2 * M_PI / l *
			     (a * a / 2 * (56 + 25 * cos(2 * (phi - M_PI / 6))) +
			      pow(a, 4) / 4 * -11e4 + pow(a, 6) / 6 * 4e7);
		double et = exp(-pow(M_PI * l * 14, 2) * pow(q, 4) / 2);
		double es = exp(-pow(M_PI * 5e-4 / l, 2) *
				pow(56 * a - 11e4 * pow(a, 3) + 4e7 * pow(a, 5), 2));

		run(&p, wave);
		assert_float_equal(contrast(k[i][0], k[i][1]) / epsilon, 2 * sin(chi) * et * es,
				   2e-3);
		pn_fft_free(wave);
	}
}

static void limits_are_kept(void **state)
{
	(void)state;
	struct pn_lens_params p = defaults();
	/* 10 / (80 0.358 A) = 0.349 / A is 6.87 mrad */
	for (int mrad = 6; mrad <= 7; mrad++) {
		float complex *wave = grating(1e-2, 10, 0);

		p.defocus_A = 100;
		p.aperture_mrad = mrad;
		run(&p, wave);
		assert_true((fabs(contrast(10, 0)) < 1e-6) == (mrad == 6));
		pn_fft_free(wave);
	}
	/* 2/3 of Nyquist is k = 26.7 of 80 */
	for (int k = 26; k <= 27; k++) {
		float complex *wave = grating(1e-2, k, 0);

		p.defocus_A = 25;
		p.aperture_mrad = 0;
		run(&p, wave);
		assert_true((fabs(contrast(k, 0)) < 1e-6) == (k == 27));
		pn_fft_free(wave);
	}
}

static void atoms_are_white_at_the_default_focus(void **state)
{
	(void)state;
	struct pn_lens_params p = defaults();
	float complex *wave = pn_fft_alloc(NY * NX * sizeof *wave);

	assert_float_equal(pn_lens_white_defocus_A(-11, 300), 55.84, 0.01);
	assert_true(pn_lens_white_defocus_A(11, 300) < 0);
	p.cs_um = -11;
	p.defocus_A = pn_lens_white_defocus_A(-11, 300);
	for (int sign = 1; sign >= -1; sign -= 2) {
		p.cs_um *= sign;
		p.defocus_A *= sign;
		for (int i = 0; i < NY * NX; i++) {
			double r2 = pow(PX * (i % NX - NX / 2), 2) + pow(PX * (i / NX - NY / 2), 2);

			wave[i] = (float complex)cexp(0.1 * I * exp(-r2 / (2 * 0.4 * 0.4)));
		}
		run(&p, wave);
		assert_true(sign * (image[NY / 2 * NX + NX / 2] - 1) > 0.05);
	}
	pn_fft_free(wave);
}

static void refusals_have_a_text(void **state)
{
	(void)state;
	struct pn_lens_params p = defaults();
	struct pn_error err = { 0 };
	struct pn_lens *lens;

	p.pixel_A = 0;
	assert_int_equal(pn_lens_plan(&lens, &p, &err), PN_EARG);
	assert_true(err.text[0] && !lens);
	p.pixel_A = PX;
	p.ny = 3;
	assert_int_equal(pn_lens_plan(&lens, &p, &err), PN_EARG);
	pn_lens_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vacuum_is_one),
		cmocka_unit_test(weak_phase_contrast_is_two_sin_chi),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(atoms_are_white_at_the_default_focus),
		cmocka_unit_test(refusals_have_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
