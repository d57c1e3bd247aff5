/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/stream/hash.h - XXH3 of bytes; the only door to xxhash besides the segment log. */
#ifndef PERRIN_STREAM_HASH_H
#define PERRIN_STREAM_HASH_H

#include <stddef.h>
#include <stdint.h>

/** pn_hash64 - XXH3-64 of @bytes bytes, seeded. Thread: reentrant. Cost: memory bandwidth. */
uint64_t pn_hash64(const void *data, size_t bytes, uint64_t seed);

#endif
