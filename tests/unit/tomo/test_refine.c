/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "particle.h"
#include "perrin/image/filter.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"
#include "perrin/tomo/refine.h"
#include "testkit.h"

#include <stdlib.h>

enum { TILTS_MAX = 48 };

static struct pn_refine_params defaults(void)
{
	struct pn_refine_params p;

	pn_params_default(pn_refine_param_table, &p);
	return p;
}

static int project_particle(void *context, const struct pn_pose *pose, float *image,
			    struct pn_error *err)
{
	(void)err;
	particle_project(context, pose, image);
	return PN_OK;
}

/* A model whose contexts are all the same particle: it is only read. */
static struct pn_refine_model particle_model(struct particle *p, void *context[4], size_t threads)
{
	for (size_t i = 0; i < 4; i++)
		context[i] = p;
	return (struct pn_refine_model){ p->ny, p->nx, project_particle, context, threads };
}

/* Turned at random by up to @angle_deg about each axis, moved by up to @px along each. */
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

/* A series: true poses, its images with noise (part of the largest pixel), perturbed poses. */
struct scene {
	struct particle particle;
	struct pn_pose truth[TILTS_MAX], start[TILTS_MAX], found[TILTS_MAX];
	struct pn_refined result[TILTS_MAX];
	struct pn_projections set;
	float *image;
};

static struct scene *scene_make(size_t count, size_t n, size_t atoms, double radius,
				double angle_deg, double px, double noise, uint64_t seed)
{
	struct scene *s = calloc(1, sizeof *s);
	struct pn_rng rng;

	assert_non_null(s);
	s->image = malloc(count * n * n * sizeof *s->image);
	assert_non_null(s->image);
	s->particle.ny = s->particle.nx = n;
	particle_make(&s->particle, atoms, radius, 3.5, seed);
	pn_rng_init(&rng, seed, 2);
	for (size_t k = 0; k < count; k++) {
		float *image = s->image + k * n * n, most = 0;

		pn_pose_tilt(&s->truth[k], -72 + 144.0 * (double)k / (double)(count - 1));
		perturb(&s->truth[k], 1, 0.5, &rng);
		particle_project(&s->particle, &s->truth[k], image);
		for (size_t i = 0; i < n * n; i++)
			most = fmaxf(most, image[i]);
		for (size_t i = 0; noise > 0 && i < n * n; i++)
			image[i] += (float)(noise * most * pn_rng_gauss(&rng));
		s->start[k] = s->truth[k];
		perturb(&s->start[k], angle_deg, px, &rng);
	}
	s->set = (struct pn_projections){ count, n, n, s->image, s->start };
	return s;
}

static void scene_free(struct scene *s)
{
	free(s->image);
	free(s);
}

static void known_volume_gives_the_poses(void **state)
{
	struct scene *s = scene_make(15, 64, 120, 16, 1, 2, 0, 1);
	struct pn_refine_params params = defaults();
	struct pn_pose_difference before, after;
	void *context[4];
	struct pn_refine_model model = particle_model(&s->particle, context, 2);

	(void)state;
	pn_pose_compare(&before, s->start, s->truth, 15);
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, NULL),
			 PN_OK);
	pn_pose_compare(&after, s->found, s->truth, 15);
	print_message("noise-free: %.2f -> %.5f deg, %.2f -> %.5f px (worst)\n", before.max_deg,
		      after.max_deg, before.max_px, after.max_px);
	assert_true(before.max_deg > 1 && before.max_px > 1.5);
	assert_true(after.max_deg < 0.05 && after.max_px < 0.05);
	for (int k = 0; k < 15; k++) {
		const struct pn_refined *r = &s->result[k];

		assert_true(r->converged && !r->kept && r->correlation[1] > 0.999999);
		assert_true(r->r1[1] < 2e-3 && r->r1[0] > 0.05 && fabs(r->scale - 1) < 1e-3);
		assert_true(r->correlation[0] < r->correlation[1] && r->projections < 120);
		assert_true(r->turned_deg > 0.1 && r->turned_deg < 2);
	}
	scene_free(s);
}

