/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * align - each tilt brought onto the tilt axis (R24): centre of mass across it, common line along
 * it. Every tilt that comes tells something of those before, so the whole series is aligned anew,
 * and a tilt that moved by more than revise_px goes out once more, as a revision.
 */
#include "perrin/tomo/align.h"
#include "perrin/host/stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_SHAPE, SKIP_EMPTY, SKIP_FIELD };

#define TILTS_MIN     3 /* below, an axis cannot be told                                     */
#define REVISIONS_MAX 8 /* with a new tilt, those that moved most; the others when it is over */

/* A tilt as it came, and what went out of it. */
struct tilt {
	struct pn_tilts_head head;
	int64_t time_ns;
	int sent;                  /* times it went out                 */
	int going;                 /* out, with the message under way   */
	double axis_deg, shift[2]; /* of what went out last             */
};

struct align {
	double revise_px;
	struct pn_tilt_align_params aligning;

	size_t count, capacity, ny, nx;
	struct tilt *tilt;
	float *image;                /* [capacity][ny][nx] */
	double *angle_deg;           /* [capacity] */
	struct pn_tilt_shift *shift; /* [capacity] */
	struct pn_tilt_alignment alignment;
	uint64_t held_seq;
	int held; /* the tilt under way is in; nothing of it is out */
};

static const struct pn_param params[] = {
	{ .name = "revise_px",
	  .unit = "px",
	  .help = "a tilt whose alignment changed by more goes out again",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct align, revise_px),
	  .def = 0.1,
	  .min = 1e-3,
	  .max = 100 },
	{ .name = "aligning",
	  .group = pn_tilt_align_param_table,
	  .off = offsetof(struct align, aligning) },
	{ 0 },
};

static const struct pn_port inputs[] = { { .name = "tilts", .schema = &pn_tilts_schema }, { 0 } };
static const struct pn_port outputs[] = { { .name = "aligned", .schema = &pn_tilts_schema },
					  { 0 } };
static const char *const reasons[] = { "other_shape", "empty", "leaves_the_field", NULL };

static size_t pixels_of(const struct align *s)
{
	return s->ny * s->nx;
}

/* ---- the series ---------------------------------------------------------------------------- */

static int reserve(struct align *s, struct pn_ctx *ctx, size_t count)
{
	size_t capacity = s->capacity ? s->capacity : 64;
	void *grown;

	while (capacity < count)
		capacity *= 2;
	if (capacity == s->capacity)
		return PN_OK;
	if ((grown = realloc(s->tilt, capacity * sizeof *s->tilt)))
		s->tilt = grown;
	if (grown && (grown = realloc(s->angle_deg, capacity * sizeof *s->angle_deg)))
		s->angle_deg = grown;
	if (grown && (grown = realloc(s->shift, capacity * sizeof *s->shift)))
		s->shift = grown;
	if (grown && (grown = realloc(s->image, capacity * pixels_of(s) * sizeof *s->image)))
		s->image = grown;
	if (!grown)
		return pn_fail(ctx, PN_ENOMEM, "no memory for %zu tilts of %zu pixels", capacity,
			       pixels_of(s));
	s->capacity = capacity;
	return PN_OK;
}

static int add_tilt(struct align *s, struct pn_ctx *ctx, const struct pn_tilts_head *head,
		    const struct pn_msg *in)
{
	int rc = reserve(s, ctx, s->count + 1);

	if (rc)
		return rc;
	s->tilt[s->count] = (struct tilt){ .head = *head, .time_ns = in->time_ns };
	s->angle_deg[s->count] = head->theta_deg;
	memcpy(s->image + s->count * pixels_of(s), in->payload, pixels_of(s) * sizeof *s->image);
	s->count++;
	return PN_OK;
}

static int align_all(struct align *s, struct pn_error *err)
{
	struct pn_tilt_series series = { .count = s->count,
					 .ny = s->ny,
					 .nx = s->nx,
					 .image = s->image,
					 .angle_deg = s->angle_deg };

	return pn_tilt_align(&s->alignment, s->shift, &series, &s->aligning, err);
}

