/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading. The window first, where bytes are used as they lie. What was published and has left it
 * is on disk, since chunks and entries are used anew only after the write has ended: a reader with
 * a window never looks at parts of a file that are still being written. Without a window it reads
 * whatever is there and whole.
 */
#include "log_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pn_log_reader {
	char dir[LOG_PATH_MAX];
	struct pn_window *window;
	unsigned slot;
	uint64_t next, from_window, content_hash;
	int ended;
	struct segment_view view;
	/* where a record is known to begin: the place behind the one read last */
	uint64_t known_seq, known_segment, known_offset;
};

int pn_log_read_open(struct pn_log_reader **reader, const char *dir, struct pn_window *window,
		     unsigned slot, uint64_t seq, struct pn_error *err)
{
	struct segment_list list;
	struct pn_log_reader *r;
	int rc;

	*reader = NULL;
	if (window && slot >= PN_WINDOW_READERS_MAX)
		return pn_error_set(err, PN_EARG, "%s: reader %u: a window has places for %d", dir,
				    slot, PN_WINDOW_READERS_MAX);
	if (strlen(dir) >= LOG_PATH_MAX - 32)
		return pn_error_set(err, PN_EARG, "log: path of %zu bytes is too long",
				    strlen(dir));
	if (!window) {
		rc = segment_list_read(&list, dir, err);
		if (rc)
			return rc;
		segment_list_free(&list);
	}
	r = calloc(1, sizeof *r);
	if (!r)
		return pn_error_set(err, PN_ENOMEM, "log: %zu bytes", sizeof *r);
	snprintf(r->dir, sizeof r->dir, "%s", dir);
	r->window = window;
	r->slot = slot;
	r->next = seq;
	r->known_seq = LOG_NONE;
	segment_view_init(&r->view);
	/* what a predecessor that died in this place left behind */
	if (window) {
		window_unpin(window, slot);
		atomic_fetch_and(&window->shared->waiting, ~(UINT32_C(1) << slot));
	}
	*reader = r;
	return PN_OK;
}

void pn_log_read_close(struct pn_log_reader *reader)
{
	if (!reader)
		return;
	if (reader->window)
		window_unpin(reader->window, reader->slot);
	segment_view_close(&reader->view);
	free(reader);
}

static void hand_out(struct pn_log_reader *r, const struct pn_record *record, struct pn_msg *msg)
{
	const uint8_t *at = (const uint8_t *)record;

	*msg = (struct pn_msg){
		.seq = record->seq,
		.time_ns = record->time_ns,
		.arrival_ns = record->arrival_ns,
		.head_bytes = record->head_bytes,
		.payload_bytes = record->payload_bytes,
		.head = at + sizeof *record,
		.payload =
			record->payload_bytes ? at + record_payload_at(record->head_bytes) : NULL,
	};
	r->content_hash = record->content_hash;
	r->next = record->seq + 1;
}

/* ---- the disk ------------------------------------------------------------------------------ */

/* the segment that holds @seq, or the last one before it */
static int find_segment(struct pn_log_reader *r, uint64_t seq, struct pn_error *err)
{
	struct segment_list list;
	int rc = segment_list_read(&list, r->dir, err);
	size_t below = 0, above;

	if (rc)
		return rc;
	above = list.count;
	/* segments [below] begins at or before seq, those from [above] on behind it */
	while (!rc && below + 1 < above) {
		size_t mid = (below + above) / 2;
		struct segment_view view;
		struct pn_error why;

		rc = segment_view_open(&view, r->dir, list.numbers[mid], &why);
		if (rc && mid + 1 == list.count) {
			/* the newest may be in the making */
			rc = PN_OK;
			above = mid;
			continue;
		}
		if (rc) {
			rc = pn_error_set(err, rc, "%s", why.text);
			break;
		}
		if (view.first_seq <= seq)
			below = mid;
		else
			above = mid;
		segment_view_close(&view);
	}
	if (!rc && !list.count)
		rc = PN_EEND;
	if (!rc && r->view.number != list.numbers[below]) {
		segment_view_close(&r->view);
		rc = segment_view_open(&r->view, r->dir, list.numbers[below], err);
	}
	segment_list_free(&list);
	return rc;
}

static void know(struct pn_log_reader *r, uint64_t seq, uint64_t segment, uint64_t offset)
{
	r->known_seq = seq;
	r->known_segment = segment;
	r->known_offset = offset;
}

/* so few records behind the place known that walking beats looking it up */
static int is_near(const struct pn_log_reader *r, uint64_t seq)
{
	return r->known_seq <= seq && seq - r->known_seq <= 16;
}

/*
 * Where @seq begins, or would begin, in the open segment: from the place known, by the index, or by
 * walking headers. The place known moves to the last good record boundary at or before @seq.
 */
