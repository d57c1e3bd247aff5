/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Steps of pn_analyze: distances, neighbours, order, lattice. */
#include "analysis_job.h"
#include "perrin/atoms/cells.h"
#include "perrin/atoms/csp.h"
#include "perrin/base/element.h"

#define DUPLICATE_PART 0.4 /* of the first peak: 1.1 A for Pt */

/* ---- g(r), the two radii, the mesh --------------------------------------------------------- */

/* The radius of the probe from a g(r) that knows no surface yet; peaks lie where they lie. */
int pn_analysis_choose_probe(struct job *job)
{
	struct pn_rdf_options options = { .r_max_A = job->options->r_max_A };
	struct pn_rdf rdf;

	if (job->options->alpha_A > 0)
		return PN_OK;
	int rc = pn_rdf_build(&rdf, job->atoms, NULL, &options, job->threads, job->err);

	if (!rc && isnan(rdf.first_peak_A))
		rc = pn_error_set(job->err, PN_EARG,
				  "g(r) of %zu atoms has no peak below %g A: give the cut-off and "
				  "the radius of the probe",
				  job->a->atoms, job->options->r_max_A);
	if (!rc)
		job->options->alpha_A = rdf.first_peak_A;
	pn_rdf_free(&rdf);
	return rc;
}

int pn_analysis_make_rdf(struct job *job)
{
	struct pn_rdf_options options = { .r_max_A = job->options->r_max_A };
	struct pn_figures *f = &job->a->figures;
	struct pn_rdf *rdf = &job->a->rdf;

	f->first_peak_A = f->first_minimum_A = f->second_peak_A = f->second_minimum_A = NAN;
	f->first_peak_mean_A = f->first_peak_mean_sd_A = f->first_peak_sigma_A = NAN;
	if (job->options->r_max_A == 0)
		return PN_OK;
	int rc = pn_rdf_build(rdf, job->atoms, &job->a->surface, &options, job->threads, job->err);

	if (rc)
		return rc;
	f->first_peak_A = rdf->first_peak_A;
	f->first_minimum_A = rdf->first_minimum_A;
	f->second_peak_A = rdf->second_peak_A;
	f->second_minimum_A = rdf->second_minimum_A;
	f->first_peak_mean_A = rdf->first_peak_mean_A;
	f->first_peak_mean_sd_A = rdf->first_peak_mean_sd_A;
	f->first_peak_sigma_A = rdf->first_peak_sigma_A;
	return PN_OK;
}

int pn_analysis_choose_cutoff(struct job *job)
{
	struct pn_figures *f = &job->a->figures;
	double *cutoff_A = &job->options->cutoff_A;

	if (*cutoff_A == 0)
		*cutoff_A = !isnan(f->first_minimum_A)
				    ? f->first_minimum_A
				    : (1 + M_SQRT1_2) * M_SQRT1_2 * job->options->alpha_A;
	f->cutoff_A = *cutoff_A;
	f->alpha_A = job->options->alpha_A;
	return PN_OK;
}

/* ---- neighbours: coordination, bonds, symmetry ---------------------------------------------- */

static void bonds_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	double *cn = column(job, PN_COL_CN), *bond = column(job, PN_COL_BOND), sum = 0;

	for (size_t i = 0; i < a->atoms; i++) {
		uint32_t first = a->neighbors.start[i], last = a->neighbors.start[i + 1];
		double length = 0;

		for (uint32_t at = first; at < last; at++) {
			const double *d = a->neighbors.bond_A[at];

			length += sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
		}
		cn[i] = last - first;
		bond[i] = last > first ? length / (last - first) : NAN;
		sum += length;
		a->cn_histogram[last - first < 31 ? last - first : 31]++;
		a->figures.surface_atoms_cn += last - first < job->options->cn_full;
	}
	a->figures.cn_mean = pn_analysis_mean(cn, NULL, a->atoms, NULL);
	a->figures.bond_mean_A =
		a->neighbors.start[a->atoms] ? sum / a->neighbors.start[a->atoms] : NAN;
}

/* Which atoms are the surface by the rule in force; without a mesh it is the coordination. */
static void mark_surface(struct job *job)
{
	struct pn_analysis *a = job->a;
	const double *cn = column(job, PN_COL_CN);

	for (size_t i = 0; i < a->atoms; i++) {
		int low = cn[i] < job->options->cn_full;

		a->surface_atom[i] =
			job->options->surface == PN_SURFACE_MESH && a->surface.triangles
				? a->surface.on_mesh[i]
				: (uint8_t)low;
		if (a->surface_atom[i])
			a->cn_surface_histogram[cn[i] < 31 ? (int)cn[i] : 31]++;
	}
	fill_u8(column(job, PN_COL_SURFACE), a->surface_atom, a->atoms);
	a->figures.bond_surface_mean_A =
		pn_analysis_mean(column(job, PN_COL_BOND), a->surface_atom, a->atoms, NULL);
}

