/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/analysis.h - everything that can be said about one atomic model, in one table. */
#ifndef PERRIN_ATOMS_ANALYSIS_H
#define PERRIN_ATOMS_ANALYSIS_H

#include "perrin/atoms/activity.h"
#include "perrin/atoms/classes.h"
#include "perrin/atoms/facet.h"
#include "perrin/atoms/hull.h"
#include "perrin/atoms/lattice.h"
#include "perrin/atoms/neighbors.h"
#include "perrin/atoms/order.h"
#include "perrin/atoms/rdf.h"
#include "perrin/atoms/sro.h"
#include "perrin/atoms/surface.h"

#define PN_MIXED_BINS 12 /* so that k of 12 neighbours have a bin of their own */

/** Which atoms are the surface, where a quantity is of surface atoms only. */
enum pn_surface_rule {
	PN_SURFACE_MESH, /* corners of the alpha-shape mesh */
	PN_SURFACE_CN,   /* coordination number below that of the bulk (000, 001) */
};

/** Settings; start from pn_analysis_defaults. */
struct pn_analysis_options {
	double cutoff_A;    /* of neighbours; 0 = first minimum of g(r) */
	double alpha_A;     /* radius of the probe of the mesh; 0 = first peak of g(r) */
	double reference_A; /* lattice constant without strain; 0 = that of the bulk metals */
	double layer_A;     /* thickness of the layers of the depth profiles */
	double facet_ratio; /* d_100 / d_111 of the shape whose facets the regions follow */
	double s6_min;      /* see struct pn_order_options */
	uint32_t cn_full;   /* neighbours of an atom in the bulk */
	int sro_shell;      /* neighbour shell m of alpha_ij: 1 (001) or 4 (000) */
	enum pn_sro_form sro_form; /* general (000, 001) or ratio (003) */
	uint8_t active_element; /* whose surface atoms are active; 0 = Pt, else the first species */
	enum pn_surface_rule surface;
	struct pn_gcn_params gcn;
	struct pn_volcano volcano;
	/* frame of the crystal, as in struct pn_lattice; NULL = from the lattice fit. A series of
	 * models that lie on each other takes that of the first */
	const double (*rotation)[3];
	const struct pn_species *species; /* columns of the composition; NULL = of the model */
	double r_max_A;                   /* how far g(r) goes; 0 = no g(r): needs both radii */
};

/** pn_analysis_defaults - all from the model; layers of 2 A, first shell, s6 > 0.8, 12 A. */
void pn_analysis_defaults(struct pn_analysis_options *options);

enum pn_column_kind {
	PN_COLUMN_REAL,  /* any number; NaN = the atom has none */
	PN_COLUMN_WHOLE, /* a whole number; NaN = the atom has none */
	PN_COLUMN_FLAG,  /* 0 or 1 */
	PN_COLUMN_CLASS, /* a whole number that label() puts into words */
};

/** A quantity that every atom has. */
struct pn_column {
	char name[24];
	const char *unit, *brief; /* "" = no unit */
	enum pn_column_kind kind;
	const char *(*label)(int value); /* of PN_COLUMN_CLASS */
	size_t labels;                   /* classes 0 .. labels - 1 */
	double *value;                   /* [atoms] */
};

/** The quantities every analysis has, in this order; further columns follow for each species. */
enum pn_column_id {
	PN_COL_CN,
	PN_COL_CSP,
	PN_COL_CSP12,
	PN_COL_Q4,
	PN_COL_Q6,
	PN_COL_W4,
	PN_COL_W6,
	PN_COL_W4_RAW,
	PN_COL_W6_RAW,
	PN_COL_Q4_BAR,
	PN_COL_Q6_BAR,
	PN_COL_Q4_NOSELF,
	PN_COL_Q6_NOSELF,
	PN_COL_ORDER,
	PN_COL_S6_BONDS,
	PN_COL_CRYSTALLINE,
	PN_COL_ORDER_CLASS,
	PN_COL_GCN,
	PN_COL_GCN_STRAINED,
	PN_COL_ASGCN,
	PN_COL_MASGCN,
	PN_COL_LN_ACTIVITY,
	PN_COL_DEPTH,
	PN_COL_DEPTH_ATOM,
	PN_COL_ON_MESH,
	PN_COL_SURFACE,
	PN_COL_MEAN_CURVATURE,
	PN_COL_GAUSSIAN_CURVATURE,
	PN_COL_CURVATURE_SMOOTH,
	PN_COL_FACET,
	PN_COL_FACET_NORMAL,
	PN_COL_FACET_ANGLE,
	PN_COL_REGION,
	PN_COL_SHELL,
	PN_COL_SHELL_CN,
	PN_COL_ON_LATTICE,
	PN_COL_DISPLACEMENT,
	PN_COL_A_LOCAL,
	PN_COL_STRAIN,
	PN_COL_VOLUME_STRAIN,
	PN_COL_STRAIN_XX,
	PN_COL_STRAIN_YY,
	PN_COL_STRAIN_ZZ,
	PN_COL_STRAIN_XY,
	PN_COL_STRAIN_YZ,
	PN_COL_STRAIN_ZX,
	PN_COL_RADIAL_STRAIN,
	PN_COL_RADIUS,
	PN_COL_BOND,
	PN_COL_DUPLICATE,
	PN_COL_HETEROGENEOUS,
	PN_COL_DISCRETE,
	PN_COL_FIXED
};

