/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/laplace.h"

#include "perrin/image/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW(type_, struct_, field, unit_, def_, min_, max_, help_)                            \
	{                                                                                     \
		.name = #field, .unit = unit_, .help = help_, .type = type_,                  \
		.off = offsetof(struct struct_, field), .def = def_, .min = min_, .max = max_ \
	}

const struct pn_param pn_particle_param_table[] = {
	ROW(PN_PARAM_F64, pn_particle_params, blur_px, "px", 1, 0, 64,
	    "Gaussian blur before the threshold"),
	ROW(PN_PARAM_F64, pn_particle_params, gap_px, "px", 8, 0, 256,
	    "dark between parts of one particle, as between rows of atoms, up to so wide"),
	ROW(PN_PARAM_F64, pn_particle_params, margin_px, "px", 10, 0, 1000,
	    "the mask is grown by so much"),
	ROW(PN_PARAM_F64, pn_particle_params, contrast_min, NULL, 4, 0, 1e6,
	    "particle over background, in its standard deviations"),
	ROW(PN_PARAM_I64, pn_particle_params, area_min_px, "px", 16, 1, 1e12,
	    "smaller regions are no particle"),
	ROW(PN_PARAM_BOOL, pn_particle_params, border, NULL, 0, 0, 0,
	    "the particle may touch the border of the image"),
	{ 0 },
};

const struct pn_param pn_laplace_param_table[] = {
	ROW(PN_PARAM_F64, pn_laplace_params, rim_px, "px", 3, 0, 64,
	    "radius the boundary values are averaged over"),
	ROW(PN_PARAM_F64, pn_laplace_params, tolerance, NULL, 1e-6, 1e-12, 0.1,
	    "of the background, as part of the range of the boundary values"),
	ROW(PN_PARAM_I64, pn_laplace_params, iterations_max, NULL, 100, 1, 1e6,
	    "conjugate gradient steps"),
	{ 0 },
};

#undef ROW

/* ------------------------------------------------------------------ the mask */

/* What the border cannot reach by steps of eight neighbors is a hole; mask becomes 1 there. */
static void fill_holes(uint8_t *mask, uint32_t *stack, size_t ny, size_t nx)
{
	const uint8_t outside = 2;
	size_t depth = 0;

	for (size_t i = 0; i < ny * nx; i++) {
		size_t y = i / nx, x = i % nx;

		if (!mask[i] && (y == 0 || x == 0 || y + 1 == ny || x + 1 == nx)) {
			mask[i] = outside;
			stack[depth++] = (uint32_t)i;
		}
	}
	while (depth) {
		size_t at = stack[--depth], y = at / nx, x = at % nx;
		size_t y1 = y + 1 < ny ? y + 1 : y, x1 = x + 1 < nx ? x + 1 : x;

		for (size_t v = y ? y - 1 : 0; v <= y1; v++)
			for (size_t u = x ? x - 1 : 0; u <= x1; u++)
				if (!mask[v * nx + u]) {
					mask[v * nx + u] = outside;
					stack[depth++] = (uint32_t)(v * nx + u);
				}
	}
	for (size_t i = 0; i < ny * nx; i++)
		mask[i] = mask[i] != outside;
}

/* Distance along the column to the nearest pixel of the mask, cap where there is none so near. */
static void column_distance(uint32_t *distance, const uint8_t *mask, size_t ny, size_t nx,
			    uint32_t cap)
{
	for (size_t y = 0; y < ny; y++)
		for (size_t x = 0; x < nx; x++) {
			uint32_t above = y ? distance[(y - 1) * nx + x] : cap;

			distance[y * nx + x] = mask[y * nx + x] ? 0 : above < cap ? above + 1 : cap;
		}
	for (size_t y = ny - 1; y-- > 0;)
		for (size_t x = 0; x < nx; x++) {
			uint32_t below = distance[(y + 1) * nx + x] + 1;

			if (below < distance[y * nx + x])
				distance[y * nx + x] = below;
		}
}

/*
 * A pixel whose column has the mask at distance g brings in, on its row, everything up to
 * sqrt(margin^2 - g^2) to both sides: exact, and O(1) per pixel with the ends counted.
 */
