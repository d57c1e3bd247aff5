/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A replay of a run whose results depended on time gives the same bytes: the streams of timed
 * stages are carried over, and side messages come where they came. The recording is not touched.
 */
#include "../../../pipeline/host/carry.h"
#include "../../../pipeline/host/checkpoint.h"
#include "../../../pipeline/host/order.h"

#include "perrin/base/clock.h"
#include "perrin/host/host.h"
#include "testkit.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INGEST, TRAIN, MIX, STAGES };
enum { FRAMES, WEIGHTS, OUT, STREAMS };
enum { FRAME_COUNT = 400, SIDE = 8 };

/* ---- the stages ---------------------------------------------------------------------------- */

static atomic_uint train_runs;

/* Takes its time, and what it gives depends on it. */
static int train_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_specimen_head out = { .particle = pn_behind(ctx), .lattice_A = 4 };
	uint64_t *taken = self;

	train_runs += !(*taken)++;
	out.version = (uint64_t)pn_now_ns() >> 4;
	pn_done(ctx, 1);
	if (in->seq % 7 != 3)
		return PN_OK;
	pn_sleep_ns((int64_t)(out.version % 4) * PN_NS_PER_MS);
	return pn_emit(ctx, 0, &out, in->time_ns, 0, NULL);
}

static int mix_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	uint64_t *digest = self, added = in->seq;
	struct pn_specimen_head head, out = { .lattice_A = 4 };
	int rc = PN_OK;

	if (in->port) {
		rc = pn_msg_decode(&pn_specimen_schema, in, &head, &ctx->err);
		added = head.version;
	}
	uint64_t next = (*digest ^ added) * UINT64_C(0x9e3779b97f4a7c15) >> 1;

	out.version = next;
	if (!rc && !in->port)
		rc = pn_emit(ctx, 0, &out, in->time_ns, 0, NULL);
	if (rc)
		return rc;
	*digest = next;
	if (!in->port)
		pn_done(ctx, 1);
	return PN_OK;
}

static int mix_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	(void)ctx;
	return pn_blob_put(out, self, sizeof(uint64_t));
}

static int mix_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	(void)ctx;
	memcpy(self, data, bytes);
	return PN_OK;
}

static const struct pn_port inputs[] = {
	{ .name = "frames", .schema = &pn_frames_schema },
	{ .name = "weights", .schema = &pn_specimen_schema, .optional = 1, .side = 1 },
	{ 0 },
};
static const struct pn_port outputs[] = { { .name = "out", .schema = &pn_specimen_schema }, { 0 } };
static const struct pn_stage_ops train_ops = {
	.name = "train",
	.brief = "",
	.state_size = 8,
	.inputs = inputs,
	.outputs = outputs,
	.timed = 1,
	.take = train_take,
};
static const struct pn_stage_ops mix_ops = {
	.name = "mix",
	.brief = "",
	.state_size = 8,
	.inputs = inputs,
	.outputs = outputs,
	.take = mix_take,
	.save = mix_save,
	.load = mix_load,
};

static struct pn_graph *make_graph(enum pn_place place)
{
	static const char *const names[] = { "frames", "weights", "out" };
	const struct pn_stage_ops *const ops[] = { pn_stage_find("ingest"), &train_ops, &mix_ops };
	struct pn_graph *graph = calloc(1, sizeof *graph);

	assert_non_null(graph);
	strcpy(graph->name, "carry");
	graph->place = place;
	graph->stage_count = STAGES;
	graph->stream_count = STREAMS;
	for (unsigned i = 0; i < STREAMS; i++) {
		struct pn_graph_stream *s = &graph->streams[i];

		strcpy(s->name, names[i]);
		pn_params_default(pn_graph_stream_params, s);
		s->schema = i == FRAMES ? &pn_frames_schema : &pn_specimen_schema;
		s->align = 64;
		s->segment_MiB = s->chunk_MiB = 1;
	}
	for (unsigned i = 0; i < STAGES; i++) {
		struct pn_graph_stage *s = &graph->stages[i];

		strcpy(s->name, ops[i]->name);
		s->ops = ops[i];
		s->threads = 1;
		for (unsigned port = 0; port < PN_PORTS_MAX; port++)
			s->outputs[port] = port ? -1 : (int)i;
		s->input_count = i;
		s->inputs[0] = (struct pn_graph_input){ .stream = FRAMES, .slot = i - 1 };
		s->inputs[1] = (struct pn_graph_input){ .stream = WEIGHTS };
	}
	graph->stages[INGEST].from_source = 1;
	graph->streams[FRAMES].reader_count = 2;
	graph->streams[WEIGHTS].reader_count = 1;
	return graph;
}

