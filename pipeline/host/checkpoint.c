/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "checkpoint.h"

#include "perrin/stream/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKPOINT_MAGIC   UINT32_C(0x434e5031)
#define CHECKPOINT_VERSION 1

struct file_header {
	uint32_t magic, version;
	struct pn_checkpoint body;
	uint64_t state_bytes;
	uint64_t state_hash;
	uint64_t header_hash; /* of all before */
};

int pn_checkpoint_write(const char *path, const struct pn_checkpoint *checkpoint,
			const struct pn_blob *state, struct pn_error *err)
{
	struct file_header header;
	char fresh[4096];

	memset(&header, 0, sizeof header);
	header.magic = CHECKPOINT_MAGIC;
	header.version = CHECKPOINT_VERSION;
	header.body = *checkpoint;
	header.state_bytes = state->bytes;
	header.state_hash = pn_hash64(state->data, state->bytes, 0);
	header.header_hash = pn_hash64(&header, offsetof(struct file_header, header_hash), 0);
	snprintf(fresh, sizeof fresh, "%.4000s.new", path);
	FILE *file = fopen(fresh, "wb");
	if (!file)
		return pn_error_errno(err, errno, "%s", fresh);
	int bad = fwrite(&header, sizeof header, 1, file) != 1;

	if (!bad && state->bytes)
		bad = fwrite(state->data, state->bytes, 1, file) != 1;
	int errnum = errno;
	if (fclose(file) && !bad) {
		bad = 1;
		errnum = errno;
	}
	if (!bad && rename(fresh, path)) {
		bad = 1;
		errnum = errno;
	}
	if (bad) {
		unlink(fresh);
		return pn_error_errno(err, errnum, "%s: checkpoint of %zu bytes", path, state->bytes);
	}
	return PN_OK;
}

int pn_checkpoint_read(const char *path, struct pn_checkpoint *checkpoint, struct pn_blob *state,
		       struct pn_error *err)
{
	struct file_header header;
	FILE *file = fopen(path, "rb");

	if (!file)
		return pn_error_errno(err, errno, "%s", path);
	struct stat st;
	size_t before = state->bytes;
	int good = fread(&header, sizeof header, 1, file) == 1 && header.magic == CHECKPOINT_MAGIC &&
		   header.version == CHECKPOINT_VERSION &&
		   header.header_hash ==
			   pn_hash64(&header, offsetof(struct file_header, header_hash), 0) &&
		   fstat(fileno(file), &st) == 0 &&
		   (uint64_t)st.st_size - sizeof header == header.state_bytes;

	if (good && header.state_bytes) {
		unsigned char *bytes = malloc(header.state_bytes);

		good = bytes && fread(bytes, header.state_bytes, 1, file) == 1 &&
		       pn_blob_put(state, bytes, header.state_bytes) == PN_OK;
		free(bytes);
	}
	fclose(file);
	const unsigned char *fresh = state->data ? state->data + before : NULL;

	if (!good || header.state_hash != pn_hash64(fresh, state->bytes - before, 0))
		return pn_error_set(err, PN_ECORRUPT, "%s: the checkpoint is torn or of another version",
				    path);
	*checkpoint = header.body;
	return PN_OK;
}
