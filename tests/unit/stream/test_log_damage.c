/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Torn ends, flipped bytes, lost indexes and full disks cost what they must and no more. */
#include "log_kit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct log_kit kit = { 31, 40, 150 };

#define COUNT 8 /* records of the stream that is damaged */

struct sample {
	const char *dir, *seg, *idx;
	char *bytes, *index;
	size_t count, index_count;
	uint64_t begins[COUNT + 1]; /* offset of each record, and of the end */
};

static uint64_t padded(uint64_t seq)
{
	uint64_t bytes = 64 + (log_kit_head_bytes(&kit, seq) + 63) / 64 * 64 +
			 log_kit_payload_bytes(&kit, seq);

	return (bytes + 63) / 64 * 64;
}

static void make_sample(struct sample *s, int end)
{
	static char paths[2][4096];
	struct pn_log_config config = { .align = 64,
					.engine = PN_ENGINE_PLAIN,
					.durability = PN_DURABLE_CLOSE };
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	config.dir = s->dir = testkit_tempdir();
	snprintf(paths[0], sizeof paths[0], "%s/000000.seg", s->dir);
	snprintf(paths[1], sizeof paths[1], "%s/000000.idx", s->dir);
	s->seg = paths[0];
	s->idx = paths[1];
	log_kit_open(&writer, &config, NULL);
	log_kit_write(&kit, writer, COUNT);
	assert_int_equal(pn_log_finish(writer, end, &err), PN_OK);
	s->bytes = testkit_read(s->seg, &s->count);
	s->index = testkit_read(s->idx, &s->index_count);
	s->begins[0] = 64;
	for (int i = 0; i < COUNT; i++)
		s->begins[i + 1] = s->begins[i] + padded((uint64_t)i);
	assert_int_equal(s->count, s->begins[COUNT] + (end ? 64 : 0));
}

static void free_sample(struct sample *s)
{
	free(s->bytes);
	free(s->index);
}

/* put the damaged file in place, without an index unless it is to stay */
static void restore(const struct sample *s, size_t count, int with_index)
{
	testkit_write(s->seg, s->bytes, count);
	if (with_index)
		testkit_write(s->idx, s->index, s->index_count);
	else
		unlink(s->idx);
}

/* read from the start; returns how many come out right, and how it ended */
static uint64_t read_all(const char *dir, int *rc)
{
	struct pn_log_reader *reader;
	struct pn_error err = { 0 };
	struct pn_msg msg;
	uint64_t seq = 0;

	*rc = pn_log_read_open(&reader, dir, NULL, 0, 0, &err);
	if (*rc)
		return 0;
	while (!(*rc = pn_log_read(reader, &msg, &err))) {
		assert_true(log_kit_is(&kit, &msg, seq));
		seq++;
	}
	pn_log_read_close(reader);
	return seq;
}

/* open for writing: @kept records stay; write the rest again; the stream is whole */
static void reopen(const struct sample *s, uint64_t kept, uint64_t cut)
{
	struct pn_log_config config = { .dir = s->dir,
					.align = 64,
					.engine = PN_ENGINE_PLAIN,
					.durability = PN_DURABLE_CLOSE };
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };
	char text[32];

	log_kit_open(&writer, &config, &recovery);
	assert_int_equal(recovery.records_kept, kept);
	assert_int_equal(recovery.bytes_cut, cut);
	snprintf(text, sizeof text, "%d records kept", (int)kept);
	assert_true(strstr(recovery.text, text) || s->count == cut || !*recovery.text);
	log_kit_write(&kit, writer, COUNT - kept);
	assert_int_equal(pn_log_finish(writer, 0, &err), PN_OK);
	log_kit_check_disk(&kit, s->dir, COUNT, 0);
}

static uint64_t whole_records(const struct sample *s, size_t bytes)
{
	uint64_t n = 0;

	while (n < COUNT && s->begins[n + 1] <= bytes)
		n++;
	return n;
}

static void torn_at_every_byte(void **state)
{
	(void)state;
	struct sample s;
	int rc;

	make_sample(&s, 0);
	for (int with_index = 0; with_index < 2; with_index++) {
		for (size_t cut = 0; cut < s.count; cut += cut < s.begins[5] ? 13 : 1) {
			uint64_t whole = whole_records(&s, cut);

			restore(&s, cut, with_index);
			if (cut >= 64) {
				assert_int_equal(read_all(s.dir, &rc), whole);
				/* an index that names more than there is tells damage from an end
				 */
				assert_true(rc == PN_EEND || (with_index && rc == PN_ECORRUPT));
			} else {
				assert_int_equal(read_all(s.dir, &rc), 0);
				assert_int_equal(rc, PN_EFORMAT);
			}
			reopen(&s, whole, cut < 64 ? cut : cut - s.begins[whole]);
		}
	}
	free_sample(&s);
}

