/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ser.c - series of images by FEI's TIA (ES Vision): a header, a table of offsets, and elements of
 * 50 bytes and pixels each. Always little-endian.
 */
#include "stack_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC         "II\x97\x01" /* byte order, series identifier */
#define MAGIC_BYTES   4
#define VERSION_32    0x210 /* offsets of 32 bits */
#define VERSION_64    0x220
#define SPECTRA       0x4120
#define IMAGES        0x4122
#define HEAD_BYTES    34 /* of version 0x220; the older one has 30 */
#define ELEMENT_BYTES 50 /* before the pixels */
#define PM_PER_M      1e12
#define PIXEL_M_MAX   1e-3 /* beyond lie 1/m: nothing else tells a diffraction pattern */

/* byte offsets in the header */
enum {
	AT_VERSION = 4,
	AT_DATA_TYPE = 6,
	AT_TOTAL = 14,
	AT_VALID = 18,
	AT_OFFSET_ARRAY = 22,
};

/* byte offsets in an element */
enum {
	AT_DELTA_X = 8,
	AT_DELTA_Y = 28,
	AT_TYPE = 40,
	AT_NX = 42,
	AT_NY = 46,
};

static const enum pn_dtype dtypes[] = {
	PN_DTYPE_NONE, PN_U8, PN_U16, PN_U32, PN_I8, PN_I16, PN_I32, PN_F32, PN_F64,
};

struct ser_reader {
	uint64_t *offsets; /* [count], of the elements */
	void *row;         /* one, for turning images over */
};

static int32_t get_i32(const uint8_t *bytes, int at)
{
	int32_t value;

	memcpy(&value, bytes + at, sizeof value);
	return value;
}

static uint16_t get_u16(const uint8_t *bytes, int at)
{
	uint16_t value;

	memcpy(&value, bytes + at, sizeof value);
	return value;
}

static double get_f64(const uint8_t *bytes, int at)
{
	double value;

	memcpy(&value, bytes + at, sizeof value);
	return value;
}

static int ser_match(const struct stack_head *head)
{
	return head->count >= MAGIC_BYTES && memcmp(head->bytes, MAGIC, MAGIC_BYTES) == 0;
}

/* What kind of series it is and how many images it has. */
static int check_head(struct pn_stack *stack, const uint8_t *head, struct pn_error *err)
{
	int version = get_u16(head, AT_VERSION), type = get_i32(head, AT_DATA_TYPE);
	int32_t total = get_i32(head, AT_TOTAL), valid = get_i32(head, AT_VALID);

	if (memcmp(head, MAGIC, MAGIC_BYTES) != 0)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: not a SER file (beginning %02x %02x %02x %02x)",
				    stack->path, head[0], head[1], head[2], head[3]);
	if (version != VERSION_32 && version != VERSION_64)
		return pn_error_set(err, PN_EVERSION,
				    "%s: SER version 0x%04x, known are 0x0210 and 0x0220",
				    stack->path, version);
	if (type == SPECTRA)
		return pn_error_set(err, PN_EUNSUPPORTED, "%s: a series of spectra, not of images",
				    stack->path);
	if (type != IMAGES)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: elements of kind 0x%04x, images are 0x%04x", stack->path,
				    (unsigned)type, IMAGES);
	if (valid < 1 || total < valid)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: header says %" PRId32 " images of which %" PRId32
				    " were recorded: at least one has to be",
				    stack->path, total, valid);
	stack->info.count = (uint64_t)valid;
	return PN_OK;
}

/* The table holds one offset for each image that was asked for; those recorded come first. */
static int read_offsets(struct pn_stack *stack, const uint8_t *head, struct pn_error *err)
{
	struct ser_reader *s = stack->state;
	uint64_t count = stack->info.count, at = (uint32_t)get_i32(head, AT_OFFSET_ARRAY);
	uint64_t bytes = get_u16(head, AT_VERSION) == VERSION_64 ? 8 : 4;

	if (bytes == 8)
		memcpy(&at, head + AT_OFFSET_ARRAY, sizeof at);
	if (at > stack->file_bytes || count * bytes > stack->file_bytes - at)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: header says %" PRIu64 " offsets from byte %" PRIu64
				    " on, file has %" PRIu64 " bytes",
				    stack->path, count, at, stack->file_bytes);
	s->offsets = malloc(count * sizeof *s->offsets);
	if (!s->offsets)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", stack->path);
	int status = stack_get(stack, s->offsets, count * bytes, at, err);
	/* widened from the last on: none is overwritten before it is read */
	for (uint64_t i = count; bytes == 4 && status == PN_OK && i--;) {
		uint32_t offset;

		memcpy(&offset, (const char *)s->offsets + 4 * i, sizeof offset);
		s->offsets[i] = offset;
	}
	return status;
}

static int read_element(struct pn_stack *stack, uint64_t index, uint8_t *element,
			struct pn_error *err)
{
	struct ser_reader *s = stack->state;
	uint64_t at = s->offsets[index];

	if (at > stack->file_bytes || stack->file_bytes - at < ELEMENT_BYTES)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: image %" PRIu64 " begins at byte %" PRIu64
				    ", file has %" PRIu64,
				    stack->path, index, at, stack->file_bytes);
	return stack_get(stack, element, ELEMENT_BYTES, at, err);
}

