/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.html: shape, facets, activity, chemistry, maps. */
#include "compare/page.h"

#include "perrin/atoms/region.h"
#include "perrin/base/element.h"

#include <math.h>
#include <stdlib.h>

/* A figure of every model over time, or over their order. */
static struct report_series over_time(struct page *page, const char *name, size_t off, double scale)
{
	const struct pn_series *all = page->series;
	const struct pn_figure row = { .off = off };
	double *x = page_take(page, all->models * sizeof *x);
	double *y = page_take(page, all->models * sizeof *y);

	for (size_t m = 0; m < all->models; m++) {
		x[m] = all->has_times ? all->time_s[m] : (double)(m + 1);
		y[m] = scale * pn_figure_of(&all->analysis[m].figures, &row);
	}
	return (struct report_series){
		.name = name, .kind = REPORT_MARKED, .count = all->models, .x = x, .y = y
	};
}

static const char *time_axis(const struct page *page)
{
	return page->series->has_times ? "Time (s)" : "Model";
}

/* Bars in named places, one series a model: value[m][place], error likewise or NULL. */
static struct report_series *bars(struct page *page, size_t places, double **values,
				  double **errors)
{
	struct report_series *series = page_take(page, page->models * sizeof *series);

	for (size_t m = 0; m < page->models; m++)
		series[m] = (struct report_series){ .name = page->label[m],
						    .kind = REPORT_BARS,
						    .count = places,
						    .y = values[m],
						    .error = errors ? errors[m] : NULL };
	return series;
}

static double **rows(struct page *page, size_t places)
{
	double **values = page_take(page, page->models * sizeof *values);

	for (size_t m = 0; m < page->models; m++)
		values[m] = page_take(page, places * sizeof **values);
	return values;
}

/* ---- surface ------------------------------------------------------------------------------- */

static void facets(struct page *page)
{
	enum { PLACES = PN_FACET_KINDS - 1 };
	const char **names = page_take(page, PLACES * sizeof *names);
	double **values = rows(page, PLACES);

	for (int k = 0; k < PLACES; k++) {
		names[k] = pn_facet_name(k + 1);
		for (size_t m = 0; m < page->models; m++)
			values[m][k] = (double)page->analysis[m]->facet_atoms[k + 1];
	}
	report_plot(page->report,
		    &(struct report_plot){ .title = "Facets",
					   .caption = "By coordination and centro-symmetry.",
					   .x = { .categories = names, .categories_count = PLACES },
					   .y = { .title = "Surface atoms" },
					   .series = bars(page, PLACES, values, NULL),
					   .series_count = page->models });
	page_reset(page);
}

static void areas(struct page *page)
{
	static const char *const names[] = { "{111}", "{100}", "{110}", "other" };
	double **values = rows(page, 4);

	for (size_t m = 0; m < page->models; m++) {
		const struct pn_figures *f = &page->analysis[m]->figures;

		values[m][0] = f->area_111_A2 / 100;
		values[m][1] = f->area_100_A2 / 100;
		values[m][2] = f->area_110_A2 / 100;
		values[m][3] = f->area_other_A2 / 100;
	}
	report_plot(page->report,
		    &(struct report_plot){ .title = "Area of the mesh by its normals",
					   .caption = "Other: more than 10 degrees off all three.",
					   .x = { .categories = names, .categories_count = 4 },
					   .y = { .title = "Area (nm\u00b2)" },
					   .series = bars(page, 4, values, NULL),
					   .series_count = page->models });
	page_reset(page);
}

static void shape_over_time(struct page *page)
{
	struct report_series specific = over_time(
		page, "area / volume", offsetof(struct pn_figures, specific_area_per_A), 10);
	struct report_series sphericity =
		over_time(page, "sphericity", offsetof(struct pn_figures, sphericity), 1);

	report_plot(page->report, &(struct report_plot){ .title = "Specific surface area",
							 .x = { .title = time_axis(page) },
							 .y = { .title = "Area / volume (1/nm)" },
							 .series = &specific,
							 .series_count = 1 });
	report_plot(page->report, &(struct report_plot){ .title = "Sphericity",
							 .x = { .title = time_axis(page) },
							 .y = { .title = "Sphericity" },
							 .series = &sphericity,
							 .series_count = 1 });
	page_reset(page);
}

