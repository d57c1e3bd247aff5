/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The denoise stage: crops as they are before weights come, the network after, each crop in time
 * and once.
 */
#include "perrin/base/rng.h"
#include "perrin/denoise/cleaner.h"
#include "perrin/format/weights.h"
#include "rig.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct pn_stage_ops pn_stage_denoise;

enum { N = 32, PIXELS = N * N, CROPS = 0, WEIGHTS = 1 };

static const struct pn_net_spec spec = { .frames = 5,
					 .blocks = 2,
					 .channels = 8,
					 .spot_px = 1,
					 .shared = 1,
					 .neighbor_channels = 8,
					 .tap_channels = 8,
					 .head1 = 8 };

/* The scene of a frame, on the detector; a slow drift of fringes in white noise. */
static void draw(float *pixels, uint64_t frame, int64_t y0, int64_t x0)
{
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++) {
			struct pn_rng rng;
			double phase = 0.4 * (double)(x0 + x) + 0.3 * (double)(y0 + y) +
				       0.1 * (double)frame;

			pn_rng_init(&rng, 5,
				    (frame << 24) + (uint64_t)((y0 + y) << 12) +
					    (uint64_t)(x0 + x));
			pixels[y * N + x] = (float)(50 + 5 * sin(phase) + 5 * pn_rng_gauss(&rng));
		}
}

static struct pn_crops_head head_of(uint64_t frame, uint64_t particle)
{
	return (struct pn_crops_head){ .frame = frame,
				       .particle = particle,
				       .state = 1,
				       .y0_px = 40 + (int64_t)(frame % 3),
				       .x0_px = 60 - (int64_t)(frame % 2),
				       .dtype = PN_F32,
				       .ny = N,
				       .nx = N,
				       .pixel_pm = 30,
				       .noise = NAN,
				       .snr_db = NAN,
				       .raw_snr_db = NAN };
}

static int push(struct rig *rig, uint64_t frame, uint64_t particle)
{
	struct pn_crops_head head = head_of(frame, particle);
	float pixels[PIXELS];

	draw(pixels, frame, head.y0_px + 100 * (int64_t)particle, head.x0_px);
	return rig_push(rig, CROPS, &head, (int64_t)frame * 2500000, pixels, sizeof pixels);
}

static float *make_weights(struct pn_blob *bytes, uint64_t seed, double scale)
{
	static struct pn_net_layout layout;
	static struct pn_weights weights;
	struct pn_rng rng;

	assert_int_equal(pn_net_layout_make(&layout, &spec, NULL), PN_OK);
	float *params = malloc(layout.param_count * sizeof *params);
	assert_non_null(params);
	pn_rng_init(&rng, seed, 0);
	pn_net_params_init(&layout, params, &rng);
	weights = (struct pn_weights){ .spec = spec,
				       .offset = 50,
				       .scale = scale,
				       .loss = NAN,
				       .validation = NAN,
				       .param_count = layout.param_count,
				       .params = params };
	pn_params_default(pn_train_params, &weights.settings);
	assert_int_equal(pn_weights_encode(&weights, bytes, NULL), PN_OK);
	return params;
}

static int push_weights(struct rig *rig, uint64_t version, const struct pn_blob *bytes)
{
	struct pn_weights_head head = { .version = version,
					.loss = NAN,
					.validation = NAN,
					.baseline = NAN,
					.bytes = bytes->bytes };

	return rig_push(rig, WEIGHTS, &head, 0, bytes->data, bytes->bytes);
}

static const struct pn_crops_head *out_head(const struct rig *rig, unsigned i)
{
	assert_true(i < rig->out_count);
	return rig->out[i].head;
}

/* ---- without a network -------------------------------------------------------------------------
 */

static void as_recorded_until_weights_come(void **state)
{
	static struct rig rig;

	(void)state;
	rig_open(&rig, &pn_stage_denoise, NULL);
	for (uint64_t f = 0; f < 6; f++) {
		assert_int_equal(push(&rig, f, 7), PN_OK);
		assert_int_equal(rig.out_count, f + 1); /* at once */
	}
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 6);
	assert_int_equal(rig.done, 6);
	for (unsigned i = 0; i < 6; i++) {
		const struct pn_crops_head *head = out_head(&rig, i);
		float pixels[PIXELS];

		assert_int_equal(head->frame, i);
		assert_int_equal(head->particle, 7);
		assert_int_equal(head->made_by, PN_CLEAN_RECORDED);
		assert_int_equal(head->weights, 0);
		assert_true(head->noise == 0);
		assert_int_equal(head->y0_px, 40 + i % 3);
		assert_int_equal(rig.out[i].time_ns, i * 2500000);
		assert_true(isnan(head->snr_db) == (i == 0));
		assert_true(i == 0 || head->snr_db == head->raw_snr_db);
		draw(pixels, i, head->y0_px + 700, head->x0_px);
		assert_memory_equal(rig.out[i].payload, pixels, sizeof pixels);
	}
	rig_close(&rig);
}

