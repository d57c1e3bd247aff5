/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/denoise/live.h - training beside a stream: on its last crops, from the first minute on,
 * until the loss on the newest frames has levelled; and again when that rises.
 */
#ifndef PERRIN_DENOISE_LIVE_H
#define PERRIN_DENOISE_LIVE_H

#include "perrin/denoise/pool.h"

/** How to train live. Table: pn_live_params. */
struct pn_live_settings {
	int preset;           /* pn_live_presets: "auto", then those of pn_presets              */
	int64_t spot_px;      /* 0: from the measured correlation of the noise                  */
	double spot_limit;    /* correlation outside the spot that is let pass                  */
	int64_t pool;         /* crops that are kept to train on: the last ones                 */
	int64_t start;        /* crops that must be there before it starts                      */
	int64_t level_window; /* validations that are compared with as many before              */
	double level_gain;    /* relative; less gained than that: levelled                      */
	struct pn_train_settings train;
};
extern const struct pn_param pn_live_params[]; /* offsets into struct pn_live_settings */
extern const char *const pn_live_presets[];    /* "auto", "paper", "live", "fast", NULL */

struct pn_live;

/**
 * pn_live_create - nothing known yet; caller destroys. With preset auto: "live" for bf16, else
 * "fast". Errors: PN_EARG, PN_ENOMEM. Thread: one at a time.
 */
int pn_live_create(struct pn_live **live, const struct pn_live_settings *settings,
		   enum pn_arith arith, struct pn_error *err);
void pn_live_destroy(struct pn_live *live);

/**
 * pn_live_start_from - earlier weights, of the same instrument: their network is the one that is
 * trained, they are the first ones to publish.
 */
int pn_live_start_from(struct pn_live *live, const struct pn_net_spec *spec, const float *params,
		       double offset, double scale, struct pn_error *err);

/** pn_live_add - one more crop. Errors: those of pn_pool_add. */
int pn_live_add(struct pn_live *live, const struct pn_window_crop *crop, const float *image,
		struct pn_error *err);

/**
 * pn_live_step - one step of training, and at times a look at the newest frames.
 *
 * Returns PN_EAGAIN if there is nothing to do: too few crops, or levelled. Else errors of
 * pn_trainer_step. Cost: that of pn_trainer_step.
 */
int pn_live_step(struct pn_live *live, struct pn_error *err);

/** What there is to publish. */
struct pn_live_news {
	struct pn_net_spec spec;
	struct pn_trained trained; /* borrowed until the next step */
	double loss;               /* mean of the steps since the last news; NaN: none */
	double validation;         /* on the newest crops; NaN: none                   */
	double baseline;           /* pn_train_baseline on the same; NaN: none         */
	uint64_t frames, first_frame, last_frame; /* seen since the start */
	int levelled;
};

/**
 * pn_live_look - validate on the crops there are, and decide whether the weights are worth
 * publishing and whether training goes on; pn_live_step does it after 10 steps and then each time
 * their number has grown by a quarter.
 *
 * Returns PN_EAGAIN with too few crops, errors of pn_trainer_validate.
 */
int pn_live_look(struct pn_live *live, struct pn_error *err);

/**
 * pn_live_due - 1 and @news if there are weights worth publishing: those of pn_live_start_from, and
 * those whose loss is below the baseline's (a network that has not learnt more than a filter would
 * take lattice away instead of noise) and, against the baseline, not above that of the last ones
 * published.
 */
int pn_live_due(struct pn_live *live, struct pn_live_news *news);

/** pn_live_told - the news is out. */
void pn_live_told(struct pn_live *live);

/** pn_live_save, pn_live_load - the trainer and where it stands; not the pool, which fills again.
 */
int pn_live_save(const struct pn_live *live, struct pn_blob *out, struct pn_error *err);
int pn_live_load(struct pn_live *live, const void *data, size_t bytes, struct pn_error *err);

#endif
