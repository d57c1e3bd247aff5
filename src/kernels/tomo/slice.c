/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/slice.h"

#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"
#include "perrin/math/kaiser.h"

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	LANES = 8,
	WIDEST = PN_KAISER_WIDEST,
	STEPS = PN_KAISER_STEPS,
	MARGIN = WIDEST, /* of grid rows to both sides */
	BATCH = 16,      /* projections whose planes are kept at a time */
	SLABS = 16,      /* of the grid, that are added to apart from each other */
	SMALLEST = 16,   /* axis of the grid: margins do not reach around it */
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

/*
 * The grid is the transform of the volume about its origin, so that it is as smooth as can be:
 * complex [mz][my][pitch], kx from -MARGIN on. Points of negative kx are taken at -k, conjugated.
 */
struct pn_slicer {
	struct pn_box box;
	size_t ny, nx, m[3], half, pitch; /* m: z y x; half = m[2]/2 + 1 */
	size_t period, bins;              /* of a plane, P, P/2 + 1 */
	int width, threads;
	struct pn_kaiser kernel;
	float *taper[3];         /* [nz], [ny], [nx]: 1 / transform of the kernel */
	float complex *phase[3]; /* [m]: moves the origin from the corner to the middle */
	float complex *spectrum, *grid;
	float *box_copy;      /* tapered */
	float complex *plane; /* [BATCH][period][bins] */
	int16_t *page_of; /* [BATCH][period][bins]: first plane of the grid that a bin adds to */
	float *page;      /* [threads][period][period] */
	struct pn_fft3 *fft3;
	struct pn_fft *r2c, *c2r;
};

/* A row of a plane in the grid: its bin x is at base + step x, as [x, y, z], if within +-limit. */
struct line {
	double base[3], step[3], limit[3];
};

/* Where a frequency falls: first grid point and weights along each axis, as [x, y, z]. */
struct stencil {
	ptrdiff_t first[3];
	lanes w[3];
	int conjugate;
};

/* ---- plan ----------------------------------------------------------------------------------- */

/* even and a product of small primes, which FFTs like */
static size_t good_size(double least)
{
	for (size_t n = ((size_t)ceil(least) + 1) / 2 * 2;; n += 2) {
		size_t rest = n;

		for (size_t prime = 2; prime <= 7; prime++)
			while (rest % prime == 0)
				rest /= prime;
		if (rest == 1)
			return n;
	}
}

static void fill_axis(struct pn_slicer *s, int axis, size_t n)
{
	const size_t m = s->m[axis];

	for (size_t i = 0; i < n; i++)
		s->taper[axis][i] =
			(float)(1 / pn_kaiser_transform(&s->kernel, (double)i - (double)(n / 2),
							(double)m));
	for (size_t k = 0; k < m; k++) {
		double turn = 2 * M_PI * (double)(k * (n / 2) % m) / (double)m;

		s->phase[axis][k] = __builtin_complex((float)cos(turn), (float)sin(turn));
	}
}

static int take_memory(struct pn_slicer *s, struct pn_error *err)
{
	const size_t n[3] = { s->box.nz, s->box.ny, s->box.nx };
	int good = 1;

	for (int a = 0; a < 3; a++) {
		s->taper[a] = pn_fft_alloc(n[a] * sizeof(float));
		s->phase[a] = pn_fft_alloc(s->m[a] * sizeof(float complex));
		good = good && s->taper[a] && s->phase[a];
	}
	s->spectrum = pn_fft_alloc(s->m[0] * s->m[1] * s->half * sizeof(float complex));
	s->grid = pn_fft_alloc(s->m[0] * s->m[1] * s->pitch * sizeof(float complex));
	s->box_copy = pn_fft_alloc(pn_box_voxels(&s->box) * sizeof(float));
	s->plane = pn_fft_alloc(BATCH * s->period * s->bins * sizeof(float complex));
	s->page_of = pn_fft_alloc(BATCH * s->period * s->bins * sizeof(int16_t));
	s->page = pn_fft_alloc((size_t)s->threads * s->period * s->period * sizeof(float));
	if (!good || !s->spectrum || !s->grid || !s->box_copy || !s->plane || !s->page_of ||
	    !s->page)
		return pn_error_set(err, PN_ENOMEM,
				    "no memory for Fourier slices in a grid of %zu x %zu x %zu",
				    s->m[0], s->m[1], s->m[2]);
	return PN_OK;
}

