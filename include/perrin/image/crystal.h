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
	double d_min_A, d_max_A; /* lattice spacings looked for                             */
	double lowpass_A;        /* nothing finer than this is used (raw frames); 0: off    */
	double lattice_A;        /* fcc constant: look only near its reflections; 0: unknown */
	double tolerance;        /* of lattice_A, relative                                  */
	double false_alarm;      /* part of pure-noise crops whose peak passes noise_peak   */
	double window_part;      /* side of the window, as part of the crop's side          */
	double atom_sd_A;        /* s.d. of an atom's image; 0: transfer is even (execute)  */
	int64_t size_peaks;      /* lattice peaks used for the size (paper 004: 1 pair)     */
	int size_shape;          /* enum pn_crystal_shape                                   */
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
	double spacing_pm; /* of the strongest peak and those within 0.028/A of its ring     */
	double gx_per_A, gy_per_A, width_px;
	double second_angle_deg; /* strongest peak more than 15 degrees off it, 0: none */
	size_t second;  /* its index in peaks, 0: none                                    */
	size_t n_peaks; /* independent pairs above noise_peak, strongest first            */
	struct pn_crystal_peak peaks[PN_CRYSTAL_PEAKS_MAX];
	/* written by pn_crystal_size, zero after pn_crystal_execute */
	int size_valid;
	double diameter_nm; /* of the sphere (or disc) that fits best                         */
	double x_px, y_px;  /* its centre in the crop                                         */
};

struct pn_crystal;

/**
 * pn_crystal_create - plan for crops [ny][nx] (1..1024 each; under 16 nothing is ever found).
 *
 * Errors: PN_EARG (shape; parameters out of range), PN_ENOMEM. Caller destroys. Thread: safe.
 */
int pn_crystal_create(struct pn_crystal **plan, size_t ny, size_t nx,
		      const struct pn_crystal_params *params, struct pn_error *err);
void pn_crystal_destroy(struct pn_crystal *plan);

/**
 * pn_crystal_execute - the lattice peaks of one crop.
 *
 *	P = |FFT(hann (window - mean))|^2
 *	peak = max over the band of (P / B) * [1 2 1]^2 / 16,
 *	B = mean of P on its ring, without what is over 3 times that mean (divided by 0.843, what an
 *	    exponential law keeps), smoothed over the rings within 0.07 / A
 *
 * The window is the middle of the crop, window_part of its sides (up to the next fast size of an
 * FFT): noise of pixels without particle only hides the spots. Best is about 1.5 diameters of the
 * particle; on raw frames of the twin (2.2 nm, 15 e/A2) 3.4 nm instead of 5.7 take the spacing's
 * error from 0.93 to 0.65 %. By default nothing finer than 1.3 A is looked at: finer reflections
 * are weak on raw frames, while being there in most orientations: without them the maxima of
 * aligned and misaligned frames do not overlap.
 *
 * So peak is 1 for the mean of noise of any colour, whatever dose, unit and size; it does not
 * change when the crop is scaled or shifted in value. Position and width are a Gaussian fitted to
 * the 3 x 3 bins about the maximum (least squares on the logarithm of P / B - 1, less the fall
 * -(2 pi atom_sd_A k)^2 of the image of an atom: over the broad peak of a 2 nm particle that slope
 * pulls the maximum inwards, by 1 % of |g| for 0.5 A; 0 where transfer is even about the peak, as
 * near the first maximum of a phase-contrast transfer function). A peak whose signal-to-noise ratio
 * is P in the best filter cannot be placed better than 1 / (2 pi x sqrt(2 P)), x the rms extent of
 * the fringes along g: 0.2 of the diameter for a sphere.
 *
 * The result's spacing_pm is 100 / |g| of the strongest peak, or of the mean |g| of all peaks
 * within 0.028 / A of it, each counted with its power over noise: two {111} are better than one.
 *
 * A background spot is a plane wave all over the crop: its amplitude is measured where the window
 * is not, and the wave is taken off the window's spectrum; a peak of the particle at the same place
 * stays. It costs some noise there: its amplitude is known to that of the rest of the crop.
 *
 * @crop:       [in]  float32 [ny][nx]; pixels not finite count as the mean
 * @background: [in]  spots to take off, may be NULL if @background_count is 0
 * @out:        [out] all fields; peak 0 if the window is constant, not finite, or too small
 *
 * Thread: one call at a time per plan. Allocates: nothing.
 * Cost: twice that of the real FFT of the window; for each spot 5 us at 160 x 160.
 * Ref: paper 004, "2D image analysis".
 */
void pn_crystal_execute(struct pn_crystal *plan, const float *crop,
			const struct pn_spot *background, size_t background_count,
			struct pn_crystal_result *out);

/**
 * pn_crystal_size - projected diameter from the lattice (call it when the class is high).
 *
 * For up to size_peaks pairs of peaks the crop is turned by exp(-2 pi i g r) and summed over cells
 * of 1.4 A: the complex envelope E of the fringes. Under noise of variance v per cell the most
 * likely crystal of amplitude s(r) = sqrt(1 - r^2 / R^2) (or 1, size_shape) has the centre and
 * radius where
 *
 *	sum over pairs of |sum s E|^2 / (v sum s^2)
 *
 * is largest; amplitude and phase of each pair are fitted on the way. No threshold, no blur to
 * correct, and no use of pixels beyond the crystal: noise elsewhere does not matter, so the whole
 * crop is searched for radii of 0.4 nm .. 0.48 of the crop's side about the middle of the crop.
 *
 * @crop: [in]    the crop of the last pn_crystal_execute
 * @out:  [inout] its result; the size fields are written. size_valid is 0 if there is no peak above
 *                noise_peak or the likelihood has no maximum inside these radii.
 *
 * Thread: as execute. Allocates: nothing. Cost: as two executes. Error on frames of the twin (2.2
 * nm): 4.8 % rms, -0.3 % in the mean without noise, as a crystal is no sphere; 6 to 8 % rms on raw
 * ones.
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

/** pn_crystal_window - rows and columns of the part of the crop that is transformed. */
void pn_crystal_window(const struct pn_crystal *plan, size_t *ny, size_t *nx);

#endif
