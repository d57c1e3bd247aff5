/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/align.h - rigid alignment of two models of one particle. */
#ifndef PERRIN_ATOMS_ALIGN_H
#define PERRIN_ATOMS_ALIGN_H

#include "perrin/atoms/atoms.h"

/** How much of an alignment is open. */
enum pn_align_mode {
	PN_ALIGN_SEARCH, /* look everywhere; the start is one of the candidates */
	PN_ALIGN_REFINE, /* nearly docked already: only refine the start */
	PN_ALIGN_KEEP    /* docked: keep the start as it is, and only count the pairs */
};

/** Where an alignment came from. */
enum pn_align_origin {
	PN_ALIGN_FROM_START,
	PN_ALIGN_FROM_LATTICE, /* the fcc lattices of both models laid on each other */
	PN_ALIGN_FROM_SEARCH   /* like surroundings, inertia axes, rotations all over the sphere */
};

/** What pn_align may be told. The start takes points y of the moved model to R y + t. */
struct pn_align_options {
	enum pn_align_mode mode;
	double tolerance_A; /* atoms nearer than this are a pair; 0 = 0.3 of the spacing */
	double start_rotation[3][3], start_translation_A[3];
	double near_rad; /* how well the rotation of the start is known */
	double tie;      /* standard deviations of the score within which positions are equal */
	int rotations;   /* tried all over the sphere where nothing else helps */
	int rounds_max;  /* of pairing and fit, for each candidate */
};

/**
 * pn_align_defaults - search, tolerance from the model, start at the identity, known to 20 degrees,
 * tie 2, 4000 rotations, 100 rounds.
 */
void pn_align_defaults(struct pn_align_options *options);

/** The answer: reference = rotation * moved + translation. */
struct pn_alignment {
	double rotation[3][3], translation_A[3]; /* det +1 */
	double tolerance_A;                      /* that was used */
	size_t pairs;  /* atoms of both models within the tolerance, each in one pair at most */
	double rmsd_A; /* of the pairs; NaN for none */
	double score;  /* sum over the pairs of 1 - (distance / tolerance)^2 */
	enum pn_align_origin origin;
	int rounds, converged; /* converged: pairing again gives the same pairs */
	/* how unique the answer is: the next best position that is another one */
	size_t runner_up_pairs; /* 0 = none was found, or none was looked for */
	double runner_up_rmsd_A, runner_up_score;
	double runner_up_angle_rad; /* of the rotation between the two */
	size_t equals;              /* other positions that are as good */
};

/**
 * pn_align - lay one model onto another of the same particle, where atoms may have come and gone.
 *
 * Candidates: the start. If both models have an fcc lattice (pn_lattice_fit), the 24 rotations that
 * lay one lattice onto the other, each with the shift by lattice vectors under which most sites
 * coincide: the best of those within two spacings of the centroids, and uphill from there. If these
 * pair less than half of the smaller model (glasses, twins): eight atoms from the middle of the
 * moved model, each with two neighbours, are laid on every three atoms of the reference with about
 * the same distances, and poses that also pair a third of the 32 atoms around are kept. If that is
 * still not enough: the four rotations that bring the inertia axes together, and
 * options->rotations spread evenly over SO(3), each with the centroids together and judged by the
 * atoms nearest to the centroid.
 *
 * Each good candidate is refined: atoms closer than the tolerance are paired, of several moved
 * atoms with the same nearest atom of the reference only the nearest; the rotation and translation
 * with least squared error follow (Kabsch), until the pairs stay the same. Atoms without partner
 * have no say. The elements of the atoms are not looked at. Mirror images are never used.
 *
 * The score is sum over pairs of 1 - (distance / tolerance)^2: more pairs, and nearer ones. It is
 * known to sqrt(n + 2/3 p m^2) by chance: n atoms of the smaller model without partner, p pairs, m
 * the mean of (distance / tolerance)^2. Positions are as good as the best if their score is within
 * options->tie times that, and at least half of the best. If some of them are turned by less than
 * options->near_rad from the start, the nearest of these wins, so that a nearly symmetric particle
 * stays where the start says it is; otherwise the best score. Of scores that agree to 1e-9 the
 * rotation nearest to the start wins, as for a perfect cuboctahedron, which has 24 equal answers.
 *
 * Where equals > 0 the atoms alone do not tell which answer is right (structures I and III of
 * paper 004). Two positions are different if the rotations differ by more than 0.1 rad or the place
 * of the moved centroid by more than half a spacing.
 *
 * @out:       [out]
 * @reference: at least one atom
 * @moved:     at least one atom
 * @options:   NULL = the defaults
 *
 * Few atoms: with fewer than 3 pairs, or pairs in a line, the rotation is not determined: it stays
 * what it was in the candidate, and the translation brings the centroids of the pairs together.
 * Atoms at the same place take part once.
 *
 * Errors: PN_EARG (no atoms, an option out of range, a start that is no rotation), PN_ENOMEM.
 * Cost: two lattice fits, and 0.2 us per atom, round and candidate: 30 us per atom for crystals,
 * 0.2 ms for glasses of some hundred atoms, 1.5 ms where nothing fits.
 * Source: methods R10, R44; paper 004, Methods (rigid-body fit of successive maps, "checked along
 * all possible pairs of aligned crystal orientations with translational offsets"); Besl, McKay,
 * IEEE PAMI 14, 239 (1992); trimmed: Chetverikov et al., ICPR 3, 545 (2002).
 */
int pn_align(struct pn_alignment *out, const struct pn_atoms *reference,
	     const struct pn_atoms *moved, const struct pn_align_options *options, int threads,
	     struct pn_error *err);

/**
 * pn_align_apply - move points of the moved model into the frame of the reference.
 *
 * @out_A: [out] [count]; may be @in_A
 */
void pn_align_apply(const struct pn_alignment *alignment, const double (*in_A)[3],
		    double (*out_A)[3], size_t count);

#endif
