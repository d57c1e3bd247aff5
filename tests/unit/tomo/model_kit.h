/* SPDX-License-Identifier: GPL-3.0-or-later */
/* model_kit.h - small particles, and a slow projector of them in double. */
#ifndef MODEL_KIT_H
#define MODEL_KIT_H

#include "perrin/base/rng.h"
#include "perrin/tomo/model.h"

#include <math.h>
#include <string.h>

/* Atoms at random in a ball, no two closer than @apart_A; species at random. */
static inline void kit_ball(double (*position_A)[3], uint8_t *species, size_t count,
			    double radius_A, double apart_A, int kinds, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (size_t a = 0; a < count;) {
		double *r = position_A[a], length2 = 0;
		int fits;

		for (int i = 0; i < 3; i++) {
			r[i] = (2 * pn_rng_uniform(&rng) - 1) * radius_A;
			length2 += r[i] * r[i];
		}
		fits = length2 < radius_A * radius_A;
		for (size_t b = 0; b < a && fits; b++) {
			double d2 = 0;

			for (int i = 0; i < 3; i++)
				d2 += (r[i] - position_A[b][i]) * (r[i] - position_A[b][i]);
			fits = d2 > apart_A * apart_A;
		}
		if (fits)
			species[a++] = (uint8_t)pn_rng_below(&rng, (uint32_t)kinds);
	}
}

/* Tilts from -@range to @range degrees. */
static inline void kit_tilts(struct pn_pose *pose, size_t count, double range_deg)
{
	for (size_t k = 0; k < count; k++)
		pn_pose_tilt(&pose[k],
			     count > 1 ? range_deg * (2.0 * (double)k / (double)(count - 1) - 1)
				       : 0);
}

/* One pixel of the model by its definition, nothing cut off. */
static inline double kit_pixel(const struct pn_linear_model *m, const struct pn_pose *pose,
			       size_t ny, size_t nx, long y, long x)
{
	double sum = 0;

	for (size_t a = 0; a < m->count; a++) {
		double seen[2], r2;

		if (m->species[a] == PN_NO_ATOM)
			continue;
		const struct pn_atom_spot *spot = &m->spot[m->species[a]];

		for (int i = 0; i < 2; i++) {
			seen[i] = pose->shift_px[i];
			for (int j = 0; j < 3; j++)
				seen[i] += pose->rotation[i][j] * m->position_A[a][j] / m->pixel_A;
		}
		seen[0] -= (double)(x - (long)(nx / 2));
		seen[1] -= (double)(y - (long)(ny / 2));
		r2 = seen[0] * seen[0] + seen[1] * seen[1];
		for (int g = 0; g < spot->gaussians; g++) {
			double v = spot->variance_A2[g] / (m->pixel_A * m->pixel_A);

			v += m->integrate ? 1.0 / 12 : 0;
			sum += spot->intensity[g] / (2 * M_PI * v) * exp(-r2 / (2 * v));
		}
	}
	return sum;
}

/* sum_k sum_p weight(p) model(p) */
static inline double kit_weighted(const struct pn_linear_model *m, const struct pn_pose *pose,
				  size_t count, size_t ny, size_t nx, const float *weight)
{
	double sum = 0;

	for (size_t k = 0; k < count; k++)
		for (size_t i = 0; i < ny * nx; i++)
			sum += weight[k * ny * nx + i] *
			       kit_pixel(m, &pose[k], ny, nx, (long)(i / nx), (long)(i % nx));
	return sum;
}

#endif
