/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/denoise/spot.h"
#include "perrin/format/stack.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 160, COUNT = SIDE * SIDE, PAIRS = 12 };

static float a[COUNT], b[COUNT];

static void white(float *image, double mean, double sigma, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 77, seed);
	for (int i = 0; i < COUNT; i++)
		image[i] = (float)(mean + sigma * pn_rng_gauss(&rng));
}

/* Blurs with a 3x3 kernel, the edges wrapped round. */
static void blur(float *image, double kernel[3][3])
{
	static float out[COUNT];

	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			double sum = 0;

			for (int k = 0; k < 9; k++) {
				int v = (y + k / 3 - 1 + SIDE) % SIDE;
				int u = (x + k % 3 - 1 + SIDE) % SIDE;

				sum += kernel[k / 3][k % 3] * image[v * SIDE + u];
			}
			out[y * SIDE + x] = (float)sum;
		}
	memcpy(image, out, sizeof out);
}

static void add_disk(float *image, double height, double radius, double y0, double x0)
{
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
			if (hypot(y - y0, x - x0) < radius)
				image[y * SIDE + x] += (float)height;
}

static void add_pair(struct pn_noise *noise)
{
	struct pn_error err = { 0 };

	if (pn_noise_add(noise, a, b, SIDE, SIDE, &err) != PN_OK)
		fail_msg("%s", err.text);
}

/* largest magnitude of all lags at least @ring px away in y or x */
static double largest(const struct pn_noise *noise, int ring)
{
	double max = 0;

	for (int dy = -4; dy <= 4; dy++)
		for (int dx = -4; dx <= 4; dx++)
			if (abs(dy) >= ring || abs(dx) >= ring)
				max = fmax(max, fabs(pn_noise_correlation(noise, dy, dx)));
	return max;
}

static void white_noise_needs_one_pixel(void **state)
{
	struct pn_noise noise = { 0 };

	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		white(a, 100, 7, 2 * i);
		white(b, 100, 7, 2 * i + 1);
		add_pair(&noise);
	}
	assert_true(noise.pairs == PAIRS);
	assert_true(fabs(pn_noise_correlation(&noise, 0, 0) - 1) < 1e-12);
	assert_true(largest(&noise, 1) < 0.03);
	assert_int_equal(pn_noise_spot_px(&noise, 0.05), 1);
	for (int dy = -4; dy <= 4; dy++)
		for (int dx = -4; dx <= 4; dx++)
			assert_true(pn_noise_correlation(&noise, dy, dx) ==
				    pn_noise_correlation(&noise, -dy, -dx));
}

/* Unlike in y and x, so that no axis is taken for the other; diagonals of two kinds. */
static void blurred_noise_correlates_as_its_kernel(void **state)
{
	double kernel[3][3] = { { 0.1, 0.2, 0 }, { 0.4, 1, 0.3 }, { 0, 0.15, 0 } };
	struct pn_noise noise = { 0 };
	double c0 = 0;

	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		white(a, 100, 7, 2 * i);
		white(b, 100, 7, 2 * i + 1);
		blur(a, kernel);
		blur(b, kernel);
		add_pair(&noise);
	}
	for (int k = 0; k < 9; k++)
		c0 += kernel[k / 3][k % 3] * kernel[k / 3][k % 3];
	for (int dy = -4; dy <= 4; dy++)
		for (int dx = -4; dx <= 4; dx++) {
			double c = 0;

			for (int y = 0; y < 3; y++)
				for (int x = 0; x < 3; x++)
					if (y + dy >= 0 && y + dy < 3 && x + dx >= 0 && x + dx < 3)
						c += kernel[y][x] * kernel[y + dy][x + dx] / c0;
			double got = pn_noise_correlation(&noise, dy, dx);

			if (fabs(got - c) > 0.03)
				fail_msg("lag (%d, %d): %g, the kernel says %g", dy, dx, got, c);
		}
	assert_int_equal(pn_noise_spot_px(&noise, 0.05), 5); /* (0, 2) is 0.09 */
	assert_int_equal(pn_noise_spot_px(&noise, 0.2), 3);
	assert_int_equal(pn_noise_spot_px(&noise, 0.9), 1);
}

