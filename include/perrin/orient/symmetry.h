/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/symmetry.h - orientations of a cubic crystal that look alike; poses against truth.
 */
#ifndef PERRIN_ORIENT_SYMMETRY_H
#define PERRIN_ORIENT_SYMMETRY_H

#include "perrin/base/status.h"
#include "perrin/math/rotation.h"

#include <stddef.h>

#define PN_CUBIC_ROTATIONS 24

/** pn_cubic_rotations - the proper rotations of the cube, as unit quaternions; the first is 1. */
extern const double pn_cubic_rotations[PN_CUBIC_ROTATIONS][4];

/** What kind of other pose one is, seen from a first one. */
enum pn_pose_relation {
	PN_POSE_SAME, /* within the tolerance                                               */
	PN_POSE_FLIP, /* a pseudo-symmetry of an fcc particle: q S, or the same turned by 180 deg
		       * about the beam (the projection of a centrosymmetric particle is
		       * centrosymmetric)                                                  */
	PN_POSE_OTHER,
};

/**
 * pn_pose_relate - @a and @b: specimen to detector frame, crystal axes along those of the specimen
 * after @crystal (specimen = crystal rotated; NULL: identity).
 *
 * The equivalents of b are b C S C^-1 and the same turned by 180 deg about the beam (a
 * centrosymmetric particle, I(-x) = I(x)), S of the cube's rotations, C = @crystal. SAME is for b
 * itself only.
 *
 * @angle_deg: [out] from a to the nearest equivalent of b (b among them); may be NULL
 *
 * Thread: reentrant, as all of this header. Cost: below 1 us.
 */
enum pn_pose_relation pn_pose_relate(const double a[4], const double b[4], const double crystal[4],
				     double tolerance_deg, double *angle_deg);

/** pn_cubic_angle_deg - smallest angle from @a to @b S, S of the cube's rotations; 0..62.8 deg. */
double pn_cubic_angle_deg(const double a[4], const double b[4]);

/** How found poses compare with true ones. */
struct pn_pose_score {
	size_t count, within_5deg, flipped; /* flipped: right only after a pseudo-symmetry       */
	double median_deg; /* of those within 5 deg; NAN if there are none                      */
	double mean_deg;   /* of all                                                            */
	double common[4];  /* truth's frame to the found map's: found = true * common, taken out */
	double shift_rms_px; /* along an axis, of those within 5 deg, the common one taken out   */
	double shift_common_px[3]; /* where the origin of the found map is in the specimen       */
};

/**
 * pn_pose_score - errors of poses up to one rotation of the whole specimen (the map's own frame)
 * and one shift of its origin, c: found_shift - truth_shift = (R_k c)_xy, R_k the true rotation.
 *
 * @found, @truth: [in] [count] unit quaternions, specimen to detector frame; the specimen's axes
 *                 of @truth are those of the crystal (for the flips)
 * @found_shift_px, @truth_shift_px: [in] [count] x, y, or both NULL (then the shifts are 0)
 * @error_deg: [out] [count] or NULL
 *
 * The common rotation is found robustly: the mode of truth^-1 found over all frames (every frame's
 * as a candidate, or 512 of them), then the mean of those within 10 deg; with an fcc particle it
 * is defined up to the particle's own symmetry only, and the mode takes what most frames say. c is
 * the least squares solution over the frames within 5 deg; what they do not determine (the depth,
 * if all look the same way) is 0.
 *
 * Errors: PN_EARG (no poses, a quaternion of a norm other than 1 to 1e-6, a shift that is not
 * finite, shifts of one kind only), PN_ENOMEM. Cost: up to 512 count products of quaternions.
 */
int pn_pose_score(struct pn_pose_score *score, const double (*found)[4], const double (*truth)[4],
		  const double (*found_shift_px)[2], const double (*truth_shift_px)[2],
		  size_t count, double *error_deg, struct pn_error *err);

#endif
