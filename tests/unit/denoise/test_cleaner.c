/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testkit.h"

#include "perrin/base/rng.h"
#include "perrin/denoise/cleaner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 20, FRAMES = 7, PARTICLES = 3 };

static const struct pn_net_spec spec = { .frames = 5,
					 .blocks = 2,
					 .channels = 8,
					 .spot_px = 1,
					 .shared = 1,
					 .neighbor_channels = 8,
					 .tap_channels = 8 };

static float *params_of(uint64_t seed, size_t *count)
{
	static struct pn_net_layout layout;
	struct pn_rng rng;

	assert_int_equal(pn_net_layout_make(&layout, &spec, NULL), PN_OK);
	float *params = malloc(layout.param_count * sizeof *params);
	assert_non_null(params);
	pn_rng_init(&rng, seed, 0);
	pn_net_params_init(&layout, params, &rng);
	*count = layout.param_count;
	return params;
}

static void add_all(struct pn_windows *windows)
{
	struct pn_rng rng;
	float image[N * N];

	pn_rng_init(&rng, 9, 0);
	for (uint64_t f = 0; f < FRAMES; f++)
		for (uint64_t p = 0; p < PARTICLES; p++) {
			struct pn_window_crop crop = { p, f, (int64_t)(f % 3), (int64_t)p, N, N };

			for (int k = 0; k < N * N; k++)
				image[k] = 30 + 5 * (float)pn_rng_gauss(&rng);
			assert_int_equal(pn_windows_add(windows, &crop, image, "", NULL), PN_OK);
		}
}

/* All crops cleaned, with as much memory for features as given. */
static float *clean_all(uint64_t cache_bytes, int network, struct pn_cleaned *last)
{
	struct pn_windows *windows;
	struct pn_cleaner *cleaner;
	struct pn_window_entry *entry;
	size_t count, used = 0;
	float *params = params_of(4, &count);
	float *all = malloc(sizeof(float) * N * N * FRAMES * PARTICLES);

	assert_non_null(all);
	assert_int_equal(pn_windows_create(&windows, 0, NULL), PN_OK);
	assert_int_equal(pn_cleaner_create(&cleaner, cache_bytes, NULL), PN_OK);
	assert_int_equal(pn_cleaner_half(cleaner), 0);
	if (network)
		assert_int_equal(pn_cleaner_use(cleaner, &spec, PN_ARITH_F32, params, 30, 5, NULL),
				 PN_OK);
	add_all(windows);
	while ((entry = pn_windows_next(windows, -1))) {
		assert_int_equal(pn_cleaner_run(cleaner, windows, entry, last, NULL), PN_OK);
		assert_int_equal(last->network, network);
		memcpy(all + used, entry->clean, sizeof(float) * N * N);
		used += N * N;
	}
	assert_int_equal(used, N * N * FRAMES * PARTICLES);
	pn_cleaner_destroy(cleaner);
	pn_windows_destroy(windows);
	free(params);
	return all;
}

static void cache_does_not_matter(void **state)
{
	struct pn_cleaned last;
	float *much = clean_all(1 << 30, 1, &last), *none = clean_all(0, 1, &last);

	(void)state;
	assert_memory_equal(much, none, sizeof(float) * N * N * FRAMES * PARTICLES);
	assert_int_equal(last.neighbors, 2); /* the last frame has two before it */
	free(much);
	free(none);
}

static void as_recorded_without_network(void **state)
{
	struct pn_cleaned last;
	float *clean = clean_all(0, 0, &last);
	double sum = 0, sum2 = 0;
	size_t count = N * N * FRAMES * PARTICLES;

	(void)state;
	for (size_t k = 0; k < count; k++) {
		sum += clean[k];
		sum2 += (double)clean[k] * clean[k];
	}
	assert_true(fabs(sum / (double)count - 30) < 0.2);
	assert_true(fabs(sqrt(sum2 / (double)count - pow(sum / (double)count, 2)) - 5) < 0.1);
	assert_true(last.noise == 0);
	free(clean);
}

static void lonely_frames_and_bad_weights(void **state)
{
	struct pn_windows *windows;
	struct pn_cleaner *cleaner;
	struct pn_cleaned cleaned;
	struct pn_error err = { 0 };
	struct pn_net_spec wrong = spec;
	float image[N * N] = { 0 };
	size_t count;
	float *params = params_of(4, &count);
	struct pn_window_crop crop = { 1, 3, 0, 0, N, N };

	(void)state;
	assert_int_equal(pn_windows_create(&windows, 0, NULL), PN_OK);
	assert_int_equal(pn_cleaner_create(&cleaner, 0, NULL), PN_OK);
	assert_int_equal(pn_cleaner_use(cleaner, &spec, PN_ARITH_F32, params, 0, 1, &err), PN_OK);
	wrong.blocks = 0;
	assert_int_equal(pn_cleaner_use(cleaner, &wrong, PN_ARITH_F32, params, 0, 1, &err),
			 PN_EARG);
	assert_int_equal(pn_cleaner_use(cleaner, &spec, PN_ARITH_F32, params, 0, 0, &err), PN_EARG);
	for (int k = 0; k < N * N; k++)
		image[k] = (float)k;
	assert_int_equal(pn_windows_add(windows, &crop, image, "", NULL), PN_OK);
	struct pn_window_entry *entry = pn_windows_next(windows, -1);
	assert_int_equal(pn_cleaner_run(cleaner, windows, entry, &cleaned, &err), PN_OK);
	assert_int_equal(cleaned.network, 0);
	assert_int_equal(cleaned.neighbors, 0);
	assert_memory_equal(entry->clean, image, sizeof image);
	pn_cleaner_destroy(cleaner);
	pn_windows_destroy(windows);
	free(params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cache_does_not_matter),
		cmocka_unit_test(as_recorded_without_network),
		cmocka_unit_test(lonely_frames_and_bad_weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
