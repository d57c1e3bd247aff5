/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page is one file, whole or not there, and asks for nothing from outside. */
#include "report/page.h"

#include "page_kit.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static const double position[3][3] = { { 0, 0, 0 }, { 2, 0, 0 }, { 0, 2, 0 } };
static const uint8_t element[3] = { 78, 78, 46 };

static void fill(struct report *report)
{
	static const char *const cells[] = { "a", "1" };
	static const double x[] = { 0, 1 };
	const struct report_card card = { "Atoms", "314", "", "note" };
	const struct report_table table = { .columns = 2, .cells = cells, .rows = 1 };
	const struct report_series series = { .kind = REPORT_LINE, .count = 2, .x = x, .y = x };
	const struct report_plot plot = { .title = "P", .series = &series, .series_count = 1 };
	const struct report_model model = {
		.name = "M", .time_s = NAN, .atoms = 3, .position_A = position, .element = element
	};
	const struct report_views views = { .models = &model, .models_count = 1 };

	report_section(report, "One & only", "It begins.");
	report_cards(report, &card, 1);
	report_table(report, &table);
	report_plot(report, &plot);
	report_plot(report, &plot);
	report_text(report, "Between.");
	report_section(report, "Two", NULL);
	report_views(report, &views);
	report_plot(report, &plot);
}

static void parts_stand_in_order(void **state)
{
	(void)state;
	static const char *const order[] = {
		"<!DOCTYPE html>",
		"Content-Security-Policy",
		"<style>",
		"<h1>T</h1>",
		"<a href=\"#s1\">One &amp; only</a>",
		"<a href=\"#s2\">Two</a>",
		"<section id=\"s1\">",
		"It begins.",
		"class=\"cards\"",
		"<table>",
		"class=\"figures\"",
		"<svg",
		"<svg",
		"Between.",
		"</section>",
		"<section id=\"s2\">",
		"class=\"views\"",
		"id=\"v1\"",
		"id=\"v1-0-position\"",
		"class=\"figures\"",
		"</section>",
		"<footer>F</footer>",
		"</html>",
	};
	char *page = kit_page(fill);
	const char *at = page;

	for (size_t i = 0; i < PN_COUNT(order); i++) {
		at = strstr(at, order[i]);
		if (!at)
			fail_msg("%s is missing or too early", order[i]);
		at++;
	}
	assert_int_equal(kit_count(page, "<section"), kit_count(page, "</section>"));
	free(page);
}

/* No address is loaded: not by an element, not by the style, and the policy forbids the rest. */
static void nothing_comes_from_outside(void **state)
{
	(void)state;
	char *page = kit_page(fill);
	char *scripts = strstr(page, "<script>");

	assert_non_null(strstr(page, "content=\"default-src 'none'; script-src 'unsafe-inline'; "
				     "style-src 'unsafe-inline'; img-src data:\""));
	assert_non_null(scripts);
	*scripts = '\0';
	assert_null(strstr(page, " src="));
	assert_null(strstr(page, "<link"));
	assert_null(strstr(page, "@import"));
	assert_null(strstr(page, "url("));
	assert_null(strstr(page, "https:"));
	assert_int_equal(kit_count(page, "http:"), kit_count(page, "xmlns=\"http:"));
	assert_int_equal(kit_count(page, "href="), kit_count(page, "href=\"#s"));
	free(page);
}

/* What is built in ends no script and no comment, and three.js is there only where it is needed. */
static void built_in_files_fit_into_a_page(void **state)
{
	(void)state;
	for (int name = 0; name < REPORT_ASSETS; name++) {
		struct report_asset asset = report_asset((enum report_asset_name)name);
		size_t count = (size_t)(asset.end - asset.text);

		assert_true(count > 100);
		assert_true(asset.end[0] == '\0');
		assert_int_equal(strlen(asset.text), count);
		assert_null(strcasestr(asset.text, "</script"));
		assert_null(strcasestr(asset.text, "</style"));
		assert_null(strstr(asset.text, "<!--"));
		assert_null(strstr(asset.text, "-->"));
		if (name != REPORT_THREE_JS) {
			assert_null(strstr(asset.text, "http:"));
			assert_null(strstr(asset.text, "https:"));
			assert_null(strstr(asset.text, "fetch("));
			assert_null(strstr(asset.text, "XMLHttpRequest"));
		}
	}
}

static void no_models(struct report *report)
{
	report_section(report, "Only words", NULL);
	report_text(report, "No models.");
}

static void pages_without_models_are_small(void **state)
{
	(void)state;
	char *page = kit_page(no_models);

	assert_true(strlen(page) < 60000);
	assert_null(strstr(page, "THREE"));
	assert_null(strstr(page, "<nav>")); /* one section needs no contents */
	free(page);
}

