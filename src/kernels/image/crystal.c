/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/crystal.h"

#include "perrin/image/filter.h"
#include "perrin/math/fft.h"
#include "statistics.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const shape_words[] = { "sphere", "disc", NULL };

#define F64(field_, unit_, def_, min_, max_, help_)                                          \
	{                                                                                    \
		.name = #field_, .unit = unit_, .help = help_, .type = PN_PARAM_F64,         \
		.off = offsetof(struct pn_crystal_params, field_), .def = def_, .min = min_, \
		.max = max_                                                                  \
	}

const struct pn_param pn_crystal_param_table[] = {
	F64(pixel_pm, "pm", 35.8, 1, 1000, "pixel size at the specimen"),
	F64(d_min_A, "A", 1.1, 0.2, 10, "smallest lattice spacing looked for"),
	F64(d_max_A, "A", 3.2, 0.5, 20, "largest lattice spacing looked for"),
	F64(lowpass_A, "A", 0, 0, 10, "nothing finer is used, for raw frames (0: off)"),
	F64(lattice_A, "A", 0, 0, 20, "fcc lattice constant expected (0: not known)"),
	F64(tolerance, NULL, 0.05, 0.005, 0.2, "of lattice_A, relative"),
	F64(false_alarm, NULL, 0.01, 1e-9, 0.5, "part of pure-noise crops that may pass"),
	F64(spot_mask_px, "px", 2, 0, 16, "radius around background spots to ignore"),
	{ .name = "size_peaks",
	  .help = "pairs of peaks used for the size",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct pn_crystal_params, size_peaks),
	  .def = 4,
	  .min = 1,
	  .max = PN_CRYSTAL_PEAKS_MAX },
	F64(atom_sd_A, "A", 0, 0, 2, "s.d. of an atom's image, if transfer falls off like it"),
	F64(size_resolution_A, "A", 2.5, 0.5, 20, "blur (s.d.) of the lattice region"),
	{ .name = "size_shape",
	  .help = "how the lattice amplitude falls off to the edge",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct pn_crystal_params, size_shape),
	  .choices = shape_words },
	{ 0 },
};

#undef F64

enum { CALIBRATION = 20, CANDIDATES_MAX = 512, RINGS_MAX = 1024, RING_REACH = 4, SMALLEST = 16 };

static const double bilateral_px = 1.5, bilateral_part = 0.2, separability_min = 0.6;
static const double floor_part = 0.02;
static const double second_angle_min = 15, peak_distance_bins = 3, peak_distance_per_A = 0.06;

/* The central part of the spectrum, half-plane x >= 0 and one mirrored column at x = -1, lies in
 * arrays [rows][cols] with row = ky + half_y, col = kx + 1. */
struct pn_crystal {
	struct pn_crystal_params params;
	size_t ny, nx, nh;
	double pixel_A, side_A[2]; /* [y, x] */
	struct pn_fft *forward;
	float *image;        /* [ny][nx]     */
	float complex *wave; /* [ny][nh]     */
	float *hann_y, *hann_x, *flat_y, *flat_x;
	double hann_power, flat_power; /* sums of the squared windows */
	long half_y, half_x;           /* largest |ky|, kx held */
	size_t rows, cols;
	float *power, *ratio, *smooth; /* [rows][cols] */
	uint16_t *ring;                /* [rows][cols] */
	uint8_t *in_band;              /* [rows][cols]: searched; mask: less the background spots */
	uint8_t *mask;
	double ring_mean[RINGS_MAX];
	uint8_t ring_searched[RINGS_MAX]; /* 1: some bin of the ring is searched */
	size_t rings;
	double noise_peak;
	/* size: envelopes on a coarse grid [my][mx] over the same field */
	size_t my, mx;
	struct pn_fft *backward;
	float complex *envelope_wave, *envelope;
	float *energy, *filtered, *scratch; /* scratch [2][my][mx] */
	uint8_t *region;
	uint32_t *labels;                   /* [2][my][mx] */
	double calibration[CALIBRATION][2]; /* measured A, true A */
	size_t calibrated;
};

struct candidate {
	size_t at;
	float value;
};

/* ------------------------------------------------------------------ plan */

