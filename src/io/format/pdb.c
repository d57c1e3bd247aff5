/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pdb.c - read the atoms of Protein Data Bank files. Columns count from 1, as in the standard. */
#include "perrin/format/pdb.h"

#include "model_priv.h"
#include "perrin/base/number.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_MAX 8 /* columns of the widest field */

/* One line, without its end. */
struct record {
	const char *text;
	size_t length;
};

/* Where the file is, for messages, and what its present frame holds. */
struct reader {
	struct model_cursor at;
	struct pn_error *err;
	struct pn_model *model;
	size_t atom; /* read so far in this frame */
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct reader *reader, const char *fmt,
						       ...)
{
	va_list ap;

	va_start(ap, fmt);
	pn_error_setv(reader->err, PN_EFORMAT, fmt, ap);
	va_end(ap);
	if (reader->err)
		pn_error_wrap(reader->err, "%s: line %zu", reader->at.text->path, reader->at.line);
	return PN_EFORMAT;
}

/* ---- records ------------------------------------------------------------------------------- */

enum kind { KIND_ATOM, KIND_BEGIN, KIND_END, KIND_OTHER };

static int is_named(const struct record *record, const char *name)
{
	size_t n = strlen(name);

	return record->length >= n && memcmp(record->text, name, n) == 0 &&
	       (n == 6 || record->length == n || model_is_blank(record->text[n]));
}

static enum kind kind_of(const struct record *record)
{
	/* a serial number of seven digits leaves no blank behind the name */
	if (is_named(record, "ATOM") || is_named(record, "HETATM") ||
	    (record->length > 4 && memcmp(record->text, "ATOM", 4) == 0 &&
	     isdigit((unsigned char)record->text[4])))
		return KIND_ATOM;
	if (is_named(record, "MODEL"))
		return KIND_BEGIN;
	if (is_named(record, "ENDMDL") || is_named(record, "END"))
		return KIND_END;
	return KIND_OTHER;
}

/* The line under the cursor; 0 at the end of the file. */
static int get_record(const struct model_cursor *at, struct record *record)
{
	if (at->p == at->end)
		return 0;
	record->text = at->p;
	record->length = (size_t)(model_line_end(at->p) - at->p);
	return 1;
}

static void next_record(struct model_cursor *at, const struct record *record)
{
	at->p += record->length;
	model_next_line(at);
}

/* Columns first..last without the blanks around, as far as the line goes. */
static void get_field(char *field, const struct record *record, size_t first, size_t last)
{
	size_t n = 0;

	if (last > record->length)
		last = record->length;
	while (first <= last && model_is_blank(record->text[first - 1]))
		first++;
	while (first <= last && model_is_blank(record->text[last - 1]))
		last--;
	for (; first <= last; first++)
		field[n++] = record->text[first - 1];
	field[n] = 0;
}

/* ---- fields -------------------------------------------------------------------------------- */

static int read_number(const struct reader *reader, const struct record *record, const char *name,
		       size_t first, size_t last, double *value)
{
	char field[FIELD_MAX + 1];

	get_field(field, record, first, last);
	const char *end = pn_number_read(field, value);
	if (!end || *end)
		return wrong(reader, "%s, columns %zu-%zu: \"%s\" is not a finite number", name,
			     first, last, field);
	return PN_OK;
}

/* Residues whose atoms are named by the rule: those of life, and water. */
static int is_common_residue(const struct record *record)
{
	static const char names[] =
		" ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL "
		"ASX GLX SEC PYL MSE A C G I U DA DC DG DI DT DU N HOH WAT DOD ";
	char field[FIELD_MAX + 1], word[FIELD_MAX + 3];

	get_field(field, record, 18, 20);
	if (!*field || strchr(field, ' '))
		return 0;
	snprintf(word, sizeof word, " %s ", field);
	return strstr(names, word) != NULL;
}

