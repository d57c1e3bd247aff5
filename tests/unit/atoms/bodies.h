/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bodies.h - closed meshes of known shape, not made from atoms. */
#ifndef PERRIN_TESTS_ATOMS_BODIES_H
#define PERRIN_TESTS_ATOMS_BODIES_H

#include "kit.h"

#include "perrin/atoms/surface.h"
#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A mesh with its points; free with mesh_free. */
struct mesh {
	struct kit_model model;
	struct pn_surface surface;
	size_t space; /* triangles allocated */
};

static inline void *room(size_t count, size_t size)
{
	void *p = calloc(count + 1, size);

	assert_non_null(p);
	return p;
}

static inline struct mesh mesh_make(size_t points, size_t triangles)
{
	struct mesh m = { .space = triangles };

	m.model.position_A = room(points, sizeof *m.model.position_A);
	m.model.element = room(points, 1);
	m.surface.triangle = room(triangles, sizeof *m.surface.triangle);
	return m;
}

static inline void mesh_free(struct mesh *m)
{
	kit_free(&m->model);
	free(m->surface.triangle);
}

static inline uint32_t add_point(struct mesh *m, double x, double y, double z)
{
	double *p = m->model.position_A[m->model.count];

	p[0] = x;
	p[1] = y;
	p[2] = z;
	m->surface.atoms = m->model.count + 1;
	return (uint32_t)m->model.count++;
}

static inline void add_triangle(struct mesh *m, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t *t = m->surface.triangle[m->surface.triangles++];

	assert_true(m->surface.triangles <= m->space);
	t[0] = a;
	t[1] = b;
	t[2] = c;
}

static inline void add_quad(struct mesh *m, uint32_t a, uint32_t b, uint32_t c, uint32_t d,
			    int flip)
{
	if (flip) {
		add_triangle(m, b, c, d);
		add_triangle(m, b, d, a);
	} else {
		add_triangle(m, a, b, c);
		add_triangle(m, a, c, d);
	}
}

static inline uint32_t middle(struct mesh *m, uint32_t a, uint32_t b, uint32_t (*known)[3],
			      size_t *count)
{
	const double *p = m->model.position_A[a], *q = m->model.position_A[b];

	for (size_t i = 0; i < *count; i++)
		if (known[i][0] == (a < b ? a : b) && known[i][1] == (a < b ? b : a))
			return known[i][2];
	known[*count][0] = a < b ? a : b;
	known[*count][1] = a < b ? b : a;
	return known[(*count)++][2] =
		       add_point(m, (p[0] + q[0]) / 2, (p[1] + q[1]) / 2, (p[2] + q[2]) / 2);
}

/* Icosahedron, each triangle split into four @levels times, pushed onto the sphere. */
static inline struct mesh sphere(int levels, double radius)
{
	static const uint32_t face[20][3] = {
		{ 0, 11, 5 }, { 0, 5, 1 },  { 0, 1, 7 },   { 0, 7, 10 }, { 0, 10, 11 },
		{ 1, 5, 9 },  { 5, 11, 4 }, { 11, 10, 2 }, { 10, 7, 6 }, { 7, 1, 8 },
		{ 3, 9, 4 },  { 3, 4, 2 },  { 3, 2, 6 },   { 3, 6, 8 },  { 3, 8, 9 },
		{ 4, 9, 5 },  { 2, 4, 11 }, { 6, 2, 10 },  { 8, 6, 7 },  { 9, 8, 1 },
	};
	double t = (1 + sqrt(5)) / 2;
	size_t triangles = (size_t)20 << (2 * levels), count = 0;
	struct mesh m = mesh_make(triangles, triangles);
	uint32_t(*known)[3] = room(2 * triangles, sizeof *known);

	for (int i = 0; i < 12; i++) {
		if (i < 4)
			add_point(&m, i & 1 ? 1 : -1, i & 2 ? -t : t, 0);
		else if (i < 8)
			add_point(&m, 0, i & 1 ? 1 : -1, i & 2 ? -t : t);
		else
			add_point(&m, i & 2 ? -t : t, 0, i & 1 ? 1 : -1);
	}
	for (int i = 0; i < 20; i++)
		add_triangle(&m, face[i][0], face[i][1], face[i][2]);
	for (int l = 0; l < levels; l++) {
		size_t old = m.surface.triangles;
		uint32_t(*from)[3] = room(old, sizeof *from);

		memcpy(from, m.surface.triangle, old * sizeof *from);
		m.surface.triangles = count = 0;
		for (size_t i = 0; i < old; i++) {
			const uint32_t *f = from[i];
			uint32_t ab = middle(&m, f[0], f[1], known, &count);
			uint32_t bc = middle(&m, f[1], f[2], known, &count);
			uint32_t ca = middle(&m, f[2], f[0], known, &count);

			add_triangle(&m, f[0], ab, ca);
			add_triangle(&m, f[1], bc, ab);
			add_triangle(&m, f[2], ca, bc);
			add_triangle(&m, ab, bc, ca);
		}
		free(from);
	}
	free(known);
	for (size_t i = 0; i < m.model.count; i++) {
		double *p = m.model.position_A[i];
		double r = sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);

		for (int k = 0; k < 3; k++)
			p[k] *= radius / r;
	}
	return m;
}

