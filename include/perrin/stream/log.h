/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/stream/log.h - the segment log: append-only streams of messages on disk, with a window
 * of shared memory over their newest part.
 *
 * On disk a stream is a folder: 000000.seg, 000001.seg, ... and 000000.idx, ... A segment begins
 * with one block (format version, alignment, sequence number of its first record), then records:
 *
 *	struct pn_record (64 bytes) | head | zeros to 64 | payload | zeros to `align`
 *
 * Records are immutable, hashed (XXH3-64, header and content apart) and numbered 0, 1, 2, ...
 * A closed stream ends with an end record. The index (offsets by sequence number) can be lost: it
 * is made again by scanning, and its entries are checked when they are used. A segment is begun
 * only when all of the one before is on stable storage. So after a crash only the last segment can
 * have a torn end: its first record whose hashes fail, behind those that the index knows to be
 * synced, ends the stream, and the writer truncates there. A record that fails anywhere else is
 * damage: readers say PN_ECORRUPT, the writer leaves it as it is. A file "lock" in the folder holds
 * the lock of the one writer.
 *
 * In memory the newest records live in the writer's window: a few chunks (a memfd when processes
 * share it), laid out exactly as on disk. A record is written once by its producer, into the
 * window; io_uring writes it to disk from there, and readers of the same host read it there in
 * place. A reader that has fallen behind the window reads the segments. The window survives the
 * death of the writing process as long as somebody holds its file descriptor, and a writer that
 * opens it again first brings to disk what its predecessor could not.
 */
#ifndef PERRIN_STREAM_LOG_H
#define PERRIN_STREAM_LOG_H

#include "perrin/base/status.h"
#include "perrin/stream/message.h"

#include <stddef.h>
#include <stdint.h>

#define PN_RECORD_MAGIC UINT32_C(0x50524e31) /* little-endian on disk: "1NRP" */
#define PN_WINDOW_READERS_MAX 16

enum pn_record_kind { PN_RECORD_DATA = 1, PN_RECORD_END = 2 };

/** The record header on disk, little-endian, 64 bytes. */
struct pn_record {
	uint32_t magic, kind;
	uint64_t seq;
	int64_t time_ns, arrival_ns;
	uint32_t head_bytes, reserved;
	uint64_t payload_bytes;
	uint64_t content_hash; /* XXH3-64 of seq, time_ns, head_bytes, payload_bytes (8 bytes each),
	                        * head, payload: what must be the same in a replay              */
	uint64_t header_hash;  /* XXH3-64 of the 56 bytes before                                 */
};

enum pn_durability {
	PN_DURABLE_EACH,     /* a record is on stable storage when pn_log_commit returns        */
	PN_DURABLE_INTERVAL, /* a sync every interval_ms                                        */
	PN_DURABLE_CLOSE,    /* a sync when a segment or the stream is closed                   */
};

enum pn_log_engine {
	PN_ENGINE_AUTO,  /* io_uring with O_DIRECT where the machine and file system let it      */
	PN_ENGINE_PLAIN, /* pwrite                                                               */
	PN_ENGINE_NONE,  /* nothing goes to disk: benchmarks of the window only                  */
};

struct pn_window; /* shared memory of one stream */

/**
 * pn_window_create - the window of one stream: @chunk_count chunks of @chunk_bytes.
 *
 * A record (with header and padding) must fit a chunk. Shared between processes that inherit or are
 * passed its file descriptor (a memfd, not closed on exec). chunk_bytes is rounded up to 4096; the
 * chunks begin on a 2 MiB boundary and take huge pages where the host gives them to shared memory.
 * Each reader holds one chunk while it has a message in hand: have two chunks more than readers, or
 * slow ones hold up the writer. The window also ends after as many records as it has KiB (1024 at
 * least): records much smaller than that fall out of it before the chunks are full.
 *
 * The creator owns it and destroys it after every writer and reader on it is closed. One window is
 * for one stream: a writer refuses (PN_EARG) a window that has seen fewer records than its folder.
 * Errors: PN_EARG (2..1024 chunks of at least 4096 bytes), PN_ENOMEM with the sizes.
 */
