/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tiles against the image in one piece: every byte. */
#include "testkit.h"

#include "perrin/denoise/tiling.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define MOVIE_MAX 8

static const struct pn_net_spec tiny_shared = { .frames = 3,
						.blocks = 2,
						.channels = 8,
						.spot_px = 3,
						.shared = 1,
						.neighbor_channels = 8,
						.tap_channels = 8,
						.head1 = 8,
						.widening = 1 };
static const struct pn_net_spec tiny_separate = {
	.frames = 5, .blocks = 2, .channels = 8, .spot_px = 1, .tap_channels = 8, .head1 = 8
};
static const struct pn_net_spec tiny_alone = {
	.frames = 1, .blocks = 1, .channels = 8, .spot_px = 1, .shared = 1, .tap_channels = 8
};

/* ---- cutting ------------------------------------------------------------------------------- */

/* Every pixel is given once, from within a tile that has its margin, or the image's edge. */
static void check_cover(int ny, int nx, int tile_px, int margin_px)
{
	struct pn_tiling tiling;
	struct pn_error err = { 0 };
	unsigned char *given = calloc((size_t)ny * (size_t)nx, 1);

	assert_non_null(given);
	if (pn_tiling_make(&tiling, ny, nx, tile_px, margin_px, &err))
		fail_msg("%d x %d in %d px: %s", ny, nx, tile_px, err.text);
	for (int i = 0; i < tiling.rows * tiling.columns; i++) {
		struct pn_tile t = pn_tiling_at(&tiling, i);

		assert_true(t.ny > 0 && t.nx > 0 && t.in_ny <= tile_px && t.in_nx <= tile_px);
		assert_true(t.from_y >= 0 && t.from_y + t.in_ny <= ny);
		assert_true(t.from_x >= 0 && t.from_x + t.in_nx <= nx);
		assert_true(t.from_y == 0 || t.y0 - t.from_y >= margin_px);
		assert_true(t.from_x == 0 || t.x0 - t.from_x >= margin_px);
		assert_true(t.from_y + t.in_ny == ny ||
			    t.from_y + t.in_ny - t.y0 - t.ny >= margin_px);
		assert_true(t.from_x + t.in_nx == nx ||
			    t.from_x + t.in_nx - t.x0 - t.nx >= margin_px);
		for (int y = t.y0; y < t.y0 + t.ny; y++)
			for (int x = t.x0; x < t.x0 + t.nx; x++)
				given[y * nx + x]++;
	}
	for (int i = 0; i < ny * nx; i++)
		assert_int_equal(given[i], 1);
	free(given);
}

static void tiles_cover_the_image(void **state)
{
	(void)state;
	for (int side = 1; side < 90; side += 4)
		for (int tile_px = 21; tile_px < 60; tile_px += 13)
			for (int margin_px = 0; margin_px <= 10; margin_px += 5)
				check_cover(side, 91 - side, tile_px, margin_px);
	check_cover(4096, 4096, 512, 50);
}

static void bad_tiles(void **state)
{
	struct pn_tiling tiling;
	struct pn_error err = { 0 };

	(void)state;
	/* small images need no margin */
	assert_int_equal(pn_tiling_make(&tiling, 20, 20, 20, 10, &err), PN_OK);
	assert_int_equal(pn_tiling_make(&tiling, 21, 20, 20, 10, &err), PN_EARG);
	assert_non_null(strstr(err.text, "tiles of 20 px"));
	assert_non_null(strstr(err.text, "2 x 10 px"));
	assert_int_equal(pn_tiling_make(&tiling, 0, 20, 20, 1, &err), PN_EARG);
	assert_int_equal(pn_tiling_make(&tiling, 20, -3, 20, 1, &err), PN_EARG);
}

/* ---- against one piece ---------------------------------------------------------------------- */

struct movie {
	int count, ny, nx;
	struct pn_tiled_image images[MOVIE_MAX];
	float *whole[MOVIE_MAX], *tiled[MOVIE_MAX];
};

static void make_movie(struct movie *m, int count, int ny, int nx)
{
	size_t pixels = (size_t)ny * (size_t)nx;
	struct pn_rng rng;

	*m = (struct movie){ .count = count, .ny = ny, .nx = nx };
	pn_rng_init(&rng, 3, 0);
	for (int t = 0; t < count; t++) {
		float *image = malloc(pixels * sizeof *image);

		m->whole[t] = malloc(pixels * sizeof(float));
		m->tiled[t] = malloc(pixels * sizeof(float));
		assert_true(image && m->whole[t] && m->tiled[t]);
		for (size_t i = 0; i < pixels; i++)
			image[i] = (float)(100 + 20 * pn_rng_gauss(&rng));
		memset(m->tiled[t], 0xff, pixels * sizeof(float)); /* NaN */
		m->images[t] = (struct pn_tiled_image){ (uint64_t)t + 7, image, 0, 0 };
	}
}

