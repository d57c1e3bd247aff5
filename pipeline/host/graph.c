/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Graph files are read with libyaml itself: parameters are free-form by kind of stage, which a fixed
 * schema cannot say, and its nodes know their line, so that every error can name it.
 */
#include "perrin/host/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

const char *const pn_place_words[] = { "thread", "threads", "processes", NULL };
const char *const pn_durability_words[] = { "each", "interval", "close", NULL };

const struct pn_param pn_graph_stream_params[] = {
	{ .name = "durability", .help = "when a record is on stable storage", .type = PN_PARAM_ENUM,
	  .off = offsetof(struct pn_graph_stream, durability), .choices = pn_durability_words,
	  .def = PN_DURABLE_INTERVAL },
	{ .name = "interval_ms", .unit = "ms", .help = "between two syncs", .type = PN_PARAM_I64,
	  .off = offsetof(struct pn_graph_stream, interval_ms), .def = 100, .min = 1, .max = 60000 },
	{ .name = "segment_MiB", .unit = "MiB", .help = "size of a segment file", .type = PN_PARAM_I64,
	  .off = offsetof(struct pn_graph_stream, segment_MiB), .def = 1024, .min = 1, .max = 1 << 20 },
	{ .name = "align", .unit = "B", .help = "records begin at multiples of this: 4096 or 64",
	  .type = PN_PARAM_I64, .off = offsetof(struct pn_graph_stream, align), .def = 4096, .min = 64,
	  .max = 4096 },
	{ .name = "chunk_MiB", .unit = "MiB", .help = "chunk of the shared window; holds any record",
	  .type = PN_PARAM_I64, .off = offsetof(struct pn_graph_stream, chunk_MiB), .def = 4, .min = 1,
	  .max = 4096 },
	{ .name = "chunk_count", .help = "chunks in the shared window", .type = PN_PARAM_I64,
	  .off = offsetof(struct pn_graph_stream, chunk_count), .def = 8, .min = 3, .max = 1024 },
	{ 0 },
};

/* What reading needs to know everywhere. */
struct parse {
	const char *path;
	yaml_document_t document;
	struct pn_graph *graph;
	struct pn_error *err;
};

