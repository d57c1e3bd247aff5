/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.html: header, figures at a glance, 3D views, the table of everything. */
#include "compare/page.h"

#include "perrin/base/element.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared -------------------------------------------------------------------------------- */

void *page_take(struct page *page, size_t bytes)
{
	void *at = page->scratch + page->used;

	bytes = (bytes + 63) / 64 * 64;
	pn_assert(page->used + bytes <= page->size);
	memset(at, 0, bytes);
	page->used += bytes;
	return at;
}

void page_reset(struct page *page)
{
	page->used = 0;
}

char *page_text(struct page *page, const char *fmt, ...)
{
	char *text = page_take(page, 256);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, 256, fmt, ap);
	va_end(ap);
	return text;
}

size_t page_bins(const struct page *page, size_t column, double width)
{
	double high = 0;

	for (size_t m = 0; m < page->models; m++)
		for (size_t i = 0; i < page->analysis[m]->atoms; i++)
			high = fmax(high, page_column(page->analysis[m], column)[i]);
	return high < 60 * width ? (size_t)(high / width) + 1 : 60;
}

struct report_series page_histogram(struct page *page, const char *name, const double *values,
				    const int32_t *class_of, int class, size_t atoms, double first,
				    double width, size_t bins)
{
	double *x = page_take(page, (bins + 1) * sizeof *x), *y = page_take(page, bins * sizeof *y);

	for (size_t k = 0; k <= bins; k++)
		x[k] = first + (double)k * width;
	for (size_t i = 0; i < atoms; i++) {
		double at = floor((values[i] - first) / width);

		if ((!class_of || class_of[i] == class) && at >= 0 && at < (double)bins)
			y[(size_t)at]++;
	}
	return (struct report_series){
		.name = name, .kind = REPORT_STEPS, .count = bins, .x = x, .y = y
	};
}

struct report_series page_profile(struct page *page, const char *name, const double *value,
				  const double *against, size_t atoms, double width, size_t bins)
{
	struct pn_lattice_bin *bin = page_take(page, bins * sizeof *bin);
	double *x = page_take(page, bins * sizeof *x), *y = page_take(page, bins * sizeof *y);
	double *error = page_take(page, bins * sizeof *error);

	pn_lattice_profile(bin, bins, width, against, value, atoms);
	for (size_t k = 0; k < bins; k++) {
		x[k] = (bin[k].from_A + bin[k].to_A) / 2;
		y[k] = bin[k].count ? bin[k].mean : NAN;
		error[k] = bin[k].sd;
	}
	return (struct report_series){
		.name = name, .kind = REPORT_MARKED, .count = bins, .x = x, .y = y, .error = error
	};
}

/* ---- the top ------------------------------------------------------------------------------- */

static const char *species_text(struct page *page)
{
	char *text = page_take(page, 256);

	for (size_t s = 0; s < page->series->species.count && strlen(text) < 240; s++)
		snprintf(text + strlen(text), 256 - strlen(text), "%s%s", s ? "-" : "",
			 pn_element_symbol(page->series->species.element[s]));
	return text;
}

static int begin(struct page *page, const char *footer, struct pn_error *err)
{
	const struct compare_particle *p = page->particle;
	char *counts = page_take(page, 512), *times = page_take(page, 512);

	for (size_t m = 0; m < page->models; m++) {
		if (strlen(counts) > 440 || strlen(times) > 440)
			break;
		snprintf(counts + strlen(counts), 512 - strlen(counts), "%s%zu", m ? ", " : "",
			 page->analysis[m]->atoms);
		snprintf(times + strlen(times), 512 - strlen(times), "%s%.60s", m ? ", " : "",
			 page->label[m]);
	}
	const struct report_fact facts[] = {
		{ "Models", page->models < page->series->models
				    ? page_text(page, "%zu, of which %zu are shown",
						page->series->models, page->models)
				    : page_text(page, "%zu", page->models) },
		{ page->series->has_times ? "Times"
		  : page->models > 1      ? "Models in order"
					  : "Name",
		  times },
		{ "Atoms", counts },
		{ "Species", species_text(page) },
	};
	const struct report_header header = {
		.title = p->name[0] ? p->name
				    : page_text(page, "%s nanoparticle", species_text(page)),
		.subtitle = page->models > 1 ? "One particle, atom by atom, over time"
					     : "One particle, atom by atom",
		.facts = facts,
		.facts_count = PN_COUNT(facts),
		.footer = footer,
	};
	int rc = report_create(&page->report, &header, err);

	page_reset(page);
	return rc;
}

/* "314 to 233", or the one number */
static const char *from_to(struct page *page, size_t off, int digits, double scale)
{
	const struct pn_figure row = { .off = off };
	double first = scale * pn_figure_of(&page->series->analysis[0].figures, &row);
	double last = scale * pn_figure_of(&page->analysis[page->models - 1]->figures, &row);

	if (isnan(first) || isnan(last))
		return NULL;
	if (page->models < 2)
		return page_text(page, "%.*f", digits, first);
	return page_text(page, "%.*f \u2192 %.*f", digits, first, digits, last);
}

