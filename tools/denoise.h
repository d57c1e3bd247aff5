/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise.h - the kinds of `perrin denoise`, and what the files of `denoise train` share. */
#ifndef PERRIN_TOOLS_DENOISE_H
#define PERRIN_TOOLS_DENOISE_H

#include "command.h"
#include "common/images.h"
#include "common/progress.h"
#include "perrin/format/weights.h"

#include <signal.h>

extern const struct pn_command pn_denoise_train, pn_denoise_apply, pn_denoise_score, pn_denoise_sheet;

extern const char *const pn_arith_choices[]; /* "auto", "f32", "bf16", NULL */

/** pn_arith_chosen - what a choice of pn_arith_choices means on this machine. */
enum pn_arith pn_arith_chosen(int choice);

/** pn_out_writable - PN_OK if a file at @path could be begun now: better told before hours of work
 * than after. @path is as it was. */
int pn_out_writable(const char *path, struct pn_error *err);

/** Fields of pn_net_spec as flags; -1: as the preset has it. `shared`: 1 = no, 2 = yes. */
struct pn_net_flags {
	int64_t frames, blocks, channels, neighbor_channels, tap_channels, head1, head2, widening;
	int shared;
};

struct pn_train_flags {
	char images[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX], stream[PN_PARAM_TEXT_MAX];
	char from[PN_PARAM_TEXT_MAX], checkpoint[PN_PARAM_TEXT_MAX], curve[PN_PARAM_TEXT_MAX];
	int preset, arith, resume, stop_when_levelled, force, json;
	int64_t spot_px, validate, validate_every, level_window, pause_after, memory_MiB;
	double spot_limit, level_gain, epochs, checkpoint_s;
	struct pn_net_flags net;
	struct pn_train_settings train;
};

/** Losses of batches over steps: means of stretches that double when all places are taken. */
#define PN_LOSS_POINTS 512
struct pn_loss_curve {
	uint64_t count, stretch; /* points; steps in each */
	double sum, summed;      /* of the stretch under way */
	double step[PN_LOSS_POINTS], loss[PN_LOSS_POINTS];
};

/** pn_loss_curve_add - one more step. Zero to start. */
void pn_loss_curve_add(struct pn_loss_curve *curve, uint64_t step, double loss);

/** Where a training stands beside its trainer; plain data, part of the checkpoint. */
struct pn_training_standing {
	uint64_t steps, windows, validated; /* validated: step of the last look; 0: none */
	double loss,
		weight; /* running mean of the batches' losses: sum of shares, and of weights */
	double validation, seconds;
	int64_t levelled;
	struct pn_level level;
	struct pn_loss_curve curve;
	uint64_t looks; /* and what came out, as the weights will tell */
	double look_step[PN_WEIGHTS_CURVE_MAX], look_loss[PN_WEIGHTS_CURVE_MAX];
};

enum pn_training_end { PN_ENDED_STEPS, PN_ENDED_LEVELLED, PN_ENDED_PAUSE, PN_ENDED_SIGNAL };

/** A training under way. */
struct pn_training {
	const struct pn_train_flags *flags;
	struct pn_images *images;
	struct pn_images_info info;
	struct pn_train_source source;
	const char *network; /* name of the preset, or of the weights it began with */
	struct pn_net_spec spec;
	struct pn_net_layout layout;
	enum pn_arith arith;
	int spot_measured;
	struct pn_noise noise;
	struct pn_train_settings settings; /* the flags', with the steps of the epochs */
	struct pn_trainer *trainer;
	struct pn_training_standing *at;
	uint64_t step_windows; /* in a step */
	sigset_t signals;
	struct pn_progress progress;
	int64_t start_ns, saved_ns;
	uint64_t start_steps; /* where this run began */
	double start_s;
	enum pn_training_end end;
};

/** pn_training_loss - running mean over some 50 steps; NaN before the first. */
double pn_training_loss(const struct pn_training *training);

/**
 * pn_training_save, pn_training_resume - all that decides what comes next, in a file: written under
 * another name, synced, renamed. Resume: PN_EVERSION if it was of other images, settings or
 * arithmetic, PN_ECORRUPT, PN_EFORMAT; with the path.
 */
int pn_training_save(const struct pn_training *training, const char *path, struct pn_error *err);
int pn_training_resume(struct pn_training *training, const char *path, struct pn_error *err);

/** pn_training_weights - write what the trainer has got. */
int pn_training_weights(const struct pn_training *training, const char *path, struct pn_error *err);

/** pn_training_begin - what is trained on what, before it starts. */
void pn_training_begin(const struct pn_training *training);
/** pn_training_report - how it went; text or JSON. */
void pn_training_report(const struct pn_training *training);
/** pn_training_curve - the losses over the steps as a picture. */
int pn_training_curve(const struct pn_training *training, const char *path, struct pn_error *err);

#endif
