/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin info - what a session, a stream or a file of images holds. */
#include "info.h"

#include "command.h"
#include "common/session.h"
#include "perrin/format/stack.h"
#include "perrin/host/graph.h"

#include <inttypes.h>
#include <math.h>

struct info_options {
	char path[PN_PARAM_TEXT_MAX];
	int schemas, json;
};

#define OFF(field) offsetof(struct info_options, field)
static const struct pn_param params[] = {
	{ .name = "path",
	  .help = "a session, a stream of it, or a file of images",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(path),
	  .positional = 1 },
	{ .name = "schemas",
	  .help = "describe every type of message instead",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(schemas) },
	{ .name = "json",
	  .help = "print the result as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/* ---- sessions ------------------------------------------------------------------------------ */

static void graph_lines(const struct pn_graph *graph)
{
	struct pn_table *table = pn_table_create("<stage|<takes|<gives");

	for (unsigned i = 0; i < graph->stage_count; i++) {
		const struct pn_graph_stage *stage = &graph->stages[i];
		char takes[256] = "", gives[256] = "";

		for (unsigned k = 0; k < stage->input_count; k++) {
			const char *name = graph->streams[stage->inputs[k].stream].name;
			pn_text_append(takes, sizeof takes, k ? ", " : "", NULL);
			pn_text_append(takes, sizeof takes, name, NULL);
		}
		for (unsigned k = 0; k < PN_PORTS_MAX && stage->outputs[k] >= 0; k++) {
			pn_text_append(gives, sizeof gives, k ? ", " : "", NULL);
			pn_text_append(gives, sizeof gives, graph->streams[stage->outputs[k]].name,
				       NULL);
		}
		pn_table_cell(table, "%s", stage->name);
		pn_table_cell(table, "%s", stage->from_source ? "the source" : takes);
		pn_table_cell(table, "%s", gives);
	}
	pn_table_print(table, stdout);
	pn_table_destroy(table);
}

static void graph_json(const struct pn_graph *graph, struct pn_json *json)
{
	pn_json_object(json, "graph");
	pn_json_text(json, "name", graph->name);
	pn_json_text(json, "place", pn_place_words[graph->place]);
	pn_json_array(json, "stages");
	for (unsigned i = 0; i < graph->stage_count; i++) {
		const struct pn_graph_stage *stage = &graph->stages[i];

		pn_json_object(json, NULL);
		pn_json_text(json, "name", stage->name);
		pn_json_text(json, "kind", stage->ops->name);
		pn_json_object(json, "set");
		for (unsigned k = 0; k < stage->setting_count; k++)
			pn_json_text(json, stage->settings[k].name, stage->settings[k].value);
		pn_json_end(json);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_end(json);
}

static int print_session(const char *path, struct pn_error *err)
{
	struct pn_session_description d;
	struct pn_error graph_error = { 0 };
	struct pn_graph *graph;
	char graph_path[PATH_MAX];
	int rc = pn_session_describe(&d, path, err);

	if (!rc)
		rc = pn_path_join(graph_path, path, "graph.yaml", err);
	if (rc)
		return rc;
	printf("session %s\n  started  %s\n  source   %s\n  graph    %s\n  perrin   %s\n\n", path,
	       d.started, d.source, d.graph, d.perrin);
	if (pn_graph_read(&graph, graph_path, &graph_error) == PN_OK) {
		graph_lines(graph);
		pn_graph_destroy(graph);
	} else {
		printf("  %s\n", graph_error.text);
	}
	putchar('\n');
	return pn_info_print_streams(path, err);
}

static int session_json(const char *path, struct pn_json *json, struct pn_error *err)
{
	struct pn_session_description d;
	struct pn_error graph_error = { 0 };
	struct pn_graph *graph;
	char graph_path[PATH_MAX];
	int rc = pn_session_describe(&d, path, err);

	if (!rc)
		rc = pn_path_join(graph_path, path, "graph.yaml", err);
	if (rc)
		return rc;
	pn_json_object(json, NULL);
	pn_json_text(json, "path", path);
	pn_json_text(json, "kind", "session");
	pn_json_text(json, "started", d.started);
	pn_json_text(json, "source", d.source);
	pn_json_text(json, "perrin", d.perrin);
	if (pn_graph_read(&graph, graph_path, &graph_error) == PN_OK) {
		graph_json(graph, json);
		pn_graph_destroy(graph);
	} else {
		pn_json_text(json, "graph_error", graph_error.text);
	}
	pn_json_array(json, "streams");
	rc = pn_info_streams(path, NULL, json, err);
	pn_json_end(json);
	pn_json_end(json);
	return rc;
}

/* ---- files of images ----------------------------------------------------------------------- */

static int show_stack(const char *path, struct pn_json *json, struct pn_error *err)
{
	struct pn_stack *stack;
	int rc = pn_stack_open(&stack, path, err);

	if (rc)
		return rc;
	const struct pn_stack_info *info = pn_stack_info(stack);
	if (json) {
		pn_json_object(json, NULL);
		pn_json_text(json, "path", path);
		pn_json_text(json, "kind", "images");
		pn_json_text(json, "format", info->format);
		pn_json_text(json, "dtype", pn_dtype_name(info->dtype));
		pn_json_u64(json, "count", info->count);
		pn_json_u64(json, "ny", info->ny);
		pn_json_u64(json, "nx", info->nx);
		pn_json_f64(json, "pixel_pm", info->pixel_pm > 0 ? info->pixel_pm : (double)NAN);
		pn_json_end(json);
	} else {
		printf("images %s\n  format  %s\n  pixels  %s [%" PRIu64 "][%" PRIu64 "][%" PRIu64
		       "]\n",
		       path, info->format, pn_dtype_name(info->dtype), info->count, info->ny,
		       info->nx);
		if (info->pixel_pm > 0)
			printf("  pixel   %g pm\n", info->pixel_pm);
		else
			printf("  pixel   the file does not say\n");
	}
	pn_stack_close(stack);
	return PN_OK;
}

static int stream_alone(const char *path, struct pn_json *json, struct pn_error *err)
{
	if (!json)
		return pn_info_print_streams(path, err);
	pn_json_object(json, NULL);
	pn_json_text(json, "path", path);
	pn_json_text(json, "kind", "stream");
	pn_json_array(json, "streams");
	int rc = pn_info_streams(path, NULL, json, err);
	pn_json_end(json);
	pn_json_end(json);
	return rc;
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct info_options *options = arg;
	enum pn_path_kind kind;
	struct pn_json json;

	(void)extra, (void)extra_count;
	if (options->schemas) {
		for (const struct pn_schema *const *schema = pn_schemas; *schema; schema++)
			pn_schema_doc(stdout, *schema);
		return PN_OK;
	}
	if (!options->path[0])
		return pn_error_set(err, PN_EARG, "path is missing: a session, a stream or a file");
	int rc = pn_path_kind(options->path, &kind, err);
	if (rc)
		return rc;
	pn_json_init(&json, stdout, 1);
	if (kind == PN_PATH_FILE)
		return show_stack(options->path, options->json ? &json : NULL, err);
	if (kind == PN_PATH_STREAM)
		return stream_alone(options->path, options->json ? &json : NULL, err);
	return options->json ? session_json(options->path, &json, err)
			     : print_session(options->path, err);
}

const struct pn_command pn_command_info = {
	.name = "info",
	.brief = "tell what a session, a stream or a file of images holds",
	.usage = "PATH [--json] | --schemas",
	.params = params,
	.options_size = sizeof(struct info_options),
	.run = run,
};
