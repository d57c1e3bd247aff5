/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tumbling particle followed: with a known map, and from a piece of perfect crystal. */
#include "perrin/orient/orienter.h"

#include "perrin/base/rng.h"
#include "perrin/math/linear.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { EDGE = 56, ATOMS_MAX = 400, FRAMES_MAX = 600 };

static const double pixel_A = 0.5, lattice_A = 3.92, sigma_px = 0.9, origin[2] = { 100, 50 };

/* A piece of fcc, and its walk. */
struct particle {
	size_t count;
	double at[ATOMS_MAX][3]; /* px from the middle */
	double quaternion[4], place_px[2];
	double step_deg, noise;
	struct pn_rng rng;
};

/* @lopsided: a side cut off, so that no symmetry is left. */
static void grow(struct particle *p, const double center[3], int lopsided)
{
	double mean[3] = { 0 };

	memset(p, 0, sizeof *p);
	for (int i = -6; i <= 6; i++)
		for (int j = -6; j <= 6; j++)
			for (int k = -6; k <= 6; k++) {
				const double r[3] = { lattice_A * (i * 0.5 - center[0]),
						      lattice_A * (j * 0.5 - center[1]),
						      lattice_A * (k * 0.5 - center[2]) };
				const double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];

				if (((i + j + k) & 1) || square > 9.3 * 9.3 ||
				    (lopsided && (r[0] > 6.2 || (r[1] < -6.2 && r[2] > 0))))
					continue;
				for (int a = 0; a < 3; a++)
					p->at[p->count][a] = r[a] / pixel_A;
				p->count++;
			}
	for (size_t n = 0; n < p->count; n++)
		for (int a = 0; a < 3; a++)
			mean[a] += p->at[n][a] / (double)p->count;
	for (size_t n = 0; n < p->count; n++)
		for (int a = 0; a < 3; a++)
			p->at[n][a] -= mean[a];
	pn_rng_init(&p->rng, 11, 0);
	pn_quaternion_random(p->quaternion, &p->rng);
	p->place_px[0] = origin[0] + EDGE / 2 + 0.4;
	p->place_px[1] = origin[1] + EDGE / 2 - 0.3;
	p->step_deg = 5;
}

static void step(struct particle *p)
{
	double w[3], turn[4];

	for (int a = 0; a < 3; a++)
		w[a] = p->step_deg * M_PI / 180 / sqrt(3) * pn_rng_gauss(&p->rng);
	pn_quaternion_from_vector(turn, w);
	pn_quaternion_multiply(p->quaternion, turn, p->quaternion);
	for (int a = 0; a < 2; a++)
		p->place_px[a] += 0.05 * pn_rng_gauss(&p->rng);
}

static void render(struct particle *p, float *image)
{
	double rotation[3][3];

	memset(image, 0, EDGE * EDGE * sizeof *image);
	pn_quaternion_to_matrix(rotation, p->quaternion);
	for (size_t n = 0; n < p->count; n++) {
		double u[3];

		pn_matrix3_apply(u, (const double(*)[3])rotation, p->at[n]);
		for (int a = 0; a < 2; a++)
			u[a] += p->place_px[a] - origin[a];
		for (int y = (int)u[1] - 4; y <= (int)u[1] + 5; y++)
			for (int x = (int)u[0] - 4; x <= (int)u[0] + 5; x++)
				if (x >= 0 && y >= 0 && x < EDGE && y < EDGE)
					image[y * EDGE + x] +=
						(float)exp(-(pow(x - u[0], 2) + pow(y - u[1], 2)) /
							   (2 * sigma_px * sigma_px));
	}
	for (int i = 0; i < EDGE * EDGE; i++)
		image[i] += 5 + (float)(p->noise * pn_rng_gauss(&p->rng));
}

