/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is written as extended XYZ reads back to the bit; files are whole or not there. */
#include "perrin/format/xyz.h"

#include "model_kit.h"
#include "perrin/base/rng.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "Properties=species:S:1:pos:R:3"

static double any_double(struct pn_rng *rng)
{
	double value;

	do {
		uint64_t bits = pn_rng_u64(rng);
		memcpy(&value, &bits, sizeof value);
	} while (!isfinite(value));
	return value;
}

static void fill_column(struct pn_model_column *column, size_t atoms, struct pn_rng *rng)
{
	for (size_t i = 0; i < atoms * (size_t)column->components; i++) {
		if (column->type == 'R')
			column->values[i] = i % 7 ? any_double(rng) : (double)NAN;
		else if (column->type == 'I')
			column->values[i] = i % 2 ? (double)(pn_rng_u64(rng) >> 11)
						  : 1 - (double)(pn_rng_u64(rng) >> 11);
		else if (column->type == 'L')
			column->values[i] = pn_rng_below(rng, 2);
		else
			snprintf(column->text[i], PN_MODEL_TEXT_MAX, "w\xc3\xa9-%u",
				 pn_rng_u32(rng));
	}
}

static struct pn_model *full_model(size_t atoms, uint64_t seed)
{
	struct pn_model_column *column;
	struct pn_model *model;
	struct pn_rng rng;

	pn_rng_init(&rng, 11, seed);
	assert_int_equal(pn_model_create(&model, atoms, NULL), PN_OK);
	for (size_t i = 0; i < atoms; i++) {
		model->element[i] = (uint8_t)(1 + i % 103);
		for (int k = 0; k < 3; k++)
			model->position_A[i][k] =
				i % 2 ? any_double(&rng) : 60 * pn_rng_uniform(&rng) - 30;
	}
	for (int c = 0; c < 12; c++) {
		char name[16];

		snprintf(name, sizeof name, "col_%d", c);
		assert_int_equal(
			pn_model_add_column(model, name, "RILS"[c % 4], 1 + c % 9, &column, NULL),
			PN_OK);
		fill_column(column, atoms, &rng);
	}
	model->has_cell = seed % 2;
	for (int i = 0; i < 9 && model->has_cell; i++)
		model->cell_A[i / 3][i % 3] = any_double(&rng);
	model->periodic[seed % 3] = 1;
	model->time_s = seed % 3 ? any_double(&rng) : (double)NAN;
	assert_int_equal(pn_model_set_comment(model, seed % 2 ? "a \"b\" \\ c=d" : NULL, NULL),
			 PN_OK);
	assert_int_equal(pn_model_add_pair(model, "key", "two \"words\" \\", NULL), PN_OK);
	assert_int_equal(pn_model_add_pair(model, "n", "-3.5", NULL), PN_OK);
	return model;
}

static void models_come_back_to_the_bit(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "back.xyz");
	struct pn_error err = { 0 };
	struct pn_xyz_writer *writer;

	assert_int_equal(pn_xyz_create(&writer, path, &err), PN_OK);
	for (uint64_t seed = 0; seed < 6; seed++) {
		struct pn_model *model = full_model(300 * (seed % 4), seed);

		assert_int_equal(pn_xyz_append(writer, model, &err), PN_OK);
		pn_model_destroy(model);
	}
	assert_int_equal(pn_xyz_finish(writer, &err), PN_OK);
	struct kit_models kit = kit_open(path);
	assert_int_equal(kit.frames, 6);
	for (uint64_t seed = 0; seed < 6; seed++) {
		struct pn_model *model = full_model(300 * (seed % 4), seed);

		kit_same_model(&kit.models[seed], model);
		pn_model_destroy(model);
	}
	/* what was read writes the same bytes */
	const char *twice = testkit_path(testkit_tempdir(), "twice.xyz");
	assert_int_equal(pn_xyz_write(twice, kit.models, kit.frames, &err), PN_OK);
	size_t size_a, size_b;
	char *a = testkit_read(path, &size_a), *b = testkit_read(twice, &size_b);
	assert_int_equal(size_a, size_b);
	assert_memory_equal(a, b, size_a);
	free(a);
	free(b);
	kit_free(&kit);
}

