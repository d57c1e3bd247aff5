/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "extended_rays.h"

#include <math.h>
#include <string.h>

#define BLOCK 16 /* planes x = const that are added to together: a cache line of each row */

typedef float four __attribute__((vector_size(16), aligned(4)));

/*
 * The rays of one row of an image, in voxels from the corner of the box: ray i at the plane s is
 * found at a = a0 + a_ray i + a_step s, b = b0 + b_ray i + b_step s. For planes of constant z a is
 * x, for planes of constant x it is z; b is y.
 */
struct fan {
	int along_x;
	float length; /* between two planes */
	float a0, a_ray, a_step, b0, b_ray, b_step;
};

static int along_x(const struct pn_rays *r, const struct pn_pose *pose)
{
	return r->box.nz > 1 && fabs(pose->rotation[2][0]) > fabs(pose->rotation[2][2]);
}

static void set_fan(struct fan *f, const struct pn_rays *r, const struct pn_pose *pose, size_t row)
{
	const double(*q)[3] = pose->rotation;
	const double origin[3] = { (double)(r->box.nx / 2), (double)(r->box.ny / 2),
				   (double)(r->box.nz / 2) };
	double dx = -(double)(r->nx / 2) - pose->shift_px[0],
	       dy = (double)row - (double)(r->ny / 2) - pose->shift_px[1], start[3];
	int step = along_x(r, pose) ? 0 : 2, other = 2 - step;

	for (int a = 0; a < 3; a++)
		start[a] = q[0][a] * dx + q[1][a] * dy + origin[a];
	double a_slope = q[2][other] / q[2][step], b_slope = q[2][1] / q[2][step];

	*f = (struct fan){
		.along_x = step == 0,
		.length = (float)(1.0 / fabs(q[2][step])),
		.a0 = (float)(start[other] - a_slope * start[step]),
		.a_ray = (float)(q[0][other] - a_slope * q[0][step]),
		.a_step = (float)a_slope,
		.b0 = (float)(start[1] - b_slope * start[step]),
		.b_ray = (float)(q[0][1] - b_slope * q[0][step]),
		.b_step = (float)b_slope,
	};
}

/* The planes x = const, first <= s < end, at which ray @i is within the depth of the box. */
static void range_of(ptrdiff_t *first, ptrdiff_t *end, const struct pn_rays *r, const struct fan *f,
		     size_t i)
{
	float at = f->a0 + f->a_ray * (float)i, last = (float)(r->box.nz - 1),
	      one = (0.0f - at) / f->a_step, two = (last - at) / f->a_step;
	float low = fmaxf(ceilf(fminf(one, two)), 0.0f),
	      high = fminf(floorf(fmaxf(one, two)), (float)(r->box.nx - 1));

	*first = (ptrdiff_t)low;
	*end = high < low ? *first : (ptrdiff_t)high + 1;
}

/* Where a ray meets a plane: the first of 4 x 4 voxels, and their weights. */
struct place {
	ptrdiff_t a, b;
	four wa, wb;
};

/* Keys' cubic convolution of the four voxels around a point that is @t after the second. */
static inline four cubic(float t)
{
	float t2 = t * t, t3 = t2 * t;

	return (four){ -0.5f * t3 + t2 - 0.5f * t, 1.5f * t3 - 2.5f * t2 + 1.0f,
		       -1.5f * t3 + 2.0f * t2 + 0.5f * t, 0.5f * t3 - 0.5f * t2 };
}

static inline struct place meet(const struct fan *f, size_t i, ptrdiff_t s)
{
	float a = f->a0 + f->a_ray * (float)i + f->a_step * (float)s,
	      b = f->b0 + f->b_ray * (float)i + f->b_step * (float)s;
	/* rounding may leave a little below 0 of the beginning of the depth */
	ptrdiff_t ia = (ptrdiff_t)a, ib = (ptrdiff_t)b;

	return (struct place){ ia - 1, ib - 1, cubic(a - (float)ia), cubic(b - (float)ib) };
}

static inline float sum_of(four v)
{
	return (v[0] + v[1]) + (v[2] + v[3]);
}

/* In a plane of constant z at @u: x and y stay inside. */
static inline float sample_z(const float *u, struct place p, ptrdiff_t row)
{
	const float *v = u + p.b * row + p.a;
	four sum = p.wb[0] * *(const four *)v;

	for (int y = 1; y < 4; y++)
		sum += p.wb[y] * *(const four *)(v + y * row);
	return sum_of(sum * p.wa);
}

static inline void splat_z(float *u, struct place p, ptrdiff_t row, float value)
{
	float *v = u + p.b * row + p.a;
	four part = value * p.wa;

	for (int y = 0; y < 4; y++)
		*(four *)(v + y * row) += p.wb[y] * part;
}

