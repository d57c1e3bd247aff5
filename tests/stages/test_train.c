/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The train stage learns from noisy crops alone, tells of it as it goes, and goes on after a
 * restart. */
#include "perrin/base/rng.h"
#include "perrin/denoise/net.h"
#include "perrin/format/weights.h"
#include "rig.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_train;

enum { N = 64, PIXELS = N * N };

#define SMALL                                                                                   \
	"preset=fast&arith=f32&start=10&pool=32&crop_px=32&batch=4&targets=2&steps=0&warmup=5&" \
	"rate=0.003"

/* Fringes that drift, with nothing beside them, in as much white noise. */
static double truth(uint64_t frame, int y, int x)
{
	return x < N / 2 ? 100 + 10 * M_SQRT2 * sin(1.3 * x + 0.5 * y + 0.6 * (double)frame) : 100;
}

static void draw(float *pixels, uint64_t frame)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 6, frame);
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++)
			pixels[y * N + x] = (float)(truth(frame, y, x) + 10 * pn_rng_gauss(&rng));
}

static int push(struct rig *rig, uint64_t frame)
{
	struct pn_crops_head head = { .frame = frame,
				      .state = 1,
				      .dtype = PN_F32,
				      .ny = N,
				      .nx = N,
				      .pixel_pm = 30,
				      .noise = NAN,
				      .snr_db = NAN,
				      .raw_snr_db = NAN };
	float pixels[PIXELS];

	draw(pixels, frame);
	return rig_push(rig, 0, &head, (int64_t)frame * 2500000, pixels, sizeof pixels);
}

/* Mean squared error of the weights' network against the truth, on frames never trained on. */
static double error_of(const struct pn_weights *weights)
{
	struct pn_net *net;
	struct pn_denoiser *denoiser;
	struct pn_window_frame frames[5];
	static float images[5][PIXELS], clean[PIXELS];
	double sum = 0;

	assert_int_equal(pn_net_create(&net, &weights->spec, PN_ARITH_F32, NULL), PN_OK);
	pn_net_load(net, weights->params);
	assert_int_equal(
		pn_denoiser_create(&denoiser, net, N, N, weights->offset, weights->scale, NULL),
		PN_OK);
	for (uint64_t k = 0; k < 5; k++) {
		draw(images[k], 1000 + k);
		frames[k] = (struct pn_window_frame){ .id = k, .image = images[k] };
	}
	assert_int_equal(pn_denoiser_run(denoiser, frames, clean, NULL), PN_OK);
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++)
			sum += pow(clean[y * N + x] - truth(1002, y, x), 2);
	pn_denoiser_destroy(denoiser);
	pn_net_destroy(net);
	return sum / PIXELS;
}

static void decode(struct pn_weights *weights, const struct rig_out *out)
{
	struct pn_error err = { 0 };

	if (pn_weights_decode(weights, out->payload, out->payload_bytes, "weights", &err))
		fail_msg("%s", err.text);
}

static void learns_from_noise_alone(void **state)
{
	static struct rig rig;
	struct pn_weights last;

	(void)state;
	rig_open(&rig, &pn_stage_train, SMALL);
	for (uint64_t f = 0; f < 200; f++)
		assert_int_equal(push(&rig, f), PN_OK);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.done, 200);
	assert_true(rig.out_count >= 2);
	for (unsigned i = 0; i < rig.out_count; i++) {
		const struct pn_weights_head *head = rig.out[i].head;

		assert_int_equal(head->version, i + 1);
		assert_true(head->steps > 0 && head->last_frame < 200);
		assert_true(head->validation < head->baseline); /* else it would have kept silent */
	}
	decode(&last, &rig.out[rig.out_count - 1]);
	assert_int_equal(last.steps, 191); /* one for each crop from the tenth on */
	assert_int_equal(last.frames, 200);
	assert_int_equal(last.first_frame, 0);
	assert_int_equal(last.spec.spot_px, 1); /* the noise is white */
	assert_true(fabs(last.offset - 100) < 2);
	assert_true(fabs(last.scale - sqrt(150)) < 1);
	assert_true(last.curve_count >= 2);
	/* the noise is 100, the fringes 50 */
	assert_true(error_of(&last) < 20);
	pn_weights_free(&last);
	rig_close(&rig);
}

