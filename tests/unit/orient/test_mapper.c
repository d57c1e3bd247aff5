/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tumbling particle's map against closed forms; poses revised, orders, checkpoints, halves. */
#include "perrin/orient/mapper.h"

#include "perrin/tomo/fsc.h"

#include "blobs.h"
#include "testkit.h"

#include <omp.h>
#include <stdlib.h>

enum {
	CROP = 44,
	PIXELS = CROP * CROP,
	VIEWS = 300,
	EDGE = 32,
	BOX = 24,
	VOXELS = BOX * BOX * BOX
};

/* 17 px across at 1 A: images of 32 px, volumes of 24. */
static struct pn_mapper_params settings(void)
{
	struct pn_mapper_params params;

	pn_params_default(pn_mapper_param_table, &params);
	params.diameter_A = 17;
	params.resolution_A = 0;
	return params;
}

struct scene {
	struct blobs blobs;
	struct pn_mapper_crop crop[VIEWS];
	struct pn_mapper_pose pose[VIEWS];
	float image[VIEWS][PIXELS];
};

/* Crops of frames on which the particle wanders, on a background of 5. */
static void paint(struct scene *s, int k)
{
	double rotation[3][3], shift_px[2];
	const double origin_px[2] = { (double)(s->crop[k].x0_px + CROP / 2),
				      (double)(s->crop[k].y0_px + CROP / 2) };

	for (int a = 0; a < 2; a++)
		shift_px[a] = s->pose[k].position_px[a] - origin_px[a];
	pn_quaternion_to_matrix(rotation, s->pose[k].quaternion);
	blobs_image(&s->blobs, CROP, (const double(*)[3])rotation, shift_px, s->image[k]);
	for (int i = 0; i < PIXELS; i++)
		s->image[k][i] += 5;
}

static struct scene *make_scene(void)
{
	struct scene *s = calloc(1, sizeof *s);
	struct pn_rng rng;

	assert_non_null(s);
	pn_rng_init(&rng, 11, 4);
	blobs_make(&s->blobs, 5.5, 3);
	for (int k = 0; k < VIEWS; k++) {
		s->crop[k] = (struct pn_mapper_crop){ .frame = (uint64_t)(3 * k),
						      .ny = CROP,
						      .nx = CROP,
						      .y0_px = 100 - k % 7,
						      .x0_px = -20 + k % 11,
						      .image = s->image[k] };
		pn_quaternion_random(s->pose[k].quaternion, &rng);
		s->pose[k].position_px[0] =
			(double)s->crop[k].x0_px + CROP / 2 + 6 * (pn_rng_uniform(&rng) - 0.5);
		s->pose[k].position_px[1] =
			(double)s->crop[k].y0_px + CROP / 2 + 6 * (pn_rng_uniform(&rng) - 0.5);
		s->pose[k].weight = 1;
		s->pose[k].half = k % 2;
		paint(s, k);
	}
	return s;
}

static struct pn_mapper *make(const struct pn_mapper_params *params)
{
	struct pn_mapper *m;
	struct pn_error err = { 0 };

	assert_int_equal(pn_mapper_create(&m, params, EDGE, 1, &err), PN_OK);
	return m;
}

static void put(struct pn_mapper *m, const struct scene *s, int k)
{
	enum pn_mapper_answer answer;
	struct pn_error err = { 0 };

	assert_int_equal(pn_mapper_put(m, &s->crop[k], &s->pose[k], &answer, &err), PN_OK);
	assert_int_equal(answer, PN_MAPPER_IN);
}

static void solve(struct pn_mapper *m, int final, struct pn_mapper_result *result)
{
	struct pn_error err = { 0 };

	if (pn_mapper_solve(m, final, result, &err))
		fail_msg("%s", err.text);
}

static void assert_same(const struct pn_mapper_result *a, const struct pn_mapper_result *b)
{
	assert_memory_equal(a->volume, b->volume, VOXELS * sizeof(float));
	for (int h = 0; h < 2; h++)
		assert_memory_equal(a->half[h], b->half[h], VOXELS * sizeof(float));
	assert_memory_equal(a->fsc, b->fsc, a->fsc_count * sizeof *a->fsc);
	const double mine[] = { a->misfit, a->resolution_A, a->far },
		     other[] = { b->misfit, b->resolution_A, b->far };

	assert_memory_equal(mine, other, sizeof mine);
	assert_int_equal(a->images, b->images);
	assert_int_equal(a->iterations, b->iterations);
}

