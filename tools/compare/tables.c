/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The CSV tables of a series. Long tables (one value a line) carry the change since the model
 * before. */
#include "compare/tables.h"

#include "perrin/atoms/region.h"
#include "perrin/base/element.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one model a line ---------------------------------------------------------------------- */

static int write_models(const char *path, const struct compare_particle *p, struct pn_error *err)
{
	const char *names[96] = { "model", "name", "time_s" };
	unsigned count = 3;
	struct pn_csv *csv;

	for (const struct pn_figure *row = pn_analysis_figures; row->name; row++) {
		pn_assert(count < PN_COUNT(names));
		names[count++] = row->name;
	}
	int rc = pn_csv_create(&csv, path, names, count, err);

	if (rc)
		return rc;
	for (size_t m = 0; !rc && m < p->count; m++) {
		pn_csv_u64(csv, m + 1);
		pn_csv_text(csv, p->model[m].name);
		table_number(csv, p->time_s[m]);
		for (const struct pn_figure *row = pn_analysis_figures; row->name; row++)
			table_number(csv, pn_figure_of(&p->series.analysis[m].figures, row));
		rc = pn_csv_end_row(csv, err);
	}
	return table_close(csv, rc, err);
}

/* ---- one value a line: classes of atoms ------------------------------------------------------ */

/* A kind of class, and what is known of it. */
struct class_table {
	const char *name;
	const int32_t *(*class_of)(const struct pn_analysis *analysis);
	const struct pn_composition *(*composition)(const struct pn_analysis *analysis);
	const struct pn_sro *(*sro)(const struct pn_analysis *analysis); /* or NULL */
	void (*label)(char *buf, size_t size, const struct pn_analysis *analysis, size_t class);
	size_t first;
};

static const int32_t *shells_of(const struct pn_analysis *a)
{
	return a->shell;
}

static const int32_t *layers_of(const struct pn_analysis *a)
{
	return a->layer;
}

static const int32_t *regions_of(const struct pn_analysis *a)
{
	return a->region;
}

static const struct pn_composition *in_shells(const struct pn_analysis *a)
{
	return &a->by_shell;
}

static const struct pn_composition *in_layers(const struct pn_analysis *a)
{
	return &a->by_layer;
}

static const struct pn_composition *in_regions(const struct pn_analysis *a)
{
	return &a->by_region;
}

static const struct pn_sro *sro_in_shells(const struct pn_analysis *a)
{
	return &a->sro_by_shell;
}

static const struct pn_sro *sro_in_regions(const struct pn_analysis *a)
{
	return &a->sro_by_region;
}

static void label_shell(char *buf, size_t size, const struct pn_analysis *a, size_t class)
{
	(void)a;
	snprintf(buf, size, "%zu", class);
}

static void label_layer(char *buf, size_t size, const struct pn_analysis *a, size_t class)
{
	snprintf(buf, size, "%g-%g A", (double)class * a->options.layer_A,
		 (double)(class + 1) * a->options.layer_A);
}

static void label_region(char *buf, size_t size, const struct pn_analysis *a, size_t class)
{
	(void)a;
	snprintf(buf, size, "%s", pn_region_name((int)class));
}

struct long_row {
	struct pn_csv *csv;
	const struct compare_particle *particle;
	size_t model;
	const char *class_name, *quantity;
};

/* A value with its spread and, if the model before has it too, its change. */
static int put(const struct long_row *row, double count, double value, double sd, double before,
	       struct pn_error *err)
{
	pn_csv_u64(row->csv, row->model + 1);
	table_number(row->csv, row->particle->time_s[row->model]);
	pn_csv_text(row->csv, row->class_name);
	pn_csv_text(row->csv, row->quantity);
	table_number(row->csv, count);
	table_number(row->csv, value);
	table_number(row->csv, sd);
	table_number(row->csv, value - before);
	return pn_csv_end_row(row->csv, err);
}

