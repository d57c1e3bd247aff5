/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * runner.h - runs one stage: pulls its messages, calls it, publishes what it emits, keeps checkpoints.
 *
 * A runner never sleeps and knows no thread: pn_runner_step does one piece of work. The host calls it
 * from one thread for all stages, from a thread or a process for each; the simulation calls it in an
 * order of its own, with a clock of its own.
 */
#ifndef PERRIN_PIPELINE_RUNNER_H
#define PERRIN_PIPELINE_RUNNER_H

#include "perrin/host/graph.h"
#include "perrin/host/metrics.h"

struct pn_runner_config {
	const struct pn_graph *graph;
	unsigned stage;                    /* index into graph->stages                        */
	const char *session;               /* folder; streams are folders in it               */
	const char *source_uri;            /* for stages fed by the source                    */
	struct pn_window *const *windows;  /* by stream; NULL entries: private windows        */
	const char *link_base;             /* endpoint of a stream: this, '/', its name       */
	struct pn_metrics *metrics;
	int64_t checkpoint_ms;             /* between two checkpoints; 20 times as long as one
	                                    * takes where that is longer                       */
	/* tests and simulation; all may be NULL                                              */
	enum pn_log_engine engine;
	uint64_t (*fault)(void *arg, uint64_t bytes, int *errnum);
	int (*full)(void *arg);            /* 1: an emission finds no room this time          */
	void *fault_arg;
	int timeless;                      /* 1: pn_behind is 0, as if nothing ever waited    */
};

struct pn_runner;

/**
 * pn_runner_open - open a stage and go on from its last checkpoint, or from the start.
 * On failure *runner is NULL and err says which stage and why.
 */
int pn_runner_open(struct pn_runner **runner, const struct pn_runner_config *config,
		   int64_t now_ns, struct pn_error *err);

/**
 * pn_runner_step - at most one message, and whatever is due.
 *
 * Returns PN_OK: did something, call again; PN_EAGAIN: nothing to do now, pn_runner_wait; PN_EEND: the
 * stage has drained and closed its streams; else the stage has failed: close or kill it.
 */
int pn_runner_step(struct pn_runner *runner, int64_t now_ns, struct pn_error *err);

/** pn_runner_wait - sleep until there may be something to do, at most @timeout_ns. */
void pn_runner_wait(struct pn_runner *runner, int64_t now_ns, int64_t timeout_ns);

/** pn_runner_taken - frames taken: progress, for the restart policy. */
uint64_t pn_runner_taken(const struct pn_runner *runner);

/** pn_runner_close - flush and release; streams stay open for a successor unless the stage ended. */
int pn_runner_close(struct pn_runner *runner, struct pn_error *err);

/** pn_runner_kill - release memory only, as if the process had been killed. */
void pn_runner_kill(struct pn_runner *runner);

#endif
