/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole liquid-cell graph in one thread, with a seeded scheduler, a virtual clock and faults: slow
 * consumers, stages killed and restarted at any step, emissions that find no room, messages that come
 * again after a restart, a host that loses its memory with the last record torn. Whatever happens, the streams that
 * come out are those of an undisturbed run, and every frame is accounted for.
 *
 * One scenario: PERRIN_SIM_SEED=n. More of them: PERRIN_SIM_COUNT=n.
 */
#include "../../pipeline/host/runner.h"

#include "perrin/base/clock.h"
#include "perrin/base/rng.h"
#include "perrin/format/stack.h"
#include "testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDE = 96, FRAMES = 60, STAGES = 3, STREAMS = 5, CRASHES_MAX = 50 };

static const char graph_text[] = "graph: sim\n"
				 "stages:\n"
				 "  - stage: ingest\n"
				 "    input: source\n"
				 "    output: [frames, truth, specimen]\n"
				 "  - stage: track\n"
				 "    input: [frames]\n"
				 "    output: [crops]\n"
				 "    set: {box_px: 64, diameter_nm: 1, particles_max: 1}\n"
				 "  - stage: crystal\n"
				 "    input: [crops]\n"
				 "    output: [crystal]\n"
				 "streams:\n"
				 "  frames: {chunk_MiB: 1, chunk_count: 3, segment_MiB: 1}\n"
				 "  truth: {chunk_MiB: 1, chunk_count: 3, align: 64}\n"
				 "  specimen: {chunk_MiB: 1, chunk_count: 3, align: 64}\n"
				 "  crops: {chunk_MiB: 1, chunk_count: 3}\n"
				 "  crystal: {chunk_MiB: 1, chunk_count: 3, align: 64, durability: each}\n";

static const char *root;
static char movie_uri[4200];

/* What one scenario does. */
struct scenario {
	struct pn_rng rng;
	double kill, full, crash;    /* probabilities per step            */
	double weight[STAGES];       /* how often each stage gets its turn */
	int64_t checkpoint_ms;
};

struct sim {
	struct scenario scenario;
	struct pn_graph *graph;
	struct pn_metrics *metrics;
	struct pn_window *windows[STREAMS];
	struct pn_runner *runners[STAGES];
	int ended[STAGES];
	int64_t now_ns;
	char session[4096], link_base[64];
	unsigned kills, crashes, refusals;
};

static void make_movie(void)
{
	struct pn_stack_info info = { .dtype = PN_U16, .count = FRAMES, .ny = SIDE, .nx = SIDE,
				      .format = "npy" };
	struct pn_stack_writer *writer;
	struct pn_error err = { 0 };
	static uint16_t pixels[SIDE * SIDE];
	const char *path = testkit_path(root, "movie.npy");

	assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
	for (int f = 0; f < FRAMES; f++) {
		struct pn_rng rng;
		double cx = 48 + 6 * sin(f * 0.1), cy = 46 + 5 * cos(f * 0.13), angle = f * 0.05;

		pn_rng_init(&rng, 3, (uint64_t)f);
		for (int y = 0; y < SIDE; y++) {
			for (int x = 0; x < SIDE; x++) {
				double dx = x - cx, dy = y - cy;
				double inside = hypot(dx, dy) < 15 ? 1 : 0;
				double phase = 2 * M_PI * (dx * cos(angle) + dy * sin(angle)) / 6.3;

				pixels[y * SIDE + x] = (uint16_t)pn_rng_poisson(
					&rng, 9 * (1 + 0.7 * inside * cos(phase)));
			}
		}
		assert_int_equal(pn_stack_write(writer, pixels, &err), PN_OK);
	}
	assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
	snprintf(movie_uri, sizeof movie_uri, "file:%s?pixel_pm=35.8&fps=400", path);
}

static int no_room(void *arg)
{
	struct sim *sim = arg;
	int refused = pn_rng_uniform(&sim->scenario.rng) < sim->scenario.full;

	sim->refusals += (unsigned)refused;
	return refused;
}

static void open_windows(struct sim *sim)
{
	struct pn_error err = { 0 };

	for (unsigned i = 0; i < sim->graph->stream_count; i++)
		if (pn_window_create(&sim->windows[i], 1 << 20, 3, &err))
			fail_msg("%s", err.text);
}

