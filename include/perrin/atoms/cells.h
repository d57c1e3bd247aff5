/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/cells.h - atoms sorted into cubic cells, to find those near a point. */
#ifndef PERRIN_ATOMS_CELLS_H
#define PERRIN_ATOMS_CELLS_H

#include "perrin/atoms/atoms.h"

/**
 * Atoms in the order of their cells. Cell (z, y, x) holds the entries start[c] .. start[c + 1] - 1
 * of the two arrays below, c = (z * shape[1] + y) * shape[2] + x; within a cell in the order of the
 * model. Atoms outside of the grid are in the nearest cell of its border. Made by pn_cells_build,
 * freed by pn_cells_free.
 */
struct pn_cells {
	double low_A[3], high_A[3]; /* x, y, z of the box around all atoms */
	double origin_A[3];         /* x, y, z of the corner of cell (0, 0, 0) */
	double edge_A;              /* at least what was asked for */
	size_t shape[3];            /* z, y, x */
	size_t atoms;
	uint32_t *start;         /* [cells + 1] */
	uint32_t *atom;          /* [atoms] number in the model */
	double (*position_A)[3]; /* [atoms] */
};

/**
 * pn_cells_build - sort @count points into cells of @edge_A > 0.
 *
 * Where the box around the points would need more than four times as many cells as points, as with
 * lone atoms far out, the grid covers only where most points are. If that still needs too many (two
 * particles far apart, more lone atoms than 1 in 64), the cells are larger.
 *
 * @cells: [out] freed with pn_cells_free, also after an error
 *
 * Errors: PN_ENOMEM. Cost: O(N); 60 ns per atom.
 */
int pn_cells_build(struct pn_cells *cells, const double (*position_A)[3], size_t count,
		   double edge_A, struct pn_error *err);
void pn_cells_free(struct pn_cells *cells);

/**
 * pn_cells_range - the cells that hold the atoms of a ball: first[] .. last[] of z, y, x, both
 * included.
 *
 * Returns 0 if the ball does not touch the box around all atoms. @radius_A may exceed the edge.
 */
int pn_cells_range(const struct pn_cells *cells, const double center_A[3], double radius_A,
		   size_t first[3], size_t last[3]);

/**
 * pn_cells_within - numbers of the atoms strictly closer than @radius_A to a point, in no promised
 * order (but always the same one). An atom at the point itself is among them.
 *
 * @found: [out] [max] the first of them, the rest undefined; may be NULL if max is 0
 *
 * Returns how many there are, which may be more than @max. Cost: the atoms of the cells touched.
 */
size_t pn_cells_within(const struct pn_cells *cells, const double center_A[3], double radius_A,
		       uint32_t *found, size_t max);

/**
 * pn_cells_nearest - the atom nearest to a point, of equals the one with the lowest number.
 *
 * @distance_A: [out] how far it is; may be NULL
 *
 * Returns its number, UINT32_MAX if there are no atoms. Cost: cells in growing shells around the
 * point until no nearer atom is possible; quick within a few edges of the model.
 */
uint32_t pn_cells_nearest(const struct pn_cells *cells, const double center_A[3],
			  double *distance_A);

#endif
