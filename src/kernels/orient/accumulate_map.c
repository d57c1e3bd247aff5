/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "accumulate_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the grid: what sums to one point, quanta. */
struct point {
	double re, im, density;
};

/* A transform of the whole grid on its way to a corner of voxels, and what undoes the kernel. */
struct grid {
	struct pn_accumulator *sums;
	size_t edge, bins; /* 2 N; N + 1 */
	float complex *spectrum;
	struct point *row;    /* [bins] */
	double *kernel;       /* [edge + 1] its transform at 0..2 N voxels from the origin */
	double complex *root; /* [edge] exp(-2 pi i k / edge) */
};

/* What a row of the spectrum is made of. */
enum content { NUMERATOR, DENSITY, RATIO };

static void grid_free(struct grid *g)
{
	pn_fft_free(g->spectrum);
	free(g->row);
	free(g->kernel);
	free(g->root);
}

static int grid_make(struct grid *g, struct pn_accumulator *sums, struct pn_error *err)
{
	const size_t edge = 2 * sums->params.edge;
	const double width = sums->params.kernel_width, beta = sums->beta;
	double top = 1, term = 1; /* modified Bessel function of beta, by its power series */
	int rc = PN_OK;

	*g = (struct grid){ .sums = sums, .edge = edge, .bins = edge / 2 + 1 };
	if (!sums->fft3)
		rc = pn_fft3_plan(&sums->fft3, edge, edge, edge, err);
	if (rc)
		return rc;
	g->spectrum = pn_fft_alloc(edge * edge * g->bins * sizeof *g->spectrum);
	g->row = calloc(g->bins, sizeof *g->row);
	g->kernel = calloc(edge + 1, sizeof *g->kernel);
	g->root = calloc(edge, sizeof *g->root);
	if (!g->spectrum || !g->row || !g->kernel || !g->root) {
		grid_free(g);
		return pn_error_set(err, PN_ENOMEM, "a grid of %zu^3 points needs %zu bytes", edge,
				    edge * edge * g->bins * sizeof *g->spectrum);
	}
	for (int k = 1; term > 1e-17 * top; k++) {
		term *= (beta / (2 * k)) * (beta / (2 * k));
		top += term;
	}
	for (size_t i = 0; i <= edge; i++) {
		const double t = M_PI * width * (double)i / (double)edge;
		const double square = beta * beta - t * t, root = sqrt(fabs(square));

		g->kernel[i] = width / top *
			       (root < 1e-9 ? 1 : (square > 0 ? sinh(root) : sin(root)) / root);
	}
	for (size_t k = 0; k < edge; k++) {
		const double turn = -2 * M_PI * (double)k / (double)edge;

		g->root[k] = __builtin_complex(cos(turn), sin(turn));
	}
	return PN_OK;
}

/* ---- the sums as a transform of real numbers ------------------------------------------------ */

/* Add the numbers of row @from, at @first along qx, to points at first, first + step, ... */
static void add_cells(struct point *to, const int64_t *from, ptrdiff_t count, ptrdiff_t step,
		      double conjugate)
{
	for (ptrdiff_t i = 0; i < count; i++) {
		const int64_t *cell = from + i * step * PN_CELL_PARTS;

		to[i].re += (double)cell[0];
		to[i].im += conjugate * (double)cell[1];
		to[i].density += (double)cell[2];
	}
}

/* One row of the grid without its period: qx = 0..n at (qz, qy), and those of qx - 2 n. */
static void gather_copy(const struct pn_accumulator *s, ptrdiff_t qz, ptrdiff_t qy, ptrdiff_t n,
			struct point *row)
{
	if (labs(qz) > s->reach || labs(qy) > s->reach)
		return;
	/* at qx = 0 of both rows */
	const int64_t *here = pn_cell_row(s, qz, qy) + s->margin * PN_CELL_PARTS;
	const int64_t *mirror = pn_cell_row(s, -qz, -qy) + s->margin * PN_CELL_PARTS;

