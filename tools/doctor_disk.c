/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "doctor.h"

#include "common/session.h"
#include "perrin/base/clock.h"
#include "perrin/stream/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BLOCK_BYTES (4 << 20)
#define BLOCKS      64
#define SPARE_BYTES 1e9 /* nothing is tried on a disk that is nearly full */

/* ---- speed --------------------------------------------------------------------------------- */

/* A file without a name; *direct says whether it goes past the page cache. -1 and errno. */
static int open_unnamed(const char *dir, int *direct)
{
	char path[PATH_MAX];

	if (pn_path_join(path, dir, "perrin-doctor-XXXXXX", NULL)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -1;
	int fast = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	unlink(path);
	*direct = fast >= 0;
	if (fast < 0)
		return fd;
	close(fd);
	return fast;
}

static int write_blocks(int fd, const char *block)
{
	for (off_t i = 0; i < BLOCKS; i++) {
		ssize_t n = pwrite(fd, block, BLOCK_BYTES, i * BLOCK_BYTES);

		if (n < 0)
			return errno;
		if (n != BLOCK_BYTES)
			return ENOSPC;
	}
	return fdatasync(fd) ? errno : 0;
}

static void measure_writes(struct pn_doctor *d, const char *dir)
{
	char *block = aligned_alloc(4096, BLOCK_BYTES);
	int fd = block ? open_unnamed(dir, &d->direct) : -1;

	if (fd < 0) {
		snprintf(d->write_error, sizeof d->write_error, "%.300s: %s", dir,
			 strerror(block ? errno : ENOMEM));
		free(block);
		return;
	}
	/* nothing that a disk could squeeze to nothing */
	uint64_t state = 1;
	for (size_t i = 0; i < BLOCK_BYTES / sizeof state; i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		memcpy(block + i * sizeof state, &state, sizeof state);
	}
	int64_t start_ns = pn_now_ns();
	int errnum = write_blocks(fd, block);
	int64_t took_ns = pn_now_ns() - start_ns;

	if (errnum)
		snprintf(d->write_error, sizeof d->write_error, "%.300s: %s", dir,
			 strerror(errnum));
	else
		d->write_bytes_per_s = (double)BLOCKS * BLOCK_BYTES * 1e9 / (double)(took_ns + 1);
	close(fd);
	free(block);
}

/* ---- the recorder -------------------------------------------------------------------------- */

static void remove_stream(const char *dir)
{
	static const char *const names[] = { "000000.seg", "000000.idx", "lock" };
	char path[PATH_MAX];

	for (size_t i = 0; i < PN_COUNT(names); i++)
		if (pn_path_join(path, dir, names[i], NULL) == PN_OK)
			unlink(path);
	rmdir(dir);
}

static void try_recorder(struct pn_doctor *d, const char *dir)
{
	struct pn_log_config config = { .chunk_bytes = BLOCK_BYTES, .chunk_count = 3 };
	struct pn_log_writer *writer = NULL;
	struct pn_error error = { 0 };
	char path[PATH_MAX];

	if (pn_path_join(path, dir, "perrin-doctor-XXXXXX", NULL) || !mkdtemp(path)) {
		snprintf(d->engine, sizeof d->engine, "cannot make a folder: %s", strerror(errno));
		return;
	}
	config.dir = path;
	int rc = pn_log_open(&writer, &config, NULL, &error);
	if (!rc) {
		snprintf(d->engine, sizeof d->engine, "%s", pn_log_engine_text(writer));
		rc = pn_log_finish(writer, 1, &error);
	}
	if (rc)
		snprintf(d->engine, sizeof d->engine, "%s", error.text);
	remove_stream(path);
}

int pn_doctor_disk(struct pn_doctor *d, const char *dir, struct pn_error *err)
{
	struct statvfs fs;
	struct stat st;

	if (stat(dir, &st) || statvfs(dir, &fs))
		return pn_error_errno(err, errno, "%s", dir);
	if (!S_ISDIR(st.st_mode))
		return pn_error_set(err, PN_EARG, "%s: is no folder", dir);
	d->disk_bytes = (double)fs.f_blocks * (double)fs.f_frsize;
	d->free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
	if (d->free_bytes < SPARE_BYTES)
		snprintf(d->write_error, sizeof d->write_error, "%.300s: less than 1 GB is free",
			 dir);
	else
		measure_writes(d, dir);
	try_recorder(d, dir);
	return PN_OK;
}
