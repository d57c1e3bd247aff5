/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Poses about y only: x = base + cx X + cz Z, whatever Y is. So A is a sparse matrix between (Z, X)
 * and (projection, x), the same for every plane of constant Y, and is applied to whole rows of Y,
 * which the volume and the images are turned to for that purpose, in blocks of as many planes as
 * the registers hold. Both directions gather: a pixel from the voxels above it along the axis that
 * is more perpendicular to the beam, a voxel from its pixels in all projections.
 */
#include "perrin/math/fft.h"
#include "projector_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	GROUP = 8,                     /* sheets of the volume at a time, at most */
	BLOCK_BYTES = 288 << 10,       /* of a group: about half of a second cache */
	WEIGHT_BYTES = 2 << 20,        /* of a group */
	STRIPE = 16,                   /* columns of an image that are turned together */
	LONGEST = 4096 + 2 * SINC_TAPS /* of a run */
};

/* One projection: along x by pn_projector.view, along y a filter. */
struct row_filter {
	size_t taps;
	ptrdiff_t first; /* image row y takes the planes y + first ... */
	float w[SINC_TAPS];
};

/* What is taken at a time: @group sheets of @runs (a sheet is what has one Z, or one X). */
struct sheets {
	int along_z;  /* runs along Z, sheets of constant X; else along X, sheets of constant Z */
	size_t *view; /* [views] that use them */
	size_t views, taps, group, chunk, run, pitch;
};

struct axis_work {
	size_t wide, blocks; /* planes per block, blocks */
	struct row_filter *row;
	struct sheets gather[2], spread; /* forward, two ways; backward */
	size_t guard, pitch;             /* of the images along x */
	float *image;                    /* [blocks][count][pitch][wide] */
	float *block;                    /* [blocks][group][pitch][wide] */
	float *weight;                   /* of lines [taps][pixels or voxels] */
	int32_t *first;                  /* of lines [pixels or voxels] */
};

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t between(size_t x, size_t low, size_t high)
{
	return x < low ? low : x > high ? high : x;
}

/* Whole numbers that an open interval holds at most. */
static size_t holds(double length)
{
	return (size_t)ceil(length - 1e-9);
}

/* Lines of weights, so that those of several taps do not fall on one another in the cache. */
static size_t padded(size_t n)
{
	return n + 16;
}

static inline int32_t clamped(double x, double low, double high)
{
	x = x > low ? x : low;
	return (int32_t)(x < high ? x : high);
}

/* Cut what fits into the caches. */
static void size_sheets(struct sheets *s, const struct axis_work *work, size_t weights_per_view)
{
	/* sheets of constant X come eight at a time, as they stand in the lines of the volume */
	s->group = s->along_z ? GROUP
			      : between(BLOCK_BYTES / (s->pitch * work->wide * sizeof(float)), 1,
					GROUP);
	s->chunk = between(WEIGHT_BYTES / (weights_per_view * s->group * sizeof(float)), 1, 64);
}

static void row_filter(const struct pn_projector *p, const struct view *v, struct row_filter *row)
{
	const float none[2] = { 0 };
	const double reach = p->footprint == PN_FOOTPRINT_SINC ? SINC_HALF : 1;
	float d[SINC_TAPS];

	/* pixel y, plane Y: d = y - (base + Y) */
	row->taps = holds(2 * reach);
	row->first = (ptrdiff_t)floor(-v->base[1] - reach) + 1;
	for (size_t t = 0; t < row->taps; t++)
		d[t] = (float)(-(double)(row->first + (ptrdiff_t)t) - v->base[1]);
	projector_weights(p, none, d, row->w, row->taps);
	/* a shift by whole pixels leaves one tap */
	while (row->taps > 1 && row->w[row->taps - 1] == 0)
		row->taps--;
	size_t skip = 0;
	while (skip + 1 < row->taps && row->w[skip] == 0)
		skip++;
	row->taps -= skip;
	row->first += (ptrdiff_t)skip;
	memmove(row->w, row->w + skip, row->taps * sizeof *row->w);
}

