/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening a stream that exists. Two rules make this short:
 *
 * A segment is made only after everything in the one before is on stable storage. So only the last
 * segment can have a torn end, and a bad record in an earlier one is damage, which is not touched.
 *
 * An index says how many of its entries were synced when that was written. So a scan can begin at
 * the last of these, and begins at the start of the segment if there is any doubt about the index.
 */
#include "log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 30000

uint64_t fault_allows(const struct log_fault *fault, uint64_t bytes, int *errnum)
{
	uint64_t allowed;

	*errnum = ENOSPC;
	if (!fault->ask)
		return bytes;
	allowed = fault->ask(fault->arg, bytes, errnum);
	return allowed < bytes ? allowed : bytes;
}

int fault_write(const struct log_fault *fault, int fd, const void *bytes, uint64_t count,
		uint64_t offset)
{
	int refusal;
	uint64_t allowed = fault_allows(fault, count, &refusal);
	int errnum = log_write_all(fd, bytes, allowed, offset);

	return errnum ? errnum : allowed < count ? refusal : 0;
}

int segment_create(int *fd, const char *dir, uint64_t number, uint64_t first_seq, uint32_t align,
		   const struct log_fault *fault)
{
	char path[LOG_PATH_MAX];
	uint8_t *block;
	int errnum;

	if (segment_path(path, dir, number, "seg", NULL))
		return ENAMETOOLONG;
	block = calloc(1, align);
	if (!block)
		return ENOMEM;
	segment_header_make((struct segment_header *)block, align, number, first_seq);
	*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (*fd < 0) {
		errnum = errno;
		free(block);
		return errnum;
	}
	errnum = fault_write(fault, *fd, block, align, 0);
	free(block);
	if (!errnum && fsync(*fd))
		errnum = errno;
	if (!errnum)
		errnum = log_sync_dir(dir);
	if (errnum) {
		close(*fd);
		*fd = -1;
		unlink(path);
	}
	return errnum;
}

/* ---- the lock ------------------------------------------------------------------------------ */