static int check_shapes(const struct pn_box *box, size_t ny, size_t nx, double oversampling,
			struct pn_error *err)
{
	if (box->nz < 1 || box->ny < 1 || box->nx < 1 || box->nz > 2048 || box->ny > 2048 ||
	    box->nx > 2048)
		return pn_error_set(
			err, PN_EARG,
			"Fourier slices of %zu x %zu x %zu voxels: each must be 1..2048", box->nz,
			box->ny, box->nx);
	if (ny < 1 || nx < 1 || ny > 4096 || nx > 4096)
		return pn_error_set(err, PN_EARG,
				    "Fourier slices of %zu x %zu pixels: each must be 1..4096", ny,
				    nx);
	if (!(oversampling >= 1.5 && oversampling <= 4))
		return pn_error_set(err, PN_EARG, "oversampling of %g: must be 1.5..4",
				    oversampling);
	return PN_OK;
}

static int plan_parts(struct pn_slicer *s, double oversampling, struct pn_error *err)
{
	const size_t n[3] = { s->box.nz, s->box.ny, s->box.nx };
	double diagonal = 0, ratio = 4;

	for (int a = 0; a < 3; a++) {
		s->m[a] = good_size(fmax(oversampling * (double)n[a], SMALLEST));
		if (s->m[a] > 4096)
			return pn_error_set(err, PN_EARG,
					    "a grid of %zu points along an axis: at most 4096",
					    s->m[a]);
		ratio = fmin(ratio, (double)s->m[a] / (double)n[a]);
		diagonal += (double)(n[a] * n[a]);
	}
	s->half = s->m[2] / 2 + 1;
	s->pitch = s->half + 2 * MARGIN;
	s->period = good_size(sqrt(diagonal) + 2);
	s->bins = s->period / 2 + 1;
	s->width = ratio < 1.75 ? 8 : ratio < 3 ? 6 : 5;
	int rc = take_memory(s, err);
	if (rc)
		return rc;
	pn_kaiser_make(&s->kernel, s->width, ratio);
	for (int a = 0; a < 3; a++)
		fill_axis(s, a, n[a]);
	rc = pn_fft3_plan(&s->fft3, s->m[0], s->m[1], s->m[2], err);
	if (!rc)
		rc = pn_fft_plan(&s->r2c, PN_FFT_R2C, s->period, s->period, 0, err);
	if (!rc)
		rc = pn_fft_plan(&s->c2r, PN_FFT_C2R, s->period, s->period, 0, err);
	return rc;
}

int pn_slicer_plan(struct pn_slicer **slicer, const struct pn_box *box, size_t ny, size_t nx,
		   double oversampling, struct pn_error *err)
{
	*slicer = NULL;
	if (oversampling == 0)
		oversampling = 2;
	int rc = check_shapes(box, ny, nx, oversampling, err);
	if (rc)
		return rc;
	struct pn_slicer *s = calloc(1, sizeof *s);
	if (!s)
		return pn_error_set(err, PN_ENOMEM, "no memory for Fourier slices");
	s->box = *box;
	s->ny = ny;
	s->nx = nx;
	s->threads = omp_get_max_threads();
	rc = plan_parts(s, oversampling, err);
	if (rc) {
		pn_slicer_destroy(s);
		return rc;
	}
	*slicer = s;
	return PN_OK;
}

