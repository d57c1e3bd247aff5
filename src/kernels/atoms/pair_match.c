/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pair_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void all_alone(uint32_t *after_of, uint32_t *before_of, const struct pn_pair_candidates *c)
{
	/* every byte of PN_PAIR_NONE is 255 */
	memset(after_of, 255, c->before * sizeof *after_of);
	memset(before_of, 255, c->after * sizeof *before_of);
}

/* ---- nearest ------------------------------------------------------------------------------- */

struct edge {
	double distance2;
	uint32_t before, after;
};

static int compare_edges(const void *va, const void *vb)
{
	const struct edge *a = va, *b = vb;

	if (a->distance2 != b->distance2)
		return a->distance2 < b->distance2 ? -1 : 1;
	if (a->before != b->before)
		return a->before < b->before ? -1 : 1;
	return a->after < b->after ? -1 : a->after > b->after;
}

/* From the shortest on: the shortest pair that is left is always of mutual nearest atoms. */
int pn_pair_match_nearest(uint32_t *after_of, uint32_t *before_of,
			  const struct pn_pair_candidates *c, struct pn_error *err)
{
	size_t count = c->start[c->before];
	struct edge *edge = malloc((count + 1) * sizeof *edge);

	all_alone(after_of, before_of, c);
	if (!edge)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu candidates of pairs", count);
	for (size_t i = 0; i < c->before; i++)
		for (uint32_t at = c->start[i]; at < c->start[i + 1]; at++)
			edge[at] = (struct edge){ c->distance2[at], (uint32_t)i, c->partner[at] };
	qsort(edge, count, sizeof *edge, compare_edges);
	for (size_t e = 0; e < count; e++) {
		uint32_t i = edge[e].before, j = edge[e].after;

		if (after_of[i] != PN_PAIR_NONE || before_of[j] != PN_PAIR_NONE)
			continue;
		after_of[i] = j;
		before_of[j] = i;
	}
	free(edge);
	return PN_OK;
}

/* ---- assignment ---------------------------------------------------------------------------- */

/*
 * Atoms of the first model are added one by one. Each looks for the cheapest way to be paired or to
 * stay alone, where others on the way may change their partners or become alone: a shortest path
 * over lengths that the prices keep from being negative. A search ends as soon as the way out is
 * known, so it sees only atoms that compete, and the sum of its result is the least for the atoms
 * added so far.
 */
struct node {
	double length;
	uint32_t after;
};

struct search {
	const struct pn_pair_candidates *c;
	uint32_t *after_of, *before_of;
	double *price;     /* [after] <= 0; 0 = free */
	double *length;    /* [after] of the shortest way known */
	uint32_t *from;    /* [after] the atom before it on that way */
	uint32_t *seen;    /* [after] number of the search that reached it */
	uint32_t *done;    /* [after] number of the search that settled it */
	double *cost;      /* [before] distance2 to its partner */
	uint32_t *settled; /* [after] list of those */
	size_t settled_count;
	struct node *heap; /* [candidates] */
	size_t heap_count;
	uint32_t number;    /* of the search, from 1 */
	double alone;       /* length of the best way that leaves somebody alone */
	uint32_t alone_who; /* ... and whom */
};

static int before_in_heap(struct node a, struct node b)
{
	return a.length < b.length || (a.length == b.length && a.after < b.after);
}

static void push(struct search *s, struct node node)
{
	size_t at = s->heap_count++;

	for (; at > 0 && before_in_heap(node, s->heap[(at - 1) / 2]); at = (at - 1) / 2)
		s->heap[at] = s->heap[(at - 1) / 2];
	s->heap[at] = node;
}

static struct node pop(struct search *s)
{
	struct node first = s->heap[0], last = s->heap[--s->heap_count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= s->heap_count)
			break;
		if (child + 1 < s->heap_count && before_in_heap(s->heap[child + 1], s->heap[child]))
			child++;
		if (!before_in_heap(s->heap[child], last))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
	return first;
}

