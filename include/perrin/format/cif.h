/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/cif.h - write a model as a CIF without symmetry (P1). */
#ifndef PERRIN_FORMAT_CIF_H
#define PERRIN_FORMAT_CIF_H

#include "perrin/format/model.h"

/**
 * pn_cif_write - write one model in space group P1: cell lengths and angles, and per atom a label
 * (symbol and number, "Pt1"), symbol, fractional coordinates, occupancy.
 *
 * The cell is that of the model; fractions are along its vectors from the origin and are not folded
 * into it. Without one it is the box around the atoms with @margin_A of vacuum on each side, its
 * corner at fraction 0: distances are kept, the place is not. Numbers are the shortest text that
 * reads back the same. Occupancy is the real column "occupancy" if there is one ("?" for NaN), else
 * 1. Other columns are not written.
 *
 * @path:     "-" is standard output; else written as "<path>.part" and renamed when whole
 * @margin_A: >= 0; not looked at if the model has a cell
 *
 * Errors: PN_EARG: no atoms, a coordinate that is not finite, an element outside 1..103, a margin
 * that is negative or not finite, a box without volume (one atom or flat model without a margin), a
 * cell without volume or left-handed (lengths and angles alone would mirror the model). PN_ENOMEM,
 * or what the file system says. Nothing is left under @path after an error.
 *
 * Thread: reentrant. Cost: 0.7 us per atom.
 * Ref: Hall, Allen and Brown 1991, Acta Cryst. A47, 655; names of the core dictionary.
 */
int pn_cif_write(const char *path, const struct pn_model *model, double margin_A,
		 struct pn_error *err);

#endif
