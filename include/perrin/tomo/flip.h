/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/flip.h - atom flipping: which species, or none, explains the projections best. */
#ifndef PERRIN_TOMO_FLIP_H
#define PERRIN_TOMO_FLIP_H

#include "perrin/base/status.h"
#include "perrin/tomo/model.h"
#include "perrin/twin/lens.h"
#include "perrin/twin/multislice.h"

#include <stddef.h>
#include <stdint.h>

/** A window of one projection: its pixel (0, 0) is the pixel (y0, x0) of the image. */
struct pn_flip_window {
	size_t projection;
	const struct pn_pose *pose; /* of that projection                     */
	size_t image_ny, image_nx;
	long y0, x0;
	size_t ny, nx;
};

/**
 * What images atoms for the flipping, where the linear model is not good enough. @patch draws a
 * window from the atoms near its column alone: those no farther than @reach_A from the line along
 * the beam through the atom in question.
 *
 * @position_A: [in]  [count] in the frame of the specimen; @species [count], never PN_NO_ATOM
 * @image:      [out] float32 [ny][nx] of the window, background 0
 *
 * It is called from several OpenMP threads at once.
 */
struct pn_flip_engine {
	double reach_A;
	int (*patch)(void *context, const double (*position_A)[3], const uint8_t *species,
		     size_t count, const struct pn_flip_window *window, float *image,
		     struct pn_error *err);
	void *context;
};

enum pn_flip_measure {
	PN_FLIP_SQUARE, /* sum of (scale model - measured)^2: the likelihood of even noise */
	/*
	 * sum |scale model - measured|, the numerator of R1, as published. It needs about twice the
	 * dose: of 459 atoms in 31 tilts with 60 counts per Pt and tilt, 15 sites stay wrong where
	 * the squares leave none.
	 */
	PN_FLIP_ABSOLUTE,
};

/** Zero-initialised: the linear model, all species but no atom taken away, defaults. */
struct pn_flip_params {
	const struct pn_flip_engine *engine; /* NULL: the linear model                        */
	enum pn_flip_measure measure;
	int no_atom;    /* 1: that there is no atom is a candidate too                       */
	double disc_px; /* radius of what is compared; 0 = 5.5                               */
	double scale; /* of the model's images; 0: least squares before every sweep, for the linear
		       * model; 1 for an engine                                             */
	int sweeps_max; /* 0 = 20                                                           */
	uint64_t seed;  /* of the order                                                     */
};

struct pn_flip_result {
	int sweeps, settled; /* settled: the last sweep changed nothing                     */
	size_t flips;        /* made on the way                                             */
	size_t changed;      /* sites that are another species now                          */
	double scale;        /* of the last sweep                                           */
};

/**
 * pn_flip - go over the doubtful atoms in random order; of each, keep the species (or absence) for
 * which a disc around it, in all projections together, differs least from what was measured; again,
 * in another order, until a whole sweep changes nothing.
 *
 * @model:    [inout] species; a site that might hold an atom is in the list as PN_NO_ATOM
 * @doubtful: [in]    [doubtful_count] indices of atoms; NULL: all of them
 *
 * Errors: PN_EARG (as pn_linear_model_check and pn_projections_check, an index out of range, disc
 * outside 1..32 pixels), PN_ENOMEM, and what the engine says; species are then as the last flip
 * left them. Not to settle is no error.
 * Thread: reentrant; the result does not depend on the number of OpenMP threads.
 * Cost: linear model: 0.25 us per atom, tilt and candidate, in one thread; an engine: one patch for
 * each of them.
 *
 * Ref: atom flipping of Yang et al., Nature 592, 60 (2021); paper 001, supplement, 5.2 c to e.
 */
int pn_flip(struct pn_linear_model *model, const size_t *doubtful, size_t doubtful_count,
	    const struct pn_projections *measured, const struct pn_flip_params *params,
	    struct pn_flip_result *result, struct pn_error *err);

/** How a column is imaged by multislice. */
struct pn_flip_multislice_params {
	struct pn_multislice_params wave; /* field of a column; pixels are those of the images */
	struct pn_lens_params lens; /* its ny, nx, pixel_A, energy_keV are taken from the wave */
	uint8_t element[PN_MODEL_SPECIES_MAX]; /* atomic number of each species */
	int species_count;
	double b_iso_A2, plane_A; /* as in struct pn_multislice_atoms */
	double cylinder_A;        /* radius of what is imaged; 0 = 4  */
	double buffer_A;          /* and what is added to it; 0 = 1   */
};

/**
 * pn_flip_multislice_create - an engine that images by perrin/twin/multislice.h and lens.h: plane
 * wave, intensity less 1; caller destroys it.
 *
 * The field should be as wide as the cylinder with its buffer, or the window if that is wider: it
 * is periodic.
 *
 * Errors: PN_EARG (as pn_multislice_plan, pn_lens_plan; no species), PN_ENOMEM. One engine serves
 * one pn_flip at a time, with the OpenMP threads there were when it was made.
 */
int pn_flip_multislice_create(struct pn_flip_engine **engine,
			      const struct pn_flip_multislice_params *params, struct pn_error *err);
void pn_flip_multislice_destroy(struct pn_flip_engine *engine);

#endif