/* Up to 5 deg about each axis and 4 px: the grid comes first. */
static void far_off_poses_come_home(void **state)
{
	struct scene *s = scene_make(7, 64, 120, 16, 5, 4, 0, 2);
	struct pn_refine_params params = defaults();
	struct pn_pose_difference after;
	void *context[4];
	struct pn_refine_model model = particle_model(&s->particle, context, 2);

	(void)state;
	params.angle_range_deg = 4;
	params.angle_max_deg = 12;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, NULL),
			 PN_OK);
	pn_pose_compare(&after, s->found, s->truth, 7);
	assert_true(after.max_deg < 0.05 && after.max_px < 0.05);
	/* bounds hold: nothing may turn further, what would is left where it was */
	params.angle_max_deg = 0.5;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, NULL),
			 PN_OK);
	for (int k = 0; k < 7; k++) {
		assert_true(s->result[k].turned_deg <= 0.5);
		if (s->result[k].kept)
			assert_memory_equal(&s->found[k], &s->start[k], sizeof s->found[k]);
	}
	assert_true(s->result[0].kept || s->result[1].kept || s->result[2].kept);
	scene_free(s);
}

/* Noise of 5 % of the largest pixel: the errors are what the uncertainties say. */
static void uncertainties_hold(void **state)
{
	struct pn_refine_params params = defaults();
	double angle2 = 0, shift2 = 0, angle = 0, shift = 0;
	void *context[4];

	(void)state;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct scene *s = scene_make(20, 64, 120, 16, 1, 2, 0.05, seed);
		struct pn_refine_model model = particle_model(&s->particle, context, 2);

		assert_int_equal(
			pn_refine_round(s->result, s->found, &s->set, &model, &params, NULL),
			PN_OK);
		for (int k = 0; k < 20; k++) {
			struct pn_pose_difference d;

			pn_pose_compare(&d, &s->found[k], &s->truth[k], 1);
			angle2 += d.mean_deg * d.mean_deg / 40;
			shift2 += d.mean_px * d.mean_px / 40;
			/* of three angles, of two shifts */
			angle += 3 * pow(s->result[k].angle_uncertainty_deg, 2) / 40;
			shift += 2 * pow(s->result[k].shift_uncertainty_px, 2) / 40;
		}
		scene_free(s);
	}
	print_message("noise 5 %%: %.3f deg (said %.3f), %.4f px (said %.4f) rms\n", sqrt(angle2),
		      sqrt(angle), sqrt(shift2), sqrt(shift));
	assert_true(angle2 < 1.5 * angle && angle2 > angle / 1.5);
	assert_true(shift2 < 1.5 * shift && shift2 > shift / 1.5);
	assert_true(sqrt(angle2) < 0.3 && sqrt(shift2) < 0.1);
}

static void gauge_takes_out_what_is_common(void **state)
{
	struct scene *s = scene_make(11, 16, 5, 4, 0, 0, 0, 3);
	struct pn_pose_difference d;
	struct pn_error err = { 0 };
	struct pn_pose turned = s->truth[0];
	const double c[3] = { 1.5, -0.7, 2.2 };
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 1, 0);
	pn_pose_euler(&turned, 3, -4, 2);
	for (int k = 0; k < 11; k++) {
		double move[3];

		pn_matrix3_multiply(s->found[k].rotation, s->truth[k].rotation, turned.rotation);
		pn_matrix3_apply(move, s->found[k].rotation, c);
		for (int i = 0; i < 2; i++)
			s->found[k].shift_px[i] = s->truth[k].shift_px[i] + move[i];
	}
	pn_pose_compare(&d, s->found, s->truth, 11);
	assert_true(d.mean_deg > 4 && d.mean_px > 1);
	memcpy(s->start, s->found, sizeof s->start);
	assert_int_equal(pn_refine_gauge(s->found, s->truth, 11, PN_REFINE_ALL, &err), PN_OK);
	pn_pose_compare(&d, s->found, s->truth, 11);
	assert_true(d.max_deg < 1e-6 && d.max_px < 1e-9);
	/* one pinned: that one is exact also when the others are not common */
	for (int k = 0; k < 11; k++)
		perturb(&s->start[k], 1, 0.2, &rng);
	assert_int_equal(pn_refine_gauge(s->start, s->truth, 11, 4, &err), PN_OK);
	pn_pose_compare(&d, &s->start[4], &s->truth[4], 1);
	assert_true(d.max_deg < 1e-6);
	pn_pose_compare(&d, s->start, s->truth, 11);
	assert_true(d.max_deg > 0.3 && d.max_deg < 4);
	/* a single pose can be put right altogether */
	assert_int_equal(pn_refine_gauge(s->start, s->truth + 3, 1, 0, &err), PN_OK);
	pn_pose_compare(&d, s->start, s->truth + 3, 1);
	assert_true(d.max_deg < 1e-6 && d.max_px < 1e-9);
	assert_int_equal(pn_refine_gauge(s->start, s->truth, 11, 11, &err), PN_EARG);
	assert_int_equal(pn_refine_gauge(s->start, s->truth, 0, PN_REFINE_ALL, &err), PN_EARG);
	s->start[5].rotation[1][1] = NAN;
	assert_int_equal(pn_refine_gauge(s->start, s->truth, 11, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "pose 5"));
	scene_free(s);
}

