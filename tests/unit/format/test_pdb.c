/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PDB files are read by columns, to the letter, and what is not to the letter is told with its
 * line. */
#include "perrin/format/pdb.h"

#include "model_kit.h"

/* One record of the standard's columns: name 13-16, residue 18-20, place, two numbers, 77-78. */
static const char *atom(const char *name, const char *residue, const char *element)
{
	static char lines[8][96];
	static unsigned next;
	char *line = lines[next++ % 8];

	snprintf(line, sizeof lines[0],
		 "%-6s%5d %-4s %-3s %c%4d    %8.3f%8.3f%8.3f%6.2f%6.2f          %2s\n", "ATOM", 1,
		 name, residue, 'A', 1, 1.5, -2.25, 1234.125, 0.5, 99.99, element);
	return line;
}

static uint8_t element_of(const char *line)
{
	struct kit_models kit = kit_text("one.pdb", line);
	uint8_t element = kit.models->element[0];

	assert_int_equal(kit.models->count, 1);
	kit_free(&kit);
	return element;
}

static void fields_are_columns(void **state)
{
	(void)state;
	/* no blanks between the fields, and a serial number that has overflowed into hex */
	static const char tight[] = "HETATM"
				    "A0000"
				    "  PT "
				    "  PT "
				    "B9999"
				    "    "
				    "-123.456"
				    "-999.999"
				    "9999.999"
				    " -1.00"
				    "-10.50"
				    "      PT1 "
				    "PT2+\n";
	struct kit_models kit = kit_text("tight.pdb", tight);
	const struct pn_model *model = kit.models;

	assert_int_equal(model->element[0], 78);
	assert_true(model->position_A[0][0] == -123.456);
	assert_true(model->position_A[0][1] == -999.999);
	assert_true(model->position_A[0][2] == 9999.999);
	assert_int_equal(model->columns_count, 2);
	assert_true(pn_model_find_column(model, "occupancy")->values[0] == -1);
	assert_true(pn_model_find_column(model, "B")->values[0] == -10.5);
	assert_true(isnan(model->time_s) && !model->has_cell);
	kit_free(&kit);
	/* the place is all that a line needs, besides a name */
	kit = kit_text("short.pdb", "ATOM  "
				    "    1"
				    " PT  "
				    "     "
				    "     "
				    "    "
				    "   1.000"
				    "   2.000"
				    "   3.000");
	assert_true(kit.models->position_A[0][2] == 3);
	assert_int_equal(kit.models->columns_count, 0);
	kit_free(&kit);
}

static void columns_some_atoms_lack(void **state)
{
	(void)state;
	static const char text[] = "ATOM      1 PT    PT A   1       1.000   2.000   3.000  0.25\n"
				   "ATOM      2 PT    PT A   1       1.000   2.000   4.000\n";
	struct kit_models kit = kit_text("some.pdb", text);
	const struct pn_model_column *occupancy = pn_model_find_column(kit.models, "occupancy");

	assert_int_equal(kit.models->count, 2);
	assert_true(occupancy->values[0] == 0.25 && isnan(occupancy->values[1]));
	assert_null(pn_model_find_column(kit.models, "B"));
	kit_free(&kit);
}