static void grow(uint8_t *mask, uint32_t *scratch, size_t ny, size_t nx, double margin_px)
{
	uint32_t *distance = scratch, *ends = scratch + ny * nx, cap = (uint32_t)margin_px + 1;
	double margin2 = margin_px * margin_px * (1 + 1e-12);

	column_distance(distance, mask, ny, nx, cap);
	for (size_t y = 0; y < ny; y++) {
		uint32_t open = 0, *closed = ends + nx;

		memset(ends, 0, sizeof *ends * 2 * nx);
		for (size_t x = 0; x < nx; x++) {
			double g = distance[y * nx + x];

			if (g >= cap)
				continue;
			size_t reach = (size_t)sqrt(margin2 - g * g);

			ends[x < reach ? 0 : x - reach]++;
			closed[nx - 1 - x < reach ? nx - 1 : x + reach]++;
		}
		for (size_t x = 0; x < nx; x++) {
			open += ends[x];
			mask[y * nx + x] = open > 0;
			open -= closed[x];
		}
	}
}

static double region_contrast(const float *image, const uint8_t *mask, size_t count,
			      double threshold)
{
	double in = 0, out = 0, out2 = 0;
	size_t in_px = 0, out_px = 0;

	for (size_t i = 0; i < count; i++) {
		double v = image[i] - threshold;

		if (mask[i]) {
			in += v;
			in_px++;
		} else if (v <= 0) {
			out += v;
			out2 += v * v;
			out_px++;
		}
	}
	if (!in_px || !out_px)
		return 0;
	double mean = out / (double)out_px;
	double sd = sqrt(fmax(0, out2 / (double)out_px - mean * mean));

	return sd > 0 ? (in / (double)in_px - mean) / sd : INFINITY;
}

static int check_image(const char *what, const float *image, const uint8_t *mask, size_t ny,
		       size_t nx, struct pn_error *err)
{
	if (ny < 1 || nx < 1 || ny > UINT32_MAX / nx)
		return pn_error_set(err, PN_EARG, "%s: an image of %zu x %zu pixels", what, ny, nx);
	for (size_t i = 0; i < ny * nx; i++)
		if (!isfinite(image[i]) && !(mask && mask[i]))
			return pn_error_set(err, PN_EARG, "%s: pixel %zu %zu is %g", what, i / nx,
					    i % nx, image[i]);
	return PN_OK;
}

static int check_particle_params(const struct pn_particle_params *p, struct pn_error *err)
{
	if (!(p->blur_px >= 0 && p->blur_px <= 64))
		return pn_error_set(err, PN_EARG, "particle mask: blur_px = %g: must be 0..64",
				    p->blur_px);
	if (!(p->margin_px >= 0 && p->margin_px <= 1000))
		return pn_error_set(err, PN_EARG, "particle mask: margin_px = %g: must be 0..1000",
				    p->margin_px);
	if (!(p->gap_px >= 0 && p->gap_px <= 256))
		return pn_error_set(err, PN_EARG, "particle mask: gap_px = %g: must be 0..256",
				    p->gap_px);
	if (!(p->contrast_min >= 0) || p->area_min_px < 1)
		return pn_error_set(err, PN_EARG,
				    "particle mask: contrast_min = %g, area_min_px = %lld: must be "
				    ">= 0 and >= 1",
				    p->contrast_min, (long long)p->area_min_px);
	return PN_OK;
}

/*
 * What lies less than gap_px apart becomes one, the outline stays where it is (a closing by a
 * disc): along a zone axis the dark between two rows of atoms cuts a particle into stripes.
 */
static void close_gaps(uint8_t *mask, uint32_t *scratch, size_t ny, size_t nx, double gap_px)
{
	grow(mask, scratch, ny, nx, gap_px / 2);
	for (size_t i = 0; i < ny * nx; i++)
		mask[i] = !mask[i];
	grow(mask, scratch, ny, nx, gap_px / 2);
	for (size_t i = 0; i < ny * nx; i++)
		mask[i] = !mask[i];
}

/* Threshold, gaps, largest region, holes; the judgement whether that is a particle. */
static int find_region(uint8_t *mask, const float *blurred, uint32_t *scratch, size_t ny, size_t nx,
		       const struct pn_particle_params *params, struct pn_particle *out,
		       struct pn_error *err)
{
	struct pn_region region;