static void free_movie(struct movie *m)
{
	for (int t = 0; t < m->count; t++) {
		free((void *)m->images[t].image);
		free(m->whole[t]);
		free(m->tiled[t]);
	}
}

static struct pn_net *make_net(const struct pn_net_spec *spec, enum pn_arith arith)
{
	struct pn_net_layout layout;
	struct pn_error err = { 0 };
	struct pn_net *net;
	struct pn_rng rng;

	if (pn_net_create(&net, spec, arith, &err))
		fail_msg("%s", err.text);
	layout = *pn_net_layout_of(net);
	float *params = malloc(layout.param_count * sizeof *params);
	assert_non_null(params);
	pn_rng_init(&rng, 5, 0);
	pn_net_params_init(&layout, params, &rng);
	/* biases, so that beyond an edge it is not as if nothing were there anyway */
	for (int i = 0; i < layout.layer_count; i++)
		for (size_t k = 0; k < layout.layers[i].bias_count; k++)
			params[layout.layers[i].bias + k] = (float)(0.2 * pn_rng_gauss(&rng));
	pn_net_load(net, params);
	free(params);
	return net;
}

/* The windows written out by hand from the times. */
static void run_whole(struct movie *m, const struct pn_net *net, int targets)
{
	int frames = (int)pn_net_spec_of(net)->frames, half = frames / 2;
	struct pn_denoiser *denoiser;
	struct pn_error err = { 0 };

	assert_int_equal(pn_denoiser_create(&denoiser, net, m->ny, m->nx, 100, 20, &err), PN_OK);
	for (int t = 0; t < targets; t++) {
		struct pn_window_frame window[PN_NET_FRAMES_MAX] = { 0 };

		for (int i = 0; i < m->count; i++) {
			int k = half + (int)(m->images[i].time - m->images[t].time);

			if (k >= 0 && k < frames)
				window[k] = (struct pn_window_frame){
					m->images[i].time, m->images[i].image,
					(int)(m->images[t].y0_px - m->images[i].y0_px),
					(int)(m->images[t].x0_px - m->images[i].x0_px)
				};
		}
		if (pn_denoiser_run(denoiser, window, m->whole[t], &err))
			fail_msg("%s", err.text);
	}
	pn_denoiser_destroy(denoiser);
}

/* In two runs, so that a tile is come back to. */
static void run_tiled(struct movie *m, const struct pn_net *net, int tile_px, int moving,
		      int targets, int tiles_min)
{
	struct pn_tiler *tiler;
	struct pn_error err = { 0 };

	if (pn_tiler_create(&tiler, net, m->ny, m->nx, tile_px, moving, 100, 20, &err))
		fail_msg("%s", err.text);
	int tiles = pn_tiler_tiling(tiler)->rows * pn_tiler_tiling(tiler)->columns;
	assert_true(tiles >= tiles_min);
	assert_true(pn_tiler_bytes(tiler, 4) > 0);
	for (int from = 0, split = targets / 2; from < targets;
	     from = from < split ? split : targets) {
		int to = from < split ? split : targets;

		for (int i = 0; i < tiles; i++)
			if (pn_tiler_run(tiler, i, m->images, m->count, from, to - from,
					 m->tiled + from, &err))
				fail_msg("%s", err.text);
	}
	pn_tiler_destroy(tiler);
	for (int t = 0; t < targets; t++)
		for (int i = 0; i < m->ny * m->nx; i++)
			if (memcmp(&m->whole[t][i], &m->tiled[t][i], sizeof(float)))
				fail_msg("image %d of %d x %d, tiles of %d px: %.9g, not %.9g at "
					 "%d %d",
					 t, m->ny, m->nx, tile_px, m->tiled[t][i], m->whole[t][i],
					 i / m->nx, i % m->nx);
}

static void small_networks(void **state)
{
	const struct pn_net_spec *specs[] = { &tiny_shared, &tiny_separate, &tiny_alone };
	const int sizes[][3] = { { 53, 61, 47 }, { 47, 90, 31 }, { 31, 40, 64 }, { 100, 37, 33 } };
	struct movie m;

	(void)state;
	for (unsigned s = 0; s < PN_COUNT(specs); s++) {
		struct pn_net *net = make_net(specs[s], PN_ARITH_F32);

		for (unsigned k = 0; k < PN_COUNT(sizes); k++) {
			make_movie(&m, 7, sizes[k][0], sizes[k][1]);
			run_whole(&m, net, m.count);
			run_tiled(&m, net, sizes[k][2], 0, m.count, sizes[k][2] < 64 ? 2 : 1);
			free_movie(&m);
		}
		pn_net_destroy(net);
	}
}

