/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/spot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	SIDE = PN_SPOT_SIDE_PX,
	STEP = SIDE / 2, /* from one tile to the next */
	REACH = PN_SPOT_LAGS - 1,
	LAGS = 2 * REACH + 1,
	QUIET = 8, /* one tile in so many is taken */
	FLAT = 16, /* a tile of less than the median variance by this is no place to look for noise
		    */
};

struct tile {
	double variance;
	size_t at; /* of its first pixel */
};

/* A tile of the difference without its mean. Returns its variance. */
static double take_tile(double d[SIDE][SIDE], const float *a, const float *b, size_t nx)
{
	double mean = 0, squares = 0;

	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			d[y][x] = (double)b[y * nx + x] - (double)a[y * nx + x];
			mean += d[y][x];
		}
	mean /= SIDE * SIDE;
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			d[y][x] -= mean;
			squares += d[y][x] * d[y][x];
		}
	return squares / (SIDE * SIDE);
}

/* Adds the tile's covariances of the lags in the upper half: the others are theirs mirrored. */
static void add_covariances(double sum[PN_SPOT_LAGS][LAGS], double d[SIDE][SIDE])
{
	for (int dy = 0; dy <= REACH; dy++)
		for (int dx = -REACH; dx <= REACH; dx++) {
			int x0 = dx < 0 ? -dx : 0, x1 = dx < 0 ? SIDE : SIDE - dx;
			double s = 0;

			for (int y = 0; y + dy < SIDE; y++)
				for (int x = x0; x < x1; x++)
					s += d[y][x] * d[y + dy][x + dx];
			sum[dy][dx + REACH] += s / ((SIDE - dy) * (x1 - x0));
		}
}

static int by_variance(const void *a, const void *b)
{
	const struct tile *p = a, *q = b;

	if (p->variance != q->variance)
		return p->variance < q->variance ? -1 : 1;
	return p->at < q->at ? -1 : p->at > q->at;
}

/* The tiles that vary, quietest first; returns how many. */
static size_t rank_tiles(struct tile *tiles, const float *a, const float *b, size_t ny, size_t nx)
{
	double d[SIDE][SIDE];
	size_t count = 0;

	for (size_t y = 0; y + SIDE <= ny; y += STEP)
		for (size_t x = 0; x + SIDE <= nx; x += STEP) {
			size_t at = y * nx + x;

			tiles[count].at = at;
			tiles[count].variance = take_tile(d, a + at, b + at, nx);
			if (tiles[count].variance > 0)
				count++;
		}
	qsort(tiles, count, sizeof *tiles, by_variance);
	return count;
}

static int check_finite(const float *image, const char *which, size_t ny, size_t nx,
			struct pn_error *err)
{
	for (size_t i = 0; i < ny * nx; i++)
		if (!isfinite(image[i]))
			return pn_error_set(
				err, PN_EFRAME,
				"noise: image %s is %g at pixel (%zu, %zu) of %zu x %zu", which,
				(double)image[i], i / nx, i % nx, ny, nx);
	return PN_OK;
}

/* The quietest tiles of those that are not flat beside the others, into @noise. */
static void add_quiet(struct pn_noise *noise, const struct tile *tiles, size_t count,
		      const float *a, const float *b, size_t nx)
{
	double d[SIDE][SIDE], sum[PN_SPOT_LAGS][LAGS] = { 0 };
	size_t first = 0;

	while (tiles[first].variance < tiles[count / 2].variance / FLAT)
		first++;
	size_t end = first + (count - first + QUIET - 1) / QUIET;
	for (size_t t = first; t < end; t++) {
		take_tile(d, a + tiles[t].at, b + tiles[t].at, nx);
		add_covariances(sum, d);
	}
	for (int dy = -REACH; dy <= REACH; dy++)
		for (int dx = -REACH; dx <= REACH; dx++)
			noise->sum[dy + REACH][dx + REACH] +=
				(dy < 0 ? sum[-dy][REACH - dx] : sum[dy][dx + REACH]) /
				sum[0][REACH];
	noise->pairs++;
}

int pn_noise_add(struct pn_noise *noise, const float *a, const float *b, size_t ny, size_t nx,
		 struct pn_error *err)
{
	if (ny < SIDE || nx < SIDE)
		return pn_error_set(
			err, PN_EARG,
			"noise: images of %zu x %zu pixels, at least %d x %d are needed", ny, nx,
			SIDE, SIDE);
	if (check_finite(a, "a", ny, nx, err) || check_finite(b, "b", ny, nx, err))
		return PN_EFRAME;
	struct tile *tiles = malloc((ny / STEP) * (nx / STEP) * sizeof *tiles);

	if (!tiles)
		return pn_error_set(err, PN_ENOMEM, "noise: the tiles of %zu x %zu pixels", ny, nx);
	size_t count = rank_tiles(tiles, a, b, ny, nx);

	if (count)
		add_quiet(noise, tiles, count, a, b, nx);
	free(tiles);
	return count ? PN_OK
		     : pn_error_set(err, PN_EFRAME,
				    "noise: the images of %zu x %zu pixels differ by a constant: "
				    "no noise "
				    "to be seen",
				    ny, nx);
}

double pn_noise_correlation(const struct pn_noise *noise, int dy, int dx)
{
	pn_assert(abs(dy) <= REACH && abs(dx) <= REACH);
	return noise->pairs > 0 ? noise->sum[dy + REACH][dx + REACH] / noise->pairs : NAN;
}

int pn_noise_spot_px(const struct pn_noise *noise, double limit)
{
	int radius = 0; /* of the farthest lag that is not small; NaN is not small */

	for (int dy = -REACH; dy <= REACH; dy++)
		for (int dx = -REACH; dx <= REACH; dx++) {
			int far = abs(dy) > abs(dx) ? abs(dy) : abs(dx);

			if (far > radius && !(fabs(pn_noise_correlation(noise, dy, dx)) <= limit))
				radius = far;
		}
	return radius > 2 ? 5 : 2 * radius + 1;
}
