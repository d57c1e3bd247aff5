/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/rdf.h"

#include "rdf_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS     64  /* of the atoms, at most: fixed, so that sums do not depend on the threads */
#define FINE       64  /* places of the distance grid per sigma */
#define PIECE      256 /* distances that are handed on together */
#define POINTS_MAX 100000
#define INSIDE_MIN 1e-3 /* of a shell, for g to exist */

/* Defaults filled in. */
struct plan {
	double r_max_A, step_A, smooth_A;
	uint8_t a, b;
	size_t in_a, in_b, in_both;
};

/* Distances on a grid, each shared out between the two places next to it. */
struct grid {
	double per_A;
	size_t count;
	double *weight;
};

/* ---- pairs --------------------------------------------------------------------------------- */

/* Squares of the distances of a run of entries that are near enough, @again for the way back. */
static size_t run(double *square, const struct rdf_pairs *pairs, size_t i, size_t from, size_t to,
		  double radius2)
{
	const double *p = pairs->cells.position_A[i];
	size_t n = 0;

	for (size_t j = from; j < to; j++) {
		const double *q = pairs->cells.position_A[j];
		double x = q[0] - p[0], y = q[1] - p[1], z = q[2] - p[2];
		double d2 = x * x + y * y + z * z;

		square[n] = d2;
		n += d2 < radius2;
	}
	return n;
}

static size_t run_of_elements(double *square, const struct rdf_pairs *pairs, size_t i, size_t from,
			      size_t to, double radius2)
{
	const double *p = pairs->cells.position_A[i];
	size_t n = 0;

	for (size_t j = from; j < to; j++) {
		const double *q = pairs->cells.position_A[j];
		double x = q[0] - p[0], y = q[1] - p[1], z = q[2] - p[2];
		double d2 = x * x + y * y + z * z;

		square[n] = d2;
		n += d2 < radius2 && pairs->is_a[i] && pairs->is_b[j];
		square[n] = d2;
		n += d2 < radius2 && pairs->is_a[j] && pairs->is_b[i];
	}
	return n;
}

void rdf_distances(const struct rdf_pairs *pairs, size_t i, double radius_A, rdf_take *take,
		   void *context)
{
	const struct pn_cells *cells = &pairs->cells;
	size_t first[3], last[3];
	double square[2 * PIECE + 1];

	if (!pn_cells_range(cells, cells->position_A[i], radius_A, first, last))
		return;
	for (size_t z = first[0]; z <= last[0]; z++)
		for (size_t y = first[1]; y <= last[1]; y++) {
			size_t row = (z * cells->shape[1] + y) * cells->shape[2];
			size_t end = cells->start[row + last[2] + 1];
			size_t at = cells->start[row + first[2]];

			/* those before it have met this atom already */
			for (at = at > i ? at : i + 1; at < end; at += PIECE) {
				size_t to = at + PIECE < end ? at + PIECE : end;
				size_t n = (pairs->is_a ? run_of_elements : run)(
					square, pairs, i, at, to, radius_A * radius_A);

				for (size_t k = 0; k < n; k++)
					square[k] = sqrt(square[k]);
				take(square, n, context);
			}
		}
}

static void take_gap(const double *distance_A, size_t count, void *context)
{
	double *gap = context; /* below, above, where */

	for (size_t k = 0; k < count; k++) {
		double d = distance_A[k];

		if (d <= gap[2])
			gap[0] = fmax(gap[0], d);
		else
			gap[1] = fmin(gap[1], d);
	}
}

void rdf_gap(double gap_A[2], const struct rdf_pairs *pairs, double r_A, double radius_A)
{
	double gap[3] = { -INFINITY, INFINITY, r_A };

	for (size_t i = 0; i < pairs->cells.atoms; i++)
		rdf_distances(pairs, i, radius_A, take_gap, gap);
	gap_A[0] = gap[0];
	gap_A[1] = gap[1];
}

static void take_grid(const double *distance_A, size_t count, void *context)
{
	struct grid *grid = context;

	for (size_t k = 0; k < count; k++) {
		double x = distance_A[k] * grid->per_A;
		size_t at = (size_t)x;
		double part = x - (double)at;

		grid->weight[at] += 1 - part;
		grid->weight[at + 1] += part;
	}
}

