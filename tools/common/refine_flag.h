/* SPDX-License-Identifier: GPL-3.0-or-later */
/* refine_flag.h - what of the poses is refined, as --refine says it. */
#ifndef PERRIN_TOOLS_REFINE_FLAG_H
#define PERRIN_TOOLS_REFINE_FLAG_H

#include "perrin/base/status.h"

enum pn_refine_what { PN_REFINE_ANGLES = 1, PN_REFINE_SHIFTS = 2 };

/**
 * pn_refine_flag_parse - "angles", "shifts", "angles,shifts" in any order, or "none".
 *
 * @what: [out] bits of enum pn_refine_what; 0 for NULL, "" and "none"; untouched on an error
 *
 * Errors: PN_EARG with the word that is none of these, is there twice, or stands beside "none".
 */
int pn_refine_flag_parse(const char *text, unsigned *what, struct pn_error *err);

#endif
