/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "particle.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"
#include "perrin/tomo/fista.h"
#include "perrin/tomo/refine_loop.h"
#include "testkit.h"

#include <stdlib.h>

enum { N = 32, TILTS = 25, PIXELS = N * N, EVERY = 6 };

static const struct pn_box box = { N, N, N };

/* A series whose poses are given wrong. */
struct scene {
	struct particle particle;
	struct pn_pose truth[TILTS], start[TILTS], found[TILTS];
	struct pn_refined refined[TILTS];
	struct pn_projections set;
	float image[TILTS][PIXELS], cleaned[TILTS][PIXELS];
	/* of the solver */
	int iterations, calls, worse;
};

static void perturb(struct pn_pose *pose, double angle_deg, double px, struct pn_rng *rng)
{
	double w[3], q[4], turn[3][3];

	for (int i = 0; i < 3; i++)
		w[i] = angle_deg * M_PI / 180 * (2 * pn_rng_uniform(rng) - 1);
	pn_quaternion_from_vector(q, w);
	pn_quaternion_to_matrix(turn, q);
	pn_matrix3_multiply(pose->rotation, turn, pose->rotation);
	for (int i = 0; i < 2; i++)
		pose->shift_px[i] += px * (2 * pn_rng_uniform(rng) - 1);
}

static struct scene *scene_make(double angle_deg, double px, uint64_t seed)
{
	struct scene *s = calloc(1, sizeof *s);
	struct pn_rng rng;

	assert_non_null(s);
	s->particle.ny = s->particle.nx = N;
	particle_make(&s->particle, 40, 10, 3.5, seed);
	pn_rng_init(&rng, seed, 2);
	for (int k = 0; k < TILTS; k++) {
		pn_pose_tilt(&s->truth[k], -72 + 6.0 * k);
		particle_project(&s->particle, &s->truth[k], s->image[k]);
		s->start[k] = s->truth[k];
		if (angle_deg > 0 || px > 0)
			perturb(&s->start[k], angle_deg, px, &rng);
		if (angle_deg == 0)
			memcpy(s->start[k].rotation, s->truth[k].rotation,
			       sizeof s->truth[k].rotation);
	}
	s->set = (struct pn_projections){ TILTS, N, N, s->image[0], s->start };
	s->iterations = 40;
	return s;
}

/* Every sixth tilt is left out of a trial; with @worse, what it says grows from call to call. */
static int solve(void *context, const struct pn_projections *set, float *volume, double *misfit,
		 struct pn_error *err)
{
	struct scene *s = context;
	struct pn_normal *all = NULL, *some = NULL;
	struct pn_fista *fista = NULL;
	struct pn_fista_params params;
	struct pn_fista_result result;
	int single = pn_poses_single_axis(set->pose, set->count);

	for (size_t i = 0; i < pn_box_voxels(&box); i++)
		assert_true(volume[i] == 0.0f);
	pn_fista_defaults(&params);
	params.iterations_max = s->iterations;
	assert_int_equal(pn_normal_create(&all, &box, single, 10, err), PN_OK);
	assert_int_equal(pn_normal_create(&some, &box, single, 10, err), PN_OK);
	for (size_t k = 0; k < set->count; k++) {
		const float *image = set->image + k * PIXELS;

		assert_int_equal(pn_normal_add(all, &set->pose[k], image, N, N, err), PN_OK);
		if (k % EVERY == EVERY / 2)
			assert_int_equal(pn_normal_add(some, &set->pose[k], image, N, N, err),
					 PN_OK);
	}
	assert_int_equal(pn_fista_create(&fista, &box, single, err), PN_OK);
	int rc = pn_fista_solve(fista, &params, all, some, volume, &result, err);

	*misfit = s->worse ? s->calls : result.held_out;
	memset(volume, 0, pn_box_voxels(&box) * sizeof *volume);
	if (!rc)
		rc = pn_fista_solve(fista, &params, all, NULL, volume, &result, err);
	s->calls++;
	pn_fista_destroy(fista);
	pn_normal_destroy(all);
	pn_normal_destroy(some);
	return rc;
}

static struct pn_refine_loop_result run(struct scene *s, const struct pn_refine_loop_params *params)
{
	const struct pn_refine_solver solver = { solve, s };
	struct pn_refine_loop_result result;
	struct pn_error err = { 0 };

	if (pn_refine_loop(s->found, s->cleaned[0], s->refined, &box, &s->set, &solver, params,
			   &result, &err))
		fail_msg("%s", err.text);
	return result;
}

