/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `perrin atoms` and `perrin compare`: files in, tables, trajectory and page out. */
#include "kit.h"

#include "perrin/format/model.h"
#include "perrin/format/stack.h"
#include "perrin/format/xyz.h"
#include "perrin/twin/specimen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *dir;

/* A truncated octahedron of Pd under Pt, some atoms gone, shaken; written as extended XYZ. */
static const char *write_model(const char *name, size_t gone, double time_s, uint64_t seed)
{
	const char *path = testkit_path(dir, name);
	struct pn_specimen_params params;
	struct pn_specimen *spec;
	struct pn_model *model = NULL;
	struct pn_error err = { 0 };

	pn_params_default(pn_specimen_param_table, &params);
	params.shape = PN_SHAPE_TRUNCATED_OCTAHEDRON;
	snprintf(params.element, sizeof params.element, "Pd");
	snprintf(params.shell_element, sizeof params.shell_element, "Pt");
	params.shell_nm = 0.3;
	params.diameter_nm = 2.4;
	params.thermal_A = 0.1;
	if (pn_specimen_create(&spec, &params, seed, &err) ||
	    pn_model_create(&model, spec->count - gone, &err))
		fail_msg("%s", err.text);
	memcpy(model->position_A, spec->position_A + gone,
	       model->count * sizeof *model->position_A);
	memcpy(model->element, spec->atomic_number + gone, model->count);
	model->time_s = time_s;
	if (pn_xyz_write(path, model, 1, &err))
		fail_msg("%s", err.text);
	pn_model_destroy(model);
	pn_specimen_destroy(spec);
	return path;
}

static size_t lines_of(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static char *read_file(const char *folder, const char *name)
{
	size_t count;

	return testkit_read(testkit_path(folder, name), &count);
}

/* ---- atoms --------------------------------------------------------------------------------- */

static void one_model_in_every_form(void **state)
{
	const char *model = write_model("one.xyz", 3, 1.5, 1), *csv = testkit_path(dir, "one.csv");
	const char *xyz = testkit_path(dir, "out.xyz"), *cif = testkit_path(dir, "out.cif");
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "atoms", model, "--csv", csv, "--xyz", xyz, "--cif", cif);
	kit_says(r.out, "number of atoms");
	kit_says(r.out, "alpha Pd-Pt");
	size_t atoms = (size_t)atoi(kit_word(r.out, "atoms", 1));
	kit_free(&r);
	assert_true(atoms > 300);
	char *text = read_file(dir, "one.csv");
	assert_int_equal(lines_of(text), atoms + 1);
	assert_memory_equal(text, "id,element,x_A,y_A,z_A,cn,csp,csp12,q4,q6,", 42);
	kit_says(text, ",alpha_Pt\n");
	free(text);
	text = read_file(dir, "out.cif");
	kit_says(text, "_atom_site_fract_x");
	free(text);
	/* what it wrote it can read, and finds the same in it */
	struct kit_result first, again;
	PERRIN(&first, 0, "atoms", model, "--json");
	PERRIN(&again, 0, "atoms", xyz, "--json");
	assert_string_equal(strstr(first.out, "\"figures\""), strstr(again.out, "\"figures\""));
	kit_says(first.out, "\"short_range_order\"");
	kit_free(&first);
	kit_free(&again);
}

static void threads_print_the_same(void **state)
{
	const char *model = write_model("threads.xyz", 0, NAN, 2);
	struct kit_result one, two;

	(void)state;
	PERRIN(&one, 0, "atoms", model, "--json", "--threads", "1");
	PERRIN(&two, 0, "atoms", model, "--json", "--threads", "2");
	assert_string_equal(one.out, two.out);
	kit_free(&one);
	kit_free(&two);
}

static void bad_models_are_named(void **state)
{
	static const struct {
		const char *name, *text, *says;
	} cases[] = {
		{ "empty.xyz", "", "empty.xyz" },
		{ "none.xyz", "0\n\n", "no atoms" },
		{ "one.xyz", "1\n\nPt 0 0 0\n", "give the cut-off" },
		{ "unknown.xyz", "2\n\nPt 0 0 0\nXq 1 1 1\n", "Xq" },
		{ "nan.xyz", "2\n\nPt 0 0 0\nPt 1 nan 1\n", "line 4" },
		{ "short.xyz", "10000000\n\nPt 0 0 0\n", "10000000" },
		{ "columns.xyz", "1\n\nPt 0 0\n", "line 3" },
		{ "far.xyz", "2\n\nPt 0 0 0\nPt 1e9 0 0\n", "atom 2" },
		{ "none.pdb", "REMARK nothing\nEND\n", "none.pdb" },
		{ "model.dat", "1\n\nPt 0 0 0\n", "model.dat" },
	};

	(void)state;
	for (size_t k = 0; k < PN_COUNT(cases); k++) {
		const char *path = testkit_path(dir, cases[k].name);
		struct kit_result r;

		testkit_write(path, cases[k].text, strlen(cases[k].text));
		kit_run(&r, (const char *const[]){ "atoms", path, NULL });
		assert_true(r.code == 1 || r.code == 2);
		kit_says(r.err, cases[k].says);
		kit_says(r.err, cases[k].name);
		assert_string_equal(r.out, "");
		kit_free(&r);
	}
	struct kit_result r;
	const char *model = write_model("good.xyz", 0, NAN, 3);

	PERRIN(&r, 2, "atoms", model, "--frame", "2");
	kit_says(r.err, "frame 2 of 1");
	kit_free(&r);
	PERRIN(&r, 2, "atoms", model, "--active", "Xq");
	kit_says(r.err, "'Xq' is no element");
	kit_free(&r);
	PERRIN(&r, 1, "atoms", testkit_path(dir, "missing.xyz"));
	kit_says(r.err, "missing.xyz");
	kit_free(&r);
}

