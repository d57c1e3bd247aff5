/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/shells.h"

#include "perrin/atoms/cells.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- by coordination number ----------------------------------------------------------------- */

/*
 * One queue holds all shells one after the other: the atoms of a shell lower the numbers of their
 * neighbours, and those that fall below cn_full by that are the next shell.
 */
static size_t peel_by_cn(int32_t *shell, uint32_t *shells, uint32_t *left, uint32_t *queue,
			 const struct pn_neighbors *n, uint32_t cn_full)
{
	size_t queued = 0, first = 0;
	uint32_t level = 0;

	for (size_t i = 0; i < n->atoms; i++) {
		left[i] = pn_neighbors_count(n, i);
		shell[i] = left[i] < cn_full ? 1 : 0;
		if (shell[i])
			queue[queued++] = (uint32_t)i;
	}
	while (first < queued) {
		size_t end = queued;

		level++;
		for (; first < end; first++) {
			uint32_t i = queue[first];

			for (uint32_t at = n->start[i]; at < n->start[i + 1]; at++) {
				uint32_t j = n->atom[at];

				left[j]--;
				if (shell[j] || left[j] >= cn_full)
					continue;
				shell[j] = (int32_t)level + 1;
				queue[queued++] = j;
			}
		}
	}
	*shells = level;
	return n->atoms - queued;
}

int pn_shells_by_cn(int32_t *shell, uint32_t *shells, size_t *unpeeled,
		    const struct pn_neighbors *neighbors, uint32_t cn_full, struct pn_error *err)
{
	uint32_t *left = malloc((neighbors->atoms + 1) * sizeof *left);
	uint32_t *queue = malloc((neighbors->atoms + 1) * sizeof *queue);

	if (!left || !queue) {
		free(left);
		free(queue);
		return pn_error_set(err, PN_ENOMEM, "no memory to peel %zu atoms",
				    neighbors->atoms);
	}
	size_t rest = peel_by_cn(shell, shells, left, queue, neighbors, cn_full);

	if (rest)
		++*shells;
	for (size_t i = 0; rest && i < neighbors->atoms; i++)
		if (!shell[i])
			shell[i] = (int32_t)*shells;
	if (unpeeled)
		*unpeeled = rest;
	free(left);
	free(queue);
	return PN_OK;
}

/* ---- can a ball touch this atom? ------------------------------------------------------------- */

/*
 * The centres of balls that touch the atom lie on a sphere. A neighbour at distance d in direction
 * e forbids those in directions s with s . e > d / (2 radius), a cap. The caps cover the sphere if
 * and only if every point where two of their rims cross is inside a third cap, and so is a point of
 * every rim that crosses no other.
 */
struct cap {
	double direction[3];
	double cosine; /* d / (2 radius) */
	int crossed;   /* its rim crosses another */
};

struct near {
	double distance2;
	uint32_t atom;
};

/* Of one thread; grows to the largest neighbourhood. */
struct workspace {
	size_t max;
	uint32_t *found;
	struct near *near;
	struct cap *cap;
	int failed; /* no memory */
};

#define WIDEN       1e-6  /* the ball is larger by this, so that exact fits are closed */
#define SAME        1e-7  /* radii: less than WIDEN, so that a ball with them inside is empty */
#define INSIDE      1e-9  /* a point is in a cap if it is by this: much less than WIDEN makes */
#define PARALLEL    1e-12 /* 1 - cos^2 of directions whose rims cannot be told to cross */
#define FIRST_CAPS  12    /* tried alone first: the nearest dozen bury an atom of the bulk */
#define FIRST_REACH 1.3   /* radii within which these are looked for */

enum cover { BARE, COVERED, UNDECIDED };

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/*
 * Whether one of the first @some caps but @i and @j holds the point; if only a later one does, this
 * is undecided. @last is tried first: neighbouring points are mostly in the same cap.
 */
static enum cover point_covered(const struct cap *cap, size_t some, size_t all, const double p[3],
				size_t i, size_t j, size_t *last)
{
	if (*last != i && *last != j && dot(p, cap[*last].direction) > cap[*last].cosine + INSIDE)
		return COVERED;
	for (size_t k = 0; k < all; k++)
		if (dot(p, cap[k].direction) > cap[k].cosine + INSIDE && k != i && k != j) {
			if (k >= some)
				return UNDECIDED;
			*last = k;
			return COVERED;
		}
	return BARE;
}

