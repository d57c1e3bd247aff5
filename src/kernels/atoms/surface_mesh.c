/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Meshes of triangles: put in order, checked to be closed, measured. */
#include "surface_internal.h"

#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Far above what rounding does to a squared distance (1e-14 A^2), far below RADIUS_MARGIN. */
#define WEIGHT        1e-8
#define RADIUS_MARGIN 1e-6
#define STREAM_WEIGHT 0x73750001

int pn_triangles_add(struct pn_triangles *list, uint32_t a, uint32_t b, uint32_t c)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 256;
		void *more = realloc(list->corner, room * sizeof *list->corner);

		if (!more)
			return 0;
		list->corner = more;
		list->room = room;
	}
	uint32_t *t = list->corner[list->count++];

	t[0] = a;
	t[1] = b;
	t[2] = c;
	return 1;
}

int pn_triangles_compare(const void *a, const void *b)
{
	const uint32_t *s = a, *t = b;

	for (int k = 0; k < 3; k++)
		if (s[k] != t[k])
			return s[k] < t[k] ? -1 : 1;
	return 0;
}

static void cross(double out[3], const double a[3], const double b[3])
{
	for (int k = 0; k < 3; k++) {
		int m = (k + 1) % 3, n = (k + 2) % 3;

		out[k] = a[m] * b[n] - a[n] * b[m];
	}
}

void pn_triangle_normal(double normal_A2[3], const double (*position_A)[3],
			const uint32_t corner[3])
{
	double a[3], b[3];

	for (int k = 0; k < 3; k++) {
		a[k] = position_A[corner[1]][k] - position_A[corner[0]][k];
		b[k] = position_A[corner[2]][k] - position_A[corner[0]][k];
	}
	cross(normal_A2, a, b);
}

void pn_triangles_measure(const uint32_t (*corner)[3], size_t count, const struct pn_atoms *atoms,
			  uint8_t *on_mesh, size_t *corners, double *area_A2, double *volume_A3)
{
	double mean[3] = { 0 }, twice = 0, sixfold = 0;

	memset(on_mesh, 0, atoms->count);
	*corners = 0;
	for (size_t t = 0; t < count; t++)
		for (int k = 0; k < 3; k++)
			on_mesh[corner[t][k]] = 1;
	for (size_t i = 0; i < atoms->count; i++) {
		*corners += on_mesh[i];
		for (int k = 0; on_mesh[i] && k < 3; k++)
			mean[k] += atoms->position_A[i][k];
	}
	for (int k = 0; *corners && k < 3; k++)
		mean[k] /= (double)*corners;
	for (size_t t = 0; t < count; t++) {
		const double *p = atoms->position_A[corner[t][0]];
		double n[3];

		pn_triangle_normal(n, atoms->position_A, corner[t]);
		twice += sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
		sixfold +=
			n[0] * (p[0] - mean[0]) + n[1] * (p[1] - mean[1]) + n[2] * (p[2] - mean[2]);
	}
	*area_A2 = twice / 2;
	*volume_A3 = sixfold / 6;
}

int pn_surface_start(struct pn_surface *surface, const struct pn_atoms *atoms, double radius_A,
		     struct pn_error *err)
{
	memset(surface, 0, sizeof *surface);
	if (!(radius_A > 0 && radius_A < 1e6))
		return pn_error_set(err, PN_EARG,
				    "surface: radius of the probe %g A is not between 0 and 1e6 A",
				    radius_A);
	surface->radius_A = radius_A;
	surface->atoms = atoms->count;
	surface->on_mesh = calloc(atoms->count + 1, 1);
	if (!surface->on_mesh)
		return pn_error_set(err, PN_ENOMEM, "surface: no memory for %zu atoms",
				    atoms->count);
	return PN_OK;
}

void pn_surface_free(struct pn_surface *surface)
{
	free(surface->triangle);
	free(surface->on_mesh);
	memset(surface, 0, sizeof *surface);
}

double pn_surface_decision_radius_A(const struct pn_surface *surface)
{
	return surface->radius_A * (1 + RADIUS_MARGIN);
}

void pn_surface_weights(const struct pn_surface *surface, double *weight_A2, int attempt)
{
	double scale_A2 = WEIGHT * surface->radius_A * surface->radius_A;
	struct pn_rng rng;

	pn_rng_init(&rng, (uint64_t)attempt, STREAM_WEIGHT);
	for (size_t i = 0; i < surface->atoms; i++)
		weight_A2[i] = scale_A2 * (2 * pn_rng_uniform(&rng) - 1);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t s = *(const uint64_t *)a, t = *(const uint64_t *)b;

	return (s > t) - (s < t);
}

/* Every edge as often one way as the other. Returns 1, 0, or -1 without memory. */
static int is_closed(const struct pn_triangles *list)
{
	size_t edges = 3 * list->count, up = 0, down = 0;
	uint64_t *rising = malloc((edges + 1) * sizeof *rising);
	uint64_t *falling = malloc((edges + 1) * sizeof *falling);
	int closed = -1;

	if (!rising || !falling)
		goto out;
	for (size_t t = 0; t < list->count; t++)
		for (int k = 0; k < 3; k++) {
			uint64_t a = list->corner[t][k], b = list->corner[t][(k + 1) % 3];

			if (a < b)
				rising[up++] = a << 32 | b;
			else
				falling[down++] = b << 32 | a;
		}
	closed = up == down;
	if (closed) {
		qsort(rising, up, sizeof *rising, compare_u64);
		qsort(falling, down, sizeof *falling, compare_u64);
		closed = memcmp(rising, falling, up * sizeof *rising) == 0;
	}
out:
	free(rising);
	free(falling);
	return closed;
}

/* Lowest corner first, without turning the triangle over; then the list in order. */
static void put_in_order(struct pn_triangles *list)
{
	for (size_t i = 0; i < list->count; i++) {
		uint32_t *t = list->corner[i], c[3] = { t[0], t[1], t[2] };
		int low = c[1] < c[0] ? 1 : 0;

		low = c[2] < c[low] ? 2 : low;
		for (int k = 0; k < 3; k++)
			t[k] = c[(low + k) % 3];
	}
	if (list->count)
		qsort(list->corner, list->count, sizeof *list->corner, pn_triangles_compare);
}

int pn_surface_finish(struct pn_surface *surface, const struct pn_atoms *atoms,
		      struct pn_triangles *list, struct pn_error *err)
{
	int closed = is_closed(list);

	if (closed < 0)
		return pn_error_set(err, PN_ENOMEM, "surface: no memory for %zu triangles",
				    list->count);
	if (!closed) {
		list->count = 0;
		return PN_EAGAIN;
	}
	put_in_order(list);
	surface->triangle = list->corner;
	surface->triangles = list->count;
	memset(list, 0, sizeof *list);
	pn_triangles_measure((const uint32_t(*)[3])surface->triangle, surface->triangles, atoms,
			     surface->on_mesh, &surface->corners, &surface->area_A2,
			     &surface->volume_A3);
	return PN_OK;
}

int pn_surface_open(const struct pn_surface *surface, struct pn_error *err)
{
	return pn_error_set(err, PN_EFORMAT,
			    "surface: the mesh of %zu atoms for a probe of %g A does not close in "
			    "%d attempts to break ties",
			    surface->atoms, surface->radius_A, PN_SURFACE_ATTEMPTS);
}

double pn_surface_sphericity(const struct pn_surface *surface)
{
	if (!surface->triangles)
		return NAN;
	double v = cbrt(6 * surface->volume_A3);

	return cbrt(M_PI) * v * v / surface->area_A2;
}
