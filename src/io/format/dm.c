/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dm.c - Gatan DigitalMicrograph 3 and 4: a tree of tags, some of whose leaves make up a list of
 * images. Numbers that hold the tree together are big-endian, 32 bits wide in version 3 and 64 in
 * version 4; values have the byte order the header says.
 */
#include "stack_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX    32   /* of groups in groups; good files need below 12 */
#define IMAGES_MAX   4096 /* of the image list                             */
#define AXES_MAX     4
#define INFO_MAX     256 /* words that say how a value lies in the file    */
#define INFO_DEPTH   4   /* of structures in arrays in structures          */
#define PATH_BYTES   160
#define UNIT_BYTES   16
#define WINDOW_BYTES 4096
#define TAG_GROUP    20
#define TAG_VALUE    21
#define KIND_STRUCT  15
#define KIND_STRING  18
#define KIND_ARRAY   20

/** One entry of ImageList, as far as its tags were met. */
struct dm_image {
	uint64_t offset, count, element_bytes; /* of its pixels; count 0: none met */
	uint64_t data_type;
	uint64_t axes[AXES_MAX]; /* fastest first */
	unsigned axis_count; /* highest axis met, plus one; more than AXES_MAX are counted only */
	double scale[2];
	char unit[2][UNIT_BYTES];
	int thumbnail;
};

/** A value's place, and the value itself if it is one number. */
struct dm_value {
	uint64_t offset, count, element_bytes;
	double number; /* of a value that is no array; 0 if it is a structure or a text */
};

/** The groups that are open. */
struct dm_level {
	uint64_t left, next; /* tags to come, number of the next one */
	size_t path_bytes;
};

struct dm_scan {
	struct pn_stack *stack;
	struct pn_error *err;
	int version;
	int swap;    /* values are big-endian */
	uint64_t at; /* next byte of the file */
	uint64_t window_at;
	size_t window_count;
	uint8_t window[WINDOW_BYTES];
	char path[PATH_BYTES]; /* names of groups and tag; those that have none: their number */
	unsigned depth;
	struct dm_level level[DEPTH_MAX];
	uint64_t info[INFO_MAX];
	struct dm_image *images;
	size_t image_count;
	uint64_t thumbnails[8]; /* numbers of images */
	size_t thumbnail_count;
};

/* ---- bytes --------------------------------------------------------------------------------- */

static int scan_failed(struct dm_scan *d, const char *what)
{
	return pn_error_set(d->err, PN_EFORMAT, "%s: byte %" PRIu64 ", tag \"%s\": %s",
			    d->stack->path, d->at, d->path, what);
}

static int take(struct dm_scan *d, void *dst, size_t count)
{
	uint64_t from = d->at - d->window_at;

	if (d->at < d->window_at || from > d->window_count || d->window_count - from < count) {
		uint64_t left = d->stack->file_bytes - d->at;

		if (left < count)
			return scan_failed(d, "the file ends here");
		d->window_at = d->at;
		d->window_count = 0;
		from = 0;
		left = left < WINDOW_BYTES ? left : WINDOW_BYTES;
		int status = stack_get(d->stack, d->window, left, d->at, d->err);
		if (status < 0)
			return status;
		d->window_count = (size_t)left;
	}
	memcpy(dst, d->window + from, count);
	d->at += count;
	return PN_OK;
}

/* Unsigned, big-endian; 0 and the status negative if it is not there. */
static uint64_t take_number(struct dm_scan *d, size_t bytes, int *status)
{
	uint8_t raw[8] = { 0 };
	uint64_t value = 0;

	if (*status == PN_OK)
		*status = take(d, raw, bytes);
	for (size_t i = 0; *status == PN_OK && i < bytes; i++)
		value = value << 8 | raw[i];
	return value;
}

/* Lengths and counts of the tree. */
static uint64_t take_word(struct dm_scan *d, int *status)
{
	return take_number(d, d->version == 4 ? 8 : 4, status);
}

/* ---- values -------------------------------------------------------------------------------- */

/* Bytes of a number of this kind; 0: it is none. */
static uint64_t kind_bytes(uint64_t kind)
{
	static const uint8_t bytes[] = { 0, 0, 2, 4, 2, 4, 4, 8, 1, 1, 1, 8, 8 };

	return kind < sizeof bytes ? bytes[kind] : 0;
}

