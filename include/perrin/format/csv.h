/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/csv.h - write tables as comma-separated values. */
#ifndef PERRIN_FORMAT_CSV_H
#define PERRIN_FORMAT_CSV_H

#include "perrin/base/status.h"

#include <stdint.h>

struct pn_csv; /* one table being written, for one thread at a time */

/**
 * pn_csv_create - begin a table; the first line is the names of the columns.
 *
 * Cells are quoted as RFC 4180 says (those that hold a comma, a quote or a line break, and empty
 * texts); lines end with LF. Numbers are the shortest text that reads back the same; nan, inf and
 * -inf are written so. The decimal point is a point if the program left LC_NUMERIC alone.
 *
 * @csv:   [out] caller ends with pn_csv_finish or pn_csv_abandon; NULL on failure
 * @path:  "-" is standard output
 * @names: [in] [column_count], borrowed for the call
 *
 * Returns PN_OK, PN_EARG for no columns, PN_ENOMEM, or what the file system says.
 */
int pn_csv_create(struct pn_csv **csv, const char *path, const char *const *names,
		  unsigned column_count, struct pn_error *err);

/** One cell each, from the first column on. What goes wrong is told by pn_csv_end_row. */
void pn_csv_text(struct pn_csv *csv, const char *value); /* NULL: an empty cell */
void pn_csv_u64(struct pn_csv *csv, uint64_t value);
void pn_csv_i64(struct pn_csv *csv, int64_t value);
void pn_csv_f64(struct pn_csv *csv, double value);
void pn_csv_f32(struct pn_csv *csv, float value);
void pn_csv_empty(struct pn_csv *csv);

/**
 * pn_csv_end_row - end the row.
 *
 * Returns PN_OK; PN_EARG if the row has not as many cells as the table has columns; PN_EIO or
 * PN_ENOSPC if writing failed. Every later call fails the same way.
 */
int pn_csv_end_row(struct pn_csv *csv, struct pn_error *err);

/**
 * pn_csv_finish - bring the table to the disk. **Consumes** the writer, on failure too. A row that
 * was begun and not ended is PN_EARG. After a failure the file stays: its whole lines are right.
 */
int pn_csv_finish(struct pn_csv *csv, struct pn_error *err);

/** pn_csv_abandon - close and leave the file as it is. **Consumes** the writer; NULL is fine. */
void pn_csv_abandon(struct pn_csv *csv);

#endif
