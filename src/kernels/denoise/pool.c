/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOISE_PAIRS_MAX 256 /* enough for the third digit of a correlation */

/* One crop. */
struct held {
	struct pn_window_crop crop;
	float *image;
	uint64_t order; /* of coming */
};

struct pn_pool {
	uint64_t capacity, count, added;
	struct held *held; /* [capacity], by particle and frame */
	uint64_t *run;     /* [capacity]: number of the run each belongs to */
	struct pn_noise noise;
};

int pn_pool_create(struct pn_pool **pool, uint64_t capacity, struct pn_error *err)
{
	struct pn_pool *p = calloc(1, sizeof *p);

	*pool = NULL;
	if (p) {
		p->capacity = capacity;
		p->held = calloc(capacity, sizeof *p->held);
		p->run = calloc(capacity, sizeof *p->run);
	}
	if (!p || !p->held || !p->run) {
		pn_pool_destroy(p);
		return pn_error_set(err, PN_ENOMEM, "pool: no memory for %llu crops",
				    (unsigned long long)capacity);
	}
	*pool = p;
	return PN_OK;
}

void pn_pool_destroy(struct pn_pool *pool)
{
	if (!pool)
		return;
	for (uint64_t i = 0; i < pool->count; i++)
		free(pool->held[i].image);
	free(pool->held);
	free(pool->run);
	free(pool);
}

/* ---- order ----------------------------------------------------------------------------------- */

static int before(const struct pn_window_crop *a, const struct pn_window_crop *b)
{
	return a->particle != b->particle ? a->particle < b->particle : a->frame < b->frame;
}

/* First place whose crop is not before @crop. */
static uint64_t place_of(const struct pn_pool *pool, const struct pn_window_crop *crop)
{
	uint64_t at = 0;

	while (at < pool->count && before(&pool->held[at].crop, crop))
		at++;
	return at;
}

static void number_runs(struct pn_pool *pool)
{
	for (uint64_t i = 1; i < pool->count; i++) {
		const struct pn_window_crop *a = &pool->held[i - 1].crop, *b = &pool->held[i].crop;
		int goes_on = a->particle == b->particle && a->frame + 1 == b->frame;

		pool->run[i] = pool->run[i - 1] + !goes_on;
	}
}

