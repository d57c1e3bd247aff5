/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/stream/message.h - one message: header numbers, msgpack head, payload. */
#ifndef PERRIN_STREAM_MESSAGE_H
#define PERRIN_STREAM_MESSAGE_H

#include <stdint.h>

#define PN_HEAD_BYTES_MAX 4096 /* no msgpack head is longer */

/**
 * A message as it is passed about. The bytes are borrowed: who hands out a message says until when
 * they stay (a reader: until its next call). Plain data; copying the struct copies no payload.
 */
struct pn_msg {
	uint64_t seq;        /* place in its stream: 0, 1, 2, ... without gaps                     */
	int64_t time_ns;     /* acquisition time of the first frame it derives from, as its source
	                      * tells it: part of the data, the same in a replay                   */
	int64_t arrival_ns;  /* CLOCK_MONOTONIC when the newest frame it derives from came in;
	                      * 0: unknown. For latencies only: in no hash, another in a replay    */
	uint32_t port;       /* which input or output of a stage (order of its ops table)          */
	uint32_t head_bytes; /* 1..PN_HEAD_BYTES_MAX                                               */
	uint64_t payload_bytes;
	const void *head;    /* msgpack map, see perrin/stream/head.h                              */
	const void *payload; /* aligned to 64; shape and type by the head; NULL if of no bytes     */
};

#endif
