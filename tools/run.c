/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin run - run a graph on a source and record the session. */
#include "command.h"
#include "common/launch.h"
#include "common/text.h"
#include "perrin/detector/source.h"

struct run_options {
	char graph[PN_PARAM_TEXT_MAX];
	char source[PN_PARAM_TEXT_MAX];
	char speed[PN_PARAM_TEXT_MAX];
	struct pn_launch_flags launch;
};

#define OFF(field) offsetof(struct run_options, field)
static const struct pn_param params[] = {
	{ .name = "graph",
	  .help = "a graph file, or the name of one that comes with perrin",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(graph),
	  .positional = 1,
	  .required = 1 },
	{ .name = "source",
	  .unit = "URI",
	  .help = "where frames come from; --help lists the kinds",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(source),
	  .required = 1 },
	{ .name = "launch", .group = pn_launch_params, .off = OFF(launch) },
	{ .name = "speed",
	  .unit = "N|max",
	  .help = "times faster than the source's time stamps say, or as fast as it goes",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(speed) },
	{ 0 },
};

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct run_options *options = arg;
	char graph[PATH_MAX], uri[PN_URI_MAX] = "";
	int rc = pn_launch_graph(graph, options->graph, err);

	(void)extra, (void)extra_count;
	if (!rc)
		rc = pn_text_append(uri, sizeof uri, options->source, err);
	if (!rc)
		rc = pn_uri_speed(uri, sizeof uri, options->speed, err);
	if (rc)
		return rc;
	return pn_launch(
		&(struct pn_launch){ .graph = graph, .source_uri = uri, .flags = &options->launch },
		err);
}

const struct pn_command pn_command_run = {
	.name = "run",
	.brief = "run a graph on a source and record the session",
	.usage = "GRAPH --source URI --session DIR [flags]",
	.params = params,
	.options_size = sizeof(struct run_options),
	.more_help = pn_sources_help,
	.run = run,
};
