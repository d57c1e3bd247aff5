/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/lattice.h - the fcc lattice of a model, and how far its atoms strain from it. */
#ifndef PERRIN_ATOMS_LATTICE_H
#define PERRIN_ATOMS_LATTICE_H

#include "perrin/atoms/neighbors.h"

/**
 * How a lattice may be stretched. Measured models need more than one constant: the missing wedge
 * makes their axes differ by several per cent, and a single constant hides that in the strain.
 */
enum pn_lattice_model {
	PN_LATTICE_ISOTROPIC, /* translation, rotation, one constant: 7 numbers (paper 003) */
	PN_LATTICE_AXES,      /* translation, rotation, three constants: 9 numbers */
	PN_LATTICE_AFFINE,    /* translation and any 3x3 matrix: 12 numbers */
	PN_LATTICE_MODELS
};

/** What pn_lattice_fit may be told. */
struct pn_lattice_options {
	double spacing_A; /* distance of nearest neighbours expected; 0 = from the model */
	double tolerance; /* a site is taken if an atom lies within this part of the spacing */
	int seeds_max;    /* how many places to grow from in the middle, and again all over */
	int rounds_max;   /* of assignment and fit, for each seed */
	enum pn_lattice_model assign; /* what predicts the sites while growing */
	enum pn_lattice_model model;  /* what the displacements refer to */
};

/**
 * pn_lattice_defaults - spacing_A 0, tolerance 0.25, 8 seeds, 100 rounds, assign by the affine
 * matrix, displacements from the lattice of one constant.
 */
void pn_lattice_defaults(struct pn_lattice_options *options);

/**
 * The lattice of a model. Sites are integers (u, v, w) of even sum, in units of a/2 along the cubic
 * axes; neighbours differ by (+-1, +-1, 0) and the like. Made by pn_lattice_fit, freed by
 * pn_lattice_free.
 *
 * By model m, site s lies at origin_A[m] + cell_A[m] s / 2. The columns of cell_A[m] are the cubic
 * axes in the frame of the model: a_A * rotation, axes_rotation * diag(axes_A), or the affine
 * matrix.
 */
struct pn_lattice {
	size_t atoms, on_lattice;    /* 0 on the lattice: none was found, all numbers are NaN */
	int32_t (*site)[3];          /* [atoms]; INT32_MIN three times = not on the lattice */
	double (*displacement_A)[3]; /* [atoms] atom less its site; NaN */
	enum pn_lattice_model model; /* what they refer to */
	double origin_A[PN_LATTICE_MODELS][3];
	double cell_A[PN_LATTICE_MODELS][3][3];
	double rms_A[PN_LATTICE_MODELS]; /* root mean square of the displacements */
	double rotation[3][3];           /* crystal -> frame of the model, det +1 */
	double a_A, a_sd_A;              /* constant, and its standard deviation */
	double axes_rotation[3][3], axes_A[3];
	double spacing_A; /* what the search began with */
	double neighbors; /* mean number of the 12 neighbouring sites that are taken */
	size_t seeds;     /* that were grown */
	int rounds;       /* of the seed that won */
	int converged;    /* 1 = the assignment no longer changed */
};

/**
 * pn_lattice_fit - find the one fcc lattice that holds most atoms of a model.
 *
 * Seeds are atoms near the middle whose neighbours look like the twelve of fcc; the rotation comes
 * from the pair of neighbours that explains most of the others. From a seed the lattice grows site
 * by site: a site is taken if an atom lies within tolerance * a / sqrt 2 of it (of several the
 * nearest), and if a chain of taken neighbouring sites leads to it from the seed. Then translation,
 * rotation and constants are fitted by least squares to the atoms taken, and the growth starts
 * again from the better lattice, until no atom changes its site. Seeds are tried until a lattice
 * holds more than half of the atoms, or more than are left on none; if those of the middle do not
 * find it, the best ordered atoms all over the model follow. The lattice with most atoms wins, then
 * the one with the smaller residual.
 *
 * Paper 003 does the same with the isotropic lattice only (assign = PN_LATTICE_ISOTROPIC), which
 * loses the rim of models whose axes differ.
 *
 * Twins, other grains and disordered atoms stay off; vacancies do no harm. All three models are
 * fitted to the same atoms. While fewer than 48 atoms are taken, or where axes and matrix deviate
 * by more than 15 % from the constant, the isotropic lattice predicts the sites.
 *
 * Of the 24 equivalent rotations the one nearest to the identity is taken; site (0, 0, 0) is the
 * one nearest to the centroid of the atoms taken, by the isotropic lattice. Where several are
 * equally near, which one is taken depends on the orientation of the model, not on the numbering.
 *
 * The standard deviation of a is sqrt(s^2 / sum |s_i/2 - mean|^2) with s^2 = sum |residual|^2 /
 * (3 n - 7): the scatter of independent atoms, not the calibration of the microscope.
 *
 * @lattice: [out] freed with pn_lattice_free, also after an error
 * @options: NULL = the defaults
 *
 * No lattice (on_lattice = 0, PN_OK): fewer than 4 atoms on it, all of them in one plane, or so few
 * of them neighbours of each other that a gas does as well. A lattice counts if it holds every
 * atom, or half of them with 4 taken neighbours each in the mean, or any part of them with 6; the
 * best that random gases reach is 23 atoms, and 4.6. A glass may hold a nucleus that counts. Of
 * atoms at the same place at most one is on the lattice.
 *
 * Errors: PN_EARG (an option out of range), PN_ENOMEM.
 * Cost: O(N) per round and seed; 1 us per atom for a crystal, 30 us for a glass.
 * Source: methods R43; paper 003, "Assignment of experimental 3D atomic positions to ideal fcc
 * lattices"; isotropic fit: Umeyama, IEEE PAMI 13, 376 (1991).
 */
