/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pack.h - a look at msgpack bytes before msgpack-c gets them: it allocates what an array or a map
 * declares, so that five hostile bytes ask for a hundred gigabytes. Used inside src/stream only.
 */
#ifndef PERRIN_STREAM_PACK_H
#define PERRIN_STREAM_PACK_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_PACK_FIELDS_MAX 64 /* keys of a map; also what one uint64_t can mark as seen */

enum pn_token_kind { PN_TOKEN_SCALAR, PN_TOKEN_TEXT, PN_TOKEN_ARRAY, PN_TOKEN_MAP, PN_TOKEN_BAD };

/** One msgpack token: a value without what an array or a map contains. */
struct pn_token {
	enum pn_token_kind kind;
	uint64_t count;   /* text: bytes; array: values; map: pairs of values */
	const char *text; /* borrowed from the bytes, not NUL-terminated      */
};

/**
 * pn_token_next - read the token at *@off and go past it.
 *
 * kind is PN_TOKEN_BAD if the bytes end within it or its type is one no head has (binary,
 * extension, the unused 0xc1); *@off then stays at its first byte.
 */
struct pn_token pn_token_next(const void *buf, size_t bytes, size_t *off);

/**
 * pn_pack_scan - is this one map of scalars, texts and arrays of scalars, with nothing behind it?
 *
 * Nothing is allocated. What passes costs msgpack-c at most some 50 bytes of memory per byte.
 * Errors: PN_EFRAME with the place.
 */
int pn_pack_scan(const void *buf, size_t bytes, struct pn_error *err);

#endif
