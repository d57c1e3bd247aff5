/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/pose.h - how the specimen stood in each projection, and the projections themselves.
 */
#ifndef PERRIN_TOMO_POSE_H
#define PERRIN_TOMO_POSE_H

#include "perrin/base/status.h"

#include <stddef.h>

/*
 * Geometry of every tomographic kernel. A volume is float32 [nz][ny][nx]; its origin is the voxel
 * (nz/2, ny/2, nx/2), integer division, and so is that of an image [ny][nx]. The voxel at
 * r = (X, Y, Z), in voxels from the origin, is seen at
 *
 *	x = rotation[0] . r + shift_px[0],   y = rotation[1] . r + shift_px[1]
 *
 * pixels from the origin of the image; rotation[2] . r is the depth along the beam. Voxels and
 * pixels have the same size.
 */

/** One orientation of the specimen. Zero-initialised is not a pose: use the functions below. */
struct pn_pose {
	double rotation[3][3]; /* volume to detector frame, det = +1 */
	double shift_px[2];    /* x, y */
};

/** The shape of a volume. */
struct pn_box {
	size_t nz, ny, nx;
};

/** A tilt series, or any set of projections; everything borrowed. */
struct pn_projections {
	size_t count, ny, nx;
	const float *image;         /* [count][ny][nx], background 0 */
	const struct pn_pose *pose; /* [count] */
};

/** pn_box_voxels - nz ny nx. */
size_t pn_box_voxels(const struct pn_box *box);

/**
 * pn_pose_tilt - the stage tilted by @angle_deg about y, no shift:
 *
 *	x = X cos(angle) - Z sin(angle),   y = Y,   depth = X sin(angle) + Z cos(angle)
 *
 * Multiples of 90 degrees are exact.
 */
void pn_pose_tilt(struct pn_pose *pose, double angle_deg);

/**
 * pn_pose_euler - rotation = (Rz(phi) Ry(theta) Rx(psi))^T with right-handed active rotations, the
 * "ZYX" angles of RESIRE and GENFIRE; phi = psi = 0 is pn_pose_tilt(theta). No shift.
 */
void pn_pose_euler(struct pn_pose *pose, double phi_deg, double theta_deg, double psi_deg);

/**
 * pn_pose_to_euler - the angles of pn_pose_euler, theta in -90..90; at theta = +-90, where only
 * phi -+ psi is defined, psi = 0.
 */
void pn_pose_to_euler(const struct pn_pose *pose, double *phi_deg, double *theta_deg,
		      double *psi_deg);

/**
 * pn_poses_single_axis - 1 if every pose keeps y as it is (rotation[1] = (0, 1, 0) to 1e-12): then
 * the planes of constant y are reconstructed apart from each other. A shift along y does not
 * matter.
 */
int pn_poses_single_axis(const struct pn_pose *pose, size_t count);

/**
 * pn_projections_check - shapes, finiteness and rotations, before anything is computed from them.
 *
 * Errors: PN_EARG with the number of the projection: none at all, an empty shape, a pixel that is
 * not finite, a rotation that is none (to 1e-6), an image whose pixels are all 0.
 * Cost: one pass over the images.
 */
int pn_projections_check(const struct pn_projections *projections, struct pn_error *err);

#endif
