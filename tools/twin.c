/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin twin - make a movie of known truth and record it. */
#include "command.h"
#include "common/launch.h"
#include "common/text.h"
#include "perrin/twin/scene.h"
#include "perrin/twin/tilt.h"

#include <stdlib.h>
#include <string.h>

/** What both kinds of movie take, in front of their own parameters. */
struct twin_flags {
	char graph[PN_PARAM_TEXT_MAX];
	char speed[PN_PARAM_TEXT_MAX];
	struct pn_launch_flags launch;
};

struct liquid_options {
	struct twin_flags flags;
	struct pn_scene_params scene;
};

struct tilt_options {
	struct twin_flags flags;
	struct pn_tilt_params tilt;
};

#define OFF(field) offsetof(struct twin_flags, field)
static const struct pn_param flag_params[] = {
	{ .name = "launch", .group = pn_launch_params, .off = OFF(launch) },
	{ .name = "graph",
	  .unit = "G",
	  .help = "a graph to run on the movie while it is made",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(graph),
	  .def_text = "record" },
	{ .name = "speed",
	  .unit = "N|max",
	  .help = "times faster than the movie's time",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(speed),
	  .def_text = "max" },
	{ 0 },
};

static const struct pn_param liquid_params[] = {
	{ .name = "flags", .group = flag_params, .off = offsetof(struct liquid_options, flags) },
	{ .name = "scene",
	  .group = pn_scene_param_table,
	  .off = offsetof(struct liquid_options, scene) },
	{ 0 },
};

static const struct pn_param tilt_params[] = {
	{ .name = "flags", .group = flag_params, .off = offsetof(struct tilt_options, flags) },
	{ .name = "tilt",
	  .group = pn_tilt_param_table,
	  .off = offsetof(struct tilt_options, tilt) },
	{ 0 },
};

/* Only what is not as it is anyway: a short URI says what is special about a movie. */
static int add_params(char *uri, size_t size, const struct pn_param *table, const void *params,
		      size_t params_size, struct pn_error *err)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];
	char value[PN_PARAM_TEXT_MAX], usual[PN_PARAM_TEXT_MAX];
	void *defaults = calloc(1, params_size);
	int rc = defaults ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory");

	if (!rc) {
		pn_params_default(table, defaults);
		pn_params_flatten(table, rows, PN_COUNT(rows));
	}
	for (const struct pn_param *row = rows; !rc && row->name; row++) {
		pn_param_text(row, params, value, sizeof value);
		pn_param_text(row, defaults, usual, sizeof usual);
		if (strcmp(value, usual))
			rc = pn_uri_set(uri, size, row->name, value, err);
	}
	free(defaults);
	return rc;
}

static int record(const struct twin_flags *flags, char uri[PN_URI_MAX], struct pn_error *err)
{
	char graph[PATH_MAX];
	int rc = pn_launch_graph(graph, flags->graph, err);

	if (!rc)
		rc = pn_uri_speed(uri, PN_URI_MAX, flags->speed, err);
	if (rc)
		return rc;
	return pn_launch(
		&(struct pn_launch){ .graph = graph, .source_uri = uri, .flags = &flags->launch },
		err);
}

static int run_liquid(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct liquid_options *options = arg;
	char uri[PN_URI_MAX] = "twin:liquid-cell";
	int rc = add_params(uri, sizeof uri, pn_scene_param_table, &options->scene,
			    sizeof options->scene, err);

	(void)extra, (void)extra_count;
	return rc ? rc : record(&options->flags, uri, err);
}

static int run_tilt(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct tilt_options *options = arg;
	char uri[PN_URI_MAX] = "twin:tilt";
	int rc = add_params(uri, sizeof uri, pn_tilt_param_table, &options->tilt,
			    sizeof options->tilt, err);

	(void)extra, (void)extra_count;
	return rc ? rc : record(&options->flags, uri, err);
}

static const struct pn_command liquid_command = {
	.name = "liquid-cell",
	.brief = "nanocrystals that tumble between two sheets of graphene",
	.usage = "--session DIR [--frames N] [--seed S] [flags]",
	.params = liquid_params,
	.options_size = sizeof(struct liquid_options),
	.run = run_liquid,
};

static const struct pn_command tilt_command = {
	.name = "tilt",
	.brief = "an ADF-STEM tilt series of one nanocrystal",
	.usage = "--session DIR [--seed S] [flags]",
	.params = tilt_params,
	.options_size = sizeof(struct tilt_options),
	.run = run_tilt,
};

static const struct pn_command *const kinds[] = { &liquid_command, &tilt_command, NULL };

const struct pn_command pn_command_twin = {
	.name = "twin",
	.brief = "make a movie whose truth is known and record it",
	.usage = "liquid-cell|tilt --session DIR [flags]",
	.kinds = kinds,
};
