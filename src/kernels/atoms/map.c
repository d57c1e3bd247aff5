/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t voxels(const struct pn_map *map)
{
	return map->nx * map->ny * map->nz;
}

/* Plane by plane, so that a long sum keeps its digits. */
static double mean_of(const struct pn_map *map)
{
	size_t plane = map->nx * map->ny;
	double sum = 0;

	for (size_t z = 0; z < map->nz; z++) {
		double part = 0;

		for (size_t i = 0; i < plane; i++)
			part += map->value[z * plane + i];
		sum += part;
	}
	return sum / (double)voxels(map);
}

/* sum (a - ma)(b - mb) */
static double product(const struct pn_map *a, double ma, const struct pn_map *b, double mb)
{
	size_t plane = a->nx * a->ny;
	double sum = 0;

	for (size_t z = 0; z < a->nz; z++) {
		double part = 0;

		for (size_t i = z * plane; i < (z + 1) * plane; i++)
			part += (a->value[i] - ma) * (b->value[i] - mb);
		sum += part;
	}
	return sum;
}

double pn_map_correlation(const struct pn_map *a, const struct pn_map *b)
{
	double ma = mean_of(a), mb = mean_of(b);
	double aa = product(a, ma, a, ma), bb = product(b, mb, b, mb);

	return aa > 0 && bb > 0 ? product(a, ma, b, mb) / sqrt(aa * bb) : NAN;
}

static int check(const struct pn_map *a, const struct pn_map *b, struct pn_error *err)
{
	if (a->nx != b->nx || a->ny != b->ny || a->nz != b->nz)
		return pn_error_set(err, PN_EARG,
				    "maps of %zux%zux%zu and %zux%zux%zu voxels (x y z)", a->nx,
				    a->ny, a->nz, b->nx, b->ny, b->nz);
	if (fabs(a->voxel_A - b->voxel_A) > 1e-4 * a->voxel_A)
		return pn_error_set(err, PN_EARG, "maps with voxels of %g and %g A", a->voxel_A,
				    b->voxel_A);
	if (!voxels(a))
		return pn_error_set(err, PN_EARG, "maps without voxels");
	for (int which = 0; which < 2; which++) {
		const struct pn_map *map = which ? b : a;

		for (size_t i = 0; i < voxels(map); i++)
			if (!isfinite(map->value[i]))
				return pn_error_set(err, PN_EARG,
						    "map %d: voxel %zu %zu %zu (x y z) is %g",
						    which + 1, i % map->nx, i / map->nx % map->ny,
						    i / map->nx / map->ny, map->value[i]);
	}
	return PN_OK;
}

/* ---- local --------------------------------------------------------------------------------- */

/* The five sums a window needs. */
enum { A, B, AA, BB, AB, SUMS };

/*
 * Sliding sum of @count entries @stride apart, over a window of @half on both sides, in place. The
 * values are of one size and lines are short: what rounding leaves behind stays below 1e-12.
 */
static void slide(double *values, double *copy, size_t count, size_t stride, size_t half)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		copy[i] = values[i * stride];
	for (size_t i = 0; i < half && i < count; i++)
		sum += copy[i];
	for (size_t i = 0; i < count; i++) {
		if (i + half < count)
			sum += copy[i + half];
		if (i > half)
			sum -= copy[i - half - 1];
		values[i * stride] = sum;
	}
}

/* Sums over the cube around every voxel, in three passes of lines. */
static void box_sums(double *sums, double *lines, size_t nx, size_t ny, size_t nz, size_t half,
		     int threads)
{
	size_t longest = nx > ny ? nx : ny;

	longest = longest > nz ? longest : nz;
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t z = 0; z < nz; z++) {
		double *line = lines + z * longest;

		for (size_t y = 0; y < ny; y++)
			slide(sums + (z * ny + y) * nx, line, nx, 1, half);
		for (size_t x = 0; x < nx; x++)
			slide(sums + z * ny * nx + x, line, ny, nx, half);
	}
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t y = 0; y < ny; y++) {
		double *line = lines + (nz + y) * longest;

		for (size_t x = 0; x < nx; x++)
			slide(sums + y * nx + x, line, nz, ny * nx, half);
	}
}

static size_t width_at(size_t at, size_t count, size_t half)
{
	size_t first = at > half ? at - half : 0, last = at + half < count ? at + half : count - 1;

	return last - first + 1;
}

static void correlate_cubes(float *local, const struct pn_map *a, double *const sums[SUMS],
			    size_t half, const double floor_of[2])
{
	for (size_t z = 0, i = 0; z < a->nz; z++)
		for (size_t y = 0; y < a->ny; y++)
			for (size_t x = 0; x < a->nx; x++, i++) {
				double n = (double)(width_at(x, a->nx, half) *
						    width_at(y, a->ny, half) *
						    width_at(z, a->nz, half));
				double ma = sums[A][i] / n, mb = sums[B][i] / n;
				double va = sums[AA][i] / n - ma * ma;
				double vb = sums[BB][i] / n - mb * mb;
				double c = (sums[AB][i] / n - ma * mb) / sqrt(va * vb);

				local[i] = va > floor_of[0] && vb > floor_of[1]
						   ? (float)fmin(1, fmax(-1, c))
						   : NAN;
			}
}