/* Octets and truth values are unsigned. */
static double decode(uint64_t kind, uint64_t bits)
{
	uint32_t low = (uint32_t)bits;
	double f64;
	float f32;

	switch (kind) {
	case 2:
		return (int16_t)bits;
	case 3:
		return (int32_t)bits;
	case 6:
		memcpy(&f32, &low, sizeof f32);
		return (double)f32;
	case 7:
		memcpy(&f64, &bits, sizeof f64);
		return f64;
	case 9:
		return (int8_t)bits;
	case 11:
		return (double)(int64_t)bits;
	default:
		return (double)bits;
	}
}

/*
 * Bytes of what info[*at] and the following words describe: the kind of a number; or a structure
 * (15, length of its name, fields, then length of name and kind of each), a text (18, length), an
 * array (20, description of an element, count). *at moves behind it; UINT64_MAX: not understood.
 */
static uint64_t described_bytes(const uint64_t *info, uint64_t words, uint64_t *at, int depth)
{
	uint64_t kind, bytes = 0;

	if (*at >= words || depth > INFO_DEPTH)
		return UINT64_MAX;
	kind = info[(*at)++];
	if (kind_bytes(kind))
		return kind_bytes(kind);
	if (kind == KIND_STRING && *at < words)
		return info[(*at)++];
	if (kind == KIND_STRUCT && words - *at >= 2) {
		uint64_t fields = info[*at + 1];

		*at += 2;
		if (fields > words)
			return UINT64_MAX;
		for (uint64_t i = 0; i < fields; i++) {
			++*at; /* names of fields are always empty */
			uint64_t field = described_bytes(info, words, at, depth + 1);

			if (__builtin_add_overflow(bytes, field, &bytes))
				return UINT64_MAX;
		}
		return bytes;
	}
	if (kind != KIND_ARRAY)
		return UINT64_MAX;
	bytes = described_bytes(info, words, at, depth + 1);
	if (bytes == UINT64_MAX || *at >= words ||
	    __builtin_mul_overflow(bytes, info[(*at)++], &bytes))
		return UINT64_MAX;
	return bytes;
}

/* The description of the value that begins here, checked against the file; the value is passed. */
static int take_value(struct dm_scan *d, struct dm_value *value)
{
	char mark[4];
	uint64_t at = 0;
	int status = take(d, mark, sizeof mark);

	if (status < 0)
		return status;
	if (memcmp(mark, "%%%%", sizeof mark) != 0)
		return scan_failed(d, "%%%% missing in front of a value");
	uint64_t words = take_word(d, &status);
	if (status == PN_OK && (words < 1 || words > INFO_MAX))
		return scan_failed(d, "a value described by none or more than 256 words");
	for (uint64_t i = 0; i < words; i++)
		d->info[i] = take_word(d, &status);
	if (status < 0)
		return status;
	uint64_t bytes = described_bytes(d->info, words, &at, 0);
	if (bytes == UINT64_MAX || at != words)
		return scan_failed(d, "a value of an unknown kind");
	if (bytes > d->stack->file_bytes - d->at)
		return pn_error_set(d->err, PN_EFORMAT,
				    "%s: tag \"%s\" has %" PRIu64 " bytes from byte %" PRIu64
				    " on, file has %" PRIu64,
				    d->stack->path, d->path, bytes, d->at, d->stack->file_bytes);
	*value = (struct dm_value){
		.offset = d->at,
		.count = d->info[0] == KIND_ARRAY ? d->info[words - 1] : 1,
	};
	value->element_bytes = value->count ? bytes / value->count : 0;
	if (kind_bytes(d->info[0])) {
		uint64_t bits = take_number(d, bytes, &status);

		if (!d->swap)
			bits = __builtin_bswap64(bits) >> (64 - 8 * bytes);
		value->number = decode(d->info[0], bits);
	}
	d->at = value->offset + bytes;
	return status;
}

/* ---- the tags that matter ------------------------------------------------------------------ */

/* Does the path fit the pattern, in which # stands for a number? Those go to @numbers. */
static int fits(const char *path, const char *pattern, uint64_t numbers[2])
{
	for (; *pattern; pattern++) {
		if (*pattern != '#') {
			if (*path++ != *pattern)
				return 0;
			continue;
		}
		char *end;

		if (*path < '0' || *path > '9')
			return 0;
		*numbers++ = strtoull(path, &end, 10);
		path = end;
	}
	return *path == 0;
}