static double pixel_pm(const uint8_t *element)
{
	double x_m = get_f64(element, AT_DELTA_X), y_m = get_f64(element, AT_DELTA_Y);

	return x_m < PIXEL_M_MAX ? stack_square_pm(x_m * PM_PER_M, y_m * PM_PER_M) : 0;
}

static int take_shape(struct pn_stack *stack, const uint8_t *element, struct pn_error *err)
{
	struct pn_stack_info *info = &stack->info;
	struct stack_raw raw = { .offset = 0 }; /* for the check of the sum alone */
	int type = get_u16(element, AT_TYPE);
	int32_t nx = get_i32(element, AT_NX), ny = get_i32(element, AT_NY);

	if (type == 9 || type == 10)
		return pn_error_set(err, PN_EUNSUPPORTED, "%s: complex pixels (type %d)",
				    stack->path, type);
	if (type < 1 || type >= (int)PN_COUNT(dtypes))
		return pn_error_set(err, PN_EFORMAT, "%s: pixels of type %d, known are 1 to 10",
				    stack->path, type);
	if (nx < 1 || ny < 1)
		return pn_error_set(err, PN_EFORMAT, "%s: images of %" PRId32 "x%" PRId32 " pixels",
				    stack->path, ny, nx);
	info->dtype = dtypes[type];
	info->nx = (uint64_t)nx;
	info->ny = (uint64_t)ny;
	info->pixel_pm = pixel_pm(element);
	return stack_raw_check(stack, &raw, err);
}

/* All images have to be like the first, and all of their pixels have to be there. */
static int check_elements(struct pn_stack *stack, struct pn_error *err)
{
	const struct ser_reader *s = stack->state;
	struct pn_stack_info *info = &stack->info;
	uint8_t first[ELEMENT_BYTES], element[ELEMENT_BYTES];
	int status = read_element(stack, 0, first, err);

	if (status == PN_OK)
		status = take_shape(stack, first, err);
	for (uint64_t i = 0; status == PN_OK && i < info->count; i++) {
		uint64_t bytes = info->ny * info->nx * pn_dtype_bytes(info->dtype);

		status = read_element(stack, i, element, err);
		if (status < 0)
			return status;
		if (memcmp(element + AT_TYPE, first + AT_TYPE, ELEMENT_BYTES - AT_TYPE) != 0)
			return pn_error_set(err, PN_EUNSUPPORTED,
					    "%s: image %" PRIu64 " is %" PRId32 "x%" PRId32
					    " of type %d, image 0 is %" PRIu64 "x%" PRIu64
					    " of type %d",
					    stack->path, i, get_i32(element, AT_NY),
					    get_i32(element, AT_NX), get_u16(element, AT_TYPE),
					    info->ny, info->nx, get_u16(first, AT_TYPE));
		if (stack->file_bytes - s->offsets[i] - ELEMENT_BYTES < bytes)
			return pn_error_set(err, PN_EFORMAT,
					    "%s: image %" PRIu64 " has %" PRIu64
					    " bytes from byte %" PRIu64 " on, file has %" PRIu64,
					    stack->path, i, bytes, s->offsets[i] + ELEMENT_BYTES,
					    stack->file_bytes);
	}
	return status;
}

static int ser_open(struct pn_stack *stack, struct pn_error *err)
{
	struct ser_reader *s = stack->state;
	uint8_t head[HEAD_BYTES];
	int status = stack_get(stack, head, sizeof head, 0, err);

	if (status == PN_OK)
		status = check_head(stack, head, err);
	if (status == PN_OK)
		status = read_offsets(stack, head, err);
	if (status == PN_OK)
		status = check_elements(stack, err);
	if (status < 0)
		return status;
	s->row = malloc(stack->info.nx * pn_dtype_bytes(stack->info.dtype));
	if (!s->row)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", stack->path);
	return PN_OK;
}

/* TIA stores the bottom row first. */
static int ser_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err)
{
	struct ser_reader *s = stack->state;
	uint64_t ny = stack->info.ny, row = stack->info.nx * pn_dtype_bytes(stack->info.dtype);
	uint8_t *image = dst;
	int status = stack_get(stack, dst, ny * row, s->offsets[index] + ELEMENT_BYTES, err);

	if (status < 0)
		return pn_error_wrap(err, "image %" PRIu64, index);
	for (uint64_t y = 0; y < ny / 2; y++) {
		uint8_t *low = image + y * row, *high = image + (ny - 1 - y) * row;

		memcpy(s->row, low, row);
		memcpy(low, high, row);
		memcpy(high, s->row, row);
	}
	return PN_OK;
}

static void ser_close(struct pn_stack *stack)
{
	struct ser_reader *s = stack->state;

	free(s->offsets);
	free(s->row);
}

const struct stack_reader stack_ser_reader = {
	.name = "ser",
	.extensions = " .ser ",
	.state_bytes = sizeof(struct ser_reader),
	.match = ser_match,
	.open = ser_open,
	.read = ser_read,
	.close = ser_close,
};