void pn_slicer_destroy(struct pn_slicer *s)
{
	if (!s)
		return;
	for (int a = 0; a < 3; a++) {
		pn_fft_free(s->taper[a]);
		pn_fft_free(s->phase[a]);
	}
	pn_fft_free(s->spectrum);
	pn_fft_free(s->grid);
	pn_fft_free(s->box_copy);
	pn_fft_free(s->plane);
	pn_fft_free(s->page_of);
	pn_fft_free(s->page);
	pn_fft3_destroy(s->fft3);
	pn_fft_destroy(s->r2c);
	pn_fft_destroy(s->c2r);
	free(s);
}

/* ---- volume <-> grid ------------------------------------------------------------------------ */

static void taper(const struct pn_slicer *s, const float *from, float *to)
{
	const struct pn_box *box = &s->box;

#pragma omp parallel for schedule(static) num_threads(s->threads)
	for (size_t row = 0; row < box->nz * box->ny; row++) {
		const float t = s->taper[0][row / box->ny] * s->taper[1][row % box->ny];

		for (size_t x = 0; x < box->nx; x++)
			to[row * box->nx + x] = from[row * box->nx + x] * t * s->taper[2][x];
	}
}

/* The product as it is for finite numbers: C's own asks for infinities, which is slow. */
static inline float complex times(float complex a, float complex b)
{
	return __builtin_complex(crealf(a) * crealf(b) - cimagf(a) * cimagf(b),
				 crealf(a) * cimagf(b) + cimagf(a) * crealf(b));
}

static float complex *grid_row(const struct pn_slicer *s, size_t z, size_t y)
{
	return s->grid + (z * s->m[1] + y) * s->pitch + MARGIN;
}

/* The row of -k. */
static float complex *mirror_row(const struct pn_slicer *s, size_t z, size_t y)
{
	return grid_row(s, (s->m[0] - z) % s->m[0], (s->m[1] - y) % s->m[1]);
}

static void fill_margins(const struct pn_slicer *s, size_t z, size_t y)
{
	float complex *row = grid_row(s, z, y);
	const float complex *mirror = mirror_row(s, z, y);
	const ptrdiff_t half = (ptrdiff_t)s->half, m = (ptrdiff_t)s->m[2];

	for (ptrdiff_t x = 1; x <= MARGIN && x < half; x++)
		row[-x] = conjf(mirror[x]);
	for (ptrdiff_t x = half; x < half + MARGIN && m - x >= 0; x++)
		row[x] = conjf(mirror[m - x]);
}

void pn_slicer_prepare(struct pn_slicer *s, const float *volume)
{
	const struct pn_box *box = &s->box;
	const size_t rows = s->m[0] * s->m[1];

	taper(s, volume, s->box_copy);
	pn_fft3_forward(s->fft3, s->box_copy, box->nz, box->ny, box->nx, s->spectrum);
#pragma omp parallel num_threads(s->threads)
	{
#pragma omp for schedule(static)
		for (size_t i = 0; i < rows; i++) {
			const size_t z = i / s->m[1], y = i % s->m[1];
			const float complex turn = times(s->phase[0][z], s->phase[1][y]);
			const float complex *from = s->spectrum + i * s->half;
			float complex *to = grid_row(s, z, y);

			for (size_t x = 0; x < s->half; x++)
				to[x] = times(from[x], times(turn, s->phase[2][x]));
		}
#pragma omp for schedule(static)
		for (size_t i = 0; i < rows; i++)
			fill_margins(s, i / s->m[1], i % s->m[1]);
	}
}

