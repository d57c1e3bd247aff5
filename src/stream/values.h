/* SPDX-License-Identifier: GPL-3.0-or-later */
/* values.h - the values of a head's struct, by its table. Used inside src/stream only. */
#ifndef PERRIN_STREAM_VALUES_H
#define PERRIN_STREAM_VALUES_H

#include "perrin/stream/head.h"

static inline const void *pn_value_at(const struct pn_field *field, const void *head)
{
	return (const char *)head + field->off;
}

/** pn_value_count - elements in an array field. */
static inline uint64_t pn_value_count(const struct pn_field *field, const void *head)
{
	return *(const uint64_t *)((const char *)head + field->count_off);
}

/** pn_value_dtype - NumPy's name as it goes over the wire; NULL for an unknown type. */
const char *pn_value_dtype(enum pn_dtype dtype);

/** pn_value_word - the word of that number; NULL if the field has none. */
const char *pn_value_word(const struct pn_field *field, int word);

#endif
