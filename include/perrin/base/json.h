/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/json.h - write JSON; what comes out is always well-formed. */
#ifndef PERRIN_BASE_JSON_H
#define PERRIN_BASE_JSON_H

#include <stdint.h>
#include <stdio.h>

#define PN_JSON_DEPTH_MAX 16

/** A writer on a FILE; commas and nesting are kept by the writer. Zero .out and .depth to start. */
struct pn_json {
	FILE *out;
	int pretty;                       /* 1: newlines and two spaces per level          */
	int depth;
	char close[PN_JSON_DEPTH_MAX];    /* '}' or ']' per open level                     */
	unsigned count[PN_JSON_DEPTH_MAX + 1]; /* values written at each level             */
};

void pn_json_init(struct pn_json *json, FILE *out, int pretty);

/** In an object every value takes a key; in an array or at the top level key is NULL. */
void pn_json_object(struct pn_json *json, const char *key);
void pn_json_array(struct pn_json *json, const char *key);
/** pn_json_end - close the innermost object or array; a newline follows the outermost. */
void pn_json_end(struct pn_json *json);
void pn_json_text(struct pn_json *json, const char *key, const char *value); /* NULL: null */
void pn_json_i64(struct pn_json *json, const char *key, int64_t value);
void pn_json_u64(struct pn_json *json, const char *key, uint64_t value);
/** pn_json_f64 - shortest text that reads back the same; NaN and infinities become null. */
void pn_json_f64(struct pn_json *json, const char *key, double value);
void pn_json_bool(struct pn_json *json, const char *key, int value);

#endif