int pn_window_create(struct pn_window **window, uint64_t chunk_bytes, unsigned chunk_count,
		     struct pn_error *err);
/** pn_window_attach - map a window by its inherited descriptor; the descriptor is borrowed.
 * Errors: PN_EFORMAT (no window), PN_EVERSION, PN_EIO, PN_ENOMEM. */
int pn_window_attach(struct pn_window **window, int fd, struct pn_error *err);
int pn_window_fd(const struct pn_window *window);
/** pn_window_release - the reader of @slot is dead and has no successor: let go of what it held. */
void pn_window_release(struct pn_window *window, unsigned slot);
void pn_window_destroy(struct pn_window *window); /* unmaps; closes the fd if created here */

/* ---- writing ------------------------------------------------------------------------------- */

struct pn_log_config {
	const char *dir;            /* folder of the stream; made if it is not there             */
	enum pn_durability durability;
	unsigned interval_ms;       /* for PN_DURABLE_INTERVAL                                   */
	uint64_t segment_bytes;     /* rotate when a segment would grow beyond; 0: 1 GiB         */
	uint32_t align;             /* 4096 for big records; 64 packs small ones, without
	                             * O_DIRECT; 0: 4096; 64..2^20. A stream that exists keeps
	                             * its own                                                   */
	unsigned in_flight;         /* writes under way at once; 0: 8; at most 64                */
	enum pn_log_engine engine;
	struct pn_window *window;   /* borrowed; NULL: the writer makes a private one            */
	uint64_t chunk_bytes;       /* of the private window; 0: 8 MiB                           */
	unsigned chunk_count;       /* 0: 8                                                      */
	/* what tests and the simulation put between the log and the disk; NULL: the disk itself.
	 * Called before each write of @bytes of records or segment headers (not of the index);
	 * returns how many may be written (less: then the write fails with @errnum, as on a full
	 * disk), runs in the writer's thread.                                                   */
	uint64_t (*fault)(void *arg, uint64_t bytes, int *errnum);
	void *fault_arg;
};

struct pn_log_writer;

/** What opening an existing stream found. */
struct pn_log_recovery {
	uint64_t records_kept;      /* records of the stream now                                 */
	uint64_t records_from_window; /* of these: brought to disk from the window               */
	uint64_t bytes_cut;         /* bytes after the last whole record, removed                */
	int was_closed;             /* the stream ended with an end record (it is reopened)      */
	char text[160];             /* one sentence for the log; empty for a new stream          */
};

/**
 * pn_log_open - open a stream for writing; recovers it first if it exists. Caller closes.
 *
 * One writer at a time: a lock on the folder; PN_EEXIST if another process holds it. If the holder
 * was killed, waits until the kernel has ended its last writes. A process with an open writer may
 * fork only to exec: a child that lives on keeps the lock of a parent that was killed.
 *
 * With a window that has seen a writer before, the window's count is the truth: what is published
 * but not on disk is written first. With a new window, or none, the disk's is.
 *
 * Errors: PN_EARG (config; a window of another stream), PN_EIO, PN_ENOSPC, PN_EPERM, PN_EVERSION,
 * PN_EFORMAT (a damaged segment header with data behind it; nothing is touched), PN_ECORRUPT
 * (published records are neither on disk nor in the window), with path and numbers.
 * Thread: a writer belongs to one thread at a time. Cost: a scan of the part of the last segment
 * that was not synced (all of it if its index is lost), one sync.
 */
int pn_log_open(struct pn_log_writer **writer, const struct pn_log_config *config,
		struct pn_log_recovery *recovery, struct pn_error *err);

/** pn_log_engine_text - how this writer writes, e.g. "io_uring, O_DIRECT, registered buffers",
 * with the reason when it is not that. Borrowed until close. */
const char *pn_log_engine_text(const struct pn_log_writer *writer);

