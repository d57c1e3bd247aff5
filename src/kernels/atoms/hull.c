/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All that Perrin asks of Qhull: convex hulls, in three dimensions and, for Delaunay, in four. */
#include "perrin/atoms/hull.h"

#include "surface_internal.h"

#include <libqhull_r/qhull_ra.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAT 1e-9 /* thinner than this times the extent is a plane */

/* ---- Qhull --------------------------------------------------------------------------------- */

/* A run of Qhull, what it says kept off stderr. */
struct run {
	qhT qh;
	FILE *said;
	char *text;
	size_t length;
};

static void run_finish(struct run *run)
{
	int left, bytes;

	qh_freeqhull(&run->qh, !qh_ALL);
	qh_memfreeshort(&run->qh, &left, &bytes);
	if (run->said)
		fclose(run->said);
	free(run->text);
	free(run);
}

/* @point: [count][dim], must outlive the run. NULL after an error. */
static struct run *run_start(double *point, size_t count, int dim, char *options,
			     struct pn_error *err)
{
	struct run *run = calloc(1, sizeof *run);

	if (run)
		run->said = open_memstream(&run->text, &run->length);
	if (!run || !run->said) {
		free(run);
		pn_error_set(err, PN_ENOMEM, "Qhull: no memory to begin");
		return NULL;
	}
	qh_zero(&run->qh, run->said);
	int rc = qh_new_qhull(&run->qh, dim, (int)count, point, 0, options, NULL, run->said);

	if (!rc)
		return run;
	fflush(run->said);
	const char *text = run->text ? run->text : "";

	pn_error_set(err, rc == qh_ERRmem ? PN_ENOMEM : PN_EFORMAT,
		     "Qhull gives up on %zu points (status %d): %.*s", count, rc,
		     (int)strcspn(text, "\n"), text);
	run_finish(run);
	return NULL;
}

/* ---- convex hull --------------------------------------------------------------------------- */

static void mean_of(double mean[3], const struct pn_atoms *atoms)
{
	memset(mean, 0, 3 * sizeof *mean);
	for (size_t i = 0; i < atoms->count; i++)
		for (int k = 0; k < 3; k++)
			mean[k] += atoms->position_A[i][k] / (double)atoms->count;
}

/*
 * Whether all atoms are on one plane: the plane is spanned by the atom farthest from the first one,
 * and the atom farthest from the line through these two.
 */
static int is_flat(const struct pn_atoms *atoms)
{
	const double *origin = atoms->position_A[0];
	double axis[3][3] = { 0 }, extent = 0, thickness = 0;

	for (int d = 0; d < 3; d++) {
		double farthest = 0;

		for (size_t i = 1; i < atoms->count; i++) {
			double v[3], r2 = 0;

			for (int k = 0; k < 3; k++)
				v[k] = atoms->position_A[i][k] - origin[k];
			for (int e = 0; e < d; e++) {
				double along =
					v[0] * axis[e][0] + v[1] * axis[e][1] + v[2] * axis[e][2];

				for (int k = 0; k < 3; k++)
					v[k] -= along * axis[e][k];
			}
			r2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
			if (r2 > farthest) {
				farthest = r2;
				memcpy(axis[d], v, sizeof v);
			}
		}
		thickness = sqrt(farthest);
		if (d == 0)
			extent = thickness;
		if (thickness <= FLAT * extent)
			return 1;
		for (int k = 0; k < 3; k++)
			axis[d][k] /= thickness;
	}
	return 0;
}

/* Triangles of the hull; Qhull knows which way round they go. */
static int take_hull(struct pn_triangles *list, qhT *qh)
{
	facetT *facet;
	vertexT *vertex, **vertexp;

	FORALLfacets
	{
		uint32_t c[3] = { 0 };
		int n = 0;
		/* for these the vertices are in the order of Qhull's ids, and toporient tells
		 * which order is anticlockwise */
		FOREACHvertex_(facet->vertices)
		{
			if (n < 3)
				c[n] = (uint32_t)qh_pointid(qh, vertex->point);
			n++;
		}
		if (n != 3)
			continue;
		int turned = (facet->toporient != 0) ^ (qh_ORIENTclock != 0);

		if (!pn_triangles_add(list, c[0], c[turned ? 2 : 1], c[turned ? 1 : 2]))
			return 0;
	}
	return 1;
}

