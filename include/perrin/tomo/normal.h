/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/normal.h - the normal equations of a tilt series as running sums, one tilt at a time.
 */
#ifndef PERRIN_TOMO_NORMAL_H
#define PERRIN_TOMO_NORMAL_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

/*
 * A projection A_k of a band-limited volume u, seen on an unbounded detector,
 *
 *	(A_k u)(x, y) = sum_r u(r) sinc(x - x_k(r)) sinc(y - y_k(r)),
 *
 * has the normal operator
 *
 *	(A_k^T A_k u)(r) = sum_r' sinc(R_k0 . (r - r')) sinc(R_k1 . (r - r')) u(r'),
 *
 * a convolution (R_k0, R_k1 the first two rows of the rotation). So the least-squares problem over
 * any number of tilts is one kernel h = sum_k sinc sinc and one right-hand side b = sum_k A_k^T
 * p_k, and an iteration costs two FFTs of a grid of twice the size of the volume, whatever the
 * number of tilts.
 *
 * Every addend is rounded to a multiple of a fixed power of two (2^-40 for the kernel, 2^-34 of
 * the largest pixel for the right-hand side) before it is added in double: the sums are exact.
 * They do not depend on the order of the tilts, and a tilt that is taken away leaves no trace.
 */

struct pn_normal {
	struct pn_box box;
	int single_axis; /* 1: planes of constant y are independent, the kernel is 2D          */
	double quantum;  /* of the right-hand side                                             */
	size_t tilts;    /* added less subtracted                                              */
	double energy;   /* sum of p^2 over all pixels: of both its parts                      */
	double energy_part[2]; /* multiples of a coarse and of a fine quantum                  */
	double *rhs;    /* single_axis: [ny][nz][nx]; else [nz][ny][nx]                       */
	double *kernel; /* single_axis: [nz][2 nx - 1], dz >= 0; else [nz][2 ny - 1][2 nx - 1];
			 * the other half is h(-r) = h(r)                                     */
};

/**
 * pn_normal_create - empty sums; caller destroys.
 *
 * @single_axis:   only poses for which pn_poses_single_axis holds will be added
 * @largest_pixel: > 0, about the largest absolute value of any pixel to come: fixes the rounding.
 *                 Pixels up to 1000 times larger are taken as well.
 *
 * Errors: PN_EARG (empty box, or more than 1024 voxels along an axis), PN_ENOMEM with the bytes.
 */
int pn_normal_create(struct pn_normal **normal, const struct pn_box *box, int single_axis,
		     double largest_pixel, struct pn_error *err);
void pn_normal_destroy(struct pn_normal *normal);

/**
 * pn_normal_add - one more tilt.
 *
 * @image: [in] float32 [ny][nx], background 0; its own shape may differ from the box's
 *
 * Errors: PN_EARG (a pixel not finite or beyond the range, a pose that is no rotation, a shift
 * beyond 10^6 px, a pose that tilts about another axis in a single_axis sum), PN_ENOMEM; the sums
 * are as before then.
 * Thread: one call at a time per sums; OpenMP inside, the bytes do not depend on its threads.
 * Cost: single axis: 8 multiply-adds per voxel; else 64 and two sincs for each of 4 voxels' worth
 * of kernel.
 */
int pn_normal_add(struct pn_normal *normal, const struct pn_pose *pose, const float *image,
		  size_t ny, size_t nx, struct pn_error *err);

/**
 * pn_normal_subtract - take away what pn_normal_add gave for the same pose and image: the sums
 * are, to the bit, what they would be without it. Errors and cost as pn_normal_add.
 */
int pn_normal_subtract(struct pn_normal *normal, const struct pn_pose *pose, const float *image,
		       size_t ny, size_t nx, struct pn_error *err);

/** pn_normal_reset - no tilts again, same box. */
void pn_normal_reset(struct pn_normal *normal);

#endif