static void threads_do_not_matter(void **state)
{
	struct scene *s = scene_make(6, 48, 40, 10, 1, 1, 0.05, 4);
	struct pn_refine_params params = defaults();
	struct pn_refined other[TILTS_MAX];
	struct pn_pose pose[TILTS_MAX];
	void *context[4];
	struct pn_refine_model model = particle_model(&s->particle, context, 1);

	(void)state;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, NULL),
			 PN_OK);
	model.contexts = 3;
	memcpy(pose, s->start, sizeof pose);
	s->set.pose = pose; /* in place as well */
	assert_int_equal(pn_refine_round(other, pose, &s->set, &model, &params, NULL), PN_OK);
	assert_memory_equal(s->found, pose, 6 * sizeof *pose);
	assert_memory_equal(s->result, other, 6 * sizeof *other);
	scene_free(s);
}

static int project_fails(void *context, const struct pn_pose *pose, float *image,
			 struct pn_error *err)
{
	(void)pose, (void)image, (void)context;
	return pn_error_set(err, PN_EIO, "no more volume");
}

static void bad_projections_are_named(void **state)
{
	struct scene *s = scene_make(5, 48, 40, 10, 1, 1, 0, 5);
	struct pn_refine_params params = defaults();
	struct pn_error err = { 0 };
	void *context[4];
	struct pn_refine_model model = particle_model(&s->particle, context, 2);

	(void)state;
	s->start[3].shift_px[0] = 500;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "projection 3: the model shows nothing"));
	s->start[3] = s->truth[3];
	s->image[2 * 48 * 48 + 7] = NAN;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "projection 2"));
	memset(s->image + 2 * 48 * 48, 0, 48 * 48 * sizeof *s->image);
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "projection 2"));
	s->image[2 * 48 * 48] = 1;
	model.project = project_fails;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EIO);
	assert_non_null(strstr(err.text, "projection 0: no more volume"));
	model.project = project_particle;
	model.nx = 47;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "48 x 47"));
	model.nx = 48;
	params.levels = 0;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EARG);
	params = defaults();
	params.angle_step_deg = 0;
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EARG);
	s->set.count = 0;
	params = defaults();
	assert_int_equal(pn_refine_round(s->result, s->found, &s->set, &model, &params, &err),
			 PN_EARG);
	scene_free(s);
}

/* ------------------------------------------------------------------ the whole loop */

/*
 * A volume of Gaussian blobs, one per voxel: from every side the same, so that no direction looks
 * sharper than another, which would pull the angles. Shared out among four points of a grid of half
 * pixels, blurred there, every other point taken.
 */
enum {
	SIDE = 32,
	SUPPORT = 13,
	FINE = 2 * SIDE,
	VOXELS = SIDE * SIDE * SIDE,
	PIXELS = SIDE * SIDE
};

static void sweep(float *volume, float *fine, const struct pn_pose *pose, int adjoint)
{
	for (int i = 0; i < VOXELS; i++) {
		double r[3] = { i % SIDE - SIDE / 2, i / SIDE % SIDE - SIDE / 2,
				i / SIDE / SIDE - SIDE / 2 };
		double x = SIDE / 2 + pose->shift_px[0], y = SIDE / 2 + pose->shift_px[1];

		for (int j = 0; j < 3; j++) {
			x += pose->rotation[0][j] * r[j];
			y += pose->rotation[1][j] * r[j];
		}
		if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] > SUPPORT * SUPPORT)
			continue;
		int x0 = (int)floor(2 * x), y0 = (int)floor(2 * y);
		float fx = (float)(2 * x - x0), fy = (float)(2 * y - y0), *p;

		if (x0 < 0 || y0 < 0 || x0 + 1 >= FINE || y0 + 1 >= FINE)
			continue;
		p = fine + y0 * FINE + x0;
		if (adjoint) {
			volume[i] += (1 - fy) * ((1 - fx) * p[0] + fx * p[1]) +
				     fy * ((1 - fx) * p[FINE] + fx * p[FINE + 1]);
		} else {
			p[0] += (1 - fy) * (1 - fx) * volume[i];
			p[1] += (1 - fy) * fx * volume[i];
			p[FINE] += fy * (1 - fx) * volume[i];
			p[FINE + 1] += fy * fx * volume[i];
		}
	}
}

static const double blob_px = 0.8;

static int project_volume(void *context, const struct pn_pose *pose, float *image,
			  struct pn_error *err)
{
	float fine[FINE * FINE] = { 0 }, scratch[FINE * FINE];

