/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/projector.h - projections of a volume in real space, and their exact adjoint. */
#ifndef PERRIN_TOMO_PROJECTOR_H
#define PERRIN_TOMO_PROJECTOR_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>

struct pn_projector;

/** What one voxel of unit density looks like on the detector. */
enum pn_footprint {
	/**
	 * Four points of 1/4 at (+-1/4, 0, +-1/4) voxel along X, Z of the volume, each shared out
	 * bilinearly among four pixels. Source: Pham et al., Sci. Rep. 13, 5624 (2023), the "Radon"
	 * operator of RESIRE.
	 */
	PN_FOOTPRINT_LINEAR,
	/**
	 * sinc(x) sinc(y), what a band-limited volume asks for, each under the Kaiser-Bessel window
	 * I0(b sqrt(1 - (x/h)^2)) / I0(b), h = 18 px, b = 5.75. Volumes without frequencies above
	 * 0.9 of Nyquist: the projection differs from that by the unlimited sinc by 5e-4 of it in
	 * the root mean square (white spectrum), by 2e-3 of the components next to the limit.
	 */
	PN_FOOTPRINT_SINC,
};

/**
 * pn_projector_plan - prepare A, the projections of volumes of one shape in a set of poses.
 *
 *	(A u)[k][y][x] = sum_r w(x - x_k(r), y - y_k(r)) u[r]
 *
 * with x_k(r), y_k(r) of perrin/tomo/pose.h and w the footprint.
 *
 * @box:    shape of the volume, each axis 1..4096
 * @pose:   [in] [count], copied; shifts up to 4096 px. If all of them turn about y alone
 *          (pn_poses_single_axis), the planes of constant y are projected apart from each other,
 *          which is some 40 times faster
 * @ny, @nx: shape of the images, 1..4096
 *
 * Holds scratch memory of about the size of the images if single-axis, of a few images per thread
 * otherwise.
 * Errors: PN_EARG (shape, a pose that is none), PN_ENOMEM. Caller destroys.
 */
int pn_projector_plan(struct pn_projector **projector, const struct pn_box *box,
		      const struct pn_pose *pose, size_t count, size_t ny, size_t nx,
		      enum pn_footprint footprint, struct pn_error *err);
void pn_projector_destroy(struct pn_projector *projector);

/**
 * pn_project - @image = A @volume.
 *
 * @volume: [in]  float32 [nz][ny][nx], finite
 * @image:  [out] float32 [count][ny][nx]
 *
 * Thread: one call at a time per projector (it owns scratch); shares the work among OpenMP threads,
 * the bytes do not depend on their number.
 * Cost: per voxel and projection, single-axis 3..4 (linear) or 36..51 (sinc) multiply-adds;
 * otherwise 12 or 1440.
 */
void pn_project(struct pn_projector *projector, const float *volume, float *image);

/**
 * pn_backproject - @volume = A^T @image, with the very same weights.
 *
 * <A u, p> = <u, A^T p> to rounding. Threads and cost as above.
 */
void pn_backproject(struct pn_projector *projector, const float *image, float *volume);

#endif