/* What reaches farther than the widest spot is told as the widest; a negative lag counts as well.
 */
static void limit_is_of_magnitude_outside_the_spot(void **state)
{
	struct pn_noise noise = { .pairs = 2 };

	(void)state;
	noise.sum[4][4] = 2;
	assert_int_equal(pn_noise_spot_px(&noise, 0.05), 1);
	noise.sum[3][5] = noise.sum[5][3] = -0.2;
	assert_int_equal(pn_noise_spot_px(&noise, 0.11), 1);
	assert_int_equal(pn_noise_spot_px(&noise, 0.09), 3);
	noise.sum[4][2] = noise.sum[4][6] = 0.2;
	assert_int_equal(pn_noise_spot_px(&noise, 0.09), 5);
	noise.sum[0][8] = noise.sum[8][0] = 1;
	assert_int_equal(pn_noise_spot_px(&noise, 0.4), 5);
	assert_int_equal(pn_noise_spot_px(&noise, 0.6), 1);
	assert_true(fabs(pn_noise_correlation(&noise, -4, 4) - 0.5) < 1e-12);
	assert_int_equal(pn_noise_spot_px(&noise, NAN), 5);
}

/* A bright disk that moves and flickers, brightness and a ramp that change: slow, all of it. */
static void what_moves_is_not_noise(void **state)
{
	struct pn_noise noise = { 0 };

	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		white(a, 100, 7, 2 * i);
		white(b, 109, 7, 2 * i + 1);
		add_disk(a, 70, 30, 70 + i, 60 + 2 * i);
		add_disk(b, 74, 30, 71 + i, 62 + 2 * i);
		for (int p = 0; p < COUNT; p++)
			b[p] += (float)(0.02 * (p % SIDE));
		add_pair(&noise);
	}
	assert_true(largest(&noise, 1) < 0.04);
	assert_int_equal(pn_noise_spot_px(&noise, 0.05), 1);
}

/* Half of the image dead but for a pixel here and there: such tiles are quietest, and tell nothing.
 */
static void dead_areas_are_not_looked_at(void **state)
{
	double kernel[3][3] = { { 0, 0, 0 }, { 0.5, 1, 0 }, { 0, 0, 0 } };
	struct pn_noise noise = { 0 };

	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		white(a, 0, 7, 2 * i);
		white(b, 0, 7, 2 * i + 1);
		blur(a, kernel);
		blur(b, kernel);
		for (int p = 0; p < COUNT; p++)
			if (p / SIDE < 80) {
				a[p] = 0;
				b[p] = p / SIDE % 16 == 8 && p % 16 == 8;
			}
		add_pair(&noise);
	}
	assert_true(fabs(pn_noise_correlation(&noise, 0, 1) - 0.4) < 0.04);
	assert_true(fabs(pn_noise_correlation(&noise, 1, 0)) < 0.03);
}

/* The pattern both frames share is not there in the difference, whatever it correlates with. */
static void fixed_pattern_cancels(void **state)
{
	struct pn_noise with = { 0 }, without = { 0 };

	(void)state;
	white(a, 100, 7, 1);
	white(b, 100, 7, 2);
	add_pair(&without);
	for (int p = 0; p < COUNT; p++) {
		a[p] += (float)(p % SIDE % 8 < 4 ? 64 : 0);
		b[p] += (float)(p % SIDE % 8 < 4 ? 64 : 0);
	}
	add_pair(&with);
	for (int dy = -4; dy <= 4; dy++)
		for (int dx = -4; dx <= 4; dx++)
			assert_true(fabs(pn_noise_correlation(&with, dy, dx) -
					 pn_noise_correlation(&without, dy, dx)) < 1e-4);
}

static void must_refuse(size_t ny, size_t nx, int code, const char *words)
{
	struct pn_noise noise = { 0 }, zero = { 0 };
	struct pn_error err = { 0 };

	assert_int_equal(pn_noise_add(&noise, a, b, ny, nx, &err), code);
	if (err.code != code || !strstr(err.text, words))
		fail_msg("\"%s\", want \"%s\"", err.text, words);
	assert_memory_equal(&noise, &zero, sizeof noise);
}

