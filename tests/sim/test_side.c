/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Side inputs and timed stages in one thread, with a seeded scheduler and a virtual clock. The test
 * itself is the producer of all inputs, so that a side message can come at any odd time: before the
 * first main message, in a burst, after the end, between a kill and the restart. Whatever happens,
 * the output is what follows from the input streams and the journal; and a second run that is given
 * this journal makes the same bytes.
 *
 * One scenario: PERRIN_SIM_SEED=n. More of them: PERRIN_SIM_COUNT=n.
 */
#include "../../pipeline/host/checkpoint.h"
#include "../../pipeline/host/order.h"
#include "../../pipeline/host/runner.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { A, B, WEIGHTS, OUT, STREAMS }; /* streams; the first three are also ports of `mix` */
enum { FEED, STAGE, STAGES };
enum { LATE = 2, MAIN_MAX = 40, SIDE_MAX = 90, CHUNK = 64 << 10 };

/* ---- the stages ---------------------------------------------------------------------------- */

static uint64_t fold(uint64_t digest, uint64_t port, uint64_t version)
{
	digest ^= (port + 1) * UINT64_C(0x9e3779b97f4a7c15) + version;
	digest *= UINT64_C(0xbf58476d1ce4e5b9);
	return digest ^ digest >> 29;
}

/* What is made of a main message depends on all that came before, and comes out two messages later.
 */
struct mix {
	uint64_t digest, held[LATE], count, drained;
};

/* No part of the state, which it outlives: the message refused last, which has to come next. */
static struct pn_msg last_refused;

static int mix_open(void *self, struct pn_ctx *ctx)
{
	(void)self, (void)ctx;
	memset(&last_refused, 0, sizeof last_refused);
	return PN_OK;
}

static int mix_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_specimen_head head, out = { .lattice_A = 4 };
	struct mix *s = self;
	int rc = pn_msg_decode(&pn_specimen_schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	uint64_t digest = fold(s->digest, in->port, head.version);
	/* some side messages give something at once */
	int emits = in->port == WEIGHTS ? head.version % 5 == 0 : s->count >= LATE;

	out.particle = in->port;
	out.version = (in->port == WEIGHTS ? digest : s->held[s->count % LATE]) >> 1;
	assert_true(!last_refused.head ||
		    (last_refused.port == in->port && last_refused.seq == in->seq));
	if (emits)
		rc = pn_emit(ctx, 0, &out, in->time_ns, 0, NULL);
	last_refused = rc == PN_EAGAIN ? *in : (struct pn_msg){ 0 };
	if (rc)
		return rc;
	s->digest = digest;
	if (in->port == WEIGHTS)
		return PN_OK;
	s->held[s->count++ % LATE] = digest;
	pn_done(ctx, 1);
	return PN_OK;
}

static int mix_drain(void *self, struct pn_ctx *ctx)
{
	struct mix *s = self;

	while (s->drained < LATE && s->drained < s->count) {
		uint64_t place = s->count < LATE ? s->drained : (s->count + s->drained) % LATE;
		struct pn_specimen_head out = { .particle = 99,
						.version = s->held[place] >> 1,
						.lattice_A = 4 };
		int rc = s->drained ? PN_OK : pn_emit(ctx, 0, &out, 0, 0, NULL);

		if (rc)
			return rc;
		s->drained = LATE; /* only the older one: the other is lost on purpose */
	}
	return PN_OK;
}

static int mix_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	(void)ctx;
	assert_null(last_refused.head); /* nor is it asked to save in between */
	return pn_blob_put(out, self, sizeof(struct mix));
}

static int mix_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	(void)ctx;
	assert_int_equal(bytes, sizeof(struct mix));
	memcpy(self, data, bytes);
	return PN_OK;
}

static const struct pn_port mix_inputs[] = {
	{ .name = "a", .schema = &pn_specimen_schema },
	{ .name = "b", .schema = &pn_specimen_schema },
	{ .name = "weights", .schema = &pn_specimen_schema, .side = 1 },
	{ 0 },
};
static const struct pn_port one_output[] = { { .name = "out", .schema = &pn_specimen_schema },
					     { 0 } };
static const struct pn_stage_ops mix_ops = {
	.name = "mix",
	.brief = "digests what it takes",
	.state_size = sizeof(struct mix),
	.inputs = mix_inputs,
	.outputs = one_output,
	.open = mix_open,
	.take = mix_take,
	.drain = mix_drain,
	.save = mix_save,
	.load = mix_load,
};

