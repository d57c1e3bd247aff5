/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every kind of plot is well-formed with whatever data it gets, and its texts have their places. */
#include "perrin/base/rng.h"

#include "page_kit.h"

static const int kinds[] = { REPORT_LINE,  REPORT_POINTS, REPORT_MARKED, REPORT_BARS, REPORT_STEPS,
			     REPORT_HLINE, REPORT_VLINE,  REPORT_MARKS,  REPORT_MAP };

enum { N = 7 };

/* All kinds over the same values, linear and logarithmic, alone and with error bars. */
static void draw_all(const double x[N + 1], const double y[N], const double error[N], size_t count)
{
	static const char *const labels[N] = { "a", "b", "c", "d", "e", "f", "g" };

	for (size_t k = 0; k < PN_COUNT(kinds); k++)
		for (int mode = 0; mode < 16; mode++) {
			struct report_series series = {
				.name = mode & 8 ? NULL : "series",
				.kind = kinds[k],
				.count = count,
				.x = x,
				.y = y,
				.error = mode & 4 ? error : NULL,
				.labels = labels,
			};
			struct report_plot plot = {
				.title = "t",
				.x = { .title = "x", .log = mode & 1 },
				.y = { .title = mode & 8 ? NULL : "y", .log = mode >> 1 & 1 },
				.series = &series,
				.series_count = 1,
			};

			free(kit_svg(&plot));
		}
}

static void any_values_can_be_drawn(void **state)
{
	(void)state;
	static const double specials[] = { 0,      -0.0,   1,      -1,         1e-300,   1e300,
					   -1e300, 1e199,  -1e199, 1e-199,     INFINITY, -INFINITY,
					   NAN,    5e-324, 1e9,    1e9 + 1e-6, 3.7,      12 };
	struct pn_rng rng;
	double x[N + 1], y[N], error[N];

	pn_rng_init(&rng, 9, 0);
	for (int trial = 0; trial < 40; trial++) {
		for (int i = 0; i <= N; i++)
			x[i] = specials[pn_rng_below(&rng, PN_COUNT(specials))];
		for (int i = 0; i < N; i++) {
			y[i] = specials[pn_rng_below(&rng, PN_COUNT(specials))];
			error[i] = specials[pn_rng_below(&rng, PN_COUNT(specials))];
		}
		draw_all(x, y, error, N);
	}
}

static void none_one_and_equal_values_can_be_drawn(void **state)
{
	(void)state;
	static const double values[] = { 0, 1, -3.5, 1e-30, 1e30, NAN };

	draw_all(NULL, NULL, NULL, 0);
	for (size_t v = 0; v < PN_COUNT(values); v++) {
		double x[N + 1], y[N], error[N];

		for (int i = 0; i <= N; i++)
			x[i] = values[v];
		for (int i = 0; i < N; i++)
			y[i] = values[v], error[i] = values[v];
		draw_all(x, y, error, N);
		draw_all(x, y, error, 1);
	}
}

static void no_data_is_said(void **state)
{
	(void)state;
	struct report_plot plot = { .title = "t" };
	char *svg = kit_svg(&plot);

	assert_non_null(strstr(svg, ">no data<"));
	free(svg);
	struct report_series series = { .name = "s", .kind = REPORT_LINE };

	plot.series = &series;
	plot.series_count = 1;
	svg = kit_svg(&plot);
	assert_non_null(strstr(svg, ">no data<"));
	free(svg);
}

