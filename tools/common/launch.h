/* SPDX-License-Identifier: GPL-3.0-or-later */
/* launch.h - what `run`, `replay` and `twin` share: find the graph, set it, run it, sum it up. */
#ifndef PERRIN_TOOLS_LAUNCH_H
#define PERRIN_TOOLS_LAUNCH_H

#include "perrin/base/param.h"

#include <limits.h>

#define PN_URI_MAX 8192

/** Flags that the three have in common; a row with .group = pn_launch_params takes them in. */
struct pn_launch_flags {
	char session[PN_PARAM_TEXT_MAX];
	int place; /* 0: as the graph says; else 1 + enum pn_place */
	struct pn_param_list set;
	int json;
	int retrain;
};
extern const struct pn_param pn_launch_params[];

struct pn_launch {
	const char *graph; /* path of the graph file */
	const char *source_uri;
	const char *wisdom; /* or NULL */
	const struct pn_launch_flags *flags;
};

/** pn_launch - run it and print the summary. The run's errors; PN_EARG for what --set cannot set.
 */
int pn_launch(const struct pn_launch *launch, struct pn_error *err);

/**
 * pn_launch_graph - the path of a graph: @name itself if it is a path, else NAME.yaml in the folder
 * $PERRIN_GRAPHS, beside the program or where the program was built. PN_ENOENT says where it was
 * looked for and what there is.
 */
int pn_launch_graph(char path[PATH_MAX], const char *name, struct pn_error *err);

/**
 * pn_uri_set - append "name=value" to the parameters of a URI of @size bytes, escaped.
 */
int pn_uri_set(char *uri, size_t size, const char *name, const char *value, struct pn_error *err);

/** pn_uri_speed - the same for --speed: "" is nothing, "max" as fast as it can be read. PN_EARG. */
int pn_uri_speed(char *uri, size_t size, const char *speed, struct pn_error *err);

#endif
