/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/series.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pn_fate_name(int fate)
{
	static const char *const names[PN_FATES] = {
		[PN_FATE_CONSISTENT] = "consistent",
		[PN_FATE_INCONSISTENT] = "inconsistent",
		[PN_FATE_MOVED] = "moved",
		[PN_FATE_DISAPPEARED] = "disappeared",
		[PN_FATE_NEW] = "new",
	};

	return fate >= 0 && fate < PN_FATES ? names[fate] : NULL;
}

void pn_series_defaults(struct pn_series_options *options)
{
	*options = (struct pn_series_options){
		.method = PN_PAIR_ASSIGNMENT,
		.align = PN_ALIGN_SEARCH,
		.interface_A = 6,
	};
	pn_analysis_defaults(&options->analysis);
}

/* ---- setting up ---------------------------------------------------------------------------- */

static int check_times(struct pn_series *s, struct pn_error *err)
{
	s->has_times = 1;
	for (size_t m = 0; m < s->models; m++) {
		if (isnan(s->time_s[m])) {
			s->has_times = 0;
			continue;
		}
		if (m && !isnan(s->time_s[m - 1]) && !(s->time_s[m] > s->time_s[m - 1]))
			return pn_error_set(err, PN_EARG,
					    "model %zu is of %g s, the one before it of %g s",
					    m + 1, s->time_s[m], s->time_s[m - 1]);
	}
	return PN_OK;
}

static int allocate(struct pn_series *s, const struct pn_atoms *models, struct pn_error *err)
{
	size_t n = s->models, all = 0;

	s->time_s = calloc(n, sizeof *s->time_s);
	s->position_A = calloc(n, sizeof *s->position_A);
	s->atoms = calloc(n, sizeof *s->atoms);
	s->analysis = calloc(n, sizeof *s->analysis);
	s->step = calloc(n, sizeof *s->step);
	if (!s->time_s || !s->position_A || !s->atoms || !s->analysis || !s->step)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu models", n);
	for (size_t m = 0; m < n; m++)
		all += models[m].count;
	/* one list of species for all models: a column then means the same in each */
	uint8_t *element = malloc(all + 1), *to = element;

	if (!element)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", all);
	for (size_t m = 0; m < n; m++) {
		memcpy(to, models[m].element, models[m].count);
		to += models[m].count;
	}
	s->species = pn_species_of(element, all);
	free(element);
	s->diffusion = calloc(s->species.count, sizeof *s->diffusion);
	if (!s->diffusion)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu species", s->species.count);
	for (size_t m = 0; m < n; m++) {
		size_t bytes = models[m].count * sizeof **s->position_A;

		s->position_A[m] = malloc(bytes);
		if (!s->position_A[m])
			return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms",
					    models[m].count);
		memcpy(s->position_A[m], models[m].position_A, bytes);
		s->atoms[m] = (struct pn_atoms){ (const double(*)[3])s->position_A[m],
						 models[m].element, models[m].count };
	}
	return PN_OK;
}

/* ---- from model to model ------------------------------------------------------------------- */

static int align_step(struct pn_series *s, size_t m, const struct pn_series_options *options,
		      int threads, struct pn_error *err)
{
	struct pn_alignment *alignment = &s->step[m - 1].alignment;
	struct pn_align_options settings;

	pn_align_defaults(&settings);
	settings.mode = options->align;
	int rc = pn_align(alignment, &s->atoms[m - 1], &s->atoms[m], &settings, threads, err);

	if (!rc)
		pn_align_apply(alignment, (const double(*)[3])s->position_A[m], s->position_A[m],
			       s->atoms[m].count);
	return rc;
}

/* Coordination and depth by fate: what has disappeared in the earlier model, new in the later. */
static int describe_fates(struct pn_series *s, size_t m, enum pn_column_id column,
			  struct pn_class_stat stats[PN_FATES], struct pn_error *err)
{
	const struct pn_pairing *pairing = &s->step[m].pairing;
	struct pn_class_stat later[PN_FATES];
	int rc = pn_class_stats(stats, s->analysis[m].column[column].value, pairing->fate_before,
				pairing->before, PN_FATES, err);

	if (!rc)
		rc = pn_class_stats(later, s->analysis[m + 1].column[column].value,
				    pairing->fate_after, pairing->after, PN_FATES, err);
	if (!rc)
		stats[PN_FATE_NEW] = later[PN_FATE_NEW];
	return rc;
}

