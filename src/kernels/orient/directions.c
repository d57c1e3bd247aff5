/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/directions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void normalize(double v[3])
{
	double length = sqrt(dot(v, v));

	for (int k = 0; k < 3; k++)
		v[k] /= length;
}

/* Equal areas: z in equal steps, the golden angle from one to the next. */
static void fibonacci(double (*view)[3], size_t count)
{
	const double golden = M_PI * (3 - sqrt(5));

	for (size_t i = 0; i < count; i++) {
		double z = 1 - ((double)i + 0.5) / (double)count, r = sqrt(1 - z * z);

		view[i][0] = r * cos(golden * (double)i);
		view[i][1] = r * sin(golden * (double)i);
		view[i][2] = z;
	}
}

/* ---- cells --------------------------------------------------------------------------------- */

struct keyed {
	double key;
	double view[3];
};

static int by_key(const void *a, const void *b)
{
	double x = ((const struct keyed *)a)->key, y = ((const struct keyed *)b)->key;

	return (x > y) - (x < y);
}

/* Along the axis of the largest scatter about the mean direction. */
static void key_by_extent(struct keyed *list, size_t count)
{
	double mean[3] = { 0 }, axis[3] = { 1, 0.7, 0.4 }, next[3];

	for (size_t i = 0; i < count; i++)
		for (int k = 0; k < 3; k++)
			mean[k] += list[i].view[k] / (double)count;
	for (int round = 0; round < 24; round++) { /* of the power method */
		memset(next, 0, sizeof next);
		for (size_t i = 0; i < count; i++) {
			const double d[3] = { list[i].view[0] - mean[0], list[i].view[1] - mean[1],
					      list[i].view[2] - mean[2] };

			for (int k = 0; k < 3; k++)
				next[k] += dot(d, axis) * d[k];
		}
		normalize(next);
		memcpy(axis, next, sizeof axis);
	}
	for (size_t i = 0; i < count; i++)
		list[i].key = dot(list[i].view, axis);
	qsort(list, count, sizeof *list, by_key);
}

static void divide(struct keyed *list, size_t cells)
{
	size_t left = cells / 2;

	if (cells < 2)
		return;
	key_by_extent(list, cells * PN_DIRECTIONS_CELL);
	divide(list, left);
	divide(list + left * PN_DIRECTIONS_CELL, cells - left);
}

/* The views nearest to the middles of the two halves come first. */
static void order_cell(struct keyed *cell)
{
	enum { HALF = PN_DIRECTIONS_CELL / PN_DIRECTIONS_COARSE };

	key_by_extent(cell, PN_DIRECTIONS_CELL);
	for (int half = 0; half < PN_DIRECTIONS_COARSE; half++) {
		double middle[3] = { 0 };
		int best = half * HALF;

		for (int i = half * HALF; i < (half + 1) * HALF; i++)
			for (int k = 0; k < 3; k++)
				middle[k] += cell[i].view[k];
		for (int i = half * HALF; i < (half + 1) * HALF; i++)
			if (dot(cell[i].view, middle) > dot(cell[best].view, middle))
				best = i;
		struct keyed swap = cell[half];

		cell[half] = cell[best];
		cell[best] = swap;
	}
}

/* ---- all ----------------------------------------------------------------------------------- */

/* The frame that is turned least from the specimen's. */
static void look_along(double rotation[3][3], const double view[3])
{
	double c = 1 / (1 + view[2]); /* z >= 0 */

	rotation[0][0] = 1 - view[0] * view[0] * c;
	rotation[0][1] = -view[0] * view[1] * c;
	rotation[0][2] = -view[0];
	rotation[1][0] = -view[0] * view[1] * c;
	rotation[1][1] = 1 - view[1] * view[1] * c;
	rotation[1][2] = -view[1];
	memcpy(rotation[2], view, 3 * sizeof *view);
}

static void describe(struct pn_directions *d, const struct keyed *list)
{
	double least = 1;

	for (size_t c = 0; c < d->cells; c++) {
		double *center = d->center[c];

		for (size_t i = c * PN_DIRECTIONS_CELL; i < (c + 1) * PN_DIRECTIONS_CELL; i++) {
			memcpy(d->view[i], list[i].view, sizeof d->view[i]);
			look_along(d->rotation[i], d->view[i]);
			for (int k = 0; k < 3; k++)
				center[k] += d->view[i][k];
		}
		normalize(center);
		for (size_t i = c * PN_DIRECTIONS_CELL; i < (c + 1) * PN_DIRECTIONS_CELL; i++)
			least = fmin(least, dot(d->view[i], center));
	}
	d->radius_deg = acos(least) * 180 / M_PI;
	d->spacing_deg = sqrt(2 * M_PI / (double)d->count) * 180 / M_PI;
}

int pn_directions_create(struct pn_directions *directions, size_t count, struct pn_error *err)
{
	memset(directions, 0, sizeof *directions);
	if (count < 64 || count > 65536)
		return pn_error_set(err, PN_EARG, "%zu views, can be 64 to 65536", count);
	size_t cells = (count + PN_DIRECTIONS_CELL - 1) / PN_DIRECTIONS_CELL;

	count = cells * PN_DIRECTIONS_CELL;
	struct keyed *list = malloc(count * sizeof *list);
	struct pn_directions d = { .cells = cells,
				   .count = count,
				   .view = malloc(count * sizeof *d.view),
				   .rotation = malloc(count * sizeof *d.rotation),
				   .center = calloc(cells, sizeof *d.center) };

	if (!list || !d.view || !d.rotation || !d.center) {
		free(list);
		pn_directions_destroy(&d);
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu views", count);
	}
	fibonacci(d.view, count);
	for (size_t i = 0; i < count; i++)
		memcpy(list[i].view, d.view[i], sizeof list[i].view);
	divide(list, cells);
	for (size_t c = 0; c < cells; c++)
		order_cell(list + c * PN_DIRECTIONS_CELL);
	describe(&d, list);
	free(list);
	*directions = d;
	return PN_OK;
}

void pn_directions_destroy(struct pn_directions *directions)
{
	free(directions->view);
	free(directions->rotation);
	free(directions->center);
	memset(directions, 0, sizeof *directions);
}
