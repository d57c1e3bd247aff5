/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/math/kaiser.h - the Kaiser-Bessel kernel that interpolates in oversampled Fourier grids.
 */
#ifndef PERRIN_MATH_KAISER_H
#define PERRIN_MATH_KAISER_H

#define PN_KAISER_WIDEST 8    /* points of a kernel                                      */
#define PN_KAISER_STEPS  2048 /* of its table, per grid point; linear between them       */

/**
 * A kernel of @width points for grids oversampled by a given ratio,
 *
 *	K(k) = I0(beta sqrt(1 - (2 k / width)^2)) / I0(beta),   |k| <= width / 2 grid points.
 *
 * Row i of the table holds the weights of the width points from the first one on, where that is
 * i / PN_KAISER_STEPS nearer to the frequency than width / 2; the rest of a row is 0.
 */
struct pn_kaiser {
	int width;
	double beta;
	float table[PN_KAISER_STEPS + 2][PN_KAISER_WIDEST];
};

/**
 * pn_kaiser_make - beta for the least error at @oversampling, and the table.
 *
 * @width: 2..PN_KAISER_WIDEST. With oversampling 2 the error of an interpolated number is about
 *         1e-2 (3), 2e-3 (4), 2e-4 (5), 2e-5 (6) of the largest
 * @oversampling: > 1, grid points over samples
 *
 * Thread: reentrant. Cost: milliseconds.
 * Source: Jackson et al., IEEE Trans. Med. Imaging 10, 473 (1991); beta: Beatty et al., IEEE Trans.
 * Med. Imaging 24, 799 (2005), eq. 5.
 */
void pn_kaiser_make(struct pn_kaiser *kaiser, int width, double oversampling);

/**
 * pn_kaiser_transform - the kernel's Fourier transform at x samples from the origin of a grid of
 * @points: what an array is divided by before it is transformed to be interpolated.
 */
double pn_kaiser_transform(const struct pn_kaiser *kaiser, double x, double points);

#endif
