/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A graph file is checked before anything runs; what is wrong is told with its line. */
#include "perrin/host/graph.h"

#include "testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char good[] = "graph: demo\n"
			   "place: threads\n"
			   "stages:\n"
			   "  - stage: ingest\n"
			   "    input: source\n"
			   "    output: [frames]\n"
			   "    set: {batch: 4}\n"
			   "  - stage: track\n"
			   "    input: [{stream: frames, policy: freshest}]\n"
			   "    output: [crops]\n"
			   "  - stage: crystal\n"
			   "    name: lattice\n"
			   "    input: [crops]\n"
			   "    output: [crystal]\n"
			   "streams:\n"
			   "  frames: {durability: each, segment_MiB: 64}\n";

static int read_text(struct pn_graph **graph, const char *text, struct pn_error *err)
{
	static const char *dir;

	if (!dir)
		dir = testkit_tempdir();
	const char *path = testkit_path(dir, "g.yaml");
	memset(err, 0, sizeof *err);
	testkit_write(path, text, strlen(text));
	return pn_graph_read(graph, path, err);
}

static void a_good_graph(void **state)
{
	(void)state;
	struct pn_graph *graph;
	struct pn_error err;

	assert_int_equal(read_text(&graph, good, &err), PN_OK);
	assert_int_equal(graph->stage_count, 3);
	assert_int_equal(graph->stream_count, 3);
	assert_int_equal(graph->place, PN_PLACE_THREADS);
	assert_true(graph->stages[0].from_source);
	assert_int_equal(graph->stages[1].inputs[0].policy, PN_LINK_FRESHEST);
	assert_string_equal(graph->stages[2].name, "lattice");
	assert_string_equal(graph->streams[graph->stages[2].inputs[0].stream].name, "crops");
	assert_int_equal(graph->stages[0].outputs[1], -1);
	assert_int_equal(graph->streams[0].durability, PN_DURABLE_EACH);
	assert_int_equal(graph->streams[0].segment_MiB, 64);
	pn_graph_destroy(graph);
}

static void written_and_read_again_it_is_the_same(void **state)
{
	(void)state;
	struct pn_graph *graph, *again;
	struct pn_error err;
	char *first, *second;
	size_t n;

	assert_int_equal(read_text(&graph, good, &err), PN_OK);
	assert_int_equal(pn_graph_set(graph, "frames.interval_ms=7", &err), PN_OK);
	FILE *out = open_memstream(&first, &n);
	pn_graph_write(graph, out);
	fclose(out);
	if (read_text(&again, first, &err))
		fail_msg("%s", err.text);
	assert_int_equal(again->streams[0].interval_ms, 7);
	out = open_memstream(&second, &n);
	pn_graph_write(again, out);
	fclose(out);
	assert_string_equal(first, second);
	free(first);
	free(second);
	pn_graph_destroy(graph);
	pn_graph_destroy(again);
}

#define STAGE "graph: g\nstages:\n  - stage: ingest\n    input: source\n    output: [frames]\n"