/* The adjoint of pn_slicer_prepare up to the taper: margins are added to what they stand for. */
static void fold_row(const struct pn_slicer *s, size_t z, size_t y, float complex *to)
{
	const float complex *row = grid_row(s, z, y), *mirror = mirror_row(s, z, y);
	const float complex turn = conjf(times(s->phase[0][z], s->phase[1][y]));
	const ptrdiff_t half = (ptrdiff_t)s->half, m = (ptrdiff_t)s->m[2];

	memcpy(to, row, s->half * sizeof *to);
	for (ptrdiff_t x = 1; x <= MARGIN && x < half; x++)
		to[x] += conjf(mirror[-x]);
	for (ptrdiff_t x = half; x < half + MARGIN && m - x >= 0; x++)
		to[m - x] += conjf(mirror[x]);
	for (ptrdiff_t x = 0; x < half; x++) {
		/* the inverse transform counts these twice, as one half of the spectrum stands for
		 * all */
		const float share = x > 0 && 2 * x < m ? 0.5f : 1;

		to[x] = times(to[x], share * times(turn, conjf(s->phase[2][x])));
	}
}

/* ---- grid <-> planes ------------------------------------------------------------------------ */

static void set_line(const struct pn_slicer *s, const struct pn_pose *pose, double fy,
		     struct line *l)
{
	for (int a = 0; a < 3; a++) {
		const double scale = (double)s->m[2 - a] / (double)s->period;

		l->base[a] = pose->rotation[1][a] * fy * scale;
		l->step[a] = pose->rotation[0][a] * scale;
		l->limit[a] = 0.5 * (double)s->m[2 - a];
	}
}

/* 0 if the frequency is outside of the cube of those that the volume has. */
static inline __attribute__((always_inline)) int
place(const struct pn_slicer *s, const struct line *l, double x, struct stencil *at)
{
	const double half = 0.5 * s->width;
	double q[3];

	for (int a = 0; a < 3; a++)
		q[a] = l->base[a] + l->step[a] * x;
	if (fabs(q[0]) > l->limit[0] || fabs(q[1]) > l->limit[1] || fabs(q[2]) > l->limit[2])
		return 0;
	at->conjugate = q[0] < 0;
	for (int a = 0; a < 3; a++) {
		const double start = (at->conjugate ? -q[a] : q[a]) - half, first = ceil(start);
		const float steps = (float)(first - start) * STEPS;
		const int i = (int)steps;
		const lanes *row = (const lanes *)s->kernel.table + i;

		at->w[a] = row[0] + (steps - (float)i) * (row[1] - row[0]);
		at->first[a] = (ptrdiff_t)first;
	}
	return 1;
}

/* Weights along x for real and imaginary parts. */
static inline void double_weights(lanes w, lanes both[2])
{
	both[0] = __builtin_shufflevector(w, w, 0, 0, 1, 1, 2, 2, 3, 3);
	both[1] = __builtin_shufflevector(w, w, 4, 4, 5, 5, 6, 6, 7, 7);
}

static inline size_t around(ptrdiff_t i, size_t n)
{
	i += i < 0 ? (ptrdiff_t)n : 0;
	return (size_t)(i >= (ptrdiff_t)n ? i - (ptrdiff_t)n : i);
}

/* Where in the grid the lines and pages of a stencil start. */
static inline __attribute__((always_inline)) void offsets(const struct pn_slicer *s,
							  const struct stencil *at,
							  size_t line[WIDEST], size_t page[WIDEST],
							  int width)
{
	for (int i = 0; i < width; i++) {
		line[i] = around(at->first[1] + i, s->m[1]) * s->pitch;
		page[i] = around(at->first[2] + i, s->m[0]) * s->m[1] * s->pitch;
	}
}

static inline __attribute__((always_inline)) float complex sample(const struct pn_slicer *s,
								  const struct stencil *at,
								  const int width)
{
	const float complex *corner = s->grid + MARGIN + at->first[0];
	size_t line[WIDEST], page[WIDEST];
	lanes sum[2] = { { 0 } }, w[2];
	float re = 0, im = 0;

	offsets(s, at, line, page, width);
	for (int z = 0; z < width; z++) {
		lanes part[2] = { { 0 } };

		for (int y = 0; y < width; y++) {
			const lanes *row = (const lanes *)(corner + page[z] + line[y]);

			part[0] += at->w[1][y] * row[0];
			part[1] += at->w[1][y] * row[1];
		}
		sum[0] += at->w[2][z] * part[0];
		sum[1] += at->w[2][z] * part[1];
	}
	double_weights(at->w[0], w);
	sum[0] = sum[0] * w[0] + sum[1] * w[1];
	for (int i = 0; i < LANES; i += 2) {
		re += sum[0][i];
		im += sum[0][i + 1];
	}
	return __builtin_complex(re, at->conjugate ? -im : im);
}

