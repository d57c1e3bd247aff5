/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xyz_priv.h - what the readers of the headers and the atoms of XYZ share. */
#ifndef PERRIN_FORMAT_XYZ_PRIV_H
#define PERRIN_FORMAT_XYZ_PRIV_H

#include "model_priv.h"

/* What a column of the file is for. */
enum xyz_use { XYZ_SPECIES, XYZ_POS, XYZ_COLUMN };

struct xyz_slot {
	enum xyz_use use;
	char name[PN_MODEL_NAME_MAX];
	char type;
	int components;
	size_t column; /* of the model, for XYZ_COLUMN */
};

/* One frame being read: its header, before there is a model to put it in. */
struct xyz_frame {
	struct model_cursor *at;
	struct pn_error *err;
	struct pn_model head;               /* cell, periodic, time, comment, pairs; no arrays */
	struct model_pairs_size pairs_size; /* of head.pairs */
	int has_properties, has_pbc, has_comment;
	struct xyz_slot slots[PN_MODEL_COLUMNS_MAX + 2];
	size_t slots_count;
	size_t words;          /* of a line of an atom */
	uint8_t known[32][32]; /* elements of the symbols that were met; 0: not met */
	uint64_t atoms;
};

/** xyz_wrong - PN_EFORMAT with path and line. */
int xyz_wrong(const struct xyz_frame *frame, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int xyz_no_memory(const struct xyz_frame *frame);
/** xyz_shown - for messages: the length of a word, 40 at most. */
int xyz_shown(const char *begin, const char *end);
/** xyz_truth - T, F, True, False in any case, 1, 0; -1 if it is none of them. */
int xyz_truth(const char *word, size_t length);

/** xyz_read_header - the header line into head; the cursor moves on to the first atom. */
int xyz_read_header(struct xyz_frame *frame);
/** xyz_default_slots - without Properties the first atom tells how many numbers follow its place.
 */
int xyz_default_slots(struct xyz_frame *frame);

#endif