int pn_hull_build(struct pn_hull *hull, const struct pn_atoms *atoms, struct pn_error *err)
{
	struct pn_triangles list = { 0 };
	double mean[3], (*point)[3];
	char options[] = "qhull Qt";

	memset(hull, 0, sizeof *hull);
	hull->atoms = atoms->count;
	hull->on_hull = calloc(atoms->count + 1, 1);
	if (!hull->on_hull)
		return pn_error_set(err, PN_ENOMEM, "hull: no memory for %zu atoms", atoms->count);
	if (atoms->count < 4 || is_flat(atoms))
		return PN_OK;
	point = malloc(atoms->count * sizeof *point);
	if (!point)
		return pn_error_set(err, PN_ENOMEM, "hull: no memory for %zu atoms", atoms->count);
	mean_of(mean, atoms);
	for (size_t i = 0; i < atoms->count; i++)
		for (int k = 0; k < 3; k++)
			point[i][k] = atoms->position_A[i][k] - mean[k];
	struct run *run = run_start(point[0], atoms->count, 3, options, err);
	int rc = PN_OK;

	if (!run) {
		free(point);
		return pn_error_wrap(err, "hull");
	}
	if (!take_hull(&list, &run->qh))
		rc = pn_error_set(err, PN_ENOMEM, "hull: no memory for triangles");
	run_finish(run);
	free(point);
	hull->triangle = list.corner;
	hull->triangles = list.count;
	if (rc)
		return rc;
	pn_triangles_measure((const uint32_t(*)[3])hull->triangle, hull->triangles, atoms,
			     hull->on_hull, &hull->corners, &hull->area_A2, &hull->volume_A3);
	hull->diameter_A = cbrt(6 * hull->volume_A3 / M_PI);
	return PN_OK;
}

void pn_hull_free(struct pn_hull *hull)
{
	free(hull->triangle);
	free(hull->on_hull);
	memset(hull, 0, sizeof *hull);
}

/* ---- Delaunay ------------------------------------------------------------------------------ */

/* Points of four dimensions: x, y, z from the middle of the model, and the height above it. */
struct lifted {
	double (*point)[4]; /* [atoms + 1] */
	double scale;       /* height of a point over its |p|^2 - w */
};

/*
 * The points (p, |p|^2 - w) in four dimensions: the faces of their hull that look down are the
 * tetrahedra of the Delaunay triangulation (with weights, of the regular one). Heights are scaled
 * to the size of the other coordinates. One more point high above makes the hull thick where all
 * atoms are on one sphere.
 */
static int lift(struct lifted *lifted, const struct pn_atoms *atoms, const double *weight_A2)
{
	double(*point)[4] = malloc((atoms->count + 1) * sizeof *point), mean[3], highest = 0;

	lifted->point = point;
	if (!point)
		return 0;
	mean_of(mean, atoms);
	for (size_t i = 0; i < atoms->count; i++) {
		double r2 = 0;

		for (int k = 0; k < 3; k++) {
			point[i][k] = atoms->position_A[i][k] - mean[k];
			r2 += point[i][k] * point[i][k];
		}
		point[i][3] = r2 - weight_A2[i];
		highest = fmax(highest, r2);
	}
	lifted->scale = 1 / sqrt(highest);
	for (size_t i = 0; i < atoms->count; i++)
		point[i][3] *= lifted->scale;
	memset(point[atoms->count], 0, sizeof *point);
	point[atoms->count][3] = 2 * sqrt(highest);
	return 1;
}

/*
 * Whether a face of the hull is a tetrahedron with a ball of at most the radius: its plane n . p +
 * n4 scale (|p|^2 - w) + offset = 0 is the ball |p - c|^2 - w = r^2 with c = -n / (2 n4 scale).
 * Pieces that Qhull cut from one face with more corners have one plane, and so share their fate;
 * the planes of flat tetrahedra are upright, and their balls have no end.
 */
static int is_filled(const facetT *facet, double scale, double radius2_A2)
{
	const double *n = facet->normal;
	double down = n ? n[3] * scale : 0, c2 = 0;

	if (!(down < 0))
		return 0;
	for (int k = 0; k < 3; k++)
		c2 += n[k] * n[k] / (4 * down * down);
	return c2 - facet->offset / down <= radius2_A2;
}

