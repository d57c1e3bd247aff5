/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/scene.h - a movie of nanocrystals tumbling in a graphene liquid cell, with its truth.
 */
#ifndef PERRIN_TWIN_SCENE_H
#define PERRIN_TWIN_SCENE_H

#include "perrin/base/dtype.h"
#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/twin/brownian.h"
#include "perrin/twin/specimen.h"

#include <stdint.h>

enum pn_scene_dtype { PN_SCENE_U8, PN_SCENE_U16, PN_SCENE_F32 };
enum pn_scene_start {
	PN_SCENE_START_RANDOM,
	PN_SCENE_START_100, /* the beam along this zone axis in frame 0 */
	PN_SCENE_START_110,
	PN_SCENE_START_111,
};

/**
 * All of a scene. Fill with pn_params_default(pn_scene_param_table, &params), then change. The
 * defaults are the recordings of Kang et al., Nature Communications 16 (2025), doi
 * 10.1038/s41467-025-56476-8: 300 keV, C3 = -11 um and slight overfocus, 0.358 A/px, 400 frames/s,
 * 15 e/A2 per frame, a small platinum crystal in 10 nm of water between two sheets of graphene.
 * The table is flat; the parts are those of their modules.
 */
struct pn_scene_params {
	int64_t seed;
	int64_t frames; /* length of the movie; 0: endless */
	double fps;
	int64_t ny, nx;
	double pixel_pm;
	double energy_keV;
	int dtype; /* enum pn_scene_dtype */
	int noise; /* 0: the camera gives mean values */
	/* particles and their motion */
	int64_t particles;
	struct pn_specimen_params specimen;
	double etch_per_s;
	struct pn_brownian_params motion;
	int start;       /* enum pn_scene_start */
	double phonon_A; /* rms displacement of atoms along each axis, new in each frame */
	/* surroundings */
	double water_nm, water_contrast;
	int64_t graphene_layers;
	double graphene_angle_deg, graphene_twist_deg;
	/* scattering and lens */
	double slice_A;
	int64_t patch_px; /* side of the field that a particle is calculated in; 0: chosen */
	int scattering;   /* enum pn_multislice_model */
	double defocus_A, cs_um, c5_mm, astigmatism_A, astigmatism_deg;
	double focal_spread_A, convergence_mrad, vibration_A, aperture_mrad;
	/* camera */
	double dose_e_per_A2, gain, readout_e, offset, saturation;
	double dqe0, mtf_gauss, mtf_gauss_width, mtf_lorentz_width, noise_blur;
};

extern const struct pn_param pn_scene_param_table[];

/** What is true of one particle in one frame. */
struct pn_scene_truth {
	uint64_t frame;
	double time_s;
	uint32_t particle;
	uint32_t specimen_version; /* atoms lost to etching so far: names the specimen            */
	uint32_t atoms;
	struct pn_placement pose; /* lab = R specimen + center, relative to pixel (nx/2, ny/2)    */
	double x_px, y_px;        /* mean of its atoms on the frame                               */
	double diameter_nm;       /* of the circle of equal silhouette                            */
	double lattice_A;
	double defocus_A; /* at the height of this particle: C1 less center z             */
	double beam_zone_angle_deg[3]; /* smallest angles of beam and <100>, <110>, <111> */
};

struct pn_scene;

/**
 * pn_scene_create - build a scene; caller destroys it.
 *
 * Errors: PN_EARG with the parameter at fault, PN_ENOMEM. Cost: up to seconds (plans, water).
 */
int pn_scene_create(struct pn_scene **scene, const struct pn_scene_params *params,
		    struct pn_error *err);
void pn_scene_destroy(struct pn_scene *scene);

/** pn_scene_pixel_type - element type of the frames. */
enum pn_dtype pn_scene_pixel_type(const struct pn_scene *scene);

/**
 * pn_scene_frame - render one frame.
 *
 * Each particle: multislice on a patch that moves in whole pixels with it, times the phase object
 * of graphene and water on the whole field, through the lens, onto the camera. Frames can be asked
 * for in any order; those before or far ahead cost a repetition of motion and etching (about a
 * microsecond per frame and particle). The bytes of a frame depend on params and its number only,
 * with the same FFT plans: a new process gives them again if it uses the wisdom of the first one
 * (pn_fft_use_wisdom); without it, it may count an electron more or less in a pixel.
 *
 * @frame:  0-based
 * @pixels: [out] dtype [ny][nx], counts
 * @truth:  [out] [particles], or NULL
 *
 * Errors: PN_EEND beyond the last frame. Thread: one thread per scene. Cost: 7 ms for 256 x 256
 * pixels and 400 atoms on a patch of 128 x 128: multislice 2.6, camera 1.8, lens 0.6.
 */
int pn_scene_frame(struct pn_scene *scene, uint64_t frame, void *pixels,
		   struct pn_scene_truth *truth, struct pn_error *err);

/**
 * pn_scene_render - frames first .. first+count-1, several at a time on OpenMP threads.
 *
 * @pixels: [out] dtype [count][ny][nx]
 * @truth:  [out] [count][particles], or NULL
 *
 * Same bytes as one by one with pn_scene_frame, with any number of threads.
 */
int pn_scene_render(struct pn_scene *scene, uint64_t first, size_t count, void *pixels,
		    struct pn_scene_truth *truth, struct pn_error *err);

/**
 * pn_scene_specimen - atoms of a particle in its own frame, at rest.
 *
 * @version: as in the truth, 0 for the particle before any etching
 *
 * Borrowed until the next call of this function, or until the scene is destroyed. NULL if there is
 * no such particle or version, or no memory.
 */
const struct pn_specimen *pn_scene_specimen(struct pn_scene *scene, uint32_t particle,
					    uint32_t version);

/**
 * pn_scene_zone_angles - smallest angles in degrees between the beam and the directions <100>,
 * <110> and <111> of the crystal, for the orientation of @pose.
 */
void pn_scene_zone_angles(const struct pn_placement *pose, double angle_deg[3]);

#endif
