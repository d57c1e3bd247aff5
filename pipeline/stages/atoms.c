/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * atoms - the atoms of each volume: traced and identified (R28, R29), or found by the potential of
 * one atom (R9), and followed from one volume to the next.
 */
#include "models.h"
#include "perrin/atoms/detect.h"
#include "perrin/atoms/identify.h"
#include "perrin/atoms/order.h"
#include "perrin/base/element.h"
#include "perrin/host/stage.h"
#include "perrin/twin/scattering.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_PIXEL, SKIP_VOLUME, SKIP_EVERY };
enum { METHOD_AUTO, METHOD_TRACE, METHOD_POTENTIAL };

#define SAME_ATOM_A  1.0   /* of two volumes: nearer is the same */
#define SHELL_PART   1.229 /* first minimum of g(r) over its first peak: 3.41 A in platinum */
#define RESOLUTION_A 1.5   /* of a map that does not tell its own */

struct atoms {
	char elements[PN_PARAM_TEXT_MAX];
	double min_distance_A, confidence_min, local_A, neighbor_A;
	int64_t every;
	int fit, method;

	uint8_t element[PN_IDENTIFY_ELEMENTS_MAX];
	int element_count;
	struct pn_atoms_head head; /* of the volume under way */
	double (*found)[PN_ATOM_NUMBERS];
	struct models last;
	uint64_t held_seq;
	int held; /* found; not out */
};

static const char *const fit_choices[] = { "polynomial", "gaussian", NULL };
static const char *const method_choices[] = { "auto", "trace", "potential", NULL };
static const struct pn_param params[] = {
	{ .name = "elements",
	  .help = "symbols with commas; the brighter atoms are of the heavier element",
	  .type = PN_PARAM_TEXT,
	  .off = offsetof(struct atoms, elements),
	  .def_text = "Pt" },
	{ .name = "method",
	  .help = "trace: every bright peak; potential: what looks like one atom of the first "
		  "element, confidence is the correlation with it; auto: potential for tumbling "
		  "particles of fcc metals",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct atoms, method),
	  .choices = method_choices },
	{ .name = "neighbor_A",
	  .unit = "A",
	  .help = "distance of nearest neighbours; 0: in the first element's fcc crystal",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct atoms, neighbor_A),
	  .max = 100 },
	{ .name = "min_distance_A",
	  .unit = "A",
	  .help = "of two nearer peaks the lower is none; by the potential: 3/4 of neighbor_A",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct atoms, min_distance_A),
	  .def = 2.2,
	  .min = 0.1,
	  .max = 100 },
	{ .name = "fit",
	  .help = "how a peak is placed",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct atoms, fit),
	  .choices = fit_choices },
	{ .name = "confidence_min",
	  .help = "less likely peaks are no atoms",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct atoms, confidence_min),
	  .def = 0.5,
	  .max = 1 },
	{ .name = "local_A",
	  .unit = "A",
	  .help = "radius of the local re-classification; 0: none",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct atoms, local_A),
	  .def = 6.75,
	  .max = 1000 },
	{ .name = "every",
	  .help = "only each so many volumes, and the last",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct atoms, every),
	  .def = 1,
	  .min = 1,
	  .max = 1000 },
	{ 0 },
};

static const struct pn_port inputs[] = { { .name = "volumes", .schema = &pn_volumes_schema },
					 { 0 } };
static const struct pn_port outputs[] = { { .name = "atoms", .schema = &pn_atoms_schema }, { 0 } };
static const char *const reasons[] = { "no_pixel_size", "no_volume", "not_asked_for", NULL };

static int atoms_open(void *self, struct pn_ctx *ctx)
{
	struct atoms *s = self;
	int rc = pn_elements_parse(s->element, &s->element_count, s->elements, &ctx->err);

	if (!rc && !(s->neighbor_A > 0))
		s->neighbor_A = pn_lattice_constant_A(s->element[0]) / sqrt(2);
	if (!rc && s->method == METHOD_POTENTIAL && !(s->neighbor_A > 0))
		return pn_fail(ctx, PN_EARG, "%s is no fcc metal: neighbor_A has to be given",
			       s->elements);
	return rc;
}

/* ---- finding ------------------------------------------------------------------------------- */

static int room(struct atoms *s, size_t count, struct pn_error *err)
{
	free(s->found);
	s->found = malloc((count + 1) * sizeof *s->found);
	s->head.atoms = count;
	return s->found ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", count);
}