static void texts_are_escaped(void **state)
{
	(void)state;
	const char *evil = "</text><script>\"&'\xff";
	const double x[] = { 0, 1, 2 }, y[] = { 1, 2, 3 };
	struct report_series series[] = {
		{ .name = evil, .kind = REPORT_BARS, .count = 2, .y = y },
		{ .kind = REPORT_MARKS,
		  .count = 2,
		  .x = x,
		  .y = y,
		  .labels = (const char *const[]){ evil, NULL } },
		{ .name = evil, .kind = REPORT_LINE, .count = 2, .x = x, .y = y, .offset = 1 },
		{ .name = evil, .kind = REPORT_MAP, .count = 2, .x = x, .y = y },
	};
	struct report_plot plot = {
		.title = evil,
		.x = { .title = evil,
		       .categories = (const char *const[]){ evil, NULL },
		       .categories_count = 2 },
		.y = { .title = evil },
		.series = series,
		.series_count = 4,
		.color_title = evil,
	};
	char *svg = kit_svg(&plot);

	assert_null(strstr(svg, "<script"));
	/* title; tick, two axes, legend, tooltip of bar 0 twice and of 1, mark, end of line, map */
	assert_true(kit_count(svg, "&lt;script&gt;&quot;&amp;&#39;\xef\xbf\xbd") >= 10);
	free(svg);
}

/* Data at a tick stand over the tick: the axes tell the truth. */
static void points_stand_at_their_ticks(void **state)
{
	(void)state;
	const double x[] = { 1, 2, 3, 4 }, y[] = { 20, 40, 10, 30 };
	struct report_series series = { .kind = REPORT_POINTS, .count = 4, .x = x, .y = y };
	struct report_plot plot = { .x = { .title = "x", .min = 0, .max = 5 },
				    .y = { .title = "y", .min = 0, .max = 50 },
				    .series = &series,
				    .series_count = 1 };

	for (int log = 0; log < 2; log++) {
		plot.y.log = log;
		plot.y.min = log ? 4 : 0; /* 10 and 20 are labelled, 30 and 40 are not */
		char *svg = kit_svg(&plot);

		struct kit_ruler along = kit_ruler(svg, 'x');
		int compared = 0;

		for (int i = 0; i < 4; i++) {
			char label[16];
			const char *point = kit_path(svg, "fill", "#0072b2", i), *tick;
			double at[2];

			assert_non_null(point);
			sscanf(kit_attribute(point, "d"), "M%lf %lf", &at[0], &at[1]);
			assert_true(fabs(kit_value(along, at[0]) - x[i]) < 1e-3);
			snprintf(label, sizeof label, "%g", y[i]);
			tick = kit_label(svg, label, 0);
			if (tick) /* the base of the text is 4 px lower */
				assert_true(fabs(kit_number(tick, "y") - 4 - at[1]) < 0.011);
			compared += tick != NULL;
		}
		assert_int_equal(compared, log ? 2 : 4);
		free(svg);
	}
}

static void what_is_left_out_is_counted(void **state)
{
	(void)state;
	const double x[] = { 1, 2, 3, 4, NAN, 9 }, y[] = { 1, -2, INFINITY, 4, 5, 0 };
	struct report_series series = { .kind = REPORT_POINTS, .count = 6, .x = x, .y = y };
	struct report_plot plot = { .y = { .log = 1 }, .series = &series, .series_count = 1 };

	for (int k = 0; k < 3; k++) {
		series.kind = k; /* points, line, both: each value counts once; NaN is no loss */
		char *svg = kit_svg(&plot);

		assert_non_null(strstr(svg, ">3 outside the axes<"));
		free(svg);
	}
	plot.y.log = 0;
	plot.y.min = -3, plot.y.max = 5;
	char *svg = kit_svg(&plot);

	assert_non_null(strstr(svg, ">1 outside the axes<"));
	free(svg);
	series.count = 2;
	svg = kit_svg(&plot);
	assert_null(strstr(svg, "outside the axes"));
	free(svg);
}

/* Labels of the x axis do not run into each other, by their estimated widths. */
static void labels_have_room(void **state)
{
	(void)state;
	for (int digits = 0; digits < 5; digits++) {
		const double x[] = { 1234567 * pow(10, -digits), 1234570 * pow(10, -digits) };
		struct report_series series = { .kind = REPORT_LINE, .count = 2, .x = x, .y = x };
		struct report_plot plot = { .series = &series, .series_count = 1 };
		char *svg = kit_svg(&plot);
		double last = -INFINITY, last_width = 0;
		int count = 0;

		for (const char *tag = svg; (tag = strstr(tag, "<text")); tag++) {
			const char *anchor = kit_attribute(tag, "text-anchor");

			if (!anchor || strcmp(anchor, "middle"))
				continue;
			double width = 6.0 * strcspn(strchr(tag, '>') + 1, "<");

			assert_true(kit_number(tag, "x") - last > (width + last_width) / 2);
			last = kit_number(tag, "x");
			last_width = width;
			count++;
		}
		assert_true(count >= 2);
		free(svg);
	}
}

