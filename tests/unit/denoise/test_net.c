/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testkit.h"

#include "net_reference.h"
#include "perrin/denoise/net.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Networks small enough for the slow reference, with each option at work. */
static const struct pn_net_spec small[] = {
	{ .frames = 5,
	  .blocks = 2,
	  .channels = 8,
	  .spot_px = 1,
	  .tap_channels = 8,
	  .head1 = 16,
	  .head2 = 8 },
	{ .frames = 3, .blocks = 2, .channels = 8, .spot_px = 3, .tap_channels = 8, .head1 = 8 },
	{ .frames = 5,
	  .blocks = 2,
	  .channels = 16,
	  .spot_px = 1,
	  .shared = 1,
	  .neighbor_channels = 8,
	  .tap_channels = 8,
	  .head1 = 16,
	  .head2 = 8,
	  .widening = 1 },
	{ .frames = 3,
	  .blocks = 3,
	  .channels = 8,
	  .spot_px = 3,
	  .shared = 1,
	  .tap_channels = 8,
	  .widening = 2 },
	{ .frames = 1, .blocks = 2, .channels = 8, .spot_px = 5, .tap_channels = 8, .head1 = 8 },
	{ .frames = 1, .blocks = 1, .channels = 8, .spot_px = 1, .shared = 1, .tap_channels = 16 },
	{ .frames = 7,
	  .blocks = 1,
	  .channels = 8,
	  .spot_px = 1,
	  .shared = 1,
	  .neighbor_channels = 8,
	  .tap_channels = 8 },
};

struct fixture {
	struct pn_net *net;
	struct pn_net_layout layout;
	float *params;
	struct pn_rng rng;
};

static void set_up(struct fixture *f, const struct pn_net_spec *spec, enum pn_arith arith)
{
	struct pn_error err = { 0 };

	assert_int_equal(pn_net_layout_make(&f->layout, spec, &err), PN_OK);
	assert_int_equal(pn_net_create(&f->net, spec, arith, &err), PN_OK);
	f->params = malloc(f->layout.param_count * sizeof *f->params);
	assert_non_null(f->params);
	pn_rng_init(&f->rng, 5, 0);
	pn_net_params_init(&f->layout, f->params, &f->rng);
	/* biases are trained too: let them matter */
	for (int i = 0; i < f->layout.layer_count; i++)
		for (size_t k = 0; k < f->layout.layers[i].bias_count; k++)
			f->params[f->layout.layers[i].bias + k] =
				(float)(0.1 * pn_rng_gauss(&f->rng));
	pn_net_load(f->net, f->params);
}

static void tear_down(struct fixture *f)
{
	pn_net_destroy(f->net);
	free(f->params);
}

static void fill_clip(struct pn_clip *clip, const float *images, int count, int ny, int nx)
{
	for (int i = 0; i < count; i++)
		for (int y = 0; y < ny; y++)
			memcpy(pn_clip_image(clip, i) + y * pn_clip_row_stride(clip),
			       images + ((size_t)i * ny + y) * nx, (size_t)nx * sizeof *images);
}

static float *random_images(struct pn_rng *rng, int count, int ny, int nx)
{
	float *images = malloc((size_t)(count * ny * nx) * sizeof *images);

	assert_non_null(images);
	for (int k = 0; k < count * ny * nx; k++)
		images[k] = (float)pn_rng_gauss(rng);
	return images;
}

/* ---- the reference --------------------------------------------------------------------------- */

static double *reference(const struct pn_net_spec *spec, const struct fixture *f,
			 const double *params, const float *images, int ny, int nx)
{
	struct ref_map maps[PN_NET_FRAMES_MAX];

	for (int i = 0; i < spec->frames; i++) {
		maps[i] = ref_new(ny, nx, 1);
		for (int k = 0; k < ny * nx; k++)
			maps[i].v[k] = images[i * ny * nx + k];
	}
	double *out = ref_window(spec, &f->layout, params, maps);

	for (int i = 0; i < spec->frames; i++)
		free(maps[i].v);
	return out;
}

static double *in_double(const float *values, size_t count)
{
	double *out = malloc(count * sizeof *out);

	assert_non_null(out);
	for (size_t k = 0; k < count; k++)
		out[k] = values[k];
	return out;
}

