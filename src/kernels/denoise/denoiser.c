/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoiser.c - one frame after another: features of a frame are made once and kept for its windows.
 */
#include "net_internal.h"
#include "perrin/denoise/net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Features at hand, and of which image. With branches of their own they are of one window only. */
struct slot {
	struct pn_features features;
	uint64_t id, last_used;
	int filled;
};

struct pn_denoiser {
	const struct pn_net *net;
	int ny, nx;
	double offset, scale;
	struct slot slots[PN_NET_FRAMES_MAX];
	struct pn_map image; /* standardized; of the branch under way */
	struct pn_window window;
	uint64_t runs;
	void *memory;
};

/* A neighbour as it enters: which of the frames given, and how it lies. */
struct entering {
	const struct pn_window_frame *frame;
	int dy, dx;
};

/* ---- making -------------------------------------------------------------------------------- */

static void place_all(struct pn_denoiser *d, struct pn_arena *arena)
{
	struct pn_room room = {
		d->net->arith, d->ny, d->nx, d->net->spec.shared ? PN_SHIFT_MAX_PX : 0, 0, 1
	};

	d->image = pn_arena_map(arena, &room, PN_ARITH_F32, pn_net_stem_reach(d->net), 1);
	for (int k = 0; k < d->net->spec.frames; k++) {
		pn_features_place(&d->slots[k].features, d->net, &room, arena);
		d->slots[k].features.image = d->image;
	}
	pn_window_place(&d->window, d->net, &room, arena);
}

int pn_denoiser_create(struct pn_denoiser **denoiser, const struct pn_net *net, int ny, int nx,
		       double offset, double scale, struct pn_error *err)
{
	struct pn_arena arena = { 0 };

	*denoiser = NULL;
	if (ny < 1 || nx < 1 || !isfinite(offset) || !(scale > 0) || !isfinite((float)scale) ||
	    !isfinite((float)(1 / scale)))
		return pn_error_set(err, PN_EARG,
				    "denoiser: images of %d x %d, offset %g, scale %g", ny, nx,
				    offset, scale);
	struct pn_denoiser *d = calloc(1, sizeof *d);
	if (!d)
		return pn_error_set(err, PN_ENOMEM, "denoiser: no memory");
	d->net = net;
	d->ny = ny;
	d->nx = nx;
	d->offset = offset;
	d->scale = scale;
	place_all(d, &arena);
	d->memory = aligned_alloc(64, arena.used);
	if (!d->memory) {
		free(d);
		return pn_error_set(err, PN_ENOMEM, "denoiser: no memory for %d x %d (%zu bytes)",
				    ny, nx, arena.used);
	}
	memset(d->memory, 0, arena.used);
	arena = (struct pn_arena){ .base = d->memory };
	place_all(d, &arena);
	*denoiser = d;
	return PN_OK;
}

void pn_denoiser_destroy(struct pn_denoiser *denoiser)
{
	if (!denoiser)
		return;
	free(denoiser->memory);
	free(denoiser);
}

void pn_denoiser_forget(struct pn_denoiser *denoiser, double offset, double scale)
{
	denoiser->offset = offset;
	denoiser->scale = scale;
	for (int k = 0; k < PN_NET_FRAMES_MAX; k++)
		denoiser->slots[k].filled = 0;
}

size_t pn_denoiser_bytes(const struct pn_net *net, int ny, int nx)
{
	struct pn_denoiser counted = { .net = net, .ny = ny, .nx = nx };
	struct pn_arena arena = { 0 };

	place_all(&counted, &arena);
	return arena.used;
}

/* ---- who stands in for whom ------------------------------------------------------------------ */

static int can_enter(const struct pn_window_frame *frame)
{
	return frame->image && abs(frame->dy) <= PN_SHIFT_MAX_PX &&
	       abs(frame->dx) <= PN_SHIFT_MAX_PX;
}

/* Neighbour at place @k of the window, or the one nearest to it in time: never the own frame. */
static const struct pn_window_frame *neighbor_at(const struct pn_window_frame *frames, int count,
						 int k)
{
	for (int away = 0; away < count; away++)
		for (int side = -1; side <= 1; side += 2) {
			int j = k + side * away;

			if (j >= 0 && j < count && j != count / 2 && can_enter(&frames[j]))
				return &frames[j];
		}
	return NULL;
}

/* The own frame first, then the neighbours in order of time. */
static int choose(const struct pn_denoiser *d, const struct pn_window_frame *frames,
		  struct entering *entering, struct pn_error *err)
{
	int count = (int)d->net->spec.frames, half = count / 2;

