/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Crops that wait for their poses, and poses that wait for their crops. */
#ifndef PN_STAGE_PAIRS_H
#define PN_STAGE_PAIRS_H

#include "perrin/host/stage.h"
#include "perrin/orient/mapper.h"

#include <stdlib.h>
#include <string.h>

/* Both come with the time of their frame, one after the other: what has waited for so many others
 * waits in vain. */
#define PAIRS_MAX 64

/** A crop without its pose, or a pose without its crop. */
struct pair_part {
	uint64_t particle;
	struct pn_mapper_crop crop; /* its image: free(); NULL: it is the pose that is here */
	double pixel_pm;
	struct pn_poses_head pose;
};

struct pairs {
	uint64_t count;
	struct pair_part part[PAIRS_MAX]; /* in order of coming */
};

static inline void pairs_remove(struct pairs *pairs, uint64_t at)
{
	pairs->count--;
	memmove(&pairs->part[at], &pairs->part[at + 1],
		(pairs->count - at) * sizeof pairs->part[0]);
}

/** pairs_take - the other part of @part out of the list into @other; 0 if it has not come. */
static inline int pairs_take(struct pairs *pairs, const struct pair_part *part,
			     struct pair_part *other)
{
	for (uint64_t i = 0; i < pairs->count; i++) {
		const struct pair_part *p = &pairs->part[i];

		if (p->particle != part->particle || p->crop.frame != part->crop.frame ||
		    !p->crop.image == !part->crop.image)
			continue;
		*other = *p;
		pairs_remove(pairs, i);
		return 1;
	}
	return 0;
}

/** pairs_add - let @part wait, taking its image over; 1 if the oldest had to go for it. */
static inline int pairs_add(struct pairs *pairs, const struct pair_part *part)
{
	const int full = pairs->count == PAIRS_MAX;

	if (full) {
		free((void *)pairs->part[0].crop.image);
		pairs_remove(pairs, 0);
	}
	pairs->part[pairs->count++] = *part;
	return full;
}

/** pairs_clear - nothing waits any more. Returns what did. */
static inline uint64_t pairs_clear(struct pairs *pairs)
{
	const uint64_t count = pairs->count;

	while (pairs->count)
		free((void *)pairs->part[--pairs->count].crop.image);
	return count;
}

static inline size_t pair_bytes(const struct pair_part *part)
{
	return part->crop.image ? part->crop.ny * part->crop.nx * sizeof(float) : 0;
}

static inline int pairs_save(const struct pairs *pairs, struct pn_blob *out)
{
	int rc = pn_blob_put_part(out, &pairs->count, sizeof pairs->count);

	for (uint64_t i = 0; !rc && i < pairs->count; i++) {
		struct pair_part plain = pairs->part[i];

		plain.crop.image = NULL;
		rc = pn_blob_put_part(out, &plain, sizeof plain);
		if (!rc)
			rc = pn_blob_put_part(out, pairs->part[i].crop.image,
					      pair_bytes(&pairs->part[i]));
	}
	return rc;
}

static inline int pairs_load(struct pairs *pairs, struct pn_ctx *ctx, struct pn_blob_view *view)
{
	size_t bytes = 0, pixels = 0;
	const void *part = pn_blob_get_part(view, &bytes), *image;
	uint64_t count = 0;

	if (!part || bytes != sizeof count)
		return pn_fail(ctx, PN_EVERSION, "a checkpoint without pairs");
	memcpy(&count, part, sizeof count);
	for (uint64_t i = 0; i < count; i++) {
		struct pair_part plain;

		part = pn_blob_get_part(view, &bytes);
		image = part ? pn_blob_get_part(view, &pixels) : NULL;
		if (!image || bytes != sizeof plain || i == PAIRS_MAX)
			return pn_fail(ctx, PN_EVERSION, "a checkpoint of %llu pairs",
				       (unsigned long long)count);
		memcpy(&plain, part, sizeof plain);
		float *copy = pixels ? malloc(pixels) : NULL;

		if (pixels && !copy)
			return pn_fail(ctx, PN_ENOMEM, "no memory for a crop of %zu bytes", pixels);
		if (pixels)
			memcpy(copy, image, pixels);
		plain.crop.image = copy;
		if (pair_bytes(&plain) != pixels) {
			free(copy);
			return pn_fail(ctx, PN_EVERSION, "a crop of %zu bytes in a checkpoint",
				       pixels);
		}
		pairs_add(pairs, &plain);
	}
	return PN_OK;
}

#endif
