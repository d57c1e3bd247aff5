/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A 2D histogram counts each point once, in the bin where it lies, and its shades are in order. */
#include "perrin/base/rng.h"
#include "report/svg.h"

#include "page_kit.h"

static struct report_canvas canvas_of(const struct report_plot *plot)
{
	struct report_canvas canvas = {
		.plot = plot, .left = 0, .right = 100, .top = 0, .bottom = 100
	};
	const double pad[2] = { 0, 0 };
	struct report_range none = { INFINITY, -INFINITY };

	assert_int_equal(report_scale_init(&canvas.x, &plot->x, none, pad, 5, NULL), PN_OK);
	assert_int_equal(report_scale_init(&canvas.y, &plot->y, none, pad, 5, NULL), PN_OK);
	canvas.x.to_px = canvas.y.from_px = 100;
	return canvas;
}

static void points_are_counted_where_they_lie(void **state)
{
	(void)state;
	enum { MANY = 20000, BINS = 13 };
	static double x[MANY], y[MANY], wanted[BINS * BINS];
	struct report_series series = {
		.kind = REPORT_MAP, .count = MANY, .x = x, .y = y, .map_bins = BINS
	};
	struct report_plot plot = { .x = { .min = -1, .max = 12 },
				    .y = { .min = 2, .max = 4.6 },
				    .series = &series,
				    .series_count = 1 };
	struct report_canvas canvas = canvas_of(&plot);
	struct pn_rng rng;
	double sum = 0, largest = 0;
	size_t outside = 0;

	pn_rng_init(&rng, 3, 0);
	for (int i = 0; i < MANY; i++) {
		x[i] = 15 * pn_rng_uniform(&rng) - 2;
		y[i] = 3 * pn_rng_uniform(&rng) + 1.8;
		if (i % 100 == 0)
			x[i] = NAN;
		if (isnan(x[i]))
			continue;
		if (x[i] < -1 || x[i] > 12 || y[i] < 2 || y[i] > 4.6)
			outside++;
		else
			wanted[(int)((y[i] - 2) / 0.2) * BINS + (int)(x[i] + 1)]++;
	}
	assert_int_equal(report_map_count(&canvas, NULL), PN_OK);
	assert_int_equal(canvas.map.bins, BINS);
	for (int k = 0; k < BINS * BINS; k++) {
		assert_true(canvas.map.count[k] == wanted[k]);
		sum += wanted[k];
		largest = fmax(largest, wanted[k]);
	}
	assert_true(sum + (double)outside == MANY - MANY / 100);
	assert_int_equal(canvas.lost, outside);
	assert_true(canvas.map.largest == largest);
	report_map_free(&canvas.map);
	assert_null(canvas.map.count);
}

/* Both ends of the axes belong to it. */
static void edges_are_inside(void **state)
{
	(void)state;
	const double x[] = { 0, 1, 0, 1 }, y[] = { 0, 1, 1, 0 };
	struct report_series series = {
		.kind = REPORT_MAP, .count = 4, .x = x, .y = y, .map_bins = 2
	};
	struct report_plot plot = { .x = { .min = 0, .max = 1 },
				    .y = { .min = 0, .max = 1 },
				    .series = &series,
				    .series_count = 1 };
	struct report_canvas canvas = canvas_of(&plot);

	assert_int_equal(report_map_count(&canvas, NULL), PN_OK);
	for (int k = 0; k < 4; k++)
		assert_true(canvas.map.count[k] == 1);
	assert_int_equal(canvas.lost, 0);
	report_map_free(&canvas.map);
}

