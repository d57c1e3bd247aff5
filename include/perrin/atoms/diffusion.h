/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/diffusion.h - interfacial diffusion coefficient from layer profiles over time. */
#ifndef PERRIN_ATOMS_DIFFUSION_H
#define PERRIN_ATOMS_DIFFUSION_H

#include "perrin/base/status.h"

#include <stddef.h>

/**
 * Composition of the layers of one particle at several times: the fraction of one element in each
 * layer. Layers are in order from the surface inwards and @spacing_A apart. The arrays belong to
 * the caller.
 */
struct pn_layer_profiles {
	size_t layers, times;
	double spacing_A;
	const double *time_s;   /* [times], ascending */
	const double *fraction; /* [times][layers], 0..1, NaN = empty layer */
	const double *sigma;    /* [times][layers] standard deviation; NULL = all alike */
	/* [layers] atoms of each layer: what flows from a large layer into a small one changes the
	 * small one more. NULL = flat layers, as Fick's law is written in paper 001. */
	const double *atoms;
};

/** A diffusion coefficient. 1 A^2/s is 1e-20 m^2/s. */
struct pn_diffusion {
	double D_m2_per_s, uncertainty_m2_per_s; /* standard deviation */
	double chi2;
	int points; /* measured points less those that the first profile takes up */
	int converged;
};

/**
 * pn_diffusion_fick - D by Fick's second law, dC/dt = D d2C/dx2, on the layers themselves.
 *
 * The profile of the first time is carried on to the later ones,
 *
 *	V_k dC_k/dt = D ( A_k+1 g_k+1 - A_k g_k ),   g_k = dC/dx between layers k - 1 and k,
 *
 * V the volumes and A the areas between layers (from `atoms`, or flat), g from the means of two
 * layers on each side. Nothing crosses the surface or the innermost layer. D and the true first
 * profile are those that meet all measured points best by least squares: every layer of the first
 * time, the layers @first .. @last (both included) of the later ones. No shape is assumed, and the
 * noise of the first profile is not taken for curvature.
 *
 * A layer that is empty at any time is left out, and nothing crosses it.
 * Uncertainty: from the sigmas, or from the scatter if there are none. It counts that the noise of
 * the first profile, too, bends and is carried on: where that tells more of D than the profile
 * itself (a step of 0.2 in layers of 300 atoms), D is left open and its uncertainty is NaN.
 *
 * @profiles: at least 2 times and 3 layers, at most 512
 *
 * A negative D is possible (a profile that sharpens) within the limits of stability and tells that
 * the change was no diffusion.
 *
 * Errors: PN_EARG (fewer than 2 times or 3 layers, more than 512, times not ascending, window out
 * of range, no layer in it), PN_ENOMEM. Cost: about 30 ms for 24 layers and 4 times, as the third
 * power of the layers. Thread: reentrant. Source: paper 001, "Calculation of interfacial diffusion
 * coefficients of Ir atoms" (methods R47).
 */
int pn_diffusion_fick(struct pn_diffusion *diffusion, const struct pn_layer_profiles *profiles,
		      size_t first, size_t last, struct pn_error *err);

/**
 * pn_diffusion_erfc - D from the width of an interface between two half spaces:
 *
 *	C(x, t) = c_in + (c_out - c_in)/2 erfc((x - x0) / w(t)),  w(t)^2 = w0^2 + 4 D t
 *
 * fitted to all times at once (c_out, c_in, x0, w0 and D free; the interface need not have been
 * sharp at the first time). Only where the profile has that shape; the layers are taken as their
 * averages over one spacing.
 *
 * Arguments, errors and cost as pn_diffusion_fick, which assumes no shape; `atoms` is not used. At
 * least 6 points.
 * Source: Crank, The Mathematics of Diffusion, 2nd ed. (1975), eq. 2.14.
 */
int pn_diffusion_erfc(struct pn_diffusion *diffusion, const struct pn_layer_profiles *profiles,
		      struct pn_error *err);

#endif
