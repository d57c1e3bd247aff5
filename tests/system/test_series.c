/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tilt series from noisy, drifting frames to atoms, live: right, and the same however it is run.
 */
#include "kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dir;
static char reference[KIT_HASHES_BYTES];

static const char source[] =
	"twin:tilt?ny=80&nx=80&pixel_A=0.4&step_deg=8&diameter_nm=1.5&dose_e_per_A2=6000"
	"&drift_px=0.3&offset_px=1.5&seed=5";

static int record(void **state)
{
	(void)state;
	struct kit_result r;

	dir = testkit_tempdir();
	assert_int_equal(setenv("XDG_CACHE_HOME", dir, 1), 0);
	PERRIN(&r, 0, "run", "tilt-series", "--source", source, "--session",
	       testkit_path(dir, "reference"), "--place", "thread");
	kit_free(&r);
	kit_hashes(testkit_path(dir, "reference"), reference);
	return 0;
}

/* Every atom of the twin, where it is, and none that is not. */
static void atoms_of_the_truth(void **state)
{
	(void)state;
	struct kit_result r;

	PERRIN(&r, 0, "export", testkit_path(dir, "reference/atoms"), "--format", "xyz", "--last",
	       "--out", testkit_path(dir, "found.xyz"));
	kit_free(&r);
	PERRIN(&r, 0, "export", testkit_path(dir, "reference/specimen"), "--format", "xyz", "--out",
	       testkit_path(dir, "true.xyz"));
	kit_free(&r);
	PERRIN(&r, 0, "score", testkit_path(dir, "found.xyz"), testkit_path(dir, "true.xyz"));
	assert_true(atof(kit_word(r.out, "matched", 1)) >=
		    0.97 * atof(kit_word(r.out, "matched", 3)));
	assert_true(atof(kit_word(r.out, "rmsd", 1)) < 20);
	kit_says(r.out, "false 0 of");
	kit_free(&r);
}

/* |a - b| / |b| of two volumes in .npy files. */
static double apart(const char *name_a, const char *name_b)
{
	size_t bytes_a, bytes_b;
	char *a = testkit_read(testkit_path(dir, name_a), &bytes_a);
	char *b = testkit_read(testkit_path(dir, name_b), &bytes_b);
	const float *va = (const float *)(a + 128), *vb = (const float *)(b + 128);
	double difference = 0, norm = 0;

	assert_int_equal(bytes_a, bytes_b);
	for (size_t i = 0; i < (bytes_a - 128) / sizeof *va; i++) {
		difference += (double)(va[i] - vb[i]) * (double)(va[i] - vb[i]);
		norm += (double)vb[i] * (double)vb[i];
	}
	free(a);
	free(b);
	assert_true(norm > 0);
	return sqrt(difference / norm);
}

/* The last volume of the session is what `reconstruct` makes of the same tilts. */
static void live_is_offline(void **state)
{
	(void)state;
	struct kit_result r;
	char uri[1024];

	PERRIN(&r, 0, "export", testkit_path(dir, "reference/aligned"), "--format", "npy", "--out",
	       testkit_path(dir, "tilts.npy"));
	kit_free(&r);
	PERRIN(&r, 0, "export", testkit_path(dir, "reference/aligned"), "--format", "tlt", "--out",
	       testkit_path(dir, "angles.tlt"));
	kit_free(&r);
	PERRIN(&r, 0, "reconstruct", testkit_path(dir, "tilts.npy"), "--angles",
	       testkit_path(dir, "angles.tlt"), "--out", testkit_path(dir, "offline.npy"),
	       "--pixel-A", "0.4");
	kit_free(&r);
	PERRIN(&r, 0, "export", testkit_path(dir, "reference/volumes"), "--format", "npy", "--last",
	       "--out", testkit_path(dir, "live.npy"));
	kit_free(&r);
	snprintf(uri, sizeof uri, "file:%s?angles=%s&pixel_pm=40", testkit_path(dir, "tilts.npy"),
		 testkit_path(dir, "angles.tlt"));
	PERRIN(&r, 0, "run", "tilt-series-aligned", "--source", uri, "--session",
	       testkit_path(dir, "fed"), "--place", "thread");
	kit_free(&r);

	PERRIN(&r, 0, "export", testkit_path(dir, "fed/volumes"), "--format", "npy", "--last",
	       "--out", testkit_path(dir, "fed.npy"));
	kit_free(&r);
	/* FFT plans differ from process to process: rounding, carried through the iterations */
	assert_true(apart("live.npy", "offline.npy") < 1e-3);
	assert_true(apart("fed.npy", "offline.npy") < 1e-3);
}

static void placements_and_replay(void **state)
{
	(void)state;
	char hashes[KIT_HASHES_BYTES];
	struct kit_result r;

	PERRIN(&r, 0, "replay", testkit_path(dir, "reference"), "--session",
	       testkit_path(dir, "replayed"), "--place", "processes");
	kit_free(&r);
	kit_hashes(testkit_path(dir, "replayed"), hashes);
	assert_string_equal(hashes, reference);
	PERRIN(&r, 0, "run", "tilt-series", "--source", source, "--session",
	       testkit_path(dir, "threads"), "--place", "threads");
	kit_free(&r);
	kit_hashes(testkit_path(dir, "threads"), hashes);
	assert_string_equal(hashes, reference);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(atoms_of_the_truth),
		cmocka_unit_test(live_is_offline),
		cmocka_unit_test(placements_and_replay),
	};

	return cmocka_run_group_tests(tests, record, NULL);
}
