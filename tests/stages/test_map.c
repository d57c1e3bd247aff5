/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The map stage: volumes of tumbling particles, as their crops and poses come. */
#include "rig.h"
#include "testkit.h"

#include "../unit/orient/blobs.h"

#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_map;

enum { CROPS, POSES };
enum { SIDE = 48, PIXELS = SIDE * SIDE, X0 = 90, Y0 = -40, BOX = 24, VOXELS = BOX * BOX * BOX };
enum { UNPAIRED, NO_WEIGHT, AGAIN, NOT_KEPT, NO_PLACE, RANGE, NO_PIXEL, PARTICLES };

/* 14 px of 0.5 A: images of 32 px, volumes of 24 */
#define COMMON "diameter_A=7&resolution_A=0&iterations=3"

static struct blobs blobs;

static struct pn_poses_head pose_head(uint64_t particle, uint64_t frame)
{
	struct pn_poses_head head = { .frame = frame,
				      .particle = particle,
				      .segment = 1,
				      .quaternion_count = 4,
				      .angle_uncertainty_deg = (double)NAN,
				      .shift_uncertainty_px = (double)NAN,
				      .probability = (double)NAN,
				      .entropy = (double)NAN,
				      .runner_up_probability = (double)NAN,
				      .step_deg = (double)NAN,
				      .rotation_rad2_per_s = (double)NAN,
				      .translation_A2_per_s = (double)NAN,
				      .half = frame % 2,
				      .weight = 1 };
	struct pn_rng rng;

	pn_rng_init(&rng, 9 + particle, frame);
	pn_quaternion_random(head.quaternion, &rng);
	head.x_px = X0 + SIDE / 2 + 2 * (pn_rng_uniform(&rng) - 0.5);
	head.y_px = Y0 + SIDE / 2 + 2 * (pn_rng_uniform(&rng) - 0.5);
	return head;
}

static int push_pose(struct rig *rig, const struct pn_poses_head *head)
{
	return rig_push(rig, POSES, head, (int64_t)head->frame * 10, NULL, 0);
}

static struct pn_crops_head crop_head(const struct pn_poses_head *pose)
{
	return (struct pn_crops_head){ .frame = pose->frame,
				       .particle = pose->particle,
				       .state = 1,
				       .x0_px = X0,
				       .y0_px = Y0,
				       .dtype = PN_F32,
				       .ny = SIDE,
				       .nx = SIDE,
				       .pixel_pm = 50,
				       .noise = (double)NAN,
				       .snr_db = (double)NAN,
				       .raw_snr_db = (double)NAN };
}

/* What the pose says it shows; of another structure in another segment. */
static const float *crop_image(const struct pn_poses_head *pose)
{
	static float image[PIXELS];
	double rotation[3][3];
	const double shift_px[2] = { pose->x_px - X0 - SIDE / 2, pose->y_px - Y0 - SIDE / 2 };

	blobs_make(&blobs, 4.5, pose->segment);
	pn_quaternion_to_matrix(rotation, pose->quaternion);
	blobs_image(&blobs, SIDE, (const double(*)[3])rotation, shift_px, image);
	return image;
}

static int push_crop(struct rig *rig, const struct pn_poses_head *pose)
{
	struct pn_crops_head head = crop_head(pose);

	return rig_push(rig, CROPS, &head, (int64_t)pose->frame * 10, crop_image(pose),
			PIXELS * sizeof(float));
}

/* A frame and its pose, now one first, now the other. */
static void push(struct rig *rig, uint64_t particle, uint64_t frame, uint64_t segment)
{
	struct pn_poses_head pose = pose_head(particle, frame);

	pose.segment = segment;
	if (frame % 3)
		assert_int_equal(push_pose(rig, &pose), PN_OK);
	assert_int_equal(push_crop(rig, &pose), PN_OK);
	if (frame % 3 == 0)
		assert_int_equal(push_pose(rig, &pose), PN_OK);
}

