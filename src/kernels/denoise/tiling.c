/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/tiling.h"

#include <stdlib.h>
#include <string.h>

struct pn_tiler {
	const struct pn_net *net;
	struct pn_tiling tiling;
	int moving;
	double offset, scale;
	struct pn_denoiser *denoiser; /* of a tile of ny x nx; NULL: none yet */
	int ny, nx;
	int tile;              /* whose features it holds; -1: of none */
	float *copies, *clean; /* of the tile: [room] of a movie's images, one of what comes out */
	size_t room;           /* images, of the largest tile */
};

/* ---- cutting ------------------------------------------------------------------------------- */

static int tiles_along(int side, int tile_px, int margin_px)
{
	int inner = tile_px - 2 * margin_px;

	return side <= tile_px ? 1 : inner < 1 ? 0 : (side - 2 * margin_px + inner - 1) / inner;
}

int pn_tiling_make(struct pn_tiling *tiling, int ny, int nx, int tile_px, int margin_px,
		   struct pn_error *err)
{
	*tiling = (struct pn_tiling){ ny, nx, margin_px, tiles_along(ny, tile_px, margin_px),
				      tiles_along(nx, tile_px, margin_px) };
	if (ny < 1 || nx < 1 || margin_px < 0)
		return pn_error_set(err, PN_EARG, "tiles of images of %d x %d, margin %d px", ny,
				    nx, margin_px);
	if (tiling->rows && tiling->columns)
		return PN_OK;
	return pn_error_set(err, PN_EARG,
			    "tiles of %d px: an image of %d x %d px needs more than 2 x %d px, "
			    "which are seen around each",
			    tile_px, ny, nx, margin_px);
}

/* Where tile @k of @count begins: inner ones of equal length, outer ones with a margin more. */
static int begin_of(int k, int count, int side, int margin_px)
{
	if (k == 0 || k == count)
		return k ? side : 0;
	return margin_px + (int)((int64_t)(side - 2 * margin_px) * k / count);
}

/* One axis of a tile: what it gives and what it takes in. */
static void along(int k, int count, int side, int margin_px, int *begin, int *length, int *from,
		  int *in_length)
{
	int end = begin_of(k + 1, count, side, margin_px);

	*begin = begin_of(k, count, side, margin_px);
	*length = end - *begin;
	*from = k ? *begin - margin_px : 0;
	*in_length = (k + 1 < count ? end + margin_px : side) - *from;
}

struct pn_tile pn_tiling_at(const struct pn_tiling *tiling, int index)
{
	struct pn_tile tile;

	along(index / tiling->columns, tiling->rows, tiling->ny, tiling->margin_px, &tile.y0,
	      &tile.ny, &tile.from_y, &tile.in_ny);
	along(index % tiling->columns, tiling->columns, tiling->nx, tiling->margin_px, &tile.x0,
	      &tile.nx, &tile.from_x, &tile.in_nx);
	return tile;
}

static int tile_count(const struct pn_tiling *tiling)
{
	return tiling->rows * tiling->columns;
}

/* ---- making -------------------------------------------------------------------------------- */

int pn_tiler_create(struct pn_tiler **tiler, const struct pn_net *net, int ny, int nx, int tile_px,
		    int moving, double offset, double scale, struct pn_error *err)
{
	int margin_px = pn_net_layout_of(net)->field_px + (moving ? PN_SHIFT_MAX_PX : 0);
	struct pn_tiling tiling;

	*tiler = NULL;
	int rc = pn_tiling_make(&tiling, ny, nx, tile_px, margin_px, err);
	if (rc)
		return rc;
	struct pn_tiler *t = calloc(1, sizeof *t);
	if (!t)
		return pn_error_set(err, PN_ENOMEM, "tiles: no memory");
	t->net = net;
	t->tiling = tiling;
	t->moving = moving;
	t->offset = offset;
	t->scale = scale;
	t->tile = -1;
	*tiler = t;
	return PN_OK;
}

void pn_tiler_destroy(struct pn_tiler *tiler)
{
	if (!tiler)
		return;
	pn_denoiser_destroy(tiler->denoiser);
	free(tiler->copies);
	free(tiler->clean);
	free(tiler);
}

