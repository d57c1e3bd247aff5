/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testkit.h"

#include "perrin/base/rng.h"
#include "perrin/denoise/pool.h"

#include <math.h>
#include <string.h>

enum { N = 40 };

static int add(struct pn_pool *pool, uint64_t particle, uint64_t frame, int64_t y0,
	       struct pn_error *err)
{
	struct pn_window_crop crop = { particle, frame, y0, 2, N, N };
	struct pn_rng rng;
	float image[N * N];

	pn_rng_init(&rng, particle, frame);
	for (int k = 0; k < N * N; k++)
		image[k] = (float)pn_rng_gauss(&rng);
	image[0] = (float)(1000 * particle + frame);
	return pn_pool_add(pool, &crop, image, err);
}

/* The source as text: "run:first value" of each image. */
static const char *listed(struct pn_pool *pool)
{
	struct pn_train_source source = pn_pool_source(pool);
	static char text[512];
	size_t used = 0;

	text[0] = 0;
	for (uint64_t i = 0; i < source.count; i++) {
		struct pn_train_place place;
		float first;

		source.place(source.arg, i, &place);
		assert_int_equal(place.ny, N);
		assert_int_equal(source.read(source.arg, i, 0, 0, 1, 1, &first, NULL), PN_OK);
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%d:%d",
					 used ? " " : "", (int)place.run, (int)first);
	}
	return text;
}

static void runs_are_of_one_particle_without_gap(void **state)
{
	struct pn_pool *pool;

	(void)state;
	assert_int_equal(pn_pool_create(&pool, 6, NULL), PN_OK);
	assert_string_equal(listed(pool), "");
	add(pool, 2, 0, 0, NULL);
	add(pool, 1, 0, 0, NULL);
	add(pool, 2, 1, 0, NULL);
	add(pool, 1, 1, 0, NULL);
	add(pool, 1, 3, 0, NULL);
	assert_string_equal(listed(pool), "0:1000 0:1001 1:1003 2:2000 2:2001");
	/* the oldest go first: 2:0, then 1:0 */
	add(pool, 2, 4, 0, NULL);
	add(pool, 1, 4, 0, NULL);
	assert_string_equal(listed(pool), "0:1000 0:1001 1:1003 1:1004 2:2001 3:2004");
	add(pool, 3, 4, 0, NULL);
	assert_string_equal(listed(pool), "0:1001 1:1003 1:1004 2:2001 3:2004 4:3004");
	pn_pool_destroy(pool);
}

static void pieces_are_the_images(void **state)
{
	struct pn_pool *pool;
	struct pn_train_place place;
	float piece[6];

	(void)state;
	assert_int_equal(pn_pool_create(&pool, 2, NULL), PN_OK);
	add(pool, 1, 7, 5, NULL);
	struct pn_train_source source = pn_pool_source(pool);
	source.place(source.arg, 0, &place);
	assert_int_equal(place.y0_px, 5);
	assert_int_equal(place.x0_px, 2);
	assert_int_equal(source.read(source.arg, 0, 3, 4, 2, 3, piece, NULL), PN_OK);
	struct pn_rng rng;
	float image[N * N];
	pn_rng_init(&rng, 1, 7);
	for (int k = 0; k < N * N; k++)
		image[k] = (float)pn_rng_gauss(&rng);
	for (int k = 0; k < 6; k++)
		assert_true(piece[k] == image[(3 + k / 3) * N + 4 + k % 3]);
	pn_pool_destroy(pool);
}

/* Crops that move over the detector: noise is compared pixel of the detector by pixel. */
static void noise_is_white(void **state)
{
	struct pn_pool *pool;

	(void)state;
	assert_int_equal(pn_pool_create(&pool, 4, NULL), PN_OK);
	assert_true(isnan(pn_noise_correlation(pn_pool_noise(pool), 0, 1)));
	for (uint64_t f = 0; f < 12; f++)
		add(pool, 1, f, (int64_t)(f % 3), NULL);
	assert_true(pn_pool_noise(pool)->pairs > 10);
	assert_true(fabs(pn_noise_correlation(pn_pool_noise(pool), 0, 1)) < 0.05);
	assert_int_equal(pn_noise_spot_px(pn_pool_noise(pool), 0.1), 1);
	pn_pool_destroy(pool);
}

static void bad_crops_change_nothing(void **state)
{
	struct pn_pool *pool;
	struct pn_error err = { 0 };
	struct pn_window_crop crop = { 1, 2, 0, 0, 8, 8 };
	float image[64] = { 0 };

	(void)state;
	assert_int_equal(pn_pool_create(&pool, 4, NULL), PN_OK);
	assert_int_equal(add(pool, 1, 1, 0, &err), PN_OK);
	assert_int_equal(add(pool, 1, 1, 0, &err), PN_EFRAME);
	image[9] = NAN;
	assert_int_equal(pn_pool_add(pool, &crop, image, &err), PN_EFRAME);
	assert_non_null(strstr(err.text, "frame 2"));
	assert_string_equal(listed(pool), "0:1001");
	pn_pool_destroy(pool);
}

/* Noise seen twice can be told from itself: a frame recorded twice is not learnt from. */
static void repeated_frames_are_refused(void **state)
{
	struct pn_pool *pool;
	struct pn_error err = { 0 };
	struct pn_window_crop crop = { 1, 1, 10, 10, 8, 8 };
	float image[64], shifted[64];

	(void)state;
	for (int k = 0; k < 64; k++)
		image[k] = (float)(k * k);
	for (int k = 0; k < 64; k++)
		shifted[k] = k / 8 < 7 ? image[k + 8] : -1;
	assert_int_equal(pn_pool_create(&pool, 4, NULL), PN_OK);
	assert_int_equal(pn_pool_add(pool, &crop, image, &err), PN_OK);
	crop.frame = 2;
	assert_int_equal(pn_pool_add(pool, &crop, image, &err), PN_EFRAME);
	assert_non_null(strstr(err.text, "frame 2 repeats"));
	crop.y0_px = 11; /* the crop has moved, the frame has not */
	assert_int_equal(pn_pool_add(pool, &crop, shifted, &err), PN_EFRAME);
	shifted[3] += 1;
	assert_int_equal(pn_pool_add(pool, &crop, shifted, &err), PN_OK);
	pn_pool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_of_one_particle_without_gap),
		cmocka_unit_test(pieces_are_the_images),
		cmocka_unit_test(noise_is_white),
		cmocka_unit_test(bad_crops_change_nothing),
		cmocka_unit_test(repeated_frames_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