/* Says how much waits; its results are of its time. */
static int late_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_specimen_head out = { .particle = in->seq,
					.version = pn_behind(ctx),
					.lattice_A = 4 };

	(void)self;
	int rc = pn_emit(ctx, 0, &out, in->time_ns, 0, NULL);
	if (!rc)
		pn_done(ctx, 1);
	return rc;
}

static int late_drain(void *self, struct pn_ctx *ctx)
{
	struct pn_specimen_head out = { .particle = 1000, .lattice_A = 4 };

	(void)self;
	return pn_emit(ctx, 0, &out, 0, 0, NULL);
}

static const struct pn_stage_ops late_ops = {
	.name = "late",
	.brief = "says how much waits",
	.state_size = 1,
	.inputs = mix_inputs,
	.outputs = one_output,
	.timed = 1,
	.take = late_take,
	.drain = late_drain,
};

/* Stands in the graph for the test, which writes its streams. */
static const struct pn_port feed_outputs[] = {
	{ .name = "a", .schema = &pn_specimen_schema },
	{ .name = "b", .schema = &pn_specimen_schema },
	{ .name = "weights", .schema = &pn_specimen_schema },
	{ 0 },
};
static const struct pn_stage_ops feed_ops = {
	.name = "feed", .brief = "", .state_size = 1, .outputs = feed_outputs
};

/* ---- the world ----------------------------------------------------------------------------- */

struct scenario {
	uint64_t seed;
	double kill, full, crash;
	uint64_t total[3];          /* messages of a, b, weights                             */
	double weight[4];           /* how often a, b, weights are written, and a step is made */
	enum pn_link_policy policy; /* of the side link                                      */
	int64_t checkpoint_ms;
	long kill_at;           /* step before which the stage is killed; 0: none        */
	unsigned version_shift; /* another producer: other weights from number 5 on      */
	int timeless;
};

struct world {
	struct scenario scenario;
	struct pn_rng rng;
	struct pn_graph *graph;
	struct pn_metrics *metrics;
	struct pn_window *windows[STREAMS];
	struct pn_log_writer *writers[3];
	struct pn_runner *runner;
	int ended[3], over;
	int64_t now_ns;
	long steps;
	unsigned kills, crashes, refusals;
	char session[2048], link_base[64];
};

static const char *root;
static unsigned worlds;

static struct pn_graph *make_graph(const struct scenario *scenario, const struct pn_stage_ops *ops)
{
	static const char *const names[] = { "a", "b", "weights", "out" };
	struct pn_graph *graph = calloc(1, sizeof *graph);

	assert_non_null(graph);
	strcpy(graph->name, "side");
	graph->stage_count = STAGES;
	graph->stream_count = STREAMS;
	for (unsigned i = 0; i < STREAMS; i++) {
		struct pn_graph_stream *s = &graph->streams[i];

		strcpy(s->name, names[i]);
		pn_params_default(pn_graph_stream_params, s);
		s->schema = &pn_specimen_schema;
		s->align = 64;
		s->segment_MiB = 1;
		s->reader_count = i != OUT;
	}
	for (unsigned stage = 0; stage < STAGES; stage++)
		for (unsigned port = 0; port < PN_PORTS_MAX; port++)
			graph->stages[stage].outputs[port] = -1;
	strcpy(graph->stages[FEED].name, "feed");
	graph->stages[FEED].ops = &feed_ops;
	strcpy(graph->stages[STAGE].name, ops->name);
	graph->stages[STAGE].ops = ops;
	graph->stages[STAGE].threads = 1;
	graph->stages[STAGE].outputs[0] = OUT;
	graph->stages[STAGE].input_count = 3;
	for (unsigned port = 0; port < 3; port++) {
		graph->stages[FEED].outputs[port] = (int)port;
		graph->stages[STAGE].inputs[port].stream = port;
	}
	graph->stages[STAGE].inputs[WEIGHTS].policy = scenario->policy;
	return graph;
}

static int no_room(void *arg)
{
	struct world *w = arg;
	int refused = pn_rng_uniform(&w->rng) < w->scenario.full;

	w->refusals += (unsigned)refused;
	return refused;
}

static void open_runner(struct world *w)
{
	struct pn_runner_config config = {
		.graph = w->graph,
		.stage = STAGE,
		.session = w->session,
		.windows = w->windows,
		.link_base = w->link_base,
		.metrics = w->metrics,
		.checkpoint_ms = w->scenario.checkpoint_ms,
		.engine = PN_ENGINE_PLAIN,
		.full = no_room,
		.fault_arg = w,
		.timeless = w->scenario.timeless,
	};
	struct pn_error err = { 0 };

	if (pn_runner_open(&w->runner, &config, w->now_ns, &err))
		fail_msg("%s", err.text);
}

