/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lattice_grow.h"

#include "perrin/math/linear.h"

#include <stdlib.h>

/* Below this many atoms on the lattice its stretching is not yet known well enough to be used. */
enum { STRETCH_FROM = 48 };

int pn_grow_init(struct pn_grow *grow, const struct pn_atoms *atoms,
		 const struct pn_lattice_options *options, int threads, struct pn_error *err)
{
	size_t n = atoms->count + 1;

	*grow = (struct pn_grow){ .atoms = atoms, .options = options, .threads = threads };
	if (pn_sites_init(&grow->sites, n, err) != PN_OK)
		return PN_ENOMEM;
	grow->candidate = malloc(n * sizeof *grow->candidate);
	grow->site = malloc(n * sizeof *grow->site);
	grow->off2 = malloc(n * sizeof *grow->off2);
	grow->taken = malloc(n);
	grow->queue = malloc(n * sizeof *grow->queue);
	if (grow->candidate && grow->site && grow->off2 && grow->taken && grow->queue)
		return PN_OK;
	pn_grow_free(grow);
	return pn_error_set(err, PN_ENOMEM, "lattice: no memory for %zu atoms", atoms->count);
}

void pn_grow_free(struct pn_grow *grow)
{
	pn_sites_free(&grow->sites);
	free(grow->candidate);
	free(grow->site);
	free(grow->off2);
	free(grow->taken);
	free(grow->queue);
	*grow = (struct pn_grow){ 0 };
}

/* The site nearest to each atom, if it is within tolerance. */
static int find_candidates(struct pn_grow *grow, const struct pn_lattice_cell *cell, double reach_A)
{
	const struct pn_atoms *atoms = grow->atoms;
	double inverse[3][3];

	if (!pn_matrix3_invert(inverse, cell->cell_A))
		return 0;
		/* small models are done before a second thread has started */
#pragma omp parallel for num_threads(grow->threads) schedule(static) if (atoms->count > 4096)
	for (size_t i = 0; i < atoms->count; i++) {
		double x[3], off[3], d2 = 0;
		int32_t *site = grow->candidate[i];

		for (int k = 0; k < 3; k++)
			x[k] = 2 * (atoms->position_A[i][k] - cell->origin_A[k]);
		pn_matrix3_apply(off, inverse, x);
		if (pn_site_nearest(site, off)) {
			for (int k = 0; k < 3; k++)
				off[k] -= site[k];
			pn_matrix3_apply(off, cell->cell_A, off);
			for (int k = 0; k < 3; k++)
				d2 += 0.25 * off[k] * off[k];
		} else {
			d2 = INFINITY;
		}
		grow->off2[i] = d2;
		if (!(d2 < reach_A * reach_A))
			site[0] = INT32_MIN;
	}
	return 1;
}

/* One atom for each site: the nearest, of equals the first. */
static void fill_sites(struct pn_grow *grow)
{
	pn_sites_clear(&grow->sites);
	for (size_t i = 0; i < grow->atoms->count; i++) {
		const int32_t *s = grow->candidate[i];

		if (s[0] == INT32_MIN)
			continue;
		uint64_t key = pn_sites_key(s[0], s[1], s[2]);
		size_t at = pn_sites_slot(&grow->sites, key);

		if (grow->sites.key[at] && grow->off2[grow->sites.value[at]] <= grow->off2[i])
			continue;
		grow->sites.key[at] = key;
		grow->sites.value[at] = (uint32_t)i;
	}
}

/* The atom to begin with: the seed, or the nearest to it that holds a site. */
static uint32_t find_root(const struct pn_grow *grow, uint32_t seed)
{
	const double(*x)[3] = grow->atoms->position_A;
	uint32_t best = UINT32_MAX;
	double best2 = INFINITY;

	for (size_t at = 0; at <= grow->sites.mask; at++) {
		double d2 = 0;

		if (!grow->sites.key[at])
			continue;
		uint32_t i = grow->sites.value[at];

		if (i == seed)
			return i;
		for (int k = 0; k < 3; k++)
			d2 += (x[i][k] - x[seed][k]) * (x[i][k] - x[seed][k]);
		if (d2 < best2 || (d2 == best2 && i < best)) {
			best2 = d2;
			best = i;
		}
	}
	return best;
}

