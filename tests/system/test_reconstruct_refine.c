/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin reconstruct --refine, --half-sets, --coverage: what they find, what they refuse. */
#include "kit.h"

#include "perrin/base/rng.h"
#include "perrin/format/angles.h"
#include "perrin/format/stack.h"
#include "perrin/tomo/refine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TILTS = 25, N = 36, PIXELS = N * N };

static const char *dir;
static float image[TILTS][PIXELS];

/* ---- what it begins with ------------------------------------------------------------------- */

/* Atoms at random in a ball of 5 A, 2.4 A apart. */
static const char *write_ball(void)
{
	const char *path = testkit_path(dir, "ball.xyz");
	double at[40][3];
	static char text[4096];
	struct pn_rng rng;
	size_t atoms = 0;

	pn_rng_init(&rng, 3, 0);
	for (int tries = 0; tries < 4000 && atoms < 20; tries++) {
		double *r = at[atoms];
		int free;

		for (int i = 0; i < 3; i++)
			r[i] = 4 * (2 * pn_rng_uniform(&rng) - 1);
		free = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < 16;
		for (size_t k = 0; free && k < atoms; k++)
			free = hypot(hypot(r[0] - at[k][0], r[1] - at[k][1]), r[2] - at[k][2]) >
			       2.4;
		atoms += (size_t)free;
	}
	int used = snprintf(text, sizeof text, "%zu\n\n", atoms);

	for (size_t k = 0; k < atoms; k++)
		used += snprintf(text + used, sizeof text - (size_t)used, "Pt %.6f %.6f %.6f\n",
				 at[k][0], at[k][1], at[k][2]);
	testkit_write(path, text, (size_t)used);
	return path;
}

/* Tilts of 6 degrees; all three angles off by up to @off_deg. */
static const char *write_angles(const char *name, double off_deg)
{
	const char *path = testkit_path(dir, name);
	static char text[4096];
	struct pn_rng rng;
	int used = snprintf(text, sizeof text, "phi_deg,theta_deg,psi_deg\n");

	pn_rng_init(&rng, 7, 1);
	for (int k = 0; k < TILTS; k++) {
		double r[3];

		for (int i = 0; i < 3; i++)
			r[i] = off_deg * (2 * pn_rng_uniform(&rng) - 1);
		used += snprintf(text + used, sizeof text - (size_t)used, "%.9g,%.9g,%.9g\n", r[0],
				 -72 + 6.0 * k + r[1], r[2]);
	}
	testkit_write(path, text, (size_t)used);
	return path;
}

static void write_images(const char *path)
{
	const struct pn_stack_info info = {
		.dtype = PN_F32, .count = TILTS, .ny = N, .nx = N, .pixel_pm = 40, .format = "mrc"
	};
	struct pn_stack_writer *writer;
	struct pn_error err = { 0 };

	if (pn_stack_create(&writer, path, &info, &err))
		fail_msg("%s", err.text);
	for (size_t k = 0; k < TILTS; k++)
		assert_int_equal(pn_stack_write(writer, image[k], &err), PN_OK);
	assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
}

static void read_images(const char *path)
{
	struct pn_stack *stack;
	struct pn_error err = { 0 };

	if (pn_stack_open(&stack, path, &err))
		fail_msg("%s", err.text);
	for (size_t k = 0; k < TILTS; k++)
		assert_int_equal(pn_stack_read(stack, k, image[k], &err), PN_OK);
	pn_stack_close(stack);
}

/* Projections under the angles of @angles, of which every third is moved by a pixel or two. */
static const char *project(const char *angles, int moved)
{
	const char *path = testkit_path(dir, "tilts.mrc");
	struct kit_result r;

	PERRIN(&r, 0, "project", write_ball(), "--angles", angles, "--pixel-A", "0.4", "--ny", "36",
	       "--nx", "36", "--out", path, "--force");
	kit_free(&r);
	read_images(path);
	for (int k = 0; moved && k < TILTS; k += 3) {
		static float old[PIXELS];
		int x = k % 2 ? 1 : -1, y = k % 4 < 2 ? 2 : -1;

		memcpy(old, image[k], sizeof old);
		for (int i = 0; i < PIXELS; i++) {
			int from_y = i / N - y, from_x = i % N - x;
			int inside = from_y >= 0 && from_y < N && from_x >= 0 && from_x < N;

			image[k][i] = inside ? old[from_y * N + from_x] : 0;
		}
	}
	write_images(path);
	return path;
}

