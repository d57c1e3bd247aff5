/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/crystal.h"

#include "perrin/math/fft.h"
#include "statistics.h"

#include <float.h>
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
	F64(d_min_A, "A", 1.3, 0.2, 10, "smallest lattice spacing looked for"),
	F64(d_max_A, "A", 3.2, 0.5, 20, "largest lattice spacing looked for"),
	F64(lowpass_A, "A", 0, 0, 10, "nothing finer is used, for raw frames (0: off)"),
	F64(lattice_A, "A", 0, 0, 20, "fcc lattice constant expected (0: not known)"),
	F64(tolerance, NULL, 0.05, 0.005, 0.2, "of lattice_A, relative"),
	F64(false_alarm, NULL, 0.01, 1e-9, 0.5, "part of pure-noise crops that may pass"),
	F64(window_part, NULL, 0.62, 0.1, 1, "side of the window, as part of the crop's"),
	F64(atom_sd_A, "A", 0, 0, 2, "s.d. of an atom's image, if transfer falls off like it"),
	{ .name = "size_peaks",
	  .help = "pairs of peaks used for the size",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct pn_crystal_params, size_peaks),
	  .def = 4,
	  .min = 1,
	  .max = PN_CRYSTAL_PEAKS_MAX },
	{ .name = "size_shape",
	  .help = "how the lattice amplitude falls off to the edge",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct pn_crystal_params, size_shape),
	  .choices = shape_words },
	{ 0 },
};

#undef F64

enum {
	CANDIDATES_MAX = 512,
	RINGS_MAX = 1024,
	SMALLEST = 16,
	LANES = 16,
	TRIM_ROUNDS = 4,
	SAMPLED_ROWS = 8,
	SPOT_REACH = 4,
	SIDE_MAX = 1024,
	CENTRE_STEP = 3,
	RADII = 14
};

static const double floor_part = 0.02, ring_reach_per_A = 0.07;
static const double second_angle_min = 15, peak_distance_bins = 3, peak_distance_per_A = 0.06;
static const double same_ring_per_A = 0.028;
static const double cell_A = 1.4, radius_min_A = 4, radius_max_part = 0.48, centre_max_part = 0.2;

/* The window, wy x wx pixels, lies in the middle of the crop. The central part of its spectrum,
 * half-plane x >= 0 and one mirrored column at x = -1, lies in arrays [rows][cols] with
 * row = ky + half_y, col = kx + 1. */
struct pn_crystal {
	struct pn_crystal_params params;
	size_t ny, nx, wy, wx, nh;
	double pixel_A, side_A[2]; /* of the window, [y, x] */
	struct pn_fft *forward;
	float *image;        /* [wy][wx]     */
	float complex *wave; /* [wy][nh]     */
	float *hann_y, *hann_x;
	double hann_power;   /* sum of the squared window */
	long half_y, half_x; /* largest |ky|, kx held */
	size_t rows, cols;
	float *power, *ratio, *smooth; /* [rows][cols] */
	uint16_t *ring;                /* [rows][cols] */
	uint8_t *in_band;              /* [rows][cols]: 1 if searched */
	uint32_t *order;               /* bins of the rings needed, ring by ring */
	float *sorted;                 /* their power */
	size_t ring_start[RINGS_MAX + 1];
	double ring_mean[RINGS_MAX];
	uint8_t ring_searched[RINGS_MAX]; /* 1: some bin of the ring is searched */
	size_t rings, reach;
	double noise_peak;
	/* of the crop in work: what was taken off and multiplied with */
	float mean, unit;
	float *flat;            /* [ny][nx]: the whole crop so */
	float *turn_y, *turn_x; /* [2][ny], [2][nx]: cos and -sin of a plane wave */
	/* size: cells of @cell pixels, [my][mx], rows of @mx padded to whole lanes */
	size_t cell, my, mx;
	float *envelope[2 * PN_CRYSTAL_PEAKS_MAX]; /* re, im: [my][mx] */
};

struct candidate {
	size_t at;
	float value;
};

/* ------------------------------------------------------------------ plan */

