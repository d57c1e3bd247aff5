/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_NEWS  10 /* steps */
#define NEWS_GROWTH 1.25
#define WINDOWS     8    /* validated on, spread over the pool: the newest crops there are */
#define WORSE       1.02 /* weights whose loss is that much above the last ones' are not published */
#define RISEN       1.10 /* and one that much above the best says that the images have changed */

#define OFF(field) offsetof(struct pn_live_settings, field)

const char *const pn_live_presets[] = { "auto", "paper", "live", "fast", NULL };

const struct pn_param pn_live_params[] = {
	{ .name = "preset",
	  .help = "network; auto: live where the processor has tiles, else fast",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(preset),
	  .choices = pn_live_presets },
	{ .name = "spot_px",
	  .unit = "px",
	  .help = "side of the blind spot: 1, 3, 5; 0 = from the correlation of the noise",
	  .type = PN_PARAM_I64,
	  .off = OFF(spot_px),
	  .max = 5 },
	{ .name = "spot_limit",
	  .help = "correlation of the noise outside of the spot that is let pass",
	  .type = PN_PARAM_F64,
	  .off = OFF(spot_limit),
	  .def = 0.05,
	  .min = 1e-3,
	  .max = 1 },
	{ .name = "pool",
	  .help = "crops that are kept to train on: the last ones",
	  .type = PN_PARAM_I64,
	  .off = OFF(pool),
	  .def = 512,
	  .min = 8,
	  .max = 65536 },
	{ .name = "start",
	  .help = "crops that must have come before it starts",
	  .type = PN_PARAM_I64,
	  .off = OFF(start),
	  .def = 32,
	  .min = 8,
	  .max = 65536 },
	{ .name = "level_window",
	  .help = "validations that are compared with as many before, to see whether it has "
		  "levelled",
	  .type = PN_PARAM_I64,
	  .off = OFF(level_window),
	  .def = 5,
	  .min = 2,
	  .max = PN_LEVEL_MAX },
	{ .name = "level_gain",
	  .help = "relative gain below which it has levelled",
	  .type = PN_PARAM_F64,
	  .off = OFF(level_gain),
	  .def = 0.002,
	  .max = 1 },
	{ .name = "train", .group = pn_train_params, .off = OFF(train) },
	{ 0 },
};

/* Where it stands; plain data, part of the checkpoint. */
struct standing {
	struct pn_net_spec spec;
	struct pn_level level;
	uint64_t steps, published_steps, frames, first_frame, last_frame, since_level;
	double loss_sum, loss_count, validation, baseline;
	double published, best; /* validation / baseline, which other noise leaves as it is */
	int64_t levelled, due, good, warm;
	double next_news; /* steps */
};

struct pn_live {
	struct pn_live_settings settings;
	enum pn_arith arith;
	struct pn_pool *pool;
	struct pn_trainer *trainer; /* NULL: too few crops yet */
	struct standing at;
};

int pn_live_create(struct pn_live **live, const struct pn_live_settings *settings,
		   enum pn_arith arith, struct pn_error *err)
{
	*live = NULL;
	if (settings->spot_px && settings->spot_px % 2 == 0)
		return pn_error_set(err, PN_EARG, "spot_px = %lld: must be odd, or 0",
				    (long long)settings->spot_px);
	if (settings->start > settings->pool)
		return pn_error_set(err, PN_EARG, "start = %lld: must not be more than pool = %lld",
				    (long long)settings->start, (long long)settings->pool);
	struct pn_live *l = calloc(1, sizeof *l);
	if (!l)
		return pn_error_set(err, PN_ENOMEM, "training: no memory");
	l->settings = *settings;
	l->arith = arith;
	l->at.next_news = FIRST_NEWS;
	l->at.validation = l->at.baseline = l->at.published = l->at.best = NAN;
	int rc = pn_pool_create(&l->pool, (uint64_t)settings->pool, err);
	if (rc) {
		free(l);
		return rc;
	}
	*live = l;
	return PN_OK;
}

void pn_live_destroy(struct pn_live *live)
{
	if (!live)
		return;
	pn_trainer_destroy(live->trainer);
	pn_pool_destroy(live->pool);
	free(live);
}

int pn_live_start_from(struct pn_live *live, const struct pn_net_spec *spec, const float *params,
		       double offset, double scale, struct pn_error *err)
{
	struct pn_trainer *trainer;
	int rc = pn_trainer_create(&trainer, spec, live->arith, &live->settings.train, err);

	if (rc)
		return rc;
	pn_trainer_start_from(trainer, params, offset, scale);
	pn_trainer_destroy(live->trainer);
	live->trainer = trainer;
	live->at.spec = *spec;
	live->at.due = live->at.good = live->at.warm = 1;
	return PN_OK;
}

int pn_live_add(struct pn_live *live, const struct pn_window_crop *crop, const float *image,
		struct pn_error *err)
{
	int rc = pn_pool_add(live->pool, crop, image, err);

