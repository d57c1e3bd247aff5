/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bars, histograms, error bars and lines have the lengths and places that their numbers say. */
#include "page_kit.h"

struct bar {
	double left, low, high, right;
};

static struct bar bar_of(const char *svg, const char *color, int i)
{
	const char *tag = kit_path(svg, "fill", color, i);
	struct bar bar;

	assert_non_null(tag);
	assert_int_equal(sscanf(kit_attribute(tag, "d"), "M%lf %lfV%lfH%lf", &bar.left, &bar.low,
				&bar.high, &bar.right),
			 4);
	return bar;
}

static const double one[] = { 10, 25, 5 }, two[] = { 20, 15, 30 };

static struct report_plot bars(const struct report_series *series, int stacked)
{
	static const char *const names[] = { "a", "b", "c" };

	return (struct report_plot){ .x = { .categories = names, .categories_count = 3 },
				     .y = { .min = 0, .max = 50 },
				     .series = series,
				     .series_count = 2,
				     .stacked = stacked };
}

static void grouped_bars_stand_beside_each_other(void **state)
{
	(void)state;
	struct report_series series[] = {
		{ .kind = REPORT_BARS, .count = 3, .y = one, .color = 1 },
		{ .kind = REPORT_BARS, .count = 3, .y = two, .color = 2 },
	};
	struct report_plot plot = bars(series, 0);
	char *svg = kit_svg(&plot), label[2] = "a";
	struct kit_ruler y = kit_ruler(svg, 'y');
	double last = 0;

	for (int i = 0; i < 3; i++, label[0]++) {
		struct bar a = bar_of(svg, "#0072b2", i), b = bar_of(svg, "#d55e00", i);

		assert_true(fabs(kit_value(y, a.low)) < 0.01);
		assert_true(fabs(kit_value(y, a.high) - one[i]) < 0.01);
		assert_true(fabs(kit_value(y, b.high) - two[i]) < 0.01);
		assert_true(a.left > last && fabs(a.right - b.left) < 0.011);
		/* the pair stands in the middle over its name */
		assert_true(fabs(a.right - kit_number(kit_label(svg, label, 0), "x")) < 0.011);
		last = b.right;
	}
	free(svg);
}

static void stacked_bars_stand_on_each_other(void **state)
{
	(void)state;
	struct report_series series[] = {
		{ .kind = REPORT_BARS, .count = 3, .y = one, .color = 1 },
		{ .kind = REPORT_BARS, .count = 3, .y = two, .color = 2 },
	};
	struct report_plot plot = bars(series, 1);
	char *svg = kit_svg(&plot);
	struct kit_ruler y = kit_ruler(svg, 'y');

	for (int i = 0; i < 3; i++) {
		struct bar a = bar_of(svg, "#0072b2", i), b = bar_of(svg, "#d55e00", i);

		assert_true(fabs(a.left - b.left) < 0.011 && fabs(a.right - b.right) < 0.011);
		assert_true(fabs(a.high - b.low) < 0.011);
		assert_true(fabs(kit_value(y, b.high) - one[i] - two[i]) < 0.01);
	}
	free(svg);
	/* the axis of its own choice reaches over the sums */
	plot.y = (struct report_axis){ 0 };
	svg = kit_svg(&plot);
	struct bar top = bar_of(svg, "#d55e00", 1);

	assert_non_null(kit_label(svg, "40", 0));
	assert_null(strstr(svg, "outside the axes"));
	assert_true(top.high < kit_number(kit_label(svg, "30", 0), "y"));
	free(svg);
}

/* Bars below zero hang from it; bars at numbers stand centred over them. */
static void bars_at_numbers_know_zero(void **state)
{
	(void)state;
	const double x[] = { 1, 2, 3, 4 }, y[] = { -2, 4, -1, 3 };
	struct report_series series = { .kind = REPORT_BARS, .count = 4, .x = x, .y = y };
	struct report_plot plot = { .series = &series, .series_count = 1 };
	char *svg = kit_svg(&plot);
	struct kit_ruler along = kit_ruler(svg, 'x');
	double zero = bar_of(svg, "#0072b2", 0).low;

	for (int i = 0; i < 4; i++) {
		struct bar bar = bar_of(svg, "#0072b2", i);

		assert_true(fabs(bar.low - zero) < 0.011);
		assert_true((bar.high < zero) == (y[i] > 0));
		assert_true(fabs(kit_value(along, (bar.left + bar.right) / 2) - x[i]) < 1e-3);
		assert_true(fabs(kit_value(along, bar.right) - kit_value(along, bar.left) - 0.8) <
			    1e-3);
	}
	free(svg);
}