static int put_species(struct long_row *row, const struct class_table *table, size_t class,
		       struct pn_error *err)
{
	const struct pn_analysis *a = &row->particle->series.analysis[row->model];
	const struct pn_composition *c = table->composition(a), *b = NULL;
	size_t species = c->species.count;
	int rc = PN_OK;

	if (row->model && class < table->composition(a - 1)->classes)
		b = table->composition(a - 1);
	row->quantity = "atoms";
	rc = put(row, (double)c->atoms[class], (double)c->atoms[class], NAN,
		 b ? (double)b->atoms[class] : NAN, err);
	for (size_t s = 0; !rc && s < species; s++) {
		char quantity[32];

		snprintf(quantity, sizeof quantity, "fraction_%s",
			 pn_element_symbol(c->species.element[s]));
		row->quantity = quantity;
		rc = put(row, (double)c->count[class * species + s],
			 c->fraction[class * species + s], c->deviation[class * species + s],
			 b ? b->fraction[class * species + s] : NAN, err);
	}
	return rc;
}

static int put_sro(struct long_row *row, const struct class_table *table, size_t class,
		   struct pn_error *err)
{
	const struct pn_analysis *a = &row->particle->series.analysis[row->model];
	const struct pn_sro *c = table->sro(a), *b = NULL;
	size_t n = c->species.count;
	int rc = PN_OK;

	if (row->model && class < table->sro(a - 1)->classes)
		b = table->sro(a - 1);
	for (size_t i = 0; i < n * n && !rc; i++) {
		size_t at = class * n * n + i;
		char quantity[32];

		snprintf(quantity, sizeof quantity, "alpha_%s_%s",
			 pn_element_symbol(c->species.element[i / n]),
			 pn_element_symbol(c->species.element[i % n]));
		row->quantity = quantity;
		rc = put(row, (double)c->centers[class * n + i / n], c->alpha[at], c->deviation[at],
			 b ? b->alpha[at] : NAN, err);
	}
	return rc;
}

/* Mean of every per-atom number in every class. */
static int class_means(struct pn_class_stat *stats, const struct pn_analysis *a, size_t column,
		       const struct class_table *table, struct pn_error *err)
{
	size_t classes = table->composition(a)->classes;

	return pn_class_stats(stats, a->column[column].value, table->class_of(a), a->atoms, classes,
			      err);
}

static int put_columns(struct long_row *row, const struct class_table *table, struct pn_error *err)
{
	const struct pn_analysis *a = &row->particle->series.analysis[row->model];
	size_t classes = table->composition(a)->classes;
	size_t had = row->model ? table->composition(a - 1)->classes : 0;
	struct pn_class_stat *now = calloc(classes + had + 1, sizeof *now), *then = now + classes;
	int rc = now ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for %zu classes", classes);

	for (size_t column = 0; !rc && column < a->columns; column++) {
		if (a->column[column].kind == PN_COLUMN_CLASS)
			continue;
		row->quantity = a->column[column].name;
		rc = class_means(now, a, column, table, err);
		if (!rc && had)
			rc = class_means(then, a - 1, column, table, err);
		for (size_t k = table->first; !rc && k < classes; k++) {
			char label[32];

			table->label(label, sizeof label, a, k);
			row->class_name = label;
			rc = put(row, (double)now[k].count, now[k].mean, now[k].deviation,
				 k < had ? then[k].mean : NAN, err);
		}
	}
	free(now);
	return rc;
}

static int write_classes(const char *path, const struct compare_particle *p,
			 const struct class_table *table, struct pn_error *err)
{
	const char *names[] = { "model", "time_s", table->name, "quantity",
				"count", "value",  "sd",        "change" };
	struct long_row row = { .particle = p };
	int rc = pn_csv_create(&row.csv, path, names, PN_COUNT(names), err);

	if (rc)
		return rc;
	for (row.model = 0; !rc && row.model < p->count; row.model++) {
		const struct pn_analysis *a = &p->series.analysis[row.model];

		for (size_t k = table->first; !rc && k < table->composition(a)->classes; k++) {
			char label[32];

			table->label(label, sizeof label, a, k);
			row.class_name = label;
			rc = put_species(&row, table, k, err);
			if (!rc && table->sro && a->species.count > 1)
				rc = put_sro(&row, table, k, err);
		}
		if (!rc)
			rc = put_columns(&row, table, err);
	}
	return table_close(row.csv, rc, err);
}

