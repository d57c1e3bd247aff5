/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fit.h"

#include "common/text.h"
#include "perrin/base/element.h"
#include "perrin/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static size_t count_species(const struct job *job, int s)
{
	size_t count = 0;

	for (size_t i = 0; i < job->model.count; i++)
		count += job->model.species[i] == s;
	return count;
}

/* Height and B factor of the whole spot: its sum, and its mean variance. */
static void sum_up(const struct pn_atom_spot *spot, double *intensity, double *b_A2)
{
	double moment = 0;

	*intensity = 0;
	for (int g = 0; g < spot->gaussians; g++) {
		*intensity += spot->intensity[g];
		moment += spot->intensity[g] * spot->variance_A2[g];
	}
	*b_A2 = *intensity > 0 ? pn_b_factor_A2(moment / *intensity) : (double)NAN;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of the lengths of sigma_pm; NaN if no atom has one. */
static double median_sigma_pm(const struct job *job)
{
	double *length = malloc(job->model.count * sizeof *length), median = NAN;
	size_t n = 0;

	for (size_t i = 0; length && i < job->model.count; i++) {
		const double *s = job->sigma_pm[i];
		double sum = sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);

		if (isfinite(sum))
			length[n++] = sum;
	}
	if (n) {
		qsort(length, n, sizeof *length, compare);
		median = length[n / 2];
	}
	free(length);
	return median;
}

static void json_species(const struct job *job, struct pn_json *json)
{
	pn_json_array(json, "species");
	for (int s = 0; s < job->model.species_count; s++) {
		const struct pn_atom_spot *spot = &job->model.spot[s];
		double intensity, b_A2;

		sum_up(spot, &intensity, &b_A2);
		pn_json_object(json, NULL);
		pn_json_text(json, "element", pn_element_symbol(job->element[s]));
		pn_json_u64(json, "atoms", count_species(job, s));
		pn_json_f64(json, "height", intensity);
		pn_json_f64(json, "b_A2", b_A2);
		pn_json_array(json, "gaussians");
		for (int g = 0; g < spot->gaussians; g++) {
			pn_json_object(json, NULL);
			pn_json_f64(json, "height", spot->intensity[g]);
			pn_json_f64(json, "b_A2", pn_b_factor_A2(spot->variance_A2[g]));
			pn_json_end(json);
		}
		pn_json_end(json);
		pn_json_end(json);
	}
	pn_json_end(json);
}

/* Of the angles from the ones that were given; 0 without refinement. */
static void turned(const struct job *job, double *mean_deg, double *max_deg, double *mean_px,
		   double *max_px)
{
	*mean_deg = *max_deg = *mean_px = *max_px = 0;
	for (size_t k = 0; k < job->refined.tilts; k++) {
		const struct pn_model_refined_tilt *t = &job->refined.tilt[k];

		*mean_deg += t->turned_deg / (double)job->refined.tilts;
		*mean_px += t->moved_px / (double)job->refined.tilts;
		*max_deg = fmax(*max_deg, t->turned_deg);
		*max_px = fmax(*max_px, t->moved_px);
	}
}

static void json_refinement(const struct job *job, struct pn_json *json)
{
	double mean_deg, max_deg, mean_px, max_px;

	turned(job, &mean_deg, &max_deg, &mean_px, &max_px);
	pn_json_object(json, "refinement");
	pn_json_i64(json, "rounds", job->refined.rounds);
	pn_json_bool(json, "converged", job->refined.converged);
	pn_json_f64(json, "turned_mean_deg", mean_deg);
	pn_json_f64(json, "turned_max_deg", max_deg);
	pn_json_f64(json, "moved_mean_px", mean_px);
	pn_json_f64(json, "moved_max_px", max_px);
	pn_json_u64(json, "added", job->refined.added);
	pn_json_u64(json, "removed", job->refined.removed);
	pn_json_u64(json, "reassigned", job->refined.reassigned);
	pn_json_end(json);
}

/* Of one tilt, the shift being that of its pose. */
static void json_pose(const struct job *job, struct pn_json *json, size_t k, int x)
{
	const struct pn_model_refined_tilt *t = &job->refined.tilt[k];
	const double *shift = job->tilts.pose[k].shift_px;
	double angle[3];

	pn_pose_to_euler(&job->tilts.pose[k], &angle[0], &angle[1], &angle[2]);
	pn_json_array(json, "refined_deg");
	for (int i = 0; i < 3; i++)
		pn_json_f64(json, NULL, angle[i]);
	pn_json_end(json);
	pn_json_f64(json, "refined_shift_x_px", shift[x]);
	pn_json_f64(json, "refined_shift_y_px", shift[!x]);
	pn_json_f64(json, "turned_deg", t->turned_deg);
	pn_json_f64(json, "moved_px", t->moved_px);
	pn_json_f64(json, "sigma", t->sigma);
	pn_json_f64(json, "weight", t->weight);
}

