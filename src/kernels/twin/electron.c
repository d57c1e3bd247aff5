/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/electron.h"

#include <math.h>

static const double rest_keV = 510.99895;   /* m c^2 */
static const double hc_keV_A = 12.39841984; /* h c   */

double pn_electron_wavelength_A(double energy_keV)
{
	return hc_keV_A / sqrt(energy_keV * (2 * rest_keV + energy_keV));
}

double pn_electron_sigma(double energy_keV)
{
	double volts = 1e3 * energy_keV;

	return 2 * M_PI / (pn_electron_wavelength_A(energy_keV) * volts) * (rest_keV + energy_keV) /
	       (2 * rest_keV + energy_keV);
}
