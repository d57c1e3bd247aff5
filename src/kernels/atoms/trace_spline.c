/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "trace_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float pole = -0.26794919243112270647f; /* sqrt(3) - 2 */
enum { HORIZON = 18, CUBE_EDGE_MAX = 15 };

/* ---- coefficients: a causal and an anticausal recursion along each axis -----------------------
 */

/* Index of a signal mirrored about its first and last sample. */
static size_t mirrored(long i, size_t n)
{
	long period = 2 * (long)n - 2;

	if (period == 0)
		return 0;
	i = labs(i) % period;
	return (size_t)(i < (long)n ? i : period - i);
}

/* @width signals side by side, sample i of them at line + i * stride. */
static void filter_lines(float *line, size_t n, size_t stride, size_t width, float *first)
{
	if (n < 2)
		return;
	memset(first, 0, width * sizeof *first);
	for (int k = HORIZON; k >= 0; k--) {
		const float *row = line + mirrored(k, n) * stride;

		for (size_t j = 0; j < width; j++)
			first[j] = row[j] + pole * first[j];
	}
	for (size_t j = 0; j < width; j++)
		line[j] = 6 * first[j];
	for (size_t i = 1; i < n; i++) {
		float *row = line + i * stride;
		const float *before = row - stride;

		for (size_t j = 0; j < width; j++)
			row[j] = 6 * row[j] + pole * before[j];
	}
	float *last = line + (n - 1) * stride, scale = pole / (pole * pole - 1);

	for (size_t j = 0; j < width; j++)
		last[j] = scale * (last[j] + pole * (last - stride)[j]);
	for (size_t i = n - 1; i-- > 0;) {
		float *row = line + i * stride;
		const float *after = row + stride;

		for (size_t j = 0; j < width; j++)
			row[j] = pole * (after[j] - row[j]);
	}
}

int trace_spline_build(struct trace_spline *spline, const float *volume, const size_t n[3],
		       int threads, struct pn_error *err)
{
	size_t nx = n[0], ny = n[1], nz = n[2], plane = nx * ny;
	float *c = malloc(plane * nz * sizeof *c);
	long lines = (long)ny, planes = (long)nz;

	memcpy(spline->n, n, sizeof spline->n);
	spline->coefficient = c;
	if (!c)
		return pn_error_set(err, PN_ENOMEM, "no memory for the spline of %zu voxels",
				    plane * nz);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (long z = 0; z < planes; z++) {
		float start[PN_TRACE_EDGE_MAX];
		float *slice = c + (size_t)z * plane;

		memcpy(slice, volume + (size_t)z * plane, plane * sizeof *c);
		for (size_t y = 0; y < ny; y++)
			filter_lines(slice + y * nx, nx, 1, 1, start);
		filter_lines(slice, ny, nx, nx, start);
	}
#pragma omp parallel for num_threads(threads) schedule(static)
	for (long y = 0; y < lines; y++) {
		float start[PN_TRACE_EDGE_MAX];

		filter_lines(c + (size_t)y * nx, nz, plane, nx, start);
	}
	return PN_OK;
}

void trace_spline_free(struct trace_spline *spline)
{
	free(spline->coefficient);
	spline->coefficient = NULL;
}

/* ---- smoothing --------------------------------------------------------------------------------
 */

enum { REACH_MAX = 64 };

/* @width signals side by side, as in filter_lines, but from @in to @out. */
static void smooth_lines(float *out, const float *in, size_t n, size_t stride, size_t width,
			 const float *tap, int reach)
{
	for (size_t i = 0; i < n; i++) {
		float *to = out + i * stride;
		size_t from = i > (size_t)reach ? i - (size_t)reach : 0;
		size_t end = i + (size_t)reach < n ? i + (size_t)reach + 1 : n;

		memset(to, 0, width * sizeof *to);
		for (size_t k = from; k < end; k++) {
			const float *a = in + k * stride;
			float w = tap[k > i ? k - i : i - k];

			for (size_t j = 0; j < width; j++)
				to[j] += w * a[j];
		}
	}
}

