/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "detect_sphere.h"

#include "trace_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Mean squares over cubes of voxels. */
struct cells {
	size_t n[3], count; /* x, y, z */
	size_t side;        /* voxels; what is left over at the upper ends has no cell */
	float *square, *scratch;
	size_t *queue;
};

static int take_cells(struct cells *c, const size_t n[3], double side_px, struct pn_error *err)
{
	c->side = (size_t)fmax(1, round(side_px));
	for (int k = 0; k < 3; k++)
		c->n[k] = n[k] / c->side ? n[k] / c->side : 1;
	c->count = c->n[0] * c->n[1] * c->n[2];
	c->square = malloc(c->count * sizeof *c->square);
	c->scratch = malloc(c->count * sizeof *c->scratch);
	c->queue = malloc(c->count * sizeof *c->queue);
	return c->square && c->scratch && c->queue
		       ? PN_OK
		       : pn_error_set(err, PN_ENOMEM, "no memory for %zu cells", c->count);
}

static void free_cells(struct cells *c)
{
	free(c->square);
	free(c->scratch);
	free(c->queue);
}

static void mean_squares(struct cells *c, const float *volume, const size_t n[3], int threads)
{
	const double voxels = (double)(c->side * c->side * c->side);

#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < c->count; i++) {
		const size_t at[3] = { i % c->n[0] * c->side, i / c->n[0] % c->n[1] * c->side,
				       i / c->n[0] / c->n[1] * c->side };
		double sum = 0;

		for (size_t z = at[2]; z < at[2] + c->side && z < n[2]; z++)
			for (size_t y = at[1]; y < at[1] + c->side && y < n[1]; y++) {
				const float *row = volume + (z * n[1] + y) * n[0];

				for (size_t x = at[0]; x < at[0] + c->side && x < n[0]; x++)
					sum += (double)row[x] * row[x];
			}
		c->square[i] = (float)(sum / voxels);
	}
}

/* Means of three neighbours along one axis; beyond the ends there is nothing. */
static void blur(struct cells *c, int axis)
{
	const size_t stride = axis == 0 ? 1 : axis == 1 ? c->n[0] : c->n[0] * c->n[1];

	for (size_t i = 0; i < c->count; i++) {
		const size_t at = i / stride % c->n[axis];
		float sum = c->square[i];

		sum += at ? c->square[i - stride] : 0;
		sum += at + 1 < c->n[axis] ? c->square[i + stride] : 0;
		c->scratch[i] = sum / 3;
	}
	memcpy(c->square, c->scratch, c->count * sizeof *c->square);
}

static int rising(const void *a, const void *b)
{
	const float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Otsu's threshold: the cut of the sorted values with the largest variance between its sides. */
static float otsu(struct cells *c)
{
	double all = 0, below = 0, best = -1;
	float threshold = 0;

	memcpy(c->scratch, c->square, c->count * sizeof *c->square);
	qsort(c->scratch, c->count, sizeof *c->scratch, rising);
	for (size_t i = 0; i < c->count; i++)
		all += c->scratch[i];
	for (size_t i = 1; i < c->count; i++) {
		below += c->scratch[i - 1];
		const double few = (double)i, rest = (double)(c->count - i);
		const double apart = below / few - (all - below) / rest;
		const double between = few * rest * apart * apart;

		if (between > best) {
			best = between;
			threshold = c->scratch[i];
		}
	}
	return threshold;
}

/* Cells connected with @seed: to the queue from @from on; their squares become -1. */
static size_t flood(struct cells *c, size_t seed, float threshold, size_t from)
{
	size_t end = from;

	c->queue[end++] = seed;
	c->square[seed] = -1;
	for (size_t head = from; head < end; head++) {
		size_t i = c->queue[head], stride = 1;

		for (int k = 0; k < 3; stride *= c->n[k++]) {
			const size_t at = i / stride % c->n[k];

			if (at && c->square[i - stride] >= threshold) {
				c->square[i - stride] = -1;
				c->queue[end++] = i - stride;
			}
			if (at + 1 < c->n[k] && c->square[i + stride] >= threshold) {
				c->square[i + stride] = -1;
				c->queue[end++] = i + stride;
			}
		}
	}
	return end;
}

/* The middle of a cell, in voxels. */
static void middle(const struct cells *c, size_t i, double at[3])
{
	const size_t cell[3] = { i % c->n[0], i / c->n[0] % c->n[1], i / c->n[0] / c->n[1] };

	for (int k = 0; k < 3; k++)
		at[k] = (double)(cell[k] * c->side) + 0.5 * (double)(c->side - 1);
}

static void around(struct detect_sphere *sphere, struct cells *c, const size_t *cell, size_t count)
{
	memset(sphere, 0, sizeof *sphere);
	for (size_t i = 0; i < count; i++) {
		double at[3];

		middle(c, cell[i], at);
		for (int k = 0; k < 3; k++)
			sphere->center_px[k] += at[k] / (double)count;
	}
	for (size_t i = 0; i < count; i++) {
		double at[3], square = 0;

		middle(c, cell[i], at);
		for (int k = 0; k < 3; k++)
			square += pow(at[k] - sphere->center_px[k], 2);
		c->scratch[i] = (float)square;
	}
	qsort(c->scratch, count, sizeof *c->scratch, rising);
	sphere->radius_px = sqrt(c->scratch[(size_t)(0.98 * (double)(count - 1))]);
}

int detect_sphere_find(struct detect_sphere *sphere, const float *volume, const size_t n[3],
		       double side_px, int threads, struct pn_error *err)
{
	struct cells c = { 0 };
	size_t largest = 0, first = 0, end = 0;
	int rc = take_cells(&c, n, side_px, err);

	if (!rc) {
		mean_squares(&c, volume, n, threads);
		for (int axis = 0; axis < 3; axis++)
			blur(&c, axis);
		const float threshold = fmaxf(otsu(&c), 0);

		for (size_t i = 0; i < c.count; i++)
			if (c.square[i] >= threshold) {
				const size_t from = end;

				end = flood(&c, i, threshold, from);
				if (end - from > largest) {
					largest = end - from;
					first = from;
				}
			}
		around(sphere, &c, c.queue + first, largest);
	}
	free_cells(&c);
	return rc;
}
