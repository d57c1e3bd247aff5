/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * merge - the frames of one tilt, registered, their drift undone, and averaged (R21). A tilt is
 * what lies between two changes of the stage's angle; it goes out with the first frame of the next,
 * or as soon as it has `frames` of them.
 */
#include "perrin/host/stage.h"
#include "perrin/image/noise.h"
#include "perrin/image/register.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_NO_ANGLE, SKIP_SHAPE, SKIP_NOT_REGISTERED, SKIP_EMPTY };

#define SAME_ANGLE_DEG 1e-3

struct merge {
	int64_t frames;
	int axis_x;
	struct pn_register_params registering;

	struct pn_tilts_head head; /* of the tilt under way; head.frames are held */
	int64_t time_ns;
	float *held;                      /* [PN_REGISTER_FRAMES_MAX][ny][nx] */
	float *mean;                      /* [ny][nx], of the tilt under way once it is merged */
	int merged;                       /* it is: only the emission is left */
	unsigned skipped[2];              /* of its frames: not registered, empty */
	uint64_t resume_seq, resume_from; /* frames of this message that are in already */
};

static const char *const axis_choices[] = { "y", "x", NULL };
static const struct pn_param params[] = {
	{ .name = "frames",
	  .help = "frames of a tilt; 0: until the angle changes, 16 at most",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct merge, frames),
	  .max = PN_REGISTER_FRAMES_MAX },
	{ .name = "tilt_axis",
	  .help = "of the frames; with x they are transposed",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct merge, axis_x),
	  .choices = axis_choices },
	{ .name = "registering",
	  .group = pn_register_param_table,
	  .off = offsetof(struct merge, registering) },
	{ 0 },
};

static const struct pn_port inputs[] = { { .name = "frames", .schema = &pn_frames_schema }, { 0 } };
static const struct pn_port outputs[] = { { .name = "tilts", .schema = &pn_tilts_schema }, { 0 } };
static const char *const reasons[] = { "no_angle", "other_shape", "not_registered", "empty", NULL };

static size_t pixels_of(const struct merge *s)
{
	return (size_t)(s->head.ny * s->head.nx);
}

/* ---- one tilt ------------------------------------------------------------------------------ */

/* The noise of the mean, from the differences of its frames or from the only one. */
static void measure_noise(struct merge *s, const struct pn_merge_report *report)
{
	double shift_px[PN_REGISTER_FRAMES_MAX][2], n = (double)s->head.frames;
	struct pn_noise_fit fit;
	int rc;

	for (uint64_t k = 0; k < s->head.frames; k++) {
		shift_px[k][0] = report ? report->shift[k].x_px : 0;
		shift_px[k][1] = report ? report->shift[k].y_px : 0;
	}
	if (s->head.frames > 1)
		rc = pn_noise_from_frames(&fit, s->held, s->head.frames, s->head.ny, s->head.nx,
					  (const double(*)[2])shift_px, NULL, NULL);
	else
		rc = pn_noise_from_image(&fit, s->held, s->head.ny, s->head.nx, NULL, NULL);
	s->head.gain = s->head.readout = (double)NAN;
	if (rc || !(fit.model.gain > 0))
		return;
	/* an offset and a readout noise cannot be told apart: one line is all there is */
	double at_zero = fit.intercept > 0 ? fit.intercept : 0;

	s->head.gain = fit.model.gain / n;
	s->head.readout = sqrt(at_zero / n);
}

/* Registration failed: the first frame stands for the tilt. */
static void take_first(struct merge *s)
{
	memcpy(s->mean, s->held, pixels_of(s) * sizeof *s->mean);
	s->skipped[0] = (unsigned)s->head.frames - 1;
	s->head.frames = 1;
	s->head.drift_px = (double)NAN;
	measure_noise(s, NULL);
}

static int is_empty(const struct merge *s)
{
	for (size_t i = 1; i < pixels_of(s) * s->head.frames; i++)
		if (s->held[i] != s->held[0])
			return 0;
	return 1;
}

