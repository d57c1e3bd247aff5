/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any poses: voxel after voxel, its footprint of rows x columns of pixels at once. Forward, each
 * image is added up in SLABS parts of the volume apart, and the parts in their order: so there is
 * work for all threads also with few projections, and the bytes do not depend on their number.
 */
#include "perrin/math/fft.h"
#include "projector_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLABS = 4,
	REACH = SINC_HALF + 1,               /* px between a voxel and its first pixel, at most */
	GUARD = REACH + 5 * PROJECTOR_LANES, /* of an image, to all sides */
	LINEAR_ROWS = 3,                     /* of pixels: the reach is at most 1 + sqrt(2)/4 */
	LINEAR_COLUMNS = 4,                  /* 3, and one for the vector */
	SINC_VECS = (SINC_TAPS + PROJECTOR_LANES - 1) / PROJECTOR_LANES,
	SINC_ROW = SINC_VECS * PROJECTOR_LANES,
};

typedef float quad __attribute__((vector_size(16), aligned(4)));
typedef int32_t mask __attribute__((vector_size(32)));

struct any_work {
	size_t pitch, area; /* of an image with its guards, floats */
	size_t batch;       /* projections at a time */
	float *image;       /* [batch][SLABS][area] forward, [batch][area] backward */
	float *sinc; /* [SINC_STEPS + 2][SINC_ROW]: the weights of a voxel at i/SINC_STEPS px */
};

static int sinc_rows(const struct pn_projector *p, struct any_work *work)
{
	work->sinc = pn_fft_alloc((SINC_STEPS + 2) * SINC_ROW * sizeof *work->sinc);
	if (!work->sinc)
		return 0;
	for (int i = 0; i <= SINC_STEPS; i++)
		for (int t = 0; t < SINC_TAPS; t++)
			work->sinc[i * SINC_ROW + t] =
				p->sinc[abs((t - SINC_HALF + 1) * SINC_STEPS - i)];
	return 1;
}

int any_plan(struct pn_projector *p, struct pn_error *err)
{
	struct any_work *work = p->any = calloc(1, sizeof *work);

	if (work) {
		work->pitch = p->nx + 2 * GUARD;
		work->area = work->pitch * (p->ny + 2 * GUARD);
		work->batch = p->threads < (int)p->count ? (size_t)p->threads : p->count;
		work->image = pn_fft_alloc(work->batch * SLABS * work->area * sizeof(float));
	}
	if (!work || !work->image || (p->sinc && !sinc_rows(p, work)))
		return pn_error_set(err, PN_ENOMEM, "no memory to project to %zu x %zu pixels",
				    p->ny, p->nx);
	return PN_OK;
}

void any_destroy(struct any_work *work)
{
	if (!work)
		return;
	pn_fft_free(work->image);
	pn_fft_free(work->sinc);
	free(work);
}

/* The X of a row of voxels that are seen, or nearly, on the detector: within REACH of its edges. */
static void visible(const struct pn_projector *p, const struct view *v, size_t y, size_t z,
		    size_t *from, size_t *to)
{
	const size_t size[2] = { p->nx, p->ny };
	double low = 0, high = (double)p->box.nx;

	for (int a = 0; a < 2; a++) {
		const double at = view_at(v, a, 0, (double)y, (double)z), step = v->step[a][0];
		const double first = -REACH - at, last = (double)(size[a] - 1) + REACH - at;

		if (fabs(step) < 1e-9) {
			if (first > 0 || last < 0)
				high = 0;
		} else {
			low = fmax(low, fmin(first / step, last / step));
			high = fmin(high, fmax(first / step, last / step) + 1);
		}
	}
	*from = low < (double)p->box.nx ? (size_t)low : p->box.nx;
	*to = high > 0 ? (size_t)high : 0;
}

/* ---- the two footprints --------------------------------------------------------------------- */

static inline lanes triangles(lanes d)
{
	const lanes zero = { 0 };
	lanes t = 1 - (lanes)((mask)d & 0x7fffffff);

	return (lanes)((mask)t & (t > zero));
}

