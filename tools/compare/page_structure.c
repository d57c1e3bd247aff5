/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.html: what became of the atoms, g(r), coordination, order, strain. */
#include "compare/page.h"

#include <math.h>
#include <string.h>

#define RDF_FROM_A 2.0 /* nothing is nearer */

/* ---- fates --------------------------------------------------------------------------------- */

static void table_of_fates(struct page *page)
{
	static const char *const header[] = { "Step",    "Fate", "Atoms",
					      "Mean CN", "s.d.", "Mean depth (\u00c5)",
					      "s.d." };
	size_t columns = PN_COUNT(header), rows = 0;
	const char **cells = page_take(page, page->steps * PN_FATES * columns * sizeof *cells);

	for (size_t k = 0; k < page->steps; k++)
		for (int fate = 0; fate < PN_FATES; fate++) {
			const struct pn_series_step *step = page->step[k];
			const char **cell = cells + rows * columns;
			int several = step->cn[fate].count > 1;

			/* a fate that no atom met needs no line, but for the core */
			if (fate != PN_FATE_CONSISTENT && !step->pairing.fates[fate])
				continue;
			rows++;
			cell[0] = fate == PN_FATE_CONSISTENT ? page->step_label[k] : "";
			cell[1] = pn_fate_name(fate);
			cell[2] = page_text(page, "%zu", step->pairing.fates[fate]);
			cell[3] = page_text(page, "%.2f", step->cn[fate].mean);
			cell[4] =
				several ? page_text(page, "%.2f", step->cn[fate].deviation) : NULL;
			cell[5] = page_text(page, "%.2f", step->depth_A[fate].mean);
			cell[6] = several ? page_text(page, "%.2f", step->depth_A[fate].deviation)
					  : NULL;
		}
	report_table(page->report,
		     &(struct report_table){
			     "Fates",
			     page_text(page,
				       "Pairs are closer than %.2f \u00c5, each atom with one "
				       "other; an atom that "
				       "has no partner there may have moved up to %.2f \u00c5.",
				       page->series->tolerance_A, page->series->moved_A),
			     header, columns, cells, rows, "ll....." });
	page_reset(page);
}

/* Coordination or depth of the atoms of each fate in one step: those that went as they were. */
static struct report_plot fate_histogram(struct page *page, size_t k, size_t column,
					 const char *axis, double first, double width, size_t bins)
{
	static const int colors[PN_FATES] = { 1, 2, 3, 4, 5 }; /* as in the 3D views */
	const struct pn_pairing *pairing = &page->step[k]->pairing;
	struct report_series *series = page_take(page, PN_FATES * sizeof *series);
	size_t n = 0;

	for (int fate = 1; fate < PN_FATES; fate++) {
		int later = fate == PN_FATE_NEW;

		if (!pairing->fates[fate])
			continue;
		series[n] = page_histogram(
			page, pn_fate_name(fate),
			page_column(later ? page->after[k] : page->before[k], column),
			later ? pairing->fate_after : pairing->fate_before, fate,
			later ? pairing->after : pairing->before, first, width, bins);
		series[n++].color = colors[fate];
	}
	return (struct report_plot){ .title = page->step_label[k],
				     .x = { .title = axis },
				     .y = { .title = "Atoms" },
				     .series = series,
				     .series_count = n };
}

static void fate_histograms(struct page *page, size_t column, const char *title, const char *axis,
			    double first, double width, size_t bins)
{
	struct report_plot *plot = page_take(page, PAGE_MODELS_MAX * sizeof *plot);

	for (size_t k = 0; k < page->steps; k++)
		plot[k] = fate_histogram(page, k, column, axis, first, width, bins);
	/* one step is a figure like the others, several are small multiples */
	if (page->steps == 1) {
		plot->title = title;
		report_plot(page->report, plot);
	} else {
		report_panels(page->report,
			      &(struct report_panels){ title, NULL, plot, page->steps,
						       page->steps < 3 ? page->steps : 3, 1, 0 });
	}
	page_reset(page);
}