/*
 * Whether and why a tilt cannot be in a series, by the rules of pn_tilt_align: told when it comes,
 * lest one of the first, which wait for an axis, keeps all the others out.
 */
static int unusable(const struct align *s, const float *image, unsigned *reason)
{
	double sum = 0, border = 0;

	for (size_t y = 0; y < s->ny; y++)
		for (size_t x = 0; x < s->nx; x++) {
			double v = (double)image[y * s->nx + x];

			sum += v;
			border += y == 0 || x == 0 || y + 1 == s->ny || x + 1 == s->nx ? v : 0;
		}
	*reason = sum > 0 && isfinite(sum) ? SKIP_FIELD : SKIP_EMPTY;
	return *reason == SKIP_EMPTY || fabs(border) > s->aligning.border_mass_max * sum;
}

/* ---- going out ----------------------------------------------------------------------------- */

/* How far the rim of the image moves from what went out to what is known now. */
static double change_px(const struct align *s, size_t i)
{
	const struct tilt *t = &s->tilt[i];
	double turn = (s->alignment.axis_deg - t->axis_deg) * M_PI / 180;

	return hypot(s->shift[i].shift_px[0] - t->shift[0], s->shift[i].shift_px[1] - t->shift[1]) +
	       fabs(turn) * (double)(s->ny > s->nx ? s->ny : s->nx) / 2;
}

/* All that never went out, and of those that moved by more than revise_px the @most worst. */
static void choose(struct align *s, size_t most)
{
	for (size_t i = 0; i < s->count; i++)
		s->tilt[i].going = !s->tilt[i].sent;
	for (; most > 0; most--) {
		double largest = s->revise_px;
		struct tilt *worst = NULL;

		for (size_t i = 0; i < s->count; i++)
			if (!s->tilt[i].going && change_px(s, i) > largest) {
				largest = change_px(s, i);
				worst = &s->tilt[i];
			}
		if (!worst)
			return;
		worst->going = 1;
	}
}

static int emit_tilt(struct align *s, struct pn_ctx *ctx, size_t i)
{
	const struct tilt *t = &s->tilt[i];
	struct pn_tilts_head head = t->head;
	void *payload;

	head.state = PN_TILT_ALIGNED;
	head.revision = (uint64_t)t->sent;
	head.axis_deg = s->alignment.axis_deg;
	head.shift_x_px = s->shift[i].shift_px[0];
	head.shift_y_px = s->shift[i].shift_px[1];
	head.correlation = s->shift[i].correlation;
	int rc = pn_emit(ctx, 0, &head, t->time_ns, pixels_of(s) * sizeof(float), &payload);

	return rc ? rc
		  : pn_tilt_resample(payload, s->image + i * pixels_of(s), s->ny, s->nx,
				     s->alignment.axis_deg, s->shift[i].shift_px, &ctx->err);
}

/*
 * First the revisions, then what is new: who follows the series works when a new tilt comes. All
 * or nothing: without room for one of them all come again.
 */
static int emit_chosen(struct align *s, struct pn_ctx *ctx)
{
	for (int fresh = 0; fresh < 2; fresh++)
		for (size_t i = 0; i < s->count; i++) {
			if (!s->tilt[i].going || (s->tilt[i].sent == 0) != fresh)
				continue;
			int rc = emit_tilt(s, ctx, i);

			if (rc)
				return rc;
		}
	for (size_t i = 0; i < s->count; i++) {
		struct tilt *t = &s->tilt[i];

		if (!t->going)
			continue;
		if (!t->sent++)
			pn_done(ctx, 1);
		t->axis_deg = s->alignment.axis_deg;
		memcpy(t->shift, s->shift[i].shift_px, sizeof t->shift);
	}
	s->held = 0;
	return PN_OK;
}