/* What the particle is as a map. */
static float *true_map(const struct particle *p)
{
	float *map = calloc(EDGE * EDGE * EDGE, sizeof *map);

	assert_non_null(map);
	for (size_t n = 0; n < p->count; n++)
		for (int i = 0; i < 9 * 9 * 9; i++) {
			const double *c = p->at[n];
			int x = (int)lrint(c[0]) + i % 9 - 4, y = (int)lrint(c[1]) + i / 9 % 9 - 4,
			    z = (int)lrint(c[2]) + i / 81 - 4;
			double d = pow(x - c[0], 2) + pow(y - c[1], 2) + pow(z - c[2], 2);

			map[((z + EDGE / 2) * EDGE + y + EDGE / 2) * EDGE + x + EDGE / 2] +=
				(float)exp(-d / (2 * sigma_px * sigma_px));
		}
	return map;
}

static struct pn_orienter_params settings(void)
{
	struct pn_orienter_params p;

	pn_params_default(pn_orienter_param_table, &p);
	p.resolution_high_A = 1.5;
	p.views = 500;
	p.refresh = 60;
	p.start = 50;
	p.begin = 100;
	p.keep = 100;
	return p;
}

static struct pn_orienter *make(const struct pn_orienter_params *params,
				const struct pn_orienter_start *start)
{
	struct pn_orienter *o = NULL;
	struct pn_error err = { 0 };

	if (pn_orienter_create(&o, params, EDGE, pixel_A, start, 20, NULL, &err))
		fail_msg("%s", err.text);
	return o;
}

/* All frames of a walk: poses as they are at the end, truth beside them. */
struct run {
	size_t frames, changed, inserted;
	double truth[FRAMES_MAX][4], found[FRAMES_MAX][4];
	double true_px[FRAMES_MAX][2], found_px[FRAMES_MAX][2];
	struct pn_oriented now[FRAMES_MAX];
};

static void push(struct pn_orienter *o, struct particle *p, struct run *run, uint64_t frame)
{
	static float image[EDGE * EDGE];
	struct pn_oriented again[PN_ORIENTER_AGAIN_MAX];
	struct pn_error err = { 0 };
	const size_t f = run->frames++;
	double hint[2];
	size_t count;

	step(p);
	render(p, image);
	for (int a = 0; a < 2; a++)
		hint[a] = p->place_px[a] + 0.4 * pn_rng_gauss(&p->rng);
	if (pn_orienter_push(o, frame, image, origin, hint, &run->now[f], again, &count, &err))
		fail_msg("%s", err.text);
	memcpy(run->truth[f], p->quaternion, sizeof run->truth[f]);
	memcpy(run->true_px[f], p->place_px, sizeof run->true_px[f]);
	memcpy(run->found[f], run->now[f].quaternion, sizeof run->found[f]);
	memcpy(run->found_px[f], run->now[f].position_px, sizeof run->found_px[f]);
	run->inserted += run->now[f].weight > 0;
	run->changed += count;
	for (size_t i = 0; i < count; i++) {
		size_t which = (size_t)(again[i].frame - (frame - f));

		assert_true(again[i].revision > 0 && which < f);
		memcpy(run->found[which], again[i].quaternion, sizeof run->found[which]);
		memcpy(run->found_px[which], again[i].position_px, sizeof run->found_px[which]);
	}
}

static struct run *walk(struct pn_orienter *o, struct particle *p, size_t frames)
{
	struct run *run = calloc(1, sizeof *run);

	assert_non_null(run);
	for (size_t f = 0; f < frames; f++)
		push(o, p, run, 7 + f);
	return run;
}

static void test_known_map(void **state)
{
	struct particle p;
	struct pn_orienter_params params = settings();
	size_t right = 0;
	double shift = 0, angle = 0;

	(void)state;
	grow(&p, (const double[3]){ 0.1, 0.2, -0.05 }, 1);
	p.noise = 1.2; /* as strong as the particle itself */
	params.refresh = 100000;
	float *map = true_map(&p);
	struct pn_orienter *o =
		make(&params, &(struct pn_orienter_start){ .map = map, .diameter_A = 20 });
	struct run *run = walk(o, &p, 120);

	for (size_t f = 0; f < run->frames; f++) {
		double deg = pn_quaternion_angle_rad(run->truth[f], run->found[f]) * 180 / M_PI;

		if (deg > 6)
			continue;
		right++;
		angle += deg;
		shift += hypot(run->true_px[f][0] - run->found_px[f][0],
			       run->true_px[f][1] - run->found_px[f][1]);
	}
	assert_true(right >= 116);
	assert_true(angle / (double)right < 2);
	assert_true(shift / (double)right < 0.2);
	assert_true(run->inserted >= 110);
	/* and it knows how fast the particle turns */
	struct pn_orienter_state known;

	pn_orienter_state(o, &known);
	assert_true(known.step_deg > 3.5 && known.step_deg < 7);
	assert_int_equal(known.images[0] + known.images[1], run->inserted);
	assert_int_equal(known.map, 0);
	pn_orienter_destroy(o);
	free(map);
	free(run);
}

