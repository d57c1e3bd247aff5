/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nothing that a text says can become a tag, an entity, or bytes that are not UTF-8. */
#include "report/html.h"

#include "testkit.h"

#include <stdlib.h>
#include <string.h>

static char *escaped(const char *text)
{
	char *out;
	size_t count;
	FILE *file = open_memstream(&out, &count);

	report_put_text(file, text);
	fclose(file);
	return out;
}

static void expect(const char *text, const char *wanted)
{
	char *got = escaped(text);

	assert_string_equal(got, wanted);
	free(got);
}

static void texts_are_escaped(void **state)
{
	(void)state;
	expect("a < b & \"c\" > 'd'", "a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39;");
	expect("</script><script>alert(1)</script>",
	       "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
	expect("", "");
	expect(NULL, "");
	expect("tab\tand\nline", "tab\tand\nline");
	expect("\x01\x1f\x7f", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void what_is_not_utf8_is_replaced(void **state)
{
	(void)state;
#define BAD "\xef\xbf\xbd"
	expect("\xc3\x85 \xe2\x88\x92 \xf0\x9f\x94\xac", "\xc3\x85 \xe2\x88\x92 \xf0\x9f\x94\xac");
	expect("\xff", BAD);
	expect("5 \xc5", "5 " BAD);          /* Latin-1 for the Angstrom */
	expect("\xc5m", BAD "m");            /* begins a character that does not follow */
	expect("\xe2\x88", BAD BAD);         /* cut off */
	expect("\xc0\xbc", BAD BAD);         /* < in two bytes */
	expect("\xe0\x80\xbc", BAD BAD BAD); /* < in three */
	expect("\xf0\x80\x80\xbc", BAD BAD BAD BAD);
	expect("\xed\xa0\x80", BAD BAD BAD);         /* a surrogate */
	expect("\xef\xbf\xbf", BAD BAD BAD);         /* no character of XML */
	expect("\xf4\x90\x80\x80", BAD BAD BAD BAD); /* beyond U+10FFFF */
	expect("\x80", BAD);
}

static void json_ends_no_element(void **state)
{
	(void)state;
	char *out;
	size_t count;
	FILE *file = open_memstream(&out, &count);
	const char json[] = "{\"a\":\"</script><!-- & \"}";

	report_put_json(file, json, sizeof json - 1);
	fclose(file);
	assert_string_equal(out, "{\"a\":\"\\u003c/script\\u003e\\u003c!-- \\u0026 \"}");
	free(out);
	static const char bytes[] = "{\"\xc3\x85\xff\xc3\":\"\xed\xa0\x80\"}";

	file = open_memstream(&out, &count);
	report_put_json(file, bytes, sizeof bytes - 1);
	fclose(file);
	assert_string_equal(out, "{\"\xc3\x85\xef\xbf\xbd\xef\xbf\xbd\":\""
				 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
	free(out);
}

/* RFC 4648, chapter 10; and a long one against a decoder of its own. */
static void base64_is_that_of_the_rfc(void **state)
{
	(void)state;
	static const char *const pair[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	char *out;
	size_t count;

	for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++) {
		FILE *file = open_memstream(&out, &count);

		report_put_base64(file, pair[i][0], strlen(pair[i][0]));
		fclose(file);
		assert_string_equal(out, pair[i][1]);
		free(out);
	}
	unsigned char bytes[10001];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * i * 31 + i / 7);
	FILE *file = open_memstream(&out, &count);

	report_put_base64(file, bytes, sizeof bytes);
	fclose(file);
	assert_int_equal(count, (sizeof bytes + 2) / 3 * 4);
	for (size_t i = 0; i < sizeof bytes; i++) {
		static const char digits[] =
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		size_t bit = 8 * i;
		unsigned got = 0;

		for (int k = 0; k < 8; k++, bit++) {
			unsigned digit = (unsigned)(strchr(digits, out[bit / 6]) - digits);

			got = got << 1 | (digit >> (5 - bit % 6) & 1);
		}
		assert_int_equal(got, bytes[i]);
	}
	free(out);
}

static void lengths_are_in_characters(void **state)
{
	(void)state;
	assert_int_equal(report_text_length("abc"), 3);
	assert_int_equal(report_text_length("r (\xc3\x85)"), 5);
	assert_int_equal(report_text_length("(1\xcc\x84"
					    "11)"),
			 5); /* a bar over the first 1 */
	assert_int_equal(report_text_length(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_escaped),
		cmocka_unit_test(what_is_not_utf8_is_replaced),
		cmocka_unit_test(json_ends_no_element),
		cmocka_unit_test(base64_is_that_of_the_rfc),
		cmocka_unit_test(lengths_are_in_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
