/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/detect.h - the atoms of a close-packed particle in a map of its potential. */
#ifndef PERRIN_ATOMS_DETECT_H
#define PERRIN_ATOMS_DETECT_H

#include "perrin/base/status.h"

#include <stddef.h>

/** What is looked for; fill with pn_detect_options_default, then change. */
struct pn_detect_options {
	/* scattering factor of the element, such as pn_scattering_lobato of
	 * perrin/twin/scattering.h */
	double (*factor)(int z, double q_per_A);
	int z;
	double resolution_A;   /* of the map; > 0. Finer than two voxels counts as two voxels */
	double neighbor_A;     /* distance of nearest neighbours; a / sqrt 2 in fcc */
	double distance_part;  /* 0.75 of neighbor_A: of two nearer peaks the lower is none */
	double pearson_min;    /* 0.3: peaks less like the template are none */
	double confidence_min; /* 0.5: perrin/atoms/trace.h */
	double outer_part;     /* 0.15: of the atoms, farthest out, that may be left out for ... */
	double pass_part;      /* 0.95: ... a contact below what so many of all atoms have, ... */
	double contact_max;    /* 2: ... or below this, whichever is less */
	int rounds;            /* 4: perrin/atoms/trace.h */
};

/** pn_detect_options_default - the values above; factor, z, resolution_A, neighbor_A are 0. */
void pn_detect_options_default(struct pn_detect_options *options);

/** One atom. */
struct pn_detected_atom {
	double position_A[3]; /* x, y, z from the voxel (nx/2, ny/2, nz/2) */
	double intensity;     /* sum over the 7^3 voxels about it */
	double pearson;       /* validation: correlation with the template at the very place */
	double amplitude;     /* of the template there */
	double confidence;    /* that a peak as strong is an atom: perrin/atoms/trace.h */
	double contact;       /* how well it sits: see pn_detect_atoms */
};

/** Atoms of a map, strongest first. Made by pn_detect_atoms, freed by pn_detect_free. */
struct pn_detect {
	size_t count;
	struct pn_detected_atom *atom;
	double center_A[3], radius_A; /* the sphere that was searched */
	double strength_min;          /* in force; NaN or -inf: none */
	size_t second;                /* of the peaks: found in the second pass */
	size_t not_like, lonely;      /* left out as noise, for their contact */
};

/**
 * pn_detect_atoms - where a map correlates with the known potential of one atom, inside a sphere
 * about the particle.
 *
 * 1. The particle: voxels where the map, smoothed by the width of an atom, has a mean square (over
 *    cubes of 1.5 neighbor_A) above the threshold of Otsu's between-class variance; of them the
 *    largest connected part. The sphere is about its centroid, with the distance that 98 % of it
 *    do not exceed, and neighbor_A more. All else is done in the box about the sphere.
 * 2. The template: the potential of the atom up to q = 1 / resolution_A (pn_potential_template), in
 *    a ball of half of neighbor_A, so that neighbours stay out.
 * 3. pn_potential_atoms, at least distance_part neighbor_A apart. Then what of
 *    them is noise that it did not see: what is below Otsu's threshold of pearson times amplitude,
 *    if 0.7 of the variance are between both sides, the lower mean is less than half of the upper
 *    one and its mean correlation less than 0.9 of it. Lighter atoms are lower, but look the same.
 * 4. Contact: w_i times the sum of w_j over the neighbours nearer than 1.2 neighbor_A, w the
 *    amplitude over the median of all, at most 1: 12 in fcc bulk, 3 for an atom alone on {111}, 4
 *    on {100}, about 0.5 for a noise peak of half the height. Unlikely atoms of the surface are
 *    left out: of the outer_part farthest from the centroid those whose contact is below the one
 *    that pass_part of all atoms reach, but never if it is contact_max or more.
 *
 * Meant for one element: atoms of less than half of the usual amplitude lose contact, and corners
 * of a particle may be left out for it.
 *
 * @detect:  [out] freed with pn_detect_free, also after an error
 * @volume:  float32 [nz][ny][nx], background 0, atoms bright
 * @threads: >= 1; the bytes of the result do not depend on it
 *
 * No atom is no error. Errors: PN_EARG (shape, pixel, options, a voxel that is not finite),
 * PN_ENOMEM. Thread: reentrant. Cost: a dozen passes over the volume, the rest over
 * the box alone: 314 atoms of 22 A in 160^3 voxels of 0.358 A 0.2 s of one core, also in noise of
 * 0.3 of their height.
 *
 * Rendered at 1.5 A, voxels of 0.358 A: all 314 atoms and no other, RMSD 1 to 3 pm without noise,
 * 12 to 14 pm in white noise of 0.25 to 0.3 of their height; 1.2 to 2.3 A given for the resolution
 * change the RMSD by less than a fifth.
 *
 * Source: methods R9; paper 004; detect_atoms of SIMPLE (correlation with one simulated atom,
 * contact score among the farthest 15 %, 95 % of the atoms passing).
 */
int pn_detect_atoms(struct pn_detect *detect, const float *volume, size_t nz, size_t ny, size_t nx,
		    double pixel_A, const struct pn_detect_options *options, int threads,
		    struct pn_error *err);
void pn_detect_free(struct pn_detect *detect);

#endif
