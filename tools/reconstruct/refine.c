/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Angular refinement and spatial re-alignment: poses and backgrounds, before the last volume. */
#include "common/out.h"
#include "perrin/base/clock.h"
#include "perrin/tomo/align.h"
#include "reconstruct.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS           12
#define ITERATIONS_LEAST 60 /* an unfinished volume would close the angles up like a fan */

/* ---- flags --------------------------------------------------------------------------------- */

int refine_check(unsigned *what, const struct reconstruct_flags *flags, struct pn_error *err)
{
	const char *alone = flags->refine_rounds           ? "--refine-rounds"
			    : flags->refine_search_deg > 0 ? "--refine-search-deg"
			    : flags->background            ? "--background laplace"
			    : flags->angles_out[0]         ? "--angles-out"
			    : flags->tilts_out[0]          ? "--tilts-out"
							   : NULL;
	int rc = pn_refine_flag_parse(flags->refine, what, err);

	if (rc)
		return rc;
	if (!*what && alone)
		return pn_error_set(err, PN_EARG, "%s goes with --refine angles,shifts", alone);
	if (*what && flags->extended)
		return pn_error_set(err, PN_EARG,
				    "--refine compares images with projections of the whole "
				    "specimen, of which --extended has a part");
	return PN_OK;
}

static void set_params(struct pn_refine_loop_params *p, const struct job *job)
{
	const struct reconstruct_flags *flags = job->flags;

	pn_refine_loop_defaults(p);
	p->angles = (job->refined & PN_REFINE_ANGLES) != 0;
	p->shifts = (job->refined & PN_REFINE_SHIFTS) != 0;
	p->rounds_max = flags->refine_rounds ? (int)flags->refine_rounds : ROUNDS;
	p->refine.angle_max_deg = flags->refine_max_deg;
	p->refine.shift_max_px = flags->refine_max_px;
	p->refine.angle_range_deg = flags->refine_search_deg;
	p->refine.angle_step_deg =
		fmin(p->refine.angle_step_deg, fmax(flags->refine_search_deg, 0.05));
	p->blur_px = flags->refine_blur_px;
	p->background = flags->background;
	p->particle.margin_px = flags->margin_px;
}

/* ---- the loop ------------------------------------------------------------------------------ */

static int solve(void *context, const struct pn_projections *set, float *volume, double *misfit,
		 struct pn_error *err)
{
	struct job *job = context;
	int rc = method_solve(job, set, 0, ITERATIONS_LEAST, volume, NULL, NULL, err);
	const struct solution *s = job->now;

	*misfit = !isnan(s->held_out) ? s->held_out
		  : s->points         ? s->curve[s->points - 1]
				      : (double)NAN;
	return rc;
}

static int tell_round(void *context, const struct pn_refine_loop_round *round)
{
	struct job *job = context;

	job->round[round->round - 1] = *round;
	pn_progress_clear(&job->progress);
	fprintf(stderr, "round %d  blur %.2g px  misfit %.5f  R1 %.4f -> %.4f", round->round,
		round->blur_px, round->misfit, round->r1[0], round->r1[1]);
	if (job->refined & PN_REFINE_ANGLES)
		fprintf(stderr, "  turned %.3f deg, at most %.3f", round->change.mean_deg,
			round->change.max_deg);
	if (job->refined & PN_REFINE_SHIFTS)
		fprintf(stderr, "  moved %.3f px, at most %.3f", round->change.mean_px,
			round->change.max_px);
	fprintf(stderr, "\n");
	return 0;
}