static const char *etch_note(struct page *page)
{
	double rate = -page->series->etch.b; /* atoms per second */

	if (!page->series->has_etch || !(fabs(rate) > 0))
		return NULL;
	return page_text(page, "%.3g atoms %s per second", fabs(rate),
			 rate > 0 ? "lost" : "gained");
}

/* Atoms of the first model that all steps found again: those with the first numbers. */
static struct report_card still_there(struct page *page)
{
	const struct compare_particle *p = page->particle;
	size_t last = p->count - 1, first = p->series.atoms[0].count, still = 0;

	for (size_t i = 0; i < p->series.atoms[last].count; i++)
		still += p->track[last][i] <= first;
	return (struct report_card){ "Still there", page_text(page, "%zu", still), "atoms",
				     page_text(page, "of %zu; %zu have gone, %zu are new", first,
					       first - still,
					       p->series.atoms[last].count - still) };
}

static void glance(struct page *page)
{
	const struct pn_series *s = page->series;
	struct report_card card[8];
	size_t n = 0;

	report_section(page->report, "At a glance", NULL);
	card[n++] = (struct report_card){ "Atoms",
					  from_to(page, offsetof(struct pn_figures, atoms), 0, 1),
					  NULL, etch_note(page) };
	card[n++] = (struct report_card){
		"Diameter", from_to(page, offsetof(struct pn_figures, diameter_A), 2, 0.1), "nm",
		"of the sphere with the volume of the hull"
	};
	if (page->steps)
		card[n++] = still_there(page);
	card[n++] = (struct report_card){
		"Disordered",
		from_to(page, offsetof(struct pn_figures, disordered_fraction), 1, 100), "%",
		"half or less of the bonds are crystalline"
	};
	if (from_to(page, offsetof(struct pn_figures, a_A), 3, 1))
		card[n++] = (struct report_card){
			"Lattice constant", from_to(page, offsetof(struct pn_figures, a_A), 3, 1),
			"\u00c5",
			page_text(page, "mean strain %s %% against %.4g \u00c5",
				  from_to(page, offsetof(struct pn_figures, strain_mean), 2, 100),
				  s->analysis[0].figures.reference_A)
		};
	card[n++] = (struct report_card){
		"On the surface",
		from_to(page, offsetof(struct pn_figures, surface_atoms_mesh), 0, 1), "atoms",
		page_text(page, "on the mesh; by coordination %s",
			  from_to(page, offsetof(struct pn_figures, surface_atoms_cn), 0, 1))
	};
	report_cards(page->report, card, n);
	page_reset(page);
}

/* ---- 3D views ------------------------------------------------------------------------------ */

/* Columns of an analysis and the history of the atoms, as the views take them. */
static void view_columns(struct page *page, struct report_column *column)
{
	const struct pn_analysis *first = &page->series->analysis[0];

	for (size_t c = 0; c < first->columns; c++) {
		const struct pn_column *from = &first->column[c];
		const char **labels = page_take(page, (from->labels + 1) * sizeof *labels);

		for (size_t k = 0; k < from->labels; k++)
			labels[k] = from->label((int)k);
		column[c] = (struct report_column){
			from->name,  from->unit,
			from->brief, from->kind == PN_COLUMN_CLASS ? REPORT_CLASS : REPORT_NUMBER,
			labels,      from->labels
		};
	}
	const char **labels = page_take(page, COMPARE_HISTORIES * sizeof *labels);

	for (int h = 0; h < COMPARE_HISTORIES; h++)
		labels[h] = compare_history_name(h);
	column[first->columns] = (struct report_column){
		"history",    "",     "what becomes of the atom in the next model, and how it came",
		REPORT_CLASS, labels, COMPARE_HISTORIES
	};
	column[first->columns + 1] = (struct report_column){
		"moves_A",     "\u00c5", "distance to its place in the next model",
		REPORT_NUMBER, NULL,     0
	};
}

void page_atoms(struct page *page)
{
	const struct pn_series *s = page->series;
	size_t columns = s->analysis[0].columns + 2, all = 0;
	struct report_column *column = page_take(page, columns * sizeof *column);
	struct report_model *model = page_take(page, page->models * sizeof *model);

	for (size_t m = 0; m < page->models; m++)
		all += page->analysis[m]->atoms;
	double *history = calloc(2 * all + 1, sizeof *history), *own = history;

	view_columns(page, column);
	for (size_t m = 0; history && m < page->models; m++) {
		size_t at = page->shown[m], atoms = s->atoms[at].count;
		const double **values = page_take(page, columns * sizeof *values);

		for (size_t c = 0; c + 2 < columns; c++)
			values[c] = page_column(page->analysis[m], c);
		compare_history(own, page->particle, at);
		values[columns - 2] = own;
		values[columns - 1] = own + atoms;
		for (size_t i = 0; i < atoms; i++)
			own[atoms + i] =
				at + 1 < s->models ? s->step[at].pairing.distance_A[i] : NAN;
		own += 2 * atoms;
		model[m] = (struct report_model){
			.name = page->particle->model[at].name,
			.time_s = page->particle->time_s[at],
			.atoms = atoms,
			.position_A = s->atoms[at].position_A,
			.element = s->atoms[at].element,
			.id = page->particle->track[at],
			.values = values,
		};
	}
	report_section(
		page->report, "The atoms",
		page->models > 1
			? "Models lie on the frame of the first one and turn together. An atom "
			  "keeps its number for as long as it is found again."
			: "Turn, zoom, cut open, and colour by any quantity.");
	if (history)
		report_views(page->report, &(struct report_views){
						   NULL, NULL, column, columns, model, page->models,
						   page->models > 1 ? "history" : "cn" });
	free(history);
	page_reset(page);
}

