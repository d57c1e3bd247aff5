/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all sources share must hold for each: the URI is read strictly, time stamps set the pace. */
#include "kit.h"

#include <unistd.h>

static void test_schemes(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "a.npy");

	(void)state;
	kit_refuse("", PN_EARG, "file:");
	kit_refuse("nosuch", PN_EARG, "replay:");
	kit_refuse("nosuch:x", PN_EARG, "native:");
	kit_refuse("fil:x", PN_EARG, "folder:");
	kit_refuse("files:x", PN_EARG, "file:");
	kit_refuse(":x", PN_EARG, "file:");
	kit_refuse("twin:", PN_EARG, "twin:liquid-cell");
	kit_refuse("twin:tilted", PN_EARG, "twin:tilt");
	kit_refuse("twin:tilt:x", PN_EARG, "twin:tilt");
	kit_refuse("twin:tilt?nosuch=1", PN_EARG, "seed");
	kit_npy(path, 1, 1);
	kit_refuse(path, PN_EARG, "did you mean file:/");
}

static void test_parameters(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "a.npy");
	char uri[512];
	static const struct {
		const char *query, *word;
	} bad[] = {
		{ "?nosuch=1", "speed" },   { "?nosuch=1", "fps" },
		{ "?fps", "name=value" },   { "?speed=-1", "speed" },
		{ "?speed=fast", "speed" }, { "?fps=%4", "fps" },
		{ "?fps=1&&speed=2", "" },  { "?pixel_pm=1e9", "pixel_pm" },
	};

	(void)state;
	kit_npy(path, 1, 1);
	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		snprintf(uri, sizeof uri, "file:%s%s", path, bad[i].query);
		kit_refuse(uri, PN_EARG, bad[i].word);
	}
	/* percent signs in values are decoded: 1%30 is 10 */
	snprintf(uri, sizeof uri, "file:%s?fps=1%%30&speed=0", path);
	pn_source_close(kit_open(uri));
	snprintf(uri, sizeof uri, "file:%s?", path);
	pn_source_close(kit_open(uri));
}

static void test_path_is_decoded(void **state)
{
	const char *dir = testkit_tempdir();
	char uri[512];

	(void)state;
	kit_npy(testkit_path(dir, "what?100% \xc3\xa9.npy"), 3, 1);
	snprintf(uri, sizeof uri, "file:%s/what%%3f100%%25 %%C3%%A9.npy?fps=1", dir);
	struct pn_source *source = kit_open(uri);

	kit_expect_frame(source, 0, 3, 0, NULL);
	pn_source_close(source);
	kit_refuse("file:a%", PN_EARG, "byte 1");
	kit_refuse("file:a%4", PN_EARG, "%25");
	kit_refuse("file:ab%4g", PN_EARG, "byte 2");
	kit_refuse("file:a%00b", PN_EARG, "byte 1");
	kit_refuse("file:a%?fps=1", PN_EARG, "byte 1");
}

/* A command line can be judged without touching what it names. */
static void test_check(void **state)
{
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_source_check("file:/nowhere/at/all.npy?fps=1&speed=2", &err), PN_OK);
	assert_int_equal(pn_source_check("native:ipc:///nowhere/x", &err), PN_OK);
	assert_int_equal(pn_source_check("twin:tilt", &err), PN_OK);
	assert_int_equal(pn_source_check("file:x?fps=0", &err), PN_EARG);
	assert_non_null(strstr(err.text, "fps"));
	assert_int_equal(pn_source_check("nosuch:x", &err), PN_EARG);
	assert_int_equal(pn_source_check("file:x%", &err), PN_EARG);
	assert_int_equal(pn_source_check("file:x?a=1", NULL), PN_EARG);
}

static int next_at(struct pn_source *source, int64_t now_ns, struct pn_msg *msg)
{
	struct pn_error err = { 0 };

	return pn_source_next(source, now_ns, msg, &err);
}

