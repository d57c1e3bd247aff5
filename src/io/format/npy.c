/* SPDX-License-Identifier: GPL-3.0-or-later */
/* npy.c - NumPy's array files. The header is a Python dict literal of three keys, in any order. */
#include "stack_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC            "\x93NUMPY"
#define MAGIC_BYTES      6
#define HEADER_BYTES_MAX 65536 /* of the dict; ours are below 200, structured types are refused */
#define WRITE_HEADER     192   /* multiple of 64, holds three numbers of 20 digits            */

static const struct {
	char kind;
	char bytes;
	enum pn_dtype dtype;
	enum stack_stored stored;
} types[] = {
	{ 'b', '1', PN_U8, STACK_PLAIN },  { 'u', '1', PN_U8, STACK_PLAIN },
	{ 'i', '1', PN_I8, STACK_PLAIN },  { 'u', '2', PN_U16, STACK_PLAIN },
	{ 'i', '2', PN_I16, STACK_PLAIN }, { 'u', '4', PN_U32, STACK_PLAIN },
	{ 'i', '4', PN_I32, STACK_PLAIN }, { 'u', '8', PN_U64, STACK_PLAIN },
	{ 'i', '8', PN_I64, STACK_PLAIN }, { 'f', '2', PN_F32, STACK_F16 },
	{ 'f', '4', PN_F32, STACK_PLAIN }, { 'f', '8', PN_F64, STACK_PLAIN },
	{ 'c', '8', PN_C64, STACK_PLAIN },
};

/* A dict literal being read; the first thing that is wrong stops it. */
struct dict {
	const char *path;
	const char *text, *p, *end;
	struct pn_error *err;
	int status;
	char descr[32];
	int fortran;
	unsigned ndim;
	uint64_t shape[PN_DIM_MAX];
};

static int expected(struct dict *d, const char *what)
{
	char found[24] = "its end";

	if (d->status < 0)
		return d->status;
	if (d->p < d->end)
		snprintf(found, sizeof found, "byte 0x%02x", (unsigned char)*d->p);
	d->status = pn_error_set(d->err, PN_EFORMAT,
				 "%s: header dict, character %td: expected %s, found %s", d->path,
				 d->p - d->text, what, found);
	return d->status;
}

static int peek(struct dict *d)
{
	while (d->p < d->end && (*d->p == ' ' || *d->p == '\n' || *d->p == '\t'))
		d->p++;
	return d->p < d->end ? (unsigned char)*d->p : -1;
}

static int accept(struct dict *d, char c)
{
	if (d->status < 0 || peek(d) != c)
		return 0;
	d->p++;
	return 1;
}

static void parse_string(struct dict *d, char *dst, size_t size)
{
	int quote = peek(d);
	const char *end;

	if (d->status < 0)
		return;
	if (quote != '\'' && quote != '"') {
		expected(d, "a string");
		return;
	}
	end = memchr(d->p + 1, quote, (size_t)(d->end - d->p) - 1);
	if (!end || (size_t)(end - d->p) > size || memchr(d->p, '\\', (size_t)(end - d->p))) {
		expected(d, "a short plain string");
		return;
	}
	memcpy(dst, d->p + 1, (size_t)(end - d->p) - 1);
	dst[end - d->p - 1] = 0;
	d->p = end + 1;
}

static void parse_bool(struct dict *d)
{
	static const char *const words[] = { "False", "True" };

	peek(d);
	for (int i = 0; i < 2; i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(d->end - d->p) >= n && memcmp(d->p, words[i], n) == 0) {
			d->p += n;
			d->fortran = i;
			return;
		}
	}
	expected(d, "True or False");
}

static uint64_t parse_number(struct dict *d)
{
	const char *begin;
	uint64_t value = 0;

	peek(d);
	for (begin = d->p; d->p < d->end && *d->p >= '0' && *d->p <= '9'; d->p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*d->p - '0'), &value)) {
			expected(d, "a number below 2^64");
			return 0;
		}
	if (d->p == begin)
		expected(d, "a number");
	accept(d, 'L'); /* Python 2 */
	return value;
}