/* In a plane of constant x at @u: y stays inside, and there is nothing above and below z. */
static inline float sample_x(const float *u, struct place p, ptrdiff_t plane, ptrdiff_t row,
			     ptrdiff_t nz)
{
	float sum = 0.0f;

	for (int z = 0; z < 4; z++) {
		if (p.a + z < 0 || p.a + z >= nz)
			continue;
		const float *v = u + (p.a + z) * plane + p.b * row;

		sum += p.wa[z] * ((p.wb[0] * v[0] + p.wb[1] * v[row]) +
				  (p.wb[2] * v[2 * row] + p.wb[3] * v[3 * row]));
	}
	return sum;
}

static inline void splat_x(float *u, struct place p, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t nz,
			   float value)
{
	for (int z = 0; z < 4; z++) {
		if (p.a + z < 0 || p.a + z >= nz)
			continue;
		float *v = u + (p.a + z) * plane + p.b * row, part = value * p.wa[z];

		for (int y = 0; y < 4; y++)
			v[y * row] += p.wb[y] * part;
	}
}

static void project_row(const struct pn_rays *r, const struct fan *f, const float *volume,
			const float *weight, float *image)
{
	const ptrdiff_t row = (ptrdiff_t)r->box.nx, plane = (ptrdiff_t)r->box.ny * row,
			nz = (ptrdiff_t)r->box.nz;

	if (f->along_x) {
		for (size_t i = 0; i < r->nx; i++) {
			ptrdiff_t first, end;

			if (!(weight[i] > 0.0f))
				continue;
			range_of(&first, &end, r, f, i);
			for (ptrdiff_t s = first; s < end; s++)
				image[i] += sample_x(volume + s, meet(f, i, s), plane, row, nz);
		}
	} else {
		for (ptrdiff_t s = 0; s < nz; s++)
			for (size_t i = 0; i < r->nx; i++)
				if (weight[i] > 0.0f)
					image[i] +=
						sample_z(volume + s * plane, meet(f, i, s), row);
	}
	for (size_t i = 0; i < r->nx; i++)
		image[i] *= f->length;
}

void pn_rays_project(const struct pn_rays *r, const float *volume, float *image)
{
#pragma omp parallel for schedule(dynamic, 4)
	for (size_t i = 0; i < r->count * r->ny; i++) {
		struct fan fan;
		const struct pn_pose *pose = &r->pose[i / r->ny];

		memset(image + i * r->nx, 0, r->nx * sizeof *image);
		set_fan(&fan, r, pose, i % r->ny);
		project_row(r, &fan, volume, r->weight + i * r->nx, image + i * r->nx);
	}
}

/* Everything that rays steep to planes of constant z add to one of them. */
static void add_plane_z(const struct pn_rays *r, const float *image, ptrdiff_t z, float *volume)
{
	const ptrdiff_t row = (ptrdiff_t)r->box.nx, plane = (ptrdiff_t)r->box.ny * row;

	memset(volume + z * plane, 0, (size_t)plane * sizeof *volume);
	for (size_t j = 0; j < r->count * r->ny; j++) {
		const struct pn_pose *pose = &r->pose[j / r->ny];
		struct fan f;

		if (along_x(r, pose))
			continue;
		set_fan(&f, r, pose, j % r->ny);
		for (size_t i = 0; i < r->nx; i++) {
			float value = image[j * r->nx + i];

			if (value != 0.0f && r->weight[j * r->nx + i] > 0.0f)
				splat_z(volume + z * plane, meet(&f, i, z), row, value * f.length);
		}
	}
}

/* The same for the planes x = const of a block. */
static void add_planes_x(const struct pn_rays *r, const float *image, ptrdiff_t x0, ptrdiff_t x1,
			 float *volume)
{
	const ptrdiff_t row = (ptrdiff_t)r->box.nx, plane = (ptrdiff_t)r->box.ny * row,
			nz = (ptrdiff_t)r->box.nz;

	for (size_t j = 0; j < r->count * r->ny; j++) {
		const struct pn_pose *pose = &r->pose[j / r->ny];
		struct fan f;

		if (!along_x(r, pose))
			continue;
		set_fan(&f, r, pose, j % r->ny);
		for (size_t i = 0; i < r->nx; i++) {
			float value = image[j * r->nx + i] * f.length;
			ptrdiff_t first, end;

			if (value == 0.0f || !(r->weight[j * r->nx + i] > 0.0f))
				continue;
			range_of(&first, &end, r, &f, i);
			first = first > x0 ? first : x0;
			end = end < x1 ? end : x1;
			for (ptrdiff_t s = first; s < end; s++)
				splat_x(volume + s, meet(&f, i, s), plane, row, nz, value);
		}
	}
}

void pn_rays_backproject(const struct pn_rays *r, const float *image, float *volume)
{
	const ptrdiff_t nx = (ptrdiff_t)r->box.nx, blocks = (nx + BLOCK - 1) / BLOCK;

#pragma omp parallel for schedule(dynamic, 1)
	for (size_t z = 0; z < r->box.nz; z++)
		add_plane_z(r, image, (ptrdiff_t)z, volume);
#pragma omp parallel for schedule(dynamic, 1)
	for (ptrdiff_t k = 0; k < blocks; k++)
		add_planes_x(r, image, k * BLOCK, k * BLOCK + BLOCK < nx ? k * BLOCK + BLOCK : nx,
			     volume);
}
