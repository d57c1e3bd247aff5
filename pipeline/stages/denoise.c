/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * denoise - each crop, cleaned by the blind-spot network from its frame and those around it (R2);
 * the weights come from `train` while it learns. Until the first have come crops go through as
 * recorded.
 */
#include "crops.h"
#include "perrin/denoise/cleaner.h"
#include "perrin/format/weights.h"
#include "perrin/host/stage.h"

#include <stdlib.h>
#include <string.h>

enum { CROPS, WEIGHTS };
enum { SKIP_TOO_LARGE };

/* What is kept with each crop until it is emitted. */
struct tag {
	struct pn_crops_head head;
	int64_t time_ns;
};

struct denoise {
	int64_t cache_MiB;
	int arith;
	struct pn_windows *windows;
	struct pn_cleaner *cleaner;
	struct pn_blob weights; /* as they came: part of the checkpoint */
	uint64_t version;       /* their record's number, from 1; 0: none yet */
	uint64_t held_seq;      /* the crop under way: taken in, its windows not yet emitted */
	int held;
};

static const struct pn_param params[] = {
	{ .name = "arith",
	  .help = "numbers to compute in; auto: bf16 where the processor has tiles",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct denoise, arith),
	  .choices = crop_arith_words },
	{ .name = "cache_MiB",
	  .unit = "MiB",
	  .help = "memory for the features of the particles' last frames",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct denoise, cache_MiB),
	  .def = 2048,
	  .min = 0,
	  .max = 1 << 20 },
	{ 0 },
};

static const struct pn_port inputs[] = {
	[CROPS] = { .name = "crops", .schema = &pn_crops_schema },
	[WEIGHTS] = { .name = "weights", .schema = &pn_weights_schema, .optional = 1, .side = 1 },
	{ 0 },
};
static const struct pn_port outputs[] = { { .name = "clean", .schema = &pn_crops_schema }, { 0 } };
static const char *const reasons[] = { "too_large", NULL };

static int denoise_open(void *self, struct pn_ctx *ctx)
{
	struct denoise *s = self;
	int rc = pn_windows_create(&s->windows, sizeof(struct tag), &ctx->err);

	return rc ? rc : pn_cleaner_create(&s->cleaner, (uint64_t)s->cache_MiB << 20, &ctx->err);
}

/* ---- weights ------------------------------------------------------------------------------- */

static int use_weights(struct denoise *s, struct pn_ctx *ctx, const void *data, size_t bytes,
		       uint64_t version)
{
	struct pn_weights weights;
	struct pn_blob copy = { 0 };
	int rc = pn_weights_decode(&weights, data, bytes, "weights", &ctx->err);

	if (rc) /* what came is bad, not this stage: those before stay in use */
		return rc == PN_ENOMEM ? rc : (ctx->err.code = PN_EFRAME);
	if (pn_blob_put(&copy, data, bytes))
		rc = pn_fail(ctx, PN_ENOMEM, "no memory for weights of %zu bytes", bytes);
	if (!rc)
		rc = pn_cleaner_use(s->cleaner, &weights.spec, crop_arith(s->arith), weights.params,
				    weights.offset, weights.scale, &ctx->err);
	pn_weights_free(&weights);
	if (rc) {
		pn_blob_finish(&copy);
		return rc;
	}
	pn_blob_finish(&s->weights);
	s->weights = copy;
	s->version = version;
	return PN_OK;
}

static int take_weights(struct denoise *s, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_weights_head head;
	int rc = pn_msg_decode(&pn_weights_schema, in, &head, &ctx->err);

	return rc ? rc : use_weights(s, ctx, in->payload, in->payload_bytes, in->seq + 1);
}

/* ---- crops --------------------------------------------------------------------------------- */