static int check_params(size_t ny, size_t nx, const struct pn_crystal_params *p,
			struct pn_error *err)
{
	if (ny < 1 || nx < 1 || ny > 1024 || nx > 1024)
		return pn_error_set(err, PN_EARG, "crystal: crops of %zu x %zu pixels: 1..1024", ny,
				    nx);
	if (!(p->pixel_pm > 0) || !(p->d_min_A > 0) || !(p->d_max_A > p->d_min_A))
		return pn_error_set(err, PN_EARG,
				    "crystal: pixel_pm = %g, d_min_A = %g, d_max_A = %g: "
				    "must be > 0 and d_min_A < d_max_A",
				    p->pixel_pm, p->d_min_A, p->d_max_A);
	if (!(p->false_alarm > 0 && p->false_alarm < 1) || !(p->size_resolution_A > 0) ||
	    p->size_peaks < 1 || p->size_peaks > PN_CRYSTAL_PEAKS_MAX)
		return pn_error_set(err, PN_EARG,
				    "crystal: false_alarm = %g, size_resolution_A = %g, "
				    "size_peaks = %lld: out of range",
				    p->false_alarm, p->size_resolution_A, (long long)p->size_peaks);
	return PN_OK;
}

/* Is |k| (1/A) searched: inside the band and, if the lattice is known, near a reflection of it. */
static int wanted(const struct pn_crystal_params *p, double k)
{
	static const double hkl2[] = { 3, 4, 8, 11, 12, 16, 19, 20, 24 };
	double d_min = fmax(p->d_min_A, p->lowpass_A);

	if (k <= 0 || k * d_min > 1 || k * p->d_max_A < 1)
		return 0;
	if (p->lattice_A <= 0)
		return 1;
	for (size_t i = 0; i < PN_COUNT(hkl2); i++)
		if (fabs(k * p->lattice_A / sqrt(hkl2[i]) - 1) <= p->tolerance)
			return 1;
	return 0;
}

static void make_rings(struct pn_crystal *p)
{
	double side = fmin(p->side_A[0], p->side_A[1]);

	for (size_t row = 0; row < p->rows; row++) {
		for (size_t col = 0; col < p->cols; col++) {
			double ky = ((double)row - (double)p->half_y) / p->side_A[0];
			double kx = ((double)col - 1) / p->side_A[1], k = hypot(ky, kx);
			size_t at = row * p->cols + col, ring = (size_t)lround(k * side);
			/* the rim only serves its neighbours, and column 0 is a mirror image */
			int inner = row > 0 && row + 1 < p->rows && col > 0 && col + 1 < p->cols;

			if (ring >= RINGS_MAX)
				ring = RINGS_MAX - 1;
			p->ring[at] = (uint16_t)ring;
			p->rings = ring + 1 > p->rings ? ring + 1 : p->rings;
			if (inner && (col > 1 || row > (size_t)p->half_y))
				p->in_band[at] = (uint8_t)wanted(&p->params, k);
			p->ring_searched[ring] |= p->in_band[at];
		}
	}
}

/* Eigenvalues of sqrt(u_i u_j) rho(i - j), u = [1 2 1]/4 and rho the correlation of bins by the
 * window: the smoothed power of noise is a sum of exponentials with these weights. The matrix is
 * its own mirror image, so one eigenvector is odd and two are even. */
static void smoothing_weights(const float *window, size_t n, double weight[3])
{
	double rho[3];

	for (int d = 0; d < 3; d++) {
		double sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += (double)window[i] * window[i] *
			       cos(2 * M_PI * d * ((double)i + 0.5 - (double)n / 2) / (double)n);
		rho[d] = sum;
	}
	double a = 0.25 * (1 + rho[2] / rho[0]), b = 0.5; /* even: [a c; c b] */
	double c = sqrt(2) * sqrt(0.125) * rho[1] / rho[0];
	double middle = (a + b) / 2, half = hypot((a - b) / 2, c);

	weight[0] = 0.25 * (1 - rho[2] / rho[0]);
	weight[1] = middle + half;
	weight[2] = fmax(0, middle - half);
}

static double window_sum2(const float *window, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)window[i] * window[i];
	return sum;
}

static void make_windows(float *hann, float *flat, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double at = ((double)i + 0.5) / (double)n, edge = fmin(at, 1 - at) / 0.1;
		double s = sin(M_PI * at), t = edge < 1 ? sin(M_PI_2 * edge) : 1;

		hann[i] = (float)(s * s);
		flat[i] = (float)(t * t);
	}
}

static void *make(size_t count, size_t size)
{
	return pn_fft_alloc(count * size);
}