static int near_duplicates(struct job *job)
{
	struct pn_analysis *a = job->a;
	double peak_A =
		isnan(a->figures.first_peak_A) ? job->options->alpha_A : a->figures.first_peak_A;
	uint8_t *twice = malloc(a->atoms);

	if (!twice)
		return pn_error_set(job->err, PN_ENOMEM, "no memory for %zu atoms", a->atoms);
	a->figures.duplicates = (double)pn_neighbors_duplicates(
		&a->neighbors, fmin(DUPLICATE_PART * peak_A, a->neighbors.cutoff_A), twice);
	fill_u8(column(job, PN_COL_DUPLICATE), twice, a->atoms);
	free(twice);
	return PN_OK;
}

int pn_analysis_look_around(struct job *job)
{
	struct pn_analysis *a = job->a;
	struct pn_cells cells;
	int rc = pn_neighbors_build(&a->neighbors, job->atoms, job->options->cutoff_A, job->threads,
				    job->err);

	if (rc)
		return rc;
	bonds_of(job);
	mark_surface(job);
	rc = near_duplicates(job);
	if (!rc)
		rc = pn_csp_shell(column(job, PN_COL_CSP), &a->neighbors, job->threads, job->err);
	if (rc)
		return rc;
	rc = pn_cells_build(&cells, job->atoms->position_A, a->atoms, job->options->cutoff_A,
			    job->err);
	if (rc)
		return rc;
	rc = pn_csp_nearest(column(job, PN_COL_CSP12), &cells, job->atoms, 12, job->threads,
			    job->err);
	pn_cells_free(&cells);
	return rc;
}

int pn_analysis_order_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	struct pn_figures *f = &a->figures;
	struct pn_order_options options;
	struct pn_order order;

	pn_order_options_default(&options);
	options.s6_min = job->options->s6_min;
	options.surface = a->surface_atom;
	int rc = pn_order_build(&order, &a->neighbors, &options, job->threads, job->err);
	const struct {
		enum pn_column_id id;
		const double *from;
	} copies[] = {
		{ PN_COL_Q4, order.q4 },
		{ PN_COL_Q6, order.q6 },
		{ PN_COL_W4, order.w4 },
		{ PN_COL_W6, order.w6 },
		{ PN_COL_W4_RAW, order.w4_raw },
		{ PN_COL_W6_RAW, order.w6_raw },
		{ PN_COL_Q4_BAR, order.Q4 },
		{ PN_COL_Q6_BAR, order.Q6 },
		{ PN_COL_Q4_NOSELF, order.Q4_noself },
		{ PN_COL_Q6_NOSELF, order.Q6_noself },
		{ PN_COL_ORDER, order.scaled },
	};

	for (size_t c = 0; !rc && c < PN_COUNT(copies); c++)
		memcpy(column(job, copies[c].id), copies[c].from, a->atoms * sizeof(double));
	for (size_t i = 0; !rc && i < a->atoms; i++)
		column(job, PN_COL_S6_BONDS)[i] = order.crystalline_bonds[i];
	if (!rc) {
		fill_u8(column(job, PN_COL_CRYSTALLINE), order.crystalline, a->atoms);
		fill_u8(column(job, PN_COL_ORDER_CLASS), order.order_class, a->atoms);
		f->q4_mean = pn_analysis_mean(order.q4, NULL, a->atoms, NULL);
		f->q6_mean = pn_analysis_mean(order.q6, NULL, a->atoms, NULL);
		f->Q4_mean = pn_analysis_mean(order.Q4, NULL, a->atoms, NULL);
		f->Q6_mean = pn_analysis_mean(order.Q6, NULL, a->atoms, NULL);
		f->crystalline_atoms = (double)order.crystalline_atoms;
		f->disordered_atoms = (double)(a->atoms - order.crystalline_atoms);
		f->disordered_fraction = f->disordered_atoms / (double)a->atoms;
		f->ordered_atoms = (double)order.ordered_atoms;
		f->icosahedral_atoms = (double)order.class_atoms[PN_ORDER_ICOSAHEDRAL];
		f->fcc_atoms = (double)order.class_atoms[PN_ORDER_FCC];
		f->hcp_atoms = (double)order.class_atoms[PN_ORDER_HCP];
	}
	pn_order_free(&order);
	return rc;
}

/* ---- lattice and strain -------------------------------------------------------------------- */