/* Breadth-first over neighbouring sites; what cannot be reached from the root is not taken. */
static void spread(struct pn_grow *grow, uint32_t root)
{
	size_t head = 0, tail = 0;

	memset(grow->taken, 0, grow->atoms->count);
	grow->bonds = grow->count = 0;
	if (root == UINT32_MAX)
		return;
	grow->taken[root] = 1;
	grow->queue[tail++] = root;
	while (head < tail) {
		const int32_t *s = grow->candidate[grow->queue[head++]];

		for (int b = 0; b < 12; b++) {
			const int32_t *d = pn_lattice_bonds[b];
			uint32_t j =
				pn_sites_find(&grow->sites, s[0] + d[0], s[1] + d[1], s[2] + d[2]);

			if (j == UINT32_MAX)
				continue;
			grow->bonds++;
			if (!grow->taken[j]) {
				grow->taken[j] = 1;
				grow->queue[tail++] = j;
			}
		}
	}
	grow->count = tail;
}

/* Put the new assignment in place of the old; returns whether any atom changed its site. */
static int adopt(struct pn_grow *grow)
{
	int changed = 0;

	for (size_t i = 0; i < grow->atoms->count; i++) {
		if (!grow->taken[i])
			grow->candidate[i][0] = INT32_MIN;
		if (grow->candidate[i][0] == INT32_MIN)
			grow->candidate[i][1] = grow->candidate[i][2] = INT32_MIN;
		changed |= memcmp(grow->candidate[i], grow->site[i], sizeof *grow->site) != 0;
	}
	int32_t(*swap)[3] = grow->site;

	grow->site = grow->candidate;
	grow->candidate = swap;
	return changed;
}

/* Is a stretched cell still nearly cubic, with edges near @a_A. */
static int nearly_cubic(const double cell_A[3][3], double a_A)
{
	for (int p = 0; p < 3; p++)
		for (int q = 0; q < 3; q++) {
			double sum = 0;

			for (int k = 0; k < 3; k++)
				sum += cell_A[k][p] * cell_A[k][q];
			if (!(fabs(sum / (a_A * a_A) - (p == q)) < 0.3))
				return 0;
		}
	return 1;
}

/* The cell that predicts the sites of the next round. */
static int predict(struct pn_lattice_cell *cell, double *a_A, const struct pn_grow *grow)
{
	struct pn_lattice_moments m;
	struct pn_lattice_cell stretched;

	pn_lattice_sum(&m, grow->atoms, (const int32_t(*)[3])grow->site, NULL);
	if (!pn_lattice_solve(cell, &m, PN_LATTICE_ISOTROPIC))
		return 0;
	*a_A = cell->axes_A[0];
	if (grow->options->assign == PN_LATTICE_ISOTROPIC || m.count < STRETCH_FROM ||
	    pn_lattice_flat(&m))
		return 1;
	if (pn_lattice_solve(&stretched, &m, grow->options->assign) &&
	    nearly_cubic((const double(*)[3])stretched.cell_A, *a_A))
		*cell = stretched;
	return 1;
}

void pn_grow_from(struct pn_grow *grow, const struct pn_lattice_seed *seed, uint32_t atom)
{
	struct pn_lattice_cell cell = { 0 };
	double a_A = M_SQRT2 * seed->spacing_A;

	memcpy(cell.origin_A, grow->atoms->position_A[atom], sizeof cell.origin_A);
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			cell.cell_A[r][c] = a_A * seed->rotation[r][c];
	for (size_t i = 0; i < grow->atoms->count; i++)
		grow->site[i][0] = grow->site[i][1] = grow->site[i][2] = INT32_MIN;
	grow->converged = 0;
	for (grow->rounds = 0; grow->rounds < grow->options->rounds_max;) {
		if (!find_candidates(grow, &cell, grow->options->tolerance * a_A / M_SQRT2))
			break;
		grow->rounds++;
		fill_sites(grow);
		spread(grow, find_root(grow, atom));
		if (!adopt(grow)) {
			grow->converged = 1;
			break;
		}
		if (grow->count < 4 || !predict(&cell, &a_A, grow))
			break;
	}
}
