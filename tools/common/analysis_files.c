/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Analyses as CSV, as columns of a model, as JSON. */
#include "common/analysis.h"

#include "perrin/atoms/region.h"
#include "perrin/base/element.h"
#include "perrin/format/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- CSV ----------------------------------------------------------------------------------- */

static void cell(struct pn_csv *csv, const struct pn_column *column, size_t i)
{
	double value = column->value[i];

	if (isnan(value))
		pn_csv_empty(csv);
	else if (column->kind == PN_COLUMN_REAL)
		pn_csv_f64(csv, value);
	else if (column->kind == PN_COLUMN_CLASS)
		pn_csv_text(csv, column->label((int)value));
	else
		pn_csv_i64(csv, (int64_t)value);
}

static int csv_rows(struct pn_csv *csv, const struct pn_model *model,
		    const struct pn_analysis *analysis, struct pn_error *err)
{
	int rc = PN_OK;

	for (size_t i = 0; !rc && i < model->count; i++) {
		pn_csv_u64(csv, i + 1);
		pn_csv_text(csv, pn_element_symbol(model->element[i]));
		for (int k = 0; k < 3; k++)
			pn_csv_f64(csv, model->position_A[i][k]);
		for (size_t c = 0; c < analysis->columns; c++)
			cell(csv, &analysis->column[c], i);
		rc = pn_csv_end_row(csv, err);
	}
	return rc;
}

int pn_analysis_csv(const char *path, const struct pn_model *model,
		    const struct pn_analysis *analysis, struct pn_error *err)
{
	static const char *const first[] = { "id", "element", "x_A", "y_A", "z_A" };
	size_t count = PN_COUNT(first) + analysis->columns;
	const char **names = malloc(count * sizeof *names);
	struct pn_csv *csv;

	if (!names)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu columns", count);
	memcpy(names, first, sizeof first);
	for (size_t c = 0; c < analysis->columns; c++)
		names[PN_COUNT(first) + c] = analysis->column[c].name;
	int rc = pn_csv_create(&csv, path, names, (unsigned)count, err);

	free(names);
	if (rc)
		return rc;
	rc = csv_rows(csv, model, analysis, err);
	if (rc) {
		pn_csv_abandon(csv);
		return rc;
	}
	return pn_csv_finish(csv, err);
}

/* ---- columns of a model -------------------------------------------------------------------- */

static int add_class_words(struct pn_model *model, const struct pn_column *column,
			   struct pn_error *err)
{
	char key[48], words[512] = "";

	for (size_t n = 0; n < column->labels; n++)
		snprintf(words + strlen(words), sizeof words - strlen(words), "%s%zu=%s",
			 n ? " " : "", n, column->label((int)n));
	snprintf(key, sizeof key, "%s_classes", column->name);
	return pn_model_add_pair(model, key, words, err);
}

int pn_analysis_add_columns(struct pn_model *model, const struct pn_analysis *analysis,
			    struct pn_error *err)
{
	static const char types[] = {
		[PN_COLUMN_REAL] = 'R',
		[PN_COLUMN_WHOLE] = 'I',
		[PN_COLUMN_FLAG] = 'I',
		[PN_COLUMN_CLASS] = 'I',
	};
	int rc = PN_OK;

