/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "align_parts.h"
#include "lattice_parts.h"
#include "perrin/math/linear.h"

#include <stdlib.h>

int pn_pose_add(struct pn_pose_list *list, const struct pn_pose *pose, struct pn_error *err)
{
	if (list->count == list->room) {
		size_t room = 2 * list->room + 32;
		struct pn_pose *grown = realloc(list->pose, room * sizeof *grown);

		if (!grown)
			return pn_error_set(err, PN_ENOMEM, "align: no memory for %zu poses", room);
		list->pose = grown;
		list->room = room;
	}
	list->pose[list->count++] = *pose;
	return PN_OK;
}

/* ---- lattices ------------------------------------------------------------------------------ */

enum { PROBES = 4096, REACH2 = 8, KEEP = 3, REFINED_MAX = 48, REFINED_MIN = 8 };

static const double refined_part = 0.9;

/* A way to lay the sites of one model on those of the other: a = turn b + shift. */
struct overlap {
	int turn;
	int32_t shift[3];
	size_t common;
};

/* Both lattices, and where the sites of the reference are. */
struct lattices {
	struct pn_lattice reference, moved;
	struct pn_sites sites;
	uint32_t *probe; /* atoms of the moved model whose sites judge a shift */
	size_t probes;
	int8_t cube[24][3][3];
};

static void turn_site(int32_t out[3], const int8_t turn[3][3], const int32_t site[3])
{
	for (int k = 0; k < 3; k++)
		out[k] = turn[k][0] * site[0] + turn[k][1] * site[1] + turn[k][2] * site[2];
}

static uint32_t partner_of(const struct lattices *l, const struct overlap *o, size_t i)
{
	int32_t s[3];

	turn_site(s, (const int8_t(*)[3])l->cube[o->turn], l->moved.site[i]);
	return pn_sites_find(&l->sites, (int64_t)s[0] + o->shift[0], (int64_t)s[1] + o->shift[1],
			     (int64_t)s[2] + o->shift[2]);
}

static size_t count_common(const struct lattices *l, const struct overlap *o)
{
	size_t common = 0;

	for (size_t p = 0; p < l->probes; p++)
		common += partner_of(l, o, l->probe[p]) != UINT32_MAX;
	return common;
}

/* One site in @every, chosen by where it is, not by its number. */
static void choose_probes(struct lattices *l, size_t every)
{
	l->probes = 0;
	for (size_t i = 0; i < l->moved.atoms; i++) {
		const int32_t *s = l->moved.site[i];

		if (!pn_lattice_is_on(&l->moved, i))
			continue;
		uint64_t key = pn_sites_key(s[0], s[1], s[2]) * 0xD6E8FEB86659FD93u;

		if ((key >> 32) % every == 0)
			l->probe[l->probes++] = (uint32_t)i;
	}
}

static void mean_site(double mean[3], const struct pn_lattice *lattice)
{
	memset(mean, 0, 3 * sizeof *mean);
	for (size_t i = 0; i < lattice->atoms; i++)
		for (int k = 0; k < 3 && pn_lattice_is_on(lattice, i); k++)
			mean[k] += (double)lattice->site[i][k] / (double)lattice->on_lattice;
}

static void keep_best(struct overlap best[KEEP], const struct overlap *o)
{
	for (int k = 0; k < KEEP; k++) {
		if (!memcmp(best[k].shift, o->shift, sizeof o->shift) && best[k].common)
			return;
		if (o->common > best[k].common) {
			memmove(best + k + 1, best + k, (size_t)(KEEP - 1 - k) * sizeof *best);
			best[k] = *o;
			return;
		}
	}
}

/* The shifts of one rotation: all near the one that brings the centroids together, then uphill. */
static void best_shifts(struct overlap best[KEEP], const struct lattices *l, int turn,
			const double mean[3], const double moved_mean[3])
{
	double x[3];
	int32_t start[3];
	struct overlap o = { .turn = turn };

	memset(best, 0, KEEP * sizeof *best);
	for (int k = 0; k < 3; k++)
		x[k] = mean[k] - l->cube[turn][k][0] * moved_mean[0] -
		       l->cube[turn][k][1] * moved_mean[1] - l->cube[turn][k][2] * moved_mean[2];
	if (!pn_site_nearest(start, x))
		return;
	for (int u = -2; u <= 2; u++)
		for (int v = -2; v <= 2; v++)
			for (int w = -2; w <= 2; w++) {
				const int32_t d[3] = { u, v, w };

				if ((u + v + w) % 2 || u * u + v * v + w * w > REACH2)
					continue;
				for (int k = 0; k < 3; k++)
					o.shift[k] = start[k] + d[k];
				o.common = count_common(l, &o);
				keep_best(best, &o);
			}
	for (size_t before = 0; best[0].common > before;) {
		struct overlap top = best[0];

		before = top.common;
		for (int b = 0; b < 12; b++) {
			for (int k = 0; k < 3; k++)
				o.shift[k] = top.shift[k] + pn_lattice_bonds[b][k];
			o.common = count_common(l, &o);
			keep_best(best, &o);
		}
	}
}

