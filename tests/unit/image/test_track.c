/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tracker finds and follows particles in noise to a pixel, and sees none where there are none.
 */
#include "perrin/image/track.h"

#include "synthetic.h"
#include "testkit.h"

#include <omp.h>

static const double pixel_A = 0.358, dose_e_px = 1.92, height = 0.25;
static struct syn_atoms atoms;

struct walker {
	double turn[4], x, y;
	int hidden;
};

static void walk(struct walker *w, double step_px, double step_rad, struct pn_rng *rng)
{
	for (int i = 0; i < 4; i++)
		w->turn[i] += step_rad * pn_rng_gauss(rng);
	w->x += step_px * pn_rng_gauss(rng);
	w->y += step_px * pn_rng_gauss(rng);
}

static void draw_frame(float *frame, size_t ny, size_t nx, const struct walker *w, size_t count,
		       struct pn_rng *rng)
{
	memset(frame, 0, sizeof *frame * ny * nx);
	for (size_t i = 0; i < count; i++)
		if (!w[i].hidden)
			syn_draw(frame, ny, nx, pixel_A, &atoms, w[i].turn, w[i].x, w[i].y, 0.5,
				 height);
	syn_highpass(frame, ny, nx, 12, 0.1);
	syn_graphene(frame, ny, nx, pixel_A, 0.3, 0.03);
	syn_liquid(frame, ny, nx, 1.5, 0.05, rng);
	syn_count(frame, ny * nx, dose_e_px, rng);
}

/* A tracker; one with a fine cut-off is told where the graphene of draw_frame has its spots. */
static struct pn_tracker *tracker_of(size_t ny, size_t nx, double lowpass_A)
{
	struct pn_spot spots[3];
	struct pn_tracker_params params;
	struct pn_tracker *t;
	struct pn_error err = { 0 };

	pn_params_default(pn_tracker_param_table, &params);
	params.pixel_pm = pixel_A * 100;
	params.lowpass_A = lowpass_A;
	params.diameter_nm = 2;
	assert_int_equal(pn_tracker_create(&t, ny, nx, &params, &err), PN_OK);
	for (int k = 0; k < 3; k++) {
		double a = 0.3 + k * M_PI / 3;

		spots[k] = (struct pn_spot){ cos(a) / 2.1304, sin(a) / 2.1304, 1 };
	}
	if (lowpass_A < 2.13)
		pn_tracker_set_background(t, spots, 3);
	return t;
}

static void follow_one(double lowpass_A)
{
	enum { N = 224, FRAMES = 120 };
	float *frame = malloc(sizeof *frame * N * N);
	struct pn_tracker *t = tracker_of(N, N, lowpass_A);
	struct pn_track tracks[4];
	struct walker w = { { 0.70710678, 0.5, -0.5, 0 }, 115, 108, 0 };
	struct pn_rng rng, motion;
	double sum2 = 0;
	size_t count, frames = 0;
	int first = -1;

	syn_sphere(&atoms, 20, 3.924);
	pn_rng_init(&motion, 2, 0);
	for (int i = 0; i < FRAMES; i++) {
		pn_rng_init(&rng, 1, (uint64_t)i);
		walk(&w, 0.5, 0.01, &motion);
		draw_frame(frame, N, N, &w, 1, &rng);
		assert_int_equal(pn_tracker_update(t, frame, tracks, &count, NULL), PN_OK);
		assert_true(count <= 1);
		if (!count)
			continue;
		if (first < 0) {
			first = i;
			assert_int_equal(tracks[0].state, PN_TRACK_NEW);
		} else {
			assert_int_equal(tracks[0].state, PN_TRACK_FOUND);
		}
		assert_int_equal(tracks[0].particle, 1);
		if (i >= first + 8) {
			sum2 += (pow(tracks[0].x_px - w.x, 2) + pow(tracks[0].y_px - w.y, 2)) / 2;
			frames++;
		}
	}
	printf("cut-off %g A: first seen in frame %d, centre %.2f px rms per axis over %zu "
	       "frames\n",
	       lowpass_A, first, sqrt(sum2 / (double)frames), frames);
	assert_in_range(first, 0, 10);
	assert_true(sqrt(sum2 / (double)frames) < 1);
	pn_tracker_destroy(t);
	free(frame);
}

static void one_particle_to_a_pixel(void **state)
{
	(void)state;
	follow_one(2.3);
	follow_one(1.15);
}

