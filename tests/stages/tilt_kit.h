/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tilt_kit.h - a few atoms seen under any tilt, for the stages of a tilt series. */
#ifndef PERRIN_TEST_TILT_KIT_H
#define PERRIN_TEST_TILT_KIT_H

#include "perrin/base/rng.h"
#include "perrin/stream/head.h"

#include <math.h>
#include <stddef.h>

enum { TILT_N = 48, TILT_PIXELS = TILT_N * TILT_N, TILT_ATOMS = 7 };

/* voxels from the origin */
static const double tilt_atom_px[TILT_ATOMS][3] = {
	{ 0, 0, 0 },   { 7, 1, -2 }, { -6, 3, 4 },   { 1, -8, 3 },
	{ -2, 8, -4 }, { 4, 4, 8 },  { -4, -5, -8 },
};

/* Gaussians of 1.4 px on a background, moved by x_px, y_px. */
static inline void tilt_image(float *image, double theta_deg, double x_px, double y_px,
			      double background)
{
	double c = cos(theta_deg * M_PI / 180), s = sin(theta_deg * M_PI / 180);

	for (int i = 0; i < TILT_PIXELS; i++) {
		double x = i % TILT_N - TILT_N / 2, y = i / TILT_N - TILT_N / 2, sum = background;

		for (int a = 0; a < TILT_ATOMS; a++) {
			double dx = x - x_px - (tilt_atom_px[a][0] * c - tilt_atom_px[a][2] * s);
			double dy = y - y_px - tilt_atom_px[a][1];

			sum += 100 * exp(-(dx * dx + dy * dy) / (2 * 1.4 * 1.4));
		}
		image[i] = (float)sum;
	}
}

/* A head of a tilt as `merge` gives it. */
static inline struct pn_tilts_head tilt_head(uint64_t tilt, double theta_deg)
{
	return (struct pn_tilts_head){ .tilt = tilt,
				       .theta_deg = theta_deg,
				       .frames = 1,
				       .ny = TILT_N,
				       .nx = TILT_N,
				       .pixel_pm = 35,
				       .dose_e_per_A2 = (double)NAN,
				       .drift_px = (double)NAN,
				       .gain = (double)NAN,
				       .readout = (double)NAN,
				       .background = (double)NAN,
				       .axis_deg = (double)NAN,
				       .shift_x_px = (double)NAN,
				       .shift_y_px = (double)NAN,
				       .correlation = (double)NAN };
}

#endif
