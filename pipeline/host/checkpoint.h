/* SPDX-License-Identifier: GPL-3.0-or-later */
/* checkpoint.h - what a stage needs to go on: its state, and how far its inputs and outputs were. */
#ifndef PERRIN_PIPELINE_CHECKPOINT_H
#define PERRIN_PIPELINE_CHECKPOINT_H

#include "perrin/host/metrics.h"

/** True up to next_in (exclusive) on each input; its outputs then held next_out records. */
struct pn_checkpoint {
	uint64_t next_in[PN_PORTS_MAX];  /* index 0 for a stage fed by the source       */
	uint64_t next_out[PN_PORTS_MAX];
	uint64_t complete;               /* 1: drained, outputs closed                  */
	struct pn_counts counts;
};

/**
 * pn_checkpoint_write - replace @path as a whole (write, rename): a kill at any moment leaves the old
 * one or the new one. Not synced: it guards against the death of processes; after a power cut the hash
 * tells whether it can be believed.
 */
int pn_checkpoint_write(const char *path, const struct pn_checkpoint *checkpoint,
			const struct pn_blob *state, struct pn_error *err);

/** pn_checkpoint_read - PN_ENOENT if there is none; PN_ECORRUPT if it cannot be believed. @state is
 * appended to; finish it with pn_blob_finish. */
int pn_checkpoint_read(const char *path, struct pn_checkpoint *checkpoint, struct pn_blob *state,
		       struct pn_error *err);

#endif
