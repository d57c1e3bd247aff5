/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Steps of pn_analyze: activity, composition, short-range order. */
#include "analysis_job.h"
#include "perrin/atoms/region.h"

/* ---- activity ------------------------------------------------------------------------------ */

int pn_analysis_activity_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	struct pn_figures *f = &a->figures;
	const struct pn_analysis_options *o = job->options;
	const double *strain = a->lattice.on_lattice ? column(job, PN_COL_STRAIN) : NULL;
	int ligands = a->species.index[o->gcn.ligand_element] >= 0 && o->gcn.ligand_element;
	uint8_t active = o->active_element           ? o->active_element
			 : a->species.index[78] >= 0 ? 78
						     : a->species.element[0];
	struct pn_activity_summary summary;

	struct pn_gcn_params plain = o->gcn;

	plain.ligand_element = 0;
	pn_gcn(column(job, PN_COL_GCN), &a->neighbors, o->gcn.cn_full, job->threads);
	pn_gcn_alloy(column(job, PN_COL_GCN_STRAINED), &a->neighbors, job->atoms->element, NULL,
		     strain, &plain, job->threads);
	pn_gcn_alloy(column(job, PN_COL_ASGCN), &a->neighbors, job->atoms->element, NULL, strain,
		     &o->gcn, job->threads);
	pn_gcn_alloy(column(job, PN_COL_MASGCN), &a->neighbors, job->atoms->element,
		     a->surface_atom, strain, &o->gcn, job->threads);
	int rc = pn_activity(column(job, PN_COL_LN_ACTIVITY), &summary,
			     column(job, ligands ? PN_COL_MASGCN : PN_COL_GCN), job->atoms->element,
			     a->surface_atom, a->atoms, active, &o->volcano, job->err);

	if (rc)
		return rc;
	f->gcn_mean = pn_analysis_mean(column(job, PN_COL_GCN), NULL, a->atoms, NULL);
	f->gcn_surface_mean =
		pn_analysis_mean(column(job, PN_COL_GCN), a->surface_atom, a->atoms, NULL);
	f->active_atoms = (double)summary.atoms;
	f->ln_activity_of_mean = summary.ln_mean;
	f->ln_activity_mean = summary.mean_ln;
	return PN_OK;
}

static double count_of(const double *flag, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += flag[i] > 0;
	return sum;
}

/* ---- chemistry ----------------------------------------------------------------------------- */

static int compositions_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	const uint8_t *element = job->atoms->element;
	const struct pn_species *s = &a->species;
	int32_t *surface = malloc(a->atoms * sizeof *surface);

	if (!surface)
		return pn_error_set(job->err, PN_ENOMEM, "no memory for %zu atoms", a->atoms);
	for (size_t i = 0; i < a->atoms; i++)
		surface[i] = a->surface_atom[i] ? 0 : -1;
	int rc = pn_composition_by_class(&a->whole, element, NULL, a->atoms, 1, s, job->err);

	if (!rc)
		rc = pn_composition_by_class(&a->on_surface, element, surface, a->atoms, 1, s,
					     job->err);
	if (!rc)
		rc = pn_composition_by_class(&a->by_shell, element, a->shell, a->atoms,
					     a->shells + 1, s, job->err);
	if (!rc)
		rc = pn_composition_by_class(&a->by_layer, element, a->layer, a->atoms, a->layers,
					     s, job->err);
	if (!rc)
		rc = pn_composition_by_class(&a->by_region, element, a->region, a->atoms,
					     PN_REGIONS, s, job->err);
	free(surface);
	return rc;
}

/* Neighbours of each species in shell m, and with all shells up to it if @within. */
static int count_shell(struct job *job, uint32_t *counts, int within)
{
	struct pn_analysis *a = job->a;
	double inner_A = 0, outer_A = job->options->cutoff_A;
	struct pn_neighbors wide = { 0 };
	const struct pn_neighbors *list = &a->neighbors;
	int rc = PN_OK;

	if (job->options->sro_shell > 1) {
		double lattice_A =
			isnan(a->figures.a_A) ? M_SQRT2 * job->options->alpha_A : a->figures.a_A;

		rc = pn_fcc_shell_range(&inner_A, &outer_A, job->options->sro_shell, lattice_A,
					job->err);
		if (!rc)
			rc = pn_neighbors_build(&wide, job->atoms, outer_A, job->threads, job->err);
		list = &wide;
	}
	if (!rc)
		rc = pn_shell_counts(counts, list, job->atoms->element, &a->species,
				     within ? 0 : inner_A, outer_A, job->threads, job->err);
	pn_neighbors_free(&wide);
	return rc;
}

