/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/slice.h - projections as central slices of a volume's Fourier transform, and back. */
#ifndef PERRIN_TOMO_SLICE_H
#define PERRIN_TOMO_SLICE_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <complex.h>
#include <stddef.h>

struct pn_slicer;

/**
 * pn_slicer_plan - prepare the Fourier-slice operator S of one shape of volumes and images, and its
 * exact adjoint. Poses come later: one plan serves any number of them.
 *
 *	(S u)[k](x, y) = 1/P^2 sum_f U(R_k^T (fx, fy, 0)) exp(2 pi i (fx (x - sx) + fy (y - sy)))
 *
 * U is the Fourier transform of u, set to 0 outside of the cube |F| <= 1/2 per voxel; the sum is
 * over the frequencies below 1/2 per pixel of an image of P pixels that no part of the volume
 * leaves. It is the projection of the band-limited function that the voxels are samples of: what
 * PN_FOOTPRINT_SINC of perrin/tomo/projector.h gives for a tilt about y. U is interpolated in an
 * oversampled grid by a Kaiser-Bessel kernel whose taper is taken out of u before.
 *
 * @box:          each axis 1..2048
 * @ny, @nx:      of the images, 1..4096
 * @oversampling: of the grid, 1.5..4; 0 is 2. The kernel is 8 wide below 1.75, 6 below 3, then 5:
 *                the error stays below 2e-5 of the largest pixel for volumes without frequencies
 * above 1/2. Memory: 8 to 10 bytes per point of the oversampled grid, two halves of spectra
 *
 * Errors: PN_EARG, PN_ENOMEM, PN_EIO (as for perrin/math/fft3.h). Caller destroys.
 * Source: Jackson et al., IEEE Trans. Med. Imaging 10, 473 (1991); the kernel's shape: Beatty et
 * al., IEEE Trans. Med. Imaging 24, 799 (2005), eq. 5.
 */
int pn_slicer_plan(struct pn_slicer **slicer, const struct pn_box *box, size_t ny, size_t nx,
		   double oversampling, struct pn_error *err);
void pn_slicer_destroy(struct pn_slicer *slicer);

/**
 * pn_slicer_prepare - transform the volume that pn_slicer_project is to project.
 *
 * @volume: [in] float32 [nz][ny][nx], finite; not looked at later
 *
 * Thread: one call at a time per slicer, for all three functions; each shares its work among OpenMP
 * threads, the bytes do not depend on their number.
 */
void pn_slicer_prepare(struct pn_slicer *slicer, const float *volume);

/**
 * pn_slicer_project - @image = S u of the volume prepared last (zeros before the first).
 *
 * @pose:  [in]  [count], rotations (pn_projections_check); finite shifts of any size
 * @image: [out] float32 [count][ny][nx]
 *
 * An image depends on its pose only, not on the others of the call.
 * Cost: per image P^2 / 2 times 72 (oversampling 2) complex multiply-adds and one FFT of P^2, with
 * P about 1.8 times the edge of a cubic volume.
 */
void pn_slicer_project(struct pn_slicer *slicer, const struct pn_pose *pose, size_t count,
		       float *image);

/**
 * pn_slicer_sample - the prepared volume's transform at any points of a central plane,
 *
 *	value[i] = U(R^T (fx_i, fy_i, 0))
 *
 * with U the sum over voxels of u(r) exp(-2 pi i F r), r from the volume's origin; 0 outside of the
 * cube |F| <= 1/2.
 *
 * @rotation:  volume to detector frame, as of a pose
 * @frequency: [in]  [count] fx, fy in cycles per voxel
 * @value:     [out] complex64 [count]
 *
 * Thread: any number of calls at once for one prepared slicer; shares nothing among threads.
 * Cost: 60 ns per point at oversampling 2.
 */
void pn_slicer_sample(const struct pn_slicer *slicer, const double rotation[3][3],
		      const double (*frequency)[2], size_t count, float complex *value);

/**
 * pn_slicer_backproject - @volume = S^T @image, with the very same weights; the prepared volume is
 * lost: prepare again before projecting.
 *
 * @image:  [in]  float32 [count][ny][nx]
 * @volume: [out] float32 [nz][ny][nx]
 */
void pn_slicer_backproject(struct pn_slicer *slicer, const float *image, const struct pn_pose *pose,
			   size_t count, float *volume);

#endif