static int check_params(size_t ny, size_t nx, const struct pn_crystal_params *p,
			struct pn_error *err)
{
	if (ny < 1 || nx < 1 || ny > SIDE_MAX || nx > SIDE_MAX)
		return pn_error_set(err, PN_EARG, "crystal: crops of %zu x %zu pixels: 1..1024", ny,
				    nx);
	if (!(p->pixel_pm > 0) || !(p->d_min_A > 0) || !(p->d_max_A > p->d_min_A))
		return pn_error_set(err, PN_EARG,
				    "crystal: pixel_pm = %g, d_min_A = %g, d_max_A = %g: "
				    "must be > 0 and d_min_A < d_max_A",
				    p->pixel_pm, p->d_min_A, p->d_max_A);
	if (!(p->false_alarm > 0 && p->false_alarm < 1) ||
	    !(p->window_part > 0 && p->window_part <= 1) || p->size_peaks < 1 ||
	    p->size_peaks > PN_CRYSTAL_PEAKS_MAX)
		return pn_error_set(err, PN_EARG,
				    "crystal: false_alarm = %g, window_part = %g, "
				    "size_peaks = %lld: out of range",
				    p->false_alarm, p->window_part, (long long)p->size_peaks);
	return PN_OK;
}

/* The smallest side >= @part of @n, even and of small factors; @n itself if there is none. */
static size_t window_side(size_t n, double part)
{
	size_t least = (size_t)fmax(SMALLEST, ceil(part * (double)n - 1e-9));

	for (size_t side = least + least % 2; side < n; side += 2) {
		size_t rest = side;

		for (size_t factor = 2; factor <= 7; factor++)
			while (rest % factor == 0)
				rest /= factor;
		if (rest == 1)
			return side;
	}
	return n;
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
	p->reach = (size_t)fmax(2, round(ring_reach_per_A * side));
}

/* Is the mean of this ring needed: searched, beside a searched one, or within reach of those. */
static int ring_needed(const struct pn_crystal *p, size_t ring)
{
	size_t reach = p->reach + 2;

	for (size_t q = ring > reach ? ring - reach : 0; q <= ring + reach && q < p->rings; q++)
		if (p->ring_searched[q])
			return 1;
	return 0;
}

/* Bins ring by ring, so that the sums over rings run along memory. */
static void sort_rings(struct pn_crystal *p)
{
	size_t at = 0;

	for (size_t ring = 0; ring < p->rings; ring++) {
		p->ring_start[ring] = at;
		if (!ring_needed(p, ring))
			continue;
		for (size_t row = 0; row < p->rows; row++)
			for (size_t i = row * p->cols + 1; i < (row + 1) * p->cols; i++)
				if (p->ring[i] == ring)
					p->order[at++] = (uint32_t)i;
	}
	p->ring_start[p->rings] = at;
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

/* Returns the sum of its squares. */
static double make_hann(float *hann, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double s = sin(M_PI * ((double)i + 0.5) / (double)n);

		hann[i] = (float)(s * s);
		sum += s * s * s * s;
	}
	return sum;
}

static void *make(size_t count, size_t size)
{
	return pn_fft_alloc(count * size);
}

static int make_arrays(struct pn_crystal *p)
{
	size_t bins = p->rows * p->cols, cells = p->my * p->mx;
	int ok = 1;

	p->image = make(p->wy * p->wx, sizeof(float));
	p->wave = make(p->wy * p->nh, sizeof(float complex));
	p->hann_y = make(p->wy, sizeof(float));
	p->hann_x = make(p->wx, sizeof(float));
	p->power = make(bins, sizeof(float));
	p->ratio = make(bins, sizeof(float));
	p->smooth = make(bins, sizeof(float));
	p->ring = make(bins, sizeof(uint16_t));
	p->in_band = make(bins, 1);
	p->order = make(bins, sizeof(uint32_t));
	p->sorted = make(bins, sizeof(float));
	p->flat = make(p->ny * p->nx, sizeof(float));
	p->turn_y = make(2 * p->ny, sizeof(float));
	p->turn_x = make(2 * p->nx, sizeof(float));
	for (size_t i = 0; i < PN_COUNT(p->envelope); i++)
		ok &= !!(p->envelope[i] = make(cells, sizeof(float)));
	return ok && p->image && p->wave && p->hann_y && p->hann_x && p->power && p->ratio &&
	       p->smooth && p->ring && p->in_band && p->order && p->sorted && p->flat &&
	       p->turn_y && p->turn_x;
}

