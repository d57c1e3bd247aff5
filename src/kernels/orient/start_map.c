/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/start_map.h"

#include <math.h>
#include <string.h>

#define REACH_SIGMA 4.5 /* beyond, an atom is nothing */

/*
 * Mean silhouette of a convex body: a quarter of its surface (Cauchy). A sphere of diameter d has
 * pi d^2 / 4. A truncated octahedron of edge e has (6 + 12 sqrt 3) e^2, its square faces are at
 * sqrt 2 e, its hexagons at sqrt(3/2) e.
 */
static double octahedron_edge(double diameter)
{
	return diameter * sqrt(M_PI / (6 + 12 * sqrt(3)));
}

static int inside(const double r[3], double diameter, enum pn_start_shape shape)
{
	const double e = octahedron_edge(diameter), x = fabs(r[0]), y = fabs(r[1]), z = fabs(r[2]);
	const double slack = 1e-9;

	if (shape == PN_START_SPHERE)
		return x * x + y * y + z * z <= diameter * diameter / 4 + slack;
	return fmax(x, fmax(y, z)) <= sqrt(2) * e + slack &&
	       (x + y + z) / sqrt(3) <= sqrt(1.5) * e + slack;
}

static void add_atom(float *map, size_t edge, const double at[3], double sigma)
{
	const double origin = (double)(edge / 2);
	const int reach = (int)ceil(REACH_SIGMA * sigma);
	int middle[3];

	for (int k = 0; k < 3; k++)
		middle[k] = (int)lrint(at[k] + origin);
	for (int z = middle[2] - reach; z <= middle[2] + reach; z++)
		for (int y = middle[1] - reach; y <= middle[1] + reach; y++)
			for (int x = middle[0] - reach; x <= middle[0] + reach; x++) {
				const double d[3] = { x - origin - at[0], y - origin - at[1],
						      z - origin - at[2] };
				const int n = (int)edge;

				if (x < 0 || y < 0 || z < 0 || x >= n || y >= n || z >= n)
					continue;
				map[((size_t)z * edge + (size_t)y) * edge + (size_t)x] +=
					(float)exp(-(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) /
						   (2 * sigma * sigma));
			}
}

int pn_start_map(float *map, size_t edge, double pixel_A, double lattice_A, double diameter_A,
		 enum pn_start_shape shape, const double center[3], double sigma_A, size_t *atoms,
		 struct pn_error *err)
{
	if (edge < 8 || edge > 1024 || !(pixel_A > 0) || !(lattice_A > 0) || !(sigma_A > 0) ||
	    !(diameter_A > 0))
		return pn_error_set(
			err, PN_EARG,
			"a crystal of %g A, lattice %g A, atoms of %g A in %zu px of %g A",
			diameter_A, lattice_A, sigma_A, edge, pixel_A);
	/* the corners of the octahedron are farthest out, sqrt(5/2) edges */
	const double radius_A =
		shape == PN_START_SPHERE ? diameter_A / 2 : sqrt(2.5) * octahedron_edge(diameter_A);
	const int cells = (int)ceil(2 * radius_A / lattice_A) + 2;
	size_t count = 0;

	for (int a = 0; a < 3; a++)
		if (!(fabs(center[a]) <= 1))
			return pn_error_set(err, PN_EARG, "a crystal centered at (%g, %g, %g)",
					    center[0], center[1], center[2]);
	if (radius_A / pixel_A + 2 > (double)edge / 2)
		return pn_error_set(err, PN_EARG,
				    "a crystal of %g A reaches %.1f px from the middle of %zu px",
				    diameter_A, radius_A / pixel_A, edge);
	memset(map, 0, edge * edge * edge * sizeof *map);
	for (int i = -cells; i <= cells; i++)
		for (int j = -cells; j <= cells; j++)
			for (int k = -cells; k <= cells; k++) {
				const double half = lattice_A / 2;
				const double r[3] = { i * half - center[0] * lattice_A,
						      j * half - center[1] * lattice_A,
						      k * half - center[2] * lattice_A };
				double at[3];

				if (((i + j + k) & 1) || !inside(r, diameter_A, shape))
					continue;
				for (int a = 0; a < 3; a++)
					at[a] = r[a] / pixel_A;
				add_atom(map, edge, at, sigma_A / pixel_A);
				count++;
			}
	if (atoms)
		*atoms = count;
	if (!count)
		return pn_error_set(err, PN_EARG, "a crystal of %g A has no atom", diameter_A);
	return PN_OK;
}