static int find_image(struct dm_scan *d, uint64_t index, struct dm_image **image)
{
	if (index >= IMAGES_MAX)
		return scan_failed(d, "more than 4096 images");
	if (index >= d->image_count) {
		struct dm_image *more = realloc(d->images, (index + 1) * sizeof *more);

		if (!more)
			return pn_error_set(d->err, PN_ENOMEM, "%s: no memory", d->stack->path);
		memset(more + d->image_count, 0, (index + 1 - d->image_count) * sizeof *more);
		d->images = more;
		d->image_count = index + 1;
	}
	*image = &d->images[index];
	return PN_OK;
}

/* A unit in UTF-16, as far as it can be one of length. */
static int read_unit(struct dm_scan *d, const struct dm_value *value, char *unit)
{
	uint16_t text[UNIT_BYTES] = { 0 };
	int status;

	unit[0] = 0;
	if (value->element_bytes != 2 || value->count >= UNIT_BYTES)
		return PN_OK;
	status = stack_get(d->stack, text, 2 * value->count, value->offset, d->err);
	for (uint64_t i = 0; status == PN_OK && i <= value->count; i++) {
		uint16_t c = d->swap ? __builtin_bswap16(text[i]) : text[i];

		if (c == 0xb5 || c == 0x3bc) /* micro, mu */
			c = 'u';
		else if (c == 0xc5 || c == 0x212b) /* A with ring, Angstrom */
			c = 'A';
		unit[i] = c < 0x80 ? (char)c : '?';
	}
	return status;
}

/* A length or a number as the tags give it; 0: it is none. */
static uint64_t whole(double number)
{
	return number >= 1 && number < 0x1p53 ? (uint64_t)number : 0;
}

static void take_axis(struct dm_image *image, uint64_t axis, uint64_t length)
{
	if (axis < AXES_MAX)
		image->axes[axis] = length;
	if (axis >= image->axis_count)
		image->axis_count = axis < AXES_MAX ? (unsigned)axis + 1 : AXES_MAX + 1;
}

enum { LEAF_THUMBNAIL, LEAF_DATA, LEAF_TYPE, LEAF_AXIS, LEAF_SCALE, LEAF_UNIT, LEAF_COUNT };

static const char *const leaves[] = {
	[LEAF_THUMBNAIL] = "Thumbnails/#/ImageIndex",
	[LEAF_DATA] = "ImageList/#/ImageData/Data",
	[LEAF_TYPE] = "ImageList/#/ImageData/DataType",
	[LEAF_AXIS] = "ImageList/#/ImageData/Dimensions/#",
	[LEAF_SCALE] = "ImageList/#/ImageData/Calibrations/Dimension/#/Scale",
	[LEAF_UNIT] = "ImageList/#/ImageData/Calibrations/Dimension/#/Units",
};

/* Keep the value if its tag is one of those. */
static int meet(struct dm_scan *d, const struct dm_value *value)
{
	struct dm_image *image = NULL;
	uint64_t n[2] = { 0, 0 };
	int leaf = 0, status = PN_OK;

	while (leaf < LEAF_COUNT && !fits(d->path, leaves[leaf], n))
		leaf++;
	if (leaf != LEAF_THUMBNAIL && leaf != LEAF_COUNT)
		status = find_image(d, n[0], &image);
	if (status < 0)
		return status;
	switch (leaf) {
	case LEAF_THUMBNAIL:
		if (d->thumbnail_count < PN_COUNT(d->thumbnails))
			d->thumbnails[d->thumbnail_count++] = whole(value->number);
		break;
	case LEAF_DATA:
		image->offset = value->offset;
		image->count = value->count;
		image->element_bytes = value->element_bytes;
		break;
	case LEAF_TYPE:
		image->data_type = whole(value->number);
		break;
	case LEAF_AXIS:
		take_axis(image, n[1], whole(value->number));
		break;
	case LEAF_SCALE:
		if (n[1] < 2)
			image->scale[n[1]] = value->number;
		break;
	case LEAF_UNIT:
		if (n[1] < 2)
			status = read_unit(d, value, image->unit[n[1]]);
		break;
	default:
		break;
	}
	return status;
}

/* ---- the tree ------------------------------------------------------------------------------ */

static int open_group(struct dm_scan *d)
{
	int status = PN_OK;

	if (d->depth == DEPTH_MAX)
		return scan_failed(d, "groups nested deeper than 32");
	take_number(d, 2, &status); /* sorted, open */
	d->level[d->depth].left = take_word(d, &status);
	d->level[d->depth].next = 0;
	d->level[d->depth].path_bytes = strlen(d->path);
	d->depth++;
	return status;
}

