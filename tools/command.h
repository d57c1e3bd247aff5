/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * command.h - the commands of `perrin`: one file of tools each, one row in commands.c.
 *
 * Results go to standard output, progress and errors to standard error. A command never exits by
 * itself: main() prints the error and turns the status into the exit code.
 */
#ifndef PERRIN_TOOLS_COMMAND_H
#define PERRIN_TOOLS_COMMAND_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"

#include <stdio.h>

/** Exit codes of `perrin`. A status below 0 is 1, but PN_EARG is 2. */
enum pn_exit {
	PN_EXIT_OK = 0,
	PN_EXIT_FAILED = 1,
	PN_EXIT_USAGE = 2,
	PN_EXIT_SKIPPED = 77, /* could not be tried on this machine */
};

struct pn_command {
	const char *name, *brief;      /* one line in the list of commands */
	const char *usage;             /* "GRAPH --source URI --session DIR [flags]" */
	const struct pn_param *params; /* rows of the options */
	size_t options_size;           /* its struct: zeroed, then filled with the defaults */
	int takes_extra;               /* any number of words after the positional rows */
	void (*more_help)(FILE *out);  /* what --help prints below the flags, or NULL */
	/* a command of several kinds, each with parameters of its own: its first word is the name
	 * of one of these, which stand for all the fields below usage; ended by NULL */
	const struct pn_command *const *kinds;
	/* PN_OK, an error of enum pn_status with its text in err, or a code of enum pn_exit above 0
	 * when the result itself has told what is wrong */
	int (*run)(void *options, char **extra, int extra_count, struct pn_error *err);
};

/** pn_commands - every command in the order of the list, ended by NULL. */
extern const struct pn_command *const pn_commands[];

/** pn_command_find - by name in a list ended by NULL; NULL if it is not there. */
const struct pn_command *pn_command_find(const struct pn_command *const *commands,
					 const char *name);

/** pn_command_nearest - the command that @name may have been meant to be, or NULL. */
const struct pn_command *pn_command_nearest(const char *name);

/** pn_commands_help - what `perrin help` prints. */
void pn_commands_help(FILE *out);

/** pn_command_help - what `perrin NAME --help` prints. */
void pn_command_help(FILE *out, const struct pn_command *command);

/**
 * pn_commands_main - `perrin` as a function: argv[1] names the command.
 *
 * Returns the exit code. Errors are printed to standard error as "perrin NAME: text".
 */
int pn_commands_main(int argc, char **argv);

#endif
