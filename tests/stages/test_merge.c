/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The merge stage: tilts are told apart by their angle, frames registered, nothing lost silently.
 */
#include "rig.h"
#include "testkit.h"
#include "tilt_kit.h"

#include <string.h>

extern const struct pn_stage_ops pn_stage_merge;

static int push(struct rig *rig, uint64_t frame, double theta_deg, double x_px, const float *pixels)
{
	static struct pn_frames_head head;
	float image[TILT_PIXELS];

	if (!pixels) {
		struct pn_rng rng;

		pn_rng_init(&rng, 9, frame);
		tilt_image(image, theta_deg, x_px, -x_px / 2, 20);
		for (int i = 0; i < TILT_PIXELS; i++)
			image[i] = (float)pn_rng_poisson(&rng, (double)image[i]);
	}
	head.frame = frame;
	head.count = 1;
	head.dtype = PN_F32;
	head.ny = head.nx = TILT_N;
	head.pixel_pm = 35;
	head.dose_e_per_A2 = 1000;
	head.energy_keV = (double)NAN;
	head.tilt_deg = theta_deg;
	head.offset_count = 1;
	return rig_push(rig, 0, &head, (int64_t)frame * 1000, pixels ? pixels : image,
			sizeof image);
}

/* Three frames a tilt, drifting; the angle says where a tilt ends. */
static void three_frames_a_tilt(void **state)
{
	(void)state;
	static struct rig rig;
	float ideal[TILT_PIXELS];
	static const double theta_deg[] = { -60, 0, 0.5 };

	rig_open(&rig, &pn_stage_merge, "scan_part=0");
	for (uint64_t f = 0; f < 9; f++)
		assert_int_equal(push(&rig, f, theta_deg[f / 3], 2.0 * (double)(f % 3), NULL),
				 PN_OK);
	assert_int_equal(rig.out_count, 2); /* the last one may go on */
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct pn_tilts_head *head = rig.out[i].head;
		const float *mean = (const float *)rig.out[i].payload;
		double squares = 0;

		assert_int_equal(head->tilt, i);
		assert_int_equal(head->frames, 3);
		assert_int_equal(head->first_frame, 3 * i);
		assert_true(head->theta_deg == theta_deg[i]);
		assert_true(head->dose_e_per_A2 == 3000);
		assert_true(fabs(head->drift_px - hypot(4, 2)) < 0.3);
		/* on 48 pixels gain and readout are hardly told apart: the variance at 50 counts */
		double variance = 3 * (head->gain * 50 + head->readout * head->readout);

		assert_true(variance > 30 && variance < 75);
		tilt_image(ideal, theta_deg[i], 0, 0, 20);
		for (int y = 8; y < TILT_N - 8; y++)
			for (int x = 8; x < TILT_N - 8; x++) {
				double d = (double)mean[y * TILT_N + x] -
					   (double)ideal[y * TILT_N + x];

				squares += d * d / (double)ideal[y * TILT_N + x];
			}
		/* noise of three frames, a little smoothed; unregistered frames give 10 times it */
		assert_true(squares / ((TILT_N - 16) * (TILT_N - 16)) < 0.5);
	}
	assert_int_equal(rig.done, 9);
	rig_close(&rig);
}

/* With a known number of frames a tilt does not wait for the next angle; x axes are turned. */
static void known_number_and_axis(void **state)
{
	(void)state;
	static struct rig rig;
	float image[TILT_PIXELS];

	rig_open(&rig, &pn_stage_merge, "frames=1&tilt_axis=x");
	tilt_image(image, 30, 2, 0, 5);
	assert_int_equal(push(&rig, 0, 30, 0, image), PN_OK);
	assert_int_equal(rig.out_count, 1);
	for (int y = 0; y < TILT_N; y++)
		for (int x = 0; x < TILT_N; x++)
			assert_true(((const float *)rig.out[0].payload)[y * TILT_N + x] ==
				    image[x * TILT_N + y]);
	assert_int_equal(push(&rig, 1, 30, 0, image), PN_OK);
	assert_int_equal(rig.out_count, 2);
	assert_int_equal(((struct pn_tilts_head *)rig.out[1].head)->tilt, 1);
	rig_close(&rig);
}

