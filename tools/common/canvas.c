/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "canvas.h"

#include "perrin/format/png.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the picture --------------------------------------------------------------------------- */

int pn_canvas_create(struct pn_canvas **canvas, size_t ny, size_t nx, uint32_t color,
		     struct pn_error *err)
{
	*canvas = NULL;
	if (!ny || !nx || ny > PN_PNG_SIDE_MAX || nx > PN_PNG_SIDE_MAX)
		return pn_error_set(err, PN_EARG, "a picture of %zu x %zu pixels: sides are 1..%d",
				    ny, nx, PN_PNG_SIDE_MAX);
	struct pn_canvas *made = calloc(1, sizeof *made);

	if (!made)
		return pn_error_set(err, PN_ENOMEM, "no memory for a picture");
	*made = (struct pn_canvas){ .ny = ny, .nx = nx };
	made->pixel = malloc(3 * ny * nx);
	made->coverage = calloc(ny * nx, 1);
	if (!made->pixel || !made->coverage) {
		pn_canvas_destroy(made);
		return pn_error_set(err, PN_ENOMEM, "no memory for a picture of %zu x %zu pixels",
				    ny, nx);
	}
	pn_canvas_fill(made, color);
	*canvas = made;
	return PN_OK;
}

void pn_canvas_destroy(struct pn_canvas *canvas)
{
	if (!canvas)
		return;
	free(canvas->pixel);
	free(canvas->coverage);
	free(canvas);
}

int pn_canvas_write(const struct pn_canvas *canvas, const char *path, struct pn_error *err)
{
	return pn_png_write(path, canvas->pixel, canvas->ny, canvas->nx, 3, err);
}

/* ---- pixels -------------------------------------------------------------------------------- */

static void set_pixel(uint8_t *pixel, uint32_t color)
{
	pixel[0] = (uint8_t)(color >> 16);
	pixel[1] = (uint8_t)(color >> 8);
	pixel[2] = (uint8_t)color;
}

static void blend_pixel(uint8_t *pixel, uint32_t color, double opacity)
{
	for (int c = 0; c < 3; c++) {
		double to = color >> (16 - 8 * c) & 255;

		pixel[c] = (uint8_t)(pixel[c] + opacity * (to - pixel[c]) + 0.5);
	}
}

uint32_t pn_canvas_at(const struct pn_canvas *canvas, size_t y, size_t x)
{
	pn_assert(y < canvas->ny && x < canvas->nx);
	const uint8_t *pixel = canvas->pixel + 3 * (y * canvas->nx + x);

	return (uint32_t)pixel[0] << 16 | (uint32_t)pixel[1] << 8 | pixel[2];
}

void pn_canvas_fill(struct pn_canvas *canvas, uint32_t color)
{
	pn_canvas_rectangle(canvas, 0, 0, (int64_t)canvas->ny, (int64_t)canvas->nx, color);
}

void pn_canvas_blend(struct pn_canvas *canvas, int64_t y, int64_t x, uint32_t color, double opacity)
{
	if (y < 0 || x < 0 || y >= (int64_t)canvas->ny || x >= (int64_t)canvas->nx)
		return;
	blend_pixel(canvas->pixel + 3 * ((size_t)y * canvas->nx + (size_t)x), color, opacity);
}

/* ---- rectangles ---------------------------------------------------------------------------- */

/* What of @from .. @from + @length - 1 lies in 0 .. count - 1. */
static size_t clip(int64_t *from, int64_t length, size_t count)
{
	int64_t end = *from + length < (int64_t)count ? *from + length : (int64_t)count;

	*from = *from > 0 ? *from : 0;
	return end > *from ? (size_t)(end - *from) : 0;
}

void pn_canvas_rectangle(struct pn_canvas *canvas, int64_t y, int64_t x, int64_t height,
			 int64_t width, uint32_t color)
{
	size_t rows = clip(&y, height, canvas->ny), columns = clip(&x, width, canvas->nx);

	for (size_t j = 0; j < rows; j++)
		for (size_t i = 0; i < columns; i++)
			set_pixel(canvas->pixel +
					  3 * (((size_t)y + j) * canvas->nx + (size_t)x + i),
				  color);
}

