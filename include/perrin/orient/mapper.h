/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/mapper.h - one tumbling particle's map, from its images and their poses. */
#ifndef PERRIN_ORIENT_MAPPER_H
#define PERRIN_ORIENT_MAPPER_H

#include "perrin/base/blob.h"
#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>
#include <stdint.h>

#define PN_MAPPER_EDGE_MAX   512
#define PN_MAPPER_SHELLS_MAX (PN_MAPPER_EDGE_MAX / 2 + 1)
#define PN_MAPPER_WEIGHT_MIN 1e-3 /* poses of less weight are left out, as those of 0 */

struct pn_mapper_params {
	double diameter_A;      /* of the particle                                              */
	int64_t edge_px;        /* of the images that go in; 0: by the diameter                  */
	double resolution_A;    /* finest spacing that goes in; 0: all there is                  */
	int64_t iterations;     /* of FISTA for a growing volume                                */
	int64_t iterations_max; /* of the last one, if its held-out half does not stop it before */
	int64_t memory;         /* crops that are kept: their poses can be revised               */
	double trailing;        /* part of what there is that each volume leaves; 1: all         */
	double tau;             /* of the halves' maps: pn_accumulator_map                       */
};

/** Rows: all of struct pn_mapper_params. */
extern const struct pn_param pn_mapper_param_table[];

/** A particle's piece of a frame. */
struct pn_mapper_crop {
	uint64_t frame;
	size_t ny, nx;
	int64_t y0_px, x0_px; /* of its first pixel on the frame */
	const float *image;   /* [ny][nx]; atoms bright          */
};

/** How the particle stood on it. */
struct pn_mapper_pose {
	double quaternion[4];  /* w x y z, map to detector frame           */
	double position_px[2]; /* x y of the map's origin on the frame     */
	double weight;         /* 0: left out                              */
	int half;              /* 0, 1                                     */
};

/** What became of an image. */
enum pn_mapper_answer {
	PN_MAPPER_IN,   /* it is in the sums                                                     */
	PN_MAPPER_KEPT, /* it has no weight, and waits for a revision                            */
	/* nothing has changed: */
	PN_MAPPER_AGAIN,    /* the frame is among those kept already                             */
	PN_MAPPER_GONE,     /* the frame that is to be revised is not kept                       */
	PN_MAPPER_NO_PLACE, /* the particle is nearer than edge / 4 to the border of the crop, or
			     * leaves no background on it                                        */
	PN_MAPPER_RANGE,    /* a pixel, the quaternion's norm, a half or a weight is out of range */
};

/** A volume and what is known of it. What is not known is NaN. */
struct pn_mapper_result {
	struct pn_box box;
	const float *volume;  /* [nz][ny][nx], image units per voxel of depth; borrowed until the
			       * next solve                                                       */
	const float *half[2]; /* quick maps of the halves, masked; NULL, if a half has no images  */
	uint64_t images;
	int iterations;
	double misfit;   /* |A u - p| / |p| within the band                                   */
	double held_out; /* the least of one half's images in a trial without them: final only */
	double resolution_A; /* where the FSC of the halves falls below 0.143                     */
	double fsc[PN_MAPPER_SHELLS_MAX]; /* by cycles per longest edge of the box               */
	size_t fsc_count;                 /* 0: a half has no images                              */
	double scf, empty, far; /* perrin/orient/sampling.h: pn_sampling_views, pn_conical_far    */
};

struct pn_mapper;

/**
 * pn_mapper_edge - of the images that go in: the parameter, or the next multiple of 16 from 1.6
 * diameters on; even, at most 512 and the shorter side of the crop. 0 if that is below 16.
 */
size_t pn_mapper_edge(const struct pn_mapper_params *params, double pixel_A, size_t ny, size_t nx);