static void make_noise_peak(struct pn_crystal *p)
{
	double searched = 0, y[3], x[3], weight[9];

	smoothing_weights(p->hann_y, p->wy, y);
	smoothing_weights(p->hann_x, p->wx, x);
	for (int i = 0; i < 9; i++)
		weight[i] = y[i / 3] * x[i % 3];
	for (size_t i = 0; i < p->rows * p->cols; i++)
		searched += p->in_band[i];
	p->noise_peak = pn_exponentials_quantile(
		weight, 9, fmin(0.4, p->params.false_alarm / fmax(1, searched)));
}

static void set_shapes(struct pn_crystal *p, size_t ny, size_t nx)
{
	double k_max = 1 / fmax(p->params.d_min_A, p->params.lowpass_A);

	p->ny = ny;
	p->nx = nx;
	p->wy = window_side(ny, p->params.window_part);
	p->wx = window_side(nx, p->params.window_part);
	p->nh = p->wx / 2 + 1;
	p->pixel_A = p->params.pixel_pm / 100;
	p->side_A[0] = p->pixel_A * (double)p->wy;
	p->side_A[1] = p->pixel_A * (double)p->wx;
	/* one bin more than searched, and none of the ambiguous ones at Nyquist */
	p->half_y = (long)fmin(ceil(k_max * p->side_A[0]) + 1, ((double)p->wy - 1) / 2);
	p->half_x = (long)fmin(ceil(k_max * p->side_A[1]) + 1, ((double)p->wx - 1) / 2);
	p->rows = 2 * (size_t)p->half_y + 1;
	p->cols = (size_t)p->half_x + 2;
	p->cell =
		(size_t)fmax(1, fmin(round(cell_A / p->pixel_A), (double)(ny < nx ? ny : nx) / 8));
	p->my = ny / p->cell;
	p->mx = (nx / p->cell + LANES - 1) / LANES * LANES;
}

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
	set_shapes(p, ny, nx);
	rc = pn_fft_plan(&p->forward, PN_FFT_R2C, p->wy, p->wx, 0, err);
	if (!rc && !make_arrays(p))
		rc = pn_error_set(err, PN_ENOMEM, "crystal: no memory for crops of %zu x %zu", ny,
				  nx);
	if (rc) {
		pn_crystal_destroy(p);
		return rc;
	}
	p->hann_power = make_hann(p->hann_y, p->wy) * make_hann(p->hann_x, p->wx);
	make_rings(p);
	sort_rings(p);
	make_noise_peak(p);
	*plan = p;
	return PN_OK;
}

void pn_crystal_destroy(struct pn_crystal *plan)
{
	if (!plan)
		return;
	pn_fft_destroy(plan->forward);
	void *arrays[] = { plan->image,  plan->wave,   plan->hann_y, plan->hann_x,  plan->power,
			   plan->ratio,  plan->smooth, plan->ring,   plan->in_band, plan->order,
			   plan->sorted, plan->flat,   plan->turn_y, plan->turn_x };

	for (size_t i = 0; i < PN_COUNT(arrays); i++)
		pn_fft_free(arrays[i]);
	for (size_t i = 0; i < PN_COUNT(plan->envelope); i++)
		pn_fft_free(plan->envelope[i]);
	free(plan);
}

void pn_crystal_window(const struct pn_crystal *plan, size_t *ny, size_t *nx)
{
	*ny = plan->wy;
	*nx = plan->wx;
}

double pn_crystal_noise_peak(const struct pn_crystal *plan)
{
	return plan->noise_peak;
}

/* ------------------------------------------------------------------ spectrum */

static float lanes_sum(const float lane[LANES])
{
	float half[LANES / 2];

	for (int l = 0; l < LANES / 2; l++)
		half[l] = lane[l] + lane[l + LANES / 2];
	for (int width = LANES / 4; width > 0; width /= 2)
		for (int l = 0; l < width; l++)
			half[l] += half[l + width];
	return half[0];
}

static int is_finite(float v)
{
	return fabsf(v) <= FLT_MAX;
}

static float finite_or(float v, float other)
{
	return is_finite(v) ? v : other;
}

/* Mean and 1 / s.d. of some rows of the window, into the plan: they only keep the numbers small.
 * What is left of the mean falls into the bins next to 0, which are not searched: the spectrum of
 * a Hann window has but three. */
