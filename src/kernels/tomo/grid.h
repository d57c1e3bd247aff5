/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grid.h - how long padded transforms are, and how arrays lie in them. */
#ifndef PERRIN_TOMO_GRID_H
#define PERRIN_TOMO_GRID_H

#include <stddef.h>

/** pn_grid_length - the smallest even number >= @least with no prime factor above 7. */
static inline size_t pn_grid_length(double least)
{
	for (size_t n = 2;; n += 2) {
		size_t rest = n;

		if ((double)n < least - 1e-9)
			continue;
		for (size_t p = 2; p <= 7; p++)
			while (rest % p == 0)
				rest /= p;
		if (rest == 1)
			return n;
	}
}

/** pn_grid_wrap - where pixel @i of @n lies in a period of @length whose origin is at 0. */
static inline size_t pn_grid_wrap(size_t i, size_t n, size_t length)
{
	return (i + length - n / 2) % length;
}

#endif