/* Shifted copies added up: the inner loops are along the row. */
static void smooth_row(float *restrict row, float *restrict copy, size_t n, const float *tap,
		       int reach)
{
	memcpy(copy, row, n * sizeof *row);
	for (size_t i = 0; i < n; i++)
		row[i] = tap[0] * copy[i];
	for (size_t k = 1; k <= (size_t)reach && k < n; k++) {
		for (size_t i = 0; i < n - k; i++)
			row[i] += tap[k] * copy[i + k];
		for (size_t i = 0; i < n - k; i++)
			row[i + k] += tap[k] * copy[i];
	}
}

static int gaussian_taps(float tap[REACH_MAX + 1], double sigma_px)
{
	int reach = (int)fmin(ceil(4 * sigma_px), REACH_MAX);
	double sum = 0, value[REACH_MAX + 1];

	for (int k = 0; k <= reach; k++) {
		value[k] = exp(-k * k / (2 * sigma_px * sigma_px));
		sum += k ? 2 * value[k] : value[k];
	}
	for (int k = 0; k <= reach; k++)
		tap[k] = (float)(value[k] / sum);
	return reach;
}

int trace_smooth(float *out, const float *volume, const size_t n[3], double sigma_px, int threads,
		 struct pn_error *err)
{
	size_t nx = n[0], ny = n[1], nz = n[2], plane = nx * ny;
	float tap[REACH_MAX + 1], *between = malloc(plane * nz * sizeof *between);
	int reach = gaussian_taps(tap, sigma_px);
	long lines = (long)ny, planes = (long)nz;

	if (!between)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu voxels", plane * nz);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (long y = 0; y < lines; y++)
		smooth_lines(between + (size_t)y * nx, volume + (size_t)y * nx, nz, plane, nx, tap,
			     reach);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (long z = 0; z < planes; z++) {
		float copy[PN_TRACE_EDGE_MAX], *slice = out + (size_t)z * plane;

		smooth_lines(slice, between + (size_t)z * plane, ny, nx, nx, tap, reach);
		for (size_t y = 0; y < ny; y++)
			smooth_row(slice + y * nx, copy, nx, tap, reach);
	}
	free(between);
	return PN_OK;
}

/* ---- values -----------------------------------------------------------------------------------
 */

/* Cubic B-spline at distances 1 + t, t, 1 - t, 2 - t. */
static void basis(float w[4], double t)
{
	double s = 1 - t;

	w[0] = (float)(s * s * s / 6);
	w[1] = (float)(2.0 / 3 - t * t * (2 - t) / 2);
	w[2] = (float)(2.0 / 3 - s * s * (2 - s) / 2);
	w[3] = (float)(t * t * t / 6);
}

enum { FINE_SUPPORT = 6 };

/* Which 6 coefficients along an axis, and their part in each of the 7 samples. */
static void fine_axis(size_t index[FINE_SUPPORT], float part[TRACE_ROW][FINE_SUPPORT], double at,
		      size_t n)
{
	long from = (long)floor(at - 1) - 1;

	memset(part, 0, TRACE_ROW * sizeof part[0]);
	for (int i = 0; i < FINE_SUPPORT; i++)
		index[i] = mirrored(from + i, n);
	for (int k = 0; k < TRACE_EDGE; k++) {
		double x = at + (double)(k - TRACE_HALF) / TRACE_UPSAMPLE;
		long low = (long)floor(x);
		long at_part = low - 1 - from;

		/* rounding may put the last sample one voxel further than the first plus two */
		if (at_part > FINE_SUPPORT - 4) {
			at_part = FINE_SUPPORT - 4;
			low = from + 1 + at_part;
		}
		basis(part[k] + at_part, x - (double)low);
	}
}

/* A row of samples, for the compiler to keep in a register. */
typedef float row8 __attribute__((vector_size(TRACE_ROW * sizeof(float))));