/* Side of the coarse grid: about 1.2 pixels per resolution, and no finer than the crop. */
static size_t coarse(double side_A, double resolution_A, size_t n)
{
	size_t m = 16;

	while ((double)m * resolution_A < 3 * side_A && m + 16 <= n)
		m += 16;
	return m < n ? m : n;
}

static int make_arrays(struct pn_crystal *p)
{
	size_t bins = p->rows * p->cols, grid = p->my * p->mx;

	p->image = make(p->ny * p->nx, sizeof(float));
	p->wave = make(p->ny * p->nh, sizeof(float complex));
	p->hann_y = make(p->ny, sizeof(float));
	p->flat_y = make(p->ny, sizeof(float));
	p->hann_x = make(p->nx, sizeof(float));
	p->flat_x = make(p->nx, sizeof(float));
	p->power = make(bins, sizeof(float));
	p->ratio = make(bins, sizeof(float));
	p->smooth = make(bins, sizeof(float));
	p->ring = make(bins, sizeof(uint16_t));
	p->in_band = make(bins, 1);
	p->mask = make(bins, 1);
	p->envelope_wave = make(grid, sizeof(float complex));
	p->envelope = make(grid, sizeof(float complex));
	p->energy = make(grid, sizeof(float));
	p->filtered = make(grid, sizeof(float));
	p->scratch = make(2 * grid, sizeof(float));
	p->region = make(grid, 1);
	p->labels = make(2 * grid, sizeof(uint32_t));
	return p->image && p->wave && p->hann_y && p->flat_y && p->hann_x && p->flat_x &&
	       p->power && p->ratio && p->smooth && p->ring && p->in_band && p->mask &&
	       p->envelope_wave && p->envelope && p->energy && p->filtered && p->scratch &&
	       p->region && p->labels;
}

static void make_noise_peak(struct pn_crystal *p)
{
	double searched = 0, y[3], x[3], weight[9];

	smoothing_weights(p->hann_y, p->ny, y);
	smoothing_weights(p->hann_x, p->nx, x);
	for (int i = 0; i < 9; i++)
		weight[i] = y[i / 3] * x[i % 3];
	for (size_t i = 0; i < p->rows * p->cols; i++)
		searched += p->in_band[i];
	p->noise_peak = pn_exponentials_quantile(
		weight, 9, fmin(0.4, p->params.false_alarm / fmax(1, searched)));
}

static void calibrate(struct pn_crystal *p);

int pn_crystal_create(struct pn_crystal **plan, size_t ny, size_t nx,
		      const struct pn_crystal_params *params, struct pn_error *err)
{
	*plan = NULL;
	int rc = check_params(ny, nx, params, err);

	if (rc)
		return rc;
	struct pn_crystal *p = calloc(1, sizeof *p);

	if (!p)
		return pn_error_set(err, PN_ENOMEM, "crystal: no memory");
	p->params = *params;
	p->ny = ny;
	p->nx = nx;
	p->nh = nx / 2 + 1;
	p->pixel_A = params->pixel_pm / 100;
	p->side_A[0] = p->pixel_A * (double)ny;
	p->side_A[1] = p->pixel_A * (double)nx;
	double k_max = 1 / fmax(params->d_min_A, params->lowpass_A);
	/* one bin more than searched, and none of the ambiguous ones at Nyquist */
	p->half_y = (long)fmin(ceil(k_max * p->side_A[0]) + 1, ((double)ny - 1) / 2);
	p->half_x = (long)fmin(ceil(k_max * p->side_A[1]) + 1, ((double)nx - 1) / 2);
	p->rows = 2 * (size_t)p->half_y + 1;
	p->cols = (size_t)p->half_x + 2;
	p->my = coarse(p->side_A[0], params->size_resolution_A, ny);
	p->mx = coarse(p->side_A[1], params->size_resolution_A, nx);
	rc = pn_fft_plan(&p->forward, PN_FFT_R2C, ny, nx, 0, err);
	if (!rc)
		rc = pn_fft_plan(&p->backward, PN_FFT_BACKWARD, p->my, p->mx, 0, err);
	if (!rc && !make_arrays(p))
		rc = pn_error_set(err, PN_ENOMEM, "crystal: no memory for crops of %zu x %zu", ny,
				  nx);
	if (rc) {
		pn_crystal_destroy(p);
		return rc;
	}
	make_windows(p->hann_y, p->flat_y, ny);
	make_windows(p->hann_x, p->flat_x, nx);
	p->hann_power = window_sum2(p->hann_y, ny) * window_sum2(p->hann_x, nx);
	p->flat_power = window_sum2(p->flat_y, ny) * window_sum2(p->flat_x, nx);
	make_rings(p);
	make_noise_peak(p);
	if (ny >= SMALLEST && nx >= SMALLEST)
		calibrate(p);
	*plan = p;
	return PN_OK;
}