static int merge_held(struct merge *s, struct pn_ctx *ctx)
{
	uint64_t n = s->head.frames;
	struct pn_merge_report report;
	struct pn_error why = { 0 };
	uint8_t *count;

	s->skipped[0] = s->skipped[1] = 0;
	s->merged = 1;
	if (is_empty(s)) {
		s->skipped[1] = (unsigned)n;
		s->head.frames = 0;
		return PN_OK;
	}
	if (n == 1) {
		take_first(s);
		return PN_OK;
	}
	count = malloc(pixels_of(s));
	if (!count)
		return pn_fail(ctx, PN_ENOMEM, "no memory for %zu pixels", pixels_of(s));
	int rc = pn_merge_frames(s->mean, count, &report, s->held, n, s->head.ny, s->head.nx,
				 &s->registering, NULL, &why);

	free(count);
	if (rc == PN_ENOMEM)
		return pn_fail(ctx, rc, "%s", why.text);
	if (rc) {
		take_first(s);
		return PN_OK;
	}
	s->head.drift_px = 0;
	for (uint64_t k = 0; k < n; k++)
		s->head.drift_px =
			fmax(s->head.drift_px, hypot(report.shift[k].x_px, report.shift[k].y_px));
	measure_noise(s, &report);
	return PN_OK;
}

static void copy_mean(const struct merge *s, float *out)
{
	size_t ny = s->head.ny, nx = s->head.nx;

	if (!s->axis_x) {
		memcpy(out, s->mean, ny * nx * sizeof *out);
		return;
	}
	for (size_t y = 0; y < ny; y++)
		for (size_t x = 0; x < nx; x++)
			out[x * ny + y] = s->mean[y * nx + x];
}

/* What is held goes out as one tilt; without room all stays as it is. */
static int flush(struct merge *s, struct pn_ctx *ctx)
{
	void *payload;
	int rc;

	if (!s->head.frames && !s->merged)
		return PN_OK;
	if (!s->merged) {
		rc = merge_held(s, ctx);
		if (rc)
			return rc;
	}
	if (s->head.frames) {
		struct pn_tilts_head head = s->head;

		if (s->axis_x) {
			head.ny = s->head.nx;
			head.nx = s->head.ny;
		}
		if (!isnan(head.dose_e_per_A2))
			head.dose_e_per_A2 *= (double)head.frames;
		rc = pn_emit(ctx, 0, &head, s->time_ns, pixels_of(s) * sizeof(float), &payload);
		if (rc)
			return rc;
		copy_mean(s, payload);
		pn_done(ctx, s->head.frames);
		s->head.tilt++;
	}
	if (s->skipped[0])
		pn_skip(ctx, SKIP_NOT_REGISTERED, s->skipped[0]);
	if (s->skipped[1])
		pn_skip(ctx, SKIP_EMPTY, s->skipped[1]);
	s->head.frames = 0;
	s->merged = 0;
	return PN_OK;
}

/* ---- frames -------------------------------------------------------------------------------- */

static int begin_tilt(struct merge *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		      const struct pn_msg *in, uint64_t f)
{
	size_t pixels = (size_t)(head->ny * head->nx);

	if (!s->held) {
		s->held = malloc(PN_REGISTER_FRAMES_MAX * pixels * sizeof *s->held);
		s->mean = malloc(pixels * sizeof *s->mean);
		if (!s->held || !s->mean)
			return pn_fail(ctx, PN_ENOMEM, "no memory for %d frames of %zu pixels",
				       PN_REGISTER_FRAMES_MAX + 1, pixels);
		s->head.ny = head->ny;
		s->head.nx = head->nx;
	}
	s->head.state = PN_TILT_MERGED;
	s->head.theta_deg = head->tilt_deg;
	s->head.first_frame = head->frame + f;
	s->head.pixel_pm = head->pixel_pm;
	s->head.dose_e_per_A2 = head->dose_e_per_A2;
	s->head.drift_px = s->head.background = s->head.axis_deg = (double)NAN;
	s->head.shift_x_px = s->head.shift_y_px = s->head.correlation = (double)NAN;
	s->time_ns = in->time_ns + head->offset_ns[f];
	return PN_OK;
}

