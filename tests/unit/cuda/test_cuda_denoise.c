/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network of the GPU against that of the processor: the kernels lane by lane in plain C
 * everywhere, and the device's own where there is one. */
#include "testkit.h"

#include "perrin/cuda/denoise.h"
#include "perrin/denoise/net.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Bounds, as root mean square of the difference over that of the values.
 *
 * Against float32: values are rounded to 8 bits (2^-9 relative) at every layer, and roundings add
 * up like noise: 2^-9 sqrt(16) = 0.8 % for the outputs of the deepest network. Of a gradient from
 * random numbers, where what counts is small next to what cancels, no more than the direction is
 * left; so gradients are judged against bfloat16 on the processor, the same steps in another order
 * of sums. There single roundings differ, and with them a gate now and then: the more, the deeper.
 */
struct bounds {
	double output, gradient;
};
static const struct bounds near_f32 = { 0.02, 0.4 };
static const struct bounds near_bf16 = { 0.004, 0.08 }, near_bf16_deep = { 0.004, 0.2 };

static enum pn_cuda_engine engine;

/* Small, with each option at work, and what the presets have not: widths without a kernel of the
 * whole head, unprojected neighbours, wide branches, one frame, wide spots. */
static const struct pn_net_spec small[] = {
	{ .frames = 5,
	  .blocks = 2,
	  .channels = 8,
	  .spot_px = 1,
	  .tap_channels = 8,
	  .head1 = 32,
	  .head2 = 16 },
	{ .frames = 3, .blocks = 2, .channels = 24, .spot_px = 3, .tap_channels = 8, .head1 = 40 },
	{ .frames = 5,
	  .blocks = 2,
	  .channels = 16,
	  .spot_px = 1,
	  .shared = 1,
	  .neighbor_channels = 8,
	  .tap_channels = 24,
	  .head1 = 64,
	  .head2 = 32,
	  .widening = 1 },
	{ .frames = 3,
	  .blocks = 3,
	  .channels = 8,
	  .spot_px = 3,
	  .shared = 1,
	  .tap_channels = 8,
	  .widening = 2 },
	{ .frames = 3,
	  .blocks = 2,
	  .channels = 64,
	  .spot_px = 1,
	  .shared = 1,
	  .neighbor_channels = 24,
	  .tap_channels = 16,
	  .head1 = 48,
	  .head2 = 24 },
	{ .frames = 1, .blocks = 2, .channels = 8, .spot_px = 5, .tap_channels = 8, .head1 = 8 },
	{ .frames = 3, .blocks = 1, .channels = 8, .spot_px = 5, .tap_channels = 8, .head1 = 8 },
	{ .frames = 7,
	  .blocks = 1,
	  .channels = 32,
	  .spot_px = 1,
	  .shared = 1,
	  .neighbor_channels = 16,
	  .tap_channels = 8 },
};

/* A network on both sides, and random images, gradients. */
struct fixture {
	const struct pn_net_spec *spec;
	struct pn_net *net;
	struct pn_cuda_net *gpu;
	struct pn_net_layout layout;
	float *params;
	struct pn_rng rng;
	int ny, nx, targets, clips, images;
	size_t pixels;
	float *in, *d_out; /* [clips][images], [clips][targets] */
};

static float *numbers(struct fixture *f, size_t count)
{
	float *values = malloc(count * sizeof *values);

	assert_non_null(values);
	for (size_t k = 0; k < count; k++)
		values[k] = (float)pn_rng_gauss(&f->rng);
	return values;
}