/* The element that the atom's name in columns 13-16 tells; 0 if it tells none, -1 if two. */
static int element_of_name(const struct record *record)
{
	char name[5] = "    ";

	for (size_t i = 0; i < 4 && 12 + i < record->length; i++)
		name[i] = record->text[12 + i];
	if (isalpha((unsigned char)name[0])) {
		/* four characters leave no blank in front: HG11 of a residue is a hydrogen */
		if (toupper((unsigned char)name[0]) == 'H' && !model_is_blank(name[3]) &&
		    is_common_residue(record))
			return 1;
		int z = isalpha((unsigned char)name[1]) ? model_element(name, 2) : 0;

		return z ? z : model_element(name, 1);
	}
	if (!isalpha((unsigned char)name[1]))
		return 0;
	int one = model_element(name + 1, 1);
	int two = isalpha((unsigned char)name[2]) ? model_element(name + 1, 2) : 0;
	if (one && two && !is_common_residue(record))
		return -1;
	return one ? one : two;
}

/* A letter of the symbol outside of its columns; 0 if there is none. One left of it may be the end
 * of a segment's name, which begins in column 73.
 */
static size_t symbol_beyond(const struct record *record)
{
	const char *text = record->text;

	if (record->length > 78 && !model_is_blank(text[77]) && isalpha((unsigned char)text[78]))
		return 79;
	if (record->length > 76 && !model_is_blank(text[76]) &&
	    (record->length == 77 || model_is_blank(text[77])) &&
	    isalpha((unsigned char)text[75]) && model_is_blank(text[74]))
		return 76;
	return 0;
}

static int read_element(const struct reader *reader, const struct record *record, uint8_t *element)
{
	char symbol[FIELD_MAX + 1], name[FIELD_MAX + 1];
	int z;

	get_field(symbol, record, 77, 78);
	get_field(name, record, 13, 16);
	if (*symbol && !isdigit((unsigned char)symbol[0]) && !isdigit((unsigned char)symbol[1])) {
		size_t beyond = symbol_beyond(record);

		if (beyond)
			return wrong(reader,
				     "the element in columns 77-78 goes on in column %zu, the "
				     "line is shifted",
				     beyond);
		z = model_element(symbol, strlen(symbol));
		if (!z)
			return wrong(reader, "unknown element \"%s\" in columns 77-78", symbol);
	} else {
		z = element_of_name(record);
		if (!z)
			return wrong(reader,
				     "no element in columns 77-78, and the name \"%s\" in columns "
				     "13-16 tells none",
				     name);
		if (z < 0)
			return wrong(reader,
				     "no element in columns 77-78, and the name \"%s\" in columns "
				     "14-16 may be that of two",
				     name);
	}
	*element = (uint8_t)z;
	return PN_OK;
}

/* Fields that stand elsewhere lose digits or a sign and are numbers still. */
static int check_columns(const struct reader *reader, const struct record *record)
{
	const char *text = record->text;

	if (record->length < 54)
		return wrong(reader, "the atom's line ends at column %zu, its place is in 31-54",
			     record->length);
	const char *tab = memchr(text, '\t', record->length);
	if (tab)
		return wrong(reader, "a tab in column %td: fields are told by their columns",
			     tab - text + 1);
	if (!model_is_blank(text[29]) && !model_is_blank(text[30]))
		return wrong(reader, "x, columns 31-38, begins in column 30 or before: \"%.9s\"",
			     text + 29);
	return PN_OK;
}

static int read_atom(struct reader *reader, const struct record *record, double *occupancy,
		     double *factor)
{
	static const char *const axes[] = { "x", "y", "z" };
	double *position = reader->model->position_A[reader->atom];
	char field[FIELD_MAX + 1];
	int status = check_columns(reader, record);

	for (size_t i = 0; i < 3 && status == PN_OK; i++)
		status = read_number(reader, record, axes[i], 31 + 8 * i, 38 + 8 * i, &position[i]);
	if (status == PN_OK)
		status = read_element(reader, record, &reader->model->element[reader->atom]);
	*occupancy = *factor = (double)NAN;
	get_field(field, record, 55, 60);
	if (status == PN_OK && *field)
		status = read_number(reader, record, "occupancy", 55, 60, occupancy);
	get_field(field, record, 61, 66);
	if (status == PN_OK && *field)
		status = read_number(reader, record, "B", 61, 66, factor);
	reader->atom++;
	return status;
}

