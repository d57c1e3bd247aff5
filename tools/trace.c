/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin trace - the atoms of a volume: positions, species, confidence. */
#include "command.h"
#include "common/out.h"
#include "common/text.h"
#include "common/tilts.h"
#include "perrin/atoms/identify.h"
#include "perrin/base/clock.h"
#include "perrin/base/element.h"
#include "perrin/base/json.h"
#include "perrin/format/xyz.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static const char *const fit_choices[] = { "polynomial", "gaussian", NULL };

struct trace_flags {
	char volume[PN_PARAM_TEXT_MAX], elements[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX];
	char support[PN_PARAM_TEXT_MAX];
	double pixel_A, distance_min_A, smooth_A, confidence_min, local_A;
	int fit, force, json;
};

#define OFF(field) offsetof(struct trace_flags, field)
/* clang-format off */
static const struct pn_param params[] = {
	{ .name = "volume", .help = "stack of sections: .mrc, .npy or TIFF; background 0",
	  .type = PN_PARAM_TEXT, .off = OFF(volume), .positional = 1, .required = 1 },
	{ .name = "elements", .help = "symbols with commas, as Pd,Pt; the brighter atoms are of the heavier "
	  "element", .type = PN_PARAM_TEXT, .off = OFF(elements), .required = 1 },
	{ .name = "out", .unit = "FILE", .help = "the atoms as extended XYZ", .type = PN_PARAM_TEXT,
	  .off = OFF(out), .required = 1 },
	{ .name = "pixel_A", .unit = "A", .help = "of a voxel (default: what the volume says)",
	  .type = PN_PARAM_F64, .off = OFF(pixel_A), .max = 1e6 },
	{ .name = "min_distance_A", .unit = "A", .help = "of two nearer peaks the lower is none",
	  .type = PN_PARAM_F64, .off = OFF(distance_min_A), .def = 2.2, .min = 0.1, .max = 100 },
	{ .name = "smooth_A", .unit = "A", .help = "Gaussian that the volume goes under first",
	  .type = PN_PARAM_F64, .off = OFF(smooth_A), .def = 0.35, .max = 10 },
	{ .name = "fit", .help = "how a peak is placed: polynomial in 7^3 (R28) or 3D Gaussian",
	  .type = PN_PARAM_ENUM, .off = OFF(fit), .choices = fit_choices },
	{ .name = "confidence_min", .help = "less likely peaks are no atoms", .type = PN_PARAM_F64,
	  .off = OFF(confidence_min), .def = 0.5, .max = 1 },
	{ .name = "local_A", .unit = "A", .help = "radius of the local re-classification; 0: none",
	  .type = PN_PARAM_F64, .off = OFF(local_A), .def = 6.75, .max = 1000 },
	{ .name = "support", .unit = "FILE", .help = "volume of 0 where no atom can be",
	  .type = PN_PARAM_TEXT, .off = OFF(support) },
	{ .name = "force", .help = "replace a file that is there", .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json", .help = "print the report as JSON", .type = PN_PARAM_BOOL, .off = OFF(json) },
	{ 0 },
};
/* clang-format on */

struct job {
	const struct trace_flags *flags;
	uint8_t element[PN_IDENTIFY_ELEMENTS_MAX]; /* ascending */
	int elements;
	float *volume;
	uint8_t *support;
	struct pn_box box;
	double pixel_A;
	struct pn_trace trace;
	struct pn_identity identity;
	double seconds;
};

/* ---- what is asked for --------------------------------------------------------------------- */

static int read_support(struct job *job, struct pn_error *err)
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
				  "%s: %zu x %zu x %zu voxels, %s has %zu x %zu x %zu",
				  job->flags->support, box.nz, box.ny, box.nx, job->flags->volume,
				  job->box.nz, job->box.ny, job->box.nx);
	job->support = rc ? NULL : malloc(pn_box_voxels(&box));
	if (!rc && !job->support)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for the support");
	for (size_t i = 0; !rc && i < pn_box_voxels(&box); i++)
		job->support[i] = mask[i] != 0.0f;
	free(mask);
	return rc;
}

static int read_volume(struct job *job, struct pn_error *err)
{
	int rc = pn_volume_read(&job->volume, &job->box, &job->pixel_A, job->flags->volume, err);

	if (rc)
		return rc;
	if (job->flags->pixel_A > 0)
		job->pixel_A = job->flags->pixel_A;
	if (!(job->pixel_A > 0))
		return pn_error_set(err, PN_EARG,
				    "%s does not say how large its voxels are: --pixel-A",
				    job->flags->volume);
	return read_support(job, err);
}

/* ---- finding ------------------------------------------------------------------------------- */

