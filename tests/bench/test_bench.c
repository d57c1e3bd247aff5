/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `perrin bench` runs every benchmark and writes one well-formed object with finite figures. */
#include "kit.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Reads one JSON value and calls back for each member of the objects in "results". */
struct reader {
	const char *at;
	unsigned results, values, ratios;
};

static void read_value(struct reader *r, const char *key);

static void skip_space(struct reader *r)
{
	r->at += strspn(r->at, " \t\r\n");
}

static void expect(struct reader *r, char c)
{
	skip_space(r);
	if (*r->at != c)
		fail_msg("expected '%c' at: %.40s", c, r->at);
	r->at++;
}

static void read_text(struct reader *r, char *text, size_t size)
{
	size_t used = 0;

	expect(r, '"');
	while (*r->at && *r->at != '"') {
		if (*r->at == '\\')
			r->at++;
		if (used + 1 < size)
			text[used++] = *r->at;
		r->at++;
	}
	text[used] = 0;
	expect(r, '"');
}

static void read_members(struct reader *r, char close, int keyed)
{
	char key[64] = "";

	r->at++;
	skip_space(r);
	for (int first = 1; *r->at != close; first = 0) {
		if (!first)
			expect(r, ',');
		if (keyed) {
			read_text(r, key, sizeof key);
			expect(r, ':');
		}
		read_value(r, key);
		skip_space(r);
	}
	r->at++;
}

static void read_number(struct reader *r, const char *key)
{
	char *end;
	double value = strtod(r->at, &end);

	assert_true(end > r->at && isfinite(value));
	r->at = end;
	if (strcmp(key, "value") == 0) {
		assert_true(value >= 0);
		r->values++;
	}
	if (strcmp(key, "ratio") == 0) {
		assert_true(value > 0);
		r->ratios++;
	}
}

static void read_value(struct reader *r, const char *key)
{
	static const char *const words[] = { "true", "false", "null" };
	char text[512];

	skip_space(r);
	if (*r->at == '{') {
		read_members(r, '}', 1);
		return;
	}
	if (*r->at == '[') {
		read_members(r, ']', 0);
		return;
	}
	if (*r->at == '"') {
		read_text(r, text, sizeof text);
		r->results += strcmp(key, "name") == 0;
		return;
	}
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strncmp(r->at, words[i], strlen(words[i])) == 0) {
			r->at += strlen(words[i]);
			return;
		}
	read_number(r, key);
}

static int entries_of(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void small_mode_measures_everything(void **state)
{
	static const char *const names[] = { "recording/close",
					     "hop/window",
					     "hop/bare zeromq ipc",
					     "small/batch 64",
					     "crystal/160x160/execute+size",
					     "track/256x256",
					     "latency/processes/p99",
					     "latency/threads/p99",
					     "twin/64x64/2 threads" };
	const char *dir = testkit_tempdir();
	struct kit_result result;

	(void)state;
	PERRIN(&result, 0, "bench", "--small", "--json", "--dir", dir);
	struct reader r = { .at = result.out };
	assert_int_equal(*r.at, '{');
	read_value(&r, "");
	skip_space(&r);
	assert_int_equal(*r.at, 0);
	/* every result has its figure; those with a ceiling a ratio */
	assert_true(r.results >= 20);
	assert_int_equal(r.values, r.results);
	assert_true(r.ratios >= 14);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		kit_says(result.out, names[i]);
	assert_int_equal(entries_of(dir), 2); /* nothing is left but . and .. */
	kit_free(&result);
}

static void unknown_names_are_refused(void **state)
{
	struct kit_result result;

	(void)state;
	PERRIN(&result, 2, "bench", "--only", "nothing", "--dir", testkit_tempdir());
	kit_says(result.err, "nothing: no such benchmark");
	kit_free(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_mode_measures_everything),
		cmocka_unit_test(unknown_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
