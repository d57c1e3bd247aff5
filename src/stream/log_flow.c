/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the window to the disk. Chunks stand in a queue in the order they were filled; from each,
 * what is committed and not yet submitted goes to the engine, a gather of some MiB at a time. When
 * ops complete in order, the records they cover count as written, the index learns them, and chunks
 * that are wholly written leave the queue: they may be filled anew.
 */
#include "log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int flow_failed(const struct pn_log_writer *w, struct pn_error *err)
{
	return w->failed ? pn_error_set(err, w->failed, "%s", w->failed_text) : PN_OK;
}

static struct chunk_state *queued_chunk(const struct pn_log_writer *w, uint64_t i)
{
	return &w->chunks[w->queue[i % w->window->shared->chunk_count]];
}

/* records of @chunk that are on disk whole: what was written since the last look */
static void walk(struct pn_log_writer *w, unsigned chunk)
{
	struct chunk_state *c = &w->chunks[chunk];
	const uint8_t *base = w->window->chunks + chunk * w->window->shared->chunk_bytes;

	while (c->walked < c->written) {
		const struct pn_record *record = (const void *)(base + c->walked);
		uint64_t bytes = record_bytes(w->align, record->head_bytes, record->payload_bytes);

		if (c->walked + bytes > c->written)
			break;
		index_add(&w->index, w->chunk_file_offset[chunk] + c->walked, record->header_hash);
		c->walked += bytes;
		w->written++;
		w->end.offset = w->chunk_file_offset[chunk] + c->walked;
	}
}

static void dequeue(struct pn_log_writer *w)
{
	while (w->queue_first + 1 < w->tail.queue_end) {
		struct chunk_state *c = queued_chunk(w, w->queue_first);

		if (c->walked < c->fill)
			break;
		c->queued = 0;
		w->queue_first++;
	}
}

static void mark_synced(struct pn_log_writer *w)
{
	w->disk.sync_done = 0;
	w->durable = w->sync_target;
	if (w->end.exists)
		index_mark(&w->index, w->durable - w->end.segment_first_seq);
}

/* take completions, in order; returns an errno if writing has failed */
static int advance(struct pn_log_writer *w, int wait)
{
	int errnum = disk_reap(&w->disk, wait);

	while (w->disk.op_count) {
		struct disk_op *op = &w->disk.ops[w->disk.op_first];

		if (op->done != 1)
			break;
		w->chunks[op->chunk].written = op->to;
		walk(w, op->chunk);
		w->disk.op_first = (w->disk.op_first + 1) % w->disk.ops_max;
		w->disk.op_count--;
	}
	dequeue(w);
	if (w->disk.sync_done)
		mark_synced(w);
	return errnum;
}

/* the first op may have written some whole records before it failed */
static void settle(struct pn_log_writer *w)
{
	disk_drain(&w->disk);
	w->disk.sync_done = 0;
	advance(w, 0);
	if (w->disk.op_count) {
		struct disk_op *op = &w->disk.ops[w->disk.op_first];

		w->chunks[op->chunk].written = op->from;
		walk(w, op->chunk);
		w->disk.op_count = 0;
	}
}

/* published records that are not on disk, and their bytes */
static uint64_t bytes_left(const struct pn_log_writer *w)
{
	uint64_t sum = 0;

	for (uint64_t i = w->queue_first; i < w->tail.queue_end; i++) {
		const struct chunk_state *c = queued_chunk(w, i);

		sum += c->fill - c->walked;
	}
	return sum;
}

/* writing is over: keep the whole records on disk, say what there is and what there is not */
static int fail(struct pn_log_writer *w, int errnum, struct pn_error *err)
{
	char what[128];

	settle(w);
	if (w->disk.fd >= 0 && !ftruncate(w->disk.fd, (off_t)w->end.offset) &&
	    !fdatasync(w->disk.fd))
		w->durable = w->written;
	index_flush(&w->index);
	if (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG) {
		w->failed = PN_ENOSPC;
		snprintf(what, sizeof what, "no space left");
	} else {
		w->failed = PN_EIO;
		snprintf(what, sizeof what, "write failed (%s)", strerror(errnum));
	}
	snprintf(w->failed_text, sizeof w->failed_text,
		 "%.128s: %s: %" PRIu64 " bytes in %" PRIu64
		 " segments are written and readable, %" PRIu64 " records (%" PRIu64
		 " bytes) are not on disk",
		 log_name(w->dir), what, w->end.exists ? w->end.bytes_before + w->end.offset : 0,
		 w->end.segments, w->count - w->written, bytes_left(w));
	return flow_failed(w, err);
}

static int start_sync(struct pn_log_writer *w)
{
	w->sync_target = w->written;
	return disk_sync(&w->disk);
}

/* go on to the segment of @chunk. Everything before it is written and synced. */
static int rotate(struct pn_log_writer *w, unsigned chunk)
{
	const struct chunk_state *c = &w->chunks[chunk];
	char path[LOG_PATH_MAX];
	int fd, errnum;

	if (w->engine != PN_ENGINE_NONE) {
		index_close(&w->index);
		errnum = segment_create(&fd, w->dir, c->segment, w->written, w->align, &w->fault);
		if (errnum)
			return errnum;
		if (segment_path(path, w->dir, c->segment, "seg", NULL))
			return ENAMETOOLONG;
		index_open(&w->index, w->dir, c->segment, w->written, 0);
		disk_segment(&w->disk, fd, path);
	}
	if (w->end.exists)
		w->end.bytes_before += w->end.offset;
	w->end.exists = 1;
	w->end.segments++;
	w->end.segment = c->segment;
	w->end.segment_first_seq = w->written;
	w->end.offset = w->align;
	return 0;
}

