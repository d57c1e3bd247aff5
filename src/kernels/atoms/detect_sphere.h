/* SPDX-License-Identifier: GPL-3.0-or-later */
/* detect_sphere.h - where in a map the particle is. */
#ifndef PERRIN_DETECT_SPHERE_H
#define PERRIN_DETECT_SPHERE_H

#include "perrin/base/status.h"

#include <stddef.h>

struct detect_sphere {
	double center_px[3], radius_px; /* x, y, z, from the first voxel */
};

/**
 * detect_sphere_find - about the largest connected part whose mean square, over cubes of 3
 * @side_px, is above Otsu's threshold; 98 % of that part are inside.
 *
 * @volume: float32, finite; @n: x, y, z
 *
 * A constant map is all particle. Errors: PN_ENOMEM.
 */
int detect_sphere_find(struct detect_sphere *sphere, const float *volume, const size_t n[3],
		       double side_px, int threads, struct pn_error *err);

#endif