/* ---- with one ----------------------------------------------------------------------------------
 */

static void network_from_the_next_crop_on(void **state)
{
	static struct rig rig;
	struct pn_blob bytes = { 0 };
	float *params = make_weights(&bytes, 3, 6), images[5][PIXELS], clean[PIXELS];
	struct pn_window_frame frames[5];
	struct pn_denoiser *denoiser;
	struct pn_net *net;

	(void)state;
	rig_open(&rig, &pn_stage_denoise, "arith=f32");
	for (uint64_t f = 0; f < 4; f++)
		push(&rig, f, 0);
	assert_int_equal(push_weights(&rig, 9, &bytes), PN_OK);
	for (uint64_t f = 4; f < 8; f++)
		push(&rig, f, 0);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 8);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(out_head(&rig, i)->made_by,
				 i < 4 ? PN_CLEAN_RECORDED : PN_CLEAN_NETWORK);
		assert_int_equal(out_head(&rig, i)->weights, i < 4 ? 0 : 1);
	}
	/* frame 4 is what the network makes of frames 2 to 6 */
	assert_int_equal(pn_net_create(&net, &spec, PN_ARITH_F32, NULL), PN_OK);
	pn_net_load(net, params);
	assert_int_equal(pn_denoiser_create(&denoiser, net, N, N, 50, 6, NULL), PN_OK);
	struct pn_crops_head own = head_of(4, 0);
	for (uint64_t k = 0; k < 5; k++) {
		struct pn_crops_head at = head_of(2 + k, 0);

		draw(images[k], 2 + k, at.y0_px, at.x0_px);
		frames[k] = (struct pn_window_frame){ k, images[k], (int)(own.y0_px - at.y0_px),
						      (int)(own.x0_px - at.x0_px) };
	}
	assert_int_equal(pn_denoiser_run(denoiser, frames, clean, NULL), PN_OK);
	assert_memory_equal(rig.out[4].payload, clean, sizeof clean);
	pn_denoiser_destroy(denoiser);
	pn_net_destroy(net);
	rig_close(&rig);
	pn_blob_finish(&bytes);
	free(params);
}

static void lost_frames_and_lost_particles(void **state)
{
	static struct rig rig;
	struct pn_blob bytes = { 0 };

	(void)state;
	free(make_weights(&bytes, 3, 6));
	rig_open(&rig, &pn_stage_denoise, NULL);
	push_weights(&rig, 1, &bytes);
	const uint64_t seen[][2] = { { 0, 1 }, { 0, 2 }, { 1, 1 }, { 2, 1 },
				     { 5, 1 }, { 6, 1 }, { 20, 2 } };
	for (unsigned i = 0; i < PN_COUNT(seen); i++)
		assert_int_equal(push(&rig, seen[i][0], seen[i][1]), PN_OK);
	/* a crop a second time, and one that comes late, are bad messages */
	assert_int_equal(push(&rig, 20, 2), PN_EFRAME);
	assert_int_equal(push(&rig, 19, 1), PN_EFRAME);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, PN_COUNT(seen));
	assert_int_equal(rig.done, PN_COUNT(seen));
	const int neighbors[] = { 2, 0, 2, 2, 1, 1, 0 };
	const uint64_t frames[] = { 0, 0, 1, 2, 5, 6, 20 };
	for (unsigned i = 0; i < PN_COUNT(seen); i++) {
		assert_int_equal(out_head(&rig, i)->frame, frames[i]);
		assert_int_equal(out_head(&rig, i)->neighbors, neighbors[i]);
		/* alone: nothing for a network to look at */
		assert_int_equal(out_head(&rig, i)->made_by,
				 neighbors[i] ? PN_CLEAN_NETWORK : PN_CLEAN_RECORDED);
	}
	rig_close(&rig);
	pn_blob_finish(&bytes);
}

static void restarts_and_full_queues_change_nothing(void **state)
{
	static struct rig whole, cut;
	struct pn_blob bytes[2] = { { 0 } };

	(void)state;
	free(make_weights(&bytes[0], 3, 6));
	free(make_weights(&bytes[1], 4, 6));
	rig_open(&whole, &pn_stage_denoise, NULL);
	rig_open(&cut, &pn_stage_denoise, "cache_MiB=0");
	cut.refuse_every = 7; /* the most that one crop completes is four */
	for (uint64_t f = 0; f < 30; f++) {
		if (f == 5 || f == 17) {
			push_weights(&whole, f, &bytes[f == 17]);
			push_weights(&cut, f, &bytes[f == 17]);
		}
		for (uint64_t p = 0; p < 2; p++) {
			push(&whole, f, p);
			push(&cut, f, p);
			if (f % 4 == 3)
				rig_reopen(&cut, "cache_MiB=0");
		}
	}
	rig_drain(&whole);
	rig_drain(&cut);
	assert_int_equal(whole.out_count, 60);
	assert_true(rig_same(&whole, &cut));
	rig_close(&whole);
	rig_close(&cut);
	pn_blob_finish(&bytes[0]);
	pn_blob_finish(&bytes[1]);
}

