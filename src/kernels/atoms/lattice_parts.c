/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lattice_parts.h"

#include "perrin/math/linear.h"

#include <stdlib.h>

const int32_t pn_lattice_bonds[12][3] = {
	{ 1, 1, 0 },  { 1, -1, 0 },  { -1, 1, 0 }, { -1, -1, 0 }, { 1, 0, 1 },  { 1, 0, -1 },
	{ -1, 0, 1 }, { -1, 0, -1 }, { 0, 1, 1 },  { 0, 1, -1 },  { 0, -1, 1 }, { 0, -1, -1 },
};

/* ---- sites --------------------------------------------------------------------------------- */

int pn_sites_init(struct pn_sites *sites, size_t count, struct pn_error *err)
{
	size_t size = 64;

	while (size < 2 * count)
		size *= 2;
	sites->mask = size - 1;
	sites->key = calloc(size, sizeof *sites->key);
	sites->value = malloc(size * sizeof *sites->value);
	if (!sites->key || !sites->value) {
		pn_sites_free(sites);
		return pn_error_set(err, PN_ENOMEM, "lattice: no memory for %zu sites", count);
	}
	return PN_OK;
}

void pn_sites_clear(struct pn_sites *sites)
{
	memset(sites->key, 0, (sites->mask + 1) * sizeof *sites->key);
}

void pn_sites_free(struct pn_sites *sites)
{
	free(sites->key);
	free(sites->value);
	*sites = (struct pn_sites){ 0 };
}

/* ---- rotations of the cube ----------------------------------------------------------------- */

void pn_octahedral(int8_t rotation[24][3][3])
{
	static const int8_t order[6][3] = { { 0, 1, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
					    { 0, 2, 1 }, { 2, 1, 0 }, { 1, 0, 2 } };
	int count = 0;

	memset(rotation, 0, 24 * sizeof *rotation);
	for (int p = 0; p < 6; p++)
		for (int signs = 0; signs < 8; signs++) {
			int minus = (signs & 1) + (signs >> 1 & 1) + (signs >> 2);

			/* the last three orders are odd: they need an odd number of signs */
			if ((minus + (p > 2)) % 2)
				continue;
			for (int k = 0; k < 3; k++)
				rotation[count][k][order[p][k]] = (int8_t)(signs >> k & 1 ? -1 : 1);
			count++;
		}
}

/* ---- least squares ------------------------------------------------------------------------- */

static int used(const int32_t (*site)[3], const uint8_t *use, size_t i)
{
	return use ? use[i] : site[i][0] != INT32_MIN;
}

void pn_lattice_sum(struct pn_lattice_moments *m, const struct pn_atoms *atoms,
		    const int32_t (*site)[3], const uint8_t *use)
{
	*m = (struct pn_lattice_moments){ 0 };
	for (size_t i = 0; i < atoms->count; i++) {
		if (!used(site, use, i))
			continue;
		m->count++;
		for (int k = 0; k < 3; k++) {
			m->mean_x[k] += atoms->position_A[i][k];
			m->mean_s[k] += 0.5 * site[i][k];
		}
	}
	if (!m->count)
		return;
	for (int k = 0; k < 3; k++) {
		m->mean_x[k] /= (double)m->count;
		m->mean_s[k] /= (double)m->count;
	}
	for (size_t i = 0; i < atoms->count; i++) {
		double x[3], s[3];

		if (!used(site, use, i))
			continue;
		for (int k = 0; k < 3; k++) {
			x[k] = atoms->position_A[i][k] - m->mean_x[k];
			s[k] = 0.5 * site[i][k] - m->mean_s[k];
		}
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++) {
				m->xs[r][c] += x[r] * s[c];
				m->ss[r][c] += s[r] * s[c];
			}
	}
}

int pn_lattice_flat(const struct pn_lattice_moments *m)
{
	double value[3], vector[3][3];

	/* one atom a (111) layer off the plane of many others makes 1/3 (1 - 1/n) */
	pn_symmetric3_eigen(value, vector, m->ss);
	return !(value[0] > 1e-3);
}

/* Rotation and one constant for each axis, in turns until they no longer change. */
static int solve_axes(struct pn_lattice_cell *cell, const struct pn_lattice_moments *m)
{
	for (int k = 0; k < 3; k++)
		if (!(m->ss[k][k] > 0))
			return 0;
	for (int round = 0; round < 1000; round++) {
		double scaled[3][3], change = 0;

		for (int k = 0; k < 3; k++) {
			double sum = 0, rest = 0;

			/* of |x - R D s|^2 by D: the columns of R are orthogonal */
			for (int r = 0; r < 3; r++)
				sum += cell->rotation[r][k] * m->xs[r][k];
			rest = sum / m->ss[k][k];
			change = fmax(change, fabs(rest - cell->axes_A[k]) / fabs(rest));
			cell->axes_A[k] = rest;
		}
		if (change < 1e-14)
			break;
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++)
				scaled[r][c] = m->xs[r][c] * cell->axes_A[c];
		if (!pn_polar_rotation(cell->rotation, scaled))
			return 0;
	}
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			cell->cell_A[r][c] = cell->rotation[r][c] * cell->axes_A[c];
	return 1;
}

int pn_lattice_solve(struct pn_lattice_cell *cell, const struct pn_lattice_moments *m,
		     enum pn_lattice_model model)
{
	double inverse[3][3], sum = 0;

	if (m->count < 2 || !pn_polar_rotation(cell->rotation, m->xs))
		return 0;
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			sum += cell->rotation[r][c] * m->xs[r][c];
	double a_A = sum / (m->ss[0][0] + m->ss[1][1] + m->ss[2][2]);

	for (int r = 0; r < 3; r++) {
		cell->axes_A[r] = a_A;
		for (int c = 0; c < 3; c++)
			cell->cell_A[r][c] = a_A * cell->rotation[r][c];
	}
	if (model == PN_LATTICE_AXES && !solve_axes(cell, m))
		return 0;
	if (model == PN_LATTICE_AFFINE) {
		if (!pn_matrix3_invert(inverse, m->ss))
			return 0;
		pn_matrix3_multiply(cell->cell_A, m->xs, inverse);
	}
	for (int r = 0; r < 3; r++) {
		cell->origin_A[r] = m->mean_x[r];
		for (int c = 0; c < 3; c++)
			cell->origin_A[r] -= cell->cell_A[r][c] * m->mean_s[c];
	}
	return a_A > 0;
}
