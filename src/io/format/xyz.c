/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xyz.c - read plain and extended XYZ. */
#include "perrin/format/xyz.h"

#include "perrin/base/element.h"
#include "perrin/base/number.h"
#include "xyz_priv.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- atoms --------------------------------------------------------------------------------- */

/* The word at p as a real number; NULL if it is none. */
static const char *read_real(const char *p, double *value)
{
	const char *end = pn_number_read(p, value);

	if (end)
		return model_is_blank(*end) || model_is_end(*end) ? end : NULL;
	int sign = *p == '-' || *p == '+';
	end = model_skip_word(p);
	if (end - p == sign + 3 && strncasecmp(p + sign, "nan", 3) == 0)
		*value = (double)NAN;
	else if ((end - p == sign + 3 && strncasecmp(p + sign, "inf", 3) == 0) ||
		 (end - p == sign + 8 && strncasecmp(p + sign, "infinity", 8) == 0))
		*value = *p == '-' ? -(double)INFINITY : (double)INFINITY;
	else
		return NULL;
	return end;
}

static const char *read_position(struct xyz_frame *frame, const char *p, double *value)
{
	const char *end = read_real(p, value);

	if (end && isfinite(*value))
		return end;
	xyz_wrong(frame, "coordinate \"%.*s\" is not a finite number",
		  xyz_shown(p, model_skip_word(p)), p);
	return NULL;
}

/* Symbols are looked up once a frame; the table of elements is searched from its beginning. */
static int element_of(struct xyz_frame *frame, const char *symbol, size_t length)
{
	if (length < 1 || length > 2 || !isalpha((unsigned char)symbol[0]) ||
	    (length > 1 && !isalpha((unsigned char)symbol[1])))
		return 0;
	/* letters differ in their low five bits, cases do not */
	uint8_t *known = &frame->known[symbol[0] & 31][length > 1 ? symbol[1] & 31 : 0];
	if (!*known)
		*known = (uint8_t)model_element(symbol, length);
	return *known;
}

static const char *read_species(struct xyz_frame *frame, const char *p, uint8_t *element)
{
	const char *end = model_skip_word(p);
	int z = 0;

	if (*p >= '0' && *p <= '9')
		for (const char *q = p; q < end && z <= PN_ELEMENT_Z_MAX; q++)
			z = *q >= '0' && *q <= '9' ? 10 * z + (*q - '0') : PN_ELEMENT_Z_MAX + 1;
	else
		z = element_of(frame, p, (size_t)(end - p));
	if (z < 1 || z > PN_ELEMENT_Z_MAX) {
		xyz_wrong(frame, "unknown element \"%.*s\"", xyz_shown(p, end), p);
		return NULL;
	}
	*element = (uint8_t)z;
	return end;
}

static int is_whole(const char *p, const char *end)
{
	p += *p == '-' || *p == '+';
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p == end;
}

/* The value of a column, number @i of the array. */
static const char *read_value(struct xyz_frame *frame, const char *p,
			      struct pn_model_column *column, size_t i)
{
	const char *end = model_skip_word(p);
	size_t length = (size_t)(end - p);
	double *value = column->values ? &column->values[i] : NULL;

	switch (column->type) {
	case 'R':
		if (read_real(p, value) == end)
			return end;
		break;
	case 'I':
		if (is_whole(p, end) && pn_number_read(p, value) == end &&
		    fabs(*value) <= MODEL_INTEGER_MAX) {
			*value += 0.0; /* -0 is 0 */
			return end;
		}
		break;
	case 'L':
		*value = xyz_truth(p, length);
		if (*value >= 0)
			return end;
		break;
	default:
		if (length < PN_MODEL_TEXT_MAX) {
			memcpy(column->text[i], p, length);
			return end;
		}
	}
	xyz_wrong(frame, "column %s: \"%.*s\" is not %s", column->name, xyz_shown(p, end), p,
		  column->type == 'R'   ? "a number"
		  : column->type == 'I' ? "a whole number below 2^53"
		  : column->type == 'L' ? "T or F"
					: "shorter than 32 bytes");
	return NULL;
}

static int wrong_width(struct xyz_frame *frame)
{
	size_t words = 0;

	for (const char *p = frame->at->p; !model_is_end(*(p = model_skip_blanks(p))); words++)
		p = model_skip_word(p);
	return xyz_wrong(frame, "has %zu columns, %s %zu", words,
			 frame->has_properties ? "Properties asks for"
					       : "an atom of this frame has",
			 frame->words);
}

