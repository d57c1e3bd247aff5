/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/pair.h - which atom of one time is which atom of the next. */
#ifndef PERRIN_ATOMS_PAIR_H
#define PERRIN_ATOMS_PAIR_H

#include "perrin/atoms/atoms.h"

#define PN_PAIR_NONE UINT32_MAX

/**
 * How conflicts are settled, where an atom lies near two.
 *
 * Both methods give the same pairs as long as atoms move little. On an fcc ball of 20,000 Pt atoms
 * of which each model lacks its own 5 %, with a normal deviate in every coordinate:
 *
 *	deviate, tolerance  nearest: pairs, true ones  assignment: pairs, true ones
 *	0.30 A, 1.67 A      18145, 18145               18145, 18145
 *	0.45 A, 1.67 A      18085, 18063               18090, 18075
 *	0.60 A, 1.67 A      17311, 16896               17339, 16946
 *	0.60 A, 2.77 A      18215, 17451               18397, 17758
 *
 * The assignment finds more true partners, and is the default.
 */
enum pn_pair_method {
	/*
	 * Atoms that are each other's nearest form a pair and are taken away; again, until there
	 * are none. The same as taking all possible pairs from the shortest on. "The atoms closest
	 * to each other" of paper 004.
	 */
	PN_PAIR_NEAREST,
	/*
	 * The pairs that make the sum of squared distances least, where an atom of the first model
	 * that stays alone costs the squared tolerance. The likeliest pairs for normal deviates; an
	 * atom may give up its nearest partner for one that would have none.
	 */
	PN_PAIR_ASSIGNMENT,
};

/**
 * What became of an atom. A number that perrin/atoms/classes.h takes as class: pn_class_stats over
 * it gives coordination number, depth or displacement of each fate.
 */
enum pn_fate {
	PN_FATE_CONSISTENT,   /* common position, same species: the core */
	PN_FATE_INCONSISTENT, /* common position, other species: "migrated-inconsistent" */
	PN_FATE_MOVED,        /* farther than the tolerance, nearer than moved_A; any species */
	PN_FATE_DISAPPEARED,  /* in the first model only: paper 004's "removed" */
	PN_FATE_NEW,          /* in the second model only: paper 004's "rearranged" */
	PN_FATES
};

/** How to pair; fill with pn_pair_options_default, then change. */
struct pn_pair_options {
	enum pn_pair_method method; /* PN_PAIR_ASSIGNMENT */
	double moved_A;             /* how far to look for partners of what is left; 0 (off) */
};

/** pn_pair_options_default - the values above. */
void pn_pair_options_default(struct pn_pair_options *options);

/** Pairs of two models. Made by pn_pair_build, freed by pn_pairing_free. */
struct pn_pairing {
	size_t before, after; /* atoms of the two models */
	double tolerance_A;
	uint32_t *after_of_before;   /* [before] number in the second model, PN_PAIR_NONE = alone */
	uint32_t *before_of_after;   /* [after] the other way */
	double *distance_A;          /* [before] to the partner; NaN = alone */
	double (*displacement_A)[3]; /* [before] partner less atom; NaN = alone */
	int32_t *fate_before;        /* [before] enum pn_fate, never NEW */
	int32_t *fate_after;         /* [after] enum pn_fate, never DISAPPEARED */
	size_t fates[PN_FATES];      /* how many; a pair counts once */
	size_t conflicts_before;     /* atoms with more than one candidate within the tolerance */
	size_t conflicts_after;
	double rmsd_A; /* root mean squared distance of the common positions */
};

/**
 * pn_pair_build - pair the atoms of two models one to one. The models lie on one frame already.
 *
 * Common positions are pairs strictly closer than @tolerance_A, of any species. Papers 000 and 001
 * take half the first minimum of g(r), 1.67 A for Pt: more than half a bond (1.38 A), so that an
 * atom can have two candidates. Two atoms that are left over are never closer than the tolerance.
 *
 * With moved_A > tolerance_A the same is done once more with the atoms left over, up to moved_A:
 * fate MOVED. Paper 004 calls atoms the same if they moved by less than 2.77 A, the distance of
 * neighbours in Pt; that far a neighbour's place is in reach too, so look at these apart.
 *
 * The result does not depend on the numbering. Ties in distance, which measured models do not have,
 * are settled by the coordinates (x, then y, then z), so that turning both models may settle them
 * otherwise; only atoms at the very same place are told apart by element and then by number.
 *
 * On Pt structures I (314 atoms) and III (233) of paper 004 both methods make 225, 226, 227 and 231
 * pairs with tolerances of 1, 1.38, 1.67 and 2.77 A.
 *
 * @pairing: [out] freed with pn_pairing_free, also after an error
 * @options: NULL = the default
 *
 * Models of no atoms are fine: then all atoms are new, or have disappeared, and rmsd_A is NaN.
 *
 * Errors: PN_EARG (a tolerance that is not positive and finite, moved_A that is neither 0 nor above
 * it, 2^31 atoms, 2^32 candidates), PN_ENOMEM. Cost: 1.3 us per atom at 1.67 A, 2 us at 2.77 A
 * (nearest: 3.5 us); a search of the assignment spreads only over atoms in conflict.
 * Source: methods R44 (papers 000 and 001: common, disappeared, new, migrated), R11 (paper 004);
 * assignment by shortest augmenting paths: Jonker and Volgenant, Computing 38, 325 (1987).
 */
int pn_pair_build(struct pn_pairing *pairing, const struct pn_atoms *before,
		  const struct pn_atoms *after, double tolerance_A,
		  const struct pn_pair_options *options, int threads, struct pn_error *err);
void pn_pairing_free(struct pn_pairing *pairing);

/** pn_pairing_common - common positions: pairs within the tolerance. */
static inline size_t pn_pairing_common(const struct pn_pairing *pairing)
{
	return pairing->fates[PN_FATE_CONSISTENT] + pairing->fates[PN_FATE_INCONSISTENT];
}

/**
 * pn_pairing_migrated - migrated atoms of papers 000 and 001: disappeared, new and inconsistent.
 * An atom that moved counts twice, as it has disappeared in one place and is new in another.
 */
static inline size_t pn_pairing_migrated(const struct pn_pairing *pairing)
{
	return pairing->fates[PN_FATE_DISAPPEARED] + pairing->fates[PN_FATE_NEW] +
	       pairing->fates[PN_FATE_INCONSISTENT] + 2 * pairing->fates[PN_FATE_MOVED];
}

/**
 * pn_fate_histogram - how a per-atom quantity (coordination number, depth) is distributed among
 * the atoms of each fate: bin k counts first + k width <= value < first + (k + 1) width.
 *
 * @counts: [out] [PN_FATES][bins]
 * @outside: [out] [PN_FATES] atoms in no bin, NaN among them; may be NULL
 * @values: [atoms]; of the first model with its fate_before, of the second with its fate_after: a
 *          place that disappeared has its depth in the first model, a new one in the second
 *
 * @width > 0. Cost: one pass. Mean and deviation: pn_class_stats of perrin/atoms/classes.h.
 * Source: paper 000, figure 2; paper 001, figures 2A and S25.
 */
void pn_fate_histogram(uint64_t *counts, uint64_t outside[PN_FATES], const double *values,
		       const int32_t *fate, size_t atoms, double first, double width, size_t bins);

#endif
