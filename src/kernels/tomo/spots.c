/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CUT_SIGMA 4.5
#define LANES_MAX 592 /* 2 * 4.5 * 64 pixels, filled up */

typedef float lanes8 __attribute__((vector_size(PN_SPOT_LANES * sizeof(float))));
typedef int32_t lanes8_int __attribute__((vector_size(PN_SPOT_LANES * sizeof(int32_t))));

/* A row or a column of a Gaussian: E, and E times the first and second power of the distance. */
struct line {
	lanes8 e[LANES_MAX / PN_SPOT_LANES], x[LANES_MAX / PN_SPOT_LANES],
		xx[LANES_MAX / PN_SPOT_LANES];
};

static void gauss_init(struct pn_spot_gauss *g, double variance_px2, double intensity)
{
	g->variance_px2 = variance_px2;
	g->intensity = intensity;
	g->falloff = (float)(0.5 / variance_px2);
	g->radius = (int)ceil(CUT_SIGMA * sqrt(variance_px2));
	g->lanes = (2 * g->radius + PN_SPOT_LANES) / PN_SPOT_LANES * PN_SPOT_LANES;
}

void pn_spot_plan_init(struct pn_spot_plan *plan, const struct pn_linear_model *model, size_t ny,
		       size_t nx)
{
	double pixel2 = model->pixel_A * model->pixel_A;
	int reach = 0;

	memset(plan, 0, sizeof *plan);
	plan->model = model;
	plan->ny = ny;
	plan->nx = nx;
	for (int s = 0; s < model->species_count; s++)
		for (int g = 0; g < model->spot[s].gaussians; g++) {
			struct pn_spot_gauss *gauss = &plan->gauss[s][g];

			gauss_init(gauss,
				   model->spot[s].variance_A2[g] / pixel2 +
					   (model->integrate ? 1.0 / 12 : 0),
				   model->spot[s].intensity[g]);
			reach = gauss->lanes > reach ? gauss->lanes : reach;
		}
	/* a spot is drawn while its centre is at most half its width outside */
	plan->margin = (size_t)(reach + PN_SPOT_LANES);
	plan->rows = ny + 2 * plan->margin;
	plan->stride = (nx + 2 * plan->margin + PN_SPOT_LANES - 1) / PN_SPOT_LANES * PN_SPOT_LANES;
}

float *pn_spot_canvas_create(const struct pn_spot_plan *plan)
{
	return calloc(pn_spot_canvas(plan), sizeof(float));
}

void pn_spot_seen(const struct pn_spot_plan *plan, const struct pn_pose *pose, size_t a, double *x,
		  double *y)
{
	const double *r = plan->model->position_A[a], pixel = plan->model->pixel_A;
	const double(*m)[3] = pose->rotation;

	*x = (m[0][0] * r[0] + m[0][1] * r[1] + m[0][2] * r[2]) / pixel + pose->shift_px[0] +
	     (double)(plan->nx / 2);
	*y = (m[1][0] * r[0] + m[1][1] * r[1] + m[1][2] * r[2]) / pixel + pose->shift_px[1] +
	     (double)(plan->ny / 2);
}

/*
 * exp(x) for x <= 0 to 2e-7 of 1, 0 below -80: 2^n times the power series of 2^f, |f| <= 1/2; n is
 * found by adding a number so large that the fraction falls off.
 */
static inline void exp8(lanes8 *value)
{
	const float round = 12582912; /* 1.5 * 2^23 */
	lanes8 t = *value * 1.44269504f;
	lanes8_int inside = t > -115;

	t = (lanes8)((lanes8_int)t & inside);
	lanes8 n = t + round;
	lanes8 f = t - (n - round);
	lanes8_int power = ((lanes8_int)n - 0x4b400000) * (1 << 23);
	lanes8 p = 1.5403530e-4f * f + 1.3333558e-3f;

	p = p * f + 9.6181291e-3f;
	p = p * f + 5.5504109e-2f;
	p = p * f + 2.4022651e-1f;
	p = p * f + 6.9314718e-1f;
	p = p * f + 1;
	*value = (lanes8)(((lanes8_int)p + power) & inside);
}

