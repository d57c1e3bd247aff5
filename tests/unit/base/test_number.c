/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers go to text and back without loss, and both ways agree with the C library bit for bit. */
#include "perrin/base/number.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 200000

static int same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof a) == 0;
}

/* By the definition: the fewest digits from 15 on that strtod takes back. */
static void write_slow(char *text, double value)
{
	for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		snprintf(text, PN_NUMBER_TEXT_MAX, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			return;
	}
}

static void check_text(double value)
{
	char fast[PN_NUMBER_TEXT_MAX], slow[PN_NUMBER_TEXT_MAX];
	double read = 0;

	write_slow(slow, value);
	size_t n = pn_number_write(fast, value);
	assert_int_equal(n, strlen(fast));
	assert_string_equal(fast, slow);
	assert_ptr_equal(pn_number_read(fast, &read), fast + strlen(fast));
	if (!same_bits(read, value))
		fail_msg("%s reads back as %.17g", fast, read);
}

static double any_bits(struct pn_rng *rng)
{
	double value;

	do {
		uint64_t bits = pn_rng_u64(rng);
		memcpy(&value, &bits, sizeof value);
	} while (!isfinite(value));
	return value;
}

/* All magnitudes, those of coordinates, short decimals, and the neighbours of all of them. */
static void texts_are_the_shortest(void **state)
{
	(void)state;
	struct pn_rng rng;

	pn_rng_init(&rng, 7, 1);
	for (int i = 0; i < TRIES; i++) {
		double power = pow(10, pn_rng_below(&rng, 24) - 7.0);
		double x = (pn_rng_uniform(&rng) - 0.5) * power;
		double decimal = nearbyint(x * 1e6) / 1e6;

		if (i < TRIES / 10)
			check_text(any_bits(&rng));
		check_text(x);
		check_text(decimal);
		check_text(nextafter(decimal, 1e300));
	}
}

static void texts_at_the_edges(void **state)
{
	(void)state;

	for (int e = -1074; e < 1024; e++)
		for (int side = -1; side <= 1; side++) {
			double x = ldexp(1, e);

			check_text(side ? nextafter(x, side * DBL_MAX) : x);
		}
	for (int e = -30; e < 30; e++) {
		char text[16];

		snprintf(text, sizeof text, "1e%d", e);
		double x = strtod(text, NULL);
		check_text(x);
		check_text(-x);
		for (int k = 0; k < 20; k++) {
			x = nextafter(x, k < 10 ? DBL_MAX : 0);
			check_text(x);
		}
	}
	check_text(DBL_MAX);
	check_text(0.0);
	check_text(-0.0);
	char text[PN_NUMBER_TEXT_MAX];
	pn_number_write(text, -(double)NAN);
	assert_string_equal(text, "nan");
	pn_number_write(text, -(double)INFINITY);
	assert_string_equal(text, "-inf");
	assert_int_equal(pn_number_write(text, 28.64), 5);
	assert_string_equal(text, "28.64");
	pn_number_write(text, -12345678);
	assert_string_equal(text, "-12345678");
}

static void check_read(const char *text)
{
	double fast = 0;
	char *end;
	double slow = strtod(text, &end);
	const char *stop = pn_number_read(text, &fast);

	if (stop != end || !same_bits(fast, slow))
		fail_msg("%s: %.17g, strtod says %.17g", text, fast, slow);
}

static void reads_as_strtod(void **state)
{
	(void)state;
	char text[128];
	struct pn_rng rng;

	pn_rng_init(&rng, 7, 2);
	for (int i = 0; i < 2 * TRIES; i++) {
		/* up to 19 digits, the point anywhere, small exponents: the fast paths */
		uint64_t digits = pn_rng_u64(&rng) >> pn_rng_below(&rng, 63);
		int n = snprintf(text, 40, "%llu", (unsigned long long)digits);
		int point = (int)pn_rng_below(&rng, (uint32_t)n + 1);

		memmove(text + point + 1, text + point, (size_t)(n - point) + 1);
		text[point] = '.';
		check_read(text);
		snprintf(text + n + 1, 20, "e%d", (int)pn_rng_below(&rng, 60) - 30);
		check_read(text);
		if (i % 10)
			continue;
		snprintf(text, sizeof text, "%.*g", 1 + (int)pn_rng_below(&rng, 40),
			 any_bits(&rng));
		if (isfinite(strtod(text, NULL)))
			check_read(text);
	}
}

/* 19 digits behind the point leave few bits to round by, and a remainder that decides often. */
static void all_of_the_digits_count(void **state)
{
	(void)state;
	char text[64];
	struct pn_rng rng;

	pn_rng_init(&rng, 7, 4);
	for (int i = 0; i < TRIES; i++) {
		uint64_t digits = pn_rng_u64(&rng) % 10000000000000000000u;

		snprintf(text, sizeof text, "0.%019llu", (unsigned long long)digits);
		check_read(text);
	}
}

