/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "summary.h"

#include "perrin/base/clock.h"
#include "session.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>

static void latency_cell(struct pn_table *table, const struct pn_hist *hist, double q)
{
	char text[PN_TEXT_SHORT];
	double ms = hist->count ? (double)pn_hist_quantile(hist, q) / 1e6 : (double)NAN;

	pn_table_cell(table, "%s", pn_text_fixed(text, ms, ms < 10 ? 2 : ms < 100 ? 1 : 0));
}

static void stage_row(struct pn_table *table, const struct pn_stage_metrics *stage)
{
	struct pn_counts counts;

	pn_metrics_get_counts(stage, &counts);
	pn_table_cell(table, "%s", stage->name);
	pn_table_cell(table, "%s", pn_stage_state_words[stage->state & 3]);
	pn_table_cell(table, "%llu", (unsigned long long)counts.taken);
	pn_table_cell(table, "%llu", (unsigned long long)counts.done);
	pn_table_cell(table, "%llu", (unsigned long long)pn_counts_skipped(&counts));
	pn_table_cell(table, "%llu", (unsigned long long)pn_counts_pending(&counts));
	pn_table_cell(table, "%llu", (unsigned long long)stage->restarts);
	latency_cell(table, &stage->latency, 0.5);
	latency_cell(table, &stage->latency, 0.99);
	latency_cell(table, &stage->latency, 1);
}

/* Why frames were skipped, and what went wrong. */
static void stage_notes(const struct pn_stage_metrics *stage, FILE *out)
{
	struct pn_counts counts;

	pn_metrics_get_counts(stage, &counts);
	if (pn_counts_skipped(&counts)) {
		const char *comma = "";

		fprintf(out, "  %s skipped:", stage->name);
		for (unsigned i = 0; i < PN_SKIP_COUNT; i++) {
			if (!counts.skipped[i])
				continue;
			fprintf(out, "%s %llu %s", comma, (unsigned long long)counts.skipped[i],
				stage->reasons[i]);
			comma = ",";
		}
		fputc('\n', out);
	}
	if (stage->last_error_count)
		fprintf(out, "  %s: %s%s\n", stage->name,
			stage->state == PN_STAGE_FAILED ? ""
			: stage->restarts		? "restarted after: "
							: "left out: ",
			stage->last_error);
}

void pn_summary_stages(const struct pn_metrics *metrics, const double *rates, FILE *out)
{
	struct pn_table *table = pn_table_create(
		rates ? "<stage|<state|taken|emitted-for|skipped|pending|restarts|p50 ms|"
			"p99 ms|max ms|per s|queue|busy"
		      : "<stage|<state|taken|emitted-for|skipped|pending|restarts|p50 ms|"
			"p99 ms|max ms");
	double elapsed_ns =
		(double)((metrics->ended ? metrics->end_ns : pn_now_ns()) - metrics->start_ns);
	char text[PN_TEXT_SHORT];

	for (unsigned i = 0; i < metrics->stage_count; i++) {
		const struct pn_stage_metrics *stage = &metrics->stages[i];

		stage_row(table, stage);
		if (!rates)
			continue;
		pn_table_cell(table, "%s", pn_text_rate(text, rates[i]));
		pn_table_cell(table, "%llu", (unsigned long long)stage->queue);
		pn_table_cell(table, "%.0f %%",
			      elapsed_ns > 0 ? 100 * (double)stage->busy_ns / elapsed_ns : 0.0);
	}
	pn_table_print(table, out);
	pn_table_destroy(table);
	for (unsigned i = 0; i < metrics->stage_count; i++)
		stage_notes(&metrics->stages[i], out);
}

static int print_streams(const char *session, FILE *out, struct pn_error *err)
{
	struct pn_session_streams *streams = malloc(sizeof *streams);
	struct pn_stream_facts *facts = malloc(sizeof *facts);
	struct pn_table *table = pn_table_create("<stream|<type|records|on disk|<closed");
	char text[PN_TEXT_SHORT];
	int rc = streams && facts ? pn_session_streams(streams, session, err)
				  : pn_error_set(err, PN_ENOMEM, "no memory");

	for (unsigned i = 0; !rc && i < streams->count; i++) {
		rc = pn_stream_facts(facts, streams->stream[i].dir, err);
		if (rc)
			break;
		pn_table_cell(table, "%s", streams->stream[i].name);
		pn_table_cell(table, "%s", facts->schema ? facts->schema->type : "-");
		pn_table_cell(table, "%llu", (unsigned long long)facts->records);
		pn_table_cell(table, "%s", pn_text_bytes(text, (double)facts->disk_bytes));
		pn_table_cell(table, "%s", facts->closed ? "yes" : "no");
	}
	pn_table_print(table, out);
	pn_table_destroy(table);
	free(facts);
	free(streams);
	return rc;
}

int pn_summary_print(const char *session, FILE *out, struct pn_error *err)
{
	const struct pn_metrics *metrics;
	char text[PN_TEXT_SHORT];
	int rc = pn_metrics_open(&metrics, session, err);

	if (rc)
		return rc;
	int64_t end_ns = metrics->ended ? metrics->end_ns : pn_now_ns();
	fprintf(out, "session %s: graph %s, %s%s\n\n", session, metrics->graph,
		pn_text_duration(text, end_ns - metrics->start_ns),
		!metrics->ended ? " so far"
		: metrics->stop ? ", stopped by a signal"
				: "");
	pn_summary_stages(metrics, NULL, out);
	pn_metrics_close(metrics);
	fputc('\n', out);
	return print_streams(session, out, err);
}