static void presets(void **state)
{
	struct movie m;

	(void)state;
	for (const struct pn_preset *preset = pn_presets; preset->name; preset++) {
		struct pn_net *net = make_net(&preset->spec, PN_ARITH_F32);
		int field_px = pn_net_layout_of(net)->field_px;

		for (int turn = 0; turn < 2; turn++) {
			int long_px = 2 * field_px + 31, short_px = 7;

			make_movie(&m, 3, turn ? short_px : long_px, turn ? long_px : short_px);
			run_whole(&m, net, 1);
			run_tiled(&m, net, 2 * field_px + 11, 0, 1, 3);
			free_movie(&m);
		}
		pn_net_destroy(net);
	}
}

static void rounded_numbers(void **state)
{
	struct pn_net *net = make_net(&tiny_shared, PN_ARITH_BF16_EMULATED);
	struct movie m;

	(void)state;
	make_movie(&m, 3, 43, 38);
	run_whole(&m, net, 3);
	run_tiled(&m, net, 35, 0, 3, 4);
	free_movie(&m);
	pn_net_destroy(net);
}

/* Frames missing, and images that move: beyond PN_SHIFT_MAX_PX they stay out. */
static void gaps_and_shifts(void **state)
{
	const struct pn_net_spec *specs[] = { &tiny_shared, &tiny_separate };
	struct movie m;

	(void)state;
	for (unsigned s = 0; s < PN_COUNT(specs); s++) {
		struct pn_net *net = make_net(specs[s], PN_ARITH_F32);

		make_movie(&m, MOVIE_MAX, 97, 88);
		for (int t = 0; t < m.count; t++) {
			m.images[t].time += (uint64_t)(t > 3);
			m.images[t].y0_px = (t * 37) % 23;
			m.images[t].x0_px = -(t * 29) % 19;
		}
		run_whole(&m, net, m.count);
		run_tiled(&m, net, 83, 1, m.count, 2);
		free_movie(&m);
		pn_net_destroy(net);
	}
}

static void what_is_alone_stays(void **state)
{
	struct pn_net *net = make_net(&tiny_separate, PN_ARITH_F32);
	struct pn_tiler *tiler;
	struct pn_error err = { 0 };
	struct movie m;

	(void)state;
	make_movie(&m, 3, 40, 40);
	m.images[2].time = 1000;
	assert_int_equal(pn_tiler_neighbors(m.images, 3, 0, 2), 1);
	assert_int_equal(pn_tiler_neighbors(m.images, 3, 2, 2), 0);
	assert_int_equal(pn_tiler_create(&tiler, net, 40, 40, 40, 0, 100, 20, &err), PN_OK);
	assert_int_equal(pn_tiler_run(tiler, 0, m.images, 3, 2, 1, m.tiled, &err), PN_OK);
	assert_memory_equal(m.tiled[0], m.images[2].image, 40 * 40 * sizeof(float));
	/* the same frame twice is no neighbour: it would stand in its own middle */
	m.images[2].time = m.images[1].time;
	assert_int_equal(pn_tiler_neighbors(m.images, 3, 1, 2), 1);
	m.images[2].time = 1000;
	/* as told when it was made, places do not differ */
	m.images[1].y0_px = 1;
	assert_int_equal(pn_tiler_run(tiler, 0, m.images, 3, 0, 1, m.tiled, &err), PN_EARG);
	m.images[1].y0_px = 0;
	((float *)m.images[1].image)[77] = NAN;
	assert_int_equal(pn_tiler_run(tiler, 0, m.images, 3, 0, 1, m.tiled, &err), PN_EFRAME);
	pn_tiler_destroy(tiler);
	pn_tiler_destroy(NULL);
	assert_int_equal(pn_tiler_create(&tiler, net, 400, 40, 12, 0, 100, 20, &err), PN_EARG);
	assert_null(tiler);
	free_movie(&m);
	pn_net_destroy(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiles_cover_the_image), cmocka_unit_test(bad_tiles),
		cmocka_unit_test(small_networks),        cmocka_unit_test(presets),
		cmocka_unit_test(rounded_numbers),       cmocka_unit_test(gaps_and_shifts),
		cmocka_unit_test(what_is_alone_stays),
	};

	/* threads are test_net's; layers as small as these would only wait for each other */
	omp_set_num_threads(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