static void look_at_noise(double lowpass_A)
{
	enum { N = 256, FRAMES = 80 };
	float *frame = malloc(sizeof *frame * N * N);
	struct pn_tracker *t = tracker_of(N, N, lowpass_A);
	struct pn_track tracks[4];
	struct pn_rng rng;
	size_t count, told = 0;

	for (int i = 0; i < FRAMES; i++) {
		pn_rng_init(&rng, 5, (uint64_t)i);
		draw_frame(frame, N, N, NULL, 0, &rng);
		assert_int_equal(pn_tracker_update(t, frame, tracks, &count, NULL), PN_OK);
		told += count;
	}
	printf("noise: %zu particle-frames of %d frames\n", told, FRAMES);
	assert_int_equal(told, 0);
	pn_tracker_destroy(t);
	free(frame);
}

static void noise_has_no_particles(void **state)
{
	(void)state;
	look_at_noise(2.3);
	look_at_noise(1.15);
}

/* Three particles; number 2 hides for a while and returns near where it was. */
static void several_are_lost_and_found(void **state)
{
	(void)state;
	enum { NY = 288, NX = 384, FRAMES = 150, HIDE = 30, SHOW_AGAIN = 90 };
	float *frame = malloc(sizeof *frame * NY * NX);
	struct pn_tracker *t = tracker_of(NY, NX, 2.3), *again = tracker_of(NY, NX, 2.3);
	struct pn_track tracks[4], same[4];
	struct walker w[3] = { { { 0.70710678, 0.5, -0.5, 0 }, 70, 90, 0 },
			       { { 1, 0, 0, 0 }, 300, 80, 0 },
			       { { 0.70710678, 0.5, 0.5, 0.1 }, 190, 210, 0 } };
	struct pn_rng rng, motion;
	size_t count, same_count, size = 0;
	uint32_t name[3] = { 0 };
	int lost_seen = 0, back = -1;
	char *blob = NULL;

	syn_sphere(&atoms, 20, 3.924);
	pn_rng_init(&motion, 7, 0);
	for (int i = 0; i < FRAMES; i++) {
		pn_rng_init(&rng, 8, (uint64_t)i);
		w[1].hidden = i >= HIDE && i < SHOW_AGAIN;
		for (int k = 0; k < 3; k++)
			walk(&w[k], w[k].hidden ? 0.2 : 0.6, 0.006, &motion);
		draw_frame(frame, NY, NX, w, 3, &rng);
		memset(tracks, 0, sizeof tracks);
		assert_int_equal(pn_tracker_update(t, frame, tracks, &count, NULL), PN_OK);
		if (i ==
		    60) { /* go on elsewhere from a saved state, with another number of threads */
			assert_int_equal(pn_tracker_save(t, NULL, &size, NULL), PN_OK);
			blob = malloc(size);
			assert_int_equal(pn_tracker_save(t, blob, &size, NULL), PN_OK);
			assert_int_equal(pn_tracker_load(again, blob, size, NULL), PN_OK);
		} else if (i > 60) {
			memset(same, 0, sizeof same);
			assert_int_equal(pn_tracker_update(again, frame, same, &same_count, NULL),
					 PN_OK);
			assert_int_equal(count, same_count);
			assert_memory_equal(tracks, same, sizeof tracks);
		}
		for (size_t k = 0; k < count; k++) {
			int who = -1;

			for (int p = 0; p < 3; p++)
				if (hypot(tracks[k].x_px - w[p].x, tracks[k].y_px - w[p].y) < 12)
					who = p;
			if (tracks[k].state == PN_TRACK_LOST) {
				assert_int_equal(tracks[k].particle, name[1]);
				lost_seen = 1;
				continue;
			}
			if (who == 1 && i >= SHOW_AGAIN && lost_seen && back < 0)
				back = i;
			assert_true(who >= 0);
			if (!name[who])
				name[who] = tracks[k].particle;
			assert_int_equal(tracks[k].particle, name[who]);
		}
	}
	printf("lost and found again %d frames after it showed, %zu bytes of state\n",
	       back - SHOW_AGAIN, size);
	assert_true(name[0] && name[1] && name[2]);
	assert_true(lost_seen && back >= 0 && back < SHOW_AGAIN + 60);
	assert_int_equal(count, 3);
	assert_int_equal(pn_tracker_load(again, blob, size - 1, NULL), PN_EFORMAT);
	blob[8]++;
	assert_int_equal(pn_tracker_load(again, blob, size, NULL), PN_EVERSION);
	free(blob);
	pn_tracker_destroy(t);
	pn_tracker_destroy(again);
	free(frame);
}