static void take_level(struct pn_crystal *p, const float *middle)
{
	double sum = 0, sum2 = 0, count = 0;
	float origin = NAN;

	for (size_t y = 0; y < p->wy; y += SAMPLED_ROWS) {
		const float *row = middle + y * p->nx;
		float s[LANES] = { 0 }, s2[LANES] = { 0 }, n[LANES] = { 0 };

		for (size_t x = 0; x < p->wx && isnan(origin); x++)
			origin = finite_or(row[x], NAN);
		for (size_t x = 0; x + LANES <= p->wx; x += LANES) {
			for (int l = 0; l < LANES; l++) {
				float v = finite_or(row[x + l], origin) - origin;

				s[l] += v;
				s2[l] += v * v;
				n[l] += is_finite(row[x + l]) ? 1 : 0;
			}
		}
		if (isnan(origin))
			continue;
		sum += (double)lanes_sum(s);
		sum2 += (double)lanes_sum(s2);
		count += (double)lanes_sum(n);
	}
	double shift = count > 0 ? sum / count : 0;
	double variance = count > 0 ? sum2 / count - shift * shift : 0;

	p->mean = isnan(origin) ? 0 : origin + (float)shift;
	p->unit = variance > 0 ? (float)(1 / sqrt(variance)) : 1;
}

static void transform(struct pn_crystal *p, const float *crop)
{
	const float *middle = crop + (p->ny - p->wy) / 2 * p->nx + (p->nx - p->wx) / 2;

	take_level(p, middle);
	for (size_t y = 0; y < p->wy; y++) {
		const float *row = middle + y * p->nx;
		float *dst = p->image + y * p->wx, weight = p->unit * p->hann_y[y];

		for (size_t x = 0; x < p->wx; x++)
			dst[x] = (finite_or(row[x], p->mean) - p->mean) * (weight * p->hann_x[x]);
	}
	pn_fft_execute(p->forward, p->image, p->wave);
}

/* The whole crop, less its mean, in units of its s.d. */
static void flatten_crop(struct pn_crystal *p, const float *crop)
{
	for (size_t i = 0; i < p->ny * p->nx; i++)
		p->flat[i] = (finite_or(crop[i], p->mean) - p->mean) * p->unit;
}

/* cos and -sin of 2 pi f i, i < n, f in cycles per pixel, to turn[i] and turn[n + i]. */
static void plane_wave(float *turn, size_t n, double f)
{
	double step_re = cos(2 * M_PI * f), step_im = -sin(2 * M_PI * f), re = 1, im = 0;

	for (size_t i = 0; i < n; i++) {
		double next = re * step_re - im * step_im;

		turn[i] = (float)re;
		turn[n + i] = (float)im;
		im = re * step_im + im * step_re;
		re = next;
	}
}

/* row[x], row[SIDE_MAX + x] = sum over y0 <= y < y1 of flat[y][x] times the wave in turn_y. */
static void sum_rows(const struct pn_crystal *p, size_t y0, size_t y1, float *restrict row)
{
	float *restrict re = row, *restrict im = row + SIDE_MAX;

	memset(re, 0, p->nx * sizeof *re);
	memset(im, 0, p->nx * sizeof *im);
	for (size_t y = y0; y + 4 <= y1; y += 4) {
		const float *restrict v = p->flat + y * p->nx;
		const float *c = p->turn_y + y, *s = p->turn_y + p->ny + y;

		for (size_t x = 0; x < p->nx; x++) {
			float a = v[x], b = v[p->nx + x], d = v[2 * p->nx + x],
			      e = v[3 * p->nx + x];

			re[x] += a * c[0] + b * c[1] + (d * c[2] + e * c[3]);
			im[x] += a * s[0] + b * s[1] + (d * s[2] + e * s[3]);
		}
	}
	for (size_t y = y1 - (y1 - y0) % 4; y < y1; y++) {
		const float *restrict v = p->flat + y * p->nx;

		for (size_t x = 0; x < p->nx; x++) {
			re[x] += v[x] * p->turn_y[y];
			im[x] += v[x] * p->turn_y[p->ny + y];
		}
	}
}

/* ------------------------------------------------------------------ background */

/* Each pixel shall count as far as the window does not count it: the particle in the middle then
 * has little say in the background. */
static void leave_window_out(struct pn_crystal *p)
{
	float *middle = p->flat + (p->ny - p->wy) / 2 * p->nx + (p->nx - p->wx) / 2;

	for (size_t y = 0; y < p->wy; y++)
		for (size_t x = 0; x < p->wx; x++)
			middle[y * p->nx + x] *= 1 - p->hann_y[y] * p->hann_x[x];
}

