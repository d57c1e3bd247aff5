/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/csp.h"

#include <math.h>

enum { NEAREST_MAX = 24, LIST_MAX = 64, SHELL_PAIRS = 6 };

static const double tie_part = 1e-6; /* of a distance: nearer to each other is equally far */
static const double growth = 1.3;

/* One of the atoms around the one at work. */
struct near {
	double d2;
	uint32_t atom, entry; /* number in the model, place in the cells */
};

struct list {
	int want, count;
	struct near item[LIST_MAX]; /* ascending by distance, then by number */
};

/* The sum of the @keep <= NEAREST_MAX / 2 smallest |r_j + r_k|^2, added in ascending order. */
static double smallest_sum(const double (*r)[3], size_t count, int keep)
{
	double best[NEAREST_MAX / 2], sum = 0;

	for (int i = 0; i < keep; i++)
		best[i] = INFINITY;
	for (size_t j = 0; j + 1 < count; j++)
		for (size_t k = j + 1; k < count; k++) {
			double x = r[j][0] + r[k][0], y = r[j][1] + r[k][1], z = r[j][2] + r[k][2];
			double value = x * x + y * y + z * z;
			int at = keep - 1;

			if (!(value < best[at]))
				continue;
			for (; at > 0 && best[at - 1] > value; at--)
				best[at] = best[at - 1];
			best[at] = value;
		}
	for (int i = 0; i < keep; i++)
		sum += best[i];
	return isinf(sum) ? NAN : sum;
}

int pn_csp_shell(double *csp_A2, const struct pn_neighbors *first_shell, int threads,
		 struct pn_error *err)
{
	if (threads < 1)
		return pn_error_set(err, PN_EARG, "centro-symmetry: %d threads", threads);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < first_shell->atoms; i++)
		csp_A2[i] = smallest_sum((const double(*)[3])first_shell->bond_A +
						 first_shell->start[i],
					 pn_neighbors_count(first_shell, i), SHELL_PAIRS);
	return PN_OK;
}

static int before(const struct near *a, const struct near *b)
{
	return a->d2 < b->d2 || (a->d2 == b->d2 && a->atom < b->atom);
}

/* The farthest squared distance that still counts as that of the last atom wanted. */
static double reach2(const struct list *list)
{
	double part = 1 + tie_part;

	return list->item[list->want - 1].d2 * part * part;
}

static void offer(struct list *list, struct near candidate)
{
	int at;

	if (list->count >= list->want && candidate.d2 > reach2(list))
		return;
	if (list->count < LIST_MAX)
		at = list->count++;
	else if (before(&candidate, &list->item[LIST_MAX - 1]))
		at = LIST_MAX - 1;
	else
		return;
	for (; at > 0 && before(&candidate, &list->item[at - 1]); at--)
		list->item[at] = list->item[at - 1];
	list->item[at] = candidate;
}

/* Offer all atoms closer than @radius_A to atom @self at @p. */
static void scan(struct list *list, const struct pn_cells *cells, uint32_t self, const double p[3],
		 double radius_A)
{
	size_t first[3], last[3];

	list->count = 0;
	if (!pn_cells_range(cells, p, radius_A, first, last))
		return;
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++) {
			size_t row = (z * cells->shape[1] + y) * cells->shape[2];
			uint32_t end = cells->start[row + last[2] + 1];

			for (uint32_t e = cells->start[row + first[2]]; e < end; e++) {
				const double *q = cells->position_A[e];
				double dx = q[0] - p[0], dy = q[1] - p[1], dz = q[2] - p[2];
				double d2 = dx * dx + dy * dy + dz * dz;

				if (d2 < radius_A * radius_A && cells->atom[e] != self)
					offer(list, (struct near){ d2, cells->atom[e], e });
			}
		}
}

static double csp_of(const struct pn_cells *cells, uint32_t self, const double p[3], int nearest)
{
	struct list list = { .want = nearest };
	double r[LIST_MAX][3], radius_A = cells->edge_A;

	for (;; radius_A *= growth) {
		scan(&list, cells, self, p, radius_A);
		if (list.count >= nearest && reach2(&list) < radius_A * radius_A)
			break;
	}
	while (list.item[list.count - 1].d2 > reach2(&list))
		list.count--;
	for (int j = 0; j < list.count; j++)
		for (int k = 0; k < 3; k++)
			r[j][k] = cells->position_A[list.item[j].entry][k] - p[k];
	return smallest_sum((const double(*)[3])r, (size_t)list.count, nearest / 2);
}

int pn_csp_nearest(double *csp_A2, const struct pn_cells *cells, const struct pn_atoms *atoms,
		   int nearest, int threads, struct pn_error *err)
{
	if (threads < 1)
		return pn_error_set(err, PN_EARG, "centro-symmetry: %d threads", threads);
	if (nearest < 2 || nearest > NEAREST_MAX || nearest % 2)
		return pn_error_set(
			err, PN_EARG,
			"centro-symmetry: %d nearest atoms, an even number 2..%d needed", nearest,
			NEAREST_MAX);
	if (cells->atoms != atoms->count)
		return pn_error_set(err, PN_EARG,
				    "centro-symmetry: cells of %zu atoms, model of %zu",
				    cells->atoms, atoms->count);
	if (atoms->count <= (size_t)nearest) {
		for (size_t i = 0; i < atoms->count; i++)
			csp_A2[i] = NAN;
		return PN_OK;
	}
/* in the order of the cells: what one atom read is still at hand for the next */
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t e = 0; e < atoms->count; e++) {
		uint32_t i = cells->atom[e];

		csp_A2[i] = csp_of(cells, i, atoms->position_A[i], nearest);
	}
	return PN_OK;
}