static void threads_do_not_matter(void **state)
{
	(void)state;
	enum { N = 288, FRAMES = 12 };
	float *frame = malloc(sizeof *frame * N * N);
	struct pn_track result[2][FRAMES][4];
	struct walker w[2] = { { { 0.70710678, 0.5, -0.5, 0 }, 90, 100, 0 },
			       { { 1, 0, 0, 0 }, 200, 190, 0 } };

	int before = omp_get_max_threads();

	memset(result, 0, sizeof result);
	syn_sphere(&atoms, 20, 3.924);
	for (int run = 0; run < 2; run++) {
		omp_set_num_threads(run ? 4 : 1);
		struct pn_tracker *t = tracker_of(N, N, 2.3);

		for (int i = 0; i < FRAMES; i++) {
			struct pn_rng rng;
			size_t count;

			pn_rng_init(&rng, 9, (uint64_t)i);
			draw_frame(frame, N, N, w, 2, &rng);
			pn_tracker_update(t, frame, result[run][i], &count, NULL);
		}
		pn_tracker_destroy(t);
	}
	omp_set_num_threads(before);
	assert_true(result[0][FRAMES - 1][1].particle == 2);
	assert_memory_equal(result[0], result[1], sizeof result[0]);
	free(frame);
}

static void bad_frames_show_nothing(void **state)
{
	(void)state;
	static const size_t shape[][2] = { { 1, 1 }, { 3, 200 }, { 40, 40 }, { 170, 161 } };

	for (size_t s = 0; s < PN_COUNT(shape); s++) {
		size_t ny = shape[s][0], nx = shape[s][1], count;
		float *frame = malloc(sizeof *frame * ny * nx);
		struct pn_tracker *t = tracker_of(ny, nx, 2.3);
		struct pn_track tracks[2];

		for (int kind = 0; kind < 6; kind++) {
			for (size_t i = 0; i < ny * nx; i++) {
				const float value[] = { 0,
							NAN,
							65535,
							INFINITY,
							i == 0 ? 3e38f : -3e38f,
							i % 2 ? NAN : 7 };

				frame[i] = value[kind];
			}
			assert_int_equal(pn_tracker_update(t, frame, tracks, &count, NULL), PN_OK);
			for (size_t k = 0; k < count; k++)
				assert_true(isfinite(tracks[k].x_px) && isfinite(tracks[k].sigma));
			if (kind < 4)
				assert_int_equal(count, 0);
		}
		pn_tracker_destroy(t);
		free(frame);
	}
	struct pn_tracker_params params;
	struct pn_tracker *t;
	struct pn_error err = { 0 };

	pn_params_default(pn_tracker_param_table, &params);
	assert_int_equal(pn_tracker_create(&t, 0, 4, &params, &err), PN_EARG);
	params.particles_max = 17;
	assert_int_equal(pn_tracker_create(&t, 64, 64, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "particles_max"));
	pn_tracker_destroy(NULL);
}

/* A particle survives bad pixels: dead, hot and missing ones. */
static void bad_pixels_do_not_move_it(void **state)
{
	(void)state;
	enum { N = 256, FRAMES = 40 };
	float *frame = malloc(sizeof *frame * N * N);
	struct pn_tracker *t = tracker_of(N, N, 2.3);
	struct pn_track tracks[4];
	struct walker w = { { 0.70710678, 0.5, -0.5, 0 }, 130, 120, 0 };
	size_t count = 0;

	syn_sphere(&atoms, 20, 3.924);
	for (int i = 0; i < FRAMES; i++) {
		struct pn_rng rng;

		pn_rng_init(&rng, 12, (uint64_t)i);
		draw_frame(frame, N, N, &w, 1, &rng);
		for (int k = 0; k < 500; k++)
			frame[pn_rng_below(&rng, N * N)] = k % 2 ? NAN : INFINITY;
		pn_tracker_update(t, frame, tracks, &count, NULL);
	}
	assert_int_equal(count, 1);
	assert_true(hypot(tracks[0].x_px - w.x, tracks[0].y_px - w.y) < 2);
	pn_tracker_destroy(t);
	free(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_particle_to_a_pixel),
		cmocka_unit_test(noise_has_no_particles),
		cmocka_unit_test(several_are_lost_and_found),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(bad_frames_show_nothing),
		cmocka_unit_test(bad_pixels_do_not_move_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
