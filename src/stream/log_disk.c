/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the bytes of chunks get to the disk: io_uring, pwrite, or not at all.
 *
 * Operations stand in a ring in the order they were started. The engine marks them done in any
 * order; the writer takes them from the front, so what it sees written is always a prefix.
 */
#include "log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t *op_bytes(const struct log_disk *disk, const struct disk_op *op)
{
	return disk->window->chunks + op->chunk * disk->window->shared->chunk_bytes + op->from;
}

/* ---- pwrite -------------------------------------------------------------------------------- */

static int plain_submit(struct log_disk *disk, unsigned i)
{
	struct disk_op *op = &disk->ops[i];

	while (op->from < op->to) {
		ssize_t n = pwrite(disk->fd, op_bytes(disk, op), op->to - op->from,
				   (off_t)(disk->chunk_file_offset[op->chunk] + op->from));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : ENOSPC;
		op->from += (uint64_t)n;
	}
	op->done = 1;
	return 0;
}

static int plain_sync(struct log_disk *disk)
{
	if (fdatasync(disk->fd))
		return errno;
	disk->sync_busy = 0;
	disk->sync_done = 1;
	return 0;
}

static int nothing_to_reap(struct log_disk *disk, int wait)
{
	(void)disk, (void)wait;
	return 0;
}

static void nothing_to_close(struct log_disk *disk)
{
	(void)disk;
}

static const struct disk_engine plain_engine = {
	.submit = plain_submit,
	.sync = plain_sync,
	.reap = nothing_to_reap,
	.close = nothing_to_close,
};

/* ---- nothing ------------------------------------------------------------------------------- */

static int none_submit(struct log_disk *disk, unsigned i)
{
	disk->ops[i].from = disk->ops[i].to;
	disk->ops[i].done = 1;
	return 0;
}

static int none_sync(struct log_disk *disk)
{
	disk->sync_busy = 0;
	disk->sync_done = 1;
	return 0;
}

static const struct disk_engine none_engine = {
	.submit = none_submit,
	.sync = none_sync,
	.reap = nothing_to_reap,
	.close = nothing_to_close,
};

/* ---- io_uring ------------------------------------------------------------------------------ */

#define TAG_SYNC     UINT64_MAX
#define FILE_SEGMENT 0 /* place in the table of registered files */
#define FILE_LOCK    1

static struct io_uring_sqe *next_sqe(struct log_disk *disk)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(disk->ring);

	pn_assert(sqe); /* the ring has room for all ops and a sync */
	return sqe;
}

static int ring_submit(struct log_disk *disk)
{
	int rc;

	do
		rc = io_uring_submit(disk->ring);
	while (rc == -EINTR || rc == -EAGAIN);
	return rc < 0 ? -rc : 0;
}

static int uring_submit(struct log_disk *disk, unsigned i)
{
	struct disk_op *op = &disk->ops[i];
	struct io_uring_sqe *sqe = next_sqe(disk);
	uint64_t offset = disk->chunk_file_offset[op->chunk] + op->from;
	/* one write moves at most 2 GiB less a page; the rest follows as after a short write */
	unsigned bytes = (unsigned)(op->to - op->from < (1u << 30) ? op->to - op->from : 1u << 30);

	if (disk->buffers)
		io_uring_prep_write_fixed(sqe, FILE_SEGMENT, op_bytes(disk, op), bytes, offset,
					  (int)op->chunk);
	else
		io_uring_prep_write(sqe, FILE_SEGMENT, op_bytes(disk, op), bytes, offset);
	op->direct = disk->fd_direct >= 0;
	io_uring_sqe_set_data64(sqe, i);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	return ring_submit(disk);
}

