/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/center.h - a better centre: the tracker's, corrected by where the lattice is seen. */
#ifndef PERRIN_IMAGE_CENTER_H
#define PERRIN_IMAGE_CENTER_H

#include <stdint.h>

/**
 * How far the tracker is off one particle, as far as the lattice tells. Plain data; zero to start; may
 * be saved and restored with memcpy.
 */
struct pn_center {
	double offset_A[2];  /* x, y: to be added to the tracker's centre      */
	double variance_A2;  /* of each, now                                   */
	uint64_t frame;      /* seen last                                      */
	int32_t started, reserved;
};

/**
 * pn_center_update - take one frame; offset_A is then the best correction for it.
 *
 * The tracker averages over frames, so its error e stays for some: e(t) is an AR(1) process of memory
 * 20 frames and s.d. 0.9 A. The centre of the lattice region (pn_crystal_size) has no memory: its error
 * is white, of variance 5 A2 / peak, with outliers when one weak pair of peaks is all there is. A Kalman
 * filter on e puts the two together; a measurement further off than 4 (squared, over its variance)
 * counts with a variance that much larger. Nothing is assumed of how the particle moves.
 *
 * @frame:    index of the frame; frames may be missing in between
 * @lattice_A: [in] double [2], x, y: centre of the lattice region less the tracker's, A; NULL if this
 *             frame shows none (then the correction fades)
 * @peak:     its peak (pn_crystal_result), > 0
 *
 * On twin frames at 15 e/A2 with a visible lattice: 2.2 -> 1.5 px rms per axis; over all frames
 * 2.6 -> 2.2. The figures above are measured there, on four movies.
 *
 * Thread: one call at a time per object. Allocates: nothing. Cost: nothing to speak of.
 * Ref: paper 004, "Time-resolved Brownian tomography" (frames aligned to the crystalline domain).
 */
void pn_center_update(struct pn_center *center, uint64_t frame, const double *lattice_A, double peak);

#endif
