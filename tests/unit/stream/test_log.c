/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is appended is read back to the byte, live and from disk, however it is written. */
#include "log_kit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct log_kit small = { 11, 200, 3000 };
static const struct log_kit large = { 12, 900, 60000 };

struct mode {
	uint32_t align;
	enum pn_log_engine engine;
	enum pn_durability durability;
};

/* the index of every segment but the last says that all its records were synced before the next */
static void check_synced_before_rotation(const char *dir)
{
	struct pn_log_check check;
	struct pn_error err = { 0 };
	char name[32];

	assert_int_equal(pn_log_verify(dir, &check, &err), PN_OK);
	assert_true(check.segments > 2);
	for (uint64_t i = 0; i + 1 < check.segments; i++) {
		uint64_t synced;
		size_t count;

		snprintf(name, sizeof name, "%06d.idx", (int)i);
		char *bytes = testkit_read(testkit_path(dir, name), &count);
		memcpy(&synced, bytes + 32, sizeof synced);
		assert_int_equal(synced, (count - 64) / 16);
		free(bytes);
	}
}

static void round_trip(const struct mode *mode)
{
	const char *dir = testkit_tempdir();
	const struct log_kit *kit = mode->align == 64 ? &small : &large;
	struct pn_log_config config = { .dir = dir,
					.align = mode->align,
					.engine = mode->engine,
					.durability = mode->durability,
					.interval_ms = 1,
					.segment_bytes = kit == &small ? 12000 : 200000,
					.chunk_bytes = 256 << 10,
					.chunk_count = 3 };
	uint64_t count = mode->durability == PN_DURABLE_EACH ? 20 : 300;
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	log_kit_open(&writer, &config, &recovery);
	assert_string_equal(recovery.text, "");
	for (uint64_t i = 0; i < count; i++) {
		log_kit_write(kit, writer, 1);
		assert_int_equal(pn_log_count(writer), i + 1);
		if (mode->durability == PN_DURABLE_EACH)
			assert_int_equal(pn_log_durable(writer), i + 1);
		assert_int_equal(pn_log_poll(writer, (int64_t)i * 300000, 0, &err), PN_OK);
	}
	assert_int_equal(pn_log_flush(writer, &err), PN_OK);
	assert_int_equal(pn_log_durable(writer), count);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	log_kit_check_disk(kit, dir, count, 1);
	check_synced_before_rotation(dir);
}

static void every_engine_align_and_durability(void **state)
{
	(void)state;
	for (int align = 64; align <= 4096; align *= 64)
		for (int engine = PN_ENGINE_AUTO; engine <= PN_ENGINE_PLAIN; engine++)
			for (int d = PN_DURABLE_EACH; d <= PN_DURABLE_CLOSE; d++)
				round_trip(&(struct mode){ (uint32_t)align,
							   (enum pn_log_engine)engine,
							   (enum pn_durability)d });
}

static void records_reserved_together_are_published_together(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_log_config config = { .durability = PN_DURABLE_CLOSE,
					.dir = dir,
					.align = 64,
					.chunk_bytes = 16384,
					.chunk_count = 8,
					.segment_bytes = 40000 };
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	log_kit_open(&writer, &config, NULL);
	for (uint64_t seq = 0; seq < 200;) {
		for (uint64_t i = 0; i < 5; i++) {
			int rc = log_kit_reserve(&small, writer, seq + i, &err);

			if (rc == PN_EAGAIN) {
				assert_int_equal(pn_log_poll(writer, 0, 1, &err), PN_OK);
				i--;
				continue;
			}
			assert_int_equal(rc, PN_OK);
		}
		assert_int_equal(pn_log_count(writer), seq);
		if (seq % 3 == 1) {
			/* forgotten ones leave no trace; the second time they stay */
			pn_log_abort(writer);
			for (uint64_t i = 0; i < 5; i++)
				assert_int_equal(log_kit_append(&small, writer, &err), PN_OK);
		} else {
			assert_int_equal(pn_log_commit(writer, &err), PN_OK);
		}
		seq += 5;
		assert_int_equal(pn_log_count(writer), seq);
	}
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	log_kit_check_disk(&small, dir, 200, 1);
}

