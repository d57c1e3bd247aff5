/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/align.h"

#include "perrin/math/fft.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mirror {
	const float *image[2];
	size_t ny, nx;
	struct pn_fft *forward, *backward; /* of [2 ny][2 nx] */
	float *turned;                     /* [ny][nx] */
	float *map;                        /* [2 ny][2 nx] */
	float complex *spectrum[2];
};

static void mirror_finish(struct mirror *m)
{
	pn_fft_destroy(m->forward);
	pn_fft_destroy(m->backward);
	free(m->turned);
	pn_fft_free(m->map);
	pn_fft_free(m->spectrum[0]);
	pn_fft_free(m->spectrum[1]);
}

static int mirror_init(struct mirror *m, struct pn_error *err)
{
	size_t count = m->ny * m->nx, bins = 2 * m->ny * (m->nx + 1);
	int rc = pn_fft_plan(&m->forward, PN_FFT_R2C, 2 * m->ny, 2 * m->nx, 0, err);

	if (!rc)
		rc = pn_fft_plan(&m->backward, PN_FFT_C2R, 2 * m->ny, 2 * m->nx, 0, err);
	m->turned = malloc(count * sizeof *m->turned);
	m->map = pn_fft_alloc(4 * count * sizeof *m->map);
	for (int i = 0; i < 2; i++)
		m->spectrum[i] = pn_fft_alloc(bins * sizeof *m->spectrum[i]);
	if (!rc && (!m->turned || !m->map || !m->spectrum[0] || !m->spectrum[1]))
		rc = pn_error_set(err, PN_ENOMEM, "mirror images: no memory for %zu x %zu pixels",
				  m->ny, m->nx);
	return rc;
}

/* Spectrum of one image, turned, and its energy; the second one mirrored about x = 0. */
static int turn_one(struct mirror *m, int which, double axis_deg, double *sum, struct pn_error *err)
{
	const double none[2] = { 0, 0 };
	size_t nx = m->nx;
	int rc = pn_tilt_resample(m->turned, m->image[which], m->ny, nx, axis_deg, none, err);

	if (rc)
		return rc;
	memset(m->map, 0, 4 * m->ny * nx * sizeof *m->map);
	*sum = 0;
	for (size_t y = 0; y < m->ny; y++)
		for (size_t x = 0; x < nx; x++) {
			size_t from = which ? 2 * (nx / 2) - x : x;
			float v = from < nx ? m->turned[y * nx + from] : 0;

			m->map[y * 2 * nx + x] = v;
			*sum += (double)v * v;
		}
	pn_fft_execute(m->forward, m->map, m->spectrum[which]);
	return PN_OK;
}

/*
 * The correlation between the pixels, f(x, y) = Re sum_k G_k exp(2 pi i (k_x x + k_y y)) over the
 * product of the spectra, with its gradient and the upper triangle of its second derivatives.
 */
static void correlation_at(const struct mirror *m, const double at[2], double f[6])
{
	size_t wide = 2 * m->nx, high = 2 * m->ny;
	double complex step = cexp(2 * M_PI * I * at[0] / (double)wide);

	memset(f, 0, 6 * sizeof *f);
	for (size_t y = 0; y < high; y++) {
		double ky = (double)y - (y < m->ny ? 0 : (double)high);
		double complex phase = cexp(2 * M_PI * I * ky * at[1] / (double)high);

		ky *= 2 * M_PI / (double)high;
		for (size_t x = 0; x <= m->nx; x++, phase *= step) {
			double kx = 2 * M_PI * (double)x / (double)wide;
			double twice = x == 0 || x == m->nx ? 1 : 2;
			double complex g = twice * m->spectrum[1][y * (m->nx + 1) + x] * phase;

			f[0] += creal(g);
			f[1] -= kx * cimag(g);
			f[2] -= ky * cimag(g);
			f[3] -= kx * kx * creal(g);
			f[4] -= kx * ky * creal(g);
			f[5] -= ky * ky * creal(g);
		}
	}
}

/* From the highest pixel to the top, by Newton's method, no further than a pixel. */
static double climb(const struct mirror *m, double at[2])
{
	const double start[2] = { at[0], at[1] };
	double f[6];

	correlation_at(m, at, f);
	for (int i = 0; i < 6; i++) {
		double before = f[0], det = f[3] * f[5] - f[4] * f[4];
		double dx = (f[4] * f[2] - f[5] * f[1]) / det;
		double dy = (f[4] * f[1] - f[3] * f[2]) / det;
		double next[2] = { at[0] + dx, at[1] + dy };

		if (!(f[3] < 0 && det > 0) || fabs(next[0] - start[0]) > 1 ||
		    fabs(next[1] - start[1]) > 1)
			break;
		correlation_at(m, next, f);
		if (f[0] < before)
			return before;
		at[0] = next[0];
		at[1] = next[1];
		if (hypot(dx, dy) < 1e-4)
			break;
	}
	return f[0];
}