static int keep(struct atoms *s, const struct pn_trace *trace, const struct pn_identity *identity,
		struct pn_error *err)
{
	int rc = room(s, trace->count, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < trace->count; i++) {
		const struct pn_traced_atom *a = &trace->atom[i];
		double numbers[PN_ATOM_NUMBERS] = { a->position_A[0], a->position_A[1],
						    a->position_A[2], identity->element[i],
						    a->intensity,     a->confidence };

		memcpy(s->found[i], numbers, sizeof numbers);
	}
	s->head.second_pass = trace->second;
	/* a map in which every peak is an atom has no threshold */
	s->head.strength_min = isfinite(trace->strength_min) ? trace->strength_min : (double)NAN;
	return PN_OK;
}

static int trace(struct atoms *s, const struct pn_volumes_head *volume, const float *voxels,
		 struct pn_error *err)
{
	struct pn_trace_options options;
	struct pn_identity identity = { 0 };
	struct pn_trace traced = { 0 };
	int threads = omp_get_max_threads();

	pn_trace_options_default(&options);
	options.fit = s->fit ? PN_TRACE_GAUSSIAN : PN_TRACE_POLYNOMIAL;
	options.distance_min_A = s->min_distance_A;
	options.confidence_min = s->confidence_min;
	options.species = s->element_count;
	int rc = pn_trace_atoms(&traced, voxels, volume->nz, volume->ny, volume->nx,
				volume->pixel_pm / 100, &options, threads, err);

	if (!rc)
		rc = pn_identify(&identity, &traced, s->element, s->element_count, s->local_A,
				 threads, err);
	if (!rc)
		rc = keep(s, &traced, &identity, err);
	pn_identity_free(&identity);
	pn_trace_free(&traced);
	return rc;
}

/* Where the map looks like one atom of the first element. */
static int detect(struct atoms *s, const struct pn_volumes_head *volume, const float *voxels,
		  struct pn_error *err)
{
	struct pn_detect_options options;
	struct pn_detect detected;

	pn_detect_options_default(&options);
	options.factor = pn_scattering_lobato;
	options.z = s->element[0];
	options.resolution_A = volume->resolution_A > 0 ? volume->resolution_A : RESOLUTION_A;
	options.neighbor_A = s->neighbor_A;
	options.confidence_min = s->confidence_min;
	int rc = pn_detect_atoms(&detected, voxels, volume->nz, volume->ny, volume->nx,
				 volume->pixel_pm / 100, &options, omp_get_max_threads(), err);

	if (!rc)
		rc = room(s, detected.count, err);
	for (size_t i = 0; !rc && i < detected.count; i++) {
		const struct pn_detected_atom *a = &detected.atom[i];
		double numbers[PN_ATOM_NUMBERS] = { a->position_A[0], a->position_A[1],
						    a->position_A[2], s->element[0],
						    a->intensity,     fmax(0, a->pearson) };

		memcpy(s->found[i], numbers, sizeof numbers);
	}
	s->head.second_pass = detected.second;
	s->head.strength_min =
		isfinite(detected.strength_min) ? detected.strength_min : (double)NAN;
	pn_detect_free(&detected);
	return rc;
}

/* How much of a particle is no crystal, and how large it is: R12, R13. */
static int judge(struct atoms *s, const struct pn_atoms *atoms, struct pn_error *err)
{
	const int threads = omp_get_max_threads();
	struct pn_neighbors near = { 0 };
	struct pn_order order = { 0 };
	int rc = pn_neighbors_build(&near, atoms, SHELL_PART * s->neighbor_A, threads, err);

	if (!rc)
		rc = pn_order_build(&order, &near, NULL, threads, err);
	if (!rc) {
		const double count = (double)atoms->count,
			     cell_A3 = M_SQRT1_2 * pow(s->neighbor_A, 3);

		s->head.disordered = 1 - (double)order.crystalline_atoms / count;
		s->head.diameter_nm = cbrt(6 * count * cell_A3 / M_PI) / 10;
	}
	pn_order_free(&order);
	pn_neighbors_free(&near);
	return rc;
}

/* How many atoms of the last volume are there still, and how far they moved. The maps of one
 * segment share a frame; those of two do not. */
