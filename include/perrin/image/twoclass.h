/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/twoclass.h - aligned or misaligned: the threshold on the FFT peak, found while
 * frames come. */
#ifndef PERRIN_IMAGE_TWOCLASS_H
#define PERRIN_IMAGE_TWOCLASS_H

#include <stdint.h>

#define PN_TWO_CLASS_BINS     256
#define PN_TWO_CLASS_MEAN_MAX 1024

enum pn_class {
	PN_CLASS_NONE, /* no measurement: peak not finite or not > 0 */
	PN_CLASS_LOW,  /* misaligned, out of focus, or only noise    */
	PN_CLASS_HIGH, /* lattice visible                            */
};

/**
 * The state of an online two-class threshold. Caller owns; plain data, may be saved and restored
 * with memcpy. The histogram holds ln(peak) from -4 to 12 in equal bins.
 */
struct pn_two_class {
	double prior;      /* threshold used until the data show two classes            */
	double threshold;  /* in force now, unit of peak                                */
	double separation; /* |m1 - m2| / sqrt((s1^2 + s2^2)/2) of the last fit, 0: none */
	double high_part;  /* part of frames in the upper class of the last fit         */
	int32_t bimodal;   /* 1: threshold comes from the data                          */
	int32_t mean_frames;
	uint64_t count, since_fit;
	uint32_t hist[PN_TWO_CLASS_BINS];
	float recent[PN_TWO_CLASS_MEAN_MAX]; /* ring of the last mean_frames peaks        */
};

/**
 * pn_two_class_init - start with a stated threshold.
 *
 * @prior:       > 0; pn_crystal_noise_peak gives the one that noise alone rarely passes
 * @mean_frames: 1..PN_TWO_CLASS_MEAN_MAX, length of the moving mean (paper 004: 100)
 */
void pn_two_class_init(struct pn_two_class *c, double prior, int mean_frames);

/**
 * pn_two_class_add - take one frame's peak and say which class it is in.
 *
 * Two Gaussians in ln(peak) are fitted to the histogram by expectation-maximisation, started from
 * Otsu's cut, at 64 frames and whenever the count has grown by a tenth. The fit is believed only if
 * Ashman's D = |m1 - m2| sqrt2 / sqrt(s1^2 + s2^2) > 2.5, both classes hold at least 3 % (and 8
 * frames), and the (smoothed) histogram has a valley between them below 0.7 of the lower mode;
 * the threshold is then where the two weighted Gaussians cross. Otherwise - only noise, or always
 * aligned - the prior stays: one class is never cut in two halves.
 *
 * @mean: [out] mean of the last mean_frames peaks, this one included; may be NULL
 *
 * Thread: one call at a time per object. Allocates: nothing. Cost: 20 ns; a fit 50 us.
 * Ref: paper 004, "2D image analysis"; Ashman, Bird, Zepf, Astron. J. 108, 2348 (1994).
 */
enum pn_class pn_two_class_add(struct pn_two_class *c, double peak, double *mean);

/** pn_two_class_of - the class of a peak under the threshold in force; changes nothing. */
enum pn_class pn_two_class_of(const struct pn_two_class *c, double peak);

#endif
