/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * small - frames of 160 x 160 through the ingest stage in one process to a consumer in another that
 * reads every byte.
 */
#include "bench.h"

#include "../../pipeline/host/runner.h"
#include "perrin/base/clock.h"
#include "perrin/format/stack.h"
#include "perrin/link/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SIDE        160
#define FRAME_BYTES (SIDE * SIDE * 2)
#define STACK       64 /* images in the file, 3.3 MB */
#define CHUNKS      8
#define WAIT_NS     (5 * PN_NS_PER_S)
#define CONNECT_NS  (50 * PN_NS_PER_MS) /* nothing comes in it but the connection */

struct small {
	struct bench *bench;
	struct pn_graph *graph;
	struct pn_metrics *metrics;
	struct pn_window *window;
	enum pn_log_engine engine;
	uint64_t batch;
	uint64_t frames; /* per turn */
	uint64_t warm;   /* of them not counted: until every page of the window was touched */
	uint64_t sum;    /* of all of them */
	char session[PATH_MAX + 64], link_base[PATH_MAX + 64], uri[2 * PATH_MAX];
	struct bench_gate gate;
};

/* ---- what goes in -------------------------------------------------------------------------- */

static int write_stack(struct small *s, const char *path, struct pn_error *err)
{
	const struct pn_stack_info info = {
		.dtype = PN_U16, .count = STACK, .ny = SIDE, .nx = SIDE, .format = "npy"
	};
	unsigned char *images = bench_random(STACK * FRAME_BYTES, 3);
	struct pn_stack_writer *writer;

	if (!images)
		return pn_error_set(err, PN_ENOMEM, "no memory for %d images", STACK);
	int rc = pn_stack_create(&writer, path, &info, err);
	for (unsigned i = 0; i < STACK && !rc; i++) {
		rc = pn_stack_write(writer, images + i * FRAME_BYTES, err);
		s->sum += bench_sum(images + i * FRAME_BYTES, FRAME_BYTES) * (s->frames / STACK);
		if (rc)
			pn_stack_abandon(writer);
	}
	free(images);
	return rc ? rc : pn_stack_finish(writer, err);
}

static int make_graph(struct small *s, int batch, struct pn_error *err)
{
	const char *path = bench_path(s->bench, "graph.yaml");
	FILE *out = fopen(path, "w");

	if (!out)
		return pn_error_errno(err, errno, "%s", path);
	fprintf(out,
		"graph: small\nstages:\n  - stage: ingest\n    input: source\n    output: "
		"[frames]\n"
		"    set: {batch: %d}\nstreams:\n"
		"  frames: {durability: interval, interval_ms: 50, chunk_MiB: 4, chunk_count: "
		"%d}\n",
		batch, CHUNKS);
	s->batch = (uint64_t)batch;
	if (fclose(out))
		return pn_error_errno(err, errno, "%s", path);
	return pn_graph_read(&s->graph, path, err);
}

/* ---- the stage ----------------------------------------------------------------------------- */

/* Three chunks of room: the one that is filled, the one that is read, and one between. */
static int window_is_full(void *arg)
{
	const struct small *s = arg;
	uint64_t records = s->graph->streams[0].chunk_MiB << 20;
	struct pn_counts counts;

	records = records / (s->batch * FRAME_BYTES + 2 * 4096) * (CHUNKS - 3);
	pn_metrics_get_counts(&s->metrics->stages[0], &counts);
	return counts.emitted >= s->bench->taken + records;
}

