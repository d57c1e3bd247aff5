/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stack_kit.h - what the tests of the image stacks share. */
#ifndef PERRIN_STACK_KIT_H
#define PERRIN_STACK_KIT_H

#include "perrin/format/stack.h"

#include "sha256.h"
#include "testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* fails the test with the error's text */
static inline struct pn_stack *must_open(const char *path)
{
	struct pn_error err = { 0 };
	struct pn_stack *stack;

	if (pn_stack_open(&stack, path, &err) != PN_OK)
		fail_msg("%s", err.text);
	return stack;
}

/* opening has to fail with this code and a text that holds these words */
static inline void must_refuse(const char *path, int code, const char *words)
{
	struct pn_error err = { 0 };
	struct pn_stack *stack;
	int status = pn_stack_open(&stack, path, &err);

	if (status != code || err.code != code || stack || !strstr(err.text, words))
		fail_msg("%s: got %s \"%s\", want %s \"%s\"", path, pn_status_name(status),
			 err.text, pn_status_name(code), words);
}

static inline void check_info_is(const struct pn_stack *stack, const char *format,
				 enum pn_dtype dtype, uint64_t count, uint64_t ny, uint64_t nx)
{
	const struct pn_stack_info *info = pn_stack_info(stack);

	assert_string_equal(info->format, format);
	assert_int_equal(info->dtype, dtype);
	assert_int_equal(info->count, count);
	assert_int_equal(info->ny, ny);
	assert_int_equal(info->nx, nx);
}

/* all images one behind the other; the caller frees */
static inline void *read_all(struct pn_stack *stack)
{
	const struct pn_stack_info *info = pn_stack_info(stack);
	size_t bytes = info->ny * info->nx * pn_dtype_bytes(info->dtype);
	uint8_t *all = malloc(info->count * bytes);
	struct pn_error err = { 0 };

	assert_non_null(all);
	for (uint64_t i = 0; i < info->count; i++)
		if (pn_stack_read(stack, i, all + i * bytes, &err) != PN_OK)
			fail_msg("%s", err.text);
	return all;
}

/* open, compare every pixel, close */
static inline void must_hold(const char *path, const char *format, enum pn_dtype dtype,
			     uint64_t count, uint64_t ny, uint64_t nx, const void *pixels)
{
	struct pn_stack *stack = must_open(path);

	check_info_is(stack, format, dtype, count, ny, nx);
	void *all = read_all(stack);
	assert_memory_equal(all, pixels, count * ny * nx * pn_dtype_bytes(dtype));
	free(all);
	pn_stack_close(stack);
}

/*
 * A file of the reference data against numbers worked out with NumPy: minimum, maximum, sum, and
 * sum over i of pixel[i] (i mod 1009 + 1), which tells when pixels have changed places.
 */
static inline void must_measure(const char *path, const char *format, enum pn_dtype dtype,
				uint64_t count, uint64_t ny, uint64_t nx, const double want[4])
{
	struct pn_stack *stack = must_open(path);

	check_info_is(stack, format, dtype, count, ny, nx);
	void *all = read_all(stack);
	size_t n = count * ny * nx;
	float *f = malloc(n * sizeof *f);
	double min = INFINITY, max = -INFINITY, sum = 0, weighted = 0;

	assert_non_null(f);
	pn_to_f32(f, all, dtype, n);
	for (size_t i = 0; i < n; i++) {
		min = fmin(min, (double)f[i]);
		max = fmax(max, (double)f[i]);
		sum += (double)f[i];
		weighted += (double)f[i] * (double)(i % 1009 + 1);
	}
	free(f);
	free(all);
	pn_stack_close(stack);
	assert_true(min == want[0]);
	assert_true(max == want[1]);
	/* rounding of n additions in double, in another order than NumPy's */
	assert_true(fabs(sum - want[2]) <= 1e-10 * fabs(want[2]));
	assert_true(fabs(weighted - want[3]) <= 1e-10 * fabs(want[3]));
}

/*
 * A file of the reference data as another program read it: minimum, maximum, sum and the SHA-256 of
 * its pixels in C order, little-endian.
 */
static inline void must_be(const char *path, const char *format, enum pn_dtype dtype,
			   uint64_t count, uint64_t ny, uint64_t nx, const double want[3],
			   const char *want_hash)
{
	struct pn_stack *stack = must_open(path);
	size_t n = count * ny * nx;
	double min = INFINITY, max = -INFINITY, sum = 0;
	float *f = malloc(n * sizeof *f);
	char hash[65];

	check_info_is(stack, format, dtype, count, ny, nx);
	void *all = read_all(stack);
	assert_non_null(f);
	pn_to_f32(f, all, dtype, n);
	for (size_t i = 0; i < n; i++) {
		min = fmin(min, (double)f[i]);
		max = fmax(max, (double)f[i]);
		sum += (double)f[i];
	}
	sha256(hash, all, n * pn_dtype_bytes(dtype));
	free(f);
	free(all);
	pn_stack_close(stack);
	assert_true(min == want[0]);
	assert_true(max == want[1]);
	/* rounding of n additions in double, in another order than the other program's */
	assert_true(fabs(sum - want[2]) <= 1e-10 * fabs(want[2]));
	assert_string_equal(hash, want_hash);
}

/*
 * Every byte of the file set to 0, to 255 and with its top bit flipped: opening and reading may
 * fail or succeed, but not crash; what is claimed stays below limit_bytes.
 */
static inline void must_survive_mutations(const char *path, size_t limit_bytes)
{
	struct pn_error err = { 0 };
	size_t size;
	char *original = testkit_read(path, &size);
	FILE *f = fopen(path, "r+b");

	assert_non_null(f);
	setbuf(f, NULL);
	for (size_t at = 0; at < size; at++) {
		for (int kind = 0; kind < 3; kind++) {
			struct pn_stack *stack;
			int byte = kind == 0 ? 0 : kind == 1 ? 255 : original[at] ^ 0x80;

			fseek(f, (long)at, SEEK_SET);
			fputc(byte, f);
			if (pn_stack_open(&stack, path, &err) == PN_OK) {
				const struct pn_stack_info *info = pn_stack_info(stack);
				size_t bytes = info->ny * info->nx * pn_dtype_bytes(info->dtype);

				assert_in_range(bytes, 1, limit_bytes);
				void *image = malloc(bytes);
				assert_non_null(image);
				pn_stack_read(stack, 0, image, &err);
				pn_stack_read(stack, info->count - 1, image, &err);
				free(image);
			} else {
				assert_true(err.text[0] != 0);
			}
			pn_stack_close(stack);
		}
		fseek(f, (long)at, SEEK_SET);
		fputc(original[at], f);
	}
	fclose(f);
	free(original);
}

#endif