static int fail_at(struct parse *p, const yaml_node_t *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int fail_at(struct parse *p, const yaml_node_t *node, const char *fmt, ...)
{
	char text[PN_ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return pn_error_set(p->err, PN_EARG, "%.150s:%zu: %.340s", p->path, node->start_mark.line + 1,
			    text);
}

static yaml_node_t *node_of(struct parse *p, int index)
{
	return yaml_document_get_node(&p->document, index);
}

static const char *text_of(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* The value of a key of a mapping, or NULL. */
static yaml_node_t *find(struct parse *p, const yaml_node_t *map, const char *key)
{
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
	     pair++) {
		const char *name = text_of(node_of(p, pair->key));

		if (name && strcmp(name, key) == 0)
			return node_of(p, pair->value);
	}
	return NULL;
}

/* Every key of a mapping is one of the words, and none comes twice. */
static int check_keys(struct parse *p, const yaml_node_t *map, const char *what,
		      const char *const *words)
{
	if (map->type != YAML_MAPPING_NODE)
		return fail_at(p, map, "%s: need a mapping of %s, ...", what, words[0]);
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
	     pair++) {
		const yaml_node_t *key = node_of(p, pair->key);
		const char *name = text_of(key);
		int known = 0;

		for (unsigned i = 0; name && words[i]; i++)
			known |= strcmp(words[i], name) == 0;
		if (!known)
			return fail_at(p, key, "%s: unknown key '%s'", what, name ? name : "(not a text)");
		if (find(p, map, name) != node_of(p, pair->value))
			return fail_at(p, key, "%s: key '%s' stands twice", what, name);
	}
	return PN_OK;
}

static int copy_name(struct parse *p, const yaml_node_t *node, const char *what,
		     char name[PN_GRAPH_NAME_MAX])
{
	const char *text = text_of(node);

	if (!text || !text[0] || strlen(text) >= PN_GRAPH_NAME_MAX ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
		    strlen(text))
		return fail_at(p, node, "%s: need a name of letters, digits, '_' and '-', 1..%d long",
			       what, PN_GRAPH_NAME_MAX - 1);
	strcpy(name, text);
	return PN_OK;
}

static int word_index(const char *const *words, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (text && strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static int find_stream(const struct pn_graph *graph, const char *name)
{
	for (unsigned i = 0; i < graph->stream_count; i++)
		if (strcmp(graph->streams[i].name, name) == 0)
			return (int)i;
	return -1;
}

static struct pn_graph_stage *find_stage(struct pn_graph *graph, const char *name)
{
	for (unsigned i = 0; i < graph->stage_count; i++)
		if (strcmp(graph->stages[i].name, name) == 0)
			return &graph->stages[i];
	return NULL;
}

/* ---- parameters ---------------------------------------------------------------------------- */

/* Checks against a scratch state, so that a wrong value is found before anything starts. */
static int set_stage_param(struct pn_graph_stage *stage, const char *name, const char *value,
			   struct pn_error *err)
{
	void *scratch = calloc(1, stage->ops->state_size);
	struct pn_setting *setting = NULL;

	if (!scratch)
		return pn_error_set(err, PN_ENOMEM, "no memory for stage %s", stage->name);
	int rc = pn_param_set(stage->ops->params, scratch, name, value, err);

	free(scratch);
	if (rc) {
		pn_error_wrap(err, "stage %s", stage->name);
		return rc;
	}
	const char *row_name = pn_param_find(stage->ops->params, name)->name;
	for (unsigned i = 0; i < stage->setting_count; i++)
		if (strcmp(stage->settings[i].name, row_name) == 0)
			setting = &stage->settings[i];
	if (!setting) {
		if (stage->setting_count == PN_SETTINGS_MAX)
			return pn_error_set(err, PN_EARG, "stage %s: more than %d parameters set",
					    stage->name, PN_SETTINGS_MAX);
		setting = &stage->settings[stage->setting_count++];
	}
	snprintf(setting->name, sizeof setting->name, "%s", row_name);
	snprintf(setting->value, sizeof setting->value, "%s", value);
	return PN_OK;
}

static int set_stream_param(struct pn_graph_stream *stream, const char *name, const char *value,
			    struct pn_error *err)
{
	int rc = pn_param_set(pn_graph_stream_params, stream, name, value, err);

	if (rc) {
		pn_error_wrap(err, "stream %s", stream->name);
		return rc;
	}
	if (stream->align != 64 && stream->align != 4096)
		return pn_error_set(err, PN_EARG, "stream %s: align = %s: must be 64 or 4096",
				    stream->name, value);
	return PN_OK;
}

/* ---- stages -------------------------------------------------------------------------------- */

static int add_output(struct parse *p, const yaml_node_t *node, struct pn_graph_stage *stage,
		      unsigned port)
{
	struct pn_graph *graph = p->graph;
	char name[PN_GRAPH_NAME_MAX];
	int rc = copy_name(p, node, "output", name);

	if (rc)
		return rc;
	if (find_stream(graph, name) >= 0)
		return fail_at(p, node, "stage %s: stream %s has a writer already", stage->name, name);
	if (graph->stream_count == PN_STREAMS_MAX)
		return fail_at(p, node, "more than %d streams", PN_STREAMS_MAX);
	struct pn_graph_stream *stream = &graph->streams[graph->stream_count];

	strcpy(stream->name, name);
	pn_params_default(pn_graph_stream_params, stream);
	stream->schema = stage->ops->outputs[port].schema;
	stage->outputs[port] = (int)graph->stream_count++;
	return PN_OK;
}

static int read_outputs(struct parse *p, const yaml_node_t *node, struct pn_graph_stage *stage)
{
	unsigned port = 0;

	for (unsigned i = 0; i < PN_PORTS_MAX; i++)
		stage->outputs[i] = -1;
	if (node && node->type != YAML_SEQUENCE_NODE)
		return fail_at(p, node, "stage %s: output: need a list of streams, [a, b]", stage->name);
	for (yaml_node_item_t *item = node ? node->data.sequence.items.start : NULL;
	     node && item < node->data.sequence.items.top; item++, port++) {
		const yaml_node_t *entry = node_of(p, *item);

		if (port >= PN_PORTS_MAX || !stage->ops->outputs[port].name)
			return fail_at(p, entry, "stage %s has %u outputs, not more", stage->name, port);
		int rc = add_output(p, entry, stage, port);
		if (rc)
			return rc;
	}
	return PN_OK;
}

static int add_input(struct parse *p, const yaml_node_t *entry, struct pn_graph_stage *stage)
{
	static const char *const keys[] = { "stream", "policy", NULL };
	struct pn_graph_input *input = &stage->inputs[stage->input_count];
	const yaml_node_t *name_node = entry;
	char name[PN_GRAPH_NAME_MAX];
	int rc;

	if (stage->input_count >= PN_PORTS_MAX || !stage->ops->inputs[stage->input_count].name)
		return fail_at(p, entry, "stage %s has %u inputs, not more", stage->name,
			       stage->input_count);
	if (entry->type == YAML_MAPPING_NODE) {
		rc = check_keys(p, entry, "input", keys);
		if (rc)
			return rc;
		name_node = find(p, entry, "stream");
		const yaml_node_t *policy = find(p, entry, "policy");
		int word = policy ? word_index(pn_link_policy_words, text_of(policy)) : 0;

		if (!name_node || word < 0)
			return fail_at(p, entry, "input: need {stream: NAME, policy: every|freshest}");
		input->policy = (enum pn_link_policy)word;
	}
	rc = copy_name(p, name_node, "input", name);
	if (rc)
		return rc;
	int stream = find_stream(p->graph, name);
	if (stream < 0)
		return fail_at(p, name_node, "stage %s: no stage above writes stream %s", stage->name, name);
	const struct pn_port *port = &stage->ops->inputs[stage->input_count];
	if (p->graph->streams[stream].schema != port->schema)
		return fail_at(p, name_node, "stage %s: input %s takes %s, stream %s carries %s",
			       stage->name, port->name, port->schema->type, name,
			       p->graph->streams[stream].schema->type);
	/* what a journal names must not be lost in a power cut */
	if (port->side)
		p->graph->streams[stream].durability = PN_DURABLE_EACH;
	input->stream = (unsigned)stream;
	input->slot = p->graph->streams[stream].reader_count++;
	if (input->slot >= PN_WINDOW_READERS_MAX - 1) /* the last is the writer's own */
		return fail_at(p, name_node, "stream %s has more than %d readers", name,
			       PN_WINDOW_READERS_MAX - 1);
	stage->input_count++;
	return PN_OK;
}

static int read_inputs(struct parse *p, const yaml_node_t *map, struct pn_graph_stage *stage)
{
	const yaml_node_t *node = find(p, map, "input");

	if (!node)
		return fail_at(p, map, "stage %s: no input", stage->name);
	if (text_of(node) && strcmp(text_of(node), "source") == 0) {
		stage->from_source = 1;
		return PN_OK;
	}
	if (node->type != YAML_SEQUENCE_NODE)
		return fail_at(p, node, "stage %s: input: need 'source' or a list of streams, [a, b]",
			       stage->name);
	for (yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		int rc = add_input(p, node_of(p, *item), stage);
		if (rc)
			return rc;
	}
	unsigned sides = 0;
	for (unsigned i = 0; i < stage->input_count; i++)
		sides += stage->ops->inputs[i].side != 0;
	if (sides && sides == stage->input_count)
		return fail_at(p, node, "stage %s: nothing but side inputs is connected",
			       stage->name);
	for (unsigned i = stage->input_count; stage->ops->inputs[i].name; i++)
		if (!stage->ops->inputs[i].optional)
			return fail_at(p, node, "stage %s: input %s is not connected", stage->name,
				       stage->ops->inputs[i].name);
	return PN_OK;
}

static int read_settings(struct parse *p, const yaml_node_t *node, struct pn_graph_stage *stage)
{
	if (node->type != YAML_MAPPING_NODE)
		return fail_at(p, node, "stage %s: set: need {parameter: value, ...}", stage->name);
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const char *name = text_of(node_of(p, pair->key));
		const char *value = text_of(node_of(p, pair->value));
		struct pn_error err = { 0 };

		if (!name || !value)
			return fail_at(p, node_of(p, pair->key), "stage %s: set: need {parameter: value}",
				       stage->name);
		if (set_stage_param(stage, name, value, &err))
			return fail_at(p, node_of(p, pair->key), "%s", err.text);
	}
	return PN_OK;
}

static int read_threads(struct parse *p, const yaml_node_t *node, struct pn_graph_stage *stage)
{
	char *end = "";

	stage->threads = 1;
	if (!node)
		return PN_OK;
	long threads = text_of(node) ? strtol(text_of(node), &end, 10) : -1;
	if (threads < 0 || threads > 1024 || *end)
		return fail_at(p, node, "stage %s: threads: must be 0..1024", stage->name);
	stage->threads = (int)threads;
	return PN_OK;
}

static int read_stage(struct parse *p, const yaml_node_t *map)
{
	static const char *const keys[] = { "stage", "name", "input", "output", "set",
					    "threads", NULL };
	struct pn_graph *graph = p->graph;
	int rc = check_keys(p, map, "stage", keys);

	if (rc)
		return rc;
	if (graph->stage_count == PN_STAGES_MAX)
		return fail_at(p, map, "more than %d stages", PN_STAGES_MAX);
	const yaml_node_t *kind = find(p, map, "stage"), *name = find(p, map, "name");
	struct pn_graph_stage *stage = &graph->stages[graph->stage_count];

	if (!kind)
		return fail_at(p, map, "a stage without its kind: need stage: NAME");
	rc = copy_name(p, name ? name : kind, "stage", stage->name);
	if (rc)
		return rc;
	stage->ops = text_of(kind) ? pn_stage_find(text_of(kind)) : NULL;
	if (!stage->ops)
		return fail_at(p, kind, "no stage '%s'", text_of(kind) ? text_of(kind) : "");
	if (find_stage(graph, stage->name))
		return fail_at(p, map, "two stages are called %s", stage->name);
	rc = read_inputs(p, map, stage);
	if (!rc)
		rc = read_outputs(p, find(p, map, "output"), stage);
	const yaml_node_t *set = find(p, map, "set"), *threads = find(p, map, "threads");
	if (!rc && set)
		rc = read_settings(p, set, stage);
	if (!rc)
		rc = read_threads(p, threads, stage);
	graph->stage_count++;
	return rc;
}

static int read_streams(struct parse *p, const yaml_node_t *map)
{
	if (map->type != YAML_MAPPING_NODE)
		return fail_at(p, map, "streams: need {stream: {durability: ..., ...}, ...}");
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
	     pair++) {
		const yaml_node_t *key = node_of(p, pair->key), *value = node_of(p, pair->value);
		int stream = text_of(key) ? find_stream(p->graph, text_of(key)) : -1;

		if (stream < 0)
			return fail_at(p, key, "no stage writes stream %s",
				       text_of(key) ? text_of(key) : "");
		if (value->type != YAML_MAPPING_NODE)
			return fail_at(p, value, "stream %s: need {durability: ..., ...}", text_of(key));
		for (yaml_node_pair_t *row = value->data.mapping.pairs.start;
		     row < value->data.mapping.pairs.top; row++) {
			const char *name = text_of(node_of(p, row->key));
			const char *text = text_of(node_of(p, row->value));
			struct pn_error err = { 0 };

			if (!name || !text)
				return fail_at(p, value, "stream %s: need {parameter: value}", text_of(key));
			if (set_stream_param(&p->graph->streams[stream], name, text, &err))
				return fail_at(p, node_of(p, row->key), "%s", err.text);
		}
	}
	return PN_OK;
}

static int read_root(struct parse *p)
{
	static const char *const keys[] = { "graph", "place", "stages", "streams", NULL };
	const yaml_node_t *root = yaml_document_get_root_node(&p->document);

	if (!root)
		return pn_error_set(p->err, PN_EARG, "%s: the file is empty", p->path);
	int rc = check_keys(p, root, "graph file", keys);
	if (rc)
		return rc;
	const yaml_node_t *name = find(p, root, "graph"), *place = find(p, root, "place");
	const yaml_node_t *stages = find(p, root, "stages"), *streams = find(p, root, "streams");

	if (!name || !stages || stages->type != YAML_SEQUENCE_NODE)
		return fail_at(p, root, "need graph: NAME and stages: [...]");
	rc = copy_name(p, name, "graph", p->graph->name);
	if (rc)
		return rc;
	if (place) {
		int word = word_index(pn_place_words, text_of(place));

		if (word < 0)
			return fail_at(p, place, "place: must be thread, threads or processes");
		p->graph->place = (enum pn_place)word;
	}
	for (yaml_node_item_t *item = stages->data.sequence.items.start;
	     item < stages->data.sequence.items.top; item++) {
		rc = read_stage(p, node_of(p, *item));
		if (rc)
			return rc;
	}
	if (!p->graph->stage_count)
		return fail_at(p, stages, "no stage");
	return streams ? read_streams(p, streams) : PN_OK;
}

int pn_graph_read(struct pn_graph **graph, const char *path, struct pn_error *err)
{
	struct parse p = { .path = path, .err = err };
	yaml_parser_t parser;
	int rc;

	*graph = NULL;
	FILE *file = fopen(path, "rb");
	if (!file)
		return pn_error_errno(err, errno, "%s", path);
	p.graph = calloc(1, sizeof *p.graph);
	if (!p.graph || !yaml_parser_initialize(&parser)) {
		free(p.graph);
		fclose(file);
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	}
	p.graph->place = PN_PLACE_PROCESSES;
	yaml_parser_set_input_file(&parser, file);
	if (yaml_parser_load(&parser, &p.document)) {
		rc = read_root(&p);
		yaml_document_delete(&p.document);
	} else {
		rc = pn_error_set(err, PN_EARG, "%.200s:%zu: %s", path, parser.problem_mark.line + 1,
				  parser.problem ? parser.problem : "not YAML");
	}
	yaml_parser_delete(&parser);
	fclose(file);
	if (rc)
		free(p.graph);
	else
		*graph = p.graph;
	return rc;
}

void pn_graph_destroy(struct pn_graph *graph)
{
	free(graph);
}

int pn_graph_set(struct pn_graph *graph, const char *assignment, struct pn_error *err)
{
	char owner[PN_GRAPH_NAME_MAX], name[PN_GRAPH_NAME_MAX];
	const char *equal = strchr(assignment, '='), *dot = strchr(assignment, '.');

	if (equal && strncmp(assignment, "place=", 6) == 0) {
		int word = word_index(pn_place_words, equal + 1);

		if (word < 0)
			return pn_error_set(err, PN_EARG, "place = %.80s: must be thread, threads or processes",
					    equal + 1);
		graph->place = (enum pn_place)word;
		return PN_OK;
	}
	if (!equal || !dot || dot > equal || dot - assignment >= PN_GRAPH_NAME_MAX ||
	    equal - dot > PN_GRAPH_NAME_MAX)
		return pn_error_set(err, PN_EARG, "'%.200s': need stage.parameter=value", assignment);
	snprintf(owner, sizeof owner, "%.*s", (int)(dot - assignment), assignment);
	snprintf(name, sizeof name, "%.*s", (int)(equal - dot - 1), dot + 1);
	struct pn_graph_stage *stage = find_stage(graph, owner);
	int stream = find_stream(graph, owner);

	/* a stage and its stream may share a name; the parameter tells which is meant */
	if (stage && (stream < 0 || !pn_param_find(pn_graph_stream_params, name)))
		return set_stage_param(stage, name, equal + 1, err);
	if (stream >= 0)
		return set_stream_param(&graph->streams[stream], name, equal + 1, err);
	return pn_error_set(err, PN_EARG, "graph %s has no stage or stream '%s'", graph->name, owner);
}

/* ---- writing ------------------------------------------------------------------------------- */

static void write_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++)
		fprintf(out, *text == '\'' ? "''" : "%c", *text);
	fputc('\'', out);
}