static void displacements(struct page *page)
{
	struct report_series *series = page_take(page, page->steps * sizeof *series);

	for (size_t k = 0; k < page->steps; k++) {
		const struct pn_pairing *pairing = &page->step[k]->pairing;

		series[k] = page_histogram(page, page->step_label[k], pairing->distance_A, NULL, 0,
					   pairing->before, 0, 0.05, 40);
	}
	report_plot(page->report,
		    &(struct report_plot){ .title = "Displacement of the atoms that stay",
					   .caption = "Between successive models, after alignment.",
					   .x = { .title = "Displacement (\u00c5)" },
					   .y = { .title = "Atoms" },
					   .series = series,
					   .series_count = page->steps });
	page_reset(page);
}

/* How far atoms moved, by their depth in the earlier model. */
static void displacement_profiles(struct page *page)
{
	struct report_series *series = page_take(page, page->steps * sizeof *series);

	for (size_t k = 0; k < page->steps; k++)
		series[k] =
			page_profile(page, page->step_label[k], page->step[k]->pairing.distance_A,
				     page_column(page->before[k], PN_COL_DEPTH),
				     page->before[k]->atoms, 2, page_bins(page, PN_COL_DEPTH, 2));
	report_plot(page->report,
		    &(struct report_plot){ .title = "Displacement and depth",
					   .caption = "Mean and standard deviation in layers of 2 "
						      "\u00c5 below the surface mesh.",
					   .x = { .title = "Depth (\u00c5)" },
					   .y = { .title = "Displacement (\u00c5)" },
					   .series = series,
					   .series_count = page->steps });
	page_reset(page);
}

/* Where a nearly symmetric particle could lie on itself in other ways, say so. */
static void warn_of_symmetry(struct page *page)
{
	for (size_t k = 0; k < page->steps; k++)
		if (page->step[k]->alignment.equals) {
			report_text(
				page->report,
				page_text(page,
					  "%s: %zu other positions of the later model fit about "
					  "as well. The one shown is the nearest to how the files "
					  "lie; by the atoms alone it is not certain.",
					  page->step_label[k], page->step[k]->alignment.equals));
			return;
		}
}

void page_fates(struct page *page)
{
	if (!page->steps)
		return;
	report_section(page->report, "What became of the atoms",
		       "Every atom of one model is looked for in the next, in whatever order the "
		       "files list them.");
	table_of_fates(page);
	warn_of_symmetry(page);
	fate_histograms(page, PN_COL_CN, "Coordination of the migrated atoms",
			"Coordination number", -0.5, 1, 16);
	fate_histograms(page, PN_COL_DEPTH, "Depth of the migrated atoms",
			"Distance to the surface mesh (\u00c5)", 0, 0.5,
			page_bins(page, PN_COL_DEPTH, 0.5));
	displacements(page);
	displacement_profiles(page);
}

/* ---- structure ----------------------------------------------------------------------------- */

static void pair_distances(struct page *page)
{
	enum { POINTS = 1000 };
	struct report_series *series = page_take(page, page->models * sizeof *series);
	double high = 0;
	size_t n = 0;

	for (size_t m = 0; m < page->models; m++) {
		const struct pn_rdf *rdf = &page->analysis[m]->rdf;

		for (size_t k = 0; k < rdf->count; k++)
			high = rdf->g[k] > high ? rdf->g[k] : high;
	}
	for (size_t m = 0; m < page->models; m++) {
		const struct pn_rdf *rdf = &page->analysis[m]->rdf;
		double *r = page_take(page, POINTS * sizeof *r);
		double *g = page_take(page, POINTS * sizeof *g);
		size_t points = 0;

		/* every few entries: more than the plot can show */
		for (size_t at = 0; at < rdf->count; at += rdf->count / POINTS + 1) {
			r[points] = rdf->r_first_A + (double)at * rdf->step_A;
			g[points] = rdf->g[at];
			points += r[points] >= RDF_FROM_A;
		}
		if (points)
			series[n++] = (struct report_series){ .name = page->label[m],
							      .kind = REPORT_LINE,
							      .count = points,
							      .x = r,
							      .y = g,
							      .offset = (double)m * high * 0.6 };
	}
	if (n)
		report_plot(page->report,
			    &(struct report_plot){
				    .title = "Pair distances",
				    .caption =
					    "g(r), each shell counted as far as it lies inside the "
					    "surface mesh; curves are set above each other.",
				    .x = { .title = "r (\u00c5)",
					   .min = RDF_FROM_A,
					   .max = page->series->analysis[0].options.r_max_A },
				    .y = { .title = "g(r)" },
				    .series = series,
				    .series_count = n,
				    .wide = 1 });
	page_reset(page);
}