static void the_text_is_as_other_programs_want_it(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct pn_model_column *column;
	struct pn_model *model;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(pn_model_create(&model, 2, &err), PN_OK);
	model->element[0] = 78;
	model->position_A[0][0] = 0.1;
	model->position_A[1][2] = -1e-7;
	assert_int_equal(pn_model_add_column(model, "CN", 'I', 1, &column, &err), PN_OK);
	column->values[0] = 12;
	assert_int_equal(pn_model_add_column(model, "surface", 'L', 1, &column, &err), PN_OK);
	column->values[1] = 1;
	assert_int_equal(pn_model_add_pair(model, "particle", "4", &err), PN_OK);
	assert_int_equal(pn_xyz_put(out, model, &err), PN_OK);
	model->has_cell = 1;
	model->cell_A[0][0] = model->cell_A[1][1] = model->cell_A[2][2] = 3.912;
	model->periodic[2] = 1;
	model->time_s = 0.25;
	assert_int_equal(pn_model_set_comment(model, "docked", &err), PN_OK);
	assert_int_equal(pn_xyz_put(out, model, &err), PN_OK);
	fclose(out);
	assert_string_equal(text, "2\n" HEAD ":CN:I:1:surface:L:1 pbc=\"F F F\" particle=4\n"
				  "Pt 0.1 0 0 12 F\nX 0 0 -1e-07 0 T\n"
				  "2\n" HEAD
				  ":CN:I:1:surface:L:1 Lattice=\"3.912 0 0 0 3.912 0 0 0 3.912\""
				  " pbc=\"F F T\" Time=0.25 comment=\"docked\" particle=4\n"
				  "Pt 0.1 0 0 12 F\nX 0 0 -1e-07 0 T\n");
	free(text);
	pn_model_destroy(model);
}

static int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int count = -2; /* . and .. */

	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static void refuses_to_write(const struct pn_model *model, const char *words)
{
	static const char *dir;
	struct pn_error err = { 0 };
	size_t size;

	dir = dir ? dir : testkit_tempdir();
	const char *path = testkit_path(dir, "old.xyz");
	testkit_write(path, "old", 3);
	if (pn_xyz_write(path, model, 1, &err) != PN_EARG || !strstr(err.text, words) ||
	    !strstr(err.text, path))
		fail_msg("\"%s\", want \"%s\"", err.text, words);
	char *text = testkit_read(path, &size);
	assert_string_equal(text, "old");
	assert_int_equal(entries(dir), 1);
	free(text);
}

static void what_would_not_read_back(void **state)
{
	(void)state;
	struct pn_model *model;
	struct pn_model_column *c[4];

	assert_int_equal(pn_model_create(&model, 2, NULL), PN_OK);
	model->position_A[1][1] = (double)NAN;
	refuses_to_write(model, "atom 2 is at 0 nan 0 A");
	model->position_A[1][1] = 0;
	model->element[1] = 104;
	refuses_to_write(model, "atom 2: no element has the number 104");
	model->element[1] = 1;
	model->time_s = (double)INFINITY;
	refuses_to_write(model, "time inf s");
	model->time_s = 0;
	model->has_cell = 1;
	model->cell_A[1][0] = (double)NAN;
	refuses_to_write(model, "component 4 of the cell");
	model->has_cell = 0;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pn_model_add_column(model, (char[]){ (char)('a' + i), 0 },
						     "RILS"[i], 1, NULL, NULL),
				 PN_OK);
	for (int i = 0; i < 4; i++)
		c[i] = &model->columns[i];
	refuses_to_write(model, "column d, atom 1: \"\" is empty");
	strcpy(c[3]->text[0], "a b");
	refuses_to_write(model, "column d, atom 1: \"a b\"");
	memset(c[3]->text[0], 'x', PN_MODEL_TEXT_MAX);
	refuses_to_write(model, "column d, atom 1");
	strcpy(c[3]->text[0], "a");
	strcpy(c[3]->text[1], "a");
	c[2]->values[1] = 0.5;
	refuses_to_write(model, "column c, atom 2: 0.5 is no value of type L");
	c[2]->values[1] = 1;
	c[1]->values[0] = (double)NAN;
	refuses_to_write(model, "column b, atom 1");
	c[1]->values[0] = 9007199254740992.0;
	refuses_to_write(model, "column b, atom 1");
	c[1]->values[0] = 0;
	strcpy(c[0]->name, "a:b");
	refuses_to_write(model, "column \"a:b\" is no name");
	strcpy(c[0]->name, "b");
	refuses_to_write(model, "two columns are named b");
	strcpy(c[0]->name, "pos");
	refuses_to_write(model, "column pos is there already");
	pn_model_destroy(model);
}