const struct pn_tiling *pn_tiler_tiling(const struct pn_tiler *tiler)
{
	return &tiler->tiling;
}

/* Sides of the largest tile. */
static void largest(const struct pn_tiling *tiling, int *ny, int *nx)
{
	*ny = *nx = 0;
	for (int i = 0; i < tile_count(tiling); i++) {
		struct pn_tile tile = pn_tiling_at(tiling, i);

		*ny = tile.in_ny > *ny ? tile.in_ny : *ny;
		*nx = tile.in_nx > *nx ? tile.in_nx : *nx;
	}
}

uint64_t pn_tiler_bytes(const struct pn_tiler *tiler, uint64_t targets)
{
	uint64_t images = targets + (uint64_t)pn_net_spec_of(tiler->net)->frames - 1;
	int ny, nx;

	largest(&tiler->tiling, &ny, &nx);
	uint64_t copies = tile_count(&tiler->tiling) > 1 ? images + 1 : 0;
	return pn_denoiser_bytes(tiler->net, ny, nx) +
	       copies * (uint64_t)ny * (uint64_t)nx * sizeof(float);
}

void pn_tiler_forget(struct pn_tiler *tiler)
{
	tiler->tile = -1;
}

/* A denoiser of the tile's size, that knows images of this tile alone. */
static int take_up(struct pn_tiler *t, int index, const struct pn_tile *tile, struct pn_error *err)
{
	int rc = PN_OK;

	if (t->tile == index && t->denoiser)
		return PN_OK;
	if (t->denoiser && t->ny == tile->in_ny && t->nx == tile->in_nx) {
		pn_denoiser_forget(t->denoiser, t->offset, t->scale);
	} else {
		pn_denoiser_destroy(t->denoiser);
		rc = pn_denoiser_create(&t->denoiser, t->net, tile->in_ny, tile->in_nx, t->offset,
					t->scale, err);
	}
	t->ny = tile->in_ny;
	t->nx = tile->in_nx;
	t->tile = rc ? -1 : index;
	return rc;
}

/* ---- running ------------------------------------------------------------------------------- */

/* Whether @other can enter the window of @own, and how it lies. */
static int enters(const struct pn_tiled_image *own, const struct pn_tiled_image *other, int half,
		  struct pn_window_frame *frame)
{
	int64_t later = (int64_t)(other->time - own->time);
	int64_t dy = own->y0_px - other->y0_px, dx = own->x0_px - other->x0_px;

	if (later < -half || later > half || llabs(dy) > PN_SHIFT_MAX_PX ||
	    llabs(dx) > PN_SHIFT_MAX_PX)
		return 0;
	*frame = (struct pn_window_frame){ other->time, NULL, (int)dy, (int)dx };
	return 1;
}

/* Without the images themselves: which of @images they are goes into @which. */
static int window_of(const struct pn_tiled_image *images, int count, int index, int half,
		     struct pn_window_frame *frames, int *which)
{
	int neighbors = 0;

	for (int k = 0; k <= 2 * half; k++)
		which[k] = -1;
	for (int i = index - half; i <= index + half; i++) {
		struct pn_window_frame frame;

		/* the same frame twice: it would stand in its own middle */
		if (i >= 0 && i < count && i != index && images[i].time == images[index].time)
			continue;
		if (i < 0 || i >= count || !enters(&images[index], &images[i], half, &frame))
			continue;
		int k = half + (int)(int64_t)(images[i].time - images[index].time);

		frames[k] = frame;
		which[k] = i;
		neighbors += i != index;
	}
	return neighbors;
}

int pn_tiler_neighbors(const struct pn_tiled_image *images, int count, int index, int half)
{
	struct pn_window_frame frames[PN_NET_FRAMES_MAX];
	int which[PN_NET_FRAMES_MAX];

	return window_of(images, count, index, half, frames, which);
}

/* Rows and columns from one image to another, of @from_nx and @to_nx columns. */
static void copy_part(float *to, size_t to_nx, const float *from, size_t from_nx, int ny, int nx)
{
	for (int y = 0; y < ny; y++)
		memcpy(to + (size_t)y * to_nx, from + (size_t)y * from_nx, (size_t)nx * sizeof *to);
}

