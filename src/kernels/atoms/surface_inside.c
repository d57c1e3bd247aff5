/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points inside a mesh: passages of a ray along z, counted with their sign. */
#include "perrin/atoms/surface.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Columns along z: triangle[start[c]] .. triangle[start[c + 1] - 1] are those whose shadow on the
 * xy plane may touch column c = y * width + x.
 */
struct columns {
	double low_A[2], edge_A;
	size_t width, height;
	size_t *start;      /* [width * height + 1] */
	uint32_t *triangle; /* [start[width * height]] */
};

static void columns_free(struct columns *columns)
{
	free(columns->start);
	free(columns->triangle);
}

static size_t column_of(const struct columns *c, double x, int axis)
{
	size_t last = (axis ? c->height : c->width) - 1;
	double n = floor((x - c->low_A[axis]) / c->edge_A);

	return n <= 0 ? 0 : n >= (double)last ? last : (size_t)n;
}

/* First and last column of a triangle along both axes. */
static void shadow(const struct columns *c, const struct pn_atoms *atoms, const uint32_t corner[3],
		   size_t first[2], size_t last[2])
{
	for (int k = 0; k < 2; k++) {
		double p = atoms->position_A[corner[0]][k], q = atoms->position_A[corner[1]][k];
		double r = atoms->position_A[corner[2]][k];

		first[k] = column_of(c, fmin(p, fmin(q, r)), k);
		last[k] = column_of(c, fmax(p, fmax(q, r)), k);
	}
}

/* As many columns as half the triangles: about four triangles cross each. */
static int columns_shape(struct columns *c, const struct pn_surface *surface,
			 const struct pn_atoms *atoms)
{
	double span[2], high[2] = { -INFINITY, -INFINITY };

	c->low_A[0] = c->low_A[1] = INFINITY;
	for (size_t i = 0; i < atoms->count; i++)
		for (int k = 0; surface->on_mesh[i] && k < 2; k++) {
			c->low_A[k] = fmin(c->low_A[k], atoms->position_A[i][k]);
			high[k] = fmax(high[k], atoms->position_A[i][k]);
		}
	for (int k = 0; k < 2; k++)
		span[k] = high[k] - c->low_A[k];
	c->edge_A = fmax(fmax(span[0], span[1]) / sqrt((double)surface->triangles / 2), 1e-3);
	c->width = (size_t)(span[0] / c->edge_A) + 1;
	c->height = (size_t)(span[1] / c->edge_A) + 1;
	c->start = calloc(c->width * c->height + 2, sizeof *c->start);
	return c->start != NULL;
}

static int columns_build(struct columns *c, const struct pn_surface *surface,
			 const struct pn_atoms *atoms)
{
	size_t first[2], last[2];

	if (!columns_shape(c, surface, atoms))
		return 0;
	/* counted two places on, so that filling moves each start to where it belongs */
	for (int fill = 0; fill < 2; fill++) {
		for (size_t t = 0; t < surface->triangles; t++) {
			shadow(c, atoms, surface->triangle[t], first, last);
			for (size_t y = first[1]; y <= last[1]; y++)
				for (size_t x = first[0]; x <= last[0]; x++) {
					size_t *at = &c->start[y * c->width + x + 1];

					if (fill)
						c->triangle[(*at)++] = (uint32_t)t;
					else
						at[1]++;
				}
		}
		if (fill)
			break;
		for (size_t n = 0; n < c->width * c->height; n++)
			c->start[n + 2] += c->start[n + 1];
		c->triangle =
			malloc((c->start[c->width * c->height + 1] + 1) * sizeof *c->triangle);
		if (!c->triangle)
			return 0;
	}
	return 1;
}

/*
 * On which side of the line from atom @a to atom @b the point is, seen from above: twice the area
 * of the triangle a b p, positive on the left. Computed the same way for both directions, so that
 * two triangles never disagree about their common edge. On the line itself *side is as for a point
 * with slightly larger x, and, on lines along x, slightly (but much less) larger y.
 */
static double side_of(const struct pn_atoms *atoms, uint32_t a, uint32_t b, const double p[3],
		      int *side)
{
	int swap = a > b;
	const double *q = atoms->position_A[swap ? b : a], *r = atoms->position_A[swap ? a : b];
	double ex = r[0] - q[0], ey = r[1] - q[1];
	double area = ex * (p[1] - q[1]) - ey * (p[0] - q[0]);
	double sign = area != 0 ? area : ey != 0 ? -ey : ex;

	*side = (sign > 0) - (sign < 0);
	if (swap)
		*side = -*side;
	return swap ? -area : area;
}

/* +1 if the ray upwards from the point leaves through the triangle, -1 if it enters, 0 if not. */
static int passage(const struct pn_atoms *atoms, const uint32_t corner[3], const double p[3])
{
	double area[3], z = 0;
	int side[3];

	for (int k = 0; k < 3; k++) {
		uint32_t a = corner[(k + 1) % 3], b = corner[(k + 2) % 3];

		area[k] = side_of(atoms, a, b, p, &side[k]);
		if (side[k] == 0 || side[k] != side[0])
			return 0;
	}
	for (int k = 0; k < 3; k++)
		z += area[k] * (atoms->position_A[corner[k]][2] - p[2]);
	/* z over the sum of the areas is the height of the triangle above the point */
	return (side[0] > 0 ? z > 0 : z < 0) ? side[0] : 0;
}

static int winding_number(const struct columns *c, const struct pn_surface *surface,
			  const struct pn_atoms *atoms, const double p[3])
{
	size_t n = column_of(c, p[1], 1) * c->width + column_of(c, p[0], 0);
	int winding = 0;

	for (size_t m = c->start[n]; m < c->start[n + 1]; m++)
		winding += passage(atoms, surface->triangle[c->triangle[m]], p);
	return winding;
}

int pn_surface_inside(const struct pn_surface *surface, const struct pn_atoms *atoms,
		      const double (*point_A)[3], size_t points, uint8_t *inside, int threads,
		      struct pn_error *err)
{
	struct columns columns = { 0 };

	if (threads < 1 || atoms->count != surface->atoms)
		return pn_error_set(err, PN_EARG,
				    "inside of the surface: %d threads, %zu atoms for the mesh of "
				    "%zu",
				    threads, atoms->count, surface->atoms);
	memset(inside, 0, points);
	if (!surface->triangles)
		return PN_OK;
	if (!columns_build(&columns, surface, atoms)) {
		columns_free(&columns);
		return pn_error_set(err, PN_ENOMEM,
				    "inside of the surface: no memory for %zu triangles",
				    surface->triangles);
	}
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < points; i++)
		inside[i] = winding_number(&columns, surface, atoms, point_A[i]) != 0;
	columns_free(&columns);
	return PN_OK;
}
