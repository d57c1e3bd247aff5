/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/etch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_ETCH 0x65740001

/*
 * Atoms are numbered as they were at creation. `order` holds the atoms still present from `head`
 * on, sorted by coordination: those of coordination c fill order[start[c] .. start[c+1]-1].
 * Dropping a coordination by one is then one swap with the first of its bucket, and a draw among
 * the lowest is one index (as in the k-core algorithm of Batagelj and Zaversnik, 2003).
 */
struct pn_etch {
	size_t count;    /* atoms at creation                                 */
	size_t *bond;    /* [count+1] first neighbour of each atom in `other` */
	uint32_t *other; /* neighbours                                        */
	uint32_t *order; /* [count]                                           */
	uint32_t *place; /* [count] where in order an atom is                 */
	uint32_t *cn;    /* [count] coordination now                          */
	size_t *start;   /* [cn_max+2]                                        */
	uint32_t *index; /* [count-removed] atom behind each specimen entry   */
	uint8_t *gone;   /* [count]                                           */
	uint32_t cn_max;
	size_t head; /* = atoms removed                                   */
	double rate_per_s, time_s, time_rest_s;
	struct pn_rng rng;
};

/* Atoms sorted into cubic cells, for finding neighbours. */
struct cells {
	double edge_A, origin_A[3];
	size_t n[3];
	size_t *first;  /* [n2 n1 n0 + 1] */
	uint32_t *atom; /* [count]        */
	size_t *cell;   /* [count]        */
};

static size_t cell_coordinate(const struct cells *c, const double position_A[3], int axis)
{
	size_t i = (size_t)((position_A[axis] - c->origin_A[axis]) / c->edge_A);

	return i < c->n[axis] ? i : c->n[axis] - 1;
}

static void cells_finish(struct cells *c)
{
	free(c->first);
	free(c->atom);
	free(c->cell);
}

/* Cells are no smaller than the cutoff and not many more than the atoms. */
static void cells_shape(struct cells *c, const struct pn_specimen *spec, double cutoff_A)
{
	double span[3], volume = 1;

	for (int k = 0; k < 3; k++) {
		double min = INFINITY, max = -INFINITY;

		for (size_t i = 0; i < spec->count; i++) {
			min = fmin(min, spec->position_A[i][k]);
			max = fmax(max, spec->position_A[i][k]);
		}
		c->origin_A[k] = min;
		span[k] = spec->count ? max - min : 0;
		volume *= span[k] + cutoff_A;
	}
	c->edge_A = fmax(cutoff_A, cbrt(volume / ((double)spec->count + 1)));
	for (int k = 0; k < 3; k++)
		c->n[k] = (size_t)(span[k] / c->edge_A) + 1;
}

static int cells_init(struct cells *c, const struct pn_specimen *spec, double cutoff_A)
{
	memset(c, 0, sizeof *c);
	cells_shape(c, spec, cutoff_A);
	size_t total = c->n[0] * c->n[1] * c->n[2];

	c->first = calloc(total + 2, sizeof *c->first);
	c->atom = malloc((spec->count + 1) * sizeof *c->atom);
	c->cell = malloc((spec->count + 1) * sizeof *c->cell);
	if (!c->first || !c->atom || !c->cell)
		return PN_ENOMEM;
	for (size_t i = 0; i < spec->count; i++) {
		const double *p = spec->position_A[i];

		c->cell[i] =
			(cell_coordinate(c, p, 2) * c->n[1] + cell_coordinate(c, p, 1)) * c->n[0] +
			cell_coordinate(c, p, 0);
		c->first[c->cell[i] + 2]++;
	}
	for (size_t k = 2; k < total + 2; k++)
		c->first[k] += c->first[k - 1];
	for (size_t i = 0; i < spec->count; i++) /* first[k+1] runs up to where cell k ends */
		c->atom[c->first[c->cell[i] + 1]++] = (uint32_t)i;
	return PN_OK;
}