static void forward_is_the_reference(void **state)
{
	(void)state;
	for (unsigned s = 0; s < PN_COUNT(small); s++) {
		const struct pn_net_spec *spec = &small[s];
		struct fixture f;
		struct pn_clip *clip;
		int ny = 13, nx = 11, targets = 2, images_count = (int)spec->frames + 1;

		set_up(&f, spec, PN_ARITH_F32);
		float *images = random_images(&f.rng, images_count, ny, nx);
		double *params = in_double(f.params, f.layout.param_count);

		assert_int_equal(pn_clip_create(&clip, f.net, ny, nx, targets, 0, NULL), PN_OK);
		fill_clip(clip, images, images_count, ny, nx);
		pn_clip_forward(clip);
		for (int w = 0; w < targets; w++) {
			double *ref = reference(spec, &f, params, images + w * ny * nx, ny, nx);

			for (int y = 0; y < ny; y++)
				for (int x = 0; x < nx; x++)
					assert_true(
						fabs(pn_clip_output(
							     clip,
							     w)[y * pn_clip_output_stride(clip) +
								x] -
						     ref[y * nx + x]) < 2e-5);
			free(ref);
		}
		pn_clip_destroy(clip);
		free(params);
		free(images);
		tear_down(&f);
	}
}

/* Loss: sum of weights times outputs; its slope along one parameter, in double. */
static double slope(const struct pn_net_spec *spec, const struct fixture *f, double *params,
		    size_t k, const float *images, const float *weights, int ny, int nx,
		    int targets)
{
	const double step = 1e-6;
	double value = params[k], sum[2] = { 0 };

	for (int side = 0; side < 2; side++) {
		params[k] = value + (side ? step : -step);
		for (int w = 0; w < targets; w++) {
			double *out = reference(spec, f, params, images + w * ny * nx, ny, nx);

			for (int p = 0; p < ny * nx; p++)
				sum[side] += (double)weights[w * ny * nx + p] * out[p];
			free(out);
		}
	}
	params[k] = value;
	return (sum[1] - sum[0]) / (2 * step);
}

static void check_gradient(const struct pn_net_spec *spec, int targets)
{
	int ny = 7, nx = 9, images_count = (int)spec->frames + targets - 1;
	struct pn_clip *clip;
	struct fixture f;

	set_up(&f, spec, PN_ARITH_F32);
	float *images = random_images(&f.rng, images_count, ny, nx);
	float *weights = random_images(&f.rng, targets, ny, nx);
	float *gradient = calloc(f.layout.param_count, sizeof *gradient);
	double *params = in_double(f.params, f.layout.param_count);

	assert_int_equal(pn_clip_create(&clip, f.net, ny, nx, targets, 1, NULL), PN_OK);
	/* twice, into the same sums: nothing of the first time may stay in the maps */
	for (int turn = 0; turn < 2; turn++) {
		fill_clip(clip, images, images_count, ny, nx);
		pn_clip_forward(clip);
		for (int w = 0; w < targets; w++)
			for (int y = 0; y < ny; y++)
				memcpy(pn_clip_gradient(clip, w) + y * pn_clip_output_stride(clip),
				       weights + (w * ny + y) * nx, (size_t)nx * sizeof *weights);
		pn_clip_backward(clip, gradient);
	}
	for (int i = 0; i < f.layout.layer_count; i++) {
		const struct pn_layer *layer = &f.layout.layers[i];
		double norm = 0;

		for (size_t k = 0; k < layer->weight_count; k++)
			norm += pow(gradient[layer->weights + k], 2);
		norm = sqrt(norm / (double)layer->weight_count);
		assert_true(norm > 0);
		for (int turn = 0; turn < 4; turn++) {
			size_t k = turn == 3
					   ? layer->bias + pn_rng_below(&f.rng,
									(uint32_t)layer->bias_count)
					   : layer->weights +
						     pn_rng_below(&f.rng,
								  (uint32_t)layer->weight_count);
			double expected =
				2 * slope(spec, &f, params, k, images, weights, ny, nx, targets);

			if (fabs(gradient[k] - expected) > 2e-4 * (fabs(expected) + norm))
				fail_msg("layer %d (role %d level %d): parameter %zu: %g, expected "
					 "%g",
					 i, layer->role, layer->level, k, (double)gradient[k],
					 expected);
		}
	}
	pn_clip_destroy(clip);
	free(images);
	free(weights);
	free(gradient);
	free(params);
	tear_down(&f);
}

