/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/dtype.h"

#include "perrin/base/status.h"

#include <math.h>
#include <string.h>

static const struct {
	const char *name;
	size_t bytes;
} types[] = {
	[PN_U8] = { "u8", 1 },   [PN_I8] = { "i8", 1 },   [PN_U16] = { "u16", 2 },
	[PN_I16] = { "i16", 2 }, [PN_U32] = { "u32", 4 }, [PN_I32] = { "i32", 4 },
	[PN_F32] = { "f32", 4 }, [PN_F64] = { "f64", 8 }, [PN_U64] = { "u64", 8 },
	[PN_I64] = { "i64", 8 }, [PN_C64] = { "c64", 8 },
};

size_t pn_dtype_bytes(enum pn_dtype dtype)
{
	return (unsigned)dtype < PN_COUNT(types) ? types[dtype].bytes : 0;
}

const char *pn_dtype_name(enum pn_dtype dtype)
{
	return (unsigned)dtype < PN_COUNT(types) ? types[dtype].name : NULL;
}

enum pn_dtype pn_dtype_parse(const char *name)
{
	for (unsigned i = 1; i < PN_COUNT(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return (enum pn_dtype)i;
	return PN_DTYPE_NONE;
}

int pn_array_bytes(enum pn_dtype dtype, unsigned ndim, const uint64_t *shape, uint64_t *bytes)
{
	uint64_t total = pn_dtype_bytes(dtype);

	if (!total || ndim < 1 || ndim > PN_DIM_MAX)
		return -1;
	for (unsigned i = 0; i < ndim; i++)
		if (__builtin_mul_overflow(total, shape[i], &total) || total > UINT64_C(1) << 62)
			return -1;
	*bytes = total;
	return 0;
}

#define CONVERT(type)                                     \
	do {                                              \
		const type *s = src;                      \
		for (size_t i = 0; i < count; i++)        \
			dst[i] = (float)s[i];             \
	} while (0)

void pn_to_f32(float *dst, const void *src, enum pn_dtype dtype, size_t count)
{
	switch (dtype) {
	case PN_U8:
		CONVERT(uint8_t);
		break;
	case PN_I8:
		CONVERT(int8_t);
		break;
	case PN_U16:
		CONVERT(uint16_t);
		break;
	case PN_I16:
		CONVERT(int16_t);
		break;
	case PN_U32:
		CONVERT(uint32_t);
		break;
	case PN_I32:
		CONVERT(int32_t);
		break;
	case PN_F32:
		memcpy(dst, src, count * sizeof *dst);
		break;
	case PN_F64:
		CONVERT(double);
		break;
	case PN_U64:
		CONVERT(uint64_t);
		break;
	case PN_I64:
		CONVERT(int64_t);
		break;
	case PN_C64: {
		const float *s = src;

		for (size_t i = 0; i < count; i++)
			dst[i] = hypotf(s[2 * i], s[2 * i + 1]);
		break;
	}
	default:
		pn_assert(!"known dtype");
	}
}
