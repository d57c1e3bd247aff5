/* SPDX-License-Identifier: GPL-3.0-or-later */
/* BM3D against its definition in double precision, and what it gains on images of atoms. */
#include "perrin/base/rng.h"
#include "perrin/image/bm3d.h"
#include "perrin/image/filter.h"
#include "perrin/image/quality.h"
#include "perrin/twin/adf.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, AREA = 64, GROUP_MAX = 32, SLICE = 128, SLICES = 60 };

/* ---- the reference --------------------------------------------------------------------------- */

/* An image extended by reflection until blocks at every stride cover it. */
struct plane {
	size_t ny, nx;
	double *v;
};

static struct plane extend(const double *src, size_t ny, size_t nx, int stride)
{
	struct plane p = { ny, nx, NULL };

	while ((p.ny - SIDE) % stride)
		p.ny++;
	while ((p.nx - SIDE) % stride)
		p.nx++;
	p.v = malloc(p.ny * p.nx * sizeof *p.v);
	for (size_t y = 0; y < p.ny; y++)
		for (size_t x = 0; x < p.nx; x++) {
			size_t sy = y < ny ? y : 2 * ny - 2 - y, sx = x < nx ? x : 2 * nx - 2 - x;

			p.v[y * p.nx + x] = src[sy * nx + sx];
		}
	return p;
}

/* Rows of the orthonormal DCT-II; the inverse has them as columns. */
static void dct(double *out, const double *in, int inverse)
{
	static double m[SIDE][SIDE];
	double t[AREA];

	for (int k = SIDE - 1; k >= 0 && m[0][0] == 0; k--)
		for (int n = SIDE - 1; n >= 0; n--)
			m[k][n] = (k ? 0.5 : sqrt(0.125)) * cos(M_PI * k * (2 * n + 1) / 16);
	for (int i = 0; i < AREA; i++) {
		t[i] = 0;
		for (int n = 0; n < SIDE; n++)
			t[i] += in[i / SIDE * SIDE + n] *
				(inverse ? m[n][i % SIDE] : m[i % SIDE][n]);
	}
	for (int i = 0; i < AREA; i++) {
		out[i] = 0;
		for (int n = 0; n < SIDE; n++)
			out[i] += t[n * SIDE + i % SIDE] *
				  (inverse ? m[n][i / SIDE] : m[i / SIDE][n]);
	}
}

/* Orthonormal Haar transform of x[0..n), and its inverse. */
static void haar(double *x, int n, int inverse)
{
	double t[GROUP_MAX];

	for (int m = inverse ? 2 : n; inverse ? m <= n : m >= 2; m = inverse ? 2 * m : m / 2) {
		for (int i = 0; i < m / 2; i++) {
			if (inverse) {
				t[2 * i] = (x[i] + x[m / 2 + i]) * M_SQRT1_2;
				t[2 * i + 1] = (x[i] - x[m / 2 + i]) * M_SQRT1_2;
			} else {
				t[i] = (x[2 * i] + x[2 * i + 1]) * M_SQRT1_2;
				t[m / 2 + i] = (x[2 * i] - x[2 * i + 1]) * M_SQRT1_2;
			}
		}
		memcpy(x, t, (size_t)m * sizeof *x);
	}
}

struct match {
	double distance;
	int order;
	size_t y, x;
};

static int by_distance(const void *a, const void *b)
{
	const struct match *m = a, *n = b;

	if (m->distance != n->distance)
		return m->distance < n->distance ? -1 : 1;
	return m->order - n->order;
}

/* To 12 bits of mantissa, downwards. */
static double rounded(double v)
{
	float f = (float)v;
	int32_t bits;

	memcpy(&bits, &f, sizeof bits);
	bits &= ~0x7FF;
	memcpy(&f, &bits, sizeof f);
	return f;
}