static void surface_histograms(struct page *page, size_t column, const char *title,
			       const char *caption, const char *axis, double first, double width,
			       size_t bins)
{
	struct report_series *series = page_take(page, page->models * sizeof *series);

	for (size_t m = 0; m < page->models; m++) {
		const struct pn_analysis *a = page->analysis[m];
		int32_t *surface = malloc((a->atoms + 1) * sizeof *surface);

		for (size_t i = 0; surface && i < a->atoms; i++)
			surface[i] = a->surface_atom[i];
		series[m] =
			page_histogram(page, page->label[m], page_column(page->analysis[m], column),
				       surface, 1, a->atoms, first, width, bins);
		free(surface);
	}
	report_plot(page->report, &(struct report_plot){ .title = title,
							 .caption = caption,
							 .x = { .title = axis },
							 .y = { .title = "Surface atoms" },
							 .series = series,
							 .series_count = page->models });
	page_reset(page);
}

void page_surface(struct page *page)
{
	report_section(page->report, "Surface and activity",
		       page_text(page,
				 "The surface is an alpha-shape mesh rolled by a probe of %.3f "
				 "\u00c5.",
				 page->series->analysis[0].figures.alpha_A));
	facets(page);
	areas(page);
	if (page->models > 1)
		shape_over_time(page);
	surface_histograms(
		page, PN_COL_CURVATURE_SMOOTH, "Curvature of the surface",
		"Mean of the principal curvatures, averaged over about a lattice constant; "
		"convex is positive.",
		"Mean curvature (1/\u00c5)", -0.1, 0.01, 40);
	surface_histograms(page, PN_COL_GCN, "Generalised coordination of the surface",
			   "7.5 is a perfect (111) facet; the volcano peaks near 8.3.", "GCN", 0,
			   0.5, 24);
}

/* ---- chemistry ----------------------------------------------------------------------------- */

/* Fraction of one species by class, over all models. */
static void composition_plot(struct page *page, size_t species, const char *title, const char *axis,
			     int shells)
{
	struct report_series *series = page_take(page, page->models * sizeof *series);
	const char *symbol = pn_element_symbol(page->series->species.element[species]);

	for (size_t m = 0; m < page->models; m++) {
		const struct pn_analysis *a = page->analysis[m];
		const struct pn_composition *c = shells ? &a->by_shell : &a->by_layer;
		size_t from = shells ? 1 : 0, count = c->classes - from;

		count = count < 200 ? count : 200;
		double *x = page_take(page, (count + 1) * sizeof *x);
		double *y = page_take(page, (count + 1) * sizeof *y);
		double *error = page_take(page, (count + 1) * sizeof *error);

		for (size_t k = 0; k < count; k++) {
			size_t at = (k + from) * c->species.count + species;

			x[k] = shells ? (double)(k + 1) : ((double)k + 0.5) * a->options.layer_A;
			y[k] = 100 * c->fraction[at];
			error[k] = 100 * c->deviation[at];
		}
		series[m] = (struct report_series){ .name = page->label[m],
						    .kind = REPORT_MARKED,
						    .count = count,
						    .x = x,
						    .y = y,
						    .error = error };
	}
	report_plot(page->report, &(struct report_plot){ .title = page_text(page, title, symbol),
							 .x = { .title = axis },
							 .y = { page_text(page, "%s (%%)", symbol),
								0, 100, 0, 0, NULL, 0 },
							 .series = series,
							 .series_count = page->models });
	page_reset(page);
}

/* Bars over the 14 regions: a mean of a column, or the order parameter of a pair. */
static void region_plot(struct page *page, const char *title, const char *axis, size_t column,
			const size_t *pair, double scale)
{
	const char **names = page_take(page, PN_REGIONS * sizeof *names);
	double **values = rows(page, PN_REGIONS), **errors = rows(page, PN_REGIONS);
	size_t n = page->series->species.count;

	for (int k = 0; k < PN_REGIONS; k++)
		names[k] = pn_region_name(k);
	for (size_t m = 0; m < page->models; m++) {
		const struct pn_analysis *a = page->analysis[m];
		struct pn_class_stat stats[PN_REGIONS];

		if (!pair && pn_class_stats(stats, a->column[column].value, a->region, a->atoms,
					    PN_REGIONS, NULL))
			return;
		for (int k = 0; k < PN_REGIONS; k++) {
			size_t at = pair ? ((size_t)k * n + pair[0]) * n + pair[1] : 0;

			values[m][k] = scale * (pair ? a->sro_by_region.alpha[at] : stats[k].mean);
			errors[m][k] =
				scale * (pair ? a->sro_by_region.deviation[at]
					      : stats[k].deviation / sqrt((double)stats[k].count));
		}
	}
	report_plot(
		page->report,
		&(struct report_plot){
			.title = title,
			.caption = pair ? "Surface atoms of each region; bars: sampling error."
					: "Mean and standard error of the surface atoms of each "
					  "region.",
			.x = { .categories = names, .categories_count = PN_REGIONS },
			.y = { .title = axis },
			.series = bars(page, PN_REGIONS, values, errors),
			.series_count = page->models,
			.wide = 1 });
	page_reset(page);
}

