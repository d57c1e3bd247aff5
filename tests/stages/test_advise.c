/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The advise stage: an advice after each volume, at once when the poses turn, the last at the end.
 */
#include "rig.h"
#include "testkit.h"

#include "perrin/base/rng.h"

#include <math.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_advise;

enum { VOLUMES, ATOMS, POSES };

static const float voxel[8];

static void push_volume(struct rig *rig, uint64_t particle, uint64_t segment, uint64_t images)
{
	struct pn_volumes_head head = { .volume = images,
					.particle = particle,
					.segment = segment,
					.images = images,
					.misfit = (double)NAN,
					.r1 = (double)NAN,
					.r1_new = (double)NAN,
					.held_out = (double)NAN,
					.dose_e_per_A2 = 10 * (double)images,
					.resolution_A = 1 / sqrt(0.05 * log((double)images)),
					.scf = 0.8,
					.far = 0.7,
					.empty = 0.03,
					.nz = 2,
					.ny = 2,
					.nx = 2,
					.pixel_pm = 35 };

	assert_int_equal(
		rig_push(rig, VOLUMES, &head, (int64_t)images * 2500000, voxel, sizeof voxel),
		PN_OK);
}

static void push_atoms(struct rig *rig, uint64_t images, uint64_t kept)
{
	const struct pn_atoms_head head = { .volume = images,
					    .particle = 1,
					    .segment = 1,
					    .images = images,
					    .atoms = 4,
					    .kept = kept,
					    .strength_min = (double)NAN,
					    .moved_pm = 5,
					    .disordered = (double)NAN,
					    .diameter_nm = (double)NAN };
	static const double atom[4][PN_ATOM_NUMBERS];

	assert_int_equal(rig_push(rig, ATOMS, &head, (int64_t)images * 2500000, atom, sizeof atom),
			 PN_OK);
}

static void push_pose(struct rig *rig, uint64_t frame, uint64_t segment, uint64_t revision,
		      double score)
{
	const struct pn_poses_head head = { .frame = frame,
					    .particle = 1,
					    .segment = segment,
					    .revision = revision,
					    .quaternion = { 1 },
					    .quaternion_count = 4,
					    .score = score,
					    .angle_uncertainty_deg = (double)NAN,
					    .shift_uncertainty_px = (double)NAN,
					    .probability = (double)NAN,
					    .entropy = (double)NAN,
					    .runner_up_probability = (double)NAN,
					    .step_deg = (double)NAN,
					    .rotation_rad2_per_s = (double)NAN,
					    .translation_A2_per_s = (double)NAN,
					    .weight = 1 };

	assert_int_equal(rig_push(rig, POSES, &head, (int64_t)frame * 2500000, NULL, 0), PN_OK);
}

static const struct pn_advice_head *newest(const struct rig *rig)
{
	return rig->out[rig->out_count - 1].head;
}

static void after_each_volume(void **state)
{
	(void)state;
	static struct rig rig;

	rig_open(&rig, &pn_stage_advise, "target_A=1.7&gain_min_pm=6");
	for (uint64_t n = 1000; n <= 2000; n += 200) {
		push_volume(&rig, 1, 1, n);
		push_atoms(&rig, n, 4);
		assert_int_equal(rig.out_count, (n - 800) / 200);
		const struct pn_advice_head *head = newest(&rig);

		assert_int_equal(head->advice, rig.out_count);
		assert_int_equal(head->images, n);
		assert_int_equal(head->verdict,
				 n >= 1800 ? PN_VERDICT_ENOUGH : PN_VERDICT_CONTINUE);
		assert_true(n == 1000 ? isnan(head->atoms_kept) : head->atoms_kept == 1);
	}
	assert_true(strstr(newest(&rig)->reasons, "1.62 A after 2000 frames"));
	push_atoms(&rig, 2000, 2);
	assert_int_equal(rig_drain(&rig), PN_OK); /* with the atoms of the last volume */
	assert_true(newest(&rig)->atoms_kept == 0.5);
	assert_int_equal(rig.done, 13);
	rig_close(&rig);
}

/* Poses of even scores, then lower ones: an advice comes without a volume, once. */
static void poses_turn_it(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_rng rng;

	pn_rng_init(&rng, 3, 0);
	rig_open(&rig, &pn_stage_advise, NULL);
	for (uint64_t i = 0; i < 2000; i++) {
		const double score = (i < 1500 ? 0.3 : 0.24) + 0.03 * pn_rng_gauss(&rng);

		push_pose(&rig, i, 1, 0, score);
		push_pose(&rig, i, 1, 1, 0); /* replaces the first: says nothing of new frames */
		assert_true(i < 1500 ? rig.out_count == 0 : rig.out_count <= 1);
	}
	assert_int_equal(rig.out_count, 1);
	assert_int_equal(newest(&rig)->verdict, PN_VERDICT_CHANGED);
	push_pose(&rig, 2000, 2, 0, 0.3);
	assert_int_equal(rig.out_count, 2);
	assert_int_equal(newest(&rig)->verdict, PN_VERDICT_CHANGED);
	assert_int_equal(newest(&rig)->segment, 2);
	push_volume(&rig, 1, 1, 500); /* of the structure that was */
	assert_int_equal(rig.skipped_by[0], 1);
	push_volume(&rig, 1, 2, 20);
	assert_int_equal(newest(&rig)->verdict, PN_VERDICT_CONTINUE);
	rig_close(&rig);
}

static void several_particles(void **state)
{
	(void)state;
	static struct rig rig;

	rig_open(&rig, &pn_stage_advise, "particles_max=2");
	for (uint64_t particle = 4; particle < 7; particle++)
		push_volume(&rig, particle, 1, 100 * particle);
	assert_int_equal(rig.out_count, 2);
	assert_int_equal(rig.skipped_by[1], 1);
	assert_int_equal(newest(&rig)->particle, 5);
	assert_int_equal(newest(&rig)->images, 500);
	rig_close(&rig);
}

static void play(struct rig *rig, int restart)
{
	for (uint64_t n = 100; n <= 1500; n += 100) {
		for (uint64_t i = 0; i < 40; i++)
			push_pose(rig, n + i, 1, 0, n < 1000 ? 0.3 + 0.001 * (double)(i % 7) : 0.2);
		push_volume(rig, 1, 1, n);
		push_atoms(rig, n, 4);
		if (restart)
			rig_reopen(rig, "cusum_limit=5&score_block=10");
	}
	assert_int_equal(rig_drain(rig), PN_OK);
}

static void restarts_and_full_queues_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_advise, "cusum_limit=5&score_block=10");
	rig_open(&cut, &pn_stage_advise, "cusum_limit=5&score_block=10");
	cut.refuse_every = 3;
	play(&whole, 0);
	play(&cut, 1);
	assert_in_range(whole.out_count, 16, 18);
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_each_volume),
		cmocka_unit_test(poses_turn_it),
		cmocka_unit_test(several_particles),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
