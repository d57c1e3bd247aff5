/* SPDX-License-Identifier: GPL-3.0-or-later */
/* model_kit.h - what the tests of the atomic models share. */
#ifndef PERRIN_MODEL_KIT_H
#define PERRIN_MODEL_KIT_H

#include "perrin/format/model.h"

#include "testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Models of a file; frees itself with kit_free. */
struct kit_models {
	struct pn_model *models;
	size_t frames;
};

static inline int kit_same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

/* a file of this text; the path in a rotating buffer */
static inline const char *kit_file(const char *name, const char *text)
{
	static const char *dir;

	dir = dir ? dir : testkit_tempdir();
	const char *path = testkit_path(dir, name);
	testkit_write(path, text, strlen(text));
	return path;
}

/* fails the test with the error's text */
static inline struct kit_models kit_open(const char *path)
{
	struct pn_error err = { 0 };
	struct kit_models kit;

	if (pn_model_open(&kit.models, &kit.frames, path, &err) != PN_OK)
		fail_msg("%s", err.text);
	assert_non_null(kit.models);
	assert_true(kit.frames >= 1);
	return kit;
}

static inline struct kit_models kit_text(const char *name, const char *text)
{
	return kit_open(kit_file(name, text));
}

static inline void kit_free(struct kit_models *kit)
{
	pn_models_free(kit->models, kit->frames);
	*kit = (struct kit_models){ 0 };
}

/* opening has to fail with this code, with the file's name and these words */
static inline void kit_refuses(const char *path, int code, const char *words)
{
	struct pn_error err = { 0 };
	struct pn_model *models = (void *)&err;
	size_t frames = 7;
	int status = pn_model_open(&models, &frames, path, &err);

	if (status != code || err.code != code || models || frames || !strstr(err.text, words) ||
	    !strstr(err.text, path))
		fail_msg("%s: got %s \"%s\", want %s \"%s\"", path, pn_status_name(status),
			 err.text, pn_status_name(code), words);
}

static inline void kit_refuses_text(const char *name, const char *text, const char *words)
{
	kit_refuses(kit_file(name, text), PN_EFORMAT, words);
}

static inline void kit_same_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static inline void kit_same_column(const struct pn_model_column *a, const struct pn_model_column *b,
				   size_t atoms)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->components, b->components);
	for (size_t i = 0; i < atoms * (size_t)a->components; i++) {
		if (a->type == 'S')
			assert_string_equal(a->text[i], b->text[i]);
		else
			assert_true(kit_same_bits(a->values[i], b->values[i]));
	}
}

/* everything, to the bit */
static inline void kit_same_model(const struct pn_model *a, const struct pn_model *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert_int_equal(a->element[i], b->element[i]);
		for (int k = 0; k < 3; k++)
			assert_true(kit_same_bits(a->position_A[i][k], b->position_A[i][k]));
	}
	assert_int_equal(a->has_cell, b->has_cell);
	assert_memory_equal(a->cell_A, b->cell_A, sizeof a->cell_A);
	assert_memory_equal(a->periodic, b->periodic, sizeof a->periodic);
	assert_true(kit_same_bits(a->time_s, b->time_s));
	kit_same_text(a->comment, b->comment);
	kit_same_text(a->pairs, b->pairs);
	assert_int_equal(a->columns_count, b->columns_count);
	for (size_t c = 0; c < a->columns_count; c++)
		kit_same_column(&a->columns[c], &b->columns[c], a->count);
}

#endif
