/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The alpha shape without a Delaunay triangulation.
 *
 * A triangle with a circumradius r < R has two balls of radius R through its corners, with centres
 * at heights +H and -H above its plane, H^2 = R^2 - r^2. It is on the surface if exactly one of the
 * two is empty, and outside is where that ball is. This is the boundary of the filled tetrahedra:
 * let the balls through the corners that no atom above the plane enters be those with centres not
 * higher than h+, and for atoms below not lower than h-. The triangle is a Delaunay face if h- <=
 * h+, and h+ and h- are then the heights of the circumcentres of the two tetrahedra at it, which
 * are filled if |h+| <= H and |h-| <= H. The upper ball is empty if h- <= H <= h+, the lower one if
 * h- <= -H <= h+. Only the upper one: h+ > H and -H < h- <= H, so the tetrahedron above is open and
 * that below is filled. The other way round: if the one above is open and the one below filled,
 * |h-| <= H, then h+ < -H would be below h-, so h+ > H: just the upper ball is empty. If both balls
 * are empty, neither tetrahedron is filled, and the triangle is no surface of anything.
 *
 * With weights w, as here to break ties, the ball around c with radius R goes through atom i if
 * |c - p_i|^2 = R^2 + w_i and has k inside if |c - p_k|^2 < R^2 + w_k: the same holds with heights
 * of power centres and the regular triangulation in the place of the Delaunay one. Four atoms of a
 * plane on one circle get a power centre at a height of (weights) / (rounding), which is far out:
 * that is how flat tetrahedra stay open.
 *
 * The centres of balls through i and j lie on a circle. Every third atom k forbids an arc of it.
 * What is left are gaps, and the ends of gaps are the centres of empty balls through i, j and the k
 * that makes the end.
 */
#include "surface_internal.h"

#include "perrin/atoms/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1024, BUCKETS = 32, NEAREST = 16 };

/* An atom k as seen from i: 2 c.g > power means that the ball around c (from i) has k inside. */
struct near {
	double g[3];  /* position less that of i */
	double power; /* |g|^2 + w_i - w_k */
	uint32_t atom;
};

/* Centres of the balls through i and j: f b + cos(angle) x + sin(angle) y, seen from i. */
struct circle {
	double b[3], x[3], y[3], f;
};

/* Free part lo < angle < hi of a circle, and the atoms that forbid what is before and after. */
struct gap {
	double lo, hi;
	uint32_t before, after;
};

/* Work space of a thread for one atom. */
struct scratch {
	const struct pn_cells *cells;
	const double *weight_A2;
	double radius2_A2;
	size_t room, near_count, gap_count;
	int untouched; /* the whole circle is one gap without ends */
	struct near *found, *near;
	struct gap *gap;
};

static void scratch_free(struct scratch *s)
{
	free(s->found);
	free(s->near);
	free(s->gap);
	s->found = s->near = NULL;
	s->gap = NULL;
	s->room = 0;
}

static int scratch_reserve(struct scratch *s, size_t count)
{
	if (count <= s->room)
		return 1;
	scratch_free(s);
	s->room = 2 * count;
	s->found = malloc(s->room * sizeof *s->found);
	s->near = malloc(s->room * sizeof *s->near);
	s->gap = malloc((s->room + 2) * sizeof *s->gap);
	return s->found && s->near && s->gap;
}

/* Put those found in order of distance, as far as buckets of equal volume tell. */
static void sort_near(struct scratch *s, size_t count, double cutoff_A)
{
	size_t start[BUCKETS + 1] = { 0 };
	double scale = BUCKETS / (cutoff_A * cutoff_A * cutoff_A);
	uint8_t *bucket = (uint8_t *)s->gap; /* free until the circles begin */

	for (size_t n = 0; n < count; n++) {
		const double *g = s->found[n].g;
		double d2 = g[0] * g[0] + g[1] * g[1] + g[2] * g[2];
		int c = (int)(scale * d2 * sqrt(d2));

		bucket[n] = (uint8_t)(c < BUCKETS ? c : BUCKETS - 1);
		start[bucket[n] + 1]++;
	}
	for (int c = 0; c < BUCKETS; c++)
		start[c + 1] += start[c];
	for (size_t n = 0; n < count; n++)
		s->near[start[bucket[n]]++] = s->found[n];
	s->near_count = count;
}

