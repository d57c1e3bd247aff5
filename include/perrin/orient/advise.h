/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/advise.h - whether more images of a particle would help: a verdict, how sure, why.
 */
#ifndef PERRIN_ORIENT_ADVISE_H
#define PERRIN_ORIENT_ADVISE_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_ADVISE_POINTS     64  /* of the resolution plot and of each record of scores */
#define PN_ADVISE_TILTS      512 /* more are not looked at */
#define PN_ADVISE_R_POINTS   8
#define PN_ADVISE_TEXT_BYTES 512

/** The rows of pn_advise_params say what each is, with its default. */
struct pn_advise_options {
	double target_A, horizon, gain_min_pm;
	int64_t consecutive;
	double coverage_min, kept_min, moved_max_pm;
	int64_t score_block;
	double cusum_slack, cusum_limit, fading_sigma, fading_min;
	double score_min, oriented_min;
	int64_t patience;
	double worse_max, theta_max_deg;
};
extern const struct pn_param pn_advise_params[];

/** A volume as it came; NaN is "not known" everywhere. */
struct pn_advise_volume {
	uint64_t segment, images; /* segment 0: of a tilt series */
	double time_s;
	double resolution_A, dose_e_per_A2;
	double scf, far, empty;
	double r1_new, held_out;
	double pixel_pm;
	size_t edge_px;    /* longest */
	const double *fsc; /* [fsc_count], of the halves; borrowed during the call */
	size_t fsc_count;
};

enum pn_advise_state { PN_ADVISE_ORIENTED, PN_ADVISE_UNCERTAIN, PN_ADVISE_BEGINNING };

/** The first pose of one frame. */
struct pn_advise_pose {
	uint64_t segment;
	enum pn_advise_state state;
	double score; /* correlation with the map before the frame went into it */
};

/** The atoms of the newest volume. */
struct pn_advise_atoms {
	uint64_t segment, atoms, kept; /* kept: that the volume before had too */
	double moved_pm, disordered, diameter_nm;
	int first; /* there was no volume before */
};

enum pn_verdict { PN_ADVISE_CONTINUE, PN_ADVISE_ENOUGH, PN_ADVISE_CHANGED, PN_ADVISE_USELESS };

struct pn_advice {
	enum pn_verdict verdict;
	double confidence; /* 0..1 */
	uint64_t segment, images;
	double dose_e_per_A2;
	double resolution_A, next_resolution_A, next_low_A, next_high_A;
	uint64_t next_images;
	double gain_pm, gain_pm_per_s;
	double atoms_kept;
	double score_fading; /* relative change per 1000 e/A^2; below 0: it falls */
	double next_theta_deg;
	char reasons[PN_ADVISE_TEXT_BYTES];
};

/** Means of scores in equal blocks, in order; when full, two and two are put together. */
struct pn_advise_record {
	double mean[PN_ADVISE_POINTS];
	uint64_t count, per_block;
	double sum;
	uint64_t in_sum;
};

/**
 * What is known of one particle. Plain bytes without pointers: may be copied, written to a
 * checkpoint and read back. Its fields are the advisor's own.
 */
struct pn_advisor {
	struct pn_advise_options options;
	uint64_t segment, changed_to; /* changed_to: a rise that no advice has told yet */
	int begun, is_tilts, said;
	/* volumes of the segment */
	double plot_images[PN_ADVISE_POINTS], plot_A[PN_ADVISE_POINTS];
	uint64_t plot_count, volumes, images, first_images;
	double first_s, last_s, best_A, best_images;
	double resolution_A, dose, scf, far, empty, held_out, pixel_pm, edge_px;
	double ssnr_target, fsc_low, r1_new;
	double r1[PN_ADVISE_R_POINTS];
	uint64_t r1_count, r1_run, enough_run, worse_run, blank_run;
	/* atoms */
	uint64_t atoms, kept;
	double moved_pm, disordered, diameter_nm;
	int atoms_known, kept_known;
	/* poses of the segment */
	uint64_t poses, scored, blocks;
	double oriented, score;       /* means that forget */
	double mean, variance, cusum; /* of the means of blocks */
	double block_sum;
	uint64_t block_count;
	double recent[PN_ADVISE_POINTS]; /* means of the last blocks, a ring */
	struct pn_advise_record record;
	/* tilts */
	uint64_t tilt[PN_ADVISE_TILTS];
	double theta_deg[PN_ADVISE_TILTS];
	uint64_t tilt_count;
};

/**
 * pn_advisor_init - an advisor that knows nothing yet.
 *
 * Errors: PN_EARG if an option is out of the range of its row. Thread: one at a time, as all below.
 */
