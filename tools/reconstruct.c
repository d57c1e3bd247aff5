/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin reconstruct - a volume from a tilt series. */
#include "command.h"
#include "common/out.h"
#include "common/progress.h"
#include "common/text.h"
#include "common/tilts.h"
#include "common/volume_sheet.h"
#include "perrin/base/clock.h"
#include "perrin/base/json.h"
#include "perrin/tomo/extended.h"
#include "perrin/tomo/fista.h"
#include "perrin/tomo/genfire.h"
#include "perrin/tomo/projector.h"
#include "perrin/tomo/resire.h"
#include "perrin/tomo/sirt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CURVE_MAX     8192 /* iterations whose R is kept for the picture */
#define HELD_OUT_FROM 12   /* tilts below which none can be spared       */

enum method { METHOD_BEST, METHOD_RESIRE, METHOD_GENFIRE, METHOD_SIRT };
static const char *const method_choices[] = { "best", "resire", "genfire", "sirt", NULL };
static const char *const gridding_choices[] = { "fft", "dft", NULL };
static const int method_iterations[] = { 200, 300, 100, 100 };
static const double method_oversampling[] = { 0, 3, 3, 0 };

struct reconstruct_flags {
	struct pn_tilts_flags tilts;
	char out[PN_PARAM_TEXT_MAX], sheet[PN_PARAM_TEXT_MAX], support[PN_PARAM_TEXT_MAX];
	int method, gridding, force, json, no_sheet, extended;
	int64_t iterations, depth, held_out;
	double oversample, step, radius_px;
};

