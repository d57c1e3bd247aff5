/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log_internal.h - what the files of the segment log share: disk layout, window layout, parts. */
#ifndef PERRIN_STREAM_LOG_INTERNAL_H
#define PERRIN_STREAM_LOG_INTERNAL_H

#include "perrin/stream/log.h"

#include <limits.h>
#include <stdatomic.h>

#define LOG_ALIGN_DEFAULT         4096u
#define LOG_ALIGN_MAX             (1u << 20)
#define LOG_SEGMENT_BYTES_DEFAULT (UINT64_C(1) << 30)
#define LOG_PAYLOAD_BYTES_MAX     (UINT64_C(1) << 40)
#define LOG_PATH_MAX              4096
#define LOG_NONE                  UINT64_MAX

/* ---- records (log_record.c) ---------------------------------------------------------------- */

enum record_state {
	RECORD_OK,
	RECORD_BAD_HEADER,  /* no record, or its header hash fails                       */
	RECORD_BAD_SEQ,     /* a record, but not the one looked for                      */
	RECORD_SHORT,       /* a good header, but the record ends beyond the file        */
	RECORD_BAD_CONTENT, /* a good header, but the content hash fails                 */
	RECORD_BAD_PADDING, /* good hashes, but bytes between the parts are not zero     */
};

enum record_depth { RECORD_HEADER, RECORD_CONTENT, RECORD_PADDING };

/** record_bytes - bytes of a record in a segment, padding and all. */
uint64_t record_bytes(uint32_t align, uint64_t head_bytes, uint64_t payload_bytes);
/** record_payload_at - offset of the payload from the record's start. */
uint64_t record_payload_at(uint64_t head_bytes);
/** record_seal - both hashes of a record whose other fields and bytes are all there. */
void record_seal(struct pn_record *record);
/**
 * record_check - is there a whole record of number @seq at @at (LOG_NONE: of any number)?
 *
 * @room: bytes that may be read from @at; @bytes: [out] size with padding, set if the header is
 * good.
 */
enum record_state record_check(const void *at, uint64_t room, uint32_t align, uint64_t seq,
			       enum record_depth depth, uint64_t *bytes);
const char *record_state_text(enum record_state state);

uint64_t log_hash64(const void *bytes, size_t count);

/* ---- segments (log_segment.c) -------------------------------------------------------------- */

#define SEGMENT_MAGIC   "PNSEGMT"
#define SEGMENT_VERSION 1u

/** The first 64 bytes of a segment, little-endian; zeros follow to `align`. */
struct segment_header {
	char magic[8];
	uint32_t version, align;
	uint64_t number, first_seq;
	uint64_t reserved[3];
	uint64_t hash; /* XXH3-64 of the 56 bytes before */
};

/** A segment mapped for reading. */
struct segment_view {
	int fd;
	uint64_t number, first_seq;
	uint32_t align;
	const uint8_t *base;
	uint64_t mapped; /* bytes of address space, beyond the end of a file that grows  */
	uint64_t bytes;  /* of the file when last looked at                              */
};

/** The segments of a folder, by number, ascending. */
struct segment_list {
	uint64_t *numbers;
	size_t count;
};

int segment_list_read(struct segment_list *list, const char *dir, struct pn_error *err);
void segment_list_free(struct segment_list *list);

/** segment_path - "<dir>/000012.seg"; PN_EARG if that is too long. */
int segment_path(char path[LOG_PATH_MAX], const char *dir, uint64_t number, const char *suffix,
		 struct pn_error *err);
/** segment_header_read - read and check; PN_ENOENT, PN_EIO, PN_EVERSION, PN_EFORMAT. */
int segment_header_read(int fd, const char *path, uint64_t number, struct segment_header *header,
			struct pn_error *err);
void segment_header_make(struct segment_header *header, uint32_t align, uint64_t number,
			 uint64_t first_seq);

void segment_view_init(struct segment_view *view);
int segment_view_open(struct segment_view *view, const char *dir, uint64_t number,
		      struct pn_error *err);
/** segment_view_refresh - see what the file has grown by. Earlier pointers may go stale. */
int segment_view_refresh(struct segment_view *view, struct pn_error *err);
/** segment_view_reread - forget cached pages from @offset on and map anew. */
int segment_view_reread(struct segment_view *view, uint64_t offset, struct pn_error *err);
void segment_view_close(struct segment_view *view);

