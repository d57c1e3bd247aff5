/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * advise - whether more images of a tumbling particle would help: after each volume, and as soon as
 * the poses alone tell that the structure has changed or that nothing more can be had (R62).
 */
#include "advise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_OLD, SKIP_PARTICLES };

const struct pn_param advise_params[] = {
	{ .name = "advise", .group = pn_advise_params, .off = offsetof(struct advise, options) },
	{ .name = "particles_max",
	  .help = "more are not advised on",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct advise, particles_max),
	  .def = 32,
	  .min = 1,
	  .max = 4096 },
	{ 0 },
};

const struct pn_port advise_outputs[] = { { .name = "advice", .schema = &pn_advice_schema },
					  { 0 } };
const char *const advise_reasons[] = { "old_segment", "too_many_particles", NULL };

static const struct pn_port inputs[] = {
	{ .name = "volumes", .schema = &pn_volumes_schema },
	{ .name = "atoms", .schema = &pn_atoms_schema, .optional = 1 },
	{ .name = "poses", .schema = &pn_poses_schema, .optional = 1 },
	{ 0 },
};

int advise_open(void *self, struct pn_ctx *ctx)
{
	struct advise *s = self;

	/* the options are known to be good once one advisor was made of them */
	int rc = pn_advisor_init(&s->spare.advisor, &s->options, &ctx->err);

	if (rc)
		return rc;
	s->seat = calloc((size_t)s->particles_max, sizeof *s->seat);
	return s->seat ? PN_OK
		       : pn_fail(ctx, PN_ENOMEM, "no memory for %lld particles",
				 (long long)s->particles_max);
}

/* ---- seats ---------------------------------------------------------------------------------- */

/* Copies the particle's seat into the spare one; its number, or -1 if there are too many. */
static int64_t sit_down(struct advise *s, uint64_t particle, int64_t time_ns)
{
	uint64_t i = 0;

	while (i < s->count && s->seat[i].particle != particle)
		i++;
	if (i == (uint64_t)s->particles_max)
		return -1;
	if (i < s->count) {
		s->spare = s->seat[i];
	} else {
		s->spare = (struct advise_seat){ .particle = particle };
		(void)pn_advisor_init(&s->spare.advisor, &s->options, NULL);
	}
	s->spare.time_ns = time_ns;
	s->spare.news = 1;
	return (int64_t)i;
}

/* What a head may hold of it. */
static double within(double value, double most)
{
	return fabs(value) <= most ? value : (double)NAN;
}

static int emit(struct pn_ctx *ctx, struct advise_seat *seat, uint64_t number)
{
	struct pn_advice advice;
	void *payload;
	int rc = pn_advisor_advise(&advice, &seat->advisor, &ctx->err);

	if (rc)
		return rc;
	struct pn_advice_head head = {
		.advice = number,
		.particle = seat->particle,
		.segment = advice.segment,
		.verdict = (int)advice.verdict,
		.confidence = advice.confidence,
		.images = advice.images,
		.dose_e_per_A2 = within(advice.dose_e_per_A2, 1e18),
		.resolution_A = within(advice.resolution_A, 1e9),
		.next_resolution_A = within(advice.next_resolution_A, 1e9),
		.next_images = advice.next_images,
		.gain_pm_per_s = within(advice.gain_pm_per_s, 1e12),
		.atoms_kept = advice.atoms_kept,
		.score_fading = within(advice.score_fading, 1e12),
		.next_theta_deg = within(advice.next_theta_deg, 360),
	};

	_Static_assert(PN_ADVISE_TEXT_BYTES <= PN_REASONS_BYTES, "reasons fit the head");
	memcpy(head.reasons, advice.reasons, PN_ADVISE_TEXT_BYTES);
	seat->news = 0;
	return pn_emit(ctx, 0, &head, seat->time_ns, 0, &payload);
}

/* ---- messages: each returns 1 if an advice is due, 0 if not, -1 if it tells nothing -----------
 */

static int feed_volume(struct pn_advisor *advisor, const struct pn_volumes_head *h, int64_t time_ns)
{
	const uint64_t edge = h->nx > h->ny ? h->nx : h->ny;
	const struct pn_advise_volume volume = {
		.segment = h->segment,
		.images = h->images,
		.time_s = (double)time_ns * 1e-9,
		.resolution_A = h->resolution_A,
		.dose_e_per_A2 = h->dose_e_per_A2,
		.scf = h->scf,
		.far = h->far,
		.empty = h->empty,
		.r1_new = h->r1_new,
		.held_out = h->held_out,
		.pixel_pm = h->pixel_pm,
		.edge_px = h->nz > edge ? h->nz : edge,
		.fsc = h->fsc,
		.fsc_count = h->fsc_count,
	};

	return pn_advisor_volume(advisor, &volume) ? 1 : -1;
}

