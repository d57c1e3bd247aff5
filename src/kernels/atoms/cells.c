/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_PER_POINT 4.0

/* Where most points are, along an axis: without 1 in TAIL on either side, and a margin around. */
enum { SAMPLE = 4096, TAIL = 64 };
static const double margin = 0.25; /* of what is left */

/* ---- building ------------------------------------------------------------------------------ */

static void bounds(double low[3], double high[3], const double (*position_A)[3], size_t count)
{
	for (int k = 0; k < 3; k++)
		low[k] = high[k] = count ? position_A[0][k] : 0;
	for (size_t i = 1; i < count; i++)
		for (int k = 0; k < 3; k++) {
			low[k] = fmin(low[k], position_A[i][k]);
			high[k] = fmax(high[k], position_A[i][k]);
		}
}

/* How many cells of this edge the box takes, along each axis x, y, z; their product may be huge. */
static double cells_of(double along[3], const double low[3], const double high[3], double edge_A)
{
	double product = 1;

	for (int k = 0; k < 3; k++) {
		along[k] = floor((high[k] - low[k]) / edge_A) + 1;
		product *= along[k];
	}
	return product;
}

static int compare_double(const void *a, const void *b)
{
	double s = *(const double *)a, t = *(const double *)b;

	return (s > t) - (s < t);
}

/* Narrow the box to where most points are, by a sample of them: atoms far out are not in it. */
static int leave_out_lone(double low[3], double high[3], const double (*position_A)[3],
			  size_t count)
{
	size_t every = count / SAMPLE + 1, n = (count + every - 1) / every;
	double *x = malloc((n + 1) * sizeof *x);

	for (int k = 0; x && k < 3; k++) {
		for (size_t i = 0; i < n; i++)
			x[i] = position_A[i * every][k];
		qsort(x, n, sizeof *x, compare_double);
		double from = x[n / TAIL], to = x[n - 1 - n / TAIL], wider = margin * (to - from);

		low[k] = fmax(low[k], from - wider);
		high[k] = fmin(high[k], to + wider);
	}
	free(x);
	return x != NULL;
}

static size_t cell_axis(const struct pn_cells *cells, double x, int axis)
{
	double c = floor((x - cells->origin_A[axis]) / cells->edge_A);
	size_t last = cells->shape[2 - axis] - 1;

	return c <= 0 ? 0 : c >= (double)last ? last : (size_t)c;
}

static size_t cell_of(const struct pn_cells *cells, const double p[3])
{
	return (cell_axis(cells, p[2], 2) * cells->shape[1] + cell_axis(cells, p[1], 1)) *
		       cells->shape[2] +
	       cell_axis(cells, p[0], 0);
}

/* Counting sort: it keeps the order of the model within a cell. */
static void sort_points(struct pn_cells *cells, const double (*position_A)[3], uint32_t *cell)
{
	size_t count = cells->atoms, n = cells->shape[0] * cells->shape[1] * cells->shape[2];

	for (size_t i = 0; i < count; i++) {
		cell[i] = (uint32_t)cell_of(cells, position_A[i]);
		cells->start[cell[i] + 1]++;
	}
	for (size_t c = 0; c < n; c++)
		cells->start[c + 1] += cells->start[c];
	for (size_t i = 0; i < count; i++) {
		uint32_t at = cells->start[cell[i]]++;

		cells->atom[at] = (uint32_t)i;
		memcpy(cells->position_A[at], position_A[i], sizeof position_A[i]);
	}
	memmove(cells->start + 1, cells->start, n * sizeof *cells->start);
	cells->start[0] = 0;
}

int pn_cells_build(struct pn_cells *cells, const double (*position_A)[3], size_t count,
		   double edge_A, struct pn_error *err)
{
	double low[3], high[3], along[3];
	double most = fmin(CELLS_PER_POINT * (double)count + 64, UINT32_MAX);

	pn_assert(edge_A > 0 && count < UINT32_MAX);
	*cells = (struct pn_cells){ .edge_A = edge_A, .atoms = count };
	bounds(low, high, position_A, count);
	memcpy(cells->low_A, low, sizeof low);
	memcpy(cells->high_A, high, sizeof high);
	if (cells_of(along, low, high, edge_A) > most &&
	    !leave_out_lone(low, high, position_A, count))
		return pn_error_set(err, PN_ENOMEM, "no memory for a cell list of %zu atoms",
				    count);
	while (cells_of(along, low, high, cells->edge_A) > most)
		cells->edge_A *= 1.25;
	for (int k = 0; k < 3; k++) {
		cells->origin_A[k] = low[k];
		cells->shape[2 - k] = (size_t)along[k];
	}
	size_t n = cells->shape[0] * cells->shape[1] * cells->shape[2];
	uint32_t *cell = malloc((count + 1) * sizeof *cell);

	cells->start = calloc(n + 1, sizeof *cells->start);
	cells->atom = malloc((count + 1) * sizeof *cells->atom);
	cells->position_A = malloc((count + 1) * sizeof *cells->position_A);
	if (!cell || !cells->start || !cells->atom || !cells->position_A) {
		free(cell);
		pn_cells_free(cells);
		return pn_error_set(err, PN_ENOMEM, "no memory for a cell list of %zu atoms",
				    count);
	}
	sort_points(cells, position_A, cell);
	free(cell);
	return PN_OK;
}