/* Ways that go on from atom i of the first model, which is reached at @base less its own cost. */
static void relax(struct search *s, uint32_t i, double base)
{
	const struct pn_pair_candidates *c = s->c;

	if (base + c->limit2 < s->alone) {
		s->alone = base + c->limit2;
		s->alone_who = i;
	}
	for (uint32_t at = c->start[i]; at < c->start[i + 1]; at++) {
		uint32_t j = c->partner[at];
		double length = base + c->distance2[at] - s->price[j];

		if (s->done[j] == s->number ||
		    (s->seen[j] == s->number && !(length < s->length[j])))
			continue;
		s->seen[j] = s->number;
		s->length[j] = length;
		s->from[j] = i;
		push(s, (struct node){ length, j });
	}
}

/* The free atom of the second model at the end of the shortest way, or PN_PAIR_NONE: alone. */
static uint32_t find_way(struct search *s, uint32_t i, double *way)
{
	s->heap_count = s->settled_count = 0;
	s->alone = INFINITY;
	relax(s, i, 0);
	while (s->heap_count > 0) {
		struct node next = pop(s);
		uint32_t j = next.after, owner = s->before_of[j];

		if (next.length >= s->alone)
			break;
		if (s->done[j] == s->number)
			continue;
		*way = next.length;
		if (owner == PN_PAIR_NONE)
			return j;
		s->done[j] = s->number;
		s->settled[s->settled_count++] = j;
		relax(s, owner, next.length - (s->cost[owner] - s->price[j]));
	}
	*way = s->alone;
	return PN_PAIR_NONE;
}

static double cost_of(const struct pn_pair_candidates *c, uint32_t i, uint32_t j)
{
	uint32_t at = c->start[i];

	while (c->partner[at] != j)
		at++;
	return c->distance2[at];
}

/* Hand partners on along the way from atom i to the free atom @end. */
static void follow_way(struct search *s, uint32_t i, uint32_t end)
{
	uint32_t j = end;

	if (j == PN_PAIR_NONE) {
		j = s->after_of[s->alone_who];
		s->after_of[s->alone_who] = PN_PAIR_NONE;
		if (s->alone_who == i)
			return;
	}
	for (;;) {
		uint32_t who = s->from[j], left = s->after_of[who];

		s->after_of[who] = j;
		s->before_of[j] = who;
		s->cost[who] = cost_of(s->c, who, j);
		if (who == i)
			return;
		j = left;
	}
}

static int search_open(struct search *s, const struct pn_pair_candidates *c, struct pn_error *err)
{
	size_t edges = c->start[c->before];

	s->c = c;
	s->price = calloc(c->after + 1, sizeof *s->price);
	s->length = malloc((c->after + 1) * sizeof *s->length);
	s->from = malloc((c->after + 1) * sizeof *s->from);
	s->seen = calloc(c->after + 1, sizeof *s->seen);
	s->done = calloc(c->after + 1, sizeof *s->done);
	s->settled = malloc((c->after + 1) * sizeof *s->settled);
	s->cost = malloc((c->before + 1) * sizeof *s->cost);
	s->heap = malloc((edges + 1) * sizeof *s->heap);
	if (!s->price || !s->length || !s->from || !s->seen || !s->done || !s->settled ||
	    !s->cost || !s->heap)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu candidates of pairs", edges);
	return PN_OK;
}

static void search_close(struct search *s)
{
	free(s->price);
	free(s->length);
	free(s->from);
	free(s->seen);
	free(s->done);
	free(s->settled);
	free(s->cost);
	free(s->heap);
}

int pn_pair_match_assignment(uint32_t *after_of, uint32_t *before_of,
			     const struct pn_pair_candidates *c, struct pn_error *err)
{
	struct search s = { .after_of = after_of, .before_of = before_of };
	int code = search_open(&s, c, err);

	all_alone(after_of, before_of, c);
	for (uint32_t i = 0; !code && i < c->before; i++) {
		double way = 0;

		s.number = i + 1;
		uint32_t end = find_way(&s, i, &way);

		for (size_t k = 0; k < s.settled_count; k++)
			s.price[s.settled[k]] += s.length[s.settled[k]] - way;
		follow_way(&s, i, end);
	}
	search_close(&s);
	return code;
}