static const char *path_of(const struct world *w, const char *name)
{
	return testkit_path(w->session, name);
}

static void open_streams(struct world *w)
{
	struct pn_error err = { 0 };

	for (unsigned i = 0; i < STREAMS; i++)
		if (pn_window_create(&w->windows[i], CHUNK, 4, &err))
			fail_msg("%s", err.text);
	for (unsigned i = 0; i < 3; i++) {
		struct pn_log_config log = {
			.dir = path_of(w, w->graph->streams[i].name),
			.durability = PN_DURABLE_CLOSE,
			.align = 64,
			.engine = PN_ENGINE_PLAIN,
			.window = w->windows[i],
		};

		if (pn_log_open(&w->writers[i], &log, NULL, &err))
			fail_msg("%s", err.text);
	}
}

static void world_open(struct world *w, const struct scenario *scenario,
		       const struct pn_stage_ops *ops)
{
	struct pn_error err = { 0 };

	memset(w, 0, sizeof *w);
	w->scenario = *scenario;
	pn_rng_init(&w->rng, scenario->seed, 7);
	w->graph = make_graph(scenario, ops);
	snprintf(w->session, sizeof w->session, "%s/w%u", root, worlds);
	snprintf(w->link_base, sizeof w->link_base, "mem:side%u", worlds++);
	assert_int_equal(mkdir(w->session, 0755), 0);
	assert_int_equal(mkdir(path_of(w, "checkpoints"), 0755), 0);
	if (pn_metrics_create(&w->metrics, w->session, w->graph, &err))
		fail_msg("%s", err.text);
	open_streams(w);
}

static void drop_streams(struct world *w)
{
	for (unsigned i = 0; i < 3; i++) {
		pn_log_drop(w->writers[i]);
		w->writers[i] = NULL;
		w->ended[i] = 0;
	}
	for (unsigned i = 0; i < STREAMS; i++) {
		pn_window_destroy(w->windows[i]);
		w->windows[i] = NULL;
	}
}

static void world_close(struct world *w)
{
	struct pn_error err = { 0 };

	if (pn_runner_close(w->runner, &err))
		fail_msg("%s", err.text);
	drop_streams(w);
	pn_metrics_destroy(w->metrics);
	free(w->graph);
}

/* Message n of a stream: the same in every world of this seed. */
static void make(const struct scenario *scenario, unsigned stream, uint64_t n,
		 struct pn_specimen_head *head, int64_t *time_ns)
{
	struct pn_rng rng;

	pn_rng_init(&rng, scenario->seed * 3 + stream, n);
	*head = (struct pn_specimen_head){ .particle = stream,
					   .version = pn_rng_below(&rng, 1000),
					   .lattice_A = 4 };
	if (stream == WEIGHTS && n >= 5)
		head->version += scenario->version_shift;
	*time_ns = (int64_t)(10 * n + pn_rng_below(&rng, 10)); /* a and b meet now and then */
}

/* The next message of a stream, or its end; a producer that was restarted goes on where it was. */
static void produce(struct world *w, unsigned stream)
{
	unsigned char bytes[PN_HEAD_BYTES_MAX];
	struct pn_specimen_head head;
	struct pn_error err = { 0 };
	struct pn_msg msg = { .head = bytes };
	size_t count;

	if (w->ended[stream])
		return;
	if (pn_log_count(w->writers[stream]) == w->scenario.total[stream]) {
		assert_int_equal(pn_log_finish(w->writers[stream], 1, &err), PN_OK);
		w->writers[stream] = NULL;
		w->ended[stream] = 1;
		return;
	}
	make(&w->scenario, stream, pn_log_count(w->writers[stream]), &head, &msg.time_ns);
	assert_int_equal(
		pn_head_encode(&pn_specimen_schema, &head, bytes, sizeof bytes, &count, &err),
		PN_OK);
	msg.head_bytes = (uint32_t)count;
	if (pn_log_append(w->writers[stream], &msg, &err))
		fail_msg("%s", err.text);
}

static void produce_all(struct world *w, unsigned stream)
{
	while (!w->ended[stream])
		produce(w, stream);
}

/* ---- faults -------------------------------------------------------------------------------- */

static void kill_stage(struct world *w)
{
	pn_runner_kill(w->runner);
	w->kills++;
	open_runner(w);
}

/* A power cut: memory is gone, what was not synced may be, and the journal has begun an entry; its
 * whole entries were synced. The weights that they name may be gone: they will come again. */