static void reader_seeks_and_lags(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_window *window;
	struct pn_error err = { 0 };
	assert_int_equal(pn_window_create(&window, 65536, 3, &err), PN_OK);
	struct pn_log_config config = { .durability = PN_DURABLE_CLOSE,
					.dir = dir,
					.align = 64,
					.window = window,
					.segment_bytes = 150000 };
	struct pn_log_writer *writer;
	struct pn_log_reader *reader;
	struct pn_msg msg;
	int ended = -1;

	log_kit_open(&writer, &config, NULL);
	assert_int_equal(pn_log_read_open(&reader, dir, window, 0, 0, &err), PN_OK);
	assert_int_equal(pn_log_read(reader, &msg, &err), PN_EAGAIN);
	assert_int_equal(pn_log_read_wait(reader, 1000), PN_ETIMEOUT);
	log_kit_write(&small, writer, 1);
	assert_int_equal(pn_log_read_wait(reader, -1), PN_OK);
	/* it now holds the first chunk while the writer goes round the others many times */
	assert_int_equal(pn_log_read(reader, &msg, &err), PN_OK);
	log_kit_write(&small, writer, 999);
	assert_true(log_kit_is(&small, &msg, 0));
	assert_int_equal(pn_log_read_from_window(reader), 1);
	for (uint64_t seq = 1; seq < 1000; seq++) {
		assert_int_equal(pn_log_read(reader, &msg, &err), PN_OK);
		assert_true(log_kit_is(&small, &msg, seq));
	}
	assert_in_range(pn_log_read_from_window(reader), 20, 500);
	for (uint64_t i = 0; i < 500; i++) {
		uint64_t seq = log_kit_mix(i) % 1000;

		assert_int_equal(pn_log_read_at(reader, seq, &msg, &err), PN_OK);
		assert_true(log_kit_is(&small, &msg, seq));
		assert_int_equal(pn_log_read_seq(reader), seq + 1);
	}
	assert_int_equal(pn_log_read_count(reader, &ended), 1000);
	assert_int_equal(ended, 0);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	pn_log_read_seek(reader, 1000);
	assert_int_equal(pn_log_read(reader, &msg, &err), PN_EEND);
	assert_int_equal(pn_log_read_wait(reader, -1), PN_OK);
	pn_log_read_close(reader);
	pn_window_destroy(window);
	log_kit_check_disk(&small, dir, 1000, 1);
}

/* readers that hold every chunk hold up the writer; nothing of theirs is overwritten */
static void readers_can_hold_every_chunk(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_window *window;
	struct pn_error err = { 0 };
	assert_int_equal(pn_window_create(&window, 65536, 2, &err), PN_OK);
	struct pn_log_config config = {
		.durability = PN_DURABLE_CLOSE, .dir = dir, .align = 64, .window = window
	};
	struct pn_log_writer *writer;
	struct pn_log_reader *readers[2];
	struct pn_msg msgs[2];
	int rc;

	log_kit_open(&writer, &config, NULL);
	log_kit_write(&small, writer, 60);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pn_log_read_open(&readers[i], dir, window, i, 59 * i, &err),
				 PN_OK);
		assert_int_equal(pn_log_read(readers[i], &msgs[i], &err), PN_OK);
		assert_int_equal(pn_log_read_from_window(readers[i]), 1);
	}
	while (!(rc = log_kit_reserve(&small, writer, pn_log_next(writer), &err)))
		assert_int_equal(pn_log_commit(writer, &err), PN_OK);
	assert_int_equal(rc, PN_EAGAIN);
	assert_int_equal(pn_log_flush(writer, &err), PN_OK);
	assert_int_equal(log_kit_reserve(&small, writer, pn_log_next(writer), &err), PN_EAGAIN);
	assert_true(log_kit_is(&small, &msgs[0], 0) && log_kit_is(&small, &msgs[1], 59));
	pn_log_read_close(readers[0]);
	log_kit_write(&small, writer, 10);
	assert_true(log_kit_is(&small, &msgs[1], 59));
	pn_log_read_close(readers[1]);
	log_kit_write(&small, writer, 500);
	uint64_t count = pn_log_count(writer);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	pn_window_destroy(window);
	log_kit_check_disk(&small, dir, count, 1);
}

