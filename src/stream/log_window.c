/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The window: shared memory over the newest part of a stream.
 *
 * Who writes what, and in which order (all atomics; a process may die between any two lines):
 *
 *	writer, per record   bytes and hashes -> entry -> count (release). What is not counted does
 *	                     not exist; a successor begins in another chunk.
 *	writer, reclaiming   generation = 0 -> look at every pin -> overwrite.
 *	reader               pin = chunk -> look at the generation -> read.
 *
 * The last two are Dekker's pattern: with sequentially consistent stores and loads either the
 * writer sees the pin or the reader sees that the generation is gone. Fences are not used, since the
 * thread sanitizer does not understand them.
 */
#include "log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE             UINT64_C(4096)
#define HUGE_PAGE        (UINT64_C(2) << 20)
#define CHUNKS_MAX       1024u
#define WINDOW_BYTES_MAX (UINT64_C(1) << 44)
#define ENTRIES_MIN      1024u
#define ENTRIES_MAX      (1u << 20)

static uint64_t round_up(uint64_t n, uint64_t step)
{
	return (n + step - 1) / step * step;
}

/* one entry per KiB of window: smaller records fill the entries before they fill the chunks */
static uint64_t entries_for(uint64_t bytes)
{
	uint64_t n = ENTRIES_MIN;

	while (n < bytes / 1024 && n < ENTRIES_MAX)
		n *= 2;
	return n;
}

static void window_map(struct pn_window *window, void *base)
{
	struct window_shared *shared = base;

	window->shared = shared;
	window->entries = (void *)((uint8_t *)base + shared->entries_at);
	window->chunks = (uint8_t *)base + shared->chunks_at;
	window->entry_mask = shared->entry_count - 1;
}

int pn_window_create(struct pn_window **window, uint64_t chunk_bytes, unsigned chunk_count,
		     struct pn_error *err)
{
	struct window_shared head = { .magic = WINDOW_MAGIC, .version = WINDOW_VERSION };
	struct pn_window *w;

	*window = NULL;
	if (chunk_count < 2 || chunk_count > CHUNKS_MAX || chunk_bytes < PAGE ||
	    chunk_bytes > WINDOW_BYTES_MAX / chunk_count)
		return pn_error_set(err, PN_EARG,
				    "window of %u chunks of %" PRIu64
				    " bytes: must be 2..%u chunks of at least %" PRIu64 " bytes",
				    chunk_count, chunk_bytes, CHUNKS_MAX, PAGE);
	head.chunk_count = chunk_count;
	head.chunk_bytes = round_up(chunk_bytes, PAGE);
	head.entry_count = entries_for(head.chunk_bytes * chunk_count);
	head.entries_at = round_up(sizeof head + chunk_count * sizeof(struct window_chunk), PAGE);
	/* chunks begin on a huge page, for hosts that give huge pages to shared memory */
	head.chunks_at = round_up(head.entries_at + head.entry_count * sizeof(struct window_entry),
				  HUGE_PAGE);
	head.total_bytes = head.chunks_at + head.chunk_bytes * chunk_count;

