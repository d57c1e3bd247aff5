/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/specimen.h - nanocrystals whose every atom is known. */
#ifndef PERRIN_TWIN_SPECIMEN_H
#define PERRIN_TWIN_SPECIMEN_H

#include "perrin/base/param.h"
#include "perrin/base/rng.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

enum pn_shape {
	PN_SHAPE_SPHERE,
	PN_SHAPE_CUBOCTAHEDRON,
	PN_SHAPE_TRUNCATED_OCTAHEDRON,
	PN_SHAPE_OCTAHEDRON,
};

/**
 * Atoms of one particle in its own frame: the crystal axes are x, y, z and the centre of the
 * perfect shape is the origin. The three arrays have `count` entries and belong to the specimen. An
 * atom keeps its id when others are removed; ids are 0..count-1 in a new specimen.
 */
struct pn_specimen {
	size_t count;
	double (*position_A)[3]; /* x, y, z */
	uint8_t *atomic_number;
	uint32_t *id;
	double lattice_A; /* edge of the cubic fcc cell */
};

/** What to make; fill with pn_params_default(pn_specimen_param_table, &params), then change. */
struct pn_specimen_params {
	int shape;                             /* enum pn_shape                                 */
	char element[PN_PARAM_TEXT_MAX];       /* "Pt"                                          */
	char shell_element[PN_PARAM_TEXT_MAX]; /* "" = no shell                                 */
	char alloy_element[PN_PARAM_TEXT_MAX]; /* "" = no alloy                                 */
	double diameter_nm;                    /* of the sphere of equal volume                 */
	double lattice_A;                      /* 0 = bulk value of the element                 */
	double shell_nm;                       /* atoms less deep than this are shell           */
	double alloy_fraction;                 /* of the atoms that are not shell, 0..1         */
	double vacancy_fraction;               /* of all sites, 0..1                            */
	double thermal_A;                      /* static rms displacement along each axis       */
};

extern const struct pn_param pn_specimen_param_table[]; /* rows of struct pn_specimen_params */

/**
 * pn_specimen_create - build an fcc particle; caller owns it and destroys it.
 *
 * Sphere: the sites within diameter/2 of an atom. Polyhedra have only their complete sizes, and of
 * those the one is taken whose equal-volume diameter (pn_specimen_diameter_A) is nearest to the
 * diameter asked for:
 *
 *	cuboctahedron        n shells around one atom      (10n^3+15n^2+11n+3)/3: 13 55 147 309 561
 *	octahedron           m atoms along an edge         m(2m^2+1)/3:           6 19 44 85 146 344
 *	truncated octahedron octahedron of edge m without the m/3 (rounded down) outer layers of
 * each vertex, the most regular cut  38 79 116 201 314 405 586; for m = 3n-2 it is the regular one
 *16n^3-33n^2+24n-6:     38 201 586 1289
 *
 * Then, each from random numbers of its own: vacancies (exactly round(fraction * sites) atoms are
 * left out), shell (an atom nearer than shell_nm to the surface - the sphere, or the faces through
 * the outermost atoms - takes shell_element), alloy (exactly round(fraction * others) of the
 * remaining atoms of `element` take alloy_element), static displacements.
 *
 * Atoms are in order of z, then y, then x of the perfect lattice. Same params and seed: same bytes.
 *
 * Errors: PN_EARG (unknown element, no lattice constant, numbers out of range, shell or alloy
 * without its element), PN_ENOMEM. Thread: reentrant. Cost: 50..150 ns per atom.
 */
int pn_specimen_create(struct pn_specimen **spec, const struct pn_specimen_params *params,
		       uint64_t seed, struct pn_error *err);

/** pn_specimen_copy - a second specimen with arrays of its own; caller owns. Errors: PN_ENOMEM. */
int pn_specimen_copy(struct pn_specimen **copy, const struct pn_specimen *spec,
		     struct pn_error *err);

/** pn_specimen_destroy - free it and its arrays; NULL is fine. */
void pn_specimen_destroy(struct pn_specimen *spec);

/**
 * pn_specimen_displace - add to each coordinate of each atom a normal deviate of standard deviation
 * @rms_A, in place: one frozen-phonon configuration of an Einstein crystal. Displace a copy; keep
 * the original as the truth. Takes 3 deviates per atom, in order of the atoms.
 */
void pn_specimen_displace(struct pn_specimen *spec, double rms_A, struct pn_rng *rng);

/**
 * pn_specimen_diameter_A - diameter of the sphere with the volume of the atoms, N a^3/4:
 * d = (6 N a^3 / (4 pi))^(1/3). 0 for no atoms.
 */
double pn_specimen_diameter_A(const struct pn_specimen *spec);

/**
 * pn_specimen_projected_diameter_A - diameter of the circle with the area of the silhouette that
 * the particle throws along z after @rotation (lab = rotation * specimen).
 *
 * The silhouette is the union of discs of half the nearest-neighbour distance, a/(2 sqrt 2), around
 * the projected atoms, counted on 0.1 A pixels. Along <110> the discs leave slits of 1.7 % of
 * the area, which are part of the definition.
 *
 * Errors: returns 0 for no atoms, NaN if there is no memory. Thread: reentrant. Cost: about 0.5 us
 * per atom.
 */
double pn_specimen_projected_diameter_A(const struct pn_specimen *spec,
					const double rotation[3][3]);

#endif
