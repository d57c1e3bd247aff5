/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/map.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const enum pn_arith ariths[] = { PN_ARITH_F32, PN_ARITH_BF16, PN_ARITH_BF16_EMULATED };

/* All pixels with their border lie inside the memory, each at its own place, in order. */
static void every_value_has_its_place(void **state)
{
	(void)state;
	for (size_t a = 0; a < PN_COUNT(ariths); a++)
		for (int border = 0; border < 4; border++) {
			int ny = 3, nx = 5, channels = 16, element = a ? 2 : 4;
			size_t bytes = pn_map_bytes(ariths[a], ny, nx, border, channels);
			size_t count = (size_t)((ny + 2 * border) * (nx + 2 * border) * channels);
			char *memory = aligned_alloc(64, bytes);

			assert_non_null(memory);
			assert_true(bytes % 64 == 0 && bytes >= count * (size_t)element &&
				    bytes < count * (size_t)element + 64);
			memset(memory, 0, bytes);
			struct pn_map map =
				pn_map_place(memory, ariths[a], ny, nx, border, channels);
			size_t at = 0;

			assert_true(map.ny == ny && map.nx == nx && map.border == border &&
				    map.channels == channels && map.arith == ariths[a]);
			for (int y = -border; y < ny + border; y++)
				for (int x = -border; x < nx + border; x++)
					for (int c = 0; c < channels; c++, at++) {
						float there;

						pn_map_put(&map, y, x, c, 1.5f);
						if (a)
							there = pn_f32_of_bf16(
								((uint16_t *)(void *)memory)[at]);
						else
							there = ((float *)(void *)memory)[at];
						assert_true(there == 1.5f);
						assert_true(pn_map_get(&map, y, x, c) == 1.5f);
						pn_map_put(&map, y, x, c, 0);
					}
			free(memory);
		}
}

static void slices_are_views(void **state)
{
	(void)state;
	for (size_t a = 0; a < PN_COUNT(ariths); a++) {
		size_t bytes = pn_map_bytes(ariths[a], 4, 3, 1, 40);
		void *memory = aligned_alloc(64, bytes);

		assert_non_null(memory);
		memset(memory, 0, bytes);
		struct pn_map map = pn_map_place(memory, ariths[a], 4, 3, 1, 40);
		struct pn_map slice = pn_map_slice(&map, 16, 24);
		struct pn_map inner = pn_map_slice(&slice, 8, 8);

		assert_int_equal(slice.channels, 24);
		assert_int_equal(inner.channels, 8);
		for (int c = 0; c < 40; c++)
			pn_map_put(&map, 2, 1, c, (float)c);
		for (int c = 0; c < 24; c++)
			assert_true(pn_map_get(&slice, 2, 1, c) == (float)(16 + c));
		pn_map_put(&inner, 3, 2, 5, -1);
		assert_true(pn_map_get(&map, 3, 2, 29) == -1);
		free(memory);
	}
}

/* Against the neighbours found by trying: the nearest, or the even one of two as near. */
static void bf16_rounds_to_nearest_even(void **state)
{
	(void)state;
	for (uint32_t high = 0x3f00; high < 0x3f20; high++)
		for (uint32_t low = 0; low < 0x10000; low += 0x0fff) {
			uint32_t bits = high << 16 | low;
			float value, down = pn_f32_of_bf16((uint16_t)high),
				     up = pn_f32_of_bf16((uint16_t)(high + 1));

			memcpy(&value, &bits, sizeof value);
			double below = (double)value - down, above = (double)up - value;
			uint32_t want = below < above   ? high
					: above < below ? high + 1
					: high % 2      ? high + 1
							: high;
			assert_int_equal(pn_bf16_of(value), want);
			assert_int_equal(pn_bf16_of(-value), want | 0x8000);
		}
	assert_int_equal(pn_bf16_of(pn_f32_of_bf16(0x3f80)), 0x3f80);
	uint32_t ties[] = { 0x3f808000, 0x3f818000 };
	uint16_t even[] = { 0x3f80, 0x3f82 };

	for (int i = 0; i < 2; i++) {
		float value;

		memcpy(&value, &ties[i], sizeof value);
		assert_int_equal(pn_bf16_of(value), even[i]);
	}
}

static void bf16_keeps_the_odd_ones(void **state)
{
	uint32_t bits[] = { 0x7f800001, 0xff800001, 0x7fffffff, 0x7fc00000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < PN_COUNT(bits); i++) {
		float value;

		memcpy(&value, &bits[i], sizeof value);
		assert_true(isnan(pn_f32_of_bf16(pn_bf16_of(value))));
	}
	assert_true(pn_f32_of_bf16(pn_bf16_of(INFINITY)) == INFINITY);
	assert_true(pn_f32_of_bf16(pn_bf16_of(-INFINITY)) == -INFINITY);
	assert_true(pn_f32_of_bf16(pn_bf16_of(3.4028235e38f)) == INFINITY);
	assert_int_equal(pn_bf16_of(0.0f), 0);
	assert_int_equal(pn_bf16_of(-0.0f), 0x8000);
	assert_int_equal(pn_bf16_of(1e-40f),
			 1); /* 71362 of 2^-149: nearer to 1 than to 2 of 2^-133 */
}

static void words_name_all(void **state)
{
	(void)state;
	assert_string_equal(pn_arith_words[PN_ARITH_F32], "f32");
	assert_string_equal(pn_arith_words[PN_ARITH_BF16], "bf16");
	assert_string_equal(pn_arith_words[PN_ARITH_BF16_EMULATED], "bf16_emulated");
	assert_null(pn_arith_words[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_has_its_place),
		cmocka_unit_test(slices_are_views),
		cmocka_unit_test(bf16_rounds_to_nearest_even),
		cmocka_unit_test(bf16_keeps_the_odd_ones),
		cmocka_unit_test(words_name_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
