/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pairs.c - the key=value pairs in the header of an extended XYZ frame. */
#include "model_priv.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && model_is_blank(*p))
		p++;
	return p;
}

/* Behind the quote that closes the one at p; a backslash takes the next character's meaning. */
static const char *skip_quoted(const char *p, const char *end)
{
	const char quote = *p++;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == quote)
			return p + 1;
	}
	return NULL;
}

/* Behind the bracket that closes the one at p. */
static const char *skip_bracket(const char *p, const char *end)
{
	const char open = *p, close = open == '[' ? ']' : '}';
	int depth = 0;

	for (; p < end; p++) {
		depth += (*p == open) - (*p == close);
		if (!depth)
			return p + 1;
	}
	return NULL;
}

/* The end of the key or value that begins at p; NULL: not closed. */
static const char *skip_item(const char *p, const char *end, int is_key)
{
	if (p < end && (*p == '"' || *p == '\''))
		p = skip_quoted(p, end);
	else if (p < end && !is_key && (*p == '[' || *p == '{'))
		p = skip_bracket(p, end);
	while (p && p < end && !model_is_blank(*p) && !(is_key && *p == '='))
		p++;
	return p;
}

/* Programs write an empty value as nothing: in "note= pbc=..." a key comes next, not the value. */
static int is_next_pair(const char *p, const char *end)
{
	const char *key = p;

	while (p < end && !model_is_blank(*p) && !strchr("=\"'[]{}", *p))
		p++;
	return p > key && p < end && *p == '=';
}

int model_pair_next(const char **p, const char *end, struct model_pair *pair)
{
	const char *next;

	*pair = (struct model_pair){ .key = skip_blanks(*p, end) };
	*p = pair->key;
	if (pair->key == end)
		return 0;
	pair->key_end = skip_item(pair->key, end, 1);
	if (!pair->key_end)
		return -1;
	next = skip_blanks(pair->key_end, end);
	if (next == end || *next != '=') {
		*p = pair->key_end;
		return 1;
	}
	pair->value = skip_blanks(next + 1, end);
	if (pair->value > next + 1 && is_next_pair(pair->value, end))
		pair->value = next + 1;
	pair->value_end = skip_item(pair->value, end, 0);
	if (!pair->value_end)
		return -1;
	*p = pair->value_end;
	return 1;
}

int model_pair_is(const struct model_pair *pair, const char *key)
{
	const char *begin = pair->key, *end = pair->key_end;
	size_t n = strlen(key);

	if (end - begin >= 2 && (*begin == '"' || *begin == '\'') && end[-1] == *begin) {
		begin++;
		end--;
	}
	return pair->value && (size_t)(end - begin) == n && memcmp(begin, key, n) == 0;
}

char *model_pair_value(const struct model_pair *pair)
{
	const char *p = pair->value, *end = pair->value_end;
	size_t n = 0;
	char *copy = malloc((size_t)(end - p) + 1);

	if (!copy)
		return NULL;
	int quoted = end - p >= 2 && (*p == '"' || *p == '\'') && end[-1] == *p;
	int bracket =
		end - p >= 2 && ((*p == '[' && end[-1] == ']') || (*p == '{' && end[-1] == '}'));
	if (quoted || bracket) {
		p++;
		end--;
	}
	for (; p < end; p++) {
		if (quoted && *p == '\\' && p + 1 < end && strchr("\\\"'", p[1]))
			p++;
		copy[n++] = *p;
	}
	copy[n] = 0;
	return copy;
}

char *model_quoted(const char *text)
{
	char *quoted = malloc(2 * strlen(text) + 3), *q = quoted;

	if (!quoted)
		return NULL;
	*q++ = '"';
	for (; *text; *q++ = *text++)
		if (*text == '"' || *text == '\\')
			*q++ = '\\';
	*q++ = '"';
	*q = 0;
	return quoted;
}

int model_pair_keep(struct pn_model *model, struct model_pairs_size *size,
		    const struct model_pair *pair)
{
	size_t key = (size_t)(pair->key_end - pair->key);
	size_t value = pair->value ? (size_t)(pair->value_end - pair->value) : 0;
	size_t room = size->used + key + value + 5;

	if (room > size->room) {
		room = room > 2 * size->room ? room : 2 * size->room;
		char *more = realloc(model->pairs, room);
		if (!more)
			return -1;
		model->pairs = more;
		size->room = room;
	}
	char *pairs = model->pairs + size->used;
	if (size->used)
		*pairs++ = ' ';
	memcpy(pairs, pair->key, key);
	pairs += key;
	if (pair->value) {
		*pairs++ = '=';
		memcpy(pairs, value ? pair->value : "\"\"", value ? value : 2);
		pairs += value ? value : 2;
	}
	*pairs = 0;
	size->used = (size_t)(pairs - model->pairs);
	return 0;
}

/* ---- for the user of a model --------------------------------------------------------------- */

static int find(const struct pn_model *model, const char *key, struct model_pair *pair)
{
	const char *p = model->pairs, *end = p ? p + strlen(p) : NULL;

	while (p && model_pair_next(&p, end, pair) > 0)
		if (model_pair_is(pair, key))
			return 1;
	return 0;
}

int pn_model_pair(const struct pn_model *model, const char *key, char *value, size_t room)
{
	struct model_pair pair;

	if (!find(model, key, &pair))
		return PN_ENOENT;
	char *copy = model_pair_value(&pair);
	if (!copy)
		return PN_ENOMEM;
	size_t n = strlen(copy);
	if (n < room)
		memcpy(value, copy, n + 1);
	free(copy);
	return n < room ? PN_OK : PN_EARG;
}

static int check_key(const struct pn_model *model, const char *key, struct pn_error *err)
{
	static const char *const taken[] = { "Properties", "Lattice", "pbc", "Time", "comment" };
	struct model_pair pair;

	if (!*key || key[strspn(key, MODEL_NAME_CHARACTERS)])
		return pn_error_set(err, PN_EARG,
				    "key \"%s\": letters, digits and _ are what it may hold", key);
	for (size_t i = 0; i < PN_COUNT(taken); i++)
		if (strcmp(key, taken[i]) == 0)
			return pn_error_set(err, PN_EARG, "key %s has a meaning of its own", key);
	if (find(model, key, &pair))
		return pn_error_set(err, PN_EEXIST, "key %s is there already", key);
	return PN_OK;
}

int pn_model_add_pair(struct pn_model *model, const char *key, const char *value,
		      struct pn_error *err)
{
	int status = check_key(model, key, err);
	char *quoted = NULL;

	if (status < 0)
		return status;
	if (strpbrk(value, "\r\n"))
		return pn_error_set(err, PN_EARG, "value of %s: has a line break", key);
	if (!*value || strpbrk(value, " \t\v\f\"'\\[]{}=")) {
		quoted = model_quoted(value);
		if (!quoted)
			return pn_error_set(err, PN_ENOMEM, "key %s: no memory", key);
		value = quoted;
	}
	const struct model_pair pair = {
		.key = key,
		.key_end = key + strlen(key),
		.value = value,
		.value_end = value + strlen(value),
	};
	size_t used = model->pairs ? strlen(model->pairs) : 0;
	struct model_pairs_size size = { .used = used, .room = model->pairs ? used + 1 : 0 };
	if (model_pair_keep(model, &size, &pair) < 0)
		status = pn_error_set(err, PN_ENOMEM, "key %s: no memory", key);
	free(quoted);
	return status;
}
