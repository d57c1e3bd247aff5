/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * atoms - the atoms of each volume: traced, identified, and followed from one volume to the next
 * (R28, R29).
 */
#include "perrin/atoms/atoms.h"
#include "perrin/atoms/identify.h"
#include "perrin/atoms/pair.h"
#include "perrin/host/stage.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_PIXEL, SKIP_VOLUME, SKIP_EVERY };

#define SAME_ATOM_A 1.0 /* of two volumes: nearer is the same */

struct atoms {
	char elements[PN_PARAM_TEXT_MAX];
	double min_distance_A, confidence_min, local_A;
	int64_t every;
	int fit;

	uint8_t element[PN_IDENTIFY_ELEMENTS_MAX];
	int element_count;
	struct pn_atoms_head head; /* of the volume under way */
	double (*found)[PN_ATOM_NUMBERS];
	double (*last)[PN_ATOM_NUMBERS]; /* of the volume before */
	uint64_t last_count;
	uint64_t held_seq;
	int held; /* found; not out */
};

static const char *const fit_choices[] = { "polynomial", "gaussian", NULL };
static const struct pn_param params[] = {
	{ .name = "elements",
	  .help = "symbols with commas; the brighter atoms are of the heavier element",
	  .type = PN_PARAM_TEXT,
	  .off = offsetof(struct atoms, elements),
	  .def_text = "Pt" },
	{ .name = "min_distance_A",
	  .unit = "A",
	  .help = "of two nearer peaks the lower is none",
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

	return pn_elements_parse(s->element, &s->element_count, s->elements, &ctx->err);
}

/* ---- finding ------------------------------------------------------------------------------- */

static int keep(struct atoms *s, const struct pn_trace *trace, const struct pn_identity *identity,
		struct pn_error *err)
{
	free(s->found);
	s->found = malloc((trace->count + 1) * sizeof *s->found);
	if (!s->found)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", trace->count);
	for (size_t i = 0; i < trace->count; i++) {
		const struct pn_traced_atom *a = &trace->atom[i];
		double numbers[PN_ATOM_NUMBERS] = { a->position_A[0], a->position_A[1],
						    a->position_A[2], identity->element[i],
						    a->intensity,     a->confidence };

		memcpy(s->found[i], numbers, sizeof numbers);
	}
	s->head.atoms = trace->count;
	s->head.second_pass = trace->second;
	/* a map in which every peak is an atom has no threshold */
	s->head.strength_min = isfinite(trace->strength_min) ? trace->strength_min : (double)NAN;
	return PN_OK;
}

static int find(struct atoms *s, const struct pn_volumes_head *volume, const float *voxels,
		struct pn_error *err)
{
	struct pn_trace_options options;
	struct pn_identity identity = { 0 };
	struct pn_trace trace = { 0 };
	int threads = omp_get_max_threads();

	pn_trace_options_default(&options);
	options.fit = s->fit ? PN_TRACE_GAUSSIAN : PN_TRACE_POLYNOMIAL;
	options.distance_min_A = s->min_distance_A;
	options.confidence_min = s->confidence_min;
	options.species = s->element_count;
	int rc = pn_trace_atoms(&trace, voxels, volume->nz, volume->ny, volume->nx,
				volume->pixel_pm / 100, &options, threads, err);

	if (!rc)
		rc = pn_identify(&identity, &trace, s->element, s->element_count, s->local_A,
				 threads, err);
	if (!rc)
		rc = keep(s, &trace, &identity, err);
	pn_identity_free(&identity);
	pn_trace_free(&trace);
	return rc;
}

/* A model as the kernels see it; freed with its position. */
static struct pn_atoms view(const double (*numbers)[PN_ATOM_NUMBERS], uint64_t count)
{
	double(*position_A)[3] = malloc((count + 1) * (sizeof *position_A + 1));
	uint8_t *element = position_A ? (uint8_t *)(position_A + count) : NULL;

	for (uint64_t i = 0; position_A && i < count; i++) {
		memcpy(position_A[i], numbers[i], sizeof position_A[i]);
		element[i] = (uint8_t)numbers[i][3];
	}
	return (struct pn_atoms){ (const double(*)[3])position_A, element, count };
}

/* How many atoms of the last volume are there still, and how far they moved. */
static int follow(struct atoms *s, struct pn_error *err)
{
	struct pn_pairing pairing = { 0 };

	s->head.kept = 0;
	s->head.moved_pm = (double)NAN;
	if (!s->last_count || !s->head.atoms)
		return PN_OK;
	struct pn_atoms before = view((const double(*)[PN_ATOM_NUMBERS])s->last, s->last_count);
	struct pn_atoms after = view((const double(*)[PN_ATOM_NUMBERS])s->found, s->head.atoms);
	int rc = before.position_A && after.position_A
			 ? pn_pair_build(&pairing, &before, &after, SAME_ATOM_A, NULL,
					 omp_get_max_threads(), err)
			 : pn_error_set(err, PN_ENOMEM, "no memory for two models");

	if (!rc) {
		s->head.kept = pn_pairing_common(&pairing);
		s->head.moved_pm = 100 * pairing.rmsd_A;
	}
	pn_pairing_free(&pairing);
	free((void *)before.position_A);
	free((void *)after.position_A);
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
					  .disordered = (double)NAN,
					  .diameter_nm = (double)NAN };
	rc = find(s, &volume, in->payload, &why);
	if (!rc)
		rc = follow(s, &why);
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
	free(s->last);
	s->last = s->found;
	s->last_count = s->head.atoms;
	s->found = NULL;
	s->held = 0;
	return PN_OK;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int atoms_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct atoms *s = self;

	(void)ctx;
	if (s->held)
		return PN_EAGAIN;
	return pn_blob_put_part(out, s->last, s->last_count * sizeof *s->last);
}

static int atoms_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct atoms *s = self;
	struct pn_blob_view view_of = { data, bytes };
	size_t size = 0;
	const void *part = pn_blob_get_part(&view_of, &size);

	if (!part || size % sizeof *s->last)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	s->last = malloc(size + 1);
	if (!s->last)
		return pn_fail(ctx, PN_ENOMEM, "no memory for %zu bytes", size);
	memcpy(s->last, part, size);
	s->last_count = size / sizeof *s->last;
	return PN_OK;
}

static void atoms_close(void *self)
{
	struct atoms *s = self;

	free(s->found);
	free(s->last);
}

const struct pn_stage_ops pn_stage_atoms = {
	.name = "atoms",
	.brief = "traces and identifies the atoms of each volume",
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
