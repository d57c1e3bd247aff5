/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ticks stand at round numbers inside the axis, and their labels say where they stand. */
#include "perrin/base/rng.h"
#include "report/axis.h"

#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double no_pad[2] = { 0, 0 };

static struct report_scale scale_of(struct report_axis axis, double min, double max,
				    unsigned wanted)
{
	struct report_scale scale;
	struct pn_error err = { 0 };

	if (report_scale_init(&scale, &axis, (struct report_range){ min, max }, no_pad, wanted,
			      &err))
		fail_msg("%s", err.text);
	scale.from_px = 100;
	scale.to_px = 500;
	return scale;
}

/* "1.5" with a true minus, times "x10^-7" in superscripts. */
static double read_label(const char *label, const char *factor)
{
	static const char *const digit[] = { "\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",
					     "\xc2\xb3",     "\xe2\x81\xb4", "\xe2\x81\xb5",
					     "\xe2\x81\xb6", "\xe2\x81\xb7", "\xe2\x81\xb8",
					     "\xe2\x81\xb9" };
	int negative = !strncmp(label, "\xe2\x88\x92", 3), exponent = 0, below = 0;
	double value = strtod(label + 3 * negative, NULL);
	const char *p = factor[0] ? factor + 4 : "";

	if (!strncmp(label, "10\xc2", 3) || !strncmp(label, "10\xe2", 3)) {
		value = 1;
		p = label + 2;
	}
	if (!strncmp(p, "\xe2\x81\xbb", 3)) {
		below = 1;
		p += 3;
	}
	while (*p)
		for (int d = 0; d < 10; d++)
			if (!strncmp(p, digit[d], strlen(digit[d]))) {
				exponent = 10 * exponent + d;
				p += strlen(digit[d]);
				break;
			}
	return (negative ? -value : value) * pow(10, below ? -exponent : exponent);
}

static void check_linear(double min, double max, unsigned wanted)
{
	struct report_scale s = scale_of((struct report_axis){ 0 }, min, max, wanted);
	double step = s.ticks[1].value - s.ticks[0].value;
	double power = pow(10, floor(log10(step) + 1e-6)), digit = step / power;

	assert_true(s.ticks_count >= 2 && s.ticks_count <= 2 * wanted + 2);
	if (fabs(digit - 1) > 1e-3 && fabs(digit - 2) > 1e-3 && fabs(digit - 5) > 1e-3)
		fail_msg("%g..%g: step %.9g", min, max, step);
	for (size_t i = 0; i < s.ticks_count; i++) {
		double value = s.ticks[i].value;

		assert_true(value >= min - 1e-5 * step && value <= max + 1e-5 * step);
		if (fabs(read_label(s.ticks[i].label, s.factor) - value) > 1e-3 * step)
			fail_msg("%g..%g: %.12g is labelled %s %s", min, max, value,
				 s.ticks[i].label, s.factor);
		assert_true(strlen(s.ticks[i].label) < 16);
		if (i)
			assert_string_not_equal(s.ticks[i].label, s.ticks[i - 1].label);
	}
	/* none is missing at the ends */
	assert_true(s.ticks[0].value - step < min && s.ticks[s.ticks_count - 1].value + step > max);
}

static void linear_ticks_are_round_and_true(void **state)
{
	(void)state;
	struct pn_rng rng;

	check_linear(0, 1, 5);
	check_linear(-0.3, 0.4, 6);
	check_linear(0, 99999, 5);
	check_linear(0, 100000, 5);
	check_linear(-1e150, 1e150, 6);
	check_linear(1e-150, 3e-150, 6);
	check_linear(1e6, 1e6 + 1, 5);
	check_linear(-2e-7, 5e-9, 4);
	pn_rng_init(&rng, 4, 0);
	for (int i = 0; i < 20000; i++) {
		double size = pow(10, 40 * pn_rng_uniform(&rng) - 20);
		double middle = size * (2 * pn_rng_uniform(&rng) - 1);
		double half = size * pow(10, -6 * pn_rng_uniform(&rng));

		check_linear(middle - half, middle + half, 2 + (unsigned)(i % 9));
	}
}

static void log_ticks_are_powers(void **state)
{
	(void)state;
	struct report_axis axis = { .log = 1 };
	struct report_scale s = scale_of(axis, 0.01, 1e4, 8);
	size_t labelled = 0;

	for (size_t i = 0; i < s.ticks_count; i++) {
		if (!s.ticks[i].label[0])
			continue;
		double exponent = log10(s.ticks[i].value);

		assert_true(fabs(exponent - round(exponent)) < 1e-12);
		assert_true(fabs(read_label(s.ticks[i].label, "") / s.ticks[i].value - 1) < 1e-12);
		labelled++;
	}
	assert_int_equal(labelled, 7);
	assert_int_equal(s.ticks_count, 6 * 9 + 1);
	/* a decade and a half: 1, 2, 5 */
	s = scale_of(axis, 1, 50, 6);
	labelled = 0;
	for (size_t i = 0; i < s.ticks_count; i++)
		labelled += s.ticks[i].label[0] != '\0';
	assert_int_equal(labelled, 6);
	/* many decades: every few of them */
	s = scale_of(axis, 1e-100, 1e100, 5);
	assert_true(s.ticks_count >= 3 && s.ticks_count <= 7);
	for (size_t i = 0; i < s.ticks_count; i++)
		assert_true(fabs(log10(read_label(s.ticks[i].label, "")) -
				 log10(s.ticks[i].value)) < 1e-9);
	/* less than one: as on a linear axis */
	s = scale_of(axis, 2, 3, 5);
	assert_true(s.ticks_count >= 4);
	assert_true(s.log);
}

