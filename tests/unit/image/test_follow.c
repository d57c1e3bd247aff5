/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A follower that was saved and loaded goes on as if it had never stopped; a cut state is refused. */
#include "perrin/image/follow.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

enum { N = 160, FRAMES = 40 };

static void draw(float *frame, int f)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 8, (uint64_t)f);
	for (int i = 0; i < N * N; i++) {
		double dx = i % N - 80 - 5 * sin(f * 0.2), dy = i / N - 78;
		double inside = hypot(dx, dy) < 28 ? 0.6 : 0;

		frame[i] = (float)pn_rng_poisson(&rng, 6 * (1 + inside * cos(dx + 0.3 * dy)));
	}
}

static struct pn_follow *create(void)
{
	struct pn_follow_params params;
	struct pn_follow *follow;
	struct pn_error err = { 0 };

	pn_params_default(pn_follow_param_table, &params);
	params.tracker.box_px = 128;
	params.tracker.diameter_nm = 2;
	if (pn_follow_create(&follow, N, N, &params, &err))
		fail_msg("%s", err.text);
	return follow;
}

static void saved_and_loaded_it_goes_on(void **state)
{
	(void)state;
	static float frame[N * N];
	static struct pn_followed whole, cut;
	struct pn_follow *a = create(), *b = create();
	struct pn_error err = { 0 };
	size_t seen = 0;

	for (int f = 0; f < FRAMES; f++) {
		draw(frame, f);
		memset(&whole, 0, sizeof whole);
		memset(&cut, 0, sizeof cut);
		assert_int_equal(pn_follow_update(a, frame, &whole, &err), PN_OK);
		assert_int_equal(pn_follow_update(b, frame, &cut, &err), PN_OK);
		assert_memory_equal(&whole, &cut, sizeof whole);
		seen += whole.count;
		if (f % 7 != 3)
			continue;
		struct pn_blob blob = { 0 };
		assert_int_equal(pn_follow_save(b, &blob, &err), PN_OK);
		pn_follow_destroy(b);
		b = create();
		for (size_t n = 0; n < blob.bytes; n += 1 + blob.bytes / 50)
			assert_int_not_equal(pn_follow_load(b, blob.data, n, &err), PN_OK);
		assert_int_equal(pn_follow_load(b, blob.data, blob.bytes, &err), PN_OK);
		pn_blob_finish(&blob);
	}
	assert_true(seen > FRAMES / 2);
	pn_follow_destroy(a);
	pn_follow_destroy(b);
	pn_follow_destroy(NULL);
}

static void boxes_stay_inside(void **state)
{
	(void)state;
	assert_int_equal(pn_box_origin(50, 20, 100), 40);
	assert_int_equal(pn_box_origin(3, 20, 100), 0);
	assert_int_equal(pn_box_origin(-50, 20, 100), 0);
	assert_int_equal(pn_box_origin(99, 20, 100), 80);
	assert_int_equal(pn_box_origin(99, 100, 100), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(saved_and_loaded_it_goes_on),
		cmocka_unit_test(boxes_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
