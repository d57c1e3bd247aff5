/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Distances of atoms to the mesh and to marked atoms. */
#include "perrin/atoms/surface.h"

#include "perrin/atoms/cells.h"

#include "surface_tree.h"

#include <math.h>
#include <stdlib.h>

#define CELL_A 4.0
enum { RUN = 256 }; /* atoms that pass their nearest triangle on as the first guess */

/*
 * Distance of each atom from the nearest of the triangles; 0 for those marked in @zero. Atoms are
 * taken in the order of cells, so that one is near the next whatever their numbers are.
 */
static int distances(const struct pn_atoms *atoms, const uint32_t (*corner)[3], size_t count,
		     const uint8_t *zero, double *depth_A, int threads)
{
	size_t runs = (atoms->count + RUN - 1) / RUN;
	struct pn_cells cells = { .atoms = 0 };
	struct pn_tree tree = { 0 };

	if (!count) {
		for (size_t i = 0; i < atoms->count; i++)
			depth_A[i] = NAN;
		return 1;
	}
	int good = !pn_cells_build(&cells, atoms->position_A, atoms->count, CELL_A, NULL) &&
		   pn_tree_build(&tree, atoms->position_A, corner, count);

#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t r = 0; r < (good ? runs : 0); r++) {
		size_t end = (r + 1) * RUN < atoms->count ? (r + 1) * RUN : atoms->count;
		size_t guess = 0;

		for (size_t at = r * RUN; at < end; at++) {
			uint32_t i = cells.atom[at];

			depth_A[i] =
				zero[i] ? 0
					: pn_tree_distance_A(&tree, cells.position_A[at], &guess);
		}
	}
	pn_tree_free(&tree);
	pn_cells_free(&cells);
	return good;
}

int pn_surface_distance(const struct pn_surface *surface, const struct pn_atoms *atoms,
			double *depth_A, int threads, struct pn_error *err)
{
	if (threads < 1 || atoms->count != surface->atoms)
		return pn_error_set(err, PN_EARG,
				    "distance to the surface: %d threads, %zu atoms for the mesh "
				    "of %zu",
				    threads, atoms->count, surface->atoms);
	if (!distances(atoms, (const uint32_t(*)[3])surface->triangle, surface->triangles,
		       surface->on_mesh, depth_A, threads))
		return pn_error_set(err, PN_ENOMEM,
				    "distance to the surface: no memory for %zu triangles",
				    surface->triangles);
	return PN_OK;
}

int pn_surface_atom_distance(const struct pn_atoms *atoms, const uint8_t *surface_atoms,
			     double *depth_A, int threads, struct pn_error *err)
{
	uint32_t(*point)[3] = malloc((atoms->count + 1) * sizeof *point); /* flat triangles */
	size_t count = 0;
	int rc = PN_OK;

	for (size_t i = 0; point && i < atoms->count; i++)
		if (surface_atoms[i]) {
			point[count][0] = point[count][1] = point[count][2] = (uint32_t)i;
			count++;
		}
	if (threads < 1)
		rc = pn_error_set(err, PN_EARG, "distance to surface atoms: %d threads", threads);
	else if (!point || !distances(atoms, (const uint32_t(*)[3])point, count, surface_atoms,
				      depth_A, threads))
		rc = pn_error_set(err, PN_ENOMEM,
				  "distance to surface atoms: no memory for %zu atoms",
				  atoms->count);
	free(point);
	return rc;
}