static void read_poses(struct pn_pose pose[TILTS], const char *path)
{
	struct pn_angles angles;
	struct pn_error err = { 0 };

	if (pn_angles_read(&angles, path, NULL, &err))
		fail_msg("%s", err.text);
	assert_int_equal(angles.count, TILTS);
	for (size_t k = 0; k < TILTS; k++)
		pn_pose_euler(&pose[k], angles.angle_deg[k][0], angles.angle_deg[k][1],
			      angles.angle_deg[k][2]);
	pn_angles_free(&angles);
}

static double off_deg(const char *angles, const char *truth)
{
	struct pn_pose a[TILTS], b[TILTS];
	struct pn_pose_difference d;

	read_poses(a, angles);
	read_poses(b, truth);
	assert_int_equal(pn_refine_gauge(a, b, TILTS, PN_REFINE_ALL, NULL), PN_OK);
	pn_pose_compare(&d, a, b, TILTS);
	return d.mean_deg;
}

/* The number after the first "key": in JSON. */
static double number(const char *json, const char *key)
{
	char quoted[64];

	snprintf(quoted, sizeof quoted, "\"%s\": ", key);
	const char *at = strstr(json, quoted);

	if (!at)
		fail_msg("no %s in %s", quoted, json);
	return atof(at + strlen(quoted));
}

/* ---- refinement ---------------------------------------------------------------------------- */

/* Projected under random angles, given as nominal. */
static void angles_come_nearer_to_the_truth(void **state)
{
	const char *truth = write_angles("truth.csv", 0.6), *given = write_angles("given.csv", 0);
	const char *found = testkit_path(dir, "found.csv"), *tilts = project(truth, 0);
	const char *out = testkit_path(dir, "refined.mrc");
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "reconstruct", tilts, "--angles", given, "--out", out, "--refine", "angles",
	       "--refine-blur-px", "0", "--angles-out", found, "--no-sheet", "--json", "--force");
	kit_says(r.err, "round 1");
	kit_says(r.err, "turned");
	assert_true(number(r.out, "misfit_after") < number(r.out, "misfit_before") / 2);
	assert_true(number(r.out, "turned_mean_deg") > 0.05);
	assert_true(number(r.out, "refined_theta_deg") < -71);
	assert_true(number(r.out, "moved_px") == 0);
	double before = off_deg(given, truth), after = off_deg(found, truth);

	print_message("%.3f -> %.3f deg\n", before, after);
	assert_true(before > 0.4 && after < before / 2.5);
	kit_free(&r);
	/* what was found is read again, and there is no better */
	PERRIN(&r, 0, "reconstruct", tilts, "--angles", found, "--out", out, "--no-sheet", "--json",
	       "--force");
	assert_true(number(r.out, "r1") < 0.02);
	kit_free(&r);
}

static void moved_images_are_moved_back(void **state)
{
	const char *angles = write_angles("given.csv", 0), *tilts = project(angles, 1);
	const char *out = testkit_path(dir, "moved.mrc"), *back = testkit_path(dir, "back.mrc");
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "reconstruct", tilts, "--angles", angles, "--out", out, "--no-sheet",
	       "--json", "--force");
	double before = number(r.out, "r1");

	kit_free(&r);
	PERRIN(&r, 0, "reconstruct", tilts, "--angles", angles, "--out", out, "--refine", "shifts",
	       "--background", "laplace", "--margin-px", "3", "--tilts-out", back, "--no-sheet",
	       "--force");
	kit_says(r.out, "one axis");
	kit_says(r.out, "moved by");
	kit_free(&r);
	PERRIN(&r, 0, "reconstruct", back, "--angles", angles, "--out", out, "--no-sheet", "--json",
	       "--force");
	double after = number(r.out, "r1");

	print_message("R1 %.4f -> %.4f\n", before, after);
	assert_true(before > 0.05 && after < before / 5);
	kit_free(&r);
}

/* ---- half sets and coverage ---------------------------------------------------------------- */

/* fsc of the shell @shell in the report. */
static double fsc(const char *json, int shell)
{
	const char *at = strstr(json, "\"fsc\": [");

	for (int s = 0; at && s <= shell; s++)
		at = strstr(at + 1, "\"fsc\": ");
	assert_non_null(at);
	return atof(at + strlen("\"fsc\": "));
}