static void lose_host(struct world *w)
{
	static const char garbage[40] = "torn";
	unsigned stream = pn_rng_below(&w->rng, STREAMS);
	struct stat st;

	pn_runner_kill(w->runner);
	drop_streams(w);
	const char *segment =
		testkit_path(path_of(w, w->graph->streams[stream].name), "000000.seg");
	if (stat(segment, &st) == 0 && st.st_size > 64) {
		off_t cut = (off_t)pn_rng_below(&w->rng, 1000);

		assert_int_equal(truncate(segment, st.st_size > cut ? st.st_size - cut : 0), 0);
	}
	FILE *journal = fopen(path_of(w, "checkpoints/mix.order"), "ab");
	assert_non_null(journal);
	fwrite(garbage, 1, pn_rng_below(&w->rng, sizeof garbage), journal);
	assert_int_equal(fclose(journal), 0);
	open_streams(w);
	w->crashes++;
	open_runner(w);
}

/* ---- running ------------------------------------------------------------------------------- */

static void step(struct world *w)
{
	struct pn_error err = { 0 };

	w->now_ns += 1 + pn_rng_below(&w->rng, 2000000);
	int rc = pn_runner_step(w->runner, w->now_ns, &err);

	if (rc != PN_OK && rc != PN_EAGAIN && rc != PN_EEND)
		fail_msg("seed %llu, step %ld: %s", (unsigned long long)w->scenario.seed, w->steps,
			 err.text);
	w->over = rc == PN_EEND;
}

static void run(struct world *w)
{
	while (!w->over) {
		double at = pn_rng_uniform(&w->rng);
		unsigned what = 0;

		if (++w->steps > 200000)
			fail_msg("seed %llu: no end", (unsigned long long)w->scenario.seed);
		while (what < 3 && (at -= w->scenario.weight[what]) >= 0)
			what++;
		if (w->steps == w->scenario.kill_at) {
			kill_stage(w);
			/* what comes now came before nothing that is to be made again */
			for (unsigned i = 0; i < 3; i++)
				produce(w, WEIGHTS);
		}
		if (w->crashes < 20 && pn_rng_uniform(&w->rng) < w->scenario.crash)
			lose_host(w);
		else if (what == 3 && pn_rng_uniform(&w->rng) < w->scenario.kill)
			kill_stage(w);
		if (what < 3)
			produce(w, what);
		else
			step(w);
	}
}

/* ---- what must come out -------------------------------------------------------------------- */

struct result {
	uint64_t entry_count, out_count;
	struct pn_order_entry *entries;
	uint64_t out[MAIN_MAX + SIDE_MAX + LATE + 8]; /* versions */
	struct pn_log_check check;
};

static void read_result(const struct world *w, struct result *r)
{
	struct pn_log_reader *reader = NULL;
	struct pn_specimen_head head;
	struct pn_error err = { 0 };
	struct pn_msg msg;
	size_t bytes;

	memset(r, 0, sizeof *r);
	r->entries = (void *)testkit_read(path_of(w, "checkpoints/mix.order"), &bytes);
	assert_int_equal(bytes % sizeof *r->entries, 0);
	r->entry_count = bytes / sizeof *r->entries;
	if (pn_log_verify(path_of(w, "out"), &r->check, &err) ||
	    pn_log_read_open(&reader, path_of(w, "out"), NULL, 0, 0, &err))
		fail_msg("%s", err.text);
	assert_true(r->check.ended && !r->check.bad && !r->check.gaps);
	while (pn_log_read(reader, &msg, &err) == PN_OK) {
		assert_true(r->out_count < PN_COUNT(r->out));
		assert_int_equal(pn_msg_decode(&pn_specimen_schema, &msg, &head, &err), PN_OK);
		r->out[r->out_count++] = head.version;
	}
	pn_log_read_close(reader);
}

