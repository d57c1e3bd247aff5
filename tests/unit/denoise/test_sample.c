/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../../../src/kernels/denoise/sample.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Images that tell where a pixel comes from: its value is number * 65536 + y * 256 + x, with y, x
 * on the detector's frame. */
struct movie {
	struct pn_train_place places[4096];
	uint64_t bad_image; /* has one NaN at (bad_y, bad_x) of the image */
	int bad_y, bad_x, fails;
};

static void place(void *arg, uint64_t image, struct pn_train_place *out)
{
	*out = ((struct movie *)arg)->places[image];
}

static int read_piece(void *arg, uint64_t image, int y, int x, int ny, int nx, float *out,
		      struct pn_error *err)
{
	const struct movie *movie = arg;
	const struct pn_train_place *p = &movie->places[image];

	if (movie->fails)
		return pn_error_set(err, PN_EIO, "the disk is gone");
	assert_true(y >= 0 && x >= 0 && y + ny <= p->ny && x + nx <= p->nx);
	for (int i = 0; i < ny * nx; i++) {
		int64_t fy = p->y0_px + y + i / nx, fx = p->x0_px + x + i % nx;

		out[i] = (float)(image % 256 * 65536 + (uint64_t)(fy * 256 + fx));
		if (image == movie->bad_image && y + i / nx == movie->bad_y &&
		    x + i % nx == movie->bad_x)
			out[i] = NAN;
	}
	return PN_OK;
}

static struct movie *still_movie(uint64_t count, int ny, int nx)
{
	struct movie *movie = calloc(1, sizeof *movie);

	assert_non_null(movie);
	assert_true(count <= PN_COUNT(movie->places));
	for (uint64_t i = 0; i < count; i++)
		movie->places[i] = (struct pn_train_place){ 1, 3, 5, ny, nx };
	movie->bad_image = UINT64_MAX;
	return movie;
}

static struct pn_train_source source_of(struct movie *movie, uint64_t count)
{
	return (struct pn_train_source){ movie, count, place, read_piece };
}

/* The eight by hand: turned by 90 degrees again and again, then the mirror's image likewise. */
static void all_eight(const float *in, int n, float eight[8][64])
{
	memcpy(eight[0], in, (size_t)(n * n) * sizeof *in);
	for (int y = 0; y < n; y++)
		for (int x = 0; x < n; x++)
			eight[4][y * n + x] = in[y * n + n - 1 - x];
	for (int k = 1; k < 8; k++)
		for (int i = 0; i < n * n && k != 4; i++)
			eight[k][i] = eight[k - 1][(n - 1 - i % n) * n + i / n];
}

static void turns_are_the_eight_of_a_square(void **state)
{
	enum { N = 8, STRIDE = 11 };
	float in[N * N], eight[8][64];
	int seen[8] = { 0 };

	(void)state;
	for (int i = 0; i < N * N; i++)
		in[i] = (float)(i * i);
	all_eight(in, N, eight);
	for (int turn = 0; turn < PN_TURNS; turn++) {
		struct pn_cut cut = { .side_px = N, .turn = turn };
		float out[N * STRIDE], packed[N * N];

		for (int i = 0; i < N * STRIDE; i++)
			out[i] = -7;
		pn_cut_turn(&cut, in, 10, 4, out, STRIDE);
		for (int i = 0; i < N * STRIDE; i++) {
			if (i % STRIDE < N)
				packed[i / STRIDE * N + i % STRIDE] = out[i] * 4 + 10;
			else
				assert_true(out[i] == -7);
		}
		for (int k = 0; k < 8; k++)
			seen[k] += memcmp(packed, eight[k], sizeof packed) == 0;
		if (turn == 0)
			assert_memory_equal(packed, in, sizeof in);
	}
	for (int k = 0; k < 8; k++)
		assert_int_equal(seen[k], 1);
}

/* Every turn, place and start comes up about as often as the others. */
static void draws_are_uniform(void **state)
{
	enum { COUNT = 12, IMAGES = 5, CROP = 16, DRAWS = 4000 };
	struct movie *movie = still_movie(COUNT, 20, 18);
	struct pn_train_source source = source_of(movie, COUNT);
	int turns[8] = { 0 }, first[COUNT - IMAGES + 1] = { 0 }, y[5] = { 0 }, x[3] = { 0 };

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		struct pn_cut cut;
		struct pn_rng rng;

		pn_rng_init(&rng, 1, (uint64_t)i);
		assert_int_equal(pn_cut_draw(&cut, &source, IMAGES, CROP, &rng, NULL), PN_OK);
		assert_int_equal(cut.side_px, CROP);
		assert_int_equal(cut.images, IMAGES);
		turns[cut.turn]++;
		first[cut.first]++;
		y[cut.y_px - 3]++;
		x[cut.x_px - 5]++;
	}
	/* five standard deviations of a count */
	for (int i = 0; i < 8; i++) {
		assert_in_range(turns[i], 500 - 105, 500 + 105);
		assert_in_range(first[i], 500 - 105, 500 + 105);
	}
	for (int i = 0; i < 5; i++)
		assert_in_range(y[i], 800 - 127, 800 + 127);
	for (int i = 0; i < 3; i++)
		assert_in_range(x[i], 1333 - 150, 1333 + 150);
	free(movie);
}

