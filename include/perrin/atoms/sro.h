/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/sro.h - chemical short-range order, and which kinds of neighbours atoms have. */
#ifndef PERRIN_ATOMS_SRO_H
#define PERRIN_ATOMS_SRO_H

#include "perrin/atoms/classes.h"
#include "perrin/atoms/neighbors.h"

/*
 * All begins with pn_shell_counts: how many neighbours of each species an atom has in a range of
 * distances. Everything else is arithmetic on that table n[i][s], whose columns are those of a
 * struct pn_species. An atom with no neighbours in the range has NaN where a fraction is asked for.
 */

/**
 * pn_fcc_shell_range - the distances that belong to neighbour shell @m of fcc: half way to the
 * shells before and after it, shell m being at a sqrt(m/2) with 12, 6, 24, 12, 24, 8, 48 atoms.
 *
 * [inner, outer) of shell m is "the mth shell" of the order parameter: m = 1 in paper 001, m = 4 in
 * 000 (the 12 atoms at twice the nearest distance). [0, outer) of shell m is "within the mth
 * shell": for m = 4 the 54 atoms of two layers of neighbours in which paper 000 looks at
 * heterogeneity. Paper 003 uses [0, outer) of m = 1.
 *
 * @inner_A, @outer_A: [out] either may be NULL; inner is 0 for m = 1
 *
 * Errors: PN_EARG unless 1 <= m <= 12 (there is no shell 14) and lattice_A is a finite number > 0.
 */
int pn_fcc_shell_range(double *inner_A, double *outer_A, int m, double lattice_A,
		       struct pn_error *err);

/**
 * pn_shell_counts - neighbours of each species at inner_A <= distance < outer_A.
 *
 * Coincident atoms are neighbours if @inner_A is 0.
 *
 * @counts:    [out] [atoms][species]
 * @neighbors: with a cut-off of at least @outer_A
 * @element:   [atoms]
 * @species:   must hold every species of the model
 *
 * Errors: PN_EARG (outer_A beyond the cut-off, not 0 <= inner_A < outer_A, a species that is
 * lacking). Cost: 3 ns per neighbour in the list.
 */
int pn_shell_counts(uint32_t *counts, const struct pn_neighbors *neighbors, const uint8_t *element,
		    const struct pn_species *species, double inner_A, double outer_A, int threads,
		    struct pn_error *err);

/** How p_ii, like pairs, becomes an order parameter; unlike pairs are the same in both. */
enum pn_sro_form {
	PN_SRO_GENERAL, /* (p_ij - C_j) / (delta_ij - C_j): papers 000, 001 */
	PN_SRO_RATIO,   /* 1 - p_ij / C_j: paper 003, Warren-Cowley */
};

/** How the centres of a class are averaged. */
enum pn_sro_mean {
	PN_SRO_POOLED,     /* each neighbour counts once: p_ij = sum_i n_ij / sum_i n_i */
	PN_SRO_PER_CENTER, /* each centre counts once: p_ij = mean_i (n_ij / n_i) */
};

/** Order parameters of the pairs (center species i, neighbour species j) in each class. */
struct pn_sro {
	size_t classes;
	struct pn_species species;
	uint64_t *centers;   /* [classes][i] centres with at least one neighbour */
	uint64_t *neighbors; /* [classes][i] neighbours of all species around them */
	double *p;           /* [classes][i][j] probability of j around i; NaN without neighbours */
	double *alpha;       /* [classes][i][j] */
	double *deviation;   /* [classes][i][j] of alpha, see pn_sro_by_class */
};

/**
 * pn_sro_by_class - chemical short-range order of shells, regions or the whole model.
 *
 *	alpha_ij = (p_ij - C_j) / (delta_ij - C_j)
 *
 * General form: for like pairs positive = the species keeps to itself; for unlike pairs negative =
 * the two seek each other; 0 = random, but for -1/(N - 1) in a random model of N atoms, because an
 * atom is not its own neighbour. One minus ratio form: positive = fewer j around i than random,
 * also for like pairs.
 *
 * In a finite particle alpha_ij and alpha_ji differ, because i and j are not bounded by the same
 * surface; the full matrix is kept. The class is that of the centre; neighbours of all classes
 * count.
 *
 * The deviation takes each neighbour as an independent draw: sqrt(p (1 - p) / n) / |delta - C| for
 * n pooled neighbours, sqrt(p (1 - p) sum_i 1/n_i) / centers / |delta - C| per centre. It is the
 * sampling error in a random alloy except for like pairs, where a bond is seen from both its ends
 * and the error is larger, up to sqrt(2) for a rare species. It is 0 where p is 0 or 1.
 *
 * alpha is NaN where p is, where C_j is NaN, and where it has no value: C_j = 0 for unlike pairs
 * and for the ratio form, C_j = 1 for like pairs in the general form.
 *
 * @sro:            [out] freed with pn_sro_free, also after an error
 * @counts:         [atoms][species] of pn_shell_counts
 * @element:        [atoms]
 * @class_of:       [atoms], or NULL
 * @concentration:  [concentration_rows][species], as pn_composition.fraction is
 * @concentration_rows: 1 = the same reference for all classes (papers: that of the whole particle),
 *                  or classes = one for each
 *
 * Errors: PN_EARG (no classes, a class number of @classes or more, another number of rows, a
 * species that is lacking), PN_ENOMEM. Serial. Cost: 8 ns per atom.
 * Source: methods R46; paper 000 methods 6.4, paper 001 methods 6.3, paper 003 equation 1;
 * de Fontaine, J. Appl. Cryst. 4, 15 (1971).
 */
