/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shifts and turns between the points of the search, against the truth of blobs. */
#include "perrin/orient/polish.h"

#include "blobs.h"
#include "testkit.h"

#include <stdlib.h>

enum { EDGE = 48 };

struct setup {
	struct pn_polar *polar;
	struct pn_slicer *slicer;
	struct pn_polisher *polisher;
	struct blobs blobs;
	float *image;
	float complex *ring;
};

static int set_up(void **state)
{
	const struct pn_polar_params params = { .edge = EDGE,
						.pixel_A = 0.5,
						.resolution_low_A = 8,
						.resolution_high_A = 2,
						.radius_px = 16 };
	const struct pn_box box = { EDGE, EDGE, EDGE };
	struct setup *s = calloc(1, sizeof *s);
	float *volume = malloc(EDGE * EDGE * EDGE * sizeof *volume);

	assert_true(s && volume);
	assert_int_equal(pn_polar_create(&s->polar, &params, NULL), PN_OK);
	assert_int_equal(pn_slicer_plan(&s->slicer, &box, EDGE, EDGE, 0, NULL), PN_OK);
	assert_int_equal(pn_polisher_create(&s->polisher, s->polar, NULL), PN_OK);
	blobs_make(&s->blobs, 10, 8);
	blobs_volume(&s->blobs, EDGE, volume);
	pn_slicer_prepare(s->slicer, volume);
	s->image = malloc(EDGE * EDGE * sizeof *s->image);
	s->ring = malloc(s->polar->points * sizeof *s->ring);
	assert_true(s->image && s->ring);
	free(volume);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct setup *s = *state;

	pn_polisher_destroy(s->polisher);
	pn_slicer_destroy(s->slicer);
	pn_polar_destroy(s->polar);
	free(s->image);
	free(s->ring);
	free(s);
	return 0;
}

/* An image under a random pose, of height 3, with noise; @pose: the truth. */
static void look(struct setup *s, struct pn_pose *pose, double noise, struct pn_rng *rng)
{
	double q[4];

	pn_quaternion_random(q, rng);
	pn_quaternion_to_matrix(pose->rotation, q);
	for (int k = 0; k < 2; k++)
		pose->shift_px[k] = 3 * (2 * pn_rng_uniform(rng) - 1);
	blobs_image(&s->blobs, EDGE, (const double(*)[3])pose->rotation, pose->shift_px, s->image);
	for (size_t i = 0; i < EDGE * EDGE; i++)
		s->image[i] = 3 * s->image[i] + (float)(noise * pn_rng_gauss(rng));
	pn_polar_image(s->polar, s->image, NULL, s->ring);
}

static double apart_deg(const struct pn_pose *a, const struct pn_pose *b)
{
	double p[4], q[4];

	pn_quaternion_from_matrix(p, a->rotation);
	pn_quaternion_from_matrix(q, b->rotation);
	return pn_quaternion_angle_rad(p, q) * 180 / M_PI;
}

static double moved_px(const struct pn_pose *a, const struct pn_pose *b)
{
	return hypot(a->shift_px[0] - b->shift_px[0], a->shift_px[1] - b->shift_px[1]);
}

static void turn_by(struct pn_pose *pose, double deg, struct pn_rng *rng)
{
	double v[3], q[4], r[3][3], length = 0;

	for (int k = 0; k < 3; k++) {
		v[k] = pn_rng_gauss(rng);
		length += v[k] * v[k];
	}
	for (int k = 0; k < 3; k++)
		v[k] *= deg * M_PI / 180 / sqrt(length);
	pn_quaternion_from_vector(q, v);
	pn_quaternion_to_matrix(r, q);
	pn_matrix3_multiply(pose->rotation, r, (const double(*)[3])pose->rotation);
}