/* Correlation of a volume with the blobs of a segment. */
static double likeness(const struct rig_out *out, uint64_t segment)
{
	static float truth[VOXELS];
	const float *volume = (const void *)out->payload;
	double vt = 0, vv = 0, tt = 0;

	assert_int_equal(out->payload_bytes, sizeof truth);
	blobs_make(&blobs, 4.5, segment);
	blobs_volume(&blobs, BOX, truth);
	for (int i = 0; i < VOXELS; i++) {
		vt += (double)volume[i] * (double)truth[i];
		vv += (double)volume[i] * (double)volume[i];
		tt += (double)truth[i] * (double)truth[i];
	}
	return vt / sqrt(vv * tt);
}

static const struct pn_volumes_head *head_of(const struct rig *rig, unsigned i)
{
	assert_true(i < rig->out_count);
	return rig->out[i].head;
}

/* ---- volumes -------------------------------------------------------------------------------- */

static void grows(void **state)
{
	(void)state;
	enum { FRAMES = 90, EVERY = 40 };
	static struct rig rig;
	double scf = 0;

	rig_open(&rig, &pn_stage_map, COMMON "&every=40&dose_e_per_A2=12.5");
	for (uint64_t f = 0; f < FRAMES; f++) {
		push(&rig, 3, 2 * f, 1);
		assert_int_equal(rig.out_count, (f + 1) / EVERY);
	}
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct pn_volumes_head *h = head_of(&rig, i);
		const uint64_t images = i < 2 ? EVERY * (i + 1) : FRAMES;

		assert_int_equal(h->volume, i + 1);
		assert_int_equal(h->state, i < 2 ? PN_VOLUME_GROWING : PN_VOLUME_FINAL);
		assert_int_equal(h->particle, 3);
		assert_int_equal(h->segment, 1);
		assert_int_equal(h->images, images);
		assert_int_equal(h->last_image, 2 * (images - 1));
		assert_int_equal(rig.out[i].time_ns, 20 * (int64_t)(images - 1));
		assert_int_equal(h->nx, BOX);
		assert_int_equal(h->fsc_count, 0); /* even frames only: the one half */
		assert_true(isnan(h->resolution_A) && isnan(h->r1) && isnan(h->held_out));
		assert_true(h->pixel_pm == 50 && h->dose_e_per_A2 == 12.5 * (double)images);
		assert_true(h->misfit < (0.25) && h->empty < 0.2);
		assert_true(h->scf > scf);
		scf = h->scf;
	}
	assert_true(likeness(&rig.out[2], 1) > 0.98);
	assert_int_equal(rig.done, 2 * FRAMES);
	assert_int_equal(rig.skipped, 0);
	rig_close(&rig);
}

/* Each on its own, with both halves; one more than there is room for. */
static void several_particles(void **state)
{
	(void)state;
	static struct rig rig;

	rig_open(&rig, &pn_stage_map, COMMON "&every=60&particles=2");
	for (uint64_t f = 0; f < 60; f++)
		for (uint64_t p = 7; p < 10; p++)
			push(&rig, p, f, 1);
	assert_int_equal(rig.out_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct pn_volumes_head *h = head_of(&rig, i);

		assert_int_equal(h->particle, 7 + i);
		assert_int_equal(h->fsc_count, BOX / 2 + 1);
		assert_true(h->fsc[3] > 0.9 && h->resolution_A < 3 && h->far > 0.3);
		assert_true(isnan(h->dose_e_per_A2));
		assert_true(likeness(&rig.out[i], 1) > 0.98);
	}
	assert_int_equal(rig.skipped_by[PARTICLES], 120);
	assert_int_equal(rig.done, 240);
	rig_close(&rig);
}

