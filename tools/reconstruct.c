/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin reconstruct - a volume from a tilt series. */
#include "reconstruct/reconstruct.h"
#include "command.h"
#include "common/out.h"
#include "perrin/base/clock.h"
#include "perrin/tomo/projector.h"
#include "perrin/tomo/rfactor.h"
#include "perrin/tomo/slice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const gridding_choices[] = { "fft", "dft", NULL };
static const char *const background_choices[] = { "none", "laplace", NULL };

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
	{ .name = "held_out", .help = "best: every so many tilts (3 at least) one is left out of the trial; "
	  "0: 9", .type = PN_PARAM_I64, .off = OFF(held_out), .max = 1000 },
	{ .name = "step", .help = "resire: of the normalised step; 0: 2", .type = PN_PARAM_F64,
	  .off = OFF(step), .max = 4 },
	{ .name = "gridding", .help = "genfire: how coefficients come onto the grid",
	  .type = PN_PARAM_ENUM, .off = OFF(gridding), .choices = gridding_choices },
	{ .name = "radius_px", .unit = "px", .help = "genfire: of the gridding; 0: 0.7",
	  .type = PN_PARAM_F64, .off = OFF(radius_px), .max = 4 },
	{ .name = "refine", .unit = "angles,shifts", .help = "of each tilt, three angles, a shift or both, "
	  "against projections of the volume, in rounds", .type = PN_PARAM_TEXT, .off = OFF(refine) },
	{ .name = "refine_rounds", .help = "at most; fewer if the poses stay or the misfit no longer falls; "
	  "0: 12", .type = PN_PARAM_I64, .off = OFF(refine_rounds), .max = 1000 },
	{ .name = "refine_max_deg", .unit = "deg", .help = "a tilt turns no further in one round",
	  .type = PN_PARAM_F64, .off = OFF(refine_max_deg), .def = 2, .min = 0.01, .max = 180 },
	{ .name = "refine_max_px", .unit = "px", .help = "a tilt moves no further in one round",
	  .type = PN_PARAM_F64, .off = OFF(refine_max_px), .def = 6, .min = 0.01, .max = 1e4 },
	{ .name = "refine_search_deg", .unit = "deg", .help = "each round tries all turns up to this first, "
	  "for angles off by more than 1 deg; 0: none", .type = PN_PARAM_F64,
	  .off = OFF(refine_search_deg), .max = 30 },
	{ .name = "refine_blur_px", .unit = "px", .help = "of all images at first, halved in stages, at last none; "
	  "0: none from the beginning",
	  .type = PN_PARAM_F64, .off = OFF(refine_blur_px), .def = 3, .max = 64 },
	{ .name = "background", .help = "laplace: taken off again in each round, within a mask about the "
	  "volume's projection", .type = PN_PARAM_ENUM, .off = OFF(background),
	  .choices = background_choices },
	{ .name = "margin_px", .unit = "px", .help = "of that mask around the particle",
	  .type = PN_PARAM_F64, .off = OFF(margin_px), .def = 10, .max = 1000 },
	{ .name = "angles_out", .unit = "FILE", .help = "the refined poses, as --angles reads them; shifts in "
	  "comments", .type = PN_PARAM_TEXT, .off = OFF(angles_out) },
	{ .name = "tilts_out", .unit = "FILE", .help = "the images moved back by the refined shifts, to go "
	  "with --angles-out", .type = PN_PARAM_TEXT, .off = OFF(tilts_out) },
	{ .name = "half_sets", .help = "reconstruct every other tilt apart, and compare: FSC",
	  .type = PN_PARAM_BOOL, .off = OFF(half_sets) },
	{ .name = "coverage", .unit = "FILE", .help = "map of the directions that tilts cover: .png or .npy",
	  .type = PN_PARAM_TEXT, .off = OFF(coverage) },
	{ .name = "sheet", .unit = "FILE", .help = "the picture of slices and R; default: the volume's "
	  "name with .png", .type = PN_PARAM_TEXT, .off = OFF(sheet) },
	{ .name = "no_sheet", .help = "no picture", .type = PN_PARAM_BOOL, .off = OFF(no_sheet) },
	{ .name = "force", .help = "replace files that are there", .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json", .help = "print the report as JSON", .type = PN_PARAM_BOOL, .off = OFF(json) },
	{ 0 },
};
/* clang-format on */

