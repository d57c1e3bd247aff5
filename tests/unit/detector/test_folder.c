/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A camera that writes files must be followed: each image once, in order, whatever else lies there.
 */
#include "kit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Write as careful cameras do: under another name, then rename. */
static void arrive(const char *dir, const char *name, unsigned seed, unsigned count)
{
	const char *part = testkit_path(dir, ".unfinished");

	kit_npy(part, seed, count);
	assert_int_equal(rename(part, testkit_path(dir, name)), 0);
}

static void test_files_that_are_there(void **state)
{
	const char *dir = testkit_tempdir();

	(void)state;
	kit_npy(testkit_path(dir, "c.npy"), 3, 1);
	kit_npy(testkit_path(dir, "a.npy"), 1, 2);
	kit_npy(testkit_path(dir, "b.npy"), 2, 1);
	testkit_write(testkit_path(dir, "end"), "", 0);
	struct pn_source *source = kit_openf("folder:%s", dir);

	kit_expect_frame(source, 0, 1, 0, NULL);
	kit_expect_frame(source, 1, 1, 1, NULL);
	kit_expect_frame(source, 2, 2, 0, NULL);
	kit_expect_frame(source, 3, 3, 0, NULL);
	kit_expect(source, PN_EEND, "");
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
}

static void test_files_that_arrive(void **state)
{
	const char *dir = testkit_tempdir();
	struct pn_source *source = kit_openf("folder:%s?fps=1000&energy_keV=300", dir);
	struct pn_frames_head head;

	(void)state;
	kit_expect(source, PN_EAGAIN, "");
	arrive(dir, "m.npy", 1, 1);
	pn_source_wait(source, 0, 3600 * PN_NS_PER_S); /* there is something: returns at once */
	kit_expect_frame(source, 0, 1, 0, &head);
	assert_true(head.energy_keV == 300 && isnan(head.pixel_pm));
	kit_expect(source, PN_EAGAIN, "");
	/* closed after writing counts, too; complete at the same time: by name */
	kit_npy(testkit_path(dir, "z.npy"), 4, 1);
	arrive(dir, "k.npy", 2, 2);
	kit_expect_frame(source, 1, 2, 0, NULL);
	/* an earlier name that comes later does not get between the images of one file */
	arrive(dir, "a.npy", 3, 1);
	kit_expect_frame(source, 2, 2, 1, NULL);
	kit_expect_frame(source, 3, 3, 0, NULL);
	kit_expect_frame(source, 4, 4, 0, NULL);
	kit_expect(source, PN_EAGAIN, "");
	/* a name is taken once */
	arrive(dir, "a.npy", 9, 1);
	kit_expect(source, PN_EAGAIN, "");
	testkit_write(testkit_path(dir, "end"), "", 0);
	arrive(dir, "zz.npy", 5, 1);
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
}

