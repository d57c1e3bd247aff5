/* SPDX-License-Identifier: GPL-3.0-or-later */
/* XYZ is read whatever its line ends and columns, comes back to the bit, and is refused with a
 * line. */
#include "perrin/format/xyz.h"

#include "model_kit.h"

#include <sys/resource.h>
#include <time.h>

static void plain_files(void **state)
{
	(void)state;
	struct kit_models kit = kit_text("plain.xyz", "3\n FePt, \"raw\" it's = A \t\n"
						      "Pt 1 -2.5 3e2 0.25 7\n"
						      "fe\t.5 +1.0D+01 -0\t nan -inf  \n"
						      "46 1.d-1 2E0 3.0 1 2\n");
	const struct pn_model *model = kit.models;

	assert_int_equal(model->count, 3);
	assert_int_equal(model->element[0], 78);
	assert_int_equal(model->element[1], 26);
	assert_int_equal(model->element[2], 46);
	assert_string_equal(model->comment, " FePt, \"raw\" it's = A");
	assert_null(model->pairs);
	assert_true(isnan(model->time_s) && !model->has_cell && !model->periodic[0]);
	assert_true(model->position_A[0][1] == -2.5 && model->position_A[0][2] == 300);
	assert_true(model->position_A[1][1] == 10 && signbit(model->position_A[1][2]));
	assert_true(model->position_A[2][0] == 0.1);
	assert_int_equal(model->columns_count, 2);
	assert_string_equal(model->columns[0].name, "extra1");
	assert_string_equal(model->columns[1].name, "extra2");
	assert_true(isnan(model->columns[0].values[1]));
	assert_true(model->columns[1].values[1] == -(double)INFINITY);
	assert_true(model->columns[1].values[0] == 7);
	kit_free(&kit);
}

static void extended_files(void **state)
{
	(void)state;
	struct kit_models kit = kit_text(
		"ext.xyz",
		"2\nfoo = bar  Lattice=\"1 0 0 0 2 0 1e-1 0 3.5\" word "
		"Properties=id:I:1:pos:R:3:move:L:3:species:S:1:tag:S:2:q6:R:1 "
		"Time=2.5e-3 name='two words' _J=[[1, 2], [3, 4]] comment=\"say \\\"Pt\\\"\" e=\n"
		"7 1 2 3 T F true Pt a b 0.5\n-0 4 5 6 False 1 0 au "
		"long-word-of-thirty-one-bytes-x "
		"d nan");
	const struct pn_model *model = kit.models;
	char value[32];

	assert_int_equal(model->count, 2);
	assert_int_equal(model->element[1], 79);
	assert_true(model->position_A[1][2] == 6);
	assert_int_equal(model->has_cell, 1);
	assert_true(model->cell_A[1][1] == 2 && model->cell_A[2][0] == 0.1);
	assert_true(model->periodic[0] && model->periodic[1] && model->periodic[2]);
	assert_true(model->time_s == 2.5e-3);
	assert_string_equal(model->comment, "say \"Pt\"");
	assert_string_equal(model->pairs,
			    "foo=bar word name='two words' _J=[[1, 2], [3, 4]] e=\"\"");
	assert_int_equal(pn_model_pair(model, "name", value, sizeof value), PN_OK);
	assert_string_equal(value, "two words");
	assert_int_equal(pn_model_pair(model, "word", value, sizeof value), PN_ENOENT);
	assert_int_equal(model->columns_count, 4);
	const struct pn_model_column *id = pn_model_find_column(model, "id");
	assert_true(id->type == 'I' && id->values[0] == 7 && !signbit(id->values[1]));
	const struct pn_model_column *move = pn_model_find_column(model, "move");
	static const double moves[] = { 1, 0, 1, 0, 1, 0 };
	assert_int_equal(move->components, 3);
	assert_memory_equal(move->values, moves, sizeof moves);
	assert_string_equal(pn_model_find_column(model, "tag")->text[2],
			    "long-word-of-thirty-one-bytes-x");
	assert_true(isnan(pn_model_find_column(model, "q6")->values[1]));
	kit_free(&kit);
	/* an empty value, as ASE writes it, takes nothing from the pair behind it */
	kit = kit_text("empty.xyz",
		       "1\nLattice=\"1 0 0 0 1 0 0 0 1\" Properties=species:S:1:pos:R:3"
		       " note= a=b Time=\t3 none= pbc=\"T T F\"\nPt 1 2 3\n");
	assert_true(kit.models->periodic[1] && !kit.models->periodic[2]);
	assert_true(kit.models->time_s == 3);
	assert_string_equal(kit.models->pairs, "note=\"\" a=b none=\"\"");
	kit_free(&kit);
	/* keys may be quoted; as a plain file this would be a hydrogen at 2 3 78 */
	kit = kit_text("quoted.xyz", "1\n\"Properties\"=pos:R:3:species:I:1 'Time'=2 \"a\"=3\n"
				     "1 2 3 78\n");
	assert_int_equal(kit.models->element[0], 78);
	assert_true(kit.models->position_A[0][2] == 3 && kit.models->time_s == 2);
	assert_string_equal(kit.models->pairs, "\"a\"=3");
	assert_int_equal(pn_model_pair(kit.models, "a", value, sizeof value), PN_OK);
	assert_string_equal(value, "3");
	kit_free(&kit);
	kit = kit_text("pbc.xyz", "1\nLattice=\"1 0 0 0 1 0 0 0 1\" pbc=\"T F 1\"\nH 0 0 0\n");
	assert_true(kit.models->periodic[0] && !kit.models->periodic[1] && kit.models->periodic[2]);
	assert_true(kit.models->cell_A[2][2] == 1 && !kit.models->columns_count);
	kit_free(&kit);
}