static void json_tilts(const struct job *job, struct pn_json *json)
{
	const int x = job->flags->tilts.axis == PN_TILT_AXIS_X, y = !x; /* of the stored images */

	pn_json_array(json, "per_tilt");
	for (size_t k = 0; k < job->tilts.projections.count; k++) {
		pn_json_object(json, NULL);
		pn_json_f64(json, "theta_deg", job->tilts.angle_deg[k][1]);
		pn_json_f64(json, "r1_before", job->r1_before[k]);
		pn_json_f64(json, "r1_after", job->r1_after[k]);
		pn_json_f64(json, "scale", job->tilt[k].scale);
		pn_json_f64(json, "offset", job->tilt[k].offset);
		pn_json_f64(json, "shift_x_px", job->tilt[k].shift_px[x]);
		pn_json_f64(json, "shift_y_px", job->tilt[k].shift_px[y]);
		if (job->refined.tilts)
			json_pose(job, json, k, x);
		pn_json_end(json);
	}
	pn_json_end(json);
}

void fit_print_json(const struct job *job)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "tilts", job->flags->tilts.tilts);
	pn_json_u64(&json, "count", job->tilts.projections.count);
	pn_json_u64(&json, "atoms", job->model.count - job->emptied);
	pn_json_text(&json, "noise", fit_noise_choices[job->flags->noise]);
	pn_json_i64(&json, "iterations", job->result.iterations);
	pn_json_bool(&json, "converged", job->result.converged);
	pn_json_f64(&json, "chi2", job->flags->noise ? job->result.chi2 : (double)NAN);
	pn_json_f64(&json, "moved_rms_pm", fit_moved_rms_pm(job));
	pn_json_u64(&json, "clamped", job->result.clamped);
	pn_json_f64(&json, "sigma_median_pm", median_sigma_pm(job));
	json_species(job, &json);
	pn_json_u64(&json, "doubtful", job->doubtful);
	pn_json_i64(&json, "flip_rounds", job->flip_rounds);
	pn_json_u64(&json, "flipped", job->flipped - job->emptied);
	pn_json_u64(&json, "emptied", job->emptied);
	if (job->refined.tilts)
		json_refinement(job, &json);
	pn_json_f64(&json, "r1_before", job->r1_mean_before);
	pn_json_f64(&json, "r1_after", job->r1_mean_after);
	pn_json_f64(&json, "seconds", job->seconds);
	json_tilts(job, &json);
	pn_json_text(&json, "out", job->flags->out);
	pn_json_end(&json);
}

static void print_species(const struct job *job)
{
	for (int s = 0; s < job->model.species_count; s++) {
		const struct pn_atom_spot *spot = &job->model.spot[s];
		double intensity, b_A2;

		sum_up(spot, &intensity, &b_A2);
		printf("%-2s       %zu atoms, height %.4g, B %.2f A^2",
		       pn_element_symbol(job->element[s]), count_species(job, s), intensity, b_A2);
		for (int g = 0; spot->gaussians > 1 && g < spot->gaussians; g++)
			printf("%s%.4g of B %.2f", g ? " + " : " = ", spot->intensity[g],
			       pn_b_factor_A2(spot->variance_A2[g]));
		printf("\n");
	}
}

static void print_refinement(const struct job *job)
{
	double mean_deg, max_deg, mean_px, max_px;

	turned(job, &mean_deg, &max_deg, &mean_px, &max_px);
	if (job->refine)
		printf("refined  %d rounds%s: turned %.3f deg mean, %.3f largest; moved %.3f px "
		       "mean, %.3f largest\n",
		       job->refined.rounds, job->refined.converged ? "" : " (did not converge)",
		       mean_deg, max_deg, mean_px, max_px);
	if (job->flags->complete)
		printf("added    %zu atoms, %zu removed, %zu of another species\n",
		       job->refined.added, job->refined.removed, job->refined.reassigned);
}

void fit_print_text(const struct job *job)
{
	const struct pn_projections *p = &job->tilts.projections;
	int turned = job->flags->tilts.axis == PN_TILT_AXIS_X;
	size_t worst = 0;
	char took[PN_TEXT_SHORT];

	for (size_t k = 1; k < p->count; k++)
		if (job->r1_after[k] > job->r1_after[worst])
			worst = k;
	printf("%zu atoms fitted to %zu tilts of %zu x %zu px, %s noise: %d iterations%s, %s\n",
	       job->model.count, p->count, turned ? p->nx : p->ny, turned ? p->ny : p->nx,
	       fit_noise_choices[job->flags->noise], job->result.iterations,
	       job->result.converged ? "" : " (did not converge)",
	       pn_text_duration(took, (int64_t)(job->seconds * 1e9)));
	printf("moved    %.1f pm rms, %zu atoms as far as they may%s\n", fit_moved_rms_pm(job),
	       job->result.clamped,
	       10 * job->result.clamped > job->model.count
		       ? ": are tilt axis, angles, pixel size right?"
		       : "");
	printf("sigma    %.2f pm, the median", median_sigma_pm(job));
	if (job->flags->noise)
		printf("; chi^2 %.3f per pixel", job->result.chi2);
	printf("\n");
	print_species(job);
	if (job->flags->flip || job->flags->flip_empty)
		printf("flipped  %zu atoms, %zu found empty, of %zu doubtful, in %d rounds\n",
		       job->flipped - job->emptied, job->emptied, job->doubtful, job->flip_rounds);
	if (job->refined.tilts)
		print_refinement(job);
	printf("R1       %.2f %% before, %.2f %% after; worst %.2f %% at %g deg\n",
	       100 * job->r1_mean_before, 100 * job->r1_mean_after, 100 * job->r1_after[worst],
	       job->tilts.angle_deg[worst][1]);
	printf("%s\n", job->flags->out);
}