static size_t near_in_cell(const struct cells *c, const struct pn_specimen *spec, size_t i,
			   size_t cell, double cutoff2, uint32_t *out)
{
	const double *p = spec->position_A[i];
	size_t found = 0;

	for (size_t k = c->first[cell]; k < c->first[cell + 1]; k++) {
		uint32_t j = c->atom[k];
		const double *q = spec->position_A[j];
		double dx = p[0] - q[0], dy = p[1] - q[1], dz = p[2] - q[2];

		if (j == i || dx * dx + dy * dy + dz * dz >= cutoff2)
			continue;
		if (out)
			out[found] = j;
		found++;
	}
	return found;
}

/* Neighbours of atom i; @out NULL: count only. */
static size_t neighbours_of(const struct cells *c, const struct pn_specimen *spec, size_t i,
			    double cutoff2, uint32_t *out)
{
	size_t low[3], high[3], found = 0;

	for (int k = 0; k < 3; k++) {
		size_t at = cell_coordinate(c, spec->position_A[i], k);

		low[k] = at ? at - 1 : 0;
		high[k] = at + 1 < c->n[k] ? at + 1 : at;
	}
	for (size_t z = low[2]; z <= high[2]; z++)
		for (size_t y = low[1]; y <= high[1]; y++)
			for (size_t x = low[0]; x <= high[0]; x++)
				found += near_in_cell(c, spec, i, (z * c->n[1] + y) * c->n[0] + x,
						      cutoff2, out ? out + found : NULL);
	return found;
}

static int find_bonds(struct pn_etch *e, const struct pn_specimen *spec, double cutoff_A)
{
	struct cells cells;
	double cutoff2 = cutoff_A * cutoff_A;
	int rc = cells_init(&cells, spec, cutoff_A);

	if (rc)
		goto out;
	e->bond[0] = 0;
	for (size_t i = 0; i < e->count; i++) {
		size_t n = neighbours_of(&cells, spec, i, cutoff2, NULL);

		e->cn[i] = (uint32_t)n;
		e->bond[i + 1] = e->bond[i] + n;
		if (n > e->cn_max)
			e->cn_max = (uint32_t)n;
	}
	e->other = malloc((e->bond[e->count] + 1) * sizeof *e->other);
	if (!e->other) {
		rc = PN_ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < e->count; i++)
		neighbours_of(&cells, spec, i, cutoff2, e->other + e->bond[i]);
out:
	cells_finish(&cells);
	return rc;
}

static int sort_by_coordination(struct pn_etch *e)
{
	size_t *next = calloc(e->cn_max + 2, sizeof *next);

	e->start = calloc(e->cn_max + 2, sizeof *e->start);
	if (!next || !e->start) {
		free(next);
		return PN_ENOMEM;
	}
	for (size_t i = 0; i < e->count; i++)
		e->start[e->cn[i] + 1]++;
	for (size_t c = 1; c <= e->cn_max + 1; c++)
		e->start[c] += e->start[c - 1];
	memcpy(next, e->start, (e->cn_max + 2) * sizeof *next);
	for (size_t i = 0; i < e->count; i++) {
		e->place[i] = (uint32_t)next[e->cn[i]]++;
		e->order[e->place[i]] = (uint32_t)i;
		e->index[i] = (uint32_t)i;
	}
	free(next);
	return PN_OK;
}