/* The entries of the cells of one row of the grid, z and y, that a ball may touch. */
static size_t row_of(const struct pn_cells *cells, size_t z, size_t y, const size_t first[3],
		     const size_t last[3], size_t *end)
{
	size_t row = (z * cells->shape[1] + y) * cells->shape[2];

	*end = cells->start[row + last[2] + 1];
	return cells->start[row + first[2]];
}

/* All atoms nearer than the cut-off to the one in @slot. Returns 0 without memory. */
static int look_around(struct scratch *s, size_t slot, double cutoff_A)
{
	const struct pn_cells *cells = s->cells;
	const double *p = cells->position_A[slot];
	double own_A2 = s->weight_A2[cells->atom[slot]], cutoff2_A2 = cutoff_A * cutoff_A;
	size_t first[3], last[3], count = 0, most = 1, end;

	s->near_count = 0;
	if (!pn_cells_range(cells, p, cutoff_A, first, last))
		return 1;
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++) {
			size_t begin = row_of(cells, z, y, first, last, &end);

			most += end - begin;
		}
	if (!scratch_reserve(s, most))
		return 0;
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++)
			for (size_t q = row_of(cells, z, y, first, last, &end); q < end; q++) {
				const double *r = cells->position_A[q];
				double a = r[0] - p[0], b = r[1] - p[1], c = r[2] - p[2];
				double d2 = a * a + b * b + c * c;

				/* always written, but kept only if it is near: no branch */
				s->found[count] = (struct near){ { a, b, c }, d2, cells->atom[q] };
				count += d2 < cutoff2_A2 && q != slot;
			}
	for (size_t n = 0; n < count; n++)
		s->found[n].power += own_A2 - s->weight_A2[s->found[n].atom];
	sort_near(s, count, cutoff_A);
	return 1;
}

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* The circle of @j around an atom with the weight @own_A2. Returns 0 if there is none. */
static int circle_make(struct circle *circle, const struct near *j, double radius2_A2,
		       double own_A2)
{
	const double *b = j->g;
	double d2 = dot(b, b), f = j->power / (2 * d2), rho2 = radius2_A2 + own_A2 - f * f * d2;

	if (!(d2 > 0 && rho2 > 0))
		return 0;
	/* x is the cross product of b and the axis it is least along; y that of b and x */
	int k = fabs(b[0]) < fabs(b[1]) ? 0 : 1;

	if (fabs(b[2]) < fabs(b[k]))
		k = 2;
	int m = (k + 1) % 3, n = (k + 2) % 3;
	double scale = sqrt(rho2 / (b[m] * b[m] + b[n] * b[n])), turn = 1 / sqrt(d2);
	double *x = circle->x, *y = circle->y;

	x[k] = 0;
	x[m] = b[n] * scale;
	x[n] = -b[m] * scale;
	y[0] = (b[1] * x[2] - b[2] * x[1]) * turn;
	y[1] = (b[2] * x[0] - b[0] * x[2]) * turn;
	y[2] = (b[0] * x[1] - b[1] * x[0]) * turn;
	memcpy(circle->b, b, sizeof circle->b);
	circle->f = f;
	return 1;
}

/* Grows with the direction of (x, y) from 0 to 4 over a full turn; cheaper than an angle. */
static double direction(double x, double y)
{
	double s = fabs(x) + fabs(y), q = y / s, a = x >= 0 ? q : 2 - q;

	return a < 0 ? a + 4 : a;
}

/* Take the arc lo .. hi, which @k forbids, out of the gaps. */
static void forbid(struct scratch *s, double lo, double hi, uint32_t k)
{
	if (s->untouched) {
		double wrap = hi >= 4 ? 4 : 0;

		s->gap[0] = (struct gap){ hi - wrap, lo + 4 - wrap, k, k };
		s->gap_count = 1;
		s->untouched = 0;
		return;
	}
	for (double turn = -4; turn <= 4; turn += 4) {
		double a = lo + turn, b = hi + turn;

		for (size_t n = 0; n < s->gap_count; n++) {
			struct gap *gap = &s->gap[n];

			if (a >= gap->hi || b <= gap->lo)
				continue;
			if (a <= gap->lo && b >= gap->hi) {
				*gap = s->gap[--s->gap_count];
				n--;
			} else if (a <= gap->lo) {
				gap->lo = b;
				gap->before = k;
			} else if (b >= gap->hi) {
				gap->hi = a;
				gap->after = k;
			} else {
				s->gap[s->gap_count++] = (struct gap){ b, gap->hi, k, gap->after };
				gap->hi = a;
				gap->after = k;
			}
		}
	}
}

