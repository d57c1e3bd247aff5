/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tables.h - what the CSV tables of a series share. */
#ifndef PERRIN_TOOLS_COMPARE_TABLES_H
#define PERRIN_TOOLS_COMPARE_TABLES_H

#include "compare/compare.h"
#include "perrin/format/csv.h"

#include <math.h>

/** table_number - a cell; NaN is an empty one. */
static inline void table_number(struct pn_csv *csv, double value)
{
	if (isnan(value))
		pn_csv_empty(csv);
	else
		pn_csv_f64(csv, value);
}

/** table_close - finish, or leave as it is after an error. */
static inline int table_close(struct pn_csv *csv, int rc, struct pn_error *err)
{
	if (rc) {
		pn_csv_abandon(csv);
		return rc;
	}
	return pn_csv_finish(csv, err);
}

/** What became of the atoms. */
int table_fates(const char *path, const struct compare_particle *p, struct pn_error *err);
int table_changes(const char *path, const struct compare_particle *p, struct pn_error *err);
/** table_pairs - from model @k (counted from 0) to the next. */
int table_pairs(const char *path, const struct compare_particle *p, size_t k, struct pn_error *err);

#endif
