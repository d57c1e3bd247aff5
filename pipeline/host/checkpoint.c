/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "checkpoint.h"

#include "perrin/stream/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHECKPOINT_MAGIC   UINT32_C(0x434e5031)
#define CHECKPOINT_VERSION 2

struct file_header {
	uint32_t magic, version;
	struct pn_checkpoint body;
	uint64_t state_bytes;
	uint64_t state_hash;
	uint64_t header_hash; /* of all before */
};

static uint64_t hash_of(const struct file_header *header)
{
	return pn_hash64(header, offsetof(struct file_header, header_hash), 0);
}

int pn_checkpoint_open(struct pn_checkpoint_files *files, const char *path, struct pn_error *err)
{
	char name[4096 + 4];

	snprintf(files->path, sizeof files->path, "%s", path);
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "%s.%d", path, i);
		files->fd[i] = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (files->fd[i] < 0) {
			int errnum = errno;

			if (i)
				close(files->fd[0]);
			return pn_error_errno(err, errnum, "%s", name);
		}
	}
	files->open = 1;
	return PN_OK;
}

void pn_checkpoint_close(struct pn_checkpoint_files *files)
{
	if (files->open) {
		close(files->fd[0]);
		close(files->fd[1]);
	}
	files->open = 0;
}

int pn_checkpoint_forget(struct pn_checkpoint_files *files, struct pn_error *err)
{
	for (int i = 0; i < 2; i++)
		if (ftruncate(files->fd[i], 0))
			return pn_error_errno(err, errno, "%s.%d", files->path, i);
	return PN_OK;
}

int pn_checkpoint_write(struct pn_checkpoint_files *files, struct pn_checkpoint *checkpoint,
			const struct pn_blob *state, struct pn_error *err)
{
	struct file_header header;
	size_t bytes = sizeof header + state->bytes;

	checkpoint->generation = files->generation + 1;
	memset(&header, 0, sizeof header);
	header.magic = CHECKPOINT_MAGIC;
	header.version = CHECKPOINT_VERSION;
	header.body = *checkpoint;
	header.state_bytes = state->bytes;
	header.state_hash = pn_hash64(state->data, state->bytes, 0);
	header.header_hash = hash_of(&header);
	struct iovec parts[2] = { { &header, sizeof header }, { state->data, state->bytes } };
	ssize_t written = pwritev(files->fd[checkpoint->generation % 2], parts, 2, 0);
	if (written != (ssize_t)bytes)
		return pn_error_errno(err, written < 0 ? errno : ENOSPC, "%s: checkpoint of %zu bytes",
				      files->path, bytes);
	files->generation = checkpoint->generation;
	return PN_OK;
}

/* One of the two; *state receives malloc'ed bytes. PN_ECORRUPT if it cannot be believed. */
static int read_one(int fd, struct file_header *header, unsigned char **state)
{
	struct stat st;

	*state = NULL;
	if (pread(fd, header, sizeof *header, 0) != sizeof *header ||
	    header->magic != CHECKPOINT_MAGIC || header->version != CHECKPOINT_VERSION ||
	    header->header_hash != hash_of(header) || fstat(fd, &st) ||
	    header->state_bytes > (uint64_t)st.st_size - sizeof *header)
		return PN_ECORRUPT;
	*state = malloc(header->state_bytes + 1);
	if (!*state)
		return PN_ENOMEM;
	if (pread(fd, *state, header->state_bytes, sizeof *header) == (ssize_t)header->state_bytes &&
	    header->state_hash == pn_hash64(*state, header->state_bytes, 0))
		return PN_OK;
	free(*state);
	*state = NULL;
	return PN_ECORRUPT;
}

int pn_checkpoint_read(struct pn_checkpoint_files *files, struct pn_checkpoint *checkpoint,
		       struct pn_blob *state, struct pn_error *err)
{
	struct file_header header[2];
	unsigned char *bytes[2];
	int newest = -1, rc = PN_OK;

	for (int i = 0; i < 2; i++) {
		int bad = read_one(files->fd[i], &header[i], &bytes[i]);

		if (bad == PN_ENOMEM)
			rc = bad;
		if (!bad && (newest < 0 || header[i].body.generation > header[newest].body.generation))
			newest = i;
	}
	if (rc)
		pn_error_set(err, rc, "%s: no memory for the checkpoint", files->path);
	else if (newest < 0)
		rc = pn_error_set(err, PN_ENOENT, "%s: no checkpoint that can be believed", files->path);
	else
		rc = pn_blob_put(state, bytes[newest], header[newest].state_bytes);
	if (!rc) {
		*checkpoint = header[newest].body;
		files->generation = checkpoint->generation;
	}
	free(bytes[0]);
	free(bytes[1]);
	return rc;
}