int pn_advisor_init(struct pn_advisor *advisor, const struct pn_advise_options *options,
		    struct pn_error *err);

/**
 * pn_advisor_volume - a new volume, of as many images as the one before or more.
 *
 * A volume of a higher segment begins a new structure: what was known of the old one is forgotten.
 * One of a lower segment tells nothing: returns 0, else 1.
 */
int pn_advisor_volume(struct pn_advisor *advisor, const struct pn_advise_volume *volume);

/**
 * pn_advisor_pose - how a new frame fitted; returns 1 if that alone makes the verdict one of
 * structure changed or no longer useful, and the last advice did not say so: then ask for advice
 * now, without waiting for a volume. Cost: nothing but for the last pose of each block.
 */
int pn_advisor_pose(struct pn_advisor *advisor, const struct pn_advise_pose *pose);

/** pn_advisor_atoms - of the newest volume; those of another segment tell nothing. */
void pn_advisor_atoms(struct pn_advisor *advisor, const struct pn_advise_atoms *atoms);

/** pn_advisor_tilt - a tilt, or what replaces it; @withdrawn takes it out again. */
void pn_advisor_tilt(struct pn_advisor *advisor, uint64_t tilt, double theta_deg, int withdrawn);

/**
 * pn_advisor_advise - the verdict as things stand.
 *
 * enough: for `consecutive` volumes the resolution was at or below the target, the predicted gain
 * of the next images below gain_min_pm, views covered and atoms where they were. For tilts covered
 * means: no gap of theta within +-theta_max_deg wider than the Crowther step d / D, d being the
 * resolution or, where it is not known, the target (than 1.5 times the mean step where the diameter
 * D is not known). What is not known is left out and told; but without a resolution there is no
 * enough, save for tilts that cover the range for a known D, with the atoms where they were.
 *
 * structure changed: the segment rose since the last advice; or the scores of new frames fell, by
 * the lower CUSUM C = max(0, C - z - cusum_slack) > cusum_limit of z, the mean of score_block
 * scores less the running mean, over the running deviation of such means, and a step fits the last
 * 64 blocks better than a line. The first 20 blocks only teach; the running values remember 60, and
 * wait while C is above half the limit. Or the R factors of two tilts in a row, before they went
 * in, are above what the last 8 let expect, their median or the line through them if that is
 * higher, by half of it and by 4 robust deviations.
 *
 * no longer useful: a line through the newer half of all block means, 24 or more of them, falls by
 * fading_sigma of its own uncertainty (for neighbors that hang together) and by fading_min, and a
 * step does not fit better; or less than oriented_min of the frames are oriented, or their mean
 * score is below score_min, after `patience` frames; or the resolution was worse than the best by
 * worse_max for `consecutive` volumes; or the halves of as many had nothing in common (FSC below
 * 0.143 in the first three shells).
 *
 * continue: else, with what is lacking. In doubt the first of changed, no longer useful, enough.
 *
 * confidence: each rule has a probability, 1 / (1 + exp(-x)) of how far its figure is beyond the
 * threshold in units of its own uncertainty (resolution: its prediction error, 1 % at least;
 * coverage 0.05; kept 0.01; CUSUM limit / 5; fading 1 sigma; worse 0.02; oriented 0.02), for the
 * gain the normal probability that it is below gain_min_pm by the slope's standard error.
 * enough has the least of its conditions', one not known counting 0.5; continue has 1 less the
 * largest of the others, and 0.5 at most while the resolution is not known. A segment that the
 * orientation has begun is taken as 0.9 sure.
 *
 * next_images is `horizon`, but at most as many as there are: farther the line is not trusted.
 *
 * Errors: PN_EARG, PN_ENOMEM from the kernels asked. Cost: microseconds, with tilts some 1e5
 * operations.
 * Source: Rosenthal & Henderson, J. Mol. Biol. 333, 721 (2003) for the gain; Page, Biometrika 41,
 * 100 (1954) for CUSUM; Crowther et al. (perrin/tomo/coverage.h). With the defaults, of 1e7 normal
 * scores that hang together over 1, 5 and 20 frames (first-order) none, none and 2 gave a false
 * alarm; a fall by two deviations of single scores is told after 90, 190 and 300 frames.
 */
int pn_advisor_advise(struct pn_advice *advice, struct pn_advisor *advisor, struct pn_error *err);

/** pn_verdict_text - "continue", "enough", "structure changed", "no longer useful". */
const char *pn_verdict_text(enum pn_verdict verdict);

#endif
