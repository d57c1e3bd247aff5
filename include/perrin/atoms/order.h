/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/order.h - bond-orientational order: q_l, Q_l, w_l, crystalline bonds, classes. */
#ifndef PERRIN_ATOMS_ORDER_H
#define PERRIN_ATOMS_ORDER_H

#include "perrin/atoms/neighbors.h"

/*
 * Perfect surroundings. q_l and Q_l are the same there; w_l is given raw, as paper 004 defines it;
 * the normalised values are -0.159317 (w4, fcc), -0.013161 (w6, fcc), -0.169754 (w6, icosahedron).
 *
 *	             q4            q6            w6 raw
 *	fcc          0.1909406540  0.5745242597  -0.00262603833
 *	hcp          0.0972222222  0.4847616852  -0.00149133041
 *	icosahedron  0             0.6633249581  -0.0521313528
 */
#define PN_ORDER_FCC_Q4             0.190940653956493335
#define PN_ORDER_FCC_Q6             0.574524259714069823
#define PN_ORDER_HCP_Q4             0.0972222222222222222
#define PN_ORDER_HCP_Q6             0.484761685208101885
#define PN_ORDER_ICOSAHEDRON_W6_RAW (-0.0521313528)

/** What is found around an atom; see pn_order_build for how. */
enum pn_order_class {
	PN_ORDER_NONE,        /* no neighbours */
	PN_ORDER_SURFACE,     /* in the mask of the surface */
	PN_ORDER_ICOSAHEDRAL, /* 12 neighbours or more around a fivefold centre */
	PN_ORDER_FCC,         /* crystalline, (Q4, Q6) nearer to that of fcc */
	PN_ORDER_HCP,         /* crystalline, (Q4, Q6) nearer to that of hcp */
	PN_ORDER_DISORDERED,  /* none of these */
	PN_ORDER_CLASSES
};

/** Thresholds; fill with pn_order_options_default, then change. */
struct pn_order_options {
	double s6_min;           /* a bond is crystalline if s6 >  this: 0.8 */
	double crystalline_part; /* an atom is, if more than this part of its bonds are: 0.5 */
	double scaled_min;       /* an atom is ordered if the scaled order is >= this: 0.5 */
	double w6_raw_max;       /* an atom is icosahedral if raw w6 <= this, */
	uint32_t neighbors_min;  /* ... and it has at least so many neighbours: 12 */
	const uint8_t *surface;  /* [atoms] not 0 = on the surface; NULL = not told apart */
};

/**
 * pn_order_options_default - the thresholds of paper 004, and half of the raw w6 of a perfect
 * icosahedron (the paper looks at w_l, but states no threshold). No surface.
 */
void pn_order_options_default(struct pn_order_options *options);

/**
 * Order of every atom: one entry each, made by pn_order_build, freed by pn_order_free. Small q, w
 * are of the atom's own bonds, capital Q, W of their average over the neighbours and the atom.
 */
struct pn_order {
	size_t atoms, bonds;
	double *q4, *q6;
	double *w4, *w6;               /* normalised: w_l / (sum_m |q_lm|^2)^(3/2) */
	double *w4_raw, *w6_raw;       /* paper 004, equation 10 */
	double *Q4, *Q6;               /* averaged, the atom itself included */
	double *Q4_noself, *Q6_noself; /* averaged over the neighbours alone */
	double *W4, *W6;               /* of the average with the atom, normalised */
	double *W4_raw, *W6_raw;
	double *scaled;              /* sqrt(Q4^2 + Q6^2) over that of fcc */
	double *s6;                  /* [bonds] in the order of the neighbour list */
	uint32_t *crystalline_bonds; /* how many bonds have s6 > s6_min */
	uint8_t *crystalline;        /* 1 = more than half of the bonds are */
	uint8_t *order_class;        /* enum pn_order_class */
	size_t crystalline_atoms;    /* the others are what paper 004 calls disordered */
	size_t ordered_atoms;        /* scaled >= scaled_min */
	size_t class_atoms[PN_ORDER_CLASSES];
};