/* |map - truth| / |truth| */
static double error_of(const struct scene *s, const float *map)
{
	static float truth[VOXELS];
	double error = 0, norm = 0;

	blobs_volume(&s->blobs, BOX, truth);
	for (int i = 0; i < VOXELS; i++) {
		error += pow((double)map[i] - (double)truth[i], 2);
		norm += pow((double)truth[i], 2);
	}
	return sqrt(error / norm);
}

/* ---- the map -------------------------------------------------------------------------------- */

static void against_the_closed_form(void **state)
{
	(void)state;
	const struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper *m = make(&params);
	struct pn_mapper_result r;
	double fsc[PN_MAPPER_SHELLS_MAX];
	static float truth[VOXELS];
	double before = 2;

	for (int k = 0; k < VIEWS; k++) {
		put(m, s, k);
		if (k % 100 != 99)
			continue;
		solve(m, 0, &r);
		assert_int_equal(r.images, k + 1);
		assert_int_equal(r.iterations, params.iterations);
		assert_true(isnan(r.held_out));
		assert_true(error_of(s, r.volume) < before);
		before = error_of(s, r.volume);
	}
	assert_int_equal(r.box.nz, BOX);
	blobs_volume(&s->blobs, BOX, truth);
	assert_int_equal(pn_fsc(r.volume, truth, &r.box, NULL, fsc, NULL, NULL), PN_OK);
	assert_true(before < 0.03);
	for (int shell = 0; shell <= BOX / 3; shell++)
		assert_true(fsc[shell] > (shell <= BOX / 4 ? 0.999 : 0.99));
	assert_true(r.misfit < 0.05);
	assert_int_equal(r.fsc_count, BOX / 2 + 1);
	assert_true(r.fsc[BOX / 4] > 0.98 && r.resolution_A < 3 && r.resolution_A >= 2);
	assert_true(r.scf > 0.9 && r.scf <= 1 && r.empty < 0.1 && r.far > 0.7 && r.far <= 1);
	pn_mapper_destroy(m);
	free(s);
}

/* Noise of the images' own variance is fitted later than the particle: the last volume stops
 * between, where one half of the images says so, near the best of all numbers of iterations. */
static void the_last_volume_stops_in_time(void **state)
{
	(void)state;
	struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper_result r;
	struct pn_rng rng;
	double best = 2, worst = 0;

	pn_rng_init(&rng, 2, 2);
	for (int k = 0; k < VIEWS; k++) {
		double square = 0;

		for (int i = 0; i < PIXELS; i++)
			square += pow((double)s->image[k][i] - 5, 2) / PIXELS;
		for (int i = 0; i < PIXELS; i++)
			s->image[k][i] += (float)(sqrt(square) * pn_rng_gauss(&rng));
	}
	for (int n = 2; n <= 64; n *= 2) {
		params.iterations = n;
		struct pn_mapper *m = make(&params);

		for (int k = 0; k < VIEWS; k++)
			put(m, s, k);
		solve(m, 0, &r);
		best = fmin(best, error_of(s, r.volume));
		worst = fmax(worst, error_of(s, r.volume));
		if (n == 64) {
			solve(m, 1, &r);
			assert_true(r.iterations > 3 && r.iterations < params.iterations_max);
			assert_true(r.held_out > r.misfit && r.held_out < 1);
			assert_true(error_of(s, r.volume) < 1.05 * best);
			assert_true(worst > 1.2 * best);
		}
		pn_mapper_destroy(m);
	}
	free(s);
}

/* A particle that only turns about one axis: a cap of the views is never seen. */
static void coverage_is_that_of_the_views(void **state)
{
	(void)state;
	const struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper *m = make(&params);
	struct pn_mapper_result r;

	for (int k = 0; k < VIEWS; k++) {
		s->pose[k].quaternion[0] = cos(M_PI * k / VIEWS);
		s->pose[k].quaternion[2] = sin(M_PI * k / VIEWS);
		s->pose[k].quaternion[1] = s->pose[k].quaternion[3] = 0;
		paint(s, k);
		put(m, s, k);
	}
	solve(m, 0, &r);
	assert_true(r.empty > 0.7);
	assert_true(fabs(r.scf - 0.81) < 0.06); /* 8 / pi^2 */
	pn_mapper_destroy(m);
	free(s);
}