static int make_room(struct pn_tiler *t, int count, struct pn_error *err)
{
	int ny, nx;

	if (t->room >= (size_t)count)
		return PN_OK;
	largest(&t->tiling, &ny, &nx);
	size_t pixels = (size_t)ny * (size_t)nx;
	free(t->copies);
	free(t->clean);
	t->copies = malloc((size_t)count * pixels * sizeof *t->copies);
	t->clean = malloc(pixels * sizeof *t->clean);
	t->room = t->copies && t->clean ? (size_t)count : 0;
	if (t->room)
		return PN_OK;
	return pn_error_set(err, PN_ENOMEM, "tiles: no memory for %d of %d x %d px", count, ny, nx);
}

/* Where the network finds image @index: @from is the first one that was copied. */
static const float *seen(const struct pn_tiler *t, const struct pn_tile *tile,
			 const struct pn_tiled_image *images, int index, int from)
{
	size_t pixels = (size_t)tile->in_ny * (size_t)tile->in_nx;

	return tile_count(&t->tiling) == 1 ? images[index].image
					   : t->copies + (size_t)(index - from) * pixels;
}

static int run_image(struct pn_tiler *t, const struct pn_tile *tile,
		     const struct pn_tiled_image *images, int count, int index, int from,
		     float *out, struct pn_error *err)
{
	int frames_count = (int)pn_net_spec_of(t->net)->frames, half = frames_count / 2;
	struct pn_window_frame frames[PN_NET_FRAMES_MAX] = { 0 };
	size_t nx = (size_t)t->tiling.nx;
	size_t at = (size_t)tile->y0 * nx + (size_t)tile->x0;
	int which[PN_NET_FRAMES_MAX];

	if (!window_of(images, count, index, half, frames, which) && half) {
		copy_part(out + at, nx, images[index].image + at, nx, tile->ny, tile->nx);
		return PN_OK;
	}
	for (int k = 0; k < frames_count; k++) {
		if (which[k] < 0)
			continue;
		if ((frames[k].dy || frames[k].dx) && !t->moving)
			return pn_error_set(err, PN_EARG, "tiles: frame %llu lies elsewhere",
					    (unsigned long long)frames[k].id);
		frames[k].image = seen(t, tile, images, which[k], from);
	}
	if (tile_count(&t->tiling) == 1)
		return pn_denoiser_run(t->denoiser, frames, out, err);
	int rc = pn_denoiser_run(t->denoiser, frames, t->clean, err);
	if (!rc)
		copy_part(out + at, nx,
			  t->clean + (size_t)(tile->y0 - tile->from_y) * (size_t)tile->in_nx +
				  (tile->x0 - tile->from_x),
			  (size_t)tile->in_nx, tile->ny, tile->nx);
	return rc;
}

/* The tile's part of images @from .. @to - 1, one behind the other. */
static int copy_tile(struct pn_tiler *t, const struct pn_tile *tile,
		     const struct pn_tiled_image *images, int from, int to, struct pn_error *err)
{
	size_t pixels = (size_t)tile->in_ny * (size_t)tile->in_nx, nx = (size_t)t->tiling.nx;
	int rc = make_room(t, to - from, err);

	for (int i = from; i < to && !rc; i++)
		copy_part(t->copies + (size_t)(i - from) * pixels, (size_t)tile->in_nx,
			  images[i].image + (size_t)tile->from_y * nx + tile->from_x, nx,
			  tile->in_ny, tile->in_nx);
	return rc;
}

int pn_tiler_run(struct pn_tiler *t, int index, const struct pn_tiled_image *images, int count,
		 int first, int targets, float *const *out, struct pn_error *err)
{
	struct pn_tile tile = pn_tiling_at(&t->tiling, index);
	int half = (int)pn_net_spec_of(t->net)->frames / 2;
	int from = first > half ? first - half : 0;
	int to = first + targets + half < count ? first + targets + half : count;
	int rc = take_up(t, index, &tile, err);

	if (!rc && tile_count(&t->tiling) > 1)
		rc = copy_tile(t, &tile, images, from, to, err);
	for (int i = 0; i < targets && !rc; i++)
		rc = run_image(t, &tile, images, count, first + i, from, out[i], err);
	if (rc) /* some features may be half made */
		t->tile = -1;
	return rc;
}