/** log_name - the last part of a path, for messages. */
const char *log_name(const char *dir);
/** log_write_all - pwrite until done; returns 0 or an errno. */
int log_write_all(int fd, const void *bytes, uint64_t count, uint64_t offset);
/** log_sync_dir - make new names in @dir durable; returns 0 or an errno. */
int log_sync_dir(const char *dir);

/* ---- the index (log_index.c) --------------------------------------------------------------- */

struct index_entry {
	uint64_t offset, header_hash;
};

#define INDEX_MAGIC   "PNINDEX"
#define INDEX_VERSION 1u

/** The first 64 bytes of an index. */
struct index_header {
	char magic[8];
	uint32_t version, entry_bytes;
	uint64_t number, first_seq;
	uint64_t synced; /* entries whose records were on stable storage when this was written */
	uint64_t reserved[2];
	uint64_t hash;
};

#define INDEX_PENDING 512

/** An index being written. It may be lost at any time: failures switch it off, no more. */
struct log_index {
	int fd;
	uint64_t number, first_seq;
	uint64_t count, pending; /* entries given; of these not in the file yet */
	struct index_entry entries[INDEX_PENDING];
};

/** index_open - begin at @keep entries of synced records (0: a new index); the rest is cut off. */
void index_open(struct log_index *index, const char *dir, uint64_t number, uint64_t first_seq,
		uint64_t keep);
void index_add(struct log_index *index, uint64_t offset, uint64_t header_hash);
void index_flush(struct log_index *index);
/** index_mark - note that all records given so far up to @synced entries are synced. */
void index_mark(struct log_index *index, uint64_t synced);
void index_close(struct log_index *index);

/**
 * index_find - offset of record @seq by the index file of the segment in @view, verified there.
 * Returns LOG_NONE if the index is missing, short, or lies.
 */
uint64_t index_find(const struct segment_view *view, const char *dir, uint64_t seq);
/** index_synced - entries that can be relied on to name synced records; 0 if in doubt. */
uint64_t index_synced(const struct segment_view *view, const char *dir, uint64_t *last_offset);

/* ---- the window (log_window.c) ------------------------------------------------------------- */

#define WINDOW_MAGIC   UINT64_C(0x574f444e49574e50) /* "PNWINDOW" */
#define WINDOW_VERSION 1u

struct window_chunk {
	_Atomic uint64_t generation; /* names one filling of the chunk; 0: nothing to read in it */
	_Atomic uint64_t segment;
	_Atomic uint64_t file_offset; /* of its first byte */
	uint64_t pad;
};

struct window_entry {
	_Atomic uint64_t seq; /* LOG_NONE while it changes */
	_Atomic uint64_t generation;
	_Atomic uint64_t place; /* bytes from the first byte of the first chunk */
	uint64_t pad;
};

struct window_slot {
	_Alignas(64) _Atomic uint64_t pin; /* chunk + 1 that must not be overwritten; 0: none */
};

/** The control block at the start of the shared memory. */
struct window_shared {
	uint64_t magic;
	uint32_t version, chunk_count;
	uint64_t chunk_bytes, entry_count, entries_at, chunks_at, total_bytes;
	_Alignas(64) _Atomic uint64_t count; /* records published: the truth after a crash */
	_Atomic uint64_t generation;         /* the last one given out                     */
	_Atomic uint32_t opened;             /* a writer has set count                     */
	_Atomic uint32_t ended;
	_Alignas(64) _Atomic uint32_t futex; /* changes when a sleeper must look again     */
	_Atomic uint32_t waiting;            /* bit per slot of a reader that sleeps       */
	struct window_slot slots[PN_WINDOW_READERS_MAX];
	struct window_chunk chunks[];
};

struct pn_window {
	struct window_shared *shared;
	struct window_entry *entries;
	uint8_t *chunks; /* chunk_count * chunk_bytes */
	uint64_t entry_mask;
	int fd, owned;
};

struct window_place {
	unsigned chunk;
	uint64_t offset; /* in the chunk */
	uint64_t segment, file_offset;
	struct pn_record *record;
};

