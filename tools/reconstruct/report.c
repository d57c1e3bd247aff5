/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a run tells: pictures, JSON, text. */
#include "common/text.h"
#include "common/volume_sheet.h"
#include "perrin/base/json.h"
#include "reconstruct.h"

#include <math.h>
#include <string.h>

static const char *const loop_stops[] = { "rounds", "poses stay", "misfit no longer falls",
					  "asked" };

/* ---- pictures ------------------------------------------------------------------------------ */

void result_path(char path[PATH_BYTES], const struct reconstruct_flags *flags, const char *more)
{
	const char *from = flags->sheet[0] ? flags->sheet : flags->out;
	const char *slash = strrchr(from, '/'), *dot = strrchr(from, '.');
	int stem = (int)strlen(from);

	if (dot && (!slash || dot > slash))
		stem = (int)(dot - from);
	if (flags->sheet[0] && !more[0])
		snprintf(path, PATH_BYTES, "%s", from);
	else
		snprintf(path, PATH_BYTES, "%.*s%s.png", stem, from, more);
}

static int draw_volume(const struct job *job, struct pn_error *err)
{
	const struct solution *s = job->solution;
	char path[PATH_BYTES], title[256];

	result_path(path, job->flags, "");
	snprintf(title, sizeof title, "%s   %zu tilts   %d iterations   R1 %.4f",
		 method_choices[job->flags->method], job->tilts.projections.count, s->iterations,
		 job->r1_mean);
	const struct pn_volume_sheet sheet = {
		.volume = job->volume,
		.box = job->box,
		.pixel_A = job->tilts.pixel_A,
		.title = { title },
		.curve = { { .name = s->curve_name,
			     .count = s->points,
			     .x = s->curve_at,
			     .y = s->curve },
			   { .name = "held out",
			     .count = s->free_points,
			     .x = s->free_at,
			     .y = s->free_curve } },
		.curves = s->free_points ? 2 : 1,
		.x_name = "iteration",
		.y_name = "R",
	};

	return pn_volume_sheet(path, &sheet, NULL, err);
}

/* The FSC over the planes of one half; a line down marks where it falls below 0.143. */
static int draw_fsc(const struct job *job, struct pn_error *err)
{
	const struct half_sets *h = &job->halves;
	const double at = h->at_0_143_per_px, mark_x[] = { 0, at, at },
		     mark_y[] = { 0.143, 0.143, 0 };
	char path[PATH_BYTES], title[256], what[128];
	int used = snprintf(title, sizeof title, "half sets of %zu and %zu tilts   %d iterations",
			    h->tilts[0], h->tilts[1], job->solution->iterations);

	if (!isnan(h->resolution_A))
		snprintf(title + used, sizeof title - (size_t)used, "   FSC 0.143 at %.2f \xc3\x85",
			 h->resolution_A);
	snprintf(what, sizeof what, "planes: tilts 1, 3, 5, ... alone, masked");
	result_path(path, job->flags, "-fsc");
	const struct pn_volume_sheet sheet = {
		.volume = h->volume,
		.box = job->box,
		.pixel_A = job->tilts.pixel_A,
		.title = { title, what },
		.curve = { { .name = "FSC", .count = h->shells, .x = h->frequency, .y = h->fsc },
			   { .name = "0.143", .count = 3, .x = mark_x, .y = mark_y } },
		.curves = 2,
		.x_name = "cycles per voxel",
		.y_name = "FSC",
	};

	return pn_volume_sheet(path, &sheet, NULL, err);
}

