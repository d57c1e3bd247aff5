/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/scattering.h"

#include "perrin/base/status.h"
#include "scattering_table.h"

#include <math.h>

static const double bohr_A = 0.529177;
static const double e_V_A = 14.3996; /* e / (4 pi eps0); both figures as Kirkland (2010) has them */

double pn_scattering_kirkland(int z, double q_per_A)
{
	pn_assert(z >= 1 && z <= PN_ELEMENT_Z_MAX);
	const double *ab = pn_kirkland_figures[z], *cd = ab + 6;
	double q2 = q_per_A * q_per_A, f = 0;

	for (int i = 0; i < 6; i += 2)
		f += ab[i] / (q2 + ab[i + 1]) + cd[i] * exp(-cd[i + 1] * q2);
	return f;
}

double pn_scattering_lobato(int z, double q_per_A)
{
	pn_assert(z >= 1 && z <= PN_ELEMENT_Z_MAX);
	const double *ab = pn_lobato_figures[z];
	double q2 = q_per_A * q_per_A, f = 0;

	for (int i = 0; i < 10; i += 2) {
		double bq2 = ab[i + 1] * q2, d = 1 + bq2;

		f += ab[i] * (2 + bq2) / (d * d);
	}
	return f;
}

/*
 * K0(x) = integral over t > 0 of exp(-x cosh t). The integrand falls off doubly exponentially and
 * is analytic, so the trapezoidal rule converges to rounding once the step is a quarter of its
 * width.
 */
static double bessel_k0(double x)
{
	double step = x > 4 ? 0.5 / sqrt(x) : 0.25, sum = 0.5;

	for (int i = 1;; i++) {
		double y = x * (cosh(i * step) - 1);

		if (y > 40)
			break;
		sum += exp(-y);
	}
	return sum * step * exp(-x);
}

double pn_potential_projected_kirkland(int z, double r_A)
{
	pn_assert(z >= 1 && z <= PN_ELEMENT_Z_MAX);
	const double *ab = pn_kirkland_figures[z], *cd = ab + 6;
	double bessel = 0, gauss = 0;

	if (!(r_A > 0))
		return INFINITY;
	for (int i = 0; i < 6; i += 2) {
		bessel += ab[i] * bessel_k0(2 * M_PI * r_A * sqrt(ab[i + 1]));
		gauss += cd[i] / cd[i + 1] * exp(-M_PI * M_PI * r_A * r_A / cd[i + 1]);
	}
	return M_PI * M_PI * bohr_A * e_V_A * (4 * bessel + 2 * gauss);
}
