/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svg.c - the layout of a plot: room for texts, axes, grid, legend. */
#include "svg.h"
#include "html.h"

#include <math.h>
#include <string.h>

#define CHAR_PX    7.4  /* a character of system fonts at REPORT_TEXT_PX, on the wide side */
#define KEY_PX     22.0 /* sample in the legend */
#define KEY_GAP_PX 16.0
#define LEGEND_PX  18.0 /* a line of the legend */
#define LINE_PX    16.0
#define TICK_PX    5.0
#define BAR_PX     76.0 /* color bar of a map with its labels */

static double text_px(const char *text)
{
	return CHAR_PX * report_text_length(text);
}

/* Curves above each other carry their names themselves. */
static int labels_ends(const struct report_plot *plot)
{
	for (size_t s = 0; s < plot->series_count; s++)
		if (plot->series[s].offset != 0)
			return 1;
	return 0;
}

static int in_legend(const struct report_plot *plot, size_t s)
{
	const struct report_series *series = &plot->series[s];
	int curve = series->kind == REPORT_LINE || series->kind == REPORT_MARKED;

	if (!series->name || !series->name[0] || series->kind == REPORT_MARKS ||
	    series->kind == REPORT_MAP)
		return 0;
	return !(curve && labels_ends(plot));
}

/* ---- scales -------------------------------------------------------------------------------- */

/* Places of an axis of categories are ticks at 0, 1, 2, ... without numbers. */
static void name_categories(struct report_scale *scale, const struct report_axis *axis)
{
	if (!axis->categories_count)
		return;
	scale->ticks_count = 0;
	scale->factor[0] = '\0';
}

static void choose_pads(const struct report_plot *plot, double x_pad[2], double y_pad[2],
			const struct report_range *y)
{
	int points = 0, flush = 0;

	for (size_t s = 0; s < plot->series_count; s++) {
		int kind = plot->series[s].kind;

		points |= kind == REPORT_POINTS || kind == REPORT_MARKED || kind == REPORT_MARKS;
		flush |= kind == REPORT_BARS || kind == REPORT_STEPS;
	}
	/* bars stand on the axis; so does what ends at zero */
	x_pad[0] = x_pad[1] = points && !flush ? 0.04 : 0;
	y_pad[0] = (y->min == 0 && !points) || (flush && y->min >= 0) ? 0 : 0.05;
	y_pad[1] = (y->max == 0 && !points) || (flush && y->max <= 0) ? 0 : 0.05;
	if (y->min > y->max) /* no data */
		y_pad[0] = y_pad[1] = 0;
	if (plot->x.categories_count)
		x_pad[0] = x_pad[1] = 0;
	if (plot->y.categories_count)
		y_pad[0] = y_pad[1] = 0;
}

static double widest_label(const struct report_scale *scale, const struct report_axis *axis)
{
	double widest = 0;

	if (axis->hide_labels)
		return 0;
	for (size_t i = 0; i < scale->ticks_count; i++)
		widest = fmax(widest, text_px(scale->ticks[i].label));
	for (size_t i = 0; i < axis->categories_count; i++)
		widest = fmax(widest, text_px(axis->categories[i]));
	return widest;
}

static int init_x(struct report_canvas *canvas, struct report_range range, const double pad[2],
		  struct pn_error *err)
{
	double length = canvas->right - canvas->left;

	/* fewer ticks until their labels have room */
	for (unsigned wanted = (unsigned)(length / 70) + 1;; wanted--) {
		int rc = report_scale_init(&canvas->x, &canvas->plot->x, range, pad, wanted, err);

		if (rc)
			return rc;
		double needed =
			(widest_label(&canvas->x, &canvas->plot->x) + 10) * canvas->x.ticks_count;

		if (wanted <= 1 || needed < length || canvas->plot->x.categories_count)
			break;
	}
	name_categories(&canvas->x, &canvas->plot->x);
	canvas->x.from_px = canvas->left;
	canvas->x.to_px = canvas->right;
	return PN_OK;
}