/** pn_analysis_columns - the fixed columns without values: for help texts. [PN_COL_FIXED] */
extern const struct pn_column pn_analysis_columns[];

/**
 * Numbers of the whole model; NaN where it has none. Their names, units and meanings are rows of
 * pn_analysis_figures.
 */
struct pn_figures {
	double atoms, cutoff_A, alpha_A, reference_A;
	double first_peak_A, first_minimum_A, second_peak_A, second_minimum_A;
	double first_peak_mean_A, first_peak_mean_sd_A, first_peak_sigma_A;
	double duplicates, cn_mean, bond_mean_A, bond_surface_mean_A;
	double surface_atoms_mesh, surface_atoms_cn;
	double area_A2, volume_A3, specific_area_per_A, sphericity;
	double hull_volume_A3, hull_area_A2, diameter_A;
	double area_111_A2, area_100_A2, area_110_A2, area_other_A2;
	double lattice_atoms, a_A, a_sd_A, a_x_A, a_y_A, a_z_A;
	double rms_one_A, rms_three_A, rms_affine_A;
	double strain_mean, strain_sd, radial_strain_mean, radial_strain_sd;
	double q4_mean, q6_mean, Q4_mean, Q6_mean;
	double crystalline_atoms, disordered_atoms, disordered_fraction;
	double ordered_atoms, icosahedral_atoms, fcc_atoms, hcp_atoms;
	double gcn_mean, gcn_surface_mean, active_atoms, ln_activity_of_mean, ln_activity_mean;
	double shells, shells_cn, heterogeneous_atoms, discrete_atoms;
	double curvature_mean_per_A;
};

/** One row of the table of figures. */
struct pn_figure {
	const char *name, *unit, *brief;
	size_t off; /* of its double in struct pn_figures */
};
extern const struct pn_figure pn_analysis_figures[]; /* ended by a row without name */

/** pn_figure_of - the number a row stands for. */
static inline double pn_figure_of(const struct pn_figures *figures, const struct pn_figure *row)
{
	return *(const double *)((const char *)figures + row->off);
}

/**
 * Everything about one model. Made by pn_analyze, freed by pn_analysis_free; every array belongs to
 * it. Class arrays are as in perrin/atoms/classes.h.
 */
struct pn_analysis {
	struct pn_analysis_options options; /* with the radii that were taken; no pointers */
	size_t atoms;
	struct pn_figures figures;
	struct pn_column *column; /* [columns] */
	size_t columns;

	struct pn_rdf rdf; /* count 0 = not made */
	struct pn_neighbors neighbors;
	struct pn_surface surface;
	struct pn_hull hull;
	struct pn_lattice lattice;
	double rotation[3][3]; /* of the crystal, as it was used; NaN = none known */
	double center_A[3];    /* mean of the positions */

	struct pn_species species;
	uint8_t *surface_atom;           /* [atoms] by options.surface */
	int32_t *shell, *layer, *region; /* [atoms]; layer: bin of depth, -1 = without */
	size_t shells, layers;           /* classes 0 .. shells (0 is empty), 0 .. layers - 1 */
	struct pn_composition whole, by_shell, by_layer, by_region, on_surface;
	struct pn_sro sro, sro_by_shell, sro_by_region;
	uint64_t cn_histogram[32]; /* [31] = 31 and more */
	uint64_t cn_surface_histogram[32];
	uint64_t facet_atoms[PN_FACET_KINDS], facet_normal_atoms[PN_FACET_KINDS];
	/* [species][13]: atoms of each species with 12 neighbours by how many of them are of its
	 * own kind, c = k/12 */
	uint64_t (*own_kind_histogram)[13];
	/* [species][PN_MIXED_BINS]: heterogeneous centres by the fraction of the species among
	 * their neighbours within shell m; bin k holds k/bins <= c < (k + 1)/bins, the last one c =
	 * 1 too */
	uint64_t (*mixed_histogram)[PN_MIXED_BINS];
};

/**
 * pn_analyze - all kernels of this folder over one model, each quantity from the same neighbours,
 * surface and lattice:
 *
 *	g(r) without a mesh -> radius of the probe -> mesh -> g(r) inside the mesh -> cut-off
 *	neighbours -> coordination, order, symmetry     mesh -> depth, curvature, shells
 *	lattice -> strain, facets, regions              all -> activity, chemistry
 *
 * @analysis: [out] freed with pn_analysis_free, also after an error
 * @options:  NULL = the defaults
 *
 * What a model does not have is NaN or 0, not an error: a glass has no lattice and no strain, three
 * atoms have no mesh. Where g(r) shows no first minimum (few atoms), neighbours are closer than
 * (1 + 1/sqrt 2)/sqrt 2 = 1.2071 times the first peak, half-way between the shells of fcc.
 *
 * Errors: those of pn_atoms_check; PN_EARG (an option out of range, a single distance cannot be
 * found: fewer than 2 atoms and no cut-off given), PN_ENOMEM. Thread: reentrant. Cost: linear in
 * the atoms; `perrin bench --only atoms` tells.
 * Source: methods R40-R49, R12, R13.
 */
int pn_analyze(struct pn_analysis *analysis, const struct pn_atoms *atoms,
	       const struct pn_analysis_options *options, int threads, struct pn_error *err);
void pn_analysis_free(struct pn_analysis *analysis);

/** pn_analysis_column - the column of this name, NULL if there is none. */
const struct pn_column *pn_analysis_column(const struct pn_analysis *analysis, const char *name);

#endif