static void legends_name_each_series_once(void **state)
{
	(void)state;
	const double x[] = { 0, 1, 2 };
	struct report_series series[12];
	char names[12][32];

	for (int s = 0; s < 12; s++) {
		snprintf(names[s], sizeof names[s], "a rather long name %d", s);
		series[s] = (struct report_series){
			.name = names[s], .kind = REPORT_LINE, .count = 3, .x = x, .y = x
		};
	}
	struct report_plot plot = { .series = series, .series_count = 12 };
	char *svg = kit_svg(&plot);

	for (int s = 0; s < 12; s++) {
		const char *tag = kit_label(svg, names[s], 0);

		assert_non_null(tag);
		assert_null(kit_label(svg, names[s], 1));
		assert_true(kit_number(tag, "x") + 6.0 * strlen(names[s]) < 530);
	}
	free(svg);
	/* shifted curves carry their names; nothing is in the legend */
	series[1].offset = 2;
	plot.series_count = 2;
	svg = kit_svg(&plot);
	assert_string_equal(kit_attribute(kit_label(svg, names[0], 0), "text-anchor"), "end");
	assert_null(kit_label(svg, names[0], 1));
	free(svg);
}

static void refuse(struct report_plot plot, const char *word)
{
	struct pn_error err = { 0 };

	plot.title = "The Plot";
	assert_null(kit_try_svg(&plot, &err));
	assert_int_equal(err.code, PN_EARG);
	if (!strstr(err.text, word) || !strstr(err.text, "The Plot"))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
	/* the code does not hang on a place for the text */
	FILE *out = fopen("/dev/null", "w");

	assert_int_equal(report_svg(out, &plot, 100, 100, NULL), PN_EARG);
	fclose(out);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	const double x[] = { 1, 2 };
	struct report_series s = { .kind = REPORT_LINE, .count = 2, .x = x, .y = x }, bad;

	refuse((struct report_plot){ .series_count = 1 }, "1 series");
	bad = s, bad.kind = 77;
	refuse((struct report_plot){ .series = &bad, .series_count = 1 }, "77");
	bad = s, bad.color = 9;
	refuse((struct report_plot){ .series = &bad, .series_count = 1 }, "color 9");
	bad = s, bad.y = NULL;
	refuse((struct report_plot){ .series = &bad, .series_count = 1 }, "missing");
	bad = s, bad.x = NULL;
	refuse((struct report_plot){ .series = &bad, .series_count = 1 }, "missing");
	bad = s, bad.kind = REPORT_MARKS;
	refuse((struct report_plot){ .series = &bad, .series_count = 1 }, "missing");
	bad = s, bad.kind = REPORT_MAP, bad.map_bins = 100000;
	refuse((struct report_plot){ .series = &bad, .series_count = 1 }, "100000");
	refuse((struct report_plot){ .series = &s,
				     .series_count = 1,
				     .y = { .title = "up", .min = 0, .max = 2, .log = 1 } },
	       "up");
	refuse((struct report_plot){ .series = &s,
				     .series_count = 1,
				     .x = { .title = "along", .min = 3, .max = 2 } },
	       "along");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_values_can_be_drawn),
		cmocka_unit_test(none_one_and_equal_values_can_be_drawn),
		cmocka_unit_test(no_data_is_said),
		cmocka_unit_test(texts_are_escaped),
		cmocka_unit_test(points_stand_at_their_ticks),
		cmocka_unit_test(what_is_left_out_is_counted),
		cmocka_unit_test(labels_have_room),
		cmocka_unit_test(legends_name_each_series_once),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
