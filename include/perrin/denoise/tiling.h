/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/denoise/tiling.h - images too large for the network's memory, tile by tile: the same to
 * the bit as in one piece.
 *
 * A tile is computed with a margin of what the network sees (layout->field_px) on the sides where
 * the image goes on, and without one at the image's own edges, where the network pads with zeros.
 * A movie goes tile by tile over some frames at a time, so that each frame's features are made once
 * for all its windows.
 */
#ifndef PERRIN_DENOISE_TILING_H
#define PERRIN_DENOISE_TILING_H

#include "perrin/denoise/net.h"

/** How an image is cut. Plain data. */
struct pn_tiling {
	int ny, nx, margin_px;
	int rows, columns;
};

/** Pixels (y0 .. y0 + ny, x0 .. x0 + nx) come from (from_y .. from_y + in_ny, ...). */
struct pn_tile {
	int y0, x0, ny, nx;
	int from_y, from_x, in_ny, in_nx;
};

/**
 * pn_tiling_make - the fewest tiles, of about equal size, that take in at most @tile_px each way.
 *
 * @margin_px: seen around a pixel
 *
 * Errors: PN_EARG if an image larger than a tile leaves no pixel within the margins.
 */
int pn_tiling_make(struct pn_tiling *tiling, int ny, int nx, int tile_px, int margin_px,
		   struct pn_error *err);

/** pn_tiling_at - tile @index, 0 .. rows * columns - 1, row by row. */
struct pn_tile pn_tiling_at(const struct pn_tiling *tiling, int index);

struct pn_tiler;

/** One image of a movie. Those of a movie are in order of time. */
struct pn_tiled_image {
	uint64_t time;        /* number of the frame; names the image until pn_tiler_forget */
	const float *image;   /* [ny][nx] as recorded */
	int64_t y0_px, x0_px; /* of its first pixel on the detector */
};

/**
 * pn_tiler_create - for images of @ny x @nx; caller destroys.
 *
 * @net:            borrowed
 * @tile_px:        as for pn_tiling_make
 * @moving:         1 = places differ between the images: margins are wider by PN_SHIFT_MAX_PX
 * @offset, @scale: as for pn_denoiser_create
 *
 * Errors: PN_EARG, PN_ENOMEM. Thread: one at a time.
 */
int pn_tiler_create(struct pn_tiler **tiler, const struct pn_net *net, int ny, int nx, int tile_px,
		    int moving, double offset, double scale, struct pn_error *err);
void pn_tiler_destroy(struct pn_tiler *tiler);

const struct pn_tiling *pn_tiler_tiling(const struct pn_tiler *tiler);

/** pn_tiler_bytes - memory it takes for runs of @targets targets at a time. */
uint64_t pn_tiler_bytes(const struct pn_tiler *tiler, uint64_t targets);

/** pn_tiler_forget - what follows is another movie. */
void pn_tiler_forget(struct pn_tiler *tiler);

/** pn_tiler_neighbors - how many of @images can enter the window of image @index: at most @half
 * frames and PN_SHIFT_MAX_PX away. */
int pn_tiler_neighbors(const struct pn_tiled_image *images, int count, int index, int half);

/**
 * pn_tiler_run - one tile of images @first .. @first + @targets - 1.
 *
 * @images: [count] with all that the windows need before and after
 * @out:    [targets] images [ny][nx] float32, of which the tile's pixels are written
 *
 * What stands in for missing neighbours: see pn_denoiser_run. An image without any (see
 * pn_tiler_neighbors) comes out as it was recorded, if the network's windows have neighbours.
 * Errors: PN_EARG (places that differ without @moving), those of pn_denoiser_run, PN_ENOMEM.
 * Cost: layout->mac_per_px for each pixel taken in if the run before was of the same tile and of
 * the images before these, else for frames - 1 images more.
 */
int pn_tiler_run(struct pn_tiler *tiler, int tile, const struct pn_tiled_image *images, int count,
		 int first, int targets, float *const *out, struct pn_error *err);

#endif
