/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES_DEFAULT (UINT64_C(8) << 20)
#define CHUNK_COUNT_DEFAULT 8u
#define IN_FLIGHT_DEFAULT   8u
#define GATHER_BYTES        (UINT64_C(2) << 20)
/* what lies in the window longer than this is written, if not synced */
#define PUSH_NS INT64_C(100000000)

/* ---- open and close ------------------------------------------------------------------------ */

static int check_config(const struct pn_log_config *config, struct pn_error *err)
{
	uint32_t align = config->align;

	if (!config->dir && config->engine != PN_ENGINE_NONE)
		return pn_error_set(err, PN_EARG, "log: no folder given");
	if (config->dir && strlen(config->dir) >= LOG_PATH_MAX - 32)
		return pn_error_set(err, PN_EARG, "log: path of %zu bytes is too long",
				    strlen(config->dir));
	if (align && (align < 64 || align > LOG_ALIGN_MAX || (align & (align - 1))))
		return pn_error_set(err, PN_EARG,
				    "log: align %u: must be a power of two from 64 to %u", align,
				    LOG_ALIGN_MAX);
	if (config->in_flight > DISK_OPS_MAX)
		return pn_error_set(err, PN_EARG, "log: %u writes in flight: at most %u",
				    config->in_flight, DISK_OPS_MAX);
	if ((unsigned)config->durability > PN_DURABLE_CLOSE ||
	    (unsigned)config->engine > PN_ENGINE_NONE)
		return pn_error_set(err, PN_EARG, "log: durability %d, engine %d: unknown",
				    (int)config->durability, (int)config->engine);
	return PN_OK;
}

static int make_dir(const char *dir, struct pn_error *err)
{
	char path[LOG_PATH_MAX];

	snprintf(path, sizeof path, "%s", dir);
	for (char *at = path + 1;; at++) {
		char c = *at;

		if (c && c != '/')
			continue;
		*at = 0;
		if (mkdir(path, 0777) && errno != EEXIST)
			return pn_error_errno(err, errno, "%s", path);
		if (!c)
			return PN_OK;
		*at = c;
	}
}

static void writer_free(struct pn_log_writer *w)
{
	if (w->disk.engine)
		disk_close(&w->disk);
	pn_log_read_close(w->check);
	if (w->index.fd >= 0)
		close(w->index.fd);
	if (w->lock_fd >= 0) {
		/* explicitly, since a fork of this process may have the descriptor too */
		flock(w->lock_fd, LOCK_UN);
		close(w->lock_fd);
	}
	if (w->own_window)
		pn_window_destroy(w->window);
	free(w->chunks);
	free(w->chunk_file_offset);
	free(w->queue);
	free(w->reserved);
	free(w);
}

static int take_window(struct pn_log_writer *w, const struct pn_log_config *config,
		       struct pn_error *err)
{
	int rc = PN_OK;

	w->window = config->window;
	if (!w->window) {
		unsigned count = config->chunk_count ? config->chunk_count : CHUNK_COUNT_DEFAULT;
		uint64_t bytes = config->chunk_bytes ? config->chunk_bytes : CHUNK_BYTES_DEFAULT;

		rc = pn_window_create(&w->window, bytes, count, err);
		w->own_window = !rc;
	}
	if (rc)
		return rc;
	size_t n = w->window->shared->chunk_count;
	w->chunks = calloc(n, sizeof *w->chunks);
	w->chunk_file_offset = calloc(n, sizeof *w->chunk_file_offset);
	w->queue = calloc(n, sizeof *w->queue);
	if (!w->chunks || !w->chunk_file_offset || !w->queue)
		return pn_error_set(err, PN_ENOMEM, "log: states of %zu chunks", n);
	for (size_t i = 0; i < n; i++)
		w->chunks[i].generation = atomic_load(&w->window->shared->chunks[i].generation);
	return PN_OK;
}

