/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/image/filter.h"
#include "perrin/image/laplace.h"
#include "perrin/math/linear.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static struct pn_laplace_params exact(void)
{
	struct pn_laplace_params p;

	pn_params_default(pn_laplace_param_table, &p);
	p.rim_px = 0;
	return p;
}

static struct pn_particle_params particle_params(void)
{
	struct pn_particle_params p;

	pn_params_default(pn_particle_param_table, &p);
	return p;
}

/* ------------------------------------------------------------------ the mask */

/* A disc of radius 20 with a hole of radius 3, on a slope with noise, and a hot spot aside. */
static void disc_image(float *image, size_t ny, size_t nx, double cy, double cx)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 7, 0);
	for (size_t i = 0; i < ny * nx; i++) {
		double y = (double)(i / nx) - cy, x = (double)(i % nx) - cx, r = hypot(y, x);

		image[i] = (float)(5 + 0.002 * x + 0.3 * pn_rng_gauss(&rng) +
				   (r < 20 && r > 3 ? 4 : 0) + (hypot(y - 35, x - 30) < 2 ? 5 : 0));
	}
}

static void mask_is_the_particle_and_its_margin(void **state)
{
	enum { NY = 101, NX = 90 };
	static float image[NY * NX];
	static uint8_t mask[NY * NX];
	struct pn_particle_params params = particle_params();
	struct pn_particle found;
	size_t wrong = 0;

	(void)state;
	disc_image(image, NY, NX, 44, 41);
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, NULL), PN_OK);
	assert_true(fabs(found.x_px - 41) < 0.2 && fabs(found.y_px - 44) < 0.2);
	assert_true(fabs((double)found.area_px / (M_PI * 400) - 1) < 0.03);
	assert_false(found.touches_border || found.mask_at_border);
	for (size_t i = 0; i < NY * NX; i++) {
		double r = hypot((double)(i / NX) - 44, (double)(i % NX) - 41);

		wrong += (r < 28.5 && !mask[i]) || (r > 31.5 && mask[i]);
	}
	assert_int_equal(wrong, 0);
}

/* Growing against its definition, pixel by pixel, for margins that are no whole numbers as well. */
static void growing_is_exact(void **state)
{
	enum { NY = 40, NX = 57 };
	static float image[NY * NX];
	static uint8_t seed[NY * NX], mask[NY * NX];
	const double margin[] = { 0, 1, 1.5, 5, 7.3, 10, 100 };
	struct pn_particle_params params = particle_params();
	struct pn_particle found;

	(void)state;
	for (int i = 0; i < NY * NX; i++) {
		int y = i / NX - 18, x = i % NX - 25;

		image[i] = (abs(x) < 9 && abs(y) < 3) || (x > 4 && x < 9 && abs(y) < 8) ? 9 : 0;
	}
	params.blur_px = 0;
	params.gap_px = 0;
	params.margin_px = 0;
	assert_int_equal(pn_particle_mask(seed, image, NY, NX, &params, &found, NULL), PN_OK);
	assert_true(found.mask_px == found.area_px && isinf(found.contrast));
	for (size_t m = 0; m < PN_COUNT(margin); m++) {
		size_t grown = 0;

		params.margin_px = margin[m];
		assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, NULL),
				 PN_OK);
		for (int i = 0; i < NY * NX; i++) {
			int in = 0;

			for (int j = 0; j < NY * NX && !in; j++) {
				int y = i / NX - j / NX, x = i % NX - j % NX;

				in = seed[j] && y * y + x * x <= margin[m] * margin[m];
			}
			assert_int_equal(mask[i], in);
			grown += (size_t)in;
		}
		assert_int_equal(found.mask_px, grown);
		assert_int_equal(found.mask_at_border, margin[m] > 10);
	}
}

/* A particle seen along rows of atoms is stripes with dark between them: one particle all the same,
 * and what is far from it is none of it. */
