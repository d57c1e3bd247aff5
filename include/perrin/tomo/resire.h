/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/resire.h - RESIRE, the real-space iterative reconstruction of atomic tomography. */
#ifndef PERRIN_TOMO_RESIRE_H
#define PERRIN_TOMO_RESIRE_H

#include "perrin/tomo/pose.h"
#include "perrin/tomo/rfactor.h"

#include <stdint.h>

/** How to run; fill with pn_resire_defaults, then change. */
struct pn_resire_options {
	double oversampling;    /* 3: the grid of the 3D transform over the box, 1..16   */
	double step;            /* 2: in units of 1/(count N); stable below about 2      */
	int iterations;         /* 100                                                   */
	int record_every;       /* 10: iterations between two R factors; 0: none         */
	const float *initial;   /* [nz][ny][nx] to start from; NULL: 0 everywhere        */
	const uint8_t *support; /* [nz][ny][nx] 0 where nothing can be; NULL: everywhere */
	/* after each record; non-zero = enough, return what there is; may be NULL */
	int (*progress)(void *context, int iteration, double r1);
	void *context;
};

/** pn_resire_defaults - the values above. */
void pn_resire_defaults(struct pn_resire_options *options);

/**
 * pn_resire - the volume u >= 0 that makes 1/2 sum_k ||A_k u - b_k||^2 small, by projected
 * gradient descent with the operators of RESIRE's Fourier slice method:
 *
 *	u <- max(0, u - dt sum_k B_k (A_k u - b_k)),   dt = step / (count N)
 *
 * A_k: u, padded with zeros to @oversampling times its size, is transformed; the plane
 * kx rotation[0] + ky rotation[1] is read off by trilinear interpolation, transformed back, its
 * real part cropped. B_k: each voxel reads the image where it is seen, by bilinear interpolation, 0
 * beyond the centers of its outermost pixels. N is the longest edge of the box seen along a beam:
 * of nz and nx if all poses tilt about y, else of all three; count N is the norm of sum A^T A to a
 * few per cent.
 *
 * @volume:      [out] float32 [nz][ny][nx] of @box, unit of the images per pixel; written only on
 *               success
 * @projections: background 0; images may be of another size than the box
 * @history:     [out] R factors of the projections **before** the update, at iterations
 *               record_every, 2 record_every, ...; free with pn_rfactors_free. May be NULL.
 *
 * Grids are rounded up to the next even size of factors 2, 3, 5 and 7 (192 stays 192). Shifts of
 * the poses are applied to A_k as phases and to B_k as coordinates. If all poses tilt about y,
 * images are as high as the box and no shift along y is used, each plane of constant y is
 * reconstructed by itself with 2D transforms: the same sums in less time.
 *
 * When progress asks to stop, the volume is the one whose R factor it was told.
 *
 * Errors: PN_EARG (pn_projections_check; options out of range; a volume to start from that is not
 * finite; a grid over 4096), PN_ENOMEM (with the bytes needed).
 * Thread: reentrant; work is shared among OpenMP threads, same bytes for any number of them.
 * Cost: 64^3 voxels, 41 projections, oversampling 3, one thread: 10 ms per iteration for tilts
 * about y, half of it 64 transforms of 192^2 pixels; 45 ms otherwise, 13 of it the transform of
 * a grid of 192^3.
 * Source: Pham, Yuan, Rana, Osher, Miao, Sci. Rep. 13, 5624 (2023), algorithm 1 with its Fourier
 * slice operators; methods R25.
 */
int pn_resire(float *volume, const struct pn_box *box, const struct pn_projections *projections,
	      const struct pn_resire_options *options, struct pn_rfactors *history,
	      struct pn_error *err);

#endif
