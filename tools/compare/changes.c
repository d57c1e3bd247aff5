/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The CSV tables of what became of the atoms: fates, changes, pairs. */
#include "compare/tables.h"

#include "perrin/base/element.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int table_fates(const char *path, const struct compare_particle *p, struct pn_error *err)
{
	static const char *const names[] = { "step",  "from_s",       "to_s",
					     "fate",  "atoms",        "cn_mean",
					     "cn_sd", "depth_mean_A", "depth_sd_A" };
	struct pn_csv *csv;
	int rc = pn_csv_create(&csv, path, names, PN_COUNT(names), err);

	if (rc)
		return rc;
	for (size_t k = 0; !rc && k + 1 < p->count; k++)
		for (int fate = 0; !rc && fate < PN_FATES; fate++) {
			const struct pn_series_step *step = &p->series.step[k];

			pn_csv_u64(csv, k + 1);
			table_number(csv, p->time_s[k]);
			table_number(csv, p->time_s[k + 1]);
			pn_csv_text(csv, pn_fate_name(fate));
			pn_csv_u64(csv, step->pairing.fates[fate]);
			table_number(csv, step->cn[fate].mean);
			table_number(csv, step->cn[fate].deviation);
			table_number(csv, step->depth_A[fate].mean);
			table_number(csv, step->depth_A[fate].deviation);
			rc = pn_csv_end_row(csv, err);
		}
	return table_close(csv, rc, err);
}

/* Mean change of every per-atom number over the atoms that both models have. */
int table_changes(const char *path, const struct compare_particle *p, struct pn_error *err)
{
	static const char *const names[] = { "step",        "quantity",    "unit",
					     "pairs",       "mean_before", "mean_after",
					     "mean_change", "sd_change",   "se_change" };
	struct pn_csv *csv;
	int rc = pn_csv_create(&csv, path, names, PN_COUNT(names), err);

	if (rc)
		return rc;
	for (size_t k = 0; !rc && k + 1 < p->count; k++) {
		const struct pn_analysis *a = &p->series.analysis[k];
		const struct pn_pairing *pairing = &p->series.step[k].pairing;

		for (size_t c = 0; !rc && c < a->columns; c++) {
			const double *u = a[0].column[c].value, *v = a[1].column[c].value;
			double before = 0, after = 0, sum2 = 0;
			size_t n = 0;

			if (a->column[c].kind == PN_COLUMN_CLASS)
				continue;
			for (int pass = 0; pass < 2; pass++)
				for (size_t i = 0; i < pairing->before; i++) {
					uint32_t j = pairing->after_of_before[i];
					double mean = n ? (after - before) / (double)n : 0;

					if (j == PN_PAIR_NONE || isnan(u[i]) || isnan(v[j]))
						continue;
					if (pass) {
						sum2 += pow(v[j] - u[i] - mean, 2);
						continue;
					}
					before += u[i];
					after += v[j];
					n++;
				}
			double count = (double)n, sd = n > 1 ? sqrt(sum2 / (count - 1)) : NAN;

			pn_csv_u64(csv, k + 1);
			pn_csv_text(csv, a->column[c].name);
			pn_csv_text(csv, a->column[c].unit);
			pn_csv_u64(csv, n);
			table_number(csv, n ? before / count : NAN);
			table_number(csv, n ? after / count : NAN);
			table_number(csv, n ? (after - before) / count : NAN);
			table_number(csv, sd);
			table_number(csv, n > 1 ? sd / sqrt(count) : NAN);
			rc = pn_csv_end_row(csv, err);
		}
	}
	return table_close(csv, rc, err);
}

/* Names of the table of pairs: those of the atoms, then the changes. Caller frees all of it. */
static const char **pair_names(const struct pn_analysis *a, unsigned *count, char (**texts)[32])
{
	static const char *const first[] = {
		"id_before", "id_after", "fate",       "element_before", "element_after", "x_A",
		"y_A",       "z_A",      "distance_A", "dx_A",           "dy_A",          "dz_A",
	};
	const char **names = malloc((PN_COUNT(first) + a->columns) * sizeof *names);

	*texts = malloc(a->columns * sizeof **texts);
	if (!names || !*texts) {
		free(names);
		return NULL;
	}
	memcpy(names, first, sizeof first);
	*count = PN_COUNT(first);
	for (size_t c = 0; c < a->columns; c++)
		if (a->column[c].kind != PN_COLUMN_CLASS) {
			snprintf((*texts)[c], sizeof **texts, "d_%s", a->column[c].name);
			names[(*count)++] = (*texts)[c];
		}
	return names;
}

static int put_pair(struct pn_csv *csv, const struct compare_particle *p, size_t k, uint32_t i,
		    uint32_t j, struct pn_error *err)
{
	const struct pn_series *s = &p->series;
	const struct pn_pairing *pairing = &s->step[k].pairing;
	int has_i = i != PN_PAIR_NONE, has_j = j != PN_PAIR_NONE;
	const double *at = has_i ? s->atoms[k].position_A[i] : s->atoms[k + 1].position_A[j];

	has_i ? pn_csv_u64(csv, i + 1) : pn_csv_empty(csv);
	has_j ? pn_csv_u64(csv, j + 1) : pn_csv_empty(csv);
	pn_csv_text(csv, pn_fate_name(has_i ? pairing->fate_before[i] : pairing->fate_after[j]));
	pn_csv_text(csv, has_i ? pn_element_symbol(s->atoms[k].element[i]) : NULL);
	pn_csv_text(csv, has_j ? pn_element_symbol(s->atoms[k + 1].element[j]) : NULL);
	for (int x = 0; x < 3; x++)
		pn_csv_f64(csv, at[x]);
	table_number(csv, has_i ? pairing->distance_A[i] : NAN);
	for (int x = 0; x < 3; x++)
		table_number(csv, has_i ? pairing->displacement_A[i][x] : NAN);
	for (size_t c = 0; c < s->analysis[k].columns; c++) {
		const struct pn_column *u = &s->analysis[k].column[c];

		if (u->kind != PN_COLUMN_CLASS)
			table_number(csv, has_i && has_j ? s->analysis[k + 1].column[c].value[j] -
								   u->value[i]
							 : NAN);
	}
	return pn_csv_end_row(csv, err);
}

/* Every atom of both models: pairs and those that disappeared in the order of the earlier model,
 * then the new ones. */
int table_pairs(const char *path, const struct compare_particle *p, size_t k, struct pn_error *err)
{
	const struct pn_pairing *pairing = &p->series.step[k].pairing;
	struct pn_csv *csv;
	unsigned count = 0;
	char(*texts)[32];
	const char **names = pair_names(&p->series.analysis[k], &count, &texts);
	int rc = names ? pn_csv_create(&csv, path, names, count, err)
		       : pn_error_set(err, PN_ENOMEM, "no memory for the names of columns");

	free(names);
	free(texts);
	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < pairing->before; i++)
		rc = put_pair(csv, p, k, (uint32_t)i, pairing->after_of_before[i], err);
	for (size_t j = 0; !rc && j < pairing->after; j++)
		if (pairing->before_of_after[j] == PN_PAIR_NONE)
			rc = put_pair(csv, p, k, PN_PAIR_NONE, (uint32_t)j, err);
	return table_close(csv, rc, err);
}