	if (pn_otsu(blurred, ny * nx, &out->threshold, NULL))
		return pn_error_set(err, PN_ENOENT,
				    "particle mask: every pixel of the image is %g: no particle",
				    out->threshold);
	for (size_t i = 0; i < ny * nx; i++)
		mask[i] = blurred[i] > out->threshold;
	if (params->gap_px > 0)
		close_gaps(mask, scratch, ny, nx, params->gap_px);
	pn_largest_region(mask, scratch, ny, nx, &region);
	out->contrast = region_contrast(blurred, mask, ny * nx, out->threshold);
	fill_holes(mask, scratch, ny, nx);
	pn_largest_region(mask, scratch, ny, nx, &region);
	out->area_px = region.area_px;
	out->x_px = region.x_px;
	out->y_px = region.y_px;
	out->touches_border = region.touches_border;
	if (!(out->contrast >= params->contrast_min))
		return pn_error_set(err, PN_ENOENT,
				    "particle mask: the largest region (%zu px above %g) has "
				    "contrast %.3g, less than %g: no particle",
				    out->area_px, out->threshold, out->contrast,
				    params->contrast_min);
	if (out->area_px < (size_t)params->area_min_px)
		return pn_error_set(err, PN_ENOENT,
				    "particle mask: the largest region above %g has %zu px, less "
				    "than %lld: no particle",
				    out->threshold, out->area_px, (long long)params->area_min_px);
	if (out->touches_border && !params->border)
		return pn_error_set(err, PN_EARG,
				    "particle mask: the particle (%zu px around x %.1f, y %.1f) "
				    "touches the border of the image",
				    out->area_px, out->x_px, out->y_px);
	return PN_OK;
}

int pn_particle_mask(uint8_t *mask, const float *image, size_t ny, size_t nx,
		     const struct pn_particle_params *params, struct pn_particle *out,
		     struct pn_error *err)
{
	int rc = check_particle_params(params, err);

	*out = (struct pn_particle){ 0 };
	if (rc || (rc = check_image("particle mask", image, NULL, ny, nx, err)))
		return rc;
	size_t count = ny * nx;
	float *blurred = malloc(sizeof *blurred * 2 * count);
	uint32_t *scratch = malloc(sizeof *scratch * (2 * count + nx));

	if (!blurred || !scratch) {
		rc = pn_error_set(err, PN_ENOMEM, "particle mask: no memory for %zu x %zu pixels",
				  ny, nx);
		goto done;
	}
	pn_gauss_blur(blurred, image, blurred + count, ny, nx, params->blur_px);
	rc = find_region(mask, blurred, scratch, ny, nx, params, out, err);
	if (rc)
		goto done;
	grow(mask, scratch, ny, nx, params->margin_px);
	for (size_t i = 0; i < count; i++) {
		size_t y = i / nx, x = i % nx;

		out->mask_px += mask[i];
		out->mask_at_border |= mask[i] && (y == 0 || x == 0 || y + 1 == ny || x + 1 == nx);
	}
done:
	free(blurred);
	free(scratch);
	return rc;
}

/* ------------------------------------------------------------------ multigrid */

enum { LEVELS_MAX = 32, PARALLEL_PX = 1 << 16 };

/* Two steps of Jacobi whose error polynomial is least on the upper half of the spectrum, 0.5..2. */
static const float relax_first = 1.38965f, relax_second = 0.56186f;

/*
 * A grid of cells; arrays have one cell of border on the left and above, two on the right and
 * below, all zero but for what mirror() writes. Cell (y, x) is at (y + 1) stride + x + 1.
 */
struct grid {
	size_t ny, nx, stride;
	double side;                  /* of a cell, in pixels */
	int top, left, bottom, right; /* 1: nothing flows through that side */
	float *east, *south;          /* conductance to the next cell of the row, of the column */
	float *rim;                   /* links to the rim, counted */
	float *inverse;               /* 1 / sum of the conductances; 0 outside the domain */
	float *u, *next, *rhs;
};

struct solver {
	struct grid level[LEVELS_MAX];
	int levels;
	float *memory;
	double *x, *r, *p, *q, *sums; /* of level 0; sums [2][ny] */
};

static size_t grid_cells(const struct grid *g)
{
	return (g->ny + 3) * g->stride;
}

static size_t at(const struct grid *g, size_t y, size_t x)
{
	return (y + 1) * g->stride + x + 1;
}