	if (rc)
		return rc;
	if (!live->at.frames++)
		live->at.first_frame = crop->frame;
	live->at.last_frame = crop->frame;
	live->at.since_level++;
	return PN_OK;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static int start(struct pn_live *live, const struct pn_train_source *source, struct pn_error *err)
{
	const char *name = pn_live_presets[live->settings.preset];

	if (live->settings.preset == 0)
		name = live->arith == PN_ARITH_F32 ? "fast" : "live";
	live->at.spec = pn_preset_find(name)->spec;
	live->at.spec.spot_px = live->settings.spot_px;
	if (!live->at.spec.spot_px)
		live->at.spec.spot_px =
			pn_noise_spot_px(pn_pool_noise(live->pool), live->settings.spot_limit);
	struct pn_trainer *trainer;
	int rc = pn_trainer_create(&trainer, &live->at.spec, live->arith, &live->settings.train,
				   err);

	if (!rc) {
		rc = pn_trainer_standardize(trainer, source, err);
		if (rc)
			pn_trainer_destroy(trainer);
		else
			live->trainer = trainer;
	}
	return rc;
}

int pn_live_look(struct pn_live *live, struct pn_error *err)
{
	struct pn_train_source source = pn_pool_source(live->pool);
	struct standing *at = &live->at;

	if (!live->trainer || source.count < (uint64_t)live->settings.start)
		return PN_EAGAIN;
	int rc = pn_trainer_validate(live->trainer, &source, 0, WINDOWS, &at->validation, err);
	if (!rc)
		rc = pn_train_baseline(&source, 0, WINDOWS, (int)at->spec.frames,
				       (int)live->settings.train.crop_px,
				       pn_trainer_result(live->trainer).scale, &at->baseline, err);
	if (rc)
		return rc;
	double score = at->validation / at->baseline;

	at->good = score < 1;
	at->since_level = 0;
	if (at->levelled && score > RISEN * at->best) {
		at->levelled = 0;
		at->best = score;
		memset(&at->level, 0, sizeof at->level);
	}
	if (at->levelled)
		return PN_OK;
	at->best = isnan(at->best) ? score : fmin(at->best, score);
	pn_level_add(&at->level, score);
	/* the plateau before it has learnt anything is not the end */
	at->levelled = at->good && pn_level_reached(&at->level, (int)live->settings.level_window,
						    live->settings.level_gain);
	at->due = at->good && at->steps > at->published_steps &&
		  (isnan(at->published) || score <= WORSE * at->published);
	return PN_OK;
}

int pn_live_step(struct pn_live *live, struct pn_error *err)
{
	struct pn_train_source source = pn_pool_source(live->pool);
	struct standing *at = &live->at;
	double loss;
	int rc = PN_OK;

	if (source.count < (uint64_t)live->settings.start)
		return PN_EAGAIN;
	if (!live->trainer)
		rc = start(live, &source, err);
	if (!rc && at->levelled) {
		/* every now and then: has the specimen, or the beam, become another? */
		if (at->since_level < (uint64_t)live->settings.pool)
			return PN_EAGAIN;
		return pn_live_look(live, err);
	}
	/* weights to start from set the mark that the next ones must reach */
	if (!rc && at->warm) {
		rc = pn_live_look(live, err);
		at->warm = rc != PN_OK;
		at->published = at->validation / at->baseline;
		return rc;
	}
	if (!rc)
		rc = pn_trainer_step(live->trainer, &source, &loss, err);
	if (rc)
		return rc;
	at->steps++;
	at->loss_sum += loss;
	at->loss_count++;
	if ((double)at->steps < at->next_news)
		return PN_OK;
	at->next_news = fmax((double)at->steps + FIRST_NEWS, NEWS_GROWTH * (double)at->steps);
	return pn_live_look(live, err);
}

/* ---- news --------------------------------------------------------------------------------------
 */

int pn_live_due(struct pn_live *live, struct pn_live_news *news)
{
	const struct standing *at = &live->at;

	if (!live->trainer || !at->due)
		return 0;
	*news = (struct pn_live_news){
		.spec = at->spec,
		.trained = pn_trainer_result(live->trainer),
		.loss = at->loss_count > 0 ? at->loss_sum / at->loss_count : NAN,
		.validation = at->validation,
		.baseline = at->baseline,
		.frames = at->frames,
		.first_frame = at->first_frame,
		.last_frame = at->last_frame,
		.levelled = (int)at->levelled,
	};
	return 1;
}

void pn_live_told(struct pn_live *live)
{
	struct standing *at = &live->at;

	at->due = 0;
	at->published = at->validation / at->baseline;
	at->published_steps = at->steps;
	at->loss_sum = at->loss_count = 0;
}

/* ---- checkpoints -------------------------------------------------------------------------------
 */

int pn_live_save(const struct pn_live *live, struct pn_blob *out, struct pn_error *err)
{
	struct pn_blob trainer = { 0 };
	int rc = live->trainer ? pn_trainer_save(live->trainer, &trainer, err) : PN_OK;

	if (!rc && (pn_blob_put_part(out, &live->at, sizeof live->at) ||
		    pn_blob_put_part(out, trainer.data, trainer.bytes)))
		rc = pn_error_set(err, PN_ENOMEM, "training: no memory for a checkpoint");
	pn_blob_finish(&trainer);
	return rc;
}

int pn_live_load(struct pn_live *live, const void *data, size_t bytes, struct pn_error *err)
{
	struct pn_blob_view view = { data, bytes };
	size_t at_bytes = 0, trainer_bytes = 0;
	const void *at = pn_blob_get_part(&view, &at_bytes);
	const void *saved = at ? pn_blob_get_part(&view, &trainer_bytes) : NULL;
	struct standing standing;

	if (!saved || at_bytes != sizeof standing)
		return pn_error_set(err, PN_EVERSION, "training: checkpoint of %zu bytes", bytes);
	memcpy(&standing, at, sizeof standing);
	if (trainer_bytes) {
		struct pn_trainer *trainer;
		int rc = pn_trainer_create(&trainer, &standing.spec, live->arith,
					   &live->settings.train, err);

		if (!rc) {
			rc = pn_trainer_load(trainer, saved, trainer_bytes, err);
			if (rc)
				pn_trainer_destroy(trainer);
		}
		if (rc)
			return rc;
		pn_trainer_destroy(live->trainer);
		live->trainer = trainer;
	}
	live->at = standing;
	return PN_OK;
}
