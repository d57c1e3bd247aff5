/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small image operations do what their formulas say, borders and bad pixels included. */
#include "perrin/image/filter.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static void statistics_count_what_is_bad(void **state)
{
	(void)state;
	float v[] = { 1e7f + 1, NAN, 1e7f + 3, INFINITY, -INFINITY, 2e7f, 1e7f + 5 };
	struct pn_frame_stats s;

	pn_frame_stats(v, PN_COUNT(v), 1.5e7, &s);
	assert_int_equal(s.finite, 3);
	assert_int_equal(s.nonfinite, 3);
	assert_int_equal(s.saturated, 1);
	assert_float_equal(s.mean, 1e7 + 3, 1e-6);
	assert_float_equal(s.sd, sqrt(8.0 / 3), 1e-6);
	assert_float_equal(s.min, 1e7 + 1, 0);
	assert_float_equal(s.max, 1e7 + 5, 0);
	pn_frame_stats(v, 0, INFINITY, &s);
	assert_int_equal(s.finite, 0);
	assert_float_equal(s.mean, 0, 0);
	v[0] = NAN;
	pn_frame_stats(v, 2, INFINITY, &s);
	assert_int_equal(s.nonfinite, 2);
	assert_float_equal(s.max, 0, 0);
}

static void lowpass_keeps_coarse_and_stops_fine_waves(void **state)
{
	(void)state;
	enum { NY = 40, NX = 60 };
	float image[NY * NX], out[NY * NX];
	struct pn_lowpass *p;
	struct pn_error err = { 0 };

	/* 0.5 A/px: along x 30 A hold 12 waves of 2.5 A and 15 of 2 A */
	assert_int_equal(pn_lowpass_create(&p, NY, NX, 50, 2.3, &err), PN_OK);
	for (int i = 0; i < NY * NX; i++)
		image[i] = (float)(3 + cos(2 * M_PI * 12 * (i % NX) / NX) +
				   cos(2 * M_PI * 15 * (i % NX) / NX));
	pn_lowpass_execute(p, image, out);
	for (int i = 0; i < NY * NX; i++)
		assert_float_equal(out[i], 3 + cos(2 * M_PI * 12 * (i % NX) / NX), 1e-5);
	image[5] = NAN;
	pn_lowpass_execute(p, image, image);
	for (int i = 0; i < NY * NX; i++)
		assert_true(isfinite(image[i]));
	pn_lowpass_destroy(p);
	pn_lowpass_destroy(NULL);
	assert_float_equal(pn_lowpass_weight(1 / 2.3, 2.3), 1, 0);
	assert_float_equal(pn_lowpass_weight(1.035 / 2.3, 2.3), 0.5, 1e-9);
	assert_float_equal(pn_lowpass_weight(1 / 2.13, 2.3), 0, 0);
	assert_int_equal(pn_lowpass_create(&p, NY, NX, 0, 2.3, &err), PN_EARG);
	assert_int_equal(pn_lowpass_create(&p, 0, NX, 10, 2.3, &err), PN_EARG);
	assert_null(p);
}

static void gauss_blur_is_the_sum(void **state)
{
	(void)state;
	enum { NY = 9, NX = 31 };
	const double sigma = 2.2;
	float image[NY * NX], out[NY * NX], scratch[NY * NX];
	struct pn_rng rng;
	long r = (long)ceil(4 * sigma);

	pn_rng_init(&rng, 1, 0);
	for (int i = 0; i < NY * NX; i++)
		image[i] = (float)pn_rng_gauss(&rng);
	pn_gauss_blur(out, image, scratch, NY, NX, sigma);
	for (long y = 0; y < NY; y++)
		for (long x = 0; x < NX; x++) {
			double sum = 0, total = 0;

			for (long v = 0; v < NY; v++)
				for (long u = 0; u < NX; u++) {
					double w = exp(
						-0.5 *
						(double)((u - x) * (u - x) + (v - y) * (v - y)) /
						sigma / sigma);

					if (labs(u - x) > r || labs(v - y) > r)
						continue;
					sum += w * image[v * NX + u];
					total += w;
				}
			assert_float_equal(out[y * NX + x], sum / total, 1e-5);
		}
	pn_gauss_blur(image, image, scratch, NY, NX, sigma);
	assert_memory_equal(image, out, sizeof image);
	pn_gauss_blur(out, image, scratch, NY, NX, 0);
	assert_memory_equal(image, out, sizeof image);
	image[0] = 4;
	pn_gauss_blur(out, image, scratch, 1, 1, 3);
	assert_float_equal(out[0], 4, 1e-6);
}

