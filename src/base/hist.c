/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/hist.h"

#include <math.h>

enum { LINEAR = PN_HIST_STEPS, BUCKETS = PN_HIST_OCTAVES * PN_HIST_STEPS };

/* Below 16 ns a bucket is one nanosecond; above, 16 steps to each power of two. */
static unsigned bucket_of(uint64_t ns)
{
	if (ns < LINEAR)
		return (unsigned)ns;
	unsigned octave = 63 - (unsigned)__builtin_clzll(ns);
	unsigned index = (octave - 3) * PN_HIST_STEPS + (unsigned)(ns >> (octave - 4)) - PN_HIST_STEPS;

	return index < BUCKETS ? index : BUCKETS - 1;
}

static uint64_t upper_edge(unsigned bucket)
{
	if (bucket < LINEAR)
		return bucket;
	unsigned octave = bucket / PN_HIST_STEPS + 3, step = bucket % PN_HIST_STEPS;

	return ((uint64_t)(PN_HIST_STEPS + step + 1) << (octave - 4)) - 1;
}

void pn_hist_add(struct pn_hist *hist, int64_t duration_ns)
{
	uint64_t ns = duration_ns > 0 ? (uint64_t)duration_ns : 0;

	hist->count++;
	hist->bucket[bucket_of(ns)]++;
	if (ns > hist->max_ns)
		hist->max_ns = ns;
}

uint64_t pn_hist_quantile(const struct pn_hist *hist, double q)
{
	uint64_t rank = (uint64_t)ceil(q * (double)hist->count), seen = 0;

	if (!hist->count)
		return 0;
	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += hist->bucket[i];
		if (seen >= rank && seen) {
			uint64_t edge = upper_edge(i);

			return edge < hist->max_ns ? edge : hist->max_ns;
		}
	}
	return hist->max_ns;
}