/* Take what one atom forbids out of the gaps. */
static inline void forbid_by(struct scratch *s, const struct circle *circle, const struct near *k,
			     double along)
{
	double x = dot(circle->x, k->g), y = dot(circle->y, k->g);
	double u = k->power / 2 - circle->f * along, v2 = x * x + y * y - u * u;

	if (v2 <= 0) {
		/* k is inside all of the balls, or none */
		if (u < 0)
			s->gap_count = 0;
		return;
	}
	double v = sqrt(v2);
	double lo = direction(x * u + y * v, y * u - x * v);
	double hi = direction(x * u - y * v, y * u + x * v);

	forbid(s, lo, hi < lo ? hi + 4 : hi, k->atom);
}

/*
 * What the first @count atoms around leave of the circle of near[j]; stops when nothing is left.
 * Atoms in the direction of j forbid most and come first.
 */
static void find_gaps(struct scratch *s, const struct circle *circle, size_t j, size_t count)
{
	double ahead = 0.25 * dot(circle->b, circle->b);

	s->untouched = 1;
	s->gap_count = 1;
	for (int rest = 0; rest < 2; rest++)
		for (size_t n = 0; n < count && s->gap_count; n++) {
			double along = dot(circle->b, s->near[n].g);

			if ((along > ahead) != rest && n != j)
				forbid_by(s, circle, &s->near[n], along);
		}
}

/*
 * Whether no empty ball touches the atom. Each neighbour forbids a cap of the sphere of centres
 * around the atom, and the circles above are the rims of the caps. If no rim of some of the caps
 * has a free point, their union has no rim, so it is the whole sphere: a few near neighbours are
 * enough to prove an atom buried.
 */
static int is_buried(struct scratch *s, double own_A2)
{
	size_t count = s->near_count < NEAREST ? s->near_count : NEAREST;
	struct circle circle;
	int rims = 0;

	for (size_t j = 0; j < count; j++) {
		if (!circle_make(&circle, &s->near[j], s->radius2_A2, own_A2)) {
			/* an atom at the same place may take all of the sphere */
			if (s->near[j].power < 0)
				return 1;
			continue;
		}
		find_gaps(s, &circle, j, count);
		if (s->gap_count)
			return 0;
		rims = 1;
	}
	return rims;
}

/*
 * Triangles of the pair (i, near[j]) from the ends of the gaps, those whose third atom has the
 * highest number. A ball at the end of an arc (where a gap begins) is on the side of (i, j, k)
 * seen anticlockwise, at its start on the other; if both are free, the triangle is no surface.
 */
static int collect(const struct scratch *s, uint32_t i, uint32_t j, struct pn_triangles *list)
{
	for (size_t n = 0; n < s->gap_count; n++) {
		uint32_t before = s->gap[n].before, after = s->gap[n].after;
		int lone_before = before > j, lone_after = after > j;

		for (size_t m = 0; m < s->gap_count; m++) {
			lone_before &= s->gap[m].after != before;
			lone_after &= s->gap[m].before != after;
		}
		if (lone_before && !pn_triangles_add(list, i, j, before))
			return 0;
		if (lone_after && !pn_triangles_add(list, i, after, j))
			return 0;
	}
	return 1;
}

/* All surface triangles whose lowest atom is in @slot. */
static int roll_around(struct scratch *s, size_t slot, const uint8_t *buried, double cutoff_A,
		       struct pn_triangles *list)
{
	uint32_t i = s->cells->atom[slot];
	struct circle circle;

