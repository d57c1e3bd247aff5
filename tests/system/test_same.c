/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packing, placement and pace change no result: batches of frames, threads, processes, the native
 * protocol between two processes, and a second run, all give the same crops and crystal streams. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir;
static char source[512], reference[KIT_HASHES_BYTES];

/* The lines of crops and crystal: frames are packed otherwise in batches, and hashed with that. */
static void results_of(const char *session, char results[KIT_HASHES_BYTES])
{
	char hashes[KIT_HASHES_BYTES], *line, *rest = hashes;

	kit_hashes(session, hashes);
	results[0] = 0;
	while ((line = strsep(&rest, "\n")))
		if (strncmp(line, "crops ", 6) == 0 || strncmp(line, "crystal ", 8) == 0)
			strcat(strcat(results, line), "\n");
	assert_non_null(strstr(results, "crystal "));
}

static void expect_same(const char *session)
{
	char results[KIT_HASHES_BYTES];

	results_of(session, results);
	assert_string_equal(results, reference);
}

static int record(void **state)
{
	(void)state;
	struct kit_result r;

	dir = testkit_tempdir();
	/* plans of its own: not those of the user, nor into his cache */
	assert_int_equal(setenv("XDG_CACHE_HOME", dir, 1), 0);
	kit_movie(testkit_path(dir, "movie.npy"), 60);
	snprintf(source, sizeof source, "file:%s?pixel_pm=35.8&fps=400",
		 testkit_path(dir, "movie.npy"));
	PERRIN(&r, 0, "run", "liquid-cell-raw", "--source", source, "--session",
	       testkit_path(dir, "reference"), "--place", "thread");
	kit_free(&r);
	results_of(testkit_path(dir, "reference"), reference);
	return 0;
}

static void batches(void **state)
{
	(void)state;
	static const char *const batch[] = { "ingest.batch=7", "ingest.batch=64" };
	struct kit_result r;

	for (unsigned i = 0; i < 2; i++) {
		const char *session = testkit_path(dir, batch[i]);

		PERRIN(&r, 0, "run", "liquid-cell-raw", "--source", source, "--session", session, "--place",
		       "thread", "--set", batch[i]);
		kit_free(&r);
		expect_same(session);
		PERRIN(&r, 0, "replay", session, "--session", testkit_path(session, "again"));
		kit_free(&r);
		expect_same(testkit_path(session, "again"));
	}
}

static void placements_and_pace(void **state)
{
	(void)state;
	static const char *const way[][2] = {
		{ "threads", "max" }, { "processes", "max" }, { "processes", "1" }
	};
	struct kit_result r;

	for (unsigned i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof name, "way%u", i);
		PERRIN(&r, 0, "run", "liquid-cell-raw", "--source", source, "--session",
		       testkit_path(dir, name), "--place", way[i][0], "--speed", way[i][1]);
		kit_free(&r);
		expect_same(testkit_path(dir, name));
	}
}

static void the_native_protocol(void **state)
{
	(void)state;
	char endpoint[512], uri[600];
	struct kit_result r;
	int status;

	snprintf(endpoint, sizeof endpoint, "ipc://%s", testkit_path(dir, "socket"));
	snprintf(uri, sizeof uri, "native:%s", endpoint);
	pid_t pid = fork();
	if (pid == 0) {
		freopen("/dev/null", "w", stdout);
		execl(kit_binary(), "perrin", "run", "liquid-cell-raw", "--source", uri, "--session",
		      testkit_path(dir, "native"), (char *)NULL);
		_exit(127);
	}
	PERRIN(&r, 0, "send", source, "--to", endpoint);
	kit_free(&r);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	expect_same(testkit_path(dir, "native"));
}

static void plans_of_another_fftw_are_made_anew(void **state)
{
	(void)state;
	struct kit_result r;

	testkit_write(testkit_path(dir, "perrin/wisdom"), "not plans", 9);
	PERRIN(&r, 0, "run", "liquid-cell-raw", "--source", source, "--session",
	       testkit_path(dir, "anew"), "--place", "thread");
	kit_free(&r);
	PERRIN(&r, 0, "top", testkit_path(dir, "anew"), "--once");
	kit_says(r.out, "particle");
	kit_says(r.out, "spacing A");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches),
		cmocka_unit_test(placements_and_pace),
		cmocka_unit_test(the_native_protocol),
		cmocka_unit_test(plans_of_another_fftw_are_made_anew),
	};

	return cmocka_run_group_tests(tests, record, NULL);
}
