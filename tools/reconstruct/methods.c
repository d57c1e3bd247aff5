/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods: a volume of a set of tilts. */
#include "common/text.h"
#include "perrin/base/clock.h"
#include "perrin/tomo/extended.h"
#include "perrin/tomo/fista.h"
#include "perrin/tomo/genfire.h"
#include "perrin/tomo/projector.h"
#include "perrin/tomo/resire.h"
#include "perrin/tomo/sirt.h"
#include "reconstruct.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HELD_OUT_EVERY      9
#define ITERATIONS_OF_ROUND 100 /* of best at most: further ones move no pose */

const char *const method_choices[] = { "best", "resire", "genfire", "sirt", NULL };

static const int method_iterations[] = { 200, 300, 100, 100 };
static const double method_oversampling[] = { 0, 3, 3, 0 };

/* One volume that is asked for. */
struct task {
	struct job *job;
	const struct pn_projections *set;
	int fixed; /* 1: so many iterations, no trial decides */
	int least;
	float *volume;
	double *r1, *r2;
};

/* ---- telling how it goes ------------------------------------------------------------------- */

static int tell(void *context, int iteration, double r, double held_out)
{
	struct job *job = context;
	struct solution *s = job->now;
	double passed_s = (double)(pn_now_ns() - job->start_ns) / 1e9;
	char line[256], left[PN_TEXT_SHORT];

	if (iteration == 1)
		s->points = 0; /* the trial is over: its R goes, what it held out stays */
	if (s->points < CURVE_MAX) {
		s->curve_at[s->points] = iteration;
		s->curve[s->points++] = r;
	}
	if (!isnan(held_out) && s->free_points < CURVE_MAX) {
		s->free_at[s->free_points] = iteration;
		s->free_curve[s->free_points++] = held_out;
	}
	if (!pn_progress_due(&job->progress))
		return 0;
	int used = snprintf(line, sizeof line, "%siteration %d/%d  R %.5f", job->doing, iteration,
			    s->iterations_max, r);

	if (!isnan(held_out))
		used += snprintf(line + used, sizeof line - (size_t)used, "  held out %.5f",
				 held_out);
	snprintf(line + used, sizeof line - (size_t)used, "  %s left at most",
		 pn_text_duration(left, (int64_t)(passed_s * (s->iterations_max - iteration) /
						  iteration * 1e9)));
	pn_progress_line(&job->progress, line);
	return 0;
}

static int tell_r(void *context, int iteration, double r)
{
	return tell(context, iteration, r, NAN);
}

/* ---- best ---------------------------------------------------------------------------------- */

static size_t held_out_every(const struct reconstruct_flags *flags)
{
	return flags->held_out ? (size_t)flags->held_out : HELD_OUT_EVERY;
}

/* The normal equations of all tilts, or of every so many of them. */
static int sum_up(struct pn_normal **sums, const struct task *t, size_t first, size_t every,
		  struct pn_error *err)
{
	const struct pn_projections *p = t->set;
	int rc = pn_normal_create(sums, &t->job->box, pn_poses_single_axis(p->pose, p->count),
				  t->job->tilts.largest_pixel, err);

	for (size_t k = first; !rc && k + (first ? 1 : 0) < p->count; k += every) {
		rc = pn_normal_add(*sums, &p->pose[k], p->image + k * p->ny * p->nx, p->ny, p->nx,
				   err);
		if (rc)
			pn_error_wrap(err, "tilt %zu", k + 1);
	}
	return rc;
}

static const char *const best_stops[] = { "iterations", "held-out tilts", "no change", "asked" };

static void take_result(struct solution *s, const struct pn_fista_result *result, int validated)
{
	s->iterations = result->iterations;
	s->stopped = best_stops[result->stop];
	s->held_out = validated ? result->held_out : NAN;
	s->curve_name = "|Au-p|/|p|";
}

/* As pn_fista_validated, but no fewer iterations than @least, or as many as are fixed. */
static int solve_at_least(struct pn_fista *fista, const struct task *t,
			  struct pn_fista_params *solving, const struct pn_normal *all,
			  const struct pn_normal *held_out, struct pn_fista_result *result,
			  struct pn_error *err)
{
	struct pn_fista_result trial;

	if (t->fixed)
		solving->patience = 0;
	int rc = pn_fista_solve(fista, solving, all, held_out, t->volume, &trial, err);