static void coordination(struct page *page)
{
	struct report_series *series = page_take(page, page->models * sizeof *series);

	for (size_t m = 0; m < page->models; m++)
		series[m] = page_histogram(page, page->label[m],
					   page_column(page->analysis[m], PN_COL_CN), NULL, 0,
					   page->analysis[m]->atoms, -0.5, 1, 17);
	report_plot(page->report,
		    &(struct report_plot){
			    .title = "Coordination",
			    .caption = page_text(page, "Neighbours closer than %.3f \u00c5.",
						 page->series->analysis[0].figures.cutoff_A),
			    .x = { .title = "Coordination number" },
			    .y = { .title = "Atoms" },
			    .series = series,
			    .series_count = page->models });
	page_reset(page);
}

static void order_maps(struct page *page)
{
	static const double fcc_hcp_x[] = { PN_ORDER_FCC_Q4, PN_ORDER_HCP_Q4 };
	static const double fcc_hcp_y[] = { PN_ORDER_FCC_Q6, PN_ORDER_HCP_Q6 };
	static const char *const labels[] = { "fcc", "hcp" };
	struct report_plot *plot = page_take(page, page->models * sizeof *plot);

	for (size_t m = 0; m < page->models; m++) {
		struct report_series *series = page_take(page, 2 * sizeof *series);

		series[0] =
			(struct report_series){ .kind = REPORT_MAP,
						.count = page->analysis[m]->atoms,
						.x = page_column(page->analysis[m], PN_COL_Q4_BAR),
						.y = page_column(page->analysis[m], PN_COL_Q6_BAR),
						.map_bins = 45 };
		series[1] = (struct report_series){ .kind = REPORT_MARKS,
						    .count = 2,
						    .x = fcc_hcp_x,
						    .y = fcc_hcp_y,
						    .labels = labels };
		plot[m] = (struct report_plot){ .title = page->label[m],
						.x = { "Q4", 0, 0.25, 0, 0, NULL, 0 },
						.y = { "Q6", 0, 0.65, 0, 0, NULL, 0 },
						.series = series,
						.series_count = 2 };
	}
	report_panels(
		page->report,
		&(struct report_panels){
			"Bond order",
			"Averaged over the neighbours and the atom; crosses: perfect crystals.",
			plot, page->models,
			page->models == 1 || page->models == 3 || page->models > 4 ? 3 : 2, 1, 1 });
	page_reset(page);
}

/* "2 different diameters" of "disorder: 2 different diameters" */
static const char *reason(const char *why)
{
	const char *colon = strstr(why, ": ");

	return colon ? colon + 2 : why;
}

static void disorder(struct page *page)
{
	enum { CURVE = 100 };
	const struct pn_series *s = page->series;
	double *d = page_take(page, s->models * sizeof *d);
	double *f = page_take(page, s->models * sizeof *f);
	double *x = page_take(page, CURVE * sizeof *x), *y = page_take(page, CURVE * sizeof *y);
	double low = INFINITY, high = 0;
	struct report_series series[2];
	size_t n = 1;

	for (size_t m = 0; m < s->models; m++) {
		d[m] = s->analysis[m].figures.diameter_A / 10;
		f[m] = s->analysis[m].figures.disordered_fraction;
		low = fmin(low, d[m]);
		high = fmax(high, d[m]);
	}
	series[0] = (struct report_series){ .name = "disordered atoms",
					    .kind = REPORT_POINTS,
					    .count = s->models,
					    .x = d,
					    .y = f };
	if (s->has_disorder) {
		low = fmin(low, s->disorder.critical_diameter_A / 10);
		for (int k = 0; k < CURVE; k++) {
			x[k] = low + (high - low) * k / (CURVE - 1);
			y[k] = pn_disorder_at(&s->disorder, 10 * x[k]);
		}
		series[n++] = (struct report_series){ .name = "1 \u2212 A (d \u2212 d_c)^\u2212n",
						      .kind = REPORT_LINE,
						      .count = CURVE,
						      .x = x,
						      .y = y };
	}
	report_plot(page->report,
		    &(struct report_plot){
			    .title = "Disorder and size",
			    .caption = s->has_disorder
					       ? page_text(page,
							   "Disordered throughout at %.2f nm by "
							   "the fit.",
							   s->disorder.critical_diameter_A / 10)
					       : page_text(page, "No curve: %s.",
							   reason(s->disorder_why)),
			    .x = { .title = "Diameter (nm)" },
			    .y = { .title = "Disordered fraction" },
			    .series = series,
			    .series_count = n });
	page_reset(page);
}