/* 1000 frames a second: message n is due n ms after the first was given, whenever that was. */
static void test_pace(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "a.npy");
	struct pn_msg msg;
	const int64_t ms = 1000000, start = 5000 * ms;

	(void)state;
	kit_npy(path, 1, 50);
	struct pn_source *source = kit_openf("file:%s?fps=1000&speed=1", path);

	assert_int_equal(next_at(source, start, &msg), PN_OK);
	assert_int_equal(msg.arrival_ns, start);
	assert_int_equal(next_at(source, start, &msg), PN_EAGAIN);
	assert_int_equal(next_at(source, start + ms - 1, &msg), PN_EAGAIN);
	assert_int_equal(next_at(source, start + ms, &msg), PN_OK);
	assert_int_equal(msg.seq, 1);
	assert_int_equal(((const uint16_t *)msg.payload)[0], kit_pixel(1, 1, 0));
	/* who comes late gets what was due, with the time it was due, and then waits again */
	for (int n = 2; n <= 9; n++) {
		assert_int_equal(next_at(source, start + 9 * ms + 5, &msg), PN_OK);
		assert_int_equal(msg.seq, n);
		assert_int_equal(msg.arrival_ns, start + n * ms);
	}
	assert_int_equal(next_at(source, start + 9 * ms + 5, &msg), PN_EAGAIN);
	/* a seek drops what is held and begins a new count of time */
	kit_seek(source, 30);
	assert_int_equal(next_at(source, 77, &msg), PN_OK);
	assert_int_equal(msg.seq, 30);
	assert_int_equal(msg.arrival_ns, 77);
	assert_int_equal(msg.time_ns, 30 * ms);
	assert_int_equal(next_at(source, 77 + ms - 1, &msg), PN_EAGAIN);
	assert_int_equal(next_at(source, 77 + ms, &msg), PN_OK);
	pn_source_close(source);

	source = kit_openf("file:%s?fps=1000&speed=4", path);
	assert_int_equal(next_at(source, 0, &msg), PN_OK);
	assert_int_equal(next_at(source, ms / 4 - 1, &msg), PN_EAGAIN);
	assert_int_equal(next_at(source, ms / 4, &msg), PN_OK);
	pn_source_close(source);

	source = kit_openf("file:%s?fps=1000", path);
	for (int n = 0; n < 50; n++) {
		assert_int_equal(next_at(source, 123, &msg), PN_OK);
		assert_int_equal(msg.arrival_ns, 123);
	}
	assert_int_equal(next_at(source, 123, &msg), PN_EEND);
	pn_source_close(source);
}

static void test_rest_of_the_interface(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "a.npy");
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	kit_npy(path, 1, 2);
	struct pn_source *source = kit_openf("file:%s?fps=1000&speed=1", path);

	assert_int_equal(pn_source_ack(source, 1, &err), PN_OK);
	pn_source_wait(source, 0, 1000000000000); /* returns at once: next always has something */
	assert_int_equal(next_at(source, 0, &msg), PN_OK);
	assert_int_equal(next_at(source, 0, &msg), PN_EAGAIN);
	pn_source_wait(source, 2000000, 1000000000000); /* due already */
	pn_source_wait(source, 999999, 1000000000000);  /* due in 1 ns */
	assert_int_equal(next_at(source, 1000000, &msg), PN_OK);
	assert_int_equal(next_at(source, 1000000, &msg), PN_EEND);
	pn_source_wait(source, 0, 1000000000000); /* nothing will come */
	pn_source_close(source);
	pn_source_close(NULL);
}

static void test_help_tells_everything(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "help");
	FILE *out = fopen(path, "w");

	(void)state;
	assert_non_null(out);
	pn_sources_help(out);
	fclose(out);
	size_t count;
	char *text = testkit_read(path, &count);

	for (const struct pn_source_ops *const *ops = pn_sources; *ops; ops++) {
		char word[80];

		snprintf(word, sizeof word, "  %s", (*ops)->scheme);
		assert_non_null(strstr(text, word));
		assert_non_null(strstr(text, (*ops)->brief));
		assert_true((*ops)->open && (*ops)->next && (*ops)->seek && (*ops)->close);
		struct pn_param rows[PN_PARAM_ROWS_MAX];
		size_t row_count =
			(*ops)->params ? pn_params_flatten((*ops)->params, rows, PN_PARAM_ROWS_MAX)
				       : 0;

		for (size_t i = 0; i < row_count; i++) {
			snprintf(word, sizeof word, " %s=", rows[i].name);
			assert_non_null(strstr(text, word));
			assert_string_not_equal(rows[i].name, "speed");
		}
	}
	assert_non_null(strstr(text, " speed=0"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schemes),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_path_is_decoded),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_rest_of_the_interface),
		cmocka_unit_test(test_help_tells_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
