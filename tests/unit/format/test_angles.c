/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Angles files of every kind are read; those that cannot be meant are told with their lines. */
#include "perrin/format/angles.h"

#include "testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dir;

static const char *put(const char *text)
{
	const char *path = testkit_path(dir, "angles.csv");

	testkit_write(path, text, strlen(text));
	return path;
}

static struct pn_angles must_read(const char *path, const struct pn_angles_rules *rules)
{
	struct pn_error err = { 0 };
	struct pn_angles angles;

	if (pn_angles_read(&angles, path, rules, &err) != PN_OK)
		fail_msg("%s", err.text);
	return angles;
}

static void must_hold(const char *text, size_t count, const double (*want)[3], int unsorted)
{
	struct pn_angles angles = must_read(put(text), NULL);

	assert_int_equal(angles.count, count);
	assert_int_equal(angles.unsorted, unsorted);
	for (size_t i = 0; i < count; i++)
		for (int k = 0; k < 3; k++)
			assert_true(angles.angle_deg[i][k] == want[i][k]);
	pn_angles_free(&angles);
	assert_null(angles.angle_deg);
	pn_angles_free(&angles);
}

static void refuse_by(const char *text, const struct pn_angles_rules *rules, int code,
		      const char *words)
{
	struct pn_error err = { 0 };
	struct pn_angles angles;
	int status = pn_angles_read(&angles, put(text), rules, &err);

	if (status != code || !strstr(err.text, words) || !strstr(err.text, "angles.csv"))
		fail_msg("got %s \"%s\", want %s \"%s\"", pn_status_name(status), err.text,
			 pn_status_name(code), words);
	assert_null(angles.angle_deg);
	assert_int_equal(angles.count, 0);
}

static void refuse(const char *text, const char *words)
{
	refuse_by(text, NULL, PN_EFORMAT, words);
}

static void every_kind_of_file(void **state)
{
	(void)state;
	static const double three[3][3] = { { 1, -60, 3 }, { 4, 0.5, -6 }, { 0, 60, 0 } };
	static const double theta[3][3] = { { 0, -60, 0 }, { 0, 0.5, 0 }, { 0, 60, 0 } };
	static const double two[3][3] = { { 0, -60, 3 }, { 0, 0.5, -6 }, { 0, 60, 0 } };

	must_hold("phi_deg,theta_deg,psi_deg\n1,-60,3\n4,0.5,-6\n0,60,0\n", 3, three, 0);
	must_hold("psi_deg,phi_deg,theta_deg\n3,1,-60\n-6,4,0.5\n0,0,60\n", 3, three, 0);
	must_hold(" phi_deg , theta_deg\t,psi_deg \r\n 1,\t-6e1 , 3\r\n4 ,+.5,-6.\r\n0,60,0", 3,
		  three, 0);
	must_hold("theta_deg\n-60\n0.5\n60\n", 3, theta, 0);
	must_hold("theta_deg,psi_deg\n-60,3\n0.5,-6\n60,0\n", 3, two, 0);
	must_hold("-60\n0.5\n60", 3, theta, 0);
	must_hold("  -60.0\n   0.50\n  60.0\n\n", 3, theta, 0);
	must_hold("\xef\xbb\xbf# by hand\n\ntheta_deg\n# first\n-60\n\n0.5\n \n60\n#\n", 3, theta,
		  0);
	must_hold("-60\r0.5\r60\r", 3, theta, 0);
	must_hold("-60", 1, theta, 0);
}

static void order_is_told(void **state)
{
	(void)state;
	static const double falls[3][3] = { { 0, 60, 0 }, { 0, 1, 0 }, { 0, -60, 0 } };
	static const double turns[3][3] = { { 0, 0, 0 }, { 0, 3, 0 }, { 0, -3, 0 } };

	must_hold("60\n1\n-60\n", 3, falls, 0);
	must_hold("0\n3\n-3\n", 3, turns, 1);
}

static void wrong_lines(void **state)
{
	(void)state;
	refuse("", "no angle");
	refuse("# nothing\n\n", "no angle");
	refuse("theta_deg\n", "no angle");
	refuse("1\n2\nthree\n", "line 3: \"three\" is not a number");
	refuse("1\n\n# x\n2x\n", "line 4: \"2x\" is not a number");
	refuse("1\n2 3\n", "line 2: \"2 3\" is not a number");
	refuse("1\n2,3\n", "line 2: more than 1 column");
	refuse("1\n2,\n", "line 2: more than 1 column");
	refuse("1\nnan\n", "line 2: \"nan\" is not a number");
	refuse("1\n0x10\n", "line 2: \"0x10\"");
	refuse("1\n1e999\n", "line 2: \"1e999\" is not a number");
	refuse("theta_deg,psi_deg\n1,2\n3\n", "line 3: fewer than 2 columns");
	refuse("theta_deg,psi_deg\n1,2,3\n", "line 2: more than 2 columns");
	refuse("theta_deg,psi_deg\n1,\n", "line 2: \"\" is not a number");
	refuse("theta_deg,tilt\n1,2\n", "line 1: column \"tilt\": known are phi_deg");
	refuse("theta_rad\n1\n", "line 1: column \"theta_rad\"");
	refuse("\"theta_deg\"\n1\n", "line 1: column \"\"theta_deg\"\"");
	refuse("theta_deg,,psi_deg\n1,2,3\n", "line 1: column \"\"");
	refuse("theta_deg,theta_deg\n1,2\n", "line 1: column theta_deg twice");
	refuse("phi_deg,psi_deg\n1,2\n", "line 1: no column theta_deg");
	refuse("1\n360.5\n", "line 2: 360.5 degrees are more than a turn");
	refuse("phi_deg,theta_deg\n1,2\n-361,3\n", "line 3: -361 degrees");
	refuse_by("1\n2\n", &(struct pn_angles_rules){ .count = 3 }, PN_EARG,
		  "angles.csv: 2 angles, the series has 3 images");
	refuse_by("1\n2\n", &(struct pn_angles_rules){ .count = 1, .stack = "tilts.mrc" }, PN_EARG,
		  "angles.csv: 2 angles, tilts.mrc has 1 images");
	struct pn_angles angles = must_read(put("1\n360\n-360\n"), &(struct pn_angles_rules){ 3 });
	pn_angles_free(&angles);
}