	(void)err;
	sweep(context, fine, pose, 0);
	pn_gauss_blur(fine, fine, scratch, FINE, FINE, 2 * blob_px);
	for (int i = 0; i < PIXELS; i++)
		image[i] = 4 * fine[i / SIDE * 2 * FINE + i % SIDE * 2];
	return PN_OK;
}

static void backproject(float *volume, const struct pn_pose *pose, const float *image)
{
	float fine[FINE * FINE] = { 0 }, scratch[FINE * FINE];

	for (int i = 0; i < PIXELS; i++)
		fine[i / SIDE * 2 * FINE + i % SIDE * 2] = 4 * image[i];
	pn_gauss_blur(fine, fine, scratch, FINE, FINE, 2 * blob_px);
	sweep(volume, fine, pose, 1);
}

/* FISTA, u >= 0: an unfinished volume is blurred, and its poses close up like a fan. */
static void reconstruct(float *volume, const struct pn_projections *set, const struct pn_pose *pose,
			int iterations)
{
	float *gradient = malloc(2 * VOXELS * sizeof *gradient), *ahead = gradient + VOXELS;
	float image[PIXELS];
	double t = 1;

	assert_non_null(gradient);
	memcpy(ahead, volume, VOXELS * sizeof *ahead);
	for (int it = 0; it < iterations; it++) {
		double next = (1 + sqrt(1 + 4 * t * t)) / 2;
		float momentum = (float)((t - 1) / next);

		memset(gradient, 0, VOXELS * sizeof *gradient);
		for (size_t k = 0; k < set->count; k++) {
			project_volume(ahead, &pose[k], image, NULL);
			for (int i = 0; i < PIXELS; i++)
				image[i] -= set->image[k * PIXELS + (size_t)i];
			backproject(gradient, &pose[k], image);
		}
		for (int i = 0; i < VOXELS; i++) {
			float u = fmaxf(0, ahead[i] - gradient[i] / ((float)set->count * SIDE));

			ahead[i] = u + momentum * (u - volume[i]);
			volume[i] = u;
		}
		t = next;
	}
	free(gradient);
}

/* Perturbed poses, nothing known but the images: reconstruct, refine, again. */
static void loop_lowers_the_error(void **state)
{
	struct scene *s = scene_make(25, SIDE, 30, 9, 2, 1, 0, 6);
	struct pn_refine_params params = defaults();
	float *volume = calloc(VOXELS, sizeof *volume);
	void *context[2] = { volume, volume };
	struct pn_refine_model model = { SIDE, SIDE, project_volume, context, 2 };
	struct pn_pose pose[TILTS_MAX], old[TILTS_MAX];
	struct pn_pose_difference before, after = { 0 };

	(void)state;
	assert_non_null(volume);
	memcpy(pose, s->start, sizeof pose);
	memcpy(old, s->start, sizeof old);
	assert_int_equal(pn_refine_gauge(old, s->truth, 25, PN_REFINE_ALL, NULL), PN_OK);
	pn_pose_compare(&before, old, s->truth, 25);
	params.angle_range_deg = 0;
	params.levels = 2;
	params.blur_px = 1;
	for (int round = 0; round < 5; round++) {
		memset(volume, 0, VOXELS * sizeof *volume);
		reconstruct(volume, &s->set, pose, 60);
		memcpy(old, pose, sizeof old);
		s->set.pose = old;
		assert_int_equal(pn_refine_round(s->result, pose, &s->set, &model, &params, NULL),
				 PN_OK);
		assert_int_equal(pn_refine_gauge(pose, old, 25, 12, NULL), PN_OK);
		memcpy(s->found, pose, sizeof pose);
		assert_int_equal(pn_refine_gauge(s->found, s->truth, 25, PN_REFINE_ALL, NULL),
				 PN_OK);
		pn_pose_compare(&after, s->found, s->truth, 25);
	}
	print_message("loop: %.3f -> %.3f deg, %.3f -> %.3f px (mean)\n", before.mean_deg,
		      after.mean_deg, before.mean_px, after.mean_px);
	assert_true(before.mean_deg > 1.5 && after.mean_deg < before.mean_deg / 3.5);
	assert_true(before.mean_px > 0.5 && after.mean_px < before.mean_px / 20);
	free(volume);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_volume_gives_the_poses),
		cmocka_unit_test(far_off_poses_come_home),
		cmocka_unit_test(uncertainties_hold),
		cmocka_unit_test(gauge_takes_out_what_is_common),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(bad_projections_are_named),
		cmocka_unit_test(loop_lowers_the_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
