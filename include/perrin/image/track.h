/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/track.h - where the particles are, frame by frame. */
#ifndef PERRIN_IMAGE_TRACK_H
#define PERRIN_IMAGE_TRACK_H

#include "perrin/base/param.h"
#include "perrin/image/background.h"

#include <stddef.h>
#include <stdint.h>

#define PN_TRACKS_MAX 16

enum pn_track_state {
	PN_TRACK_FOUND,
	PN_TRACK_LOST, /* unseen for lost_frames; the position is the last one believed */
	PN_TRACK_NEW,  /* FOUND, and told of for the first time                         */
};

struct pn_track {
	uint32_t particle; /* 1, 2, ... in order of detection; never used twice              */
	int32_t state;     /* enum pn_track_state                                            */
	double x_px, y_px; /* centre, pixel centres at integers, smoothed over time          */
	double contrast;   /* filtered energy of the particle over its surroundings, minus 1 */
	double area_px2;   /* where the energy is over half of its middle                    */
	double sigma;      /* energy over that of noise, this frame, in standard deviations  */
};

struct pn_tracker_params {
	double pixel_pm;
	double lowpass_A;        /* cut-off (see below)                                        */
	int64_t box_px;          /* side of the window around a particle                       */
	int64_t particles_max;   /* 1..PN_TRACKS_MAX                                           */
	double diameter_nm;      /* expected size                                              */
	double sensitivity;      /* standard deviations over noise that count as seen          */
	double contrast_min;     /* contrast that counts as seen                               */
	int64_t confirm_frames;  /* frames a candidate must be seen in before it is told of    */
	int64_t lost_frames;     /* unseen frames until LOST                                   */
	int64_t forget_frames;   /* unseen frames until a LOST particle's place is given away  */
	int64_t redetect_frames; /* the whole frame is searched once in so many frames         */
	int64_t average_frames;  /* depth of the running mean of power spectra                 */
	double reach_px;         /* most that a particle moves from frame to frame             */
};

/** Rows: one for each field above, same names. */
extern const struct pn_param pn_tracker_param_table[];

struct pn_tracker;

/**
 * pn_tracker_create - track particles in frames [ny][nx] (any size from 1 x 1).
 *
 * How a particle is seen. A particle of a few nm in a liquid, at a few electrons per pixel, is
 * invisible in one frame; its power spectrum is not: it does not change when the particle moves,
 * so a running mean of it over average_frames adds up. In a window around the particle
 *
 *	W = |FFT(window)|^2 / N, mean over time, [1 2 1]^2 / 16 over bins;   w = max(0, 1 - c / W)
 *
 * where N is the noise on each ring and c a margin of 1.5 standard deviations of W. This Wiener
 * weight, to the power 3/2, is the nonlinear filter: it keeps the few bins that hold lattice spots
 * or the particle's outline, below the low-pass only. The filtered image, squared and smoothed with
 * a fifth of the diameter, is the energy map; the centre of mass of what it has over its
 * surroundings, in a circle that is moved to its own centre until it rests, is the position. A
 * random walk is then filtered out of position noise by a recursive filter whose gain follows from
 * the steps seen over one and over eight frames (true steps add up, errors of measurement do not).
 *
 * Whether it is there: the energy at that place against what noise alone would have there, in
 * standard deviations. The weights come from earlier frames only, so noise does not confirm itself.
 *
 * The cut-off: with 2.3 A (paper 004, on denoised frames) graphene's spots (2.13, 1.23 A) are out
 * of the band and nothing need be known about them, but a crystal that turns shows there in half
 * of its orientations only. With 1.1 A it is followed in nearly all frames; graphene should then be
 * taken out with pn_tracker_set_background.
 *
 * How well: on frames of the twin (its defaults: a platinum crystal 67 px wide, 15 e/A2, steps of
 * 0.89 px along each axis and turns of 1.3 degrees from frame to frame) the centre is right to
 * 2.4..2.9 px rms along an axis, 3.3 px for a crystal of 1.8 nm.
 *
 * Everywhere else: the frame is covered by windows half a box apart, a share of which is looked at
 * in each frame (all of them in the first), each with its own mean spectrum.
 *
 * Errors: PN_EARG, PN_ENOMEM. Caller destroys. Thread: safe.
 * Ref: paper 004, "Time-resolved Brownian tomography" (low-pass, nonlinear filter, centre of mass).
 */
int pn_tracker_create(struct pn_tracker **t, size_t ny, size_t nx,
		      const struct pn_tracker_params *params, struct pn_error *err);
void pn_tracker_destroy(struct pn_tracker *t);

/**
 * pn_tracker_update - take the next frame, tell where the particles are.
 *
 * @frame:  [in]  float32 [ny][nx], any unit, bright or dark particles; pixels not finite count as
 *                the mean of their window. A constant frame shows nothing, which is not an error.
 * @tracks: [out] room for particles_max, in order of particle number
 * @count:  [out]
 *
 * Thread: one call at a time per tracker; windows are shared among OpenMP threads, same bytes for
 * any number of them. Allocates: nothing. Cost: per particle one real FFT of box_px^2 and one some
 * 6 times smaller; plus windows / redetect_frames of the same.
 * Errors: none at present; PN_OK.
 */
int pn_tracker_update(struct pn_tracker *t, const float *frame, struct pn_track *tracks,
		      size_t *count, struct pn_error *err);

/** pn_tracker_set_background - bins near these spots (1/A) are ignored from now on; at most
 * PN_BACKGROUND_SPOTS_MAX, the rest is left out. Part of the saved state. */
void pn_tracker_set_background(struct pn_tracker *t, const struct pn_spot *spots, size_t count);

/**
 * pn_tracker_save / pn_tracker_load - the whole state as bytes of this machine's order; a tracker
 * of the same shape and parameters goes on from it with the same bytes as if never stopped.
 *
 * @blob, @size: save: NULL blob only asks for the size; else *size is the room, then the bytes
 *               written.
 * Errors: PN_EARG (too little room), PN_EFORMAT, PN_EVERSION (then the tracker is unchanged).
 */
int pn_tracker_save(const struct pn_tracker *t, void *blob, size_t *size, struct pn_error *err);
int pn_tracker_load(struct pn_tracker *t, const void *blob, size_t size, struct pn_error *err);

#endif