static void set_up(struct fixture *f, const struct pn_net_spec *spec, enum pn_arith arith, int ny,
		   int nx, int targets, int clips)
{
	struct pn_error err = { 0 };

	*f = (struct fixture){
		.spec = spec, .ny = ny, .nx = nx, .targets = targets, .clips = clips
	};
	f->images = targets + (int)spec->frames - 1;
	f->pixels = (size_t)ny * (size_t)nx;
	assert_int_equal(pn_net_layout_make(&f->layout, spec, &err), PN_OK);
	assert_int_equal(pn_net_create(&f->net, spec, arith, &err), PN_OK);
	assert_int_equal(pn_cuda_net_create(&f->gpu, spec, engine, &err), PN_OK);
	assert_int_equal(pn_cuda_net_layout_of(f->gpu)->param_count, f->layout.param_count);
	f->params = malloc(f->layout.param_count * sizeof *f->params);
	assert_non_null(f->params);
	pn_rng_init(&f->rng, 5, 0);
	pn_net_params_init(&f->layout, f->params, &f->rng);
	for (int i = 0; i < f->layout.layer_count; i++)
		for (size_t k = 0; k < f->layout.layers[i].bias_count; k++)
			f->params[f->layout.layers[i].bias + k] =
				(float)(0.1 * pn_rng_gauss(&f->rng));
	pn_net_load(f->net, f->params);
	assert_int_equal(pn_cuda_net_load(f->gpu, f->params, 0, 1, &err), PN_OK);
	f->in = numbers(f, f->pixels * (size_t)(clips * f->images));
	f->d_out = numbers(f, f->pixels * (size_t)(clips * targets));
}

static void tear_down(struct fixture *f)
{
	pn_net_destroy(f->net);
	pn_cuda_net_destroy(f->gpu);
	free(f->params);
	free(f->in);
	free(f->d_out);
}

/* What the processor makes of it; @gradient: NULL or [param_count], added to. */
static void on_processor(struct fixture *f, float *out, float *gradient)
{
	struct pn_clip *clip;

	assert_int_equal(
		pn_clip_create(&clip, f->net, f->ny, f->nx, f->targets, gradient != NULL, NULL),
		PN_OK);
	for (int c = 0; c < f->clips; c++) {
		size_t row = (size_t)f->nx * sizeof(float);

		for (int i = 0; i < f->images * f->ny; i++)
			memcpy(pn_clip_image(clip, i / f->ny) +
				       i % f->ny * pn_clip_row_stride(clip),
			       f->in + ((size_t)c * f->images * f->ny + i) * f->nx, row);
		pn_clip_forward(clip);
		for (int i = 0; i < f->targets * f->ny; i++) {
			ptrdiff_t at = i % f->ny * pn_clip_output_stride(clip);
			size_t k = ((size_t)c * f->targets * f->ny + i) * f->nx;

			memcpy(out + k, pn_clip_output(clip, i / f->ny) + at, row);
			if (gradient)
				memcpy(pn_clip_gradient(clip, i / f->ny) + at, f->d_out + k, row);
		}
		if (gradient)
			pn_clip_backward(clip, gradient);
	}
	pn_clip_destroy(clip);
}

static void on_gpu(struct fixture *f, float *out, float *gradient)
{
	struct pn_cuda_clips *clips;
	struct pn_error err = { 0 };

	assert_int_equal(pn_cuda_clips_create(&clips, f->gpu, f->ny, f->nx, f->targets, f->clips,
					      gradient != NULL, &err),
			 PN_OK);
	assert_int_equal(pn_cuda_clips_forward(clips, f->in, out, &err), PN_OK);
	if (gradient)
		assert_int_equal(pn_cuda_clips_backward(clips, f->d_out, gradient, &err), PN_OK);
	pn_cuda_clips_destroy(clips);
}

/* Root mean square of the difference over that of @b. */
static double apart(const float *a, const float *b, size_t count)
{
	double difference = 0, all = 0;

	for (size_t k = 0; k < count; k++) {
		difference += pow((double)a[k] - b[k], 2);
		all += pow(b[k], 2);
	}
	if (all == 0)
		return difference > 0 ? INFINITY : 0;
	return sqrt(difference / all);
}

