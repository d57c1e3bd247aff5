/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/stream/ceiling.h"

#include "perrin/base/clock.h"
#include "perrin/base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct writer {
	struct io_uring ring;
	int fd;
	void *block;
	uint64_t block_bytes;
	int registered;
};

static int submit_block(struct writer *w, uint64_t index)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
	unsigned bytes = (unsigned)w->block_bytes;

	pn_assert(sqe); /* the ring has a place for each write under way */
	if (w->registered)
		io_uring_prep_write_fixed(sqe, w->fd, w->block, bytes, index * w->block_bytes, 0);
	else
		io_uring_prep_write(sqe, w->fd, w->block, bytes, index * w->block_bytes);
	int rc = io_uring_submit(&w->ring);
	return rc < 0 ? -rc : 0;
}

static int reap_block(struct writer *w)
{
	struct io_uring_cqe *cqe;
	int rc;

	do
		rc = io_uring_wait_cqe(&w->ring, &cqe);
	while (rc == -EINTR);
	if (rc < 0)
		return -rc;
	int res = cqe->res;
	io_uring_cqe_seen(&w->ring, cqe);
	if (res < 0)
		return -res;
	return (uint64_t)res == w->block_bytes ? 0 : ENOSPC;
}

/* An errno, once everything submitted has come back. */
static int write_blocks(struct writer *w, uint64_t count, unsigned in_flight)
{
	uint64_t submitted = 0, reaped = 0;
	int first = 0;

	while (reaped < submitted || (!first && submitted < count)) {
		int errnum;

		if (!first && submitted < count && submitted - reaped < in_flight) {
			errnum = submit_block(w, submitted);
			submitted += errnum == 0;
		} else {
			errnum = reap_block(w);
			reaped++;
		}
		first = first ? first : errnum;
	}
	if (!first && fdatasync(w->fd))
		first = errno;
	return first;
}

/* Bytes that no disk could squeeze to nothing. */
static void *random_block(uint64_t bytes)
{
	uint64_t *block = aligned_alloc(4096, bytes);
	struct pn_rng rng;

	pn_rng_init(&rng, 1, 0);
	for (uint64_t i = 0; block && i < bytes / sizeof *block; i++)
		block[i] = pn_rng_u64(&rng);
	return block;
}

static int measure(struct writer *w, const char *path, struct pn_disk_ceiling *c,
		   struct pn_error *err)
{
	int rc = io_uring_queue_init(c->in_flight, &w->ring, 0);

	if (rc < 0)
		return pn_error_set(err, PN_EUNSUPPORTED, "io_uring: %s", strerror(-rc));
	w->registered = io_uring_register_buffers(
				&w->ring, &(struct iovec){ w->block, w->block_bytes }, 1) == 0;
	int64_t start_ns = pn_now_ns();
	int errnum = write_blocks(w, c->total_bytes / c->block_bytes, c->in_flight);

	c->seconds = (double)(pn_now_ns() - start_ns) * 1e-9;
	io_uring_queue_exit(&w->ring);
	return errnum ? pn_error_errno(err, errnum, "%s", path) : PN_OK;
}

int pn_disk_ceiling(const char *path, struct pn_disk_ceiling *c, struct pn_error *err)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
	struct writer w = { .block_bytes = c->block_bytes };

	if (!c->block_bytes || c->block_bytes % 4096 || c->block_bytes > 1u << 30 ||
	    c->total_bytes % c->block_bytes || c->in_flight < 1 || c->in_flight > 64)
		return pn_error_set(err, PN_EARG, "%s: %llu bytes in blocks of %llu, %u at once",
				    path, (unsigned long long)c->total_bytes,
				    (unsigned long long)c->block_bytes, c->in_flight);
	w.fd = open(path, flags | O_DIRECT, 0600);
	c->direct = w.fd >= 0;
	if (w.fd < 0)
		w.fd = open(path, flags, 0600);
	if (w.fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	w.block = random_block(c->block_bytes);
	int rc = w.block ? measure(&w, path, c, err)
			 : pn_error_set(err, PN_ENOMEM, "a block of %llu bytes",
					(unsigned long long)c->block_bytes);
	free(w.block);
	close(w.fd);
	unlink(path);
	return rc;
}