static void find_offset(struct pn_log_reader *r, uint64_t seq)
{
	const struct segment_view *view = &r->view;
	uint64_t offset, bytes;

	int near = r->known_segment == view->number && is_near(r, seq);

	offset = near ? LOG_NONE : index_find(view, r->dir, seq);
	if (offset != LOG_NONE) {
		know(r, seq, view->number, offset);
		return;
	}
	if (r->known_segment != view->number || r->known_seq > seq)
		know(r, view->first_seq, view->number, view->align);
	while (r->known_seq < seq && r->known_offset < view->bytes) {
		const struct pn_record *record = (const void *)(view->base + r->known_offset);

		if (record_check(record, view->bytes - r->known_offset, view->align, r->known_seq,
				 RECORD_HEADER, &bytes) != RECORD_OK ||
		    record->kind != PN_RECORD_DATA)
			break;
		know(r, r->known_seq + 1, view->number, r->known_offset + bytes);
	}
}

/* move to the next segment if @seq is its first record; 1 if so */
static int step_segment(struct pn_log_reader *r, uint64_t seq)
{
	struct segment_view view;

	if (segment_view_open(&view, r->dir, r->view.number + 1, NULL))
		return 0;
	if (view.first_seq > seq) {
		segment_view_close(&view);
		return 0;
	}
	segment_view_close(&r->view);
	r->view = view;
	know(r, view.first_seq, view.number, view.align);
	return 1;
}

static enum record_state check_known(struct pn_log_reader *r, uint64_t seq, uint64_t *bytes)
{
	const struct segment_view *view = &r->view;

	if (r->known_seq != seq || r->known_offset >= view->bytes)
		return RECORD_BAD_HEADER;
	return record_check(view->base + r->known_offset, view->bytes - r->known_offset,
			    view->align, seq, RECORD_CONTENT, bytes);
}

/* a bad record is damage if it must be there, or if something follows it; else it is a torn end */
static int is_damage(struct pn_log_reader *r, uint64_t seq, enum record_state state, uint64_t bytes)
{
	const struct segment_view *view = &r->view;
	struct segment_view next;
	uint64_t offset = r->known_offset, unused;

	if (r->window)
		return 1;
	if (!segment_view_open(&next, r->dir, view->number + 1, NULL)) {
		segment_view_close(&next);
		return 1;
	}
	if (r->known_seq != seq)
		return index_find(view, r->dir, seq) != LOG_NONE;
	if (state == RECORD_BAD_CONTENT)
		return record_check(view->base + offset + bytes, view->bytes - offset - bytes,
				    view->align, seq + 1, RECORD_HEADER, &unused) == RECORD_OK;
	return state == RECORD_BAD_HEADER && index_find(view, r->dir, seq + 1) != LOG_NONE;
}

static int open_for(struct pn_log_reader *r, uint64_t seq, struct pn_error *err)
{
	int near = is_near(r, seq), rc;

	if (near && r->view.number != r->known_segment) {
		/* the window told the place */
		segment_view_close(&r->view);
		near = !segment_view_open(&r->view, r->dir, r->known_segment, NULL);
	}
	rc = near ? PN_OK : find_segment(r, seq, err);
	return rc ? rc : segment_view_refresh(&r->view, err);
}

static int disk_find(struct pn_log_reader *r, uint64_t seq, enum record_state *state,
		     uint64_t *bytes, struct pn_error *err)
{
	int rc = open_for(r, seq, err);

	if (rc)
		return rc;
	if (seq < r->view.first_seq)
		return pn_error_set(err, PN_ENOENT,
				    "%s: record %" PRIu64 " is gone, the first is %" PRIu64,
				    log_name(r->dir), seq, r->view.first_seq);
	for (;;) {
		find_offset(r, seq);
		*state = check_known(r, seq, bytes);
		if (*state == RECORD_OK || !step_segment(r, seq))
			return PN_OK;
	}
}

/* one record from disk; PN_EEND if there is none (yet) */
static int disk_record(struct pn_log_reader *r, uint64_t seq, const struct pn_record **record,
		       struct pn_error *err)
{
	enum record_state state = RECORD_BAD_HEADER;
	uint64_t bytes = 0;
	int rc = disk_find(r, seq, &state, &bytes, err);

