/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/filter.h"

#include "perrin/math/fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ statistics */

enum { BLOCK = 4096 };

struct stats_part {
	double sum, sum2, min, max;
	size_t good, nonfinite, saturated;
};

static void stats_block(const float *src, size_t count, double saturation, double origin,
			struct stats_part *part)
{
	double sum = 0, sum2 = 0;

	for (size_t i = 0; i < count; i++) {
		double v = src[i];

		if (!isfinite(v)) {
			part->nonfinite++;
		} else if (v >= saturation) {
			part->saturated++;
		} else {
			part->good++;
			sum += v - origin;
			sum2 += (v - origin) * (v - origin);
			part->min = v < part->min ? v : part->min;
			part->max = v > part->max ? v : part->max;
		}
	}
	part->sum += sum;
	part->sum2 += sum2;
}

void pn_frame_stats(const float *src, size_t count, double saturation, struct pn_frame_stats *out)
{
	struct stats_part part = { .min = INFINITY, .max = -INFINITY };
	double origin = 0;

	for (size_t i = 0; i < count; i++) {
		if (isfinite(src[i]) && src[i] < saturation) {
			origin = src[i];
			break;
		}
	}
	for (size_t at = 0; at < count; at += BLOCK)
		stats_block(src + at, count - at < BLOCK ? count - at : BLOCK, saturation, origin,
			    &part);
	*out = (struct pn_frame_stats){ .finite = part.good,
					.nonfinite = part.nonfinite,
					.saturated = part.saturated };
	if (!part.good)
		return;
	double shift = part.sum / (double)part.good;

	out->mean = origin + shift;
	out->sd = sqrt(fmax(0, part.sum2 / (double)part.good - shift * shift));
	out->min = part.min;
	out->max = part.max;
}

/* ------------------------------------------------------------------ low-pass */

struct pn_lowpass {
	size_t ny, nx;
	struct pn_fft *forward, *backward;
	float *image;        /* [ny][nx]        */
	float complex *wave; /* [ny][nx/2+1]    */
	float *weight;       /* [ny][nx/2+1], with 1 / (ny nx) in it */
};

double pn_lowpass_weight(double k_per_A, double cutoff_A)
{
	double k = k_per_A * cutoff_A;

	if (k <= 1)
		return 1;
	if (k >= 1.07)
		return 0;
	double c = cos(M_PI_2 * (k - 1) / 0.07);

	return c * c;
}

static void lowpass_weights(struct pn_lowpass *p, double pixel_A, double cutoff_A)
{
	size_t nh = p->nx / 2 + 1;

	for (size_t y = 0; y < p->ny; y++) {
		double ky =
			(y <= p->ny / 2 ? (double)y : (double)y - (double)p->ny) / (double)p->ny;

		for (size_t x = 0; x < nh; x++) {
			double k = hypot(ky, (double)x / (double)p->nx) / pixel_A;

			p->weight[y * nh + x] =
				(float)(pn_lowpass_weight(k, cutoff_A) / (double)(p->ny * p->nx));
		}
	}
}

int pn_lowpass_create(struct pn_lowpass **plan, size_t ny, size_t nx, double pixel_pm,
		      double cutoff_A, struct pn_error *err)
{
	*plan = NULL;
	if (!(pixel_pm > 0) || !(cutoff_A > 0) || !isfinite(pixel_pm) || !isfinite(cutoff_A))
		return pn_error_set(err, PN_EARG,
				    "low-pass: pixel_pm = %g, cutoff_A = %g: must be > 0", pixel_pm,
				    cutoff_A);
	struct pn_lowpass *p = calloc(1, sizeof *p);
	int rc;

	if (!p)
		return pn_error_set(err, PN_ENOMEM, "low-pass: no memory");
	p->ny = ny;
	p->nx = nx;
	rc = pn_fft_plan(&p->forward, PN_FFT_R2C, ny, nx, 0, err);
	if (!rc)
		rc = pn_fft_plan(&p->backward, PN_FFT_C2R, ny, nx, 0, err);
	if (rc)
		goto fail;
	p->image = pn_fft_alloc(sizeof(float) * ny * nx);
	p->wave = pn_fft_alloc(sizeof(float complex) * ny * (nx / 2 + 1));
	p->weight = pn_fft_alloc(sizeof(float) * ny * (nx / 2 + 1));
	if (!p->image || !p->wave || !p->weight) {
		rc = pn_error_set(err, PN_ENOMEM, "low-pass of %zu x %zu pixels: no memory", ny,
				  nx);
		goto fail;
	}
	lowpass_weights(p, pixel_pm / 100, cutoff_A);
	*plan = p;
	return PN_OK;
fail:
	pn_lowpass_destroy(p);
	return rc;
}

