/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * latency - from the arrival of a frame to its crystal record, at 400 frames/s through the
 * liquid-cell-raw graph. A frame arrives when it is due by its time stamp, so what piles up counts.
 */
#include "bench.h"

#include "perrin/base/clock.h"
#include "perrin/format/stack.h"
#include "perrin/host/host.h"
#include "perrin/twin/scene.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE        256
#define START_NS    (60 * PN_NS_PER_S) /* first record by then, or never */
#define CATCH_UP_NS (30 * PN_NS_PER_S) /* a machine that is too slow never does */
#define GOAL_MS     15
#define STACK_NAME  "movie.npy"

struct latency {
	enum pn_place place;
	int64_t frames; /* in the stack */
	double fps, seconds, warm_s;
	char session[PATH_MAX + 64];
};

/* ---- what goes in -------------------------------------------------------------------------- */

/* A scene takes seconds to be set up; where figures mean nothing, fringes on noise will do. */
static int draw(struct pn_scene *scene, int64_t frame, uint16_t *pixels, struct pn_error *err)
{
	static float drawn[SIDE * SIDE];

	if (scene)
		return pn_scene_frame(scene, (uint64_t)frame, pixels, NULL, err);
	bench_particle(drawn, SIDE, SIDE, SIDE / 2.0, SIDE / 2.0, (uint64_t)frame);
	for (size_t i = 0; i < SIDE * SIDE; i++)
		pixels[i] = (uint16_t)drawn[i];
	return PN_OK;
}

static int write_movie(struct bench *bench, void *arg, struct pn_error *err)
{
	const struct latency *l = arg;
	const struct pn_stack_info info = { .dtype = PN_U16,
					    .count = (uint64_t)l->frames,
					    .ny = SIDE,
					    .nx = SIDE,
					    .format = "npy" };
	static uint16_t pixels[SIDE * SIDE];
	struct pn_scene_params params = { 0 };
	struct pn_stack_writer *writer = NULL;
	struct pn_scene *scene = NULL;

	pn_params_default(pn_scene_param_table, &params);
	params.seed = 4;
	params.fps = l->fps;
	params.ny = params.nx = SIDE;
	params.dtype = PN_SCENE_U16;
	int rc = bench->small ? PN_OK : pn_scene_create(&scene, &params, err);
	if (!rc)
		rc = pn_stack_create(&writer, bench_path(bench, STACK_NAME), &info, err);
	for (int64_t i = 0; i < l->frames && !rc; i++) {
		rc = draw(scene, i, pixels, err);
		if (!rc)
			rc = pn_stack_write(writer, pixels, err);
	}
	if (!rc)
		rc = pn_stack_finish(writer, err);
	else
		pn_stack_abandon(writer);
	pn_scene_destroy(scene);
	return rc;
}

static int run_graph(struct bench *bench, void *arg, struct pn_error *err)
{
	const struct latency *l = arg;
	char uri[PATH_MAX + 128], place[32];
	struct pn_graph *graph = NULL;
	double total_s = l->seconds + l->warm_s + (START_NS + CATCH_UP_NS) * 1e-9;
	int rc = pn_graph_read(&graph, PERRIN_GRAPHS "/liquid-cell-raw.yaml", err);

	if (rc)
		return rc;
	snprintf(place, sizeof place, "place=%s", pn_place_words[l->place]);
	snprintf(uri, sizeof uri, "file:%s?pixel_pm=35.8&fps=%.17g&speed=1&loop=%lld",
		 bench_path(bench, STACK_NAME), l->fps,
		 (long long)ceil(total_s * l->fps / (double)l->frames));
	rc = pn_graph_set(graph, place, err);
	if (!rc)
		rc = pn_run(&(struct pn_run_config){ .graph = graph,
						     .session = l->session,
						     .source_uri = uri },
			    err);
	pn_graph_destroy(graph);
	return rc;
}

/* ---- watching ------------------------------------------------------------------------------ */

static const struct pn_stage_metrics *find_stage(const struct pn_metrics *page, const char *name)
{
	for (unsigned i = 0; i < page->stage_count; i++)
		if (strcmp(page->stages[i].name, name) == 0)
			return &page->stages[i];
	return NULL;
}

/* The metrics page, once the first crystal record is there. */
static int wait_for_first(const struct latency *l, const struct pn_metrics **page,
			  const struct pn_stage_metrics **stage, double *start_s,
			  struct pn_error *err)
{
	int64_t begin_ns = pn_now_ns();

	*page = NULL;
	while (pn_now_ns() - begin_ns < START_NS) {
		if (!*page && pn_metrics_open(page, l->session, NULL) == PN_OK)
			*stage = find_stage(*page, "crystal");
		if (*page && *stage && *(volatile const uint64_t *)&(*stage)->latency.count) {
			*start_s = (double)(pn_now_ns() - begin_ns) * 1e-9;
			return PN_OK;
		}
		pn_sleep_ns(PN_NS_PER_MS);
	}
	return pn_error_set(err, PN_ETIMEOUT, "no crystal record within %d s",
			    (int)(START_NS / PN_NS_PER_S));
}