static void bad_images_are_refused_and_add_nothing(void **state)
{
	struct pn_noise noise = { 0 };

	(void)state;
	assert_true(isnan(pn_noise_correlation(&noise, 0, 1)));
	assert_int_equal(pn_noise_spot_px(&noise, 0.5), 5);
	white(a, 0, 1, 1);
	white(b, 0, 1, 2);
	must_refuse(31, SIDE, PN_EARG, "31 x 160");
	must_refuse(SIDE, 31, PN_EARG, "160 x 31");
	must_refuse(0, 0, PN_EARG, "0 x 0");
	assert_int_equal(pn_noise_add(&noise, a, b, 32, 32, NULL), PN_OK);
	b[3 * SIDE + 5] = NAN;
	must_refuse(SIDE, SIDE, PN_EFRAME, "image b is nan at pixel (3, 5)");
	a[7] = -INFINITY;
	must_refuse(SIDE, SIDE, PN_EFRAME, "image a is -inf at pixel (0, 7)");
	white(a, 8, 1, 1);
	memcpy(b, a, sizeof a);
	must_refuse(SIDE, SIDE, PN_EFRAME, "differ by a constant");
	for (int p = 0; p < COUNT; p++) {
		a[p] = 5;
		b[p] = 6;
	}
	must_refuse(SIDE, SIDE, PN_EFRAME, "differ by a constant");
}

/* ---- measured and simulated movies --------------------------------------------------------- */

/* all images of a stack of u8 or u16, as float; the caller frees */
static float *load(const char *path, uint64_t *count, size_t *ny, size_t *nx)
{
	struct pn_error err = { 0 };
	struct pn_stack *stack;

	if (pn_stack_open(&stack, path, &err) != PN_OK)
		fail_msg("%s", err.text);
	const struct pn_stack_info info = *pn_stack_info(stack);
	size_t pixels = info.ny * info.nx, bytes = pn_dtype_bytes(info.dtype);
	uint8_t *raw = malloc(pixels * bytes);
	float *all = malloc(info.count * pixels * sizeof *all);

	assert_true(raw && all && (info.dtype == PN_U8 || info.dtype == PN_U16));
	for (uint64_t k = 0; k < info.count; k++) {
		assert_int_equal(pn_stack_read(stack, k, raw, &err), PN_OK);
		for (size_t i = 0; i < pixels; i++)
			all[k * pixels + i] = bytes == 1 ? raw[i] : ((const uint16_t *)raw)[i];
	}
	pn_stack_close(stack);
	free(raw);
	*count = info.count;
	*ny = info.ny;
	*nx = info.nx;
	return all;
}

static struct pn_noise noise_of(const char *path)
{
	struct pn_noise noise = { 0 };
	struct pn_error err = { 0 };
	uint64_t count;
	size_t ny, nx;
	float *all = load(path, &count, &ny, &nx);

	for (uint64_t k = 0; k + 1 < count; k++)
		if (pn_noise_add(&noise, all + k * ny * nx, all + (k + 1) * ny * nx, ny, nx, &err))
			fail_msg("%s", err.text);
	free(all);
	return noise;
}

/* A gold particle that tumbles in a liquid cell: measured. */
static void measured_movie(void **state)
{
	const char *path = testkit_data("movie_au_glc/frames00-29_512x512_u16.npy");

	(void)state;
	if (!path)
		skip();
	struct pn_noise noise = noise_of(path);

	for (int dy = 0; dy <= 4; dy++)
		print_message(
			"measured, dy = %d: %.3f %.3f %.3f %.3f %.3f\n", dy,
			pn_noise_correlation(&noise, dy, 0), pn_noise_correlation(&noise, dy, 1),
			pn_noise_correlation(&noise, dy, 2), pn_noise_correlation(&noise, dy, 3),
			pn_noise_correlation(&noise, dy, 4));
	assert_true(fabs(pn_noise_correlation(&noise, 0, 1) - 0.26) < 0.03);
	assert_true(fabs(pn_noise_correlation(&noise, 0, 2) - 0.03) < 0.02);
	assert_int_equal(pn_noise_spot_px(&noise, 0.05), 3);
}