void pn_crystal_destroy(struct pn_crystal *plan)
{
	if (!plan)
		return;
	pn_fft_destroy(plan->forward);
	pn_fft_destroy(plan->backward);
	void *arrays[] = { plan->image,    plan->wave,   plan->hann_y,        plan->flat_y,
			   plan->hann_x,   plan->flat_x, plan->power,         plan->ratio,
			   plan->smooth,   plan->ring,   plan->in_band,       plan->mask,
			   plan->envelope, plan->energy, plan->envelope_wave, plan->filtered,
			   plan->scratch,  plan->region, plan->labels };

	for (size_t i = 0; i < PN_COUNT(arrays); i++)
		pn_fft_free(arrays[i]);
	free(plan);
}

double pn_crystal_noise_peak(const struct pn_crystal *plan)
{
	return plan->noise_peak;
}

/* ------------------------------------------------------------------ spectrum */

/* Transform the windowed crop less its windowed mean; 0 if there is nothing in it. */
static int transform(struct pn_crystal *p, const float *crop, const float *wy, const float *wx)
{
	struct pn_frame_stats stats;
	double sum = 0, weight = 0;

	pn_frame_stats(crop, p->ny * p->nx, INFINITY, &stats);
	if (!(stats.max > stats.min) || !isfinite(stats.sd))
		return 0;
	for (size_t y = 0; y < p->ny; y++) {
		float row_sum = 0, row_weight = 0;

		for (size_t x = 0; x < p->nx; x++) {
			float v = crop[y * p->nx + x], here = isfinite(v) ? v : (float)stats.mean;

			here -= (float)stats.mean;
			p->image[y * p->nx + x] = here;
			row_sum += here * wx[x];
			row_weight += wx[x];
		}
		sum += (double)row_sum * wy[y];
		weight += (double)row_weight * wy[y];
	}
	float mean = (float)(sum / weight), unit = (float)(1 / stats.sd);

	for (size_t y = 0; y < p->ny; y++)
		for (size_t x = 0; x < p->nx; x++)
			p->image[y * p->nx + x] =
				(p->image[y * p->nx + x] - mean) * unit * wy[y] * wx[x];
	pn_fft_execute(p->forward, p->image, p->wave);
	return 1;
}

static void take_power(struct pn_crystal *p)
{
	for (long ky = -p->half_y; ky <= p->half_y; ky++) {
		size_t y = ky < 0 ? (size_t)(ky + (long)p->ny) : (size_t)ky;
		const float complex *src = p->wave + y * p->nh;
		float *dst = p->power + (size_t)(ky + p->half_y) * p->cols + 1;

		for (long kx = 0; kx <= p->half_x; kx++)
			dst[kx] = crealf(src[kx]) * crealf(src[kx]) +
				  cimagf(src[kx]) * cimagf(src[kx]);
	}
	for (size_t row = 0; row < p->rows; row++)
		p->power[row * p->cols] =
			p->cols > 2 ? p->power[(p->rows - 1 - row) * p->cols + 2] : 0;
}

/* B: mean of each ring without its peaks (rounds of leaving out what is over 3 means), then over
 * the rings to both sides: a background that followed the peak's own ring would shift the peak. */
static void ring_means(struct pn_crystal *p)
{
	float limit[RINGS_MAX], sum[RINGS_MAX], count[RINGS_MAX];
	double all = 0, bins = 0;

	for (size_t r = 0; r < p->rings; r++)
		limit[r] = INFINITY;
	for (int round = 0; round < 4; round++) {
		memset(sum, 0, sizeof sum);
		memset(count, 0, sizeof count);
		for (size_t row = 0; row < p->rows; row++) {
			for (size_t at = row * p->cols + 1; at < (row + 1) * p->cols; at++) {
				size_t r = p->ring[at];
				float keep = p->power[at] <= limit[r];

				sum[r] += keep * p->power[at];
				count[r] += keep;
			}
		}
		for (size_t r = 0; r < p->rings; r++) {
			double m = count[r] > 0 ? sum[r] / count[r] : 0;

			limit[r] = (float)(PN_TRIM_AT * (round ? m / PN_TRIM_KEEPS : m));
			all += round ? 0 : sum[r] * p->ring_searched[r];
			bins += round ? 0 : count[r] * p->ring_searched[r];
		}
	}
	for (size_t r = 0; r < p->rings; r++) {
		size_t reach = r < RING_REACH ? r : RING_REACH;
		double s = 0, n = 0;

		for (size_t q = r - reach; q <= r + reach && q < p->rings; q++) {
			s += sum[q];
			n += count[q];
		}
		p->ring_mean[r] = fmax(n > 0 ? s / n / PN_TRIM_KEEPS : 0,
				       bins > 0 ? floor_part * all / bins : 0);
	}
}