void pn_lowpass_destroy(struct pn_lowpass *plan)
{
	if (!plan)
		return;
	pn_fft_destroy(plan->forward);
	pn_fft_destroy(plan->backward);
	pn_fft_free(plan->image);
	pn_fft_free(plan->wave);
	pn_fft_free(plan->weight);
	free(plan);
}

void pn_lowpass_execute(struct pn_lowpass *plan, const float *src, float *dst)
{
	size_t count = plan->ny * plan->nx, bins = plan->ny * (plan->nx / 2 + 1);
	struct pn_frame_stats stats;

	pn_frame_stats(src, count, INFINITY, &stats);
	for (size_t i = 0; i < count; i++)
		plan->image[i] = isfinite(src[i]) ? src[i] : (float)stats.mean;
	pn_fft_execute(plan->forward, plan->image, plan->wave);
	for (size_t i = 0; i < bins; i++)
		plan->wave[i] *= plan->weight[i];
	pn_fft_execute(plan->backward, plan->wave, plan->image);
	memcpy(dst, plan->image, count * sizeof *dst);
}

/* ------------------------------------------------------------------ Gaussian */

enum { GAUSS_RADIUS_MAX = 256 };

/* Sum of the weights that reach a place inside a line of @n; @sum[k] = weight[0] + ... weight[k].
 */
static float reach_total(const float *sum, size_t n, size_t at, size_t radius)
{
	size_t lo = at < radius ? at : radius, hi = n - 1 - at < radius ? n - 1 - at : radius;

	return sum[lo] + sum[hi] - sum[0];
}

static void add_scaled(float *restrict dst, const float *restrict src, size_t count, float weight)
{
	for (size_t i = 0; i < count; i++)
		dst[i] += weight * src[i];
}

static void blur_rows(float *dst, const float *src, size_t ny, size_t nx, const float *weight,
		      const float *sum, size_t radius)
{
	size_t reach = radius < nx ? radius : nx - 1;

	memset(dst, 0, sizeof *dst * ny * nx);
	for (size_t y = 0; y < ny; y++) {
		float *to = dst + y * nx;
		const float *from = src + y * nx;

		add_scaled(to, from, nx, weight[0]);
		for (size_t k = 1; k <= reach; k++) {
			add_scaled(to + k, from, nx - k, weight[k]);
			add_scaled(to, from + k, nx - k, weight[k]);
		}
		for (size_t x = 0; x < nx; x++)
			to[x] /= reach_total(sum, nx, x, radius);
	}
}

static void blur_columns(float *dst, const float *src, size_t ny, size_t nx, const float *weight,
			 const float *sum, size_t radius)
{
	memset(dst, 0, sizeof *dst * ny * nx);
	for (size_t y = 0; y < ny; y++) {
		float total = reach_total(sum, ny, y, radius);
		size_t y0 = y < radius ? 0 : y - radius;
		size_t y1 = ny - 1 - y < radius ? ny - 1 : y + radius;

		for (size_t v = y0; v <= y1; v++)
			add_scaled(dst + y * nx, src + v * nx, nx,
				   weight[v > y ? v - y : y - v] / total);
	}
}