/* Bulk constants, weighted by the composition; the model's own if a species is not fcc. */
static double reference_of(const struct job *job)
{
	const struct pn_analysis *a = job->a;
	double sum = 0;

	if (job->options->reference_A > 0)
		return job->options->reference_A;
	for (size_t i = 0; i < a->atoms; i++) {
		double bulk_A = pn_lattice_constant_A(job->atoms->element[i]);

		if (bulk_A == 0)
			return a->lattice.a_A;
		sum += bulk_A;
	}
	return sum / (double)a->atoms;
}

static void tensor_columns(struct job *job, const double (*tensor)[3][3])
{
	static const struct {
		enum pn_column_id id;
		int row, at;
	} parts[] = {
		{ PN_COL_STRAIN_XX, 0, 0 }, { PN_COL_STRAIN_YY, 1, 1 }, { PN_COL_STRAIN_ZZ, 2, 2 },
		{ PN_COL_STRAIN_XY, 0, 1 }, { PN_COL_STRAIN_YZ, 1, 2 }, { PN_COL_STRAIN_ZX, 2, 0 },
	};

	for (size_t p = 0; p < PN_COUNT(parts); p++)
		for (size_t i = 0; i < job->a->atoms; i++)
			column(job, parts[p].id)[i] = tensor[i][parts[p].row][parts[p].at];
}

static int strain_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	struct pn_figures *f = &a->figures;
	double(*tensor)[3][3] = malloc(a->atoms * sizeof *tensor);

	if (!tensor)
		return pn_error_set(job->err, PN_ENOMEM, "no memory for %zu strains", a->atoms);
	f->reference_A = reference_of(job);
	int rc = pn_lattice_local(column(job, PN_COL_A_LOCAL), column(job, PN_COL_STRAIN), tensor,
				  column(job, PN_COL_VOLUME_STRAIN), &a->neighbors, &a->lattice,
				  f->reference_A, job->threads, job->err);

	if (!rc) {
		pn_lattice_radial(column(job, PN_COL_RADIAL_STRAIN), NULL, job->atoms, &a->lattice,
				  (const double(*)[3][3])tensor);
		tensor_columns(job, (const double(*)[3][3])tensor);
		f->strain_mean =
			pn_analysis_mean(column(job, PN_COL_STRAIN), NULL, a->atoms, &f->strain_sd);
		f->radial_strain_mean = pn_analysis_mean(column(job, PN_COL_RADIAL_STRAIN), NULL,
							 a->atoms, &f->radial_strain_sd);
	}
	free(tensor);
	return rc;
}

static void without_lattice(struct job *job)
{
	struct pn_figures *f = &job->a->figures;

	f->a_A = f->a_sd_A = f->a_x_A = f->a_y_A = f->a_z_A = NAN;
	f->rms_one_A = f->rms_three_A = f->rms_affine_A = NAN;
	f->strain_mean = f->strain_sd = f->radial_strain_mean = f->radial_strain_sd = NAN;
	f->reference_A = job->options->reference_A > 0 ? job->options->reference_A : NAN;
	for (int r = 0; r < 9; r++)
		(&job->a->rotation[0][0])[r] = NAN;
}

int pn_analysis_lattice_of(struct job *job)
{
	struct pn_analysis *a = job->a;
	struct pn_figures *f = &a->figures;
	struct pn_lattice_options options;

	pn_lattice_defaults(&options);
	options.spacing_A = isnan(f->first_peak_A) ? 0 : f->first_peak_A;
	without_lattice(job);
	int rc = pn_lattice_fit(&a->lattice, job->atoms, &options, job->threads, job->err);

	if (rc)
		return rc;
	f->lattice_atoms = (double)a->lattice.on_lattice;
	for (size_t i = 0; i < a->atoms; i++) {
		const double *d = a->lattice.displacement_A[i];

		column(job, PN_COL_ON_LATTICE)[i] = pn_lattice_is_on(&a->lattice, i);
		column(job, PN_COL_DISPLACEMENT)[i] = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
	}
	if (a->lattice.on_lattice) {
		f->a_A = a->lattice.a_A;
		f->a_sd_A = a->lattice.a_sd_A;
		f->a_x_A = a->lattice.axes_A[0];
		f->a_y_A = a->lattice.axes_A[1];
		f->a_z_A = a->lattice.axes_A[2];
		f->rms_one_A = a->lattice.rms_A[PN_LATTICE_ISOTROPIC];
		f->rms_three_A = a->lattice.rms_A[PN_LATTICE_AXES];
		f->rms_affine_A = a->lattice.rms_A[PN_LATTICE_AFFINE];
		memcpy(a->rotation, a->lattice.rotation, sizeof a->rotation);
		rc = strain_of(job);
	}
	if (job->rotation)
		memcpy(a->rotation, job->rotation, sizeof a->rotation);
	return rc;
}
