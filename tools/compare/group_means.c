/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mean and standard deviation over several particles at the same stages. */
#include "compare/compare.h"

#include "perrin/base/element.h"
#include "perrin/format/csv.h"
#include "report/report.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GREY 7 /* of the palette of the page */

/* A number of a model: a row of the table of figures, or what depends on the species. */
struct quantity {
	char name[48];
	const char *unit;
	const struct pn_figure *row; /* NULL: the two below */
	size_t species;              /* share of the surface, if pair is SIZE_MAX */
	size_t pair;                 /* alpha_ij, i = pair / species */
};

static double value_of(const struct pn_analysis *a, const struct quantity *q)
{
	if (q->row)
		return pn_figure_of(&a->figures, q->row);
	return q->pair == SIZE_MAX ? a->on_surface.fraction[q->species] : a->sro.alpha[q->pair];
}

/* Whether all particles are of the same species: only then do shares and pairs mean the same. */
static int same_species(const struct compare_group *group)
{
	const struct pn_species *first = &group->particle[0].series.species;

	for (size_t p = 1; p < group->count; p++) {
		const struct pn_species *other = &group->particle[p].series.species;

		if (other->count != first->count ||
		    memcmp(other->element, first->element, first->count) != 0)
			return 0;
	}
	return 1;
}

/* All numbers in order; how many. @q: [out] may be NULL. */
static size_t quantities(struct quantity *q, const struct compare_group *group)
{
	const struct pn_species *species = &group->particle[0].series.species;
	size_t n = 0, several = species->count > 1 && same_species(group) ? species->count : 0;

	for (const struct pn_figure *row = pn_analysis_figures; row->name; row++, n++)
		if (q) {
			q[n] = (struct quantity){ "", row->unit, row, 0, 0 };
			snprintf(q[n].name, sizeof q[n].name, "%s", row->name);
		}
	for (size_t s = 0; s < several; s++, n++)
		if (q) {
			q[n] = (struct quantity){ "", "", NULL, s, SIZE_MAX };
			snprintf(q[n].name, sizeof q[n].name, "surface_fraction_%s",
				 pn_element_symbol(species->element[s]));
		}
	for (size_t p = 0; p < several * several; p++, n++)
		if (q) {
			q[n] = (struct quantity){ "", "", NULL, 0, p };
			snprintf(q[n].name, sizeof q[n].name, "alpha_%s_%s",
				 pn_element_symbol(species->element[p / several]),
				 pn_element_symbol(species->element[p % several]));
		}
	return n;
}

/* Over the particles that have the number. */
struct spread {
	size_t count;
	double mean, sd, time_s;
};

static struct spread spread_of(const struct compare_group *group, size_t stage,
			       const struct quantity *q)
{
	struct spread s = { 0 };
	double sum = 0, sum2 = 0, times = 0;

	for (size_t p = 0; p < group->count; p++) {
		const struct compare_particle *one = &group->particle[p];
		double value = value_of(&one->series.analysis[stage], q);

		times += one->time_s[stage];
		sum += isnan(value) ? 0 : value;
		s.count += !isnan(value);
	}
	s.mean = s.count ? sum / (double)s.count : NAN;
	for (size_t p = 0; p < group->count; p++) {
		double value = value_of(&group->particle[p].series.analysis[stage], q);

		sum2 += isnan(value) ? 0 : (value - s.mean) * (value - s.mean);
	}
	s.sd = s.count > 1 ? sqrt(sum2 / (double)(s.count - 1)) : NAN;
	s.time_s = times / (double)group->count;
	return s;
}

static int mean_rows(struct pn_csv *csv, const struct compare_group *group,
		     const struct quantity *q, size_t count, struct pn_error *err)
{
	int rc = PN_OK;

	for (size_t stage = 0; stage < group->particle[0].count; stage++)
		for (size_t k = 0; !rc && k < count; k++) {
			struct spread s = spread_of(group, stage, &q[k]);

			pn_csv_u64(csv, stage + 1);
			isnan(s.time_s) ? pn_csv_empty(csv) : pn_csv_f64(csv, s.time_s);
			pn_csv_text(csv, q[k].name);
			pn_csv_text(csv, q[k].unit);
			isnan(s.mean) ? pn_csv_empty(csv) : pn_csv_f64(csv, s.mean);
			isnan(s.sd) ? pn_csv_empty(csv) : pn_csv_f64(csv, s.sd);
			pn_csv_u64(csv, s.count);
			rc = pn_csv_end_row(csv, err);
		}
	return rc;
}

static int write_means(const char *path, const struct compare_group *group,
		       const struct quantity *q, size_t count, struct pn_error *err)
{
	static const char *const names[] = { "stage", "time_s", "quantity", "unit",
					     "mean",  "sd",     "particles" };
	struct pn_csv *csv;
	int rc = pn_csv_create(&csv, path, names, PN_COUNT(names), err);

	if (rc)
		return rc;
	rc = mean_rows(csv, group, q, count, err);
	if (rc) {
		pn_csv_abandon(csv);
		return rc;
	}
	return pn_csv_finish(csv, err);
}

