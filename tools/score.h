/* SPDX-License-Identifier: GPL-3.0-or-later */
/* score.h - what `perrin score` compares, and the figures it makes of it. */
#ifndef PERRIN_TOOLS_SCORE_H
#define PERRIN_TOOLS_SCORE_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/** One particle on one frame, as the truth tells. */
struct pn_score_truth {
	uint64_t frame, particle;
	double x_px, y_px, diameter_nm, lattice_A;
	double tilt; /* pn_score_tilt: of the reflection nearest to being excited */
	int found;   /* a crop has been matched with it */
};

/** One crop, or one record of crystal. */
struct pn_score_seen {
	uint64_t frame;
	double x_px, y_px;
	double peak, spacing_pm, diameter_nm; /* NaN: not known; crystal only */
	int high;
};

struct pn_score_truths {
	struct pn_score_truth *item;
	size_t count, capacity;
};

struct pn_score_seens {
	struct pn_score_seen *item;
	size_t count, capacity;
};

/** What is compared. Zero to start; pn_score_forget frees it. */
struct pn_score_lists {
	struct pn_score_truths truths;
	struct pn_score_seens crops, crystals;
	unsigned streams; /* that were there to be read */
};

/** Where it stands: two sessions and the names of two streams of the first. */
struct pn_score_paths {
	const char *session, *truth, *crops, *crystal;
};

/** pn_score_read - read it. PN_ENOENT if there is no truth, or neither crops nor crystal. */
int pn_score_read(struct pn_score_lists *lists, const struct pn_score_paths *paths,
		  struct pn_error *err);
void pn_score_forget(struct pn_score_lists *lists);

/** Errors relative to the truth. */
struct pn_score_errors {
	uint64_t count;
	double mean, rms, within_1_percent;
};

/** Records of crystal of one kind of truth. */
struct pn_score_class {
	uint64_t count, high;
	double mean_peak;
};

/** Distances to the truth. */
struct pn_score_centre {
	uint64_t count;
	double rms_px, median_px; /* NaN: none */
};

struct pn_scores {
	uint64_t frames, truths;        /* frames with a truth; particles on them */
	uint64_t crops, found;          /* crops seen; truths that have one */
	uint64_t stray;                 /* crops far from any particle */
	struct pn_score_centre centre;  /* of the crops */
	struct pn_score_centre lattice; /* of the records of crystal */
	struct pn_score_centre high;    /* of those where class is high */
	uint64_t crystals, crystals_stray;
	struct pn_score_errors spacing, diameter; /* where class is high */
	struct pn_score_class aligned, tilted;    /* tilt below the one limit; above the other */
	uint64_t between;                         /* neither */
	double auc;                               /* P(peak of an aligned > peak of a tilted) */
	double explained; /* part of the variance of ln peak that is between bins of tilt */
};

struct pn_score_limits {
	double within_px; /* a crop further away from a truth is no match */
	double aligned, tilted;
};

/**
 * pn_score - compare. @truths are in order of their frames; crops mark those that they find.
 *
 * A crop or a record of crystal belongs to the truth that is nearest on its frame; numbers of
 * particles are not compared, since a tracker gives its own.
 *
 * Errors: PN_ENOMEM. Cost: sorting.
 */
int pn_score(struct pn_scores *scores, struct pn_score_truths *truths,
	     const struct pn_score_seens *crops, const struct pn_score_seens *crystals,
	     const struct pn_score_limits *limits, struct pn_error *err);

/**
 * pn_score_spacing_pm - of {111}, {200}, {220}, {311} of a cubic lattice, the one that is nearest
 * to
 * @spacing_pm by ratio.
 */
double pn_score_spacing_pm(double lattice_A, double spacing_pm);

/**
 * pn_score_tilt - how far a crystal is from showing lattice fringes, the same for every size.
 *
 *	min over {111}, {200}, {220} of |g_z| D, |g_z| = |(R hkl)_z| / a
 *
 * A reflection of a crystal of D along the beam is a rod of length 1 / D; at 0 the planes are seen
 * edge on, at 1 the fringes of a plate have gone and those of a sphere nearly (at 1.43 first). One
 * set of planes is enough to see a lattice, so no zone axis need be near.
 *
 * @quaternion: w x y z, turns the crystal into the laboratory, whose z is along the beam
 */
double pn_score_tilt(const double quaternion[4], double lattice_A, double diameter_nm);

/**
 * pn_score_auc - the Mann-Whitney statistic over its largest value: the part of all pairs of one of
 * @high and one of @low in which the first is larger, ties counting half. Sorts both. NaN if one is
 * empty.
 */
double pn_score_auc(double *high, size_t high_count, double *low, size_t low_count);

/** pn_score_is_model - 1 if the name is one of a file of atoms, by its extension. */
int pn_score_is_model(const char *path);

/** pn_score_models - compare a traced model with the true one (perrin/atoms/score.h) and print. */
int pn_score_models(const char *path, const char *truth_path, double tolerance_A, int as_json,
		    struct pn_error *err);

#endif
