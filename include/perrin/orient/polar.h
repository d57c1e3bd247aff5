/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/polar.h - images and maps as rings of their Fourier transform. */
#ifndef PERRIN_ORIENT_POLAR_H
#define PERRIN_ORIENT_POLAR_H

#include "perrin/base/status.h"
#include "perrin/tomo/slice.h"

#include <complex.h>
#include <stddef.h>

/** What of an image counts for its orientation. */
struct pn_polar_params {
	size_t edge; /* of images [edge][edge] and maps [edge]^3, even, 16..512      */
	double pixel_A;
	double resolution_low_A;  /* rings from here ...                                          */
	double resolution_high_A; /* ... to here; both spacings                                   */
	double radius_px;         /* of the particle; 0: edge / 2. Images are masked to it, and
				   * angular frequencies beyond what it can hold are left out      */
	double ring_power;        /* ring k counts k^ring_power: 1 is white noise's likelihood    */
	const double *ctf;        /* contrast transfer at |f| = s / (2 edge) cycles per pixel,
				   * s = 0..edge, linear between; NULL: 1. Of maps only            */
	const double *noise; /* its power likewise, any unit; NULL: white                     */
};

/**
 * The polar grid: rings of whole cycles per edge; half a turn of each, as the other half is the
 * complex conjugate. A ring's Fourier series over the angle, F(k, a) = sum_m F_m(k) exp(i m a), has
 * F_-m = (-1)^m conj F_m: the orders m = 0..orders - 1 say all.
 */
struct pn_polar {
	struct pn_polar_params params;
	size_t rings, first;    /* ring r is at first + r cycles per edge                       */
	size_t angles, half;    /* around a ring; half of it                                    */
	size_t orders;          /* of angular frequencies that a particle of the radius has     */
	size_t points;          /* rings * half                                                 */
	double (*frequency)[2]; /* [rings][half] fx, fy in cycles per pixel                     */
	double *weight;         /* [rings] of a product of two coefficients in sums over rings:
				 * k^ring_power / noise, mean 1                                  */
	double *ctf;            /* [rings]                                                      */
	double samples;         /* independent numbers in the rings within the radius, for
				 * likelihoods: those of the disk that the mask lets through     */
	struct pn_polar_work *work;
};

/**
 * pn_polar_create - plans and tables; caller destroys.
 *
 * Errors: PN_EARG (edge, band: at least 3 rings below the Nyquist frequency; radius), PN_ENOMEM.
 * The ctf and noise arrays are not needed afterwards.
 */
int pn_polar_create(struct pn_polar **polar, const struct pn_polar_params *params,
		    struct pn_error *err);
void pn_polar_destroy(struct pn_polar *polar);

/**
 * pn_polar_image - an image's transform on the rings, about the pixel (edge/2, edge/2).
 *
 * The image less its mean outside of the mask is multiplied by the mask, a disk of the radius and
 * a cosine edge, about @center_px.
 *
 * @image:     [in]  float32 [edge][edge], finite
 * @center_px: where the particle is, x, y from the origin of the image: the mask's place; NULL: 0
 * @ring:      [out] complex64 [rings][half]
 *
 * Thread: one call at a time per polar. Cost: one real FFT of (2 edge)^2 and 40 ns per point.
 */
void pn_polar_image(struct pn_polar *polar, const float *image, const double center_px[2],
		    float complex *ring);

/**
 * pn_polar_move - the rings of the image moved by (-shift), so that what was at @shift_px comes to
 * the origin: each point times exp(2 pi i f . shift).
 *
 * @out: may be @ring
 */
void pn_polar_move(const struct pn_polar *polar, const float complex *ring,
		   const double shift_px[2], float complex *out);

/**
 * pn_polar_orders - the Fourier series of every ring, normalised: sum over rings of the weight and
 * over all orders, negative ones as well, of |F_m|^2 is 1, if @norm is given; it receives the norm
 * before. A transform that is 0 everywhere stays so.
 *
 * @ring:  [in]  complex64 [rings][half]; taken as it is
 * @order: [out] complex64 [orders][rings], times sqrt(weight)
 *
 * Thread: one call at a time per polar.
 */
void pn_polar_orders(struct pn_polar *polar, const float complex *ring, float complex *order,
		     double *norm);

/** pn_polar_map - the rings of the central slice of a map under @rotation, times the CTF. */
void pn_polar_map(const struct pn_polar *polar, const struct pn_slicer *map,
		  const double rotation[3][3], float complex *ring);

/** pn_polar_product - Re sum over all points of weight a conj(b), and the norms; NULL: not wanted.
 */
double pn_polar_product(const struct pn_polar *polar, const float complex *a,
			const float complex *b);

#endif