static void test_file_counts_when_closed(void **state)
{
	const char *dir = testkit_tempdir(), *whole = testkit_path(testkit_tempdir(), "w.npy");
	struct pn_source *source = kit_openf("folder:%s", dir);
	size_t count;

	(void)state;
	kit_npy(whole, 7, 2);
	char *bytes = testkit_read(whole, &count);
	FILE *file = fopen(testkit_path(dir, "slow.npy"), "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, count / 2, file), count / 2);
	fflush(file);
	kit_expect(source, PN_EAGAIN, "");
	assert_int_equal(fwrite(bytes + count / 2, 1, count - count / 2, file), count - count / 2);
	fflush(file);
	kit_expect(source, PN_EAGAIN, "");
	fclose(file);
	kit_expect_frame(source, 0, 7, 0, NULL);
	kit_expect_frame(source, 1, 7, 1, NULL);
	free(bytes);
	pn_source_close(source);
}

static void test_bad_files_go_by(void **state)
{
	const char *dir = testkit_tempdir();

	(void)state;
	kit_npy(testkit_path(dir, "1.npy"), 1, 1);
	kit_npy_lying(testkit_path(dir, "2.npy"), 2, 10, 5);
	testkit_write(testkit_path(dir, "3.txt"), "notes", 5);
	kit_npy(testkit_path(dir, "4.npy"), 4, 1);
	kit_npy(testkit_path(dir, "5.npy.part"), 5, 1);
	kit_npy(testkit_path(dir, "5.npy.tmp"), 5, 1);
	kit_npy(testkit_path(dir, ".6.npy"), 6, 1);
	assert_int_equal(mkdir(testkit_path(dir, "7.npy"), 0777), 0);
	assert_int_equal(mkfifo(testkit_path(dir, "8.npy"), 0666), 0);
	struct pn_source *source = kit_openf("folder:%s", dir);

	kit_expect_frame(source, 0, 1, 0, NULL);
	kit_expect(source, PN_EFRAME, "2.npy");
	kit_expect(source, PN_EFRAME, "3.txt");
	kit_expect_frame(source, 3, 4, 0, NULL);
	kit_expect(source, PN_EAGAIN, "");
	/* bad stays bad: what was told of a message must not change */
	kit_npy(testkit_path(dir, "2.npy"), 2, 3);
	kit_expect(source, PN_EAGAIN, "");
	kit_seek(source, 1);
	kit_expect(source, PN_EFRAME, "2.npy");
	kit_expect(source, PN_EFRAME, "3.txt");
	kit_expect_frame(source, 3, 4, 0, NULL);
	pn_source_close(source);

	source = kit_openf("folder:%s?suffix=.npy", dir);
	kit_expect_frame(source, 0, 1, 0, NULL);
	kit_expect_frame(source, 1, 2, 0, NULL);
	kit_expect_frame(source, 2, 2, 1, NULL);
	kit_expect_frame(source, 3, 2, 2, NULL);
	kit_expect_frame(source, 4, 4, 0, NULL);
	pn_source_close(source);
}

static void test_seek(void **state)
{
	const char *dir = testkit_tempdir();
	struct pn_source *source = kit_openf("folder:%s", dir);
	struct pn_error err = { 0 };

	(void)state;
	kit_seek(source, 0);
	assert_int_equal(pn_source_seek(source, 1, &err), PN_ENOENT);
	arrive(dir, "b.npy", 1, 3); /* 0 1 2 */
	kit_expect_frame(source, 0, 1, 0, NULL);
	arrive(dir, "a.npy", 2, 2); /* 3 4 */
	kit_seek(source, 4);
	kit_expect_frame(source, 4, 2, 1, NULL);
	kit_expect(source, PN_EAGAIN, "");
	kit_seek(source, 1);
	kit_expect_frame(source, 1, 1, 1, NULL);
	assert_int_equal(pn_source_seek(source, 6, &err), PN_ENOENT);
	kit_expect_frame(source, 2, 1, 2, NULL); /* a refused seek changes nothing */
	kit_expect_frame(source, 3, 2, 0, NULL);
	kit_seek(source, 5);
	kit_expect(source, PN_EAGAIN, "");
	arrive(dir, "0.npy", 3, 1);
	kit_expect_frame(source, 5, 3, 0, NULL);
	/* a file that shrinks or goes costs its images */
	kit_npy(testkit_path(dir, "b.npy"), 1, 2);
	assert_int_equal(unlink(testkit_path(dir, "a.npy")), 0);
	kit_seek(source, 2);
	kit_expect(source, PN_EFRAME, "had 3");
	kit_expect(source, PN_EFRAME, "a.npy");
	kit_expect(source, PN_EFRAME, "a.npy");
	kit_expect_frame(source, 5, 3, 0, NULL);
	pn_source_close(source);
}

/* After a restart the folder alone tells the order. */
static void test_order_of_time(void **state)
{
	const char *dir = testkit_tempdir();
	static const char *const names[] = { "c.npy", "a.npy", "b.npy" };
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const char *path = testkit_path(dir, names[i]);
		struct timespec times[2] = { { .tv_sec = 1000 + i, .tv_nsec = 5 },
					     { .tv_sec = 1000 + i, .tv_nsec = 5 } };

		kit_npy(path, i, 2);
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
	struct pn_source *source = kit_openf("folder:%s?order=time&fps=0", dir);

	kit_seek(source, 3);
	kit_expect_frame(source, 3, 1, 1, NULL);
	kit_expect_frame(source, 4, 2, 0, NULL);
	kit_seek(source, 0);
	assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
	assert_int_equal(msg.time_ns, 1000 * PN_NS_PER_S + 5);
	kit_expect_frame(source, 1, 0, 1, NULL);
	arrive(dir, "0.npy", 7, 1);
	kit_seek(source, 6);
	kit_expect_frame(source, 6, 7, 0, NULL);
	pn_source_close(source);
}

static void test_ends(void **state)
{
	const char *dir = testkit_tempdir();
	char uri[512];

	(void)state;
	kit_npy(testkit_path(dir, "a.npy"), 1, 1);
	struct pn_source *source = kit_openf("folder:%s?idle_s=0.001", dir);
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc;

	kit_expect_frame(source, 0, 1, 0, NULL);
	while ((rc = pn_source_next(source, 0, &msg, &err)) == PN_EAGAIN)
		pn_source_wait(source, 0, 3600 * PN_NS_PER_S);
	assert_int_equal(rc, PN_EEND);
	arrive(dir, "b.npy", 2, 1);
	kit_expect(source, PN_EEND, ""); /* the end has been told */
	pn_source_close(source);

	snprintf(uri, sizeof uri, "folder:%s?end_name=STOP", dir);
	source = kit_open(uri);
	kit_seek(source, 2);
	kit_expect(source, PN_EAGAIN, "");
	testkit_write(testkit_path(dir, "STOP"), "", 0);
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
}

static void test_folder_that_is_none_or_goes(void **state)
{
	const char *dir = testkit_path(testkit_tempdir(), "gone"), *file;
	char uri[512];

	(void)state;
	snprintf(uri, sizeof uri, "folder:%s", dir);
	kit_refuse(uri, PN_ENOENT, "gone");
	kit_refuse("folder:/?nosuch=1", PN_EARG, "idle_s");
	file = testkit_path(testkit_tempdir(), "file");
	testkit_write(file, "", 0);
	snprintf(uri, sizeof uri, "folder:%s", file);
	kit_refuse(uri, PN_ENOENT, "Not a directory");

	assert_int_equal(mkdir(dir, 0777), 0);
	struct pn_source *source = kit_openf("folder:%s", dir);

	kit_expect(source, PN_EAGAIN, "");
	assert_int_equal(rmdir(dir), 0);
	kit_expect(source, PN_EIO, "moved or removed");
	pn_source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_that_are_there),
		cmocka_unit_test(test_files_that_arrive),
		cmocka_unit_test(test_file_counts_when_closed),
		cmocka_unit_test(test_bad_files_go_by),
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_order_of_time),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_folder_that_is_none_or_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