/* The point where the rims of two caps cross on the side of a x b. Returns 0 if they do not. */
static int crossing(double p[3], const struct cap *a, const struct cap *b)
{
	double g = dot(a->direction, b->direction), det = 1 - g * g;

	if (det < PARALLEL)
		return 0;
	double u = (a->cosine - g * b->cosine) / det, v = (b->cosine - g * a->cosine) / det;
	double height2 = 1 - u * a->cosine - v * b->cosine;

	if (height2 < 0)
		return 0;
	double h = sqrt(height2 / det);

	for (int k = 0; k < 3; k++) {
		int k1 = (k + 1) % 3, k2 = (k + 2) % 3;

		p[k] = u * a->direction[k] + v * b->direction[k] +
		       h * (a->direction[k1] * b->direction[k2] -
			    a->direction[k2] * b->direction[k1]);
	}
	return 1;
}

static void point_of_rim(double p[3], const struct cap *cap)
{
	const double *e = cap->direction;
	int axis = fabs(e[0]) < fabs(e[1]) ? 0 : 1;

	axis = fabs(e[2]) < fabs(e[axis]) ? 2 : axis;
	double length = sqrt(1 - e[axis] * e[axis]), sine = sqrt(1 - cap->cosine * cap->cosine);

	for (int k = 0; k < 3; k++)
		p[k] = cap->cosine * e[k] + sine * ((k == axis) - e[axis] * e[k]) / length;
}

/*
 * Whether the first @some caps cover the sphere; a bare point is one that none of all covers.
 *
 * Of the two points where rims cross only the one on the side of e_i x e_j, i < j, is looked at.
 * Around a bare patch, kept on the same hand, the rims follow each other in some cycle of numbers,
 * which must rise and fall: at each rise the corner is such a point.
 */
static enum cover sphere_covered(struct cap *cap, size_t some, size_t all)
{
	double p[3];
	size_t last = 0;

	for (size_t i = 0; i < some; i++)
		cap[i].crossed = 0;
	for (size_t i = 0; i < some; i++)
		for (size_t j = i + 1; j < some; j++) {
			if (!crossing(p, &cap[i], &cap[j]))
				continue;
			cap[i].crossed = cap[j].crossed = 1;
			enum cover c = point_covered(cap, some, all, p, i, j, &last);

			if (c != COVERED)
				return c;
		}
	for (size_t i = 0; i < some; i++) {
		if (cap[i].crossed)
			continue;
		point_of_rim(p, &cap[i]);
		enum cover c = point_covered(cap, some, all, p, i, i, &last);

		if (c != COVERED)
			return c;
	}
	return COVERED;
}

static int compare_near(const void *a, const void *b)
{
	const struct near *p = a, *q = b;

	if (p->distance2 != q->distance2)
		return p->distance2 < q->distance2 ? -1 : 1;
	return p->atom < q->atom ? -1 : p->atom > q->atom;
}

/* The nearest @wanted come first, in order. */
static void sort_near(struct near *near, size_t count, size_t wanted)
{
	for (size_t a = 1; a < count; a++) {
		struct near key = near[a];
		size_t b = a < wanted ? a : wanted;

		/* one that is too far keeps its place, one that is not pushes the last out there */
		if (b == wanted && compare_near(&near[b - 1], &key) > 0)
			near[a] = near[--b];
		else if (b == wanted)
			continue;
		for (; b > 0 && compare_near(&near[b - 1], &key) > 0; b--)
			near[b] = near[b - 1];
		near[b] = key;
	}
}

struct peeling {
	const struct pn_atoms *atoms;
	struct pn_cells cells;
	double radius_A;
	double reach_max_A;     /* largest of reach_A so far */
	uint8_t *alive;         /* [atoms] */
	uint8_t *marked;        /* [atoms] is in the queue */
	uint8_t *bare;          /* [atoms] the ball touches it */
	double *reach_A;        /* [atoms] the neighbours that bury it are within */
	uint32_t *queue;        /* [atoms] to be looked at */
	uint32_t *peeled;       /* [atoms] of this shell */
	struct workspace *work; /* [threads] */
};

static int grow(struct workspace *w, size_t max)
{
	uint32_t *found = realloc(w->found, max * sizeof *found);

	w->found = found ? found : w->found;
	struct near *near = realloc(w->near, max * sizeof *near);

	w->near = near ? near : w->near;
	struct cap *cap = realloc(w->cap, max * sizeof *cap);

	w->cap = cap ? cap : w->cap;
	int good = found && near && cap;

	w->failed = w->failed || !good; /* for good: an atom was looked at without its neighbours */
	w->max = good ? max : 0;
	return good;
}

