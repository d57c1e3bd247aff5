/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a sphere around an atom that lies inside a closed mesh, in closed form. */
#include "rdf_parts.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS     64 /* of the triangles; fixed, so that the sums do not depend on the threads */
#define LANES      32 /* atoms that are worked on together */
#define GRAIN      4  /* radii that are worked on together; a power of 2 */
#define LOOK_UP    4096
#define CELL_A     4.0
#define FLAT_RATIO 1e-10 /* area over the square of an edge */
#define ROUNDING   1e-12

/*
 * Let h be the distance of an atom from the plane of a triangle and q the foot of the
 * perpendicular. Within r of the atom the plane has a disc around q, rho^2 = r^2 - h^2. In polar
 * coordinates around q, the solid angle of what the triangle and the disc have in common is
 *
 *	int (1 - h / sqrt(rho(phi)^2 + h^2)) d phi
 *
 * around its boundary, anticlockwise: along arcs the bracket is 1 - h/r; along an edge at distance
 * p from q, x = p tan(phi) being the place on it and s^2 = h^2 + p^2 + x^2,
 *
 *	int = F(x) = atan(x/p) - atan(h x / (p s)).
 *
 * An edge is within the disc for |x| < c, c^2 = rho^2 - p^2. So each of its ends contributes, with
 * k = 1 - h/r, F(x) if |x| <= c, and k atan(x/p) +- E with E = F(c) - k atan(c/p) if not: there the
 * arc goes on where the edge leaves. If the edge does not reach the disc, c = 0 does the same. All
 * is odd in p, which counts as positive if q is on the inner side of the edge.
 */
struct face {
	double corner[3][3], normal[3], along[3][3], inward[3][3];
	double center[3], reach; /* of a corner from the centre */
};

/* Atoms around one triangle: quantities as above, per edge. */
struct lanes {
	double x[LANES], y[LANES], z[LANES];
	double h[LANES],
		sign[LANES];   /* sign: 1 the triangle bounds the inside, seen from the atom */
	double nearest[LANES]; /* point of the triangle */
	double p[3][LANES], side[3][LANES]; /* |p| and its sign */
	double from[3][LANES], to[3][LANES];
	double from_angle[3][LANES], to_angle[3][LANES]; /* atan(x/p) */
	double from_full[3][LANES], to_full[3][LANES];   /* F(x)      */
	double first[3][LANES], last[3][LANES]; /* distances of the nearest and farthest point */
};

/*
 * The radii, ascending, with GRAIN more behind them that nobody asks for, and a table of the first
 * one that is not below i / per_A, to find one quickly.
 */
struct radii {
	const double *r_A, *per_r;
	size_t count;
	double per_A;
	uint32_t look_up[LOOK_UP + 1];
};

/*
 * What one chunk of the triangles has found: the solid angle at radius k is within[k] plus the
 * sums up to k of constant[] and of inverse[] / r. All [count + GRAIN].
 */
struct chunk {
	double *within, *constant, *inverse;
	uint32_t *found;
	size_t room;
	int failed;
};

/*
 * atan(y/x) for y, x >= 0, not both infinite; 0 for 0/0. Without a branch and without a call, so
 * that loops over it become vector code. Error below 1e-15.
 */
