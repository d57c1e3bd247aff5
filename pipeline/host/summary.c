/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host.h"

#include <errno.h>
#include <limits.h>

static void stream_json(const struct pn_run *run, unsigned stream, struct pn_json *json)
{
	const struct pn_graph_stream *s = &run->config->graph->streams[stream];
	struct pn_log_check check;
	struct pn_error err = { 0 };
	char dir[PATH_MAX];

	snprintf(dir, sizeof dir, "%s/%s", run->config->session, s->name);
	pn_json_object(json, NULL);
	pn_json_text(json, "name", s->name);
	pn_json_text(json, "type", s->schema->type);
	if (pn_log_verify(dir, &check, &err)) {
		pn_json_text(json, "error", err.text);
	} else {
		pn_json_u64(json, "records", check.records);
		pn_json_u64(json, "bytes", check.bytes);
		pn_json_u64(json, "bad", check.bad);
		pn_json_bool(json, "closed", check.ended);
	}
	pn_json_end(json);
}

int pn_run_summary(const struct pn_run *run, struct pn_error *err)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	struct pn_json json;

	snprintf(path, sizeof path, "%s/summary.json", run->config->session);
	snprintf(fresh, sizeof fresh, "%s/summary.json.new", run->config->session);
	FILE *file = fopen(fresh, "w");
	if (!file)
		return pn_error_errno(err, errno, "%s", fresh);
	pn_json_init(&json, file, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "source", run->config->source_uri);
	pn_json_text(&json, "place", pn_place_words[run->config->graph->place]);
	pn_json_bool(&json, "stopped_by_signal", run->metrics->stop != 0);
	pn_metrics_json(run->metrics, &json, "run");
	pn_json_array(&json, "streams");
	for (unsigned i = 0; i < run->config->graph->stream_count; i++)
		stream_json(run, i, &json);
	pn_json_end(&json);
	pn_json_end(&json);
	int bad = ferror(file);
	if (fclose(file) || bad || rename(fresh, path))
		return pn_error_errno(err, errno, "%s", path);
	return PN_OK;
}