static void invert_diagonal(struct grid *g)
{
	double to_rim = 2 / (g->side + 1);

	for (size_t y = 0; y < g->ny; y++)
		for (size_t x = 0; x < g->nx; x++) {
			size_t i = at(g, y, x);
			double sum = (double)g->east[i] + g->east[i - 1] + g->south[i] +
				     g->south[i - g->stride] + g->rim[i] * to_rim;

			g->inverse[i] = sum > 0 ? (float)(1 / sum) : 0;
		}
}

/* Links that cross from one cell to the next add up; twice the distance halves what they conduct.
 */
static void coarsen(struct grid *to, const struct grid *from)
{
	for (size_t y = 0; y < from->ny; y++)
		for (size_t x = 0; x < from->nx; x++) {
			size_t i = at(from, y, x), j = at(to, y / 2, x / 2);

			if (x % 2)
				to->east[j] += from->east[i] / 2;
			if (y % 2)
				to->south[j] += from->south[i] / 2;
			to->rim[j] += from->rim[i];
		}
	invert_diagonal(to);
}

/* out = u + omega (rhs - A u) / diagonal on one row. */
static void relax_row(float *restrict out, const float *restrict u, const struct grid *g, size_t y,
		      float omega)
{
	size_t i = at(g, y, 0), s = g->stride;
	const float *restrict e = g->east + i, *restrict d = g->south + i;
	const float *restrict inverse = g->inverse + i, *restrict rhs = g->rhs + i;

	out += i;
	u += i;
	for (ptrdiff_t x = 0; x < (ptrdiff_t)g->nx; x++) {
		float flow = e[x] * u[x + 1] + e[x - 1] * u[x - 1] + d[x] * u[x + (ptrdiff_t)s] +
			     d[x - (ptrdiff_t)s] * u[x - (ptrdiff_t)s];

		out[x] = u[x] + omega * ((rhs[x] + flow) * inverse[x] - u[x]);
	}
}

/* Outside the domain inverse, rhs and conductances are 0, and so u stays 0 there. */
static void relax(struct grid *g, float omega)
{
	float *swap = g->u;

#pragma omp parallel for schedule(static) if (g->ny * g->nx > PARALLEL_PX)
	for (size_t y = 0; y < g->ny; y++)
		relax_row(g->next, g->u, g, y, omega);
	g->u = g->next;
	g->next = swap;
}

/* The first step, from u = 0. */
static void relax_zero(struct grid *g, float omega)
{
#pragma omp parallel for schedule(static) if (g->ny * g->nx > PARALLEL_PX)
	for (size_t y = 0; y < g->ny; y++) {
		size_t i = at(g, y, 0);

		for (size_t x = i; x < i + g->nx; x++)
			g->u[x] = omega * g->rhs[x] * g->inverse[x];
	}
}

/* next = rhs - A u; 0 outside the domain, where nothing conducts. */
static void residual(struct grid *g)
{
	const float *restrict u = g->u;
	float *restrict out = g->next, to_rim = (float)(2 / (g->side + 1));
	ptrdiff_t s = (ptrdiff_t)g->stride;

#pragma omp parallel for schedule(static) if (g->ny * g->nx > PARALLEL_PX)
	for (size_t y = 0; y < g->ny; y++) {
		ptrdiff_t i = (ptrdiff_t)at(g, y, 0);

		for (ptrdiff_t x = i; x < i + (ptrdiff_t)g->nx; x++) {
			float e = g->east[x], w = g->east[x - 1], d = g->south[x];
			float a = g->south[x - s], links = e + w + d + a + g->rim[x] * to_rim;

			out[x] = g->rhs[x] + e * u[x + 1] + w * u[x - 1] + d * u[x + s] +
				 a * u[x - s] - links * u[x];
		}
	}
}

/*
 * The border of an array gets what interpolation is to see there: the cell next to it where
 * nothing flows through that side, else zero, the rim. @whole_y, @whole_x: 0 where the last cell
 * stands alone in its pair, whose place the border then is.
 */
static void mirror(const struct grid *g, float *a, int whole_y, int whole_x)
{
	for (size_t y = 0; y < g->ny; y++) {
		size_t i = at(g, y, 0), j = i + g->nx;

		a[i - 1] = g->left ? a[i] : 0;
		a[j] = g->right && whole_x ? a[j - 1] : 0;
	}
	float *first = a + at(g, 0, 0) - 1, *last = a + at(g, g->ny - 1, 0) - 1;

	for (size_t x = 0; x < g->nx + 2; x++) {
		first[(ptrdiff_t)x - (ptrdiff_t)g->stride] = g->top ? first[x] : 0;
		last[x + g->stride] = g->bottom && whole_y ? last[x] : 0;
	}
}

