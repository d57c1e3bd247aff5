/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * train - the denoising network, trained on the crops as they come (R2), for as long as there is
 * time: a step whenever no crop waits. Its weights are a stream; `denoise` takes up each as it
 * comes.
 */
#include "crops.h"
#include "perrin/denoise/live.h"
#include "perrin/format/weights.h"
#include "perrin/host/stage.h"

#include <stdlib.h>
#include <string.h>

enum { SKIP_TOO_LARGE };

struct train {
	struct pn_live_settings settings;
	char from[PN_PARAM_TEXT_MAX];
	int arith;
	struct pn_live *live;
	struct pn_weights history; /* what is told with the weights; params are the trainer's */
	uint64_t version;
	uint64_t held_seq; /* the crop under way: taken in and trained on, not yet answered */
	int held;
	int64_t time_ns; /* of the last crop */
};

static const struct pn_param params[] = {
	{ .name = "from",
	  .unit = "FILE",
	  .help = "weights to start from: earlier ones of the same instrument",
	  .type = PN_PARAM_TEXT,
	  .off = offsetof(struct train, from) },
	{ .name = "arith",
	  .help = "numbers to compute in; auto: bf16 where the processor has tiles",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct train, arith),
	  .choices = crop_arith_words },
	{ .name = "live", .group = pn_live_params, .off = offsetof(struct train, settings) },
	{ 0 },
};

static const struct pn_port inputs[] = { { .name = "crops", .schema = &pn_crops_schema }, { 0 } };
static const struct pn_port outputs[] = { { .name = "weights", .schema = &pn_weights_schema },
					  { 0 } };
static const char *const reasons[] = { "too_large", NULL };

static int train_open(void *self, struct pn_ctx *ctx)
{
	struct train *s = self;
	struct pn_weights before;
	int rc = pn_live_create(&s->live, &s->settings, crop_arith(s->arith), &ctx->err);

	s->history.settings = s->settings.train;
	if (rc || !s->from[0])
		return rc;
	rc = pn_weights_read(&before, s->from, &ctx->err);
	if (rc)
		return rc;
	rc = pn_live_start_from(s->live, &before.spec, before.params, before.offset, before.scale,
				&ctx->err);
	pn_weights_free(&before);
	return rc;
}

/* ---- weights ------------------------------------------------------------------------------- */

static void fill_history(struct train *s, const struct pn_live_news *news)
{
	struct pn_weights *w = &s->history;

	w->spec = news->spec;
	w->offset = news->trained.offset;
	w->scale = news->trained.scale;
	w->steps = news->trained.steps;
	w->frames = news->frames;
	w->first_frame = news->first_frame;
	w->last_frame = news->last_frame;
	w->loss = news->loss;
	w->validation = news->validation;
	w->param_count = news->trained.layout->param_count;
	w->params = (float *)news->trained.params; /* borrowed, only read */
	snprintf(w->source, sizeof w->source, "stream crops");
	snprintf(w->perrin, sizeof w->perrin, "%s", PERRIN_VERSION);
}

static int publish(struct train *s, struct pn_ctx *ctx, int64_t time_ns)
{
	struct pn_live_news news;
	struct pn_blob bytes = { 0 };
	void *payload;

	if (!pn_live_due(s->live, &news))
		return PN_OK;
	fill_history(s, &news);
	if (s->history.curve_count == 0 ||
	    s->history.curve_step[s->history.curve_count - 1] < (double)news.trained.steps)
		pn_weights_curve_add(&s->history, (double)news.trained.steps, news.validation);
	int rc = pn_weights_encode(&s->history, &bytes, &ctx->err);
	if (!rc) {
		struct pn_weights_head head = { .version = s->version + 1,
						.steps = news.trained.steps,
						.last_frame = news.last_frame,
						.loss = news.loss,
						.validation = news.validation,
						.baseline = news.baseline,
						.levelled = news.levelled,
						.bytes = bytes.bytes };

		rc = pn_emit(ctx, 0, &head, time_ns, bytes.bytes, &payload);
		if (!rc)
			memcpy(payload, bytes.data, bytes.bytes);
	}
	pn_blob_finish(&bytes);
	s->history.params = NULL;
	if (rc)
		return rc;
	s->version++;
	pn_live_told(s->live);
	return PN_OK;
}

/* ---- crops --------------------------------------------------------------------------------- */

static int add_crop(struct train *s, struct pn_ctx *ctx, const struct pn_crops_head *head,
		    const struct pn_msg *in)
{
	struct pn_window_crop crop;
	float *image = crop_read(&crop, head, in, ctx);

	if (!image)
		return PN_ENOMEM;
	int rc = pn_live_add(s->live, &crop, image, &ctx->err);

	free(image);
	return rc;
}

/* Runs still too short for a window are no failure: they grow. */
static int train_step(struct train *s, struct pn_ctx *ctx)
{
	int rc = pn_behind(ctx) ? PN_EAGAIN : pn_live_step(s->live, &ctx->err);

	return rc == PN_EAGAIN || rc == PN_EARG ? PN_OK : rc;
}

static int train_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct train *s = self;
	struct pn_crops_head head;
	int rc = pn_msg_decode(&pn_crops_schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	if (crop_too_large(&head)) {
		pn_skip(ctx, SKIP_TOO_LARGE, 1);
		return PN_OK;
	}
	if (!s->held || s->held_seq != in->seq) {
		rc = add_crop(s, ctx, &head, in);
		if (!rc)
			rc = train_step(s, ctx);
		if (rc)
			return rc;
		s->held = 1;
		s->held_seq = in->seq;
		s->time_ns = in->time_ns;
	}
	rc = publish(s, ctx, in->time_ns);
	if (rc)
		return rc;
	s->held = 0;
	pn_done(ctx, 1);
	return PN_OK;
}

static int train_drain(void *self, struct pn_ctx *ctx)
{
	struct train *s = self;

	int rc = pn_live_look(s->live, &ctx->err); /* what the last steps have brought */

	return rc && rc != PN_EAGAIN && rc != PN_EARG ? rc : publish(s, ctx, s->time_ns);
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static int train_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct train *s = self;

	if (s->held)
		return PN_EAGAIN;
	int rc = pn_blob_put_part(out, &s->version, sizeof s->version);
	if (!rc)
		rc = pn_blob_put_part(out, &s->history, sizeof s->history);
	return rc ? rc : pn_live_save(s->live, out, &ctx->err);
}

static int train_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct train *s = self;
	struct pn_blob_view view = { data, bytes };
	size_t version_bytes = 0, history_bytes = 0;
	const void *version = pn_blob_get_part(&view, &version_bytes);
	const void *history = version ? pn_blob_get_part(&view, &history_bytes) : NULL;

	if (!history || version_bytes != sizeof s->version || history_bytes != sizeof s->history)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	int rc = pn_live_load(s->live, view.data, view.bytes, &ctx->err);
	if (rc)
		return rc;
	memcpy(&s->version, version, sizeof s->version);
	memcpy(&s->history, history, sizeof s->history);
	s->history.params = NULL;
	return PN_OK;
}

static void train_close(void *self)
{
	struct train *s = self;

	pn_live_destroy(s->live);
}

const struct pn_stage_ops pn_stage_train = {
	.name = "train",
	.brief = "trains the denoising network on the crops as they come",
	.state_size = sizeof(struct train),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.timed = 1,
	.open = train_open,
	.take = train_take,
	.drain = train_drain,
	.save = train_save,
	.load = train_load,
	.close = train_close,
};
