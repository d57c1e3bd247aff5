/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin fit - a traced model fitted to the projections themselves. */
#include "fit/fit.h"

#include "command.h"
#include "common/out.h"
#include "perrin/base/clock.h"

#include <stdio.h>

const char *const fit_noise_choices[] = { "gauss", "poisson", NULL };

#define OFF(field) offsetof(struct fit_flags, field)
static const struct pn_param params[] = {
	{ .name = "atoms",
	  .help = "the traced atoms: .xyz or .pdb",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(atoms),
	  .positional = 1,
	  .required = 1 },
	{ .name = "tilts", .group = pn_tilts_params, .off = OFF(tilts) },
	{ .name = "out",
	  .unit = "FILE",
	  .help = "the fitted atoms as extended XYZ",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(out),
	  .required = 1 },
	{ .name = "noise",
	  .help = "gauss: least squares; poisson: pixels are counts, maximum likelihood",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(noise),
	  .choices = fit_noise_choices },
	{ .name = "profile",
	  .help = "Gaussians of a spot: 1 is height and B factor; 0: as estimated, not "
		  "fitted",
	  .type = PN_PARAM_I64,
	  .off = OFF(profile),
	  .def = 1,
	  .max = PN_SPOT_GAUSSIANS_MAX },
	{ .name = "fit_shift",
	  .help = "a shift of every tilt too",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(fit_shift) },
	{ .name = "fit_scale",
	  .help = "a scale of every tilt too",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(fit_scale) },
	{ .name = "fit_offset",
	  .help = "a constant background of every tilt too",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(fit_offset) },
	{ .name = "clamp_A",
	  .unit = "A",
	  .help = "how far an atom may go from its start",
	  .type = PN_PARAM_F64,
	  .off = OFF(clamp_A),
	  .def = 1,
	  .min = 0.001,
	  .max = 100 },
	{ .name = "iterations",
	  .help = "at most",
	  .type = PN_PARAM_I64,
	  .off = OFF(iterations),
	  .def = 200,
	  .min = 1,
	  .max = 100000 },
	{ .name = "flip",
	  .help = "doubtful atoms: the element that explains the images best; then fitted "
		  "again",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(flip) },
	{ .name = "flip_empty",
	  .help = "flip, and an atom may be found to be none",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(flip_empty) },
	{ .name = "doubt",
	  .help = "doubtful are atoms whose confidence or species_confidence is no larger; "
		  "without these columns all are",
	  .type = PN_PARAM_F64,
	  .off = OFF(doubt),
	  .def = 0.9,
	  .min = 0,
	  .max = 1 },
	{ .name = "flip_rounds",
	  .help = "of flipping and fitting again, at most",
	  .type = PN_PARAM_I64,
	  .off = OFF(flip_rounds),
	  .def = 3,
	  .min = 1,
	  .max = 100 },
	{ .name = "refine",
	  .unit = "LIST",
	  .help = "of the poses, against the model: angles,shifts, or one of them, or none",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(refine),
	  .def_text = "none" },
	{ .name = "refine_rounds",
	  .help = "of fitting and turning, at most; as many again after --complete",
	  .type = PN_PARAM_I64,
	  .off = OFF(refine_rounds),
	  .def = 8,
	  .min = 1,
	  .max = 1000 },
	{ .name = "angles_out",
	  .unit = "FILE",
	  .help = "the refined poses, as --angles reads them; shifts in comments",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(angles_out) },
	{ .name = "complete",
	  .help = "atoms that the tracing missed are added, faint ones removed, species by "
		  "brightness",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(complete) },
	{ .name = "complete_z",
	  .help = "standard deviations that a new atom stands out",
	  .type = PN_PARAM_F64,
	  .off = OFF(complete_z),
	  .def = 4.5,
	  .min = 1,
	  .max = 1000 },
	{ .name = "distance_min_A",
	  .unit = "A",
	  .help = "nearer to an atom no new one is",
	  .type = PN_PARAM_F64,
	  .off = OFF(distance_min_A),
	  .def = 2,
	  .min = 0.1,
	  .max = 100 },
	{ .name = "force",
	  .help = "replace a file that is there",
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
	fputs("The linear incoherent model of ADF images, a spot of one shape per element at every "
	      "atom, is\nfitted to all tilts at once: positions, spots and what --fit-... ask for. "
	      "Spots start as the\nGaussians that suit the traced atoms best. Check of the model: "
	      "R1 of a tilt is\nsum |model - image| / sum |image|, both less the background where "
	      "one is fitted.\n\n"
	      "Columns that are written besides those of ATOMS: sigma_pm, standard deviation of x, "
	      "y, z with all\nelse known (too small where spots overlap); moved_pm; flipped. With "
	      "--fit-shift the place of the\nwhole particle is open.\n\n"
	      "Of noisy tilts: trace with a low --confidence-min, and let --flip-empty find what "
	      "is no atom.\n\n"
	      "Poses that are wrong by tenths of a degree (R1 above the noise, atoms displaced "
	      "alike): --refine\nangles,shifts. With it or --complete, and gauss noise, a tilt "
	      "counts by its residual: one that the\nmodel does not describe hardly counts. "
	      "--complete adds the columns amplitude and added.\n",
	      out);
}

/* ---- the command --------------------------------------------------------------------------- */

static int work(struct job *job, struct pn_error *err)
{
	int64_t start_ns = pn_now_ns();
	int rc = fit_estimate(job, err);

	if (!rc)
		rc = fit_judge(job, job->r1_before, &job->r1_mean_before, err);
	if (!rc)
		rc = fit_refine(job, err);
	if (!rc)
		rc = fit_solve(job, err);
	if (!rc)
		rc = fit_judge(job, job->r1_after, &job->r1_mean_after, err);
	job->seconds = (double)(pn_now_ns() - start_ns) / 1e9;
	return rc;
}

static int run(void *options, char **extra, int extra_count, struct pn_error *err)
{
	struct job job = { .flags = options };
	int rc = pn_out_check(job.flags->out, job.flags->force, err);

	(void)extra;
	(void)extra_count;
	if (!rc && job.flags->angles_out[0])
		rc = pn_out_check(job.flags->angles_out, job.flags->force, err);
	if (!rc)
		rc = fit_load(&job, err);
	if (!rc)
		rc = work(&job, err);
	if (!rc)
		rc = fit_write_atoms(&job, err);
	if (!rc && job.flags->angles_out[0])
		rc = fit_write_angles(&job, err);
	if (!rc && job.flags->json)
		fit_print_json(&job);
	else if (!rc)
		fit_print_text(&job);
	fit_free(&job);
	return rc;
}

const struct pn_command pn_command_fit = {
	.name = "fit",
	.brief = "traced atoms fitted to the projections; R factor, flipping (R30)",
	.usage = "ATOMS.xyz TILTS --angles FILE --out FITTED.xyz [--noise gauss|poisson] [flags]",
	.params = params,
	.options_size = sizeof(struct fit_flags),
	.more_help = more_help,
	.run = run,
};