static void write_stage(const struct pn_graph *graph, const struct pn_graph_stage *stage, FILE *out)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];
	char text[PN_PARAM_TEXT_MAX];
	unsigned outputs = 0;

	fprintf(out, "  - stage: %s\n    name: %s\n    input: ", stage->ops->name, stage->name);
	if (stage->from_source)
		fprintf(out, "source\n");
	else {
		for (unsigned i = 0; i < stage->input_count; i++)
			fprintf(out, "%s{stream: %s, policy: %s}", i ? ", " : "[",
				graph->streams[stage->inputs[i].stream].name,
				pn_link_policy_words[stage->inputs[i].policy]);
		fprintf(out, "]\n");
	}
	fprintf(out, "    output: [");
	while (outputs < PN_PORTS_MAX && stage->outputs[outputs] >= 0) {
		fprintf(out, "%s%s", outputs ? ", " : "", graph->streams[stage->outputs[outputs]].name);
		outputs++;
	}
	fprintf(out, "]\n");
	fprintf(out, "    threads: %d\n", stage->threads);
	if (!stage->ops->params)
		return;
	void *state = calloc(1, stage->ops->state_size);

	pn_assert(state);
	pn_params_default(stage->ops->params, state);
	for (unsigned i = 0; i < stage->setting_count; i++)
		pn_param_set(stage->ops->params, state, stage->settings[i].name,
			     stage->settings[i].value, NULL);
	fprintf(out, "    set:\n");
	pn_params_flatten(stage->ops->params, rows, PN_COUNT(rows));
	for (const struct pn_param *row = rows; row->name; row++) {
		fprintf(out, "      %s: ", row->name);
		write_quoted(out, pn_param_text(row, state, text, sizeof text));
		fprintf(out, "\n");
	}
	free(state);
}

void pn_graph_write(const struct pn_graph *graph, FILE *out)
{
	char text[PN_PARAM_TEXT_MAX];

	fprintf(out, "graph: %s\nplace: %s\nstages:\n", graph->name, pn_place_words[graph->place]);
	for (unsigned i = 0; i < graph->stage_count; i++)
		write_stage(graph, &graph->stages[i], out);
	if (!graph->stream_count)
		return;
	fprintf(out, "streams:\n");
	for (unsigned i = 0; i < graph->stream_count; i++) {
		fprintf(out, "  %s:\n", graph->streams[i].name);
		for (const struct pn_param *row = pn_graph_stream_params; row->name; row++)
			fprintf(out, "    %s: %s\n", row->name,
				pn_param_text(row, &graph->streams[i], text, sizeof text));
	}
}
