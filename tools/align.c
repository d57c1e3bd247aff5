/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin align - a tilt series brought to its tilt axis. */
#include "perrin/tomo/align.h"
#include "command.h"
#include "common/out.h"
#include "common/tilts.h"
#include "perrin/base/json.h"
#include "perrin/format/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct align_flags {
	struct pn_tilts_flags tilts;
	struct pn_tilt_align_params aligning;
	char out[PN_PARAM_TEXT_MAX], shifts[PN_PARAM_TEXT_MAX];
	int force, json;
};

#define OFF(field) offsetof(struct align_flags, field)
static const struct pn_param params[] = {
	{ .name = "tilts", .group = pn_tilts_params, .off = OFF(tilts) },
	{ .name = "out",
	  .unit = "FILE",
	  .help = "the aligned stack: .mrc, .npy or .tif",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(out),
	  .required = 1 },
	{ .name = "aligning", .group = pn_tilt_align_param_table, .off = OFF(aligning) },
	{ .name = "shifts",
	  .unit = "FILE",
	  .help = "CSV of what was found of every tilt",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(shifts) },
	{ .name = "force",
	  .help = "replace files that are there",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json",
	  .help = "print the report as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

static void more_help(FILE *out)
{
	fputs("Along the axis every tilt has the same profile (common line); across it the center "
	      "of mass\nmoves on a sinusoid. The images are turned by axis_deg and moved by minus "
	      "their shift, so that\nthe axis goes through the middle pixel. --shifts has, of the "
	      "images as stored: shift_x_px and\nshift_y_px, the center of mass, how far that is "
	      "from the sinusoid of the series, the correlation\nof the profile with the others' "
	      "(a tilt well below the rest is to be looked at), the mass, and\naxis_deg from the "
	      "tilt axis named.\n",
	      out);
}

struct job {
	const struct align_flags *flags;
	struct pn_tilts tilts;
	double *theta_deg; /* [count] */
	struct pn_tilt_shift *tilt;
	struct pn_tilt_alignment alignment;
};

/* ---- aligning ------------------------------------------------------------------------------ */

static int find_shifts(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;

	if (!job->tilts.single_axis)
		return pn_error_set(err, PN_EARG,
				    "%s: angles phi or psi; one tilt axis, along %c, is aligned",
				    job->flags->tilts.angles,
				    job->flags->tilts.axis == PN_TILT_AXIS_X ? 'x' : 'y');
	job->theta_deg = malloc(p->count * sizeof *job->theta_deg);
	job->tilt = malloc(p->count * sizeof *job->tilt);
	if (!job->theta_deg || !job->tilt)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu tilts", p->count);
	for (size_t k = 0; k < p->count; k++)
		job->theta_deg[k] = job->tilts.angle_deg[k][1];
	const struct pn_tilt_series series = { .count = p->count,
					       .ny = p->ny,
					       .nx = p->nx,
					       .image = p->image,
					       .angle_deg = job->theta_deg };
	int rc = pn_tilt_align(&job->alignment, job->tilt, &series, &job->flags->aligning, err);

	return rc ? pn_error_wrap(err, "%s", job->flags->tilts.tilts) : PN_OK;
}

static int move_images(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;

	for (size_t k = 0; k < p->count; k++) {
		float *image = job->tilts.image + k * p->ny * p->nx;

		if (pn_tilt_resample(image, image, p->ny, p->nx, job->alignment.axis_deg,
				     job->tilt[k].shift_px, err))
			return pn_error_wrap(err, "%s: tilt %zu", job->flags->tilts.tilts, k);
	}
	return PN_OK;
}

/* ---- files --------------------------------------------------------------------------------- */

static int write_rows(const struct job *job, struct pn_csv *csv, struct pn_error *err)
{
	const int x = job->flags->tilts.axis == PN_TILT_AXIS_X, y = !x; /* of the stored images */
	int rc = PN_OK;

	for (size_t k = 0; !rc && k < job->tilts.projections.count; k++) {
		const struct pn_tilt_shift *t = &job->tilt[k];

		pn_csv_u64(csv, k);
		pn_csv_f64(csv, job->theta_deg[k]);
		pn_csv_f64(csv, t->shift_px[x]);
		pn_csv_f64(csv, t->shift_px[y]);
		pn_csv_f64(csv, job->alignment.axis_deg);
		pn_csv_f64(csv, t->correlation);
		pn_csv_f64(csv, t->center_px[x]);
		pn_csv_f64(csv, t->center_px[y]);
		pn_csv_f64(csv, t->across_residual_px);
		pn_csv_f64(csv, t->mass);
		rc = pn_csv_end_row(csv, err);
	}
	return rc;
}

static int write_csv(const struct job *job, const char *path, struct pn_error *err)
{
	static const char *const names[] = { "tilt",        "theta_deg",   "shift_x_px",
					     "shift_y_px",  "axis_deg",    "correlation",
					     "center_x_px", "center_y_px", "across_residual_px",
					     "mass" };
	struct pn_csv *csv;
	int rc = pn_csv_create(&csv, path, names, PN_COUNT(names), err);

	if (rc)
		return rc;
	rc = write_rows(job, csv, err);
	if (rc) {
		pn_csv_abandon(csv);
		return rc;
	}
	return pn_csv_finish(csv, err);
}

/* The table takes its name when the stack is whole: both are there, or neither. */
static int write_files(const struct job *job, struct pn_error *err)
{
	const struct align_flags *flags = job->flags;
	const struct pn_projections *p = &job->tilts.projections;
	char part[PN_PARAM_TEXT_MAX + 8];
	int rc = PN_OK;

	snprintf(part, sizeof part, "%s.part", flags->shifts);
	if (flags->shifts[0])
		rc = write_csv(job, part, err);
	if (!rc)
		rc = pn_out_tilts(flags->out, p->image, p->count, p->ny, p->nx,
				  flags->tilts.axis == PN_TILT_AXIS_X, job->tilts.pixel_A, err);
	if (!rc && flags->shifts[0] && rename(part, flags->shifts))
		rc = pn_error_errno(err, errno, "%s", flags->shifts);
	if (rc && flags->shifts[0])
		unlink(part);
	return rc;
}

/* ---- the report ---------------------------------------------------------------------------- */

static void print_json(const struct job *job)
{
	const struct pn_tilt_alignment *a = &job->alignment;
	const int x = job->flags->tilts.axis == PN_TILT_AXIS_X, y = !x;
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "tilts", job->flags->tilts.tilts);
	pn_json_u64(&json, "count", job->tilts.projections.count);
	pn_json_f64(&json, "axis_deg", a->axis_deg);
	pn_json_bool(&json, "axis_at_end", a->axis_at_end);
	pn_json_f64(&json, "unlike", a->unlike);
	pn_json_f64(&json, "unlike_unturned", a->unlike_at_y);
	pn_json_f64(&json, "offset_px", a->fit.offset_px);
	pn_json_f64(&json, "offset_uncertainty_px", a->fit.offset_uncertainty_px);
	pn_json_f64(&json, "sinusoid_rms_px", a->fit.rms_px);
	pn_json_u64(&json, "sinusoid_outliers", a->fit.outliers);
	pn_json_array(&json, "per_tilt");
	for (size_t k = 0; k < job->tilts.projections.count; k++) {
		pn_json_object(&json, NULL);
		pn_json_f64(&json, "theta_deg", job->theta_deg[k]);
		pn_json_f64(&json, "shift_x_px", job->tilt[k].shift_px[x]);
		pn_json_f64(&json, "shift_y_px", job->tilt[k].shift_px[y]);
		pn_json_f64(&json, "correlation", job->tilt[k].correlation);
		pn_json_f64(&json, "across_residual_px", job->tilt[k].across_residual_px);
		pn_json_end(&json);
	}
	pn_json_end(&json);
	pn_json_text(&json, "out", job->flags->out);
	pn_json_end(&json);
}

static void print_text(const struct job *job)
{
	const struct pn_projections *p = &job->tilts.projections;
	const struct pn_tilt_alignment *a = &job->alignment;
	int turned = job->flags->tilts.axis == PN_TILT_AXIS_X;
	size_t farthest = 0, least = 0;
	double sum = 0, largest = -1;

	for (size_t k = 0; k < p->count; k++) {
		const struct pn_tilt_shift *t = &job->tilt[k];
		double length = hypot(t->shift_px[0], t->shift_px[1]);

		sum += length * length;
		if (length > largest) {
			largest = length;
			farthest = k;
		}
		if (t->correlation < job->tilt[least].correlation)
			least = k;
	}
	printf("%zu tilts of %zu x %zu px\n", p->count, turned ? p->nx : p->ny,
	       turned ? p->ny : p->nx);
	printf("axis     %.2f deg from %c; profiles differ by %.2g of their energy, unturned by "
	       "%.2g\n",
	       a->axis_deg, turned ? 'x' : 'y', a->unlike, a->unlike_at_y);
	if (a->axis_at_end)
		printf("         at the end of the range that was searched: not to be believed; "
		       "--axis-range-deg\n");
	printf("shifts   %.2f px rms, largest %.2f px at %g deg\n", sqrt(sum / (double)p->count),
	       largest, job->theta_deg[farthest]);
	printf("profiles correlate at least by %.4f, at %g deg\n", job->tilt[least].correlation,
	       job->theta_deg[least]);
	printf("center   %.2f px rms from a sinusoid, %zu outliers; its axis %.2f +- %.2f px from "
	       "the middle\n",
	       a->fit.rms_px, a->fit.outliers, a->fit.offset_px, a->fit.offset_uncertainty_px);
	printf("%s\n", job->flags->out);
}

static int run(void *options, char **extra, int extra_count, struct pn_error *err)
{
	struct job job = { .flags = options };
	int rc = pn_out_check_stack(job.flags->out, job.flags->force, err);

	(void)extra;
	(void)extra_count;
	if (!rc && job.flags->shifts[0])
		rc = pn_out_check(job.flags->shifts, job.flags->force, err);
	if (!rc)
		rc = pn_tilts_load(&job.tilts, &job.flags->tilts, err);
	if (!rc)
		rc = find_shifts(&job, err);
	if (!rc)
		rc = move_images(&job, err);
	if (!rc)
		rc = write_files(&job, err);
	if (!rc && job.flags->json)
		print_json(&job);
	else if (!rc)
		print_text(&job);
	pn_tilts_free(&job.tilts);
	free(job.theta_deg);
	free(job.tilt);
	return rc;
}

const struct pn_command pn_command_align = {
	.name = "align",
	.brief = "a tilt series brought to its tilt axis: shifts and axis",
	.usage = "TILTS --angles FILE --out STACK [--across center|fixed|none] [--shifts CSV] "
		 "[flags]",
	.params = params,
	.options_size = sizeof(struct align_flags),
	.more_help = more_help,
	.run = run,
};