/* The numbers that the page shows, and what stands above them; all of them are in the table. */
static const char *title_of(const struct quantity *q)
{
	static const struct {
		const char *name, *title;
	} shown[] = {
		{ "atoms", "Atoms" },
		{ "diameter_A", "Diameter" },
		{ "specific_area_per_A", "Specific surface area" },
		{ "sphericity", "Sphericity" },
		{ "cn_mean", "Mean coordination number" },
		{ "a_A", "Lattice constant" },
		{ "strain_mean", "Mean strain" },
		{ "radial_strain_mean", "Mean radial strain" },
		{ "Q6_mean", "Mean Q6" },
		{ "disordered_fraction", "Disordered fraction" },
		{ "gcn_surface_mean", "Generalised coordination of the surface" },
		{ "ln_activity_of_mean", "Activity, ln of the mean" },
	};

	for (size_t k = 0; k < PN_COUNT(shown); k++)
		if (strcmp(q->name, shown[k].name) == 0)
			return shown[k].title;
	return q->row ? NULL : q->name;
}

/* One number over the stages: the particles as points, their mean with its spread as a line. */
static void plot_figure(struct report *report, const struct compare_group *group,
			const struct quantity *q)
{
	size_t stages = group->particle[0].count, count = group->count + 1;
	struct report_series *series = calloc(count, sizeof *series);
	double *memory = calloc((3 + group->count) * stages, sizeof *memory);
	char axis[160];

	if (!series || !memory)
		goto done;
	double *x = memory, *mean = x + stages, *sd = mean + stages;

	for (size_t k = 0; k < stages; k++) {
		struct spread s = spread_of(group, k, q);

		x[k] = isnan(s.time_s) ? (double)(k + 1) : s.time_s;
		mean[k] = s.mean;
		sd[k] = s.sd;
	}
	series[0] = (struct report_series){ .name = "mean, s.d.",
					    .kind = REPORT_MARKED,
					    .color = GREY,
					    .count = stages,
					    .x = x,
					    .y = mean,
					    .error = sd };
	for (size_t p = 0; p < group->count; p++) {
		double *y = sd + (p + 1) * stages;

		for (size_t k = 0; k < stages; k++)
			y[k] = value_of(&group->particle[p].series.analysis[k], q);
		series[p + 1] = (struct report_series){ .name = group->particle[p].name,
							.kind = REPORT_POINTS,
							.count = stages,
							.x = x,
							.y = y };
	}
	snprintf(axis, sizeof axis, "%s%s%s%s", q->name, q->unit[0] ? " (" : "", q->unit,
		 q->unit[0] ? ")" : "");
	report_plot(report,
		    &(struct report_plot){ .title = title_of(q),
					   .x = { .title = isnan(group->particle[0].time_s[0])
								   ? "Stage"
								   : "Time (s)" },
					   .y = { .title = axis },
					   .series = series,
					   .series_count = count });
done:
	free(series);
	free(memory);
}

static int write_page(const char *path, const struct compare_group *group, const struct quantity *q,
		      size_t count, const char *footer, struct pn_error *err)
{
	char particles[32], stages[32];
	struct report *report = NULL;

	snprintf(particles, sizeof particles, "%zu", group->count);
	snprintf(stages, sizeof stages, "%zu", group->particle[0].count);
	const struct report_fact facts[] = { { "Particles", particles }, { "Stages", stages } };
	const struct report_header header = {
		"Several particles at the same stages",
		"Each has a page of its own in the folder of its name", facts, PN_COUNT(facts),
		footer
	};
	int rc = report_create(&report, &header, err);

	if (!rc) {
		report_section(report, "Mean over the particles",
			       "Points: particles. Line: their mean, with the standard deviation "
			       "among them.");
		for (size_t k = 0; k < count; k++)
			if (title_of(&q[k]))
				plot_figure(report, group, &q[k]);
		rc = report_write(report, path, err);
	}
	report_free(report);
	return rc;
}

/* All quantities of a group in memory of their own; NULL without. */
static struct quantity *make_quantities(const struct compare_group *group, size_t *count)
{
	struct quantity *q;

	*count = quantities(NULL, group);
	q = malloc(*count * sizeof *q);
	if (q)
		quantities(q, group);
	return q;
}

int compare_write_group(const char *dir, const struct compare_group *group, const char *footer,
			struct pn_error *err)
{
	size_t count;
	struct quantity *q = make_quantities(group, &count);
	char path[PATH_MAX];
	int rc = q ? compare_path(path, sizeof path, err, dir, "particles.csv")
		   : pn_error_set(err, PN_ENOMEM, "no memory for %zu quantities", count);

	if (!rc)
		rc = write_means(path, group, q, count, err);
	if (!rc)
		rc = compare_path(path, sizeof path, err, dir, "report.html");
	if (!rc)
		rc = write_page(path, group, q, count, footer, err);
	free(q);
	return rc;
}

void compare_group_json(struct pn_json *json, const struct compare_group *group)
{
	size_t count, stages = group->particle[0].count;
	struct quantity *q = make_quantities(group, &count);

	pn_json_array(json, "stages");
	for (size_t stage = 0; q && stage < stages; stage++) {
		pn_json_object(json, NULL);
		pn_json_u64(json, "stage", stage + 1);
		pn_json_f64(json, "time_s", spread_of(group, stage, q).time_s);
		for (size_t k = 0; k < count; k++) {
			struct spread s = spread_of(group, stage, &q[k]);

			pn_json_object(json, q[k].name);
			pn_json_f64(json, "mean", s.mean);
			pn_json_f64(json, "sd", s.sd);
			pn_json_u64(json, "particles", s.count);
			pn_json_end(json);
		}
		pn_json_end(json);
	}
	pn_json_end(json);
	free(q);
	pn_json_array(json, "particles");
	for (size_t p = 0; p < group->count; p++) {
		pn_json_object(json, NULL);
		compare_json(json, &group->particle[p]);
		pn_json_end(json);
	}
	pn_json_end(json);
}