int pn_map_correlation_local(float *local, const struct pn_map *a, const struct pn_map *b,
			     size_t width, int threads, struct pn_error *err)
{
	int rc = check(a, b, err);

	if (!rc && (width < 3 || width % 2 == 0))
		rc = pn_error_set(err, PN_EARG,
				  "local correlation: cube of %zu voxels, must be odd "
				  "and at least 3",
				  width);
	if (rc)
		return rc;
	size_t count = voxels(a), longest = a->nx + a->ny + a->nz;
	double *memory = malloc((SUMS * count + (a->nz + a->ny) * longest) * sizeof *memory);

	if (!memory)
		return pn_error_set(err, PN_ENOMEM, "no memory for sums over %zu voxels", count);
	double *sums[SUMS], ma = mean_of(a), mb = mean_of(b);

	/* less the means: the sums of squares then lose no digits to a constant background */
	for (int s = 0; s < SUMS; s++)
		sums[s] = memory + s * count;
	for (size_t i = 0; i < count; i++) {
		double u = a->value[i] - ma, v = b->value[i] - mb;

		sums[A][i] = u;
		sums[B][i] = v;
		sums[AA][i] = u * u;
		sums[BB][i] = v * v;
		sums[AB][i] = u * v;
	}
	double variance[2] = { 0 };
	for (size_t i = 0; i < count; i++) {
		variance[0] += sums[AA][i] / (double)count;
		variance[1] += sums[BB][i] / (double)count;
	}
	const double floor_of[2] = { 1e-10 * variance[0], 1e-10 * variance[1] };

	for (int s = 0; s < SUMS; s++)
		box_sums(sums[s], memory + SUMS * count, a->nx, a->ny, a->nz, width / 2, threads);
	correlate_cubes(local, a, sums, width / 2, floor_of);
	free(memory);
	return PN_OK;
}

/* ---- along a direction --------------------------------------------------------------------- */

/* The part 0 .. count - 1 whose place plus @shift is in there too. */
static void overlap(size_t *first, size_t *end, size_t count, ptrdiff_t shift)
{
	*first = shift < 0 ? (size_t)-shift : 0;
	*end = shift > 0 ? ((size_t)shift < count ? count - (size_t)shift : 0) : count;
}

/* sum a'(r) b'(r + shift) for a shift by whole voxels. */
static double whole_product(const struct pn_map *a, double ma, const struct pn_map *b, double mb,
			    const ptrdiff_t shift[3])
{
	size_t x0, x1, y0, y1, z0, z1;
	double sum = 0;

	overlap(&x0, &x1, a->nx, shift[0]);
	overlap(&y0, &y1, a->ny, shift[1]);
	overlap(&z0, &z1, a->nz, shift[2]);
	for (size_t z = z0; z < z1; z++)
		for (size_t y = y0; y < y1; y++) {
			const float *u = a->value + (z * a->ny + y) * a->nx;
			const float *v =
				b->value + ((z * b->ny + y) * b->nx) +
				(shift[2] * (ptrdiff_t)b->ny + shift[1]) * (ptrdiff_t)b->nx +
				shift[0];
			double part[4] = { 0 };
			size_t x = x0;

			/* four sums at a time, in an order that is always the same */
			for (; x + 4 <= x1; x += 4)
				for (int k = 0; k < 4; k++)
					part[k] += (u[x + k] - ma) * (v[x + k] - mb);
			for (; x < x1; x++)
				part[0] += (u[x] - ma) * (v[x] - mb);
			sum += (part[0] + part[1]) + (part[2] + part[3]);
		}
	return sum;
}

/*
 * The same for any shift: trilinear interpolation of b is a weighted sum over the eight shifts by
 * whole voxels around this one, with the same weights for all voxels.
 */
static double shifted_product(const struct pn_map *a, double ma, const struct pn_map *b, double mb,
			      const double shift[3])
{
	double sum = 0;

	for (int corner = 0; corner < 8; corner++) {
		ptrdiff_t whole[3];
		double weight = 1;

		for (int k = 0; k < 3; k++) {
			double below = floor(shift[k]);
			int up = corner >> k & 1;

			whole[k] = (ptrdiff_t)below + up;
			weight *= up ? shift[k] - below : 1 - (shift[k] - below);
		}
		if (weight > 0)
			sum += weight * whole_product(a, ma, b, mb, whole);
	}
	return sum;
}

int pn_map_correlation_along(double *c, size_t count, double step_A, const double direction[3],
			     const struct pn_map *a, const struct pn_map *b, int threads,
			     struct pn_error *err)
{
	double length = sqrt(direction[0] * direction[0] + direction[1] * direction[1] +
			     direction[2] * direction[2]);
	int rc = check(a, b, err);

	if (!rc && !(length > 0 && step_A > 0 && a->voxel_A > 0 &&
		     (double)count * step_A / a->voxel_A < 1e9))
		rc = pn_error_set(err, PN_EARG,
				  "correlation along (%g %g %g), steps of %g A, voxels of %g A",
				  direction[0], direction[1], direction[2], step_A, a->voxel_A);
	if (rc)
		return rc;
	double ma = mean_of(a), mb = mean_of(b);
	double norm = sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));

	if (!(norm > 0))
		return pn_error_set(err, PN_EARG, "correlation: a map is constant");
#pragma omp parallel for num_threads(threads) schedule(dynamic)
	for (size_t i = 0; i < count; i++) {
		double away = ((double)i - (double)(count / 2)) * step_A / a->voxel_A / length;
		const double shift[3] = { away * direction[0], away * direction[1],
					  away * direction[2] };

		c[i] = shifted_product(a, ma, b, mb, shift) / norm;
	}
	return PN_OK;
}
