/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/param.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *field(const struct pn_param *row, void *base)
{
	return (char *)base + row->off;
}

void pn_params_default(const struct pn_param *table, void *base)
{
	for (const struct pn_param *row = table; row && row->name; row++) {
		if (row->group) {
			pn_params_default(row->group, field(row, base));
			continue;
		}
		switch (row->type) {
		case PN_PARAM_I64:
			*(int64_t *)field(row, base) = (int64_t)row->def;
			break;
		case PN_PARAM_F64:
			*(double *)field(row, base) = row->def;
			break;
		case PN_PARAM_BOOL:
		case PN_PARAM_ENUM:
			*(int *)field(row, base) = (int)row->def;
			break;
		case PN_PARAM_TEXT:
			snprintf(field(row, base), PN_PARAM_TEXT_MAX, "%s",
				 row->def_text ? row->def_text : "");
			break;
		case PN_PARAM_LIST:
			((struct pn_param_list *)field(row, base))->count = 0;
			break;
		}
	}
}

static int same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
			return 0;
	return *a == *b;
}

/* The row of a name, and in *off its offset from the outer struct. */
static const struct pn_param *find(const struct pn_param *table, const char *name, size_t *off)
{
	for (const struct pn_param *row = table; row && row->name; row++) {
		const struct pn_param *found = row;

		*off = 0;
		if (row->group)
			found = find(row->group, name, off);
		else if (!same_name(row->name, name))
			found = NULL;
		if (found) {
			*off += row->off;
			return found;
		}
	}
	return NULL;
}

const struct pn_param *pn_param_find(const struct pn_param *table, const char *name)
{
	size_t off;

	return find(table, name, &off);
}

size_t pn_params_flatten(const struct pn_param *table, struct pn_param *rows, size_t max)
{
	size_t count = 0;

	for (const struct pn_param *row = table; row && row->name; row++) {
		if (!row->group) {
			pn_assert(count + 1 < max);
			rows[count++] = *row;
			continue;
		}
		size_t more = pn_params_flatten(row->group, rows + count, max - count);

		for (size_t i = 0; i < more; i++)
			rows[count + i].off += row->off;
		count += more;
	}
	memset(&rows[count], 0, sizeof rows[count]);
	return count;
}

static int unknown(const struct pn_param *table, const char *name, struct pn_error *err)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];
	char known[PN_ERROR_TEXT_MAX / 2] = "";
	size_t used = 0;

	pn_params_flatten(table, rows, PN_COUNT(rows));
	for (const struct pn_param *row = rows; row->name; row++) {
		int n = snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", row->name);

		if (n < 0 || (used += (size_t)n) >= sizeof known)
			break;
	}
	return pn_error_set(err, PN_EARG, "no parameter '%.80s'; there are: %s", name,
			    known[0] ? known : "none");
}

static int out_of_range(const struct pn_param *row, const char *value, struct pn_error *err)
{
	return pn_error_set(err, PN_EARG, "%s = %.80s: must be %g..%g%s%s", row->name, value, row->min,
			    row->max, row->unit ? " " : "", row->unit ? row->unit : "");
}

static int in_range(const struct pn_param *row, double v)
{
	return row->min == row->max || (v >= row->min && v <= row->max);
}

static int set_bool(const struct pn_param *row, int *dst, const char *value, struct pn_error *err)
{
	static const char *const yes[] = { "1", "true", "yes", "on" };
	static const char *const no[] = { "0", "false", "no", "off" };

	for (size_t i = 0; i < PN_COUNT(yes); i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*dst = strcmp(value, yes[i]) == 0;
			return PN_OK;
		}
	}
	return pn_error_set(err, PN_EARG, "%s = %.80s: must be true or false", row->name, value);
}

static int set_enum(const struct pn_param *row, int *dst, const char *value, struct pn_error *err)
{
	char words[PN_ERROR_TEXT_MAX / 2] = "";
	size_t used = 0;

	for (int i = 0; row->choices[i]; i++) {
		if (strcmp(row->choices[i], value) == 0) {
			*dst = i;
			return PN_OK;
		}
		int n = snprintf(words + used, sizeof words - used, "%s%s", used ? ", " : "",
				 row->choices[i]);
		if (n > 0 && used + (size_t)n < sizeof words)
			used += (size_t)n;
	}
	return pn_error_set(err, PN_EARG, "%s = %.80s: must be one of %s", row->name, value, words);
}

static int add_to_list(const struct pn_param *row, struct pn_param_list *list, const char *value,
		       struct pn_error *err)
{
	if (list->count == PN_PARAM_LIST_MAX)
		return pn_error_set(err, PN_EARG, "%s: given more than %d times", row->name,
				    PN_PARAM_LIST_MAX);
	list->items[list->count++] = value;
	return PN_OK;
}

