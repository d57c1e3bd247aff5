/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/host/metrics.h - what every stage tells for free: counts, queue, lag, latency, last error.
 *
 * One page of shared memory per run: each stage's process writes its own part, the host reads, and
 * copies it to the file SESSION/metrics ten times a second for `perrin top` and others. The page itself
 * is not the file: a store into a mapped file may wait for the file system's journal, and no stage is
 * to wait for that.
 */
#ifndef PERRIN_HOST_METRICS_H
#define PERRIN_HOST_METRICS_H

#include "perrin/base/hist.h"
#include "perrin/base/json.h"
#include "perrin/host/graph.h"

#include <stdatomic.h>

#define PN_REASON_NAME_MAX 32

/* places in `skipped` after the stage's own reasons */
enum {
	PN_SKIP_BAD = PN_REASONS_MAX,     /* the message was bad (PN_EFRAME)                   */
	PN_SKIP_COUNT,
};

enum pn_stage_state {
	PN_STAGE_WAITING,   /* not started                                             */
	PN_STAGE_RUNNING,
	PN_STAGE_ENDED,     /* took its inputs to their end                            */
	PN_STAGE_FAILED,    /* gave up; last_error says why                            */
};
extern const char *const pn_stage_state_words[];

/**
 * The counts that a checkpoint keeps: taken = done + skipped + pending, in frames.
 */
struct pn_counts {
	uint64_t taken;                       /* frames taken in                                  */
	uint64_t done;                        /* answered by an emission                          */
	uint64_t skipped[PN_SKIP_COUNT];      /* by reason                                        */
	uint64_t emitted;                     /* messages out                                     */
	uint64_t messages;                    /* messages in                                      */
	uint64_t passed_over;                 /* messages a link of policy `freshest` left out    */
	uint64_t bytes_in, bytes_out;         /* payloads                                         */
};

struct pn_stage_metrics {
	char name[PN_GRAPH_NAME_MAX];
	char reasons[PN_SKIP_COUNT][PN_REASON_NAME_MAX]; /* "" : not used                 */
	_Atomic int pid;
	_Atomic int state;                    /* enum pn_stage_state                              */
	_Atomic uint64_t restarts;
	_Atomic uint64_t checkpoints;
	_Atomic uint64_t queue;               /* messages published for it and not yet taken      */
	_Atomic int64_t time_ns;              /* time stamp of the message taken last             */
	_Atomic int64_t busy_ns;              /* in callbacks                                     */
	_Atomic uint64_t counts[sizeof(struct pn_counts) / sizeof(uint64_t)];
	struct pn_hist latency;               /* arrival of a frame to what is made of it         */
	char last_error[256];                 /* written before last_error_count                  */
	_Atomic uint64_t last_error_count;
};

struct pn_metrics {
	uint32_t magic, version;
	char graph[PN_GRAPH_NAME_MAX];
	unsigned stage_count;
	_Atomic int host_pid;
	_Atomic int stop;                     /* 1: sources are to end, the rest drains           */
	_Atomic int ended;                    /* 1: the host has finished                         */
	_Atomic int64_t start_ns, end_ns;     /* CLOCK_MONOTONIC                                  */
	int64_t start_wall_ns;
	int file;                             /* the host's descriptor of SESSION/metrics         */
	struct pn_stage_metrics stages[PN_STAGES_MAX];
};

/** pn_metrics_create - the page of a new session, shared with processes forked later, and its file;
 * pn_metrics_destroy unmaps and closes. */
int pn_metrics_create(struct pn_metrics **page, const char *session, const struct pn_graph *graph,
		      struct pn_error *err);
void pn_metrics_destroy(struct pn_metrics *page); /* NULL is fine */

/** pn_metrics_publish - copy the page to its file. Called by the host alone; a full disk is no error:
 * the file's blocks are there from the start. */
void pn_metrics_publish(const struct pn_metrics *page);

/** pn_metrics_open - map the page of a session to read; PN_ENOENT, PN_EFORMAT, PN_EVERSION. */
int pn_metrics_open(const struct pn_metrics **page, const char *session, struct pn_error *err);
void pn_metrics_close(const struct pn_metrics *page);

void pn_metrics_put_counts(struct pn_stage_metrics *stage, const struct pn_counts *counts);
void pn_metrics_get_counts(const struct pn_stage_metrics *stage, struct pn_counts *counts);
uint64_t pn_counts_skipped(const struct pn_counts *counts);
uint64_t pn_counts_pending(const struct pn_counts *counts);
void pn_metrics_error(struct pn_stage_metrics *stage, const char *text);

/** pn_metrics_members - the page as members of the open object. */
void pn_metrics_members(const struct pn_metrics *page, struct pn_json *json);

/** pn_metrics_json - the page as one object (a member of the open object if @key). */
void pn_metrics_json(const struct pn_metrics *page, struct pn_json *json, const char *key);

#endif
