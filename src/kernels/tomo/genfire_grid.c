/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gridding, node by node: a row of nodes meets the slab of each projection's plane in an interval,
 * so that few nodes are looked at in vain, and each node is filled by one thread in one order.
 */
#include "perrin/math/fft.h"

#include "genfire_parts.h"
#include "grid.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

struct gridding {
	const struct pn_genfire_options *options;
	const struct pn_projections *in;
	size_t mz, my, mx, half;
	size_t nz, ny, nx;     /* of the box */
	double length[3];      /* mx, my, mz: axes in the order of a rotation's columns */
	float complex *images; /* [count][my][half]; FFT gridding only */
};

/* sums at the nodes of one row of the half grid */
struct row {
	double complex *sum; /* [half] */
	double *weight;      /* [half] */
	float *wave;         /* [6][longest edge of an image] for DFT gridding */
};

struct list {
	struct pn_genfire_node *node;
	size_t count, room;
};

/* The image's transform about its own origin, as it would be without its shift. */
static int transform_images(struct gridding *g, struct pn_error *err)
{
	const struct pn_projections *in = g->in;
	size_t plane = g->my * g->half;
	float *padded = pn_fft_alloc(g->my * g->mx * sizeof *padded);
	float complex *out = pn_fft_alloc(plane * sizeof *out);
	struct pn_fft *fft = NULL;
	int rc = PN_OK;

	g->images = pn_fft_alloc(in->count * plane * sizeof *g->images);
	if (!padded || !out || !g->images)
		rc = pn_error_set(err, PN_ENOMEM,
				  "GENFIRE: transforms of %zu images need %zu bytes", in->count,
				  in->count * plane * sizeof *out + plane * sizeof *out +
					  g->my * g->mx * sizeof *padded);
	if (!rc)
		rc = pn_fft_plan(&fft, PN_FFT_R2C, g->my, g->mx, 0, err);
	for (size_t k = 0; !rc && k < in->count; k++) {
		const float *image = in->image + k * in->ny * in->nx;

		for (size_t y = 0; y < in->ny; y++)
			for (size_t x = 0; x < in->nx; x++)
				padded[pn_grid_wrap(y, in->ny, g->my) * g->mx +
				       pn_grid_wrap(x, in->nx, g->mx)] = image[y * in->nx + x];
		pn_fft_execute(fft, padded, out);
		for (size_t i = 0; i < plane; i++) {
			size_t j = i / g->half;
			double ky = j < g->my / 2 ? (double)j : (double)j - (double)g->my;
			double angle =
				2 * M_PI *
				((double)(i % g->half) * in->pose[k].shift_px[0] / (double)g->mx +
				 ky * in->pose[k].shift_px[1] / (double)g->my);

			g->images[k * plane + i] =
				out[i] * (float complex)__builtin_complex(cos(angle), sin(angle));
		}
	}
	pn_fft_destroy(fft);
	pn_fft_free(out);
	pn_fft_free(padded);
	return rc;
}

/* a sample of the FFT of image k at the whole frequencies (i, j), below Nyquist */
static float complex sample(const struct gridding *g, size_t k, long i, long j)
{
	const float complex *image = g->images + k * g->my * g->half;
	int mate = i < 0;
	size_t kx = (size_t)(mate ? -i : i), ky = (size_t)(mate ? -j : j) % g->my;

	if ((mate ? -j : j) < 0)
		ky = g->my - (size_t)(mate ? j : -j);
	float complex v = image[ky * g->half + kx];
	return mate ? conjf(v) : v;
}

/* add the samples of image k around (x, y), @depth off its plane */
static void add_fft(const struct gridding *g, struct row *row, size_t at, size_t k, double x,
		    double y, double depth)
{
	double r2 = g->options->radius_px * g->options->radius_px, rest = sqrt(r2 - depth * depth);
	long right = (long)(g->mx / 2), top = (long)(g->my / 2);

	for (long j = (long)ceil(y - rest); (double)j <= y + rest; j++)
		for (long i = (long)ceil(x - rest); (double)i <= x + rest; i++) {
			double dx = x - (double)i, dy = y - (double)j,
			       d2 = dx * dx + dy * dy + depth * depth;

			if (d2 > r2 || labs(i) >= right || labs(j) >= top)
				continue;
			double w = 1 / ((g->options->squared_weight ? d2 : sqrt(d2)) + 1e-5);

			row->sum[at] += w * sample(g, k, i, j);
			row->weight[at] += w;
		}
}

