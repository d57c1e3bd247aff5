/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/register.h"

#include "perrin/image/filter.h"
#include "perrin/math/fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	SIDE_MIN = 32,
	SIDE_MAX = 8192,
	HORIZON = 32, /* of the spline's recursion: 0.43^32 = 2e-12 */
	REACH = 12,   /* pixels about a first shift that are searched */
	GRID_MAX = 8 * REACH + 1,
	CELL = 8,            /* pixels along which the differences of frames correlate */
	CUTS_MAX = 4,        /* times a pair is cut anew to a better shift  */
	CANDIDATES_MAX = 24, /* peaks of a crystal's spectrum               */
	ORDER_MAX = 3,
	REFLECTIONS_MAX = (2 * ORDER_MAX + 1) * (ORDER_MAX + 1),
};

static const double coarse_blur_px = 3, edge_part = 0.125, soft_part = 0.2, certain_sd = 6;
static const double reflection_power = 20; /* over the mean of its surroundings */

#define OFF(field) offsetof(struct pn_register_params, field)

const struct pn_param pn_register_param_table[] = {
	{ .name = "cutoff_per_px",
	  .unit = "1/px",
	  .help = "finest spatial frequency used",
	  .type = PN_PARAM_F64,
	  .off = OFF(cutoff_per_px),
	  .def = 0.3,
	  .min = 0.02,
	  .max = 0.5 },
	{ .name = "shift_max_part",
	  .help = "largest shift between frames, as part of the side",
	  .type = PN_PARAM_F64,
	  .off = OFF(shift_max_part),
	  .def = 0.5,
	  .min = 0.001,
	  .max = 0.5 },
	{ .name = "drift",
	  .help = "undo the drift during the scan",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(drift),
	  .def = 1 },
	{ .name = "scan_part",
	  .help = "part of the time between frames that rows take up",
	  .type = PN_PARAM_F64,
	  .off = OFF(scan_part),
	  .def = 1,
	  .min = 0,
	  .max = 1 },
	{ 0 },
};

/* ---- pairs of frames ----------------------------------------------------------------------- */

/* The memory for pairs of frames of one shape. */
struct pairs {
	size_t ny, nx, nh;
	double cutoff;
	struct pn_fft *forward, *backward;
	float *cut[2];          /* [ny][nx]                                             */
	float complex *wave[2]; /* [ny][nh]                                             */
	float complex *cross;   /* [ny][nh]                                             */
	float *gradient;        /* [ny][nx]                                             */
	double *weight;         /* [ny][nh]: low-pass, times 2 for two bins in one      */
	double (*partial)[2];   /* [ny][GRID_MAX]                                       */
};

struct pair {
	double shift[2], se[2], se_correlation, correlation; /* x, y */
};

static inline float complex complex_of(float re, float im)
{
	return re + im * I;
}

static double wave_number(size_t i, size_t n)
{
	return (i <= n / 2 ? (double)i : (double)i - (double)n) / (double)n;
}

static double lowpass(double k, double cutoff)
{
	double t = (k / cutoff - 1) / soft_part;

	return t <= 0 ? 1 : t >= 1 ? 0 : pow(cos(M_PI / 2 * t), 2);
}

static void pairs_free(struct pairs *p)
{
	pn_fft_destroy(p->forward);
	pn_fft_destroy(p->backward);
	for (int i = 0; i < 2; i++) {
		pn_fft_free(p->cut[i]);
		pn_fft_free(p->wave[i]);
	}
	pn_fft_free(p->cross);
	pn_fft_free(p->gradient);
	free(p->weight);
	free(p->partial);
}

static int pairs_plan(struct pairs *p, size_t ny, size_t nx, double cutoff, struct pn_error *err)
{
	*p = (struct pairs){ .ny = ny, .nx = nx, .nh = nx / 2 + 1, .cutoff = cutoff };
	int rc = pn_fft_plan(&p->forward, PN_FFT_R2C, ny, nx, 0, err);

	if (!rc)
		rc = pn_fft_plan(&p->backward, PN_FFT_C2R, ny, nx, 0, err);
	if (rc)
		return rc;
	for (int i = 0; i < 2; i++) {
		p->cut[i] = pn_fft_alloc(ny * nx * sizeof *p->cut[i]);
		p->wave[i] = pn_fft_alloc(ny * p->nh * sizeof *p->wave[i]);
	}
	p->cross = pn_fft_alloc(ny * p->nh * sizeof *p->cross);
	p->gradient = pn_fft_alloc(ny * nx * sizeof *p->gradient);
	p->weight = malloc(ny * p->nh * sizeof *p->weight);
	p->partial = malloc(ny * GRID_MAX * sizeof *p->partial);
	if (!p->cut[0] || !p->cut[1] || !p->wave[0] || !p->wave[1] || !p->cross || !p->gradient ||
	    !p->weight || !p->partial)
		return pn_error_set(err, PN_ENOMEM, "register: no memory for %zu x %zu pixels", ny,
				    nx);
	for (size_t i = 0; i < ny * p->nh; i++) {
		size_t x = i % p->nh;
		double k = hypot(wave_number(i / p->nh, ny), (double)x / (double)nx);

		p->weight[i] = lowpass(k, cutoff) * (x == 0 || 2 * x == nx ? 1 : 2);
	}
	return PN_OK;
}

static double edge(size_t i, size_t n)
{
	double width = fmax(edge_part * (double)n, 1);
	double t = (fmin((double)i, (double)(n - 1 - i)) + 0.5) / width;

	return t >= 1 ? 1 : pow(sin(M_PI / 2 * t), 2);
}

/* The image [high][wide] within rows of @pitch, less its mean, with soft edges, into the corner of
 * [ny][nx]; the rest 0. Sums of the window's 2nd and 4th power may be asked for. */
static void cut_out(const struct pairs *p, float *dst, const float *src, size_t pitch, size_t high,
		    size_t wide, double power[2])
{
	double sum = 0, total = 0;

	power[0] = power[1] = 0;
	for (size_t y = 0; y < high; y++)
		for (size_t x = 0; x < wide; x++) {
			double w = edge(y, high) * edge(x, wide);

			sum += w * src[y * pitch + x];
			total += w;
			power[0] += w * w;
			power[1] += w * w * w * w;
		}
	memset(dst, 0, p->ny * p->nx * sizeof *dst);
	for (size_t y = 0; y < high; y++)
		for (size_t x = 0; x < wide; x++)
			dst[y * p->nx + x] = (float)((src[y * pitch + x] - sum / total) *
						     edge(y, high) * edge(x, wide));
}

/* cross = conj(A) B */
static void multiply(struct pairs *p)
{
	for (size_t i = 0; i < p->ny * p->nh; i++) {
		float ar = crealf(p->wave[0][i]), ai = cimagf(p->wave[0][i]);
		float br = crealf(p->wave[1][i]), bi = cimagf(p->wave[1][i]);

		p->cross[i] = complex_of(ar * br + ai * bi, ar * bi - ai * br);
	}
}

