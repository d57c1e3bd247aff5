/* SPDX-License-Identifier: GPL-3.0-or-later */
/* unit.c - the units of length that programs write into their files, and square pixels. */
#include "stack_priv.h"

#include <math.h>
#include <string.h>

#define SQUARE_TOLERANCE 0.01 /* calibrations of the two axes differ by that much in good files */

double stack_unit_pm(const char *unit)
{
	static const struct {
		const char *name;
		double pm;
	} units[] = {
		{ "pm", 1 },          { "A", 100 },        { "Angstrom", 100 },
		{ "angstrom", 100 },  { "\xc3\x85", 100 }, { "\xe2\x84\xab", 100 },
		{ "\xc5", 100 },      { "\\u00C5", 100 },  { "nm", 1000 },
		{ "um", 1e6 },        { "micron", 1e6 },   { "\xc2\xb5m", 1e6 },
		{ "\xce\xbcm", 1e6 }, { "\xb5m", 1e6 },    { "\\u00B5m", 1e6 },
		{ "mm", 1e9 },        { "cm", 1e10 },      { "inch", 2.54e10 },
		{ "m", 1e12 },
	};

	for (size_t i = 0; i < PN_COUNT(units); i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].pm;
	return 0;
}

double stack_square_pm(double x_pm, double y_pm)
{
	if (!isfinite(x_pm) || x_pm <= 0 || !isfinite(y_pm) ||
	    fabs(x_pm - y_pm) > SQUARE_TOLERANCE * x_pm)
		return 0;
	return x_pm;
}