static const char *name_of(const struct pn_net_spec *spec)
{
	static char text[64];

	for (const struct pn_preset *p = pn_presets; p->name; p++)
		if (&p->spec == spec)
			return p->name;
	snprintf(text, sizeof text, "small %d", (int)(spec - small));
	return text;
}

static void check_gradients(const struct fixture *f, const float *a, const float *b, double bound)
{
	for (int i = 0; i < f->layout.layer_count; i++) {
		const struct pn_layer *layer = &f->layout.layers[i];
		size_t all = layer->weight_count + layer->bias_count;
		double far = apart(a + layer->weights, b + layer->weights, all);

		if (!(far < bound))
			fail_msg("%s, layer %d (role %d, branch %d, level %d): gradient off by %g",
				 name_of(f->spec), i, layer->role, layer->branch, layer->level,
				 far);
	}
}

static void compare(const struct pn_net_spec *spec, enum pn_arith arith,
		    const struct bounds *bounds, int ny, int nx, int targets, int clips, int train)
{
	struct fixture f;

	set_up(&f, spec, arith, ny, nx, targets, clips);
	size_t count = f.pixels * (size_t)(clips * targets), params = f.layout.param_count;
	float *expected = malloc(count * sizeof *expected), *out = malloc(count * sizeof *out);
	float *d_expected = calloc(params, sizeof(float)), *d = calloc(params, sizeof(float));

	assert_true(expected && out && d_expected && d);
	on_processor(&f, expected, train ? d_expected : NULL);
	on_gpu(&f, out, train ? d : NULL);
	double far = apart(out, expected, count);
	if (!(far < bounds->output))
		fail_msg("%s, %d x %d, train %d: outputs off by %g", name_of(spec), ny, nx, train,
			 far);
	if (train)
		check_gradients(&f, d, d_expected, bounds->gradient);
	free(expected);
	free(out);
	free(d_expected);
	free(d);
	tear_down(&f);
}

/* ---- forward and backward -------------------------------------------------------------------- */

static void outputs_of_small_networks(void **state)
{
	(void)state;
	for (unsigned s = 0; s < PN_COUNT(small); s++) {
		compare(&small[s], PN_ARITH_F32, &near_f32, 13, 19, 2, 1, 0);
		compare(&small[s], PN_ARITH_BF16_EMULATED, &near_bf16, 18, 7, 1, 1, 0);
	}
}

static void gradients_of_small_networks(void **state)
{
	(void)state;
	for (unsigned s = 0; s < PN_COUNT(small); s++) {
		compare(&small[s], PN_ARITH_F32, &near_f32, 9, 19, 2, 1, 1);
		compare(&small[s], PN_ARITH_BF16_EMULATED, &near_bf16, 7, 17, 2, 2, 1);
	}
}

/* The ends of the network read float32 images: both halves of their digits count. */
static void ends_keep_their_digits(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, &small[6], PN_ARITH_BF16_EMULATED, 13, 19, 2, 1);
	float *out = malloc(2 * f.pixels * sizeof *out);
	float *expected = calloc(f.layout.param_count, sizeof *expected);
	float *d = calloc(f.layout.param_count, sizeof *d);

	on_processor(&f, out, expected);
	on_gpu(&f, out, d);
	for (int i = 0; i < f.layout.layer_count; i++) {
		const struct pn_layer *layer = &f.layout.layers[i];

		if (layer->kind != PN_LAYER_CONV)
			assert_true(apart(d + layer->weights, expected + layer->weights,
					  layer->weight_count + layer->bias_count) < 7e-4);
	}
	free(out);
	free(expected);
	free(d);
	tear_down(&f);
}

/* So wide that the farthest taps of all see something. */
static void outputs_of_presets(void **state)
{
	(void)state;
	for (const struct pn_preset *p = pn_presets; p->name; p++) {
		compare(&p->spec, PN_ARITH_F32, &near_f32, 9, 48, 1, 1, 0);
		compare(&p->spec, PN_ARITH_BF16_EMULATED, &near_bf16, 17, 6, 1, 1, 0);
	}
}

