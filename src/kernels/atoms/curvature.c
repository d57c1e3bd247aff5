/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/curvature.h"

#include "perrin/atoms/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DONE = UINT32_MAX };

static const double flat_part = 1e-12; /* height of a triangle over its longest edge */
static const double cut_sigmas = 7;    /* exp(-24.5) = 2e-11                         */
static const double sigma_min_A = 1e-6;

/* The triangles around one atom v, each turned to (v, a, b). */
struct corner {
	uint32_t a, b;
};

/* Triangles by atom. */
struct fans {
	uint32_t *start;       /* [atoms + 1] */
	struct corner *corner; /* [3 triangles] */
	uint32_t *next;        /* [3 triangles] corner that shares the edge v-b, then DONE */
};

/* Sums over one sheet around an atom, or over all of them. */
struct sheet {
	double gradient[3], normal[3], area, angle;
};

/* ------------------------------------------------------------------ small vectors */

static void minus(double out[3], const double a[3], const double b[3])
{
	for (int k = 0; k < 3; k++)
		out[k] = a[k] - b[k];
}

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

/* ------------------------------------------------------------------ who is around whom */

static void free_fans(struct fans *fans)
{
	free(fans->start);
	free(fans->corner);
	free(fans->next);
}

static int check_mesh(const struct pn_surface *surface, size_t atoms, struct pn_error *err)
{
	if (surface->atoms != atoms)
		return pn_error_set(err, PN_EARG, "curvature: mesh of %zu atoms, model of %zu",
				    surface->atoms, atoms);
	if (surface->triangles >= UINT32_MAX / 3)
		return pn_error_set(err, PN_EARG, "curvature: %zu triangles", surface->triangles);
	for (size_t t = 0; t < surface->triangles; t++) {
		const uint32_t *v = surface->triangle[t];

		for (int k = 0; k < 3; k++)
			if (v[k] >= atoms || v[k] == v[(k + 1) % 3])
				return pn_error_set(
					err, PN_EARG,
					"curvature: triangle %zu joins atoms %u, %u, %u of %zu", t,
					v[0], v[1], v[2], atoms);
	}
	return PN_OK;
}

static int make_fans(struct fans *fans, const struct pn_surface *surface, struct pn_error *err)
{
	size_t corners = 3 * surface->triangles;

	fans->start = calloc(surface->atoms + 2, sizeof *fans->start);
	fans->corner = malloc((corners + 1) * sizeof *fans->corner);
	fans->next = malloc((corners + 1) * sizeof *fans->next);
	if (!fans->start || !fans->corner || !fans->next)
		return pn_error_set(err, PN_ENOMEM, "curvature of %zu triangles",
				    surface->triangles);
	/* counts go two places up, so that filling moves start[v + 1] from v's begin to its end */
	for (size_t t = 0; t < surface->triangles; t++)
		for (int k = 0; k < 3; k++)
			fans->start[surface->triangle[t][k] + 2]++;
	for (size_t i = 0; i < surface->atoms; i++)
		fans->start[i + 2] += fans->start[i + 1];
	for (size_t t = 0; t < surface->triangles; t++) {
		const uint32_t *v = surface->triangle[t];

		for (int k = 0; k < 3; k++)
			fans->corner[fans->start[v[k] + 1]++] =
				(struct corner){ v[(k + 1) % 3], v[(k + 2) % 3] };
	}
	return PN_OK;
}

/*
 * The angle through the solid from triangle (v, a, b) to triangle (v, b, c) around their common
 * edge v-b: 0..2 pi.
 */
static double wedge(const double (*p)[3], uint32_t v, uint32_t a, uint32_t b, uint32_t c)
{
	double e[3], u[3], w[3], n[3], eu[3], angle;

	minus(e, p[b], p[v]);
	minus(u, p[a], p[v]);
	minus(w, p[c], p[v]);
	cross(n, u, e);
	cross(eu, e, n); /* |e| |n| times the unit vector along u less its part along e */
	angle = atan2(-dot(w, n) * sqrt(dot(e, e)), dot(w, eu));
	return angle < 0 ? angle + 2 * M_PI : angle;
}

