/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/scattering.h - electron scattering factors of the elements. */
#ifndef PERRIN_TWIN_SCATTERING_H
#define PERRIN_TWIN_SCATTERING_H

/**
 * pn_scattering_kirkland - electron scattering factor of the neutral free atom, first Born
 * approximation, in A:
 *
 *	f_e(q) = sum_i a_i / (q^2 + b_i) + c_i exp(-d_i q^2),   i = 1..3
 *
 * @z:       atomic number, 1..103 (anything else is a bug and asserts)
 * @q_per_A: spatial frequency |q| = 1/spacing >= 0, in 1/A; not s = q/2
 *
 * The projected potential is its 2D Fourier transform times 2 pi a0 e = 47.878 V A^2. The fit is
 * made for q up to 12/A.
 *
 * Thread: reentrant. Cost: 3 divisions, 3 exponentials.
 * Source: Kirkland, Advanced Computing in Electron Microscopy, 2nd ed. (2010), appendix C.
 */
double pn_scattering_kirkland(int z, double q_per_A);

/**
 * pn_scattering_lobato - the same quantity by the parametrisation of Lobato and Van Dyck, Acta
 * Cryst. A70, 636 (2014), which keeps the right limits at q = 0 and q -> infinity:
 *
 *	f_e(q) = sum_i a_i (2 + b_i q^2) / (1 + b_i q^2)^2,   i = 1..5
 *
 * Arguments and thread safety as pn_scattering_kirkland. Cost: 5 divisions.
 */
double pn_scattering_lobato(int z, double q_per_A);

/**
 * pn_potential_projected_kirkland - potential of one free atom integrated along the beam, in V A,
 * at distance @r_A > 0 from its centre (r = 0 gives infinity: K0 has a logarithm there):
 *
 *	v(r) = 4 pi^2 a0 e sum_i a_i K0(2 pi r sqrt(b_i))
 *	     + 2 pi^2 a0 e sum_i c_i/d_i exp(-pi^2 r^2 / d_i)
 *
 * with a0 = 0.529177 A and e = 14.3996 V A. Accurate to about 1e-12 of itself; slow (some hundred
 * exponentials): meant as the reference that a sampled potential is checked against.
 *
 * Thread: reentrant.
 * Source: Kirkland (2010), appendix C, eq. C.20.
 */
double pn_potential_projected_kirkland(int z, double r_A);

#endif