/* Crops that wander: the piece is the same place of the frame in all images, and within each. */
static void pieces_of_crops_that_move_lie_over_each_other(void **state)
{
	enum { COUNT = 60, IMAGES = 8, CROP = 32 };
	struct movie *movie = still_movie(COUNT, 44, 38);
	struct pn_train_source source = source_of(movie, COUNT);
	int sides[CROP + 1] = { 0 };
	float *out = malloc(CROP * CROP * sizeof *out);
	struct pn_rng rng;

	(void)state;
	assert_non_null(out);
	pn_rng_init(&rng, 9, 0);
	for (int i = 0; i < COUNT; i++) {
		movie->places[i].y0_px = 50 + i;
		movie->places[i].x0_px = 150 - (i < 30 ? 0 : 2 * (i - 30));
	}
	for (int draw = 0; draw < 300; draw++) {
		struct pn_cut cut;

		assert_int_equal(pn_cut_draw(&cut, &source, IMAGES, CROP, &rng, NULL), PN_OK);
		assert_true(cut.side_px == CROP || cut.side_px % PN_CUT_MIN_PX == 0);
		sides[cut.side_px]++;
		for (int k = 0; k < IMAGES; k++) {
			assert_int_equal(pn_cut_read(&cut, &source, k, out, NULL), PN_OK);
			for (int i = 0; i < cut.side_px * cut.side_px; i++) {
				uint64_t want = (cut.first + (uint64_t)k) * 65536 +
						(uint64_t)((cut.y_px + i / cut.side_px) * 256 +
							   cut.x_px + i % cut.side_px);

				assert_true(out[i] == (float)want);
			}
		}
	}
	/* x moves by 14 in eight images of the second half: 24 columns are left, 38 in the first */
	assert_true(sides[32] > 0 && sides[24] > 0);
	assert_int_equal(sides[32] + sides[24], 300);
	free(out);
	free(movie);
}

static void windows_never_straddle_a_gap(void **state)
{
	enum { COUNT = 40 };
	struct movie *movie = still_movie(COUNT, 16, 16);
	struct pn_train_source source = source_of(movie, COUNT);
	int first[COUNT] = { 0 };
	struct pn_cut cuts[COUNT];
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 2, 0);
	/* runs of 7, 4, 9, 20 */
	for (int i = 0; i < COUNT; i++)
		movie->places[i].run = i < 7 ? 0 : i < 11 ? 1 : i < 20 ? 5 : 6;
	assert_int_equal(pn_cut_targets(&source, 5, 4, NULL), 4);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(pn_cut_draw(&cuts[0], &source, 5, 16, &rng, NULL), PN_OK);
		first[cuts[0].first]++;
	}
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(first[i] > 0,
				 i <= 2 || (i >= 11 && i <= 15) || (i >= 20 && i <= 35));
	/* all 24 windows there are, each once */
	assert_int_equal(pn_cut_spread(cuts, COUNT, &source, 0, 5, 16, NULL), 24);
	for (int i = 0; i < 24; i++)
		assert_int_equal(cuts[i].first, i < 3 ? i : i < 8 ? i + 8 : i + 12);
	free(movie);
}

/* One good start among 4000: found by counting where guesses fail. */
static void a_rare_run_is_found(void **state)
{
	enum { COUNT = 4000 };
	struct movie *movie = still_movie(COUNT, 16, 16);
	struct pn_train_source source = source_of(movie, COUNT);
	int first[3] = { 0 };

	(void)state;
	for (int i = 0; i < COUNT; i++)
		movie->places[i].run = i >= 3100 && i < 3107 ? 100000 : (uint64_t)i / 3;
	assert_int_equal(pn_cut_targets(&source, 5, 3, NULL), 3);
	assert_int_equal(pn_cut_targets(&source, 5, 4, NULL), 1);
	for (int i = 0; i < 200; i++) {
		struct pn_cut cut;
		struct pn_rng rng;

		pn_rng_init(&rng, 1, (uint64_t)i);
		assert_int_equal(pn_cut_draw(&cut, &source, 5, 16, &rng, NULL), PN_OK);
		assert_in_range(cut.first, 3100, 3102);
		first[cut.first - 3100]++;
	}
	assert_true(first[0] > 30 && first[1] > 30 && first[2] > 30);
	free(movie);
}

