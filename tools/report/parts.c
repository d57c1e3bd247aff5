/* SPDX-License-Identifier: GPL-3.0-or-later */
/* parts.c - paragraphs, cards, tables, plots. */
#include "html.h"
#include "page.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIGURE_PX      530.0 /* half of the page; text of the plot has its own size there */
#define FIGURE_TALL_PX 340.0
#define WIDE_PX        1090.0
#define WIDE_TALL_PX   360.0
#define PANEL_GAP_PX   16.0

static void put_element(FILE *out, const char *open, const char *text, const char *close)
{
	if (!text || !text[0])
		return;
	fputs(open, out);
	report_put_text(out, text);
	fputs(close, out);
}

void report_text(struct report *report, const char *text)
{
	FILE *out = report_part(report);

	if (out)
		put_element(out, "<p>", text, "</p>\n");
}

void report_cards(struct report *report, const struct report_card *cards, size_t count)
{
	FILE *out = report_part(report);

	if (!out || !count)
		return;
	fputs("<div class=\"cards\">\n", out);
	for (size_t i = 0; i < count; i++) {
		fputs("<div class=\"card\">", out);
		put_element(out, "<div class=\"label\">", cards[i].label, "</div>");
		fputs("<div class=\"value\">", out);
		report_put_text(out, cards[i].value ? cards[i].value : "\xe2\x80\x93");
		put_element(out, "<span class=\"unit\">", cards[i].unit, "</span>");
		fputs("</div>", out);
		put_element(out, "<div class=\"note\">", cards[i].note, "</div>");
		fputs("</div>\n", out);
	}
	fputs("</div>\n", out);
}

/* ---- tables -------------------------------------------------------------------------------- */

static const char *align_class(const struct report_table *table, size_t column)
{
	char c = table->align ? table->align[column] : column ? '.' : 'l';

	return c == 'l' ? "left" : c == 'r' ? "right" : c == 'c' ? "middle" : "number";
}

static void put_row(FILE *out, const struct report_table *table, const char *const *cells,
		    const char *tag)
{
	fputs("<tr>", out);
	for (size_t c = 0; c < table->columns; c++) {
		fprintf(out, "<%s class=\"%s\">", tag, align_class(table, c));
		report_put_text(out, cells[c] ? cells[c] : "\xe2\x80\x93");
		fprintf(out, "</%s>", tag);
	}
	fputs("</tr>\n", out);
}

void report_table(struct report *report, const struct report_table *table)
{
	FILE *out = report_part(report);

	if (!out)
		return;
	if (table->align && strlen(table->align) < table->columns) {
		pn_error_set(&report->error, PN_EARG,
			     "table \"%s\": %zu columns, but only %zu letters of alignment",
			     table->title ? table->title : "", table->columns,
			     strlen(table->align));
		return;
	}
	fputs("<figure class=\"table\">\n", out);
	put_element(out, "<h3>", table->title, "</h3>\n");
	fputs("<div class=\"scroll\"><table>\n", out);
	if (table->header) {
		fputs("<thead>", out);
		put_row(out, table, table->header, "th");
		fputs("</thead>\n", out);
	}
	fputs("<tbody>\n", out);
	for (size_t r = 0; r < table->rows; r++)
		put_row(out, table, table->cells + r * table->columns, "td");
	fputs("</tbody></table></div>\n", out);
	put_element(out, "<figcaption>", table->caption, "</figcaption>\n");
	fputs("</figure>\n", out);
}

/* ---- plots --------------------------------------------------------------------------------- */

static void open_figure(FILE *out, const char *classes, const char *title)
{
	fprintf(out, "<figure class=\"%s\">\n", classes);
	put_element(out, "<h3>", title, "</h3>\n");
}

static void close_figure(FILE *out, const char *caption)
{
	put_element(out, "<figcaption>", caption, "</figcaption>\n");
	fputs("</figure>\n", out);
}

void report_plot(struct report *report, const struct report_plot *plot)
{
	FILE *out = report_figure(report);

	if (!out)
		return;
	open_figure(out, plot->wide ? "figure wide" : "figure", plot->title);
	report_svg(out, plot, plot->wide ? WIDE_PX : FIGURE_PX,
		   plot->wide ? WIDE_TALL_PX : FIGURE_TALL_PX, &report->error);
	close_figure(out, plot->caption);
}

/* One range for all: what any of them needs. */
static void share_ranges(const struct report_panels *panels, struct report_plot *plots)
{
	struct report_range x = { INFINITY, -INFINITY }, y = x;

	for (size_t i = 0; i < panels->count; i++) {
		struct report_range own_x, own_y;

		report_data_range(&panels->plots[i], &own_x, &own_y);
		x.min = fmin(x.min, own_x.min), x.max = fmax(x.max, own_x.max);
		y.min = fmin(y.min, own_y.min), y.max = fmax(y.max, own_y.max);
	}
	for (size_t i = 0; i < panels->count; i++) {
		struct report_axis *axis = &plots[i].x;

		if (panels->share_x && axis->min == 0 && axis->max == 0 && x.min < x.max)
			axis->min = x.min, axis->max = x.max;
		axis = &plots[i].y;
		if (panels->share_y && axis->min == 0 && axis->max == 0 && y.min < y.max) {
			double room = 0.05 * (y.max - y.min);

			axis->min = y.min != 0 && !axis->log ? y.min - room : y.min;
			axis->max = axis->log ? y.max * 1.2 : y.max + room;
		}
	}
}

void report_panels(struct report *report, const struct report_panels *panels)
{
	FILE *out = report_part(report);
	size_t columns = panels->columns ? panels->columns : 3;
	double width = (WIDE_PX - (columns - 1.0) * PANEL_GAP_PX) / columns;

	if (!out)
		return;
	struct report_plot *plots = calloc(panels->count ? panels->count : 1, sizeof *plots);

	if (!plots) {
		pn_error_set(&report->error, PN_ENOMEM, "%zu panels", panels->count);
		return;
	}
	int bad = 0;

	for (size_t i = 0; i < panels->count; i++) {
		plots[i] = panels->plots[i];
		bad = bad ? bad : report_check_plot(&plots[i], &report->error);
	}
	if (!bad)
		share_ranges(panels, plots);
	open_figure(out, "figure wide", panels->title);
	fprintf(out, "<div class=\"panels\" style=\"--columns:%zu\">\n", columns);
	for (size_t i = 0; i < panels->count && !bad; i++) {
		fputs("<div class=\"panel\">", out);
		put_element(out, "<h4>", plots[i].title, "</h4>\n");
		bad = report_svg(out, &plots[i], width, fmax(0.74 * width, 190), &report->error);
		fputs("</div>\n", out);
	}
	fputs("</div>\n", out);
	close_figure(out, panels->caption);
	free(plots);
}
