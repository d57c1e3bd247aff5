/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reconstruct stage: a volume after each tilt, better with each; the end does not know the way.
 */
#include "rig.h"
#include "testkit.h"
#include "tilt_kit.h"

#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_reconstruct;

enum { TILTS = 13 };

static int push(struct rig *rig, int k, uint64_t revision, double wrong_px)
{
	struct pn_tilts_head head = tilt_head((uint64_t)k, -60 + 10 * k);
	float image[TILT_PIXELS];

	head.revision = revision;
	tilt_image(image, head.theta_deg, wrong_px, 0, 0);
	return rig_push(rig, 0, &head, k, image, sizeof image);
}

/* Correlation of a volume with the atoms it is of. */
static double likeness(const float *volume)
{
	double vt = 0, vv = 0, tt = 0;

	for (int i = 0; i < TILT_N * TILT_PIXELS; i++) {
		double r[3] = { i % TILT_N - TILT_N / 2, i / TILT_N % TILT_N - TILT_N / 2,
				i / TILT_PIXELS - TILT_N / 2 };
		double t = 0;

		for (int a = 0; a < TILT_ATOMS; a++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += (r[k] - tilt_atom_px[a][k]) * (r[k] - tilt_atom_px[a][k]);
			t += exp(-d2 / (2 * 1.4 * 1.4));
		}
		vt += (double)volume[i] * t;
		vv += (double)volume[i] * (double)volume[i];
		tt += t * t;
	}
	return vt / sqrt(vv * tt);
}

static void grows(void **state)
{
	(void)state;
	static struct rig rig;
	double first = 0, last = 0;

	rig_open(&rig, &pn_stage_reconstruct, NULL);
	for (int k = 0; k < TILTS; k++) {
		int at = k * 5 % TILTS; /* spread over the angles */

		assert_int_equal(push(&rig, at, 0, 0), PN_OK);
		assert_int_equal(rig.out_count, k + 1);

		const struct pn_volumes_head *head = rig.out[k].head;

		assert_int_equal(head->volume, k + 1);
		assert_int_equal(head->images, k + 1);
		assert_int_equal(head->last_image, at);
		assert_int_equal(head->state, PN_VOLUME_GROWING);
		assert_int_equal(isnan(head->r1_new), k == 0);
		assert_true(head->misfit < (k < 4 ? 0.95 : 0.5));
		last = likeness((const float *)rig.out[k].payload);
		if (k == 3)
			first = last;
	}
	assert_true(last > first + 0.02);
	assert_int_equal(rig_drain(&rig), PN_OK);

	const struct pn_volumes_head *final = rig.out[TILTS].head;

	assert_int_equal(final->state, PN_VOLUME_FINAL);
	assert_true(final->r1 < 0.03 && final->held_out < 0.2);
	assert_true(likeness((const float *)rig.out[TILTS].payload) > 0.97);
	assert_true(((struct pn_volumes_head *)rig.out[TILTS - 1].head)->r1_new < 0.3);
	assert_int_equal(rig.done, TILTS);
	rig_close(&rig);
}

/* Another order, a wrong tilt revised, one withdrawn: the last volume is the same to the byte. */
static void the_way_does_not_matter(void **state)
{
	(void)state;
	static struct rig straight, crooked;
	struct pn_tilts_head gone = tilt_head(40, 0);
	static float image[TILT_PIXELS];

	rig_open(&straight, &pn_stage_reconstruct, "every=20");
	rig_open(&crooked, &pn_stage_reconstruct, "every=20");
	for (int k = 0; k < TILTS; k++)
		push(&straight, k, 0, 0);
	push(&crooked, 0, 0, 0); /* the same first image: it sets the unit of the sums */
	push(&crooked, 5, 0, 3);
	tilt_image(image, 33, 0, 0, 0);
	gone.theta_deg = 33;
	rig_push(&crooked, 0, &gone, 0, image, sizeof image);
	for (int k = TILTS - 1; k > 0; k--)
		push(&crooked, k, k == 5, 0);
	gone.state = PN_TILT_WITHDRAWN;
	rig_push(&crooked, 0, &gone, 0, image, sizeof image);
	rig_push(&crooked, 0, &gone, 0, image, sizeof image); /* it is not there any more */
	assert_int_equal(crooked.skipped_by[2], 1);
	rig_drain(&straight);
	rig_drain(&crooked);
	assert_int_equal(straight.out_count, 1);
	assert_int_equal(crooked.out_count, 1);
	assert_memory_equal(straight.out[0].payload, crooked.out[0].payload,
			    TILT_N * TILT_PIXELS * sizeof(float));
	rig_close(&straight);
	rig_close(&crooked);
}