	add_cells(row, here, (n < s->reach ? n : s->reach) + 1, 1, 1);
	add_cells(row, mirror, (n < s->margin ? n : s->margin) + 1, -1, -1);
	if (s->reach >= n) {
		/* qx = x - 2 n for x = 2 n - reach..n stands in the mirror row at 2 n - x */
		const ptrdiff_t first = 2 * n - s->reach;

		add_cells(row + first, mirror + s->reach * PN_CELL_PARTS, n - first + 1, -1, -1);
	}
}

/* Row (z, y) of the grid of 2 N points, periodic: all that falls onto it. */
static void gather_row(const struct grid *g, size_t z, size_t y, struct point *row)
{
	const ptrdiff_t m = (ptrdiff_t)g->edge;

	memset(row, 0, g->bins * sizeof *row);
	for (ptrdiff_t qz = (ptrdiff_t)z - m; qz <= (ptrdiff_t)z; qz += m)
		for (ptrdiff_t qy = (ptrdiff_t)y - m; qy <= (ptrdiff_t)y; qy += m)
			gather_copy(g->sums, qz, qy, m / 2, row);
}

/* The signed frequency of index @i. */
static double frequency(size_t i, size_t edge)
{
	return 2 * i > edge ? (double)i - (double)edge : (double)i;
}

/* The mean density over the points of the band, quanta. */
static double mean_density(const struct grid *g)
{
	const double limit = (double)g->edge * g->sums->params.frequency_max;
	double sum = 0, points = 0;

	for (size_t i = 0; i < g->edge * g->edge; i++) {
		const double z = frequency(i / g->edge, g->edge),
			     y = frequency(i % g->edge, g->edge),
			     rest = limit * limit - z * z - y * y;

		if (rest < 0)
			continue;
		gather_row(g, i / g->edge, i % g->edge, g->row);
		for (size_t x = 0; x < g->bins && (double)(x * x) <= rest; x++) {
			sum += g->row[x].density;
			points++;
		}
	}
	return points > 0 ? sum / points : 0;
}

/*
 * A row of the spectrum, turned so that the voxel -origin comes to the corner: index i of an axis
 * of @n voxels is then i - origin.
 */
static void fill_row(const struct grid *g, enum content content, double tau, const size_t origin[3],
		     size_t at, struct point *row)
{
	const size_t z = at / g->edge, y = at % g->edge;
	const double limit = (double)g->edge * g->sums->params.frequency_max;
	const double fz = frequency(z, g->edge), fy = frequency(y, g->edge);
	const double complex turn =
		g->root[z * origin[0] % g->edge] * g->root[y * origin[1] % g->edge];
	float complex *to = g->spectrum + at * g->bins;

	gather_row(g, z, y, row);
	for (size_t x = 0; x < g->bins; x++) {
		const double complex t = turn * g->root[x * origin[2] % g->edge];
		double re = row[x].re, im = row[x].im;

		if (content == DENSITY) {
			re = row[x].density * PN_DENSITY_QUANTUM;
			im = 0;
		} else if (content == NUMERATOR) {
			re *= g->sums->quantum;
			im *= g->sums->quantum;
		} else {
			const double all = row[x].density * PN_DENSITY_QUANTUM + tau;
			const int in = fz * fz + fy * fy + (double)(x * x) <= limit * limit;
			const double scale = in && all > 0 ? g->sums->quantum / all : 0;

			re *= scale;
			im *= scale;
		}
		to[x] = __builtin_complex((float)(re * creal(t) - im * cimag(t)),
					  (float)(re * cimag(t) + im * creal(t)));
	}
}

/* The unnormalised inverse transform of @content, a corner of shape [z][y][x]. */
static int transform(const struct grid *g, enum content content, double tau, const size_t origin[3],
		     const struct pn_box *shape, float *out, struct pn_error *err)
{
	const size_t lines = g->edge * g->edge;
	int lost = 0;

#pragma omp parallel reduction(| : lost)
	{
		struct point *row = malloc(g->bins * sizeof *row);

		lost = !row;
#pragma omp for schedule(static)
		for (size_t i = 0; i < lines; i++)
			if (row)
				fill_row(g, content, tau, origin, i, row);
		free(row);
	}
	if (lost)
		return pn_error_set(err, PN_ENOMEM, "no memory for rows of %zu points", g->bins);
	pn_fft3_backward(g->sums->fft3, g->spectrum, out, shape->nz, shape->ny, shape->nx);
	return PN_OK;
}

