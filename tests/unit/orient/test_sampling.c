/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coverage with closed forms; conical FSC areas; resolution plots whose line is known. */
#include "perrin/orient/sampling.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"
#include "perrin/tomo/fsc.h"

#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- views ---------------------------------------------------------------------------------- */

/* Uniform over the part of the sphere with |z| in least..most. */
static double (*random_views(size_t count, double least, double most))[3]
{
	double(*view)[3] = calloc(count, sizeof *view);
	struct pn_rng rng;

	assert_non_null(view);
	pn_rng_init(&rng, 11, count);
	for (size_t i = 0; i < count; i++) {
		double z = least + (most - least) * pn_rng_uniform(&rng),
		       turn = 2 * M_PI * pn_rng_uniform(&rng), r = sqrt(1 - z * z);

		view[i][0] = r * cos(turn);
		view[i][1] = r * sin(turn);
		view[i][2] = pn_rng_uniform(&rng) < 0.5 ? -z : z;
	}
	return view;
}

static struct pn_sampling coverage(size_t count, double least, double most, double width)
{
	double(*view)[3] = random_views(count, least, most);
	struct pn_sampling s;
	struct pn_error err;

	assert_int_equal(pn_sampling_views(&s, view, count, width, &err), PN_OK);
	free(view);
	return s;
}

/* Uniform: n w views in a band, so the variance of s is (1 - w) / (n w), and SCF short by it. */
static void test_uniform(void **state)
{
	const size_t count[] = { 1000, 3000, 20000 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		const double width = 0.05, noise = (1 - width) / ((double)count[i] * width);
		struct pn_sampling s = coverage(count[i], 0, 1, width);

		assert_true(fabs(1 - s.scf - noise) < 0.3 * noise);
		assert_true(s.scf_filled == s.scf);
		assert_true(s.empty == 0);
		/* of a random point, none of n views in a cap of 2 pi / n of the half sphere times
		 * pi / 2 pi */
		assert_true(fabs(s.views_empty - exp(-M_PI)) < 0.02);
	}
}

/* Side views: s = (2 / pi) / sin(theta), so SCF = 8 / pi^2. A single axis is the same. */
static void test_side_views(void **state)
{
	struct pn_sampling s = coverage(20001, 0, 0, 0);
	double tilt[181][3];

	(void)state;
	assert_true(fabs(s.scf - 8 / (M_PI * M_PI)) < 0.01);
	assert_true(s.empty == 0);
	assert_true(s.views_empty > 0.9);
	assert_true(fabs(s.weakest[2]) < 0.3);
	for (int i = 0; i <= 180; i++) {
		tilt[i][0] = sin(i * M_PI / 181);
		tilt[i][1] = 0;
		tilt[i][2] = cos(i * M_PI / 181);
	}
	assert_int_equal(pn_sampling_views(&s, tilt, 181, 0.05, NULL), PN_OK);
	assert_true(fabs(s.scf - 8 / (M_PI * M_PI)) < 0.02);
}

/* Top views: one plane, of width w; all else is unseen, at the floor of 1e-3. */
static void test_top_view(void **state)
{
	const double top[1][3] = { { 0, 0, -1 } };
	struct pn_sampling s;

	(void)state;
	assert_int_equal(pn_sampling_views(&s, top, 1, 0, NULL), PN_OK);
	assert_true(fabs(s.empty - 0.98) < 1e-3);
	assert_true(fabs(s.scf - 1e-3 / 0.98) < 2e-5);
	assert_true(fabs(s.scf_filled - 1) < 1e-9);
	assert_true(fabs(s.weakest[2]) > 0.02);
}

/*
 * Views within a cone about z leave the cone of the rest of 90 degrees unseen. Tilts within
 * +-60 degrees leave a third of the directions, but for the width of their planes.
 */
static void test_missing(void **state)
{
	struct pn_sampling s = coverage(20000, cos(M_PI / 3), 1, 1e-3);
	double tilt[1201][3];

	(void)state;
	assert_true(fabs(s.empty - (1 - sin(M_PI / 3))) < 4e-3);
	assert_true(s.scf < 0.01 && s.scf_filled > 0.8);
	assert_true(fabs(s.weakest[2]) > cos(M_PI / 6));
	for (int i = 0; i <= 1200; i++) {
		const double angle = (i - 600) * M_PI / 1800;

		tilt[i][0] = sin(angle);
		tilt[i][1] = 0;
		tilt[i][2] = cos(angle);
	}
	assert_int_equal(pn_sampling_views(&s, tilt, 1201, 2e-3, NULL), PN_OK);
	assert_true(fabs(s.empty - 1.0 / 3) < 5e-3);
}