static void test_shift(void **state)
{
	struct setup *s = *state;
	struct pn_rng rng;

	pn_rng_init(&rng, 4, 0);
	for (int n = 0; n < 10; n++) {
		struct pn_polished polished;
		struct pn_pose truth, pose;

		look(s, &truth, 0, &rng);
		pose = truth;
		pose.shift_px[0] = pose.shift_px[1] = 0;
		pn_polish_shift(s->polisher, s->slicer, s->ring, 4.5, &pose, &polished);
		assert_true(moved_px(&pose, &truth) < 0.01);
		assert_true(polished.score > 0.998 && fabs(polished.height / 3 - 1) < 0.01);
		/* and with Newton's method alone from nearby */
		pose.shift_px[0] += 0.4;
		pose.shift_px[1] -= 0.3;
		pn_polish_shift(s->polisher, s->slicer, s->ring, 0, &pose, &polished);
		assert_true(moved_px(&pose, &truth) < 0.01);
	}
}

static void test_pose(void **state)
{
	struct setup *s = *state;
	struct pn_rng rng;

	pn_rng_init(&rng, 6, 0);
	for (int n = 0; n < 10; n++) {
		struct pn_polished polished;
		struct pn_pose truth, pose;

		look(s, &truth, 0, &rng);
		pose = truth;
		turn_by(&pose, 3, &rng);
		pose.shift_px[0] += 0.3;
		pose.shift_px[1] += 0.4;
		pn_polish_pose(s->polisher, s->slicer, s->ring, 10, 10, &pose, &polished);
		assert_true(apart_deg(&pose, &truth) < 0.05);
		assert_true(moved_px(&pose, &truth) < 0.01);
		assert_true(polished.score > 0.9985);
	}
}

/* With noise the errors are as large as it says they are. */
static void test_uncertainty(void **state)
{
	struct setup *s = *state;
	double angle = 0, shift = 0, told_angle = 0, told_shift = 0;
	struct pn_rng rng;
	const int count = 60;

	pn_rng_init(&rng, 9, 0);
	for (int n = 0; n < count; n++) {
		struct pn_polished polished;
		struct pn_pose truth, pose;

		look(s, &truth, 12, &rng);
		pose = truth;
		pn_polish_pose(s->polisher, s->slicer, s->ring, 10, 10, &pose, &polished);
		angle += pow(apart_deg(&pose, &truth), 2) / 3 / count;
		shift += pow(moved_px(&pose, &truth), 2) / 2 / count;
		told_angle += pow(polished.angle_uncertainty_deg, 2) / count;
		told_shift += pow(polished.shift_uncertainty_px, 2) / count;
	}
	assert_true(angle > 0.01); /* there is noise to speak of */
	assert_true(sqrt(angle / told_angle) > 0.7 && sqrt(angle / told_angle) < 1.4);
	assert_true(sqrt(shift / told_shift) > 0.7 && sqrt(shift / told_shift) < 1.4);
}

/* It never makes a pose worse, nor leaves the bound; an empty image is no trouble. */
static void test_bounds(void **state)
{
	struct setup *s = *state;
	struct pn_polished first, polished;
	struct pn_pose truth, pose, start;
	struct pn_rng rng;

	pn_rng_init(&rng, 11, 0);
	for (int n = 0; n < 20; n++) {
		look(s, &truth, 30, &rng);
		start = truth;
		turn_by(&start, 25, &rng);
		pose = start;
		pn_polish_pose(s->polisher, s->slicer, s->ring, 0, 4, &pose, &first);
		assert_memory_equal(&pose, &start, sizeof pose);
		pn_polish_pose(s->polisher, s->slicer, s->ring, 5, 4, &pose, &polished);
		assert_true(polished.score >= first.score);
		assert_true(apart_deg(&pose, &start) <= 4 + 1e-6);
	}
	memset(s->ring, 0, s->polar->points * sizeof *s->ring);
	pose = start;
	pn_polish_pose(s->polisher, s->slicer, s->ring, 5, 4, &pose, &polished);
	assert_true(polished.score == 0);
	pn_polish_shift(s->polisher, s->slicer, s->ring, 2, &pose, &polished);
	assert_true(polished.score == 0 && polished.height == 0);
	assert_memory_equal(&pose, &start, sizeof pose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shift),
		cmocka_unit_test(test_pose),
		cmocka_unit_test(test_uncertainty),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
