/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matching against a slow correlation in double; poses of blobs found again. */
#include "perrin/orient/match.h"

#include "blobs.h"
#include "testkit.h"

#include <omp.h>
#include <stdlib.h>

enum { EDGE = 48, VIEWS = 400 };

struct setup {
	struct pn_polar *polar;
	struct pn_directions directions;
	struct pn_slicer *slicer;
	struct pn_match *match;
	struct blobs blobs;
	float *image;
	float complex *ring, *order;
	struct pn_match_hit *hit;
	size_t hits;
};

static int set_up(void **state)
{
	const struct pn_polar_params params = { .edge = EDGE,
						.pixel_A = 0.5,
						.resolution_low_A = 8,
						.resolution_high_A = 2,
						.radius_px = 14 };
	const struct pn_box box = { EDGE, EDGE, EDGE };
	struct setup *s = calloc(1, sizeof *s);
	float *volume = malloc(EDGE * EDGE * EDGE * sizeof *volume);

	assert_true(s && volume);
	assert_int_equal(pn_polar_create(&s->polar, &params, NULL), PN_OK);
	assert_int_equal(pn_directions_create(&s->directions, VIEWS, NULL), PN_OK);
	assert_int_equal(pn_slicer_plan(&s->slicer, &box, EDGE, EDGE, 0, NULL), PN_OK);
	assert_int_equal(pn_match_create(&s->match, s->polar, &s->directions, NULL), PN_OK);
	blobs_make(&s->blobs, 10, 8);
	blobs_volume(&s->blobs, EDGE, volume);
	pn_slicer_prepare(s->slicer, volume);
	assert_int_equal(pn_match_set_map(s->match, s->slicer, NULL), PN_OK);
	s->image = malloc(EDGE * EDGE * sizeof *s->image);
	s->ring = malloc(s->polar->points * sizeof *s->ring);
	s->order = malloc(4 * s->polar->orders * s->polar->rings * sizeof *s->order);
	s->hits = s->directions.count * 2;
	s->hit = malloc(4 * s->hits * sizeof *s->hit);
	assert_true(s->image && s->ring && s->order && s->hit);
	free(volume);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct setup *s = *state;

	pn_match_destroy(s->match);
	pn_slicer_destroy(s->slicer);
	pn_directions_destroy(&s->directions);
	pn_polar_destroy(s->polar);
	free(s->image);
	free(s->ring);
	free(s->order);
	free(s->hit);
	free(s);
	return 0;
}

static void random_pose(double r[3][3], double q[4], uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 1);
	pn_quaternion_random(q, &rng);
	pn_quaternion_to_matrix(r, q);
}

/* Series number @slot of the image under a random pose. */
static const float complex *look(struct setup *s, int slot, double q[4], uint64_t seed)
{
	static const double origin[2] = { 0, 0 };
	float complex *order = s->order + (size_t)slot * s->polar->orders * s->polar->rings;
	double r[3][3], norm;

	random_pose(r, q, seed);
	blobs_image(&s->blobs, EDGE, r, origin, s->image);
	pn_polar_image(s->polar, s->image, NULL, s->ring);
	pn_polar_orders(s->polar, s->ring, order, &norm);
	return order;
}

/* The correlation of the image's rings with those of the map under the hit's own rotation: no
 * series, no transform over angles. */
static double slow_score(struct setup *s, const struct pn_match_hit *hit, double turn)
{
	struct pn_match_hit moved = *hit;
	float complex *other = malloc(s->polar->points * sizeof *other);
	double r[3][3];

	assert_non_null(other);
	moved.angle_rad += (float)turn;
	pn_match_rotation(&s->directions, &moved, r);
	pn_polar_map(s->polar, s->slicer, r, other);
	double score = pn_polar_product(s->polar, s->ring, other) /
		       sqrt(pn_polar_product(s->polar, other, other) *
			    pn_polar_product(s->polar, s->ring, s->ring));

	free(other);
	return score;
}

static void test_slow_reference(void **state)
{
	struct setup *s = *state;
	double q[4];
	const float complex *order = look(s, 0, q, 5);

	pn_match_search(s->match, &order, 1, NULL, 0, 0, s->hit);
	for (size_t i = 0; i < s->hits; i += 7) {
		struct pn_match_hit *hit = &s->hit[i];

		assert_int_equal(hit->view, i / 2);
		assert_int_equal(hit->mirrored, i % 2);
		assert_true(fabs(slow_score(s, hit, 0) - (double)hit->score) < 5e-3);
		/* no other angle is better */
		for (double turn = 0.05; turn < 6.2; turn += 0.05)
			assert_true(slow_score(s, hit, turn) < (double)hit->score + 5e-3);
	}
}

static void test_poses_found(void **state)
{
	struct setup *s = *state;
	double worst = 0;

	for (uint64_t n = 0; n < 25; n++) {
		double q[4], found[4], r[3][3];
		const float complex *order = look(s, 0, q, 100 + n);

		pn_match_search(s->match, &order, 1, NULL, 0, 0, s->hit);
		assert_int_equal(pn_match_top(s->hit, s->hits, 3), 3);
		pn_match_rotation(&s->directions, &s->hit[0], r);
		pn_quaternion_from_matrix(found, r);
		worst = fmax(worst, pn_quaternion_angle_rad(q, found));
		assert_true(s->hit[0].score > 0.9f);
	}
	assert_true(worst * 180 / M_PI < s->directions.spacing_deg);
}

