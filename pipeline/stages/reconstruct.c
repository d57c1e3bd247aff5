/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * reconstruct - a volume that grows with the tilts: each one is added to the normal equations, some
 * iterations follow from where the volume stands, and it goes out. Revised and withdrawn tilts are
 * taken back exactly; the last volume is that of the offline run.
 */
#include "perrin/host/stage.h"
#include "perrin/tomo/incremental.h"
#include "perrin/tomo/projector.h"
#include "perrin/tomo/rfactor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_SHAPE, SKIP_POSE, SKIP_UNKNOWN, SKIP_RANGE };

struct reconstruct {
	int64_t iterations, iterations_max, depth, every, held_out;
	int any_axis;

	struct pn_incremental *series;
	struct pn_box box;
	size_t ny, nx;
	double largest_pixel; /* of the first tilt: the unit of the sums */
	struct pn_volumes_head head;
	uint64_t tilts_seen; /* new ones, not revisions */
	int64_t time_ns;
	uint64_t held_seq;
	int held;     /* the message under way is in; the volume is not out */
	int finished; /* the last volume is made */
	int ended;    /* and out */
};

static const struct pn_param params[] = {
	{ .name = "iterations",
	  .help = "after each tilt",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct reconstruct, iterations),
	  .def = 5,
	  .min = 1,
	  .max = 100 },
	{ .name = "iterations_max",
	  .help = "of the last volume, if the held-out tilts do not stop it before",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct reconstruct, iterations_max),
	  .def = 200,
	  .min = 1,
	  .max = 500 },
	{ .name = "held_out",
	  .help = "of the last volume: every so many tilts one is left out of the trial",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct reconstruct, held_out),
	  .def = 9,
	  .min = 3,
	  .max = 1000 },
	{ .name = "every",
	  .help = "a volume goes out after so many new tilts",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct reconstruct, every),
	  .def = 1,
	  .min = 1,
	  .max = 1000 },
	{ .name = "depth",
	  .unit = "px",
	  .help = "voxels along the beam; 0: as many as the tilts are wide",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct reconstruct, depth),
	  .max = 1024 },
	{ .name = "any_axis",
	  .help = "phi and psi are not 0: more memory and time",
	  .type = PN_PARAM_BOOL,
	  .off = offsetof(struct reconstruct, any_axis) },
	{ 0 },
};

static const struct pn_port inputs[] = { { .name = "tilts", .schema = &pn_tilts_schema }, { 0 } };
static const struct pn_port outputs[] = { { .name = "volumes", .schema = &pn_volumes_schema },
					  { 0 } };
static const char *const reasons[] = { "other_shape", "other_axis", "unknown_tilt", "out_of_range",
				       NULL };

/* ---- the series ---------------------------------------------------------------------------- */

static int begin(struct reconstruct *s, struct pn_ctx *ctx, size_t ny, size_t nx,
		 double largest_pixel)
{
	s->box = (struct pn_box){ s->depth ? (size_t)s->depth : nx, ny, nx };
	s->ny = ny;
	s->nx = nx;
	s->largest_pixel = largest_pixel;
	return pn_incremental_create(&s->series, &s->box, !s->any_axis, ny, nx, largest_pixel,
				     &ctx->err);
}

/* NaN if there is one. */
static double largest_of(const float *image, size_t pixels)
{
	double largest = 0;

	for (size_t i = 0; i < pixels; i++)
		if (!(fabs((double)image[i]) <= largest))
			largest = fabs((double)image[i]);
	return largest;
}

/* Mean R1 of projections of the volume as it stands. */
static int r_factor(const struct reconstruct *s, const struct pn_pose *pose, const float *image,
		    size_t count, double *mean, struct pn_error *err)
{
	enum pn_footprint footprint = s->any_axis ? PN_FOOTPRINT_LINEAR : PN_FOOTPRINT_SINC;
	size_t pixels = s->ny * s->nx;
	struct pn_projector *projector;
	double r1, r2;
	int rc = pn_projector_plan(&projector, &s->box, pose, count, s->ny, s->nx, footprint, err);

	if (rc)
		return rc;
	float *seen = malloc(count * pixels * sizeof *seen);

	*mean = 0;
	if (seen)
		pn_project(projector, pn_incremental_volume(s->series), seen);
	else
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %zu projections of %zu pixels",
				  count, pixels);
	for (size_t k = 0; !rc && k < count; k++) {
		pn_rfactor(&r1, &r2, seen + k * pixels, image + k * pixels, pixels);
		*mean += r1 / (double)count;
	}
	pn_projector_destroy(projector);
	free(seen);
	return rc;
}

