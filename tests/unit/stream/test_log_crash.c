/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writers are killed at random moments; every record that was published comes out once, the same.
 */
#include "log_kit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene {
	uint32_t align;
	enum pn_log_engine engine;
	enum pn_durability durability;
	uint64_t count; /* records of the whole stream */
	unsigned kills;
};

static const struct log_kit kit = { 21, 300, 9000 };

static struct pn_log_config config_of(const struct scene *scene, const char *dir,
				      struct pn_window *window)
{
	return (struct pn_log_config){ .dir = dir,
				       .align = scene->align,
				       .engine = scene->engine,
				       .durability = scene->durability,
				       .interval_ms = 2,
				       .segment_bytes = 700000,
				       .chunk_bytes = 65536,
				       .chunk_count = 5,
				       .window = window };
}

/* goes back to a checkpoint of its own choice, emits again what is there, then what is new; with
 * @hold records more than it found it waits to be killed, if it was not on the way there */
static int writer_child(const struct scene *scene, const char *dir, int fd, uint64_t back,
			uint64_t hold)
{
	struct pn_window *window = NULL;
	struct pn_log_config config;
	struct pn_log_recovery recovery;
	struct pn_log_reader *before;
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };
	uint64_t published = 0;
	int rc = fd < 0 ? PN_OK : pn_window_attach(&window, fd, &err);

	config = config_of(scene, dir, window);
	if (!rc && window)
		rc = pn_log_read_open(&before, dir, window, 14, 0, &err);
	if (!rc && window)
		published = pn_log_read_count(before, NULL);
	if (!rc)
		rc = pn_log_open(&writer, &config, &recovery, &err);
	/* what readers may have seen is not taken back */
	if (!rc && recovery.records_kept < published)
		rc = pn_error_set(&err, PN_ECORRUPT, "%d records published, %d kept",
				  (int)published, (int)recovery.records_kept);
	if (!rc) {
		uint64_t count = pn_log_count(writer);

		hold = hold < scene->count - count ? hold + count : scene->count;
		rc = pn_log_rewind(writer, count > back ? count - back : 0, &err);
	}
	for (int64_t now = 0; !rc && pn_log_next(writer) < hold; now += 100000) {
		rc = log_kit_append(&kit, writer, &err);
		if (!rc)
			rc = pn_log_poll(writer, now, 0, &err);
	}
	if (!rc && hold < scene->count) {
		rc = pn_log_flush(writer, &err);
		while (!rc)
			rc = pause() + 1;
	}
	if (!rc)
		rc = pn_log_finish(writer, 1, &err);
	if (rc)
		fprintf(stderr, "writer: %d %s\n", rc, err.text);
	return rc ? 1 : 0;
}

static int reader_child(const struct scene *scene, const char *dir, int fd, unsigned slot)
{
	struct pn_window *window;
	struct pn_log_reader *reader;
	struct pn_error err = { 0 };
	struct pn_msg msg;
	uint64_t seq = 0;
	int rc = pn_window_attach(&window, fd, &err);

	if (!rc)
		rc = pn_log_read_open(&reader, dir, window, slot, 0, &err);
	while (!rc) {
		rc = pn_log_read(reader, &msg, &err);
		if (rc == PN_EAGAIN)
			rc = pn_log_read_wait(reader, -1);
		else if (!rc && !log_kit_is(&kit, &msg, seq++))
			rc = pn_error_set(&err, PN_ECORRUPT, "record %llu is torn",
					  (unsigned long long)seq - 1);
	}
	if (rc == PN_EEND && seq == scene->count)
		return 0;
	fprintf(stderr, "reader: %d at %llu %s\n", rc, (unsigned long long)seq, err.text);
	return 1;
}

static pid_t start_writer(const struct scene *scene, const char *dir, int fd, uint64_t back,
			  uint64_t hold)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		_exit(writer_child(scene, dir, fd, back, hold));
	return pid;
}