static int pair_step(struct pn_series *s, size_t m, const struct pn_series_options *options,
		     int threads, struct pn_error *err)
{
	struct pn_series_step *step = &s->step[m];
	struct pn_pair_options settings = { options->method, s->moved_A };

	step->elapsed_s = s->time_s[m + 1] - s->time_s[m];
	int rc = pn_pair_build(&step->pairing, &s->atoms[m], &s->atoms[m + 1], s->tolerance_A,
			       &settings, threads, err);

	if (!rc)
		rc = describe_fates(s, m, PN_COL_CN, step->cn, err);
	return rc ? rc : describe_fates(s, m, PN_COL_DEPTH, step->depth_A, err);
}

/* What the first model decides for all. */
static void settle(struct pn_series *s, const struct pn_series_options *options,
		   struct pn_analysis_options *later)
{
	const struct pn_analysis *first = &s->analysis[0];

	later->cutoff_A = first->options.cutoff_A;
	later->alpha_A = first->options.alpha_A;
	if (later->reference_A == 0)
		later->reference_A =
			isnan(first->figures.reference_A) ? 0 : first->figures.reference_A;
	if (!isnan(first->rotation[0][0]))
		later->rotation = (const double(*)[3])first->rotation;
	s->tolerance_A = options->tolerance_A > 0 ? options->tolerance_A : later->cutoff_A / 2;
	s->moved_A = options->moved_A > 0 ? options->moved_A : later->alpha_A;
	if (s->moved_A <= s->tolerance_A)
		s->moved_A = 0; /* nobody can have moved farther than a pair and less than that */
}

static int look_at_all(struct pn_series *s, const struct pn_series_options *options, int threads,
		       struct pn_error *err)
{
	struct pn_analysis_options settings = options->analysis;
	int rc = PN_OK;

	settings.species = &s->species;
	for (size_t m = 0; !rc && m < s->models; m++) {
		if (m == 1)
			settle(s, options, &settings);
		if (m)
			rc = align_step(s, m, options, threads, err);
		if (!rc)
			rc = pn_analyze(&s->analysis[m], &s->atoms[m], &settings, threads, err);
		if (!rc && m)
			rc = pair_step(s, m - 1, options, threads, err);
		if (rc)
			return pn_error_wrap(err, "model %zu", m + 1);
	}
	return PN_OK;
}

/* ---- over all times ------------------------------------------------------------------------ */

static int follow_size(struct pn_series *s, struct pn_error *err)
{
	double *count = malloc(4 * s->models * sizeof *count);
	struct pn_error why = { 0 };

	if (!count)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu models", s->models);
	double *diameter_A = count + s->models, *fraction = diameter_A + s->models;
	double *sigma = fraction + s->models;

	for (size_t m = 0; m < s->models; m++) {
		const struct pn_figures *f = &s->analysis[m].figures;
		double p = (f->disordered_atoms + 1) / (f->atoms + 2);

		count[m] = f->atoms;
		diameter_A[m] = f->diameter_A;
		fraction[m] = f->disordered_fraction;
		sigma[m] = sqrt(p * (1 - p) / (f->atoms + 3));
	}
	s->has_etch = s->has_times && s->models > 1 &&
		      pn_line_fit(&s->etch, s->time_s, count, NULL, s->models, NULL) == PN_OK;
	s->has_disorder = pn_disorder_fit(&s->disorder, diameter_A, fraction, sigma, s->models,
					  &why) == PN_OK;
	if (!s->has_disorder)
		snprintf(s->disorder_why, sizeof s->disorder_why, "%.150s", why.text);
	free(count);
	return PN_OK;
}

/* Mean depth of the shells, over the models; how far they lie apart, and which are the window. */
static void measure_shells(struct pn_series *s, size_t from, size_t shells, double interface_A,
			   struct pn_series_diffusion *d)
{
	double first = 0, last = 0;
	size_t counted = 0;

	d->first_shell = 1;
	d->last_shell = 1;
	for (size_t k = 1; k <= shells; k++) {
		double sum = 0;
		size_t n = 0;

		for (size_t m = from; m < s->models; m++)
			for (size_t i = 0; i < s->atoms[m].count; i++) {
				double depth_A = s->analysis[m].column[PN_COL_DEPTH].value[i];

				if (s->analysis[m].shell[i] != (int32_t)k || isnan(depth_A))
					continue;
				sum += depth_A;
				n++;
			}
		if (!n)
			continue;
		last = sum / (double)n;
		if (!counted++)
			first = last;
		if (last <= interface_A)
			d->last_shell = k;
	}
	d->spacing_A = counted > 1 ? (last - first) / (double)(counted - 1) : NAN;
}