/* ---- first shifts -------------------------------------------------------------------------- */

static void bin_by_two(float *dst, const float *src, size_t ny, size_t nx)
{
	for (size_t y = 0; y < ny / 2; y++)
		for (size_t x = 0; x < nx / 2; x++) {
			const float *q = src + 2 * y * nx + 2 * x;

			dst[y * (nx / 2) + x] = (q[0] + q[1] + q[nx] + q[nx + 1]) / 4;
		}
}

/* The frame binned, cut and transformed. */
static void coarse_wave(struct pairs *p, float complex *wave, const float *frame)
{
	double power[2];

	/* the gradient is not needed yet */
	bin_by_two(p->gradient, frame, p->ny, p->nx);
	cut_out(p, p->cut[0], p->gradient, p->nx / 2, p->ny / 2, p->nx / 2, power);
	pn_fft_execute(p->forward, p->cut[0], wave);
}

/* Shift of the frame in wave[1] against that in wave[0], to some pixels; shifts of which less than
 * an eighth of the side remains in common are not looked at. The correlation of a lattice has many
 * peaks, and which is the highest on a coarse grid is chance: where its square is highest in the
 * mean over a lattice constant is not. */
static void coarse_shift(struct pairs *p, double shift[2])
{
	long ny = (long)p->ny, nx = (long)p->nx, reach_y = ny * 7 / 16, reach_x = nx * 7 / 16;
	float best = -INFINITY;

	multiply(p);
	for (size_t i = 0; i < p->ny * p->nh; i++) {
		double k =
			hypot(wave_number(i / p->nh, p->ny), (double)(i % p->nh) / (double)p->nx);

		p->cross[i] *= (float)lowpass(k, fmin(2 * p->cutoff, 0.5));
	}
	pn_fft_execute(p->backward, p->cross, p->cut[1]);
	/* no shift goes to the middle; the unit must not matter */
	double unit = 0;

	for (long i = 0; i < ny * nx; i++)
		unit = fmax(unit, fabs(p->cut[1][i]));
	for (long y = 0; y < ny; y++)
		for (long x = 0; x < nx; x++) {
			double c = p->cut[1][(y + ny - ny / 2) % ny * nx + (x + nx - nx / 2) % nx];

			p->cut[0][y * nx + x] = (float)(c * c / fmax(unit * unit, 1e-300));
		}
	pn_gauss_blur(p->gradient, p->cut[0], p->cut[1], p->ny, p->nx, coarse_blur_px);
	for (long y = -reach_y; y <= reach_y; y++)
		for (long x = -reach_x; x <= reach_x; x++) {
			float c = p->gradient[(y + ny / 2) * nx + x + nx / 2];

			if (c > best) {
				best = c;
				shift[0] = 2.0 * (double)x;
				shift[1] = 2.0 * (double)y;
			}
		}
}

/* ---- shifts to a part of a pixel ----------------------------------------------------------- */

/* Real part of sum_k weight cross exp(2 pi i k s) on the grid s = @from + i @step of @n x @n
 * points: first along x, then along y. [out] c [n][n], rows of y. */
static void correlate(struct pairs *p, const double from[2], double step, int n, double *c)
{
	for (size_t ky = 0; ky < p->ny; ky++) {
		double(*row)[2] = p->partial + ky * GRID_MAX;

		memset(row, 0, GRID_MAX * sizeof *row);
		for (size_t kx = 0; kx < p->nh; kx++) {
			double w = p->weight[ky * p->nh + kx];
			double re = w * crealf(p->cross[ky * p->nh + kx]);
			double im = w * cimagf(p->cross[ky * p->nh + kx]);

			if (w == 0)
				continue;
			double k = 2 * M_PI * (double)kx / (double)p->nx, cr = cos(k * from[0]);
			double ci = sin(k * from[0]), dr = cos(k * step), di = sin(k * step);

			for (int i = 0; i < n; i++) {
				double next = cr * dr - ci * di;

				row[i][0] += re * cr - im * ci;
				row[i][1] += re * ci + im * cr;
				ci = cr * di + ci * dr;
				cr = next;
			}
		}
	}
	memset(c, 0, (size_t)(n * n) * sizeof *c);
	for (size_t ky = 0; ky < p->ny; ky++)
		for (int j = 0; j < n; j++) {
			double k = 2 * M_PI * wave_number(ky, p->ny) * (from[1] + j * step);
			double cr = cos(k), ci = sin(k);
			const double(*row)[2] = (const double(*)[2])p->partial + ky * GRID_MAX;

			for (int i = 0; i < n; i++)
				c[j * n + i] += row[i][0] * cr - row[i][1] * ci;
		}
}

/* Top of the parabola through three values, in -1/2..1/2 of their distance. */
static double top(double before, double at, double after)
{
	double bend = 2 * at - before - after;

	return bend > 0 ? fmin(fmax((after - before) / (2 * bend), -0.5), 0.5) : 0;
}

/* Index of the highest peak of c [n][n], by the tops of parabolas through the grid. */
static int highest(const double *c, int n)
{
	double best = -INFINITY;
	int found = n * n / 2;

	for (int i = n; i < n * n - n; i++) {
		double dx = c[i + 1] - c[i - 1], dy = c[i + n] - c[i - n];
		double bx = 2 * c[i] - c[i + 1] - c[i - 1], by = 2 * c[i] - c[i + n] - c[i - n];

		if (i % n == 0 || i % n == n - 1 || c[i] < fmax(c[i - 1], c[i + 1]) ||
		    c[i] < fmax(c[i - n], c[i + n]) || !(bx > 0) || !(by > 0))
			continue;
		double value = c[i] + dx * dx / (8 * bx) + dy * dy / (8 * by);

		if (value > best) {
			best = value;
			found = i;
		}
	}
	return found;
}

/* The highest peak of the correlation within @reach pixels of 0: on a grid of quarters, then of
 * twentieths; its value. */
static double peak_of(struct pairs *p, double reach, double shift[2])
{
	const double steps[2] = { 0.25, 0.05 };
	const int points[2] = { 2 * (int)(reach / steps[0]) + 1, 17 };
	double c[GRID_MAX * GRID_MAX], value = 0;

	shift[0] = shift[1] = 0;
	for (int stage = 0; stage < 2; stage++) {
		int n = points[stage];
		double from[2] = { shift[0] - steps[stage] * (n / 2),
				   shift[1] - steps[stage] * (n / 2) };

		correlate(p, from, steps[stage], n, c);
		int best = highest(c, n), y = best / n, x = best % n;

		shift[0] = from[0] + x * steps[stage];
		shift[1] = from[1] + y * steps[stage];
		value = c[best];
		if (stage == 1) {
			shift[0] += steps[1] * top(c[best - 1], c[best], c[best + 1]);
			shift[1] += steps[1] * top(c[best - n], c[best], c[best + n]);
		}
	}
	return value;
}

