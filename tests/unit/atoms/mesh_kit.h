/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mesh_kit.h - what any closed mesh of triangles must be, and slow answers to compare with. */
#ifndef PERRIN_TESTS_ATOMS_MESH_KIT_H
#define PERRIN_TESTS_ATOMS_MESH_KIT_H

#include "kit.h"

#include "perrin/atoms/surface.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mesh_edge {
	uint32_t low, high;
	int way;
};

static inline int mesh_edge_compare(const void *a, const void *b)
{
	const struct mesh_edge *s = a, *t = b;

	if (s->low != t->low)
		return s->low < t->low ? -1 : 1;
	return (s->high > t->high) - (s->high < t->high);
}

/** mesh_is_sound - corners distinct and in range, every edge as often one way as the other. */
static inline void mesh_is_sound(const uint32_t (*triangle)[3], size_t triangles, size_t atoms)
{
	struct mesh_edge *edge = malloc((3 * triangles + 1) * sizeof *edge);
	size_t n = 0;

	assert_non_null(edge);
	for (size_t t = 0; t < triangles; t++)
		for (int k = 0; k < 3; k++) {
			uint32_t a = triangle[t][k], b = triangle[t][(k + 1) % 3];

			assert_true(a < atoms && a != b);
			edge[n++] = a < b ? (struct mesh_edge){ a, b, 1 }
					  : (struct mesh_edge){ b, a, -1 };
		}
	qsort(edge, n, sizeof *edge, mesh_edge_compare);
	for (size_t e = 0; e < n;) {
		size_t first = e;
		int way = 0;

		for (; e < n && !mesh_edge_compare(&edge[first], &edge[e]); e++)
			way += edge[e].way;
		assert_int_equal(way, 0);
	}
	free(edge);
}

/** mesh_compare - for qsort of triangles. */
static inline int mesh_compare(const void *a, const void *b)
{
	const uint32_t *s = a, *t = b;

	for (int k = 0; k < 3; k++)
		if (s[k] != t[k])
			return s[k] < t[k] ? -1 : 1;
	return 0;
}

/** mesh_sort - lowest corner first, way round kept, triangles in order. */
static inline void mesh_sort(uint32_t (*triangle)[3], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t *t = triangle[i];

		while (t[0] > t[1] || t[0] > t[2]) {
			uint32_t first = t[0];

			t[0] = t[1];
			t[1] = t[2];
			t[2] = first;
		}
	}
	qsort(triangle, count, sizeof *triangle, mesh_compare);
}

/** mesh_surface - pn_surface_build, checked to be sound; free with pn_surface_free. */
static inline struct pn_surface mesh_surface(const struct kit_model *model, double radius_A)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_error err = { 0 };
	struct pn_surface s;
	size_t corners = 0;

	if (pn_surface_build(&s, &atoms, radius_A, 1, &err))
		fail_msg("%s", err.text);
	assert_true(s.atoms == model->count && s.radius_A == radius_A);
	mesh_is_sound((const uint32_t(*)[3])s.triangle, s.triangles, s.atoms);
	for (size_t i = 0; i < s.atoms; i++)
		corners += s.on_mesh[i];
	for (size_t t = 0; t < s.triangles; t++)
		for (int k = 0; k < 3; k++)
			assert_int_equal(s.on_mesh[s.triangle[t][k]], 1);
	assert_int_equal(corners, s.corners);
	return s;
}

static inline double mesh_dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline void mesh_cross(double out[3], const double a[3], const double b[3])
{
	out[0] = a[1] * b[2] - a[2] * b[1];
	out[1] = a[2] * b[0] - a[0] * b[2];
	out[2] = a[0] * b[1] - a[1] * b[0];
}

#endif