/* Names of categories lean where they are wider than their places. */
static int leans(const struct report_canvas *canvas)
{
	size_t count = canvas->plot->x.categories_count;

	return count && widest_label(&canvas->x, &canvas->plot->x) + 6 >
				(canvas->right - canvas->left) / count;
}

static double legend_lines(const struct report_canvas *canvas)
{
	double x = 0, lines = 0;

	for (size_t s = 0; s < canvas->plot->series_count; s++) {
		if (!in_legend(canvas->plot, s))
			continue;
		double room = KEY_PX + 6 + text_px(canvas->plot->series[s].name) + KEY_GAP_PX;

		if (!lines || x + room > canvas->right - canvas->left + KEY_GAP_PX) {
			lines++;
			x = 0;
		}
		x += room;
	}
	return lines;
}

static int has_map(const struct report_plot *plot)
{
	for (size_t s = 0; s < plot->series_count; s++)
		if (plot->series[s].kind == REPORT_MAP)
			return 1;
	return 0;
}

static int lay_out(struct report_canvas *canvas, struct pn_error *err)
{
	const struct report_plot *plot = canvas->plot;
	struct report_range x, y;
	double x_pad[2], y_pad[2];

	report_data_range(plot, &x, &y);
	choose_pads(plot, x_pad, y_pad, &y);
	int rc = report_scale_init(&canvas->y, &plot->y, y, y_pad,
				   (unsigned)(canvas->height / 65) + 1, err);

	if (rc)
		return rc;
	name_categories(&canvas->y, &plot->y);
	double labels = fmin(widest_label(&canvas->y, &plot->y), canvas->width / 3);

	canvas->left = 6 + (plot->y.title ? LINE_PX : 0) + labels + TICK_PX + 5;
	canvas->right = canvas->width - (has_map(plot) ? BAR_PX : 14);
	rc = init_x(canvas, x, x_pad, err);
	if (rc)
		return rc;
	canvas->top = 10 + LEGEND_PX * legend_lines(canvas) + (canvas->y.factor[0] ? 12 : 0);
	double below = TICK_PX + 4 + LINE_PX + (plot->x.title ? LINE_PX + 2 : 0);

	if (leans(canvas))
		below += fmin(0.6 * widest_label(&canvas->x, &plot->x), canvas->height / 3) - 4;
	canvas->bottom = fmax(canvas->height - below, canvas->top + 20);
	canvas->y.from_px = canvas->bottom;
	canvas->y.to_px = canvas->top;
	return PN_OK;
}

/* ---- axes ---------------------------------------------------------------------------------- */

static void draw_grid(struct report_canvas *canvas)
{
	if (has_map(canvas->plot))
		return;
	fputs("<g stroke=\"" REPORT_GRID "\" stroke-width=\"1\">\n", canvas->out);
	for (size_t i = 0; i < canvas->y.ticks_count; i++)
		if (canvas->y.ticks[i].major)
			fprintf(canvas->out, "<path d=\"M%.2f %.2fH%.2f\"/>\n", canvas->left,
				report_scale_px(&canvas->y, canvas->y.ticks[i].value),
				canvas->right);
	fputs("</g>\n", canvas->out);
}

static void draw_frame(struct report_canvas *canvas)
{
	const struct report_scale *x = &canvas->x, *y = &canvas->y;
	int categories = canvas->plot->x.categories_count > 0;

	fprintf(canvas->out, "<path d=\"M%.2f %.2fV%.2fH%.2f", canvas->left, canvas->top,
		canvas->bottom, canvas->right);
	if (has_map(canvas->plot))
		fprintf(canvas->out, "V%.2fz", canvas->top);
	for (size_t i = 0; i < x->ticks_count && !categories; i++)
		fprintf(canvas->out, "M%.2f %.2fv%.2f", report_scale_px(x, x->ticks[i].value),
			canvas->bottom, x->ticks[i].major ? TICK_PX : TICK_PX / 2);
	for (size_t i = 0; i < y->ticks_count; i++)
		fprintf(canvas->out, "M%.2f %.2fh%.2f", canvas->left,
			report_scale_px(y, y->ticks[i].value),
			y->ticks[i].major ? -TICK_PX : -TICK_PX / 2);
	/* the zero line of axes that go through it */
	if (!y->log && y->min < 0 && y->max > 0 && !has_map(canvas->plot))
		fprintf(canvas->out, "M%.2f %.2fH%.2f", canvas->left, report_scale_px(y, 0),
			canvas->right);
	fputs("\" fill=\"none\" stroke=\"" REPORT_INK "\" stroke-width=\"1\"/>\n", canvas->out);
}

