/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/map.h - how alike two density maps of one particle are. */
#ifndef PERRIN_ATOMS_MAP_H
#define PERRIN_ATOMS_MAP_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/** A density map on a cubic grid: value [z][y][x], float32, any unit. The caller owns it. */
struct pn_map {
	size_t nx, ny, nz;
	double voxel_A;
	const float *value; /* [nz][ny][nx] */
};

/**
 * pn_map_correlation - Pearson's coefficient of two maps of one shape,
 *
 *	sum (a - <a>)(b - <b>) / sqrt( sum (a - <a>)^2 sum (b - <b>)^2 ),
 *
 * NaN if one of them is constant. Summed in double, plane by plane. Thread: reentrant.
 */
double pn_map_correlation(const struct pn_map *a, const struct pn_map *b);

/**
 * pn_map_correlation_local - the same within a cube of @width voxels (odd) around each voxel, cut
 * off at the edges of the map: 1 where nothing has changed, low where atoms came, went or moved.
 *
 * @local: [out] [nz][ny][nx]; NaN where a map is constant inside the cube (its variance is below
 *         1e-10 of that of the whole map)
 *
 * Running sums: the cost does not grow with @width; about 0.15 us per voxel.
 * Errors: PN_EARG (shapes or voxels differ, width even or below 3, value not finite), PN_ENOMEM.
 * Source: paper 004, Fig. 2c,g,k (methods R10).
 */
int pn_map_correlation_local(float *local, const struct pn_map *a, const struct pn_map *b,
			     size_t width, int threads, struct pn_error *err);

/**
 * pn_map_correlation_along - cross-correlation against a shift along a direction,
 *
 *	c[i] = sum a'(r) b'(r + s_i n) / sqrt( sum a'^2 sum b'^2 ),  s_i = (i - count/2) step,
 *
 * a', b' the maps less their means, 0 outside, b between its voxels by trilinear interpolation: the
 * lines of Fig. 2n-p of paper 004, whose peaks at the periods of the lattice fall as the structure
 * changes.
 *
 * @c:         [out] [count]; the middle one, count/2, is the shift 0
 * @direction: x, y, z in the frame of the map; any length above 0
 *
 * Errors: PN_EARG (shapes or voxels differ, no direction, a map is constant or not finite). Cost:
 *about 4 ns per voxel and shift on one core. Thread: reentrant. Source: paper 004, Fig. 2n-p
 *(methods R10).
 */
int pn_map_correlation_along(double *c, size_t count, double step_A, const double direction[3],
			     const struct pn_map *a, const struct pn_map *b, int threads,
			     struct pn_error *err);

#endif