/* ---- one tilt ------------------------------------------------------------------------------ */

static int skip(struct pn_ctx *ctx, unsigned reason)
{
	pn_skip(ctx, reason, 1);
	return PN_OK;
}

/* Into the sums; *in says whether it is. A tilt that cannot be used is skipped. */
static int put(struct reconstruct *s, struct pn_ctx *ctx, const struct pn_tilts_head *head,
	       const float *image, int *in)
{
	struct pn_error why = { 0 };
	struct pn_pose pose;
	size_t pixels = (size_t)(head->ny * head->nx);
	int rc;

	*in = 0;
	pn_pose_euler(&pose, head->phi_deg, head->theta_deg, head->psi_deg);
	if (!s->any_axis && !pn_poses_single_axis(&pose, 1))
		return skip(ctx, SKIP_POSE);
	if (s->series && (head->ny != s->ny || head->nx != s->nx))
		return skip(ctx, SKIP_SHAPE);
	if (!s->series) {
		double largest = largest_of(image, pixels);

		if (!(largest > 0) || !isfinite(largest))
			return skip(ctx, SKIP_RANGE);
		rc = begin(s, ctx, head->ny, head->nx, largest);
		if (rc)
			return rc;
	}
	s->head.r1_new = (double)NAN;
	rc = PN_OK;
	if (!head->revision && pn_incremental_state(s->series)->tilts)
		rc = r_factor(s, &pose, image, 1, &s->head.r1_new, &why);
	if (!rc)
		rc = pn_incremental_put(s->series, head->tilt, &pose, image, &why);
	if (rc == PN_EARG)
		return skip(ctx, SKIP_RANGE);
	if (rc)
		return pn_fail(ctx, rc, "%s", why.text);
	*in = 1;
	return PN_OK;
}

static int withdraw(struct reconstruct *s, struct pn_ctx *ctx, uint64_t tilt)
{
	struct pn_error why = { 0 };
	int rc = s->series ? pn_incremental_withdraw(s->series, tilt, &why) : PN_ENOENT;

	if (rc == PN_ENOENT)
		return skip(ctx, SKIP_UNKNOWN);
	if (rc)
		return pn_fail(ctx, rc, "%s", why.text);
	pn_done(ctx, 1);
	return PN_OK;
}

static int emit_volume(struct reconstruct *s, struct pn_ctx *ctx, int64_t time_ns)
{
	size_t bytes = pn_box_voxels(&s->box) * sizeof(float);
	void *payload;
	int rc = pn_emit(ctx, 0, &s->head, time_ns, bytes, &payload);

	if (rc)
		return rc;
	memcpy(payload, pn_incremental_volume(s->series), bytes);
	s->head.volume++;
	return PN_OK;
}

static void describe(struct reconstruct *s, int final)
{
	const struct pn_incremental_state *state = pn_incremental_state(s->series);

	if (!s->head.volume)
		s->head.volume = 1;
	s->head.state = final ? PN_VOLUME_FINAL : PN_VOLUME_GROWING;
	s->head.images = state->tilts;
	s->head.iterations = (uint64_t)state->last.iterations;
	s->head.misfit = state->misfit;
	s->head.held_out = final ? state->last.held_out : (double)NAN;
	s->head.r1 = s->head.dose_e_per_A2 = s->head.resolution_A = (double)NAN;
	s->head.scf = s->head.far = s->head.empty = (double)NAN;
	s->head.nz = s->box.nz;
	s->head.ny = s->box.ny;
	s->head.nx = s->box.nx;
}

