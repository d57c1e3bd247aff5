/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a tilt series to atoms: project, align, reconstruct, trace, fit, score, as a user does. */
#include "kit.h"

#include "perrin/format/model.h"
#include "perrin/format/stack.h"
#include "perrin/format/xyz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TILTS = 29, NY = 64, NX = 56, PIXELS = NY * NX, ATOMS_MAX = 100 };

#define LATTICE_A 3.9
#define RADIUS_A  5.0
#define CORE_A    3.5
#define PIXEL_A   0.4

static const char *dir;
static float clean[TILTS][PIXELS], other[TILTS][PIXELS];

/* ---- what the chain begins with ------------------------------------------------------------ */

/* A ball of fcc about an atom, in no particular direction: Pt at the outside, Pd within. Inversion
 * keeps it, so its center of mass is (0, 0, 0). */
static size_t make_ball(double (*position_A)[3], uint8_t *element)
{
	const double a = 0.7, b = 0.4, c = 1.1;
	const double turn[3][3] = {
		{ cos(a) * cos(b), cos(a) * sin(b) * sin(c) - sin(a) * cos(c),
		  cos(a) * sin(b) * cos(c) + sin(a) * sin(c) },
		{ sin(a) * cos(b), sin(a) * sin(b) * sin(c) + cos(a) * cos(c),
		  sin(a) * sin(b) * cos(c) - cos(a) * sin(c) },
		{ -sin(b), cos(b) * sin(c), cos(b) * cos(c) },
	};
	size_t count = 0;

	for (int i = -4; i <= 4; i++)
		for (int j = -4; j <= 4; j++)
			for (int k = -4; k <= 4; k++) {
				double r = LATTICE_A / 2 * sqrt(i * i + j * j + k * k);

				if ((i + j + k) % 2 || r > RADIUS_A)
					continue;
				assert_true(count < ATOMS_MAX);
				for (int n = 0; n < 3; n++)
					position_A[count][n] =
						LATTICE_A / 2 *
						(turn[n][0] * i + turn[n][1] * j + turn[n][2] * k);
				element[count++] = r > CORE_A ? 78 : 46;
			}
	return count;
}

static const char *write_ball(const char *name)
{
	const char *path = testkit_path(dir, name);
	double position_A[ATOMS_MAX][3];
	uint8_t element[ATOMS_MAX];
	size_t count = make_ball(position_A, element);
	struct pn_model *model;
	struct pn_error err = { 0 };

	if (pn_model_create(&model, count, &err))
		fail_msg("%s", err.text);
	memcpy(model->position_A, position_A, count * sizeof *position_A);
	memcpy(model->element, element, count);
	if (pn_xyz_write(path, model, 1, &err))
		fail_msg("%s", err.text);
	pn_model_destroy(model);
	return path;
}

static double angle_deg(int k)
{
	return -70 + 5.0 * k;
}

/* @phi_deg is given to all, @factor multiplies them, @count lines; line @twice is there again. */
static const char *write_angles(const char *name, double phi_deg, double factor, int count,
				int twice)
{
	const char *path = testkit_path(dir, name);
	static char text[8192];
	int used = snprintf(text, sizeof text, "phi_deg,theta_deg,psi_deg\n");

	for (int k = 0; k < count; k++)
		used += snprintf(text + used, sizeof text - (size_t)used, "%.9g,%.9g,0\n", phi_deg,
				 factor * angle_deg(k == twice ? k - 1 : k));
	testkit_write(path, text, (size_t)used);
	return path;
}

static void read_stack(const char *path, float (*images)[PIXELS], size_t count, size_t ny,
		       size_t nx)
{
	struct pn_stack *stack;
	struct pn_error err = { 0 };

	if (pn_stack_open(&stack, path, &err))
		fail_msg("%s", err.text);
	assert_int_equal(pn_stack_info(stack)->dtype, PN_F32);
	assert_int_equal(pn_stack_info(stack)->count, count);
	assert_int_equal(pn_stack_info(stack)->ny, ny);
	assert_int_equal(pn_stack_info(stack)->nx, nx);
	for (size_t k = 0; k < count; k++)
		assert_int_equal(pn_stack_read(stack, k, images[k], &err), PN_OK);
	pn_stack_close(stack);
}