/* is byte @at of record @i covered by a hash? */
static int is_padding(const struct sample *s, uint64_t i, size_t at)
{
	uint64_t in = at - s->begins[i], head = 64 + log_kit_head_bytes(&kit, i);
	uint64_t payload = 64 + (log_kit_head_bytes(&kit, i) + 63) / 64 * 64;

	return in >= head && (in < payload || in >= payload + log_kit_payload_bytes(&kit, i));
}

/* a writer does not cut what the index knows to be synced */
static void is_left_alone(const struct sample *s)
{
	struct pn_log_config config = { .dir = s->dir, .align = 64, .engine = PN_ENGINE_PLAIN };
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;

	log_kit_open(&writer, &config, &recovery);
	assert_int_equal(recovery.records_kept, COUNT);
	assert_int_equal(recovery.bytes_cut, 0);
	pn_log_drop(writer);
}

static void flipped_at_every_byte(void **state)
{
	(void)state;
	struct sample s;
	struct pn_log_check check;
	struct pn_error err = { 0 };
	int rc;

	make_sample(&s, 0);
	for (size_t at = s.begins[COUNT - 3]; at < s.count; at++) {
		uint64_t i = whole_records(&s, at);
		int padding = is_padding(&s, i, at);
		char *bytes = s.bytes;

		bytes[at] ^= (char)(1 << at % 8);
		restore(&s, s.count, 0);
		assert_int_equal(pn_log_verify(s.dir, &check, &err), PN_OK);
		assert_true(check.bad + check.bytes_after > 0);
		assert_int_not_equal(check.text[0], 0);
		if (padding) {
			assert_int_equal(read_all(s.dir, &rc), COUNT);
			assert_int_equal(check.records, COUNT - 1);
		} else {
			assert_int_equal(read_all(s.dir, &rc), i);
			reopen(&s, i, s.count - s.begins[i]);
			/* with an index that says the record was synced it is damage, not an end */
			restore(&s, s.count, 1);
			assert_int_equal(read_all(s.dir, &rc), i);
			if (i + 1 < COUNT) {
				assert_int_equal(rc, PN_ECORRUPT);
				if (at % 8 == 0)
					is_left_alone(&s);
			}
		}
		bytes[at] ^= (char)(1 << at % 8);
	}
	free_sample(&s);
}

static void index_may_lie(void **state)
{
	(void)state;
	struct sample s;

	make_sample(&s, 0);
	for (size_t at = 0; at < s.index_count; at++) {
		char *index = s.index;

		index[at] ^= (char)(1 << at % 8);
		restore(&s, s.count, 1);
		log_kit_check_disk(&kit, s.dir, COUNT, 0);
		struct pn_log_reader *reader;
		struct pn_error err = { 0 };
		struct pn_msg msg;
		assert_int_equal(pn_log_read_open(&reader, s.dir, NULL, 0, 0, &err), PN_OK);
		for (uint64_t seq = COUNT; seq-- > 0;) {
			assert_int_equal(pn_log_read_at(reader, seq, &msg, &err), PN_OK);
			assert_true(log_kit_is(&kit, &msg, seq));
		}
		pn_log_read_close(reader);
		reopen(&s, COUNT, 0);
		index[at] ^= (char)(1 << at % 8);
	}
	for (size_t cut = 0; cut < s.index_count; cut++) {
		restore(&s, s.count, 0);
		testkit_write(s.idx, s.index, cut);
		reopen(&s, COUNT, 0);
	}
	free_sample(&s);
}

static void end_record_torn(void **state)
{
	(void)state;
	struct sample s;
	int rc;

	make_sample(&s, 1);
	for (size_t cut = s.begins[COUNT]; cut < s.count; cut++) {
		restore(&s, cut, 1);
		assert_int_equal(read_all(s.dir, &rc), COUNT);
		reopen(&s, COUNT, cut - s.begins[COUNT]);
	}
	/* garbage behind the end: cut off too */
	restore(&s, s.count, 1);
	FILE *f = fopen(s.seg, "ab");
	fputs("garbage", f);
	fclose(f);
	reopen(&s, COUNT, 7);
	free_sample(&s);
}

