/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TIFF files as other programs write them are read, and libtiff keeps quiet about the others. */
#include "stack_kit.h"

#include <tiffio.h>
#include <unistd.h>

static const char *dir;

/* One page as some other program might write it. */
struct page {
	uint32_t nx, ny;
	uint16_t bits, format, samples, compression;
	uint32_t rows, tile; /* rows per strip, or side of a tile */
	const char *description;
	uint16_t unit;
	float resolution;
};

static void put_page(TIFF *tif, const struct page *page, const uint8_t *pixels)
{
	size_t row_bytes = (size_t)page->nx * page->samples * page->bits / 8;

	TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, page->nx);
	TIFFSetField(tif, TIFFTAG_IMAGELENGTH, page->ny);
	TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, page->bits);
	TIFFSetField(tif, TIFFTAG_SAMPLESPERPIXEL, page->samples);
	TIFFSetField(tif, TIFFTAG_SAMPLEFORMAT, page->format);
	TIFFSetField(tif, TIFFTAG_COMPRESSION, page->compression);
	TIFFSetField(tif, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
	TIFFSetField(tif, TIFFTAG_PHOTOMETRIC,
		     page->samples == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
	if (page->description)
		TIFFSetField(tif, TIFFTAG_IMAGEDESCRIPTION, page->description);
	if (page->unit) {
		TIFFSetField(tif, TIFFTAG_RESOLUTIONUNIT, page->unit);
		TIFFSetField(tif, TIFFTAG_XRESOLUTION, page->resolution);
	}
	if (!page->tile) {
		TIFFSetField(tif, TIFFTAG_ROWSPERSTRIP, page->rows ? page->rows : page->ny);
		uint8_t *row = malloc(row_bytes); /* libtiff swaps bytes in place */

		assert_non_null(row);
		for (uint32_t y = 0; y < page->ny; y++) {
			memcpy(row, pixels + y * row_bytes, row_bytes);
			assert_int_equal(TIFFWriteScanline(tif, row, y, 0), 1);
		}
		free(row);
	} else {
		size_t pixel = page->bits / 8;
		uint8_t *tile = calloc(page->tile * page->tile, pixel);

		assert_non_null(tile);
		TIFFSetField(tif, TIFFTAG_TILEWIDTH, page->tile);
		TIFFSetField(tif, TIFFTAG_TILELENGTH, page->tile);
		for (uint32_t y = 0; y < page->ny; y += page->tile)
			for (uint32_t x = 0; x < page->nx; x += page->tile) {
				for (uint32_t j = 0; j < page->tile && y + j < page->ny; j++)
					for (uint32_t i = 0; i < page->tile && x + i < page->nx;
					     i++)
						memcpy(tile + (j * page->tile + i) * pixel,
						       pixels + (y + j) * row_bytes +
							       (x + i) * pixel,
						       pixel);
				assert_true(TIFFWriteTile(tif, tile, x, y, 0, 0) > 0);
			}
		free(tile);
	}
	assert_int_equal(TIFFWriteDirectory(tif), 1);
}

static const char *put_tiff(const char *name, const char *mode, const struct page *page,
			    unsigned count, const uint8_t *pixels)
{
	const char *path = testkit_path(dir, name);
	TIFF *tif = TIFFOpen(path, mode);

	assert_non_null(tif);
	for (unsigned i = 0; i < count; i++)
		put_page(tif, page,
			 pixels + (size_t)i * page->ny * page->nx * page->samples * page->bits / 8);
	TIFFClose(tif);
	return path;
}

/* smooth enough for the codecs, every byte different from its neighbours in some image */
static uint8_t *make_pixels(size_t bytes)
{
	uint8_t *p = malloc(bytes);

	assert_non_null(p);
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(i / 3 * 7 + i % 5);
	return p;
}

static void codecs_strips_tiles_orders(void **state)
{
	(void)state;
	static const uint16_t codecs[] = { COMPRESSION_NONE,     COMPRESSION_LZW,
					   COMPRESSION_PACKBITS, COMPRESSION_ADOBE_DEFLATE,
					   COMPRESSION_ZSTD,     COMPRESSION_LZMA };
	static const char *const modes[] = { "wl", "wb", "w8l", "w8b" };
	static const struct {
		uint32_t rows, tile;
	} shapes[] = { { 0, 0 }, { 1, 0 }, { 7, 0 }, { 0, 16 }, { 0, 64 } };
	uint8_t *pixels = make_pixels(3 * 40 * 33 * 2);

	for (size_t c = 0; c < PN_COUNT(codecs); c++)
		for (size_t m = 0; m < PN_COUNT(modes); m++)
			for (size_t s = 0; s < PN_COUNT(shapes); s++) {
				const struct page page = { .nx = 33,
							   .ny = 40,
							   .bits = 16,
							   .format = SAMPLEFORMAT_UINT,
							   .samples = 1,
							   .compression = codecs[c],
							   .rows = shapes[s].rows,
							   .tile = shapes[s].tile };

				if (!TIFFIsCODECConfigured(codecs[c]))
					continue;
				must_hold(put_tiff("page", modes[m], &page, 3, pixels), "tiff",
					  PN_U16, 3, 40, 33, pixels);
			}
	free(pixels);
}

static void every_type_in_both_orders(void **state)
{
	(void)state;
	static const struct {
		uint16_t format, bits;
		enum pn_dtype dtype;
	} types[] = {
		{ SAMPLEFORMAT_UINT, 8, PN_U8 },     { SAMPLEFORMAT_INT, 8, PN_I8 },
		{ SAMPLEFORMAT_UINT, 16, PN_U16 },   { SAMPLEFORMAT_INT, 16, PN_I16 },
		{ SAMPLEFORMAT_UINT, 32, PN_U32 },   { SAMPLEFORMAT_INT, 32, PN_I32 },
		{ SAMPLEFORMAT_UINT, 64, PN_U64 },   { SAMPLEFORMAT_INT, 64, PN_I64 },
		{ SAMPLEFORMAT_IEEEFP, 32, PN_F32 }, { SAMPLEFORMAT_IEEEFP, 64, PN_F64 },
		{ SAMPLEFORMAT_VOID, 16, PN_U16 },
	};
	uint8_t *pixels = make_pixels(2 * 5 * 3 * 8);

	for (size_t t = 0; t < PN_COUNT(types); t++)
		for (int big_endian = 0; big_endian < 2; big_endian++) {
			struct page page = { .nx = 3, .ny = 5, .samples = 1, .compression = 1 };

			page.bits = types[t].bits;
			page.format = types[t].format;
			must_hold(put_tiff("type", big_endian ? "wb" : "wl", &page, 2, pixels),
				  "tiff", types[t].dtype, 2, 5, 3, pixels);
		}
	free(pixels);
}

static void pages_that_do_not_match(void **state)
{
	(void)state;
	uint8_t *pixels = make_pixels(3 * 20 * 20 * 4);
	const struct page first = { 20, 10, 16, SAMPLEFORMAT_UINT, 1, 1, 0, 0, NULL, 0, 0 };
	struct page other = first;
	const char *path = testkit_path(dir, "mixed.tif");

	for (int kind = 0; kind < 3; kind++) {
		static const char *const words[] = {
			"page 2 is 10x19 u16, page 0 is 10x20 u16",
			"page 2 is 11x20 u16, page 0 is 10x20 u16",
			"page 2 is 10x20 i16, page 0 is 10x20 u16",
		};
		TIFF *tif = TIFFOpen(path, "w");

		assert_non_null(tif);
		put_page(tif, &first, pixels);
		put_page(tif, &first, pixels);
		other = first;
		other.nx -= kind == 0;
		other.ny += kind == 1;
		other.format = kind == 2 ? SAMPLEFORMAT_INT : other.format;
		put_page(tif, &other, pixels);
		TIFFClose(tif);
		must_refuse(path, PN_EUNSUPPORTED, words[kind]);
	}
	other = first;
	other.samples = 3;
	must_refuse(put_tiff("rgb.tif", "w", &other, 1, pixels), PN_EUNSUPPORTED,
		    "3 samples per pixel");
	other = first;
	other.bits = 32;
	other.format = SAMPLEFORMAT_COMPLEXINT;
	must_refuse(put_tiff("complex.tif", "w", &other, 1, pixels), PN_EUNSUPPORTED, "format 5");
	free(pixels);
}

static void expect_pixel(uint16_t unit, float resolution, const char *description, double want_pm)
{
	static const uint8_t pixels[4];
	const struct page page = { 2, 2, 8, 1, 1, 1, 0, 0, description, unit, resolution };
	struct pn_stack *stack = must_open(put_tiff("pixel.tif", "w", &page, 1, pixels));
	double pm = pn_stack_info(stack)->pixel_pm;

	/* the resolution is a ratio that libtiff hands out as float32 */
	if (!(fabs(pm - want_pm) <= 2e-7 * want_pm))
		fail_msg("unit %u, %g per unit, \"%s\": %.9g pm, want %.9g", unit,
			 (double)resolution, description ? description : "", pm, want_pm);
	pn_stack_close(stack);
}

static void pixel_sizes(void **state)
{
	(void)state;
	expect_pixel(0, 0, NULL, 0);
	expect_pixel(RESUNIT_CENTIMETER, 4e8f, NULL, 25);
	expect_pixel(RESUNIT_INCH, 1e8f, NULL, 254);
	expect_pixel(RESUNIT_NONE, 5, NULL, 0);
	expect_pixel(RESUNIT_CENTIMETER, 0, NULL, 0);
	expect_pixel(RESUNIT_NONE, 5, "ImageJ=1.53k\nunit=nm\nmin=0\n", 200);
	expect_pixel(RESUNIT_NONE, 5, "ImageJ=1.53k\r\nunit=Angstrom\r\n", 20);
	expect_pixel(RESUNIT_NONE, 5, "ImageJ=1.53k\nunit=\xc3\x85", 20);
	expect_pixel(RESUNIT_NONE, 0.5f, "ImageJ=1.53k\nunit=pm", 2);
	expect_pixel(RESUNIT_NONE, 5, "ImageJ=1.53k\nunit=\\u00B5m\n", 200000);
	expect_pixel(RESUNIT_NONE, 5, "ImageJ=1.53k\nunit=parsec\n", 0);
	expect_pixel(RESUNIT_NONE, 5, "unit=nm\n", 0); /* not ImageJ's words */
	expect_pixel(RESUNIT_CENTIMETER, 1, "a\npixel_pm=3.5\n", 3.5);
	expect_pixel(RESUNIT_CENTIMETER, 1e9f, "a\npixel_pm=-3.5\n", 10);
}

/* ImageJ's way: one directory, the other images behind the first. */
static void imagej_stacks(void **state)
{
	(void)state;
	static const char *const modes[] = { "wl", "wb" };
	uint8_t *pixels = make_pixels(5 * 6 * 4 * 2);
	struct page page = { 4, 6, 16, SAMPLEFORMAT_UINT, 1, 1, 2, 0, NULL, 0, 0 };

	for (int m = 0; m < 2; m++) {
		/* a tall image of 5 is made and its length put right afterwards */
		page.ny = 5 * 6;
		page.rows = 5 * 6;
		page.description = "ImageJ=1.53k\nimages=5\nslices=5\nunit=nm\nloop=false\n";
		const char *path = put_tiff("ij.tif", modes[m], &page, 1, pixels);
		size_t size;
		char *b = testkit_read(path, &size);
		/* tags ImageLength (257), RowsPerStrip (278), StripByteCounts (279): 30 rows to 6
		 */
		uint32_t ifd;
		memcpy(&ifd, b + 4, 4);
		ifd = m ? __builtin_bswap32(ifd) : ifd;
		uint16_t n;
		memcpy(&n, b + ifd, 2);
		n = m ? __builtin_bswap16(n) : n;
		for (unsigned i = 0; i < n; i++) {
			char *entry = b + ifd + 2 + 12 * i;
			uint16_t tag, type;
			memcpy(&tag, entry, 2);
			memcpy(&type, entry + 2, 2);
			tag = m ? __builtin_bswap16(tag) : tag;
			type = m ? __builtin_bswap16(type) : type;
			uint16_t small = tag == 279 ? 48 : 6;
			uint32_t wide = small;
			small = m ? __builtin_bswap16(small) : small;
			wide = m ? __builtin_bswap32(wide) : wide;
			if (tag == 257 || tag == 278 || tag == 279)
				memcpy(entry + 8, type == 3 ? (void *)&small : (void *)&wide,
				       type == 3 ? 2 : 4);
		}
		testkit_write(path, b, size);
		must_hold(path, "tiff", PN_U16, 5, 6, 4, pixels);
		/* more images than there are bytes */
		char *text = memmem(b, size, "images=5\nslices=5", 17);
		assert_non_null(text);
		memcpy(text, "images=5000000000", 17);
		testkit_write(path, b, size);
		must_refuse(
			path, PN_EFORMAT,
			"ij.tif: header says 5000000000x6x4 u16 (240000000000 bytes), file has");
		must_survive_mutations(path, 65536 * size);
		free(b);
	}
	/* the text survived, the layout did not */
	page.ny = 6;
	page.rows = 6;
	page.compression = COMPRESSION_LZW;
	must_hold(put_tiff("ij.tif", "wl", &page, 1, pixels), "tiff", PN_U16, 1, 6, 4, pixels);
	/* as many directories as images: nothing to guess */
	page.compression = COMPRESSION_NONE;
	must_hold(put_tiff("ij.tif", "wl", &page, 5, pixels), "tiff", PN_U16, 5, 6, 4, pixels);
	free(pixels);
}

static void chains_that_bite_their_tail(void **state)
{
	(void)state;
	uint8_t *pixels = make_pixels(5 * 4);
	const struct page page = { 2, 2, 8, 1, 1, 1, 0, 0, NULL, 0, 0 };
	const char *path = put_tiff("loop.tif", "wl", &page, 5, pixels);
	size_t size;
	char *b = testkit_read(path, &size);
	uint32_t offsets[5], at = 4;

	for (int i = 0; i < 5; i++) {
		uint16_t n;

		memcpy(&offsets[i], b + at, 4);
		memcpy(&n, b + offsets[i], 2);
		at = offsets[i] + 2 + 12 * n;
	}
	for (int i = 0; i < 5; i++) { /* the last directory points to each of them */
		memcpy(b + at, &offsets[i], 4);
		testkit_write(path, b, size);
		must_refuse(path, PN_EFORMAT, "was there before");
	}
	const uint32_t beyond = 1 << 20;
	memcpy(b + at, &beyond, 4);
	testkit_write(path, b, size);
	must_refuse(path, PN_EFORMAT, "page 5 at byte 1048576");
	free(b);
	free(pixels);
}

/* Compressed and tiled files, damaged in every byte; and no word of libtiff's own on stderr. */
static void damage_is_told_in_the_error_only(void **state)
{
	(void)state;
	static const struct {
		uint16_t compression;
		uint32_t tile;
		const char *mode;
	} kinds[] = {
		{ COMPRESSION_LZW, 0, "wb" },
		{ COMPRESSION_ADOBE_DEFLATE, 16, "w8l" },
		{ COMPRESSION_PACKBITS, 0, "wl" },
		{ COMPRESSION_NONE, 16, "wb" },
	};
	uint8_t *pixels = make_pixels(2 * 8 * 9);
	const char *log = testkit_path(dir, "stderr");
	int keep = dup(STDERR_FILENO);
	size_t size;

	fflush(stderr);
	assert_non_null(freopen(log, "w", stderr));
	for (size_t i = 0; i < PN_COUNT(kinds); i++) {
		struct page page = { 9, 8, 8, 1, 1, 1, 3, 0, NULL, 0, 0 };

		page.compression = kinds[i].compression;
		page.tile = kinds[i].tile;
		const char *path = put_tiff("damaged.tif", kinds[i].mode, &page, 2, pixels);
		free(testkit_read(path, &size));
		must_survive_mutations(path, 65536 * size);
	}
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	char *text = testkit_read(log, &size);
	assert_string_equal(text, "");
	free(text);
	free(pixels);
}

static void bad_data_is_told_with_its_page(void **state)
{
	(void)state;
	uint8_t *pixels = make_pixels(2 * 64 * 64), image[64 * 64];
	const struct page page = { 64, 64, 8, 1, 1, COMPRESSION_ADOBE_DEFLATE, 0, 0, NULL, 0, 0 };
	const char *path = put_tiff("bad.tif", "wl", &page, 2, pixels);
	struct pn_error err = { 0 };
	size_t size;
	char *b = testkit_read(path, &size);

	memset(b + 10, 0, 20); /* the first strip follows the file's header */
	testkit_write(path, b, size);
	struct pn_stack *stack = must_open(path);
	assert_int_equal(pn_stack_read(stack, 0, image, &err), PN_EFORMAT);
	assert_non_null(strstr(err.text, "bad.tif: page 0: "));
	assert_true(strlen(strstr(err.text, "page 0: ")) > 12);
	assert_int_equal(pn_stack_read(stack, 1, image, &err), PN_OK);
	assert_memory_equal(image, pixels + 64 * 64, sizeof image);
	pn_stack_close(stack);
	free(b);
	free(pixels);
}

/* The writer takes classic TIFF when the size is known to be small, else BigTIFF. */
static void classic_or_big(void **state)
{
	(void)state;
	static const struct {
		uint64_t hint;
		char version;
	} cases[] = { { 0, 43 }, { 1, 42 }, { 1000000, 42 }, { 8000000, 43 } };
	const uint8_t image[4] = { 1, 2, 3, 4 };
	const char *path = testkit_path(dir, "big.tif");

	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		struct pn_stack_info info = { .dtype = PN_U8, .ny = 2, .nx = 2, .format = "tiff" };
		struct pn_stack_writer *writer;
		struct pn_error err;
		size_t size;

		info.count = cases[i].hint;
		assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
		assert_int_equal(pn_stack_write(writer, image, &err), PN_OK);
		assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
		char *b = testkit_read(path, &size);
		assert_int_equal(b[2], cases[i].version);
		free(b);
		must_hold(path, "tiff", PN_U8, 1, 2, 2, image);
	}
}

static void saved_by_imagej(void **state)
{
	(void)state;
	static const double want[4] = { 2866, 3774, 30845660, 15339908499 };
	const char *path =
		testkit_data("formats/tiff/test_loading_image_saved_with_imageJ_stack.tif");

	if (!path)
		skip();
	must_measure(path, "tiff", PN_F32, 2, 68, 68, want);
	struct pn_stack *stack = must_open(path);
	/* 5928571/1000000 pixels per micron */
	assert_true(fabs(pn_stack_info(stack)->pixel_pm - 1e12 / 5928571) < 0.05);
	pn_stack_close(stack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codecs_strips_tiles_orders),
		cmocka_unit_test(every_type_in_both_orders),
		cmocka_unit_test(pages_that_do_not_match),
		cmocka_unit_test(pixel_sizes),
		cmocka_unit_test(imagej_stacks),
		cmocka_unit_test(chains_that_bite_their_tail),
		cmocka_unit_test(damage_is_told_in_the_error_only),
		cmocka_unit_test(bad_data_is_told_with_its_page),
		cmocka_unit_test(classic_or_big),
		cmocka_unit_test(saved_by_imagej),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