/* Here the clean images are known: what is left of the noisy ones is the noise, and its correlation
 * the plain one of the whole image. */
static void simulated_movie_against_its_truth(void **state)
{
	const char *path = testkit_data("movie_lctem_sim/noisy_f00-09_u8.npy");
	const char *clean_path = testkit_data("movie_lctem_sim/gt_f00-09_u8.npy");
	uint64_t count;
	size_t ny, nx;

	(void)state;
	if (!path || !clean_path)
		skip();
	struct pn_noise noise = noise_of(path);
	float *noisy = load(path, &count, &ny, &nx);
	float *clean = load(clean_path, &count, &ny, &nx);
	double c[9][9] = { 0 };

	for (size_t i = 0; i < count * ny * nx; i += ny * nx) {
		double s = 0, t = 0, st = 0, tt = 0, n = (double)(ny * nx), var = 0;

		for (size_t p = i; p < i + ny * nx; p++) {
			s += noisy[p];
			t += clean[p];
			st += (double)noisy[p] * clean[p];
			tt += (double)clean[p] * clean[p];
		}
		double slope = (st - s * t / n) / (tt - t * t / n);

		for (size_t p = i; p < i + ny * nx; p++) {
			noisy[p] -= (float)(s / n + slope * (clean[p] - t / n));
			var += (double)noisy[p] * noisy[p] / n;
		}
		for (int k = 0; k < 81; k++)
			for (size_t y = 4; y + 4 < ny; y++)
				for (size_t x = 4; x + 4 < nx; x++)
					c[k / 9][k % 9] +=
						noisy[i + y * nx + x] *
						noisy[i + (y + k / 9 - 4) * nx + x + k % 9 - 4] /
						(var * (ny - 8) * (nx - 8) * count);
	}
	for (int dy = 0; dy <= 4; dy++)
		for (int dx = 0; dx <= 4; dx++) {
			double got = pn_noise_correlation(&noise, dy, dx);

			print_message("lag (%d, %d): %.3f, truth %.3f\n", dy, dx, got,
				      c[dy + 4][dx + 4]);
			assert_true(fabs(got - c[dy + 4][dx + 4]) < 0.03);
		}
	assert_int_equal(pn_noise_spot_px(&noise, 0.05), 3);
	free(noisy);
	free(clean);
}

/* The clean images of the same movie, where they move most, under noise that is white. */
static void moving_particles_under_white_noise(void **state)
{
	const char *path = testkit_data("movie_lctem_sim/gt_f00-09_u8.npy");
	struct pn_noise noise = { 0 };
	uint64_t count;
	size_t ny, nx;

	(void)state;
	if (!path)
		skip();
	float *clean = load(path, &count, &ny, &nx);

	for (uint64_t k = 0; k + 1 < count; k++) {
		white(a, 0, 20, 2 * k);
		white(b, 0, 20, 2 * k + 1);
		for (int p = 0; p < COUNT; p++) {
			size_t at = k * ny * nx + (352 + p / SIDE) * nx + 160 + p % SIDE;

			a[p] += clean[at];
			b[p] += clean[at + ny * nx];
		}
		add_pair(&noise);
	}
	free(clean);
	/* with all tiles it would be 0.11 */
	print_message("moving particles: largest %.3f\n", largest(&noise, 1));
	assert_int_equal(pn_noise_spot_px(&noise, 0.05), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(white_noise_needs_one_pixel),
		cmocka_unit_test(blurred_noise_correlates_as_its_kernel),
		cmocka_unit_test(limit_is_of_magnitude_outside_the_spot),
		cmocka_unit_test(what_moves_is_not_noise),
		cmocka_unit_test(dead_areas_are_not_looked_at),
		cmocka_unit_test(fixed_pattern_cancels),
		cmocka_unit_test(bad_images_are_refused_and_add_nothing),
		cmocka_unit_test(measured_movie),
		cmocka_unit_test(simulated_movie_against_its_truth),
		cmocka_unit_test(moving_particles_under_white_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