static void gradient_is_the_slope(void **state)
{
	(void)state;
	for (unsigned s = 0; s < PN_COUNT(small); s++) {
		check_gradient(&small[s], s % 2 ? 1 : 2);
	}
}

/* ---- the blind spot -------------------------------------------------------------------------- */

static float output_at(struct pn_denoiser *d, const float *images, int frames, int ny, int nx,
		       int y, int x, float *out)
{
	struct pn_window_frame window[PN_NET_FRAMES_MAX] = { 0 };

	for (int k = 0; k < frames; k++)
		window[k] = (struct pn_window_frame){ .id = (uint64_t)k,
						      .image = images + k * ny * nx };
	pn_denoiser_forget(d, 0, 1);
	assert_int_equal(pn_denoiser_run(d, window, out, NULL), PN_OK);
	return out[y * nx + x];
}

/* Whether the output at (y, x), @before, is another when pixel (dy, dx) from there changes on a
 * frame. */
static int shows(struct pn_denoiser *d, float *images, int frames, int frame, int ny, int nx, int y,
		 int x, int dy, int dx, float before, float *out)
{
	float *pixel = &images[(frame * ny + y + dy) * nx + x + dx], kept = *pixel;

	*pixel += 50;
	float after = output_at(d, images, frames, ny, nx, y, x, out);
	*pixel = kept;
	return memcmp(&before, &after, sizeof before) != 0;
}

static void check_spot(const struct pn_net_spec *spec, int ny, int nx, enum pn_arith arith)
{
	int frames = (int)spec->frames, radius = (int)spec->spot_px / 2, own = frames / 2;
	const int places[][2] = { { ny / 2, nx / 2 }, { 0, 0 }, { ny - 1, nx / 2 }, { 2, nx - 3 } };
	struct pn_denoiser *d;
	struct fixture f;

	set_up(&f, spec, arith);
	float *images = random_images(&f.rng, frames, ny, nx);
	float *out = malloc((size_t)(ny * nx) * sizeof *out);

	assert_int_equal(pn_denoiser_create(&d, f.net, ny, nx, 0, 1, NULL), PN_OK);
	for (unsigned p = 0; p < PN_COUNT(places); p++) {
		int y = places[p][0], x = places[p][1];
		float before = output_at(d, images, frames, ny, nx, y, x, out);

		for (int dy = -radius - 1; dy <= radius + 1; dy++)
			for (int dx = -radius - 1; dx <= radius + 1; dx++) {
				int hidden = abs(dy) <= radius && abs(dx) <= radius;

				if (y + dy < 0 || y + dy >= ny || x + dx < 0 || x + dx >= nx)
					continue;
				/* near an edge some taps lie outside, and see nothing */
				if (hidden || p == 0)
					assert_int_equal(shows(d, images, frames, own, ny, nx, y, x,
							       dy, dx, before, out),
							 !hidden);
			}
		for (int k = 0; k < frames; k++)
			if (k != own && p == 0)
				assert_true(shows(d, images, frames, k, ny, nx, y, x, 0, 0, before,
						  out));
	}
	pn_denoiser_destroy(d);
	free(out);
	free(images);
	tear_down(&f);
}

static void spot_is_blind(void **state)
{
	(void)state;
	for (unsigned s = 0; s < PN_COUNT(small); s++)
		check_spot(&small[s], 24, 21, PN_ARITH_F32);
}

static void spot_of_presets_is_blind(void **state)
{
	(void)state;
	for (const struct pn_preset *preset = pn_presets; preset->name; preset++)
		for (int spot = 1; spot <= 5; spot += 2) {
			struct pn_net_spec spec = preset->spec;

			spec.spot_px = spot;
			check_spot(&spec, 16, 18, PN_ARITH_F32);
		}
	struct pn_net_spec spec = pn_preset_find("live")->spec;

	check_spot(&spec, 16, 18, PN_ARITH_BF16_EMULATED);
}

