/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The clean stage: less noise, no background, and what has no particle is left out. */
#include "rig.h"
#include "testkit.h"
#include "tilt_kit.h"

#include <string.h>

extern const struct pn_stage_ops pn_stage_clean;

static int push(struct rig *rig, uint64_t tilt, const float *image)
{
	struct pn_tilts_head head = tilt_head(tilt, 3.0 * (double)tilt);

	return rig_push(rig, 0, &head, (int64_t)tilt, image, TILT_PIXELS * sizeof *image);
}

static void noisy(float *image, uint64_t tilt, double background)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 3, tilt);
	tilt_image(image, 3.0 * (double)tilt, 0, 0, background);
	for (int i = 0; i < TILT_PIXELS; i++)
		image[i] = (float)pn_rng_poisson(&rng, (double)image[i]);
}

static double rms_to_truth(const float *image, uint64_t tilt, double background)
{
	float ideal[TILT_PIXELS];
	double squares = 0;

	tilt_image(ideal, 3.0 * (double)tilt, 0, 0, background);
	for (int i = 0; i < TILT_PIXELS; i++)
		squares += ((double)image[i] - (double)ideal[i]) *
			   ((double)image[i] - (double)ideal[i]);
	return sqrt(squares / TILT_PIXELS);
}

static void noise_and_background_go(void **state)
{
	(void)state;
	static struct rig rig;
	float image[TILT_PIXELS];

	rig_open(&rig, &pn_stage_clean, "margin_px=5&blur_px=2&contrast_min=2");
	for (uint64_t t = 0; t < 3; t++) {
		noisy(image, t, 30);
		assert_int_equal(push(&rig, t, image), PN_OK);
		assert_int_equal(rig.out_count, t + 1);

		const struct pn_tilts_head *head = rig.out[t].head;

		assert_int_equal(head->state, PN_TILT_CLEANED);
		assert_true(fabs(head->background - 30) < 3);
		/* sharp atoms on 48 pixels pass for some of the noise */
		assert_true(head->gain > 0.7 && head->gain < 2);
		assert_true(rms_to_truth((const float *)rig.out[t].payload, t, 0) <
			    0.6 * rms_to_truth(image, t, 30));
	}
	assert_int_equal(rig.done, 3);
	rig_close(&rig);
}

/* A detector's offset has no noise: with it as much is taken away as without. */
static void offset_of_the_detector(void **state)
{
	(void)state;
	static struct rig rig;
	float image[TILT_PIXELS];
	struct pn_tilts_head head = tilt_head(1, 3);

	head.gain = 1;
	head.readout = 0;
	noisy(image, 1, 5);
	for (int i = 0; i < TILT_PIXELS; i++)
		image[i] += 750;
	rig_open(&rig, &pn_stage_clean, "background=none");
	assert_int_equal(rig_push(&rig, 0, &head, 0, image, sizeof image), PN_OK);
	assert_int_equal(rig.out_count, 1);
	assert_true(rms_to_truth((const float *)rig.out[0].payload, 1, 755) <
		    0.6 * rms_to_truth(image, 1, 755));
	rig_close(&rig);
}

static void switched_off_it_passes_on(void **state)
{
	(void)state;
	static struct rig rig;
	float image[TILT_PIXELS];

	rig_open(&rig, &pn_stage_clean, "denoise=none&background=none");
	noisy(image, 1, 30);
	assert_int_equal(push(&rig, 1, image), PN_OK);
	assert_memory_equal(rig.out[0].payload, image, sizeof image);
	rig_close(&rig);
}

static void full_queues_and_restarts_change_nothing(void **state)
{
	(void)state;
	static struct rig whole, cut;
	float image[TILT_PIXELS];
	const char *settings = "margin_px=5&blur_px=2&contrast_min=2&denoise=fast";

	rig_open(&whole, &pn_stage_clean, settings);
	rig_open(&cut, &pn_stage_clean, settings);
	cut.refuse_every = 2;
	for (uint64_t t = 0; t < 4; t++) {
		noisy(image, t, 20);
		assert_int_equal(push(&whole, t, image), PN_OK);
		assert_int_equal(push(&cut, t, image), PN_OK);
	}
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
}

static void nothing_to_see(void **state)
{
	(void)state;
	static struct rig rig;
	static float image[TILT_PIXELS];
	struct pn_rng rng;

	rig_open(&rig, &pn_stage_clean, NULL);
	assert_int_equal(push(&rig, 0, image), PN_OK); /* no beam: not even noise */
	assert_int_equal(rig.skipped_by[1], 1);
	pn_rng_init(&rng, 2, 0);
	for (int i = 0; i < TILT_PIXELS; i++)
		image[i] = (float)pn_rng_poisson(&rng, 40);
	assert_int_equal(push(&rig, 1, image), PN_OK); /* noise alone */
	assert_int_equal(rig.skipped, 2);
	assert_int_equal(rig.out_count, 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_and_background_go),
		cmocka_unit_test(offset_of_the_detector),
		cmocka_unit_test(switched_off_it_passes_on),
		cmocka_unit_test(full_queues_and_restarts_change_nothing),
		cmocka_unit_test(nothing_to_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
