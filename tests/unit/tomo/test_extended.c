/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/extended.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { TILTS = 25, WIDE = 32, HIGH = 12, DEEP = 12, ATOMS = 700 };

/* A slab of Gaussian atoms, far wider than what the images show, and its images in closed form. */
struct film {
	double atom[ATOMS][3]; /* X Y Z, voxels from the origin */
	struct pn_pose pose[TILTS];
	float *image;
	struct pn_projections seen;
	struct pn_box field;
};

static const double sigma_px = 1.4;

static double random_unit(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (double)(*state >> 11) / 9007199254740992.0;
}

static double gaussian(double r2)
{
	return exp(-0.5 * r2 / (sigma_px * sigma_px));
}

/* @turn_deg: of the poses off the single axis */
static void film_make(struct film *f, double turn_deg)
{
	uint64_t state = 7;

	for (int i = 0; i < ATOMS; i++) {
		f->atom[i][0] = 180.0 * (random_unit(&state) - 0.5);
		f->atom[i][1] = 20.0 * (random_unit(&state) - 0.5);
		f->atom[i][2] = 6.0 * (random_unit(&state) - 0.5);
	}
	f->image = calloc(TILTS * WIDE * HIGH, sizeof *f->image);
	for (int k = 0; k < TILTS; k++) {
		pn_pose_euler(&f->pose[k], turn_deg * (k % 3 - 1), -60.0 + 120.0 * k / (TILTS - 1),
			      -turn_deg * (k % 2));
		f->pose[k].shift_px[0] = 0.25 * (k % 3 - 1);
		for (int i = 0; i < ATOMS; i++) {
			double at[2] = { f->pose[k].shift_px[0], 0.0 };

			for (int a = 0; a < 3; a++)
				for (int j = 0; j < 2; j++)
					at[j] += f->pose[k].rotation[j][a] * f->atom[i][a];
			for (int y = 0; y < HIGH; y++)
				for (int x = 0; x < WIDE; x++) {
					double r2 = pow(x - WIDE / 2 - at[0], 2) +
						    pow(y - HIGH / 2 - at[1], 2);

					if (r2 < 36 * sigma_px)
						f->image[(k * HIGH + y) * WIDE + x] +=
							(float)gaussian(r2);
				}
		}
	}
	f->field = (struct pn_box){ DEEP, HIGH, WIDE };
	f->seen = (struct pn_projections){
		.count = TILTS, .ny = HIGH, .nx = WIDE, .image = f->image, .pose = f->pose
	};
}

/* The density whose projections those are: 1 / (sigma sqrt(2 pi)) of a 3D Gaussian. */
static double film_truth(const struct film *f, double x, double y, double z)
{
	double sum = 0.0;

	for (int i = 0; i < ATOMS; i++)
		sum += gaussian(pow(x - f->atom[i][0], 2) + pow(y - f->atom[i][1], 2) +
				pow(z - f->atom[i][2], 2));
	return sum / (sigma_px * sqrt(2 * M_PI));
}

static double field_error(const struct film *f, const float *volume)
{
	double difference = 0.0, norm = 0.0;

	for (int z = 0, i = 0; z < DEEP; z++)
		for (int y = 0; y < HIGH; y++)
			for (int x = 0; x < WIDE; x++, i++) {
				double truth =
					film_truth(f, x - WIDE / 2, y - HIGH / 2, z - DEEP / 2);

				difference += pow((double)volume[i] - truth, 2);
				norm += truth * truth;
			}
	return sqrt(difference / norm);
}

