/* SPDX-License-Identifier: GPL-3.0-or-later */
/* canvas.h - a picture in memory: rectangles, lines, images through a color table, text. */
#ifndef PERRIN_TOOLS_CANVAS_H
#define PERRIN_TOOLS_CANVAS_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Positions are in pixels of the picture, x to the right and y down, (0, 0) the corner on the top
 * left; the pixel (y, x) covers x..x+1 and y..y+1. Whatever lies outside is clipped. Colors are
 * 0xRRGGBB, sRGB. Everything that draws allocates nothing and cannot fail; one canvas is drawn on
 * by one thread at a time, different ones by any.
 */

/** A picture. Its pixels may be read, and written, at any time. */
struct pn_canvas {
	size_t ny, nx;
	uint8_t *pixel;    /* [ny][nx][3] red, green, blue */
	uint8_t *coverage; /* [ny][nx] of the line being drawn; 0 in between */
};

/**
 * pn_canvas_create - a picture of one color; caller destroys.
 *
 * Errors: PN_EARG (no pixels, a side above PN_PNG_SIDE_MAX), PN_ENOMEM.
 */
int pn_canvas_create(struct pn_canvas **canvas, size_t ny, size_t nx, uint32_t color,
		     struct pn_error *err);
void pn_canvas_destroy(struct pn_canvas *canvas);

/** pn_canvas_write - as a PNG; see pn_png_write. */
int pn_canvas_write(const struct pn_canvas *canvas, const char *path, struct pn_error *err);

/** pn_canvas_at - the color of a pixel inside. */
uint32_t pn_canvas_at(const struct pn_canvas *canvas, size_t y, size_t x);

/** pn_canvas_fill - all of it. */
void pn_canvas_fill(struct pn_canvas *canvas, uint32_t color);

/** pn_canvas_blend - one pixel, @opacity 0..1 of the way to @color. */
void pn_canvas_blend(struct pn_canvas *canvas, int64_t y, int64_t x, uint32_t color,
		     double opacity);

/** pn_canvas_rectangle - the pixels y .. y + height - 1, x .. x + width - 1. */
void pn_canvas_rectangle(struct pn_canvas *canvas, int64_t y, int64_t x, int64_t height,
			 int64_t width, uint32_t color);

/** pn_canvas_frame - the pixels just outside that rectangle, @thickness deep. */
void pn_canvas_frame(struct pn_canvas *canvas, int64_t y, int64_t x, int64_t height, int64_t width,
		     int64_t thickness, uint32_t color);

/** A point of a line; the center of the pixel (y, x) is (y + 0.5, x + 0.5). */
struct pn_canvas_point {
	double y, x;
};

/**
 * pn_canvas_polyline - straight segments with round ends and joints, anti-aliased:
 *
 *	opacity = width / 2 + 1/2 - distance from the middle line,   held to 0..min(1, width)
 *
 * the largest over the segments, so that joints are no darker than the rest. Of one point: a disk.
 * A point that is not finite interrupts the line.
 *
 * @width_px: > 0
 * Cost: the boxes around the segments.
 */
void pn_canvas_polyline(struct pn_canvas *canvas, const struct pn_canvas_point *point, size_t count,
			double width_px, uint32_t color);

/** pn_canvas_line - a polyline of one segment. */
void pn_canvas_line(struct pn_canvas *canvas, double y0, double x0, double y1, double x1,
		    double width_px, uint32_t color);

/** An image, or a plane of a volume: the value (y, x) is value[y * row_stride + x * column_stride].
 */
struct pn_canvas_image {
	const float *value;
	size_t ny, nx;
	size_t row_stride, column_stride;
};

/** How values become pixels. */
struct pn_canvas_scale {
	float low, high; /* the first and the last color */
	size_t reduce;   /* values along a side that are averaged into one; >= 1 */
	size_t zoom;     /* pixels along a side of each such cell; >= 1 */
	const uint32_t *colors; /* [256]; NULL: black to white */
};

/** pn_canvas_side - pixels that @count values take: ceil(count / reduce) zoom. */
size_t pn_canvas_side(const struct pn_canvas_scale *scale, size_t count);

/**
 * pn_canvas_blit - an image, its first value at (y, x):
 *
 *	color = round(255 (mean - low) / (high - low)),   held to 0..255
 *
 * of the mean over reduce x reduce values, fewer in the last row and column. Values that are not
 * finite count for nothing, a cell of none but those is the first color. With high <= low all
 * above low is the last color.
 */
void pn_canvas_blit(struct pn_canvas *canvas, int64_t y, int64_t x,
		    const struct pn_canvas_image *image, const struct pn_canvas_scale *scale);

/* ---- text: proportional capitals of 7 pixels; figures all have the same width -------------- */

#define PN_CANVAS_CAP     7  /* pixels from the top of a capital to the baseline, at size 1 */
#define PN_CANVAS_DESCENT 2  /* pixels below the baseline */

enum pn_canvas_align { PN_ALIGN_LEFT, PN_ALIGN_CENTER, PN_ALIGN_RIGHT };

/** How text looks. Sizes above 1 have their diagonals smoothed. */
struct pn_canvas_font {
	int size; /* 1..32 */
	uint32_t color;
	enum pn_canvas_align align;
};

/** pn_canvas_text_width - pixels from the left edge of the first letter to the right edge of the
 * last; 0 of "". */
int64_t pn_canvas_text_width(int size, const char *text);

/**
 * pn_canvas_text - one line; returns its width.
 *
 * @y:    the top of the capitals
 * @x:    left edge, middle or right edge, as font->align says
 * @text: UTF-8. There are glyphs for ASCII 32..126, the angstrom (A with ring), degree and
 *        multiplication signs, the minus sign, the middle dot, mu, superscript figures and minus,
 *        and a box for all else.
 */
int64_t pn_canvas_text(struct pn_canvas *canvas, int64_t y, int64_t x,
		       const struct pn_canvas_font *font, const char *text);

#endif