static void label_x(struct report_canvas *canvas)
{
	const struct report_axis *axis = &canvas->plot->x;
	const struct report_scale *scale = &canvas->x;
	double y = canvas->bottom + TICK_PX + 13;

	if (axis->hide_labels)
		return;
	for (size_t i = 0; i < scale->ticks_count; i++)
		if (scale->ticks[i].label[0])
			fprintf(canvas->out,
				"<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\">%s</text>\n",
				report_scale_px(scale, scale->ticks[i].value), y,
				scale->ticks[i].label);
	for (size_t i = 0; i < axis->categories_count; i++) {
		double x = report_scale_px(scale, (double)i);

		if (leans(canvas))
			fprintf(canvas->out,
				"<text transform=\"translate(%.2f %.2f) rotate(-38)\" "
				"text-anchor=\"end\">",
				x + 4, canvas->bottom + 14);
		else
			fprintf(canvas->out, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\">",
				x, y - 2);
		report_put_text(canvas->out, axis->categories[i]);
		fputs("</text>\n", canvas->out);
	}
	if (scale->factor[0])
		fprintf(canvas->out, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\">%s</text>\n",
			canvas->right, y + LINE_PX, scale->factor);
}

static void label_y(struct report_canvas *canvas)
{
	const struct report_axis *axis = &canvas->plot->y;
	const struct report_scale *scale = &canvas->y;
	double x = canvas->left - TICK_PX - 5;

	if (axis->hide_labels)
		return;
	for (size_t i = 0; i < scale->ticks_count; i++)
		if (scale->ticks[i].label[0])
			fprintf(canvas->out,
				"<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\">%s</text>\n", x,
				report_scale_px(scale, scale->ticks[i].value) + 4,
				scale->ticks[i].label);
	for (size_t i = 0; i < axis->categories_count; i++) {
		fprintf(canvas->out, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\">", x,
			report_scale_px(scale, (double)i) + 4);
		report_put_text(canvas->out, axis->categories[i]);
		fputs("</text>\n", canvas->out);
	}
	if (scale->factor[0])
		fprintf(canvas->out, "<text x=\"%.2f\" y=\"%.2f\">%s</text>\n", canvas->left + 2,
			canvas->top - 4, scale->factor);
}

static void put_titles(struct report_canvas *canvas)
{
	const struct report_plot *plot = canvas->plot;

	if (plot->x.title) {
		fprintf(canvas->out,
			"<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\" font-size=\"13\">",
			(canvas->left + canvas->right) / 2, canvas->height - 6);
		report_put_text(canvas->out, plot->x.title);
		fputs("</text>\n", canvas->out);
	}
	if (plot->y.title) {
		fprintf(canvas->out,
			"<text transform=\"translate(14 %.2f) rotate(-90)\" "
			"text-anchor=\"middle\" font-size=\"13\">",
			(canvas->top + canvas->bottom) / 2);
		report_put_text(canvas->out, plot->y.title);
		fputs("</text>\n", canvas->out);
	}
}

/* ---- legend -------------------------------------------------------------------------------- */

static void draw_legend(struct report_canvas *canvas)
{
	double x = canvas->left, y = 12;

	for (size_t s = 0; s < canvas->plot->series_count; s++) {
		if (!in_legend(canvas->plot, s))
			continue;
		const char *name = canvas->plot->series[s].name;
		double room = KEY_PX + 6 + text_px(name) + KEY_GAP_PX;

		if (x > canvas->left && x + room > canvas->right + KEY_GAP_PX) {
			x = canvas->left;
			y += LEGEND_PX;
		}
		report_draw_key(canvas, s, x, y);
		fprintf(canvas->out, "<text x=\"%.2f\" y=\"%.2f\">", x + KEY_PX + 6, y + 4);
		report_put_text(canvas->out, name);
		fputs("</text>\n", canvas->out);
		x += room;
	}
}