static void stripes_are_one_particle(void **state)
{
	enum { NY = 80, NX = 90 };
	static float image[NY * NX];
	static uint8_t mask[NY * NX];
	struct pn_particle_params params = particle_params();
	struct pn_particle found;
	const size_t square = 40 * 42; /* of rows 20..59 and columns 20..61 */

	(void)state;
	for (int i = 0; i < NY * NX; i++) {
		int y = i / NX, x = i % NX;
		int in = y >= 20 && y < 60 && x >= 20 && x < 62;

		image[i] = (in && (x - 20) % 8 < 2) || (y > 70 && y < 73 && x > 82 && x < 85) ? 9 : 0;
	}
	params.blur_px = 0;
	params.margin_px = 0;
	params.gap_px = 0;
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, NULL), PN_OK);
	assert_int_equal(found.area_px, 40 * 2); /* one stripe */
	params.gap_px = 8;
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, NULL), PN_OK);
	assert_true(fabs((double)found.area_px / (double)square - 1) < 0.06); /* ends are scalloped */
	assert_true(fabs(found.x_px - 40.5) < 0.5 && fabs(found.y_px - 39.5) < 0.5);
	assert_int_equal(mask[71 * NX + 83], 0);
}

static void what_is_no_particle_is_told(void **state)
{
	enum { NY = 64, NX = 64, COUNT = NY * NX };
	static float image[COUNT];
	static uint8_t mask[COUNT];
	struct pn_particle_params params = particle_params();
	struct pn_particle found;
	struct pn_error err = { 0 };
	struct pn_rng rng;

	(void)state;
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_ENOENT);
	assert_non_null(strstr(err.text, "every pixel of the image is 0"));
	pn_rng_init(&rng, 3, 0);
	for (int i = 0; i < COUNT; i++)
		image[i] = (float)pn_rng_gauss(&rng);
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_ENOENT);
	assert_non_null(strstr(err.text, "contrast"));
	for (int i = 0; i < COUNT; i++)
		image[i] = (float)(i % NX);
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_ENOENT);
	disc_image(image, NY, NX, 30, 15);
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_EARG);
	assert_non_null(strstr(err.text, "touches the border"));
	assert_int_equal(found.touches_border, 1);
	params.border = 1;
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_OK);
	memset(image, 0, sizeof image);
	image[20 * NX + 20] = 1;
	params.blur_px = 0;
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_ENOENT);
	assert_non_null(strstr(err.text, "1 px"));
	image[5 * NX + 6] = NAN;
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_EARG);
	assert_non_null(strstr(err.text, "pixel 5 6"));
	params.margin_px = -1;
	assert_int_equal(pn_particle_mask(mask, image, NY, NX, &params, &found, &err), PN_EARG);
}

/* ------------------------------------------------------------------ Laplace */

/* The same equations solved densely, in double: sum over neighbors of u(p) - u(q) = 0. */
static void dense(double *u, const float *image, const uint8_t *mask, int ny, int nx)
{
	int *index = calloc((size_t)(ny * nx), sizeof *index), n = 0;

	for (int i = 0; i < ny * nx; i++)
		index[i] = mask[i] ? n++ : -1;
	double *a = calloc((size_t)(n * n), sizeof *a), *b = calloc((size_t)n, sizeof *b);

	for (int i = 0; i < ny * nx; i++)
		for (int k = 0; k < 4 && mask[i]; k++) {
			int y = i / nx + (k == 0) - (k == 1), x = i % nx + (k == 2) - (k == 3);

			if (y < 0 || x < 0 || y >= ny || x >= nx)
				continue;
			a[index[i] * n + index[i]] += 1;
			if (mask[y * nx + x])
				a[index[i] * n + index[y * nx + x]] -= 1;
			else
				b[index[i]] += image[y * nx + x];
		}
	double *x = calloc((size_t)n, sizeof *x);

	assert_int_equal(pn_solve_positive(x, a, b, n, NULL), PN_OK);
	for (int i = 0; i < ny * nx; i++)
		u[i] = mask[i] ? x[index[i]] : image[i];
	free(index);
	free(a);
	free(b);
	free(x);
}

/* Masks of every kind: a blob, ragged islands, lines one pixel wide, all but one pixel, borders. */
static int mask_kind(int kind, int y, int x, int ny, int nx, struct pn_rng *rng)
{
	double r = hypot(y - ny / 2.0, x - nx / 2.0), a = atan2(y - ny / 2.0, x - nx / 2.0);

	switch (kind) {
	case 0:
		return r < 0.45 * nx;
	case 1:
		return r < 0.45 * nx * (0.6 + 0.4 * cos(5 * a));
	case 2:
		return pn_rng_uniform(rng) < 0.7;
	case 3:
		return (y % 3 == 1 || x % 5 == 2) && y > 0 && x > 0 && y < ny - 1 && x < nx - 1;
	case 4:
		return y != 3 || x != 4;
	case 5:
		return x < nx / 2 && y < ny - 2;
	default:
		return y == 7;
	}
}

