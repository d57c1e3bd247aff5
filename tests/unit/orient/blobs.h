/* SPDX-License-Identifier: GPL-3.0-or-later */
/* blobs.h - a few Gaussian blobs whose transforms and projections are closed forms. */
#ifndef TEST_ORIENT_BLOBS_H
#define TEST_ORIENT_BLOBS_H

#include "perrin/base/rng.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <complex.h>
#include <math.h>
#include <string.h>

#define BLOBS      24
#define BLOB_SIGMA 1.3 /* px */

/** Heights and places (px from the origin) of blobs in a ball; no symmetry. */
struct blobs {
	double height[BLOBS], at[BLOBS][3];
};

static inline void blobs_make(struct blobs *b, double radius_px, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int i = 0; i < BLOBS; i++) {
		double square;

		do {
			square = 0;
			for (int k = 0; k < 3; k++) {
				b->at[i][k] = radius_px * (2 * pn_rng_uniform(&rng) - 1);
				square += b->at[i][k] * b->at[i][k];
			}
		} while (square > radius_px * radius_px);
		b->height[i] = 0.5 + pn_rng_uniform(&rng);
	}
}

/** Their transform at a frequency in cycles per px. */
static inline double complex blobs_transform(const struct blobs *b, const double f[3])
{
	const double square = f[0] * f[0] + f[1] * f[1] + f[2] * f[2];
	const double area = pow(2 * M_PI * BLOB_SIGMA * BLOB_SIGMA, 1.5);
	double complex sum = 0;

	for (int i = 0; i < BLOBS; i++)
		sum += b->height[i] *
		       cexp(-2 * M_PI * I *
			    (f[0] * b->at[i][0] + f[1] * b->at[i][1] + f[2] * b->at[i][2]));
	return sum * area * exp(-2 * M_PI * M_PI * BLOB_SIGMA * BLOB_SIGMA * square);
}

/** The blobs as a volume [edge][edge][edge]. */
static inline void blobs_volume(const struct blobs *b, size_t edge, float *volume)
{
	const double o = (double)(edge / 2), k = 0.5 / (BLOB_SIGMA * BLOB_SIGMA);

	for (size_t i = 0; i < edge * edge * edge; i++) {
		double r[3] = { (double)(i % edge) - o, (double)(i / edge % edge) - o,
				(double)(i / edge / edge) - o },
		       sum = 0;

		for (int n = 0; n < BLOBS; n++) {
			double d = pow(r[0] - b->at[n][0], 2) + pow(r[1] - b->at[n][1], 2) +
				   pow(r[2] - b->at[n][2], 2);

			sum += d * k < 40 ? b->height[n] * exp(-d * k) : 0;
		}
		volume[i] = (float)sum;
	}
}

/** Their projection under a rotation and a shift, as an image [edge][edge]. */
static inline void blobs_image(const struct blobs *b, size_t edge, const double rotation[3][3],
			       const double shift_px[2], float *image)
{
	const double o = (double)(edge / 2), k = 0.5 / (BLOB_SIGMA * BLOB_SIGMA);
	double at[BLOBS][3];

	for (int n = 0; n < BLOBS; n++)
		pn_matrix3_apply(at[n], rotation, b->at[n]);
	for (size_t i = 0; i < edge * edge; i++) {
		double x = (double)(i % edge) - o - shift_px[0],
		       y = (double)(i / edge) - o - shift_px[1], sum = 0;

		for (int n = 0; n < BLOBS; n++) {
			double d = pow(x - at[n][0], 2) + pow(y - at[n][1], 2);

			sum += d * k < 40 ? b->height[n] * exp(-d * k) : 0;
		}
		image[i] = (float)(sum * sqrt(2 * M_PI) * BLOB_SIGMA);
	}
}

#endif