void pn_gauss_blur(float *dst, const float *src, float *scratch, size_t ny, size_t nx,
		   double sigma_px)
{
	float weight[GAUSS_RADIUS_MAX + 1], sum[GAUSS_RADIUS_MAX + 1];
	size_t radius = (size_t)ceil(4 * sigma_px);

	pn_assert(sigma_px >= 0 && sigma_px <= 64);
	if (sigma_px == 0) {
		memmove(dst, src, sizeof *dst * ny * nx);
		return;
	}
	for (size_t i = 0; i <= radius; i++) {
		weight[i] = (float)exp(-0.5 * (double)(i * i) / (sigma_px * sigma_px));
		sum[i] = weight[i] + (i ? sum[i - 1] : 0);
	}
	blur_rows(scratch, src, ny, nx, weight, sum, radius);
	blur_columns(dst, scratch, ny, nx, weight, sum, radius);
}

/* ------------------------------------------------------------------ bilateral */

void pn_bilateral_reference(float *dst, const float *src, size_t ny, size_t nx, double sigma_px,
			    double sigma_value)
{
	long r = (long)ceil(2 * sigma_px);

	for (long y = 0; y < (long)ny; y++) {
		for (long x = 0; x < (long)nx; x++) {
			double sum = 0, total = 0, here = src[y * (long)nx + x];

			for (long v = y - r; v <= y + r; v++) {
				for (long u = x - r; u <= x + r; u++) {
					if (v < 0 || u < 0 || v >= (long)ny || u >= (long)nx)
						continue;
					double d = src[v * (long)nx + u] - here;
					double w = exp(-0.5 *
							       (double)((u - x) * (u - x) +
									(v - y) * (v - y)) /
							       (sigma_px * sigma_px) -
						       0.5 * d * d / (sigma_value * sigma_value));

					sum += w * src[v * (long)nx + u];
					total += w;
				}
			}
			dst[y * (long)nx + x] = (float)(sum / total);
		}
	}
}

/* Add one tap (the neighbour at dx) to a whole row; the compiler makes vectors of it. */
static void bilateral_tap(float *restrict sum, float *restrict total, const float *restrict here,
			  const float *restrict there, size_t count, float weight, float scale)
{
	for (size_t x = 0; x < count; x++) {
		float d = there[x] - here[x];
		float r = 1.0f - d * d * scale;

		r = r > 0 ? r : 0;
		r *= r;
		r *= r;
		r *= r;
		r *= r;
		r *= r;
		r *= r;
		r *= r;
		r *= r;
		r *= weight;
		sum[x] += r * there[x];
		total[x] += r;
	}
}

void pn_bilateral(float *dst, const float *src, float *scratch, size_t ny, size_t nx,
		  double sigma_px, double sigma_value)
{
	long r = (long)ceil(2 * sigma_px);
	float scale = (float)(0.5 / (sigma_value * sigma_value) / 256);

	pn_assert(sigma_px > 0 && sigma_px <= 16 && sigma_value > 0);
#pragma omp parallel for schedule(static) if (ny * nx > 65536)
	for (long y = 0; y < (long)ny; y++) {
		float *sum = scratch + (size_t)y * nx, *total = sum + ny * nx;

		memset(sum, 0, sizeof *sum * nx);
		memset(total, 0, sizeof *total * nx);
		for (long v = y - r < 0 ? 0 : y - r; v <= y + r && v < (long)ny; v++) {
			for (long dx = -r; dx <= r; dx++) {
				long from = dx < 0 ? -dx : 0,
				     to = dx > 0 ? (long)nx - dx : (long)nx;
				double d2 = (double)((v - y) * (v - y) + dx * dx);

				if (to <= from)
					continue;
				bilateral_tap(sum + from, total + from, src + (size_t)y * nx + from,
					      src + (size_t)v * nx + from + dx, (size_t)(to - from),
					      (float)exp(-0.5 * d2 / (sigma_px * sigma_px)), scale);
			}
		}
		for (size_t x = 0; x < nx; x++)
			dst[(size_t)y * nx + x] = sum[x] / total[x];
	}
}

