/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/image/quality.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

enum { NY = 40, NX = 53, COUNT = NY * NX };

static void scene(float *clean, float *noisy, double sigma, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int i = 0; i < COUNT; i++) {
		clean[i] = (float)(100 + 50 * sin(i % NX * 0.7) * cos(i / NX * 0.5));
		noisy[i] = clean[i] + (float)(sigma * pn_rng_gauss(&rng));
	}
}

static void psnr_is_that_of_the_noise(void **state)
{
	float clean[COUNT], noisy[COUNT];
	struct pn_quality q;

	(void)state;
	scene(clean, noisy, 5, 1);
	assert_int_equal(pn_quality_compare(&q, noisy, clean, NY, NX, 255, 0, NULL), PN_OK);
	/* mse of 2120 deviates: 25 to 3 % */
	assert_true(fabs(q.mse / 25 - 1) < 0.12);
	assert_true(fabs(q.psnr_db - 10 * log10(255.0 * 255 / q.mse)) < 1e-12);
	assert_int_equal(pn_quality_compare(&q, clean, clean, NY, NX, 0, 0, NULL), PN_OK);
	assert_true(isinf(q.psnr_db) && q.psnr_db > 0);
	assert_true(fabs(q.ssim - 1) < 1e-12);
}

/* Another unit and offset make no difference when they may be fitted. */
static void affine_fit_forgives_the_unit(void **state)
{
	float clean[COUNT], noisy[COUNT], scaled[COUNT], flat[COUNT];
	struct pn_quality q, s, f;

	(void)state;
	scene(clean, noisy, 20, 2);
	for (int i = 0; i < COUNT; i++) {
		scaled[i] = -7 * noisy[i] + 3000;
		flat[i] = 3;
	}
	assert_int_equal(pn_quality_compare(&q, noisy, clean, NY, NX, 0, 1, NULL), PN_OK);
	assert_int_equal(pn_quality_compare(&s, scaled, clean, NY, NX, 0, 1, NULL), PN_OK);
	assert_true(fabs(q.psnr_db - s.psnr_db) < 1e-4);
	assert_true(fabs(q.ssim - s.ssim) < 1e-4);
	assert_true(fabs(s.scale * -7 / q.scale - 1) < 1e-4);
	assert_int_equal(pn_quality_compare(&f, flat, clean, NY, NX, 0, 1, NULL), PN_OK);
	assert_true(f.scale == 0 && f.psnr_db < q.psnr_db);
}

/* SSIM by its definition, window by window with two-dimensional weights. */
static void ssim_is_its_definition(void **state)
{
	float clean[COUNT], noisy[COUNT];
	double w[11][11], sum = 0, total = 0, range = 120, c1 = 1.2 * 1.2, c2 = 3.6 * 3.6;
	struct pn_quality q;
	int windows = 0;

	(void)state;
	scene(clean, noisy, 15, 3);
	for (int i = 0; i < 121; i++) {
		double y = i / 11 - 5, x = i % 11 - 5;

		w[i / 11][i % 11] = exp(-(x * x + y * y) / (2 * 1.5 * 1.5));
		sum += w[i / 11][i % 11];
	}
	for (int y = 0; y + 11 <= NY; y++)
		for (int x = 0; x + 11 <= NX; x++, windows++) {
			double a = 0, b = 0, va = 0, vb = 0, c = 0;

			for (int pass = 0; pass < 2; pass++)
				for (int i = 0; i < 121; i++) {
					double k = w[i / 11][i % 11] / sum;
					double u = noisy[(y + i / 11) * NX + x + i % 11];
					double v = clean[(y + i / 11) * NX + x + i % 11];

					if (pass == 0) {
						a += k * u;
						b += k * v;
					} else {
						va += k * (u - a) * (u - a);
						vb += k * (v - b) * (v - b);
						c += k * (u - a) * (v - b);
					}
				}
			total += (2 * a * b + c1) * (2 * c + c2) /
				 ((a * a + b * b + c1) * (va + vb + c2));
		}
	assert_int_equal(pn_quality_compare(&q, noisy, clean, NY, NX, range, 0, NULL), PN_OK);
	assert_true(fabs(q.ssim - total / windows) < 1e-10);
}

/* Two noisy copies: p = S/(S + N), so that the ratio is the variances' own. */
static void snr_is_signal_over_noise(void **state)
{
	float clean[COUNT], a[COUNT], b[COUNT], flat[COUNT] = { 0 };
	double variance = 0;

	(void)state;
	scene(clean, a, 25, 4);
	scene(clean, b, 25, 5);
	for (int i = 0; i < COUNT; i++)
		variance += (clean[i] - 100) * (clean[i] - 100) / COUNT;
	double snr = pn_snr_of_pair_db(a, b, COUNT);
	assert_true(fabs(snr - 10 * log10(variance / 625)) < 0.5);
	assert_true(isinf(pn_snr_of_pair_db(a, a, COUNT)));
	assert_true(isnan(pn_snr_of_pair_db(a, flat, COUNT)));
	for (int i = 0; i < COUNT; i++)
		b[i] = -a[i];
	assert_true(pn_snr_of_pair_db(a, b, COUNT) == -INFINITY);
}

static void what_cannot_be_judged_is_told(void **state)
{
	float clean[COUNT], noisy[COUNT], flat[COUNT] = { 0 };
	struct pn_error err = { 0 };
	struct pn_quality q;

	(void)state;
	scene(clean, noisy, 5, 6);
	assert_int_equal(pn_quality_compare(&q, noisy, clean, 10, NX, 0, 0, &err), PN_EARG);
	assert_int_equal(pn_quality_compare(&q, noisy, flat, NY, NX, 0, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "0 everywhere"));
	noisy[2 * NX + 3] = NAN;
	assert_int_equal(pn_quality_compare(&q, noisy, clean, NY, NX, 0, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "pixel 2 3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(psnr_is_that_of_the_noise),
		cmocka_unit_test(affine_fit_forgives_the_unit),
		cmocka_unit_test(ssim_is_its_definition),
		cmocka_unit_test(snr_is_signal_over_noise),
		cmocka_unit_test(what_cannot_be_judged_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
