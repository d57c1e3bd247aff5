/* SPDX-License-Identifier: GPL-3.0-or-later */
/* synthetic.h - small pictures with known truth for the tests of this folder. */
#ifndef PN_TEST_SYNTHETIC_H
#define PN_TEST_SYNTHETIC_H

#include "perrin/base/rng.h"
#include "perrin/image/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SYN_ATOMS_MAX = 4000 };

struct syn_atoms {
	size_t count;
	double at[SYN_ATOMS_MAX][3]; /* A */
};

/* An fcc sphere of lattice constant a about the origin. */
static inline void syn_sphere(struct syn_atoms *s, double diameter_A, double a)
{
	int n = (int)(diameter_A / a) + 2;

	s->count = 0;
	for (int i = -2 * n; i <= 2 * n; i++)
		for (int j = -2 * n; j <= 2 * n; j++)
			for (int k = -2 * n; k <= 2 * n; k++) {
				double x = i * a / 2, y = j * a / 2, z = k * a / 2;

				if ((i + j + k) % 2 ||
				    4 * (x * x + y * y + z * z) > diameter_A * diameter_A ||
				    s->count == SYN_ATOMS_MAX)
					continue;
				s->at[s->count][0] = x;
				s->at[s->count][1] = y;
				s->at[s->count++][2] = z;
			}
}

/* Rotation matrix of a unit quaternion w, x, y, z (normalised here). */
static inline void syn_matrix(const double quaternion[4], double m[3][3])
{
	double n = sqrt(quaternion[0] * quaternion[0] + quaternion[1] * quaternion[1] +
			quaternion[2] * quaternion[2] + quaternion[3] * quaternion[3]);
	double w = quaternion[0] / n, x = quaternion[1] / n, y = quaternion[2] / n,
	       z = quaternion[3] / n;
	double r[3][3] = { { 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w) },
			   { 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w) },
			   { 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y) } };

	memcpy(m, r, sizeof r);
}

static inline void syn_random_turn(struct pn_rng *rng, double quaternion[4])
{
	for (int i = 0; i < 4; i++)
		quaternion[i] = pn_rng_gauss(rng);
}

/* [110] along the beam: two {111} pairs and one {200} pair. */
static const double syn_zone_110[4] = { 0.70710678, 0.5, -0.5, 0 };

/* Add the atoms' Gaussians (s.d. sigma_A) to the image, centre at (x, y) pixels. */
static inline void syn_draw(float *image, size_t ny, size_t nx, double pixel_A,
			    const struct syn_atoms *s, const double quaternion[4], double x_px,
			    double y_px, double sigma_A, double height)
{
	double m[3][3];
	long reach = (long)(4 * sigma_A / pixel_A) + 1;

	syn_matrix(quaternion, m);
	for (size_t i = 0; i < s->count; i++) {
		const double *a = s->at[i];
		double x = x_px + (m[0][0] * a[0] + m[0][1] * a[1] + m[0][2] * a[2]) / pixel_A;
		double y = y_px + (m[1][0] * a[0] + m[1][1] * a[1] + m[1][2] * a[2]) / pixel_A;

		for (long v = lround(y) - reach; v <= lround(y) + reach; v++)
			for (long u = lround(x) - reach; u <= lround(x) + reach; u++) {
				double r2 = ((double)u - x) * ((double)u - x) +
					    ((double)v - y) * ((double)v - y);

				if (v < 0 || u < 0 || v >= (long)ny || u >= (long)nx)
					continue;
				image[v * (long)nx + u] +=
					(float)(height * exp(-0.5 * r2 * pixel_A * pixel_A /
							     (sigma_A * sigma_A)));
			}
	}
}

/* Take away what is smoother than sigma_A, but for a part kept: phase contrast passes little of it.
 */
static inline void syn_highpass(float *image, size_t ny, size_t nx, double sigma_px, double kept)
{
	float *smooth = malloc(sizeof *smooth * ny * nx),
	      *scratch = malloc(sizeof *scratch * ny * nx);

	pn_gauss_blur(smooth, image, scratch, ny, nx, sigma_px);
	for (size_t i = 0; i < ny * nx; i++)
		image[i] -= (float)(1 - kept) * smooth[i];
	free(smooth);
	free(scratch);
}

/* Fringes of one graphene layer turned by angle: the first-order spots, 2.13 A. */
static inline void syn_graphene(float *image, size_t ny, size_t nx, double pixel_A, double angle,
				double height)
{
	for (int k = 0; k < 3; k++) {
		double g = 2 * M_PI / 2.1304 * pixel_A, a = angle + k * M_PI / 3;
		double dc = cos(g * cos(a)), ds = sin(g * cos(a));

		for (size_t y = 0; y < ny; y++) {
			double c = cos(g * sin(a) * (double)y), s = sin(g * sin(a) * (double)y);

			for (size_t x = 0; x < nx; x++) {
				double next = c * dc - s * ds;

				image[y * nx + x] += (float)(height * c);
				s = s * dc + c * ds;
				c = next;
			}
		}
	}
}

/* Gaussian noise of s.d. height, correlated over sigma_px: the liquid. */
static inline void syn_liquid(float *image, size_t ny, size_t nx, double sigma_px, double height,
			      struct pn_rng *rng)
{
	float *noise = malloc(sizeof *noise * ny * nx),
	      *scratch = malloc(sizeof *scratch * ny * nx);
	struct pn_frame_stats stats;

	for (size_t i = 0; i < ny * nx; i++)
		noise[i] = (float)pn_rng_gauss(rng);
	pn_gauss_blur(noise, noise, scratch, ny, nx, sigma_px);
	pn_frame_stats(noise, ny * nx, INFINITY, &stats);
	for (size_t i = 0; i < ny * nx; i++)
		image[i] += (float)(height / stats.sd) * noise[i];
	free(noise);
	free(scratch);
}

/* From contrast (0 = mean) to counts of an electron-counting camera. */
static inline void syn_count(float *image, size_t count, double dose_e_per_px, struct pn_rng *rng)
{
	for (size_t i = 0; i < count; i++)
		image[i] = (float)pn_rng_poisson(rng, dose_e_per_px * fmax(0.02, 1 + image[i]));
}

#endif
