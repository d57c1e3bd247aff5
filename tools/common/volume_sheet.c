/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "volume_sheet.h"

#include "canvas.h"
#include "perrin/base/dtype.h"
#include "report/axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAPER  0xffffff
#define INK    0x1c1f24
#define FAINT  0x5f6670 /* what can be read after the rest */
#define GRID   0xe3e6ea
#define MARKED 0xb3441e /* the plane of the missing wedge */

static const uint32_t curve_color[PN_SHEET_CURVES_MAX] = { 0x1f5fa8, 0xd9781c };

enum {
	SIZE = 2, /* of all text */
	CAP = SIZE * PN_CANVAS_CAP,
	LINE = CAP + SIZE * PN_CANVAS_DESCENT, /* a line with its descenders */
	MARGIN = 32,
	GAP = 40,         /* between cells of the page */
	NEAR = 10,        /* between things that belong together */
	LEFT = CAP + 12,  /* of a panel: the arrow down and its letter */
	ABOVE = LINE + NEAR + CAP + 12, /* of a panel: caption, the arrow to the right */
	BELOW = NEAR + LINE,            /* of the panels of the first row: scale bar, grays */
	ARROW = 40,
	TARGET = 400,     /* pixels along the longest side of the volume */
	COLUMN_MIN = 400, /* captions need it */
	ROW_MIN = 72,     /* arrows need it */
	PLOT_WIDTH_MIN = 460,
	PLOT_HEIGHT_MIN = 280,
	PLOT_HEIGHT_MAX = 420,
	TICK = 6,
	RAMP = 96, /* the grays' length */
};

/* ---- what is white ------------------------------------------------------------------------- */

/* Bit patterns of positive floats have the order of their values. */
static uint32_t order_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	return value > 0 ? bits : 0;
}

/* The bin that holds the rank, which becomes the rank within it. */
static uint32_t find_bin(const uint64_t *histogram, uint64_t *rank)
{
	uint32_t bin = 0;

	while (*rank > histogram[bin])
		*rank -= histogram[bin++];
	return bin;
}

/* The 99.9th percentile, exact, by the upper and then the lower half of the bits. */
static int find_white(float *white, const float *volume, size_t voxels, struct pn_error *err)
{
	uint64_t *histogram = calloc(65536, sizeof *histogram), finite = 0;
	uint32_t top = 0;

	if (!histogram)
		return pn_error_set(err, PN_ENOMEM, "no memory for a histogram");
	for (size_t i = 0; i < voxels; i++)
		if (isfinite(volume[i])) {
			uint32_t order = order_of(volume[i]);

			histogram[order >> 16]++;
			top = order > top ? order : top;
			finite++;
		}
	uint64_t rank = finite - finite / 1000;
	uint32_t upper = finite ? find_bin(histogram, &rank) : 0;

	memset(histogram, 0, 65536 * sizeof *histogram);
	for (size_t i = 0; i < voxels; i++)
		if (isfinite(volume[i]) && order_of(volume[i]) >> 16 == upper)
			histogram[order_of(volume[i]) & 0xffff]++;
	uint32_t order = finite ? upper << 16 | find_bin(histogram, &rank) : 0;

	free(histogram);
	order = order ? order : top;
	memcpy(white, &order, sizeof *white);
	return PN_OK;
}

/* ---- layout -------------------------------------------------------------------------------- */