/* Half a map does not know of the other's images; one half alone has nothing to be compared with.
 */
static void halves_are_apart(void **state)
{
	(void)state;
	const struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper *a = make(&params), *b = make(&params);
	struct pn_mapper_result ra, rb;

	for (int k = 0; k < 60; k += 2)
		put(a, s, k);
	solve(a, 0, &ra);
	assert_int_equal(ra.fsc_count, 0);
	assert_null(ra.half[0]);
	assert_true(isnan(ra.resolution_A) && isnan(ra.far) && ra.scf > 0);
	for (int k = 0; k < 60; k++) {
		if (k % 2)
			put(a, s, k);
		if (k % 2)
			s->pose[k].quaternion[0] = -s->pose[k].quaternion[0]; /* another one */
		put(b, s, k);
	}
	solve(a, 0, &ra);
	solve(b, 0, &rb);
	assert_memory_equal(ra.half[0], rb.half[0], VOXELS * sizeof(float));
	assert_memory_not_equal(ra.half[1], rb.half[1], VOXELS * sizeof(float));
	assert_memory_not_equal(ra.volume, rb.volume, VOXELS * sizeof(float));
	pn_mapper_destroy(a);
	pn_mapper_destroy(b);
	free(s);
}

/* ---- the way does not matter ---------------------------------------------------------------- */

/* Wrong in each way a pose can be; some of them not in the sums at all. */
static struct pn_mapper_pose wrong(const struct pn_mapper_pose *right, int k)
{
	struct pn_mapper_pose pose = *right;

	if (k % 5 == 0)
		pose.position_px[k % 2] += 2.4;
	if (k % 5 == 1)
		pose.half = 1 - pose.half;
	if (k % 5 == 2)
		pose.weight = k % 2 ? 0 : 0.25;
	if (k % 5 == 3)
		pn_quaternion_conjugate(pose.quaternion, right->quaternion);
	return pose;
}

static void revisions_and_order_leave_no_trace(void **state)
{
	(void)state;
	enum { COUNT = 80 };
	const struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper *straight = make(&params), *crooked = make(&params);
	struct pn_mapper_result r[2];
	enum pn_mapper_answer answer;

	for (int k = 0; k < COUNT; k++)
		put(straight, s, k);
	for (int i = 0; i < COUNT; i++) {
		const int k = i ? COUNT - i : 0; /* the same first: it sets the unit */
		const struct pn_mapper_pose pose = wrong(&s->pose[k], k);

		pn_mapper_put(crooked, &s->crop[k], &pose, &answer, NULL);
		assert_int_equal(answer, pose.weight > 0 ? PN_MAPPER_IN : PN_MAPPER_KEPT);
	}
	solve(crooked, 0, &r[1]);
	assert_int_equal(r[1].images, COUNT - COUNT / 10);
	for (int k = 0; k < COUNT; k++) {
		pn_mapper_revise(crooked, s->crop[k].frame, &s->pose[k], &answer, NULL);
		assert_int_equal(answer, PN_MAPPER_IN);
	}
	solve(straight, 1, &r[0]);
	solve(crooked, 1, &r[1]);
	assert_same(&r[0], &r[1]);
	assert_true(fabs(r[0].scf - r[1].scf) < 1e-9 && fabs(r[0].empty - r[1].empty) < 1e-9);
	/* out of the sums again, and all of them */
	for (int k = 0; k < COUNT; k++) {
		struct pn_mapper_pose none = s->pose[k];

		none.weight = 0;
		pn_mapper_revise(crooked, s->crop[k].frame, &none, &answer, NULL);
		assert_int_equal(answer, PN_MAPPER_KEPT);
		assert_int_equal(pn_mapper_images(crooked), COUNT - 1 - k);
	}
	assert_int_equal(pn_mapper_solve(crooked, 1, &r[1], NULL), PN_ENOENT);
	pn_mapper_destroy(straight);
	pn_mapper_destroy(crooked);
	free(s);
}

static struct pn_mapper *reopen(struct pn_mapper *m, const struct pn_mapper_params *params)
{
	struct pn_blob blob = { 0 };
	struct pn_mapper *again = make(params);
	struct pn_error err = { 0 };