/* ---- what is read out ----------------------------------------------------------------------- */

int pn_accumulator_map(struct pn_accumulator *sums, double tau, float *map, struct pn_error *err)
{
	const size_t n = sums->params.edge, origin[3] = { n / 2, n / 2, n / 2 };
	const struct pn_box box = { n, n, n };
	struct grid g;

	if (!(tau >= 0) || !isfinite(tau))
		return pn_error_set(err, PN_EARG, "a map with tau = %g: must be 0 or more", tau);
	if (!sums->weight)
		return pn_error_set(err, PN_EARG, "a map of no slices");
	int rc = grid_make(&g, sums, err);
	if (rc)
		return rc;
	rc = transform(&g, RATIO, tau * mean_density(&g) * PN_DENSITY_QUANTUM, origin, &box, map,
		       err);
	/* the ratio is a mean over the kernel: undo its transform, 1 at the origin */
	const double top = g.kernel[0], points = (double)(g.edge * g.edge * g.edge);
#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < n; z++)
		for (size_t y = 0; y < n; y++)
			for (size_t x = 0; x < n; x++) {
				const double taper = g.kernel[labs((long)z - (long)n / 2)] *
						     g.kernel[labs((long)y - (long)n / 2)] *
						     g.kernel[labs((long)x - (long)n / 2)];
				float *to = &map[(z * n + y) * n + x];

				*to = (float)((double)*to * (top * top * top) / (taper * points));
			}
	grid_free(&g);
	return rc;
}

/* A^T p of the box: the numerator's transform, without the kernel's. */
static int fill_rhs(const struct grid *g, struct pn_normal *normal, float *corner,
		    struct pn_error *err)
{
	const struct pn_box *b = &normal->box;
	const size_t origin[3] = { b->nz / 2, b->ny / 2, b->nx / 2 };
	const double pixels = (double)g->edge * (double)g->edge / 4;
	int rc = transform(g, NUMERATOR, 0, origin, b, corner, err);

#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < b->nz; z++)
		for (size_t y = 0; y < b->ny; y++)
			for (size_t x = 0; x < b->nx; x++) {
				const size_t i = (z * b->ny + y) * b->nx + x;
				const double taper = g->kernel[labs((long)z - (long)origin[0])] *
						     g->kernel[labs((long)y - (long)origin[1])] *
						     g->kernel[labs((long)x - (long)origin[2])];

				normal->rhs[i] = (double)corner[i] / (taper * pixels);
			}
	return rc;
}

/*
 * A lag d and the lag 2 N - d are one point of the grid. Up to N / 2 the kernel suppresses the
 * other; towards N they come together, and both count as one: as what they are to each other where
 * the sums change slowly with the lag.
 */
static double lag_taper(const struct grid *g, ptrdiff_t lag)
{
	const size_t d = (size_t)labs(lag);

	return g->kernel[d] + g->kernel[g->edge - d];
}

static int fill_kernel(const struct grid *g, struct pn_normal *normal, float *corner,
		       struct pn_error *err)
{
	const struct pn_box *b = &normal->box;
	const struct pn_box lags = { b->nz, 2 * b->ny - 1, 2 * b->nx - 1 };
	const size_t origin[3] = { 0, b->ny - 1, b->nx - 1 };
	const double pixels = (double)g->edge * (double)g->edge / 4;
	int rc = transform(g, DENSITY, 0, origin, &lags, corner, err);

#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < lags.nz; z++)
		for (size_t y = 0; y < lags.ny; y++)
			for (size_t x = 0; x < lags.nx; x++) {
				const size_t i = (z * lags.ny + y) * lags.nx + x;
				const double taper =
					lag_taper(g, (ptrdiff_t)z) *
					lag_taper(g, (ptrdiff_t)y - (ptrdiff_t)origin[1]) *
					lag_taper(g, (ptrdiff_t)x - (ptrdiff_t)origin[2]);

				normal->kernel[i] = (double)corner[i] / (taper * pixels);
			}
	return rc;
}

int pn_accumulator_normal(struct pn_accumulator *sums, struct pn_normal *normal,
			  struct pn_error *err)
{
	const struct pn_box *b = &normal->box;
	const size_t n = sums->params.edge;
	struct grid g;