/* Nothing further away than the field can matter, and something near its edge does. */
static void field_is_as_told(void **state)
{
	(void)state;
	for (unsigned s = 0; s < PN_COUNT(small); s++) {
		const struct pn_net_spec *spec = &small[s];
		struct pn_denoiser *d;
		struct fixture f;
		float out[64];

		set_up(&f, spec, PN_ARITH_F32);
		int nx = 2 * f.layout.field_px + 5, x = f.layout.field_px + 2, seen = 0;
		float *row = malloc((size_t)nx * sizeof *row);
		float *images = random_images(&f.rng, (int)spec->frames, 1, nx);

		assert_true(nx < 64);
		assert_int_equal(pn_denoiser_create(&d, f.net, 1, nx, 0, 1, NULL), PN_OK);
		float before = output_at(d, images, (int)spec->frames, 1, nx, 0, x, out);

		for (int k = 0; k < spec->frames; k++)
			for (int side = -1; side <= 1; side += 2) {
				assert_false(shows(d, images, (int)spec->frames, k, 1, nx, 0, x, 0,
						   side * (f.layout.field_px + 1), before, out));
				seen |= shows(d, images, (int)spec->frames, k, 1, nx, 0, x, 0,
					      side * f.layout.field_px, before, out);
			}
		assert_true(seen);
		pn_denoiser_destroy(d);
		free(images);
		free(row);
		tear_down(&f);
	}
}

/* ---- one after another ----------------------------------------------------------------------- */

static void stream_is_the_clip(void **state)
{
	(void)state;
	for (unsigned s = 0; s < PN_COUNT(small); s++) {
		const struct pn_net_spec *spec = &small[s];
		int frames = (int)spec->frames, count = frames + 3, ny = 20, nx = 17;
		struct pn_denoiser *d;
		struct pn_clip *clip;
		struct fixture f;

		set_up(&f, spec, PN_ARITH_F32);
		float *images = random_images(&f.rng, count, ny, nx),
		      *out = malloc(sizeof(float) * 340);

		assert_int_equal(pn_clip_create(&clip, f.net, ny, nx, 4, 0, NULL), PN_OK);
		fill_clip(clip, images, count, ny, nx);
		pn_clip_forward(clip);
		assert_int_equal(pn_denoiser_create(&d, f.net, ny, nx, 0, 1, NULL), PN_OK);
		for (int w = 0; w < 4; w++) {
			struct pn_window_frame window[PN_NET_FRAMES_MAX] = { 0 };

			for (int k = 0; k < frames; k++)
				window[k] = (struct pn_window_frame){
					.id = (uint64_t)(w + k), .image = images + (w + k) * ny * nx
				};
			omp_set_num_threads(1 + w % 3);
			assert_int_equal(pn_denoiser_run(d, window, out, NULL), PN_OK);
			for (int y = 0; y < ny; y++)
				assert_memory_equal(out + y * nx,
						    pn_clip_output(clip, w) +
							    y * pn_clip_output_stride(clip),
						    (size_t)nx * sizeof *out);
		}
		pn_denoiser_destroy(d);
		pn_clip_destroy(clip);
		free(images);
		free(out);
		tear_down(&f);
	}
}

/* A neighbour whose crop lies elsewhere is laid over the own frame. */
static void shifted_neighbors_fit(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 4; s++) {
		const struct pn_net_spec *spec = &small[s];
		int frames = (int)spec->frames, n = 64, big = 74, edge = 0;
		struct pn_denoiser *d;
		struct fixture f;

		set_up(&f, spec, PN_ARITH_F32);
		edge = f.layout.field_px + 5;
		float *scene = random_images(&f.rng, frames, big, big);
		float *crops = malloc(sizeof(float) * (size_t)(frames * n * n));
		float *still = malloc(sizeof(float) * (size_t)(n * n)),
		      *moved = malloc(sizeof(float) * (size_t)(n * n));

		assert_int_equal(pn_denoiser_create(&d, f.net, n, n, 0, 1, NULL), PN_OK);
		for (int turn = 0; turn < 2; turn++) {
			struct pn_window_frame window[PN_NET_FRAMES_MAX] = { 0 };

			for (int k = 0; k < frames; k++) {
				int own = k == frames / 2;
				int y0 = 5 + (turn && !own ? k - 3 : 0),
				    x0 = 5 + (turn && !own ? 4 - k : 0);

				for (int y = 0; y < n; y++)
					memcpy(crops + (k * n + y) * n,
					       scene + (k * big + y0 + y) * big + x0,
					       sizeof(float) * (size_t)n);
				window[k] =
					(struct pn_window_frame){ .id = (uint64_t)(turn * 8 + k),
								  .image = crops + k * n * n,
								  .dy = 5 - y0,
								  .dx = 5 - x0 };
			}
			assert_int_equal(pn_denoiser_run(d, window, turn ? moved : still, NULL),
					 PN_OK);
		}
		assert_true(edge < n / 2);
		for (int y = edge; y < n - edge; y++)
			for (int x = edge; x < n - edge; x++)
				assert_true(fabsf(still[y * n + x] - moved[y * n + x]) < 1e-6f);
		pn_denoiser_destroy(d);
		free(scene);
		free(crops);
		free(still);
		free(moved);
		tear_down(&f);
	}
}