static int matches(struct match *out, const struct plane *p, size_t y, size_t x, int search,
		   double limit, int most)
{
	struct match all[45 * 45];
	int count = 0, n = 1, radius = search / 2, order = 0;
	int places = search * search, after = places - places / 2;

	for (int dy = -radius; dy <= radius; dy++)
		for (int dx = -radius; dx <= radius; dx++, order++) {
			long v = (long)y + dy, u = (long)x + dx;
			double d = 0;

			if (v < 0 || u < 0 || v + SIDE > (long)p->ny || u + SIDE > (long)p->nx)
				continue;
			for (int i = 0; i < AREA; i++) {
				double e = p->v[(y + i / SIDE) * p->nx + x + i % SIDE] -
					   p->v[(v + i / SIDE) * (long)p->nx + u + i % SIDE];

				d += e * e;
			}
			if (d <= limit)
				all[count++] = (struct match){ rounded(d), (order + after) % places,
							       v, u };
		}
	qsort(all, count, sizeof *all, by_distance);
	while (2 * n <= count && 2 * n <= most)
		n *= 2;
	memcpy(out, all, n * sizeof *out);
	return n;
}

static double kaiser(int i, double beta)
{
	double t = 2.0 * i / 7 - 1, x = beta * sqrt(1 - t * t), a = 0, b = 0, f = 1;

	for (int k = 0; k < 40; k++) {
		a += pow(x / 2, 2 * k) / (f * f);
		b += pow(beta / 2, 2 * k) / (f * f);
		f *= k + 1;
	}
	return a / b;
}

/* Coefficients [n][64] of the group at the places of @m. */
static void group_of(double (*c)[AREA], const struct plane *p, const struct match *m, int n)
{
	double block[AREA], line[GROUP_MAX];

	for (int k = 0; k < n; k++) {
		for (int i = 0; i < AREA; i++)
			block[i] = p->v[(m[k].y + i / SIDE) * p->nx + m[k].x + i % SIDE];
		dct(c[k], block, 0);
	}
	for (int i = 0; i < AREA; i++) {
		for (int k = 0; k < n; k++)
			line[k] = c[k][i];
		haar(line, n, 0);
		for (int k = 0; k < n; k++)
			c[k][i] = line[k];
	}
}

/* One step by the book; @basic NULL: hard threshold. */
static void reference_step(double *dst, const double *noisy, const double *basic, size_t ny,
			   size_t nx, double sigma, int stride, int search, int most,
			   double distance, double threshold, double beta)
{
	struct plane z = extend(noisy, ny, nx, stride),
		     b = extend(basic ? basic : noisy, ny, nx, stride);
	double *sum = calloc(2 * z.ny * z.nx, sizeof *sum), *weights = sum + z.ny * z.nx;
	double window[SIDE];

	for (int i = 0; i < SIDE; i++)
		window[i] = kaiser(i, beta);

	for (size_t y = 0; y + SIDE <= z.ny; y += stride)
		for (size_t x = 0; x + SIDE <= z.nx; x += stride) {
			static double c[GROUP_MAX][AREA], e[GROUP_MAX][AREA];
			struct match m[GROUP_MAX];
			int n = matches(m, &b, y, x, search, distance * sigma * sigma * AREA, most);
			double total = 0, line[GROUP_MAX], block[AREA];

			group_of(c, &z, m, n);
			group_of(e, &b, m, n);
			for (int k = 0; k < n; k++)
				for (int i = 0; i < AREA; i++) {
					double w = e[k][i] * e[k][i] /
						   (e[k][i] * e[k][i] + sigma * sigma);

					if (!basic)
						w = fabs(c[k][i]) > threshold * sigma;
					c[k][i] *= w;
					total += w * w;
				}
			for (int i = 0; i < AREA; i++) {
				for (int k = 0; k < n; k++)
					line[k] = c[k][i];
				haar(line, n, 1);
				for (int k = 0; k < n; k++)
					c[k][i] = line[k];
			}
			for (int k = 0; k < n; k++) {
				dct(block, c[k], 1);
				for (int i = 0; i < AREA; i++) {
					double w = window[i / SIDE] * window[i % SIDE] /
						   fmax(total, basic ? 1e-6 : 1);
					size_t at = (m[k].y + i / SIDE) * z.nx + m[k].x + i % SIDE;

					sum[at] += w * block[i];
					weights[at] += w;
				}
			}
		}
	for (size_t i = 0; i < ny * nx; i++)
		dst[i] = sum[i / nx * z.nx + i % nx] / weights[i / nx * z.nx + i % nx];
	free(sum);
	free(z.v);
	free(b.v);
}

