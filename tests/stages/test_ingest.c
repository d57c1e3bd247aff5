/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every frame of a source is recorded as it came, or left out for a stated reason; batches change
 * nothing but the packing. */
#include "rig.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_ingest;

enum { NY = 3, NX = 5 };

static struct pn_frames_head frame_head(uint64_t frame)
{
	return (struct pn_frames_head){ .frame = frame, .count = 1, .dtype = PN_U16, .ny = NY, .nx = NX,
					.pixel_pm = 35.8, .dose_e_per_A2 = NAN, .energy_keV = 300,
					.tilt_deg = NAN, .offset_count = 1 };
}

static int push_frame(struct rig *rig, uint64_t frame)
{
	struct pn_frames_head head = frame_head(frame);
	uint16_t pixels[NY * NX];

	for (int i = 0; i < NY * NX; i++)
		pixels[i] = (uint16_t)(frame * 100 + (uint64_t)i);
	return rig_push(rig, 0, &head, (int64_t)frame * 2500000, pixels, sizeof pixels);
}

/* All frames that came out, in order, whatever their packing. */
static void check_frames(const struct rig *rig, uint64_t count)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < rig->out_count; i++) {
		const struct pn_frames_head *head = rig->out[i].head;
		const uint16_t *pixels = (const uint16_t *)rig->out[i].payload;

		for (uint64_t f = 0; f < head->count; f++, next++) {
			assert_int_equal(head->frame + f, next);
			assert_int_equal(rig->out[i].time_ns + head->offset_ns[f], next * 2500000);
			assert_int_equal(pixels[f * NY * NX + 7], (uint16_t)(next * 100 + 7));
		}
	}
	assert_int_equal(next, count);
}

static void batches_change_only_the_packing(void **state)
{
	(void)state;
	static const char *const settings[] = { "batch=1", "batch=4", "batch=7", "batch=64" };
	static struct rig rig;

	for (unsigned s = 0; s < 4; s++) {
		rig_open(&rig, &pn_stage_ingest, settings[s]);
		rig.refuse_every = 3;
		for (uint64_t f = 0; f < 30; f++)
			assert_int_equal(push_frame(&rig, f), PN_OK);
		assert_int_equal(rig_drain(&rig), PN_OK);
		check_frames(&rig, 30);
		assert_int_equal(rig.done, 30);
		assert_int_equal(rig.skipped, 0);
		rig_close(&rig);
	}
}

static void other_shapes_and_repeats_are_counted(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_frames_head other = frame_head(1);
	uint16_t pixels[2 * NY * NX] = { 0 };

	rig_open(&rig, &pn_stage_ingest, NULL);
	assert_int_equal(push_frame(&rig, 0), PN_OK);
	other.nx = 2 * NX;
	assert_int_equal(rig_push(&rig, 0, &other, 0, pixels, sizeof pixels), PN_OK);
	other = frame_head(1);
	other.dtype = PN_U8;
	assert_int_equal(rig_push(&rig, 0, &other, 0, pixels, NY * NX), PN_OK);
	assert_int_equal(push_frame(&rig, 0), PN_OK);
	assert_int_equal(push_frame(&rig, 1), PN_OK);
	assert_int_equal(rig.skipped_by[0], 2);
	assert_int_equal(rig.skipped_by[1], 1);
	assert_int_equal(rig.done, 2);
	check_frames(&rig, 2);
	rig_close(&rig);
}

static void a_head_that_lies_is_a_bad_message(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_frames_head head = frame_head(0);
	uint16_t pixels[NY * NX] = { 0 };

	rig_open(&rig, &pn_stage_ingest, NULL);
	head.ny = 1000;
	assert_int_equal(rig_push(&rig, 0, &head, 0, pixels, sizeof pixels), PN_EFRAME);
	assert_int_equal(rig.out_count, 0);
	rig_close(&rig);
}

static void truth_and_specimens_pass(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_truth_head truth = { .frame = 3, .quaternion = { 1 }, .quaternion_count = 4,
				       .center_count = 3, .zone_count = 3, .atoms = 2,
				       .diameter_nm = 2, .lattice_A = 3.92, .tilt_deg = NAN };
	struct pn_specimen_head specimen = { .version = 1, .atoms = 2, .lattice_A = 3.92 };
	double atoms[8] = { 1, 2, 3, 78, 4, 5, 6, 79 };

	rig_open(&rig, &pn_stage_ingest, "batch=8");
	assert_int_equal(rig_push(&rig, 2, &specimen, 0, atoms, sizeof atoms), PN_OK);
	assert_int_equal(rig_push(&rig, 1, &truth, 0, NULL, 0), PN_OK);
	assert_int_equal(rig.out_count, 2);
	assert_memory_equal(rig.out[0].payload, atoms, sizeof atoms);
	assert_int_equal(((struct pn_truth_head *)rig.out[1].head)->frame, 3);
	assert_int_equal(rig.done, 2);
	rig_close(&rig);
}

static void a_restart_goes_on_where_it_was(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_ingest, "batch=4");
	rig_open(&cut, &pn_stage_ingest, "batch=4");
	for (uint64_t f = 0; f < 21; f++) {
		push_frame(&whole, f);
		push_frame(&cut, f);
		if (f == 7) { /* the fourth frame of a batch is its last */
			assert_int_equal(cut.out_count, 2);
			rig_reopen(&cut, "batch=4");
		}
		if (f == 9) /* between two batches: the third frame of one is held */
			assert_int_equal(pn_stage_ingest.save(cut.state, &cut.ctx, &(struct pn_blob){ 0 }),
					 PN_EAGAIN);
	}
	assert_int_equal(rig_drain(&whole), PN_OK);
	assert_int_equal(rig_drain(&cut), PN_OK);
	rig_reopen(&cut, "batch=4");
	push_frame(&cut, 20); /* comes again after the restart: is known */
	assert_int_equal(cut.skipped_by[1], 1);
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_change_only_the_packing),
		cmocka_unit_test(other_shapes_and_repeats_are_counted),
		cmocka_unit_test(a_head_that_lies_is_a_bad_message),
		cmocka_unit_test(truth_and_specimens_pass),
		cmocka_unit_test(a_restart_goes_on_where_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