/* Bring the second frame's waves over the first's by @shift. */
static void shift_wave(struct pairs *p, const double shift[2])
{
	for (size_t i = 0; i < p->ny * p->nh; i++) {
		double a = 2 * M_PI *
			   (wave_number(i / p->nh, p->ny) * shift[1] +
			    (double)(i % p->nh) / (double)p->nx * shift[0]);
		double re = crealf(p->wave[1][i]), im = cimagf(p->wave[1][i]);

		p->wave[1][i] = complex_of((float)(re * cos(a) - im * sin(a)),
					   (float)(re * sin(a) + im * cos(a)));
	}
}

/* Bilinear sums of the products of the two gradients with the difference of the frames, over cells:
 * x x, x y, y y. */
static void clustered(const struct pairs *p, const float *gx, const float *gy, double noise[3])
{
	for (size_t y0 = 0; y0 < p->ny; y0 += CELL)
		for (size_t x0 = 0; x0 < p->nx; x0 += CELL) {
			double sx = 0, sy = 0;

			for (size_t y = y0; y < y0 + CELL && y < p->ny; y++)
				for (size_t x = x0; x < x0 + CELL && x < p->nx; x++) {
					size_t i = y * p->nx + x;

					sx += (double)gx[i] * p->cut[0][i];
					sy += (double)gy[i] * p->cut[0][i];
				}
			noise[0] += sx * sx;
			noise[1] += sx * sy;
			noise[2] += sy * sy;
		}
}

/* Gradient along an axis of the mean of both frames, low-passed. */
static void gradient_of(struct pairs *p, int axis, float *out)
{
	for (size_t i = 0; i < p->ny * p->nh; i++) {
		size_t x = i % p->nh;
		double k = axis ? wave_number(i / p->nh, p->ny) : (double)x / (double)p->nx;
		double w = p->weight[i] / (x == 0 || 2 * x == p->nx ? 1 : 2) * M_PI * k;
		float complex sum = p->wave[0][i] + p->wave[1][i];

		p->cross[i] = complex_of((float)(-w * cimagf(sum)), (float)(w * crealf(sum)));
	}
	pn_fft_execute(p->backward, p->cross, out);
}

/* Standard errors and their correlation, see the header. wave[1] lies over wave[0]; the cuts are
 * overwritten. */
static void standard_errors(struct pairs *p, struct pair *pair)
{
	double h[3] = { 0 }, noise[3] = { 0 }, count = (double)(p->ny * p->nx);

	for (size_t i = 0; i < p->ny * p->nh; i++) {
		double kx = 2 * M_PI * (double)(i % p->nh) / (double)p->nx;
		double ky = 2 * M_PI * wave_number(i / p->nh, p->ny);
		double c = (double)crealf(p->wave[0][i]) * crealf(p->wave[1][i]) +
			   (double)cimagf(p->wave[0][i]) * cimagf(p->wave[1][i]);

		/* as sums over pixels of transforms back, which are not normalised */
		c *= p->weight[i] * count;
		h[0] += c * kx * kx;
		h[1] += c * kx * ky;
		h[2] += c * ky * ky;
		p->cross[i] = p->wave[1][i] - p->wave[0][i];
	}
	pn_fft_execute(p->backward, p->cross, p->cut[0]);
	gradient_of(p, 0, p->gradient);
	gradient_of(p, 1, p->cut[1]);
	clustered(p, p->gradient, p->cut[1], noise);
	double d = h[0] * h[2] - h[1] * h[1];
	double ix = h[2] / d, ixy = -h[1] / d, iy = h[0] / d;
	/* the inverse of h, the noise, and the inverse again */
	double a = ix * noise[0] + ixy * noise[1], b = ix * noise[1] + ixy * noise[2];
	double e = ixy * noise[0] + iy * noise[1], f = ixy * noise[1] + iy * noise[2];
	int ok = h[0] > 0 && d > 0;

	pair->se[0] = ok ? sqrt(fmax(a * ix + b * ixy, 0)) : INFINITY;
	pair->se[1] = ok ? sqrt(fmax(e * ixy + f * iy, 0)) : INFINITY;
	pair->se_correlation = ok ? (a * ixy + b * iy) / (pair->se[0] * pair->se[1]) : 0;
	if (!(fabs(pair->se_correlation) <= 1))
		pair->se_correlation = 0;
}

/* Cut both frames to what they have in common at the whole shift @s; 1 if there is enough. */
static int cut_pair(struct pairs *p, const float *a, const float *b, const long s[2],
		    double power[2])
{
	long wide = (long)p->nx - labs(s[0]), high = (long)p->ny - labs(s[1]);
	long ax = s[0] < 0 ? -s[0] : 0, ay = s[1] < 0 ? -s[1] : 0;

	if (wide < SIDE_MIN / 4 || high < SIDE_MIN / 4)
		return 0;
	cut_out(p, p->cut[0], a + ay * (long)p->nx + ax, p->nx, (size_t)high, (size_t)wide, power);
	cut_out(p, p->cut[1], b + (ay + s[1]) * (long)p->nx + ax + s[0], p->nx, (size_t)high,
		(size_t)wide, power);
	for (int i = 0; i < 2; i++)
		pn_fft_execute(p->forward, p->cut[i], p->wave[i]);
	return 1;
}

/* Shift of frame @b against @a; pair->shift is where to begin. Returns 0 if there is nothing in
 * common. */
static int align_pair(struct pairs *p, const float *a, const float *b, struct pair *pair)
{
	double rest[2] = { 0 }, power[2], value = 0, pa = 0, pb = 0;
	long s[2];

	for (int round = 0; round < CUTS_MAX; round++) {
		for (int i = 0; i < 2; i++)
			s[i] = lround(pair->shift[i]);
		if (!cut_pair(p, a, b, s, power))
			return 0;
		multiply(p);
		value = peak_of(p, round ? 4 : REACH, rest);
		for (int i = 0; i < 2; i++)
			pair->shift[i] = (double)s[i] + rest[i];
		if (fabs(rest[0]) <= 0.75 && fabs(rest[1]) <= 0.75)
			break;
	}
	for (size_t i = 0; i < p->ny * p->nh; i++) {
		pa += p->weight[i] *
		      (pow(crealf(p->wave[0][i]), 2) + pow(cimagf(p->wave[0][i]), 2));
		pb += p->weight[i] *
		      (pow(crealf(p->wave[1][i]), 2) + pow(cimagf(p->wave[1][i]), 2));
	}
	pair->correlation = pa > 0 && pb > 0 ? value / sqrt(pa * pb) : 0;
	shift_wave(p, rest);
	standard_errors(p, pair);
	/* of white noise within the band, the correlation has the variance 1 / independent values
	 */
	double independent = power[0] * power[0] / power[1] * M_PI * p->cutoff * p->cutoff;

	return pair->correlation * sqrt(independent) > certain_sd;
}

