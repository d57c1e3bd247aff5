/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin top - watch a run: its metrics page and the newest result of each particle. */
#include "command.h"
#include "common/particles.h"
#include "common/progress.h"
#include "common/session.h"
#include "common/summary.h"
#include "common/text.h"
#include "perrin/base/clock.h"
#include "perrin/host/host.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct top_options {
	char session[PN_PARAM_TEXT_MAX];
	double interval_s;
	int once, json;
};

#define OFF(field) offsetof(struct top_options, field)
static const struct pn_param params[] = {
	{ .name = "session",
	  .help = "the session, running or over",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(session),
	  .positional = 1,
	  .required = 1 },
	{ .name = "interval",
	  .unit = "s",
	  .help = "between two looks",
	  .type = PN_PARAM_F64,
	  .off = OFF(interval_s),
	  .def = 1,
	  .min = 0.05,
	  .max = 3600 },
	{ .name = "once", .help = "one look, then end", .type = PN_PARAM_BOOL, .off = OFF(once) },
	{ .name = "json",
	  .help = "one JSON object a line",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/** What rates are made from. */
struct looks {
	int64_t last_ns;
	uint64_t taken[PN_STAGES_MAX];
	double rate[PN_STAGES_MAX];
};

static void take_rates(struct looks *looks, const struct pn_metrics *metrics)
{
	int64_t now_ns = metrics->ended ? metrics->end_ns : pn_now_ns();
	int64_t since_ns = looks->last_ns ? looks->last_ns : metrics->start_ns;
	double passed_s = (double)(now_ns - since_ns) / 1e9;

	for (unsigned i = 0; i < metrics->stage_count; i++) {
		struct pn_counts counts;

		pn_metrics_get_counts(&metrics->stages[i], &counts);
		looks->rate[i] = passed_s > 0 && counts.taken >= looks->taken[i]
					 ? (double)(counts.taken - looks->taken[i]) / passed_s
					 : 0;
		looks->taken[i] = counts.taken;
	}
	looks->last_ns = now_ns;
}

/* A host that was killed never says that it has ended. */
static int host_is_gone(const struct pn_metrics *metrics)
{
	return !metrics->ended && kill(metrics->host_pid, 0) && errno == ESRCH;
}

static const char *state_text(const struct pn_metrics *metrics)
{
	if (metrics->ended)
		return metrics->stop ? "over, stopped by a signal" : "over";
	if (host_is_gone(metrics))
		return "its host has died";
	return metrics->stop ? "stopping" : "running";
}

static void show_table(const struct top_options *options, const struct pn_metrics *metrics,
		       const struct pn_particles *particles, struct looks *looks, int redraw)
{
	int64_t end_ns = metrics->ended ? metrics->end_ns : pn_now_ns();
	int64_t lag_ns = pn_metrics_lag_ns(metrics);
	char text[PN_TEXT_SHORT];

	take_rates(looks, metrics);
	if (redraw)
		fputs("\033[H\033[J", stdout);
	printf("%s: graph %s, %s, %s", options->session, metrics->graph, state_text(metrics),
	       pn_text_duration(text, end_ns - metrics->start_ns));
	if (lag_ns >= 0)
		printf(", lag %s", pn_text_duration(text, lag_ns));
	printf("\n\n");
	pn_summary_stages(metrics, looks->rate, stdout);
	pn_particles_table(particles, stdout);
	if (!redraw && !options->once && !metrics->ended)
		putchar('\n');
}

static void show_json(const struct pn_metrics *metrics, const struct pn_particles *particles)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 0);
	pn_json_object(&json, NULL);
	pn_metrics_members(metrics, &json);
	pn_particles_json(particles, &json);
	pn_json_end(&json);
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct top_options *options = arg;
	const struct pn_metrics *metrics;
	static struct pn_particles particles;
	struct looks looks = { 0 };
	int redraw = !options->json && !options->once && isatty(STDOUT_FILENO);
	int rc = pn_session_check(options->session, err);

	(void)extra, (void)extra_count;
	if (!rc)
		rc = pn_metrics_open(&metrics, options->session, err);
	if (rc)
		return rc;
	for (;;) {
		/* looked at first: the last table shows what there was at the end */
		int over = options->once || metrics->ended || host_is_gone(metrics);

		pn_particles_update(&particles, options->session);
		if (options->json)
			show_json(metrics, &particles);
		else
			show_table(options, metrics, &particles, &looks, redraw);
		if (fflush(stdout) || over)
			break;
		/* in pieces: a run that ends is told of at once */
		int64_t until_ns = pn_now_ns() + (int64_t)(options->interval_s * 1e9);
		while (pn_now_ns() < until_ns && !metrics->ended)
			pn_sleep_ns(50 * PN_NS_PER_MS);
	}
	pn_metrics_close(metrics);
	return PN_OK;
}

const struct pn_command pn_command_top = {
	.name = "top",
	.brief = "watch a run: particles, rates, queues, latencies, errors",
	.usage = "SESSION [--interval S] [--once] [--json]",
	.params = params,
	.options_size = sizeof(struct top_options),
	.run = run,
};
