/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The published figures behind scattering.c; index is the atomic number. */
#ifndef PERRIN_TWIN_SCATTERING_TABLE_H
#define PERRIN_TWIN_SCATTERING_TABLE_H

#include "perrin/base/element.h"

extern const double pn_kirkland_figures[PN_ELEMENT_Z_MAX + 1][12]; /* (a b)x3, (c d)x3 */
extern const double pn_lobato_figures[PN_ELEMENT_Z_MAX + 1][10];   /* (a b)x5          */

#endif