/* The same three frames, whatever ends their lines. */
static void line_ends_of_all_kinds(void **state)
{
	(void)state;
	/* mixed in this order; LF after CR would be one end */
	static const char *const ends[] = { "\n", "\r", "\r\n" };
	static const char text[] =
		"1@c@Pt 1 2 3@1 @Properties=species:S:1:pos:R:3 Time=1@\tAu  4 5 "
		"6\t @0@@@@ @2@@H 0 0 0@ He 7 8 9";

	for (int mix = 0; mix < 4; mix++)
		for (int tail = 0; tail < 3; tail++) {
			char bytes[256];
			size_t n = 0, line = 0;

			if (mix == 3)
				n += (size_t)sprintf(bytes, "\xef\xbb\xbf");
			for (const char *p = text; *p; p++)
				if (*p == '@')
					n += (size_t)sprintf(bytes + n, "%s",
							     ends[mix < 3 ? mix : line++ % 3]);
				else
					bytes[n++] = *p;
			for (int i = 0; i < tail; i++)
				n += (size_t)sprintf(bytes + n, "%s", ends[mix % 3]);
			bytes[n] = 0;
			struct kit_models kit = kit_text("ends.xyz", bytes);
			assert_int_equal(kit.frames, 4);
			assert_string_equal(kit.models[0].comment, "c");
			assert_true(kit.models[1].time_s == 1);
			assert_int_equal(kit.models[1].element[0], 79);
			assert_true(kit.models[1].position_A[0][2] == 6);
			assert_int_equal(kit.models[2].count, 0);
			assert_null(kit.models[3].comment);
			assert_true(kit.models[3].position_A[1][2] == 9);
			kit_free(&kit);
		}
}

