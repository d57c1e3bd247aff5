/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text.h - numbers and paths as people and URIs want them. */
#ifndef PERRIN_TOOLS_TEXT_H
#define PERRIN_TOOLS_TEXT_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PN_TEXT_SHORT 32 /* bytes that the texts below need at most */

/** pn_text_bytes - "512 B", "2.6 MiB"; returns @buf. */
char *pn_text_bytes(char buf[PN_TEXT_SHORT], double bytes);

/** pn_text_duration - "0.35 s", "4 min 12 s", "3 h 05 min". */
char *pn_text_duration(char buf[PN_TEXT_SHORT], int64_t duration_ns);

/** pn_text_rate - "399", "4.2", "12.5k": per second, four figures at most. */
char *pn_text_rate(char buf[PN_TEXT_SHORT], double per_s);

/** pn_text_fixed - @digits after the point; "-" for NaN. */
char *pn_text_fixed(char buf[PN_TEXT_SHORT], double value, int digits);

/**
 * pn_text_escape - append @text to a URI in @uri of @size bytes, %XX for what a URI keeps for
 * itself. PN_EARG if it does not fit.
 */
int pn_text_escape(char *uri, size_t size, const char *text, struct pn_error *err);

/** pn_text_append - append as it is. PN_EARG if it does not fit. */
int pn_text_append(char *buf, size_t size, const char *text, struct pn_error *err);

/**
 * A table of texts, printed when it is whole. Columns are named by "a|b|<c": '<' sets it to the
 * left. Caller destroys. A table without memory prints what it got.
 */
struct pn_table;
struct pn_table *pn_table_create(const char *columns);
void pn_table_cell(struct pn_table *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void pn_table_print(const struct pn_table *table, FILE *out);
void pn_table_destroy(struct pn_table *table);

#endif