static void restarts_and_full_queues_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;

	rig_open(&whole, &pn_stage_reconstruct, "every=2&iterations=3");
	rig_open(&cut, &pn_stage_reconstruct, "every=2&iterations=3");
	cut.refuse_every = 3;
	for (int k = 0; k < 8; k++) {
		push(&whole, k, 0, 0);
		push(&cut, k, 0, 0);
		if (k == 0 || k == 4)
			rig_reopen(&cut, "every=2&iterations=3");
	}
	rig_drain(&whole);
	while (rig_drain(&cut) == PN_EAGAIN)
		;
	assert_int_equal(whole.out_count, 5);
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

/* A restart between the last volume and the end of its stream: it does not come twice. */
static void ends_once(void **state)
{
	(void)state;
	static struct rig rig;

	rig_open(&rig, &pn_stage_reconstruct, "every=20");
	for (int k = 0; k < 4; k++)
		push(&rig, k, 0, 0);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 1);
	assert_int_equal(rig_drain(&rig), PN_OK);
	rig_reopen(&rig, "every=20");
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 1);
	rig_close(&rig);
}

/* A tilt that is no good decides neither shape nor unit, and nothing at all is a volume, too. */
static void a_bad_start(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_tilts_head head = tilt_head(20, 0);
	static float image[TILT_PIXELS];

	rig_open(&rig, &pn_stage_reconstruct, "iterations=2");
	head.ny = TILT_N / 2;
	image[0] = 1e6f;
	image[7] = NAN;
	assert_int_equal(rig_push(&rig, 0, &head, 0, image, sizeof image / 2), PN_OK);
	assert_int_equal(rig.skipped_by[3], 1);
	assert_int_equal(push(&rig, 0, 0, 0), PN_OK);
	assert_int_equal(rig.out_count, 1);

	head = tilt_head(0, -60);
	head.state = PN_TILT_WITHDRAWN;
	memset(image, 0, sizeof image);
	assert_int_equal(rig_push(&rig, 0, &head, 0, image, sizeof image), PN_OK);
	head = tilt_head(1, 10);
	assert_int_equal(rig_push(&rig, 0, &head, 0, image, sizeof image), PN_OK);
	assert_int_equal(rig.out_count, 2);
	assert_true(isnan(((struct pn_volumes_head *)rig.out[1].head)->misfit));
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 3);
	for (int i = 0; i < TILT_N * TILT_PIXELS; i++)
		assert_true(((const float *)rig.out[2].payload)[i] == 0);
	rig_close(&rig);
}

static void what_cannot_be_used(void **state)
{
	(void)state;
	static struct rig rig;
	struct pn_tilts_head head = tilt_head(0, 0);
	static float image[TILT_PIXELS];

	rig_open(&rig, &pn_stage_reconstruct, NULL);
	rig_push(&rig, 0, &head, 0, image, sizeof image); /* nothing in it */
	assert_int_equal(rig.skipped_by[3], 1);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 0);
	push(&rig, 0, 0, 0);
	head.psi_deg = 1;
	tilt_image(image, 0, 0, 0, 0);
	rig_push(&rig, 0, &head, 0, image, sizeof image);
	assert_int_equal(rig.skipped_by[1], 1);
	head.psi_deg = 0;
	image[3] = NAN;
	rig_push(&rig, 0, &head, 0, image, sizeof image);
	assert_int_equal(rig.skipped_by[3], 2);
	head.nx = TILT_N / 2;
	rig_push(&rig, 0, &head, 0, image, sizeof image / 2);
	assert_int_equal(rig.skipped_by[0], 1);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(the_way_does_not_matter),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(ends_once),
		cmocka_unit_test(a_bad_start),
		cmocka_unit_test(what_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
