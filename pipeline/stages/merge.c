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

/* A tilt that is merged; head.frames 0: there was nothing in it. */
struct merged {
	struct pn_tilts_head head;
	int64_t time_ns;
	float *mean;         /* [ny][nx] as the frames are */
	unsigned skipped[2]; /* of its frames: not registered, empty */
};

struct merge {
	int64_t frames;
	int axis_x;
	struct pn_register_params registering;

	struct pn_tilts_head head; /* of the tilt under way; head.frames are held */
	int64_t time_ns;
	float *held;          /* [PN_REGISTER_FRAMES_MAX][ny][nx] */
	struct merged *ready; /* [ready_room] that ended with the message under way; means stay */
	size_t ready_count, ready_room;
	uint64_t taken_seq;
	int taken; /* the message under way is in; what ended with it is not out */
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
static void measure_noise(const struct merge *s, struct pn_tilts_head *head,
			  const struct pn_merge_report *report)
{
	double shift_px[PN_REGISTER_FRAMES_MAX][2], n = (double)head->frames;
	struct pn_noise_fit fit;
	int rc;

	for (uint64_t k = 0; k < head->frames; k++) {
		shift_px[k][0] = report ? report->shift[k].x_px : 0;
		shift_px[k][1] = report ? report->shift[k].y_px : 0;
	}
	if (head->frames > 1)
		rc = pn_noise_from_frames(&fit, s->held, head->frames, head->ny, head->nx,
					  (const double(*)[2])shift_px, NULL, NULL);
	else
		rc = pn_noise_from_image(&fit, s->held, head->ny, head->nx, NULL, NULL);
	head->gain = head->readout = (double)NAN;
	if (rc || !(fit.model.gain > 0))
		return;
	/* an offset and a readout noise cannot be told apart: one line is all there is */
	double at_zero = fit.intercept > 0 ? fit.intercept : 0;

	head->gain = fit.model.gain / n;
	head->readout = sqrt(at_zero / n);
}

/* Registration failed: the first frame stands for the tilt. */
static void take_first(const struct merge *s, struct merged *m)
{
	memcpy(m->mean, s->held, pixels_of(s) * sizeof *m->mean);
	m->skipped[0] = (unsigned)m->head.frames - 1;
	m->head.frames = 1;
	m->head.drift_px = (double)NAN;
	measure_noise(s, &m->head, NULL);
}

static int is_empty(const struct merge *s)
{
	for (size_t i = 1; i < pixels_of(s) * s->head.frames; i++)
		if (s->held[i] != s->held[0])
			return 0;
	return 1;
}

static int merge_held(const struct merge *s, struct merged *m, struct pn_ctx *ctx)
{
	uint64_t n = m->head.frames;
	struct pn_merge_report report;
	struct pn_error why = { 0 };
	uint8_t *count;

	m->skipped[0] = m->skipped[1] = 0;
	if (is_empty(s)) {
		m->skipped[1] = (unsigned)n;
		m->head.frames = 0;
		return PN_OK;
	}
	if (n == 1) {
		take_first(s, m);
		return PN_OK;
	}
	count = malloc(pixels_of(s));
	if (!count)
		return pn_fail(ctx, PN_ENOMEM, "no memory for %zu pixels", pixels_of(s));
	int rc = pn_merge_frames(m->mean, count, &report, s->held, n, m->head.ny, m->head.nx,
				 &s->registering, NULL, &why);

	free(count);
	if (rc == PN_ENOMEM)
		return pn_fail(ctx, rc, "%s", why.text);
	if (rc) {
		take_first(s, m);
		return PN_OK;
	}
	m->head.drift_px = 0;
	for (uint64_t k = 0; k < n; k++)
		m->head.drift_px =
			fmax(m->head.drift_px, hypot(report.shift[k].x_px, report.shift[k].y_px));
	measure_noise(s, &m->head, &report);
	return PN_OK;
}

/* Room for one more merged tilt, with its mean; NULL: none. */
static struct merged *next_ready(struct merge *s, struct pn_ctx *ctx)
{
	if (s->ready_count == s->ready_room) {
		size_t room = s->ready_room ? 2 * s->ready_room : 4;
		struct merged *grown = realloc(s->ready, room * sizeof *grown);

		if (!grown) {
			pn_fail(ctx, PN_ENOMEM, "no memory for %zu tilts", room);
			return NULL;
		}
		memset(grown + s->ready_room, 0, (room - s->ready_room) * sizeof *grown);
		s->ready = grown;
		s->ready_room = room;
	}
	struct merged *m = &s->ready[s->ready_count];