static void missing_neighbors_have_stand_ins(void **state)
{
	int ny = 16, nx = 16;
	struct pn_window_frame window[5] = { 0 }, full[5];
	struct pn_denoiser *d;
	struct pn_error err = { 0 };
	struct fixture f;
	float out[2][256];

	(void)state;
	set_up(&f, &small[2], PN_ARITH_F32);
	float *images = random_images(&f.rng, 5, ny, nx);

	for (int k = 0; k < 5; k++)
		full[k] = window[k] = (struct pn_window_frame){ .id = (uint64_t)k,
								.image = images + k * ny * nx };
	assert_int_equal(pn_denoiser_create(&d, f.net, ny, nx, 0, 1, NULL), PN_OK);
	/* 0 and 4 are missing: 1 and 3 are nearest; one too far away is as good as missing */
	window[0].image = NULL;
	window[4].dx = PN_SHIFT_MAX_PX + 1;
	full[0] = full[1];
	full[4] = full[3];
	assert_int_equal(pn_denoiser_run(d, window, out[0], &err), PN_OK);
	assert_int_equal(pn_denoiser_run(d, full, out[1], &err), PN_OK);
	assert_memory_equal(out[0], out[1], sizeof out[0]);
	/* 1 is missing: of 0 and the own frame only 0 may stand in */
	window[0].image = images;
	window[1].image = NULL;
	full[0] = full[1] = (struct pn_window_frame){ .id = 0, .image = images };
	assert_int_equal(pn_denoiser_run(d, window, out[0], &err), PN_OK);
	assert_int_equal(pn_denoiser_run(d, full, out[1], &err), PN_OK);
	assert_memory_equal(out[0], out[1], sizeof out[0]);
	window[0].image = window[3].image = NULL;
	assert_int_equal(pn_denoiser_run(d, window, out[0], &err), PN_EARG);
	assert_non_null(strstr(err.text, "frame 2"));
	window[2].image = NULL;
	assert_int_equal(pn_denoiser_run(d, window, out[0], &err), PN_EARG);
	full[3].image = images;
	images[7] = NAN;
	full[0].id = full[1].id = 77;
	assert_int_equal(pn_denoiser_run(d, full, out[0], &err), PN_EFRAME);
	assert_non_null(strstr(err.text, "1 of 16 x 16"));
	pn_denoiser_destroy(d);
	free(images);
	tear_down(&f);
}

/* bfloat16 keeps 8 bits: a few parts in a thousand of the output's spread, for random weights. */
static void arithmetics_agree(void **state)
{
	(void)state;
	for (const struct pn_preset *preset = pn_presets; preset->name; preset++) {
		double sum = 0, sum2 = 0, off2 = 0;
		int n = 24, frames = (int)preset->spec.frames;
		float *out[2];

		for (int a = 0; a < 2; a++) {
			struct pn_denoiser *d;
			struct fixture f;

			set_up(&f, &preset->spec, a ? PN_ARITH_BF16_EMULATED : PN_ARITH_F32);
			float *images = random_images(&f.rng, frames, n, n);
			out[a] = malloc(sizeof(float) * (size_t)(n * n));
			assert_int_equal(pn_denoiser_create(&d, f.net, n, n, 0, 1, NULL), PN_OK);
			output_at(d, images, frames, n, n, 0, 0, out[a]);
			pn_denoiser_destroy(d);
			free(images);
			tear_down(&f);
		}
		for (int k = 0; k < n * n; k++) {
			sum += out[0][k];
			sum2 += pow(out[0][k], 2);
			off2 += pow(out[0][k] - out[1][k], 2);
		}
		double spread = sqrt(sum2 / (n * n) - pow(sum / (n * n), 2));

		assert_true(sqrt(off2 / (n * n)) > 0);
		assert_true(sqrt(off2 / (n * n)) < 0.02 * spread);
		free(out[0]);
		free(out[1]);
	}
}

