/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every command of the table helps, refuses what it does not know, and names the path at fault. */
#include "command.h"
#include "kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *dir;

/* as --help prints it */
static void flag_of(char *flag, size_t size, const struct pn_param *row)
{
	snprintf(flag, size, row->positional ? "  %s" : "  --%s", row->name);
	for (char *p = flag; *p && !row->positional; p++)
		if (*p == '_')
			*p = '-';
}

static void names_parameters(const char *help, const struct pn_command *command)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];

	kit_says(help, command->brief);
	kit_says(help, command->usage);
	if (!command->params)
		return;
	pn_params_flatten(command->params, rows, PN_COUNT(rows));
	for (const struct pn_param *row = rows; row->name; row++) {
		char text[128];

		flag_of(text, sizeof text, row);
		kit_says(help, text);
		kit_says(help, row->help);
	}
}

static void help_names_every_parameter(void **state)
{
	(void)state;
	for (const struct pn_command *const *c = pn_commands; *c; c++) {
		struct kit_result flag, word;

		PERRIN(&flag, 0, (*c)->name, "--help");
		PERRIN(&word, 0, "help", (*c)->name);
		assert_string_equal(flag.out, word.out);
		assert_string_equal(flag.err, "");
		names_parameters(flag.out, *c);
		for (const struct pn_command *const *k = (*c)->kinds; k && *k; k++) {
			names_parameters(flag.out, *k);
			kit_free(&word);
			PERRIN(&word, 0, (*c)->name, (*k)->name, "--help");
			assert_string_equal(flag.out, word.out);
		}
		kit_free(&flag);
		kit_free(&word);
	}
}

static void list_names_every_command(void **state)
{
	(void)state;
	struct kit_result r;
	static const char *const ways[] = { NULL, "help", "--help", "-h" };

	for (size_t i = 0; i < PN_COUNT(ways); i++) {
		kit_run(&r, (const char *const[]){ ways[i], NULL });
		assert_int_equal(r.code, 0);
		for (const struct pn_command *const *c = pn_commands; *c; c++)
			kit_says(r.out, (*c)->brief);
		kit_free(&r);
	}
	PERRIN(&r, 0, "--version");
	kit_says(r.out, "perrin " PERRIN_VERSION);
	kit_free(&r);
}

static void wrong_words_are_refused(void **state)
{
	(void)state;
	struct kit_result r;

	for (const struct pn_command *const *c = pn_commands; *c; c++) {
		char text[128];

		PERRIN(&r, 2, (*c)->name, "--no-such-flag");
		snprintf(text, sizeof text, "perrin %s: no flag --no-such-flag", (*c)->name);
		kit_says(r.err, text);
		assert_string_equal(r.out, "");
		kit_free(&r);
	}
	PERRIN(&r, 2, "twin");
	kit_says(r.err, "say which: liquid-cell or tilt");
	kit_free(&r);
	PERRIN(&r, 2, "twin", "frobnicate");
	kit_says(r.err, "must be liquid-cell or tilt");
	kit_free(&r);
	PERRIN(&r, 2, "twin", "tilt", "--no-such-flag");
	kit_says(r.err, "no flag --no-such-flag");
	kit_free(&r);
	PERRIN(&r, 2, "verfiy");
	kit_says(r.err, "no command 'verfiy'; did you mean 'verify'?");
	kit_free(&r);
	PERRIN(&r, 2, "frobnicate");
	kit_says(r.err, "perrin help");
	kit_free(&r);
	PERRIN(&r, 2, "help", "frobnicate");
	kit_free(&r);
	PERRIN(&r, 2, "run", "record", "--source", "file:x");
	kit_says(r.err, "--session is missing");
	kit_free(&r);
	PERRIN(&r, 2, "export", "x");
	kit_says(r.err, "is missing");
	kit_free(&r);
}

static void missing_paths_are_named(void **state)
{
	(void)state;
	const char *no = testkit_path(dir, "not-there"), *session = testkit_path(dir, "fresh");
	char source[512], endpoint[512];
	struct stat st;

	snprintf(source, sizeof source, "file:%s", no);
	snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", dir);
	const char *const cases[][10] = {
		{ "info", no },
		{ "verify", no },
		{ "top", no },
		{ "score", no },
		{ "export", no, "--format", "csv", "--out", "-" },
		{ "replay", no, "--session", session },
		{ "run", no, "--source", "file:x", "--session", session },
		{ "run", "record", "--source", source, "--session", session },
		{ "twin", "liquid-cell", "--graph", no, "--session", session },
		{ "send", source, "--to", endpoint },
		{ "doctor", "--dir", no },
	};

	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		struct kit_result r;

		kit_run(&r, cases[i]);
		kit_expect(&r, 1, __FILE__, (int)i);
		kit_says(r.err, no);
		assert_int_equal(strncmp(r.err, "perrin ", 7), 0);
		kit_free(&r);
	}
	/* a mistake leaves no session behind that would have to be removed */
	assert_int_equal(stat(session, &st), -1);
}

static void broken_files_are_named(void **state)
{
	(void)state;
	static const char words[] = "stages: {a: b, this is: no graph";
	const char *graph = testkit_path(dir, "broken.yaml"), *stream = testkit_path(dir, "stream");
	const char *session = testkit_path(dir, "broken");
	struct kit_result r;

	testkit_write(graph, words, sizeof words - 1);
	assert_int_equal(mkdir(stream, 0755), 0);
	testkit_write(testkit_path(stream, "000000.seg"), words, sizeof words - 1);
	assert_int_equal(mkdir(session, 0755), 0);
	testkit_write(testkit_path(session, "session.json"), words, sizeof words - 1);
	testkit_write(testkit_path(session, "metrics"), words, sizeof words - 1);

	PERRIN(&r, 2, "run", graph, "--source", "file:/dev/null?fps=no", "--session",
	       testkit_path(dir, "fresh"));
	kit_says(r.err, "fps");
	kit_free(&r);
	PERRIN(&r, 1, "info", graph);
	kit_says(r.err, graph);
	kit_free(&r);
	PERRIN(&r, 1, "verify", stream);
	kit_says(r.out, "BAD");
	kit_free(&r);
	PERRIN(&r, 1, "verify", stream, "--json");
	kit_says(r.out, "\"good\": false");
	kit_free(&r);
	PERRIN(&r, 1, "export", stream, "--format", "csv", "--out", "-");
	kit_says(r.err, stream);
	kit_free(&r);
	PERRIN(&r, 1, "info", session);
	kit_says(r.err, session);
	kit_free(&r);
	PERRIN(&r, 1, "top", session);
	kit_says(r.err, session);
	kit_free(&r);
	PERRIN(&r, 2, "verify", graph);
	kit_says(r.err, graph);
	kit_free(&r);
}

static void doctor_looks_around(void **state)
{
	(void)state;
	struct kit_result r;

	PERRIN(&r, 0, "doctor", "--dir", testkit_tempdir(), "--json");
	kit_says(r.out, "\"cores\": ");
	kit_says(r.out, "\"recording\": ");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_names_every_parameter),
		cmocka_unit_test(list_names_every_command),
		cmocka_unit_test(wrong_words_are_refused),
		cmocka_unit_test(missing_paths_are_named),
		cmocka_unit_test(broken_files_are_named),
		cmocka_unit_test(doctor_looks_around),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