static void direct_solution_is_reproduced(void **state)
{
	const int shapes[][2] = { { 22, 22 }, { 25, 19 }, { 16, 31 }, { 9, 9 } };
	struct pn_laplace_params params = exact();
	struct pn_rng rng;

	(void)state;
	params.tolerance = 1e-7;
	pn_rng_init(&rng, 11, 0);
	for (size_t s = 0; s < PN_COUNT(shapes); s++)
		for (int kind = 0; kind < 7; kind++) {
			int ny = shapes[s][0], nx = shapes[s][1];
			float image[31 * 31], out[31 * 31];
			uint8_t mask[31 * 31];
			double u[31 * 31];
			struct pn_laplace_result result;

			for (int i = 0; i < ny * nx; i++) {
				mask[i] = (uint8_t)mask_kind(kind, i / nx, i % nx, ny, nx, &rng);
				image[i] = (float)(3 + pn_rng_gauss(&rng));
			}
			dense(u, image, mask, ny, nx);
			assert_int_equal(pn_laplace_fill(out, image, mask, (size_t)ny, (size_t)nx,
							 &params, &result, NULL),
					 PN_OK);
			for (int i = 0; i < ny * nx; i++)
				assert_true(fabs(out[i] - u[i]) < 1e-6 * fmax(result.range, 1));
			assert_true(result.iterations < 20);
		}
}

/* What is harmonic on the grid comes back whole: 1, x, y, xy, x^2 - y^2. */
static void harmonic_functions_stay(void **state)
{
	enum { N = 200 };
	static float image[N * N], out[N * N];
	static uint8_t mask[N * N];
	struct pn_laplace_params params = exact();
	struct pn_laplace_result result;

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		for (int i = 0; i < N * N; i++) {
			double y = (i / N - 90) / 100.0, x = (i % N - 110) / 100.0;
			double f[] = { 1, 2 * x - y, x * y, x * x - y * y };

			image[i] = (float)(10 + f[kind]);
			mask[i] = hypot(x, y) < 0.6 + 0.2 * cos(3 * atan2(y, x));
		}
		for (int i = 0; i < N * N; i++)
			out[i] = mask[i] ? NAN : image[i];
		assert_int_equal(pn_laplace_fill(out, out, mask, N, N, &params, &result, NULL),
				 PN_OK);
		assert_true(result.residual <= 1e-6 * result.range);
		for (int i = 0; i < N * N; i++)
			assert_true(fabsf(out[i] - image[i]) < 4e-6f);
	}
}

/* Iterations do not grow with the size; the bytes do not depend on the number of threads. */
static void cost_does_not_grow(void **state)
{
	enum { N = 600 };
	struct pn_laplace_params params = exact();
	float *image = malloc(sizeof *image * N * N), *out = malloc(sizeof *out * 2 * N * N);
	uint8_t *mask = malloc(N * N);
	int iterations[2], k = 0, threads = omp_get_max_threads();
	struct pn_rng rng;

	(void)state;
	assert_true(image && out && mask);
	for (size_t n = N / 8; n <= N; n += N - N / 8, k++) {
		struct pn_laplace_result result;

		pn_rng_init(&rng, 1, 0);
		for (size_t i = 0; i < n * n; i++) {
			image[i] = (float)pn_rng_uniform(&rng);
			mask[i] = hypot((double)(i / n) / (double)n - 0.5,
					(double)(i % n) / (double)n - 0.5) < 0.49;
		}
		for (int t = 1; t <= 2; t++) {
			omp_set_num_threads(t);
			assert_int_equal(pn_laplace_fill(out + (t - 1) * N * N, image, mask, n, n,
							 &params, &result, NULL),
					 PN_OK);
		}
		assert_memory_equal(out, out + N * N, sizeof *out * n * n);
		iterations[k] = result.iterations;
	}
	omp_set_num_threads(threads);
	assert_true(iterations[0] >= 3 && iterations[1] <= 12 &&
		    iterations[1] <= iterations[0] + 3);
	free(image);
	free(out);
	free(mask);
}

