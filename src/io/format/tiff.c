/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tiff.c - TIFF and BigTIFF by libtiff, except for two things it does not give: the offsets of all
 * directories from one walk along their chain, so that any page is one step away, and ImageJ's
 * stacks, which have one directory and the further images right behind the first.
 */
#include "stack_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>

#define CLASSIC_BYTES_MAX 3900000000u /* offsets of classic TIFF end at 2^32 */
#define PAGE_OVERHEAD     512         /* bytes of one page's directory, generously */
#define STRIP_BYTES_MAX   (1u << 30)
#define SMALL_BYTES       (16u << 20) /* never too much to ask for, whatever the file's size */
#define PM_PER_CM         1e10
#define CM_PER_INCH       2.54

/* libtiff's view of a file, reading or writing. */
struct tiff_io {
	int fd;
	uint64_t pos;
	struct pn_stack_writer *writer; /* NULL: reading */
	int errnum;                     /* of the last failed call */
	char message[256];              /* first error of libtiff since it was cleared */
};

struct tiff_reader {
	struct tiff_io io;
	TIFF *tif;
	uint64_t *offsets; /* [count], of the directories */
	uint64_t offset_count, offset_room;
	uint64_t current; /* page whose directory is loaded */
	void *tile;       /* one decoded tile */
	tmsize_t tile_bytes;
	int is_raw; /* ImageJ: all images lie behind each other */
	struct stack_raw raw;
};

struct page {
	uint32_t nx, ny;
	enum pn_dtype dtype;
	uint16_t compression;
};

static tmsize_t io_read(thandle_t handle, void *dst, tmsize_t size)
{
	struct tiff_io *io = (struct tiff_io *)handle;
	tmsize_t done = 0;

	while (done < size) {
		ssize_t n =
			pread(io->fd, (char *)dst + done, (size_t)(size - done), (off_t)io->pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			io->errnum = errno;
		if (n <= 0)
			break;
		done += n;
		io->pos += (uint64_t)n;
	}
	return done;
}

static tmsize_t io_write(thandle_t handle, void *src, tmsize_t size)
{
	struct tiff_io *io = (struct tiff_io *)handle;

	if (!io->writer || io->writer->failed)
		return -1;
	errno = 0;
	if (stack_put(io->writer, src, (uint64_t)size, io->pos, NULL) < 0) {
		io->errnum = errno ? errno : ENOSPC;
		return -1;
	}
	io->pos += (uint64_t)size;
	return size;
}

static toff_t io_size(thandle_t handle)
{
	struct tiff_io *io = (struct tiff_io *)handle;
	off_t size = lseek(io->fd, 0, SEEK_END);

	return size < 0 ? 0 : (toff_t)size;
}

static toff_t io_seek(thandle_t handle, toff_t offset, int whence)
{
	struct tiff_io *io = (struct tiff_io *)handle;

	if (whence == SEEK_SET)
		io->pos = offset;
	else if (whence == SEEK_CUR)
		io->pos += offset;
	else
		io->pos = io_size(handle) + offset;
	return io->pos;
}

static int io_close(thandle_t handle)
{
	(void)handle; /* the stack closes its file */
	return 0;
}

static int keep_error(TIFF *tif, void *user, const char *module, const char *fmt, va_list ap)
{
	struct tiff_io *io = user;

	(void)tif, (void)module;
	if (!io->message[0])
		vsnprintf(io->message, sizeof io->message, fmt, ap);
	return 1; /* libtiff's global handler, which prints, is not called */
}

static int drop_warning(TIFF *tif, void *user, const char *module, const char *fmt, va_list ap)
{
	(void)tif, (void)user, (void)module, (void)fmt, (void)ap;
	return 1;
}

static TIFF *open_tiff(struct tiff_io *io, const char *path, const char *mode, tmsize_t alloc_max)
{
	TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
	TIFF *tif;

	if (!options)
		return NULL;
	TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, io);
	TIFFOpenOptionsSetWarningHandlerExtR(options, drop_warning, io);
	TIFFOpenOptionsSetMaxSingleMemAlloc(options, alloc_max);
	tif = TIFFClientOpenExt(path, mode, (thandle_t)io, io_read, io_write, io_seek, io_close,
				io_size, NULL, NULL, options);
	TIFFOpenOptionsFree(options);
	return tif;
}