/* coarse rhs = transposed interpolation of the residual in fine next: weights 1 3 3 1 / 4 along
 * each axis. */
static void restrict_residual(struct grid *coarse, struct grid *fine)
{
	size_t s = fine->stride;

	mirror(fine, fine->next, fine->ny % 2 == 0, fine->nx % 2 == 0);
#pragma omp parallel for schedule(static) if (fine->ny * fine->nx > PARALLEL_PX)
	for (size_t y = 0; y < coarse->ny; y++) {
		const float *a = fine->next + at(fine, 2 * y, 0) - s;
		float *out = coarse->rhs + at(coarse, y, 0);
		const float *inverse = coarse->inverse + at(coarse, y, 0);

		for (size_t x = 0; x < coarse->nx; x++) {
			float column[4];

			for (size_t k = 0; k < 4; k++) {
				const float *b = a + 2 * x + k - 1;

				column[k] = b[0] + b[3 * s] + 3 * (b[s] + b[2 * s]);
			}
			float sum = column[0] + column[3] + 3 * (column[1] + column[2]);

			out[x] = inverse[x] > 0 ? sum / 16 : 0;
		}
	}
}

/* One row of the interpolation: @here the coarse row, @side the one on the other side. */
static void add_row(float *restrict u, const float *restrict inverse, const float *restrict here,
		    const float *restrict side, size_t nx)
{
	for (ptrdiff_t x = 0; x < (ptrdiff_t)(nx / 2); x++) {
		float middle = 9 * here[x] + 3 * side[x];
		float left = middle + 3 * here[x - 1] + side[x - 1];
		float right = middle + 3 * here[x + 1] + side[x + 1];

		u[2 * x] += inverse[2 * x] > 0 ? left / 16 : 0;
		u[2 * x + 1] += inverse[2 * x + 1] > 0 ? right / 16 : 0;
	}
	if (nx % 2 && inverse[nx - 1] > 0) {
		const float *b = here + nx / 2, *c = side + nx / 2;

		u[nx - 1] += (9 * b[0] + 3 * (b[-1] + c[0]) + c[-1]) / 16;
	}
}

/* fine u += interpolation of coarse u. */
static void add_correction(struct grid *fine, struct grid *coarse)
{
	mirror(coarse, coarse->u, 1, 1);
#pragma omp parallel for schedule(static) if (fine->ny * fine->nx > PARALLEL_PX)
	for (size_t y = 0; y < fine->ny; y++) {
		ptrdiff_t s = y % 2 ? (ptrdiff_t)coarse->stride : -(ptrdiff_t)coarse->stride;
		const float *c = coarse->u + at(coarse, y / 2, 0);
		size_t i = at(fine, y, 0);

		add_row(fine->u + i, fine->inverse + i, c, c + s, fine->nx);
	}
}

/* One symmetric V-cycle: u of level 0 becomes nearly A^-1 of its rhs. */
static void v_cycle(struct solver *m)
{
	for (int l = 0; l < m->levels; l++) {
		relax_zero(&m->level[l], relax_first);
		relax(&m->level[l], relax_second);
		if (l + 1 < m->levels) {
			residual(&m->level[l]);
			restrict_residual(&m->level[l + 1], &m->level[l]);
		}
	}
	for (int l = m->levels - 1; l >= 0; l--) {
		if (l + 1 < m->levels)
			add_correction(&m->level[l], &m->level[l + 1]);
		relax(&m->level[l], relax_second);
		relax(&m->level[l], relax_first);
	}
}

static void solver_finish(struct solver *m)
{
	free(m->memory);
	free(m->x);
}