static void flatten(struct pn_crystal *p)
{
	float inverse[RINGS_MAX];

	for (size_t r = 0; r < p->rings; r++)
		inverse[r] = p->ring_mean[r] > 0 ? (float)(1 / p->ring_mean[r]) : 0;
	for (size_t i = 0; i < p->rows * p->cols; i++)
		p->ratio[i] = p->power[i] * inverse[p->ring[i]];
}

/* Bins about one spot are set to the noise level and not searched. */
static void mask_spot(struct pn_crystal *p, double gx, double gy)
{
	double x0 = gx * p->side_A[1], y0 = gy * p->side_A[0], r = p->params.spot_mask_px;

	for (long ky = (long)ceil(fmax(y0 - r, (double)-p->half_y));
	     ky <= (long)floor(fmin(y0 + r, (double)p->half_y)); ky++) {
		for (long kx = (long)ceil(fmax(x0 - r, -1));
		     kx <= (long)floor(fmin(x0 + r, (double)p->half_x)); kx++) {
			size_t at = (size_t)(ky + p->half_y) * p->cols + (size_t)(kx + 1);

			if (hypot((double)ky - y0, (double)kx - x0) > r)
				continue;
			p->ratio[at] = 1;
			p->mask[at] = 0;
		}
	}
}

static void smooth_ratio(struct pn_crystal *p)
{
	for (size_t row = 1; row + 1 < p->rows; row++) {
		const float *a = p->ratio + (row - 1) * p->cols, *b = a + p->cols, *c = b + p->cols;
		float *dst = p->smooth + row * p->cols;

		for (size_t x = 1; x + 1 < p->cols; x++)
			dst[x] = 0.0625f * (a[x - 1] + a[x + 1] + c[x - 1] + c[x + 1]) +
				 0.125f * (a[x] + c[x] + b[x - 1] + b[x + 1]) + 0.25f * b[x];
	}
}

/* ------------------------------------------------------------------ peaks */

/* The value at (row, col) of the smoothed map; the column left of x = 0 is a mirror image. */
static double smooth_at(const struct pn_crystal *p, size_t row, size_t col)
{
	if (col == 0) {
		row = p->rows - 1 - row;
		col = 2;
	}
	return p->smooth[row * p->cols + col];
}

/* Gaussian through the 3 x 3 values about a maximum, by least squares on the logarithm. */
static void fit_peak(const struct pn_crystal *p, size_t at, struct pn_crystal_peak *out)
{
	size_t row = at / p->cols, col = at % p->cols;
	double s = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
	double blur = pow(2 * M_PI * p->params.atom_sd_A, 2);

	for (int dy = -1; dy <= 1; dy++) {
		for (int dx = -1; dx <= 1; dx++) {
			double above =
				smooth_at(p, (size_t)((long)row + dy), (size_t)((long)col + dx)) -
				1;
			double kx = ((double)col - 1 + dx) / p->side_A[1];
			double ky = ((double)row - (double)p->half_y + dy) / p->side_A[0];
			double f = log(fmax(above, 0.05)) + blur * (kx * kx + ky * ky);

			s += f;
			sx += dx * f;
			sy += dy * f;
			sxx += dx * dx * f;
			syy += dy * dy * f;
			sxy += dx * dy * f;
		}
	}
	double b = sx / 6, c = sy / 6, e = sxy / 4;
	double hxx = sxx - 2 * s / 3, hyy = syy - 2 * s / 3; /* second derivatives */
	double det = hxx * hyy - e * e, ox = 0, oy = 0, variance = 0;

	if (hxx < 0 && det > 0) {
		ox = fmin(1, fmax(-1, (e * c - hyy * b) / det));
		oy = fmin(1, fmax(-1, (e * b - hxx * c) / det));
		variance = -(hxx + hyy) / det / 2 - 0.5; /* less that of the [1 2 1] smoothing */
	}
	out->gx_per_A = ((double)col - 1 + ox) / p->side_A[1];
	out->gy_per_A = ((double)row - (double)p->half_y + oy) / p->side_A[0];
	if (out->gx_per_A < 0) {
		out->gx_per_A = -out->gx_per_A;
		out->gy_per_A = -out->gy_per_A;
	}
	out->spacing_pm = 100 / hypot(out->gx_per_A, out->gy_per_A);
	out->width_px = sqrt(fmax(0, variance));
	out->peak = p->smooth[at];
}