/* hat[d + SPOT_REACH] = sum over i < n of hann[i] exp(-2 pi i (d - f) i / n), |f| <= 1/2:
 * exp(-i pi u (1 - 1/n)) (D(u) / 2 + (D(u - 1) + D(u + 1)) / 4), u = d - f, with Dirichlet's
 * D(u) = sin(pi u) / sin(pi u / n). */
static void hann_transform(double complex hat[2 * SPOT_REACH + 1], double f, size_t n)
{
	double d[2 * SPOT_REACH + 3], top = sin(-M_PI * f), side = (double)n;

	for (int i = 0; i < 2 * SPOT_REACH + 3; i++) {
		double u = i - SPOT_REACH - 1 - f, below = sin(M_PI * u / side);

		d[i] = fabs(below) < 1e-9 ? side : ((i + SPOT_REACH + 1) % 2 ? -top : top) / below;
	}
	double complex phase = cexp(I * M_PI * (SPOT_REACH + f) * (1 - 1 / side));
	double complex step = cexp(-I * M_PI * (1 - 1 / side));

	for (int i = 0; i < 2 * SPOT_REACH + 1; i++) {
		hat[i] = phase * (d[i + 1] / 2 + (d[i] + d[i + 2]) / 4);
		phase *= step;
	}
}

/* Take a wave of this amplitude off the window's spectrum, where it is not small; (uy, ux) is its
 * place in bins. */
static void take_off(struct pn_crystal *p, double uy, double ux, double complex amplitude)
{
	double complex down[2 * SPOT_REACH + 1], across[2 * SPOT_REACH + 1];
	long cy = lround(uy), cx = lround(ux);

	if (labs(cy) > p->half_y + SPOT_REACH || cx < -SPOT_REACH || cx > p->half_x + SPOT_REACH)
		return;
	hann_transform(down, uy - (double)cy, p->wy);
	hann_transform(across, ux - (double)cx, p->wx);
	for (long ky = cy - SPOT_REACH; ky <= cy + SPOT_REACH; ky++) {
		if (labs(ky) > p->half_y)
			continue;
		float complex *row = p->wave + (size_t)(ky < 0 ? ky + (long)p->wy : ky) * p->nh;
		double complex here = amplitude * down[ky - cy + SPOT_REACH];

		for (long kx = cx - SPOT_REACH; kx <= cx + SPOT_REACH; kx++)
			if (kx >= 0 && kx <= p->half_x)
				row[kx] -= (float complex)(here * across[kx - cx + SPOT_REACH]);
	}
}

/* A wave of the cell's lattice fills the crop: its amplitude is measured around the particle and
 * taken off the spectrum, which leaves what the particle has at the same place. */
static void remove_spot(struct pn_crystal *p, const struct pn_spot *spot)
{
	double fx = spot->gx_per_A * p->pixel_A, fy = spot->gy_per_A * p->pixel_A;
	double oy = (double)((p->ny - p->wy) / 2), ox = (double)((p->nx - p->wx) / 2);
	double pixels = (double)(p->ny * p->nx) - (double)(p->wy * p->wx) / 4, re = 0, im = 0;
	float row[2 * SIDE_MAX];

	if (!(fabs(fx) < 0.5 && fabs(fy) < 0.5))
		return;
	plane_wave(p->turn_y, p->ny, fy);
	plane_wave(p->turn_x, p->nx, fx);
	sum_rows(p, 0, p->ny, row);
	for (size_t x = 0; x < p->nx; x++) {
		float c = p->turn_x[x], s = p->turn_x[p->nx + x];

		re += (double)(row[x] * c - row[SIDE_MAX + x] * s);
		im += (double)(row[x] * s + row[SIDE_MAX + x] * c);
	}
	double complex amplitude =
		(re + I * im) / pixels * cexp(2 * M_PI * I * (fx * ox + fy * oy));

	take_off(p, fy * (double)p->wy, fx * (double)p->wx, amplitude);
	take_off(p, -fy * (double)p->wy, -fx * (double)p->wx, conj(amplitude));
}

/* ------------------------------------------------------------------ noise */

