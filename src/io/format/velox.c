/* SPDX-License-Identifier: GPL-3.0-or-later */
/* velox.c - what Velox's metadata, a JSON text, say of an image. */
#include "stack_priv.h"

#include "perrin/base/number.h"

#include <string.h>

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Behind the string whose opening quote is at p; NULL: it has no end. */
static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : NULL;
}

/* Behind the value at p; NULL: it has no end. */
static const char *skip_value(const char *p)
{
	int depth = 0;

	while (*p) {
		if (*p == '"') {
			p = skip_string(p);
			if (!p)
				return NULL;
		} else if (depth == 0 && (*p == ',' || *p == '}' || *p == ']')) {
			return p;
		} else {
			depth += *p == '{' || *p == '[';
			depth -= *p == '}' || *p == ']';
			p++;
		}
		if (depth == 0 && (p[-1] == '"' || p[-1] == '}' || p[-1] == ']'))
			return p;
	}
	return NULL;
}

/* The value of the object's member of this name; NULL: there is none. */
static const char *find_member(const char *object, const char *name)
{
	size_t length = strlen(name);
	const char *p = skip_blanks(object);

	if (*p != '{')
		return NULL;
	do {
		const char *key = skip_blanks(p + 1), *end;

		if (*key != '"' || !(end = skip_string(key)))
			return NULL;
		p = skip_blanks(end);
		if (*p != ':')
			return NULL;
		p = skip_blanks(p + 1);
		if ((size_t)(end - key) == length + 2 && memcmp(key + 1, name, length) == 0)
			return p;
		p = skip_value(p);
		if (p)
			p = skip_blanks(p);
	} while (p && *p == ',');
	return NULL;
}

/* A member reached by two names, as text without its quotes; "" if there is none that fits. */
static void read_member(const char *object, const char *outer, const char *inner, char *text,
			size_t room)
{
	const char *p = outer ? find_member(object, outer) : object;

	text[0] = 0;
	p = p ? find_member(p, inner) : NULL;
	if (!p)
		return;
	const char *end = *p == '"' ? skip_string(p) : p + strcspn(p, ",} \t\r\n");
	if (!end)
		return;
	if (*p == '"')
		p++, end--;
	if ((size_t)(end - p) < room) {
		memcpy(text, p, (size_t)(end - p));
		text[end - p] = 0;
	}
}

static double read_size_pm(const char *result, const char *side, const char *axis)
{
	char size[64], unit[16];
	double value;

	read_member(result, "PixelSize", side, size, sizeof size);
	read_member(result, NULL, axis, unit, sizeof unit);
	const char *end = pn_number_read(size, &value);
	return end && !*end ? value * stack_unit_pm(unit) : 0;
}

void velox_describe(struct velox_image *image, const char *json)
{
	const char *result = find_member(json, "BinaryResult");

	*image = (struct velox_image){ .pixel_pm = 0 };
	if (!result)
		return;
	read_member(result, NULL, "Detector", image->detector, sizeof image->detector);
	image->pixel_pm = stack_square_pm(read_size_pm(result, "width", "PixelUnitX"),
					  read_size_pm(result, "height", "PixelUnitY"));
}