static void tell_recovery(const struct pn_log_writer *w, struct pn_log_recovery *r)
{
	int n;

	r->records_kept = w->count;
	r->bytes_cut = w->end.bytes_cut;
	r->was_closed = w->end.was_closed;
	if (!w->end.exists && !r->bytes_cut)
		return;
	n = snprintf(r->text, sizeof r->text, "%.48s: %" PRIu64 " records kept", log_name(w->dir),
		     w->count);
	if (r->records_from_window)
		n += snprintf(r->text + n, sizeof r->text - n, ", %" PRIu64 " from the window",
			      r->records_from_window);
	if (r->bytes_cut)
		n += snprintf(r->text + n, sizeof r->text - n,
			      ", %" PRIu64 " bytes behind them cut off", r->bytes_cut);
	if (r->was_closed)
		snprintf(r->text + n, sizeof r->text - n, "; was closed, goes on");
}

/* bring disk and window to the same count */
static int recover(struct pn_log_writer *w, struct pn_log_recovery *r, struct pn_error *err)
{
	struct window_shared *shared = w->window->shared;
	int live = atomic_load(&shared->opened);
	int rc = recover_disk(&w->end, w->dir, err);

	if (rc)
		return rc;
	if (live && w->end.next_seq > atomic_load(&shared->count))
		return pn_error_set(err, PN_EARG,
				    "%s: %" PRIu64 " records on disk, %" PRIu64
				    " in the window: the window is of another stream",
				    w->dir, w->end.next_seq, atomic_load(&shared->count));
	if (live && w->end.next_seq < atomic_load(&shared->count)) {
		struct stream_end before = w->end;

		rc = recover_window(&w->end, w->dir, w->window, &w->fault, err);
		if (rc)
			return rc;
		rc = recover_disk(&w->end, w->dir, err);
		if (rc)
			return rc;
		r->records_from_window = w->end.next_seq - before.next_seq;
		w->end.bytes_cut += before.bytes_cut;
		w->end.was_closed = before.was_closed;
	}
	w->align = w->end.align;
	return PN_OK;
}

static int open_end(struct pn_log_writer *w, struct pn_error *err)
{
	char path[LOG_PATH_MAX];
	int fd, rc = segment_path(path, w->dir, w->end.segment, "seg", err);

	if (rc || !w->end.exists)
		return rc;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	disk_segment(&w->disk, fd, path);
	index_open(&w->index, w->dir, w->end.segment, w->end.segment_first_seq,
		   w->end.next_seq - w->end.segment_first_seq);
	return PN_OK;
}

static int open_writer(struct pn_log_writer *w, const struct pn_log_config *config,
		       struct pn_log_recovery *recovery, struct pn_error *err)
{
	int rc = take_window(w, config, err);

	if (rc)
		return rc;
	struct window_shared *shared = w->window->shared;
	w->end = (struct stream_end){ .align = w->align, .offset = w->align };
	if (config->engine == PN_ENGINE_NONE) {
		w->end.next_seq = atomic_load(&shared->count);
	} else {
		rc = make_dir(w->dir, err);
		if (!rc)
			rc = recover_lock(&w->lock_fd, w->dir, err);
		if (!rc)
			rc = recover(w, recovery, err);
	}
	if (rc)
		return rc;
	disk_open(&w->disk, config->engine, w->window,
		  config->in_flight ? config->in_flight : IN_FLIGHT_DEFAULT, w->align, w->lock_fd,
		  w->chunk_file_offset);
	if (config->engine != PN_ENGINE_NONE)
		rc = open_end(w, err);
	if (rc)
		return rc;
	w->count = w->next = w->written = w->durable = w->end.next_seq;
	w->tail = (struct log_cursor){ .chunk = UINT_MAX,
				       .segment = w->end.segment,
				       .file_offset = w->end.offset };
	w->cursor = w->tail;
	window_end(w->window, 0);
	window_publish(w->window, w->count);
	/* last: a window that says it was opened has a count that is true */
	atomic_store(&shared->opened, 1);
	tell_recovery(w, recovery);
	return PN_OK;
}