/* ---- all frames ---------------------------------------------------------------------------- */

static int check_params(const struct pn_register_params *p, struct pn_error *err)
{
	if (!(p->cutoff_per_px >= 0.02 && p->cutoff_per_px <= 0.5) ||
	    !(p->shift_max_part > 0 && p->shift_max_part <= 0.5) ||
	    !(p->scan_part >= 0 && p->scan_part <= 1))
		return pn_error_set(err, PN_EARG,
				    "register: cutoff_per_px = %g, shift_max_part = %g, scan_part "
				    "= %g: must be 0.02..0.5, 0..0.5, 0..1",
				    p->cutoff_per_px, p->shift_max_part, p->scan_part);
	return PN_OK;
}

static int check_frames(const float *frames, size_t count, size_t ny, size_t nx,
			struct pn_error *err)
{
	if (ny < SIDE_MIN || nx < SIDE_MIN || ny > SIDE_MAX || nx > SIDE_MAX)
		return pn_error_set(err, PN_EARG,
				    "register: %zu x %zu pixels: sides must be %d..%d", ny, nx,
				    SIDE_MIN, SIDE_MAX);
	for (size_t k = 0; k < count; k++) {
		const float *frame = frames + k * ny * nx;
		int varies = 0;

		for (size_t i = 0; i < ny * nx; i++) {
			if (!isfinite(frame[i]))
				return pn_error_set(
					err, PN_EARG,
					"register: frame %zu, pixel %zu %zu (y x) is %g", k, i / nx,
					i % nx, frame[i]);
			varies |= frame[i] != frame[0];
		}
		if (!varies)
			return pn_error_set(err, PN_EARG, "register: frame %zu is %g everywhere", k,
					    frame[0]);
	}
	return PN_OK;
}

static int too_far(const struct pairs *p, const double shift[2], double part, size_t k,
		   struct pn_error *err)
{
	if (fabs(shift[0]) <= part * (double)p->nx && fabs(shift[1]) <= part * (double)p->ny)
		return PN_OK;
	return pn_error_set(err, PN_EARG,
			    "register: frame %zu seems to be shifted by (%.1f, %.1f) px (x y) "
			    "against frame 0: more than %g of %zu x %zu",
			    k, shift[0], shift[1], part, p->nx, p->ny);
}

/* Shifts of all pairs; pair [i][j] for i < j. */
static int align_all(struct pairs *p, struct pair (*pair)[PN_REGISTER_FRAMES_MAX],
		     const float *frames, size_t count, double part, struct pn_error *err)
{
	size_t size = p->ny * p->nx;
	double first[PN_REGISTER_FRAMES_MAX][2] = { { 0 } };

	coarse_wave(p, p->wave[0], frames);
	for (size_t k = 1; k < count; k++) {
		coarse_wave(p, p->wave[1], frames + k * size);
		coarse_shift(p, first[k]);
		int rc = too_far(p, first[k], part, k, err);

		if (rc)
			return rc;
	}
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++) {
			for (int axis = 0; axis < 2; axis++)
				pair[i][j].shift[axis] = first[j][axis] - first[i][axis];
			if (!align_pair(p, frames + i * size, frames + j * size, &pair[i][j]))
				return pn_error_set(err, PN_ENOENT,
						    "register: frames %zu and %zu have nothing in "
						    "common (correlation %.4f at the shift %.1f, "
						    "%.1f px, x y)",
						    i, j, pair[i][j].correlation,
						    pair[i][j].shift[0], pair[i][j].shift[1]);
		}
	return PN_OK;
}

/* Least squares over all pairs: with as many frames on each side of every pair, the place of a
 * frame is the mean of its shifts against all. [out] rms of what is left over. */
static double bring_together(struct pn_frame_shift *shift,
			     struct pair (*pair)[PN_REGISTER_FRAMES_MAX], size_t count)
{
	double place[PN_REGISTER_FRAMES_MAX][2] = { { 0 } }, squares = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++)
			for (int axis = 0; axis < 2; axis++) {
				place[j][axis] += pair[i][j].shift[axis] / (double)count;
				place[i][axis] -= pair[i][j].shift[axis] / (double)count;
			}
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++)
			for (int axis = 0; axis < 2; axis++)
				squares += pow(pair[i][j].shift[axis] - place[j][axis] +
						       place[i][axis],
					       2);
	for (size_t i = 0; i < count; i++)
		shift[i] = (struct pn_frame_shift){ .x_px = place[i][0] - place[0][0],
						    .y_px = place[i][1] - place[0][1],
						    .x_se_px = i ? pair[0][i].se[0] : 0,
						    .y_se_px = i ? pair[0][i].se[1] : 0,
						    .se_correlation =
							    i ? pair[0][i].se_correlation : 0,
						    .correlation = i ? pair[0][i].correlation : 1 };
	return sqrt(squares / (double)(count * (count - 1)));
}

int pn_register_frames(struct pn_frame_shift *shift, double *closure_px, const float *frames,
		       size_t count, size_t ny, size_t nx, const struct pn_register_params *params,
		       struct pn_error *err)
{
	struct pair pair[PN_REGISTER_FRAMES_MAX][PN_REGISTER_FRAMES_MAX];
	struct pn_register_params settings;
	struct pairs pairs;

	pn_params_default(pn_register_param_table, &settings);
	if (params)
		settings = *params;
	if (count < 2 || count > PN_REGISTER_FRAMES_MAX)
		return pn_error_set(err, PN_EARG, "register: %zu frames: must be 2..%d", count,
				    PN_REGISTER_FRAMES_MAX);
	int rc = check_params(&settings, err);

	if (!rc)
		rc = check_frames(frames, count, ny, nx, err);
	if (rc)
		return rc;
	rc = pairs_plan(&pairs, ny, nx, settings.cutoff_per_px, err);
	if (!rc)
		rc = align_all(&pairs, pair, frames, count, settings.shift_max_part, err);
	if (!rc) {
		double closure = bring_together(shift, pair, count);

		if (closure_px)
			*closure_px = closure;
	}
	pairs_free(&pairs);
	return rc;
}

/* ---- drift --------------------------------------------------------------------------------- */

