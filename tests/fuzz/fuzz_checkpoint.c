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
	struct pn_checkpoint_files files = { .fd = { memfd_create("fuzz_checkpoint", MFD_CLOEXEC),
						     memfd_create("empty", MFD_CLOEXEC) } };
	struct pn_checkpoint checkpoint;
	struct pn_blob state = { 0 };
	struct pn_error err = { 0 };

	if (write(files.fd[0], data, size) == (ssize_t)size) {
		int rc = pn_checkpoint_read(&files, &checkpoint, &state, &err);

		pn_assert(!rc || (rc == PN_ENOENT && err.text[0]));
	}
	pn_blob_finish(&state);
	close(files.fd[0]);
	close(files.fd[1]);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static unsigned char state[300] = { 1, 2, 3 };
	const struct pn_blob blobs[] = { { .data = state, .bytes = sizeof state }, { 0 } };
	struct pn_checkpoint checkpoint = { .next_in = { 5 }, .next_out = { 4, 3 } };
	size_t size;

	if (index >= PN_COUNT(blobs))
		return 0;
	const char *dir = testkit_tempdir();
	struct pn_checkpoint_files files = { 0 };

	pn_assert(pn_checkpoint_open(&files, testkit_path(dir, "stage"), NULL) == PN_OK);
	pn_assert(pn_checkpoint_write(&files, &checkpoint, &blobs[index], NULL) == PN_OK);
	pn_checkpoint_close(&files);
	char *file = testkit_read(testkit_path(dir, "stage.1"), &size);

	pn_assert(size <= room);
	memcpy(bytes, file, size);
	free(file);
	return size;
}

const unsigned fuzz_places = 1000;