int pn_sro_by_class(struct pn_sro *sro, const uint32_t *counts, const uint8_t *element,
		    const struct pn_species *species, const int32_t *class_of, size_t atoms,
		    size_t classes, const double *concentration, size_t concentration_rows,
		    enum pn_sro_mean mean, enum pn_sro_form form, struct pn_error *err);
void pn_sro_free(struct pn_sro *sro);

/**
 * pn_sro_atoms - order parameter of each atom on its own: p_ij of the neighbours of this one atom,
 * i being its species. NaN as in pn_sro_by_class.
 *
 * The mean of alpha_ij over the atoms of species i, weighted by their neighbours, is the pooled
 * alpha_ij; the plain mean is the one per centre.
 *
 * @alpha:         [out] [atoms][species] column j
 * @concentration: [species]
 *
 * Cost: 4 ns per atom and species.
 */
void pn_sro_atoms(double *alpha, const uint32_t *counts, const uint8_t *element,
		  const struct pn_species *species, size_t atoms, const double *concentration,
		  enum pn_sro_form form, int threads);

/**
 * pn_sro_enrichment - how much of @enriched there is around each atom: alpha_jj around atoms of j =
 * enriched itself and -alpha_ij around all others, so that more is positive for both. This is what
 * papers 000 and 001 map and average over layers and regions (pn_class_stats).
 *
 * General form only. Range: from -C/(1 - C) for like pairs and -1 for unlike, to 1 and 1/C - 1.
 *
 * @value:         [out] [atoms]; NaN as in pn_sro_by_class
 * @concentration: of @enriched
 *
 * Errors: PN_EARG if the species is not among @species.
 */
int pn_sro_enrichment(double *value, const uint32_t *counts, const uint8_t *element,
		      const struct pn_species *species, size_t atoms, uint8_t enriched,
		      double concentration, int threads, struct pn_error *err);

/**
 * pn_local_concentration - fraction of @of among the neighbours of each atom, the atom itself left
 * out.
 *
 * @value: [out] [atoms]; NaN without neighbours; 0 for all others if the model has none of @of
 */
void pn_local_concentration(double *value, const uint32_t *counts, const struct pn_species *species,
			    size_t atoms, uint8_t of);

/**
 * pn_heterogeneous_centers - atoms whose neighbours are of two species or more. The species of the
 * atom itself does not matter.
 *
 * @mask:       [out] [atoms] 1 = heterogeneous
 * @per_center: [out] [species] how many, by species of the centre; may be NULL
 * @select:     [atoms] only these (001: CN = 12); NULL = all
 *
 * Returns how many there are. Source: methods R45; paper 000 methods 6.3 (range: within the 4th
 * shell).
 */
size_t pn_heterogeneous_centers(uint8_t *mask, size_t *per_center, const uint32_t *counts,
				const uint8_t *element, const struct pn_species *species,
				size_t atoms, const uint8_t *select);

/**
 * pn_discrete_centers - atoms of a species that stand alone among others: exactly @neighbors
 * neighbours in range, of which at most @like are of the species @of of the centre.
 *
 * Paper 001: Ir with CN = 12 in the first shell and c_Ir = 0 or 1/12, so 12 and 1: one or two Ir
 * atoms in all.
 *
 * @mask: [out] [atoms] 1 = discrete
 *
 * Returns how many there are.
 */
size_t pn_discrete_centers(uint8_t *mask, const uint32_t *counts, const uint8_t *element,
			   const struct pn_species *species, size_t atoms, uint8_t of,
			   uint32_t neighbors, uint32_t like);

/**
 * pn_concentration_histogram - distribution of the local concentration of @of around atoms of
 * @around.
 *
 * With @neighbors = n > 0 only atoms with exactly n neighbours in range count, bins must be n + 1,
 * and bin k holds those with k of them @of: paper 001, n = 12, c = k/12. With @neighbors = 0 all
 * count and bin k holds k/bins <= c < (k + 1)/bins, the last also c = 1, by integers, free of
 * rounding: paper 000.
 *
 * @histogram: [out] [bins]
 * @around:    species of the centre; 0 = any
 * @select:    [atoms] only these (000: the heterogeneous ones); NULL = all
 *
 * Returns how many atoms the histogram holds. Errors: none; a bad number of bins (0, or not
 * neighbors + 1) is a bug and aborts.
 */
size_t pn_concentration_histogram(uint64_t *histogram, size_t bins, const uint32_t *counts,
				  const uint8_t *element, const struct pn_species *species,
				  size_t atoms, uint8_t of, uint8_t around, uint32_t neighbors,
				  const uint8_t *select);

#endif
