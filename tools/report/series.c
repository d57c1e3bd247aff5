/* SPDX-License-Identifier: GPL-3.0-or-later */
/* series.c - lines, points, bars, histograms, error bars. */
#include "html.h"
#include "svg.h"

#include <math.h>

#define TOOLTIPS_MAX 400 /* more points than that are one path without texts */
#define BAR_PART     0.8 /* of a place that its bars fill */
#define CAP_PX       3.0 /* half the cap of an error bar */
#define SYMBOLS      4

/* M. Okabe and K. Ito, "Color universal design", 2008: told apart with any kind of color vision.
 * Yellow is too pale for lines on white and comes late. */
static const char *const palette[REPORT_COLORS] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5a6068", "#d8c800",
};

static int color_of(const struct report_plot *plot, size_t s)
{
	int color = plot->series[s].color;

	if (color)
		return color - 1;
	for (size_t k = 0; k < s; k++) /* lines and marks at rest take no color from the others */
		color += plot->series[k].kind != REPORT_MAP && plot->series[k].kind != REPORT_MARKS;
	return color % REPORT_COLORS;
}

const char *report_color(const struct report_plot *plot, size_t s)
{
	if (!plot->series[s].color &&
	    (plot->series[s].kind == REPORT_MARKS || plot->series[s].kind == REPORT_HLINE ||
	     plot->series[s].kind == REPORT_VLINE))
		return "#5a6068";
	return palette[color_of(plot, s)];
}

/* Whether value @i can be drawn; counts it if not. NaN is no value and no loss. */
static int shown(struct report_canvas *canvas, const struct report_series *series, size_t i)
{
	double x = report_x(series, i), y = series->y[i] + series->offset;

	if (isnan(x) || isnan(y))
		return 0;
	if (report_scale_holds(&canvas->x, x) && report_scale_holds(&canvas->y, y))
		return 1;
	canvas->lost++;
	return 0;
}

static void put_tooltip(struct report_canvas *canvas, const struct report_series *series, size_t i)
{
	const struct report_axis *axis = &canvas->plot->x;
	double x = report_x(series, i);

	fputs("<title>", canvas->out);
	report_put_text(canvas->out, series->name);
	fputs(series->name ? ": " : "", canvas->out);
	if (axis->categories_count && x >= 0 && x < axis->categories_count)
		report_put_text(canvas->out, axis->categories[(size_t)x]);
	else
		fprintf(canvas->out, "%.4g", x);
	fprintf(canvas->out, ", %.4g", series->y[i]);
	if (series->error && isfinite(series->error[i]))
		fprintf(canvas->out, " \xc2\xb1 %.2g", series->error[i]);
	fputs("</title>", canvas->out);
}

/* ---- error bars ---------------------------------------------------------------------------- */

static double clamp(double px, double a, double b)
{
	return fmin(fmax(px, fmin(a, b)), fmax(a, b));
}

static void draw_error(struct report_canvas *canvas, double x_px, double y, double error,
		       const char *color)
{
	if (!(error > 0) || !isfinite(error))
		return;
	double low = report_scale_px(&canvas->y, y - error);
	double high = report_scale_px(&canvas->y, y + error);

	low = clamp(low, canvas->top, canvas->bottom);
	high = clamp(high, canvas->top, canvas->bottom);
	fprintf(canvas->out,
		"<path d=\"M%.2f %.2fV%.2fM%.2f %.2fh%.2fM%.2f %.2fh%.2f\" fill=\"none\" "
		"stroke=\"%s\" stroke-width=\"1.2\"/>\n",
		x_px, low, high, x_px - CAP_PX, low, 2 * CAP_PX, x_px - CAP_PX, high, 2 * CAP_PX,
		color);
}

/* ---- lines and points ---------------------------------------------------------------------- */

