/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One page of a reconstruction: a marked voxel shows in the right panels, at the right place. */
#include "common/volume_sheet.h"

#include "testkit.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

enum { NZ = 20, NY = 24, NX = 30 };

static float volume[NZ * NY * NX];

struct picture {
	size_t ny, nx;
	uint8_t *pixel; /* gray */
};

static struct picture read_back(const char *path)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	struct picture p;

	assert_true(png_image_begin_read_from_file(&image, path));
	image.format = PNG_FORMAT_GRAY;
	p.ny = image.height;
	p.nx = image.width;
	p.pixel = malloc(PNG_IMAGE_SIZE(image));
	assert_true(png_image_finish_read(&image, NULL, p.pixel, 0, NULL));
	return p;
}

/* The gray of a voxel of a panel: the middle of its pixels. */
static int gray(const struct picture *p, const struct pn_volume_sheet_layout *l, size_t corner_y,
		size_t corner_x, size_t row, size_t column)
{
	size_t y = corner_y + row * l->zoom / l->reduce + l->zoom / 2;
	size_t x = corner_x + column * l->zoom / l->reduce + l->zoom / 2;

	assert_true(y < p->ny && x < p->nx);
	return p->pixel[y * p->nx + x];
}

static void test_places(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "sheet.png");
	const double x[] = { 1, 2, 3, 4 }, y[] = { 0.5, 0.1, NAN, 0.01 };
	struct pn_volume_sheet sheet = { .volume = volume,
					 .box = { NZ, NY, NX },
					 .pixel_A = 0.35,
					 .title = { "a title" },
					 .curve = { { "R1", x, y, 4 } },
					 .curves = 1,
					 .x_name = "iteration",
					 .y_name = "R" };
	struct pn_volume_sheet_layout l;
	struct pn_error err = { 0 };

	(void)state;
	memset(volume, 0, sizeof volume);
	volume[((NZ / 2) * NY + 3) * NX + 7] = 1; /* in the plane z = nz / 2 */
	volume[(4 * NY + NY / 2) * NX + 25] = 1;  /* y = ny / 2 */
	volume[(15 * NY + 20) * NX + NX / 2] = 1; /* x = nx / 2 */
	volume[(2 * NY + 2) * NX + 2] = 1;        /* in none of them */
	assert_int_equal(pn_volume_sheet(path, &sheet, &l, &err), PN_OK);

	struct picture p = read_back(path);
	size_t bright = 0;

	assert_int_equal(p.ny, l.ny);
	assert_int_equal(p.nx, l.nx);
	assert_true(gray(&p, &l, l.z_y, l.z_x, 3, 7) > 250);
	assert_true(gray(&p, &l, l.y_y, l.y_x, 4, 25) > 250);
	assert_true(gray(&p, &l, l.x_y, l.x_x, 20, 15) > 250);
	for (size_t r = 0; r < NY; r++)
		for (size_t c = 0; c < NX; c++)
			bright += gray(&p, &l, l.z_y, l.z_x, r, c) > 128;
	assert_int_equal(bright, 1);
	assert_true(l.plot_ny > 50 && l.plot_nx > 50);
	free(p.pixel);
}

/* Large, thin, empty, not finite, without curve or pixel size: a page all the same. */
static void test_odd_volumes(void **state)
{
	static const struct pn_box boxes[] = { { 1, 1, 1 }, { 300, 2, 5 }, { 8, 90, 8 } };
	const char *path = testkit_path(testkit_tempdir(), "odd.png");
	float *odd = calloc(300 * 100 * 8, sizeof *odd);
	struct pn_error err = { 0 };

	(void)state;
	assert_non_null(odd);
	odd[0] = NAN;
	for (size_t i = 0; i < PN_COUNT(boxes); i++) {
		struct pn_volume_sheet sheet = { .volume = odd, .box = boxes[i] };

		assert_int_equal(pn_volume_sheet(path, &sheet, NULL, &err), PN_OK);
		struct picture p = read_back(path);

		assert_true(p.ny > 100 && p.nx > 100 && p.ny < 3000 && p.nx < 3000);
		free(p.pixel);
	}
	free(odd);
}

static void test_refused(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "none.png");
	struct pn_volume_sheet none = { .volume = volume };
	struct pn_volume_sheet curves = { .volume = volume, .box = { 1, 1, 1 }, .curves = 3 };
	struct pn_volume_sheet nowhere = { .volume = volume, .box = { 1, 1, 1 } };
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_volume_sheet(path, &none, NULL, &err), PN_EARG);
	assert_int_equal(pn_volume_sheet(path, &curves, NULL, &err), PN_EARG);
	assert_true(pn_volume_sheet("/no/such/folder/a.png", &nowhere, NULL, &err) < 0);
	assert_non_null(strstr(err.text, "/no/such/folder"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_odd_volumes),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