/* Put the tag's name, or its number in the group, behind the group's path. */
static int enter_tag(struct dm_scan *d, uint64_t name_bytes)
{
	struct dm_level *level = &d->level[d->depth - 1];
	char *end = d->path + level->path_bytes, name[64];
	size_t room = sizeof d->path - level->path_bytes;
	uint64_t number = level->next++;
	int status = PN_OK;

	*end = 0;
	if (name_bytes && name_bytes < sizeof name) {
		status = take(d, name, name_bytes);
		name[name_bytes] = 0;
	} else if (name_bytes) {
		if (name_bytes > d->stack->file_bytes - d->at)
			return scan_failed(d, "the file ends in a name");
		d->at += name_bytes; /* none of those that matter is so long */
		snprintf(name, sizeof name, "?");
	} else {
		snprintf(name, sizeof name, "%" PRIu64, number);
	}
	if (status < 0)
		return status;
	/* a path that is too long is cut: one of those that matter always fits */
	snprintf(end, room, "%s%s", level->path_bytes ? "/" : "", name);
	return PN_OK;
}

static int take_tag(struct dm_scan *d)
{
	struct dm_value value = { .count = 0 };
	int status = PN_OK;
	uint64_t kind = take_number(d, 1, &status);
	uint64_t name_bytes = take_number(d, 2, &status);

	if (status == PN_OK)
		status = enter_tag(d, name_bytes);
	if (status == PN_OK && d->version == 4)
		take_word(d, &status); /* length of what follows, which says the same */
	if (status < 0)
		return status;
	if (kind == TAG_GROUP)
		return open_group(d);
	if (kind != TAG_VALUE)
		return scan_failed(d, "neither a group nor a value");
	status = take_value(d, &value);
	return status == PN_OK ? meet(d, &value) : status;
}

static int scan(struct dm_scan *d)
{
	int status = open_group(d);

	while (status == PN_OK && d->depth) {
		struct dm_level *level = &d->level[d->depth - 1];

		if (!level->left) {
			d->depth--;
			continue;
		}
		level->left--;
		status = take_tag(d);
	}
	return status;
}

/* ---- the image ----------------------------------------------------------------------------- */

static int is_color(const struct dm_image *image)
{
	return image->data_type == 8 || (image->data_type >= 15 && image->data_type <= 23);
}

/* Which of two is rather what was recorded: no thumbnail, no colors, the larger, the later. */
static int is_better(const struct dm_image *b, const struct dm_image *a)
{
	if (a->thumbnail != b->thumbnail)
		return a->thumbnail;
	if (is_color(a) != is_color(b))
		return is_color(a);
	/* both arrays are in the file: no overflow */
	return b->count * b->element_bytes >= a->count * a->element_bytes;
}

static const struct dm_image *choose(struct dm_scan *d)
{
	const struct dm_image *best = NULL;

	for (size_t i = 0; i < d->thumbnail_count; i++)
		if (d->thumbnails[i] < d->image_count)
			d->images[d->thumbnails[i]].thumbnail = 1;
	for (size_t i = 0; i < d->image_count; i++)
		if (d->images[i].count && (!best || is_better(&d->images[i], best)))
			best = &d->images[i];
	return best;
}

static int take_type(struct pn_stack *stack, const struct dm_image *image, struct pn_error *err)
{
	static const struct {
		uint64_t data_type;
		enum pn_dtype dtype;
	} types[] = {
		{ 1, PN_I16 },  { 2, PN_F32 },  { 6, PN_U8 },   { 7, PN_I32 }, { 9, PN_I8 },
		{ 10, PN_U16 }, { 11, PN_U32 }, { 12, PN_F64 }, { 14, PN_U8 }, /* truth values */
		{ 39, PN_I64 }, { 40, PN_U64 },
	};

	for (size_t i = 0; i < PN_COUNT(types); i++)
		if (types[i].data_type == image->data_type)
			stack->info.dtype = types[i].dtype;
	if (stack->info.dtype == PN_DTYPE_NONE)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: pixels of DigitalMicrograph's type %" PRIu64 "%s",
				    stack->path, image->data_type,
				    is_color(image) ? ", colors: save the image in gray instead"
				    : image->data_type == 3 || image->data_type == 5 ||
						    image->data_type == 13 ||
						    image->data_type == 27 || image->data_type == 28
					    ? ", complex: save its modulus instead"
					    : "");
	if (image->element_bytes != pn_dtype_bytes(stack->info.dtype))
		return pn_error_set(err, PN_EFORMAT,
				    "%s: pixels of type %" PRIu64 " (%s), but %" PRIu64
				    " bytes each",
				    stack->path, image->data_type, pn_dtype_name(stack->info.dtype),
				    image->element_bytes);
	return PN_OK;
}