/* The tilt that came last makes the series impossible to align: do without it. */
static int drop_last(struct align *s, struct pn_ctx *ctx, unsigned reason)
{
	pn_skip(ctx, reason, 1);
	s->count--;
	s->held = 0;
	return PN_OK;
}

static int align_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct align *s = self;
	struct pn_tilts_head head;
	struct pn_error why = { 0 };
	unsigned reason;

	if (s->held && s->held_seq == in->seq)
		return emit_chosen(s, ctx);
	int rc = pn_msg_decode(&pn_tilts_schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	if (!s->count) {
		s->ny = head.ny;
		s->nx = head.nx;
	}
	if (head.ny != s->ny || head.nx != s->nx) {
		pn_skip(ctx, SKIP_SHAPE, 1);
		return PN_OK;
	}
	if (unusable(s, in->payload, &reason)) {
		pn_skip(ctx, reason, 1);
		return PN_OK;
	}
	rc = add_tilt(s, ctx, &head, in);
	if (rc)
		return rc;
	s->held = 1;
	s->held_seq = in->seq;
	if (s->count < TILTS_MIN) {
		s->held = 0;
		return PN_OK;
	}
	rc = align_all(s, &why);
	if (rc == PN_ENOMEM)
		return pn_fail(ctx, rc, "%s", why.text);
	if (rc)
		return drop_last(s, ctx, SKIP_FIELD);
	choose(s, REVISIONS_MAX);
	return emit_chosen(s, ctx);
}

/* What still stands other than is known by now; fewer tilts than an axis needs as they came. */
static int align_drain(void *self, struct pn_ctx *ctx)
{
	struct align *s = self;

	if (s->count < TILTS_MIN) {
		memset(&s->alignment, 0, sizeof s->alignment);
		if (s->count)
			memset(s->shift, 0, s->count * sizeof *s->shift);
	} else {
		struct pn_error why = { 0 };
		int rc = align_all(s, &why);

		if (rc)
			return pn_fail(ctx, rc, "%s", why.text);
	}
	choose(s, s->count);
	return emit_chosen(s, ctx);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int align_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct align *s = self;

	(void)ctx;
	if (s->held)
		return PN_EAGAIN;
	int rc = pn_blob_put_part(out, s->tilt, s->count * sizeof *s->tilt);

	return rc ? rc
		  : pn_blob_put_part(out, s->image, s->count * pixels_of(s) * sizeof *s->image);
}

static int align_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct align *s = self;
	struct pn_blob_view view = { data, bytes };
	size_t tilt_bytes = 0, image_bytes = 0;
	const struct tilt *tilt = pn_blob_get_part(&view, &tilt_bytes);
	const void *image = tilt ? pn_blob_get_part(&view, &image_bytes) : NULL;
	size_t count = tilt_bytes / sizeof *s->tilt;

	if (!image || tilt_bytes % sizeof *s->tilt)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	if (!count)
		return PN_OK;
	struct tilt first;

	memcpy(&first, tilt, sizeof first);
	s->ny = first.head.ny;
	s->nx = first.head.nx;
	if (image_bytes != count * pixels_of(s) * sizeof *s->image)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	int rc = reserve(s, ctx, count);

	if (rc)
		return rc;
	memcpy(s->tilt, tilt, tilt_bytes);
	memcpy(s->image, image, image_bytes);
	s->count = count;
	for (size_t i = 0; i < count; i++)
		s->angle_deg[i] = s->tilt[i].head.theta_deg;
	return PN_OK;
}

static void align_close(void *self)
{
	struct align *s = self;

	free(s->tilt);
	free(s->image);
	free(s->angle_deg);
	free(s->shift);
}

const struct pn_stage_ops pn_stage_align = {
	.name = "align",
	.brief = "brings each tilt onto the tilt axis",
	.state_size = sizeof(struct align),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.take = align_take,
	.drain = align_drain,
	.save = align_save,
	.load = align_load,
	.close = align_close,
};
