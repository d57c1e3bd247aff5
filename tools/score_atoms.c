/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin score ATOMS TRUTH - a traced model against the atoms that are there. */
#include "score.h"

#include "common/analysis.h"
#include "common/text.h"
#include "perrin/atoms/score.h"
#include "perrin/base/element.h"
#include "perrin/base/json.h"
#include "perrin/format/model.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int pn_score_is_model(const char *path)
{
	static const char *const endings[] = { ".xyz", ".extxyz", ".pdb", ".ent" };
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < PN_COUNT(endings); i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return 1;
	return 0;
}

static const char *symbol(int z)
{
	const char *text = pn_element_symbol(z);

	return text ? text : "?";
}

static void print_json(const struct pn_score *s, double tolerance_A)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_u64(&json, "atoms", s->atoms);
	pn_json_u64(&json, "truth", s->truth);
	pn_json_f64(&json, "tolerance_A", tolerance_A);
	pn_json_u64(&json, "matched", s->matched);
	pn_json_u64(&json, "missed", s->missed);
	pn_json_u64(&json, "false", s->false_atoms);
	pn_json_f64(&json, "rmsd_pm", 100 * s->rmsd_A);
	pn_json_array(&json, "rmsd_axis_pm");
	for (int k = 0; k < 3; k++)
		pn_json_f64(&json, NULL, 100 * s->rmsd_axis_A[k]);
	pn_json_end(&json);
	pn_json_f64(&json, "median_pm", 100 * s->median_A);
	pn_json_f64(&json, "largest_pm", 100 * s->largest_A);
	pn_json_array(&json, "shift_A");
	for (int k = 0; k < 3; k++)
		pn_json_f64(&json, NULL, s->shift_A[k]);
	pn_json_end(&json);
	pn_json_u64(&json, "same_species", s->same_species);
	pn_json_array(&json, "species");
	for (size_t i = 0; i < s->lines; i++) {
		pn_json_object(&json, NULL);
		pn_json_text(&json, "truth", symbol(s->species[i].truth));
		pn_json_text(&json, "found", symbol(s->species[i].found));
		pn_json_u64(&json, "count", s->species[i].count);
		pn_json_end(&json);
	}
	pn_json_end(&json);
	pn_json_end(&json);
}

static void print_text(const struct pn_score *s, double tolerance_A)
{
	printf("matched  %zu of %zu atoms (%.2f %%) within %g A\n", s->matched, s->truth,
	       100.0 * s->recall, tolerance_A);
	printf("missed   %zu;  false %zu of %zu (%.2f %%)\n", s->missed, s->false_atoms, s->atoms,
	       s->atoms ? 100.0 * (double)s->false_atoms / (double)s->atoms : 0.0);
	printf("rmsd     %.2f pm (x %.2f, y %.2f, z %.2f), median %.2f, largest %.1f\n",
	       100 * s->rmsd_A, 100 * s->rmsd_axis_A[0], 100 * s->rmsd_axis_A[1],
	       100 * s->rmsd_axis_A[2], 100 * s->median_A, 100 * s->largest_A);
	printf("shift    %.3f %.3f %.3f A, taken out before\n", s->shift_A[0], s->shift_A[1],
	       s->shift_A[2]);
	for (size_t i = 0; i < s->lines; i++)
		printf("species  %-2s taken for %-2s %zu\n", symbol(s->species[i].truth),
		       symbol(s->species[i].found), s->species[i].count);
}

int pn_score_models(const char *path, const char *truth_path, double tolerance_A, int as_json,
		    struct pn_error *err)
{
	struct pn_model *found = NULL, *truth = NULL;
	size_t found_frames = 0, truth_frames = 0;
	struct pn_score_options options;
	struct pn_score score = { 0 };
	int rc = pn_model_open(&found, &found_frames, path, err);

	if (!rc)
		rc = pn_model_open(&truth, &truth_frames, truth_path, err);
	if (!rc && (found_frames > 1 || truth_frames > 1))
		rc = pn_error_set(err, PN_EARG,
				  "%s has %zu models, %s %zu: one is compared with one", path,
				  found_frames, truth_path, truth_frames);
	if (!rc) {
		struct pn_atoms a = pn_model_view(found), b = pn_model_view(truth);

		pn_score_options_default(&options);
		options.tolerance_A = tolerance_A;
		rc = pn_score_atoms(&score, &a, &b, &options, omp_get_max_threads(), err);
	}
	if (!rc && as_json)
		print_json(&score, tolerance_A);
	else if (!rc)
		print_text(&score, tolerance_A);
	pn_score_free(&score);
	pn_models_free(found, found_frames);
	pn_models_free(truth, truth_frames);
	return rc;
}