static size_t at_least(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* The whole factor that brings @longest nearest to TARGET, in ratio. */
static void choose_scale(struct pn_volume_sheet_layout *layout, size_t longest)
{
	double side = (double)longest;
	size_t factor = longest < TARGET ? TARGET / longest : longest / TARGET;
	int up = longest < TARGET;
	double below = up ? side * (double)factor : side / (double)factor;
	double above = up ? side * (double)(factor + 1) : side / (double)(factor + 1);

	factor += fabs(log(above / TARGET)) < fabs(log(below / TARGET));
	layout->zoom = up ? factor : 1;
	layout->reduce = up ? 1 : factor;
}

static size_t count_titles(const struct pn_volume_sheet *sheet)
{
	size_t count = 0;

	while (count < PN_SHEET_TITLES_MAX && sheet->title[count])
		count++;
	return count;
}

static struct pn_canvas_scale gray_scale(const struct pn_volume_sheet_layout *layout)
{
	return (struct pn_canvas_scale){
		.high = layout->white, .reduce = layout->reduce, .zoom = layout->zoom
	};
}

/* @labels_px: the widest tick label of the plot's y axis */
static void lay_out(struct pn_volume_sheet_layout *layout, const struct pn_volume_sheet *sheet,
		    size_t labels_px)
{
	const struct pn_box *box = &sheet->box;
	size_t titles = count_titles(sheet);

	choose_scale(layout, at_least(box->nx, at_least(box->ny, box->nz)));
	struct pn_canvas_scale scale = gray_scale(layout);
	size_t nz = pn_canvas_side(&scale, box->nz), ny = pn_canvas_side(&scale, box->ny),
	       nx = pn_canvas_side(&scale, box->nx);
	size_t width[2] = { at_least(nx, COLUMN_MIN),
			    at_least(nz, sheet->curves ? PLOT_WIDTH_MIN : COLUMN_MIN) };
	size_t height[2] = { at_least(ny, ROW_MIN),
			     at_least(nz, sheet->curves ? PLOT_HEIGHT_MIN : ROW_MIN) };

	layout->z_y = layout->x_y = MARGIN + (titles ? titles * (LINE + NEAR) + NEAR : 0) + ABOVE;
	layout->z_x = layout->y_x = MARGIN + LEFT;
	layout->x_x = layout->z_x + width[0] + GAP + LEFT;
	layout->y_y = layout->z_y + height[0] + BELOW + GAP + ABOVE;
	layout->ny = layout->y_y + height[1] + MARGIN;
	layout->nx = layout->x_x + width[1] + MARGIN;
	if (!sheet->curves)
		return;
	layout->plot_y = layout->y_y;
	layout->plot_x = layout->x_x - LEFT + at_least(LEFT, labels_px + TICK + NEAR / 2);
	layout->plot_nx = layout->x_x + width[1] - layout->plot_x;
	layout->plot_ny = height[1] < PLOT_HEIGHT_MAX ? height[1] : PLOT_HEIGHT_MAX;
	/* tick labels and the name of the axis below */
	size_t end = layout->plot_y + layout->plot_ny + TICK + 2 * (LINE + NEAR) + MARGIN;

	layout->ny = at_least(layout->ny, end);
}

/* ---- text ---------------------------------------------------------------------------------- */

static int64_t put(struct pn_canvas *canvas, int64_t y, int64_t x, enum pn_canvas_align align,
		   uint32_t color, const char *text)
{
	const struct pn_canvas_font font = { .size = SIZE, .color = color, .align = align };

	return pn_canvas_text(canvas, y, x, &font, text);
}

/* As much of @text as fits @width pixels, with an ellipsis where some is left out. */
static void shorten(char *out, size_t size, const char *text, int font_size, int64_t width)
{
	size_t keep = strlen(text);

	if (keep >= size)
		keep = size - 4;
	else if (pn_canvas_text_width(font_size, text) <= width) {
		memcpy(out, text, keep + 1);
		return;
	}
	do {
		while (keep && (text[--keep] & 0xc0) == 0x80)
			; /* UTF-8 is cut before a character */
		snprintf(out, size, "%.*s...", (int)keep, text);
	} while (keep && pn_canvas_text_width(font_size, out) > width);
}

static void draw_titles(struct pn_canvas *canvas, const struct pn_volume_sheet *sheet)
{
	int64_t y = MARGIN, width = (int64_t)canvas->nx - 2 * MARGIN;
	size_t count = count_titles(sheet);

	for (size_t i = 0; i < count; i++, y += LINE + NEAR) {
		int fits = pn_canvas_text_width(SIZE, sheet->title[i]) <= width;
		const struct pn_canvas_font font = { .size = fits ? SIZE : 1,
						     .color = i ? FAINT : INK };
		char line[512];

		shorten(line, sizeof line, sheet->title[i], font.size, width);
		pn_canvas_text(canvas, fits ? y : y + CAP - PN_CANVAS_CAP, MARGIN, &font, line);
	}
}

/* ---- panels -------------------------------------------------------------------------------- */

/* An arrow from (y, x), ARROW long, with its letter at the end. */
static void draw_arrow(struct pn_canvas *canvas, double y, double x, int down, const char *letter)
{
	double dy = down, dx = !down, end_y = y + ARROW * dy, end_x = x + ARROW * dx;
	const struct pn_canvas_point head[] = {
		{ end_y - 6 * dy - 5 * dx, end_x - 6 * dx - 5 * dy },
		{ end_y, end_x },
		{ end_y - 6 * dy + 5 * dx, end_x - 6 * dx + 5 * dy },
	};
	/* small letters lie between 2/7 and 7/7 of a capital */
	int64_t text_y = (int64_t)(down ? end_y + NEAR - SIZE * 2 : y + 0.5 - SIZE * 4.5);

	pn_canvas_line(canvas, y, x, end_y, end_x, 2, FAINT);
	pn_canvas_polyline(canvas, head, PN_COUNT(head), 2, FAINT);
	if (down)
		put(canvas, text_y, (int64_t)x, PN_ALIGN_CENTER, FAINT, letter);
	else
		put(canvas, text_y, (int64_t)end_x + NEAR, PN_ALIGN_LEFT, FAINT, letter);
}

/* One plane of the volume, with what surrounds it. */
struct panel {
	size_t y, x; /* corner on the page */
	struct pn_canvas_image image;
	char normal;
	const char *right, *down; /* axes */
	size_t index;
	const char *mark; /* NULL: nothing special */
};

static void draw_panel(struct pn_canvas *canvas, const struct panel *panel,
		       const struct pn_canvas_scale *scale)
{
	int64_t y = (int64_t)panel->y, x = (int64_t)panel->x;
	int64_t height = (int64_t)pn_canvas_side(scale, panel->image.ny);
	int64_t width = (int64_t)pn_canvas_side(scale, panel->image.nx);
	char caption[48];

	snprintf(caption, sizeof caption, "%c = %zu", panel->normal, panel->index);
	int64_t end = x + put(canvas, y - ABOVE, x, PN_ALIGN_LEFT, INK, caption);

	if (panel->mark)
		put(canvas, y - ABOVE, end + 2 * NEAR, PN_ALIGN_LEFT, MARKED, panel->mark);
	draw_arrow(canvas, (double)y - 11, (double)x, 0, panel->right);
	draw_arrow(canvas, (double)y, (double)x - 11, 1, panel->down);
	pn_canvas_frame(canvas, y, x, height, width, 2, panel->mark ? MARKED : GRID);
	pn_canvas_blit(canvas, y, x, &panel->image, scale);
}

static void draw_panels(struct pn_canvas *canvas, const struct pn_volume_sheet *sheet,
			const struct pn_volume_sheet_layout *layout)
{
	const struct pn_canvas_scale scale = gray_scale(layout);
	const float *volume = sheet->volume;
	size_t nz = sheet->box.nz, ny = sheet->box.ny, nx = sheet->box.nx, plane = ny * nx;
	const struct panel panels[] = {
		{ .y = layout->z_y,
		  .x = layout->z_x,
		  .image = { volume + nz / 2 * plane, ny, nx, nx, 1 },
		  .normal = 'z',
		  .right = "x",
		  .down = "y",
		  .index = nz / 2 },
		{ .y = layout->y_y,
		  .x = layout->y_x,
		  .image = { volume + ny / 2 * nx, nz, nx, plane, 1 },
		  .normal = 'y',
		  .right = "x",
		  .down = "z",
		  .index = ny / 2,
		  .mark = "shows the missing wedge" },
		{ .y = layout->x_y,
		  .x = layout->x_x,
		  .image = { volume + nx / 2, ny, nz, nx, plane },
		  .normal = 'x',
		  .right = "z",
		  .down = "y",
		  .index = nx / 2 },
	};

	for (size_t i = 0; i < PN_COUNT(panels); i++)
		draw_panel(canvas, &panels[i], &scale);
}

/* 1, 2 or 5 times a power of ten, at most @value. */
static double round_down(double value)
{
	double power = pow(10, floor(log10(value) + 1e-9)), part = value / power;

	return power * (part > 5 - 1e-9 ? 5 : part > 2 - 1e-9 ? 2 : 1);
}

/* Below the plane z: one bar for all planes, a third of the panel or somewhat less. */
static void draw_scale_bar(struct pn_canvas *canvas, const struct pn_volume_sheet *sheet,
			   const struct pn_volume_sheet_layout *layout)
{
	const struct pn_canvas_scale scale = gray_scale(layout);
	size_t ny = pn_canvas_side(&scale, sheet->box.ny), nx = pn_canvas_side(&scale, sheet->box.nx);
	double px_per_A = (double)layout->zoom / ((double)layout->reduce * sheet->pixel_A);
	double length_A = round_down((double)at_least(nx, COLUMN_MIN / 2) / 3 / px_per_A);
	int64_t length = llround(length_A * px_per_A);
	int64_t y = (int64_t)(layout->z_y + at_least(ny, ROW_MIN) + NEAR), x = (int64_t)layout->z_x;
	char text[48];

	if (length_A < 10 - 1e-9)
		snprintf(text, sizeof text, "%g \xc3\x85", length_A);
	else
		snprintf(text, sizeof text, "%g nm", length_A / 10);
	pn_canvas_rectangle(canvas, y + CAP / 2 - 2, x, 4, length, INK);
	put(canvas, y, x + length + NEAR, PN_ALIGN_LEFT, INK, text);
}

/* Below the plane x: which values the grays are. */
static void draw_grays(struct pn_canvas *canvas, const struct pn_volume_sheet *sheet,
		       const struct pn_volume_sheet_layout *layout)
{
	const struct pn_canvas_scale scale = gray_scale(layout);
	size_t ny = pn_canvas_side(&scale, sheet->box.ny);
	int64_t y = (int64_t)(layout->x_y + at_least(ny, ROW_MIN) + NEAR), x = (int64_t)layout->x_x;
	char text[32];

	x += put(canvas, y, x, PN_ALIGN_LEFT, INK, "0") + NEAR;
	for (int i = 0; i < RAMP; i++)
		pn_canvas_rectangle(canvas, y, x + i, CAP, 1,
				    (uint32_t)(i * 255 / (RAMP - 1)) * 0x010101);
	pn_canvas_frame(canvas, y, x, CAP, RAMP, 1, FAINT);
	snprintf(text, sizeof text, "%.3g", (double)layout->white);
	put(canvas, y, x + RAMP + NEAR, PN_ALIGN_LEFT, INK, text);
}

/* ---- plot ---------------------------------------------------------------------------------- */

struct plot {
	const struct pn_volume_sheet *sheet;
	struct report_scale x, y;
	int64_t top, bottom, left, right; /* of its frame, inside */
};

static int can_draw(const struct pn_sheet_curve *curve, size_t i)
{
	return report_can_draw(0, curve->x[i]) && report_can_draw(0, curve->y[i]);
}

static void find_ranges(const struct pn_volume_sheet *sheet, struct report_range *x,
			struct report_range *y)
{
	*x = *y = (struct report_range){ INFINITY, -INFINITY };
	for (size_t c = 0; c < sheet->curves; c++)
		for (size_t i = 0; i < sheet->curve[c].count; i++)
			if (can_draw(&sheet->curve[c], i)) {
				report_range_add(x, sheet->curve[c].x[i]);
				report_range_add(y, sheet->curve[c].y[i]);
			}
}

/* Ranges and ticks; where they stand is not known yet. */
static int plan_plot(struct plot *plot, const struct pn_volume_sheet *sheet, struct pn_error *err)
{
	struct report_axis x_axis = { 0 }, y_axis = { 0 };
	struct report_range x, y;

	*plot = (struct plot){ .sheet = sheet };
	find_ranges(sheet, &x, &y);
	if (x.min == x.max) {
		x.min -= 1;
		x.max += 1;
	}
	y_axis.log = report_can_draw(1, y.min) && y.max / 30 > y.min;
	if (y.min >= 0 && y.max > 2 * y.min && !y_axis.log)
		y_axis.max = NAN; /* begins at 0 */
	/* iterations are whole: no ticks between them */
	unsigned wanted = x.max - x.min >= 1 && x.max - x.min < 5 ? (unsigned)(x.max - x.min) : 5;
	int rc = report_scale_init(&plot->x, &x_axis, x, (double[2]){ 0.02, 0.02 }, wanted, err);

	if (!rc)
		rc = report_scale_init(&plot->y, &y_axis, y, (double[2]){ 0.05, 0.05 }, 5, err);
	return rc;
}

static size_t labels_width(const struct report_scale *scale)
{
	int64_t widest = 0;

	for (size_t i = 0; i < scale->ticks_count; i++) {
		int64_t width = pn_canvas_text_width(SIZE, scale->ticks[i].label);

		widest = width > widest ? width : widest;
	}
	return (size_t)widest;
}

static void place_plot(struct plot *plot, const struct pn_volume_sheet_layout *layout)
{
	plot->top = (int64_t)layout->plot_y;
	plot->bottom = plot->top + (int64_t)layout->plot_ny;
	plot->left = (int64_t)layout->plot_x;
	plot->right = plot->left + (int64_t)layout->plot_nx;
	plot->x.from_px = (double)plot->left;
	plot->x.to_px = (double)plot->right;
	plot->y.from_px = (double)plot->bottom;
	plot->y.to_px = (double)plot->top;
}

static void draw_x_axis(struct pn_canvas *canvas, const struct plot *plot)
{
	for (size_t i = 0; i < plot->x.ticks_count; i++) {
		const struct report_tick *tick = &plot->x.ticks[i];
		int64_t x = llround(report_scale_px(&plot->x, tick->value));

		if (tick->major)
			pn_canvas_rectangle(canvas, plot->top, x, plot->bottom - plot->top, 1,
					    GRID);
		pn_canvas_rectangle(canvas, plot->bottom, x, tick->major ? TICK : TICK / 2, 1, INK);
		put(canvas, plot->bottom + TICK + NEAR / 2, x, PN_ALIGN_CENTER, INK, tick->label);
	}
	pn_canvas_rectangle(canvas, plot->bottom, plot->left, 1, plot->right - plot->left, INK);
}

static void draw_y_axis(struct pn_canvas *canvas, const struct plot *plot)
{
	for (size_t i = 0; i < plot->y.ticks_count; i++) {
		const struct report_tick *tick = &plot->y.ticks[i];
		int64_t y = llround(report_scale_px(&plot->y, tick->value));
		int64_t length = tick->major ? TICK : TICK / 2;

		if (tick->major)
			pn_canvas_rectangle(canvas, y, plot->left, 1, plot->right - plot->left,
					    GRID);
		pn_canvas_rectangle(canvas, y, plot->left - length, 1, length, INK);
		put(canvas, y - CAP / 2, plot->left - TICK - NEAR / 2, PN_ALIGN_RIGHT, INK,
		    tick->label);
	}
	pn_canvas_rectangle(canvas, plot->top, plot->left - 1, plot->bottom - plot->top + 1, 1,
			    INK);
}

/* "R" and "x10^-3" become one text that fits. */
static void name_axis(char *out, size_t size, const char *name, const struct report_scale *scale,
		      int64_t width)
{
	char whole[256];

	snprintf(whole, sizeof whole, "%s%s%s", name ? name : "",
		 name && name[0] && scale->factor[0] ? "  " : "", scale->factor);
	shorten(out, size, whole, SIZE, width);
}

static void draw_names(struct pn_canvas *canvas, const struct plot *plot)
{
	char text[128];

	name_axis(text, sizeof text, plot->sheet->x_name, &plot->x, plot->right - plot->left);
	put(canvas, plot->bottom + TICK + NEAR / 2 + LINE + NEAR, (plot->left + plot->right) / 2,
	    PN_ALIGN_CENTER, INK, text);
	name_axis(text, sizeof text, plot->sheet->y_name, &plot->y, plot->right - plot->left);
	put(canvas, plot->top - LINE - NEAR, plot->left, PN_ALIGN_LEFT, INK, text);
}

/* In the line of the captions, each curve in its own half. */
static void draw_legend(struct pn_canvas *canvas, const struct plot *plot)
{
	const struct pn_volume_sheet *sheet = plot->sheet;
	int64_t y = plot->top - ABOVE, x = plot->left, swatch = 28;
	int64_t room = (plot->right - plot->left) / (int64_t)sheet->curves - swatch - 4 * NEAR;
	char text[128];

	for (size_t c = 0; c < sheet->curves; c++) {
		if (!sheet->curve[c].name || !sheet->curve[c].name[0])
			continue;
		shorten(text, sizeof text, sheet->curve[c].name, SIZE, room);
		pn_canvas_line(canvas, (double)y + CAP / 2.0, (double)x + 1.5,
			       (double)y + CAP / 2.0, (double)(x + swatch) - 1.5, 3,
			       curve_color[c]);
		x += swatch + NEAR;
		x += put(canvas, y, x, PN_ALIGN_LEFT, INK, text) + 3 * NEAR;
	}
}

static int draw_curve(struct pn_canvas *canvas, const struct plot *plot, size_t which,
		      struct pn_error *err)
{
	const struct pn_sheet_curve *curve = &plot->sheet->curve[which];
	struct pn_canvas_point *point = malloc((curve->count + !curve->count) * sizeof *point);
	size_t count = 0;

	if (!point)
		return pn_error_set(err, PN_ENOMEM, "no memory for a curve of %zu points",
				    curve->count);
	for (size_t i = 0; i < curve->count; i++)
		if (can_draw(curve, i))
			point[count++] = (struct pn_canvas_point){
				.y = report_scale_px(&plot->y, curve->y[i]) + 0.5,
				.x = report_scale_px(&plot->x, curve->x[i]) + 0.5,
			};
	pn_canvas_polyline(canvas, point, count, 2.5, curve_color[which]);
	/* few points are shown themselves; one is nothing else */
	if ((int64_t)count * 16 < plot->right - plot->left)
		for (size_t i = 0; i < count; i++)
			pn_canvas_polyline(canvas, &point[i], 1, 7, curve_color[which]);
	free(point);
	return PN_OK;
}

static int draw_plot(struct pn_canvas *canvas, const struct plot *plot, struct pn_error *err)
{
	int rc = PN_OK, any = 0;

	draw_x_axis(canvas, plot);
	draw_y_axis(canvas, plot);
	draw_names(canvas, plot);
	draw_legend(canvas, plot);
	for (size_t c = 0; c < plot->sheet->curves && !rc; c++) {
		rc = draw_curve(canvas, plot, c, err);
		for (size_t i = 0; i < plot->sheet->curve[c].count && !any; i++)
			any = can_draw(&plot->sheet->curve[c], i);
	}
	if (!any)
		put(canvas, (plot->top + plot->bottom - CAP) / 2, (plot->left + plot->right) / 2,
		    PN_ALIGN_CENTER, FAINT, "no values");
	return rc;
}

/* ---- the page ------------------------------------------------------------------------------ */

static int check(const struct pn_volume_sheet *sheet, struct pn_error *err)
{
	const struct pn_box *box = &sheet->box;
	const uint64_t shape[3] = { box->nz, box->ny, box->nx };
	uint64_t bytes;

	if (!sheet->volume || !box->nz || !box->ny || !box->nx ||
	    pn_array_bytes(PN_F32, 3, shape, &bytes))
		return pn_error_set(err, PN_EARG, "no picture of a volume of %zu x %zu x %zu voxels",
				    box->nz, box->ny, box->nx);
	if (!(sheet->pixel_A >= 0) || isinf(sheet->pixel_A))
		return pn_error_set(err, PN_EARG, "voxels of %g A", sheet->pixel_A);
	if (sheet->curves > PN_SHEET_CURVES_MAX)
		return pn_error_set(err, PN_EARG, "%zu curves: there is room for %d", sheet->curves,
				    PN_SHEET_CURVES_MAX);
	for (size_t c = 0; c < sheet->curves; c++)
		if (sheet->curve[c].count && (!sheet->curve[c].x || !sheet->curve[c].y))
			return pn_error_set(err, PN_EARG, "curve %zu: %zu points without values", c,
					    sheet->curve[c].count);
	return PN_OK;
}

static int draw_page(struct pn_canvas *canvas, const struct pn_volume_sheet *sheet,
		     const struct pn_volume_sheet_layout *layout, struct plot *plot,
		     struct pn_error *err)
{
	draw_titles(canvas, sheet);
	draw_panels(canvas, sheet, layout);
	draw_grays(canvas, sheet, layout);
	if (sheet->pixel_A > 0)
		draw_scale_bar(canvas, sheet, layout);
	if (!sheet->curves)
		return PN_OK;
	place_plot(plot, layout);
	return draw_plot(canvas, plot, err);
}

int pn_volume_sheet(const char *path, const struct pn_volume_sheet *sheet,
		    struct pn_volume_sheet_layout *layout, struct pn_error *err)
{
	const struct pn_box *box = &sheet->box;
	struct pn_volume_sheet_layout made = { 0 };
	struct pn_canvas *canvas = NULL;
	struct plot plot;
	int rc = check(sheet, err);

	if (!rc)
		rc = plan_plot(&plot, sheet, err);
	if (!rc)
		rc = find_white(&made.white, sheet->volume, box->nz * box->ny * box->nx, err);
	if (rc)
		return rc;
	lay_out(&made, sheet, labels_width(&plot.y));
	rc = pn_canvas_create(&canvas, made.ny, made.nx, PAPER, err);
	if (!rc)
		rc = draw_page(canvas, sheet, &made, &plot, err);
	if (!rc)
		rc = pn_canvas_write(canvas, path, err);
	pn_canvas_destroy(canvas);
	if (!rc && layout)
		*layout = made;
	return rc;
}
