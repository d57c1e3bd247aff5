/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A checkpoint may be torn by a power cut: any file is believed as a whole or not at all. */
#include "../../pipeline/host/checkpoint.h"

#include "fuzz.h"
#include "testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz_checkpoint", MFD_CLOEXEC);
	struct pn_checkpoint checkpoint;
	struct pn_blob state = { 0 };
	struct pn_error err = { 0 };
	char path[64];

	if (fd < 0)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (write(fd, data, size) == (ssize_t)size) {
		int rc = pn_checkpoint_read(path, &checkpoint, &state, &err);

		pn_assert(!rc || (rc == PN_ECORRUPT && err.text[0]));
	}
	pn_blob_finish(&state);
	close(fd);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static unsigned char state[300] = { 1, 2, 3 };
	const struct pn_blob blobs[] = { { .data = state, .bytes = sizeof state }, { 0 } };
	const struct pn_checkpoint checkpoint = { .next_in = { 5 }, .next_out = { 4, 3 } };
	size_t size;

	if (index >= PN_COUNT(blobs))
		return 0;
	const char *path = testkit_path(testkit_tempdir(), "checkpoint");

	pn_assert(pn_checkpoint_write(path, &checkpoint, &blobs[index], NULL) == PN_OK);
	char *file = testkit_read(path, &size);

	pn_assert(size <= room);
	memcpy(bytes, file, size);
	free(file);
	return size;
}

const unsigned fuzz_places = 1000;