/* Grid of @rings x @spokes quads on a torus, the diagonals all alike or crosswise by turns. */
static inline struct mesh torus(size_t rings, size_t spokes, double big, double small,
				int crosswise)
{
	struct mesh m = mesh_make(rings * spokes, 2 * rings * spokes);

	for (size_t i = 0; i < rings; i++)
		for (size_t j = 0; j < spokes; j++) {
			double u = 2 * M_PI * (double)i / (double)rings;
			double v = 2 * M_PI * (double)j / (double)spokes;

			add_point(&m, (big + small * cos(v)) * cos(u),
				  (big + small * cos(v)) * sin(u), small * sin(v));
		}
	for (size_t i = 0; i < rings; i++)
		for (size_t j = 0; j < spokes; j++) {
			size_t k = (i + 1) % rings, l = (j + 1) % spokes;

			add_quad(&m, (uint32_t)(i * spokes + j), (uint32_t)(k * spokes + j),
				 (uint32_t)(k * spokes + l), (uint32_t)(i * spokes + l),
				 crosswise && (i + j) % 2);
		}
	return m;
}

/* Cube of n x n quads a side, edge n, the diagonals at random: flat facets with any triangles. */
static inline struct mesh cube(int n, uint64_t seed)
{
	struct mesh m = mesh_make((size_t)(6 * n * n + 2), (size_t)(12 * n * n));
	size_t side = (size_t)n + 1;
	uint32_t *at = room(side * side * side, sizeof *at);
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int z = 0; z <= n; z++)
		for (int y = 0; y <= n; y++)
			for (int x = 0; x <= n; x++)
				if (x % n == 0 || y % n == 0 || z % n == 0)
					at[((size_t)z * side + (size_t)y) * side + (size_t)x] =
						add_point(&m, x, y, z);
	for (int axis = 0; axis < 3; axis++)
		for (int far = 0; far < 2; far++)
			for (int u = 0; u < n; u++)
				for (int v = 0; v < n; v++) {
					uint32_t q[4];

					for (int c = 0; c < 4; c++) {
						int p[3];

						p[axis] = far * n;
						p[(axis + 1) % 3] = u + (c == 1 || c == 2);
						p[(axis + 2) % 3] = v + (c == 2 || c == 3);
						q[c] = at[((size_t)p[2] * side + (size_t)p[1]) *
								  side +
							  (size_t)p[0]];
					}
					if (far)
						add_quad(&m, q[0], q[1], q[2], q[3],
							 (int)pn_rng_below(&rng, 2));
					else
						add_quad(&m, q[3], q[2], q[1], q[0],
							 (int)pn_rng_below(&rng, 2));
				}
	free(at);
	return m;
}

/* Tube along z with rings of @spokes, closed by a fan at both ends. */
static inline struct mesh tube(size_t spokes, size_t rings, double radius, double step)
{
	struct mesh m = mesh_make(spokes * rings + 2, 2 * spokes * rings);

	for (size_t i = 0; i < rings; i++)
		for (size_t j = 0; j < spokes; j++) {
			double v = 2 * M_PI * (double)j / (double)spokes;

			add_point(&m, radius * cos(v), radius * sin(v), step * (double)i);
		}
	uint32_t low = add_point(&m, 0, 0, 0);
	uint32_t high = add_point(&m, 0, 0, step * (double)(rings - 1));

	for (size_t j = 0; j < spokes; j++) {
		uint32_t a = (uint32_t)j, b = (uint32_t)((j + 1) % spokes);
		uint32_t top = (uint32_t)((rings - 1) * spokes);

		for (size_t i = 0; i + 1 < rings; i++) {
			uint32_t up = (uint32_t)(i * spokes);

			add_quad(&m, up + a, up + b, up + (uint32_t)spokes + b,
				 up + (uint32_t)spokes + a, (int)(i + j) & 1);
		}
		add_triangle(&m, low, b, a);
		add_triangle(&m, high, top + a, top + b);
	}
	return m;
}

#endif
