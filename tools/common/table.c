/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 24

struct pn_table {
	unsigned columns;
	int left[COLUMNS_MAX];
	size_t width[COLUMNS_MAX];
	char **cells; /* row by row, the names first */
	size_t count, capacity;
};

/* Columns on a terminal: bytes that begin a character of UTF-8. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* **Consumes** the text. */
static void add(struct pn_table *table, char *text)
{
	unsigned column = (unsigned)(table->count % table->columns);

	if (table->count == table->capacity) {
		size_t capacity = table->capacity ? 2 * table->capacity : 64;
		char **cells = realloc(table->cells, capacity * sizeof *cells);

		if (!cells) {
			free(text);
			return;
		}
		table->cells = cells;
		table->capacity = capacity;
	}
	if (text && width_of(text) > table->width[column])
		table->width[column] = width_of(text);
	table->cells[table->count++] = text;
}

struct pn_table *pn_table_create(const char *columns)
{
	struct pn_table *table = calloc(1, sizeof *table);

	if (!table)
		return NULL;
	table->columns = 1;
	for (const char *p = columns; *p; p++)
		table->columns += *p == '|';
	pn_assert(table->columns <= COLUMNS_MAX);
	for (unsigned i = 0; i < table->columns; i++) {
		size_t length = strcspn(columns, "|");

		table->left[i] = columns[0] == '<';
		add(table, strndup(columns + table->left[i], length - (size_t)table->left[i]));
		columns += length + (columns[length] == '|');
	}
	return table;
}

void pn_table_cell(struct pn_table *table, const char *fmt, ...)
{
	char *text;
	va_list ap;

	if (!table)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	add(table, text);
}

void pn_table_print(const struct pn_table *table, FILE *out)
{
	for (size_t i = 0; table && i < table->count; i++) {
		unsigned column = (unsigned)(i % table->columns);
		const char *text = table->cells[i] ? table->cells[i] : "";
		int pad = (int)(table->width[column] - width_of(text));
		int last = column + 1 == table->columns;

		if (column)
			fputs("  ", out);
		if (table->left[column])
			fprintf(out, "%s%*s", text, last ? 0 : pad, "");
		else
			fprintf(out, "%*s%s", pad, "", text);
		if (last)
			fputc('\n', out);
	}
}

void pn_table_destroy(struct pn_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}