/* The contract once more, in its simplest form: merge a and b by time, side messages as noted. */
static uint64_t expected(const struct scenario *scenario, const struct result *r, uint64_t *out)
{
	uint64_t digest = 0, next[2] = { 0, 0 }, digests[2 * MAIN_MAX], mains = 0, count = 0, e = 0;
	uint64_t total = scenario->total[A] + scenario->total[B];
	struct pn_specimen_head head[2], side;
	int64_t time_ns[2], side_ns;

	for (; mains < total; mains++) {
		for (; e < r->entry_count && r->entries[e].position == mains; e++) {
			make(scenario, WEIGHTS, r->entries[e].seq, &side, &side_ns);
			digest = fold(digest, WEIGHTS, side.version);
			if (side.version % 5 == 0)
				out[count++] = digest >> 1;
		}
		for (unsigned i = 0; i < 2; i++)
			make(scenario, i, next[i], &head[i], &time_ns[i]);
		unsigned from = next[A] == scenario->total[A]   ? B
				: next[B] == scenario->total[B] ? A
								: time_ns[B] < time_ns[A];
		next[from]++;
		digests[mains] = digest = fold(digest, from, head[from].version);
		if (mains >= LATE)
			out[count++] = digests[mains - LATE] >> 1;
	}
	if (total)
		out[count++] = digests[total < LATE ? 0 : total - LATE] >> 1;
	/* a seal may stand behind the last one; nothing was taken at the end */
	assert_true(e == r->entry_count || r->entries[e].input == PN_PORTS_MAX);
	return count;
}

static void check_result(const struct world *w, struct result *r)
{
	uint64_t wanted[PN_COUNT(r->out)], next = 0;
	struct pn_counts counts;

	read_result(w, r);
	for (uint64_t e = 0; e < r->entry_count && r->entries[e].input < PN_PORTS_MAX; e++) {
		assert_int_equal(r->entries[e].input, WEIGHTS);
		if (w->scenario.policy == PN_LINK_EVERY)
			assert_int_equal(r->entries[e].seq, next);
		assert_true(r->entries[e].seq >= next); /* none is noted twice */
		assert_true(!e || r->entries[e].position >= r->entries[e - 1].position);
		next = r->entries[e].seq + 1;
	}
	uint64_t count = expected(&w->scenario, r, wanted);

	if (count != r->out_count || memcmp(wanted, r->out, count * sizeof *wanted))
		fail_msg("seed %llu, kill at %ld: %llu messages came out, %llu expected, or others",
			 (unsigned long long)w->scenario.seed, w->scenario.kill_at,
			 (unsigned long long)r->out_count, (unsigned long long)count);
	pn_metrics_get_counts(&w->metrics->stages[STAGE], &counts);
	assert_int_equal(counts.taken, w->scenario.total[A] + w->scenario.total[B]);
	assert_int_equal(counts.done, counts.taken);
}

static struct scenario undisturbed(uint64_t seed)
{
	return (struct scenario){ .seed = seed,
				  .total = { 12, 9, 8 },
				  .weight = { 0.15, 0.15, 0.1, 0.6 },
				  .checkpoint_ms = 5 };
}

static struct scenario disturbed(uint64_t seed)
{
	struct scenario s = { .seed = seed };
	struct pn_rng rng;
	double sum = 0;

	pn_rng_init(&rng, seed, 11);
	s.kill = pn_rng_below(&rng, 3) ? 0.08 * pn_rng_uniform(&rng) : 0;
	s.full = pn_rng_below(&rng, 2) ? 0.5 * pn_rng_uniform(&rng) : 0;
	s.crash = pn_rng_below(&rng, 3) ? 0 : 0.02;
	s.total[A] = pn_rng_below(&rng, MAIN_MAX + 1);
	s.total[B] = pn_rng_below(&rng, MAIN_MAX + 1);
	s.total[WEIGHTS] =
		pn_rng_below(&rng, 3) ? pn_rng_below(&rng, 12) : pn_rng_below(&rng, SIDE_MAX);
	s.policy = pn_rng_below(&rng, 2) ? PN_LINK_EVERY : PN_LINK_FRESHEST;
	s.checkpoint_ms = 1 + pn_rng_below(&rng, 20);
	for (unsigned i = 0; i < 4; i++)
		sum += s.weight[i] = pn_rng_uniform(&rng) + 0.05;
	for (unsigned i = 0; i < 4; i++)
		s.weight[i] /= sum;
	return s;
}

/* ---- tests --------------------------------------------------------------------------------- */

/* As a replay does it: all weights are there from the start, with the journal of the first run. */
static void replay_is_the_same(const struct world *live, const struct result *r)
{
	struct scenario scenario = live->scenario;
	struct pn_order order;
	struct pn_error err = { 0 };
	struct result again;
	struct world w;
	uint64_t cut;

	scenario.kill_at = 0;
	scenario.kill = 0.02;
	scenario.crash = 0;
	scenario.checkpoint_ms = 1;
	world_open(&w, &scenario, &mix_ops);
	testkit_write(path_of(&w, "checkpoints/mix.order"), r->entries,
		      r->entry_count * sizeof *r->entries);
	assert_int_equal(pn_order_open(&order, path_of(&w, "checkpoints/mix.order"),
				       (uint64_t[PN_PORTS_MAX]){ 0 }, &cut, &err),
			 PN_OK);
	assert_int_equal(pn_order_seal(&order, &err), PN_OK);
	pn_order_close(&order);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	run(&w);
	check_result(&w, &again);
	assert_int_equal(again.entry_count, r->entry_count + 1);
	assert_memory_equal(again.entries, r->entries, r->entry_count * sizeof *r->entries);
	assert_memory_equal(again.check.content_hash, r->check.content_hash,
			    sizeof r->check.content_hash);
	free(again.entries);
	world_close(&w);
}