	if (rc)
		return rc;
	if (state != RECORD_OK && r->known_offset < r->view.bytes) {
		/* cached from before the writer's direct write, perhaps: look again, once */
		rc = segment_view_reread(&r->view, r->known_offset, err);
		if (rc)
			return rc;
		find_offset(r, seq);
		state = check_known(r, seq, &bytes);
	}
	if (state != RECORD_OK) {
		if (!is_damage(r, seq, state, bytes))
			return PN_EEND;
		return pn_error_set(err, PN_ECORRUPT,
				    "%s: record %" PRIu64 " in segment %" PRIu64 " at byte %" PRIu64
				    ": %s",
				    log_name(r->dir), r->known_seq, r->view.number, r->known_offset,
				    record_state_text(state));
	}
	*record = (const void *)(r->view.base + r->known_offset);
	if ((*record)->kind == PN_RECORD_END) {
		r->ended = 1;
		return PN_EEND;
	}
	know(r, seq + 1, r->view.number, r->known_offset + bytes);
	return PN_OK;
}

static int disk_read(struct pn_log_reader *r, struct pn_msg *msg, struct pn_error *err)
{
	const struct pn_record *record = NULL;
	int rc;

	r->ended = 0;
	rc = disk_record(r, r->next, &record, err);
	if (!rc)
		hand_out(r, record, msg);
	return rc;
}

/* ---- the window ---------------------------------------------------------------------------- */

static int live_read(struct pn_log_reader *r, struct pn_msg *msg, struct pn_error *err)
{
	struct window_shared *shared = r->window->shared;
	struct window_place place;
	uint32_t ended = atomic_load(&shared->ended); /* before the count: it is final then */
	int rc;

	if (r->next >= atomic_load(&shared->count)) {
		r->ended = (int)ended;
		return ended ? PN_EEND : PN_EAGAIN;
	}
	if (window_pin(r->window, r->slot, r->next, &place)) {
		r->from_window++;
		hand_out(r, place.record, msg);
		know(r, place.record->seq, place.segment, place.file_offset);
		return PN_OK;
	}
	rc = disk_read(r, msg, err);
	if (rc == PN_EEND || rc == PN_ENOENT)
		rc = pn_error_set(err, PN_ECORRUPT,
				  "%s: record %" PRIu64 " has left the window and is not on disk",
				  log_name(r->dir), r->next);
	return rc;
}

int pn_log_read(struct pn_log_reader *reader, struct pn_msg *msg, struct pn_error *err)
{
	return reader->window ? live_read(reader, msg, err) : disk_read(reader, msg, err);
}

/* records on disk: headers are walked from the last one the index is sure of */
static uint64_t count_on_disk(const char *dir, int *ended)
{
	struct segment_list list;
	struct segment_view view;
	uint64_t count = 0, offset, before = 0, bytes = 0, known;
	int rc = segment_list_read(&list, dir, NULL);

	*ended = 0;
	if (rc)
		return 0;
	rc = PN_ENOENT;
	for (size_t i = list.count; rc && i > 0 && list.count - i < 2; i--)
		rc = segment_view_open(&view, dir, list.numbers[i - 1], NULL);
	segment_list_free(&list);
	if (rc)
		return 0;
	offset = view.align;
	known = index_synced(&view, dir, &offset);
	count = view.first_seq + (known ? known - 1 : 0);
	for (; offset < view.bytes; before = offset, offset += bytes, count++) {
		const struct pn_record *record = (const void *)(view.base + offset);

		if (record_check(record, view.bytes - offset, view.align, count, RECORD_HEADER,
				 &bytes) != RECORD_OK)
			break;
		*ended = record->kind == PN_RECORD_END;
		if (*ended)
			break;
	}
	/* only the last one can be torn with its header whole */
	if (before && record_check(view.base + before, view.bytes - before, view.align, count - 1,
				   RECORD_CONTENT, &bytes) != RECORD_OK)
		count--;
	segment_view_close(&view);
	return count;
}

uint64_t pn_log_read_count(struct pn_log_reader *reader, int *ended)
{
	int unused;

	if (!ended)
		ended = &unused;
	if (!reader->window)
		return count_on_disk(reader->dir, ended);
	*ended = (int)atomic_load(&reader->window->shared->ended);
	return atomic_load(&reader->window->shared->count);
}

int pn_log_read_wait(struct pn_log_reader *reader, int64_t timeout_ns)
{
	if (!reader->window)
		return PN_EEND;
	return window_sleep(reader->window, reader->slot, reader->next, timeout_ns);
}

int pn_log_read_at(struct pn_log_reader *reader, uint64_t seq, struct pn_msg *msg,
		   struct pn_error *err)
{
	reader->next = seq;
	return pn_log_read(reader, msg, err);
}

uint64_t pn_log_content_hash(const struct pn_log_reader *reader)
{
	return reader->content_hash;
}

uint64_t pn_log_read_seq(const struct pn_log_reader *reader)
{
	return reader->next;
}

void pn_log_read_seek(struct pn_log_reader *reader, uint64_t seq)
{
	reader->next = seq;
}

uint64_t pn_log_read_from_window(const struct pn_log_reader *reader)
{
	return reader->from_window;
}