static void files_are_whole_or_not_there(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "a.xyz");
	struct pn_error err = { 0 };
	struct pn_xyz_writer *writer;
	struct pn_model *model = full_model(2000, 1), *broken = full_model(3, 2);

	broken->position_A[2][0] = (double)NAN;
	assert_int_equal(pn_xyz_create(&writer, path, &err), PN_OK);
	assert_int_equal(pn_xyz_append(writer, model, &err), PN_OK);
	assert_int_equal(entries(dir), 1); /* a.xyz.part */
	assert_int_equal(pn_xyz_append(writer, broken, &err), PN_EARG);
	assert_non_null(strstr(err.text, "frame 2"));
	assert_int_equal(pn_xyz_append(writer, model, &err), PN_EIO);
	assert_int_equal(pn_xyz_finish(writer, &err), PN_EIO);
	assert_int_equal(entries(dir), 0);
	assert_int_equal(pn_xyz_create(&writer, path, &err), PN_OK);
	assert_int_equal(pn_xyz_finish(writer, &err), PN_EARG);
	assert_int_equal(pn_xyz_create(&writer, path, &err), PN_OK);
	assert_int_equal(pn_xyz_append(writer, model, &err), PN_OK);
	pn_xyz_abandon(writer);
	pn_xyz_abandon(NULL);
	assert_int_equal(entries(dir), 0);
	assert_int_equal(pn_xyz_write(path, model, 1, &err), PN_OK);
	assert_int_equal(entries(dir), 1);
	assert_int_equal(pn_xyz_write("/dev/full", model, 1, &err), PN_ENOSPC);
	assert_int_equal(pn_xyz_write("/dev/full", broken, 0, &err), PN_EARG);
	assert_int_equal(pn_xyz_write(testkit_path(dir, "no/a.xyz"), model, 1, &err), PN_ENOENT);
	assert_int_equal(entries(dir), 1);
	pn_model_destroy(model);
	pn_model_destroy(broken);
}

/* A link under the temporary name would lead the writer to a file that nobody named. */
static void links_are_not_written_through(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "a.xyz");
	const char *other = testkit_path(dir, "other"), *part = testkit_path(dir, "a.xyz.part");
	struct pn_error err = { 0 };
	struct pn_model *model = full_model(10, 1);
	size_t size;

	testkit_write(other, "precious", 8);
	assert_int_equal(symlink("other", part), 0);
	assert_true(pn_xyz_write(path, model, 1, &err) < 0);
	assert_non_null(strstr(err.text, "a.xyz.part"));
	char *text = testkit_read(other, &size);
	assert_string_equal(text, "precious");
	free(text);
	assert_int_equal(entries(dir), 2);
	assert_int_equal(unlink(part), 0);
	/* nor is a pipe waited for */
	assert_int_equal(mkfifo(part, 0600), 0);
	assert_true(pn_xyz_write(path, model, 1, &err) < 0);
	assert_int_equal(unlink(part), 0);
	/* what a writer that was cut off has left is */
	testkit_write(part, "left", 4);
	assert_int_equal(pn_xyz_write(path, model, 1, &err), PN_OK);
	assert_int_equal(entries(dir), 2);
	pn_model_destroy(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(models_come_back_to_the_bit),
		cmocka_unit_test(the_text_is_as_other_programs_want_it),
		cmocka_unit_test(what_would_not_read_back),
		cmocka_unit_test(files_are_whole_or_not_there),
		cmocka_unit_test(links_are_not_written_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
