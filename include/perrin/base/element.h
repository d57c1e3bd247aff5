/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/element.h - elements: symbols, atomic numbers, fcc lattice constants. */
#ifndef PERRIN_BASE_ELEMENT_H
#define PERRIN_BASE_ELEMENT_H

#define PN_ELEMENT_Z_MAX 103 /* tables of elements hold z = 1..103, H to Lr */

/** pn_element_of_symbol - atomic number of "Pt"; 0 if it is no symbol (case matters; NULL is 0). */
int pn_element_of_symbol(const char *symbol);

/** pn_element_symbol - "Pt" for 78; NULL outside 1..103. Static storage. */
const char *pn_element_symbol(int z);

/**
 * pn_lattice_constant_A - edge of the cubic cell of an fcc metal at room temperature, in A: Ni, Cu,
 * Rh, Pd, Ag, Ir, Pt, Au, Al, Pb. 0 = unknown or not fcc.
 *
 * These are bulk figures; a nanocrystal may differ (3.912 A was measured for Pt particles in
 * liquid, 3.9242 A is the bulk).
 */
double pn_lattice_constant_A(int z);

#endif