/* Noise on a flat background: averaging over the rim lowers what gets in, and by how much. */
static void averaged_rim_lowers_the_noise(void **state)
{
	enum { N = 96 };
	static float image[N * N], out[N * N];
	static uint8_t mask[N * N];
	struct pn_laplace_params params = exact();
	double rms[2] = { 0 };

	(void)state;
	for (int turn = 0; turn < 20; turn++) {
		struct pn_rng rng;

		pn_rng_init(&rng, 5, (uint64_t)turn);
		for (int i = 0; i < N * N; i++) {
			image[i] = (float)pn_rng_gauss(&rng);
			mask[i] = hypot(i / N - 48, i % N - 48) < 30;
		}
		for (int k = 0; k < 2; k++) {
			params.rim_px = 3 * k;
			assert_int_equal(
				pn_laplace_fill(out, image, mask, N, N, &params, NULL, NULL),
				PN_OK);
			for (int i = 0; i < N * N; i++)
				rms[k] += mask[i] ? out[i] * out[i] / (20 * M_PI * 900) : 0;
		}
	}
	/* next to the rim the noise goes from 1 to about 1/4, further in it is averaged anyway */
	assert_true(sqrt(rms[1]) < 0.8 * sqrt(rms[0]));
	/* a slope is seen 0.42 * 3 px further out than it is, all around: nothing but a factor */
	for (int i = 0; i < N * N; i++)
		image[i] = (float)(i % N - 48);
	assert_int_equal(pn_laplace_fill(out, image, mask, N, N, &params, NULL, NULL), PN_OK);
	double scale = out[48 * N + 58] / 10;
	assert_true(scale > 1.01 && scale < 1 + 1.6 / 30);
}

static void particle_stands_on_zero(void **state)
{
	enum { N = 128 };
	static float image[N * N], out[N * N];
	static uint8_t mask[N * N];
	struct pn_particle_params where = particle_params();
	struct pn_laplace_params params = exact();
	struct pn_particle found;

	(void)state;
	for (int i = 0; i < N * N; i++) {
		double y = i / N - 60, x = i % N - 66, r = hypot(x, y);

		image[i] = (float)(20 + 0.02 * x - 0.01 * y + 0.0002 * x * y +
				   (r < 25 ? 10 * sqrt(1 - r * r / 625) : 0));
	}
	assert_int_equal(pn_particle_mask(mask, image, N, N, &where, &found, NULL), PN_OK);
	assert_int_equal(pn_laplace_subtract(out, image, mask, N, N, &params, NULL, NULL), PN_OK);
	for (int i = 0; i < N * N; i++) {
		double r = hypot(i % N - 66, i / N - 60);

		assert_true(fabs(out[i] - (r < 25 ? 10 * sqrt(1 - r * r / 625) : 0)) < 1e-4);
	}
}

static void bad_input_is_told(void **state)
{
	enum { NY = 12, NX = 9 };
	float image[NY * NX] = { 0 }, out[NY * NX];
	uint8_t mask[NY * NX] = { 0 };
	struct pn_laplace_params params = exact();
	struct pn_laplace_result result;
	struct pn_error err = { 0 };

	(void)state;
	image[4] = 3;
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err), PN_OK);
	assert_memory_equal(out, image, sizeof image);
	assert_int_equal(pn_laplace_subtract(out, image, mask, NY, NX, &params, NULL, &err), PN_OK);
	assert_true(out[4] == 0);
	mask[30] = 1;
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err), PN_OK);
	assert_true(out[30] == 0 && result.range == 0);
	image[30] = NAN;
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err), PN_OK);
	assert_int_equal(pn_laplace_subtract(out, image, mask, NY, NX, &params, NULL, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "pixel 3 3"));
	image[31] = INFINITY;
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "pixel 3 4"));
	image[31] = 0;
	memset(mask, 1, sizeof mask);
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "covers all"));
	mask[0] = 0;
	mask[50] = 0;
	params.iterations_max = 1;
	image[0] = 1;
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err),
			 PN_ENOENT);
	assert_non_null(strstr(err.text, "after 1 iterations"));
	params.rim_px = NAN;
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err),
			 PN_EARG);
	params = exact();
	params.tolerance = 0;
	assert_int_equal(pn_laplace_fill(out, image, mask, NY, NX, &params, &result, &err),
			 PN_EARG);
	assert_int_equal(pn_laplace_fill(out, image, mask, 0, NX, &params, &result, &err), PN_EARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mask_is_the_particle_and_its_margin),
		cmocka_unit_test(growing_is_exact),
		cmocka_unit_test(stripes_are_one_particle),
		cmocka_unit_test(what_is_no_particle_is_told),
		cmocka_unit_test(direct_solution_is_reproduced),
		cmocka_unit_test(harmonic_functions_stay),
		cmocka_unit_test(cost_does_not_grow),
		cmocka_unit_test(averaged_rim_lowers_the_noise),
		cmocka_unit_test(particle_stands_on_zero),
		cmocka_unit_test(bad_input_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
