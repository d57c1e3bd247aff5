/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mrc.c - MRC2014 and its elders (CCP4, IMOD, SerialEM): 1024 bytes of header, images back to back.
 */
#include "stack_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 1024

/* byte offsets in the header */
enum {
	AT_NX = 0,
	AT_NY = 4,
	AT_NZ = 8,
	AT_MODE = 12,
	AT_MX = 28,
	AT_CELLA = 40,
	AT_CELLB = 52,
	AT_MAPC = 64,
	AT_DMIN = 76,
	AT_NSYMBT = 92,
	AT_NVERSION = 108,
	AT_IMOD_STAMP = 152,
	AT_IMOD_FLAGS = 156,
	AT_MAP = 208,
	AT_MACHST = 212,
	AT_RMS = 216,
	AT_NLABL = 220,
	AT_LABEL = 224,
};

#define IMOD_STAMP 1146047817 /* "IMOD" */

static const struct mode {
	int32_t mode;
	enum pn_dtype dtype;
	enum stack_stored stored;
} modes[] = {
	{ 0, PN_I8, STACK_PLAIN }, { 1, PN_I16, STACK_PLAIN },   { 2, PN_F32, STACK_PLAIN },
	{ 3, PN_C64, STACK_CI16 }, { 4, PN_C64, STACK_PLAIN },   { 6, PN_U16, STACK_PLAIN },
	{ 12, PN_F32, STACK_F16 }, { 101, PN_U8, STACK_NIBBLE },
};

static uint32_t get_u32(const uint8_t *head, int at, int swap)
{
	uint32_t value;

	memcpy(&value, head + at, sizeof value);
	return swap ? __builtin_bswap32(value) : value;
}

static int32_t get_i32(const uint8_t *head, int at, int swap)
{
	return (int32_t)get_u32(head, at, swap);
}

static float get_f32(const uint8_t *head, int at, int swap)
{
	uint32_t bits = get_u32(head, at, swap);
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

static const struct mode *find_mode(int32_t number)
{
	for (size_t i = 0; i < PN_COUNT(modes); i++)
		if (modes[i].mode == number)
			return &modes[i];
	return NULL;
}

/* Bytes the header asks for, itself included; 0 if it makes no sense in this byte order. */
static uint64_t bytes_claimed(const uint8_t *head, int swap)
{
	const struct mode *mode = find_mode(get_i32(head, AT_MODE, swap));
	int64_t nx = get_i32(head, AT_NX, swap), ny = get_i32(head, AT_NY, swap);
	int64_t nz = get_i32(head, AT_NZ, swap), extra = get_i32(head, AT_NSYMBT, swap);
	uint64_t row, total;

	if (!mode || nx < 1 || ny < 1 || nz < 1 || extra < 0)
		return 0;
	row = (uint64_t)nx * pn_dtype_bytes(mode->dtype);
	if (mode->stored == STACK_NIBBLE)
		row = ((uint64_t)nx + 1) / 2;
	else if (mode->stored != STACK_PLAIN)
		row /= 2;
	if (__builtin_mul_overflow(row, (uint64_t)ny, &total) ||
	    __builtin_mul_overflow(total, (uint64_t)nz, &total) ||
	    __builtin_add_overflow(total, (uint64_t)extra + HEADER_BYTES, &total))
		return UINT64_MAX;
	return total;
}

/*
 * 1 if the file has the other byte order, 0 if ours, -1 if neither makes sense. The machine stamp
 * is often garbage (0x44 0x20, zeros), so it only breaks ties: first comes what fits the file.
 */
static int find_order(const uint8_t *head, uint64_t file_bytes)
{
	int stamped = head[AT_MACHST] == 0x11;
	uint64_t claims[2] = { bytes_claimed(head, stamped), bytes_claimed(head, !stamped) };

	for (int i = 0; i < 2; i++)
		if (claims[i] && claims[i] <= file_bytes)
			return stamped ^ i;
	if (claims[0])
		return stamped;
	return claims[1] && !stamped && head[AT_MACHST] != 0x44 ? 1 : -1;
}

static int mrc_match(const struct stack_head *head)
{
	int swap;
	uint64_t claimed;

	if (head->count < HEADER_BYTES)
		return 0;
	if (memcmp(head->bytes + AT_MAP, "MAP", 3) == 0)
		return 1;
	swap = find_order(head->bytes, head->file_bytes);
	if (swap < 0)
		return 0;
	/* without magic and without a telling name the size has to be right to the byte */
	claimed = bytes_claimed(head->bytes, swap);
	return head->hinted ? claimed <= head->file_bytes : claimed == head->file_bytes;
}

static double pixel_pm(const uint8_t *head, int swap)
{
	int32_t mx = get_i32(head, AT_MX, swap);
	double cella_A = get_f32(head, AT_CELLA, swap);

	if (mx < 1 || !isfinite(cella_A) || cella_A <= 0)
		return 0;
	return cella_A / mx * 100;
}

static int mrc_open(struct pn_stack *stack, struct pn_error *err)
{
	struct stack_raw *raw = stack->state;
	struct pn_stack_info *info = &stack->info;
	uint8_t head[HEADER_BYTES];
	int status, swap;

	if (stack->file_bytes < HEADER_BYTES)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: an MRC header has %d bytes, file has %" PRIu64,
				    stack->path, HEADER_BYTES, stack->file_bytes);
	status = stack_get(stack, head, sizeof head, 0, err);
	if (status < 0)
		return status;
	swap = find_order(head, stack->file_bytes);
	if (swap < 0) {
		swap = head[AT_MACHST] == 0x11;
		return pn_error_set(err, PN_EFORMAT,
				    "%s: header says %" PRId32 "x%" PRId32 "x%" PRId32
				    " mode %" PRId32 " after %" PRId32 " bytes of extended header",
				    stack->path, get_i32(head, AT_NZ, swap),
				    get_i32(head, AT_NY, swap), get_i32(head, AT_NX, swap),
				    get_i32(head, AT_MODE, swap), get_i32(head, AT_NSYMBT, swap));
	}
	const struct mode *mode = find_mode(get_i32(head, AT_MODE, swap));
	info->dtype = mode->dtype;
	if (mode->mode == 0 && get_i32(head, AT_IMOD_STAMP, swap) == IMOD_STAMP &&
	    !(get_u32(head, AT_IMOD_FLAGS, swap) & 1))
		info->dtype = PN_U8;
	info->nx = (uint64_t)get_i32(head, AT_NX, swap);
	info->ny = (uint64_t)get_i32(head, AT_NY, swap);
	info->count = (uint64_t)get_i32(head, AT_NZ, swap);
	info->pixel_pm = pixel_pm(head, swap);
	raw->stored = mode->stored;
	raw->swap = swap;
	raw->offset = HEADER_BYTES + (uint64_t)get_i32(head, AT_NSYMBT, swap);
	return stack_raw_check(stack, raw, err);
}