/* Voxels of a run that a pixel of one projection takes from, at most. */
static size_t taps_of(const struct pn_projector *p, size_t k, int along_z)
{
	const struct view *v = &p->view[k];

	return holds(2 * projector_reach(p, v, 0) / fabs(v->step[0][2 * along_z]));
}

static void sort_views(const struct pn_projector *p, struct axis_work *work)
{
	double reach_max = 0;

	for (size_t k = 0; k < p->count; k++) {
		const struct view *v = &p->view[k];
		int along_z = fabs(v->step[0][0]) < fabs(v->step[0][2]);
		struct sheets *s = &work->gather[along_z];

		s->view[s->views++] = k;
		s->taps = larger(s->taps, taps_of(p, k, along_z));
		reach_max = fmax(reach_max, projector_reach(p, v, 0));
		row_filter(p, v, &work->row[k]);
	}
	for (int i = 0; i < 2; i++) {
		struct sheets *s = &work->gather[i];

		s->along_z = i;
		s->run = i ? p->box.nz : p->box.nx;
		s->pitch = s->run + 2 * s->taps;
		size_sheets(s, work, padded(p->nx) * s->taps + 1);
	}
	work->spread.taps = holds(2 * reach_max);
	work->spread.run = work->spread.pitch = p->box.nx;
	work->spread.views = p->count;
	size_sheets(&work->spread, work, padded(p->box.nx) * work->spread.taps);
	work->guard = work->spread.taps;
	/* odd, so that the projections do not fall on one another in the cache */
	work->pitch = (p->nx + 2 * work->guard) | 1;
}

static int take_scratch(const struct pn_projector *p, struct axis_work *work, struct pn_error *err)
{
	size_t block = 0, weight = 0, first = 0;

	for (int i = 0; i < 3; i++) {
		const struct sheets *s = i < 2 ? &work->gather[i] : &work->spread;
		size_t lines = s->group * s->chunk * padded(i < 2 ? p->nx : p->box.nx);

		block = larger(block, work->blocks * s->group * s->pitch * work->wide);
		weight = larger(weight, lines * s->taps);
		first = larger(first, lines);
	}
	work->image =
		pn_fft_alloc(work->blocks * p->count * work->pitch * work->wide * sizeof(float));
	work->block = pn_fft_alloc(block * sizeof(float));
	work->weight = pn_fft_alloc(weight * sizeof(float));
	work->first = pn_fft_alloc(first * sizeof(int32_t));
	if (!work->image || !work->block || !work->weight || !work->first)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu projections of %zu x %zu",
				    p->count, p->ny, p->nx);
	return PN_OK;
}

int axis_plan(struct pn_projector *p, struct pn_error *err)
{
	struct axis_work *work = p->axis = calloc(1, sizeof *work);

	if (work) {
		work->row = calloc(p->count, sizeof *work->row);
		work->gather[0].view = calloc(p->count, sizeof(size_t));
		work->gather[1].view = calloc(p->count, sizeof(size_t));
		work->spread.view = calloc(p->count, sizeof(size_t));
	}
	if (!work || !work->row || !work->gather[0].view || !work->gather[1].view ||
	    !work->spread.view)
		return pn_error_set(err, PN_ENOMEM, "no memory for a projector in %zu poses",
				    p->count);
	/* 64 planes are the faster block where they do not waste more */
	work->wide = (p->box.ny + 31) / 32 % 2 ? 32 : 64;
	work->blocks = (p->box.ny + work->wide - 1) / work->wide;
	for (size_t k = 0; k < p->count; k++)
		work->spread.view[k] = k;
	sort_views(p, work);
	return take_scratch(p, work, err);
}

void axis_destroy(struct axis_work *work)
{
	if (!work)
		return;
	free(work->row);
	free(work->gather[0].view);
	free(work->gather[1].view);
	free(work->spread.view);
	pn_fft_free(work->image);
	pn_fft_free(work->block);
	pn_fft_free(work->weight);
	pn_fft_free(work->first);
	free(work);
}

