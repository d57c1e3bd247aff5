/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin advise: what it prints, publishes and runs, of a session that is over and of one that
 * grows. */
#include "perrin/link/socket.h"
#include "perrin/stream/head.h"
#include "perrin/stream/log.h"

/* after the others: cmocka makes a macro of `skip` */
#include "kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static const char *dir;

/* ---- sessions ------------------------------------------------------------------------------ */

static const char *make_session(const char *name)
{
	char *session = strdup(testkit_path(dir, name));

	assert_non_null(session);
	assert_int_equal(mkdir(session, 0777), 0);
	testkit_write(testkit_path(session, "session.json"), "{}", 2);
	return session;
}

static struct pn_log_writer *open_stream(const char *session)
{
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };
	char path[600];

	snprintf(path, sizeof path, "%s/advice", session);
	if (pn_log_open(&writer, &(struct pn_log_config){ .dir = path, .align = 64 }, &recovery,
			&err))
		fail_msg("%s", err.text);
	return writer;
}

static void put(struct pn_log_writer *writer, uint64_t number, uint64_t particle, int verdict)
{
	struct pn_advice_head head = { .advice = number,
				       .particle = particle,
				       .segment = 1,
				       .verdict = verdict,
				       .confidence = 0.75,
				       .images = 100 * number,
				       .dose_e_per_A2 = (double)NAN,
				       .resolution_A = 1.5,
				       .next_resolution_A = (double)NAN,
				       .gain_pm_per_s = (double)NAN,
				       .atoms_kept = (double)NAN,
				       .score_fading = (double)NAN,
				       .next_theta_deg = (double)NAN };
	unsigned char bytes[PN_HEAD_BYTES_MAX];
	struct pn_error err = { 0 };
	size_t size;

	snprintf(head.reasons, sizeof head.reasons, "1.50 A after %u frames, \"so far\".",
		 100 * (unsigned)number);
	assert_int_equal(pn_head_encode(&pn_advice_schema, &head, bytes, sizeof bytes, &size, &err),
			 PN_OK);
	const struct pn_msg msg = { .time_ns = (int64_t)number * SECOND / 4,
				    .head = bytes,
				    .head_bytes = (uint32_t)size };

	assert_int_equal(pn_log_append(writer, &msg, &err), PN_OK);
	assert_int_equal(pn_log_flush(writer, &err), PN_OK);
}

/* Two particles; the verdict on one changes twice, on the other once. */
static const char *recorded(void)
{
	static const char *session;

	if (session)
		return session;
	session = make_session("recorded");
	struct pn_log_writer *writer = open_stream(session);

	put(writer, 1, 3, PN_VERDICT_CONTINUE);
	put(writer, 2, 3, PN_VERDICT_ENOUGH);
	put(writer, 3, 8, PN_VERDICT_CHANGED);
	put(writer, 4, 3, PN_VERDICT_ENOUGH);
	put(writer, 5, 3, PN_VERDICT_USELESS);
	assert_int_equal(pn_log_finish(writer, 1, NULL), PN_OK);
	return session;
}

