/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/model.h - atomic models in files: positions, elements, columns of per-atom values.
 */
#ifndef PERRIN_FORMAT_MODEL_H
#define PERRIN_FORMAT_MODEL_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_MODEL_NAME_MAX       64  /* bytes of a column's name, its NUL included */
#define PN_MODEL_TEXT_MAX       32  /* bytes of one text of a column, its NUL included */
#define PN_MODEL_COMPONENTS_MAX 9   /* numbers per atom in one column */
#define PN_MODEL_COLUMNS_MAX    256 /* of one model */

/**
 * Values of every atom beside its position and element. Type, as in extended XYZ:
 *
 *	'R'  real numbers; NaN where a quantity does not exist
 *	'I'  whole numbers below 2^53, which a double holds exactly
 *	'L'  0 or 1
 *	'S'  words: 1..31 bytes without blanks
 */
struct pn_model_column {
	char name[PN_MODEL_NAME_MAX];
	int components; /* 1..9 */
	char type;
	double *values;                  /* R, I, L: [atoms][components]; S: NULL */
	char (*text)[PN_MODEL_TEXT_MAX]; /* S: [atoms][components]; R, I, L: NULL */
};

/**
 * One model, or one frame of a file of several. Made by pn_model_create or a reader, which own
 * every array through it; freed by pn_model_destroy or pn_models_free. The entries of the arrays
 * are the caller's to change, the pointers and counts are not: use the functions.
 */
struct pn_model {
	size_t count;                    /* atoms; 0 is a model too */
	double (*position_A)[3];         /* [count] x, y, z */
	uint8_t *element;                /* [count] atomic numbers 1..103; 0 = not known */
	struct pn_model_column *columns; /* [columns_count] */
	size_t columns_count;
	int has_cell;
	double cell_A[3][3]; /* rows are the vectors a, b, c; zero without a cell */
	int periodic[3];     /* along a, b, c */
	double time_s;       /* NaN: not said */
	char *comment;       /* one line of free text; NULL: none */
	char *pairs;         /* other "key=value" pairs and words, blanks between; NULL: none */
};

/**
 * pn_model_create - a model of @count atoms: positions and elements 0, no columns, no cell, no
 * time.
 *
 * @model: [out] caller owns; NULL on failure
 *
 * Errors: PN_ENOMEM, also for a count that no memory holds. Thread: reentrant.
 */
int pn_model_create(struct pn_model **model, size_t count, struct pn_error *err);

/** pn_model_destroy - free what pn_model_create made; NULL is fine. */
void pn_model_destroy(struct pn_model *model);

/** pn_models_free - free the @frames models of a reader, one array; NULL is fine. */
void pn_models_free(struct pn_model *models, size_t frames);

/**
 * pn_model_add_column - one more column, its values 0 and its texts empty.
 *
 * @name:       letters, digits and _ only, 1..63 of them, as every reader of the format takes them;
 *              not "pos", "species" or the name of another column
 * @type:       'R', 'I', 'L' or 'S'
 * @components: 1..9
 * @column:     [out] borrowed until the next column is added (its arrays until the model is freed);
 *              may be NULL
 *
 * Errors: PN_EARG, PN_EEXIST, PN_ENOMEM; the model is as before then.
 */
int pn_model_add_column(struct pn_model *model, const char *name, char type, int components,
			struct pn_model_column **column, struct pn_error *err);

/** pn_model_find_column - the column of this name, borrowed as above; NULL if there is none. */
struct pn_model_column *pn_model_find_column(const struct pn_model *model, const char *name);

/**
 * pn_model_set_comment - replace the comment by a copy of @text; NULL or "": none.
 *
 * Errors: PN_EARG for a text with a line break, PN_ENOMEM.
 */
int pn_model_set_comment(struct pn_model *model, const char *text, struct pn_error *err);

/**
 * pn_model_add_pair - one more "key=value" for the header of the frame.
 *
 * @key:   letters, digits and _ only; none that the format or the model gives a meaning:
 * Properties, Lattice, pbc, Time, comment
 * @value: one line; quoted where it needs to be
 *
 * Errors: PN_EARG, PN_EEXIST (a pair of this key is there), PN_ENOMEM.
 */
int pn_model_add_pair(struct pn_model *model, const char *key, const char *value,
		      struct pn_error *err);

/**
 * pn_model_pair - the value of a pair, without its quotes.
 *
 * @value: [out] [room] NUL-terminated
 *
 * Returns PN_OK; PN_ENOENT if there is no such pair; PN_EARG if it does not fit @room. No error
 * text. Cost: one pass over the pairs.
 */
int pn_model_pair(const struct pn_model *model, const char *key, char *value, size_t room);

/**
 * pn_model_open - read every frame of a file of atoms; the extension tells the format, in upper or
 * lower case: .xyz .extxyz (perrin/format/xyz.h), .pdb .ent (perrin/format/pdb.h).
 *
 * @models: [out] [frames] caller frees with pn_models_free; NULL on failure
 * @frames: [out] at least 1; 0 on failure
 *
 * Errors: PN_EUNSUPPORTED for another extension, and those of the readers.
 */
int pn_model_open(struct pn_model **models, size_t *frames, const char *path, struct pn_error *err);

#endif
