/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/directions.h - quasi-uniform views of a particle, in cells of neighbours. */
#ifndef PERRIN_ORIENT_DIRECTIONS_H
#define PERRIN_ORIENT_DIRECTIONS_H

#include "perrin/base/status.h"

#include <stddef.h>

#define PN_DIRECTIONS_CELL   8 /* views of one cell                                   */
#define PN_DIRECTIONS_COARSE 2 /* of them, which stand for the cell in a coarse search */

/**
 * Views over the half sphere z >= 0; a view from the other side is the mirror image of one of them
 * (perrin/orient/match.h). Those of a cell lie side by side on the sphere and in memory.
 */
struct pn_directions {
	size_t cells, count;      /* count = cells * PN_DIRECTIONS_CELL                          */
	double (*view)[3];        /* [count] unit vectors along the beam, in the specimen's frame */
	double (*rotation)[3][3]; /* [count] specimen to detector: its third row is view; det +1  */
	double (*center)[3];      /* [cells] mean of the cell's views, unit vector                */
	double radius_deg;        /* the largest angle from a view to its cell's center          */
	double spacing_deg;       /* edge of the square a view has for itself                     */
};

/**
 * pn_directions_create - at least @count views over the half sphere, so twice as many in all.
 *
 * A Fibonacci lattice, cut in halves along its longest extent until cells are left. The first
 * PN_DIRECTIONS_COARSE views of a cell are the middles of its two halves.
 *
 * @count: 64..65536; rounded up to whole cells. 1250 is the 2500 of the papers
 *
 * Errors: PN_EARG, PN_ENOMEM. Caller destroys. Cost: milliseconds.
 * Source: methods R8; Swinbank & Purser, Q. J. R. Meteorol. Soc. 132, 1769 (2006) for the lattice.
 */
int pn_directions_create(struct pn_directions *directions, size_t count, struct pn_error *err);
void pn_directions_destroy(struct pn_directions *directions);

#endif
