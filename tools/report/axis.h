/* SPDX-License-Identifier: GPL-3.0-or-later */
/* axis.h - from values to pixels, and where the ticks stand. */
#ifndef PERRIN_TOOLS_REPORT_AXIS_H
#define PERRIN_TOOLS_REPORT_AXIS_H

#include "report.h"

#include <math.h>

#define REPORT_VALUE_MAX                                                        \
	1e200 /* values beyond it are not drawn, nor is the inverse on log axes \
	       */
#define REPORT_TICKS_MAX 64

/** A range that grows. Begin with { INFINITY, -INFINITY }. */
struct report_range {
	double min, max;
};

/** report_range_add - NaN changes nothing. */
void report_range_add(struct report_range *range, double value);

struct report_tick {
	double value;
	int major;      /* minor ticks have no label */
	char label[32]; /* UTF-8 */
};

/** One axis of one plot: min at from_px, max at to_px. */
struct report_scale {
	int log;
	double min, max; /* min < max; of a log axis both > 0 */
	double from_px, to_px;
	char factor[32]; /* what the labels are to be multiplied with: "x10^5", or "" */
	size_t ticks_count;
	struct report_tick ticks[REPORT_TICKS_MAX];
};

/**
 * report_scale_init - choose the range from what is asked for and what the data have, and ticks at
 * steps of 1, 2 or 5 times a power of ten, about @wanted of them. The data's range may be empty:
 * then it is 0..1, or 1..10 of a log axis. A range of one value becomes one around it.
 *
 * @pad: part of the range to leave free at [0] the low, [1] the high end that the data choose
 *
 * Pixels are left at 0: ticks do not depend on them. Errors: PN_EARG: a log axis fixed at <= 0, or
 * min > max.
 */
int report_scale_init(struct report_scale *scale, const struct report_axis *axis,
		      struct report_range data, const double pad[2], unsigned wanted,
		      struct pn_error *err);

/** report_can_draw - whether an axis can have @value at all. */
static inline int report_can_draw(int log, double value)
{
	return fabs(value) <= REPORT_VALUE_MAX && (!log || value >= 1 / REPORT_VALUE_MAX);
}

/** report_scale_holds - whether @value can be drawn and lies inside. */
int report_scale_holds(const struct report_scale *scale, double value);

/** report_scale_px - where it stands, in pixels; never further off than 1000 lengths of the axis.
 */
double report_scale_px(const struct report_scale *scale, double value);

#endif
