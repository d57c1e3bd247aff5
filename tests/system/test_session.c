/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording goes the whole way: run, verify, export, replay in each placement with equal bytes.
 */
#include "perrin/format/stack.h"
#include "perrin/host/graph.h"

/* after the others: cmocka makes a macro of `skip` */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAMES 12

static const char *dir, *session;
static char source[512];

/* Recorded once, looked at by every test. */
static int record(void **state)
{
	(void)state;
	struct kit_result r;

	dir = testkit_tempdir();
	session = strdup(testkit_path(dir, "a session"));
	kit_movie(testkit_path(dir, "movie.npy"), FRAMES);
	snprintf(source, sizeof source, "file:%s?pixel_pm=35.8", testkit_path(dir, "movie.npy"));
	PERRIN(&r, 0, "run", "liquid-cell-raw", "--source", source, "--session", session, "--place",
	       "thread", "--set", "frames.segment_MiB=1");
	kit_says(r.out, "a session: graph liquid-cell-raw");
	assert_string_equal(kit_word(r.out, "ingest", 1), "ended");
	assert_string_equal(kit_word(r.out, "ingest", 2), "12");
	assert_string_equal(kit_word(r.out, "frames", 2), "12");
	assert_string_equal(r.err, "");
	kit_free(&r);
	return 0;
}

static void session_is_never_written_over(void **state)
{
	(void)state;
	struct kit_result r;

	PERRIN(&r, 1, "run", "record", "--source", source, "--session", session);
	kit_says(r.err, session);
	kit_says(r.err, "is there already");
	kit_free(&r);
	PERRIN(&r, 1, "replay", session, "--session", session);
	kit_says(r.err, "is there already");
	kit_free(&r);
}

static void graphs_are_found_by_name(void **state)
{
	(void)state;
	static const char graph[] = "graph: own\nplace: thread\nstages:\n"
				    "  - {stage: ingest, input: source, output: [frames]}\n";
	const char *folder = testkit_tempdir();
	struct kit_result r;

	testkit_write(testkit_path(folder, "mine.yaml"), graph, sizeof graph - 1);
	assert_int_equal(setenv("PERRIN_GRAPHS", folder, 1), 0);
	PERRIN(&r, 0, "run", "mine", "--source", source, "--session", testkit_path(folder, "s"));
	kit_says(r.out, "graph own");
	kit_free(&r);
	PERRIN(&r, 1, "run", "yours", "--source", source, "--session", testkit_path(folder, "t"));
	kit_says(r.err, "yours: no such graph");
	kit_says(r.err, "there are: mine");
	kit_free(&r);
	assert_int_equal(unsetenv("PERRIN_GRAPHS"), 0);
}

static void settings_are_checked_before_anything_starts(void **state)
{
	(void)state;
	static const struct {
		const char *set, *says;
	} cases[] = {
		{ "track.no_such=1", "no_such" },
		{ "frames.align=100", "must be 64 or 4096" },
		{ "nobody.x=1", "no stage or stream 'nobody'" },
		{ "track", "need stage.parameter=value" },
	};
	const char *fresh = testkit_path(dir, "fresh");
	struct kit_result r;

	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		PERRIN(&r, 2, "run", "liquid-cell-raw", "--source", source, "--session", fresh, "--set",
		       "ingest.batch=4", "--set", cases[i].set);
		kit_says(r.err, cases[i].says);
		kit_free(&r);
	}
	PERRIN(&r, 2, "run", "liquid-cell-raw", "--source", source, "--session", fresh, "--speed",
	       "fast");
	kit_says(r.err, "speed = fast");
	kit_free(&r);
	assert_int_not_equal(access(fresh, F_OK), 0);
}

/* What one sends, the other records. */
static void sent_frames_are_recorded(void **state)
{
	(void)state;
	char sent[KIT_HASHES_BYTES], kept[KIT_HASHES_BYTES], uri[600], endpoint[512];
	const char *folder = testkit_tempdir();
	struct kit_result r;

	snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", folder);
	snprintf(uri, sizeof uri, "native:%s", endpoint);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		kit_run(&r, (const char *const[]){ "send", source, "--to", endpoint, NULL });
		_exit(r.code);
	}
	PERRIN(&r, 0, "run", "record", "--source", uri, "--session", testkit_path(folder, "s"));
	kit_free(&r);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	kit_hashes(session, sent);
	kit_hashes(testkit_path(folder, "s"), kept);
	const char *line = strstr(sent, "frames ");
	assert_non_null(line);
	assert_non_null(strstr(kept, "frames "));
	assert_memory_equal(strstr(kept, "frames "), line, 39);
}

static void info_and_top_tell_what_it_holds(void **state)
{
	(void)state;
	struct kit_result r;

	PERRIN(&r, 0, "info", session);
	kit_says(r.out, source);
	kit_says(r.out, "u16 [1][96][96], 35.8 pm");
	assert_string_equal(kit_word(r.out, "crystal", 1), "crops");
	kit_free(&r);
	PERRIN(&r, 0, "info", session, "--json");
	kit_says(r.out, "\"kind\": \"session\"");
	kit_says(r.out, "\"first_head\": {");
	kit_free(&r);
	PERRIN(&r, 0, "info", testkit_path(dir, "movie.npy"));
	kit_says(r.out, "u16 [12][96][96]");
	kit_free(&r);
	PERRIN(&r, 0, "info", "--schemas");
	kit_says(r.out, "crystal, version 1");
	kit_free(&r);
	PERRIN(&r, 0, "top", session);
	kit_says(r.out, "over");
	assert_string_equal(kit_word(r.out, "track", 2), "12");
	kit_free(&r);
	PERRIN(&r, 0, "top", session, "--json");
	kit_says(r.out, "\"running\":false");
	kit_free(&r);
	PERRIN(&r, 1, "score", session);
	kit_says(r.err, "truth");
	kit_free(&r);
}