/** window_publish_entry - where record @seq is; not seen before the count goes beyond it. */
void window_publish_entry(struct pn_window *window, uint64_t seq, unsigned chunk, uint64_t offset,
			  uint64_t generation);
/** window_publish - set the count and wake sleepers. */
void window_publish(struct pn_window *window, uint64_t count);
void window_end(struct pn_window *window, int ended);
/** window_find - the record @seq for the writer itself; 0 if it has left the window. */
int window_find(const struct pn_window *window, uint64_t seq, struct window_place *place);
/** window_pin - the same for a reader, whose slot then holds the chunk; 0 if it has left. */
int window_pin(struct pn_window *window, unsigned slot, uint64_t seq, struct window_place *place);
void window_unpin(struct pn_window *window, unsigned slot);
/** window_reclaim - take a chunk whose bytes are on disk; 0 if a reader holds it. */
int window_reclaim(struct pn_window *window, unsigned chunk);
/** window_assign - what a reclaimed chunk holds from now on; returns its generation. */
uint64_t window_assign(struct pn_window *window, unsigned chunk, uint64_t segment,
		       uint64_t file_offset);
/** window_sleep - until count > @seq, the end, or the timeout (< 0: none): PN_OK, PN_ETIMEOUT. */
int window_sleep(struct pn_window *window, unsigned slot, uint64_t seq, int64_t timeout_ns);

/* ---- engines (log_disk.c) ------------------------------------------------------------------ */

struct log_disk;

/** One write under way. */
struct disk_op {
	unsigned chunk;
	uint64_t from, to; /* bytes of the chunk still to be written           */
	int direct;        /* started on the O_DIRECT descriptor               */
	int done;          /* 1: written; -1: failed                           */
};

/**
 * How bytes get to the disk. submit starts one op (the caller has checked for room), sync starts an
 * fdatasync, reap collects (and with `wait` waits for at least one). They return 0 or an errno that
 * ends all writing; completions are told to the log_disk.
 */
struct disk_engine {
	int (*submit)(struct log_disk *disk, unsigned op);
	int (*sync)(struct log_disk *disk);
	int (*reap)(struct log_disk *disk, int wait);
	void (*segment)(struct log_disk *disk); /* fd or fd_direct has changed; may be NULL */
	void (*close)(struct log_disk *disk);
};

#define DISK_OPS_MAX 64

struct log_disk {
	const struct disk_engine *engine;
	const struct pn_window *window;
	int fd, fd_direct, lock_fd;       /* -1: none */
	uint64_t *chunk_file_offset;      /* borrowed: file offset of each chunk's first byte */
	struct disk_op ops[DISK_OPS_MAX]; /* a ring, in submission order */
	unsigned ops_max, op_first, op_count;
	int sync_busy, sync_done;
	void *ring;  /* struct io_uring */
	int buffers; /* chunks are registered */
	int direct;  /* O_DIRECT is wanted */
	char text[160];
};

/** disk_open - choose the engine; what is not possible is in disk->text, not an error. */
void disk_open(struct log_disk *disk, enum pn_log_engine engine, const struct pn_window *window,
	       unsigned in_flight, uint32_t align, int lock_fd, uint64_t *chunk_file_offset);
/** disk_segment - write to another file from now on: @path is open as @fd. */
void disk_segment(struct log_disk *disk, int fd, const char *path);
int disk_submit(struct log_disk *disk, unsigned chunk, uint64_t from, uint64_t to);
int disk_sync(struct log_disk *disk);
int disk_reap(struct log_disk *disk, int wait);
/** disk_drain - wait until nothing is under way. */
int disk_drain(struct log_disk *disk);
void disk_close(struct log_disk *disk);

/* ---- segments being written (log_recover.c) ------------------------------------------------ */

/** What tests put between the log and the disk, see struct pn_log_config. */
struct log_fault {
	uint64_t (*ask)(void *arg, uint64_t bytes, int *errnum);
	void *arg;
};

/** The end of a stream on disk. */
struct stream_end {
	int exists;               /* has a segment                          */
	uint64_t segment, offset; /* next byte to write                     */
	uint64_t segment_first_seq;
	uint64_t next_seq; /* number of the next record              */
	uint32_t align;
	uint64_t bytes_before; /* in earlier segments                    */
	uint64_t segments;
	uint64_t bytes_cut;
	int was_closed;
};