static void write_stack(const char *path, const float (*images)[PIXELS], const char *format)
{
	struct pn_stack_info info = {
		.dtype = PN_F32, .count = TILTS, .ny = NY, .nx = NX, .pixel_pm = 100 * PIXEL_A
	};
	struct pn_stack_writer *writer;
	struct pn_error err = { 0 };

	snprintf(info.format, sizeof info.format, "%s", format);
	if (pn_stack_create(&writer, path, &info, &err))
		fail_msg("%s", err.text);
	for (size_t k = 0; k < TILTS; k++)
		assert_int_equal(pn_stack_write(writer, images[k], &err), PN_OK);
	assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
}

/* sum |a - b| / sum |b| */
static double r1(const float (*a)[PIXELS], const float (*b)[PIXELS])
{
	double top = 0, bottom = 0;

	for (size_t k = 0; k < TILTS; k++)
		for (size_t i = 0; i < PIXELS; i++) {
			top += fabs((double)a[k][i] - (double)b[k][i]);
			bottom += fabs((double)b[k][i]);
		}
	return top / bottom;
}

static void project_ball(void)
{
	const char *ball = write_ball("ball.xyz"), *angles = write_angles("t.csv", 0, 1, TILTS, -1);
	struct kit_result r;

	PERRIN(&r, 0, "project", ball, "--angles", angles, "--tilt-axis", "x", "--pixel-A", "0.4",
	       "--ny", "64", "--nx", "56", "--out", testkit_path(dir, "clean.mrc"), "--force");
	kit_says(r.out, "29 projections of 64 x 56 px of 0.4 A");
	assert_null(strstr(r.out, "leave the field"));
	kit_free(&r);
	read_stack(testkit_path(dir, "clean.mrc"), clean, TILTS, NY, NX);
}

/* ---- project ------------------------------------------------------------------------------- */

/* Sums and moments in closed form: sum Z^1.7; the mean square coordinate along the axis stays, that
 * across it follows X cos - Z sin; the spot adds the same to both. */
static void projections_have_the_moments_of_the_atoms(void **state)
{
	double position_A[ATOMS_MAX][3];
	uint8_t element[ATOMS_MAX];
	size_t count = make_ball(position_A, element);

	(void)state;
	project_ball();
	for (int k = 0; k < TILTS; k++) {
		double wanted[3] = { 0 }, got[3] = { 0 }, a = angle_deg(k) * M_PI / 180;

		for (size_t i = 0; i < count; i++) {
			double w = pow(element[i], 1.7);
			double x = position_A[i][0] * cos(a) - position_A[i][2] * sin(a);

			wanted[0] += w;
			wanted[1] += w * position_A[i][1] * position_A[i][1];
			wanted[2] += w * x * x;
		}
		for (int y = 0; y < NY; y++)
			for (int x = 0; x < NX; x++) {
				double v = (double)clean[k][y * NX + x];

				got[0] += v;
				got[1] += v * pow((x - NX / 2) * PIXEL_A, 2);
				got[2] += v * pow((y - NY / 2) * PIXEL_A, 2);
			}
		assert_true(fabs(got[0] - wanted[0]) < 2e-3 * wanted[0]);
		double difference = (got[2] - got[1] - wanted[2] + wanted[1]) / got[0];
		assert_true(fabs(difference) < 0.01);
		/* and it is the spot that is on top: B 5 A^2, 0.8 A, and the atom itself */
		double spot = (got[1] - wanted[1]) / got[0];
		assert_true(spot > 0.17 && spot < 0.5);
	}
}

