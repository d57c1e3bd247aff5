/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analysis_job.h"
#include "perrin/atoms/region.h"
#include "perrin/base/element.h"

#include <stdio.h>

void pn_analysis_defaults(struct pn_analysis_options *options)
{
	struct pn_order_options order;

	pn_order_options_default(&order);
	*options = (struct pn_analysis_options){
		.layer_A = 2,
		.facet_ratio = PN_REGION_CUBOCTAHEDRON,
		.s6_min = order.s6_min,
		.cn_full = 12,
		.sro_shell = 1,
		.surface = PN_SURFACE_MESH,
		.gcn = pn_gcn_default(),
		.volcano = pn_volcano_default(),
		.r_max_A = 12,
	};
}

double pn_analysis_mean(const double *value, const uint8_t *select, size_t count, double *deviation)
{
	double sum = 0, sum2 = 0;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i]) && (!select || select[i])) {
			sum += value[i];
			n++;
		}
	double mean = n ? sum / (double)n : NAN;

	for (size_t i = 0; deviation && i < count; i++)
		if (!isnan(value[i]) && (!select || select[i]))
			sum2 += (value[i] - mean) * (value[i] - mean);
	if (deviation)
		*deviation = n > 1 ? sqrt(sum2 / (double)(n - 1)) : NAN;
	return mean;
}

static void fill_nan(double *to, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] = NAN;
}

/* ---- setting up ---------------------------------------------------------------------------- */

static int check_options(const struct job *job)
{
	const struct pn_analysis_options *o = job->options;

	if (!(o->cutoff_A >= 0 && o->cutoff_A < 1000) || !(o->alpha_A >= 0 && o->alpha_A < 1000))
		return pn_error_set(job->err, PN_EARG,
				    "analysis: cut-off %g A, probe %g A, must be 0..1000",
				    o->cutoff_A, o->alpha_A);
	if (!(o->reference_A >= 0 && isfinite(o->reference_A)) ||
	    !(o->layer_A > 0 && isfinite(o->layer_A)))
		return pn_error_set(job->err, PN_EARG, "analysis: reference %g A, layers of %g A",
				    o->reference_A, o->layer_A);
	if (o->cn_full < 1 || o->sro_shell < 1 || o->sro_shell > 12)
		return pn_error_set(job->err, PN_EARG,
				    "analysis: %u neighbours in the bulk, shell %d of the order "
				    "parameter (1..12)",
				    o->cn_full, o->sro_shell);
	if (!(o->r_max_A >= 0) || (o->r_max_A == 0 && (o->cutoff_A == 0 || o->alpha_A == 0)))
		return pn_error_set(job->err, PN_EARG,
				    "analysis: without g(r) both the cut-off and the radius of the "
				    "probe must be given");
	return PN_OK;
}

static int allocate(const struct job *job)
{
	struct pn_analysis *a = job->a;
	size_t n = a->atoms, s = a->species.count, more = s > 1 ? 2 * s : 0;

	a->column = calloc(PN_COL_FIXED + more, sizeof *a->column);
	a->surface_atom = calloc(n, 1);
	a->shell = malloc(n * sizeof *a->shell);
	a->layer = malloc(n * sizeof *a->layer);
	a->region = malloc(n * sizeof *a->region);
	a->own_kind_histogram = calloc(s, sizeof *a->own_kind_histogram);
	a->mixed_histogram = calloc(s, sizeof *a->mixed_histogram);
	if (!a->column || !a->surface_atom || !a->shell || !a->layer || !a->region ||
	    !a->own_kind_histogram || !a->mixed_histogram)
		return pn_error_set(job->err, PN_ENOMEM, "no memory to analyse %zu atoms", n);
	memcpy(a->column, pn_analysis_columns, PN_COL_FIXED * sizeof *a->column);
	a->columns = PN_COL_FIXED + more;
	for (size_t c = 0; c < more; c++) {
		struct pn_column *to = &a->column[PN_COL_FIXED + c];
		const char *symbol = pn_element_symbol(a->species.element[c % s]);

		snprintf(to->name, sizeof to->name, c < s ? "c_%s" : "alpha_%s", symbol);
		to->unit = "";
		to->brief = c < s ? "fraction of this species among the neighbours of shell m"
				  : "alpha_ij^m of this species j around the atom";
		to->kind = PN_COLUMN_REAL;
	}
	for (size_t c = 0; c < a->columns; c++) {
		a->column[c].value = malloc(n * sizeof(double));
		if (!a->column[c].value)
			return pn_error_set(job->err, PN_ENOMEM, "no memory to analyse %zu atoms",
					    n);
		fill_nan(a->column[c].value, n);
	}
	return PN_OK;
}