/* Link each triangle around @v with the one across its edge v-b. Returns 0 if there is none. */
static int link_fan(struct fans *fans, const double (*p)[3], uint32_t v)
{
	uint32_t first = fans->start[v], end = fans->start[v + 1];

	for (uint32_t i = first; i < end; i++) {
		struct corner at = fans->corner[i];
		double best = INFINITY;

		fans->next[i] = DONE;
		for (uint32_t j = first; j < end; j++) {
			if (fans->corner[j].a != at.b)
				continue;
			int only = fans->next[i] == DONE;
			double angle = wedge(p, v, at.a, at.b, fans->corner[j].b);

			if (only || angle < best) {
				fans->next[i] = j;
				best = angle;
			}
		}
		if (fans->next[i] == DONE)
			return 0;
	}
	return 1;
}

static int link_fans(struct fans *fans, const struct pn_surface *surface,
		     const struct pn_atoms *atoms, int threads, struct pn_error *err)
{
	size_t bad = SIZE_MAX;

#pragma omp parallel for num_threads(threads) schedule(static) reduction(min : bad)
	for (size_t v = 0; v < surface->atoms; v++)
		if (fans->start[v] < fans->start[v + 1] &&
		    !link_fan(fans, atoms->position_A, (uint32_t)v) && v < bad)
			bad = v;
	if (bad == SIZE_MAX)
		return PN_OK;

	uint32_t i = fans->start[bad];

	while (fans->next[i] != DONE)
		i++;
	return pn_error_set(err, PN_EARG,
			    "curvature: the mesh is open at the edge of atoms %zu, %u", bad,
			    fans->corner[i].b);
}

/* ------------------------------------------------------------------ Meyer's operators */

/* Mixed area of the corner at v; @c2 = twice the area, ea and eb the edges v-a and v-b. */
static double mixed_area(const double ea[3], const double eb[3], const double ab[3], double c2)
{
	double at_v = dot(ea, eb), at_a = -dot(ea, ab), at_b = dot(eb, ab);

	if (at_v < 0)
		return c2 / 4;
	if (at_a < 0 || at_b < 0)
		return c2 / 8;
	return (dot(ea, ea) * at_b + dot(eb, eb) * at_a) / (8 * c2);
}

static void add_corner(struct sheet *sheet, const double (*p)[3], uint32_t v, struct corner at)
{
	double ea[3], eb[3], ab[3], n[3], turned[3];

	minus(ea, p[at.a], p[v]);
	minus(eb, p[at.b], p[v]);
	minus(ab, p[at.b], p[at.a]);
	cross(n, ea, eb);

	double c2 = sqrt(dot(n, n)), longest2 = fmax(dot(ab, ab), fmax(dot(ea, ea), dot(eb, eb)));

	sheet->angle += atan2(c2, dot(ea, eb));
	if (!(c2 > flat_part * longest2))
		return;
	/* the triangle's sum of cotangents times edges; stays exact for needles */
	cross(turned, n, ab);
	for (int k = 0; k < 3; k++) {
		sheet->gradient[k] += turned[k] / (2 * c2);
		sheet->normal[k] += n[k] / 2;
	}
	sheet->area += mixed_area(ea, eb, ab, c2);
}

/* What pn_curvature gives of one atom, from its sheets one after the other. */
struct values {
	double mean, gaussian, area, normal[3];
};

static struct values values_of(struct fans *fans, const double (*p)[3], uint32_t v)
{
	double bend = 0, defect = 0, area = 0, normal[3] = { 0 };
	struct values out;

	for (uint32_t i = fans->start[v]; i < fans->start[v + 1]; i++) {
		struct sheet sheet = { 0 };
		double g;

		if (fans->next[i] == DONE)
			continue;
		for (uint32_t j = i, next; fans->next[j] != DONE; j = next) {
			next = fans->next[j];
			fans->next[j] = DONE;
			add_corner(&sheet, p, v, fans->corner[j]);
		}
		g = sqrt(dot(sheet.gradient, sheet.gradient));
		bend += dot(sheet.gradient, sheet.normal) < 0 ? -g : g;
		defect += 2 * M_PI - sheet.angle;
		area += sheet.area;
		for (int k = 0; k < 3; k++)
			normal[k] += sheet.normal[k];
	}

	double length = sqrt(dot(normal, normal));

	out.area = area > 0 ? area : NAN;
	out.mean = bend / (2 * out.area);
	out.gaussian = defect / out.area;
	for (int k = 0; k < 3; k++)
		out.normal[k] = length > flat_part * area ? normal[k] / length : NAN;
	return out;
}

int pn_curvature(double *mean_per_A, double *gaussian_per_A2, double *area_A2, double (*normal)[3],
		 const struct pn_surface *surface, const struct pn_atoms *atoms, int threads,
		 struct pn_error *err)
{
	struct fans fans = { 0 };
	int rc;