static void take_power(struct pn_crystal *p)
{
	for (long ky = -p->half_y; ky <= p->half_y; ky++) {
		size_t y = ky < 0 ? (size_t)(ky + (long)p->wy) : (size_t)ky;
		const float *src = (const float *)(p->wave + y * p->nh);
		float *dst = p->power + (size_t)(ky + p->half_y) * p->cols + 1;

		for (long kx = 0; kx <= p->half_x; kx++)
			dst[kx] = src[2 * kx] * src[2 * kx] + src[2 * kx + 1] * src[2 * kx + 1];
	}
	for (size_t row = 0; row < p->rows; row++)
		p->power[row * p->cols] =
			p->cols > 2 ? p->power[(p->rows - 1 - row) * p->cols + 2] : 0;
}

/* Sum and number of the @n values that are not over @limit. */
static void trimmed(const float *v, size_t n, float limit, float *sum, float *count)
{
	float s[LANES] = { 0 }, c[LANES] = { 0 };
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		for (int l = 0; l < LANES; l++) {
			s[l] += v[i + l] <= limit ? v[i + l] : 0;
			c[l] += v[i + l] <= limit ? 1 : 0;
		}
	}
	for (; i < n; i++) {
		s[0] += v[i] <= limit ? v[i] : 0;
		c[0] += v[i] <= limit ? 1 : 0;
	}
	*sum = lanes_sum(s);
	*count = lanes_sum(c);
}

/* B: mean of each ring without its peaks (rounds of leaving out what is over 3 means), then over
 * the rings to both sides: a background that followed the peak's own ring would shift the peak. */