int pn_param_set(const struct pn_param *table, void *base, const char *name, const char *value,
		 struct pn_error *err)
{
	size_t off;
	const struct pn_param *row = find(table, name, &off);
	char *end;

	if (!row)
		return unknown(table, name, err);
	base = (char *)base + off - row->off;
	errno = 0;
	switch (row->type) {
	case PN_PARAM_I64: {
		long long v = strtoll(value, &end, 10);

		if (end == value || *end || errno)
			return pn_error_set(err, PN_EARG, "%s = %.80s: not an integer", row->name, value);
		if (!in_range(row, (double)v))
			return out_of_range(row, value, err);
		*(int64_t *)field(row, base) = v;
		return PN_OK;
	}
	case PN_PARAM_F64: {
		double v = strtod(value, &end);

		if (end == value || *end || !isfinite(v))
			return pn_error_set(err, PN_EARG, "%s = %.80s: not a number", row->name, value);
		if (!in_range(row, v))
			return out_of_range(row, value, err);
		*(double *)field(row, base) = v;
		return PN_OK;
	}
	case PN_PARAM_BOOL:
		return set_bool(row, field(row, base), value, err);
	case PN_PARAM_ENUM:
		return set_enum(row, field(row, base), value, err);
	case PN_PARAM_TEXT:
		if (strlen(value) >= PN_PARAM_TEXT_MAX)
			return pn_error_set(err, PN_EARG, "%s: %zu bytes, at most %d", row->name,
					    strlen(value), PN_PARAM_TEXT_MAX - 1);
		memcpy(field(row, base), value, strlen(value) + 1);
		return PN_OK;
	case PN_PARAM_LIST:
		return add_to_list(row, field(row, base), value, err);
	}
	pn_assert(!"known parameter type");
	return PN_EARG;
}

static void list_text(const struct pn_param_list *list, char *buf, size_t size)
{
	size_t used = 0;

	if (size)
		buf[0] = 0;
	for (int i = 0; i < list->count && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? " " : "", list->items[i]);
}

char *pn_param_text(const struct pn_param *row, const void *base, char *buf, size_t size)
{
	const void *v = (const char *)base + row->off;

	switch (row->type) {
	case PN_PARAM_I64:
		snprintf(buf, size, "%lld", (long long)*(const int64_t *)v);
		break;
	case PN_PARAM_F64:
		snprintf(buf, size, "%.17g", *(const double *)v);
		break;
	case PN_PARAM_BOOL:
		snprintf(buf, size, "%s", *(const int *)v ? "true" : "false");
		break;
	case PN_PARAM_ENUM:
		snprintf(buf, size, "%s", row->choices[*(const int *)v]);
		break;
	case PN_PARAM_TEXT:
		snprintf(buf, size, "%s", (const char *)v);
		break;
	case PN_PARAM_LIST:
		list_text(v, buf, size);
		break;
	}
	return buf;
}

static void flag_text(const struct pn_param *row, char *buf, size_t size)
{
	int words = row->type == PN_PARAM_TEXT || row->type == PN_PARAM_LIST;
	const char *arg = row->unit ? row->unit : words ? "TEXT" : "N";
	char name[64];

	snprintf(name, sizeof name, "%s", row->name);
	if (row->positional) {
		snprintf(buf, size, "%s", name);
		return;
	}
	for (char *p = name; *p; p++)
		if (*p == '_')
			*p = '-';
	if (row->type == PN_PARAM_BOOL)
		snprintf(buf, size, row->def ? "--%s=false" : "--%s", name);
	else if (row->type == PN_PARAM_ENUM)
		snprintf(buf, size, "--%s WORD", name);
	else
		snprintf(buf, size, "--%s %s", name, arg);
}

void pn_params_help(FILE *out, const struct pn_param *table)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];

	pn_params_flatten(table, rows, PN_COUNT(rows));
	for (const struct pn_param *row = rows; row->name; row++) {
		char flag[96];

		flag_text(row, flag, sizeof flag);
		fprintf(out, "  %-28s %s", flag, row->help);
		if (row->type == PN_PARAM_ENUM) {
			fprintf(out, ": ");
			for (int i = 0; row->choices[i]; i++)
				fprintf(out, "%s%s", i ? "|" : "", row->choices[i]);
			fprintf(out, " (default %s)", row->choices[(int)row->def]);
		} else if (row->type == PN_PARAM_I64 || row->type == PN_PARAM_F64) {
			fprintf(out, " (default %.10g", row->def);
			if (row->min != row->max)
				fprintf(out, ", %g..%g", row->min, row->max);
			fprintf(out, ")");
		} else if (row->type == PN_PARAM_TEXT && row->def_text && row->def_text[0]) {
			fprintf(out, " (default %s)", row->def_text);
		} else if (row->type == PN_PARAM_BOOL && row->def) {
			fprintf(out, " (default true)");
		} else if (row->type == PN_PARAM_LIST) {
			fprintf(out, " (may be repeated)");
		}
		fprintf(out, "\n");
	}
}

