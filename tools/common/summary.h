/* SPDX-License-Identifier: GPL-3.0-or-later */
/* summary.h - what a session did, for people. */
#ifndef PERRIN_TOOLS_SUMMARY_H
#define PERRIN_TOOLS_SUMMARY_H

#include "perrin/host/metrics.h"

#include <stdio.h>

/** pn_summary_print - stages with their counts and latencies, streams with their sizes. */
int pn_summary_print(const char *session, FILE *out, struct pn_error *err);

/** pn_summary_stages - the table of the stages; the lines below it tell why frames were skipped and
 * what went wrong. @rates: frames per second for each stage, or NULL. */
void pn_summary_stages(const struct pn_metrics *metrics, const double *rates, FILE *out);

#endif
