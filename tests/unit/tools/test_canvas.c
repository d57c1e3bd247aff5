/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A picture shows each value in its place, and nothing beyond its border. */
#include "common/canvas.h"

#include "testkit.h"

#include <math.h>

enum { NY = 40, NX = 60, GRAY = 0x808080 };

static struct pn_canvas *fresh(void)
{
	struct pn_canvas *canvas;

	assert_int_equal(pn_canvas_create(&canvas, NY, NX, GRAY, NULL), PN_OK);
	return canvas;
}

/* Pixels that are not of the first color. */
static size_t touched(const struct pn_canvas *canvas)
{
	size_t count = 0;

	for (size_t y = 0; y < NY; y++)
		for (size_t x = 0; x < NX; x++)
			count += pn_canvas_at(canvas, y, x) != GRAY;
	return count;
}

static void test_rectangles(void **state)
{
	struct pn_canvas *canvas = fresh();

	(void)state;
	assert_int_equal(touched(canvas), 0);
	pn_canvas_rectangle(canvas, 3, 5, 4, 7, 0x102030);
	assert_int_equal(touched(canvas), 28);
	assert_int_equal(pn_canvas_at(canvas, 3, 5), 0x102030);
	assert_int_equal(pn_canvas_at(canvas, 6, 11), 0x102030);
	assert_int_equal(pn_canvas_at(canvas, 7, 11), GRAY);
	pn_canvas_fill(canvas, GRAY);
	pn_canvas_rectangle(canvas, -2, -3, 4, 5, 0); /* 2 x 2 of it are inside */
	pn_canvas_rectangle(canvas, NY - 1, NX - 1, 100, 100, 0);
	pn_canvas_rectangle(canvas, 1000, 1000, 5, 5, 0);
	assert_int_equal(touched(canvas), 5);
	pn_canvas_fill(canvas, GRAY);
	pn_canvas_frame(canvas, 10, 10, 5, 6, 2, 0);
	assert_int_equal(touched(canvas), 9 * 10 - 5 * 6);
	assert_int_equal(pn_canvas_at(canvas, 12, 12), GRAY);
	pn_canvas_destroy(canvas);
}

/* Zoomed by 3 each value is 3 x 3 pixels; reduced by 2 it is the mean of what there is. */
static void test_blit(void **state)
{
	const float value[3][5] = { { 0, 0, 10, 10, 5 },
				    { 0, 0, 10, 10, NAN },
				    { 10, 10, 0, 0, 10 } };
	const struct pn_canvas_image image = {
		.value = value[0], .ny = 3, .nx = 5, .row_stride = 5, .column_stride = 1
	};
	struct pn_canvas_scale scale = { .low = 0, .high = 10, .reduce = 1, .zoom = 3 };
	struct pn_canvas *canvas = fresh();

	(void)state;
	assert_int_equal(pn_canvas_side(&scale, 5), 15);
	pn_canvas_blit(canvas, 2, 4, &image, &scale);
	for (size_t y = 0; y < 9; y++)
		for (size_t x = 0; x < 15; x++) {
			float v = value[y / 3][x / 3];
			unsigned level = isnan(v) ? 0 : (unsigned)lroundf(25.5f * v);

			assert_int_equal(pn_canvas_at(canvas, 2 + y, 4 + x), level * 0x010101);
		}
	assert_int_equal(pn_canvas_at(canvas, 1, 4), GRAY);
	assert_int_equal(pn_canvas_at(canvas, 11, 4), GRAY);
	scale.reduce = 2;
	scale.zoom = 1;
	assert_int_equal(pn_canvas_side(&scale, 5), 3);
	pn_canvas_fill(canvas, GRAY);
	pn_canvas_blit(canvas, 0, 0, &image, &scale);
	assert_int_equal(touched(canvas), 5); /* of six cells one has the color of the ground */
	assert_int_equal(pn_canvas_at(canvas, 0, 0), 0);
	assert_int_equal(pn_canvas_at(canvas, 0, 1), 0xffffff);
	assert_int_equal(pn_canvas_at(canvas, 0, 2), 0x808080); /* 5, and one that is none */
	assert_int_equal(pn_canvas_at(canvas, 1, 2), 0xffffff);
	pn_canvas_blit(canvas, NY - 1, NX - 1, &image, &scale); /* clipped */
	pn_canvas_destroy(canvas);
}

static void test_lines(void **state)
{
	struct pn_canvas *canvas = fresh();
	const struct pn_canvas_point broken[] = { { 5.5, 5.5 }, { NAN, 0 }, { 5.5, 20.5 } };

	(void)state;
	pn_canvas_line(canvas, 10.5, 4.5, 10.5, 30.5, 1.0, 0);
	assert_int_equal(pn_canvas_at(canvas, 10, 17), 0);
	assert_int_equal(pn_canvas_at(canvas, 8, 17), GRAY);
	assert_int_equal(pn_canvas_at(canvas, 10, 40), GRAY);
	pn_canvas_fill(canvas, GRAY);
	pn_canvas_polyline(canvas, broken, 3, 1.0, 0);
	assert_int_equal(pn_canvas_at(canvas, 5, 12), GRAY); /* nothing between the two */
	pn_canvas_fill(canvas, GRAY);
	pn_canvas_line(canvas, -500, -500, 500, 500, 3.0, 0); /* far beyond both corners */
	assert_int_equal(pn_canvas_at(canvas, 20, 20), 0);
	pn_canvas_destroy(canvas);
}

static void test_refused(void **state)
{
	struct pn_canvas *canvas;
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_canvas_create(&canvas, 0, 5, 0, &err), PN_EARG);
	assert_int_equal(pn_canvas_create(&canvas, 5, 1000000, 0, &err), PN_EARG);
	pn_canvas_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rectangles),
		cmocka_unit_test(test_blit),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
