/* SPDX-License-Identifier: GPL-3.0-or-later */
/* surface_internal.h - what the two makers of a surface share. */
#ifndef PERRIN_KERNELS_ATOMS_SURFACE_INTERNAL_H
#define PERRIN_KERNELS_ATOMS_SURFACE_INTERNAL_H

#include "perrin/atoms/surface.h"

/* how often ties are broken anew before a model is given up */
#define PN_SURFACE_ATTEMPTS 8

/** A growing list of triangles; zeroed is empty. */
struct pn_triangles {
	uint32_t (*corner)[3];
	size_t count, room;
};

/** pn_triangles_add - append one; returns 0 if there is no memory. */
int pn_triangles_add(struct pn_triangles *list, uint32_t a, uint32_t b, uint32_t c);

/** pn_triangles_compare - for qsort: by first, second, third corner. */
int pn_triangles_compare(const void *a, const void *b);

/** pn_triangle_normal - (q - p) x (r - p) of a triangle: twice its area, outwards. */
void pn_triangle_normal(double normal_A2[3], const double (*position_A)[3],
			const uint32_t corner[3]);

/**
 * pn_triangles_measure - area and volume of a closed mesh, the volume relative to the mean of the
 * atoms marked in @on_mesh; marks them and counts them first.
 */
void pn_triangles_measure(const uint32_t (*corner)[3], size_t count, const struct pn_atoms *atoms,
			  uint8_t *on_mesh, size_t *corners, double *area_A2, double *volume_A3);

/** pn_surface_start - check the arguments and set up an empty surface. */
int pn_surface_start(struct pn_surface *surface, const struct pn_atoms *atoms, double radius_A,
		     struct pn_error *err);

/** pn_surface_decision_radius_A - the radius that decides: a trifle more than the probe's. */
double pn_surface_decision_radius_A(const struct pn_surface *surface);

/** pn_surface_weights - [atoms] what each atom adds to the squared radius, to break ties. */
void pn_surface_weights(const struct pn_surface *surface, double *weight_A2, int attempt);

/**
 * pn_surface_finish - take the triangles over (list becomes empty), sort them, and measure.
 *
 * Returns PN_OK; PN_EAGAIN, without a text, if the mesh is not closed, the list then being emptied;
 * PN_ENOMEM.
 */
int pn_surface_finish(struct pn_surface *surface, const struct pn_atoms *atoms,
		      struct pn_triangles *list, struct pn_error *err);

/** pn_surface_open - the error of a mesh that would not close. */
int pn_surface_open(const struct pn_surface *surface, struct pn_error *err);

#endif