/* ---- R of the finished volume -------------------------------------------------------------- */

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

/* Projections of the volume, [count][ny][nx]. */
static int project_all(const struct job *job, float *images, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	struct pn_projector *projector = NULL;
	struct pn_slicer *slicer = NULL;
	int rc;

	if (job->tilts.single_axis) {
		rc = pn_projector_plan(&projector, &job->box, p->pose, p->count, p->ny, p->nx,
				       PN_FOOTPRINT_SINC, err);
		if (!rc)
			pn_project(projector, job->volume, images);
		pn_projector_destroy(projector);
		return rc;
	}
	rc = pn_slicer_plan(&slicer, &job->box, p->ny, p->nx, 0, err);
	if (!rc) {
		pn_slicer_prepare(slicer, job->volume);
		pn_slicer_project(slicer, p->pose, p->count, images);
	}
	pn_slicer_destroy(slicer);
	return rc;
}

/* R of every tilt, by projections of the finished volume. */
static int judge(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t pixels = p->ny * p->nx;
	float *images = malloc(p->count * pixels * sizeof *images);
	int rc = images ? project_all(job, images, err)
			: pn_error_set(err, PN_ENOMEM, "no memory to project %zu tilts", p->count);

	for (size_t k = 0; !rc && k < p->count; k++)
		pn_rfactor(&job->r1[k], &job->r2[k], images + k * pixels, p->image + k * pixels,
			   pixels);
	free(images);
	return rc;
}

/* ---- files --------------------------------------------------------------------------------- */

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

/* A map is a picture or a stack. */
static int check_map(const struct reconstruct_flags *flags, struct pn_error *err)
{
	const char *dot = strrchr(flags->coverage, '.');

	if (!flags->coverage[0])
		return PN_OK;
	if (!dot || (strcasecmp(dot, ".png") != 0 && strcasecmp(dot, ".npy") != 0))
		return pn_error_set(err, PN_EARG,
				    "%s: a map of the coverage is written as .png or .npy",
				    flags->coverage);
	return pn_out_check(flags->coverage, flags->force, err);
}

/* All names of results, none of them twice and none that is there. */
static int check_names(const struct reconstruct_flags *flags, struct pn_error *err)
{
	char sheet[PATH_BYTES] = "", fsc[PATH_BYTES] = "";

	if (!flags->no_sheet)
		result_path(sheet, flags, "");
	if (!flags->no_sheet && flags->half_sets)
		result_path(fsc, flags, "-fsc");
	const char *name[] = { flags->out,        sheet,           fsc, flags->coverage,
			       flags->angles_out, flags->tilts_out };
	int rc = pn_out_check_stack(flags->out, flags->force, err);

	for (size_t i = 0; !rc && i < PN_COUNT(name); i++)
		for (size_t j = 0; !rc && j < i; j++)
			if (name[i][0] && strcmp(name[i], name[j]) == 0)
				rc = pn_error_set(err, PN_EARG, "%s: %s", name[i],
						  i == 1 ? "the volume and its picture"
							 : "the name of two results");
	for (size_t i = 1; !rc && i < PN_COUNT(name); i++)
		if (name[i][0] && name[i] != flags->tilts_out && name[i] != flags->coverage)
			rc = pn_out_check(name[i], flags->force, err);
	if (!rc && flags->tilts_out[0])
		rc = pn_out_check_stack(flags->tilts_out, flags->force, err);
	return rc ? rc : check_map(flags, err);
}

/* ---- the command --------------------------------------------------------------------------- */