/* All distances below @radius_A on the grid. */
static int count_pairs(struct grid *grid, const struct rdf_pairs *pairs, double radius_A,
		       int threads, struct pn_error *err)
{
	size_t atoms = pairs->cells.atoms, chunks = atoms / 64 + 1;

	chunks = chunks < CHUNKS ? chunks : CHUNKS;
	double *part = calloc(chunks * grid->count, sizeof *part);

	if (!part)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu distances", grid->count);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
	for (size_t c = 0; c < chunks; c++) {
		struct grid own = { grid->per_A, grid->count, part + c * grid->count };

		for (size_t i = c * atoms / chunks; i < (c + 1) * atoms / chunks; i++)
			rdf_distances(pairs, i, radius_A, take_grid, &own);
	}
	for (size_t c = 0; c < chunks; c++)
		for (size_t k = 0; k < grid->count; k++)
			grid->weight[k] += part[c * grid->count + k];
	free(part);
	return PN_OK;
}

/* P(r): the grid, smoothed, where g is wanted. */
static void smooth(struct pn_rdf *rdf, const struct grid *grid, double weight)
{
	double sigma = rdf->smooth_A, height = weight / (sigma * sqrt(2 * M_PI));

	for (size_t k = 0; k < rdf->count; k++) {
		double r = rdf->r_first_A + (double)k * rdf->step_A, sum = 0;
		double from = ceil((r - RDF_REACH * sigma) * grid->per_A);
		size_t to = (size_t)((r + RDF_REACH * sigma) * grid->per_A);

		for (size_t at = from > 0 ? (size_t)from : 0; at <= to && at < grid->count; at++) {
			double t = ((double)at / grid->per_A - r) / sigma;

			if (grid->weight[at] > 0)
				sum += grid->weight[at] * exp(-t * t / 2);
		}
		rdf->pairs_per_A[k] = height * sum;
	}
}

static int make_pairs(struct pn_rdf *rdf, const struct rdf_pairs *pairs, const struct plan *plan,
		      int threads, struct pn_error *err)
{
	double radius_A = plan->r_max_A + RDF_REACH * rdf->smooth_A;
	struct grid grid = { .per_A = FINE / rdf->smooth_A };

	grid.count = (size_t)(radius_A * grid.per_A) + 3;
	grid.weight = calloc(grid.count, sizeof *grid.weight);
	if (!grid.weight)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu distances", grid.count);
	int rc = count_pairs(&grid, pairs, radius_A, threads, err);

	if (!rc)
		smooth(rdf, &grid, (pairs->is_a ? 1.0 : 2.0) / (double)rdf->centers);
	free(grid.weight);
	return rc;
}

/* Atoms into cells, with what each is. */
static int pairs_build(struct rdf_pairs *pairs, const struct pn_atoms *atoms,
		       const struct plan *plan, struct pn_error *err)
{
	/* three cells to the radius: of what is looked at, a third is near enough */
	double edge_A = fmax(plan->r_max_A / 3, 2.5);
	int rc = pn_cells_build(&pairs->cells, atoms->position_A, atoms->count, edge_A, err);

	if (rc || (!plan->a && !plan->b))
		return rc;
	pairs->is_a = malloc(atoms->count);
	pairs->is_b = malloc(atoms->count);
	if (!pairs->is_a || !pairs->is_b)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu elements", atoms->count);
	for (size_t e = 0; e < atoms->count; e++) {
		uint8_t z = atoms->element[pairs->cells.atom[e]];

		pairs->is_a[e] = !plan->a || z == plan->a;
		pairs->is_b[e] = !plan->b || z == plan->b;
	}
	return PN_OK;
}

static void pairs_free(struct rdf_pairs *pairs)
{
	pn_cells_free(&pairs->cells);
	free(pairs->is_a);
	free(pairs->is_b);
}

/* ---- shells -------------------------------------------------------------------------------- */

/*
 * Mean solid angle times r^2, from radii that are few enough to be worked out: r/n apart, 2/n A at
 * first. Between them the solid angle is taken as linear. It has kinks, most in perfect crystals,
 * where r reaches a facet; the fewer atoms, the larger their share, so n goes as N^-1/3.
 */
