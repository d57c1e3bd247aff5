/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/extended.h - reconstruction of specimens that go on beyond the field: films. */
#ifndef PERRIN_TOMO_EXTENDED_H
#define PERRIN_TOMO_EXTENDED_H

#include "perrin/tomo/fista.h"
#include "perrin/tomo/pose.h"

#include <stdint.h>

/*
 * perrin/tomo/fista.h takes what lies beyond an image for 0. Of a film, or of a part cut out of a
 * series, it is not: material beside the field is seen by the tilted images. So the volume is
 * solved for in a larger box, of all voxels that any ray of any image meets within the depth of the
 * film, and the misfit counts the pixels there are and no others,
 *
 *	sum_k |W_k (A_k u - p_k)|^2,   u >= 0,
 *
 * after which the box is cropped to the field. A_k sums cubic interpolations along rays
 * (Joseph's method), in any pose: what it costs does not grow with the larger box. W_k^2 is 1, less
 * within the rim, and 0 for rays that leave the larger box by its sides where that is limited.
 */

/** How to plan and to solve. pn_extended_defaults fills it. */
struct pn_extended_params {
	struct pn_fista_params solving; /* boost is not used: the start is nothing; support is of
					 * the field, beside which all voxels may be filled */
	double width_max;    /* the larger box is at most so many times nx + nz wide, and high   */
	size_t margin_px;    /* voxels around all that rays meet, >= 2                            */
	double rim_px;       /* W^2 rises linearly over so many pixels from the images' edges    */
	double coverage_min; /* of the largest: less seen voxels take the steps of such ones     */
};

/** pn_extended_defaults - those of pn_fista_defaults but patience 5; width 4, margin 2 px, no rim,
 * coverage 0.02. */
void pn_extended_defaults(struct pn_extended_params *params);

struct pn_extended;

/**
 * pn_extended_plan - the larger box, weights and memory of one series; caller destroys.
 *
 * @field:       the volume that is wanted: nz the depth of the film, ny and nx about those of the
 *               images; its origin is that of the larger box
 * @projections: borrowed until destroyed
 *
 * Errors: PN_EARG (pn_projections_check; an empty field; parameters out of range; a larger box of
 * more than 2048 voxels along an axis; no ray that stays in the box), PN_ENOMEM with the bytes.
 */
int pn_extended_plan(struct pn_extended **extended, const struct pn_box *field,
		     const struct pn_projections *projections,
		     const struct pn_extended_params *params, struct pn_error *err);
void pn_extended_destroy(struct pn_extended *extended);

/** pn_extended_box - the shape of the larger box. */
struct pn_box pn_extended_box(const struct pn_extended *extended);

/** pn_extended_weights - W_k^2, [count][ny][nx]; borrowed. */
const float *pn_extended_weights(const struct pn_extended *extended);

/**
 * pn_extended_project - @image [count][ny][nx] = A @volume, of the larger box; 0 where W is.
 *
 * Source: Joseph, IEEE Trans. Med. Imaging 1, 192 (1982); the interpolation: Keys, IEEE Trans.
 * Acoust. Speech Signal Process. 29, 1153 (1981), a = -1/2.
 */
void pn_extended_project(struct pn_extended *extended, const float *volume, float *image);

/** pn_extended_backproject - @volume = A^T @image, the exact adjoint. */
void pn_extended_backproject(struct pn_extended *extended, const float *image, float *volume);

/**
 * pn_extended_solve - FISTA with restarts in the metric of the coverage:
 *
 *	u_(i+1) = max(0, v_i - step C A^T W^2 (A v_i - p)),   C = 1 / (A^T W^2 A 1)
 *
 * v_i as in pn_fista_solve. C, which is that of SIRT, lets voxels that few rays meet move as fast
 * as those that all tilts see, and would make 1 the largest eigenvalue if no weight were negative;
 * those of cubic interpolation are a little, and the guard of the step is for what they add.
 *
 * @held_out: [count] not 0: the tilt is left out of the problem and measures it; NULL: none
 * @volume:   [out] float32 [nz][ny][nx] of the field
 * @result:   misfits are over W; lipschitz is 1
 *
 * Errors: PN_EARG (no tilt is left; step, iterations), PN_ENOMEM.
 * Thread: one call at a time; OpenMP inside, the bytes do not depend on its threads.
 * Cost per iteration: two passes along all rays, of some 30 multiply-adds for each plane of voxels
 * that a ray crosses, and 6 passes over the larger box.
 * Source: as pn_fista_solve; the larger box: Yuan et al., Nat. Mater. 21, 95 (2022), RESIRE of
 * extended objects; C: Gregor, Benson, IEEE Trans. Med. Imaging 27, 918 (2008), equation 5.
 */
int pn_extended_solve(struct pn_extended *extended, const uint8_t *held_out, float *volume,
		      struct pn_fista_result *result, struct pn_error *err);

/**
 * pn_extended_validated - as many iterations as the held-out tilts bear, then so many with all of
 * them; see pn_fista_validated. Errors, thread and cost as pn_extended_solve, twice.
 */
int pn_extended_validated(struct pn_extended *extended, const uint8_t *held_out, float *volume,
			  struct pn_fista_result *result, struct pn_error *err);

/**
 * pn_extended_rfactors - R1 and R2 of every tilt over the pixels with weight, of the larger volume
 * solved last: what is cropped away is needed to explain the images.
 *
 * @r1, @r2: [out] [count]; NaN for a tilt without such pixels, or if they are all 0
 */
void pn_extended_rfactors(struct pn_extended *extended, double *r1, double *r2);

#endif