static int feed_atoms(struct pn_advisor *advisor, const struct pn_atoms_head *h)
{
	const struct pn_advise_atoms atoms = {
		.segment = h->segment,
		.atoms = h->atoms,
		.kept = h->kept,
		.moved_pm = h->moved_pm,
		.disordered = h->disordered,
		.diameter_nm = h->diameter_nm,
		.first = !h->kept && isnan(h->moved_pm),
	};

	pn_advisor_atoms(advisor, &atoms);
	return 0;
}

static int feed_pose(struct pn_advisor *advisor, const struct pn_poses_head *h)
{
	const struct pn_advise_pose pose = {
		.segment = h->segment,
		.state = h->state == PN_POSED_ORIENTED    ? PN_ADVISE_ORIENTED
			 : h->state == PN_POSED_UNCERTAIN ? PN_ADVISE_UNCERTAIN
							  : PN_ADVISE_BEGINNING,
		.score = h->score,
	};

	/* a pose that replaces another is of a frame that was counted */
	return h->revision ? 0 : pn_advisor_pose(advisor, &pose);
}

static int feed(struct advise *s, const struct pn_schema *schema, const void *head, int64_t time_ns)
{
	struct pn_advisor *advisor = &s->spare.advisor;

	if (schema == &pn_volumes_schema)
		return feed_volume(advisor, head, time_ns);
	if (schema == &pn_atoms_schema)
		return feed_atoms(advisor, head);
	if (schema == &pn_poses_schema)
		return feed_pose(advisor, head);
	const struct pn_tilts_head *tilt = head;

	pn_advisor_tilt(advisor, tilt->tilt, tilt->theta_deg, tilt->state == PN_TILT_WITHDRAWN);
	return 0;
}

static uint64_t particle_of(const struct pn_schema *schema, const void *head)
{
	return schema == &pn_volumes_schema ? ((const struct pn_volumes_head *)head)->particle
	       : schema == &pn_atoms_schema ? ((const struct pn_atoms_head *)head)->particle
	       : schema == &pn_poses_schema ? ((const struct pn_poses_head *)head)->particle
					    : 0;
}

int advise_take(struct advise *s, struct pn_ctx *ctx, const struct pn_msg *in,
		const struct pn_port *ports)
{
	const struct pn_schema *schema = ports[in->port].schema;
	union {
		struct pn_volumes_head volumes;
		struct pn_atoms_head atoms;
		struct pn_poses_head poses;
		struct pn_tilts_head tilts;
	} head;
	int rc = pn_msg_decode(schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	const int64_t place = sit_down(s, particle_of(schema, &head), in->time_ns);

	if (place < 0) {
		pn_skip(ctx, SKIP_PARTICLES, 1);
		return PN_OK;
	}
	const int due = feed(s, schema, &head, in->time_ns);

	if (due < 0) {
		pn_skip(ctx, SKIP_OLD, 1);
		return PN_OK;
	}
	if (due)
		rc = emit(ctx, &s->spare, s->advices + 1);
	if (rc)
		return rc;
	s->advices += (uint64_t)due;
	s->count += (uint64_t)place == s->count;
	s->seat[place] = s->spare;
	pn_done(ctx, 1);
	return PN_OK;
}

static int take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	return advise_take(self, ctx, in, inputs);
}

/* What came after the last volume, the atoms of the last one above all. */
int advise_drain(void *self, struct pn_ctx *ctx)
{
	struct advise *s = self;
	uint64_t number = s->advices;

	for (uint64_t i = 0; i < s->count; i++) {
		if (!s->seat[i].news)
			continue;
		s->spare = s->seat[i];
		int rc = emit(ctx, &s->spare, ++number);
		if (rc)
			return rc;
	}
	for (uint64_t i = 0; i < s->count; i++)
		s->seat[i].news = 0;
	s->advices = number;
	return PN_OK;
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

int advise_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct advise *s = self;
	int rc = pn_blob_put_part(out, &s->advices, sizeof s->advices);

	(void)ctx;
	return rc ? rc : pn_blob_put_part(out, s->seat, s->count * sizeof *s->seat);
}

int advise_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct advise *s = self;
	struct pn_blob_view view = { data, bytes };
	size_t size = 0, seats = 0;
	const void *advices = pn_blob_get_part(&view, &size);
	const void *seat = advices ? pn_blob_get_part(&view, &seats) : NULL;

	if (!seat || size != sizeof s->advices || seats % sizeof *s->seat ||
	    seats / sizeof *s->seat > (size_t)s->particles_max)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	memcpy(&s->advices, advices, size);
	memcpy(s->seat, seat, seats);
	s->count = seats / sizeof *s->seat;
	return PN_OK;
}

void advise_close(void *self)
{
	struct advise *s = self;

	free(s->seat);
}

const struct pn_stage_ops pn_stage_advise = {
	.name = "advise",
	.brief = "tells whether more frames of a tumbling particle would help",
	.state_size = sizeof(struct advise),
	.params = advise_params,
	.inputs = inputs,
	.outputs = advise_outputs,
	.reasons = advise_reasons,
	.open = advise_open,
	.take = take,
	.drain = advise_drain,
	.save = advise_save,
	.load = advise_load,
	.close = advise_close,
};
