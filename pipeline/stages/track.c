/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * track - where each particle is on each frame (R4), and a crop around it: what all later stages work on.
 *
 * Also learns the static lattice spots of the cell's window (graphene), so that nobody takes them for the
 * particle. Crops keep the detector's type and counts.
 */
#include "perrin/host/stage.h"
#include "perrin/image/background.h"
#include "perrin/image/track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_NO_PARTICLE, SKIP_NO_PIXEL_SIZE };

struct found {
	struct pn_track tracks[PN_TRACKS_MAX];
	size_t count;
	struct pn_spot spots[PN_BACKGROUND_SPOTS_MAX];
	size_t spot_count;
};

/* Plain numbers that decide what comes out; part of the checkpoint. */
struct progress {
	uint64_t frames;
	struct pn_spot spots[PN_BACKGROUND_SPOTS_MAX];
	uint64_t spot_count;
	uint64_t ny, nx;
	double pixel_pm;
};

struct track {
	struct pn_tracker_params kernel;
	struct pn_background_params background_kernel;
	int64_t background_every; /* params end here */
	struct pn_tracker *tracker;
	struct pn_background *background;
	struct progress progress;
	float *image;             /* [ny][nx] */
	struct found *found;      /* [PN_BATCH_MAX]: of the message under way */
	uint64_t found_seq;       /* that message; its frames are tracked already, not yet emitted */
	int found_held;
};

static const struct pn_param params[] = {
	{ .name = "background_every", .help = "every n-th frame teaches the window's lattice (0: none)",
	  .type = PN_PARAM_I64, .off = offsetof(struct track, background_every), .def = 10, .min = 0,
	  .max = 1000000 },
	{ .name = "tracker", .group = pn_tracker_param_table, .off = offsetof(struct track, kernel) },
	{ 0 },
};

static const struct pn_port inputs[] = { { "frames", &pn_frames_schema, 0 }, { 0 } };
static const struct pn_port outputs[] = { { "crops", &pn_crops_schema, 0 }, { 0 } };
static const char *const reasons[] = { "no_particle", "no_pixel_size", NULL };

static int track_open(void *self, struct pn_ctx *ctx)
{
	struct track *s = self;

	pn_params_default(pn_background_param_table, &s->background_kernel);
	s->found = calloc(PN_BATCH_MAX, sizeof *s->found);
	return s->found ? PN_OK : pn_fail(ctx, PN_ENOMEM, "no memory for %d frames", PN_BATCH_MAX);
}

/* For frames of this kind; those that no kernel can be made for are bad, and what was stays. */
static int make_kernels(struct track *s, struct pn_ctx *ctx, uint64_t ny, uint64_t nx,
			double pixel_pm)
{
	struct pn_tracker *tracker = NULL;
	struct pn_background *background = NULL;
	struct pn_tracker_params kernel = s->kernel;
	struct pn_background_params background_kernel = s->background_kernel;
	float *image = NULL;

	kernel.pixel_pm = background_kernel.pixel_pm = pixel_pm;
	int rc = pn_tracker_create(&tracker, ny, nx, &kernel, &ctx->err);
	if (!rc && s->background_every)
		rc = pn_background_create(&background, ny, nx, &background_kernel, &ctx->err);
	if (!rc) {
		image = malloc(ny * nx * sizeof *image);
		if (!image)
			rc = pn_fail(ctx, PN_ENOMEM, "no memory for a frame of %llu x %llu",
				     (unsigned long long)ny, (unsigned long long)nx);
	}
	if (rc) { /* the parameters are good: what is wrong is what the head tells */
		pn_tracker_destroy(tracker);
		pn_background_destroy(background);
		return rc == PN_EARG ? (ctx->err.code = PN_EFRAME) : rc;
	}
	pn_tracker_destroy(s->tracker);
	pn_background_destroy(s->background);
	free(s->image);
	s->tracker = tracker;
	s->background = background;
	s->image = image;
	s->progress.ny = ny;
	s->progress.nx = nx;
	s->progress.pixel_pm = pixel_pm;
	return PN_OK;
}

/* Spots are looked for when they are first known and then ever more rarely. */
static void learn_background(struct track *s)
{
	if (!s->background || s->progress.frames % (uint64_t)s->background_every)
		return;
	pn_background_update(s->background, s->image);
	uint64_t seen = pn_background_frames(s->background);

	if (seen % 64 && (seen & (seen - 1)))
		return;
	s->progress.spot_count = pn_background_find(s->background, s->progress.spots);
	pn_tracker_set_background(s->tracker, s->progress.spots, s->progress.spot_count);
}