/* A new structure: the last volume of the old one goes out, and nothing of it stays. */
static void a_new_segment(void **state)
{
	(void)state;
	static struct rig rig, alone;
	const char *settings = COMMON "&every=1000";

	rig_open(&rig, &pn_stage_map, settings);
	rig_open(&alone, &pn_stage_map, settings);
	for (uint64_t f = 0; f < 90; f++) {
		push(&rig, 0, f, 1 + f / 50);
		if (f >= 50)
			push(&alone, 0, f, 2);
		assert_int_equal(rig.out_count, f >= 50);
	}
	push(&rig, 0, 90, 1); /* too late */
	assert_int_equal(rig.skipped_by[NOT_KEPT], 2);

	struct pn_poses_head old = pose_head(0, 45);

	old.revision = 1;
	push_pose(&rig, &old);
	assert_int_equal(rig.skipped_by[NOT_KEPT], 3);
	rig_drain(&rig);
	rig_drain(&alone);
	assert_int_equal(rig.out_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(head_of(&rig, i)->state, PN_VOLUME_FINAL);
		assert_int_equal(head_of(&rig, i)->segment, i + 1);
		assert_int_equal(head_of(&rig, i)->images, i ? 40 : 50);
		assert_true(likeness(&rig.out[i], i + 1) > 0.98);
		assert_true(head_of(&rig, i)->held_out < 0.3);
		assert_true(likeness(&rig.out[i], 2 - i) < 0.8);
	}
	assert_memory_equal(rig.out[1].payload, alone.out[0].payload, VOXELS * sizeof(float));
	rig_close(&rig);
	rig_close(&alone);
}

/* Wrong at first, then revised: the last volume does not know. */
static void revisions_leave_no_trace(void **state)
{
	(void)state;
	static struct rig straight, crooked;
	const char *settings = COMMON "&every=20&memory=30";

	rig_open(&straight, &pn_stage_map, settings);
	rig_open(&crooked, &pn_stage_map, settings);
	for (uint64_t f = 0; f < 50; f++) {
		struct pn_poses_head right = pose_head(0, f), wrong = right;

		push(&straight, 0, f, 1);
		wrong.half = 1 - right.half;
		wrong.x_px += 1.3;
		wrong.weight = f % 4 ? 1 : 0;
		push_crop(&crooked, &right);
		push_pose(&crooked, &wrong);
		if (f < 9)
			continue;
		right = pose_head(0, f - 9);
		right.revision = 1;
		push_pose(&crooked, &right);
	}
	assert_int_equal(crooked.skipped_by[NO_WEIGHT], 2 * 13);
	for (uint64_t f = 41; f < 50; f++) {
		struct pn_poses_head right = pose_head(0, f);

		right.revision = 2;
		push_pose(&crooked, &right);
	}
	struct pn_poses_head early = pose_head(0, 19);

	early.revision = 3;
	push_pose(&crooked, &early); /* one too many for the memory */
	assert_int_equal(crooked.skipped_by[NOT_KEPT], 1);
	rig_drain(&straight);
	rig_drain(&crooked);

	const struct rig_out *a = &straight.out[straight.out_count - 1],
			     *b = &crooked.out[crooked.out_count - 1];

	assert_int_equal(((const struct pn_volumes_head *)b->head)->images, 50);
	assert_memory_equal(a->payload, b->payload, VOXELS * sizeof(float));
	rig_close(&straight);
	rig_close(&crooked);
}

/* ---- the contract --------------------------------------------------------------------------- */

