/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin atoms - everything about one atomic model: structure, surface, order, strain, chemistry.
 */
#include "command.h"
#include "common/analysis.h"
#include "common/text.h"
#include "perrin/base/element.h"
#include "perrin/format/cif.h"
#include "perrin/format/xyz.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct atoms_options {
	char model[PN_PARAM_TEXT_MAX], csv[PN_PARAM_TEXT_MAX], xyz[PN_PARAM_TEXT_MAX];
	char cif[PN_PARAM_TEXT_MAX];
	struct pn_analysis_params analysis;
	int64_t frame;
	int json;
};

#define OFF(field) offsetof(struct atoms_options, field)
static const struct pn_param params[] = {
	{ .name = "model",
	  .help = "atoms: .xyz, .extxyz, .pdb or .ent",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(model),
	  .positional = 1,
	  .required = 1 },
	{ .name = "csv",
	  .unit = "FILE",
	  .help = "write a line for each atom with the columns below ('-': standard output)",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(csv) },
	{ .name = "xyz",
	  .unit = "FILE",
	  .help = "write the model with these columns as extended XYZ",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(xyz) },
	{ .name = "cif",
	  .unit = "FILE",
	  .help = "write the model as CIF, space group P1",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(cif) },
	{ .name = "frame",
	  .help = "which model of a file of several",
	  .type = PN_PARAM_I64,
	  .off = OFF(frame),
	  .def = 1,
	  .min = 1,
	  .max = 1e9 },
	{ .name = "json",
	  .help = "print the numbers of the model as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ .name = "analysis", .off = OFF(analysis), .group = pn_analysis_param_table },
	{ 0 },
};

/* ---- telling ------------------------------------------------------------------------------- */

static void print_json(const char *path, const struct pn_analysis *analysis)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "model", path);
	pn_analysis_json(&json, analysis);
	pn_json_end(&json);
}

/* Composition, CN and facets as lines of text. */
static void print_kinds(const struct pn_analysis *a)
{
	printf("species     ");
	for (size_t s = 0; s < a->species.count; s++)
		printf(" %s %" PRIu64 " (surface %" PRIu64 ")",
		       pn_element_symbol(a->species.element[s]), a->whole.count[s],
		       a->on_surface.count[s]);
	printf("\ncoordination");
	for (int k = 0; k < 32; k++)
		if (a->cn_histogram[k])
			printf(" %d:%" PRIu64, k, a->cn_histogram[k]);
	printf("\nfacets      ");
	for (int k = 1; k < PN_FACET_KINDS; k++)
		printf(" %s %" PRIu64, pn_facet_name(k), a->facet_atoms[k]);
	printf("\nshells      ");
	for (size_t k = 1; k <= a->shells; k++)
		printf(" %" PRIu64, a->by_shell.atoms[k]);
	printf("\n");
	for (size_t i = 0; a->species.count > 1 && i < a->species.count; i++)
		for (size_t j = 0; j < a->species.count; j++)
			printf("alpha %s-%s %.4f +- %.4f\n",
			       pn_element_symbol(a->species.element[i]),
			       pn_element_symbol(a->species.element[j]),
			       a->sro.alpha[i * a->species.count + j],
			       a->sro.deviation[i * a->species.count + j]);
}

static void print_text(const struct pn_analysis *analysis)
{
	for (const struct pn_figure *row = pn_analysis_figures; row->name; row++) {
		double value = pn_figure_of(&analysis->figures, row);
		char number[PN_TEXT_SHORT];

		snprintf(number, sizeof number, "%.7g", value);
		printf("%-20s %12s %-4s %s\n", row->name, isnan(value) ? "-" : number, row->unit,
		       row->brief);
	}
	print_kinds(analysis);
}

/* ---- running ------------------------------------------------------------------------------- */

/* Columns of the file that have the names of ours give way: the file may be one we wrote. */
static int write_xyz(const struct atoms_options *options, const struct pn_model *model,
		     const struct pn_analysis *analysis, struct pn_error *err)
{
	struct pn_model *out;
	int rc = pn_model_create(&out, model->count, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < model->count; i++) {
		for (int k = 0; k < 3; k++)
			out->position_A[i][k] = model->position_A[i][k];
		out->element[i] = model->element[i];
	}
	out->time_s = model->time_s;
	out->has_cell = model->has_cell;
	for (int r = 0; r < 3; r++) {
		out->periodic[r] = model->periodic[r];
		for (int k = 0; k < 3; k++)
			out->cell_A[r][k] = model->cell_A[r][k];
	}
	rc = pn_analysis_add_columns(out, analysis, err);
	if (!rc)
		rc = pn_xyz_write(options->xyz, out, 1, err);
	pn_model_destroy(out);
	return rc;
}

static int write_files(const struct atoms_options *options, const struct pn_model *model,
		       const struct pn_analysis *analysis, struct pn_error *err)
{
	int rc = PN_OK;

	if (options->csv[0])
		rc = pn_analysis_csv(options->csv, model, analysis, err);
	if (!rc && options->xyz[0])
		rc = write_xyz(options, model, analysis, err);
	if (!rc && options->cif[0])
		rc = pn_cif_write(options->cif, model, 5, err);
	return rc;
}

static int analyze_model(const struct atoms_options *options, const struct pn_model *model,
			 struct pn_error *err)
{
	struct pn_atoms atoms = pn_model_view(model);
	struct pn_analysis_options settings;
	struct pn_analysis analysis;
	int rc = pn_analysis_options_of(&settings, &options->analysis, err);

	if (rc)
		return rc;
	rc = pn_analyze(&analysis, &atoms, &settings, (int)options->analysis.threads, err);
	if (rc)
		return pn_error_wrap(err, "%s", options->model);
	rc = write_files(options, model, &analysis, err);
	if (!rc && options->json)
		print_json(options->model, &analysis);
	else if (!rc && !(options->csv[0] == '-' && !options->csv[1]))
		print_text(&analysis);
	pn_analysis_free(&analysis);
	return rc;
}

static int run_atoms(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct atoms_options *options = arg;
	struct pn_model *models;
	size_t frames;

	(void)extra;
	(void)extra_count;
	int rc = pn_model_open(&models, &frames, options->model, err);

	if (rc)
		return rc;
	if ((uint64_t)options->frame > frames)
		rc = pn_error_set(err, PN_EARG, "%s: frame %" PRId64 " of %zu", options->model,
				  options->frame, frames);
	else
		rc = analyze_model(options, &models[options->frame - 1], err);
	pn_models_free(models, frames);
	return rc;
}

const struct pn_command pn_command_atoms = {
	.name = "atoms",
	.brief = "everything about an atomic model: structure, surface, order, strain, chemistry",
	.usage = "MODEL [--csv FILE] [--xyz FILE] [--json] [flags]",
	.params = params,
	.options_size = sizeof(struct atoms_options),
	.more_help = pn_analysis_help,
	.run = run_atoms,
};
