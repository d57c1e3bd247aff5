/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/hist.h - histogram of durations, constant relative precision, fixed size. */
#ifndef PERRIN_BASE_HIST_H
#define PERRIN_BASE_HIST_H

#include <stdint.h>

#define PN_HIST_OCTAVES 40
#define PN_HIST_STEPS   16 /* per octave: a bucket is at most 1/16 wide */

/** Durations from 0 to 2^40 ns (18 min; longer ones count in the last bucket). Zero to start. */
struct pn_hist {
	uint64_t count, max_ns;
	uint64_t bucket[PN_HIST_OCTAVES * PN_HIST_STEPS];
};

void pn_hist_add(struct pn_hist *hist, int64_t duration_ns); /* negative counts as 0 */

/** pn_hist_quantile - upper edge of the bucket in which the @q-quantile (0..1) lies, at most the
 * maximum seen; 0 for an empty histogram. Exact to 1/16. */
uint64_t pn_hist_quantile(const struct pn_hist *hist, double q);

#endif
