/* SPDX-License-Identifier: GPL-3.0-or-later */
/* progress.h - one line on the terminal that tells how a run is going. */
#ifndef PERRIN_TOOLS_PROGRESS_H
#define PERRIN_TOOLS_PROGRESS_H

#include "perrin/host/metrics.h"

/** What rates are made from. Zero to start; plain data. */
struct pn_progress {
	int64_t shown_ns;              /* when the line was drawn last */
	uint64_t taken[PN_STAGES_MAX]; /* what it said then */
	int drawn;                     /* there is a line to wipe out */
};

/** pn_progress_show - the callback of pn_run; arg is a struct pn_progress. Draws at most five times
 * a second, and nothing unless standard error is a terminal. */
void pn_progress_show(void *arg, const struct pn_metrics *metrics);

/** pn_progress_due, pn_progress_line - the same for other lines: whether it is time for one, and one
 * drawn in place of that before. */
int pn_progress_due(const struct pn_progress *progress);
void pn_progress_line(struct pn_progress *progress, const char *text);

/** pn_progress_clear - wipe the line out; what is printed next begins there. */
void pn_progress_clear(struct pn_progress *progress);

/**
 * pn_metrics_lag_ns - how far the stage that is furthest behind is behind the first one, by the
 * time stamps of the messages taken last; -1 if no other has taken any.
 */
int64_t pn_metrics_lag_ns(const struct pn_metrics *metrics);

#endif
