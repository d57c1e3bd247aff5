/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/format/weights.h - weights of a blind-spot network, with all that is needed to use them
 * and to tell where they come from; the same bytes in a file and in a record of the stream
 * `weights`.
 *
 * Layout, little-endian:
 *
 *	0   char[8]  "PNWEIGHT"
 *	8   u32      version, 1
 *	12  u32      bytes of the head
 *	16  u64      number of parameters
 *	24  head     a msgpack map as in perrin/stream/head.h: "type" is "weights", "v" is 1, then
 * in any order network_NAME (the fields of pn_net_spec), offset, scale, train_NAME (those of
 *	             pn_train_settings), steps, frames, first_frame, last_frame, source, perrin,
 *	             loss, validation, and the arrays curve_step and curve_loss, of equal length.
 * Yes or no is written as "yes" or "no", what is not known as nil
 *	..  zeros    up to a multiple of 64
 *	..  float32  parameters, in the order of perrin/denoise/spec.h
 *	..  u64      XXH3-64 of all bytes before it
 *
 * To read them with Python:
 *
 *	n, count = struct.unpack_from("<IQ", data, 12)
 *	head = msgpack.unpackb(data[24 : 24 + n])
 *	params = numpy.frombuffer(data, "<f4", count, (24 + n + 63) // 64 * 64)
 */
#ifndef PERRIN_FORMAT_WEIGHTS_H
#define PERRIN_FORMAT_WEIGHTS_H

#include "perrin/base/blob.h"
#include "perrin/denoise/spec.h"
#include "perrin/denoise/train.h"

#define PN_WEIGHTS_CURVE_MAX 1024
#define PN_WEIGHTS_TEXT_MAX  256

/** Weights and their history. pn_weights_free() what was read. */
struct pn_weights {
	struct pn_net_spec spec;
	double offset, scale; /* the network sees (image - offset) / scale; scale > 0 */
	struct pn_train_settings settings;
	uint64_t steps, frames, first_frame, last_frame; /* trained on */
	/* what they were trained on, and by which version; UTF-8 without control characters */
	char source[PN_WEIGHTS_TEXT_MAX], perrin[64];
	double loss, validation; /* last ones, standardized units; NaN: none */
	uint64_t
		curve_count; /* validation losses in order; when full every second one is dropped */
	double curve_step[PN_WEIGHTS_CURVE_MAX], curve_loss[PN_WEIGHTS_CURVE_MAX];
	size_t param_count;
	float *params; /* [param_count]; owned when read, else borrowed */
};

/** pn_weights_curve_add - one more point of the curve; thins it when it is full. A loss that is not
 * finite is left out. */
void pn_weights_curve_add(struct pn_weights *weights, double step, double loss);

/**
 * pn_weights_encode - append the bytes above; equal weights give equal bytes.
 *
 * Errors: PN_EARG with field and numbers if decoding would refuse them: no such network,
 * param_count is not the spec's, a setting out of its table's range, a number or parameter that is
 * not finite (loss and validation may be NaN), a text that is not UTF-8. PN_ENOMEM. @out is as it
 * was then. Thread: reentrant. Cost: three passes over the parameters.
 */
int pn_weights_encode(const struct pn_weights *weights, struct pn_blob *out, struct pn_error *err);

/**
 * pn_weights_decode - check everything and read. @name: what to call the bytes in errors.
 *
 * Errors: PN_EFORMAT (not weights, cut short, a field missing or out of range, another number of
 * parameters than the network has, a parameter that is not finite), PN_ECORRUPT (hash),
 * PN_EVERSION, each with the numbers. PN_ENOMEM. On failure @weights is zeroed: nothing is to be
 * freed. Thread: reentrant. Allocates: the parameters; what @data declares is held against @bytes
 * first.
 */
int pn_weights_decode(struct pn_weights *weights, const void *data, size_t bytes, const char *name,
		      struct pn_error *err);

/** pn_weights_read - decode a file. Errors: those of pn_weights_decode; PN_ENOENT, PN_EPERM,
 * PN_EIO; PN_EUNSUPPORTED if it is no regular file. */
int pn_weights_read(struct pn_weights *weights, const char *path, struct pn_error *err);

/**
 * pn_weights_write - to a temporary file beside @path ("<path>.part"), synced, then renamed over
 * it. One writer per path at a time.
 *
 * Errors: those of pn_weights_encode, and what the file system says; @path is as it was then.
 */
int pn_weights_write(const struct pn_weights *weights, const char *path, struct pn_error *err);

/** pn_weights_free - what was read; zeroes the rest. */
void pn_weights_free(struct pn_weights *weights);

#endif