/* A slow count of one set of views, at the directions of a lattice of its own. */
static void test_slow(void **state)
{
	enum { COUNT = 301, LATTICE = 20000 };
	double(*view)[3] = random_views(COUNT, 0.2, 0.9), inverse = 0, mean = 0;
	static double hits[LATTICE];
	struct pn_sampling s;

	(void)state;
	for (int i = 0; i < LATTICE; i++) {
		double z = (i + 0.5) / LATTICE, r = sqrt(1 - z * z), turn = 2.399963 * i;

		hits[i] = 0;
		for (int k = 0; k < COUNT; k++)
			hits[i] += fabs(r * cos(turn) * view[k][0] + r * sin(turn) * view[k][1] +
					z * view[k][2]) < 0.1;
		mean += hits[i] / LATTICE;
	}
	for (int i = 0; i < LATTICE; i++)
		inverse += 1 / fmax(hits[i] / mean, 1e-3) / LATTICE;
	assert_int_equal(pn_sampling_views(&s, view, COUNT, 0.1, NULL), PN_OK);
	assert_true(fabs(s.scf - 1 / inverse) < 0.02 / inverse);
	free(view);
}

static void test_views_refused(void **state)
{
	const double bad[][3] = { { 0, 0, 1 }, { 0, 0, 2 } }, nan[][3] = { { NAN, 0, 0 } };
	struct pn_sampling s;
	struct pn_error err;

	(void)state;
	assert_int_equal(pn_sampling_views(&s, bad, 0, 0, &err), PN_EARG);
	assert_int_equal(pn_sampling_views(&s, bad, 2, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "view 1"));
	assert_int_equal(pn_sampling_views(&s, nan, 1, 0, &err), PN_EARG);
	assert_int_equal(pn_sampling_views(&s, bad, 1, -0.1, &err), PN_EARG);
	assert_int_equal(pn_sampling_views(&s, bad, 1, NAN, &err), PN_EARG);
}

/* ---- conical FSC ---------------------------------------------------------------------------- */

enum { EDGE = 48, CONES = 256 };
static const struct pn_box box = { EDGE, EDGE, EDGE };

/*
 * A white map plus noise whose amplitude is @floor in directions across z and grows to @along on
 * the axis.
 */
static void noisy_half(float *half, const float *map, double floor, double along, uint64_t seed)
{
	struct pn_fft3 *fft;
	struct pn_rng rng;
	float *noise = malloc(EDGE * EDGE * EDGE * sizeof *noise);

	assert_non_null(noise);
	pn_rng_init(&rng, seed, 9);
	for (int i = 0; i < EDGE * EDGE * EDGE; i++)
		noise[i] = (float)pn_rng_gauss(&rng);
	assert_int_equal(pn_fft3_plan(&fft, EDGE, EDGE, EDGE, NULL), PN_OK);
	float complex *spectrum = pn_fft_alloc(pn_fft3_spectrum(fft) * sizeof *spectrum);

	pn_fft3_forward(fft, noise, EDGE, EDGE, EDGE, spectrum);
	for (size_t i = 0; i < pn_fft3_spectrum(fft); i++) {
		const size_t x = i % (EDGE / 2 + 1), y = i / (EDGE / 2 + 1) % EDGE,
			     z = i / (EDGE / 2 + 1) / EDGE;
		const double fy = y > EDGE / 2 ? (double)y - EDGE : (double)y,
			     fz = z > EDGE / 2 ? (double)z - EDGE : (double)z;
		const double k = sqrt((double)(x * x) + fy * fy + fz * fz);
		const double cosine = k > 0 ? fabs(fz) / k : 0, share = k / (EDGE / 2);

		spectrum[i] *=
			(float)((floor + along * pow(cosine, 8)) * share / (EDGE * EDGE * EDGE));
	}
	pn_fft3_backward(fft, spectrum, noise, EDGE, EDGE, EDGE);
	for (int i = 0; i < EDGE * EDGE * EDGE; i++)
		half[i] = map[i] + noise[i];
	pn_fft_free(spectrum);
	pn_fft3_destroy(fft);
	free(noise);
}

static float *white_map(void)
{
	float *map = malloc(EDGE * EDGE * EDGE * sizeof *map);
	struct pn_rng rng;

	assert_non_null(map);
	pn_rng_init(&rng, 3, 3);
	for (int i = 0; i < EDGE * EDGE * EDGE; i++)
		map[i] = (float)pn_rng_gauss(&rng);
	return map;
}