/* ---- g(r) ---------------------------------------------------------------------------------- */

static int write_rdf(const char *path, const struct compare_particle *p, struct pn_error *err)
{
	const struct pn_rdf *first = &p->series.analysis[0].rdf;
	const char **names = malloc((p->count + 1) * sizeof *names);
	char(*texts)[24] = malloc((p->count + 1) * sizeof *texts);
	struct pn_csv *csv;
	int rc = names && texts
			 ? PN_OK
			 : pn_error_set(err, PN_ENOMEM, "no memory for %zu models", p->count);

	for (size_t m = 0; !rc && m < p->count; m++) {
		snprintf(texts[m], sizeof *texts, "g_%zu", m + 1);
		names[m + 1] = texts[m];
	}
	if (!rc) {
		names[0] = "r_A";
		rc = pn_csv_create(&csv, path, names, (unsigned)p->count + 1, err);
	}
	free(names);
	free(texts);
	if (rc)
		return rc;
	for (size_t k = 0; !rc && k < first->count; k++) {
		pn_csv_f64(csv, first->r_first_A + (double)k * first->step_A);
		for (size_t m = 0; m < p->count; m++) {
			const struct pn_rdf *rdf = &p->series.analysis[m].rdf;

			table_number(csv, k < rdf->count ? rdf->g[k] : NAN);
		}
		rc = pn_csv_end_row(csv, err);
	}
	return table_close(csv, rc, err);
}

/* -------------------------------------------------------------------------------------------- */

static int write_per_model(const char *dir, const struct compare_particle *p, struct pn_error *err)
{
	char path[PATH_MAX];
	int rc = PN_OK;

	for (size_t m = 0; !rc && m < p->count; m++) {
		rc = compare_path(path, sizeof path, err, dir, "atoms_%zu.csv", m + 1);
		if (!rc)
			rc = pn_analysis_csv(path, p->model[m].model, &p->series.analysis[m], err);
		if (!rc && m + 1 < p->count)
			rc = compare_path(path, sizeof path, err, dir, "pairs_%zu_%zu.csv", m + 1,
					  m + 2);
		if (!rc && m + 1 < p->count)
			rc = table_pairs(path, p, m, err);
	}
	return rc;
}

int compare_write_tables(const char *dir, const struct compare_particle *particle,
			 struct pn_error *err)
{
	static const struct class_table tables[] = {
		{ "shell", shells_of, in_shells, sro_in_shells, label_shell, 1 },
		{ "layer", layers_of, in_layers, NULL, label_layer, 0 },
		{ "region", regions_of, in_regions, sro_in_regions, label_region, 0 },
	};
	static const struct {
		const char *name;
		int (*write)(const char *path, const struct compare_particle *p,
			     struct pn_error *err);
	} files[] = {
		{ "models.csv", write_models },
		{ "fates.csv", table_fates },
		{ "changes.csv", table_changes },
		{ "rdf.csv", write_rdf },
	};
	char path[PATH_MAX];
	int rc = write_per_model(dir, particle, err);

	for (size_t f = 0; !rc && f < PN_COUNT(files); f++) {
		rc = compare_path(path, sizeof path, err, dir, "%s", files[f].name);
		if (!rc)
			rc = files[f].write(path, particle, err);
	}
	for (size_t t = 0; !rc && t < PN_COUNT(tables); t++) {
		rc = compare_path(path, sizeof path, err, dir, "%ss.csv", tables[t].name);
		if (!rc)
			rc = write_classes(path, particle, &tables[t], err);
	}
	return rc;
}