static int is_maximum(const struct pn_crystal *p, size_t at)
{
	size_t row = at / p->cols, col = at % p->cols;
	float v = p->smooth[at];

	for (size_t r = row - 1; r <= row + 1; r++)
		for (size_t c = col - 1; c <= col + 1; c++)
			if (!(r == row && c == col) && smooth_at(p, r, c) > v)
				return 0;
	return 1;
}

static size_t collect(const struct pn_crystal *p, struct candidate *list)
{
	size_t count = 0;

	for (size_t at = 0; at < p->rows * p->cols && count < CANDIDATES_MAX; at++)
		if (p->mask[at] && p->smooth[at] > p->noise_peak && is_maximum(p, at))
			list[count++] = (struct candidate){ at, p->smooth[at] };
	return count;
}

/* Strongest first; few enough for insertion, and qsort may allocate. */
static void sort_candidates(struct candidate *list, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct candidate c = list[i];
		size_t at = i;

		for (; at > 0 && list[at - 1].value < c.value; at--)
			list[at] = list[at - 1];
		list[at] = c;
	}
}

static int is_new_peak(const struct pn_crystal *p, const struct pn_crystal_result *out,
		       const struct pn_crystal_peak *peak)
{
	double side = fmin(p->side_A[0], p->side_A[1]);
	double apart = fmax(peak_distance_bins / side, peak_distance_per_A);

	for (size_t i = 0; i < out->n_peaks; i++) {
		const struct pn_crystal_peak *q = &out->peaks[i];

		if (hypot(peak->gx_per_A - q->gx_per_A, peak->gy_per_A - q->gy_per_A) < apart ||
		    hypot(peak->gx_per_A + q->gx_per_A, peak->gy_per_A + q->gy_per_A) < apart)
			return 0;
	}
	return 1;
}

static void find_peaks(struct pn_crystal *p, struct pn_crystal_result *out)
{
	struct candidate list[CANDIDATES_MAX];
	size_t count = collect(p, list), best = 0;

	for (size_t i = 0; i < p->rows * p->cols; i++) {
		if (p->mask[i] && p->smooth[i] > out->peak) {
			out->peak = p->smooth[i];
			best = i;
		}
	}
	if (out->peak <= 0)
		return;
	struct pn_crystal_peak strongest;

	fit_peak(p, best, &strongest);
	out->spacing_pm = strongest.spacing_pm;
	out->gx_per_A = strongest.gx_per_A;
	out->gy_per_A = strongest.gy_per_A;
	out->width_px = strongest.width_px;
	sort_candidates(list, count);
	for (size_t i = 0; i < count && out->n_peaks < PN_CRYSTAL_PEAKS_MAX; i++) {
		struct pn_crystal_peak peak;

		fit_peak(p, list[i].at, &peak);
		if (is_new_peak(p, out, &peak))
			out->peaks[out->n_peaks++] = peak;
	}
}

static void second_peak(struct pn_crystal_result *out)
{
	for (size_t i = 1; i < out->n_peaks; i++) {
		const struct pn_crystal_peak *a = &out->peaks[0], *b = &out->peaks[i];
		double cross = a->gx_per_A * b->gy_per_A - a->gy_per_A * b->gx_per_A;
		double dot = a->gx_per_A * b->gx_per_A + a->gy_per_A * b->gy_per_A;
		double angle = fabs(atan2(cross, dot)) * 180 / M_PI;

		angle = fmin(angle, 180 - angle);
		if (angle > second_angle_min) {
			out->second = i;
			out->second_angle_deg = angle;
			return;
		}
	}
}