static void elements_by_symbol_or_name(void **state)
{
	(void)state;
	static const struct {
		const char *name, *residue, *symbol;
		int z;
	} cases[] = {
		{ " PT ", "X", "PT", 78 }, { " PT ", "X", "Pt", 78 }, { "OW", "WAT", " W", 74 },
		{ "C", "C", "P ", 15 },    { "PT", "PT", "", 78 },    { "Au12", "", "", 79 },
		{ " CA ", "ALA", "", 6 },  { "CA  ", "CA", "", 20 },  { "1HB ", "ALA", "", 1 },
		{ "HG11", "VAL", "", 1 },  { "HG  ", "HG", "", 80 },  { " AU ", "X", "", 79 },
		{ " O  ", "HOH", "", 8 },  { "FE  ", "X", "12", 26 }, { " P1 ", "X", "", 15 },
		{ "X", "X", "Lr", 103 },   { " N  ", "XYZ", "", 7 },  { "PD1", "X", "", 46 },
	};
	static const struct {
		const char *name, *symbol, *words;
	} bad[] = {
		{ "PT", "XX", "unknown element \"XX\" in columns 77-78" },
		{ " PT ", "", "the name \"PT\" in columns 14-16 may be that of two" },
		{ "", "", "tells none" },
		{ "12  ", "", "the name \"12\" in columns 13-16 tells none" },
		{ "Zz", "", "tells none" },
	};

	for (size_t i = 0; i < PN_COUNT(cases); i++)
		if (element_of(atom(cases[i].name, cases[i].residue, cases[i].symbol)) !=
		    cases[i].z)
			fail_msg("\"%s\" of \"%s\" is not %d", cases[i].name, cases[i].residue,
				 cases[i].z);
	for (size_t i = 0; i < PN_COUNT(bad); i++)
		kit_refuses_text("bad.pdb", atom(bad[i].name, "X", bad[i].symbol), bad[i].words);
}

static void models_are_frames(void **state)
{
	(void)state;
	static const char *const layouts[] = {
		"REMARK  MODEL of a thing\nMODEL        1\n@ENDMDL\nMODEL        "
		"2\n@@TER\nENDMDL\nEND\n",
		"@END\n@@END   \n",
		"MODEL 1\n@MODEL 2\n@@",
		"CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\r\n@"
		"ENDMDL\r\n\r\nATOMIC radii\r\n@TER\r\n@CONECT    1    2\r\n",
	};

	for (size_t i = 0; i < PN_COUNT(layouts); i++) {
		char text[2048];
		size_t n = 0;

		/* @ stands for an atom */
		for (const char *p = layouts[i]; *p; p++)
			if (*p == '@')
				n += (size_t)snprintf(text + n, sizeof text - n, "%s",
						      atom("PT", "PT", "PT"));
			else
				text[n++] = *p;
		text[n] = 0;
		struct kit_models kit = kit_text("frames.pdb", text);
		assert_int_equal(kit.frames, 2);
		assert_int_equal(kit.models[0].count, 1);
		assert_int_equal(kit.models[1].count, 2);
		assert_true(kit.models[1].position_A[1][1] == -2.25);
		kit_free(&kit);
	}
}

static void what_is_wrong_is_told(void **state)
{
	(void)state;
	char line[128];

	kit_refuses_text("a.pdb", "", "no ATOM or HETATM in 0 lines");
	kit_refuses_text("a.pdb", "REMARK\nEND\n", "no ATOM or HETATM in 2 lines");
	kit_refuses_text("a.pdb", "MODEL 1\nENDMDL\n", "line 2: a MODEL without atoms");
	snprintf(line, sizeof line, "REMARK\n%.53s\n", atom("PT", "PT", "PT"));
	kit_refuses_text("a.pdb", line, "line 2: the atom's line ends at column 53");
	snprintf(line, sizeof line, "\n\n%s", atom("PT", "PT", "PT"));
	memcpy(line + 2 + 38, "     nan", 8);
	kit_refuses_text("a.pdb", line, "line 3: y, columns 39-46: \"nan\" is not a finite number");
	memcpy(line + 2 + 38, "********", 8);
	kit_refuses_text("a.pdb", line, "y, columns 39-46: \"********\"");
	memcpy(line + 2 + 38, "        ", 8);
	kit_refuses_text("a.pdb", line, "y, columns 39-46: \"\"");
	memcpy(line + 2 + 38, " 1.0 2.0", 8);
	kit_refuses_text("a.pdb", line, "y, columns 39-46: \"1.0 2.0\"");
	memcpy(line + 2 + 38, "   1.000", 8);
	memcpy(line + 2 + 60, "******", 6);
	kit_refuses_text("a.pdb", line, "line 3: B, columns 61-66: \"******\"");
	const char *path = testkit_path(testkit_tempdir(), "nul.pdb");
	testkit_write(path, "ATOM\0", 5);
	kit_refuses(path, PN_EFORMAT, "byte 4 is NUL");
	kit_refuses(testkit_path(testkit_tempdir(), "."), PN_EUNSUPPORTED, "read from");
}

