/* SPDX-License-Identifier: GPL-3.0-or-later */
/* URIs and their parameters come from a command line: any text is understood or refused in words.
 */
#include "perrin/base/param.h"
#include "perrin/detector/source.h"

#include "fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE "file:/nonexistent/"

struct values {
	int64_t whole;
	double number;
	int yes, word, guard;
	char text[PN_PARAM_TEXT_MAX];
	char after;
};

static const char *const words[] = { "one", "two", NULL };
static const struct pn_param inner[] = {
	{ .name = "number", .type = PN_PARAM_F64, .off = 0, .def = 1, .min = -4, .max = 4 },
	{ 0 },
};
static const struct pn_param table[] = {
	{ .name = "whole",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct values, whole),
	  .min = -9,
	  .max = 9 },
	{ .name = "in", .group = inner, .off = offsetof(struct values, number) },
	{ .name = "yes_no", .type = PN_PARAM_BOOL, .off = offsetof(struct values, yes) },
	{ .name = "word",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct values, word),
	  .choices = words },
	{ .name = "text", .type = PN_PARAM_TEXT, .off = offsetof(struct values, text) },
	{ 0 },
};

static void try_query(const char *query)
{
	struct values values = { .guard = 77, .after = 55 };
	struct pn_error err = { 0 };

	pn_params_default(table, &values);
	int rc = pn_params_parse_query(table, &values, query, &err);

	pn_assert(rc == PN_OK || (rc == PN_EARG && err.text[0]));
	pn_assert(values.whole >= -9 && values.whole <= 9 && fabs(values.number) <= 4);
	pn_assert((values.yes | 1) == 1 && (values.word | 1) == 1);
	pn_assert(values.guard == 77 && values.after == 55);
	pn_assert(memchr(values.text, 0, sizeof values.text));
}

static void try_uri(const char *uri)
{
	struct pn_source *source;
	struct pn_error err = { 0 };
	int rc = pn_source_check(uri, &err);

	pn_assert(rc == PN_OK || (rc == PN_EARG && err.text[0]));
	/* opened only where nothing is */
	if (strncmp(uri, NOWHERE, strlen(NOWHERE)) != 0 || strstr(uri, "..") || strchr(uri, '%'))
		return;
	rc = pn_source_open(&source, uri, &err);
	pn_assert(rc != PN_OK && !source && err.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	try_query(text);
	try_uri(text);
	free(text);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const char *const texts[] = {
		NOWHERE "frames.npy?pixel_pm=32.0&fps=400&speed=1",
		"file:%2Ftmp%3F.mrc?pixel_pm=1e3",
		"folder:/nonexistent/in?pixel_pm=30",
		"replay:/nonexistent/session?speed=2",
		"native:tcp://127.0.0.1:5555?window=3",
		"twin:liquid?seed=3&frames=10",
		"twin:tilt",
		"whole=3&number=-2.5&yes-no=true&word=two&text=a%20b%26c",
		"text=%&whole=0x1&number=nan&number=1e400&whole=99999999999999999999",
	};

	if (index >= PN_COUNT(texts))
		return 0;
	size_t size = strlen(texts[index]);

	pn_assert(size <= room);
	memcpy(bytes, texts[index], size);
	return size;
}

const unsigned fuzz_places = 1000;