void pn_crystal_execute(struct pn_crystal *plan, const float *crop,
			const struct pn_spot *background, size_t background_count,
			struct pn_crystal_result *out)
{
	struct pn_crystal *p = plan;

	*out = (struct pn_crystal_result){ 0 };
	if (p->ny < SMALLEST || p->nx < SMALLEST || !transform(p, crop, p->hann_y, p->hann_x))
		return;
	take_power(p);
	ring_means(p);
	flatten(p);
	memcpy(p->mask, p->in_band, p->rows * p->cols);
	for (size_t i = 0; i < background_count; i++) {
		mask_spot(p, background[i].gx_per_A, background[i].gy_per_A);
		mask_spot(p, -background[i].gx_per_A, -background[i].gy_per_A);
	}
	smooth_ratio(p);
	find_peaks(p, out);
	second_peak(out);
}

/* ------------------------------------------------------------------ size */

/* The transform at any (ky, kx), by the symmetry of a real image; 0 at and beyond Nyquist. */
static float complex wave_at(const struct pn_crystal *p, long ky, long kx)
{
	if (2 * labs(ky) >= (long)p->ny || 2 * labs(kx) >= (long)p->nx)
		return 0;
	if (kx < 0)
		return conjf(
			p->wave[(size_t)(ky > 0 ? (long)p->ny - ky : -ky) * p->nh + (size_t)-kx]);
	return p->wave[(size_t)(ky < 0 ? ky + (long)p->ny : ky) * p->nh + (size_t)kx];
}

/* Add |envelope|^2 of one side of a pair to the energy; returns what noise alone would give. */
static double add_envelope(struct pn_crystal *p, const struct pn_crystal_peak *peak)
{
	double gx = peak->gx_per_A * p->side_A[1], gy = peak->gy_per_A * p->side_A[0];
	double sigma = 1 / (2 * M_PI * p->params.size_resolution_A); /* 1/A */
	long cy = lround(gy), cx = lround(gx);
	long ry = (long)p->my / 2 - 1, rx = (long)p->mx / 2 - 1;
	double side = fmin(p->side_A[0], p->side_A[1]), noise = 0;
	size_t ring = (size_t)lround(hypot(peak->gx_per_A, peak->gy_per_A) * side);

	memset(p->envelope_wave, 0, sizeof *p->envelope_wave * p->my * p->mx);
	for (long dy = -ry; dy <= ry; dy++) {
		double ky = ((double)(cy + dy) - gy) / p->side_A[0];

		for (long dx = -rx; dx <= rx; dx++) {
			double kx = ((double)(cx + dx) - gx) / p->side_A[1];
			double z2 = (kx * kx + ky * ky) / (sigma * sigma);
			size_t y = (size_t)(dy < 0 ? dy + (long)p->my : dy);
			size_t x = (size_t)(dx < 0 ? dx + (long)p->mx : dx);

			if (z2 > 12)
				continue;
			float w = (float)exp(-0.5 * z2);

			noise += (double)w * w;
			p->envelope_wave[y * p->mx + x] = w * wave_at(p, cy + dy, cx + dx);
		}
	}
	pn_fft_execute(p->backward, p->envelope_wave, p->envelope);
	for (size_t i = 0; i < p->my * p->mx; i++)
		p->energy[i] += crealf(p->envelope[i]) * crealf(p->envelope[i]) +
				cimagf(p->envelope[i]) * cimagf(p->envelope[i]);
	return ring < p->rings ? noise * p->ring_mean[ring] * p->flat_power / p->hann_power : 0;
}

/* Area of the lattice region and what goes with it; the envelope energy is in p->energy. */
static int lattice_region(struct pn_crystal *p, double noise, struct pn_region *region,
			  double *separability)
{
	size_t count = p->my * p->mx;
	double threshold;
	float top = 0;

	for (size_t i = 0; i < count; i++) {
		p->energy[i] = sqrtf(fmaxf(0, p->energy[i] - (float)noise));
		top = fmaxf(top, p->energy[i]);
	}
	*region = (struct pn_region){ 0 };
	if (!(top > 0) || !isfinite(top))
		return 0;
	pn_bilateral(p->filtered, p->energy, p->scratch, p->my, p->mx, bilateral_px,
		     bilateral_part * top);
	if (pn_otsu(p->filtered, count, &threshold, separability))
		return 0;
	for (size_t i = 0; i < count; i++)
		p->region[i] = p->filtered[i] > threshold;
	pn_largest_region(p->region, p->labels, p->my, p->mx, region);
	return region->area_px > 0 && !region->touches_border;
}

