/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A real gold nanocrystal in a real graphene cell is followed, and its lattice is told from theirs.
 */
#include "perrin/image/crystal.h"
#include "perrin/image/track.h"
#include "perrin/image/twoclass.h"
#include "testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 30, SIDE = 512, BOX = 160 };

static const double au_a = 4.078;

/* Frames of a little-endian u2 .npy file of the known shape, as float32; NULL if it is not that. */
static float *load(const char *path)
{
	size_t size, count = (size_t)FRAMES * SIDE * SIDE;
	char *bytes = testkit_read(path, &size);
	uint16_t head;
	float *out = malloc(sizeof *out * count);

	memcpy(&head, bytes + 8, sizeof head);
	assert_memory_equal(bytes, "\x93NUMPY\x01", 7);
	assert_non_null(strstr(bytes + 10, "'<u2'"));
	assert_non_null(strstr(bytes + 10, "(30, 512, 512)"));
	assert_int_equal(size, 10 + head + 2 * count);
	for (size_t i = 0; i < count; i++) {
		uint16_t v;

		memcpy(&v, bytes + 10 + head + 2 * i, sizeof v);
		out[i] = v;
	}
	free(bytes);
	return out;
}

static void cut(const float *frame, double x, double y, float *crop)
{
	long x0 = lround(x) - BOX / 2, y0 = lround(y) - BOX / 2;

	for (long v = 0; v < BOX; v++)
		for (long u = 0; u < BOX; u++) {
			int in = y0 + v >= 0 && y0 + v < SIDE && x0 + u >= 0 && x0 + u < SIDE;

			crop[v * BOX + u] = in ? frame[(y0 + v) * SIDE + x0 + u] : NAN;
		}
}

/* The crystal stays near [110] in these 30 frames. The zero-padded power spectrum of its crops,
 * averaged over all frames, has three pairs of spots: {111} 2.374 and 2.290 A, {200} 2.071 A (bulk
 * gold: 2.355 and 2.039). That the two {111} differ by 3.6 % is in the data, not in the method. */
static double off_spots(double spacing_pm)
{
	return fmin(fabs(spacing_pm / 237.4 - 1),
		    fmin(fabs(spacing_pm / 229.0 - 1), fabs(spacing_pm / 207.1 - 1)));
}

static float *movie;

static void the_particle_is_followed(void **state)
{
	(void)state;
	struct pn_tracker_params params;
	struct pn_tracker *t;
	struct pn_track tracks[4];
	struct pn_error err = { 0 };
	size_t count, told = 0;
	double far = 0;

	pn_params_default(pn_tracker_param_table, &params);
	params.pixel_pm = 32;
	params.redetect_frames = 8;
	assert_int_equal(pn_tracker_create(&t, SIDE, SIDE, &params, &err), PN_OK);
	for (int i = 0; i < FRAMES; i++) {
		pn_tracker_update(t, movie + (size_t)i * SIDE * SIDE, tracks, &count, &err);
		if (i < 2)
			continue;
		/* the mean image of its lattice spots over all frames is centred on (225, 222) and
		 * moves by some pixels about it: found by eye and by an independent filter */
		assert_int_equal(count, 1);
		assert_int_equal(tracks[0].particle, 1);
		assert_int_not_equal(tracks[0].state, PN_TRACK_LOST);
		far = fmax(far, hypot(tracks[0].x_px - 225, tracks[0].y_px - 222));
		told++;
	}
	printf("gold: followed in %zu frames, at most %.1f px off its mean place\n", told, far);
	assert_int_equal(told, FRAMES - 2);
	assert_true(far < 15);
	pn_tracker_destroy(t);
}

/* Distance of the strongest peak from the nearest background spot, 1/A. */
static double to_background(const struct pn_crystal_result *out, const struct pn_spot *spots,
			    size_t count)
{
	double nearest = INFINITY;

	for (size_t i = 0; i < count; i++)
		for (int sign = -1; sign <= 1; sign += 2)
			nearest = fmin(nearest, hypot(out->gx_per_A + sign * spots[i].gx_per_A,
						      out->gy_per_A + sign * spots[i].gy_per_A));
	return nearest;
}