#define HEAD "Properties=species:S:1:pos:R:3"
static const struct {
	const char *text, *words;
} refused[] = {
	{ "", "no frame" },
	{ "\n \r\n", "no frame" },
	{ "two\n\nPt 1 2 3\n", "line 1: \"two\" is not a number of atoms" },
	{ "-1\n\nPt 1 2 3\n", "line 1: \"-1\" is not a number of atoms" },
	{ "1.5\n\nPt 1 2 3\n", "line 1: \"1.5\" is not a number of atoms" },
	{ "1 1\n\nPt 1 2 3\n", "line 1: \"1 1\" is not" },
	{ "99999999999999999999\n\nPt 1 2 3\n", "are too many" },
	{ "1", "line 1: the file ends after the number of atoms" },
	{ "1\n", "line 2: 1 atoms of 4 columns are announced, but only 0 bytes" },
	{ "10000000\n\nPt 1 2 3\n",
	  "line 3: 10000000 atoms of 4 columns are announced, but only 9 bytes" },
	{ "2\n\nPt 1 2 3\n", "line 3: 2 atoms of 4 columns are announced" },
	{ "18446744073709551615\n\nPt 1 2 3\n", "are announced" },
	{ "2\n\nPt 1 2 3.00000000\n", "line 4: the file ends after 1 of 2 atoms" },
	{ "1\n\nXx 1 2 3\n", "line 3: unknown element \"Xx\"" },
	{ "1\n\nX 1 2 3\n", "unknown element \"X\"" },
	{ "1\n\nPlatinum 1 2 3\n", "unknown element \"Platinum\"" },
	{ "1\n\n0 1 2 3\n", "unknown element \"0\"" },
	{ "1\n\n104 1 2 3\n", "unknown element \"104\"" },
	{ "1\n\n99999999999999 1 2 3\n", "unknown element" },
	{ "1\n\n7a 1 2 3\n", "unknown element \"7a\"" },
	{ "1\n\nPt 1 nan 3\n", "line 3: coordinate \"nan\" is not a finite number" },
	{ "1\n\nPt 1 2 -inf\n", "coordinate \"-inf\"" },
	{ "1\n\nPt 1 2 1e999\n", "coordinate \"1e999\"" },
	{ "1\n\nPt 1 2 3x\n", "coordinate \"3x\"" },
	{ "1\n\nPt 1 2 0x3\n", "coordinate \"0x3\"" },
	{ "1\n\nPt 1,5 2 3\n", "coordinate \"1,5\"" },
	{ "1\n\nPt 1 2 3 four\n", "column extra1: \"four\" is not a number" },
	{ "2\n\nPt 1 2 3 4\nPt 1 2 3\n", "line 4: has 4 columns, an atom of this frame has 5" },
	{ "2\n\nPt 1 2 3\nPt 1 2 3 4\n", "line 4: has 5 columns, an atom of this frame has 4" },
	{ "2\n\nPt 1 2 3\n\nPt 1 2 3\n", "line 4: has 0 columns" },
	{ "1\n" HEAD ":q:R:2\nPt 1 2     \n", "line 3: has 3 columns, Properties asks for 6" },
	{ "1\n" HEAD ":q:I:1\nPt 1 2 3 4.5\n", "column q: \"4.5\" is not a whole number" },
	{ "1\n" HEAD ":q:I:1\nPt 1 2 3 4.0\n", "column q: \"4.0\" is not a whole number" },
	{ "1\n" HEAD ":q:I:1\nPt 1 2 3 nan\n", "column q: \"nan\" is not a whole number" },
	{ "1\n" HEAD ":q:I:1\nPt 1 2 3 9007199254740993\n", "is not a whole number below 2^53" },
	{ "1\n" HEAD ":q:L:1\nPt 1 2 3 2\n", "column q: \"2\" is not T or F" },
	{ "1\n" HEAD ":q:S:1\nPt 1 2 3 long-word-of-thirty-two-bytes-xx\n", "shorter than 32" },
	{ "1\n" HEAD ":q:R:1:q:R:1\nPt 1 2 3 4 5\n", "line 2: two columns are named q" },
	{ "1\n" HEAD ":pos:R:3\nPt 1 2 3 4 5 6\n", "two columns are named pos" },
	{ "1\nProperties=pos:R:3\n1 2 3\n", "line 2: Properties=pos:R:3: no species" },
	{ "1\nProperties=species:S:1:q:R:3\nPt 1 2 3\n", "no pos" },
	{ "1\nProperties=species:S:1:pos:R:2\nPt 1 2\n", "pos is R:2, not R:3" },
	{ "1\nProperties=species:R:1:pos:R:3\nPt 1 2 3\n", "species is R:1" },
	{ "1\nProperties=species:S:1:pos:R\nPt 1 2 3\n", "the type of pos" },
	{ "1\nProperties=species:S:1:pos:Q:3\nPt 1 2 3\n", "the type of pos is none of" },
	{ "1\n" HEAD ":q:R:0\nPt 1 2 3\n", "q does not have 1 to 9 components" },
	{ "1\n" HEAD ":q:R:10\nPt 1 2 3\n", "q does not have 1 to 9 components" },
	{ "1\n" HEAD ":\nPt 1 2 3\n", "does not begin with a name" },
	{ "1\nProperties=\nPt 1 2 3\n", "does not begin with a name" },
	{ "1\n" HEAD ":" HEAD "\nPt 1 2 3\n", "does not begin with a name" },
	{ "1\n" HEAD " " HEAD "\nPt 1 2 3\n", "Properties twice" },
	{ "1\n" HEAD " Time=soon\nPt 1 2 3\n", "Time=\"soon\" is not a number" },
	{ "1\n" HEAD " Time=1 Time=1\nPt 1 2 3\n", "Time twice" },
	{ "1\n" HEAD " pbc=\"T F\"\nPt 1 2 3\n", "pbc=\"T F\"" },
	{ "1\n" HEAD " pbc=\"T F T T\"\nPt 1 2 3\n", "pbc=\"T F T T\"" },
	{ "1\nLattice=\"1 0 0\"\nPt 1 2 3\n", "number 4 of 9 is none" },
	{ "1\nLattice=\"1 0 0 0 1 0 0 0 inf\"\nPt 1 2 3\n", "number 9 of 9 is none" },
	{ "1\nLattice=\"1 0 0 0 1 0 0 0 1 0\"\nPt 1 2 3\n", "more than 9" },
	{ "1\n" HEAD " a=\"b\nPt 1 2 3\n", "line 2: a quote or bracket is not closed" },
	{ "1\na=\"b " HEAD "\nPt 1 2 3\n", "line 2: a quote or bracket is not closed" },
	{ "1\n" HEAD " a=[[1]\nPt 1 2 3\n", "is not closed" },
	{ "1\n\nPt 1 2 3\n1\n\nPt 1 2\n", "line 6: has 3 columns, an atom of this frame has 4" },
	{ "1\n\nPt 1 2 3\nPt 1 2 3\n", "line 4: \"Pt 1 2 3\" is not a number of atoms" },
};