static inline double atan_of(double y, double x)
{
	/* atan(t)/t in t^2 for t < tan(pi/8), by least squares at Chebyshev nodes */
	static const double c[10] = { 0.99999999999999978,  -0.33333333333221943,
				      0.19999999978437896,  -0.14285712661151054,
				      0.11111048737284221,  -0.090895263326401576,
				      0.076734834903510699, -0.0650559260466997,
				      0.050232706627556974, -0.025293613701642424 };
	double low = y < x ? y : x, high = y < x ? x : y;
	int steep = low > 0.41421356237309503 * high;
	double t = (steep ? low - high : low) / ((steep ? low + high : high) + DBL_MIN);
	double u = t * t, u2 = u * u, u4 = u2 * u2;
	double v = (c[0] + c[1] * u) + (c[2] + c[3] * u) * u2 +
		   ((c[4] + c[5] * u) + (c[6] + c[7] * u) * u2 + (c[8] + c[9] * u) * u4) * u4;

	v = v * t + (steep ? M_PI / 4 : 0);
	return y < x ? v : y > 0 ? M_PI / 2 - v : 0;
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

/* Returns 0 for a triangle without area. */
static int face_build(struct face *face, const struct pn_atoms *atoms, const uint32_t corner[3])
{
	double length[3], longest = 0;

	for (int m = 0; m < 3; m++)
		memcpy(face->corner[m], atoms->position_A[corner[m]], sizeof face->corner[m]);
	for (int m = 0; m < 3; m++) {
		for (int k = 0; k < 3; k++)
			face->along[m][k] = face->corner[(m + 1) % 3][k] - face->corner[m][k];
		length[m] = sqrt(dot(face->along[m], face->along[m]));
		longest = fmax(longest, length[m]);
	}
	cross(face->normal, face->along[0], face->along[1]);
	double area = sqrt(dot(face->normal, face->normal));

	if (!(area > FLAT_RATIO * longest * longest) || !(length[0] * length[1] * length[2] > 0))
		return 0;
	face->reach = 0;
	for (int k = 0; k < 3; k++) {
		face->normal[k] /= area;
		face->center[k] =
			(face->corner[0][k] + face->corner[1][k] + face->corner[2][k]) / 3;
	}
	for (int m = 0; m < 3; m++) {
		double d[3];

		for (int k = 0; k < 3; k++) {
			face->along[m][k] /= length[m];
			d[k] = face->corner[m][k] - face->center[k];
		}
		cross(face->inward[m], face->normal, face->along[m]);
		face->reach = fmax(face->reach, sqrt(dot(d, d)));
	}
	return 1;
}

/* Heights are taken from the nearest corner: exactly 0 for an atom that is a corner. */
static void lanes_height(struct lanes *l, const struct face *face)
{
	for (int i = 0; i < LANES; i++) {
		double near2 = INFINITY, height = 0;

		for (int m = 0; m < 3; m++) {
			double x = face->corner[m][0] - l->x[i], y = face->corner[m][1] - l->y[i];
			double z = face->corner[m][2] - l->z[i], d2 = x * x + y * y + z * z;
			double n = x * face->normal[0] + y * face->normal[1] + z * face->normal[2];

			height = d2 < near2 ? n : height;
			near2 = d2 < near2 ? d2 : near2;
		}
		l->h[i] = fabs(height);
		l->sign[i] = height > 0 ? 1 : height < 0 ? -1 : 0;
	}
}

static void lanes_edge(struct lanes *l, const struct face *face, int m)
{
	const double *a = face->corner[m], *b = face->corner[(m + 1) % 3];
	const double *t = face->along[m], *n = face->inward[m];

	for (int i = 0; i < LANES; i++) {
		double ax = a[0] - l->x[i], ay = a[1] - l->y[i], az = a[2] - l->z[i];
		double bx = b[0] - l->x[i], by = b[1] - l->y[i], bz = b[2] - l->z[i];
		double p = -(ax * n[0] + ay * n[1] + az * n[2]), h = l->h[i];
		double from = ax * t[0] + ay * t[1] + az * t[2];
		double to = bx * t[0] + by * t[1] + bz * t[2], d2 = h * h + p * p;
		double from2 = d2 + from * from, to2 = d2 + to * to;
		double near2 = from < 0 && to > 0 ? d2 : from2 < to2 ? from2 : to2;

		l->first[m][i] = sqrt(near2);
		l->last[m][i] = sqrt(from2 < to2 ? to2 : from2);
		l->side[m][i] = p < 0 ? -1 : 1;
		p = fabs(p);
		l->p[m][i] = p;
		l->from[m][i] = from;
		l->to[m][i] = to;
		double fa = atan_of(fabs(from), p), ta = atan_of(fabs(to), p);
		double fs = atan_of(h * fabs(from), p * sqrt(from2));
		double ts = atan_of(h * fabs(to), p * sqrt(to2));

		l->from_angle[m][i] = copysign(fa, from);
		l->to_angle[m][i] = copysign(ta, to);
		l->from_full[m][i] = copysign(fa - fs, from);
		l->to_full[m][i] = copysign(ta - ts, to);
	}
}

static void lanes_build(struct lanes *l, const struct face *face)
{
	lanes_height(l, face);
	for (int m = 0; m < 3; m++)
		lanes_edge(l, face, m);
	for (int i = 0; i < LANES; i++) {
		int over = l->side[0][i] > 0 && l->side[1][i] > 0 && l->side[2][i] > 0;
		double near = l->first[0][i];

		near = l->first[1][i] < near ? l->first[1][i] : near;
		near = l->first[2][i] < near ? l->first[2][i] : near;
		l->nearest[i] = over ? l->h[i] : near;
	}
}

/* Index of the first radius not below @r_A. */
static size_t radius_index(const struct radii *radii, double r_A)
{
	double x = r_A * radii->per_A;
	size_t k = x < LOOK_UP ? radii->look_up[(size_t)x] : radii->count;

	while (k < radii->count && radii->r_A[k] < r_A)
		k++;
	return k;
}

/* Contribution of edge @m of atom @i where spheres cut it, at the radii first..last - 1. */
static void edge_cut(double *restrict within, const struct lanes *l, int m, int i,
		     const struct radii *radii, size_t first, size_t last)
{
	const double *restrict r = radii->r_A, *restrict per_r = radii->per_r;
	double h = l->h[i], p = l->p[m][i], d2 = h * h + p * p, weight = l->sign[i] * l->side[m][i];
	double from = l->from[m][i], from_angle = l->from_angle[m][i];
	double to = l->to[m][i], to_angle = l->to_angle[m][i];
	double from_full = l->from_full[m][i], to_full = l->to_full[m][i];
	double from_sign = from < 0 ? -1 : 1, to_sign = to < 0 ? -1 : 1;

	for (size_t at = first; at < last; at++) {
		double u = h * per_r[at], k = 1 - u;
		double c2 = r[at] * r[at] - d2, c = sqrt(c2 > 0 ? c2 : 0);
		double e = u * atan_of(c, p) - atan_of(c * u, p);
		double from_out = from_sign * e + k * from_angle;
		double to_out = to_sign * e + k * to_angle;

		within[at] += weight * ((fabs(to) <= c ? to_full : to_out) -
					(fabs(from) <= c ? from_full : from_out));
	}
}

/* One atom and the triangle, at all radii. */
static void lane_add(struct chunk *chunk, const struct lanes *l, int i, const struct radii *radii)
{
	/* rounding must not lose an edge that starts or ends at a radius */
	size_t begin = radius_index(radii, l->nearest[i] * (1 - ROUNDING));

	if (l->sign[i] == 0 || begin == radii->count)
		return;
	for (int m = 0; m < 3; m++) {
		double weight = l->sign[i] * l->side[m][i];
		double arc = weight * (l->to_angle[m][i] - l->from_angle[m][i]);
		size_t first = radius_index(radii, l->first[m][i] * (1 - ROUNDING));
		size_t last = radius_index(radii, l->last[m][i] * (1 + ROUNDING));

		/* a whole number of vectors: what is beyond the edge is right as well */
		last = first + (last - first + GRAIN - 1) / GRAIN * GRAIN;
		chunk->constant[begin] += arc;
		chunk->inverse[begin] -= arc * l->h[i];
		chunk->constant[first] -= arc;
		chunk->inverse[first] += arc * l->h[i];
		chunk->constant[last] += weight * (l->to_full[m][i] - l->from_full[m][i]);
		edge_cut(chunk->within, l, m, i, radii, first, last);
	}
}

/* ---- all triangles ------------------------------------------------------------------------- */

/* Atoms within @radius_A of the triangle's centre. */
static size_t gather(struct chunk *chunk, const struct pn_cells *cells, const struct face *face,
		     double radius_A)
{
	size_t n = pn_cells_within(cells, face->center, radius_A, chunk->found, chunk->room);

	if (n <= chunk->room)
		return n;
	free(chunk->found);
	chunk->room = n + n / 2;
	chunk->found = malloc(chunk->room * sizeof *chunk->found);
	chunk->failed = !chunk->found;
	return chunk->failed
		       ? 0
		       : pn_cells_within(cells, face->center, radius_A, chunk->found, chunk->room);
}

static void chunk_run(struct chunk *chunk, const struct pn_atoms *atoms,
		      const double (*position_A)[3], const struct pn_cells *cells,
		      const struct pn_surface *surface, size_t first, size_t last,
		      const struct radii *radii)
{
	double r_max_A = radii->r_A[radii->count - 1];
	struct lanes lanes;
	struct face face;

	for (size_t f = first; f < last && !chunk->failed; f++) {
		if (!face_build(&face, atoms, surface->triangle[f]))
			continue;
		size_t n = gather(chunk, cells, &face, (r_max_A + face.reach) * (1 + 1e-9));

		for (size_t at = 0; at < n; at += LANES) {
			size_t here = at + LANES < n ? LANES : n - at;

			for (size_t i = 0; i < LANES; i++) {
				const double *p = position_A[chunk->found[at + (i < here ? i : 0)]];

				lanes.x[i] = p[0];
				lanes.y[i] = p[1];
				lanes.z[i] = p[2];
			}
			lanes_build(&lanes, &face);
			for (size_t i = 0; i < here; i++)
				lane_add(chunk, &lanes, (int)i, radii);
		}
	}
	free(chunk->found);
}

/* Positions of the atoms that are summed over. */
static size_t choose(double (*position_A)[3], const struct pn_atoms *atoms, uint8_t element)
{
	size_t n = 0;

	for (size_t i = 0; i < atoms->count; i++)
		if (!element || atoms->element[i] == element)
			memcpy(position_A[n++], atoms->position_A[i], sizeof position_A[0]);
	return n;
}

static int check(const double *radius_A, size_t count, const struct pn_atoms *atoms,
		 const struct pn_surface *surface, int threads, struct pn_error *err)
{
	for (size_t k = 0; k < count; k++)
		if (!(radius_A[k] >= (k ? radius_A[k - 1] : 0)) || !isfinite(radius_A[k]))
			return pn_error_set(err, PN_EARG,
					    "shell: radius %zu is %g A; they must be finite, not "
					    "negative and ascending",
					    k, radius_A[k]);
	if (threads < 1)
		return pn_error_set(err, PN_EARG, "shell: %d threads", threads);
	if (surface->triangles < 4)
		return pn_error_set(err, PN_EARG, "shell: a mesh of %zu triangles is not closed",
				    surface->triangles);
	for (size_t f = 0; f < surface->triangles; f++)
		for (int m = 0; m < 3; m++)
			if (surface->triangle[f][m] >= atoms->count)
				return pn_error_set(err, PN_EARG,
						    "shell: triangle %zu has atom %u of %zu", f,
						    surface->triangle[f][m], atoms->count);
	return PN_OK;
}

/* Sums of the chunks in their order: the threads that made them do not matter. */
static void collect(double *area_A2, const struct radii *radii, double whole,
		    const struct chunk *chunk)
{
	double constant = 0, inverse = 0;

	for (size_t k = 0; k < radii->count; k++) {
		double r = radii->r_A[k], within = 0;

		for (size_t c = 0; c < CHUNKS; c++) {
			constant += chunk[c].constant[k];
			inverse += chunk[c].inverse[k];
			within += chunk[c].within[k];
		}
		area_A2[k] =
			fmax(0, r * r * (whole - within - constant - inverse * radii->per_r[k]));
	}
}

/* @room: 2 (count + GRAIN) numbers. Nothing is within a radius of 0, whatever 1/r is said to be. */
static void radii_build(struct radii *radii, double *room, const double *radius_A, size_t count)
{
	double *r = room, *per_r = room + count + GRAIN, last = radius_A[count - 1];
	uint32_t k = 0;

	for (size_t at = 0; at < count + GRAIN; at++) {
		r[at] = at < count ? radius_A[at] : last;
		per_r[at] = r[at] > 0 ? 1 / r[at] : 0;
	}
	radii->r_A = r;
	radii->per_r = per_r;
	radii->count = count;
	radii->per_A = last > 0 ? LOOK_UP / last : 0;
	for (uint32_t i = 0; i <= LOOK_UP; i++) {
		while (k < count && r[k] * radii->per_A < i)
			k++;
		radii->look_up[i] = k;
	}
}

static int run_chunks(double *area_A2, const struct radii *radii, double *sums,
		      const struct pn_atoms *atoms, const double (*position_A)[3],
		      const struct pn_cells *cells, const struct pn_surface *surface, double whole,
		      int threads, struct pn_error *err)
{
	struct chunk chunk[CHUNKS] = { { .room = 0 } };
	size_t faces = surface->triangles, each = radii->count + GRAIN;

#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
	for (size_t c = 0; c < CHUNKS; c++) {
		chunk[c].within = sums + 3 * c * each;
		chunk[c].constant = chunk[c].within + each;
		chunk[c].inverse = chunk[c].constant + each;
		chunk_run(&chunk[c], atoms, position_A, cells, surface, c * faces / CHUNKS,
			  (c + 1) * faces / CHUNKS, radii);
	}
	for (size_t c = 0; c < CHUNKS; c++)
		if (chunk[c].failed)
			return pn_error_set(err, PN_ENOMEM, "no memory for the atoms of a shell");
	collect(area_A2, radii, whole, chunk);
	return PN_OK;
}

int pn_rdf_shell_area(double *area_A2, const double *radius_A, size_t count,
		      const struct pn_atoms *atoms, uint8_t element,
		      const struct pn_surface *surface, int threads, struct pn_error *err)
{
	struct pn_cells cells = { .atoms = 0 };
	struct radii radii;
	double whole = 0;
	int rc = check(radius_A, count, atoms, surface, threads, err);

	if (rc || !count)
		return rc;
	double(*position_A)[3] = malloc((atoms->count + 1) * sizeof *position_A);
	double *sums = calloc((3 * CHUNKS + 2) * (count + GRAIN), sizeof *sums);

	if (!position_A || !sums)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for shells of %zu radii", count);
	if (!rc)
		rc = rdf_solid_angle(&whole, atoms, element, surface, threads, err);
	if (!rc)
		rc = pn_cells_build(&cells, position_A, choose(position_A, atoms, element), CELL_A,
				    err);
	if (!rc) {
		radii_build(&radii, sums + 3 * CHUNKS * (count + GRAIN), radius_A, count);
		rc = run_chunks(area_A2, &radii, sums, atoms, position_A, &cells, surface, whole,
				threads, err);
	}
	pn_cells_free(&cells);
	free(position_A);
	free(sums);
	return rc;
}