/* Shapes and memory of all levels; level 0 has its ny, nx and sides already. */
static int solver_init(struct solver *m)
{
	size_t cells = 0;

	for (m->levels = 1; m->levels < LEVELS_MAX; m->levels++) {
		struct grid *fine = &m->level[m->levels - 1], *g = fine + 1;

		if (fine->ny == 1 && fine->nx == 1)
			break;
		*g = *fine;
		g->ny = (fine->ny + 1) / 2;
		g->nx = (fine->nx + 1) / 2;
		g->side = 2 * fine->side;
	}
	for (int l = 0; l < m->levels; l++) {
		m->level[l].stride = m->level[l].nx + 3;
		cells += grid_cells(&m->level[l]);
	}
	size_t fine = grid_cells(&m->level[0]);

	m->memory = calloc(7 * cells, sizeof *m->memory);
	m->x = calloc(4 * fine + 2 * m->level[0].ny, sizeof *m->x);
	if (!m->memory || !m->x)
		return PN_ENOMEM;
	m->r = m->x + fine;
	m->p = m->r + fine;
	m->q = m->p + fine;
	m->sums = m->q + fine;
	float *next = m->memory;
	for (int l = 0; l < m->levels; l++) {
		struct grid *g = &m->level[l];
		float **arrays[] = { &g->east, &g->south, &g->rim, &g->inverse,
				     &g->u,    &g->next,  &g->rhs };

		for (size_t k = 0; k < PN_COUNT(arrays); k++, next += grid_cells(g))
			*arrays[k] = next;
	}
	return PN_OK;
}

/* ------------------------------------------------------------------ conjugate gradients */

/* q = A p and p . q, from the links of level 0. */
static double apply(struct solver *m)
{
	const struct grid *g = &m->level[0];
	ptrdiff_t s = (ptrdiff_t)g->stride;
	const double *restrict p = m->p;
	double total = 0;

#pragma omp parallel for schedule(static) if (g->ny * g->nx > PARALLEL_PX)
	for (size_t y = 0; y < g->ny; y++) {
		ptrdiff_t i = (ptrdiff_t)at(g, y, 0);
		double sum = 0;

		for (ptrdiff_t x = i; x < i + (ptrdiff_t)g->nx; x++) {
			double e = g->east[x], w = g->east[x - 1], d = g->south[x];
			double a = g->south[x - s], links = e + w + d + a + (double)g->rim[x];

			m->q[x] = links * p[x] - e * p[x + 1] - w * p[x - 1] - d * p[x + s] -
				  a * p[x - s];
		}
		for (ptrdiff_t x = i; x < i + (ptrdiff_t)g->nx; x++)
			sum += p[x] * m->q[x];
		m->sums[y] = sum;
	}
	for (size_t y = 0; y < g->ny; y++)
		total += m->sums[y];
	return total;
}

/* x += step p, r -= step q, rhs of level 0 = r; returns the largest |r|. */
static double advance(struct solver *m, double step)
{
	const struct grid *g = &m->level[0];
	double worst = 0;

#pragma omp parallel for schedule(static) reduction(max : worst) if (g->ny * g->nx > PARALLEL_PX)
	for (size_t y = 0; y < g->ny; y++) {
		size_t i = at(g, y, 0);

		for (size_t x = i; x < i + g->nx; x++) {
			double r = m->r[x] - step * m->q[x];

			m->x[x] += step * m->p[x];
			m->r[x] = r;
			g->rhs[x] = (float)r;
			worst = fabs(r) > worst ? fabs(r) : worst;
		}
	}
	return worst;
}

/* r . z and the largest |z|, z = u of level 0. */
static double judge(struct solver *m, double *worst)
{
	const struct grid *g = &m->level[0];
	double total = 0, most = 0;

#pragma omp parallel for schedule(static) reduction(max : most) if (g->ny * g->nx > PARALLEL_PX)
	for (size_t y = 0; y < g->ny; y++) {
		size_t i = at(g, y, 0);
		double sum = 0;

		for (size_t x = i; x < i + g->nx; x++) {
			double z = g->u[x];

			sum += m->r[x] * z;
			most = fabs(z) > most ? fabs(z) : most;
		}
		m->sums[y] = sum;
	}
	for (size_t y = 0; y < g->ny; y++)
		total += m->sums[y];
	*worst = most;
	return total;
}

static void turn(struct solver *m, double beta)
{
	const struct grid *g = &m->level[0];

#pragma omp parallel for schedule(static) if (g->ny * g->nx > PARALLEL_PX)
	for (size_t y = 0; y < g->ny; y++) {
		size_t i = at(g, y, 0);

		for (size_t x = i; x < i + g->nx; x++)
			m->p[x] = g->u[x] + beta * m->p[x];
	}
}