static void reference(double *dst, const float *src, size_t ny, size_t nx, double sigma,
		      const struct pn_bm3d_params *p)
{
	double *noisy = malloc(ny * nx * sizeof *noisy), *basic = malloc(ny * nx * sizeof *basic);

	for (size_t i = 0; i < ny * nx; i++)
		noisy[i] = src[i];
	reference_step(basic, noisy, NULL, ny, nx, sigma, (int)p->hard_stride_px,
		       (int)p->hard_search_px, (int)p->hard_blocks, p->hard_distance,
		       p->hard_threshold, p->kaiser_beta);
	if (p->steps == 2)
		reference_step(dst, noisy, basic, ny, nx, sigma, (int)p->wiener_stride_px,
			       (int)p->wiener_search_px, (int)p->wiener_blocks, p->wiener_distance,
			       0, p->kaiser_beta);
	else
		memcpy(dst, basic, ny * nx * sizeof *dst);
	free(noisy);
	free(basic);
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* A lattice with an edge, and noise. */
static void picture(float *clean, float *noisy, size_t ny, size_t nx, double sigma)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 11, ny * 1000 + nx);
	for (size_t i = 0; i < ny * nx; i++) {
		double y = (double)(i / nx), x = (double)(i % nx);

		clean[i] =
			(float)(20 + (x + 0.4 * y > 0.6 * (double)nx) *
					     (30 + 12 * cos(x * 0.83 + 0.2 * y) * cos(y * 0.77)));
		noisy[i] = clean[i] + (float)(sigma * pn_rng_gauss(&rng));
	}
}

static double rms_of(const float *a, const float *b, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (a[i] - b[i]) * (a[i] - b[i]);
	return sqrt(sum / (double)count);
}

/* Step 1 and both steps, all strides and group sizes, odd shapes. A block whose distance lies at
 * the limit may be taken by one of the two only: a few pixels may differ. */
static void definition_is_met(void **state)
{
	static const struct {
		size_t ny, nx;
		int stride, search, hard, wiener;
	} cases[] = {
		{ 48, 53, 3, 39, 16, 32 }, { 16, 16, 3, 39, 16, 32 }, { 33, 70, 2, 11, 8, 8 },
		{ 61, 30, 4, 25, 16, 16 }, { 41, 47, 6, 45, 32, 8 },  { 20, 29, 3, 1, 16, 16 }
	};
	const double sigma = 5;

	(void)state;
	for (size_t i = 0; i < PN_COUNT(cases); i++)
		for (int steps = 1; steps <= 2; steps++) {
			size_t count = cases[i].ny * cases[i].nx, off = 0;
			float *clean = malloc(3 * count * sizeof *clean), *noisy = clean + count;
			float *got = noisy + count;
			double *want = malloc(count * sizeof *want), worst = 0;
			struct pn_bm3d_params p;

			pn_params_default(pn_bm3d_param_table, &p);
			p.hard_stride_px = p.wiener_stride_px = cases[i].stride;
			p.hard_search_px = p.wiener_search_px = cases[i].search;
			p.hard_blocks = cases[i].hard;
			p.wiener_blocks = cases[i].wiener;
			p.steps = steps;
			picture(clean, noisy, cases[i].ny, cases[i].nx, sigma);
			assert_int_equal(
				pn_bm3d(got, noisy, cases[i].ny, cases[i].nx, sigma, &p, NULL),
				PN_OK);
			reference(want, noisy, cases[i].ny, cases[i].nx, sigma, &p);
			for (size_t k = 0; k < count; k++) {
				off += fabs(got[k] - want[k]) > 1e-3;
				worst = fmax(worst, fabs(got[k] - want[k]));
			}
			print_message(
				"%zu x %zu, step %d: largest difference %.1e, %zu of %zu over "
				"1e-3\n",
				cases[i].ny, cases[i].nx, steps, worst, off, count);
			assert_true(off <= count / 20 && worst < 0.5 * sigma);
			free(clean);
			free(want);
		}
}