static int tiff_match(const struct stack_head *head)
{
	return head->count >= 4 &&
	       (memcmp(head->bytes, "II\x2a\0", 4) == 0 ||
		memcmp(head->bytes, "MM\0\x2a", 4) == 0 ||
		memcmp(head->bytes, "II\x2b\0", 4) == 0 || memcmp(head->bytes, "MM\0\x2b", 4) == 0);
}

/* An unsigned number of the file's byte order. */
static int get_uint(struct pn_stack *stack, int big_endian, unsigned bytes, uint64_t offset,
		    uint64_t *value, struct pn_error *err)
{
	uint8_t b[8];
	int status = stack_get(stack, b, bytes, offset, err);

	*value = 0;
	for (unsigned i = 0; i < bytes && status == PN_OK; i++)
		*value = *value << 8 | b[big_endian ? i : bytes - 1 - i];
	return status;
}

static int add_offset(struct pn_stack *stack, uint64_t offset, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;

	if (s->offset_count == s->offset_room) {
		uint64_t room = s->offset_room ? 2 * s->offset_room : 64;
		uint64_t *grown = realloc(s->offsets, room * sizeof *grown);

		if (!grown)
			return pn_error_set(err, PN_ENOMEM, "%s: no memory for %" PRIu64 " pages",
					    stack->path, room);
		s->offsets = grown;
		s->offset_room = room;
	}
	s->offsets[s->offset_count++] = offset;
	return PN_OK;
}

/* Walk the chain of directories once. A chain that bites its tail is found by Brent's algorithm. */
static int list_pages(struct pn_stack *stack, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	uint8_t head[4];
	uint64_t offset, entries, seen = 0, next_mark = 1;
	int status = stack_get(stack, head, sizeof head, 0, err);

	if (status < 0)
		return status;
	int be = head[0] == 'M', big = head[be ? 3 : 2] == 0x2b;
	status = get_uint(stack, be, big ? 8 : 4, big ? 8 : 4, &offset, err);
	while (status == PN_OK && offset) {
		if (offset >= stack->file_bytes || offset == seen)
			return pn_error_set(
				err, PN_EFORMAT,
				"%s: page %" PRIu64 " at byte %" PRIu64 ": file has %" PRIu64 "%s",
				stack->path, s->offset_count, offset, stack->file_bytes,
				offset == seen ? ", and the page was there before" : "");
		status = add_offset(stack, offset, err);
		if (s->offset_count == next_mark) {
			seen = offset;
			next_mark *= 2;
		}
		if (status == PN_OK)
			status = get_uint(stack, be, big ? 8 : 2, offset, &entries, err);
		if (status == PN_OK && entries > stack->file_bytes / (big ? 20 : 12))
			return pn_error_set(err, PN_EFORMAT,
					    "%s: page %" PRIu64 " has %" PRIu64
					    " entries, file has %" PRIu64 " bytes",
					    stack->path, s->offset_count - 1, entries,
					    stack->file_bytes);
		if (status == PN_OK)
			status = get_uint(stack, be, big ? 8 : 4,
					  offset + (big ? 8 + 20 * entries : 2 + 12 * entries),
					  &offset, err);
	}
	if (status == PN_OK && !s->offset_count)
		return pn_error_set(err, PN_EFORMAT, "%s: a TIFF without pages", stack->path);
	return status;
}

static int libtiff_failed(struct pn_stack *stack, uint64_t index, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;

	return pn_error_set(err, s->io.errnum ? PN_EIO : PN_EFORMAT, "%s: page %" PRIu64 ": %s",
			    stack->path, index,
			    s->io.message[0] ? s->io.message : "libtiff cannot read it");
}

static void clear_error(struct tiff_io *io)
{
	io->message[0] = 0;
	io->errnum = 0;
}