/* w->found: all atoms of the model nearer than @reach_A. */
static size_t find(const struct peeling *pl, struct workspace *w, const double p[3], double reach_A)
{
	size_t found = pn_cells_within(&pl->cells, p, reach_A, w->found, w->max);

	if (found > w->max) {
		if (!grow(w, 2 * found))
			return 0;
		found = pn_cells_within(&pl->cells, p, reach_A, w->found, w->max);
	}
	return found;
}

/*
 * Neighbours that are left, in no order. Atoms at the same place forbid nothing; those that only
 * rounding sets apart are at the same place.
 */
static size_t gather(const struct peeling *pl, struct workspace *w, uint32_t i, double reach_A)
{
	const double(*position_A)[3] = pl->atoms->position_A;
	double same2_A2 = SAME * SAME * pl->radius_A * pl->radius_A;
	size_t found = find(pl, w, position_A[i], reach_A), count = 0;

	for (size_t k = 0; k < found; k++) {
		const double *p = position_A[w->found[k]], *q = position_A[i];
		double d[3] = { p[0] - q[0], p[1] - q[1], p[2] - q[2] }, d2 = dot(d, d);

		if (pl->alive[w->found[k]] && d2 > same2_A2)
			w->near[count++] = (struct near){ d2, w->found[k] };
	}
	return count;
}

static void caps_of(const struct peeling *pl, struct workspace *w, uint32_t i, size_t count)
{
	const double(*position_A)[3] = pl->atoms->position_A;

	for (size_t k = 0; k < count; k++) {
		double distance = sqrt(w->near[k].distance2);

		for (int a = 0; a < 3; a++)
			w->cap[k].direction[a] =
				(position_A[w->near[k].atom][a] - position_A[i][a]) / distance;
		w->cap[k].cosine = distance / (2 * pl->radius_A);
	}
}

/* Whether @p, of any length, lies in no cap. */
static int bare_point(const struct peeling *pl, const struct workspace *w, uint32_t i, size_t count,
		      const double p[3])
{
	const double(*position_A)[3] = pl->atoms->position_A;
	double length = sqrt(dot(p, p));

	for (size_t k = 0; k < count; k++) {
		const double *q = position_A[w->near[k].atom], *c = position_A[i];
		double d[3] = { q[0] - c[0], q[1] - c[1], q[2] - c[2] };

		if (dot(p, d) * 2 * pl->radius_A > w->near[k].distance2 * length)
			return 0;
	}
	return length > 0;
}

/*
 * Few caps are enough to say that an atom is buried; only all of them can say that it is not. If
 * anything is bare, the side away from the near neighbours nearly always is.
 */
static void look_at(struct peeling *pl, struct workspace *w, uint32_t i)
{
	size_t all = gather(pl, w, i, FIRST_REACH * pl->radius_A);
	size_t some = all < FIRST_CAPS ? all : FIRST_CAPS;
	enum cover cover = BARE;

	sort_near(w->near, all, FIRST_CAPS);
	caps_of(pl, w, i, some);
	if (some > 3)
		cover = sphere_covered(w->cap, some, some);
	if (cover != COVERED) {
		double away[3] = { 0 };

		for (size_t k = 0; k < some; k++)
			for (int a = 0; a < 3; a++)
				away[a] -= w->cap[k].direction[a];
		all = gather(pl, w, i, 2 * pl->radius_A);
		pl->bare[i] = all == 0 || bare_point(pl, w, i, all, away);
		if (pl->bare[i])
			return;
		qsort(w->near, all, sizeof *w->near, compare_near);
		caps_of(pl, w, i, all);
		for (some = FIRST_CAPS, cover = UNDECIDED; cover == UNDECIDED; some *= 2) {
			some = some < all ? some : all;
			cover = sphere_covered(w->cap, some, all);
			if (cover != UNDECIDED)
				break;
		}
	}
	pl->bare[i] = cover == BARE;
	pl->reach_A[i] = sqrt(w->near[some - 1].distance2);
}

/* Those that the peeled atoms helped to bury are looked at next. */
static size_t uncover(struct peeling *pl, size_t peeled)
{
	const double(*position_A)[3] = pl->atoms->position_A;
	struct workspace *w = &pl->work[0];
	size_t queued = 0;

	for (size_t k = 0; k < peeled; k++) {
		uint32_t i = pl->peeled[k];
		size_t count = find(pl, w, position_A[i], pl->reach_max_A);

		for (size_t f = 0; f < count; f++) {
			uint32_t j = w->found[f];
			double d[3];

			if (!pl->alive[j] || pl->marked[j])
				continue;
			for (int a = 0; a < 3; a++)
				d[a] = position_A[j][a] - position_A[i][a];
			if (dot(d, d) > pl->reach_A[j] * pl->reach_A[j] * (1 + 1e-12))
				continue;
			pl->marked[j] = 1;
			pl->queue[queued++] = j;
		}
	}
	return queued;
}