/* r holds the right-hand side, x is 0. Returns 1 if the tolerance (absolute) was reached. */
static int solve(struct solver *m, double tolerance, int64_t iterations_max,
		 struct pn_laplace_result *result)
{
	double rz = 1;

	result->residual = advance(m, 0);
	for (result->iterations = 0;; result->iterations++) {
		v_cycle(m);
		double before = rz;

		rz = judge(m, &result->error);
		if (result->error <= tolerance && result->residual <= tolerance)
			return 1;
		if (result->iterations >= iterations_max || !(rz > 0))
			return 0;
		turn(m, result->iterations ? rz / before : 0);
		result->residual = advance(m, rz / apply(m));
	}
}

/* ------------------------------------------------------------------ the background */

struct window {
	size_t y0, x0, ny, nx; /* of the mask in the image */
};

static size_t mask_window(struct window *w, const uint8_t *mask, size_t ny, size_t nx)
{
	size_t y1 = 0, x1 = 0, count = 0;

	*w = (struct window){ .y0 = ny, .x0 = nx };
	for (size_t y = 0; y < ny; y++)
		for (size_t x = 0; x < nx; x++) {
			if (!mask[y * nx + x])
				continue;
			w->y0 = y < w->y0 ? y : w->y0;
			w->x0 = x < w->x0 ? x : w->x0;
			y1 = y;
			x1 = x > x1 ? x : x1;
			count++;
		}
	w->ny = y1 - w->y0 + 1;
	w->nx = x1 - w->x0 + 1;
	return count;
}

/* Mean of the image around a pixel of the rim, without what is in the mask. */
static double rim_value(const float *image, const uint8_t *mask, size_t ny, size_t nx, size_t y,
			size_t x, double radius)
{
	ptrdiff_t reach = (ptrdiff_t)radius;
	double sum = 0;
	size_t count = 0;

	for (ptrdiff_t v = -reach; v <= reach; v++)
		for (ptrdiff_t u = -reach; u <= reach; u++) {
			size_t row = y + (size_t)v, column = x + (size_t)u;

			if ((double)(u * u + v * v) > radius * radius || row >= ny ||
			    column >= nx || mask[row * nx + column])
				continue;
			sum += image[row * nx + column];
			count++;
		}
	return sum / (double)count;
}

struct rim {
	double low, high, base; /* base: subtracted from all, to be added at the end */
	size_t links;
};

/* Visit the neighbors outside the mask of each pixel inside; @add: 0 = look at their values only,
 * 1 = put them into the right-hand side. */
static void visit_rim(struct solver *m, struct rim *rim, const float *image, const uint8_t *mask,
		      size_t ny, size_t nx, const struct window *w, double radius, int add)
{
	struct grid *g = &m->level[0];

	for (size_t y = w->y0; y < w->y0 + w->ny; y++)
		for (size_t x = w->x0; x < w->x0 + w->nx; x++) {
			if (!mask[y * nx + x])
				continue;
			size_t i = at(g, y - w->y0, x - w->x0);
			size_t next[4][2] = {
				{ y, x - 1 }, { y, x + 1 }, { y - 1, x }, { y + 1, x }
			};

			for (int k = 0; k < 4; k++) {
				size_t v = next[k][0], u = next[k][1];

				if (v >= ny || u >= nx || mask[v * nx + u])
					continue;
				double value = rim_value(image, mask, ny, nx, v, u, radius);

				if (add) {
					g->rim[i] += 1;
					m->r[i] += value - rim->base;
				}
				rim->low = value < rim->low ? value : rim->low;
				rim->high = value > rim->high ? value : rim->high;
				rim->links++;
			}
		}
}

/* The equations of the fine grid, those of the coarse ones from them. */
static void build(struct solver *m, const uint8_t *mask, size_t nx, const struct window *w)
{
	struct grid *g = &m->level[0];

	for (size_t y = 0; y < w->ny; y++)
		for (size_t x = 0; x < w->nx; x++) {
			const uint8_t *here = mask + (w->y0 + y) * nx + w->x0 + x;
			size_t i = at(g, y, x);

			g->east[i] = *here && x + 1 < w->nx && here[1];
			g->south[i] = *here && y + 1 < w->ny && here[nx];
		}
	invert_diagonal(g);
	for (int l = 1; l < m->levels; l++)
		coarsen(&m->level[l], &m->level[l - 1]);
}

