/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/lens.h - objective lens: exit wave to image. */
#ifndef PERRIN_TWIN_LENS_H
#define PERRIN_TWIN_LENS_H

#include "perrin/base/status.h"

#include <complex.h>
#include <stddef.h>

struct pn_lens_params {
	size_t ny, nx; /* pixels of the field */
	double pixel_A;
	double energy_keV;
	double defocus_A;       /* C1, > 0: overfocus, the plane beam-down of the wave's plane    */
	double cs_um;           /* C3                                                             */
	double c5_mm;           /* C5                                                             */
	double astigmatism_A;   /* A1: defocus is C1 + A1 along the angle, C1 - A1 across         */
	double astigmatism_deg; /* from x towards y                                               */
	double focal_spread_A;  /* rms of the defocus over the exposure                           */
	double convergence_mrad; /* semi-angle at 1/e of the Gaussian source */
	double aperture_mrad; /* semi-angle; 0: no aperture                                     */
};

struct pn_lens;

/**
 * pn_lens_plan - prepare the coherent transfer function of a field; caller destroys it.
 *
 *	H(q) = exp(-i chi(q)) Et(q) Es(q),	|q| < 2/3 Nyquist and inside the aperture
 *	chi  = pi lambda q^2 (C1 + A1 cos 2(phi - phi_A)) + pi/2 C3 lambda^3 q^4
 *	       + pi/3 C5 lambda^5 q^6
 *	Et   = exp(-(pi lambda Delta)^2 q^4 / 2)
 *	Es   = exp(-(pi alpha)^2 (C1 q + C3 lambda^2 q^3 + C5 lambda^4 q^5)^2)
 *
 * Sign convention: with the wave exp(+ikz) of multislice.h, C1 > 0 is overfocus. A weak phase
 * object exp(i phi) gives the contrast 2 phi sin(chi), so atoms (phi > 0) are bright where
 * sin(chi) > 0. Negative C3 with positive C1 does that over a broad band ("white-atom contrast",
 * Jia, Lentzen and Urban, Microsc. Microanal. 10, 174 (2004)); see pn_lens_white_defocus_A.
 *
 * The envelopes are those of the quasi-coherent approximation: right for the part of the image
 * linear in the scattered wave (Kirkland (2010), section 3.2; Frank, Optik 38, 519 (1973)).
 *
 * Errors: PN_EARG (shape, pixel, energy), PN_ENOMEM. Thread: reentrant.
 */
int pn_lens_plan(struct pn_lens **plan, const struct pn_lens_params *params, struct pn_error *err);
void pn_lens_destroy(struct pn_lens *plan);

/**
 * pn_lens_execute - image intensity |F^-1[H F[wave]]|^2; 1 where the wave is a unit plane wave.
 *
 * @wave:  [inout] complex64 [ny][nx] from pn_fft_alloc; the image wave afterwards
 * @image: [out] float32 [ny][nx], dimensionless; may not overlap wave
 *
 * Thread: any number of threads with one plan. Allocates: nothing. Cost: 2 FFTs.
 */
void pn_lens_execute(const struct pn_lens *plan, float complex *wave, float *image);

/**
 * pn_lens_white_defocus_A - the defocus of opposite sign to C3 with the broadest band of equal
 * contrast (extended Scherzer focus): C1 = -1.2 sign(C3) sqrt(|C3| lambda).
 *
 * At -11 um and 300 keV: +56 A, and atoms are white.
 */
double pn_lens_white_defocus_A(double cs_um, double energy_keV);

#endif