int refine_poses(struct job *job, struct pn_error *err)
{
	struct pn_tilts *tilts = &job->tilts;
	struct pn_projections *p = &tilts->projections;
	const struct pn_refine_solver solver = { solve, job };
	struct pn_refine_loop_params params;
	struct solution *trial = malloc(sizeof *trial);
	struct pn_pose *pose = malloc(p->count * sizeof *pose);
	size_t pixels = p->count * p->ny * p->nx;
	int64_t start_ns = pn_now_ns();
	float *image = NULL;

	set_params(&params, job);
	job->round = calloc((size_t)params.rounds_max, sizeof *job->round);
	job->last = calloc(p->count, sizeof *job->last);
	if (params.background)
		image = malloc(pixels * sizeof *image);
	int rc = PN_OK;

	if (!trial || !pose || !job->round || !job->last || (params.background && !image))
		rc = pn_error_set(err, PN_ENOMEM, "no memory to refine %zu tilts", p->count);
	job->now = trial;
	job->doing = "refinement: ";
	params.progress = tell_round;
	params.context = job;
	if (!rc)
		rc = pn_refine_loop(pose, image, job->last, &job->box, p, &solver, &params,
				    &job->loop, err);
	if (!rc) {
		job->given = tilts->pose;
		tilts->pose = pose;
		pose = NULL;
		p->pose = tilts->pose;
		tilts->single_axis = pn_poses_single_axis(p->pose, p->count);
	}
	if (!rc && image)
		memcpy(tilts->image, image, pixels * sizeof *image);
	job->refine_seconds = (double)(pn_now_ns() - start_ns) / 1e9;
	job->doing = "";
	job->now = job->solution;
	free(trial);
	free(pose);
	free(image);
	return rc;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Into -180..180 of what it is near to. */
static double turn_to(double angle_deg, double near_deg)
{
	return near_deg + remainder(angle_deg - near_deg, 360);
}

void refine_angles(double angle_deg[3], const struct pn_pose *pose, const double near_deg[3])
{
	double a[3], other[3], away[2] = { 0 };

	pn_pose_to_euler(pose, &a[0], &a[1], &a[2]);
	other[0] = a[0] + 180;
	other[1] = 180 - a[1];
	other[2] = a[2] + 180;
	for (int i = 0; i < 3; i++) {
		a[i] = turn_to(a[i], near_deg[i]);
		other[i] = turn_to(other[i], near_deg[i]);
		away[0] += fabs(a[i] - near_deg[i]);
		away[1] += fabs(other[i] - near_deg[i]);
	}
	memcpy(angle_deg, away[1] < away[0] ? other : a, sizeof a);
}

/* What the format of angles has no column for stands in lines that it passes over. */
static int write_angles(const struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	const int x = job->flags->tilts.axis == PN_TILT_AXIS_X;
	char part[PATH_BYTES];

	snprintf(part, sizeof part, "%s.part", job->flags->angles_out);
	FILE *file = fopen(part, "w");

	if (!file)
		return pn_error_errno(err, errno, "%s", part);
	fprintf(file, "# refined poses; the images lie moved by shift_px x y\n"
		      "phi_deg,theta_deg,psi_deg\n");
	for (size_t k = 0; k < p->count; k++) {
		const double *shift = p->pose[k].shift_px;
		double angle[3];

		refine_angles(angle, &p->pose[k], job->tilts.angle_deg[k]);
		fprintf(file, "# tilt %zu: shift_px %.4f %.4f\n%.7f,%.7f,%.7f\n", k, shift[x],
			shift[!x], angle[0], angle[1], angle[2]);
	}
	int bad = ferror(file);

	if (fclose(file) || bad || rename(part, job->flags->angles_out)) {
		int rc = pn_error_errno(err, errno, "%s", job->flags->angles_out);

		unlink(part);
		return rc;
	}
	return PN_OK;
}

/* The images moved back by their shifts. */
static int write_tilts(const struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t pixels = p->ny * p->nx;
	float *image = malloc(p->count * pixels * sizeof *image);
	int rc = PN_OK;

	if (!image)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu images", p->count);
	for (size_t k = 0; !rc && k < p->count; k++) {
		rc = pn_tilt_resample(image + k * pixels, p->image + k * pixels, p->ny, p->nx, 0,
				      p->pose[k].shift_px, err);
		if (rc)
			pn_error_wrap(err, "%s: tilt %zu", job->flags->tilts.tilts, k);
	}
	if (!rc)
		rc = pn_out_tilts(job->flags->tilts_out, image, p->count, p->ny, p->nx,
				  job->flags->tilts.axis == PN_TILT_AXIS_X, job->tilts.pixel_A,
				  err);
	free(image);
	return rc;
}

int refine_write(const struct job *job, struct pn_error *err)
{
	int rc = PN_OK;

	if (job->flags->angles_out[0])
		rc = write_angles(job, err);
	if (!rc && job->flags->tilts_out[0])
		rc = write_tilts(job, err);
	return rc;
}