#define OFF(field) offsetof(struct reconstruct_flags, field)
/* clang-format off */
static const struct pn_param params[] = {
	{ .name = "tilts", .group = pn_tilts_params, .off = OFF(tilts) },
	{ .name = "out", .unit = "FILE", .help = "the volume: .mrc, .npy or .tif",
	  .type = PN_PARAM_TEXT, .off = OFF(out), .required = 1 },
	{ .name = "method", .help = "best: non-negative least squares that stops by held-out tilts; the "
	  "others as published", .type = PN_PARAM_ENUM, .off = OFF(method), .choices = method_choices },
	{ .name = "iterations", .help = "0: best stops by itself, at 200 at most; resire 300, genfire and "
	  "sirt 100", .type = PN_PARAM_I64, .off = OFF(iterations), .max = 100000 },
	{ .name = "oversample", .help = "grid of resire and genfire over the volume; 0: 3",
	  .type = PN_PARAM_F64, .off = OFF(oversample), .max = 16 },
	{ .name = "depth", .unit = "px", .help = "voxels along the beam; 0: as many as the images are wide "
	  "across the axis", .type = PN_PARAM_I64, .off = OFF(depth), .max = 4096 },
	{ .name = "extended", .help = "best: a film that goes on beyond the images; its thickness is the "
	  "depth", .type = PN_PARAM_BOOL, .off = OFF(extended) },
	{ .name = "support", .unit = "FILE", .help = "volume of 0 where nothing can be",
	  .type = PN_PARAM_TEXT, .off = OFF(support) },
	{ .name = "held_out", .help = "best: every so many tilts one is left out of the trial",
	  .type = PN_PARAM_I64, .off = OFF(held_out), .def = 9, .min = 3, .max = 1000 },
	{ .name = "step", .help = "resire: of the normalised step; 0: 2", .type = PN_PARAM_F64,
	  .off = OFF(step), .max = 4 },
	{ .name = "gridding", .help = "genfire: how coefficients come onto the grid",
	  .type = PN_PARAM_ENUM, .off = OFF(gridding), .choices = gridding_choices },
	{ .name = "radius_px", .unit = "px", .help = "genfire: of the gridding; 0: 0.7",
	  .type = PN_PARAM_F64, .off = OFF(radius_px), .max = 4 },
	{ .name = "sheet", .unit = "FILE", .help = "the picture of slices and R; default: the volume's "
	  "name with .png", .type = PN_PARAM_TEXT, .off = OFF(sheet) },
	{ .name = "no_sheet", .help = "no picture", .type = PN_PARAM_BOOL, .off = OFF(no_sheet) },
	{ .name = "force", .help = "replace files that are there", .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json", .help = "print the report as JSON", .type = PN_PARAM_BOOL, .off = OFF(json) },
	{ 0 },
};
/* clang-format on */

/* Everything of one run. */
struct job {
	const struct reconstruct_flags *flags;
	struct pn_tilts tilts;
	struct pn_box box, solved; /* solved: larger if the specimen is extended */
	float *volume;
	uint8_t *support;
	int iterations_max, iterations;
	const char *stopped;
	double held_out, seconds;
	double *r1, *r2; /* [count] of the finished volume */
	double r1_mean, r2_mean;
	/* what the method says of itself after its iterations: R1, or |A u - p| / |p| of best */
	const char *curve_name;
	double curve_at[CURVE_MAX], curve[CURVE_MAX], free_at[CURVE_MAX], free_curve[CURVE_MAX];
	size_t points, free_points;
	struct pn_progress progress;
	int64_t start_ns;
};

/* ---- telling how it goes ------------------------------------------------------------------- */

static int tell(void *context, int iteration, double r, double held_out)
{
	struct job *job = context;
	double passed_s = (double)(pn_now_ns() - job->start_ns) / 1e9;
	char line[256], left[PN_TEXT_SHORT];

	if (iteration == 1)
		job->points = 0; /* the trial is over: its R goes, what it held out stays */
	if (job->points < CURVE_MAX) {
		job->curve_at[job->points] = iteration;
		job->curve[job->points++] = r;
	}
	if (!isnan(held_out) && job->free_points < CURVE_MAX) {
		job->free_at[job->free_points] = iteration;
		job->free_curve[job->free_points++] = held_out;
	}
	if (!pn_progress_due(&job->progress))
		return 0;
	int used = snprintf(line, sizeof line, "iteration %d/%d  R %.5f", iteration,
			    job->iterations_max, r);

	if (!isnan(held_out))
		used += snprintf(line + used, sizeof line - (size_t)used, "  held out %.5f",
				 held_out);
	snprintf(line + used, sizeof line - (size_t)used, "  %s left at most",
		 pn_text_duration(left, (int64_t)(passed_s * (job->iterations_max - iteration) /
						  iteration * 1e9)));
	pn_progress_line(&job->progress, line);
	return 0;
}

static int tell_r(void *context, int iteration, double r)
{
	return tell(context, iteration, r, NAN);
}

/* ---- the methods --------------------------------------------------------------------------- */

/* The normal equations of all tilts, or of every so many of them. */
static int sum_up(struct pn_normal **sums, const struct job *job, size_t first, size_t every,
		  struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	int rc = pn_normal_create(sums, &job->box, job->tilts.single_axis, job->tilts.largest_pixel,
				  err);

	for (size_t k = first; !rc && k + (first ? 1 : 0) < p->count; k += every) {
		rc = pn_normal_add(*sums, &p->pose[k], p->image + k * p->ny * p->nx, p->ny, p->nx,
				   err);
		if (rc)
			pn_error_wrap(err, "tilt %zu", k + 1);
	}
	return rc;
}

static const char *const best_stops[] = { "iterations", "held-out tilts", "no change", "asked" };

static int solve_best(struct job *job, struct pn_error *err)
{
	struct pn_fista_params solving;
	struct pn_fista_result result = { 0 };
	struct pn_normal *all = NULL, *held_out = NULL;
	struct pn_fista *fista = NULL;
	int validated = !job->flags->iterations && job->tilts.projections.count >= HELD_OUT_FROM;

	pn_fista_defaults(&solving);
	solving.iterations_max = job->iterations_max;
	solving.support = job->support;
	solving.progress = tell;
	solving.context = job;
	int rc = sum_up(&all, job, 0, 1, err);

	if (!rc && validated)
		rc = sum_up(&held_out, job, (size_t)job->flags->held_out / 2,
			    (size_t)job->flags->held_out, err);
	if (!rc)
		rc = pn_fista_create(&fista, &job->box, job->tilts.single_axis, err);
	if (!rc)
		rc = validated ? pn_fista_validated(fista, &solving, all, held_out, job->volume,
						    &result, err)
			       : pn_fista_solve(fista, &solving, all, NULL, job->volume, &result,
						err);
	job->iterations = result.iterations;
	job->stopped = best_stops[result.stop];
	job->held_out = validated ? result.held_out : NAN;
	job->curve_name = "|Au-p|/|p|";
	pn_fista_destroy(fista);
	pn_normal_destroy(all);
	pn_normal_destroy(held_out);
	return rc;
}

static int make_room(struct job *job, struct pn_error *err)
{
	size_t count = job->tilts.projections.count;

	job->r1 = malloc(count * sizeof *job->r1);
	job->r2 = malloc(count * sizeof *job->r2);
	if (!job->r1 || !job->r2)
		return pn_error_set(err, PN_ENOMEM, "no memory for R of %zu tilts", count);
	return PN_OK;
}

/* Of the tilts that have one. */
static double mean_r(const double *r, size_t count)
{
	double sum = 0.0;
	size_t with = 0;

	for (size_t k = 0; k < count; k++)
		if (!isnan(r[k])) {
			sum += r[k];
			with++;
		}
	return with ? sum / (double)with : NAN;
}

/* R is that of the larger box: the cropped volume alone does not explain the images. */
static int solve_extended(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t every = (size_t)job->flags->held_out;
	int validated = !job->flags->iterations && p->count >= HELD_OUT_FROM;
	uint8_t *held_out = calloc(p->count, 1);
	struct pn_extended_params film;
	struct pn_extended *extended = NULL;
	struct pn_fista_result result = { 0 };

	pn_extended_defaults(&film);
	film.solving.iterations_max = job->iterations_max;
	film.solving.support = job->support;
	film.solving.progress = tell;
	film.solving.context = job;
	int rc = held_out ? make_room(job, err)
			  : pn_error_set(err, PN_ENOMEM, "no memory for %zu tilts", p->count);

	if (!rc)
		rc = pn_extended_plan(&extended, &job->box, p, &film, err);
	for (size_t k = every / 2; held_out && k < p->count; k += every)
		held_out[k] = 1;
	if (!rc)
		rc = validated
			     ? pn_extended_validated(extended, held_out, job->volume, &result, err)
			     : pn_extended_solve(extended, NULL, job->volume, &result, err);
	if (!rc) {
		pn_extended_rfactors(extended, job->r1, job->r2);
		job->solved = pn_extended_box(extended);
	}
	job->iterations = result.iterations;
	job->stopped = best_stops[result.stop];
	job->held_out = validated ? result.held_out : NAN;
	job->curve_name = "|Au-p|/|p|";
	pn_extended_destroy(extended);
	free(held_out);
	return rc;
}

static int solve_resire(struct job *job, struct pn_error *err)
{
	struct pn_resire_options options;
	struct pn_rfactors history = { 0 };

	pn_resire_defaults(&options);
	options.oversampling = job->flags->oversample > 0 ? job->flags->oversample
							  : method_oversampling[METHOD_RESIRE];
	if (job->flags->step > 0)
		options.step = job->flags->step;
	options.iterations = job->iterations_max;
	options.record_every = 1;
	options.support = job->support;
	options.progress = tell_r;
	options.context = job;
	int rc =
		pn_resire(job->volume, &job->box, &job->tilts.projections, &options, &history, err);

	job->iterations = history.iterations;
	job->curve_name = "R1";
	pn_rfactors_free(&history);
	return rc;
}

static int solve_genfire(struct job *job, struct pn_error *err)
{
	struct pn_genfire_options options;
	struct pn_genfire_history history = { 0 };

	pn_genfire_defaults(&options);
	options.oversampling = job->flags->oversample > 0 ? job->flags->oversample
							  : method_oversampling[METHOD_GENFIRE];
	if (job->flags->radius_px > 0)
		options.radius_px = job->flags->radius_px;
	options.gridding = job->flags->gridding ? PN_GRIDDING_DFT : PN_GRIDDING_FFT;
	options.iterations = job->iterations_max;
	options.support = job->support;
	options.progress = tell_r;
	options.context = job;
	int rc = pn_genfire(job->volume, &job->box, &job->tilts.projections, &options, &history,
			    err);

	job->iterations = history.iterations;
	job->curve_name = "R of |F|";
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

static int plan_projector(struct pn_projector **projector, const struct job *job,
			  enum pn_footprint footprint, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;

	return pn_projector_plan(projector, &job->box, p->pose, p->count, p->ny, p->nx, footprint,
				 err);
}

static int solve_sirt(struct job *job, struct pn_error *err)
{
	struct pn_sirt_options options;
	struct pn_rfactors history = { 0 };
	struct pn_projector *projector;
	int rc = plan_projector(&projector, job, PN_FOOTPRINT_LINEAR, err);

	if (rc)
		return rc;
	struct pn_sirt_operator pair = { .forward = forward,
					 .backward = backward,
					 .context = projector };

	pn_sirt_defaults(&options);
	options.iterations = job->iterations_max;
	options.support = job->support;
	options.progress = tell_r;
	options.context = job;
	rc = pn_sirt(job->volume, &job->box, &job->tilts.projections, &pair, &options, &history,
		     err);
	job->iterations = history.iterations;
	job->curve_name = "R1";
	pn_rfactors_free(&history);
	pn_projector_destroy(projector);
	return rc;
}

/* R of every tilt, by projections of the finished volume. */
static int judge(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	enum pn_footprint footprint =
		job->tilts.single_axis ? PN_FOOTPRINT_SINC : PN_FOOTPRINT_LINEAR;
	size_t pixels = p->ny * p->nx;
	struct pn_projector *projector;
	int rc = make_room(job, err);

	if (!rc)
		rc = plan_projector(&projector, job, footprint, err);
	if (rc)
		return rc;
	float *images = malloc(p->count * pixels * sizeof *images);

	if (!images) {
		rc = pn_error_set(err, PN_ENOMEM, "no memory to project %zu tilts", p->count);
	} else {
		pn_project(projector, job->volume, images);
		for (size_t k = 0; k < p->count; k++)
			pn_rfactor(&job->r1[k], &job->r2[k], images + k * pixels,
				   p->image + k * pixels, pixels);
	}
	free(images);
	pn_projector_destroy(projector);
	return rc;
}

/* ---- files --------------------------------------------------------------------------------- */

static int check_flags(const struct reconstruct_flags *flags, struct pn_error *err)
{
	if (flags->extended && flags->method != METHOD_BEST)
		return pn_error_set(err, PN_EARG, "--extended is for the method best, not for %s",
				    method_choices[flags->method]);
	return PN_OK;
}

static void sheet_path(char path[PN_PARAM_TEXT_MAX + 8], const struct reconstruct_flags *flags)
{
	const char *slash = strrchr(flags->out, '/'), *dot = strrchr(flags->out, '.');
	int stem = (int)strlen(flags->out);

	if (flags->sheet[0]) {
		snprintf(path, PN_PARAM_TEXT_MAX + 8, "%s", flags->sheet);
		return;
	}
	if (dot && (!slash || dot > slash))
		stem = (int)(dot - flags->out);
	snprintf(path, PN_PARAM_TEXT_MAX + 8, "%.*s.png", stem, flags->out);
}

static int load_support(struct job *job, struct pn_error *err)
{
	struct pn_box box;
	double pixel_A;
	float *mask;

	if (!job->flags->support[0])
		return PN_OK;
	int rc = pn_volume_read(&mask, &box, &pixel_A, job->flags->support, err);

	if (rc)
		return rc;
	if (memcmp(&box, &job->box, sizeof box))
		rc = pn_error_set(err, PN_EARG,
				  "%s: %zu x %zu x %zu voxels, the volume has %zu x %zu x %zu",
				  job->flags->support, box.nz, box.ny, box.nx, job->box.nz,
				  job->box.ny, job->box.nx);
	job->support = rc ? NULL : malloc(pn_box_voxels(&box));
	if (!rc && !job->support)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for the support");
	for (size_t i = 0; !rc && i < pn_box_voxels(&box); i++)
		job->support[i] = mask[i] != 0.0f;
	free(mask);
	return rc;
}

static int draw(const struct job *job, struct pn_error *err)
{
	char path[PN_PARAM_TEXT_MAX + 8], title[256];
	sheet_path(path, job->flags);
	snprintf(title, sizeof title, "%s   %zu tilts   %d iterations   R1 %.4f",
		 method_choices[job->flags->method], job->tilts.projections.count, job->iterations,
		 job->r1_mean);
	const struct pn_volume_sheet sheet = {
		.volume = job->volume,
		.box = job->box,
		.pixel_A = job->tilts.pixel_A,
		.title = { title },
		.curve = { { .name = job->curve_name,
			     .count = job->points,
			     .x = job->curve_at,
			     .y = job->curve },
			   { .name = "held out",
			     .count = job->free_points,
			     .x = job->free_at,
			     .y = job->free_curve } },
		.curves = job->free_points ? 2 : 1,
		.x_name = "iteration",
		.y_name = "R",
	};

	return pn_volume_sheet(path, &sheet, NULL, err);
}

/* ---- the report ---------------------------------------------------------------------------- */

static void print_json(const struct job *job)
{
	const struct pn_projections *p = &job->tilts.projections;
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "tilts", job->flags->tilts.tilts);
	pn_json_text(&json, "method", method_choices[job->flags->method]);
	pn_json_u64(&json, "count", p->count);
	pn_json_array(&json, "box");
	pn_json_u64(&json, NULL, job->box.nz);
	pn_json_u64(&json, NULL, job->box.ny);
	pn_json_u64(&json, NULL, job->box.nx);
	pn_json_end(&json);
	pn_json_array(&json, "solved_box");
	pn_json_u64(&json, NULL, job->solved.nz);
	pn_json_u64(&json, NULL, job->solved.ny);
	pn_json_u64(&json, NULL, job->solved.nx);
	pn_json_end(&json);
	pn_json_f64(&json, "pixel_A", job->tilts.pixel_A > 0 ? job->tilts.pixel_A : (double)NAN);
	pn_json_bool(&json, "single_axis", job->tilts.single_axis);
	pn_json_i64(&json, "iterations", job->iterations);
	pn_json_text(&json, "stopped", job->stopped);
	pn_json_f64(&json, "held_out", job->held_out);
	pn_json_f64(&json, "r1", job->r1_mean);
	pn_json_f64(&json, "r2", job->r2_mean);
	pn_json_f64(&json, "seconds", job->seconds);
	pn_json_array(&json, "per_tilt");
	for (size_t k = 0; k < p->count; k++) {
		pn_json_object(&json, NULL);
		pn_json_f64(&json, "theta_deg", job->tilts.angle_deg[k][1]);
		pn_json_f64(&json, "r1", job->r1[k]);
		pn_json_f64(&json, "r2", job->r2[k]);
		pn_json_end(&json);
	}
	pn_json_end(&json);
	pn_json_text(&json, "out", job->flags->out);
	pn_json_end(&json);
}

static void print_text(const struct job *job)
{
	const struct pn_projections *p = &job->tilts.projections;
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
	printf("%s: %d iterations (%s), %s\n", method_choices[job->flags->method], job->iterations,
	       job->stopped, pn_text_duration(took, (int64_t)(job->seconds * 1e9)));
	if (!isnan(job->held_out))
		printf("held-out tilts are met to %.2f %% of their norm\n", 100 * job->held_out);
	printf("R1 %.2f %%, worst %.2f %% at %g deg;  R2 %.2f %%\n", 100 * job->r1_mean,
	       100 * job->r1[worst], job->tilts.angle_deg[worst][1], 100 * job->r2_mean);
	printf("%s\n", job->flags->out);
}

/* ---- the command --------------------------------------------------------------------------- */

static int solve(struct job *job, struct pn_error *err)
{
	static int (*const methods[])(struct job *, struct pn_error *) = {
		[METHOD_BEST] = solve_best,
		[METHOD_RESIRE] = solve_resire,
		[METHOD_GENFIRE] = solve_genfire,
		[METHOD_SIRT] = solve_sirt,
	};
	const struct pn_projections *p = &job->tilts.projections;
	int64_t given = job->flags->iterations;

	job->box = (struct pn_box){ job->flags->depth ? (size_t)job->flags->depth : p->nx, p->ny,
				    p->nx };
	job->volume = calloc(pn_box_voxels(&job->box), sizeof *job->volume);
	if (!job->volume)
		return pn_error_set(err, PN_ENOMEM,
				    "a volume of %zu x %zu x %zu voxels needs %zu bytes",
				    job->box.nz, job->box.ny, job->box.nx,
				    pn_box_voxels(&job->box) * sizeof *job->volume);
	job->iterations_max = given ? (int)given : method_iterations[job->flags->method];
	job->stopped = "iterations";
	job->held_out = NAN;
	job->start_ns = pn_now_ns();
	job->solved = job->box;
	int rc = load_support(job, err);

	if (!rc)
		rc = job->flags->extended ? solve_extended(job, err)
					  : methods[job->flags->method](job, err);
	job->seconds = (double)(pn_now_ns() - job->start_ns) / 1e9;
	pn_progress_clear(&job->progress);
	if (!rc && !job->r1)
		rc = judge(job, err);
	if (!rc) {
		job->r1_mean = mean_r(job->r1, p->count);
		job->r2_mean = mean_r(job->r2, p->count);
	}
	return rc;
}

static int run(void *options, char **extra, int extra_count, struct pn_error *err)
{
	const struct reconstruct_flags *flags = options;
	struct job *job = calloc(1, sizeof *job);
	char picture[PN_PARAM_TEXT_MAX + 8];

	(void)extra;
	(void)extra_count;
	if (!job)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	job->flags = flags;
	sheet_path(picture, flags);
	int rc = check_flags(flags, err);

	if (!rc)
		rc = pn_out_check_stack(flags->out, flags->force, err);

	if (!rc && !flags->no_sheet)
		rc = strcmp(picture, flags->out)
			     ? pn_out_check(picture, flags->force, err)
			     : pn_error_set(err, PN_EARG, "%s: the volume and its picture",
					    picture);
	if (!rc)
		rc = pn_tilts_load(&job->tilts, &flags->tilts, err);
	if (!rc)
		rc = solve(job, err);
	if (!rc)
		rc = pn_volume_write(flags->out, job->volume, &job->box, job->tilts.pixel_A, err);
	if (!rc && !flags->no_sheet)
		rc = draw(job, err);
	if (!rc && flags->json)
		print_json(job);
	else if (!rc)
		print_text(job);
	pn_tilts_free(&job->tilts);
	free(job->volume);
	free(job->support);
	free(job->r1);
	free(job->r2);
	free(job);
	return rc;
}

const struct pn_command pn_command_reconstruct = {
	.name = "reconstruct",
	.brief = "a volume from a tilt series: best, RESIRE, GENFIRE, SIRT",
	.usage = "TILTS --angles FILE --out VOLUME [--method best|resire|genfire|sirt] [flags]",
	.params = params,
	.options_size = sizeof(struct reconstruct_flags),
	.run = run,
};