/* so small that the window runs out of entries long before its chunks or a gather are full */
static void tiny_records_wait_for_the_disk(void **state)
{
	(void)state;
	const struct log_kit tiny = { 41, 8, 16 };
	const char *dir = testkit_tempdir();
	struct pn_window *window;
	struct pn_error err = { 0 };
	assert_int_equal(pn_window_create(&window, 1 << 20, 2, &err), PN_OK);
	struct pn_log_config config = {
		.durability = PN_DURABLE_CLOSE, .dir = dir, .align = 64, .window = window
	};
	struct pn_log_writer *writer;
	struct pn_log_reader *reader;
	struct pn_msg msg;

	log_kit_open(&writer, &config, NULL);
	assert_int_equal(pn_log_read_open(&reader, dir, window, 0, 0, &err), PN_OK);
	for (uint64_t seq = 0; seq < 4000; seq++)
		log_kit_write(&tiny, writer, 1);
	for (uint64_t seq = 0; seq < 4000; seq++) {
		assert_int_equal(pn_log_read(reader, &msg, &err), PN_OK);
		assert_true(log_kit_is(&tiny, &msg, seq));
	}
	pn_log_read_close(reader);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	pn_window_destroy(window);
	log_kit_check_disk(&tiny, dir, 4000, 1);
}

static void reader_of_disk_sees_growth(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_log_config config = {
		.durability = PN_DURABLE_CLOSE, .dir = dir, .align = 64, .segment_bytes = 20000
	};
	struct pn_log_writer *writer;
	struct pn_log_reader *reader;
	struct pn_error err = { 0 };
	struct pn_msg msg;

	log_kit_open(&writer, &config, NULL);
	assert_int_equal(pn_log_read_open(&reader, dir, NULL, 0, 0, &err), PN_OK);
	assert_int_equal(pn_log_read(reader, &msg, &err), PN_EEND);
	for (uint64_t seq = 0; seq < 100; seq++) {
		log_kit_write(&small, writer, 1);
		assert_int_equal(pn_log_flush(writer, &err), PN_OK);
		assert_int_equal(pn_log_read(reader, &msg, &err), PN_OK);
		assert_true(log_kit_is(&small, &msg, seq));
		assert_int_equal(pn_log_read(reader, &msg, &err), PN_EEND);
		assert_int_equal(pn_log_read_count(reader, NULL), seq + 1);
	}
	pn_log_drop(writer);
	pn_log_read_close(reader);
}

static void closed_stream_goes_on(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_log_config config = { .durability = PN_DURABLE_CLOSE,
					.dir = dir,
					.segment_bytes = 300000 };
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	for (uint64_t round = 0; round < 6; round++) {
		log_kit_open(&writer, &config, &recovery);
		assert_int_equal(recovery.was_closed, round > 0);
		assert_int_equal(recovery.records_kept, 9 * round);
		assert_int_equal(recovery.bytes_cut, 0);
		log_kit_write(&large, writer, 9);
		assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
		log_kit_check_disk(&large, dir, 9 * round + 9, 1);
	}
}

static void one_writer_only_and_bad_config(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_log_config config = {
		.durability = PN_DURABLE_CLOSE, .dir = dir, .align = 64, .chunk_bytes = 8192
	};
	struct pn_log_writer *writer, *second;
	struct pn_error err = { 0 };
	void *head, *payload;

	log_kit_open(&writer, &config, NULL);
	assert_int_equal(pn_log_open(&second, &config, NULL, &err), PN_EEXIST);
	assert_null(second);
	assert_int_equal(pn_log_reserve(writer, 10, 8192 - 128, &head, &payload, &err), PN_OK);
	pn_log_abort(writer);
	assert_int_equal(pn_log_reserve(writer, 10, 8192 - 127, &head, &payload, &err), PN_EARG);
	assert_int_equal(pn_log_reserve(writer, 10, UINT64_MAX - 5, &head, &payload, &err),
			 PN_EARG);
	assert_int_equal(pn_log_reserve(writer, PN_HEAD_BYTES_MAX + 1, 0, &head, &payload, &err),
			 PN_EARG);
	assert_int_equal(pn_log_rewind(writer, 1, &err), PN_EARG);
	assert_int_equal(pn_log_finish(writer, 0, &err), PN_OK);
	assert_int_equal(pn_log_finish(NULL, 0, &err), PN_OK);

	struct pn_log_config bad[] = { config, config, config, config, config };
	bad[0].align = 96;
	bad[1].align = 32;
	bad[2].in_flight = 1000;
	bad[3].chunk_count = 1;
	bad[4].dir = NULL;
	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		assert_int_equal(pn_log_open(&writer, &bad[i], NULL, &err), PN_EARG);
		assert_null(writer);
	}
	struct pn_window *window;
	assert_int_equal(pn_window_create(&window, 100, 4, &err), PN_EARG);
	assert_int_equal(pn_window_create(&window, UINT64_C(1) << 60, 4, &err), PN_EARG);
	int fd = fileno(stdout);
	assert_int_not_equal(pn_window_attach(&window, fd, &err), PN_OK);
	assert_int_equal(
		pn_log_verify(testkit_path(dir, "none"), &(struct pn_log_check){ 0 }, &err),
		PN_ENOENT);
}