void page_structure(struct page *page)
{
	report_section(
		page->report, "Structure",
		"Distances, coordination, and how near the surroundings of each atom are to a "
		"crystal's.");
	pair_distances(page);
	coordination(page);
	if (page->models > 1)
		disorder(page);
	order_maps(page);
}

/* ---- strain -------------------------------------------------------------------------------- */

/* In per cent: stretch the axes of a series that is ours. */
static void scale(struct report_series *series, double x, double y)
{
	double *xs = (double *)(uintptr_t)series->x, *ys = (double *)(uintptr_t)series->y;
	double *errors = (double *)(uintptr_t)series->error;

	for (size_t k = 0; k < series->count + (series->kind == REPORT_STEPS); k++)
		xs[k] *= x;
	for (size_t k = 0; k < series->count; k++)
		ys[k] *= y;
	for (size_t k = 0; errors && k < series->count; k++)
		errors[k] *= y;
}

static void strain_plots(struct page *page, size_t column, size_t against, const char *name,
			 const char *axis, const char *atoms_title, const char *profile_title)
{
	struct report_series *histogram = page_take(page, page->models * sizeof *histogram);
	struct report_series *profile = page_take(page, page->models * sizeof *profile);
	size_t bins = page_bins(page, against, 2);

	for (size_t m = 0; m < page->models; m++) {
		size_t atoms = page->analysis[m]->atoms;
		const double *value = page_column(page->analysis[m], column);

		histogram[m] = page_histogram(page, page->label[m], value, NULL, 0, atoms, -0.12,
					      0.005, 48);
		profile[m] = page_profile(page, page->label[m], value,
					  page_column(page->analysis[m], against), atoms, 2, bins);
		scale(&histogram[m], 100, 1);
		scale(&profile[m], 1, 100);
	}
	report_plot(page->report, &(struct report_plot){ .title = atoms_title,
							 .x = { .title = name },
							 .y = { .title = "Atoms" },
							 .series = histogram,
							 .series_count = page->models });
	report_plot(page->report,
		    &(struct report_plot){
			    .title = profile_title,
			    .caption = "Mean and standard deviation in layers of 2 \u00c5.",
			    .x = { .title = axis },
			    .y = { .title = name },
			    .series = profile,
			    .series_count = page->models });
	page_reset(page);
}

void page_strain(struct page *page)
{
	int some = 0;

	for (size_t m = 0; m < page->models; m++)
		some |= page->analysis[m]->lattice.on_lattice > 0;
	if (!some)
		return;
	report_section(page->report, "Strain",
		       page_text(page,
				 "Local lattice constants against %.4g \u00c5, from each atom "
				 "and its neighbours on the fcc lattice.",
				 page->series->analysis[0].figures.reference_A));
	strain_plots(page, PN_COL_STRAIN, PN_COL_DEPTH, "Strain (%)", "Depth (\u00c5)",
		     "Strain of the atoms", "Strain and depth");
	strain_plots(page, PN_COL_RADIAL_STRAIN, PN_COL_RADIUS, "Radial strain (%)",
		     "Distance from the centre (\u00c5)", "Radial strain of the atoms",
		     "Radial strain and radius");
}
