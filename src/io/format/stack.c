/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/format/stack.h"

#include "stack_priv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* MRC last: without its magic it is told by plausibility alone. */
static const struct stack_reader *const readers[] = {
	&stack_npy_reader,
	&stack_tiff_reader,
	&stack_dm3_reader,
	&stack_dm4_reader,
	&stack_ser_reader,
	&stack_emd_reader,
	&stack_mrc_reader,
};

static const struct stack_writer *const writers[] = {
	&stack_npy_writer,
	&stack_tiff_writer,
	&stack_mrc_writer,
};

/* Bytes of [offset, offset + count) that are there; -1 with errno on failure. */
static int64_t read_at(int fd, void *dst, uint64_t count, uint64_t offset)
{
	uint64_t done = 0;

	while (done < count) {
		ssize_t n = pread(fd, (char *)dst + done, count - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

int stack_get(struct pn_stack *stack, void *dst, uint64_t count, uint64_t offset,
	      struct pn_error *err)
{
	int64_t got = read_at(stack->fd, dst, count, offset);

	if (got < 0)
		return pn_error_errno(err, errno, "%s: byte %" PRIu64, stack->path, offset);
	if ((uint64_t)got < count)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: ends after %" PRId64 " of %" PRIu64
				    " bytes at byte %" PRIu64,
				    stack->path, got, count, offset);
	return PN_OK;
}

static const char *stored_name(const struct pn_stack *stack, const struct stack_raw *raw)
{
	static const char *const names[] = {
		[STACK_F16] = "f16",
		[STACK_CI16] = "complex i16",
		[STACK_NIBBLE] = "4-bit",
	};

	return raw->stored == STACK_PLAIN ? pn_dtype_name(stack->info.dtype) : names[raw->stored];
}

int stack_raw_check(struct pn_stack *stack, struct stack_raw *raw, struct pn_error *err)
{
	const struct pn_stack_info *info = &stack->info;
	const uint64_t shape[2] = { info->ny, info->nx };
	char what[96];
	uint64_t image = 0, total = 0;

	snprintf(what, sizeof what, "%" PRIu64 "x%" PRIu64 "x%" PRIu64 " %s", info->count, info->ny,
		 info->nx, stored_name(stack, raw));
	if (!info->count || !info->ny || !info->nx)
		return pn_error_set(
			err, PN_EFORMAT,
			"%s: header says %s: a stack needs at least one image of one pixel",
			stack->path, what);
	/* checked as handed out, which is never less than as stored */
	if (pn_array_bytes(info->dtype, 2, shape, &image) < 0 ||
	    __builtin_mul_overflow(image, info->count, &total) || total > UINT64_C(1) << 62)
		return pn_error_set(err, PN_EFORMAT, "%s: header says %s: more than 2^62 bytes",
				    stack->path, what);
	if (raw->stored == STACK_F16 || raw->stored == STACK_CI16)
		image /= 2;
	else if (raw->stored == STACK_NIBBLE)
		image = info->ny * (info->nx / 2 + info->nx % 2);
	total = image * info->count;
	uint64_t held = stack->file_bytes > raw->offset ? stack->file_bytes - raw->offset : 0;
	if (total > held)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: header says %s (%" PRIu64 " bytes), file has %" PRIu64
				    " from byte %" PRIu64 " on",
				    stack->path, what, total, held, raw->offset);
	raw->image_bytes = image;
	return PN_OK;
}

static void swap_elements(void *data, size_t element_bytes, size_t count)
{
	if (element_bytes == 2) {
		uint16_t *p = data;

		for (size_t i = 0; i < count; i++)
			p[i] = __builtin_bswap16(p[i]);
	} else if (element_bytes == 4) {
		uint32_t *p = data;

		for (size_t i = 0; i < count; i++)
			p[i] = __builtin_bswap32(p[i]);
	} else if (element_bytes == 8) {
		uint64_t *p = data;

		for (size_t i = 0; i < count; i++)
			p[i] = __builtin_bswap64(p[i]);
	}
}

static float f32_of_f16(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t exponent = half >> 10 & 31, mantissa = half & 0x3ff;
	uint32_t bits;
	float value;

	if (!exponent) {
		value = (float)mantissa * 0x1p-24f;
		return sign ? -value : value;
	}
	bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | mantissa << 13;
	memcpy(&value, &bits, sizeof value);
	return value;
}

/*
 * The stored bytes lie at the end of dst and are widened from its beginning: no byte that is still
 * to be read is overwritten, since each makes at least as many as it takes.
 */
static void widen(const struct stack_raw *raw, const struct pn_stack_info *info, uint8_t *dst,
		  const uint8_t *src)
{
	if (raw->stored == STACK_NIBBLE) {
		for (uint64_t y = 0; y < info->ny; y++)
			for (uint64_t x = 0; x < info->nx; x += 2) {
				uint8_t pair = *src++;

				*dst++ = pair & 15;
				if (x + 1 < info->nx)
					*dst++ = pair >> 4;
			}
		return;
	}
	for (uint64_t i = 0; i < raw->image_bytes / 2; i++) {
		uint16_t bits;
		float value;

		memcpy(&bits, src + 2 * i, sizeof bits);
		if (raw->swap)
			bits = __builtin_bswap16(bits);
		value = raw->stored == STACK_F16 ? f32_of_f16(bits) : (float)(int16_t)bits;
		memcpy(dst + 4 * i, &value, sizeof value);
	}
}

int stack_raw_read(struct pn_stack *stack, const struct stack_raw *raw, uint64_t index, void *dst,
		   struct pn_error *err)
{
	const struct pn_stack_info *info = &stack->info;
	uint64_t count = info->ny * info->nx;
	uint64_t bytes = count * pn_dtype_bytes(info->dtype);
	uint8_t *tail = (uint8_t *)dst + (bytes - raw->image_bytes);
	int status = stack_get(stack, tail, raw->image_bytes,
			       raw->offset + index * raw->image_bytes, err);

	if (status < 0)
		return pn_error_wrap(err, "image %" PRIu64, index);
	if (raw->stored != STACK_PLAIN)
		widen(raw, info, dst, tail);
	else if (raw->swap && info->dtype == PN_C64)
		swap_elements(dst, 4, 2 * count);
	else if (raw->swap)
		swap_elements(dst, pn_dtype_bytes(info->dtype), count);
	return PN_OK;
}

/* Is the path's extension in the list " .a .b "? */
static int extension_in(const char *path, const char *list)
{
	const char *dot = strrchr(path, '.');
	char word[16] = " ";
	size_t n = 1;

	if (!dot || strchr(dot, '/') || strlen(dot) > sizeof word - 3)
		return 0;
	for (const char *p = dot; *p; p++)
		word[n++] = (char)tolower((unsigned char)*p);
	word[n] = ' ';
	return strstr(list, word) != NULL;
}

static const struct stack_reader *find_reader(const char *path, struct stack_head *head)
{
	const struct stack_reader *hint = NULL;

	for (size_t i = 0; i < PN_COUNT(readers); i++) {
		head->hinted = extension_in(path, readers[i]->extensions);
		if (head->hinted)
			hint = readers[i];
		if (readers[i]->match(head))
			return readers[i];
	}
	return hint; /* says best what is amiss */
}

static int open_file(struct pn_stack *stack, struct pn_error *err)
{
	struct stack_head head = { .count = 0 };
	struct stat st;

	/* without O_NONBLOCK a pipe would wait for its writer before it could be refused */
	stack->fd = open(stack->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (stack->fd < 0 || fstat(stack->fd, &st) < 0)
		return pn_error_errno(err, errno, "%s", stack->path);
	if (!S_ISREG(st.st_mode))
		return pn_error_set(err, PN_EUNSUPPORTED, "%s: not a regular file", stack->path);
	head.file_bytes = stack->file_bytes = (uint64_t)st.st_size;
	int64_t got = read_at(stack->fd, head.bytes, sizeof head.bytes, 0);
	if (got < 0)
		return pn_error_errno(err, errno, "%s", stack->path);
	head.count = (size_t)got;
	stack->ops = find_reader(stack->path, &head);
	if (!stack->ops)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: neither npy, tiff, mrc, dm3, dm4, ser nor emd (%" PRIu64
				    " bytes, beginning %02x %02x %02x %02x)",
				    stack->path, stack->file_bytes, head.bytes[0], head.bytes[1],
				    head.bytes[2], head.bytes[3]);
	stack->state = calloc(1, stack->ops->state_bytes);
	if (!stack->state)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", stack->path);
	snprintf(stack->info.format, sizeof stack->info.format, "%s", stack->ops->name);
	return stack->ops->open(stack, err);
}

int pn_stack_open(struct pn_stack **out, const char *path, struct pn_error *err)
{
	struct pn_stack *stack = calloc(1, sizeof *stack);
	int status;

	*out = NULL;
	if (!stack)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	stack->fd = -1;
	stack->path = strdup(path);
	if (!stack->path)
		status = pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	else
		status = open_file(stack, err);
	if (status < 0) {
		pn_stack_close(stack);
		return status;
	}
	*out = stack;
	return PN_OK;
}

const struct pn_stack_info *pn_stack_info(const struct pn_stack *stack)
{
	return &stack->info;
}

int pn_stack_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err)
{
	if (index >= stack->info.count)
		return pn_error_set(err, PN_EARG, "%s: image %" PRIu64 " of %" PRIu64, stack->path,
				    index, stack->info.count);
	return stack->ops->read(stack, index, dst, err);
}

void pn_stack_close(struct pn_stack *stack)
{
	if (!stack)
		return;
	if (stack->state && stack->ops->close)
		stack->ops->close(stack);
	if (stack->fd >= 0)
		close(stack->fd);
	free(stack->state);
	free(stack->path);
	free(stack);
}

int stack_put_failed(struct pn_stack_writer *writer, int errnum, struct pn_error *err)
{
	writer->failed = 1;
	return pn_error_errno(err, errnum, "%s: %" PRIu64 " bytes written, then", writer->path,
			      writer->bytes);
}

int stack_put(struct pn_stack_writer *writer, const void *src, uint64_t count, uint64_t offset,
	      struct pn_error *err)
{
	uint64_t done = 0;

	while (done < count) {
		ssize_t n = pwrite(writer->fd, (const char *)src + done, count - done,
				   (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return stack_put_failed(writer, n < 0 ? errno : ENOSPC, err);
		done += (uint64_t)n;
		if (offset + done > writer->bytes)
			writer->bytes = offset + done;
	}
	return PN_OK;
}

static int check_info(const char *path, const struct pn_stack_info *info, uint64_t *image_bytes,
		      struct pn_error *err)
{
	const uint64_t shape[2] = { info->ny, info->nx };

	if (!pn_dtype_bytes(info->dtype))
		return pn_error_set(err, PN_EARG, "%s: unknown dtype %d", path, (int)info->dtype);
	if (pn_array_bytes(info->dtype, 2, shape, image_bytes) < 0 || !*image_bytes)
		return pn_error_set(err, PN_EARG, "%s: images of %" PRIu64 "x%" PRIu64 " pixels",
				    path, info->ny, info->nx);
	if (!isfinite(info->pixel_pm) || info->pixel_pm < 0)
		return pn_error_set(err, PN_EARG, "%s: pixels of %g pm", path, info->pixel_pm);
	return PN_OK;
}

static int create_file(struct pn_stack_writer *writer, struct pn_error *err)
{
	struct stat st;
	int in_place = stat(writer->path, &st) == 0 && !S_ISREG(st.st_mode);

	if (!in_place && asprintf(&writer->part, "%s.part", writer->path) < 0) {
		writer->part = NULL;
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", writer->path);
	}
	/* TIFF's directories are linked by reading back what was written */
	writer->fd = open(in_place ? writer->path : writer->part,
			  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (writer->fd < 0) {
		int errnum = errno;

		free(writer->part); /* not ours to remove */
		writer->part = NULL;
		return pn_error_errno(err, errnum, "%s", writer->path);
	}
	return writer->ops->begin(writer, err);
}

int pn_stack_create(struct pn_stack_writer **out, const char *path,
		    const struct pn_stack_info *info, struct pn_error *err)
{
	const struct stack_writer *ops = NULL;
	uint64_t image_bytes;
	int status = check_info(path, info, &image_bytes, err);

	*out = NULL;
	if (status < 0)
		return status;
	for (size_t i = 0; i < PN_COUNT(writers); i++)
		if (strncmp(info->format, writers[i]->name, sizeof info->format) == 0)
			ops = writers[i];
	if (!ops)
		return pn_error_set(err, PN_EARG, "%s: format \"%.16s\" is not npy, tiff or mrc",
				    path, info->format);
	struct pn_stack_writer *writer = calloc(1, sizeof *writer);
	if (!writer)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	writer->fd = -1;
	writer->ops = ops;
	writer->info = *info;
	writer->image_bytes = image_bytes;
	writer->path = strdup(path);
	writer->state = calloc(1, ops->state_bytes);
	if (!writer->path || !writer->state)
		status = pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	else
		status = create_file(writer, err);
	if (status < 0) {
		pn_stack_abandon(writer);
		return status;
	}
	*out = writer;
	return PN_OK;
}

int pn_stack_write(struct pn_stack_writer *writer, const void *image, struct pn_error *err)
{
	int status;

	if (writer->failed)
		return pn_error_set(err, PN_EIO,
				    "%s: an earlier write failed after %" PRIu64 " bytes",
				    writer->path, writer->bytes);
	status = writer->ops->write(writer, image, err);
	if (status == PN_OK)
		writer->count++;
	return status;
}

/* The name is on the disk only when its folder is. */
static int sync_folder(const char *path)
{
	char *copy = strdup(path);
	int fd, status;

	if (!copy) {
		errno = ENOMEM;
		return -1;
	}
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd < 0)
		return -1;
	status = fsync(fd);
	if (status < 0 && errno == EINVAL)
		status = 0; /* a file system that has nothing to sync */
	close(fd);
	return status;
}

static int settle(struct pn_stack_writer *writer, struct pn_error *err)
{
	int status = writer->ops->finish(writer, err);

	if (status < 0)
		return status;
	/* a device has nothing to sync and says so by EINVAL */
	if (fsync(writer->fd) < 0 && (writer->part || errno != EINVAL))
		return stack_put_failed(writer, errno, err);
	int fd = writer->fd;
	writer->fd = -1;
	if (close(fd) < 0)
		return stack_put_failed(writer, errno, err);
	if (!writer->part)
		return PN_OK;
	if (rename(writer->part, writer->path) < 0)
		return pn_error_errno(err, errno, "%s: cannot take its name", writer->path);
	free(writer->part);
	writer->part = NULL;
	if (sync_folder(writer->path) < 0)
		return pn_error_errno(err, errno, "%s: complete, but its folder", writer->path);
	return PN_OK;
}

int pn_stack_finish(struct pn_stack_writer *writer, struct pn_error *err)
{
	int status;

	if (writer->failed)
		status = pn_error_set(err, PN_EIO,
				      "%s: a write failed after %" PRIu64 " bytes, removed",
				      writer->path, writer->bytes);
	else if (!writer->count)
		status = pn_error_set(err, PN_EARG, "%s: no image was written", writer->path);
	else
		status = settle(writer, err);
	pn_stack_abandon(writer); /* after success only memory is left to go */
	return status;
}

void pn_stack_abandon(struct pn_stack_writer *writer)
{
	if (!writer)
		return;
	if (writer->state && writer->ops->close)
		writer->ops->close(writer);
	if (writer->fd >= 0)
		close(writer->fd);
	if (writer->part)
		unlink(writer->part);
	free(writer->part);
	free(writer->state);
	free(writer->path);
	free(writer);
}
