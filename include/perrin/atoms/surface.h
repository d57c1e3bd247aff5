/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/surface.h - alpha-shape mesh of a particle. */
#ifndef PERRIN_ATOMS_SURFACE_H
#define PERRIN_ATOMS_SURFACE_H

#include "perrin/atoms/neighbors.h"

/**
 * The surface of a model: a closed mesh of triangles whose corners are atoms. Made by
 * pn_surface_build, freed by pn_surface_free.
 */
struct pn_surface {
	double radius_A; /* of the probe */
	size_t atoms, triangles;
	uint32_t (*triangle)[3]; /* [triangles] atoms, anticlockwise seen from outside */
	uint8_t *on_mesh;        /* [atoms] 1 = a corner of the mesh */
	double area_A2, volume_A3;
};

#endif