static void draw_line(struct report_canvas *canvas, size_t s)
{
	const struct report_series *series = &canvas->plot->series[s];
	int pen_down = 0;

	fprintf(canvas->out,
		"<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" "
		"stroke-linejoin=\"round\"%s "
		"d=\"",
		report_color(canvas->plot, s), series->dashed ? " stroke-dasharray=\"6 4\"" : "");
	for (size_t i = 0; i < series->count; i++) {
		double x = report_x(series, i), y = series->y[i] + series->offset;
		int drawn = report_can_draw(canvas->x.log, x) && report_can_draw(canvas->y.log, y);

		shown(canvas, series, i); /* the line goes on outside the axes, but it counts */
		if (drawn)
			fprintf(canvas->out, "%c%.2f %.2f", pen_down ? 'L' : 'M',
				report_scale_px(&canvas->x, x), report_scale_px(&canvas->y, y));
		pen_down = drawn;
	}
	fputs("\"/>\n", canvas->out);
}

static void put_symbol(FILE *out, int symbol, double x, double y, const char *color)
{
	static const char *const path[SYMBOLS] = {
		"m-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0z",
		"m-3.2 -3.2h6.4v6.4h-6.4z",
		"m0 -4.2l4.1 7.1h-8.2z",
		"m0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z",
	};

	fprintf(out, "<path d=\"M%.2f %.2f%s\" fill=\"%s\" stroke=\"" REPORT_PAPER "\">", x, y,
		path[symbol % SYMBOLS], color);
}

static void draw_dots(struct report_canvas *canvas, size_t s)
{
	const struct report_series *series = &canvas->plot->series[s];

	fprintf(canvas->out,
		"<path fill=\"none\" stroke=\"%s\" stroke-width=\"3\" stroke-linecap=\"round\" "
		"stroke-opacity=\"0.6\" d=\"",
		report_color(canvas->plot, s));
	for (size_t i = 0; i < series->count; i++)
		if (shown(canvas, series, i))
			fprintf(canvas->out, "M%.1f %.1fh0",
				report_scale_px(&canvas->x, report_x(series, i)),
				report_scale_px(&canvas->y, series->y[i] + series->offset));
	fputs("\"/>\n", canvas->out);
}

static void draw_points(struct report_canvas *canvas, size_t s, int count_lost)
{
	const struct report_series *series = &canvas->plot->series[s];
	const char *color = report_color(canvas->plot, s);
	size_t lost = canvas->lost;

	for (size_t i = 0; i < series->count && series->error; i++)
		if (shown(canvas, series, i))
			draw_error(canvas, report_scale_px(&canvas->x, report_x(series, i)),
				   series->y[i] + series->offset, series->error[i], color);
	canvas->lost = lost;
	if (series->kind == REPORT_LINE)
		return;
	if (series->count > TOOLTIPS_MAX)
		draw_dots(canvas, s);
	for (size_t i = 0; i < series->count && series->count <= TOOLTIPS_MAX; i++) {
		if (!shown(canvas, series, i))
			continue;
		put_symbol(canvas->out, color_of(canvas->plot, s),
			   report_scale_px(&canvas->x, report_x(series, i)),
			   report_scale_px(&canvas->y, series->y[i] + series->offset), color);
		put_tooltip(canvas, series, i);
		fputs("</path>\n", canvas->out);
	}
	canvas->lost = count_lost ? canvas->lost : lost;
}

/* ---- bars and histograms ------------------------------------------------------------------- */

static void bar_place(const struct report_plot *plot, size_t s, double *from, double *width)
{
	size_t sets = 0, place = 0;

	for (size_t k = 0; k < plot->series_count; k++)
		if (plot->series[k].kind == REPORT_BARS) {
			place = k == s ? sets : place;
			sets++;
		}
	if (plot->stacked) {
		sets = 1;
		place = 0;
	}
	*width = BAR_PART * report_bar_width(plot) / sets;
	*from = -BAR_PART * report_bar_width(plot) / 2 + place * *width;
}