static double off_bulk(double spacing_pm)
{
	return fmin(fabs(spacing_pm / (100 * au_a / sqrt(3)) - 1),
		    fabs(spacing_pm / (50 * au_a) - 1));
}

static void its_lattice_is_gold(void **state)
{
	(void)state;
	struct pn_background_params bg_params;
	struct pn_crystal_params params;
	struct pn_background *bg;
	struct pn_crystal *plan;
	struct pn_spot spots[PN_BACKGROUND_SPOTS_MAX];
	struct pn_error err = { 0 };
	float *crop = malloc(sizeof *crop * BOX * BOX);
	int strong = 0, right = 0, bulk = 0, pairs = 0, gold = 0, elsewhere = 0, sized = 0;

	pn_params_default(pn_background_param_table, &bg_params);
	bg_params.pixel_pm = 32;
	assert_int_equal(pn_background_create(&bg, SIDE, SIDE, &bg_params, &err), PN_OK);
	for (int i = 0; i < FRAMES; i++)
		pn_background_update(bg, movie + (size_t)i * SIDE * SIDE);
	size_t count = pn_background_find(bg, spots);

	for (size_t i = 0; i < count; i++)
		printf("spot %.3f A at %.1f deg, contrast %.1f\n",
		       1 / hypot(spots[i].gx_per_A, spots[i].gy_per_A),
		       atan2(spots[i].gy_per_A, spots[i].gx_per_A) * 180 / M_PI, spots[i].contrast);
	assert_true(count >= 3); /* a sheet has six, three pairs: some at least */
	pn_params_default(pn_crystal_param_table, &params);
	params.pixel_pm = 32;
	params.d_min_A = 1.6;
	params.window_part = 0.8; /* this crystal is over half of its crop wide */
	assert_int_equal(pn_crystal_create(&plan, BOX, BOX, &params, &err), PN_OK);
	for (int i = 0; i < FRAMES; i++) {
		const float *frame = movie + (size_t)i * SIDE * SIDE;
		struct pn_crystal_result out, away;

		cut(frame, 225, 222, crop);
		pn_crystal_execute(plan, crop, spots, count, &out);
		pn_crystal_size(plan, crop, &out);
		if (out.peak > 1.3 * pn_crystal_noise_peak(plan)) {
			strong++;
			right += off_spots(out.peaks[0].spacing_pm) < 0.025;
			bulk += off_bulk(out.spacing_pm) < 0.03;
			/* a quarter of the width of a peak of a 3 nm crystal */
			assert_true(to_background(&out, spots, count) > 0.01);
			sized += out.size_valid && out.diameter_nm > 2 && out.diameter_nm < 4;
		}
		/* the two {111} together, 70.5 degrees apart: their mean is gold's */
		if (out.second && fabs(out.second_angle_deg - 70.5) < 5) {
			double mean =
				(out.peaks[0].spacing_pm + out.peaks[out.second].spacing_pm) / 2;

			pairs++;
			gold += fabs(mean / (100 * au_a / sqrt(3)) - 1) < 0.03;
		}
		cut(frame, 420, 420, crop); /* a place without a particle */
		pn_crystal_execute(plan, crop, spots, count, &away);
		elsewhere += away.peak > 1.3 * pn_crystal_noise_peak(plan);
	}
	printf("gold: %d strong frames, %d at a spot of the mean spectrum, %d within 3 %% of bulk "
	       "gold; %d {111} pairs, the mean of %d so; %d sized; without a particle %d\n",
	       strong, right, bulk, pairs, gold, sized, elsewhere);
	assert_true(strong >= 25);
	assert_true(right >= strong - 1);
	/* its one {111} is 2.8 % off the bulk's, so that single frames may be over 3 */
	assert_true(bulk >= 0.9 * strong);
	assert_true(pairs >= 20 && gold >= pairs - 1);
	assert_true(sized >= strong - 3);
	assert_true(elsewhere <= 1);
	pn_crystal_destroy(plan);
	pn_background_destroy(bg);
	free(crop);
}

int main(void)
{
	const char *path = testkit_data("movie_au_glc/frames00-29_512x512_u16.npy");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_particle_is_followed),
		cmocka_unit_test(its_lattice_is_gold),
	};

	if (!path)
		return TESTKIT_SKIP;
	movie = load(path);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	free(movie);
	return rc;
}
