/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/score.h - how good a traced model is, against one that is known to be true. */
#ifndef PERRIN_ATOMS_SCORE_H
#define PERRIN_ATOMS_SCORE_H

#include "perrin/atoms/atoms.h"

/** How to compare; fill with pn_score_options_default, then change. */
struct pn_score_options {
	double tolerance_A; /* 1: pairs nearer than this are the same atom */
	int remove_shift;   /* 1 (default) = a common rigid shift is no error */
};

/** pn_score_options_default - the values above. */
void pn_score_options_default(struct pn_score_options *options);

/** One line of the confusion table. */
struct pn_score_species {
	uint8_t truth, found; /* elements */
	size_t count;         /* matched atoms */
};

/** The outcome. Made by pn_score_atoms, freed by pn_score_free. */
struct pn_score {
	size_t atoms, truth;        /* of the two models */
	size_t matched;             /* mutual nearest pairs within the tolerance */
	size_t missed;              /* true atoms alone */
	size_t false_atoms;         /* traced atoms alone */
	size_t same_species;        /* of the matched */
	double recall, precision;   /* matched / truth, matched / atoms; NaN if there are none */
	double rmsd_A;              /* of the matched, three-dimensional; NaN if there are none */
	double rmsd_axis_A[3];      /* x, y, z */
	double median_A, largest_A; /* distances of the matched */
	double shift_A[3];          /* taken from the traced atoms before; 0 unless asked for */
	struct pn_score_species *species; /* [lines] by truth, then found; only those that occur */
	size_t lines;
	uint32_t *truth_of; /* [atoms] the true atom of each, PN_PAIR_NONE (pair.h) = false */
};

/**
 * pn_score_atoms - compare a traced model with the truth. Atoms that are each other's nearest and
 * strictly nearer than the tolerance match (PN_PAIR_NEAREST of perrin/atoms/pair.h).
 *
 * With remove_shift the mean displacement of the matched atoms is taken out and they are matched
 * anew, until the pairs stay: what rigid shift is left of the two frames (whose origin may differ
 * by half a voxel) is no error of an atom. A shift of more than the tolerance is not searched for,
 * nor are rotation, handedness or the order of the axes: those are errors.
 *
 * @score: [out] freed with pn_score_free, also after an error
 * @found: the traced model; element 0 is allowed where species are not known
 *
 * Errors: PN_EARG (a tolerance that is not positive and finite), PN_ENOMEM. Thread: reentrant.
 * Cost: a few pairings, 1.3 us per atom each.
 * Source: methods R30 (papers 000, 001: common pairs, RMSD, identity of species).
 */
int pn_score_atoms(struct pn_score *score, const struct pn_atoms *found,
		   const struct pn_atoms *truth, const struct pn_score_options *options,
		   int threads, struct pn_error *err);
void pn_score_free(struct pn_score *score);

#endif
