/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Models hold what they are given, refuse what no file could hold, and open by extension. */
#include "perrin/format/model.h"

#include "model_kit.h"

static void a_new_model_is_empty(void **state)
{
	(void)state;
	struct pn_error err;
	struct pn_model *model;

	for (size_t count = 0; count < 4; count++) {
		assert_int_equal(pn_model_create(&model, count, &err), PN_OK);
		assert_int_equal(model->count, count);
		assert_non_null(model->position_A);
		assert_non_null(model->element);
		for (size_t i = 0; i < count; i++)
			assert_true(model->element[i] == 0 && model->position_A[i][2] == 0);
		assert_true(isnan(model->time_s));
		assert_true(!model->columns_count && !model->has_cell && !model->comment &&
			    !model->pairs);
		pn_model_destroy(model);
	}
	pn_model_destroy(NULL);
	pn_models_free(NULL, 3);
}

static void no_memory_is_told(void **state)
{
	(void)state;
	static const size_t counts[] = { SIZE_MAX, SIZE_MAX / 24, SIZE_MAX / 2, SIZE_MAX / 25 };
	struct pn_model *model = (void *)&model;

	for (size_t i = 0; i < PN_COUNT(counts); i++) {
		struct pn_error err = { 0 };

		assert_int_equal(pn_model_create(&model, counts[i], &err), PN_ENOMEM);
		assert_int_equal(err.code, PN_ENOMEM);
		assert_null(model);
	}
}

static void columns_are_found_by_name(void **state)
{
	(void)state;
	static const char types[] = "RILS";
	struct pn_error err;
	struct pn_model_column *column;
	struct pn_model *model;

	assert_int_equal(pn_model_create(&model, 5, &err), PN_OK);
	for (int i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof name, "q_%d", i);
		assert_int_equal(
			pn_model_add_column(model, name, types[i % 4], 1 + i % 9, &column, &err),
			PN_OK);
		assert_ptr_equal(pn_model_find_column(model, name), column);
		assert_int_equal(!column->values, types[i % 4] == 'S');
		assert_int_equal(!column->text, types[i % 4] != 'S');
		size_t last = 5 * (size_t)column->components - 1;
		if (column->values)
			column->values[last] = i;
		else
			memset(column->text[last], 'x', PN_MODEL_TEXT_MAX - 1);
	}
	assert_int_equal(model->columns_count, 40);
	column = pn_model_find_column(model, "q_17");
	assert_true(column->values[5 * (size_t)column->components - 1] == 17);
	assert_null(pn_model_find_column(model, "q_40"));
	assert_null(pn_model_find_column(model, ""));
	pn_model_destroy(model);
}

static void columns_no_file_could_hold(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		char type;
		int components, code;
	} bad[] = {
		{ "", 'R', 1, PN_EARG },
		{ "a b", 'R', 1, PN_EARG },
		{ "a:b", 'R', 1, PN_EARG },
		{ "q\xc3\xa9", 'R', 1, PN_EARG },
		{ "q", 'X', 1, PN_EARG },
		{ "q", 0, 1, PN_EARG },
		{ "q", 'R', 0, PN_EARG },
		{ "q", 'R', 10, PN_EARG },
		{ "pos", 'R', 3, PN_EEXIST },
		{ "species", 'S', 1, PN_EEXIST },
		{ "there", 'I', 1, PN_EEXIST },
		{ "x234567890123456789012345678901234567890123456789012345678901234", 'R', 1,
		  PN_EARG },
	};
	struct pn_error err;
	struct pn_model *model;
	char name[16];

	assert_int_equal(pn_model_create(&model, 0, &err), PN_OK);
	assert_int_equal(pn_model_add_column(model, "there", 'R', 1, NULL, &err), PN_OK);
	for (size_t i = 0; i < PN_COUNT(bad); i++)
		assert_int_equal(pn_model_add_column(model, bad[i].name, bad[i].type,
						     bad[i].components, NULL, &err),
				 bad[i].code);
	assert_int_equal(model->columns_count, 1);
	for (int i = 1; i < PN_MODEL_COLUMNS_MAX; i++) {
		snprintf(name, sizeof name, "c%d", i);
		assert_int_equal(pn_model_add_column(model, name, 'R', 1, NULL, &err), PN_OK);
	}
	assert_int_equal(pn_model_add_column(model, "more", 'R', 1, NULL, &err), PN_EARG);
	pn_model_destroy(model);
}