/* Without what lies beside the field, the images cannot be explained; with it they can. */
static void test_film_beats_island(void **state)
{
	static float island[DEEP * HIGH * WIDE], volume[DEEP * HIGH * WIDE];
	struct film f;
	struct pn_extended_params params;
	struct pn_extended *e;
	struct pn_fista_params solving;
	struct pn_fista_result alone, result;
	struct pn_normal *sums;
	struct pn_fista *fista;
	double r1[TILTS], r2[TILTS];

	(void)state;
	film_make(&f, 0.5);
	pn_fista_defaults(&solving);
	solving.iterations_max = 40;
	assert_int_equal(pn_normal_create(&sums, &f.field, 0, 10.0, NULL), PN_OK);
	for (size_t k = 0; k < TILTS; k++)
		assert_int_equal(pn_normal_add(sums, &f.pose[k], f.image + k * HIGH * WIDE, HIGH,
					       WIDE, NULL),
				 PN_OK);
	assert_int_equal(pn_fista_create(&fista, &f.field, 0, NULL), PN_OK);
	assert_int_equal(pn_fista_solve(fista, &solving, sums, NULL, island, &alone, NULL), PN_OK);
	pn_extended_defaults(&params);
	params.solving.iterations_max = 40;
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	assert_int_equal(pn_extended_solve(e, NULL, volume, &result, NULL), PN_OK);
	pn_extended_rfactors(e, r1, r2);
	double film = field_error(&f, volume), other = field_error(&f, island);

	print_message("error in the field: film %.3f, island %.3f; misfit %.4f, %.4f\n", film,
		      other, result.misfit, alone.misfit);
	assert_true(film < 0.7 * other);
	assert_true(result.misfit < 0.05);
	assert_true(alone.misfit > 3 * result.misfit);
	for (int k = 0; k < TILTS; k++)
		assert_true(r1[k] < 0.08 && r2[k] < 0.08);
	pn_extended_destroy(e);
	pn_fista_destroy(fista);
	pn_normal_destroy(sums);
	free(f.image);
}

/* The larger box holds the ray of 60 degrees through the corner, (16 + 6 sin 60) / cos 60. */
static void test_box_holds_all_rays(void **state)
{
	struct film f;
	struct pn_extended_params params;
	struct pn_extended *e;

	(void)state;
	film_make(&f, 0.0);
	pn_extended_defaults(&params);
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	struct pn_box box = pn_extended_box(e);

	assert_int_equal(box.nz, DEEP);
	assert_in_range(box.nx, 2 * 44, 2 * 48);
	assert_in_range(box.ny, HIGH, HIGH + 6);
	assert_int_equal((box.nx - WIDE) % 2, 0);
	for (int i = 0; i < TILTS * HIGH * WIDE; i++)
		assert_true(pn_extended_weights(e)[i] == 1.0f);
	pn_extended_destroy(e);
	/* a box that is no wider: at 60 degrees no ray stays, at 0 all but those next to the sides
	 */
	params.width_max = 1;
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	assert_true(pn_extended_weights(e)[HIGH / 2 * WIDE] == 0.0f);
	assert_true(pn_extended_weights(e)[(TILTS / 2 * HIGH + HIGH / 2) * WIDE + WIDE / 2] ==
		    1.0f);
	pn_extended_destroy(e);
	free(f.image);
}

/* A constant slab is as bright everywhere as the ray is long in it: nz / cos. */
static void test_slab_of_ones(void **state)
{
	struct film f;
	struct pn_extended_params params;
	struct pn_extended *e;

	(void)state;
	film_make(&f, 0.5);
	pn_extended_defaults(&params);
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	struct pn_box box = pn_extended_box(e);
	float *ones = malloc(pn_box_voxels(&box) * sizeof *ones),
	      *image = malloc(TILTS * HIGH * WIDE * sizeof *image);

	for (size_t i = 0; i < pn_box_voxels(&box); i++)
		ones[i] = 1.0f;
	pn_extended_project(e, ones, image);
	for (int i = 0; i < TILTS * HIGH * WIDE; i++) {
		double length = DEEP / f.pose[i / (HIGH * WIDE)].rotation[2][2];

		/* the ends of a ray that is cut along x fall between two planes */
		assert_true(fabs(image[i] - length) <= 0.13 * length);
	}
	free(ones);
	free(image);
	pn_extended_destroy(e);
	free(f.image);
}