static void open_runner(struct sim *sim, unsigned stage)
{
	struct pn_runner_config config = {
		.graph = sim->graph,
		.stage = stage,
		.session = sim->session,
		.source_uri = movie_uri,
		.windows = sim->windows,
		.link_base = sim->link_base,
		.metrics = sim->metrics,
		.checkpoint_ms = sim->scenario.checkpoint_ms,
		.engine = PN_ENGINE_PLAIN,
		.full = no_room,
		.fault_arg = sim,
		.timeless = 1,
	};
	struct pn_error err = { 0 };

	if (pn_runner_open(&sim->runners[stage], &config, sim->now_ns, &err))
		fail_msg("%s", err.text);
}

static void sim_open(struct sim *sim, const struct scenario *scenario, unsigned number)
{
	struct pn_error err = { 0 };
	const char *graph = testkit_path(root, "graph.yaml");
	char path[4200];

	memset(sim, 0, sizeof *sim);
	sim->scenario = *scenario;
	testkit_write(graph, graph_text, sizeof graph_text - 1);
	if (pn_graph_read(&sim->graph, graph, &err))
		fail_msg("%s", err.text);
	snprintf(sim->session, sizeof sim->session, "%s/s%u", root, number);
	snprintf(sim->link_base, sizeof sim->link_base, "mem:sim%u", number);
	assert_int_equal(mkdir(sim->session, 0755), 0);
	snprintf(path, sizeof path, "%s/checkpoints", sim->session);
	assert_int_equal(mkdir(path, 0755), 0);
	if (pn_metrics_create(&sim->metrics, sim->session, sim->graph, &err))
		fail_msg("%s", err.text);
	open_windows(sim);
	for (unsigned i = STAGES; i-- > 0;)
		open_runner(sim, i);
}

static void kill_stage(struct sim *sim, unsigned stage)
{
	pn_runner_kill(sim->runners[stage]);
	sim->runners[stage] = NULL;
	sim->kills++;
	open_runner(sim, stage);
}

/* Cut a few bytes off the newest segment of one stream, as a power cut in mid-write would. */
static void tear(struct sim *sim, unsigned stream)
{
	char path[4300];
	struct stat st;
	int segment = 0;

	do
		snprintf(path, sizeof path, "%s/%s/%06d.seg", sim->session,
			 sim->graph->streams[stream].name, segment++);
	while (stat(path, &st) == 0);
	if (segment < 2)
		return;
	snprintf(path, sizeof path, "%s/%s/%06d.seg", sim->session, sim->graph->streams[stream].name,
		 segment - 2);
	assert_int_equal(stat(path, &st), 0);
	off_t cut = (off_t)pn_rng_below(&sim->scenario.rng, 20000);
	assert_int_equal(truncate(path, st.st_size > cut ? st.st_size - cut : 0), 0);
}

/* All memory is gone: runners, windows, what had not reached the disk; the last record is torn. */
static void lose_host(struct sim *sim)
{
	for (unsigned i = 0; i < STAGES; i++) {
		pn_runner_kill(sim->runners[i]);
		sim->runners[i] = NULL;
		sim->ended[i] = 0;
	}
	for (unsigned i = 0; i < sim->graph->stream_count; i++)
		pn_window_destroy(sim->windows[i]);
	tear(sim, pn_rng_below(&sim->scenario.rng, sim->graph->stream_count));
	open_windows(sim);
	sim->crashes++;
	for (unsigned i = STAGES; i-- > 0;)
		open_runner(sim, i);
}

static unsigned pick_stage(struct sim *sim)
{
	double at = pn_rng_uniform(&sim->scenario.rng), sum = 0;

	for (unsigned i = 0; i < STAGES; i++) {
		sum += sim->scenario.weight[i];
		if (at < sum)
			return i;
	}
	return STAGES - 1;
}

static void sim_run(struct sim *sim)
{
	unsigned long steps = 0;

	while (!sim->ended[0] || !sim->ended[1] || !sim->ended[2]) {
		struct pn_error err = { 0 };
		unsigned stage = pick_stage(sim);

		if (++steps > 400000)
			fail_msg("no end after %lu steps", steps);
		sim->now_ns += 1 + pn_rng_below(&sim->scenario.rng, 2000000);
		/* a slow stage would never be through if its host failed for ever */
		if (sim->crashes < CRASHES_MAX &&
		    pn_rng_uniform(&sim->scenario.rng) < sim->scenario.crash)
			lose_host(sim);
		else if (pn_rng_uniform(&sim->scenario.rng) < sim->scenario.kill)
			kill_stage(sim, stage);
		int rc = pn_runner_step(sim->runners[stage], sim->now_ns, &err);

		if (rc != PN_OK && rc != PN_EAGAIN && rc != PN_EEND)
			fail_msg("step %lu: %s", steps, err.text);
		sim->ended[stage] = rc == PN_EEND;
	}
}