	if (!m->mean)
		m->mean = malloc(pixels_of(s) * sizeof *m->mean);
	if (m->mean)
		return m;
	pn_fail(ctx, PN_ENOMEM, "no memory for tilt %zu of a message, %zu pixels",
		s->ready_count + 1, pixels_of(s));
	return NULL;
}

/* The frames that are held make a tilt. */
static int end_tilt(struct merge *s, struct pn_ctx *ctx)
{
	if (!s->head.frames)
		return PN_OK;
	struct merged *m = next_ready(s, ctx);

	if (!m)
		return PN_ENOMEM;
	m->head = s->head;
	m->time_ns = s->time_ns;
	int rc = merge_held(s, m, ctx);

	if (rc)
		return rc;
	s->ready_count++;
	s->head.frames = 0;
	s->head.tilt += m->head.frames > 0;
	return PN_OK;
}

/* ---- going out ----------------------------------------------------------------------------- */

static void copy_mean(const struct merge *s, const float *mean, float *out)
{
	size_t ny = s->head.ny, nx = s->head.nx;

	if (!s->axis_x) {
		memcpy(out, mean, ny * nx * sizeof *out);
		return;
	}
	for (size_t y = 0; y < ny; y++)
		for (size_t x = 0; x < nx; x++)
			out[x * ny + y] = mean[y * nx + x];
}

static int emit_merged(const struct merge *s, const struct merged *m, struct pn_ctx *ctx)
{
	struct pn_tilts_head head = m->head;
	void *payload;

	if (s->axis_x) {
		head.ny = m->head.nx;
		head.nx = m->head.ny;
	}
	if (!isnan(head.dose_e_per_A2))
		head.dose_e_per_A2 *= (double)head.frames;
	int rc = pn_emit(ctx, 0, &head, m->time_ns, pixels_of(s) * sizeof(float), &payload);

	if (!rc)
		copy_mean(s, m->mean, payload);
	return rc;
}

/* All or nothing: what one call emits before it finds no room is lost. */
static int emit_ready(struct merge *s, struct pn_ctx *ctx)
{
	for (size_t i = 0; i < s->ready_count; i++) {
		int rc = s->ready[i].head.frames ? emit_merged(s, &s->ready[i], ctx) : PN_OK;

		if (rc)
			return rc;
	}
	for (size_t i = 0; i < s->ready_count; i++) {
		const struct merged *m = &s->ready[i];

		if (m->head.frames)
			pn_done(ctx, m->head.frames);
		if (m->skipped[0])
			pn_skip(ctx, SKIP_NOT_REGISTERED, m->skipped[0]);
		if (m->skipped[1])
			pn_skip(ctx, SKIP_EMPTY, m->skipped[1]);
	}
	s->ready_count = 0;
	s->taken = 0;
	return PN_OK;
}

/* ---- frames -------------------------------------------------------------------------------- */

static int begin_tilt(struct merge *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		      const struct pn_msg *in, uint64_t f)
{
	size_t pixels = (size_t)(head->ny * head->nx);

	if (!s->held) {
		s->held = malloc(PN_REGISTER_FRAMES_MAX * pixels * sizeof *s->held);
		if (!s->held)
			return pn_fail(ctx, PN_ENOMEM, "no memory for %d frames of %zu pixels",
				       PN_REGISTER_FRAMES_MAX, pixels);
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

/* One frame in; a tilt that it begins ends the one before, and one of known size ends with it. */
static int take_one(struct merge *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		    const struct pn_msg *in, uint64_t f)
{
	uint64_t most = s->frames ? (uint64_t)s->frames : PN_REGISTER_FRAMES_MAX;
	size_t pixels = (size_t)(head->ny * head->nx), bytes = pixels * pn_dtype_bytes(head->dtype);
	int rc = PN_OK;

	if (s->head.frames == most ||
	    (s->head.frames && fabs(s->head.theta_deg - head->tilt_deg) > SAME_ANGLE_DEG))
		rc = end_tilt(s, ctx);
	if (!rc && !s->head.frames)
		rc = begin_tilt(s, ctx, head, in, f);
	if (rc)
		return rc;
	pn_to_f32(s->held + s->head.frames++ * pixels, (const char *)in->payload + f * bytes,
		  head->dtype, pixels);
	return s->frames && s->head.frames == most ? end_tilt(s, ctx) : PN_OK;
}

static int merge_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct merge *s = self;
	struct pn_frames_head head;

	if (s->taken && s->taken_seq == in->seq)
		return emit_ready(s, ctx);
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
	for (uint64_t f = 0; f < head.count; f++) {
		rc = take_one(s, ctx, &head, in, f);
		if (rc)
			return rc;
	}
	s->taken = 1;
	s->taken_seq = in->seq;
	return emit_ready(s, ctx);
}

static int merge_drain(void *self, struct pn_ctx *ctx)
{
	struct merge *s = self;
	int rc = end_tilt(s, ctx);

	return rc ? rc : emit_ready(s, ctx);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int merge_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct merge *s = self;

	(void)ctx;
	if (s->ready_count)
		return PN_EAGAIN; /* what ended with the message, or in the drain, is not out */
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
	if (!s->held)
		return pn_fail(ctx, PN_ENOMEM, "no memory for %d frames of %zu pixels",
			       PN_REGISTER_FRAMES_MAX, pixels_of(s));
	memcpy(s->held, part[2], size[2]);
	return PN_OK;
}

static void merge_close(void *self)
{
	struct merge *s = self;

	for (size_t i = 0; i < s->ready_room; i++)
		free(s->ready[i].mean);
	free(s->ready);
	free(s->held);
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
