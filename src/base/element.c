/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/element.h"

#include "perrin/base/status.h"

#include <string.h>

/* clang-format off */
static const char symbols[PN_ELEMENT_Z_MAX + 1][4] = {
	"", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si",
	"P", "S", "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni",
	"Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo",
	"Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba",
	"La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb",
	"Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po",
	"At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf",
	"Es", "Fm", "Md", "No", "Lr",
};
/* clang-format on */

/*
 * Edge of the cubic cell, A. Winter, WebElements (University of Sheffield), pages "crystal
 * structures", from X-ray data near room temperature.
 */
static const struct {
	int z;
	double a_A;
} fcc[] = {
	{ 13, 4.0495 }, { 28, 3.524 }, { 29, 3.6149 }, { 45, 3.803 },  { 46, 3.8907 },
	{ 47, 4.0853 }, { 77, 3.839 }, { 78, 3.9242 }, { 79, 4.0782 }, { 82, 4.9508 },
};

int pn_element_of_symbol(const char *symbol)
{
	if (!symbol || !*symbol)
		return 0;
	for (int z = 1; z <= PN_ELEMENT_Z_MAX; z++)
		if (!strcmp(symbol, symbols[z]))
			return z;
	return 0;
}

const char *pn_element_symbol(int z)
{
	return z >= 1 && z <= PN_ELEMENT_Z_MAX ? symbols[z] : NULL;
}

double pn_lattice_constant_A(int z)
{
	for (size_t i = 0; i < PN_COUNT(fcc); i++)
		if (fcc[i].z == z)
			return fcc[i].a_A;
	return 0;
}
