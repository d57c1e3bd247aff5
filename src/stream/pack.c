/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pack.h"

/* Type bytes 0xc0..0xdf of the msgpack specification: how many bytes of length (or of body) follow.
 */
enum shape { BAD, BODY, TEXT, ARRAY, MAP };
static const struct {
	uint8_t shape, bytes;
} types[32] = {
	[0x00] = { BODY, 0 },                        /* nil */
	[0x02] = { BODY, 0 },                        /* false */
	[0x03] = { BODY, 0 },                        /* true */
	[0x0a] = { BODY, 4 },  [0x0b] = { BODY, 8 }, /* float */
	[0x0c] = { BODY, 1 },  [0x0d] = { BODY, 2 }, [0x0e] = { BODY, 4 }, [0x0f] = { BODY, 8 },
	[0x10] = { BODY, 1 },  [0x11] = { BODY, 2 }, [0x12] = { BODY, 4 }, [0x13] = { BODY, 8 },
	[0x19] = { TEXT, 1 },  [0x1a] = { TEXT, 2 }, [0x1b] = { TEXT, 4 }, [0x1c] = { ARRAY, 2 },
	[0x1d] = { ARRAY, 4 }, [0x1e] = { MAP, 2 },  [0x1f] = { MAP, 4 },
};

struct pn_token pn_token_next(const void *buf, size_t bytes, size_t *off)
{
	const struct pn_token bad = { .kind = PN_TOKEN_BAD };
	const uint8_t *p = buf;
	struct pn_token token = { .kind = PN_TOKEN_SCALAR };
	enum shape shape = BODY;
	size_t at = *off, width = 0;

	if (at >= bytes)
		return bad;
	uint8_t first = p[at++];

	if (first >= 0xc0 && first < 0xe0) {
		shape = types[first - 0xc0].shape;
		width = types[first - 0xc0].bytes;
	} else if (first >= 0x80 && first < 0xc0) {
		shape = first < 0x90 ? MAP : first < 0xa0 ? ARRAY : TEXT;
		token.count = shape == TEXT ? first & 0x1f : first & 0x0f;
	}
	if (shape == BAD || bytes - at < width)
		return bad;
	if (shape != BODY && width)
		for (size_t i = 0; i < width; i++)
			token.count = token.count << 8 | p[at + i];
	at += width;
	if (shape == TEXT) {
		if (token.count > bytes - at)
			return bad;
		token.kind = PN_TOKEN_TEXT;
		token.text = (const char *)p + at;
		at += token.count;
	} else if (shape != BODY) {
		token.kind = shape == MAP ? PN_TOKEN_MAP : PN_TOKEN_ARRAY;
	}
	*off = at;
	return token;
}

static int scan_array(const void *buf, size_t bytes, uint64_t count, size_t *off,
		      struct pn_error *err)
{
	if (count > bytes - *off)
		return pn_error_set(err, PN_EFRAME,
				    "head: an array declares %llu values, %zu bytes are left",
				    (unsigned long long)count, bytes - *off);
	for (uint64_t i = 0; i < count; i++)
		if (pn_token_next(buf, bytes, off).kind != PN_TOKEN_SCALAR)
			return pn_error_set(
				err, PN_EFRAME,
				"head: byte %zu of %zu: truncated, or not a scalar in an array",
				*off, bytes);
	return PN_OK;
}

int pn_pack_scan(const void *buf, size_t bytes, struct pn_error *err)
{
	size_t off = 0;
	struct pn_token token = pn_token_next(buf, bytes, &off);

	if (token.kind != PN_TOKEN_MAP)
		return pn_error_set(err, PN_EFRAME, "head: %zu bytes that are not a msgpack map",
				    bytes);
	if (token.count > PN_PACK_FIELDS_MAX + 2)
		return pn_error_set(err, PN_EFRAME, "head: a map of %llu keys, at most %d are used",
				    (unsigned long long)token.count, PN_PACK_FIELDS_MAX + 2);
	for (uint64_t i = 0, count = 2 * token.count; i < count; i++) {
		token = pn_token_next(buf, bytes, &off);
		if (token.kind == PN_TOKEN_BAD || token.kind == PN_TOKEN_MAP)
			return pn_error_set(
				err, PN_EFRAME,
				"head: byte %zu of %zu: truncated, or a type no head has", off,
				bytes);
		if (token.kind == PN_TOKEN_ARRAY && scan_array(buf, bytes, token.count, &off, err))
			return PN_EFRAME;
	}
	if (off != bytes)
		return pn_error_set(err, PN_EFRAME, "head: %zu bytes left over after %zu",
				    bytes - off, off);
	return PN_OK;
}
