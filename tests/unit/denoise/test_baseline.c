/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testkit.h"

#include "perrin/base/rng.h"
#include "perrin/denoise/pool.h"

#include <math.h>
#include <string.h>

enum { N = 96, FRAMES = 16 };

/* A scene that stands still, of amplitude @signal and wavelength 48 px, in white noise of 1. */
static struct pn_pool *movie(double signal)
{
	static float image[N * N];
	struct pn_pool *pool;

	assert_int_equal(pn_pool_create(&pool, FRAMES, NULL), PN_OK);
	for (uint64_t f = 0; f < FRAMES; f++) {
		struct pn_window_crop crop = { 0, f, 0, 0, N, N };
		struct pn_rng rng;

		pn_rng_init(&rng, 2, f);
		for (int k = 0; k < N * N; k++)
			image[k] = (float)(7 + signal * M_SQRT2 * sin(2 * M_PI * (k % N) / 48.0) +
					   pn_rng_gauss(&rng));
		assert_int_equal(pn_pool_add(pool, &crop, image, NULL), PN_OK);
	}
	return pool;
}

static double baseline(struct pn_pool *pool, int frames, double scale)
{
	struct pn_train_source source = pn_pool_source(pool);
	double loss = NAN;

	assert_int_equal(pn_train_baseline(&source, 0, 8, frames, N, scale, &loss, NULL), PN_OK);
	return loss;
}

/*
 * The blur leaves exp(-(2 pi s / 48)^2 / 2) of the fringes and 1 / (4 pi s^2) of the variance of
 * the mean of four frames; the best line then explains cov^2 / var.
 */
static void loss_is_what_the_line_leaves(void **state)
{
	double keep = exp(-pow(2 * M_PI * PN_BASELINE_PX / 48, 2) / 2);
	double noise = 1 / (4 * M_PI * PN_BASELINE_PX * PN_BASELINE_PX) / 4;

	(void)state;
	for (int i = 0; i < 3; i++) {
		double signal = (double[]){ 1, 0.2, 0.05 }[i], power = signal * signal;
		double explained = pow(power * keep, 2) / (power * keep * keep + noise);
		struct pn_pool *pool = movie(signal);

		assert_true(fabs(baseline(pool, 5, 1) - (power + 1 - explained)) < 0.02);
		assert_true(fabs(baseline(pool, 5, 2) - baseline(pool, 5, 1) / 4) < 1e-12);
		pn_pool_destroy(pool);
	}
}

/* Of noise, and of a frame without neighbours, nothing is known but the mean. */
static void nothing_to_know(void **state)
{
	struct pn_pool *pool = movie(0);

	(void)state;
	assert_true(fabs(baseline(pool, 5, 1) - 1) < 0.02);
	pn_pool_destroy(pool);
	pool = movie(1);
	assert_true(fabs(baseline(pool, 1, 1) - 2) < 0.05);
	pn_pool_destroy(pool);
}

static void bad_sources_are_told(void **state)
{
	struct pn_pool *pool;
	struct pn_error err = { 0 };
	double loss;

	(void)state;
	assert_int_equal(pn_pool_create(&pool, 4, NULL), PN_OK);
	struct pn_train_source source = pn_pool_source(pool);
	assert_int_equal(pn_train_baseline(&source, 0, 4, 5, N, 1, &loss, &err), PN_EARG);
	pn_pool_destroy(pool);
	pool = movie(1);
	source = pn_pool_source(pool);
	assert_int_equal(pn_train_baseline(&source, 0, 0, 5, N, 1, &loss, &err), PN_EARG);
	pn_pool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_is_what_the_line_leaves),
		cmocka_unit_test(nothing_to_know),
		cmocka_unit_test(bad_sources_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
