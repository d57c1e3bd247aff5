/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/coverage.h - what a set of projections says about Fourier space: missing wedges. */
#ifndef PERRIN_TOMO_COVERAGE_H
#define PERRIN_TOMO_COVERAGE_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>

struct pn_coverage {
	double uncovered; /* fraction of the ball |F| <= 1/2 farther than 1/(2 D) from all planes */
	double gap_deg;   /* angle between the worst direction and the nearest plane */
	double gap_direction[3];   /* the worst direction, X, Y, Z */
	double crowther_per_voxel; /* frequency up to which all directions are covered; 1/2 at most
				    */
};

/**
 * pn_coverage - how densely the central planes of the projections cover Fourier space, for a
 * specimen of diameter D.
 *
 * A specimen of D voxels has independent numbers every 1/D: a frequency counts as covered if some
 * plane passes within 1/(2 D). N evenly spaced tilts cover all directions up to N / (pi D), the
 * Crowther limit.
 *
 * @map:         [out] float32 [rows][columns], how many planes cover that direction at |F| = 1/2,
 * or NULL. Directions (cos a sin t, sin a sin t, cos t): cos t falls from 1 to 0 with the rows, a
 * goes once around with the columns, pixels are of one area; -F is as F
 * @rows, @columns: 16..4096 each: also of the directions that @coverage is made of
 * @pose:        [in] [count], rotations
 * @diameter_px: D, >= 1
 *
 * Errors: PN_EARG. Thread: reentrant; OpenMP, same bytes for any number of threads.
 * Cost: rows x columns x count.
 * Source: Crowther, DeRosier & Klug, Proc. R. Soc. A 317, 319 (1970).
 */
int pn_coverage(struct pn_coverage *coverage, float *map, size_t rows, size_t columns,
		const struct pn_pose *pose, size_t count, double diameter_px, struct pn_error *err);

#endif