static int go_to_page(struct pn_stack *stack, uint64_t index, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;

	clear_error(&s->io);
	if (s->current == index)
		return PN_OK;
	s->current = UINT64_MAX;
	if (!TIFFSetSubDirectory(s->tif, s->offsets[index]))
		return libtiff_failed(stack, index, err);
	s->current = index;
	return PN_OK;
}

static enum pn_dtype dtype_of(uint16_t format, uint16_t bits)
{
	static const struct {
		uint16_t format, bits;
		enum pn_dtype dtype;
	} types[] = {
		{ SAMPLEFORMAT_UINT, 8, PN_U8 },     { SAMPLEFORMAT_INT, 8, PN_I8 },
		{ SAMPLEFORMAT_UINT, 16, PN_U16 },   { SAMPLEFORMAT_INT, 16, PN_I16 },
		{ SAMPLEFORMAT_UINT, 32, PN_U32 },   { SAMPLEFORMAT_INT, 32, PN_I32 },
		{ SAMPLEFORMAT_UINT, 64, PN_U64 },   { SAMPLEFORMAT_INT, 64, PN_I64 },
		{ SAMPLEFORMAT_IEEEFP, 32, PN_F32 }, { SAMPLEFORMAT_IEEEFP, 64, PN_F64 },
	};

	if (format == SAMPLEFORMAT_VOID)
		format = SAMPLEFORMAT_UINT;
	for (size_t i = 0; i < PN_COUNT(types); i++)
		if (types[i].format == format && types[i].bits == bits)
			return types[i].dtype;
	return PN_DTYPE_NONE;
}

/*
 * The most bytes that one byte of the file can stand for, rounded up: packbits repeats 128 bytes in
 * two, deflate 258 in two bits, LZW's longest string is a table's length in 12 bits; zstd and lerc
 * know longer runs, 2^16 is our bound for them.
 */
static uint64_t expansion_max(uint16_t compression)
{
	switch (compression) {
	case COMPRESSION_NONE:
		return 1;
	case COMPRESSION_PACKBITS:
		return 64;
	case COMPRESSION_ADOBE_DEFLATE:
	case COMPRESSION_DEFLATE:
		return 1040;
	case COMPRESSION_LZW:
		return 4096;
	default:
		return 65536;
	}
}

static int check_size(struct pn_stack *stack, uint64_t index, const struct page *page,
		      struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	const uint64_t shape[2] = { page->ny, page->nx };
	uint64_t bytes = 0, most = expansion_max(page->compression) * stack->file_bytes;

	if (!page->nx || !page->ny || pn_array_bytes(page->dtype, 2, shape, &bytes) < 0 ||
	    bytes > most)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: page %" PRIu64 ": header says %ux%u %s (%" PRIu64
				    " bytes, compression %u), file has %" PRIu64,
				    stack->path, index, page->ny, page->nx,
				    pn_dtype_name(page->dtype), bytes, page->compression,
				    stack->file_bytes);
	if (!TIFFIsTiled(s->tif))
		return PN_OK;
	/* a tile may be larger than the image, within reason */
	tmsize_t tile = TIFFTileSize(s->tif);
	if (tile <= 0 || ((uint64_t)tile > most && tile > (tmsize_t)SMALL_BYTES))
		return pn_error_set(err, PN_EFORMAT,
				    "%s: page %" PRIu64 ": tiles of %lld bytes, file has %" PRIu64,
				    stack->path, index, (long long)tile, stack->file_bytes);
	return PN_OK;
}