int result_draw(const struct job *job, struct pn_error *err)
{
	int rc = draw_volume(job, err);

	return rc || !job->halves.shells ? rc : draw_fsc(job, err);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static void json_box(struct pn_json *json, const char *key, const struct pn_box *box)
{
	pn_json_array(json, key);
	pn_json_u64(json, NULL, box->nz);
	pn_json_u64(json, NULL, box->ny);
	pn_json_u64(json, NULL, box->nx);
	pn_json_end(json);
}

static void json_refinement(struct pn_json *json, const struct job *job)
{
	if (!job->refined)
		return;
	pn_json_object(json, "refinement");
	pn_json_bool(json, "angles", (job->refined & PN_REFINE_ANGLES) != 0);
	pn_json_bool(json, "shifts", (job->refined & PN_REFINE_SHIFTS) != 0);
	pn_json_text(json, "stopped", loop_stops[job->loop.stop]);
	pn_json_i64(json, "best", job->loop.best);
	pn_json_f64(json, "misfit_before", job->loop.before);
	pn_json_f64(json, "misfit_after", job->loop.after);
	pn_json_f64(json, "seconds", job->refine_seconds);
	pn_json_array(json, "rounds");
	for (int i = 0; i < job->loop.rounds; i++) {
		const struct pn_refine_loop_round *r = &job->round[i];

		pn_json_object(json, NULL);
		pn_json_f64(json, "blur_px", r->blur_px);
		pn_json_f64(json, "misfit", r->misfit);
		pn_json_f64(json, "r1_before", r->r1[0]);
		pn_json_f64(json, "r1_after", r->r1[1]);
		pn_json_f64(json, "turned_mean_deg", r->change.mean_deg);
		pn_json_f64(json, "turned_max_deg", r->change.max_deg);
		pn_json_f64(json, "moved_mean_px", r->change.mean_px);
		pn_json_f64(json, "moved_max_px", r->change.max_px);
		pn_json_u64(json, "kept", r->kept);
		pn_json_u64(json, "cleaned", r->cleaned);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_end(json);
}

static void json_half_sets(struct pn_json *json, const struct job *job)
{
	const struct half_sets *h = &job->halves;

	if (!h->shells)
		return;
	pn_json_object(json, "half_sets");
	pn_json_u64(json, "tilts_1", h->tilts[0]);
	pn_json_u64(json, "tilts_2", h->tilts[1]);
	pn_json_f64(json, "frequency_0_143_per_px", h->at_0_143_per_px);
	pn_json_f64(json, "resolution_A", h->resolution_A);
	pn_json_array(json, "fsc");
	for (size_t s = 0; s < h->shells; s++) {
		pn_json_object(json, NULL);
		pn_json_f64(json, "frequency_per_px", h->frequency[s]);
		pn_json_f64(json, "fsc", h->fsc[s]);
		pn_json_f64(json, "samples", h->samples[s]);
		pn_json_end(json);
	}
	pn_json_end(json);
	pn_json_end(json);
}

/* The finest detail that all directions have, in A; NaN if pixels have no size. */
static double crowther_A(const struct job *job)
{
	return job->tilts.pixel_A > 0 && job->coverage.crowther_per_voxel > 0
		       ? job->tilts.pixel_A / job->coverage.crowther_per_voxel
		       : (double)NAN;
}

static void json_coverage(struct pn_json *json, const struct job *job)
{
	const struct pn_coverage *c = &job->coverage;

	pn_json_object(json, "coverage");
	pn_json_f64(json, "diameter_px", job->diameter_px);
	pn_json_text(json, "diameter_of", job->diameter_is_box ? "box" : "specimen");
	pn_json_f64(json, "uncovered", c->uncovered);
	pn_json_f64(json, "gap_deg", c->gap_deg);
	pn_json_array(json, "gap_direction");
	for (int i = 0; i < 3; i++)
		pn_json_f64(json, NULL, c->gap_direction[i]);
	pn_json_end(json);
	pn_json_f64(json, "crowther_per_px", c->crowther_per_voxel);
	pn_json_f64(json, "crowther_A", crowther_A(job));
	pn_json_end(json);
}

static void json_tilt(struct pn_json *json, const struct job *job, size_t k)
{
	const struct pn_pose *pose = &job->tilts.pose[k];
	struct pn_pose_difference d;
	double angle[3];

	pn_json_object(json, NULL);
	pn_json_f64(json, "theta_deg", job->tilts.angle_deg[k][1]);
	pn_json_f64(json, "r1", job->r1[k]);
	pn_json_f64(json, "r2", job->r2[k]);
	if (job->refined) {
		pn_pose_compare(&d, pose, &job->given[k], 1);
		refine_angles(angle, pose, job->tilts.angle_deg[k]);
		pn_json_f64(json, "turned_deg", d.mean_deg);
		pn_json_f64(json, "moved_px", d.mean_px);
		pn_json_f64(json, "refined_phi_deg", angle[0]);
		pn_json_f64(json, "refined_theta_deg", angle[1]);
		pn_json_f64(json, "refined_psi_deg", angle[2]);
		pn_json_f64(json, "shift_x_px", pose->shift_px[0]);
		pn_json_f64(json, "shift_y_px", pose->shift_px[1]);
		pn_json_f64(json, "angle_uncertainty_deg", job->last[k].angle_uncertainty_deg);
		pn_json_f64(json, "shift_uncertainty_px", job->last[k].shift_uncertainty_px);
	}
	pn_json_end(json);
}

void result_json(const struct job *job)
{
	const struct pn_projections *p = &job->tilts.projections;
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "tilts", job->flags->tilts.tilts);
	pn_json_text(&json, "method", method_choices[job->flags->method]);
	pn_json_u64(&json, "count", p->count);
	json_box(&json, "box", &job->box);
	json_box(&json, "solved_box", &job->solved);
	pn_json_f64(&json, "pixel_A", job->tilts.pixel_A > 0 ? job->tilts.pixel_A : (double)NAN);
	pn_json_bool(&json, "single_axis", job->tilts.single_axis);
	pn_json_i64(&json, "iterations", job->solution->iterations);
	pn_json_text(&json, "stopped", job->solution->stopped);
	pn_json_f64(&json, "held_out", job->solution->held_out);
	pn_json_f64(&json, "r1", job->r1_mean);
	pn_json_f64(&json, "r2", job->r2_mean);
	pn_json_f64(&json, "seconds", job->seconds);
	json_refinement(&json, job);
	json_half_sets(&json, job);
	json_coverage(&json, job);
	pn_json_array(&json, "per_tilt");
	for (size_t k = 0; k < p->count; k++)
		json_tilt(&json, job, k);
	pn_json_end(&json);
	pn_json_text(&json, "out", job->flags->out);
	pn_json_end(&json);
}

/* ---- text ---------------------------------------------------------------------------------- */

static void text_refinement(const struct job *job)
{
	struct pn_pose_difference d;
	char took[PN_TEXT_SHORT];

	if (!job->refined)
		return;
	pn_pose_compare(&d, job->tilts.pose, job->given, job->tilts.projections.count);
	printf("refined in %d rounds (%s; poses of round %d), %s: misfit %.3f %% -> %.3f %%\n",
	       job->loop.rounds, loop_stops[job->loop.stop], job->loop.best,
	       pn_text_duration(took, (int64_t)(job->refine_seconds * 1e9)), 100 * job->loop.before,
	       100 * job->loop.after);
	if (job->refined & PN_REFINE_ANGLES)
		printf("turned by %.3f deg on the mean, at most %.3f\n", d.mean_deg, d.max_deg);
	if (job->refined & PN_REFINE_SHIFTS)
		printf("moved by %.3f px on the mean, at most %.3f\n", d.mean_px, d.max_px);
}

static void text_half_sets(const struct job *job)
{
	const struct half_sets *h = &job->halves;

	if (!h->shells)
		return;
	printf("half sets of %zu and %zu tilts: FSC is 0.143 at %.3f per voxel", h->tilts[0],
	       h->tilts[1], h->at_0_143_per_px);
	if (!isnan(h->resolution_A))
		printf(", %.2f A", h->resolution_A);
	printf("\n");
}

static void text_coverage(const struct job *job)
{
	const struct pn_coverage *c = &job->coverage;

	printf("diameter %.1f px%s: %.1f %% of Fourier space uncovered, gap of %.1f deg about "
	       "(%.2f %.2f %.2f); all directions up to %.3f per voxel",
	       job->diameter_px, job->diameter_is_box ? " (the box)" : "", 100 * c->uncovered,
	       c->gap_deg, c->gap_direction[0], c->gap_direction[1], c->gap_direction[2],
	       c->crowther_per_voxel);
	if (!isnan(crowther_A(job)))
		printf(", %.2f A", crowther_A(job));
	printf("\n");
}

void result_text(const struct job *job)
{
	const struct pn_projections *p = &job->tilts.projections;
	const struct solution *s = job->solution;
	size_t worst = 0;
	char took[PN_TEXT_SHORT];

	for (size_t k = 1; k < p->count; k++)
		if (isnan(job->r1[worst]) || job->r1[k] > job->r1[worst])
			worst = k;
	printf("%zu tilts of %zu x %zu px, %s; volume %zu x %zu x %zu\n", p->count, p->ny, p->nx,
	       job->tilts.single_axis ? "one axis" : "any axis", job->box.nz, job->box.ny,
	       job->box.nx);
	if (job->flags->extended)
		printf("solved for in %zu x %zu x %zu\n", job->solved.nz, job->solved.ny,
		       job->solved.nx);
	text_refinement(job);
	printf("%s: %d iterations (%s), %s\n", method_choices[job->flags->method], s->iterations,
	       s->stopped, pn_text_duration(took, (int64_t)(job->seconds * 1e9)));
	if (!isnan(s->held_out))
		printf("held-out tilts are met to %.2f %% of their norm\n", 100 * s->held_out);
	printf("R1 %.2f %%, worst %.2f %% at %g deg;  R2 %.2f %%\n", 100 * job->r1_mean,
	       100 * job->r1[worst], job->tilts.angle_deg[worst][1], 100 * job->r2_mean);
	text_half_sets(job);
	text_coverage(job);
	printf("%s\n", job->flags->out);
}
