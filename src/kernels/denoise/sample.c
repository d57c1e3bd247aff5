/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sample.h"

#include <math.h>

enum { GUESSES_MAX = 32, DRAWS_MAX = 100 };

/* Rows y0 .. y1 - 1, columns x0 .. x1 - 1 of the frame. */
struct area {
	int64_t y0, x0, y1, x1;
};

static struct area area_of(const struct pn_train_place *place)
{
	return (struct area){ place->y0_px, place->x0_px, place->y0_px + place->ny,
			      place->x0_px + place->nx };
}

/* Whether the images are of one run, and what they have in common. */
static int overlap(const struct pn_train_source *source, uint64_t first, int images,
		   struct area *common)
{
	struct pn_train_place place;

	source->place(source->arg, first, &place);
	uint64_t run = place.run;
	*common = area_of(&place);
	for (int i = 1; i < images; i++) {
		source->place(source->arg, first + (uint64_t)i, &place);
		if (place.run != run)
			return 0;
		struct area a = area_of(&place);
		common->y0 = a.y0 > common->y0 ? a.y0 : common->y0;
		common->x0 = a.x0 > common->x0 ? a.x0 : common->x0;
		common->y1 = a.y1 < common->y1 ? a.y1 : common->y1;
		common->x1 = a.x1 < common->x1 ? a.x1 : common->x1;
	}
	return 1;
}

static int in_one_run(const struct pn_train_source *source, uint64_t first, int images)
{
	struct area unused;

	return overlap(source, first, images, &unused);
}

/* Side of a piece within the area, 0 if it is too small. Multiples, so that few sides occur. */
static int side_within(const struct area *area, int crop_px)
{
	int64_t ny = area->y1 - area->y0, nx = area->x1 - area->x0, side = ny < nx ? ny : nx;

	if (side >= crop_px)
		return crop_px;
	return side < PN_CUT_MIN_PX ? 0 : (int)(side - side % PN_CUT_MIN_PX);
}

int pn_cut_targets(const struct pn_train_source *source, int frames, int targets,
		   struct pn_error *err)
{
	uint64_t want = (uint64_t)(frames + targets - 1), length = 0, longest = 0, run = 0;
	struct pn_train_place place;

	for (uint64_t i = 0; i < source->count && longest < want; i++) {
		source->place(source->arg, i, &place);
		length = i && place.run == run ? length + 1 : 1;
		run = place.run;
		longest = length > longest ? length : longest;
	}
	if (longest >= want)
		return targets;
	if (longest >= (uint64_t)frames)
		return 1;
	return pn_error_set(
		err, PN_EARG,
		"a window is of %d images, the longest run without a gap has %llu (of %llu "
		"images)",
		frames, (unsigned long long)longest, (unsigned long long)source->count);
}

/* Guess first; count only where good guesses are rare. */
static uint64_t draw_first(const struct pn_train_source *source, int images, struct pn_rng *rng)
{
	uint64_t starts = source->count - (uint64_t)images + 1, good = 0;

	for (int guess = 0; guess < GUESSES_MAX; guess++) {
		uint64_t first = pn_rng_u64(rng) % starts;

		if (in_one_run(source, first, images))
			return first;
	}
	for (uint64_t i = 0; i < starts; i++)
		good += (uint64_t)in_one_run(source, i, images);
	pn_assert(good > 0);
	uint64_t left = pn_rng_u64(rng) % good;
	for (uint64_t i = 0;; i++)
		if (in_one_run(source, i, images) && left-- == 0)
			return i;
}

int pn_cut_draw(struct pn_cut *cut, const struct pn_train_source *source, int images, int crop_px,
		struct pn_rng *rng, struct pn_error *err)
{
	struct area area = { 0 };