/* kill the child when @enough records are there and some instructions more have passed */
static void kill_at(pid_t pid, struct pn_log_reader *watch, uint64_t enough, uint64_t spin)
{
	int status;

	while (pn_log_read_count(watch, NULL) < enough)
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	for (volatile uint64_t i = 0; i < spin; i++)
		;
	/* by its id: it is this test's own child */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void undisturbed(const struct scene *scene, struct pn_log_check *check)
{
	const char *dir = testkit_tempdir();
	struct pn_log_config config = config_of(scene, dir, NULL);
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	config.durability = PN_DURABLE_CLOSE;
	log_kit_open(&writer, &config, NULL);
	log_kit_write(&kit, writer, scene->count);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	assert_int_equal(pn_log_verify(dir, check, &err), PN_OK);
}

static void check_same(const struct scene *scene, const char *dir)
{
	struct pn_log_check check, calm;
	struct pn_error err = { 0 };

	log_kit_check_disk(&kit, dir, scene->count, 1);
	assert_int_equal(pn_log_verify(dir, &check, &err), PN_OK);
	undisturbed(scene, &calm);
	assert_memory_equal(check.content_hash, calm.content_hash, sizeof calm.content_hash);
}

static void kill_with_window(const struct scene *scene)
{
	const char *dir = testkit_tempdir();
	struct pn_window *window;
	struct pn_log_reader *watch;
	struct pn_error err = { 0 };
	uint64_t step = scene->count / (scene->kills + 1);
	pid_t reader, writer;
	int status = 0;

	assert_int_equal(pn_window_create(&window, 65536, 5, &err), PN_OK);
	assert_int_equal(pn_log_read_open(&watch, dir, window, 15, 0, &err), PN_OK);
	int fd = pn_window_fd(window);
	reader = fork();
	assert_true(reader >= 0);
	if (!reader && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		_exit(reader_child(scene, dir, fd, 0));
	for (unsigned kills = 0; kills < scene->kills; kills++) {
		uint64_t dice = log_kit_mix(kills + scene->align + 7 * scene->engine);
		uint64_t count = pn_log_read_count(watch, NULL);

		writer = start_writer(scene, dir, fd, dice % 300, step);
		/* every third one before it has published anything */
		kill_at(writer, watch, count + (kills % 3 ? 1 + dice % step : 0),
			(dice >> 32) % 1000000);
		assert_true(pn_log_read_count(watch, NULL) >= count);
	}
	writer = start_writer(scene, dir, fd, 100, scene->count);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pn_log_read_close(watch);
	pn_window_destroy(window);
	check_same(scene, dir);
}

static void uring_window_survives(void **state)
{
	(void)state;
	kill_with_window(&(struct scene){ 4096, PN_ENGINE_AUTO, PN_DURABLE_CLOSE, 4000, 30 });
}

static void uring_small_records_window_survives(void **state)
{
	(void)state;
	kill_with_window(&(struct scene){ 64, PN_ENGINE_AUTO, PN_DURABLE_INTERVAL, 4000, 20 });
}

static void plain_window_survives(void **state)
{
	(void)state;
	kill_with_window(&(struct scene){ 64, PN_ENGINE_PLAIN, PN_DURABLE_CLOSE, 4000, 20 });
}

/* without its window a killed writer leaves what it has written, and that is whole */
static void kill_without_window(const struct scene *scene)
{
	const char *dir = testkit_tempdir();
	struct pn_log_reader *watch;
	struct pn_log_recovery recovery;
	struct pn_log_writer *again;
	struct pn_log_config config = config_of(scene, dir, NULL);
	struct pn_error err = { 0 };
	uint64_t kept = 0;
	int status;

	assert_int_equal(pn_log_read_open(&watch, dir, NULL, 0, 0, &err), PN_OK);
	for (unsigned kills = 0; kills < scene->kills; kills++) {
		uint64_t dice = log_kit_mix(1000 + kills);
		uint64_t step = scene->count / (scene->kills + 1);
		pid_t writer = start_writer(scene, dir, -1, dice % 100, step);

		kill_at(writer, watch, kept + 1 + dice % step, dice % 100000);
		uint64_t seen = pn_log_read_count(watch, NULL);
		log_kit_open(&again, &config, &recovery);
		assert_true(recovery.records_kept >= seen && seen > kept);
		kept = recovery.records_kept;
		pn_log_drop(again);
		log_kit_check_disk(&kit, dir, kept, 0);
	}
	pn_log_read_close(watch);
	pid_t writer = start_writer(scene, dir, -1, 50, scene->count);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	check_same(scene, dir);
}

static void disk_alone_survives(void **state)
{
	(void)state;
	kill_without_window(&(struct scene){ 4096, PN_ENGINE_AUTO, PN_DURABLE_CLOSE, 2500, 8 });
	kill_without_window(&(struct scene){ 64, PN_ENGINE_PLAIN, PN_DURABLE_CLOSE, 2500, 8 });
}

/* a reader dies with a chunk in hand: the writer goes on, and the successor takes the place */
static void dead_reader_holds_nobody_up(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_window *window;
	struct pn_error err = { 0 };
	assert_int_equal(pn_window_create(&window, 65536, 3, &err), PN_OK);
	struct pn_log_config config = { .dir = dir, .align = 64, .window = window };
	struct pn_log_writer *writer;
	struct pn_log_reader *reader;
	struct pn_msg msg;
	int status;

	log_kit_open(&writer, &config, NULL);
	log_kit_write(&kit, writer, 1);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int rc = pn_log_read_open(&reader, dir, window, 4, 0, &err);

		_exit(rc || pn_log_read(reader, &msg, &err) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	log_kit_write(&kit, writer, 500);
	assert_int_equal(pn_log_read_open(&reader, dir, window, 4, 0, &err), PN_OK);
	for (uint64_t seq = 0; seq < 501; seq++) {
		assert_int_equal(pn_log_read(reader, &msg, &err), PN_OK);
		assert_true(log_kit_is(&kit, &msg, seq));
	}
	pn_log_read_close(reader);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	pn_window_destroy(window);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uring_window_survives),
		cmocka_unit_test(uring_small_records_window_survives),
		cmocka_unit_test(plain_window_survives),
		cmocka_unit_test(disk_alone_survives),
		cmocka_unit_test(dead_reader_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