	if (rc)
		return rc;
	memset(t->volume, 0, pn_box_voxels(&t->job->box) * sizeof *t->volume);
	if (!t->fixed)
		solving->iterations_max = trial.best > t->least ? trial.best : t->least;
	rc = pn_fista_solve(fista, solving, all, NULL, t->volume, result, err);
	result->stop = trial.stop;
	result->held_out = trial.held_out;
	return rc;
}

static int solve_best(struct task *t, struct pn_error *err)
{
	struct job *job = t->job;
	struct pn_fista_params solving;
	struct pn_fista_result result = { 0 };
	struct pn_normal *all = NULL, *held_out = NULL;
	struct pn_fista *fista = NULL;
	int validated = (!t->fixed || t->least) && t->set->count >= HELD_OUT_FROM;

	pn_fista_defaults(&solving);
	solving.iterations_max = job->now->iterations_max;
	solving.support = job->support;
	solving.progress = tell;
	solving.context = job;
	int rc = sum_up(&all, t, 0, 1, err);

	if (!rc && validated)
		rc = sum_up(&held_out, t, held_out_every(job->flags) / 2,
			    held_out_every(job->flags), err);
	if (!rc)
		rc = pn_fista_create(&fista, &job->box, all->single_axis, err);
	if (!rc && validated && t->least)
		rc = solve_at_least(fista, t, &solving, all, held_out, &result, err);
	else if (!rc && validated)
		rc = pn_fista_validated(fista, &solving, all, held_out, t->volume, &result, err);
	else if (!rc)
		rc = pn_fista_solve(fista, &solving, all, NULL, t->volume, &result, err);
	take_result(job->now, &result, validated);
	pn_fista_destroy(fista);
	pn_normal_destroy(all);
	pn_normal_destroy(held_out);
	return rc;
}

/* R is that of the larger box: the cropped volume alone does not explain the images. */
static int solve_extended(struct task *t, struct pn_error *err)
{
	struct job *job = t->job;
	const struct pn_projections *p = t->set;
	size_t every = held_out_every(job->flags);
	int validated = !t->fixed && p->count >= HELD_OUT_FROM;
	uint8_t *held_out = calloc(p->count, 1);
	struct pn_extended_params film;
	struct pn_extended *extended = NULL;
	struct pn_fista_result result = { 0 };

	pn_extended_defaults(&film);
	film.solving.iterations_max = job->now->iterations_max;
	film.solving.support = job->support;
	film.solving.progress = tell;
	film.solving.context = job;
	int rc = held_out ? pn_extended_plan(&extended, &job->box, p, &film, err)
			  : pn_error_set(err, PN_ENOMEM, "no memory for %zu tilts", p->count);

	for (size_t k = every / 2; held_out && k < p->count; k += every)
		held_out[k] = 1;
	if (!rc)
		rc = validated ? pn_extended_validated(extended, held_out, t->volume, &result, err)
			       : pn_extended_solve(extended, NULL, t->volume, &result, err);
	if (!rc && t->r1) {
		pn_extended_rfactors(extended, t->r1, t->r2);
		job->solved = pn_extended_box(extended);
	}
	take_result(job->now, &result, validated);
	pn_extended_destroy(extended);
	free(held_out);
	return rc;
}

/* ---- the others ---------------------------------------------------------------------------- */

static int solve_resire(struct task *t, struct pn_error *err)
{
	const struct reconstruct_flags *flags = t->job->flags;
	struct pn_resire_options options;
	struct pn_rfactors history = { 0 };

	pn_resire_defaults(&options);
	options.oversampling =
		flags->oversample > 0 ? flags->oversample : method_oversampling[METHOD_RESIRE];
	if (flags->step > 0)
		options.step = flags->step;
	options.iterations = t->job->now->iterations_max;
	options.record_every = 1;
	options.support = t->job->support;
	options.progress = tell_r;
	options.context = t->job;
	int rc = pn_resire(t->volume, &t->job->box, t->set, &options, &history, err);

	t->job->now->iterations = history.iterations;
	t->job->now->curve_name = "R1";
	pn_rfactors_free(&history);
	return rc;
}