static int describe_page(struct pn_stack *stack, uint64_t index, struct page *page,
			 struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	uint16_t bits = 0, samples = 0, format = 0;
	int status = go_to_page(stack, index, err);

	if (status < 0)
		return status;
	memset(page, 0, sizeof *page);
	TIFFGetField(s->tif, TIFFTAG_IMAGEWIDTH, &page->nx);
	TIFFGetField(s->tif, TIFFTAG_IMAGELENGTH, &page->ny);
	TIFFGetFieldDefaulted(s->tif, TIFFTAG_BITSPERSAMPLE, &bits);
	TIFFGetFieldDefaulted(s->tif, TIFFTAG_SAMPLESPERPIXEL, &samples);
	TIFFGetFieldDefaulted(s->tif, TIFFTAG_SAMPLEFORMAT, &format);
	TIFFGetFieldDefaulted(s->tif, TIFFTAG_COMPRESSION, &page->compression);
	page->dtype = dtype_of(format, bits);
	if (samples != 1 || page->dtype == PN_DTYPE_NONE)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: page %" PRIu64
				    ": %u samples per pixel of %u bits, format %u: "
				    "need one of 8 to 64 bits",
				    stack->path, index, samples, bits, format);
	if (page->compression == COMPRESSION_OJPEG || !TIFFIsCODECConfigured(page->compression))
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: page %" PRIu64 ": compression %u is not in this build",
				    stack->path, index, page->compression);
	return check_size(stack, index, page, err);
}

/* The rest of the line "key=..." of a description, NULL if there is none. */
static const char *find_line(const char *text, const char *key, char *value, size_t size)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) == 0 && line[n] == '=') {
			snprintf(value, size, "%.*s", (int)strcspn(line + n + 1, "\r\n"),
				 line + n + 1);
			return value;
		}
	}
	return NULL;
}

static double pixel_pm(TIFF *tif, const char *description)
{
	char value[64];
	uint16_t unit = RESUNIT_NONE;
	float per_unit = 0;
	double pm = 0;

	if (find_line(description, "pixel_pm", value, sizeof value)) {
		pm = strtod(value, NULL);
		if (isfinite(pm) && pm > 0)
			return pm;
	}
	if (!TIFFGetField(tif, TIFFTAG_XRESOLUTION, &per_unit) || !isfinite(per_unit) ||
	    per_unit <= 0)
		return 0;
	TIFFGetFieldDefaulted(tif, TIFFTAG_RESOLUTIONUNIT, &unit);
	pm = 0;
	if (strncmp(description, "ImageJ=", 7) == 0 &&
	    find_line(description, "unit", value, sizeof value))
		pm = stack_unit_pm(value);
	else if (unit == RESUNIT_CENTIMETER)
		pm = PM_PER_CM;
	else if (unit == RESUNIT_INCH)
		pm = PM_PER_CM * CM_PER_INCH;
	pm /= per_unit;
	return isfinite(pm) ? pm : 0;
}

/*
 * ImageJ writes stacks of 4 GB and more, and on demand all, as one directory: the images follow
 * the first without gaps, their number stands in the description only. Another program may have
 * compressed or tiled the first image and kept the text; then it is one image.
 */
static int find_imagej(struct pn_stack *stack, const char *description, const struct page *page,
		       struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	char value[32], *end;

	if (s->offset_count != 1 || strncmp(description, "ImageJ=", 7) != 0 ||
	    !find_line(description, "images", value, sizeof value) ||
	    page->compression != COMPRESSION_NONE || TIFFIsTiled(s->tif))
		return PN_OK;
	uint64_t images = strtoull(value, &end, 10);
	if (end == value || *end || value[0] == '-' || images < 2)
		return PN_OK;
	for (uint32_t i = 0; i + 1 < TIFFNumberOfStrips(s->tif); i++)
		if (TIFFGetStrileOffset(s->tif, i) + TIFFGetStrileByteCount(s->tif, i) !=
		    TIFFGetStrileOffset(s->tif, i + 1))
			return pn_error_set(err, PN_EFORMAT,
					    "%s: ImageJ stack of %" PRIu64
					    " images whose first has a gap after strip %u",
					    stack->path, images, i);
	stack->info.count = images;
	s->is_raw = 1;
	s->raw.swap = TIFFIsByteSwapped(s->tif);
	s->raw.offset = TIFFGetStrileOffset(s->tif, 0);
	return stack_raw_check(stack, &s->raw, err);
}

