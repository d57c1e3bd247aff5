/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/fista.h - non-negative least squares by FISTA on the normal equations. */
#ifndef PERRIN_TOMO_FISTA_H
#define PERRIN_TOMO_FISTA_H

#include "perrin/tomo/normal.h"

#include <stdint.h>

/** How to solve. pn_fista_defaults fills it. */
struct pn_fista_params {
	int iterations_max;
	/* stop when the held-out misfit has not fallen for so many iterations; 0: never */
	int patience;
	/* stop when the volume changes by less than this, relative, in one iteration; 0: never */
	double change_min;
	/* of the inverse Lipschitz constant; FISTA promises to converge up to 1, positivity and
	 * restarts bear 1.3, and above 1.5 it diverges (the guard then halves it) */
	double step;
	/* a cold start takes (A^T A + boost n L)^-1 b, positive part: what the data say weakly is
	 * strong at once and has to be taken back, which takes fewer iterations than building it
	 * up. 0: start from nothing */
	double boost;
	const uint8_t *support; /* [nz][ny][nx], 0: the voxel is empty; NULL: all may be filled */
	/* called after each iteration with its misfits; anything but 0 stops */
	int (*progress)(void *context, int iteration, double misfit, double held_out);
	void *context;
};

enum pn_fista_stop {
	PN_FISTA_ITERATIONS, /* iterations_max                   */
	PN_FISTA_HELD_OUT,   /* patience                         */
	PN_FISTA_CHANGE,     /* change_min                       */
	PN_FISTA_ASKED,      /* the progress callback said so    */
};

/** What came out. A misfit is |A u - p| / |p| over all pixels, the R2 factor of the whole series.
 */
struct pn_fista_result {
	enum pn_fista_stop stop;
	int iterations;   /* done                                                              */
	int best;         /* after how many the held-out misfit was least; else = iterations   */
	double misfit;    /* of the tilts solved for, at the last iteration; NaN if they are 0  */
	double held_out;  /* the least; NaN without held-out tilts                             */
	double lipschitz; /* largest eigenvalue found, over the number of tilts               */
};

struct pn_fista;

/** pn_fista_defaults - 200 iterations, patience 10, change 0, step 1.3, boost 0.01. */
void pn_fista_defaults(struct pn_fista_params *params);

/**
 * pn_fista_create - plans and memory to solve for volumes of one box; caller destroys.
 *
 * Errors: PN_EARG, PN_ENOMEM with the bytes.
 */
int pn_fista_create(struct pn_fista **fista, const struct pn_box *box, int single_axis,
		    struct pn_error *err);
void pn_fista_destroy(struct pn_fista *fista);

/**
 * pn_fista_solve - u >= 0 that makes sum_k |A_k u - p_k|^2 small.
 *
 *	v_i = u_i + (t_i - 1) / t_(i+1) (u_i - u_(i-1)),
 *	u_(i+1) = max(0, v_i - step / L (A^T A v_i - b))
 *
 * with t restarted when the step goes uphill. A^T A is one convolution; L is the Rayleigh quotient
 * of a volume of ones (4 % below the largest eigenvalue, made up for), within a support that of a
 * power iteration.
 *
 * @all:      the tilts, of the box and kind of @fista
 * @held_out: NULL, or the sums of some of the tilts in @all, which are left out of the problem and
 *            measure it: <A u - p>^2 over them costs no projection either. The misfit is that of
 *            v_i, where the spectrum is at hand.
 * @volume:   [inout] float32 [nz][ny][nx]: where to start, all zero for a cold start; then the
 *            volume after the last iteration
 *
 * Errors: PN_EARG (no tilts, another box), PN_ENOMEM.
 * Thread: one call at a time per fista; OpenMP inside, the bytes do not depend on its threads.
 * Cost per iteration: single axis: ny FFT pairs of (2 nz)(2 nx), whose empty and unwanted rows are
 * left out; else one pair of 8 nz ny nx.
 * Source: Beck, Teboulle, SIAM J. Imaging Sci. 2, 183 (2009); restart: O'Donoghue, Candes, Found.
 * Comput. Math. 15, 715 (2015).
 */
int pn_fista_solve(struct pn_fista *fista, const struct pn_fista_params *params,
		   const struct pn_normal *all, const struct pn_normal *held_out, float *volume,
		   struct pn_fista_result *result, struct pn_error *err);

/**
 * pn_fista_validated - as many iterations as held-out tilts bear, then so many with all of them.
 *
 * Noise is fitted later than the specimen: with 15 % noise the error to the truth is least after
 * some 18 iterations and grows from there, while the misfit goes on falling. The misfit of tilts
 * that are left out turns where the error does. So: solve without them, keep the number of
 * iterations at which they were met best, solve again with all tilts.
 *
 * With white noise of 15 % of the root mean square pixel this ends within 1 % of the least error
 * of all iterations, with 60 % too (41 tilts within +-70 deg). With less noise it stops early: at
 * 5 %, 6 to 9 % above the least, which comes after twice as many iterations. What is gained there
 * lies in the missing wedge, of which tilts between others know nothing.
 *
 * @volume: [out] float32 [nz][ny][nx]; both solutions start cold
 * @result: of the second, but stop, best and held_out of the first
 *
 * Errors, thread and cost as pn_fista_solve, twice; PN_EARG also if no tilt is held out.
 */
int pn_fista_validated(struct pn_fista *fista, const struct pn_fista_params *params,
		       const struct pn_normal *all, const struct pn_normal *held_out, float *volume,
		       struct pn_fista_result *result, struct pn_error *err);

#endif
