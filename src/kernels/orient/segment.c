/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/segment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(f) .name = #f, .off = offsetof(struct pn_segment_params, f)

const struct pn_param pn_segment_param_table[] = {
	{ FIELD(change_A), .unit = "A", .help = "of the diameter that ends a segment",
	  .type = PN_PARAM_F64, .def = 2.77, .min = 0.1, .max = 1000 },
	{ FIELD(size_images), .unit = "images", .help = "whose median is a diameter",
	  .type = PN_PARAM_I64, .def = 51, .min = 3, .max = PN_SEGMENT_SIZES_MAX },
	{ FIELD(block), .unit = "images", .help = "whose mean score is one number",
	  .type = PN_PARAM_I64, .def = 25, .min = 1, .max = 10000 },
	{ FIELD(settle), .unit = "blocks",
	  .help = "that tell how well a map is met while nothing changes", .type = PN_PARAM_I64,
	  .def = 16, .min = 3, .max = 100000 },
	{ FIELD(drift), .unit = "sd", .help = "by which new blocks may meet it worse, for good",
	  .type = PN_PARAM_F64, .def = 1, .min = 0, .max = 10 },
	{ FIELD(alarm), .unit = "sd",
	  .help = "sum of what they are worse than that, which ends a segment",
	  .type = PN_PARAM_F64, .def = 25, .min = 1, .max = 1e6 },
	{ FIELD(least), .unit = "images", .help = "of a segment", .type = PN_PARAM_I64, .def = 400,
	  .min = 1, .max = 1000000 },
	{ 0 },
};

/* ---- size ----------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int size_changed(struct pn_segmenter *s, const struct pn_segment_params *p,
			double diameter_A)
{
	const uint64_t n = (uint64_t)p->size_images;
	double sorted[PN_SEGMENT_SIZES_MAX];

	if (!isfinite(diameter_A))
		return 0;
	s->sizes_A[s->size_count++ % n] = diameter_A;
	if (s->size_count < n)
		return 0;
	memcpy(sorted, s->sizes_A, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, ascending);
	s->last_A = sorted[n / 2];
	if (s->first_A == 0)
		s->first_A = s->last_A;
	return fabs(s->last_A - s->first_A) > p->change_A;
}

/* ---- score ---------------------------------------------------------------------------------- */

static int score_fell(struct pn_segmenter *s, const struct pn_segment_params *p, double score,
		      uint64_t map)
{
	if (!isfinite(score))
		return 0;
	if (map != s->map) {
		s->map = map;
		s->count = s->mean = s->square = s->low = s->block_sum = s->block_count = 0;
	}
	s->block_sum += score;
	if (++s->block_count < (double)p->block)
		return 0;
	const double block = s->block_sum / s->block_count;

	s->block_sum = s->block_count = 0;
	if (s->count < (double)p->settle) {
		const double d = block - s->mean;

		s->count++;
		s->mean += d / s->count;
		s->square += d * (block - s->mean);
		return 0;
	}
	const double scatter = sqrt(s->square / (s->count - 1));

	if (scatter > 0)
		s->low = fmax(0, s->low + (s->mean - block) / scatter - p->drift);
	return s->low > p->alarm;
}

enum pn_segment_end pn_segment_image(struct pn_segmenter *s, const struct pn_segment_params *params,
				     double score, uint64_t map, double diameter_A)
{
	enum pn_segment_end end = PN_SEGMENT_GOES_ON;

	s->images++;
	if (score_fell(s, params, score, map))
		end = PN_SEGMENT_SCORE;
	if (size_changed(s, params, diameter_A))
		end = PN_SEGMENT_SIZE;
	if (end == PN_SEGMENT_GOES_ON || s->images < (uint64_t)params->least)
		return PN_SEGMENT_GOES_ON;
	memset(s, 0, sizeof *s);
	return end;
}
