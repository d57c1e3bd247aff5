/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the stages that work on crops in float32 have in common. */
#ifndef PN_STAGE_CROPS_H
#define PN_STAGE_CROPS_H

#include "perrin/denoise/windows.h"
#include "perrin/host/stage.h"

#include <stdlib.h>

#define CROP_PX_MAX 2048 /* larger ones are no crops: features of hundreds of MB for each frame */

/** Words of the parameter `arith` of stages with a network. */
static const char *const crop_arith_words[] = { "auto", "f32", "bf16", NULL };

static inline enum pn_arith crop_arith(int word)
{
	return word == 0 ? pn_arith_best() : word == 1 ? PN_ARITH_F32 : PN_ARITH_BF16;
}

static inline int crop_too_large(const struct pn_crops_head *head)
{
	return head->ny > CROP_PX_MAX || head->nx > CROP_PX_MAX;
}

/** crop_read - a message's place and its pixels in float32, to be freed; NULL: no memory, told. */
static inline float *crop_read(struct pn_window_crop *crop, const struct pn_crops_head *head,
			       const struct pn_msg *in, struct pn_ctx *ctx)
{
	size_t pixels = (size_t)(head->ny * head->nx);
	float *image = malloc(pixels * sizeof *image);

	*crop = (struct pn_window_crop){ .particle = head->particle,
					 .frame = head->frame,
					 .y0_px = head->y0_px,
					 .x0_px = head->x0_px,
					 .ny = (int)head->ny,
					 .nx = (int)head->nx };
	if (image)
		pn_to_f32(image, in->payload, head->dtype, pixels);
	else
		pn_fail(ctx, PN_ENOMEM, "no memory for a crop of %zu pixels", pixels);
	return image;
}

#endif