/* Fractions of species @which in the shells that all models have. */
static void profiles_of(const struct pn_series *s, size_t from, size_t shells, size_t which,
			double *fraction, double *sigma, double *atoms)
{
	size_t species = s->species.count;

	memset(atoms, 0, shells * sizeof *atoms);
	for (size_t m = from; m < s->models; m++)
		for (size_t k = 1; k <= shells; k++) {
			const struct pn_composition *c = &s->analysis[m].by_shell;
			double n = (double)c->atoms[k], of = (double)c->count[k * species + which];
			double p = (of + 1) / (n + 2);
			size_t at = (m - from) * shells + k - 1;

			fraction[at] = n > 0 ? of / n : NAN;
			sigma[at] = sqrt(p * (1 - p) / (n + 3));
			atoms[k - 1] += n / (double)(s->models - from);
		}
}

static int follow_species(struct pn_series *s, size_t from, size_t shells, size_t which,
			  struct pn_error *err)
{
	struct pn_series_diffusion *d = &s->diffusion[which];
	size_t times = s->models - from, points = times * shells;
	double *fraction = malloc((2 * points + shells) * sizeof *fraction);
	struct pn_error why = { 0 };

	if (!fraction)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu shells", shells);
	struct pn_layer_profiles profiles = { shells,
					      times,
					      d->spacing_A,
					      s->time_s + from,
					      fraction,
					      fraction + points,
					      fraction + 2 * points };

	profiles_of(s, from, shells, which, fraction, fraction + points, fraction + 2 * points);
	d->has_fick = pn_diffusion_fick(&d->fick, &profiles, d->first_shell - 1, d->last_shell - 1,
					&why) == PN_OK;
	d->has_erfc = pn_diffusion_erfc(&d->erfc, &profiles, d->has_fick ? &why : NULL) == PN_OK;
	if (!d->has_fick || !d->has_erfc)
		snprintf(d->why, sizeof d->why, "%.150s", why.text);
	free(fraction);
	return PN_OK;
}

static int follow_diffusion(struct pn_series *s, const struct pn_series_options *options,
			    struct pn_error *err)
{
	size_t from = options->diffusion_from, shells = SIZE_MAX;
	int rc = PN_OK;

	for (size_t m = from; m < s->models; m++)
		shells = s->analysis[m].shells < shells ? s->analysis[m].shells : shells;
	for (size_t which = 0; !rc && which < s->species.count; which++) {
		struct pn_series_diffusion *d = &s->diffusion[which];
		const char *why = s->species.count < 2   ? "there is one species"
				  : !s->has_times        ? "times are not known"
				  : from + 2 > s->models ? "fewer than 2 models"
				  : shells < 3           ? "fewer than 3 shells"
							 : NULL;

		if (why) {
			snprintf(d->why, sizeof d->why, "%s", why);
			continue;
		}
		measure_shells(s, from, shells, options->interface_A, d);
		rc = follow_species(s, from, shells, which, err);
	}
	return rc;
}

/* -------------------------------------------------------------------------------------------- */

int pn_series_build(struct pn_series *series, const struct pn_atoms *models, const double *time_s,
		    size_t count, const struct pn_series_options *options, int threads,
		    struct pn_error *err)
{
	struct pn_series_options defaults;

	pn_series_defaults(&defaults);
	if (!options)
		options = &defaults;
	*series = (struct pn_series){ .models = count };
	if (!count)
		return pn_error_set(err, PN_EARG, "a series without models");
	int rc = allocate(series, models, err);

	if (!rc) {
		memcpy(series->time_s, time_s, count * sizeof *time_s);
		rc = check_times(series, err);
	}
	if (!rc)
		rc = look_at_all(series, options, threads, err);
	if (!rc)
		rc = follow_size(series, err);
	if (!rc)
		rc = follow_diffusion(series, options, err);
	if (rc)
		pn_series_free(series);
	return rc;
}

void pn_series_free(struct pn_series *series)
{
	struct pn_series *s = series;

	for (size_t m = 0; m < s->models; m++) {
		if (s->position_A)
			free(s->position_A[m]);
		if (s->analysis)
			pn_analysis_free(&s->analysis[m]);
		if (s->step)
			pn_pairing_free(&s->step[m].pairing);
	}
	free(s->time_s);
	free(s->position_A);
	free(s->atoms);
	free(s->analysis);
	free(s->step);
	free(s->diffusion);
	*s = (struct pn_series){ 0 };
}