static int take_tilt(struct reconstruct *s, struct pn_ctx *ctx, const struct pn_tilts_head *head,
		     const struct pn_msg *in)
{
	int is_in;
	int rc = put(s, ctx, head, in->payload, &is_in);

	if (rc || !is_in)
		return rc;
	s->head.last_image = head->tilt;
	s->head.pixel_pm = head->pixel_pm;
	s->time_ns = in->time_ns;
	/* revisions come ahead of a new tilt: it is worth working when that is there */
	if (head->revision || ++s->tilts_seen % (uint64_t)s->every) {
		pn_done(ctx, 1);
		return PN_OK;
	}
	rc = pn_incremental_update(s->series, (int)s->iterations, &ctx->err);
	if (rc)
		return rc;
	describe(s, 0);
	s->held = 1;
	s->held_seq = in->seq;
	return PN_OK;
}

static int reconstruct_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct reconstruct *s = self;
	struct pn_tilts_head head;

	if (!s->held || s->held_seq != in->seq) {
		int rc = pn_msg_decode(&pn_tilts_schema, in, &head, &ctx->err);

		if (rc)
			return rc;
		if (head.state == PN_TILT_WITHDRAWN)
			return withdraw(s, ctx, head.tilt);
		rc = take_tilt(s, ctx, &head, in);
		if (rc || !s->held)
			return rc;
	}
	int rc = emit_volume(s, ctx, in->time_ns);

	if (rc)
		return rc;
	pn_done(ctx, 1);
	s->held = 0;
	return PN_OK;
}

/* The last volume: as if all tilts had been there from the start. */
static int reconstruct_drain(void *self, struct pn_ctx *ctx)
{
	struct reconstruct *s = self;
	struct pn_fista_params solving;

	if (s->ended || !s->series || !pn_incremental_state(s->series)->tilts)
		return PN_OK;
	if (!s->finished) {
		pn_fista_defaults(&solving);
		solving.iterations_max = (int)s->iterations_max;
		if (pn_incremental_finish(s->series, &solving, (int)s->held_out, &ctx->err))
			return ctx->err.code;
		struct pn_projections all = pn_incremental_projections(s->series, NULL);

		describe(s, 1);
		s->head.r1_new = (double)NAN;
		int rc = r_factor(s, all.pose, all.image, all.count, &s->head.r1, &ctx->err);
		if (rc)
			return rc;
		s->finished = 1;
	}
	int rc = emit_volume(s, ctx, s->time_ns);

	s->ended = rc == PN_OK;
	return rc;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

struct saved {
	struct pn_volumes_head head;
	uint64_t tilts_seen;
	int64_t time_ns;
	size_t ny, nx;
	double largest_pixel;
	/* between the drain and the end of the stream a restart drains once more */
	uint64_t ended;
};

static int reconstruct_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct reconstruct *s = self;
	struct saved saved = { .head = s->head,
			       .tilts_seen = s->tilts_seen,
			       .time_ns = s->time_ns,
			       .ny = s->ny,
			       .nx = s->nx,
			       .largest_pixel = s->largest_pixel,
			       .ended = (uint64_t)s->ended };

	(void)ctx;
	if (s->held)
		return PN_EAGAIN;
	int rc = pn_blob_put_part(out, &saved, sizeof saved);

	return rc || !s->series ? rc : pn_incremental_save(s->series, out);
}

static int reconstruct_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct reconstruct *s = self;
	struct pn_blob_view view = { data, bytes };
	struct saved saved;
	size_t size = 0;
	const void *part = pn_blob_get_part(&view, &size);

	if (!part || size != sizeof saved)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	memcpy(&saved, part, sizeof saved);
	s->head = saved.head;
	s->tilts_seen = saved.tilts_seen;
	s->time_ns = saved.time_ns;
	s->ended = saved.ended != 0;
	if (!saved.ny)
		return PN_OK; /* saved before the first tilt */
	int rc = begin(s, ctx, saved.ny, saved.nx, saved.largest_pixel);

	return rc ? rc : pn_incremental_load(s->series, view.data, view.bytes, &ctx->err);
}

static void reconstruct_close(void *self)
{
	pn_incremental_destroy(((struct reconstruct *)self)->series);
}

const struct pn_stage_ops pn_stage_reconstruct = {
	.name = "reconstruct",
	.brief = "a volume that grows with the tilts",
	.state_size = sizeof(struct reconstruct),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.take = reconstruct_take,
	.drain = reconstruct_drain,
	.save = reconstruct_save,
	.load = reconstruct_load,
	.close = reconstruct_close,
};
