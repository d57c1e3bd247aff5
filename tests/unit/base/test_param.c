/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One table serves flags, URI keys and help; every refusal names the parameter and the numbers. */
#include "perrin/base/param.h"

#include "testkit.h"

#include <stdlib.h>
#include <string.h>

struct values {
	int64_t count;
	double cutoff_A;
	int fast, mode;
	char path[PN_PARAM_TEXT_MAX];
	struct pn_param_list set;
};

static const char *const modes[] = { "every", "freshest", NULL };

static const struct pn_param table[] = {
	{ .name = "path", .help = "a path", .type = PN_PARAM_TEXT, .off = offsetof(struct values, path),
	  .positional = 1, .required = 1 },
	{ .name = "count", .help = "how many", .type = PN_PARAM_I64,
	  .off = offsetof(struct values, count), .def = 3, .min = 1, .max = 10 },
	{ .name = "cutoff_A", .unit = "A", .help = "cut-off", .type = PN_PARAM_F64,
	  .off = offsetof(struct values, cutoff_A), .def = 3.4, .min = 0.5, .max = 10 },
	{ .name = "fast", .help = "no dawdling", .type = PN_PARAM_BOOL,
	  .off = offsetof(struct values, fast) },
	{ .name = "mode", .help = "policy", .type = PN_PARAM_ENUM, .off = offsetof(struct values, mode),
	  .choices = modes },
	{ .name = "set", .help = "one setting", .type = PN_PARAM_LIST,
	  .off = offsetof(struct values, set) },
	{ 0 },
};

static void defaults_flags_and_words(void **state)
{
	(void)state;
	struct values v;
	struct pn_error err = { 0 };
	char *argv[] = { "--cutoff-A=2.5", "in.npy", "--fast", "--mode", "freshest", "more", "words" };
	char *extra[8];
	int extra_count;

	pn_params_default(table, &v);
	assert_int_equal(v.count, 3);
	assert_int_equal(pn_params_parse_argv(table, &v, 7, argv, extra, &extra_count, &err), PN_OK);
	assert_true(v.cutoff_A == 2.5 && v.fast == 1 && v.mode == 1);
	assert_string_equal(v.path, "in.npy");
	assert_int_equal(extra_count, 2);
	assert_string_equal(extra[1], "words");
	assert_int_equal(pn_params_parse_argv(table, &v, 7, argv, NULL, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "more"));
	assert_int_equal(pn_params_parse_argv(table, &v, 1, (char *[]){ "--help" }, NULL, NULL, &err),
			 PN_EEND);
}

static void refusals_name_the_parameter(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value, *says;
	} cases[] = {
		{ "cutoff_A", "0", "cutoff_A = 0: must be 0.5..10 A" },
		{ "cutoff_A", "nan", "not a number" },
		{ "cutoff_A", "3 A", "not a number" },
		{ "count", "3.5", "count = 3.5: not an integer" },
		{ "count", "99999999999999999999", "not an integer" },
		{ "mode", "newest", "must be one of every, freshest" },
		{ "fast", "maybe", "must be true or false" },
		{ "cutof", "1", "no parameter 'cutof'; there are: path, count, cutoff_A" },
	};
	struct values v;
	struct pn_error err = { 0 };

	pn_params_default(table, &v);
	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		assert_int_equal(pn_param_set(table, &v, cases[i].name, cases[i].value, &err), PN_EARG);
		assert_non_null(strstr(err.text, cases[i].says));
	}
	assert_int_equal(pn_params_parse_argv(table, &v, 0, NULL, NULL, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "path is missing"));
	assert_int_equal(pn_params_parse_argv(table, &v, 1, (char *[]){ "--count" }, NULL, NULL, &err),
			 PN_EARG);
}

static void query_of_a_uri(void **state)
{
	(void)state;
	struct values v;
	struct pn_error err = { 0 };

	pn_params_default(table, &v);
	assert_int_equal(pn_params_parse_query(table, &v, "count=7&path=a%20b%3D&mode=freshest", &err),
			 PN_OK);
	assert_int_equal(v.count, 7);
	assert_string_equal(v.path, "a b=");
	assert_int_equal(pn_params_parse_query(table, &v, "count", &err), PN_EARG);
	assert_int_equal(pn_params_parse_query(table, &v, "path=%zz", &err), PN_EARG);
	assert_int_equal(pn_params_parse_query(table, &v, "path=%-1", &err), PN_EARG);
	assert_int_equal(pn_params_parse_query(table, &v, "path=a%00b", &err), PN_EARG);
}