/* E at pixels first, first + 1, ... from the centre of the Gaussian. */
static inline void line_value(lanes8 *e, const struct pn_spot_gauss *gauss, double first)
{
	const lanes8 step = { 0, 1, 2, 3, 4, 5, 6, 7 };

	for (int v = 0; v < gauss->lanes / PN_SPOT_LANES; v++) {
		lanes8 x = step + (float)(first + v * PN_SPOT_LANES);

		e[v] = x * x * -gauss->falloff;
		exp8(&e[v]);
	}
}

static inline void line_moments(struct line *line, const struct pn_spot_gauss *gauss, double first)
{
	const lanes8 step = { 0, 1, 2, 3, 4, 5, 6, 7 };

	line_value(line->e, gauss, first);
	for (int v = 0; v < gauss->lanes / PN_SPOT_LANES; v++) {
		lanes8 x = step + (float)(first + v * PN_SPOT_LANES);

		line->x[v] = x * line->e[v];
		line->xx[v] = x * line->x[v];
	}
}

/* Where the pixels of a spot begin: column, row in the canvas, and how far from its centre. */
struct place {
	size_t at;
	double x_first, y_first;
};

/* 0 if no pixel of it is in the image. */
static inline int place_of(struct place *p, const struct pn_spot_plan *plan,
			   const struct pn_spot_gauss *gauss, double x, double y)
{
	int half = gauss->lanes / 2;

	/* written so that a NaN is outside */
	if (!(x > -half && y > -half && x < (double)plan->nx + half && y < (double)plan->ny + half))
		return 0;
	double x0 = floor(x + 0.5) - half, y0 = floor(y + 0.5) - gauss->radius;

	p->at = (size_t)(y0 + (double)plan->margin) * plan->stride +
		(size_t)(x0 + (double)plan->margin);
	p->x_first = x0 - x;
	p->y_first = y0 - y;
	return 1;
}

/* canvas += column x row; @column one float per row of the canvas */
static inline void outer_add(float *restrict canvas, size_t stride, const float *restrict column,
			     int rows, const lanes8 *restrict row, int vectors)
{
	for (int j = 0; j < rows; j++, canvas += stride)
		for (int v = 0; v < vectors; v++) {
			lanes8 sum;

			memcpy(&sum, canvas + v * PN_SPOT_LANES, sizeof sum);
			sum += row[v] * column[j];
			memcpy(canvas + v * PN_SPOT_LANES, &sum, sizeof sum);
		}
}

/* The commonest widths with a count the compiler knows. */
static void outer(float *canvas, size_t stride, const float *column, int rows, const lanes8 *row,
		  int vectors)
{
	switch (vectors) {
	case 1:
		outer_add(canvas, stride, column, rows, row, 1);
		break;
	case 2:
		outer_add(canvas, stride, column, rows, row, 2);
		break;
	case 3:
		outer_add(canvas, stride, column, rows, row, 3);
		break;
	default:
		outer_add(canvas, stride, column, rows, row, vectors);
	}
}

static void gauss_add(const struct pn_spot_plan *plan, float *canvas,
		      const struct pn_spot_gauss *gauss, double x, double y, double factor)
{
	lanes8 row[LANES_MAX / PN_SPOT_LANES], column[LANES_MAX / PN_SPOT_LANES];
	int vectors = gauss->lanes / PN_SPOT_LANES;
	struct place p;

	if (!place_of(&p, plan, gauss, x, y))
		return;
	line_value(row, gauss, p.x_first);
	line_value(column, gauss, p.y_first);
	for (int v = 0; v < vectors; v++)
		row[v] *= (float)(factor / (2 * M_PI * gauss->variance_px2));
	outer(canvas + p.at, plan->stride, (const float *)column, 2 * gauss->radius + 1, row,
	      vectors);
}

/* d/dv of E / (2 pi v) = (r^2 / 2v^2 - 1/v) E / (2 pi v), a sum of two outer products. */
static void gauss_add_by_variance(const struct pn_spot_plan *plan, float *canvas,
				  const struct pn_spot_gauss *gauss, double x, double y,
				  double factor)
{
	double v1 = gauss->variance_px2, amplitude = factor / (2 * M_PI * v1);
	int vectors = gauss->lanes / PN_SPOT_LANES, rows = 2 * gauss->radius + 1;
	struct line row, column;
	struct place p;

	if (!place_of(&p, plan, gauss, x, y))
		return;
	line_moments(&row, gauss, p.x_first);
	line_moments(&column, gauss, p.y_first);
	for (int v = 0; v < vectors; v++) {
		row.xx[v] = (row.xx[v] * (float)(0.5 / (v1 * v1)) - row.e[v] * (float)(1 / v1)) *
			    (float)amplitude;
		row.e[v] *= (float)(amplitude * 0.5 / (v1 * v1));
	}
	outer(canvas + p.at, plan->stride, (const float *)column.e, rows, row.xx, vectors);
	outer(canvas + p.at, plan->stride, (const float *)column.xx, rows, row.e, vectors);
}