/* The outline of a histogram: at each bin as high as its count, from edge to edge. */
static void histograms_follow_their_edges(void **state)
{
	(void)state;
	const double edge[] = { 0, 1, 2, 4, 8 }, count[] = { 3, 0, NAN, 5 };
	struct report_series series = { .kind = REPORT_STEPS, .count = 4, .x = edge, .y = count };
	struct report_plot plot = { .x = { .min = 0, .max = 8 },
				    .y = { .min = 0, .max = 6 },
				    .series = &series,
				    .series_count = 1 };
	char *svg = kit_svg(&plot);
	struct kit_ruler x = kit_ruler(svg, 'x'), y = kit_ruler(svg, 'y');
	const char *d = kit_attribute(kit_path(svg, "stroke", "#0072b2", 0), "d");
	double p[12];

	/* up to 3 over 0..1, down to 0 over 1..2, a gap over 2..4, up to 5 over 4..8 */
	assert_int_equal(sscanf(d, "M%lf %lfV%lfH%lfV%lfH%lfV%lfM%lf %lfV%lfH%lfV%lf", &p[0], &p[1],
				&p[2], &p[3], &p[4], &p[5], &p[6], &p[7], &p[8], &p[9], &p[10],
				&p[11]),
			 12);
	const double wanted[] = { 0, 0, 3, 1, 0, 2, 0, 4, 0, 5, 8, 0 };
	static const char kind[] = "xyyxyxyxyyxy";

	for (int i = 0; i < 12; i++)
		assert_true(fabs(kit_value(kind[i] == 'x' ? x : y, p[i]) - wanted[i]) < 0.01);
	free(svg);
}

static void error_bars_have_their_length(void **state)
{
	(void)state;
	const double x[] = { 1, 2, 3, 4 }, y[] = { 5, 6, 7, 8 }, error[] = { 1, 0.5, NAN, 0 };
	struct report_series series = {
		.kind = REPORT_POINTS, .count = 4, .x = x, .y = y, .error = error
	};
	struct report_plot plot = { .x = { .min = 0, .max = 5 },
				    .y = { .min = 0, .max = 10 },
				    .series = &series,
				    .series_count = 1 };
	char *svg = kit_svg(&plot);
	struct kit_ruler up = kit_ruler(svg, 'y'), along = kit_ruler(svg, 'x');

	for (int i = 0; i < 2; i++) {
		double p[3];
		const char *tag = kit_path(svg, "stroke", "#0072b2", i);

		assert_int_equal(
			sscanf(kit_attribute(tag, "d"), "M%lf %lfV%lf", &p[0], &p[1], &p[2]), 3);
		assert_true(fabs(kit_value(along, p[0]) - x[i]) < 1e-3);
		assert_true(fabs(kit_value(up, p[1]) - (y[i] - error[i])) < 0.01);
		assert_true(fabs(kit_value(up, p[2]) - (y[i] + error[i])) < 0.01);
	}
	assert_null(kit_path(svg, "stroke", "#0072b2", 2)); /* none for NaN and 0 */
	assert_non_null(strstr(svg, "1, 5 \xc2\xb1 1</title>"));
	free(svg);
	/* the axis of its own choice holds the bars */
	plot.y = (struct report_axis){ 0 };
	svg = kit_svg(&plot);
	double end[3];

	sscanf(kit_attribute(kit_path(svg, "stroke", "#0072b2", 0), "d"), "M%lf %lfV%lf", &end[0],
	       &end[1], &end[2]);
	assert_true(fabs(kit_value(kit_ruler(svg, 'y'), end[1]) - 4) < 0.01);
	free(svg);
}