/**
 * pn_log_reserve - room for one record at the end of the window; the caller fills it in place.
 *
 * @head, @payload: [out] where to write; payload aligned to 64; valid until commit or abort.
 * Several records may be reserved before they are committed together. Padding is zeroed here: write
 * nothing outside.
 *
 * Returns PN_EAGAIN when every chunk still waits for the disk or is being read (nothing has
 * changed; poll and call again); PN_EARG if the record can never fit a chunk, or if what is reserved
 * together is more than all chunks but two and there is no room; PN_ENOSPC or PN_EIO when writing has failed for good (what was written stays readable).
 * Cost: no copy, no system call.
 */
int pn_log_reserve(struct pn_log_writer *writer, uint32_t head_bytes, uint64_t payload_bytes,
		   void **head, void **payload, struct pn_error *err);

/** pn_log_stamp - set the times of the record reserved last. */
void pn_log_stamp(struct pn_log_writer *writer, int64_t time_ns, int64_t arrival_ns);

/**
 * pn_log_commit - number, hash and publish all reserved records, in order.
 *
 * Readers see them at once. They are on disk later (durability policy). A record whose sequence
 * number the stream has already (a stage that runs again from a checkpoint, see pn_log_rewind) is
 * compared and dropped: PN_ECORRUPT says which record came out different, and nothing of the commit
 * is published. On PN_ENOSPC or PN_EIO what was published stays readable in the window; the file is
 * cut after its last whole record, and all later calls fail with the same text: "frames: no space
 * left: 80000 bytes in 3 segments are written and readable, 2 records (1234 bytes) are not on
 * disk".
 * Cost: one pass of XXH3 over the records; system calls only when enough bytes have gathered.
 */
int pn_log_commit(struct pn_log_writer *writer, struct pn_error *err);

/** pn_log_abort - forget what is reserved. */
void pn_log_abort(struct pn_log_writer *writer);

/** pn_log_append - reserve, copy, stamp and commit one message (msg->seq is ignored). */
int pn_log_append(struct pn_log_writer *writer, const struct pn_msg *msg, struct pn_error *err);

/**
 * pn_log_rewind - the next records to be committed are those from @seq on, which the stream may
 * hold already: they are compared, not written (exactly-once output of a restarted stage).
 * @seq must be 0..pn_log_count.
 */
int pn_log_rewind(struct pn_log_writer *writer, uint64_t seq, struct pn_error *err);

/** pn_log_next - sequence number the next committed record gets (or is compared with). */
uint64_t pn_log_next(const struct pn_log_writer *writer);
/** pn_log_count - records in the stream, published to readers. */
uint64_t pn_log_count(const struct pn_log_writer *writer);
/** pn_log_durable - records on stable storage; with PN_DURABLE_CLOSE those handed to the disk (they
 * outlive this process, but perhaps not a power failure). */
uint64_t pn_log_durable(const struct pn_log_writer *writer);

/**
 * pn_log_poll - collect finished writes, start due ones and due syncs. @now_ns: CLOCK_MONOTONIC of
 * the caller. @wait: 1 to wait for at least one write under way, if there is any.
 *
 * Writes start by themselves when 2 MiB have gathered; what is less is written when interval_ms
 * (100 ms without PN_DURABLE_INTERVAL) have passed between calls. With nothing under way @wait does
 * not wait: if reserve says PN_EAGAIN then, readers hold the chunks. Call it often; errors as
 * commit.
 */
int pn_log_poll(struct pn_log_writer *writer, int64_t now_ns, int wait, struct pn_error *err);

/** pn_log_flush - everything committed is on stable storage when it returns. */
int pn_log_flush(struct pn_log_writer *writer, struct pn_error *err);

/** pn_log_finish - flush, write the end record (if @end), close, free. NULL is fine. The handle is
 * gone whatever is returned. */
int pn_log_finish(struct pn_log_writer *writer, int end, struct pn_error *err);

/** pn_log_drop - free without flushing or an end record: what a killed process leaves behind. Waits
 * for writes under way. NULL is fine. */
void pn_log_drop(struct pn_log_writer *writer);

/* ---- reading ------------------------------------------------------------------------------- */

struct pn_log_reader;