void pn_spot_add(const struct pn_spot_plan *plan, float *canvas, int species, double x, double y,
		 double factor)
{
	for (int g = 0; g < plan->model->spot[species].gaussians; g++) {
		const struct pn_spot_gauss *gauss = &plan->gauss[species][g];

		gauss_add(plan, canvas, gauss, x, y, factor * gauss->intensity);
	}
}

void pn_spot_window(const struct pn_spot_plan *plan, int species, double x_first, double y_first,
		    int ny, int lanes, float *window)
{
	lanes8 row[LANES_MAX / PN_SPOT_LANES], column[LANES_MAX / PN_SPOT_LANES];

	memset(window, 0, (size_t)ny * (size_t)lanes * sizeof *window);
	for (int g = 0; species != PN_NO_ATOM && g < plan->model->spot[species].gaussians; g++) {
		struct pn_spot_gauss gauss = plan->gauss[species][g];

		gauss.lanes = lanes;
		line_value(row, &gauss, x_first);
		gauss.lanes = (ny + PN_SPOT_LANES - 1) / PN_SPOT_LANES * PN_SPOT_LANES;
		line_value(column, &gauss, y_first);
		for (int v = 0; v < lanes / PN_SPOT_LANES; v++)
			row[v] *= (float)(gauss.intensity / (2 * M_PI * gauss.variance_px2));
		outer(window, (size_t)lanes, (const float *)column, ny, row, lanes / PN_SPOT_LANES);
	}
}

void pn_spot_draw(const struct pn_spot_plan *plan, const struct pn_pose *pose, float *canvas)
{
	memset(canvas, 0, pn_spot_canvas(plan) * sizeof *canvas);
	for (size_t a = 0; a < plan->model->count; a++) {
		double x, y;

		if (plan->model->species[a] == PN_NO_ATOM)
			continue;
		pn_spot_seen(plan, pose, a, &x, &y);
		pn_spot_add(plan, canvas, plan->model->species[a], x, y, 1);
	}
}

void pn_spot_draw_part(const struct pn_spot_plan *plan, const struct pn_pose *pose, float *canvas,
		       int species, int g, enum pn_spot_part part)
{
	const struct pn_spot_gauss *gauss = &plan->gauss[species][g];
	double pixel2 = plan->model->pixel_A * plan->model->pixel_A;

	memset(canvas, 0, pn_spot_canvas(plan) * sizeof *canvas);
	for (size_t a = 0; a < plan->model->count; a++) {
		double x, y;

		if (plan->model->species[a] != species)
			continue;
		pn_spot_seen(plan, pose, a, &x, &y);
		if (part == PN_SPOT_BY_VARIANCE)
			gauss_add_by_variance(plan, canvas, gauss, x, y, gauss->intensity / pixel2);
		else
			gauss_add(plan, canvas, gauss, x, y, 1);
	}
}

static inline double sum8(const lanes8 *value)
{
	double sum = 0;

	for (int i = 0; i < PN_SPOT_LANES; i++)
		sum += (double)(*value)[i];
	return sum;
}

/* Rows first, then their sums with the powers of y: nine operations per eight pixels. */
static inline void moments_of(struct pn_spot_moments *out, const float *restrict canvas,
			      size_t stride, const struct line *row, const float *e, const float *y,
			      const float *yy, int rows, int vectors)
{
	lanes8 m = { 0 }, mx = { 0 }, my = { 0 }, mxx = { 0 }, mxy = { 0 }, myy = { 0 };

	for (int j = 0; j < rows; j++, canvas += stride) {
		lanes8 s = { 0 }, sx = { 0 }, sxx = { 0 };

		for (int v = 0; v < vectors; v++) {
			lanes8 value;

			memcpy(&value, canvas + v * PN_SPOT_LANES, sizeof value);
			s += value * row->e[v];
			sx += value * row->x[v];
			sxx += value * row->xx[v];
		}
		m += s * e[j];
		mx += sx * e[j];
		mxx += sxx * e[j];
		my += s * y[j];
		mxy += sx * y[j];
		myy += s * yy[j];
	}
	out->m = sum8(&m);
	out->x = sum8(&mx);
	out->y = sum8(&my);
	out->xx = sum8(&mxx);
	out->xy = sum8(&mxy);
	out->yy = sum8(&myy);
}

