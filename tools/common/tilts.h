/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tilts.h - a tilt series from files: a stack of images and their angles. */
#ifndef PERRIN_TOOLS_TILTS_H
#define PERRIN_TOOLS_TILTS_H

#include "perrin/base/param.h"
#include "perrin/format/stack.h"
#include "perrin/tomo/pose.h"

enum pn_tilt_axis { PN_TILT_AXIS_Y, PN_TILT_AXIS_X };

/** What a command that reads a tilt series is told; its rows are pn_tilts_params. */
struct pn_tilts_flags {
	char tilts[PN_PARAM_TEXT_MAX], angles[PN_PARAM_TEXT_MAX];
	double pixel_A;
	int axis; /* enum pn_tilt_axis */
};
extern const struct pn_param pn_tilts_params[];

/** A tilt series in memory. */
struct pn_tilts {
	struct pn_projections projections; /* the tilt axis along y */
	float *image;
	struct pn_pose *pose;
	double (*angle_deg)[3];
	double pixel_A; /* 0: not known */
	double largest_pixel;
	int single_axis, unsorted;
};

/**
 * pn_tilts_load - all images and angles, checked; freed with pn_tilts_free.
 *
 * The geometry is that of perrin/tomo/pose.h. With the tilt axis along the image's x every image is
 * transposed: the volume then has its x where the images have their y.
 *
 * Errors: those of reading, PN_EARG (as many angles as images, what pn_projections_check refuses),
 * PN_ENOMEM; each with the file.
 */
int pn_tilts_load(struct pn_tilts *tilts, const struct pn_tilts_flags *flags, struct pn_error *err);
void pn_tilts_free(struct pn_tilts *tilts);

/** pn_volume_write - float32 [nz][ny][nx] as a stack (.mrc, .npy, .tif by the name). */
int pn_volume_write(const char *path, const float *volume, const struct pn_box *box, double pixel_A,
		    struct pn_error *err);

/** pn_volume_read - a stack as a volume; caller frees it with free(). @pixel_A: 0 if not known. */
int pn_volume_read(float **volume, struct pn_box *box, double *pixel_A, const char *path,
		   struct pn_error *err);

#endif
