/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/fft3.h"

#include "perrin/math/fft.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/*
 * One axis after another, x, y, z, and the other way round. Lines along y and z are far apart in
 * memory (often by a power of 2, which falls into few cache sets), so TILE neighbors are copied
 * together, transformed in cache and copied back. The copies are also where zeros are put in and
 * unwanted parts left out. Every tile runs the same plan whoever runs it: so the bytes do not
 * depend on the number of threads.
 */
enum {
	TILE = 8,         /* columns at a time: a cache line */
	ROWS = 8,         /* rows at a time */
	SHARED_MIN = 4096 /* complex numbers: below this other threads are not worth waking */
};

struct axis {
	struct pn_fft *forward, *backward; /* NULL for a length of 1 */
};

struct pn_fft3 {
	size_t nz, ny, nx, half; /* half = nx/2 + 1 */
	struct axis x, y, z;
	int threads;
	size_t scratch_bytes; /* per thread and array, a multiple of 64 */
	char *scratch;        /* [threads][2][scratch_bytes] */
};

static int plan_axis(struct axis *axis, size_t length, int real, struct pn_error *err)
{
	int rc = PN_OK;

	if (real) {
		rc = pn_fft_plan_lines(&axis->forward, PN_FFT_R2C, length, ROWS, 0, err);
		if (!rc)
			rc = pn_fft_plan_lines(&axis->backward, PN_FFT_C2R, length, ROWS, 0, err);
	} else if (length > 1) {
		rc = pn_fft_plan_lines(&axis->forward, PN_FFT_FORWARD, length, TILE, 0, err);
		if (!rc)
			rc = pn_fft_plan_lines(&axis->backward, PN_FFT_BACKWARD, length, TILE, 0,
					       err);
	}
	return rc;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

int pn_fft3_plan(struct pn_fft3 **plan, size_t nz, size_t ny, size_t nx, struct pn_error *err)
{
	*plan = NULL;
	if (nz < 1 || ny < 1 || nx < 1 || nz > 4096 || ny > 4096 || nx > 4096)
		return pn_error_set(err, PN_EARG,
				    "FFT of %zu x %zu x %zu voxels: each must be 1..4096", nz, ny,
				    nx);

	struct pn_fft3 *p = calloc(1, sizeof *p);
	if (!p)
		return pn_error_set(err, PN_ENOMEM, "no memory to plan an FFT in 3D");
	p->nz = nz;
	p->ny = ny;
	p->nx = nx;
	p->half = nx / 2 + 1;
	p->threads = omp_get_max_threads();
	p->scratch_bytes = larger(TILE * larger(nz, ny), ROWS * p->half) * sizeof(float complex);
	p->scratch_bytes = (p->scratch_bytes + 63) / 64 * 64;
	p->scratch = pn_fft_alloc((size_t)p->threads * 2 * p->scratch_bytes);
	int rc = p->scratch ? PN_OK
			    : pn_error_set(err, PN_ENOMEM,
					   "no memory for an FFT of %zu x %zu x %zu", nz, ny, nx);
	if (!rc)
		rc = plan_axis(&p->x, nx, 1, err);
	if (!rc)
		rc = plan_axis(&p->y, ny, 0, err);
	if (!rc)
		rc = plan_axis(&p->z, nz, 0, err);
	if (rc) {
		pn_fft3_destroy(p);
		return rc;
	}
	*plan = p;
	return PN_OK;
}

void pn_fft3_destroy(struct pn_fft3 *plan)
{
	if (!plan)
		return;
	pn_fft_destroy(plan->x.forward);
	pn_fft_destroy(plan->x.backward);
	pn_fft_destroy(plan->y.forward);
	pn_fft_destroy(plan->y.backward);
	pn_fft_destroy(plan->z.forward);
	pn_fft_destroy(plan->z.backward);
	pn_fft_free(plan->scratch);
	free(plan);
}

size_t pn_fft3_spectrum(const struct pn_fft3 *plan)
{
	return plan->nz * plan->ny * plan->half;
}

/*
 * Transform up to TILE neighboring columns [n][count], rows @stride apart: only the first @in rows
 * are read, the others taken as 0, and only the first @out written.
 */
static void columns(const struct pn_fft *fft, float complex *column, size_t count, size_t stride,
		    size_t n, size_t in, size_t out, float complex *from, float complex *to)
{
	const size_t bytes = count * sizeof *column;

	for (size_t i = 0; i < in; i++) {
		if (count == TILE) {
			memcpy(from + i * TILE, column + i * stride, TILE * sizeof *column);
		} else {
			memcpy(from + i * TILE, column + i * stride, bytes);
			memset(from + i * TILE + count, 0, TILE * sizeof *column - bytes);
		}
	}
	memset(from + in * TILE, 0, (n - in) * TILE * sizeof *column);
	pn_fft_execute(fft, from, to);
	for (size_t i = 0; i < out; i++) {
		if (count == TILE)
			memcpy(column + i * stride, to + i * TILE, TILE * sizeof *column);
		else
			memcpy(column + i * stride, to + i * TILE, bytes);
	}
}

static size_t tile_at(size_t start, size_t width)
{
	return width - start < TILE ? width - start : TILE;
}

/* One plane of the box along x and y. */
static void plane_forward(const struct pn_fft3 *p, const float *box, size_t by, size_t bx,
			  float complex *plane, void *from, void *to)
{
	const size_t half = p->half;
	float *row = from;
	float complex *line = to;

	for (size_t y = 0; y < by; y += ROWS) {
		const size_t count = by - y < ROWS ? by - y : ROWS;

		memset(row, 0, ROWS * p->nx * sizeof *row);
		for (size_t i = 0; i < count; i++)
			memcpy(row + i * p->nx, box + (y + i) * bx, bx * sizeof *row);
		pn_fft_execute(p->x.forward, row, line);
		memcpy(plane + y * half, line, count * half * sizeof *line);
	}
	for (size_t x = 0; p->y.forward && x < half; x += TILE)
		columns(p->y.forward, plane + x, tile_at(x, half), half, p->ny, by, p->ny, from,
			to);
}

static void plane_backward(const struct pn_fft3 *p, float complex *plane, float *box, size_t by,
			   size_t bx, void *from, void *to)
{
	const size_t half = p->half;
	float complex *line = from;
	float *row = to;

	for (size_t x = 0; p->y.backward && x < half; x += TILE)
		columns(p->y.backward, plane + x, tile_at(x, half), half, p->ny, p->ny, by, from,
			to);
	for (size_t y = 0; y < by; y += ROWS) {
		const size_t count = by - y < ROWS ? by - y : ROWS;

		memset(line + count * half, 0, (ROWS - count) * half * sizeof *line);
		memcpy(line, plane + y * half, count * half * sizeof *line);
		pn_fft_execute(p->x.backward, line, row);
		for (size_t i = 0; i < count; i++)
			memcpy(box + (y + i) * bx, row + i * p->nx, bx * sizeof *row);
	}
}

void pn_fft3_forward(struct pn_fft3 *plan, const float *box, size_t bz, size_t by, size_t bx,
		     float complex *spectrum)
{
	const size_t page = plan->ny * plan->half;

	pn_assert(bz >= 1 && by >= 1 && bx >= 1);
	pn_assert(bz <= plan->nz && by <= plan->ny && bx <= plan->nx);
#pragma omp parallel num_threads(plan->threads) if (plan->nz * page > SHARED_MIN)
	{
		void *from = plan->scratch + (size_t)omp_get_thread_num() * 2 * plan->scratch_bytes;
		void *to = (char *)from + plan->scratch_bytes;

#pragma omp for schedule(static)
		for (size_t z = 0; z < bz; z++)
			plane_forward(plan, box + z * by * bx, by, bx, spectrum + z * page, from,
				      to);
		if (plan->z.forward) {
#pragma omp for schedule(static)
			for (size_t i = 0; i < page; i += TILE)
				columns(plan->z.forward, spectrum + i, tile_at(i, page), page,
					plan->nz, bz, plan->nz, from, to);
		}
	}
}

void pn_fft3_backward(struct pn_fft3 *plan, float complex *spectrum, float *box, size_t bz,
		      size_t by, size_t bx)
{
	const size_t page = plan->ny * plan->half;

	pn_assert(bz >= 1 && by >= 1 && bx >= 1);
	pn_assert(bz <= plan->nz && by <= plan->ny && bx <= plan->nx);
#pragma omp parallel num_threads(plan->threads) if (plan->nz * page > SHARED_MIN)
	{
		void *from = plan->scratch + (size_t)omp_get_thread_num() * 2 * plan->scratch_bytes;
		void *to = (char *)from + plan->scratch_bytes;

		if (plan->z.backward) {
#pragma omp for schedule(static)
			for (size_t i = 0; i < page; i += TILE)
				columns(plan->z.backward, spectrum + i, tile_at(i, page), page,
					plan->nz, plan->nz, bz, from, to);
		}
#pragma omp for schedule(static)
		for (size_t z = 0; z < bz; z++)
			plane_backward(plan, spectrum + z * page, box + z * by * bx, by, bx, from,
				       to);
	}
}