static void draw_bars(struct report_canvas *canvas, size_t s)
{
	const struct report_plot *plot = canvas->plot;
	const struct report_series *series = &plot->series[s];
	double from, width;

	bar_place(plot, s, &from, &width);
	for (size_t i = 0; i < series->count; i++) {
		double base = report_bar_base(plot, s, i) + series->offset;
		double x = report_x(series, i) + from, y = base + series->y[i];

		if (isnan(x) || isnan(y))
			continue;
		if (!report_scale_holds(&canvas->x, report_x(series, i)) ||
		    !report_scale_holds(&canvas->y, y)) {
			canvas->lost += !(series->y[i] == 0 && canvas->y.log);
			if (!report_can_draw(0, x) || !report_can_draw(0, y))
				continue;
		}
		double left = report_scale_px(&canvas->x, x);
		double right = report_scale_px(&canvas->x, x + width);
		double low = clamp(report_scale_px(&canvas->y, base), canvas->top, canvas->bottom);
		double high = clamp(report_scale_px(&canvas->y, y), canvas->top, canvas->bottom);

		fprintf(canvas->out, "<path d=\"M%.2f %.2fV%.2fH%.2fV%.2fz\" fill=\"%s\">", left,
			low, high, right, low, report_color(plot, s));
		put_tooltip(canvas, series, i);
		fputs("</path>\n", canvas->out);
		if (series->error)
			draw_error(canvas, (left + right) / 2, y, series->error[i], REPORT_INK);
	}
}

/* The outline once without and once with its fill, so that the base has no line. */
static void draw_steps(struct report_canvas *canvas, size_t s)
{
	const struct report_series *series = &canvas->plot->series[s];
	const char *color = report_color(canvas->plot, s);
	double base = clamp(report_scale_px(&canvas->y, canvas->y.log ? canvas->y.min : 0),
			    canvas->top, canvas->bottom);

	for (int fill = 1; fill >= 0; fill--) {
		int pen_down = 0;

		fprintf(canvas->out, "<path %s=\"%s\" %s d=\"", fill ? "fill" : "stroke", color,
			fill ? "fill-opacity=\"0.16\"" : "fill=\"none\" stroke-width=\"1.7\"");
		for (size_t i = 0; i < series->count; i++) {
			double y = series->y[i] + series->offset;
			double edge[2] = { series->x[i], series->x[i + 1] };
			int drawn = report_can_draw(0, y) && (!canvas->y.log || y >= 0) &&
				    report_can_draw(canvas->x.log, edge[0]) &&
				    report_can_draw(canvas->x.log, edge[1]);
			double px = report_scale_px(&canvas->y, y);

			canvas->lost += fill && !drawn && !isnan(y);
			if (canvas->y.log && y <= 0)
				px = base;
			if (drawn && !pen_down)
				fprintf(canvas->out, "M%.2f %.2f",
					report_scale_px(&canvas->x, edge[0]), base);
			if (!drawn && pen_down)
				fprintf(canvas->out, "V%.2f", base);
			if (drawn)
				fprintf(canvas->out, "V%.2fH%.2f", px,
					report_scale_px(&canvas->x, edge[1]));
			pen_down = drawn;
		}
		if (pen_down)
			fprintf(canvas->out, "V%.2f", base);
		fputs("\"/>\n", canvas->out);
	}
}

/* ---- lines across and marks ---------------------------------------------------------------- */

static void draw_across(struct report_canvas *canvas, size_t s)
{
	const struct report_series *series = &canvas->plot->series[s];
	int level = series->kind == REPORT_HLINE;

	for (size_t i = 0; i < series->count; i++) {
		double value = level ? series->y[i] + series->offset : series->x[i];
		const struct report_scale *scale = level ? &canvas->y : &canvas->x;

		if (!report_scale_holds(scale, value)) {
			canvas->lost += !isnan(value);
			continue;
		}
		double px = report_scale_px(scale, value);

		fprintf(canvas->out,
			"<path d=\"M%.2f %.2f%c%.2f\" fill=\"none\" stroke=\"%s\" "
			"stroke-width=\"1.2\"%s/>\n",
			level ? canvas->left : px, level ? px : canvas->bottom, level ? 'H' : 'V',
			level ? canvas->right : canvas->top, report_color(canvas->plot, s),
			series->dashed ? " stroke-dasharray=\"6 4\"" : "");
	}
}

