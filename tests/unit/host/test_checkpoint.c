/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A checkpoint is read back as it was, or the one before it is, or none is believed. */
#include "../../../pipeline/host/checkpoint.h"

#include "testkit.h"

#include <stdlib.h>
#include <string.h>

static struct pn_checkpoint numbered(uint64_t n)
{
	return (struct pn_checkpoint){ .next_in = { n }, .next_out = { n, 2 * n },
				       .counts = { .taken = n } };
}

static void write_one(struct pn_checkpoint_files *files, uint64_t n)
{
	struct pn_checkpoint checkpoint = numbered(n);
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	for (uint64_t i = 0; i < n; i++) /* later ones are larger */
		assert_int_equal(pn_blob_put(&blob, &n, sizeof n), PN_OK);
	assert_int_equal(pn_checkpoint_write(files, &checkpoint, &blob, &err), PN_OK);
	pn_blob_finish(&blob);
}

/* Which checkpoint is found in freshly opened files; 0: none. */
static uint64_t read_one(const char *path)
{
	struct pn_checkpoint_files files = { 0 };
	struct pn_checkpoint out = { 0 };
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	assert_int_equal(pn_checkpoint_open(&files, path, &err), PN_OK);
	int rc = pn_checkpoint_read(&files, &out, &blob, &err);
	pn_checkpoint_close(&files);
	if (rc) {
		assert_int_equal(rc, PN_ENOENT);
		assert_non_null(strstr(err.text, "no checkpoint that can be believed"));
		return 0;
	}
	uint64_t n = out.counts.taken;
	assert_int_equal(blob.bytes, n * sizeof n);
	for (uint64_t i = 0; i < n; i++)
		assert_memory_equal(blob.data + i * sizeof n, &n, sizeof n);
	assert_int_equal(out.next_out[1], 2 * n);
	pn_blob_finish(&blob);
	return n;
}

static void the_newest_whole_one_is_found(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "track");
	struct pn_checkpoint_files files = { 0 };
	struct pn_error err = { 0 };
	size_t count;

	assert_int_equal(read_one(path), 0);
	assert_int_equal(pn_checkpoint_open(&files, path, &err), PN_OK);
	for (uint64_t n = 1; n <= 5; n++) {
		write_one(&files, n);
		assert_int_equal(read_one(path), n);
	}
	pn_checkpoint_close(&files);

	/* the fifth lies in the second file; whatever happens to it, the fourth is still there */
	const char *newest = testkit_path(dir, "track.1");
	char *bytes = testkit_read(newest, &count);
	for (size_t n = 0; n < count; n++) {
		testkit_write(newest, bytes, n);
		assert_int_equal(read_one(path), 4);
	}
	for (size_t n = 0; n < count; n += 3) {
		bytes[n] ^= 0x10;
		testkit_write(newest, bytes, count);
		assert_int_equal(read_one(path), 4);
		bytes[n] ^= 0x10;
	}
	free(bytes);
	testkit_write(newest, "", 0);
	testkit_write(testkit_path(dir, "track.0"), "x", 1);
	assert_int_equal(read_one(path), 0);
}

static void writing_goes_on_after_a_restart(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "x");
	struct pn_error err = { 0 };

	for (uint64_t n = 1; n <= 9; n++) {
		struct pn_checkpoint_files files = { 0 };
		struct pn_checkpoint old;
		struct pn_blob blob = { 0 };

		assert_int_equal(pn_checkpoint_open(&files, path, &err), PN_OK);
		pn_checkpoint_read(&files, &old, &blob, &err);
		pn_blob_finish(&blob);
		write_one(&files, n);
		pn_checkpoint_close(&files);
		assert_int_equal(read_one(path), n);
	}
	struct pn_checkpoint_files files = { 0 };
	struct pn_checkpoint old;
	struct pn_blob blob = { 0 };
	assert_int_equal(pn_checkpoint_open(&files, path, &err), PN_OK);
	assert_int_equal(pn_checkpoint_read(&files, &old, &blob, &err), PN_OK);
	assert_int_equal(pn_checkpoint_forget(&files, &err), PN_OK);
	assert_int_equal(read_one(path), 0);
	write_one(&files, 1);
	assert_int_equal(files.generation, old.generation + 1);
	pn_checkpoint_close(&files);
	pn_blob_finish(&blob);
	assert_int_equal(read_one(path), 1);
	struct pn_checkpoint_files none = { 0 };
	assert_int_equal(pn_checkpoint_open(&none, "/no/such/dir/x", &err), PN_ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_whole_one_is_found),
		cmocka_unit_test(writing_goes_on_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
