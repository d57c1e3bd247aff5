/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page_kit.h - is it well-formed, and what does it say: a small reader of HTML and SVG. */
#ifndef PERRIN_TEST_REPORT_PAGE_KIT_H
#define PERRIN_TEST_REPORT_PAGE_KIT_H

#include "report/report.h"

#include "testkit.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KIT_DEPTH_MAX 64
#define KIT_TAG_MAX   24

/* The value of an attribute of the tag that begins at @tag, or NULL; in one of 4 rotating buffers.
 */
static inline const char *kit_attribute(const char *tag, const char *name)
{
	static char value[4][1 << 18];
	static int turn;
	char wanted[64];
	const char *end = strchr(tag, '>');

	snprintf(wanted, sizeof wanted, " %s=\"", name);
	const char *at = end ? memmem(tag, (size_t)(end - tag), wanted, strlen(wanted)) : NULL;

	if (!at)
		return NULL;
	at += strlen(wanted);
	size_t length = strcspn(at, "\"");

	assert_true(length < sizeof value[0]);
	turn = (turn + 1) % 4;
	memcpy(value[turn], at, length);
	value[turn][length] = '\0';
	return value[turn];
}

static inline double kit_number(const char *tag, const char *name)
{
	const char *value = kit_attribute(tag, name);

	assert_non_null(value);
	return strtod(value, NULL);
}

/* Everything between < and >: attributes quoted, no coordinate that is no number. */
static inline const char *kit_check_tag(const char *s)
{
	char quote = 0;

	for (s++; *s && (quote || *s != '>'); s++) {
		if (quote && *s == quote)
			quote = 0;
		else if (!quote && *s == '"')
			quote = *s;
		else if (!quote && *s == '=' && s[1] != '"')
			fail_msg("attribute without quotes: %.60s", s - 20);
		else if (*s == '<')
			fail_msg("< inside a tag: %.60s", s);
	}
	if (!*s)
		fail_msg("a tag that does not end");
	return s + 1;
}

static inline const char *kit_check_text(const char *s)
{
	for (; *s && *s != '<'; s++)
		if (*s == '&') {
			size_t length = strcspn(s, "; <");

			if (s[length] != ';' || length > 8)
				fail_msg("a bare &: %.40s", s);
		}
	return s;
}

/* Tags are balanced, quoted and closed; texts are escaped. Contents of scripts are passed over. */
static inline void kit_check_tags(const char *s)
{
	char open[KIT_DEPTH_MAX][KIT_TAG_MAX];
	int depth = 0;

	while (*(s = kit_check_text(s))) {
		if (!strncmp(s, "<!--", 4)) {
			s = strstr(s, "-->");
			assert_non_null(s);
			s += 3;
			continue;
		}
		const char *end = kit_check_tag(s);
		int closes = s[1] == '/', alone = end[-2] == '/' || s[1] == '!';
		size_t length = strcspn(s + 1 + closes, " \n/>");
		char name[KIT_TAG_MAX] = { 0 };

		assert_true(length < sizeof name);
		memcpy(name, s + 1 + closes, length);
		if (closes) {
			if (!depth || strcmp(open[--depth], name))
				fail_msg("</%s> closes <%s>", name, depth ? open[depth] : "");
		} else if (!alone) {
			assert_true(depth < KIT_DEPTH_MAX);
			strcpy(open[depth++], name);
			if (!strcmp(name, "script") || !strcmp(name, "style")) {
				char last[KIT_TAG_MAX + 4];

				snprintf(last, sizeof last, "</%s", name);
				end = strstr(end, last);
				assert_non_null(end);
			}
		}
		s = end;
	}
	if (depth)
		fail_msg("<%s> is never closed", open[depth - 1]);
}

/* No coordinate is NaN or infinite or far off. */
static inline void kit_check_coordinates(const char *svg)
{
	static const char *const names[] = { "d",      "x",       "y",         "width",
					     "height", "viewBox", "transform", "points" };

	for (const char *tag = svg; (tag = strchr(tag, '<')); tag++)
		for (size_t k = 0; k < PN_COUNT(names); k++) {
			const char *value = kit_attribute(tag, names[k]);

			if (!value)
				continue;
			if (strstr(value, "nan") || strstr(value, "inf"))
				fail_msg("%s=\"%.80s\"", names[k], value);
			for (const char *p = value; *p;) {
				char *end;
				double number = strtod(p, &end);

				if (end == p)
					p++;
				else if (fabs(number) > 1e7)
					fail_msg("%s=\"%.80s\"", names[k], value);
				else
					p = end;
			}
		}
}

