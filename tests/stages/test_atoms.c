/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The atoms stage: where they are, which they are, and which the last volume had too. */
#include "perrin/twin/specimen.h"
#include "rig.h"
#include "testkit.h"
#include "tilt_kit.h"

#include <stdlib.h>
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

/* ---- tumbling particles -------------------------------------------------------------------- */

enum { MAP_N = 72 };

static struct pn_specimen *platinum(double diameter_nm)
{
	struct pn_specimen_params params;
	struct pn_specimen *specimen = NULL;

	pn_params_default(pn_specimen_param_table, &params);
	params.shape = PN_SHAPE_TRUNCATED_OCTAHEDRON;
	params.diameter_nm = diameter_nm;
	strcpy(params.element, "Pt");
	assert_int_equal(pn_specimen_create(&specimen, &params, 1, NULL), PN_OK);
	return specimen;
}

/* A map of the atoms, moved in voxels along x. */
static int push_map(struct rig *rig, const struct pn_specimen *specimen, uint64_t volume,
		    uint64_t particle, uint64_t segment, double moved)
{
	float *voxels = calloc(MAP_N * MAP_N * MAP_N, sizeof *voxels);
	struct pn_volumes_head head = { .volume = volume,
					.particle = particle,
					.segment = segment,
					.images = 100,
					.misfit = (double)NAN,
					.r1 = (double)NAN,
					.r1_new = (double)NAN,
					.held_out = (double)NAN,
					.dose_e_per_A2 = (double)NAN,
					.resolution_A = 1.5,
					.scf = (double)NAN,
					.far = (double)NAN,
					.empty = (double)NAN,
					.nz = MAP_N,
					.ny = MAP_N,
					.nx = MAP_N,
					.pixel_pm = 100 * pixel_A };

	assert_non_null(voxels);
	for (size_t a = 0; a < specimen->count; a++) {
		double at[3];

		for (int k = 0; k < 3; k++)
			at[k] = specimen->position_A[a][k] / pixel_A + MAP_N / 2 +
				(k == 0 ? moved : 0);
		for (int z = (int)at[2] - 5; z < at[2] + 6; z++)
			for (int y = (int)at[1] - 5; y < at[1] + 6; y++)
				for (int x = (int)at[0] - 5; x < at[0] + 6; x++) {
					const double d2 = pow(x - at[0], 2) + pow(y - at[1], 2) +
							  pow(z - at[2], 2);

					voxels[(z * MAP_N + y) * MAP_N + x] +=
						(float)exp(-d2 / (2 * 1.1 * 1.1));
				}
	}
	const int rc = rig_push(rig, 0, &head, (int64_t)volume, voxels,
				MAP_N * MAP_N * MAP_N * sizeof *voxels);

	free(voxels);
	return rc;
}

/* Two particles in turns; the first in a new segment at the end, where the frame is another. */
static void push_two(struct rig *rig, int restart, const char *settings)
{
	struct pn_specimen *large = platinum(1.9), *small = platinum(1.3);

	assert_int_equal(large->count, 201);
	assert_int_equal(small->count, 79);
	push_map(rig, large, 1, 3, 1, 0);
	push_map(rig, small, 2, 5, 1, 0);
	if (restart)
		rig_reopen(rig, settings);
	push_map(rig, large, 3, 3, 1, 0.5);
	push_map(rig, small, 4, 5, 1, 0);
	push_map(rig, large, 5, 3, 2, 0.5);
	pn_specimen_destroy(large);
	pn_specimen_destroy(small);
}

static void tumbling_particles_are_told_apart(void **state)
{
	(void)state;
	static struct rig rig, cut;
	static const uint64_t atoms[] = { 201, 79, 201, 79, 201 }, kept[] = { 0, 0, 201, 79, 0 };
	static const double moved_pm[] = { NAN, NAN, 17.5, 0, NAN };

	rig_open(&rig, &pn_stage_atoms, NULL);
	push_two(&rig, 0, NULL);
	assert_int_equal(rig.out_count, 5);
	for (unsigned i = 0; i < 5; i++) {
		const struct pn_atoms_head *head = rig.out[i].head;
		const double(*atom)[PN_ATOM_NUMBERS] =
			(const double(*)[PN_ATOM_NUMBERS])rig.out[i].payload;

		assert_int_equal(head->particle, i % 2 ? 5 : 3);
		assert_int_equal(head->segment, i == 4 ? 2 : 1);
		assert_int_equal(head->images, 100);
		assert_int_equal(head->atoms, atoms[i]);
		assert_int_equal(head->kept, kept[i]);
		assert_true(isnan(moved_pm[i]) ? isnan(head->moved_pm)
					       : fabs(head->moved_pm - moved_pm[i]) < 1);
		/* N a^3 / 4 = pi d^3 / 6; nearly all of a perfect crystal is crystalline */
		const double d = cbrt(6 * (double)atoms[i] * pow(0.39242, 3) / (4 * M_PI));

		assert_true(fabs(head->diameter_nm - d) < 1e-3);
		assert_true(head->disordered < 0.3);
		for (uint64_t a = 0; a < head->atoms; a++) {
			assert_true(atom[a][3] == 78);
			assert_true(atom[a][5] > 0.9 && atom[a][5] <= 1.000001);
		}
	}
	rig_open(&cut, &pn_stage_atoms, NULL);
	cut.refuse_every = 2;
	push_two(&cut, 1, NULL);
	assert_true(rig_same(&rig, &cut));
	rig_close(&rig);
	rig_close(&cut);
}

/* Traced where that is asked for: the confidence is then not a correlation, but the bond order is
 * told all the same; of a tilt series it is not, whatever the method. */
static void the_method_can_be_told(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_specimen *specimen = platinum(1.3);

	const struct pn_atoms_head *head;

	rig_open(&rig, &pn_stage_atoms, "method=trace");
	push_map(&rig, specimen, 1, 3, 1, 0);
	head = rig.out[0].head;
	assert_int_equal(head->atoms, 79);
	assert_true(head->disordered < 0.5);
	assert_true(((const double(*)[PN_ATOM_NUMBERS])rig.out[0].payload)[0][5] == 1);
	rig_close(&rig);

	rig_open(&rig, &pn_stage_atoms, "method=potential");
	push_map(&rig, specimen, 1, 0, 0, 0);
	head = rig.out[0].head;
	assert_int_equal(head->atoms, 79);
	assert_true(isnan(head->disordered) && isnan(head->diameter_nm));
	assert_true(((const double(*)[PN_ATOM_NUMBERS])rig.out[0].payload)[0][5] < 1);
	rig_close(&rig);

	/* iron is not fcc: without the distance of neighbours there is nothing to go by */
	rig_open(&rig, &pn_stage_atoms, "elements=Fe");
	push_map(&rig, specimen, 1, 3, 1, 0);
	head = rig.out[0].head;
	assert_int_equal(head->atoms, 79);
	assert_true(isnan(head->disordered));
	rig_close(&rig);
	rig_open(&rig, &pn_stage_atoms, "elements=Fe&method=potential&neighbor_A=2.77");
	push_map(&rig, specimen, 1, 3, 1, 0);
	head = rig.out[0].head;
	assert_int_equal(head->atoms, 79);
	assert_true(head->disordered < 0.5);
	rig_close(&rig);
	pn_specimen_destroy(specimen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_and_follows),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(without_a_pixel_size),
		cmocka_unit_test(tumbling_particles_are_told_apart),
		cmocka_unit_test(the_method_can_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