static void validation_is_spread_and_central(void **state)
{
	enum { COUNT = 105 };
	struct movie *movie = still_movie(COUNT, 41, 30);
	struct pn_train_source source = source_of(movie, COUNT);
	struct pn_cut cuts[10];

	(void)state;
	/* 101 windows, in ten shares */
	assert_int_equal(pn_cut_spread(cuts, 10, &source, 0, 5, 16, NULL), 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(cuts[i].first, (2 * i + 1) * 101 / 20);
		assert_int_equal(cuts[i].side_px, 16);
		assert_int_equal(cuts[i].y_px, 3 + 12);
		assert_int_equal(cuts[i].x_px, 5 + 7);
		assert_int_equal(cuts[i].turn, 0);
	}
	/* the last 20 have 16 windows, 6 have two */
	assert_int_equal(pn_cut_spread(cuts, 10, &source, 20, 5, 16, NULL), 10);
	assert_true(cuts[0].first == 85 && cuts[9].first == 85 + 19 * 16 / 20);
	assert_int_equal(pn_cut_spread(cuts, 10, &source, 6, 5, 16, NULL), 2);
	assert_true(cuts[0].first == 99 && cuts[1].first == 100);
	assert_int_equal(pn_cut_spread(cuts, 1, &source, 1000, 5, 64, NULL), 1);
	assert_true(cuts[0].first == 50 && cuts[0].side_px == 24);
	free(movie);
}

static void what_cannot_be_cut_is_told(void **state)
{
	enum { COUNT = 30 };
	struct movie *movie = still_movie(COUNT, 16, 16);
	struct pn_train_source source = source_of(movie, COUNT), empty = source_of(movie, 0);
	struct pn_train_source few = source_of(movie, 4);
	struct pn_error err = { 0 };
	struct pn_cut cut = { 0 };
	struct pn_rng rng;
	float out[256];

	(void)state;
	pn_rng_init(&rng, 2, 0);
	assert_int_equal(pn_cut_targets(&empty, 5, 4, &err), PN_EARG);
	assert_int_equal(pn_cut_targets(&few, 5, 4, &err), PN_EARG);
	assert_non_null(strstr(err.text, "of 5 images"));
	assert_non_null(strstr(err.text, "has 4"));
	assert_int_equal(pn_cut_spread(&cut, 1, &few, 0, 5, 16, &err), PN_EARG);
	assert_int_equal(pn_cut_spread(&cut, 1, &source, 4, 5, 16, &err), PN_EARG);
	assert_int_equal(pn_cut_spread(&cut, 1, &empty, 0, 5, 16, &err), PN_EARG);

	/* one pixel that is no number, seen wherever it lies in the piece */
	movie->bad_image = 7;
	movie->bad_y = 13;
	movie->bad_x = 2;
	cut = (struct pn_cut){ .first = 5, .images = 5, .side_px = 8, .y_px = 3 + 8, .x_px = 5 };
	assert_int_equal(pn_cut_read(&cut, &source, 1, out, &err), PN_OK);
	assert_int_equal(pn_cut_read(&cut, &source, 2, out, &err), PN_EFRAME);
	assert_non_null(strstr(err.text, "image 7: the value at 13 2 is"));
	movie->fails = 1;
	assert_int_equal(pn_cut_read(&cut, &source, 1, out, &err), PN_EIO);
	assert_string_equal(err.text, "the disk is gone");

	/* neighbors have 7 columns in common, then none at all, then images without pixels */
	for (int step = 9; step < 100; step += 90) {
		for (int i = 0; i < COUNT; i++)
			movie->places[i].x0_px = 1000 + step * i;
		assert_int_equal(pn_cut_draw(&cut, &source, 2, 16, &rng, &err), PN_EARG);
		assert_non_null(strstr(err.text, "8 x 8 px"));
		assert_int_equal(pn_cut_spread(&cut, 1, &source, 0, 2, 16, &err), PN_EARG);
		assert_int_equal(pn_cut_draw(&cut, &source, 1, 16, &rng, &err), PN_OK);
	}
	for (int i = 0; i < COUNT; i++)
		movie->places[i].ny = 0;
	assert_int_equal(pn_cut_draw(&cut, &source, 1, 16, &rng, &err), PN_EARG);
	free(movie);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_are_the_eight_of_a_square),
		cmocka_unit_test(draws_are_uniform),
		cmocka_unit_test(pieces_of_crops_that_move_lie_over_each_other),
		cmocka_unit_test(windows_never_straddle_a_gap),
		cmocka_unit_test(a_rare_run_is_found),
		cmocka_unit_test(validation_is_spread_and_central),
		cmocka_unit_test(what_cannot_be_cut_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