static void noise_goes_and_lattice_stays(void **state)
{
	enum { NY = 150, NX = 170 };
	float *clean = malloc(sizeof *clean * NY * NX), *noisy = malloc(sizeof *noisy * NY * NX);
	float *basic = malloc(sizeof *basic * NY * NX), *both = malloc(sizeof *both * NY * NX);
	float *fast = malloc(sizeof *fast * NY * NX);
	struct pn_bm3d_params p, f;

	(void)state;
	picture(clean, noisy, NY, NX, 10);
	pn_params_default(pn_bm3d_param_table, &p);
	pn_bm3d_fast(&f);
	assert_int_equal(pn_bm3d(both, noisy, NY, NX, 10, NULL, NULL), PN_OK);
	assert_int_equal(pn_bm3d(fast, noisy, NY, NX, 10, &f, NULL), PN_OK);
	p.steps = 1;
	assert_int_equal(pn_bm3d(basic, noisy, NY, NX, 10, &p, NULL), PN_OK);
	double n = rms_of(noisy, clean, NY * NX), b = rms_of(basic, clean, NY * NX);
	double w = rms_of(both, clean, NY * NX), q = rms_of(fast, clean, NY * NX);

	print_message("lattice, sigma 10: gain %.2f dB after step 1, %.2f dB, fast %.2f dB\n",
		      20 * log10(n / b), 20 * log10(n / w), 20 * log10(n / q));
	assert_true(w < b && b < 0.35 * n && q < 1.25 * w);
	free(clean);
	free(noisy);
	free(basic);
	free(both);
	free(fast);
}

/* The same bytes in any number of threads and in place; the unit and a shift make no difference. */
static void result_depends_on_the_image_only(void **state)
{
	enum { NY = 131, NX = 149, COUNT = NY * NX };
	float *clean = malloc(4 * COUNT * sizeof *clean), *noisy = clean + COUNT;
	float *one = noisy + COUNT, *many = one + COUNT;
	int threads = omp_get_max_threads();

	(void)state;
	picture(clean, noisy, NY, NX, 6);
	omp_set_num_threads(1);
	assert_int_equal(pn_bm3d(one, noisy, NY, NX, 6, NULL, NULL), PN_OK);
	omp_set_num_threads(3);
	memcpy(many, noisy, COUNT * sizeof *many);
	assert_int_equal(pn_bm3d(many, many, NY, NX, 6, NULL, NULL), PN_OK);
	omp_set_num_threads(threads);
	assert_memory_equal(one, many, COUNT * sizeof *one);
	for (int i = 0; i < COUNT; i++)
		noisy[i] *= 0.25f;
	assert_int_equal(pn_bm3d(many, noisy, NY, NX, 1.5, NULL, NULL), PN_OK);
	for (int i = 0; i < COUNT; i++)
		assert_true(fabsf(4 * many[i] - one[i]) < 1e-4f);
	free(clean);
}

/* ---- counted electrons ----------------------------------------------------------------------- */

static void denoise_counts(float *out, const float *counts, size_t ny, size_t nx,
			   const struct pn_noise_model *noise)
{
	struct pn_error err = { 0 };

	if (pn_denoise_poisson_gauss(out, counts, ny, nx, noise, NULL, &err))
		fail_msg("%s", err.text);
}

/* PSNR of the best Gaussian blur, which knows the truth. */
static double best_blur_db(const float *noisy, const float *clean, size_t n)
{
	float *out = malloc(2 * n * n * sizeof *out);
	struct pn_quality q;
	double best = 0;

	for (double sigma = 0.5; sigma < 5; sigma *= 1.2) {
		pn_gauss_blur(out, noisy, out + n * n, n, n, sigma);
		assert_int_equal(pn_quality_compare(&q, out, clean, n, n, 0, 0, NULL), PN_OK);
		best = fmax(best, q.psnr_db);
	}
	free(out);
	return best;
}