int pn_log_open(struct pn_log_writer **writer, const struct pn_log_config *config,
		struct pn_log_recovery *recovery, struct pn_error *err)
{
	struct pn_log_recovery unused;
	int rc = check_config(config, err);
	struct pn_log_writer *w;

	*writer = NULL;
	if (!recovery)
		recovery = &unused;
	*recovery = (struct pn_log_recovery){ 0 };
	if (rc)
		return rc;
	w = calloc(1, sizeof *w);
	if (!w)
		return pn_error_set(err, PN_ENOMEM, "log: %zu bytes", sizeof *w);
	snprintf(w->dir, sizeof w->dir, "%s", config->dir ? config->dir : "stream");
	w->durability = config->durability;
	w->engine = config->engine;
	w->interval_ns = config->interval_ms * INT64_C(1000000);
	w->segment_bytes =
		config->segment_bytes ? config->segment_bytes : LOG_SEGMENT_BYTES_DEFAULT;
	w->align = config->align ? config->align : LOG_ALIGN_DEFAULT;
	w->gather_bytes = GATHER_BYTES;
	w->fault = (struct log_fault){ config->fault, config->fault_arg };
	w->lock_fd = w->index.fd = -1;
	rc = open_writer(w, config, recovery, err);
	if (rc) {
		writer_free(w);
		return rc;
	}
	*writer = w;
	return PN_OK;
}

const char *pn_log_engine_text(const struct pn_log_writer *writer)
{
	return writer->disk.text;
}

int pn_log_finish(struct pn_log_writer *w, int end, struct pn_error *err)
{
	int rc;

	if (!w)
		return PN_OK;
	pn_log_abort(w);
	rc = flow_flush(w, err);
	if (!rc && end)
		rc = flow_end(w, err);
	index_close(&w->index);
	writer_free(w);
	return rc;
}

void pn_log_drop(struct pn_log_writer *writer)
{
	if (writer)
		writer_free(writer);
}

/* ---- laying out records -------------------------------------------------------------------- */

/* the chunk whose filling is oldest, among those on disk and not held by a reader */
static int free_chunk(struct pn_log_writer *w, unsigned *chunk)
{
	unsigned count = w->window->shared->chunk_count;
	uint64_t above = 0;

	for (unsigned tries = 0; tries < count; tries++) {
		unsigned best = UINT_MAX;

		for (unsigned i = 0; i < count; i++)
			if (!w->chunks[i].queued && w->chunks[i].generation >= above &&
			    (best == UINT_MAX ||
			     w->chunks[i].generation < w->chunks[best].generation))
				best = i;
		if (best == UINT_MAX)
			return 0;
		if (window_reclaim(w->window, best)) {
			*chunk = best;
			return 1;
		}
		above = w->chunks[best].generation + 1;
	}
	return 0;
}

/* go on in another chunk; returns 0 if there is none */
static int next_chunk(struct pn_log_writer *w)
{
	struct log_cursor *cursor = &w->cursor;
	unsigned count = w->window->shared->chunk_count, chunk;

	if (cursor->queue_end < w->queue_kept)
		chunk = w->queue[cursor->queue_end % count];
	else if (!free_chunk(w, &chunk))
		return 0;
	w->chunk_file_offset[chunk] = cursor->file_offset;
	w->chunks[chunk] = (struct chunk_state){
		.generation = window_assign(w->window, chunk, cursor->segment, cursor->file_offset),
		.segment = cursor->segment,
		.queued = 1,
	};
	w->queue[cursor->queue_end++ % count] = chunk;
	cursor->chunk = chunk;
	cursor->offset = 0;
	return 1;
}

