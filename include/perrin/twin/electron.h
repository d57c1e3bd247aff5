/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/electron.h - the fast electron: wavelength and interaction constant. */
#ifndef PERRIN_TWIN_ELECTRON_H
#define PERRIN_TWIN_ELECTRON_H

/**
 * Fourier transform of an atom's projected potential per unit of scattering factor:
 * integral of V_z(r) exp(-2 pi i q r) = PN_POTENTIAL_VA2 f_e(q), that is h^2 / (2 pi m e) in V A2.
 * Ref: Kirkland, Advanced Computing in Electron Microscopy, 2nd ed. (2010), eq. 5.17 (2 pi a0 e).
 */
#define PN_POTENTIAL_VA2 47.877645

/**
 * pn_electron_wavelength_A - de Broglie wavelength of an electron, A.
 *
 *	lambda = h c / sqrt(E (2 m c^2 + E))
 *
 * @energy_keV: kinetic energy, > 0. At 300 keV: 0.019687 A.
 *
 * Thread: reentrant. Ref: Kirkland (2010), eq. 2.5; constants CODATA 2018.
 */
double pn_electron_wavelength_A(double energy_keV);

/**
 * pn_electron_sigma - phase per projected potential, rad / (V A).
 *
 *	sigma = 2 pi (m c^2 + E) / (lambda V (2 m c^2 + E))
 *
 * @energy_keV: kinetic energy, > 0. At 300 keV: 6.526e-4.
 *
 * Thread: reentrant. Ref: Kirkland (2010), eq. 5.6.
 */
double pn_electron_sigma(double energy_keV);

#endif
