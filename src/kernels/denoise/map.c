/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/map.h"

#include <stdlib.h>

const char *const pn_arith_words[] = { "f32", "bf16", "bf16_emulated", NULL };

static size_t element_bytes(enum pn_arith arith)
{
	return arith == PN_ARITH_F32 ? sizeof(float) : sizeof(uint16_t);
}

static ptrdiff_t index_of(const struct pn_map *map, int y, int x, int channel)
{
	return y * map->row_stride + x * map->pixel_stride + channel;
}

size_t pn_map_bytes(enum pn_arith arith, int ny, int nx, int border, int channels)
{
	pn_assert(ny > 0 && nx > 0 && border >= 0 && channels > 0);
	size_t bytes = (size_t)(ny + 2 * border) * (size_t)(nx + 2 * border) * (size_t)channels *
		       element_bytes(arith);

	return (bytes + 63) / 64 * 64;
}

struct pn_map pn_map_place(void *memory, enum pn_arith arith, int ny, int nx, int border,
			   int channels)
{
	pn_assert(memory && (uintptr_t)memory % 64 == 0);
	pn_assert(ny > 0 && nx > 0 && border >= 0 && channels > 0);
	struct pn_map map = {
		.arith = arith,
		.ny = ny,
		.nx = nx,
		.border = border,
		.channels = channels,
		.pixel_stride = channels,
		.row_stride = (ptrdiff_t)(nx + 2 * border) * channels,
	};
	ptrdiff_t first = border * (map.row_stride + map.pixel_stride);

	map.data = (char *)memory + first * (ptrdiff_t)element_bytes(arith);
	return map;
}

struct pn_map pn_map_slice(const struct pn_map *map, int first, int channels)
{
	pn_assert(first >= 0 && channels > 0 && first + channels <= map->channels);
	pn_assert(first % PN_CHANNEL_STEP == 0 && channels % PN_CHANNEL_STEP == 0);
	struct pn_map slice = *map;

	slice.data = (char *)map->data + (size_t)first * element_bytes(map->arith);
	slice.channels = channels;
	return slice;
}

struct pn_map pn_map_shift(const struct pn_map *map, int dy, int dx)
{
	int far = abs(dy) > abs(dx) ? abs(dy) : abs(dx);
	struct pn_map view = *map;

	pn_assert(far <= map->border);
	view.data =
		(char *)map->data + index_of(map, dy, dx, 0) * (ptrdiff_t)element_bytes(map->arith);
	view.border -= far;
	return view;
}

float pn_map_get(const struct pn_map *map, int y, int x, int channel)
{
	ptrdiff_t i = index_of(map, y, x, channel);

	return map->arith == PN_ARITH_F32 ? ((const float *)map->data)[i]
					  : pn_f32_of_bf16(((const uint16_t *)map->data)[i]);
}

void pn_map_put(const struct pn_map *map, int y, int x, int channel, float value)
{
	ptrdiff_t i = index_of(map, y, x, channel);

	if (map->arith == PN_ARITH_F32)
		((float *)map->data)[i] = value;
	else
		((uint16_t *)map->data)[i] = pn_bf16_of(value);
}