/* The 6^3 coefficients, rows filled up with 0. */
static void gather_block(row8 block[FINE_SUPPORT][FINE_SUPPORT], const struct trace_spline *spline,
			 const size_t ix[FINE_SUPPORT], const size_t iy[FINE_SUPPORT],
			 const size_t iz[FINE_SUPPORT])
{
	size_t nx = spline->n[0], ny = spline->n[1];

	for (int z = 0; z < FINE_SUPPORT; z++)
		for (int y = 0; y < FINE_SUPPORT; y++) {
			const float *r = spline->coefficient + (iz[z] * ny + iy[y]) * nx;

			block[z][y] = (row8){ r[ix[0]], r[ix[1]], r[ix[2]],
					      r[ix[3]], r[ix[4]], r[ix[5]] };
		}
}

/* One axis after the other, 8 numbers at a time. */
void trace_spline_fine(float out[static TRACE_SAMPLES], const struct trace_spline *spline,
		       const double at[3])
{
	size_t ix[FINE_SUPPORT], iy[FINE_SUPPORT], iz[FINE_SUPPORT];
	float px[TRACE_ROW][FINE_SUPPORT], py[TRACE_ROW][FINE_SUPPORT], pz[TRACE_ROW][FINE_SUPPORT];
	row8 block[FINE_SUPPORT][FINE_SUPPORT], along_x[FINE_SUPPORT];

	fine_axis(ix, px, at[0], spline->n[0]);
	fine_axis(iy, py, at[1], spline->n[1]);
	fine_axis(iz, pz, at[2], spline->n[2]);
	gather_block(block, spline, ix, iy, iz);
	for (int x = 0; x < FINE_SUPPORT; x++)
		for (int k = 0; k < TRACE_ROW; k++)
			along_x[x][k] = px[k][x];
	for (int k = 0; k < TRACE_EDGE; k++) {
		row8 along_z[FINE_SUPPORT];

		for (int y = 0; y < FINE_SUPPORT; y++) {
			along_z[y] = pz[k][0] * block[0][y];
			for (int z = 1; z < FINE_SUPPORT; z++)
				along_z[y] += pz[k][z] * block[z][y];
		}
		for (int j = 0; j < TRACE_EDGE; j++) {
			row8 row = py[j][0] * along_z[0], sample;

			for (int y = 1; y < FINE_SUPPORT; y++)
				row += py[j][y] * along_z[y];
			sample = row[0] * along_x[0];
			for (int x = 1; x < FINE_SUPPORT; x++)
				sample += row[x] * along_x[x];
			memcpy(out + (k * TRACE_EDGE + j) * TRACE_ROW, &sample, sizeof sample);
		}
	}
}

void trace_spline_cube(float *out, const struct trace_spline *spline, const double at[3], int edge,
		       double step_px)
{
	size_t index[3][CUBE_EDGE_MAX][4], nx = spline->n[0], ny = spline->n[1];
	float part[3][CUBE_EDGE_MAX][4];

	for (int axis = 0; axis < 3; axis++)
		for (int k = 0; k < edge; k++) {
			double x = at[axis] + (k - edge / 2) * step_px;
			long low = (long)floor(x);

			basis(part[axis][k], x - (double)low);
			for (int i = 0; i < 4; i++)
				index[axis][k][i] = mirrored(low - 1 + i, spline->n[axis]);
		}
	for (int k = 0; k < edge; k++)
		for (int j = 0; j < edge; j++)
			for (int i = 0; i < edge; i++) {
				double sum = 0;

				for (int z = 0; z < 4; z++)
					for (int y = 0; y < 4; y++) {
						const float *row =
							spline->coefficient +
							(index[2][k][z] * ny + index[1][j][y]) * nx;
						const size_t *ix = index[0][i];
						const float *px = part[0][i];

						sum += (double)(part[2][k][z] * part[1][j][y]) *
						       (px[0] * row[ix[0]] + px[1] * row[ix[1]] +
							px[2] * row[ix[2]] + px[3] * row[ix[3]]);
					}
				*out++ = (float)sum;
			}
}
