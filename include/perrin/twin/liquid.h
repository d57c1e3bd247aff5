/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/liquid.h - the liquid cell around the particle: water and graphene. */
#ifndef PERRIN_TWIN_LIQUID_H
#define PERRIN_TWIN_LIQUID_H

#include "perrin/base/status.h"

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

struct pn_liquid_params {
	size_t ny, nx; /* pixels of the field */
	double pixel_A;
	double energy_keV;
	double water_nm;       /* thickness of the liquid                                  */
	double water_contrast; /* of the frozen liquid, 0..1                               */
	int graphene_layers;
	double graphene_angle_deg; /* of the zigzag direction of the first layer, from x to y  */
	double graphene_twist_deg; /* of each further layer against the one before             */
	uint64_t seed;
};

struct pn_liquid;

/**
 * pn_liquid_plan - prepare the phase of graphene and pieces of water; caller destroys it.
 *
 * Graphene: projected potential of the honeycomb (a = 2.46 A, C-C 1.42 A) as a Fourier series up to
 * 2/3 of the Nyquist frequency, Kirkland's factors, in-plane B = 0.3 A2; spots at 2.13 A and 1.23
 * A. Layers have random sideways shifts and do not move.
 *
 * Water: a Gaussian random phase with the power of randomly turned molecules at 1 g/cm3,
 *
 *	P(q) = sigma^2 C^2 n t |F(q)|^2 S(q),	n = 0.0334 / A3
 *	|F|^2 = fO^2 + 2 fH^2 + 4 fO fH j0(2 pi q 0.957 A) + 2 fH^2 j0(2 pi q 1.514 A)
 *	S(q) = 1 - 0.94 exp(-(q / 0.25)^2) + 0.5 exp(-((q - 0.32) / 0.05)^2)
 *
 * (Debye's formula; S is a sketch of the measured structure factor: S(0) = 0.06 from the
 * compressibility, first peak at 2 pi q = 2 / A.) It is held as eight periodic pieces of four
 * sizes; a frame takes three at random, shifted and mirrored. Molecules move far during an exposure
 * of milliseconds, which washes the contrast out: water_contrast scales the phase (1: a frozen
 * configuration, the worst case). Water scatters as a thin phase object in the plane of the
 * particle.
 *
 * Errors: PN_EARG, PN_ENOMEM. Cost: 0.2 s for the water, 10 ns per pixel and wave for graphene.
 */
int pn_liquid_plan(struct pn_liquid **plan, const struct pn_liquid_params *params,
		   struct pn_error *err);
void pn_liquid_destroy(struct pn_liquid *plan);

/**
 * pn_liquid_phase - the phase shift of one frame's surroundings, rad.
 *
 * @frame: names the water's configuration (stream of the plan's seed)
 * @phase: [out] float32 [ny][nx]
 *
 * Thread: any number of threads with one plan. Allocates: nothing. Cost: 2 ns per pixel.
 */
void pn_liquid_phase(const struct pn_liquid *plan, uint64_t frame, float *phase);

/** pn_liquid_wave - exp(i phase): complex64 [ny][nx]. Otherwise as pn_liquid_phase. */
void pn_liquid_wave(const struct pn_liquid *plan, uint64_t frame, float complex *wave);

#endif