/**
 * pn_order_build - Steinhardt's bond-orientational order of every atom.
 *
 *	q_lm(i)  = mean over the neighbours j of Y_lm(r_ij / |r_ij|)            l = 4, 6
 *	Q_lm(i)  = (q_lm(i) + sum_j q_lm(j)) / (N_i + 1)
 *	q_l      = sqrt(4 pi / (2 l + 1) sum_m |q_lm|^2), Q_l alike
 *	w_l      = sum over m1 + m2 + m3 = 0 of (l l l; m1 m2 m3) q_lm1 q_lm2 q_lm3
 *	s6(i, j) = sum_m q_6m(i) q_6m(j)* / (|q_6(i)| |q_6(j)|)
 *	scaled   = sqrt(Q4^2 + Q6^2) / sqrt(0.190941^2 + 0.574524^2)
 *
 * s6 takes each atom's own q_6m, not the average: the paper's equation 9 writes a bar, but only the
 * own ones give its 2 disordered atoms in structure I; averaged ones give none. Atoms on the
 * surface are judged like the others, with the bonds they have.
 *
 * Classes: without a neighbour NONE; else in the mask SURFACE; else ICOSAHEDRAL by raw w6 and CN;
 * else, if crystalline, the nearer of fcc and hcp in the plane of Q4 and Q6 (paper 004, figure 4c);
 * else DISORDERED. Few bonds shift (Q4, Q6): fcc or hcp means little for an atom at the surface.
 *
 * Atoms at one place (nearer than 1e-6 A) have no bond direction: they are left out of each other's
 * q_lm, but are neighbours in the means Q_lm and among the bonds that s6 counts. An atom without
 * any neighbour that has a direction has no q_lm: its q_l, w_l are NaN, it is left out of the Q of
 * others, its bonds have s6 NaN and are not crystalline. Where no atom of a mean has q_lm, Q_l, W_l
 * and scaled are NaN. Normalised w_l of a vanishing q_l is NaN or noise; the raw one is 0.
 *
 * @order:   [out] freed with pn_order_free, also after an error
 * @options: NULL = the default
 *
 * Errors: PN_EARG (a threshold is not finite, crystalline_part outside 0..1), PN_ENOMEM. Cost:
 * O(N); 1 us per atom with 12 neighbours if neighbours are near in number, 2 us if not; 220 bytes
 * of results per atom and 190 more while it runs.
 * Source: paper 004, equations 5 to 10; Steinhardt et al., Phys. Rev. B 28, 784 (1983); Lechner and
 * Dellago, J. Chem. Phys. 129, 114707 (2008).
 */
int pn_order_build(struct pn_order *order, const struct pn_neighbors *neighbors,
		   const struct pn_order_options *options, int threads, struct pn_error *err);
void pn_order_free(struct pn_order *order);

/**
 * pn_order_wigner3j - the Wigner 3j symbol (l l l; m1 m2 -m1-m2) for @l 4 or 6, as the w_l use it.
 *
 * Returns 0 where it vanishes (|m| > l), NaN for any other l.
 */
double pn_order_wigner3j(int l, int m1, int m2);

/**
 * pn_order_harmonics - the real spherical harmonics of a direction, C_lm = sqrt(4 pi / (2 l + 1))
 * Y_lm, as polynomials of x, y, z: no angle is formed, along z they are exact.
 *
 * @c4, @c6: [out] [2 l + 1] C_l0, then for m = 1..l sqrt2 Re C_lm and sqrt2 Im C_lm, without the
 *           factor (-1)^m of Condon and Shortley; the squares sum to 1
 * @unit:    [3] of length 1
 */
void pn_order_harmonics(double c4[9], double c6[13], const double unit[3]);

#endif