int pn_etch_create(struct pn_etch **etch, const struct pn_specimen *spec, double cutoff_A,
		   double rate_per_s, uint64_t seed, struct pn_error *err)
{
	*etch = NULL;
	if (!(cutoff_A >= 0 && cutoff_A < INFINITY) || !(rate_per_s >= 0 && rate_per_s < INFINITY))
		return pn_error_set(err, PN_EARG, "etch: cutoff %g A, rate %g/s: must be >= 0",
				    cutoff_A, rate_per_s);
	if (spec->count > INT32_MAX)
		return pn_error_set(err, PN_EARG, "etch: %zu atoms, at most 2147483647",
				    spec->count);
	if (cutoff_A == 0)
		cutoff_A = 0.85 * spec->lattice_A;
	if (!(cutoff_A > 0))
		return pn_error_set(err, PN_EARG,
				    "etch: lattice constant %g A, and no cutoff given",
				    spec->lattice_A);
	struct pn_etch *e = calloc(1, sizeof *e);
	size_t room = spec->count + 1;

	if (!e)
		goto fail;
	e->count = spec->count;
	e->rate_per_s = rate_per_s;
	pn_rng_init(&e->rng, seed, STREAM_ETCH);
	e->bond = malloc(room * sizeof *e->bond);
	e->order = malloc(room * sizeof *e->order);
	e->place = malloc(room * sizeof *e->place);
	e->cn = malloc(room * sizeof *e->cn);
	e->index = malloc(room * sizeof *e->index);
	e->gone = calloc(room, sizeof *e->gone);
	if (!e->bond || !e->order || !e->place || !e->cn || !e->index || !e->gone)
		goto fail;
	if (find_bonds(e, spec, cutoff_A) || sort_by_coordination(e))
		goto fail;
	*etch = e;
	return PN_OK;
fail:
	pn_etch_destroy(e);
	return pn_error_set(err, PN_ENOMEM, "etch: no memory for %zu atoms", spec->count);
}

void pn_etch_destroy(struct pn_etch *e)
{
	if (!e)
		return;
	free(e->bond);
	free(e->other);
	free(e->order);
	free(e->place);
	free(e->cn);
	free(e->start);
	free(e->index);
	free(e->gone);
	free(e);
}

static void swap_places(struct pn_etch *e, size_t a, size_t b)
{
	uint32_t i = e->order[a], j = e->order[b];

	e->order[a] = j;
	e->order[b] = i;
	e->place[j] = (uint32_t)a;
	e->place[i] = (uint32_t)b;
}

static void remove_one(struct pn_etch *e)
{
	uint32_t low = e->cn[e->order[e->head]];
	size_t ties = e->start[low + 1] - e->head;
	uint32_t atom = e->order[e->head + pn_rng_below(&e->rng, (uint32_t)ties)];

	swap_places(e, e->place[atom], e->head++);
	e->gone[atom] = 1;
	for (uint32_t c = 0; c <= low; c++) /* the empty buckets below end where the atoms begin */
		e->start[c] = e->head;
	for (size_t k = e->bond[atom]; k < e->bond[atom + 1]; k++) {
		uint32_t j = e->other[k];

		if (e->gone[j])
			continue;
		swap_places(e, e->place[j], e->start[e->cn[j]]);
		e->start[e->cn[j]]++;
		e->cn[j]--;
	}
}

static void close_up(struct pn_etch *e, struct pn_specimen *spec)
{
	size_t kept = 0;

	for (size_t i = 0; i < spec->count; i++) {
		uint32_t atom = e->index[i];

		if (e->gone[atom])
			continue;
		memmove(spec->position_A[kept], spec->position_A[i], sizeof *spec->position_A);
		spec->atomic_number[kept] = spec->atomic_number[i];
		spec->id[kept] = spec->id[i];
		e->index[kept++] = atom;
	}
	spec->count = kept;
}

int pn_etch_advance(struct pn_etch *e, struct pn_specimen *spec, double dt_s)
{
	pn_assert(dt_s >= 0);
	pn_assert(spec->count == e->count - e->head);
	/* Compensated sum: a million short steps are as long as one long one. */
	double step = dt_s - e->time_rest_s, time = e->time_s + step;

	e->time_rest_s = (time - e->time_s) - step;
	e->time_s = time;
	double due = floor(e->rate_per_s * e->time_s + 1e-6);
	size_t goal = due < (double)e->count ? (size_t)due : e->count, before = e->head;

	while (e->head < goal)
		remove_one(e);
	if (e->head > before)
		close_up(e, spec);
	return (int)(e->head - before);
}

uint64_t pn_etch_removed_count(const struct pn_etch *e)
{
	return e->head;
}