	if (!frames[half].image)
		return pn_error_set(err, PN_EARG,
				    "denoiser: the window has no frame in its middle");
	entering[0] = (struct entering){ &frames[half], 0, 0 };
	for (int n = 1; n < count; n++) {
		const struct pn_window_frame *frame =
			neighbor_at(frames, count, n <= half ? n - 1 : n);

		if (!frame)
			return pn_error_set(err, PN_EARG,
					    "denoiser: frame %llu has no neighbour within %d px",
					    (unsigned long long)frames[half].id, PN_SHIFT_MAX_PX);
		entering[n] = (struct entering){ frame, frame->dy, frame->dx };
	}
	return PN_OK;
}

/* ---- features ------------------------------------------------------------------------------ */

/* The image as the network sees it, laid over the own frame by (dy, dx); zero where it has no
 * pixel. */
static int fill_image(struct pn_denoiser *d, const struct entering *from, int dy, int dx,
		      struct pn_error *err)
{
	float offset = (float)d->offset, inverse = (float)(1 / d->scale);
	size_t bad = 0;

	for (int y = 0; y < d->ny; y++) {
		float *out = (float *)d->image.data + y * d->image.row_stride;

		for (int x = 0; x < d->nx; x++) {
			int sy = y + dy, sx = x + dx;
			int inside = sy >= 0 && sy < d->ny && sx >= 0 && sx < d->nx;
			float value = inside ? from->frame->image[(size_t)sy * d->nx + sx] : offset;

			out[x] = (value - offset) * inverse;
			bad += !isfinite(out[x]);
		}
	}
	if (!bad)
		return PN_OK;
	return pn_error_set(err, PN_EFRAME,
			    "frame %llu: %zu of %d x %d pixels are not finite numbers",
			    (unsigned long long)from->frame->id, bad, d->ny, d->nx);
}

static struct slot *find_slot(struct pn_denoiser *d, uint64_t id)
{
	struct slot *oldest = &d->slots[0];

	for (int k = 0; k < d->net->spec.frames; k++) {
		struct slot *slot = &d->slots[k];

		if (slot->filled && slot->id == id)
			return slot;
		if (oldest->filled && (!slot->filled || slot->last_used < oldest->last_used))
			oldest = slot;
	}
	oldest->filled = 0;
	oldest->id = id;
	return oldest;
}

/* Shared branches: features in the image's own place, shifted when they enter. */
static int shared_features(struct pn_denoiser *d, const struct entering *entering,
			   struct pn_features **features, struct pn_error *err)
{
	for (int n = 0; n < d->net->spec.frames; n++) {
		struct slot *slot = find_slot(d, entering[n].frame->id);

		slot->last_used = d->runs;
		features[n] = &slot->features;
		if (slot->filled)
			continue;
		int rc = fill_image(d, &entering[n], 0, 0, err);
		if (rc)
			return rc;
		pn_features_forward(d->net, 0, features[n]);
		slot->filled = 1;
	}
	return PN_OK;
}

/* A branch for each place in the window: nothing to keep, and the images themselves are shifted. */
static int separate_features(struct pn_denoiser *d, struct entering *entering,
			     struct pn_features **features, struct pn_error *err)
{
	for (int n = 0; n < d->net->spec.frames; n++) {
		int rc = fill_image(d, &entering[n], entering[n].dy, entering[n].dx, err);

		if (rc)
			return rc;
		features[n] = &d->slots[n].features;
		pn_features_forward(d->net, n, features[n]);
		entering[n].dy = entering[n].dx = 0;
	}
	return PN_OK;
}

/* ---- one window ---------------------------------------------------------------------------- */

int pn_denoiser_run(struct pn_denoiser *d, const struct pn_window_frame *frames, float *out,
		    struct pn_error *err)
{
	struct entering entering[PN_NET_FRAMES_MAX];
	struct pn_features *features[PN_NET_FRAMES_MAX];
	int dy[PN_NET_FRAMES_MAX], dx[PN_NET_FRAMES_MAX];
	int rc = choose(d, frames, entering, err);

	d->runs++;
	if (!rc)
		rc = d->net->spec.shared ? shared_features(d, entering, features, err)
					 : separate_features(d, entering, features, err);
	if (rc)
		return rc;
	for (int n = 0; n < d->net->spec.frames; n++) {
		dy[n] = entering[n].dy;
		dx[n] = entering[n].dx;
	}
	pn_window_forward(d->net, features, dy, dx, &d->window);
	for (int y = 0; y < d->ny; y++) {
		const float *row = (const float *)d->window.out.data + y * d->window.out.row_stride;

		for (int x = 0; x < d->nx; x++)
			out[(size_t)y * d->nx + x] = (float)(d->offset + d->scale * row[x]);
	}
	return PN_OK;
}