static int run_stage(struct bench *bench, void *arg, struct pn_error *err)
{
	struct small *s = arg;
	const struct pn_runner_config config = { .graph = s->graph,
						 .session = s->session,
						 .source_uri = s->uri,
						 .windows = &s->window,
						 .link_base = s->link_base,
						 .metrics = s->metrics,
						 .checkpoint_ms = 200,
						 .engine = s->engine,
						 .full = s->engine == PN_ENGINE_NONE
								 ? window_is_full
								 : NULL,
						 .fault_arg = s };
	struct pn_runner *runner;
	int rc = pn_runner_open(&runner, &config, pn_now_ns(), err);

	(void)bench;
	if (rc)
		return rc;
	bench_gate_ready(&s->gate);
	while (rc == PN_OK || rc == PN_EAGAIN) {
		rc = pn_runner_step(runner, pn_now_ns(), err);
		if (rc == PN_EAGAIN)
			pn_runner_wait(runner, pn_now_ns(), 20 * PN_NS_PER_MS);
	}
	/* its window goes on to be read */
	bench_gate_hold(&s->gate);
	pn_runner_close(runner, NULL);
	return rc == PN_EEND ? PN_OK : rc;
}

/* ---- the consumer -------------------------------------------------------------------------- */

static int consume(struct small *s, double *rate, struct pn_error *err)
{
	char endpoint[PATH_MAX + 80], dir[PATH_MAX + 80];
	struct pn_link_config config = { .endpoint = endpoint, .dir = dir, .window = s->window };
	struct pn_link *link;
	struct pn_msg msg;
	uint64_t sum = 0, started = 0;

	snprintf(endpoint, sizeof endpoint, "%s/frames", s->link_base);
	snprintf(dir, sizeof dir, "%s/frames", s->session);
	int rc = pn_link_open(&link, &config, err);
	if (rc)
		return rc;
	s->bench->taken = 0;
	pn_link_pull(link, CONNECT_NS, &msg, NULL, err);
	int64_t start_ns = pn_now_ns();
	bench_gate_go(&s->gate);
	for (uint64_t left = s->frames; left && !rc;) {
		if (!started && left <= s->frames - s->warm) {
			started = left;
			start_ns = pn_now_ns();
		}
		rc = pn_link_pull(link, WAIT_NS, &msg, NULL, err);
		if (!rc) {
			sum += bench_sum(msg.payload, msg.payload_bytes);
			s->bench->taken = msg.seq + 1;
			left -= msg.payload_bytes / FRAME_BYTES;
		}
	}
	*rate = (double)started * 1e9 / (double)(pn_now_ns() - start_ns);
	pn_link_close(link);
	if (!rc && sum != s->sum)
		rc = pn_error_set(err, PN_ECORRUPT, "what came is not what was sent");
	return rc;
}

static int one_run(struct small *s, double *rate, struct pn_error *err)
{
	pid_t child;
	int rc = bench_gate_init(&s->gate, err);

	if (!rc)
		rc = bench_fork(&child, s->bench, run_stage, s, err);
	if (rc)
		return rc;
	bench_gate_wait(&s->gate);
	rc = consume(s, rate, err);
	bench_gate_finish(&s->gate);
	return bench_part(child, s->bench, rc, err);
}

static int one_session(struct small *s, double *rate, struct pn_error *err)
{
	snprintf(s->session, sizeof s->session, "%s", bench_path(s->bench, "session"));
	snprintf(s->link_base, sizeof s->link_base, "ipc://%s", s->bench->dir);
	if (mkdir(s->session, 0700) || mkdir(bench_path(s->bench, "session/checkpoints"), 0700))
		return pn_error_errno(err, errno, "%s", s->session);
	int rc = pn_metrics_create(&s->metrics, s->session, s->graph, err);
	if (rc)
		return rc;
	const struct pn_graph_stream *stream = &s->graph->streams[0];
	rc = pn_window_create(&s->window, (uint64_t)stream->chunk_MiB << 20,
			      (unsigned)stream->chunk_count, err);
	if (!rc)
		rc = one_run(s, rate, err);
	pn_window_destroy(s->window);
	s->window = NULL;
	pn_metrics_destroy(s->metrics);
	bench_remove(s->session);
	return rc;
}

/* ---- all ----------------------------------------------------------------------------------- */

