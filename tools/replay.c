/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin replay - run a recorded session's frames through its graph, or another one, again. */
#include "command.h"
#include "common/launch.h"
#include "common/session.h"
#include "common/text.h"
#include "perrin/host/host.h"

#include <unistd.h>

struct replay_options {
	char recording[PN_PARAM_TEXT_MAX];
	char graph[PN_PARAM_TEXT_MAX];
	char speed[PN_PARAM_TEXT_MAX];
	struct pn_launch_flags launch;
};

#define OFF(field) offsetof(struct replay_options, field)
static const struct pn_param params[] = {
	{ .name = "recording",
	  .help = "the session to take frames from",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(recording),
	  .positional = 1,
	  .required = 1 },
	{ .name = "launch", .group = pn_launch_params, .off = OFF(launch) },
	{ .name = "graph",
	  .unit = "G",
	  .help = "another graph (default: the recording's own)",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(graph) },
	{ .name = "speed",
	  .unit = "N|max",
	  .help = "times faster than it was recorded",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(speed),
	  .def_text = "max" },
	{ 0 },
};

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct replay_options *options = arg;
	char graph[PATH_MAX], wisdom[PATH_MAX], uri[PN_URI_MAX] = "replay:";
	int rc = pn_session_check(options->recording, err);

	(void)extra, (void)extra_count;
	if (!rc && options->graph[0])
		rc = pn_launch_graph(graph, options->graph, err);
	else if (!rc)
		rc = pn_path_join(graph, options->recording, "graph.yaml", err);
	if (!rc)
		rc = pn_path_join(wisdom, options->recording, "wisdom", err);
	if (!rc)
		rc = pn_text_escape(uri, sizeof uri, options->recording, err);
	if (!rc)
		rc = pn_uri_speed(uri, sizeof uri, options->speed, err);
	if (rc)
		return rc;
	/* the same plans of the Fourier transforms give the same bytes */
	return pn_launch(&(struct pn_launch){ .graph = graph,
					      .source_uri = uri,
					      .wisdom = access(wisdom, R_OK) ? NULL : wisdom,
					      .flags = &options->launch },
			 err);
}

const struct pn_command pn_command_replay = {
	.name = "replay",
	.brief = "run the frames of a recorded session again",
	.usage = "SESSION --session DIR [--graph G] [flags]",
	.params = params,
	.options_size = sizeof(struct replay_options),
	.run = run,
};