int pn_lattice_fit(struct pn_lattice *lattice, const struct pn_atoms *atoms,
		   const struct pn_lattice_options *options, int threads, struct pn_error *err);
void pn_lattice_free(struct pn_lattice *lattice);

/** pn_lattice_is_on - 1 if atom @i is on the lattice. */
static inline int pn_lattice_is_on(const struct pn_lattice *lattice, size_t i)
{
	return lattice->site[i][0] != INT32_MIN;
}

/** pn_lattice_position - where a site is by one of the models, occupied or not. */
void pn_lattice_position(double out_A[3], const struct pn_lattice *lattice,
			 enum pn_lattice_model model, const int32_t site[3]);

/**
 * pn_lattice_local - local lattice constant and strain of every atom on the lattice, fitted to the
 * atom itself and those of its neighbours that are on the lattice.
 *
 *	a_local: least of sum_j |x_j - x_i - t - a R (s_j - s_i) / 2|^2 over t, R, a
 *	strain = a_local / reference - 1
 *	F: least of sum_j |x_j - x_i - t - reference F (s_j - s_i) / 2|^2 over t, F
 *	tensor = sqrt(F^T F) - 1,   volume_strain = det F - 1
 *
 * Translation and rotation are free in both fits, as in paper 003. That paper calls the first
 * strain "local volumetric strain"; it is a change of length, about a third of volume_strain. The
 * tensor is the right stretch less 1 (Biot), symmetric, in the crystal axes [x y z][x y z]: the
 * same numbers however the model is turned, but for the choice among the 24 equivalents.
 *
 * NaN: atoms off the lattice, fewer than 3 neighbours on it, neighbours in a line with the atom;
 * for tensor and volume_strain also all in one plane with it.
 *
 * @a_local_A, @strain, @tensor, @volume_strain: [out] [atoms]; each may be NULL
 * @neighbors:   of the same atoms, all within about (a / sqrt 2 + a) / 2
 * @reference_A: constant without strain > 0; 3.912 for Pt in paper 003
 *
 * Errors: PN_EARG (reference_A, numbers of atoms differ). Allocates: nothing.
 * Cost: 1.5 us per atom, 0.5 us for a_local_A and strain alone.
 * Source: methods R43; paper 003, "Calculation of local volumetric strain" and eq. 2.
 */
int pn_lattice_local(double *a_local_A, double *strain, double (*tensor)[3][3],
		     double *volume_strain, const struct pn_neighbors *neighbors,
		     const struct pn_lattice *lattice, double reference_A, int threads,
		     struct pn_error *err);

/**
 * pn_lattice_radial - strain along the radius: n^T tensor n, where n is the direction from the
 * centroid of the atoms on the lattice to the atom, in crystal axes.
 *
 * Paper 004 shows maps of radial strain (1.3 % in structure I) and leaves the definition to its
 * supplement; this is the radial component of the strain tensor. A lattice stretched by f has
 * f - 1 everywhere. NaN where the tensor is NaN, and within 1e-6 A of the centroid.
 *
 * @radial_strain: [out] [atoms]
 * @radius_A:      [out] [atoms] distance of every atom from that centroid; NaN without a lattice;
 *                 may be NULL
 * @tensor:        [in] [atoms] from pn_lattice_local
 *
 * Allocates: nothing.
 */
void pn_lattice_radial(double *radial_strain, double *radius_A, const struct pn_atoms *atoms,
		       const struct pn_lattice *lattice, const double (*tensor)[3][3]);

/** One bin of a profile: what holds for the atoms with from <= distance < to. */
struct pn_lattice_bin {
	double from_A, to_A;
	size_t count;
	double mean, sd; /* standard deviation of the values (n - 1); NaN for too few */
};

/**
 * pn_lattice_profile - mean and spread of a value (strain, radial strain) against a distance (from
 * the centre, from the surface): paper 003, fig. 3. Bin b reaches from b to b + 1 times @width_A;
 * atoms beyond the last bin, at a negative distance, or with NaN for either number are left out.
 *
 * Returns how many atoms are in the bins. @width_A > 0. Sums run in the order of the atoms.
 */
size_t pn_lattice_profile(struct pn_lattice_bin *bin, size_t bins, double width_A,
			  const double *distance_A, const double *value, size_t atoms);

#endif