/* Mixed line endings, tabs, Fortran's D, blank lines at the end: the same model. */
static void untidy_files_are_read(void **state)
{
	static const char text[] = "4\r\ncomment\nPt\t0.0D+00 0 0\r\nPt 2.8 0 0  \n"
				   "pt 0 2.8 0\r78 0 0 2.8D0\n\n\n";
	const char *path = testkit_path(dir, "untidy.xyz");
	struct kit_result r;

	(void)state;
	testkit_write(path, text, sizeof text - 1);
	PERRIN(&r, 0, "atoms", path);
	assert_string_equal(kit_word(r.out, "atoms", 1), "4");
	kit_free(&r);
}

/* ---- compare ------------------------------------------------------------------------------- */

static void two_models_make_a_folder(void **state)
{
	static const char *const files[] = {
		"report.html",   "summary.json", "models.csv",     "atoms_1.csv", "atoms_2.csv",
		"pairs_1_2.csv", "fates.csv",    "changes.csv",    "shells.csv",  "layers.csv",
		"regions.csv",   "rdf.csv",      "trajectory.xyz",
	};
	const char *first = write_model("a.xyz", 0, 1, 4), *second = write_model("b.xyz", 12, 5, 5);
	const char *out = testkit_path(dir, "compared");
	struct kit_result r;
	struct stat status;
	struct pn_model *frames;
	struct pn_error err = { 0 };
	size_t count;

	(void)state;
	PERRIN(&r, 0, "compare", first, second, "--out", out);
	kit_says(r.out, "12 disappeared, 0 new");
	kit_says(r.out, "etch rate    3.000 atoms/s");
	kit_free(&r);
	for (size_t k = 0; k < PN_COUNT(files); k++) {
		char path[4096];

		snprintf(path, sizeof path, "%s/%s", out, files[k]);
		assert_int_equal(stat(path, &status), 0);
		assert_true(status.st_size > 100);
	}
	if (pn_model_open(&frames, &count, testkit_path(out, "trajectory.xyz"), &err))
		fail_msg("%s", err.text);
	assert_int_equal(count, 2);
	assert_true(frames[0].time_s == 1 && frames[1].time_s == 5);
	assert_int_equal(frames[0].count, frames[1].count + 12);
	const struct pn_model_column *fate = pn_model_find_column(&frames[0], "fate");
	const struct pn_model_column *id = pn_model_find_column(&frames[1], "id");
	size_t gone = 0;
	for (size_t i = 0; i < frames[0].count; i++)
		gone += fate->values[i] == 3;
	assert_int_equal(gone, 12);
	assert_true(id->values[0] >= 1);
	assert_non_null(pn_model_find_column(&frames[0], "Q6_noself"));
	pn_models_free(frames, count);
	char *page = read_file(out, "report.html");
	kit_says(page, "What became of the atoms");
	assert_null(strstr(page, "src=\"http"));
	assert_null(strstr(page, "href=\"http"));
	free(page);
	/* the same bytes again */
	char *before = read_file(out, "summary.json");
	PERRIN(&r, 0, "compare", first, second, "--out", out, "--threads", "2");
	kit_free(&r);
	char *after = read_file(out, "summary.json");
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void several_particles_have_a_mean(void **state)
{
	const char *out = testkit_path(dir, "group"), *list = testkit_path(dir, "list.csv");
	static const char text[] = "particle,time_s,model\nA,0,p1.xyz\nA,9,p2.xyz\n"
				   "# the other one\nB,0,p3.xyz\r\nB,9,p4.xyz\n";
	struct kit_result r;

	(void)state;
	write_model("p1.xyz", 0, NAN, 6);
	write_model("p2.xyz", 8, NAN, 7);
	write_model("p3.xyz", 2, NAN, 8);
	write_model("p4.xyz", 12, NAN, 9);
	testkit_write(list, text, sizeof text - 1);
	PERRIN(&r, 0, "compare", "--particles", list, "--out", out);
	kit_free(&r);
	char *means = read_file(out, "particles.csv");
	kit_says(means, "2,9,atoms,\"\",");
	/* 8 and 12 gone of the same number: the mean is 10 less, s.d. sqrt 8 */
	kit_says(means, ",2.8284271247461903,2\n");
	free(means);
	free(read_file(testkit_path(out, "A"), "report.html"));
	free(read_file(testkit_path(out, "B"), "trajectory.xyz"));
	free(read_file(out, "report.html"));
}

/* Two maps, the second one voxel further along x: correlation of the whole, and its peak. */
static void maps_are_correlated(void **state)
{
	enum { N = 24 };
	const char *first = write_model("m1.xyz", 0, 0, 10), *out = testkit_path(dir, "maps");
	const char *second = write_model("m2.xyz", 5, 1, 11);
	const char *maps[2] = { testkit_path(dir, "m1.mrc"), testkit_path(dir, "m2.mrc") };
	struct pn_stack_info info = { PN_F32, N, N, N, 50, "mrc" };
	struct kit_result r;

	(void)state;
	for (int m = 0; m < 2; m++) {
		struct pn_stack_writer *writer;
		struct pn_error err = { 0 };
		float plane[N * N];

		if (pn_stack_create(&writer, maps[m], &info, &err))
			fail_msg("%s", err.text);
		for (int z = 0; z < N; z++) {
			for (int i = 0; i < N * N; i++) {
				double x = i % N - N / 2 - m, y = i / N - N / 2, w = z - N / 2;

				plane[i] = (float)exp(-(x * x + y * y + w * w) / 8);
			}
			assert_int_equal(pn_stack_write(writer, plane, &err), 0);
		}
		assert_int_equal(pn_stack_finish(writer, &err), 0);
	}
	PERRIN(&r, 0, "compare", first, second, "--map", maps[0], "--map", maps[1], "--out", out,
	       "--json");
	kit_says(r.out, "\"map_correlation\"");
	kit_free(&r);
	char *curves = read_file(out, "map_correlation_1_2.csv");
	assert_int_equal(lines_of(curves), 202);
	free(curves);
	free(read_file(out, "map_correlation_local_1_2.mrc"));
	PERRIN(&r, 2, "compare", first, second, "--map", maps[0], "--out", out);
	kit_says(r.err, "1 maps for 2 models");
	kit_free(&r);
}

static void wrong_words_are_told(void **state)
{
	const char *model = write_model("w.xyz", 0, NAN, 12), *out = testkit_path(dir, "wrong");
	const char *list = testkit_path(dir, "bad.csv");
	static const struct {
		const char *text, *says;
	} lists[] = {
		{ "", "names no models" },
		{ "A,0\n", "line 1" },
		{ "A,zero,w.xyz\n", "'zero' is no number" },
		{ "../A,0,w.xyz\n", "no '/'" },
		{ "A,0,w.xyz\nB,0,w.xyz\nB,1,w.xyz\n", "same stages" },
		{ "A,0,none.xyz\n", "none.xyz" },
	};
	struct kit_result r;

	(void)state;
	PERRIN(&r, 2, "compare", "--out", out);
	kit_says(r.err, "no models");
	kit_free(&r);
	PERRIN(&r, 2, "compare", model, model, "--times", "1", "--out", out);
	kit_says(r.err, "1 times for 2 models");
	kit_free(&r);
	PERRIN(&r, 2, "compare", model, model, "--times", "1,two", "--out", out);
	kit_says(r.err, "numbers with commas");
	kit_free(&r);
	PERRIN(&r, 2, "compare", model, model, "--times", "5,3", "--out", out);
	kit_says(r.err, "model 2 is of 3 s");
	kit_free(&r);
	PERRIN(&r, 1, "compare", model, model, "--out", model);
	kit_says(r.err, "is no folder");
	kit_free(&r);
	for (size_t k = 0; k < PN_COUNT(lists); k++) {
		testkit_write(list, lists[k].text, strlen(lists[k].text));
		kit_run(&r, (const char *const[]){ "compare", "--particles", list, "--out", out,
						   NULL });
		assert_true(r.code == 1 || r.code == 2);
		kit_says(r.err, lists[k].says);
		kit_free(&r);
	}
}

static int set_up(void **state)
{
	(void)state;
	dir = testkit_tempdir();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_model_in_every_form),
		cmocka_unit_test(threads_print_the_same),
		cmocka_unit_test(bad_models_are_named),
		cmocka_unit_test(untidy_files_are_read),
		cmocka_unit_test(two_models_make_a_folder),
		cmocka_unit_test(several_particles_have_a_mean),
		cmocka_unit_test(maps_are_correlated),
		cmocka_unit_test(wrong_words_are_told),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
