/* SPDX-License-Identifier: GPL-3.0-or-later */
/* score.h - what `perrin score` compares, and the figures it makes of it. */
#ifndef PERRIN_TOOLS_SCORE_H
#define PERRIN_TOOLS_SCORE_H

#include "perrin/base/status.h"
#include "perrin/orient/symmetry.h"
#include "perrin/stream/message.h"

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

/**
 * pn_score_each - hand every record of SESSION/STREAM to @take, which ends it by an error of its
 * own. A stream that is not there has no records.
 */
typedef int pn_score_take(void *arg, const struct pn_msg *msg, struct pn_error *err);
int pn_score_each(const char *session, const char *stream, pn_score_take *take, void *arg,
		  struct pn_error *err);

/* ---- poses --------------------------------------------------------------------------------- */

/** Which poses of the frames: of each the one of the latest revision, or the first one, as it was
 * live; all, or those that went into the map. */
enum pn_poses_set {
	PN_POSES_LATEST,
	PN_POSES_LATEST_USED,
	PN_POSES_LIVE,
	PN_POSES_LIVE_USED,
	PN_POSES_SETS
};

/** Atoms of a segment's last volume against the specimen at the middle of the segment. */
struct pn_poses_atoms {
	int compared;     /* 0: no atoms, or no specimen                                      */
	uint64_t version; /* of the specimen */
	size_t found, truth, matched, missed, false_atoms;
	double rmsd_pm;   /* three-dimensional; NaN: none matched                             */
	double angle_deg; /* of the motion that docks them                                    */
};

/** One particle in one segment. */
struct pn_poses_group {
	uint64_t particle, segment, truth_particle, first_frame, last_frame;
	size_t stray;                              /* poses further than within_px from any */
	struct pn_pose_score score[PN_POSES_SETS]; /* count 0: there are none               */
	double step_deg, true_step_deg;            /* rms turn per frame; NaN: not known    */
	double rotation_rad2_per_s, true_rotation_rad2_per_s;
	double pixel_pm; /* NaN: not known */
	struct pn_poses_atoms atoms;
};

struct pn_poses_scores {
	struct pn_poses_group *group;
	size_t count;
};

struct pn_poses_options {
	const char *session, *truth;
	uint64_t segment; /* 0: all                                           */
	double within_px; /* a pose further from any particle is of none      */
	double tolerance_A;
};

/**
 * pn_score_poses - compare the streams poses and atoms with truth and specimen.
 *
 * A pose belongs to the particle that is nearest on its frame. Poses are compared up to one
 * rotation and one shift per group (pn_pose_score); the atoms by a rigid motion of their own. The
 * true step is the root of the mean squared turn of the truth from frame to frame, D_r that over 6
 * times the time between them.
 *
 * Errors: PN_ENOENT (no session, no truth, no poses), PN_ENOMEM. pn_poses_forget frees it.
 */
int pn_score_poses(struct pn_poses_scores *scores, const struct pn_poses_options *options,
		   struct pn_error *err);
void pn_poses_forget(struct pn_poses_scores *scores);

/** pn_poses_print - as a table, or as JSON. */
void pn_poses_print(const struct pn_poses_scores *scores, int as_json);

#endif