/* exp(-i @step (x - @origin)) for x = 0..n-1: cosines, then sines */
static void wave(float *out, size_t n, double step, double origin)
{
	double c = cos(step * origin), s = sin(step * origin), dc = cos(step), ds = -sin(step);

	for (size_t x = 0; x < n; x++) {
		double next = c * dc - s * ds;

		out[x] = (float)c;
		out[n + x] = (float)s;
		s = c * ds + s * dc;
		c = next;
	}
}

/* the transform of image k at any frequency (x, y), by its definition */
static double complex dft(const struct gridding *g, float *waves, size_t k, double x, double y)
{
	const struct pn_projections *in = g->in;
	size_t ny = in->ny, nx = in->nx, longest = ny > nx ? ny : nx;
	const float *image = in->image + k * ny * nx;
	float *wy = waves, *wx = waves + 2 * longest, *column = waves + 4 * longest;
	double re = 0, im = 0;

	wave(wy, ny, 2 * M_PI * y / (double)g->my, (double)(ny / 2) + in->pose[k].shift_px[1]);
	wave(wx, nx, 2 * M_PI * x / (double)g->mx, (double)(nx / 2) + in->pose[k].shift_px[0]);
	memset(column, 0, 2 * nx * sizeof *column);
	for (size_t j = 0; j < ny; j++) {
		const float *line = image + j * nx;
		float c = wy[j], s = wy[ny + j];

		for (size_t i = 0; i < nx; i++) {
			column[i] += c * line[i];
			column[nx + i] += s * line[i];
		}
	}
	for (size_t i = 0; i < nx; i++) {
		double c = wx[i], s = wx[nx + i], a = column[i], b = column[nx + i];

		re += a * c - b * s;
		im += a * s + b * c;
	}
	return __builtin_complex(re, im);
}

static void add_dft(const struct gridding *g, struct row *row, size_t at, size_t k, double x,
		    double y, double depth)
{
	if (fabs(x) > (double)(g->mx / 2) || fabs(y) > (double)(g->my / 2))
		return;
	double w = 1 / fmax(fabs(depth), 1e-5);

	row->sum[at] += w * dft(g, row->wave, k, x, y);
	row->weight[at] += w;
}

/*
 * What projection k says about the row (kz, ky). Coordinates on the detector are in its frequency
 * steps 1/(mx px); the depth is in steps of the grid.
 */
static void add_projection(const struct gridding *g, struct row *row, size_t k, double ky,
			   double kz)
{
	const double(*r)[3] = g->in->pose[k].rotation;
	double radius = g->options->radius_px, mx = g->length[0], q[3], d[3];
	double scale[3] = { g->length[0], g->length[1],
			    fmax(fmax(mx, g->length[1]), g->length[2]) };

	for (int a = 0; a < 3; a++) {
		q[a] = scale[a] * (r[a][1] * ky / g->length[1] + r[a][2] * kz / g->length[2]);
		d[a] = scale[a] * r[a][0] / mx;
	}
	double from = 0, to = mx / 2 - 1;

	if (fabs(d[2]) > 1e-12) {
		double a = (-radius - q[2]) / d[2], b = (radius - q[2]) / d[2];

		from = fmax(from, ceil(fmin(a, b) - 1e-9));
		to = fmin(to, floor(fmax(a, b) + 1e-9));
	}
	for (double kx = from; kx <= to; kx++) {
		double depth = q[2] + kx * d[2];

		if (fabs(depth) > radius)
			continue;
		if (g->options->gridding == PN_GRIDDING_DFT)
			add_dft(g, row, (size_t)kx, k, q[0] + kx * d[0], q[1] + kx * d[1], depth);
		else
			add_fft(g, row, (size_t)kx, k, q[0] + kx * d[0], q[1] + kx * d[1], depth);
	}
}

static int append(struct list *list, struct pn_genfire_node node)
{
	if (list->count == list->room) {
		size_t room = 2 * list->room + 1024;
		struct pn_genfire_node *more = realloc(list->node, room * sizeof *more);

		if (!more)
			return 0;
		list->node = more;
		list->room = room;
	}
	list->node[list->count++] = node;
	return 1;
}