static void restarts_and_full_queues_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;
	const char *settings = COMMON "&every=5&memory=8";

	rig_open(&whole, &pn_stage_map, settings);
	rig_open(&cut, &pn_stage_map, settings);
	cut.refuse_every = 3;
	for (uint64_t f = 0; f < 24; f++) {
		struct pn_poses_head pose = pose_head(f % 2, f);
		struct rig *both[] = { &whole, &cut };

		pose.segment = 1 + f / 13;
		for (int i = 0; i < 2; i++) {
			push_crop(both[i], &pose);
			if (i && f % 3 == 0)
				rig_reopen(&cut, settings); /* one without the other */
			push_pose(both[i], &pose);
			pose.revision = 1;
			push_pose(both[i], &pose);
			pose.revision = 0;
			if (i && f % 4 == 0)
				rig_reopen(&cut, settings);
		}
	}
	rig_drain(&whole);
	rig_drain(&cut);
	assert_true(whole.out_count >= 6);
	assert_true(rig_same(&whole, &cut));
	assert_int_equal(whole.done, cut.done);
	rig_close(&whole);
	rig_close(&cut);
}

static void ends_once(void **state)
{
	(void)state;
	static struct rig rig;
	const char *settings = COMMON "&every=1000";

	rig_open(&rig, &pn_stage_map, settings);
	for (uint64_t f = 0; f < 6; f++)
		push(&rig, 1, f, 1);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 1);
	rig_reopen(&rig, settings);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 1);
	rig_close(&rig);
}

static void what_has_no_other_part(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_poses_head pose;

	rig_open(&rig, &pn_stage_map, COMMON);
	for (uint64_t f = 0; f < 70; f++) {
		pose = pose_head(0, f);
		push_crop(&rig, &pose);
	}
	assert_int_equal(rig.skipped_by[UNPAIRED], 6); /* 64 wait */
	pose = pose_head(1, 69);                       /* another's */
	push_pose(&rig, &pose);
	assert_int_equal(rig.done, 0);
	pose = pose_head(0, 69);
	push_pose(&rig, &pose);
	assert_int_equal(rig.done, 2);
	push_crop(&rig, &pose);
	push_pose(&rig, &pose);
	assert_int_equal(rig.skipped_by[AGAIN], 2);
	rig_drain(&rig);
	assert_int_equal(rig.done + rig.skipped, rig.taken);
	rig_close(&rig);
}

static void what_cannot_be_used(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_poses_head pose = pose_head(0, 0);
	struct pn_crops_head crop = crop_head(&pose);
	static float image[PIXELS];

	rig_open(&rig, &pn_stage_map, COMMON "&every=1");
	rig_push(&rig, CROPS, &crop, 0, image, sizeof image); /* nothing in it */
	push_pose(&rig, &pose);
	assert_int_equal(rig.skipped_by[RANGE], 2);
	crop.pixel_pm = (double)NAN;
	rig_push(&rig, CROPS, &crop, 0, image, sizeof image);
	assert_int_equal(rig.skipped_by[NO_PIXEL], 1);
	crop.pixel_pm = 50;
	crop.ny = 10;
	crop.particle = pose.particle = 1;
	rig_push(&rig, CROPS, &crop, 0, image, 10 * SIDE * sizeof *image);
	push_pose(&rig, &pose);
	assert_int_equal(rig.skipped_by[NO_PLACE], 2);
	assert_int_equal(rig.out_count, 0);

	push(&rig, 0, 1, 1);
	assert_int_equal(rig.out_count, 1);
	pose = pose_head(0, 2);
	crop = crop_head(&pose);
	crop.pixel_pm = 51; /* another microscope's */
	rig_push(&rig, CROPS, &crop, 0, crop_image(&pose), sizeof image);
	push_pose(&rig, &pose);
	assert_int_equal(rig.skipped_by[NO_PIXEL], 3);
	pose = pose_head(0, 3);
	push_crop(&rig, &pose);
	pose.x_px += 30;
	push_pose(&rig, &pose);
	assert_int_equal(rig.skipped_by[NO_PLACE], 4);
	assert_int_equal(rig.out_count, 1);
	assert_int_equal(rig.done + rig.skipped, rig.taken);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(several_particles),
		cmocka_unit_test(a_new_segment),
		cmocka_unit_test(revisions_leave_no_trace),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(ends_once),
		cmocka_unit_test(what_has_no_other_part),
		cmocka_unit_test(what_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
