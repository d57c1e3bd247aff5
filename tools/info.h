/* SPDX-License-Identifier: GPL-3.0-or-later */
/* info.h - the part of `perrin info` that is about streams. */
#ifndef PERRIN_TOOLS_INFO_H
#define PERRIN_TOOLS_INFO_H

#include "common/text.h"
#include "perrin/base/json.h"

/**
 * pn_info_streams - the streams of a session, or the one that a path is, as rows of @table or
 * members of the open array of @json; the other is NULL.
 *
 * A stream that cannot be read is told of, and the rest goes on: PN_EXIT_FAILED then.
 */
int pn_info_streams(const char *path, struct pn_table *table, struct pn_json *json,
		    struct pn_error *err);

/** pn_info_print_streams - the same as a table on standard output. */
int pn_info_print_streams(const char *path, struct pn_error *err);

#endif