/* Every page has to be like the first. */
static int compare_pages(struct pn_stack *stack, const struct page *first, struct pn_error *err)
{
	struct page page;

	for (uint64_t i = 1; i < stack->info.count; i++) {
		int status = describe_page(stack, i, &page, err);

		if (status < 0)
			return status;
		if (page.nx != first->nx || page.ny != first->ny || page.dtype != first->dtype)
			return pn_error_set(err, PN_EUNSUPPORTED,
					    "%s: page %" PRIu64 " is %ux%u %s, page 0 is %ux%u %s",
					    stack->path, i, page.ny, page.nx,
					    pn_dtype_name(page.dtype), first->ny, first->nx,
					    pn_dtype_name(first->dtype));
	}
	return PN_OK;
}

static int tiff_open(struct pn_stack *stack, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	struct stack_head head = { .count = stack->file_bytes < 4 ? 0 : 4 };
	struct page first;
	char *description = NULL;
	int status = stack_get(stack, head.bytes, head.count, 0, err);

	if (status < 0)
		return status;
	if (!tiff_match(&head))
		return pn_error_set(err, PN_EFORMAT, "%s: not a TIFF file (%" PRIu64 " bytes)",
				    stack->path, stack->file_bytes);
	status = list_pages(stack, err);
	if (status < 0)
		return status;
	s->io.fd = stack->fd;
	s->current = UINT64_MAX;
	/* h: directories on request; m: no mapping, which a shrinking file would turn into a crash;
	 * O: strip tables on request */
	s->tif = open_tiff(&s->io, stack->path, "rhmO",
			   (tmsize_t)(64 * stack->file_bytes + SMALL_BYTES));
	if (!s->tif)
		return libtiff_failed(stack, 0, err);
	status = describe_page(stack, 0, &first, err);
	if (status < 0)
		return status;
	stack->info.dtype = first.dtype;
	stack->info.count = s->offset_count;
	stack->info.ny = first.ny;
	stack->info.nx = first.nx;
	if (!TIFFGetField(s->tif, TIFFTAG_IMAGEDESCRIPTION, &description) || !description)
		description = "";
	stack->info.pixel_pm = pixel_pm(s->tif, description);
	status = find_imagej(stack, description, &first, err);
	if (status < 0 || s->is_raw)
		return status;
	return compare_pages(stack, &first, err);
}

static int read_strips(struct pn_stack *stack, uint64_t index, uint8_t *dst, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	uint64_t ny = stack->info.ny;
	uint64_t row_bytes = stack->info.nx * pn_dtype_bytes(stack->info.dtype);
	uint32_t rows = 0, strip = 0;

	TIFFGetFieldDefaulted(s->tif, TIFFTAG_ROWSPERSTRIP, &rows);
	if (!rows)
		return pn_error_set(err, PN_EFORMAT, "%s: page %" PRIu64 ": strips of 0 rows",
				    stack->path, index);
	for (uint64_t y = 0; y < ny; y += rows, strip++) {
		uint64_t bytes = (ny - y < rows ? ny - y : rows) * row_bytes;

		if (TIFFReadEncodedStrip(s->tif, strip, dst + y * row_bytes, (tmsize_t)bytes) !=
		    (tmsize_t)bytes)
			return libtiff_failed(stack, index, err);
	}
	return PN_OK;
}