static void restarts_and_full_queues_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_merge, NULL);
	rig_open(&cut, &pn_stage_merge, NULL);
	cut.refuse_every = 2;
	for (uint64_t f = 0; f < 14; f++) {
		double theta_deg = (double)(f / 3) * 3;

		assert_int_equal(push(&whole, f, theta_deg, 0.3 * (double)f, NULL), PN_OK);
		assert_int_equal(push(&cut, f, theta_deg, 0.3 * (double)f, NULL), PN_OK);
		if (f == 4 || f == 6)
			rig_reopen(&cut, NULL);
	}
	rig_drain(&whole);
	while (rig_drain(&cut) == PN_EAGAIN)
		;
	assert_int_equal(whole.out_count, 5);
	assert_true(rig_same(&whole, &cut));
	assert_int_equal(cut.done, 14);
	rig_close(&whole);
	rig_close(&cut);
}

/* Several tilts end within one message: without room for one of them all come again. */
static void batches_come_whole(void **state)
{
	(void)state;
	enum { BATCH = 4 };
	static struct rig whole, cut;
	static float images[BATCH][TILT_PIXELS];
	static struct pn_frames_head head = { .count = BATCH,
					      .dtype = PN_F32,
					      .ny = TILT_N,
					      .nx = TILT_N,
					      .pixel_pm = 35,
					      .dose_e_per_A2 = 1,
					      .offset_count = BATCH,
					      .offset_ns = { 0, 1, 2, 3 } };

	rig_open(&whole, &pn_stage_merge, "frames=1");
	rig_open(&cut, &pn_stage_merge, "frames=1");
	cut.refuse_every = 7;
	head.energy_keV = (double)NAN;
	for (int m = 0; m < 5; m++) {
		head.frame = (uint64_t)(m * BATCH);
		head.tilt_deg = 3 * m;
		for (int f = 0; f < BATCH; f++)
			tilt_image(images[f], head.tilt_deg, f, 0, 10 * m);
		assert_int_equal(rig_push(&whole, 0, &head, m, images, sizeof images), PN_OK);
		assert_int_equal(rig_push(&cut, 0, &head, m, images, sizeof images), PN_OK);
		assert_int_equal(cut.done, (m + 1) * BATCH);
		rig_reopen(&cut, "frames=1");
	}
	rig_drain(&whole);
	rig_drain(&cut);
	rig_drain(&cut);
	assert_int_equal(whole.out_count, 5 * BATCH);
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

/* Between two offers of the end the last tilt is in no checkpoint that could be gone on from. */
static void no_checkpoint_within_the_end(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_blob blob = { 0 };

	rig_open(&rig, &pn_stage_merge, NULL);
	assert_int_equal(push(&rig, 0, 10, 0, NULL), PN_OK);
	rig.refuse_every = 1;
	assert_int_equal(rig.ops->drain(rig.state, &rig.ctx), PN_EAGAIN);
	assert_int_equal(rig.ops->save(rig.state, &rig.ctx, &blob), PN_EAGAIN);
	rig.refuse_every = 0;
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 1);
	assert_int_equal(rig.done, 1);
	rig_reopen(&rig, NULL);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 1);
	pn_blob_finish(&blob);
	rig_close(&rig);
}

static void what_cannot_be_used(void **state)
{
	(void)state;
	static struct rig rig;
	static float flat[TILT_PIXELS], noise[TILT_PIXELS];
	struct pn_rng rng;

	pn_rng_init(&rng, 1, 0);
	for (int i = 0; i < TILT_PIXELS; i++)
		noise[i] = (float)pn_rng_gauss(&rng);
	rig_open(&rig, &pn_stage_merge, NULL);
	push(&rig, 0, (double)NAN, 0, noise);
	assert_int_equal(rig.skipped_by[0], 1);
	push(&rig, 1, 10, 0, flat); /* a tilt without beam */
	push(&rig, 2, 10, 0, flat);
	push(&rig, 3, 20, 0, NULL);
	push(&rig, 4, 20, 0, noise); /* a frame of nothing */
	push(&rig, 5, 30, 0, NULL);
	rig_drain(&rig);
	assert_int_equal(rig.skipped_by[3], 2);
	assert_int_equal(rig.skipped_by[2], 1);
	assert_int_equal(rig.out_count, 2);
	assert_int_equal(((struct pn_tilts_head *)rig.out[0].head)->frames, 1);
	assert_int_equal(rig.done + rig.skipped, 6);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_frames_a_tilt),
		cmocka_unit_test(known_number_and_axis),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(batches_come_whole),
		cmocka_unit_test(no_checkpoint_within_the_end),
		cmocka_unit_test(what_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
