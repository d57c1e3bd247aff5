/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "log_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct walk {
	struct pn_log_check *check;
	const char *dir;
	XXH3_state_t *hash;
	uint64_t next; /* the number expected */
};

/* only the first thing wrong is told in words */
static void tell(struct walk *walk, uint64_t segment, uint64_t offset, const char *what)
{
	if (!walk->check->text[0])
		snprintf(walk->check->text, sizeof walk->check->text,
			 "%.128s: record %" PRIu64 " in segment %" PRIu64 " at byte %" PRIu64
			 ": %.250s",
			 log_name(walk->dir), walk->next, segment, offset, what);
}

static void take(struct walk *walk, const struct pn_record *record)
{
	struct pn_log_check *check = walk->check;
	const uint8_t *payload = (const uint8_t *)record + record_payload_at(record->head_bytes);

	check->records++;
	check->bytes += record->head_bytes + record->payload_bytes;
	XXH3_128bits_update(walk->hash, &record->content_hash, sizeof record->content_hash);
	XXH3_128bits_update(walk->hash, payload, record->payload_bytes);
}

/* the next place at or behind @offset with a good header, by trying every aligned one */
static uint64_t find_header(const struct segment_view *view, uint64_t offset, uint64_t least)
{
	uint64_t bytes;

	for (; offset < view->bytes; offset += view->align) {
		const struct pn_record *record = (const void *)(view->base + offset);

		if (record_check(record, view->bytes - offset, view->align, LOG_NONE, RECORD_HEADER,
				 &bytes) == RECORD_OK &&
		    record->seq >= least)
			return offset;
	}
	return LOG_NONE;
}

/* a bad header: go on at the next good one, if there is any. Returns where the walk goes on */
static uint64_t skip_damage(struct walk *walk, const struct segment_view *view, uint64_t offset)
{
	struct pn_log_check *check = walk->check;
	uint64_t found = find_header(view, offset + view->align, walk->next);

	if (found == LOG_NONE) {
		check->bytes_after += view->bytes - offset;
		return view->bytes;
	}
	check->bad++;
	walk->next++;
	return found;
}

static void check_header_block(struct walk *walk, const struct segment_view *view)
{
	for (uint64_t i = sizeof(struct segment_header); i < view->align && i < view->bytes; i++)
		if (view->base[i]) {
			walk->check->bad++;
			tell(walk, view->number, i, "segment header is not followed by zeros");
			return;
		}
}

static void walk_segment(struct walk *walk, const struct segment_view *view)
{
	struct pn_log_check *check = walk->check;
	uint64_t offset = view->align, bytes = 0;

	check_header_block(walk, view);
	while (offset < view->bytes && !check->ended) {
		const struct pn_record *record = (const void *)(view->base + offset);
		enum record_state state = record_check(record, view->bytes - offset, view->align,
						       LOG_NONE, RECORD_PADDING, &bytes);

		if (state == RECORD_BAD_HEADER || state == RECORD_SHORT) {
			tell(walk, view->number, offset, record_state_text(state));
			offset = skip_damage(walk, view, offset);
			continue;
		}
		if (record->seq != walk->next) {
			check->gaps++;
			tell(walk, view->number, offset, record_state_text(RECORD_BAD_SEQ));
			walk->next = record->seq;
		}
		if (state != RECORD_OK) {
			check->bad++;
			tell(walk, view->number, offset, record_state_text(state));
		} else if (record->kind == PN_RECORD_END) {
			check->ended = 1;
		} else {
			take(walk, record);
		}
		offset += bytes;
		walk->next += record->kind == PN_RECORD_DATA;
	}
	if (check->ended && offset < view->bytes) {
		check->bytes_after += view->bytes - offset;
		tell(walk, view->number, offset, "bytes behind the end record");
	}
}

static int walk_stream(struct walk *walk, const struct segment_list *list, struct pn_error *err)
{
	struct pn_log_check *check = walk->check;

	for (size_t i = 0; i < list->count; i++) {
		struct segment_view view;
		struct pn_error why = { 0 };
		int rc = segment_view_open(&view, walk->dir, list->numbers[i], &why);

		if (rc == PN_EFORMAT && list->count > 1) {
			/* the others can be walked all the same */
			check->bad++;
			tell(walk, list->numbers[i], 0, why.text);
			continue;
		}
		if (rc)
			return pn_error_set(err, rc, "%s", why.text);
		if (!check->segments++)
			walk->next = check->first_seq = view.first_seq;
		else if (view.first_seq != walk->next) {
			check->gaps++;
			tell(walk, view.number, 0, "segment begins with another record");
			walk->next = view.first_seq;
		}
		check->ended = 0;
		walk_segment(walk, &view);
		segment_view_close(&view);
	}
	check->last_seq = walk->next > check->first_seq ? walk->next - 1 : check->first_seq;
	return PN_OK;
}

int pn_log_verify(const char *dir, struct pn_log_check *check, struct pn_error *err)
{
	struct walk walk = { .check = check, .dir = dir };
	struct segment_list list;
	int rc = segment_list_read(&list, dir, err);

	*check = (struct pn_log_check){ 0 };
	if (rc)
		return rc;
	if (!list.count)
		return pn_error_set(err, PN_ENOENT, "%s: no segments in this folder", dir);
	walk.hash = XXH3_createState();
	if (walk.hash) {
		XXH3_128bits_reset(walk.hash);
		rc = walk_stream(&walk, &list, err);
		XXH128_hash_t hash = XXH3_128bits_digest(walk.hash);
		check->content_hash[0] = hash.low64;
		check->content_hash[1] = hash.high64;
		XXH3_freeState(walk.hash);
	} else {
		rc = pn_error_set(err, PN_ENOMEM, "%s: state of a hash", dir);
	}
	segment_list_free(&list);
	return rc;
}
