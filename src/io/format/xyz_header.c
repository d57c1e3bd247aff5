/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xyz_header.c - read the header line of an XYZ frame. */
#include "xyz_priv.h"

#include "perrin/base/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CELL_NUMBERS 9

int xyz_wrong(const struct xyz_frame *frame, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pn_error_setv(frame->err, PN_EFORMAT, fmt, ap);
	va_end(ap);
	if (frame->err)
		pn_error_wrap(frame->err, "%s: line %zu", frame->at->text->path, frame->at->line);
	return PN_EFORMAT;
}

int xyz_no_memory(const struct xyz_frame *frame)
{
	return pn_error_set(frame->err, PN_ENOMEM, "%s: line %zu: no memory", frame->at->text->path,
			    frame->at->line);
}

int xyz_shown(const char *begin, const char *end)
{
	return end - begin < 40 ? (int)(end - begin) : 40;
}

/* ---- the columns of Properties ------------------------------------------------------------- */

static int add_slot(struct xyz_frame *frame, const char *name, size_t length, char type,
		    int components)
{
	struct xyz_slot *slot = &frame->slots[frame->slots_count];

	if (frame->slots_count == PN_COUNT(frame->slots))
		return pn_error_set(frame->err, PN_EUNSUPPORTED,
				    "%s: line %zu: more than %zu columns", frame->at->text->path,
				    frame->at->line, frame->slots_count);
	*slot = (struct xyz_slot){ .use = XYZ_COLUMN, .type = type, .components = components };
	memcpy(slot->name, name, length);
	for (size_t i = 0; i < frame->slots_count; i++)
		if (strcmp(frame->slots[i].name, slot->name) == 0)
			return xyz_wrong(frame, "two columns are named %s", slot->name);
	if (strcmp(slot->name, "species") == 0) {
		slot->use = XYZ_SPECIES;
		if ((type != 'S' && type != 'I') || components != 1)
			return xyz_wrong(frame, "species is %c:%d, not S:1", type, components);
	} else if (strcmp(slot->name, "pos") == 0) {
		slot->use = XYZ_POS;
		if (type != 'R' || components != 3)
			return xyz_wrong(frame, "pos is %c:%d, not R:3", type, components);
	}
	frame->slots_count++;
	frame->words += (size_t)components;
	return PN_OK;
}

/* NAME:TYPE:COMPONENTS at p; the caller skips the colon behind it. */
static int read_property(struct xyz_frame *frame, const char **p)
{
	const char *name = *p;
	size_t length = strcspn(name, ": \t\v\f\"'[]{}=\\");
	const char *type = name + length + 1;

	if (!length || length >= PN_MODEL_NAME_MAX || name[length] != ':')
		return xyz_wrong(frame,
				 "Properties: \"%.40s\" does not begin with a name of 1 to %d "
				 "characters and a colon",
				 name, PN_MODEL_NAME_MAX - 1);
	if (!*type || !strchr("SRIL", *type) || type[1] != ':')
		return xyz_wrong(frame, "Properties: the type of %.*s is none of S R I L",
				 (int)length, name);
	const char *digit = type + 2;
	if (*digit < '1' || *digit > '9' || (digit[1] && digit[1] != ':'))
		return xyz_wrong(frame, "Properties: %.*s does not have 1 to %d components",
				 (int)length, name, PN_MODEL_COMPONENTS_MAX);
	*p = digit + 1;
	return add_slot(frame, name, length, *type, *digit - '0');
}

static int read_properties(struct xyz_frame *frame, const char *text)
{
	int uses[3] = { 0 };
	const char *p = text;
	int status;

	if (frame->has_properties++)
		return xyz_wrong(frame, "Properties twice");
	do {
		status = read_property(frame, &p);
		if (status < 0)
			return status;
	} while (*p++ == ':');
	for (size_t i = 0; i < frame->slots_count; i++)
		uses[frame->slots[i].use]++;
	if (!uses[XYZ_SPECIES] || !uses[XYZ_POS])
		return xyz_wrong(frame, "Properties=%.60s: no %s", text,
				 uses[XYZ_POS] ? "species" : "pos");
	return PN_OK;
}

/* ---- the other keys ------------------------------------------------------------------------ */

static int read_lattice(struct xyz_frame *frame, const char *text)
{
	double *cell = frame->head.cell_A[0];
	const char *p = text;

	if (frame->head.has_cell++)
		return xyz_wrong(frame, "Lattice twice");
	for (int i = 0; i < CELL_NUMBERS; i++) {
		p = pn_number_read(model_skip_blanks(p), &cell[i]);
		if (!p || (*p && !model_is_blank(*p)))
			return xyz_wrong(frame, "Lattice=\"%.60s\": number %d of %d is none", text,
					 i + 1, CELL_NUMBERS);
	}
	if (*model_skip_blanks(p))
		return xyz_wrong(frame, "Lattice=\"%.60s\": more than %d numbers", text,
				 CELL_NUMBERS);
	return PN_OK;
}