/* A sphere of an fcc metal in an ADF image, Poisson noise: dB gained over a range of doses. */
static void particles_gain(void **state)
{
	enum { N = 192, ATOMS_MAX = 6000 };
	static double atoms[ATOMS_MAX][3];
	static uint8_t z[ATOMS_MAX];
	const struct pn_adf_params adf = { N, N, 0.34, 0.8, 0.7, 1.7, 1e-5 };
	float *clean = malloc(3 * N * N * sizeof *clean), *noisy = clean + N * N,
	      *out = noisy + N * N;
	size_t count = 0;

	(void)state;
	for (int i = -14; i <= 14; i++)
		for (int j = -14; j <= 14; j++)
			for (int k = -14; k <= 14; k++)
				if ((i + j + k) % 2 == 0 && i * i + j * j + k * k < 160) {
					atoms[count][0] = 1.96 * i;
					atoms[count][1] = 1.96 * j;
					atoms[count][2] = 1.96 * k;
					z[count++] = 78;
				}
	pn_adf_tilt(atoms, (const double(*)[3])atoms, count, 33);
	for (double dose = 500; dose < 40000; dose *= 4) {
		const struct pn_noise_model noise = { .gain = 10, .offset = 30, .readout = 2 };
		struct pn_quality before, after, own;
		struct pn_rng rng;
		double e = dose * 0.34 * 0.34, mean = 0;

		pn_adf_image(&adf, (const double(*)[3])atoms, z, count, clean);
		pn_rng_init(&rng, 3, (uint64_t)dose);
		for (int i = 0; i < N * N; i++) {
			double y = e * (clean[i] + 0.005);

			noisy[i] =
				(float)(30 + 10 * pn_rng_poisson(&rng, y) + 2 * pn_rng_gauss(&rng));
			clean[i] = (float)(30 + 10 * y);
		}
		denoise_counts(out, noisy, N, N, &noise);
		assert_int_equal(pn_quality_compare(&before, noisy, clean, N, N, 0, 0, NULL), 0);
		assert_int_equal(pn_quality_compare(&after, out, clean, N, N, 0, 0, NULL), 0);
		for (int i = 0; i < N * N; i++)
			mean += (out[i] - clean[i]) / (N * N);
		double blur = best_blur_db(noisy, clean, N);

		print_message(
			"%.0f e/A2: PSNR %.2f -> %.2f dB (%+.2f; best blur %.2f), SSIM %.3f -> "
			"%.3f, mean off by %.2f electrons\n",
			dose, before.psnr_db, after.psnr_db, after.psnr_db - before.psnr_db, blur,
			before.ssim, after.ssim, mean / 10);
		assert_true(after.psnr_db > blur + 1.5);
		assert_true(after.psnr_db > before.psnr_db + 8);
		/* as well with the noise it finds itself */
		denoise_counts(out, noisy, N, N, NULL);
		assert_int_equal(pn_quality_compare(&own, out, clean, N, N, 0, 0, NULL), 0);
		print_message("   noise estimated: %.2f dB\n", own.psnr_db);
		assert_true(own.psnr_db > after.psnr_db - 0.5);
		assert_true(after.ssim > before.ssim + 0.05);
		assert_true(fabs(mean) / 10 < 0.01 + 5 * sqrt(e * 0.02) / N);
	}
	free(clean);
}

/* One image of a little-endian u1 .npy stack [60][128][128]. */
static int load_counts(const char *name, float *out)
{
	const char *path = testkit_data(name);
	uint16_t head;
	size_t size;

	if (!path)
		return 0;
	char *bytes = testkit_read(path, &size);

	memcpy(&head, bytes + 8, sizeof head);
	assert_memory_equal(bytes, "\x93NUMPY\x01", 7);
	assert_non_null(strstr(bytes + 10, "(60, 128, 128)"));
	assert_int_equal(size, 10 + head + SLICES * SLICE * SLICE);
	for (int i = 0; i < SLICES * SLICE * SLICE; i++)
		out[i] = (float)(uint8_t)bytes[10 + head + i];
	free(bytes);
	return 1;
}

/* Published counts of 208 silicon atoms at two doses, 1 : 10, both on a background of 1 count: the
 * lower one denoised against the higher one, whose own noise is taken off the mean square. */