/* ---- what is wrong ------------------------------------------------------------------------------
 */

static void bad_messages_are_told(void **state)
{
	static struct rig rig;
	struct pn_blob bytes = { 0 };
	struct pn_crops_head head = head_of(1, 0);
	static float pixels[PIXELS];

	(void)state;
	free(make_weights(&bytes, 3, 6));
	rig_open(&rig, &pn_stage_denoise, NULL);
	assert_int_equal(push_weights(&rig, 1, &bytes), PN_OK);
	bytes.data[bytes.bytes - 20] ^= 1;
	assert_int_equal(push_weights(&rig, 2, &bytes), PN_EFRAME);
	bytes.bytes -= 8;
	assert_int_equal(push_weights(&rig, 3, &bytes), PN_EFRAME);
	push(&rig, 0, 0);
	pixels[7] = NAN;
	assert_int_equal(rig_push(&rig, CROPS, &head, 0, pixels, sizeof pixels), PN_EFRAME);
	assert_non_null(strstr(rig.ctx.err.text, "frame 1"));
	push(&rig, 2, 0);
	/* saturated, and constant: odd, but frames */
	for (int k = 0; k < PIXELS; k++)
		pixels[k] = 65535;
	head.frame = 3;
	assert_int_equal(rig_push(&rig, CROPS, &head, 0, pixels, sizeof pixels), PN_OK);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 3);
	assert_int_equal(out_head(&rig, 0)->weights, 1);
	for (unsigned i = 0; i < 3; i++)
		for (int k = 0; k < PIXELS; k++)
			assert_true(isfinite(((const float *)(const void *)rig.out[i].payload)[k]));
	rig_close(&rig);
	pn_blob_finish(&bytes);
}

/* Finite, but too much for the network in its units: that crop goes through as it is, and only
 * that. */
static void pixels_beyond_the_network(void **state)
{
	static struct rig rig;
	struct pn_blob bytes = { 0 };
	struct pn_crops_head head = head_of(5, 0);
	float pixels[PIXELS];

	(void)state;
	free(make_weights(&bytes, 3, 0.01));
	rig_open(&rig, &pn_stage_denoise, NULL);
	push_weights(&rig, 1, &bytes);
	for (uint64_t f = 0; f < 12; f++) {
		if (f != 5) {
			assert_int_equal(push(&rig, f, 0), PN_OK);
			continue;
		}
		draw(pixels, f, head.y0_px, head.x0_px);
		pixels[9] = 3.4e38f;
		assert_int_equal(rig_push(&rig, CROPS, &head, 0, pixels, sizeof pixels), PN_OK);
	}
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_int_equal(rig.out_count, 12);
	assert_int_equal(out_head(&rig, 0)->made_by, PN_CLEAN_NETWORK);
	assert_int_equal(out_head(&rig, 5)->made_by, PN_CLEAN_RECORDED);
	assert_int_equal(out_head(&rig, 10)->made_by, PN_CLEAN_NETWORK);
	for (unsigned i = 0; i < 12; i++)
		for (int k = 0; k < PIXELS; k++)
			assert_true(isfinite(((const float *)(const void *)rig.out[i].payload)[k]));
	rig_close(&rig);
	pn_blob_finish(&bytes);
}

static void crops_that_are_none(void **state)
{
	static struct rig rig;
	struct pn_crops_head head = head_of(0, 0);
	const uint64_t nx = 2049;
	float *pixels = calloc(nx, sizeof *pixels), one = 4;

	(void)state;
	rig_open(&rig, &pn_stage_denoise, NULL);
	head.ny = 1;
	head.nx = nx;
	assert_int_equal(rig_push(&rig, CROPS, &head, 0, pixels, nx * sizeof *pixels), PN_OK);
	assert_int_equal(rig.skipped_by[0], 1);
	head.nx = 1;
	assert_int_equal(rig_push(&rig, CROPS, &head, 0, &one, sizeof one), PN_OK);
	assert_int_equal(rig_drain(&rig), PN_OK);
	assert_memory_equal(rig.out[0].payload, &one, sizeof one);
	rig_close(&rig);
	free(pixels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_recorded_until_weights_come),
		cmocka_unit_test(network_from_the_next_crop_on),
		cmocka_unit_test(lost_frames_and_lost_particles),
		cmocka_unit_test(restarts_and_full_queues_change_nothing),
		cmocka_unit_test(bad_messages_are_told),
		cmocka_unit_test(pixels_beyond_the_network),
		cmocka_unit_test(crops_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