static int find_atoms(struct job *job, struct pn_error *err)
{
	struct pn_trace_options options;

	pn_trace_options_default(&options);
	options.fit = job->flags->fit ? PN_TRACE_GAUSSIAN : PN_TRACE_POLYNOMIAL;
	options.distance_min_A = job->flags->distance_min_A;
	options.smooth_A = job->flags->smooth_A;
	options.confidence_min = job->flags->confidence_min;
	options.species = job->elements;
	options.support = job->support;
	int rc = pn_trace_atoms(&job->trace, job->volume, job->box.nz, job->box.ny, job->box.nx,
				job->pixel_A, &options, omp_get_max_threads(), err);

	return rc ? pn_error_wrap(err, "%s", job->flags->volume) : PN_OK;
}

/* ---- telling ------------------------------------------------------------------------------- */

static int write_atoms(const struct job *job, struct pn_error *err)
{
	static const char *const names[] = { "height",   "intensity",  "width_A",
					     "residual", "confidence", "species_confidence" };
	struct pn_model *model;
	int rc = pn_model_create(&model, job->trace.count, err);

	for (size_t i = 0; !rc && i < job->trace.count; i++) {
		memcpy(model->position_A[i], job->trace.atom[i].position_A,
		       sizeof model->position_A[i]);
		model->element[i] = job->identity.element[i];
	}
	for (size_t c = 0; !rc && c < PN_COUNT(names); c++) {
		struct pn_model_column *column;

		rc = pn_model_add_column(model, names[c], 'R', 1, &column, err);
		for (size_t i = 0; !rc && i < job->trace.count; i++) {
			const struct pn_traced_atom *a = &job->trace.atom[i];
			double values[] = {
				a->height,   a->intensity,  a->width_A,
				a->residual, a->confidence, job->identity.confidence[i]
			};

			column->values[i] = values[c];
		}
	}
	if (!rc)
		rc = pn_xyz_write(job->flags->out, model, 1, err);
	pn_model_destroy(model);
	return rc;
}

static void print_json(const struct job *job)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "volume", job->flags->volume);
	pn_json_f64(&json, "pixel_A", job->pixel_A);
	pn_json_u64(&json, "atoms", job->trace.count);
	pn_json_object(&json, "elements");
	for (int s = 0; s < job->elements; s++)
		pn_json_u64(&json, pn_element_symbol(job->element[s]), job->identity.of[s]);
	pn_json_end(&json);
	pn_json_f64(&json, "strength_min", job->trace.strength_min);
	pn_json_u64(&json, "maxima", job->trace.maxima);
	pn_json_u64(&json, "outside", job->trace.outside);
	pn_json_u64(&json, "not_fitted", job->trace.not_fitted);
	pn_json_u64(&json, "too_near", job->trace.too_near);
	pn_json_u64(&json, "too_weak", job->trace.too_weak);
	pn_json_u64(&json, "second_pass", job->trace.second);
	pn_json_i64(&json, "local_rounds", job->identity.rounds);
	pn_json_f64(&json, "seconds", job->seconds);
	pn_json_text(&json, "out", job->flags->out);
	pn_json_end(&json);
}

static void print_text(const struct job *job)
{
	const struct pn_trace *t = &job->trace;
	char took[PN_TEXT_SHORT];

	printf("%zu atoms:", t->count);
	for (int s = 0; s < job->elements; s++)
		printf(" %s %zu", pn_element_symbol(job->element[s]), job->identity.of[s]);
	printf("; %zu of them by the second pass\n", t->second);
	printf("of %zu maxima: %zu outside the support, %zu not fitted, %zu too near to a brighter "
	       "one, "
	       "%zu too weak",
	       t->maxima, t->outside, t->not_fitted, t->too_near, t->too_weak);
	if (isfinite(t->strength_min))
		printf(" (below %.4g)", t->strength_min);
	printf("\n");
	printf("%s, %s\n", job->flags->out, pn_text_duration(took, (int64_t)(job->seconds * 1e9)));
}

static int run(void *options, char **extra, int extra_count, struct pn_error *err)
{
	struct job job = { .flags = options };
	int rc = pn_out_check(job.flags->out, job.flags->force, err);

	(void)extra;
	(void)extra_count;
	if (!rc)
		rc = pn_elements_parse(job.element, &job.elements, job.flags->elements, err);
	if (!rc)
		rc = read_volume(&job, err);
	int64_t start_ns = pn_now_ns();

	if (!rc)
		rc = find_atoms(&job, err);
	if (!rc)
		rc = pn_identify(&job.identity, &job.trace, job.element, job.elements,
				 job.flags->local_A, omp_get_max_threads(), err);
	job.seconds = (double)(pn_now_ns() - start_ns) / 1e9;
	if (!rc)
		rc = write_atoms(&job, err);
	if (!rc && job.flags->json)
		print_json(&job);
	else if (!rc)
		print_text(&job);
	pn_trace_free(&job.trace);
	pn_identity_free(&job.identity);
	free(job.volume);
	free(job.support);
	return rc;
}

const struct pn_command pn_command_trace = {
	.name = "trace",
	.brief = "the atoms of a volume: positions, species, confidence",
	.usage = "VOLUME --elements Pd,Pt --out ATOMS.xyz [--pixel-A A] [flags]",
	.params = params,
	.options_size = sizeof(struct trace_flags),
	.run = run,
};