	if (!look_around(s, slot, cutoff_A))
		return 0;
	for (size_t n = 0; n < s->near_count; n++) {
		uint32_t j = s->near[n].atom;

		if (j < i || buried[j] ||
		    !circle_make(&circle, &s->near[n], s->radius2_A2, s->weight_A2[i]))
			continue;
		find_gaps(s, &circle, n, s->near_count);
		if (!s->untouched && !collect(s, i, j, list))
			return 0;
	}
	return 1;
}

/* One attempt: the triangles of all blocks of atoms, one after the other. 0 without memory. */
static int roll(struct pn_triangles *list, const struct scratch *start, double radius_A,
		struct pn_triangles *part, uint8_t *buried, int threads)
{
	size_t count = start->cells->atoms, blocks = (count + BLOCK - 1) / BLOCK;
	double near_A = 1.3 * radius_A, all_A = 2 * radius_A * (1 + 1e-7);
	int good = 1;

#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : good)
	for (size_t b = 0; b < blocks; b++) {
		struct scratch s = *start;
		size_t end = (b + 1) * BLOCK < count ? (b + 1) * BLOCK : count;

		for (size_t slot = b * BLOCK; good && slot < end; slot++) {
			uint32_t i = s.cells->atom[slot];

			good = look_around(&s, slot, near_A);
			buried[i] = good && is_buried(&s, s.weight_A2[i]);
		}
		scratch_free(&s);
	}
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : good)
	for (size_t b = 0; b < blocks; b++) {
		struct scratch s = *start;
		size_t end = (b + 1) * BLOCK < count ? (b + 1) * BLOCK : count;

		for (size_t slot = b * BLOCK; good && slot < end; slot++)
			if (!buried[s.cells->atom[slot]])
				good = roll_around(&s, slot, buried, all_A, &part[b]);
		scratch_free(&s);
	}
	for (size_t b = 0; b < blocks; b++) {
		for (size_t t = 0; good && t < part[b].count; t++) {
			const uint32_t *c = part[b].corner[t];

			good = pn_triangles_add(list, c[0], c[1], c[2]);
		}
		part[b].count = 0;
	}
	return good;
}

static int build(struct pn_surface *surface, const struct pn_atoms *atoms, int threads,
		 const struct pn_cells *cells, struct pn_error *err)
{
	size_t blocks = (atoms->count + BLOCK - 1) / BLOCK;
	struct pn_triangles list = { 0 }, *part = calloc(blocks, sizeof *part);
	double *weight_A2 = malloc(atoms->count * sizeof *weight_A2);
	double radius_A = pn_surface_decision_radius_A(surface);
	uint8_t *buried = malloc(atoms->count);
	struct scratch start = { cells, weight_A2, radius_A * radius_A };
	int rc = part && weight_A2 && buried ? PN_EAGAIN : PN_ENOMEM;

	for (int n = 0; rc == PN_EAGAIN && n < PN_SURFACE_ATTEMPTS; n++) {
		pn_surface_weights(surface, weight_A2, n);
		if (roll(&list, &start, radius_A, part, buried, threads))
			rc = pn_surface_finish(surface, atoms, &list, err);
		else
			rc = PN_ENOMEM;
	}
	for (size_t b = 0; part && b < blocks; b++)
		free(part[b].corner);
	free(list.corner);
	free(part);
	free(weight_A2);
	free(buried);
	if (rc == PN_EAGAIN)
		return pn_surface_open(surface, err);
	if (rc == PN_ENOMEM)
		return pn_error_set(err, rc, "surface: no memory for %zu atoms", atoms->count);
	return rc;
}

int pn_surface_build(struct pn_surface *surface, const struct pn_atoms *atoms, double radius_A,
		     int threads, struct pn_error *err)
{
	struct pn_cells cells = { 0 };
	int rc = pn_surface_start(surface, atoms, radius_A, err);

	if (rc)
		return rc;
	if (threads < 1)
		return pn_error_set(err, PN_EARG, "surface: %d threads", threads);
	if (atoms->count < 4)
		return PN_OK;
	rc = pn_cells_build(&cells, atoms->position_A, atoms->count, radius_A, err);
	if (!rc)
		rc = build(surface, atoms, threads, &cells, err);
	pn_cells_free(&cells);
	return rc;
}
