/* SPDX-License-Identifier: GPL-3.0-or-later */
/* native_wire.h - the messages of the native protocol; what they mean: perrin/detector/sender.h. */
#ifndef PERRIN_DETECTOR_NATIVE_WIRE_H
#define PERRIN_DETECTOR_NATIVE_WIRE_H

#include "perrin/base/dtype.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_NATIVE_BYTES_MAX  1024 /* of an encoded message, without pixels                     */
#define PN_NATIVE_NAME_MAX   64
#define PN_NATIVE_REASON_MAX 256
#define PN_NATIVE_FRAME_MAX  1e15 /* largest frame number: sums of two still fit               */

enum pn_native_type {
	/* producer to source */
	PN_NATIVE_HELLO,
	PN_NATIVE_FRAME,
	PN_NATIVE_END,
	/* source to producer */
	PN_NATIVE_WELCOME,
	PN_NATIVE_AGAIN,
	PN_NATIVE_ACK,
	PN_NATIVE_REFUSED,
	PN_NATIVE_ENDED,
	PN_NATIVE_COUNT
};

struct pn_native_hello {
	uint64_t id, frames, first;
	char name[PN_NATIVE_NAME_MAX];
};

struct pn_native_frame {
	uint64_t frame;
	int64_t time_ns;
	enum pn_dtype dtype;
	int64_t shape[2]; /* ny, nx */
	uint64_t shape_count;
	double pixel_pm, dose_e_per_A2, energy_keV, tilt_deg; /* NaN: unknown */
};

struct pn_native_welcome {
	uint64_t id, next, window;
};

struct pn_native_refused {
	uint64_t frame;
	char reason[PN_NATIVE_REASON_MAX];
};

/** A decoded message, or one to encode. */
struct pn_native {
	enum pn_native_type type;
	union {
		struct pn_native_hello hello;
		struct pn_native_frame frame;
		struct pn_native_welcome welcome;
		struct pn_native_refused refused;
		uint64_t count; /* end, ended: frames; ack: next; again: nothing */
	};
};

/**
 * pn_native_decode - read one message; every byte is checked (see pn_head_decode).
 *
 * Errors: PN_EFRAME with the reason; message->type is PN_NATIVE_COUNT if not even that could be
 * read. Thread: reentrant.
 */
int pn_native_decode(const void *buf, size_t bytes, struct pn_native *message,
		     struct pn_error *err);

/** pn_native_encode - write one message; @buf has PN_NATIVE_BYTES_MAX. PN_EARG: a value is out of
 * range. */
int pn_native_encode(const struct pn_native *message, void *buf, size_t *bytes,
		     struct pn_error *err);

/** pn_native_frame_bytes - bytes of the pixels. */
uint64_t pn_native_frame_bytes(const struct pn_native_frame *frame);

/** pn_native_refuse - fill a refusal; the reason is cut to fit and cleaned of what is not ASCII. */
void pn_native_refuse(struct pn_native *message, uint64_t frame, const char *reason);

#endif