static void center_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	double *radius = column(job, PN_COL_RADIUS), sum[3] = { 0 };

	for (size_t i = 0; i < a->atoms; i++)
		for (int k = 0; k < 3; k++)
			sum[k] += job->atoms->position_A[i][k];
	for (int k = 0; k < 3; k++)
		a->center_A[k] = sum[k] / (double)a->atoms;
	for (size_t i = 0; i < a->atoms; i++) {
		const double *p = job->atoms->position_A[i];
		double x = p[0] - a->center_A[0], y = p[1] - a->center_A[1];
		double z = p[2] - a->center_A[2];

		radius[i] = sqrt(x * x + y * y + z * z);
	}
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int start(struct job *job, const struct pn_analysis_options *options)
{
	struct pn_analysis *a = job->a;
	int rc = pn_atoms_check(job->atoms, job->err);

	if (options)
		*job->options = *options;
	else
		pn_analysis_defaults(job->options);
	job->rotation = job->options->rotation;
	job->species = job->options->species;
	/* what they point to may go before the analysis does */
	job->options->rotation = NULL;
	job->options->species = NULL;
	if (!rc)
		rc = check_options(job);
	if (rc)
		return rc;
	a->atoms = job->atoms->count;
	a->figures.atoms = (double)a->atoms;
	a->species = job->species ? *job->species : pn_species_of(job->atoms->element, a->atoms);
	rc = allocate(job);
	if (!rc)
		center_of(job);
	return rc;
}

int pn_analyze(struct pn_analysis *analysis, const struct pn_atoms *atoms,
	       const struct pn_analysis_options *options, int threads, struct pn_error *err)
{
	static int (*const steps[])(struct job *) = {
		pn_analysis_choose_probe,  pn_analysis_make_mesh,    pn_analysis_make_rdf,
		pn_analysis_choose_cutoff, pn_analysis_look_around,  pn_analysis_order_of,
		pn_analysis_lattice_of,    pn_analysis_depth_of,     pn_analysis_curvature_of,
		pn_analysis_facets_of,     pn_analysis_regions_of,   pn_analysis_shells_of,
		pn_analysis_activity_of,   pn_analysis_chemistry_of,
	};
	struct job job = { .a = analysis,
			   .atoms = atoms,
			   .options = &analysis->options,
			   .threads = threads,
			   .err = err };

	*analysis = (struct pn_analysis){ 0 };
	int rc = start(&job, options);

	for (size_t s = 0; !rc && s < PN_COUNT(steps); s++)
		rc = steps[s](&job);
	if (rc)
		pn_analysis_free(analysis);
	return rc;
}

void pn_analysis_free(struct pn_analysis *analysis)
{
	struct pn_analysis *a = analysis;

	for (size_t c = 0; c < a->columns; c++)
		free(a->column[c].value);
	free(a->column);
	pn_rdf_free(&a->rdf);
	pn_neighbors_free(&a->neighbors);
	pn_surface_free(&a->surface);
	pn_hull_free(&a->hull);
	pn_lattice_free(&a->lattice);
	free(a->surface_atom);
	free(a->shell);
	free(a->layer);
	free(a->region);
	free(a->own_kind_histogram);
	free(a->mixed_histogram);
	pn_composition_free(&a->whole);
	pn_composition_free(&a->by_shell);
	pn_composition_free(&a->by_layer);
	pn_composition_free(&a->by_region);
	pn_composition_free(&a->on_surface);
	pn_sro_free(&a->sro);
	pn_sro_free(&a->sro_by_shell);
	pn_sro_free(&a->sro_by_region);
	*a = (struct pn_analysis){ 0 };
}

const struct pn_column *pn_analysis_column(const struct pn_analysis *analysis, const char *name)
{
	for (size_t c = 0; c < analysis->columns; c++)
		if (strcmp(analysis->column[c].name, name) == 0)
			return &analysis->column[c];
	return NULL;
}
