/* SPDX-License-Identifier: GPL-3.0-or-later */
/* model_priv.h - what the formats of atomic models share; used inside this folder only. */
#ifndef PERRIN_FORMAT_MODEL_PRIV_H
#define PERRIN_FORMAT_MODEL_PRIV_H

#include "perrin/format/model.h"

#include <stdio.h>

/* ---- models (model.c) ---------------------------------------------------------------------- */

/* of the names of columns and keys that the program gives itself */
#define MODEL_NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define MODEL_INTEGER_MAX     9007199254740991.0 /* 2^53 - 1: no other whole number reads as it */

/** Frames as they are read. Zeroed to start; model_list_free after a failure. */
struct model_list {
	struct pn_model *models;
	size_t count, room;
};

/** model_list_add - one more model of @atoms atoms, borrowed until the next one; NULL: no memory.
 */
struct pn_model *model_list_add(struct model_list *list, size_t atoms);
/** model_list_give - hand the frames over, or free them all if @status is an error. */
int model_list_give(struct model_list *list, int status, struct pn_model **models, size_t *frames);

/** model_column_append - as pn_model_add_column, but with any name; NULL: no memory. */
struct pn_model_column *model_column_append(struct pn_model *model, const char *name, char type,
					    int components);
/** model_element - atomic number of a symbol of @length bytes in any case; 0: it is none. */
int model_element(const char *symbol, size_t length);
/** model_check_atom - that an atom has finite coordinates and an element from @element_min on. */
int model_check_atom(const struct pn_model *model, size_t i, int element_min, const char *path,
		     struct pn_error *err);

/* ---- header pairs (pairs.c) ---------------------------------------------------------------- */

/** One item of a header line: key=value, or a word (value NULL). Quotes are still there. */
struct model_pair {
	const char *key, *key_end;
	const char *value, *value_end;
};

/** model_pair_next - the item at *p, which moves on; 1, 0 at the end, -1 a quote is not closed. */
int model_pair_next(const char **p, const char *end, struct model_pair *pair);
/** model_pair_is - whether the item is a pair of this key, which may stand in quotes. */
int model_pair_is(const struct model_pair *pair, const char *key);
/** model_pair_value - a copy without quotes, to be freed; NULL: no memory. */
char *model_pair_value(const struct model_pair *pair);
/** Bytes of model.pairs: in use without the NUL, and allocated. */
struct model_pairs_size {
	size_t used, room;
};

/** model_pair_keep - put the item behind model.pairs, whose @size grows; -1: no memory. */
int model_pair_keep(struct pn_model *model, struct model_pairs_size *size,
		    const struct model_pair *pair);
/** model_quoted - "text" with its quotes and backslashes escaped, to be freed; NULL: no memory. */
char *model_quoted(const char *text);

/* ---- text files (text.c) ------------------------------------------------------------------- */

/** A whole file; bytes[count] is NUL, and no other byte is. */
struct model_text {
	const char *path;
	char *bytes;
	size_t count;
};

int model_text_read(struct model_text *text, const char *path, struct pn_error *err);
void model_text_free(struct model_text *text);

/** A place in it: where reading goes on, and the number of the line, from 1. */
struct model_cursor {
	const struct model_text *text;
	const char *p, *end;
	size_t line;
};

void model_cursor_init(struct model_cursor *cursor, const struct model_text *text);

static inline int model_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static inline int model_is_end(char c) /* of a line, or of the file */
{
	return c == '\n' || c == '\r' || c == 0;
}

static inline const char *model_skip_blanks(const char *p)
{
	while (model_is_blank(*p))
		p++;
	return p;
}

static inline const char *model_skip_word(const char *p)
{
	while (!model_is_blank(*p) && !model_is_end(*p))
		p++;
	return p;
}

static inline const char *model_line_end(const char *p)
{
	while (!model_is_end(*p))
		p++;
	return p;
}

/** model_next_line - from the end of a line to the beginning of the next. */
static inline void model_next_line(struct model_cursor *cursor)
{
	if (cursor->p == cursor->end)
		return;
	cursor->p += cursor->p[0] == '\r' && cursor->p[1] == '\n' ? 2 : 1;
	cursor->line++;
}

/* ---- files being written (part.c) ---------------------------------------------------------- */

/** A file under a temporary name. Zeroed to start. */
struct model_part {
	FILE *file;
	char *path;
	char *part; /* NULL: written in place */
};

/** model_part_open - open it; after a failure there is nothing to abandon. */
int model_part_open(struct model_part *out, const char *path, struct pn_error *err);
/** model_part_finish - flush, sync, rename; removed on failure. */
int model_part_finish(struct model_part *out, struct pn_error *err);
void model_part_abandon(struct model_part *out);

#endif
