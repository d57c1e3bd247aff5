/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/stream/hash.h"

#include <xxhash.h>

uint64_t pn_hash64(const void *data, size_t bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, bytes, seed);
}