static int read_tiles(struct pn_stack *stack, uint64_t index, uint8_t *dst, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	uint64_t nx = stack->info.nx, ny = stack->info.ny;
	uint64_t pixel_bytes = pn_dtype_bytes(stack->info.dtype);
	uint32_t tx = 0, ty = 0;
	tmsize_t size = TIFFTileSize(s->tif);

	TIFFGetField(s->tif, TIFFTAG_TILEWIDTH, &tx);
	TIFFGetField(s->tif, TIFFTAG_TILELENGTH, &ty);
	if (!tx || !ty || size < 0 || (uint64_t)size < (uint64_t)tx * ty * pixel_bytes)
		return pn_error_set(err, PN_EFORMAT, "%s: page %" PRIu64 ": tiles of %ux%u pixels",
				    stack->path, index, ty, tx);
	if (size > s->tile_bytes) {
		free(s->tile);
		s->tile_bytes = 0;
		s->tile = malloc((size_t)size);
		if (!s->tile)
			return pn_error_set(err, PN_ENOMEM, "%s: no memory for a tile",
					    stack->path);
		s->tile_bytes = size;
	}
	for (uint64_t y = 0; y < ny; y += ty)
		for (uint64_t x = 0; x < nx; x += tx) {
			uint32_t tile = TIFFComputeTile(s->tif, (uint32_t)x, (uint32_t)y, 0, 0);
			uint64_t width = (nx - x < tx ? nx - x : tx) * pixel_bytes;

			if (TIFFReadEncodedTile(s->tif, tile, s->tile, size) != size)
				return libtiff_failed(stack, index, err);
			for (uint64_t row = 0; row < ty && y + row < ny; row++)
				memcpy(dst + ((y + row) * nx + x) * pixel_bytes,
				       (uint8_t *)s->tile + row * tx * pixel_bytes, width);
		}
	return PN_OK;
}

static int tiff_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err)
{
	struct tiff_reader *s = stack->state;
	int status;

	if (s->is_raw)
		return stack_raw_read(stack, &s->raw, index, dst, err);
	status = go_to_page(stack, index, err);
	if (status < 0)
		return status;
	if (TIFFIsTiled(s->tif))
		return read_tiles(stack, index, dst, err);
	return read_strips(stack, index, dst, err);
}

static void tiff_close(struct pn_stack *stack)
{
	struct tiff_reader *s = stack->state;

	if (s->tif)
		TIFFClose(s->tif);
	free(s->offsets);
	free(s->tile);
}

const struct stack_reader stack_tiff_reader = {
	.name = "tiff",
	.extensions = " .tif .tiff .btf .tf8 ",
	.state_bytes = sizeof(struct tiff_reader),
	.match = tiff_match,
	.open = tiff_open,
	.read = tiff_read,
	.close = tiff_close,
};

struct tiff_writer {
	struct tiff_io io;
	TIFF *tif;
	int big;
};

static int write_failed(struct pn_stack_writer *writer, struct pn_error *err)
{
	struct tiff_writer *s = writer->state;

	if (s->io.errnum)
		return stack_put_failed(writer, s->io.errnum, err);
	writer->failed = 1;
	return pn_error_set(err, PN_EIO, "%s: %" PRIu64 " bytes written, then: %s", writer->path,
			    writer->bytes, s->io.message[0] ? s->io.message : "libtiff gave up");
}

static int tiff_begin(struct pn_stack_writer *writer, struct pn_error *err)
{
	struct tiff_writer *s = writer->state;
	const struct pn_stack_info *info = &writer->info;

	if (info->dtype == PN_C64)
		return pn_error_set(err, PN_EUNSUPPORTED, "%s: no c64 in TIFF", writer->path);
	if (info->nx * pn_dtype_bytes(info->dtype) > STRIP_BYTES_MAX || info->nx > INT32_MAX ||
	    info->ny > INT32_MAX)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: images of %" PRIu64 "x%" PRIu64 " pixels", writer->path,
				    info->ny, info->nx);
	s->big = !info->count ||
		 (double)info->count * (double)(writer->image_bytes + PAGE_OVERHEAD) >
			 CLASSIC_BYTES_MAX;
	s->io.fd = writer->fd;
	s->io.writer = writer;
	s->tif = open_tiff(&s->io, writer->path, s->big ? "w8lm" : "wlm", 0);
	return s->tif ? PN_OK : write_failed(writer, err);
}

