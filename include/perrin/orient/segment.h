/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/segment.h - for how long the structure of a particle holds still. */
#ifndef PERRIN_ORIENT_SEGMENT_H
#define PERRIN_ORIENT_SEGMENT_H

#include "perrin/base/param.h"

#include <stdint.h>

struct pn_segment_params {
	double change_A;     /* of the diameter within a segment                                  */
	int64_t size_images; /* whose median is a diameter                                        */
	int64_t block;       /* images whose mean score is one number: neighbours are alike       */
	int64_t settle;      /* blocks that make the mean and the scatter of a map's scores       */
	double drift;        /* standard deviations by which scores may lie below it, for good    */
	double alarm;        /* sum of what they lie lower, in standard deviations                */
	int64_t least;       /* images of a segment                                               */
};

/** Rows: 2.77 A, 51, 25, 16, 1, 25, 400. */
extern const struct pn_param pn_segment_param_table[];

#define PN_SEGMENT_SIZES_MAX 256

/** What is remembered; plain data, zero to start. */
struct pn_segmenter {
	uint64_t images;               /* of this segment                                       */
	uint64_t map;                  /* whose scores the statistics are of                    */
	double count, mean, square;    /* of the scores, after pn_segment_params.settle frozen  */
	double low;                    /* the cumulative sum                                    */
	double block_sum, block_count; /* of the block under way                             */
	double sizes_A[PN_SEGMENT_SIZES_MAX];
	uint64_t size_count;    /* diameters in the ring                                 */
	double first_A, last_A; /* medians; 0: not known                                 */
};

enum pn_segment_end { PN_SEGMENT_GOES_ON, PN_SEGMENT_SIZE, PN_SEGMENT_SCORE };

/**
 * pn_segment_image - a new image of the particle; says whether the structure has changed.
 *
 * Score: Page's cumulative sum of how far the scores of new images, against the map that they are
 * not in yet, lie below the mean that the map's first images had, in means of blocks, as images
 * close in time show similar views; scores of another map begin anew. Size: the median diameter of
 * the last size_images against that of the first.
 *
 * @score: correlation with the map, NaN if the image has no pose
 * @map:   number of the references
 * @diameter_A: as `crystal` measured it; NaN if it did not
 *
 * On anything but PN_SEGMENT_GOES_ON the segmenter has begun the next segment. Thread: reentrant.
 * Source: methods R7 (size change inside a segment < 2.77 A); Page, Biometrika 41, 100 (1954).
 */
enum pn_segment_end pn_segment_image(struct pn_segmenter *s, const struct pn_segment_params *params,
				     double score, uint64_t map, double diameter_A);

#endif
