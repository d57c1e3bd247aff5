/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "link_wire.h"

#include "perrin/link/link.h"

#include <string.h>

#define FIELD(s, m, k, h, t) \
	.key = k, .unit = "", .help = h, .type = t, .off = offsetof(struct s, m)
#define RANGE(lo, hi) .min = lo, .max = hi

const char *const pn_link_policy_words[] = { "every", "freshest", NULL };

static const struct pn_field pull_fields[] = {
	{ FIELD(pn_wire_pull, from, "from", "first record wanted", PN_FIELD_U64) },
	{ FIELD(pn_wire_pull, credit, "credit", "records wanted at most", PN_FIELD_U64),
	  RANGE(1, 1e9) },
	{ FIELD(pn_wire_pull, policy, "policy", "which records are wanted", PN_FIELD_WORD),
	  .words = pn_link_policy_words },
	{ FIELD(pn_wire_pull, with_records, "inline", "1: send records, 0: tell of them",
		PN_FIELD_U64),
	  RANGE(0, 1) },
	{ FIELD(pn_wire_pull, again, "again", "1: also what was sent already", PN_FIELD_U64),
	  RANGE(0, 1) },
	{ NULL },
};

const struct pn_schema pn_wire_pull_schema = {
	.type = "pull",
	.help = "A consumer asks for records.",
	.version = 1,
	.size = sizeof(struct pn_wire_pull),
	.fields = pull_fields,
};

static const struct pn_field available_fields[] = {
	{ FIELD(pn_wire_available, count, "count", "records published", PN_FIELD_U64) },
	{ FIELD(pn_wire_available, ended, "ended", "1: and no more will come", PN_FIELD_U64),
	  RANGE(0, 1) },
	{ NULL },
};

const struct pn_schema pn_wire_available_schema = {
	.type = "available",
	.help = "A producer tells how many records there are.",
	.version = 1,
	.size = sizeof(struct pn_wire_available),
	.fields = available_fields,
};

static const struct pn_field record_fields[] = {
	{ FIELD(pn_wire_record, seq, "seq", "number of the record", PN_FIELD_U64) },
	{ FIELD(pn_wire_record, time_ns, "time_ns", "acquisition time", PN_FIELD_I64) },
	{ FIELD(pn_wire_record, arrival_ns, "arrival_ns", "CLOCK_MONOTONIC of the producer's host",
		PN_FIELD_I64) },
	{ NULL },
};

const struct pn_schema pn_wire_record_schema = {
	.type = "record",
	.help = "A record; its head and its payload are the next two parts.",
	.version = 1,
	.size = sizeof(struct pn_wire_record),
	.fields = record_fields,
};

static const struct pn_field failure_fields[] = {
	{ FIELD(pn_wire_failure, code, "code", "status code", PN_FIELD_I64),
	  RANGE(PN_EUNSUPPORTED, PN_EARG) },
	{ FIELD(pn_wire_failure, text, "text", "what, where, the numbers", PN_FIELD_TEXT),
	  .capacity = sizeof((struct pn_wire_failure *)0)->text },
	{ NULL },
};

const struct pn_schema pn_wire_failure_schema = {
	.type = "failure",
	.help = "A producer cannot send the records pulled.",
	.version = 1,
	.size = sizeof(struct pn_wire_failure),
	.fields = failure_fields,
};

/* Our encoder puts the type first, behind the byte of a small map and the four-letter key. */
const struct pn_schema *pn_wire_kind(const void *buf, size_t bytes)
{
	static const struct pn_schema *const kinds[] = { &pn_wire_pull_schema,
							 &pn_wire_available_schema,
							 &pn_wire_record_schema,
							 &pn_wire_failure_schema };
	const unsigned char *p = buf;

	if (bytes < 7 || memcmp(p + 1, "\xa4type", 5) != 0)
		return NULL;
	for (unsigned i = 0; i < PN_COUNT(kinds); i++) {
		size_t length = strlen(kinds[i]->type);

		if (p[6] == (0xa0 | length) && bytes - 7 >= length &&
		    memcmp(p + 7, kinds[i]->type, length) == 0)
			return kinds[i];
	}
	return NULL;
}
