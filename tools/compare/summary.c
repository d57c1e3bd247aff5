/* SPDX-License-Identifier: GPL-3.0-or-later */
/* summary.json: what a program wants to know of a series. */
#include "compare/compare.h"

#include "perrin/base/element.h"

#include <math.h>

static void stat_json(struct pn_json *json, const char *key, const struct pn_class_stat *stat)
{
	pn_json_object(json, key);
	pn_json_u64(json, "count", stat->count);
	pn_json_f64(json, "mean", stat->mean);
	pn_json_f64(json, "sd", stat->deviation);
	pn_json_end(json);
}

static void alignment_json(struct pn_json *json, const struct pn_alignment *a)
{
	static const char *const origins[] = { "start", "lattice", "search" };

	pn_json_object(json, "alignment");
	pn_json_array(json, "rotation");
	for (int i = 0; i < 3; i++) {
		pn_json_array(json, NULL);
		for (int k = 0; k < 3; k++)
			pn_json_f64(json, NULL, a->rotation[i][k]);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_array(json, "translation_A");
	for (int k = 0; k < 3; k++)
		pn_json_f64(json, NULL, a->translation_A[k]);
	pn_json_end(json);
	pn_json_text(json, "from", origins[a->origin]);
	pn_json_u64(json, "pairs", a->pairs);
	pn_json_f64(json, "rmsd_A", a->rmsd_A);
	pn_json_u64(json, "runner_up_pairs", a->runner_up_pairs);
	pn_json_u64(json, "equal_answers", a->equals);
	pn_json_end(json);
}

static void step_json(struct pn_json *json, const struct compare_particle *p, size_t k)
{
	const struct pn_series_step *step = &p->series.step[k];
	const struct pn_pairing *pairing = &step->pairing;

	pn_json_object(json, NULL);
	pn_json_u64(json, "from", k + 1);
	pn_json_u64(json, "to", k + 2);
	pn_json_f64(json, "elapsed_s", step->elapsed_s);
	alignment_json(json, &step->alignment);
	pn_json_f64(json, "tolerance_A", pairing->tolerance_A);
	pn_json_u64(json, "common", pn_pairing_common(pairing));
	pn_json_u64(json, "migrated", pn_pairing_migrated(pairing));
	pn_json_f64(json, "rmsd_A", pairing->rmsd_A);
	pn_json_u64(json, "conflicts_before", pairing->conflicts_before);
	pn_json_u64(json, "conflicts_after", pairing->conflicts_after);
	pn_json_object(json, "fates");
	for (int fate = 0; fate < PN_FATES; fate++) {
		pn_json_object(json, pn_fate_name(fate));
		pn_json_u64(json, "atoms", pairing->fates[fate]);
		stat_json(json, "cn", &step->cn[fate]);
		stat_json(json, "depth_A", &step->depth_A[fate]);
		pn_json_end(json);
	}
	pn_json_end(json);
	if (p->maps) {
		pn_json_object(json, "map_correlation");
		pn_json_f64(json, "all", p->maps[k].all);
		pn_json_f64(json, "local_median", p->maps[k].local_median);
		pn_json_end(json);
	}
	pn_json_end(json);
}

static void trends_json(struct pn_json *json, const struct pn_series *s)
{
	if (s->has_etch) {
		pn_json_object(json, "etch_rate");
		pn_json_f64(json, "atoms_per_s", -s->etch.b);
		pn_json_f64(json, "uncertainty", s->etch.b_uncertainty);
		pn_json_end(json);
	}
	pn_json_object(json, "disorder");
	if (s->has_disorder) {
		pn_json_f64(json, "A", s->disorder.A);
		pn_json_f64(json, "n", s->disorder.n);
		pn_json_f64(json, "critical_diameter_A", s->disorder.critical_diameter_A);
		pn_json_f64(json, "critical_diameter_uncertainty_A",
			    s->disorder.critical_diameter_uncertainty_A);
		pn_json_f64(json, "chi2", s->disorder.chi2);
		pn_json_bool(json, "converged", s->disorder.converged);
	} else {
		pn_json_text(json, "not_fitted", s->disorder_why);
	}
	pn_json_end(json);
}

static void fit_json(struct pn_json *json, const char *key, const struct pn_diffusion *d)
{
	pn_json_object(json, key);
	pn_json_f64(json, "D_m2_per_s", d->D_m2_per_s);
	pn_json_f64(json, "uncertainty_m2_per_s", d->uncertainty_m2_per_s);
	pn_json_f64(json, "chi2", d->chi2);
	pn_json_i64(json, "points", d->points);
	pn_json_bool(json, "converged", d->converged);
	pn_json_end(json);
}

static void diffusion_json(struct pn_json *json, const struct pn_series *s)
{
	pn_json_object(json, "diffusion");
	for (size_t k = 0; k < s->species.count; k++) {
		const struct pn_series_diffusion *d = &s->diffusion[k];

		pn_json_object(json, pn_element_symbol(s->species.element[k]));
		if (d->has_fick) {
			pn_json_u64(json, "first_shell", d->first_shell);
			pn_json_u64(json, "last_shell", d->last_shell);
			pn_json_f64(json, "shell_spacing_A", d->spacing_A);
			fit_json(json, "fick", &d->fick);
		}
		if (d->has_erfc)
			fit_json(json, "erfc", &d->erfc);
		if (d->why[0])
			pn_json_text(json, "not_fitted", d->why);
		pn_json_end(json);
	}
	pn_json_end(json);
}

void compare_json(struct pn_json *json, const struct compare_particle *particle)
{
	const struct compare_particle *p = particle;

	if (p->name[0])
		pn_json_text(json, "particle", p->name);
	pn_json_array(json, "models");
	for (size_t m = 0; m < p->count; m++) {
		pn_json_object(json, NULL);
		pn_json_text(json, "path", p->model[m].path);
		pn_json_u64(json, "frame", p->model[m].frame);
		pn_json_text(json, "name", p->model[m].name);
		pn_json_f64(json, "time_s", p->time_s[m]);
		pn_analysis_json(json, &p->series.analysis[m]);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_array(json, "steps");
	for (size_t k = 0; k + 1 < p->count; k++)
		step_json(json, p, k);
	pn_json_end(json);
	trends_json(json, &p->series);
	diffusion_json(json, &p->series);
}
