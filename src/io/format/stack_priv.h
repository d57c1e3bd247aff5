/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stack_priv.h - what the formats of image stacks share; used inside this folder only. */
#ifndef PERRIN_FORMAT_STACK_PRIV_H
#define PERRIN_FORMAT_STACK_PRIV_H

#include "perrin/format/stack.h"

#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "payloads are little-endian");

#define STACK_HEAD_BYTES 1024 /* enough to tell every format */

/** The beginning of a file, for telling its format. */
struct stack_head {
	uint8_t bytes[STACK_HEAD_BYTES];
	size_t count; /* bytes read, less than STACK_HEAD_BYTES only for a short file */
	uint64_t file_bytes;
	int hinted; /* the extension is one of this format */
};

/** How pixels lie in the file, where that is not a dtype of its own. */
enum stack_stored {
	STACK_PLAIN,  /* as info.dtype, up to byte order                                  */
	STACK_F16,    /* IEEE half floats, handed out as f32                              */
	STACK_CI16,   /* pairs of int16, handed out as c64                                */
	STACK_NIBBLE, /* two pixels a byte, the low four bits first, rows padded to bytes */
};

/** Uncompressed images back to back, from an offset on. */
struct stack_raw {
	enum stack_stored stored;
	int swap;             /* the file has the other byte order */
	uint64_t offset;      /* of the first image, bytes         */
	uint64_t image_bytes; /* as stored; set by stack_raw_check */
};

struct pn_stack {
	const struct stack_reader *ops;
	struct pn_stack_info info;
	char *path;
	int fd;
	uint64_t file_bytes;
	void *state; /* ops->state_bytes, zeroed */
};

/**
 * One format, read. match sees the head only. open fills info (all but format) and state; close
 * runs after a failed open too. read is called with an index in range.
 */
struct stack_reader {
	const char *name;
	const char *extensions; /* " .a .b ", lower case */
	size_t state_bytes;
	int (*match)(const struct stack_head *head);
	int (*open)(struct pn_stack *stack, struct pn_error *err);
	int (*read)(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err);
	void (*close)(struct pn_stack *stack); /* may be NULL */
};

struct pn_stack_writer {
	const struct stack_writer *ops;
	struct pn_stack_info info; /* count as expected */
	uint64_t count;            /* images written    */
	uint64_t image_bytes;
	uint64_t bytes; /* written so far, header included */
	char *path;
	char *part; /* NULL: written in place */
	int fd;
	int failed; /* a write went wrong: nothing more is written */
	void *state;
};

/**
 * One format, written. begin checks the info and may write a header; finish completes it. close
 * frees, after success and failure alike, also after a failed begin.
 */
struct stack_writer {
	const char *name;
	size_t state_bytes;
	int (*begin)(struct pn_stack_writer *writer, struct pn_error *err);
	int (*write)(struct pn_stack_writer *writer, const void *image, struct pn_error *err);
	int (*finish)(struct pn_stack_writer *writer, struct pn_error *err);
	void (*close)(struct pn_stack_writer *writer); /* may be NULL */
};

extern const struct stack_reader stack_npy_reader, stack_mrc_reader, stack_tiff_reader;
extern const struct stack_reader stack_dm3_reader, stack_dm4_reader, stack_ser_reader;
extern const struct stack_reader stack_emd_reader;
extern const struct stack_writer stack_npy_writer, stack_mrc_writer, stack_tiff_writer;

/** stack_get - read exactly @count bytes at @offset; a shorter file is PN_EFORMAT. */
int stack_get(struct pn_stack *stack, void *dst, uint64_t count, uint64_t offset,
	      struct pn_error *err);

/**
 * stack_raw_check - set raw->image_bytes and hold info and raw->offset against the file: shapes
 * without pixels, products that overflow and images that are not there are PN_EFORMAT.
 */
int stack_raw_check(struct pn_stack *stack, struct stack_raw *raw, struct pn_error *err);

/** stack_raw_read - one image of a checked raw stack, converted to info.dtype. */
int stack_raw_read(struct pn_stack *stack, const struct stack_raw *raw, uint64_t index, void *dst,
		   struct pn_error *err);

/** stack_unit_pm - picometers in a unit of length as programs spell it; 0: it is none. */
double stack_unit_pm(const char *unit);

/** stack_square_pm - the size of a pixel that is square to 1 %; 0 if it is not, or not known. */
double stack_square_pm(double x_pm, double y_pm);

/** What the metadata of one of Velox's images say of it. */
struct velox_image {
	char detector[32]; /* "" if they do not say */
	double pixel_pm;   /* 0 if they do not say  */
};

/** velox_describe - take it from the JSON text (velox.c); whatever cannot be read stays unknown. */
void velox_describe(struct velox_image *image, const char *json);

/** stack_put - write exactly @count bytes at @offset; on failure the writer is failed. */
int stack_put(struct pn_stack_writer *writer, const void *src, uint64_t count, uint64_t offset,
	      struct pn_error *err);

/** stack_put_failed - mark the writer failed and tell errno @errnum with the bytes written. */
int stack_put_failed(struct pn_stack_writer *writer, int errnum, struct pn_error *err);

#endif