/* Corners of a tetrahedron in the order of its vertices; 0 for faces that are none. */
static int corners_of(qhT *qh, const facetT *facet, size_t atoms, uint32_t c[4])
{
	vertexT *vertex, **vertexp;
	int n = 0;

	FOREACHvertex_(facet->vertices)
	{
		int id = qh_pointid(qh, vertex->point);

		if (id < 0 || (size_t)id >= atoms || n == 4)
			return 0;
		c[n++] = (uint32_t)id;
	}
	return n == 4;
}

/* The face opposite to corner @k, anticlockwise seen from outside. */
static int add_face(struct pn_triangles *list, const struct pn_atoms *atoms, const uint32_t c[4],
		    int k)
{
	uint32_t f[3] = { c[k == 0 ? 1 : 0], c[k <= 1 ? 2 : 1], c[k <= 2 ? 3 : 2] };
	const double *p = atoms->position_A[f[0]], *q = atoms->position_A[c[k]];
	double n[3];

	pn_triangle_normal(n, atoms->position_A, f);
	int inwards = n[0] * (q[0] - p[0]) + n[1] * (q[1] - p[1]) + n[2] * (q[2] - p[2]) > 0;

	return pn_triangles_add(list, f[0], f[inwards ? 2 : 1], f[inwards ? 1 : 2]);
}

/* Faces between filled tetrahedra and what is not filled. Neighbour k is opposite to corner k. */
static int take_surface(struct pn_triangles *list, qhT *qh, const struct pn_atoms *atoms,
			double scale, double radius_A)
{
	facetT *facet, *neighbor, **neighborp;
	uint32_t c[4];

	FORALLfacets
	{
		facet->seen = is_filled(facet, scale, radius_A * radius_A) &&
			      corners_of(qh, facet, atoms->count, c);
	}
	FORALLfacets
	{
		int k = 0;

		if (!facet->seen)
			continue;
		corners_of(qh, facet, atoms->count, c);
		FOREACHneighbor_(facet)
		{
			if (k < 4 && !neighbor->seen && !add_face(list, atoms, c, k))
				return 0;
			k++;
		}
	}
	return 1;
}

static int triangulate(struct pn_triangles *list, const struct pn_atoms *atoms,
		       const double *weight_A2, double radius_A, struct pn_error *err)
{
	char options[] = "qhull Qt Qc Q12";
	struct lifted lifted;
	struct run *run;
	int rc = PN_OK;

	if (!lift(&lifted, atoms, weight_A2))
		return pn_error_set(err, PN_ENOMEM, "surface: no memory for %zu atoms",
				    atoms->count);
	run = run_start(lifted.point[0], atoms->count + 1, 4, options, err);
	if (!run) {
		free(lifted.point);
		return pn_error_wrap(err, "surface by Delaunay");
	}
	if (!take_surface(list, &run->qh, atoms, lifted.scale, radius_A))
		rc = pn_error_set(err, PN_ENOMEM, "surface: no memory for triangles");
	run_finish(run);
	free(lifted.point);
	return rc;
}

int pn_surface_by_delaunay(struct pn_surface *surface, const struct pn_atoms *atoms,
			   double radius_A, struct pn_error *err)
{
	struct pn_triangles list = { 0 };
	int rc = pn_surface_start(surface, atoms, radius_A, err);

	if (rc)
		return rc;
	if (atoms->count < 4 || is_flat(atoms))
		return PN_OK;
	double *weight_A2 = malloc(atoms->count * sizeof *weight_A2);

	if (!weight_A2)
		return pn_error_set(err, PN_ENOMEM, "surface: no memory for %zu atoms",
				    atoms->count);
	rc = PN_EAGAIN;
	for (int n = 0; rc == PN_EAGAIN && n < PN_SURFACE_ATTEMPTS; n++) {
		pn_surface_weights(surface, weight_A2, n);
		rc = triangulate(&list, atoms, weight_A2, pn_surface_decision_radius_A(surface),
				 err);
		if (!rc)
			rc = pn_surface_finish(surface, atoms, &list, err);
	}
	free(list.corner);
	free(weight_A2);
	return rc == PN_EAGAIN ? pn_surface_open(surface, err) : rc;
}