/* The same bytes copied once, in one process. */
static double copy(const struct small *s, const unsigned char *from, unsigned char *to)
{
	int64_t start_ns = pn_now_ns();

	for (uint64_t i = 0; i < s->frames; i++)
		memcpy(to + i % (16 * STACK) * FRAME_BYTES, from + i % STACK * FRAME_BYTES,
		       FRAME_BYTES);
	return (double)s->frames * 1e9 / (double)(pn_now_ns() - start_ns);
}

static const struct {
	const char *name, *note;
	int batch;
	enum pn_log_engine engine;
	double goal;
} kinds[] = {
	{ "small/batch 1", "file source, ingest, window, ipc link; nothing on disk", 1,
	  PN_ENGINE_NONE, 40000 },
	{ "small/batch 64", "the same, 64 frames a message", 64, PN_ENGINE_NONE, 40000 },
	{ "small/batch 1, recorded", "also to disk: 40,000/s are 2.1 GB/s", 1, PN_ENGINE_AUTO, 0 },
	{ "small/batch 64, recorded", "also to disk", 64, PN_ENGINE_AUTO, 0 },
};

static int take_turn(struct small *s, double rate[], struct pn_error *err)
{
	for (size_t i = 0; i < PN_COUNT(kinds); i++) {
		int rc = make_graph(s, kinds[i].batch, err);

		s->engine = kinds[i].engine;
		if (!rc)
			rc = one_session(s, &rate[i], err);
		pn_graph_destroy(s->graph);
		s->graph = NULL;
		if (rc)
			return rc;
	}
	return PN_OK;
}

static int measure(struct small *s, unsigned char *from, unsigned char *to, struct pn_error *err)
{
	double rate[BENCH_TURNS_MAX][PN_COUNT(kinds) + 1], values[BENCH_TURNS_MAX];
	double median[PN_COUNT(kinds) + 1];

	copy(s, from, to);
	for (unsigned turn = 0; turn < s->bench->turns; turn++) {
		rate[turn][PN_COUNT(kinds)] = copy(s, from, to);
		int rc = take_turn(s, rate[turn], err);

		if (rc)
			return rc;
	}
	for (size_t i = 0; i <= PN_COUNT(kinds); i++) {
		for (unsigned turn = 0; turn < s->bench->turns; turn++)
			values[turn] = rate[turn][i];
		median[i] = bench_median(values, s->bench->turns);
	}
	for (size_t i = 0; i < PN_COUNT(kinds); i++) {
		struct bench_result *result =
			bench_add(s->bench, median[i], "frames/s", "%s", kinds[i].name);

		bench_ceiling(result, "memcpy in one process", median[PN_COUNT(kinds)]);
		bench_note(result, "%s", kinds[i].note);
		result->hash = s->sum;
		if (kinds[i].goal > 0) {
			result->goal_kind = BENCH_VALUE_AT_LEAST;
			result->goal = kinds[i].goal;
		}
	}
	return PN_OK;
}

static int run(struct bench *bench, struct pn_error *err)
{
	struct small s = { .bench = bench,
			   .frames = bench->small ? 4 * STACK : 700 * STACK,
			   .warm = bench->small ? STACK : 100 * STACK };
	unsigned char *from = bench_random(STACK * FRAME_BYTES, 3);
	unsigned char *to = aligned_alloc(4096, 16 * STACK * FRAME_BYTES);
	int rc = from && to ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for frames");

	if (!rc)
		rc = write_stack(&s, bench_path(bench, "frames.npy"), err);
	snprintf(s.uri, sizeof s.uri, "file:%s/frames.npy?pixel_pm=35.8&loop=%llu", bench->dir,
		 (unsigned long long)(s.frames / STACK));
	if (!rc)
		rc = measure(&s, from, to, err);
	free(from);
	free(to);
	return rc;
}

const struct bench_row bench_small = {
	.name = "small",
	.brief = "160 x 160 frames a second through ingest to another process",
	.run = run,
};