static const struct pn_param *positional_row(const struct pn_param *table, int index)
{
	for (const struct pn_param *row = table; row && row->name; row++)
		if (row->positional && index-- == 0)
			return row;
	return NULL;
}

/* One "--name ..." word; *used is how many words of argv it took. */
static int parse_flag(const struct pn_param *table, void *base, int argc, char **argv, int *used,
		      struct pn_error *err)
{
	char name[64];
	const char *word = argv[0] + 2, *equal = strchr(word, '=');
	size_t length = equal ? (size_t)(equal - word) : strlen(word);

	snprintf(name, sizeof name, "%.*s", (int)length, word);
	*used = 1;
	const struct pn_param *row = pn_param_find(table, name);
	if (!row || row->positional)
		return pn_error_set(err, PN_EARG, "no flag --%s (see --help)", name);
	if (equal)
		return pn_param_set(table, base, name, equal + 1, err);
	if (row->type == PN_PARAM_BOOL)
		return pn_param_set(table, base, name, "true", err);
	if (argc < 2)
		return pn_error_set(err, PN_EARG, "--%s needs a value", name);
	*used = 2;
	return pn_param_set(table, base, name, argv[1], err);
}

int pn_params_parse_argv(const struct pn_param *table, void *base, int argc, char **argv,
			 char **extra, int *extra_count, struct pn_error *err)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];
	unsigned char seen[PN_PARAM_ROWS_MAX] = { 0 };
	int place = 0, only_words = 0;

	/* rows of groups count as the table's own: they may be required, too */
	pn_params_flatten(table, rows, PN_COUNT(rows));
	table = rows;
	if (extra_count)
		*extra_count = 0;
	for (int i = 0; i < argc;) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = 1;
			i++;
			continue;
		}
		if (!only_words && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0))
			return PN_EEND;
		const struct pn_param *row = NULL;
		int used = 1, rc;

		if (!only_words && strncmp(argv[i], "--", 2) == 0) {
			rc = parse_flag(table, base, argc - i, argv + i, &used, err);
			if (rc)
				return rc;
			char name[64];
			snprintf(name, sizeof name, "%.*s", (int)strcspn(argv[i] + 2, "="), argv[i] + 2);
			row = pn_param_find(table, name);
		} else if ((row = positional_row(table, place))) {
			place++;
			rc = pn_param_set(table, base, row->name, argv[i], err);
			if (rc)
				return rc;
		} else if (extra) {
			extra[(*extra_count)++] = argv[i];
		} else {
			return pn_error_set(err, PN_EARG, "unexpected argument '%.200s'", argv[i]);
		}
		if (row)
			seen[row - table] = 1;
		i += used;
	}
	for (const struct pn_param *row = table; row && row->name; row++)
		if (row->required && !seen[row - table])
			return pn_error_set(err, PN_EARG, "%s%s is missing: %s",
					    row->positional ? "" : "--", row->name, row->help);
	return PN_OK;
}

static int percent_decode(char *dst, size_t size, const char *src, size_t length)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		char c = src[i];

		if (c == '%' && i + 2 < length) {
			char hex[3] = { src[i + 1], src[i + 2], 0 };

			/* strtol would take "-1" and " 1"; %00 would end the text early */
			if (strspn(hex, "0123456789abcdefABCDEF") != 2)
				return -1;
			c = (char)strtol(hex, NULL, 16);
			if (!c)
				return -1;
			i += 2;
		}
		if (n + 1 >= size)
			return -1;
		dst[n++] = c;
	}
	dst[n] = 0;
	return 0;
}

int pn_params_parse_query(const struct pn_param *table, void *base, const char *query,
			  struct pn_error *err)
{
	while (*query) {
		size_t length = strcspn(query, "&");
		const char *equal = memchr(query, '=', length);
		char name[64], value[PN_PARAM_TEXT_MAX];

		if (!equal)
			return pn_error_set(err, PN_EARG, "'%.*s' in the source's parameters: need name=value",
					    (int)(length > 80 ? 80 : length), query);
		snprintf(name, sizeof name, "%.*s", (int)(equal - query), query);
		if (percent_decode(value, sizeof value, equal + 1, length - (size_t)(equal - query) - 1))
			return pn_error_set(err, PN_EARG, "%s: bad %%XX or too long a value", name);
		const struct pn_param *row = pn_param_find(table, name);
		if (row && row->type == PN_PARAM_LIST)
			return pn_error_set(err, PN_EARG, "%s: a list cannot be given here", name);
		int rc = pn_param_set(table, base, name, value, err);
		if (rc)
			return rc;
		query += length;
		if (*query == '&')
			query++;
	}
	return PN_OK;
}
