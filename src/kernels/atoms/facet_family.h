/* SPDX-License-Identifier: GPL-3.0-or-later */
/* facet_family.h - the low-index family nearest to a direction. */
#ifndef PERRIN_ATOMS_FACET_FAMILY_H
#define PERRIN_ATOMS_FACET_FAMILY_H

#include "perrin/base/status.h"

/** facet_check_turn - PN_EARG unless the rows of @to_lab are orthonormal to 1e-6. */
int facet_check_turn(const double to_lab[3][3], const char *what, struct pn_error *err);

/**
 * facet_family - PN_FACET_111, _100 or _110 for a unit vector of the lab frame.
 *
 * @angle_deg: [out] to the nearest normal of the family
 */
int facet_family(const double normal[3], const double to_lab[3][3], double *angle_deg);

#endif
