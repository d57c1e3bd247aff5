/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/stack.h - stacks of 2-D images in files, whatever their format. */
#ifndef PERRIN_FORMAT_STACK_H
#define PERRIN_FORMAT_STACK_H

#include "perrin/base/dtype.h"
#include "perrin/base/status.h"

#include <stdint.h>

/** What a stack holds: count images of ny rows of nx pixels, C order [count][ny][nx]. */
struct pn_stack_info {
	enum pn_dtype dtype; /* of the pixels as pn_stack_read hands them out          */
	uint64_t count, ny, nx;
	double pixel_pm; /* pixels are taken as square; 0: the file does not say        */
	char format[16]; /* "npy", "mrc", "tiff"; only read: "dm3", "dm4", "ser", "emd" */
};

struct pn_stack;        /* one open file, for one thread at a time */
struct pn_stack_writer; /* one file being written, for one thread at a time */

/**
 * pn_stack_open - open a file of images for reading.
 *
 * The format is told by content; the extension only decides whose error message is shown, and
 * whether an MRC file that lacks its magic may be longer than its header says. Every size the file
 * declares is checked against the size of the file before anything is allocated, so that an
 * uncompressed stack never claims more images than the file holds. Bytes after the last image are
 * ignored.
 *
 * npy:  versions 1, 2, 3; u1 i1 b1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8, either byte order; [y][x] is one
 *       image, leading axes of 3-D and 4-D arrays are flattened into the count. Fortran order,
 *       fewer than 2 and more than 4 axes are refused. f2 is handed out as f32, b1 as u8.
 * mrc:  MRC2014 modes 0 1 2 3 4 6 12 101, either byte order, with extended header, with or without
 *       the "MAP " magic. Mode 0 is signed unless IMOD's stamp says otherwise. Mode 3 (complex of
 *       int16) is handed out as c64, 12 (float16) as f32, 101 (4 bits) as u8. A volume is read as
 *       its sections. Rows as stored, no flip.
 * tiff: TIFF and BigTIFF, grey, one sample of 8 to 64 bits per pixel, any compression libtiff was
 *       built with (but not old-style JPEG); all pages of one shape and type. ImageJ's stacks of
 *       one directory ("images=N") are read whole. Values as stored: neither photometric
 *       interpretation nor orientation is applied. The pixel size comes from the description
 *       (ImageJ's unit=, our pixel_pm=), else from the resolution in cm or inch.
 * dm3, dm4: Gatan DigitalMicrograph 3 and 4, either byte order; 2 or 3 axes of integers or floats
 *       of 8 to 64 bits; complex and colors are refused. Of several images that which is no
 *       thumbnail, has no colors, is the largest, and comes last, in this order.
 * ser:  FEI TIA, versions 0x210 and 0x220; images (no spectra) of 8 to 64 bits, all of one shape
 *       and type; those recorded of those asked for. TIA's files begin with the bottom row: it is
 *       handed out last, as TIA shows it.
 * emd:  HDF5 in two layouts. Berkeley: the array of 2 to 4 axes in a group with emd_group_type;
 *       where the names of its dim vectors say x and y these are the images' axes, else the last
 *       two; the other axes are flattened into the count. Velox: /Data/Image/<hash>/Data
 *       [y][x][frame]. Integers and floats of 8 to 64 bits, either byte order; f2 is handed out as
 *       f32. Any chunks, deflate, shuffle, szip and so on, but no plug-ins, no data in other files.
 *       Of several arrays in one file, the one by a HAADF detector (Velox) or none: the error names
 *       them all.
 *
 * The pixel size of dm3, dm4, ser and emd is 0 if x and y differ by more than 1 %, or if the unit
 * is none of length.
 *
 * @stack: [out] caller closes with pn_stack_close; NULL on failure
 * @err:   [out] may be NULL
 *
 * Returns PN_OK, PN_ENOENT, PN_EPERM, PN_EIO, PN_ENOMEM; PN_EFORMAT if the bytes are not what they
 * claim to be; PN_EUNSUPPORTED if they are, but Perrin does not read them.
 *
 * Thread: reentrant; one stack belongs to one thread at a time. Cost: one read of the header; TIFF:
 * one look at every page; ser: one at every image.
 * Ref: NumPy Enhancement Proposal 1 (npy); Cheng et al. 2015, J. Struct. Biol. 192, 146 (MRC2014);
 * IMOD's mrc_format (imodStamp, modes 3 and 101); TIFF 6.0. DigitalMicrograph, TIA and Velox are
 * not documented by their makers: as their files are, and as ncempy and HyperSpy read them.
 */