void pn_cells_free(struct pn_cells *cells)
{
	free(cells->start);
	free(cells->atom);
	free(cells->position_A);
	*cells = (struct pn_cells){ 0 };
}

/* ---- asking -------------------------------------------------------------------------------- */

int pn_cells_range(const struct pn_cells *cells, const double center_A[3], double radius_A,
		   size_t first[3], size_t last[3])
{
	/* a little more than the ball: rounding must not hide an atom that lies just inside it */
	double reach = radius_A + 1e-9 * cells->edge_A;

	for (int k = 0; k < 3; k++) {
		if (center_A[k] + reach < cells->low_A[k] || center_A[k] - reach > cells->high_A[k])
			return 0;
		first[2 - k] = cell_axis(cells, center_A[k] - reach, k);
		last[2 - k] = cell_axis(cells, center_A[k] + reach, k);
	}
	return cells->atoms > 0;
}

static double distance2(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];

	return x * x + y * y + z * z;
}

size_t pn_cells_within(const struct pn_cells *cells, const double center_A[3], double radius_A,
		       uint32_t *found, size_t max)
{
	double radius2 = radius_A * radius_A;
	size_t first[3], last[3], count = 0;

	if (!pn_cells_range(cells, center_A, radius_A, first, last))
		return 0;
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++) {
			/* the cells of a row lie one behind the other */
			size_t row = (z * cells->shape[1] + y) * cells->shape[2];
			uint32_t end = cells->start[row + last[2] + 1];

			for (uint32_t at = cells->start[row + first[2]]; at < end; at++) {
				/* always written where there is room, kept if near: no branch */
				if (count < max)
					found[count] = cells->atom[at];
				count += distance2(center_A, cells->position_A[at]) < radius2;
			}
		}
	return count;
}

/* Farthest that an atom of the model can be from the point: where a search may end. */
static double reach_of(const struct pn_cells *cells, const double center_A[3])
{
	double sum = 0;

	for (int k = 0; k < 3; k++) {
		double d = fmax(fabs(center_A[k] - cells->low_A[k]),
				fabs(center_A[k] - cells->high_A[k]));

		sum += d * d;
	}
	return sqrt(sum);
}

static void nearest_in_row(const struct pn_cells *cells, const double center_A[3], uint32_t at,
			   uint32_t end, double *best2, uint32_t *best)
{
	for (; at < end; at++) {
		double d2 = distance2(center_A, cells->position_A[at]);

		if (d2 < *best2 || (d2 == *best2 && cells->atom[at] < *best)) {
			*best2 = d2;
			*best = cells->atom[at];
		}
	}
}

uint32_t pn_cells_nearest(const struct pn_cells *cells, const double center_A[3],
			  double *distance_A)
{
	double best2 = INFINITY, reach = reach_of(cells, center_A) * (1 + 1e-9) + cells->edge_A;
	uint32_t best = UINT32_MAX;

	for (double radius = 0.75 * cells->edge_A; cells->atoms; radius *= 2) {
		size_t first[3], last[3];

		if (pn_cells_range(cells, center_A, radius, first, last))
			for (size_t z = first[0]; z <= last[0]; z++)
				for (size_t y = first[1]; y <= last[1]; y++) {
					size_t row = (z * cells->shape[1] + y) * cells->shape[2];

					nearest_in_row(
						cells, center_A, cells->start[row + first[2]],
						cells->start[row + last[2] + 1], &best2, &best);
				}
		/* all atoms within the radius have been seen */
		if (best2 <= radius * radius || radius > reach)
			break;
	}
	if (distance_A)
		*distance_A = sqrt(best2);
	return best;
}
