/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recorded movie must come out as it lies in the file, with exact times, and then end. */
#include "kit.h"

#include <unistd.h>

static const char *movie(unsigned count)
{
	const char *path = testkit_path(testkit_tempdir(), "movie.npy");

	kit_npy(path, 1, count);
	return path;
}

static void test_all_frames(void **state)
{
	struct pn_source *source = kit_openf("file:%s", movie(7));
	struct pn_frames_head head;

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		kit_expect_frame(source, i, 1, i, &head);
		assert_true(isnan(head.pixel_pm) && isnan(head.dose_e_per_A2));
		assert_true(isnan(head.energy_keV) && isnan(head.tilt_deg));
	}
	kit_expect(source, PN_EEND, "");
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
}

static void test_parameters_reach_the_head(void **state)
{
	struct pn_source *source =
		kit_openf("file:%s?pixel_pm=35.5&dose_e_per_A2=22&energy_keV=300", movie(1));
	struct pn_frames_head head;

	(void)state;
	kit_expect_frame(source, 0, 1, 0, &head);
	assert_true(head.pixel_pm == 35.5 && head.dose_e_per_A2 == 22 && head.energy_keV == 300);
	assert_true(isnan(head.tilt_deg));
	pn_source_close(source);
}

/* The angles of a tilt series come along, one for every so many images. */
static void test_angles(void **state)
{
	const char *dir = testkit_tempdir(), *path = movie(6);
	const char *angles = testkit_path(dir, "angles.csv");
	struct pn_frames_head head;
	char uri[512];

	(void)state;
	testkit_write(angles, "theta_deg\n-60\n0.5\n60\n", 21);
	snprintf(uri, sizeof uri, "%s?frames_per_tilt=2&angles=%s", path, angles);
	struct pn_source *source = kit_openf("file:%s", uri);

	for (unsigned i = 0; i < 6; i++) {
		kit_expect_frame(source, i, 1, i, &head);
		assert_true(head.tilt_deg == (i < 2 ? -60 : i < 4 ? 0.5 : 60));
	}
	pn_source_close(source);
	snprintf(uri, sizeof uri, "%s?first=2&frames_per_tilt=2&angles=%s", path, angles);
	source = kit_openf("file:%s", uri);
	kit_expect_frame(source, 0, 1, 2, &head);
	assert_true(head.tilt_deg == 0.5);
	pn_source_close(source);
	snprintf(uri, sizeof uri, "file:%s?angles=%s", path, angles);
	kit_refuse(uri, PN_EARG, "3 angles");
	snprintf(uri, sizeof uri, "file:%s?frames_per_tilt=4&angles=%s", path, angles);
	kit_refuse(uri, PN_EARG, "no whole number");
}

/* |t - n 1e9/fps| <= 1/2 in integers, and halves go up: 3 frames a microsecond and a half apart. */
static void test_time_is_rounded_exactly(void **state)
{
	struct pn_error err = { 0 };
	struct pn_msg msg;
	struct pn_source *source = kit_openf("file:%s?fps=29.97&loop=1000000000", movie(2));

	(void)state;
	for (uint64_t n = 1; n < 2000000000; n = n * 3 + 1) {
		kit_seek(source, n);
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
		__int128 off = (__int128)msg.time_ns * 2997 - (__int128)n * 100000000000;

		assert_true(2 * off <= 2997 && 2 * off >= -2997);
	}
	pn_source_close(source);
	source = kit_openf("file:%s?fps=400000", movie(4));
	for (unsigned n = 0; n < 4; n++) {
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
		assert_int_equal(msg.time_ns, 2500 * n);
	}
	pn_source_close(source);
	/* 1e9/640000 = 1562.5 */
	source = kit_openf("file:%s?fps=640000", movie(4));
	kit_seek(source, 1);
	assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
	assert_int_equal(msg.time_ns, 1563);
	pn_source_close(source);
}

static void test_part_and_loop(void **state)
{
	struct pn_source *source = kit_openf("file:%s?first=2&count=3&loop=2&fps=1000", movie(7));
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		kit_expect_frame(source, i, 1, 2 + i % 3, NULL);
	kit_expect(source, PN_EEND, "");
	kit_seek(source, 4);
	assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
	assert_int_equal(msg.time_ns, 4000000);
	pn_source_close(source);
}

static void test_seek(void **state)
{
	struct pn_source *source = kit_openf("file:%s", movie(7));
	struct pn_error err = { 0 };

	(void)state;
	kit_seek(source, 5);
	kit_expect_frame(source, 5, 1, 5, NULL);
	kit_seek(source, 0);
	kit_expect_frame(source, 0, 1, 0, NULL);
	assert_int_equal(pn_source_seek(source, 8, &err), PN_EARG);
	kit_expect_frame(source, 1, 1, 1, NULL); /* a refused seek changes nothing */
	kit_seek(source, 7);
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
}

static void test_bad_words(void **state)
{
	const char *path = movie(3), *dir = testkit_tempdir();
	char uri[512];

	(void)state;
	static const struct {
		const char *query, *word;
	} bad[] = {
		{ "?fps=0", "fps" },           { "?first=3", "holds 3" },
		{ "?first=-1", "first" },      { "?first=1&count=3", "holds 3" },
		{ "?count=4", "holds 3" },     { "?loop=0", "loop" },
		{ "?pixel_pm=x", "pixel_pm" },
	};

	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		snprintf(uri, sizeof uri, "file:%s%s", path, bad[i].query);
		kit_refuse(uri, PN_EARG, bad[i].word);
	}
	snprintf(uri, sizeof uri, "file:%s", testkit_path(dir, "none.npy"));
	kit_refuse(uri, PN_ENOENT, "none.npy");
	snprintf(uri, sizeof uri, "file:%s", testkit_path(dir, "text.npy"));
	testkit_write(testkit_path(dir, "text.npy"), "hello", 5);
	kit_refuse(uri, PN_EFORMAT, "text.npy");
	snprintf(uri, sizeof uri, "file:%s", testkit_path(dir, "lying.npy"));
	kit_npy_lying(testkit_path(dir, "lying.npy"), 1, 10, 5);
	kit_refuse(uri, PN_EFORMAT, "lying.npy");
}

/* A file cut short under the reader costs the frames that are gone, not the stream. */
static void test_frame_that_cannot_be_read(void **state)
{
	const char *path = movie(5);
	struct pn_source *source = kit_openf("file:%s?loop=2", path);

	(void)state;
	kit_expect_frame(source, 0, 1, 0, NULL);
	assert_int_equal(truncate(path, 128 + 3 * KIT_PIXELS * 2 + 7), 0);
	kit_expect_frame(source, 1, 1, 1, NULL);
	kit_expect_frame(source, 2, 1, 2, NULL);
	kit_expect(source, PN_EFRAME, "movie.npy");
	kit_expect(source, PN_EFRAME, "movie.npy");
	kit_expect_frame(source, 5, 1, 0, NULL);
	pn_source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_frames),
		cmocka_unit_test(test_parameters_reach_the_head),
		cmocka_unit_test(test_angles),
		cmocka_unit_test(test_time_is_rounded_exactly),
		cmocka_unit_test(test_part_and_loop),
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_frame_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
