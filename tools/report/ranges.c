/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ranges.c - whether a plot can be drawn, and how far its data reach. */
#include "svg.h"

#include <math.h>

int report_check_plot(const struct report_plot *plot, struct pn_error *err)
{
	if (plot->series_count && !plot->series)
		return pn_error_set(err, PN_EARG, "%zu series, but no array", plot->series_count);
	for (size_t s = 0; s < plot->series_count; s++) {
		const struct report_series *series = &plot->series[s];
		int kind = series->kind;
		int wants_x = kind != REPORT_BARS && kind != REPORT_HLINE;

		if (kind < REPORT_LINE || kind > REPORT_MAP)
			return pn_error_set(err, PN_EARG, "series %zu: no kind %d", s, kind);
		if (series->color < 0 || series->color > REPORT_COLORS)
			return pn_error_set(err, PN_EARG, "series %zu: no color %d", s,
					    series->color);
		if (series->count &&
		    ((wants_x && !series->x) || (kind != REPORT_VLINE && !series->y) ||
		     (kind == REPORT_MARKS && !series->labels)))
			return pn_error_set(err, PN_EARG,
					    "series %zu: %zu values, but an array is "
					    "missing",
					    s, series->count);
		if (series->map_bins > 1000)
			return pn_error_set(err, PN_EARG,
					    "series %zu: %zu bins along an axis, at "
					    "most 1000",
					    s, series->map_bins);
	}
	return PN_OK;
}

/* Bars stand in places as wide as the nearest two are apart. */
double report_bar_width(const struct report_plot *plot)
{
	double nearest = INFINITY;

	if (plot->x.categories_count)
		return 1;
	for (size_t s = 0; s < plot->series_count; s++) {
		const struct report_series *series = &plot->series[s];

		if (series->kind != REPORT_BARS)
			continue;
		for (size_t i = 0; i + 1 < series->count; i++) {
			double apart = fabs(report_x(series, i + 1) - report_x(series, i));

			if (apart > 0 && apart < nearest)
				nearest = apart;
		}
	}
	return isfinite(nearest) ? nearest : 1;
}

double report_bar_base(const struct report_plot *plot, size_t s, size_t i)
{
	double base = 0;

	if (!plot->stacked)
		return 0;
	for (size_t k = 0; k < s; k++) {
		const struct report_series *below = &plot->series[k];

		if (below->kind == REPORT_BARS && i < below->count && below->y[i] > 0)
			base += below->y[i];
	}
	return base;
}

static void add(struct report_range *range, const struct report_axis *axis, double value)
{
	if (report_can_draw(axis->log, value))
		report_range_add(range, value);
}

static double inside(const struct report_axis *axis, double value)
{
	int fixed = !(axis->min == 0 && axis->max == 0);

	return !(fixed && (value < axis->min || value > axis->max));
}

static void add_x(struct report_range *x, const struct report_plot *plot,
		  const struct report_series *series)
{
	double half = series->kind == REPORT_BARS ? report_bar_width(plot) / 2 : 0;
	size_t count = series->count + (series->kind == REPORT_STEPS && series->count);

	if (series->kind == REPORT_HLINE)
		return;
	for (size_t i = 0; i < count; i++) {
		add(x, &plot->x, report_x(series, i) - half);
		add(x, &plot->x, report_x(series, i) + half);
	}
}

static void add_y(struct report_range *y, const struct report_plot *plot, size_t s)
{
	const struct report_series *series = &plot->series[s];

	if (series->kind == REPORT_VLINE)
		return;
	if (series->count && (series->kind == REPORT_BARS || series->kind == REPORT_STEPS))
		add(y, &plot->y, 0);
	for (size_t i = 0; i < series->count; i++) {
		double base = series->kind == REPORT_BARS ? report_bar_base(plot, s, i) : 0;
		double value = base + series->y[i] + series->offset;
		double error = series->error && isfinite(series->error[i]) ? series->error[i] : 0;

		/* what lies outside a fixed x axis does not stretch the y axis */
		if (series->kind != REPORT_HLINE && series->kind != REPORT_STEPS &&
		    !inside(&plot->x, report_x(series, i)))
			continue;
		add(y, &plot->y, value);
		add(y, &plot->y, value - error);
		add(y, &plot->y, value + error);
	}
}

void report_data_range(const struct report_plot *plot, struct report_range *x,
		       struct report_range *y)
{
	*x = *y = (struct report_range){ INFINITY, -INFINITY };
	for (size_t s = 0; s < plot->series_count; s++) {
		add_x(x, plot, &plot->series[s]);
		add_y(y, plot, s);
	}
	if (plot->x.categories_count)
		*x = (struct report_range){ -0.5, plot->x.categories_count - 0.5 };
	if (plot->y.categories_count)
		*y = (struct report_range){ -0.5, plot->y.categories_count - 0.5 };
}