/* where the next record of @bytes goes; the cursor moves behind it. 0: no chunk is free */
static int lay_out(struct pn_log_writer *w, uint64_t bytes, struct log_reserved *place)
{
	uint64_t chunk_bytes = w->window->shared->chunk_bytes;
	struct log_cursor before = w->cursor, *cursor = &w->cursor;
	int turn = cursor->file_offset > w->align && cursor->file_offset + bytes > w->segment_bytes;

	if (turn) {
		cursor->segment++;
		cursor->file_offset = w->align;
	}
	if ((turn || cursor->chunk == UINT_MAX || cursor->offset + bytes > chunk_bytes) &&
	    !next_chunk(w)) {
		*cursor = before;
		return 0;
	}
	place->chunk = cursor->chunk;
	place->offset = cursor->offset;
	place->bytes = bytes;
	place->record = (void *)(w->window->chunks + cursor->chunk * chunk_bytes + cursor->offset);
	cursor->offset += bytes;
	cursor->file_offset += bytes;
	return 1;
}

static int more_reserved(struct pn_log_writer *w, struct pn_error *err)
{
	unsigned room = w->reserved_room ? 2 * w->reserved_room : 64;
	struct log_reserved *more;

	if (w->reserved_count < w->reserved_room)
		return PN_OK;
	more = realloc(w->reserved, room * sizeof *more);
	if (!more)
		return pn_error_set(err, PN_ENOMEM, "log: %u records reserved at once", room);
	w->reserved = more;
	w->reserved_room = room;
	return PN_OK;
}

/* every record that is not on disk needs its entry in the window */
static int entry_is_free(const struct pn_log_writer *w)
{
	return w->count + w->reserved_count - w->written < w->window->shared->entry_count;
}

/* Not now; or never, when it is our own reservations that fill the window: waiting frees none. Two
 * chunks are left out of the sum: the one begun before, and one that a reader may hold. */
static int no_room(const struct pn_log_writer *w, uint64_t bytes, struct pn_error *err)
{
	const struct window_shared *shared = w->window->shared;
	uint64_t reserved = bytes;

	for (unsigned i = 0; i < w->reserved_count; i++)
		reserved += record_bytes(w->align, w->reserved[i].record->head_bytes,
					 w->reserved[i].record->payload_bytes);
	if (w->reserved_count &&
	    (w->reserved_count >= shared->entry_count ||
	     reserved > shared->chunk_bytes * (shared->chunk_count > 2 ? shared->chunk_count - 2 : 1)))
		return pn_error_set(err, PN_EARG,
				    "%s: %u records of %" PRIu64
				    " bytes at once are too much for a window of %u chunks of %" PRIu64
				    " bytes: it needs more chunks, or larger ones",
				    log_name(w->dir), w->reserved_count + 1, reserved,
				    shared->chunk_count, shared->chunk_bytes);
	return pn_error_set(err, PN_EAGAIN, "%s: the window is full", log_name(w->dir));
}

int pn_log_reserve(struct pn_log_writer *w, uint32_t head_bytes, uint64_t payload_bytes,
		   void **head, void **payload, struct pn_error *err)
{
	struct log_reserved place;
	uint64_t bytes;
	int rc = flow_failed(w, err);

	if (rc)
		return rc;
	bytes = payload_bytes <= LOG_PAYLOAD_BYTES_MAX
			? record_bytes(w->align, head_bytes, payload_bytes)
			: UINT64_MAX;
	if (head_bytes > PN_HEAD_BYTES_MAX || bytes > w->window->shared->chunk_bytes)
		return pn_error_set(err, PN_EARG,
				    "%s: record of head %u and payload %" PRIu64
				    " bytes: heads have at most %d, a record must fit a chunk of "
				    "%" PRIu64,
				    log_name(w->dir), head_bytes, payload_bytes, PN_HEAD_BYTES_MAX,
				    w->window->shared->chunk_bytes);
	rc = more_reserved(w, err);
	if (rc)
		return rc;
	if (!entry_is_free(w) || !lay_out(w, bytes, &place)) {
		rc = flow_progress(w, 1, err);
		if (rc)
			return rc;
		if (!entry_is_free(w) || !lay_out(w, bytes, &place))
			return no_room(w, bytes, err);
	}
	uint8_t *at = (uint8_t *)place.record;
	uint64_t payload_at = record_payload_at(head_bytes);
	*place.record = (struct pn_record){ .magic = PN_RECORD_MAGIC,
					    .kind = PN_RECORD_DATA,
					    .head_bytes = head_bytes,
					    .payload_bytes = payload_bytes };
	*head = at + sizeof(struct pn_record);
	*payload = at + payload_at;
	memset(at + sizeof(struct pn_record) + head_bytes, 0,
	       payload_at - sizeof(struct pn_record) - head_bytes);
	memset(at + payload_at + payload_bytes, 0, bytes - payload_at - payload_bytes);
	w->reserved[w->reserved_count++] = place;
	return PN_OK;
}