static void test_far(void **state)
{
	static float a[EDGE * EDGE * EDGE], b[EDGE * EDGE * EDGE];
	float *map = white_map();
	double far, again, area[CONES];
	int threads = omp_get_max_threads(), strongest = 0, weakest = 0;
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 31, 1);
	assert_int_equal(pn_conical_far(&far, area, CONES, map, map, &box, 20, NULL), PN_OK);
	assert_true(fabs(far - 1) < 1e-12);
	assert_true(fabs(area[7] - 1) < 1e-12);

	noisy_half(a, map, 0.7, 0, 1);
	noisy_half(b, map, 0.7, 0, 2);
	assert_int_equal(pn_conical_far(&far, NULL, CONES, a, b, &box, 20, NULL), PN_OK);
	assert_true(far > 0.9 && far < 1);

	/* white noise: the few samples of the inner shells scatter, which must not end a cone */
	noisy_half(a, map, 0, 0, 1);
	noisy_half(b, map, 0, 0, 2);
	for (int i = 0; i < EDGE * EDGE * EDGE; i++) {
		a[i] += 0.6f * (float)pn_rng_gauss(&rng);
		b[i] += 0.6f * (float)pn_rng_gauss(&rng);
	}
	assert_int_equal(pn_conical_far(&far, area, CONES, a, b, &box, 20, NULL), PN_OK);
	assert_true(far > 0.85);
	for (int i = 0; i < CONES; i++) /* FSC = 1 / (1 + 0.36) */
		assert_true(fabs(area[i] - 1 / 1.36) < 0.05);

	noisy_half(a, map, 0.7, 5, 1);
	noisy_half(b, map, 0.7, 5, 2);
	omp_set_num_threads(1);
	assert_int_equal(pn_conical_far(&far, area, CONES, a, b, &box, 20, NULL), PN_OK);
	omp_set_num_threads(3);
	assert_int_equal(pn_conical_far(&again, NULL, CONES, a, b, &box, 20, NULL), PN_OK);
	omp_set_num_threads(threads);
	assert_true(far == again);
	assert_true(far < 0.5);
	for (int i = 0; i < CONES; i++) {
		strongest = area[i] > area[strongest] ? i : strongest;
		weakest = area[i] < area[weakest] ? i : weakest;
	}
	/* the lattice goes from the pole to the equator */
	assert_true(weakest < 20 && strongest > 100);
	/* nothing in common at all */
	for (int i = 0; i < EDGE * EDGE * EDGE; i++)
		a[i] = -map[i];
	assert_int_equal(pn_conical_far(&far, NULL, CONES, a, map, &box, 20, NULL), PN_OK);
	assert_true(far == 0);
	free(map);
}

/* The area of one cone from pn_fsc, which knows nothing of the others. */
static void test_far_slow(void **state)
{
	static float a[EDGE * EDGE * EDGE], b[EDGE * EDGE * EDGE];
	float *map = white_map();
	double far, area[CONES], fsc[EDGE / 2 + 1], samples[EDGE / 2 + 1];

	(void)state;
	noisy_half(a, map, 0.7, 1.5, 1);
	noisy_half(b, map, 0.7, 1.5, 2);
	assert_int_equal(pn_conical_far(&far, area, CONES, a, b, &box, 20, NULL), PN_OK);
	for (int i = 0; i < CONES; i += 17) {
		const double z = 1 - (i + 0.5) / CONES, r = sqrt(1 - z * z),
			     turn = M_PI * (3 - sqrt(5)) * i;
		const struct pn_cone cone = { { r * cos(turn), r * sin(turn), z }, 20 };
		double sum = 0, all = 0;
		int over = 0;

		assert_int_equal(pn_fsc(a, b, &box, &cone, fsc, samples, NULL), PN_OK);
		for (int s = 1; s <= EDGE / 2; s++) {
			if (!(samples[s] > 0))
				continue;
			over = over || (fsc[s] <= 0.143 && samples[s] >= 20);
			all += s * s;
			sum += over ? 0 : s * s * fmax(fsc[s], 0);
		}
		assert_true(fabs(area[i] - sum / all) < 1e-3);
	}
	free(map);
}

static void test_far_refused(void **state)
{
	float *map = white_map();
	double far;
	struct pn_error err;

	(void)state;
	assert_int_equal(pn_conical_far(&far, NULL, 0, map, map, &box, 20, &err), PN_EARG);
	assert_int_equal(pn_conical_far(&far, NULL, 5000, map, map, &box, 20, &err), PN_EARG);
	assert_int_equal(pn_conical_far(&far, NULL, 16, map, map, &box, 0, &err), PN_EARG);
	assert_int_equal(pn_conical_far(&far, NULL, 16, map, map, &box, 91, &err), PN_EARG);
	map[EDGE + 2] = NAN;
	assert_int_equal(pn_conical_far(&far, NULL, 16, map, map, &box, 20, &err), PN_EARG);
	assert_non_null(strstr(err.text, "0 1 2"));
	free(map);
}