static void bilateral_agrees_with_the_reference(void **state)
{
	(void)state;
	enum { NY = 300, NX = 250 };
	float *image = malloc(sizeof *image * NY * NX), *fast = malloc(sizeof *fast * NY * NX);
	float *slow = malloc(sizeof *slow * NY * NX),
	      *scratch = malloc(2 * sizeof *scratch * NY * NX);
	struct pn_rng rng;
	int before = omp_get_max_threads();
	double worst = 0;

	pn_rng_init(&rng, 2, 0);
	for (int i = 0; i < NY * NX; i++)
		image[i] = (float)((i % NX > NX / 2 ? 10 : 0) + pn_rng_gauss(&rng));
	pn_bilateral(fast, image, scratch, NY, NX, 1.7, 2.0);
	pn_bilateral_reference(slow, image, NY, NX, 1.7, 2.0);
	for (int i = 0; i < NY * NX; i++)
		worst = fmax(worst, fabs(fast[i] - slow[i]));
	assert_true(worst < 0.01); /* of a noise of 1: the exponential is good to 0.002 */
	/* it smooths, and the step stays where it was */
	assert_true(fabs(slow[150 * NX + NX / 2] - 0) < 2 &&
		    fabs(slow[150 * NX + NX / 2 + 1] - 10) < 2);
	omp_set_num_threads(3);
	pn_bilateral(slow, image, scratch, NY, NX, 1.7, 2.0);
	omp_set_num_threads(before);
	assert_memory_equal(fast, slow, sizeof *fast * NY * NX);
	pn_bilateral(fast, image, scratch, 1, 3, 4, 1);
	assert_true(isfinite(fast[0]) && isfinite(fast[2]));
	free(image);
	free(fast);
	free(slow);
	free(scratch);
}

static void otsu_splits_two_classes(void **state)
{
	(void)state;
	enum { N = 6000 };
	static float v[N];
	struct pn_rng rng;
	double threshold, separability, one;

	pn_rng_init(&rng, 3, 0);
	for (int i = 0; i < N; i++)
		v[i] = (float)((i % 3 ? 0 : 8) + pn_rng_gauss(&rng));
	v[7] = NAN;
	assert_int_equal(pn_otsu(v, N, &threshold, &separability), PN_OK);
	assert_true(threshold > 2.5 && threshold < 5.5);
	/* between / total = p q d^2 / (p q d^2 + s^2) */
	assert_float_equal(separability, 64.0 * 2 / 9 / (64.0 * 2 / 9 + 1), 0.01);
	for (int i = 0; i < N; i++)
		v[i] = (float)pn_rng_gauss(&rng);
	assert_int_equal(pn_otsu(v, N, &threshold, &one), PN_OK);
	assert_float_equal(one, 2 / M_PI, 0.02);
	for (int i = 0; i < N; i++)
		v[i] = 5;
	assert_int_equal(pn_otsu(v, N, &threshold, NULL), PN_ENOENT);
	assert_float_equal(threshold, 5, 0);
	v[0] = NAN;
	assert_int_equal(pn_otsu(v, 1, &threshold, NULL), PN_ENOENT);
	assert_int_equal(pn_otsu(v, 0, &threshold, NULL), PN_ENOENT);
}

static void largest_region_wins(void **state)
{
	(void)state;
	enum { NY = 5, NX = 8 };
	const char *picture = "#......."
			      "#..##..."
			      "..###..#"
			      ".#.....#"
			      ".......#";
	const char *wanted = "........"
			     "...##..."
			     "..###..."
			     "........"
			     "........";
	uint8_t mask[NY * NX];
	uint32_t scratch[2 * NY * NX];
	struct pn_region region;

	for (int i = 0; i < NY * NX; i++)
		mask[i] = picture[i] == '#' ? 200 : 0;
	pn_largest_region(mask, scratch, NY, NX, &region);
	for (int i = 0; i < NY * NX; i++)
		assert_int_equal(mask[i], wanted[i] == '#');
	assert_int_equal(region.area_px, 5);
	assert_float_equal(region.x_px, 16.0 / 5, 1e-12);
	assert_float_equal(region.y_px, 8.0 / 5, 1e-12);
	assert_int_equal(region.touches_border, 0);
	memset(mask, 1, sizeof mask);
	pn_largest_region(mask, scratch, NY, NX, &region);
	assert_int_equal(region.area_px, NY * NX);
	assert_int_equal(region.touches_border, 1);
	memset(mask, 0, sizeof mask);
	pn_largest_region(mask, scratch, NY, NX, &region);
	assert_int_equal(region.area_px, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statistics_count_what_is_bad),
		cmocka_unit_test(lowpass_keeps_coarse_and_stops_fine_waves),
		cmocka_unit_test(gauss_blur_is_the_sum),
		cmocka_unit_test(bilateral_agrees_with_the_reference),
		cmocka_unit_test(otsu_splits_two_classes),
		cmocka_unit_test(largest_region_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
