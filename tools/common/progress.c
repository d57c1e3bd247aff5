/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "progress.h"

#include "perrin/base/clock.h"
#include "text.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SHOW_NS (200 * PN_NS_PER_MS)

int64_t pn_metrics_lag_ns(const struct pn_metrics *metrics)
{
	int64_t lag_ns = -1;

	for (unsigned i = 1; i < metrics->stage_count; i++) {
		const struct pn_stage_metrics *stage = &metrics->stages[i];
		struct pn_counts counts;

		pn_metrics_get_counts(stage, &counts);
		/* one that has ended or failed is behind nobody any more */
		if (!counts.messages || stage->state != PN_STAGE_RUNNING)
			continue;
		int64_t behind_ns = metrics->stages[0].time_ns - stage->time_ns;

		if (behind_ns < 0)
			behind_ns = 0;
		if (behind_ns > lag_ns)
			lag_ns = behind_ns;
	}
	return lag_ns;
}

static void add(char *line, size_t size, const char *text)
{
	size_t used = strlen(line);

	snprintf(line + used, size - used, "%s", text);
}

/* "12.3 s  ingest 4800 (400/s)  track 4790 (399/s)  lag 0.03 s" */
static void compose(char *line, size_t size, struct pn_progress *progress,
		    const struct pn_metrics *metrics, int64_t now_ns)
{
	int64_t since_ns = progress->shown_ns ? progress->shown_ns : metrics->start_ns;
	double passed_s = (double)(now_ns - since_ns) / 1e9;
	int64_t lag_ns = pn_metrics_lag_ns(metrics);
	char piece[128], text[PN_TEXT_SHORT];

	snprintf(line, size, "%s", pn_text_duration(text, now_ns - metrics->start_ns));
	for (unsigned i = 0; i < metrics->stage_count; i++) {
		const struct pn_stage_metrics *stage = &metrics->stages[i];
		struct pn_counts counts;

		pn_metrics_get_counts(stage, &counts);
		double rate = passed_s > 0 && counts.taken >= progress->taken[i]
				      ? (double)(counts.taken - progress->taken[i]) / passed_s
				      : 0;
		snprintf(piece, sizeof piece, "  %s %llu (%s/s)%s", stage->name,
			 (unsigned long long)counts.taken, pn_text_rate(text, rate),
			 stage->state == PN_STAGE_FAILED ? " FAILED" : "");
		progress->taken[i] = counts.taken;
		add(line, size, piece);
	}
	if (lag_ns >= 0) {
		snprintf(piece, sizeof piece, "  lag %s", pn_text_duration(text, lag_ns));
		add(line, size, piece);
	}
}

int pn_progress_due(const struct pn_progress *progress)
{
	return pn_now_ns() - progress->shown_ns >= SHOW_NS && isatty(STDERR_FILENO);
}

void pn_progress_line(struct pn_progress *progress, const char *text)
{
	struct winsize window = { 0 };
	size_t width = strlen(text);

	progress->shown_ns = pn_now_ns();
	/* a line that wraps could not be wiped out */
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1 &&
	    window.ws_col <= width)
		width = window.ws_col - 1U;
	fprintf(stderr, "\r%.*s\033[K", (int)width, text);
	fflush(stderr);
	progress->drawn = 1;
}

void pn_progress_show(void *arg, const struct pn_metrics *metrics)
{
	struct pn_progress *progress = arg;
	char line[1024];

	if (metrics->ended || !pn_progress_due(progress))
		return;
	compose(line, sizeof line, progress, metrics, pn_now_ns());
	pn_progress_line(progress, line);
}

void pn_progress_clear(struct pn_progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = 0;
}