	if (normal->single_axis || b->nz > n || b->ny > n || b->nx > n)
		return pn_error_set(err, PN_EARG,
				    "slices of %zu px into normal equations of %zu x %zu x %zu "
				    "voxels%s: a box of at most the edge, of any orientation",
				    n, b->nz, b->ny, b->nx,
				    normal->single_axis ? " for a single axis" : "");
	int rc = grid_make(&g, sums, err);
	if (rc)
		return rc;
	const size_t bytes = b->nz * (2 * b->ny - 1) * (2 * b->nx - 1) * sizeof(float);
	float *corner = malloc(bytes);
	rc = corner ? fill_rhs(&g, normal, corner, err)
		    : pn_error_set(err, PN_ENOMEM, "lags of %zu x %zu x %zu voxels need %zu bytes",
				   b->nz, b->ny, b->nx, bytes);
	if (!rc)
		rc = fill_kernel(&g, normal, corner, err);
	if (!rc) {
		normal->tilts = (size_t)sums->images;
		normal->energy_part[0] = pn_accumulator_energy(sums);
		normal->energy_part[1] = 0;
		normal->energy = normal->energy_part[0];
	}
	free(corner);
	grid_free(&g);
	return rc;
}

/* ---- density -------------------------------------------------------------------------------- */

/* At a point of the grid, without its period. */
static double density_at(const struct pn_accumulator *s, ptrdiff_t z, ptrdiff_t y, ptrdiff_t x)
{
	double sum = 0;

	if (labs(z) > s->reach || labs(y) > s->reach)
		return 0;
	if (x >= -s->margin && x <= s->reach)
		sum += (double)pn_cell_row(s, z, y)[(x + s->margin) * PN_CELL_PARTS + 2];
	if (-x >= -s->margin && -x <= s->reach)
		sum += (double)pn_cell_row(s, -z, -y)[(s->margin - x) * PN_CELL_PARTS + 2];
	return sum * PN_DENSITY_QUANTUM;
}

static double density_between(const struct pn_accumulator *s, const double q[3])
{
	ptrdiff_t first[3];
	double part[3], sum = 0;

	for (int a = 0; a < 3; a++) {
		first[a] = (ptrdiff_t)floor(q[a]);
		part[a] = q[a] - (double)first[a];
	}
	for (int i = 0; i < 8; i++) {
		const int dx = i & 1, dy = i >> 1 & 1, dz = i >> 2;
		const double w = (dx ? part[0] : 1 - part[0]) * (dy ? part[1] : 1 - part[1]) *
				 (dz ? part[2] : 1 - part[2]);

		sum += w * density_at(s, first[2] + dz, first[1] + dy, first[0] + dx);
	}
	return sum;
}

int pn_accumulator_density(const struct pn_accumulator *sums, const double (*direction)[3],
			   size_t count, double frequency_first, double frequency_last,
			   double *density, struct pn_error *err)
{
	const double scale = 2 * (double)sums->params.edge;

	if (!(frequency_first >= 0 && frequency_first <= frequency_last &&
	      frequency_last <= sums->params.frequency_max))
		return pn_error_set(err, PN_EARG,
				    "density between %g and %g cycles per px of sums up to %g",
				    frequency_first, frequency_last, sums->params.frequency_max);
	for (size_t i = 0; i < count; i++) {
		const double *d = direction[i], norm = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];

		if (!(fabs(norm - 1) < 1e-6))
			return pn_error_set(err, PN_EARG, "direction %zu is %g %g %g: not unit", i,
					    d[0], d[1], d[2]);
	}
	/* at about every point of the grid */
	const size_t steps = (size_t)ceil((frequency_last - frequency_first) * scale) + 1;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < count; i++) {
		double sum = 0;

		for (size_t k = 0; k < steps; k++) {
			const double part = steps > 1 ? (double)k / (double)(steps - 1) : 0.5;
			const double length = scale * (frequency_first +
						       part * (frequency_last - frequency_first));
			const double q[3] = { length * direction[i][0], length * direction[i][1],
					      length * direction[i][2] };

			sum += density_between(sums, q);
		}
		density[i] = sum / (double)steps;
	}
	return PN_OK;
}