/** fault_allows - ask the hook about a write of @bytes; returns how many, with *errnum if fewer. */
uint64_t fault_allows(const struct log_fault *fault, uint64_t bytes, int *errnum);
/** fault_write - log_write_all behind the hook. */
int fault_write(const struct log_fault *fault, int fd, const void *bytes, uint64_t count,
		uint64_t offset);
/** segment_create - a new segment, its header on stable storage; returns 0 or an errno. */
int segment_create(int *fd, const char *dir, uint64_t number, uint64_t first_seq, uint32_t align,
		   const struct log_fault *fault);
/** recover_disk - find the end of the stream, cut off what is not a whole record, mend the index.
 * What is left is on stable storage. @end->align: [in] of a new stream, [out] of an old one. */
int recover_disk(struct stream_end *end, const char *dir, struct pn_error *err);
/** recover_window - write the published records that only @window has; @end moves on. */
int recover_window(struct stream_end *end, const char *dir, const struct pn_window *window,
		   const struct log_fault *fault, struct pn_error *err);
/** recover_lock - the lock on the folder of one writer. Waits for the kernel to end the writes of a
 * writer that was killed; PN_EEXIST if one is alive. */
int recover_lock(int *lock_fd, const char *dir, struct pn_error *err);

/* ---- the writer (log_writer.c, log_flow.c) -------------------------------------------------- */

/** What the writer knows of a chunk. Bytes from the chunk's first byte. */
struct chunk_state {
	uint64_t generation, segment;
	uint64_t fill;      /* committed records             */
	uint64_t submitted; /* of these given to the engine  */
	uint64_t written;   /* of these on disk, in order    */
	uint64_t walked;    /* end of the last whole record on disk */
	int queued;         /* not wholly on disk            */
};

/** A place at the end of the stream. */
struct log_cursor {
	unsigned chunk;                /* UINT_MAX: none yet                             */
	uint64_t offset;               /* in the chunk                                   */
	uint64_t segment, file_offset; /* of the next byte                      */
	uint64_t queue_end;            /* of the queue, with this chunk                  */
};

struct log_reserved {
	struct pn_record *record;
	unsigned chunk;
	uint64_t offset, bytes;
};

struct pn_log_writer {
	char dir[LOG_PATH_MAX];
	enum pn_durability durability;
	enum pn_log_engine engine;
	int64_t interval_ns;
	uint64_t segment_bytes, gather_bytes;
	uint32_t align;
	struct log_fault fault;
	int lock_fd;

	struct pn_window *window;
	int own_window;
	struct chunk_state *chunks;
	uint64_t *chunk_file_offset;
	unsigned *queue; /* ring: chunks not wholly on disk, oldest first; the tail's chunk last */
	uint64_t queue_first;
	struct log_cursor tail;   /* behind the last committed record */
	struct log_cursor cursor; /* behind the last reserved record  */
	uint64_t queue_kept;      /* queue entries that repacking may take again */
	struct log_reserved *reserved;
	unsigned reserved_count, reserved_room;

	uint64_t next, count; /* next < count after a rewind */
	uint64_t written, durable, sync_target, sync_goal;
	int64_t pushed_ns;
	int push;
	struct pn_log_reader *check; /* reads what is compared after a rewind */

	struct log_disk disk;
	struct log_index index;
	struct stream_end end; /* of what is written */

	int failed;
	char failed_text[PN_ERROR_TEXT_MAX];
};

/** flow_progress - collect what is done, start what can be; @push: also a partly filled chunk. */
int flow_progress(struct pn_log_writer *w, int push, struct pn_error *err);
int flow_flush(struct pn_log_writer *w, struct pn_error *err);
/** flow_wait - wait for one completion, if anything is under way. */
int flow_wait(struct pn_log_writer *w, struct pn_error *err);
/** flow_failed - the sticky error, or PN_OK. */
int flow_failed(const struct pn_log_writer *w, struct pn_error *err);
/** flow_end - write the end record behind everything. */
int flow_end(struct pn_log_writer *w, struct pn_error *err);

#endif
