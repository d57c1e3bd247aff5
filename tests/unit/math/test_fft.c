/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transforms agree with the sum they stand for, and wisdom makes plans repeat. */
#include "perrin/math/fft.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void agrees_with_the_sum(void **state)
{
	(void)state;
	enum { NY = 6, NX = 5 };
	struct pn_error err = { 0 };
	struct pn_fft *r2c, *c2r;
	struct pn_rng rng;
	float *in = pn_fft_alloc(sizeof(float) * NY * NX), *back = pn_fft_alloc(sizeof(float) * NY * NX);
	float complex *out = pn_fft_alloc(sizeof *out * NY * NX);

	pn_rng_init(&rng, 1, 0);
	assert_int_equal(pn_fft_plan(&r2c, PN_FFT_R2C, NY, NX, 0, &err), PN_OK);
	assert_int_equal(pn_fft_plan(&c2r, PN_FFT_C2R, NY, NX, 0, &err), PN_OK);
	for (int i = 0; i < NY * NX; i++)
		in[i] = (float)pn_rng_gauss(&rng);
	pn_fft_execute(r2c, in, out);
	for (int ky = 0; ky < NY; ky++) {
		for (int kx = 0; kx <= NX / 2; kx++) {
			double complex sum = 0;

			for (int y = 0; y < NY; y++)
				for (int x = 0; x < NX; x++)
					sum += in[y * NX + x] * cexp(-2 * M_PI * I * ((double)ky * y / NY +
										      (double)kx * x / NX));
			assert_true(cabs(sum - out[ky * (NX / 2 + 1) + kx]) < 1e-5);
		}
	}
	pn_fft_execute(c2r, out, back);
	for (int i = 0; i < NY * NX; i++)
		assert_true(fabsf(back[i] / (NY * NX) - in[i]) < 1e-6f);
	pn_fft_destroy(r2c);
	pn_fft_destroy(c2r);
	pn_fft_free(in);
	pn_fft_free(back);
	pn_fft_free(out);
}

/* Columns [length][count], in place or not, and rows there and back. */
static void lines_agree_with_the_sum(void **state)
{
	(void)state;
	enum { N = 7, COUNT = 5 };
	float complex *in = pn_fft_alloc(sizeof *in * N * COUNT);
	float complex *out = pn_fft_alloc(sizeof *out * N * COUNT);
	float *rows = pn_fft_alloc(sizeof *rows * N * COUNT);
	float *back = pn_fft_alloc(sizeof *back * N * COUNT);
	struct pn_error err = { 0 };
	struct pn_fft *apart, *inplace, *backward, *r2c, *c2r;
	struct pn_rng rng;

	pn_rng_init(&rng, 2, 0);
	assert_int_equal(pn_fft_plan_lines(&apart, PN_FFT_FORWARD, N, COUNT, 0, &err), PN_OK);
	assert_int_equal(pn_fft_plan_lines(&inplace, PN_FFT_FORWARD, N, COUNT, 1, &err), PN_OK);
	assert_int_equal(pn_fft_plan_lines(&backward, PN_FFT_BACKWARD, N, COUNT, 0, &err), PN_OK);
	assert_int_equal(pn_fft_plan_lines(&r2c, PN_FFT_R2C, N, COUNT, 0, &err), PN_OK);
	assert_int_equal(pn_fft_plan_lines(&c2r, PN_FFT_C2R, N, COUNT, 0, &err), PN_OK);
	for (int i = 0; i < N * COUNT; i++) {
		in[i] = (float)pn_rng_gauss(&rng) + I * (float)pn_rng_gauss(&rng);
		rows[i] = (float)pn_rng_gauss(&rng);
	}
	pn_fft_execute(apart, in, out);
	for (int k = 0; k < N; k++)
		for (int c = 0; c < COUNT; c++) {
			double complex sum = 0;

			for (int x = 0; x < N; x++)
				sum += in[x * COUNT + c] * cexp(-2 * M_PI * I * k * x / N);
			assert_true(cabs(sum - out[k * COUNT + c]) < 1e-5);
		}
	float complex first = in[3];
	pn_fft_execute(inplace, in, in);
	for (int i = 0; i < N * COUNT; i++)
		assert_true(cabsf(in[i] - out[i]) < 1e-5f);
	pn_fft_execute(backward, in, out);
	assert_true(cabsf(out[3] / N - first) < 1e-6f);
	pn_fft_execute(r2c, rows, out);
	for (int c = 0; c < COUNT; c++)
		for (int k = 0; k <= N / 2; k++) {
			double complex sum = 0;

			for (int x = 0; x < N; x++)
				sum += rows[c * N + x] * cexp(-2 * M_PI * I * k * x / N);
			assert_true(cabs(sum - out[c * (N / 2 + 1) + k]) < 1e-5);
		}
	pn_fft_execute(c2r, out, back);
	for (int i = 0; i < N * COUNT; i++)
		assert_true(fabsf(back[i] / N - rows[i]) < 1e-6f);
	struct pn_fft *plans[] = { apart, inplace, backward, r2c, c2r };
	for (size_t i = 0; i < PN_COUNT(plans); i++)
		pn_fft_destroy(plans[i]);
	pn_fft_free(in);
	pn_fft_free(out);
	pn_fft_free(rows);
	pn_fft_free(back);
}

static void wisdom_is_kept_and_checked(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct pn_fft *plan;
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "wisdom");
	size_t before, after;

	assert_int_equal(pn_fft_use_wisdom(path, &err), PN_OK);
	free(testkit_read(path, &before));
	assert_int_equal(pn_fft_plan(&plan, PN_FFT_FORWARD, 48, 36, 1, &err), PN_OK);
	free(testkit_read(path, &after));
	assert_true(after > before);
	pn_fft_destroy(plan);
	testkit_write(testkit_path(dir, "bad"), "not wisdom", 10);
	assert_int_equal(pn_fft_use_wisdom(testkit_path(dir, "bad"), &err), PN_EFORMAT);
	assert_int_equal(pn_fft_use_wisdom(testkit_path(dir, "no/such/dir/wisdom"), &err), PN_ENOENT);
	assert_non_null(strstr(err.text, "no/such/dir"));
	assert_int_equal(pn_fft_use_wisdom(NULL, &err), PN_OK);
}

static void shapes_are_checked(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct pn_fft *plan;

	assert_int_equal(pn_fft_plan(&plan, PN_FFT_R2C, 0, 8, 0, &err), PN_EARG);
	assert_int_equal(pn_fft_plan(&plan, PN_FFT_R2C, 8, 70000, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "70000"));
	assert_int_equal(pn_fft_plan_lines(&plan, PN_FFT_R2C, 0, 8, 0, &err), PN_EARG);
	assert_int_equal(pn_fft_plan_lines(&plan, PN_FFT_FORWARD, 8, 80000, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "80000"));
	pn_fft_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_sum),
		cmocka_unit_test(lines_agree_with_the_sum),
		cmocka_unit_test(wisdom_is_kept_and_checked),
		cmocka_unit_test(shapes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
