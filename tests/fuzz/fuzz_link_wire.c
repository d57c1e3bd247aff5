/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes through a link's socket is anybody's; no bytes may hurt, and what decodes is stable.
 */
#include "../../src/io/link/link_wire.h"

#include "fuzz.h"

#include <string.h>

union any {
	struct pn_wire_pull pull;
	struct pn_wire_available available;
	struct pn_wire_record record;
	struct pn_wire_failure failure;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pn_schema *const schemas[] = { &pn_wire_pull_schema,
							   &pn_wire_available_schema,
							   &pn_wire_record_schema,
							   &pn_wire_failure_schema };

	for (unsigned i = 0; i < PN_COUNT(schemas); i++) {
		union any head, again;
		char bytes[PN_WIRE_BYTES_MAX];
		size_t count = 0;

		memset(&head, 0, sizeof head);
		memset(&again, 0, sizeof again);
		if (pn_head_decode(schemas[i], data, size, &head, NULL))
			continue;
		pn_assert(pn_head_encode(schemas[i], &head, bytes, sizeof bytes, &count, NULL) ==
			  PN_OK);
		pn_assert(pn_wire_kind(bytes, count) == schemas[i]);
		pn_assert(pn_head_decode(schemas[i], bytes, count, &again, NULL) == PN_OK);
		pn_assert(memcmp(&head, &again, sizeof head) == 0);
	}
	pn_wire_kind(data, size);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const struct pn_wire_pull pull = {
		.from = 70000, .credit = 32, .policy = 1, .with_records = 1
	};
	static const struct pn_wire_available available = { .count = 5, .ended = 1 };
	static const struct pn_wire_record record = { .seq = 300, .time_ns = -1, .arrival_ns = 1 };
	static const struct pn_wire_failure failure = { .code = PN_EIO,
							.text = "frames: record 3" };
	const void *const heads[] = { &pull, &available, &record, &failure };
	const struct pn_schema *const schemas[] = { &pn_wire_pull_schema, &pn_wire_available_schema,
						    &pn_wire_record_schema,
						    &pn_wire_failure_schema };
	size_t size = 0;

	if (index >= PN_COUNT(heads))
		return 0;
	pn_assert(pn_head_encode(schemas[index], heads[index], bytes, room, &size, NULL) == PN_OK);
	return size;
}

const unsigned fuzz_places = 1000;