	for (size_t c = 0; !rc && c < analysis->columns; c++) {
		const struct pn_column *from = &analysis->column[c];
		struct pn_model_column *to;

		rc = pn_model_add_column(model, from->name, types[from->kind], 1, &to, err);
		for (size_t i = 0; !rc && i < model->count; i++)
			to->values[i] = isnan(from->value[i]) && from->kind != PN_COLUMN_REAL
						? -1
						: from->value[i];
		if (!rc && from->kind == PN_COLUMN_CLASS)
			rc = add_class_words(model, from, err);
	}
	return rc;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

void pn_figures_json(struct pn_json *json, const struct pn_figures *figures)
{
	pn_json_object(json, "figures");
	for (const struct pn_figure *row = pn_analysis_figures; row->name; row++)
		pn_json_f64(json, row->name, pn_figure_of(figures, row));
	pn_json_end(json);
}

/* {"atoms": n, "Pt": {"atoms": n, "fraction": f, "sd": s}, ...} of one class */
static void composition_members(struct pn_json *json, const struct pn_composition *composition,
				size_t class)
{
	const struct pn_species *species = &composition->species;

	pn_json_u64(json, "atoms", composition->atoms[class]);
	for (size_t s = 0; s < species->count; s++) {
		size_t at = class * species->count + s;

		pn_json_object(json, pn_element_symbol(species->element[s]));
		pn_json_u64(json, "atoms", composition->count[at]);
		pn_json_f64(json, "fraction", composition->fraction[at]);
		pn_json_f64(json, "sd", composition->deviation[at]);
		pn_json_end(json);
	}
}

static void composition_json(struct pn_json *json, const struct pn_analysis *a)
{
	pn_json_object(json, "composition");
	composition_members(json, &a->whole, 0);
	pn_json_end(json);
	pn_json_object(json, "surface_composition");
	composition_members(json, &a->on_surface, 0);
	pn_json_end(json);
	pn_json_array(json, "shells");
	for (size_t k = 1; k <= a->shells; k++) {
		pn_json_object(json, NULL);
		pn_json_u64(json, "shell", k);
		composition_members(json, &a->by_shell, k);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_array(json, "layers");
	for (size_t k = 0; k < a->layers; k++) {
		pn_json_object(json, NULL);
		pn_json_f64(json, "from_A", (double)k * a->options.layer_A);
		pn_json_f64(json, "to_A", (double)(k + 1) * a->options.layer_A);
		composition_members(json, &a->by_layer, k);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_array(json, "regions");
	for (size_t k = 0; k < PN_REGIONS; k++) {
		pn_json_object(json, NULL);
		pn_json_text(json, "region", pn_region_name((int)k));
		composition_members(json, &a->by_region, k);
		pn_json_end(json);
	}
	pn_json_end(json);
}

static void sro_members(struct pn_json *json, const struct pn_sro *sro, size_t class)
{
	size_t s = sro->species.count;

	for (size_t i = 0; i < s; i++)
		for (size_t j = 0; j < s; j++) {
			size_t at = (class * s + i) * s + j;
			char pair[16];

			snprintf(pair, sizeof pair, "%s-%s",
				 pn_element_symbol(sro->species.element[i]),
				 pn_element_symbol(sro->species.element[j]));
			pn_json_object(json, pair);
			pn_json_f64(json, "alpha", sro->alpha[at]);
			pn_json_f64(json, "sd", sro->deviation[at]);
			pn_json_f64(json, "p", sro->p[at]);
			pn_json_u64(json, "centers", sro->centers[class * s + i]);
			pn_json_end(json);
		}
}

static void sro_json(struct pn_json *json, const struct pn_analysis *a)
{
	if (a->species.count < 2)
		return;
	pn_json_object(json, "short_range_order");
	pn_json_i64(json, "shell_m", a->options.sro_shell);
	pn_json_text(json, "form", a->options.sro_form == PN_SRO_RATIO ? "ratio" : "general");
	pn_json_object(json, "all");
	sro_members(json, &a->sro, 0);
	pn_json_end(json);
	pn_json_array(json, "shells");
	for (size_t k = 1; k <= a->shells; k++) {
		pn_json_object(json, NULL);
		pn_json_u64(json, "shell", k);
		sro_members(json, &a->sro_by_shell, k);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_array(json, "regions");
	for (size_t k = 0; k < PN_REGIONS; k++) {
		pn_json_object(json, NULL);
		pn_json_text(json, "region", pn_region_name((int)k));
		sro_members(json, &a->sro_by_region, k);
		pn_json_end(json);
	}
	pn_json_end(json);
	/* atoms with 12 neighbours by how many are of their own kind: c = k/12 */
	pn_json_object(json, "own_kind_among_12");
	for (size_t s = 0; s < a->species.count; s++) {
		pn_json_array(json, pn_element_symbol(a->species.element[s]));
		for (int k = 0; k < 13; k++)
			pn_json_u64(json, NULL, a->own_kind_histogram[s][k]);
		pn_json_end(json);
	}
	pn_json_end(json);
	/* heterogeneous centres by the fraction of a species around them, bins of 1/12 */
	pn_json_object(json, "fraction_around_heterogeneous");
	for (size_t s = 0; s < a->species.count; s++) {
		pn_json_array(json, pn_element_symbol(a->species.element[s]));
		for (int k = 0; k < PN_MIXED_BINS; k++)
			pn_json_u64(json, NULL, a->mixed_histogram[s][k]);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_end(json);
}

static void histogram_json(struct pn_json *json, const char *key, const uint64_t *counts,
			   size_t bins)
{
	while (bins > 0 && counts[bins - 1] == 0)
		bins--;
	pn_json_array(json, key);
	for (size_t k = 0; k < bins; k++)
		pn_json_u64(json, NULL, counts[k]);
	pn_json_end(json);
}

static void facets_json(struct pn_json *json, const char *key, const uint64_t *atoms)
{
	pn_json_object(json, key);
	for (int k = 0; k < PN_FACET_KINDS; k++)
		pn_json_u64(json, pn_facet_name(k), atoms[k]);
	pn_json_end(json);
}

static void matrix_json(struct pn_json *json, const char *key, const double m[3][3])
{
	pn_json_array(json, key);
	for (int i = 0; i < 3; i++) {
		pn_json_array(json, NULL);
		for (int j = 0; j < 3; j++)
			pn_json_f64(json, NULL, m[i][j]);
		pn_json_end(json);
	}
	pn_json_end(json);
}

static void lattice_json(struct pn_json *json, const struct pn_analysis *a)
{
	pn_json_object(json, "lattice");
	pn_json_u64(json, "atoms", a->lattice.on_lattice);
	matrix_json(json, "crystal_to_lab", (const double(*)[3])a->rotation);
	if (a->lattice.on_lattice)
		matrix_json(json, "cell_affine_A",
			    (const double(*)[3])a->lattice.cell_A[PN_LATTICE_AFFINE]);
	pn_json_end(json);
}

static void rdf_json(struct pn_json *json, const struct pn_rdf *rdf)
{
	if (!rdf->count)
		return;
	pn_json_object(json, "rdf");
	pn_json_f64(json, "r_first_A", rdf->r_first_A);
	pn_json_f64(json, "step_A", rdf->step_A);
	pn_json_f64(json, "smooth_A", rdf->smooth_A);
	pn_json_array(json, "g");
	for (size_t k = 0; k < rdf->count; k++)
		pn_json_f64(json, NULL, rdf->g[k]);
	pn_json_end(json);
	pn_json_end(json);
}

void pn_analysis_json(struct pn_json *json, const struct pn_analysis *analysis)
{
	const struct pn_analysis *a = analysis;

	pn_figures_json(json, &a->figures);
	composition_json(json, a);
	sro_json(json, a);
	pn_json_object(json, "coordination");
	histogram_json(json, "all", a->cn_histogram, PN_COUNT(a->cn_histogram));
	histogram_json(json, "surface", a->cn_surface_histogram, PN_COUNT(a->cn_surface_histogram));
	pn_json_end(json);
	pn_json_object(json, "facets");
	facets_json(json, "by_cn", a->facet_atoms);
	facets_json(json, "by_normal", a->facet_normal_atoms);
	pn_json_end(json);
	lattice_json(json, a);
	rdf_json(json, &a->rdf);
}
