/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any text may come as a PDB file: it is read or refused, and what is read can be written as XYZ.
 */
#include "perrin/format/pdb.h"

#include "fuzz.h"
#include "perrin/format/xyz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz_pdb", MFD_CLOEXEC);
	struct pn_error err = { 0 };
	struct pn_model *models;
	size_t frames;
	char path[64];

	pn_assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (pn_pdb_read(&models, &frames, path, &err)) {
		pn_assert(!models && !frames && err.code && err.text[0]);
	} else {
		char *text = NULL;
		size_t bytes;
		FILE *out = open_memstream(&text, &bytes);

		pn_assert(out && frames);
		for (size_t i = 0; i < frames; i++)
			pn_assert(models[i].count && pn_xyz_put(out, &models[i], &err) == PN_OK);
		fclose(out);
		free(text);
		pn_models_free(models, frames);
	}
	close(fd);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const char modern[] =
		"REMARK 1\nMODEL        1\n"
		"ATOM      1  PT   X  A   1      19.259  26.881  27.702  1.00  0.79          PT\n"
		"HETATM    2 OW   WAT X   1     -16.904  22.772-128.640  1.00  1.00           W\r\n"
		"TER\nENDMDL\nMODEL        2\n"
		"ATOM      3 PT   PT  A   1       1.000   2.000   3.000  0.50\nENDMDL\nEND\n";
	static const char old[] =
		"ATOM      1  CA  ALA A   1      11.104   6.134  -6.504  1.00  0.00      1ABC 123\n"
		"ATOM      2 HG11 VAL A   2      11.639   6.071  -5.147  1.00  0.00\n"
		"ATOM      3  AU  X   A   3      11.639   6.071  -5.147";
	static const char *const texts[] = { modern, old };

	if (index >= PN_COUNT(texts))
		return 0;
	size_t size = strlen(texts[index]);

	pn_assert(size <= room);
	memcpy(bytes, texts[index], size);
	return size;
}

const unsigned fuzz_places = 1000;
