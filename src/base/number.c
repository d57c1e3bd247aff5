/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * number.c - decimal text of doubles. Both ways have a fast path in whole numbers, which is exact,
 * and leave what does not fit to the C library.
 */
#include "perrin/base/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANTISSA_BITS   53
#define DIGITS_MAX      19   /* any number of 19 digits fits 64 bits */
#define SMALL_POWER_MAX 22   /* 10^22 is the largest power of ten that is a double */
#define SLOW_MAX        1000 /* characters of a number that strtod is asked for */
#define EXPONENT_MAX    99999

typedef unsigned __int128 u128;

static const uint64_t power10[] = {
	1u,
	10u,
	100u,
	1000u,
	10000u,
	100000u,
	1000000u,
	10000000u,
	100000000u,
	1000000000u,
	10000000000u,
	100000000000u,
	1000000000000u,
	10000000000000u,
	100000000000000u,
	1000000000000000u,
	10000000000000000u,
	100000000000000000u,
	1000000000000000000u,
	10000000000000000000u,
};

static const double power10_f64[SMALL_POWER_MAX + 1] = {
	1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/*
 * The C library's point is a comma where the program that uses this has chosen such a locale. glibc
 * has the locale C at hand and makes no new one. leave_c takes what enter_c gave.
 */
struct locales {
	locale_t c, before;
};

static struct locales enter_c(void)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);

	return (struct locales){ c, uselocale(c) };
}

static void leave_c(struct locales locales)
{
	uselocale(locales.before);
	if (locales.c)
		freelocale(locales.c);
}

/* ---- writing ------------------------------------------------------------------------------- */

/*
 * A number m 2^-s to be written with n digits: q = round(m 10^k / 2^s), halves to even. With m
 * below 2^53, k up to 20 and s from 6 to 66 the product fits 128 bits.
 */
static uint64_t scaled(uint64_t m, int s, int k, u128 *product, u128 *rest)
{
	*product = (u128)m * power10[k > 10 ? 10 : k];
	if (k > 10)
		*product *= power10[k - 10];
	u128 q = *product >> s, half = (u128)1 << (s - 1);
	*rest = *product - (q << s);
	if (*rest > half || (*rest == half && (q & 1)))
		q++;
	return (uint64_t)q;
}

/*
 * Is q 10^-k nearer to m 2^-s than to any other double? A tie would take more than 17 digits in
 * this range. Below a power of two the doubles lie twice as close, but those of this range have at
 * most 14 digits and are written exactly.
 */
static int reads_back(uint64_t q, int s, int k, u128 product)
{
	u128 text = (u128)q << s, unit = (u128)power10[k > 10 ? 10 : k];

	if (k > 10)
		unit *= power10[k - 10];
	return 2 * (text > product ? text - product : product - text) < unit;
}

/* The digits of q with the point before the last k of them, without zeros at the end. */
static size_t put_fixed(char *text, int negative, uint64_t q, int k)
{
	char digits[24];
	int count = 0, from = 0;
	size_t n = 0;

	for (; k > 0 && q % 10 == 0; k--)
		q /= 10;
	for (; q || count <= k; q /= 10)
		digits[count++] = (char)('0' + q % 10);
	if (negative)
		text[n++] = '-';
	for (from = count - 1; from >= 0; from--) {
		text[n++] = digits[from];
		if (from == k && k > 0)
			text[n++] = '.';
	}
	text[n] = 0;
	return n;
}

/* For magnitudes from 1e-4 up to 1e14. */
static size_t write_fast(char *text, double value)
{
	double magnitude = fabs(value);
	int exponent, power = -4;

	uint64_t m = (uint64_t)ldexp(frexp(magnitude, &exponent), MANTISSA_BITS);
	int s = MANTISSA_BITS - exponent;
	while (power < 0 ? magnitude * power10_f64[-power] >= 10
			 : magnitude >= power10_f64[power + 1])
		power++;
	for (int digits = DBL_DIG;; digits++) {
		int k = digits - 1 - power;
		u128 product, rest;
		uint64_t q = scaled(m, s, k, &product, &rest);

		/* rounded up to one digit more, or the power was one too large by rounding */
		if (q > power10[digits] || (q == power10[digits] && k == 0))
			return 0;
		if (q < power10[digits - 1] || k < 0)
			return 0;
		if (digits == 17 || reads_back(q, s, k, product))
			return put_fixed(text, value < 0, q, k);
	}
}

