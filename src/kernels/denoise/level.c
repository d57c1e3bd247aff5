/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/train.h"

#include <math.h>

enum { ROOM = 2 * PN_LEVEL_MAX };

void pn_level_add(struct pn_level *level, double value)
{
	level->values[level->count++ % ROOM] = value;
}

/* Mean of @window values from number @first on; adds to @squares those of the differences of
 * neighbours: unlike the variance, they tell the noise also of a curve that falls. */
static double mean_of(const struct pn_level *level, uint64_t first, int window, double *squares)
{
	double sum = 0, before = 0;

	for (int i = 0; i < window; i++) {
		double value = level->values[(first + (uint64_t)i) % ROOM];

		sum += value;
		if (i)
			*squares += (value - before) * (value - before);
		before = value;
	}
	return sum / window;
}

int pn_level_reached(const struct pn_level *level, int window, double gain)
{
	double squares = 0, error = 0;

	if (window < 1 || window > PN_LEVEL_MAX || level->count < 2 * (uint64_t)window)
		return 0;
	double before = mean_of(level, level->count - 2 * (uint64_t)window, window, &squares);
	double now = mean_of(level, level->count - (uint64_t)window, window, &squares);
	/* variance of a value: half the mean square of 2 (window - 1) differences */
	if (window > 1)
		error = sqrt(2 * (squares / (4 * (window - 1))) / window);
	return before - now < gain * fabs(before) + error;
}