int pn_drift_fit(struct pn_drift *drift, const struct pn_frame_shift *shift, size_t count,
		 size_t ny, size_t nx, double scan_part, struct pn_error *err)
{
	double mean[2] = { 0 }, slope[2] = { 0 }, squares[2] = { 0 }, times = 0;
	double middle = ((double)count - 1) / 2;

	*drift = (struct pn_drift){ 0 };
	if (count < 2 || !(scan_part >= 0 && scan_part <= 1) || !ny || !nx)
		return pn_error_set(err, PN_EARG, "drift: %zu shifts, scan_part = %g", count,
				    scan_part);
	for (size_t k = 0; k < count; k++) {
		double t = (double)k - middle;

		mean[0] += shift[k].x_px / (double)count;
		mean[1] += shift[k].y_px / (double)count;
		slope[0] += t * shift[k].x_px;
		slope[1] += t * shift[k].y_px;
		times += t * t;
	}
	slope[0] /= times;
	slope[1] /= times;
	double ahead = scan_part * (slope[0] / (double)(nx * ny) + slope[1] / (double)ny);

	if (!isfinite(slope[0]) || !isfinite(slope[1]) || !(ahead > -0.5))
		return pn_error_set(err, PN_EARG,
				    "drift: (%g, %g) px per frame (x y) against a scan of %zu rows",
				    slope[0], slope[1], ny);
	drift->x_px = slope[0] / (1 + ahead);
	drift->y_px = slope[1] / (1 + ahead);
	for (size_t k = 0; k < count; k++) {
		double t = (double)k - middle;

		squares[0] += pow(shift[k].x_px - mean[0] - slope[0] * t, 2);
		squares[1] += pow(shift[k].y_px - mean[1] - slope[1] * t, 2);
	}
	drift->residual_px = sqrt((squares[0] + squares[1]) / (2 * (double)count));
	double free_points = (double)count - 2;

	drift->x_se_px = count > 2 ? sqrt(squares[0] / free_points / times) : NAN;
	drift->y_se_px = count > 2 ? sqrt(squares[1] / free_points / times) : NAN;
	return PN_OK;
}

void pn_drift_matrix(double matrix[2][2], const struct pn_drift *drift, size_t ny, size_t nx,
		     double scan_part)
{
	double v[2] = { drift->x_px, drift->y_px };
	double a[2] = { scan_part / (double)(nx * ny), scan_part / (double)ny };

	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			matrix[i][j] = (i == j) - v[i] * a[j];
}

/* ---- interpolation ------------------------------------------------------------------------- */

/* Poles of the quintic B-spline filter: z + 1/z are the roots of z^2 + 26 z + 66 + 26/z + 1/z^2. */
static const double poles[2] = { -0.43057534709997379, -0.043096288203264652 };

/* Coefficients of the quintic B-spline through values that go on by reflection at both ends, in
 * place: @count values, @step apart, for each of @lanes neighbours in memory. One pole after the
 * other: a recursion down and one up. */
static void spline_coefficients(float *c, size_t count, size_t step, size_t lanes)
{
	for (int pole = 0; pole < 2; pole++) {
		float z = (float)poles[pole], gain = (1 - z) * (1 - 1 / z);
		float *last = c + (count - 1) * step;

		for (size_t l = 0; l < lanes; l++) {
			double sum = 0, power = 1;

			for (size_t i = 0; i < HORIZON; i++, power *= z) {
				size_t at = i % (2 * count - 2);

				at = at < count ? at : 2 * count - 2 - at;
				sum += power * c[at * step + l];
			}
			c[l] = (float)(sum * gain);
		}
		for (size_t i = 1; i < count; i++)
			for (size_t l = 0; l < lanes; l++)
				c[i * step + l] =
					gain * c[i * step + l] + z * c[(i - 1) * step + l];
		for (size_t l = 0; l < lanes; l++)
			last[l] = z / (z * z - 1) * (last[l] + z * *(last + l - step));
		for (size_t i = count - 1; i-- > 0;)
			for (size_t l = 0; l < lanes; l++)
				c[i * step + l] = z * (c[(i + 1) * step + l] - c[i * step + l]);
	}
}

/* The basis function at -2 - t, -1 - t, ..., 3 - t for t = 0..1. */
static void spline_weights(double t, float w[6])
{
	double u = 1 - t, t2 = t * t, u2 = u * u;

	w[0] = (float)(u2 * u2 * u / 120);
	w[5] = (float)(t2 * t2 * t / 120);
	w[2] = (float)(0.55 + t2 * (-0.5 + t2 * (0.25 - t / 12)));
	w[3] = (float)(0.55 + u2 * (-0.5 + u2 * (0.25 - u / 12)));
	double a = 1 + t, b = 1 + u;

	w[1] = (float)(0.425 + a * (0.625 + a * (-1.75 + a * (1.25 + a * (-0.375 + a / 24)))));
	w[4] = (float)(0.425 + b * (0.625 + b * (-1.75 + b * (1.25 + b * (-0.375 + b / 24)))));
}

static size_t mirror(long i, long n)
{
	long period = 2 * (n - 1);

	i = (i % period + period) % period;
	return (size_t)(i < n ? i : period - i);
}

static float spline_value(const float *c, size_t ny, size_t nx, double y, double x)
{
	long iy = (long)floor(y), ix = (long)floor(x);
	float wy[6], wx[6], sum = 0;

	spline_weights(y - (double)iy, wy);
	spline_weights(x - (double)ix, wx);
	if (iy >= 2 && ix >= 2 && iy + 3 < (long)ny && ix + 3 < (long)nx) {
		const float *q = c + (iy - 2) * (long)nx + ix - 2;

		for (int j = 0; j < 6; j++, q += nx)
			sum += wy[j] * ((wx[0] * q[0] + wx[1] * q[1] + wx[2] * q[2]) +
					(wx[3] * q[3] + wx[4] * q[4] + wx[5] * q[5]));
		return sum;
	}
	for (int j = 0; j < 6; j++)
		for (int i = 0; i < 6; i++)
			sum += wy[j] * wx[i] *
			       c[mirror(iy - 2 + j, (long)ny) * nx + mirror(ix - 2 + i, (long)nx)];
	return sum;
}

static double within(double at, double last)
{
	return at >= -1e-6 && at <= last + 1e-6 ? fmin(fmax(at, 0), last) : NAN;
}

int pn_resample(float *dst, uint8_t *covered, const float *src, size_t ny, size_t nx,
		const double matrix[2][2], const double shift_px[2], struct pn_error *err)
{
	double numbers = matrix[0][0] + matrix[0][1] + matrix[1][0] + matrix[1][1] + shift_px[0] +
			 shift_px[1];

	if (ny < 2 || nx < 2 || ny > 65536 || nx > 65536 || !isfinite(numbers))
		return pn_error_set(err, PN_EARG, "resample: %zu x %zu pixels, shift (%g, %g)", ny,
				    nx, shift_px[0], shift_px[1]);
	for (size_t i = 0; i < ny * nx; i++)
		if (!isfinite(src[i]))
			return pn_error_set(err, PN_EARG, "resample: pixel %zu %zu (y x) is %g",
					    i / nx, i % nx, src[i]);
	float *c = malloc(ny * nx * sizeof *c);

	if (!c)
		return pn_error_set(err, PN_ENOMEM, "resample: no memory for %zu x %zu pixels", ny,
				    nx);
	memcpy(c, src, ny * nx * sizeof *c);
	spline_coefficients(c, ny, nx, nx);
#pragma omp parallel for schedule(static)
	for (size_t y = 0; y < ny; y++)
		spline_coefficients(c + y * nx, nx, 1, 1);
#pragma omp parallel for schedule(static)
	for (size_t y = 0; y < ny; y++)
		for (size_t x = 0; x < nx; x++) {
			double u = (double)x - (double)(nx / 2), v = (double)y - (double)(ny / 2);
			double sx = within(matrix[0][0] * u + matrix[0][1] * v + shift_px[0] +
						   (double)(nx / 2),
					   (double)(nx - 1));
			double sy = within(matrix[1][0] * u + matrix[1][1] * v + shift_px[1] +
						   (double)(ny / 2),
					   (double)(ny - 1));
			int in = !isnan(sx) && !isnan(sy);

			dst[y * nx + x] = in ? spline_value(c, ny, nx, sy, sx) : 0;
			if (covered)
				covered[y * nx + x] = (uint8_t)in;
		}
	free(c);
	return PN_OK;
}

