/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/adf.h - ADF-STEM images by the linear incoherent model. */
#ifndef PERRIN_TWIN_ADF_H
#define PERRIN_TWIN_ADF_H

#include <stddef.h>
#include <stdint.h>

struct pn_adf_params {
	size_t ny, nx; /* pixels, probe positions */
	double pixel_A;
	double source_fwhm_A; /* Gaussian source                                              */
	double probe_fwhm_A;  /* Gaussian probe; widths add up in squares                     */
	double z_power;       /* gamma                                                        */
	double yield_A2;      /* cross-section for scattering to the detector, per Z^gamma    */
};

/**
 * pn_adf_tilt - rotate atoms as the tilt stage does, about the y axis:
 *
 *	x' = x cos(theta) - z sin(theta),  y' = y,  z' = x sin(theta) + z cos(theta)
 *
 * @lab: [out] double [count][3], A; may be @atoms. x' and y' are the detector's axes.
 */
void pn_adf_tilt(double (*lab)[3], const double (*atoms)[3], size_t count, double angle_deg);

/**
 * pn_adf_image - fraction of the beam that atoms send to the annular detector.
 *
 *	I(p) = yield sum_a Z_a^gamma exp(-|p - r_a|^2 / (2 s^2)) / (2 pi s^2)
 *
 * with s from the two widths (FWHM = 2.3548 s). Exact at every pixel within 6 s of an atom, and 0
 * beyond; the sum over pixels times pixel^2 is yield sum Z^gamma (for s above half a pixel).
 *
 * @position_A:    [in] double [count][3], relative to pixel (nx/2, ny/2); z is not used
 * @atomic_number: [in] uint8 [count]
 * @image:         [out] float32 [ny][nx], dimensionless
 *
 * Thread: reentrant; shares rows among OpenMP threads, the bytes do not depend on their number.
 * Cost: about (12 s / pixel)^2 multiply-adds per atom.
 * Ref: the linear imaging model of ADF tomography as in Yang et al., Nature 542, 75 (2017).
 */
void pn_adf_image(const struct pn_adf_params *params, const double (*position_A)[3],
		  const uint8_t *atomic_number, size_t count, float *image);

#endif