static int try_mirror(struct mirror *m, double axis_deg, struct pn_tilt_mirror *out,
		      struct pn_error *err)
{
	size_t wide = 2 * m->nx, high = 2 * m->ny, bins = high * (m->nx + 1), best = 0;
	double sum[2];
	int rc = turn_one(m, 0, axis_deg, &sum[0], err);

	if (rc || (rc = turn_one(m, 1, axis_deg, &sum[1], err)))
		return rc;
	for (size_t i = 0; i < bins; i++)
		m->spectrum[1][i] *= conjf(m->spectrum[0][i]);
	memcpy(m->spectrum[0], m->spectrum[1], bins * sizeof *m->spectrum[0]);
	pn_fft_execute(m->backward, m->spectrum[0], m->map);
	for (size_t i = 1; i < high * wide; i++)
		best = m->map[i] > m->map[best] ? i : best;
	size_t y = best / wide, x = best % wide;
	double at[2] = { (double)x - (x < m->nx ? 0 : (double)wide),
			 (double)y - (y < m->ny ? 0 : (double)high) };
	double top = climb(m, at);

	/* the mirrored image stands twice as far to the one side as the axis to the other */
	*out = (struct pn_tilt_mirror){ .axis_deg = axis_deg,
					.across_px = -at[0] / 2,
					.along_px = at[1],
					.correlation = top / (double)(high * wide) /
						       sqrt(sum[0] * sum[1]) };
	return PN_OK;
}

/* Scan, then golden section around the best. */
static int search_mirror(struct mirror *m, double range_deg, struct pn_tilt_mirror *out,
			 struct pn_error *err)
{
	const double golden = (sqrt(5) - 1) / 2;
	long steps = (long)ceil(range_deg / 0.5);
	double step = steps ? range_deg / (double)steps : 0;
	struct pn_tilt_mirror best = { .correlation = -1 }, c, d;
	int rc = PN_OK;

	for (long i = -steps; !rc && i <= steps; i++) {
		rc = try_mirror(m, (double)i * step, &c, err);
		best = !rc && c.correlation > best.correlation ? c : best;
	}
	double low = fmax(-range_deg, best.axis_deg - step);
	double high = fmin(range_deg, best.axis_deg + step);

	while (!rc && high - low > 0.01) {
		rc = try_mirror(m, high - golden * (high - low), &c, err);
		if (!rc)
			rc = try_mirror(m, low + golden * (high - low), &d, err);
		if (c.correlation > d.correlation)
			high = d.axis_deg;
		else
			low = c.axis_deg;
	}
	if (!rc)
		rc = try_mirror(m, (low + high) / 2, out, err);
	out->axis_at_end = steps && fabs(out->axis_deg) > 0.99 * range_deg;
	return rc;
}

int pn_tilt_mirror(struct pn_tilt_mirror *out, const float *first, const float *second, size_t ny,
		   size_t nx, double range_deg, struct pn_error *err)
{
	struct mirror m = { .image = { first, second }, .ny = ny, .nx = nx };

	*out = (struct pn_tilt_mirror){ 0 };
	if (ny < 8 || nx < 8 || ny > 16384 || nx > 16384 || !(range_deg >= 0 && range_deg <= 45))
		return pn_error_set(err, PN_EARG,
				    "mirror images: %zu x %zu pixels, range %g deg: must be "
				    "8..16384 and 0..45",
				    ny, nx, range_deg);
	for (int k = 0; k < 2; k++) {
		size_t used = 0, bad = 0;

		for (size_t i = 0; i < ny * nx; i++) {
			used += m.image[k][i] != 0;
			bad += !isfinite(m.image[k][i]);
		}
		if (!used || bad)
			return pn_error_set(err, PN_EARG,
					    "mirror images: the %s has %zu pixels that are not 0, "
					    "%zu that are not finite",
					    k ? "second" : "first", used, bad);
	}
	int rc = mirror_init(&m, err);

	if (!rc)
		rc = search_mirror(&m, range_deg, out, err);
	mirror_finish(&m);
	return rc;
}
