/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/sirt.h - SIRT, the simultaneous iterative reconstruction technique, and >= 0. */
#ifndef PERRIN_TOMO_SIRT_H
#define PERRIN_TOMO_SIRT_H

#include "perrin/tomo/pose.h"
#include "perrin/tomo/rfactor.h"

#include <stdint.h>

/** A projector and its adjoint, whatever they are made of. Both write all of their output. */
struct pn_sirt_operator {
	void (*forward)(void *context, const float *volume, float *images);
	void (*backward)(void *context, const float *images, float *volume);
	void *context;
};

/** How to run; fill with pn_sirt_defaults, then change. */
struct pn_sirt_options {
	double relaxation;      /* 1: times the update, above 0 and below 2              */
	int iterations;         /* 100                                                   */
	int record_every;       /* 1: iterations between two R factors; 0: none          */
	int positive;           /* 1: u >= 0                                             */
	const float *initial;   /* [nz][ny][nx] to start from; NULL: 0 everywhere        */
	const uint8_t *support; /* [nz][ny][nx] 0 where nothing can be; NULL: everywhere */
	/* after each record; non-zero = enough, return what there is; may be NULL */
	int (*progress)(void *context, int iteration, double r1);
	void *context;
};

/** pn_sirt_defaults - the values above. */
void pn_sirt_defaults(struct pn_sirt_options *options);

/**
 * pn_sirt - solve A u = b by
 *
 *	u <- max(0, u + relaxation C A^T R (b - A u))
 *
 * R: 1 over the sums of the rows of A (forward of a volume of ones), C: 1 over the sums of its
 * columns (backward of images of ones); 0 where a sum is under 1e-6 of the largest: pixels that see
 * nothing, voxels nobody sees.
 *
 * @volume:      [out] float32 [nz][ny][nx] of @box, unit of the images per pixel; written only on
 *               success
 * @projections: b; the poses are the operator's business
 * @a:           A and A^T; weights must not be negative
 * @history:     [out] R factors of the projections **before** the update; free with
 *               pn_rfactors_free. May be NULL.
 *
 * When progress asks to stop, the volume is the one whose R factor it was told.
 *
 * Errors: PN_EARG (pn_projections_check; options out of range; a volume to start from that is not
 * finite; an operator whose sums are not finite, or all 0), PN_ENOMEM (with the bytes needed, but
 * for the operator's own).
 * Thread: as the operator. Cost: one forward and one backward per iteration, and 6 passes.
 * Source: Gilbert, J. Theor. Biol. 36, 105 (1972), as normalised by Gregor and Benson, IEEE Trans.
 * Med. Imaging 27, 918 (2008), equation 5.
 */
int pn_sirt(float *volume, const struct pn_box *box, const struct pn_projections *projections,
	    const struct pn_sirt_operator *a, const struct pn_sirt_options *options,
	    struct pn_rfactors *history, struct pn_error *err);

#endif