void pn_canvas_frame(struct pn_canvas *canvas, int64_t y, int64_t x, int64_t height, int64_t width,
		     int64_t thickness, uint32_t color)
{
	int64_t t = thickness;

	pn_canvas_rectangle(canvas, y - t, x - t, t, width + 2 * t, color);
	pn_canvas_rectangle(canvas, y + height, x - t, t, width + 2 * t, color);
	pn_canvas_rectangle(canvas, y, x - t, height, t, color);
	pn_canvas_rectangle(canvas, y, x + width, height, t, color);
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Pixels first .. end - 1 along both sides. */
struct region {
	size_t y, y_end, x, x_end;
};

/* The pixels that lie between two positions, clipped. */
static void between(size_t *first, size_t *end, double a, double b, double reach, size_t count)
{
	double low = floor(fmin(a, b) - reach), high = ceil(fmax(a, b) + reach);

	*first = low > 0 ? (size_t)fmin(low, (double)count) : 0;
	*end = high > 0 ? (size_t)fmin(high, (double)count) : 0;
}

static double distance(const struct pn_canvas_point *from, const struct pn_canvas_point *to,
		       double y, double x)
{
	double dy = to->y - from->y, dx = to->x - from->x;
	double length2 = dy * dy + dx * dx;
	double along = length2 > 0 ? ((y - from->y) * dy + (x - from->x) * dx) / length2 : 0;

	along = fmin(1, fmax(0, along));
	return hypot(y - from->y - along * dy, x - from->x - along * dx);
}

static struct region cover_segment(struct pn_canvas *canvas, const struct pn_canvas_point *from,
				   const struct pn_canvas_point *to, double width_px)
{
	double reach = width_px / 2 + 0.5;
	struct region box;

	between(&box.y, &box.y_end, from->y, to->y, reach, canvas->ny);
	between(&box.x, &box.x_end, from->x, to->x, reach, canvas->nx);
	for (size_t y = box.y; y < box.y_end; y++)
		for (size_t x = box.x; x < box.x_end; x++) {
			double off = distance(from, to, (double)y + 0.5, (double)x + 0.5);
			double part = fmin(1, fmax(0, fmin(reach - off, width_px)));
			uint8_t *coverage = &canvas->coverage[y * canvas->nx + x];
			uint8_t level = (uint8_t)(255 * part + 0.5);

			*coverage = level > *coverage ? level : *coverage;
		}
	return box;
}

static void grow(struct region *all, const struct region *box)
{
	if (box->y >= box->y_end || box->x >= box->x_end)
		return;
	all->y = box->y < all->y ? box->y : all->y;
	all->x = box->x < all->x ? box->x : all->x;
	all->y_end = box->y_end > all->y_end ? box->y_end : all->y_end;
	all->x_end = box->x_end > all->x_end ? box->x_end : all->x_end;
}

static void paint_coverage(struct pn_canvas *canvas, const struct region *box, uint32_t color)
{
	for (size_t y = box->y; y < box->y_end; y++)
		for (size_t x = box->x; x < box->x_end; x++) {
			size_t i = y * canvas->nx + x;

			if (canvas->coverage[i])
				blend_pixel(canvas->pixel + 3 * i, color,
					    canvas->coverage[i] / 255.0);
			canvas->coverage[i] = 0;
		}
}

static int is_finite(const struct pn_canvas_point *point)
{
	return isfinite(point->y) && isfinite(point->x);
}

void pn_canvas_polyline(struct pn_canvas *canvas, const struct pn_canvas_point *point, size_t count,
			double width_px, uint32_t color)
{
	struct region all = { canvas->ny, 0, canvas->nx, 0 };

	for (size_t i = 0; i < count; i++) {
		int joined = i > 0 && is_finite(&point[i - 1]);

		if (!is_finite(&point[i]))
			continue;
		struct region box = cover_segment(canvas, joined ? &point[i - 1] : &point[i],
						  &point[i], width_px);

		grow(&all, &box);
	}
	paint_coverage(canvas, &all, color);
}

void pn_canvas_line(struct pn_canvas *canvas, double y0, double x0, double y1, double x1,
		    double width_px, uint32_t color)
{
	const struct pn_canvas_point end[2] = { { y0, x0 }, { y1, x1 } };

	pn_canvas_polyline(canvas, end, 2, width_px, color);
}

/* ---- images -------------------------------------------------------------------------------- */

size_t pn_canvas_side(const struct pn_canvas_scale *scale, size_t count)
{
	return (count + scale->reduce - 1) / scale->reduce * scale->zoom;
}

/* Mean of the finite values of a cell; NaN if there are none. */
static double cell_mean(const struct pn_canvas_image *image, size_t cell_y, size_t cell_x,
			size_t reduce)
{
	size_t y0 = cell_y * reduce, x0 = cell_x * reduce, finite = 0;
	double sum = 0;

	for (size_t y = y0; y < y0 + reduce && y < image->ny; y++)
		for (size_t x = x0; x < x0 + reduce && x < image->nx; x++) {
			float value = image->value[y * image->row_stride + x * image->column_stride];

			if (!isfinite(value))
				continue;
			sum += value;
			finite++;
		}
	return finite ? sum / (double)finite : NAN;
}

static uint32_t color_of(const struct pn_canvas_scale *scale, double value)
{
	double range = (double)scale->high - scale->low, part = value - scale->low;
	int level = part > 0 ? 255 : 0; /* NaN: 0 */

	if (part > 0 && part < range)
		level = (int)(255 * part / range + 0.5);
	return scale->colors ? scale->colors[level] : (uint32_t)level * 0x010101;
}

void pn_canvas_blit(struct pn_canvas *canvas, int64_t y, int64_t x,
		    const struct pn_canvas_image *image, const struct pn_canvas_scale *scale)
{
	size_t rows = (image->ny + scale->reduce - 1) / scale->reduce;
	size_t columns = (image->nx + scale->reduce - 1) / scale->reduce;
	int64_t zoom = (int64_t)scale->zoom;

	for (size_t j = 0; j < rows; j++)
		for (size_t i = 0; i < columns; i++) {
			double mean = cell_mean(image, j, i, scale->reduce);

			pn_canvas_rectangle(canvas, y + (int64_t)j * zoom, x + (int64_t)i * zoom,
					    zoom, zoom, color_of(scale, mean));
		}
}