/* ---- frames -------------------------------------------------------------------------------- */

/* How many atoms come before the frame's end; the cursor is a copy. */
static size_t count_atoms(struct model_cursor at)
{
	struct record record;
	size_t atoms = 0;

	for (; get_record(&at, &record); next_record(&at, &record)) {
		enum kind kind = kind_of(&record);

		if (kind == KIND_BEGIN || kind == KIND_END)
			break;
		atoms += kind == KIND_ATOM;
	}
	return atoms;
}

/* A column that has a value for some atom at least. */
static int give_column(const struct reader *reader, const char *name, const double *values)
{
	const struct pn_model *model = reader->model;
	size_t said = 0;

	for (size_t i = 0; i < model->count; i++)
		said += !isnan(values[i]);
	if (!said)
		return PN_OK;
	struct pn_model_column *column = model_column_append(reader->model, name, 'R', 1);
	if (!column)
		return pn_error_set(reader->err, PN_ENOMEM, "%s: no memory", reader->at.text->path);
	memcpy(column->values, values, model->count * sizeof *values);
	return PN_OK;
}

/* The atoms up to the frame's end, which is left under the cursor. */
static int read_frame(struct reader *reader, struct model_list *list)
{
	size_t atoms = count_atoms(reader->at);
	struct record record;
	int status = PN_OK;

	if (!atoms)
		return wrong(reader, "a MODEL without atoms");
	reader->atom = 0;
	reader->model = model_list_add(list, atoms);
	double *occupancy = reallocarray(NULL, atoms, sizeof *occupancy);
	double *factor = reallocarray(NULL, atoms, sizeof *factor);
	if (!reader->model || !occupancy || !factor)
		status = pn_error_set(reader->err, PN_ENOMEM, "%s: no memory for %zu atoms",
				      reader->at.text->path, atoms);
	while (status == PN_OK && get_record(&reader->at, &record)) {
		enum kind kind = kind_of(&record);
		size_t i = reader->atom;

		if (kind == KIND_BEGIN || kind == KIND_END)
			break;
		if (kind == KIND_ATOM)
			status = read_atom(reader, &record, &occupancy[i], &factor[i]);
		if (status == PN_OK)
			next_record(&reader->at, &record);
	}
	if (status == PN_OK)
		status = give_column(reader, "occupancy", occupancy);
	if (status == PN_OK)
		status = give_column(reader, "B", factor);
	free(occupancy);
	free(factor);
	return status;
}

static int read_frames(struct reader *reader, struct model_list *list)
{
	struct record record;
	int status = PN_OK;

	while (status == PN_OK && get_record(&reader->at, &record)) {
		enum kind kind = kind_of(&record);

		/* an atom outside of MODEL begins a frame too, and is still to be read */
		if (kind != KIND_ATOM)
			next_record(&reader->at, &record);
		if (kind == KIND_ATOM || kind == KIND_BEGIN)
			status = read_frame(reader, list);
	}
	if (status == PN_OK && !list->count)
		status = pn_error_set(reader->err, PN_EFORMAT, "%s: no ATOM or HETATM in %zu lines",
				      reader->at.text->path, reader->at.line - 1);
	return status;
}

int pn_pdb_read(struct pn_model **models, size_t *frames, const char *path, struct pn_error *err)
{
	struct reader reader = { .err = err };
	struct model_list list = { 0 };
	struct model_text text;
	int status = model_text_read(&text, path, err);

	if (status == PN_OK) {
		model_cursor_init(&reader.at, &text);
		status = read_frames(&reader, &list);
		model_text_free(&text);
	}
	return model_list_give(&list, status, models, frames);
}