static void remove_oldest(struct pn_pool *pool)
{
	uint64_t oldest = 0;

	for (uint64_t i = 1; i < pool->count; i++)
		if (pool->held[i].order < pool->held[oldest].order)
			oldest = i;
	free(pool->held[oldest].image);
	pool->count--;
	memmove(&pool->held[oldest], &pool->held[oldest + 1],
		(pool->count - oldest) * sizeof *pool->held);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static int all_finite(const float *image, size_t pixels)
{
	int finite = 1;

	for (size_t k = 0; k < pixels; k++)
		finite &= isfinite(image[k]) != 0;
	return finite;
}

/* The noise of this crop and the one before it, where both lie on the same pixels of the detector.
 */
static void add_noise(struct pn_pool *pool, uint64_t at)
{
	const struct held *a = at ? &pool->held[at - 1] : NULL, *b = &pool->held[at];

	if (!a || pool->noise.pairs >= NOISE_PAIRS_MAX || pool->run[at] != pool->run[at - 1] ||
	    a->crop.ny != b->crop.ny || a->crop.nx != b->crop.nx)
		return;
	int dy = (int)llabs(a->crop.y0_px - b->crop.y0_px),
	    dx = (int)llabs(a->crop.x0_px - b->crop.x0_px);
	int rows = b->crop.ny - dy, columns = b->crop.nx - dx;

	if (rows < 32 || columns < 32)
		return;
	float *pair = malloc(2 * (size_t)rows * (size_t)columns * sizeof *pair);
	if (!pair)
		return; /* one pair less */
	int64_t y0 = a->crop.y0_px > b->crop.y0_px ? a->crop.y0_px : b->crop.y0_px;
	int64_t x0 = a->crop.x0_px > b->crop.x0_px ? a->crop.x0_px : b->crop.x0_px;

	for (int k = 0; k < 2; k++) {
		const struct held *from = k ? b : a;

		for (int y = 0; y < rows; y++)
			memcpy(pair + ((size_t)k * rows + y) * columns,
			       from->image + (size_t)(y0 - from->crop.y0_px + y) * from->crop.nx +
				       (x0 - from->crop.x0_px),
			       (size_t)columns * sizeof *pair);
	}
	/* equal images say nothing of noise, and are no error here */
	pn_noise_add(&pool->noise, pair, pair + (size_t)rows * columns, (size_t)rows,
		     (size_t)columns, NULL);
	free(pair);
}

/* The same pixels as on the frame before, where both lie: recorded twice. */
static int repeats(const struct held *before, const struct pn_window_crop *crop, const float *image)
{
	const struct pn_window_crop *was = &before->crop;
	int64_t y0 = was->y0_px > crop->y0_px ? was->y0_px : crop->y0_px;
	int64_t x0 = was->x0_px > crop->x0_px ? was->x0_px : crop->x0_px;
	int64_t a = was->y0_px + was->ny, b = crop->y0_px + crop->ny, y1 = a < b ? a : b;

	a = was->x0_px + was->nx;
	b = crop->x0_px + crop->nx;
	int64_t x1 = a < b ? a : b;

	if (was->particle != crop->particle || was->frame + 1 != crop->frame || y1 <= y0 ||
	    x1 <= x0)
		return 0;
	for (int64_t y = y0; y < y1; y++)
		if (memcmp(before->image + (y - was->y0_px) * was->nx + (x0 - was->x0_px),
			   image + (y - crop->y0_px) * crop->nx + (x0 - crop->x0_px),
			   (size_t)(x1 - x0) * sizeof *image) != 0)
			return 0;
	return 1;
}

int pn_pool_add(struct pn_pool *pool, const struct pn_window_crop *crop, const float *image,
		struct pn_error *err)
{
	size_t pixels = (size_t)crop->ny * (size_t)crop->nx;
	uint64_t at = place_of(pool, crop);

	if (!all_finite(image, pixels))
		return pn_error_set(err, PN_EFRAME, "frame %llu: a pixel is not a finite number",
				    (unsigned long long)crop->frame);
	if (at < pool->count && !before(crop, &pool->held[at].crop))
		return pn_error_set(err, PN_EFRAME, "particle %llu a second time on frame %llu",
				    (unsigned long long)crop->particle,
				    (unsigned long long)crop->frame);
	if (at && repeats(&pool->held[at - 1], crop, image))
		return pn_error_set(err, PN_EFRAME,
				    "particle %llu: frame %llu repeats the one before it: noise "
				    "that is seen twice teaches nothing",
				    (unsigned long long)crop->particle,
				    (unsigned long long)crop->frame);
	float *copy = malloc(pixels * sizeof *copy);
	if (!copy)
		return pn_error_set(err, PN_ENOMEM, "pool: no memory for a crop of %zu pixels",
				    pixels);
	memcpy(copy, image, pixels * sizeof *copy);
	if (pool->count == pool->capacity) {
		remove_oldest(pool);
		at = place_of(pool, crop);
	}
	memmove(&pool->held[at + 1], &pool->held[at], (pool->count - at) * sizeof *pool->held);
	pool->held[at] = (struct held){ *crop, copy, pool->added++ };
	pool->count++;
	number_runs(pool);
	add_noise(pool, at);
	return PN_OK;
}

/* ---- as a source -------------------------------------------------------------------------------
 */

static void place(void *arg, uint64_t image, struct pn_train_place *place)
{
	const struct pn_pool *pool = arg;
	const struct pn_window_crop *crop = &pool->held[image].crop;

	*place = (struct pn_train_place){ .run = pool->run[image],
					  .y0_px = crop->y0_px,
					  .x0_px = crop->x0_px,
					  .ny = crop->ny,
					  .nx = crop->nx };
}

static int read_piece(void *arg, uint64_t image, int y, int x, int ny, int nx, float *out,
		      struct pn_error *err)
{
	const struct pn_pool *pool = arg;
	const struct held *held = &pool->held[image];

	(void)err;
	for (int row = 0; row < ny; row++)
		memcpy(out + (size_t)row * nx, held->image + (size_t)(y + row) * held->crop.nx + x,
		       (size_t)nx * sizeof *out);
	return PN_OK;
}

struct pn_train_source pn_pool_source(struct pn_pool *pool)
{
	return (struct pn_train_source){
		.arg = pool, .count = pool->count, .place = place, .read = read_piece
	};
}

const struct pn_noise *pn_pool_noise(const struct pn_pool *pool)
{
	return &pool->noise;
}