static int prepare(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;

	job->box = (struct pn_box){ job->flags->depth ? (size_t)job->flags->depth : p->nx, p->ny,
				    p->nx };
	job->solved = job->box;
	job->volume = calloc(pn_box_voxels(&job->box), sizeof *job->volume);
	if (!job->volume)
		return pn_error_set(err, PN_ENOMEM,
				    "a volume of %zu x %zu x %zu voxels needs %zu bytes",
				    job->box.nz, job->box.ny, job->box.nx,
				    pn_box_voxels(&job->box) * sizeof *job->volume);
	int rc = make_room(job, err);

	return rc ? rc : load_support(job, err);
}

static int solve(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	int extended = job->flags->extended;
	int rc = method_solve(job, p, 0, 0, job->volume, extended ? job->r1 : NULL,
			      extended ? job->r2 : NULL, err);

	job->seconds = (double)(pn_now_ns() - job->start_ns) / 1e9;
	if (!rc && !extended)
		rc = judge(job, err);
	if (!rc) {
		job->r1_mean = mean_r(job->r1, p->count);
		job->r2_mean = mean_r(job->r2, p->count);
	}
	return rc;
}

static int compute(struct job *job, struct pn_error *err)
{
	int rc = pn_tilts_load(&job->tilts, &job->flags->tilts, err);

	if (!rc)
		rc = prepare(job, err);
	if (!rc && job->refined)
		rc = refine_poses(job, err);
	if (!rc)
		rc = solve(job, err);
	if (!rc)
		rc = pn_volume_write(job->flags->out, job->volume, &job->box, job->tilts.pixel_A,
				     err);
	if (!rc && job->refined)
		rc = refine_write(job, err);
	if (!rc)
		rc = wedge_measure(job, err);
	if (!rc && job->flags->half_sets)
		rc = half_sets_compare(job, err);
	return rc;
}

static int run(void *options, char **extra, int extra_count, struct pn_error *err)
{
	const struct reconstruct_flags *flags = options;
	struct solution *solution = calloc(1, sizeof *solution);
	struct job job = { .flags = flags, .solution = solution, .now = solution, .doing = "" };

	(void)extra;
	(void)extra_count;
	int rc = solution ? method_check(flags, err) : pn_error_set(err, PN_ENOMEM, "no memory");

	if (!rc)
		rc = refine_check(&job.refined, flags, err);
	if (!rc)
		rc = check_names(flags, err);
	if (!rc)
		rc = compute(&job, err);
	if (!rc && !flags->no_sheet)
		rc = result_draw(&job, err);
	if (!rc && flags->json)
		result_json(&job);
	else if (!rc)
		result_text(&job);
	pn_tilts_free(&job.tilts);
	half_sets_free(&job.halves);
	free(job.volume);
	free(job.support);
	free(job.r1);
	free(job.r2);
	free(job.round);
	free(job.given);
	free(job.last);
	free(solution);
	return rc;
}

static void more_help(FILE *out)
{
	fprintf(out, "\n--refine: the angles of an experiment are off by some +-0.3 deg. A round "
		     "makes the "
		     "volume, turns and moves\neach image to where it fits projections of it best, "
		     "and takes "
		     "out what is common to all. Tilts left out of a\ntrial tell which round was "
		     "the best "
		     "(12 tilts at least; below, and for the other methods, R tells, which "
		     "falls\neven when "
		     "all goes wrong). With three angles for each tilt the planes across the axis "
		     "can no "
		     "longer be solved\napart: an iteration takes some 5 times as long.\n"
		     "\n--half-sets: each half has every other tilt, twice as far apart as in the "
		     "series: its "
		     "Crowther limit is half\nthat of the whole, so the resolution told is that of "
		     "half the "
		     "data, too low for the volume of all tilts. Both\nhalves lack the same wedge, "
		     "where they "
		     "agree in being empty; and refined poses have seen both.\n");
}

const struct pn_command pn_command_reconstruct = {
	.name = "reconstruct",
	.brief = "a volume from a tilt series: best, RESIRE, GENFIRE, SIRT",
	.usage = "TILTS --angles FILE --out VOLUME [--method best|resire|genfire|sirt] "
		 "[--refine angles,shifts] [flags]",
	.params = params,
	.options_size = sizeof(struct reconstruct_flags),
	.more_help = more_help,
	.run = run,
};
