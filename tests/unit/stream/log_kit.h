/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log_kit.h - records whose every byte follows from their number, to write and to check. */
#ifndef LOG_KIT_H
#define LOG_KIT_H

#include "perrin/stream/log.h"

#include "testkit.h"

#include <stdio.h>
#include <string.h>

/* what the records of a test look like */
struct log_kit {
	uint64_t seed;
	uint32_t head_max;
	uint64_t payload_max;
};

static inline uint64_t log_kit_mix(uint64_t x)
{
	/* splitmix64 (Steele, Lea, Flood 2014) */
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline uint32_t log_kit_head_bytes(const struct log_kit *kit, uint64_t seq)
{
	return 1 + (uint32_t)(log_kit_mix(kit->seed + 2 * seq) % kit->head_max);
}

static inline uint64_t log_kit_payload_bytes(const struct log_kit *kit, uint64_t seq)
{
	/* every seventh has none */
	return seq % 7 == 3 ? 0 : log_kit_mix(kit->seed + 2 * seq + 1) % (kit->payload_max + 1);
}

static inline int64_t log_kit_time(uint64_t seq)
{
	return (int64_t)(1000 * seq + 17);
}

static inline uint64_t log_kit_word(const struct log_kit *kit, uint64_t seq, int part, uint64_t i)
{
	return log_kit_mix(kit->seed ^ (seq << 20) ^ ((uint64_t)part << 60)) + i * 0x9e3779b9u;
}

static inline void log_kit_fill(const struct log_kit *kit, uint64_t seq, int part, void *bytes,
				uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count / 8; i++) {
		uint64_t word = log_kit_word(kit, seq, part, i);

		memcpy((char *)bytes + 8 * i, &word, 8);
	}
	uint64_t word = log_kit_word(kit, seq, part, i);
	memcpy((char *)bytes + 8 * i, &word, count % 8);
}

static inline int log_kit_same(const struct log_kit *kit, uint64_t seq, int part, const void *bytes,
			       uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count / 8; i++) {
		uint64_t word = log_kit_word(kit, seq, part, i);

		if (memcmp((const char *)bytes + 8 * i, &word, 8))
			return 0;
	}
	uint64_t word = log_kit_word(kit, seq, part, i);
	return !memcmp((const char *)bytes + 8 * i, &word, count % 8);
}

/** log_kit_reserve - reserve and fill record @seq. */
static inline int log_kit_reserve(const struct log_kit *kit, struct pn_log_writer *writer,
				  uint64_t seq, struct pn_error *err)
{
	uint32_t head_bytes = log_kit_head_bytes(kit, seq);
	uint64_t payload_bytes = log_kit_payload_bytes(kit, seq);
	void *head, *payload;
	int rc = pn_log_reserve(writer, head_bytes, payload_bytes, &head, &payload, err);

	if (rc)
		return rc;
	log_kit_fill(kit, seq, 1, head, head_bytes);
	log_kit_fill(kit, seq, 2, payload, payload_bytes);
	pn_log_stamp(writer, log_kit_time(seq), (int64_t)seq);
	return PN_OK;
}

/** log_kit_append - append the next record; waits while the window is full. */
static inline int log_kit_append(const struct log_kit *kit, struct pn_log_writer *writer,
				 struct pn_error *err)
{
	int rc;

	while ((rc = log_kit_reserve(kit, writer, pn_log_next(writer), err)) == PN_EAGAIN) {
		rc = pn_log_poll(writer, 0, 1, err);
		if (rc)
			return rc;
	}
	return rc ? rc : pn_log_commit(writer, err);
}

/** log_kit_is - is @msg the record @seq, to the byte? */
static inline int log_kit_is(const struct log_kit *kit, const struct pn_msg *msg, uint64_t seq)
{
	return msg->seq == seq && msg->time_ns == log_kit_time(seq) &&
	       msg->head_bytes == log_kit_head_bytes(kit, seq) &&
	       msg->payload_bytes == log_kit_payload_bytes(kit, seq) &&
	       (uintptr_t)msg->payload % 64 == 0 &&
	       log_kit_same(kit, seq, 1, msg->head, msg->head_bytes) &&
	       (!msg->payload_bytes || log_kit_same(kit, seq, 2, msg->payload, msg->payload_bytes));
}

/** log_kit_check_disk - the folder holds records 0..count-1, each to the byte; verify agrees. */
static inline void log_kit_check_disk(const struct log_kit *kit, const char *dir, uint64_t count,
				      int ended)
{
	struct pn_error err = { 0 };
	struct pn_log_reader *reader;
	struct pn_log_check check;
	struct pn_msg msg;
	int closed = -1;

	assert_int_equal(pn_log_read_open(&reader, dir, NULL, 0, 0, &err), PN_OK);
	for (uint64_t seq = 0; seq < count; seq++) {
		int rc = pn_log_read(reader, &msg, &err);

		if (rc)
			print_error("record %llu of %llu: %d %s\n", (unsigned long long)seq,
				    (unsigned long long)count, rc, err.text);
		assert_int_equal(rc, PN_OK);
		assert_true(log_kit_is(kit, &msg, seq));
	}
	assert_int_equal(pn_log_read(reader, &msg, &err), PN_EEND);
	assert_int_equal(pn_log_read_count(reader, &closed), count);
	assert_int_equal(closed, ended);
	pn_log_read_close(reader);
	assert_int_equal(pn_log_verify(dir, &check, &err), PN_OK);
	assert_string_equal(check.text, "");
	assert_int_equal(check.records, count);
	assert_int_equal(check.bad + check.gaps + check.bytes_after, 0);
	assert_int_equal(check.ended, ended);
}

static inline void log_kit_open(struct pn_log_writer **writer, const struct pn_log_config *config,
				struct pn_log_recovery *recovery)
{
	struct pn_error err = { 0 };
	int rc = pn_log_open(writer, config, recovery, &err);

	if (rc)
		print_error("open %s: %d %s\n", config->dir, rc, err.text);
	assert_int_equal(rc, PN_OK);
}

static inline void log_kit_write(const struct log_kit *kit, struct pn_log_writer *writer,
				 uint64_t count)
{
	struct pn_error err = { 0 };

	for (uint64_t i = 0; i < count; i++) {
		int rc = log_kit_append(kit, writer, &err);

		if (rc)
			print_error("append: %d %s\n", rc, err.text);
		assert_int_equal(rc, PN_OK);
	}
}

#endif
