/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/curvature.h"
#include "perrin/atoms/facet.h"
#include "perrin/math/linear.h"

#include "facet_family.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEIGHBORS_MAX = 40, POINTS_MAX = NEIGHBORS_MAX + 1, FACES_MAX = 2 * POINTS_MAX };

/*
 * Perfect models read from files lie in planes and lines but for the digits that are lacking, up to
 * some 1e-3 A; measured models are ten times farther off. The limits lie between.
 */
static const double plane_part = 3e-4;   /* of the lattice constant: in one plane      */
static const double line_sine = 1e-3;    /* of an angle: in one line                   */
static const double same_cosine = 0.999; /* of the angle between planes of one face    */
static const double near_part = 0.1;     /* of the lattice constant: |g| and w, see .h */

/* An atom at the origin with its neighbours, and the planes of their hull that are done. */
struct around {
	int count;
	double point[POINTS_MAX][3], thick_A, near_A;
	uint64_t face[FACES_MAX];    /* bit per point */
	double normal[FACES_MAX][3]; /* of one of the planes that the face was made from */
	int faces;
	double gradient[3], facing[3], weight; /* sums over faces */
};

static double dot3(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross3(double out[3], const double a[3], const double b[3])
{
	out[0] = a[1] * b[2] - a[2] * b[1];
	out[1] = a[2] * b[0] - a[0] * b[2];
	out[2] = a[0] * b[1] - a[1] * b[0];
}

/* ------------------------------------------------------------------ one face */

/* Points of a face in its plane, the atom's own place at (0, 0). */
struct outline {
	int count, corners;
	double at[POINTS_MAX][2];
	int corner[POINTS_MAX + 1]; /* anticlockwise */
};

static double turn(const double a[2], const double b[2], const double c[2])
{
	return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

static double apart2(const double a[2], const double b[2])
{
	return (b[0] - a[0]) * (b[0] - a[0]) + (b[1] - a[1]) * (b[1] - a[1]);
}

/* Project the points of @mask along @normal. */
static void flatten(struct outline *out, const struct around *around, uint64_t mask,
		    const double normal[3])
{
	int least = fabs(normal[0]) < fabs(normal[1]) ? 0 : 1;
	double x[3] = { 0 }, y[3], length;

	if (fabs(normal[2]) < fabs(normal[least]))
		least = 2;
	x[least] = 1;
	cross3(y, normal, x);
	length = sqrt(dot3(y, y));
	for (int k = 0; k < 3; k++)
		y[k] /= length;
	cross3(x, y, normal);
	out->count = 0;
	for (int i = 0; i < around->count; i++)
		if (mask >> i & 1) {
			out->at[out->count][0] = dot3(around->point[i], x);
			out->at[out->count++][1] = dot3(around->point[i], y);
		}
}

/* A corner to begin with: leftmost, of equals the lowest. */
static int first_corner(const struct outline *out, double thick_A)
{
	double left = INFINITY;
	int at = -1;

	for (int i = 0; i < out->count; i++)
		left = fmin(left, out->at[i][0]);
	for (int i = 0; i < out->count; i++)
		if (out->at[i][0] <= left + thick_A && (at < 0 || out->at[i][1] < out->at[at][1]))
			at = i;
	return at;
}

/* Walk around the points: the next corner has all others on its left, of those in line the last. */
static void walk(struct outline *out, double thick_A)
{
	int at = first_corner(out, thick_A);

	out->corners = 0;
	do {
		int next = -1;

		out->corner[out->corners++] = at;
		for (int i = 0; i < out->count; i++) {
			double far2 = apart2(out->at[at], out->at[i]), side, reach;

			if (far2 <= thick_A * thick_A)
				continue;
			if (next < 0) {
				next = i;
				continue;
			}
			side = turn(out->at[at], out->at[next], out->at[i]);
			reach = thick_A * sqrt(far2);
			if (side < -reach ||
			    (side <= reach && far2 > apart2(out->at[at], out->at[next])))
				next = i;
		}
		at = next;
	} while (at >= 0 && apart2(out->at[at], out->at[out->corner[0]]) > thick_A * thick_A &&
		 out->corners < out->count);
}

/*
 * The corners before and after the atom, if it is a corner of the outline or lies on its rim.
 * Returns 0 if it does not.
 */
static int place_of_atom(const struct outline *out, double thick_A, int *before, int *after)
{
	static const double origin[2] = { 0, 0 };
	int n = out->corners;

	for (int i = 0; i < n; i++)
		if (apart2(out->at[out->corner[i]], origin) <= thick_A * thick_A) {
			*before = out->corner[(i + n - 1) % n];
			*after = out->corner[(i + 1) % n];
			return 1;
		}
	for (int i = 0; i < n; i++) {
		const double *a = out->at[out->corner[i]], *b = out->at[out->corner[(i + 1) % n]];

		if (turn(a, b, origin) <= thick_A * sqrt(apart2(a, b))) {
			*before = out->corner[i];
			*after = out->corner[(i + 1) % n];
			return 1;
		}
	}
	return 0;
}

/* Add the face with outward unit @normal at @height_A over the atom. */
static void add_face(struct around *around, uint64_t mask, const double normal[3], double height_A)
{
	struct outline out;
	double area = 0, part = height_A / around->near_A, weight;
	int before, after;

	flatten(&out, around, mask, normal);
	walk(&out, around->thick_A);
	for (int i = 1; i + 1 < out.corners; i++)
		area += turn(out.at[out.corner[0]], out.at[out.corner[i]],
			     out.at[out.corner[i + 1]]) /
			2;
	weight = area * exp(-0.5 * part * part);
	around->weight += weight;
	for (int k = 0; k < 3; k++)
		around->facing[k] += weight * normal[k];
	if ((mask & 1) && place_of_atom(&out, around->thick_A, &before, &after)) {
		/* back to three dimensions: which points these are */
		double rim[3], g[3];
		int number[POINTS_MAX], count = 0;

		for (int i = 0; i < around->count; i++)
			if (mask >> i & 1)
				number[count++] = i;
		for (int k = 0; k < 3; k++)
			rim[k] = around->point[number[before]][k] - around->point[number[after]][k];
		cross3(g, normal, rim);
		for (int k = 0; k < 3; k++)
			around->gradient[k] += g[k] / 2;
	}
}

/* ------------------------------------------------------------------ the hull */

/*
 * The plane through three points, if all points are on one side of it. Returns 1 for a face, 0 for
 * none, -1 if all points are in the plane.
 */
static int try_plane(const struct around *around, const int at[3], double normal[3], uint64_t *mask)
{
	const double *p = around->point[at[0]];
	double u[3], v[3], length2;
	int above = 0, below = 0;

	for (int k = 0; k < 3; k++) {
		u[k] = around->point[at[1]][k] - p[k];
		v[k] = around->point[at[2]][k] - p[k];
	}
	cross3(normal, u, v);
	length2 = dot3(normal, normal);
	if (!(length2 > line_sine * line_sine * dot3(u, u) * dot3(v, v)))
		return 0;
	for (int k = 0; k < 3; k++)
		normal[k] /= sqrt(length2);
	*mask = 0;
	for (int i = 0; i < around->count; i++) {
		double h = dot3(normal, around->point[i]) - dot3(normal, p);

		if (fabs(h) <= around->thick_A)
			*mask |= (uint64_t)1 << i;
		else if (h > 0)
			above = 1;
		else
			below = 1;
		if (above && below)
			return 0;
	}
	*mask |= (uint64_t)1 << at[0] | (uint64_t)1 << at[1] | (uint64_t)1 << at[2];
	for (int k = 0; above && k < 3; k++)
		normal[k] = -normal[k];
	return above || below ? 1 : -1;
}

static int points_of(uint64_t mask)
{
	int count = 0;

	for (; mask; mask &= mask - 1)
		count++;
	return count;
}

/*
 * Enter a face, together with those it overlaps: where points lie about as far from a plane as it
 * is thick (coordinates of a file with few digits), several planes hold most of them, and each
 * would bring the same area once more. Returns 0 if there is no room.
 */
static int enter_face(struct around *around, uint64_t mask, const double normal[3])
{
	int kept = 0;

	for (int f = 0; f < around->faces; f++) {
		int same = points_of(around->face[f] & mask) >= 3 &&
			   dot3(around->normal[f], normal) > same_cosine;

		if (same) {
			mask |= around->face[f];
			continue;
		}
		around->face[kept] = around->face[f];
		memmove(around->normal[kept++], around->normal[f], sizeof *around->normal);
	}
	around->faces = kept;
	if (kept == FACES_MAX)
		return 0;
	around->face[kept] = mask;
	memcpy(around->normal[kept], normal, sizeof *around->normal);
	around->faces++;
	return 1;
}

/* The plane that lies best among the points of a face: its outward normal, its height over 0. */
static void level(const struct around *around, int f, double normal[3], double *height_A)
{
	double mean[3] = { 0 }, spread[3][3] = { { 0 } }, value[3], axis[3][3];
	int count = points_of(around->face[f]);

	for (int i = 0; i < around->count; i++)
		for (int k = 0; k < 3 && around->face[f] >> i & 1; k++)
			mean[k] += around->point[i][k] / count;
	for (int i = 0; i < around->count; i++)
		for (int k = 0; k < 9 && around->face[f] >> i & 1; k++)
			spread[k / 3][k % 3] += (around->point[i][k / 3] - mean[k / 3]) *
						(around->point[i][k % 3] - mean[k % 3]);
	pn_symmetric3_eigen(value, axis, (const double(*)[3])spread);
	double side = dot3(axis[0], around->normal[f]) < 0 ? -1 : 1;

	for (int k = 0; k < 3; k++)
		normal[k] = side * axis[0][k];
	*height_A = dot3(normal, mean);
}

/* Add all faces of the hull. Returns 0 if there is no hull. */
static int add_hull(struct around *around)
{
	for (int i = 0; i + 2 < around->count; i++)
		for (int j = i + 1; j + 1 < around->count; j++)
			for (int k = j + 1; k < around->count; k++) {
				const int at[3] = { i, j, k };
				uint64_t mask;
				double normal[3];
				int found = try_plane(around, at, normal, &mask);

				if (found < 0 || (found && !enter_face(around, mask, normal)))
					return 0;
			}
	for (int f = 0; f < around->faces; f++) {
		double normal[3], height_A;

		level(around, f, normal, &height_A);
		add_face(around, around->face[f], normal, height_A);
	}
	return around->faces > 0;
}

/* Direction of the surface at one atom; NaN if it has none. */
static void direction_of(double out[3], const struct pn_neighbors *neighbors, size_t i,
			 double lattice_A)
{
	struct around around = { .count = (int)pn_neighbors_count(neighbors, i) + 1,
				 .thick_A = plane_part * lattice_A,
				 .near_A = near_part * lattice_A };
	const double *from = around.gradient;
	double length;

	memcpy(around.point + 1, neighbors->bond_A + neighbors->start[i],
	       (size_t)(around.count - 1) * sizeof *around.point);
	out[0] = out[1] = out[2] = NAN;
	if (!add_hull(&around))
		return;
	length = sqrt(dot3(from, from));
	if (!(length > around.near_A)) {
		from = around.facing;
		length = sqrt(dot3(from, from));
		if (!(length > 1e-9 * around.weight))
			return;
	}
	for (int k = 0; k < 3; k++)
		out[k] = from[k] / length;
}

/* ------------------------------------------------------------------ all atoms */

static int check(const struct pn_neighbors *neighbors, const struct pn_atoms *atoms,
		 const uint8_t *surface_atom, double lattice_A, int threads, struct pn_error *err)
{
	if (threads < 1 || !(lattice_A > 0) || isinf(lattice_A))
		return pn_error_set(err, PN_EARG,
				    "facets by normal: %d threads, lattice constant %g A", threads,
				    lattice_A);
	if (neighbors->atoms != atoms->count)
		return pn_error_set(err, PN_EARG,
				    "facets by normal: neighbours of %zu atoms, model of %zu",
				    neighbors->atoms, atoms->count);
	for (size_t i = 0; i < atoms->count; i++)
		if (surface_atom[i] && pn_neighbors_count(neighbors, i) > NEIGHBORS_MAX)
			return pn_error_set(
				err, PN_EARG,
				"facets by normal: atom %zu has %u neighbours within %g A, more "
				"than %d: not a cut-off between first and second neighbours",
				i + 1, pn_neighbors_count(neighbors, i), neighbors->cutoff_A,
				NEIGHBORS_MAX);
	return PN_OK;
}

double pn_facet_cutoff_A(double lattice_A)
{
	return (lattice_A / M_SQRT2 + lattice_A) / 2;
}

/* From the average of directions to class, angle and unit normal. */
static void classify(uint8_t *facet, double *angle_deg, double *normal, const double mean[3],
		     const double to_lab[3][3])
{
	double length = sqrt(dot3(mean, mean)), unit[3] = { NAN, NAN, NAN };

	*facet = PN_FACET_OTHER;
	*angle_deg = NAN;
	if (length > 1e-9) {
		for (int k = 0; k < 3; k++)
			unit[k] = mean[k] / length;
		*facet = (uint8_t)facet_family(unit, to_lab, angle_deg);
	}
	if (normal)
		memcpy(normal, unit, sizeof unit);
}

int pn_facet_by_normal(uint8_t *facet, double *angle_deg, double (*normal)[3],
		       const struct pn_neighbors *neighbors, const struct pn_atoms *atoms,
		       const uint8_t *surface_atom, double lattice_A, const double to_lab[3][3],
		       int threads, struct pn_error *err)
{
	double(*direction)[3], (*mean)[3];
	int rc = check(neighbors, atoms, surface_atom, lattice_A, threads, err);

	if (!rc)
		rc = facet_check_turn(to_lab, "facets by normal", err);
	if (rc)
		return rc;
	direction = malloc((atoms->count + 1) * sizeof *direction);
	mean = malloc((atoms->count + 1) * sizeof *mean);
	if (!direction || !mean) {
		free(direction);
		free(mean);
		return pn_error_set(err, PN_ENOMEM, "facets by normal of %zu atoms", atoms->count);
	}
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms->count; i++) {
		direction[i][0] = direction[i][1] = direction[i][2] = NAN;
		if (surface_atom[i])
			direction_of(direction[i], neighbors, i, lattice_A);
	}
	rc = pn_surface_average((double *)mean, (const double *)direction, 3, NULL, lattice_A,
				atoms, threads, err);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms->count; i++) {
		if (rc)
			continue;
		classify(facet + i, angle_deg + i, normal ? normal[i] : NULL, mean[i], to_lab);
		if (!surface_atom[i])
			facet[i] = PN_FACET_NONE;
	}
	free(direction);
	free(mean);
	return rc;
}
