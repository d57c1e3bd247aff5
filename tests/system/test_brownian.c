/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A twin's tumbling particle, from frames to atoms and advice; the same bytes in a replay. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dir;

/* A small, bright movie: the chain, not its accuracy, is looked at here. */
static const char source[] = "twin:liquid-cell?frames=170&ny=128&nx=128&seed=3&diameter_nm=1.4&"
			     "dose_e_per_A2=400&water_nm=0&graphene_layers=0";
#define SETTINGS                                                                                  \
	"--set", "train.steps=1", "--set", "orient.views=400", "--set", "orient.candidates=120",  \
		"--set", "orient.begin=30", "--set", "orient.start=20", "--set",                  \
		"orient.refresh=50", "--set", "orient.keep=60", "--set", "map.every=50", "--set", \
		"map.iterations=3", "--set", "map.iterations_max=5"

static int open_dir(void **state)
{
	(void)state;
	dir = testkit_tempdir();
	return setenv("XDG_CACHE_HOME", dir, 1);
}

static void frames_to_atoms(void **state)
{
	const char *live = testkit_path(dir, "live"), *again = testkit_path(dir, "again");
	char first[KIT_HASHES_BYTES], second[KIT_HASHES_BYTES];
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "run", "liquid-cell-atoms", "--source", source, "--session", live, SETTINGS);
	kit_says(r.out, "orient");
	assert_int_equal(atoi(kit_word(r.out, "frames", 2)), 170);
	assert_true(atoi(kit_word(r.out, "poses", 2)) > 100);
	assert_true(atoi(kit_word(r.out, "volumes", 2)) >= 2);
	assert_true(atoi(kit_word(r.out, "atoms", 2)) >= 2);
	assert_true(atoi(kit_word(r.out, "advice", 2)) >= 2);
	kit_free(&r);
	PERRIN(&r, 0, "advise", live);
	kit_says(r.out, "particle");
	kit_free(&r);
	PERRIN(&r, 0, "score", "poses", live);
	kit_says(r.out, "within 5 deg");
	kit_free(&r);
	PERRIN(&r, 0, "replay", live, "--session", again, "--place", "thread");
	kit_free(&r);
	kit_hashes(live, first);
	kit_hashes(again, second);
	assert_string_equal(first, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(frames_to_atoms) };

	return cmocka_run_group_tests(tests, open_dir, NULL);
}