/* No map: perfect crystal, its middle unknown, then the map of the images themselves. */
static void test_from_crystal(void **state)
{
	struct particle p;
	struct pn_orienter_params params = settings();
	struct pn_pose_score score;
	struct pn_orienter_state known;
	const size_t first = 150, frames = 500;

	(void)state;
	grow(&p, (const double[3]){ 0.24, 0.2, 0.02 }, 1);
	p.noise = 0.5;
	p.step_deg = 5;
	params.path.step_deg = 10;
	params.begin = 100;
	params.refresh = 150;
	params.start = 100;
	params.keep = 300;
	struct pn_orienter *o =
		make(&params, &(struct pn_orienter_start){
				      .diameter_A = 18, .lattice_A = lattice_A, .sigma_A = 0.45 });
	struct run *run = walk(o, &p, frames);

	for (size_t f = 0; f < 40; f++)
		assert_true(run->now[f].weight == 0); /* nothing goes into a map so soon */
	assert_int_equal(pn_pose_score(&score, (const double(*)[4])run->found + first,
				       (const double(*)[4])run->truth + first, NULL, NULL,
				       frames - first, NULL, NULL),
			 PN_OK);
	assert_true(score.within_5deg > 0.88 * (double)(frames - first));
	assert_true(score.median_deg < 2.5);
	pn_orienter_state(o, &known);
	assert_true(known.map >= 2 && known.resolution_A < 3);
	assert_true(run->changed > 10); /* older images were looked at again */
	pn_orienter_destroy(o);
	free(run);
}

/* A particle with all the symmetry of its crystal: equivalent poses are one, and it stays on its
 * branch. */
static void test_symmetric(void **state)
{
	struct particle p;
	struct pn_orienter_params params = settings();

	(void)state;
	grow(&p, (const double[3]){ 0, 0, 0 }, 0);
	p.noise = 0.5;
	params.refresh = 100000;
	float *map = true_map(&p);
	struct pn_orienter *o =
		make(&params, &(struct pn_orienter_start){ .map = map, .diameter_A = 20 });
	struct run *run = walk(o, &p, 80);
	double branch[4], inverse[4];

	assert_true(run->inserted >= 75);
	/* found = true * S with one S of the cube, or with half a turn about the beam */
	pn_quaternion_conjugate(inverse, run->truth[0]);
	pn_quaternion_multiply(branch, inverse, run->found[0]);
	for (size_t f = 1; f < run->frames; f++) {
		assert_true(pn_pose_relate(run->truth[f], run->found[f], NULL, 6, NULL) !=
			    PN_POSE_OTHER);
		double turned = pn_quaternion_angle_rad(run->found[f - 1], run->found[f]);

		assert_true(turned * 180 / M_PI < 30);
	}
	pn_orienter_destroy(o);
	free(map);
	free(run);
}

