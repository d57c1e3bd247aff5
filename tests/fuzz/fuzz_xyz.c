/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any text may come as an XYZ file: it is read or refused, and what is read writes and reads back.
 */
#include "perrin/format/xyz.h"

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int read_bytes(struct pn_model **models, size_t *frames, const void *bytes, size_t size,
		      struct pn_error *err)
{
	int fd = memfd_create("fuzz_xyz", MFD_CLOEXEC);
	char path[64];

	pn_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int status = pn_xyz_read(models, frames, path, err);
	close(fd);
	return status;
}

static char *write_text(const struct pn_model *models, size_t frames, size_t *size)
{
	struct pn_error err = { 0 };
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	pn_assert(out);
	for (size_t i = 0; i < frames; i++)
		if (pn_xyz_put(out, &models[i], &err)) {
			fprintf(stderr, "%s\n", err.text);
			abort();
		}
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pn_model *models, *again;
	size_t frames, frames_again, once_size, twice_size;
	struct pn_error err = { 0 };

	if (read_bytes(&models, &frames, data, size, &err)) {
		pn_assert(!models && !frames && err.code && err.text[0]);
		return 0;
	}
	char *once = write_text(models, frames, &once_size);
	if (read_bytes(&again, &frames_again, once, once_size, &err)) {
		fprintf(stderr, "%s\n%s", err.text, once);
		abort();
	}
	char *twice = write_text(again, frames_again, &twice_size);
	pn_assert(frames == frames_again && once_size == twice_size &&
		  memcmp(once, twice, once_size) == 0);
	pn_models_free(models, frames);
	pn_models_free(again, frames_again);
	free(once);
	free(twice);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const char plain[] =
		"2\r\na plain file = 3\r\nPt 1 2 3 0.25\r\n26 1.0D+01 -2e3 .5 nan\r\n";
	static const char extended[] =
		"2\nLattice=\"4 0 0 0 5 0 .1 0 6\" Properties=id:I:1:species:S:1:pos:R:3:v:R:2:"
		"fixed:L:1:tag:S:1 pbc=\"T F T\" Time=2.5e-3 comment=\"say \\\"it\\\"\" k='a b' w\n"
		"7 Pt 1 2 3 4 5 T a\n-8 Au 1.5 -2.5e-3 1e2 nan -inf False word\n"
		"0\nProperties=pos:R:3:species:S:1 e= j=[[1, 2], {3}]\n\n1\n\nH 0 0 0";
	static const char small[] = "1\n\nU 12345678901234567890 0.1 4.9e-324\n";
	static const char *const texts[] = { plain, extended, small };

	if (index >= PN_COUNT(texts))
		return 0;
	size_t size = strlen(texts[index]);

	pn_assert(size <= room);
	memcpy(bytes, texts[index], size);
	return size;
}

const unsigned fuzz_places = 1000;