size_t pn_number_write(char *text, double value)
{
	double magnitude = fabs(value);

	if (isnan(value))
		return (size_t)snprintf(text, PN_NUMBER_TEXT_MAX, "nan");
	if (isinf(value))
		return (size_t)snprintf(text, PN_NUMBER_TEXT_MAX, value > 0 ? "inf" : "-inf");
	if (magnitude >= 1e-4 && magnitude < 1e14) {
		size_t n = write_fast(text, value);

		if (n)
			return n;
	}
	/* every text of up to 15 digits survives a double, unless it is subnormal; 17 tell any */
	int n = 0;
	struct locales locales = enter_c();
	for (int digits = magnitude < DBL_MIN ? 1 : DBL_DIG; digits <= 17; digits++) {
		n = snprintf(text, PN_NUMBER_TEXT_MAX, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	leave_c(locales);
	return (size_t)n;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* d / 10^k to the nearest double, halves to even: d > 0, k <= 19. The quotient has 64 bits or more.
 */
static double divided(uint64_t d, int k)
{
	int shift = __builtin_clzll(d);
	u128 dividend = (u128)(d << shift) << 64;
	u128 q = dividend / power10[k];
	int sticky = q * power10[k] != dividend;
	uint64_t high = (uint64_t)(q >> 64);
	int bits = high ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)q);
	int drop = bits - MANTISSA_BITS;
	uint64_t m = (uint64_t)(q >> drop);
	u128 rest = q - ((u128)m << drop), half = (u128)1 << (drop - 1);

	if (rest > half || (rest == half && (sticky || (m & 1))))
		m++;
	return ldexp((double)m, drop - 64 - shift);
}

/* The text of a number, as strtod wants it. */
static const char *read_slow(const char *text, const char *end, double *value)
{
	char copy[SLOW_MAX + 1];
	size_t n = (size_t)(end - text); /* at most SLOW_MAX */

	for (size_t i = 0; i < n; i++)
		copy[i] = text[i] == 'd' || text[i] == 'D' ? 'e' : text[i];
	copy[n] = 0;
	struct locales locales = enter_c();
	double read = strtod(copy, NULL);
	leave_c(locales);
	if (!isfinite(read))
		return NULL;
	*value = read;
	return end;
}

/* An exponent if there is one whole; what only looks like its beginning is left. */
static const char *read_exponent(const char *p, int *exponent)
{
	const char *q = p;
	int negative = 0, value = 0;

	if (*q != 'e' && *q != 'E' && *q != 'd' && *q != 'D')
		return p;
	q++;
	if (*q == '+' || *q == '-')
		negative = *q++ == '-';
	if (*q < '0' || *q > '9')
		return p;
	for (; *q >= '0' && *q <= '9'; q++)
		if (value < EXPONENT_MAX)
			value = 10 * value + (*q - '0');
	*exponent = negative ? -value : value;
	return q;
}

const char *pn_number_read(const char *text, double *value)
{
	const char *p = text;
	uint64_t d = 0;
	int negative = 0, digits = 0, any = 0, exponent = 0;
	double read;

	if (*p == '+' || *p == '-')
		negative = *p++ == '-';
	for (; *p >= '0' && *p <= '9'; p++, any = 1)
		if ((d || *p != '0') && ++digits <= DIGITS_MAX)
			d = 10 * d + (uint64_t)(*p - '0');
	const char *point = *p == '.' ? p++ : NULL;
	for (; point && *p >= '0' && *p <= '9'; p++, any = 1)
		if ((d || *p != '0') && ++digits <= DIGITS_MAX)
			d = 10 * d + (uint64_t)(*p - '0');
	if (!any)
		return NULL;
	const char *end = read_exponent(p, &exponent);
	if (end - text > SLOW_MAX)
		return NULL;
	exponent -= point ? (int)(p - point - 1) : 0;
	if (digits > DIGITS_MAX)
		return read_slow(text, end, value);
	if (!d)
		read = 0;
	else if (d <= (uint64_t)1 << MANTISSA_BITS && abs(exponent) <= SMALL_POWER_MAX)
		read = exponent < 0 ? (double)d / power10_f64[-exponent]
				    : (double)d * power10_f64[exponent];
	else if (exponent < 0 && exponent >= -DIGITS_MAX)
		read = divided(d, -exponent);
	else
		return read_slow(text, end, value);
	*value = negative ? -read : read;
	return end;
}
