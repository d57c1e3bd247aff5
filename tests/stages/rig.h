/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rig.h - one stage alone: no stream, no thread, no clock. Push messages in, look at what comes out.
 */
#ifndef PERRIN_TEST_RIG_H
#define PERRIN_TEST_RIG_H

#include "perrin/host/stage.h"

#define RIG_OUT_MAX 8192

/** A message that came out; head decoded by the schema of its port. */
struct rig_out {
	unsigned port;
	int64_t time_ns;
	void *head;
	unsigned char *payload;
	uint64_t payload_bytes;
};

struct rig {
	struct pn_ctx ctx; /* first */
	const struct pn_stage_ops *ops;
	void *state;
	struct rig_out out[RIG_OUT_MAX];
	unsigned out_count, committed;
	uint64_t taken, done, skipped, skipped_by[PN_REASONS_MAX + 1];
	uint64_t pushed[PN_PORTS_MAX];        /* messages on each port: their numbers */
	unsigned refuse_every, emissions; /* every n-th emission answers PN_EAGAIN */
};

/** rig_open - with parameters "name=value&..." over the defaults; fails the test if open fails. */
void rig_open(struct rig *rig, const struct pn_stage_ops *ops, const char *settings);

/** rig_push - one message on @port, encoded and decoded on the way; PN_EAGAIN is tried again. */
int rig_push(struct rig *rig, unsigned port, const void *head, int64_t time_ns, const void *payload,
	     uint64_t payload_bytes);
int rig_drain(struct rig *rig);

/** rig_reopen - save, close, open, load: what a restart does; fails the test if it cannot. */
void rig_reopen(struct rig *rig, const char *settings);

/** rig_same - the outputs of two rigs are the same to the byte, port by port. */
int rig_same(const struct rig *a, const struct rig *b);

void rig_close(struct rig *rig);

#endif