/* Texts that lie half-way between two doubles, and those one digit off: ties go to even. */
static void halves_go_to_even(void **state)
{
	(void)state;
	char text[128];
	struct pn_rng rng;

	pn_rng_init(&rng, 7, 3);
	for (int i = 0; i < TRIES / 4; i++) {
		/* 2^53..2^63, odd multiples of half of their last place, over small powers of two
		 */
		int shift = 1 + (int)pn_rng_below(&rng, 10);
		uint64_t m = ((uint64_t)1 << 52) + (pn_rng_u64(&rng) >> 12);
		uint64_t half = (2 * m + 1) << (shift - 1);

		for (int off = -1; off <= 1; off++) {
			uint64_t n = half + (uint64_t)off;

			snprintf(text, sizeof text, "%llu", (unsigned long long)n);
			check_read(text);
			/* n / 2^k in decimals, exact: n 5^k / 10^k */
			uint64_t small = (n >> 20 | 1) & (((uint64_t)1 << 36) - 1);
			snprintf(text, sizeof text, "%llu.%05llu", (unsigned long long)(small / 32),
				 (unsigned long long)(small % 32 * 3125));
			check_read(text);
		}
		/* x.5 of whole numbers from 2^52 to 2^53: 17 digits, a tie each */
		snprintf(text, sizeof text, "%llu.5", (unsigned long long)m);
		check_read(text);
		snprintf(text, sizeof text, "%llu.500", (unsigned long long)m);
		check_read(text);
		snprintf(text, sizeof text, "%llu.501", (unsigned long long)(m & ~3ull));
		check_read(text);
	}
}

static void words_that_are_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double value;
		int length;
	} good[] = {
		{ "1.0D+01", 10, 7 },
		{ "-1.5d0 2", -1.5, 6 },
		{ "+.5", 0.5, 3 },
		{ "5.", 5, 2 },
		{ "-0", -0.0, 2 },
		{ "0x10", 0, 1 },
		{ "1e", 1, 1 },
		{ "1e+", 1, 1 },
		{ "2d-x", 2, 1 },
		{ "1e-99999999999999999999", 0, 23 },
		{ "0e99999999999999999999", 0, 22 },
		{ "1-2", 1, 1 },
		{ "12345678901234567890123", 12345678901234567890123.0, 23 },
		{ "4.9e-324", 4.9e-324, 8 },
	};
	static const char *const bad[] = {
		"", "-", ".", "+.e1", "e5", "nan", "inf", "-inf", " 1", "1e999", "-1e309", "D1",
	};
	double value = 7;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_ptr_equal(pn_number_read(good[i].text, &value),
				 good[i].text + good[i].length);
		assert_true(same_bits(value, good[i].value));
	}
	value = 7;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(pn_number_read(bad[i], &value));
	char text[1200];
	memset(text, '1', sizeof text);
	text[1] = '.';
	text[1000] = 0;
	assert_ptr_equal(pn_number_read(text, &value), text + 1000);
	assert_true(same_bits(value, strtod(text, NULL)));
	text[1000] = '1';
	text[1001] = 0;
	value = 7;
	assert_null(pn_number_read(text, &value));
	assert_true(value == 7);
}

/* Where the user's locale has a comma, files still have points; needs such a locale installed. */
static void the_locale_does_not_matter(void **state)
{
	(void)state;
	static const char *const commas[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR" };
	static const double values[] = { 1.5, 1.5e-30, -2.25e200, 4.9e-324 };
	char text[PN_NUMBER_TEXT_MAX];
	double value;
	size_t i = 0;

	while (i < sizeof commas / sizeof *commas && !setlocale(LC_ALL, commas[i]))
		i++;
	if (i == sizeof commas / sizeof *commas)
		skip();
	for (i = 0; i < sizeof values / sizeof *values; i++) {
		pn_number_write(text, values[i]);
		assert_null(strchr(text, ','));
		const char *end = pn_number_read(text, &value);
		assert_true(end && !*end && same_bits(value, values[i]));
	}
	snprintf(text, sizeof text, "%.1f", 1.5);
	assert_string_equal(text, "1,5"); /* the caller's locale is as before */
	setlocale(LC_ALL, "C");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_the_shortest),
		cmocka_unit_test(texts_at_the_edges),
		cmocka_unit_test(reads_as_strtod),
		cmocka_unit_test(halves_go_to_even),
		cmocka_unit_test(all_of_the_digits_count),
		cmocka_unit_test(words_that_are_numbers),
		cmocka_unit_test(the_locale_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