static void goes_on_after_a_restart(void **state)
{
	static struct rig rig;
	struct pn_weights last;

	(void)state;
	rig_open(&rig, &pn_stage_train, SMALL);
	rig.refuse_every = 2;
	for (uint64_t f = 0; f < 200; f++) {
		push(&rig, f);
		if (f == 25 || f == 170)
			rig_reopen(&rig, SMALL);
	}
	rig_drain(&rig);
	assert_true(rig.out_count >= 2);
	for (unsigned i = 0; i < rig.out_count; i++)
		assert_int_equal(((const struct pn_weights_head *)rig.out[i].head)->version, i + 1);
	/* one step for each crop, but nine each time that the pool fills again */
	decode(&last, &rig.out[rig.out_count - 1]);
	assert_int_equal(last.steps, 200 - 3 * 9);
	pn_weights_free(&last);
	rig_close(&rig);
}

static void starts_from_earlier_weights(void **state)
{
	static struct rig warm;
	static struct pn_net_layout layout;
	static struct pn_weights weights;
	struct pn_weights given;
	struct pn_rng rng;
	char settings[1024], path[512];

	(void)state;
	snprintf(path, sizeof path, "%s", testkit_path(testkit_tempdir(), "earlier.pnw"));
	weights = (struct pn_weights){ .spec = pn_preset_find("fast")->spec,
				       .offset = 90,
				       .scale = 12,
				       .loss = NAN,
				       .validation = NAN };
	pn_params_default(pn_train_params, &weights.settings);
	assert_int_equal(pn_net_layout_make(&layout, &weights.spec, NULL), PN_OK);
	weights.param_count = layout.param_count;
	weights.params = malloc(layout.param_count * sizeof *weights.params);
	assert_non_null(weights.params);
	pn_rng_init(&rng, 1, 0);
	pn_net_params_init(&layout, weights.params, &rng);
	assert_int_equal(pn_weights_write(&weights, path, NULL), PN_OK);
	snprintf(settings, sizeof settings, SMALL "&from=%s", path);
	rig_open(&warm, &pn_stage_train, settings);
	push(&warm, 0);
	assert_int_equal(warm.out_count, 1); /* at once: they are of use from the first frame on */
	decode(&given, &warm.out[0]);
	assert_int_equal(given.param_count, weights.param_count);
	assert_memory_equal(given.params, weights.params, weights.param_count * sizeof(float));
	assert_true(given.offset == weights.offset);
	assert_int_equal(((const struct pn_weights_head *)warm.out[0].head)->steps, 0);
	free(weights.params);
	pn_weights_free(&given);
	rig_close(&warm);
}

static void nothing_to_learn_is_told(void **state)
{
	static struct rig rig;
	struct pn_crops_head head = { .state = 1,
				      .dtype = PN_F32,
				      .ny = N,
				      .nx = N,
				      .pixel_pm = 30,
				      .noise = NAN,
				      .snr_db = NAN,
				      .raw_snr_db = NAN };
	static float pixels[PIXELS];
	int bad = 0;

	(void)state;
	rig_open(&rig, &pn_stage_train, SMALL);
	for (head.frame = 0; head.frame < 15; head.frame++) {
		for (int k = 0; k < PIXELS; k++)
			pixels[k] = (float)head.frame;
		bad += rig_push(&rig, 0, &head, 0, pixels, sizeof pixels) == PN_EFRAME;
	}
	assert_int_equal(bad, 6);
	assert_non_null(strstr(rig.ctx.err.text, "standard deviation 0"));
	pixels[0] = NAN;
	assert_int_equal(rig_push(&rig, 0, &head, 0, pixels, sizeof pixels), PN_EFRAME);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(learns_from_noise_alone),
		cmocka_unit_test(goes_on_after_a_restart),
		cmocka_unit_test(starts_from_earlier_weights),
		cmocka_unit_test(nothing_to_learn_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
