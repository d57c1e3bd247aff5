/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The align stage: tilts come onto the axis, and those that were wrong at first go out again. */
#include "rig.h"
#include "testkit.h"
#include "tilt_kit.h"

#include <string.h>

extern const struct pn_stage_ops pn_stage_align;

enum { TILTS = 13 };

static const double shift_px[TILTS][2] = {
	{ 2, -1 },   { -1.5, 0.4 }, { 0.7, 2.2 }, { 0, -2 },    { -2.4, 1 }, { 1.1, 1.1 }, { 0, 0 },
	{ 1.9, -1 }, { -0.6, 1.7 }, { 2.2, 2 },   { -1, -1.2 }, { 0.5, 0 },  { -2, 2.4 },
};

static double theta_deg(int k)
{
	return -60 + 10 * k;
}

static int push(struct rig *rig, int k, double noise)
{
	struct pn_tilts_head head = tilt_head((uint64_t)k, theta_deg(k));
	float image[TILT_PIXELS];
	struct pn_rng rng;

	pn_rng_init(&rng, 5, (uint64_t)k);
	tilt_image(image, theta_deg(k), shift_px[k][0], shift_px[k][1], 0);
	for (int i = 0; i < TILT_PIXELS; i++)
		if (image[i] > 1.0f) /* outside of its mask a clean tilt is 0 */
			image[i] += (float)(noise * pn_rng_gauss(&rng));
	return rig_push(rig, 0, &head, k, image, sizeof image);
}

/* After the last tilt the last word on each of them is right, but for a shift of them all. */
static void all_come_to_the_axis(void **state)
{
	(void)state;
	static struct rig rig;
	const struct pn_tilts_head *last[TILTS] = { 0 };
	double mean_y = 0, x_sum = 0;

	rig_open(&rig, &pn_stage_align, "axis_range_deg=0");
	for (int k = 0; k < TILTS; k++)
		assert_int_equal(push(&rig, k, 0), PN_OK);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.done, TILTS);
	for (unsigned i = 0; i < rig.out_count; i++) {
		const struct pn_tilts_head *head = rig.out[i].head;

		assert_int_equal(head->state, PN_TILT_ALIGNED);
		assert_int_equal(head->revision,
				 last[head->tilt] ? last[head->tilt]->revision + 1 : 0);
		last[head->tilt] = head;
	}
	for (int k = 0; k < TILTS; k++) {
		assert_non_null(last[k]);
		mean_y += (last[k]->shift_y_px - shift_px[k][1]) / TILTS;
	}
	for (int k = 0; k < TILTS; k++) {
		/* the atoms' centre of mass is put on the axis, where it is not: x in sum cos - z
		 * sin */
		double c = cos(theta_deg(k) * M_PI / 180), s = sin(theta_deg(k) * M_PI / 180),
		       com = 0;

		for (int a = 0; a < TILT_ATOMS; a++)
			com += (tilt_atom_px[a][0] * c - tilt_atom_px[a][2] * s) / TILT_ATOMS;
		assert_true(fabs(last[k]->shift_y_px - shift_px[k][1] - mean_y) < 0.1);
		assert_true(fabs(last[k]->shift_x_px - shift_px[k][0] - com) < 0.1);
		x_sum += fabs(last[k]->shift_x_px);
	}
	assert_true(x_sum > TILTS); /* there was something to undo */
	rig_close(&rig);
}

static void restarts_and_full_queues_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_align, "revise_px=0.01&axis_range_deg=2");
	rig_open(&cut, &pn_stage_align, "revise_px=0.01&axis_range_deg=2");
	cut.refuse_every = 23; /* more than go out with one tilt: all or nothing */
	for (int k = 0; k < 9; k++) {
		assert_int_equal(push(&whole, k, 5), PN_OK);
		assert_int_equal(push(&cut, k, 5), PN_OK);
		if (k == 1 || k == 5)
			rig_reopen(&cut, "revise_px=0.01&axis_range_deg=2");
	}
	assert_true(whole.out_count > 9); /* there were revisions */
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

/* A tilt that cannot be aligned is left out also when it comes before there is a series. */
static void a_bad_start(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_tilts_head head = tilt_head(50, -70);
	static float image[TILT_PIXELS];

	rig_open(&rig, &pn_stage_align, "axis_range_deg=0");
	tilt_image(image, -70, TILT_N / 2, 0, 0);
	assert_int_equal(rig_push(&rig, 0, &head, 0, image, sizeof image), PN_OK);
	assert_int_equal(rig.skipped_by[2], 1); /* the particle leaves the field */
	tilt_image(image, -70, 0, 0, 0);
	image[TILT_PIXELS / 2] = INFINITY;
	assert_int_equal(rig_push(&rig, 0, &head, 0, image, sizeof image), PN_OK);
	image[TILT_PIXELS / 2] = NAN;
	assert_int_equal(rig_push(&rig, 0, &head, 0, image, sizeof image), PN_OK);
	assert_int_equal(rig.skipped, 3);
	for (int k = 0; k < TILTS; k++)
		assert_int_equal(push(&rig, k, 0), PN_OK);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.skipped, 3);
	assert_int_equal(rig.done, TILTS);
	rig_close(&rig);
}

static void few_and_odd_tilts(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_tilts_head head = tilt_head(2, 10);
	static float nothing[TILT_PIXELS];

	rig_open(&rig, &pn_stage_align, NULL);
	push(&rig, 0, 0);
	push(&rig, 1, 0);
	assert_int_equal(rig_push(&rig, 0, &head, 2, nothing, sizeof nothing), PN_OK);
	assert_int_equal(rig.skipped_by[1], 1);
	head.ny = TILT_N / 2;
	assert_int_equal(rig_push(&rig, 0, &head, 3, nothing, sizeof nothing / 2), PN_OK);
	assert_int_equal(rig.skipped_by[0], 1);
	assert_int_equal(rig.out_count, 0);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 2); /* as they came */
	assert_true(((struct pn_tilts_head *)rig.out[0].head)->shift_x_px == 0);
	assert_int_equal(rig.done, 2);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_come_to_the_axis),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(a_bad_start),
		cmocka_unit_test(few_and_odd_tilts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
