/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/atoms.h"

#include "perrin/base/element.h"

#include <math.h>

int pn_atoms_check(const struct pn_atoms *atoms, struct pn_error *err)
{
	if (!atoms->count)
		return pn_error_set(err, PN_EFORMAT, "the model has no atoms");
	if (atoms->count > (size_t)INT32_MAX)
		return pn_error_set(err, PN_EFORMAT,
				    "the model has %zu atoms, at most %d can be analysed",
				    atoms->count, INT32_MAX);
	for (size_t i = 0; i < atoms->count; i++) {
		for (int k = 0; k < 3; k++)
			if (!(fabs(atoms->position_A[i][k]) < 1e6))
				return pn_error_set(
					err, PN_EFORMAT,
					"atom %zu: %c is %g A, must be within 1e6 A of 0", i + 1,
					'x' + k, atoms->position_A[i][k]);
		if (atoms->element[i] < 1 || atoms->element[i] > PN_ELEMENT_Z_MAX)
			return pn_error_set(err, PN_EFORMAT,
					    "atom %zu: atomic number %d, must be 1..%d", i + 1,
					    atoms->element[i], PN_ELEMENT_Z_MAX);
	}
	return PN_OK;
}