/* The names of curves above each other, over the right end of each. */
static void label_ends(struct report_canvas *canvas)
{
	const struct report_plot *plot = canvas->plot;

	for (size_t s = 0; s < plot->series_count && labels_ends(plot); s++) {
		const struct report_series *series = &plot->series[s];
		double y = -INFINITY, tail = canvas->right - text_px(series->name) - 8;

		if (!series->name || in_legend(plot, s) || series->kind == REPORT_MARKS ||
		    series->kind == REPORT_MAP)
			continue;
		for (size_t i = 0; i < series->count; i++)
			if (report_scale_holds(&canvas->x, report_x(series, i)) &&
			    report_scale_holds(&canvas->y, series->y[i] + series->offset) &&
			    report_scale_px(&canvas->x, report_x(series, i)) >= tail)
				y = fmax(y, series->y[i] + series->offset);
		if (y == -INFINITY)
			continue;
		fprintf(canvas->out,
			"<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\" font-weight=\"600\" "
			"fill=\"%s\" stroke=\"" REPORT_PAPER "\" stroke-width=\"3\" "
			"paint-order=\"stroke\">",
			canvas->right - 4, report_scale_px(&canvas->y, y) - 6,
			report_color(plot, s));
		report_put_text(canvas->out, series->name);
		fputs("</text>\n", canvas->out);
	}
}

static void put_notes(struct report_canvas *canvas)
{
	size_t count = 0;

	for (size_t s = 0; s < canvas->plot->series_count; s++)
		count += canvas->plot->series[s].count;
	if (!count)
		fprintf(canvas->out,
			"<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\" fill=\"#5a6068\">no "
			"data</text>\n",
			(canvas->left + canvas->right) / 2, (canvas->top + canvas->bottom) / 2);
	if (canvas->lost)
		fprintf(canvas->out,
			"<text x=\"6\" y=\"%.2f\" font-size=\"10\" fill=\"#5a6068\">%zu "
			"outside the axes</text>\n",
			canvas->height - 6, canvas->lost);
}

/* -------------------------------------------------------------------------------------------- */

static void open_svg(struct report_canvas *canvas)
{
	fprintf(canvas->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" "
		"viewBox=\"0 0 %.2f %.2f\" width=\"%.0f\" height=\"%.0f\" "
		"font-family=\"system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, "
		"sans-serif\" font-size=\"%g\" fill=\"" REPORT_INK "\" aria-label=\"",
		canvas->width, canvas->height, canvas->width, canvas->height, REPORT_TEXT_PX);
	report_put_text(canvas->out, canvas->plot->title);
	fputs("\">\n", canvas->out);
}

int report_svg(FILE *out, const struct report_plot *plot, double width, double height,
	       struct pn_error *err)
{
	struct report_canvas canvas = {
		.out = out, .plot = plot, .width = fmax(width, 160), .height = fmax(height, 120)
	};
	int rc = report_check_plot(plot, err);

	if (!rc)
		rc = lay_out(&canvas, err);
	if (!rc)
		rc = report_map_count(&canvas, err);
	if (rc) {
		pn_error_wrap(err, "plot \"%s\"", plot->title ? plot->title : "");
		return rc;
	}
	open_svg(&canvas);
	draw_grid(&canvas);
	report_draw_series(&canvas);
	draw_frame(&canvas);
	label_x(&canvas);
	label_y(&canvas);
	put_titles(&canvas);
	draw_legend(&canvas);
	label_ends(&canvas);
	put_notes(&canvas);
	rc = report_map_bar(&canvas, err);
	fputs("</svg>\n", out);
	report_map_free(&canvas.map);
	return rc;
}