static unsigned lines(const char *text)
{
	unsigned count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static char *read_text(const char *path)
{
	static char text[16384];
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	fclose(file);
	return text;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void prints_what_was_advised(void **state)
{
	(void)state;
	struct kit_result r;

	PERRIN(&r, 0, "advise", recorded());
	assert_int_equal(lines(r.out), 5);
	kit_says(r.out, "0.500 s  particle 3  enough (0.75): 1.50 A after 200 frames");
	assert_string_equal(r.err, "");
	kit_free(&r);
	PERRIN(&r, 0, "advise", recorded(), "--follow", "--json"); /* its end is its end */
	assert_int_equal(lines(r.out), 5);
	kit_says(r.out, "\"verdict\":\"no longer useful\"");
	kit_says(r.out, "\\\"so far\\\"");
	kit_free(&r);
}

static void runs_the_command_when_verdicts_change(void **state)
{
	(void)state;
	static const char script[] = "#!/bin/sh\n"
				     "here=$(dirname \"$0\")\n"
				     "echo \"$PERRIN_PARTICLE|$PERRIN_VERDICT|$PERRIN_CONFIDENCE|"
				     "$PERRIN_REASONS\" >>\"$here/env\"\n"
				     "cat >>\"$here/json\"\n"
				     "echo stopped the beam\n";
	const char *path = strdup(testkit_path(dir, "stop"));
	struct kit_result r;

	testkit_write(path, script, sizeof script - 1);
	assert_int_equal(chmod(path, 0755), 0);
	PERRIN(&r, 0, "advise", recorded(), "--on-advice", path, "--json");
	assert_string_equal(read_text(testkit_path(dir, "env")),
			    "3|enough|0.750000|1.50 A after 200 frames, \"so far\".\n"
			    "8|structure changed|0.750000|1.50 A after 300 frames, \"so far\".\n"
			    "3|no longer useful|0.750000|1.50 A after 500 frames, \"so far\".\n");
	assert_int_equal(lines(read_text(testkit_path(dir, "json"))), 3);
	kit_says(read_text(testkit_path(dir, "json")), "\"images\":300");
	assert_int_equal(lines(r.out), 5); /* results only */
	assert_int_equal(lines(r.err), 3);
	kit_free(&r);
	PERRIN(&r, 0, "advise", recorded(), "--on-advice", path, "--every");
	assert_int_equal(lines(read_text(testkit_path(dir, "env"))), 8);
	kit_free(&r);
	free((char *)path);
}

static void a_failing_command_stops_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *command, *says;
	} cases[] = {
		{ "exit 3", "failed with code 3" },
		{ "kill -9 $$", "ended by signal 9" },
		{ "exec /nowhere/at/all", "failed with code 12" },
		{ "sleep 100 & sleep 100", "took more than 0.1 s" },
		{ "exec 0<&-", "" }, /* does not read */
	};

	for (unsigned i = 0; i < PN_COUNT(cases); i++) {
		struct kit_result r;

		PERRIN(&r, 0, "advise", recorded(), "--on-advice", cases[i].command, "--limit-s",
		       "0.1");
		assert_int_equal(lines(r.out), 5);
		kit_says(r.err, cases[i].says);
		kit_free(&r);
	}
}

/* A stream that begins while it is waited for, and each advice on the socket as it comes. */
static void follows_and_publishes(void **state)
{
	(void)state;
	const char *session = make_session("live"), *out = strdup(testkit_path(dir, "live.txt"));
	char endpoint[160];
	struct pn_part parts[PN_PARTS_MAX];
	struct pn_socket *sub;
	uint64_t number = 0, heard = 0;
	unsigned count;
	int status;

	snprintf(endpoint, sizeof endpoint, "ipc://%.100s/pub", dir);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (!freopen(out, "w", stdout))
			_exit(99);
		execl(kit_binary(), "perrin", "advise", session, "--follow", "--publish", endpoint,
		      (char *)NULL);
		_exit(98);
	}
	assert_int_equal(pn_socket_open(&sub, PN_SOCKET_SUB, endpoint, 0, 100, NULL), PN_OK);
	struct pn_log_writer *writer = open_stream(session);

	while (heard < 3 && number < 300) {
		put(writer, ++number, 3, PN_VERDICT_ENOUGH);
		if (pn_socket_receive(sub, SECOND / 10, parts, &count, NULL))
			continue;
		assert_int_equal(count, 2);
		assert_int_equal(parts[0].bytes, 6);
		assert_memory_equal(parts[0].data, "enough", 6);
		assert_memory_equal(parts[1].data, "{\"seq\":", 7);
		heard++;
	}
	assert_int_equal(heard, 3);
	assert_int_equal(pn_log_finish(writer, 1, NULL), PN_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(lines(read_text(out)), number);
	pn_socket_close(sub);
}

static void mistakes_are_told(void **state)
{
	(void)state;
	const char *none = make_session("none"), *no = testkit_path(dir, "not-there");
	struct kit_result r;

	PERRIN(&r, 1, "advise", no);
	kit_says(r.err, no);
	kit_free(&r);
	PERRIN(&r, 1, "advise", none);
	kit_says(r.err, "a graph with the stage advise");
	kit_free(&r);
	PERRIN(&r, 1, "advise", recorded(), "--stream", "frames");
	kit_says(r.err, "no stream frames of advice");
	kit_free(&r);
	PERRIN(&r, 1, "advise", recorded(), "--publish", "tcp://192.0.2.1:5570");
	kit_says(r.err, "not a loopback address");
	kit_free(&r);
}

static int set_up(void **state)
{
	(void)state;
	dir = strdup(testkit_tempdir());
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_what_was_advised),
		cmocka_unit_test(runs_the_command_when_verdicts_change),
		cmocka_unit_test(a_failing_command_stops_nothing),
		cmocka_unit_test(follows_and_publishes),
		cmocka_unit_test(mistakes_are_told),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
