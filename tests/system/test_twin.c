/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A movie of the twin goes the whole way, and its truth comes out again. */
#include "perrin/host/graph.h"

/* after the others: cmocka makes a macro of `skip` */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dir, *session;

static int record(void **state)
{
	(void)state;
	struct kit_result r;

	dir = testkit_tempdir();
	session = strdup(testkit_path(dir, "movie"));
	PERRIN(&r, 0, "twin", "liquid-cell", "--frames", "20", "--seed=3", "--session", session,
	       "--graph", "liquid-cell");
	assert_string_equal(kit_word(r.out, "truth", 2), "20");
	assert_string_equal(kit_word(r.out, "specimen", 2), "1");
	kit_free(&r);
	return 0;
}

static void replays_give_the_same_bytes(void **state)
{
	(void)state;
	char recorded[KIT_HASHES_BYTES], replayed[KIT_HASHES_BYTES];
	struct kit_result r;

	kit_hashes(session, recorded);
	kit_says(recorded, "specimen ");
	kit_says(recorded, "crystal ");
	for (int i = 0; pn_place_words[i]; i++) {
		const char *again = testkit_path(dir, pn_place_words[i]);

		PERRIN(&r, 0, "replay", session, "--session", again, "--place", pn_place_words[i]);
		kit_free(&r);
		kit_hashes(again, replayed);
		assert_string_equal(replayed, recorded);
	}
}

static void same_seed_same_movie(void **state)
{
	(void)state;
	char hashes[2][KIT_HASHES_BYTES];
	static const char *const seeds[] = { "7", "7", "8" };
	char path[512];
	struct kit_result r;

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/again%d", dir, i);
		PERRIN(&r, 0, "twin", "tilt", "--seed", seeds[i], "--step-deg", "60", "--ny", "64",
		       "--nx", "64", "--diameter-nm", "1.2", "--session", path, "--place",
		       "thread");
		kit_free(&r);
		kit_hashes(path, hashes[i > 0]);
		if (i == 1)
			assert_string_equal(hashes[0], hashes[1]);
	}
	assert_string_not_equal(hashes[0], hashes[1]);
}

static void exports_of_each_kind(void **state)
{
	(void)state;
	struct kit_result r;
	char stream[512];
	size_t bytes;

	snprintf(stream, sizeof stream, "%s/frames", session);
	PERRIN(&r, 0, "export", stream, "--format", "npy", "--out",
	       testkit_path(dir, "frames.npy"));
	kit_free(&r);
	char *file = testkit_read(testkit_path(dir, "frames.npy"), &bytes);
	kit_says(file + 10, "(20, 256, 256)");
	assert_true(bytes > 20 * 256 * 256 * 2);
	free(file);
	snprintf(stream, sizeof stream, "%s/truth", session);
	PERRIN(&r, 0, "export", stream, "--format", "csv", "--out", "-", "--particle", "0");
	assert_int_equal(strncmp(r.out, "frame,time_ns,particle,x_px,y_px,quaternion_0,", 46), 0);
	kit_says(r.out, "\n19,47500000,0,");
	kit_free(&r);
	snprintf(stream, sizeof stream, "%s/specimen", session);
	PERRIN(&r, 0, "export", stream, "--format", "xyz", "--out", "-");
	int atoms = 0;
	assert_int_equal(sscanf(r.out, "%d\nProperties=species:S:1:pos:R:3 ", &atoms), 1);
	assert_true(atoms > 50);
	int lines = 0;
	for (const char *p = r.out; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, atoms + 2);
	kit_says(r.out, "\nPt ");
	kit_free(&r);
	snprintf(stream, sizeof stream, "%s/crystal", session);
	PERRIN(&r, 0, "export", stream, "--format", "ndjson", "--out",
	       testkit_path(dir, "crystal.ndjson"));
	kit_free(&r);
}

static void score_is_against_the_truth(void **state)
{
	(void)state;
	struct kit_result r;

	PERRIN(&r, 0, "score", session, "--json");
	kit_says(r.out, "\"truths\": 20,");
	kit_says(r.out, "\"found_rate\": ");
	kit_free(&r);
	PERRIN(&r, 0, "score", testkit_path(dir, "threads"), "--truth", session);
	kit_says(r.out, "20 particles on 20 frames");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replays_give_the_same_bytes),
		cmocka_unit_test(same_seed_same_movie),
		cmocka_unit_test(exports_of_each_kind),
		cmocka_unit_test(score_is_against_the_truth),
	};

	return cmocka_run_group_tests(tests, record, NULL);
}
