/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The orient stage follows a turning piece of crystal, counts what it leaves out, and survives a
 * restart to the byte. */
#include "perrin/base/rng.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"
#include "perrin/orient/symmetry.h"
#include "rig.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_orient;

enum { N = 64, ATOMS_MAX = 200 };
enum { SKIP_PIXEL, SKIP_SIZE, SKIP_SMALL, SKIP_PARTICLE, SKIP_RANGE, SKIP_PAST };

static const double pixel_pm = 50, lattice_A = 3.92;
static const char fast[] = "diameter_A=16&views=500&candidates=200&begin=40&start=30&refresh=40&"
			   "keep=60&resolution_high_A=1.6";

/* Atoms of a ball of fcc less one side, px about its middle. */
static size_t ball(double at[ATOMS_MAX][3])
{
	size_t count = 0;
	double mean[3] = { 0 };

	for (int i = -4; i <= 4; i++)
		for (int j = -4; j <= 4; j++)
			for (int k = -4; k <= 4; k++) {
				const int odd = (i + j + k) & 1;

				if (odd || i * i + j * j + k * k > 16 || i > 2)
					continue;
				at[count][0] = 50 * lattice_A * i / pixel_pm;
				at[count][1] = 50 * lattice_A * j / pixel_pm;
				at[count++][2] = 50 * lattice_A * k / pixel_pm;
			}
	for (size_t n = 0; n < count; n++)
		for (int a = 0; a < 3; a++)
			mean[a] += at[n][a] / (double)count;
	for (size_t n = 0; n < count; n++)
		for (int a = 0; a < 3; a++)
			at[n][a] -= mean[a];
	return count;
}

/* The crop of one frame: the ball turned by 8 deg more each, about an axis that wanders. */
static void draw(float *pixels, uint64_t frame, double q[4])
{
	double at[ATOMS_MAX][3], r[3][3];
	const size_t count = ball(at);
	struct pn_rng rng;

	pn_rng_init(&rng, 6, 0);
	pn_quaternion_random(q, &rng);
	for (uint64_t f = 0; f <= frame; f++) {
		double w[3], turn[4];

		for (int a = 0; a < 3; a++)
			w[a] = 8 * M_PI / 180 / sqrt(3) * pn_rng_gauss(&rng);
		pn_quaternion_from_vector(turn, w);
		pn_quaternion_multiply(q, turn, q);
	}
	pn_quaternion_to_matrix(r, q);
	for (int i = 0; i < N * N; i++)
		pixels[i] = 7;
	for (size_t n = 0; n < count; n++) {
		double u[3];

		pn_matrix3_apply(u, (const double(*)[3])r, at[n]);
		for (int i = 0; i < N * N; i++) {
			double d = pow(i % N - N / 2 - u[0], 2) + pow(i / N - N / 2 - u[1], 2);

			if (d < 16)
				pixels[i] += (float)exp(-d / 2);
		}
	}
	pn_rng_init(&rng, 7, frame);
	for (int i = 0; i < N * N; i++)
		pixels[i] += 0.4f * (float)pn_rng_gauss(&rng);
}

static int push(struct rig *rig, uint64_t frame, uint64_t particle, double pixel, double q[4])
{
	static float pixels[N * N];
	const struct pn_crops_head head = { .frame = frame,
					    .particle = particle,
					    .x_px = 200 + N / 2,
					    .y_px = 100 + N / 2,
					    .x0_px = 200,
					    .y0_px = 100,
					    .dtype = PN_F32,
					    .ny = N,
					    .nx = N,
					    .pixel_pm = pixel,
					    .noise = (double)NAN,
					    .snr_db = (double)NAN,
					    .raw_snr_db = (double)NAN };

	draw(pixels, frame, q);
	return rig_push(rig, 0, &head, (int64_t)frame * 2500000, pixels, sizeof pixels);
}

static void push_size(struct rig *rig, uint64_t frame, uint64_t particle, double diameter_nm)
{
	const struct pn_crystal_head head = { .frame = frame,
					      .particle = particle,
					      .spacing_pm = (double)NAN,
					      .diameter_nm = diameter_nm,
					      .gx_per_A = (double)NAN,
					      .gy_per_A = (double)NAN,
					      .width_px = (double)NAN,
					      .lattice_x_px = (double)NAN,
					      .lattice_y_px = (double)NAN };

	assert_int_equal(rig_push(rig, 1, &head, (int64_t)frame * 2500000, NULL, 0), PN_OK);
}