static void rewind_compares_and_drops(void **state)
{
	(void)state;
	for (int from = 0; from <= 400; from += 100) {
		const char *dir = testkit_tempdir();
		struct pn_log_config config = { .durability = PN_DURABLE_CLOSE,
						.dir = dir,
						.align = 64,
						.chunk_bytes = 16384,
						.chunk_count = 5,
						.segment_bytes = 30000 };
		struct pn_log_writer *writer;
		struct pn_error err = { 0 };

		log_kit_open(&writer, &config, NULL);
		log_kit_write(&small, writer, 401);
		assert_int_equal(pn_log_rewind(writer, (uint64_t)from, &err), PN_OK);
		assert_int_equal(pn_log_next(writer), from);
		/* batches of seven: one of them begins with old records and ends with new ones */
		while (pn_log_next(writer) < 450) {
			uint64_t next = pn_log_next(writer);

			for (uint64_t i = 0; i < 7; i++) {
				int rc = log_kit_reserve(&small, writer, next + i, &err);

				if (rc == PN_EAGAIN) {
					assert_int_equal(pn_log_poll(writer, 0, 1, &err), PN_OK);
					i--;
					continue;
				}
				assert_int_equal(rc, PN_OK);
			}
			assert_int_equal(pn_log_commit(writer, &err), PN_OK);
		}
		uint64_t count = pn_log_count(writer);
		assert_int_equal(count, pn_log_next(writer));
		assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
		log_kit_check_disk(&small, dir, count, 1);
	}
}

static void rewind_finds_what_is_not_deterministic(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_log_config config = { .durability = PN_DURABLE_CLOSE, .dir = dir, .align = 64 };
	const struct log_kit other = { 99, 200, 3000 };
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	log_kit_open(&writer, &config, NULL);
	log_kit_write(&small, writer, 20);
	assert_int_equal(pn_log_finish(writer, 0, &err), PN_OK);
	/* the second writer's window is empty: compared with the disk */
	log_kit_open(&writer, &config, NULL);
	assert_int_equal(pn_log_rewind(writer, 10, &err), PN_OK);
	log_kit_write(&small, writer, 7);
	assert_int_equal(log_kit_append(&other, writer, &err), PN_ECORRUPT);
	assert_non_null(strstr(err.text, "stage is not deterministic: record 17 of"));
	assert_int_equal(pn_log_next(writer), 17);
	log_kit_write(&small, writer, 13);
	assert_int_equal(pn_log_count(writer), 30);
	/* and from the window */
	assert_int_equal(pn_log_rewind(writer, 25, &err), PN_OK);
	assert_int_equal(log_kit_append(&other, writer, &err), PN_ECORRUPT);
	assert_int_equal(pn_log_rewind(writer, 30, &err), PN_OK);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	log_kit_check_disk(&small, dir, 30, 1);
}

static void engine_none_keeps_only_the_window(void **state)
{
	(void)state;
	struct pn_window *window;
	struct pn_error err = { 0 };
	assert_int_equal(pn_window_create(&window, 65536, 4, &err), PN_OK);
	struct pn_log_config config = { .durability = PN_DURABLE_CLOSE,
					.engine = PN_ENGINE_NONE,
					.align = 64,
					.window = window };
	struct pn_log_writer *writer;
	struct pn_log_reader *reader;
	struct pn_msg msg;

	log_kit_open(&writer, &config, NULL);
	log_kit_write(&small, writer, 1000);
	assert_int_equal(pn_log_read_open(&reader, "none", window, 3, 990, &err), PN_OK);
	for (uint64_t seq = 990; seq < 1000; seq++) {
		assert_int_equal(pn_log_read(reader, &msg, &err), PN_OK);
		assert_true(log_kit_is(&small, &msg, seq));
	}
	assert_int_not_equal(pn_log_read_at(reader, 0, &msg, &err), PN_OK);
	pn_log_read_close(reader);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	pn_window_destroy(window);
}

