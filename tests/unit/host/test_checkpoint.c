/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A checkpoint is read back as it was, or not believed at all. */
#include "../../../pipeline/host/checkpoint.h"

#include "testkit.h"

#include <stdlib.h>
#include <string.h>

static void whole_or_not_at_all(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "track");
	struct pn_checkpoint in = { .next_in = { 7 }, .next_out = { 5, 6 }, .counts = { .taken = 7 } };
	struct pn_checkpoint out;
	struct pn_blob blob = { 0 }, back = { 0 };
	struct pn_error err = { 0 };
	size_t count;

	assert_int_equal(pn_checkpoint_read(path, &out, &back, &err), PN_ENOENT);
	assert_int_equal(pn_blob_put(&blob, "state of the stage", 18), PN_OK);
	assert_int_equal(pn_checkpoint_write(path, &in, &blob, &err), PN_OK);
	assert_int_equal(pn_checkpoint_read(path, &out, &back, &err), PN_OK);
	assert_memory_equal(&in, &out, sizeof in);
	assert_int_equal(back.bytes, 18);
	assert_memory_equal(back.data, "state of the stage", 18);
	pn_blob_finish(&back);

	char *bytes = testkit_read(path, &count);
	const char *torn = testkit_path(dir, "torn");
	for (size_t n = 0; n < count; n++) {
		testkit_write(torn, bytes, n);
		assert_int_equal(pn_checkpoint_read(torn, &out, &back, &err), PN_ECORRUPT);
		pn_blob_finish(&back);
	}
	for (size_t n = 0; n < count; n += 3) {
		bytes[n] ^= 0x10;
		testkit_write(torn, bytes, count);
		assert_int_equal(pn_checkpoint_read(torn, &out, &back, &err), PN_ECORRUPT);
		pn_blob_finish(&back);
		bytes[n] ^= 0x10;
	}
	free(bytes);
	pn_blob_finish(&blob);
}

static void an_absurd_size_is_not_allocated(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "x");
	struct pn_checkpoint out;
	struct pn_blob back = { 0 };
	struct pn_error err = { 0 };
	unsigned char junk[4096];

	memset(junk, 0xff, sizeof junk);
	testkit_write(path, junk, sizeof junk);
	assert_int_equal(pn_checkpoint_read(path, &out, &back, &err), PN_ECORRUPT);
	assert_int_equal(pn_checkpoint_write("/no/such/dir/x", &(struct pn_checkpoint){ 0 }, &back, &err),
			 PN_ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_or_not_at_all),
		cmocka_unit_test(an_absurd_size_is_not_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
