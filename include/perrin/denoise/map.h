/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/denoise/map.h - feature maps: what the layers of the denoising network read and write. */
#ifndef PERRIN_DENOISE_MAP_H
#define PERRIN_DENOISE_MAP_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/** What a network computes in: the type of its maps. Sums are float32 in both. */
enum pn_arith {
	PN_ARITH_F32,  /* float32, on every machine */
	PN_ARITH_BF16, /* bfloat16 maps and weights: the matrix tiles (AMX) of the processor */
	PN_ARITH_BF16_EMULATED, /* the same steps with the tiles in plain C: for tests */
};
extern const char *const pn_arith_words[]; /* "f32", "bf16", "bf16_emulated", NULL */

/** Maps are views: channels side by side without copying, see pn_map_slice. */
#define PN_CHANNEL_STEP 8 /* channels of a map are a multiple of this */

/**
 * A feature map [ny][nx][channels], or a slice of the channels of a wider one. Around it lie
 * `border` rows and columns that are zero, so that layers read beyond the edge without asking:
 * whoever made the map zeroed them, and no layer writes there. Plain data; borrows its memory.
 */
struct pn_map {
	void *data; /* channel 0 of pixel (0, 0); float or uint16_t (bfloat16) */
	enum pn_arith arith;
	int ny, nx, border, channels;
	ptrdiff_t pixel_stride; /* in elements: channels of the map this is a slice of */
	ptrdiff_t row_stride;   /* in elements */
};

/** pn_map_bytes - of the memory of a map with its border; a multiple of 64. */
size_t pn_map_bytes(enum pn_arith arith, int ny, int nx, int border, int channels);

/**
 * pn_map_place - make a map of memory at hand.
 *
 * @memory: pn_map_bytes() bytes aligned to 64, borrowed; zero, at least in the border
 */
struct pn_map pn_map_place(void *memory, enum pn_arith arith, int ny, int nx, int border,
			   int channels);

/** pn_map_slice - channels @first .. @first + @channels - 1 of @map, multiples of PN_CHANNEL_STEP.
 */
struct pn_map pn_map_slice(const struct pn_map *map, int first, int channels);

/**
 * pn_map_shift - @map as seen (@dy, @dx) pixels away: pixel (0, 0) of the view is (@dy, @dx) of the
 * map. Of the same ny, nx; its border is smaller by the larger of |dy|, |dx|, which must not exceed
 * the map's.
 */
struct pn_map pn_map_shift(const struct pn_map *map, int dy, int dx);

/** pn_bf16_of, pn_f32_of_bf16 - round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t pn_bf16_of(float value)
{
	union {
		float f;
		uint32_t u;
	} bits = { value };

	if ((bits.u & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)(bits.u >> 16 | 0x40u);
	return (uint16_t)((bits.u + 0x7fffu + (bits.u >> 16 & 1u)) >> 16);
}

static inline float pn_f32_of_bf16(uint16_t value)
{
	union {
		uint32_t u;
		float f;
	} bits = { (uint32_t)value << 16 };

	return bits.f;
}

/** pn_map_get, pn_map_put - one value, in either type; for tests and small edges. */
float pn_map_get(const struct pn_map *map, int y, int x, int channel);
void pn_map_put(const struct pn_map *map, int y, int x, int channel, float value);

#endif
