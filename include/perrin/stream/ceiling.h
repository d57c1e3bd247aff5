/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/stream/ceiling.h - the fastest that this disk takes bytes: what the log is measured by. */
#ifndef PERRIN_STREAM_CEILING_H
#define PERRIN_STREAM_CEILING_H

#include "perrin/base/status.h"

#include <stdint.h>

/** What to write: total_bytes in blocks of block_bytes, in_flight of them under way at once. */
struct pn_disk_ceiling {
	uint64_t total_bytes; /* a multiple of block_bytes                           */
	uint64_t block_bytes; /* a multiple of 4096, at most 1 GiB                   */
	unsigned in_flight;   /* 1..64                                               */
	/* [out] */
	double seconds; /* from the first write to the end of the last sync    */
	int direct;     /* 1: past the page cache                              */
};

/**
 * pn_disk_ceiling - write a new file of random bytes in order with io_uring and sync it.
 *
 * Every block comes from the same registered buffer, past the page cache (O_DIRECT), into a file
 * that grows, as a segment of the log does; nothing is hashed, copied or read. The file is removed.
 *
 * Errors: PN_EARG (the numbers), PN_ENOMEM, PN_EUNSUPPORTED (no io_uring here), PN_EIO, PN_ENOSPC.
 * Thread: reentrant.
 */
int pn_disk_ceiling(const char *path, struct pn_disk_ceiling *ceiling, struct pn_error *err);

#endif
