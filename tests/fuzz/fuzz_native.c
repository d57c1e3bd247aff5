/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decoder of the native protocol takes any bytes; what it accepts, it writes back the same. */
#include "../../src/io/detector/native_wire.h"

#include "fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t once[PN_NATIVE_BYTES_MAX], twice[PN_NATIVE_BYTES_MAX];
	size_t bytes, more;
	struct pn_native message;
	struct pn_error err = { 0 };
	int rc = pn_native_decode(data, size, &message, &err);

	if (rc) {
		if (rc != PN_EFRAME || err.code != rc || !err.text[0])
			abort();
		return 0;
	}
	if (pn_native_encode(&message, once, &bytes, &err) ||
	    pn_native_decode(once, bytes, &message, &err) ||
	    pn_native_encode(&message, twice, &more, &err) || more != bytes ||
	    memcmp(once, twice, bytes) != 0)
		abort();
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const struct pn_native messages[] = {
		{ .type = PN_NATIVE_HELLO,
		  .hello = { .id = 77, .frames = 400, .first = 3, .name = "camera" } },
		{ .type = PN_NATIVE_FRAME,
		  .frame = { .frame = 12,
			     .time_ns = -5,
			     .dtype = PN_U16,
			     .shape = { 512, 640 },
			     .shape_count = 2,
			     .pixel_pm = 35.8,
			     .dose_e_per_A2 = NAN,
			     .energy_keV = 300,
			     .tilt_deg = -1.5 } },
		{ .type = PN_NATIVE_END, .count = 400 },
		{ .type = PN_NATIVE_WELCOME, .welcome = { .id = 77, .next = 3, .window = 64 } },
		{ .type = PN_NATIVE_AGAIN },
		{ .type = PN_NATIVE_ACK, .count = 70000 },
		{ .type = PN_NATIVE_REFUSED, .refused = { .frame = 9, .reason = "other shape" } },
		{ .type = PN_NATIVE_ENDED, .count = 400 },
	};
	size_t size = 0;

	if (index >= PN_COUNT(messages))
		return 0;
	pn_assert(room >= PN_NATIVE_BYTES_MAX);
	pn_assert(pn_native_encode(&messages[index], bytes, &size, NULL) == PN_OK);
	return size;
}

const unsigned fuzz_places = 1000;