/* Add a number to those planes of the grid that are in @low .. @high. */
static inline __attribute__((always_inline)) void add(const struct pn_slicer *s,
						      const struct stencil *at, float complex value,
						      size_t low, size_t high, const int width)
{
	const float re = crealf(value), im = at->conjugate ? -cimagf(value) : cimagf(value);
	const lanes pair = { re, im, re, im, re, im, re, im };
	float complex *corner = s->grid + MARGIN + at->first[0];
	const size_t area = s->m[1] * s->pitch;
	size_t line[WIDEST], page[WIDEST];
	lanes w[2];

	offsets(s, at, line, page, width);
	double_weights(at->w[0], w);
	for (int z = 0; z < width; z++) {
		if (page[z] < low * area || page[z] >= high * area)
			continue;
		const lanes part[2] = { w[0] * (at->w[2][z] * pair), w[1] * (at->w[2][z] * pair) };

		for (int y = 0; y < width; y++) {
			lanes *row = (lanes *)(corner + page[z] + line[y]);

			row[0] += at->w[1][y] * part[0];
			row[1] += at->w[1][y] * part[1];
		}
	}
}

/* Bins of a plane as frequencies: y from 0 up, then from -(P/2 - 1) on; the Nyquist one is none. */
static double bin_frequency(const struct pn_slicer *s, size_t bin)
{
	return (double)bin - (bin > s->period / 2 ? (double)s->period : 0);
}

/* The part of the shift that is less than a pixel; the rest is a matter of cropping. */
static double part_of_pixel(const struct pn_pose *pose, int axis)
{
	return pose->shift_px[axis] - rint(pose->shift_px[axis]);
}

/* exp(-2 pi i f s / P): the phase of a shift by s px, or of the step from one bin to the next */
static double complex shift_phase(const struct pn_slicer *s, double f, double shift_px)
{
	const double turn = -2 * M_PI * f * shift_px / (double)s->period;

	return __builtin_complex(cos(turn), sin(turn));
}

/* @row times the scale and the phases of the shift, conjugated for the adjoint. */
static void shift_row(const struct pn_slicer *s, const struct pn_pose *pose, double fy, int adjoint,
		      float complex *row)
{
	const double scale = 1 / ((double)s->period * (double)s->period);
	const double complex step = shift_phase(s, 1, part_of_pixel(pose, 0));
	double complex turn = scale * shift_phase(s, fy, part_of_pixel(pose, 1));

	for (size_t x = 0; x < s->bins; x++, turn *= step) {
		/* what a bin other than 0 holds stands for its mirror image as well */
		const double complex factor = adjoint ? (x ? 2 : 1) * conj(turn) : turn;

		row[x] = times(row[x],
			       __builtin_complex((float)creal(factor), (float)cimag(factor)));
	}
}

void pn_slicer_sample(const struct pn_slicer *s, const double rotation[3][3],
		      const double (*frequency)[2], size_t count, float complex *value)
{
	for (size_t i = 0; i < count; i++) {
		struct line point;
		struct stencil at;

		for (int a = 0; a < 3; a++) {
			point.limit[a] = 0.5 * (double)s->m[2 - a];
			point.base[a] = (rotation[0][a] * frequency[i][0] +
					 rotation[1][a] * frequency[i][1]) *
					(double)s->m[2 - a];
			point.step[a] = 0;
		}
		value[i] = !place(s, &point, 0, &at) ? 0
			   : s->width == 6           ? sample(s, &at, 6)
						     : sample(s, &at, s->width);
	}
}

