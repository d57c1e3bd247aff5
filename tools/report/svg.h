/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svg.h - what the parts of a plot share while it is drawn. */
#ifndef PERRIN_TOOLS_REPORT_SVG_H
#define PERRIN_TOOLS_REPORT_SVG_H

#include "axis.h"

#define REPORT_TEXT_PX 12.0
#define REPORT_INK     "#333333" /* axes and texts; style.css turns the greys for dark pages */
#define REPORT_GRID    "#e3e6ea"
#define REPORT_PAPER   "#ffffff"

/** A 2D histogram. report_map_count makes it, report_map_free frees it. */
struct report_map {
	size_t bins;
	double *count; /* [bins y][bins x] */
	double largest;
	int log;
};

/** A plot under way. Pixels count from the upper left corner. */
struct report_canvas {
	FILE *out;
	const struct report_plot *plot;
	double width, height;
	double left, right, top, bottom; /* of the area inside the axes */
	struct report_scale x, y;
	struct report_map map;
	size_t lost; /* values that were not drawn */
};

/* ranges.c */

/** report_check_plot - PN_EARG where arrays are missing or a kind is unknown. */
int report_check_plot(const struct report_plot *plot, struct pn_error *err);

/** report_data_range - what the series cover along x and y, with error bars and bar widths. */
void report_data_range(const struct report_plot *plot, struct report_range *x,
		       struct report_range *y);

/** report_bar_width - room of one place of bars on the x axis, in its unit. */
double report_bar_width(const struct report_plot *plot);

/** report_bar_base - where bar @i of series @s begins: 0, or the bars below it in a stack. */
double report_bar_base(const struct report_plot *plot, size_t s, size_t i);

/** report_x - x of value @i; its index where there is no x. */
static inline double report_x(const struct report_series *series, size_t i)
{
	return series->x ? series->x[i] : (double)i;
}

/* series.c */

/** report_color - "#0072b2" of series @s of the plot. */
const char *report_color(const struct report_plot *plot, size_t s);

/** report_draw_series - all of them, in order. Counts what is lost. */
void report_draw_series(struct report_canvas *canvas);

/** report_draw_key - the sample of series @s in the legend, 22 px wide, its middle at y. */
void report_draw_key(struct report_canvas *canvas, size_t s, double x, double y);

/* map.c */

/** report_map_count - if the plot has a REPORT_MAP, count it over the scales of the canvas. */
int report_map_count(struct report_canvas *canvas, struct pn_error *err);
void report_map_draw(struct report_canvas *canvas);
/** report_map_bar - the colours and what they mean, right of the axes. */
int report_map_bar(struct report_canvas *canvas, struct pn_error *err);
void report_map_free(struct report_map *map);

#endif