/* The area that is drawn is that of the bins that have points; few are dark, many are light. */
static void bins_are_drawn_in_their_place_and_order(void **state)
{
	(void)state;
	/* 1 point in (0, 0), 2 in (1, 0), 4 in (3, 3); the run (0..1, 2) has one shade */
	const double x[] = { 0.5, 1.5, 1.5, 3.5, 3.5, 3.5, 3.5, 0.5, 1.5 };
	const double y[] = { 0.5, 0.5, 0.5, 3.5, 3.5, 3.5, 3.5, 2.5, 2.5 };
	struct report_series series = {
		.kind = REPORT_MAP, .count = 9, .x = x, .y = y, .map_bins = 4
	};
	struct report_plot plot = { .x = { .min = 0, .max = 4 },
				    .y = { .min = 0, .max = 4 },
				    .series = &series,
				    .series_count = 1 };
	char *svg = kit_svg(&plot);
	struct kit_ruler along = kit_ruler(svg, 'x'), up = kit_ruler(svg, 'y');
	static const double wanted[][4] = {
		{ 0, 1, 1, 1 }, { 0, 3, 2, 1 }, { 1, 1, 1, 1 }, { 3, 4, 1, 1 }
	}; /* x, top, width, height: 1 point first, then 2, then 4 */
	const char *place = strstr(svg, "crispEdges");
	double light = -1;
	int n = 0;

	for (int shade = 0; shade < 3; shade++) {
		unsigned r, g, b;

		place = strstr(place, "<path fill=\"#");
		assert_non_null(place);
		assert_int_equal(sscanf(place, "<path fill=\"#%02x%02x%02x", &r, &g, &b), 3);
		double luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;

		assert_true(luminance > light);
		light = luminance;
		for (const char *d = kit_attribute(place, "d"); *d; d = strchr(d, 'z') + 1, n++) {
			double p[4];

			assert_int_equal(sscanf(d, "M%lf %lfh%lfv%lf", &p[0], &p[1], &p[2], &p[3]),
					 4);
			assert_true(fabs(kit_value(along, p[0]) - wanted[n][0]) < 0.01);
			assert_true(fabs(kit_value(up, p[1]) - wanted[n][1]) < 0.01);
			assert_true(fabs(p[2] / along.per_unit - wanted[n][2]) < 0.01);
			assert_true(fabs(-p[3] / up.per_unit - wanted[n][3]) < 0.01);
		}
		place++;
	}
	assert_int_equal(n, 4);
	assert_non_null(strstr(svg, ">Atoms per bin<"));
	free(svg);
}

static void few_points_and_log_counts_work(void **state)
{
	(void)state;
	const double x[] = { 0.1, NAN, 0.2, 0.2 }, y[] = { 0.3, 0.5, 0.4, 0.4 };

	for (size_t count = 0; count <= 4; count++)
		for (int log = 0; log < 2; log++) {
			struct report_series series = {
				.kind = REPORT_MAP, .count = count, .x = x, .y = y, .map_log = log
			};
			struct report_plot plot = { .series = &series,
						    .series_count = 1,
						    .color_title = "N & more" };
			char *svg = kit_svg(&plot);

			assert_non_null(strstr(svg, "N &amp; more"));
			free(svg);
		}
}

static void marks_carry_their_labels(void **state)
{
	(void)state;
	const double q4[] = { 0.19, 0.10 }, q6[] = { 0.57, 0.48 };
	static const char *const labels[] = { "fcc", "hcp" };
	struct report_series series[] = {
		{ .kind = REPORT_MAP, .count = 2, .x = q4, .y = q6 },
		{ .kind = REPORT_MARKS, .count = 2, .x = q4, .y = q6, .labels = labels },
	};
	struct report_plot plot = { .x = { .min = 0, .max = 0.3 },
				    .y = { .min = 0, .max = 0.7 },
				    .series = series,
				    .series_count = 2 };
	char *svg = kit_svg(&plot);
	struct kit_ruler along = kit_ruler(svg, 'x');

	for (int i = 0; i < 2; i++) {
		const char *tag = kit_label(svg, labels[i], 0);

		assert_non_null(tag);
		assert_true(fabs(kit_value(along, kit_number(tag, "x") - 9) - q4[i]) < 1e-3);
	}
	free(svg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points_are_counted_where_they_lie),
		cmocka_unit_test(edges_are_inside),
		cmocka_unit_test(bins_are_drawn_in_their_place_and_order),
		cmocka_unit_test(few_points_and_log_counts_work),
		cmocka_unit_test(marks_carry_their_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
