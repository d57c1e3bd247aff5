/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A network that learns beside the stream, and whose weights come when they come: the session is
 * replayed to the byte all the same, in any placement, and its gain can be seen. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dir;
static char source[512], from[512];

static int record(void **state)
{
	struct kit_result r;
	char movie[256], weights[256];

	(void)state;
	dir = testkit_tempdir();
	assert_int_equal(setenv("XDG_CACHE_HOME", dir, 1), 0);
	snprintf(movie, sizeof movie, "%s", testkit_path(dir, "movie.npy"));
	snprintf(weights, sizeof weights, "%s", testkit_path(dir, "w.pnw"));
	kit_movie(movie, 240);
	snprintf(source, sizeof source, "file:%s?pixel_pm=35.8&fps=400", movie);
	snprintf(from, sizeof from, "train.from=%s", weights);
	PERRIN(&r, 0, "denoise", "train", movie, "--out", weights, "--preset", "fast", "--blocks",
	       "2", "--channels", "8", "--spot-px", "1", "--steps", "5", "--crop-px", "32",
	       "--batch", "4");
	kit_free(&r);
	PERRIN(&r, 0, "run", "liquid-cell", "--source", source, "--session",
	       testkit_path(dir, "live"), "--speed", "1", "--set", from, "--set", "train.start=16",
	       "--set", "train.pool=32", "--set", "train.crop_px=32", "--set", "train.batch=2");
	kit_free(&r);
	return 0;
}

static void crops_are_cleaned_while_they_come(void **state)
{
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "denoise", "sheet", testkit_path(dir, "live"), "--json");
	kit_says(r.out, "\"by_network\": ");
	assert_null(strstr(r.out, "\"by_network\": 0,"));
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "sheet", testkit_path(dir, "live")); /* it is there */
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "sheet", testkit_path(dir, "live"), "--force", "--count", "3");
	kit_says(r.out, "SNR of adjacent frames");
	kit_free(&r);
	PERRIN(&r, 0, "export", testkit_path(dir, "live/weights"), "--format", "csv", "--out", "-");
	kit_says(r.out, "version,time_ns,steps");
	kit_free(&r);
}

static void replays_are_the_same_bytes(void **state)
{
	static const char *const place[] = { "processes", "threads", "thread" };
	char live[KIT_HASHES_BYTES], again[KIT_HASHES_BYTES];

	(void)state;
	kit_hashes(testkit_path(dir, "live"), live);
	kit_says(live, "clean ");
	kit_says(live, "weights ");
	for (unsigned i = 0; i < 3; i++) {
		const char *session = testkit_path(dir, place[i]);
		struct kit_result r;

		PERRIN(&r, 0, "replay", testkit_path(dir, "live"), "--session", session, "--place",
		       place[i]);
		kit_free(&r);
		kit_hashes(session, again);
		assert_string_equal(again, live);
	}
}

/* Trained once more, the weights come at other times: all but what follows from them is the same.
 */
static void retrained_is_another_run(void **state)
{
	struct kit_result r;
	char live[KIT_HASHES_BYTES], again[KIT_HASHES_BYTES];
	const char *session = testkit_path(dir, "retrained");

	(void)state;
	PERRIN(&r, 0, "replay", testkit_path(dir, "live"), "--session", session, "--retrain");
	kit_free(&r);
	kit_hashes(testkit_path(dir, "live"), live);
	kit_hashes(session, again);
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? "\ncrops " : "\nframes ", *a = strstr(live, name);
		const char *b = strstr(again, name);

		assert_non_null(a);
		assert_non_null(b);
		assert_memory_equal(a, b, strcspn(a + 1, "\n") + 1);
	}
}

static void sessions_without_a_network_say_so(void **state)
{
	struct kit_result r;
	const char *raw = testkit_path(dir, "raw");

	(void)state;
	PERRIN(&r, 0, "run", "liquid-cell-raw", "--source", source, "--session", raw);
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "sheet", raw);
	kit_says(r.err, "clean");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crops_are_cleaned_while_they_come),
		cmocka_unit_test(replays_are_the_same_bytes),
		cmocka_unit_test(retrained_is_another_run),
		cmocka_unit_test(sessions_without_a_network_say_so),
	};

	return cmocka_run_group_tests(tests, record, NULL);
}