/* ---- running ------------------------------------------------------------------------------- */

static const char *root;
static char movie_uri[4200], live[4200], live_uri[4300];

static void make_movie(const char *path)
{
	char header[128];
	unsigned char pixels[SIDE * SIDE * 2];
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	memset(header, ' ', sizeof header);
	memcpy(header, "\x93NUMPY\1\0\x76\0", 10);
	int n = snprintf(header + 10, sizeof header - 10,
			 "{'descr': '<u2', 'fortran_order': False, 'shape': (%d, %d, %d), }",
			 FRAME_COUNT, SIDE, SIDE);
	header[10 + n] = ' ';
	header[sizeof header - 1] = '\n';
	assert_int_equal(fwrite(header, 1, sizeof header, file), sizeof header);
	for (int f = 0; f < FRAME_COUNT; f++) {
		memset(pixels, f % 100, sizeof pixels);
		assert_int_equal(fwrite(pixels, 1, sizeof pixels, file), sizeof pixels);
	}
	assert_int_equal(fclose(file), 0);
}

static void run(const char *session, const char *source, enum pn_place place, int retrain,
		void (*progress)(void *, const struct pn_metrics *))
{
	struct pn_graph *graph = make_graph(place);
	struct pn_error err = { 0 };
	struct pn_run_config config = { .graph = graph,
					.session = session,
					.source_uri = source,
					.checkpoint_ms = 20,
					.restart_limit = 100,
					.retrain = retrain,
					.progress = progress };

	if (pn_run(&config, &err))
		fail_msg("%s", err.text);
	pn_graph_destroy(graph);
}

static void check_stream(const char *session, const char *name, struct pn_log_check *check)
{
	struct pn_error err = { 0 };

	if (pn_log_verify(testkit_path(session, name), check, &err))
		fail_msg("%s", err.text);
	assert_true(!check->bad && !check->gaps && !check->bytes_after);
}

/* The streams of two sessions hold the same: 1 or 0. */
static int same(const char *a, const char *b, const char *name)
{
	struct pn_log_check x, y;

	check_stream(a, name, &x);
	check_stream(b, name, &y);
	assert_true(x.ended && y.ended);
	return x.records == y.records &&
	       memcmp(x.content_hash, y.content_hash, sizeof x.content_hash) == 0;
}

static struct pn_order_entry *read_order(const char *session, size_t *count)
{
	char *bytes = testkit_read(testkit_path(session, "checkpoints/mix.order"), count);

	*count /= sizeof(struct pn_order_entry);
	return (void *)bytes;
}

static void expect_replay(const char *recording, const char *replay)
{
	size_t count, again;
	struct pn_order_entry *order = read_order(recording, &count);
	struct pn_order_entry *order_again = read_order(replay, &again);

	assert_true(same(recording, replay, "weights"));
	assert_true(same(recording, replay, "out"));
	/* a seal is all that is new */
	assert_int_equal(again, count + (order[count - 1].input < PN_PORTS_MAX));
	assert_memory_equal(order, order_again, count * sizeof *order);
	free(order);
	free(order_again);
}

/* Names and bytes of all files of a folder, folded. */
static uint64_t fold_folder(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	uint64_t fold = 1;

	assert_true(count >= 2);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		char below[4300];
		struct stat st;

		snprintf(below, sizeof below, "%s/%s", path, name);
		assert_int_equal(stat(below, &st), 0);
		for (const char *p = name; *p; p++)
			fold = (fold ^ (unsigned char)*p) * 1099511628211u;
		if (S_ISDIR(st.st_mode) && name[0] != '.') {
			fold ^= fold_folder(below);
		} else if (S_ISREG(st.st_mode)) {
			size_t bytes;
			char *data = testkit_read(below, &bytes);

			for (size_t b = 0; b < bytes; b++)
				fold = (fold ^ (unsigned char)data[b]) * 1099511628211u;
			free(data);
		}
		free(entries[i]);
	}
	free(entries);
	return fold;
}