static void doubled_angles(void **state)
{
	(void)state;
	struct pn_angles_rules rules = { .doubles = 1 };

	refuse("# x\n10\n-20\n30\n-20.0009\n", "lines 3 and 5 give the same angle, -20");
	refuse("0\n5\n0\n", "lines 1 and 3 give the same angle, 0");
	struct pn_angles angles = must_read(put("10\n-20\n30\n-20\n"), &rules);
	assert_int_equal(angles.count, 4);
	pn_angles_free(&angles);
	angles = must_read(put("10\n-20\n30\n-20.0011\n"), NULL);
	pn_angles_free(&angles);
	/* about another axis it is another view */
	angles = must_read(put("phi_deg,theta_deg\n0,10\n0,20\n90,10\n90,20\n"), NULL);
	pn_angles_free(&angles);
	refuse("phi_deg,theta_deg\n0,10\n90,10\n0,10.0005\n", "lines 2 and 4");
}

static void put_series(char *text, size_t room, double from, double step, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += (size_t)snprintf(text + n, room - n, "%.6f\n", from + i * step);
}

static void radians(void **state)
{
	(void)state;
	char text[2000];

	put_series(text, sizeof text, -1.22, 0.0349, 70);
	refuse(text, "angles look like radians, largest 1.22; give degrees");
	put_series(text, sizeof text, 0, 0.05236, 60);
	refuse(text, "radians, largest 3.09");
	/* few, or far apart, or hardly tilted, or more than half a turn */
	put_series(text, sizeof text, -0.5, 0.1, 5);
	struct pn_angles angles = must_read(put(text), NULL);
	pn_angles_free(&angles);
	put_series(text, sizeof text, -3, 0.25, 20);
	angles = must_read(put(text), NULL);
	pn_angles_free(&angles);
	put_series(text, sizeof text, -0.25, 0.05, 10);
	angles = must_read(put(text), NULL);
	pn_angles_free(&angles);
	put_series(text, sizeof text, -3.5, 0.1, 40);
	angles = must_read(put(text), NULL);
	pn_angles_free(&angles);
}

static void files_that_are_no_text(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct pn_angles angles;
	const char *path = testkit_path(dir, "image.mrc");
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fseek(f, 17 << 20, SEEK_SET), 0);
	fputc(0, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(pn_angles_read(&angles, path, NULL, &err), PN_EFORMAT);
	assert_non_null(strstr(err.text, "17825793 bytes are no list of angles"));
	testkit_write(path, "1\n2\0\n", 5);
	assert_int_equal(pn_angles_read(&angles, path, NULL, &err), PN_EFORMAT);
	assert_non_null(strstr(err.text, "NUL"));
	assert_int_equal(pn_angles_read(&angles, testkit_path(dir, "absent"), NULL, &err),
			 PN_ENOENT);
	assert_int_equal(pn_angles_read(&angles, dir, NULL, &err), PN_EUNSUPPORTED);
	/* one more than may be */
	char *text = malloc(10 * (PN_ANGLES_MAX + 1));
	size_t n = 0;
	assert_non_null(text);
	for (int i = 0; i <= PN_ANGLES_MAX; i++)
		n += (size_t)sprintf(text + n, "%.3f\n", i * 0.005);
	refuse(text, "line 65537: more than 65536 angles");
	free(text);
}

static void files_of_the_reference_data(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t count;
		double first[3], last_theta;
	} files[] = {
		{ "tilt_haadf_needle64/angles.csv", 91, { 0, -90, 0 }, 90 },
		{ "ta_area21/angles.csv", 46, { -0.2, -63.000469, 0.2 }, 55.898777 },
		{ "sim_FePt321_prismatic/angles.csv", 37, { 0, -90, 0 }, 90 },
		{ "sim_aSi208/angles.csv", 60, { 0, 0, 0 }, 177 },
		{ "sim_mg_sample64/angles.csv", 41, { 0, -70, 0 }, 70 },
	};

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		const char *path = testkit_data(files[i].name);

		if (!path)
			skip();
		struct pn_angles angles =
			must_read(path, &(struct pn_angles_rules){ .count = files[i].count });
		assert_memory_equal(angles.angle_deg[0], files[i].first, sizeof files[i].first);
		assert_true(fabs(angles.angle_deg[angles.count - 1][1] - files[i].last_theta) <
			    1e-6);
		assert_int_equal(angles.unsorted, 0);
		pn_angles_free(&angles);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_file),
		cmocka_unit_test(order_is_told),
		cmocka_unit_test(wrong_lines),
		cmocka_unit_test(doubled_angles),
		cmocka_unit_test(radians),
		cmocka_unit_test(files_that_are_no_text),
		cmocka_unit_test(files_of_the_reference_data),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