static int make_shells(struct pn_rdf *rdf, const struct pn_atoms *atoms,
		       const struct pn_surface *surface, const struct plan *plan, int threads,
		       struct pn_error *err)
{
	double per_r = fmin(fmax(40 * cbrt(1e5 / (double)atoms->count), 40), 400);
	size_t most = (size_t)(plan->r_max_A * per_r / 2) + 4, nodes = 0;
	double *radius = malloc(2 * most * sizeof *radius), *area = radius + most;

	if (!radius)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu shells", most);
	for (double r = 2 / per_r; nodes < 2 || radius[nodes - 1] < plan->r_max_A;
	     r += fmax(2, r) / per_r)
		radius[nodes++] = r;
	int rc = pn_rdf_shell_area(area, radius, nodes, atoms, plan->a, surface, threads, err);

	for (size_t k = 0, at = 1; k < rdf->count && !rc; k++) {
		double r = rdf->r_first_A + (double)k * rdf->step_A;

		while (at + 1 < nodes && radius[at] < r)
			at++;
		double low = area[at - 1] / (radius[at - 1] * radius[at - 1]);
		double high = area[at] / (radius[at] * radius[at]);
		double part = fmax(0, (r - radius[at - 1]) / (radius[at] - radius[at - 1]));

		rdf->shell_A2[k] = r * r * (low + part * (high - low)) / (double)rdf->centers;
	}
	free(radius);
	return rc;
}

/* Ball with the radius of gyration of the atoms. */
static double gyration_volume_A3(const struct pn_atoms *atoms)
{
	const double *origin = atoms->position_A[0];
	double mean[3] = { 0 }, sum2 = 0;

	for (size_t i = 0; i < atoms->count; i++)
		for (int k = 0; k < 3; k++)
			mean[k] += (atoms->position_A[i][k] - origin[k]) / (double)atoms->count;
	for (size_t i = 0; i < atoms->count; i++)
		for (int k = 0; k < 3; k++) {
			double d = atoms->position_A[i][k] - origin[k] - mean[k];

			sum2 += d * d;
		}
	return 4 * M_PI / 3 * pow(5.0 / 3 * sum2 / (double)atoms->count, 1.5);
}

