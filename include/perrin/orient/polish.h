/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/polish.h - shift and orientation of an image between the points of the search. */
#ifndef PERRIN_ORIENT_POLISH_H
#define PERRIN_ORIENT_POLISH_H

#include "perrin/orient/polar.h"
#include "perrin/tomo/pose.h"

/** How well one pose of a map explains an image. */
struct pn_polished {
	double score;                 /* correlation over the rings, weighted, -1..1             */
	double height;                /* of the map in the image: factor of the best fit         */
	double angle_uncertainty_deg; /* rms of the three angles, from the residual; NaN: not asked
				       */
	double shift_uncertainty_px;  /* of x and y                                            */
};

struct pn_polisher;

/** pn_polisher_create - scratch for one polar grid, borrowed; caller destroys. */
int pn_polisher_create(struct pn_polisher **polisher, const struct pn_polar *polar,
		       struct pn_error *err);
void pn_polisher_destroy(struct pn_polisher *polisher);

/**
 * pn_polish_shift - the shift that suits a rotation best.
 *
 * The correlation of the image moved by -shift with the slice of the map is a sum of waves over the
 * ring points: it is taken at shifts a quarter of the shortest wave apart, then Newton's method
 * goes to the top.
 *
 * @map:    prepared
 * @ring:   [in] of pn_polar_image, not moved
 * @pose:   [inout] rotation as it is; shift_px: the middle of the search, then the result
 * @reach_px: to both sides; 0: only Newton's steps
 *
 * Thread: one call at a time per polisher. Cost: one sampling of the map, then 3 us per shift tried
 * and 2000 points.
 */
void pn_polish_shift(struct pn_polisher *polisher, const struct pn_slicer *map,
		     const float complex *ring, double reach_px, struct pn_pose *pose,
		     struct pn_polished *polished);

/**
 * pn_polish_pose - rotation and shift together: Gauss-Newton steps on
 *
 *	sum over ring points of weight |A exp(2 pi i f.shift) - height B(exp(w) R)|^2
 *
 * with central differences of the slice for the turns w about the axes of the detector frame. A
 * step that lowers the correlation is halved, at most three times.
 *
 * @iterations: at most; it ends when a step is below a twentieth of the uncertainty
 * @turn_max_deg: the pose stays within; a larger turn ends it where it stood
 *
 * Cost: 7 samplings of the map per iteration, one per halving.
 */
void pn_polish_pose(struct pn_polisher *polisher, const struct pn_slicer *map,
		    const float complex *ring, int iterations, double turn_max_deg,
		    struct pn_pose *pose, struct pn_polished *polished);

#endif