static void pixels_are_where_they_should_be(void **state)
{
	(void)state;
	struct report_scale s = scale_of((struct report_axis){ 0 }, -1, 3, 5);

	assert_true(fabs(report_scale_px(&s, -1) - 100) < 1e-9);
	assert_true(fabs(report_scale_px(&s, 0) - 200) < 1e-9);
	assert_true(fabs(report_scale_px(&s, 3) - 500) < 1e-9);
	assert_true(fabs(report_scale_px(&s, 5) - 700) < 1e-9);
	assert_true(isfinite(report_scale_px(&s, 1e300)));
	assert_true(isfinite(report_scale_px(&s, -INFINITY)));
	assert_true(isfinite(report_scale_px(&s, NAN)));
	assert_true(report_scale_holds(&s, -1) && report_scale_holds(&s, 3));
	assert_false(report_scale_holds(&s, 3.001));
	assert_false(report_scale_holds(&s, NAN));
	assert_false(report_scale_holds(&s, INFINITY));
	s = scale_of((struct report_axis){ .log = 1 }, 0.1, 1000, 5);
	assert_true(fabs(report_scale_px(&s, 1) - 200) < 1e-9);
	assert_true(fabs(report_scale_px(&s, 100) - 400) < 1e-9);
	assert_true(isfinite(report_scale_px(&s, 0)) && isfinite(report_scale_px(&s, -5)));
	assert_false(report_scale_holds(&s, 0));
}

static void ranges_of_nothing_get_a_width(void **state)
{
	(void)state;
	struct report_axis log = { .log = 1 };
	static const double values[] = { 0, 1, -7, 3e-190, 1e-250, 1e190, -1e199, 0.1 + 0.2 };

	for (size_t i = 0; i < PN_COUNT(values); i++) {
		struct report_scale s =
			scale_of((struct report_axis){ 0 }, values[i], values[i], 5);

		assert_true(s.min < values[i] && s.max > values[i] && s.ticks_count >= 2);
		if (values[i] <= 0)
			continue;
		s = scale_of(log, values[i], values[i], 5);
		assert_true(s.min < values[i] && s.max > values[i] && s.ticks_count >= 1);
		/* fixed at both ends */
		log.min = log.max = values[i];
		if (values[i] > 1e-200) {
			s = scale_of(log, 0, 1, 5);
			assert_true(s.min == values[i] && s.max > values[i] && s.ticks_count >= 1);
			assert_true(fabs(report_scale_px(&s, values[i]) - 100) < 1e-9);
		}
		log.min = log.max = 0;
	}
	struct report_scale s = scale_of((struct report_axis){ 0 }, INFINITY, -INFINITY, 5);

	assert_true(s.min == 0 && s.max == 1);
	s = scale_of(log, INFINITY, -INFINITY, 5);
	assert_true(s.min == 1 && fabs(s.max - 10) < 1e-12);
	/* hardly more than nothing, far from zero: still labels that differ */
	s = scale_of((struct report_axis){ 0 }, 1e9, 1e9 * (1 + 1e-15), 5);
	assert_true(s.max - s.min > 1);
}

static void what_is_asked_for_is_kept(void **state)
{
	(void)state;
	struct report_scale s = scale_of((struct report_axis){ .min = 2, .max = 4 }, 0, 100, 5);

	assert_true(s.min == 2 && s.max == 4);
	s = scale_of((struct report_axis){ .min = 0, .max = NAN }, 3, 7, 5);
	assert_true(s.min == 0 && s.max == 7);
	s = scale_of((struct report_axis){ .min = NAN, .max = 9 }, 3, 7, 5);
	assert_true(s.min == 3 && s.max == 9);
	s = scale_of((struct report_axis){ .min = 5, .max = NAN }, 1, 2, 5); /* data below */
	assert_true(s.min == 5 && s.max > 5);
	s = scale_of((struct report_axis){ .min = NAN, .max = 5 }, 8, 9, 5);
	assert_true(s.max == 5 && s.min < 5);
	const double pad[2] = { 0.1, 0.2 };
	struct report_axis axis = { 0 };

	report_scale_init(&s, &axis, (struct report_range){ 0, 10 }, pad, 5, NULL);
	assert_true(fabs(s.min + 1) < 1e-12 && fabs(s.max - 12) < 1e-12);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	static const struct report_axis bad[] = {
		{ .title = "A", .min = 2, .max = 1 },
		{ .title = "A", .min = -1, .max = 10, .log = 1 },
		{ .title = "A", .min = 0, .max = 10, .log = 1 },
		{ .title = "A", .min = 0, .max = INFINITY },
		{ .title = "A", .min = 0, .max = 1e250 },
	};

	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		struct report_scale s;
		struct pn_error err = { 0 };

		assert_int_equal(report_scale_init(&s, &bad[i], (struct report_range){ 0, 1 },
						   no_pad, 5, &err),
				 PN_EARG);
		assert_non_null(strstr(err.text, "\"A\""));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linear_ticks_are_round_and_true),
		cmocka_unit_test(log_ticks_are_powers),
		cmocka_unit_test(pixels_are_where_they_should_be),
		cmocka_unit_test(ranges_of_nothing_get_a_width),
		cmocka_unit_test(what_is_asked_for_is_kept),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
