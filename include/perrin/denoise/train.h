/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/denoise/train.h - training the blind-spot network on the noisy images themselves. */
#ifndef PERRIN_DENOISE_TRAIN_H
#define PERRIN_DENOISE_TRAIN_H

#include "perrin/base/blob.h"
#include "perrin/base/param.h"
#include "perrin/denoise/net.h"

#include <stdint.h>

/** Where an image lies: images of one run follow each other in time without a gap; (y0, x0) is the
 * place of its first pixel on the detector's frame, so that crops which move can be laid over each
 * other. */
struct pn_train_place {
	uint64_t run;
	int64_t y0_px, x0_px;
	int ny, nx;
};

/** Noisy images in order, wherever they are kept: in memory, in a stack, in a session. */
struct pn_train_source {
	void *arg;
	uint64_t count;
	void (*place)(void *arg, uint64_t image, struct pn_train_place *place);
	/* the pixels (y .. y + ny, x .. x + nx) of an image, counted from its own first pixel, into
	 * @out [ny][nx]; called from one thread                                              */
	int (*read)(void *arg, uint64_t image, int y, int x, int ny, int nx, float *out,
		    struct pn_error *err);
};

/** How to train. Table: pn_train_params. */
struct pn_train_settings {
	int64_t crop_px; /* side of the pieces that are cut out; where the images of a clip have
			  * less in common, the largest multiple of 8 px that fits (8 at least) */
	int64_t batch;   /* windows in a step, rounded up to whole clips of `targets`           */
	int64_t targets; /* windows that follow each other in a clip: shared branches save work */
	int64_t steps;   /* 0: no end known, the rate stays                                     */
	int64_t warmup;  /* steps                                                               */
	double rate, rate_end;
	double average; /* share of the old in the running mean of the parameters, 0 = none;
			 * less at first: min(average, (1 + step) / (10 + step))               */
	int64_t seed;
};
extern const struct pn_param pn_train_params[]; /* offsets into struct pn_train_settings */

struct pn_trainer;

/**
 * pn_trainer_create - a trainer of fresh parameters; caller destroys.
 *
 * Loss: mean over the pixels of all windows of (f(window without pixel i) - x_i)^2, in standardized
 * units (paper 004, equations 1-3). Pieces are cut at random from random runs of frames, turned by
 * 90 degrees and mirrored at random, all frames of a window alike.
 *
 * Errors: PN_EARG (settings, with the numbers), those of pn_net_create. Thread: one at a time.
 */
int pn_trainer_create(struct pn_trainer **trainer, const struct pn_net_spec *spec,
		      enum pn_arith arith, const struct pn_train_settings *settings,
		      struct pn_error *err);
void pn_trainer_destroy(struct pn_trainer *trainer);

/**
 * Computes clips in place of the processor, such as a GPU: see pn_cuda_learner_load and
 * pn_cuda_learner_learn (perrin/cuda/denoise.h), which these two stand for.
 */
struct pn_train_engine {
	void *arg;
	/* parameters to compute with from now on */
	int (*load)(void *arg, const float *params, struct pn_error *err);
	/* @count clips of @targets windows of @side_px x @side_px; images standardized,
	 * [count][frames + targets - 1][side_px][side_px]; @squares: [out] [count], of the errors;
	 * @d_params: the gradient of the sum of squares times slope / 2 is added; NULL: none */
	int (*learn)(void *arg, int side_px, int targets, int count, const float *images,
		     double slope, double *squares, float *d_params, struct pn_error *err);
};

/**
 * pn_trainer_use - compute by @engine (copied; what it names is borrowed) from now on; NULL: on the
 * processor. What is computed is the same, its bytes are not.
 */
void pn_trainer_use(struct pn_trainer *trainer, const struct pn_train_engine *engine);

/** pn_trainer_start_from - go on from these parameters (a warm start: moments stay zero) and this
 * standardization. @params: [param_count] */
void pn_trainer_start_from(struct pn_trainer *trainer, const float *params, double offset,
			   double scale);

/**
 * pn_trainer_standardize - take offset and scale from a source: medians of the means and of the
 * standard deviations of up to 64 of its images spread over it.
 *
 * Errors: PN_EFRAME if the images are constant or not finite (with which one), those of read.
 */
int pn_trainer_standardize(struct pn_trainer *trainer, const struct pn_train_source *source,
			   struct pn_error *err);

/**
 * pn_trainer_step - one step: a batch, forward and backward, RAdam.
 *
 * @loss: [out] of this batch, before the step
 *
 * The samples of a batch are shared out to the OpenMP threads; parameters come out the same to the
 * bit for any number of threads. A batch whose gradient is not finite changes nothing and is
 * counted. Errors: PN_EARG if no run of the source is long enough (frames + targets - 1; with
 * fewer, clips of one window are taken) or no two images of a window overlap; PN_EFRAME for values
 * that are not finite; those of read. Nothing has changed then but the random numbers.
 */
int pn_trainer_step(struct pn_trainer *trainer, const struct pn_train_source *source, double *loss,
		    struct pn_error *err);

/**
 * pn_trainer_validate - the loss of the averaged parameters on @windows windows spread evenly over
 * the last
 * @newest images of the source (0: all), from the middle of each image, unturned: the same for
 * equal input.
 */
int pn_trainer_validate(struct pn_trainer *trainer, const struct pn_train_source *source,
			uint64_t newest, int windows, double *loss, struct pn_error *err);

/**
 * pn_train_baseline - what can be had without a network, on the pixels of pn_trainer_validate: the
 * mean of the neighbours in time, blurred by a Gaussian of PN_BASELINE_PX, scaled and shifted as
 * fits best,
 *
 *	loss = mean of (x - a - b m)^2 / scale^2,  m = blur of the mean of the window's other frames
 *
 * Blind to the own frame as the network is, so that the losses compare: below this one a network
 * knows more than a filter does; above it, a constant image may have a low loss too.
 *
 * Errors: as pn_trainer_validate. Thread: reentrant. Cost: one blur for each window.
 */
#define PN_BASELINE_PX 1.5
int pn_train_baseline(const struct pn_train_source *source, uint64_t newest, int windows,
		      int frames, int crop_px, double scale, double *loss, struct pn_error *err);

/** What the trainer has got: borrowed, true until the next step. */
struct pn_trained {
	const struct pn_net_layout *layout;
	const float *params; /* [param_count]: the running mean, or the last ones without it */
	double offset, scale;
	uint64_t steps, rejected; /* done; of them without effect, since not finite */
};
struct pn_trained pn_trainer_result(const struct pn_trainer *trainer);

/**
 * pn_trainer_save, pn_trainer_load - everything that decides what comes next, to the bit:
 * parameters, moments, mean, standardization, step, random numbers. Load: PN_EVERSION if made by a
 * trainer of another network or other settings (with which).
 */
int pn_trainer_save(const struct pn_trainer *trainer, struct pn_blob *out, struct pn_error *err);
int pn_trainer_load(struct pn_trainer *trainer, const void *data, size_t bytes,
		    struct pn_error *err);

/* ---- when to stop ------------------------------------------------------------------------------
 */

/** Says when a curve of losses has levelled: the mean of the last `window` values is less than
 * `gain` (relative, above the noise floor of the curve itself: its standard error) below that of
 * the `window` before. Plain data. */
#define PN_LEVEL_MAX 64
struct pn_level {
	double values[2 * PN_LEVEL_MAX];
	uint64_t count;
};
void pn_level_add(struct pn_level *level, double value);
int pn_level_reached(const struct pn_level *level, int window, double gain);

#endif