static int order_parameters(struct job *job, const uint32_t *counts)
{
	struct pn_analysis *a = job->a;
	const uint8_t *element = job->atoms->element;
	size_t n = a->atoms, s = a->species.count;
	const double *c = a->whole.fraction;
	enum pn_sro_form form = job->options->sro_form;
	double *alpha = malloc(n * s * sizeof *alpha);
	int rc = pn_sro_by_class(&a->sro, counts, element, &a->species, NULL, n, 1, c, 1,
				 PN_SRO_POOLED, form, job->err);

	if (!rc)
		rc = pn_sro_by_class(&a->sro_by_shell, counts, element, &a->species, a->shell, n,
				     a->shells + 1, c, 1, PN_SRO_POOLED, form, job->err);
	if (!rc)
		rc = pn_sro_by_class(&a->sro_by_region, counts, element, &a->species, a->region, n,
				     PN_REGIONS, c, 1, PN_SRO_POOLED, form, job->err);
	if (!rc && !alpha)
		rc = pn_error_set(job->err, PN_ENOMEM, "no memory for %zu atoms", n);
	if (!rc && s > 1) {
		pn_sro_atoms(alpha, counts, element, &a->species, n, c, form, job->threads);
		for (size_t j = 0; j < s; j++) {
			pn_local_concentration(a->column[PN_COL_FIXED + j].value, counts,
					       &a->species, n, a->species.element[j]);
			for (size_t i = 0; i < n; i++)
				a->column[PN_COL_FIXED + s + j].value[i] = alpha[i * s + j];
		}
	}
	free(alpha);
	return rc;
}

/* Centres with neighbours of several kinds, and lone ones among others. */
static int mixed_centers(struct job *job, uint32_t *counts)
{
	struct pn_analysis *a = job->a;
	const uint8_t *element = job->atoms->element;
	double *mixed = column(job, PN_COL_HETEROGENEOUS), *lone = column(job, PN_COL_DISCRETE);
	uint8_t *mask = malloc(a->atoms);
	int rc = mask ? count_shell(job, counts, 1)
		      : pn_error_set(job->err, PN_ENOMEM, "no memory for %zu atoms", a->atoms);

	if (!rc) {
		a->figures.heterogeneous_atoms = (double)pn_heterogeneous_centers(
			mask, NULL, counts, element, &a->species, a->atoms, NULL);
		fill_u8(mixed, mask, a->atoms);
		for (size_t s = 0; s < a->species.count; s++)
			pn_concentration_histogram(a->mixed_histogram[s], PN_MIXED_BINS, counts,
						   element, &a->species, a->atoms,
						   a->species.element[s], 0, 0, mask);
		rc = pn_shell_counts(counts, &a->neighbors, element, &a->species, 0,
				     job->options->cutoff_A, job->threads, job->err);
	}
	for (size_t i = 0; !rc && i < a->atoms; i++)
		lone[i] = 0;
	for (size_t s = 0; !rc && s < a->species.count; s++) {
		uint8_t of = a->species.element[s];

		pn_concentration_histogram(a->own_kind_histogram[s], 13, counts, element,
					   &a->species, a->atoms, of, of, 12, NULL);
		if (a->species.count < 2)
			break; /* nothing stands alone among its own */
		pn_discrete_centers(mask, counts, element, &a->species, a->atoms, of, 12, 1);
		for (size_t i = 0; i < a->atoms; i++)
			lone[i] += mask[i];
	}
	a->figures.discrete_atoms = rc ? NAN : count_of(lone, a->atoms);
	free(mask);
	return rc;
}

int pn_analysis_chemistry_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	uint32_t *counts = malloc(a->atoms * a->species.count * sizeof *counts);
	int rc = counts ? compositions_of(job)
			: pn_error_set(job->err, PN_ENOMEM, "no memory for %zu atoms", a->atoms);

	if (!rc)
		rc = count_shell(job, counts, 0);
	if (!rc)
		rc = order_parameters(job, counts);
	if (!rc)
		rc = mixed_centers(job, counts);
	free(counts);
	return rc;
}