static void whatever_happens_the_journal_is_obeyed(void **state)
{
	(void)state;
	const char *seed = getenv("PERRIN_SIM_SEED"), *more = getenv("PERRIN_SIM_COUNT");
	unsigned count = more ? (unsigned)atoi(more) : 24, kills = 0, crashes = 0, refusals = 0;
	uint64_t entries = 0;

	for (unsigned i = 0; i < count; i++) {
		/* a checkpoint of before a power cut fits the streams again when they have grown */
		uint64_t number = i ? i : 846;
		struct scenario scenario = disturbed(seed ? strtoull(seed, NULL, 10) : number);
		struct result r;
		struct world w;

		world_open(&w, &scenario, &mix_ops);
		open_runner(&w);
		run(&w);
		check_result(&w, &r);
		replay_is_the_same(&w, &r);
		kills += w.kills;
		crashes += w.crashes;
		refusals += w.refusals;
		entries += r.entry_count;
		free(r.entries);
		world_close(&w);
		if (seed)
			return;
	}
	print_message(
		"%u scenarios: %u kills, %u crashes of the host, %u refused emissions, %llu side "
		"messages\n",
		count, kills, crashes, refusals, (unsigned long long)entries);
	assert_true(kills && crashes && refusals && entries);
}

static void a_kill_at_every_step(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(3);
	uint64_t taken = 0;
	long steps = 1;

	scenario.full = 0.2;
	for (long at = 0; at <= steps; at++) {
		struct result r;
		struct world w;

		scenario.kill_at = at;
		world_open(&w, &scenario, &mix_ops);
		open_runner(&w);
		run(&w);
		check_result(&w, &r);
		if (at == 0)
			steps = w.steps;
		taken += r.entry_count;
		free(r.entries);
		world_close(&w);
	}
	assert_true(steps > 60 && taken > (uint64_t)steps);
}

/* A world in which nothing has been made yet, with @scenario's streams as far as the caller says.
 */
static void finish(struct world *w, struct result *r)
{
	for (unsigned i = 0; i < 3; i++)
		if (i != WEIGHTS)
			produce_all(w, i);
	while (!w->over) {
		step(w);
		assert_true(++w->steps < 10000);
	}
	check_result(w, r);
}

static void nobody_waits_for_the_side(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(5);
	struct result r;
	struct world w;

	/* never written, never ended */
	world_open(&w, &scenario, &mix_ops);
	open_runner(&w);
	finish(&w, &r);
	assert_int_equal(r.entry_count, 0);
	free(r.entries);
	world_close(&w);
	/* a producer that gave up after three */
	world_open(&w, &scenario, &mix_ops);
	open_runner(&w);
	for (unsigned i = 0; i < 3; i++)
		produce(&w, WEIGHTS);
	w.metrics->stages[FEED].state = PN_STAGE_FAILED;
	finish(&w, &r);
	assert_int_equal(r.entry_count, 3);
	free(r.entries);
	world_close(&w);
	/* and with no main message there is no place for any */
	scenario.total[A] = scenario.total[B] = 0;
	world_open(&w, &scenario, &mix_ops);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &r);
	assert_int_equal(r.entry_count, 0);
	free(r.entries);
	world_close(&w);
}

/* Many at once may not keep a main message waiting; what is left at the end is not taken. */
static void more_side_than_main_messages(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(6);
	struct result r;
	struct world w;

	scenario.total[WEIGHTS] = 40;
	world_open(&w, &scenario, &mix_ops);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &r);
	assert_int_equal(r.entry_count, 40);
	for (uint64_t e = 0; e < r.entry_count; e++)
		assert_int_equal(r.entries[e].position, e / 16);
	free(r.entries);
	world_close(&w);

	scenario.total[A] = 1;
	scenario.total[B] = 0;
	world_open(&w, &scenario, &mix_ops);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &r);
	assert_int_equal(r.entry_count, 16);
	free(r.entries);
	world_close(&w);

	/* of a link that skips only the newest */
	scenario.policy = PN_LINK_FRESHEST;
	world_open(&w, &scenario, &mix_ops);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &r);
	assert_int_equal(r.entry_count, 1);
	assert_int_equal(r.entries[0].seq, 39);
	free(r.entries);
	world_close(&w);
}

