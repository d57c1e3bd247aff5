/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "log_internal.h"

#include <string.h>

/* inlined so that it uses the vector instructions of the build, not of the distribution */
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(struct pn_record) == 64, "the record header is 64 bytes on disk");
_Static_assert(sizeof(struct segment_header) == 64, "the segment header is 64 bytes on disk");
_Static_assert(sizeof(struct index_header) == 64, "the index header is 64 bytes on disk");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs are written as they are");

uint64_t log_hash64(const void *bytes, size_t count)
{
	return XXH3_64bits(bytes, count);
}

uint64_t record_payload_at(uint64_t head_bytes)
{
	return sizeof(struct pn_record) + ((head_bytes + 63) & ~UINT64_C(63));
}

uint64_t record_bytes(uint32_t align, uint64_t head_bytes, uint64_t payload_bytes)
{
	uint64_t bytes = record_payload_at(head_bytes) + payload_bytes;

	return (bytes + align - 1) / align * align;
}

static uint64_t content_hash(const struct pn_record *record)
{
	const uint8_t *bytes = (const uint8_t *)record;
	uint64_t numbers[4] = { record->seq, (uint64_t)record->time_ns, record->head_bytes,
				record->payload_bytes };
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, numbers, sizeof numbers);
	XXH3_64bits_update(&state, bytes + sizeof *record, record->head_bytes);
	XXH3_64bits_update(&state, bytes + record_payload_at(record->head_bytes),
			   record->payload_bytes);
	return XXH3_64bits_digest(&state);
}

void record_seal(struct pn_record *record)
{
	record->content_hash = content_hash(record);
	record->header_hash = log_hash64(record, offsetof(struct pn_record, header_hash));
}

static int all_zero(const uint8_t *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (bytes[i])
			return 0;
	return 1;
}

static int padding_is_zero(const struct pn_record *record, uint64_t bytes)
{
	const uint8_t *at = (const uint8_t *)record;
	uint64_t head_end = sizeof *record + record->head_bytes;
	uint64_t payload = record_payload_at(record->head_bytes);
	uint64_t end = payload + record->payload_bytes;

	return all_zero(at + head_end, payload - head_end) && all_zero(at + end, bytes - end);
}

enum record_state record_check(const void *at, uint64_t room, uint32_t align, uint64_t seq,
			       enum record_depth depth, uint64_t *bytes)
{
	const struct pn_record *record = at;

	if (room < sizeof *record || record->magic != PN_RECORD_MAGIC ||
	    record->header_hash != log_hash64(record, offsetof(struct pn_record, header_hash)))
		return RECORD_BAD_HEADER;
	/* a good hash over nonsense is somebody's wit; sizes must not lead astray all the same */
	if ((record->kind != PN_RECORD_DATA && record->kind != PN_RECORD_END) || record->reserved ||
	    record->head_bytes > PN_HEAD_BYTES_MAX ||
	    record->payload_bytes > LOG_PAYLOAD_BYTES_MAX || record->seq == LOG_NONE)
		return RECORD_BAD_HEADER;
	*bytes = record_bytes(align, record->head_bytes, record->payload_bytes);
	if (seq != LOG_NONE && record->seq != seq)
		return RECORD_BAD_SEQ;
	if (*bytes > room)
		return RECORD_SHORT;
	if (depth >= RECORD_CONTENT && record->content_hash != content_hash(record))
		return RECORD_BAD_CONTENT;
	if (depth >= RECORD_PADDING && !padding_is_zero(record, *bytes))
		return RECORD_BAD_PADDING;
	return RECORD_OK;
}

const char *record_state_text(enum record_state state)
{
	static const char *const texts[] = {
		[RECORD_OK] = "whole",
		[RECORD_BAD_HEADER] = "header hash does not match",
		[RECORD_BAD_SEQ] = "has another sequence number",
		[RECORD_SHORT] = "ends beyond the end of the file",
		[RECORD_BAD_CONTENT] = "content hash does not match",
		[RECORD_BAD_PADDING] = "padding is not zero",
	};

	return texts[state];
}
