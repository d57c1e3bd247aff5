/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/detector/source.h - where frames come from: a URI names the source and its parameters,
 * "file:frames.npy?pixel_pm=32.0&fps=400".
 *
 * A source gives messages in the order of its own numbering. Port 0 carries frames (one frame a
 * message); a source that knows more gives truth on port 1 and specimens on port 2.
 */
#ifndef PERRIN_DETECTOR_SOURCE_H
#define PERRIN_DETECTOR_SOURCE_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/stream/message.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum pn_source_port { PN_PORT_FRAMES = 0, PN_PORT_TRUTH = 1, PN_PORT_SPECIMEN = 2, PN_PORT_COUNT };

/**
 * A kind of source: one file of src/io/detector, one such struct. The opener allocates and zeroes the
 * state, fills parameters by the table, and always calls close, also after a failed open.
 */
struct pn_source_ops {
	const char *scheme, *brief;      /* "file", "NumPy, TIFF or MRC stack"; "twin:tilt" is a
					  * scheme without a path                                */
	size_t state_size;
	const struct pn_param *params;   /* offsets into the state; may be NULL                  */
	int (*open)(void *self, const char *path, struct pn_error *err);
	/* the next message: PN_OK; PN_EAGAIN: none yet; PN_EEND; PN_EFRAME: one bad frame, its
	 * number is used up and err says why; else the source has failed. Never blocks longer
	 * than it takes to make one frame. Bytes stay until the next call.                      */
	int (*next)(void *self, struct pn_msg *msg, struct pn_error *err);
	/* go on with message @seq; PN_EUNSUPPORTED if what has gone cannot come again           */
	int (*seek)(void *self, uint64_t seq, struct pn_error *err);
	/* messages before @seq are on stable storage: their producer may forget them. After PN_EEND
	 * it is called once more with the number of all messages, when it is certain that the end
	 * will be known after a restart. NULL: nobody waits for that                             */
	int (*ack)(void *self, uint64_t seq, struct pn_error *err);
	/* sleep until next may have something, at most @timeout_ns; NULL: always has            */
	void (*wait)(void *self, int64_t timeout_ns);
	void (*close)(void *self);
};

/** pn_sources - every kind, ended by NULL. */
extern const struct pn_source_ops *const pn_sources[];

struct pn_source;

/**
 * pn_source_open - open a source by its URI. Caller closes.
 *
 * KIND:PATH?name=value&name=value; bytes of the path and of values may be written %XX, and `?` and `%`
 * of a path must be.
 *
 * Every URI also takes `speed`: how many times faster than its time stamps a source is played, counted
 * from the first message after open or seek (1: as recorded; 0, the default: as fast as it is read).
 *
 * Errors: PN_EARG names the unknown scheme or parameter and lists the known ones; else as the kind.
 */
int pn_source_open(struct pn_source **source, const char *uri, struct pn_error *err);

/** pn_source_check - the URI names a kind, and its parameters are right; nothing is opened. PN_EARG. */
int pn_source_check(const char *uri, struct pn_error *err);

/**
 * pn_source_next - as the op, paced by `speed`: PN_EAGAIN while the next message is not due.
 * @now_ns: CLOCK_MONOTONIC of the caller. msg->seq counts the source's messages, arrival_ns is when
 * it was due or came.
 */
int pn_source_next(struct pn_source *source, int64_t now_ns, struct pn_msg *msg,
		   struct pn_error *err);
int pn_source_seek(struct pn_source *source, uint64_t seq, struct pn_error *err);
int pn_source_ack(struct pn_source *source, uint64_t seq, struct pn_error *err);
void pn_source_wait(struct pn_source *source, int64_t now_ns, int64_t timeout_ns);
void pn_source_close(struct pn_source *source); /* NULL is fine */

/** pn_sources_help - the kinds with their parameters, for --help. */
void pn_sources_help(FILE *out);

#endif
