/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A detector process and a recording process, and what may happen between them: the recorder's stages
 * are killed while frames come and just after the last one, frames come in batches larger than what
 * the detector keeps, the detector gives up. Every frame is recorded once, and both sides come to an end. */
#include "perrin/base/clock.h"
#include "perrin/host/metrics.h"
#include "perrin/stream/log.h"

/* after the others: cmocka makes a macro of `skip` */
#include "kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGES = 100, LOOPS = 8, FRAMES = IMAGES * LOOPS };

static const char *dir;
static char source[512];

static int make_movie(void **state)
{
	(void)state;
	dir = testkit_tempdir();
	kit_movie(testkit_path(dir, "movie.npy"), IMAGES);
	snprintf(source, sizeof source, "file:%s?pixel_pm=35.8&loop=%d",
		 testkit_path(dir, "movie.npy"), LOOPS);
	return 0;
}

static pid_t start(const char *const *words)
{
	pid_t pid = fork();

	if (pid == 0) {
		freopen("/dev/null", "w", stdout);
		execv(kit_binary(), (char *const *)words);
		_exit(127);
	}
	return pid;
}

/* A recording of what comes to a socket of its own; endpoint receives its address. */
static pid_t record(const char *name, const char *setting, char endpoint[512], char session[512])
{
	char uri[600];

	snprintf(session, 512, "%s", testkit_path(dir, name));
	snprintf(endpoint, 512, "ipc://%s.socket", session);
	snprintf(uri, sizeof uri, "native:%s", endpoint);
	return start((const char *const[]){ "perrin", "run", "record", "--source", uri, "--session",
					    session, "--set", setting, NULL });
}

static const struct pn_metrics *page_of(const char *session)
{
	const struct pn_metrics *page = NULL;

	for (int i = 0; i < 1000 && pn_metrics_open(&page, session, NULL); i++)
		pn_sleep_ns(10 * PN_NS_PER_MS);
	assert_non_null(page);
	return page;
}

static void expect_end(pid_t pid)
{
	int status;

	for (int i = 0; i < 3000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
			return;
		}
		pn_sleep_ns(10 * PN_NS_PER_MS);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	fail_msg("process %d did not end within 30 s", (int)pid);
}

static void expect_all(const char *session, uint64_t records)
{
	struct pn_log_check check;
	struct pn_error err = { 0 };

	if (pn_log_verify(testkit_path(session, "frames"), &check, &err))
		fail_msg("%s", err.text);
	assert_int_equal(check.records, records);
	assert_int_equal(check.bad + check.gaps, 0);
	assert_int_equal(check.ended, 1);
}

static void kills_while_frames_come(void **state)
{
	(void)state;
	char endpoint[512], session[512];
	pid_t host = record("kills", "ingest.batch=1", endpoint, session);
	pid_t sender = start((const char *const[]){ "perrin", "send", source, "--to", endpoint, "--fps",
						    "200", NULL });
	const struct pn_metrics *page = page_of(session);

	int kills = 0;

	while (kills < 6 && !page->ended) {
		int pid = page->stages[0].pid;

		pn_sleep_ns(100 * PN_NS_PER_MS);
		kills += pid > 0 && kill(pid, SIGKILL) == 0;
	}
	assert_true(kills > 0);
	expect_end(sender);
	expect_end(host);
	pn_metrics_close(page);
	expect_all(session, FRAMES);
}

static void a_kill_after_the_last_frame(void **state)
{
	(void)state;

	for (int round = 0; round < 5; round++) {
		char endpoint[512], session[512], name[16];

		snprintf(name, sizeof name, "end%d", round);
		pid_t host = record(name, "ingest.batch=1", endpoint, session);
		const struct pn_metrics *page = page_of(session);
		struct kit_result r;

		PERRIN(&r, 0, "send", source, "--to", endpoint);
		kit_free(&r);
		int pid = page->stages[0].pid;
		if (pid > 0)
			kill(pid, SIGKILL);
		expect_end(host);
		pn_metrics_close(page);
		expect_all(session, FRAMES);
	}
}

static void batches_up_to_the_window(void **state)
{
	(void)state;
	static const struct {
		const char *name, *setting;
		uint64_t records;
	} cases[] = {
		{ "batch16", "ingest.batch=16", FRAMES / 16 },
		{ "batch100", "ingest.batch=100", FRAMES / 100 },
		{ "batch256", "ingest.batch=256", (FRAMES + 255) / 256 },
	};

	for (unsigned i = 0; i < 3; i++) {
		char endpoint[512], session[512];
		pid_t host = record(cases[i].name, cases[i].setting, endpoint, session);
		struct kit_result r;

		PERRIN(&r, 0, "send", source, "--to", endpoint);
		kit_free(&r);
		expect_end(host);
		expect_all(session, cases[i].records);
	}
}

static void a_sender_told_to_stop_ends_the_stream(void **state)
{
	(void)state;
	char endpoint[512], session[512];
	pid_t host = record("stopped", "ingest.batch=1", endpoint, session);
	pid_t sender = start((const char *const[]){ "perrin", "send", source, "--to", endpoint, "--fps",
						    "200", NULL });
	const struct pn_metrics *page = page_of(session);
	struct pn_counts counts = { 0 };

	while (counts.taken < 20) {
		pn_metrics_get_counts(&page->stages[0], &counts);
		pn_sleep_ns(10 * PN_NS_PER_MS);
	}
	assert_int_equal(kill(sender, SIGTERM), 0);
	expect_end(sender);
	expect_end(host);
	pn_metrics_get_counts(&page->stages[0], &counts);
	assert_true(counts.taken < FRAMES);
	pn_metrics_close(page);
	expect_all(session, counts.taken);
}

/* A time limit or a service manager signals every process of the group at once. */
static void a_signal_to_the_group_drains(void **state)
{
	(void)state;
	char session[512], slow[600];
	int status;

	snprintf(session, sizeof session, "%s", testkit_path(dir, "group"));
	snprintf(slow, sizeof slow, "%s&fps=200&speed=1", source);
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		freopen("/dev/null", "w", stdout);
		execl(kit_binary(), "perrin", "run", "liquid-cell-raw", "--source", slow, "--session",
		      session, (char *)NULL);
		_exit(127);
	}
	const struct pn_metrics *page = page_of(session);
	struct pn_counts counts = { 0 };

	while (counts.taken < 50) {
		pn_metrics_get_counts(&page->stages[0], &counts);
		pn_sleep_ns(10 * PN_NS_PER_MS);
	}
	assert_int_equal(kill(-pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (unsigned i = 0; i < page->stage_count; i++)
		assert_int_equal(page->stages[i].state, PN_STAGE_ENDED);
	pn_metrics_get_counts(&page->stages[0], &counts);
	pn_metrics_close(page);
	expect_all(session, counts.taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kills_while_frames_come),
		cmocka_unit_test(a_kill_after_the_last_frame),
		cmocka_unit_test(batches_up_to_the_window),
		cmocka_unit_test(a_sender_told_to_stop_ends_the_stream),
		cmocka_unit_test(a_signal_to_the_group_drains),
	};

	return cmocka_run_group_tests(tests, make_movie, NULL);
}