	w = calloc(1, sizeof *w);
	if (!w)
		return pn_error_set(err, PN_ENOMEM, "window: %zu bytes", sizeof *w);
	w->owned = 1;
	/* no MFD_CLOEXEC: the processes of a graph get their windows by inheritance */
	w->fd = memfd_create("perrin-window", 0);
	void *base = MAP_FAILED;
	if (w->fd >= 0 && !ftruncate(w->fd, (off_t)head.total_bytes))
		base = mmap(NULL, head.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	if (base == MAP_FAILED) {
		int errnum = errno;

		if (w->fd >= 0)
			close(w->fd);
		free(w);
		return pn_error_set(
			err, PN_ENOMEM,
			"window of %u chunks of %" PRIu64 " bytes (%" PRIu64 " in all): %s",
			chunk_count, head.chunk_bytes, head.total_bytes, strerror(errnum));
	}
	madvise((uint8_t *)base + head.chunks_at, head.chunk_bytes * chunk_count, MADV_HUGEPAGE);
	memcpy(base, &head, offsetof(struct window_shared, count));
	window_map(w, base);
	*window = w;
	return PN_OK;
}

static int layout_is_sound(const struct window_shared *head, uint64_t bytes)
{
	if (bytes < sizeof *head || head->chunk_count < 2 || head->chunk_count > CHUNKS_MAX ||
	    head->total_bytes != bytes || head->chunk_bytes < PAGE || head->chunk_bytes % PAGE ||
	    head->chunk_bytes > WINDOW_BYTES_MAX / head->chunk_count)
		return 0;
	return head->entry_count >= ENTRIES_MIN && head->entry_count <= ENTRIES_MAX &&
	       !(head->entry_count & (head->entry_count - 1)) && head->entries_at % PAGE == 0 &&
	       head->chunks_at % PAGE == 0 && head->entries_at < bytes && head->chunks_at < bytes &&
	       head->entries_at >= sizeof *head + head->chunk_count * sizeof(struct window_chunk) &&
	       head->chunks_at >=
		       head->entries_at + head->entry_count * sizeof(struct window_entry) &&
	       head->chunks_at + head->chunk_bytes * head->chunk_count == bytes;
}

int pn_window_attach(struct pn_window **window, int fd, struct pn_error *err)
{
	struct stat st;
	struct pn_window *w;

	*window = NULL;
	if (fstat(fd, &st))
		return pn_error_errno(err, errno, "window on descriptor %d", fd);
	if ((uint64_t)st.st_size < sizeof(struct window_shared))
		return pn_error_set(err, PN_EFORMAT, "descriptor %d: %lld bytes are no window", fd,
				    (long long)st.st_size);
	void *base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return pn_error_errno(err, errno, "window on descriptor %d: %lld bytes", fd,
				      (long long)st.st_size);
	const struct window_shared *head = base;
	int rc = PN_OK;
	if (head->magic != WINDOW_MAGIC)
		rc = pn_error_set(err, PN_EFORMAT, "descriptor %d: not a window", fd);
	else if (head->version != WINDOW_VERSION)
		rc = pn_error_set(err, PN_EVERSION, "window on descriptor %d: version %u, not %u",
				  fd, head->version, WINDOW_VERSION);
	else if (!layout_is_sound(head, (uint64_t)st.st_size))
		rc = pn_error_set(err, PN_EFORMAT, "window on descriptor %d: sizes do not fit", fd);
	w = rc ? NULL : calloc(1, sizeof *w);
	if (!w) {
		munmap(base, (size_t)st.st_size);
		return rc ? rc : pn_error_set(err, PN_ENOMEM, "window: %zu bytes", sizeof *w);
	}
	w->fd = fd;
	window_map(w, base);
	*window = w;
	return PN_OK;
}

int pn_window_fd(const struct pn_window *window)
{
	return window->fd;
}

void pn_window_destroy(struct pn_window *window)
{
	if (!window)
		return;
	munmap(window->shared, window->shared->total_bytes);
	if (window->owned)
		close(window->fd);
	free(window);
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

static void wake(struct window_shared *shared)
{
	if (!atomic_load(&shared->waiting))
		return;
	atomic_fetch_add(&shared->futex, 1);
	futex(&shared->futex, FUTEX_WAKE, INT_MAX, NULL);
}

void window_publish_entry(struct pn_window *window, uint64_t seq, unsigned chunk, uint64_t offset,
			  uint64_t generation)
{
	struct window_entry *entry = &window->entries[seq & window->entry_mask];

	/* seq frames the two others: who reads the same seq before and after has read a pair */
	atomic_store_explicit(&entry->seq, LOG_NONE, memory_order_relaxed);
	atomic_store_explicit(&entry->generation, generation, memory_order_release);
	atomic_store_explicit(&entry->place, chunk * window->shared->chunk_bytes + offset,
			      memory_order_release);
	atomic_store_explicit(&entry->seq, seq, memory_order_release);
}

void window_publish(struct pn_window *window, uint64_t count)
{
	atomic_store(&window->shared->count, count);
	wake(window->shared);
}

void window_end(struct pn_window *window, int ended)
{
	atomic_store(&window->shared->ended, (uint32_t)ended);
	wake(window->shared);
}

/* the entry of @seq, if it is still about @seq; *generation is not 0 then */
static int entry_read(const struct pn_window *window, uint64_t seq, uint64_t *generation,
		      struct window_place *place)
{
	const struct window_shared *shared = window->shared;
	struct window_entry *entry = &window->entries[seq & window->entry_mask];
	uint64_t at;

	if (atomic_load_explicit(&entry->seq, memory_order_acquire) != seq)
		return 0;
	*generation = atomic_load_explicit(&entry->generation, memory_order_acquire);
	at = atomic_load_explicit(&entry->place, memory_order_acquire);
	if (atomic_load_explicit(&entry->seq, memory_order_acquire) != seq || !*generation ||
	    at >= shared->chunk_bytes * shared->chunk_count)
		return 0;
	place->chunk = (unsigned)(at / shared->chunk_bytes);
	place->offset = at % shared->chunk_bytes;
	place->record = (void *)(window->chunks + at);
	return 1;
}

static int place_holds(const struct pn_window *window, uint64_t seq, uint64_t generation,
		       struct window_place *place)
{
	struct window_chunk *chunk = &window->shared->chunks[place->chunk];

	if (atomic_load(&chunk->generation) != generation)
		return 0;
	place->segment = atomic_load_explicit(&chunk->segment, memory_order_relaxed);
	place->file_offset =
		atomic_load_explicit(&chunk->file_offset, memory_order_relaxed) + place->offset;
	return place->record->magic == PN_RECORD_MAGIC && place->record->seq == seq &&
	       record_bytes(64, place->record->head_bytes, place->record->payload_bytes) <=
		       window->shared->chunk_bytes - place->offset;
}

int window_find(const struct pn_window *window, uint64_t seq, struct window_place *place)
{
	uint64_t generation;

	return entry_read(window, seq, &generation, place) &&
	       place_holds(window, seq, generation, place);
}

int window_pin(struct pn_window *window, unsigned slot, uint64_t seq, struct window_place *place)
{
	_Atomic uint64_t *pin = &window->shared->slots[slot].pin;
	uint64_t generation;

	if (!entry_read(window, seq, &generation, place)) {
		window_unpin(window, slot);
		return 0;
	}
	if (atomic_load_explicit(pin, memory_order_relaxed) != place->chunk + UINT64_C(1))
		atomic_store(pin, place->chunk + UINT64_C(1));
	if (place_holds(window, seq, generation, place))
		return 1;
	window_unpin(window, slot);
	return 0;
}

void window_unpin(struct pn_window *window, unsigned slot)
{
	_Atomic uint64_t *pin = &window->shared->slots[slot].pin;

	if (atomic_load_explicit(pin, memory_order_relaxed))
		atomic_store(pin, 0);
}

void pn_window_release(struct pn_window *window, unsigned slot)
{
	window_unpin(window, slot);
}

static int pinned(const struct window_shared *shared, unsigned chunk)
{
	for (unsigned i = 0; i < PN_WINDOW_READERS_MAX; i++)
		if (atomic_load(&shared->slots[i].pin) == chunk + UINT64_C(1))
			return 1;
	return 0;
}

int window_reclaim(struct pn_window *window, unsigned chunk)
{
	struct window_shared *shared = window->shared;
	_Atomic uint64_t *generation = &shared->chunks[chunk].generation;
	uint64_t before = atomic_load(generation);

	if (pinned(shared, chunk))
		return 0;
	atomic_store(generation, 0);
	if (!pinned(shared, chunk))
		return 1;
	/* nothing was overwritten: it can be read as before */
	atomic_store(generation, before);
	return 0;
}

uint64_t window_assign(struct pn_window *window, unsigned chunk, uint64_t segment,
		       uint64_t file_offset)
{
	struct window_chunk *c = &window->shared->chunks[chunk];
	uint64_t generation = atomic_fetch_add(&window->shared->generation, 1) + 1;

	atomic_store_explicit(&c->segment, segment, memory_order_relaxed);
	atomic_store_explicit(&c->file_offset, file_offset, memory_order_relaxed);
	atomic_store(&c->generation, generation);
	return generation;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int window_sleep(struct pn_window *window, unsigned slot, uint64_t seq, int64_t timeout_ns)
{
	struct window_shared *shared = window->shared;
	uint32_t bit = UINT32_C(1) << slot;
	int64_t until = timeout_ns < 0 ? INT64_MAX : now_ns() + timeout_ns;
	int rc = PN_ETIMEOUT;

	for (;;) {
		uint32_t word = atomic_load(&shared->futex);
		struct timespec ts, *limit = NULL;

		/* the bit before the look: the writer publishes before it looks at the bit */
		atomic_fetch_or(&shared->waiting, bit);
		if (atomic_load(&shared->count) > seq || atomic_load(&shared->ended)) {
			rc = PN_OK;
			break;
		}
		if (timeout_ns >= 0) {
			int64_t left = until - now_ns();

			if (left <= 0)
				break;
			ts = (struct timespec){ left / 1000000000, left % 1000000000 };
			limit = &ts;
		}
		futex(&shared->futex, FUTEX_WAIT, word, limit);
	}
	atomic_fetch_and(&shared->waiting, ~bit);
	return rc;
}