static void a_field_that_is_not_given_holds_the_atoms(void **state)
{
	const char *out = testkit_path(dir, "auto.npy"), *angles = testkit_path(dir, "t.csv");
	struct kit_result r;

	(void)state;
	project_ball();
	PERRIN(&r, 0, "project", testkit_path(dir, "ball.xyz"), "--angles", angles, "--pixel-A",
	       "0.4", "--spot", "gaussian", "--out", out);
	assert_null(strstr(r.out, "leave the field"));
	kit_free(&r);
	PERRIN(&r, 0, "project", testkit_path(dir, "ball.xyz"), "--angles", angles, "--pixel-A",
	       "0.4", "--nx", "20", "--ny", "20", "--out", testkit_path(dir, "small.npy"));
	kit_says(r.out, "atoms leave the field");
	kit_free(&r);
}

/* A hair's breadth off one axis everything goes by Fourier slices. */
static void a_volume_is_the_same_by_either_way(void **state)
{
	const char *volume = testkit_path(dir, "both.mrc");
	const char *one = testkit_path(dir, "one.mrc"), *any = testkit_path(dir, "any.mrc");
	struct kit_result r;

	(void)state;
	project_ball();
	PERRIN(&r, 0, "reconstruct", testkit_path(dir, "clean.mrc"), "--angles",
	       testkit_path(dir, "t.csv"), "--tilt-axis", "x", "--iterations", "20", "--no-sheet",
	       "--out", volume);
	kit_free(&r);
	PERRIN(&r, 0, "project", volume, "--angles", testkit_path(dir, "t.csv"), "--tilt-axis", "x",
	       "--out", one);
	kit_says(r.out, "29 projections of 64 x 56 px of 0.4 A");
	kit_free(&r);
	PERRIN(&r, 0, "project", volume, "--angles", write_angles("off.csv", 1e-6, 1, TILTS, -1),
	       "--tilt-axis", "x", "--out", any);
	kit_free(&r);
	read_stack(one, other, TILTS, NY, NX);
	double way_back = r1((const float(*)[PIXELS])other, (const float(*)[PIXELS])clean);
	read_stack(any, clean, TILTS, NY, NX);
	double ways = r1((const float(*)[PIXELS])other, (const float(*)[PIXELS])clean);
	if (way_back > 0.02 || ways > 0.002)
		fail_msg("R1 of the way back %g, of one way against the other %g", way_back, ways);
}

/* ---- the whole chain ----------------------------------------------------------------------- */

static void shift_of(int k, int shift_px[2])
{
	shift_px[0] = (k * 5) % 7 - 3;
	shift_px[1] = (k * 3) % 9 - 4;
}

static void write_shifted(const char *path)
{
	for (int k = 0; k < TILTS; k++) {
		int s[2];

		shift_of(k, s);
		for (int y = 0; y < NY; y++)
			for (int x = 0; x < NX; x++) {
				int from_y = y - s[1], from_x = x - s[0];
				int inside =
					from_y >= 0 && from_y < NY && from_x >= 0 && from_x < NX;

				other[k][y * NX + x] =
					inside ? clean[k][from_y * NX + from_x] : 0.0f;
			}
	}
	write_stack(path, (const float(*)[PIXELS])other, "mrc");
}

static void check_shifts(const char *path)
{
	size_t bytes;
	char *text = testkit_read(path, &bytes), *line = strchr(text, '\n');

	assert_memory_equal(text, "tilt,theta_deg,shift_x_px,shift_y_px,axis_deg,correlation,", 58);
	for (int k = 0; k < TILTS; k++) {
		double theta, x, y, axis, correlation;
		int number, s[2];

		assert_non_null(line);
		assert_int_equal(sscanf(line + 1, "%d,%lf,%lf,%lf,%lf,%lf", &number, &theta, &x, &y,
					&axis, &correlation),
				 6);
		shift_of(k, s);
		assert_int_equal(number, k);
		assert_true(theta == angle_deg(k));
		if (fabs(x - s[0]) > 0.03 || fabs(y - s[1]) > 0.03)
			fail_msg("tilt %d: shift %g %g, found %g %g", k, (double)s[0], (double)s[1],
				 x, y);
		assert_true(fabs(axis) < 0.02 && correlation > 0.999);
		line = strchr(line + 1, '\n');
	}
	free(text);
}