static int uring_sync(struct log_disk *disk)
{
	struct io_uring_sqe *sqe = next_sqe(disk);

	io_uring_prep_fsync(sqe, FILE_SEGMENT, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data64(sqe, TAG_SYNC);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	return ring_submit(disk);
}

static int set_file(struct log_disk *disk, unsigned place, int fd)
{
	return io_uring_register_files_update(disk->ring, place, &fd, 1) == 1 ? 0 : -1;
}

static void uring_segment(struct log_disk *disk)
{
	/* -1 in the table only makes the next write fail, with EBADF */
	set_file(disk, FILE_SEGMENT, disk->fd_direct >= 0 ? disk->fd_direct : disk->fd);
}

/* a file system may take O_DIRECT at open and refuse it at write: go on without */
static void give_up_direct(struct log_disk *disk)
{
	if (disk->fd_direct < 0)
		return;
	close(disk->fd_direct);
	disk->fd_direct = -1;
	disk->direct = 0;
	uring_segment(disk);
	snprintf(disk->text, sizeof disk->text,
		 "io_uring, no O_DIRECT (the file system refuses such writes)%s",
		 disk->buffers ? ", registered buffers" : "");
}

static int complete(struct log_disk *disk, uint64_t tag, int res)
{
	if (tag == TAG_SYNC) {
		disk->sync_busy = 0;
		disk->sync_done = res >= 0;
		return res < 0 ? -res : 0;
	}
	struct disk_op *op = &disk->ops[tag];
	if (res == -EAGAIN || res == -EINTR)
		return uring_submit(disk, (unsigned)tag);
	if (res == -EINVAL && op->direct) {
		give_up_direct(disk);
		return uring_submit(disk, (unsigned)tag);
	}
	if (res <= 0) {
		op->done = -1;
		return res ? -res : ENOSPC;
	}
	op->from += (uint64_t)res;
	if (op->from < op->to)
		return uring_submit(disk, (unsigned)tag);
	op->done = 1;
	return 0;
}

static int busy(const struct log_disk *disk)
{
	if (disk->sync_busy)
		return 1;
	for (unsigned i = 0; i < disk->op_count; i++)
		if (!disk->ops[(disk->op_first + i) % disk->ops_max].done)
			return 1;
	return 0;
}

static int uring_reap(struct log_disk *disk, int wait)
{
	struct io_uring_cqe *cqe;
	int first = 0;

	while (busy(disk)) {
		int rc = wait ? io_uring_wait_cqe(disk->ring, &cqe)
			      : io_uring_peek_cqe(disk->ring, &cqe);

		if (rc == -EINTR)
			continue;
		if (rc == -EAGAIN)
			break;
		if (rc < 0)
			return first ? first : -rc;
		uint64_t tag = io_uring_cqe_get_data64(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(disk->ring, cqe);
		rc = complete(disk, tag, res);
		if (rc && !first)
			first = rc;
		wait = 0;
	}
	return first;
}

static void uring_close(struct log_disk *disk)
{
	io_uring_queue_exit(disk->ring);
	free(disk->ring);
	disk->ring = NULL;
}

static const struct disk_engine uring_engine = {
	.submit = uring_submit,
	.sync = uring_sync,
	.reap = uring_reap,
	.segment = uring_segment,
	.close = uring_close,
};

/*
 * The lock on the folder is put into the ring's table of files. When a writer is killed the kernel
 * lets the ring's files go only after the writes under way have ended, so a successor that has got
 * the lock need not fear a late write from a chunk that it is about to fill anew.
 */
static int uring_start(struct log_disk *disk)
{
	const struct window_shared *shared = disk->window->shared;
	int files[2] = { -1, disk->lock_fd };
	struct iovec *chunks;
	int rc;

	disk->ring = calloc(1, sizeof(struct io_uring));
	if (!disk->ring)
		return -ENOMEM;
	rc = io_uring_queue_init(disk->ops_max + 2, disk->ring, 0);
	if (rc < 0) {
		free(disk->ring);
		disk->ring = NULL;
		return rc;
	}
	rc = io_uring_register_files(disk->ring, files, 2);
	if (rc < 0) {
		uring_close(disk);
		return rc;
	}
	chunks = calloc(shared->chunk_count, sizeof *chunks);
	if (!chunks)
		return 0;
	for (unsigned i = 0; i < shared->chunk_count; i++)
		chunks[i] = (struct iovec){ disk->window->chunks + i * shared->chunk_bytes,
					    shared->chunk_bytes };
	rc = io_uring_register_buffers(disk->ring, chunks, shared->chunk_count);
	disk->buffers = rc == 0;
	free(chunks);
	return 0;
}

/* ---- all ----------------------------------------------------------------------------------- */

void disk_open(struct log_disk *disk, enum pn_log_engine engine, const struct pn_window *window,
	       unsigned in_flight, uint32_t align, int lock_fd, uint64_t *chunk_file_offset)
{
	*disk = (struct log_disk){ .window = window,
				   .fd = -1,
				   .fd_direct = -1,
				   .lock_fd = lock_fd,
				   .chunk_file_offset = chunk_file_offset,
				   .ops_max = in_flight < DISK_OPS_MAX ? in_flight : DISK_OPS_MAX };
	if (engine == PN_ENGINE_NONE) {
		disk->engine = &none_engine;
		snprintf(disk->text, sizeof disk->text, "none: nothing is written to disk");
		return;
	}
	disk->engine = &plain_engine;
	if (engine == PN_ENGINE_PLAIN) {
		snprintf(disk->text, sizeof disk->text, "pwrite");
		return;
	}
	int rc = uring_start(disk);
	if (rc < 0) {
		snprintf(disk->text, sizeof disk->text, "pwrite (io_uring refused: %s)",
			 strerror(-rc));
		return;
	}
	disk->engine = &uring_engine;
	disk->direct = align % 4096 == 0;
	snprintf(disk->text, sizeof disk->text, "io_uring%s%s",
		 disk->direct ? ", O_DIRECT" : ", no O_DIRECT (records are not aligned to 4096)",
		 disk->buffers ? ", registered buffers" : ", buffers not registered");
}

void disk_segment(struct log_disk *disk, int fd, const char *path)
{
	if (disk->fd >= 0)
		close(disk->fd);
	if (disk->fd_direct >= 0)
		close(disk->fd_direct);
	disk->fd = fd;
	disk->fd_direct = -1;
	if (disk->direct && fd >= 0) {
		disk->fd_direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
		if (disk->fd_direct < 0)
			snprintf(disk->text, sizeof disk->text, "io_uring, no O_DIRECT (%s)%s",
				 strerror(errno), disk->buffers ? ", registered buffers" : "");
	}
	if (disk->engine->segment)
		disk->engine->segment(disk);
}

int disk_submit(struct log_disk *disk, unsigned chunk, uint64_t from, uint64_t to)
{
	unsigned i = (disk->op_first + disk->op_count) % disk->ops_max;

	pn_assert(disk->op_count < disk->ops_max);
	disk->ops[i] = (struct disk_op){ .chunk = chunk, .from = from, .to = to };
	disk->op_count++;
	int errnum = disk->engine->submit(disk, i);
	if (errnum)
		disk->ops[i].done = -1;
	return errnum;
}

int disk_sync(struct log_disk *disk)
{
	disk->sync_busy = 1;
	disk->sync_done = 0;
	int errnum = disk->engine->sync(disk);
	if (errnum)
		disk->sync_busy = 0;
	return errnum;
}

int disk_reap(struct log_disk *disk, int wait)
{
	return disk->engine->reap(disk, wait);
}

int disk_drain(struct log_disk *disk)
{
	int first = 0;

	while (busy(disk)) {
		int errnum = disk->engine->reap(disk, 1);

		if (errnum && !first)
			first = errnum;
	}
	return first;
}

void disk_close(struct log_disk *disk)
{
	disk_drain(disk);
	disk->engine->close(disk);
	if (disk->fd >= 0)
		close(disk->fd);
	if (disk->fd_direct >= 0)
		close(disk->fd_direct);
	disk->fd = disk->fd_direct = -1;
}
