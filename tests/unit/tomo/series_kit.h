/* SPDX-License-Identifier: GPL-3.0-or-later */
/* series_kit.h - small tilt series made by the definition, in double. */
#ifndef PERRIN_TESTS_TOMO_SERIES_KIT_H
#define PERRIN_TESTS_TOMO_SERIES_KIT_H

#include "perrin/base/rng.h"
#include "perrin/tomo/pose.h"

#include <math.h>
#include <stdlib.h>

static inline double kit_sinc(double x)
{
	return fabs(x) < 1e-9 ? 1.0 : sin(M_PI * x) / (M_PI * x);
}

/* Where voxel i of a box is seen, pixels from the origin of the image. */
static inline void kit_seen(const struct pn_box *box, const struct pn_pose *pose, size_t i,
			    double seen[2])
{
	double r[3] = { (double)(i % box->nx) - (double)(box->nx / 2),
			(double)(i / box->nx % box->ny) - (double)(box->ny / 2),
			(double)(i / (box->nx * box->ny)) - (double)(box->nz / 2) };

	for (int a = 0; a < 2; a++)
		seen[a] = pose->rotation[a][0] * r[0] + pose->rotation[a][1] * r[1] +
			  pose->rotation[a][2] * r[2] + pose->shift_px[a];
}

static inline double kit_weight(const double seen[2], size_t y, size_t x, size_t ny, size_t nx)
{
	return kit_sinc(seen[0] - ((double)x - (double)(nx / 2))) *
	       kit_sinc(seen[1] - ((double)y - (double)(ny / 2)));
}

/* A u by the sum of sincs. */
static inline void kit_project(float *image, size_t ny, size_t nx, const struct pn_box *box,
			       const struct pn_pose *pose, const float *volume)
{
	double *sum = calloc(ny * nx, sizeof *sum), seen[2];

	for (size_t i = 0; i < box->nz * box->ny * box->nx; i++) {
		if (volume[i] == 0.0f)
			continue;
		kit_seen(box, pose, i, seen);
		for (size_t p = 0; p < ny * nx; p++)
			sum[p] += (double)volume[i] * kit_weight(seen, p / nx, p % nx, ny, nx);
	}
	for (size_t p = 0; p < ny * nx; p++)
		image[p] = (float)sum[p];
	free(sum);
}

/* A^T p at one voxel. */
static inline double kit_backproject(const float *image, size_t ny, size_t nx,
				     const struct pn_box *box, const struct pn_pose *pose, size_t i)
{
	double sum = 0.0, seen[2];

	kit_seen(box, pose, i, seen);
	for (size_t p = 0; p < ny * nx; p++)
		sum += (double)image[p] * kit_weight(seen, p / nx, p % nx, ny, nx);
	return sum;
}

/* Soft blobs well inside the box; width in voxels. */
static inline void kit_blobs(float *volume, const struct pn_box *box, int count, double width,
			     uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (size_t i = 0; i < box->nz * box->ny * box->nx; i++)
		volume[i] = 0.0f;
	for (int b = 0; b < count; b++) {
		double c[3], n[3] = { (double)box->nx, (double)box->ny, (double)box->nz };

		for (int a = 0; a < 3; a++)
			c[a] = (pn_rng_uniform(&rng) - 0.5) * (n[a] - 6.0 * width) +
			       floor(n[a] / 2);
		for (size_t i = 0; i < box->nz * box->ny * box->nx; i++) {
			double dx = (double)(i % box->nx) - c[0],
			       dy = (double)(i / box->nx % box->ny) - c[1],
			       dz = (double)(i / (box->nx * box->ny)) - c[2];

			volume[i] +=
				(float)exp(-(dx * dx + dy * dy + dz * dz) / (2 * width * width));
		}
	}
}

#endif
