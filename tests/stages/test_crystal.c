/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The crystal stage tells lattice from noise, knows its spacing, and survives a restart to the byte. */
#include "perrin/base/rng.h"
#include "rig.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_crystal;

enum { N = 96 };

static const double pixel_pm = 35.8, spacing_pm = 226.6;

/* A disc of fringes in Poisson noise; without fringes when amplitude is 0. */
static void draw(uint16_t *pixels, uint64_t frame, double amplitude)
{
	struct pn_rng rng;
	double angle = 0.1 * (double)frame;

	pn_rng_init(&rng, 5, frame);
	for (int y = 0; y < N; y++) {
		for (int x = 0; x < N; x++) {
			double dx = x - N / 2, dy = y - N / 2;
			double inside = hypot(dx, dy) * pixel_pm < 1000 ? 1 : 0;
			double phase = 2 * M_PI * (dx * cos(angle) + dy * sin(angle)) * pixel_pm / spacing_pm;

			pixels[y * N + x] = (uint16_t)pn_rng_poisson(
				&rng, 20 * (1 + inside * amplitude * cos(phase)));
		}
	}
}

static int push(struct rig *rig, uint64_t frame, double amplitude)
{
	struct pn_crops_head head = { .frame = frame, .particle = 3, .state = 1, .x_px = 200, .y_px = 100,
				      .x0_px = 152, .y0_px = 52, .dtype = PN_U16, .ny = N, .nx = N,
				      .pixel_pm = pixel_pm };
	uint16_t pixels[N * N];

	draw(pixels, frame, amplitude);
	return rig_push(rig, 0, &head, (int64_t)frame * 2500000, pixels, sizeof pixels);
}

static void tells_lattice_from_noise(void **state)
{
	(void)state;
	static struct rig rig;

	rig_open(&rig, &pn_stage_crystal, "atom_sd_A=0"); /* plain fringes, no atoms */
	for (uint64_t f = 0; f < 200; f++)
		assert_int_equal(push(&rig, f, f % 2 ? 0.5 : 0), PN_OK);
	assert_int_equal(rig.out_count, 200);
	for (unsigned i = 100; i < 200; i++) {
		const struct pn_crystal_head *head = rig.out[i].head;

		assert_int_equal(head->frame, i);
		assert_int_equal(head->particle, 3);
		assert_int_equal(head->class, i % 2);
		assert_int_equal(head->class, head->peak > head->threshold);
		if (i % 2) {
			assert_true(fabs(head->spacing_pm / spacing_pm - 1) < 0.01);
			assert_true(fabs(head->lattice_x_px - 200) < 2);
			assert_true(fabs(head->lattice_y_px - 100) < 2);
		} else {
			assert_true(isnan(head->diameter_nm));
		}
	}
	assert_int_equal(rig.done, 200);
	rig_close(&rig);
}

static void restarts_and_full_queues_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_crystal, "mean_frames=10");
	rig_open(&cut, &pn_stage_crystal, "mean_frames=10");
	cut.refuse_every = 4;
	for (uint64_t f = 0; f < 90; f++) {
		push(&whole, f, f % 3 ? 0.5 : 0);
		push(&cut, f, f % 3 ? 0.5 : 0);
		if (f % 20 == 7)
			rig_reopen(&cut, "mean_frames=10");
	}
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

static void odd_crops(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_crops_head head = { .particle = 1, .dtype = PN_F32, .ny = 1, .nx = 1, .pixel_pm = 30 };
	float pixels[32 * 32];

	rig_open(&rig, &pn_stage_crystal, NULL);
	pixels[0] = NAN;
	assert_int_equal(rig_push(&rig, 0, &head, 0, pixels, 4), PN_OK);
	head.ny = head.nx = 32;
	for (int i = 0; i < 32 * 32; i++)
		pixels[i] = NAN;
	assert_int_equal(rig_push(&rig, 0, &head, 0, pixels, sizeof pixels), PN_OK);
	for (int i = 0; i < 32 * 32; i++)
		pixels[i] = 65535;
	assert_int_equal(rig_push(&rig, 0, &head, 0, pixels, sizeof pixels), PN_OK);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(((struct pn_crystal_head *)rig.out[i].head)->peak == 0);
		assert_int_equal(((struct pn_crystal_head *)rig.out[i].head)->class, 0);
	}
	head.pixel_pm = NAN;
	assert_int_equal(rig_push(&rig, 0, &head, 0, pixels, sizeof pixels), PN_OK);
	assert_int_equal(rig.skipped_by[0], 1);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_lattice_from_noise),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(odd_crops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
