/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * carry.h - what a replay takes over from the recording, because it cannot be made again: the
 * streams of timed stages, and where the messages of side inputs came.
 */
#ifndef PERRIN_PIPELINE_CARRY_H
#define PERRIN_PIPELINE_CARRY_H

#include "perrin/host/graph.h"

/** What was carried over, by index into the graph's tables. Zero to start. */
struct pn_carried {
	unsigned char stages[PN_STAGES_MAX];   /* 1: complete from the start, does not run      */
	unsigned char streams[PN_STREAMS_MAX]; /* 1: whole and closed on disk; needs no window  */
	unsigned char orders[PN_STAGES_MAX];   /* 1: its journal is the recording's, and sealed  */
};

/**
 * pn_carry - carry over into the new session @session what the recording named by @source_uri has.
 *
 * Does nothing unless the source is replay:FOLDER with a session's folder. A timed stage is carried
 * if the recording has all streams that the stage writes, by the same names and types: they are
 * copied (the recording is only read), what a crash left open is recovered and closed, and a
 * checkpoint says that the stage has ended, with the counts of the recorded one. A journal of side
 * inputs is carried unless one of them comes from a timed stage that is to run again.
 *
 * @carried: [out] also after a failure, for pn_carry_undo
 *
 * Errors: PN_EIO, PN_ENOSPC, PN_ENOMEM, PN_ECORRUPT, PN_EFORMAT with the path. Cost: copies the
 * streams.
 */
int pn_carry(struct pn_carried *carried, const struct pn_graph *graph, const char *session,
	     const char *source_uri, struct pn_error *err);

/** pn_carry_undo - remove from a session that cannot begin what was carried into it. */
void pn_carry_undo(const struct pn_carried *carried, const struct pn_graph *graph,
		   const char *session);

#endif
