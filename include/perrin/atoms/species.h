/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/species.h - which atom of a traced model is of which species. */
#ifndef PERRIN_ATOMS_SPECIES_H
#define PERRIN_ATOMS_SPECIES_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Species are counted from the faintest (0) to the brightest (species - 1), so that the caller's
 * list of elements goes from the lightest to the heaviest.
 */
#define PN_SPECIES_NONE (-1) /* no atom */
#define PN_SPECIES_MAX  16

/**
 * pn_kmeans_1d - the classes of numbers that make the sum of squared distances to the class means
 * least: the true minimum, not one that depends on a start.
 *
 * In one dimension the classes are intervals of the sorted numbers. With S(i, j) the sum of squares
 * of the i-th to j-th about their mean, the least sum for the first j numbers in k classes is
 *
 *	D(k, j) = min over i of D(k - 1, i) + S(i + 1, j)
 *
 * and the best i does not fall as j grows, which divide and conquer makes use of.
 *
 * @class_of: [out] [count] 0 .. classes - 1, ascending with the numbers; equal numbers are in one
 *            class
 * @mean:     [out] [classes] ascending; NaN for classes left empty (the last ones) because there
 *            are fewer different numbers than classes
 * @value:    [count] finite
 * @classes:  1..PN_SPECIES_MAX
 * @within:   [out] the sum; may be NULL
 *
 * Errors: PN_EARG (classes; a number that is not finite; no numbers), PN_ENOMEM. Thread: reentrant.
 * Cost: O(classes n log n); 1e5 numbers in 3 classes 50 ms.
 * Source: Wang and Song, R Journal 3/2, 29 (2011); Groenlund et al., arXiv 1701.07204 (2017).
 */
int pn_kmeans_1d(int32_t *class_of, double *mean, const double *value, size_t count, int classes,
		 double *within, struct pn_error *err);

/**
 * pn_species_classify - species from integrated intensities by k-means.
 *
 * @species_of: [out] [count] species, or PN_SPECIES_NONE
 * @confidence: [out] [count] p of the own class against the class with the next best p, from normal
 *              distributions with the means, deviations and numbers of the classes, 0.5..1, or less
 *              where a class as wide as to reach over has the better claim; may be NULL
 * @intensity:  [count] such as pn_traced_atom.intensity; finite
 * @species:    1..PN_SPECIES_MAX - 1 kinds of atoms
 * @no_atom:    1 = one class more, the faintest, is no atoms (003); it is not told from a species
 * by anything but its brightness: give 0 for what pn_trace_atoms has sorted out already
 * @group:      [count] k-means is done apart for atoms of different groups, 0..255: surface atoms
 *              are fainter in the direction of the missing wedge (001); on_mesh of
 *              perrin/atoms/surface.h serves. NULL = all in one. A group of fewer than 4 atoms per
 *              class is classified by the classes of all.
 *
 * Errors: PN_EARG, PN_ENOMEM. Thread: reentrant. Cost: that of pn_kmeans_1d.
 * Source: methods R29 (papers 000, 001 with surface atoms apart, 003 with non-atoms).
 */
int pn_species_classify(int32_t *species_of, double *confidence, const double *intensity,
			size_t count, int species, int no_atom, const uint8_t *group,
			struct pn_error *err);

/** What pn_species_local looks at; fill with pn_species_options_default, then change. */
struct pn_species_options {
	double radius_A; /* 6.75; 10 for vectors of voxels */
	int rounds_max;  /* 100 */
	/* 0.5: two local means count as two species if |b - a| / (|a| + |b|) is at least so much of
	 * what it is for all atoms; 0 (the papers): always. Where there is one species only, as in
	 * the shell of a particle, a few faint atoms taken for the other would draw more and more
	 * after them: of 12,431 atoms of a Pd@Pt particle 0.9 % were wrong before, 17 % after. */
	double separation_min;
};

/** pn_species_options_default - the values above. */
void pn_species_options_default(struct pn_species_options *options);

/**
 * pn_species_local - local re-classification: every atom goes to the species whose mean, over the
 * atoms within radius_A of it, is nearest to it; again, until nothing changes.
 *
 * With @length = 1 and integrated intensities this is the rule of papers 000 and 001 (6.75 A). With
 * boxes of voxels about the atoms (pn_trace_boxes; L2 distance, 10 A) it is that of the public
 * scripts of the metallic glass. The atom itself does not count in the means, or an atom alone with
 * its species would stay there for good; a species with no other atom in reach is not considered,
 * and an atom in whose reach there is only its own keeps it, as does one in whose reach the means are
 * hardly apart (separation_min). All atoms change at once; a round that
 * brings back an earlier state (atoms flipping to and fro) ends it too. PN_SPECIES_NONE stays, and
 * counts in no mean.
 *
 * @species_of: [inout] [count]
 * @confidence: [out] [count] p1 / (p1 + p2) of the two nearest local means m1, m2, for normal
 *              deviates of one deviation: that of all atoms from their own means along the line
 *              from m1 to m2; 0.5..1. NaN for no atoms, 1 where no other species is in reach. NULL
 *              if not wanted
 * @rounds:     [out] how many were needed; may be NULL
 * @feature:    float32 [count][length], finite
 * @position_A: [count]
 * @options:    NULL = the default
 * @threads:    >= 1; changes no byte
 *
 * Errors: PN_EARG, PN_ENOMEM. Thread: reentrant. Cost: neighbours times length, per round: 70 atoms
 * within 6.75 A, 1 us per atom with length 1.
 * Source: methods R29 (papers 000, 001); Yang et al., Nature 592, 60 (2021), public scripts.
 */
int pn_species_local(int32_t *species_of, double *confidence, int *rounds, const float *feature,
		     size_t length, const double (*position_A)[3], size_t count, int species,
		     const struct pn_species_options *options, int threads, struct pn_error *err);

/**
 * pn_species_outside - atoms outside of a mask are none (003: the boundary by Otsu's threshold).
 *
 * @species_of: [inout] [count]
 * @position_A: [count] x, y, z from the voxel (nx/2, ny/2, nz/2)
 * @mask:       [nz][ny][nx] not 0 = inside; the voxel nearest to an atom decides, and beyond the
 *              volume is outside
 *
 * Returns how many became PN_SPECIES_NONE. Cost: one voxel per atom.
 */
size_t pn_species_outside(int32_t *species_of, const double (*position_A)[3], size_t count,
			  const uint8_t *mask, size_t nz, size_t ny, size_t nx, double pixel_A);

#endif
