/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ingest - the first stage: frames are checked, gathered into batches and become the recording. What a
 * source knows besides (truth, specimens) is recorded as it is.
 *
 * Per frame: one copy of the payload (two with batch > 1). Batches break where the frame shape, the
 * pixel size or the sequence of indices breaks, never by the clock: a replay makes the same ones.
 */
#include "perrin/host/stage.h"

#include <stdlib.h>
#include <string.h>

enum { IN_FRAMES, IN_TRUTH, IN_SPECIMEN };
enum { SKIP_SHAPE, SKIP_REPEATED };

#define OFFSET_NS_MAX INT64_C(1000000000000000000) /* of a frame in a message, by its schema */

struct ingest {
	int64_t batch;               /* param */
	struct pn_frames_head first; /* of the session: what every frame must look like */
	int started;
	uint64_t next_frame;         /* smallest index not seen yet                     */
	struct pn_frames_head held;  /* the batch under way                             */
	int64_t held_time_ns;
	unsigned char *pixels;       /* its payload                                     */
	uint64_t capacity;
};

static const struct pn_param params[] = {
	{ .name = "batch", .help = "frames per message", .type = PN_PARAM_I64,
	  .off = offsetof(struct ingest, batch), .def = 1, .min = 1, .max = PN_BATCH_MAX },
	{ 0 },
};

static const struct pn_port inputs[] = {
	{ "frames", &pn_frames_schema, 0 },
	{ "truth", &pn_truth_schema, 1 },
	{ "specimen", &pn_specimen_schema, 1 },
	{ 0 },
};

static const char *const reasons[] = { "other_shape", "repeated", NULL };

static uint64_t frame_bytes(const struct pn_frames_head *head)
{
	return head->ny * head->nx * pn_dtype_bytes(head->dtype);
}

static int flush(struct ingest *s, struct pn_ctx *ctx)
{
	void *payload;

	if (!s->held.count)
		return PN_OK;
	uint64_t bytes = s->held.count * frame_bytes(&s->held);
	int rc = pn_emit(ctx, IN_FRAMES, &s->held, s->held_time_ns, bytes, &payload);
	if (rc)
		return rc;
	memcpy(payload, s->pixels, bytes);
	pn_done(ctx, s->held.count);
	s->held.count = 0;
	return PN_OK;
}

static int pass_on(struct pn_ctx *ctx, const struct pn_msg *in, const struct pn_schema *schema)
{
	union {
		struct pn_truth_head truth;
		struct pn_specimen_head specimen;
	} head;
	void *payload;
	int rc = pn_msg_decode(schema, in, &head, &ctx->err);

	if (!rc)
		rc = pn_emit(ctx, in->port, &head, in->time_ns, in->payload_bytes, &payload);
	if (rc)
		return rc;
	if (in->payload_bytes)
		memcpy(payload, in->payload, in->payload_bytes);
	pn_done(ctx, 1);
	return PN_OK;
}

static int same_shape(const struct pn_frames_head *a, const struct pn_frames_head *b)
{
	return a->dtype == b->dtype && a->ny == b->ny && a->nx == b->nx;
}

/* NaN (not known) equals NaN */
static int same_number(double a, double b)
{
	return a == b || (a != a && b != b);
}

/* Times within a batch are told as what has passed since its first frame: they cannot fall. */
static int joins(const struct ingest *s, const struct pn_frames_head *head, int64_t time_ns)
{
	int64_t after;

	return !__builtin_sub_overflow(time_ns, s->held_time_ns, &after) && after <= OFFSET_NS_MAX &&
	       after >= s->held.offset_ns[s->held.count - 1] &&
	       s->held.frame + s->held.count == head->frame &&
	       same_number(s->held.pixel_pm, head->pixel_pm) &&
	       same_number(s->held.dose_e_per_A2, head->dose_e_per_A2) &&
	       same_number(s->held.energy_keV, head->energy_keV) &&
	       same_number(s->held.tilt_deg, head->tilt_deg);
}