/* ---- merging ------------------------------------------------------------------------------- */

static void multiply2(double out[2][2], const double a[2][2], const double b[2][2])
{
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j];
}

static double determinant2(const double m[2][2])
{
	return m[0][0] * m[1][1] - m[0][1] * m[1][0];
}

static void invert2(double out[2][2], const double m[2][2])
{
	double d = determinant2(m);

	out[0][0] = m[1][1] / d;
	out[0][1] = -m[0][1] / d;
	out[1][0] = -m[1][0] / d;
	out[1][1] = m[0][0] / d;
}

/* Mean of the resampled frames in @warped, how many there are, and how far each is off. */
static void average(float *mean, uint8_t *count, struct pn_merge_report *report,
		    const float *warped, const uint8_t *covered, size_t n, size_t size)
{
	size_t common = 0;

	for (size_t i = 0; i < size; i++) {
		double sum = 0;

		count[i] = 0;
		for (size_t k = 0; k < n; k++) {
			sum += warped[k * size + i];
			count[i] = (uint8_t)(count[i] + covered[k * size + i]);
		}
		mean[i] = count[i] ? (float)(sum / count[i]) : 0;
		if (count[i] < n)
			continue;
		common++;
		for (size_t k = 0; k < n; k++)
			report->residual[k] += pow(warped[k * size + i] - mean[i], 2);
	}
	report->common_part = (double)common / (double)size;
	for (size_t k = 0; k < n; k++)
		report->residual[k] = common ? sqrt(report->residual[k] / (double)common) : NAN;
}

/* The matrix of drift and scan together. */
static int undoing(struct pn_merge_report *report, size_t n, size_t ny, size_t nx,
		   const struct pn_register_params *p, const double scan[2][2],
		   struct pn_error *err)
{
	static const double identity[2][2] = { { 1, 0 }, { 0, 1 } };
	double drift[2][2];
	int rc = PN_OK;

	if (p->drift)
		rc = pn_drift_fit(&report->drift, report->shift, n, ny, nx, p->scan_part, err);
	pn_drift_matrix(drift, &report->drift, ny, nx, p->scan_part);
	multiply2(report->matrix, scan ? scan : identity, (const double(*)[2])drift);
	double d = determinant2((const double(*)[2])report->matrix);

	if (!rc && !(fabs(d) > 1e-3 && fabs(d) < 1e3))
		rc = pn_error_set(err, PN_EARG, "merge: scan matrix of determinant %g", d);
	return rc;
}

int pn_merge_frames(float *mean, uint8_t *count, struct pn_merge_report *report,
		    const float *frames, size_t n_frames, size_t ny, size_t nx,
		    const struct pn_register_params *params, const double scan[2][2],
		    struct pn_error *err)
{
	struct pn_merge_report own = { 0 };
	struct pn_register_params p;
	size_t size = ny * nx;
	double inverse[2][2];

	pn_params_default(pn_register_param_table, &p);
	if (params)
		p = *params;
	int rc = pn_register_frames(own.shift, &own.closure_px, frames, n_frames, ny, nx, &p, err);

	if (!rc)
		rc = undoing(&own, n_frames, ny, nx, &p, scan, err);
	if (rc)
		return rc;
	float *warped = malloc(n_frames * size * sizeof *warped);
	uint8_t *covered = malloc(n_frames * size);

	invert2(inverse, (const double(*)[2])own.matrix);
	if (!warped || !covered)
		rc = pn_error_set(err, PN_ENOMEM, "merge: no memory for %zu frames of %zu x %zu",
				  n_frames, ny, nx);
	for (size_t k = 0; !rc && k < n_frames; k++) {
		const double shift[2] = { own.shift[k].x_px, own.shift[k].y_px };

		rc = pn_resample(warped + k * size, covered + k * size, frames + k * size, ny, nx,
				 (const double(*)[2])inverse, shift, err);
	}
	if (!rc)
		average(mean, count, &own, warped, covered, n_frames, size);
	if (!rc && report)
		*report = own;
	free(covered);
	free(warped);
	return rc;
}

/* ---- scan distortion ----------------------------------------------------------------------- */

void pn_lattice_si110(double reciprocal_per_A[2][2])
{
	const double a = 5.4310;

	/* x along [1 -1 0], y along [0 0 1] */
	reciprocal_per_A[0][0] = M_SQRT2 / a;
	reciprocal_per_A[0][1] = 1 / a;
	reciprocal_per_A[1][0] = -M_SQRT2 / a;
	reciprocal_per_A[1][1] = 1 / a;
}

/* One peak of the spectrum. */
struct peak {
	double g[2];  /* x, y, 1/px                            */
	double power; /* over the mean of its surroundings     */
	int order[2]; /* h, k                                  */
};

/* An image of a crystal and its transform. */
struct crystal {
	size_t ny, nx, nh;
	float *image;         /* [ny][nx] windowed, mean 0                   */
	float complex *wave;  /* [ny][nh]                                    */
	double (*columns)[6]; /* [ny]                                        */
	struct peak peak[CANDIDATES_MAX];
	size_t peaks;
};

static double power_at(const struct crystal *c, long ky, long kx)
{
	long ny = (long)c->ny;

	if (kx < 0) {
		kx = -kx;
		ky = -ky;
	}
	ky = (ky % ny + ny) % ny;
	if (kx >= (long)c->nh)
		return 0;
	float complex w = c->wave[ky * (long)c->nh + kx];

	return (double)crealf(w) * crealf(w) + (double)cimagf(w) * cimagf(w);
}

/* Mean power on the square ring 4 to 6 bins about a place, which a peak does not reach. */
static double surroundings(const struct crystal *c, long ky, long kx)
{
	double sum = 0;
	int count = 0;

	for (long y = -6; y <= 6; y++)
		for (long x = -6; x <= 6; x++)
			if (labs(y) >= 4 || labs(x) >= 4) {
				sum += power_at(c, ky + y, kx + x);
				count++;
			}
	return sum / count;
}

