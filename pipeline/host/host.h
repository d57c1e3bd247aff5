/* SPDX-License-Identifier: GPL-3.0-or-later */
/* host.h - what the ways to run a graph share. */
#ifndef PERRIN_PIPELINE_HOST_H
#define PERRIN_PIPELINE_HOST_H

#include "perrin/host/host.h"
#include "runner.h"

#include <signal.h>

/** One run under way. */
struct pn_run {
	const struct pn_run_config *config;
	struct pn_metrics *metrics;
	struct pn_window *windows[PN_STREAMS_MAX];
	char link_base[256];
	unsigned restart_limit;
	int64_t checkpoint_ms;
	sigset_t signals;            /* blocked, and waited for: SIGINT SIGTERM SIGCHLD        */
	sigset_t old_signals;        /* the mask to give back, and to give to child processes  */
	int64_t progress_due_ns;
	volatile sig_atomic_t quit;  /* a stage's process: flush and leave, nobody is left to drain for */
};

/** How often one stage may still fail. */
struct pn_restart {
	unsigned without_progress;
	uint64_t taken;              /* when it failed last                                    */
	int64_t failed_ns;
};

void pn_run_stage_config(const struct pn_run *run, unsigned stage,
			 struct pn_runner_config *config);

/** pn_run_loop - one stage from open to end; sleeps when idle. PN_OK or a failure. */
int pn_run_loop(const struct pn_run *run, unsigned stage, struct pn_error *err);

/** pn_run_may_restart - decides and counts; @code is why it failed (PN_EIO: killed). */
int pn_run_may_restart(const struct pn_run *run, unsigned stage, struct pn_restart *restart,
		       int code);

/** pn_run_watch - progress, and a signal if one came within @timeout_ns (0: none). Sets stop on the
 * first SIGINT or SIGTERM; returns the signal's number. */
int pn_run_watch(struct pn_run *run, int64_t timeout_ns);

int pn_run_in_thread(struct pn_run *run);
int pn_run_in_threads(struct pn_run *run);
int pn_run_in_processes(struct pn_run *run);

/** pn_run_summary - write summary.json. */
int pn_run_summary(const struct pn_run *run, struct pn_error *err);

#endif