static void own_kind(struct page *page, size_t species)
{
	struct report_series *series = page_take(page, page->models * sizeof *series);
	const char *symbol = pn_element_symbol(page->series->species.element[species]);

	for (size_t m = 0; m < page->models; m++) {
		double *x = page_take(page, 13 * sizeof *x), *y = page_take(page, 13 * sizeof *y);

		for (int k = 0; k < 13; k++) {
			x[k] = 100.0 * k / 12;
			y[k] = (double)page->analysis[m]->own_kind_histogram[species][k];
		}
		series[m] = (struct report_series){
			.name = page->label[m], .kind = REPORT_MARKED, .count = 13, .x = x, .y = y
		};
	}
	report_plot(
		page->report,
		&(struct report_plot){
			.title = page_text(page, "%s around %s", symbol, symbol),
			.caption = "Atoms with 12 neighbours; 0 and 8.3 % are discrete centres.",
			.x = { .title = page_text(page, "%s among the neighbours (%%)", symbol) },
			.y = { .title = "Atoms" },
			.series = series,
			.series_count = page->models });
	page_reset(page);
}

static void around_mixed(struct page *page, size_t species)
{
	struct report_series *series = page_take(page, page->models * sizeof *series);
	const char *symbol = pn_element_symbol(page->series->species.element[species]);

	for (size_t m = 0; m < page->models; m++) {
		double *x = page_take(page, (PN_MIXED_BINS + 1) * sizeof *x);
		double *y = page_take(page, PN_MIXED_BINS * sizeof *y);

		for (int k = 0; k <= PN_MIXED_BINS; k++)
			x[k] = 100.0 * k / PN_MIXED_BINS;
		for (int k = 0; k < PN_MIXED_BINS; k++)
			y[k] = (double)page->analysis[m]->mixed_histogram[species][k];
		series[m] = (struct report_series){ .name = page->label[m],
						    .kind = REPORT_STEPS,
						    .count = PN_MIXED_BINS,
						    .x = x,
						    .y = y };
	}
	report_plot(
		page->report,
		&(struct report_plot){
			.title = page_text(page, "%s around heterogeneous centres", symbol),
			.caption = page_text(page,
					     "Atoms with neighbours of two species or more, "
					     "within shell %d.",
					     page->analysis[0]->options.sro_shell),
			.x = { .title = page_text(page, "%s among the neighbours (%%)", symbol) },
			.y = { .title = "Atoms" },
			.series = series,
			.series_count = page->models });
	page_reset(page);
}

static void surface_composition(struct page *page)
{
	const struct pn_series *s = page->series;
	struct report_series *series = page_take(page, s->species.count * sizeof *series);

	for (size_t k = 0; k < s->species.count; k++) {
		double *x = page_take(page, s->models * sizeof *x);
		double *y = page_take(page, s->models * sizeof *y);
		double *error = page_take(page, s->models * sizeof *error);

		for (size_t m = 0; m < s->models; m++) {
			x[m] = s->has_times ? s->time_s[m] : (double)(m + 1);
			y[m] = 100 * s->analysis[m].on_surface.fraction[k];
			error[m] = 100 * s->analysis[m].on_surface.deviation[k];
		}
		series[k] =
			(struct report_series){ .name = pn_element_symbol(s->species.element[k]),
						.kind = REPORT_MARKED,
						.count = s->models,
						.x = x,
						.y = y,
						.error = error };
	}
	report_plot(page->report, &(struct report_plot){ .title = "Composition of the surface",
							 .x = { .title = time_axis(page) },
							 .y = { .title = "Surface atoms (%)" },
							 .series = series,
							 .series_count = s->species.count });
	page_reset(page);
}

/* "8.0 \u00b1 1.1", in 1e-24 m2/s as paper 001 gives it; a dash for what was not fitted. */
static const char *diffusion_text(struct page *page, int has, const struct pn_diffusion *d)
{
	if (!has)
		return NULL;
	if (isnan(d->uncertainty_m2_per_s) || !d->converged)
		return page_text(page, "%.3g (uncertain)", 1e24 * d->D_m2_per_s);
	return page_text(page, "%.3g \u00b1 %.2g", 1e24 * d->D_m2_per_s,
			 1e24 * d->uncertainty_m2_per_s);
}

