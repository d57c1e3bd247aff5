/* SPDX-License-Identifier: GPL-3.0-or-later */
/* analysis.h - the flags of `perrin atoms` and `perrin compare`, and analyses as files. */
#ifndef PERRIN_TOOLS_ANALYSIS_H
#define PERRIN_TOOLS_ANALYSIS_H

#include "perrin/atoms/analysis.h"
#include "perrin/base/json.h"
#include "perrin/base/param.h"
#include "perrin/format/model.h"

/** How atoms are to be analysed, as flags. */
struct pn_analysis_params {
	double cutoff_A, alpha_A, reference_A, layer_A, r_max_A, s6_min;
	double ligand_weight, temperature_K, gcn_reference;
	double slope_1_eV, intercept_1_eV, slope_2_eV, intercept_2_eV;
	int surface, regions, sro_form;
	int64_t sro_shell, cn_full, threads;
	char active[PN_PARAM_TEXT_MAX], ligand[PN_PARAM_TEXT_MAX];
};
extern const struct pn_param pn_analysis_param_table[];

/**
 * pn_analysis_options_of - flags as settings of the kernels. Errors: PN_EARG (unknown element).
 */
int pn_analysis_options_of(struct pn_analysis_options *options,
			   const struct pn_analysis_params *params, struct pn_error *err);

/** pn_analysis_help - the list of columns and figures, for --help. */
void pn_analysis_help(FILE *out);

/** pn_model_view - a model as the kernels take it; borrowed. */
struct pn_atoms pn_model_view(const struct pn_model *model);

/**
 * pn_analysis_csv - one line per atom: id element x_A y_A z_A and every column. Classes are words;
 * a cell without value is empty.
 */
int pn_analysis_csv(const char *path, const struct pn_model *model,
		    const struct pn_analysis *analysis, struct pn_error *err);

/**
 * pn_analysis_add_columns - every column as a column of the model, for extended XYZ. Classes are
 * whole numbers, their words go into the header as "facet_classes"; whole numbers that do not exist
 * are -1. A column of that name that the model has already is an error (PN_EEXIST).
 */
int pn_analysis_add_columns(struct pn_model *model, const struct pn_analysis *analysis,
			    struct pn_error *err);

/** pn_analysis_json - members of an object: figures, composition, order, facets, lattice, g(r). */
void pn_analysis_json(struct pn_json *json, const struct pn_analysis *analysis);

/** pn_figures_json - "figures": one member for each number. */
void pn_figures_json(struct pn_json *json, const struct pn_figures *figures);

#endif