int xyz_truth(const char *word, size_t length)
{
	static const char *const words[] = { "F", "T", "0", "1", "False", "True" };

	for (size_t i = 0; i < PN_COUNT(words); i++)
		if (strlen(words[i]) == length && strncasecmp(word, words[i], length) == 0)
			return (int)(i % 2);
	return -1;
}

static int read_pbc(struct xyz_frame *frame, const char *text)
{
	const char *p = text;

	if (frame->has_pbc++)
		return xyz_wrong(frame, "pbc twice");
	for (int i = 0; i < 3; i++) {
		const char *word = model_skip_blanks(p);

		p = model_skip_word(word);
		frame->head.periodic[i] = xyz_truth(word, (size_t)(p - word));
		if (frame->head.periodic[i] < 0)
			return xyz_wrong(frame, "pbc=\"%.40s\": not three of T and F", text);
	}
	if (*model_skip_blanks(p))
		return xyz_wrong(frame, "pbc=\"%.40s\": not three of T and F", text);
	return PN_OK;
}

static int read_time(struct xyz_frame *frame, const char *text)
{
	const char *begin = model_skip_blanks(text), *end;

	if (!isnan(frame->head.time_s))
		return xyz_wrong(frame, "Time twice");
	end = pn_number_read(begin, &frame->head.time_s);
	if (!end || *model_skip_blanks(end))
		return xyz_wrong(frame, "Time=\"%.40s\" is not a number", text);
	return PN_OK;
}

static int read_comment(struct xyz_frame *frame, const char *text)
{
	if (frame->has_comment++)
		return xyz_wrong(frame, "comment twice");
	return pn_model_set_comment(&frame->head, text, frame->err);
}

static const struct {
	const char *key;
	int (*read)(struct xyz_frame *frame, const char *text);
} keys[] = {
	{ "Properties", read_properties },
	{ "Lattice", read_lattice },
	{ "pbc", read_pbc },
	{ "Time", read_time },
	{ "comment", read_comment },
};

static int read_pair(struct xyz_frame *frame, const struct model_pair *pair)
{
	for (size_t i = 0; i < PN_COUNT(keys); i++) {
		if (!model_pair_is(pair, keys[i].key))
			continue;
		char *value = model_pair_value(pair);
		int status = value ? keys[i].read(frame, value) : xyz_no_memory(frame);

		free(value);
		return status;
	}
	return model_pair_keep(&frame->head, &frame->pairs_size, pair) < 0 ? xyz_no_memory(frame)
									   : PN_OK;
}

/* ---- the header ---------------------------------------------------------------------------- */

/* Does the line hold Properties or Lattice as a key? -1: perhaps, but a quote is not closed. */
static int is_extended(const char *begin, const char *end)
{
	struct model_pair pair;
	int rc;

	for (const char *p = begin; (rc = model_pair_next(&p, end, &pair)) > 0;)
		if (model_pair_is(&pair, "Properties") || model_pair_is(&pair, "Lattice"))
			return 1;
	if (rc < 0 && (memmem(begin, (size_t)(end - begin), "Properties=", 11) ||
		       memmem(begin, (size_t)(end - begin), "Lattice=", 8)))
		return -1;
	return 0;
}

static int read_plain_header(struct xyz_frame *frame, const char *begin, const char *end)
{
	while (end > begin && model_is_blank(end[-1]))
		end--;
	if (begin == end)
		return PN_OK;
	frame->head.comment = strndup(begin, (size_t)(end - begin));
	return frame->head.comment ? PN_OK : xyz_no_memory(frame);
}

int xyz_read_header(struct xyz_frame *frame)
{
	const char *begin = frame->at->p, *end = model_line_end(begin);
	int extended = is_extended(begin, end), rc = 0, status = PN_OK;
	struct model_pair pair;

	if (!extended)
		status = read_plain_header(frame, begin, end);
	for (const char *p = begin; extended && status == PN_OK;) {
		rc = model_pair_next(&p, end, &pair);
		if (rc <= 0)
			break;
		status = read_pair(frame, &pair);
	}
	if (status == PN_OK && rc < 0)
		status = xyz_wrong(frame, "a quote or bracket is not closed");
	if (status < 0)
		return status;
	for (int i = 0; i < 3 && frame->head.has_cell && !frame->has_pbc; i++)
		frame->head.periodic[i] = 1;
	frame->at->p = end;
	model_next_line(frame->at);
	return PN_OK;
}

int xyz_default_slots(struct xyz_frame *frame)
{
	int status = add_slot(frame, "species", 7, 'S', 1);
	const char *p = frame->at->p;
	char name[32];
	size_t words = 0;

	if (status == PN_OK)
		status = add_slot(frame, "pos", 3, 'R', 3);
	while (frame->atoms && !model_is_end(*(p = model_skip_blanks(p)))) {
		p = model_skip_word(p);
		words++;
	}
	for (size_t i = 4; i < words && status == PN_OK; i++) {
		int n = snprintf(name, sizeof name, "extra%zu", i - 3);

		status = add_slot(frame, name, (size_t)n, 'R', 1);
	}
	return status;
}