static int solve_genfire(struct task *t, struct pn_error *err)
{
	const struct reconstruct_flags *flags = t->job->flags;
	struct pn_genfire_options options;
	struct pn_genfire_history history = { 0 };

	pn_genfire_defaults(&options);
	options.oversampling =
		flags->oversample > 0 ? flags->oversample : method_oversampling[METHOD_GENFIRE];
	if (flags->radius_px > 0)
		options.radius_px = flags->radius_px;
	options.gridding = flags->gridding ? PN_GRIDDING_DFT : PN_GRIDDING_FFT;
	options.iterations = t->job->now->iterations_max;
	options.support = t->job->support;
	options.progress = tell_r;
	options.context = t->job;
	int rc = pn_genfire(t->volume, &t->job->box, t->set, &options, &history, err);

	t->job->now->iterations = history.iterations;
	t->job->now->curve_name = "R of |F|";
	pn_genfire_history_free(&history);
	return rc;
}

static void forward(void *context, const float *volume, float *images)
{
	pn_project(context, volume, images);
}

static void backward(void *context, const float *images, float *volume)
{
	pn_backproject(context, images, volume);
}

static int solve_sirt(struct task *t, struct pn_error *err)
{
	const struct pn_projections *p = t->set;
	struct pn_sirt_options options;
	struct pn_rfactors history = { 0 };
	struct pn_projector *projector;
	int rc = pn_projector_plan(&projector, &t->job->box, p->pose, p->count, p->ny, p->nx,
				   PN_FOOTPRINT_LINEAR, err);

	if (rc)
		return rc;
	struct pn_sirt_operator pair = { .forward = forward,
					 .backward = backward,
					 .context = projector };

	pn_sirt_defaults(&options);
	options.iterations = t->job->now->iterations_max;
	options.support = t->job->support;
	options.progress = tell_r;
	options.context = t->job;
	rc = pn_sirt(t->volume, &t->job->box, p, &pair, &options, &history, err);
	t->job->now->iterations = history.iterations;
	t->job->now->curve_name = "R1";
	pn_rfactors_free(&history);
	pn_projector_destroy(projector);
	return rc;
}

int method_solve(struct job *job, const struct pn_projections *set, int iterations, int least,
		 float *volume, double *r1, double *r2, struct pn_error *err)
{
	static int (*const methods[])(struct task *, struct pn_error *) = {
		[METHOD_BEST] = solve_best,
		[METHOD_RESIRE] = solve_resire,
		[METHOD_GENFIRE] = solve_genfire,
		[METHOD_SIRT] = solve_sirt,
	};
	int method = job->flags->method,
	    fixed = iterations ? iterations : (int)job->flags->iterations;
	struct task task = { .job = job,
			     .set = set,
			     .fixed = fixed != 0,
			     .least = least,
			     .volume = volume,
			     .r1 = r1,
			     .r2 = r2 };

	*job->now = (struct solution){ .iterations_max = fixed ? fixed : method_iterations[method],
				       .stopped = "iterations",
				       .held_out = NAN };
	if (least && !fixed && method == METHOD_BEST)
		job->now->iterations_max = ITERATIONS_OF_ROUND;
	job->start_ns = pn_now_ns();
	int rc = job->flags->extended ? solve_extended(&task, err) : methods[method](&task, err);

	pn_progress_clear(&job->progress);
	return rc;
}

/* ---- flags --------------------------------------------------------------------------------- */

static int not_for(const char *flag, const char *whose, int method, struct pn_error *err)
{
	return pn_error_set(err, PN_EARG, "%s is for the method %s, not for %s", flag, whose,
			    method_choices[method]);
}

int method_check(const struct reconstruct_flags *flags, struct pn_error *err)
{
	int m = flags->method;

	if (flags->extended && m != METHOD_BEST)
		return not_for("--extended", "best", m, err);
	if (flags->held_out && m != METHOD_BEST)
		return not_for("--held-out", "best", m, err);
	if (flags->oversample > 0 && m != METHOD_RESIRE && m != METHOD_GENFIRE)
		return not_for("--oversample", "resire or genfire", m, err);
	if (flags->step > 0 && m != METHOD_RESIRE)
		return not_for("--step", "resire", m, err);
	if (flags->gridding && m != METHOD_GENFIRE)
		return not_for("--gridding", "genfire", m, err);
	if (flags->radius_px > 0 && m != METHOD_GENFIRE)
		return not_for("--radius-px", "genfire", m, err);
	if (flags->held_out && flags->held_out < 3)
		return pn_error_set(err, PN_EARG, "held_out = %lld: must be 3..1000, or 0",
				    (long long)flags->held_out);
	if (flags->held_out && flags->iterations && !flags->refine[0])
		return pn_error_set(err, PN_EARG,
				    "--held-out is for a run that stops by itself, not with "
				    "--iterations %lld",
				    (long long)flags->iterations);
	return PN_OK;
}
