/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/incremental.h - a volume that follows a tilt series while it is taken. */
#ifndef PERRIN_TOMO_INCREMENTAL_H
#define PERRIN_TOMO_INCREMENTAL_H

#include "perrin/base/blob.h"
#include "perrin/tomo/fista.h"

#include <stdint.h>

struct pn_incremental;

/** What is known after a change of the tilts and some iterations. */
struct pn_incremental_state {
	size_t tilts;
	double misfit; /* |A u - p| / |p| over all tilts, at the last iteration; NaN before any */
	struct pn_fista_result last;
};

/**
 * pn_incremental_create - no tilts, an empty volume; caller destroys.
 *
 * @ny, @nx: shape of the images to come
 * @largest_pixel: as for pn_normal_create
 *
 * Errors: PN_EARG, PN_ENOMEM with the bytes.
 */
int pn_incremental_create(struct pn_incremental **series, const struct pn_box *box, int single_axis,
			  size_t ny, size_t nx, double largest_pixel, struct pn_error *err);
void pn_incremental_destroy(struct pn_incremental *series);

/**
 * pn_incremental_put - a tilt arrives, or a known one is revised.
 *
 * @id:    the caller's number of the tilt; one that is there is replaced: the old image is taken
 *         away exactly
 * @image: [in] float32 [ny][nx], copied
 *
 * Errors: as pn_normal_add; nothing has changed then. Cost: pn_normal_add, twice for a revision.
 */
int pn_incremental_put(struct pn_incremental *series, uint64_t id, const struct pn_pose *pose,
		       const float *image, struct pn_error *err);

/** pn_incremental_withdraw - take a tilt away. Errors: PN_ENOENT if there is no such tilt. */
int pn_incremental_withdraw(struct pn_incremental *series, uint64_t id, struct pn_error *err);

/**
 * pn_incremental_update - @iterations of FISTA from the volume as it stands, all tilts known by
 * now.
 *
 * The first tilts start from nothing (without the boost of pn_fista_params: it suits a series that
 * covers the angles). Errors: PN_EARG without tilts.
 */
int pn_incremental_update(struct pn_incremental *series, int iterations, struct pn_error *err);

/**
 * pn_incremental_finish - the volume as if all tilts had been there from the start:
 * pn_fista_validated with every @held_out_every th tilt (in the order of ids) left out of the
 * trial, one at least; below 12 tilts nothing is left out and params->iterations_max are done.
 *
 * Does not depend on the order in which the tilts came, nor on those that were withdrawn: same
 * tilts, same bytes as from any other history, and as of the offline run.
 */
int pn_incremental_finish(struct pn_incremental *series, const struct pn_fista_params *params,
			  int held_out_every, struct pn_error *err);

/** pn_incremental_volume - float32 [nz][ny][nx], borrowed until the next call. */
const float *pn_incremental_volume(const struct pn_incremental *series);

/** pn_incremental_state - borrowed, as above. */
const struct pn_incremental_state *pn_incremental_state(const struct pn_incremental *series);

/**
 * pn_incremental_projections - all tilts in ascending order of id; borrowed until the next put or
 * withdrawal.
 *
 * @id: [out] the ids, [count]; may be NULL
 */
struct pn_projections pn_incremental_projections(const struct pn_incremental *series,
						 const uint64_t **id);

/**
 * pn_incremental_save, pn_incremental_load - tilts and volume; the sums are made again from the
 * tilts, which gives the same bits. Loading wants a series created with the same shapes; PN_EFORMAT
 * if the bytes are of another.
 */
int pn_incremental_save(const struct pn_incremental *series, struct pn_blob *out);
int pn_incremental_load(struct pn_incremental *series, const void *bytes, size_t count,
			struct pn_error *err);

#endif