/* A journal of a full run, in a world whose weights are others, or fewer. */
static void obey_in_another_world(const struct scenario *live, const struct scenario *other,
				  uint64_t whole, const char *says)
{
	struct result r, again;
	struct world w;

	world_open(&w, live, &mix_ops);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &r);
	assert_int_equal(r.entry_count, live->total[WEIGHTS]);
	world_close(&w);

	world_open(&w, other, &mix_ops);
	testkit_write(path_of(&w, "checkpoints/mix.order"), r.entries,
		      r.entry_count * sizeof *r.entries);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &again);
	assert_memory_equal(again.entries, r.entries, whole * sizeof *r.entries);
	/* behind the cut they come as they come */
	assert_int_equal(again.entry_count, other->total[WEIGHTS]);
	if (!strstr(w.metrics->stages[STAGE].last_error, says))
		fail_msg("'%s' does not say '%s'", w.metrics->stages[STAGE].last_error, says);
	free(r.entries);
	free(again.entries);
	world_close(&w);
}

static void a_message_that_is_another_cuts_the_journal(void **state)
{
	(void)state;
	struct scenario live = undisturbed(8), other = live;

	other.version_shift = 1;
	obey_in_another_world(
		&live, &other, 5,
		"mix.order: cut to 5 entries of 8: message 5 of input 2, taken before main "
		"message 0, is not the one that was taken");
	other.version_shift = 0;
	other.total[WEIGHTS] = 6;
	obey_in_another_world(&live, &other, 6,
			      "cut to 6 entries of 8: message 6 of input 2, taken "
			      "before main message 0, is not in its stream");
}

/* Entries are waited for: the stream may come only after them. */
static void what_is_noted_is_waited_for(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(9);
	struct result r, again;
	struct world w;

	world_open(&w, &scenario, &mix_ops);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &r);
	world_close(&w);

	world_open(&w, &scenario, &mix_ops);
	testkit_write(path_of(&w, "checkpoints/mix.order"), r.entries,
		      r.entry_count * sizeof *r.entries);
	open_runner(&w);
	produce_all(&w, A);
	produce_all(&w, B);
	for (uint64_t n = 0; n < scenario.total[WEIGHTS]; n++) {
		for (unsigned i = 0; i < 40; i++)
			step(&w);
		assert_int_equal(pn_runner_taken(w.runner), 0);
		produce(&w, WEIGHTS);
	}
	finish(&w, &again);
	assert_memory_equal(again.check.content_hash, r.check.content_hash,
			    sizeof r.check.content_hash);
	free(r.entries);
	free(again.entries);
	world_close(&w);
}

/* The journal of a stage that was killed, cut at every byte: what is whole is obeyed. Nothing was
 * published yet that had been made with the rest. */
static void a_journal_torn_at_every_byte(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(10);
	struct result r;
	struct world w;

	scenario.total[WEIGHTS] = 4;
	world_open(&w, &scenario, &mix_ops);
	produce_all(&w, WEIGHTS);
	open_runner(&w);
	finish(&w, &r);
	world_close(&w);
	assert_int_equal(r.entry_count, 4);
	for (size_t bytes = 0; bytes <= 4 * sizeof *r.entries; bytes++) {
		size_t whole = bytes / sizeof *r.entries;
		struct result again;

		world_open(&w, &scenario, &mix_ops);
		testkit_write(path_of(&w, "checkpoints/mix.order"), r.entries, bytes);
		produce_all(&w, WEIGHTS);
		open_runner(&w);
		finish(&w, &again);
		assert_memory_equal(again.entries, r.entries, whole * sizeof *r.entries);
		assert_int_equal(again.entry_count, 4);
		if (bytes % sizeof *r.entries)
			assert_non_null(strstr(w.metrics->stages[STAGE].last_error, "torn end"));
		free(again.entries);
		world_close(&w);
	}
	free(r.entries);
}

/* ---- timed stages -------------------------------------------------------------------------- */