/* means at the nodes of row (z, y), moved to the corner of the box */
static int take_row(const struct gridding *g, const struct row *row, size_t z, size_t y, double kz,
		    double ky, struct list *list)
{
	for (size_t x = 0; x < g->mx / 2; x++) {
		double fx = 2 * (double)x / g->length[0], fy = 2 * ky / g->length[1],
		       fz = 2 * kz / g->length[2], q = sqrt(fx * fx + fy * fy + fz * fz);

		if (row->weight[x] == 0 || q > 1)
			continue;
		double angle = -M_PI * (fx * (double)(g->nx / 2) + fy * (double)(g->ny / 2) +
					fz * (double)(g->nz / 2));
		double complex value =
			row->sum[x] / row->weight[x] * __builtin_complex(cos(angle), sin(angle));

		if (!append(list, (struct pn_genfire_node){
					  .at = (uint32_t)((z * g->my + y) * g->half + x),
					  .q = (float)q,
					  .value = (float complex)value }))
			return 0;
	}
	return 1;
}

static int fill_plane(const struct gridding *g, struct row *row, size_t z, struct list *list)
{
	double kz = z < g->mz / 2 ? (double)z : (double)z - g->length[2];

	for (size_t y = 0; y < g->my; y++) {
		double ky = y < g->my / 2 ? (double)y : (double)y - g->length[1];

		if (z == g->mz / 2 || y == g->my / 2)
			continue;
		memset(row->sum, 0, g->half * sizeof *row->sum);
		memset(row->weight, 0, g->half * sizeof *row->weight);
		for (size_t k = 0; k < g->in->count; k++)
			add_projection(g, row, k, ky, kz);
		if (!take_row(g, row, z, y, kz, ky, list))
			return 0;
	}
	return 1;
}

/* returns 0 if memory ran out */
static int fill_planes(const struct gridding *g, struct list *lists)
{
	size_t edge = g->in->ny > g->in->nx ? g->in->ny : g->in->nx;
	int whole = 1;

#pragma omp parallel reduction(&& : whole)
	{
		struct row row = { .sum = malloc(g->half * sizeof *row.sum),
				   .weight = malloc(g->half * sizeof *row.weight),
				   .wave = malloc(6 * edge * sizeof *row.wave) };

		whole = row.sum && row.weight && row.wave;
#pragma omp for schedule(dynamic)
		for (size_t z = 0; z < g->mz; z++)
			whole = whole && fill_plane(g, &row, z, &lists[z]);
		free(row.sum);
		free(row.weight);
		free(row.wave);
	}
	return whole;
}

static int join(struct pn_genfire_grid *grid, const struct list *lists, struct pn_error *err)
{
	size_t count = 0;

	for (size_t z = 0; z < grid->mz; z++)
		count += lists[z].count;
	if (count == 0)
		return pn_error_set(
			err, PN_EARG,
			"GENFIRE: no measured coefficient within the radius of any grid point");
	grid->node = malloc(count * sizeof *grid->node);
	if (!grid->node)
		return pn_error_set(err, PN_ENOMEM, "GENFIRE: %zu coefficients need %zu bytes",
				    count, count * sizeof *grid->node);
	for (size_t z = 0; z < grid->mz; z++) {
		if (lists[z].count)
			memcpy(grid->node + grid->count, lists[z].node,
			       lists[z].count * sizeof *grid->node);
		grid->count += lists[z].count;
	}
	return PN_OK;
}

int pn_genfire_fill(struct pn_genfire_grid *grid, const struct pn_box *box,
		    const struct pn_projections *projections,
		    const struct pn_genfire_options *options, struct pn_error *err)
{
	struct gridding g = { .options = options,
			      .in = projections,
			      .mz = grid->mz,
			      .my = grid->my,
			      .mx = grid->mx,
			      .half = grid->mx / 2 + 1,
			      .nz = box->nz,
			      .ny = box->ny,
			      .nx = box->nx,
			      .length = { (double)grid->mx, (double)grid->my, (double)grid->mz } };
	struct list *lists = calloc(grid->mz, sizeof *lists);
	int rc = PN_OK;

	grid->count = 0;
	grid->node = NULL;
	if (!lists)
		return pn_error_set(err, PN_ENOMEM, "GENFIRE: no memory (%zu bytes)",
				    grid->mz * sizeof *lists);
	if (options->gridding == PN_GRIDDING_FFT)
		rc = transform_images(&g, err);
	if (!rc && !fill_planes(&g, lists))
		rc = pn_error_set(
			err, PN_ENOMEM,
			"GENFIRE: no memory to grid %zu projections; up to %zu bytes are needed",
			projections->count,
			grid->mz * grid->my * grid->mx / 2 * sizeof *grid->node);
	if (!rc)
		rc = join(grid, lists, err);
	for (size_t z = 0; z < grid->mz; z++)
		free(lists[z].node);
	free(lists);
	pn_fft_free(g.images);
	return rc;
}
