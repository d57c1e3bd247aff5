/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/xyz.h - read and write extended XYZ, read plain XYZ. */
#ifndef PERRIN_FORMAT_XYZ_H
#define PERRIN_FORMAT_XYZ_H

#include "perrin/format/model.h"

#include <stdio.h>

/**
 * pn_xyz_read - read every frame of an XYZ file.
 *
 * A frame is a line with the number of atoms, a header line, and a line per atom. The header is
 * *extended* if it has the key Properties or Lattice, else the frame is *plain* and the header its
 * comment.
 *
 *	Properties  columns NAME:TYPE:COMPONENTS in any order; species (S or I, 1) and pos (R, 3)
 *	            must be among them, the others become columns. Without it: species and pos.
 *	Lattice     the cell, "ax ay az bx by bz cx cy cz" in A
 *	pbc         "T T F"; without it: periodic along all of the Lattice, if there is one
 *	Time        seconds
 *	comment     the comment
 *
 * All other pairs and words are kept as text in model.pairs. Keys may be quoted; "key=" with a pair
 * behind it has an empty value (ASE up to 3.22 takes that pair for the value). A plain frame has
 * lines "symbol x y z" in A; numbers behind, as many as the first atom has, become columns extra1,
 * extra2, ...
 *
 * Elements are symbols in any case ("PT" is Pt) or atomic numbers 1..103. Real columns may hold nan
 * and inf, coordinates may not. Logical values are T, F, True, False (in any case), 1 or 0. Numbers
 * are read as strtod does, with Fortran's D exponents too. Lines end with LF, CRLF or CR, mixed as
 * they come; tabs, blanks at the end, blank lines before and after frames, a byte-order mark of
 * UTF-8 and a last line without end are fine.
 *
 * @models: [out] [frames] caller frees with pn_models_free; NULL on failure
 * @frames: [out] at least 1, but a frame may have no atoms; 0 on failure
 *
 * Errors: PN_EFORMAT with path, line and the numbers: a count that is none or that the rest of the
 * file cannot hold (told before memory is asked for), unknown elements, lines with too few or too
 * many columns, text where a number is due, coordinates that are not finite, whole numbers from
 * 2^53 on, words of 32 bytes or more, Properties that are malformed or lack species or pos, two
 * columns of one name, two values of a key above, no frame at all, NUL bytes. PN_EUNSUPPORTED for
 * more than 256 columns or what is no regular file; PN_ENOMEM; what the file system says.
 *
 * Thread: reentrant. Allocates: the file as text besides the models. Cost: 0.2 us per atom of four
 * columns, 0.3 s for 10^6.
 * Ref: the XYZ format of XMOL; the extended XYZ specification of libAtoms (github.com/libAtoms).
 */
int pn_xyz_read(struct pn_model **models, size_t *frames, const char *path, struct pn_error *err);

/**
 * pn_xyz_put - write one frame of extended XYZ to a stream, whose errors the caller looks for again
 * when closing it.
 *
 * Numbers are the shortest text that reads back the same bits (a NaN as the one NaN). Element 0 is
 * written as X, which programs of the field take for an atom not known; pn_xyz_read refuses it.
 * Everything in a model that pn_xyz_read made comes back the same, the layout of the file does not.
 *
 * Errors: PN_EARG (nothing is written then, unless an atom is at fault) for coordinates, a cell or
 * a time that is infinite, a coordinate that is NaN, elements above 103, whole numbers that are
 * none, logical values other than 0 and 1, texts that are empty or hold blanks, names of columns
 * that would not read back, line breaks in the comment or the pairs; PN_EIO, PN_ENOSPC.
 *
 * Thread: reentrant. Cost: 0.5 us per atom, 0.2 us per further number.
 */
int pn_xyz_put(FILE *out, const struct pn_model *model, struct pn_error *err);

struct pn_xyz_writer; /* one file being written, for one thread at a time */

/**
 * pn_xyz_create - begin a file of frames. The bytes go to "<path>.part", which takes the name @path
 * when pn_xyz_finish has written everything: a file under @path is whole, or what was there before.
 * What is there and no regular file (a device) is written in place, "-" is standard output. One
 * writer per path at a time.
 *
 * @writer: [out] caller ends with pn_xyz_finish or pn_xyz_abandon; NULL on failure
 *
 * Errors: PN_ENOMEM, or what the file system says.
 */
int pn_xyz_create(struct pn_xyz_writer **writer, const char *path, struct pn_error *err);

/** pn_xyz_append - one more frame, as pn_xyz_put. After a failure every later call fails. */
int pn_xyz_append(struct pn_xyz_writer *writer, const struct pn_model *model, struct pn_error *err);

/**
 * pn_xyz_finish - bring all to the disk and give the file its name. **Consumes** the writer, on
 * failure too; a file that cannot be finished, or of which a frame failed, is removed. A file
 * without a frame is PN_EARG.
 */
int pn_xyz_finish(struct pn_xyz_writer *writer, struct pn_error *err);

/** pn_xyz_abandon - give up and remove what was written. **Consumes** the writer; NULL is fine. */
void pn_xyz_abandon(struct pn_xyz_writer *writer);

/** pn_xyz_write - a whole file of @frames models: create, append, finish. */
int pn_xyz_write(const char *path, const struct pn_model *models, size_t frames,
		 struct pn_error *err);

#endif