static void what_is_wrong_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < PN_COUNT(refused); i++)
		kit_refuses_text("bad.xyz", refused[i].text, refused[i].words);
	const char *path = testkit_path(testkit_tempdir(), "nul.xyz");
	testkit_write(path, "1\n\nPt 1 2\0 3\n", 13);
	kit_refuses(path, PN_EFORMAT, "byte 9 is NUL");
	struct kit_models kit = { 0 };
	assert_int_equal(pn_xyz_read(&kit.models, &kit.frames, "/", NULL), PN_EUNSUPPORTED);
	assert_int_equal(pn_xyz_read(&kit.models, &kit.frames, "/dev/null", NULL), PN_EUNSUPPORTED);
}

/* A file of 100 bytes says 10^7 atoms, or a thousand columns: no memory is taken on its word. */
static void announcements_are_not_believed(void **state)
{
	(void)state;
	struct rusage before, after;
	char text[8192];
	size_t n = 0;

	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < 100; i++)
		kit_refuses_text("liar.xyz",
				 "10000000\n" HEAD ":a:S:9:b:R:9:c:R:9\n"
				 "Pt 1 2 3 a b c d e f g h i 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9\n",
				 "10000000 atoms of 31 columns are announced");
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10); /* KiB */
	n += (size_t)sprintf(text, "0\n" HEAD);
	for (int i = 0; i < 300; i++)
		n += (size_t)sprintf(text + n, ":c%d:R:1", i);
	sprintf(text + n, "\n");
	kit_refuses(kit_file("wide.xyz", text), PN_EUNSUPPORTED, "more than 258 columns");
}

/* Twice the pairs take twice the time, not four times: a search for the end takes many seconds. */
static void many_pairs_cost_no_more_each(void **state)
{
	(void)state;
	const size_t pairs = 300000;
	char *text = malloc(64 + 4 * pairs), *p = text;
	clock_t start = clock();

	p += sprintf(p, "1\n" HEAD);
	for (size_t i = 0; i < pairs; i++)
		p = stpcpy(p, " k=1");
	strcpy(p, "\nPt 1 2 3\n");
	struct kit_models kit = kit_text("pairs.xyz", text);
	assert_true((double)(clock() - start) < 2.0 * CLOCKS_PER_SEC);
	assert_int_equal(strlen(kit.models->pairs), 4 * pairs - 1);
	kit_free(&kit);
	free(text);
}

/* ---- real files ---------------------------------------------------------------------------- */

/* The published models, each against what a plain sscanf of its lines says. */
static void the_published_models(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t atoms;
	} files[] = {
		{ "models/FePt_23196.xyz", 23196 },         { "models/PB_12038.xyz", 12038 },
		{ "models/hea/HEA04_1501.xyz", 1501 },      { "models/hea/HEA18_2904.xyz", 2904 },
		{ "models/mg8/final_MG_18356.xyz", 18356 },
	};

	for (size_t f = 0; f < PN_COUNT(files); f++) {
		const char *path = testkit_data(files[f].name);

		if (!path)
			skip();
		struct kit_models kit = kit_open(path);
		size_t size;
		char *text = testkit_read(path, &size), *p = strchr(strchr(text, '\n') + 1, '\n');

		assert_int_equal(kit.frames, 1);
		assert_int_equal(kit.models->count, files[f].atoms);
		assert_int_equal(kit.models->columns_count, 0);
		assert_non_null(strstr(text, kit.models->comment));
		for (size_t i = 0; i < kit.models->count; i++) {
			const int z[] = { ['P' - 'A'] = 78,
					  ['F' - 'A'] = 26,
					  ['N' - 'A'] = 28,
					  ['R' - 'A'] = 45 };
			const double *r = kit.models->position_A[i];

			assert_int_equal(kit.models->element[i], p[2] == 'd' ? 46 : z[p[1] - 'A']);
			p += 3;
			for (int k = 0; k < 3; k++)
				assert_true(kit_same_bits(strtod(p, &p), r[k]));
		}
		free(text);
		kit_free(&kit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_files),
		cmocka_unit_test(extended_files),
		cmocka_unit_test(line_ends_of_all_kinds),
		cmocka_unit_test(what_is_wrong_is_told),
		cmocka_unit_test(announcements_are_not_believed),
		cmocka_unit_test(many_pairs_cost_no_more_each),
		cmocka_unit_test(the_published_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