static int some_came_in_the_middle(void)
{
	size_t count;
	struct pn_order_entry *order = read_order(live, &count);
	int some = count > 3 && order[count - 1].position > 0;

	free(order);
	return some;
}

/* A live run: frames come by their times, so weights come in between. */
static int record(void **state)
{
	(void)state;
	root = testkit_tempdir();
	make_movie(testkit_path(root, "movie.npy"));
	snprintf(movie_uri, sizeof movie_uri, "file:%s?pixel_pm=30&fps=1000&speed=1",
		 testkit_path(root, "movie.npy"));
	/* its name is written %XX in URIs */
	snprintf(live, sizeof live, "%s/live 100%%?", root);
	snprintf(live_uri, sizeof live_uri, "replay:%s/live%%20100%%25%%3f?split=1", root);
	/* of a run on a machine so busy that nothing came in the middle there is nothing to learn
	 */
	for (int tries = 0; tries < 20; tries++) {
		char again[4300];

		run(live, movie_uri, PN_PLACE_THREADS, 0, NULL);
		train_runs = 0;
		if (some_came_in_the_middle())
			return 0;
		snprintf(again, sizeof again, "%s/idle%d", root, tries);
		assert_int_equal(rename(live, again), 0);
	}
	return 1;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void a_replay_is_the_same(void **state)
{
	(void)state;
	static const enum pn_place places[] = { PN_PLACE_THREAD, PN_PLACE_THREADS,
						PN_PLACE_PROCESSES };
	uint64_t fold = fold_folder(live);

	for (unsigned i = 0; i < PN_COUNT(places); i++) {
		char session[4300], uri[4400];

		snprintf(session, sizeof session, "%s/replay%u", root, i);
		run(session, live_uri, places[i], 0, NULL);
		expect_replay(live, session);
		/* and a replay of the replay */
		snprintf(uri, sizeof uri, "replay:%s", session);
		strcat(session, "again");
		run(session, uri, PN_PLACE_THREADS, 0, NULL);
		expect_replay(live, session);
	}
	assert_int_equal(train_runs, 0); /* never ran */
	assert_true(fold_folder(live) == fold);
}

static void its_summary_tells_of_the_recorded_run(void **state)
{
	(void)state;
	const struct pn_metrics *metrics;
	struct pn_counts counts, then;
	struct pn_error err = { 0 };

	assert_int_equal(pn_metrics_open(&metrics, live, &err), PN_OK);
	pn_metrics_get_counts(&metrics->stages[TRAIN], &then);
	pn_metrics_close(metrics);
	assert_int_equal(pn_metrics_open(&metrics, testkit_path(root, "replay0"), &err), PN_OK);
	pn_metrics_get_counts(&metrics->stages[TRAIN], &counts);
	assert_int_equal(metrics->stages[TRAIN].state, PN_STAGE_ENDED);
	pn_metrics_close(metrics);
	assert_int_equal(then.taken, FRAME_COUNT);
	assert_memory_equal(&counts, &then, sizeof then);
}

static void retraining_runs_it_again(void **state)
{
	(void)state;
	const char *session = testkit_path(root, "retrained");
	unsigned runs = train_runs;
	size_t count;

	run(session, live_uri, PN_PLACE_THREADS, 1, NULL);
	assert_int_equal(train_runs, runs + 1);
	assert_false(same(live, session, "weights"));
	struct pn_order_entry *order = read_order(session, &count);
	assert_true(!count || order[count - 1].input < PN_PORTS_MAX); /* not sealed: its own */
	free(order);
}

static int murders;

/* Ends a stage's process at once, now the one, now the other. */
static void murder(void *arg, const struct pn_metrics *metrics)
{
	int pid = metrics->stages[murders % 2 ? MIX : TRAIN].pid;

	(void)arg;
	if (murders < 6 && pid > 1 && kill(pid, SIGKILL) == 0)
		murders++;
}

static void killed_stages_change_nothing(void **state)
{
	(void)state;
	struct pn_log_check out;
	char session[4300], uri[4400], slow[4300];

	snprintf(slow, sizeof slow, "%.*s0.3", (int)strlen(movie_uri) - 1, movie_uri);
	snprintf(session, sizeof session, "%s/killed", root);
	run(session, slow, PN_PLACE_PROCESSES, 0, murder);
	assert_true(murders > 0);
	check_stream(session, "out", &out);
	assert_int_equal(out.records, FRAME_COUNT); /* none twice, none lost */
	snprintf(uri, sizeof uri, "replay:%s", session);
	run(testkit_path(root, "killed-replay"), uri, PN_PLACE_PROCESSES, 0, NULL);
	expect_replay(session, testkit_path(root, "killed-replay"));
}

static void make_session(const char *session)
{
	assert_int_equal(mkdir(session, 0755), 0);
	assert_int_equal(mkdir(testkit_path(session, "checkpoints"), 0755), 0);
}

static void remove_file(const char *dir, const char *name)
{
	assert_int_equal(unlink(testkit_path(dir, name)), 0);
}

/* A copy of the recording's weights and checkpoints that a test may spoil. */
static void copy_recording(const char *to)
{
	static const char *const names[] = { "weights/000000.seg", "checkpoints/train.0",
					     "checkpoints/train.1", "checkpoints/mix.order" };

	make_session(to);
	assert_int_equal(mkdir(testkit_path(to, "weights"), 0755), 0);
	for (unsigned i = 0; i < PN_COUNT(names); i++) {
		size_t bytes;
		char *data = testkit_read(testkit_path(live, names[i]), &bytes);

		testkit_write(testkit_path(to, names[i]), data, bytes);
		free(data);
	}
}

/* 1: the stage's checkpoint says that it has ended with @records weights. */
static int is_complete(const char *session, uint64_t records, uint64_t *taken)
{
	struct pn_checkpoint_files files = { 0 };
	struct pn_checkpoint checkpoint = { 0 };
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	assert_int_equal(
		pn_checkpoint_open(&files, testkit_path(session, "checkpoints/train"), &err),
		PN_OK);
	assert_int_equal(pn_checkpoint_read(&files, &checkpoint, &blob, &err), PN_OK);
	pn_checkpoint_close(&files);
	pn_blob_finish(&blob);
	*taken = checkpoint.counts.taken;
	return checkpoint.complete && checkpoint.next_out[0] == records;
}

/* Killed with the host: no end, perhaps half a record, perhaps no checkpoint; all that is whole
 * comes. */
static void an_open_stream_is_closed(void **state)
{
	(void)state;
	struct pn_graph *graph = make_graph(PN_PLACE_THREADS);
	struct pn_log_check whole, open, copy;
	struct stat st;

	check_stream(live, "weights", &whole);
	for (unsigned i = 0; i < 4; i++) {
		struct pn_carried carried;
		struct pn_error err = { 0 };
		char old[4200], fresh[4200], uri[4300];
		uint64_t taken, fold;

		snprintf(old, sizeof old, "%s/open%u", root, i);
		snprintf(fresh, sizeof fresh, "%s/closed%u", root, i);
		snprintf(uri, sizeof uri, "replay:%s", old);
		copy_recording(old);
		const char *segment = testkit_path(old, "weights/000000.seg");
		assert_int_equal(stat(segment, &st), 0);
		if (i) /* the end record has 64 bytes */
			assert_int_equal(truncate(segment, st.st_size - 64 - 50 * (i - 1)), 0);
		if (i == 3) {
			remove_file(old, "checkpoints/train.0");
			remove_file(old, "checkpoints/train.1");
		}
		fold = fold_folder(old);
		make_session(fresh);
		if (pn_carry(&carried, graph, fresh, uri, &err))
			fail_msg("%s", err.text);
		assert_true(carried.stages[TRAIN] && carried.streams[WEIGHTS] &&
			    carried.orders[MIX]);
		assert_false(carried.stages[INGEST] || carried.stages[MIX] || carried.streams[OUT]);
		assert_true(fold_folder(old) == fold);
		check_stream(fresh, "weights", &copy);
		assert_true(copy.ended);
		assert_int_equal(copy.records, whole.records - (i > 1));
		assert_int_equal(pn_log_verify(testkit_path(old, "weights"), &open, &err), PN_OK);
		assert_memory_equal(open.content_hash, copy.content_hash, sizeof copy.content_hash);
		assert_true(is_complete(fresh, copy.records, &taken));
		assert_int_equal(taken, i == 3 ? 0 : FRAME_COUNT);
		pn_carry_undo(&carried, graph, fresh);
		assert_int_equal(rmdir(testkit_path(fresh, "checkpoints")),
				 0); /* nothing is left */
		assert_int_equal(rmdir(fresh), 0);
	}
	pn_graph_destroy(graph);
}

static void expect_nothing_carried(const struct pn_graph *graph, const char *uri)
{
	static const struct pn_carried nothing;
	const char *session = testkit_path(root, "nothing");
	struct pn_error err = { 0 };
	struct pn_carried carried;

	make_session(session);
	assert_int_equal(pn_carry(&carried, graph, session, uri, &err), PN_OK);
	assert_memory_equal(&carried, &nothing, sizeof nothing);
	assert_int_equal(rmdir(testkit_path(session, "checkpoints")), 0);
	assert_int_equal(rmdir(session), 0);
}

static void what_is_not_carried(void **state)
{
	(void)state;
	struct pn_graph *graph = make_graph(PN_PLACE_THREADS);
	char stream_uri[4300];

	snprintf(stream_uri, sizeof stream_uri, "replay:%s/live%%20100%%25%%3f/weights", root);
	expect_nothing_carried(graph, movie_uri);
	expect_nothing_carried(graph, stream_uri);
	expect_nothing_carried(graph, "replay:/no/such/session");
	expect_nothing_carried(graph, "replay:%");
	expect_nothing_carried(graph, "replay:");
	/* a stream of that name, but of another type */
	strcpy(graph->streams[WEIGHTS].name, "frames");
	expect_nothing_carried(graph, live_uri);
	strcpy(graph->streams[WEIGHTS].name, "weights");
	/* the recording has only one of two streams of a stage; then the journal stays as well */
	graph->stages[TRAIN].outputs[1] = (int)graph->stream_count;
	strcpy(graph->streams[graph->stream_count].name, "losses");
	graph->streams[graph->stream_count++].schema = &pn_specimen_schema;
	expect_nothing_carried(graph, live_uri);
	pn_graph_destroy(graph);
}

static void a_failure_leaves_no_session(void **state)
{
	(void)state;
	struct pn_graph *graph = make_graph(PN_PLACE_THREADS);
	char old[4200], uri[4300];
	struct pn_error err = { 0 };
	struct pn_run_config config = { .graph = graph,
					.session = testkit_path(root, "failed"),
					.source_uri = uri };

	snprintf(old, sizeof old, "%s/damaged", root);
	snprintf(uri, sizeof uri, "replay:%s", old);
	copy_recording(old);
	/* a checkpoint that is a folder cannot be copied */
	remove_file(old, "checkpoints/train.1");
	assert_int_equal(mkdir(testkit_path(old, "checkpoints/train.1"), 0755), 0);
	int rc = pn_run(&config, &err);
	assert_true(rc != PN_OK);
	if (!strstr(err.text, "carry over from") || !strstr(err.text, "train.1"))
		fail_msg("'%s' does not say what", err.text);
	assert_true(access(config.session, F_OK) != 0);
	pn_graph_destroy(graph);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_replay_is_the_same),
		cmocka_unit_test(its_summary_tells_of_the_recorded_run),
		cmocka_unit_test(retraining_runs_it_again),
		cmocka_unit_test(killed_stages_change_nothing),
		cmocka_unit_test(an_open_stream_is_closed),
		cmocka_unit_test(what_is_not_carried),
		cmocka_unit_test(a_failure_leaves_no_session),
	};

	return cmocka_run_group_tests(tests, record, NULL);
}
