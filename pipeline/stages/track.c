/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * track - where each particle is on each frame (R4), and a crop around it: what all later stages
 * work on. Crops keep the detector's type and counts; with them go the static lattice spots of the
 * cell's window (graphene), so that nobody takes them for the particle.
 */
#include "perrin/host/stage.h"
#include "perrin/image/follow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_NO_PARTICLE, SKIP_NO_PIXEL_SIZE };

/* What the frames are that the kernels were made for; part of the checkpoint. */
struct shape {
	uint64_t ny, nx;
	double pixel_pm;
};

struct track {
	struct pn_follow_params kernel; /* params; pixel_pm comes from the frames */
	struct pn_follow *follow;
	struct shape shape;
	float *image;               /* [ny][nx] */
	struct pn_followed *found;  /* [PN_BATCH_MAX]: of the message under way */
	uint64_t found_seq;         /* that message: its frames are followed, not yet emitted */
	int found_held;
};

static const struct pn_param params[] = {
	{ .name = "kernel", .group = pn_follow_param_table, .off = offsetof(struct track, kernel) },
	{ 0 },
};

static const struct pn_port inputs[] = { { "frames", &pn_frames_schema, 0 }, { 0 } };
static const struct pn_port outputs[] = { { "crops", &pn_crops_schema, 0 }, { 0 } };
static const char *const reasons[] = { "no_particle", "no_pixel_size", NULL };

static int track_open(void *self, struct pn_ctx *ctx)
{
	struct track *s = self;

	s->found = calloc(PN_BATCH_MAX, sizeof *s->found);
	return s->found ? PN_OK : pn_fail(ctx, PN_ENOMEM, "no memory for %d frames", PN_BATCH_MAX);
}

/* For frames of this kind; those that no kernel can be made for are bad, and what was stays. */
static int make_kernel(struct track *s, struct pn_ctx *ctx, const struct shape *shape)
{
	struct pn_follow_params params_now = s->kernel;
	struct pn_follow *follow;

	params_now.tracker.pixel_pm = shape->pixel_pm;
	int rc = pn_follow_create(&follow, shape->ny, shape->nx, &params_now, &ctx->err);
	if (rc) /* the parameters are good: what is wrong is what the head tells */
		return rc == PN_EARG ? (ctx->err.code = PN_EFRAME) : rc;
	float *image = malloc(shape->ny * shape->nx * sizeof *image);
	if (!image) {
		pn_follow_destroy(follow);
		return pn_fail(ctx, PN_ENOMEM, "no memory for a frame of %llu x %llu",
			       (unsigned long long)shape->ny, (unsigned long long)shape->nx);
	}
	pn_follow_destroy(s->follow);
	free(s->image);
	s->follow = follow;
	s->image = image;
	s->shape = *shape;
	return PN_OK;
}

static int follow_all(struct track *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		      const struct pn_msg *in)
{
	uint64_t pixels = head->ny * head->nx, bytes = pixels * pn_dtype_bytes(head->dtype);

	for (uint64_t f = 0; f < head->count; f++) {
		pn_to_f32(s->image, (const unsigned char *)in->payload + f * bytes, head->dtype, pixels);
		int rc = pn_follow_update(s->follow, s->image, &s->found[f], &ctx->err);
		if (rc)
			return rc;
	}
	s->found_seq = in->seq;
	s->found_held = 1;
	return PN_OK;
}