static void parse_shape(struct dict *d)
{
	int comma = 1;

	if (!accept(d, '('))
		expected(d, "(");
	while (d->status == PN_OK && !accept(d, ')')) {
		if (!comma) {
			expected(d, ", or )");
			return;
		}
		uint64_t n = parse_number(d);

		if (d->ndim < PN_DIM_MAX)
			d->shape[d->ndim] = n;
		d->ndim++;
		comma = accept(d, ',');
		if (d->ndim == 1 && !comma)
			expected(d, ", (a tuple)");
	}
}

static int parse_dict(struct dict *d)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	unsigned seen = 0;
	int comma = 1;

	if (!accept(d, '{'))
		expected(d, "{");
	while (d->status == PN_OK && !accept(d, '}')) {
		char key[16] = "";
		unsigned which;

		if (!comma)
			return expected(d, ", or }");
		parse_string(d, key, sizeof key);
		for (which = 0; which < 3 && strcmp(key, keys[which]) != 0; which++)
			;
		if (which == 3 || seen & 1u << which)
			return expected(d,
					"descr, fortran_order and shape, once each, before this");
		seen |= 1u << which;
		if (!accept(d, ':'))
			return expected(d, ":");
		if (which == 0 && peek(d) == '[' && d->status == PN_OK)
			return pn_error_set(d->err, PN_EUNSUPPORTED, "%s: a structured type",
					    d->path);
		if (which == 0)
			parse_string(d, d->descr, sizeof d->descr);
		else if (which == 1)
			parse_bool(d);
		else
			parse_shape(d);
		comma = accept(d, ',');
	}
	if (d->status == PN_OK && seen != 7)
		return expected(d, "descr, fortran_order and shape before this");
	if (d->status == PN_OK && peek(d) != -1)
		return expected(d, "nothing but spaces");
	return d->status;
}

static int take_type(struct pn_stack *stack, struct stack_raw *raw, const struct dict *d,
		     struct pn_error *err)
{
	char order = d->descr[0];

	if (strlen(d->descr) == 3 && strchr("<>|=", order))
		for (size_t i = 0; i < PN_COUNT(types); i++)
			if (d->descr[1] == types[i].kind && d->descr[2] == types[i].bytes) {
				stack->info.dtype = types[i].dtype;
				raw->stored = types[i].stored;
				raw->swap = order == '>' && types[i].bytes != '1';
				return PN_OK;
			}
	return pn_error_set(err, PN_EUNSUPPORTED, "%s: element type '%s'", stack->path, d->descr);
}

static int take_shape(struct pn_stack *stack, const struct dict *d, struct pn_error *err)
{
	struct pn_stack_info *info = &stack->info;

	if (d->ndim < 2 || d->ndim > PN_DIM_MAX)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: %u axes: a stack of images has 2 ([y][x]) to %d",
				    stack->path, d->ndim, PN_DIM_MAX);
	if (d->fortran)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: Fortran order: save numpy.ascontiguousarray(a) instead",
				    stack->path);
	info->nx = d->shape[d->ndim - 1];
	info->ny = d->shape[d->ndim - 2];
	info->count = 1;
	for (unsigned i = 0; i + 2 < d->ndim; i++)
		if (__builtin_mul_overflow(info->count, d->shape[i], &info->count))
			return pn_error_set(err, PN_EFORMAT, "%s: header says 2^64 images or more",
					    stack->path);
	return PN_OK;
}

static int npy_match(const struct stack_head *head)
{
	return head->count >= MAGIC_BYTES && memcmp(head->bytes, MAGIC, MAGIC_BYTES) == 0;
}

/* Offset and length of the dict. */
static int find_dict(struct pn_stack *stack, uint64_t *offset, uint32_t *bytes,
		     struct pn_error *err)
{
	uint8_t head[12] = { 0 };
	uint64_t count = stack->file_bytes < sizeof head ? stack->file_bytes : sizeof head;
	int status = stack_get(stack, head, count, 0, err);