	assert_int_equal(pn_mapper_save(m, &blob), PN_OK);
	if (pn_mapper_load(again, blob.data, blob.bytes, &err))
		fail_msg("%s", err.text);
	pn_blob_finish(&blob);
	pn_mapper_destroy(m);
	return again;
}

/* Growing volumes, revisions, a ring that is full, with and without checkpoints between. */
static void checkpoints_change_nothing(void **state)
{
	(void)state;
	struct pn_mapper_params params = settings();
	struct scene *s = make_scene();

	for (int trailing = 0; trailing < 2; trailing++) {
		params.memory = 12;
		params.trailing = trailing ? 0.5 : 1;
		struct pn_mapper *whole = make(&params), *cut = make(&params);

		for (int k = 0; k < 45; k++) {
			struct pn_mapper *both[] = { whole, cut };
			struct pn_mapper_result r[2];
			enum pn_mapper_answer answer;

			if (k < 3 || k % 7 == 0)
				both[1] = cut = reopen(cut, &params);
			for (int i = 0; i < 2; i++) {
				put(both[i], s, k);
				if (k > 5)
					pn_mapper_revise(both[i], s->crop[k - 5].frame,
							 &s->pose[k - 4], &answer, NULL);
				if (k % 10 == 9)
					solve(both[i], k == 39, &r[i]);
			}
			if (k % 10 == 9) {
				assert_same(&r[0], &r[1]);
				assert_true(r[0].scf == r[1].scf && r[0].empty == r[1].empty);
			}
		}
		pn_mapper_destroy(whole);
		pn_mapper_destroy(cut);
	}
	free(s);
}

static void threads_change_nothing(void **state)
{
	(void)state;
	const struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper *m[2];
	struct pn_mapper_result r[2];

	for (int i = 0; i < 2; i++) {
		omp_set_num_threads(1 + i);
		m[i] = make(&params);
		for (int k = 0; k < 30; k++)
			put(m[i], s, k);
		solve(m[i], 0, &r[i]);
	}
	assert_same(&r[0], &r[1]);
	for (int i = 0; i < 2; i++)
		pn_mapper_destroy(m[i]);
	free(s);
}

/* What was is forgotten: the particle has changed, and its map is of what it is now. */
static void older_images_fade(void **state)
{
	(void)state;
	struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper_result r;
	double error[2];

	for (int trailing = 0; trailing < 2; trailing++) {
		params.trailing = trailing ? 0.1 : 1;
		struct pn_mapper *m = make(&params);

		for (int k = 0; k < VIEWS; k++) {
			blobs_make(&s->blobs, 5.5, k < VIEWS / 2 ? 3 : 5);
			paint(s, k);
			put(m, s, k);
			if (k % 50 == 49)
				solve(m, 0, &r);
		}
		solve(m, 1, &r);
		error[trailing] = error_of(s, r.volume);
		assert_true(trailing ? r.scf < 1 : r.scf > 0.9);
		pn_mapper_destroy(m);
	}
	assert_true(error[0] > 0.3);
	assert_true(error[1] < 0.1);
	free(s);
}

/* ---- what cannot be used -------------------------------------------------------------------- */

static enum pn_mapper_answer try_put(struct pn_mapper *m, const struct pn_mapper_crop *crop,
				     const struct pn_mapper_pose *pose)
{
	enum pn_mapper_answer answer;

	assert_int_equal(pn_mapper_put(m, crop, pose, &answer, NULL), PN_OK);
	return answer;
}