/* ---- everything ---------------------------------------------------------------------------- */

void page_numbers(struct page *page)
{
	size_t rows = 0, columns = page->models + 3;

	while (pn_analysis_figures[rows].name)
		rows++;
	const char **cells = page_take(page, rows * columns * sizeof *cells);
	const char **header = page_take(page, columns * sizeof *header);
	char *align = page_take(page, columns + 1);

	header[0] = "Quantity";
	header[columns - 2] = "Unit";
	header[columns - 1] = "Meaning";
	memset(align, 'r', columns);
	align[0] = align[columns - 2] = align[columns - 1] = 'l';
	for (size_t m = 0; m < page->models; m++)
		header[m + 1] = page->label[m];
	for (size_t r = 0; r < rows; r++) {
		const struct pn_figure *row = &pn_analysis_figures[r];
		const char **cell = cells + r * columns;

		cell[0] = row->name;
		cell[columns - 2] = row->unit;
		cell[columns - 1] = row->brief;
		for (size_t m = 0; m < page->models; m++) {
			double value = pn_figure_of(&page->analysis[m]->figures, row);
			char *text = page_take(page, 24);

			snprintf(text, 24, "%.6g", value);
			cell[m + 1] = isnan(value) ? NULL : text;
		}
	}
	report_section(
		page->report, "All numbers",
		"The same as in models.csv and summary.json, where the digits are all there.");
	report_table(page->report,
		     &(struct report_table){ NULL, NULL, header, columns, cells, rows, align });
	page_reset(page);
}

/* ---- the page ------------------------------------------------------------------------------ */

/* Which of @count to show, when there is room for @room: at equal distances, both ends. */
static size_t shown_of(size_t k, size_t count, size_t room)
{
	return room > 1 ? k * (count - 1) / (room - 1) : 0;
}

static int prepare(struct page *page, const struct compare_particle *particle, struct pn_error *err)
{
	const struct pn_series *s = &particle->series;
	size_t steps = s->models - 1;

	*page = (struct page){ .particle = particle, .series = s };
	page->models = s->models < PAGE_MODELS_MAX ? s->models : PAGE_MODELS_MAX;
	page->steps = steps < PAGE_MODELS_MAX ? steps : PAGE_MODELS_MAX;
	page->size = ((size_t)1 << 21) + s->models * ((size_t)1 << 10);
	page->scratch = malloc(page->size);
	if (!page->scratch)
		return pn_error_set(err, PN_ENOMEM, "no memory for the page");
	for (size_t m = 0; m < page->models; m++) {
		page->shown[m] = shown_of(m, s->models, page->models);
		page->analysis[m] = &s->analysis[page->shown[m]];
		compare_label(page->label[m], sizeof *page->label, particle, page->shown[m]);
	}
	for (size_t k = 0; k < page->steps; k++) {
		size_t at = shown_of(k, steps, page->steps);
		char from[COMPARE_NAME_MAX], to[COMPARE_NAME_MAX];

		page->step[k] = &s->step[at];
		page->before[k] = &s->analysis[at];
		page->after[k] = &s->analysis[at + 1];
		snprintf(page->step_label[k], sizeof *page->step_label, "%s \u2192 %s",
			 compare_label(from, sizeof from, particle, at),
			 compare_label(to, sizeof to, particle, at + 1));
	}
	return PN_OK;
}

int compare_write_page(const char *dir, const struct compare_particle *particle, const char *footer,
		       struct pn_error *err)
{
	static void (*const sections[])(struct page *) = {
		glance,      page_atoms,     page_fates, page_structure, page_surface,
		page_strain, page_chemistry, page_maps,  page_numbers,
	};
	struct page page;
	char path[PATH_MAX];
	int rc = prepare(&page, particle, err);

	if (!rc)
		rc = compare_path(path, sizeof path, err, dir, "report.html");
	if (!rc)
		rc = begin(&page, footer, err);
	for (size_t s = 0; !rc && s < PN_COUNT(sections); s++)
		sections[s](&page);
	if (!rc)
		rc = report_write(page.report, path, err);
	report_free(page.report);
	free(page.scratch);
	return rc;
}