static inline __attribute__((always_inline)) void
sample_bins(const struct pn_slicer *s, const struct line *l, float complex *row, const int width)
{
	for (size_t x = 0; x + 1 < s->bins; x++) {
		struct stencil at;

		row[x] = place(s, l, (double)x, &at) ? sample(s, &at, width) : 0;
	}
	row[s->bins - 1] = 0;
}

static void sample_row(const struct pn_slicer *s, const struct pn_pose *pose, size_t bin,
		       float complex *row)
{
	const double fy = bin_frequency(s, bin);
	struct line l;

	if (bin == s->period / 2) {
		memset(row, 0, s->bins * sizeof *row);
		return;
	}
	set_line(s, pose, fy, &l);
	if (s->width == 6)
		sample_bins(s, &l, row, 6);
	else
		sample_bins(s, &l, row, s->width);
	shift_row(s, pose, fy, 0, row);
}

/* To which planes of the grid a row adds: -1 if to none. */
static void find_pages(const struct pn_slicer *s, const struct pn_pose *pose, size_t bin,
		       int16_t *page_of)
{
	struct line l;

	set_line(s, pose, bin_frequency(s, bin), &l);
	for (size_t x = 0; x < s->bins; x++) {
		struct stencil at;

		page_of[x] = -1;
		if (bin != s->period / 2 && x + 1 < s->bins && place(s, &l, (double)x, &at))
			page_of[x] = (int16_t)around(at.first[2], s->m[0]);
	}
}

static inline __attribute__((always_inline)) void
add_bins(const struct pn_slicer *s, const struct line *l, const float complex *row,
	 const int16_t *page_of, size_t low, size_t high, const int width)
{
	const int n = (int)s->m[0], reach = (int)(high - low) + width - 1;

	for (size_t x = 0; x + 1 < s->bins; x++) {
		int after = page_of[x] + width - 1 - (int)low;
		struct stencil at;

		after += after < 0 ? n : 0;
		after -= after >= n ? n : 0;
		if (after < reach && page_of[x] >= 0 && place(s, l, (double)x, &at))
			add(s, &at, row[x], low, high, width);
	}
}

/* What plane @i of those at hand adds to a slab of the grid. */
static void add_plane(const struct pn_slicer *s, const struct pn_pose *pose, size_t i, size_t low,
		      size_t high)
{
	for (size_t bin = 0; bin < s->period; bin++) {
		const size_t at = (i * s->period + bin) * s->bins;
		struct line l;

		set_line(s, pose, bin_frequency(s, bin), &l);
		if (s->width == 6)
			add_bins(s, &l, s->plane + at, s->page_of + at, low, high, 6);
		else
			add_bins(s, &l, s->plane + at, s->page_of + at, low, high, s->width);
	}
}

/* ---- planes <-> images ---------------------------------------------------------------------- */

/* Index in a plane's period of pixel @i of an image, or -1 where the volume cannot be seen. */
static ptrdiff_t in_period(const struct pn_slicer *s, const struct pn_pose *pose, int axis,
			   size_t i)
{
	const size_t n = axis ? s->ny : s->nx;
	const double at = (double)i - (double)(n / 2) - rint(pose->shift_px[axis]);
	const double half = (double)(s->period / 2);

	if (at < -half || at >= half)
		return -1;
	return (ptrdiff_t)(at < 0 ? at + 2 * half : at);
}

static void crop(const struct pn_slicer *s, const struct pn_pose *pose, const float *page,
		 float *image)
{
	memset(image, 0, s->ny * s->nx * sizeof *image);
	for (size_t y = 0; y < s->ny; y++) {
		const ptrdiff_t py = in_period(s, pose, 1, y);

		for (size_t x = 0; py >= 0 && x < s->nx; x++) {
			const ptrdiff_t px = in_period(s, pose, 0, x);

			if (px >= 0)
				image[y * s->nx + x] = page[(size_t)py * s->period + (size_t)px];
		}
	}
}