static void check_accounts(const struct sim *sim)
{
	for (unsigned i = 0; i < STAGES; i++) {
		struct pn_counts counts;

		pn_metrics_get_counts(&sim->metrics->stages[i], &counts);
		assert_int_equal(counts.taken, counts.done + pn_counts_skipped(&counts));
		if (i < 2)
			assert_int_equal(counts.taken, FRAMES);
	}
}

static void sim_close(struct sim *sim, struct pn_log_check *checks)
{
	for (unsigned i = 0; i < STAGES; i++) {
		struct pn_error err = { 0 };

		if (pn_runner_close(sim->runners[i], &err))
			fail_msg("%s", err.text);
	}
	check_accounts(sim);
	for (unsigned i = 0; i < sim->graph->stream_count; i++) {
		struct pn_error err = { 0 };
		char dir[4300];

		pn_window_destroy(sim->windows[i]);
		snprintf(dir, sizeof dir, "%s/%s", sim->session, sim->graph->streams[i].name);
		if (pn_log_verify(dir, &checks[i], &err))
			fail_msg("%s", err.text);
	}
	pn_metrics_destroy(sim->metrics);
	pn_graph_destroy(sim->graph);
}

static struct scenario undisturbed(void)
{
	struct scenario s = { .weight = { 1. / 3, 1. / 3, 1. / 3 }, .checkpoint_ms = 100 };

	pn_rng_init(&s.rng, 0, 0);
	return s;
}

static struct scenario disturbed(uint64_t seed)
{
	struct scenario s = { 0 };
	double sum = 0;

	pn_rng_init(&s.rng, seed, 1);
	s.kill = pn_rng_below(&s.rng, 3) ? 0.05 * pn_rng_uniform(&s.rng) : 0;
	s.full = pn_rng_below(&s.rng, 2) ? 0.5 * pn_rng_uniform(&s.rng) : 0;
	s.crash = pn_rng_below(&s.rng, 3) ? 0 : 0.003;
	for (unsigned i = 0; i < STAGES; i++)
		sum += s.weight[i] = pow(pn_rng_uniform(&s.rng), 3) + 0.03;
	for (unsigned i = 0; i < STAGES; i++)
		s.weight[i] /= sum;
	/* often enough that something is saved between two faults: else no run would ever end */
	s.checkpoint_ms = 1 + pn_rng_below(&s.rng, 20);
	return s;
}

static struct pn_log_check reference[STREAMS];

static int make_reference(void **state)
{
	(void)state;
	struct scenario calm = undisturbed();
	struct sim sim;

	root = testkit_tempdir();
	make_movie();
	sim_open(&sim, &calm, 1000000);
	sim_run(&sim);
	sim_close(&sim, reference);
	return 0;
}

static void one_seed(uint64_t seed, struct sim *sim)
{
	struct scenario scenario = disturbed(seed);
	struct pn_log_check checks[STREAMS];
	unsigned streams;

	sim_open(sim, &scenario, (unsigned)seed);
	sim_run(sim);
	streams = sim->graph->stream_count;
	sim_close(sim, checks);
	for (unsigned i = 0; i < streams; i++) {
		if (checks[i].bad || checks[i].gaps || !checks[i].ended ||
		    memcmp(checks[i].content_hash, reference[i].content_hash,
			   sizeof checks[i].content_hash))
			fail_msg("seed %llu: stream %u: %llu records, %llu expected; %s",
				 (unsigned long long)seed, i, (unsigned long long)checks[i].records,
				 (unsigned long long)reference[i].records, checks[i].text);
	}
}

static void whatever_happens_the_streams_are_the_same(void **state)
{
	(void)state;
	const char *seed = getenv("PERRIN_SIM_SEED"), *more = getenv("PERRIN_SIM_COUNT");
	unsigned count = more ? (unsigned)atoi(more) : 32, kills = 0, crashes = 0, refusals = 0;
	struct sim sim;

	assert_true(reference[0].records == FRAMES && reference[4].records > FRAMES / 3);
	for (unsigned i = 0; i < count; i++) {
		one_seed(seed ? strtoull(seed, NULL, 10) : i, &sim);
		kills += sim.kills;
		crashes += sim.crashes;
		refusals += sim.refusals;
		if (seed)
			return;
	}
	print_message("%u scenarios: %u kills, %u crashes of the host, %u refused emissions\n", count,
		      kills, crashes, refusals);
	assert_true(kills && crashes && refusals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_happens_the_streams_are_the_same),
	};

	return cmocka_run_group_tests(tests, make_reference, NULL);
}