static void gradients_of_presets(void **state)
{
	(void)state;
	for (const struct pn_preset *p = pn_presets; p->name; p++)
		compare(&p->spec, PN_ARITH_BF16_EMULATED, &near_bf16_deep, 5, 25, 2, 1, 1);
	compare(&pn_preset_find("live")->spec, PN_ARITH_F32, &near_f32, 27, 5, 1, 1, 1);
}

/* Wider than a tile's line, higher than a tile, a single pixel, a single row. */
static void any_size(void **state)
{
	static const int sizes[][2] = { { 1, 1 }, { 1, 40 }, { 35, 1 }, { 33, 31 }, { 3, 300 } };

	(void)state;
	for (unsigned k = 0; k < PN_COUNT(sizes); k++) {
		int ny = sizes[k][0], nx = sizes[k][1];

		compare(&small[2], PN_ARITH_BF16_EMULATED, &near_bf16, ny, nx, 1, 1, 0);
		compare(&small[0], PN_ARITH_BF16_EMULATED, &near_bf16, ny, nx, 1, 1, 1);
	}
}

/* ---- what must not matter ---------------------------------------------------------------------
 */

/* Each clip alone gives the bytes it gives among others, and so does the same again. */
static void clips_do_not_touch(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, &small[3], PN_ARITH_F32, 20, 17, 2, 3);
	size_t each = f.pixels * 2;
	float *all = malloc(3 * each * sizeof *all), *one = malloc(each * sizeof *one);

	on_gpu(&f, all, NULL);
	f.clips = 1;
	f.in += 2 * f.images * f.pixels;
	on_gpu(&f, one, NULL);
	assert_memory_equal(one, all + 2 * each, each * sizeof *one);
	f.in -= 2 * f.images * f.pixels;
	free(all);
	free(one);
	tear_down(&f);
}

/* A window's bytes do not depend on how long its clip is. */
static void windows_do_not_touch(void **state)
{
	(void)state;
	for (int s = 1; s < 4; s++) {
		struct fixture f;

		set_up(&f, &small[s], PN_ARITH_F32, 15, 18, 4, 1);
		float *all = malloc(4 * f.pixels * sizeof *all);
		float *one = malloc(f.pixels * sizeof *one);

		on_gpu(&f, all, NULL);
		f.targets = 1;
		f.in += 2 * f.pixels;
		on_gpu(&f, one, NULL);
		assert_memory_equal(one, all + 2 * f.pixels, f.pixels * sizeof *one);
		f.in -= 2 * f.pixels;
		free(all);
		free(one);
		tear_down(&f);
	}
}

/* The same bytes twice, and added to what is there. */
static void gradient_repeats(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, &small[2], PN_ARITH_F32, 20, 17, 2, 2);
	float *out = malloc(f.pixels * 4 * sizeof *out);
	float *d = calloc(f.layout.param_count, sizeof *d);
	float *twice = calloc(f.layout.param_count, sizeof *twice);

	on_gpu(&f, out, d);
	on_gpu(&f, out, twice);
	assert_memory_equal(d, twice, f.layout.param_count * sizeof *d);
	on_gpu(&f, out, twice);
	for (size_t k = 0; k < f.layout.param_count; k++)
		assert_true(twice[k] == 2 * d[k]);
	free(out);
	free(d);
	free(twice);
	tear_down(&f);
}

/* No pixel shows at its own place, wherever it lies; it does show elsewhere. */
static void spot_is_blind(void **state)
{
	(void)state;
	for (const struct pn_preset *p = pn_presets; p->name; p++) {
		struct fixture f;
		size_t at = 7 * 18 + 9;

		set_up(&f, &p->spec, PN_ARITH_F32, 16, 18, 1, 1);
		float *before = malloc(f.pixels * sizeof *before);
		float *after = malloc(f.pixels * sizeof *after);

		on_gpu(&f, before, NULL);
		f.in[(size_t)(p->spec.frames / 2) * f.pixels + at] += 3;
		on_gpu(&f, after, NULL);
		assert_memory_equal(&before[at], &after[at], sizeof *before);
		assert_memory_not_equal(before, after, f.pixels * sizeof *before);
		free(before);
		free(after);
		tear_down(&f);
	}
}