/* Plans are made while frames come in: until they have been worked off, latency tells of that. */
static double wait_until_caught_up(const struct pn_metrics *page)
{
	int64_t begin_ns = pn_now_ns(), now_ns = begin_ns;
	uint64_t queued = 1;

	while (queued && now_ns - begin_ns < CATCH_UP_NS) {
		pn_sleep_ns(PN_NS_PER_MS);
		queued = 0;
		for (unsigned i = 0; i < page->stage_count; i++)
			queued += page->stages[i].queue;
		now_ns = pn_now_ns();
	}
	return (double)(now_ns - begin_ns) * 1e-9;
}

/* What was added to @before up to @after. */
static struct pn_hist difference(const struct pn_hist *before, const struct pn_hist *after)
{
	struct pn_hist hist = { .count = after->count - before->count, .max_ns = after->max_ns };

	for (size_t i = 0; i < PN_COUNT(hist.bucket); i++)
		hist.bucket[i] = after->bucket[i] - before->bucket[i];
	return hist;
}

static void add_results(struct bench *bench, const struct latency *l, const struct pn_hist *hist,
			double start_s, double caught_up_s, uint64_t frames)
{
	static const struct {
		const char *name;
		double quantile;
	} rows[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "max", 1 } };
	const char *place = pn_place_words[l->place];

	for (size_t i = 0; i < PN_COUNT(rows); i++) {
		double ms = (double)pn_hist_quantile(hist, rows[i].quantile) * 1e-6;
		struct bench_result *result =
			bench_add(bench, ms, "ms", "latency/%s/%s", place, rows[i].name);

		bench_note(result, "%llu records of %llu frames in %.1f s",
			   (unsigned long long)hist->count, (unsigned long long)frames, l->seconds);
		if (rows[i].quantile == 0.99 && l->place == PN_PLACE_PROCESSES) {
			result->goal_kind = BENCH_VALUE_BELOW;
			result->goal = GOAL_MS;
		}
	}
	struct bench_result *result = bench_add(bench, start_s, "s", "latency/%s/start-up", place);
	bench_note(
		result,
		"from pn_run to the first crystal record; caught up %.2f s later, and %.1f s more "
		"not counted above",
		caught_up_s, l->warm_s);
}

static int watch(struct bench *bench, const struct latency *l, struct pn_error *err)
{
	const struct pn_metrics *page;
	const struct pn_stage_metrics *stage = NULL, *track;
	struct pn_counts first, last;
	double start_s = 0;
	int rc = wait_for_first(l, &page, &stage, &start_s, err);

	if (!rc) {
		track = find_stage(page, "track");
		double caught_up_s = wait_until_caught_up(page);
		pn_sleep_ns((int64_t)(l->warm_s * 1e9));
		struct pn_hist before = stage->latency;
		pn_metrics_get_counts(track, &first);
		pn_sleep_ns((int64_t)(l->seconds * 1e9));
		struct pn_hist after = stage->latency;
		pn_metrics_get_counts(track, &last);
		struct pn_hist hist = difference(&before, &after);

		add_results(bench, l, &hist, start_s, caught_up_s, last.taken - first.taken);
	}
	if (page)
		pn_metrics_close(page);
	return rc;
}

static int measure(struct bench *bench, struct latency *l, struct pn_error *err)
{
	pid_t child;

	snprintf(l->session, sizeof l->session, "%s", bench_path(bench, pn_place_words[l->place]));
	int rc = bench_fork(&child, bench, run_graph, l, err);
	if (rc)
		return rc;
	rc = watch(bench, l, err);
	kill(child, SIGTERM);
	rc = bench_part(child, bench, rc, err);
	bench_remove(l->session);
	return rc;
}

static int run(struct bench *bench, struct pn_error *err)
{
	struct latency l = { .frames = bench->small ? 20 : 200,
			     .fps = bench->small ? 50 : 400,
			     .seconds = bench->small ? 0.5 : bench->seconds,
			     .warm_s = bench->small ? 0.1 : 1 };
	pid_t child;
	/* in a child, whose OpenMP threads end with it: this process is still to fork */
	int rc = bench_fork(&child, bench, write_movie, &l, err);

	if (!rc)
		rc = bench_wait(child, bench, err);
	for (l.place = PN_PLACE_THREADS; l.place <= PN_PLACE_PROCESSES && !rc; l.place++)
		rc = measure(bench, &l, err);
	return rc;
}

const struct bench_row bench_latency = {
	.name = "latency",
	.brief = "frame to crystal record at 400 frames/s of 256 x 256",
	.run = run,
};