static float *image_row(const struct pn_projector *p, size_t block, size_t k, ptrdiff_t x)
{
	const struct axis_work *work = p->axis;

	return work->image +
	       ((block * p->count + k) * work->pitch + (size_t)(x + (ptrdiff_t)work->guard)) *
		       work->wide;
}

/* ---- shared by both directions -------------------------------------------------------------- */

/* to[c][r] = from[r][c] of 8 x 8: neighbors, pairs of them, halves */
static inline void turn_tile(const float *from, size_t from_row, float *to, size_t to_row)
{
	lanes a[8], b[8];

	for (int i = 0; i < 8; i++)
		a[i] = *(const lanes *)(from + (size_t)i * from_row);
	for (int i = 0; i < 8; i += 2) {
		b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
		b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
	}
	for (int i = 0; i < 8; i += 4)
		for (int j = i; j < i + 2; j++) {
			a[j] = __builtin_shufflevector(b[j], b[j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
			a[j + 2] =
				__builtin_shufflevector(b[j], b[j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
		}
	for (int i = 0; i < 4; i++) {
		b[i] = __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
		b[i + 4] = __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
	}
	for (int i = 0; i < 8; i++)
		*(lanes *)(to + (size_t)i * to_row) = b[i];
}

/* to[c][r] = from[r][c] of @rows x @columns */
static void turn(const float *from, size_t from_row, size_t rows, size_t columns, float *to,
		 size_t to_row)
{
	const size_t whole_r = rows & ~(size_t)7, whole_c = columns & ~(size_t)7;

	for (size_t r = 0; r < whole_r; r += 8)
		for (size_t c = 0; c < whole_c; c += 8)
			turn_tile(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
	for (size_t r = 0; r < rows; r++)
		for (size_t c = r < whole_r ? whole_c : 0; c < columns; c++)
			to[c * to_row + r] = from[r * from_row + c];
}

/*
 * The inner loop of both directions: to each of @count neighboring rows add what @sources say,
 * @taps rows of each from first[] on. Weights and first rows stand in lines of @line.
 */
static inline __attribute__((always_inline)) void
gather_rows(float *rows, size_t count, const float *source, size_t next, size_t sources,
	    size_t taps, const float *weight, const int32_t *first, size_t line, int fresh,
	    const int vecs)
{
	for (size_t i = 0; i < count; i++) {
		lanes *to = (lanes *)rows + i * (size_t)vecs;
		const float *w = weight + i;
		lanes sum[8];

		for (int j = 0; j < vecs; j++)
			sum[j] = fresh ? (lanes){ 0 } : to[j];
		for (size_t s = 0; s < sources; s++) {
			const lanes *row = (const lanes *)(source + s * next) +
					   (ptrdiff_t)first[s * line + i] * vecs;

			for (size_t t = 0; t < taps; t++, w += line, row += vecs)
				for (int j = 0; j < vecs; j++)
					sum[j] += *w * row[j];
		}
		for (int j = 0; j < vecs; j++)
			to[j] = sum[j];
	}
}

static void gather(size_t wide, float *rows, size_t count, const float *source, size_t next,
		   size_t sources, size_t taps, const float *weight, const int32_t *first,
		   size_t line, int fresh)
{
	if (wide == 64)
		gather_rows(rows, count, source, next, sources, taps, weight, first, line, fresh,
			    8);
	else
		gather_rows(rows, count, source, next, sources, taps, weight, first, line, fresh,
			    4);
}

/* Sources at a time, so that their rows for one stripe stay in the first cache. */
static size_t sources_for(size_t taps)
{
	return taps > 8 ? 1 : 4;
}

/* ---- forward -------------------------------------------------------------------------------- */

/* [block][sheet][run with zeros on both sides][wide] of the volume's sheets @from .. */
static void pack(const struct pn_projector *p, const struct sheets *s, size_t from, size_t sheets,
		 const float *volume)
{
	const struct axis_work *work = p->axis;
	const size_t ny = p->box.ny, nx = p->box.nx, wide = work->wide, next = s->pitch * wide;
	const size_t turns = s->along_z ? s->run : sheets;

#pragma omp for schedule(static) nowait
	for (size_t item = 0; item < work->blocks * sheets; item++) {
		float *sheet = work->block + (item / sheets * s->group + item % sheets) * next;

		memset(sheet, 0, s->taps * wide * sizeof *sheet);
		memset(sheet + (s->taps + s->run) * wide, 0, s->taps * wide * sizeof *sheet);
	}
	/* planes that only fill the last block may hold anything: nobody looks at them */
#pragma omp for schedule(static)
	for (size_t item = 0; item < work->blocks * turns; item++) {
		const size_t b = item / turns, i = item % turns,
			     planes = between(ny - b * wide, 0, wide);
		const float *at = volume + b * wide * nx;
		float *to = work->block + (b * s->group * s->pitch + s->taps) * wide;

		if (s->along_z)
			turn(at + i * ny * nx + from, nx, planes, sheets, to + i * wide, next);
		else
			turn(at + (from + i) * ny * nx, nx, planes, nx, to + i * next, wide);
	}
}

/* Weights of the pixels of one projection in one sheet: [taps][x], from run index first[x] on. */
static void weigh_pixels(const struct pn_projector *p, const struct sheets *s, size_t k,
			 size_t taps, size_t sheet, float *weight, int32_t *first)
{
	const struct view *v = &p->view[k];
	const double at = (double)sheet, slope = v->step[0][2 * s->along_z];
	const double start = s->along_z ? view_at(v, 0, at, 0, 0) : view_at(v, 0, 0, 0, at);
	const double half = projector_reach(p, v, 0) / fabs(slope), turn = 1 / slope;
	const size_t nx = p->nx;
	float d[LONGEST];

	for (size_t x = 0; x < nx; x++)
		first[x] = clamped(floor(((double)x - start) * turn - half) + 1, -(double)s->taps,
				   (double)s->run);
	for (size_t t = 0; t < taps; t++) {
		if (s->along_z)
			for (size_t x = 0; x < nx; x++)
				d[x] = (float)((double)x -
					       view_at(v, 0, at, 0, first[x] + (double)t));
		else
			for (size_t x = 0; x < nx; x++)
				d[x] = (float)((double)x -
					       view_at(v, 0, first[x] + (double)t, 0, at));
		projector_weights(p, v->offset[0], d, weight + t * padded(nx), nx);
	}
}

/* All pixels of one projection in one block of planes, from the sheets at hand. */
static void gather_image(const struct pn_projector *p, const struct sheets *s, size_t block,
			 size_t i, size_t k, size_t sheets)
{
	const struct axis_work *work = p->axis;
	const size_t taps = taps_of(p, k, s->along_z), step = sources_for(taps);
	const size_t line = padded(p->nx), next = s->pitch * work->wide;
	const float *sheet = work->block + (block * s->group * s->pitch + s->taps) * work->wide;
	const float *weight = work->weight + i * sheets * s->taps * line;
	const int32_t *first = work->first + i * sheets * line;

	for (size_t x = 0; x < p->nx; x += STRIPE)
		for (size_t g = 0; g < sheets; g += step)
			gather(work->wide, image_row(p, block, k, (ptrdiff_t)x),
			       between(p->nx - x, 0, STRIPE), sheet + g * next, next,
			       between(sheets - g, 0, step), taps, weight + g * taps * line + x,
			       first + g * line + x, line, 0);
}

static void gather_sheets(const struct pn_projector *p, const struct sheets *s, size_t from,
			  size_t sheets)
{
	const struct axis_work *work = p->axis;
	const size_t line = padded(p->nx);

	for (size_t start = 0; start < s->views; start += s->chunk) {
		const size_t views = between(s->views - start, 0, s->chunk);

#pragma omp for schedule(static)
		for (size_t item = 0; item < views * sheets; item++) {
			const size_t i = item / sheets, g = item % sheets, k = s->view[start + i];
			const size_t taps = taps_of(p, k, s->along_z);

			weigh_pixels(p, s, k, taps, from + g,
				     work->weight + (i * sheets * s->taps + g * taps) * line,
				     work->first + item * line);
		}
#pragma omp for schedule(static)
		for (size_t i = 0; i < work->blocks * views; i++)
			gather_image(p, s, i / views, i % views, s->view[start + i % views],
				     sheets);
	}
}

/* Rows of the images from the planes, turned back. */
static void finish_stripe(const struct pn_projector *p, size_t k, size_t x0, float *image)
{
	const struct axis_work *work = p->axis;
	const struct row_filter *row = &work->row[k];
	const size_t across = between(p->nx - x0, 0, STRIPE), wide = work->wide;

	for (size_t y = 0; y < p->ny; y++) {
		float sum[STRIPE] = { 0 };

		for (size_t t = 0; t < row->taps; t++) {
			ptrdiff_t plane = (ptrdiff_t)(y + t) + row->first;

			if (plane < 0 || plane >= (ptrdiff_t)p->box.ny)
				continue;
			const float *at = image_row(p, (size_t)plane / wide, k, (ptrdiff_t)x0) +
					  (size_t)plane % wide;
			for (size_t x = 0; x < across; x++)
				sum[x] += row->w[t] * at[x * wide];
		}
		memcpy(image + (k * p->ny + y) * p->nx + x0, sum, across * sizeof *sum);
	}
}

void axis_project(struct pn_projector *p, const float *volume, float *image)
{
	struct axis_work *work = p->axis;
	const size_t stripes = (p->nx + STRIPE - 1) / STRIPE;

#pragma omp parallel num_threads(p->threads)
	{
#pragma omp for schedule(static)
		for (size_t i = 0; i < work->blocks * p->count; i++)
			memset(work->image + i * work->pitch * work->wide, 0,
			       work->pitch * work->wide * sizeof(float));
		for (int i = 0; i < 2; i++) {
			const struct sheets *s = &work->gather[i];
			const size_t all = s->views ? (i ? p->box.nx : p->box.nz) : 0;

			for (size_t from = 0; from < all; from += s->group) {
				const size_t sheets = between(all - from, 0, s->group);

				pack(p, s, from, sheets, volume);
				gather_sheets(p, s, from, sheets);
			}
		}
#pragma omp for schedule(static)
		for (size_t i = 0; i < p->count * stripes; i++)
			finish_stripe(p, i / stripes, i % stripes * STRIPE, image);
	}
}

/* ---- backward ------------------------------------------------------------------------------- */

/* The adjoint of finish_stripe. */
static void start_stripe(const struct pn_projector *p, size_t k, size_t x0, const float *image)
{
	const struct axis_work *work = p->axis;
	const struct row_filter *row = &work->row[k];
	const size_t across = between(p->nx - x0, 0, STRIPE), wide = work->wide;

	for (size_t plane = 0; plane < work->blocks * wide; plane++) {
		float sum[STRIPE] = { 0 };
		float *to = image_row(p, plane / wide, k, (ptrdiff_t)x0) + plane % wide;

		for (size_t t = 0; plane < p->box.ny && t < row->taps; t++) {
			ptrdiff_t y = (ptrdiff_t)plane - row->first - (ptrdiff_t)t;

			if (y < 0 || y >= (ptrdiff_t)p->ny)
				continue;
			const float *at = image + (k * p->ny + (size_t)y) * p->nx + x0;
			for (size_t x = 0; x < across; x++)
				sum[x] += row->w[t] * at[x];
		}
		for (size_t x = 0; x < across; x++)
			to[x * wide] = sum[x];
	}
}

static void clear_guards(const struct pn_projector *p, size_t block, size_t k)
{
	const struct axis_work *work = p->axis;
	const size_t right = work->pitch - work->guard - p->nx, row = work->wide * sizeof(float);

	memset(image_row(p, block, k, -(ptrdiff_t)work->guard), 0, work->guard * row);
	memset(image_row(p, block, k, (ptrdiff_t)p->nx), 0, right * row);
}

/* Weights of the voxels of one sheet in one projection: [taps][X], from pixel first[X] on. */
static void weigh_voxels(const struct pn_projector *p, const struct sheets *s, size_t k, size_t z,
			 float *weight, int32_t *first)
{
	const struct view *v = &p->view[k];
	const double reach = projector_reach(p, v, 0), at = (double)z;
	const size_t nx = p->box.nx;
	float d[LONGEST];

	for (size_t x = 0; x < nx; x++)
		first[x] = clamped(floor(view_at(v, 0, (double)x, 0, at) - reach) + 1,
				   -(double)s->taps, (double)p->nx);
	for (size_t t = 0; t < s->taps; t++) {
		for (size_t x = 0; x < nx; x++)
			d[x] = (float)((first[x] + (double)t) - view_at(v, 0, (double)x, 0, at));
		projector_weights(p, v->offset[0], d, weight + t * padded(nx), nx);
	}
}

/* A stripe of voxels in all sheets at hand and one block of planes, from @views projections. */
static void spread_stripe(const struct pn_projector *p, size_t block, size_t x, size_t sheets,
			  size_t start, size_t views)
{
	const struct axis_work *work = p->axis;
	const struct sheets *s = &work->spread;
	const size_t nx = p->box.nx, wide = work->wide, next = work->pitch * wide,
		     line = padded(nx);
	const size_t step = sources_for(s->taps), count = between(nx - x, 0, STRIPE);

	for (size_t k = 0; k < views; k += step)
		for (size_t g = 0; g < sheets; g++) {
			const size_t at = (g * views + k) * line;

			gather(wide, work->block + ((block * s->group + g) * nx + x) * wide, count,
			       image_row(p, block, start + k, 0), next, between(views - k, 0, step),
			       s->taps, work->weight + at * s->taps + x, work->first + at + x, line,
			       start + k == 0);
		}
}

static void spread_sheets(const struct pn_projector *p, size_t from, size_t sheets)
{
	const struct axis_work *work = p->axis;
	const struct sheets *s = &work->spread;
	const size_t nx = p->box.nx, stripes = (nx + STRIPE - 1) / STRIPE, line = padded(nx);

	for (size_t start = 0; start < s->views; start += s->chunk) {
		const size_t views = between(s->views - start, 0, s->chunk);

#pragma omp for schedule(static)
		for (size_t i = 0; i < sheets * views; i++)
			weigh_voxels(p, s, start + i % views, from + i / views,
				     work->weight + i * line * s->taps, work->first + i * line);
#pragma omp for schedule(static)
		for (size_t item = 0; item < work->blocks * stripes; item++)
			spread_stripe(p, item / stripes, item % stripes * STRIPE, sheets, start,
				      views);
	}
}

static void unpack(const struct pn_projector *p, size_t from, size_t sheets, float *volume)
{
	const struct axis_work *work = p->axis;
	const size_t ny = p->box.ny, nx = p->box.nx, wide = work->wide;

#pragma omp for schedule(static)
	for (size_t item = 0; item < work->blocks * sheets; item++) {
		const size_t b = item / sheets, g = item % sheets, y0 = b * wide;
		const size_t planes = between(ny - y0, 0, wide);
		const float *at = work->block + (b * work->spread.group + g) * nx * wide;
		float *to = volume + ((from + g) * ny + y0) * nx;

		/* so that a few lines of the volume are written at a time */
		for (size_t y = 0; y < planes; y += PROJECTOR_LANES)
			turn(at + y, wide, nx, between(planes - y, 0, PROJECTOR_LANES), to + y * nx,
			     nx);
	}
}

void axis_backproject(struct pn_projector *p, const float *image, float *volume)
{
	struct axis_work *work = p->axis;
	const size_t stripes = (p->nx + STRIPE - 1) / STRIPE, nz = p->box.nz;

#pragma omp parallel num_threads(p->threads)
	{
#pragma omp for schedule(static)
		for (size_t i = 0; i < p->count * stripes; i++)
			start_stripe(p, i / stripes, i % stripes * STRIPE, image);
#pragma omp for schedule(static)
		for (size_t i = 0; i < work->blocks * p->count; i++)
			clear_guards(p, i / p->count, i % p->count);
		for (size_t from = 0; from < nz; from += work->spread.group) {
			const size_t sheets = between(nz - from, 0, work->spread.group);

			spread_sheets(p, from, sheets);
			unpack(p, from, sheets, volume);
		}
	}
}
