/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/model_refine.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { N = 48, TILTS = 21, ATOMS = 79, ROOM = ATOMS + 4 };

#define PIXEL_A 0.5
#define SIGMA_A 0.6
#define NOISE   0.3

/* Two species in a ball, on a lattice that is turned and shaken. */
struct scene {
	double position_A[ROOM][3], start_A[ROOM][3];
	uint8_t species[ROOM], start_species[ROOM];
	struct pn_pose pose[TILTS], nominal[TILTS];
	float image[TILTS * N * N];
	struct pn_model_tilt tilt[TILTS];
	struct pn_linear_model truth, model;
	struct pn_projections measured;
};

static void scene_atoms(struct scene *s, struct pn_rng *rng)
{
	size_t n = 0;

	for (int i = -3; i <= 3; i++)
		for (int j = -3; j <= 3; j++)
			for (int k = -3; k <= 3; k++) {
				double at[3] = { 1.95 * i, 1.95 * j, 1.95 * k };

				if ((i + j + k) % 2 || i * i + j * j + k * k > 10 || n == ATOMS)
					continue;
				s->position_A[n][0] = 0.8 * at[0] - 0.6 * at[1];
				s->position_A[n][1] = 0.6 * at[0] + 0.8 * at[1];
				s->position_A[n][2] = at[2];
				s->species[n] = i * i + j * j + k * k > 6;
				for (int a = 0; a < 3; a++)
					s->start_A[n][a] =
						s->position_A[n][a] + 0.1 * pn_rng_gauss(rng);
				s->start_species[n] = s->species[n];
				n++;
			}
	assert_int_equal(n, ATOMS);
}

/* What the stage says is wrong by @angle_deg about the tilt axis and @shift_px, rms. */
static void scene_init(struct scene *s, double angle_deg, double shift_px, double noise)
{
	struct pn_rng rng;

	memset(s, 0, sizeof *s);
	pn_rng_init(&rng, 7, 1);
	scene_atoms(s, &rng);
	s->truth = (struct pn_linear_model){ .count = ATOMS,
					     .position_A = s->position_A,
					     .species = s->species,
					     .species_count = 2,
					     .pixel_A = PIXEL_A,
					     .integrate = 1 };
	pn_atom_spot_gauss(&s->truth.spot[0], 100, pn_b_factor_A2(SIGMA_A * SIGMA_A));
	pn_atom_spot_gauss(&s->truth.spot[1], 240, pn_b_factor_A2(SIGMA_A * SIGMA_A));
	for (int k = 0; k < TILTS; k++) {
		double nominal_deg = -70 + 7.0 * k;

		pn_pose_tilt(&s->nominal[k], nominal_deg);
		pn_pose_tilt(&s->pose[k], nominal_deg + angle_deg * pn_rng_gauss(&rng));
		for (int i = 0; i < 2; i++)
			s->pose[k].shift_px[i] = shift_px * pn_rng_gauss(&rng);
		s->tilt[k].scale = 1;
	}
	assert_int_equal(pn_linear_model_project(&s->truth, s->pose, TILTS, N, N, s->image, NULL),
			 PN_OK);
	for (size_t i = 0; i < PN_COUNT(s->image); i++)
		s->image[i] += (float)(noise * pn_rng_gauss(&rng));
	s->model = s->truth;
	s->model.position_A = s->start_A;
	s->model.species = s->start_species;
	s->measured = (struct pn_projections){
		.count = TILTS, .ny = N, .nx = N, .image = s->image, .pose = s->nominal
	};
}

/* In pm, less the common shift; atoms as in the scene. */
static double position_error(const struct scene *s, double (*position_A)[3], size_t count)
{
	double mean[3] = { 0 }, sum = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < count; i++)
			for (int k = 0; k < 3; k++) {
				double d = position_A[i][k] - s->position_A[i][k];

				if (pass == 0)
					mean[k] += d / (double)count;
				else
					sum += pow(d - mean[k], 2);
			}
	return 100 * sqrt(sum / (double)count);
}

/* Mean angle from the true poses, in the frame that is common to both. */
static double angle_error(const struct scene *s, const struct pn_pose *pose)
{
	struct pn_pose copy[TILTS];
	struct pn_pose_difference d;

	memcpy(copy, pose, sizeof copy);
	assert_int_equal(pn_refine_gauge(copy, s->pose, TILTS, PN_REFINE_ALL, NULL), PN_OK);
	pn_pose_compare(&d, copy, s->pose, TILTS);
	return d.mean_deg;
}