/* The density in the larger box has the projections that the atoms have in closed form. */
static void test_projections_of_atoms(void **state)
{
	struct film f;
	struct pn_extended_params params;
	struct pn_extended *e;
	double difference = 0.0, norm = 0.0;

	(void)state;
	film_make(&f, 1.5);
	pn_extended_defaults(&params);
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	struct pn_box box = pn_extended_box(e);
	float *density = malloc(pn_box_voxels(&box) * sizeof *density), *v = density,
	      *image = malloc(TILTS * HIGH * WIDE * sizeof *image);

	for (int z = 0; z < (int)box.nz; z++)
		for (int y = 0; y < (int)box.ny; y++)
			for (int x = 0; x < (int)box.nx; x++)
				*v++ = (float)film_truth(&f, x - (int)box.nx / 2,
							 y - (int)box.ny / 2, z - (int)box.nz / 2);
	pn_extended_project(e, density, image);
	for (int i = 0; i < TILTS * HIGH * WIDE; i++) {
		difference += pow((double)image[i] - f.image[i], 2);
		norm += pow(f.image[i], 2);
	}
	print_message("projections of atoms: %.4f\n", sqrt(difference / norm));
	assert_true(sqrt(difference / norm) < 0.03);
	free(density);
	free(image);
	pn_extended_destroy(e);
	free(f.image);
}

static void test_adjoint(void **state)
{
	struct film f;
	struct pn_extended_params params;
	struct pn_extended *e;
	uint64_t seed = 3;
	double left = 0.0, right = 0.0;

	(void)state;
	film_make(&f, 2.0);
	pn_extended_defaults(&params);
	params.width_max = 1.5; /* some rays leave it */
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	struct pn_box box = pn_extended_box(e);
	size_t voxels = pn_box_voxels(&box), pixels = TILTS * HIGH * WIDE;
	float *u = malloc(voxels * sizeof *u), *back = malloc(voxels * sizeof *back),
	      *again = malloc(voxels * sizeof *again), *p = malloc(pixels * sizeof *p),
	      *image = malloc(pixels * sizeof *image);
	int threads = omp_get_max_threads();

	for (size_t i = 0; i < voxels; i++)
		u[i] = (float)random_unit(&seed);
	for (size_t i = 0; i < pixels; i++)
		p[i] = (float)random_unit(&seed) - 0.3f;
	omp_set_num_threads(1);
	pn_extended_project(e, u, image);
	pn_extended_backproject(e, p, back);
	omp_set_num_threads(3);
	pn_extended_backproject(e, p, again);
	omp_set_num_threads(threads);
	assert_memory_equal(back, again, voxels * sizeof *back);
	for (size_t i = 0; i < pixels; i++)
		left += (double)image[i] * p[i];
	for (size_t i = 0; i < voxels; i++)
		right += (double)u[i] * back[i];
	assert_true(fabs(left - right) < 1e-5 * fabs(left));
	free(u);
	free(back);
	free(again);
	free(p);
	free(image);
	pn_extended_destroy(e);
	free(f.image);
}

