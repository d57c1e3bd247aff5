/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/genfire.h - GENFIRE, generalized Fourier iterative reconstruction. */
#ifndef PERRIN_TOMO_GENFIRE_H
#define PERRIN_TOMO_GENFIRE_H

#include "perrin/tomo/pose.h"

#include <stdint.h>

/** How measured Fourier coefficients come onto the grid. */
enum pn_gridding {
	/* weighted mean of the samples of the padded images' FFTs within the radius of a node */
	PN_GRIDDING_FFT,
	/* the exact transform of the image at the foot point of each node within the radius of its
	 * plane; weighted mean over the images */
	PN_GRIDDING_DFT,
};

/** Which measured coefficients are enforced when. q: 1 at the Nyquist frequency. */
enum pn_genfire_schedule {
	PN_GENFIRE_ALL,       /* all of them, always                                    */
	PN_GENFIRE_EXTENSION, /* 1 - q > cutoff: 0.95 down to -0.15 (all) in steps of 0.15 */
	/* the same, then up again to 0.85 in steps of 0.1: noisy high frequencies are let go */
	PN_GENFIRE_EXTENSION_SUPPRESSION,
};

/** How to run; fill with pn_genfire_defaults, then change. */
struct pn_genfire_options {
	double oversampling;       /* 3: the grid over the box, 1..16                           */
	enum pn_gridding gridding; /* PN_GRIDDING_FFT                                           */
	double radius_px;          /* 0.7 grid nodes, 0..4                                      */
	int squared_weight;        /* 1: samples weigh 1/(d^2 + 1e-5) (the authors' Python code), 0:
				      1/(d + 1e-5) (MATLAB); DFT gridding: always 1/max(d, 1e-5) */
	enum pn_genfire_schedule schedule; /* PN_GENFIRE_EXTENSION_SUPPRESSION                  */
	int iterations;         /* 100                                                       */
	double free_fraction;   /* 0: of the coefficients withheld for R-free, 0..0.5        */
	uint64_t seed;          /* 0: which ones                                             */
	const float *initial;   /* [nz][ny][nx] to start from; NULL: 0 everywhere            */
	const uint8_t *support; /* [nz][ny][nx] 0 where nothing can be; NULL: the box        */
	/* after each iteration; non-zero = enough, return what there is; may be NULL */
	int (*progress)(void *context, int iteration, double r_magnitude);
	void *context;
};

/** pn_genfire_defaults - the values above. */
void pn_genfire_defaults(struct pn_genfire_options *options);

/**
 * What happened, with K the transform of the object and M the measured coefficients on the grid:
 *
 *	r_magnitude = sum ||K| - |M|| / sum |M|    as the authors' Python code has it
 *	r_complex   = sum |K - M| / sum |M|        as their MATLAB code has it
 *	r_free      = r_magnitude over the coefficients withheld
 *
 * All three of the object after positivity and support, before coefficients are put back. Freed
 * with pn_genfire_history_free.
 */
struct pn_genfire_history {
	int iterations;      /* done                                           */
	int best;            /* the iteration whose object was returned, 1 = first */
	size_t measured;     /* nodes of the half grid with a coefficient      */
	size_t withheld;     /* of these                                       */
	double *r_magnitude; /* [iterations]                                   */
	double *r_complex;   /* [iterations]                                   */
	double *r_free;      /* [iterations] NaN if nothing is withheld        */
};

/** pn_genfire_history_free - empty or NULL is fine. */
void pn_genfire_history_free(struct pn_genfire_history *history);

/**
 * pn_genfire - the object that agrees with the measured Fourier coefficients on a grid and is >= 0
 * inside its support: coefficients and constraints are enforced in turn.
 *
 *	u <- max(0, u) in the support, 0 outside
 *	K = FFT(u),  K <- M where enforced,  u <- FFT^-1(K)
 *
 * @volume:      [out] float32 [nz][ny][nx] of @box, unit of the images per pixel; written only on
 *               success. The object of the lowest r_magnitude since the schedule last changed.
 * @projections: background 0; images may be of another size than the box
 * @history:     [out] may be NULL
 *
 * Grids are rounded up to the next even size of factors 2, 3, 5 and 7. Coefficients at and beyond
 * the Nyquist frequency are not used. Of each shell of one pixel's width (of the image),
 * floor(free_fraction times its number) are withheld, drawn by pn_rng from @seed; never those of
 * frequency 0 along x, which stand on the half grid twice.
 *
 * Errors: PN_EARG (pn_projections_check; options out of range; a volume to start from that is not
 * finite; a grid over 4096; no coefficient within the radius), PN_ENOMEM (with the bytes needed).
 * Thread: reentrant; work is shared among OpenMP threads, same bytes for any number of them.
 * Cost: two 3D transforms of the padded grid per iteration, most of whose lines are 0 or not
 * wanted, and a tenth of that for the rest: 30 ms for 64^3 voxels at oversampling 3, one thread.
 * Gridding 41 projections: 0.15 s by FFT, 1 s by DFT (4 ny nx operations per node and image).
 * Source: Pryor et al., Sci. Rep. 7, 10409 (2017); methods R26.
 */
int pn_genfire(float *volume, const struct pn_box *box, const struct pn_projections *projections,
	       const struct pn_genfire_options *options, struct pn_genfire_history *history,
	       struct pn_error *err);

#endif