void pn_log_stamp(struct pn_log_writer *w, int64_t time_ns, int64_t arrival_ns)
{
	pn_assert(w->reserved_count);
	struct pn_record *record = w->reserved[w->reserved_count - 1].record;
	record->time_ns = time_ns;
	record->arrival_ns = arrival_ns;
}

/* queue entries from @end on are not needed */
static void unqueue(struct pn_log_writer *w, uint64_t end, uint64_t limit)
{
	for (; end < limit; end++)
		w->chunks[w->queue[end % w->window->shared->chunk_count]].queued = 0;
}

void pn_log_abort(struct pn_log_writer *w)
{
	unqueue(w, w->tail.queue_end, w->cursor.queue_end);
	w->cursor = w->tail;
	w->reserved_count = 0;
}

/* ---- committing ---------------------------------------------------------------------------- */

/* content hash and bytes of a record the stream has */
static int existing(struct pn_log_writer *w, uint64_t seq, uint64_t *hash, uint64_t *bytes,
		    struct pn_error *err)
{
	struct window_place place;
	struct pn_msg msg;
	int rc;

	if (window_find(w->window, seq, &place)) {
		*hash = place.record->content_hash;
		*bytes = place.record->payload_bytes;
		return PN_OK;
	}
	rc = w->check ? PN_OK : pn_log_read_open(&w->check, w->dir, NULL, 0, seq, err);
	if (!rc)
		rc = pn_log_read_at(w->check, seq, &msg, err);
	if (rc == PN_EEND)
		rc = pn_error_set(err, PN_ECORRUPT, "%s: record %" PRIu64 " is not on disk",
				  log_name(w->dir), seq);
	if (rc)
		return rc;
	*hash = pn_log_content_hash(w->check);
	*bytes = msg.payload_bytes;
	return PN_OK;
}

static int compare(struct pn_log_writer *w, struct pn_record *record, struct pn_error *err)
{
	uint64_t hash, bytes;
	int rc = existing(w, w->next, &hash, &bytes, err);

	if (rc)
		return rc;
	record->seq = w->next;
	record_seal(record);
	if (record->content_hash != hash || record->payload_bytes != bytes)
		return pn_error_set(err, PN_ECORRUPT,
				    "stage is not deterministic: record %" PRIu64
				    " of %s came out different (%" PRIu64 " bytes, hash %016" PRIx64
				    "; was %" PRIu64 " bytes, hash %016" PRIx64 ")",
				    w->next, log_name(w->dir), record->payload_bytes,
				    record->content_hash, bytes, hash);
	w->next++;
	return PN_OK;
}

/* Records before @from were dropped; move the others to where they would have been without them.
 * Each lands at or before its old place (a shorter prefix never fills more), so moving in order
 * overwrites only what has been moved or dropped. */
