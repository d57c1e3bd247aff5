/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/host/host.h - run a graph: in one thread, in threads, or as one process per stage. */
#ifndef PERRIN_HOST_HOST_H
#define PERRIN_HOST_HOST_H

#include "perrin/base/status.h"
#include "perrin/host/graph.h"
#include "perrin/host/metrics.h"
#include "perrin/stream/log.h"

#include <stdint.h>

struct pn_run_config {
	const struct pn_graph *graph;
	const char *session;         /* folder to make; PN_EEXIST if it is there               */
	const char *source_uri;
	const char *wisdom;          /* FFT plans to start from (a session's), or NULL; those
	                              * of another FFTW or not there: planned anew             */
	int retrain;                 /* 1: timed stages run again also in a replay             */
	int64_t checkpoint_ms;       /* 0: 200; more where a checkpoint takes longer than 10   */
	unsigned restart_limit;      /* restarts of a stage without progress; 0: 5             */
	enum pn_log_engine engine;
	/* called about ten times a second, and once at the end; may be NULL                   */
	void (*progress)(void *arg, const struct pn_metrics *metrics);
	void *progress_arg;
};

/**
 * pn_run - run the graph until its source ends, or SIGINT, SIGTERM or SIGHUP asks it to.
 *
 * In the session folder: graph.yaml (the graph with every parameter), session.json (source, version,
 * start), a folder per stream, checkpoints/, metrics, wisdom and at the end summary.json.
 *
 * A replay (source replay:SESSION) gives the bytes of the recorded run. What depends on time cannot
 * be made again: the streams of timed stages are copied from the recording and these stages do not
 * run, and messages of side inputs come where they came then. With `retrain` they run, and give
 * others.
 *
 * A signal makes the sources end; what they gave is drained through all stages, flushed and summed up.
 * A second signal ends the stages at once (streams stay readable; the summary says what is pending).
 *
 * A stage that fails or dies is started again from its last checkpoint; one that fails for good (no
 * progress, no space, not allowed) ends what depends on it, the rest goes on: a broken analysis does
 * not stop the recording. Then PN_EIO, or the stage's own code, is returned with its text.
 *
 * Thread: one run per process at a time, from its main thread; signals are blocked meanwhile.
 */
int pn_run(const struct pn_run_config *config, struct pn_error *err);

/** pn_session_check - @session is a session folder (has session.json); PN_ENOENT else. */
int pn_session_check(const char *session, struct pn_error *err);

#endif
