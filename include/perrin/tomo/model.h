/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/model.h - linear projections of an atomic model, and their adjoints. */
#ifndef PERRIN_TOMO_MODEL_H
#define PERRIN_TOMO_MODEL_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>
#include <stdint.h>

#define PN_MODEL_SPECIES_MAX  8
#define PN_SPOT_GAUSSIANS_MAX 4
#define PN_NO_ATOM            255 /* species of a site that holds no atom */

/**
 * How one atom of a species looks from any side: a sum of Gaussians,
 *
 *	spot(r) = sum_g intensity_g / (2 pi v_g) exp(-r^2 / (2 v_g)),
 *
 * r in pixels, v_g = variance_A2[g] / pixel_A^2, so that intensity_g is its sum over all pixels, in
 * the unit of the images. One Gaussian is the height and B factor of the AET papers: B = 8 pi^2
 * variance, the Debye-Waller factor being exp(-B q^2 / 4). (Published refinement codes write exp(-B
 * q^2): their B is a quarter of this.)
 */
struct pn_atom_spot {
	int gaussians;
	double intensity[PN_SPOT_GAUSSIANS_MAX];
	double variance_A2[PN_SPOT_GAUSSIANS_MAX];
};

/**
 * Atoms and how they look. Positions are relative to the origin of the volume, in A, so an atom is
 * seen at rotation . position_A / pixel_A + shift_px from the origin of the image (pose.h). The
 * arrays are borrowed.
 */
struct pn_linear_model {
	size_t count;
	double (*position_A)[3]; /* [count] x y z                                             */
	uint8_t *species;        /* [count] 0 .. species_count - 1, or PN_NO_ATOM             */
	int species_count;
	struct pn_atom_spot spot[PN_MODEL_SPECIES_MAX];
	double pixel_A;
	int integrate; /* 1: pixels hold the integral over their area, 0: the value at their centre
			*/
};

/** pn_b_factor_A2 - B = 8 pi^2 variance, and back. */
double pn_b_factor_A2(double variance_A2);
double pn_b_factor_variance_A2(double b_A2);

/** pn_atom_spot_gauss - one Gaussian of this intensity and B factor, nothing else. */
void pn_atom_spot_gauss(struct pn_atom_spot *spot, double intensity, double b_A2);

/**
 * pn_atom_spot_element - the electron scattering factor of an element (Kirkland), blurred:
 *
 *	spot(q) = intensity f_e(q) / f_e(0) exp(-B q^2 / 4) exp(-2 pi^2 s^2 q^2)
 *
 * with s = source_fwhm_A / 2.3548, as three Gaussians, the least-squares fit in Fourier space: the
 * spot is within 3 % of its peak everywhere for B = 1 A^2, within 1 % from 8 A^2 up.
 *
 * @b_A2: 1 to 200
 *
 * Errors: PN_EARG (element, or numbers out of range). Thread: reentrant. Cost: 20 ms.
 */
int pn_atom_spot_element(struct pn_atom_spot *spot, int z, double intensity, double b_A2,
			 double source_fwhm_A, struct pn_error *err);

/**
 * pn_linear_model_check - species, widths and positions that a projection can be made from.
 *
 * Errors: PN_EARG with the number of the atom or species: a position that is not finite, a species
 * out of range, a variance not within (0.2 pixel)^2 .. (64 pixels)^2, an intensity that is not
 * finite, 0 or more than PN_SPOT_GAUSSIANS_MAX Gaussians.
 */
int pn_linear_model_check(const struct pn_linear_model *model, struct pn_error *err);

/**
 * pn_linear_model_project - image_k(p) = sum_atoms spot_species(p - P_k r), the linear incoherent
 * model of ADF images.
 *
 * @pose:  [in]  [count]
 * @image: [out] float32 [count][ny][nx], unit of the intensities
 *
 * Every Gaussian is cut where it is below 4e-5 of its peak (4.5 sigma). Integration over the pixel
 * is done by adding pixel^2/12 to the variance: within 0.2 % of the peak for sigma from 1 pixel up.
 *
 * Errors: PN_EARG (as pn_linear_model_check, or no image), PN_ENOMEM. Thread: reentrant; OpenMP
 * threads share the tilts, the bytes do not depend on their number.
 * Cost: per atom, tilt and Gaussian (9 sigma)^2 multiply-adds, eight at a time, each row filled up
 * to eights: 0.1 us for sigma 1.9 pixels; 55 ms for 12,000 atoms in 45 tilts on one core.
 *
 * Ref: Yang et al., Nature 542, 75 (2017), methods; position refinement of papers 000 and 003.
 */
int pn_linear_model_project(const struct pn_linear_model *model, const struct pn_pose *pose,
			    size_t count, size_t ny, size_t nx, float *image, struct pn_error *err);

/** Derivatives of a scalar by everything a linear model has. Arrays are the caller's. */
struct pn_linear_gradient {
	double (*position_A)[3]; /* [atoms], may be NULL; 0 where there is no atom */
	double intensity[PN_MODEL_SPECIES_MAX][PN_SPOT_GAUSSIANS_MAX];
	double variance_A2[PN_MODEL_SPECIES_MAX][PN_SPOT_GAUSSIANS_MAX];
};

/**
 * pn_linear_model_adjoint - J^T times images: the derivatives of sum_k sum_p residual_k(p)
 * image_k(p), gathered from the pixels around each atom. With residual = image - measured it is the
 * gradient of half the sum of squares.
 *
 * @residual: [in] float32 [count][ny][nx], finite
 *
 * Errors, threads: as pn_linear_model_project. Cost: about two projections.
 */
int pn_linear_model_adjoint(const struct pn_linear_model *model, const struct pn_pose *pose,
			    size_t count, size_t ny, size_t nx, const float *residual,
			    struct pn_linear_gradient *gradient, struct pn_error *err);

/** R factors of a model against measured projections. */
struct pn_model_rfactor {
	double scale;   /* of all model images, <model, measured> / <model, model> */
	double r1_mean; /* over the projections                                    */
};

/**
 * pn_linear_model_rfactor - how well a model explains the projections:
 *
 *	R1_k = sum |scale model_k - measured_k| / sum |measured_k|
 *
 * with one scale for all of them, as a check of a finished model (R30).
 *
 * @r1: [out] [measured->count], may be NULL
 *
 * Errors: PN_EARG (as pn_linear_model_check and pn_projections_check, or a model that is 0
 * everywhere), PN_ENOMEM. Threads as pn_linear_model_project.
 */
int pn_linear_model_rfactor(const struct pn_linear_model *model,
			    const struct pn_projections *measured, struct pn_model_rfactor *r,
			    double *r1, struct pn_error *err);

#endif
