/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes at all may come as a file of images: none of them may crash the readers. But HDF5: what
 * is wrong in such files is for libhdf5 to find, and it is not made for files that mean harm.
 */
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
	int fd = size >= 4 && memcmp(data, "\x89HDF", 4) == 0
			 ? -1
			 : memfd_create("fuzz_stack", MFD_CLOEXEC);

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

/* Formats that are only read: small files, byte by byte. */
struct maker {
	uint8_t *bytes;
	size_t size;
	int word; /* bytes of a word of DigitalMicrograph's tree */
};

static void put(struct maker *m, uint64_t value, int count, int big)
{
	for (int i = 0; i < count; i++)
		m->bytes[m->size++] = (uint8_t)(value >> 8 * (big ? count - 1 - i : i));
}

/* A tag of DigitalMicrograph: a group (20) of @tags, or the beginning of a value (21). */
static void put_tag(struct maker *m, int kind, const char *name, uint64_t tags)
{
	put(m, (uint64_t)kind, 1, 1);
	put(m, strlen(name), 2, 1);
	for (; *name; name++)
		put(m, (uint64_t)*name, 1, 1);
	if (m->word == 8)
		put(m, 0, 8, 1);
	put(m, kind == 20 ? 0x0100 : 0x2525, 2, 1);
	if (kind == 21)
		put(m, 0x2525, 2, 1);
	else
		put(m, tags, m->word, 1);
}

static void put_number(struct maker *m, const char *name, uint32_t value)
{
	put_tag(m, 21, name, 0);
	put(m, 1, m->word, 1);
	put(m, 5, m->word, 1);
	put(m, value, 4, 0);
}

static void put_array(struct maker *m, const char *name, unsigned count)
{
	put_tag(m, 21, name, 0);
	put(m, 3, m->word, 1);
	put(m, 20, m->word, 1);
	put(m, 4, m->word, 1);
	put(m, count, m->word, 1);
	for (unsigned i = 0; i < count; i++)
		put(m, 'm', 2, 0);
}

static size_t make_dm(uint8_t *bytes, unsigned version)
{
	struct maker m = { .bytes = bytes, .word = version == 4 ? 8 : 4 };

	put(&m, version, 4, 1);
	put(&m, 0, m.word, 1);
	put(&m, 1, 4, 1);
	put(&m, 0x0100, 2, 1);
	put(&m, 2, m.word, 1);
	put_tag(&m, 20, "ImageList", 1);
	put_tag(&m, 20, "", 1);
	put_tag(&m, 20, "ImageData", 4);
	put_tag(&m, 20, "Calibrations", 1);
	put_tag(&m, 20, "Dimension", 2);
	for (int i = 0; i < 2; i++) {
		put_tag(&m, 20, "", 2);
		put_number(&m, "Scale", 2);
		put_array(&m, "Units", 1);
	}
	put_array(&m, "Data", 24);
	put_number(&m, "DataType", 10);
	put_tag(&m, 20, "Dimensions", 3);
	for (unsigned i = 4; i >= 2; i--)
		put_number(&m, "", i);
	put_tag(&m, 20, "Thumbnails", 1);
	put_tag(&m, 20, "", 1);
	put_number(&m, "ImageIndex", 1);
	return m.size;
}

static size_t make_ser(uint8_t *bytes, unsigned version)
{
	const int word = version == 0x220 ? 8 : 4;
	const unsigned element = 50 + 24, first = 26 + (unsigned)word * 5;
	struct maker m = { .bytes = bytes };

	put(&m, 0x01974949, 4, 0);
	put(&m, version, 2, 0);
	put(&m, 0x4122, 4, 0);
	put(&m, 0x4152, 4, 0);
	put(&m, 2, 4, 0);
	put(&m, 2, 4, 0);
	put(&m, 26 + (unsigned)word, word, 0);
	put(&m, 0, 4, 0);
	for (unsigned i = 0; i < 4; i++)
		put(&m, i < 2 ? first + i * element : 0, word, 0);
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 2; k++) {
			put(&m, 0, 8, 0);
			put(&m, 0x3dd5fd7fe1796495, 8, 0); /* 8e-11 */
			put(&m, 0, 4, 0);
		}
		put(&m, 2, 2, 0);
		put(&m, 4, 4, 0);
		put(&m, 3, 4, 0);
		for (unsigned k = 0; k < 12; k++)
			put(&m, k, 2, 0);
	}
	return m.size;
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

	if (index >= PN_COUNT(infos)) {
		index -= PN_COUNT(infos);
		return index < 2   ? make_dm(bytes, 3 + index)
		       : index < 4 ? make_ser(bytes, index == 2 ? 0x210 : 0x220)
				   : 0;
	}
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
