/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/denoise/pool.h - the last crops of a stream, as a trainer wants them. */
#ifndef PERRIN_DENOISE_POOL_H
#define PERRIN_DENOISE_POOL_H

#include "perrin/denoise/spot.h"
#include "perrin/denoise/train.h"
#include "perrin/denoise/windows.h"

struct pn_pool;

/**
 * pn_pool_create - room for the last @capacity crops of all particles together; caller destroys.
 * Errors: PN_ENOMEM. Thread: one at a time.
 */
int pn_pool_create(struct pn_pool **pool, uint64_t capacity, struct pn_error *err);
void pn_pool_destroy(struct pn_pool *pool);

/**
 * pn_pool_add - one more crop, copied; the oldest one goes when there is no room. Pairs of adjacent
 * frames are added to the pool's noise (perrin/denoise/spot.h) as they come.
 *
 * Errors: PN_EFRAME (values that are not finite, a crop that is there already, one that is equal
 * to the crop of the frame before), PN_ENOMEM; nothing
 * has changed then.
 */
int pn_pool_add(struct pn_pool *pool, const struct pn_window_crop *crop, const float *image,
		struct pn_error *err);

/**
 * pn_pool_source - the pool's crops by particle and frame: runs of one particle without gap.
 * Borrows the pool; true until the next pn_pool_add.
 */
struct pn_train_source pn_pool_source(struct pn_pool *pool);

/** pn_pool_noise - autocorrelation of the noise of all that came. Borrowed. */
const struct pn_noise *pn_pool_noise(const struct pn_pool *pool);

#endif
