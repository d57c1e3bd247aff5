/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page holds of the models is what was given, to the last bit of a float. */
#include "page_kit.h"

enum { N = 5 };

static double position[N][3] = {
	{ 0, 0.1, -0.2 }, { 1e3, -1e-7, 5 }, { 12.345678, 2, 3 }, { 4, 5, 6 }, { -7, -8, -9 }
};
static uint8_t element[N] = { 78, 46, 78, 0, 28 };
static const uint32_t id[N] = { 7, 4000000000u, 0, 1, 2 };
static double depth[N] = { 0, -1.5, NAN, 1e300, 3.14159265358979 };
static double fate[N] = { 0, 2, NAN, 1, 2 };
static const char *const labels[] = { "stays", "goes </script>", "comes" };
static const struct report_column columns[] = {
	{ "Depth", "\xc3\x85", "<b>to the surface</b>", REPORT_NUMBER, NULL, 0 },
	{ "Fate", NULL, NULL, REPORT_CLASS, labels, 3 },
};
static const double *const values[] = { depth, fate };

static struct report_model model_of(void)
{
	return (struct report_model){ .name = "</script><b>",
				      .time_s = 2.5,
				      .atoms = N,
				      .position_A = (const double(*)[3])position,
				      .element = element,
				      .id = id,
				      .values = values };
}

static void put(struct report *report, const struct report_model *models, size_t count)
{
	const struct report_views views = { .title = "V<iew",
					    .caption = "C&aption",
					    .columns = columns,
					    .columns_count = 2,
					    .models = models,
					    .models_count = count,
					    .color_by = "Fate" };

	report_views(report, &views);
}

static void fill(struct report *report)
{
	struct report_model models[] = { model_of(), { .name = "empty", .time_s = NAN } };

	put(report, models, 2);
}

/* The content of an element, decoded; returns the bytes of it. */
static size_t decode(const char *page, const char *name, void *bytes, size_t room)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char wanted[64];
	unsigned char *out = bytes;
	size_t count = 0;
	unsigned word = 0, bits = 0;

	snprintf(wanted, sizeof wanted, "<script type=\"text/plain\" id=\"%s\">", name);
	const char *at = strstr(page, wanted);

	if (!at)
		fail_msg("no %s", name);
	for (at += strlen(wanted); *at != '<' && *at != '='; at++) {
		word = word << 6 | (unsigned)(strchr(digits, *at) - digits);
		bits += 6;
		if (bits >= 8) {
			assert_true(count < room);
			out[count++] = (unsigned char)(word >> (bits -= 8));
		}
	}
	return count;
}

static void arrays_come_back(void **state)
{
	(void)state;
	char *page = kit_page(fill);
	float number[3 * N];
	uint32_t word[N];
	uint8_t byte[N];

	assert_int_equal(decode(page, "v1-0-position", number, sizeof number), sizeof number);
	for (int i = 0; i < 3 * N; i++)
		assert_true(number[i] == (float)position[i / 3][i % 3]);
	assert_int_equal(decode(page, "v1-0-element", byte, sizeof byte), N);
	assert_memory_equal(byte, element, N);
	assert_int_equal(decode(page, "v1-0-id", word, sizeof word), sizeof word);
	assert_memory_equal(word, id, sizeof id);
	assert_int_equal(decode(page, "v1-0-c0", number, sizeof number), 4 * N);
	assert_true(number[0] == 0 && number[1] == -1.5f && isnan(number[2]));
	assert_true(number[3] == 3e38f && number[4] == (float)3.14159265358979);
	assert_int_equal(decode(page, "v1-0-c1", byte, sizeof byte), N);
	assert_memory_equal(byte, ((uint8_t[]){ 0, 2, 255, 1, 2 }), N);
	assert_int_equal(decode(page, "v1-1-position", number, sizeof number), 0);
	free(page);
}