/* One plot as SVG, checked; caller frees. NULL if it is refused, then @err says why. */
static inline char *kit_try_svg(const struct report_plot *plot, struct pn_error *err)
{
	char *text = NULL;
	size_t count;
	FILE *out = open_memstream(&text, &count);
	int rc = report_svg(out, plot, 530, 340, err);

	fclose(out);
	if (rc) {
		assert_int_equal(count, 0);
		free(text);
		return NULL;
	}
	kit_check_tags(text);
	kit_check_coordinates(text);
	return text;
}

static inline char *kit_svg(const struct report_plot *plot)
{
	struct pn_error err = { 0 };
	char *text = kit_try_svg(plot, &err);

	if (!text)
		fail_msg("%s", err.text);
	return text;
}

static inline size_t kit_count(const char *text, const char *word)
{
	size_t count = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		count++;
	return count;
}

/* The tag of the n-th <text> (from 0) that says exactly @label; NULL if there is none. */
static inline const char *kit_label(const char *svg, const char *label, int n)
{
	size_t length = strlen(label);

	for (const char *tag = svg; (tag = strstr(tag, "<text")); tag++) {
		const char *said = strchr(tag, '>') + 1;

		if (!strncmp(said, label, length) && said[length] == '<' && n-- == 0)
			return tag;
	}
	return NULL;
}

/* Pixels of a value, from the first and the last label of an axis. */
struct kit_ruler {
	double zero, per_unit;
};

static inline struct kit_ruler kit_ruler(const char *svg, char axis)
{
	double value[2] = { NAN, NAN }, px[2] = { NAN, NAN };

	for (const char *tag = svg; (tag = strstr(tag, "<text")); tag++) {
		const char *anchor = kit_attribute(tag, "text-anchor"),
			   *said = strchr(tag, '>') + 1;
		int negative = !strncmp(said, "\xe2\x88\x92", 3);
		char *end;
		double number = strtod(said + 3 * negative, &end);

		if (!anchor || strcmp(anchor, axis == 'x' ? "middle" : "end") || *end != '<' ||
		    end == said + 3 * negative)
			continue;
		int last = !isnan(value[0]);

		value[last] = negative ? -number : number;
		px[last] = axis == 'x' ? kit_number(tag, "x") : kit_number(tag, "y") - 4;
	}
	double per_unit = (px[1] - px[0]) / (value[1] - value[0]);

	assert_true(isfinite(per_unit));
	return (struct kit_ruler){ px[0] - per_unit * value[0], per_unit };
}

static inline double kit_value(struct kit_ruler ruler, double px)
{
	return (px - ruler.zero) / ruler.per_unit;
}

/* The tag of the n-th path that has this in an attribute. */
static inline const char *kit_path(const char *svg, const char *name, const char *value, int n)
{
	for (const char *tag = svg; (tag = strstr(tag, "<path")); tag++) {
		const char *has = kit_attribute(tag, name);

		if (has && !strcmp(has, value) && n-- == 0)
			return tag;
	}
	return NULL;
}

/* A page with @fill applied, written, read, checked; caller frees. */
static inline char *kit_page(void (*fill)(struct report *report))
{
	static const struct report_header header = { .title = "T", .footer = "F" };
	const char *path = testkit_path(testkit_tempdir(), "page.html");
	struct pn_error err = { 0 };
	struct report *report;
	size_t count;

	assert_int_equal(report_create(&report, &header, &err), PN_OK);
	fill(report);
	if (report_write(report, path, &err))
		fail_msg("%s", err.text);
	report_free(report);
	char *text = testkit_read(path, &count);

	assert_int_equal(strlen(text), count);
	kit_check_tags(text);
	return text;
}

/* The error that a page gets from @fill. */
static inline void kit_page_refuses(void (*fill)(struct report *report), int code, const char *word)
{
	static const struct report_header header = { .title = "T" };
	const char *path = testkit_path(testkit_tempdir(), "refused.html");
	struct pn_error err = { 0 };
	struct report *report;

	assert_int_equal(report_create(&report, &header, &err), PN_OK);
	fill(report);
	report_section(report, "after the error", NULL);
	assert_int_equal(report_write(report, path, &err), code);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
	assert_null(fopen(path, "r"));
	report_free(report);
}

#endif
