/* SPDX-License-Identifier: GPL-3.0-or-later */
/* advise_parts.h - what an advisor finds, between its rules and its words. */
#ifndef PERRIN_ORIENT_ADVISE_PARTS_H
#define PERRIN_ORIENT_ADVISE_PARTS_H

#include "perrin/orient/advise.h"
#include "perrin/orient/sampling.h"

/** Whether a condition holds. */
enum met { MISSED, MET, NOT_KNOWN };

/** Which rule spoke. */
enum cause {
	BY_NONE,
	BY_SEGMENT,
	BY_CUSUM,
	BY_R_FACTOR,
	BY_FADING,
	BY_BLANK,
	BY_ORIENTED,
	BY_SCORE,
	BY_WORSE
};

/** Score against images. */
struct fading {
	double slope, uncertainty; /* of the relative score, per image; NaN: not known */
	double fall;               /* over the blocks looked at, of 1 */
	int at_once;               /* a step would fit better than the line */
};

struct findings {
	/* resolution */
	struct pn_gain gain;
	int gain_known, at_limit;
	double more, gain_pm, gain_sigma_pm,
		small; /* small: probability of less than gain_min_pm */
	double images_per_s;
	enum met target, little_gain, coverage, atoms;
	double enough; /* probability */
	/* tilts */
	double gap_deg, gap_from_deg, step_deg, next_theta_deg, uncovered;
	/* scores */
	struct fading fading;
	double kept;
	/* the rules of changed and useless: the most probable of each */
	enum cause changed_by, useless_by;
	double changed, useless;
	int changed_now, useless_now;
};

/** pn_advise_pixel_is_odd - a voxel no atom can be seen with, or finer than any microscope's. */
int pn_advise_pixel_is_odd(const struct pn_advisor *advisor);

/** pn_advise_words - the reasons. */
void pn_advise_words(struct pn_advice *advice, const struct pn_advisor *advisor,
		     const struct findings *found);

#endif