/* ---- what cannot be made ----------------------------------------------------------------------
 */

static void bad_networks_are_told(void **state)
{
	const struct {
		struct pn_net_spec spec;
		const char *text;
	} bad[] = {
		{ { .frames = 4, .blocks = 1, .channels = 8, .spot_px = 1, .tap_channels = 8 },
		  "odd" },
		{ { .frames = 5, .blocks = 0, .channels = 8, .spot_px = 1, .tap_channels = 8 },
		  "blocks = 0" },
		{ { .frames = 5, .blocks = 1, .channels = 12, .spot_px = 1, .tap_channels = 8 },
		  "channels = 12" },
		{ { .frames = 5, .blocks = 1, .channels = 8, .spot_px = 2, .tap_channels = 8 },
		  "odd" },
		{ { .frames = 5,
		    .blocks = 1,
		    .channels = 8,
		    .spot_px = 1,
		    .tap_channels = 8,
		    .neighbor_channels = 8 },
		  "shared" },
		{ { .frames = 5, .blocks = 20, .channels = 8, .spot_px = 1, .tap_channels = 64 },
		  "512" },
		{ { .frames = 5,
		    .blocks = 20,
		    .channels = 8,
		    .spot_px = 1,
		    .tap_channels = 8,
		    .widening = 1 },
		  "px away" },
		{ { .frames = 5,
		    .blocks = 2,
		    .channels = 8,
		    .spot_px = 1,
		    .tap_channels = 8,
		    .head2 = 8 },
		  "head2" },
	};

	(void)state;
	for (unsigned i = 0; i < PN_COUNT(bad); i++) {
		struct pn_error err = { 0 };
		struct pn_net *net = (struct pn_net *)&err;

		assert_int_equal(pn_net_create(&net, &bad[i].spec, PN_ARITH_F32, &err), PN_EARG);
		assert_null(net);
		assert_non_null(strstr(err.text, bad[i].text));
	}
	struct pn_error err = { 0 };
	struct pn_clip *clip;
	struct pn_denoiser *d;
	struct fixture f;

	set_up(&f, &small[0], PN_ARITH_F32);
	assert_int_equal(pn_clip_create(&clip, f.net, 0, 8, 1, 0, &err), PN_EARG);
	assert_int_equal(pn_denoiser_create(&d, f.net, 8, 8, 0, 0, &err), PN_EARG);
	tear_down(&f);
}

static void paper_is_the_papers(void **state)
{
	struct pn_net_layout layout;

	(void)state;
	assert_int_equal(pn_net_layout_make(&layout, &pn_preset_find("paper")->spec, NULL), PN_OK);
	/* fields found by brute force for 14 blocks: own frame 59, neighbours 61 pixels wide */
	assert_int_equal(layout.distance_px[14] + layout.radius_px[14], 29);
	assert_int_equal(layout.field_px, 30);
	/* 5 branches (stem, 14 x 3x3), 14 x (fusion, taps), head */
	size_t branch = (9 * 24 + 24) + 14 * (9 * 24 * 24 + 24);
	size_t block = 5 * 24 * 24 + 24 + 8 * 24 * 24 + 24;

	assert_int_equal(layout.param_count, 5 * branch - 4 * 0 - 8 * 24 + 14 * block + 336 * 96 +
						     96 + 96 * 48 + 48 + 49);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_is_the_reference),
		cmocka_unit_test(gradient_is_the_slope),
		cmocka_unit_test(spot_is_blind),
		cmocka_unit_test(spot_of_presets_is_blind),
		cmocka_unit_test(field_is_as_told),
		cmocka_unit_test(stream_is_the_clip),
		cmocka_unit_test(shifted_neighbors_fit),
		cmocka_unit_test(missing_neighbors_have_stand_ins),
		cmocka_unit_test(arithmetics_agree),
		cmocka_unit_test(bad_networks_are_told),
		cmocka_unit_test(paper_is_the_papers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