static void replays_give_the_same_bytes(void **state)
{
	(void)state;
	char recorded[KIT_HASHES_BYTES], replayed[KIT_HASHES_BYTES];
	struct kit_result r;

	kit_hashes(session, recorded);
	kit_says(recorded, "crystal ");
	for (int i = 0; pn_place_words[i]; i++) {
		const char *again = testkit_path(dir, pn_place_words[i]);

		PERRIN(&r, 0, "replay", session, "--session", again, "--place", pn_place_words[i],
		       "--json");
		kit_says(r.out, "\"place\": \"");
		kit_says(r.out, pn_place_words[i]);
		kit_free(&r);
		kit_hashes(again, replayed);
		assert_string_equal(replayed, recorded);
	}
}

static void frames_come_back_from_each_image_format(void **state)
{
	(void)state;
	static const char *const formats[] = { "npy", "mrc", "tiff" };
	static uint16_t was[96 * 96], is[96 * 96];
	char frames[512];
	struct pn_stack *original, *exported;
	struct pn_error err = { 0 };
	struct kit_result r;

	snprintf(frames, sizeof frames, "%s/frames", session);
	assert_int_equal(pn_stack_open(&original, testkit_path(dir, "movie.npy"), &err), PN_OK);
	for (int i = 0; i < 3; i++) {
		const char *out = testkit_path(dir, formats[i]);

		PERRIN(&r, 0, "export", frames, "--format", formats[i], "--out", out);
		kit_free(&r);
		PERRIN(&r, 1, "export", frames, "--format", formats[i], "--out", out);
		kit_says(r.err, "--force");
		kit_free(&r);
		PERRIN(&r, 0, "export", frames, "--format", formats[i], "--out", out, "--force");
		kit_free(&r);
		assert_int_equal(pn_stack_open(&exported, out, &err), PN_OK);
		assert_int_equal(pn_stack_info(exported)->count, FRAMES);
		for (uint64_t t = 0; t < FRAMES; t++) {
			assert_int_equal(pn_stack_read(original, t, was, &err), PN_OK);
			assert_int_equal(pn_stack_read(exported, t, is, &err), PN_OK);
			assert_memory_equal(was, is, sizeof was);
		}
		pn_stack_close(exported);
	}
	pn_stack_close(original);
}

static void tables_have_their_columns(void **state)
{
	(void)state;
	static const char columns[] =
		"frame,time_ns,particle,x_px,y_px,peak,class,spacing_pm,diameter_nm";
	static const char first[] = "{\"seq\":0,\"time_ns\":0,\"frame\":0,\"count\":1,";
	char stream[512];
	struct kit_result r;

	snprintf(stream, sizeof stream, "%s/crystal", session);
	PERRIN(&r, 0, "export", stream, "--format", "csv", "--out", "-");
	assert_int_equal(strncmp(r.out, columns, sizeof columns - 1), 0);
	kit_free(&r);
	PERRIN(&r, 2, "export", stream, "--format", "npy", "--out", testkit_path(dir, "no.npy"));
	kit_says(r.err, "no images");
	kit_free(&r);
	PERRIN(&r, 2, "export", stream, "--format", "xyz", "--out", "-");
	kit_says(r.err, "no atoms");
	kit_free(&r);
	snprintf(stream, sizeof stream, "%s/frames", session);
	PERRIN(&r, 0, "export", stream, "--format", "ndjson", "--out", "-", "--count", "1");
	assert_int_equal(strncmp(r.out, first, sizeof first - 1), 0);
	/* what is not known is null here and empty there */
	kit_says(r.out, "\"energy_keV\":null");
	assert_string_equal(strchr(r.out, '\n'), "\n");
	kit_free(&r);
	PERRIN(&r, 0, "export", stream, "--format", "csv", "--out", "-", "--first", "11");
	kit_says(r.out, "\n11,27500000,1,u2,96,96,35.8,,,\n");
	kit_free(&r);
}

/* Last: it breaks the session of one replay. */
static void one_flipped_bit_is_found(void **state)
{
	(void)state;
	struct kit_result r;
	char path[512];

	snprintf(path, sizeof path, "%s/threads/frames/000000.seg", dir);
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, 30000, SEEK_SET), 0);
	int c = fgetc(file);
	assert_int_equal(fseek(file, 30000, SEEK_SET), 0);
	assert_int_equal(fputc(c ^ 4, file), c ^ 4);
	assert_int_equal(fclose(file), 0);
	PERRIN(&r, 1, "verify", testkit_path(dir, "threads"));
	assert_string_equal(kit_word(r.out, "frames", 1), "BAD");
	assert_string_equal(kit_word(r.out, "crops", 1), "good");
	kit_free(&r);
	/* the others can still be had */
	snprintf(path, sizeof path, "%s/threads/frames", dir);
	PERRIN(&r, 1, "export", path, "--format", "csv", "--out", "-");
	kit_says(r.err, "1 damaged records are left out");
	int lines = 0;
	for (const char *p = r.out; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, FRAMES);
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session_is_never_written_over),
		cmocka_unit_test(graphs_are_found_by_name),
		cmocka_unit_test(settings_are_checked_before_anything_starts),
		cmocka_unit_test(sent_frames_are_recorded),
		cmocka_unit_test(info_and_top_tell_what_it_holds),
		cmocka_unit_test(replays_give_the_same_bytes),
		cmocka_unit_test(frames_come_back_from_each_image_format),
		cmocka_unit_test(tables_have_their_columns),
		cmocka_unit_test(one_flipped_bit_is_found),
	};

	return cmocka_run_group_tests(tests, record, NULL);
}