static void errors_name_the_line(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "empty" },
		{ "graph: [", "g.yaml:2:" },
		{ "stages: []\n", "need graph: NAME" },
		{ "graph: g\nstages: []\n", "no stage" },
		{ "graph: g\nstage: []\n", ":2: graph file: unknown key 'stage'" },
		{ "graph: g\ngraph: h\nstages: []\n", "stands twice" },
		{ "graph: g\nplace: cloud\nstages: []\n", ":2: place: must be thread" },
		{ "graph: a/b\nstages: []\n", "need a name of letters" },
		{ STAGE "    sett: {}\n", ":6: stage: unknown key 'sett'" },
		{ STAGE "    threads: many\n", ":6: stage ingest: threads: must be 0..1024" },
		{ STAGE "    set: {batch: 0}\n", ":6: stage ingest: batch = 0: must be 1..256" },
		{ STAGE "    set: {bach: 1}\n", ":6: stage ingest: no parameter 'bach'" },
		{ STAGE "  - stage: nope\n    input: [frames]\n", ":6: no stage 'nope'" },
		{ STAGE "  - stage: track\n    input: [foo]\n    output: [crops]\n",
		  ":7: stage track: no stage above writes stream foo" },
		{ STAGE "  - stage: crystal\n    input: [frames]\n    output: [crystal]\n",
		  ":7: stage crystal: input crops takes crops, stream frames carries frames" },
		{ STAGE "  - stage: track\n    input: [frames]\n    output: [frames]\n",
		  ":8: stage track: stream frames has a writer already" },
		{ STAGE "  - stage: track\n    input: [frames, frames]\n    output: [crops]\n",
		  ":7: stage track has 1 inputs, not more" },
		{ STAGE "  - stage: track\n    input: []\n    output: [crops]\n",
		  ":7: stage track: input frames is not connected" },
		{ STAGE "  - stage: ingest\n    input: source\n    output: [more]\n",
		  ":6: two stages are called ingest" },
		{ STAGE "streams:\n  frame: {}\n", ":7: no stage writes stream frame" },
		{ STAGE "streams:\n  frames: {align: 512}\n", ":7: stream frames: align = 512: must be" },
		{ STAGE "streams:\n  frames: {durability: never}\n", ":7: stream frames: durability" },
	};
	struct pn_graph *graph;
	struct pn_error err;

	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		assert_int_equal(read_text(&graph, cases[i].text, &err), PN_EARG);
		assert_null(graph);
		if (!strstr(err.text, cases[i].says))
			fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
	}
	assert_int_equal(pn_graph_read(&graph, "/no/such/graph.yaml", &err), PN_ENOENT);
}

/* A journal on stable storage may not name what is not. */
static void streams_read_at_the_side_are_synced(void **state)
{
	(void)state;
	static const char text[] = STAGE "  - stage: track\n    input: [frames]\n    output: [crops]\n"
					 "  - stage: train\n    input: [crops]\n    output: [weights]\n"
					 "  - stage: denoise\n    input: [crops, weights]\n"
					 "    output: [clean]\n";
	char set[sizeof text + 64];
	struct pn_graph *graph;
	struct pn_error err;

	for (int own = 0; own < 2; own++) {
		snprintf(set, sizeof set, "%s%s", text,
			 own ? "streams:\n  weights: {durability: close}\n" : "");
		if (read_text(&graph, set, &err))
			fail_msg("%s", err.text);
		assert_string_equal(graph->streams[2].name, "weights");
		assert_int_equal(graph->streams[2].durability, own ? PN_DURABLE_CLOSE : PN_DURABLE_EACH);
		assert_int_equal(graph->streams[1].durability, PN_DURABLE_INTERVAL);
		pn_graph_destroy(graph);
	}
}

static void assignments(void **state)
{
	(void)state;
	static const char *const bad[] = { "batch=1", "ingest.batch", "ingest.batch=x", "foo.batch=1",
					   "place=moon", "ingest.=1", ".=1", "=" };
	struct pn_graph *graph;
	struct pn_error err;

	assert_int_equal(read_text(&graph, good, &err), PN_OK);
	assert_int_equal(pn_graph_set(graph, "ingest.batch=9", &err), PN_OK);
	assert_string_equal(graph->stages[0].settings[0].value, "9");
	assert_int_equal(graph->stages[0].setting_count, 1);
	assert_int_equal(pn_graph_set(graph, "place=thread", &err), PN_OK);
	assert_int_equal(graph->place, PN_PLACE_THREAD);
	for (size_t i = 0; i < PN_COUNT(bad); i++)
		assert_int_equal(pn_graph_set(graph, bad[i], &err), PN_EARG);
	pn_graph_destroy(graph);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_graph),
		cmocka_unit_test(written_and_read_again_it_is_the_same),
		cmocka_unit_test(errors_name_the_line),
		cmocka_unit_test(streams_read_at_the_side_are_synced),
		cmocka_unit_test(assignments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