/* returns 1 if the chunk's segment is the open one now, 0 if not yet */
static int segment_is_open(struct pn_log_writer *w, unsigned chunk, int *errnum)
{
	if (w->end.exists && w->chunks[chunk].segment == w->end.segment)
		return 1;
	if (w->disk.op_count || w->disk.sync_busy)
		return 0;
	if (w->end.exists && w->durable < w->written) {
		*errnum = start_sync(w);
		if (*errnum || w->disk.sync_busy)
			return 0;
		mark_synced(w);
	}
	*errnum = rotate(w, chunk);
	return !*errnum;
}

/* one write behind the fault hook; a refused one is made in part, as by a full disk */
static int submit(struct pn_log_writer *w, unsigned chunk)
{
	struct chunk_state *c = &w->chunks[chunk];
	uint64_t bytes = c->fill - c->submitted;
	int refusal, errnum;
	uint64_t allowed =
		w->engine == PN_ENGINE_NONE ? bytes : fault_allows(&w->fault, bytes, &refusal);

	if (allowed == bytes) {
		errnum = disk_submit(&w->disk, chunk, c->submitted, c->fill);
		c->submitted = c->fill;
		return errnum;
	}
	errnum = disk_drain(&w->disk);
	if (!errnum)
		errnum = advance(w, 0);
	if (!errnum && allowed) {
		const uint8_t *base = w->window->chunks + chunk * w->window->shared->chunk_bytes;

		errnum = log_write_all(w->disk.fd, base + c->submitted, allowed,
				       w->chunk_file_offset[chunk] + c->submitted);
		if (!errnum) {
			c->written = c->submitted + allowed;
			walk(w, chunk);
		}
	}
	return errnum ? errnum : refusal;
}

/* start one write if there is one to start; returns whether it was, or an errno */
static int submit_next(struct pn_log_writer *w, int push, int *errnum)
{
	for (uint64_t i = w->queue_first; i < w->tail.queue_end; i++) {
		unsigned chunk = w->queue[i % w->window->shared->chunk_count];
		struct chunk_state *c = &w->chunks[chunk];
		uint64_t waiting = c->fill - c->submitted;
		int is_tail = i + 1 == w->tail.queue_end;

		if (!waiting)
			continue;
		if ((is_tail && !push && waiting < w->gather_bytes) ||
		    w->disk.op_count == w->disk.ops_max || !segment_is_open(w, chunk, errnum))
			return 0;
		*errnum = submit(w, chunk);
		return !*errnum;
	}
	return 0;
}

int flow_progress(struct pn_log_writer *w, int push, struct pn_error *err)
{
	int errnum, more = 1;

	if (w->failed)
		return flow_failed(w, err);
	if (push)
		w->push = 1;
	while (more) {
		errnum = advance(w, 0);
		if (!errnum)
			more = submit_next(w, w->push, &errnum);
		if (!errnum && w->sync_goal > w->durable && w->written >= w->sync_goal &&
		    !w->disk.sync_busy)
			errnum = start_sync(w);
		if (!errnum && w->disk.sync_done) {
			mark_synced(w);
			more = 1;
		}
		if (errnum)
			return fail(w, errnum, err);
	}
	/* the push holds until all that was there has been submitted */
	if (w->tail.chunk == UINT_MAX ||
	    w->chunks[w->tail.chunk].submitted == w->chunks[w->tail.chunk].fill)
		w->push = 0;
	return PN_OK;
}

int flow_wait(struct pn_log_writer *w, struct pn_error *err)
{
	int errnum;

	if (w->failed)
		return flow_failed(w, err);
	if (!w->disk.op_count && !w->disk.sync_busy)
		return PN_OK;
	errnum = advance(w, 1);
	return errnum ? fail(w, errnum, err) : PN_OK;
}

int flow_flush(struct pn_log_writer *w, struct pn_error *err)
{
	int rc = flow_failed(w, err);

	if (w->count > w->sync_goal)
		w->sync_goal = w->count;
	while (!rc && w->durable < w->count) {
		rc = flow_progress(w, 1, err);
		if (!rc && w->durable < w->count)
			rc = flow_wait(w, err);
	}
	return rc;
}

static int write_end(struct pn_log_writer *w)
{
	char path[LOG_PATH_MAX];
	struct pn_record *record;
	int errnum = 0, fd;

	if (!w->end.exists) {
		errnum = segment_create(&fd, w->dir, w->tail.segment, w->written, w->align,
					&w->fault);
		if (errnum)
			return errnum;
		if (segment_path(path, w->dir, w->tail.segment, "seg", NULL))
			return ENAMETOOLONG;
		disk_segment(&w->disk, fd, path);
		w->end.exists = 1;
		w->end.offset = w->align;
	}
	record = calloc(1, w->align);
	if (!record)
		return ENOMEM;
	record->magic = PN_RECORD_MAGIC;
	record->kind = PN_RECORD_END;
	record->seq = w->count;
	record_seal(record);
	errnum = fault_write(&w->fault, w->disk.fd, record, w->align, w->end.offset);
	free(record);
	if (!errnum && fdatasync(w->disk.fd))
		errnum = errno;
	return errnum;
}

int flow_end(struct pn_log_writer *w, struct pn_error *err)
{
	int errnum = w->engine == PN_ENGINE_NONE ? 0 : write_end(w);

	if (errnum)
		return fail(w, errnum, err);
	window_end(w->window, 1);
	return PN_OK;
}
