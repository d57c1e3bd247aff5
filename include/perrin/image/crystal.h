/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/crystal.h - is the lattice visible, what is its spacing, how large is the crystal.
 */
#ifndef PERRIN_IMAGE_CRYSTAL_H
#define PERRIN_IMAGE_CRYSTAL_H

#include "perrin/base/param.h"
#include "perrin/image/background.h"

#include <stddef.h>

enum pn_crystal_shape {
	PN_CRYSTAL_SPHERE, /* lattice amplitude follows the thickness of a sphere     */
	PN_CRYSTAL_DISC,   /* lattice amplitude is even over the projection           */
};

struct pn_crystal_params {
	double pixel_pm;
	double d_min_A, d_max_A;  /* lattice spacings looked for                             */
	double lowpass_A;         /* nothing finer than this is used (raw frames); 0: off    */
	double lattice_A;         /* fcc constant: look only near its reflections; 0: unknown */
	double tolerance;         /* of lattice_A, relative                                  */
	double false_alarm;       /* part of pure-noise crops whose peak passes noise_peak   */
	double spot_mask_px;      /* radius around a background spot that is not looked at   */
	int64_t size_peaks;       /* lattice peaks used for the size (paper 004: 1 pair)     */
	double atom_sd_A;         /* s.d. of an atom's image; 0: transfer is even (execute)   */
	double size_resolution_A; /* s.d. of the blur of the lattice envelope                */
	int size_shape;           /* enum pn_crystal_shape                                   */
};

/** Rows: one for each field above, same names. */
extern const struct pn_param pn_crystal_param_table[];

#define PN_CRYSTAL_PEAKS_MAX 8

struct pn_crystal_peak {
	double gx_per_A, gy_per_A; /* the one of the pair with gx >= 0                           */
	double spacing_pm;         /* 100 / |g|                                                  */
	double peak;               /* as pn_crystal_result.peak                                  */
	double width_px;           /* s.d. of the peak in the spectrum, window blur included     */
};

struct pn_crystal_result {
	double peak;       /* maximum of the normalised spectrum; 1 is noise level, 0: none  */
	double spacing_pm; /* of the strongest peak; 0: none                                 */
	double gx_per_A, gy_per_A, width_px;
	double second_angle_deg; /* strongest peak more than 15 degrees off it, 0: none */
	size_t second;  /* its index in peaks, 0: none                                    */
	size_t n_peaks; /* independent pairs above noise_peak, strongest first            */
	struct pn_crystal_peak peaks[PN_CRYSTAL_PEAKS_MAX];
	/* written by pn_crystal_size, zero after pn_crystal_execute */
	int size_valid;
	double diameter_nm;  /* circle of the same area, corrected (see pn_crystal_size)       */
	double area_A2;      /* of the lattice region as thresholded, not corrected            */
	double separability; /* Otsu's, of the lattice envelope                                */
	double x_px, y_px;   /* centroid of the lattice region in the crop                     */
};

struct pn_crystal;

/**
 * pn_crystal_create - plan for crops [ny][nx] (1..1024 each; under 16 nothing is ever found).
 *
 * Measures itself on ideal crystals here (see pn_crystal_size), which takes some 30 FFTs.
 * Errors: PN_EARG (shape; parameters out of range), PN_ENOMEM. Caller destroys. Thread: safe.
 */
int pn_crystal_create(struct pn_crystal **plan, size_t ny, size_t nx,
		      const struct pn_crystal_params *params, struct pn_error *err);
void pn_crystal_destroy(struct pn_crystal *plan);

/**
 * pn_crystal_execute - the lattice peaks of one crop.
 *
 *	P = |FFT(hann (crop - mean))|^2
 *	peak = max over the band of (P / B) * [1 2 1]^2 / 16,
 *	B = mean of P on its ring, without what is over 3 times that mean (divided by 0.843, what an
 *	    exponential law keeps), smoothed over three rings
 *
 * So peak is 1 for the mean of noise of any colour, whatever dose, unit and size; it does not
 * change when the crop is scaled or shifted in value. Position and width are a Gaussian fitted to
 * the 3 x 3 bins about the maximum (least squares on the logarithm of P / B - 1, less the fall
 * -(2 pi atom_sd_A k)^2 of the image of an atom: over the broad peak of a 2 nm particle that slope
 * pulls the maximum inwards, by 1 % of |g| for 0.5 A; 0 where transfer is even about the peak, as
 * near the first maximum of a phase-contrast transfer function). Bins within spot_mask_px of
 * a background spot are left out.
 *
 * @crop:       [in]  float32 [ny][nx]; pixels not finite count as the mean
 * @background: [in]  spots to ignore, may be NULL if @background_count is 0
 * @out:        [out] all fields; peak 0 if the crop is constant, not finite, or too small
 *
 * Thread: one call at a time per plan. Allocates: nothing.
 * Cost: one real FFT and about 10 ns per bin of the band. Ref: paper 004, "2D image analysis".
 */
void pn_crystal_execute(struct pn_crystal *plan, const float *crop,
			const struct pn_spot *background, size_t background_count,
			struct pn_crystal_result *out);

/**
 * pn_crystal_size - projected diameter from the lattice (call it when the class is high).
 *
 * Gaussian masks around up to size_peaks pairs of peaks, inverse FFT of one side of each pair (the
 * complex envelope of the fringes), mean power of the envelopes less that of the noise, root,
 * bilateral filter, Otsu, largest region, area A -> 2 sqrt(A / pi). The mask blurs, the envelope of
 * a sphere falls off towards its edge and Otsu cuts somewhere between: the plan has measured ideal
 * crystals (size_shape) of 20 known diameters with this same code and undoes the difference by
 * interpolation. Nothing in the correction is adjustable.
 *
 * @crop: [in]    the same crop
 * @out:  [inout] peaks of pn_crystal_execute; the size fields are written. size_valid is 0 if there
 *                is no peak above noise_peak, the region touches the border, or the diameter is
 *                outside what was measured (2 resolutions .. 3/4 of the crop).
 *
 * Thread: as execute. Allocates: nothing. Cost: one more FFT and one small one per peak.
 */
void pn_crystal_size(struct pn_crystal *plan, const float *crop, struct pn_crystal_result *out);

/**
 * pn_crystal_noise_peak - the peak that pure noise passes in a part false_alarm of crops.
 *
 * A bin of the smoothed spectrum is a mean of k exponential variables, k = 1 / sum w_i w_j |rho|^2
 * with rho the window's correlation of bins; the quantile 1 - false_alarm / M of that Gamma law (M
 * bins in the band) is taken by Wilson and Hilferty's cube root. (Without smoothing it would be
 * ln(M / false_alarm).) It is the prior for pn_two_class.
 */
double pn_crystal_noise_peak(const struct pn_crystal *plan);

#endif
