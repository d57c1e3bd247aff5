/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page.h - report.html of a series: what its sections share. */
#ifndef PERRIN_TOOLS_COMPARE_PAGE_H
#define PERRIN_TOOLS_COMPARE_PAGE_H

#include "compare/compare.h"
#include "report/report.h"

#define PAGE_MODELS_MAX 8 /* as many as colours that can be told apart */

/**
 * A page being written. A long series shows models and steps at equal distances, the first and the
 * last among them; curves over time have all of them. What the plots need for a moment comes from
 * the scratch memory.
 */
struct page {
	struct report *report;
	const struct compare_particle *particle;
	const struct pn_series *series;
	size_t models, steps; /* shown, at most PAGE_MODELS_MAX */
	size_t shown[PAGE_MODELS_MAX];
	const struct pn_analysis *analysis[PAGE_MODELS_MAX];        /* of the models shown */
	const struct pn_series_step *step[PAGE_MODELS_MAX];         /* of the steps shown, with */
	const struct pn_analysis *before[PAGE_MODELS_MAX];          /* the models they lead */
	const struct pn_analysis *after[PAGE_MODELS_MAX];           /* from and to */
	char label[PAGE_MODELS_MAX][COMPARE_NAME_MAX];              /* "2.56 s" */
	char step_label[PAGE_MODELS_MAX][2 * COMPARE_NAME_MAX + 8]; /* "2.56 s to 16 s" */
	unsigned char *scratch;
	size_t size, used;
};

/** page_take - zeroed scratch memory until page_reset; there is enough for any one plot. */
void *page_take(struct page *page, size_t bytes);
void page_reset(struct page *page);

/** page_text - printf into scratch memory. */
char *page_text(struct page *page, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** The sections of the page, in order. */
void page_atoms(struct page *page);     /* the 3D views */
void page_fates(struct page *page);     /* who came, went, moved */
void page_structure(struct page *page); /* g(r), coordination, order, disorder */
void page_surface(struct page *page);   /* shape, facets, curvature, activity */
void page_strain(struct page *page);
void page_chemistry(struct page *page); /* composition, order, diffusion */
void page_maps(struct page *page);
void page_numbers(struct page *page); /* the table of everything */

/** page_histogram - counts of @values where @class_of is @class (NULL: all), as steps. */
struct report_series page_histogram(struct page *page, const char *name, const double *values,
				    const int32_t *class_of, int class, size_t atoms, double first,
				    double width, size_t bins);

/** page_profile - mean and s.d. of a column against another, in bins of @width from 0. */
struct report_series page_profile(struct page *page, const char *name, const double *value,
				  const double *against, size_t atoms, double width, size_t bins);

/** page_bins - bins of @width from 0 that hold all of a column in every model; 1..60. */
size_t page_bins(const struct page *page, size_t column, double width);

/** page_column - values of a column in a model. */
static inline const double *page_column(const struct pn_analysis *analysis, size_t column)
{
	return analysis->column[column].value;
}

#endif