/* A value that is missing, or cannot be, is a gap: the line does not run over it. */
static void lines_have_gaps(void **state)
{
	(void)state;
	const double x[] = { 1, 2, 3, 4, 5, 6 }, y[] = { 1, 2, NAN, 4, 5, 6 };
	struct report_series series = {
		.kind = REPORT_LINE, .count = 6, .x = x, .y = y, .dashed = 1
	};
	struct report_plot plot = { .series = &series, .series_count = 1 };
	char *svg = kit_svg(&plot);
	const char *tag = kit_path(svg, "stroke", "#0072b2", 0);

	assert_int_equal(kit_count(kit_attribute(tag, "d"), "M"), 2);
	assert_int_equal(kit_count(kit_attribute(tag, "d"), "L"), 3);
	assert_non_null(kit_attribute(tag, "stroke-dasharray"));
	free(svg);
}

static void lines_across_stand_at_their_values(void **state)
{
	(void)state;
	const double at[] = { 2, 6 };
	struct report_series series[] = {
		{ .kind = REPORT_HLINE, .count = 2, .y = at, .color = 1 },
		{ .kind = REPORT_VLINE, .count = 2, .x = at, .color = 2 },
	};
	struct report_plot plot = { .x = { .min = 0, .max = 8 },
				    .y = { .min = 0, .max = 8 },
				    .series = series,
				    .series_count = 2 };
	char *svg = kit_svg(&plot);
	struct kit_ruler y = kit_ruler(svg, 'y'), x = kit_ruler(svg, 'x');

	for (int i = 0; i < 2; i++) {
		double p[3];

		sscanf(kit_attribute(kit_path(svg, "stroke", "#0072b2", i), "d"), "M%lf %lfH%lf",
		       &p[0], &p[1], &p[2]);
		assert_true(fabs(kit_value(y, p[1]) - at[i]) < 0.01 && p[2] - p[0] > 300);
		sscanf(kit_attribute(kit_path(svg, "stroke", "#d55e00", i), "d"), "M%lf %lfV%lf",
		       &p[0], &p[1], &p[2]);
		assert_true(fabs(kit_value(x, p[0]) - at[i]) < 0.01 && p[1] - p[2] > 200);
	}
	free(svg);
}

static void series_differ_in_color_and_shape(void **state)
{
	(void)state;
	const double x[] = { 1 };
	struct report_series series[REPORT_COLORS];

	for (int s = 0; s < REPORT_COLORS; s++)
		series[s] =
			(struct report_series){ .kind = REPORT_POINTS, .count = 1, .x = x, .y = x };
	struct report_plot plot = { .series = series, .series_count = REPORT_COLORS };
	char *svg = kit_svg(&plot);
	char color[REPORT_COLORS][16];
	int n = 0;

	for (const char *tag = svg; (tag = strstr(tag, "<path")); tag++) {
		const char *fill = kit_attribute(tag, "fill");

		if (fill && strstr(tag, "z\"") && n < REPORT_COLORS && fill[0] == '#')
			snprintf(color[n++], 16, "%s", fill);
	}
	assert_int_equal(n, REPORT_COLORS);
	for (int a = 0; a < n; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(color[a], color[b]);
	free(svg);
}

static void many_points_are_one_path(void **state)
{
	(void)state;
	enum { MANY = 5000 };
	static double x[MANY];

	for (int i = 0; i < MANY; i++)
		x[i] = i;
	struct report_series series = { .kind = REPORT_POINTS, .count = MANY, .x = x, .y = x };
	struct report_plot plot = { .series = &series, .series_count = 1 };
	char *svg = kit_svg(&plot);

	assert_int_equal(kit_count(svg, "h0"), MANY);
	assert_true(kit_count(svg, "<path") < 40);
	free(svg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grouped_bars_stand_beside_each_other),
		cmocka_unit_test(stacked_bars_stand_on_each_other),
		cmocka_unit_test(bars_at_numbers_know_zero),
		cmocka_unit_test(histograms_follow_their_edges),
		cmocka_unit_test(error_bars_have_their_length),
		cmocka_unit_test(lines_have_gaps),
		cmocka_unit_test(lines_across_stand_at_their_values),
		cmocka_unit_test(series_differ_in_color_and_shape),
		cmocka_unit_test(many_points_are_one_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
