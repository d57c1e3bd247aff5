/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/tilt.h - an ADF-STEM tilt series of a nanocrystal, with its truth. */
#ifndef PERRIN_TWIN_TILT_H
#define PERRIN_TWIN_TILT_H

#include "perrin/base/dtype.h"
#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/twin/scene.h"
#include "perrin/twin/specimen.h"

#include <stdint.h>

/**
 * All of a tilt series. Fill with pn_params_default(pn_tilt_param_table, &params), then change. The
 * defaults are those usual in ADF tomography of nanocrystals at atomic resolution: about 50 tilts
 * from -73 to +73 deg, three frames each, 0.34 A/px, 3e5 e/A2 in all.
 */
struct pn_tilt_params {
	int64_t seed;
	int64_t ny, nx;
	double pixel_A;
	int dtype; /* enum pn_scene_dtype */
	int noise; /* 0: mean values      */
	struct pn_specimen_params specimen;
	int random_orientation; /* 0: crystal axes along the axes of the stage */
	double first_deg, last_deg, step_deg;
	int64_t frames_per_tilt;
	double angle_jitter_deg; /* rms error of the stage */
	double drift_px;  /* rms, along each axis, of the shift from one frame to the next   */
	double offset_px; /* rms, along each axis, of the position anew at each tilt         */
	double phonon_A;
	double source_fwhm_A, probe_fwhm_A, z_power, yield_A2;
	double support;       /* fraction of the beam scattered by the support film              */
	double dose_e_per_A2; /* of a frame                                                      */
	double gain, readout_e, offset, saturation;
};

extern const struct pn_param pn_tilt_param_table[];

/** What is true of one frame. */
struct pn_tilt_truth {
	uint64_t frame;
	uint32_t tilt;      /* 0-based                                                          */
	double nominal_deg; /* what the stage says                                              */
	double angle_deg;   /* what it is                                                       */
	double x_px, y_px;  /* image of the origin of the specimen: nx/2, ny/2 plus the shift   */
};

struct pn_tilt_scene;

/**
 * pn_tilt_create - build a tilt series; caller destroys it.
 *
 * A tilt by theta about the y axis takes the atom (X, Y, Z) to the detector's x = X cos(theta) -
 * Z sin(theta), y = Y. Counts are Poisson with mean gain dose pixel^2 (image + support).
 *
 * Errors: PN_EARG (a parameter out of range; an element without lattice constant), PN_ENOMEM.
 */
int pn_tilt_create(struct pn_tilt_scene **tilt, const struct pn_tilt_params *params,
		   struct pn_error *err);
void pn_tilt_destroy(struct pn_tilt_scene *tilt);

/** pn_tilt_frames - frames of the whole series, tilts times frames per tilt. */
uint64_t pn_tilt_frames(const struct pn_tilt_scene *tilt);

/** pn_tilt_pixel_type - element type of the frames. */
enum pn_dtype pn_tilt_pixel_type(const struct pn_tilt_scene *tilt);

/**
 * pn_tilt_frame - one frame, in any order; the bytes depend on params and number only.
 *
 * @frame:  tilt frames_per_tilt + frame of the tilt
 * @pixels: [out] dtype [ny][nx], counts
 * @truth:  [out] or NULL
 *
 * Errors: PN_EEND beyond the last frame. Thread: one thread per scene; OpenMP inside.
 */
int pn_tilt_frame(struct pn_tilt_scene *tilt, uint64_t frame, void *pixels,
		  struct pn_tilt_truth *truth, struct pn_error *err);

/** pn_tilt_specimen - the atoms at 0 degrees, at rest. Borrowed until the scene is destroyed. */
const struct pn_specimen *pn_tilt_specimen(const struct pn_tilt_scene *tilt);

#endif
