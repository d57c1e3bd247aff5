/* SPDX-License-Identifier: GPL-3.0-or-later */
/* particle.h - a particle of Gaussian atoms and its exact projections, for tests. */
#ifndef PERRIN_TEST_PARTICLE_H
#define PERRIN_TEST_PARTICLE_H

#include "perrin/base/rng.h"
#include "perrin/tomo/pose.h"

#include <math.h>
#include <string.h>

enum { ATOMS_MAX = 2048 };

struct particle {
	size_t atoms, ny, nx;
	double r[ATOMS_MAX][3]; /* voxels from the origin */
	double height[ATOMS_MAX], sigma_px;
};

/* Atoms at random in a ball, no two nearer than @spacing, center of mass at 0. */
static inline void particle_make(struct particle *p, size_t atoms, double radius, double spacing,
				 uint64_t seed)
{
	double mean[3] = { 0 }, mass = 0;
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	p->atoms = 0;
	p->sigma_px = 1.2;
	for (int tries = 0; p->atoms < atoms && tries < 1000000; tries++) {
		double *r = p->r[p->atoms];
		int free = 1;

		for (int i = 0; i < 3; i++)
			r[i] = radius * (2 * pn_rng_uniform(&rng) - 1);
		free = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < radius * radius;
		for (size_t k = 0; free && k < p->atoms; k++)
			free = hypot(hypot(r[0] - p->r[k][0], r[1] - p->r[k][1]),
				     r[2] - p->r[k][2]) > spacing;
		if (free)
			p->height[p->atoms++] = 1 + 0.3 * pn_rng_uniform(&rng);
	}
	for (size_t k = 0; k < p->atoms; k++) {
		mass += p->height[k];
		for (int i = 0; i < 3; i++)
			mean[i] += p->height[k] * p->r[k][i];
	}
	for (size_t k = 0; k < p->atoms; k++)
		for (int i = 0; i < 3; i++)
			p->r[k][i] -= mean[i] / mass;
}

/* The projection, in closed form: a Gaussian of the same width at the projected place. */
static inline void particle_project(const struct particle *p, const struct pn_pose *pose,
				    float *image)
{
	memset(image, 0, p->ny * p->nx * sizeof *image);
	for (size_t k = 0; k < p->atoms; k++) {
		const double *r = p->r[k];
		double at[2], gx[32], reach = ceil(6 * p->sigma_px);

		for (int i = 0; i < 2; i++)
			at[i] = pose->rotation[i][0] * r[0] + pose->rotation[i][1] * r[1] +
				pose->rotation[i][2] * r[2] + pose->shift_px[i];
		long x0 = lround(at[0] - reach), y0 = lround(at[1] - reach),
		     n = 2 * (long)reach + 1;

		for (long x = 0; x < n; x++)
			gx[x] = exp(-pow((double)(x0 + x) - at[0], 2) /
				    (2 * p->sigma_px * p->sigma_px));
		for (long y = 0; y < n; y++) {
			double gy = p->height[k] * exp(-pow((double)(y0 + y) - at[1], 2) /
						       (2 * p->sigma_px * p->sigma_px));
			long row = y0 + y + (long)(p->ny / 2);

			for (long x = 0; x < n && row >= 0 && row < (long)p->ny; x++) {
				long column = x0 + x + (long)(p->nx / 2);

				if (column >= 0 && column < (long)p->nx)
					image[row * (long)p->nx + column] += (float)(gy * gx[x]);
			}
		}
	}
}

#endif