/* All 0 where the spot is outside the image. */
static void gauss_moments(struct pn_spot_moments *out, const struct pn_spot_plan *plan,
			  const float *canvas, const struct pn_spot_gauss *gauss, double x,
			  double y)
{
	int rows = 2 * gauss->radius + 1, vectors = gauss->lanes / PN_SPOT_LANES;
	struct line row, column;
	struct place p;

	memset(out, 0, sizeof *out);
	if (!place_of(&p, plan, gauss, x, y))
		return;
	line_moments(&row, gauss, p.x_first);
	line_moments(&column, gauss, p.y_first);
	const float *e = (const float *)column.e, *ey = (const float *)column.x;
	const float *eyy = (const float *)column.xx;

	canvas += p.at;
	switch (vectors) {
	case 1:
		moments_of(out, canvas, plan->stride, &row, e, ey, eyy, rows, 1);
		break;
	case 2:
		moments_of(out, canvas, plan->stride, &row, e, ey, eyy, rows, 2);
		break;
	case 3:
		moments_of(out, canvas, plan->stride, &row, e, ey, eyy, rows, 3);
		break;
	default:
		moments_of(out, canvas, plan->stride, &row, e, ey, eyy, rows, vectors);
	}
}

void pn_spot_gather(const struct pn_spot_plan *plan, const struct pn_pose *pose,
		    const float *canvas, double (*seen)[2], struct pn_spot_sums *sums)
{
	double pixel2 = plan->model->pixel_A * plan->model->pixel_A;

	memset(sums, 0, sizeof *sums);
	for (size_t a = 0; a < plan->model->count; a++) {
		int s = plan->model->species[a];
		double x, y;

		seen[a][0] = seen[a][1] = 0;
		if (s == PN_NO_ATOM)
			continue;
		pn_spot_seen(plan, pose, a, &x, &y);
		for (int g = 0; g < plan->model->spot[s].gaussians; g++) {
			const struct pn_spot_gauss *gauss = &plan->gauss[s][g];
			double v = gauss->variance_px2, norm = 1 / (2 * M_PI * v);
			struct pn_spot_moments m;

			gauss_moments(&m, plan, canvas, gauss, x, y);
			seen[a][0] += gauss->intensity * norm / v * m.x;
			seen[a][1] += gauss->intensity * norm / v * m.y;
			sums->intensity[s][g] += norm * m.m;
			sums->variance_A2[s][g] += gauss->intensity * norm / pixel2 *
						   ((m.xx + m.yy) / (2 * v * v) - m.m / v);
		}
		sums->shift_px[0] += seen[a][0];
		sums->shift_px[1] += seen[a][1];
	}
}

/* Two Gaussians about one centre multiply to one: the curvature is made of its moments. */
void pn_spot_curvature(const struct pn_spot_plan *plan, const struct pn_pose *pose,
		       const float *canvas, double scale, double (*seen)[3])
{
	const struct pn_linear_model *model = plan->model;

	for (size_t a = 0; a < model->count; a++) {
		int s = model->species[a];
		double x, y;

		memset(seen[a], 0, sizeof seen[a]);
		if (s == PN_NO_ATOM)
			continue;
		pn_spot_seen(plan, pose, a, &x, &y);
		for (int i = 0; i < model->spot[s].gaussians; i++)
			for (int j = 0; j <= i; j++) {
				const struct pn_spot_gauss *p = &plan->gauss[s][i];
				const struct pn_spot_gauss *q = &plan->gauss[s][j];
				double pq = p->variance_px2 * q->variance_px2;
				double factor = scale * scale * p->intensity * q->intensity *
						(i == j ? 1 : 2) / (4 * M_PI * M_PI * pq * pq);
				struct pn_spot_gauss both;
				struct pn_spot_moments m;

				gauss_init(&both, pq / (p->variance_px2 + q->variance_px2), 1);
				gauss_moments(&m, plan, canvas, &both, x, y);
				seen[a][0] += factor * m.xx;
				seen[a][1] += factor * m.xy;
				seen[a][2] += factor * m.yy;
			}
	}
}
