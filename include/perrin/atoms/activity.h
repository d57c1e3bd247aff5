/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/activity.h - oxygen reduction activity from coordination, species and strain. */
#ifndef PERRIN_ATOMS_ACTIVITY_H
#define PERRIN_ATOMS_ACTIVITY_H

#include "perrin/atoms/neighbors.h"

/** What the generalized coordination number takes into account; start from pn_gcn_default. */
struct pn_gcn_params {
	double cn_full;         /* neighbours of an atom in the bulk: 12 for fcc */
	uint8_t ligand_element; /* neighbours of this element weigh ligand_weight; 0 = none */
	double ligand_weight;   /* 1.59 for Ni under Pt */
};

/** pn_gcn_default - 12; Ni, 1.59 (paper 003). */
struct pn_gcn_params pn_gcn_default(void);

/**
 * pn_gcn - generalized coordination number of each atom.
 *
 *	GCN(i) = sum over neighbours j of CN(j) / cn_full
 *
 * An fcc atom of the bulk has 12, one of a perfect (111) surface 7.5. An atom without neighbours
 * has 0: the sum is empty. Coincident atoms count as neighbours.
 *
 * @gcn:       [out] [atoms]
 * @neighbors: cut-off = first minimum of g(r)
 * @cn_full:   > 0, the number of the bulk and not the largest CN in the model
 *
 * Sums are of integers: the result is exact and does not depend on the order of the atoms.
 * Cost: 10 ns per atom.
 * Source: methods R48; paper 003 equation 3; Calle-Vallejo et al., Angew. Chem. 53, 8316 (2014).
 */
void pn_gcn(double *gcn, const struct pn_neighbors *neighbors, double cn_full, int threads);

/**
 * pn_gcn_alloy - alloy-sensitive GCN of each atom, with strain.
 *
 *	ASGCN(i) = (weight * sum over ligands j of CN(j) + sum over others j of CN(j)) /
 *	           (cn_full (1 + S(i)))
 *
 * where ligands are the neighbours of ligand_element. With @surface given, ligands that are
 * themselves on the surface weigh 1 instead: this is the modified MASGCN, for the calculations
 * behind the weight know ligands under a Pt surface only. Without ligands and strain it is the
 * plain GCN.
 *
 * @gcn:     [out] [atoms]; NaN where the strain is NaN or -1 and below
 * @element: [atoms]
 * @surface: [atoms] 1 = surface atom; NULL = all ligands are weighted (ASGCN)
 * @strain:  [atoms] S = a_local / a_reference - 1, dimensionless, a_reference 3.912 A in paper
 *           003; NULL = no strain
 * @params:  cn_full and ligand_weight are finite and > 0
 *
 * Cost: 40 ns per atom.
 * Source: methods R48; paper 003 equations 4 (ASGCN) and 5 (MASGCN).
 */
void pn_gcn_alloy(double *gcn, const struct pn_neighbors *neighbors, const uint8_t *element,
		  const uint8_t *surface, const double *strain, const struct pn_gcn_params *params,
		  int threads);

/**
 * The volcano: two steps limit the reaction, each with a free energy that is a straight line in
 * GCN, and the lower one wins,
 *
 *	dG(GCN) = min over b of (slope_eV[b] GCN + intercept_eV[b])
 *	ln(j / j_ref) = (dG(GCN) - dG(gcn_reference)) / (k_B temperature_K)
 *
 * slope_eV[0] > 0 > slope_eV[1]: [0] is the branch of few neighbours, where OH binds too strongly.
 */
struct pn_volcano {
	double slope_eV[2];     /* per unit of GCN */
	double intercept_eV[2]; /* GCN = 0 */
	double gcn_reference;   /* where ln(j / j_ref) = 0: 7.5 = Pt(111) */
	double temperature_K;
};

/**
 * pn_volcano_default - 0.192 GCN - 0.724 and -0.178 GCN + 2.345 eV, reference 7.5, 298 K: peak at
 * GCN = 8.295, +7.477 and -6.932 in ln j per unit of GCN.
 *
 * The energies of the two steps themselves, dG_OH = 0.1915 GCN - 0.718 and dG_OOH = 0.1697 GCN +
 * 2.643 eV, make the second branch 4.92 - dG_OOH: slopes 0.1915 and -0.1697, intercepts -0.718 and
 * 2.277. Other calibrations, as for alloys, are other numbers in the same struct.
 *
 * Source: Calle-Vallejo et al., Science 350, 185 (2015).
 */
struct pn_volcano pn_volcano_default(void);

/** pn_volcano_peak_gcn - where the two lines cross. */
double pn_volcano_peak_gcn(const struct pn_volcano *volcano);

/** pn_volcano_ln_activity - ln(j / j_ref) at @gcn; NaN for NaN. */
double pn_volcano_ln_activity(const struct pn_volcano *volcano, double gcn);

/** Activity of one particle. */
struct pn_activity_summary {
	size_t atoms;   /* active surface atoms with a number */
	size_t nan;     /* active surface atoms without one, left out */
	double sum;     /* of j / j_ref over the atoms; 0 for none */
	double mean;    /* sum / atoms, as paper 003 averages; NaN for no atoms, as the rest */
	double ln_mean; /* ln of mean: dominated by the best sites */
	double mean_ln; /* mean of ln(j / j_ref): dominated by the worst; never above ln_mean */
};

/**
 * pn_activity - ln(j / j_ref) of each surface atom of the active element, and of the particle.
 *
 * @ln_activity: [out] [atoms]; NaN for atoms that are inside or of another element
 * @summary:     [out] may be NULL. Sums run in the order of the atoms, serially
 * @gcn:         [atoms] GCN, ASGCN or MASGCN
 * @element:     [atoms]
 * @surface:     [atoms] 1 = surface atom
 *
 * Errors: PN_EARG if the volcano is no volcano (a number is not finite, slopes not up and down,
 * temperature not above 0). Cost: 4 ns per atom.
 * Source: methods R48; paper 003 figure 4 and methods "Calculation of the ORR activity".
 */
int pn_activity(double *ln_activity, struct pn_activity_summary *summary, const double *gcn,
		const uint8_t *element, const uint8_t *surface, size_t atoms,
		uint8_t active_element, const struct pn_volcano *volcano, struct pn_error *err);

#endif