static void pairs_come_back(void **state)
{
	(void)state;
	static const char *const values[] = {
		"1",     "two words", "",     "say \"it\"", "back\\slash", "two \\",
		"[1,2]", "a=b",       "it's", "{",          "\\\"",
	};
	static const char *const bad[] = {
		"", "a b", "a=", "Lattice", "Properties", "pbc", "Time", "comment",
	};
	char key[8], value[32];
	struct pn_error err;
	struct pn_model *model;

	assert_int_equal(pn_model_create(&model, 1, &err), PN_OK);
	assert_int_equal(pn_model_pair(model, "k0", value, sizeof value), PN_ENOENT);
	for (size_t i = 0; i < PN_COUNT(values); i++) {
		snprintf(key, sizeof key, "k%zu", i);
		assert_int_equal(pn_model_add_pair(model, key, values[i], &err), PN_OK);
	}
	for (size_t i = 0; i < PN_COUNT(values); i++) {
		snprintf(key, sizeof key, "k%zu", i);
		assert_int_equal(pn_model_pair(model, key, value, sizeof value), PN_OK);
		assert_string_equal(value, values[i]);
	}
	assert_int_equal(pn_model_pair(model, "k1", value, 9), PN_EARG);
	assert_int_equal(pn_model_pair(model, "k1", value, 10), PN_OK);
	assert_int_equal(pn_model_add_pair(model, "k3", "again", &err), PN_EEXIST);
	assert_int_equal(pn_model_add_pair(model, "line", "a\nb", &err), PN_EARG);
	for (size_t i = 0; i < PN_COUNT(bad); i++)
		assert_int_equal(pn_model_add_pair(model, bad[i], "1", &err), PN_EARG);
	assert_int_equal(pn_model_set_comment(model, "one line", &err), PN_OK);
	assert_int_equal(pn_model_set_comment(model, "two\rlines", &err), PN_EARG);
	assert_string_equal(model->comment, "one line");
	assert_int_equal(pn_model_set_comment(model, "", &err), PN_OK);
	assert_null(model->comment);
	pn_model_destroy(model);
}

static void the_extension_tells_the_format(void **state)
{
	(void)state;
	static const char xyz[] = "1\n\nPt 1 2 3\n";
	static const char pdb[] = "ATOM      1 PT                "
				  "   1.000   2.000   3.000  1.00  0.50          PT\n";
	static const char *const names[] = { "a.xyz", "a.XYZ", "a.b.ExtXYZ",
					     "a.pdb", "a.PDB", "a.ent" };

	for (size_t i = 0; i < PN_COUNT(names); i++) {
		struct kit_models kit = kit_text(names[i], i < 3 ? xyz : pdb);

		assert_int_equal(kit.frames, 1);
		assert_int_equal(kit.models->count, 1);
		assert_int_equal(kit.models->element[0], 78);
		assert_true(kit.models->position_A[0][1] == 2);
		kit_free(&kit);
	}
	kit_refuses(kit_file("a.cif", xyz), PN_EUNSUPPORTED, ".xyz, .extxyz, .pdb and .ent");
	kit_refuses(kit_file("xyz", xyz), PN_EUNSUPPORTED, "models are read from");
	kit_refuses(testkit_path(testkit_tempdir(), "none.xyz"), PN_ENOENT, "No such file");
	kit_refuses(testkit_path(testkit_tempdir(), "none.pdb"), PN_ENOENT, "No such file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_model_is_empty),
		cmocka_unit_test(no_memory_is_told),
		cmocka_unit_test(columns_are_found_by_name),
		cmocka_unit_test(columns_no_file_could_hold),
		cmocka_unit_test(pairs_come_back),
		cmocka_unit_test(the_extension_tells_the_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