/* ------------------------------------------------------------------ classes and regions */

/* Try every cut of the histogram; returns the last bin of the lower class. */
static size_t best_cut(const size_t *hist, size_t total, double *separability)
{
	double n = (double)total, mean = 0, square = 0, n0 = 0, sum0 = 0, best = -1;
	size_t cut = 0;

	for (size_t i = 0; i < PN_OTSU_BINS; i++) {
		mean += (double)hist[i] * (double)i / n;
		square += (double)hist[i] * (double)i * (double)i / n;
	}
	for (size_t i = 0; i + 1 < PN_OTSU_BINS; i++) {
		n0 += (double)hist[i];
		sum0 += (double)hist[i] * (double)i;
		if (n0 == 0 || n0 == n)
			continue;
		double d = sum0 / n0 - (mean * n - sum0) / (n - n0);
		double between = n0 / n * (1 - n0 / n) * d * d;

		if (between > best) {
			best = between;
			cut = i;
		}
	}
	if (separability)
		*separability = square > mean * mean ? best / (square - mean * mean) : 0;
	return cut;
}

int pn_otsu(const float *src, size_t count, double *threshold, double *separability)
{
	size_t hist[PN_OTSU_BINS] = { 0 };
	struct pn_frame_stats stats;

	pn_frame_stats(src, count, INFINITY, &stats);
	*threshold = stats.max;
	if (separability)
		*separability = 0;
	double scale = PN_OTSU_BINS / (stats.max - stats.min);

	if (!(stats.max > stats.min) || !isfinite(scale))
		return PN_ENOENT;
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(src[i]))
			continue;
		size_t bin = (size_t)((src[i] - stats.min) * scale);

		hist[bin < PN_OTSU_BINS ? bin : PN_OTSU_BINS - 1]++;
	}
	*threshold = stats.min + (double)(best_cut(hist, stats.finite, separability) + 1) / scale;
	return PN_OK;
}

/* Flood one region; its pixels get @label. The stack never holds a pixel twice. */
static size_t flood(const uint8_t *mask, uint32_t *label, uint32_t *stack, size_t ny, size_t nx,
		    size_t seed, uint32_t name)
{
	size_t depth = 1, area = 0;

	stack[0] = (uint32_t)seed;
	label[seed] = name;
	while (depth) {
		size_t at = stack[--depth], x = at % nx, y = at / nx;
		size_t next[4] = { at - 1, at + 1, at - nx, at + nx };
		int inside[4] = { x > 0, x + 1 < nx, y > 0, y + 1 < ny };

		area++;
		for (int i = 0; i < 4; i++) {
			if (inside[i] && mask[next[i]] && !label[next[i]]) {
				label[next[i]] = name;
				stack[depth++] = (uint32_t)next[i];
			}
		}
	}
	return area;
}

void pn_largest_region(uint8_t *mask, uint32_t *scratch, size_t ny, size_t nx,
		       struct pn_region *out)
{
	uint32_t *label = scratch, *stack = scratch + ny * nx, name = 0, best = 0;
	double x_sum = 0, y_sum = 0;

	*out = (struct pn_region){ 0 };
	memset(label, 0, sizeof *label * ny * nx);
	for (size_t i = 0; i < ny * nx; i++) {
		if (!mask[i] || label[i])
			continue;
		size_t area = flood(mask, label, stack, ny, nx, i, ++name);

		if (area > out->area_px) {
			out->area_px = area;
			best = name;
		}
	}
	for (size_t i = 0; i < ny * nx; i++) {
		size_t x = i % nx, y = i / nx;

		mask[i] = best && label[i] == best;
		if (!mask[i])
			continue;
		x_sum += (double)x;
		y_sum += (double)y;
		out->touches_border |= x == 0 || y == 0 || x + 1 == nx || y + 1 == ny;
	}
	if (best) {
		out->x_px = x_sum / (double)out->area_px;
		out->y_px = y_sum / (double)out->area_px;
	}
}