	if (status < 0)
		return status;
	if (count < 10 || memcmp(head, MAGIC, MAGIC_BYTES) != 0)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: not a .npy file (%" PRIu64 " bytes, beginning %02x %02x)",
				    stack->path, stack->file_bytes, head[0], head[1]);
	if (head[MAGIC_BYTES] < 1 || head[MAGIC_BYTES] > 3)
		return pn_error_set(err, PN_EVERSION, "%s: .npy version %u.%u, known are 1 to 3",
				    stack->path, head[6], head[7]);
	*offset = head[MAGIC_BYTES] == 1 ? 10 : 12;
	*bytes = (uint32_t)head[8] | (uint32_t)head[9] << 8;
	if (head[MAGIC_BYTES] > 1)
		*bytes |= (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24;
	if (*bytes > HEADER_BYTES_MAX || *offset + *bytes > stack->file_bytes)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: header of %" PRIu32
				    " bytes (at most %d), file has %" PRIu64,
				    stack->path, *bytes, HEADER_BYTES_MAX, stack->file_bytes);
	return PN_OK;
}

static int npy_open(struct pn_stack *stack, struct pn_error *err)
{
	struct stack_raw *raw = stack->state;
	struct dict d = { .path = stack->path, .err = err };
	uint64_t offset = 0;
	uint32_t bytes = 0;
	int status = find_dict(stack, &offset, &bytes, err);

	if (status < 0)
		return status;
	char *text = malloc((size_t)bytes + 1);
	if (!text)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", stack->path);
	status = stack_get(stack, text, bytes, offset, err);
	d.text = d.p = text;
	d.end = text + bytes;
	if (status == PN_OK)
		status = parse_dict(&d);
	free(text);
	if (status == PN_OK)
		status = take_type(stack, raw, &d, err);
	if (status == PN_OK)
		status = take_shape(stack, &d, err);
	if (status < 0)
		return status;
	raw->offset = offset + bytes;
	return stack_raw_check(stack, raw, err);
}

static int npy_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err)
{
	return stack_raw_read(stack, stack->state, index, dst, err);
}

const struct stack_reader stack_npy_reader = {
	.name = "npy",
	.extensions = " .npy ",
	.state_bytes = sizeof(struct stack_raw),
	.match = npy_match,
	.open = npy_open,
	.read = npy_read,
};

/* Until the file is finished the header says 0 images. */
static int put_header(struct pn_stack_writer *writer, uint64_t count, struct pn_error *err)
{
	char head[WRITE_HEADER];
	unsigned type = 1; /* past bool */

	while (types[type].dtype != writer->info.dtype || types[type].stored != STACK_PLAIN)
		type++;
	memset(head, ' ', sizeof head);
	memcpy(head, MAGIC "\x01\x00", 8);
	head[8] = (char)(WRITE_HEADER - 10);
	head[9] = 0;
	int n = snprintf(head + 10, sizeof head - 10,
			 "{'descr': '%c%c%c', 'fortran_order': False, 'shape': (%" PRIu64
			 ", %" PRIu64 ", %" PRIu64 "), }",
			 types[type].bytes == '1' ? '|' : '<', types[type].kind, types[type].bytes,
			 count, writer->info.ny, writer->info.nx);
	pn_assert(n > 0 && 10 + n < WRITE_HEADER);
	head[10 + n] = ' ';
	head[WRITE_HEADER - 1] = '\n';
	return stack_put(writer, head, sizeof head, 0, err);
}

static int npy_begin(struct pn_stack_writer *writer, struct pn_error *err)
{
	return put_header(writer, 0, err);
}

static int npy_write(struct pn_stack_writer *writer, const void *image, struct pn_error *err)
{
	return stack_put(writer, image, writer->image_bytes,
			 WRITE_HEADER + writer->count * writer->image_bytes, err);
}

static int npy_finish(struct pn_stack_writer *writer, struct pn_error *err)
{
	return put_header(writer, writer->count, err);
}

const struct stack_writer stack_npy_writer = {
	.name = "npy",
	.state_bytes = 1,
	.begin = npy_begin,
	.write = npy_write,
	.finish = npy_finish,
};
