/* SPDX-License-Identifier: GPL-3.0-or-later */
/* extended_rays.h - projections of a box along rays, and their adjoint, by Joseph's method. */
#ifndef PN_EXTENDED_RAYS_H
#define PN_EXTENDED_RAYS_H

#include "perrin/tomo/pose.h"

#include <stddef.h>

/*
 * A ray is cut by the planes of voxels that it is steepest to, z = const or x = const, and summed
 * over interpolations there by cubic convolution, times the length between two of them. So the cost
 * is that of the rays there are, not of the box, which for a film at high tilts is much larger than
 * what any one image shows. Sources: Joseph, IEEE Trans. Med. Imaging 1, 192 (1982); Keys, IEEE
 * Trans. Acoust. Speech Signal Process. 29, 1153 (1981).
 */
struct pn_rays {
	struct pn_box box;
	const struct pn_pose *pose;
	size_t count, ny, nx;
	/* [count][ny][nx]: where it is 0 no ray goes; others stay two voxels inside of the box */
	const float *weight;
};

/** pn_rays_project - @image [count][ny][nx]; 0 where no ray goes. Thread: reentrant; OpenMP. */
void pn_rays_project(const struct pn_rays *rays, const float *volume, float *image);

/** pn_rays_backproject - the exact adjoint; the bytes do not depend on the number of threads. */
void pn_rays_backproject(const struct pn_rays *rays, const float *image, float *volume);

#endif