	if (threads < 1)
		return pn_error_set(err, PN_EARG, "curvature: %d threads", threads);
	rc = check_mesh(surface, atoms->count, err);
	if (!rc)
		rc = make_fans(&fans, surface, err);
	if (!rc)
		rc = link_fans(&fans, surface, atoms, threads, err);
	if (rc) {
		free_fans(&fans);
		return rc;
	}
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms->count; i++) {
		struct values at = values_of(&fans, atoms->position_A, (uint32_t)i);

		if (mean_per_A)
			mean_per_A[i] = at.mean;
		if (gaussian_per_A2)
			gaussian_per_A2[i] = at.gaussian;
		if (area_A2)
			area_A2[i] = at.area;
		if (normal)
			memcpy(normal[i], at.normal, sizeof at.normal);
	}
	free_fans(&fans);
	return PN_OK;
}

/* ------------------------------------------------------------------ averages */

/* The atoms that have a value, and where they are. */
struct holders {
	size_t count;
	uint32_t *atom;
	double (*position_A)[3];
	struct pn_cells cells;
};

static void free_holders(struct holders *holders)
{
	pn_cells_free(&holders->cells);
	free(holders->atom);
	free(holders->position_A);
}

static int find_holders(struct holders *holders, const double *value, int components, double edge_A,
			const struct pn_atoms *atoms, struct pn_error *err)
{
	holders->atom = malloc((atoms->count + 1) * sizeof *holders->atom);
	holders->position_A = malloc((atoms->count + 1) * sizeof *holders->position_A);
	if (!holders->atom || !holders->position_A)
		return pn_error_set(err, PN_ENOMEM, "average over %zu atoms", atoms->count);
	for (size_t i = 0; i < atoms->count; i++) {
		if (isnan(value[i * (size_t)components]))
			continue;
		memcpy(holders->position_A[holders->count], atoms->position_A[i],
		       sizeof *holders->position_A);
		holders->atom[holders->count++] = (uint32_t)i;
	}
	if (!holders->count)
		return PN_OK;
	return pn_cells_build(&holders->cells, (const double(*)[3])holders->position_A,
			      holders->count, edge_A, err);
}

static void average_one(double *out, const struct holders *holders, const double *value,
			int components, const double *weight, double sigma_A, const double p[3])
{
	const struct pn_cells *cells = &holders->cells;
	double sum[3] = { 0 }, total = 0, cut = cut_sigmas * sigma_A, inverse;
	size_t first[3], last[3];

	inverse = -0.5 / (sigma_A * sigma_A);
	pn_assert(pn_cells_range(cells, p, cut, first, last)); /* p itself is in a cell */
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++) {
			size_t row = (z * cells->shape[1] + y) * cells->shape[2];
			uint32_t end = cells->start[row + last[2] + 1];

			for (uint32_t e = cells->start[row + first[2]]; e < end; e++) {
				double d[3], d2, w;
				size_t j = holders->atom[cells->atom[e]];

				minus(d, cells->position_A[e], p);
				d2 = dot(d, d);
				if (d2 > cut * cut || (weight && !(weight[j] > 0)))
					continue;
				w = exp(d2 * inverse) * (weight ? weight[j] : 1);
				total += w;
				for (int k = 0; k < components; k++)
					sum[k] += w * value[j * (size_t)components + (size_t)k];
			}
		}
	for (int k = 0; k < components; k++)
		out[k] = total > 0 ? sum[k] / total : NAN;
}

int pn_surface_average(double *average, const double *value, int components, const double *weight,
		       double sigma_A, const struct pn_atoms *atoms, int threads,
		       struct pn_error *err)
{
	struct holders holders = { 0 };
	int rc;

	if (threads < 1 || components < 1 || components > 3 || !(sigma_A >= sigma_min_A) ||
	    isinf(sigma_A))
		return pn_error_set(err, PN_EARG,
				    "surface average: %d threads, %d components, sigma %g A",
				    threads, components, sigma_A);
	rc = find_holders(&holders, value, components, cut_sigmas / 3 * sigma_A, atoms, err);
	for (size_t i = 0; !rc && i < atoms->count * (size_t)components; i++)
		average[i] = NAN;
	if (rc || !holders.count) {
		free_holders(&holders);
		return rc;
	}
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t h = 0; h < holders.count; h++) {
		uint32_t e = holders.cells.atom[h];
		size_t i = holders.atom[e];

		average_one(average + i * (size_t)components, &holders, value, components, weight,
			    sigma_A, holders.position_A[e]);
	}
	free_holders(&holders);
	return PN_OK;
}
