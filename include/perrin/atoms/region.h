/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/region.h - the eight {111} and six {100} regions of a cuboctahedral particle. */
#ifndef PERRIN_ATOMS_REGION_H
#define PERRIN_ATOMS_REGION_H

#include "perrin/atoms/atoms.h"

/** Regions 0..7 are {111}, 8..13 are {100}; -1 is no region. */
#define PN_REGIONS     14
#define PN_REGIONS_111 8

/** pn_region_name - "(111)", "(-111)", ..., "(00-1)"; NULL outside 0..13. Static storage. */
const char *pn_region_name(int region);

/** pn_region_normal - unit vector of a region in the crystal frame, @region 0..13. */
void pn_region_normal(double normal[3], int region);

/* facet distances d_100 / d_111 of ideal shapes, for pn_regions */
#define PN_REGION_NEAREST_NORMAL       1.0
#define PN_REGION_CUBOCTAHEDRON        0.86602540378443865 /* sqrt(3)/2 */
#define PN_REGION_TRUNCATED_OCTAHEDRON 1.1547005383792515  /* 2/sqrt(3), the regular one */

/**
 * pn_regions - the region of each atom: the direction k for which (r - center) . n_k / d_k is
 * largest, with d_111 = 1 and d_100 = @facet_ratio.
 *
 * With facet_ratio = 1 this is the direction nearest to the radius vector. With the facet_ratio of
 * a polyhedron the regions meet along its edges, so that the region is the facet the atom lies
 * under. Papers 000 and 001 divide their particles into 8 + 6 regions by cuboctahedral symmetry
 * and the facets found, and give no formula; for a particle that is still a cuboctahedron
 * PN_REGION_CUBOCTAHEDRON does that.
 *
 * Atoms between regions (to 1e-9 of their distance from the centre), as on the edges of a perfect
 * polyhedron, go to the region with the lowest number: the choice is made in the crystal frame
 * and does not depend on rotation or numbering. Atoms within 1e-6 A of the centre have no region.
 *
 * The array is a class array: pn_class_stats, pn_composition_by_class and pn_sro_by_class take it.
 *
 * @region:   [out] [atoms] 0..13, or -1
 * @rotation: lab = rotation * crystal, det = +1
 * @center_A: in the lab frame; NULL = mean of all positions
 * @select:   [atoms] atoms with 0 get -1 (papers: only surface atoms have regions); NULL = all
 *
 * Errors: PN_EARG if @rotation is not a rotation to 1e-6, or @facet_ratio is not a finite number
 * above 0. Cost: 20 ns per atom.
 * Source: methods R46; paper 000 methods 6.4, paper 001 methods 6.3.
 */
int pn_regions(int32_t *region, const struct pn_atoms *atoms, const double rotation[3][3],
	       const double center_A[3], double facet_ratio, const uint8_t *select, int threads,
	       struct pn_error *err);

#endif