static int take_one(struct merge *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		    const struct pn_msg *in, uint64_t f)
{
	uint64_t most = s->frames ? (uint64_t)s->frames : PN_REGISTER_FRAMES_MAX;
	size_t pixels = (size_t)(head->ny * head->nx), bytes = pixels * pn_dtype_bytes(head->dtype);
	int rc = PN_OK;

	if (s->merged || s->head.frames == most ||
	    (s->head.frames && fabs(s->head.theta_deg - head->tilt_deg) > SAME_ANGLE_DEG))
		rc = flush(s, ctx);
	if (!rc && !s->head.frames)
		rc = begin_tilt(s, ctx, head, in, f);
	if (rc)
		return rc;
	pn_to_f32(s->held + s->head.frames++ * pixels, (const char *)in->payload + f * bytes,
		  head->dtype, pixels);
	return PN_OK;
}

static int merge_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct merge *s = self;
	struct pn_frames_head head;
	int rc = pn_msg_decode(&pn_frames_schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	if (isnan(head.tilt_deg)) {
		pn_skip(ctx, SKIP_NO_ANGLE, head.count);
		return PN_OK;
	}
	if (s->held && (head.ny != s->head.ny || head.nx != s->head.nx)) {
		pn_skip(ctx, SKIP_SHAPE, head.count);
		return PN_OK;
	}
	uint64_t f = s->resume_from && s->resume_seq == in->seq ? s->resume_from : 0;

	for (; f < head.count; f++) {
		rc = take_one(s, ctx, &head, in, f);
		if (rc) {
			s->resume_seq = in->seq;
			s->resume_from = f;
			return rc;
		}
	}
	s->resume_from = 0;
	/* a tilt of known size goes out at once; without room it waits for the next frame */
	if (s->frames && s->head.frames == (uint64_t)s->frames)
		rc = flush(s, ctx);
	return rc == PN_EAGAIN ? PN_OK : rc;
}

static int merge_drain(void *self, struct pn_ctx *ctx)
{
	return flush(self, ctx);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int merge_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct merge *s = self;

	(void)ctx;
	if (s->merged || s->resume_from)
		return PN_EAGAIN; /* merged or half taken, but not emitted */
	int rc = pn_blob_put_part(out, &s->head, sizeof s->head);

	if (!rc)
		rc = pn_blob_put_part(out, &s->time_ns, sizeof s->time_ns);
	return rc ? rc
		  : pn_blob_put_part(out, s->held, s->head.frames * pixels_of(s) * sizeof(float));
}

static int merge_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct merge *s = self;
	struct pn_blob_view view = { data, bytes };
	size_t size[3] = { 0 };
	const void *part[3];

	for (int i = 0; i < 3; i++)
		part[i] = pn_blob_get_part(&view, &size[i]);
	if (!part[2] || size[0] != sizeof s->head || size[1] != sizeof s->time_ns)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	memcpy(&s->head, part[0], sizeof s->head);
	memcpy(&s->time_ns, part[1], sizeof s->time_ns);
	if (!s->head.ny)
		return PN_OK; /* saved before the first frame */
	if (size[2] != s->head.frames * pixels_of(s) * sizeof(float) ||
	    s->head.frames > PN_REGISTER_FRAMES_MAX)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	s->held = malloc(PN_REGISTER_FRAMES_MAX * pixels_of(s) * sizeof *s->held);
	s->mean = malloc(pixels_of(s) * sizeof *s->mean);
	if (!s->held || !s->mean)
		return pn_fail(ctx, PN_ENOMEM, "no memory for frames of %zu pixels", pixels_of(s));
	memcpy(s->held, part[2], size[2]);
	return PN_OK;
}

static void merge_close(void *self)
{
	struct merge *s = self;

	free(s->held);
	free(s->mean);
}

const struct pn_stage_ops pn_stage_merge = {
	.name = "merge",
	.brief = "registers and averages the frames of each tilt",
	.state_size = sizeof(struct merge),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.take = merge_take,
	.drain = merge_drain,
	.save = merge_save,
	.load = merge_load,
	.close = merge_close,
};