static void half_sets_agree_as_the_data_do(void **state)
{
	const char *angles = write_angles("given.csv", 0), *tilts = project(angles, 0);
	const char *out = testkit_path(dir, "half.mrc"), *map = testkit_path(dir, "map.npy");
	struct kit_result r;
	struct pn_rng rng;
	double noise = 0;

	(void)state;
	PERRIN(&r, 0, "reconstruct", tilts, "--angles", angles, "--out", out, "--half-sets",
	       "--coverage", map, "--json", "--force");
	for (int s = 1; s <= 4; s++)
		assert_true(fsc(r.out, s) > 0.97);
	assert_true(number(r.out, "tilts_1") == 13 && number(r.out, "tilts_2") == 12);
	assert_true(number(r.out, "resolution_A") < 2.5);
	/* the wedge of 2 x 18 degrees; the ball of 4 A and its atoms' width in pixels of 0.4 A */
	assert_true(fabs(number(r.out, "gap_deg") - 18) < 1);
	assert_true(number(r.out, "diameter_px") > 17 && number(r.out, "diameter_px") < 27);
	assert_true(number(r.out, "uncovered") > 0.1 && number(r.out, "uncovered") < 0.9);
	kit_free(&r);
	assert_int_equal(access(testkit_path(dir, "half-fsc.png"), F_OK), 0);
	assert_int_equal(access(map, F_OK), 0);
	pn_rng_init(&rng, 9, 0);
	for (int k = 0; k < TILTS; k++)
		for (int i = 0; i < PIXELS; i++)
			image[k][i] = (float)pn_rng_gauss(&rng);
	write_images(tilts);
	PERRIN(&r, 0, "reconstruct", tilts, "--angles", angles, "--out", out, "--half-sets",
	       "--method", "resire", "--iterations", "10", "--coverage",
	       testkit_path(dir, "map.png"), "--json", "--force");
	for (int s = 4; s <= 15; s++)
		noise += fsc(r.out, s) / 12;
	print_message("noise: FSC %.3f\n", noise);
	assert_true(fabs(noise) < 0.2);
	kit_free(&r);
	assert_int_equal(access(testkit_path(dir, "map.png"), F_OK), 0);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void flags_that_say_nothing_are_refused(void **state)
{
	static const struct {
		const char *flag[6], *text;
	} wrong[] = {
		{ { "--step", "1" }, "--step is for the method resire, not for best" },
		{ { "--gridding", "dft" }, "--gridding is for the method genfire, not for best" },
		{ { "--radius-px", "1" }, "--radius-px is for the method genfire, not for best" },
		{ { "--oversample", "2" }, "--oversample is for the method resire or genfire" },
		{ { "--method", "sirt", "--step", "1" }, "not for sirt" },
		{ { "--method", "sirt", "--held-out", "5" }, "--held-out is for the method best" },
		{ { "--held-out", "5", "--iterations", "9" }, "--iterations 9" },
		{ { "--held-out", "2" }, "held_out = 2" },
		{ { "--refine", "angels" }, "angels" },
		{ { "--refine-rounds", "3" }, "--refine-rounds goes with --refine" },
		{ { "--background", "laplace" }, "--background laplace goes with --refine" },
		{ { "--angles-out", "a.csv" }, "--angles-out goes with --refine" },
		{ { "--refine", "angles", "--extended" }, "--extended" },
		{ { "--coverage", "map.jpg" }, "map.jpg: a map" },
		{ { "--refine", "shifts", "--tilts-out", "t.jpg" }, "t.jpg" },
	};
	const char *angles = write_angles("given.csv", 0), *tilts = project(angles, 0);
	const char *out = testkit_path(dir, "never.mrc");
	struct kit_result r;

	(void)state;
	for (size_t i = 0; i < PN_COUNT(wrong); i++) {
		const char *const *f = wrong[i].flag;
		const char *words[] = { "reconstruct", tilts, "--angles", angles, "--out", out,
					f[0],          f[1],  f[2],       f[3],   NULL };

		kit_run(&r, words);
		kit_expect(&r, 2, __FILE__, __LINE__);
		kit_says(r.err, wrong[i].text);
		kit_free(&r);
	}
	/* one name for two results; a file that is there */
	PERRIN(&r, 2, "reconstruct", tilts, "--angles", angles, "--out", out, "--refine", "shifts",
	       "--tilts-out", out);
	kit_says(r.err, "the name of two results");
	kit_free(&r);
	PERRIN(&r, 1, "reconstruct", tilts, "--angles", angles, "--out", out, "--refine", "angles",
	       "--angles-out", angles);
	kit_says(r.err, "is there already; --force replaces it");
	kit_free(&r);
	assert_int_equal(access(out, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(angles_come_nearer_to_the_truth),
		cmocka_unit_test(moved_images_are_moved_back),
		cmocka_unit_test(half_sets_agree_as_the_data_do),
		cmocka_unit_test(flags_that_say_nothing_are_refused),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
