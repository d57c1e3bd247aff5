/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The atoms stage: where they are, which they are, and which the last volume had too. */
#include "rig.h"
#include "testkit.h"
#include "tilt_kit.h"

#include <string.h>

extern const struct pn_stage_ops pn_stage_atoms;

static const double pixel_A = 0.35;

/* The atoms as Gaussians, the first two brighter; @moved in voxels along x. */
static int push(struct rig *rig, uint64_t volume, int final, double moved, double pixel_pm)
{
	static float voxels[TILT_N * TILT_PIXELS];
	struct pn_volumes_head head = { .volume = volume,
					.state = final,
					.images = volume,
					.misfit = (double)NAN,
					.r1 = (double)NAN,
					.r1_new = (double)NAN,
					.held_out = (double)NAN,
					.dose_e_per_A2 = (double)NAN,
					.resolution_A = (double)NAN,
					.scf = (double)NAN,
					.far = (double)NAN,
					.empty = (double)NAN,
					.nz = TILT_N,
					.ny = TILT_N,
					.nx = TILT_N,
					.pixel_pm = pixel_pm };

	for (int i = 0; i < TILT_N * TILT_PIXELS; i++) {
		double r[3] = { i % TILT_N - TILT_N / 2 - moved, i / TILT_N % TILT_N - TILT_N / 2,
				i / TILT_PIXELS - TILT_N / 2 };
		double v = 0;

		for (int a = 0; a < TILT_ATOMS; a++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += (r[k] - tilt_atom_px[a][k]) * (r[k] - tilt_atom_px[a][k]);
			v += (a < 2 ? 1.6 : 1.0) * exp(-d2 / (2 * 1.6 * 1.6));
		}
		voxels[i] = (float)v;
	}
	return rig_push(rig, 0, &head, (int64_t)volume, voxels, sizeof voxels);
}

static void finds_and_follows(void **state)
{
	(void)state;
	static struct rig rig;

	rig_open(&rig, &pn_stage_atoms, "elements=Pt,Ni&min_distance_A=2&local_A=0");
	assert_int_equal(push(&rig, 1, 0, 0, 35), PN_OK);
	assert_int_equal(push(&rig, 2, 1, 0.5, 35), PN_OK);
	assert_int_equal(rig.out_count, 2);
	for (unsigned k = 0; k < 2; k++) {
		const struct pn_atoms_head *head = rig.out[k].head;
		const double(*atom)[PN_ATOM_NUMBERS] =
			(const double(*)[PN_ATOM_NUMBERS])rig.out[k].payload;
		unsigned found = 0;

		assert_int_equal(head->atoms, TILT_ATOMS);
		for (int a = 0; a < TILT_ATOMS; a++)
			for (int i = 0; i < TILT_ATOMS; i++) {
				double d2 = 0;

				for (int c = 0; c < 3; c++) {
					double at = (tilt_atom_px[a][c] + (c == 0 && k ? 0.5 : 0)) *
						    pixel_A;

					d2 += (atom[i][c] - at) * (atom[i][c] - at);
				}
				if (d2 < 0.02 * 0.02) {
					assert_true(atom[i][3] == (a < 2 ? 78 : 28));
					found++;
				}
			}
		assert_int_equal(found, TILT_ATOMS);
		assert_int_equal(head->kept, k ? TILT_ATOMS : 0);
		if (k)
			assert_true(fabs(head->moved_pm - 100 * 0.5 * pixel_A) < 3);
		else
			assert_true(isnan(head->moved_pm));
	}
	assert_int_equal(rig.done, 2);
	rig_close(&rig);
}

static void restarts_and_full_queues_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_atoms, "every=2");
	rig_open(&cut, &pn_stage_atoms, "every=2");
	cut.refuse_every = 2;
	for (uint64_t v = 1; v < 6; v++) {
		push(&whole, v, v == 5, 0.1 * (double)v, 35);
		push(&cut, v, v == 5, 0.1 * (double)v, 35);
		if (v == 2)
			rig_reopen(&cut, "every=2");
	}
	assert_int_equal(whole.out_count, 3); /* the second, the fourth, the last */
	assert_int_equal(whole.skipped_by[2], 2);
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

static void without_a_pixel_size(void **state)
{
	(void)state;
	static struct rig rig;

	rig_open(&rig, &pn_stage_atoms, NULL);
	assert_int_equal(push(&rig, 1, 0, 0, (double)NAN), PN_OK);
	assert_int_equal(rig.skipped_by[0], 1);
	assert_int_equal(rig.out_count, 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_and_follows),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(without_a_pixel_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