static void published_counts_gain(void **state)
{
	const struct pn_noise_model noise = { .gain = 1 };
	size_t size = SLICE * SLICE;
	float *low = malloc(2 * SLICES * size * sizeof *low), *high = low + SLICES * size;
	float *out = malloc(size * sizeof *out);
	double before = 0, after = 0, own = 0, sums[2] = { 0 };

	(void)state;
	if (!load_counts("sim_aSi208/counts_dose1p6e4_u1.npy", low) ||
	    !load_counts("sim_aSi208/counts_dose1p6e5_u1.npy", high)) {
		free(low);
		free(out);
		skip();
	}
	for (size_t i = 0; i < SLICES * size; i++) {
		sums[0] += (low[i] - 1) / (double)(SLICES * size);
		sums[1] += (high[i] - 1) / (double)(SLICES * size);
	}
	assert_true(fabs(sums[1] / sums[0] - 10) < 0.1);
	for (int k = 0; k < SLICES; k += 6) {
		denoise_counts(out, low + k * size, SLICE, SLICE, &noise);
		for (size_t i = 0; i < size; i++) {
			double truth = 1 + (high[k * size + i] - 1) / 10;

			before += pow(low[k * size + i] - truth, 2);
			after += pow(out[i] - truth, 2);
			own += high[k * size + i] / 100;
		}
	}
	print_message(
		"aSi208: signal %.2f counts; gain %.2f dB (%.2f dB with the noise of the truth "
		"left in)\n",
		sums[0], 10 * log10((before - own) / (after - own)), 10 * log10(before / after));
	assert_true(after - own < 0.1 * (before - own));
	free(low);
	free(out);
}

static void bad_images_are_refused(void **state)
{
	float image[32 * 32], out[32 * 32];
	const struct pn_noise_model none = { 0 };
	struct pn_bm3d_params p;
	struct pn_error err = { 0 };

	(void)state;
	for (int i = 0; i < 32 * 32; i++)
		image[i] = 4;
	/* a constant image stays what it is, but for what step 2 takes of its mean coefficient: 1 /
	 * (32 (8 4)^2) of it */
	assert_int_equal(pn_bm3d(out, image, 32, 32, 1, NULL, &err), PN_OK);
	for (int i = 0; i < 32 * 32; i++)
		assert_true(fabsf(out[i] - 4) < 2e-4f);
	assert_int_equal(pn_bm3d(out, image, 15, 32, 1, NULL, &err), PN_EARG);
	assert_int_equal(pn_bm3d(out, image, 32, 32, 0, NULL, &err), PN_EARG);
	assert_int_equal(pn_bm3d(out, image, 32, 32, NAN, NULL, &err), PN_EARG);
	assert_int_equal(pn_denoise_poisson_gauss(out, image, 32, 32, &none, NULL, &err), PN_EARG);
	pn_params_default(pn_bm3d_param_table, &p);
	p.hard_stride_px = 5;
	assert_int_equal(pn_bm3d(out, image, 32, 32, 1, &p, &err), PN_EARG);
	p.hard_stride_px = 3;
	p.wiener_blocks = 12;
	assert_int_equal(pn_bm3d(out, image, 32, 32, 1, &p, &err), PN_EARG);
	p.wiener_blocks = 16;
	p.hard_search_px = 47;
	assert_int_equal(pn_bm3d(out, image, 32, 32, 1, &p, &err), PN_EARG);
	assert_non_null(strstr(err.text, "hard_search_px = 47"));
	p.hard_search_px = 20;
	assert_int_equal(pn_bm3d(out, image, 32, 32, 1, &p, &err), PN_EARG);
	image[5 * 32 + 9] = NAN;
	assert_int_equal(pn_bm3d(out, image, 32, 32, 1, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "pixel 5 9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(definition_is_met),
		cmocka_unit_test(noise_goes_and_lattice_stays),
		cmocka_unit_test(result_depends_on_the_image_only),
		cmocka_unit_test(particles_gain),
		cmocka_unit_test(published_counts_gain),
		cmocka_unit_test(bad_images_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