/* The pose of least squared error on the atoms of common sites. */
static void pose_of(struct pn_pose *pose, const struct pn_dock *dock, const struct lattices *l,
		    const struct overlap *o)
{
	struct pn_pairs pairs;
	double turned[3][3], back[3][3];

	*pose = (struct pn_pose){ .origin = PN_ALIGN_FROM_LATTICE };
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			turned[r][c] = l->cube[o->turn][r][c];
	pn_matrix3_transpose(back, l->moved.rotation);
	pn_matrix3_multiply(turned, (const double(*)[3])turned, (const double(*)[3])back);
	pn_matrix3_multiply(pose->rotation, l->reference.rotation, (const double(*)[3])turned);
	pn_pairs_clear(&pairs, dock->reference_center_A, dock->moved_center_A);
	for (size_t i = 0; i < l->moved.atoms; i++) {
		uint32_t j = pn_lattice_is_on(&l->moved, i) ? partner_of(l, o, i) : UINT32_MAX;

		if (j != UINT32_MAX)
			pn_pairs_add(&pairs, dock->reference->position_A[j],
				     dock->moved->position_A[i]);
	}
	pn_pairs_fit(pose, &pairs);
}

static int more_common(const void *a, const void *b)
{
	const struct overlap *p = a, *q = b;

	if (p->common != q->common)
		return p->common > q->common ? -1 : 1;
	if (p->turn != q->turn)
		return p->turn < q->turn ? -1 : 1;
	return memcmp(p->shift, q->shift, sizeof p->shift);
}

static int add_overlaps(struct pn_pose_list *list, const struct pn_dock *dock, struct lattices *l,
			struct pn_error *err)
{
	struct overlap best[24 * KEEP];
	double mean[3], moved_mean[3];
	int rc = PN_OK;

	for (size_t i = 0; i < l->reference.atoms; i++) {
		const int32_t *s = l->reference.site[i];

		if (!pn_lattice_is_on(&l->reference, i))
			continue;
		size_t at = pn_sites_slot(&l->sites, pn_sites_key(s[0], s[1], s[2]));

		l->sites.key[at] = pn_sites_key(s[0], s[1], s[2]);
		l->sites.value[at] = (uint32_t)i;
	}
	pn_octahedral(l->cube);
	choose_probes(l, l->moved.on_lattice / PROBES + 1);
	mean_site(mean, &l->reference);
	mean_site(moved_mean, &l->moved);
#pragma omp parallel for num_threads(dock->threads) schedule(static)
	for (int turn = 0; turn < 24; turn++)
		best_shifts(best + KEEP * turn, l, turn, mean, moved_mean);
	choose_probes(l, 1);
#pragma omp parallel for num_threads(dock->threads) schedule(static)
	for (size_t k = 0; k < PN_COUNT(best); k++)
		if (best[k].common)
			best[k].common = count_common(l, &best[k]);
	qsort(best, PN_COUNT(best), sizeof *best, more_common);
	for (size_t k = 0; k < REFINED_MAX && best[k].common && rc == PN_OK; k++) {
		struct pn_pose pose;

		if (k >= REFINED_MIN &&
		    (double)best[k].common < refined_part * (double)best[0].common)
			break;
		pose_of(&pose, dock, l, &best[k]);
		rc = pn_pose_add(list, &pose, err);
	}
	return rc;
}

int pn_seed_lattices(struct pn_pose_list *list, const struct pn_dock *dock, struct pn_error *err)
{
	struct lattices l = { 0 };
	int rc = pn_lattice_fit(&l.reference, dock->reference, NULL, dock->threads, err);

	if (rc == PN_OK)
		rc = pn_lattice_fit(&l.moved, dock->moved, NULL, dock->threads, err);
	if (rc == PN_OK && l.reference.on_lattice && l.moved.on_lattice) {
		l.probe = malloc(l.moved.on_lattice * sizeof *l.probe);
		rc = pn_sites_init(&l.sites, l.reference.on_lattice, err);
		if (rc == PN_OK && !l.probe)
			rc = pn_error_set(err, PN_ENOMEM, "align: no memory for %zu sites",
					  l.moved.on_lattice);
		if (rc == PN_OK)
			rc = add_overlaps(list, dock, &l, err);
	}
	free(l.probe);
	pn_sites_free(&l.sites);
	pn_lattice_free(&l.reference);
	pn_lattice_free(&l.moved);
	return rc;
}
