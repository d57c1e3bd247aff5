/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern const struct pn_command pn_command_run, pn_command_replay, pn_command_twin, pn_command_send,
	pn_command_top, pn_command_info, pn_command_verify, pn_command_export, pn_command_score,
	pn_command_denoise, pn_command_align, pn_command_reconstruct, pn_command_project,
	pn_command_trace, pn_command_fit, pn_command_atoms, pn_command_compare, pn_command_doctor,
	pn_command_bench, pn_command_advise;

/* clang-format off */
const struct pn_command *const pn_commands[] = {
	&pn_command_run,
	&pn_command_replay,
	&pn_command_twin,
	&pn_command_send,
	&pn_command_top,
	&pn_command_advise,
	&pn_command_info,
	&pn_command_verify,
	&pn_command_export,
	&pn_command_score,
	&pn_command_denoise,
	&pn_command_align,
	&pn_command_reconstruct,
	&pn_command_project,
	&pn_command_trace,
	&pn_command_fit,
	&pn_command_atoms,
	&pn_command_compare,
	&pn_command_doctor,
	&pn_command_bench,
	NULL,
};
/* clang-format on */

/* ---- finding ------------------------------------------------------------------------------- */

const struct pn_command *pn_command_find(const struct pn_command *const *commands, const char *name)
{
	for (const struct pn_command *const *command = commands; *command; command++)
		if (strcmp((*command)->name, name) == 0)
			return *command;
	return NULL;
}

/* Levenshtein distance of two short words. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32];
	size_t length = strlen(b);

	if (length >= PN_COUNT(row))
		return 99;
	for (unsigned j = 0; j <= length; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[length];
}

const struct pn_command *pn_command_nearest(const char *name)
{
	const struct pn_command *nearest = NULL;
	unsigned least = 3;

	for (const struct pn_command *const *command = pn_commands; *command; command++) {
		unsigned d = distance(name, (*command)->name);

		if (d < least && d < strlen((*command)->name)) {
			least = d;
			nearest = *command;
		}
	}
	return nearest;
}

/* ---- help ---------------------------------------------------------------------------------- */

void pn_commands_help(FILE *out)
{
	fprintf(out, "Live, time-resolved atomic electron tomography.\n\n"
		     "usage: perrin COMMAND [arguments] [flags]\n\n");
	for (const struct pn_command *const *command = pn_commands; *command; command++)
		fprintf(out, "  %-10s %s\n", (*command)->name, (*command)->brief);
	fprintf(out, "\n  perrin COMMAND --help   arguments and flags of a command\n"
		     "  perrin --version        version of this program\n");
}

static void help_on_params(FILE *out, const struct pn_command *command)
{
	pn_params_help(out, command->params);
	if (command->more_help) {
		fputc('\n', out);
		command->more_help(out);
	}
}

void pn_command_help(FILE *out, const struct pn_command *command)
{
	fprintf(out, "perrin %s - %s\n\nusage: perrin %s %s\n", command->name, command->brief,
		command->name, command->usage);
	if (!command->kinds) {
		fputc('\n', out);
		help_on_params(out, command);
		return;
	}
	for (const struct pn_command *const *kind = command->kinds; *kind; kind++) {
		fprintf(out, "\nperrin %s %s - %s\n\nusage: perrin %s %s %s\n\n", command->name,
			(*kind)->name, (*kind)->brief, command->name, (*kind)->name,
			(*kind)->usage);
		help_on_params(out, *kind);
	}
}

/* ---- running ------------------------------------------------------------------------------- */

static int exit_code(int status)
{
	return status >= 0 ? status : status == PN_EARG ? PN_EXIT_USAGE : PN_EXIT_FAILED;
}

/* A result that did not reach its file is no result. */
static int flush_output(const char *name, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "perrin %s: standard output: %s\n", name, strerror(errno));
	return code ? code : PN_EXIT_FAILED;
}

/* Parse and run; PN_EEND if it was --help that was asked for. */
static int run_one(const struct pn_command *command, int argc, char **argv, struct pn_error *err)
{
	void *options = calloc(1, command->options_size ? command->options_size : 1);
	char **extra = calloc((size_t)argc + 1, sizeof *extra);
	int extra_count = 0, rc = PN_ENOMEM;

	if (!options || !extra) {
		pn_error_set(err, PN_ENOMEM, "no memory");
	} else {
		pn_params_default(command->params, options);
		rc = pn_params_parse_argv(command->params, options, argc, argv,
					  command->takes_extra ? extra : NULL,
					  command->takes_extra ? &extra_count : NULL, err);
		if (!rc)
			rc = command->run(options, extra, extra_count, err);
	}
	free(options);
	free(extra);
	return rc;
}

/* The kind that the first word names. */
static int find_kind(const struct pn_command **kind, const struct pn_command *command, int argc,
		     char **argv, struct pn_error *err)
{
	char known[128] = "";

	*kind = argc ? pn_command_find(command->kinds, argv[0]) : NULL;
	if (*kind)
		return PN_OK;
	if (argc && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
		return PN_EEND;
	for (const struct pn_command *const *k = command->kinds; *k; k++)
		snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
			 known[0] ? " or " : "", (*k)->name);
	if (!argc)
		return pn_error_set(err, PN_EARG, "say which: %s", known);
	if (argv[0][0] == '-')
		return pn_error_set(err, PN_EARG, "no flag %.80s here; first say which: %s",
				    argv[0], known);
	return pn_error_set(err, PN_EARG, "'%.80s': must be %s", argv[0], known);
}

static int run_command(const struct pn_command *command, int argc, char **argv)
{
	const struct pn_command *one = command;
	struct pn_error err = { 0 };
	int rc = PN_OK;

	if (command->kinds)
		rc = find_kind(&one, command, argc, argv, &err);
	if (!rc)
		rc = run_one(one, argc - (one != command), argv + (one != command), &err);
	if (rc == PN_EEND && !err.code) {
		pn_command_help(stdout, command);
		rc = PN_OK;
	}
	if (rc < 0) {
		/* what was printed so far comes before its error */
		fflush(stdout);
		fprintf(stderr, "perrin %s: %s\n", command->name,
			err.text[0] ? err.text : pn_status_name(rc));
	}
	return flush_output(command->name, exit_code(rc));
}

static int unknown_command(const char *name)
{
	const struct pn_command *nearest = pn_command_nearest(name);

	fprintf(stderr, "perrin: no command '%s'", name);
	if (nearest)
		fprintf(stderr, "; did you mean '%s'?\n", nearest->name);
	else
		fprintf(stderr, "; `perrin help` lists them\n");
	return PN_EXIT_USAGE;
}

int pn_commands_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";

	if (strcmp(name, "--version") == 0) {
		printf("perrin %s\n", PERRIN_VERSION);
		return flush_output(name, PN_EXIT_OK);
	}
	int help =
		strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
	if (help && argc <= 2) {
		pn_commands_help(stdout);
		return flush_output(name, PN_EXIT_OK);
	}
	const struct pn_command *command = pn_command_find(pn_commands, help ? argv[2] : name);
	if (!command)
		return unknown_command(help ? argv[2] : name);
	if (help) {
		pn_command_help(stdout, command);
		return flush_output(name, PN_EXIT_OK);
	}
	return run_command(command, argc - 2, argv + 2);
}
