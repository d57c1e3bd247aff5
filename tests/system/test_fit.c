/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin fit with --refine and --complete: a model that lacks atoms, poses that are wrong. */
#include "kit.h"

#include "perrin/format/model.h"
#include "perrin/format/xyz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TILTS = 25, ATOMS_MAX = 120, MISSED = 2 };

#define LATTICE_A 4.0

static const char *dir;

/* An fcc ball of Pd, the Pt outside; @skip of the last atoms left out. Returns how many there are.
 */
static size_t write_ball(const char *path, size_t skip)
{
	struct pn_model *model;
	struct pn_error err = { 0 };
	double position_A[ATOMS_MAX][3];
	uint8_t element[ATOMS_MAX];
	size_t count = 0;

	for (int i = -3; i <= 3; i++)
		for (int j = -3; j <= 3; j++)
			for (int k = -3; k <= 3; k++) {
				double x = LATTICE_A / 2 * i, y = LATTICE_A / 2 * j;

				if ((i + j + k) % 2 || i * i + j * j + k * k > 8)
					continue;
				assert_true(count < ATOMS_MAX);
				position_A[count][0] = 0.8 * x - 0.6 * y;
				position_A[count][1] = 0.6 * x + 0.8 * y;
				position_A[count][2] = LATTICE_A / 2 * k;
				element[count++] = i * i + j * j + k * k > 4 ? 78 : 46;
			}
	if (pn_model_create(&model, count - skip, &err))
		fail_msg("%s", err.text);
	memcpy(model->position_A, position_A, (count - skip) * sizeof *position_A);
	memcpy(model->element, element, count - skip);
	if (pn_xyz_write(path, model, 1, &err))
		fail_msg("%s", err.text);
	pn_model_destroy(model);
	return count - skip;
}

/* With @wrong, by up to 0.5 degrees, in no order. */
static void write_angles(const char *path, int wrong)
{
	char text[2048];
	int used = snprintf(text, sizeof text, "theta_deg\n");

	for (int k = 0; k < TILTS; k++)
		used += snprintf(text + used, sizeof text - (size_t)used, "%.6f\n",
				 -72 + 6.0 * k + wrong * 0.5 * sin(7.3 * k * k + 1));
	testkit_write(path, text, (size_t)used);
}

static double number_of(const char *json, const char *name)
{
	char key[64];

	snprintf(key, sizeof key, "\"%s\": ", name);
	const char *at = strstr(json, key);

	if (!at)
		fail_msg("%s is not in %s", name, json);
	return atof(at + strlen(key));
}

static double score(const char *found, const char *truth)
{
	struct kit_result r;

	PERRIN(&r, 0, "score", found, truth, "--json");
	double pm = number_of(r.out, "rmsd_pm");

	kit_free(&r);
	return pm;
}

static void poses_and_atoms_are_found(void **state)
{
	const char *ball = testkit_path(dir, "ball.xyz"), *part = testkit_path(dir, "part.xyz");
	const char *right = testkit_path(dir, "right.csv"), *wrong = testkit_path(dir, "wrong.csv");
	const char *tilts = testkit_path(dir, "tilts.mrc"), *out = testkit_path(dir, "out.xyz");
	const char *plain = testkit_path(dir, "plain.xyz");
	const char *refined = testkit_path(dir, "refined.csv");
	const char *again = testkit_path(dir, "again.xyz");
	struct kit_result r;
	struct pn_model *model;
	struct pn_error err = { 0 };
	size_t frames, count = write_ball(ball, 0), added = 0;

	(void)state;
	write_ball(part, MISSED);
	write_angles(right, 0);
	write_angles(wrong, 1);
	PERRIN(&r, 0, "project", ball, "--angles", right, "--pixel-A", "0.4", "--ny", "56", "--nx",
	       "56", "--out", tilts);
	kit_free(&r);
	PERRIN(&r, 0, "fit", part, tilts, "--angles", wrong, "--out", plain);
	kit_free(&r);
	PERRIN(&r, 0, "fit", part, tilts, "--angles", wrong, "--refine", "angles,shifts",
	       "--complete", "--angles-out", refined, "--json", "--out", out);
	assert_true(number_of(r.out, "added") == MISSED);
	assert_true(number_of(r.out, "removed") == 0);
	assert_true(number_of(r.out, "turned_mean_deg") > 0.1);
	assert_true(number_of(r.out, "r1_after") < 0.65 * number_of(r.out, "r1_before"));
	kit_free(&r);
	if (pn_model_open(&model, &frames, out, &err))
		fail_msg("%s", err.text);
	assert_int_equal(model->count, count);
	const struct pn_model_column *is_new = pn_model_find_column(model, "added");
	const struct pn_model_column *amplitude = pn_model_find_column(model, "amplitude");

	assert_non_null(is_new);
	assert_non_null(amplitude);
	for (size_t i = 0; i < count; i++) {
		added += is_new->values[i] != 0;
		assert_true(amplitude->values[i] > 0.7 && amplitude->values[i] < 1.3);
	}
	assert_int_equal(added, MISSED);
	pn_models_free(model, frames);
	double pm[2] = { score(plain, ball), score(out, ball) };

	if (!(pm[1] < 3) || !(pm[0] > 2 * pm[1]))
		fail_msg("%g pm as it was, %g refined", pm[0], pm[1]);
	/* what was written is read again, and serves */
	PERRIN(&r, 0, "fit", out, tilts, "--angles", refined, "--fit-shift", "--json", "--out",
	       again);
	assert_true(number_of(r.out, "r1_after") < 0.04);
	kit_free(&r);
}

static void wrong_flags_are_told(void **state)
{
	const char *ball = testkit_path(dir, "ball.xyz"), *tilts = testkit_path(dir, "tilts.mrc");
	const char *angles = testkit_path(dir, "right.csv"), *out = testkit_path(dir, "no.xyz");
	const char *there = testkit_path(dir, "there.csv");
	struct kit_result r;

	(void)state;
	PERRIN(&r, 2, "fit", ball, tilts, "--angles", angles, "--refine", "angles,tilt", "--out",
	       out);
	kit_says(r.err, "'tilt' is neither angles nor shifts");
	kit_free(&r);
	PERRIN(&r, 2, "fit", ball, tilts, "--angles", angles, "--refine", "shifts,shifts", "--out",
	       out);
	kit_says(r.err, "'shifts' is there twice");
	kit_free(&r);
	PERRIN(&r, 2, "fit", ball, tilts, "--angles", angles, "--angles-out", there, "--out", out);
	kit_says(r.err, "--angles-out: without --refine");
	kit_free(&r);
	testkit_write(there, "mine", 4);
	PERRIN(&r, 1, "fit", ball, tilts, "--angles", angles, "--refine", "shifts", "--angles-out",
	       there, "--out", out);
	kit_says(r.err, "is there already; --force replaces it");
	kit_free(&r);
	assert_int_equal(access(out, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poses_and_atoms_are_found),
		cmocka_unit_test(wrong_flags_are_told),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
