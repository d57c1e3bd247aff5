/* SPDX-License-Identifier: GPL-3.0-or-later */
/* map.c - 2D histograms, in shades that a copy in grey keeps in order. */
#include "html.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>

#define SHADES      48
#define BAR_STEPS   64
#define DEFAULT_BIN 50

/* Points of viridis (S. van der Walt and N. Smith, matplotlib 2.0, CC0), evenly spaced. */
static const unsigned char viridis[][3] = {
	{ 68, 1, 84 },    { 72, 40, 120 },  { 62, 74, 137 },  { 49, 104, 142 }, { 38, 130, 142 },
	{ 31, 158, 137 }, { 53, 183, 121 }, { 110, 206, 88 }, { 181, 222, 43 }, { 253, 231, 37 },
};

static void put_shade(FILE *out, double part)
{
	double at = fmin(fmax(part, 0), 1) * (PN_COUNT(viridis) - 1);
	size_t k = (size_t)at < PN_COUNT(viridis) - 2 ? (size_t)at : PN_COUNT(viridis) - 2;

	fputc('#', out);
	for (int c = 0; c < 3; c++)
		fprintf(out, "%02x",
			(unsigned)lround(viridis[k][c] +
					 (at - k) * (viridis[k + 1][c] - viridis[k][c])));
}

static size_t bin_of(const struct report_scale *scale, double value, size_t bins)
{
	double px = report_scale_px(scale, value);
	double part = (px - scale->from_px) / (scale->to_px - scale->from_px);
	size_t bin = (size_t)(part * bins);

	return bin < bins ? bin : bins - 1;
}

int report_map_count(struct report_canvas *canvas, struct pn_error *err)
{
	struct report_map *map = &canvas->map;

	for (size_t s = 0; s < canvas->plot->series_count; s++) {
		const struct report_series *series = &canvas->plot->series[s];

		if (series->kind != REPORT_MAP)
			continue;
		if (!map->count) {
			map->bins = series->map_bins ? series->map_bins : DEFAULT_BIN;
			map->log = series->map_log;
			map->count = calloc(map->bins * map->bins, sizeof *map->count);
			if (!map->count)
				return pn_error_set(err, PN_ENOMEM, "map of %zu x %zu bins",
						    map->bins, map->bins);
		}
		for (size_t i = 0; i < series->count; i++) {
			double x = series->x[i], y = series->y[i];

			if (!report_scale_holds(&canvas->x, x) ||
			    !report_scale_holds(&canvas->y, y)) {
				canvas->lost += !isnan(x) && !isnan(y);
				continue;
			}
			double *bin = &map->count[bin_of(&canvas->y, y, map->bins) * map->bins +
						  bin_of(&canvas->x, x, map->bins)];

			*bin += 1;
			map->largest = fmax(map->largest, *bin);
		}
	}
	return PN_OK;
}

static double part_of(const struct report_map *map, double count)
{
	if (map->log)
		return map->largest > 1 ? log(count) / log(map->largest) : 1;
	return count / map->largest;
}

/* All bins of one shade are one path: runs along x are one rectangle. */
static void draw_shade(struct report_canvas *canvas, int shade)
{
	const struct report_map *map = &canvas->map;
	double w = (canvas->right - canvas->left) / map->bins;
	double h = (canvas->bottom - canvas->top) / map->bins;
	int begun = 0;

	for (size_t row = 0; row < map->bins; row++)
		for (size_t i = 0; i < map->bins;) {
			const double *count = &map->count[row * map->bins];
			size_t from = i;

			while (i < map->bins && count[i] > 0 &&
			       (int)(part_of(map, count[i]) * (SHADES - 1) + 0.5) == shade)
				i++;
			if (i == from) {
				i++;
				continue;
			}
			if (!begun++) {
				fputs("<path fill=\"", canvas->out);
				put_shade(canvas->out, shade / (SHADES - 1.0));
				fputs("\" d=\"", canvas->out);
			}
			fprintf(canvas->out, "M%.2f %.2fh%.2fv%.2fh%.2fz", canvas->left + from * w,
				canvas->bottom - (row + 1) * h, (i - from) * w, h, (i - from) * -w);
		}
	if (begun)
		fputs("\"/>\n", canvas->out);
}

void report_map_draw(struct report_canvas *canvas)
{
	if (!canvas->map.count)
		return;
	fputs("<g shape-rendering=\"crispEdges\">\n", canvas->out);
	for (int shade = 0; shade < SHADES; shade++)
		draw_shade(canvas, shade);
	fputs("</g>\n", canvas->out);
}

int report_map_bar(struct report_canvas *canvas, struct pn_error *err)
{
	const struct report_map *map = &canvas->map;
	const struct report_axis axis = { .min = map->log ? 1 : 0,
					  .max = fmax(map->largest, map->log ? 2 : 1),
					  .log = map->log };
	struct report_scale scale;
	FILE *out = canvas->out;
	double x = canvas->right + 14, step = (canvas->bottom - canvas->top) / BAR_STEPS;
	const double pad[2] = { 0, 0 };

	if (!map->count)
		return PN_OK;
	int rc = report_scale_init(&scale, &axis, (struct report_range){ axis.min, axis.max }, pad,
				   5, err);

	if (rc)
		return rc;
	scale.from_px = canvas->bottom;
	scale.to_px = canvas->top;
	fputs("<g shape-rendering=\"crispEdges\">\n", out);
	for (int i = 0; i < BAR_STEPS; i++) {
		fprintf(out, "<path d=\"M%.2f %.2fh12v%.2fh-12z\" fill=\"", x,
			canvas->bottom - (i + 1) * step, step);
		put_shade(out, (i + 0.5) / BAR_STEPS);
		fputs("\"/>\n", out);
	}
	fputs("</g>\n", out);
	for (size_t i = 0; i < scale.ticks_count; i++) {
		double y = report_scale_px(&scale, scale.ticks[i].value);

		if (!scale.ticks[i].label[0])
			continue;
		fprintf(out, "<path d=\"M%.2f %.2fh4\" stroke=\"" REPORT_INK "\"/>", x + 12, y);
		fprintf(out, "<text x=\"%.2f\" y=\"%.2f\">%s</text>\n", x + 20, y + 4,
			scale.ticks[i].label);
	}
	fprintf(out, "<text transform=\"translate(%.2f %.2f) rotate(-90)\" text-anchor=\"middle\">",
		x + 58, (canvas->top + canvas->bottom) / 2);
	report_put_text(out,
			canvas->plot->color_title ? canvas->plot->color_title : "Atoms per bin");
	fprintf(out, "%s%s</text>\n", scale.factor[0] ? " " : "", scale.factor);
	return PN_OK;
}

void report_map_free(struct report_map *map)
{
	free(map->count);
	*map = (struct report_map){ 0 };
}
