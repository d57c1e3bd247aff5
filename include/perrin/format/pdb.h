/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/pdb.h - read atoms from Protein Data Bank files. */
#ifndef PERRIN_FORMAT_PDB_H
#define PERRIN_FORMAT_PDB_H

#include "perrin/format/model.h"

/**
 * pn_pdb_read - read the ATOM and HETATM records of a PDB file.
 *
 * Fields stand at fixed columns: x 31-38, y 39-46, z 47-54 in A, occupancy 55-60 and B 61-66 (the
 * columns "occupancy" and "B" of the model; NaN for an atom that leaves its field blank, no column
 * if all do). The element is the symbol in columns 77-78, in any case and either side.
 *
 * If these are blank, missing, or hold digits (the line numbers of old files), the element comes
 * from the atom's name in columns 13-16, whose symbol is right-justified in 13-14: "PT  " is
 * platinum, " CA " of a residue is carbon, "1HB " and its "HG11" are hydrogen. Sloppy writers shift
 * names by one: " AU " is gold, as A is no element. A name with two readings, such as " PT " (P or
 * Pt), is refused unless columns 18-20 name an amino acid, a nucleotide or water, where the rule is
 * kept to.
 *
 * MODEL, ENDMDL and END begin and end frames; TER, REMARK, CRYST1 and all other records are
 * skipped. Lines end with LF, CRLF or CR. Serial numbers, residues, chains and alternate places are
 * not kept.
 *
 * @models: [out] [frames] caller frees with pn_models_free; NULL on failure
 * @frames: [out] at least 1, each with an atom; 0 on failure
 *
 * Errors: PN_EFORMAT with path, line and the field: atoms' lines that end before column 54, hold a
 * tab, or are shifted so that x begins before its field or the symbol goes on beside 77-78; fields
 * that are no finite number, no element, a MODEL or a file without atoms, NUL bytes.
 * PN_EUNSUPPORTED for what is no regular file; PN_ENOMEM; what the file system says.
 *
 * Thread: reentrant. Cost: 1 us per atom.
 * Ref: wwPDB, Atomic Coordinate Entry Format Version 3.3, section 9.
 */
int pn_pdb_read(struct pn_model **models, size_t *frames, const char *path, struct pn_error *err);

#endif