static void normalize(struct pn_rdf *rdf)
{
	double sigma = rdf->smooth_A, centers = (double)rdf->centers;
	double ends = rdf_ends(rdf);
	double single = ends / (centers * sigma * sqrt(2 * M_PI)); /* P of one pair, at its peak */
	double per_p = ends / (centers * sqrt(4 * M_PI) * sigma);

	for (size_t k = 0; k < rdf->count; k++) {
		double r = rdf->r_first_A + (double)k * rdf->step_A;
		double p = rdf->pairs_per_A[k], per = rdf->density_A3 * rdf->shell_A2[k];
		int exists = per > 0 && rdf->shell_A2[k] > INSIDE_MIN * 4 * M_PI * r * r;

		rdf->g[k] = exists ? p / per : NAN;
		rdf->g_sd[k] = exists ? sqrt((p + single) * per_p) / per : NAN;
	}
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void count_elements(struct plan *plan, const struct pn_atoms *atoms)
{
	for (size_t i = 0; i < atoms->count; i++) {
		int in_a = !plan->a || atoms->element[i] == plan->a;
		int in_b = !plan->b || atoms->element[i] == plan->b;

		plan->in_a += (size_t)in_a;
		plan->in_b += (size_t)in_b;
		plan->in_both += (size_t)(in_a && in_b);
	}
}

static double positive_or(double value, double otherwise)
{
	return value != 0 ? value : otherwise;
}

static int make_plan(struct plan *plan, const struct pn_atoms *atoms,
		     const struct pn_surface *surface, const struct pn_rdf_options *options,
		     struct pn_error *err)
{
	static const struct pn_rdf_options none;
	const struct pn_rdf_options *o = options ? options : &none;

	*plan = (struct plan){ .a = o->element_a, .b = o->element_b };
	count_elements(plan, atoms);
	if (!plan->in_a || !plan->in_b)
		return pn_error_set(err, PN_EARG, "g(r): none of %zu atoms is of element %d",
				    atoms->count, plan->in_a ? plan->b : plan->a);
	double n = sqrt((double)plan->in_a * (double)plan->in_b);
	double wide = fmin(0.2, 0.08 * fmax(1, pow(1000 / n, 0.2)));

	plan->r_max_A = positive_or(o->r_max_A, 12);
	plan->step_A = positive_or(o->step_A, 0.01);
	plan->smooth_A = positive_or(o->smooth_A, wide);
	if (!(plan->step_A > 0) || !(plan->smooth_A >= plan->step_A) ||
	    !(plan->r_max_A >= plan->step_A) ||
	    !(plan->r_max_A <= POINTS_MAX * fmin(plan->step_A, plan->smooth_A / FINE)))
		return pn_error_set(err, PN_EARG,
				    "g(r): step %g A must be > 0 and at most the smoothing %g A, "
				    "r_max %g A at least the step and at most %d of them, and at "
				    "most %d times the smoothing",
				    plan->step_A, plan->smooth_A, plan->r_max_A, POINTS_MAX,
				    POINTS_MAX / FINE);
	if (surface && surface->triangles && surface->atoms != atoms->count)
		return pn_error_set(err, PN_EARG, "g(r): mesh of %zu atoms, model of %zu",
				    surface->atoms, atoms->count);
	if (surface && surface->triangles && !(surface->volume_A3 > 0))
		return pn_error_set(err, PN_EARG, "g(r): mesh with a volume of %g A^3",
				    surface->volume_A3);
	return PN_OK;
}

static int allocate(struct pn_rdf *rdf, const struct plan *plan, struct pn_error *err)
{
	rdf->r_first_A = rdf->step_A = plan->step_A;
	rdf->smooth_A = plan->smooth_A;
	rdf->count = (size_t)(plan->r_max_A / plan->step_A + 1e-6);
	rdf->g = calloc(rdf->count, sizeof *rdf->g);
	rdf->g_sd = calloc(rdf->count, sizeof *rdf->g_sd);
	rdf->pairs_per_A = calloc(rdf->count, sizeof *rdf->pairs_per_A);
	rdf->shell_A2 = calloc(rdf->count, sizeof *rdf->shell_A2);
	if (!rdf->g || !rdf->g_sd || !rdf->pairs_per_A || !rdf->shell_A2)
		return pn_error_set(err, PN_ENOMEM, "no memory for g(r) at %zu distances",
				    rdf->count);
	return PN_OK;
}

int pn_rdf_build(struct pn_rdf *rdf, const struct pn_atoms *atoms, const struct pn_surface *surface,
		 const struct pn_rdf_options *options, int threads, struct pn_error *err)
{
	struct rdf_pairs pairs = { .is_a = NULL };
	struct plan plan;

	*rdf = (struct pn_rdf){ .count = 0 };
	if (threads < 1)
		return pn_error_set(err, PN_EARG, "g(r): %d threads", threads);
	int rc = make_plan(&plan, atoms, surface, options, err);

	if (!rc)
		rc = allocate(rdf, &plan, err);
	if (!rc)
		rc = pairs_build(&pairs, atoms, &plan, err);
	if (rc)
		goto done;
	rdf->element_a = plan.a;
	rdf->element_b = plan.b;
	rdf->centers = plan.in_a;
	rdf->has_mesh = surface && surface->triangles;
	rdf->volume_A3 = rdf->has_mesh ? surface->volume_A3 : gyration_volume_A3(atoms);
	double others = (double)plan.in_b - (double)plan.in_both / (double)plan.in_a;

	rdf->density_A3 = rdf->volume_A3 > 0 ? others / rdf->volume_A3 : NAN;
	rc = make_pairs(rdf, &pairs, &plan, threads, err);
	if (!rc && rdf->has_mesh)
		rc = make_shells(rdf, atoms, surface, &plan, threads, err);
	for (size_t k = 0; k < rdf->count && !rdf->has_mesh; k++) {
		double r = rdf->r_first_A + (double)k * rdf->step_A;

		rdf->shell_A2[k] = 4 * M_PI * r * r;
	}
	if (!rc) {
		normalize(rdf);
		rc = rdf_find(rdf, &pairs, (double)plan.in_b / (double)atoms->count, err);
	}
done:
	pairs_free(&pairs);
	return rc;
}

void pn_rdf_free(struct pn_rdf *rdf)
{
	free(rdf->g);
	free(rdf->g_sd);
	free(rdf->pairs_per_A);
	free(rdf->shell_A2);
	*rdf = (struct pn_rdf){ .count = 0 };
}