/* Keep the strongest, in descending order. */
static void keep_peak(struct crystal *c, const struct peak *p)
{
	size_t i = c->peaks;

	if (i == CANDIDATES_MAX && c->peak[i - 1].power >= p->power)
		return;
	i = i == CANDIDATES_MAX ? i - 1 : i;
	for (; i > 0 && c->peak[i - 1].power < p->power; i--)
		c->peak[i] = c->peak[i - 1];
	c->peak[i] = *p;
	c->peaks += c->peaks < CANDIDATES_MAX;
}

/* Local maxima whose length is that of one of the two vectors. */
static void find_peaks(struct crystal *c, const double length[2], double tolerance)
{
	for (long ky = -(long)(c->ny / 2) + 7; ky < (long)(c->ny / 2) - 7; ky++)
		for (long kx = 0; kx + 7 < (long)c->nh; kx++) {
			struct peak p = { .g = { (double)kx / (double)c->nx,
						 (double)ky / (double)c->ny } };
			double g = hypot(p.g[0], p.g[1]), here = power_at(c, ky, kx);
			int highest = kx > 0 || ky > 0;

			if (fabs(g / length[0] - 1) > tolerance &&
			    fabs(g / length[1] - 1) > tolerance)
				continue;
			for (long y = -1; y <= 1 && highest; y++)
				for (long x = -1; x <= 1; x++)
					if ((y || x) && power_at(c, ky + y, kx + x) > here)
						highest = 0;
			if (!highest)
				continue;
			p.power = here / fmax(surroundings(c, ky, kx), 1e-30);
			keep_peak(c, &p);
		}
}

/* N = (B B0^-1)^T, which is a turn times the distortion; B has the vectors as columns. */
static void distortion(double n[2][2], const double b[2][2], const double inverse[2][2])
{
	double m[2][2];

	multiply2(m, b, inverse);
	n[0][0] = m[0][0];
	n[0][1] = m[1][0];
	n[1][0] = m[0][1];
	n[1][1] = m[1][1];
}

/* How far N^T N is from 1; infinity for a mirror image. */
static double strain_of(const double n[2][2])
{
	double a = n[0][0] * n[0][0] + n[1][0] * n[1][0] - 1;
	double b = n[0][1] * n[0][1] + n[1][1] * n[1][1] - 1;
	double c = n[0][0] * n[0][1] + n[1][0] * n[1][1];

	return determinant2(n) > 0 ? sqrt((a * a + b * b) / 2 + c * c) / 2 : INFINITY;
}

/* The strongest pair of peaks that the known lattice can be strained to. */
static int find_pair(const struct crystal *c, double b[2][2], const double inverse[2][2],
		     double tolerance)
{
	double best = 0;

	for (size_t i = 0; i < c->peaks; i++)
		for (size_t j = 0; j < c->peaks; j++)
			for (int sign = -1; sign <= 1; sign += 2) {
				const double *u = c->peak[i].g, *v = c->peak[j].g;
				const double t[2][2] = { { u[0], sign * v[0] },
							 { u[1], sign * v[1] } };
				double n[2][2], weaker = fmin(c->peak[i].power, c->peak[j].power);

				distortion(n, t, inverse);
				if (i == j || weaker <= best || weaker < reflection_power ||
				    strain_of((const double(*)[2])n) > tolerance)
					continue;
				best = weaker;
				memcpy(b, t, sizeof t);
			}
	return best > 0;
}

/* |Fourier transform|^2 at 3 x 3 places about @g, @step apart; [y][x]. */
static void transform_near(const struct crystal *c, const double g[2], const double step[2],
			   double power[3][3])
{
	for (size_t y = 0; y < c->ny; y++) {
		memset(c->columns[y], 0, sizeof c->columns[y]);
		for (int i = 0; i < 3; i++) {
			double k = 2 * M_PI * (g[0] + (i - 1) * step[0]);
			double dr = cos(k), di = -sin(k), cr = 1, ci = 0;

			for (size_t x = 0; x < c->nx; x++) {
				double next = cr * dr - ci * di, v = c->image[y * c->nx + x];

				c->columns[y][2 * i] += v * cr;
				c->columns[y][2 * i + 1] += v * ci;
				ci = cr * di + ci * dr;
				cr = next;
			}
		}
	}
	for (int j = 0; j < 3; j++)
		for (int i = 0; i < 3; i++) {
			double re = 0, im = 0, k = 2 * M_PI * (g[1] + (j - 1) * step[1]);

			for (size_t y = 0; y < c->ny; y++) {
				const double *f = c->columns[y] + 2 * i;
				double cr = cos(k * (double)y), ci = -sin(k * (double)y);

				re += f[0] * cr - f[1] * ci;
				im += f[0] * ci + f[1] * cr;
			}
			power[j][i] = re * re + im * im;
		}
}

/* Move a peak to the maximum of the continuous transform: by parabolas through the logarithm, at
 * half a bin and then at a tenth. */
static void place_peak(const struct crystal *c, struct peak *p)
{
	static const double part[3] = { 0.5, 0.5, 0.1 };

	for (int round = 0; round < 3; round++) {
		double step[2] = { part[round] / (double)c->nx, part[round] / (double)c->ny };
		double f[3][3];

		transform_near(c, p->g, step, f);
		for (int j = 0; j < 3; j++)
			for (int i = 0; i < 3; i++)
				f[j][i] = log(fmax(f[j][i], 1e-300));
		/* not limited to half a step: the Hann lobe is near a parabola for a bin */
		double bx = 2 * f[1][1] - f[1][0] - f[1][2], by = 2 * f[1][1] - f[0][1] - f[2][1];

		if (bx > 0)
			p->g[0] += step[0] * fmin(fmax((f[1][2] - f[1][0]) / (2 * bx), -2), 2);
		if (by > 0)
			p->g[1] += step[1] * fmin(fmax((f[2][1] - f[0][1]) / (2 * by), -2), 2);
	}
}

/* The reflections that stand out, placed; their number. */
static size_t extend_lattice(const struct crystal *c, const double b[2][2],
			     struct peak out[REFLECTIONS_MAX])
{
	size_t count = 0;

	for (int h = -ORDER_MAX; h <= ORDER_MAX; h++)
		for (int k = 0; k <= ORDER_MAX; k++) {
			struct peak p = { .order = { h, k } };
			double best = 0;

			for (int i = 0; i < 2; i++)
				p.g[i] = b[i][0] * h + b[i][1] * k;
			if ((k == 0 && h <= 0) || fabs(p.g[0]) > 0.45 || fabs(p.g[1]) > 0.45)
				continue;
			long kx = lround(p.g[0] * (double)c->nx),
			     ky = lround(p.g[1] * (double)c->ny);

			/* the basis is known to half a bin: the order says how far off p may be */
			int reach = 1 + (abs(h) > 1 || k > 1);
			for (long y = ky - reach; y <= ky + reach; y++)
				for (long x = kx - reach; x <= kx + reach; x++)
					if (power_at(c, y, x) > best) {
						best = power_at(c, y, x);
						p.g[0] = (double)x / (double)c->nx;
						p.g[1] = (double)y / (double)c->ny;
					}
			p.power = best / fmax(surroundings(c, ky, kx), 1e-30);
			if (p.power < reflection_power)
				continue;
			place_peak(c, &p);
			out[count++] = p;
		}
	return count;
}

