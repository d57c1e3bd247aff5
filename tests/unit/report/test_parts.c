/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cards, tables, plots and panels say what they are given, and refuse what they cannot show. */
#include "page_kit.h"

static void fill_cards(struct report *report)
{
	const struct report_card cards[] = {
		{ "Atoms <lost>", "81", "of 314", "25.8 %" },
		{ "Rate", NULL, NULL, NULL },
	};

	report_cards(report, cards, 2);
	report_cards(report, NULL, 0);
}

static void cards_say_their_figures(void **state)
{
	(void)state;
	char *page = kit_page(fill_cards);

	assert_non_null(strstr(page,
			       "<div class=\"label\">Atoms &lt;lost&gt;</div>"
			       "<div class=\"value\">81<span class=\"unit\">of 314</span></div>"
			       "<div class=\"note\">25.8 %</div>"));
	assert_non_null(strstr(page, "<div class=\"label\">Rate</div>"
				     "<div class=\"value\">\xe2\x80\x93</div></div>"));
	assert_int_equal(kit_count(page, "class=\"cards\""), 1);
	free(page);
}

static void fill_table(struct report *report)
{
	static const char *const header[] = { "Model", "Atoms", "Kind" };
	static const char *const cells[] = { "a&b", "314", "x", "c", NULL, "y" };
	const struct report_table table = { "Title", "Caption", header, 3, cells, 2, "l.c" };
	const struct report_table plain = { .columns = 3, .cells = cells, .rows = 1 };

	report_table(report, &table);
	report_table(report, &plain);
	report_table(report, &(struct report_table){ .title = "Empty" });
}

static void tables_keep_rows_and_alignment(void **state)
{
	(void)state;
	char *page = kit_page(fill_table);

	assert_non_null(strstr(page,
			       "<tr><th class=\"left\">Model</th><th class=\"number\">Atoms</th>"
			       "<th class=\"middle\">Kind</th></tr>"));
	assert_non_null(strstr(page,
			       "<tr><td class=\"left\">a&amp;b</td><td class=\"number\">314</td>"
			       "<td class=\"middle\">x</td></tr>"));
	assert_non_null(strstr(page, "<td class=\"number\">\xe2\x80\x93</td>"));
	assert_non_null(strstr(page, "<figcaption>Caption</figcaption>"));
	assert_int_equal(kit_count(page, "<tr>"), 4);
	assert_int_equal(kit_count(page, "<thead>"), 1);
	free(page);
}

static const double ones[] = { 1, 2, 3 }, tens[] = { 10, 20, 30 };

static void fill_panels(struct report *report)
{
	const struct report_series series[] = {
		{ .kind = REPORT_LINE, .count = 3, .x = ones, .y = ones },
		{ .kind = REPORT_LINE, .count = 3, .x = tens, .y = tens },
	};
	const struct report_plot plots[] = {
		{ .title = "first", .series = &series[0], .series_count = 1 },
		{ .title = "second", .series = &series[1], .series_count = 1 },
	};
	const struct report_panels panels = { "Panels", "Caption", plots, 2, 2, 1, 1 };

	report_panels(report, &panels);
}

/* Shared axes: the same ticks in both, and room for all data. */
static void panels_share_their_ranges(void **state)
{
	(void)state;
	char *page = kit_page(fill_panels);
	char *first = strstr(page, "<svg"), *second = strstr(first + 1, "class=\"panel\"");

	assert_non_null(second);
	*(second - 1) = '\0';
	struct kit_ruler a = kit_ruler(first, 'x'), b = kit_ruler(second, 'x');

	assert_true(fabs(a.zero - b.zero) < 0.02 && fabs(a.per_unit - b.per_unit) < 1e-3);
	a = kit_ruler(first, 'y'), b = kit_ruler(second, 'y');
	assert_true(fabs(a.zero - b.zero) < 0.02 && fabs(a.per_unit - b.per_unit) < 1e-3);
	assert_null(strstr(first, "outside the axes"));
	assert_null(strstr(second, "outside the axes"));
	free(page);
}

static void bad_alignment(struct report *report)
{
	const struct report_table table = { .title = "Tab", .columns = 3, .align = "l." };

	report_table(report, &table);
}

static void bad_plot(struct report *report)
{
	const struct report_series series = { .kind = REPORT_LINE, .count = 3 };
	const struct report_plot plot = { .title = "Plo", .series = &series, .series_count = 1 };

	report_plot(report, &plot);
}

static void bad_panel(struct report *report)
{
	const struct report_series series = { .kind = 55, .count = 3 };
	const struct report_plot plot = { .title = "Pan", .series = &series, .series_count = 1 };
	const struct report_panels panels = {
		.title = "Panels", .plots = &plot, .count = 1, .share_x = 1
	};

	report_panels(report, &panels);
}

static void the_first_error_is_told(void **state)
{
	(void)state;
	kit_page_refuses(bad_alignment, PN_EARG, "Tab");
	kit_page_refuses(bad_plot, PN_EARG, "Plo");
	kit_page_refuses(bad_panel, PN_EARG, "55");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cards_say_their_figures),
		cmocka_unit_test(tables_keep_rows_and_alignment),
		cmocka_unit_test(panels_share_their_ranges),
		cmocka_unit_test(the_first_error_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