static void the_list_says_what_they_are(void **state)
{
	(void)state;
	char *page = kit_page(fill);
	char *list = strstr(page, "<script type=\"application/json\" id=\"v1\">");

	assert_non_null(list);
	list = strchr(list, '>') + 1;
	*strchr(list, '<') = '\0'; /* the first < of any kind ends it */
	assert_string_equal(
		list,
		"{\"color_by\":\"Fate\",\"columns\":[{\"name\":\"Depth\",\"unit\":\"\xc3\x85\","
		"\"brief\":\"\\u003cb\\u003eto the surface\\u003c/b\\u003e\"},{\"name\":\"Fate\","
		"\"unit\":\"\",\"brief\":\"\",\"labels\":[\"stays\",\"goes \\u003c/script\\u003e\","
		"\"comes\"]}],\"models\":[{\"name\":\"\\u003c/script\\u003e\\u003cb\\u003e\","
		"\"time_s\":2.5,\"atoms\":5,\"ids\":true},{\"name\":\"empty\",\"time_s\":null,"
		"\"atoms\":0,\"ids\":false}],\"elements\":{\"0\":\"?\",\"28\":\"Ni\",\"46\":\"Pd\","
		"\"78\":\"Pt\"}}\n");
	free(page);
}

static void fill_twice(struct report *report)
{
	struct report_model model = model_of();

	model.id = NULL;
	put(report, &model, 1);
	put(report, &model, 1);
	put(report, NULL, 0);
}

static void views_do_not_share_names(void **state)
{
	(void)state;
	char *page = kit_page(fill_twice);

	assert_int_equal(kit_count(page, "id=\"v1-0-position\""), 1);
	assert_int_equal(kit_count(page, "id=\"v2-0-position\""), 1);
	assert_int_equal(kit_count(page, "id=\"v3\""), 1);
	assert_int_equal(kit_count(page, "-id\">"), 0);
	assert_int_equal(kit_count(page, "data-views=\"v2\""), 1);
	assert_non_null(strstr(page, "<h3>V&lt;iew</h3>"));
	free(page);
}

static void bad_class(struct report *report)
{
	double wrong[N] = { 0, 1, 3, 0, 0 };
	const double *const with[] = { depth, wrong };
	struct report_model model = model_of();

	model.values = with;
	put(report, &model, 1);
}

static void half_class(struct report *report)
{
	double wrong[N] = { 0, 1, 0.5, 0, 0 };
	const double *const with[] = { depth, wrong };
	struct report_model model = model_of();

	model.values = with;
	put(report, &model, 1);
}

static void bad_place(struct report *report)
{
	double wrong[N][3] = { { 0 }, { 0, NAN, 0 } };
	struct report_model model = model_of();

	model.position_A = (const double(*)[3])wrong;
	put(report, &model, 1);
}

static void no_elements(struct report *report)
{
	struct report_model model = model_of();

	model.element = NULL;
	put(report, &model, 1);
}

static void no_column(struct report *report)
{
	const double *const with[] = { depth, NULL };
	struct report_model model = model_of();

	model.values = with;
	put(report, &model, 1);
}

static void many_labels(struct report *report)
{
	static const char *const many[300];
	const struct report_column column = {
		.name = "Many", .kind = REPORT_CLASS, .labels = many, .labels_count = 300
	};
	const struct report_views views = { .columns = &column, .columns_count = 1 };

	report_views(report, &views);
}

static void nameless(struct report *report)
{
	const struct report_column column = { .kind = REPORT_NUMBER };
	const struct report_views views = { .columns = &column, .columns_count = 1 };

	report_views(report, &views);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	kit_page_refuses(bad_class, PN_EARG, "atom 2 has class 3 of 3");
	kit_page_refuses(half_class, PN_EARG, "class 0.5");
	kit_page_refuses(bad_place, PN_EARG, "atom 1 is at 0, nan, 0 A");
	kit_page_refuses(no_elements, PN_EARG, "missing");
	kit_page_refuses(no_column, PN_EARG, "column 1");
	kit_page_refuses(many_labels, PN_EARG, "300 classes");
	kit_page_refuses(nameless, PN_EARG, "no name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrays_come_back),
		cmocka_unit_test(the_list_says_what_they_are),
		cmocka_unit_test(views_do_not_share_names),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
