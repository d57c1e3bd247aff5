/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SIGKILL of any stage process at random moments, 200 times in a run of 4,000 frames: the streams
 * that come out are, to the byte, those of an undisturbed run. Processes are killed by the id that
 * the host reports on its metrics page.
 */
#include "perrin/base/clock.h"
#include "perrin/base/rng.h"
#include "perrin/format/stack.h"
#include "perrin/host/host.h"
#include "testkit.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 96, IMAGES = 200, LOOPS = 20, FRAMES = IMAGES * LOOPS, KILLS = 200 };

static const char graph_text[] = "graph: soak\n"
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
				 "  frames: {chunk_MiB: 2}\n"
				 "  truth: {chunk_MiB: 1, align: 64}\n"
				 "  specimen: {chunk_MiB: 1, align: 64}\n"
				 "  crops: {chunk_MiB: 1, segment_MiB: 8}\n"
				 "  crystal: {chunk_MiB: 1, align: 64}\n";

static const char *root;

static void make_movie(const char *path)
{
	struct pn_stack_info info = {
		.dtype = PN_U16, .count = IMAGES, .ny = SIDE, .nx = SIDE, .format = "npy"
	};
	struct pn_stack_writer *writer;
	struct pn_error err = { 0 };
	static uint16_t pixels[SIDE * SIDE];

	assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
	for (int f = 0; f < IMAGES; f++) {
		struct pn_rng rng;
		double cx = 48 + 6 * sin(f * 0.0314159), cy = 46 + 5 * cos(f * 0.0314159);

		pn_rng_init(&rng, 3, (uint64_t)f);
		for (int i = 0; i < SIDE * SIDE; i++) {
			double dx = i % SIDE - cx, dy = i / SIDE - cy;
			double inside = hypot(dx, dy) < 15 ? 1 : 0;

			pixels[i] = (uint16_t)pn_rng_poisson(
				&rng, 9 * (1 + 0.7 * inside * cos((dx + 0.5 * dy) * 1.0)));
		}
		assert_int_equal(pn_stack_write(writer, pixels, &err), PN_OK);
	}
	assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
}

/* Runs in a process of its own, as `perrin run` does; exit status 0 if all went well. */
static pid_t start_run(const char *session, int paced)
{
	char uri[4300];
	struct pn_graph *graph;
	struct pn_error err = { 0 };
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(uri, sizeof uri, "file:%s?pixel_pm=35.8&fps=400&loop=%d&speed=%s",
		 testkit_path(root, "movie.npy"), LOOPS, paced ? "0.5" : "0");
	if (pn_graph_read(&graph, testkit_path(root, "graph.yaml"), &err)) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	struct pn_run_config config = {
		.graph = graph,
		.session = session,
		.source_uri = uri,
		.wisdom = testkit_path(root, "calm/wisdom"),
		.checkpoint_ms = 50,
		.restart_limit = 1000,
	};
	int rc = pn_run(&config, &err);

	if (rc)
		fprintf(stderr, "%s\n", err.text);
	_exit(rc ? 1 : 0);
}

static void expect_success(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void verify(const char *session, struct pn_log_check *checks)
{
	static const char *const streams[] = { "frames", "crops", "crystal" };

	for (unsigned i = 0; i < 3; i++) {
		struct pn_error err = { 0 };

		if (pn_log_verify(testkit_path(session, streams[i]), &checks[i], &err))
			fail_msg("%s", err.text);
		assert_int_equal(checks[i].bad, 0);
		assert_int_equal(checks[i].gaps, 0);
		assert_int_equal(checks[i].ended, 1);
	}
}

/* One kill a few tens of milliseconds after the other, of a stage chosen at random. */
static unsigned kill_stages(const char *session, pid_t host)
{
	const struct pn_metrics *page = NULL;
	struct pn_rng rng;
	unsigned kills = 0;
	siginfo_t gone = { 0 };

	pn_rng_init(&rng, 2026, 0);
	while (kills < KILLS) {
		/* looks without reaping: the status is for expect_success */
		assert_int_equal(waitid(P_PID, (id_t)host, &gone, WEXITED | WNOHANG | WNOWAIT), 0);
		if (gone.si_pid)
			break;
		pn_sleep_ns((5 + (int64_t)pn_rng_below(&rng, 90)) * PN_NS_PER_MS);
		if (!page && pn_metrics_open(&page, session, NULL))
			continue;
		int pid = page->stages[pn_rng_below(&rng, page->stage_count)].pid;

		if (pid > 0 && kill(pid, SIGKILL) == 0)
			kills++;
	}
	pn_metrics_close(page);
	return kills;
}

static void kills_change_no_byte(void **state)
{
	(void)state;
	struct pn_log_check calm[3], harried[3];
	const struct pn_metrics *page;
	uint64_t restarts = 0;
	char first[4096], second[4096];

	root = testkit_tempdir();
	snprintf(first, sizeof first, "%s/calm", root);
	snprintf(second, sizeof second, "%s/harried", root);
	make_movie(testkit_path(root, "movie.npy"));
	testkit_write(testkit_path(root, "graph.yaml"), graph_text, sizeof graph_text - 1);
	expect_success(start_run(first, 0));
	verify(first, calm);
	assert_int_equal(calm[0].records, FRAMES);
	assert_true(calm[2].records > FRAMES / 2);

	pid_t host = start_run(second, 1);
	unsigned kills = kill_stages(second, host);
	expect_success(host);
	verify(second, harried);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(harried[i].records, calm[i].records);
		assert_memory_equal(harried[i].content_hash, calm[i].content_hash,
				    sizeof calm[i].content_hash);
	}
	assert_int_equal(pn_metrics_open(&page, second, NULL), PN_OK);
	for (unsigned i = 0; i < page->stage_count; i++) {
		struct pn_counts counts;

		pn_metrics_get_counts(&page->stages[i], &counts);
		assert_int_equal(counts.taken, counts.done + pn_counts_skipped(&counts));
		restarts += page->stages[i].restarts;
	}
	pn_metrics_close(page);
	print_message("%u kills, %llu restarts\n", kills, (unsigned long long)restarts);
	assert_int_equal(kills, KILLS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(kills_change_no_byte) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
