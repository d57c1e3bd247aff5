/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Steps of pn_analyze: mesh, depth, curvature, facets, regions, shells. */
#include "analysis_job.h"
#include "perrin/atoms/curvature.h"
#include "perrin/atoms/region.h"
#include "perrin/atoms/shells.h"

#define FACET_MAX_DEG 10.0

int pn_analysis_make_mesh(struct job *job)
{
	struct pn_analysis *a = job->a;
	struct pn_figures *f = &a->figures;
	int rc = pn_surface_build(&a->surface, job->atoms, job->options->alpha_A, job->threads,
				  job->err);

	if (!rc)
		rc = pn_hull_build(&a->hull, job->atoms, job->err);
	if (rc)
		return rc;
	fill_u8(column(job, PN_COL_ON_MESH), a->surface.on_mesh, a->atoms);
	f->surface_atoms_mesh = (double)a->surface.corners;
	f->area_A2 = a->surface.area_A2;
	f->volume_A3 = a->surface.volume_A3;
	f->specific_area_per_A = f->volume_A3 > 0 ? f->area_A2 / f->volume_A3 : NAN;
	f->sphericity = pn_surface_sphericity(&a->surface);
	f->hull_volume_A3 = a->hull.volume_A3;
	f->hull_area_A2 = a->hull.area_A2;
	f->diameter_A = a->hull.diameter_A;
	return PN_OK;
}

int pn_analysis_curvature_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	double sigma_A = isnan(a->figures.a_A) ? M_SQRT2 * job->options->alpha_A : a->figures.a_A;
	double *area = malloc(a->atoms * sizeof *area), sum = 0, total = 0;

	if (!area)
		return pn_error_set(job->err, PN_ENOMEM, "no memory for %zu atoms", a->atoms);
	int rc = pn_curvature(column(job, PN_COL_MEAN_CURVATURE),
			      column(job, PN_COL_GAUSSIAN_CURVATURE), area, NULL, &a->surface,
			      job->atoms, job->threads, job->err);

	if (!rc)
		rc = pn_surface_average(column(job, PN_COL_CURVATURE_SMOOTH),
					column(job, PN_COL_MEAN_CURVATURE), 1, area, sigma_A,
					job->atoms, job->threads, job->err);
	for (size_t i = 0; !rc && i < a->atoms; i++)
		if (area[i] > 0) {
			sum += area[i] * column(job, PN_COL_MEAN_CURVATURE)[i];
			total += area[i];
		}
	a->figures.curvature_mean_per_A = total > 0 ? sum / total : NAN;
	free(area);
	return rc;
}

int pn_analysis_facets_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	struct pn_figures *f = &a->figures;
	struct pn_facet_areas areas;
	uint8_t *facet = malloc(a->atoms);
	double nearest_A = !isnan(f->a_A)            ? f->a_A * M_SQRT1_2
			   : !isnan(f->first_peak_A) ? f->first_peak_A
						     : job->options->alpha_A;

	if (!facet)
		return pn_error_set(job->err, PN_ENOMEM, "no memory for %zu atoms", a->atoms);
	f->area_111_A2 = f->area_100_A2 = f->area_110_A2 = f->area_other_A2 = NAN;
	int rc = pn_facet_by_cn(facet, &a->neighbors, column(job, PN_COL_CSP), nearest_A, 0.5,
				job->threads, job->err);

	for (size_t i = 0; !rc && i < a->atoms; i++) {
		column(job, PN_COL_FACET)[i] = facet[i];
		a->facet_atoms[facet[i]]++;
	}
	/* the other two need to know how the crystal lies */
	if (!rc && !isnan(a->rotation[0][0])) {
		rc = pn_facet_areas(&areas, &a->surface, job->atoms,
				    (const double(*)[3])a->rotation, FACET_MAX_DEG, job->err);
		if (!rc) {
			f->area_111_A2 = areas.a111_A2;
			f->area_100_A2 = areas.a100_A2;
			f->area_110_A2 = areas.a110_A2;
			f->area_other_A2 = areas.other_A2;
			rc = pn_facet_by_normal(
				facet, column(job, PN_COL_FACET_ANGLE), NULL, &a->neighbors,
				job->atoms, a->surface_atom, nearest_A * M_SQRT2,
				(const double(*)[3])a->rotation, job->threads, job->err);
		}
		for (size_t i = 0; !rc && i < a->atoms; i++) {
			column(job, PN_COL_FACET_NORMAL)[i] = facet[i];
			a->facet_normal_atoms[facet[i]]++;
		}
	}
	free(facet);
	return rc;
}

int pn_analysis_regions_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	int rc = PN_OK;

	for (size_t i = 0; i < a->atoms; i++)
		a->region[i] = -1;
	if (!isnan(a->rotation[0][0]))
		rc = pn_regions(a->region, job->atoms, (const double(*)[3])a->rotation, a->center_A,
				job->options->facet_ratio, a->surface_atom, job->threads, job->err);
	for (size_t i = 0; !rc && i < a->atoms; i++)
		if (a->region[i] >= 0)
			column(job, PN_COL_REGION)[i] = a->region[i];
	return rc;
}

int pn_analysis_shells_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	uint32_t shells;
	int rc = pn_shells_by_cn(a->shell, &shells, NULL, &a->neighbors, job->options->cn_full,
				 job->err);

	for (size_t i = 0; !rc && i < a->atoms; i++)
		column(job, PN_COL_SHELL_CN)[i] = a->shell[i];
	a->figures.shells_cn = shells;
	if (!rc)
		rc = pn_shells_by_probe(a->shell, &shells, job->atoms, job->options->alpha_A,
					job->threads, job->err);
	for (size_t i = 0; !rc && i < a->atoms; i++)
		column(job, PN_COL_SHELL)[i] = a->shell[i];
	a->figures.shells = shells;
	a->shells = shells;
	return rc;
}

int pn_analysis_depth_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	double *depth = column(job, PN_COL_DEPTH), deepest = 0;
	int rc = pn_surface_distance(&a->surface, job->atoms, depth, job->threads, job->err);

	if (!rc)
		rc = pn_surface_atom_distance(job->atoms, a->surface_atom,
					      column(job, PN_COL_DEPTH_ATOM), job->threads,
					      job->err);
	for (size_t i = 0; !rc && i < a->atoms; i++)
		deepest = depth[i] > deepest ? depth[i] : deepest;
	a->layers = (size_t)(deepest / job->options->layer_A) + 1;
	if (!rc && a->layers > 100000)
		rc = pn_error_set(job->err, PN_EARG,
				  "analysis: layers of %g A make %zu layers of %g A",
				  job->options->layer_A, a->layers, deepest);
	if (!rc)
		pn_class_bins(a->layer, depth, a->atoms, 0, job->options->layer_A, a->layers);
	return rc;
}