/* Weights of LINEAR_ROWS rows of LINEAR_COLUMNS pixels; returns the first of them. */
static inline __attribute__((always_inline)) size_t linear_footprint(const struct pn_projector *p,
								     const struct view *v, double x,
								     double y,
								     quad row[LINEAR_ROWS])
{
	/* two points of the four in one vector: +offset[i] in the low half, -offset[i] in the high
	 */
	const lanes column = { 0, 1, 2, 3, 0, 1, 2, 3 }, sign = { 1, 1, 1, 1, -1, -1, -1, -1 };
	const double x0 = floor(x) - 1, y0 = floor(y) - 1;
	const float fx = (float)(x - x0), fy = (float)(y - y0);
	/* the voxel stands between pixels 1 and 2; of rows 0..3 the farthest is out of its reach */
	const int skip_y = fy > 1.5f;
	lanes sum[LINEAR_ROWS] = { { 0 } };

	for (int i = 0; i < 2; i++) {
		lanes wx = triangles(column - fx - sign * v->offset[0][i]);
		lanes dy = (float)skip_y - fy - sign * v->offset[1][i];

		for (int r = 0; r < LINEAR_ROWS; r++)
			sum[r] += wx * triangles(dy + (float)r);
	}
	for (int r = 0; r < LINEAR_ROWS; r++) {
		quad low, high;

		memcpy(&low, &sum[r], sizeof low);
		memcpy(&high, (const char *)&sum[r] + sizeof low, sizeof high);
		row[r] = 0.25f * (low + high);
	}
	return (size_t)((ptrdiff_t)y0 + skip_y + GUARD) * p->any->pitch +
	       (size_t)((ptrdiff_t)x0 + GUARD);
}

static inline __attribute__((always_inline)) void sinc_weights(const float *table, double at,
							       lanes w[SINC_VECS])
{
	const float steps = (float)(at - floor(at)) * SINC_STEPS;
	const int i = (int)steps;
	const lanes *a = (const lanes *)(table + (size_t)i * SINC_ROW), *b = a + SINC_VECS;

	for (int j = 0; j < SINC_VECS; j++)
		w[j] = a[j] + (steps - (float)i) * (b[j] - a[j]);
}

static size_t sinc_corner(const struct pn_projector *p, double x, double y)
{
	return (size_t)((ptrdiff_t)floor(y) - SINC_HALF + 1 + GUARD) * p->any->pitch +
	       (size_t)((ptrdiff_t)floor(x) - SINC_HALF + 1 + GUARD);
}

static inline __attribute__((always_inline)) void splat_linear(const struct pn_projector *p,
							       const struct view *v, double x,
							       double y, float u, float *image)
{
	quad row[LINEAR_ROWS];
	float *at = image + linear_footprint(p, v, x, y, row);

	for (int r = 0; r < LINEAR_ROWS; r++, at += p->any->pitch)
		*(quad *)at += u * row[r];
}

