/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ceiling of the disk writes all its bytes in a time above 0, leaves no file, refuses nonsense.
 */
#include "perrin/stream/ceiling.h"
#include "testkit.h"

#include <unistd.h>

static void writes_and_leaves_nothing(void **state)
{
	const char *path = testkit_path(testkit_tempdir(), "blocks");
	/* more blocks than writes under way, and a number that is no multiple of them */
	struct pn_disk_ceiling ceiling = { .total_bytes = 13 * 8192,
					   .block_bytes = 8192,
					   .in_flight = 4 };
	struct pn_error err = { 0 };
	int rc = pn_disk_ceiling(path, &ceiling, &err);

	(void)state;
	if (rc == PN_EUNSUPPORTED)
		skip();
	assert_int_equal(rc, PN_OK);
	assert_true(ceiling.seconds > 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void refuses_what_cannot_be_written(void **state)
{
	static const struct pn_disk_ceiling bad[] = {
		{ .total_bytes = 8192, .block_bytes = 0, .in_flight = 1 },
		{ .total_bytes = 8192, .block_bytes = 512, .in_flight = 1 },
		{ .total_bytes = 8192 + 4096, .block_bytes = 8192, .in_flight = 1 },
		{ .total_bytes = 8192, .block_bytes = 8192, .in_flight = 0 },
		{ .total_bytes = 8192, .block_bytes = 8192, .in_flight = 65 },
	};
	const char *path = testkit_path(testkit_tempdir(), "blocks");
	struct pn_error err = { 0 };

	(void)state;
	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		struct pn_disk_ceiling ceiling = bad[i];

		assert_int_equal(pn_disk_ceiling(path, &ceiling, &err), PN_EARG);
		assert_int_equal(access(path, F_OK), -1);
	}
	struct pn_disk_ceiling good = { .total_bytes = 4096, .block_bytes = 4096, .in_flight = 1 };
	assert_int_equal(pn_disk_ceiling("/no/such/folder/blocks", &good, &err), PN_ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_and_leaves_nothing),
		cmocka_unit_test(refuses_what_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