/* Distance to the truth that no choice of the volume's frame explains. */
static struct pn_pose_difference off(const struct pn_pose *pose, const struct scene *s)
{
	struct pn_pose free_of_gauge[TILTS];
	struct pn_pose_difference d;

	memcpy(free_of_gauge, pose, sizeof free_of_gauge);
	assert_int_equal(pn_refine_gauge(free_of_gauge, s->truth, TILTS, PN_REFINE_ALL, NULL),
			 PN_OK);
	pn_pose_compare(&d, free_of_gauge, s->truth, TILTS);
	return d;
}

static void angles_and_shifts_come_back(void **state)
{
	struct scene *s = scene_make(1, 1.5, 1);
	struct pn_refine_loop_params params;

	(void)state;
	pn_refine_loop_defaults(&params);
	params.rounds_max = 9;
	struct pn_refine_loop_result r = run(s, &params);
	struct pn_pose_difference before = off(s->start, s), after = off(s->found, s), frame;

	print_message("%d rounds: %.3f -> %.3f deg, %.3f -> %.3f px, misfit %.4f -> %.4f\n",
		      r.rounds, before.mean_deg, after.mean_deg, before.mean_px, after.mean_px,
		      r.before, r.after);
	assert_true(before.mean_deg > 0.7 && after.mean_deg < before.mean_deg / 2);
	assert_true(before.mean_px > 0.8 && after.mean_px < before.mean_px / 20);
	assert_true(r.best > 0 && r.best <= r.rounds && r.after < r.before / 3);
	/* the frame is that of the poses given */
	memcpy(s->truth, s->start, sizeof s->truth);
	after = off(s->found, s);
	pn_pose_compare(&frame, s->found, s->start, TILTS);
	assert_true(fabs(frame.mean_deg - after.mean_deg) < 1e-3);
	assert_true(fabs(frame.mean_px - after.mean_px) < 1e-3);
	free(s);
}

/* One axis stays one, to the bit, and rotations are those given. */
static void shifts_alone_leave_the_angles(void **state)
{
	struct scene *s = scene_make(0, 1.5, 2);
	struct pn_refine_loop_params params;

	(void)state;
	pn_refine_loop_defaults(&params);
	params.angles = 0;
	run(s, &params);
	for (int k = 0; k < TILTS; k++)
		assert_memory_equal(s->found[k].rotation, s->start[k].rotation,
				    sizeof s->found[k].rotation);
	struct pn_pose_difference before = off(s->start, s), after = off(s->found, s);

	print_message("%.3f -> %.3f px\n", before.mean_px, after.mean_px);
	assert_true(before.mean_px > 0.8 && after.mean_px < 0.1);
	free(s);
}

static void angles_alone_leave_the_shifts(void **state)
{
	struct scene *s = scene_make(0.5, 0, 3);
	struct pn_refine_loop_params params;

	(void)state;
	pn_refine_loop_defaults(&params);
	params.shifts = 0;
	params.rounds_max = 4;
	params.blur_px = 0;
	run(s, &params);
	for (int k = 0; k < TILTS; k++)
		assert_true(s->found[k].shift_px[0] == 0 && s->found[k].shift_px[1] == 0);
	struct pn_pose_difference before = off(s->start, s), after = off(s->found, s);

	print_message("%.3f -> %.3f deg\n", before.mean_deg, after.mean_deg);
	assert_true(before.mean_deg > 0.3 && after.mean_deg < before.mean_deg / 2.5);
	free(s);
}

/* If it only becomes worse, all is as it was given. */
static void what_does_not_help_is_taken_back(void **state)
{
	struct scene *s = scene_make(0, 0.5, 4);
	struct pn_refine_loop_params params;

	(void)state;
	pn_refine_loop_defaults(&params);
	params.angles = 0;
	s->worse = 1;
	struct pn_refine_loop_result r = run(s, &params);

	assert_int_equal(r.best, 0);
	assert_int_equal(r.stop, PN_REFINE_LOOP_MISFIT);
	assert_true(r.after == r.before);
	assert_memory_equal(s->found, s->start, sizeof s->found);
	free(s);
}

static void true_poses_stay(void **state)
{
	struct scene *s = scene_make(0, 0, 5);
	struct pn_refine_loop_params params;

	(void)state;
	pn_refine_loop_defaults(&params);
	params.blur_px = 0;
	struct pn_refine_loop_result r = run(s, &params);
	struct pn_pose_difference after = off(s->found, s);

	assert_true(r.rounds <= 4 && after.max_px < 0.03 && after.mean_deg < 0.1);
	free(s);
}