static int check_laplace(const float *image, const uint8_t *mask, size_t ny, size_t nx,
			 const struct pn_laplace_params *p, struct pn_error *err)
{
	if (!(p->rim_px >= 0 && p->rim_px <= 64))
		return pn_error_set(err, PN_EARG, "background: rim_px = %g: must be 0..64",
				    p->rim_px);
	if (!(p->tolerance >= 1e-12 && p->tolerance <= 0.1) || p->iterations_max < 1)
		return pn_error_set(err, PN_EARG,
				    "background: tolerance = %g, iterations_max = %lld: must be "
				    "1e-12..0.1 and >= 1",
				    p->tolerance, (long long)p->iterations_max);
	return check_image("background", image, mask, ny, nx, err);
}

static int fill_masked(float *out, struct solver *m, const float *image, const uint8_t *mask,
		       size_t ny, size_t nx, const struct window *w,
		       const struct pn_laplace_params *params, struct pn_laplace_result *result,
		       struct pn_error *err)
{
	struct rim rim = { .low = INFINITY, .high = -INFINITY };
	struct grid *g = &m->level[0];

	visit_rim(m, &rim, image, mask, ny, nx, w, params->rim_px, 0);
	if (!rim.links)
		return pn_error_set(err, PN_EARG,
				    "background: the mask covers all of the %zu x %zu pixels: no "
				    "rim to start from",
				    ny, nx);
	rim.base = (rim.low + rim.high) / 2;
	result->range = rim.high - rim.low;
	visit_rim(m, &rim, image, mask, ny, nx, w, params->rim_px, 1);
	build(m, mask, nx, w);
	if (result->range > 0 &&
	    !solve(m, params->tolerance * result->range, params->iterations_max, result))
		return pn_error_set(err, PN_ENOENT,
				    "background: residual %.3g, error %.3g of the range %g after "
				    "%d iterations: wanted %g",
				    result->residual / result->range, result->error / result->range,
				    result->range, result->iterations, params->tolerance);
	for (size_t y = 0; y < w->ny; y++)
		for (size_t x = 0; x < w->nx; x++) {
			size_t i = (w->y0 + y) * nx + w->x0 + x;

			if (mask[i])
				out[i] = (float)(m->x[at(g, y, x)] + rim.base);
		}
	return PN_OK;
}

int pn_laplace_fill(float *out, const float *image, const uint8_t *mask, size_t ny, size_t nx,
		    const struct pn_laplace_params *params, struct pn_laplace_result *result,
		    struct pn_error *err)
{
	struct pn_laplace_result own;
	struct window w;
	int rc = check_laplace(image, mask, ny, nx, params, err);

	result = result ? result : &own;
	*result = (struct pn_laplace_result){ 0 };
	if (rc)
		return rc;
	if (out != image)
		memcpy(out, image, ny * nx * sizeof *out);
	if (!mask_window(&w, mask, ny, nx))
		return PN_OK;
	struct solver m = { .level = { {
				    .ny = w.ny,
				    .nx = w.nx,
				    .side = 1,
				    .top = w.y0 == 0,
				    .left = w.x0 == 0,
				    .bottom = w.y0 + w.ny == ny,
				    .right = w.x0 + w.nx == nx,
			    } } };

	if (solver_init(&m))
		rc = pn_error_set(err, PN_ENOMEM, "background: no memory for %zu x %zu pixels",
				  w.ny, w.nx);
	else
		rc = fill_masked(out, &m, image, mask, ny, nx, &w, params, result, err);
	solver_finish(&m);
	return rc;
}

int pn_laplace_subtract(float *out, const float *image, const uint8_t *mask, size_t ny, size_t nx,
			const struct pn_laplace_params *params, struct pn_laplace_result *result,
			struct pn_error *err)
{
	int rc = check_image("background", image, NULL, ny, nx, err);

	if (rc)
		return rc;
	float *background = malloc(ny * nx * sizeof *background);

	if (!background)
		return pn_error_set(err, PN_ENOMEM, "background: no memory for %zu x %zu pixels",
				    ny, nx);
	rc = pn_laplace_fill(background, image, mask, ny, nx, params, result, err);
	for (size_t i = 0; !rc && i < ny * nx; i++)
		out[i] = mask[i] ? image[i] - background[i] : 0;
	free(background);
	return rc;
}