static int emit_crop(struct track *s, struct pn_ctx *ctx, const struct pn_frames_head *frames,
		     const struct pn_msg *in, uint64_t index, const struct pn_track *track)
{
	const struct pn_followed *found = &s->found[index];
	uint64_t box = (uint64_t)s->kernel.tracker.box_px, pixel = pn_dtype_bytes(frames->dtype);
	struct pn_crops_head head = {
		.frame = frames->frame + index,
		.particle = track->particle,
		.state = track->state == PN_TRACK_NEW ? 0 : 1,
		.x_px = track->x_px,
		.y_px = track->y_px,
		.contrast = track->contrast,
		.dtype = frames->dtype,
		.ny = box < frames->ny ? box : frames->ny,
		.nx = box < frames->nx ? box : frames->nx,
		.pixel_pm = frames->pixel_pm,
		.noise = NAN,
		.snr_db = NAN,
		.raw_snr_db = NAN,
	};
	void *payload;

	head.x0_px = pn_box_origin(track->x_px, head.nx, frames->nx);
	head.y0_px = pn_box_origin(track->y_px, head.ny, frames->ny);
	for (size_t i = 0; i < found->spot_count; i++) {
		head.spots_per_A[head.spot_count++] = found->spots[i].gx_per_A;
		head.spots_per_A[head.spot_count++] = found->spots[i].gy_per_A;
	}
	int rc = pn_emit(ctx, 0, &head, in->time_ns + frames->offset_ns[index],
			 head.ny * head.nx * pixel, &payload);
	if (rc)
		return rc;
	const unsigned char *from = (const unsigned char *)in->payload +
				    (index * frames->ny * frames->nx +
				     (uint64_t)head.y0_px * frames->nx + (uint64_t)head.x0_px) *
					    pixel;
	for (uint64_t y = 0; y < head.ny; y++)
		memcpy((unsigned char *)payload + y * head.nx * pixel, from + y * frames->nx * pixel,
		       head.nx * pixel);
	return PN_OK;
}

static int emit_frame(struct track *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		      const struct pn_msg *in, uint64_t index)
{
	const struct pn_followed *found = &s->found[index];
	unsigned emitted = 0;

	for (size_t i = 0; i < found->count; i++) {
		if (found->tracks[i].state == PN_TRACK_LOST)
			continue;
		int rc = emit_crop(s, ctx, head, in, index, &found->tracks[i]);
		if (rc)
			return rc;
		emitted++;
	}
	if (emitted)
		pn_done(ctx, 1);
	else
		pn_skip(ctx, SKIP_NO_PARTICLE, 1);
	return PN_OK;
}

static int track_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct track *s = self;
	struct pn_frames_head head;
	int rc = pn_msg_decode(&pn_frames_schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	if (!(head.pixel_pm > 0)) {
		pn_skip(ctx, SKIP_NO_PIXEL_SIZE, head.count);
		return PN_OK;
	}
	struct shape shape = { head.ny, head.nx, head.pixel_pm };
	if (!s->follow || memcmp(&s->shape, &shape, sizeof shape)) {
		rc = make_kernel(s, ctx, &shape);
		if (rc)
			return rc;
	}
	/* when there was no room to emit, the message comes again: it is followed once only */
	if (!s->found_held || s->found_seq != in->seq) {
		rc = follow_all(s, ctx, &head, in);
		if (rc)
			return rc;
	}
	for (uint64_t f = 0; f < head.count; f++) {
		rc = emit_frame(s, ctx, &head, in, f);
		if (rc)
			return rc;
	}
	s->found_held = 0;
	return PN_OK;
}

static int track_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct track *s = self;

	if (s->found_held)
		return PN_EAGAIN; /* followed, but not emitted: neither before nor after the message */
	int rc = pn_blob_put(out, &s->shape, sizeof s->shape);
	return rc || !s->follow ? rc : pn_follow_save(s->follow, out, &ctx->err);
}

static int track_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct track *s = self;
	struct shape shape;

	if (bytes < sizeof shape)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	memcpy(&shape, data, sizeof shape);
	bytes -= sizeof shape;
	if (!bytes)
		return PN_OK; /* saved before the first frame */
	int rc = make_kernel(s, ctx, &shape);
	if (!rc)
		rc = pn_follow_load(s->follow, (const unsigned char *)data + sizeof shape, bytes,
				    &ctx->err);
	return rc;
}

static void track_close(void *self)
{
	struct track *s = self;

	pn_follow_destroy(s->follow);
	free(s->image);
	free(s->found);
}

const struct pn_stage_ops pn_stage_track = {
	.name = "track",
	.brief = "follows each particle and cuts it out",
	.state_size = sizeof(struct track),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.open = track_open,
	.take = track_take,
	.save = track_save,
	.load = track_load,
	.close = track_close,
};