static void damage_in_an_old_segment_is_not_touched(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_log_config config = {
		.dir = dir, .align = 64, .segment_bytes = 2000, .durability = PN_DURABLE_CLOSE
	};
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_log_check check;
	struct pn_error err = { 0 };
	size_t count;
	int rc;

	log_kit_open(&writer, &config, NULL);
	log_kit_write(&kit, writer, 60);
	assert_int_equal(pn_log_finish(writer, 0, &err), PN_OK);
	const char *path = testkit_path(dir, "000001.seg");
	char *bytes = testkit_read(path, &count);
	bytes[200] ^= 1;
	testkit_write(path, bytes, count);
	log_kit_open(&writer, &config, &recovery);
	assert_int_equal(recovery.records_kept, 60);
	pn_log_drop(writer);
	assert_in_range(read_all(dir, &rc), 1, 30);
	assert_int_equal(rc, PN_ECORRUPT);
	assert_int_equal(pn_log_verify(dir, &check, &err), PN_OK);
	assert_int_equal(check.bad, 1);
	assert_int_equal(check.records, 59);
	assert_non_null(strstr(check.text, "segment 1"));
	bytes[200] ^= 1;
	testkit_write(path, bytes, count);
	log_kit_check_disk(&kit, dir, 60, 0);
	free(bytes);
	/* a segment that is gone is a gap */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pn_log_verify(dir, &check, &err), PN_OK);
	assert_int_equal(check.gaps, 1);
}

static void stillborn_segment_is_made_again(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	struct pn_log_config config = {
		.dir = dir, .align = 64, .segment_bytes = 2000, .durability = PN_DURABLE_CLOSE
	};
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };
	struct pn_log_check check;
	char name[16], zeros[64] = { 0 };

	log_kit_open(&writer, &config, NULL);
	log_kit_write(&kit, writer, 30);
	assert_int_equal(pn_log_finish(writer, 0, &err), PN_OK);
	assert_int_equal(pn_log_verify(dir, &check, &err), PN_OK);
	snprintf(name, sizeof name, "%06d.seg", (int)check.segments);
	testkit_write(testkit_path(dir, name), zeros, sizeof zeros);
	log_kit_open(&writer, &config, NULL);
	log_kit_write(&kit, writer, 30);
	assert_int_equal(pn_log_finish(writer, 0, &err), PN_OK);
	log_kit_check_disk(&kit, dir, 60, 0);
}

/* ---- full disks ---------------------------------------------------------------------------- */

struct full {
	unsigned writes, fail_at;
	uint64_t permille; /* of the failing write that still gets through */
	int errnum;
};

static uint64_t full_disk(void *arg, uint64_t bytes, int *errnum)
{
	struct full *full = arg;

	if (full->writes++ != full->fail_at)
		return bytes;
	*errnum = full->errnum;
	return bytes * full->permille / 1000;
}

/* one stream on a disk that fails at one write; returns 0 if that write was never reached */
static int fill_up(struct full *full, const char *dir, uint32_t align, enum pn_log_engine engine)
{
	char command[4200];
	struct pn_window *window;
	struct pn_error err = { 0 };
	assert_int_equal(pn_window_create(&window, 65536, 4, &err), PN_OK);
	struct pn_log_config config = { .dir = dir,
					.align = align,
					.engine = engine,
					.window = window,
					.segment_bytes = 150000,
					.durability = PN_DURABLE_CLOSE,
					.fault = full_disk,
					.fault_arg = full };
	const struct log_kit big = { 5, 100, 9000 };
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_log_reader *reader;
	struct pn_log_check check;
	struct pn_msg msg;
	int rc = PN_OK;

	log_kit_open(&writer, &config, NULL);
	while (!rc && pn_log_count(writer) < 80) {
		rc = log_kit_append(&big, writer, &err);
		if (!rc && pn_log_count(writer) % 19 == 0)
			rc = pn_log_poll(writer, (int64_t)pn_log_count(writer) * 1000000000, 0,
					 &err);
	}
	if (!rc)
		rc = pn_log_flush(writer, &err);
	uint64_t count = pn_log_count(writer);
	if (!rc) {
		assert_int_equal(pn_log_finish(writer, 0, &err), PN_OK);
	} else {
		unsigned long long bytes, segments, left, left_bytes;
		const char *numbers = strstr(err.text, ": ");

		assert_int_equal(rc, full->errnum == EIO ? PN_EIO : PN_ENOSPC);
		numbers = strstr(numbers + 2, ": ");
		assert_non_null(numbers);
		assert_int_equal(
			sscanf(numbers,
			       ": %llu bytes in %llu segments are written and readable, %llu "
			       "records (%llu bytes) are not on disk",
			       &bytes, &segments, &left, &left_bytes),
			4);
		/* it stays failed, in the same words */
		struct pn_error again = { 0 };
		void *p, *q;
		assert_int_equal(pn_log_reserve(writer, 1, 1, &p, &q, &again), rc);
		assert_string_equal(again.text, err.text);
		assert_int_equal(pn_log_flush(writer, &again), rc);
		assert_int_equal(pn_log_finish(writer, 1, &again), rc);
		if (segments) {
			assert_int_equal(pn_log_verify(dir, &check, &again), PN_OK);
			assert_string_equal(check.text, "");
			assert_int_equal(check.records, count - left);
			assert_int_equal(check.segments, segments);
			snprintf(command, sizeof command, "%s/%06d.seg", dir, (int)segments - 1);
			size_t last;
			free(testkit_read(command, &last));
			assert_true(last <= bytes);
		} else {
			assert_int_equal(left, count);
		}
	}
	/* all that was published can be read, from the window or from disk */
	assert_int_equal(pn_log_read_open(&reader, dir, window, 0, 0, &err), PN_OK);
	for (uint64_t seq = 0; seq < count; seq++) {
		assert_int_equal(pn_log_read(reader, &msg, &err), PN_OK);
		assert_true(log_kit_is(&big, &msg, seq));
	}
	assert_int_equal(pn_log_read(reader, &msg, &err), PN_EAGAIN);
	/* with room again the next writer brings the rest to disk */
	config.fault = NULL;
	log_kit_open(&writer, &config, &recovery);
	assert_int_equal(recovery.records_kept, count);
	log_kit_check_disk(&big, dir, count, 0);
	log_kit_write(&big, writer, 100 - count);
	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
	while (!pn_log_read(reader, &msg, &err))
		assert_true(log_kit_is(&big, &msg, msg.seq));
	assert_int_equal(pn_log_read_seq(reader), 100);
	pn_log_read_close(reader);
	pn_window_destroy(window);
	log_kit_check_disk(&big, dir, 100, 1);
	return rc;
}

