/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Models of one particle: from files to a series, and the history of each atom. */
#include "compare/compare.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int compare_path(char *buf, size_t size, struct pn_error *err, const char *dir, const char *fmt,
		 ...)
{
	char name[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	int length = vsnprintf(name, sizeof name, fmt, ap);
	va_end(ap);
	if (length < 0 || (size_t)length >= sizeof name ||
	    (size_t)snprintf(buf, size, "%s/%s", dir, name) >= size)
		return pn_error_set(err, PN_EARG, "%.100s...: the path is too long", dir);
	return PN_OK;
}

/* "stage1" of "/data/stage1.pdb" */
static void name_of(char name[COMPARE_NAME_MAX], const char *path, size_t frame, size_t frames)
{
	const char *base = strrchr(path, '/');

	snprintf(name, COMPARE_NAME_MAX - 12, "%s", base ? base + 1 : path);
	char *dot = strrchr(name, '.');

	if (dot && dot != name)
		*dot = 0;
	if (frames > 1)
		snprintf(name + strlen(name), COMPARE_NAME_MAX - strlen(name), " #%zu", frame);
}

/* ---- reading ------------------------------------------------------------------------------- */

static int add_models(struct compare_particle *p, const struct compare_source *source,
		      const struct compare_file *file, struct pn_error *err)
{
	size_t count = p->count + file->frames;
	struct compare_model *model = realloc(p->model, count * sizeof *model);

	if (model)
		p->model = model;
	double *time_s = realloc(p->time_s, count * sizeof *time_s);

	if (time_s)
		p->time_s = time_s;
	if (!model || !time_s)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu models", count);
	if (file->frames > 1 && !isnan(source->time_s))
		return pn_error_set(err, PN_EARG,
				    "%s: has %zu models, but one time (%g s) was given for it",
				    source->path, file->frames, source->time_s);
	for (size_t f = 0; f < file->frames; f += source->every) {
		struct compare_model *to = &p->model[p->count];

		*to = (struct compare_model){ source->path, "", f + 1, &file->models[f] };
		name_of(to->name, source->path, f + 1, file->frames);
		p->time_s[p->count++] =
			isnan(source->time_s) ? file->models[f].time_s : source->time_s;
	}
	return PN_OK;
}

int compare_load(struct compare_particle *particle, const char *name,
		 const struct compare_source *sources, size_t count, struct pn_error *err)
{
	struct compare_particle *p = particle;
	int rc = PN_OK;

	*p = (struct compare_particle){ 0 };
	snprintf(p->name, sizeof p->name, "%s", name);
	p->file = calloc(count, sizeof *p->file);
	if (!p->file)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu files", count);
	for (size_t k = 0; !rc && k < count; k++) {
		struct compare_file *file = &p->file[k];

		rc = pn_model_open(&file->models, &file->frames, sources[k].path, err);
		p->files += !rc;
		if (!rc)
			rc = add_models(p, &sources[k], file, err);
	}
	for (size_t m = 0; !rc && m < p->count; m++) {
		struct pn_atoms atoms = pn_model_view(p->model[m].model);

		if (pn_atoms_check(&atoms, err))
			rc = pn_error_wrap(err, "%s", p->model[m].path);
	}
	if (rc)
		compare_free(p);
	return rc;
}

void compare_free(struct compare_particle *particle)
{
	struct compare_particle *p = particle;

	for (size_t m = 0; p->track && m < p->count; m++)
		free(p->track[m]);
	free(p->track);
	for (size_t k = 0; p->maps && k + 1 < p->count; k++) {
		free(p->maps[k].shift_A);
		for (int d = 0; d < 3; d++)
			free(p->maps[k].along[d]);
		free(p->maps[k].local);
	}
	free(p->maps);
	pn_series_free(&p->series);
	for (size_t f = 0; f < p->files; f++)
		pn_models_free(p->file[f].models, p->file[f].frames);
	free(p->file);
	free(p->model);
	free(p->time_s);
	*p = (struct compare_particle){ 0 };
}

/* ---- the series ---------------------------------------------------------------------------- */

/* One number per atom that lives through its pairs; whoever is new gets the next one. */
static int number_atoms(struct compare_particle *p, struct pn_error *err)
{
	uint32_t next = 0;

	p->track = calloc(p->count, sizeof *p->track);
	if (!p->track)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu models", p->count);
	for (size_t m = 0; m < p->count; m++) {
		size_t atoms = p->series.atoms[m].count;

		p->track[m] = malloc((atoms + 1) * sizeof **p->track);
		if (!p->track[m])
			return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", atoms);
		for (size_t i = 0; i < atoms; i++) {
			uint32_t before =
				m ? p->series.step[m - 1].pairing.before_of_after[i] : PN_PAIR_NONE;

			p->track[m][i] = before == PN_PAIR_NONE ? ++next : p->track[m - 1][before];
		}
	}
	return PN_OK;
}

int compare_build(struct compare_particle *particle, const struct pn_series_options *options,
		  int threads, struct pn_error *err)
{
	struct compare_particle *p = particle;
	struct pn_atoms *views = malloc(p->count * sizeof *views);

	if (!views)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu models", p->count);
	for (size_t m = 0; m < p->count; m++)
		views[m] = pn_model_view(p->model[m].model);
	int rc = pn_series_build(&p->series, views, p->time_s, p->count, options, threads, err);

	free(views);
	if (rc)
		return p->name[0] ? pn_error_wrap(err, "%s", p->name) : rc;
	return number_atoms(p, err);
}

const char *compare_label(char *buf, size_t size, const struct compare_particle *particle,
			  size_t model)
{
	if (isnan(particle->time_s[model]))
		snprintf(buf, size, "%s", particle->model[model].name);
	else
		snprintf(buf, size, "%.4g s", particle->time_s[model]);
	return buf;
}

const char *compare_history_name(int history)
{
	static const char *const names[COMPARE_HISTORIES] = {
		[COMPARE_STAYS] = "stays", [COMPARE_CHANGES] = "changes species",
		[COMPARE_MOVES] = "moves", [COMPARE_GOES] = "disappears",
		[COMPARE_NEW] = "new",     [COMPARE_NEW_GOES] = "new, then disappears",
	};

	return history >= 0 && history < COMPARE_HISTORIES ? names[history] : NULL;
}

void compare_history(double *history, const struct compare_particle *particle, size_t model)
{
	const struct pn_series *s = &particle->series;
	const int32_t *before = model ? s->step[model - 1].pairing.fate_after : NULL;
	const int32_t *after = model + 1 < s->models ? s->step[model].pairing.fate_before : NULL;

	for (size_t i = 0; i < s->atoms[model].count; i++) {
		int fresh = before && before[i] == PN_FATE_NEW;
		int fate = after ? after[i] : PN_FATE_CONSISTENT;

		history[i] = fate == PN_FATE_DISAPPEARED ? (fresh ? COMPARE_NEW_GOES : COMPARE_GOES)
			     : fresh                     ? COMPARE_NEW
			     : fate == PN_FATE_INCONSISTENT ? COMPARE_CHANGES
			     : fate == PN_FATE_MOVED        ? COMPARE_MOVES
							    : COMPARE_STAYS;
	}
}
