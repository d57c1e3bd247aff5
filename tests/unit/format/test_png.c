/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/format/png.h"
#include "testkit.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must_write(const char *path, const uint8_t *pixels, size_t ny, size_t nx, int channels)
{
	struct pn_error err = { 0 };

	if (pn_png_write(path, pixels, ny, nx, channels, &err) != PN_OK)
		fail_msg("%s", err.text);
}

/* Read back row by row with libpng's other interface, nothing converted. */
static void must_hold(const char *path, const uint8_t *pixels, size_t ny, size_t nx, int channels)
{
	FILE *file = fopen(path, "rb");
	png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	uint8_t *row = malloc(nx * 4);

	assert_true(file && png && info && row);
	if (setjmp(png_jmpbuf(png)))
		fail_msg("%s: libpng does not read it", path);
	png_init_io(png, file);
	png_read_info(png, info);
	assert_int_equal(png_get_image_width(png, info), nx);
	assert_int_equal(png_get_image_height(png, info), ny);
	assert_int_equal(png_get_bit_depth(png, info), 8);
	assert_int_equal(png_get_color_type(png, info),
			 channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB);
	for (size_t y = 0; y < ny; y++) {
		png_read_row(png, row, NULL);
		assert_memory_equal(row, pixels + y * nx * channels, nx * channels);
	}
	png_read_end(png, NULL);
	png_destroy_read_struct(&png, &info, NULL);
	fclose(file);
	free(row);
}

static void every_pixel_comes_back(void **state)
{
	static const size_t sides[][2] = { { 1, 1 }, { 1, 300 }, { 257, 1 }, { 37, 53 } };
	const char *path = testkit_path(testkit_tempdir(), "picture.png");
	uint8_t pixels[37 * 53 * 3];

	(void)state;
	for (size_t i = 0; i < sizeof pixels; i++)
		pixels[i] =
			(uint8_t)(i * i / 7 + i); /* every value, and unlike in rows and columns */
	for (size_t s = 0; s < PN_COUNT(sides); s++)
		for (int channels = 1; channels <= 3; channels += 2) {
			must_write(path, pixels, sides[s][0], sides[s][1], channels);
			must_hold(path, pixels, sides[s][0], sides[s][1], channels);
		}
}

static void equal_pixels_give_equal_bytes(void **state)
{
	const char *dir = testkit_tempdir();
	const char *path[2] = { testkit_path(dir, "a.png"), testkit_path(dir, "b.png") };
	uint8_t pixels[20 * 30] = { 1, 2, 3, 250, 77 };
	size_t count[2];

	(void)state;
	must_write(path[0], pixels, 20, 30, 1);
	must_write(path[1], pixels, 20, 30, 1);
	char *a = testkit_read(path[0], &count[0]), *b = testkit_read(path[1], &count[1]);

	assert_int_equal(count[0], count[1]);
	assert_memory_equal(a, b, count[0]);
	free(a);
	free(b);
}

static void must_refuse(const char *path, size_t ny, size_t nx, int channels, int code,
			const char *words)
{
	static const uint8_t pixels[48];
	struct pn_error err = { 0 };

	assert_int_equal(pn_png_write(path, pixels, ny, nx, channels, &err), code);
	if (err.code != code || !strstr(err.text, words))
		fail_msg("\"%s\", want \"%s\"", err.text, words);
}

static void what_cannot_be_written_is_told(void **state)
{
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "old.png");
	size_t count;

	(void)state;
	testkit_write(path, "old", 3);
	must_refuse(path, 4, 4, 2, PN_EARG, "2 channels");
	must_refuse(path, 4, 4, 4, PN_EARG, "4 channels");
	must_refuse(path, 0, 4, 1, PN_EARG, "0 x 4");
	must_refuse(path, 4, 0, 3, PN_EARG, "4 x 0");
	must_refuse(path, 65536, 1, 1, PN_EARG, "65536 x 1");
	must_refuse(path, 1, SIZE_MAX, 1, PN_EARG, "1 x 18446744073709551615");
	must_refuse(path, 65535, 65535, 3, PN_EARG, "65535 x 65535");
	must_refuse(testkit_path(dir, "no/such.png"), 4, 4, 1, PN_ENOENT, "no/such.png");
	must_refuse(dir, 4, 4, 1, PN_EIO, dir);
	if (access("/dev/full", W_OK) == 0)
		must_refuse("/dev/full", 4, 4, 3, PN_ENOSPC, "/dev/full");
	char *old = testkit_read(path, &count);

	assert_string_equal(old, "old");
	free(old);
	assert_int_equal(access(testkit_path(dir, "old.png.part"), F_OK), -1);
	must_write(path, (const uint8_t[4]){ 1, 2, 3, 4 }, 2, 2, 1); /* takes the old one's place */
	must_hold(path, (const uint8_t[4]){ 1, 2, 3, 4 }, 2, 2, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pixel_comes_back),
		cmocka_unit_test(equal_pixels_give_equal_bytes),
		cmocka_unit_test(what_cannot_be_written_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