static int mrc_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err)
{
	return stack_raw_read(stack, stack->state, index, dst, err);
}

const struct stack_reader stack_mrc_reader = {
	.name = "mrc",
	.extensions = " .mrc .mrcs .st .ali .rec .map .ccp4 .preali ",
	.state_bytes = sizeof(struct stack_raw),
	.match = mrc_match,
	.open = mrc_open,
	.read = mrc_read,
};

/* Running statistics over the finite pixels of all images. */
struct mrc_writer {
	int32_t mode;
	float *scratch; /* [ny][nx]; NULL if pixels are written as they come */
	double min, max, mean;
	double m2; /* sum of squared deviations from the mean */
	double count;
};

static void put_i32(uint8_t *head, int at, int32_t value)
{
	memcpy(head + at, &value, sizeof value);
}

static void put_f32(uint8_t *head, int at, double value)
{
	float f = (float)value;

	memcpy(head + at, &f, sizeof f);
}

static void put_statistics(const struct mrc_writer *s, uint8_t *head)
{
	/* MRC2014's way of saying "unknown": max below min, mean below both, negative rms */
	if (s->count == 0) {
		put_f32(head, AT_DMIN, 0);
		put_f32(head, AT_DMIN + 4, -1);
		put_f32(head, AT_DMIN + 8, -2);
		put_f32(head, AT_RMS, -1);
		return;
	}
	put_f32(head, AT_DMIN, s->min);
	put_f32(head, AT_DMIN + 4, s->max);
	put_f32(head, AT_DMIN + 8, s->mean);
	put_f32(head, AT_RMS, sqrt(s->m2 / s->count));
}

