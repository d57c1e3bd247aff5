/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/link/link.h - links carry a stream from the stage that writes it to those that read it.
 *
 * The consumer pulls: "from record n, k more" (k is its credit). The producer answers with names of
 * records as they are published: "there are m records now" and, at the end, "and no more will come".
 * On one host the consumer then reads the record where it lies (window or segment, perrin/stream/log.h);
 * no payload goes through a socket. Over tcp:// the records themselves follow.
 *
 * Policies: `every` skips nothing: who falls behind reads older records from disk. `freshest` jumps to
 * the newest record and counts what it skipped.
 *
 * Transports, by the endpoint's scheme: "mem:NAME" within one process (any threads), "ipc://PATH" between
 * processes of one host, "tcp://127.0.0.1:PORT" between hosts. All obey the same conformance suite.
 *
 * What is said over ipc:// and tcp:// (ROUTER at the producer, DEALER at the consumer; each first
 * part is a msgpack map, strict, with these keys and no others):
 *
 *	consumer: {type: "pull", v: 1, from, credit, policy: "every" or "freshest", inline, again}
 *	producer: {type: "available", v: 1, count, ended}
 *	producer: {type: "record", v: 1, seq, time_ns, arrival_ns}, head, payload    if inline
 *	producer: {type: "failure", v: 1, code, text}    the records pulled cannot be sent
 *
 * inline, again and ended are 0 or 1. A pull is answered by the records that its credit covers, if
 * they are to be sent (inline), and by what is available; as more is published more is sent, up to
 * the credit. A pull may come at any time and names its position, so a consumer that hears nothing
 * for 200 ms sends it again, with again: 1, since what was sent before may be lost. Records come in
 * order; one that is older than expected is a repetition. To listen with Python:
 *
 *	socket = zmq.Context().socket(zmq.DEALER)
 *	socket.connect("ipc:///path/of/frames.sock")
 *	seq, ended = 0, None
 *	while ended is None or seq < ended:
 *		socket.send(msgpack.packb({"type": "pull", "v": 1, "from": seq, "credit": 8,
 *		                           "policy": "every", "inline": 1, "again": 1}))
 *		while socket.poll(200):
 *			parts = socket.recv_multipart()
 *			answer = msgpack.unpackb(parts[0])
 *			if answer["type"] == "available":
 *				ended = answer["count"] if answer["ended"] else None
 *				break
 *			if answer["seq"] == seq:
 *				head, payload = msgpack.unpackb(parts[1]), parts[2]
 *				seq += 1
 */
#ifndef PERRIN_LINK_LINK_H
#define PERRIN_LINK_LINK_H

#include "perrin/base/status.h"
#include "perrin/stream/log.h"
#include "perrin/stream/message.h"

#include <stdint.h>

enum pn_link_policy { PN_LINK_EVERY, PN_LINK_FRESHEST };
extern const char *const pn_link_policy_words[]; /* "every", "freshest", NULL */

/* ---- producer's side ----------------------------------------------------------------------- */

struct pn_link_server;

/**
 * pn_link_serve - offer one stream at @endpoint; caller stops it.
 *
 * @dir:    folder of the stream (borrowed; read for consumers on other hosts)
 * @window: of the stream, borrowed, or NULL
 *
 * An ipc:// path left by a dead producer is taken over; one where somebody listens is not.
 * To send records it reads the stream in the window's last slot, PN_WINDOW_READERS_MAX - 1.
 * Errors: PN_EARG, PN_EPERM (endpoint, see perrin/link/socket.h), PN_EIO.
 * Thread: one thread at a time.
 */
int pn_link_serve(struct pn_link_server **server, const char *endpoint, const char *dir,
		  struct pn_window *window, struct pn_error *err);

/** pn_link_published - the stream has @count records now; @ended: and it is closed. Consumers with
 * credit are told at once. Never blocks. */
int pn_link_published(struct pn_link_server *server, uint64_t count, int ended,
		      struct pn_error *err);

/** pn_link_pump - take in pulls and answer them; never blocks. Call it often. */
int pn_link_pump(struct pn_link_server *server, struct pn_error *err);

/** pn_link_server_fd - a descriptor that polls readable when pump has work; -1: none (mem:).
 * Edge-triggered: pump before polling it. */
int pn_link_server_fd(const struct pn_link_server *server);

/** pn_link_stop - stop serving; what was said last has 5 s to leave. NULL is fine. */
void pn_link_stop(struct pn_link_server *server);

/* ---- consumer's side ----------------------------------------------------------------------- */

struct pn_link;

struct pn_link_config {
	const char *endpoint;
	enum pn_link_policy policy;
	uint64_t from;             /* first record wanted                                      */
	uint64_t credit;           /* records asked for ahead; 0: 64                           */
	const char *dir;           /* folder of the stream on this host; NULL: records are to
	                            * be sent through the socket (not with mem:)               */
	struct pn_window *window;  /* borrowed or NULL                                         */
	unsigned slot;             /* reader's place in the window, but not its last           */
};

/**
 * pn_link_open - start to pull; works before the producer is there. Caller closes.
 *
 * The texts of @config are copied. A window is believed also without the producer's word; without
 * a window records are seen when they are on disk. When records are sent, `freshest` asks for one at
 * a time, when it is pulled. Errors: PN_EARG, PN_EPERM, PN_ENOMEM, PN_EIO.
 * Thread: one thread at a time.
 */
int pn_link_open(struct pn_link **link, const struct pn_link_config *config, struct pn_error *err);

/**
 * pn_link_pull - the next message; its bytes stay until the next call on this link.
 *
 * @timeout_ns: 0 asks without waiting
 * @skipped:    [out] records passed over since the last message (policy freshest); may be NULL
 *
 * Returns PN_OK; PN_EAGAIN: nothing within the time; PN_EEND: the stream is closed and all of it was
 * delivered; PN_ECORRUPT, PN_EFORMAT, PN_EIO with a text. A producer that dies and comes back is
 * found again; records are neither lost nor delivered twice.
 */
int pn_link_pull(struct pn_link *link, int64_t timeout_ns, struct pn_msg *msg, uint64_t *skipped,
		 struct pn_error *err);

/** pn_link_next - number of the record that pull would give next. */
uint64_t pn_link_next(const struct pn_link *link);

/** pn_link_available - records known to be published. */
uint64_t pn_link_available(const struct pn_link *link);

/** pn_link_fd - polls readable when pull has news; -1: none (then use the timeout). Edge-triggered:
 * pull until PN_EAGAIN before polling it, and pull at least every 200 ms, since pull asks again. */
int pn_link_fd(const struct pn_link *link);

void pn_link_close(struct pn_link *link); /* NULL is fine */

#endif
