/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "axis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MINUS       "\xe2\x88\x92"
#define TIMES       "\xc3\x97"
#define NARROWEST   1e-9   /* least range, relative to its values: labels need no more digits */
#define FARTHEST    1e3    /* from the axis, in lengths of it: pixels that every viewer can take */
#define SMALLEST    1e-200 /* a range below it is none */
#define FACTOR_FROM 1e5    /* labels this large, or smaller than the next, share a power of ten */
#define FACTOR_TO   1e-3

void report_range_add(struct report_range *range, double value)
{
	if (value < range->min)
		range->min = value;
	if (value > range->max)
		range->max = value;
}

/* ---- labels -------------------------------------------------------------------------------- */

static void put_power(char *text, size_t size, int exponent)
{
	static const char *const digit[] = { "\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",
					     "\xc2\xb3",     "\xe2\x81\xb4", "\xe2\x81\xb5",
					     "\xe2\x81\xb6", "\xe2\x81\xb7", "\xe2\x81\xb8",
					     "\xe2\x81\xb9" };
	char plain[16];

	snprintf(text, size, "10");
	snprintf(plain, sizeof plain, "%d", exponent);
	for (const char *p = plain; *p; p++) {
		const char *c = *p == '-' ? "\xe2\x81\xbb" : digit[*p - '0'];

		if (strlen(text) + strlen(c) < size)
			strcat(text, c);
	}
}

static void put_number(char *text, size_t size, double value, int decimals)
{
	char plain[28];

	snprintf(plain, sizeof plain, "%.*f", decimals, fabs(value));
	snprintf(text, size, "%s%s", value < 0 && strtod(plain, NULL) > 0 ? MINUS : "", plain);
}

static struct report_tick *next_tick(struct report_scale *scale)
{
	struct report_tick *tick = &scale->ticks[scale->ticks_count];

	scale->ticks_count += scale->ticks_count + 1 < REPORT_TICKS_MAX;
	tick->major = 1;
	tick->label[0] = '\0';
	return tick;
}

/* ---- linear -------------------------------------------------------------------------------- */