static void uncrop(const struct pn_slicer *s, const struct pn_pose *pose, const float *image,
		   float *page)
{
	memset(page, 0, s->period * s->period * sizeof *page);
	for (size_t y = 0; y < s->ny; y++) {
		const ptrdiff_t py = in_period(s, pose, 1, y);

		for (size_t x = 0; py >= 0 && x < s->nx; x++) {
			const ptrdiff_t px = in_period(s, pose, 0, x);

			if (px >= 0)
				page[(size_t)py * s->period + (size_t)px] = image[y * s->nx + x];
		}
	}
}

void pn_slicer_project(struct pn_slicer *s, const struct pn_pose *pose, size_t count, float *image)
{
	const size_t area = s->period * s->bins;

#pragma omp parallel num_threads(s->threads)
	{
		float *page = s->page + (size_t)omp_get_thread_num() * s->period * s->period;

		for (size_t start = 0; start < count; start += BATCH) {
			const size_t batch = count - start < BATCH ? count - start : BATCH;

#pragma omp for schedule(dynamic, 8)
			for (size_t i = 0; i < batch * s->period; i++)
				sample_row(s, &pose[start + i / s->period], i % s->period,
					   s->plane + i * s->bins);
#pragma omp for schedule(dynamic, 1)
			for (size_t k = 0; k < batch; k++) {
				pn_fft_execute(s->c2r, s->plane + k * area, page);
				crop(s, &pose[start + k], page,
				     image + (start + k) * s->ny * s->nx);
			}
		}
	}
}

static void grid_from_images(const struct pn_slicer *s, const float *image,
			     const struct pn_pose *pose, size_t count)
{
	const size_t area = s->period * s->bins;

#pragma omp parallel num_threads(s->threads)
	{
		float *page = s->page + (size_t)omp_get_thread_num() * s->period * s->period;

#pragma omp for schedule(static)
		for (size_t z = 0; z < s->m[0]; z++)
			memset(s->grid + z * s->m[1] * s->pitch, 0,
			       s->m[1] * s->pitch * sizeof *s->grid);
		for (size_t start = 0; start < count; start += BATCH) {
			const size_t batch = count - start < BATCH ? count - start : BATCH;

#pragma omp for schedule(dynamic, 1)
			for (size_t k = 0; k < batch; k++) {
				uncrop(s, &pose[start + k], image + (start + k) * s->ny * s->nx,
				       page);
				pn_fft_execute(s->r2c, page, s->plane + k * area);
			}
#pragma omp for schedule(static)
			for (size_t i = 0; i < batch * s->period; i++) {
				const struct pn_pose *at = &pose[start + i / s->period];
				const size_t bin = i % s->period;

				shift_row(s, at, bin_frequency(s, bin), 1, s->plane + i * s->bins);
				find_pages(s, at, bin, s->page_of + i * s->bins);
			}
			/* whoever adds to a slab adds all planes to it, in their order */
#pragma omp for schedule(dynamic, 1)
			for (size_t slab = 0; slab < SLABS; slab++)
				for (size_t k = 0; k < batch; k++)
					add_plane(s, &pose[start + k], k, slab * s->m[0] / SLABS,
						  (slab + 1) * s->m[0] / SLABS);
		}
	}
}

void pn_slicer_backproject(struct pn_slicer *s, const float *image, const struct pn_pose *pose,
			   size_t count, float *volume)
{
	const struct pn_box *box = &s->box;

	grid_from_images(s, image, pose, count);
#pragma omp parallel for schedule(static) num_threads(s->threads)
	for (size_t i = 0; i < s->m[0] * s->m[1]; i++)
		fold_row(s, i / s->m[1], i % s->m[1], s->spectrum + i * s->half);
	pn_fft3_backward(s->fft3, s->spectrum, volume, box->nz, box->ny, box->nx);
	taper(s, volume, volume);
}