/* Held-out tilts do not shape the volume: whatever they show, the trial is the same. */
static void test_held_out(void **state)
{
	static float volume[DEEP * HIGH * WIDE], other[DEEP * HIGH * WIDE];
	struct film f;
	struct pn_extended_params params;
	struct pn_extended *e;
	struct pn_fista_result result, second;
	uint8_t held_out[TILTS] = { [4] = 1, [13] = 1, [22] = 1 }, all[TILTS];

	(void)state;
	film_make(&f, 0.5);
	pn_extended_defaults(&params);
	params.solving.iterations_max = 15;
	params.solving.patience = 0;
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	assert_int_equal(pn_extended_solve(e, held_out, volume, &result, NULL), PN_OK);
	assert_true(result.held_out > 0 && result.held_out < 0.2);
	for (int i = 0; i < HIGH * WIDE; i++)
		f.image[13 * HIGH * WIDE + i] += 5.0f;
	assert_int_equal(pn_extended_solve(e, held_out, other, &second, NULL), PN_OK);
	assert_memory_equal(volume, other, sizeof volume);
	assert_true(second.held_out > result.held_out);
	for (int i = 0; i < HIGH * WIDE; i++)
		f.image[13 * HIGH * WIDE + i] -= 5.0f;
	assert_int_equal(pn_extended_validated(e, held_out, volume, &second, NULL), PN_OK);
	assert_int_equal(second.iterations, second.best);
	memset(all, 1, sizeof all);
	assert_int_equal(pn_extended_solve(e, all, volume, &result, NULL), PN_EARG);
	pn_extended_destroy(e);
	free(f.image);
}

/* One tilt along z: the image comes back, spread over the depth; outside a support is nothing. */
static void test_single_tilt(void **state)
{
	static float volume[DEEP * HIGH * WIDE];
	static uint8_t support[DEEP * HIGH * WIDE];
	struct film f;
	struct pn_extended_params params;
	struct pn_extended *e;
	struct pn_fista_result result;

	(void)state;
	film_make(&f, 0.0);
	pn_pose_tilt(&f.pose[0], 0.0);
	f.seen.count = 1;
	memset(support + 3 * HIGH * WIDE, 1, 6 * HIGH * WIDE);
	pn_extended_defaults(&params);
	params.solving.iterations_max = 60;
	params.solving.support = support;
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, NULL), PN_OK);
	assert_int_equal(pn_extended_solve(e, NULL, volume, &result, NULL), PN_OK);
	assert_true(result.misfit < 0.02);
	assert_true(isnan(result.held_out));
	for (int i = 0; i < HIGH * WIDE; i++) {
		double sum = 0.0;

		for (int z = 0; z < DEEP; z++)
			sum += volume[z * HIGH * WIDE + i];
		assert_true(fabs(sum - f.image[i]) < 0.1 * (1 + f.image[i]));
		assert_true(volume[i] == 0.0f);
	}
	pn_extended_destroy(e);
	free(f.image);
}

static void test_bad_input(void **state)
{
	struct film f;
	struct pn_extended_params params, bad;
	struct pn_extended *e = NULL;
	struct pn_error err;
	struct pn_box flat;

	(void)state;
	film_make(&f, 0.0);
	pn_extended_defaults(&params);
	flat = f.field;
	flat.nz = 0;
	assert_int_equal(pn_extended_plan(&e, &flat, &f.seen, &params, &err), PN_EARG);
	assert_null(e);
	bad = params;
	bad.margin_px = 1;
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &bad, &err), PN_EARG);
	bad = params;
	bad.solving.step = 0;
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &bad, &err), PN_EARG);
	bad = params;
	bad.coverage_min = (double)NAN;
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &bad, &err), PN_EARG);
	/* along the film no ray ever leaves it */
	f.seen.count = 1;
	pn_pose_tilt(&f.pose[0], 90.0);
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, &err), PN_EARG);
	assert_null(e);
	f.image[5] = (float)NAN;
	pn_pose_tilt(&f.pose[0], 0.0);
	assert_int_equal(pn_extended_plan(&e, &f.field, &f.seen, &params, &err), PN_EARG);
	pn_extended_destroy(NULL);
	free(f.image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_film_beats_island),
		cmocka_unit_test(test_box_holds_all_rays),
		cmocka_unit_test(test_slab_of_ones),
		cmocka_unit_test(test_adjoint),
		cmocka_unit_test(test_projections_of_atoms),
		cmocka_unit_test(test_held_out),
		cmocka_unit_test(test_single_tilt),
		cmocka_unit_test(test_bad_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