static void ring_means(struct pn_crystal *p)
{
	float sum[RINGS_MAX], count[RINGS_MAX];
	double all = 0, bins = 0;

	for (size_t i = 0; i < p->ring_start[p->rings]; i++)
		p->sorted[i] = p->power[p->order[i]];
	for (size_t r = 0; r < p->rings; r++) {
		const float *v = p->sorted + p->ring_start[r];
		size_t n = p->ring_start[r + 1] - p->ring_start[r];

		trimmed(v, n, INFINITY, &sum[r], &count[r]);
		if (p->ring_searched[r]) {
			all += sum[r];
			bins += count[r];
		}
		for (int round = 1; round < TRIM_ROUNDS && count[r] > 0; round++) {
			double keeps = round > 1 ? PN_TRIM_KEEPS : 1;
			float before = count[r];

			trimmed(v, n, (float)(PN_TRIM_AT / keeps) * sum[r] / count[r], &sum[r],
				&count[r]);
			if (round > 1 && count[r] == before)
				break;
		}
	}
	for (size_t r = 0; r < p->rings; r++) {
		double s = 0, n = 0;

		for (size_t q = r > p->reach ? r - p->reach : 0; q <= r + p->reach && q < p->rings;
		     q++) {
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
	out->width_px = sqrt(fmax(0, variance)) * (double)p->nx / (double)p->wx;
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
		if (p->in_band[at] && p->smooth[at] > p->noise_peak && is_maximum(p, at))
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

/* Spacing of the strongest peak and those of its ring, each counted by its information: the
 * variance of a place is in inverse proportion to the power over noise. */
static double ring_spacing(const struct pn_crystal_result *out)
{
	double sum = 0, weights = 0, first = 100 / out->peaks[0].spacing_pm;

	for (size_t i = 0; i < out->n_peaks; i++) {
		double k = 100 / out->peaks[i].spacing_pm, weight = out->peaks[i].peak - 1;

		if (fabs(k - first) > same_ring_per_A)
			continue;
		sum += weight * k;
		weights += weight;
	}
	return 100 * weights / sum;
}

static void find_peaks(struct pn_crystal *p, struct pn_crystal_result *out)
{
	struct candidate list[CANDIDATES_MAX];
	size_t count = collect(p, list), best = 0;

	for (size_t i = 0; i < p->rows * p->cols; i++) {
		if (p->in_band[i] && p->smooth[i] > out->peak) {
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
	if (!out->n_peaks)
		return;
	out->peak = out->peaks[0].peak; /* not what only leans against the edge of the band */
	out->gx_per_A = out->peaks[0].gx_per_A;
	out->gy_per_A = out->peaks[0].gy_per_A;
	out->width_px = out->peaks[0].width_px;
	out->spacing_pm = ring_spacing(out);
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
	if (p->ny < SMALLEST || p->nx < SMALLEST)
		return;
	transform(p, crop);
	if (background_count) {
		flatten_crop(p, crop);
		leave_window_out(p);
	}
	for (size_t i = 0; i < background_count; i++)
		remove_spot(p, &background[i]);
	take_power(p);
	ring_means(p);
	flatten(p);
	smooth_ratio(p);
	find_peaks(p, out);
	second_peak(out);
}

/* ------------------------------------------------------------------ size */

/* What the likelihood of a crystal is made of: envelopes and what each counts. Cells. */
struct fit {
	size_t count;
	double weight[PN_CRYSTAL_PEAKS_MAX]; /* 1 / noise of a cell */
	int disc;
};

/* The crop times exp(-2 pi i g r), summed over cells: fringes of g become a smooth envelope. The
 * sums are blind to waves of one and more whole turns per cell, so nothing folds back. */
static void take_envelope(struct pn_crystal *p, const struct pn_crystal_peak *peak, float *re,
			  float *im)
{
	float row[2 * SIDE_MAX], *row_re = row, *row_im = row + SIDE_MAX;
	const float *c = p->turn_x, *s = p->turn_x + p->nx;

	plane_wave(p->turn_y, p->ny, peak->gy_per_A * p->pixel_A);
	plane_wave(p->turn_x, p->nx, peak->gx_per_A * p->pixel_A);
	for (size_t my = 0; my < p->my; my++) {
		sum_rows(p, my * p->cell, (my + 1) * p->cell, row);
		for (size_t x = 0; x < p->nx; x++) {
			float a = row_re[x], b = row_im[x];

			row_re[x] = a * c[x] - b * s[x];
			row_im[x] = a * s[x] + b * c[x];
		}
		for (size_t mx = 0; mx < p->nx / p->cell; mx++) {
			float a = 0, b = 0;

			for (size_t x = mx * p->cell; x < (mx + 1) * p->cell; x++) {
				a += row_re[x];
				b += row_im[x];
			}
			re[my * p->mx + mx] = a;
			im[my * p->mx + mx] = b;
		}
	}
}

/* Amplitude of a crystal over a block of cells of one row; @dy2: square of the row's distance. */
static void template_lanes(float shape[LANES], float x0, float dy2, float radius2, int disc)
{
	for (int l = 0; l < LANES; l++) {
		float dx = x0 + (float)l, left = radius2 - dx * dx - dy2;

		left = left > 0 ? left : 0;
		shape[l] = disc ? (left > 0 ? 1.0F : 0) : sqrtf(left);
	}
}

/* ln of the likelihood ratio of a crystal of this centre and radius, its peaks' amplitudes and
 * phases the best ones: sum over peaks of |sum s E|^2 / (sum s^2 noise). */
static double likelihood(const struct pn_crystal *p, const struct fit *fit, double cy, double cx,
			 double radius)
{
	float sums[2 * PN_CRYSTAL_PEAKS_MAX][LANES] = { 0 }, squares[LANES] = { 0 };
	long y0 = (long)fmax(0, ceil(cy - radius));
	long y1 = (long)fmin((double)p->my - 1, floor(cy + radius));
	size_t x0 = (size_t)fmax(0, cx - radius) / LANES * LANES;
	double norm = 0, total = 0;

	for (long y = y0; y <= y1; y++) {
		float dy = (float)((double)y - cy);

		for (size_t x = x0; x < p->mx && (double)x <= cx + radius; x += LANES) {
			const size_t at = (size_t)y * p->mx + x;
			float shape[LANES];

			template_lanes(shape, (float)((double)x - cx), dy * dy,
				       (float)(radius * radius), fit->disc);
			for (int l = 0; l < LANES; l++)
				squares[l] += shape[l] * shape[l];
			for (size_t i = 0; i < 2 * fit->count; i++) {
				const float *e = p->envelope[i] + at;

				for (int l = 0; l < LANES; l++)
					sums[i][l] += shape[l] * e[l];
			}
		}
	}
	norm = (double)lanes_sum(squares);
	for (size_t i = 0; norm > 0 && i < fit->count; i++) {
		double re = (double)lanes_sum(sums[2 * i]), im = (double)lanes_sum(sums[2 * i + 1]);

		total += fit->weight[i] * (re * re + im * im) / norm;
	}
	return total;
}

/* Where the parabola through (-1, a), (0, b), (1, c) is highest, within -1..1. */
static double vertex(double a, double b, double c)
{
	double bend = a - 2 * b + c;

	return bend < 0 ? fmax(-1, fmin(1, (a - c) / (2 * bend))) : 0;
}

/* The best place for a crystal of this radius, near the middle of the crop, on a coarse grid. */
static void find_centre(const struct pn_crystal *p, const struct fit *fit, double radius,
			double *cy, double *cx)
{
	double my = ((double)p->my - 1) / 2, mx = ((double)(p->nx / p->cell) - 1) / 2, best = -1;
	long ry = (long)(centre_max_part * (double)p->my / CENTRE_STEP);
	long rx = (long)(centre_max_part * (double)(p->nx / p->cell) / CENTRE_STEP);

	for (long i = -ry; i <= ry; i++) {
		for (long j = -rx; j <= rx; j++) {
			double y = my + (double)(CENTRE_STEP * i);
			double x = mx + (double)(CENTRE_STEP * j);
			double here = likelihood(p, fit, y, x, radius);

			if (here > best) {
				best = here;
				*cy = y;
				*cx = x;
			}
		}
	}
}

static void refine_centre(const struct pn_crystal *p, const struct fit *fit, double radius,
			  double *cy, double *cx)
{
	for (int round = 0; round < 2; round++) {
		double step = round ? 1 : 2, here = likelihood(p, fit, *cy, *cx, radius);
		double dy = vertex(likelihood(p, fit, *cy - step, *cx, radius), here,
				   likelihood(p, fit, *cy + step, *cx, radius));
		double dx = vertex(likelihood(p, fit, *cy, *cx - step, radius), here,
				   likelihood(p, fit, *cy, *cx + step, radius));

		*cy += step * dy;
		*cx += step * dx;
	}
}

/* The most likely radius, in cells; 0 if it is at an end of what is looked at. */
static double find_radius(const struct pn_crystal *p, const struct fit *fit, double cy, double cx)
{
	double low = radius_min_A / p->pixel_A / (double)p->cell;
	double high = radius_max_part * fmin((double)p->ny, (double)p->nx) / (double)p->cell;
	double ratio = pow(high / low, 1.0 / (RADII - 1)), value[RADII];
	int best = 0;

	if (!(high > low))
		return 0;
	for (int i = 0; i < RADII; i++) {
		value[i] = likelihood(p, fit, cy, cx, low * pow(ratio, i));
		best = value[i] > value[best] ? i : best;
	}
	if (best == 0 || best == RADII - 1)
		return 0;
	return low * pow(ratio, best + vertex(value[best - 1], value[best], value[best + 1]));
}

void pn_crystal_size(struct pn_crystal *plan, const float *crop, struct pn_crystal_result *out)
{
	struct pn_crystal *p = plan;
	struct fit fit = { .disc = p->params.size_shape == PN_CRYSTAL_DISC };
	double side = fmin(p->side_A[0], p->side_A[1]), cells = (double)(p->cell * p->cell);
	double cy = 0, cx = 0;

	out->size_valid = 0;
	out->diameter_nm = out->x_px = out->y_px = 0;
	for (size_t i = 0; i < out->n_peaks && i < (size_t)p->params.size_peaks; i++) {
		const struct pn_crystal_peak *peak = &out->peaks[i];
		size_t ring = (size_t)lround(side * hypot(peak->gx_per_A, peak->gy_per_A));

		if (ring >= p->rings || !(p->ring_mean[ring] > 0))
			continue;
		if (!fit.count)
			flatten_crop(p, crop);
		take_envelope(p, peak, p->envelope[2 * fit.count], p->envelope[2 * fit.count + 1]);
		fit.weight[fit.count++] = p->hann_power / (p->ring_mean[ring] * cells);
	}
	if (!fit.count)
		return;
	double start = 0.17 * fmin((double)p->ny, (double)p->nx) / (double)p->cell;

	find_centre(p, &fit, start, &cy, &cx);
	double radius = find_radius(p, &fit, cy, cx);

	if (radius > 0) {
		refine_centre(p, &fit, radius, &cy, &cx);
		radius = find_radius(p, &fit, cy, cx);
	}
	if (!(radius > 0))
		return;
	out->diameter_nm = 2 * radius * (double)p->cell * p->pixel_A / 10;
	out->y_px = (cy + 0.5) * (double)p->cell - 0.5;
	out->x_px = (cx + 0.5) * (double)p->cell - 0.5;
	out->size_valid = 1;
}