/* alive means: may still hold the lock for good reason. A zombie does not. */
static int process_is_alive(long pid)
{
	char path[64], line[256] = "";
	FILE *f;

	if (pid <= 0 || (kill((pid_t)pid, 0) && errno == ESRCH))
		return 0;
	snprintf(path, sizeof path, "/proc/%ld/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return 1;
	if (!fgets(line, sizeof line, f))
		line[0] = 0;
	fclose(f);
	const char *state = strrchr(line, ')');
	return !(state && (state[2] == 'Z' || state[2] == 'X'));
}

static long pid_in(int fd)
{
	char text[32] = "";

	return pread(fd, text, sizeof text - 1, 0) > 0 ? atol(text) : 0;
}

int recover_lock(int *lock_fd, const char *dir, struct pn_error *err)
{
	const struct timespec ms = { 0, 1000000 };
	char path[LOG_PATH_MAX + 8], text[32];
	int fd;

	snprintf(path, sizeof path, "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited++) {
		int errnum = errno;
		long pid = pid_in(fd);

		if (errnum == EINTR)
			continue;
		if (errnum == EWOULDBLOCK && !process_is_alive(pid) && waited < LOCK_WAIT_MS) {
			nanosleep(&ms, NULL);
			continue;
		}
		close(fd);
		if (errnum != EWOULDBLOCK)
			return pn_error_errno(err, errnum, "%s", path);
		return pn_error_set(err, PN_EEXIST, "%s: process %ld is writing this stream", dir,
				    pid);
	}
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	int errnum = ftruncate(fd, 0) ? errno : log_write_all(fd, text, (uint64_t)n, 0);
	if (errnum == EIO || errnum == EBADF) {
		close(fd);
		return pn_error_errno(err, errnum, "%s", path);
	}
	/* a full disk may leave the file empty: the lock itself holds all the same */
	*lock_fd = fd;
	return PN_OK;
}

/* ---- the disk ------------------------------------------------------------------------------ */

/* a segment whose making was cut short has nothing behind its header */
static int is_stillborn(const char *path)
{
	uint8_t block[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	uint64_t at = 0;

	if (fd < 0)
		return 0;
	while ((n = pread(fd, block, sizeof block, (off_t)at)) > 0) {
		for (ssize_t i = at ? 0 : 64; i < n; i++)
			if (block[i] || at >= LOG_ALIGN_MAX) {
				close(fd);
				return 0;
			}
		at += (uint64_t)n;
	}
	close(fd);
	return n == 0;
}

static uint64_t file_bytes(const char *dir, uint64_t number)
{
	char path[LOG_PATH_MAX];
	struct stat st;

	if (segment_path(path, dir, number, "seg", NULL) || stat(path, &st))
		return 0;
	return (uint64_t)st.st_size;
}

/* open the last segment that has a header; what is stillborn behind it goes */
static int open_last(struct segment_view *view, struct segment_list *list, const char *dir,
		     struct stream_end *end, struct pn_error *err)
{
	while (list->count) {
		uint64_t number = list->numbers[list->count - 1];
		char path[LOG_PATH_MAX];
		int rc = segment_view_open(view, dir, number, err);

		if (rc != PN_EFORMAT)
			return rc;
		rc = segment_path(path, dir, number, "seg", err);
		if (rc)
			return rc;
		if (!is_stillborn(path))
			return pn_error_set(
				err, PN_EFORMAT,
				"%s: the header is damaged and data follow; not touched", path);
		end->bytes_cut += file_bytes(dir, number);
		if (unlink(path))
			return pn_error_errno(err, errno, "%s", path);
		list->count--;
	}
	return PN_OK;
}

/* walk to the first thing that is not a whole record; the index learns what it did not know */
static void scan_tail(struct stream_end *end, const struct segment_view *view, const char *dir)
{
	struct log_index index;
	uint64_t offset = view->align, seq = view->first_seq, known, bytes;

	known = index_synced(view, dir, &offset);
	if (known)
		seq += known - 1;
	index_open(&index, dir, view->number, view->first_seq, known);
	while (offset < view->bytes) {
		const struct pn_record *record = (const void *)(view->base + offset);

		if (record_check(record, view->bytes - offset, view->align, seq, RECORD_CONTENT,
				 &bytes) != RECORD_OK)
			break;
		if (record->kind == PN_RECORD_END) {
			end->was_closed = 1;
			end->bytes_cut -= bytes; /* the end record is not a loss */
			break;
		}
		if (seq - view->first_seq >= known)
			index_add(&index, offset, record->header_hash);
		offset += bytes;
		seq++;
	}
	index_close(&index);
	end->offset = offset;
	end->next_seq = seq;
}

static int cut(struct stream_end *end, const char *dir, uint64_t bytes, struct pn_error *err)
{
	char path[LOG_PATH_MAX];
	int rc = segment_path(path, dir, end->segment, "seg", err);
	int fd, errnum = 0;

	if (rc)
		return rc;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	if ((bytes != end->offset && ftruncate(fd, (off_t)end->offset)) || fdatasync(fd))
		errnum = errno;
	close(fd);
	return errnum ? pn_error_errno(err, errnum, "%s: cut to %" PRIu64 " bytes", path,
				       end->offset)
		      : PN_OK;
}

int recover_disk(struct stream_end *end, const char *dir, struct pn_error *err)
{
	struct segment_list list;
	struct segment_view view;
	uint32_t align = end->align;
	int rc = segment_list_read(&list, dir, err);

	*end = (struct stream_end){ .align = align, .offset = align };
	if (rc)
		return rc;
	segment_view_init(&view);
	rc = open_last(&view, &list, dir, end, err);
	end->segments = list.count;
	for (size_t i = 0; i + 1 < list.count; i++)
		end->bytes_before += file_bytes(dir, list.numbers[i]);
	segment_list_free(&list);
	if (rc || !end->segments)
		return rc;
	end->exists = 1;
	end->align = view.align;
	end->segment = view.number;
	end->segment_first_seq = view.first_seq;
	scan_tail(end, &view, dir);
	uint64_t bytes = view.bytes; /* less than the offset if the header block itself is short */
	if (bytes > end->offset)
		end->bytes_cut += bytes - end->offset;
	segment_view_close(&view);
	return cut(end, dir, bytes, err);
}

/* ---- the window ---------------------------------------------------------------------------- */

static int no_room(const struct stream_end *end, const char *dir, int errnum, uint64_t seq,
		   struct pn_error *err)
{
	return pn_error_errno(err, errnum == EFBIG ? ENOSPC : errnum,
			      "%s: record %" PRIu64 " from the window to segment %" PRIu64,
			      log_name(dir), seq, end->segment);
}

static int next_segment(struct stream_end *end, int *fd, const char *dir, uint64_t number,
			uint64_t seq, const struct log_fault *fault)
{
	int errnum;

	if (*fd >= 0) {
		errnum = fdatasync(*fd) ? errno : 0;
		close(*fd);
		*fd = -1;
		if (errnum)
			return errnum;
	}
	errnum = segment_create(fd, dir, number, seq, end->align, fault);
	if (errnum)
		return errnum;
	if (end->exists)
		end->bytes_before += end->offset;
	end->exists = 1;
	end->segments++;
	end->segment = number;
	end->segment_first_seq = seq;
	end->offset = end->align;
	return 0;
}

int recover_window(struct stream_end *end, const char *dir, const struct pn_window *window,
		   const struct log_fault *fault, struct pn_error *err)
{
	uint64_t count = atomic_load(&window->shared->count);
	struct window_place place;
	char path[LOG_PATH_MAX];
	uint64_t bytes;
	int fd = -1, rc = segment_path(path, dir, end->segment, "seg", err), errnum = 0;

	if (rc || end->next_seq >= count)
		return rc;
	if (end->exists) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return pn_error_errno(err, errno, "%s", path);
	}
	for (uint64_t seq = end->next_seq; seq < count && !rc; seq++) {
		if (!window_find(window, seq, &place) ||
		    record_check(place.record, window->shared->chunk_bytes - place.offset,
				 end->align, seq, RECORD_CONTENT, &bytes) != RECORD_OK) {
			rc = pn_error_set(err, PN_ECORRUPT,
					  "%s: record %" PRIu64 " was published but is neither on "
					  "disk nor whole in the window (%" PRIu64 " are on disk)",
					  log_name(dir), seq, end->next_seq);
			break;
		}
		if (!end->exists || place.segment > end->segment)
			errnum = next_segment(end, &fd, dir, place.segment, seq, fault);
		if (!errnum)
			errnum = fault_write(fault, fd, place.record, bytes, end->offset);
		if (errnum) {
			rc = no_room(end, dir, errnum, seq, err);
			break;
		}
		end->offset += bytes;
		end->next_seq = seq + 1;
	}
	if (fd >= 0) {
		/* a part of a record that did not fit */
		if (rc && ftruncate(fd, (off_t)end->offset))
			errnum = errno;
		if (fdatasync(fd) && !rc)
			rc = no_room(end, dir, errno, end->next_seq, err);
		close(fd);
	}
	return rc;
}