/* ---- units and losses -------------------------------------------------------------------------
 */

/* Images in counts come out in counts. */
static void standardized_and_back(void **state)
{
	const double offset = 300, scale = 25;

	(void)state;
	for (int s = 0; s < 3; s++) {
		struct fixture f;

		set_up(&f, &small[s], PN_ARITH_F32, 14, 16, 2, 1);
		size_t count = 2 * f.pixels;
		float *expected = malloc(count * sizeof *expected);
		float *out = malloc(count * sizeof *out);

		on_processor(&f, expected, NULL);
		for (size_t k = 0; k < f.pixels * (size_t)f.images; k++)
			f.in[k] = (float)(offset + scale * f.in[k]);
		assert_int_equal(pn_cuda_net_load(f.gpu, f.params, offset, scale, NULL), PN_OK);
		on_gpu(&f, out, NULL);
		for (size_t k = 0; k < count; k++)
			out[k] = (float)((out[k] - offset) / scale);
		assert_true(apart(out, expected, count) < near_f32.output);
		free(expected);
		free(out);
		tear_down(&f);
	}
}

/* The loss and its gradient, as forward and backward give them. */
static void learn_is_forward_and_backward(void **state)
{
	const double slope = 1e-3;
	struct pn_cuda_clips *clips;
	struct fixture f;
	double squares[2];

	(void)state;
	set_up(&f, &small[2], PN_ARITH_F32, 14, 16, 3, 2);
	size_t params = f.layout.param_count, half = (size_t)f.spec->frames / 2;
	float *out = malloc(6 * f.pixels * sizeof *out);
	float *d = calloc(params, sizeof *d), *expected = calloc(params, sizeof *expected);

	assert_int_equal(pn_cuda_clips_create(&clips, f.gpu, 14, 16, 3, 2, 1, NULL), PN_OK);
	assert_int_equal(pn_cuda_clips_forward(clips, f.in, out, NULL), PN_OK);
	for (size_t c = 0; c < 2; c++) {
		double sum = 0;

		for (size_t k = 0; k < 3 * f.pixels; k++) {
			size_t own = (c * f.images + half) * f.pixels + k;
			double far = (double)out[c * 3 * f.pixels + k] - f.in[own];

			f.d_out[c * 3 * f.pixels + k] = (float)(slope * far);
			sum += far * far;
		}
		squares[c] = sum;
	}
	assert_int_equal(pn_cuda_clips_backward(clips, f.d_out, expected, NULL), PN_OK);
	double found[2];
	assert_int_equal(pn_cuda_clips_learn(clips, f.in, slope, found, d, NULL), PN_OK);
	for (int c = 0; c < 2; c++)
		assert_true(fabs(found[c] - squares[c]) < 1e-6 * squares[c]);
	assert_true(apart(d, expected, params) < 1e-3);
	found[1] = 0;
	assert_int_equal(pn_cuda_clips_learn(clips, f.in, slope, found, NULL, NULL), PN_OK);
	assert_true(fabs(found[1] - squares[1]) < 1e-6 * squares[1]);
	pn_cuda_clips_destroy(clips);
	free(out);
	free(d);
	free(expected);
	tear_down(&f);
}

/* Movies so short that every window lacks something, and longer ones, in any memory: as one frame
 * after another on the processor. */
