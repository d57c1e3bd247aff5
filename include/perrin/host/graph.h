/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/host/graph.h - a graph file: which stages run, what streams connect them, where they run.
 *
 *	graph: liquid-cell
 *	place: processes            # thread | threads | processes
 *	stages:
 *	  - stage: ingest           # a kind of stage; `name:` if it is to be called otherwise
 *	    input: source           # what --source gives
 *	    output: [frames, truth, specimen]
 *	  - stage: track
 *	    input: [frames]         # streams in the order of the stage's ports;
 *	    output: [crops]         # {stream: frames, policy: freshest} for a link that may skip
 *	    set: {box_px: 160}      # the stage's parameters
 *	    threads: 1              # for its kernels (0: all cores); 1 is best beside other stages
 *	streams:
 *	  frames: {durability: interval, interval_ms: 50, segment_MiB: 1024}
 */
#ifndef PERRIN_HOST_GRAPH_H
#define PERRIN_HOST_GRAPH_H

#include "perrin/base/status.h"
#include "perrin/host/stage.h"
#include "perrin/link/link.h"
#include "perrin/stream/log.h"

#include <stdio.h>

#define PN_STAGES_MAX      32
#define PN_STREAMS_MAX     64
#define PN_SETTINGS_MAX    64 /* parameters set per stage */
#define PN_GRAPH_NAME_MAX  32

enum pn_place { PN_PLACE_THREAD, PN_PLACE_THREADS, PN_PLACE_PROCESSES };
extern const char *const pn_place_words[]; /* "thread", "threads", "processes", NULL */
extern const char *const pn_durability_words[]; /* "each", "interval", "close", NULL */

struct pn_setting {
	char name[PN_GRAPH_NAME_MAX];
	char value[PN_PARAM_TEXT_MAX];
};

struct pn_graph_input {
	unsigned stream;           /* index into streams                                       */
	enum pn_link_policy policy;
	unsigned slot;             /* this reader's place in the stream's window               */
};

struct pn_graph_stage {
	char name[PN_GRAPH_NAME_MAX];
	const struct pn_stage_ops *ops;
	int from_source;           /* all inputs come from the source                          */
	struct pn_graph_input inputs[PN_PORTS_MAX];
	unsigned input_count;
	int outputs[PN_PORTS_MAX]; /* index into streams by port, -1: unconnected              */
	int threads;               /* OpenMP threads its kernels may use; 0: all cores         */
	struct pn_setting settings[PN_SETTINGS_MAX];
	unsigned setting_count;
};

/** A stream of the graph. Its fields but the first three are the table pn_graph_stream_params. */
struct pn_graph_stream {
	char name[PN_GRAPH_NAME_MAX];
	const struct pn_schema *schema;
	unsigned reader_count;
	int durability;            /* enum pn_durability                                       */
	int64_t interval_ms, segment_MiB, align, chunk_MiB, chunk_count;
};
extern const struct pn_param pn_graph_stream_params[];

struct pn_graph {
	char name[PN_GRAPH_NAME_MAX];
	enum pn_place place;
	struct pn_graph_stage stages[PN_STAGES_MAX];
	unsigned stage_count;
	struct pn_graph_stream streams[PN_STREAMS_MAX];
	unsigned stream_count;
};

/**
 * pn_graph_read - read and check a graph file. Caller destroys.
 *
 * Checked: every key is known, every stage exists, ports fit their streams' types, each stream has
 * one writer, every input a writer, no cycle, parameters in range. Errors: PN_EARG with
 * "liquid-cell.yaml:14: stage track: box_px = 7: must be 16..2048 px".
 */
int pn_graph_read(struct pn_graph **graph, const char *path, struct pn_error *err);
void pn_graph_destroy(struct pn_graph *graph);

/** pn_graph_set - "stage.param=value", "stream.param=value" or "place=threads" (--set). */
int pn_graph_set(struct pn_graph *graph, const char *assignment, struct pn_error *err);

/** pn_graph_write - write the graph with every parameter's value, so that a replay has them all. */
void pn_graph_write(const struct pn_graph *graph, FILE *out);

#endif