/* make one system call fail in this process and its children; @arg1 < 0: whatever its second one */
static int refuse(unsigned call, int arg1, int errnum)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)arg1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)errnum),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { PN_COUNT(code), code };

	if (arg1 < 0)
		code[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int refused_child(const char *dir, unsigned call, int arg1, int errnum, const char *text)
{
	struct pn_log_config config = { .durability = PN_DURABLE_CLOSE, .dir = dir };
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	if (refuse(call, arg1, errnum))
		return TESTKIT_SKIP;
	if (pn_log_open(&writer, &config, NULL, &err))
		return 1;
	if (!strstr(pn_log_engine_text(writer), text)) {
		fprintf(stderr, "engine: %s, not %s\n", pn_log_engine_text(writer), text);
		return 2;
	}
	for (int i = 0; i < 300; i++)
		if (log_kit_append(&large, writer, &err))
			return 3;
	return pn_log_finish(writer, 1, &err) ? 4 : 0;
}

static void host_that_refuses(unsigned call, int arg1, int errnum, const char *text)
{
	const char *dir = testkit_tempdir();
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(refused_child(dir, call, arg1, errnum, text));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == TESTKIT_SKIP)
		return;
	assert_int_equal(WEXITSTATUS(status), 0);
	log_kit_check_disk(&large, dir, 300, 1);
}

static void goes_on_where_io_uring_is_refused(void **state)
{
	(void)state;
	host_that_refuses(SYS_io_uring_setup, -1, EPERM, "pwrite (io_uring refused: Operation not");
	host_that_refuses(SYS_io_uring_setup, -1, ENOSYS, "pwrite (io_uring refused: Function not");
	/* what RLIMIT_MEMLOCK does to those who are not root; skipped where the ring is refused */
	struct io_uring_params params = { 0 };
	long fd = syscall(SYS_io_uring_setup, 4, &params);
	if (fd < 0)
		return;
	close((int)fd);
	host_that_refuses(SYS_io_uring_register, IORING_REGISTER_BUFFERS, ENOMEM,
			  "buffers not registered");
}

struct follower {
	const char *dir;
	struct pn_window *window;
	unsigned slot;
	uint64_t count, bad;
	uint64_t behind;
};

static void *follow(void *arg)
{
	struct follower *f = arg;
	struct pn_log_reader *reader;
	struct pn_msg msg;
	int ended = 0;
	int rc = pn_log_read_open(&reader, f->dir, f->window, f->slot, 0, NULL);

	while (!rc || rc == PN_EAGAIN) {
		rc = pn_log_read(reader, &msg, NULL);
		if (rc == PN_EAGAIN) {
			pn_log_read_wait(reader, -1);
			continue;
		}
		if (rc)
			break;
		/* the slow ones keep a message in hand until the writer is far ahead */
		while (f->count % 200 == 0 && f->behind &&
		       pn_log_read_count(reader, &ended) < f->count + f->behind && !ended)
			sched_yield();
		f->bad += !log_kit_is(&small, &msg, f->count++);
	}
	f->bad += rc != PN_EEND;
	pn_log_read_close(reader);
	return NULL;
}

static void threads_follow_live(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_window *window;
	struct pn_error err = { 0 };
	assert_int_equal(pn_window_create(&window, 65536, 6, &err), PN_OK);
	struct pn_log_config config = { .durability = PN_DURABLE_CLOSE,
					.dir = dir,
					.align = 64,
					.window = window,
					.segment_bytes = 1 << 20 };
	struct follower followers[3];
	pthread_t threads[3];
	struct pn_log_writer *writer;

	log_kit_open(&writer, &config, NULL);
	for (unsigned i = 0; i < 3; i++) {
		followers[i] = (struct follower){ dir, window, i, 0, 0, i * 300 };
		assert_int_equal(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
	}
	log_kit_write(&small, writer, 4000);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(followers[i].count, 4000);
		assert_int_equal(followers[i].bad, 0);
	}
	pn_window_destroy(window);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_engine_align_and_durability),
		cmocka_unit_test(records_reserved_together_are_published_together),
		cmocka_unit_test(reader_seeks_and_lags),
		cmocka_unit_test(readers_can_hold_every_chunk),
		cmocka_unit_test(tiny_records_wait_for_the_disk),
		cmocka_unit_test(reader_of_disk_sees_growth),
		cmocka_unit_test(closed_stream_goes_on),
		cmocka_unit_test(one_writer_only_and_bad_config),
		cmocka_unit_test(rewind_compares_and_drops),
		cmocka_unit_test(rewind_finds_what_is_not_deterministic),
		cmocka_unit_test(engine_none_keeps_only_the_window),
		cmocka_unit_test(threads_follow_live),
		cmocka_unit_test(goes_on_where_io_uring_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
