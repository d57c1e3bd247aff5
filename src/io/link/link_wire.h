/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * link_wire.h - what the two ends of a link say to each other; perrin/link/link.h documents it for
 * listeners. Each message is a head as in perrin/stream/head.h: strict, and the same bytes each
 * time.
 */
#ifndef PERRIN_LINK_LINK_WIRE_H
#define PERRIN_LINK_LINK_WIRE_H

#include "perrin/stream/head.h"

#define PN_WIRE_BYTES_MAX 256 /* no message of the four is longer */

/** Consumer to producer: one part. */
struct pn_wire_pull {
	uint64_t from;   /* first record wanted: all before it have been delivered              */
	uint64_t credit; /* `every`: records from..from+credit-1; `freshest`: that many records */
	int policy;      /* pn_link_policy_words                                                */
	uint64_t with_records; /* key "inline": 1 to be sent records, 0 to be told how many there
				  are */
	uint64_t again; /* 1: also those that were sent already (they did not come)            */
};

/** Producer to consumer: one part. */
struct pn_wire_available {
	uint64_t count, ended; /* records published; 1: and no more will come */
};

/** Producer to consumer: the first of three parts; the record's head and its payload follow. */
struct pn_wire_record {
	uint64_t seq;
	int64_t time_ns, arrival_ns;
};

/** Producer to consumer: one part. The records pulled cannot be sent; pulls after it are answered
 * anew. */
struct pn_wire_failure {
	int64_t code; /* enum pn_status */
	char text[192];
};

extern const struct pn_schema pn_wire_pull_schema, pn_wire_available_schema, pn_wire_record_schema,
	pn_wire_failure_schema;

/** pn_wire_kind - which of the four an encoded message claims to be; NULL: none. */
const struct pn_schema *pn_wire_kind(const void *buf, size_t bytes);

#endif