static double score(const char *atoms, const char *truth, const char *matched)
{
	struct kit_result r;
	double rmsd_pm;

	PERRIN(&r, 0, "score", atoms, truth);
	if (strcmp(kit_word(r.out, "matched", 1), matched) != 0)
		fail_msg("%s", r.out);
	kit_says(r.out, "missed   0;  false 0 of");
	rmsd_pm = atof(kit_word(r.out, "rmsd", 1));
	assert_null(strstr(r.out, "Pd taken for Pt"));
	assert_null(strstr(r.out, "Pt taken for Pd"));
	kit_free(&r);
	return rmsd_pm;
}

/* Three atoms of the wrong element and one where there is none; without confidences. */
static void spoil(const char *traced, const char *path)
{
	struct pn_model *model, *spoiled = NULL;
	struct pn_error err = { 0 };
	size_t frames, n;

	if (pn_model_open(&model, &frames, traced, &err) ||
	    pn_model_create(&spoiled, model->count + 1, &err))
		fail_msg("%s", err.text);
	n = model->count;
	memcpy(spoiled->position_A, model->position_A, n * sizeof *model->position_A);
	memcpy(spoiled->element, model->element, n);
	for (size_t i = 0; i < 3; i++)
		spoiled->element[i * 7] = (uint8_t)(124 - spoiled->element[i * 7]);
	spoiled->position_A[n][0] = 8;
	spoiled->element[n] = 46;
	if (pn_xyz_write(path, spoiled, 1, &err))
		fail_msg("%s", err.text);
	pn_model_destroy(spoiled);
	pn_models_free(model, frames);
}

static void check_fitted(const char *path, size_t count)
{
	struct pn_model *model;
	size_t frames;
	struct pn_error err = { 0 };

	if (pn_model_open(&model, &frames, path, &err))
		fail_msg("%s", err.text);
	assert_int_equal(model->count, count);
	const struct pn_model_column *sigma = pn_model_find_column(model, "sigma_pm");
	const struct pn_model_column *moved = pn_model_find_column(model, "moved_pm");
	assert_non_null(sigma);
	assert_non_null(moved);
	assert_int_equal(sigma->components, 3);
	assert_non_null(pn_model_find_column(model, "confidence"));
	for (size_t i = 0; i < count; i++) {
		assert_true(moved->values[i] >= 0 && moved->values[i] < 30);
		for (int k = 0; k < 3; k++)
			assert_true(sigma->values[3 * i + (size_t)k] > 0 &&
				    sigma->values[3 * i + (size_t)k] < 5);
	}
	pn_models_free(model, frames);
}

/* The number behind "name": in a report. */
static double number_of(const char *json, const char *name)
{
	char key[64];

	snprintf(key, sizeof key, "\"%s\": ", name);
	const char *at = strstr(json, key);
	assert_non_null(at);
	return atof(at + strlen(key));
}

static void shifted_images_become_atoms(void **state)
{
	const char *angles = testkit_path(dir, "t.csv"), *ball = testkit_path(dir, "ball.xyz");
	const char *shifted = testkit_path(dir, "shifted.mrc");
	const char *aligned = testkit_path(dir, "aligned.mrc");
	const char *volume = testkit_path(dir, "volume.mrc");
	const char *traced = testkit_path(dir, "traced.xyz"), *shifts = testkit_path(dir, "s.csv");
	const char *fitted = testkit_path(dir, "fitted.xyz");
	double position_A[ATOMS_MAX][3];
	uint8_t element[ATOMS_MAX];
	char count[16];
	struct kit_result r;

	(void)state;
	snprintf(count, sizeof count, "%zu", make_ball(position_A, element));
	project_ball();
	write_shifted(shifted);
	PERRIN(&r, 0, "align", shifted, "--angles", angles, "--tilt-axis", "x", "--shifts", shifts,
	       "--out", aligned);
	kit_free(&r);
	check_shifts(shifts);
	read_stack(aligned, other, TILTS, NY, NX);
	assert_true(r1((const float(*)[PIXELS])other, (const float(*)[PIXELS])clean) < 0.01);
	PERRIN(&r, 0, "reconstruct", aligned, "--angles", angles, "--tilt-axis", "x", "--no-sheet",
	       "--out", volume);
	kit_free(&r);
	PERRIN(&r, 0, "trace", volume, "--elements", "Pd,Pt", "--out", traced);
	kit_free(&r);
	double traced_pm = score(traced, ball, count);
	PERRIN(&r, 0, "fit", traced, aligned, "--angles", angles, "--tilt-axis", "x", "--profile",
	       "3", "--json", "--out", fitted);
	double before = number_of(r.out, "r1_before"), after = number_of(r.out, "r1_after");
	kit_says(r.out, "\"converged\": true");
	kit_free(&r);
	double fitted_pm = score(fitted, ball, count);
	if (traced_pm > 5 || fitted_pm > 0.3 || after > 0.003 || before > 0.2 || after > before)
		fail_msg("traced to %g pm, fitted to %g pm; R1 %g, then %g", traced_pm, fitted_pm,
			 before, after);
	check_fitted(fitted, (size_t)atoi(count));
}