/* Takes those off that the ball touches, of the ones in the queue. */
static size_t take_off(struct peeling *pl, int32_t *shell, size_t queued, uint32_t level)
{
	size_t peeled = 0;

	for (size_t q = 0; q < queued; q++) {
		uint32_t i = pl->queue[q];

		pl->marked[i] = 0;
		if (!pl->bare[i]) {
			/* a little more than the farthest: those at the edge are to be found */
			pl->reach_max_A = fmax(pl->reach_max_A, pl->reach_A[i] * (1 + 1e-9));
			continue;
		}
		pl->alive[i] = 0;
		shell[i] = (int32_t)level;
		pl->peeled[peeled++] = i;
	}
	return peeled;
}

static int peel_by_probe(struct peeling *pl, int32_t *shell, uint32_t *shells, int threads)
{
	size_t queued = pl->atoms->count, left = queued;
	int good = 1;

	*shells = 0;
	/* in the order of the cells, so that what one atom has read is still near for the next */
	for (size_t i = 0; i < queued; i++)
		pl->queue[i] = pl->cells.atom[i];
	while (left && good) {
		++*shells;
#pragma omp parallel for num_threads(threads) schedule(static)
		for (size_t q = 0; q < queued; q++)
			look_at(pl, &pl->work[omp_get_thread_num()], pl->queue[q]);
		size_t peeled = take_off(pl, shell, queued, *shells);

		/* the outermost atom is always bare: if rounding hid that, the rest is one shell */
		for (size_t i = 0; !peeled && i < pl->atoms->count; i++)
			if (pl->alive[i])
				shell[i] = (int32_t)*shells;
		left = peeled ? left - peeled : 0;
		queued = uncover(pl, peeled);
		for (int t = 0; t < threads; t++)
			good = good && !pl->work[t].failed;
	}
	return good;
}

static int allocate(struct peeling *pl, int threads)
{
	size_t n = pl->atoms->count;
	int good = 1;

	pl->alive = malloc(n + 1);
	pl->marked = calloc(n + 1, 1);
	pl->bare = calloc(n + 1, 1);
	pl->reach_A = malloc((n + 1) * sizeof *pl->reach_A);
	pl->queue = malloc((n + 1) * sizeof *pl->queue);
	pl->peeled = malloc((n + 1) * sizeof *pl->peeled);
	pl->work = calloc((size_t)threads, sizeof *pl->work);
	if (!pl->alive || !pl->marked || !pl->bare || !pl->reach_A || !pl->queue || !pl->peeled ||
	    !pl->work)
		return 0;
	for (int t = 0; t < threads; t++)
		good = grow(&pl->work[t], 64) && good;
	memset(pl->alive, 1, n);
	return good;
}

static void release(struct peeling *pl, int threads)
{
	for (int t = 0; pl->work && t < threads; t++) {
		free(pl->work[t].found);
		free(pl->work[t].near);
		free(pl->work[t].cap);
	}
	free(pl->work);
	free(pl->alive);
	free(pl->marked);
	free(pl->bare);
	free(pl->reach_A);
	free(pl->queue);
	free(pl->peeled);
	pn_cells_free(&pl->cells);
}

int pn_shells_by_probe(int32_t *shell, uint32_t *shells, const struct pn_atoms *atoms,
		       double radius_A, int threads, struct pn_error *err)
{
	struct peeling pl = { .atoms = atoms, .radius_A = radius_A * (1 + WIDEN) };

	if (!(radius_A > 0) || !isfinite(radius_A))
		return pn_error_set(err, PN_EARG, "peeling: probe radius %g A, must be above 0",
				    radius_A);
	if (threads < 1)
		return pn_error_set(err, PN_EARG, "peeling: %d threads", threads);
	int rc = pn_cells_build(&pl.cells, atoms->position_A, atoms->count,
				FIRST_REACH * pl.radius_A, err);

	if (rc)
		return rc;
	if (!allocate(&pl, threads) || !peel_by_probe(&pl, shell, shells, threads))
		rc = pn_error_set(err, PN_ENOMEM, "no memory to peel %zu atoms", atoms->count);
	release(&pl, threads);
	return rc;
}