/**
 * pn_mapper_create - no images yet; caller destroys.
 *
 * The volume is a box of 3/4 of the edge, where the sums are exact (perrin/orient/accumulate.h), or
 * of the whole edge if the particle needs it. Voxels farther than 1.15 radii from its origin are
 * empty. Sums are made when the first image comes: its largest deviation from its mean is their
 * unit.
 *
 * @edge: even, 16..512; @pixel_A: > 0
 *
 * Errors: PN_EARG, PN_ENOMEM.
 */
int pn_mapper_create(struct pn_mapper **mapper, const struct pn_mapper_params *params, size_t edge,
		     double pixel_A, struct pn_error *err);
void pn_mapper_destroy(struct pn_mapper *mapper);

/**
 * pn_mapper_put - one more image, in any order of frames.
 *
 * The crop is cut to the edge about the pixel nearest to the position (the rest of it is the pose's
 * shift); its mean outside of the support is subtracted, and where the cut reaches beyond the crop
 * it is 0. Cuts are made anew for each revision, so that a map does not depend on what poses were
 * before. The crop is copied; beyond params.memory the oldest is forgotten, but stays in the sums.
 *
 * @answer: [out] what became of it; the return value is PN_OK with all of them
 *
 * Errors: PN_ENOMEM, PN_EIO (plans of the FFT): then the mapper can only be destroyed. Thread: one
 * call at a time.
 * Cost: a pass over the crop, then pn_accumulator_add.
 */
int pn_mapper_put(struct pn_mapper *mapper, const struct pn_mapper_crop *crop,
		  const struct pn_mapper_pose *pose, enum pn_mapper_answer *answer,
		  struct pn_error *err);

/**
 * pn_mapper_revise - another pose for an image that is kept: the sums are, to the bit, as if it had
 * been that from the start (but for rounding if params.trailing is below 1).
 */
int pn_mapper_revise(struct pn_mapper *mapper, uint64_t frame, const struct pn_mapper_pose *pose,
		     enum pn_mapper_answer *answer, struct pn_error *err);

/** pn_mapper_images - in the sums. */
uint64_t pn_mapper_images(const struct pn_mapper *mapper);

/**
 * pn_mapper_solve - the volume of all images, and how good it is.
 *
 * The sums of both halves make the normal equations, which FISTA solves with positivity within the
 * support, always from its cold start: a growing volume takes params.iterations; the last one
 * (@final) as many as the misfit of one half's images tells a trial on the other half's, at most
 * params.iterations_max. A volume depends on what is in the sums alone. From the last volume on, as
 * a tilt series does it, noise that has been fitted is unlearnt too slowly: 8 volumes of 400 more
 * images each, white noise of 10 times the variance of the images, 5 iterations on each end at an
 * error of 0.161 to the truth, 7 from a cold start at 0.119 (and 20 at 20 % more than 7). The
 * halves' quick maps, times a ball with a soft edge, give FSC and cFAR. Views that trailing has
 * left less than a tenth of are not counted in the coverage.
 *
 * Errors: PN_ENOENT without images, PN_ENOMEM, PN_EIO. Thread: OpenMP inside, the bytes do not
 * depend on its threads. Cost: four 3D FFTs of twice the edge (six for the last volume), a few
 * passes over the sums, and an FFT pair of twice the box per iteration: 0.7 s for 96 px up to 0.45
 * cycles per px on a core. The first one plans the FFTs, which takes seconds.
 * Source: recon notes 6; FISTA: perrin/tomo/fista.h; FSC: perrin/tomo/fsc.h.
 */
int pn_mapper_solve(struct pn_mapper *mapper, int final, struct pn_mapper_result *result,
		    struct pn_error *err);

/**
 * pn_mapper_save, pn_mapper_load - sums and kept crops; load into a mapper as created.
 *
 * Errors: PN_ENOMEM; PN_EFORMAT (cut off, damaged, of another edge, pixel or parameters): then the
 * mapper can only be destroyed.
 */
int pn_mapper_save(const struct pn_mapper *mapper, struct pn_blob *out);
int pn_mapper_load(struct pn_mapper *mapper, const void *data, size_t bytes, struct pn_error *err);

#endif