/* Cells alone, the coarse views, several images at once, threads: the same numbers. */
static void test_same_bytes(void **state)
{
	struct setup *s = *state;
	struct pn_match_hit *other = malloc(4 * s->hits * sizeof *other);
	uint32_t cell[3] = { 7, 2, 40 };
	const float complex *order[4];
	double q[4];

	assert_non_null(other);
	for (int i = 0; i < 4; i++)
		order[i] = look(s, i, q, 200 + (uint64_t)i);
	pn_match_search(s->match, order, 4, NULL, 0, 0, s->hit);
	for (size_t i = 0; i < 4; i++) {
		pn_match_search(s->match, order + i, 1, NULL, 0, 0, other);
		assert_memory_equal(other, s->hit + i * s->hits, s->hits * sizeof *other);
	}
	pn_match_search(s->match, order + 1, 2, cell, 3, 0, other);
	for (size_t i = 0; i < 2; i++)
		for (size_t c = 0; c < 3; c++)
			assert_memory_equal(other + (i * 3 + c) * 16,
					    s->hit + (i + 1) * s->hits + cell[c] * 16,
					    16 * sizeof *other);
	pn_match_search(s->match, order, 1, NULL, 0, 1, other);
	for (size_t c = 0; c < s->directions.cells; c++)
		assert_memory_equal(other + c * 4, s->hit + c * 16, 4 * sizeof *other);

	int threads = omp_get_max_threads();
	struct pn_match *alone;

	omp_set_num_threads(1);
	assert_int_equal(pn_match_create(&alone, s->polar, &s->directions, NULL), PN_OK);
	assert_int_equal(pn_match_set_map(alone, s->slicer, NULL), PN_OK);
	pn_match_search(alone, order, 4, NULL, 0, 0, other);
	omp_set_num_threads(threads);
	assert_memory_equal(other, s->hit, 4 * s->hits * sizeof *other);
	pn_match_destroy(alone);
	free(other);
}

static int by_score(const void *a, const void *b)
{
	float x = ((const struct pn_match_hit *)a)->score,
	      y = ((const struct pn_match_hit *)b)->score;

	return (x < y) - (x > y);
}

static void test_top(void **state)
{
	struct setup *s = *state;
	struct pn_match_hit *all = malloc(s->hits * sizeof *all);
	double q[4];
	const float complex *order = look(s, 0, q, 9);

	assert_non_null(all);
	pn_match_search(s->match, &order, 1, NULL, 0, 0, s->hit);
	memcpy(all, s->hit, s->hits * sizeof *all);
	qsort(all, s->hits, sizeof *all, by_score);
	assert_int_equal(pn_match_top(s->hit, s->hits, 50), 50);
	for (size_t i = 0; i < 50; i++)
		assert_true(s->hit[i].score == all[i].score);
	assert_int_equal(pn_match_top(s->hit, 3, 50), 3);
	assert_int_equal(pn_match_top(s->hit, 0, 50), 0);
	free(all);
}

static void test_cells_near(void **state)
{
	struct setup *s = *state;
	const struct pn_directions *d = &s->directions;
	uint32_t *cell = malloc(d->cells * sizeof *cell);
	const double view[3] = { 0.6, 0, -0.8 }; /* seen from the other side */
	size_t n, found = 0, within = 0;

	assert_non_null(cell);
	n = pn_match_cells_near(d, view, 10, cell);
	assert_true(n > 1 && n < d->cells / 2);
	for (size_t i = 0; i < d->count; i++) {
		int in = 0;

		if (fabs(d->view[i][0] * 0.6 - d->view[i][2] * 0.8) < cos(10 * M_PI / 180))
			continue;
		within++;
		for (size_t c = 0; c < n; c++)
			in |= cell[c] == i / PN_DIRECTIONS_CELL;
		found += (size_t)in;
	}
	assert_true(within > 5);
	assert_int_equal(found, within);
	assert_int_equal(pn_match_cells_near(d, view, 90, cell), d->cells);
	free(cell);
}

static void test_empty_map(void **state)
{
	struct setup *s = *state;
	const struct pn_box box = { EDGE, EDGE, EDGE };
	float *zeros = calloc(EDGE * EDGE * EDGE, sizeof *zeros);
	struct pn_slicer *slicer;
	struct pn_match *match;
	struct pn_error err = { 0 };

	assert_non_null(zeros);
	assert_int_equal(pn_slicer_plan(&slicer, &box, EDGE, EDGE, 0, NULL), PN_OK);
	pn_slicer_prepare(slicer, zeros);
	assert_int_equal(pn_match_create(&match, s->polar, &s->directions, NULL), PN_OK);
	assert_int_equal(pn_match_set_map(match, slicer, &err), PN_EARG);
	assert_non_null(strstr(err.text, "shows nothing from 8 to 2 A"));
	pn_match_destroy(match);
	pn_slicer_destroy(slicer);
	free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_reference), cmocka_unit_test(test_poses_found),
		cmocka_unit_test(test_same_bytes),     cmocka_unit_test(test_top),
		cmocka_unit_test(test_cells_near),     cmocka_unit_test(test_empty_map),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