/* A slope under all images, which the first volume is spoilt by. */
static void backgrounds_are_taken_off(void **state)
{
	struct scene *s = scene_make(0, 0.5, 6);
	struct pn_refine_loop_params params;
	double with = 0, without = 0, sum = 0;

	(void)state;
	for (int k = 0; k < TILTS; k++)
		for (int i = 0; i < PIXELS; i++)
			s->image[k][i] += 0.3f + 0.01f * (float)(i % N);
	pn_refine_loop_defaults(&params);
	params.angles = 0;
	params.background = 1;
	params.blur_px = 0;
	params.rounds_max = 4;
	params.particle.margin_px = 2;
	run(s, &params);
	for (int k = 0; k < TILTS; k++) {
		float clean[PIXELS];

		particle_project(&s->particle, &s->truth[k], clean);
		for (int i = 0; i < PIXELS; i++) {
			with += fabs((double)(s->image[k][i] - clean[i]));
			without += fabs((double)(s->cleaned[k][i] - clean[i]));
			sum += (double)clean[i];
		}
	}
	print_message("background: %.3f -> %.3f of the particle\n", with / sum, without / sum);
	assert_true(without < with / 10);
	assert_true(off(s->found, s).mean_px < 0.1);
	free(s);
}

static int stop_after_two(void *context, const struct pn_refine_loop_round *round)
{
	int *rounds = context;

	*rounds = round->round;
	return round->round == 2;
}

static void threads_do_not_matter(void **state)
{
	struct scene *s = scene_make(0, 1, 7);
	struct pn_refine_loop_params params;
	struct pn_pose first[TILTS];
	int rounds = 0;

	(void)state;
	pn_refine_loop_defaults(&params);
	params.angles = 0;
	params.progress = stop_after_two;
	params.context = &rounds;
	struct pn_refine_loop_result r = run(s, &params);

	assert_int_equal(rounds, 2);
	assert_int_equal(r.stop, PN_REFINE_LOOP_ASKED);
	memcpy(first, s->found, sizeof first);
	params.memory_max = 0; /* a single slicer */
	run(s, &params);
	assert_memory_equal(first, s->found, sizeof first);
	free(s);
}

static int fails(void *context, const struct pn_projections *set, float *volume, double *misfit,
		 struct pn_error *err)
{
	(void)context;
	(void)set;
	(void)volume;
	(void)misfit;
	return pn_error_set(err, PN_EIO, "no volume today");
}

static void bad_input_is_told(void **state)
{
	struct scene *s = scene_make(0.5, 0.5, 8);
	struct pn_refine_loop_params params, right;
	struct pn_refine_loop_result r;
	struct pn_refine_solver solver = { solve, s };
	struct pn_error err = { 0 };

	(void)state;
	pn_refine_loop_defaults(&right);
#define TRY(poses) \
	pn_refine_loop(poses, NULL, s->refined, &box, &s->set, &solver, &params, &r, &err)
	params = right;
	params.angles = params.shifts = 0;
	assert_int_equal(TRY(s->found), PN_EARG);
	assert_non_null(strstr(err.text, "neither angles nor shifts"));
	params = right;
	params.rounds_max = 0;
	assert_int_equal(TRY(s->found), PN_EARG);
	assert_non_null(strstr(err.text, "rounds_max = 0"));
	params = right;
	params.gain_min = NAN;
	assert_int_equal(TRY(s->found), PN_EARG);
	params = right;
	params.background = 1;
	assert_int_equal(TRY(s->found), PN_EARG);
	assert_non_null(strstr(err.text, "images"));
	params = right;
	assert_int_equal(TRY(s->start), PN_EARG);
	s->image[3][7] = NAN;
	assert_int_equal(TRY(s->found), PN_EARG);
	assert_non_null(strstr(err.text, "3"));
	s->image[3][7] = 0;
	params.refine.angle_max_deg = -1;
	assert_int_equal(TRY(s->found), PN_EARG);
	assert_non_null(strstr(err.text, "angle_max_deg"));
	params = right;
	solver.solve = fails;
	assert_int_equal(TRY(s->found), PN_EIO);
	assert_string_equal(err.text, "no volume today");
	assert_true(isnan(r.after));
#undef TRY
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(angles_and_shifts_come_back),
		cmocka_unit_test(shifts_alone_leave_the_angles),
		cmocka_unit_test(angles_alone_leave_the_shifts),
		cmocka_unit_test(what_does_not_help_is_taken_back),
		cmocka_unit_test(true_poses_stay),
		cmocka_unit_test(backgrounds_are_taken_off),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(bad_input_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