static void repeated_flags_keep_their_order(void **state)
{
	(void)state;
	struct values v;
	struct pn_error err = { 0 };
	char text[64], *argv[] = { "--set", "a.x=1", "in.npy", "--set=b.y=2" };

	memset(&v, 0xff, sizeof v);
	pn_params_default(table, &v);
	assert_int_equal(v.set.count, 0);
	assert_int_equal(pn_params_parse_argv(table, &v, 4, argv, NULL, NULL, &err), PN_OK);
	assert_int_equal(v.set.count, 2);
	assert_string_equal(v.set.items[0], "a.x=1");
	assert_string_equal(v.set.items[1], "b.y=2");
	const struct pn_param *row = pn_param_find(table, "set");
	assert_string_equal(pn_param_text(row, &v, text, sizeof text), "a.x=1 b.y=2");
	assert_string_equal(pn_param_text(row, &v, text, 4), "a.x");
	for (int i = 2; i < PN_PARAM_LIST_MAX; i++)
		assert_int_equal(pn_param_set(table, &v, "set", "c", &err), PN_OK);
	assert_int_equal(pn_param_set(table, &v, "set", "c", &err), PN_EARG);
	assert_int_equal(v.set.count, PN_PARAM_LIST_MAX);
	/* its words would be gone after the call */
	assert_int_equal(pn_params_parse_query(table, &v, "set=a.x%3D1", &err), PN_EARG);
	assert_non_null(strstr(err.text, "set"));
}

static void text_reads_back(void **state)
{
	(void)state;
	struct values v, w;
	struct pn_error err = { 0 };
	char text[PN_PARAM_TEXT_MAX];

	pn_params_default(table, &v);
	pn_params_default(table, &w);
	v.cutoff_A = 1.0 / 3 + 1;
	v.count = 9;
	v.mode = 1;
	strcpy(v.path, "x");
	for (const struct pn_param *row = table; row->type != PN_PARAM_LIST; row++)
		assert_int_equal(pn_param_set(table, &w, row->name,
					      pn_param_text(row, &v, text, sizeof text), &err),
				 PN_OK);
	assert_true(v.cutoff_A == w.cutoff_A && v.count == w.count && v.mode == w.mode);
}

static void groups_stand_for_their_rows(void **state)
{
	(void)state;
	struct stage {
		double own_px;
		struct values kernel;
	} stage;
	const struct pn_param rows[] = {
		{ .name = "own_px", .type = PN_PARAM_F64, .off = offsetof(struct stage, own_px), .def = 7 },
		{ .name = "kernel", .group = table + 1, .off = offsetof(struct stage, kernel) },
		{ 0 },
	};
	struct pn_param flat[PN_PARAM_ROWS_MAX];
	struct pn_error err = { 0 };

	pn_params_default(rows, &stage);
	assert_true(stage.own_px == 7 && stage.kernel.cutoff_A == 3.4);
	assert_int_equal(pn_param_set(rows, &stage, "cutoff-A", "5", &err), PN_OK);
	assert_true(stage.kernel.cutoff_A == 5 && stage.own_px == 7);
	assert_int_equal(pn_params_flatten(rows, flat, PN_COUNT(flat)), 6);
	assert_string_equal(flat[2].name, "cutoff_A");
	assert_int_equal(flat[2].off, offsetof(struct stage, kernel.cutoff_A));
	assert_null(flat[6].name);
	assert_int_equal(pn_param_set(rows, &stage, "kernel", "5", &err), PN_EARG);
	assert_non_null(strstr(err.text, "own_px, count"));

	/* a group's rows are flags, places and duties like the table's own */
	const struct pn_param whole[] = {
		{ .name = "own_px", .type = PN_PARAM_F64, .off = offsetof(struct stage, own_px) },
		{ .name = "kernel", .group = table, .off = offsetof(struct stage, kernel) },
		{ 0 },
	};
	char *argv[] = { "--count", "4", "in.npy", "--own-px=2" };

	pn_params_default(whole, &stage);
	assert_int_equal(pn_params_parse_argv(whole, &stage, 4, argv, NULL, NULL, &err), PN_OK);
	assert_true(stage.own_px == 2 && stage.kernel.count == 4);
	assert_string_equal(stage.kernel.path, "in.npy");
	assert_int_equal(pn_params_parse_argv(whole, &stage, 2, argv, NULL, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "path is missing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_flags_and_words),
		cmocka_unit_test(refusals_name_the_parameter),
		cmocka_unit_test(query_of_a_uri),
		cmocka_unit_test(repeated_flags_keep_their_order),
		cmocka_unit_test(text_reads_back),
		cmocka_unit_test(groups_stand_for_their_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