static void movie_is_frame_after_frame(void **state)
{
	static const int counts[] = { 2, 3, 4, 9 };
	enum { NY = 14, NX = 10, MOST = 9 };
	const size_t pixels = NY * NX;

	(void)state;
	for (unsigned k = 0; k < PN_COUNT(counts); k++) {
		const float *images[MOST];
		struct pn_denoiser *denoiser;
		float *out[MOST];
		struct fixture f;
		int count = counts[k];

		set_up(&f, &small[k % 3], PN_ARITH_F32, NY, NX, count, 1);
		float *cleaned = malloc(MOST * pixels * sizeof *cleaned), one[NY * NX];

		for (int i = 0; i < count; i++) {
			images[i] = f.in + (size_t)i * pixels;
			out[i] = cleaned + (size_t)i * pixels;
		}
		assert_int_equal(pn_cuda_net_load(f.gpu, f.params, 0.5, 2, NULL), PN_OK);
		assert_int_equal(pn_cuda_movie_run(f.gpu, NY, NX, images, count,
						   k % 2 ? 1 : 1 << 30, out, NULL),
				 PN_OK);
		assert_int_equal(pn_denoiser_create(&denoiser, f.net, NY, NX, 0.5, 2, NULL), PN_OK);
		for (int t = 0; t < count; t++) {
			struct pn_window_frame window[PN_NET_FRAMES_MAX] = { 0 };

			for (int j = 0; j < f.spec->frames; j++) {
				int i = t - (int)f.spec->frames / 2 + j;

				window[j].id = (uint64_t)(i + 10);
				window[j].image = i >= 0 && i < count ? images[i] : NULL;
			}
			assert_int_equal(pn_denoiser_run(denoiser, window, one, NULL), PN_OK);
			double far = apart(out[t], one, pixels);
			if (!(far < near_f32.output))
				fail_msg("%d images, %d: off by %g", count, t, far);
		}
		struct pn_error err = { 0 };
		assert_int_equal(pn_cuda_movie_run(f.gpu, NY, NX, images, 1, 1, out, &err),
				 PN_EARG);
		pn_denoiser_destroy(denoiser);
		free(cleaned);
		tear_down(&f);
	}
}

/* A learner with more clips than one alone, then fewer, then others: always the sums of its clips.
 */
static void learner_takes_any_clips(void **state)
{
	static const int counts[] = { 3, 1, 2 };
	struct pn_cuda_learner *learner;
	struct pn_cuda_clips *clips;
	struct fixture f;

	(void)state;
	set_up(&f, &small[3], PN_ARITH_F32, 12, 12, 2, 3);
	size_t params = f.layout.param_count;
	float *d = malloc(params * sizeof *d), *expected = malloc(params * sizeof *expected);

	assert_int_equal(pn_cuda_learner_create(&learner, f.spec, engine, NULL), PN_OK);
	assert_int_equal(pn_cuda_learner_load(learner, f.params, NULL), PN_OK);
	assert_int_equal(pn_cuda_clips_create(&clips, f.gpu, 12, 12, 2, 1, 1, NULL), PN_OK);
	for (unsigned k = 0; k < PN_COUNT(counts); k++) {
		double squares[3] = { 0 }, one;

		memset(d, 0, params * sizeof *d);
		memset(expected, 0, params * sizeof *expected);
		assert_int_equal(pn_cuda_learner_learn(learner, 12, 2, counts[k], f.in, 1e-2,
						       squares, d, NULL),
				 PN_OK);
		for (int c = 0; c < counts[k]; c++) {
			assert_int_equal(
				pn_cuda_clips_learn(clips, f.in + (size_t)(c * f.images) * f.pixels,
						    1e-2, &one, expected, NULL),
				PN_OK);
			assert_true(one > 0 && one == squares[c]);
		}
		assert_true(apart(d, expected, params) < 1e-5);
	}
	struct pn_error err = { 0 };
	double none;
	assert_int_equal(pn_cuda_learner_learn(learner, 0, 2, 1, f.in, 1, &none, d, &err), PN_EARG);
	pn_cuda_clips_destroy(clips);
	pn_cuda_learner_destroy(learner);
	pn_cuda_learner_destroy(NULL);
	free(d);
	free(expected);
	tear_down(&f);
}

