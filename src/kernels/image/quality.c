/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/quality.h"

#include <math.h>
#include <stdlib.h>

#define WINDOW 11
#define SIGMA  1.5

/* Means and central second moments of two images. */
struct moments {
	double ma, mb, aa, bb, ab;
};

static struct moments moments_of(const float *a, const float *b, size_t count)
{
	struct moments m = { 0 };

	for (size_t i = 0; i < count; i++) {
		m.ma += a[i];
		m.mb += b[i];
	}
	m.ma /= (double)count;
	m.mb /= (double)count;
	for (size_t i = 0; i < count; i++) {
		m.aa += (a[i] - m.ma) * (a[i] - m.ma);
		m.bb += (b[i] - m.mb) * (b[i] - m.mb);
		m.ab += (a[i] - m.ma) * (b[i] - m.mb);
	}
	return m;
}

double pn_snr_of_pair_db(const float *a, const float *b, size_t count)
{
	struct moments m = moments_of(a, b, count);
	double p = m.ab / sqrt(m.aa * m.bb);

	if (!(m.aa > 0) || !(m.bb > 0) || isnan(p))
		return NAN;
	return p <= 0 ? -INFINITY : p >= 1 ? INFINITY : 10 * log10(p / (1 - p));
}

/* ---- SSIM ---------------------------------------------------------------------------------- */

enum { A, B, AA, BB, AB, FIELDS };

static void window_of(double w[WINDOW])
{
	double sum = 0;

	for (int k = 0; k < WINDOW; k++) {
		double x = (k - WINDOW / 2) / SIGMA;

		w[k] = exp(-x * x / 2);
		sum += w[k];
	}
	for (int k = 0; k < WINDOW; k++)
		w[k] /= sum;
}

/* The five weighted sums along x of row y, at the places where the window fits. */
static void row_sums(double *const out[FIELDS], const double *a, const float *b, size_t nx,
		     const double w[WINDOW])
{
	for (size_t x = 0; x + WINDOW <= nx; x++) {
		double sum[FIELDS] = { 0 };

		for (int k = 0; k < WINDOW; k++) {
			double u = a[x + k], v = b[x + k];

			sum[A] += w[k] * u;
			sum[B] += w[k] * v;
			sum[AA] += w[k] * u * u;
			sum[BB] += w[k] * v * v;
			sum[AB] += w[k] * u * v;
		}
		for (int f = 0; f < FIELDS; f++)
			out[f][x] = sum[f];
	}
}

/* Mean over all windows; @rows holds the sums along x of every row. */
static double mean_ssim(double *const rows[FIELDS], size_t ny, size_t nx, double range,
			const double w[WINDOW])
{
	size_t wide = nx - WINDOW + 1, high = ny - WINDOW + 1;
	double c1 = 1e-4 * range * range, c2 = 9e-4 * range * range, total = 0;

	for (size_t y = 0; y < high; y++) {
		double line = 0;

		for (size_t x = 0; x < wide; x++) {
			double s[FIELDS] = { 0 };

			for (int k = 0; k < WINDOW; k++)
				for (int f = 0; f < FIELDS; f++)
					s[f] += w[k] * rows[f][(y + k) * wide + x];
			double va = s[AA] - s[A] * s[A], vb = s[BB] - s[B] * s[B];
			double c = s[AB] - s[A] * s[B];

			line += (2 * s[A] * s[B] + c1) * (2 * c + c2) /
				((s[A] * s[A] + s[B] * s[B] + c1) * (va + vb + c2));
		}
		total += line;
	}
	return total / (double)(wide * high);
}

static int ssim_of(struct pn_quality *quality, const double *image, const float *clean, size_t ny,
		   size_t nx, struct pn_error *err)
{
	size_t wide = nx - WINDOW + 1;
	double w[WINDOW], *memory = malloc(FIELDS * ny * wide * sizeof *memory), *rows[FIELDS];

	if (!memory)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu x %zu pixels", ny, nx);
	window_of(w);
	for (int f = 0; f < FIELDS; f++)
		rows[f] = memory + f * ny * wide;
	for (size_t y = 0; y < ny; y++) {
		double *out[FIELDS];

		for (int f = 0; f < FIELDS; f++)
			out[f] = rows[f] + y * wide;
		row_sums(out, image + y * nx, clean + y * nx, nx, w);
	}
	quality->ssim = mean_ssim(rows, ny, nx, quality->range, w);
	free(memory);
	return PN_OK;
}

/* -------------------------------------------------------------------------------------------- */

static int check(const float *image, const float *clean, size_t ny, size_t nx, struct pn_error *err)
{
	if (ny < WINDOW || nx < WINDOW)
		return pn_error_set(err, PN_EARG, "quality: %zu x %zu pixels, at least %d x %d", ny,
				    nx, WINDOW, WINDOW);
	for (size_t i = 0; i < ny * nx; i++)
		if (!isfinite(image[i]) || !isfinite(clean[i]))
			return pn_error_set(err, PN_EARG,
					    "quality: pixel %zu %zu (y x) is %g, the clean one %g",
					    i / nx, i % nx, image[i], clean[i]);
	return PN_OK;
}

static double range_of(const float *clean, size_t count)
{
	double low = clean[0], high = clean[0];

	for (size_t i = 1; i < count; i++) {
		low = fmin(low, clean[i]);
		high = fmax(high, clean[i]);
	}
	return high - low;
}

int pn_quality_compare(struct pn_quality *quality, const float *image, const float *clean,
		       size_t ny, size_t nx, double range, int affine, struct pn_error *err)
{
	size_t count = ny * nx;
	int rc = check(image, clean, ny, nx, err);

	if (rc)
		return rc;
	*quality = (struct pn_quality){ .range = range > 0 ? range : range_of(clean, count),
					.scale = 1 };
	if (!(quality->range > 0))
		return pn_error_set(err, PN_EARG, "quality: the clean image is %g everywhere",
				    clean[0]);
	double *fitted = malloc(count * sizeof *fitted);

	if (!fitted)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu x %zu pixels", ny, nx);
	if (affine) {
		struct moments m = moments_of(image, clean, count);

		quality->scale = m.aa > 0 ? m.ab / m.aa : 0;
		quality->offset = m.mb - quality->scale * m.ma;
	}
	for (size_t i = 0; i < count; i++) {
		fitted[i] = quality->scale * image[i] + quality->offset;
		quality->mse += (fitted[i] - clean[i]) * (fitted[i] - clean[i]);
	}
	quality->mse /= (double)count;
	quality->psnr_db = 10 * log10(quality->range * quality->range / quality->mse);
	rc = ssim_of(quality, fitted, clean, ny, nx, err);
	free(fitted);
	return rc;
}