static int find_all(struct track *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		    const struct pn_msg *in)
{
	uint64_t pixels = head->ny * head->nx, bytes = pixels * pn_dtype_bytes(head->dtype);

	for (uint64_t f = 0; f < head->count; f++) {
		struct found *found = &s->found[f];

		pn_to_f32(s->image, (const unsigned char *)in->payload + f * bytes, head->dtype, pixels);
		learn_background(s);
		int rc = pn_tracker_update(s->tracker, s->image, found->tracks, &found->count, &ctx->err);
		if (rc)
			return rc;
		memcpy(found->spots, s->progress.spots, sizeof found->spots);
		found->spot_count = s->progress.spot_count;
		s->progress.frames++;
	}
	s->found_seq = in->seq;
	s->found_held = 1;
	return PN_OK;
}

/* First pixel of a box about a centre, kept inside the frame. */
static int64_t box_origin(double center, uint64_t box, uint64_t size)
{
	int64_t origin = (int64_t)lround(center) - (int64_t)(box / 2);
	int64_t last = (int64_t)(size - box);

	return origin < 0 ? 0 : origin > last ? last : origin;
}

static int emit_crop(struct track *s, struct pn_ctx *ctx, const struct pn_frames_head *frames,
		     const struct pn_msg *in, uint64_t index, const struct pn_track *track)
{
	const struct found *found = &s->found[index];
	uint64_t box = (uint64_t)s->kernel.box_px, pixel = pn_dtype_bytes(frames->dtype);
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
	};
	void *payload;

	head.x0_px = box_origin(track->x_px, head.nx, frames->nx);
	head.y0_px = box_origin(track->y_px, head.ny, frames->ny);
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
	const struct found *found = &s->found[index];
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
	if (!s->tracker || s->progress.ny != head.ny || s->progress.nx != head.nx ||
	    s->progress.pixel_pm != head.pixel_pm) {
		rc = make_kernels(s, ctx, head.ny, head.nx, head.pixel_pm);
		if (rc)
			return rc;
	}
	/* when there was no room to emit, the message comes again: it is tracked once only */
	if (!s->found_held || s->found_seq != in->seq) {
		rc = find_all(s, ctx, &head, in);
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

/* ---- checkpoint: progress, then the tracker's bytes, then the background's ------------------- */

static int track_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct track *s = self;
	size_t tracker_bytes = 0, background_bytes = 0;

	if (s->found_held)
		return PN_EAGAIN; /* tracked, but not emitted: neither before nor after the message */
	int rc = pn_blob_put_part(out, &s->progress, sizeof s->progress);
	if (rc || !s->tracker)
		return rc;
	pn_tracker_save(s->tracker, NULL, &tracker_bytes, &ctx->err);
	if (s->background)
		pn_background_save(s->background, NULL, &background_bytes, &ctx->err);
	size_t room = tracker_bytes > background_bytes ? tracker_bytes : background_bytes;
	void *bytes = malloc(room);
	if (!bytes)
		return pn_fail(ctx, PN_ENOMEM, "no memory for a checkpoint of %zu bytes", room);
	rc = pn_tracker_save(s->tracker, bytes, &tracker_bytes, &ctx->err);
	if (!rc)
		rc = pn_blob_put_part(out, bytes, tracker_bytes);
	if (!rc && s->background) {
		rc = pn_background_save(s->background, bytes, &background_bytes, &ctx->err);
		if (!rc)
			rc = pn_blob_put_part(out, bytes, background_bytes);
	}
	free(bytes);
	return rc;
}

static int track_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct track *s = self;
	struct pn_blob_view view = { data, bytes };
	const void *part = pn_blob_get_part(&view, &bytes);
	struct progress progress;

	if (!part || bytes != sizeof progress)
		return pn_fail(ctx, PN_EVERSION, "checkpoint is of another version");
	memcpy(&progress, part, sizeof progress);
	if (!view.bytes)
		return PN_OK; /* saved before the first frame */
	int rc = make_kernels(s, ctx, progress.ny, progress.nx, progress.pixel_pm);
	if (rc)
		return rc;
	s->progress = progress;
	part = pn_blob_get_part(&view, &bytes);
	if (!part)
		return pn_fail(ctx, PN_EVERSION, "checkpoint lacks the tracker");
	rc = pn_tracker_load(s->tracker, part, bytes, &ctx->err);
	if (rc || !s->background)
		return rc;
	part = pn_blob_get_part(&view, &bytes);
	if (!part)
		return pn_fail(ctx, PN_EVERSION, "checkpoint lacks the background");
	return pn_background_load(s->background, part, bytes, &ctx->err);
}

static void track_close(void *self)
{
	struct track *s = self;

	pn_tracker_destroy(s->tracker);
	pn_background_destroy(s->background);
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