static void run(struct pn_model_refined *r, struct scene *s,
		const struct pn_model_refine_params *params)
{
	struct pn_error err = { 0 };

	if (pn_model_refine(r, &s->model, &s->measured, s->tilt, params, &err))
		fail_msg("%s", err.text);
}

static void test_poses_and_positions(void **state)
{
	static struct scene s;
	struct pn_model_refine_params params;
	struct pn_model_refined none, shifts, both;

	(void)state;
	pn_model_refine_defaults(&params);
	scene_init(&s, 0.5, 0.3, NOISE);
	params.angles = params.shifts = 0;
	run(&none, &s, &params);
	scene_init(&s, 0.5, 0.3, NOISE);
	params.shifts = 1;
	run(&shifts, &s, &params);
	scene_init(&s, 0.5, 0.3, NOISE);
	params.angles = 1;
	run(&both, &s, &params);
	double pm[3] = { position_error(&s, none.position_A, ATOMS),
			 position_error(&s, shifts.position_A, ATOMS),
			 position_error(&s, both.position_A, ATOMS) };
	double deg[2] = { angle_error(&s, none.pose), angle_error(&s, both.pose) };

	if (!(pm[2] < 1.0) || !(pm[1] > 1.5 * pm[2]) || !(pm[0] > 2 * pm[2]) || !(deg[0] > 0.3) ||
	    !(deg[1] < 0.06) || !both.converged)
		fail_msg("%g pm as they are, %g with shifts, %g with both; %g deg, then %g; %d "
			 "rounds",
			 pm[0], pm[1], pm[2], deg[0], deg[1], both.rounds);
	for (int k = 0; k < TILTS; k++) {
		assert_true(both.tilt[k].r1[1] < both.tilt[k].r1[0]);
		assert_true(fabs(both.tilt[k].sigma / NOISE - 1) < 0.1);
		assert_true(none.tilt[k].turned_deg == 0 && none.tilt[k].moved_px == 0);
		assert_true(shifts.tilt[k].turned_deg < 1e-6 && shifts.tilt[k].moved_px > 0);
		assert_true(s.tilt[k].shift_px[0] == 0 && s.tilt[k].shift_px[1] == 0);
	}
	pn_model_refined_free(&none);
	pn_model_refined_free(&shifts);
	pn_model_refined_free(&both);
}

/* The model is turned along with the poses: under the result it looks as it did. */
static void test_frame(void **state)
{
	static struct scene s;
	static float image[TILTS * N * N];
	struct pn_model_refine_params params;
	struct pn_model_refined r;
	struct pn_pose_difference d;
	double worst = 0;

	(void)state;
	scene_init(&s, 0, 0, 0);
	/* the stage is wrong by one common rotation that is no tilt, which the data cannot show */
	for (int k = 0; k < TILTS; k++) {
		struct pn_pose turn;
		double(*a)[3] = s.pose[k].rotation, out[3][3];

		pn_pose_euler(&turn, 0.3, 0.2, -0.4);
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 3; j++)
				out[i][j] = a[i][0] * turn.rotation[0][j] +
					    a[i][1] * turn.rotation[1][j] +
					    a[i][2] * turn.rotation[2][j];
		memcpy(s.nominal[k].rotation, out, sizeof out);
	}
	pn_model_refine_defaults(&params);
	run(&r, &s, &params);
	pn_pose_compare(&d, r.pose, s.nominal, TILTS);
	assert_true(d.mean_deg < 0.01);
	struct pn_linear_model found = s.model;

	found.count = r.count;
	found.position_A = r.position_A;
	found.species = r.species;
	assert_int_equal(pn_linear_model_project(&found, r.pose, TILTS, N, N, image, NULL), PN_OK);
	for (size_t i = 0; i < PN_COUNT(image); i++)
		worst = fmax(worst, fabs((double)image[i] - (double)s.image[i]));
	assert_true(worst < 0.5); /* the brightest pixels are above 100 */
	pn_model_refined_free(&r);
}