static void close_gap(struct pn_log_writer *w, unsigned from)
{
	uint64_t limit = w->cursor.queue_end;
	unsigned n = w->reserved_count - from;

	w->queue_kept = limit;
	w->cursor = w->tail;
	for (unsigned i = 0; i < n; i++) {
		struct log_reserved old = w->reserved[from + i], place;
		int fits = lay_out(w, old.bytes, &place);

		pn_assert(fits);
		if (place.record != old.record)
			memmove(place.record, old.record, old.bytes);
		w->reserved[i] = place;
	}
	unqueue(w, w->cursor.queue_end, limit);
	w->queue_kept = 0;
	w->reserved_count = n;
}

static void publish(struct pn_log_writer *w)
{
	for (unsigned i = 0; i < w->reserved_count; i++) {
		struct log_reserved *place = &w->reserved[i];
		struct chunk_state *c = &w->chunks[place->chunk];

		place->record->seq = w->next++;
		record_seal(place->record);
		window_publish_entry(w->window, place->record->seq, place->chunk, place->offset,
				     c->generation);
		c->fill = place->offset + place->bytes;
	}
	w->count = w->next;
	w->tail = w->cursor;
	w->reserved_count = 0;
	window_publish(w->window, w->count);
}

int pn_log_commit(struct pn_log_writer *w, struct pn_error *err)
{
	unsigned dropped = 0;
	int rc = flow_failed(w, err);

	if (!w->reserved_count)
		return rc;
	while (!rc && dropped < w->reserved_count && w->next < w->count)
		rc = compare(w, w->reserved[dropped++].record, err);
	if (rc || dropped == w->reserved_count) {
		pn_log_abort(w);
		return rc;
	}
	if (dropped)
		close_gap(w, dropped);
	publish(w);
	return w->durability == PN_DURABLE_EACH ? flow_flush(w, err) : flow_progress(w, 0, err);
}

int pn_log_append(struct pn_log_writer *w, const struct pn_msg *msg, struct pn_error *err)
{
	void *head = NULL, *payload = NULL;
	int rc = pn_log_reserve(w, msg->head_bytes, msg->payload_bytes, &head, &payload, err);

	if (rc)
		return rc;
	if (msg->head_bytes)
		memcpy(head, msg->head, msg->head_bytes);
	if (msg->payload_bytes)
		memcpy(payload, msg->payload, msg->payload_bytes);
	pn_log_stamp(w, msg->time_ns, msg->arrival_ns);
	return pn_log_commit(w, err);
}

int pn_log_rewind(struct pn_log_writer *w, uint64_t seq, struct pn_error *err)
{
	if (seq > w->count)
		return pn_error_set(err, PN_EARG,
				    "%s: cannot go on at record %" PRIu64 ", there are %" PRIu64,
				    log_name(w->dir), seq, w->count);
	pn_log_abort(w);
	w->next = seq;
	return PN_OK;
}

uint64_t pn_log_next(const struct pn_log_writer *writer)
{
	return writer->next;
}

uint64_t pn_log_count(const struct pn_log_writer *writer)
{
	return writer->count;
}

uint64_t pn_log_durable(const struct pn_log_writer *writer)
{
	return writer->durability == PN_DURABLE_CLOSE ? writer->written : writer->durable;
}

int pn_log_poll(struct pn_log_writer *w, int64_t now_ns, int wait, struct pn_error *err)
{
	int64_t interval = w->durability == PN_DURABLE_INTERVAL ? w->interval_ns : PUSH_NS;
	int due = now_ns - w->pushed_ns >= interval || now_ns < w->pushed_ns;
	int rc;

	if (due) {
		w->pushed_ns = now_ns;
		if (w->durability == PN_DURABLE_INTERVAL && w->sync_goal <= w->durable)
			w->sync_goal = w->count;
	}
	rc = flow_progress(w, due, err);
	if (!rc && wait) {
		rc = flow_wait(w, err);
		if (!rc)
			rc = flow_progress(w, 0, err);
	}
	return rc;
}

int pn_log_flush(struct pn_log_writer *writer, struct pn_error *err)
{
	return flow_flush(writer, err);
}