static void wrong_elements_are_flipped(void **state)
{
	const char *angles = testkit_path(dir, "t.csv"), *ball = testkit_path(dir, "ball.xyz");
	const char *spoiled = testkit_path(dir, "spoiled.xyz");
	const char *fitted = testkit_path(dir, "flipped.xyz");
	double position_A[ATOMS_MAX][3];
	uint8_t element[ATOMS_MAX];
	char count[16];
	struct kit_result r;

	(void)state;
	snprintf(count, sizeof count, "%zu", make_ball(position_A, element));
	project_ball();
	spoil(ball, spoiled);
	PERRIN(&r, 0, "fit", spoiled, testkit_path(dir, "clean.mrc"), "--angles", angles,
	       "--tilt-axis", "x", "--flip", "--flip-empty", "--out", fitted);
	kit_says(r.out, "flipped  3 atoms, 1 found empty, of");
	kit_free(&r);
	assert_true(score(fitted, ball, count) < 5);
}

/* Multislice images by others, 1.6e5 electrons per A^2; published after tracing: 4.24 pm. */
static void silicon_of_others(void **state)
{
	const char *tilts = testkit_data("sim_aSi208/counts_dose1p6e5_u1.npy");
	const char *angles = testkit_data("sim_aSi208/angles.csv");
	const char *truth = testkit_data("sim_aSi208/ground_truth_208.xyz");
	const char *volume = testkit_path(dir, "si.mrc"), *traced = testkit_path(dir, "si.xyz");
	const char *fitted = testkit_path(dir, "si_fitted.xyz");
	struct kit_result r;

	(void)state;
	if (!tilts || !angles || !truth)
		skip();
	PERRIN(&r, 0, "reconstruct", tilts, "--angles", angles, "--tilt-axis", "x", "--pixel-A",
	       "0.195", "--no-sheet", "--out", volume);
	kit_free(&r);
	PERRIN(&r, 0, "trace", volume, "--elements", "Si", "--smooth-A", "0.5", "--min-distance-A",
	       "1.8", "--out", traced);
	kit_free(&r);
	PERRIN(&r, 0, "fit", traced, tilts, "--angles", angles, "--tilt-axis", "x", "--pixel-A",
	       "0.195", "--fit-offset", "--noise", "poisson", "--profile", "2", "--json", "--out",
	       fitted);
	assert_true(fabs(number_of(r.out, "chi2") - 1) < 0.03);
	assert_true(fabs(number_of(r.out, "offset") - 1) < 0.1);
	kit_free(&r);
	assert_true(score(fitted, truth, "208") < 3.3);
}

/* ---- what is wrong ------------------------------------------------------------------------- */

