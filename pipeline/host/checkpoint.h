/* SPDX-License-Identifier: GPL-3.0-or-later */
/* checkpoint.h - what a stage needs to go on: its state, and how far its inputs and outputs were. */
#ifndef PERRIN_PIPELINE_CHECKPOINT_H
#define PERRIN_PIPELINE_CHECKPOINT_H

#include "perrin/host/metrics.h"

/** True up to next_in (exclusive) on each input; its outputs then held next_out records. */
struct pn_checkpoint {
	uint64_t next_in[PN_PORTS_MAX];  /* index 0 for a stage fed by the source       */
	uint64_t next_out[PN_PORTS_MAX];
	uint64_t generation;             /* 1, 2, ...: of two the higher is the newer   */
	uint64_t source_ended;           /* 1: the source has ended at next_in[0]       */
	uint64_t complete;               /* 1: drained, outputs closed                  */
	struct pn_counts counts;
};

/**
 * The two files of a stage, PATH.0 and PATH.1, written in turn and in place: a kill at any moment leaves
 * the other one whole, and neither creating nor renaming a file ever waits for the file system's
 * journal. Not synced: they guard against the death of processes; after a power cut their hashes tell
 * whether they can be believed. Zero to start.
 */
struct pn_checkpoint_files {
	int fd[2];
	int open;
	uint64_t generation; /* of the newest */
	char path[4096];
};

/** pn_checkpoint_open - open the files, make them if they are not there. */
int pn_checkpoint_open(struct pn_checkpoint_files *files, const char *path, struct pn_error *err);
void pn_checkpoint_close(struct pn_checkpoint_files *files);

/** pn_checkpoint_write - over the older of the two; sets checkpoint->generation. */
int pn_checkpoint_write(struct pn_checkpoint_files *files, struct pn_checkpoint *checkpoint,
			const struct pn_blob *state, struct pn_error *err);

/**
 * pn_checkpoint_read - the newest that can be believed. @state is appended to; finish it with
 * pn_blob_finish. PN_ENOENT if there is none, PN_ENOMEM.
 */
int pn_checkpoint_read(struct pn_checkpoint_files *files, struct pn_checkpoint *checkpoint,
		       struct pn_blob *state, struct pn_error *err);

/** pn_checkpoint_forget - there is none any more; numbers of later ones go on. */
int pn_checkpoint_forget(struct pn_checkpoint_files *files, struct pn_error *err);

#endif