/* 1, 2 or 5 times a power of ten, so that the range has about @wanted of it */
static double nice_step(double range, unsigned wanted)
{
	double rough = range / (wanted ? wanted : 1);
	double power = pow(10, floor(log10(rough)));
	double part = rough / power;

	return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void linear_ticks(struct report_scale *scale, unsigned wanted)
{
	double range = scale->max - scale->min;
	double step, first, last;
	double largest = fmax(fabs(scale->min), fabs(scale->max));
	int exponent = 0;

	do { /* one tick alone says nothing of the scale */
		step = nice_step(range, wanted++);
		first = ceil(scale->min / step - 1e-6);
		last = floor(scale->max / step + 1e-6);
	} while (last - first < 1);
	if (largest >= FACTOR_FROM || largest < FACTOR_TO) {
		char power[32];

		exponent = (int)floor(log10(largest));
		put_power(power, sizeof power, exponent);
		snprintf(scale->factor, sizeof scale->factor, TIMES "%.*s", 24, power);
	}
	int decimals = exponent - (int)floor(log10(step) + 1e-9);

	for (double i = first; i <= last && i - first < REPORT_TICKS_MAX - 1; i++) {
		struct report_tick *tick = next_tick(scale);

		tick->value = i * step;
		put_number(tick->label, sizeof tick->label, i * (step / pow(10, exponent)),
			   decimals > 0 ? decimals : 0);
	}
}

static void pad_linear(struct report_scale *scale, const int fixed[2], const double pad[2])
{
	double largest = fmax(fabs(scale->min), fabs(scale->max));

	if (scale->max - scale->min < fmax(largest * NARROWEST, SMALLEST)) {
		double half = largest > SMALLEST ? 0.1 * largest : 0.5;

		/* one value: an axis around it; at the fixed end of a range it stays there */
		scale->min -= fixed[0] ? 0 : half;
		scale->max += fixed[1] && !fixed[0] ? 0 : half;
		return;
	}
	double range = scale->max - scale->min;

	scale->min -= fixed[0] ? 0 : pad[0] * range;
	scale->max += fixed[1] ? 0 : pad[1] * range;
}

/* ---- logarithmic --------------------------------------------------------------------------- */

static void log_ticks(struct report_scale *scale, unsigned wanted)
{
	double low = log10(scale->min), high = log10(scale->max);
	double decades = high - low;
	int every = (int)ceil(decades / (wanted ? wanted : 1) - 1e-9);

	if (decades < 1) { /* too short for powers of ten */
		linear_ticks(scale, wanted);
		return;
	}
	for (int e = (int)floor(low); e <= (int)ceil(high); e++)
		for (int digit = 1; digit < 10; digit++) {
			double at = e + log10(digit);
			int labelled = digit == 1 || (decades < 2 && (digit == 2 || digit == 5));

			if (at < low - 1e-9 || at > high + 1e-9 || (every > 1 && digit > 1) ||
			    (every > 1 && e % every) || (decades > 6 && digit > 1))
				continue;
			struct report_tick *tick = next_tick(scale);

			tick->value = digit * pow(10, e);
			tick->major = labelled;
			if (!labelled)
				continue;
			if (low >= -2.001 && high <= 4.001)
				put_number(tick->label, sizeof tick->label, tick->value,
					   e < 0 ? -e : 0);
			else if (digit == 1)
				put_power(tick->label, sizeof tick->label, e);
		}
}

static void pad_log(struct report_scale *scale, const int fixed[2], const double pad[2])
{
	double low = log10(scale->min), high = log10(scale->max);
	int one = high - low < 1e-6;

	if (one) {
		low -= fixed[0] ? 0 : 0.3;
		high += fixed[1] && !fixed[0] ? 0 : 0.3;
	} else {
		double range = high - low;

		low -= fixed[0] ? 0 : pad[0] * range;
		high += fixed[1] ? 0 : pad[1] * range;
	}
	scale->min = fixed[0] ? scale->min : pow(10, low);
	scale->max = fixed[1] && !(one && fixed[0]) ? scale->max : pow(10, high);
}

/* -------------------------------------------------------------------------------------------- */

static int check_axis(const struct report_axis *axis, int asked, struct pn_error *err)
{
	const char *name = axis->title ? axis->title : "";

	if (!asked)
		return PN_OK;
	if (fabs(axis->min) > REPORT_VALUE_MAX || fabs(axis->max) > REPORT_VALUE_MAX)
		return pn_error_set(err, PN_EARG, "axis \"%s\" from %g to %g", name, axis->min,
				    axis->max);
	if (axis->min > axis->max)
		return pn_error_set(err, PN_EARG, "axis \"%s\" from %g down to %g", name, axis->min,
				    axis->max);
	if (axis->log && (axis->min < 1 / REPORT_VALUE_MAX || axis->max < 1 / REPORT_VALUE_MAX))
		return pn_error_set(err, PN_EARG, "logarithmic axis \"%s\" from %g to %g", name,
				    axis->min, axis->max);
	return PN_OK;
}

int report_scale_init(struct report_scale *scale, const struct report_axis *axis,
		      struct report_range data, const double pad[2], unsigned wanted,
		      struct pn_error *err)
{
	int both = !(axis->min == 0 && axis->max == 0);
	int fixed[2] = { both && !isnan(axis->min), both && !isnan(axis->max) };
	int rc = check_axis(axis, both, err);

	if (rc)
		return rc;
	*scale = (struct report_scale){ .log = axis->log };
	if (data.min > data.max) {
		double base = fixed[0] ? axis->min : fixed[1] ? axis->max : axis->log ? 1 : 0;

		data.min = fixed[0] || !fixed[1] ? base : axis->log ? base / 10 : base - 1;
		data.max = fixed[1] ? axis->max : axis->log ? base * 10 : base + 1;
	}
	/* data beyond the one fixed end leave a range of that end alone */
	scale->min = fixed[0] ? axis->min : fmin(data.min, fixed[1] ? axis->max : data.min);
	scale->max = fixed[1] ? axis->max : fmax(data.max, scale->min);
	if (axis->log)
		pad_log(scale, fixed, pad);
	else
		pad_linear(scale, fixed, pad);
	if (axis->log)
		log_ticks(scale, wanted);
	else
		linear_ticks(scale, wanted);
	return PN_OK;
}

/* The part of the axis below @value; outside 0..1 where it is outside. */
static double part_of(const struct report_scale *scale, double value)
{
	if (scale->log)
		return log(value / scale->min) / log(scale->max / scale->min);
	return (value - scale->min) / (scale->max - scale->min);
}

int report_scale_holds(const struct report_scale *scale, double value)
{
	if (!report_can_draw(scale->log, value))
		return 0;
	double part = part_of(scale, value);

	return part >= -1e-9 && part <= 1 + 1e-9;
}

double report_scale_px(const struct report_scale *scale, double value)
{
	double part = scale->log && value <= 0 ? -FARTHEST : part_of(scale, value);

	part = part > -FARTHEST ? fmin(part, FARTHEST) : -FARTHEST; /* NaN too */
	return scale->from_px + part * (scale->to_px - scale->from_px);
}
