/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mapper_parts.h - what putting images in and solving for the map share. */
#ifndef ORIENT_MAPPER_PARTS_H
#define ORIENT_MAPPER_PARTS_H

#include "perrin/orient/accumulate.h"
#include "perrin/orient/mapper.h"
#include "perrin/tomo/fista.h"

/* Of every image there was, also those no longer kept. */
struct pn_mapper_view {
	double direction[3];
	uint64_t decays; /* of the sums, before it came */
	uint64_t in;     /* it is in the sums           */
};

/* An image whose pose can be revised. */
struct pn_mapper_kept {
	struct pn_mapper_crop crop; /* its image: free() */
	struct pn_mapper_pose pose;
	uint64_t view;
};

struct pn_mapper {
	struct pn_mapper_params params;
	size_t edge;
	double pixel_A, radius_px, frequency_max;
	struct pn_box box;
	double largest_pixel; /* 0: nothing has come, and there are no sums yet */

	struct pn_accumulator *half[2], *all;
	struct pn_normal *normal, *held_out; /* of all, of the second half */
	struct pn_fista *fista;
	uint8_t *support;   /* of the box */
	float *volume;      /* [box]      */
	float *half_map[2]; /* [box]      */
	float *cut;         /* [edge]^2   */

	struct pn_mapper_kept *kept; /* [memory], a ring */
	size_t oldest, kept_count;
	struct pn_mapper_view *view; /* in order of coming */
	size_t views, views_capacity;
	uint64_t decays;
	int solved; /* since the last image: the next one makes the sums decay */
};

/** pn_mapper_share - what decays have left of an image. */
double pn_mapper_share(const struct pn_mapper *m, const struct pn_mapper_view *view);

#endif