	cut->images = images;
	for (int draw = 0; draw < DRAWS_MAX; draw++) {
		cut->first = draw_first(source, images, rng);
		overlap(source, cut->first, images, &area);
		cut->side_px = side_within(&area, crop_px);
		if (!cut->side_px)
			continue;
		uint64_t ny = (uint64_t)(area.y1 - area.y0 - cut->side_px);
		uint64_t nx = (uint64_t)(area.x1 - area.x0 - cut->side_px);
		cut->y_px = area.y0 + (int64_t)(pn_rng_u64(rng) % (ny + 1));
		cut->x_px = area.x0 + (int64_t)(pn_rng_u64(rng) % (nx + 1));
		cut->turn = (int)pn_rng_below(rng, PN_TURNS);
		return PN_OK;
	}
	return pn_error_set(
		err, PN_EARG,
		"of %d clips of %d images none overlaps by %d x %d px; images %llu to %llu by "
		"%lld x %lld px",
		DRAWS_MAX, images, PN_CUT_MIN_PX, PN_CUT_MIN_PX, (unsigned long long)cut->first,
		(unsigned long long)cut->first + (unsigned long long)images - 1,
		(long long)(area.y1 - area.y0), (long long)(area.x1 - area.x0));
}

int pn_cut_spread(struct pn_cut *cuts, int max, const struct pn_train_source *source,
		  uint64_t newest, int frames, int crop_px, struct pn_error *err)
{
	uint64_t from = newest && newest < source->count ? source->count - newest : 0, good = 0;
	struct area area;
	int found = 0;

	for (uint64_t i = from; i + (uint64_t)frames <= source->count; i++)
		good += overlap(source, i, frames, &area) && side_within(&area, crop_px);
	if (!good)
		return pn_error_set(
			err, PN_EARG,
			"no window of %d images without a gap that overlap by %d x %d px "
			"among images %llu to %llu",
			frames, PN_CUT_MIN_PX, PN_CUT_MIN_PX, (unsigned long long)from,
			(unsigned long long)source->count);
	uint64_t want = good < (uint64_t)max ? good : (uint64_t)max, passed = 0;
	for (uint64_t i = from; found < (int)want; i++) {
		int side = overlap(source, i, frames, &area) ? side_within(&area, crop_px) : 0;

		/* number `found` stands in the middle of its share of the good ones */
		if (!side || passed++ < (2 * (uint64_t)found + 1) * good / (2 * want))
			continue;
		cuts[found++] = (struct pn_cut){ .first = i,
						 .images = frames,
						 .side_px = side,
						 .y_px = area.y0 + (area.y1 - area.y0 - side) / 2,
						 .x_px = area.x0 + (area.x1 - area.x0 - side) / 2 };
	}
	return found;
}

int pn_cut_read(const struct pn_cut *cut, const struct pn_train_source *source, int index,
		float *out, struct pn_error *err)
{
	uint64_t image = cut->first + (uint64_t)index;
	struct pn_train_place place;

	source->place(source->arg, image, &place);
	int y = (int)(cut->y_px - place.y0_px), x = (int)(cut->x_px - place.x0_px);
	int side = cut->side_px, rc;
	rc = source->read(source->arg, image, y, x, side, side, out, err);
	for (int i = 0; !rc && i < side * side; i++)
		if (!isfinite(out[i]))
			rc = pn_error_set(err, PN_EFRAME, "image %llu: the value at %d %d is %g",
					  (unsigned long long)image, y + i / side, x + i % side,
					  out[i]);
	return rc;
}

void pn_cut_turn(const struct pn_cut *cut, const float *in, double offset, double scale, float *out,
		 ptrdiff_t stride)
{
	ptrdiff_t side = cut->side_px, dy = side, dx = 1, at = 0;

	if (cut->turn & 1) {
		at += side - 1;
		dx = -dx;
	}
	if (cut->turn & 2) {
		at += side * (side - 1);
		dy = -dy;
	}
	if (cut->turn & 4) {
		ptrdiff_t swap = dy;

		dy = dx;
		dx = swap;
	}
	for (ptrdiff_t y = 0; y < side; y++)
		for (ptrdiff_t x = 0; x < side; x++)
			out[y * stride + x] =
				(float)(((double)in[at + y * dy + x * dx] - offset) / scale);
}