/* Shifted by a column most lines are no numbers, some are: with a sign or a letter less. */
static void shifted_lines_are_told(void **state)
{
	(void)state;
	static const char place[] = "-119.259  26.881  27.702  1.00  0.79";
	char line[128];

	snprintf(line, sizeof line, "HETATM    1 PT    PT A   1   %s\n", place);
	kit_refuses_text("a.pdb", line, "line 1: x, columns 31-38, begins in column 30");
	snprintf(line, sizeof line, "HETATM    1 PT    PT A   1\t  %s\n", place);
	kit_refuses_text("a.pdb", line, "line 1: a tab in column 27");
	snprintf(line, sizeof line, "HETATM    1 XX    XX A   1    %s           PT\n", place);
	kit_refuses_text("a.pdb", line, "columns 77-78 goes on in column 79");
	for (int tail = 0; tail < 2; tail++) {
		snprintf(line, sizeof line, "HETATM    1 XX    XX A   1    %s         Co%s\n",
			 place, tail ? " 2+" : "");
		kit_refuses_text("a.pdb", line, "columns 77-78 goes on in column 76");
	}
	/* a segment of four letters in front and a charge behind are the standard's */
	snprintf(line, sizeof line, "HETATM    1 XX    XX A   1    %s      PROAC 1+\n", place);
	assert_int_equal(element_of(line), 6);
	snprintf(line, sizeof line, "HETATM    1 XX    XX A   1    %s      PROACO2+\n", place);
	assert_int_equal(element_of(line), 27);
	/* the serial number of atom 10^6 fills the field from column 5 on */
	snprintf(line, sizeof line, "ATOM1000000 PT    PT A   1    %s\n", place);
	assert_int_equal(element_of(line), 78);
}

/* The published maps of one Pt nanocrystal in liquid: what their text says at the ends. */
static void the_published_maps(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t atoms;
		uint8_t element;
		double first[4], last[4]; /* x y z B */
	} files[] = {
		{ "models/pt_4d/stage1_docked_ATMS.pdb",
		  314,
		  78,
		  { 19.259, 26.881, 27.702, 0.79 },
		  { 39.204, 29.170, 26.134, 0.58 } },
		{ "models/pt_4d/stage3_docked_ATMS.pdb",
		  233,
		  78,
		  { 19.127, 32.875, 29.921, 0.57 },
		  { 37.209, 28.683, 27.914, 0.60 } },
		{ "models/pt_4d/COM_trunc-octa-3_2.7nm.pdb",
		  586,
		  74,
		  { 16.904, 22.772, 28.640, 1.00 },
		  { 40.376, 32.552, 30.596, 1.00 } },
	};

	for (size_t i = 0; i < PN_COUNT(files); i++) {
		const char *path = testkit_data(files[i].name);

		if (!path)
			skip();
		struct kit_models kit = kit_open(path);
		const struct pn_model *model = kit.models;
		size_t last = model->count - 1;
		double *b = pn_model_find_column(model, "B")->values;

		assert_int_equal(kit.frames, 1);
		assert_int_equal(model->count, files[i].atoms);
		assert_memory_equal(model->position_A[0], files[i].first, 3 * sizeof(double));
		assert_memory_equal(model->position_A[last], files[i].last, 3 * sizeof(double));
		assert_true(b[0] == files[i].first[3] && b[last] == files[i].last[3]);
		for (size_t j = 0; j < model->count; j++) {
			assert_int_equal(model->element[j], files[i].element);
			assert_true(pn_model_find_column(model, "occupancy")->values[j] == 1);
		}
		kit_free(&kit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_columns),
		cmocka_unit_test(columns_some_atoms_lack),
		cmocka_unit_test(elements_by_symbol_or_name),
		cmocka_unit_test(models_are_frames),
		cmocka_unit_test(what_is_wrong_is_told),
		cmocka_unit_test(shifted_lines_are_told),
		cmocka_unit_test(the_published_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