static void draw_marks(struct report_canvas *canvas, size_t s)
{
	const struct report_series *series = &canvas->plot->series[s];
	const char *color = series->color ? report_color(canvas->plot, s) : "#d55e00";

	for (size_t i = 0; i < series->count; i++) {
		if (!shown(canvas, series, i))
			continue;
		double x = report_scale_px(&canvas->x, series->x[i]);
		double y = report_scale_px(&canvas->y, series->y[i] + series->offset);
		double room = 7.5 * report_text_length(series->labels[i]) + 9;
		int left = x + room > canvas->right && x - room > canvas->left;

		for (int halo = 1; halo >= 0; halo--) /* readable on every shade of a map */
			fprintf(canvas->out,
				"<path d=\"M%.2f %.2fh12m-6 -6v12\" fill=\"none\" stroke=\"%s\" "
				"stroke-width=\"%g\"/>",
				x - 6, y, halo ? REPORT_PAPER : color, halo ? 5.0 : 2.0);
		fprintf(canvas->out,
			"<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\" font-weight=\"600\" "
			"fill=\"%s\" stroke=\"" REPORT_PAPER "\" stroke-width=\"3\" "
			"paint-order=\"stroke\">",
			x + (left ? -9 : 9), y + 4, left ? "end" : "start", color);
		report_put_text(canvas->out, series->labels[i]);
		fputs("</text>\n", canvas->out);
	}
}

/* -------------------------------------------------------------------------------------------- */

static void open_clip(struct report_canvas *canvas)
{
	double w = canvas->right - canvas->left, h = canvas->bottom - canvas->top;

	fprintf(canvas->out,
		"<svg x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
		"viewBox=\"%.2f %.2f %.2f %.2f\" overflow=\"hidden\">\n",
		canvas->left, canvas->top, w, h, canvas->left, canvas->top, w, h);
}

void report_draw_series(struct report_canvas *canvas)
{
	const struct report_plot *plot = canvas->plot;

	report_map_draw(canvas);
	open_clip(canvas);
	for (size_t s = 0; s < plot->series_count; s++) {
		int kind = plot->series[s].kind;

		if (kind == REPORT_BARS)
			draw_bars(canvas, s);
		else if (kind == REPORT_STEPS)
			draw_steps(canvas, s);
		else if (kind == REPORT_LINE || kind == REPORT_MARKED)
			draw_line(canvas, s);
		else if (kind == REPORT_HLINE || kind == REPORT_VLINE)
			draw_across(canvas, s);
	}
	fputs("</svg>\n", canvas->out);
	/* points on the axes keep their other half */
	for (size_t s = 0; s < plot->series_count; s++) {
		int kind = plot->series[s].kind;

		if (kind == REPORT_LINE || kind == REPORT_POINTS || kind == REPORT_MARKED)
			draw_points(canvas, s, kind == REPORT_POINTS);
		else if (kind == REPORT_MARKS)
			draw_marks(canvas, s);
	}
}

void report_draw_key(struct report_canvas *canvas, size_t s, double x, double y)
{
	const struct report_series *series = &canvas->plot->series[s];
	const char *color = report_color(canvas->plot, s);
	int kind = series->kind;

	if (kind == REPORT_BARS || kind == REPORT_STEPS)
		fprintf(canvas->out,
			"<path d=\"M%.2f %.2fh14v10h-14z\" fill=\"%s\" fill-opacity=\"%s\" "
			"stroke=\"%s\"/>\n",
			x + 4, y - 5, color, kind == REPORT_BARS ? "1" : "0.16", color);
	if (kind == REPORT_LINE || kind == REPORT_MARKED || kind == REPORT_HLINE ||
	    kind == REPORT_VLINE)
		fprintf(canvas->out,
			"<path d=\"M%.2f %.2fh22\" fill=\"none\" stroke=\"%s\" "
			"stroke-width=\"1.8\"%s/>\n",
			x, y, color, series->dashed ? " stroke-dasharray=\"6 4\"" : "");
	if (kind == REPORT_POINTS || kind == REPORT_MARKED) {
		put_symbol(canvas->out, color_of(canvas->plot, s), x + 11, y, color);
		fputs("</path>\n", canvas->out);
	}
}