static void diffusion_table(struct page *page)
{
	static const char *const header[] = {
		"Species", "D by Fick's law (10\u207b\u00b2\u2074 m\u00b2/s)",
		"D from an erfc profile (10\u207b\u00b2\u2074 m\u00b2/s)", "Shells", ""
	};
	const struct pn_series *s = page->series;
	const char **cells = page_take(page, s->species.count * PN_COUNT(header) * sizeof *cells);

	for (size_t k = 0; k < s->species.count; k++) {
		const struct pn_series_diffusion *d = &s->diffusion[k];
		const char **cell = cells + k * PN_COUNT(header);

		cell[0] = pn_element_symbol(s->species.element[k]);
		cell[1] = diffusion_text(page, d->has_fick, &d->fick);
		cell[2] = diffusion_text(page, d->has_erfc, &d->erfc);
		cell[3] = d->has_fick
				  ? page_text(page, "%zu\u2013%zu", d->first_shell, d->last_shell)
				  : NULL;
		cell[4] = d->why;
	}
	report_table(page->report,
		     &(struct report_table){ "Interfacial diffusion", "From the shells over time.",
					     header, PN_COUNT(header), cells, s->species.count,
					     "lrrll" });
	page_reset(page);
}

static void mixed_species(struct page *page)
{
	size_t n = page->series->species.count;

	if (page->models > 1)
		surface_composition(page);
	for (size_t k = 0; k < n && k < 4; k++) {
		composition_plot(page, k, "%s by depth", "Depth (\u00c5)", 0);
		composition_plot(page, k, "%s shell by shell", "Shell", 1);
		own_kind(page, k);
		around_mixed(page, k);
	}
	for (size_t i = 0; i < n && i < 3; i++)
		for (size_t j = 0; j < n && j < 3; j++) {
			const size_t pair[2] = { i, j };
			const char *a = pn_element_symbol(page->series->species.element[i]);
			const char *b = pn_element_symbol(page->series->species.element[j]);
			char title[64], axis[64];

			snprintf(title, sizeof title, "Short-range order %s\u2013%s", a, b);
			snprintf(axis, sizeof axis, "\u03b1 %s\u2013%s", a, b);
			region_plot(page, title, axis, 0, pair, 1);
		}
	if (page->models > 1)
		diffusion_table(page);
}

void page_chemistry(struct page *page)
{
	size_t n = page->series->species.count;

	report_section(
		page->report, n > 1 ? "Chemistry and regions" : "Regions",
		"Eight {111} and six {100} regions of the surface, in the axes of the crystal.");
	if (n > 1)
		mixed_species(page);
	region_plot(page, "Strain of the regions", "Strain (%)", PN_COL_STRAIN, NULL, 100);
	region_plot(page, "Coordination of the regions", "Coordination number", PN_COL_CN, NULL, 1);
}

/* ---- maps ---------------------------------------------------------------------------------- */

void page_maps(struct page *page)
{
	static const char *const names[] = { "\u27e8100\u27e9", "\u27e8110\u27e9",
					     "\u27e8111\u27e9" };
	struct report_plot *plot = page_take(page, PAGE_MODELS_MAX * sizeof *plot);

	if (!page->particle->maps)
		return;
	for (size_t k = 0; k < page->steps; k++) {
		const struct compare_maps *maps =
			&page->particle->maps[page->step[k] - page->series->step];
		struct report_series *series = page_take(page, 3 * sizeof *series);

		for (int d = 0; d < 3; d++)
			series[d] = (struct report_series){ .name = names[d],
							    .kind = REPORT_LINE,
							    .count = maps->shifts,
							    .x = maps->shift_A,
							    .y = maps->along[d] };
		plot[k] = (struct report_plot){ .title = page->step_label[k],
						.x = { .title = "Shift (\u00c5)" },
						.y = { .title = "Cross-correlation" },
						.series = series,
						.series_count = 3 };
	}
	report_section(page->report, "Density maps", "Cross-correlation of successive maps.");
	report_panels(page->report, &(struct report_panels){
					    "Along the axes of the crystal",
					    "Mean over each family of directions.", plot,
					    page->steps, page->steps < 3 ? page->steps : 3, 1, 1 });
	page_reset(page);
}