static void wrong_angles_are_told(void **state)
{
	static const char *const commands[] = { "align", "reconstruct" };
	const char *tilts = testkit_path(dir, "clean.mrc"), *out = testkit_path(dir, "no.mrc");
	struct {
		const char *angles, *says;
		int code;
	} cases[] = {
		{ write_angles("few.csv", 0, 1, TILTS - 1, -1), "28 angles, ", 2 },
		{ write_angles("radians.csv", 0, M_PI / 180, TILTS, -1), "give degrees", 1 },
		{ write_angles("twice.csv", 0, 1, TILTS, 12), "lines 13 and 14 give the same", 1 },
		{ testkit_path(dir, "none.csv"), "none.csv", 1 },
	};
	const char *ball = testkit_path(dir, "ball.xyz"), *fitted = testkit_path(dir, "no.xyz");
	struct kit_result r;

	(void)state;
	project_ball();
	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		for (size_t c = 0; c < PN_COUNT(commands); c++) {
			PERRIN(&r, cases[i].code, commands[c], tilts, "--angles", cases[i].angles,
			       "--out", out);
			kit_says(r.err, cases[i].says);
			kit_says(r.err, cases[i].angles);
			kit_free(&r);
		}
		PERRIN(&r, cases[i].code, "fit", ball, tilts, "--angles", cases[i].angles, "--out",
		       fitted);
		kit_says(r.err, cases[i].says);
		kit_free(&r);
	}
	PERRIN(&r, 2, "align", tilts, "--angles", write_angles("phi.csv", 3, 1, TILTS, -1), "--out",
	       out);
	kit_says(r.err, "phi or psi");
	kit_free(&r);
	assert_int_equal(access(out, F_OK), -1);
	assert_int_equal(access(fitted, F_OK), -1);
}

static void wrong_images_are_told(void **state)
{
	const char *angles = testkit_path(dir, "t.csv"), *ball = testkit_path(dir, "ball.xyz");
	const char *dark = testkit_path(dir, "dark.mrc"), *bare = testkit_path(dir, "bare.npy");
	const char *out = testkit_path(dir, "never.mrc");
	struct kit_result r;

	(void)state;
	project_ball();
	write_stack(bare, (const float(*)[PIXELS])clean, "npy");
	memset(clean[4], 0, sizeof clean[4]);
	write_stack(dark, (const float(*)[PIXELS])clean, "mrc");
	PERRIN(&r, 2, "align", dark, "--angles", angles, "--out", out);
	kit_says(r.err, dark);
	kit_says(r.err, "4");
	kit_free(&r);
	PERRIN(&r, 2, "reconstruct", dark, "--angles", angles, "--out", out);
	kit_says(r.err, dark);
	kit_free(&r);
	PERRIN(&r, 2, "trace", bare, "--elements", "Pd", "--out", testkit_path(dir, "never.xyz"));
	kit_says(r.err, "--pixel-A");
	kit_free(&r);
	PERRIN(&r, 2, "fit", ball, bare, "--angles", angles, "--out",
	       testkit_path(dir, "never.xyz"));
	kit_says(r.err, "does not say how large its pixels are: --pixel-A");
	kit_free(&r);
	PERRIN(&r, 2, "project", ball, "--angles", angles, "--out", out);
	kit_says(r.err, "--pixel-A");
	kit_free(&r);
	PERRIN(&r, 1, "align", ball, "--angles", angles, "--out", out);
	kit_says(r.err, ball);
	kit_free(&r);
	assert_int_equal(access(out, F_OK), -1);
	assert_int_equal(access(testkit_path(dir, "never.xyz"), F_OK), -1);
}