static int hold(struct ingest *s, struct pn_ctx *ctx, const struct pn_frames_head *head,
		const struct pn_msg *in)
{
	uint64_t bytes = frame_bytes(head);

	if (s->held.count && !joins(s, head, in->time_ns)) {
		int rc = flush(s, ctx);

		if (rc)
			return rc;
	}
	if (!s->pixels) {
		s->capacity = (uint64_t)s->batch * bytes;
		s->pixels = malloc(s->capacity);
		if (!s->pixels)
			return pn_fail(ctx, PN_ENOMEM, "no memory for %lld frames of %llu bytes",
				       (long long)s->batch, (unsigned long long)bytes);
	}
	if (!s->held.count) {
		s->held = *head;
		s->held.count = 0;
		s->held_time_ns = in->time_ns;
	}
	memcpy(s->pixels + s->held.count * bytes, in->payload, bytes);
	s->held.offset_ns[s->held.count++] = in->time_ns - s->held_time_ns;
	s->held.offset_count = s->held.count;
	return PN_OK;
}

/* One frame a message is the common case: from the source's buffer straight into the stream. */
static int pass_frame(struct pn_ctx *ctx, const struct pn_frames_head *head, const struct pn_msg *in)
{
	void *payload;
	int rc = pn_emit(ctx, IN_FRAMES, head, in->time_ns, in->payload_bytes, &payload);

	if (rc)
		return rc;
	memcpy(payload, in->payload, in->payload_bytes);
	pn_done(ctx, 1);
	return PN_OK;
}

static int take_frame(struct ingest *s, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_frames_head head;
	int rc = pn_msg_decode(&pn_frames_schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	if (head.count != 1)
		return pn_fail(ctx, PN_EFRAME, "frame %llu: %llu frames in one message of a source, need 1",
			       (unsigned long long)head.frame, (unsigned long long)head.count);
	if (s->started && !same_shape(&head, &s->first)) {
		pn_skip(ctx, SKIP_SHAPE, 1);
		return PN_OK;
	}
	if (s->started && head.frame < s->next_frame) {
		pn_skip(ctx, SKIP_REPEATED, 1);
		return PN_OK;
	}
	/* left full by the frame before, which found no room */
	if (s->batch > 1 && (int64_t)s->held.count == s->batch) {
		rc = flush(s, ctx);
		if (rc)
			return rc;
	}
	rc = s->batch > 1 ? hold(s, ctx, &head, in) : pass_frame(ctx, &head, in);
	if (rc)
		return rc;
	if (!s->started)
		s->first = head;
	s->started = 1;
	s->next_frame = head.frame + 1;
	/* A full batch goes out with the frame that fills it: between batches there is a moment for
	 * checkpoints. Without room it waits for the next frame; this one is taken by now. */
	if ((int64_t)s->held.count == s->batch)
		rc = flush(s, ctx);
	return rc == PN_EAGAIN ? PN_OK : rc;
}

static int ingest_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	switch (in->port) {
	case IN_FRAMES:
		return take_frame(self, ctx, in);
	case IN_TRUTH:
		return pass_on(ctx, in, &pn_truth_schema);
	default:
		return pass_on(ctx, in, &pn_specimen_schema);
	}
}

static int ingest_drain(void *self, struct pn_ctx *ctx)
{
	return flush(self, ctx);
}

/* A checkpoint holds no pixels: it waits until a batch is out. */
static int ingest_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct ingest *s = self;

	(void)ctx;
	if (s->held.count)
		return PN_EAGAIN;
	int rc = pn_blob_put(out, &s->first, sizeof s->first);
	if (!rc)
		rc = pn_blob_put(out, &s->started, sizeof s->started);
	return rc ? rc : pn_blob_put(out, &s->next_frame, sizeof s->next_frame);
}

static int ingest_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct ingest *s = self;
	const unsigned char *from = data;

	if (bytes != sizeof s->first + sizeof s->started + sizeof s->next_frame)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes is of another version", bytes);
	memcpy(&s->first, from, sizeof s->first);
	memcpy(&s->started, from + sizeof s->first, sizeof s->started);
	memcpy(&s->next_frame, from + sizeof s->first + sizeof s->started, sizeof s->next_frame);
	return PN_OK;
}

static void ingest_close(void *self)
{
	free(((struct ingest *)self)->pixels);
}

const struct pn_stage_ops pn_stage_ingest = {
	.name = "ingest",
	.brief = "checks and records what the source gives",
	.state_size = sizeof(struct ingest),
	.params = params,
	.inputs = inputs,
	.outputs = inputs,
	.reasons = reasons,
	.take = ingest_take,
	.drain = ingest_drain,
	.save = ingest_save,
	.load = ingest_load,
	.close = ingest_close,
};