static int put_header(struct pn_stack_writer *writer, uint64_t count, struct pn_error *err)
{
	static const char label[] = "Perrin " PERRIN_VERSION;
	const struct mrc_writer *s = writer->state;
	const struct pn_stack_info *info = &writer->info;
	uint8_t head[HEADER_BYTES] = { 0 };
	double pixel_A = info->pixel_pm / 100;

	put_i32(head, AT_NX, (int32_t)info->nx);
	put_i32(head, AT_NY, (int32_t)info->ny);
	put_i32(head, AT_NZ, (int32_t)count);
	put_i32(head, AT_MODE, s->mode);
	put_i32(head, AT_MX, (int32_t)info->nx);
	put_i32(head, AT_MX + 4, (int32_t)info->ny);
	put_i32(head, AT_MX + 8, 1); /* a stack of images, not a volume: ISPG stays 0 */
	put_f32(head, AT_CELLA, pixel_A * (double)info->nx);
	put_f32(head, AT_CELLA + 4, pixel_A * (double)info->ny);
	put_f32(head, AT_CELLA + 8, pixel_A);
	for (int i = 0; i < 3; i++) {
		put_f32(head, AT_CELLB + 4 * i, 90);
		put_i32(head, AT_MAPC + 4 * i, i + 1);
	}
	put_statistics(s, head);
	put_i32(head, AT_NVERSION, 20141);
	put_i32(head, AT_IMOD_STAMP, IMOD_STAMP);
	put_i32(head, AT_IMOD_FLAGS, info->dtype == PN_U8 ? 0 : 1);
	memcpy(head + AT_MAP, "MAP ", 4);
	memcpy(head + AT_MACHST, "\x44\x44\0\0", 4);
	put_i32(head, AT_NLABL, 1);
	memset(head + AT_LABEL, ' ', 80);
	memcpy(head + AT_LABEL, label, strlen(label));
	return stack_put(writer, head, sizeof head, 0, err);
}

static int mrc_begin(struct pn_stack_writer *writer, struct pn_error *err)
{
	struct mrc_writer *s = writer->state;
	const struct pn_stack_info *info = &writer->info;

	if (info->nx > INT32_MAX || info->ny > INT32_MAX || info->count > INT32_MAX)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: %" PRIu64 "x%" PRIu64 "x%" PRIu64
				    ": MRC holds less than 2^31",
				    writer->path, info->count, info->ny, info->nx);
	s->mode = 2;
	for (size_t i = 0; i < PN_COUNT(modes); i++)
		if (modes[i].stored == STACK_PLAIN && modes[i].dtype == info->dtype)
			s->mode = modes[i].mode;
	if (info->dtype == PN_U8)
		s->mode = 0;
	if (s->mode == 2 && info->dtype != PN_F32) {
		s->scratch = malloc(info->ny * info->nx * sizeof *s->scratch);
		if (!s->scratch)
			return pn_error_set(err, PN_ENOMEM, "%s: no memory", writer->path);
	}
	return put_header(writer, 0, err);
}

/* Pixel i of a type that MRC does not have; exact but for the 64-bit integers. */
static double pixel(const void *image, enum pn_dtype dtype, uint64_t i)
{
	switch (dtype) {
	case PN_U32:
		return ((const uint32_t *)image)[i];
	case PN_I32:
		return ((const int32_t *)image)[i];
	case PN_F64:
		return ((const double *)image)[i];
	case PN_U64:
		return (double)((const uint64_t *)image)[i];
	default:
		return (double)((const int64_t *)image)[i];
	}
}

static int is_f32(const void *image, enum pn_dtype dtype, uint64_t i, float value)
{
	if (dtype == PN_U64)
		return value < 0x1p64f && (uint64_t)value == ((const uint64_t *)image)[i];
	if (dtype == PN_I64)
		return value < 0x1p63f && (int64_t)value == ((const int64_t *)image)[i];
	double d = pixel(image, dtype, i);
	return (double)value == d || isnan(d);
}

static int narrow(struct pn_stack_writer *writer, const void *image, struct pn_error *err)
{
	struct mrc_writer *s = writer->state;
	enum pn_dtype dtype = writer->info.dtype;

	for (uint64_t i = 0; i < writer->info.ny * writer->info.nx; i++) {
		s->scratch[i] = (float)pixel(image, dtype, i);
		if (!is_f32(image, dtype, i, s->scratch[i]))
			return pn_error_set(
				err, PN_EUNSUPPORTED,
				"%s: image %" PRIu64 ", pixel %" PRIu64
				": %.17g (%s) is not a float32, the widest of MRC's types",
				writer->path, writer->count, i, pixel(image, dtype, i),
				pn_dtype_name(dtype));
	}
	return PN_OK;
}

#define CHUNK 4096
#define LANES 8 /* independent sums, for the vector units */

