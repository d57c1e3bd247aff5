/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/start_map.h - the particle as it would be, were it a perfect crystal. */
#ifndef PERRIN_ORIENT_START_MAP_H
#define PERRIN_ORIENT_START_MAP_H

#include "perrin/base/status.h"

#include <stddef.h>

enum pn_start_shape {
	PN_START_SPHERE,
	PN_START_OCTAHEDRON, /* truncated: all edges equal, the shape of small fcc particles */
};

/**
 * pn_start_map - a piece of an ideal fcc crystal as a sum of Gaussian atoms.
 *
 * The crystal's <100> axes are x, y, z; the shape stands about the origin of the map, which is at
 * @center of the crystal: (0, 0, 0) an atom, (1/2, 0, 0) an octahedral gap, (1/4, 1/4, 1/4) a
 * tetrahedral one, (1/4, 1/4, 0) the middle of a bond. The diameter is that of the circle
 * of equal area that a 2D image shows: the mean silhouette of the shape has the area pi d^2 / 4.
 *
 * @map:     [out] float32 [edge][edge][edge], 1 at the height of an atom
 * @center:  in lattice constants
 * @sigma_A: width of an atom; a resolution of d A is about 0.225 d
 * @atoms:   [out] how many; may be NULL
 *
 * Errors: PN_EARG (edge, pixel, lattice, sigma not positive; a crystal that does not fit with 2
 * pixels to spare, whose size is told; one without an atom). Thread: reentrant. Cost: milliseconds.
 * Source: methods R8 (paper 004: a sphere cut from perfect fcc of the 2D diameter).
 */
int pn_start_map(float *map, size_t edge, double pixel_A, double lattice_A, double diameter_A,
		 enum pn_start_shape shape, const double center[3], double sigma_A, size_t *atoms,
		 struct pn_error *err);

#endif
