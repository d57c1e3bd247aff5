/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/atoms.h - an atomic model as the kernels of this folder see it. */
#ifndef PERRIN_ATOMS_ATOMS_H
#define PERRIN_ATOMS_ATOMS_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What holds for every kernel of this folder, unless it says otherwise:
 *
 * - Positions are finite and in A, elements are atomic numbers 1..103; pn_atoms_check says so once,
 *   the kernels rely on it. Atoms float in vacuum: nothing is periodic.
 * - Arrays with one entry per atom are in the order of the atoms. Where a quantity does not exist
 *   (no neighbours, too few atoms) its value is NaN, and the count of what it was made from is 0.
 * - @threads >= 1 is how many threads may work at it; the bytes of the result do not depend on it.
 *   No scalar depends on where the model lies, how it is turned, or how its atoms are numbered, but
 *   for rounding.
 * - Reentrant; no globals, no files.
 */

/** A view of a model: the arrays belong to the caller and are only read. */
struct pn_atoms {
	const double (*position_A)[3]; /* [count] x, y, z */
	const uint8_t *element;        /* [count] atomic numbers */
	size_t count;
};

/**
 * pn_atoms_check - that a model can be analysed: at least one atom, at most 2^31, every coordinate
 * finite and below 1e6 A, elements known.
 *
 * Errors: PN_EFORMAT, naming the atom (counted from 1) and the number. Cost: one pass.
 */
int pn_atoms_check(const struct pn_atoms *atoms, struct pn_error *err);

#endif
