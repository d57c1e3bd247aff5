/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/rfactor.h - how far projections of a reconstruction are from the measured ones. */
#ifndef PERRIN_TOMO_RFACTOR_H
#define PERRIN_TOMO_RFACTOR_H

#include "perrin/base/status.h"

#include <stddef.h>

/**
 * The R factors of an iterative reconstruction, one record per iteration looked at:
 *
 *	R1_k = sum |c_k - b_k| / sum |b_k|,   R2_k = ||c_k - b_k|| / ||b_k||
 *
 * with c_k the calculated and b_k the measured projection, over all pixels. Zero-initialised is
 * empty. Made by a solver, freed by pn_rfactors_free.
 */
struct pn_rfactors {
	size_t records, count;     /* count: projections                                */
	int iterations;            /* that were finished, looked at or not              */
	int *iteration;            /* [records] 1 = the volume the solver started from  */
	double *r1_mean, *r2_mean; /* [records] over the projections                    */
	double *r1, *r2;           /* [records][count]                                  */
	size_t room;               /* records there is memory for                       */
};

/** pn_rfactor - R1 and R2 of one projection of @pixels; NaN if measured is 0 everywhere. */
void pn_rfactor(double *r1, double *r2, const float *calculated, const float *measured,
		size_t pixels);

/** pn_rfactors_init - make room for @records of @count projections each. Errors: PN_ENOMEM. */
int pn_rfactors_init(struct pn_rfactors *r, size_t records, size_t count, struct pn_error *err);

/**
 * pn_rfactors_add - one more record; returns its mean R1. There must be room for it.
 *
 * @r1, @r2: [count] of each projection
 */
double pn_rfactors_add(struct pn_rfactors *r, int iteration, const double *r1, const double *r2);

/** pn_rfactors_free - give back what a solver made; @r is empty then. Empty or NULL is fine. */
void pn_rfactors_free(struct pn_rfactors *r);

#endif