static int emit_entry(struct denoise *s, struct pn_ctx *ctx, struct pn_window_entry *entry)
{
	size_t bytes = (size_t)entry->crop.ny * (size_t)entry->crop.nx * sizeof *entry->clean;
	struct pn_cleaned cleaned;
	struct tag tag;
	void *payload;
	int rc = pn_cleaner_run(s->cleaner, s->windows, entry, &cleaned, &ctx->err);

	if (rc)
		return rc;
	memcpy(&tag, entry->tag, sizeof tag);
	tag.head.dtype = PN_F32;
	tag.head.made_by = cleaned.network ? PN_CLEAN_NETWORK : PN_CLEAN_RECORDED;
	tag.head.weights = cleaned.network ? s->version : 0;
	tag.head.neighbors = (uint64_t)cleaned.neighbors;
	tag.head.noise = cleaned.noise;
	tag.head.snr_db = cleaned.snr_db;
	tag.head.raw_snr_db = cleaned.raw_snr_db;
	rc = pn_emit(ctx, 0, &tag.head, tag.time_ns, bytes, &payload);
	if (rc)
		return rc;
	memcpy(payload, entry->clean, bytes);
	pn_done(ctx, 1);
	return PN_OK;
}

/* All crops whose windows are complete. Without room for one of them, all come again. */
static int emit_complete(struct denoise *s, struct pn_ctx *ctx, int half)
{
	struct pn_window_entry *entry;

	while ((entry = pn_windows_next(s->windows, half))) {
		int rc = emit_entry(s, ctx, entry);

		if (rc) {
			pn_windows_again(s->windows);
			return rc;
		}
	}
	pn_windows_pass(s->windows);
	s->held = 0;
	return PN_OK;
}

static int add_crop(struct denoise *s, struct pn_ctx *ctx, const struct pn_crops_head *head,
		    const struct pn_msg *in)
{
	struct pn_window_crop crop;
	struct tag tag = { .head = *head, .time_ns = in->time_ns };
	float *image = crop_read(&crop, head, in, ctx);

	if (!image)
		return PN_ENOMEM;
	int rc = pn_windows_add(s->windows, &crop, image, &tag, &ctx->err);

	free(image);
	s->held = !rc;
	s->held_seq = in->seq;
	return rc;
}

static int denoise_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct denoise *s = self;
	struct pn_crops_head head;

	if (in->port == WEIGHTS)
		return take_weights(s, ctx, in);
	int rc = pn_msg_decode(&pn_crops_schema, in, &head, &ctx->err);
	if (rc)
		return rc;
	if (crop_too_large(&head)) {
		pn_skip(ctx, SKIP_TOO_LARGE, 1);
		return PN_OK;
	}
	if (!s->held || s->held_seq != in->seq)
		rc = add_crop(s, ctx, &head, in);
	return rc ? rc : emit_complete(s, ctx, pn_cleaner_half(s->cleaner));
}

static int denoise_drain(void *self, struct pn_ctx *ctx)
{
	return emit_complete(self, ctx, -1);
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static int denoise_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct denoise *s = self;

	(void)ctx;
	if (s->held)
		return PN_EAGAIN; /* taken in, but not emitted: neither before nor after the message
				   */
	int rc = pn_blob_put_part(out, &s->version, sizeof s->version);
	if (!rc)
		rc = pn_blob_put_part(out, s->weights.data, s->weights.bytes);
	return rc ? rc : pn_windows_save(s->windows, out);
}

static int denoise_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct denoise *s = self;
	struct pn_blob_view view = { data, bytes };
	size_t version_bytes = 0, weights_bytes = 0;
	const void *version = pn_blob_get_part(&view, &version_bytes);
	const void *weights = version ? pn_blob_get_part(&view, &weights_bytes) : NULL;
	uint64_t number;

	if (!weights || version_bytes != sizeof number)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	memcpy(&number, version, sizeof number);
	int rc = weights_bytes ? use_weights(s, ctx, weights, weights_bytes, number) : PN_OK;

	return rc ? rc : pn_windows_load(s->windows, view.data, view.bytes, &ctx->err);
}

static void denoise_close(void *self)
{
	struct denoise *s = self;

	pn_cleaner_destroy(s->cleaner);
	pn_blob_finish(&s->weights);
	pn_windows_destroy(s->windows);
}

const struct pn_stage_ops pn_stage_denoise = {
	.name = "denoise",
	.brief = "cleans each crop by the blind-spot network",
	.state_size = sizeof(struct denoise),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.open = denoise_open,
	.take = denoise_take,
	.drain = denoise_drain,
	.save = denoise_save,
	.load = denoise_load,
	.close = denoise_close,
};
