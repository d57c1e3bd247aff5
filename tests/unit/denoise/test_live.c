/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What decides when to train and when to tell; that it learns is shown by stages/test_train. */
#include "testkit.h"

#include "perrin/base/rng.h"
#include "perrin/denoise/live.h"

#include <math.h>
#include <string.h>

enum { N = 40 };

static struct pn_live_settings settings(void)
{
	struct pn_live_settings s;

	pn_params_default(pn_live_params, &s);
	s.preset = 3; /* fast */
	s.spot_px = 1;
	s.start = 12;
	s.pool = 24;
	s.train.crop_px = 32;
	s.train.batch = 2;
	s.train.targets = 2;
	s.train.steps = 0;
	s.train.warmup = 2;
	return s;
}

/* Frames of an even gray in white noise: there is nothing to learn. */
static int add_of(struct pn_live *live, uint64_t particle, uint64_t frame)
{
	struct pn_window_crop crop = { particle, frame, 0, 0, N, N };
	struct pn_rng rng;
	float image[N * N];

	pn_rng_init(&rng, 8 + particle, frame);
	for (int k = 0; k < N * N; k++)
		image[k] = (float)(20 + 3 * pn_rng_gauss(&rng));
	return pn_live_add(live, &crop, image, NULL);
}

static int add(struct pn_live *live, uint64_t frame)
{
	return add_of(live, 1, frame);
}

static struct pn_live *fresh(void)
{
	struct pn_live_settings s = settings();
	struct pn_live *live;

	assert_int_equal(pn_live_create(&live, &s, PN_ARITH_F32, NULL), PN_OK);
	return live;
}

static void waits_for_crops(void **state)
{
	struct pn_live *live = fresh();
	struct pn_live_news news;

	(void)state;
	for (uint64_t f = 0; f < 11; f++) {
		assert_int_equal(add(live, f), PN_OK);
		assert_int_equal(pn_live_step(live, NULL), PN_EAGAIN);
	}
	assert_int_equal(pn_live_due(live, &news), 0);
	add(live, 11);
	assert_int_equal(pn_live_step(live, NULL), PN_OK);
	assert_int_equal(add(live, 11), PN_EFRAME);
	pn_live_destroy(live);
}

/* False tracks of a few frames, with ever higher numbers, do not keep it from looking. */
static void short_tracks_do_not_matter(void **state)
{
	struct pn_live *live = fresh();

	(void)state;
	for (uint64_t f = 0; f < 24; f++) {
		add(live, f);
		add_of(live, 2 + f / 4, f);
		int rc = pn_live_step(live, NULL);

		assert_true(rc == PN_OK || (rc == PN_EAGAIN && f < 6));
	}
	assert_int_equal(pn_live_look(live, NULL), PN_OK);
	pn_live_destroy(live);
}

static void noise_alone_is_no_news(void **state)
{
	struct pn_live *live = fresh();
	struct pn_live_news news;

	(void)state;
	for (uint64_t f = 0; f < 60; f++) {
		add(live, f);
		pn_live_step(live, NULL);
		if (pn_live_due(live, &news))
			assert_true(news.validation < news.baseline && news.validation > 0.9);
	}
	pn_live_destroy(live);
}

static void earlier_weights_are_news_at_once(void **state)
{
	static struct pn_net_layout layout;
	struct pn_live *live = fresh();
	struct pn_net_spec spec = pn_preset_find("live")->spec;
	struct pn_live_news news;
	struct pn_error err = { 0 };
	static float params[200000];

	(void)state;
	assert_int_equal(pn_net_layout_make(&layout, &spec, NULL), PN_OK);
	assert_true(layout.param_count <= PN_COUNT(params));
	for (size_t k = 0; k < layout.param_count; k++)
		params[k] = (float)k * 1e-7f;
	assert_int_equal(pn_live_start_from(live, &spec, params, 20, 3, &err), PN_OK);
	assert_int_equal(pn_live_due(live, &news), 1);
	assert_int_equal(news.spec.channels, 32);
	assert_memory_equal(news.trained.params, params, layout.param_count * sizeof *params);
	assert_true(news.trained.offset == 20 && news.trained.scale == 3);
	pn_live_told(live);
	assert_int_equal(pn_live_due(live, &news), 0);
	spec.blocks = 0;
	assert_int_equal(pn_live_start_from(live, &spec, params, 20, 3, &err), PN_EARG);
	pn_live_destroy(live);
}

/* The same crops after the same checkpoint: the same parameters, if the pool holds the same. */
static void goes_on_from_a_checkpoint(void **state)
{
	struct pn_live *a = fresh(), *b = fresh();
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	(void)state;
	for (uint64_t f = 0; f < 40; f++) {
		add(a, f);
		add(b, f);
		if (f < 30)
			pn_live_step(a, NULL);
	}
	assert_int_equal(pn_live_save(a, &blob, &err), PN_OK);
	for (size_t cut = 0; cut < blob.bytes; cut += blob.bytes / 7 + 1)
		assert_true(pn_live_load(b, blob.data, cut, &err) < 0);
	assert_int_equal(pn_live_load(b, blob.data, blob.bytes, &err), PN_OK);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pn_live_step(a, NULL), PN_OK);
		assert_int_equal(pn_live_step(b, NULL), PN_OK);
	}
	struct pn_blob again[2] = { { 0 } };
	assert_int_equal(pn_live_save(a, &again[0], NULL), PN_OK);
	assert_int_equal(pn_live_save(b, &again[1], NULL), PN_OK);
	assert_int_equal(again[0].bytes, again[1].bytes);
	assert_memory_equal(again[0].data, again[1].data, again[0].bytes);
	pn_blob_finish(&blob);
	pn_blob_finish(&again[0]);
	pn_blob_finish(&again[1]);
	pn_live_destroy(a);
	pn_live_destroy(b);
}

static void bad_settings_are_told(void **state)
{
	struct pn_live_settings s = settings();
	struct pn_live *live;
	struct pn_error err = { 0 };

	(void)state;
	s.spot_px = 2;
	assert_int_equal(pn_live_create(&live, &s, PN_ARITH_F32, &err), PN_EARG);
	assert_non_null(strstr(err.text, "spot_px = 2"));
	s = settings();
	s.start = 25;
	assert_int_equal(pn_live_create(&live, &s, PN_ARITH_F32, &err), PN_EARG);
	assert_non_null(strstr(err.text, "pool = 24"));
	assert_null(live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_for_crops),
		cmocka_unit_test(short_tracks_do_not_matter),
		cmocka_unit_test(noise_alone_is_no_news),
		cmocka_unit_test(earlier_weights_are_news_at_once),
		cmocka_unit_test(goes_on_from_a_checkpoint),
		cmocka_unit_test(bad_settings_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
