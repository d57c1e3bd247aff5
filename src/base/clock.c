/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * PN_NS_PER_S + t.tv_nsec;
}

int64_t pn_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t pn_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

void pn_sleep_ns(int64_t duration_ns)
{
	struct timespec t = { duration_ns / PN_NS_PER_S, duration_ns % PN_NS_PER_S };

	if (duration_ns > 0)
		nanosleep(&t, NULL);
}