/**
 * pn_log_read_open - read a stream from @seq on; live if a window is given, else what is on disk.
 *
 * @dir:    folder of the stream (need not exist yet if there is a window)
 * @window: borrowed or NULL; @slot: 0..PN_WINDOW_READERS_MAX-1, this reader's place in it, one
 *          reader each; a reader that died leaves its place to its successor of the same slot.
 *
 * Thread: a reader belongs to one thread. Errors: PN_ENOENT, PN_EFORMAT, PN_EVERSION, PN_EIO.
 */
int pn_log_read_open(struct pn_log_reader **reader, const char *dir, struct pn_window *window,
		     unsigned slot, uint64_t seq, struct pn_error *err);
void pn_log_read_close(struct pn_log_reader *reader);

/**
 * pn_log_read - the next message, in place. Its bytes stay until the next call on this reader.
 *
 * From the window without a copy; from segments mapped and verified (both hashes).
 *
 * Returns PN_OK; PN_EAGAIN: nothing more yet; PN_EEND: the stream is closed and read to its end (a
 * stream on disk without an end record also ends with PN_EEND, and pn_log_read_count says it is not
 * ended; it may grow, and can be read on then); PN_ECORRUPT: record, segment, offset (the place
 * stays; pn_log_read_at goes beyond it); PN_ENOENT: older than the first segment that is kept.
 *
 * Without a window the writer must not cut the file at the same moment: read streams that are being
 * recovered with their window.
 */
int pn_log_read(struct pn_log_reader *reader, struct pn_msg *msg, struct pn_error *err);

/** pn_log_read_at - as pn_log_read for record @seq, which becomes the place to go on from. */
int pn_log_read_at(struct pn_log_reader *reader, uint64_t seq, struct pn_msg *msg,
		   struct pn_error *err);

/** pn_log_content_hash - content hash of the message read last. */
uint64_t pn_log_content_hash(const struct pn_log_reader *reader);

/** pn_log_read_seq - number of the record that pn_log_read would give next. */
uint64_t pn_log_read_seq(const struct pn_log_reader *reader);
void pn_log_read_seek(struct pn_log_reader *reader, uint64_t seq);

/** pn_log_read_count - records published so far; @ended: [out] or NULL, 1 if an end record closes
 * them. Without a window: walks the headers behind what the last segment's index is sure of. */
uint64_t pn_log_read_count(struct pn_log_reader *reader, int *ended);

/** pn_log_read_from_window - of the messages read so far, how many came from the window. */
uint64_t pn_log_read_from_window(const struct pn_log_reader *reader);

/**
 * pn_log_read_wait - sleep until a record beyond the reader's place is published, the stream ends,
 * or @timeout_ns pass. Live readers sleep on a futex in the window; the disk is not polled.
 * Returns PN_OK, PN_ETIMEOUT, or PN_EEND for a reader without a window (nothing will come).
 */
int pn_log_read_wait(struct pn_log_reader *reader, int64_t timeout_ns);

/* ---- checking ------------------------------------------------------------------------------ */

/** What a walk over every record of a stream on disk found. */
struct pn_log_check {
	uint64_t records, bytes;      /* bytes: heads and payloads                                */
	uint64_t first_seq, last_seq, gaps, bad;
	uint64_t segments;
	uint64_t content_hash[2];     /* XXH3-128 (low, high) over the content hash and the payload
	                               * of each good record, in order: equal streams, equal hash */
	int ended;                    /* closed by an end record                                  */
	uint64_t bytes_after;         /* bytes after the last whole record                        */
	char text[PN_ERROR_TEXT_MAX]; /* first thing wrong, empty if nothing                      */
};

/**
 * pn_log_verify - walk a stream; PN_OK also if records are bad (the result says so).
 *
 * Checks hashes, numbers, and that padding is zero. Errors: PN_ENOENT (no stream there), PN_EFORMAT
 * and PN_EVERSION (of the only segment), PN_EIO, PN_ENOMEM. Thread: reentrant. Cost: reads
 * everything once, hashes it twice.
 */
int pn_log_verify(const char *dir, struct pn_log_check *check, struct pn_error *err);

#endif
