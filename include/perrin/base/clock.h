/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/clock.h - time, for those who may know it (hosts, commands; never kernels or stages). */
#ifndef PERRIN_BASE_CLOCK_H
#define PERRIN_BASE_CLOCK_H

#include <stdint.h>

#define PN_NS_PER_S  INT64_C(1000000000)
#define PN_NS_PER_MS INT64_C(1000000)

/** pn_now_ns - CLOCK_MONOTONIC. */
int64_t pn_now_ns(void);

/** pn_wall_ns - time of day, ns since 1970. */
int64_t pn_wall_ns(void);

/** pn_sleep_ns - sleep for a duration; returns early on a signal. */
void pn_sleep_ns(int64_t duration_ns);

#endif