static inline __attribute__((always_inline)) float sample_linear(const struct pn_projector *p,
								 const struct view *v, double x,
								 double y, const float *image)
{
	quad row[LINEAR_ROWS], sum = { 0 };
	const float *at = image + linear_footprint(p, v, x, y, row);

	for (int r = 0; r < LINEAR_ROWS; r++, at += p->any->pitch)
		sum += *(const quad *)at * row[r];
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void splat_sinc(const struct pn_projector *p, double x, double y, float u, float *image)
{
	lanes wx[SINC_VECS], wy[SINC_VECS];
	float down[SINC_ROW], *at = image + sinc_corner(p, x, y);

	sinc_weights(p->any->sinc, x, wx);
	sinc_weights(p->any->sinc, y, wy);
	memcpy(down, wy, sizeof down);
	for (int r = 0; r < SINC_TAPS; r++, at += p->any->pitch)
		for (int j = 0; j < SINC_VECS; j++)
			((lanes *)at)[j] += (u * down[r]) * wx[j];
}

static float sample_sinc(const struct pn_projector *p, double x, double y, const float *image)
{
	lanes wx[SINC_VECS], wy[SINC_VECS], sum[SINC_VECS] = { { 0 } };
	const float *at = image + sinc_corner(p, x, y);
	float down[SINC_ROW], total = 0;

	sinc_weights(p->any->sinc, x, wx);
	sinc_weights(p->any->sinc, y, wy);
	memcpy(down, wy, sizeof down);
	for (int r = 0; r < SINC_TAPS; r++, at += p->any->pitch)
		for (int j = 0; j < SINC_VECS; j++)
			sum[j] += down[r] * ((const lanes *)at)[j];
	for (int j = 0; j < SINC_VECS; j++)
		for (int i = 0; i < PROJECTOR_LANES; i++)
			total += wx[j][i] * sum[j][i];
	return total;
}

/* ---- forward -------------------------------------------------------------------------------- */

static void splat_slab(const struct pn_projector *p, size_t k, size_t slab, const float *volume,
		       float *image)
{
	const struct pn_box *box = &p->box;
	const struct view v = p->view[k];

	memset(image, 0, p->any->area * sizeof *image);
	for (size_t z = slab * box->nz / SLABS; z < (slab + 1) * box->nz / SLABS; z++)
		for (size_t y = 0; y < box->ny; y++) {
			const float *u = volume + (z * box->ny + y) * box->nx;
			size_t from, to;

			visible(p, &v, y, z, &from, &to);
			for (size_t x = from; x < to; x++) {
				/* supports and backgrounds are empty space */
				if (u[x] == 0)
					continue;
				const double px = view_at(&v, 0, (double)x, (double)y, (double)z);
				const double py = view_at(&v, 1, (double)x, (double)y, (double)z);

				if (p->sinc)
					splat_sinc(p, px, py, u[x], image);
				else
					splat_linear(p, &v, px, py, u[x], image);
			}
		}
}

void any_project(struct pn_projector *p, const float *volume, float *image)
{
	const struct any_work *work = p->any;

#pragma omp parallel num_threads(p->threads)
	for (size_t start = 0; start < p->count; start += work->batch) {
		const size_t left = p->count - start,
			     batch = left < work->batch ? left : work->batch;

#pragma omp for schedule(dynamic, 1)
		for (size_t i = 0; i < batch * SLABS; i++)
			splat_slab(p, start + i / SLABS, i % SLABS, volume,
				   work->image + i * work->area);
#pragma omp for schedule(static)
		for (size_t i = 0; i < batch * p->ny; i++) {
			const size_t k = i / p->ny, y = i % p->ny;
			const float *part = work->image + k * SLABS * work->area +
					    (y + GUARD) * work->pitch + GUARD;
			float *to = image + ((start + k) * p->ny + y) * p->nx;

			for (size_t x = 0; x < p->nx; x++)
				to[x] = (part[x] + part[work->area + x]) +
					(part[2 * work->area + x] + part[3 * work->area + x]);
		}
	}
}

/* ---- backward ------------------------------------------------------------------------------- */

static void pad_row(const struct pn_projector *p, size_t i, size_t row, const float *image)
{
	const struct any_work *work = p->any;
	float *to = work->image + i * work->area + row * work->pitch;

	memset(to, 0, work->pitch * sizeof *to);
	if (row >= GUARD && row < GUARD + p->ny)
		memcpy(to + GUARD, image + (row - GUARD) * p->nx, p->nx * sizeof *to);
}

static void sample_row(const struct pn_projector *p, size_t k, size_t y, size_t z,
		       const float *image, float *volume)
{
	const struct view v = p->view[k];
	size_t from, to;

	visible(p, &v, y, z, &from, &to);
	for (size_t x = from; x < to; x++) {
		const double px = view_at(&v, 0, (double)x, (double)y, (double)z);
		const double py = view_at(&v, 1, (double)x, (double)y, (double)z);

		if (p->sinc)
			volume[x] += sample_sinc(p, px, py, image);
		else
			volume[x] += sample_linear(p, &v, px, py, image);
	}
}

void any_backproject(struct pn_projector *p, const float *image, float *volume)
{
	const struct any_work *work = p->any;
	const size_t ny = p->box.ny, nx = p->box.nx, rows = p->box.nz * ny;
	const size_t high = p->ny + 2 * GUARD;

#pragma omp parallel num_threads(p->threads)
	{
#pragma omp for schedule(static)
		for (size_t i = 0; i < rows; i++)
			memset(volume + i * nx, 0, nx * sizeof *volume);
		/* as many images as the scratch holds: the volume is read and written less often */
		for (size_t start = 0; start < p->count; start += work->batch * SLABS) {
			const size_t left = p->count - start;
			const size_t batch =
				left < work->batch * SLABS ? left : work->batch * SLABS;

#pragma omp for schedule(static)
			for (size_t i = 0; i < batch * high; i++)
				pad_row(p, i / high, i % high,
					image + (start + i / high) * p->ny * p->nx);
#pragma omp for schedule(static)
			for (size_t i = 0; i < rows; i++)
				for (size_t k = 0; k < batch; k++)
					sample_row(p, start + k, i % ny, i / ny,
						   work->image + k * work->area, volume + i * nx);
		}
	}
}