/* Basis from the reflections: least squares with weights of their power. [out] rms misfit, and the
 * standard error of a component of the basis. */
static int fit_basis(double b[2][2], const struct peak *peak, size_t count, double *misfit,
		     double *se)
{
	double hh = 0, hk = 0, kk = 0, w = 0, squares = 0, right[2][2] = { { 0 } };

	for (size_t i = 0; i < count; i++) {
		double h = peak[i].order[0], k = peak[i].order[1], p = peak[i].power;

		w += p;
		hh += p * h * h;
		hk += p * h * k;
		kk += p * k * k;
		for (int axis = 0; axis < 2; axis++) {
			right[axis][0] += p * h * peak[i].g[axis];
			right[axis][1] += p * k * peak[i].g[axis];
		}
	}
	double d = hh * kk - hk * hk;

	if (!(d > 1e-9 * hh * kk))
		return 0;
	for (int axis = 0; axis < 2; axis++) {
		b[axis][0] = (right[axis][0] * kk - right[axis][1] * hk) / d;
		b[axis][1] = (right[axis][1] * hh - right[axis][0] * hk) / d;
	}
	for (size_t i = 0; i < count; i++)
		for (int axis = 0; axis < 2; axis++)
			squares += peak[i].power *
				   pow(peak[i].g[axis] - b[axis][0] * peak[i].order[0] -
					       b[axis][1] * peak[i].order[1],
				       2);
	*misfit = sqrt(squares / w);
	*se = count > 2 ? sqrt(squares / (2 * (double)count - 4) * (hh + kk) / (2 * d)) : NAN;
	return 1;
}

static int fit_scan(struct pn_scan_fit *fit, struct crystal *c, const double b0[2][2],
		    double tolerance, struct pn_error *err)
{
	double length[2] = { hypot(b0[0][0], b0[1][0]), hypot(b0[0][1], b0[1][1]) };
	double b[2][2], inverse[2][2], n[2][2], misfit = 0, se = 0;
	struct peak peak[REFLECTIONS_MAX];

	invert2(inverse, b0);
	find_peaks(c, length, tolerance);
	if (!find_pair(c, b, (const double(*)[2])inverse, tolerance))
		return pn_error_set(err, PN_ENOENT,
				    "scan: none of %zu peaks of the spectrum at %.4f and %.4f / px "
				    "(within %g) make the lattice",
				    c->peaks, length[0], length[1], tolerance);
	fit->peaks = extend_lattice(c, (const double(*)[2])b, peak);
	if (fit->peaks < 2 || !fit_basis(b, peak, fit->peaks, &misfit, &se))
		return pn_error_set(err, PN_ENOENT, "scan: only %zu reflections stand out",
				    fit->peaks);
	distortion(n, (const double(*)[2])b, (const double(*)[2])inverse);
	/* N = R^T D with D upper triangular */
	double first = hypot(n[0][0], n[1][0]);

	fit->matrix[0][0] = first;
	fit->matrix[0][1] = (n[0][0] * n[0][1] + n[1][0] * n[1][1]) / first;
	fit->matrix[1][0] = 0;
	fit->matrix[1][1] = determinant2((const double(*)[2])n) / first;
	fit->turn_deg = -atan2(n[1][0], n[0][0]) * 180 / M_PI;
	fit->residual = misfit / length[0];
	fit->se = se / length[0];
	return PN_OK;
}

static int window_crystal(struct crystal *c, const float *image, struct pn_error *err)
{
	double sum = 0, total = 0;
	struct pn_fft *plan;
	int rc = pn_fft_plan(&plan, PN_FFT_R2C, c->ny, c->nx, 0, err);

	if (rc)
		return rc;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < c->ny * c->nx; i++) {
			double wy = sin(M_PI * ((double)(i / c->nx) + 0.5) / (double)c->ny);
			double wx = sin(M_PI * ((double)(i % c->nx) + 0.5) / (double)c->nx);
			double w = wy * wy * wx * wx;

			if (pass == 0) {
				sum += w * image[i];
				total += w;
			} else {
				c->image[i] = (float)(w * (image[i] - sum / total));
			}
		}
	pn_fft_execute(plan, c->image, c->wave);
	pn_fft_destroy(plan);
	return PN_OK;
}

int pn_scan_fit(struct pn_scan_fit *fit, const float *image, size_t ny, size_t nx, double pixel_A,
		const double reciprocal_per_A[2][2], double tolerance, struct pn_error *err)
{
	struct crystal c = { .ny = ny, .nx = nx, .nh = nx / 2 + 1 };
	double b0[2][2];

	*fit = (struct pn_scan_fit){ 0 };
	if (ny < 2 * SIDE_MIN || nx < 2 * SIDE_MIN)
		return pn_error_set(err, PN_EARG, "scan: %zu x %zu pixels: sides must be %d..%d",
				    ny, nx, 2 * SIDE_MIN, SIDE_MAX);
	int rc = check_frames(image, 1, ny, nx, err);

	if (rc)
		return rc;
	/* vectors as columns, 1/px */
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			b0[i][j] = reciprocal_per_A[j][i] * pixel_A;
	double d = determinant2((const double(*)[2])b0);

	if (!(fabs(d) > 1e-6 && fabs(d) < 1) || !(tolerance >= 0.001 && tolerance <= 0.2))
		return pn_error_set(
			err, PN_EARG,
			"scan: lattice vectors (%g, %g), (%g, %g) / A at %g A per pixel, "
			"tolerance %g",
			reciprocal_per_A[0][0], reciprocal_per_A[0][1], reciprocal_per_A[1][0],
			reciprocal_per_A[1][1], pixel_A, tolerance);
	c.image = pn_fft_alloc(ny * nx * sizeof *c.image);
	c.wave = pn_fft_alloc(ny * c.nh * sizeof *c.wave);
	c.columns = malloc(ny * sizeof *c.columns);
	rc = c.image && c.wave && c.columns
		     ? window_crystal(&c, image, err)
		     : pn_error_set(err, PN_ENOMEM, "scan: no memory for %zu x %zu pixels", ny, nx);
	if (!rc)
		rc = fit_scan(fit, &c, (const double(*)[2])b0, tolerance, err);
	pn_fft_free(c.image);
	pn_fft_free(c.wave);
	free(c.columns);
	return rc;
}
