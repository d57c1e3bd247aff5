/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as the first segment of a stream: read, verified and reopened without harm. */
#include "perrin/stream/log.h"

#include "fuzz.h"
#include "testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* every byte of a message must be there to be read */
static uint64_t touch(const struct pn_msg *msg)
{
	const uint8_t *head = msg->head, *payload = msg->payload;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < msg->head_bytes; i++)
		sum += head[i];
	for (uint64_t i = 0; i < msg->payload_bytes; i++)
		sum += payload[i];
	return sum;
}

static uint64_t read_all(const char *dir)
{
	struct pn_log_reader *reader;
	struct pn_msg msg;
	uint64_t sum = 0;

	if (pn_log_read_open(&reader, dir, NULL, 0, 0, NULL))
		return 0;
	while (!pn_log_read(reader, &msg, NULL))
		sum += touch(&msg);
	if (!pn_log_read_at(reader, 1, &msg, NULL))
		sum += touch(&msg);
	sum += pn_log_read_count(reader, NULL);
	pn_log_read_close(reader);
	return sum;
}

static void go_on(const char *dir)
{
	static const uint8_t head[8] = { 0x80 };
	const struct pn_log_config config = { .dir = dir,
					      .durability = PN_DURABLE_CLOSE,
					      .align = 64,
					      .chunk_bytes = 65536,
					      .chunk_count = 2,
					      .engine = PN_ENGINE_PLAIN };
	const struct pn_msg msg = { .head_bytes = sizeof head, .head = head };
	struct pn_log_writer *writer;
	struct pn_log_recovery recovery;
	struct pn_log_check check;

	if (pn_log_open(&writer, &config, &recovery, NULL))
		return;
	/* an alignment of the file's own may be too much for these chunks */
	int rc = pn_log_append(writer, &msg, NULL);
	pn_assert(!pn_log_finish(writer, 1, NULL));
	/* what a writer has opened and closed is whole */
	pn_assert(!pn_log_verify(dir, &check, NULL));
	/* (padding is in no hash: a record with other bytes there is kept, and only verify minds)
	 */
	pn_assert((!check.bad || strstr(check.text, "zero")) && !check.bytes_after && !check.gaps &&
		  check.ended);
	pn_assert(rc || check.last_seq == recovery.records_kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static const char *const names[] = { "000000.seg", "000000.idx", "lock" };
	const char *base = getenv("TMPDIR");
	char dir[256], path[300];
	struct pn_log_check check;
	FILE *f;

	snprintf(dir, sizeof dir, "%s/perrin-fuzz-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(dir))
		return 0;
	snprintf(path, sizeof path, "%s/000000.seg", dir);
	f = fopen(path, "wb");
	if (f && fwrite(bytes, 1, count, f) == count && !fclose(f)) {
		read_all(dir);
		pn_log_verify(dir, &check, NULL);
		go_on(dir);
		read_all(dir);
	}
	for (size_t i = 0; i < PN_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const uint32_t aligns[] = { 64, 4096, 64 };
	static const uint8_t payload[700] = { 1, 2, 3 };
	uint8_t head[40] = { 0x80 };
	struct pn_log_writer *writer;
	size_t size;

	if (index >= PN_COUNT(aligns))
		return 0;
	const char *dir = testkit_tempdir();
	const struct pn_log_config config = { .dir = dir,
					      .durability = PN_DURABLE_CLOSE,
					      .align = aligns[index],
					      .chunk_bytes = 65536,
					      .chunk_count = 2,
					      .engine = PN_ENGINE_PLAIN };

	pn_assert(pn_log_open(&writer, &config, NULL, NULL) == PN_OK);
	for (unsigned i = 0; i < 3; i++) {
		const struct pn_msg msg = { .time_ns = i,
					    .head_bytes = 1 + 19 * i,
					    .head = head,
					    .payload_bytes = 350 * i,
					    .payload = payload };

		pn_assert(pn_log_append(writer, &msg, NULL) == PN_OK);
	}
	pn_assert(pn_log_finish(writer, index != 2, NULL) == PN_OK); /* the third has no end */
	char *file = testkit_read(testkit_path(dir, "000000.seg"), &size);

	pn_assert(size <= room);
	memcpy(bytes, file, size);
	free(file);
	return size;
}

const unsigned fuzz_places = 150;