static void full_at_every_write(void **state)
{
	(void)state;
	static const uint64_t permille[] = { 0, 500, 999 };

	for (unsigned variant = 0; variant < 3; variant++) {
		const char *dir = testkit_tempdir();
		char name[32];
		int rc = -1;

		for (unsigned n = 0; rc && n < 100; n++) {
			struct full full = { .fail_at = n,
					     .permille = permille[(n + variant) % 3],
					     .errnum = variant == 2 ? EIO : ENOSPC };

			snprintf(name, sizeof name, "%u", n);
			rc = fill_up(&full, testkit_path(dir, name), variant == 1 ? 4096 : 64,
				     variant ? PN_ENGINE_AUTO : PN_ENGINE_PLAIN);
		}
		assert_int_equal(rc, 0);
	}
}

/* a limit on the size of files stands for a full disk, with the real engines */
static int file_limit_child(const char *dir, enum pn_log_engine engine)
{
	struct rlimit limit = { 300000, 300000 };
	struct pn_log_config config = { .dir = dir,
					.engine = engine,
					.chunk_bytes = 65536,
					.chunk_count = 4,
					.durability = PN_DURABLE_CLOSE };
	const struct log_kit big = { 5, 100, 9000 };
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };
	int rc;

	signal(SIGXFSZ, SIG_IGN);
	rc = pn_log_open(&writer, &config, NULL, &err);
	if (rc || setrlimit(RLIMIT_FSIZE, &limit))
		return 1;
	while (!rc && pn_log_count(writer) < 1000)
		rc = log_kit_append(&big, writer, &err);
	if (rc != PN_ENOSPC || !strstr(err.text, "no space left: 2"))
		return 2;
	return pn_log_finish(writer, 1, &err) == PN_ENOSPC ? 0 : 3;
}

static void limit_of_file_size(void **state)
{
	(void)state;
	const struct log_kit big = { 5, 100, 9000 };

	for (int engine = PN_ENGINE_AUTO; engine <= PN_ENGINE_PLAIN; engine++) {
		const char *dir = testkit_tempdir();
		struct pn_log_check check;
		struct pn_error err = { 0 };
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			_exit(file_limit_child(dir, (enum pn_log_engine)engine));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(pn_log_verify(dir, &check, &err), PN_OK);
		assert_true(check.records > 10);
		log_kit_check_disk(&big, dir, check.records, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torn_at_every_byte),
		cmocka_unit_test(flipped_at_every_byte),
		cmocka_unit_test(index_may_lie),
		cmocka_unit_test(end_record_torn),
		cmocka_unit_test(damage_in_an_old_segment_is_not_touched),
		cmocka_unit_test(stillborn_segment_is_made_again),
		cmocka_unit_test(full_at_every_write),
		cmocka_unit_test(limit_of_file_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