static int take_shape(struct pn_stack *stack, const struct dm_image *image, struct pn_error *err)
{
	struct pn_stack_info *info = &stack->info;
	uint64_t pixels;

	if (image->axis_count < 2 || image->axis_count > 3)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: %u axes%s: a stack of images has 2 ([y][x]) or 3",
				    stack->path, image->axis_count,
				    image->axis_count > AXES_MAX ? " or more" : "");
	info->nx = image->axes[0];
	info->ny = image->axes[1];
	info->count = image->axis_count == 3 ? image->axes[2] : 1;
	if (__builtin_mul_overflow(info->nx, info->ny, &pixels) ||
	    __builtin_mul_overflow(pixels, info->count, &pixels) || pixels != image->count)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: header says %" PRIu64 "x%" PRIu64 "x%" PRIu64
				    " pixels, but their array has %" PRIu64,
				    stack->path, info->count, info->ny, info->nx, image->count);
	info->pixel_pm = stack_square_pm(image->scale[0] * stack_unit_pm(image->unit[0]),
					 image->scale[1] * stack_unit_pm(image->unit[1]));
	return PN_OK;
}

static int take_image(struct dm_scan *d)
{
	struct stack_raw *raw = d->stack->state;
	const struct dm_image *image = choose(d);
	int status;

	if (!image)
		return pn_error_set(d->err, PN_EFORMAT, "%s: no tag holds an image",
				    d->stack->path);
	status = take_type(d->stack, image, d->err);
	if (status == PN_OK)
		status = take_shape(d->stack, image, d->err);
	if (status < 0)
		return status;
	raw->swap = d->swap;
	raw->offset = image->offset;
	return stack_raw_check(d->stack, raw, d->err);
}

/* ---- files --------------------------------------------------------------------------------- */

static uint32_t big_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

/*
 * Version, length of the tree, byte order (0 big, 1 little), the root group's two flags, its
 * length, its first tag: weak as a magic, but an MRC file without its own does not look so.
 */
static int looks_like(const struct stack_head *head, unsigned version)
{
	size_t word = version == 4 ? 8 : 4, group = 8 + word;
	const uint8_t *b = head->bytes;

	return head->count > group + 2 + word && big_u32(b) == version &&
	       big_u32(b + group - 4) <= 1 && b[group] <= 1 && b[group + 1] <= 1 &&
	       (b[group + 2 + word] == TAG_GROUP || b[group + 2 + word] == TAG_VALUE);
}

static int dm3_match(const struct stack_head *head)
{
	return looks_like(head, 3);
}

static int dm4_match(const struct stack_head *head)
{
	return looks_like(head, 4);
}

static int take_head(struct dm_scan *d)
{
	int status = PN_OK;
	uint64_t version = take_number(d, 4, &status);

	d->version = version == 4 ? 4 : 3;
	take_word(d, &status); /* length of the tree: wrong where it exceeds 32 bits */
	uint64_t little = take_number(d, 4, &status);
	if (status == PN_OK && ((version != 3 && version != 4) || little > 1))
		return pn_error_set(d->err, PN_EFORMAT,
				    "%s: not a DigitalMicrograph file of version 3 or 4 (version "
				    "%" PRIu64 ", byte order %" PRIu64 ")",
				    d->stack->path, version, little);
	d->swap = !little;
	return status;
}

static int dm_open(struct pn_stack *stack, struct pn_error *err)
{
	struct dm_scan *d = calloc(1, sizeof *d);
	int status;

	if (!d)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", stack->path);
	d->stack = stack;
	d->err = err;
	status = take_head(d);
	if (status == PN_OK)
		status = scan(d);
	if (status == PN_OK)
		status = take_image(d);
	free(d->images);
	free(d);
	return status;
}

static int dm_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err)
{
	return stack_raw_read(stack, stack->state, index, dst, err);
}

const struct stack_reader stack_dm3_reader = {
	.name = "dm3",
	.extensions = " .dm3 ",
	.state_bytes = sizeof(struct stack_raw),
	.match = dm3_match,
	.open = dm_open,
	.read = dm_read,
};

const struct stack_reader stack_dm4_reader = {
	.name = "dm4",
	.extensions = " .dm4 ",
	.state_bytes = sizeof(struct stack_raw),
	.match = dm4_match,
	.open = dm_open,
	.read = dm_read,
};