int pn_stack_open(struct pn_stack **stack, const char *path, struct pn_error *err);

/** pn_stack_info - what the stack holds; borrowed until pn_stack_close. */
const struct pn_stack_info *pn_stack_info(const struct pn_stack *stack);

/**
 * pn_stack_read - read one image, in any order.
 *
 * @index: 0 .. info.count - 1
 * @dst:   [out] info.dtype [ny][nx], native byte order, aligned as its type
 *
 * Returns PN_OK; PN_EARG for an index out of range; PN_EIO or PN_EFORMAT if the data cannot be read
 * or decoded (dst is undefined then).
 *
 * Allocates: TIFF: what the codec needs, one tile; EMD: the chunks of one image, up to 1 GiB. Cost:
 * one read of the image, whatever its index; EMD: all chunks it lies in are decoded (once, if the
 * stack is read in order), and an array whose images are not in one piece is read through for each.
 * EMD stacks of all threads wait for each other.
 */
int pn_stack_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err);

/** pn_stack_close - NULL is fine. */
void pn_stack_close(struct pn_stack *stack);

/**
 * pn_stack_create - begin a file of images.
 *
 * The bytes go to "<path>.part", which takes the name @path only when pn_stack_finish has written
 * everything: a file under @path is whole, or what was there before. (If @path is there already and
 * is no regular file, a device say, it is written in place.) One writer per path at a time.
 *
 * @info: [in] dtype, ny, nx, format; pixel_pm if known. count is the number of images expected, 0
 *        if unknown; it binds nothing, but a TIFF of unknown or large size becomes a BigTIFF.
 *
 * npy:  [count][ny][nx], every dtype; the pixel size is lost.
 * mrc:  u8 and i8 as mode 0 with IMOD's stamp, i16 mode 1, f32 mode 2, c64 mode 4, u16 mode 6;
 *       u32 i32 u64 i64 f64 as mode 2 if every value is a float32, else pn_stack_write refuses.
 * tiff: every dtype but c64, uncompressed.
 *
 * Returns PN_OK, PN_EARG, PN_EUNSUPPORTED (a type or size the format cannot hold), PN_ENOMEM, or
 * what the file system says. Caller ends with pn_stack_finish or pn_stack_abandon.
 */
int pn_stack_create(struct pn_stack_writer **writer, const char *path,
		    const struct pn_stack_info *info, struct pn_error *err);

/**
 * pn_stack_write - append one image.
 *
 * @image: [in] info.dtype [ny][nx]
 *
 * Returns PN_OK; PN_ENOSPC or PN_EIO with the number of bytes that were written (every later call
 * fails then); PN_EUNSUPPORTED if the format cannot hold these values (nothing is written then, and
 * the writer goes on).
 */
int pn_stack_write(struct pn_stack_writer *writer, const void *image, struct pn_error *err);

/**
 * pn_stack_finish - complete the header, bring all to the disk, give the file its name.
 *
 * **Consumes** the writer, on failure too; a file that cannot be finished is removed. No image at
 * all is PN_EARG: none of the formats has a good empty stack.
 */
int pn_stack_finish(struct pn_stack_writer *writer, struct pn_error *err);

/** pn_stack_abandon - give up and remove what was written. **Consumes** the writer; NULL is fine.
 */
void pn_stack_abandon(struct pn_stack_writer *writer);

#endif