static int follow(struct atoms *s, const struct pn_atoms *after, struct pn_error *err)
{
	const struct model *last = models_last(&s->last, s->head.particle);
	struct pn_pairing pairing = { 0 };

	if (!last || last->segment != s->head.segment || !last->count)
		return PN_OK;
	struct pn_atoms before =
		models_view((const double(*)[PN_ATOM_NUMBERS])last->atom, last->count);
	int rc = before.position_A ? pn_pair_build(&pairing, &before, after, SAME_ATOM_A, NULL,
						   omp_get_max_threads(), err)
				   : pn_error_set(err, PN_ENOMEM, "no memory for two models");

	if (!rc) {
		s->head.kept = pn_pairing_common(&pairing);
		s->head.moved_pm = 100 * pairing.rmsd_A;
	}
	pn_pairing_free(&pairing);
	free((void *)before.position_A);
	return rc;
}

static int look_at(struct atoms *s, const struct pn_volumes_head *volume, const float *voxels,
		   struct pn_error *err)
{
	const int tumbling = volume->segment > 0 && s->neighbor_A > 0;
	const int by_potential =
		s->method == METHOD_POTENTIAL || (s->method == METHOD_AUTO && tumbling);
	int rc = by_potential ? detect(s, volume, voxels, err) : trace(s, volume, voxels, err);

	if (rc || !s->head.atoms)
		return rc;
	struct pn_atoms atoms =
		models_view((const double(*)[PN_ATOM_NUMBERS])s->found, s->head.atoms);

	if (!atoms.position_A)
		return pn_error_set(err, PN_ENOMEM, "no memory for a model");
	if (tumbling)
		rc = judge(s, &atoms, err);
	if (!rc)
		rc = follow(s, &atoms, err);
	free((void *)atoms.position_A);
	return rc;
}

/* ---- volumes ------------------------------------------------------------------------------- */

/* Everything but the emission. */
static int take_volume(struct atoms *s, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_volumes_head volume;
	struct pn_error why = { 0 };
	int rc = pn_msg_decode(&pn_volumes_schema, in, &volume, &ctx->err);

	if (rc)
		return rc;
	if (volume.state != PN_VOLUME_FINAL && volume.volume % (uint64_t)s->every) {
		pn_skip(ctx, SKIP_EVERY, 1);
		return PN_OK;
	}
	if (isnan(volume.pixel_pm)) {
		pn_skip(ctx, SKIP_PIXEL, 1);
		return PN_OK;
	}
	s->head = (struct pn_atoms_head){ .volume = volume.volume,
					  .state = volume.state,
					  .particle = volume.particle,
					  .segment = volume.segment,
					  .images = volume.images,
					  .moved_pm = (double)NAN,
					  .disordered = (double)NAN,
					  .diameter_nm = (double)NAN };
	rc = look_at(s, &volume, in->payload, &why);
	if (rc == PN_ENOMEM)
		return pn_fail(ctx, rc, "%s", why.text);
	if (rc) {
		pn_skip(ctx, SKIP_VOLUME, 1);
		return PN_OK;
	}
	s->held = 1;
	s->held_seq = in->seq;
	return PN_OK;
}

static int atoms_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct atoms *s = self;
	void *payload;
	int rc = PN_OK;

	if (!s->held || s->held_seq != in->seq)
		rc = take_volume(s, ctx, in);
	if (rc || !s->held)
		return rc;
	size_t bytes = s->head.atoms * sizeof *s->found;

	rc = pn_emit(ctx, 0, &s->head, in->time_ns, bytes, &payload);
	if (rc)
		return rc;
	if (bytes)
		memcpy(payload, s->found, bytes);
	pn_done(ctx, 1);
	s->held = 0;
	const struct model now = { s->head.particle, s->head.segment, s->head.atoms, s->found };

	rc = models_put(&s->last, &now, &ctx->err);
	if (!rc)
		s->found = NULL;
	return rc;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int atoms_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct atoms *s = self;

	(void)ctx;
	if (s->held)
		return PN_EAGAIN;
	return models_save(&s->last, out);
}

static int atoms_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct atoms *s = self;

	return models_load(&s->last, data, bytes, &ctx->err);
}

static void atoms_close(void *self)
{
	struct atoms *s = self;

	free(s->found);
	models_forget(&s->last);
}

const struct pn_stage_ops pn_stage_atoms = {
	.name = "atoms",
	.brief = "finds and identifies the atoms of each volume",
	.state_size = sizeof(struct atoms),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.open = atoms_open,
	.take = atoms_take,
	.save = atoms_save,
	.load = atoms_load,
	.close = atoms_close,
};