static void test_ssnr(void **state)
{
	const double fsc[] = { 1, 0.5, 1.0 / 3, 0, -0.2, NAN };
	const double want[] = { INFINITY, 2, 1, 0, 0, 0 };
	double ssnr[6];

	(void)state;
	pn_ssnr(ssnr, fsc, 6);
	for (int s = 0; s < 6; s++)
		assert_true(ssnr[s] == want[s] || fabs(ssnr[s] - want[s]) < 1e-12);
}

/* ---- resolution plots ----------------------------------------------------------------------- */

/* An exact line in, its own continuation out; points at the limit do not count. */
static void test_line(void **state)
{
	const double frames[] = { 100, 200, 400, 900, 2500, 5000 };
	double d[6];
	struct pn_gain g;

	(void)state;
	for (int i = 0; i < 6; i++)
		d[i] = 1 / sqrt(-0.2 + 0.07 * log(frames[i]));
	d[5] = 0.9;
	assert_int_equal(pn_gain_predict(&g, frames, d, 6, 1, 15000, NULL), PN_OK);
	assert_int_equal(g.points, 5);
	assert_true(fabs(g.slope - 0.07) < 1e-12);
	assert_true(fabs(g.offset + 0.2) < 1e-12);
	assert_true(g.slope_uncertainty < 1e-9);
	assert_true(fabs(g.resolution_A - 1 / sqrt(-0.2 + 0.07 * log(5000))) < 1e-9);
	assert_true(fabs(g.next_A - 1 / sqrt(-0.2 + 0.07 * log(20000))) < 1e-9);
	assert_true(g.next_low_A <= g.next_A && g.next_A <= g.next_high_A);
	assert_true(g.next_high_A - g.next_low_A < 1e-6);
}

/* The interval holds the next point as often as a standard deviation should, few points or many. */
static void test_interval(void **state)
{
	const int sizes[] = { 3, 4, 6, 15 };
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 4, 4);
	for (int k = 0; k < 4; k++) {
		enum { TRIALS = 20000 };
		const int n = sizes[k];
		double inside = 0, frames[15], d[15];

		for (int t = 0; t < TRIALS; t++) {
			struct pn_gain g;

			for (int i = 0; i < n; i++) {
				frames[i] = 200 * pow(1.6, i);
				d[i] = 1 / sqrt(0.1 + 0.04 * log(frames[i]) +
						0.01 * pn_rng_gauss(&rng));
			}
			const double next = frames[n - 1] * 2;
			const double seen =
				1 / sqrt(0.1 + 0.04 * log(next) + 0.01 * pn_rng_gauss(&rng));

			assert_int_equal(
				pn_gain_predict(&g, frames, d, (size_t)n, 0, frames[n - 1], NULL),
				PN_OK);
			inside += seen >= g.next_low_A && seen <= g.next_high_A;
		}
		assert_true(fabs(inside / TRIALS - 0.6827) < 0.012);
	}
}

static void test_line_refused(void **state)
{
	const double frames[] = { 100, 200, 400 }, down[] = { 100, 90, 400 };
	const double d[] = { 2, 1.8, 1.6 }, open[] = { INFINITY, 1.8, 1.6 },
		     worse[] = { 1.6, 1.8, 2 };
	struct pn_gain g;
	struct pn_error err;

	(void)state;
	assert_int_equal(pn_gain_predict(&g, frames, d, 2, 0, 10, &err), PN_EAGAIN);
	assert_int_equal(pn_gain_predict(&g, frames, d, 0, 0, 10, &err), PN_EAGAIN);
	assert_int_equal(pn_gain_predict(&g, frames, d, 3, 1.7, 10, &err), PN_EAGAIN);
	assert_int_equal(pn_gain_predict(&g, frames, open, 3, 0, 10, &err), PN_EAGAIN);
	assert_int_equal(pn_gain_predict(&g, down, d, 3, 0, 10, &err), PN_EARG);
	assert_int_equal(pn_gain_predict(&g, frames, d, 3, 0, -1, &err), PN_EARG);
	assert_int_equal(pn_gain_predict(&g, frames, d, 3, NAN, 1, &err), PN_EARG);
	/* what gets worse is foretold to do so, to no resolution at all in the end */
	assert_int_equal(pn_gain_predict(&g, frames, worse, 3, 0, 1e9, &err), PN_OK);
	assert_true(g.slope < 0 && isinf(g.next_A));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uniform),      cmocka_unit_test(test_side_views),
		cmocka_unit_test(test_top_view),     cmocka_unit_test(test_missing),
		cmocka_unit_test(test_slow),         cmocka_unit_test(test_views_refused),
		cmocka_unit_test(test_far),          cmocka_unit_test(test_far_slow),
		cmocka_unit_test(test_far_refused),  cmocka_unit_test(test_ssnr),
		cmocka_unit_test(test_line),         cmocka_unit_test(test_interval),
		cmocka_unit_test(test_line_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
