/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/number.h - doubles as decimal text and back, exact and fast. */
#ifndef PERRIN_BASE_NUMBER_H
#define PERRIN_BASE_NUMBER_H

#include <stddef.h>

#define PN_NUMBER_TEXT_MAX \
	32 /* room that every text of pn_number_write fits in, its NUL included */

/**
 * pn_number_write - the shortest of "%.15g", "%.16g" and "%.17g" that reads back the same (down to
 * "%.1g" for subnormal numbers), always with a decimal point, whatever the locale. "nan" (a sign of
 * nan means nothing and is dropped), "inf", "-inf"; "-0" keeps its sign.
 *
 * @text: [out] [PN_NUMBER_TEXT_MAX], NUL-terminated
 *
 * Returns the length of the text. Thread: reentrant. Allocates: nothing. Cost: 0.05..0.2 us for
 * magnitudes from 1e-4 to 1e14 (integers of 128 bits, exact), 1 us for others (the C library).
 */
size_t pn_number_write(char *text, double value);

/**
 * pn_number_read - read a decimal number: [+-]digits[.digits][(e|E|d|D)[+-]digits]
 *
 * The value is that of strtod, bit for bit: the double nearest to the text. D is Fortran's exponent
 * of double precision. Blanks in front, hexadecimal numbers, "nan" and "inf" are not numbers here.
 *
 * @text:  [in] ends at the first character that cannot belong to a number, a NUL at the latest
 * @value: [out] untouched if the text is no number
 *
 * Returns the first character behind the number; NULL if there is no digit, if the number is beyond
 * the largest double, or if it has more than 1000 characters. Thread: reentrant. Allocates:
 * nothing. Cost: 5..30 ns for up to 19 digits and small exponents, 100 ns for others (strtod).
 */
const char *pn_number_read(const char *text, double *value);

#endif
