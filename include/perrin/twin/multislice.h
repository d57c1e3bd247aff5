/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/multislice.h - plane-wave multislice: atoms to exit wave. */
#ifndef PERRIN_TWIN_MULTISLICE_H
#define PERRIN_TWIN_MULTISLICE_H

#include "perrin/base/status.h"

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

#define PN_MULTISLICE_ELEMENTS_MAX 8

enum pn_multislice_model {
	PN_MULTISLICE_KIRKLAND,
	PN_MULTISLICE_LOBATO,
};

struct pn_multislice_params {
	size_t ny, nx; /* pixels, 8..4096; products of small primes are fastest          */
	double pixel_A;
	double energy_keV;
	double slice_A; /* thickness of a slice; 2 A puts one atom of a column in a slice  */
	enum pn_multislice_model model;
	uint8_t elements[PN_MULTISLICE_ELEMENTS_MAX]; /* atomic numbers to be used, 0 ends  */
};

/** Atoms in the lab frame, A, relative to pixel (nx/2, ny/2); z along the beam. Borrowed. */
struct pn_multislice_atoms {
	const double (*position_A)[3]; /* [count], x y z                                    */
	const uint8_t *atomic_number;  /* [count]                                           */
	size_t count;
	double b_iso_A2; /* Debye-Waller B = 8 pi^2 <u_x^2>; 0: atoms at rest               */
	double plane_A;  /* z of the plane that the wave is given in                        */
};

struct pn_multislice;
struct pn_multislice_scratch;

/**
 * pn_multislice_plan - prepare exit waves of one field size; caller destroys it.
 *
 * Errors: PN_EARG (shape, pixel, energy, slice, an element without scattering factor), PN_ENOMEM.
 * Thread: reentrant. Cost: tables of ny nx / 5 floats per element, FFT planning.
 */
int pn_multislice_plan(struct pn_multislice **plan, const struct pn_multislice_params *params,
		       struct pn_error *err);
void pn_multislice_destroy(struct pn_multislice *plan);

/**
 * pn_multislice_scratch_create - work space for one thread; caller destroys it.
 *
 * @atoms_max: the most atoms an execute with it may be given
 */
int pn_multislice_scratch_create(struct pn_multislice_scratch **scratch,
				 const struct pn_multislice *plan, size_t atoms_max,
				 struct pn_error *err);
void pn_multislice_scratch_destroy(struct pn_multislice_scratch *scratch);

/**
 * pn_multislice_execute - the wave of a unit plane wave behind the atoms.
 *
 *	psi <- F^-1 [ P(q, dz) F [ exp(i sigma V_s(r)) psi ] ],	P = exp(-i pi lambda q^2 dz)
 *
 * for each slice s along the beam. V_s, the projected potential of the atoms whose z is inside the
 * slice, is summed in Fourier space: structure factors with exact positions, times f_e(q) and the
 * Debye-Waller factor exp(-B q^2 / 4); so an atom moves by parts of a pixel without any error of
 * interpolation. Transmission and propagator are limited to 2/3 of the Nyquist frequency. Slices
 * lie on the grid plane_A + k slice_A; atoms act in the middle of their slice; the last step leads
 * from the last slice to plane_A (back, where the slice is behind it). The field is periodic.
 *
 * @wave: [out] complex64 [ny][nx], from pn_fft_alloc; mean intensity 1 but for what is scattered
 *        beyond the band limit
 *
 * Errors: PN_EARG: more atoms than the scratch holds, an element not planned for, a position
 *         that is not finite.
 * Thread: any number of threads with one plan, each with a scratch of its own. Allocates: nothing.
 * Cost: per slice 4.5 FFTs, and about ny nx / 9 multiply-adds per atom.
 * Ref: Kirkland, Advanced Computing in Electron Microscopy, 2nd ed. (2010), ch. 5 and 6.
 */
int pn_multislice_execute(const struct pn_multislice *plan, struct pn_multislice_scratch *scratch,
			  const struct pn_multislice_atoms *atoms, float complex *wave,
			  struct pn_error *err);

#endif
