/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/dtype.h - element types of arrays. All payloads are little-endian, C order. */
#ifndef PERRIN_BASE_DTYPE_H
#define PERRIN_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/** Element types. The numbers are part of the formats: never renumber. */
enum pn_dtype {
	PN_DTYPE_NONE = 0,
	PN_U8 = 1,
	PN_I8 = 2,
	PN_U16 = 3,
	PN_I16 = 4,
	PN_U32 = 5,
	PN_I32 = 6,
	PN_F32 = 7,
	PN_F64 = 8,
	PN_U64 = 9,
	PN_I64 = 10,
	PN_C64 = 11, /* complex of two float32 */
};

#define PN_DIM_MAX 4 /* slowest first: [t][y][x], [z][y][x] */

/** pn_dtype_bytes - bytes of one element; 0 for an unknown type. */
size_t pn_dtype_bytes(enum pn_dtype dtype);

/** pn_dtype_name - "u8", "f32" and so on; NULL for an unknown type. Static storage. */
const char *pn_dtype_name(enum pn_dtype dtype);

/** pn_dtype_parse - the inverse of pn_dtype_name; PN_DTYPE_NONE for an unknown name. */
enum pn_dtype pn_dtype_parse(const char *name);

/**
 * pn_array_bytes - bytes of an array, checked against overflow.
 *
 * @ndim:  1..PN_DIM_MAX
 * @shape: [in] uint64 [ndim], elements per axis, slowest first
 * @bytes: [out] product times element size
 *
 * Returns 0, or -1 if a type is unknown, ndim is out of range or the product overflows 2^62.
 */
int pn_array_bytes(enum pn_dtype dtype, unsigned ndim, const uint64_t *shape, uint64_t *bytes);

/**
 * pn_to_f32 - convert elements to float32 (complex: modulus).
 *
 * @dst: [out] float32 [count]; @src: [in] dtype [count], no overlap.
 *
 * Thread: reentrant. Cost: one pass over both arrays.
 */
void pn_to_f32(float *dst, const void *src, enum pn_dtype dtype, size_t count);

#endif