static int read_atom(struct xyz_frame *frame, struct pn_model *model, size_t i)
{
	const char *p = frame->at->p;

	for (size_t s = 0; s < frame->slots_count; s++) {
		const struct xyz_slot *slot = &frame->slots[s];
		struct pn_model_column *column =
			slot->use == XYZ_COLUMN ? &model->columns[slot->column] : NULL;

		for (int c = 0; c < slot->components; c++) {
			p = model_skip_blanks(p);
			if (model_is_end(*p))
				return wrong_width(frame);
			if (slot->use == XYZ_POS)
				p = read_position(frame, p, &model->position_A[i][c]);
			else if (slot->use == XYZ_SPECIES)
				p = read_species(frame, p, &model->element[i]);
			else
				p = read_value(frame, p, column,
					       i * (size_t)slot->components + (size_t)c);
			if (!p)
				return PN_EFORMAT;
		}
	}
	p = model_skip_blanks(p);
	if (!model_is_end(*p))
		return wrong_width(frame);
	frame->at->p = p;
	model_next_line(frame->at);
	return PN_OK;
}

/* ---- frames -------------------------------------------------------------------------------- */

static int read_count(struct xyz_frame *frame)
{
	const char *word = model_skip_blanks(frame->at->p), *p = word;
	const char *end = model_line_end(word);

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(frame->atoms, 10, &frame->atoms) ||
		    __builtin_add_overflow(frame->atoms, (uint64_t)(*p - '0'), &frame->atoms))
			return xyz_wrong(frame, "\"%.*s\" atoms are too many", xyz_shown(word, end),
					 word);
	if (p == word || !model_is_end(*model_skip_blanks(p)))
		return xyz_wrong(frame, "\"%.*s\" is not a number of atoms", xyz_shown(word, end),
				 word);
	frame->at->p = end;
	if (end == frame->at->end)
		return xyz_wrong(frame, "the file ends after the number of atoms");
	model_next_line(frame->at);
	return PN_OK;
}

/* A word takes a byte and a blank or the end of the line, but for the last of the file. */
static int check_bytes(struct xyz_frame *frame)
{
	uint64_t left = (uint64_t)(frame->at->end - frame->at->p);

	if (frame->atoms > (left + 1) / (2 * frame->words))
		return xyz_wrong(frame,
				 "%" PRIu64 " atoms of %zu columns are announced, but only %" PRIu64
				 " bytes are left",
				 frame->atoms, frame->words, left);
	return PN_OK;
}

/* The header becomes the model's; its texts change hands. */
static int make_columns(struct xyz_frame *frame, struct pn_model *model)
{
	for (size_t s = 0; s < frame->slots_count; s++) {
		struct xyz_slot *slot = &frame->slots[s];

		slot->column = model->columns_count;
		if (slot->use == XYZ_COLUMN &&
		    !model_column_append(model, slot->name, slot->type, slot->components))
			return xyz_no_memory(frame);
	}
	memcpy(model->cell_A, frame->head.cell_A, sizeof model->cell_A);
	memcpy(model->periodic, frame->head.periodic, sizeof model->periodic);
	model->has_cell = frame->head.has_cell;
	model->time_s = frame->head.time_s;
	model->comment = frame->head.comment;
	model->pairs = frame->head.pairs;
	frame->head.comment = frame->head.pairs = NULL;
	return PN_OK;
}

static int read_frame(struct xyz_frame *frame, struct model_list *list)
{
	int status = read_count(frame);

	if (status == PN_OK)
		status = xyz_read_header(frame);
	if (status == PN_OK && !frame->has_properties)
		status = xyz_default_slots(frame);
	if (status == PN_OK)
		status = check_bytes(frame);
	if (status < 0)
		return status;
	struct pn_model *model = model_list_add(list, (size_t)frame->atoms);
	status = model ? make_columns(frame, model) : xyz_no_memory(frame);
	for (size_t i = 0; i < frame->atoms && status == PN_OK; i++) {
		if (frame->at->p == frame->at->end)
			return xyz_wrong(frame, "the file ends after %zu of %" PRIu64 " atoms", i,
					 frame->atoms);
		status = read_atom(frame, model, i);
	}
	return status;
}

/* Blank lines between frames; 1 if something comes behind them. */
static int find_frame(struct model_cursor *at)
{
	for (;;) {
		const char *p = model_skip_blanks(at->p);

		if (!model_is_end(*p))
			return 1;
		at->p = p;
		if (p == at->end)
			return 0;
		model_next_line(at);
	}
}

int pn_xyz_read(struct pn_model **models, size_t *frames, const char *path, struct pn_error *err)
{
	struct model_list list = { 0 };
	struct model_text text;
	struct model_cursor at;
	int status = model_text_read(&text, path, err);

	if (status < 0)
		return model_list_give(&list, status, models, frames);
	model_cursor_init(&at, &text);
	while (status == PN_OK && find_frame(&at)) {
		struct xyz_frame frame = { .at = &at, .err = err };

		frame.head.time_s = (double)NAN;
		status = read_frame(&frame, &list);
		free(frame.head.comment);
		free(frame.head.pairs);
	}
	if (status == PN_OK && !list.count)
		status = pn_error_set(err, PN_EFORMAT, "%s: no frame, %zu bytes", path, text.count);
	model_text_free(&text);
	return model_list_give(&list, status, models, frames);
}
