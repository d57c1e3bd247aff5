/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trace_kit.h - volumes whose atoms are known. */
#ifndef PERRIN_TESTS_TRACE_KIT_H
#define PERRIN_TESTS_TRACE_KIT_H

#include "kit.h"

#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/** Atoms in a box: places in voxels x, y, z. */
struct known {
	size_t n[3]; /* x, y, z */
	double pixel_A;
	double (*at)[3];
	double *height;
	size_t count;
	float *volume;
};

/** known_scatter - @count places at random, @apart_A from each other, @margin_px from the border.
 */
static inline struct known known_scatter(size_t nx, size_t ny, size_t nz, double pixel_A,
					 size_t count, double apart_A, double margin_px,
					 uint64_t seed)
{
	struct known k = { .n = { nx, ny, nz },
			   .pixel_A = pixel_A,
			   .at = malloc(count * sizeof *k.at),
			   .height = malloc(count * sizeof *k.height),
			   .volume = calloc(nx * ny * nz, sizeof *k.volume) };
	struct pn_rng rng;

	assert_true(k.at && k.height && k.volume);
	pn_rng_init(&rng, seed, 0);
	for (size_t tries = 0; k.count < count && tries < 1000000; tries++) {
		double p[3];
		int fits = 1;

		for (int a = 0; a < 3; a++)
			p[a] = margin_px +
			       pn_rng_uniform(&rng) * ((double)k.n[a] - 1 - 2 * margin_px);
		for (size_t i = 0; fits && i < k.count; i++) {
			double r2 = 0;

			for (int a = 0; a < 3; a++)
				r2 += (p[a] - k.at[i][a]) * (p[a] - k.at[i][a]);
			fits = r2 * pixel_A * pixel_A >= apart_A * apart_A;
		}
		if (fits) {
			memcpy(k.at[k.count], p, sizeof p);
			k.height[k.count++] = 1;
		}
	}
	assert_int_equal(k.count, count);
	return k;
}

/** known_draw - add a Gaussian for each atom, of the widths given in A along x, y, z. */
static inline void known_draw(struct known *k, double wx_A, double wy_A, double wz_A)
{
	double w[3] = { wx_A / k->pixel_A, wy_A / k->pixel_A, wz_A / k->pixel_A };

	for (size_t i = 0; i < k->count; i++) {
		long low[3], high[3];

		for (int a = 0; a < 3; a++) {
			low[a] = (long)fmax(0, floor(k->at[i][a] - 8 * w[a]));
			high[a] = (long)fmin((double)k->n[a] - 1, ceil(k->at[i][a] + 8 * w[a]));
		}
		for (long z = low[2]; z <= high[2]; z++)
			for (long y = low[1]; y <= high[1]; y++)
				for (long x = low[0]; x <= high[0]; x++) {
					double dx = ((double)x - k->at[i][0]) / w[0];
					double dy = ((double)y - k->at[i][1]) / w[1];
					double dz = ((double)z - k->at[i][2]) / w[2];

					k->volume[((size_t)z * k->n[1] + (size_t)y) * k->n[0] +
						  (size_t)x] +=
						(float)(k->height[i] *
							exp(-(dx * dx + dy * dy + dz * dz) / 2));
				}
	}
}

/** known_noise - add white normal noise, then cut what is negative, as reconstructions do. */
static inline void known_noise(struct known *k, double sigma, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 1);
	for (size_t i = 0; i < k->n[0] * k->n[1] * k->n[2]; i++)
		k->volume[i] = fmaxf(0, k->volume[i] + (float)(sigma * pn_rng_gauss(&rng)));
}

static inline void known_free(struct known *k)
{
	free(k->at);
	free(k->height);
	free(k->volume);
	memset(k, 0, sizeof *k);
}

/** How a list of places compares with what is known, each place going to the nearest atom. */
struct found {
	size_t matched, twice, false_atoms, missed;
	double rms_pm, largest_pm;
};

/** known_compare - places in A from voxel n/2; nearest within @tolerance_A, by brute force. */
static inline struct found known_compare(const struct known *k, const double *place_A,
					 size_t stride_bytes, size_t count, double tolerance_A)
{
	struct found f = { 0 };
	uint8_t *seen = calloc(k->count + 1, 1);
	double sum = 0;

	assert_non_null(seen);
	for (size_t i = 0; i < count; i++) {
		const double *p = (const double *)((const char *)place_A + i * stride_bytes);
		double least = INFINITY;
		size_t best = 0;

		for (size_t j = 0; j < k->count; j++) {
			double r2 = 0;

			for (int a = 0; a < 3; a++) {
				double d =
					p[a] - (k->at[j][a] - (double)(k->n[a] / 2)) * k->pixel_A;

				r2 += d * d;
			}
			if (r2 < least) {
				least = r2;
				best = j;
			}
		}
		if (sqrt(least) >= tolerance_A) {
			f.false_atoms++;
		} else {
			f.twice += seen[best];
			f.matched += !seen[best];
			seen[best] = 1;
			sum += least;
			f.largest_pm = fmax(f.largest_pm, 100 * sqrt(least));
		}
	}
	f.missed = k->count - f.matched;
	f.rms_pm = f.matched ? 100 * sqrt(sum / (double)(f.matched + f.twice)) : 0;
	free(seen);
	return f;
}

#endif