static uint64_t read_outs(const struct world *w, struct pn_specimen_head *heads, uint64_t room)
{
	struct pn_log_reader *reader = NULL;
	struct pn_error err = { 0 };
	struct pn_msg msg;
	uint64_t count = 0;

	assert_int_equal(pn_log_read_open(&reader, path_of(w, "out"), NULL, 0, 0, &err), PN_OK);
	while (pn_log_read(reader, &msg, &err) == PN_OK) {
		assert_true(count < room);
		assert_int_equal(pn_msg_decode(&pn_specimen_schema, &msg, &heads[count++], &err),
				 PN_OK);
	}
	pn_log_read_close(reader);
	return count;
}

static void a_timed_stage_goes_on_from_the_end(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(12);
	struct pn_specimen_head heads[64];
	struct world w;

	scenario.total[A] = 6;
	scenario.total[B] = scenario.total[WEIGHTS] = 0;
	scenario.checkpoint_ms = 1000000; /* it begins anew, */
	world_open(&w, &scenario, &late_ops);
	produce_all(&w, B);
	open_runner(&w);
	for (unsigned i = 0; i < 4; i++)
		produce(&w, A);
	for (unsigned i = 0; i < 3; i++)
		step(&w);
	kill_stage(&w);
	produce_all(&w, A);
	while (!w.over)
		step(&w);
	/* but what it gave stays, and what it gives now, otherwise, comes behind */
	uint64_t count = read_outs(&w, heads, PN_COUNT(heads));
	assert_int_equal(count, 3 + 6 + 1);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(heads[i].particle, i);
		assert_int_equal(heads[i].version, 3 - i);
	}
	for (uint64_t i = 0; i < 6; i++) {
		assert_int_equal(heads[3 + i].particle, i);
		assert_int_equal(heads[3 + i].version, 5 - i);
	}
	world_close(&w);
}

/* Killed after its streams were closed and before it could note that: readers have seen the end. */
static void a_timed_stage_does_not_open_its_streams_again(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(13);
	struct pn_specimen_head heads[64];
	struct pn_log_check check;
	struct pn_error err = { 0 };
	struct world w;

	world_open(&w, &scenario, &late_ops);
	open_runner(&w);
	produce_all(&w, A);
	produce_all(&w, B);
	while (!w.over)
		step(&w);
	uint64_t count = read_outs(&w, heads, PN_COUNT(heads));
	/* the newest of the two checkpoints says that it has ended */
	struct pn_checkpoint_files files = { 0 };
	struct pn_checkpoint newest;
	struct pn_blob blob = { 0 };
	assert_int_equal(pn_checkpoint_open(&files, path_of(&w, "checkpoints/late"), &err), PN_OK);
	assert_int_equal(pn_checkpoint_read(&files, &newest, &blob, &err), PN_OK);
	assert_true(newest.complete);
	pn_checkpoint_close(&files);
	pn_blob_finish(&blob);
	testkit_write(
		path_of(&w, newest.generation % 2 ? "checkpoints/late.1" : "checkpoints/late.0"),
		"", 0);
	w.over = 0;
	kill_stage(&w);
	while (!w.over)
		step(&w);
	assert_int_equal(read_outs(&w, heads, PN_COUNT(heads)), count);
	world_close(&w);
	assert_int_equal(pn_log_verify(path_of(&w, "out"), &check, &err), PN_OK);
	assert_true(check.ended);
}

static void without_time_nothing_waits(void **state)
{
	(void)state;
	struct scenario scenario = undisturbed(14);
	struct pn_specimen_head heads[64];
	struct world w;

	scenario.timeless = 1;
	world_open(&w, &scenario, &late_ops);
	open_runner(&w);
	produce_all(&w, A);
	produce_all(&w, B);
	while (!w.over)
		step(&w);
	uint64_t count = read_outs(&w, heads, PN_COUNT(heads));
	assert_int_equal(count, scenario.total[A] + scenario.total[B] + 1);
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(heads[i].version, 0);
	world_close(&w);
}

static int make_root(void **state)
{
	(void)state;
	root = testkit_tempdir();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_happens_the_journal_is_obeyed),
		cmocka_unit_test(a_kill_at_every_step),
		cmocka_unit_test(nobody_waits_for_the_side),
		cmocka_unit_test(more_side_than_main_messages),
		cmocka_unit_test(a_message_that_is_another_cuts_the_journal),
		cmocka_unit_test(what_is_noted_is_waited_for),
		cmocka_unit_test(a_journal_torn_at_every_byte),
		cmocka_unit_test(a_timed_stage_goes_on_from_the_end),
		cmocka_unit_test(a_timed_stage_does_not_open_its_streams_again),
		cmocka_unit_test(without_time_nothing_waits),
	};

	return cmocka_run_group_tests(tests, make_root, NULL);
}