static void follows(void **state)
{
	static struct rig rig;
	uint64_t revisions = 0, right = 0, oriented = 0, first = 0;
	double truth[140][4];

	(void)state;
	rig_open(&rig, &pn_stage_orient, fast);
	for (uint64_t f = 0; f < 140; f++)
		assert_int_equal(push(&rig, f, 3, pixel_pm, truth[f]), PN_OK);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.done, 140);
	for (unsigned i = 0; i < rig.out_count; i++) {
		const struct pn_poses_head *head = rig.out[i].head;

		assert_int_equal(head->particle, 3);
		assert_int_equal(head->segment, 1);
		assert_true(head->weight == 0 || head->state == PN_POSED_ORIENTED);
		if (head->revision) {
			revisions++;
			continue;
		}
		assert_int_equal(head->frame, first++);
		assert_int_equal(rig.out[i].time_ns, (int64_t)head->frame * 2500000);
		if (head->frame < 40)
			assert_int_equal(head->state, PN_POSED_BEGINNING);
		if (head->frame < 45)
			continue;
		oriented += head->weight > 0;
		right += pn_pose_relate(truth[head->frame], head->quaternion, NULL, 6, NULL) !=
			 PN_POSE_OTHER;
		assert_true(hypot(head->x_px - 232, head->y_px - 132) < 4);
		assert_true(head->rotation_rad2_per_s > 0 && head->translation_A2_per_s > 0);
	}
	assert_int_equal(first, 140);
	assert_true(revisions > 5);
	assert_true(oriented > 70 && right > 80); /* of 95 */
	rig_close(&rig);
}

static void restarts(void **state)
{
	static struct rig a, b;
	double q[4];

	(void)state;
	rig_open(&a, &pn_stage_orient, fast);
	rig_open(&b, &pn_stage_orient, fast);
	b.refuse_every = 7;
	for (uint64_t f = 0; f < 60; f++) {
		assert_int_equal(push(&a, f, 3, pixel_pm, q), PN_OK);
		assert_int_equal(push(&b, f, 3, pixel_pm, q), PN_OK);
		if (f == 10 || f == 33 || f == 51)
			rig_reopen(&b, fast);
	}
	assert_true(rig_same(&a, &b));
	rig_close(&a);
	rig_close(&b);
}

static void counts_what_it_leaves_out(void **state)
{
	static struct rig rig;
	double q[4];

	(void)state;
	rig_open(&rig, &pn_stage_orient, "diameter_A=0&views=80&candidates=20");
	/* the size is not known until crystal has told it often enough */
	for (uint64_t f = 0; f < 21; f++) {
		assert_int_equal(push(&rig, f, 3, pixel_pm, q), PN_OK);
		push_size(&rig, f, 3, f % 5 ? 1.6 : (double)NAN);
	}
	assert_int_equal(rig.skipped_by[SKIP_SIZE], 21);
	for (uint64_t f = 21; f < 28; f++)
		push_size(&rig, f, 3, 1.6);
	assert_int_equal(push(&rig, 28, 3, pixel_pm, q), PN_OK);
	assert_int_equal(rig.out_count, 1);
	assert_int_equal(push(&rig, 28, 3, pixel_pm, q), PN_OK);
	assert_int_equal(rig.skipped_by[SKIP_PAST], 1);
	assert_int_equal(push(&rig, 29, 4, pixel_pm, q), PN_OK);
	assert_int_equal(rig.skipped_by[SKIP_PARTICLE], 1);
	assert_int_equal(push(&rig, 30, 3, (double)NAN, q), PN_OK);
	assert_int_equal(rig.skipped_by[SKIP_PIXEL], 1);
	rig_close(&rig);
	/* a pixel size that is ten times too small: the particle has no room */
	rig_open(&rig, &pn_stage_orient, "diameter_A=16&views=80");
	assert_int_equal(push(&rig, 0, 3, pixel_pm / 10, q), PN_OK);
	assert_int_equal(rig.skipped_by[SKIP_SMALL], 1);
	assert_int_equal(rig.out_count, 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows),
		cmocka_unit_test(restarts),
		cmocka_unit_test(counts_what_it_leaves_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
