/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Axes that choose for themselves reach as far as the data, their error bars, and their bars. */
#include "report/svg.h"

#include "testkit.h"

static void expect(const struct report_plot *plot, double x_min, double x_max, double y_min,
		   double y_max)
{
	struct report_range x, y;

	assert_int_equal(report_check_plot(plot, NULL), PN_OK);
	report_data_range(plot, &x, &y);
	if (x.min != x_min || x.max != x_max || y.min != y_min || y.max != y_max)
		fail_msg("%g..%g, %g..%g instead of %g..%g, %g..%g", x.min, x.max, y.min, y.max,
			 x_min, x_max, y_min, y_max);
}

static const double x3[] = { 1, 3, 4 }, y3[] = { 5, NAN, 7 }, e3[] = { 1, 100, 2 };

static struct report_plot one(const struct report_series *series)
{
	return (struct report_plot){ .series = series, .series_count = 1 };
}

static void lines_and_points(void **state)
{
	(void)state;
	struct report_series s = { .kind = REPORT_POINTS, .count = 3, .x = x3, .y = y3 };
	struct report_plot plot = one(&s);

	expect(&plot, 1, 4, 5, 7);
	s.error = e3; /* that of a missing value does not count */
	expect(&plot, 1, 4, 4, 9);
	s.offset = 10;
	expect(&plot, 1, 4, 14, 19);
	s.offset = 0;
	plot.x.min = 0, plot.x.max = 2; /* y of what is seen */
	expect(&plot, 1, 4, 4, 6);
}

static void bars_have_widths_and_stand_on_zero(void **state)
{
	(void)state;
	struct report_series s[2] = { { .kind = REPORT_BARS, .count = 3, .x = x3, .y = y3 } };
	struct report_plot plot = one(s);

	assert_true(report_bar_width(&plot) == 1);
	expect(&plot, 0.5, 4.5, 0, 7);
	s[0].x = NULL;
	expect(&plot, -0.5, 2.5, 0, 7);
	s[1] = s[0];
	plot.series_count = 2;
	expect(&plot, -0.5, 2.5, 0, 7);
	plot.stacked = 1;
	assert_true(report_bar_base(&plot, 1, 2) == 7 && report_bar_base(&plot, 0, 2) == 0);
	assert_true(report_bar_base(&plot, 1, 1) == 0); /* on a value that is missing */
	expect(&plot, -0.5, 2.5, 0, 14);
	plot.x.categories = (const char *const[]){ "a", "b", "c", "d" };
	plot.x.categories_count = 4;
	expect(&plot, -0.5, 3.5, 0, 14);
}

static void histograms_have_one_edge_more(void **state)
{
	(void)state;
	const double edges[] = { 2, 4, 6, 9 };
	struct report_series s = { .kind = REPORT_STEPS, .count = 3, .x = edges, .y = y3 };
	struct report_plot plot = one(&s);

	expect(&plot, 2, 9, 0, 7);
	s.count = 0;
	expect(&plot, INFINITY, -INFINITY, INFINITY, -INFINITY);
}

static void lines_across_reach_one_way(void **state)
{
	(void)state;
	struct report_series s = { .kind = REPORT_HLINE, .count = 3, .y = y3 };
	struct report_plot plot = one(&s);

	expect(&plot, INFINITY, -INFINITY, 5, 7);
	s = (struct report_series){ .kind = REPORT_VLINE, .count = 3, .x = x3 };
	expect(&plot, 1, 4, INFINITY, -INFINITY);
}

static void what_cannot_be_drawn_does_not_stretch(void **state)
{
	(void)state;
	const double x[] = { 1, -2, INFINITY, 10 }, y[] = { -1, 1e250, 3, 4 };
	struct report_series s = { .kind = REPORT_POINTS, .count = 4, .x = x, .y = y };
	struct report_plot plot = one(&s);

	expect(&plot, -2, 10, -1, 4);
	plot.x.log = plot.y.log = 1;
	expect(&plot, 1, 10, 3, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_and_points),
		cmocka_unit_test(bars_have_widths_and_stand_on_zero),
		cmocka_unit_test(histograms_have_one_edge_more),
		cmocka_unit_test(lines_across_reach_one_way),
		cmocka_unit_test(what_cannot_be_drawn_does_not_stretch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
