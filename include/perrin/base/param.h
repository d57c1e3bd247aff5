/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/param.h - one table row = YAML key = command-line flag = URI key = line of --help. */
#ifndef PERRIN_BASE_PARAM_H
#define PERRIN_BASE_PARAM_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PN_PARAM_TEXT_MAX 1024 /* bytes of a text parameter's char array, with its NUL */
#define PN_PARAM_LIST_MAX 64   /* words of a list parameter                            */

enum pn_param_type {
	PN_PARAM_I64,  /* field: int64_t                                        */
	PN_PARAM_F64,  /* field: double                                         */
	PN_PARAM_BOOL, /* field: int (0 or 1)                                   */
	PN_PARAM_TEXT, /* field: char [PN_PARAM_TEXT_MAX]                       */
	PN_PARAM_ENUM, /* field: int, the index of the word in `choices`        */
	PN_PARAM_LIST, /* field: struct pn_param_list; a flag that may be repeated (commands only) */
};

/** What a repeated flag was given, in order. The words are borrowed from who set them (argv). */
struct pn_param_list {
	const char *items[PN_PARAM_LIST_MAX];
	int count;
};

/**
 * One parameter of a stage, a source or a command. Tables end with a row whose name is NULL.
 * This is the only place where a parameter, its unit, default, range and help text exist.
 */
struct pn_param {
	const char *name;   /* snake_case, unit last: "cutoff_A"; flags print it with '-'     */
	const char *unit;   /* "A", "px", "1/s"; NULL if it has none                          */
	const char *help;   /* one line                                                       */
	enum pn_param_type type;
	size_t off;         /* offsetof the field in the struct that holds the values         */
	double def;         /* default of numbers, booleans and enums; a list begins empty    */
	double min, max;    /* range, both ends allowed; min == max: no limit                 */
	const char *def_text;         /* default of texts; NULL: ""                           */
	const char *const *choices;   /* enum words, NULL-terminated                          */
	int required;       /* a positional argument or flag that must be given (commands)    */
	int positional;     /* commands: taken by place, in table order, not by flag          */
	/* a row with a group stands for the rows of that table (a kernel's), whose offsets count
	 * from this row's off; of its other fields only a non-NULL name matters                */
	const struct pn_param *group;
};

/** pn_params_default - write every default into the struct at @base. */
void pn_params_default(const struct pn_param *table, void *base);

/**
 * pn_params_flatten - the rows of a table with those of its groups, offsets from the outer base.
 *
 * @rows: [out] @max rows, ended by one without a name
 *
 * Returns their number without the last. A table of more rows than fit is a bug.
 */
#define PN_PARAM_ROWS_MAX 96
size_t pn_params_flatten(const struct pn_param *table, struct pn_param *rows, size_t max);

/** pn_param_find - the row of @name ('-' and '_' are the same), or NULL; in a group its offset
 * counts from the group's. */
const struct pn_param *pn_param_find(const struct pn_param *table, const char *name);

/**
 * pn_param_set - set one parameter from text; checks type and range.
 *
 * Returns PN_EARG with a text that names the parameter, the value and the range, e.g.
 * "cutoff_A = 0: must be 0.5..10 A"; an unknown name lists the known ones. A list takes @value as
 * one more word, and keeps the pointer.
 */
int pn_param_set(const struct pn_param *table, void *base, const char *name, const char *value,
		 struct pn_error *err);

/** pn_param_text - the present value as text into @buf; returns @buf. */
char *pn_param_text(const struct pn_param *row, const void *base, char *buf, size_t size);

/** pn_params_help - one line per row: "  --name UNIT   help (default, range)". */
void pn_params_help(FILE *out, const struct pn_param *table);

/**
 * pn_params_parse_argv - read "--name value", "--name=value", "--flag" and positional words.
 *
 * @extra: [out] NULL, or receives pointers into argv of words after the last positional row
 *         (a command that takes any number of paths); @extra_count is their number.
 *
 * Returns PN_OK; PN_EARG with a text for the user; PN_EEND if --help was asked for.
 */
int pn_params_parse_argv(const struct pn_param *table, void *base, int argc, char **argv,
			 char **extra, int *extra_count, struct pn_error *err);

/** pn_params_parse_query - read "a=1&b=two" (URI query, %XX decoded) into the struct; PN_EARG for a
 * list, whose words would have no home. */
int pn_params_parse_query(const struct pn_param *table, void *base, const char *query,
			  struct pn_error *err);

#endif
