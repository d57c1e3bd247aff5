/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions that are ended early - by a full disk, a signal, the death of their host - say so and stay
 * readable to the last whole record. */
#include "perrin/base/clock.h"
#include "perrin/host/metrics.h"
#include "perrin/stream/log.h"

/* after the others: cmocka makes a macro of `skip` */
#include "kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir;
static char source[512];

static int make_movie(void **state)
{
	(void)state;
	dir = testkit_tempdir();
	kit_movie(testkit_path(dir, "movie.npy"), 200);
	snprintf(source, sizeof source, "file:%s?pixel_pm=35.8&fps=400&loop=20",
		 testkit_path(dir, "movie.npy"));
	return 0;
}

static void a_full_disk_is_told_and_what_is_written_is_readable(void **state)
{
	(void)state;
	char session[512];
	struct kit_result r;
	struct rlimit old, small;

	/* no file may grow beyond 40 MiB (windows count as files): the stream of frames, some 90 MiB,
	 * meets that like a full disk */
	snprintf(session, sizeof session, "%s", testkit_path(dir, "full"));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 40 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	kit_run(&r, (const char *const[]){ "run", "record", "--source", source, "--session", session,
					   "--set", "frames.chunk_MiB=1", "--speed", "50", NULL });
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r.code, 1);
	kit_says(r.err, "stage ingest gave up");
	kit_says(r.err, "no space left");
	kit_says(r.out, "failed");
	kit_free(&r);
	PERRIN(&r, 0, "verify", session);
	assert_string_equal(kit_word(r.out, "frames", 1), "good");
	assert_true(atoi(kit_word(r.out, "frames", 2)) > 1000);
	kit_free(&r);
}

/* `perrin run` as a process of its own, and its metrics page once it takes frames. */
static pid_t start(const char *session, const char *place, const struct pn_metrics **page)
{
	pid_t pid = fork();

	if (pid == 0) {
		freopen("/dev/null", "w", stdout);
		freopen("/dev/null", "w", stderr);
		execl(kit_binary(), "perrin", "run", "liquid-cell-raw", "--source", source, "--session",
		      session, "--place", place, "--speed", "1", (char *)NULL);
		_exit(127);
	}
	*page = NULL;
	for (int i = 0; i < 3000; i++) {
		struct pn_counts counts = { 0 };

		if (!*page)
			pn_metrics_open(page, session, NULL);
		if (*page)
			pn_metrics_get_counts(&(*page)->stages[0], &counts);
		if (counts.taken > 100)
			return pid;
		pn_sleep_ns(10 * PN_NS_PER_MS);
	}
	kill(pid, SIGKILL);
	fail_msg("%s: nothing taken within 30 s", session);
	return -1;
}

static void check_stopped(const char *session)
{
	static const char *const streams[] = { "frames", "crops", "crystal" };

	for (unsigned i = 0; i < 3; i++) {
		struct pn_log_check check;
		struct pn_error err = { 0 };

		if (pn_log_verify(testkit_path(session, streams[i]), &check, &err))
			fail_msg("%s", err.text);
		assert_int_equal(check.bad, 0);
		assert_int_equal(check.gaps, 0);
		assert_int_equal(check.ended, 1);
		assert_true(i > 0 || (check.records > 100 && check.records < 4000));
	}
}

static void a_signal_drains_and_sums_up(void **state)
{
	(void)state;
	static const char *const places[] = { "thread", "threads", "processes" };

	for (unsigned i = 0; i < 3; i++) {
		const struct pn_metrics *page;
		char session[512];
		int status;

		snprintf(session, sizeof session, "%s", testkit_path(dir, places[i]));
		pid_t pid = start(session, places[i], &page);
		assert_int_equal(kill(pid, i == 1 ? SIGTERM : SIGINT), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		for (unsigned s = 0; s < page->stage_count; s++) {
			struct pn_counts counts;

			pn_metrics_get_counts(&page->stages[s], &counts);
			assert_int_equal(page->stages[s].state, PN_STAGE_ENDED);
			assert_int_equal(counts.taken, counts.done + pn_counts_skipped(&counts));
		}
		pn_metrics_close(page);
		check_stopped(session);
		size_t bytes;
		char *summary = testkit_read(testkit_path(session, "summary.json"), &bytes);

		kit_says(summary, "\"stopped_by_signal\": true");
		free(summary);
	}
}

static void stages_do_not_outlive_their_host(void **state)
{
	(void)state;
	const struct pn_metrics *page;
	char session[512];
	struct kit_result r;
	int status, alive;

	snprintf(session, sizeof session, "%s", testkit_path(dir, "orphans"));
	/* orphans come to this process, which can then wait for them */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid_t pid = start(session, "processes", &page);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < 1000; i++) {
		alive = 0;
		while (waitpid(-1, &status, WNOHANG) > 0)
			;
		for (unsigned s = 0; s < page->stage_count; s++)
			alive += page->stages[s].pid > 0 && kill(page->stages[s].pid, 0) == 0;
		if (!alive)
			break;
		pn_sleep_ns(10 * PN_NS_PER_MS);
	}
	assert_int_equal(alive, 0);
	pn_metrics_close(page);
	PERRIN(&r, 0, "verify", session);
	kit_free(&r);
	PERRIN(&r, 0, "top", session, "--once");
	kit_says(r.out, "its host has died");
	kit_free(&r);
	/* the recording is whole enough to be played again */
	PERRIN(&r, 0, "replay", session, "--session", testkit_path(dir, "again"), "--place", "thread");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_is_told_and_what_is_written_is_readable),
		cmocka_unit_test(a_signal_drains_and_sums_up),
		cmocka_unit_test(stages_do_not_outlive_their_host),
	};

	return cmocka_run_group_tests(tests, make_movie, NULL);
}