#define LOAD(type)                                           \
	do {                                                 \
		const type *p = (const type *)image + first; \
		for (size_t i = 0; i < count; i++)           \
			v[i] = p[i];                         \
	} while (0)

/* The finite ones of @count pixels from @first on; returns how many. */
static size_t load_finite(double *v, const void *image, enum pn_dtype dtype, uint64_t first,
			  size_t count)
{
	size_t kept = 0;

	switch (dtype) {
	case PN_U8:
		LOAD(uint8_t);
		return count;
	case PN_I8:
		LOAD(int8_t);
		return count;
	case PN_U16:
		LOAD(uint16_t);
		return count;
	case PN_I16:
		LOAD(int16_t);
		return count;
	case PN_F32:
		for (size_t i = 0; i < count; i++) {
			v[kept] = (double)((const float *)image)[first + i];
			kept += isfinite(v[kept]) != 0;
		}
		return kept;
	default: /* complex: an order and a range have no meaning */
		return 0;
	}
}

/* Two passes over a chunk, then one merge (Chan, Golub, LeVeque 1983): safe for large offsets. */
static void add_chunk(struct mrc_writer *s, const double *v, size_t count)
{
	double lo[LANES], hi[LANES], sum[LANES] = { 0 }, m2[LANES] = { 0 };
	double n = (double)count;

	for (int j = 0; j < LANES; j++)
		lo[j] = hi[j] = v[0];
	for (size_t i = 0; i < count; i += LANES)
		for (size_t j = 0; j < LANES && i + j < count; j++) {
			lo[j] = v[i + j] < lo[j] ? v[i + j] : lo[j];
			hi[j] = v[i + j] > hi[j] ? v[i + j] : hi[j];
			sum[j] += v[i + j];
		}
	for (int j = 1; j < LANES; j++) {
		lo[0] = lo[j] < lo[0] ? lo[j] : lo[0];
		hi[0] = hi[j] > hi[0] ? hi[j] : hi[0];
		sum[0] += sum[j];
	}
	double mean = sum[0] / n, delta = mean - s->mean;
	for (size_t i = 0; i < count; i += LANES)
		for (size_t j = 0; j < LANES && i + j < count; j++)
			m2[j] += (v[i + j] - mean) * (v[i + j] - mean);
	for (int j = 1; j < LANES; j++)
		m2[0] += m2[j];
	s->min = s->count == 0 || lo[0] < s->min ? lo[0] : s->min;
	s->max = s->count == 0 || hi[0] > s->max ? hi[0] : s->max;
	s->m2 += m2[0] + delta * delta * s->count * n / (s->count + n);
	s->mean += delta * n / (s->count + n);
	s->count += n;
}

static void add_statistics(struct mrc_writer *s, const void *image, enum pn_dtype dtype,
			   uint64_t count)
{
	double v[CHUNK];

	for (uint64_t first = 0; first < count; first += CHUNK) {
		size_t n = count - first < CHUNK ? (size_t)(count - first) : CHUNK;
		size_t kept = load_finite(v, image, dtype, first, n);

		if (kept)
			add_chunk(s, v, kept);
	}
}

static int mrc_write(struct pn_stack_writer *writer, const void *image, struct pn_error *err)
{
	struct mrc_writer *s = writer->state;
	uint64_t bytes = writer->image_bytes;
	int status = PN_OK;

	if (writer->count >= INT32_MAX)
		return pn_error_set(err, PN_EUNSUPPORTED, "%s: MRC holds less than 2^31 images",
				    writer->path);
	if (s->scratch) {
		status = narrow(writer, image, err);
		image = s->scratch;
		bytes = writer->info.ny * writer->info.nx * sizeof *s->scratch;
	}
	if (status == PN_OK)
		status = stack_put(writer, image, bytes, HEADER_BYTES + writer->count * bytes, err);
	if (status == PN_OK)
		add_statistics(s, image, s->scratch ? PN_F32 : writer->info.dtype,
			       writer->info.ny * writer->info.nx);
	return status;
}

static int mrc_finish(struct pn_stack_writer *writer, struct pn_error *err)
{
	return put_header(writer, writer->count, err);
}

static void mrc_close(struct pn_stack_writer *writer)
{
	struct mrc_writer *s = writer->state;

	free(s->scratch);
}

const struct stack_writer stack_mrc_writer = {
	.name = "mrc",
	.state_bytes = sizeof(struct mrc_writer),
	.begin = mrc_begin,
	.write = mrc_write,
	.finish = mrc_finish,
	.close = mrc_close,
};