static void heads_are_escaped(void **state)
{
	(void)state;
	const char *evil = "</title><script>&\"";
	const struct report_fact fact = { evil, evil };
	const struct report_header header = { evil, evil, &fact, 1, evil };
	const char *path = testkit_path(testkit_tempdir(), "evil.html");
	struct report *report;
	size_t count;

	assert_int_equal(report_create(&report, &header, NULL), PN_OK);
	report_section(report, evil, evil);
	report_section(report, evil, evil);
	report_text(report, evil);
	assert_int_equal(report_write(report, path, NULL), PN_OK);
	report_free(report);
	char *page = testkit_read(path, &count);

	kit_check_tags(page);
	/* title, h1, subtitle, fact twice, footer; contents, heading, sentence twice; paragraph */
	assert_int_equal(kit_count(page, "&lt;/title&gt;&lt;script&gt;&amp;&quot;"), 13);
	free(page);
}

static size_t files_in(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t count = 0;

	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void a_page_replaces_another_whole(void **state)
{
	(void)state;
	static const struct report_header header = { .title = "T" };
	const char *folder = testkit_tempdir(), *path = testkit_path(folder, "page.html");
	struct report *report;
	struct pn_error err = { 0 };
	size_t count, more;

	testkit_write(path, "old", 3);
	assert_int_equal(report_create(&report, &header, &err), PN_OK);
	report_text(report, "first");
	assert_int_equal(report_write(report, path, &err), PN_OK);
	assert_int_equal(files_in(folder), 1);
	char *page = testkit_read(path, &count);

	assert_non_null(strstr(page, "first"));
	free(page);
	/* it can be added to, and written again */
	report_section(report, "S", NULL);
	report_text(report, "second");
	assert_int_equal(report_write(report, path, &err), PN_OK);
	page = testkit_read(path, &more);
	kit_check_tags(page);
	assert_true(more > count);
	assert_true(strstr(page, "first") < strstr(page, "second"));
	free(page);
	report_free(report);
}

static void failures_leave_the_old_page(void **state)
{
	(void)state;
	static const struct report_header header = { .title = "T" };
	const char *folder = testkit_tempdir(), *path = testkit_path(folder, "page.html");
	struct report *report;
	struct pn_error err = { 0 };
	size_t count;

	testkit_write(path, "old", 3);
	assert_int_equal(report_create(&report, &header, &err), PN_OK);
	assert_int_equal(report_write(report, testkit_path(folder, "no/page.html"), &err),
			 PN_ENOENT);
	assert_non_null(strstr(err.text, "no/page.html"));
	/* a folder stands where the page should */
	assert_int_equal(mkdir(testkit_path(folder, "taken"), 0755), 0);
	testkit_write(testkit_path(folder, "taken/file"), "x", 1);
	assert_true(report_write(report, testkit_path(folder, "taken"), &err) < 0);
	/* a disk that is full */
	assert_true(report_write(report, "/dev/full/page.html", &err) < 0);
	static const struct report_table bad = { .title = "Bad", .columns = 3, .align = "l" };

	report_table(report, &bad);
	assert_int_equal(report_write(report, path, &err), PN_EARG);
	assert_non_null(strstr(err.text, "Bad"));
	char *page = testkit_read(path, &count);

	assert_string_equal(page, "old");
	free(page);
	assert_int_equal(files_in(folder), 2);
	report_free(report);
	report_free(NULL);
}

/* Renamed over a device, a page would take its place: /dev/null as a file, for all programs. */
static void devices_stay_what_they_are(void **state)
{
	(void)state;
	static const struct report_header header = { .title = "T" };
	static const char *const devices[] = { "/dev/null", "/dev/full" };
	static const int want[] = { PN_OK, PN_ENOSPC };
	const char *folder = testkit_tempdir();
	struct report *report;
	struct pn_error err = { 0 };
	struct stat st;

	assert_int_equal(report_create(&report, &header, &err), PN_OK);
	for (size_t i = 0; i < PN_COUNT(devices); i++) {
		/* a link stands for the device */
		const char *path = testkit_path(folder, i ? "full" : "null");

		assert_int_equal(symlink(devices[i], path), 0);
		assert_int_equal(report_write(report, path, &err), want[i]);
		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISLNK(st.st_mode));
	}
	assert_int_equal(files_in(folder), 2);
	report_free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_stand_in_order),
		cmocka_unit_test(nothing_comes_from_outside),
		cmocka_unit_test(built_in_files_fit_into_a_page),
		cmocka_unit_test(pages_without_models_are_small),
		cmocka_unit_test(heads_are_escaped),
		cmocka_unit_test(a_page_replaces_another_whole),
		cmocka_unit_test(failures_leave_the_old_page),
		cmocka_unit_test(devices_stay_what_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