static void set_fields(struct pn_stack_writer *writer, uint32_t rows)
{
	const struct pn_stack_info *info = &writer->info;
	struct tiff_writer *s = writer->state;
	int format = SAMPLEFORMAT_UINT;
	char text[64];

	if (info->dtype == PN_F32 || info->dtype == PN_F64)
		format = SAMPLEFORMAT_IEEEFP;
	else if (info->dtype == PN_I8 || info->dtype == PN_I16 || info->dtype == PN_I32 ||
		 info->dtype == PN_I64)
		format = SAMPLEFORMAT_INT;
	TIFFSetField(s->tif, TIFFTAG_IMAGEWIDTH, (uint32_t)info->nx);
	TIFFSetField(s->tif, TIFFTAG_IMAGELENGTH, (uint32_t)info->ny);
	TIFFSetField(s->tif, TIFFTAG_BITSPERSAMPLE, (int)(8 * pn_dtype_bytes(info->dtype)));
	TIFFSetField(s->tif, TIFFTAG_SAMPLESPERPIXEL, 1);
	TIFFSetField(s->tif, TIFFTAG_SAMPLEFORMAT, format);
	TIFFSetField(s->tif, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
	TIFFSetField(s->tif, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
	TIFFSetField(s->tif, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
	TIFFSetField(s->tif, TIFFTAG_ROWSPERSTRIP, rows);
	if (info->pixel_pm <= 0)
		return;
	/* the resolution is a ratio of two 32-bit numbers: pixels below 2.4 pm do not fit, and what
	 * fits is rounded; the description keeps the number itself */
	if (PM_PER_CM / info->pixel_pm < UINT32_MAX) {
		TIFFSetField(s->tif, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER);
		TIFFSetField(s->tif, TIFFTAG_XRESOLUTION, PM_PER_CM / info->pixel_pm);
		TIFFSetField(s->tif, TIFFTAG_YRESOLUTION, PM_PER_CM / info->pixel_pm);
	}
	if (!writer->count) {
		snprintf(text, sizeof text, "Perrin\npixel_pm=%.17g\n", info->pixel_pm);
		TIFFSetField(s->tif, TIFFTAG_IMAGEDESCRIPTION, text);
	}
}

static int tiff_write(struct pn_stack_writer *writer, const void *image, struct pn_error *err)
{
	struct tiff_writer *s = writer->state;
	uint64_t row_bytes = writer->image_bytes / writer->info.ny;
	uint64_t rows = STRIP_BYTES_MAX / row_bytes;
	uint32_t strip = 0;

	if (!s->big && writer->bytes + writer->image_bytes + PAGE_OVERHEAD > UINT32_MAX)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: image %" PRIu64 " of %" PRIu64
				    " announced does not fit below 4 GiB",
				    writer->path, writer->count, writer->info.count);
	clear_error(&s->io);
	rows = rows < writer->info.ny ? rows : writer->info.ny;
	set_fields(writer, (uint32_t)rows);
	for (uint64_t y = 0; y < writer->info.ny; y += rows, strip++) {
		uint64_t left = writer->info.ny - y;
		uint64_t bytes = (left < rows ? left : rows) * row_bytes;

		/* libtiff does not change what it writes raw */
		if (TIFFWriteRawStrip(s->tif, strip, (char *)image + y * row_bytes,
				      (tmsize_t)bytes) != (tmsize_t)bytes)
			return write_failed(writer, err);
	}
	return TIFFWriteDirectory(s->tif) ? PN_OK : write_failed(writer, err);
}

static int tiff_finish(struct pn_stack_writer *writer, struct pn_error *err)
{
	struct tiff_writer *s = writer->state;

	clear_error(&s->io);
	TIFFClose(s->tif);
	s->tif = NULL;
	return s->io.errnum || s->io.message[0] ? write_failed(writer, err) : PN_OK;
}

static void tiff_writer_close(struct pn_stack_writer *writer)
{
	struct tiff_writer *s = writer->state;

	writer->failed = 1; /* nothing half-done is written on the way out */
	if (s->tif)
		TIFFClose(s->tif);
}

const struct stack_writer stack_tiff_writer = {
	.name = "tiff",
	.state_bytes = sizeof(struct tiff_writer),
	.begin = tiff_begin,
	.write = tiff_write,
	.finish = tiff_finish,
	.close = tiff_writer_close,
};