static void wrong_places_are_told(void **state)
{
	const char *angles = testkit_path(dir, "t.csv"), *ball = testkit_path(dir, "ball.xyz");
	const char *tilts = testkit_path(dir, "clean.mrc"), *there = testkit_path(dir, "there.mrc");
	const char *table = testkit_path(dir, "there.csv"), *fresh = testkit_path(dir, "fresh.mrc");
	const char *odd = testkit_path(dir, "odd.jpg");
	struct kit_result r;
	size_t bytes;

	(void)state;
	project_ball();
	testkit_write(there, "mine", 4);
	testkit_write(table, "mine", 4);
	PERRIN(&r, 1, "project", ball, "--angles", angles, "--pixel-A", "0.4", "--out", there);
	kit_says(r.err, "is there already; --force replaces it");
	kit_free(&r);
	PERRIN(&r, 1, "align", tilts, "--angles", angles, "--out", there);
	kit_says(r.err, "is there already; --force replaces it");
	kit_free(&r);
	PERRIN(&r, 1, "align", tilts, "--angles", angles, "--shifts", table, "--out", fresh);
	kit_says(r.err, table);
	kit_free(&r);
	PERRIN(&r, 1, "fit", ball, tilts, "--angles", angles, "--out", there);
	kit_says(r.err, "is there already; --force replaces it");
	kit_free(&r);
	PERRIN(&r, 2, "project", ball, "--angles", angles, "--pixel-A", "0.4", "--out", odd);
	kit_says(r.err, "odd.jpg: a stack is written as .mrc, .npy or .tif");
	kit_free(&r);
	PERRIN(&r, 2, "align", tilts, "--angles", angles, "--out", odd);
	kit_says(r.err, "odd.jpg: a stack is written as .mrc, .npy or .tif");
	kit_free(&r);
	PERRIN(&r, 1, "fit", tilts, tilts, "--angles", angles, "--out", odd);
	kit_says(r.err, tilts);
	kit_free(&r);
	char *still = testkit_read(there, &bytes);
	assert_string_equal(still, "mine");
	free(still);
	assert_int_equal(access(odd, F_OK), -1);
	assert_int_equal(access(fresh, F_OK), -1);
	/* a folder that is not there: neither the table nor the stack */
	PERRIN(&r, 1, "align", tilts, "--angles", angles, "--tilt-axis", "x", "--shifts",
	       testkit_path(dir, "new.csv"), "--out", testkit_path(dir, "no/where.mrc"));
	kit_free(&r);
	assert_int_equal(access(testkit_path(dir, "new.csv"), F_OK), -1);
	assert_int_equal(access(testkit_path(dir, "new.csv.part"), F_OK), -1);
}

static void one_element_has_nothing_to_flip(void **state)
{
	const char *path = testkit_path(dir, "single.xyz");
	static const char text[] = "2\n\nPt 0 0 0\nPt 2.7 0 0\n", odd[] = "1\n\nXx 0 0 0\n";
	struct kit_result r;

	(void)state;
	project_ball();
	testkit_write(path, text, sizeof text - 1);
	PERRIN(&r, 2, "fit", path, testkit_path(dir, "clean.mrc"), "--angles",
	       testkit_path(dir, "t.csv"), "--flip", "--out", testkit_path(dir, "f.xyz"));
	kit_says(r.err, "one element");
	kit_free(&r);
	testkit_write(path, odd, sizeof odd - 1);
	PERRIN(&r, 1, "fit", path, testkit_path(dir, "clean.mrc"), "--angles",
	       testkit_path(dir, "t.csv"), "--out", testkit_path(dir, "f.xyz"));
	kit_says(r.err, path);
	kit_free(&r);
	/* atoms far from everything bright */
	static const char away[] = "1\n\nPt 0 10.5 0\n";
	testkit_write(path, away, sizeof away - 1);
	PERRIN(&r, 2, "fit", path, testkit_path(dir, "clean.mrc"), "--angles",
	       testkit_path(dir, "t.csv"), "--tilt-axis", "x", "--fit-offset", "--out",
	       testkit_path(dir, "f.xyz"));
	kit_says(r.err, "tilt axis, angles, pixel size?");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(projections_have_the_moments_of_the_atoms),
		cmocka_unit_test(a_field_that_is_not_given_holds_the_atoms),
		cmocka_unit_test(a_volume_is_the_same_by_either_way),
		cmocka_unit_test(shifted_images_become_atoms),
		cmocka_unit_test(wrong_elements_are_flipped),
		cmocka_unit_test(silicon_of_others),
		cmocka_unit_test(wrong_angles_are_told),
		cmocka_unit_test(wrong_images_are_told),
		cmocka_unit_test(wrong_places_are_told),
		cmocka_unit_test(one_element_has_nothing_to_flip),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
