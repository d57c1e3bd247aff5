/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes at all may come as a file of images: none of them may crash the readers. */
#include "perrin/format/stack.h"

#include "fuzz.h"
#include "testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IMAGE_BYTES_MAX (64u << 20) /* a fuzzer has little memory; larger images are not read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pn_stack *stack = NULL;
	char path[64];
	int fd = memfd_create("fuzz_stack", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (write(fd, data, size) == (ssize_t)size && pn_stack_open(&stack, path, NULL) == PN_OK) {
		const struct pn_stack_info *info = pn_stack_info(stack);
		uint64_t bytes = info->ny * info->nx * pn_dtype_bytes(info->dtype);
		void *image = bytes <= IMAGE_BYTES_MAX ? malloc(bytes) : NULL;

		if (image) {
			pn_stack_read(stack, 0, image, NULL);
			pn_stack_read(stack, info->count - 1, image, NULL);
		}
		free(image);
	}
	pn_stack_close(stack);
	close(fd);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const struct pn_stack_info infos[] = {
		{ .dtype = PN_U16, .count = 3, .ny = 4, .nx = 5, .format = "npy" },
		{ .dtype = PN_F64, .count = 2, .ny = 2, .nx = 3, .format = "npy" },
		{ .dtype = PN_U16,
		  .count = 2,
		  .ny = 4,
		  .nx = 5,
		  .pixel_pm = 35.8,
		  .format = "mrc" },
		{ .dtype = PN_I8, .count = 2, .ny = 4, .nx = 5, .pixel_pm = 35.8, .format = "mrc" },
		{ .dtype = PN_U8,
		  .count = 3,
		  .ny = 4,
		  .nx = 5,
		  .pixel_pm = 35.8,
		  .format = "tiff" },
		{ .dtype = PN_F32,
		  .count = 0,
		  .ny = 4,
		  .nx = 5,
		  .pixel_pm = 35.8,
		  .format = "tiff" },
	};
	static const double zeros[20]; /* an image of any of the types */
	struct pn_stack_writer *writer;
	size_t size;

	if (index >= PN_COUNT(infos))
		return 0;
	const char *path = testkit_path(testkit_tempdir(), infos[index].format);

	pn_assert(pn_stack_create(&writer, path, &infos[index], NULL) == PN_OK);
	for (int i = 0; i < 3; i++)
		pn_assert(pn_stack_write(writer, zeros, NULL) == PN_OK);
	pn_assert(pn_stack_finish(writer, NULL) == PN_OK);
	char *file = testkit_read(path, &size);

	pn_assert(size <= room);
	memcpy(bytes, file, size);
	free(file);
	return size;
}

const unsigned fuzz_places = 1000;