/* Diameter of the circle of the region, uncorrected; 0 if there is none. The spectrum of the
 * flat-topped window must be in p->wave. */
static double measure(struct pn_crystal *p, const struct pn_crystal_peak *peaks, size_t count,
		      struct pn_region *region, double *separability)
{
	double noise = 0;
	double cell = p->side_A[0] / (double)p->my * p->side_A[1] / (double)p->mx;

	memset(p->energy, 0, sizeof *p->energy * p->my * p->mx);
	for (size_t i = 0; i < count; i++)
		noise += add_envelope(p, &peaks[i]);
	if (!lattice_region(p, noise, region, separability))
		return 0;
	return 2 * sqrt((double)region->area_px * cell / M_PI);
}

/* Fringes whose amplitude is the thickness of a sphere (or 1 inside a disc), spacing 4 pixels or
 * the middle of the band, in the middle of the crop. */
static void draw_ideal(const struct pn_crystal *p, float *image, double diameter_A, double k)
{
	double r2 = diameter_A * diameter_A / 4;

	for (size_t y = 0; y < p->ny; y++) {
		double dy = ((double)y + 0.5) * p->pixel_A - p->side_A[0] / 2;

		for (size_t x = 0; x < p->nx; x++) {
			double dx = ((double)x + 0.5) * p->pixel_A - p->side_A[1] / 2;
			double left = 1 - (dx * dx + dy * dy) / r2, amplitude = 0;

			if (left > 0)
				amplitude =
					p->params.size_shape == PN_CRYSTAL_DISC ? 1 : sqrt(left);
			image[y * p->nx + x] = (float)(amplitude * cos(2 * M_PI * k * dx));
		}
	}
}

static void calibrate(struct pn_crystal *p)
{
	double side = fmin(p->side_A[0], p->side_A[1]);
	double lo = 2 * p->params.size_resolution_A, hi = 0.75 * side, previous = 0;
	double k = fmin(0.45, 0.25 / p->pixel_A);
	float *image = make(p->ny * p->nx, sizeof *image);

	memset(p->ring_mean, 0, sizeof p->ring_mean); /* no noise here */
	for (int i = 0; image && i < CALIBRATION && hi > lo; i++) {
		struct pn_crystal_peak peak = { .gx_per_A = k };
		struct pn_region region;
		double truth = lo * pow(hi / lo, (double)i / (CALIBRATION - 1)), separability;

		draw_ideal(p, image, truth, k);
		if (!transform(p, image, p->flat_y, p->flat_x))
			continue;
		double found = measure(p, &peak, 1, &region, &separability);

		if (found <= previous)
			continue;
		previous = found;
		p->calibration[p->calibrated][0] = found;
		p->calibration[p->calibrated++][1] = truth;
	}
	pn_fft_free(image);
}

/* The true diameter that would have been measured as @found; 0 outside the table. */
static double undo(const struct pn_crystal *p, double found)
{
	for (size_t i = 1; i < p->calibrated; i++) {
		const double *a = p->calibration[i - 1], *b = p->calibration[i];

		if (found >= a[0] && found <= b[0])
			return a[1] + (b[1] - a[1]) * (found - a[0]) / (b[0] - a[0]);
	}
	return 0;
}

void pn_crystal_size(struct pn_crystal *plan, const float *crop, struct pn_crystal_result *out)
{
	struct pn_crystal *p = plan;
	size_t count = out->n_peaks < (size_t)p->params.size_peaks ? out->n_peaks
								   : (size_t)p->params.size_peaks;
	struct pn_region region;

	out->size_valid = 0;
	out->diameter_nm = out->area_A2 = out->separability = out->x_px = out->y_px = 0;
	if (!count || !transform(p, crop, p->flat_y, p->flat_x))
		return;
	double found = measure(p, out->peaks, count, &region, &out->separability);

	if (found <= 0)
		return;
	double step_y = (double)p->ny / (double)p->my, step_x = (double)p->nx / (double)p->mx;

	out->area_A2 = M_PI / 4 * found * found;
	out->diameter_nm = undo(p, found) / 10;
	/* sample i of the coarse grid is at pixel i * step: both start at the origin of the
	 * transform */
	out->x_px = region.x_px * step_x;
	out->y_px = region.y_px * step_y;
	out->size_valid = out->diameter_nm > 0 && out->separability > separability_min;
}