/* Interrupted at any image, or with another number of threads: the same poses to the byte. */
static void test_same_bytes(void **state)
{
	struct pn_orienter_params params = settings();
	struct particle p;
	const size_t frames = 90;
	struct run *runs[2];

	(void)state;
	params.views = 200;
	params.refresh = 20;
	params.start = 15;
	params.begin = 15;
	params.keep = 30;
	const struct pn_orienter_start start = { .diameter_A = 18,
						 .lattice_A = lattice_A,
						 .sigma_A = 0.45 };
	for (int i = 0; i < 2; i++) {
		const int threads = omp_get_max_threads();
		struct pn_orienter *o = make(&params, &start);

		grow(&p, (const double[3]){ 0.24, 0.2, 0.02 }, 1);
		p.noise = 0.7;
		runs[i] = calloc(1, sizeof **runs);
		assert_non_null(runs[i]);
		for (size_t f = 0; f < frames; f++) {
			push(o, &p, runs[i], 7 + f);
			if (!i || f % 13 != 9)
				continue;
			struct pn_blob blob = { 0 };

			assert_int_equal(pn_orienter_save(o, &blob), PN_OK);
			pn_orienter_destroy(o);
			omp_set_num_threads(f % 2 ? 1 : threads);
			o = make(&params, &start);
			assert_int_equal(pn_orienter_load(o, blob.data, blob.bytes, NULL), PN_OK);
			assert_int_equal(pn_orienter_load(o, blob.data, blob.bytes - 1, NULL),
					 PN_EVERSION);
			assert_int_equal(pn_orienter_load(o, blob.data, blob.bytes, NULL), PN_OK);
			pn_blob_finish(&blob);
		}
		omp_set_num_threads(threads);
		pn_orienter_destroy(o);
	}
	assert_int_equal(runs[0]->changed, runs[1]->changed);
	assert_memory_equal(runs[0]->now, runs[1]->now, frames * sizeof *runs[0]->now);
	assert_memory_equal(runs[0]->found, runs[1]->found, sizeof runs[0]->found);
	free(runs[0]);
	free(runs[1]);
}

/* After a restart the sums are empty, the references and the way go on. */
static void test_restart(void **state)
{
	struct particle p;
	struct pn_orienter_params params = settings();
	struct pn_orienter_state known;

	(void)state;
	grow(&p, (const double[3]){ 0.1, 0.2, -0.05 }, 1);
	p.noise = 0.5;
	float *map = true_map(&p);
	struct pn_orienter *o =
		make(&params, &(struct pn_orienter_start){ .map = map, .diameter_A = 20 });
	struct run *run = walk(o, &p, 40);

	assert_int_equal(pn_orienter_restart(o, NULL), PN_OK);
	pn_orienter_state(o, &known);
	assert_int_equal(known.images[0] + known.images[1], 0);
	for (size_t f = 0; f < 20; f++)
		push(o, &p, run, 47 + f);
	size_t right = 0;

	for (size_t f = 40; f < 60; f++)
		right += pn_quaternion_angle_rad(run->truth[f], run->found[f]) * 180 / M_PI < 6;
	assert_true(right >= 19);
	pn_orienter_destroy(o);
	free(map);
	free(run);
}

static void test_bad(void **state)
{
	struct pn_orienter_params params = settings();
	struct pn_orienter_start start = { .diameter_A = 40, .lattice_A = 4, .sigma_A = 0.4 };
	struct pn_oriented now, again[PN_ORIENTER_AGAIN_MAX];
	struct pn_orienter *o;
	struct pn_error err = { 0 };
	float *image = calloc(EDGE * EDGE, sizeof *image);
	double place[2] = { 124, 74 };
	size_t count;

	(void)state;
	assert_non_null(image);
	assert_int_equal(pn_orienter_create(&o, &params, EDGE, pixel_A, &start, 20, NULL, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "a particle of 40 A in images of 56 px"));
	start.diameter_A = 16;
	params.views = 80;
	o = make(&params, &start);
	/* an empty image has no pose, and no trouble */
	assert_int_equal(pn_orienter_push(o, 5, image, origin, place, &now, again, &count, &err),
			 PN_OK);
	assert_true(now.weight == 0 && now.score == 0);
	assert_int_equal(pn_orienter_push(o, 5, image, origin, place, &now, again, &count, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "frame 5 after frame 5"));
	image[EDGE + 3] = (float)NAN;
	assert_int_equal(pn_orienter_push(o, 6, image, origin, place, &now, again, &count, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "pixel (1, 3) is nan"));
	image[EDGE + 3] = 0;
	place[1] = (double)INFINITY;
	assert_int_equal(pn_orienter_push(o, 6, image, origin, place, &now, again, &count, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "particle at (124, inf)"));
	pn_orienter_destroy(o);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_map), cmocka_unit_test(test_from_crystal),
		cmocka_unit_test(test_symmetric), cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_restart),   cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