static void refusals_change_nothing(void **state)
{
	(void)state;
	struct pn_mapper_params params = settings();
	struct scene *s = make_scene();
	struct pn_mapper_result r[2];
	static float pixels[PIXELS];
	enum pn_mapper_answer answer;

	params.memory = 5;
	struct pn_mapper *m = make(&params), *other = make(&params);
	struct pn_mapper_crop bad = { .frame = 1, .ny = CROP, .nx = CROP, .image = pixels };
	struct pn_mapper_pose pose = s->pose[0];

	pose.position_px[0] = pose.position_px[1] = CROP / 2;
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_RANGE); /* no contrast, no unit */
	pixels[7] = 1e21f;
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_RANGE);
	pixels[7] = (float)NAN;
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_RANGE);
	assert_int_equal(pn_mapper_solve(m, 0, &r[0], NULL), PN_ENOENT);
	for (int k = 0; k < 8; k++) {
		put(m, s, k);
		put(other, s, k);
	}
	assert_int_equal(try_put(m, &s->crop[7], &s->pose[7]), PN_MAPPER_AGAIN);
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_RANGE);
	pixels[7] = 1;
	pose.position_px[0] = 7.9;
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_NO_PLACE);
	pose.position_px[0] = (double)NAN;
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_RANGE);
	pose.position_px[0] = CROP / 2;
	pose.weight = 2e3;
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_RANGE);
	pose = (struct pn_mapper_pose){ .quaternion = { 0.9 }, .weight = 1 };
	assert_int_equal(try_put(m, &bad, &pose), PN_MAPPER_RANGE);
	pn_mapper_revise(m, s->crop[7].frame, &pose, &answer, NULL);
	assert_int_equal(answer, PN_MAPPER_RANGE);
	pose = s->pose[7];
	pose.position_px[1] += 20;
	pn_mapper_revise(m, s->crop[7].frame, &pose, &answer, NULL);
	assert_int_equal(answer, PN_MAPPER_NO_PLACE);
	pn_mapper_revise(m, s->crop[2].frame, &s->pose[2], &answer, NULL); /* 3..7 are kept */
	assert_int_equal(answer, PN_MAPPER_GONE);
	pn_mapper_revise(m, s->crop[3].frame, &s->pose[3], &answer, NULL);
	assert_int_equal(answer, PN_MAPPER_IN);
	solve(m, 1, &r[0]);
	solve(other, 1, &r[1]);
	assert_same(&r[0], &r[1]);
	pn_mapper_destroy(m);
	pn_mapper_destroy(other);
	free(s);
}

static void damaged_checkpoints(void **state)
{
	(void)state;
	struct pn_mapper_params params = settings(), less = settings();
	struct scene *s = make_scene();
	struct pn_mapper *m;
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	params.memory = 6;
	less.memory = 5;
	m = make(&params);
	for (int k = 0; k < 6; k++)
		put(m, s, k);
	assert_int_equal(pn_mapper_save(m, &blob), PN_OK);
	pn_mapper_destroy(m);
	for (size_t i = 0; i < 30; i++) {
		const size_t bytes = i < 15 ? blob.bytes * i / 15 : blob.bytes - 1 - 997 * (i - 15);

		m = make(&params);
		assert_int_equal(pn_mapper_load(m, blob.data, bytes, &err), PN_EFORMAT);
		pn_mapper_destroy(m);
	}
	m = make(&less);
	assert_int_equal(pn_mapper_load(m, blob.data, blob.bytes, &err), PN_EFORMAT);
	pn_mapper_destroy(m);
	pn_blob_finish(&blob);
	free(s);
}

static void edges(void **state)
{
	(void)state;
	struct pn_mapper_params params = settings();
	struct pn_mapper *m;

	assert_int_equal(pn_mapper_edge(&params, 1, 400, 300), 32);
	assert_int_equal(pn_mapper_edge(&params, 0.358, 400, 300), 80);
	assert_int_equal(pn_mapper_edge(&params, 0.358, 71, 300), 70);
	assert_int_equal(pn_mapper_edge(&params, 1e-9, 4000, 3000), 512);
	assert_int_equal(pn_mapper_edge(&params, 1e9, 400, 300), 16);
	assert_int_equal(pn_mapper_edge(&params, 1, 15, 300), 0);
	params.edge_px = 51;
	assert_int_equal(pn_mapper_edge(&params, 1, 400, 300), 50);
	assert_int_equal(pn_mapper_create(&m, &params, 31, 1, NULL), PN_EARG);
	assert_int_equal(pn_mapper_create(&m, &params, 14, 1, NULL), PN_EARG);
	assert_int_equal(pn_mapper_create(&m, &params, 32, (double)NAN, NULL), PN_EARG);
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_the_closed_form),
		cmocka_unit_test(the_last_volume_stops_in_time),
		cmocka_unit_test(coverage_is_that_of_the_views),
		cmocka_unit_test(halves_are_apart),
		cmocka_unit_test(revisions_and_order_leave_no_trace),
		cmocka_unit_test(checkpoints_change_nothing),
		cmocka_unit_test(threads_change_nothing),
		cmocka_unit_test(older_images_fade),
		cmocka_unit_test(refusals_change_nothing),
		cmocka_unit_test(damaged_checkpoints),
		cmocka_unit_test(edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
