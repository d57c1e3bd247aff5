/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The series as extended XYZ, one frame a model, every number and class as a column. */
#include "compare/compare.h"

#include "perrin/format/xyz.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static int add_history(struct pn_model *out, const struct compare_particle *p, size_t m,
		       struct pn_error *err)
{
	const struct pn_series *s = &p->series;
	struct pn_model_column *column;
	char words[256] = "";
	/* OVITO follows an atom over frames by its id */
	int rc = pn_model_add_column(out, "id", 'I', 1, &column, err);

	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = p->track[m][i];
	if (!rc)
		rc = pn_model_add_column(out, "history", 'I', 1, &column, err);
	if (!rc)
		compare_history(column->values, p, m);
	if (!rc)
		rc = pn_model_add_column(out, "fate", 'I', 1, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = m + 1 < p->count ? s->step[m].pairing.fate_before[i] : -1;
	if (!rc)
		rc = pn_model_add_column(out, "fate_before", 'I', 1, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = m ? s->step[m - 1].pairing.fate_after[i] : -1;
	if (!rc)
		rc = pn_model_add_column(out, "moves_A", 'R', 3, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		for (int k = 0; k < 3; k++)
			column->values[3 * i + k] =
				m + 1 < p->count ? s->step[m].pairing.displacement_A[i][k] : NAN;
	for (int h = 0; h < COMPARE_HISTORIES; h++)
		snprintf(words + strlen(words), sizeof words - strlen(words), "%s%d=%s",
			 h ? "; " : "", h, compare_history_name(h));
	if (!rc)
		rc = pn_model_add_pair(out, "history_classes", words, err);
	words[0] = 0;
	for (int f = 0; f < PN_FATES; f++)
		snprintf(words + strlen(words), sizeof words - strlen(words), "%s%d=%s",
			 f ? " " : "", f, pn_fate_name(f));
	return rc ? rc : pn_model_add_pair(out, "fate_classes", words, err);
}

static int put_frame(struct pn_xyz_writer *writer, const struct compare_particle *p, size_t m,
		     struct pn_error *err)
{
	const struct pn_atoms *atoms = &p->series.atoms[m];
	struct pn_model *out;
	int rc = pn_model_create(&out, atoms->count, err);

	if (rc)
		return rc;
	memcpy(out->position_A, atoms->position_A, atoms->count * sizeof *out->position_A);
	memcpy(out->element, atoms->element, atoms->count);
	out->time_s = p->time_s[m];
	rc = add_history(out, p, m, err);
	if (!rc)
		rc = pn_analysis_add_columns(out, &p->series.analysis[m], err);
	if (!rc)
		rc = pn_model_add_pair(out, "model", p->model[m].name, err);
	if (!rc)
		rc = pn_xyz_append(writer, out, err);
	pn_model_destroy(out);
	return rc;
}

int compare_write_trajectory(const char *dir, const struct compare_particle *particle,
			     struct pn_error *err)
{
	struct pn_xyz_writer *writer;
	char path[PATH_MAX];
	int rc = compare_path(path, sizeof path, err, dir, "trajectory.xyz");

	if (!rc)
		rc = pn_xyz_create(&writer, path, err);
	if (rc)
		return rc;
	for (size_t m = 0; !rc && m < particle->count; m++)
		rc = put_frame(writer, particle, m, err);
	if (rc) {
		pn_xyz_abandon(writer);
		return rc;
	}
	return pn_xyz_finish(writer, err);
}
