/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of several particles: "particle,time_s,model". */
#include "compare/compare.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list of particles ------------------------------------------------------------------ */

struct line {
	char *particle, *time, *model;
	double time_s;
};

struct list {
	char *text; /* the file, cut into words */
	struct line *line;
	size_t count;
	char (*path)[PATH_MAX]; /* [count] of the models, from here */
};

static void list_free(struct list *list)
{
	free(list->text);
	free(list->line);
	free(list->path);
}

static int read_text(char **text, const char *path, struct pn_error *err)
{
	FILE *in = fopen(path, "re");
	size_t size = 0, room = 0;

	*text = NULL;
	if (!in)
		return pn_error_errno(err, errno, "%s", path);
	for (;;) {
		if (size + 4096 > room) {
			room = 2 * room + 8192;
			char *more = room < (size_t)1 << 26 ? realloc(*text, room) : NULL;

			if (!more) {
				fclose(in);
				return pn_error_set(err, PN_EFORMAT,
						    "%s: no list of particles: over 32 MiB", path);
			}
			*text = more;
		}
		size_t got = fread(*text + size, 1, room - size - 1, in);

		if (!got)
			break;
		size += got;
	}
	(*text)[size] = 0;
	int failed = ferror(in), number = errno;

	fclose(in);
	return failed ? pn_error_errno(err, number, "%s", path) : PN_OK;
}

/* The next of three cells of a line, trimmed; NULL if there is none. */
static char *next_cell(char **at)
{
	char *cell = *at, *end;

	if (!cell)
		return NULL;
	end = strchr(cell, ',');
	*at = end ? end + 1 : NULL;
	if (end)
		*end = 0;
	cell += strspn(cell, " \t");
	end = cell + strlen(cell);
	while (end > cell && strchr(" \t\r", end[-1]))
		*--end = 0;
	return cell;
}

static int read_line(struct line *line, char *text, const char *path, size_t number,
		     struct pn_error *err)
{
	char *end;

	line->particle = next_cell(&text);
	line->time = next_cell(&text);
	line->model = next_cell(&text);
	if (!line->model || !line->particle[0] || !line->model[0] || text)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: line %zu: must be \"particle,time_s,model\"", path,
				    number);
	if (strchr(line->particle, '/') || line->particle[0] == '.' ||
	    strlen(line->particle) >= COMPARE_NAME_MAX)
		return pn_error_set(
			err, PN_EFORMAT,
			"%s: line %zu: particle '%.80s': the name of a folder is made of "
			"it: no '/', no '.' in front, at most %d bytes",
			path, number, line->particle, COMPARE_NAME_MAX - 1);
	line->time_s = line->time[0] ? strtod(line->time, &end) : NAN;
	if (line->time[0] && (*end || !isfinite(line->time_s)))
		return pn_error_set(err, PN_EFORMAT, "%s: line %zu: time '%.40s' is no number",
				    path, number, line->time);
	return PN_OK;
}

static int read_list(struct list *list, const char *path, struct pn_error *err)
{
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash - path) + 1 : 0;
	size_t lines = 1, number = 0;
	int rc = read_text(&list->text, path, err);

	for (const char *c = list->text; !rc && *c; c++)
		lines += *c == '\n';
	list->line = rc ? NULL : calloc(lines, sizeof *list->line);
	list->path = rc ? NULL : calloc(lines, sizeof *list->path);
	if (!rc && (!list->line || !list->path))
		rc = pn_error_set(err, PN_ENOMEM, "%s: no memory for %zu lines", path, lines);
	for (char *at = list->text; !rc && at;) {
		char *line = at, *end = strchr(at, '\n');

		at = end ? end + 1 : NULL;
		if (end)
			*end = 0;
		number++;
		if (line[strspn(line, " \t\r")] == 0 || line[0] == '#' ||
		    (number == 1 && strncmp(line, "particle,", 9) == 0))
			continue;
		struct line *to = &list->line[list->count];

		rc = read_line(to, line, path, number, err);
		if (!rc && snprintf(list->path[list->count], PATH_MAX, "%.*s%s",
				    to->model[0] == '/' ? 0 : folder, path, to->model) >= PATH_MAX)
			rc = pn_error_set(err, PN_EFORMAT, "%s: line %zu: the path is too long",
					  path, number);
		list->count += !rc;
	}
	if (!rc && !list->count)
		rc = pn_error_set(err, PN_EFORMAT, "%s: names no models", path);
	return rc;
}

/* The models of one particle, in the order of the list. */
static int load_particle(struct compare_particle *particle, const struct list *list,
			 const char *name, struct pn_error *err)
{
	struct compare_source *source = malloc(list->count * sizeof *source);
	size_t count = 0;

	if (!source)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu models", list->count);
	for (size_t k = 0; k < list->count; k++)
		if (strcmp(list->line[k].particle, name) == 0)
			source[count++] =
				(struct compare_source){ list->path[k], list->line[k].time_s, 1 };
	int rc = compare_load(particle, name, source, count, err);

	free(source);
	return rc;
}

static int is_known(const struct compare_group *group, const char *name)
{
	for (size_t p = 0; p < group->count; p++)
		if (strcmp(group->particle[p].name, name) == 0)
			return 1;
	return 0;
}

/* The paths of the models live as long as the group does. */
static int keep_paths(struct compare_particle *p, struct pn_error *err)
{
	for (size_t m = 0; m < p->count; m++) {
		p->model[m].path = strdup(p->model[m].path);
		if (!p->model[m].path) {
			p->count = m;
			return pn_error_set(err, PN_ENOMEM, "no memory for a path");
		}
	}
	return PN_OK;
}

int compare_group_read(struct compare_group *group, const char *path, struct pn_error *err)
{
	struct list list = { 0 };
	int rc = read_list(&list, path, err);

	*group = (struct compare_group){ 0 };
	if (!rc)
		group->particle = calloc(list.count, sizeof *group->particle);
	if (!rc && !group->particle)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %zu particles", list.count);
	for (size_t k = 0; !rc && k < list.count; k++) {
		if (is_known(group, list.line[k].particle))
			continue;
		struct compare_particle *p = &group->particle[group->count];

		rc = load_particle(p, &list, list.line[k].particle, err);
		if (!rc) {
			group->count++;
			rc = keep_paths(p, err);
		}
	}
	for (size_t p = 1; !rc && p < group->count; p++)
		if (group->particle[p].count != group->particle[0].count)
			rc = pn_error_set(err, PN_EFORMAT,
					  "%s: particle %s has %zu models, %s has %zu: a mean over "
					  "particles needs the same stages of each",
					  path, group->particle[p].name, group->particle[p].count,
					  group->particle[0].name, group->particle[0].count);
	list_free(&list);
	if (rc)
		compare_group_free(group);
	return rc;
}

void compare_group_free(struct compare_group *group)
{
	for (size_t p = 0; p < group->count; p++) {
		for (size_t m = 0; m < group->particle[p].count; m++)
			free((void *)(uintptr_t)group->particle[p].model[m].path);
		compare_free(&group->particle[p]);
	}
	free(group->particle);
	*group = (struct compare_group){ 0 };
}
