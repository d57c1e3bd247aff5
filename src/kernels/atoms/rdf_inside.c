/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much of the particle an atom sees from where it is: everything, nothing, or a corner. */
#include "rdf_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double same_place_A = 1e-6;

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross(double out[3], const double a[3], const double b[3])
{
	out[0] = a[1] * b[2] - a[2] * b[1];
	out[1] = a[2] * b[0] - a[0] * b[2];
	out[2] = a[0] * b[1] - a[1] * b[0];
}

static int normalize(double v[3])
{
	double length = sqrt(dot(v, v));

	for (int k = 0; k < 3; k++)
		v[k] /= length > 0 ? length : 1;
	return length > 0;
}

/* ---- corners of the mesh ------------------------------------------------------------------- */

/* Signed solid angle of three directions. Source: van Oosterom, Strackee, IEEE BME 30, 125 (1983)
 */
static double triangle_angle(const double a[3], const double b[3], const double c[3])
{
	double normal[3], la = sqrt(dot(a, a)), lb = sqrt(dot(b, b)), lc = sqrt(dot(c, c));

	cross(normal, b, c);
	return 2 * atan2(dot(a, normal),
			 la * lb * lc + dot(a, b) * lc + dot(a, c) * lb + dot(b, c) * la);
}

static void bond(double out[3], const struct pn_atoms *atoms, uint32_t from, uint32_t to)
{
	for (int k = 0; k < 3; k++)
		out[k] = atoms->position_A[to][k] - atoms->position_A[from][k];
}

static double within_sphere(double angle)
{
	angle = fmod(angle, 4 * M_PI);
	if (angle < 0)
		angle += 4 * M_PI;
	return angle > 4 * M_PI - 1e-9 ? 0 : angle;
}

/*
 * Interior angle at atom @v: the polygon in which the inside meets a small sphere around it, as
 * triangles from a pole to each side. Where the pole is only moves the sum by multiples of 4 pi;
 * it must not lie on a side, nor opposite to one, so it is put off every direction of symmetry.
 */
static double corner_angle(const struct pn_atoms *atoms, const struct pn_surface *surface,
			   uint32_t v, const uint32_t *face, size_t count)
{
	double pole[3] = { 0 }, sum = 0, a[3], b[3], n[3], first[3] = { 0 }, side[3] = { 0 };
	int have = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t f = 0; f < count; f++) {
			const uint32_t *t = surface->triangle[face[f]];
			int m = t[0] == v ? 0 : t[1] == v ? 1 : 2;

			bond(a, atoms, v, t[(m + 1) % 3]);
			bond(b, atoms, v, t[(m + 2) % 3]);
			cross(n, a, b);
			if (!normalize(n) || !normalize(a) || !normalize(b))
				continue;
			if (pass) {
				sum += triangle_angle(pole, b, a);
				continue;
			}
			for (int k = 0; k < 3; k++)
				pole[k] -= n[k];
			if (!have++) {
				memcpy(first, a, sizeof a);
				cross(side, n, a);
			}
		}
		for (int k = 0; k < 3 && !pass; k++)
			pole[k] += 0.1371 * first[k] + 0.0713 * side[k];
		if (!pass && (!have || !normalize(pole)))
			return 0;
	}
	return within_sphere(sum);
}

/* From any place, at the price of going through all triangles: for doubles of corners. */
static double full_angle(const struct pn_atoms *atoms, const struct pn_surface *surface, uint32_t i)
{
	double sum = 0, p[3][3];

	for (size_t f = 0; f < surface->triangles; f++) {
		for (int m = 0; m < 3; m++)
			bond(p[m], atoms, i, surface->triangle[f][m]);
		sum += triangle_angle(p[0], p[1], p[2]);
	}
	return sum;
}

/* ---- all atoms ------------------------------------------------------------------------------ */

/* Triangles around each atom: those of atom i are face[start[i]] .. face[start[i + 1] - 1]. */
static int faces_of_atoms(uint32_t **start, uint32_t **face, const struct pn_surface *surface,
			  size_t atoms, struct pn_error *err)
{
	*start = calloc(atoms + 2, sizeof **start);
	*face = malloc(3 * surface->triangles * sizeof **face);
	if (!*start || !*face)
		return pn_error_set(err, PN_ENOMEM, "no memory for the corners of %zu triangles",
				    surface->triangles);
	uint32_t *next = *start + 1; /* of atom i: where its next triangle goes */

	for (size_t f = 0; f < surface->triangles; f++)
		for (int m = 0; m < 3; m++)
			(*start)[surface->triangle[f][m] + 2]++;
	for (size_t i = 1; i < atoms + 1; i++)
		(*start)[i + 1] += (*start)[i];
	for (size_t f = 0; f < surface->triangles; f++)
		for (int m = 0; m < 3; m++)
			(*face)[next[surface->triangle[f][m]]++] = (uint32_t)f;
	return PN_OK;
}

/* Corners of the mesh in cells. */
static int corners_build(struct pn_cells *corners, const struct pn_atoms *atoms,
			 const uint32_t *start, struct pn_error *err)
{
	double(*position_A)[3] = malloc((atoms->count + 1) * sizeof *position_A);
	size_t n = 0;

	if (!position_A)
		return pn_error_set(err, PN_ENOMEM, "no memory for the corners of a mesh");
	for (size_t i = 0; i < atoms->count; i++)
		if (start[i + 1] > start[i])
			memcpy(position_A[n++], atoms->position_A[i], sizeof position_A[0]);
	int rc = pn_cells_build(corners, position_A, n, 3, err);

	free(position_A);
	return rc;
}

int rdf_solid_angle(double *sum, const struct pn_atoms *atoms, uint8_t element,
		    const struct pn_surface *surface, int threads, struct pn_error *err)
{
	struct pn_cells corners = { .atoms = 0 };
	uint32_t *start = NULL, *face = NULL;
	uint8_t *inside = malloc(atoms->count);
	int rc = faces_of_atoms(&start, &face, surface, atoms->count, err);

	if (!rc && !inside)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", atoms->count);
	if (!rc)
		rc = pn_surface_inside(surface, atoms, atoms->position_A, atoms->count, inside,
				       threads, err);
	if (!rc)
		rc = corners_build(&corners, atoms, start, err);
	*sum = 0;
	for (size_t i = 0; i < atoms->count && !rc; i++) {
		size_t around = start[i + 1] - start[i];

		if (element && atoms->element[i] != element)
			continue;
		if (around)
			*sum += corner_angle(atoms, surface, (uint32_t)i, face + start[i], around);
		else if (pn_cells_within(&corners, atoms->position_A[i], same_place_A, NULL, 0))
			*sum += full_angle(atoms, surface, (uint32_t)i);
		else
			*sum += inside[i] ? 4 * M_PI : 0;
	}
	pn_cells_free(&corners);
	free(inside);
	free(start);
	free(face);
	return rc;
}