/* ---- bad input --------------------------------------------------------------------------------
 */

static void bad_input(void **state)
{
	struct pn_net_spec bad = small[0];
	struct pn_error err = { 0 };
	struct pn_cuda_clips *clips;
	struct pn_cuda_net *net;
	struct fixture f;

	(void)state;
	bad.frames = 4;
	assert_int_equal(pn_cuda_net_create(&net, &bad, engine, &err), PN_EARG);
	assert_null(net);
	set_up(&f, &small[0], PN_ARITH_F32, 8, 8, 1, 1);
	assert_int_equal(pn_cuda_net_load(f.gpu, f.params, 0, 0, &err), PN_EARG);
	assert_int_equal(pn_cuda_net_load(f.gpu, f.params, NAN, 1, &err), PN_EARG);
	assert_int_equal(pn_cuda_net_load(f.gpu, f.params, 0, INFINITY, &err), PN_EARG);
	static const int sizes[][4] = {
		{ 0, 8, 1, 1 }, { 8, -1, 1, 1 }, { 8, 8, 0, 1 }, { 8, 8, 1, 0 }, { 8, 8, 70000, 1 },
	};
	for (unsigned k = 0; k < PN_COUNT(sizes); k++) {
		assert_int_equal(pn_cuda_clips_create(&clips, f.gpu, sizes[k][0], sizes[k][1],
						      sizes[k][2], sizes[k][3], 0, &err),
				 PN_EARG);
		assert_null(clips);
	}
	size_t apply = pn_cuda_clips_bytes(f.gpu, 8, 8, 2, 3, 0);
	assert_true(apply > 0 && pn_cuda_clips_bytes(f.gpu, 8, 8, 2, 3, 1) > apply);
	pn_cuda_clips_destroy(NULL);
	pn_cuda_net_destroy(NULL);
	tear_down(&f);
}

/* Where there is no device it is said why; where there is one, it makes networks. */
static void device_or_why(void **state)
{
	struct pn_error err = { 0 };
	struct pn_cuda_net *net;
	const char *why;
	int there = pn_cuda_available(&why);
	int rc = pn_cuda_net_create(&net, &small[0], PN_CUDA_DEVICE, &err);

	(void)state;
	assert_int_equal(rc, there ? PN_OK : PN_EUNSUPPORTED);
	assert_int_equal(pn_cuda_available(NULL), there);
	if (there) {
		assert_null(why);
		assert_non_null(net);
	} else {
		assert_null(net);
		assert_non_null(strstr(err.text, why));
		print_message("no run on a device: %s\n", why);
	}
	pn_cuda_net_destroy(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_of_small_networks),
		cmocka_unit_test(gradients_of_small_networks),
		cmocka_unit_test(ends_keep_their_digits),
		cmocka_unit_test(outputs_of_presets),
		cmocka_unit_test(gradients_of_presets),
		cmocka_unit_test(any_size),
		cmocka_unit_test(clips_do_not_touch),
		cmocka_unit_test(windows_do_not_touch),
		cmocka_unit_test(gradient_repeats),
		cmocka_unit_test(spot_is_blind),
		cmocka_unit_test(standardized_and_back),
		cmocka_unit_test(learn_is_forward_and_backward),
		cmocka_unit_test(movie_is_frame_after_frame),
		cmocka_unit_test(learner_takes_any_clips),
		cmocka_unit_test(bad_input),
		cmocka_unit_test(device_or_why),
	};
	/* maps so small are not worth waking threads */
	omp_set_num_threads(1);
	engine = PN_CUDA_EMULATED;
	int failed = cmocka_run_group_tests_name("emulated", tests, NULL, NULL);
	if (pn_cuda_available(NULL)) {
		engine = PN_CUDA_DEVICE;
		failed += cmocka_run_group_tests_name("device", tests, NULL, NULL);
	}
	return failed;
}