/* A tilt that shows something else hardly counts. */
static void test_spoiled_tilt(void **state)
{
	static struct scene s;
	struct pn_model_refine_params params;
	struct pn_model_refined with, without;

	(void)state;
	pn_model_refine_defaults(&params);
	for (int weigh = 0; weigh < 2; weigh++) {
		scene_init(&s, 0.3, 0.2, NOISE);
		for (int y = 0; y < N; y++)
			for (int x = 0; x < N / 2; x++)
				s.image[(9 * N + y) * N + x] *= 0.3f;
		params.weigh = weigh;
		run(weigh ? &with : &without, &s, &params);
	}
	double good = position_error(&s, with.position_A, ATOMS);
	double bad = position_error(&s, without.position_A, ATOMS);

	if (!(good < 1.2) || !(bad > 2 * good))
		fail_msg("%g pm weighed, %g not", good, bad);
	assert_true(with.tilt[9].weight < 0.02 * with.tilt[8].weight);
	pn_model_refined_free(&with);
	pn_model_refined_free(&without);
}

/* Three atoms were missed, and poses are wrong. */
static void test_completes(void **state)
{
	static struct scene s;
	struct pn_model_refine_params params;
	struct pn_model_refined r;
	size_t added = 0;

	(void)state;
	scene_init(&s, 0.4, 0.2, NOISE);
	s.model.count = ATOMS - 3;
	s.model.position_A = s.start_A + 3;
	s.model.species = s.start_species + 3;
	pn_model_refine_defaults(&params);
	params.complete = 1;
	params.box = (struct pn_box){ N, N, N };
	run(&r, &s, &params);
	assert_int_equal(r.added, 3);
	assert_int_equal(r.removed, 0);
	assert_int_equal(r.count, ATOMS);
	for (size_t i = 0; i < r.count; i++) {
		double least2 = INFINITY;
		size_t of = 0;

		for (size_t a = 0; a < ATOMS; a++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += pow(r.position_A[i][k] - s.position_A[a][k], 2);
			if (d2 < least2) {
				least2 = d2;
				of = a;
			}
		}
		assert_true(sqrt(least2) < 0.1);
		assert_int_equal(r.species[i], s.species[of]);
		added += r.from[i] == (size_t)-1;
	}
	assert_int_equal(added, 3);
	pn_model_refined_free(&r);
}

static void test_threads(void **state)
{
	static struct scene s;
	struct pn_model_refine_params params;
	struct pn_model_refined a, b;
	int threads = omp_get_max_threads();

	(void)state;
	pn_model_refine_defaults(&params);
	params.rounds_max = 2;
	omp_set_num_threads(1);
	scene_init(&s, 0.3, 0.2, NOISE);
	run(&a, &s, &params);
	omp_set_num_threads(3);
	scene_init(&s, 0.3, 0.2, NOISE);
	run(&b, &s, &params);
	omp_set_num_threads(threads);
	assert_int_equal(a.rounds, 2);
	assert_memory_equal(a.position_A, b.position_A, ATOMS * sizeof *a.position_A);
	assert_memory_equal(a.pose, b.pose, TILTS * sizeof *a.pose);
	pn_model_refined_free(&a);
	pn_model_refined_free(&b);
}

static void test_refused(void **state)
{
	static struct scene s;
	static const double weight[TILTS];
	struct pn_model_refine_params params;
	struct pn_model_refined r;

	(void)state;
	scene_init(&s, 0.3, 0.2, NOISE);
	pn_model_refine_defaults(&params);
	params.rounds_max = 0;
	assert_int_equal(pn_model_refine(&r, &s.model, &s.measured, s.tilt, &params, NULL),
			 PN_EARG);
	pn_model_refine_defaults(&params);
	params.tolerance_deg = 0;
	assert_int_equal(pn_model_refine(&r, &s.model, &s.measured, s.tilt, &params, NULL),
			 PN_EARG);
	pn_model_refine_defaults(&params);
	params.fit.weight = weight;
	assert_int_equal(pn_model_refine(&r, &s.model, &s.measured, s.tilt, &params, NULL),
			 PN_EARG);
	pn_model_refine_defaults(&params);
	s.image[5] = NAN;
	assert_int_equal(pn_model_refine(&r, &s.model, &s.measured, s.tilt, &params, NULL),
			 PN_EARG);
	assert_null(r.position_A);
	pn_model_refined_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_poses_and_positions),
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_spoiled_tilt),
		cmocka_unit_test(test_completes),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
