/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lattice_parts.h - what the lattice fit and the alignment share; private to this folder. */
#ifndef PN_ATOMS_LATTICE_PARTS_H
#define PN_ATOMS_LATTICE_PARTS_H

#include "perrin/atoms/lattice.h"

#include <math.h>
#include <string.h>

/* Neighbouring sites of (0, 0, 0), in units of a/2. */
extern const int32_t pn_lattice_bonds[12][3];

/* Half of the way from the first shell of fcc to the second, in units of the first. */
#define PN_LATTICE_SHELL (0.5 * (1 + M_SQRT2))

/* Coordinates of a site may not exceed this, so that three of them fit into a key. */
#define PN_SITE_MAX 1000000

/* ---- sites --------------------------------------------------------------------------------- */

/* Table from sites to numbers. */
struct pn_sites {
	uint64_t *key;   /* [mask + 1]; 0 = free */
	uint32_t *value; /* [mask + 1] */
	size_t mask;
};

/** pn_sites_init - for at most @count sites; free with pn_sites_free, also after an error. */
int pn_sites_init(struct pn_sites *sites, size_t count, struct pn_error *err);
void pn_sites_clear(struct pn_sites *sites);
void pn_sites_free(struct pn_sites *sites);

static inline uint64_t pn_sites_key(int64_t u, int64_t v, int64_t w)
{
	return (uint64_t)(u + (1 << 20)) << 42 | (uint64_t)(v + (1 << 20)) << 21 |
	       (uint64_t)(w + (1 << 20)) | (uint64_t)1 << 63;
}

/** pn_sites_slot - where @key is, or where it would be put. */
static inline size_t pn_sites_slot(const struct pn_sites *sites, uint64_t key)
{
	size_t at = (size_t)((key * 0x9E3779B97F4A7C15u) >> 32) & sites->mask;

	while (sites->key[at] && sites->key[at] != key)
		at = (at + 1) & sites->mask;
	return at;
}

/** pn_sites_find - the number put at a site, UINT32_MAX if none. Sums of two sites may be asked. */
static inline uint32_t pn_sites_find(const struct pn_sites *sites, int64_t u, int64_t v, int64_t w)
{
	uint64_t key = pn_sites_key(u, v, w);
	size_t at = pn_sites_slot(sites, key);

	return sites->key[at] ? sites->value[at] : UINT32_MAX;
}

/*
 * The fcc site nearest to x, in units of a/2: round each coordinate; if the sum is odd, the
 * coordinate that was rounded most goes to the other side (Conway, Sloane, IEEE Trans. Inf. Theory
 * 28, 227 (1982), for the lattice D3). Returns 0 if it is out of range.
 */
static inline int pn_site_nearest(int32_t site[3], const double x[3])
{
	double off = -1;
	int worst = 0, sum = 0;

	for (int k = 0; k < 3; k++) {
		if (!(fabs(x[k]) < PN_SITE_MAX))
			return 0;
		double r = rint(x[k]);

		site[k] = (int32_t)r;
		sum += site[k];
		if (fabs(x[k] - r) > off) {
			off = fabs(x[k] - r);
			worst = k;
		}
	}
	if (sum & 1)
		site[worst] += x[worst] >= (double)site[worst] ? 1 : -1;
	return 1;
}

/* ---- rotations of the cube ----------------------------------------------------------------- */

/** pn_octahedral - the 24 rotations that bring a cube onto itself, the identity first. */
void pn_octahedral(int8_t rotation[24][3][3]);

/* ---- least squares ------------------------------------------------------------------------- */

/* Sums over atoms x_i and sites s_i (in units of a, s_i = site / 2), about their means. */
struct pn_lattice_moments {
	size_t count;
	double mean_x[3], mean_s[3];
	double xs[3][3]; /* sum (x - mean)(s - mean)^T */
	double ss[3][3];
};

/* One fit: x = origin + cell s. */
struct pn_lattice_cell {
	double origin_A[3], cell_A[3][3], rotation[3][3], axes_A[3];
};

/** pn_lattice_sum - over the atoms with use[i] != 0, in their order; NULL = those with a site. */
void pn_lattice_sum(struct pn_lattice_moments *m, const struct pn_atoms *atoms,
		    const int32_t (*site)[3], const uint8_t *use);

/** pn_lattice_flat - 1 if the sites lie in one plane. */
int pn_lattice_flat(const struct pn_lattice_moments *m);

/** pn_lattice_solve - least squares for one model; 0 if the sites do not determine it. */
int pn_lattice_solve(struct pn_lattice_cell *cell, const struct pn_lattice_moments *m,
		     enum pn_lattice_model model);

/** pn_lattice_frame - orthonormal frame of two directions, rows; 0 if they are parallel. */
int pn_lattice_frame(double frame[3][3], const double a[3], const double b[3]);

/* ---- seeds --------------------------------------------------------------------------------- */

/* An atom whose neighbours look like fcc. */
struct pn_lattice_seed {
	double position_A[3], rotation[3][3], spacing_A;
	double misfit; /* root mean square of the neighbours found, in units of the spacing */
	int hits;      /* of the 12 neighbours */
};

enum { PN_SEED_BONDS = 24 };

/**
 * pn_lattice_seed_match - rotation and spacing that explain most of the bonds of one atom.
 *
 * Returns 0 if fewer than 3 of them fit.
 */
int pn_lattice_seed_match(struct pn_lattice_seed *seed, const double (*bond_A)[3], int bonds,
			  double spacing_A, double tolerance);

/** pn_lattice_centroid - the mean of all positions. */
void pn_lattice_centroid(double center_A[3], const struct pn_atoms *atoms);

/**
 * pn_lattice_sample - the atoms nearest to a point, in order of their distance; returns how many:
 * the smallest of @max, 512, and the number of atoms.
 */
size_t pn_lattice_sample(uint32_t *sample, size_t max, const struct pn_atoms *atoms,
			 const double center_A[3]);

/**
 * pn_lattice_spacing - distance of nearest neighbours (first peak of the pair distances) among the
 * atoms of a sample; 0 if there is none.
 */
double pn_lattice_spacing(const struct pn_atoms *atoms, const uint32_t *sample, size_t samples);

#endif
